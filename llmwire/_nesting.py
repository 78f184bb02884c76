"""How deeply JSON is nested, told without reading it, or from what was read."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

from msgspec import Raw

from llmwire.errors import LimitExceeded

_TYPED: Final = 16
"""Levels that wire types have at most above a value that they leave raw."""
_LONG: Final = 1 << 18
"""Bytes of a document beyond which searching is quicker than counting."""
_NO_OPENING: Final = bytes(set(range(256)) - set(b"[{"))
_NO_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_PASSES: Final = 10
"""Levels that are taken off the whole document, which most documents do not have;
beyond them counting is quicker, whose time the depth does not change."""
_STEPS: Final = {ord("["): 1, ord("]"): -1}
_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
_QUOTED: Final = re.compile(rb'"[^"]*"')


def check_nesting(data: bytes, limit: int, path: str = "$") -> None:
    """Refuse JSON with more than `limit` levels of arrays and objects.

    What is no JSON passes: reading it says so.

    Raises:
        LimitExceeded: It is nested too deeply.
    """
    if len(data) > _LONG and _has_few_openings(data, limit):
        return
    if len(data.translate(None, _NO_OPENING)) <= limit:
        return
    plain = _ESCAPED.sub(b"", data) if b"\\" in data else data
    # Strings without brackets are empty now, and vanish with the borders between
    # neighbouring strings, which leaves what stands in them inside quotes.
    left = plain.translate(_SQUARE, _NO_STRUCTURE).replace(b'""', b"")
    left = _QUOTED.sub(b"", left) if b'"' in left else left
    levels = min(limit, _PASSES)
    for _ in range(levels):
        size = len(left)
        left = left.replace(b"[]", b"")
        if len(left) == size:
            return
    if left and levels + _depth(left) > limit:
        raise LimitExceeded(
            f"more than {limit} levels of nesting", path=path, status=400
        )


class Nesting:
    """The nesting of one document that closed types have read.

    Such types nest no deeper than they are written; only what they leave raw may. So
    the document is looked at as a whole, once, where a raw value may nest deeply.
    """

    __slots__ = ("_data", "_levels", "_limit", "_seen", "short")

    def __init__(self, data: bytes, limit: int) -> None:
        self._data = data
        self._limit = limit
        self._levels = limit - _TYPED
        self._seen = False
        self.short = 2 * self._levels
        """Bytes of a raw value that has no room for too many levels."""
        if self._levels < 0:
            self.check()

    def check(self) -> None:
        """Look at the document. Raises like `check_nesting`."""
        if not self._seen:
            self._seen = True
            check_nesting(self._data, self._limit)

    def check_raw(self, value: object) -> None:
        """Look at the document if `value` is raw and may nest deeply. Raises so."""
        if type(value) is not Raw or len(value) <= self.short:
            return
        if len(bytes(value).translate(None, _NO_OPENING)) > self._levels:
            self.check()


def _depth(brackets: bytes) -> int:
    """The most brackets that are open at once."""
    steps = map(_STEPS.__getitem__, brackets.replace(b'"', b""))
    return max(accumulate(steps), default=0)


def _has_few_openings(data: bytes, limit: int) -> bool:
    """Whether at most `limit` arrays and objects open: quick where there are few."""
    found = 0
    for mark in (b"[", b"{"):
        at = data.find(mark)
        while at >= 0:
            found += 1
            if found > limit:
                return False
            at = data.find(mark, at + 1)
    return True
