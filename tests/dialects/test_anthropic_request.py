"""Messages requests: read, written back exactly, and made from any other request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec import Raw
from msgspec.structs import replace

from llmwire import _seal, profiles, strategies
from llmwire.dialects import Encoded, RequestTarget, get
from llmwire.errors import LimitExceeded, RemoteProtocolError, UnsupportedFeature
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.losses import LossRecorder, Policy
from llmwire.messages import (
    Base64,
    CacheMark,
    Citation,
    FileId,
    MediaPart,
    Message,
    OpaquePart,
    Part,
    PlainText,
    ReasoningPart,
    RefusalPart,
    Role,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    ToolResultPart,
    Url,
)
from llmwire.profiles import Profile
from llmwire.requests import (
    AudioOutput,
    Logprobs,
    OutputFormat,
    Reasoning,
    Request,
    Sampling,
    ServerState,
    Tool,
    ToolChoice,
)
from tests import oracle
from tests.dialects.anthropic_pair import unexplained, unfounded
from tests.normal_forms import differences

DIALECT = get("anthropic")
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
SAID = Message(role="user", parts=(TextPart("Hi"),))
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNg"
PDF = "JVBERi0xLjcKJeLjz9MK"
LENIENT: Policy = {
    "audio.output": "drop",
    "call.unanswered": "emulate",
    "choices": "drop",
    "media.audio": "drop",
    "media.document": "drop",
    "media.file": "drop",
    "media.image": "drop",
    "media.url": "drop",
    "media.video": "drop",
    "message.order": "emulate",
    "message.prefill": "drop",
    "state": "drop",
    "tool.opaque": "drop",
    "tool.server": "drop",
    "tool_result.orphan": "drop",
}
MODELS = (
    "claude-opus-5",
    "claude-opus-4-5",
    "claude-3-5-sonnet-20241022",
    "claude-fable-5",
    "claude-sonnet-4-6",
    "claude-opus-4-1",
)


def posted(
    body: Any, headers: tuple[tuple[str, str], ...] = (), path: str = "/v1/messages"
) -> HTTPRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HTTPRequest(method="POST", path=path, headers=headers, body=data)


def decoded(body: Any, *headers: tuple[str, str]) -> Request:
    return DIALECT.decode_request(posted(body, headers), Limits())


def aim(
    model: str | None = None,
    profile: Profile | str | None = None,
    policy: Policy | None = None,
    **more: Any,
) -> RequestTarget:
    facts = profiles.resolve("anthropic", profile, model)
    return RequestTarget(
        losses=LossRecorder(policy), profile=facts, model=model, **more
    )


def encoded(request: Request, target: RequestTarget | None = None) -> Any:
    return json.loads(DIALECT.encode_request(request, target or aim()).http.body)


def sent(
    request: Request, model: str | None = "claude-opus-5", **more: Any
) -> tuple[Any, Any]:
    """The body that a foreign request becomes, with what was told."""
    to = aim(model, more.pop("profile", None), more.pop("policy", None), **more)
    body = encoded(request, to)
    # The SDK of 2026-10-21 has no sampling; the version before it still takes it.
    complaints = oracle.request("anthropic", body)
    sampled = tuple(f"$.{name}: unknown" for name in ("temperature", "top_p", "top_k"))
    vendor = to.profile.name == "anthropic"
    assert not vendor or [c for c in complaints if c not in sampled] == []
    told = {(loss.feature, loss.path, loss.action) for loss in to.losses.losses}
    return body, told


def request(*messages: Message, **more: Any) -> Request:
    return Request(model="m", max_tokens=100, messages=messages or (SAID,), **more)


def turn(role: Role, *parts: Part, **more: Any) -> Message:
    return Message(role=role, parts=parts, **more)


# Reading, and writing back


EXACT: tuple[Any, ...] = (
    HI,
    {**HI, "model": None, "max_tokens": None, "system": None, "stream": None},
    {**HI, "system": "", "tools": [], "stop_sequences": [], "mcp_servers": []},
    {**HI, "system": [], "temperature": None, "top_p": 0.5, "top_k": 3},
    {**HI, "system": [{"type": "text", "text": "a", "cache_control": None}]},
    {**HI, "system": [{"type": "text", "text": "a"}, {"type": "x_new"}]},
    {**HI, "temperature": 1, "stop_sequences": ["a"], "stream": True, "x": {"a": 1}},
    {**HI, "thinking": {}, "tool_choice": None, "output_config": {}, "metadata": {}},
    {**HI, "thinking": None, "output_config": None, "output_format": None},
    {**HI, "metadata": None, "service_tier": None, "container": None},
    {**HI, "metadata": {"user_id": None, "x": 1}, "service_tier": "default"},
    {**HI, "metadata": {"user_id": "u"}, "service_tier": "standard_only"},
    {**HI, "service_tier": "x_new", "container": {"id": "c", "skills": []}},
    {**HI, "thinking": {"type": "enabled", "budget_tokens": 2000}},
    {**HI, "thinking": {"type": "enabled", "budget_tokens": None, "x": 1}},
    {**HI, "thinking": {"type": "adaptive", "display": "summarized"}},
    {**HI, "thinking": {"type": "adaptive", "budget_tokens": 5, "display": None}},
    {**HI, "thinking": {"type": "disabled", "display": "x_new"}},
    {**HI, "thinking": {"type": "between_tools", "display": "omitted"}},
    {**HI, "output_config": {"effort": "high", "task_budget": {"total": 5}}},
    {**HI, "output_config": {"effort": None, "format": None}},
    {**HI, "output_config": {"format": {"type": "json_schema", "schema": {}, "x": 1}}},
    {**HI, "output_config": {"format": {"type": "x_new", "y": 2}}},
    {**HI, "output_config": {"format": {}}},
    {**HI, "output_format": {"type": "json_schema", "schema": {"a": 1}}},
    {
        **HI,
        "output_format": {"type": "json_schema", "schema": {}},
        "output_config": {"format": {"type": "json_schema", "schema": {"b": 1}}},
    },
    {**HI, "output_format": {"type": "x_new"}},
    {**HI, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    {**HI, "tool_choice": {"type": "any", "disable_parallel_tool_use": None}},
    {**HI, "tool_choice": {"type": "none", "x": 1, "name": None}},
    {**HI, "tool_choice": {"type": "tool", "name": "f"}},
    {**HI, "tool_choice": {"type": "x_new", "disable_parallel_tool_use": False}},
    {**HI, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    {**HI, "cache_control": None, "context_management": None, "speed": "fast"},
    {**HI, "cache_control": {"ttl": None}, "inference_geo": "eu"},
    {**HI, "cache_control": {"type": "x_new", "scope": "a"}, "anthropic_version": "b"},
    {**HI, "mcp_servers": [{"type": "url", "url": "u", "name": "n"}]},
    {
        **HI,
        "tools": [
            {"name": "f", "input_schema": {"type": "object"}, "strict": True},
            {"name": "g", "description": None, "type": None, "strict": None},
            {"type": "custom", "name": "h", "input_schema": {}, "x": 1},
            {
                "name": "i",
                "description": "",
                "input_schema": {},
                "defer_loading": True,
                "input_examples": [],
                "eager_input_streaming": None,
                "allowed_callers": ["direct"],
                "cache_control": {"type": "ephemeral"},
            },
            {"type": "web_search_20250305", "name": "web_search", "max_uses": None},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "mcp_toolset", "mcp_server_name": "n"},
        ],
    },
)
CONTENTS: tuple[Any, ...] = (
    "",
    [],
    [{"type": "text", "text": "", "citations": None, "cache_control": None}],
    [{"type": "text", "text": "a", "citations": [], "x": 1}],
    [
        {
            "type": "text",
            "text": "a",
            "citations": [
                {
                    "type": "web_search_result_location",
                    "url": "u",
                    "title": None,
                    "cited_text": "c",
                },
                {"type": "char_location", "document_title": "t", "file_id": "f"},
                {"type": "x_new", "url": 5},
                5,
            ],
            "cache_control": {"type": "ephemeral", "ttl": "5m"},
        }
    ],
    [{"type": "text", "text": "a", "citations": [{"type": "x_new"}]}],
    [{"type": "image", "source": {"type": "base64", "media_type": "a/b", "data": "="}}],
    [{"type": "image", "source": {"type": "url", "url": "u", "x": 1, "data": "d"}}],
    [{"type": "image", "source": {"type": "file", "file_id": "f", "media_type": None}}],
    [{"type": "image", "source": {"type": "url", "url": "u", "media_type": ""}}],
    [{"type": "image", "source": {"type": "text", "data": "d"}, "transformations": {}}],
    [{"type": "image", "source": 5, "cache_control": {"type": "ephemeral", "y": 1}}],
    [{"type": "image", "source": {"type": "base64"}}],
    [
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "d"},
            "title": "t",
            "context": "c",
            "citations": {"enabled": True},
        },
        {
            "type": "document",
            "source": {"type": "text", "data": "d"},
            "title": None,
            "context": None,
        },
        {
            "type": "document",
            "source": {"type": "content", "content": "c"},
            "title": "t",
        },
    ],
    [
        {
            "type": "search_result",
            "source": "s",
            "title": "t",
            "content": [{"type": "text", "text": "c"}, 5],
            "citations": {"enabled": True},
            "cache_control": {"type": "ephemeral"},
            "x": 1,
        },
        {"type": "search_result", "source": "s", "title": "t", "content": "c"},
    ],
    [
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        {"type": "thinking", "thinking": "a", "signature": ""},
        {"type": "thinking", "thinking": "a", "signature": None},
        {"type": "thinking", "thinking": "a", "x": 1},
        {"type": "redacted_thinking", "data": "ZGF0YQ==", "x": 1},
    ],
    [
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}, "caller": {}},
        {"type": "tool_use", "id": "t", "name": "f", "input": "odd", "x": 1},
        {"type": "tool_use", "id": "t", "name": "f"},
        {
            "type": "tool_use",
            "id": "t",
            "name": "f",
            "input": {},
            "cache_control": None,
        },
        {
            "type": "tool_use",
            "id": "t",
            "name": "f",
            "input": {},
            "cache_control": {"type": "ephemeral"},
        },
    ],
    [
        {"type": "tool_result", "tool_use_id": "t"},
        {"type": "tool_result", "tool_use_id": "t", "content": "a", "is_error": True},
        {"type": "tool_result", "tool_use_id": "t", "content": "", "x": 1},
        {"type": "tool_result", "tool_use_id": "t", "content": [], "is_error": None},
        {"type": "tool_result", "tool_use_id": "t", "content": None, "is_error": False},
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "tool_reference", "tool_name": "f"},
            ],
            "cache_control": {"type": "ephemeral"},
        },
    ],
    [
        {"type": "server_tool_use", "id": "s", "name": "n", "input": {}},
        {"type": "server_tool_use", "id": "s", "name": "n"},
        {
            "type": "mcp_tool_use",
            "id": "s",
            "name": "n",
            "input": {},
            "server_name": "m",
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "code_execution_tool_result", "tool_use_id": "s", "x": 1},
        {
            "type": "mcp_tool_result",
            "tool_use_id": "s",
            "is_error": True,
            "content": [],
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "x_tool_result", "tool_use_id": "s", "content": 5, "x": 1},
        {"type": "x_tool_result", "tool_use_id": 5, "content": 5},
        {"type": "x_tool_result"},
        {"type": "container_upload", "file_id": "f"},
    ],
)


@pytest.mark.parametrize("body", EXACT, ids=range(len(EXACT)))
def test_requests_go_back_as_they_came(body: Any) -> None:
    found = decoded(body)
    target = aim()
    assert differences(body, encoded(found, target)) == []
    assert decoded(encoded(found)) == found
    assert target.losses.losses == ()


@pytest.mark.parametrize("content", CONTENTS, ids=range(len(CONTENTS)))
def test_contents_go_back_as_they_came(content: Any) -> None:
    for role in ("user", "assistant", "system"):
        body = {"messages": [{"role": role, "content": content, "x": 1}]}
        found = decoded(body)
        assert differences(body, encoded(found)) == []
        assert decoded(encoded(found)) == found


def test_headers() -> None:
    found = decoded(
        HI,
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "a, b,"),
        ("anthropic-beta", "c"),
    )
    assert (found.version, found.betas) == ("2026-10-21", ("a", "b", "c"))
    http = DIALECT.encode_request(replace(found, stream=True), aim()).http
    assert http.method == "POST"
    assert http.path == "/v1/messages"
    assert http.headers == (
        ("content-type", "application/json"),
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "a,b,c"),
        ("accept", "text/event-stream"),
    )
    bare = DIALECT.encode_request(decoded(HI), aim(profile=Profile())).http
    assert bare.header("anthropic-version") == "2023-06-01"


def test_neutral_forms() -> None:
    found = decoded(
        {
            **HI,
            "model": "m",
            "system": "s",
            "stream": True,
            "thinking": {"type": "enabled", "budget_tokens": 2000},
            "output_config": {"effort": "high"},
            "tool_choice": {
                "type": "tool",
                "name": "f",
                "disable_parallel_tool_use": True,
            },
        }
    )
    assert found.messages[0].top
    assert found.messages[0].parts == (TextPart("s"),)
    assert found.include_usage is True
    assert found.reasoning == Reasoning(mode="on", budget=2000, effort="high")
    assert found.parallel is False
    assert found.tool_choice == ToolChoice(mode="required", names=("f",), kind="named")
    assert DIALECT.echo(found) is None


def test_another_model_is_asked() -> None:
    found = decoded({**HI, "model": "claude-a"})
    made = DIALECT.encode_request(found, aim("claude-b"))
    assert (json.loads(made.http.body)["model"], made.model) == ("claude-b", "claude-b")


def test_several_instructions_at_the_top() -> None:
    tops = [turn("system", TextPart(text), top=True) for text in "ab"]
    body = encoded(Request(messages=(*tops, SAID), dialect="anthropic"))
    assert [block["text"] for block in body["system"]] == ["a", "b"]


BROKEN: tuple[tuple[Any, str | None], ...] = (
    (b"", "$"),
    (b"[]", "$"),
    (b"{", "$"),
    (b'{"messages":"\xff"}', "$"),
    ({}, "$"),
    ({"messages": None}, "$.messages"),
    ({"messages": ["a"]}, "$.messages[0]"),
    ({"messages": [{"role": "tool", "content": ""}]}, "$.messages[0].role"),
    ({"messages": [{"role": "user", "content": None}]}, "$.messages[0].content"),
    ({"messages": [{"role": "user", "content": [5]}]}, "$.messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{}]}]}, "$.messages[0].content[0]"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "$.messages[0].content[0]",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "thinking"}]}]},
        "$.messages[0].content[0]",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "redacted_thinking"}]}]},
        "$.messages[0].content[0]",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "t"}]}]},
        "$.messages[0].content[0]",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "server_tool_use"}]}]},
        "$.messages[0].content[0]",
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "t",
                            "content": [{"a": 1}],
                        }
                    ],
                }
            ]
        },
        "$.messages[0].content[0].content[0]",
    ),
    ({**HI, "temperature": "hot"}, "$.temperature"),
    ({**HI, "stop_sequences": [1]}, "$.stop_sequences[0]"),
    ({**HI, "tools": [5]}, "$.tools[0]"),
    ({**HI, "tools": [{"input_schema": {}}]}, "$.tools[0]"),
    ({**HI, "tool_choice": {"type": "tool"}}, "$.tool_choice.name"),
    ({**HI, "system": [{"type": "text"}]}, "$.system[0]"),
)


@pytest.mark.parametrize(("body", "path"), BROKEN, ids=range(len(BROKEN)))
def test_garbage_is_refused_with_its_place(body: Any, path: str | None) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decoded(body)
    assert caught.value.path == path
    assert caught.value.status == 400


def test_limits() -> None:
    two = {"messages": [HI["messages"][0]] * 2}
    blocks = {"messages": [{"role": "user", "content": [{"type": "x"}] * 2}]}
    deep = b'{"messages":[],"x":' + b"[" * 30 + b"]" * 30 + b"}"
    for body, limits in (
        (HI, Limits(body=10)),
        (two, Limits(messages=1)),
        (blocks, Limits(parts=1)),
        (deep, Limits(nesting=20)),
    ):
        with pytest.raises(LimitExceeded):
            DIALECT.decode_request(posted(body), limits)


# Signatures that went through a client


def carried(*blocks: dict[str, Any]) -> Request:
    content = [*blocks, {"type": "text", "text": "a"}]
    return decoded(
        {
            "model": "claude-opus-5",
            "messages": [
                HI["messages"][0],
                {"role": "assistant", "content": content},
                HI["messages"][0],
            ],
        }
    )


def sealed(origin: str, value: str, place: _seal.Placement = "here") -> str:
    return _seal.seal(Signature(origin=origin, value=value, model="m"), place)


def test_envelopes_are_opened_and_shown_to_nobody_else() -> None:
    found = carried(
        {"type": "thinking", "thinking": "a", "signature": sealed("gemini", "v")},
        {
            "type": "thinking",
            "thinking": "b",
            "signature": sealed("openai-responses", "v"),
        },
        {"type": "thinking", "thinking": "c", "signature": sealed("openai-chat", "")},
        {"type": "redacted_thinking", "data": sealed("openai-responses", "w")},
        {"type": "thinking", "thinking": "d", "signature": "c2ln"},
        {
            "type": "thinking",
            "thinking": "e",
            "signature": sealed("gemini", "x", "next"),
        },
    )
    signature = Signature(origin="gemini", value="v", model="m")
    other = replace(signature, origin="openai-responses")
    assert found.messages[1].parts == (
        ReasoningPart(text="a", signature=signature),
        ReasoningPart(summary=("b",), signature=other),
        ReasoningPart(text="c", extras={"@origin": Raw(b'"openai-chat"')}),
        ReasoningPart(signature=replace(other, value="w")),
        ReasoningPart(text="d", signature=Signature(origin="anthropic", value="c2ln")),
        ReasoningPart(text="e"),
        TextPart("a", signature=replace(signature, value="x")),
    )
    target = aim()
    body = encoded(found, target)
    assert [block.get("thinking") for block in body["messages"][1]["content"]] == [
        "d",
        "e",
        None,
    ]
    told = {(loss.feature, loss.path) for loss in target.losses.losses}
    assert ("reasoning.text", "messages[1].parts[2]") in told
    assert ("reasoning.signature", "messages[1].parts[6].signature") in told


def test_turns_of_nothing_but_foreign_thoughts_are_left_out() -> None:
    block = {"type": "thinking", "thinking": "", "signature": sealed("gemini", "v")}
    found = decoded(
        {"messages": [*HI["messages"], {"role": "assistant", "content": [block]}]}
    )
    assert len(encoded(found)["messages"]) == 1


def test_signatures_that_fit_are_sent() -> None:
    own = Signature(origin="anthropic", value="v", model="claude-opus-5", tag="a.1")
    text = TextPart("a", signature=own)
    found = Request(
        model="claude-opus-5",
        messages=(SAID, turn("assistant", ReasoningPart(signature=own), text)),
        dialect="anthropic",
    )
    for target, count in (
        (aim("claude-opus-5-20260101", tag="a.1"), 2),
        (aim("claude-opus-5", tag="b.1"), 1),
        (aim("claude-sonnet-5", tag="a.1"), 1),
    ):
        assert len(encoded(found, target)["messages"][1]["content"]) == count


# Foreign requests: controls


def test_the_least_request() -> None:
    body, told = sent(Request(model="claude-opus-5", messages=(SAID,)))
    assert body == {
        "model": "claude-opus-5",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }
    assert told == {("max_tokens", "max_tokens", "defaulted")}


def test_members_that_have_no_counterpart_are_told() -> None:
    body, told = sent(
        request(
            verbosity="low",
            prediction=Raw(b"{}"),
            metadata=Raw(b"{}"),
            cache_key="k",
            truncation="auto",
            logprobs=Logprobs(),
            include=("a", "b"),
            n=1,
            store=False,
            include_usage=True,
            modalities=("text",),
            betas=("b",),
            user="u" * 300,
            service_tier="priority",
            extras={"x": Raw(b"1"), "y": Raw(b"null")},
            output=OutputFormat(kind="text"),
        )
    )
    assert body["service_tier"] == "auto"
    assert told == {
        ("cache.key", "cache_key", "dropped"),
        ("choices", "n", "emulated"),
        ("extras", "extras[x]", "dropped"),
        ("include", "include[0]", "dropped"),
        ("include", "include[1]", "dropped"),
        ("logprobs", "logprobs", "dropped"),
        ("metadata", "metadata", "dropped"),
        ("modalities", "modalities", "emulated"),
        ("output.format", "output", "emulated"),
        ("prediction", "prediction", "dropped"),
        ("service_tier", "service_tier", "approximated"),
        ("store", "store", "emulated"),
        ("truncation", "truncation", "dropped"),
        ("usage", "include_usage", "defaulted"),
        ("user", "user", "dropped"),
        ("verbosity", "verbosity", "dropped"),
    }
    more = request(
        n=2,
        store=True,
        modalities=("text", "audio"),
        audio=AudioOutput(),
        service_tier="flex",
        user="u",
        state=ServerState(previous_response_id="r", container=Raw(b'"c"')),
    )
    body, told = sent(more, policy=LENIENT)
    assert body["metadata"] == {"user_id": "u"}
    assert told == {
        ("audio.output", "audio", "dropped"),
        ("choices", "n", "dropped"),
        ("modalities", "modalities", "dropped"),
        ("service_tier", "service_tier", "dropped"),
        ("state", "state", "dropped"),
        ("store", "store", "dropped"),
    }
    with pytest.raises(UnsupportedFeature):
        sent(request(n=2))


def test_tiers() -> None:
    assert sent(request(service_tier="default"))[0]["service_tier"] == "standard_only"
    poor = replace(profiles.resolve("anthropic"), rejects=frozenset({"service_tier"}))
    assert "service_tier" not in sent(request(service_tier="auto"), profile=poor)[0]


@pytest.mark.parametrize(
    ("model", "sampling", "kept"),
    [
        ("claude-opus-5", Sampling(temperature=0.5, top_p=0.5, top_k=3), {}),
        (
            "claude-3-opus",
            Sampling(temperature=1.5, top_k=2.5),
            {"temperature": 1, "top_k": 2},
        ),
        (
            "claude-3-opus",
            Sampling(temperature=0.5, top_p=0.5),
            {"temperature": 0.5, "top_p": 0.5},
        ),
        ("claude-opus-4-1", Sampling(temperature=0.5, top_p=0.5), {"temperature": 0.5}),
        ("claude-3-opus", Sampling(seed=1, logit_bias=Raw(b"{}")), {}),
    ],
)
def test_sampling(model: str, sampling: Sampling, kept: dict[str, float]) -> None:
    body, _ = sent(request(sampling=sampling), model)
    names = ("temperature", "top_p", "top_k")
    assert {name: body[name] for name in names if name in body} == kept


def test_sampling_by_version() -> None:
    new = replace(
        profiles.resolve("anthropic", None, "claude-3-opus"), versions=("2026-10-21",)
    )
    body, _ = sent(request(sampling=Sampling(temperature=1)), profile=new)
    assert "temperature" not in body
    warm = replace(new, versions=(), max_temperature=0.5)
    body, _ = sent(request(sampling=Sampling(temperature=1)), profile=warm)
    assert body["temperature"] == 0.5


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(temperature=1, top_k=5), {"temperature": 1}),
        (Sampling(temperature=0.5, top_p=0.99), {"top_p": 0.99}),
        (Sampling(top_p=0.5), {}),
    ],
)
def test_sampling_beside_thinking(sampling: Sampling, kept: dict[str, float]) -> None:
    asked = request(sampling=sampling, reasoning=Reasoning(mode="on", budget=50))
    body, _ = sent(replace(asked, max_tokens=5000), "claude-opus-4-1")
    names = ("temperature", "top_p", "top_k")
    assert {name: body[name] for name in names if name in body} == kept


OFF: dict[str, Any] = {"thinking": {"type": "disabled"}}
ADAPTIVE: dict[str, Any] = {"thinking": {"type": "adaptive"}}


@pytest.mark.parametrize(
    ("model", "wanted", "written"),
    [
        ("claude-opus-5", Reasoning(), {}),
        ("claude-opus-5", Reasoning(show="summary"), {}),
        ("claude-opus-5", Reasoning(mode="off"), OFF),
        ("claude-opus-5", Reasoning(effort="none", show="raw"), OFF),
        ("claude-opus-5", Reasoning(mode="on", budget=0), OFF),
        (
            "claude-fable-5",
            Reasoning(mode="off", effort="low"),
            {"output_config": {"effort": "low"}},
        ),
        (
            "claude-fable-5",
            Reasoning(effort="none"),
            {"output_config": {"effort": "low"}},
        ),
        ("claude-opus-5", Reasoning(mode="on"), ADAPTIVE),
        (
            "claude-opus-5",
            Reasoning(mode="on", show="raw"),
            {"thinking": {"type": "adaptive", "display": "summarized"}},
        ),
        (
            "claude-opus-5",
            Reasoning(effort="minimal"),
            {**ADAPTIVE, "output_config": {"effort": "low"}},
        ),
        ("claude-opus-5", Reasoning(mode="on", effort="x_new"), ADAPTIVE),
        (
            "claude-opus-5",
            Reasoning(budget=60),
            {**ADAPTIVE, "output_config": {"effort": "low"}},
        ),
        (
            "claude-opus-5",
            Reasoning(mode="on", budget=-1, show="none"),
            {"thinking": {"type": "adaptive", "display": "omitted"}},
        ),
        (
            "claude-opus-4-1",
            Reasoning(effort="high"),
            {"thinking": {"type": "enabled", "budget_tokens": 4000}},
        ),
        (
            "claude-opus-4-1",
            Reasoning(mode="on", budget=-1),
            {"thinking": {"type": "enabled", "budget_tokens": 2500}},
        ),
        (
            "claude-opus-4-1",
            Reasoning(mode="on", budget=9000),
            {"thinking": {"type": "enabled", "budget_tokens": 4999}},
        ),
        (
            "claude-opus-4-1",
            Reasoning(mode="on", budget=2000),
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        ),
        ("claude-opus-4-1", Reasoning(show="summary"), {}),
        ("claude-3-opus", Reasoning(mode="on", summary="auto"), {}),
    ],
)
def test_thinking(model: str, wanted: Reasoning, written: dict[str, Any]) -> None:
    asked = replace(request(reasoning=wanted), max_tokens=5000)
    body, _ = sent(asked, model)
    found = {k: v for k, v in body.items() if k in ("thinking", "output_config")}
    assert found == written


def test_thinking_needs_room() -> None:
    wanted = Reasoning(mode="on", effort="high")
    body, _ = sent(
        replace(request(reasoning=wanted), max_tokens=500), "claude-opus-4-1"
    )
    assert "thinking" not in body
    wanted = Reasoning(mode="on", budget=10000)
    body, _ = sent(
        replace(request(reasoning=wanted), max_tokens=None), "claude-opus-4-1"
    )
    assert body["max_tokens"] == 18192
    assert body["thinking"]["budget_tokens"] == 10000


def test_clients_that_show_thoughts_are_shown_some() -> None:
    wanted = Reasoning(mode="on", effort="high", extras={"x": Raw(b"1")})
    body, told = sent(request(reasoning=wanted, dialect="openai-chat"))
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert ("extras", "reasoning.extras[x]", "dropped") in told


def test_stops() -> None:
    asked = request(stop=("a", " ", ""))
    made = DIALECT.encode_request(asked, aim())
    assert json.loads(made.http.body)["stop_sequences"] == ["a"]
    assert made.stops == (" ",)
    plain = DIALECT.encode_request(asked, aim(policy={"stop": "drop"}))
    assert plain.stops == ()


def test_marks_on_the_whole() -> None:
    body, told = sent(request(cache=CacheMark("12h", {"x": Raw(b"1")})))
    assert body["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert ("cache.mark", "cache.ttl", "approximated") in told
    poor = replace(profiles.resolve("anthropic"), long_cache=False)
    body, _ = sent(request(cache=CacheMark("1h")), profile=poor)
    assert body["cache_control"] == {"type": "ephemeral"}
    none = replace(poor, cache_marks=False)
    assert "cache_control" not in sent(request(cache=CacheMark()), profile=none)[0]


# Foreign requests: tools and the shape of the answer


def tool(name: str = "f", **more: Any) -> Tool:
    return Tool(name=name, schema=Raw(b'{"type":"object"}'), **more)


def test_tools() -> None:
    loose = Raw(b'{"properties":{"a":{"type":"integer","minimum":1,"format":"x"}}}')
    asked = request(
        tools=(
            tool(),
            tool("f"),
            Tool(name="a.b", description="d", schema=loose, strict=True),
            Tool(name="none", strict=False),
            Tool(name="odd", schema=Raw(b"true"), extras={"x": Raw(b"1")}),
            Tool(name="null", schema=Raw(b"null"), cache=CacheMark("30m")),
            Tool(
                kind="custom",
                name="c",
                description="e",
                format=Raw(
                    b'{"type":"grammar","syntax":"lark","definition":"start: X"}'
                ),
            ),
            Tool(
                kind="custom",
                name="d",
                format=Raw(b'{"type":"grammar","grammar":{"definition":"Y"}}'),
            ),
            Tool(kind="custom", name="e", format=Raw(b'{"type":"text"}')),
            Tool(kind="server", name="web_search", raw=Raw(b"{}")),
        )
    )
    made = DIALECT.encode_request(asked, aim("claude-opus-5", policy=LENIENT))
    tools = {one["name"]: one for one in json.loads(made.http.body)["tools"]}
    empty = {"type": "object", "properties": {}}
    assert tools["f"] == {"name": "f", "input_schema": {"type": "object"}}
    assert tools["a_b"] == {
        "name": "a_b",
        "description": "d",
        "input_schema": {
            "properties": {
                "a": {"type": "integer", "description": 'minimum: 1\nformat: "x"'}
            },
            "type": "object",
            "additionalProperties": False,
        },
        "strict": True,
    }
    assert tools["none"] == {"name": "none", "input_schema": empty, "strict": False}
    assert tools["odd"]["input_schema"] == empty
    assert tools["null"]["cache_control"] == {"type": "ephemeral"}
    assert tools["c"]["description"].endswith("match this lark:\nstart: X")
    assert tools["d"]["description"].endswith("match this grammar:\nY")
    assert "description" not in tools["e"]
    assert made.names == {"a_b": "a.b"}
    assert made.custom == ("c", "d", "e")
    with pytest.raises(UnsupportedFeature):
        sent(asked)


def test_strict_tools_where_nothing_is_enforced() -> None:
    asked = request(tools=(tool(strict=True), tool("g", strict=False)))
    body, told = sent(asked, "claude-3-opus")
    assert not any("strict" in one for one in body["tools"])
    assert {action for feature, _, action in told if feature == "tool.strict"} == {
        "dropped",
        "emulated",
    }


CHOICES: tuple[tuple[ToolChoice | None, bool | None, Any], ...] = (
    (None, None, None),
    (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
    (
        ToolChoice(mode="auto"),
        True,
        {"type": "auto", "disable_parallel_tool_use": False},
    ),
    (ToolChoice(mode="none"), False, {"type": "none"}),
    (ToolChoice(mode="required"), None, {"type": "any"}),
    (ToolChoice(mode="validated"), None, {"type": "auto"}),
    (
        ToolChoice(mode="required", names=("f",), kind="named"),
        None,
        {"type": "tool", "name": "f"},
    ),
    (
        ToolChoice(mode="required", names=("a.b",), kind="named"),
        None,
        {"type": "tool", "name": "a_b"},
    ),
    (ToolChoice(mode="required", names=("zz",), kind="named"), None, None),
    (ToolChoice(mode="required", kind="named"), None, {"type": "any"}),
    (ToolChoice(mode="auto", kind="opaque", raw=Raw(b"{}")), None, None),
)


@pytest.mark.parametrize(("choice", "parallel", "written"), CHOICES)
def test_tool_choice(
    choice: ToolChoice | None, parallel: bool | None, written: Any
) -> None:
    asked = request(tools=(tool(), tool("a.b")), tool_choice=choice, parallel=parallel)
    assert sent(asked)[0].get("tool_choice") == written


def test_allowed_tools() -> None:
    choice = ToolChoice(mode="required", names=("g",), kind="allowed")
    body, _ = sent(request(tools=(tool(), tool("g")), tool_choice=choice))
    assert [one["name"] for one in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": "any"}
    nobody = replace(choice, names=())
    assert len(sent(request(tools=(tool(),), tool_choice=nobody))[0]["tools"]) == 1


def test_choice_without_tools() -> None:
    body, told = sent(request(tool_choice=ToolChoice(mode="auto"), parallel=True))
    assert "tool_choice" not in body
    assert {feature for feature, _, _ in told} == {"tool.choice", "parallel"}


def test_choice_that_a_server_rejects() -> None:
    poor = replace(
        profiles.resolve("anthropic"),
        rejects=frozenset({"tool_choice", "parallel", "required_tool_choice"}),
    )
    forced = ToolChoice(mode="required")
    asked = request(tools=(tool(),), tool_choice=forced, parallel=True)
    assert "tool_choice" not in sent(asked, profile=poor)[0]
    weak = replace(poor, rejects=frozenset({"required_tool_choice"}))
    assert sent(replace(asked, parallel=None), profile=weak)[0]["tool_choice"] == {
        "type": "auto"
    }


def test_a_forced_call_or_a_thought() -> None:
    asked = request(
        tools=(tool(),),
        tool_choice=ToolChoice(mode="required"),
        reasoning=Reasoning(mode="on", effort="high"),
    )
    assert "thinking" in sent(asked, "claude-opus-5")[0]
    assert "thinking" not in sent(asked, "claude-opus-4-7")[0]


SCHEMA = Raw(
    b'{"type":"object","properties":{"a":{"oneOf":[{"type":"string","maxLength":5},'
    b'{"type":["object","null"],"properties":{}}],"nullable":true},"b":{"items":'
    b'{"description":"d","not":{}},"minItems":2},"c":{"minItems":1,"format":"date"}},'
    b'"additionalProperties":true}'
)


def test_structured_output() -> None:
    output = OutputFormat(
        kind="json_schema",
        name="n",
        description="",
        strict=False,
        schema=SCHEMA,
        extras={"x": Raw(b"1")},
    )
    body, told = sent(request(output=output))
    assert body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "a": {
                    "anyOf": [
                        {"type": "string", "description": "maxLength: 5"},
                        {
                            "type": ["object", "null"],
                            "properties": {},
                            "additionalProperties": False,
                        },
                    ]
                },
                "b": {
                    "items": {"description": "d\nnot: {}"},
                    "description": "minItems: 2",
                },
                "c": {"minItems": 1, "format": "date"},
            },
            "additionalProperties": False,
        },
    }
    assert ("output.format", "output.name", "approximated") in told
    plain = OutputFormat(kind="enum", schema=Raw(b'{"enum":["a"]}'))
    assert sent(request(output=plain))[0]["output_config"]["format"]["schema"] == {
        "enum": ["a"]
    }


def test_structured_output_by_a_tool() -> None:
    output = OutputFormat(kind="json_schema", schema=Raw(b'{"type":"object"}'))
    asked = request(output=output, parallel=False, tool_choice=ToolChoice(mode="auto"))
    made = DIALECT.encode_request(asked, aim("claude-3-opus"))
    body = json.loads(made.http.body)
    assert made.json_tool == "json_response"
    assert [one["name"] for one in body["tools"]] == ["json_response"]
    assert body["tool_choice"] == {
        "type": "tool",
        "name": "json_response",
        "disable_parallel_tool_use": True,
    }
    beside = replace(asked, tools=(tool(),), parallel=None)
    assert sent(beside, "claude-3-opus")[0]["tool_choice"] == {"type": "any"}


def test_shapes_told_in_an_instruction() -> None:
    plain = OutputFormat(kind="json_object")
    assert "JSON" in sent(request(output=plain))[0]["system"][0]["text"]
    system = turn("system", TextPart("s"))
    body, _ = sent(request(system, SAID, output=plain))
    assert len(body["system"]) == 2
    listing = OutputFormat(kind="json_schema", schema=Raw(b'{"type":"array"}'))
    body, _ = sent(request(output=listing), "claude-3-opus")
    assert body["system"][0]["text"].endswith('{"type":"array"}')


def test_shapes_of_another_dialect() -> None:
    for output in (
        OutputFormat(kind="opaque", raw=Raw(b"{}")),
        OutputFormat(kind="json_schema"),
    ):
        body, told = sent(request(output=output))
        assert "output_config" not in body
        assert ("output.format", "output", "dropped") in told


# Foreign requests: conversations


CALL = ToolCallPart(call_id="call|1", name="f", arguments='{"a": 1}')
RESULT = ToolResultPart(call_id="call|1", name="f", parts=(TextPart("r"),), error=True)


def test_tool_turns() -> None:
    second = ToolCallPart(call_id="2", name="f", arguments=" ")
    asked = request(
        SAID,
        turn("assistant", TextPart("t"), CALL, second),
        turn("system", TextPart("now")),
        turn("user", ToolResultPart(call_id="2")),
        turn("user", RESULT),
        turn("user", TextPart("more")),
        tools=(tool(),),
    )
    body, told = sent(asked)
    call_id = body["messages"][1]["content"][1]["id"]
    assert body["messages"][1]["content"][1:] == [
        {"type": "tool_use", "id": call_id, "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "2", "name": "f", "input": {}},
    ]
    assert body["messages"][2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": call_id,
            "content": [{"type": "text", "text": "r"}],
            "is_error": True,
        },
        {"type": "tool_result", "tool_use_id": "2"},
        {"type": "text", "text": "<system-reminder>\nnow\n</system-reminder>"},
        {"type": "text", "text": "more"},
    ]
    assert {feature for feature, _, _ in told} == {
        "instructions",
        "message.boundary",
        "part.order",
        "tool.name",
    }


def test_calls_and_results_without_each_other() -> None:
    alone = request(SAID, turn("assistant", CALL), SAID, tools=(tool(),))
    with pytest.raises(UnsupportedFeature):
        sent(alone)
    body, _ = sent(alone, policy=LENIENT)
    assert body["messages"][2]["content"][0]["is_error"]
    orphan = request(turn("user", RESULT, TextPart("a")))
    with pytest.raises(UnsupportedFeature):
        sent(orphan)
    body, _ = sent(orphan, policy=LENIENT)
    assert [one["type"] for one in body["messages"][0]["content"]] == ["text"]


def test_tools_are_made_up_from_the_history() -> None:
    asked = request(SAID, turn("assistant", CALL), turn("user", RESULT))
    body, told = sent(
        replace(asked, tool_choice=ToolChoice(mode="auto"), parallel=True)
    )
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}
    assert ("tool.choice", "tools", "defaulted") in told
    never = replace(asked, tool_choice=ToolChoice(mode="none"))
    assert sent(never)[0]["tool_choice"] == {"type": "none"}


def test_odd_calls() -> None:
    calls = (
        ToolCallPart(call_id="1", name="f", arguments="[1]"),
        ToolCallPart(call_id="2", name="a.b", arguments="text", kind="custom"),
        ToolCallPart(
            call_id="3",
            name="f",
            incomplete=True,
            signature=Signature(origin="gemini", value="v"),
            logprobs=(TokenLogprob("a", -1.0),),
        ),
    )
    results = (
        ToolResultPart(call_id="1"),
        ToolResultPart(call_id="2", kind="custom"),
        ToolResultPart(
            call_id="3",
            parts=(TextPart(" "), ReasoningPart(text="x"), RefusalPart("no")),
            signature=Signature(origin="gemini", value="v"),
        ),
    )
    asked = request(SAID, turn("assistant", *calls), turn("user", *results))
    body, told = sent(asked)
    inputs = [one["input"] for one in body["messages"][1]["content"]]
    assert inputs == [{}, {"input": "text"}, {}]
    assert body["messages"][2]["content"][2]["content"] == [
        {"type": "text", "text": "no"}
    ]
    assert {feature for feature, _, _ in told} >= {
        "call.arguments",
        "logprobs",
        "message.empty",
        "opaque",
        "reasoning.signature",
        "refusal",
        "tool.custom",
        "tool.name",
    }


def test_parts_on_the_wrong_side() -> None:
    asked = request(
        turn("user", CALL, ReasoningPart(text="t"), TextPart("a")),
        turn("assistant", RESULT, TextPart("b")),
        SAID,
    )
    body, told = sent(asked, policy=LENIENT)
    assert [len(one["content"]) for one in body["messages"]] == [1, 1, 1]
    assert {feature for feature, _, _ in told} >= {"opaque", "reasoning.text"}
    answered = request(SAID, turn("assistant", CALL, RESULT), SAID, tools=(tool(),))
    _, told = sent(answered, policy=LENIENT)
    assert ("tool_result.orphan", "messages[1].parts[1]", "dropped") in told


def test_instructions() -> None:
    asked = request(
        turn("system", TextPart("a", cache=CacheMark())),
        turn("developer", TextPart("b"), MediaPart(kind="image", source=Url("u"))),
        SAID,
        turn("developer", TextPart("c")),
        turn("system", TextPart("d"), TextPart(" ")),
        turn("assistant", TextPart("e")),
        turn("system", TextPart(" ")),
        turn("user", TextPart("f")),
        turn("system", TextPart("g")),
        turn("user", TextPart("h")),
        turn("system", TextPart("late"), top=True),
    )
    body, told = sent(asked)
    assert [one["text"] for one in body["system"]] == ["a", "b", "late"]
    assert [one["role"] for one in body["messages"]] == [
        "user",
        "system",
        "assistant",
        "user",
    ]
    assert [one["text"] for one in body["messages"][1]["content"]] == ["c", "d"]
    assert [one["text"] for one in body["messages"][3]["content"]] == [
        "f",
        "<system-reminder>\ng\n</system-reminder>",
        "h",
    ]
    assert {feature for feature, _, _ in told} == {
        "instructions",
        "instructions.top",
        "message.boundary",
        "message.empty",
    }


def test_empty_turns_are_merged_with_their_neighbours() -> None:
    body, told = sent(request(turn("user"), turn("user", TextPart("a"))))
    assert len(body["messages"]) == 1
    assert ("message.empty", "messages[0]", "dropped") in told


def test_schemas_without_end() -> None:
    deep = b"true"
    for _ in range(120):
        deep = b'{"items":' + deep + b"}"
    output = OutputFormat(kind="json_schema", schema=Raw(deep))
    written = sent(request(output=output))[0]["output_config"]["format"]["schema"]
    assert written == json.loads(deep)


def test_nothing_but_instructions() -> None:
    body, told = sent(request(turn("system", TextPart("a"))))
    assert body["messages"][0]["content"][0]["text"] == "(empty)"
    assert ("message.empty", "messages", "emulated") in told
    silent, _ = sent(request(turn("user")), policy={"message.empty": "drop"})
    assert silent["messages"] == []


def test_empty_texts_and_their_marks() -> None:
    mark = CacheMark()
    asked = request(
        turn(
            "user", TextPart("", cache=mark), TextPart("a"), TextPart(" ", cache=mark)
        ),
        turn("assistant", TextPart("")),
        turn("user", TextPart("b", cache=mark), TextPart("", cache=mark)),
    )
    body, told = sent(asked)
    assert len(body["messages"]) == 1
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
    ]
    assert ("cache.mark", "messages[0].parts[0].cache", "dropped") in told
    assert ("cache.mark", "messages[0].parts[1].cache", "emulated") in told


def test_the_first_turn() -> None:
    asked = request(turn("assistant", TextPart("a")), SAID)
    body, _ = sent(asked)
    assert body["messages"][0]["content"][0]["text"] == "(continued)"
    body, _ = sent(asked, policy={"message.order": "drop"})
    assert len(body["messages"]) == 1
    free = replace(profiles.resolve("anthropic"), first_turn_user=False)
    assert len(sent(asked, profile=free)[0]["messages"]) == 2


def test_the_last_turn() -> None:
    asked = request(SAID, turn("assistant", TextPart("a ")))
    assert sent(asked)[0]["messages"][2]["content"][0]["text"] == "(continued)"
    assert len(sent(asked, policy={"message.prefill": "drop"})[0]["messages"]) == 1
    body, told = sent(asked, "claude-3-opus")
    assert body["messages"][1]["content"][0]["text"] == "a"
    assert ("message.prefill", "messages[1].parts[0].text", "approximated") in told
    trim = request(SAID, turn("assistant", TextPart("a")))
    assert len(sent(trim, "claude-3-opus")[1]) == 0
    called = request(SAID, turn("assistant", CALL), tools=(tool(),))
    assert len(sent(called, "claude-3-opus")[0]["messages"]) == 2
    with pytest.raises(UnsupportedFeature):
        sent(called)
    assert len(sent(called, policy={"call.unanswered": "drop"})[0]["messages"]) == 1
    body, _ = sent(called, policy={"call.unanswered": "emulate"})
    assert [one["type"] for one in body["messages"][2]["content"]] == [
        "tool_result",
        "text",
    ]


def test_at_most_four_marks() -> None:
    short, long = CacheMark("5m"), CacheMark("1h")
    result = ToolResultPart(
        call_id="1",
        parts=(TextPart(" "), TextPart("a", cache=short), TextPart("b")),
        cache=long,
    )
    asked = request(
        turn("system", TextPart("s", cache=long), top=True),
        turn("user", TextPart("u", cache=long)),
        turn("assistant", ToolCallPart(call_id="1", name="f")),
        turn("user", result, TextPart("v", cache=long)),
        tools=(tool(cache=long), tool("g")),
    )
    body, told = sent(asked)
    assert "cache_control" not in str(body["tools"]) + str(body["system"])
    found = [
        path
        for feature, path, action in told
        if feature == "cache.mark" and action == "dropped"
    ]
    assert sorted(found) == ["messages[0].parts[0].cache", "tools[0].cache"]
    last = body["messages"][2]["content"]
    assert last[0]["content"][0]["cache_control"]["ttl"] == "5m"
    assert "ttl" not in last[0]["cache_control"]
    thought = ReasoningPart(
        signature=Signature(origin="anthropic", value="v"), cache=CacheMark()
    )
    _, told = sent(request(SAID, turn("assistant", thought, TextPart("a")), SAID))
    assert ("cache.mark", "messages[1].parts[0].cache", "dropped") in told


def shown(part: Part, **more: Any) -> tuple[Any, Any]:
    """The block that a part of the user's becomes."""
    more.setdefault("policy", LENIENT)
    body, told = sent(request(turn("user", part, TextPart("x"))), **more)
    blocks = body["messages"][0]["content"]
    return (blocks[0] if len(blocks) > 1 else None), told


