"""How deeply JSON is nested, told without reading it."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

from llmwire.errors import LimitExceeded

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
    if not may_be_nested(data, limit):
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


def may_be_nested(data: bytes, levels: int) -> bool:
    """Whether so many arrays and objects open that there may be more than `levels`."""
    if len(data) > _LONG and _has_few_openings(data, levels):
        return False
    return len(data.translate(None, _NO_OPENING)) > levels


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
