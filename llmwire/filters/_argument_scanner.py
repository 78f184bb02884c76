"""How much of a call's arguments is certain while they come.

Knows strict JSON and the schema of the arguments, and no repairs: only that a repair
changes nothing before the first anomaly, except for what is held here.

Held are: the name of a member until it is one that the schema knows and its colon has
come; the end of a text until what follows shows that it was the end; values that a
schema lists, numbers and literals until they are whole; closing brackets until
something follows them, and the last one until the arguments end. The content of texts
is certain character by character, but for texts that begin as Windows paths, whose
backslashes may all be meant literally.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from llmwire._coercion import folded
from llmwire._schema_terms import Schema, is_named, key_of, kind_of, resolved, types_of

_TOKEN: Final = 4_096
"""Characters of a name or of white space beyond which nothing is certain any more."""
_AHEAD: Final = 8
"""And what is seen behind it at most, to know that it was the end."""
_REFERENCES: Final = 16
_HEAD: Final = 3
"""Characters of a text that tell whether it begins with a drive's letter alone."""
_WRAPPERS: Final = frozenset({"name", "arguments", "parameters", "input"})
"""Members of an envelope in which whole arguments may stand."""

_BLANK: Final = re.compile(r"[ \t\n\r]*+")
_SPECIAL: Final = re.compile(r'["\\\x00-\x1f]')
_ESCAPE: Final = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_PARTIAL_ESCAPE: Final = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_REST: Final = re.compile(
    r'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+'
)
_LOOSE_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR: Final = re.compile(r"[^\s,\]}]++")
_NUMBER: Final = re.compile(
    r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
)
_LITERALS: Final = {"true": "boolean", "false": "boolean", "null": "null"}
_CLOSERS: Final = {"{": "}", "[": "]"}


class _Terms(Struct, frozen=True):
    """What a schema says plainly."""

    types: frozenset[str] = frozenset()
    """Empty: any."""
    listed: frozenset[object] | None = None
    """The only values, as `key_of` gives them."""
    members: Mapping[str, Any] = {}
    items: object = None
    others: object = None
    """The schema of members without a name here."""
    names: frozenset[str] = frozenset()
    """The names, folded."""
    closed: Schema | None = None
    """The schema, if it allows no other members."""


_ANY: Final = _Terms()


class Terms:
    """The terms of all schemas below one root, each read once."""

    def __init__(self, root: Schema | None) -> None:
        self.root = root
        self._known: dict[int, _Terms] = {}

    def of(self, schema: object) -> _Terms:
        """What `schema`, a node below the root, says plainly."""
        if not isinstance(schema, Mapping):
            return _ANY
        if id(schema) not in self._known:
            self._known[id(schema)] = self._read(schema)
        return self._known[id(schema)]

    def _read(self, schema: Schema) -> _Terms:
        for _ in range(_REFERENCES):
            target = resolved(schema.get("$ref"), self.root or {})
            if not isinstance(target, Mapping):
                break
            schema = target
        known = schema.get("properties")
        members = known if isinstance(known, Mapping) else {}
        others = schema.get("additionalProperties")
        return _Terms(
            types=_types(schema),
            listed=_listed(schema),
            members=members,
            items=schema.get("items"),
            others=others,
            names=frozenset(folded(n) for n in members if isinstance(n, str)),
            closed=schema if others is False else None,
        )


def _types(schema: Schema) -> frozenset[str]:
    """The types that are possible; empty: any."""
    named = types_of(schema)
    if named:
        return named
    found: set[str] = set()
    for keyword in ("anyOf", "oneOf"):
        branches = schema.get(keyword)
        for branch in branches if isinstance(branches, (list, tuple)) else ():
            types = types_of(branch) if isinstance(branch, Mapping) else frozenset()
            if not types:
                return frozenset()
            found |= types
    return frozenset(found)


