"""One connection to one origin: opening it, bytes out, bytes in, liveness.

Knows sockets and TLS, by way of anyio, and nothing of HTTP or of other connections.
Whatever can go wrong on a socket leaves this module as an `UpstreamFailure`.

Theory of operation: time limits are not cancel scopes, which would cost more than the
reading of a chunk does. The one who waits writes down until when (`deadline`) and for
what (`awaited`); whoever watches over all connections marks one that is late as
`expired` and closes it, and the waiting call then tells a timeout from a reset.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias

import anyio
from anyio.abc import AnyByteStream, ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from llmwire_server.upstream import Origin, UpstreamFailure
from llmwire_server.upstream.tcp import TCPStream, adopt
from llmwire_server.upstream.tls import join_records, keep_session, shake_hands

__all__ = ("BROKEN", "Connect", "Connection", "Rest", "connect_tcp", "explain")

Connect: TypeAlias = Callable[[str, int], Awaitable[ByteStream]]
"""Opens a stream to a host and a port; raises OSError where it cannot."""

Rest: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Waits until all that was handed over is taken."""

_READ_SIZE = 256 * 1024
BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
"""What a stream raises; `ssl.SSLError` is an OSError."""


async def connect_tcp(host: str, port: int) -> ByteStream:
    """Look a name up and connect, IPv6 and IPv4 in turn (RFC 8305).

    Gives a `TCPStream` where one can be had, else a stream of anyio's. Every loop that
    anyio runs on sets TCP_NODELAY by itself.
    """
    return adopt(await anyio.connect_tcp(host, port))


def _make_probe(sock: socket.socket) -> Callable[[], bool]:
    """What tells whether reading would not wait, without waiting."""
    if not hasattr(select, "poll"):
        return lambda: bool(select.select([sock], [], [], 0)[0])
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    poll = poller.poll
    return lambda: bool(poll(0))


def _lowest(stream: AnyByteStream) -> AnyByteStream:
    """The stream of the socket, below all TLS."""
    while isinstance(stream, TLSStream):
        stream = stream.transport_stream
    return stream


def _is_silent(stream: AnyByteStream) -> bool:
    """Whether nothing was taken from the socket that nobody has received.

    It would have come in the same turn of the loop as what was received last. anyio has
    no public way to ask; where it keeps such bytes otherwise, they are not noticed.
    """
    if isinstance(stream, TCPStream):
        return stream.silent
    return not getattr(getattr(stream, "_protocol", None), "read_queue", None)


def _holds_record(tls: ssl.SSLObject | None) -> bool:
    """Whether a TLS record was received that nobody has read, or the end."""
    if tls is None:
        return False
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        return True
    return True


def explain(error: BaseException) -> str:
    """What the system says about a failed connection, without addresses."""
    while isinstance(error.__cause__, OSError):
        error = error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "handshake failed").replace("_", " ").lower()
    if isinstance(error, socket.gaierror):
        return error.strerror or "name lookup failed"
    if isinstance(error, OSError):
        return os.strerror(error.errno) if error.errno else "no address answered"
    return "broken off by the peer"