MEDIA: tuple[tuple[MediaPart, Any], ...] = (
    (
        MediaPart(
            kind="image", mime="image/jpeg", source=Base64(PNG), detail="low", name="n"
        ),
        {"type": "base64", "media_type": "image/png", "data": PNG},
    ),
    (
        MediaPart(kind="image", mime="IMAGE/JPG; a=b", source=Base64("AA_-")),
        {"type": "base64", "media_type": "image/jpeg", "data": "AA/+"},
    ),
    (MediaPart(kind="image", source=Base64("AAAA")), None),
    (MediaPart(kind="image", mime="image/bmp", source=Base64("AAAA")), None),
    (
        MediaPart(kind="image", mime="image/png", source=Url("https://a/b")),
        {"type": "url", "url": "https://a/b"},
    ),
    (MediaPart(kind="image", source=Url("gs://a/b")), None),
    (
        MediaPart(kind="image", source=Url(f"data:image/png;base64,{PNG}")),
        {"type": "base64", "media_type": "image/png", "data": PNG},
    ),
    (MediaPart(kind="image", source=FileId("f")), None),
    (MediaPart(kind="audio", source=Base64("AAAA")), None),
    (
        MediaPart(kind="document", source=Base64(PDF)),
        {"type": "base64", "media_type": "application/pdf", "data": PDF},
    ),
    (
        MediaPart(kind="document", mime="text/csv", source=Base64("YSxi")),
        {"type": "text", "media_type": "text/plain", "data": "a,b"},
    ),
    (
        MediaPart(kind="document", mime="text/plain", source=Base64("YSxi")),
        {"type": "text", "media_type": "text/plain", "data": "a,b"},
    ),
    (MediaPart(kind="document", mime="text/csv", source=Base64("/w==")), None),
    (MediaPart(kind="document", mime="a/b", source=Base64("AAAA")), None),
    (
        MediaPart(kind="document", mime="text/html", source=PlainText("a")),
        {"type": "text", "media_type": "text/plain", "data": "a"},
    ),
    (
        MediaPart(kind="document", source=Url("https://a/b")),
        {"type": "url", "url": "https://a/b"},
    ),
)


