"""Regular expressions of JSON schemas, matched in linear time.

Python's `re` backtracks: a pattern and a text that its owner does not control can take
it years. Here a pattern becomes states (Thompson, 1968), of which all that are possible
are walked together, so that a text costs one step for each of its characters.

The patterns are those of ECMA-262 in Unicode mode, as JSON Schema asks for, as far as
they are regular: alternatives, groups, quantifiers, classes, `^ $ \\b \\B`.
Look-around, back references and Unicode properties are not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = ("search",)

_LONGEST_PATTERN: Final = 2_000
_LONGEST_TEXT: Final = 1 << 18
_STATES: Final = 4_000
_GROUPS: Final = 50
"""Groups inside each other."""
_STEPS: Final = 4_096
"""Steps that are remembered of one pattern."""

_Ranges: TypeAlias = tuple[tuple[int, int], ...]
_Edge: TypeAlias = Literal["start", "end", "border", "inside"]

_LAST: Final = 0x10FFFF
_DIGIT: Final = ((48, 57),)
_WORD: Final = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Final = (
    (0x9, 0xD),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
)
_LINE_END: Final = ((0xA, 0xA), (0xD, 0xD), (0x2028, 0x2029))
_SETS: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_WORD_LETTERS: Final = frozenset(
    chr(at) for low, high in _WORD for at in range(low, high + 1)
)


class _Unknown(Exception):
    """The pattern is none that is known here."""


class _Letter(NamedTuple):
    """One character out of `ranges`, then state `then`."""

    ranges: _Ranges
    then: int


class _Split(NamedTuple):
    """Any of these states, without a character."""

    then: tuple[int, ...]


class _At(NamedTuple):
    """State `then`, if the place is of this kind."""

    edge: _Edge
    then: int


_State: TypeAlias = _Letter | _Split | _At

_Node: TypeAlias = (
    tuple[Literal["letter"], _Ranges]
    | tuple[Literal["at"], _Edge]
    | tuple[Literal["all"], "tuple[_Node, ...]"]
    | tuple[Literal["any"], "tuple[_Node, ...]"]
    | tuple[Literal["repeat"], "_Node", int, int | None]
)


def search(pattern: str, text: str) -> bool | None:
    """Whether `pattern` matches anywhere in `text`. Never raises.

    None: it cannot be told, because the pattern is not known here or too large (2,000
    characters, 4,000 states), or the text is (262,144 characters).
    """
    automaton = _automaton(pattern) if len(pattern) <= _LONGEST_PATTERN else None
    if automaton is None or len(text) > _LONGEST_TEXT:
        return None
    return automaton.search(text)


@lru_cache(maxsize=64)
def _automaton(pattern: str) -> _Automaton | None:
    try:
        return _Automaton(_Reader(pattern).read())
    except _Unknown:
        return None


def _inverted(ranges: _Ranges) -> _Ranges:
    """Every character that is in none of `ranges`."""
    left: list[tuple[int, int]] = []
    at = 0
    for low, high in sorted(ranges):
        if low > at:
            left.append((at, low - 1))
        at = max(at, high + 1)
    if at <= _LAST:
        left.append((at, _LAST))
    return tuple(left)


class _Reader:
    """Reads a pattern into nodes."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._depth = 0

    def read(self) -> _Node:
        """The whole pattern. Raises `_Unknown`."""
        node = self._alternatives()
        if self._at < len(self._text):
            raise _Unknown
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        letter = self._peek()
        if not letter:
            raise _Unknown
        self._at += 1
        return letter

    def _alternatives(self) -> _Node:
        self._depth += 1
        if self._depth > _GROUPS:
            raise _Unknown
        ways = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            ways.append(self._sequence())
        self._depth -= 1
        return ("any", tuple(ways))

    def _sequence(self) -> _Node:
        nodes: list[_Node] = []
        while self._peek() not in ("", "|", ")"):
            nodes.append(self._quantified(self._atom()))
        return ("all", tuple(nodes))

    def _atom(self) -> _Node:
        letter = self._take()
        if letter == "(":
            return self._group()
        if letter == "[":
            return ("letter", self._class())
        if letter == "\\":
            return self._escape()
        if letter == ".":
            return ("letter", _inverted(_LINE_END))
        if letter in "^$":
            return ("at", "start" if letter == "^" else "end")
        if letter in "*+?{":
            raise _Unknown
        return ("letter", ((ord(letter), ord(letter)),))

    def _group(self) -> _Node:
        if self._peek() == "?":
            self._at += 1
            mark = self._take()
            if mark == "<" and self._peek() not in ("=", "!"):
                while self._take() != ">":
                    pass
            elif mark != ":":
                raise _Unknown
        node = self._alternatives()
        self._take()  # nothing but `)` ends them, and the end of the pattern
        return node

    def _escape(self) -> _Node:
        if self._peek() in ("b", "B"):
            return ("at", "border" if self._take() == "b" else "inside")
        return ("letter", self._escaped())

    def _escaped(self) -> _Ranges:
        """What stands behind a backslash."""
        letter = self._take()
        named = _SETS.get(letter.lower())
        if named is not None:
            return named if letter.islower() else _inverted(named)
        code = ord(letter)
        if letter in _CONTROLS:
            if letter == "0" and self._peek().isdecimal():
                raise _Unknown
            code = _CONTROLS[letter]
        elif letter in "xu":
            code = self._code(letter)
        elif letter.isalnum():
            raise _Unknown
        return ((code, code),)

    def _code(self, letter: str) -> int:
        size = 2 if letter == "x" else 4
        if letter == "u" and self._peek() == "{":
            end = self._text.find("}", self._at)
            digits = self._text[self._at + 1 : max(end, 0)]
            self._at = end + 1
        else:
            digits = self._text[self._at : self._at + size].ljust(size, "-")
            self._at += size
        if not 0 < len(digits) <= 6 or not _HEX.issuperset(digits):
            raise _Unknown
        return int(digits, 16)

    def _class(self) -> _Ranges:
        negative = self._peek() == "^"
        self._at += negative
        ranges: list[tuple[int, int]] = []
        while (letter := self._take()) != "]":
            first = self._class_item(letter)
            ranges += self._class_range(first)
        return _inverted(tuple(ranges)) if negative else tuple(ranges)

    def _class_item(self, letter: str) -> _Ranges:
        if letter != "\\":
            return ((ord(letter), ord(letter)),)
        if self._peek() in ("b", "-"):
            code = 8 if self._take() == "b" else 45
            return ((code, code),)
        return self._escaped()

    def _class_range(self, first: _Ranges) -> _Ranges:
        """`first`, or the range that it begins."""
        ahead = self._text[self._at : self._at + 2]
        if ahead[:1] != "-" or ahead in ("-", "-]"):
            return first
        self._at += 1
        last = self._class_item(self._take())
        if len(first) > 1 or len(last) > 1 or first[0][0] > last[0][1]:
            raise _Unknown
        return ((first[0][0], last[0][1]),)

    def _quantified(self, node: _Node) -> _Node:
        mark = self._peek()
        if mark not in ("*", "+", "?", "{") or not mark:
            return node
        self._at += 1
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(mark) or (
            self._counts()
        )
        if self._peek() == "?":
            self._at += 1
        if node[0] == "at":
            raise _Unknown
        return ("repeat", node, least, most)

    def _counts(self) -> tuple[int, int | None]:
        """`{2}`, `{2,}` or `{2,5}`, behind the brace."""
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at : max(end, self._at)].partition(",")
        self._at = end + 1
        digits = low + high
        if not low or not digits.isdecimal() or not digits.isascii():
            raise _Unknown
        if len(digits) > 12:
            raise _Unknown
        least = int(low)
        most = int(high) if high else (None if comma else least)
        if most is not None and most < least:
            raise _Unknown
        return least, most


