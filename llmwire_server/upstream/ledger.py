"""Who holds which connection, which are idle, and who waits for one.

Knows no socket's bytes and no event loop's tasks: every method is synchronous and
leaves the books balanced, so that no cancellation can come in between. What must be
closed is put into `doomed`, for whoever does the closing.

Rules:
    - A connection is either busy, or idle, or doomed, and only the first two count.
    - Idle connections are taken back youngest first, and are looked at before.
    - Someone waits only while nothing can be had: the origin is at its limit, or all
      origins together are and no connection is idle. So whatever comes free goes to
      the longest waiting of those whom it can serve, before anybody new.
    - At the total limit the longest idle connection of another origin makes room.
    - No method's work grows with the number of connections, waiters or origins (that
      of `servable` origins is amortised over a heap); what is dead is met once.

Theory of operation: while all places are taken, an origin below its own limit whose
calls wait is *servable*. A heap holds the first ticket of each; entries are not taken
out when they become false, but passed over when they come to the top, and the heap is
made anew when most of it is false.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque

import anyio
from msgspec import Struct

from llmwire_server.upstream import Origin
from llmwire_server.upstream.connection import Connection

__all__ = ("Ledger", "PoolCounts", "PoolLimits", "Waiter")

_SLACK = 64
"""False entries of the heap that are never worth making it anew."""


class PoolLimits(Struct, frozen=True, kw_only=True):
    """How many connections there may be, and how long they are kept."""

    total: int = 1000
    """Connections, idle ones included."""
    per_origin: int = 500
    """Connections to one origin, idle ones included."""
    waiting: int = 1000
    """Exchanges that may wait for a connection; one more fails at once."""
    idle_seconds: float = 60.0
    """An idle connection is closed after this time; `inf` is no limit."""
    age_seconds: float = math.inf
    """A connection is not used again after this time."""


class PoolCounts(Struct, frozen=True, kw_only=True):
    """What the books say at one moment."""

    busy: int
    """Connections that an exchange holds."""
    idle: int
    """Connections that could be used again."""
    waiting: int
    """Exchanges that wait for a connection."""


class Waiter:
    """One who waits; served when `connection` is set, told by `event`."""

    __slots__ = ("connection", "event", "origin", "ticket")

    def __init__(self, origin: Origin, ticket: int) -> None:
        self.origin = origin
        self.ticket = ticket
        self.event = anyio.Event()
        self.connection: Connection | None = None


class Ledger:
    """The books.

    Args:
        limits: How many connections there may be.
    """

    def __init__(self, limits: PoolLimits) -> None:
        self.limits = limits
        """How many connections there may be, and how long an idle one is kept."""
        self._count: dict[Origin, int] = {}
        self._idle: dict[Origin, deque[Connection]] = {}
        self._oldest: OrderedDict[Connection, None] = OrderedDict()
        self._waiting: dict[Origin, OrderedDict[Waiter, None]] = {}
        self._servable: list[tuple[int, Origin]] = []
        self._tickets = 0
        self.waiting = 0
        """How many wait."""
        self.busy: set[Connection] = set()
        """What an exchange holds."""
        self.doomed: list[Connection] = []
        """What must be closed; emptied by whoever does it."""
        self.closed = False
        """Nothing is kept any more."""

    @property
    def counts(self) -> PoolCounts:
        """What the books say now."""
        return PoolCounts(
            busy=len(self.busy),
            idle=len(self._oldest),
            waiting=self.waiting,
        )

    @property
    def next_expiry(self) -> float:
        """When the longest idle connection will have been idle for too long."""
        oldest = next(iter(self._oldest), None)
        if oldest is None:
            return math.inf
        return oldest.idle_since + self.limits.idle_seconds

    def take(self, origin: Origin, now: float) -> Connection | None:
        """Find a live idle connection, or room for a new one.

        Args:
            origin: Whom to reach.
            now: The time.

        Returns:
            A busy connection, open or yet to be opened; None where one must `wait`.
        """
        self.expire(now)
        idle = self._idle.get(origin)
        while idle:
            connection = idle[-1]
            self._remove_idle(connection)
            if not self._is_old(connection, now) and not connection.dead:
                self.busy.add(connection)
                return connection
            self._doom(connection)
        if self._count.get(origin, 0) >= self.limits.per_origin:
            return None
        if len(self.busy) + len(self._oldest) >= self.limits.total:
            oldest = next(iter(self._oldest), None)
            if oldest is None:
                return None
            self._remove_idle(oldest)
            self._doom(oldest)
        return self._make(origin)

    def wait(self, origin: Origin) -> Waiter | None:
        """Stand in line; `leave` unless served.

        Returns:
            Who is to be served; None if as many wait as may.
        """
        if self.waiting >= self.limits.waiting:
            return None
        self._tickets += 1
        waiter = Waiter(origin, self._tickets)
        line = self._waiting.setdefault(origin, OrderedDict())
        line[waiter] = None
        self.waiting += 1
        if len(line) == 1:
            self._note_servable(origin)
        return waiter

    def leave(self, waiter: Waiter, now: float) -> None:
        """Leave the line; what the waiter may have been given meanwhile goes back."""
        if waiter.connection is not None:
            self.give_back(waiter.connection, now, reusable=True)
        else:
            self._remove_waiter(waiter)

    def give_back(self, connection: Connection, now: float, *, reusable: bool) -> None:
        """End the use of a busy connection.

        Args:
            connection: The connection.
            now: The time.
            reusable: It is between two exchanges, as far as its user knows.
        """
        self.busy.remove(connection)
        reusable &= connection.opened and not connection.expired and not self.closed
        reusable = reusable and not self._is_old(connection, now)
        waiter = self._find_waiter(connection.origin) if self.waiting else None
        if waiter is None:
            if reusable:
                self._add_idle(connection, now)
            else:
                self._doom(connection)
            return
        self._remove_waiter(waiter)
        if reusable and waiter.origin == connection.origin:
            self.busy.add(connection)
            waiter.connection = connection
        else:
            self._doom(connection)
            waiter.connection = self._make(waiter.origin)
        waiter.event.set()

    def expire(self, now: float) -> None:
        """Doom what has been idle for too long."""
        while self._oldest and self.next_expiry <= now:
            oldest = next(iter(self._oldest))
            self._remove_idle(oldest)
            self._doom(oldest)

    def close(self) -> None:
        """Doom all there is and send all who wait away, served by nobody."""
        self.closed = True
        self.doomed.extend(self.busy)
        for connection in tuple(self._oldest):
            self._remove_idle(connection)
            self._doom(connection)
        for waiters in self._waiting.values():
            for waiter in waiters:
                waiter.event.set()
        self._waiting.clear()
        self._servable.clear()
        self.waiting = 0

    def _is_old(self, connection: Connection, now: float) -> bool:
        return now - connection.opened_at >= self.limits.age_seconds

    def _make(self, origin: Origin) -> Connection:
        connection = Connection(origin)
        self._count[origin] = self._count.get(origin, 0) + 1
        self.busy.add(connection)
        return connection

    def _doom(self, connection: Connection) -> None:
        origin = connection.origin
        self._count[origin] -= 1
        if not self._count[origin]:
            del self._count[origin]
        if origin in self._waiting:
            self._note_servable(origin)
        if connection.opened:
            self.doomed.append(connection)

    def _add_idle(self, connection: Connection, now: float) -> None:
        connection.idle_since = now
        self._oldest[connection] = None
        self._idle.setdefault(connection.origin, deque()).append(connection)

    def _remove_idle(self, connection: Connection) -> None:
        """Remove the youngest or the oldest of an origin; no other is ever removed."""
        del self._oldest[connection]
        idle = self._idle[connection.origin]
        if idle[-1] is connection:
            idle.pop()
        else:
            idle.popleft()
        if not idle:
            del self._idle[connection.origin]

    def _find_waiter(self, freed: Origin) -> Waiter | None:
        """The longest waiting whom a place freed at `freed` can serve."""
        servable = self._servable
        while servable and not self._is_servable(*servable[0]):
            heapq.heappop(servable)
        origin = servable[0][1] if servable else freed
        own = self._first(freed)
        other = self._first(origin)
        if own is None or (other is not None and other.ticket < own.ticket):
            return other
        return own

    def _first(self, origin: Origin) -> Waiter | None:
        """The longest waiting for `origin`."""
        line = self._waiting.get(origin)
        return next(iter(line)) if line else None

    def _is_servable(self, ticket: int, origin: Origin) -> bool:
        """Whether an entry of the heap is true."""
        first = self._first(origin)
        if first is None or first.ticket != ticket:
            return False
        return self._count.get(origin, 0) < self.limits.per_origin

    def _note_servable(self, origin: Origin) -> None:
        """Enter an origin whose first waiter or whose count has changed."""
        first = self._first(origin)
        if first is None or not self._is_servable(first.ticket, origin):
            return
        heapq.heappush(self._servable, (first.ticket, origin))
        if len(self._servable) > 2 * len(self._waiting) + _SLACK:
            true = {entry for entry in self._servable if self._is_servable(*entry)}
            self._servable = sorted(true)

    def _remove_waiter(self, waiter: Waiter) -> None:
        line = self._waiting.get(waiter.origin)
        if line is None or waiter not in line:
            return
        first = next(iter(line)) is waiter
        del line[waiter]
        self.waiting -= 1
        if not line:
            del self._waiting[waiter.origin]
        elif first:
            self._note_servable(waiter.origin)