@pytest.mark.parametrize(("part", "source"), MEDIA, ids=range(len(MEDIA)))
def test_media(part: MediaPart, source: Any) -> None:
    block, _ = shown(part)
    assert (block and block["source"]) == source


def test_facts_beside_media() -> None:
    part = MediaPart(
        kind="document",
        mime="application/pdf",
        source=Base64(PDF),
        name="n",
        meta={"context": Raw(b'"c"'), "transcript": Raw(b'"t"')},
        signature=Signature(origin="gemini", value="v"),
    )
    block, told = shown(part)
    assert (block["title"], block["context"]) == ("n", "c")
    path = "messages[0].parts[0]"
    assert told == {
        ("media.meta", f"{path}.meta", "dropped"),
        ("reasoning.signature", f"{path}.signature", "dropped"),
    }
    _, told = shown(replace(part, kind="image", source=Base64(PNG)))
    assert ("media.meta", f"{path}.name", "dropped") in told
    _, told = sent(
        request(SAID, turn("assistant", part, TextPart("a")), SAID), policy=LENIENT
    )
    assert ("media.document", "messages[1].parts[0]", "dropped") in told
    poor = replace(profiles.resolve("anthropic"), media_urls=False)
    linked = MediaPart(kind="image", source=Url("https://a/b"))
    assert shown(linked, profile=poor)[0] is None


