"""The network as httpcore takes it: one call's connection, and how far it came.

Knows httpcore's seams (its network, its trace, its exceptions) and puts the names of
`FailureKind` to what happens there. Nothing of headers or bodies.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Iterable
from typing import Any, Literal

import anyio
import httpcore
from socksio.exceptions import SOCKSError

from llmwire_server.upstream import (
    FailureKind,
    Origin,
    Timeouts,
    UpstreamFailure,
    UpstreamRequest,
)
from llmwire_server.upstream.connection import Connect, Connection

__all__ = ("SPEECH", "Wire")

_JOIN_SIZE = 64 * 1024
"""What is larger may be answered before it is sent."""

SPEECH = (
    httpcore.ProxyError,
    httpcore.ProtocolError,
    SOCKSError,
    AssertionError,
    ValueError,
)
"""What httpcore raises for what it receives; the last three for SOCKS proxies."""


class Wire(httpcore.AsyncNetworkBackend):
    """What httpcore takes for the network, and what is known of how far it came."""

    def __init__(
        self,
        request: UpstreamRequest,
        timeouts: Timeouts,
        scope: anyio.CancelScope,
        connect: Connect,
    ) -> None:
        self._origin = request.origin
        self._timeouts = timeouts
        self._scope = scope
        self._connect = connect
        self._connection: Connection | None = None
        self._leading_on = False
        self.phase: Literal["connect", "write", "first_byte", "idle_read"] = "connect"
        self.limit = 0
        """Bytes that may come before the end of the head."""
        self.received = 0
        """Bytes that came since the request was begun."""
        self.ended = False
        """The peer has closed the connection."""

    def enter(
        self, phase: Literal["connect", "write", "first_byte", "idle_read"]
    ) -> None:
        """Go on to the next part of the exchange, and its time limit."""
        self.phase = phase
        self.resume()

    def pause(self) -> None:
        """Nobody waits for the peer."""
        self._scope.deadline = math.inf

    def resume(self) -> None:
        """The peer is waited for."""
        seconds: float = getattr(self._timeouts, self.phase)
        self._scope.deadline = anyio.current_time() + seconds

    async def trace(self, name: str, info: dict[str, Any]) -> None:
        """What httpcore tells of itself: where the exchange is."""
        if name == "http11.send_request_headers.started":
            self._leading_on = info["request"].method == b"CONNECT"
            if not self._leading_on:
                self.received = 0
                self.enter("write")
        elif self._leading_on:
            return
        elif name == "http11.receive_response_headers.started":
            self.enter("first_byte")
        elif name == "http11.receive_response_headers.complete":
            self.enter("idle_read")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Open the connection to the proxy."""
        connection = Connection(Origin("http", host.strip("[]"), port))
        await connection.open(math.inf, _no_context, self._connect)
        self._connection = connection
        return _Stream(self, connection)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            if self.phase == "idle_read":
                self._connection.keep_session()
            await self._connection.close()

    def take(self, data: bytes) -> bytes:
        """Note that something came, or the end.

        Raises:
            UpstreamFailure: Of kind `protocol`: more than a head may hold.
        """
        self.received += len(data)
        self.ended = not data
        if self.phase in ("write", "first_byte") and self.received > 2 * self.limit:
            raise self.failure("protocol", "more bytes of head than are accepted")
        return data

    def failure(self, kind: FailureKind, what: str) -> UpstreamFailure:
        """A failure of the upstream, or of the proxy before it is reached."""
        return UpstreamFailure(kind, f"{self._origin} by way of a proxy: {what}")

    def broken(self) -> UpstreamFailure:
        """What a connection that broke means where the exchange is."""
        if self.phase == "connect":
            return self.failure("connect", "the proxy broke off")
        return self.failure("reset", "the connection broke")

    def timeout(self) -> UpstreamFailure:
        """What it means that the deadline is over."""
        if self.phase == "connect":
            seconds = self._timeouts.connect
            return self.failure("connect", f"not connected within {seconds:g} s")
        awaited = {
            "write": "the request was not taken in time",
            "first_byte": "no answer came in time",
            "idle_read": "the answer did not go on in time",
        }
        return self.failure("timeout", awaited[self.phase])

    def explain(self, error: Exception) -> UpstreamFailure:
        """What an exception of httpcore means where the exchange is."""
        if isinstance(error, httpcore.ProxyError):
            status = str(error).partition(" ")[0]
            told = f" ({status})" if status.isdecimal() else ""
            return self.failure("connect", f"the proxy refuses{told}")
        if self.phase == "connect":
            if self.ended:
                return self.broken()
            return self.failure("connect", "the proxy does not speak its protocol")
        if not self.ended:
            return self.failure("protocol", "what came is no proper response")
        if not self.received:
            return self.failure("reset", "closed without an answer")
        part = "body" if self.phase == "idle_read" else "head"
        return self.failure("truncated", f"closed within the {part}")


class _Stream(httpcore.AsyncNetworkStream):
    """A connection as httpcore takes it."""

    def __init__(self, wire: Wire, connection: Connection) -> None:
        self._wire = wire
        self._connection = connection
        self._early = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What came; all of it, for who reads here takes what there is."""
        data, self._early = self._early, b""
        try:
            return self._wire.take(data or await self._connection.receive())
        except UpstreamFailure as failure:
            if failure.kind == "reset":
                raise self._wire.broken() from failure
            raise

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send; what the peer answers meanwhile ends the sending."""
        try:
            if len(buffer) <= _JOIN_SIZE or self._wire.phase == "connect":
                await self._connection.send(buffer)
            elif await self._is_answered(buffer):
                raise httpcore.WriteError
        except UpstreamFailure as failure:
            if self._wire.phase == "connect":
                raise self._wire.broken() from failure
            raise httpcore.WriteError from None

    async def _is_answered(self, buffer: bytes) -> bool:
        """Whether something came before all of it was sent."""
        sent = False

        async def send() -> None:
            nonlocal sent
            await self._connection.send(buffer)
            sent = True
            group.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(send)
                self._early = await self._connection.receive()
                group.cancel_scope.cancel()
        except* UpstreamFailure as group_of_failures:
            failure = group_of_failures.exceptions[0]
            assert isinstance(failure, UpstreamFailure)
            raise UpstreamFailure(failure.kind, failure.message) from None
        return not sent

    async def aclose(self) -> None:
        """Close at once."""
        await self._connection.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands with whom the proxy has led on to, or with the proxy."""
        assert server_hostname is not None
        await self._connection.start_tls(server_hostname.strip("[]"), ssl_context)
        return self

    def get_extra_info(self, info: str) -> Any:
        """Nothing is told."""
        return None


def _no_context() -> ssl.SSLContext:
    raise AssertionError("TLS is begun by httpcore")
