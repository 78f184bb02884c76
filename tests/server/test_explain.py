"""Tests of `llmwire_server.explain`: what would become of a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmwire import (
    HTTPRequest,
    LocalProtocolError,
    RemoteProtocolError,
)
from llmwire_server.backends import SIMULATOR, Backend, Secret, SecretText
from llmwire_server.call import Pipeline, Upstreams
from llmwire_server.config import Config
from llmwire_server.config.tree import Losses
from llmwire_server.explain import (
    Explanation,
    Fact,
    Upstream,
    explain,
    render,
    to_json,
)
from llmwire_server.filtering.rules import FilterRules, LoopRules, VirtualToolRules
from llmwire_server.routing import Parameters
from llmwire_server.upstream.memory import MemoryTransport
from tests.server.test_call import _World

TURN = [{"role": "user", "content": "Hi"}]
CONFIG = Config(
    backends={
        "claude": Backend(
            name="claude",
            dialect="anthropic",
            base_url="https://claude.example",
            api_key=Secret("claude-secret"),
        ),
        "local.1": Backend(
            name="local.1",
            dialect="openai-chat",
            base_url="http://one.example:8000/v1",
            profile="ollama",
            models=("q",),
            headers={"X-Team": SecretText("team-secret")},
            query={"key": SecretText("query-secret")},
        ),
        "local.2": Backend(
            name="local.2",
            dialect="openai-chat",
            base_url="http://two.example:8000/v1",
            models=("q",),
        ),
        SIMULATOR: Backend(name=SIMULATOR, dialect="openai-chat"),
    },
    default_backend="claude",
)


def _explained(
    dialect: str = "openai-chat",
    path: str = "",
    config: Config = CONFIG,
    **body: Any,
) -> Explanation:
    if dialect != "gemini":
        body = {"messages": TURN, **body}
    data = json.dumps(body).encode()
    return explain(HTTPRequest(method="POST", path=path, body=data), dialect, config)


def _sent(explanation: Explanation) -> Upstream:
    assert explanation.upstream is not None
    return explanation.upstream


def test_the_whole_way_of_a_request() -> None:
    found = _explained(
        model="claude-opus-4-8?reasoning_effort=low", seed=7, temperature=0.3
    )
    assert found.dialect == "openai-chat"
    assert (found.operation, found.stream) == ("generate", False)
    assert found.model == "claude-opus-4-8?reasoning_effort=low"
    assert (found.why, found.backends) == ("default", ("claude",))
    assert (found.backend_dialect, found.backend_model) == (
        "anthropic",
        "claude-opus-4-8",
    )
    assert found.parameters == Parameters(reasoning_effort="low")
    assert 0 < found.input_tokens < 20
    sent = _sent(found)
    assert (sent.method, sent.url) == ("POST", "https://claude.example/v1/messages")
    assert ("x-api-key", "***") in sent.headers
    assert json.loads(bytes(sent.body))["output_config"] == {"effort": "low"}
    assert not sent.verbatim
    assert "sampling.seed" in [loss.path for loss in found.losses]
    assert found.refusal is None


def test_facts_are_those_that_mattered() -> None:
    plain = _explained(model="claude-opus-4-8")
    hot = _explained(model="claude-opus-4-8", temperature=0.3)
    old = _explained(model="claude-3-5-haiku", temperature=0.3)
    assert Fact("rejects", "temperature") in hot.facts
    assert Fact("rejects", "temperature") not in plain.facts
    assert Fact("rejects", "temperature") not in old.facts
    found = _explained(model="q", max_tokens=5)
    assert found.profile == "ollama"
    assert Fact("max_tokens_field", "max_tokens") in found.facts


def test_several_backends_take_turns_and_one_is_explained() -> None:
    found = _explained("anthropic", model="q", max_tokens=5)
    assert (found.why, found.backends) == ("listed", ("local.1", "local.2"))
    url = _sent(found).url
    assert url == "http://one.example:8000/v1/chat/completions?key=***"


def test_no_credential_is_ever_shown() -> None:
    for model in ("q", "claude:m"):
        found = _explained(model=model)
        for text in (render(found), to_json(found).decode(), repr(found)):
            assert "secret" not in text
            assert "***" in text


def test_a_clients_own_bytes_are_told_as_such() -> None:
    found = _explained("anthropic", model="claude-3-5-haiku", max_tokens=9)
    assert _sent(found).verbatim
    assert "byte for byte" in render(found)
    assert "losses   none" in render(found)


@pytest.mark.parametrize(
    ("dialect", "path", "operation", "stream"),
    [
        ("gemini", "/v1beta/models/m:generateContent", "generate", False),
        ("gemini", "/v1beta/models/m:streamGenerateContent", "generate", True),
        ("gemini", "/v1beta/models/m:countTokens", "count_tokens", False),
        ("anthropic", "/v1/messages/count_tokens", "count_tokens", False),
    ],
)
def test_the_path_says_what_is_asked_for(
    dialect: str, path: str, operation: str, stream: bool
) -> None:
    body: dict[str, Any] = {"model": "m"}
    if dialect == "gemini":
        body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    found = _explained(dialect, path, **body)
    assert (found.operation, found.stream, found.model) == (operation, stream, "m")
    assert _sent(found).url.endswith(
        "/count_tokens" if operation == "count_tokens" else "/v1/messages"
    )


def test_what_cannot_be_counted_there_is_estimated_here() -> None:
    found = _explained("anthropic", "/v1/messages/count_tokens", model="q")
    assert found.counted_here
    assert found.upstream is None
    assert "nothing is sent: the backend cannot count" in render(found)


def test_a_path_is_asked_for_where_it_names_the_model() -> None:
    contents = [{"role": "user", "parts": [{"text": "Hi"}]}]
    with pytest.raises(LocalProtocolError, match="/v1beta/models/MODEL:generate"):
        _explained("gemini", contents=contents)
    found = _explained("gemini", contents=contents, model="models/m")
    assert found.model == "m"
    assert _explained().model is None


def test_what_is_no_request_is_said_to_be_none() -> None:
    with pytest.raises(RemoteProtocolError):
        _explained("anthropic", messages=7)
    with pytest.raises(LocalProtocolError, match="only calls that generate"):
        explain(HTTPRequest(method="GET", path="/v1/models"), "openai-chat", CONFIG)


def test_a_call_that_goes_nowhere_is_explained() -> None:
    found = _explained(model="gemini:m")
    assert found.why is None
    assert found.refusal is not None
    assert found.refusal.status == 404
    assert "there is no backend 'gemini'" in found.refusal.message
    assert "refused  404: there is no backend 'gemini'" in render(found)


def test_what_a_server_cannot_say_is_explained() -> None:
    tool = {"type": "web_search_20250305", "name": "web_search"}
    found = _explained("anthropic", model="q", max_tokens=5, tools=[tool])
    assert found.refusal is not None
    assert found.refusal.loss is not None
    assert found.refusal.loss.feature == "tool.server"
    assert found.upstream is None
    assert f"refused  400: {found.refusal.message}" in render(found)


def test_a_fact_may_be_why_a_call_is_refused() -> None:
    url = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
    turn = {"role": "user", "content": [url]}
    found = _explained("openai-chat", model="local.1:q", messages=[turn])
    assert found.refusal is not None
    assert Fact("media_urls", False) in found.facts
    assert "media_urls: false" in render(found)


def test_rules_about_losses_hold_here_too() -> None:
    losses = Losses(policy={"sampling": "allow", "user": "error"})
    config = Config(backends=CONFIG.backends, default_backend="claude", losses=losses)
    found = _explained(config=config, model="m", seed=7)
    assert found.untold == ("sampling",)
    [line] = [line for line in render(found).splitlines() if "sampling.seed" in line]
    assert line.endswith("[not told]")
    refused = _explained(config=config, model="q", user="me").refusal
    assert refused is not None


def test_the_simulator_is_no_place() -> None:
    found = _explained("anthropic", model="simulator:m", max_tokens=5)
    assert _sent(found).url == "simulator:/v1/messages"
    assert found.backend_dialect == "anthropic"


def test_programs_get_one_json_object() -> None:
    found = json.loads(to_json(_explained(model="q?top_k=3", seed=7)))
    assert found["upstream"]["body"]["top_k"] == 3
    assert found["parameters"] == {"top_k": 3}
    assert found["why"] == "listed"
    assert isinstance(found["input_tokens"], int)


def test_people_get_lines() -> None:
    lines = render(_explained(model="q?top_k=3&verbosity=low", stream=True)).split("\n")
    assert lines[:6] == [
        "from     openai-chat, streamed, model 'q?top_k=3&verbosity=low'",
        "to       local.1:q (openai-chat)",
        "why      the backend lists the model",
        "         local.1, local.2 take such calls in turn",
        "with     top_k=3, verbosity=low",
        lines[5],
    ]
    assert lines[5].startswith("input    about ")
    assert lines[-1] == ""


def test_a_default_without_a_model_is_named_alone() -> None:
    assert "to       claude (anthropic)" in render(_explained())


@pytest.mark.anyio
@pytest.mark.parametrize("model", ["claude:m", "m?temperature=0.5", "local.2:q"])
async def test_what_is_explained_is_what_is_sent(model: str) -> None:
    world = _World({"type": "message", "content": []})
    upstreams = Upstreams(world.transport, MemoryTransport(lambda request: (0, (), ())))
    world.pipeline = Pipeline(CONFIG, upstreams)
    await world.chat(model, seed=7)
    [request] = world.requests
    sent = _sent(_explained(model=model, seed=7))
    assert bytes(sent.body) == request.body
    assert sent.url.endswith(request.target)
    assert [name for name, _ in sent.headers] == [name for name, _ in request.headers]


FILTERED = Config(
    backends={
        "local": Backend(
            name="local",
            dialect="openai-chat",
            base_url="http://one.example",
            filters=FilterRules(virtual_tools=VirtualToolRules(mode="cline")),
            model_filters={
                "big*": FilterRules(virtual_tools=VirtualToolRules(mode="off"))
            },
        )
    },
    filters=FilterRules(loops=LoopRules(mode="cut")),
)
TOOLS = [{"type": "function", "function": {"name": "list_files"}}]


def test_filters_that_are_on_are_told() -> None:
    it = _explained(model="m", tools=TOOLS, config=FILTERED)
    assert it.filters == ("virtual_tools: cline", "loops: cut")
    assert "\nfilters  virtual_tools: cline, loops: cut\n" in render(it)
    assert it.upstream is not None
    assert b"list_files" in bytes(it.upstream.body)
    assert b'"tools"' not in bytes(it.upstream.body)
    assert ("filter.virtual_tools", "tools[0]") in {
        (loss.feature, loss.path) for loss in it.losses
    }
    it = _explained(model="big-1", tools=TOOLS, config=FILTERED)
    assert it.filters == ("loops: cut",)
    assert it.losses == ()
    assert "filters  " not in render(_explained(model="m"))


def test_what_a_filter_cannot_say_is_a_refusal() -> None:
    tools = [{"type": "function", "function": {"name": "a b<c>"}}]
    it = _explained(model="m", tools=tools, config=FILTERED)
    assert it.refusal is not None
    assert it.refusal.loss is not None
    assert it.refusal.loss.feature == "filter.virtual_tools"
    assert it.upstream is None
