"""The shape of the frames in which one block grows, learned from one of them.

Such frames differ in a single text. A `Shape` holds the bytes around it: a frame of the
same bytes needs no decoding, and says just what decoding it would.
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import MsgspecError
from msgspec.json import Decoder

_GROWS: Final = re.compile(rb'"(?:text|thinking|partial_json)"\s*:\s*"')
_STRING: Final = re.compile(rb'(?:[^"\\]|\\.)*', re.DOTALL)
_TEXT: Final = Decoder(str)


class Shape:
    """The bytes around the text of a delta, and what such a delta is.

    Args:
        head: Before the text, up to its quotation mark.
        tail: Behind the text, from its quotation mark on.
        kind: The event that the text makes.
        index: Of the part that grows.
    """

    __slots__ = ("_behind", "_head", "_start", "_tail", "index", "kind")

    def __init__(self, head: bytes, tail: bytes, kind: type[Any], index: int) -> None:
        self._head, self._tail = head, tail
        self._start = len(head) - 1
        self._behind = len(tail) - 1
        self.kind = kind
        self.index = index

    def read(self, data: bytes) -> str | None:
        """The text of a frame of this shape, None for every other."""
        if not (data.startswith(self._head) and data.endswith(self._tail)):
            return None
        stop = len(data) - self._behind
        try:
            return _TEXT.decode(data[self._start : stop])
        except (MsgspecError, UnicodeError):
            return None


def learned(data: bytes, text: str, kind: type[Any], index: int) -> Shape | None:
    """The shape of a delta without strangers, None where it is not certain.

    Args:
        data: The frame's JSON.
        text: What it said.
        kind: The event that it made.
        index: Of the part that grew.
    """
    found = _GROWS.search(data)
    if found is None:
        return None
    start = found.end()
    stop = _STRING.match(data, start).end()  # type: ignore[union-attr]  # matches always
    head, tail = data[:start], data[stop:]
    if b"\\" in head or b"\\" in tail or _GROWS.search(tail):
        return None
    shape = Shape(head, tail, kind, index)
    return shape if shape.read(data) == text else None
