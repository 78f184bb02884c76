"""A TCP connection whose bytes are had without waiting once they have come.

Knows asyncio's transports, and nothing of TLS, of HTTP or of pools. anyio looks names
up and connects; then a `TCPStream` takes the place of anyio's protocol at the transport
(`adopt`), for anyio's stream goes through the event loop at every call, and starts and
stops reading around each.

Rules:
    - A cancelled `receive` loses nothing: what came stays until it is returned.
    - Only a `receive` that finds nothing suspends. It takes all that has come, so that
      whoever receives in a loop lets the event loop run before there can be more.
    - Reading goes on while nobody receives, until `_READ_AHEAD` bytes have come. So
      the event loop sees what an idle peer does: `silent` tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import anyio
from anyio.abc import ByteStream

from llmwire_server.gathering import gathering

__all__ = ("TCPStream", "adopt")

_READ_AHEAD = 256 * 1024
"""Bytes that may wait to be received; no more are read until they were."""
_WRITE_BEHIND = 64 * 1024
"""Bytes that may wait for the system to take them, without whoever sends waiting too:
a loop may then hand over what many connections send at once, and wakes each peer but
once for it."""


def adopt(stream: ByteStream) -> ByteStream:
    """Take an open stream of anyio over, if it is one of asyncio's sockets.

    Args:
        stream: As `anyio.connect_tcp` gives it; not to be used any more.

    Returns:
        A `TCPStream`; or `stream` itself where another backend runs, where anyio keeps
        its transport elsewhere, or where something has come already.
    """
    transport: Any = getattr(stream, "_transport", None)
    protocol: Any = getattr(stream, "_protocol", None)
    if not hasattr(transport, "set_protocol") or transport.is_closing():
        return stream
    if getattr(protocol, "is_at_eof", True) or getattr(protocol, "read_queue", True):
        return stream
    return TCPStream(transport, stream.extra_attributes)


class TCPStream(ByteStream, asyncio.Protocol):
    """Both ends of it: anyio's stream to its user, asyncio's protocol to the transport.

    Args:
        transport: Connected; not closing.
        attributes: What anyio tells of the socket.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        attributes: Mapping[Any, Callable[[], Any]],
    ) -> None:
        self._attributes = attributes
        self._make_future = asyncio.get_running_loop().create_future
        self._chunks: list[bytes] = []
        self._size = 0
        self._came: asyncio.Future[None] | None = None
        self._taken: asyncio.Future[None] | None = None
        self._reading = True
        self._writable = True
        self._ended = False
        self._closed = False
        self._error: Exception | None = None
        self._transport = transport
        self._is_closing = transport.is_closing
        self._gathering = gathering()
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=_WRITE_BEHIND)
        transport.resume_reading()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """What anyio tells of the socket."""
        return self._attributes

    @property
    def silent(self) -> bool:
        """Open, and nothing has come that was not received, not the end either."""
        return not (self._chunks or self._ended or self._is_closing())

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """All that has come, up to `max_bytes`; waits while that is nothing.

        Raises:
            EndOfStream: The peer has closed its side in good order.
            BrokenResourceError: The connection broke.
            ClosedResourceError: It was closed by this side.
            BusyResourceError: Another task waits here already.
        """
        chunks = self._chunks
        while not chunks:
            if self._ended and not self._closed:
                raise anyio.EndOfStream
            if self._is_closing():
                raise self._failure()
            if self._came is not None and not self._came.done():
                raise anyio.BusyResourceError("reading from")
            self._came = self._make_future()
            await self._came
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        if len(data) > max_bytes:
            chunks.append(data[max_bytes:])
            data = data[:max_bytes]
        self._size -= len(data)
        if not self._reading and self._size < _READ_AHEAD and not self._is_closing():
            self._reading = True
            self._transport.resume_reading()
        return data

    def hand_over(self, *pieces: bytes) -> bool:
        """Write without waiting, however much that is.

        Returns:
            At most `_WRITE_BEHIND` bytes are not taken now: nothing needs to be waited
            for.

        Raises:
            BrokenResourceError: The connection broke.
            ClosedResourceError: It was closed by this side.
        """
        if self._is_closing():
            raise self._failure()
        for piece in pieces:
            self._gathering.write(self._transport, piece)
        return self._writable

    async def send(self, item: bytes) -> None:
        """Write; waits while more than `_WRITE_BEHIND` bytes are not taken.

        Raises:
            BrokenResourceError: The connection broke.
            ClosedResourceError: It was closed by this side.
            BusyResourceError: Another task waits here already.
        """
        if not self._writable:  # What a cancelled call has left.
            await self.until_taken()
        if not self.hand_over(item):
            await self.until_taken()

    async def until_taken(self) -> None:
        """Wait while more than `_WRITE_BEHIND` bytes are not taken.

        Raises:
            BrokenResourceError: The connection broke.
            ClosedResourceError: It was closed by this side.
            BusyResourceError: Another task waits here already.
        """
        if self._is_closing():
            raise self._failure()
        if self._writable:
            return
        if self._taken is not None and not self._taken.done():
            raise anyio.BusyResourceError("writing to")
        self._taken = self._make_future()
        await self._taken
        if self._is_closing():
            raise self._failure()

    async def send_eof(self) -> None:
        """Close this side in good order."""
        self._gathering.flush()
        self._transport.write_eof()

    async def aclose(self) -> None:
        """Close at once; what was not taken by the system is thrown away."""
        self._closed = True
        self._transport.abort()

    def _failure(self) -> Exception:
        if self._closed:
            return anyio.ClosedResourceError()
        failure = anyio.BrokenResourceError()
        failure.__cause__ = self._error
        return failure

    def _wake(self, *waiting: asyncio.Future[None] | None) -> None:
        for future in waiting:
            if future is not None and not future.done():
                future.set_result(None)

    # --- What the transport tells --------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Keep it for `receive`."""
        self._chunks.append(bytes(data))
        self._size += len(data)
        if self._size >= _READ_AHEAD and self._reading:
            self._reading = False
            self._transport.pause_reading()
        came = self._came
        if came is not None and not came.done():
            came.set_result(None)

    def eof_received(self) -> bool:
        """Remember it; this side stays open."""
        self._ended = True
        self._wake(self._came)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self._error = exc
        self._wake(self._came, self._taken)

    def pause_writing(self) -> None:
        """Too much of it waits for the system."""
        self._writable = False

    def resume_writing(self) -> None:
        """The system has taken most of it."""
        self._writable = True
        self._wake(self._taken)