def test_parts_of_other_dialects() -> None:
    parts: tuple[Part, ...] = (
        TextPart(
            "a",
            citations=(Citation(kind="url"),),
            phase="commentary",
            incomplete=True,
            extras={"x": Raw(b"1")},
        ),
        ServerToolCallPart(name="s"),
        ServerToolResultPart(name="s"),
        OpaquePart(dialect="gemini", kind="", raw=Raw(b"{}")),
        OpaquePart(dialect="anthropic", kind="", raw=Raw(b"{}")),
        ReasoningPart(text="t"),
        ReasoningPart(text="t", redacted=True),
        ReasoningPart(signature=Signature(origin="gemini", value="v")),
        ReasoningPart(
            summary=("a", "b"), signature=Signature(origin="anthropic", value="v")
        ),
    )
    said = turn("assistant", *parts, extras={"name": Raw(b'"n"')})
    body, told = sent(request(SAID, said, SAID))
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "thinking", "thinking": "a\n\nb", "signature": "v"},
    ]
    assert {feature for feature, _, _ in told} == {
        "citations",
        "extras",
        "opaque",
        "part.incomplete",
        "phase",
        "reasoning.segments",
        "reasoning.signature",
        "reasoning.text",
        "tool.server_part",
    }


def test_lost_thoughts_turn_thinking_off() -> None:
    def loop(*parts: Part) -> Request:
        return request(
            SAID,
            turn("assistant", *parts, CALL),
            turn("user", RESULT),
            tools=(tool(),),
            reasoning=Reasoning(mode="on", budget=2000),
        )

    own = ReasoningPart(signature=Signature(origin="anthropic", value="v"))
    for asked, thinks in (
        (loop(), False),
        (loop(own), True),
        (loop(TextPart("a")), False),
    ):
        body, _ = sent(replace(asked, max_tokens=5000), "claude-opus-4-1")
        assert ("thinking" in body) is thinks
    free = replace(loop(), reasoning=Reasoning(mode="off"))
    assert sent(free, "claude-opus-4-1")[0]["thinking"] == {"type": "disabled"}
    odd = replace(loop(), messages=(turn("user", RESULT),), max_tokens=5000)
    assert "thinking" in sent(odd, "claude-opus-4-1", policy=LENIENT)[0]


