"""Exact periods at the end of a text that comes in pieces.

Knows characters only. A text *ends in period p* over its last n characters if each of
them but the first p equals the one p places before it; n is the *run* of p. A period
repeats once its run is at least `3 * p + ANCHOR`; asked for are the repeating periods
from 1 to `LONGEST`, without the multiples of another.

Theory of operation: the end of the text is kept reversed, so that what is asked about
stands at its front. Where a period p repeats, the front stands once more at place p,
and a search for the front of `ANCHOR` characters finds nothing in ordinary text: one
search for each question. Where it does, the periods are looked for in tiers, from p to
`2 * p + ANCHOR` each, by the front of that length. Two periods of one tier whose runs
are long enough to be found overlap by more than both together, so their greatest common
divisor is a period too (Fine and Wilf, 1965): the first one that is found is the only
one of its tier that is no multiple of another. So each question takes a fixed number of
searches, each over a range of fixed size: exact, and linear in the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ("ANCHOR", "LONGEST", "WINDOW", "Tail")

LONGEST: Final = 2000
"""Longest period that is looked for, in characters."""
ANCHOR: Final = 120
"""What a period must repeat beyond three times, in characters."""
WINDOW: Final = 5 * LONGEST
"""Characters that are kept: runs are known up to this length."""
_RANGE: Final = 2500
"""Places to search at least: CPython searches ranges from here on in linear time."""


def _tiers() -> Iterator[tuple[int, int, int]]:
    """First and last period of each tier, and the length of the front to search."""
    first = 1
    while first <= LONGEST:
        front = 2 * first + ANCHOR
        yield first, min(front, LONGEST), front
        first = front + 1


_TIERS: Final = tuple(_tiers())


class Tail:
    """The end of a text: at most `WINDOW` characters of it."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text = ""

    def grow(self, piece: str) -> None:
        """The text goes on with `piece`."""
        self._text = (piece[::-1] + self._text)[:WINDOW]

    def last(self, length: int) -> str:
        """The last `length` characters, or as many as are kept."""
        return self._text[:length][::-1]

    def repeats(self) -> bool:
        """Whether any period may repeat; False is certain."""
        text = self._text
        return text.find(text[:ANCHOR], 1, _RANGE + ANCHOR) > 0

    def periods(self) -> list[int]:
        """The periods that repeat, shortest first, without multiples of another."""
        found: list[int] = []
        text = self._text
        for first, last, front in _TIERS:
            period = text.find(text[:front], first, _RANGE + first + front)
            if not 0 < period <= last:
                continue
            need = 3 * period + ANCHOR
            repeats = need <= len(text) and text.startswith(text[period:need])
            if repeats and not any(self._is_multiple(period, p) for p in found):
                found.append(period)
        return found

    def run(self, period: int) -> int:
        """How many characters at the end have `period`, as far as they are kept."""
        text = self._text
        known, limit = period, len(text)
        while known < limit:
            middle = (known + limit + 1) // 2
            if text.startswith(text[period:middle]):
                known = middle
            else:
                limit = middle - 1
        return known

    def _is_multiple(self, period: int, other: int) -> bool:
        """Whether `period` is `other` several times over."""
        unit = self._text[:period]
        return period % other == 0 and unit.startswith(unit[other:])
