"""Tests of `llmwire_server.relay`: the pump, failures at every stage, and clients that
leave."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

import anyio
import pytest

from llmwire import APIError, Exchange, Head, HTTPReply, HTTPRequest
from llmwire.attempt import Attempt
from llmwire_server import relay as relaying
from llmwire_server.config.tree import TimeLimits
from llmwire_server.relay import ClientStalled, relay, send_reply
from llmwire_server.shutdown import Shutdown
from llmwire_server.upstream import (
    FailureKind,
    Transport,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamResponse,
)
from llmwire_server.upstream.memory import MemoryTransport, Step
from llmwire_server.upstream.pool import Pool
from tests.server.calling import Client, Reply
from tests.server.upstream.loopback import Peer, chunk, serve
from tests.toys import OTHER, TOY, frame

pytestmark = pytest.mark.anyio

SSE = (("content-type", "text/event-stream"),)
REQUEST = UpstreamRequest(
    method="POST", scheme="http", host="memory", port=80, target="/"
)


def _attempt(stream: bool = True) -> Attempt:
    exchange = Exchange(TOY)
    body = json.dumps({"model": "m", "stream": stream}).encode()
    exchange.receive_request(HTTPRequest(method="POST", path="/text", body=body))
    return exchange.attempt(OTHER)


async def _relayed(
    body: Iterable[Step], status: int = 200, headers: Any = SSE, **fields: Any
) -> tuple[Reply, MemoryTransport]:
    client = Client(b"")
    await client.receive()
    transport = MemoryTransport(lambda request: (status, headers, body))
    attempt = _attempt(fields.pop("stream", True))
    await relay(attempt, transport, REQUEST, client.receive, client.send, **fields)
    return client.reply, transport


async def test_replies_have_their_length() -> None:
    client = Client(b"")
    headers = (("content-length", "9"), ("x", "é…"))
    await send_reply(client.send, HTTPReply(status=404, headers=headers, body=b"no"))
    assert client.reply.status == 404
    assert client.reply.headers == {"x": "é?", "content-length": "2"}
    assert client.reply.body == b"no"


async def test_chunks_go_on_as_they_come() -> None:
    chunks = (frame(start="1"), frame(TEXT="a"), frame(stop="end"), frame(), b"more")
    reply, transport = await _relayed(chunks)
    assert reply.status == 200
    assert "content-length" not in reply.headers
    assert reply.pieces == [
        frame(start="1") + frame(text="a"),
        frame(stop="end"),
        frame(),
    ]
    # The rest was read, so that the connection can be used again.
    assert transport.exchanges[0].outcome == "complete"


async def test_a_body_is_one_piece() -> None:
    body = b'{"TEXT": "a", "stop": "end"}'
    reply, _ = await _relayed((body[:5], body[5:]), headers=(), stream=False)
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.json["text"] == "a"
    assert len(reply.pieces) == 1


async def test_a_stream_that_stops_says_so() -> None:
    reply, _ = await _relayed((frame(TEXT="a"),))
    assert reply.complete
    assert reply.pieces[-1] == frame(error="broke off")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("connect", 502),
        ("tls", 502),
        ("pool", 503),
        ("timeout", 504),
        ("reset", 502),
        ("truncated", 502),
        ("protocol", 502),
    ],
)
async def test_failures_have_a_status(kind: FailureKind, status: int) -> None:
    failure = UpstreamFailure(kind, "why")
    reply, _ = await _relayed((frame(start="1"), failure))
    assert reply.status == status
    assert reply.json["error"] == f"the upstream failed: {kind}: why"

    def refuse(request: UpstreamRequest) -> Any:
        raise failure

    client = Client(b"")
    await client.receive()
    transport = MemoryTransport(refuse)
    await relay(_attempt(), transport, REQUEST, client.receive, client.send)
    assert client.reply.status == status


async def test_failures_inside_an_answer_end_it() -> None:
    failure = UpstreamFailure("reset", "why")
    reply, _ = await _relayed((frame(TEXT="a"), failure))
    assert reply.status == 200
    assert reply.pieces[-1] == frame(error="the upstream failed: reset: why")


async def test_another_reply_instead_of_an_error() -> None:
    asked: list[APIError] = []

    def instead(error: APIError) -> HTTPReply | None:
        asked.append(error)
        return HTTPReply(status=200, body=b"{}") if error.status == 404 else None

    body = (b'{"error": "no"}',)
    reply, _ = await _relayed(body, 404, instead=instead)
    assert (reply.status, reply.body) == (200, b"{}")
    reply, _ = await _relayed(body, 403, instead=instead)
    assert (reply.status, len(asked)) == (403, 2)
    reply, _ = await _relayed((frame(TEXT="a"), frame(error="x")), instead=instead)
    assert (reply.status, len(asked)) == (200, 2)


class _Bug(Exception):
    """Of ours."""


@pytest.mark.parametrize("first", [(), (frame(TEXT="a"),)])
async def test_our_own_faults_are_told_and_raised(first: tuple[bytes, ...]) -> None:
    class Broken:
        status = 200
        headers = SSE

        def __init__(self) -> None:
            self.chunks = list(first)

        async def receive(self) -> bytes:
            if not self.chunks:
                raise _Bug
            return self.chunks.pop()

    class Transport:
        @contextlib.asynccontextmanager
        async def open(self, request: Any) -> AsyncIterator[UpstreamResponse]:
            broken: Any = Broken()
            yield broken

    client = Client(b"")
    await client.receive()
    with pytest.raises(_Bug):
        await relay(_attempt(), Transport(), REQUEST, client.receive, client.send)
    assert client.reply.complete
    assert client.reply.status == (200 if first else 500)
    assert b"llmwire failed" in client.reply.body


async def test_what_cannot_be_sent_is_told() -> None:
    request = UpstreamRequest(
        method="POST", scheme="http", host="h", port=80, target="no"
    )
    client = Client(b"")
    await client.receive()
    transport = MemoryTransport(lambda request: (200, (), ()))
    with pytest.raises(Exception, match="the target must be"):
        await relay(_attempt(), transport, request, client.receive, client.send)
    assert client.reply.status == 500


async def test_nothing_is_sent_while_nothing_is_decided() -> None:
    # A relay that holds an attempt gives nothing of it.
    attempt = _attempt()
    attempt.hold()
    client = Client(b"")
    await client.receive()
    transport = MemoryTransport(lambda request: (200, SSE, (frame(TEXT="a"), frame())))
    await relay(attempt, transport, REQUEST, client.receive, client.send)
    assert client.reply.status == 0


# --- Clients that leave ----------------------------------------------------------


async def test_a_client_that_leaves_cancels_the_upstream() -> None:
    client = Client(b"first", b"second")
    await client.receive()
    transport = MemoryTransport(lambda request: (200, SSE, (anyio.Event(),)))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                relay, _attempt(), transport, REQUEST, client.receive, client.send
            )
            await anyio.wait_all_tasks_blocked()
            client.left.set()
    assert transport.exchanges[0].outcome == "aborted"
    assert client.reply.status == 0


@pytest.mark.parametrize("answered", ["nothing", "head", "piece"])
async def test_the_upstream_sees_its_connection_closed(answered: str) -> None:
    closed = anyio.Event()
    waiting = anyio.Event()

    async def stall(peer: Peer) -> None:
        await peer.read()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        if answered != "nothing":
            await peer.send(head + b"transfer-encoding: chunked\r\n\r\n")
        if answered == "piece":
            await peer.send(chunk(frame(TEXT="a")))
        waiting.set()
        try:
            await peer.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            closed.set()

    client = Client(b"")
    await client.receive()
    came = anyio.Event()

    async def on_send() -> None:
        came.set()

    client.on_send = on_send
    with anyio.fail_after(5):
        async with serve(stall) as upstream, Pool() as pool:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(
                    relay,
                    _attempt(),
                    pool,
                    upstream.request(),
                    client.receive,
                    client.send,
                )
                await waiting.wait()
                if answered == "piece":
                    await came.wait()
                client.left.set()
            await closed.wait()
            assert (pool.counts.busy, pool.counts.idle, pool.counts.waiting) == (
                0,
                0,
                0,
            )


async def test_a_connection_whose_answer_was_read_is_used_again() -> None:
    body = frame(TEXT="a") + frame(stop="end") + frame()

    async def answer(peer: Peer) -> None:
        while True:
            await peer.read()
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            await peer.send(
                head + b"transfer-encoding: chunked\r\n\r\n", chunk(body), chunk(b"")
            )

    async with serve(answer) as upstream, Pool() as pool:
        for _ in range(3):
            client = Client(b"")
            await client.receive()
            await relay(
                _attempt(), pool, upstream.request(), client.receive, client.send
            )
            assert client.reply.complete
        assert upstream.accepted == 1
        assert (pool.counts.busy, pool.counts.idle) == (0, 1)


def test_every_failure_has_a_kind() -> None:
    assert set(relaying._KINDS) == set(FailureKind.__args__)  # type: ignore[attr-defined]  # a Literal


# --- Time, and ends from outside -------------------------------------------------


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
        clock, client, go = _Clock(), await _asking(), anyio.Event()

        async def send(message: Any) -> None:
            if message.get("body") == TOY.keepalive:
                go.set()
                for _ in range(9):
                    await anyio.lowlevel.checkpoint()
            await client.send(message)
            if message.get("body") and not go.is_set():
                clock.jump(60)

        body = (frame(TEXT="a"), go, frame(stop="end") + frame())
        transport = MemoryTransport(lambda request: (200, SSE, body))
        times = TimeLimits(send=0, keepalive=50)
        await relay(_attempt(), transport, REQUEST, client.receive, send, times=times)
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


async def _asking() -> Client:
    client = Client(b"")
    await client.receive()
    return client


async def _relay(
    attempt: Attempt, transport: Transport, client: Client, **fields: Any
) -> None:
    with anyio.fail_after(10_000):
        await relay(attempt, transport, REQUEST, client.receive, client.send, **fields)


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
    shutdown, client, go = Shutdown(), await _asking(), anyio.Event()

    async def send(message: Any) -> None:
        await go.wait()
        await client.send(message)

    body = (frame(TEXT="a"), anyio.Event())
    transport = MemoryTransport(lambda request: (200, SSE, body))
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await relay(
                _attempt(),
                transport,
                REQUEST,
                client.receive,
                send,
                shutdown=shutdown,
            )

        tasks.start_soon(run)
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

    task = asyncio.ensure_future(
        relay(_attempt(), transport, REQUEST, receive, client.send)
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
