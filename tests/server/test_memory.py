"""Tests of `llmwire_server.memory`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
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


def test_it_is_asked_for_after_enough_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(memory, "find_trim", lambda: lambda: asked.append(1))
    freeing = Freeing()
    freeing.carry(8 * MB - 1)
    freeing.rest()
    assert asked == []
    freeing.carry(1)
    assert asked == []
    freeing.rest()
    freeing.rest()
    assert asked == [1]


def test_without_it_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
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
