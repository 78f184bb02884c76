"""The transport over sockets: HTTP/1.1, keep-alive, limits, time limits.

Knows no HTTP syntax (`codec`), no socket (`connection`), no bookkeeping (`ledger`);
it puts them together. It runs as ``async with Pool() as pool:`` for as long as the
server lives; exchanges may be opened from any task.

Rules:
    - A connection goes back when the end of its response was read, from inside the
      call that read it; leaving the context in any other state ends the connection.
    - Ending a connection never waits: it is put aside, and closed by the pool's own
      task at its next turn. So nothing that a cancellation could interrupt is needed
      to clean up.
    - A request is sent a second time only if the first went over a connection that
      had been used before and that broke without one byte of an answer: the peer had
      closed it while it was idle. The second time it goes over a new one.
    - If the request cannot be sent to its end, an answer is looked for all the same:
      a server that refuses a large body may answer first and then close.

Theory of operation: one task (`Pool._tend`) watches. It closes what is put aside,
closes idle connections when their time comes, and closes busy ones whose deadline is
over, which wakes whoever waits on them. It sleeps until the next of these is due;
setting a deadline costs an addition and a comparison, and wakes it only if that one
is due earlier.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from llmwire_server.upstream import (
    Headers,
    Origin,
    Timeouts,
    UpstreamFailure,
    UpstreamRequest,
)
from llmwire_server.upstream.codec import (
    CodecName,
    HeadLimits,
    ResponseDecoder,
    encode_head,
    load_dechunker,
)
from llmwire_server.upstream.connection import (
    Connect,
    Connection,
    client_context,
    connect_tcp,
)
from llmwire_server.upstream.ledger import Ledger, PoolCounts, PoolLimits

__all__ = ("Exchange", "Pool")

_JOIN_SIZE = 64 * 1024
"""Head and body of a request are sent as one if the body is not larger."""


class Pool:
    """A `Transport` over TCP and TLS.

    Args:
        limits: How many connections there may be.
        timeouts: For requests that bring none of their own.
        head_limits: How much of a head an upstream may send.
        codec: Which library undoes the chunked coding.
        ssl_context: Instead of `client_context()`, which verifies against the
            system's certificates.
        connect: Opens the TCP stream.
        clock: Measures idle times and time limits, in seconds.
    """

    def __init__(
        self,
        *,
        limits: PoolLimits | None = None,
        timeouts: Timeouts | None = None,
        head_limits: HeadLimits | None = None,
        codec: CodecName = "auto",
        ssl_context: ssl.SSLContext | None = None,
        connect: Connect = connect_tcp,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self.head_limits = head_limits or HeadLimits()
        self.make_dechunker = load_dechunker(codec)
        self.clock = clock
        self._connect = connect
        self._ssl_context = ssl_context
        self._ledger = Ledger(limits or PoolLimits())
        self._group: TaskGroup | None = None
        self._alarm = anyio.Event()
        self._wake_at = -math.inf

    @property
    def counts(self) -> PoolCounts:
        """How many connections there are now, and how many wait for one."""
        return self._ledger.counts

    def open(self, request: UpstreamRequest) -> Exchange:
        """Send a request; see `Transport.open`."""
        return Exchange(self, request)

    async def __aenter__(self) -> Self:
        if self._ledger.closed:
            raise RuntimeError("a pool runs once")
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(self._tend)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ledger.close()
        group, self._group = self._group, None
        assert group is not None
        try:
            group.cancel_scope.cancel()
            await group.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                await self._close_doomed()

    async def checkout(self, origin: Origin, seconds: float) -> Connection:
        """Get a connection to hold, perhaps yet to be opened; then `release` it.

        Args:
            origin: Whom to reach.
            seconds: How long to wait for a place.

        Raises:
            UpstreamFailure: Of kind `pool`: no place came free, or the pool is closed.
        """
        if self._group is None:
            raise UpstreamFailure("pool", "the pool is not running")
        ledger = self._ledger
        connection = ledger.take(origin, self.clock())
        if ledger.doomed:
            self._alarm.set()
        if connection is not None:
            return connection
        waiter = ledger.wait(origin)
        try:
            with anyio.move_on_after(seconds):
                await waiter.event.wait()
            connection, waiter.connection = waiter.connection, None
        finally:
            ledger.leave(waiter, self.clock())
        if connection is None:
            why = (
                "the pool was closed" if ledger.closed else "no place came free in time"
            )
            raise UpstreamFailure("pool", f"{origin}: {why}")
        return connection

    async def dial(self, connection: Connection, seconds: float) -> None:
        """Open a connection that is held, anew if it was open.

        Raises:
            UpstreamFailure: Of kind `connect` or `tls`, or `pool` if the pool was
                closed meanwhile.
        """
        connection.deadline = math.inf
        await connection.close()
        await connection.open(seconds, self._get_context, self._connect)
        if self._ledger.closed:
            await connection.close()
            raise UpstreamFailure("pool", "the pool was closed")

    def arm(self, connection: Connection, seconds: float, awaited: str) -> None:
        """Close a held connection unless the deadline is moved before it is due."""
        now = self.clock()
        connection.deadline = due = now + seconds
        connection.awaited = awaited
        if not now < self._wake_at <= due:
            self._alarm.set()

    def release(self, connection: Connection, *, reusable: bool) -> None:
        """Give a connection back that `checkout` gave, or put it aside to be closed."""
        ledger, now = self._ledger, self.clock()
        connection.deadline = math.inf
        ledger.give_back(connection, now, reusable=reusable)
        due = now + ledger.limits.idle_seconds
        if ledger.doomed or not now < self._wake_at <= due:
            self._alarm.set()

    def _get_context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = client_context()
        return self._ssl_context

    async def _tend(self) -> None:
        """Close what is put aside, what is late, and what has been idle too long."""
        ledger = self._ledger
        while True:
            alarm = self._alarm = anyio.Event()
            now = self.clock()
            ledger.expire(now)
            await self._close_doomed()
            for connection in tuple(ledger.busy):
                if connection.deadline <= now:
                    connection.deadline = math.inf
                    connection.expired = True
                    await connection.close()
            wake_at = ledger.next_expiry
            for connection in ledger.busy:
                wake_at = min(wake_at, connection.deadline)
            self._wake_at = wake_at
            with anyio.move_on_after(wake_at - self.clock()):
                await alarm.wait()

    async def _close_doomed(self) -> None:
        doomed = self._ledger.doomed
        while doomed:
            await doomed.pop().close()


class Exchange:
    """One request and its response over a `Pool`: context and `UpstreamResponse`.

    Args:
        pool: Where connections come from.
        request: What to send.
    """

    __slots__ = (
        "_connection",
        "_decoder",
        "_failure",
        "_pool",
        "_ready",
        "_request",
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

    def __init__(self, pool: Pool, request: UpstreamRequest) -> None:
        self._pool = pool
        self._request = request
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
        try:
            await self._start()
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
                raise UpstreamFailure(self._failure.kind, self._failure.message)
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
        with anyio.move_on_after(seconds):
            while limit_bytes >= 0:
                try:
                    data = await self.receive()
                except UpstreamFailure:
                    return
                if not data:
                    return
                limit_bytes -= len(data)

    async def close(self) -> None:
        """See `UpstreamResponse.close`."""
        self._ready = b""
        if self._connection is not None:
            self._fail(UpstreamFailure("reset", "closed by this side"))

    def _make_decoder(self) -> ResponseDecoder:
        pool = self._pool
        return ResponseDecoder(
            self._request.method, pool.make_dechunker, pool.head_limits
        )

    async def _start(self) -> None:
        """Get a connection and converse; once more if it had gone stale."""
        pool, request, timeouts = self._pool, self._request, self._timeouts
        head = encode_head(request)
        connection = await pool.checkout(request.origin, timeouts.pool)
        self._connection = connection
        if connection.opened:
            failure = await self._converse(connection, head)
            if failure is None or failure.kind != "reset" or self._decoder.started:
                self._finish_head(failure)
                return
            self._decoder = self._make_decoder()
        await pool.dial(connection, timeouts.connect)
        self._finish_head(await self._converse(connection, head))

    async def _converse(
        self, connection: Connection, head: bytes
    ) -> UpstreamFailure | None:
        """Send the request and read the head of the response; tells what failed."""
        pool, timeouts, body = self._pool, self._timeouts, self._request.body
        decoder = self._decoder
        self._sent = False
        pool.arm(connection, timeouts.write, "the request was not taken in time")
        pieces = (head + body,) if len(body) <= _JOIN_SIZE else (head, body)
        try:
            await connection.send(*pieces)
            self._sent = True
        except UpstreamFailure as failure:
            if failure.kind == "timeout":
                return failure
        pool.arm(connection, timeouts.first_byte, "no answer came in time")
        while decoder.head is None and decoder.failure is None:
            try:
                data = await connection.receive()
            except UpstreamFailure as failure:
                return failure
            if data:
                self._ready = decoder.receive_data(data)
            else:
                decoder.receive_eof()
        connection.deadline = math.inf
        return decoder.failure

    def _finish_head(self, failure: UpstreamFailure | None) -> None:
        head = self._decoder.head
        if head is None:
            assert failure is not None
            raise failure
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
        self._failure = failure
        self._leave(reusable=False)

    def _leave(self, *, reusable: bool) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(connection, reusable=reusable)
