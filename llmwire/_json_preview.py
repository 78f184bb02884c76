"""What there is of a JSON text that is still coming, or was cut off, made JSON.

Knows where a text may end and what may then be shown; how broken JSON is read the
scanner knows. Nothing that comes from here may be executed.

Theory of operation: the scanner reads as far as it can. Every container that is open
remembers where its last whole member or item ended; there the text is cut, and closed.
"""

from __future__ import annotations

import re
from enum import Flag, auto
from typing import Final

from msgspec import Struct

from llmwire._json_edits import Edit, patched
from llmwire._json_evidence import Evidence
from llmwire._json_framing import head_end
from llmwire._json_readings import Mode, State, Stuck
from llmwire._json_scanner import Scanner
from llmwire._json_strings import respelled
from llmwire._json_tokens import BODIES, FOREIGN_LITERALS, LITERALS, STRING

_BEGUN: Final = re.compile(r"[\w.+\-$]*+\Z|/|#|[`~]{1,2}\Z|<[^<>]{0,64}\Z|\\?\Z")
"""What may be the beginning of a token, or a comment, that is not all there."""
_NUMBER: Final = re.compile(
    r"(-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+)\.?(?:[eE][+-]?)?\Z"
)
"""A number at the end of a text, and what could go on behind it."""
_CUT_ESCAPE: Final = re.compile(r"\\u[0-9a-fA-F]{0,3}\Z|\\u[dD][89abAB]..\Z")
"""An escape that is not all there, or the first half of a pair of surrogates."""
_ESCAPE: Final = 6
"""Characters of the longest escape."""


class Allow(Flag):
    """What may be shown though it is not all there."""

    STRING = auto()
    ARRAY = auto()
    OBJECT = auto()
    NUMBER = auto()
    """Shown as far as it is one: `12` of what becomes 125, `1` of `1.`."""
    NULL = auto()
    BOOLEAN = auto()
    OPEN = STRING | ARRAY | OBJECT
    """What only grows: what is shown of it stays."""
    ALL = OPEN | NUMBER | NULL | BOOLEAN


class Preview(Struct, frozen=True):
    """What there is of a text; for showing, never for executing."""

    text: str
    """JSON; empty where there is nothing to show yet."""
    complete: bool
    """Whether the document is closed. What stands behind it was not looked at."""
    end: int
    """Characters of the text that are shown, those in front of the document counted."""


class _Level:
    """A container that is open."""

    __slots__ = ("allowed", "before", "closer", "safe")

    def __init__(self, mark: str, at: int, allow: Allow) -> None:
        self.closer = "}" if mark == "{" else "]"
        self.allowed = bool(allow & (Allow.OBJECT if mark == "{" else Allow.ARRAY))
        self.safe = self.before = at + 1
        """Where its last whole content ends, and where the one before that ended."""


