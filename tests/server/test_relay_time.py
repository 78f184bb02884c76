"""Tests of `llmwire_server.relay`: time, and ends that come from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import pytest

from llmwire import Head, HTTPReply
from llmwire.attempt import Attempt
from llmwire_server import relay as relaying
from llmwire_server.config.tree import TimeLimits
from llmwire_server.relay import ClientStalled, relay
from llmwire_server.shutdown import Shutdown
from llmwire_server.upstream import (
    Transport,
    UpstreamFailure,
    UpstreamRequest,
)
from llmwire_server.upstream.memory import MemoryTransport, Step
from tests.server.calling import Client
from tests.server.test_relay import SSE, _attempt, _relayed, asked
from tests.toys import TOY, frame

pytestmark = pytest.mark.anyio


class _Clock:
    """The loop's clock, which can be told that time has passed."""

    def __init__(self) -> None:
        self.passed = 0.0
        loop = asyncio.get_running_loop()
        time = loop.time
        loop.time = lambda: time() + self.passed  # type: ignore[method-assign]  # in this loop alone

    def jump(self, seconds: float) -> None:
        """Time will have passed when everybody waits again."""
        asyncio.get_running_loop().call_soon(self._pass, seconds)

    def _pass(self, seconds: float) -> None:
        self.passed += seconds


