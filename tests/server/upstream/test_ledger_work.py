"""The pool's books under load: the work of a call does not grow with what there is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llmwire_server.upstream import Origin
from llmwire_server.upstream.connection import Connection
from llmwire_server.upstream.ledger import Ledger, PoolLimits
from tests.counting import lines as lines_run

A = Origin("http", "a", 80)
MANY = 10_000


@pytest.fixture(autouse=True)
def sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection is open and alive."""
    monkeypatch.setattr(Connection, "opened", property(lambda self: True))
    monkeypatch.setattr(Connection, "dead", property(lambda self: False))


def take(ledger: Ledger, origin: Origin = A) -> Connection:
    connection = ledger.take(origin, 0.0)
    assert connection is not None
    return connection


def _with_idle(count: int, origins: int = 1) -> Ledger:
    ledger = Ledger(PoolLimits(total=MANY + 10, per_origin=MANY + 10))
    held = [take(ledger, Origin("http", str(i % origins), 80)) for i in range(count)]
    for connection in held:
        ledger.give_back(connection, 0.0, reusable=True)
    return ledger


@pytest.mark.parametrize("origins", [1, MANY])
def test_idle_connections_cost_nothing(origins: int) -> None:
    def work(ledger: Ledger) -> Callable[[], None]:
        origin = Origin("http", "0", 80)
        return lambda: ledger.give_back(take(ledger, origin), 0.0, reusable=True)

    few = _with_idle(1 if origins > 1 else 2)
    many = _with_idle(MANY, origins)
    assert lines_run(work(few)) == lines_run(work(many))
    assert lines_run(lambda: few.counts) == lines_run(lambda: many.counts)
    assert lines_run(lambda: few.next_expiry) == lines_run(lambda: many.next_expiry)


def _with_waiters(count: int, origins: int) -> Ledger:
    """All places are taken by one origin; others wait, each below its own limit."""
    ledger = Ledger(PoolLimits(total=2, per_origin=2, waiting=2 * MANY))
    take(ledger), take(ledger)
    for number in range(count):
        assert ledger.wait(Origin("http", str(number % origins), 80)) is not None
    return ledger


@pytest.mark.parametrize("origins", [1, 100, MANY])
def test_waiters_cost_no_more_than_the_depth_of_a_heap(origins: int) -> None:
    def serve_all_of(count: int, origins: int) -> float:
        ledger = _with_waiters(count, origins)
        served = min(count, 100)
        kept = next(iter(ledger.busy))

        def work() -> None:
            for _ in range(served):
                (served_last,) = ledger.busy - {kept}
                ledger.give_back(served_last, 0.0, reusable=True)

        return lines_run(work) / served

    few = serve_all_of(1000, min(origins, 1000))
    assert serve_all_of(MANY, origins) <= 1.2 * few


def test_waiting_and_leaving_costs_the_same_among_many() -> None:
    def per_waiter(count: int) -> float:
        ledger = _with_waiters(count, count)

        def work() -> None:
            for _ in range(1000):
                waiter = ledger.wait(A)
                assert waiter is not None
                ledger.leave(waiter, 0.0)

        lines = lines_run(work)
        assert len(ledger._servable) <= 2 * count + 100
        return lines / 1000

    assert per_waiter(MANY) <= 1.2 * per_waiter(10)


def test_false_entries_are_thrown_out() -> None:
    ledger = _with_waiters(1, 1)
    for number in range(10_000):
        waiter = ledger.wait(Origin("http", f"x{number}", 80))
        assert waiter is not None
        ledger.leave(waiter, 0.0)
    assert len(ledger._servable) <= 100
    assert ledger.waiting == 1