# The dialect's own requests, for servers that are not the vendor


def test_compatible_servers() -> None:
    found = decoded(
        {
            "model": "m",
            "system": "s",
            "temperature": 0.5,
            "service_tier": "auto",
            "container": "c",
            "tools": [
                {"name": "f", "input_schema": {}, "x": 1},
                {"type": "web_search_20250305", "name": "web_search"},
            ],
            "tool_choice": {"type": "x_new"},
            "thinking": {"type": "enabled", "budget_tokens": 2000, "x": 1},
            "cache_control": {"type": "ephemeral", "y": 1},
            "messages": [
                {"role": "user", "content": "a", "z": 1},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "t", "signature": ""},
                        {
                            "type": "server_tool_use",
                            "id": "s",
                            "name": "n",
                            "input": {},
                        },
                        {"type": "x_new"},
                        {"type": "text", "text": "b", "citations": [{"type": "x"}]},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "file", "file_id": "f"}},
                        {
                            "type": "image",
                            "source": {"type": "url", "url": "https://a"},
                        },
                        {"type": "document", "source": {"type": "text", "data": "d"}},
                    ],
                },
            ],
            "x": 1,
        },
        ("anthropic-version", "2023-06-01"),
    )
    body = encoded(found, aim("m", "anthropic-compatible"))
    assert body["max_tokens"] == 4096
    assert body["x"] == 1
    assert body["system"] == "s"
    assert body["messages"][0] == {"role": "user", "content": "a", "z": 1}
    assert [one["type"] for one in body["messages"][1]["content"]] == [
        "thinking",
        "server_tool_use",
        "x_new",
        "text",
    ]
    assert len(body["messages"][2]["content"]) == 3
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000, "x": 1}
    assert body["tools"][1]["type"] == "web_search_20250305"
    assert body["tool_choice"] == {"type": "x_new"}
    closed = replace(profiles.resolve("anthropic", "anthropic-compatible"), closed=True)
    body = encoded(found, aim("m", closed))
    assert "x" not in body
    assert "x" not in body["thinking"]
    shaped = decoded({**HI, "output_config": {"format": {"type": "x_new"}}})
    assert "output_config" in encoded(shaped, aim("m", "anthropic-compatible"))
    able = replace(closed, structured_output=True, closed=False)
    schema = {"type": "json_schema", "schema": {"minimum": 1}, "x": 1}
    shaped = decoded({**HI, "output_config": {"format": schema}})
    assert encoded(shaped, aim("m", able))["output_config"] == {"format": schema}