def _listed(schema: Schema) -> frozenset[object] | None:
    values = schema.get("enum")
    try:
        if isinstance(values, (list, tuple)):
            return frozenset(map(key_of, values))
        if "const" in schema:
            return frozenset((key_of(schema["const"]),))
    except RecursionError:
        pass
    return None


class ArgumentScanner:
    """Gives the arguments on as far as they are certain.

    Args:
        terms: Of the schema of the arguments.
    """

    def __init__(self, terms: Terms) -> None:
        self.held = ""
        """What came and is not certain; what comes once `broken` is not kept."""
        self._terms = terms
        self._at = 0
        self._sure = 0
        self._frames: list[tuple[str, _Terms]] = []
        self._place = terms.of(terms.root)
        self._head = ""
        self._step: Callable[[ArgumentScanner], bool] | None = ArgumentScanner._top

    @property
    def broken(self) -> bool:
        """There was an anomaly: nothing more is certain."""
        return self._step is None

    @property
    def whole(self) -> bool:
        """The object is closed, and nothing but white space came behind it."""
        return self._step is ArgumentScanner._done

    def feed(self, text: str) -> str:
        """What is certain now, out of what was held and `text`."""
        if self._step is None:
            return ""
        inside = not self.held and self._step is ArgumentScanner._text
        if inside and _SPECIAL.search(text) is None:
            self._note(text)
            return text
        self.held += text
        while self._step is not None and self._step(self):
            pass
        sure = self._sure
        if len(self.held) - sure > _TOKEN + _AHEAD:
            self._step = None
        certain, self.held = self.held[:sure], self.held[sure:]
        self._at -= sure
        self._sure = 0
        return certain

    # Steps. Each reads what stands at the place and says whether it could; `_sure` is
    # up to where the text is certain.

    def _peek(self) -> str:
        """The next character that is not white space; empty: there is none yet."""
        blank = _BLANK.match(self.held, self._at)
        self._at = blank.end() if blank else self._at
        return self.held[self._at : self._at + 1]

    def _goes(self, step: Callable[[ArgumentScanner], bool] | None) -> bool:
        self._step = step
        return step is not None

    def _settles(self, step: Callable[[ArgumentScanner], bool]) -> bool:
        """All up to the place is certain, unless too much was held for that."""
        if self._at - self._sure > _TOKEN:
            return self._goes(None)
        self._sure = self._at
        return self._goes(step)

    def _top(self) -> bool:
        letter = self._peek()
        if letter == "{":
            return self._opened(letter)
        return bool(letter) and self._goes(None)

    def _opened(self, letter: str) -> bool:
        self._at += 1
        self._frames.append((letter, self._place))
        if letter == "{":
            return self._goes(ArgumentScanner._name_or_end)
        self._place = self._terms.of(self._place.items)
        return self._goes(ArgumentScanner._value_or_end)

    def _name_or_end(self) -> bool:
        return self._closed("}") if self._peek() == "}" else self._name()

    def _value_or_end(self) -> bool:
        return self._closed("]") if self._peek() == "]" else self._value()

    def _closed(self, letter: str) -> bool:
        if not self._frames or _CLOSERS[self._frames[-1][0]] != letter:
            return self._goes(None)
        self._frames.pop()
        self._at += 1
        more = ArgumentScanner._after if self._frames else ArgumentScanner._done
        return self._goes(more)

    def _done(self) -> bool:
        return bool(self._peek()) and self._goes(None)

    def _after(self) -> bool:
        letter = self._peek()
        if letter != ",":
            return bool(letter) and self._closed(letter)
        self._at += 1
        opening, terms = self._frames[-1]
        if opening == "{":
            return self._goes(ArgumentScanner._name)
        self._place = self._terms.of(terms.items)
        return self._goes(ArgumentScanner._value)

    def _name(self) -> bool:
        letter = self._peek()
        if letter != '"':
            return bool(letter) and self._goes(None)
        found = _LOOSE_STRING.match(self.held, self._at)
        if found is None:
            return False
        place = self._member(found[0])
        if place is None:
            return self._goes(None)
        self._place = place
        self._at = found.end()
        return self._goes(ArgumentScanner._colon)

    def _member(self, written: str) -> _Terms | None:
        """What is known of a member; None: its name may be changed."""
        try:
            name: str = json.loads(written)
        except ValueError:
            return None
        terms = self._frames[-1][1]
        if name in terms.members:
            return self._terms.of(terms.members[name])
        if len(self._frames) == 1 and name in _WRAPPERS and terms.members:
            return None
        if terms.closed is not None and not is_named(name, terms.closed):
            return None
        if folded(name) in terms.names:
            return None
        return self._terms.of(terms.others)

    def _colon(self) -> bool:
        letter = self._peek()
        if letter != ":":
            return bool(letter) and self._goes(None)
        self._at += 1
        return self._settles(ArgumentScanner._value)

    def _value(self) -> bool:
        letter = self._peek()
        if not letter:
            return False
        if letter == '"':
            return self._opened_text()
        if letter not in _CLOSERS:
            return self._scalar()
        kind = "object" if letter == "{" else "array"
        return self._opened(letter) if self._allows(kind) else self._goes(None)

    def _allows(self, kind: str) -> bool:
        types = self._place.types
        either = kind in types or (kind == "integer" and "number" in types)
        return either or not types

    def _scalar(self) -> bool:
        """A number or a literal, certain once something follows it."""
        found = _SCALAR.match(self.held, self._at)
        end = found.end() if found else self._at
        if end == len(self.held):
            return False
        token = self.held[self._at : end]
        kind = _LITERALS.get(token) or ("number" if _NUMBER.fullmatch(token) else "")
        if not kind or not self._fits(token):
            return self._goes(None)
        self._at = end
        return self._settles(ArgumentScanner._after)

    def _fits(self, token: str) -> bool:
        """Whether a whole value meets the schema as far as that is told here."""
        try:
            value = json.loads(token)
        except ValueError:
            return False
        listed = self._place.listed
        if listed is not None and key_of(value) not in listed:
            return False
        return self._allows(kind_of(value))

    def _opened_text(self) -> bool:
        if not self._allows("string"):
            return self._goes(None)
        if self._place.listed is None:
            self._at += 1
            self._head = ""
            return self._settles(ArgumentScanner._text)
        found = _LOOSE_STRING.match(self.held, self._at)
        if found is None:
            return False
        if not self._fits(found[0]):
            return self._goes(None)
        self._at = found.end()
        return self._goes(ArgumentScanner._after)

    def _text(self) -> bool:
        """The inside of a text, certain as it comes."""
        found = _SPECIAL.search(self.held, self._at)
        end = found.start() if found else len(self.held)
        self._note(self.held[self._at : end])
        self._at = self._sure = end
        if found is None:
            return False
        if found[0] == '"':
            self._at += 1
            return self._goes(ArgumentScanner._after)
        if _DRIVE.fullmatch(self._head):
            return self._goes(ArgumentScanner._path)
        return self._escaped()

    def _escaped(self) -> bool:
        """One escape, with which the text goes on."""
        escape = _ESCAPE.match(self.held, self._at)
        if escape is None:
            partial = _PARTIAL_ESCAPE.match(self.held, self._at)
            return partial is None and self._goes(None)
        self._at = self._sure = escape.end()
        self._note(escape[0])
        return True

    def _note(self, content: str) -> None:
        """The text goes on with `content`; only its first characters matter."""
        if len(self._head) < _HEAD:
            self._head = (self._head + content)[:_HEAD]

    def _path(self) -> bool:
        """The rest of a text with a drive's letter: certain once it is whole."""
        rest = _REST.match(self.held, self._at)
        end = rest.end() if rest else self._at
        mark = self.held[end : end + 1]
        if mark != '"':
            partial = not mark or _PARTIAL_ESCAPE.match(self.held, end)
            return not partial and self._goes(None)
        self._at = end
        if not self._settles(ArgumentScanner._after):
            return False
        self._at += 1
        return True
