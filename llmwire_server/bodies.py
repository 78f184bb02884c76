"""The client's body: read within its limits, and inflated as it comes.

Knows ASGI messages, the clock of the running loop and two content codings. What is
refused is refused as early as it can be: a length that is announced and too large, or a
coding that is not known, before anything is read; a body that grows when it is inflated
as soon as it is over the limit, so that no more than the limit is ever held.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from llmwire.http import Headers
from llmwire.messages import ErrorKind
from llmwire_server.client import Receive

__all__ = ("ACCEPTED", "BodyRefused", "inflater", "read_body")

ACCEPTED: Final = "gzip, deflate"
"""Content codings of requests that are undone (RFC 9110, 8.4.1)."""
_LAYERS: Final = 4
"""Codings that one body may have, one inside the other."""
_MEMBERS: Final = 1024
"""Members of one gzip file."""
_LENGTH: Final = re.compile(r"[0-9]{1,19}\Z")

Inflate: TypeAlias = Callable[[bytes, int], bytes]


class BodyRefused(Exception):
    """The body is not taken, and how to say so.

    Args:
        status: HTTP status that says so.
        kind: What is wrong.
        message: The same for people; nothing of the body is in it.
        headers: What the answer must say besides.
    """

    def __init__(
        self, status: int, kind: ErrorKind, message: str, headers: Headers = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = headers


def _too_large(limit: int) -> BodyRefused:
    return BodyRefused(413, "too_large", f"the request is larger than {limit} bytes")


def _broken() -> BodyRefused:
    message = "the body is not what its content-encoding says"
    return BodyRefused(400, "invalid_request", message)


class Inflater(Protocol):
    """Undoes one coding, a piece at a time."""

    def receive(self, data: bytes) -> bytes:
        """What `data` inflates to; raises `BodyRefused`."""

    def end(self) -> None:
        """There is no more; raises `BodyRefused` where there should be."""


class _Gzip:
    """RFC 1952: one member after the other."""

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit
        self._members = 0
        self._stream: zlib._Decompress | None = None

    def receive(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        while data:
            if self._stream is None:
                self._members += 1
                if self._members > _MEMBERS:
                    raise _broken()
                self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
            piece = _inflated(self._stream, data, self._left)
            self._left -= len(piece)
            if self._left < 0:
                raise _too_large(self._limit)
            pieces.append(piece)
            data = b""
            if self._stream.eof:
                data = self._stream.unused_data
                self._stream = None
        return b"".join(pieces)

    def end(self) -> None:
        if self._stream is not None or not self._members:
            raise _broken()


class _Deflate:
    """RFC 1950, or RFC 1951 alone, which many clients send under the same name."""

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit
        self._begun = b""
        self._stream: zlib._Decompress | None = None

    def receive(self, data: bytes) -> bytes:
        if self._stream is None:
            data = self._begun = self._begun + data
            if len(data) < 2:
                return b""
            wrapped = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            bits = zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS
            self._stream = zlib.decompressobj(bits)
        if self._stream.eof:
            raise _broken()
        piece = _inflated(self._stream, data, self._left)
        self._left -= len(piece)
        if self._left < 0:
            raise _too_large(self._limit)
        if self._stream.unused_data:
            raise _broken()
        return piece

    def end(self) -> None:
        if self._stream is None or not self._stream.eof:
            raise _broken()


def _inflated(stream: zlib._Decompress, data: bytes, left: int) -> bytes:
    """What `data` inflates to, but no more than one byte over `left`."""
    try:
        return stream.decompress(data, left + 1)
    except zlib.error:
        raise _broken() from None


class _Layers:
    """Several codings, the last one undone first."""

    def __init__(self, layers: tuple[Inflater, ...]) -> None:
        self._layers = layers

    def receive(self, data: bytes) -> bytes:
        for layer in self._layers:
            if not data:
                break
            data = layer.receive(data)
        return data

    def end(self) -> None:
        for layer in self._layers:
            layer.end()


_CODINGS: Final[dict[str, Callable[[int], Inflater]]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
}


def inflater(coding: str, limit: int) -> Inflater | None:
    """What undoes a body's content codings; None: there are none.

    Args:
        coding: Value of the header `content-encoding`.
        limit: Bytes that any layer may inflate to.

    Raises:
        BodyRefused: With status 415: one of them is not known.
    """
    names = [name.strip().lower() for name in coding.split(",")]
    names = [name for name in names if name and name != "identity"]
    if not names:
        return None
    unknown = next((name for name in names if name not in _CODINGS), None)
    if unknown is not None or len(names) > _LAYERS:
        raise BodyRefused(
            415,
            "invalid_request",
            f"this content-encoding is not known; {ACCEPTED} are",
            (("accept-encoding", ACCEPTED),),
        )
    return _Layers(tuple(_CODINGS[name](limit) for name in reversed(names)))


async def read_body(
    receive: Receive,
    limit: int,
    *,
    length: str | None = None,
    coding: str | None = None,
    seconds: float = 0.0,
    there: Callable[[], bytes | None] = lambda: None,
) -> bytes | None:
    """The client's whole body, inflated.

    Args:
        receive: The client's ASGI messages.
        limit: Bytes that it may have, as it was sent and once it is inflated.
        length: Value of the header `content-length`.
        coding: Value of the header `content-encoding`.
        seconds: For all of it to come; 0 is no limit.
        there: Gives all of it where it has come already.

    Returns:
        The body; None: the client left before its end.

    Raises:
        BodyRefused: It is too large (413) or too slow (408), its coding is not known
            (415), or it is not what that says (400).
    """
    if length is not None:
        if not _LENGTH.match(length):
            message = "content-length is no number"
            raise BodyRefused(400, "invalid_request", message)
        if int(length) > limit:
            raise _too_large(limit)
    undo = None if coding is None else inflater(coding, limit)
    body = there()
    if body is not None:
        if len(body) > limit:
            raise _too_large(limit)
        return body if undo is None else _inflate(body, undo)
    if not seconds:
        return await _read(receive, limit, undo)
    task = asyncio.current_task()
    assert task is not None
    late = False

    def expire() -> None:
        nonlocal late
        late = True
        task.cancel()

    # By hand, because `asyncio.timeout` costs five times as much.
    timer = task.get_loop().call_later(seconds, expire)
    try:
        return await _read(receive, limit, undo)
    except asyncio.CancelledError:
        if not late or task.uncancel() > 0:
            raise
    finally:
        timer.cancel()
    message = f"the request did not come to its end within {seconds:g} s"
    raise BodyRefused(408, "timeout", message, (("connection", "close"),))


def _inflate(body: bytes, undo: Inflater) -> bytes:
    inflated = undo.receive(body)
    if body:
        undo.end()
    return inflated


async def _read(receive: Receive, limit: int, undo: Inflater | None) -> bytes | None:
    pieces: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece if undo is None else undo.receive(piece))
    if undo is not None and size:
        undo.end()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