class _Automaton:
    """The states of a pattern; state 0 is its end."""

    def __init__(self, node: _Node) -> None:
        self._states: list[_State] = [_Split(())]
        self._start = self._built(node, 0)
        self._steps: dict[tuple[frozenset[int], str, str], frozenset[int] | None] = {}

    def search(self, text: str) -> bool:
        """Whether it matches anywhere in `text`."""
        active = frozenset((self._start,))
        before = ""
        for letter in (*text, ""):
            key = (active, before, letter)
            if key not in self._steps:
                if len(self._steps) >= _STEPS:
                    self._steps.clear()
                self._steps[key] = self._step(active, before, letter)
            following = self._steps[key]
            if following is None:
                return True
            active = following
            before = "a" if letter in _WORD_LETTERS else "-"
        return False

    def _step(
        self, active: frozenset[int], before: str, letter: str
    ) -> frozenset[int] | None:
        """The states behind `letter`, the start among them; None: it has matched."""
        following = {self._start}
        seen = set(active)
        waiting = list(active)
        while waiting:
            at = waiting.pop()
            if at == 0:
                return None
            state = self._states[at]
            then: Sequence[int] = ()
            if isinstance(state, _Letter):
                code = ord(letter) if letter else -1
                if any(low <= code <= high for low, high in state.ranges):
                    following.add(state.then)
            elif isinstance(state, _Split):
                then = state.then
            elif _is_at(state.edge, before, letter):
                then = (state.then,)
            waiting += [each for each in then if each not in seen]
            seen.update(then)
        return frozenset(following)

    def _add(self, state: _State) -> int:
        if len(self._states) >= _STATES:
            raise _Unknown
        self._states.append(state)
        return len(self._states) - 1

    def _built(self, node: _Node, then: int) -> int:
        """The first state of `node`, which goes on at `then`."""
        if node[0] == "letter":
            return self._add(_Letter(node[1], then))
        if node[0] == "at":
            return self._add(_At(node[1], then))
        if node[0] == "all":
            for each in reversed(node[1]):
                then = self._built(each, then)
            return then
        if node[0] == "any":
            return self._add(_Split(tuple(self._built(n, then) for n in node[1])))
        return self._repeated(node[1], node[2], node[3], then)

    def _repeated(self, node: _Node, least: int, most: int | None, then: int) -> int:
        first = then
        if most is None:
            first = self._add(_Split(()))
            self._states[first] = _Split((self._built(node, first), then))
        else:
            for _ in range(most - least):
                first = self._add(_Split((self._built(node, first), then)))
        for _ in range(least):
            first = self._built(node, first)
        return first


def _is_at(edge: _Edge, before: str, letter: str) -> bool:
    """Whether the place between `before` and `letter` (empty: none) is an `edge`."""
    if edge == "start":
        return not before
    if edge == "end":
        return not letter
    border = (before == "a") != (letter in _WORD_LETTERS)
    return border == (edge == "border")
