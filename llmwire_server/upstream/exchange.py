"""One exchange over the pool: request out, head in, body in, connection back.

Knows the order of things and nothing of HTTP syntax (`codec`), sockets (`connection`)
or bookkeeping (`ledger`); the rules are those of `pool`.
"""

from __future__ import annotations

import math
import ssl
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from llmwire_server.upstream import (
    Headers,
    Origin,
    UpstreamFailure,
    UpstreamRequest,
)
from llmwire_server.upstream.codec import ResponseDecoder, encode_head
from llmwire_server.upstream.connection import Connection, Rest
from llmwire_server.upstream.draining import drain
from llmwire_server.upstream.tls import client_context

if TYPE_CHECKING:
    from llmwire_server.upstream.pool import Pool

__all__ = ("Exchange", "Route")

_JOIN_SIZE = 64 * 1024
"""Head and body of a request are sent as one if the body is not larger."""


class Route:
    """A `Transport`: a pool under one set of TLS settings.

    Args:
        pool: Where connections come from.
        name: Tells its connections from those of other routes.
        ssl_context: Whom it trusts, and who it is; None for the system's authorities.
    """

    def __init__(
        self, pool: Pool, name: str, ssl_context: ssl.SSLContext | None
    ) -> None:
        self.pool = pool
        self.name = name
        self._ssl_context = ssl_context

    def open(self, request: UpstreamRequest) -> Exchange:
        """Send a request; see `Transport.open`."""
        return Exchange(self, request)

    def get_context(self) -> ssl.SSLContext:
        """Whom it trusts; the system's authorities are read when first needed."""
        if self._ssl_context is None:
            self._ssl_context = client_context()
        return self._ssl_context


