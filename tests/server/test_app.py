"""Tests of `llmwire_server.app`: the door, in the order in which it asks."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from typing import Any

import anyio
import pytest

from llmwire import Limits
from llmwire_server.app import App
from llmwire_server.backends import SIMULATOR, TLS, Backend, Secret
from llmwire_server.client import ASGIClient
from llmwire_server.config import Config, load
from llmwire_server.config.tree import (
    CORS,
    ConnectionLimits,
    RequestLimits,
    Simulator,
    TimeLimits,
)
from llmwire_server.incoming import Incoming
from llmwire_server.upstream.pool import Pool
from tests.server.calling import Client, Reply, call, scope

pytestmark = pytest.mark.anyio

CHAT = {"model": "simulator", "messages": [{"role": "user", "content": "Hi"}]}
MESSAGES = {**CHAT, "max_tokens": 9}


SIMULATED = {SIMULATOR: Backend(name=SIMULATOR, dialect="openai-chat")}
EVERYBODY = [
    ("/v1/chat/completions", CHAT),
    ("/v1/responses", {"model": "m", "input": "Hi"}),
    ("/v1/messages", MESSAGES),
    (
        "/v1beta/models/m:generateContent",
        {"contents": [{"parts": [{"text": "Hi"}]}]},
    ),
]
"""A call of every dialect."""


def _app(**fields: Any) -> App:
    return App(load(environment={}), **fields)


def _told(**fields: Any) -> App:
    """An app whose configuration says `fields`."""
    given: dict[str, Any] = {"backends": SIMULATED, "default_backend": SIMULATOR}
    return App(Config(**(given | fields)))


async def _from(
    app: App, host: str | None, path: str, headers: Iterable[tuple[str, str]] = ()
) -> Reply:
    """A call of Chat from an address."""
    client = Client(b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}')
    said = scope("POST", path, headers)
    said["client"] = None if host is None else (host, 50000)
    await app(said, client.receive, client.send)
    return client.reply


def _is_native(path: str, error: Any) -> bool:
    """Whether an error has the envelope of the dialect of `path`."""
    if "messages" in path:
        return bool(error["type"] == "error" and error["error"]["type"])
    if "v1beta" in path:
        return bool(error["error"]["status"] and error["error"]["code"])
    return bool(error["error"]["type"]) and "param" in error["error"]


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
        reading = method == "DELETE"
        allow = "GET, HEAD, OPTIONS" if reading else "OPTIONS, POST"
        assert reply.headers["allow"] == allow


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


@pytest.mark.parametrize("length", ["\xb2", "-1", "", "9" * 5000])
async def test_a_length_that_is_none_is_refused(length: str) -> None:
    client = Client(b"{}")
    said = scope("POST", "/v1/messages", [("content-length", length)])
    await _app()(said, client.receive, client.send)
    assert client.reply.status == 400
    assert "content-length is no number" in client.reply.json["error"]["message"]


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


# --- Who may call ----------------------------------------------------------------

KEYS = (Secret("first-client-key"), Secret("second-client-key"))


@pytest.mark.parametrize(("path", "body"), EVERYBODY)
@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ((), "", 401),
        ((("authorization", "Bearer first-client-key"),), "", 200),
        ((("x-api-key", "second-client-key"),), "", 200),
        ((("x-goog-api-key", "first-client-key"),), "", 200),
        ((), "?key=second-client-key", 200),
        (
            (("x-api-key", "dummy"), ("authorization", "Bearer first-client-key")),
            "",
            200,
        ),
        ((("authorization", "Bearer third"),), "", 401),
        ((("authorization", "Basic first-client-key"),), "", 401),
        ((("x-api-key", "first-client-ke"),), "", 401),
        ((("api-key", "first-client-key"),), "", 401),
        ((), "?key=", 401),
    ],
)
async def test_client_keys(
    path: str, body: Any, headers: Any, query: str, status: int
) -> None:
    reply = await call(_told(keys=KEYS), path + query, body, headers=headers)
    assert reply.status == status
    if status == 401:
        assert _is_native(path, reply.json)
        assert reply.headers["www-authenticate"] == "Bearer"
        assert "client-key" not in reply.body.decode() + str(reply.headers)


async def test_keys_are_asked_for_from_everywhere() -> None:
    app = _told(keys=KEYS)
    for host in ("127.0.0.1", "10.0.0.1", None):
        assert (await _from(app, host, "/v1/chat/completions")).status == 401
        reply = await _from(app, host, "/v1/chat/completions?key=first-client-key")
        assert reply.status == 200


async def test_lists_need_a_key_and_probes_do_not() -> None:
    app = _told(keys=KEYS)
    for path in ("/v1/models", "/models", "/anthropic/v1/models", "/v1beta/models"):
        assert (await call(app, path, method="GET")).status == 401
    for path in ("/health", "/live", "/ready"):
        assert (await call(app, path, method="GET")).status in (200, 503)


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("127.0.0.1", (), 200),
        ("127.8.0.1", (), 200),
        ("::1", (), 200),
        ("::ffff:127.0.0.1", (), 200),
        ("10.0.0.1", (), 403),
        ("2001:db8::1", (), 403),
        (None, (), 403),
        ("10.0.0.1", (("x-forwarded-for", "127.0.0.1"),), 403),
        ("10.0.0.1", (("forwarded", "for=127.0.0.1"),), 403),
        ("10.0.0.1", (("x-real-ip", "127.0.0.1"),), 403),
        ("127.0.0.1", (("x-forwarded-for", "127.0.0.1"),), 403),
        ("127.0.0.1", (("via", "1.1 proxy"),), 403),
        ("127.0.0.1", (("host", "localhost:8000"),), 200),
        ("127.0.0.1", (("host", "rebound.evil.example"),), 403),
        ("127.0.0.1", (("origin", "http://localhost:3000"),), 200),
        ("127.0.0.1", (("origin", "https://evil.example"),), 403),
        ("127.0.0.1", (("origin", "null"),), 403),
    ],
)
async def test_without_keys_only_this_machine_is_served(
    host: str | None, headers: Any, status: int
) -> None:
    reply = await _from(_told(), host, "/v1/chat/completions", headers)
    assert reply.status == status
    if status == 403:
        assert "set `keys`" in reply.json["error"]["message"]


async def test_an_origin_that_is_allowed_may_call_without_keys() -> None:
    app = _told(cors=CORS(origins=("https://app.example",)))
    headers = (("origin", "https://app.example"),)
    reply = await _from(app, "127.0.0.1", "/v1/chat/completions", headers)
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == "https://app.example"


# --- Methods ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1beta/models", "/anthropic/v1/models", "/health", "/live"]
)
async def test_head_is_get_without_a_body(path: str) -> None:
    app = _told()
    whole = await call(app, path, method="GET")
    head = await call(app, path, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body)) != "0"
    differ = {"x-request-id", "request-id"}
    assert {k: v for k, v in head.headers.items() if k not in differ} == {
        k: v for k, v in whole.headers.items() if k not in differ
    }


async def test_head_of_what_is_not_there() -> None:
    reply = await call(_told(), "/v1/models/none", method="HEAD")
    assert (reply.status, reply.body) == (404, b"")
    assert int(reply.headers["content-length"]) > 0
    assert (await call(_told(), "/v1/messages", method="HEAD")).status == 405


async def test_options_tells_the_methods_and_needs_no_key() -> None:
    app = _told(keys=KEYS)
    for path, allow in (
        ("/v1/messages", "OPTIONS, POST"),
        ("/v1/models", "GET, HEAD, OPTIONS"),
    ):
        reply = await call(app, path, method="OPTIONS")
        assert (reply.status, reply.headers["allow"]) == (200, allow)
        assert not [name for name in reply.headers if name.startswith("access-")]


async def test_a_preflight_and_the_call_that_follows() -> None:
    app = _told(cors=CORS(origins=("https://app.example",)), keys=KEYS)
    asked = (
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type"),
    )
    reply = await call(app, "/v1/messages", method="OPTIONS", headers=asked)
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == "https://app.example"
    assert reply.headers["access-control-allow-methods"] == "OPTIONS, POST"
    assert reply.headers["access-control-allow-headers"] == "authorization,content-type"
    for key, status in (("first-client-key", 200), ("wrong", 401)):
        headers = (*asked[:1], ("x-api-key", key))
        reply = await call(app, "/v1/messages", MESSAGES, headers=headers)
        assert reply.status == status
        assert reply.headers["access-control-allow-origin"] == "https://app.example"
        assert reply.headers["vary"] == "origin"
    asked = (("origin", "https://evil.example"), *asked[1:])
    reply = await call(app, "/v1/messages", method="OPTIONS", headers=asked)
    assert "access-control-allow-origin" not in reply.headers
    assert "access-control-allow-methods" not in reply.headers


# --- Limits ----------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body"), EVERYBODY)
async def test_limits_are_told_in_the_clients_dialect(path: str, body: Any) -> None:
    limits = RequestLimits(
        body=400, headers=4, header_bytes=100, nesting=20, messages=2, concurrent=1
    )
    app = _told(limits=limits)
    deep = b'{"a": ' + b"[" * 30 + b"]" * 30 + b"}"
    many: dict[str, Any] = {"role": "user", "content": "Hi"}
    too_much = 413
    if "v1beta" in path:
        many = {"parts": [{"text": "Hi"}]}
        too_much = 400  # Google's status for it
    name = {"responses": "input", "beta/mode": "contents"}.get(path[4:13], "messages")
    asked = [
        ((("a", "b"),) * 5, body, 431),
        ((("a", "b" * 100),), body, 431),
        ((), b" " * 401, 413),
        ((("content-length", "401"),), b"{}", 413),
        ((("content-encoding", "gzip"),), gzip.compress(b" " * 401), 413),
        ((("content-encoding", "br"),), b"{}", 415),
        ((("content-encoding", "gzip"),), b"{}", 400),
        ((("content-length", "x"),), b"{}", 400),
        ((("transfer-encoding", "gzip, chunked"),), b"{}", 501),
        ((("host", "a"), ("host", "b")), b"{}", 400),
        ((), deep, 400),
        ((), {"model": "m", "max_tokens": 1, name: [many] * 3}, too_much),
    ]
    for headers, sent, status in asked:
        reply = await call(app, path, sent, headers=headers)
        assert reply.status == status, (headers, reply.body)
        assert _is_native(path, reply.json)
    reply = await call(app, path + "?" + "a" * 100, body)
    assert reply.status == 414
    assert (await call(app, path, body)).status == 200


async def test_an_inflated_body_is_read() -> None:
    body = gzip.compress(
        b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}'
    )
    reply = await call(
        _told(), "/v1/chat/completions", body, headers=(("content-encoding", "gzip"),)
    )
    assert reply.json["choices"][0]["message"]["content"] == "You said: Hi"


@pytest.mark.parametrize(("path", "body"), EVERYBODY)
async def test_no_more_calls_at_once_than_allowed(path: str, body: Any) -> None:
    app = _told(limits=RequestLimits(concurrent=2))
    waiting = [Client(b"{", b""), Client(b"{", b"")]
    async with anyio.create_task_group() as tasks:
        for client in waiting:
            await client.receive()
            client._messages.clear()
            said = scope("POST", "/v1/messages")
            tasks.start_soon(app, said, client.receive, client.send)
        await anyio.wait_all_tasks_blocked()
        reply = await call(app, path, body)
        assert reply.status == (529 if "messages" in path else 503)
        assert reply.headers["retry-after"] == "1"
        assert _is_native(path, reply.json)
        assert (await call(app, "/v1/models", method="GET")).status == 200
        waiting[0].left.set()
        await anyio.wait_all_tasks_blocked()
        assert (await call(app, path, body)).status == 200
        waiting[1].left.set()
    assert app._calls == 0


async def test_a_body_that_comes_too_slowly_is_refused() -> None:
    app = _told(timeouts=TimeLimits(body=0.001))
    client = Client(b"{", b"")
    await client.receive()
    client._messages.clear()
    await app(scope("POST", "/v1/messages"), client.receive, client.send)
    assert client.reply.status == 408
    assert client.reply.headers["connection"] == "close"
    assert _is_native("/v1/messages", client.reply.json)


async def test_a_refusal_before_the_body_ends_the_connection_of_who_waits() -> None:
    app = _told(keys=KEYS)
    for expect in ((), (("expect", "100-continue"),)):
        reply = await call(app, "/v1/messages", MESSAGES, headers=expect)
        assert reply.status == 401
        assert ("connection" in reply.headers) is bool(expect)


# --- Ids, readiness, the end -------------------------------------------------------


async def test_every_answer_has_an_id() -> None:
    app = _told()
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/v1/messages", MESSAGES),
        ("POST", "/v1/messages", b"{"),
        ("GET", "/nowhere", b""),
        ("GET", "/health", b""),
        ("OPTIONS", "/v1/models", b""),
    ]
    seen = set()
    for method, path, body in asked:
        reply = await call(app, path, body, method=method)
        seen.add(reply.headers["x-request-id"])
        headers = (("x-request-id", "mine-1"),)
        reply = await call(app, path, body, method=method, headers=headers)
        assert reply.headers["x-request-id"] == "mine-1"
    assert len(seen) == len(asked)
    for bad in ("x" * 129, "a b", ""):
        reply = await call(
            app, "/health", method="GET", headers=(("x-request-id", bad),)
        )
        assert reply.headers["x-request-id"].startswith("req_")
    reply = await call(app, "/v1/messages", MESSAGES)
    assert reply.headers["request-id"] == reply.headers["x-request-id"]


async def test_ready_only_while_it_runs() -> None:
    app = _told(keys=KEYS)
    assert (await call(app, "/ready", method="GET")).status == 503
    app._running = True
    reply = await call(app, "/ready", method="GET")
    assert reply.json == {
        "status": "ready",
        "backends": {SIMULATOR: {"reachable": None}},
    }
    headers = (("x-api-key", "first-client-key"),)
    assert (await call(app, "/v1/messages", MESSAGES, headers=headers)).status == 200
    reply = await call(app, "/ready", method="GET")
    assert reply.json["backends"] == {SIMULATOR: {"reachable": True}}
    app.shutdown.begin()
    reply = await call(app, "/ready", method="GET")
    assert (reply.status, reply.json["status"]) == (503, "stopping")
    assert (await call(app, "/health", method="GET")).status == 200
    for path, body in EVERYBODY:
        reply = await call(app, path, body, headers=headers)
        assert reply.status == (529 if "messages" in path else 503)
        assert _is_native(path, reply.json)
    reply = await call(app, "/ready", method="POST")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


async def test_a_port_may_tell_the_dialect() -> None:
    app = _told()
    for path, key in (
        ("/v1/models", "has_more"),
        ("/models", "has_more"),
        ("/x", "type"),
    ):
        client = Client(b"")
        head = Incoming("GET", path, "", [], peer="127.0.0.1", dialect="anthropic")
        await app.serve(head, ASGIClient(client.receive, client.send))
        assert key in client.reply.json


# --- Reload ----------------------------------------------------------------------


async def test_a_new_configuration_is_for_calls_that_come() -> None:
    app = _told(keys=KEYS[:1])
    client = Client(b"{", b"}")
    second = client._messages.pop()
    headers = (("x-api-key", "first-client-key"),)
    async with anyio.create_task_group() as tasks:
        said = scope("POST", "/v1/messages", headers)
        receive = client.receive

        async def slowly() -> Any:
            if not client._messages and not came.is_set():
                await came.wait()
                return second
            return await receive()

        came = anyio.Event()
        tasks.start_soon(app, said, slowly, client.send)
        await anyio.wait_all_tasks_blocked()
        config = Config(
            backends=SIMULATED,
            default_backend=SIMULATOR,
            keys=KEYS[1:],
            simulator=Simulator(pace=0.0),
        )
        app.reload(config)
        assert app.config is config
        reply = await call(app, "/v1/messages", MESSAGES, headers=headers)
        assert reply.status == 401
        other = (("x-api-key", "second-client-key"),)
        assert (await call(app, "/v1/messages", MESSAGES, headers=other)).status == 200
        came.set()
    # It had come in by the old key, and was read and answered.
    assert client.reply.status == 400


async def test_connections_are_told_what_changed() -> None:
    app = _told(timeouts=TimeLimits(connect=3, idle=0))
    pool = app._pool
    assert pool.timeouts.connect == 3
    assert pool.timeouts.idle_read == float("inf")
    connections = ConnectionLimits(per_origin=7)
    app.reload(
        Config(
            backends=SIMULATED,
            default_backend=SIMULATOR,
            timeouts=TimeLimits(connect=4, shutdown=5),
            connections=connections,
        )
    )
    assert app._pool is pool
    assert (pool.timeouts.connect, pool.limits.per_origin) == (4, 7)
    assert app.shutdown.seconds == 5


async def test_a_pool_that_is_given_keeps_its_own_limits() -> None:
    pool = Pool()
    before = pool.limits, pool.timeouts
    app = _app(pool=pool)
    app.reload(Config(backends=SIMULATED, default_backend=SIMULATOR))
    assert (pool.limits, pool.timeouts) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"tls": TLS(ca_file="/nowhere/ca.pem")},
        {"proxy": "ftp://proxy.example"},
    ],
)
async def test_a_configuration_that_cannot_be_used_changes_nothing(fields: Any) -> None:
    app = _told()
    before = app._state
    bad = Backend(
        name="b", dialect="openai-chat", base_url="https://b.example", **fields
    )
    config = Config(
        backends={"b": bad},
        default_backend="b",
        timeouts=TimeLimits(connect=4),
    )
    with pytest.raises(ValueError):
        app.reload(config)
    assert app._state is before
    assert app._pool.timeouts.connect != 4
    assert (await call(app, "/v1/messages", MESSAGES)).status == 200


async def test_backends_are_reached_by_their_own_routes() -> None:
    proxied = Backend(
        name="b",
        dialect="openai-chat",
        base_url="http://b.example",
        proxy="http://127.0.0.1:1",
    )
    plain = Backend(name="c", dialect="openai-chat", base_url="http://c.example")
    app = _told(backends={"b": proxied, "c": plain} | SIMULATED)
    upstreams = app._state.pipeline.upstreams
    assert upstreams.of(plain) is app._pool
    assert upstreams.of(proxied) not in (app._pool, upstreams.simulator)
    assert upstreams.of(SIMULATED[SIMULATOR]) is upstreams.simulator
