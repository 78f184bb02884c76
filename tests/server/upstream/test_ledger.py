"""The books of the pool: limits, order, fairness; no socket is opened."""

from __future__ import annotations

import math
import random

import pytest

from llmwire_server.upstream import Origin
from llmwire_server.upstream.connection import Connection
from llmwire_server.upstream.ledger import Ledger, PoolCounts, PoolLimits, Waiter

A, B, C = (Origin("http", name, 80) for name in "abc")


@pytest.fixture(autouse=True)
def sockets(monkeypatch: pytest.MonkeyPatch) -> set[Connection]:
    """Connections are open or dead as the test says: those in the set are open."""
    opened: set[Connection] = set()
    monkeypatch.setattr(Connection, "opened", property(opened.__contains__))
    monkeypatch.setattr(
        Connection, "dead", property(lambda connection: connection not in opened)
    )
    return opened


def take(ledger: Ledger, origin: Origin, now: float = 0.0) -> Connection:
    connection = ledger.take(origin, now)
    assert connection is not None
    return connection


def counts(busy: int, idle: int, waiting: int) -> PoolCounts:
    return PoolCounts(busy=busy, idle=idle, waiting=waiting)


def test_the_youngest_idle_connection_is_taken_first(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits())
    first, second, third = (take(ledger, A) for _ in range(3))
    sockets |= {first, second, third}
    for connection in (second, third, first):
        ledger.give_back(connection, 0.0, reusable=True)
    assert ledger.counts == counts(0, 3, 0)
    assert [take(ledger, A) for _ in range(3)] == [first, third, second]


def test_idle_connections_are_kept_by_origin(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits())
    connection = take(ledger, A)
    sockets.add(connection)
    ledger.give_back(connection, 0.0, reusable=True)
    assert take(ledger, B) is not connection
    assert take(ledger, A) is connection


def test_what_is_not_reusable_is_doomed(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits())
    connection = take(ledger, A)
    sockets.add(connection)
    ledger.give_back(connection, 0.0, reusable=False)
    assert ledger.doomed == [connection]
    assert ledger.counts == counts(0, 0, 0)


def test_what_was_never_opened_is_forgotten() -> None:
    ledger = Ledger(PoolLimits())
    ledger.give_back(take(ledger, A), 0.0, reusable=True)
    assert ledger.doomed == []
    assert ledger.counts == counts(0, 0, 0)


def test_what_expired_is_not_kept(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits())
    connection = take(ledger, A)
    sockets.add(connection)
    connection.expired = True
    ledger.give_back(connection, 0.0, reusable=True)
    assert ledger.doomed == [connection]


def test_dead_connections_are_passed_over(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits())
    first, second = take(ledger, A), take(ledger, A)
    sockets |= {first, second}
    ledger.give_back(first, 0.0, reusable=True)
    ledger.give_back(second, 0.0, reusable=True)
    sockets.remove(second)
    assert take(ledger, A) is first
    assert ledger.counts == counts(1, 0, 0)


def test_idle_connections_grow_too_old(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits(idle_seconds=10.0))
    first, second = take(ledger, A), take(ledger, B)
    sockets |= {first, second}
    assert ledger.next_expiry == math.inf
    ledger.give_back(first, 1.0, reusable=True)
    ledger.give_back(second, 2.0, reusable=True)
    assert ledger.next_expiry == 11.0
    ledger.expire(11.0)
    assert ledger.doomed == [first]
    assert ledger.next_expiry == 12.0
    assert take(ledger, B, 12.0) is not second
    assert ledger.doomed == [first, second]


def test_a_connection_grows_too_old(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits(age_seconds=100.0, idle_seconds=1000.0))
    idle, busy = take(ledger, A), take(ledger, A)
    sockets |= {idle, busy}
    idle.opened_at, busy.opened_at = 50.0, 0.0
    ledger.give_back(busy, 99.0, reusable=True)
    assert take(ledger, A, 99.0) is busy
    ledger.give_back(idle, 100.0, reusable=True)
    ledger.give_back(busy, 100.0, reusable=True)
    assert ledger.doomed == [busy]
    assert take(ledger, A, 150.0) not in (idle, busy)
    assert ledger.doomed == [busy, idle]


def test_only_so_many_may_wait(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits(per_origin=1, waiting=2))
    connection = take(ledger, A)
    first = ledger.wait(A)
    assert first is not None
    assert ledger.wait(B) is not None
    assert ledger.wait(A) is None
    assert ledger.counts == counts(1, 0, 2)
    ledger.leave(first, 0.0)
    assert ledger.wait(A) is not None
    ledger.give_back(connection, 0.0, reusable=False)
    assert ledger.counts.waiting == 1
    assert ledger.wait(A) is not None


def wait(ledger: Ledger, origin: Origin) -> Waiter:
    waiter = ledger.wait(origin)
    assert waiter is not None
    return waiter


def test_an_origin_has_a_limit_of_its_own(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits(per_origin=1))
    connection = take(ledger, A)
    sockets.add(connection)
    assert ledger.take(A, 0.0) is None
    assert ledger.take(B, 0.0) is not None
    waiter = wait(ledger, A)
    assert ledger.counts == counts(2, 0, 1)
    ledger.give_back(connection, 0.0, reusable=True)
    assert waiter.connection is connection
    assert waiter.event.is_set()
    assert ledger.counts == counts(2, 0, 0)


def test_a_broken_connection_leaves_its_place_to_who_waits(
    sockets: set[Connection],
) -> None:
    ledger = Ledger(PoolLimits(per_origin=1))
    connection = take(ledger, A)
    sockets.add(connection)
    waiter = wait(ledger, A)
    ledger.give_back(connection, 0.0, reusable=False)
    assert ledger.doomed == [connection]
    assert waiter.connection is not None
    assert waiter.connection not in (None, connection)


