"""Reads the members of a JSON object while its text comes.

Knows JSON; a member that is a string is decoded, any other given as it stands. What is
inside objects and lists is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from llmwire._json import decode_any
from llmwire.errors import RemoteProtocolError
from llmwire.filters._escapes import unescaped

StepKind: TypeAlias = Literal["name", "string", "raw", "text", "over", "refused"]
Step: TypeAlias = tuple[StepKind, str]
"""`name`: a member begins. `string` or `raw`: its value does, the latter with its first
piece. `text`: it goes on. `over`: it ends. `refused`: this and all that follows is not
the text of such an object."""

_LONGEST: Final = 1024
"""Characters of a name, a number or a word, at most."""
_SLICE: Final = 1024
"""Characters that are taken at once, for what is held is copied at every step."""
_BLANK: Final = " \t\r\n"
_NAME: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR_END: Final = re.compile(r"[,}\]\s]")
_SPECIAL: Final = re.compile(r'["\\\x00-\x1f]')
_BRACKET: Final = re.compile(r'[\[\]{}"]')
_IN_QUOTES: Final = re.compile(r'["\\]')

_Place: TypeAlias = Literal[
    "before", "first", "member", "colon", "value", "string", "nested", "after", "done"
]


class ArgumentReader:
    """Reads one object."""

    __slots__ = ("_depth", "_due", "_escaped", "_held", "_place", "_quoted", "refused")

    def __init__(self) -> None:
        self._place: _Place = "before"
        self._held = ""
        self._due: list[Step] = []
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self.refused = False
        """What came is not the text of an object."""

    @property
    def done(self) -> bool:
        """The object is complete, or nothing came, which stands for an empty one."""
        whole = self._place in ("done", "before")
        return whole and not self.refused and not self._held.strip(_BLANK)

    @property
    def held(self) -> int:
        """Characters held back now."""
        return len(self._held)

    def feed(self, text: str) -> list[Step]:
        """What is certain now that the text goes on with `text`."""
        for at in range(0, len(text), _SLICE):
            self._held += text[at : at + _SLICE]
            while self._held and not self.refused and self._step():
                pass
        if self.refused and self._held:
            self._due.append(("refused", self._held))
            self._held = ""
        due, self._due = self._due, []
        return due

    def _step(self) -> bool:
        if self._place not in ("string", "nested"):
            self._held = self._held.lstrip(_BLANK)
        return bool(self._held) and _STEPS[self._place](self)

    def _refuse(self) -> bool:
        self.refused = True
        return False

    def _expect(self, letter: str, then: _Place) -> bool:
        if self._held[0] != letter:
            return self._refuse()
        self._held = self._held[1:]
        self._place = then
        return True

    def _on_before(self) -> bool:
        return self._expect("{", "first")

    def _on_first(self) -> bool:
        return self._expect("}", "done") if self._held[0] == "}" else self._on_member()

    def _on_member(self) -> bool:
        name = _NAME.match(self._held)
        if name is None:
            waits = self._held[0] == '"' and len(self._held) <= _LONGEST
            return False if waits else self._refuse()
        try:
            self._due.append(("name", str(decode_any(name[0]))))
        except RemoteProtocolError:
            return self._refuse()
        self._held = self._held[name.end() :]
        self._place = "colon"
        return True

    def _on_colon(self) -> bool:
        return self._expect(":", "value")

    def _on_value(self) -> bool:
        first = self._held[0]
        if first == '"':
            self._due.append(("string", ""))
            return self._expect('"', "string")
        if first in "[{":
            self._due.append(("raw", ""))
            self._place = "nested"
            return True
        end = _SCALAR_END.search(self._held)
        if end is None:
            return False if len(self._held) <= _LONGEST else self._refuse()
        if not end.start():
            return self._refuse()
        self._due += [("raw", self._held[: end.start()]), ("over", "")]
        self._held = self._held[end.start() :]
        self._place = "after"
        return True

    def _on_string(self) -> bool:
        text, at = self._held, 0
        pieces: list[str] = []
        ended = False
        while not ended and (special := _SPECIAL.search(text, at)):
            pieces.append(text[at : special.start()])
            at = special.start()
            if text[at] == "\\":
                piece, after = unescaped(text, at)
                if piece is None:
                    break
                pieces.append(piece)
                at = after
            else:
                ended = text[at] == '"'
                pieces.append("" if ended else text[at])
                at += 1
        else:
            if not ended:
                pieces.append(text[at:])
                at = len(text)
        self._held = text[at:]
        self._tell("".join(pieces))
        if ended:
            self._over()
        return ended

    def _tell(self, text: str) -> None:
        if text:
            self._due.append(("text", text))

    def _over(self) -> None:
        self._due.append(("over", ""))
        self._place = "after"

    def _on_nested(self) -> bool:
        text, at, size = self._held, 0, len(self._held)
        while at < size:
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            found = (_IN_QUOTES if self._quoted else _BRACKET).search(text, at)
            if found is None:
                break
            at = found.end()
            letter = found[0]
            if letter == "\\":
                self._escaped = True
            elif letter == '"':
                self._quoted = not self._quoted
            else:
                self._depth += 1 if letter in "[{" else -1
                if not self._depth:
                    self._held = text[at:]
                    self._tell(text[:at])
                    self._over()
                    return True
        self._held = ""
        self._tell(text)
        return False

    def _on_after(self) -> bool:
        if self._held[0] == ",":
            return self._expect(",", "member")
        return self._expect("}", "done")


_STEPS: Final[Mapping[_Place, Callable[[ArgumentReader], bool]]] = {
    "before": ArgumentReader._on_before,
    "first": ArgumentReader._on_first,
    "member": ArgumentReader._on_member,
    "colon": ArgumentReader._on_colon,
    "value": ArgumentReader._on_value,
    "string": ArgumentReader._on_string,
    "nested": ArgumentReader._on_nested,
    "after": ArgumentReader._on_after,
    "done": ArgumentReader._refuse,
}
