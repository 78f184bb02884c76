"""Tests of `llmwire_server.relay`: the pump, failures at every stage, and clients that
leave."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from llmwire import APIError, Exchange, HTTPReply, HTTPRequest
from llmwire.attempt import Attempt
from llmwire_server import relay as relaying
from llmwire_server.client import Leaving
from llmwire_server.relay import relay, send_reply
from llmwire_server.upstream import (
    FailureKind,
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


def asked() -> UpstreamRequest:
    return REQUEST


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
    await relay(attempt, transport, asked, client.receive, client, **fields)
    return client.reply, transport


async def test_replies_have_their_length() -> None:
    client = Client(b"")
    headers = (("content-length", "9"), ("x", "é…"))
    await send_reply(client, HTTPReply(status=404, headers=headers, body=b"no"))
    assert client.reply.status == 404
    assert client.reply.headers == {"x": "é…", "content-length": "2"}
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


async def test_first_words_go_ahead_of_what_came_with_them() -> None:
    words = [frame(TEXT=f"word {at}") for at in range(1000)]
    chunk = frame(start="1") + b"".join(words)
    reply, _ = await _relayed((chunk, b"".join(words), frame(stop="end"), frame()))
    first, rest, second, *end = reply.pieces
    assert first.startswith(frame(start="1") + frame(text="word 0"))
    assert len(first) < 4096 < len(rest)
    assert first + rest == frame(start="1") + second
    assert second == b"".join(words).replace(b"TEXT", b"text")
    assert end == [frame(stop="end"), frame()]


async def test_an_answer_may_be_over_in_its_first_bytes() -> None:
    end = frame(stop="end") + frame()
    chunk = frame(start="1") + frame(TEXT="a") + end + b":" * 4096
    reply, transport = await _relayed((chunk, b"more"))
    assert b"".join(reply.pieces) == frame(start="1") + frame(text="a") + end
    assert reply.complete
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
    await relay(_attempt(), transport, asked, client.receive, client)
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
        await relay(_attempt(), Transport(), asked, client.receive, client)
    assert client.reply.complete
    assert client.reply.status == (200 if first else 500)
    assert b"llmwire failed" in client.reply.body


async def test_what_was_sent_is_let_go_of_when_an_answer_begins() -> None:
    attempt = _attempt()
    sent = replace(REQUEST, body=attempt.http.body)
    transport = MemoryTransport(lambda request: (200, SSE, (frame(), b"")))
    client = Client(b"")
    await client.receive()
    await relay(attempt, transport, lambda: sent, client.receive, client)
    assert transport.exchanges[0].request.body
    assert attempt.http.body == b""


async def test_what_cannot_be_sent_is_told() -> None:
    request = UpstreamRequest(
        method="POST", scheme="http", host="h", port=80, target="no"
    )
    client = Client(b"")
    await client.receive()
    transport = MemoryTransport(lambda request: (200, (), ()))
    with pytest.raises(Exception, match="the target must be"):
        await relay(_attempt(), transport, lambda: request, client.receive, client)
    assert client.reply.status == 500


async def test_nothing_is_sent_while_nothing_is_decided() -> None:
    # A relay that holds an attempt gives nothing of it.
    attempt = _attempt()
    attempt.hold()
    client = Client(b"")
    await client.receive()
    transport = MemoryTransport(lambda request: (200, SSE, (frame(TEXT="a"), frame())))
    await relay(attempt, transport, asked, client.receive, client)
    assert client.reply.status == 0


# --- Clients that leave ----------------------------------------------------------


async def test_a_client_that_leaves_cancels_the_upstream() -> None:
    client = Client(b"first", b"second")
    await client.receive()
    transport = MemoryTransport(lambda request: (200, SSE, (anyio.Event(),)))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                relay, _attempt(), transport, asked, client.receive, client
            )
            await anyio.wait_all_tasks_blocked()
            client.left.set()
    assert transport.exchanges[0].outcome == "aborted"
    assert client.reply.status == 0


@pytest.mark.parametrize("early", [False, True])
async def test_a_server_may_tell_by_itself_that_a_client_has_left(early: bool) -> None:
    async def never() -> Any:
        raise AssertionError("nobody asks for the client's messages")

    client, leaving = Client(b""), Leaving()
    transport = MemoryTransport(lambda request: (200, SSE, (anyio.Event(),)))

    async def carry() -> None:
        await relay(_attempt(), transport, asked, never, client, leaving=leaving)

    if early:
        leaving.tell()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(carry)
            await anyio.wait_all_tasks_blocked()
            if not early:
                leaving.tell()
    assert all(each.outcome == "aborted" for each in transport.exchanges)
    assert client.reply.status == 0


async def test_a_client_that_leaves_after_its_answer_changes_nothing() -> None:
    leaving = Leaving()
    reply, _ = await _relayed((frame(start="1"), frame()), leaving=leaving)
    leaving.tell()
    assert reply.complete


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
                    upstream.request,
                    client.receive,
                    client,
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
            await relay(_attempt(), pool, upstream.request, client.receive, client)
            assert client.reply.complete
        assert upstream.accepted == 1
        assert (pool.counts.busy, pool.counts.idle) == (0, 1)


def test_every_failure_has_a_kind() -> None:
    assert set(relaying._KINDS) == set(FailureKind.__args__)  # type: ignore[attr-defined]  # a Literal
