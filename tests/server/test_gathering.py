"""Tests of `llmwire_server.gathering`: order, bounds, and when nothing waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmwire_server.gathering import Gathering, gathering
from tests.server.test_cycle import Line

pytestmark = pytest.mark.anyio


def _busy() -> Gathering:
    """One of a loop on which many calls run."""
    gathered = Gathering(asyncio.get_running_loop())
    gathered.calls = 9
    return gathered


async def _turn() -> None:
    await asyncio.sleep(0)


async def test_each_loop_has_one() -> None:
    assert gathering() is gathering()


async def test_beside_few_calls_nothing_waits() -> None:
    gathered = gathering()
    gathered.calls = 8
    try:
        line = Line()
        gathered.write(line, b"a")
        assert line.writes == [b"a"]
    finally:
        gathered.calls = 0


async def test_beside_many_calls_a_turn_is_waited() -> None:
    gathered = _busy()
    one, other = Line(), Line()
    gathered.write(one, b"a")
    gathered.write(other, b"b")
    gathered.calls = 0
    gathered.write(one, b"c")
    assert one.writes == other.writes == []
    await _turn()
    assert (one.writes, other.writes) == ([b"a", b"c"], [b"b"])
    gathered.write(one, b"d")
    assert one.writes[-1] == b"d"


async def test_what_is_large_goes_at_once_and_in_order() -> None:
    gathered = _busy()
    line = Line()
    gathered.write(line, b"a")
    gathered.write(line, bytes(64 * 1024))
    assert line.writes == []
    gathered.write(line, large := bytes(64 * 1024 + 1))
    assert [len(data) for data in line.writes] == [1, 64 * 1024, len(large)]


async def test_no_more_than_so_much_waits() -> None:
    gathered = _busy()
    line = Line()
    piece = bytes(64 * 1024)
    for _ in range(16):
        gathered.write(line, piece)
    assert line.writes == []
    gathered.write(line, b"x")
    assert len(line.writes) == 17
    for _ in range(16):
        gathered.write(line, piece)
    assert len(line.writes) == 17


async def test_nothing_is_written_to_a_connection_that_ends() -> None:
    gathered = _busy()
    line: Any = Line()
    gathered.write(line, b"a")
    line.close()
    gathered.flush()
    assert line.writes == []
    await _turn()