class TestTime:
    """Of `relay`; in asyncio's own loop, whose clock can be put forward."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, Any]]:
        return "asyncio", {"use_uvloop": False}

    async def test_a_call_has_a_total(self) -> None:
        clock, client = _Clock(), await _asking()
        client.on_send = _once(lambda: setattr(clock, "passed", 60))
        body = (frame(TEXT="a"), anyio.Event())
        times = TimeLimits(total=50, keepalive=0)
        transport = MemoryTransport(lambda request: (200, SSE, body))
        await _relay(_attempt(), transport, client, times=times)
        assert client.reply.complete
        assert client.reply.pieces[-1] == frame(error="the call took longer than 50 s")
        assert transport.exchanges[0].outcome == "aborted"

    async def test_the_error_of_a_total_has_a_limit_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(relaying, "_GRACE", 0.0)
        clock, client = _Clock(), await _asking()

        async def never() -> None:
            clock.passed += 60
            await anyio.sleep_forever()

        client.on_send = never
        body = (frame(TEXT="a"), anyio.Event())
        transport = MemoryTransport(lambda request: (200, SSE, body))
        times = TimeLimits(total=50, send=0, keepalive=0)
        with pytest.raises(ClientStalled):
            await _relay(_attempt(), transport, client, times=times)
        assert transport.exchanges[0].outcome == "aborted"

    async def test_a_client_that_takes_nothing_is_given_up(self) -> None:
        clock, client = _Clock(), await _asking()

        async def never() -> None:
            clock.passed += 60
            await anyio.sleep_forever()

        client.on_send = never
        body = (frame(TEXT="a"), frame(TEXT="b"))
        transport = MemoryTransport(lambda request: (200, SSE, body))
        with pytest.raises(ClientStalled):
            await _relay(_attempt(), transport, client, times=TimeLimits(send=50))
        assert transport.exchanges[0].outcome == "aborted"
        assert not client.reply.complete

    async def test_silence_is_broken_by_signs_of_life(self) -> None:
        clock, client, go = _Clock(), await _asking(), anyio.Event()

        async def on_send() -> None:
            if len(client.reply.pieces) < 3:
                clock.jump(60)
            else:
                go.set()

        client.on_send = on_send
        body = (frame(TEXT="a"), go, frame(stop="end"), frame())
        times = TimeLimits(send=0, keepalive=50)
        transport = MemoryTransport(lambda request: (200, SSE, body))
        await _relay(_attempt(), transport, client, times=times)
        pieces = client.reply.pieces
        assert pieces[1:3] == [TOY.keepalive] * 2
        assert b"".join(pieces[3:]) == frame(stop="end") + frame()
        assert client.reply.complete

    async def test_a_chunk_waits_for_the_sign_before_it(self) -> None:
        clock, go = _Clock(), anyio.Event()

        class Slow(Client):
            async def write(self, body: bytes, *, more: bool) -> None:
                if body == TOY.keepalive:
                    go.set()
                    for _ in range(9):
                        await anyio.lowlevel.checkpoint()
                await super().write(body, more=more)
                if body and not go.is_set():
                    clock.jump(60)

        client = await _asking(Slow)
        body = (frame(TEXT="a"), go, frame(stop="end") + frame())
        transport = MemoryTransport(lambda request: (200, SSE, body))
        times = TimeLimits(send=0, keepalive=50)
        await _relay(_attempt(), transport, client, times=times)
        assert client.reply.pieces[1:] == [TOY.keepalive, frame(stop="end") + frame()]
        assert client.reply.complete

    async def test_silence_before_the_head_decides_it(self) -> None:
        clock, client, go = _Clock(), await _asking(), anyio.Event()
        asked: list[Head] = []

        async def slow(request: UpstreamRequest) -> Any:
            clock.passed += 60
            await go.wait()
            return 503, (), (b'{"error": "no"}',)

        async def on_send() -> None:
            go.set()

        def dress(head: Head) -> Head:
            asked.append(head)
            return Head(head.status, (*head.headers, ("x-request-id", "7")))

        client.on_send = on_send
        transport = MemoryTransport(slow)
        times = TimeLimits(keepalive=50)
        await _relay(_attempt(), transport, client, times=times, dress=dress)
        assert client.reply.status == 200
        assert client.reply.headers["x-request-id"] == "7"
        assert len(asked) == 1
        assert client.reply.pieces == [TOY.keepalive, frame(error="no")]

    async def test_an_error_that_has_begun_stays_a_status(self) -> None:
        clock, client, go = _Clock(), await _asking(), anyio.Event()

        def steps() -> Iterator[Step]:
            yield b'{"error": '
            clock.jump(60)
            _soon(9, go.set)
            yield go
            yield b'"no"}'

        transport = MemoryTransport(lambda request: (503, (), steps()))
        times = TimeLimits(keepalive=50)
        await _relay(_attempt(), transport, client, times=times)
        assert (client.reply.status, client.reply.json["error"]) == (503, "no")

    async def test_whole_answers_have_no_signs_of_life(self) -> None:
        clock, client = _Clock(), await _asking()

        async def slow(request: UpstreamRequest) -> Any:
            clock.passed += 60
            for _ in range(9):
                await anyio.lowlevel.checkpoint()
            return 200, (), (b'{"TEXT": "a", "stop": "end"}',)

        transport = MemoryTransport(slow)
        times = TimeLimits(keepalive=50)
        await _relay(_attempt(stream=False), transport, client, times=times)
        assert len(client.reply.pieces) == 1

    async def test_no_limits_at_all(self) -> None:
        times = TimeLimits(total=0, send=0, keepalive=0)
        reply, _ = await _relayed((frame(TEXT="a"), frame()), times=times)
        assert reply.complete


def _soon(turns: int, act: Callable[[], object]) -> None:
    """Act after some turns of the loop."""
    loop = asyncio.get_running_loop()
    if turns:
        loop.call_soon(_soon, turns - 1, act)
    else:
        act()


async def _asking(kind: type[Client] = Client) -> Client:
    client = kind(b"")
    await client.receive()
    return client


async def _relay(
    attempt: Attempt, transport: Transport, client: Client, **fields: Any
) -> None:
    with anyio.fail_after(10_000):
        await relay(attempt, transport, asked, client.receive, client, **fields)


def _once(act: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    acts = [act]

    async def on_send() -> None:
        if acts:
            acts.pop()()

    return on_send


@pytest.mark.parametrize("inside", [False, True])
async def test_a_shutdown_ends_what_runs(inside: bool) -> None:
    shutdown, client = Shutdown(), await _asking()
    body = ((frame(TEXT="a"),) if inside else ()) + (anyio.Event(),)
    transport = MemoryTransport(lambda request: (200, SSE, body))
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await _relay(_attempt(), transport, client, shutdown=shutdown)

        tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        assert shutdown.running == 1
        shutdown.expire()
    assert client.reply.complete
    assert client.reply.status == (200 if inside else 503)
    assert b"being stopped" in client.reply.body
    assert transport.exchanges[0].outcome == "aborted"
    assert shutdown.running == 0
    # Nor does any other begin.
    client = await _asking()
    await _relay(_attempt(), transport, client, shutdown=shutdown)
    assert client.reply.status == 503


async def test_what_is_being_sent_comes_before_the_error() -> None:
    shutdown, go = Shutdown(), anyio.Event()

    class Slow(Client):
        async def write(self, body: bytes, *, more: bool) -> None:
            await go.wait()
            await super().write(body, more=more)

    client = await _asking(Slow)
    body = (frame(TEXT="a"), anyio.Event())
    transport = MemoryTransport(lambda request: (200, SSE, body))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            partial(_relay, _attempt(), transport, client, shutdown=shutdown)
        )
        await anyio.wait_all_tasks_blocked()
        shutdown.expire()
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert client.reply.pieces[0].endswith(frame(text="a"))
    assert client.reply.complete
    assert b"being stopped" in client.reply.pieces[-1]


async def test_others_may_cancel_a_call() -> None:
    client = await _asking()
    transport = MemoryTransport(lambda request: (200, SSE, (anyio.Event(),)))
    with anyio.move_on_after(0.01) as scope:
        await _relay(_attempt(), transport, client)
    assert scope.cancelled_caught
    assert transport.exchanges[0].outcome == "aborted"
    assert client.reply.status == 0
    await anyio.lowlevel.checkpoint()
    assert not [task for task in asyncio.all_tasks() if "_until_left" in repr(task)]


async def test_both_may_cancel_a_call() -> None:
    client = await _asking()
    transport = MemoryTransport(lambda request: (200, SSE, (anyio.Event(),)))

    async def receive() -> Any:
        message = await client.receive()
        # It comes in the same turn of the loop.
        asyncio.get_running_loop().call_soon(task.cancel)
        return message

    task: asyncio.Future[None] = asyncio.ensure_future(
        relay(_attempt(), transport, asked, receive, client)
    )
    await anyio.wait_all_tasks_blocked()
    client.left.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert transport.exchanges[0].outcome == "aborted"


@pytest.mark.parametrize("at", [0, 1])
async def test_servers_that_say_so_when_a_client_has_left(at: int) -> None:
    client = await _asking()

    async def on_send() -> None:
        if len(client.reply.pieces) > at:
            raise BrokenPipeError

    client.on_send = on_send
    body = (frame(TEXT="a"), frame(TEXT="b"), anyio.Event())
    transport = MemoryTransport(lambda request: (200, SSE, body))
    await _relay(_attempt(), transport, client)
    assert transport.exchanges[0].outcome == "aborted"


async def test_large_answers_are_complete_when_they_were_taken() -> None:
    text = "x" * 100_000
    body = json.dumps({"TEXT": text, "stop": "end"}).encode()
    reply, _ = await _relayed((body,), headers=(), stream=False)
    assert [len(piece) > 65536 for piece in reply.pieces] == [True, False]
    assert reply.complete
    assert reply.json["text"] == text


async def test_heads_are_dressed_once_and_other_replies_too() -> None:
    asked: list[int] = []

    def dress(head: Head) -> Head:
        asked.append(head.status)
        return Head(head.status, (*head.headers, ("x-request-id", "7")))

    reply, _ = await _relayed((frame(TEXT="a"), frame(stop="end")), dress=dress)
    assert reply.headers["x-request-id"] == "7"
    reply, _ = await _relayed(
        (b'{"error": "no"}',),
        404,
        dress=dress,
        instead=lambda error: HTTPReply(status=200, body=b"{}"),
    )
    assert reply.headers["x-request-id"] == "7"
    reply, _ = await _relayed((b'{"error": "no"}',), 404, dress=dress)
    assert reply.headers["x-request-id"] == "7"
    assert asked == [200, 200, 404]


async def test_what_goes_wrong_is_logged_without_what_peers_wrote(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "llmwire")
    failure = UpstreamFailure("reset", "why")
    await _relayed((frame(TEXT="secret"), failure), request_id="7")
    await _relayed((b'{"error": "secret"}',), 404, request_id="8")
    [record] = caplog.records
    assert record.getMessage() == "the upstream failed: reset: why"
    assert record.__dict__["request_id"] == "7"
    assert "secret" not in caplog.text
