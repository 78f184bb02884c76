"""Tests of `llmwire_server.call`: from the client's request to a backend and back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

import pytest

from llmwire import FEATURES, Exchange, HTTPRequest
from llmwire.http import Headers
from llmwire_server.backends import SIMULATOR, Backend, Secret, SecretText
from llmwire_server.call import Call, Pipeline, Upstreams
from llmwire_server.config import Config
from llmwire_server.config.tree import HeaderRules, Log, Losses, Models
from llmwire_server.routing import spoken_dialect
from llmwire_server.upstream import UpstreamFailure, UpstreamRequest
from llmwire_server.upstream.memory import Answer, MemoryTransport
from llmwire_server.upstream.simulator import Simulator
from tests.server.calling import Client, Reply

pytestmark = pytest.mark.anyio

JSON = (("content-type", "application/json"),)
CHAT_ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "big",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "So."},
            "finish_reason": "stop",
        }
    ],
}
MESSAGES = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
BACKENDS = {
    "chat": Backend(
        name="chat",
        dialect="openai-chat",
        base_url="http://chat.example/v1",
        api_key=Secret("chat-secret"),
        models=("big",),
    ),
    "claude": Backend(
        name="claude",
        dialect="anthropic",
        base_url="http://claude.example",
        api_key=Secret("claude-secret"),
    ),
    "free": Backend(
        name="free", dialect="openai-responses", base_url="http://free.example/v1"
    ),
}


class _World:
    """A pipeline whose network is a function."""

    def __init__(
        self,
        body: Any = CHAT_ANSWER,
        status: int = 200,
        answered: Iterable[tuple[str, str]] = JSON,
        failure: UpstreamFailure | None = None,
        **fields: Any,
    ) -> None:
        self.requests: list[UpstreamRequest] = []
        data = body if isinstance(body, bytes) else json.dumps(body).encode()

        def answer(request: UpstreamRequest) -> Answer:
            self.requests.append(request)
            if failure is not None:
                raise failure
            return status, answered, (data,)

        given: dict[str, Any] = {"backends": BACKENDS, "default_backend": "chat"}
        config = Config(**(given | fields))
        self.transport = MemoryTransport(answer)
        rules = config.simulator.rules
        upstreams = Upstreams(self.transport, Simulator(rules, 0.0))
        self.pipeline = Pipeline(config, upstreams)

    async def call(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        headers: Headers = (),
    ) -> Reply:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        http = HTTPRequest(method=method, path=path, headers=headers, body=data)
        spoken = spoken_dialect(http)
        assert spoken is not None
        exchange = Exchange(spoken[0], created=1.0, id="call")
        client = Client(b"")
        call = Call(exchange, self.pipeline, request_id="r-1")
        await call.run(http, client.receive, client)
        assert client.reply.complete
        return client.reply

    async def say(
        self, model: str | None, headers: Headers = (), **fields: Any
    ) -> Reply:
        body = {**MESSAGES, **fields}
        if model is not None:
            body["model"] = model
        version = ("anthropic-version", "2023-06-01")
        return await self.call("/v1/messages", body, headers=(version, *headers))

    async def chat(self, model: str | None, **fields: Any) -> Reply:
        body = {"messages": MESSAGES["messages"], "model": model, **fields}
        return await self.call("/v1/chat/completions", body)


@pytest.mark.parametrize(
    ("model", "default_model", "host", "sent"),
    [
        ("big", None, "chat.example", "big"),
        ("chat:small", None, "chat.example", "small"),
        ("free:x:y", None, "free.example", "x:y"),
        ("unknown", None, "chat.example", "unknown"),
        ("unknown", "usual", "chat.example", "usual"),
    ],
)
async def test_the_model_selects_a_backend(
    model: str, default_model: str | None, host: str, sent: str
) -> None:
    default = f"chat:{default_model}" if default_model else "chat"
    world = _World(default_backend=default)
    await world.say(model)
    [request] = world.requests
    assert request.host == host
    assert json.loads(request.body)["model"] == sent


async def test_keys_go_to_their_own_backend_only() -> None:
    world = _World()
    reply = await world.say("big")
    assert reply.json["content"][0]["text"] == "So."
    [request] = world.requests
    sent = str(request.headers) + request.target + request.body.decode()
    assert ("authorization", "Bearer chat-secret") in request.headers
    assert "claude-secret" not in sent
    assert "secret" not in str(reply.headers) + reply.body.decode()
    await world.say("claude:m")
    assert ("x-api-key", "claude-secret") in world.requests[1].headers
    assert "chat-secret" not in str(world.requests[1].headers)
    await world.say("free:m")
    assert "secret" not in str(world.requests[2].headers)


async def test_the_clients_own_bytes_pass_with_another_model() -> None:
    world = _World(body=b'{"type": "message", "content": [], "x": 1}')
    body = b'{ "model":  "claude:m", "max_tokens": 9, "messages": [] , "x": 1}'
    await world.call("/v1/messages", body)
    [request] = world.requests
    assert request.body == body.replace(b"claude:m", b"m")


async def test_only_listed_headers_come_back() -> None:
    headers = (*JSON, ("x-request-id", "r"), ("set-cookie", "no"), ("server", "no"))
    reply = await _World(answered=headers).say("big")
    assert reply.headers["x-request-id"] == "r"
    assert "set-cookie" not in reply.headers
    assert "server" not in reply.headers


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_errors_of_the_upstream_come_in_the_clients_envelope(
    status: int,
) -> None:
    body = {"error": {"message": "why", "type": "x", "code": None, "param": None}}
    reply = await _World(body, status).say("big")
    assert reply.status == {503: 529}.get(status, status)
    assert reply.json["type"] == "error"
    assert "why" in reply.json["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"<html>oops</html>", b"{", b"[]", b"7"])
@pytest.mark.parametrize("stream", [False, True])
async def test_garbage_is_a_bad_gateway(body: bytes, stream: bool) -> None:
    reply = await _World(body).say("big", stream=stream)
    assert reply.status == 502
    assert reply.json["type"] == "error"


async def test_what_the_backend_cannot_say_is_refused() -> None:
    world = _World()
    tool = {"type": "web_search_20250305", "name": "web_search"}
    reply = await world.say("big", tools=[tool])
    assert reply.status == 400
    assert reply.json["error"]["type"] == "invalid_request_error"
    assert not world.requests


# --- Counting --------------------------------------------------------------------


async def _count(world: _World, model: str) -> Reply:
    body = {"model": model, "messages": MESSAGES["messages"]}
    return await world.call("/v1/messages/count_tokens", body)


async def test_a_backend_that_can_count_does() -> None:
    world = _World({"object": "response.input_tokens", "input_tokens": 77})
    reply = await _count(world, "free:m")
    assert reply.json["input_tokens"] == 77
    assert "x-llmwire-estimated" not in reply.headers
    assert world.requests[0].target == "/v1/responses/input_tokens"


async def test_a_backend_whose_dialect_cannot_count_is_not_asked() -> None:
    world = _World()
    reply = await _count(world, "chat:m")
    assert reply.headers["x-llmwire-estimated"] == "true"
    assert reply.json["input_tokens"] > 0
    assert not world.requests


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_backend_that_does_not_know_counting_is_forgiven(status: int) -> None:
    reply = await _count(_World(b"no", status), "free:m")
    assert (reply.status, reply.headers["x-llmwire-estimated"]) == (200, "true")


async def test_other_errors_of_counting_are_told() -> None:
    reply = await _count(_World(b"{}", 401), "free:m")
    assert reply.status == 401


# --- Models ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "list_", "name"),
    [
        ("/v1/models", (), "data", "id"),
        ("/models", (), "data", "id"),
        ("/v1/models", (("anthropic-version", "2023-06-01"),), "data", "id"),
        ("/v1beta/models", (), "models", "name"),
    ],
)
async def test_lists_of_models_have_the_clients_shape(
    path: str, headers: Any, list_: str, name: str
) -> None:
    world = _World(b'{"data": [{"id": "found", "object": "model", "x": 1}]}')
    reply = await world.call(path, method="GET", headers=headers)
    assert [model[name].removeprefix("models/") for model in reply.json[list_]] == [
        "chat:big",
        "chat:found",
        "claude:found",
        "free:found",
    ]
    one = await world.call(f"{path}/chat:big", method="GET", headers=headers)
    assert one.json[name].removeprefix("models/") == "chat:big"
    none = await world.call(f"{path}/none", method="GET", headers=headers)
    assert none.status == 404
    assert "there is no model 'none'" in none.json["error"]["message"]


async def test_only_lists_ask_for_lists() -> None:
    world = _World()
    await world.say("big")
    await world.chat("claude:big")
    assert [request.method for request in world.requests] == ["POST", "POST"]


async def test_the_simulator_is_asked_in_the_clients_dialect() -> None:
    world = _World(
        backends={SIMULATOR: Backend(name=SIMULATOR, dialect="openai-chat")},
        default_backend=SIMULATOR,
    )
    reply = await world.say("anything")
    assert reply.json["content"][0]["text"] == "You said: Hi"
    assert not world.requests


# --- Where it goes ----------------------------------------------------------------


async def test_instances_take_turns() -> None:
    names = ("o.1", "o.2")
    backends = {
        name: Backend(
            name=name, dialect="openai-chat", base_url=f"http://{name}.example/v1"
        )
        for name in names
    }
    world = _World(backends=backends, default_backend="o")
    for model in ("o:m", "m", "o:m", "o.2:m"):
        await world.chat(model)
    hosts = [request.host.removesuffix(".example") for request in world.requests]
    assert hosts == ["o.1", "o.2", "o.1", "o.2"]


async def test_parameters_in_the_name_go_before_the_body() -> None:
    world = _World()
    await world.say("chat:m?temperature=0.25&max_tokens=7", temperature=0.9)
    sent = json.loads(world.requests[0].body)
    assert (sent["model"], sent["temperature"]) == ("m", 0.25)
    assert sent["max_completion_tokens"] == 7


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "told"),
    [
        ("gemini:m", 404, "there is no backend 'gemini'"),
        ("big?temperature=7", 400, "'temperature' is '7'"),
    ],
)
async def test_a_call_that_goes_nowhere_is_refused(
    model: str, status: int, told: str, stream: bool
) -> None:
    world = _World()
    reply = await world.say(model, stream=stream)
    assert reply.status == status
    assert reply.json["type"] == "error"
    assert told in reply.json["error"]["message"]
    reply = await world.chat(model, stream=stream)
    assert reply.status == status
    assert told in reply.json["error"]["message"]
    assert reply.json["error"]["param"] == "model"
    assert not world.requests


async def test_strict_models() -> None:
    world = _World(models=Models(bare="refused"))
    assert (await world.say("big")).status == 400
    assert (await world.say("chat:big")).status == 200


async def test_headers_of_the_configuration_and_of_clients() -> None:
    backend = Backend(
        name="b",
        dialect="anthropic",
        base_url="http://b.example",
        api_key=Secret("b-key"),
        headers={"X-Title": SecretText("My App")},
        query={"api-version": SecretText("1")},
    )
    world = _World(
        backends={"b": backend},
        default_backend="b",
        headers=HeaderRules(request=("x-team",)),
    )
    await world.say("m", headers=(("x-team", "red"), ("x-other", "no")))
    [request] = world.requests
    headers = dict(request.headers)
    assert headers["x-title"] == "My App"
    assert headers["x-team"] == "red"
    assert headers["x-api-key"] == "b-key"
    assert "x-other" not in headers
    assert request.target == "/v1/messages?api-version=1"


# --- What is told -----------------------------------------------------------------

SEEDED = {"seed": 7, "user": "me", "temperature": 0.5}


async def test_losses_and_who_answered_are_told() -> None:
    world = _World({"type": "message", "content": [], "x": 1})
    reply = await world.chat("claude:m?top_k=3", **SEEDED)
    assert reply.headers["x-llmwire-backend"] == "claude:m"
    pieces = reply.headers["x-llmwire-losses"].split(", ")
    assert "sampling=dropped;3" in pieces
    # What the answer lost comes with what the request lost.
    assert "extras=dropped;1" in pieces


async def test_without_losses_nothing_is_told_of_them() -> None:
    reply = await _World().chat("big")
    assert "x-llmwire-losses" not in reply.headers
    assert reply.headers["x-llmwire-backend"] == "chat:big"


@pytest.mark.parametrize(
    "losses",
    [Losses(header=False), Losses(policy=dict.fromkeys(FEATURES, "allow"))],
)
async def test_what_must_not_be_told_is_not(losses: Losses) -> None:
    world = _World(
        {"type": "message", "content": []},
        losses=losses,
        headers=HeaderRules(route=False),
    )
    reply = await world.chat("claude:m", **SEEDED)
    assert not [name for name in reply.headers if name.startswith("x-llmwire")]


@pytest.mark.parametrize("general", ["warn", "error"])
@pytest.mark.parametrize("own", [None, "warn", "error"])
async def test_a_backends_rules_go_before_the_general_ones(
    general: Any, own: Any
) -> None:
    claude = Backend(
        name="claude",
        dialect="anthropic",
        base_url="http://claude.example",
        losses={} if own is None else {"sampling": own},
    )
    world = _World(
        {"type": "message", "content": []},
        backends={"claude": claude},
        default_backend="claude",
        losses=Losses(policy={"sampling": general}),
    )
    reply = await world.chat("m", **SEEDED)
    if (own or general) == "error":
        assert reply.status == 400
        assert reply.json["error"]["code"] == "unsupported_value"
        assert reply.json["error"]["param"].startswith("sampling")
        assert not world.requests
    else:
        assert reply.status == 200
        assert "sampling=dropped" in reply.headers["x-llmwire-losses"]


async def test_a_hard_feature_may_be_left_out_by_a_rule() -> None:
    tool = {"type": "web_search_20250305", "name": "web_search"}
    world = _World(losses=Losses(policy={"tool.server": "warn"}))
    reply = await world.say("big", tools=[tool])
    assert reply.status == 200
    assert "tool.server=dropped;1" in reply.headers["x-llmwire-losses"]
    assert "tools" not in json.loads(world.requests[0].body)


async def test_rate_limits_of_another_dialect_reach_the_client() -> None:
    headers = (*JSON, ("x-ratelimit-remaining-requests", "9"))
    reply = await _World(answered=headers).say("big")
    assert reply.headers["x-ratelimit-remaining-requests"] == "9"


@pytest.mark.parametrize(
    ("code", "status", "again"),
    [("insufficient_quota", 429, "false"), ("rate_limit_exceeded", 429, None)],
)
async def test_what_comes_again_says_so(
    code: str, status: int, again: str | None
) -> None:
    body = {"error": {"message": "m", "type": code, "code": code}}
    reply = await _World(body, status).say("big")
    assert reply.status == status
    assert reply.headers.get("x-should-retry") == again


async def test_odd_names_are_told_in_ascii() -> None:
    reply = await _World().say("chat:mö\n" + "x" * 300)
    told = reply.headers["x-llmwire-backend"]
    assert told.startswith("chat:m%C3%B6%0Axxx")
    assert len(told) < 220


# --- Who is reached ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "status", "reached"),
    [
        (None, 200, True),
        (None, 500, True),
        (UpstreamFailure("connect", "refused"), 502, False),
        (UpstreamFailure("tls", "untrusted"), 502, False),
        (UpstreamFailure("timeout", "slow"), 504, True),
        (UpstreamFailure("pool", "full"), 503, True),
    ],
)
async def test_it_is_noted_who_was_reached(
    failure: UpstreamFailure | None, status: int, reached: bool
) -> None:
    world = _World(status=status, failure=failure)
    await world.say("big")
    found = world.pipeline.reachability.of(["chat", "free"])
    assert found == {"chat": reached, "free": None}


# --- The log ----------------------------------------------------------------------


async def test_losses_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = _World({"type": "message", "content": []})
    with caplog.at_level(logging.INFO, "llmwire"):
        await world.chat("claude:m", **SEEDED)
    [record] = caplog.records
    told = "lost from openai-chat to claude:m: "
    assert record.getMessage().startswith(told)
    assert "sampling=dropped;2" in record.getMessage()
    assert record.__dict__["request_id"] == "r-1"
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "llmwire"):
        await world.chat("claude:m", **SEEDED)
    assert any("sampling.seed" in line for line in caplog.messages)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "llmwire"):
        await world.chat("claude:m", **SEEDED)
    assert not caplog.records


@pytest.mark.parametrize(
    "losses",
    [
        Losses(log=False),
        Losses(policy=dict.fromkeys(FEATURES, "allow")),
    ],
)
async def test_losses_that_are_not_to_be_told_are_not_logged(
    losses: Losses, caplog: pytest.LogCaptureFixture
) -> None:
    world = _World({"type": "message", "content": []}, losses=losses)
    with caplog.at_level(logging.DEBUG, "llmwire"):
        await world.chat("claude:m", **SEEDED)
    assert not caplog.records


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_are_logged(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    answer: Any = {**CHAT_ANSWER, "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    if stream:
        chunk = {**answer, "object": "chat.completion.chunk"}
        chunk["choices"] = [
            {"index": 0, "delta": {"content": "So."}, "finish_reason": "stop"}
        ]
        answer = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()
    kind = "text/event-stream" if stream else "application/json"
    world = _World(answer, answered=[("content-type", kind)], log=Log(calls=True))
    with caplog.at_level(logging.INFO, "llmwire"):
        await world.chat("big", stream=stream)
    [record] = caplog.records
    before, ms, after = record.getMessage().partition(" ms=")
    assert before == (
        "call operation=generate dialect=openai-chat backend=chat model=big status=200"
    )
    assert ms
    assert after.partition(" ")[2] == "input=3 output=2"
    assert record.__dict__["request_id"] == "r-1"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("chat:m", "operation=count_tokens dialect=anthropic backend=chat model=m"),
        ("free:m", "operation=count_tokens dialect=anthropic backend=free model=m"),
        ("gemini:m", "operation=count_tokens dialect=anthropic backend=- model=-"),
    ],
)
async def test_calls_without_an_answer_are_logged_too(
    model: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = _World(b"no", 404, log=Log(calls=True))
    with caplog.at_level(logging.INFO, "llmwire"):
        reply = await _count(world, model)
    record = caplog.records[-1]
    assert f"call {told} status={reply.status} ms=" in record.getMessage()


async def test_a_call_that_is_none_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = _World(log=Log(calls=True))
    with caplog.at_level(logging.INFO, "llmwire"):
        reply = await world.call("/v1/messages", b"{")
    assert reply.status == 400
    assert "backend=- model=- status=400" in caplog.messages[0]