def test_at_the_total_limit_the_oldest_idle_connection_makes_room(
    sockets: set[Connection],
) -> None:
    ledger = Ledger(PoolLimits(total=2))
    first, second = take(ledger, A), take(ledger, B)
    sockets |= {first, second}
    ledger.give_back(first, 0.0, reusable=True)
    ledger.give_back(second, 0.0, reusable=True)
    assert take(ledger, C).origin == C
    assert ledger.doomed == [first]
    assert ledger.counts == counts(1, 1, 0)
    take(ledger, C)
    assert ledger.take(C, 0.0) is None


def test_at_the_total_limit_the_longest_waiting_is_served_first(
    sockets: set[Connection],
) -> None:
    ledger = Ledger(PoolLimits(total=1))
    connection = take(ledger, A)
    sockets.add(connection)
    first, second = wait(ledger, B), wait(ledger, A)
    ledger.give_back(connection, 0.0, reusable=True)
    assert first.connection is not None
    assert (first.connection.origin, second.connection) == (B, None)
    assert ledger.doomed == [connection]
    ledger.give_back(first.connection, 0.0, reusable=True)
    assert second.connection is not None


def test_the_longest_waiting_is_so_among_all_origins(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits(total=1))
    connection = take(ledger, A)
    first, second, third = wait(ledger, B), wait(ledger, C), wait(ledger, B)
    ledger.leave(first, 0.0)
    ledger.give_back(connection, 0.0, reusable=False)
    assert second.connection is not None
    assert third.connection is None


def test_who_cannot_be_served_does_not_hold_up_the_others(
    sockets: set[Connection],
) -> None:
    ledger = Ledger(PoolLimits(total=2, per_origin=1))
    first, second = take(ledger, A), take(ledger, B)
    sockets |= {first, second}
    blocked, served = wait(ledger, A), wait(ledger, C)
    ledger.give_back(second, 0.0, reusable=True)
    assert blocked.connection is None
    assert served.connection is not None


def test_who_leaves_is_not_served(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits(per_origin=1))
    connection = take(ledger, A)
    sockets.add(connection)
    first, second = wait(ledger, A), wait(ledger, A)
    ledger.leave(first, 0.0)
    ledger.give_back(connection, 0.0, reusable=True)
    assert first.connection is None
    assert second.connection is connection
    ledger.leave(second, 0.0)
    assert ledger.counts == counts(0, 1, 0)


def test_closing_dooms_everything_and_serves_nobody(sockets: set[Connection]) -> None:
    ledger = Ledger(PoolLimits(per_origin=2))
    busy, idle = take(ledger, A), take(ledger, A)
    sockets |= {busy, idle}
    waiter = wait(ledger, A)
    ledger.give_back(take(ledger, B), 0.0, reusable=True)
    ledger.give_back(idle, 0.0, reusable=True)
    ledger.leave(waiter, 0.0)
    waiter = wait(ledger, B)
    ledger.close()
    assert set(ledger.doomed) == {busy, idle}
    assert waiter.event.is_set()
    assert waiter.connection is None
    ledger.leave(waiter, 0.0)
    ledger.give_back(busy, 0.0, reusable=True)
    assert ledger.counts == counts(0, 0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_a_random_walk_keeps_the_books(seed: int, sockets: set[Connection]) -> None:
    chance = random.Random(seed)
    limits = PoolLimits(total=5, per_origin=3, idle_seconds=50.0)
    ledger = Ledger(limits)
    held: list[Connection] = []
    waiters: list[Waiter] = []
    for now in range(2000):
        action = chance.randrange(4)
        if action == 0:
            origin = chance.choice((A, B, C))
            connection = ledger.take(origin, now)
            if connection is None:
                waiters.append(wait(ledger, origin))
            else:
                held.append(connection)
        elif action == 1 and held:
            connection = held.pop(chance.randrange(len(held)))
            reusable = chance.random() < 0.7
            if chance.random() < 0.8:
                sockets.add(connection)
            ledger.give_back(connection, now, reusable=reusable)
        elif action == 2 and waiters:
            ledger.leave(waiters.pop(chance.randrange(len(waiters))), now)
        elif sockets:
            sockets.discard(chance.choice(sorted(sockets, key=id)))
        held += [waiter.connection for waiter in waiters if waiter.connection]
        waiters = [waiter for waiter in waiters if waiter.connection is None]
        _check(ledger, held, waiters, limits)
    for waiter in waiters:
        ledger.leave(waiter, 2000.0)
    for connection in held:
        ledger.give_back(connection, 2000.0, reusable=True)
    ledger.expire(math.inf)
    assert ledger.counts == counts(0, 0, 0)
    assert ledger.__dict__["_count"] == {}
    assert ledger.__dict__["_idle"] == {}
    assert ledger.__dict__["_waiting"] == {}


def _check(
    ledger: Ledger, held: list[Connection], waiters: list[Waiter], limits: PoolLimits
) -> None:
    now = ledger.counts
    assert ledger.busy == set(held)
    assert now.waiting == len(waiters)
    assert now.busy + now.idle <= limits.total
    by_origin = [connection.origin for connection in ledger.busy]
    assert all(by_origin.count(origin) <= limits.per_origin for origin in (A, B, C))
    for waiter in waiters:  # Nobody waits who could be served.
        full = by_origin.count(waiter.origin) == limits.per_origin
        assert full or (now.busy == limits.total and not now.idle)
