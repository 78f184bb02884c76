"""A streamed JSON array cut into its objects, whatever the chunks of bytes are.

Without `alt=sse` Google streams one array, `[{…}` `,` `{…}` `]`, in which every object
is what a server-sent event would hold. Each becomes a `Frame` with the object as its
data. A lone object, or several without an array around them, are read the same way.

Rules:

1. Every byte lies in the `raw` of exactly one frame: brackets, commas and white space
   go with the object that follows, what is left at the end with a frame of its own.
2. What stands between objects and is none of these is that frame's `stray`.
3. An object that the input breaks off is returned by `receive_eof`, not `complete`.

Theory of operation: only braces outside strings matter. A regular expression walks from
one to the next over whole strings, and what must be known at the border of two chunks
is how deep it is, whether a string is open and whether its last byte was a backslash.
So each byte is looked at once, and copied twice at most.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from llmwire.errors import LimitExceeded, LocalProtocolError
from llmwire.limits import Limits
from llmwire.sse import Frame

_BETWEEN: Final = b" \t\r\n,[]"
_BOM: Final = b"\xef\xbb\xbf"
_STEP = re.compile(rb'[^"{}]*+(?:"(?:[^"\\]|\\.)*+"[^"{}]*+)*+([{}"])?', re.DOTALL)
"""Up to the next brace that stands in no string, or to a string that stays open."""
_STRING = re.compile(rb'(?:[^"\\]|\\.)*+', re.DOTALL)
"""The inside of a string, but for a backslash that ends the input."""


class ArrayDecoder:
    """Cuts the bytes of a JSON array into frames.

    Args:
        limit: Bytes that one object, with what stands before it, may have.
    """

    __slots__ = ("_closed", "_dead", "_depth", "_escaped", "_held", "_limit", "_quoted")

    def __init__(self, *, limit: int = Limits().frame) -> None:
        self._limit = limit
        self._held = bytearray()
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self._dead = False
        self._closed = False

    @property
    def buffered(self) -> int:
        """Bytes held for an object that has not ended yet."""
        return len(self._held)

    def receive_data(self, chunk: bytes) -> list[Frame]:
        """Take the next bytes and return the frames that they end.

        Raises:
            LimitExceeded: An object has more bytes than the limit, here or earlier.
            LocalProtocolError: The end of the input was received before.
        """
        if self._dead:
            self._refuse()
        if self._closed:
            raise LocalProtocolError("data was received after the end of the input")
        frames: list[Frame] = []
        start = 0
        for end in self._ends(chunk):
            if len(self._held) + end - start > self._limit:
                self._dead = True
                break
            raw = (
                bytes(self._held) + chunk[start:end] if self._held else chunk[start:end]
            )
            self._held.clear()
            frames.append(_frame(raw))
            start = end
        else:
            self._held += chunk[start:]
            self._dead = len(self._held) > self._limit
        if self._dead and not frames:
            self._refuse()
        return frames

    def receive_eof(self) -> list[Frame]:
        """Take the end of the input; a second call does nothing.

        Raises:
            LimitExceeded: An object has more bytes than the limit.
        """
        if self._dead:
            self._refuse()
        self._closed = True
        raw = bytes(self._held)
        self._held.clear()
        if not raw:
            return []
        rest = raw.removeprefix(_BOM).strip(_BETWEEN)
        if not rest:
            return [Frame(None, raw)]
        at = rest.find(b"{")
        if at < 0:
            return [Frame(None, raw, stray=(rest,), complete=False)]
        before = rest[:at].strip(_BETWEEN)
        stray = (before,) if before else ()
        return [Frame(rest[at:], raw, stray=stray, complete=False)]

    def _ends(self, chunk: bytes) -> list[int]:
        """Where in `chunk` objects end, behind their closing brace."""
        ends: list[int] = []
        at, size = 0, len(chunk)
        if self._escaped and size:
            self._escaped = False
            at = 1
        while at < size:
            if self._quoted:
                at = self._inside(chunk, at)
                continue
            match = _STEP.match(chunk, at)
            assert match is not None  # every part of the pattern may be empty
            at = match.end()
            brace = match[1]
            if brace == b"{":
                self._depth += 1
            elif brace == b"}":
                if self._depth == 1:
                    ends.append(at)
                self._depth = max(self._depth - 1, 0)
            elif brace == b'"':
                self._quoted = True
        return ends

    def _inside(self, chunk: bytes, at: int) -> int:
        """Go to the end of the open string, or of `chunk`."""
        match = _STRING.match(chunk, at)
        assert match is not None  # the pattern may be empty
        end = match.end()
        if chunk.startswith(b'"', end):
            self._quoted = False
            return end + 1
        self._escaped = end < len(chunk)  # a backslash without what it escapes
        return len(chunk)

    def _refuse(self) -> NoReturn:
        self._dead = True
        self._held.clear()
        raise LimitExceeded(
            f"found an object of more than {self._limit} bytes, the limit"
        )


def _frame(raw: bytes) -> Frame:
    at = raw.index(b"{")
    if not raw[:at].strip(_BETWEEN):
        return Frame(raw[at:], raw)
    before = raw[:at].removeprefix(_BOM).strip(_BETWEEN)
    return Frame(raw[at:], raw, stray=(before,) if before else ())
