"""Tests of `llmwire_server.memory`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from llmwire_server import memory
from llmwire_server.memory import Freeing, find_trim

MB = 1024 * 1024


@pytest.fixture(autouse=True)
def _found_anew() -> Iterator[None]:
    find_trim.cache_clear()
    yield
    find_trim.cache_clear()


class Loop:
    """One whose time does not pass by itself."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []

    def call_later(self, seconds: float, act: Callable[[], None]) -> object:
        self.later.append(act)
        return object()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr("asyncio.get_running_loop", lambda: loop)
    return loop


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    asked: list[int] = []
    monkeypatch.setattr(memory, "find_trim", lambda: lambda: asked.append(1))
    return asked


def test_it_is_asked_for_after_enough_and_once(loop: Loop, asked: list[int]) -> None:
    freeing = Freeing()
    freeing.carry(8 * MB - 1)
    freeing.rest()
    assert asked == []
    freeing.carry(1)
    assert asked == []
    freeing.rest()
    freeing.rest()
    assert asked == [1]


def test_it_is_asked_for_while_calls_run_too(loop: Loop, asked: list[int]) -> None:
    freeing = Freeing()
    freeing.carry(8 * MB - 1)
    assert loop.later == []
    for _ in range(3):
        freeing.carry(4 * MB)
    assert asked == []
    loop.later.pop()()
    assert (asked, loop.later) == ([1], [])
    freeing.carry(8 * MB)
    freeing.rest()
    loop.later.pop()()
    assert (asked, loop.later) == ([1, 1], [])


def test_without_it_nothing_happens(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "find_trim", lambda: None)
    freeing = Freeing()
    freeing.carry(99 * MB)
    freeing.rest()


def test_it_is_found_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    library = SimpleNamespace(malloc_trim=asked.append)
    fake = SimpleNamespace(CDLL=lambda name: library)
    monkeypatch.setitem(sys.modules, "ctypes", fake)
    trim = find_trim()
    assert trim is not None
    trim()
    assert asked == [0]


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_it_is_not_found_elsewhere(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def load(name: None) -> None:
        raise error

    monkeypatch.setitem(sys.modules, "ctypes", SimpleNamespace(CDLL=load))
    assert find_trim() is None


def test_it_works_here() -> None:
    trim = find_trim()
    if trim is not None:
        trim()