class Connection:
    """A place for a connection to `origin`; open or not.

    Args:
        origin: Whom it leads to, for good.
    """

    __slots__ = (
        "_is_readable",
        "_lowest",
        "_socket",
        "_stream",
        "_tls",
        "awaited",
        "deadline",
        "expired",
        "idle_since",
        "opened_at",
        "origin",
    )

    origin: Origin
    """Whom it leads to."""
    deadline: float
    """Until when what is awaited must have come, on the pool's clock."""
    awaited: str
    """What is waited for, in words."""
    expired: bool
    """The deadline passed and it was closed for that."""
    idle_since: float
    """Since when nobody uses it; only meaningful while it is idle."""
    opened_at: float
    """Since when it is open, on the pool's clock; set by whoever opens it."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.opened_at = 0.0
        self._forget()

    def _forget(self) -> None:
        self._stream: ByteStream | None = None
        self._lowest: AnyByteStream | None = None
        self._socket: socket.socket | None = None
        self._is_readable: Callable[[], bool] = bool
        self._tls: ssl.SSLObject | None = None
        self.deadline = math.inf
        self.awaited = ""
        self.expired = False

    @property
    def opened(self) -> bool:
        """`open` has succeeded and `close` was not called since."""
        return self._stream is not None

    @property
    def dead(self) -> bool:
        """An idle connection on which something came: bytes unasked, or the end."""
        lowest = self._lowest
        if lowest is None or self.expired:
            return True
        if self._socket is None:
            return False
        if self._socket.fileno() < 0 or not _is_silent(lowest):
            return True
        # The event loop may not have come round to what is at the socket.
        return self._is_readable() or _holds_record(self._tls)

    async def open(
        self,
        seconds: float,
        context: Callable[[], ssl.SSLContext],
        connect: Connect = connect_tcp,
    ) -> None:
        """Connect, and for `https` shake hands.

        Args:
            seconds: For all of it.
            context: Gives the TLS context where one is needed.
            connect: Opens the stream.

        Raises:
            UpstreamFailure: Of kind `connect` or `tls`.
        """
        with anyio.move_on_after(seconds) as scope:
            stream = await self._connect(connect)
            if self.origin.scheme == "https":
                stream = await self._secure(stream, self.origin.host, context())
        if scope.cancelled_caught:
            raise UpstreamFailure(
                "connect", f"{self.origin}: not connected within {seconds:g} s"
            )
        self._adopt(stream)

    async def start_tls(self, hostname: str, context: ssl.SSLContext) -> None:
        """Shake hands with whom an open connection has been led on to.

        Args:
            hostname: Who it must be.
            context: How that is verified.

        Raises:
            UpstreamFailure: Of kind `tls`; the connection is closed then, as it is
                when this is cancelled.
        """
        stream, self._stream, self._lowest = self._stream, None, None
        assert stream is not None
        self._adopt(await self._secure(stream, hostname, context))

    def _adopt(self, stream: ByteStream) -> None:
        self._forget()
        self._stream = stream
        self._lowest = _lowest(stream)
        self._socket = stream.extra(SocketAttribute.raw_socket, None)
        if self._socket is not None:
            self._is_readable = _make_probe(self._socket)
        self._tls = stream.extra(TLSAttribute.ssl_object, None)

    async def _connect(self, connect: Connect) -> ByteStream:
        try:
            return await connect(self.origin.host, self.origin.port)
        except OSError as error:
            raise UpstreamFailure(
                "connect", f"{self.origin}: {explain(error)}"
            ) from error

    async def _secure(
        self, stream: ByteStream, hostname: str, context: ssl.SSLContext
    ) -> ByteStream:
        try:
            return await shake_hands(stream, hostname, context)
        except (anyio.EndOfStream, *BROKEN) as error:
            raise UpstreamFailure("tls", f"{self.origin}: {explain(error)}") from error

    def hand_over(self, *pieces: bytes) -> Rest | None:
        """Hand bytes to the network, without waiting where that can be.

        Returns:
            What waits until it has taken them all, and raises as `send` does; None: it
            has.

        Raises:
            UpstreamFailure: As `send` does.
        """
        stream = self._stream
        if type(stream) is not TCPStream:
            return partial(self.send, *pieces)
        try:
            taken = stream.hand_over(*pieces)
        except BROKEN as error:
            raise self._failure() from error
        return None if taken else partial(self._until_taken, stream)

    async def _until_taken(self, stream: TCPStream) -> None:
        try:
            await stream.until_taken()
        except BROKEN as error:
            raise self._failure() from error

    async def send(self, *pieces: bytes) -> None:
        """Hand bytes to the network, waiting until it has taken them all.

        Raises:
            UpstreamFailure: Of kind `reset`, or `timeout` if closed for being late.
        """
        if self._stream is None:
            raise self._failure()
        try:
            for piece in pieces:
                await self._stream.send(piece)
        except BROKEN as error:
            raise self._failure() from error

    async def receive(self) -> bytes:
        """Wait for bytes; those that have already come are given as one.

        Returns:
            At least one byte, or `b""` if the peer closed in good order.

        Raises:
            UpstreamFailure: Of kind `reset`, or `timeout` if closed for being late.
        """
        if self._stream is None:
            raise self._failure()
        try:
            data = await self._stream.receive(_READ_SIZE)
        except anyio.EndOfStream:
            return b""
        except BROKEN as error:
            raise self._failure() from error
        return data if self._tls is None else join_records(self._tls, data)

    def keep_session(self) -> None:
        """Remember the TLS session, if there is one, for connections to come."""
        if self._tls is not None:
            keep_session(self._tls)

    async def close(self) -> None:
        """Close at once, without a word to the peer; never raises for the socket."""
        lowest = self._lowest
        if lowest is None:
            return
        self._stream = self._lowest = None
        with contextlib.suppress(*BROKEN):
            await lowest.aclose()

    def _failure(self) -> UpstreamFailure:
        if self.expired:
            return UpstreamFailure("timeout", f"{self.origin}: {self.awaited}")
        return UpstreamFailure("reset", f"{self.origin}: the connection broke")