def test_versions_of_compatible_servers() -> None:
    cited = {"type": "text", "text": "a", "citations": [{"type": "x"}]}
    found = decoded(
        {"messages": [{"role": "user", "content": [cited]}]},
        ("anthropic-version", "2026-10-21"),
    )
    both = replace(profiles.resolve("anthropic", "anthropic-compatible"), versions=())
    http = DIALECT.encode_request(found, aim("m", both)).http
    assert http.header("anthropic-version") == "2026-10-21"
    assert b"citations" not in http.body
    old = DIALECT.encode_request(found, aim("m", "anthropic-compatible")).http
    assert old.header("anthropic-version") == "2023-06-01"
    assert b"citations" in old.body


def test_plain_thoughts_where_they_are_taken() -> None:
    takes = replace(
        profiles.resolve("anthropic", "anthropic-compatible"), replay_reasoning="always"
    )
    body, _ = sent(
        request(SAID, turn("assistant", ReasoningPart(text="t")), SAID), profile=takes
    )
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "t", "signature": ""}
    ]


def test_changed_search_results_are_text() -> None:
    block = {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [{"type": "text", "text": "secret"}],
    }
    found = decoded({"messages": [{"role": "user", "content": [block]}]})
    part = found.messages[0].parts[0]
    assert isinstance(part, TextPart)
    assert part.text == "t\ns\n\nsecret"
    hidden = replace(part, text="redacted")
    message = replace(found.messages[0], parts=(hidden,))
    body = encoded(replace(found, messages=(message,)))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "redacted"}]


