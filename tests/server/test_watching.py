"""Tests of `llmwire_server.watching`, on a loop whose clock is the test's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from llmwire_server.watching import Watch, watch

pytestmark = pytest.mark.anyio


class Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """As much of a loop as is used."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(at, call))
        return self.timers[-1]

    def run(self, until: float) -> None:
        """Let time pass."""
        while True:
            due = [each for each in self.timers if not each.cancelled]
            due = [each for each in due if each.at <= until]
            if not due:
                break
            first = min(due, key=lambda each: each.at)
            self.timers.remove(first)
            self.now = max(self.now, first.at)
            first.call()
        self.now = until


class One:
    """Is looked at every `every` seconds."""

    def __init__(self, due: float, every: float = math.inf) -> None:
        self.due = due
        self.every = every
        self.seen: list[float] = []

    def look(self, now: float) -> None:
        self.seen.append(now)
        self.due = now + self.every


def _made() -> tuple[Clock, Watch]:
    clock: Any = Clock()
    return clock, Watch(clock)


def test_each_is_looked_at_when_its_time_has_come() -> None:
    clock, watching = _made()
    late, soon, never = One(5.0, 5.0), One(1.0, 3.0), One(math.inf)
    for each in (late, soon, never):
        watching.enter(each)
    clock.run(11.0)
    assert late.seen == [5.0, 10.0]
    assert soon.seen == [1.0, 4.0, 7.0, 10.0]
    assert never.seen == []


def test_a_timer_is_set_only_for_who_is_first() -> None:
    clock, watching = _made()
    watching.enter(One(1.0))
    for at in range(2, 50):
        watching.enter(One(float(at)))
    assert len(clock.timers) == 1
    watching.enter(One(0.5))
    assert [each.cancelled for each in clock.timers] == [True, False]


def test_who_left_is_not_looked_at() -> None:
    clock, watching = _made()
    gone, stays = One(1.0), One(2.0)
    watching.enter(gone)
    watching.enter(stays)
    watching.leave(gone)
    watching.leave(gone)
    clock.run(9.0)
    assert (gone.seen, stays.seen) == ([], [2.0])
    assert clock.timers == []


def test_who_leaves_while_others_are_looked_at() -> None:
    clock, watching = _made()
    pair = [One(1.0), One(1.0)]

    class Leaver(One):
        def look(self, now: float) -> None:
            super().look(now)
            for each in pair:
                watching.leave(each)

    first = Leaver(1.0)
    for each in (*pair, first):
        watching.enter(each)
    clock.run(2.0)
    assert first.seen == [1.0]
    before = [list(each.seen) for each in pair]
    clock.run(9.0)
    assert [each.seen for each in pair] == before


def test_rounds_are_apart() -> None:
    clock, watching = _made()
    hasty = One(1.0, 0.001)
    watching.enter(hasty)
    clock.run(2.0)
    assert 49 <= len(hasty.seen) <= 52
    assert all(b - a >= 0.02 - 1e-9 for a, b in pairwise(hasty.seen))


def test_who_comes_in_while_others_are_looked_at() -> None:
    clock, watching = _made()
    other = One(1.5)

    class Caller(One):
        def look(self, now: float) -> None:
            super().look(now)
            watching.enter(other)

    watching.enter(Caller(1.0))
    clock.run(3.0)
    assert other.seen == [1.5]


async def test_each_loop_has_one() -> None:
    assert watch() is watch()
    done = asyncio.Event()

    class Setting(One):
        def look(self, now: float) -> None:
            super().look(now)
            done.set()

    once = Setting(asyncio.get_running_loop().time())
    watch().enter(once)
    try:
        async with asyncio.timeout(10):
            await done.wait()
    finally:
        watch().leave(once)
