"""Tests of `llmwire_server.per_loop`."""

from __future__ import annotations

import asyncio

import pytest

from llmwire_server.per_loop import PerLoop


def test_each_loop_has_one_of_its_own() -> None:
    made: list[asyncio.AbstractEventLoop] = []

    def make(loop: asyncio.AbstractEventLoop) -> list[object]:
        made.append(loop)
        return [object()]

    of_loop = PerLoop(make)

    async def ask() -> list[object]:
        first = of_loop()
        assert of_loop() is first
        return first

    one, other = asyncio.run(ask()), asyncio.run(ask())
    assert one is not other
    assert len(made) == 2


def test_there_is_none_without_a_loop() -> None:
    with pytest.raises(RuntimeError):
        PerLoop(lambda loop: loop)()