class Exchange:
    """One request and its response over a `Pool`: context and `UpstreamResponse`.

    Args:
        route: Where connections come from.
        request: What to send.
    """

    __slots__ = (
        "_connection",
        "_decoder",
        "_failure",
        "_method",
        "_pool",
        "_ready",
        "_request",
        "_route",
        "_sent",
        "_timeouts",
        "_waited",
        "headers",
        "status",
    )

    status: int
    """The final status."""
    headers: Headers
    """Lower-case names and values."""

    def __init__(self, route: Route, request: UpstreamRequest) -> None:
        self._route = route
        self._pool = pool = route.pool
        self._request: UpstreamRequest | None = request
        self._method = request.method
        self._timeouts = request.timeouts or pool.timeouts
        self._connection: Connection | None = None
        self._decoder = self._make_decoder()
        self._failure: UpstreamFailure | None = None
        self._ready = b""
        self._sent = False
        self._waited = 0.0
        self.status = 0
        self.headers = ()

    async def __aenter__(self) -> Self:
        # What was sent may be large, and answers may take their time.
        request, self._request = self._request, None
        assert request is not None
        pool = self._pool
        head = encode_head(request)
        origin = Origin(request.scheme, request.host, request.port, self._route.name)
        connection = pool.take(origin)
        if connection is None:
            connection = await pool.wait(origin, self._timeouts.pool)
        self._connection = connection
        try:
            await self._start(connection, head, request.body)
        finally:
            if not self.status:
                self._leave(reusable=False)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(reusable=False)

    async def receive(self) -> bytes:
        """See `UpstreamResponse.receive`."""
        if self._ready:
            data, self._ready = self._ready, b""
            return data
        decoder = self._decoder
        while not decoder.complete:
            if self._failure is not None:
                raise self._failure.anew()
            body = self._decode(await self._read())
            if body:
                return body
        return b""

    async def drain(self, limit_bytes: int = 65536, seconds: float = 0.1) -> None:
        """See `UpstreamResponse.drain`."""
        limit_bytes -= len(self._ready)
        self._ready = b""
        if self._decoder.complete or self._failure is not None:
            return
        await drain(self.receive, limit_bytes, seconds)

    async def close(self) -> None:
        """See `UpstreamResponse.close`."""
        self._ready = b""
        if self._connection is not None:
            self._fail(UpstreamFailure("reset", "closed by this side"))

    def _make_decoder(self) -> ResponseDecoder:
        pool = self._pool
        return ResponseDecoder(self._method, pool.make_dechunker, pool.head_limits)

    async def _start(self, connection: Connection, head: bytes, body: bytes) -> None:
        """Converse; once more if the connection had gone stale."""
        if connection.opened:
            failure = await self._converse(connection, head, body)
            if failure is None or failure.kind != "reset" or self._decoder.started:
                self._finish_head(failure)
                return
            self._decoder = self._make_decoder()
        limit = self._timeouts.connect
        await self._pool.dial(connection, limit, self._route.get_context)
        self._finish_head(await self._converse(connection, head, body))

    async def _converse(
        self, connection: Connection, head: bytes, body: bytes
    ) -> UpstreamFailure | None:
        """Send the request and read the head of the response; tells what failed."""
        small = len(body) <= _JOIN_SIZE
        self._sent = False
        try:
            rest = connection.hand_over(*((head + body,) if small else (head, body)))
            self._sent = rest is None
        except UpstreamFailure:
            rest = None  # Reading fails of it too.
        if rest is None:
            self._await_answer(connection)
            failure = await self._read_head(connection)
        else:
            limit = self._timeouts.write
            self._pool.arm(connection, limit, "the request was not taken in time")
            if small:
                await self._finish_sending(connection, rest)
                failure = await self._read_head(connection)
            else:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._finish_sending, connection, rest)
                    failure = await self._read_head(connection)
                    group.cancel_scope.cancel()
        connection.deadline = math.inf
        return failure

    async def _finish_sending(self, connection: Connection, rest: Rest) -> None:
        """Wait until the request was taken; what fails here, reading fails of too."""
        try:
            await rest()
        except UpstreamFailure:
            pass
        else:
            self._sent = True
        if not connection.expired:
            self._await_answer(connection)

    def _await_answer(self, connection: Connection) -> None:
        limit = self._timeouts.first_byte
        self._pool.arm(connection, limit, "no answer came in time")

    async def _read_head(self, connection: Connection) -> UpstreamFailure | None:
        decoder = self._decoder
        while decoder.head is None and decoder.failure is None:
            try:
                data = await connection.receive()
            except UpstreamFailure as failure:
                return failure
            if data:
                self._ready = decoder.receive_data(data)
            else:
                decoder.receive_eof()
        return decoder.failure

    def _finish_head(self, failure: UpstreamFailure | None) -> None:
        head = self._decoder.head
        if head is None:
            assert failure is not None
            raise failure.anew()
        self.status = head.status
        self.headers = head.headers
        self._settle(failure)

    async def _read(self) -> bytes:
        """Wait for bytes; how long that took adds up until some come."""
        pool, connection = self._pool, self._connection
        assert connection is not None
        started = pool.clock()
        limit = self._timeouts.idle_read - self._waited
        pool.arm(connection, limit, "the answer did not go on in time")
        came = False
        try:
            data = await connection.receive()
            came = True
        except UpstreamFailure as failure:
            self._fail(failure)
            raise
        finally:
            connection.deadline = math.inf
            self._waited = 0.0 if came else self._waited + pool.clock() - started
        return data

    def _decode(self, data: bytes) -> bytes:
        decoder = self._decoder
        body = b""
        if data:
            body = decoder.receive_data(data)
        else:
            decoder.receive_eof()
        self._settle(decoder.failure)
        return body

    def _settle(self, failure: UpstreamFailure | None) -> None:
        """Let the connection go as soon as it is not needed."""
        if failure is not None:
            self._fail(failure)
        elif self._decoder.complete:
            self._leave(reusable=self._decoder.reusable and self._sent)

    def _fail(self, failure: UpstreamFailure) -> None:
        self._failure = failure.anew()
        self._leave(reusable=False)

    def _leave(self, *, reusable: bool) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(connection, reusable=reusable)
