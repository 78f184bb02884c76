"""The transport over sockets: HTTP/1.1, keep-alive, limits, time limits.

Knows no HTTP syntax (`codec`), no socket (`connection`), no bookkeeping (`ledger`), no
order of an exchange (`exchange`); it puts them together. It runs as
``async with Pool() as pool:`` for as long as the server lives; exchanges may be opened
from any task.

Rules:
    - A connection goes back when the end of its response was read, from inside the
      call that read it; leaving the context in any other state ends the connection.
    - Ending a connection never waits: it is put aside, and closed by the pool's own
      task at its next turn. So nothing that a cancellation could interrupt is needed
      to clean up.
    - A request is sent a second time only if the first went over a connection that
      had been used before and that broke without one byte of an answer: the peer had
      closed it while it was idle. The second time it goes over a new one.
    - While a large body is sent, an answer is looked for already, and ends the sending:
      a server that refuses it may answer first, and then read no more, or close.
    - All routes share one set of books: the limits hold for all of them together.

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
    Origin,
    Timeouts,
    UpstreamFailure,
    UpstreamRequest,
)
from llmwire_server.upstream.codec import CodecName, HeadLimits, load_dechunker
from llmwire_server.upstream.connection import Connect, Connection, connect_tcp
from llmwire_server.upstream.exchange import Exchange, Route
from llmwire_server.upstream.ledger import Ledger, PoolCounts, PoolLimits

__all__ = ("Pool",)


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
        self._direct = Route(self, "", ssl_context)
        self._ledger = Ledger(limits or PoolLimits())
        self._group: TaskGroup | None = None
        self._alarm = anyio.Event()
        self._wake_at = -math.inf

    @property
    def counts(self) -> PoolCounts:
        """How many connections there are now, and how many wait for one."""
        return self._ledger.counts

    @property
    def connect(self) -> Connect:
        """Opens TCP streams."""
        return self._connect

    @property
    def limits(self) -> PoolLimits:
        """How many connections there may be; may be replaced at any time.

        Connections and waiters beyond lower limits stay until they end by themselves.
        """
        return self._ledger.limits

    @limits.setter
    def limits(self, limits: PoolLimits) -> None:
        self._ledger.limits = limits
        self._alarm.set()

    @property
    def group(self) -> TaskGroup:
        """Where tasks that end with the pool may run.

        Raises:
            UpstreamFailure: Of kind `pool`: the pool is not running.
        """
        if self._group is None:
            raise UpstreamFailure("pool", "the pool is not running")
        return self._group

    def open(self, request: UpstreamRequest) -> Exchange:
        """Send a request; see `Transport.open`."""
        return Exchange(self._direct, request)

    def route(self, name: str, ssl_context: ssl.SSLContext) -> Route:
        """A transport over this pool with TLS settings of its own.

        Args:
            name: Not empty; routes of the same name share connections, so that they
                must be given the same settings.
            ssl_context: Whom it trusts, and who it is.
        """
        return Route(self, name, ssl_context)

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
            UpstreamFailure: Of kind `pool`: no place came free, too many wait for one
                already, or the pool is closed.
        """
        return self.take(origin) or await self.wait(origin, seconds)

    def take(self, origin: Origin) -> Connection | None:
        """As `checkout`, without waiting; None: there is no place.

        Raises:
            UpstreamFailure: Of kind `pool`: the pool is not running.
        """
        if self._group is None:
            raise UpstreamFailure("pool", "the pool is not running")
        ledger = self._ledger
        connection = ledger.take(origin, self.clock())
        if ledger.doomed:
            self._alarm.set()
        return connection

    async def wait(self, origin: Origin, seconds: float) -> Connection:
        """As `checkout`, where `take` found no place."""
        ledger = self._ledger
        waiter = ledger.wait(origin)
        if waiter is None:
            raise UpstreamFailure("pool", f"{origin}: too many calls wait already")
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

    async def dial(
        self,
        connection: Connection,
        seconds: float,
        context: Callable[[], ssl.SSLContext],
    ) -> None:
        """Open a connection that is held, anew if it was open.

        Args:
            connection: The connection.
            seconds: For all of it.
            context: Gives the TLS context where one is needed.

        Raises:
            UpstreamFailure: Of kind `connect` or `tls`, or `pool` if the pool was
                closed meanwhile.
        """
        connection.deadline = math.inf
        await connection.close()
        await connection.open(seconds, context, self._connect)
        connection.opened_at = self.clock()
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
        if reusable:
            connection.keep_session()
        ledger.give_back(connection, now, reusable=reusable)
        due = now + ledger.limits.idle_seconds
        if ledger.doomed or not now < self._wake_at <= due:
            self._alarm.set()

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
