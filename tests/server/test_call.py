"""Tests of `llmwire_server.call`: from the client's request to a backend and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from llmwire_server.app import App
from llmwire_server.backends import SIMULATOR, Backend, Secret
from llmwire_server.call import Upstreams, listed_models
from llmwire_server.config import Config
from llmwire_server.upstream import UpstreamRequest
from llmwire_server.upstream.memory import Answer, MemoryTransport
from tests.server.calling import Reply, call

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
    """A proxy whose network is a function."""

    def __init__(
        self,
        body: Any = CHAT_ANSWER,
        status: int = 200,
        headers: Iterable[tuple[str, str]] = JSON,
        **fields: Any,
    ) -> None:
        self.requests: list[UpstreamRequest] = []
        data = body if isinstance(body, bytes) else json.dumps(body).encode()

        def answer(request: UpstreamRequest) -> Answer:
            self.requests.append(request)
            return status, headers, (data,)

        given: dict[str, Any] = {"backends": BACKENDS, "default_backend": "chat"}
        self.app = App(Config(**(given | fields)))
        transport = MemoryTransport(answer)
        self.app._upstreams = Upstreams(transport, self.app._upstreams.simulator)

    async def say(self, model: str | None, **fields: Any) -> Reply:
        body = {**MESSAGES, **fields}
        if model is not None:
            body["model"] = model
        return await call(
            self.app,
            "/v1/messages",
            body,
            headers=(
                ("x-api-key", "client-secret"),
                ("authorization", "Bearer client-secret"),
                ("cookie", "client-secret"),
                ("accept-encoding", "gzip"),
                ("anthropic-version", "2023-06-01"),
            ),
        )


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
    assert "client-secret" not in sent
    assert "claude-secret" not in sent
    assert "cookie" not in sent
    assert "secret" not in str(reply.headers) + reply.body.decode()
    await world.say("claude:m")
    assert ("x-api-key", "claude-secret") in world.requests[1].headers
    assert "chat-secret" not in str(world.requests[1].headers)
    await world.say("free:m")
    assert "secret" not in str(world.requests[2].headers)


async def test_the_clients_own_bytes_pass_with_another_model() -> None:
    world = _World(body=b'{"type": "message", "content": [], "x": 1}')
    body = b'{ "model":  "claude:m", "max_tokens": 9, "messages": [] , "x": 1}'
    await call(world.app, "/v1/messages", body)
    [request] = world.requests
    assert request.body == body.replace(b"claude:m", b"m")


async def test_only_listed_headers_come_back() -> None:
    headers = (*JSON, ("x-request-id", "r"), ("set-cookie", "no"), ("server", "no"))
    reply = await _World(headers=headers).say("big")
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
    return await call(world.app, "/v1/messages/count_tokens", body)


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


def test_models_are_named_as_they_are_selected() -> None:
    config = Config(
        backends={
            **BACKENDS,
            SIMULATOR: Backend(name=SIMULATOR, dialect="openai-chat"),
        },
        default_backend="claude:opus",
    )
    names = [model.id for model in listed_models(config)]
    assert names == ["chat:big", "claude:opus", "simulator"]
    config = Config(backends=BACKENDS, default_backend="chat:big")
    assert [model.id for model in listed_models(config)] == ["chat:big"]


@pytest.mark.parametrize(
    ("path", "headers", "list_", "name"),
    [
        ("/v1/models", (), "data", "id"),
        ("/v1/models", (("anthropic-version", "2023-06-01"),), "data", "id"),
        ("/v1beta/models", (), "models", "name"),
    ],
)
async def test_lists_of_models_have_the_clients_shape(
    path: str, headers: Any, list_: str, name: str
) -> None:
    world = _World()
    reply = await call(world.app, path, method="GET", headers=headers)
    assert [model[name].removeprefix("models/") for model in reply.json[list_]] == [
        "chat:big"
    ]
    one = await call(world.app, f"{path}/chat:big", method="GET", headers=headers)
    assert one.json[name].removeprefix("models/") == "chat:big"
    none = await call(world.app, f"{path}/none", method="GET", headers=headers)
    assert none.status == 404
    assert "error" in none.json


async def test_the_simulator_is_asked_in_the_clients_dialect() -> None:
    world = _World(
        backends={SIMULATOR: Backend(name=SIMULATOR, dialect="openai-chat")},
        default_backend=SIMULATOR,
    )
    reply = await world.say("anything")
    assert reply.json["content"][0]["text"] == "You said: Hi"
    assert not world.requests
