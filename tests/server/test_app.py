"""Tests of `llmwire_server.app`: paths, methods, bodies, the lifespan."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from llmwire import Limits
from llmwire_server.app import App
from llmwire_server.config import load
from llmwire_server.upstream.pool import Pool
from tests.server.calling import Client, call, scope

pytestmark = pytest.mark.anyio

CHAT = {"model": "simulator", "messages": [{"role": "user", "content": "Hi"}]}
MESSAGES = {**CHAT, "max_tokens": 9}


def _app(**fields: Any) -> App:
    return App(load(environment={}), **fields)


async def test_health() -> None:
    reply = await call(_app(), "/health", method="GET")
    assert (reply.status, reply.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/v1/chat/completions", CHAT, ("choices", 0, "message", "content")),
        (
            "/v1/responses",
            {"model": "m", "input": "Hi"},
            ("output", 0, "content", 0, "text"),
        ),
        ("/v1/messages", MESSAGES, ("content", 0, "text")),
        (
            "/v1beta/models/a%2Fb:generateContent?key=k",
            {"contents": [{"parts": [{"text": "Hi"}]}]},
            ("candidates", 0, "content", "parts", 0, "text"),
        ),
    ],
)
async def test_everybody_is_answered(path: str, body: Any, where: Any) -> None:
    reply = await call(_app(), path, body)
    assert reply.status == 200
    found = reply.json
    for step in where:
        found = found[step]
    assert found == "You said: Hi"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "where"),
    [
        ("POST", "/nowhere", (), 404, ("error", "message")),
        ("GET", "/v1/responses/x", (), 404, ("error", "message")),
        ("POST", "/v1/messages/batches", (), 404, ("error", "message")),
        ("POST", "/v1beta/nowhere", (), 404, ("error", "status")),
        (
            "GET",
            "/x",
            (("anthropic-version", "2023-06-01"),),
            404,
            ("error", "message"),
        ),
        ("GET", "/v1/chat/completions", (), 405, ("error", "message")),
        ("PUT", "/v1/messages", (), 405, ("error", "message")),
        ("DELETE", "/v1/models", (), 405, ("error", "message")),
        ("GET", "/v1beta/models/m:generateContent", (), 405, ("error", "status")),
    ],
)
async def test_what_is_not_served(
    method: str, path: str, headers: Any, status: int, where: Any
) -> None:
    reply = await call(_app(), path, method=method, headers=headers)
    assert reply.status == status
    found = reply.json
    for step in where:
        found = found[step]
    assert found
    is_anthropic = "messages" in path or bool(headers)
    assert (reply.json.get("type") == "error") is is_anthropic
    if status == 405:
        assert reply.headers["allow"] == ("GET" if method == "DELETE" else "POST")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b"{"),
        ("/v1/responses", b"[]"),
        ("/v1/messages", b'{"messages": 7}'),
        ("/v1beta/models/m:generateContent", b"\xff"),
        ("/v1/messages/count_tokens", b""),
    ],
)
async def test_bad_bodies(path: str, body: bytes) -> None:
    reply = await call(_app(), path, body)
    assert reply.status == 400
    assert reply.json["error"]["message"]


async def test_bodies_come_in_pieces_and_have_a_limit() -> None:
    body = b'{"model": "simulator", "messages": []}' + b" " * 999
    client = Client(body[:9], b"", body[9:])
    app = _app(limits=Limits(body=len(body)))
    await app(scope("POST", "/v1/chat/completions"), client.receive, client.send)
    assert client.reply.status == 200
    for chunks in ((body, b" "), (body + b" ",)):
        client = Client(*chunks)
        await app(scope("POST", "/v1/messages"), client.receive, client.send)
        assert client.reply.status == 413
        assert client.reply.json["error"]["type"] == "request_too_large"


async def test_a_client_that_leaves_before_its_body_is_not_answered() -> None:
    client = Client(b"{", b"")
    await client.receive()
    client._messages.clear()
    client.left.set()
    await _app()(scope("POST", "/v1/messages"), client.receive, client.send)
    assert client.reply.status == 0


async def test_servers_without_a_raw_path() -> None:
    client = Client(b'{"contents": [{"parts": [{"text": "Hi"}]}]}')
    said = scope("POST", "/v1beta/models/ü m:generateContent")
    del said["raw_path"]
    await _app()(said, client.receive, client.send)
    assert client.reply.status == 200


async def test_the_lifespan_opens_and_closes_the_pool() -> None:
    pool = Pool()
    app = _app(pool=pool)
    to_app, from_server = anyio.create_memory_object_stream[dict[str, Any]](1)
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    with to_app, from_server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, {"type": "lifespan"}, from_server.receive, send)
            await to_app.send({"type": "lifespan.startup"})
            await anyio.wait_all_tasks_blocked()
            assert sent == ["lifespan.startup.complete"]
            assert pool._group is not None
            await to_app.send({"type": "lifespan.shutdown"})
    assert sent[-1] == "lifespan.shutdown.complete"
    assert pool._group is None


async def test_websockets_are_refused() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await _app()({"type": "websocket"}, Client(b"").receive, send)
    assert sent == [{"type": "websocket.close", "code": 1003}]
