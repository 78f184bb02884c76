"""A server on the loopback interface for tests: one function plays the peer.

It speaks only as much HTTP as it takes to read a request; what it sends is up to the
play, byte for byte.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener, TLSStream
from msgspec import Struct

from llmwire_server.upstream import UpstreamFailure, UpstreamRequest
from llmwire_server.upstream.memory import Script

ENDED = (
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    OSError,
)


class Received(Struct, frozen=True):
    """A request as it came over the wire."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


class Peer:
    """The server's side of one connection."""

    def __init__(self, stream: ByteStream, number: int) -> None:
        self.stream = stream
        self.number = number
        """0 for the first connection that was accepted, and so on."""
        self._buffer = b""

    async def read_head(self) -> Received:
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += await self.stream.receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        pairs = [field.split(": ", 1) for field in lines]
        return Received(line, tuple((name, value) for name, value in pairs), b"")

    async def read(self) -> Received:
        received = await self.read_head()
        length = int(received.values("content-length")[0])
        while len(self._buffer) < length:
            self._buffer += await self.stream.receive()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Received(received.line, received.headers, body)

    async def take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._buffer += await self.stream.receive()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def rest(self) -> bytes:
        """What was received and not read."""
        rest, self._buffer = self._buffer, b""
        return rest

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            await self.stream.send(piece)

    async def unless_left(self, awaited: Awaitable[Any]) -> Any:
        """Wait for that; the client's leaving is the end, as in `ENDED`."""
        result: Any = None

        async def wait() -> None:
            nonlocal result
            result = await awaited
            group.cancel_scope.cancel()

        left = False
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            try:
                self._buffer += await self.stream.receive()
            except ENDED:
                left = True
            if left:
                group.cancel_scope.cancel()
        if left:
            raise anyio.EndOfStream
        return result

    async def end(self) -> None:
        """Close in good order, over TLS too."""
        if isinstance(self.stream, TLSStream):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.stream._ssl_object.unwrap()
            await self.stream.transport_stream.send(self.stream._write_bio.read())
        await self.close()

    async def close(self) -> None:
        """Close in good order; over TLS, without saying so there."""
        await _transport(self.stream).aclose()

    async def reset(self) -> None:
        raw = self.stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.close()


def _transport(stream: ByteStream) -> Any:
    return stream.transport_stream if isinstance(stream, TLSStream) else stream


def _read_nothing_ahead(stream: ByteStream) -> None:
    """What came before the first receive would else leave anyio's reading on."""
    with contextlib.suppress(RuntimeError):  # It is closed already.
        _transport(stream)._transport.pause_reading()


Play = Callable[[Peer], Awaitable[None]]


class Loopback:
    """Where the server listens, and what it saw."""

    def __init__(self, port: int, scheme: Literal["http", "https"]) -> None:
        self.port = port
        self.scheme: Literal["http", "https"] = scheme
        self.accepted = 0
        self.open = 0
        """Connections that the play has not left."""

    def request(self, target: str = "/", **fields: Any) -> UpstreamRequest:
        given: dict[str, Any] = {
            "method": "POST",
            "scheme": self.scheme,
            "host": "localhost" if self.scheme == "https" else "127.0.0.1",
            "port": self.port,
            "target": target,
        }
        return UpstreamRequest(**(given | fields))


@contextlib.asynccontextmanager
async def serve(
    play: Play, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Loopback]:
    """Serve until the context is left; `play` is called once per connection."""
    listener: Any = await anyio.create_tcp_listener(
        local_host="127.0.0.1", local_port=0
    )
    loopback = Loopback(
        listener.extra(SocketAttribute.local_port), "https" if tls else "http"
    )
    if tls is not None:
        listener = TLSListener(listener, tls, standard_compatible=False)

    async def converse(stream: ByteStream) -> None:
        _read_nothing_ahead(stream)
        peer = Peer(stream, loopback.accepted)
        loopback.accepted += 1
        loopback.open += 1
        with contextlib.suppress(*ENDED):
            try:
                await play(peer)
            finally:
                loopback.open -= 1
                with anyio.CancelScope(shield=True):
                    await peer.close()

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, converse)
        yield loopback
        group.cancel_scope.cancel()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def plain(body: bytes, *extra: bytes, status: bytes = b"200 OK") -> bytes:
    """A complete response of a known length."""
    lines = [b"HTTP/1.1 " + status, *extra, b"content-length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def answer_all(peer: Peer) -> None:
    """The plainest server: echoes every body, over one connection."""
    while True:
        received = await peer.read()
        await peer.send(plain(received.body))


def play_script(script: Script) -> Play:
    """Speak what a script of the in-memory transport says, over the wire."""

    async def play(peer: Peer) -> None:
        while True:
            received = await peer.read()
            method, target, _ = received.line.split(" ")
            request = UpstreamRequest(
                method=method,
                scheme="http",
                host="127.0.0.1",
                port=80,
                target=target,
                headers=received.headers,
                body=received.body,
            )
            try:
                answer = script(request)
                if isinstance(answer, Awaitable):
                    answer = await peer.unless_left(answer)
            except UpstreamFailure:
                await peer.reset()
                return
            status, headers, steps = answer
            bodiless = status == 204 or method == "HEAD"
            lines = [f"HTTP/1.1 {status} X", *(f"{n}: {v}" for n, v in headers)]
            if not bodiless:
                lines.append("Transfer-Encoding: chunked")
            await peer.send("\r\n".join([*lines, "", ""]).encode("latin-1"))
            if bodiless:
                continue
            for step in steps:
                if isinstance(step, anyio.Event):
                    await peer.unless_left(step.wait())
                elif isinstance(step, UpstreamFailure):
                    await peer.end()
                    return
                elif step:
                    await peer.send(chunk(step))
            await peer.send(b"0\r\n\r\n")

    return play
