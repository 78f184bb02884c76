"""The load of `python -m bench load`, small: no stream is mixed up, nothing grows."""

from __future__ import annotations

import sys

import anyio
import pytest

from bench import load

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="memory is read from /proc"
)


def test_many_calls_and_many_streams() -> None:
    async def run() -> tuple[load.CallsReport, load.StreamsReport]:
        async with load.running() as (proxy, upstream):
            calls = await load.many_calls(proxy, 1_000, clients=8)
            streams = await load.many_streams(proxy, upstream, 100)
            return calls, streams

    calls, streams = anyio.run(run)
    assert calls.calls == 1_000
    for name in ("tasks", "calls"):
        assert calls.after[name] == calls.before[name]
    # One object for every tenth call would be a leak; caches may yet be filled.
    assert calls.after["objects"] - calls.before["objects"] < calls.calls / 10
    assert (streams.streams, streams.wrong) == (100, 0)
    assert streams.left == {"tasks": 0, "calls": 0}