def test_changed_parts_are_written_as_they_are() -> None:
    found = decoded({**HI, "system": "s"})
    mark = CacheMark("5m", {"ttl": Raw(b"null")})
    marked = tuple(
        replace(m, parts=(replace(m.parts[0], cache=mark),)) for m in found.messages
    )
    hosted = Tool(kind="server", name="x")
    body = encoded(replace(found, messages=marked, tools=(hosted,), parallel=False))
    block = {"type": "text", "cache_control": {"type": "ephemeral", "ttl": "5m"}}
    assert body["system"] == [{**block, "text": "s"}]
    assert body["messages"][0]["content"] == [{**block, "text": "Hi"}]
    assert "tools" not in body
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_what_no_client_of_the_dialect_says_is_made_to_fit() -> None:
    found = decoded({**HI, "x": 1, "thinking": {"type": "adaptive", "y": 2}})
    asked = replace(found, tools=(Tool(kind="custom", name="f"),), verbosity="low")
    target = aim()
    made = DIALECT.encode_request(asked, target)
    body = json.loads(made.http.body)
    assert (body["x"], body["thinking"]) == (1, {"type": "adaptive", "y": 2})
    assert made.custom == ("f",)
    assert {loss.feature for loss in target.losses.losses} == {
        "max_tokens",
        "tool.custom",
        "verbosity",
    }
    with pytest.raises(UnsupportedFeature):
        encoded(replace(found, n=2))


