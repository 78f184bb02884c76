"""Places in a text, counted in bytes of UTF-8 and in characters.

Gemini counts bytes, everybody else characters. A text may be cited in a thousand
places, so that no place may cost what the text before it does: one count for every
block of the text is kept.
"""

from __future__ import annotations

from itertools import accumulate

__all__ = ("Offsets",)

_BLOCK = 1024
_FOLLOWING = bytes(range(0x80, 0xC0))
"""The bytes that do not begin a character."""


class Offsets:
    """Both counts of one text; a lone surrogate is one byte."""

    __slots__ = ("_ascii", "_before", "_octets", "_sizes", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._ascii = text.isascii()
        self._octets = b"" if self._ascii else text.encode("utf-8", "replace")
        self._before: list[int] = []
        self._sizes: list[int] = []

    def characters(self, start: int, end: int) -> tuple[int, int] | None:
        """The characters that lie whole within these bytes; None: there are no such."""
        if self._ascii:
            return (start, end) if 0 <= start <= end <= len(self._text) else None
        if not 0 <= start <= end <= len(self._octets):
            return None
        before, cut = self._begun(start)
        until, torn = self._begun(end)
        first = before - cut
        return first, max(first, until - torn - cut)

    def _begun(self, at: int) -> tuple[int, int]:
        """Characters that begin before byte `at`; 1 if the last goes on there."""
        octets = self._octets
        if not self._before:
            blocks = range(0, len(octets), _BLOCK)
            counts = (_beginnings(octets[b : b + _BLOCK]) for b in blocks)
            self._before = [0, *accumulate(counts)]
        block = at // _BLOCK
        begun = self._before[block] + _beginnings(octets[block * _BLOCK : at])
        return begun, int(octets[at : at + 1] in _CONTINUES)

    def bytes(self, at: int) -> int:
        """The bytes before character `at`."""
        if self._ascii:
            return at
        text = self._text
        if not self._sizes:
            blocks = range(0, len(text), _BLOCK)
            sizes = (len(_encoded(text[b : b + _BLOCK])) for b in blocks)
            self._sizes = [0, *accumulate(sizes)]
        block = at // _BLOCK
        return self._sizes[block] + len(_encoded(text[block * _BLOCK : at]))


_CONTINUES = frozenset(_FOLLOWING[at : at + 1] for at in range(len(_FOLLOWING)))


def _beginnings(octets: bytes) -> int:
    return len(octets.translate(None, _FOLLOWING))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")
