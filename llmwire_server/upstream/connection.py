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
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from llmwire_server.upstream import Origin, UpstreamFailure

__all__ = ("Connect", "Connection", "client_context", "connect_tcp")

Connect: TypeAlias = Callable[[str, int], Awaitable[ByteStream]]
"""Opens a stream to a host and a port; raises OSError where it cannot."""

_READ_SIZE = 256 * 1024
_JOIN_SIZE = 64 * 1024
_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
"""What a stream raises; `ssl.SSLError` is an OSError."""


async def connect_tcp(host: str, port: int) -> ByteStream:
    """Look a name up and connect, IPv6 and IPv4 in turn (RFC 8305).

    Every loop that anyio runs on sets TCP_NODELAY by itself.
    """
    return await anyio.connect_tcp(host, port)


def client_context(
    *,
    ca_file: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    password: str | None = None,
) -> ssl.SSLContext:
    """How a client verifies its peers, and who it is itself.

    Args:
        ca_file: Trust these certificates (PEM) instead of the system's.
        certificate: The client's own certificate chain (PEM).
        key: Its key, where that is another file.
        password: Of the key.

    Returns:
        A context that verifies chain and host name and offers HTTP/1.1 only.

    Raises:
        OSError: A file cannot be read, or is not what it should be (`ssl.SSLError`).
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    # A stream that ends without close_notify may have been cut by anybody; bodies
    # without a length would then look complete (RFC 9112, 9.8).
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    if certificate is not None:
        context.load_cert_chain(certificate, key, password)
    return context


def _is_readable(sock: socket.socket) -> bool:
    """Whether reading would not wait; asked without waiting."""
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _explain(error: Exception) -> str:
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
        "_socket",
        "_stream",
        "_tls",
        "awaited",
        "deadline",
        "expired",
        "idle_since",
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

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self._forget()

    def _forget(self) -> None:
        self._stream: ByteStream | None = None
        self._socket: socket.socket | None = None
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
        if self._stream is None or self.expired:
            return True
        return self._socket is not None and (
            self._socket.fileno() < 0 or _is_readable(self._socket)
        )

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
                stream = await self._secure(stream, context())
        if scope.cancelled_caught:
            raise UpstreamFailure(
                "connect", f"{self.origin}: not connected within {seconds:g} s"
            )
        self._forget()
        self._stream = stream
        self._socket = stream.extra(SocketAttribute.raw_socket, None)
        self._tls = stream.extra(TLSAttribute.ssl_object, None)

    async def _connect(self, connect: Connect) -> ByteStream:
        try:
            return await connect(self.origin.host, self.origin.port)
        except OSError as error:
            raise UpstreamFailure(
                "connect", f"{self.origin}: {_explain(error)}"
            ) from error

    async def _secure(self, stream: ByteStream, context: ssl.SSLContext) -> ByteStream:
        secured = False
        try:
            tls = await TLSStream.wrap(
                stream, hostname=self.origin.host, ssl_context=context
            )
            secured = True
        except (anyio.EndOfStream, *_BROKEN) as error:
            raise UpstreamFailure("tls", f"{self.origin}: {_explain(error)}") from error
        finally:
            if not secured:
                await anyio.aclose_forcefully(stream)
        return tls

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
        except _BROKEN as error:
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
        except _BROKEN as error:
            raise self._failure() from error
        return data if self._tls is None else _join_records(self._tls, data)

    async def close(self) -> None:
        """Close at once, without a word to the peer; never raises for the socket."""
        stream = self._stream
        if stream is None:
            return
        self._stream = None
        with contextlib.suppress(*_BROKEN):
            if isinstance(stream, TLSStream):
                await stream.transport_stream.aclose()
            else:
                await stream.aclose()

    def _failure(self) -> UpstreamFailure:
        if self.expired:
            return UpstreamFailure("timeout", f"{self.origin}: {self.awaited}")
        return UpstreamFailure("reset", f"{self.origin}: the connection broke")


def _join_records(tls: ssl.SSLObject, data: bytes) -> bytes:
    """Append the TLS records that were received together with the first."""
    pieces = [data]
    size = len(data)
    while size < _JOIN_SIZE:
        try:
            data = tls.read(_JOIN_SIZE)
        except ssl.SSLError:
            break  # Nothing more, or nothing good; the next receive will tell.
        if not data:
            break
        pieces.append(data)
        size += len(data)
    return b"".join(pieces)