def test_parts_that_fit_no_block_are_left_out() -> None:
    parts: tuple[Part, ...] = (
        RefusalPart("no"),
        MediaPart(kind="audio", source=Base64("")),
        ReasoningPart(redacted=True),
        OpaquePart(dialect="gemini", kind="", raw=Raw(b"{}")),
        ToolCallPart(call_id="c", name="f", arguments="{"),
    )
    made = Request(messages=(turn("assistant", *parts),), dialect="anthropic")
    assert encoded(made)["messages"][0]["content"] == [
        {"type": "text", "text": "no"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    ]


# Counting


def test_counting() -> None:
    found = DIALECT.decode_count_request(posted(HI), Limits())
    assert DIALECT.encode_count_request is not None
    http = DIALECT.encode_count_request(found, aim())
    assert http.path == "/v1/messages/count_tokens"
    assert json.loads(http.body) == HI
    asked = request(stop=("a",), stream=True, user="u", service_tier="auto")
    http = DIALECT.encode_count_request(asked, aim("claude-opus-5"))
    assert set(json.loads(http.body)) == {"model", "messages"}


# Laws


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dialect", [None, "openai-chat", "openai-responses", "gemini"])
def test_what_differs_was_told(dialect: str | None, model: str) -> None:
    @settings(max_examples=50)
    @given(strategies.requests(dialect))
    def law(asked: Request) -> None:
        target = aim(model, policy=LENIENT)
        made: Encoded = DIALECT.encode_request(asked, target)
        back = DIALECT.decode_request(made.http, Limits())
        told = target.losses.losses
        assert unexplained(asked, back, told) == []
        assert unfounded(asked, back, told) == []
        again = DIALECT.encode_request(back, aim(model)).http
        assert json.loads(again.body) == json.loads(made.http.body)

    law()


@given(strategies.requests("anthropic"))
def test_own_requests_are_written_and_read(asked: Request) -> None:
    first = DIALECT.encode_request(asked, aim(policy=LENIENT)).http
    found = DIALECT.decode_request(first, Limits())
    second = DIALECT.encode_request(found, aim()).http
    assert differences(json.loads(first.body), json.loads(second.body)) == []
    DIALECT.encode_request(found, aim("m", "anthropic-compatible", LENIENT))