class _Previewer(Scanner):
    """Reads a text and remembers where it can be cut."""

    def __init__(self, text: str, allow: Allow) -> None:
        start = head_end(text)
        head = [Edit(0, "framing", text[:start], "")] if start else []
        super().__init__(text, start, Evidence(None), head, framed=False)
        self._allow = allow
        self._levels: list[_Level] = []
        self._at_end = False
        """Whether the text ends inside the string that was read last."""

    def preview(self) -> Preview:
        """What there is.

        Raises:
            Stuck: The text is broken, not only unfinished.
        """
        state = self._new()
        try:
            self._run(state)
        except Stuck:
            shown = self._unfinished(state)
            if shown is None:
                raise
            return shown
        return self._whole(state)

    def _whole(self, state: State) -> Preview:
        edits, end = state.in_order(), state.value_end
        open_number = end == len(self._text) and self._text[end - 1] in "0123456789."
        if open_number and edits and Allow.NUMBER not in self._allow:
            return Preview("", False, 0)
        shown = patched(self._text[:end], edits)
        return Preview(shown, not open_number, end)

    def _unfinished(self, state: State) -> Preview | None:
        """What there is of a text that ends too early; None where it is broken."""
        text, at = self._text, state.at
        cut, added, behind = -1, list[Edit](), ""
        if self._at_end:
            if state.mode != Mode.KEY and Allow.STRING in self._allow:
                cut, added = self._open_string(state)
                behind = '"'
        elif _BEGUN.match(text, at) is None:
            return None
        elif state.mode in (Mode.VALUE, Mode.ITEM):
            cut, added = self._open_word(at)
        elif self._ends_in_number(state):
            self._levels[-1].safe = self._levels[-1].before
        edits = state.in_order()
        if cut < 0:
            cut, behind = (self._levels[-1].safe if self._levels else 0), ""
            if not self._levels:
                return Preview("", False, 0)
        for number in range(len(self._levels) - 1, -1, -1):
            level = self._levels[number]
            if level.allowed:
                behind += level.closer
            elif number:
                cut, added, behind = self._levels[number - 1].safe, [], ""
            else:
                return Preview("", False, 0)
        edits = (*(edit for edit in edits if edit.offset < cut), *added)
        return Preview(patched(text[:cut], edits) + behind, False, cut)

    def _open_string(self, state: State) -> tuple[int, list[Edit]]:
        """Where the string that is open can be cut, and what makes it one of JSON."""
        text, start = self._text, state.at
        quote = text[start]
        body = BODIES[quote].match(text, start + 1)
        end = body.end() if body else start + 1
        for _ in range(2):  # half an escape, and the first surrogate in front of it
            end = self._cut_escape(start + 1, end)
        if quote == '"' and STRING.fullmatch(f"{text[start:end]}{quote}"):
            return end, []
        edits = respelled(text[start + 1 : end], quote, start + 1, state.pythonic)
        if edits is None:
            return -1, []
        opened = [Edit(start, "quotes", quote, '"')] if quote != '"' else []
        return end, opened + edits

    def _cut_escape(self, start: int, end: int) -> int:
        """Where an escape begins that is not all there; `end`: none does."""
        found = _CUT_ESCAPE.search(self._text, max(start, end - _ESCAPE), end)
        if found is None:
            return end
        content = self._text[start : found.start()]
        doubled = (len(content) - len(content.rstrip("\\"))) % 2
        return end if doubled else found.start()

    def _open_word(self, at: int) -> tuple[int, list[Edit]]:
        """Where the number or literal at the end of the text can be cut."""
        word = self._text[at:]
        number = _NUMBER.match(word)
        if number is not None and Allow.NUMBER in self._allow:
            return at + number.end(1), []
        names = {name: name for name in sorted(LITERALS)} | FOREIGN_LITERALS
        for name, literal in names.items():
            kind = Allow.NULL if literal == "null" else Allow.BOOLEAN
            if word and name.startswith(word) and kind in self._allow:
                return len(self._text), [Edit(at, "literal", word, literal)]
        return -1, []

    def _ends_in_number(self, state: State) -> bool:
        end = len(self._text)
        if state.value_end != end or Allow.NUMBER in self._allow:
            return False
        return self._text[-1] in "0123456789."

    # What is remembered

    def _value(self, state: State, mark: str) -> None:
        if mark in ("{", "["):
            self._levels.append(_Level(mark, state.at, self._allow))
        super()._value(state, mark)

    def _close(self, state: State) -> None:
        self._levels.pop()
        super()._close(state)

    def _close_value(self, state: State) -> None:
        super()._close_value(state)
        if self._levels:
            level = self._levels[-1]
            level.before, level.safe = level.safe, state.at

    def _closing_quote(self, state: State, quote: str) -> int:
        try:
            return super()._closing_quote(state, quote)
        except Stuck:
            self._at_end = True
            raise


def preview_of(text: str, allow: Allow) -> Preview:
    """What there is of `text`.

    Raises:
        Stuck: It is broken, not only unfinished.
    """
    return _Previewer(text, allow).preview()
