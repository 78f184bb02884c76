"""Chat requests: read without loss, written for servers of many kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from llmwire import profiles
from llmwire._seal import seal
from llmwire.errors import LimitExceeded, RemoteProtocolError, UnsupportedFeature
from llmwire.limits import Limits
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
    ServerToolCallPart,
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
from llmwire.strategies import json_values, requests
from tests import oracle
from tests.dialects.chat_pair import (
    DROP,
    OPENAI,
    encode_request,
    plain,
    raw,
    read_request,
    told,
    write_request,
)
from tests.loss_equation import complaints
from tests.normal_forms import differences

_PNG = "iVBORw0KGgo="
_HI = {"role": "user", "content": "Hi"}


def _user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def _assistant(**members: Any) -> dict[str, Any]:
    return {"role": "assistant", **members}


def _call(**members: Any) -> dict[str, Any]:
    function = {"name": "f", "arguments": "{}"}
    return {"id": "c1", "type": "function", "function": function, **members}


def _tool(**members: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "c1", "content": "ok", **members}


def _thread(*messages: Any, **members: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [*messages], **members}


def _custom(**members: Any) -> dict[str, Any]:
    return {"type": "custom", "custom": {"name": "p", **members}}


def _function(**members: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **members}}


_GRAMMAR = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}
_DETAIL = {"type": "reasoning.text", "text": "Hm", "signature": "s", "index": 0}
_SECRET = {"type": "reasoning.encrypted", "data": "d", "id": "rs", "index": 0}

# Each goes out as it came in. https://platform.openai.com/docs/api-reference/chat
BODIES: tuple[Any, ...] = (
    {"messages": []},
    _thread(_HI),
    _thread({"role": "system", "content": "S", "name": "n"}, _HI),
    _thread({"role": "developer", "content": [{"type": "text", "text": "S"}]}),
    _thread({"role": "user", "content": ""}, {"role": "user"}),
    _thread({"role": "user", "content": None, "name": None}, _user()),
    _thread(_user({"type": "text", "text": ""}, {"type": "text", "text": "b"})),
    _thread(
        _user(
            {
                "type": "text",
                "text": "a",
                "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"},
            },
            {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
            {
                "type": "text",
                "text": "c",
                "prompt_cache_breakpoint": {"mode": "explicit"},
                "cache_control": {"type": "ephemeral", "ttl": "1h"},
            },
            {"type": "text", "text": "d", "prompt_cache_breakpoint": None},
            {"type": "text", "text": "e", "cache_control": {"type": "new"}},
            {
                "type": "text",
                "text": "f",
                "cache_control": {"type": "ephemeral", "x": 1},
            },
            {
                "type": "text",
                "text": "g",
                "cache_control": {"type": "ephemeral", "ttl": None},
            },
        )
    ),
    _thread(
        _user(
            {
                "type": "image_url",
                "image_url": {"url": f"data:image/png;base64,{_PNG}"},
            },
            {
                "type": "image_url",
                "image_url": {"url": f"DATA:image/PNG;base64,{_PNG}"},
            },
            {"type": "image_url", "image_url": {"url": "data:,a%20b", "detail": None}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,a-_a"}},
            {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
            {"type": "image_url", "image_url": {"url": "x", "detail": "high", "n": 1}},
            {"type": "image_url", "image_url": {"url": "x", "detail": ""}},
            {"type": "image_url", "image_url": "https://a.example/b.png"},
        )
    ),
    _thread(
        _user(
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "new"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA"}},
            {"type": "input_audio", "input_audio": {"data": "A", "format": "mp3"}},
            {
                "type": "input_audio",
                "input_audio": {"data": "data:;base64,AAAA", "format": "wav", "n": 1},
            },
            {"type": "input_audio", "input_audio": {"data": "https://a.example/a"}},
            {"type": "input_audio", "input_audio": "AAAA"},
        )
    ),
    _thread(
        _user(
            {
                "type": "file",
                "file": {
                    "file_data": "data:application/pdf;base64,AAAA",
                    "filename": "a.pdf",
                },
            },
            {"type": "file", "file": {"file_data": "AAAA", "filename": ""}},
            {"type": "file", "file": {"file_data": "https://a.example/a.pdf"}},
            {"type": "file", "file": {"file_id": "file-1", "n": 1}},
            {"type": "file", "file": {"file_id": "file-1", "file_data": None}},
            {"type": "file", "file": {"file_id": "f", "file_data": "data:,x"}},
            {"type": "file", "file": {"filename": "a"}},
        )
    ),
    _thread(
        _user(
            {"type": "video_url", "video_url": {"url": "https://a.example/a.mp4"}},
            {
                "type": "audio_url",
                "audio_url": {"url": "data:audio/wav;base64,AAAA"},
                "cache_control": {"type": "ephemeral"},
            },
            {
                "type": "document_url",
                "document_url": "https://a.example/a.pdf",
                "document_name": "a.pdf",
                "prompt_cache_breakpoint": {"mode": "explicit"},
            },
            {"type": "video_url", "video_url": 5},
            {"type": "video_url"},
            {"type": "new", "new": 1},
            {"type": 5},
            {"x": 1},
        )
    ),
    _thread(_assistant(content="a"), _assistant(content=None), _assistant()),
    _thread(_assistant(content=""), _assistant(content=[]), _assistant(refusal="no")),
    _thread(_assistant(content=[{"type": "text", "text": "a"}], refusal=None)),
    _thread(
        _assistant(
            content=[
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
                {"type": "thinking", "thinking": "Hm", "closed": True, "x/y": 1},
                {
                    "type": "thinking",
                    "thinking": [
                        {"type": "text", "text": "a"},
                        {"type": "text", "text": "b"},
                    ],
                },
                {"type": "thinking", "thinking": [{"type": "new"}]},
                {"type": "thinking", "thinking": 5},
                {"type": "thinking", "thinking": [{"type": "text", "text": 5}]},
                {"type": "thinking", "thinking": [5]},
                {"type": "refusal", "refusal": "no", "x": 1},
                {"type": "text", "text": "a", "@x": 1},
            ]
        )
    ),
    _thread(
        _assistant(
            content="x",
            name="n",
            prefix=True,
            audio={"id": "audio_1"},
            annotations=[],
            tool_calls=None,
            function_call=None,
            new=1,
        )
    ),
    _thread(
        _assistant(content="x", audio=None, name=None, tool_calls=[], annotations=None),
        _assistant(content="x", audio={"id": 5}),
        _assistant(content="x", audio={"id": "audio_1", "new": 1}),
    ),
    _thread(
        _assistant(
            content="x",
            annotations=[
                {
                    "type": "url_citation",
                    "url_citation": {"url": "https://a.example/", "start_index": True},
                },
                {"type": "file", "file": {}},
            ],
        ),
        _assistant(annotations=[{"type": "url_citation"}]),
        _assistant(content="x", annotations=[5]),
    ),
    _thread(
        _assistant(content=None, tool_calls=[_call()]),
        _tool(),
        _assistant(tool_calls=[_call(index=0), _call(id="c2", type=None)]),
        _tool(content=[{"type": "text", "text": "a"}]),
        _tool(tool_call_id="c2", content="", name="f"),
    ),
    _thread(
        _assistant(
            content="",
            tool_calls=[
                {"function": {"name": "f", "arguments": ""}},
                {"id": None, "type": "", "function": {"name": "f"}},
                {"id": "", "type": "new", "function": {"name": "f", "arguments": None}},
                {"id": "a", "function": {"arguments": {"x": [1]}, "new": 1}},
                {"id": "b", "function": {"name": None, "arguments": "{"}, "x": 1},
                {"id": "c", "type": "custom", "custom": {"name": "p", "input": "i"}},
                {"id": "d", "type": "custom", "custom": {"name": "", "input": ""}},
                {"id": "e", "type": "custom", "custom": {"new": 1}, "function": None},
                {
                    "id": "f",
                    "type": "function",
                    "custom": {"name": "", "input": ""},
                    "function": {"name": "f", "arguments": "{}"},
                },
                {"id": "g", "type": "function", "function": {}, "custom": None},
                {"id": "h", "type": "function", "new": 1},
                {"id": "i", "type": "function", "function": None},
            ],
        )
    ),
    _thread(
        _assistant(
            tool_calls=[
                _call(extra_content={"google": {"thought_signature": "s"}}),
                _call(
                    id="2", extra_content={"google": {"thought_signature": "s", "x": 1}}
                ),
                _call(id="3", extra_content={"google": {"thought_signature": 5}}),
                _call(id="4", extra_content=None),
                _call(id="5", extra_content={"google": {"thought_signature": ""}}),
            ]
        )
    ),
    _thread(
        _assistant(
            tool_calls=[
                {"id": "c1", "type": "custom", "custom": {"name": "p", "input": "i"}}
            ]
        ),
        _tool(),
    ),
    _thread(
        _assistant(content=None, function_call={"name": "f", "arguments": "{}"}),
        {"role": "function", "name": "f", "content": "ok"},
        _assistant(function_call={"name": "g"}),
        {"role": "function", "name": "other", "content": None},
        {"role": "function", "content": "ok"},
        functions=[{"name": "f", "parameters": {}}, {"name": "g", "parameters": None}],
        function_call={"name": "f"},
    ),
    _thread(_HI, functions=[{"name": "f", "new": 1}], function_call="auto"),
    _thread(_HI, functions=[], function_call=None, tools=[]),
    _thread(_HI, function_call={"new": 1}, tool_choice="none"),
    _thread(_HI, function_call={"new": 1}, functions=None),
    _thread(_tool(content=None), _tool(content=[]), _tool(name=None), _tool(new=1)),
    _thread({"role": "tool", "tool_call_id": "x"}),
    _thread(
        _assistant(content="a", reasoning_content="Hm"),
        _assistant(content="a", reasoning="Hm"),
        _assistant(content="a", reasoning_text="Hm", reasoning_content=None),
        _assistant(content="a", reasoning="Hm", reasoning_content="Hm"),
        _assistant(content="a", reasoning="Hm", reasoning_content="Other"),
        _assistant(content="a", reasoning_content="", reasoning_details=[]),
        _assistant(content="a", reasoning_details=None),
    ),
    _thread(
        _assistant(content="a", reasoning_details=[_DETAIL]),
        _assistant(content="a", reasoning_details=[_DETAIL], reasoning="Hm"),
        _assistant(content="a", reasoning_details=[_DETAIL], reasoning="Other"),
        _assistant(content="a", reasoning_details=[_SECRET], reasoning="Hm"),
        _assistant(
            content="a",
            reasoning_details=[
                {"type": "reasoning.summary", "summary": "Hm", "index": 0},
                _SECRET,
            ],
        ),
        _assistant(
            content="a",
            reasoning_details=[
                {"type": "reasoning.text", "text": "a", "index": 0},
                {"type": "reasoning.text", "text": "b", "index": 0},
                {"type": "reasoning.text", "signature": "s", "data": "d"},
                {"type": "reasoning.text", "signature": "", "text": None, "index": 2},
                {"type": "reasoning.encrypted", "data": "", "id": 5, "format": None},
                {"type": "reasoning.new", "index": 0},
                {"index": 7},
                5,
            ],
        ),
        _assistant(
            content="a",
            reasoning="Hm",
            reasoning_details=[{"type": "reasoning.new"}, _DETAIL, _SECRET, _SECRET],
        ),
    ),
    _thread(
        _HI,
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        max_completion_tokens=5,
        max_tokens=6,
        temperature=1,
        top_p=0.5,
        top_k=4,
        min_p=0.1,
        seed=7,
        random_seed=8,
        n=1,
        stop=["a"],
        frequency_penalty=0,
        presence_penalty=0.5,
        repetition_penalty=1.1,
        logit_bias={"5": 1},
        logprobs=True,
        top_logprobs=3,
        parallel_tool_calls=False,
        verbosity="low",
        modalities=["text", "audio"],
        audio={"voice": "ash", "format": "wav", "new": 1},
        prediction={"type": "content", "content": "x"},
        store=True,
        metadata={"a": "b"},
        service_tier="flex",
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        web_search_options={},
        prompt_cache_options={"mode": "explicit"},
        provider={"order": ["x"]},
        **{"x/y": 1, "@x": 2, "~": None},
    ),
    _thread(_HI, max_tokens=6, user="u", random_seed=8, stop="a", logprobs=False),
    _thread(_HI, safety_identifier="s", stream_options={}, top_logprobs=3),
    _thread(_HI, user=None, max_tokens=None, seed=None),
    _thread(_HI, stream_options={"include_usage": None}, audio={"voice": {"id": "x"}}),
    _thread(_HI, stream_options={"include_usage": 1}, audio={"format": 5}),
    dict.fromkeys(
        (
            *("model", "stream", "stream_options", "max_tokens", "temperature", "seed"),
            *("stop", "logit_bias", "logprobs", "top_logprobs", "tools", "tool_choice"),
            *("functions", "function_call", "response_format", "modalities", "audio"),
            *("prediction", "metadata", "user", "web_search_options", "reasoning"),
            *("reasoning_effort", "thinking", "enable_thinking", "parallel_tool_calls"),
        )
    )
    | {"messages": [_HI]},
    _thread(_HI, stop=[], modalities=[]),
    _thread(
        _HI,
        tools=[
            _function(description="d", parameters={"type": "object"}, strict=True),
            _function(description=None, parameters=None, strict=None, new=1),
            {**_function(), "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {**_function(), "cache_control": {"type": "ephemeral", "x": 1}, "y": 2},
            {**_function(), "cache_control": None},
            _custom(),
            {**_custom(description="d", format={"type": "text"}, new=1), "x": 1},
            _custom(format=_GRAMMAR, description=None),
            _custom(format={"type": "grammar", "grammar": {"syntax": "lark"}}),
            _custom(format={"type": "grammar", "grammar": 5}),
            _custom(format={"type": "new", "grammar": {}}),
            _custom(format=5),
            {"type": "web_search", "x": 1},
            {"x": 1},
        ],
    ),
    *(
        _thread(_HI, tools=[_function(), _custom()], tool_choice=choice)
        for choice in (
            *("auto", "none", "required", "any", "new", 5, {"type": "new"}),
            {"type": "function", "function": {"name": "f"}},
            {"type": "function", "function": {"name": "f", "x": 1}},
            {"type": "custom", "custom": {"name": "p"}},
            {"type": "function", "function": {}},
            {"name": "f"},
            *(
                {"type": "allowed_tools", "allowed_tools": allowed}
                for allowed in (
                    {"mode": "auto", "tools": [_function()]},
                    {"mode": "required", "tools": [_function(), _custom()]},
                    {"mode": "new", "tools": []},
                    {"mode": "auto", "tools": [{"type": "function"}]},
                    {"mode": "auto", "tools": [5]},
                    5,
                )
            ),
        )
    ),
    *(
        _thread(_HI, response_format=shape)
        for shape in (
            *({"type": "text"}, {"type": "json_object", "schema": {}}, "json", 5),
            {"type": "new"},
            {"type": "json_schema"},
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
            {
                "type": "json_schema",
                "x": 1,
                "json_schema": {
                    "name": None,
                    "description": "d",
                    "schema": None,
                    "strict": False,
                    "y": 1,
                },
            },
        )
    ),
    *(
        _thread(_HI, **members)
        for members in (
            {"reasoning_effort": "high"},
            {"reasoning_effort": "none"},
            {"reasoning_effort": 5},
            {"reasoning": {"effort": "low", "exclude": True, "x": 1}},
            {"reasoning": {"max_tokens": 2000, "enabled": True}},
            {"reasoning": {"enabled": False}, "reasoning_effort": "low"},
            {"reasoning": 5, "thinking": 5, "enable_thinking": 5},
            {"thinking": {"type": "enabled", "budget_tokens": 5}},
            {"thinking": {"type": "disabled"}, "thinking_budget": None},
            {"thinking": {"type": "adaptive", "clear_thinking": False}},
            {"enable_thinking": True, "thinking_budget": 100},
            {"enable_thinking": False, "thinking": {"type": "new"}},
        )
    ),
)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_native_requests_go_as_they_came(body: Any) -> None:
    request = read_request(body)
    encoded, losses = encode_request(request, OPENAI)
    assert differences(body, json.loads(encoded.http.body)) == []
    assert losses == ()
    assert read_request(encoded.http.body) == request
    assert encoded.http.path == "/v1/chat/completions"
    wanted = "text/event-stream" if body.get("stream") else "application/json"
    assert encoded.http.headers == (
        ("content-type", "application/json"),
        ("accept", wanted),
    )


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("name", sorted(profiles.PROFILES))
def test_native_requests_to_every_server(body: Any, name: str) -> None:
    written, _ = write_request(read_request(body), name, DROP)
    read_request(written)


def test_what_a_request_says() -> None:
    request = read_request(
        _thread(
            {"role": "system", "content": "S"},
            _assistant(content=None, tool_calls=[_call(), _call(id="c2")]),
            _tool(),
            _tool(tool_call_id="c2"),
            _HI,
            max_tokens=5,
            reasoning_effort="high",
            safety_identifier="s",
            web_search_options={"x": 1},
            logprobs=True,
        )
    )
    assert [m.role for m in request.messages] == ["system", "assistant", "user", "user"]
    assert [type(p) for p in request.messages[2].parts] == [ToolResultPart] * 2
    assert request.max_tokens == 5
    assert request.reasoning == Reasoning(effort="high")
    assert request.user == "s"
    assert request.logprobs == Logprobs()
    assert request.tools[0].kind == "server"
    assert request.dialect == "openai-chat"


def test_results_of_custom_calls_are_custom() -> None:
    custom = {"id": "c1", "type": "custom", "custom": {"name": "p", "input": "x"}}
    request = read_request(_thread(_assistant(tool_calls=[custom]), _tool(), _HI))
    result = request.messages[1].parts[0]
    assert isinstance(result, ToolResultPart)
    assert result.kind == "custom"


def test_media_are_read_in_standard_form() -> None:
    url = "data:image/png;base64,a-_a"
    request = read_request(
        _thread(
            _user(
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "file", "file": {"file_data": "data:image/png;base64,AAAA"}},
            )
        )
    )
    first, second = request.messages[0].parts
    assert isinstance(first, MediaPart)
    assert first.source == Base64("a+/a")
    assert isinstance(second, MediaPart)
    assert second.kind == "image"


def test_an_edited_part_is_written_anew() -> None:
    body = _thread(_user({"type": "input_audio", "input_audio": "AAAA"}))
    request = read_request(body)
    part = request.messages[0].parts[0]
    assert isinstance(part, MediaPart)
    part = replace(part, mime="audio/wav", source=Base64("BBBB"))
    message = replace(request.messages[0], parts=(part,))
    written, _ = write_request(replace(request, messages=(message,)))
    audio = {"data": "BBBB", "format": "wav"}
    assert written["messages"][0]["content"] == [
        {"type": "input_audio", "input_audio": audio}
    ]


def test_edited_thinking_is_written_anew() -> None:
    body = _thread(_assistant(content="a", reasoning="x", reasoning_content="y"))
    request = read_request(body)
    thought, text = request.messages[0].parts
    assert isinstance(thought, ReasoningPart)
    parts = (replace(thought, text="z"), text)
    message = replace(request.messages[0], parts=parts)
    written, _ = write_request(replace(request, messages=(message,)))
    assert written["messages"][0]["reasoning_content"] == "z"
    assert "reasoning" not in written["messages"][0]


# --- garbage -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", None),
        (b"[]", "$"),
        (b'{"messages": 5}', "$.messages"),
        (b'{"model": "m"}', "$"),
        (b'{"messages": [{"role": "new"}]}', "$.messages[0].role"),
        (b'{"messages": [{}]}', "$.messages[0].role"),
        (b'{"messages": [{"role": "tool", "content": "x"}]}', "$.messages[0]"),
        (b'{"messages": [], "temperature": "hot"}', "$.temperature"),
        (
            b'{"messages": [{"role": "user", "content": [{"type": "text"}]}]}',
            "$.messages[0].content[0]",
        ),
        (b'{"messages": [], "stream_options": 5}', "$.stream_options"),
        (b'{"messages": [], "audio": 5}', "$.audio"),
        (b'{"messages": [], "model": "\xff"}', None),
        (b'{"messages": ', "$"),
    ],
)
def test_garbage_is_refused_by_place(body: bytes, path: str | None) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_request(body)
    assert caught.value.status == 400
    assert caught.value.path == path


def test_limits() -> None:
    def refused(sent: Any, **limits: int) -> bool:
        with pytest.raises(LimitExceeded):
            read_request(sent, Limits(**limits))
        return True

    body = _thread(_HI, _user({"type": "new"}, {"type": "new"}))
    assert refused(body, body=20)
    assert refused(body, messages=1)
    assert refused(body, parts=1)
    deep = b'{"messages": [], "x": ' + b"[" * 600 + b"]" * 600 + b"}"
    assert refused(deep)
    assert refused(deep.replace(b"[" * 600, b"[" * 90_000))


@given(json_values())
def test_members_of_any_type(value: Any) -> None:
    members = list(_thread(_HI, **dict.fromkeys(_FIELDS, value)))
    for body in (
        value,
        {"messages": value},
        *({"messages": [_HI], name: value} for name in members if name != "messages"),
        *({"messages": [_assistant(**{name: value})]} for name in _MESSAGE),
        {"messages": [{"role": "user", "content": [value]}]},
        {"messages": [_assistant(tool_calls=[value, _call(function=value)])]},
        {"messages": [_assistant(reasoning_details=[value])]},
        {"messages": [_HI], "tools": [value, _function(new=value)]},
    ):
        try:
            request = read_request(body)
        except RemoteProtocolError as error:
            assert 400 <= error.status < 500
        else:
            encoded, losses = encode_request(request, OPENAI)
            assert differences(body, json.loads(encoded.http.body)) == []
            assert losses == ()


_FIELDS = (
    *("stream", "stream_options", "max_tokens", "temperature", "stop", "logprobs"),
    *("tools", "tool_choice", "functions", "function_call", "response_format", "audio"),
    *("reasoning", "reasoning_effort", "thinking", "enable_thinking", "metadata", "x"),
)
_MESSAGE = (
    *("content", "refusal", "audio", "tool_calls", "function_call", "annotations"),
    *("reasoning_content", "reasoning_details", "name", "prefix", "new"),
)


# --- from other dialects -----------------------------------------------------------


def _asks(*parts: Part, **members: Any) -> Request:
    said = parts or (TextPart("Hi"),)
    return Request(model="m", messages=(Message(role="user", parts=said),), **members)


def _says(*parts: Part) -> Request:
    first = Message(role="user", parts=(TextPart("Hi"),))
    return Request(model="m", messages=(first, Message(role="assistant", parts=parts)))


def _answers(*parts: Part, error: bool = False) -> Request:
    call = ToolCallPart(call_id="c1", name="f", arguments="{}")
    result = ToolResultPart(call_id="c1", name="f", parts=parts, error=error)
    return Request(
        model="m",
        messages=(
            Message(role="user", parts=(TextPart("Hi"),)),
            Message(role="assistant", parts=(call,)),
            Message(role="user", parts=(result, TextPart("So?"))),
        ),
    )


def test_streams_ask_for_usage() -> None:
    written, losses = write_request(_asks(stream=True))
    assert written["stream_options"] == {"include_usage": True}
    assert ("usage", "include_usage", "defaulted") in told(losses)
    assert "stream_options" not in write_request(_asks(stream=True), "mistral")[0]
    lost = write_request(_asks(stream=True, include_usage=True), "mistral")[1]
    assert ("usage", "include_usage", "dropped") in told(lost)


@pytest.mark.parametrize(
    ("profile", "field"), [("openai", "max_completion_tokens"), ("vllm", "max_tokens")]
)
def test_the_field_of_the_limit(profile: str, field: str) -> None:
    assert write_request(_asks(max_tokens=5), profile)[0][field] == 5
    body = _thread(_HI, max_tokens=5)
    assert write_request(read_request(body), "groq")[0]["max_completion_tokens"] == 5


def test_renamed_and_rejected_members() -> None:
    sampling = Sampling(seed=5, top_k=4, temperature=3, logit_bias=raw({}))
    written, losses = write_request(_asks(sampling=sampling, user="u"), "mistral")
    assert written["random_seed"] == 5
    assert "top_k" not in written
    assert written["temperature"] == 2.0
    assert told(losses) >= {
        ("sampling", "sampling.top_k", "dropped"),
        ("sampling", "sampling.logit_bias", "dropped"),
        ("sampling", "sampling.temperature", "approximated"),
        ("user", "user", "dropped"),
    }


def test_users_and_stops_and_tiers() -> None:
    asked = _asks(user="u", stop=("a", "b", "c", "d", "e"), service_tier="standard")
    written, losses = write_request(asked)
    assert written["safety_identifier"] == "u"
    assert written["stop"] == ["a", "b", "c", "d"]
    assert written["service_tier"] == "default"
    assert {"stop", "service_tier"} <= {loss.feature for loss in losses}
    assert write_request(asked, "openrouter")[0]["user"] == "u"
    lost = write_request(_asks(service_tier="batch"))[1]
    assert ("service_tier", "service_tier", "dropped") in told(lost)
    body = _thread(_HI, safety_identifier="u")
    assert write_request(read_request(body), "vllm")[0]["user"] == "u"


def test_what_counts_as_said() -> None:
    asked = _asks(n=1, store=False, logprobs=Logprobs(enabled=False))
    written, losses = write_request(asked, "deepseek")
    assert not {"n", "store"} & set(written)
    assert {loss.action for loss in losses} == {"approximated"}
    lost = write_request(_asks(logprobs=Logprobs(top=2)), "groq")[1]
    assert ("logprobs", "logprobs", "dropped") in told(lost)
    quiet = write_request(_asks(logprobs=Logprobs(enabled=False)), "groq")[1]
    assert ("logprobs", "logprobs", "approximated") in told(quiet)
    with pytest.raises(UnsupportedFeature):
        write_request(_asks(n=2), "groq")


def test_sampling_while_the_model_thinks() -> None:
    sampling = Sampling(temperature=0.5)
    asked = _asks(sampling=sampling, logprobs=Logprobs())
    written, losses = write_request(replace(asked, model="gpt-5.2"))
    assert "temperature" not in written
    assert "logprobs" not in written
    assert ("sampling", "sampling.temperature", "dropped") in told(losses)
    calm = replace(asked, model="gpt-5.2", reasoning=Reasoning(mode="off"))
    assert write_request(calm)[0]["temperature"] == 0.5


def test_thinking_beside_functions() -> None:
    tools = (Tool(name="f"),)
    asked = _asks(reasoning=Reasoning(effort="high"), tools=tools)
    written, losses = write_request(replace(asked, model="gpt-6"))
    assert written["reasoning_effort"] == "none"
    assert ("reasoning.effort", "reasoning", "approximated") in told(losses)
    facts = Profile(name="x", reasoning_with_tools=False, efforts=("low",))
    assert "reasoning_effort" not in write_request(asked, facts)[0]


@pytest.mark.parametrize(
    ("profile", "reasoning", "members"),
    [
        ("openai", Reasoning(effort="max"), {"reasoning_effort": "xhigh"}),
        ("openai", Reasoning(mode="off", effort="low"), {"reasoning_effort": "none"}),
        ("openai", Reasoning(budget=2000), {"reasoning_effort": "medium"}),
        ("openai", Reasoning(budget=-1, show="raw", summary="auto"), {}),
        ("openai", Reasoning(mode="on", effort="low"), {"reasoning_effort": "low"}),
        ("openai", Reasoning(effort="low", budget=5), {"reasoning_effort": "low"}),
        (
            "openrouter",
            Reasoning(mode="on", effort="max", budget=5, show="none"),
            {"reasoning": {"enabled": True, "effort": "xhigh", "exclude": True}},
        ),
        ("openrouter", Reasoning(budget=50), {"reasoning": {"max_tokens": 50}}),
        ("openrouter", Reasoning(budget=-1), {}),
        ("openrouter", Reasoning(mode="off"), {"reasoning": {"enabled": False}}),
        (
            "deepseek",
            Reasoning(effort="medium"),
            {"thinking": {"type": "enabled"}, "reasoning_effort": "low"},
        ),
        (
            "deepseek",
            Reasoning(mode="off", budget=5),
            {"thinking": {"type": "disabled"}},
        ),
        ("deepseek", Reasoning(), {}),
        ("minimax", Reasoning(mode="on"), {"thinking": {"type": "enabled"}}),
        ("minimax", Reasoning(budget=50), {"thinking": {"type": "enabled"}}),
        (
            "dashscope",
            Reasoning(effort="high"),
            {"enable_thinking": True, "thinking_budget": 24576},
        ),
        (
            "dashscope",
            Reasoning(mode="on", effort="high", budget=9),
            {"enable_thinking": True, "thinking_budget": 9},
        ),
        ("dashscope", Reasoning(mode="off"), {"enable_thinking": False}),
        ("dashscope", Reasoning(budget=-1), {"enable_thinking": True}),
        (
            Profile(name="x", efforts=("low", "high")),
            Reasoning(mode="off"),
            {"reasoning_effort": "low"},
        ),
        (
            Profile(name="x", efforts=("low", "high")),
            Reasoning(mode="off", effort="low"),
            {"reasoning_effort": "low"},
        ),
        (Profile(name="x", efforts=()), Reasoning(mode="off"), {}),
        (Profile(name="x", efforts=()), Reasoning(effort="low"), {}),
        (Profile(name="x", reasoning="none"), Reasoning(mode="on", effort="low"), {}),
        (Profile(name="x", reasoning="none"), Reasoning(mode="off", budget=4), {}),
        (Profile(name="x", reasoning="none"), Reasoning(effort="low"), {}),
    ],
)
def test_how_hard_to_think(
    profile: str | Profile, reasoning: Reasoning, members: dict[str, Any]
) -> None:
    request = _asks(reasoning=reasoning)
    written, losses = write_request(request, profile)
    names = [*("reasoning_effort", "reasoning", "thinking")]
    names += [*("enable_thinking", "thinking_budget")]
    assert {name: written[name] for name in names if name in written} == members
    assert complaints(request, read_request(written), losses) == []


@pytest.mark.parametrize(
    "reasoning",
    [
        Reasoning(mode="off", effort="low", budget=5),
        Reasoning(mode="on", effort="low", budget=5, show="none"),
        Reasoning(mode="on"),
    ],
)
def test_native_thinking_made_by_hand(reasoning: Reasoning) -> None:
    request = _asks(reasoning=reasoning, dialect="openai-chat")
    written, losses = write_request(request)
    assert complaints(request, read_request(written), losses) == []


def test_edited_native_thinking_is_written_anew() -> None:
    request = read_request(_thread(_HI, thinking={"type": "enabled"}))
    assert request.reasoning is not None
    reasoning = replace(request.reasoning, effort="low")
    written, _ = write_request(replace(request, reasoning=reasoning), OPENAI)
    assert written["reasoning_effort"] == "low"
    assert "thinking" not in written


# --- roles and turns ---------------------------------------------------------------


def _instructed() -> Request:
    return Request(
        model="m",
        messages=(
            Message(role="system", parts=(TextPart("A"),), top=True),
            Message(role="developer", parts=(TextPart("B"), TextPart("C"))),
            Message(role="user", parts=(TextPart("Hi"),)),
            Message(role="user", parts=(MediaPart(kind="image", source=Url("u")),)),
            Message(role="assistant", parts=(TextPart("Yes?"),)),
            Message(role="assistant", parts=(TextPart("So?"),)),
            Message(role="system", parts=(TextPart("D"),)),
        ),
    )


def test_instructions() -> None:
    roles = [m["role"] for m in write_request(_instructed())[0]["messages"]]
    assert roles == [
        *("system", "developer", "user", "user"),
        *("assistant", "assistant", "system"),
    ]
    written, losses = write_request(_instructed(), "vllm")
    assert written["messages"][1]["role"] == "system"
    assert ("instructions", "messages[1].role", "approximated") in told(losses)
    narrow = Profile(name="x", system_in_place=False)
    last = write_request(_instructed(), narrow)[0]["messages"][-1]
    assert last["role"] == "user"
    assert "<system-reminder>" in last["content"]


def test_narrow_templates() -> None:
    written, losses = write_request(_instructed(), "llama.cpp")
    assert written["messages"][0] == {"role": "system", "content": "A\n\nB\n\nC\n\nD"}
    assert ("instructions", "messages", "approximated") in told(losses)
    written, losses = write_request(_instructed(), "mistral")
    assert [m["role"] for m in written["messages"]] == [
        *("system", "user", "assistant", "system")
    ]
    assert written["messages"][2]["content"] == "Yes?\n\nSo?"
    assert len(written["messages"][1]["content"]) == 2
    assert ("message.boundary", "messages", "approximated") in told(losses)
    plain_text = Profile(name="x", string_content=True)
    written, losses = write_request(_instructed(), plain_text)
    assert written["messages"][1]["content"] == "B\n\nC"
    assert ("part.boundary", "messages[1].parts", "approximated") in told(losses)
    once = Request(model="m", messages=(_instructed().messages[0],))
    assert len(write_request(once, "llama.cpp")[0]["messages"]) == 1


def test_calls_of_neighbours_are_joined() -> None:
    call = ToolCallPart(call_id="abcdefgh1", name="f", arguments="{}")
    image = MediaPart(kind="image", source=Url("u"))
    request = Request(
        model="m",
        messages=(
            Message(role="user", parts=(image,)),
            Message(role="user", parts=(TextPart(""),)),
            Message(role="assistant", parts=(TextPart("a"),)),
            Message(role="assistant", parts=(call,)),
        ),
    )
    messages = write_request(request, "mistral")[0]["messages"]
    assert len(messages) == 2
    assert len(messages[0]["content"]) == 1
    assert messages[1]["tool_calls"][0]["id"] == "abcdefgh1"


def test_ids_of_calls() -> None:
    long = "x" * 80
    call = ToolCallPart(call_id=long, name="f", arguments="{}")
    result = ToolResultPart(call_id=long, parts=(TextPart("a"),))
    request = Request(
        model="m",
        messages=(
            Message(role="assistant", parts=(call,)),
            Message(role="user", parts=(result,)),
        ),
    )
    for profile, size in (("openai", 27), ("mistral", 9)):
        written, _ = write_request(request, profile)
        sent = written["messages"][0]["tool_calls"][0]["id"]
        assert len(sent) == size
        assert written["messages"][1]["tool_call_id"] == sent
    free = Profile(name="x", call_ids="omitted")
    kept = write_request(request, free)[0]["messages"][1]["tool_call_id"]
    assert kept == long


def test_results() -> None:
    image = MediaPart(kind="image", mime="image/png", source=Base64(_PNG))
    written, losses = write_request(_answers(TextPart("a"), image))
    assert [m["role"] for m in written["messages"]] == [
        *("user", "assistant", "tool", "user", "user")
    ]
    assert written["messages"][3]["content"][0]["text"].endswith("tool f (c1)")
    assert ("tool_result.media", "messages[2].parts[0]", "emulated") in told(losses)
    able = Profile(name="x", tool_message_media=True)
    inside = write_request(_answers(image), able)[0]["messages"][2]
    assert inside["content"][0]["type"] == "image_url"
    failed, losses = write_request(_answers(TextPart("no"), error=True))
    assert failed["messages"][2]["content"] == "Error: no"
    assert ("tool_result.error", "messages[2].parts[0]", "emulated") in told(losses)
    two = _answers(TextPart("a"), TextPart("b"), error=True)
    assert write_request(two)[0]["messages"][2]["content"][0]["text"] == "Error:"
    assert write_request(_answers(error=True))[0]["messages"][2]["content"] == "Error:"
    call = ToolCallPart(call_id="c1", name="f", arguments="{}")
    empty = ToolResultPart(call_id="c1", parts=(TextPart(""),))
    silent = Request(
        model="m",
        messages=(
            Message(role="assistant", parts=(call,)),
            Message(role="user", parts=(empty,)),
        ),
    )
    lost = told(write_request(silent)[1])
    assert ("message.empty", "messages[1].parts[0].parts[0]", "dropped") in lost
    stored = MediaPart(kind="image", source=FileId("f"))
    dropped = write_request(_answers(stored), None, DROP)[0]["messages"]
    assert [m["role"] for m in dropped] == ["user", "assistant", "tool", "user"]


def test_what_only_assistants_say() -> None:
    signature = Signature(origin="gemini", value="s")
    cited = Citation(kind="url", url="u")
    words = TextPart(
        "a",
        citations=(cited,),
        phase="commentary",
        logprobs=(TokenLogprob("a", -1.0),),
        incomplete=True,
        signature=signature,
    )
    thought = ReasoningPart(text="x")
    opaque = OpaquePart(dialect="gemini", kind="x", raw=raw(1))
    call = ToolCallPart(call_id="c1", name="f", arguments="{}")
    result = ToolResultPart(call_id="c1", parts=(thought,))
    request = Request(
        model="m",
        messages=(
            Message(role="user", parts=(words, opaque)),
            Message(role="assistant", parts=(call,)),
            Message(role="user", parts=(result,), extras={"x": raw(1)}),
            Message(role="developer", parts=(ToolResultPart(call_id="x"),)),
        ),
    )
    _, losses = write_request(replace(request, dialect="openai-chat"), None, DROP)
    assert "tool_result.orphan" in {loss.feature for loss in losses}
    _, losses = write_request(request, None, DROP)
    assert {loss.feature for loss in losses} >= {
        *("citations", "phase", "logprobs", "part.incomplete", "opaque", "extras"),
        *("reasoning.signature", "reasoning.text"),
    }


def test_audio_made_complete() -> None:
    for audio in (
        AudioOutput(),
        AudioOutput(format="mp3"),
        AudioOutput(voice=raw("x")),
    ):
        request = _asks(audio=audio)
        written, losses = write_request(request)
        assert set(written["audio"]) == {"voice", "format"}
        assert {loss.action for loss in losses} == {"defaulted"}
        native = replace(request, dialect="openai-chat")
        assert len(write_request(native)[0]["audio"]) < 2


def test_headers_of_other_protocols() -> None:
    for members in ({"version": "v"}, {"betas": ("b",)}):
        losses = write_request(_asks(**members))[1]
        assert [loss.feature for loss in losses] == ["include"]


def test_strings_only_and_one_text() -> None:
    spelt = Profile(name="x", string_content=True, cache_marks=True)
    marked = _asks(TextPart("a", cache=CacheMark()))
    written, losses = write_request(marked, spelt)
    assert written["messages"][0]["content"] == "a"
    assert ("cache.mark", "messages[0].parts[0].cache", "dropped") in told(losses)
    strange = read_request(_thread(_user({"type": "text", "text": "a", "new": 1})))
    assert write_request(strange, spelt)[0]["messages"][0]["content"] == "a"


def test_neighbours_of_every_shape_are_joined() -> None:
    said = [
        *({"role": "user", "content": None}, {"role": "user", "content": ""}),
        *({"role": "user"}, _user({"type": "text", "text": "a"})),
        *(_assistant(), _assistant(content="b", tool_calls=[]), _assistant()),
        *({"role": "system", "content": None}, {"role": "system"}),
    ]
    request = read_request(_thread(*said))
    for name in ("mistral", "llama.cpp"):
        write_request(request, name)
    roles = [m["role"] for m in write_request(request, "mistral")[0]["messages"]]
    assert roles == ["user", "assistant", "system"]


def test_results_where_they_do_not_belong() -> None:
    call = ToolCallPart(call_id="c1", name="f", arguments="{}")
    result = ToolResultPart(call_id="c1", parts=(TextPart(""),), cache=CacheMark())
    request = Request(
        model="m",
        messages=(
            Message(role="user", parts=(call, ReasoningPart(text="x"))),
            Message(role="assistant", parts=(result,)),
            Message(role="assistant", parts=(call,)),
            Message(role="user", parts=(TextPart("a"), result), extras={"x": raw(1)}),
            Message(
                role="user", parts=(RefusalPart("no"), ServerToolCallPart(name="s"))
            ),
            Message(role="system", parts=(RefusalPart(""),)),
        ),
    )
    _, losses = write_request(request, None, DROP)
    assert {loss.feature for loss in losses} >= {
        *("call.order", "reasoning.text", "tool_result.orphan", "part.order"),
        *("message.boundary", "refusal", "tool.server_part", "cache.mark"),
        *("message.empty", "extras"),
    }
    native = replace(request, dialect="openai-chat")
    write_request(native, None, DROP)
    with pytest.raises(UnsupportedFeature):
        write_request(request)


def test_neighbouring_turns_of_results() -> None:
    calls = tuple(
        ToolCallPart(call_id=f"c{at}", name="f", arguments="{}") for at in range(2)
    )
    turns = [
        Message(role="user", parts=(ToolResultPart(call_id=c.call_id),)) for c in calls
    ]
    request = Request(
        model="m", messages=(Message(role="assistant", parts=calls), *turns)
    )
    losses = write_request(request)[1]
    assert ("message.boundary", "messages", "approximated") in told(losses)


# --- parts -------------------------------------------------------------------------


def test_media_from_elsewhere() -> None:
    kept = _asks(
        MediaPart(kind="image", mime="image/png", source=Base64(_PNG), detail="low"),
        MediaPart(kind="image", source=Base64(_PNG), name="n"),
        MediaPart(kind="image", mime="image/png", source=Url("https://a.example/")),
        MediaPart(kind="audio", mime="audio/mpeg", source=Base64("AAAA"), name="n"),
        MediaPart(kind="audio", source=Base64("UklGRgAAAABXQVZF")),
        MediaPart(kind="document", source=Base64("AAAA"), name="a.pdf", detail="low"),
        MediaPart(kind="document", source=PlainText("words"), name="a.txt"),
        MediaPart(kind="document", source=PlainText("words"), meta={"x": raw(1)}),
    )
    written, losses = write_request(kept)
    kinds = [part["type"] for part in written["messages"][0]["content"]]
    assert kinds == [
        *("image_url", "image_url", "image_url"),
        *("input_audio", "input_audio", "file", "text", "text"),
    ]
    assert {"media.meta", "media.detail", "media.audio", "media.document"} <= {
        loss.feature for loss in losses
    }


@pytest.mark.parametrize(
    ("part", "profile"),
    [
        (MediaPart(kind="image", source=FileId("f")), None),
        (MediaPart(kind="image", source=PlainText("x")), None),
        (MediaPart(kind="image", source=Url("u")), "ollama"),
        (MediaPart(kind="audio", source=Url("u")), None),
        (MediaPart(kind="audio", source=Base64("AAAA")), None),
        (MediaPart(kind="audio", mime="audio/new", source=Base64("AAAA")), None),
        (MediaPart(kind="video", source=Url("u")), None),
        (MediaPart(kind="video", source=FileId("u")), "dashscope"),
        (MediaPart(kind="document", source=Url("u")), None),
        (MediaPart(kind="document", source=FileId("u")), None),
    ],
)
def test_media_that_cannot_go(part: MediaPart, profile: str | None) -> None:
    with pytest.raises(UnsupportedFeature):
        write_request(_asks(part), profile)
    written, losses = write_request(_asks(part), profile, DROP)
    assert written["messages"][0]["content"] == ""
    assert losses[0].path == "messages[0].parts[0]"


def test_films() -> None:
    film = MediaPart(kind="video", mime="video/mp4", source=Base64("AAAA"), name="n")
    written, _ = write_request(_asks(film), "dashscope")
    url = written["messages"][0]["content"][0]["video_url"]["url"]
    assert url == "data:video/mp4;base64,AAAA"
    linked = _asks(MediaPart(kind="video", source=Url("https://a.example/a.mp4")))
    assert write_request(linked, "dashscope")[1] == ()


def test_cache_marks() -> None:
    def mark(ttl: str | None, profile: str | None, **more: Any) -> tuple[Any, Any]:
        part = TextPart("a", cache=CacheMark(ttl, **more))
        written, losses = write_request(_asks(part), profile)
        content = written["messages"][0]["content"]
        return content if isinstance(content, str) else content[0], told(losses)

    lost = ("cache.mark", "messages[0].parts[0].cache", "dropped")
    changed = ("cache.mark", "messages[0].parts[0].cache.ttl", "approximated")
    element, losses = mark("5m", None)
    assert element["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "30m"}
    assert changed in losses
    element, losses = mark("12h", "openrouter")
    assert element["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert changed in losses
    assert mark(None, "openrouter")[0]["cache_control"] == {"type": "ephemeral"}
    assert mark("5m", "vllm") == ("a", {lost})
    strange = mark(None, None, extras={"x": raw(1)})[1]
    assert any(feature == "extras" for feature, _, _ in strange)
    image = MediaPart(kind="image", source=Url("u"), cache=CacheMark())
    assert lost in told(write_request(_asks(image), "vllm")[1])
    spelt = Profile(name="x", string_content=True)
    marked = TextPart("a", cache=CacheMark())
    assert lost in told(write_request(_asks(marked, TextPart("b")), spelt)[1])


def test_cache_marks_on_tools() -> None:
    marked = _asks(tools=(Tool(name="f", cache=CacheMark("1h")),))
    losses = write_request(marked)[1]
    assert ("cache.mark", "tools[0].cache", "dropped") in told(losses)
    routed = CacheMark("1h", {"@field": raw("cache_control")})
    tool = Tool(name="f", cache=routed)
    written, _ = write_request(_asks(tools=(tool,)), "openrouter")
    assert written["tools"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_assistants() -> None:
    cited = Citation(kind="url", url="https://a.example/")
    tokens = (TokenLogprob("a", -1.0),)
    request = _says(
        TextPart("a", citations=(cited,), phase="commentary", logprobs=tokens),
        ToolCallPart(call_id="c1", name="f", arguments="", cache=CacheMark()),
        TextPart("b", incomplete=True, signature=Signature(origin="gemini", value="s")),
        RefusalPart("no"),
        RefusalPart("never"),
        MediaPart(kind="image", source=Base64(_PNG)),
        ServerToolCallPart(name="s"),
        OpaquePart(dialect="gemini", kind="x", raw=raw(1)),
    )
    written, losses = write_request(request, None, DROP)
    message = written["messages"][1]
    assert [part["text"] for part in message["content"]] == ["a", "b"]
    assert message["refusal"] == "nonever"
    assert message["tool_calls"][0]["function"]["arguments"] == "{}"
    assert {loss.feature for loss in losses} >= {
        *("citations", "phase", "logprobs", "cache.mark", "part.incomplete"),
        *("reasoning.signature", "part.boundary", "part.order", "media.image"),
        *("tool.server_part", "opaque"),
    }
    assert complaints(request, read_request(written), losses, ignore="call_id") == []
    strings = Profile(name="x", string_content=True)
    joined = write_request(_says(TextPart("a"), TextPart("b")), strings)[0]
    assert joined["messages"][1]["content"] == "ab"
    marked = _says(TextPart("a", cache=CacheMark()), TextPart(""))
    lost = told(write_request(marked, strings)[1])
    assert ("cache.mark", "messages[1].parts[0].cache", "dropped") in lost
    assert ("message.empty", "messages[1].parts[1]", "dropped") in lost


def test_native_parts_made_by_hand() -> None:
    request = replace(
        _says(
            ReasoningPart(text="Hm", extras={"x": raw(1)}),
            ReasoningPart(signature=Signature(origin="openai-chat", value="s")),
            ReasoningPart(summary=("a", "b")),
            ReasoningPart(redacted=True),
            RefusalPart("", extras={"x": raw(1)}),
            MediaPart(kind="audio", source=FileId("audio_1")),
            MediaPart(kind="image", source=Url("u")),
            OpaquePart(
                dialect="openai-chat",
                kind="x",
                raw=raw({"type": "x"}),
                extras={"@field": raw("reasoning_details")},
            ),
            OpaquePart(
                dialect="openai-chat",
                kind="x",
                raw=raw({"type": "x"}),
                extras={"@field": raw("tool_calls")},
            ),
        ),
        dialect="openai-chat",
    )
    written, losses = write_request(request)
    message = written["messages"][1]
    assert message["audio"] == {"id": "audio_1"}
    assert [one["type"] for one in message["reasoning_details"]] == [
        *("reasoning.text", "x")
    ]
    assert message["tool_calls"] == [{"type": "x"}]
    assert {loss.feature for loss in losses} >= {
        *("extras", "reasoning.segments", "reasoning.text", "message.empty")
    }
    read_request(written)


# --- thinking in the history -------------------------------------------------------

_CLAUDE = Signature(origin="anthropic", value="c2ln")
_OWN = Signature(origin="openai-chat", value="s")


def _thought(*thoughts: ReasoningPart, call: bool = True) -> Request:
    end: Part = TextPart("a")
    if call:
        end = ToolCallPart(call_id="c1", name="f", arguments="{}")
    return _says(*thoughts, end)


@pytest.mark.parametrize(
    ("profile", "call", "members"),
    [
        (None, True, {}),
        ("deepseek", True, {"reasoning_content": "Hm"}),
        ("deepseek", False, {}),
        ("vllm", False, {"reasoning": "Hm"}),
        ("openrouter", False, {"reasoning": "Hm"}),
    ],
)
def test_thinking_sent_back(
    profile: str | None, call: bool, members: dict[str, Any]
) -> None:
    request = _thought(ReasoningPart(text="Hm", signature=_CLAUDE), call=call)
    written, losses = write_request(request, profile)
    message = written["messages"][1]
    names = ("reasoning_content", "reasoning", "reasoning_details")
    assert {name: message[name] for name in names if name in message} == members
    features = {loss.feature for loss in losses}
    assert "reasoning.signature" in features
    assert ("reasoning.text" in features) is not bool(members)


def test_thinking_that_servers_insist_on() -> None:
    written, _ = write_request(_thought(), "deepseek")
    assert written["messages"][1]["reasoning_content"] == ""


def test_several_thoughts_stand_in_one_text() -> None:
    request = _thought(
        ReasoningPart(summary=("a", "b"), extras={"x": raw(1)}),
        ReasoningPart(text="c", incomplete=True),
        ReasoningPart(redacted=True),
    )
    written, losses = write_request(request, "vllm")
    assert written["messages"][1]["reasoning"] == "a\n\nb\n\nc"
    assert {loss.feature for loss in losses} >= {
        *("reasoning.segments", "part.boundary", "reasoning.text", "extras"),
        "part.incomplete",
    }


def test_native_thinking_to_other_servers() -> None:
    body = _thread(_HI, _assistant(content="a", reasoning_details=[_DETAIL]))
    request = read_request(body)
    routed = write_request(request, "openrouter")[0]["messages"][1]
    assert routed["reasoning_details"] == [_DETAIL]
    served = write_request(request, "vllm")[0]["messages"][1]
    assert served["reasoning"] == "Hm"
    assert "reasoning_details" not in served


def test_signatures_of_calls() -> None:
    def sent(signature: Signature, **changes: Any) -> tuple[bool, set[Any]]:
        call = ToolCallPart(call_id="c", name="f", arguments="{}", signature=signature)
        written, losses = write_request(_says(call), None, None, **changes)
        return "extra_content" in written["messages"][1]["tool_calls"][0], told(losses)

    lost = ("reasoning.signature", "messages[1].parts[0].signature", "dropped")
    assert sent(_OWN) == (True, set())
    assert sent(Signature(origin="gemini", value="x")) == (False, {lost})
    other = Signature(origin="openai-chat", value="x", model="a", tag="t")
    assert sent(other, model="a", tag="t")[0]
    assert not sent(other, model="b", tag="t")[0]
    assert not sent(other, model="a", tag="u")[0]


def test_sealed_state_is_opened_and_never_forwarded() -> None:
    entry = {
        "type": "reasoning.text",
        "signature": seal(_CLAUDE),
        "format": "llmwire-v1",
        "index": 0,
    }
    carrier = {"type": "reasoning.encrypted", "format": "llmwire-v1", "index": 1}
    carried = seal(Signature(origin="gemini", value="x"), "next")
    summary = {**entry, "type": "reasoning.summary"}
    hidden = {**carrier, "data": seal(_CLAUDE, redacted=True)}
    request = read_request(
        _thread(
            _assistant(
                content="a",
                reasoning_content="Hm",
                reasoning_details=[entry, {**carrier, "data": carried}],
            ),
            _assistant(content="a", reasoning="Sum", reasoning_details=[summary]),
            _assistant(content="a", reasoning="Hm", reasoning_details=[hidden]),
        )
    )
    thought, text = request.messages[0].parts
    assert thought == ReasoningPart(
        text="Hm", signature=_CLAUDE, extras={"@field": raw("reasoning_content")}
    )
    assert text.signature == Signature(origin="gemini", value="x")
    summed = request.messages[1].parts[0]
    assert isinstance(summed, ReasoningPart)
    assert summed.summary == ("Sum",)
    kinds = [type(part) for part in request.messages[2].parts]
    assert kinds == [ReasoningPart, ReasoningPart, TextPart]
    written, losses = write_request(request)
    assert "llmw1" not in json.dumps(written)
    assert "reasoning.signature" in {loss.feature for loss in losses}


def test_texts_of_several_sealed_thoughts_are_told_apart() -> None:
    def entry(index: int, **members: Any) -> dict[str, Any]:
        head = {"type": "reasoning.text", "format": "llmwire-v1", "index": index}
        return {**head, "signature": seal(_CLAUDE), **members}

    request = read_request(
        _thread(
            _assistant(
                content="x",
                reasoning_content="A\n\nB\n\nC",
                reasoning_details=[entry(0, text="A"), entry(1), entry(2, text="C")],
            )
        )
    )
    texts = [p.text for p in request.messages[0].parts[:3] if hasattr(p, "text")]
    assert texts == ["A", "B", "C"]


# --- tools -------------------------------------------------------------------------


def test_tools_of_other_dialects() -> None:
    schema = raw({"type": "object"})
    tools = (
        Tool(name="ns.tool:1", schema=schema, strict=True, description="d"),
        Tool(name="ns_tool_1"),
        Tool(kind="custom", name="p", format=raw({"type": "text"})),
    )
    choice = ToolChoice(mode="required", names=("ns.tool:1",), kind="named")
    call = ToolCallPart(call_id="c", name="ns.tool:1", arguments="{}")
    message = Message(role="assistant", parts=(call,))
    request = Request(
        model="m", messages=(message,), tools=tools, tool_choice=choice, parallel=True
    )
    encoded, losses = encode_request(request)
    written = json.loads(encoded.http.body)
    names = [t[t["type"]]["name"] for t in written["tools"]]
    assert names[0].startswith("ns_tool_1_")
    assert encoded.names == {names[0]: "ns.tool:1"}
    assert written["tool_choice"]["function"]["name"] == names[0]
    sent = written["messages"][0]["tool_calls"][0]["function"]["name"]
    assert sent == names[0]
    assert ("tool.name", "tools[0].name", "emulated") in told(losses)
    strictless = write_request(request, "zai")[1]
    assert ("tool.strict", "tools[0].strict", "dropped") in told(strictless)
    assert ("tool.choice", "tool_choice", "approximated") in told(strictless)


def test_custom_tools_as_functions() -> None:
    grammar = raw({"type": "grammar", "syntax": "lark", "definition": "start: x"})
    tools = (
        Tool(kind="custom", name="p", description="Patch.", format=grammar),
        Tool(kind="custom", name="q"),
    )
    call = ToolCallPart(call_id="c", name="p", arguments="*** x", kind="custom")
    message = Message(role="assistant", parts=(call,))
    choice = ToolChoice(mode="required", names=("p",), kind="named")
    request = Request(model="m", messages=(message,), tools=tools, tool_choice=choice)
    encoded, losses = encode_request(request, "vllm")
    written = json.loads(encoded.http.body)
    assert encoded.custom == ("p", "q")
    function = written["tools"][0]["function"]
    assert "start: x" in function["description"]
    assert written["tool_choice"]["type"] == "function"
    sent = written["messages"][0]["tool_calls"][0]
    assert json.loads(sent["function"]["arguments"]) == {"input": "*** x"}
    assert {loss.feature for loss in losses} >= {"tool.custom"}
    whole = write_request(request)[0]
    assert whole["tools"][0]["custom"]["format"]["grammar"]["syntax"] == "lark"
    assert whole["tool_choice"] == {"type": "custom", "custom": {"name": "p"}}


@pytest.mark.parametrize(
    ("choice", "profile", "written"),
    [
        (ToolChoice(mode="auto"), None, "auto"),
        (ToolChoice(mode="validated"), None, "auto"),
        (ToolChoice(mode="required"), "zai", "auto"),
        (ToolChoice(mode="auto", kind="opaque", raw=raw(1)), None, None),
        (ToolChoice(mode="none", names=("f", "g"), kind="allowed"), None, "none"),
        (ToolChoice(mode="auto", names=("f", "g"), kind="allowed"), "vllm", "auto"),
        (ToolChoice(mode="auto"), "ollama", None),
        (
            ToolChoice(mode="auto", names=("f",), kind="allowed"),
            None,
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [_function()]},
            },
        ),
    ],
)
def test_tool_choices(choice: ToolChoice, profile: str | None, written: Any) -> None:
    request = _asks(tools=(Tool(name="f"), Tool(name="g")), tool_choice=choice)
    assert write_request(request, profile)[0].get("tool_choice") == written


def test_choices_without_tools() -> None:
    request = _asks(tool_choice=ToolChoice(mode="auto"), parallel=False)
    written, losses = write_request(request)
    assert not {"tool_choice", "parallel_tool_calls"} & set(written)
    assert {loss.feature for loss in losses} == {"tool.choice", "parallel"}
    with_tools = replace(request, tools=(Tool(name="f"),))
    lost = write_request(with_tools, "cerebras")[1]
    assert ("parallel", "parallel", "dropped") in told(lost)


def test_tools_of_other_servers() -> None:
    for kind in ("server", "opaque"):
        tool = Tool(kind=kind, name="web_search", raw=raw({}))
        with pytest.raises(UnsupportedFeature):
            write_request(_asks(tools=(tool,)))
        written, losses = write_request(_asks(tools=(tool,)), None, DROP)
        assert "tools" not in written
        assert (f"tool.{kind}", "tools[0]", "dropped") in told(losses)


def test_legacy_choices() -> None:
    body = _thread(_HI, functions=[{"name": "f"}], function_call="none")
    request = read_request(body)
    allowed = ToolChoice(mode="auto", names=("f",), kind="allowed")
    written, _ = write_request(replace(request, tool_choice=allowed), OPENAI)
    assert written["tool_choice"]["type"] == "allowed_tools"


@pytest.mark.parametrize(
    ("output", "profile", "written"),
    [
        (OutputFormat(kind="text"), None, {"type": "text"}),
        (OutputFormat(kind="json_object", name="n"), None, {"type": "json_object"}),
        (OutputFormat(kind="json_object"), "minimax", None),
        (OutputFormat(kind="opaque", raw=raw({})), None, None),
        (
            OutputFormat(kind="json_schema", schema=raw({})),
            None,
            {
                "type": "json_schema",
                "json_schema": {"name": "response", "schema": {}, "strict": True},
            },
        ),
        (
            OutputFormat(kind="enum", schema=raw({}), name="n", strict=False),
            None,
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {}, "strict": False},
            },
        ),
        (OutputFormat(kind="json_schema"), "deepseek", {"type": "json_object"}),
        (OutputFormat(kind="json_schema"), "minimax", None),
    ],
)
def test_output_formats(
    output: OutputFormat, profile: str | None, written: Any
) -> None:
    request = _asks(output=output)
    assert write_request(request, profile)[0].get("response_format") == written


def test_what_has_no_place() -> None:
    request = _asks(
        state=ServerState(previous_response_id="r"),
        include=("x",),
        truncation="auto",
        cache=CacheMark(),
        version="v",
        betas=("b",),
        modalities=("text", "image"),
        audio=AudioOutput(voice=raw("ash"), format="wav", extras={"x": raw(1)}),
        extras={"x": raw(1), "y": raw(None), "@z": raw(1)},
        cache_key="k",
        metadata=raw({}),
        prediction=raw({}),
        verbosity="low",
    )
    with pytest.raises(UnsupportedFeature):
        write_request(request)
    written, losses = write_request(request, None, DROP)
    assert written["audio"] == {"voice": "ash", "format": "wav"}
    assert {loss.feature for loss in losses} == {
        *("state", "include", "truncation", "cache.mark", "modalities", "extras")
    }
    _, more = write_request(request, "vllm", DROP)
    assert {loss.feature for loss in more} > {loss.feature for loss in losses}


def test_closed_servers_get_no_strangers() -> None:
    request = read_request(_thread({**_HI, "name": "n", "new": 1}, new=1))
    written, losses = write_request(request, "mistral")
    assert "new" not in written
    assert "new" not in written["messages"][0]
    assert ("extras", "extras[new]", "dropped") in told(losses)
    named = write_request(request, "groq")
    assert "name" not in named[0]["messages"][0]
    assert ("extras", "messages[0].extras[name]", "dropped") in told(named[1])


def test_the_model_is_overridden() -> None:
    encoded, _ = encode_request(_asks(), None, None, model="other")
    assert encoded.model == "other"
    assert json.loads(encoded.http.body)["model"] == "other"
    nobody = Request(messages=(Message(role="user", parts=(TextPart("a\ud800"),)),))
    written, _ = write_request(nobody)
    assert written == {"messages": [{"role": "user", "content": "a\ufffd"}]}


# --- laws --------------------------------------------------------------------------


@given(requests())
def test_losses_are_an_equation(request: Request) -> None:
    written, losses = write_request(request, OPENAI, DROP)
    found = complaints(request, read_request(written), losses, ignore="call_id")
    assert found == []


@given(requests(), st.sampled_from(sorted(profiles.PROFILES)))
def test_losses_are_an_equation_at_every_server(request: Request, name: str) -> None:
    profile = profiles.PROFILES[name]
    written, losses = write_request(request, profile, DROP)
    found = complaints(request, read_request(written), losses, ignore="call_id")
    assert found == []


@given(requests(), st.sampled_from(["anthropic", "gemini", "openai-responses"]))
def test_requests_are_valid_for_the_vendor(request: Request, dialect: str) -> None:
    written, _ = write_request(replace(request, model="m"), OPENAI, DROP)
    found = oracle.request("openai-chat", written)
    if request.reasoning is not None and request.reasoning.effort == "x_new":
        # A word that nobody knows yet goes as it is: the server may know it.
        found = [each for each in found if "reasoning_effort" not in each]
    assert found == []


@given(requests("openai-chat"))
def test_native_requests_are_read_as_they_were_written(request: Request) -> None:
    encoded, _ = encode_request(request, OPENAI, DROP)
    once = read_request(encoded.http.body)
    again, losses = encode_request(once, OPENAI)
    first, second = json.loads(encoded.http.body), json.loads(again.http.body)
    assert differences(first, second) == []
    assert losses == ()
    assert read_request(again.http.body) == once


@given(requests() | requests("openai-chat") | requests("anthropic"))
def test_equal_requests_give_equal_bytes(request: Request) -> None:
    write: Callable[[], Any] = lambda: encode_request(request, OPENAI, DROP)  # noqa: E731
    assert write() == write()


def test_notes_are_no_strangers() -> None:
    request = read_request(_thread(_HI, stop="a", max_tokens=5))
    assert plain(request.extras) == {"@stop": "text", "@max_tokens": "max_tokens"}
    assert Raw(b"1") == raw(1)
