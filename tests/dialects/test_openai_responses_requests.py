"""Requests of the Responses dialect: exactly back, and out of other dialects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from llmwire import _seal
from llmwire._turns import PLACEMENT
from llmwire.dialects.openai_responses import DIALECT
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
from tests.dialects.responses_pair import (
    DROPPING,
    LOOSE,
    OWN,
    PROFILE,
    encoded,
    foreign,
    http,
    lost,
    read,
    written,
)
from tests.normal_forms import differences

PNG = "iVBORw0KGgo="
TALK: dict[str, Any] = {"model": "m", "input": [{"role": "user", "content": "Hi"}]}


def _with(**members: Any) -> dict[str, Any]:
    return {**TALK, **members}


def _said(*content: Any, role: str = "user", **members: Any) -> dict[str, Any]:
    item = {"type": "message", "role": role, "content": list(content), **members}
    return {"model": "m", "input": [item]}


def _items(*items: Any) -> dict[str, Any]:
    return {"model": "m", "input": list(items)}


_TEXT = {"type": "output_text", "text": "Hi"}
_TOKEN = {"token": "a", "logprob": -0.5}
_OPTIONAL = Raw(b'{"properties":{"a":{}},"additionalProperties":false}')
_BREAK = {"mode": "explicit", "ttl": "30m"}

EXACT: list[dict[str, Any]] = [
    {"model": "m"},
    {"model": "m", "input": None},
    {"model": "m", "input": []},
    {"model": "m", "input": "Hi"},
    {"model": "m", "input": "Hi", "instructions": "Be brief."},
    {"type": "response.create", "model": "m", "input": []},
    _with(instructions=None, model=None, store=None, user=None, include=None),
    _with(tools=[], include=[], text={}, reasoning={}, temperature=None, top_p=1),
    _with(text=None, reasoning=None, tools=None, tool_choice=None, metadata=None),
    _with(text={"format": None, "verbosity": None}, max_output_tokens=1),
    _with(text={"verbosity": "low", "format": {"type": "text"}, "x/y": 1}),
    _with(text={"format": {"type": "json_object", "x": 1}}),
    _with(text={"format": {"type": "grammar", "syntax": "lark"}}),
    _with(
        text={
            "format": {
                "type": "json_schema",
                "name": "n",
                "schema": {"type": "object"},
                "strict": None,
                "description": None,
            }
        }
    ),
    _with(reasoning={"effort": "none", "summary": None, "mode": "pro"}),
    _with(reasoning={"effort": None, "summary": "auto", "context": "all_turns"}),
    _with(reasoning={"effort": "low"}, stream=True, stream_options={"x": 1}),
    _with(user="u"),
    _with(user="u", safety_identifier="s"),
    _with(safety_identifier="s", prompt_cache_key="k", metadata={"a": "b"}),
    _with(previous_response_id="resp_1", conversation={"id": "c"}, prompt={"id": "p"}),
    _with(conversation=None, prompt=None, previous_response_id=None),
    _with(
        truncation="auto", service_tier="flex", store=False, parallel_tool_calls=True
    ),
    _with(top_logprobs=3, include=["message.output_text.logprobs"], background=True),
    _with(include=["message.output_text.logprobs"], max_tool_calls=1),
    _with(top_logprobs=0, **{"@odd": 1, "a/b": 2, "~": 3}),
    _with(
        tool_choice="auto", tools=[{"type": "web_search"}, {"type": "new"}, {"x": 1}]
    ),
    _with(tool_choice={"type": "function", "name": "f"}),
    _with(tool_choice={"type": "function", "name": 5}),
    _with(tool_choice={"type": "custom", "name": "f", "x": 1}),
    _with(tool_choice={"type": "mcp", "server_label": "s"}),
    _with(
        tool_choice={
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "f"}],
        }
    ),
    _with(tool_choice={"type": "allowed_tools", "mode": "odd", "tools": []}),
    _with(
        tools=[
            {"type": "function", "name": "f", "parameters": None, "strict": None},
            {"type": "function", "name": "g", "description": None, "format": {"x": 1}},
            {"type": "function", "name": "h", "defer_loading": True, "strict": False},
            {"type": "custom", "name": "c", "format": {"type": "text"}},
            {"type": "custom", "name": "d", "parameters": {"a": 1}, "strict": True},
            {"type": "custom", "name": "e", "x": 1, "description": "what"},
            {"type": "mcp", "server_label": "s", "headers": {}},
        ]
    ),
    # Messages
    _said({"type": "input_text", "text": "Hi", "x": 1}, id="msg_1", status="completed"),
    _said({"type": "output_text", "text": "Hi"}, {"type": "text", "text": "a"}),
    _said({"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}),
    _said({"type": "refusal", "refusal": "no", "x": 1}, id=None, phase=None),
    _said({"type": "x_new", "text": 5}),
    _said({"text": "untyped"}),
    _said(),
    _said(_TEXT, role="assistant"),
    _said({"type": "input_text", "text": "Hi"}, role="assistant"),
    _said(
        {**_TEXT, "annotations": []}, role="assistant", id="msg_1", status="completed"
    ),
    _said({**_TEXT, "annotations": None, "logprobs": None}, role="assistant", id=None),
    _said(_TEXT, _TEXT, role="assistant", status="in_progress", phase="commentary"),
    _said({"type": "x_new"}, _TEXT, role="assistant", x=1),
    _said({"type": "refusal", "refusal": "no"}, role="assistant", status="incomplete"),
    _said(role="assistant"),
    _said(_TEXT, role="assistant", phase=None, status=None),
    _items({"role": "assistant", "content": "Hi"}, {"role": "system", "content": "x"}),
    _items({"content": "Hi", "role": "assistant", "phase": "final_answer", "x": 1}),
    _items({"type": "message", "role": "assistant", "content": "Hi", "id": "msg_2"}),
    _items({"type": "message", "role": "developer", "content": "Hi"}),
    _items({"type": None, "role": "user", "content": "Hi"}),
    # Annotations and log probabilities
    _said(
        {
            **_TEXT,
            "annotations": [
                {"type": "url_citation", "url": "u", "start_index": 0, "end_index": 1},
                {"type": "file_citation", "file_id": "f", "index": 0, "filename": "n"},
                {"type": "x_new", "a": [1]},
                {"type": "url_citation", "url": 5},
            ],
            "logprobs": [
                {**_TOKEN, "bytes": [97], "top_logprobs": [{**_TOKEN, "bytes": [97]}]},
                {**_TOKEN, "bytes": None, "top_logprobs": None, "x": 1},
                {**_TOKEN, "logprob": None},
                {**_TOKEN, "top_logprobs": [{**_TOKEN, "top_logprobs": []}]},
                {**_TOKEN, "top_logprobs": [{**_TOKEN, "bytes": None}]},
            ],
        },
        role="assistant",
    ),
    _said({**_TEXT, "logprobs": [{"token": 5}]}, role="assistant"),
    # Media
    _said({"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}),
    _said({"type": "input_image", "image_url": f"DATA:IMAGE/PNG;x=1;base64,{PNG}"}),
    _said({"type": "input_image", "image_url": "data:text/plain,hi"}),
    _said({"type": "input_image", "image_url": "https://x.example/a", "detail": "low"}),
    _said({"type": "input_image", "file_id": "f", "image_url": None, "detail": None}),
    _said({"type": "input_image", "file_id": "f", "image_url": "https://x"}),
    _said({"type": "input_image", "x": 1}),
    _said({"type": "input_file", "file_data": f"data:application/pdf;base64,{PNG}"}),
    _said({"type": "input_file", "file_data": PNG, "filename": "a", "detail": "high"}),
    _said({"type": "input_file", "file_url": "https://x", "file_id": "f"}),
    _said({"type": "input_file", "file_id": "f", "filename": None}),
    _said({"type": "input_file", "filename": "a"}),
    _said(
        {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav", "x": 1}}
    ),
    _said({"type": "input_audio", "input_audio": {"data": PNG, "format": "odd"}}),
    # Breakpoints
    _said({"type": "input_text", "text": "a", "prompt_cache_breakpoint": _BREAK}),
    _said({"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"x": 1}}),
    _said({"type": "input_text", "text": "a", "prompt_cache_breakpoint": None}),
    _said({"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "x"}}),
    _said({"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": None}}),
    # Reasoning
    _items({"type": "reasoning", "id": "rs_1", "summary": []}),
    _items(
        {"type": "reasoning", "summary": [], "encrypted_content": "a", "id": "rs_1"}
    ),
    _items({"type": "reasoning", "encrypted_content": None, "status": "completed"}),
    _items(
        {
            "type": "reasoning",
            "id": None,
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "x"}],
            "content": [{"type": "reasoning_text", "text": "b"}],
            "status": "incomplete",
            "format": "f",
        }
    ),
    _items(
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "a", "x": 1}],
            "content": [
                {"type": "reasoning_text", "text": "b"},
                {"type": "reasoning_text", "text": "c"},
            ],
        }
    ),
    _items({"type": "reasoning", "summary": None, "content": []}),
    _items({"type": "reasoning", "summary": [], "content": None, "status": "odd"}),
    # Calls and outputs
    _items({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"}),
    _items(
        {
            "type": "function_call",
            "id": None,
            "status": None,
            "call_id": "c",
            "name": "f",
            "arguments": "",
            "namespace": "n",
            "caller": {"type": "program"},
        },
        {"type": "function_call_output", "call_id": "c", "output": ""},
    ),
    _items(
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "a"},
        {
            "type": "custom_tool_call_output",
            "id": "o",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "a"}],
            "name": "f",
            "status": "incomplete",
            "x": 1,
        },
        {
            "type": "function_call_output",
            "call_id": "d",
            "output": [],
            "name": None,
            "status": "completed",
        },
        {
            "type": "function_call_output",
            "call_id": "e",
            "output": [{"type": "input_text", "text": "a"}, {"type": "x_new"}],
        },
    ),
    # Hosted and unknown items
    _items(
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}},
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "x"}},
        {
            "type": "program_output",
            "call_id": "c",
            "result": "r",
            "status": "incomplete",
        },
        {"type": "additional_tools", "role": "developer", "tools": []},
        {"type": "item_reference", "id": "msg_1"},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "image_generation_call", "id": 5},
        {"type": "x_new"},
    ),
]


@pytest.mark.parametrize("body", EXACT, ids=lambda body: json.dumps(body)[:60])
def test_requests_go_back_exactly(body: dict[str, Any]) -> None:
    request = read(body)
    out, losses = encoded(request)
    assert differences(body, json.loads(out.http.body)) == []
    assert not losses
    assert read(out.http.body) == request


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", "$"),
        (b"[]", "$"),
        (b"\xff", "$"),
        ({"model": 5}, "$.model"),
        (_items(5), "$.input[0]"),
        (_items({"type": 5}), "$.input[0].type"),
        (_items({}), "$.input[0]"),
        (_items({"role": "odd", "content": "x"}), "$.input[0].role"),
        (_items({"role": "user", "content": 5}), "$.input[0].content"),
        (_items({"role": "user"}), "$.input[0]"),
        (_said(5), "$.input[0].content[0]"),
        (_items({"type": "function_call", "name": "f"}), "$.input[0]"),
        (
            _items({"type": "function_call", "name": "f", "arguments": ""}),
            "$.input[0]",
        ),
        (
            _items({"type": "function_call_output", "call_id": "c", "output": {}}),
            "$.input[0].output",
        ),
        (_with(tools=[{"type": "function"}]), "$.tools[0]"),
        (_with(tools=[{"type": "function", "x": 1}]), "$.tools[0]"),
        (_with(tools=[5]), "$.tools[0]"),
        (_with(tool_choice="odd"), "$.tool_choice"),
        (_with(tool_choice=5), "$.tool_choice"),
        (_with(text=5), "$.text"),
        (_with(text={"format": {"x": 1}}), "$.text.format"),
        (_with(reasoning=[]), "$.reasoning"),
    ],
)
def test_garbage_is_refused_with_its_place(body: Any, path: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read(body)
    assert caught.value.path == path
    assert caught.value.status == 400


def test_limits_of_requests() -> None:
    turn = {"role": "user", "content": "Hi"}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    for body, limits in (
        (_with(), Limits(body=5)),
        (_items(turn, turn), Limits(messages=1)),
        (_items(call, call), Limits(parts=1)),
        (_said(_TEXT, _TEXT), Limits(parts=1)),
        (_with(metadata={"a": [[[[1]]]]}), Limits(nesting=4)),
    ):
        with pytest.raises(LimitExceeded):
            read(body, limits)
    assert read(_with(metadata={"a": "[[[[["}), Limits(nesting=4))


def test_neighbouring_items_are_one_turn() -> None:
    request = read(
        _items(
            {"role": "user", "content": "Hi"},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            _said(_TEXT, role="assistant")["input"][0],
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"},
            {"type": "computer_call_output", "call_id": "d"},
            {"role": "user", "content": "and?"},
        )
    )
    assert [(m.role, len(m.parts)) for m in request.messages] == [
        ("user", 1),
        ("assistant", 3),
        ("user", 2),
        ("user", 1),
    ]


def test_what_requests_say() -> None:
    request = read(
        {
            "model": "m",
            "instructions": "Be brief.",
            "input": "Hi",
            "stream": True,
            "max_output_tokens": 99,
            "reasoning": {"effort": "none"},
            "top_logprobs": 2,
        }
    )
    assert request.messages == (
        Message(role="system", parts=(TextPart("Be brief."),), top=True),
        Message(role="user", parts=(TextPart("Hi"),)),
    )
    assert request.include_usage is True
    assert request.max_tokens == 99
    assert request.reasoning == Reasoning(mode="off")
    assert request.logprobs == Logprobs(top=2)
    assert request.dialect == OWN


def test_sealed_signatures_are_opened_and_put_in_place() -> None:
    signature = Signature(origin="gemini", value="s", model="g")

    def thought(placement: _seal.Placement) -> dict[str, Any]:
        sealed = _seal.seal(signature, placement)
        return {"type": "reasoning", "summary": [], "encrypted_content": sealed}

    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    (turn,) = read(_items(thought("next"), call)).messages
    assert turn.parts[0].signature == signature
    (turn,) = read(_items(thought("here"))).messages
    assert turn.parts == (ReasoningPart(signature=signature),)
    # State of another origin, the thought it is in included, is not sent.
    request = read(_items(call, thought("here")))
    assert len(written(request)["input"]) == 1
    assert ("messages[0].parts[1]", "reasoning.text", "dropped") in lost(request)


# --- out of other dialects ---------------------------------------------------------


def _asked(*parts: Part, role: Any = "user", **fields: Any) -> Request:
    message = Message(role=role, parts=parts)
    return Request(model="m", messages=(message,), dialect="openai-chat", **fields)


def test_a_foreign_request_is_told_what_the_dialect_assumes() -> None:
    tool = Tool(name="f")
    request = _asked(TextPart("Hi"), tools=(tool,), stream=True)
    body = written(request)
    assert body["store"] is False
    assert body["include"] == ["reasoning.encrypted_content"]
    assert body["tools"][0]["strict"] is False
    assert body["tools"][0]["parameters"] == {"type": "object", "properties": {}}
    losses = {(x.path, x.action) for x in encoded(request)[1]}
    assert losses == {
        ("store", "defaulted"),
        ("include", "defaulted"),
        ("include_usage", "defaulted"),
        ("tools[0].schema", "defaulted"),
        ("tools[0].strict", "defaulted"),
    }
    plain = replace(PROFILE, reasoning="none", rejects=frozenset({"store"}))
    body = written(replace(request, store=None), profile=plain)
    assert "store" not in body and "include" not in body
    assert written(replace(request, store=True))["store"] is True
    assert "store" not in written(replace(request, store=True), profile=plain)


def test_instructions() -> None:
    def talk(*parts: Part, role: Any = "system") -> Request:
        top = Message(role=role, parts=parts, top=True)
        user = Message(role="user", parts=(TextPart("Hi"),))
        return Request(messages=(top, user), dialect="anthropic")

    assert written(talk(TextPart("a"), TextPart("b")))["instructions"] == "a\n\nb"
    assert ("messages[0].parts", "part.boundary", "approximated") in lost(
        talk(TextPart("a"), TextPart("b"))
    )
    marked = talk(TextPart("a", cache=CacheMark()))
    body = written(marked)
    assert "instructions" not in body
    assert body["input"][0]["content"][0]["prompt_cache_breakpoint"] == {
        "mode": "explicit"
    }
    plain = replace(PROFILE, cache_marks=False)
    assert written(marked, profile=plain)["instructions"] == "a"
    assert ("messages[0].parts[0].cache", "cache.mark", "dropped") in lost(
        marked, profile=plain
    )
    assert ("messages[0].role", "instructions.top", "approximated") in lost(
        talk(TextPart("a"), role="developer")
    )
    odd = talk(MediaPart(kind="image", source=Url("https://x")))
    assert "instructions" not in written(odd)


def test_assistant_turns() -> None:
    cited = TextPart(
        "abc",
        citations=(
            Citation(kind="url", url="u", title="t", start=0, end=3),
            Citation(kind="document", text="x"),
            Citation(kind="file", file_id="f"),
            Citation(kind="file", file_id="f", title="n"),
        ),
        phase="final_answer",
    )
    request = _asked(TextPart("a"), cited, RefusalPart("no"), role="assistant")
    plain, rich, refusal = written(request)["input"]
    assert plain == {"type": "message", "role": "assistant", "content": "a"}
    assert rich["id"].startswith("msg_") and rich["status"] == "completed"
    assert rich["phase"] == "final_answer"
    assert [a["type"] for a in rich["content"][0]["annotations"]] == [
        "url_citation",
        "file_citation",
        "file_citation",
    ]
    assert refusal["content"] == [{"type": "refusal", "refusal": "no"}]
    again = written(request)["input"]
    assert again[1]["id"] == rich["id"]
    grouped = _asked(TextPart("a", group=1), TextPart("b", group=1), role="assistant")
    (item,) = written(grouped)["input"]
    assert len(item["content"]) == 2


def test_what_parts_cannot_say() -> None:
    mark = CacheMark("5m", extras={"x": Raw(b"1")})
    signature = Signature(origin="gemini", value="s")
    request = _asked(
        TextPart(
            "a",
            citations=(Citation(kind="other"),),
            logprobs=(TokenLogprob("a", 0.0),),
            cache=mark,
            signature=signature,
            incomplete=True,
            extras={"x": Raw(b"1")},
        ),
        RefusalPart("no", logprobs=(TokenLogprob("a", 0.0),), cache=CacheMark()),
        role="user",
    )
    assert lost(request) == [
        ("messages[0].parts[0].extras[x]", "extras", "dropped"),
        ("messages[0].parts[0].incomplete", "part.incomplete", "dropped"),
        ("messages[0].parts[0].signature", "reasoning.signature", "dropped"),
        ("messages[0].parts[0].citations[0]", "citations", "dropped"),
        ("messages[0].parts[0].logprobs", "logprobs", "dropped"),
        ("messages[0].parts[0].cache.extras[x]", "extras", "dropped"),
        ("messages[0].parts[0].cache.ttl", "cache.mark", "approximated"),
        ("messages[0].parts[1].logprobs", "logprobs", "dropped"),
        ("messages[0].parts[1]", "refusal", "emulated"),
    ]
    spoken = _asked(
        TextPart("a", logprobs=(TokenLogprob("a", None),), cache=CacheMark("1h")),
        ReasoningPart(text="t", logprobs=(TokenLogprob("a", None),)),
        MediaPart(kind="image", source=Url("https://x")),
        role="assistant",
    )
    assert ("messages[0].parts[0].logprobs", "logprobs", "approximated") in lost(
        spoken, policy=DROPPING
    )
    assert ("messages[0].parts[2]", "media.image", "dropped") in lost(
        spoken, policy=DROPPING
    )
    hour = _asked(TextPart("a", cache=CacheMark("1h")))
    said = written(hour)["input"][0]["content"][0]
    assert said["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "12h"}


def test_media() -> None:
    def content(part: MediaPart, **options: Any) -> Any:
        body = written(_asked(part), DROPPING, **options)
        items = body["input"]
        return items[0]["content"][0] if items and items[0]["content"] else None

    def fate(part: MediaPart, **options: Any) -> set[tuple[str, str]]:
        found = lost(_asked(part), policy=DROPPING, **options)
        return {(feature, action) for _, feature, action in found}

    image = MediaPart(kind="image", source=Base64(PNG))
    assert content(image)["image_url"] == f"data:image/png;base64,{PNG}"
    assert ("media.meta", "defaulted") in fate(image)
    named = replace(image, name="n", detail="odd", meta={"x": Raw(b"1")})
    assert {("media.meta", "dropped"), ("media.detail", "dropped")} <= fate(named)
    remote = replace(image, source=Url("https://x"), mime="image/png", detail="low")
    assert content(remote) == {
        "type": "input_image",
        "image_url": "https://x",
        "detail": "low",
    }
    blind = replace(PROFILE, media_urls=False)
    assert content(remote, profile=blind) is None
    assert ("media.url", "dropped") in fate(remote, profile=blind)
    stored = replace(image, source=FileId("f"), mime="image/png")
    assert content(stored)["file_id"] == "f"
    assert content(replace(image, source=PlainText("x"))) is None

    pdf = MediaPart(kind="document", mime="application/pdf", source=Base64(PNG))
    assert content(pdf)["filename"] == "document.pdf"
    sniffed = content(MediaPart(kind="document", source=Base64("AAAA")))
    assert sniffed["file_data"] == "data:application/octet-stream;base64,AAAA"
    assert sniffed["filename"] == "document"
    assert content(replace(pdf, source=Url("https://x"), detail="high")) == {
        "type": "input_file",
        "file_url": "https://x",
        "detail": "high",
    }
    assert content(replace(pdf, source=Url("https://x")), profile=blind) is None
    assert content(replace(pdf, source=FileId("f"), name="n"))["filename"] == "n"
    text = content(MediaPart(kind="document", source=PlainText("hi")))
    assert text == {
        "type": "input_file",
        "file_data": "data:text/plain;base64,aGk=",
        "filename": "document.txt",
    }
    assert "mime" not in content(replace(pdf, source=PlainText("hi"), detail="odd"))
    for kind in ("audio", "video"):
        part = MediaPart(kind=kind, mime="audio/wav", source=Base64(PNG))
        assert content(part) is None
        with pytest.raises(UnsupportedFeature):
            written(_asked(part))
    anthropic = replace(_asked(stored), dialect="anthropic")
    assert ("messages[0].parts[0]", "media.file", "dropped") in lost(
        anthropic, policy=DROPPING
    )
    kept = replace(_asked(replace(pdf, source=FileId("f"))), dialect="anthropic")
    assert ("messages[0].parts[0]", "media.file", "dropped") in lost(
        kept, policy=DROPPING
    )


def test_media_of_the_own_dialect_that_changed() -> None:
    body = _said({"type": "input_image", "image_url": f"data:IMAGE/png;base64,{PNG}"})
    request = read(body)
    part = request.messages[0].parts[0]
    assert isinstance(part, MediaPart)
    other = replace(part, source=Base64("AAAA"))
    message = replace(request.messages[0], parts=(other,))
    sent = written(replace(request, messages=(message,)))["input"][0]["content"][0]
    assert sent["image_url"] == "data:image/png;base64,AAAA"
    odd = MediaPart(kind="audio", mime="audio/odd", source=Base64(PNG))
    film = MediaPart(kind="video", source=Url("https://x"))
    message = Message(role="user", parts=(odd, film, replace(odd, source=Url("x"))))
    native = Request(messages=(message,), dialect=OWN)
    assert written(native, DROPPING)["input"] == []


def test_reasoning_goes_only_where_it_came_from() -> None:
    own = Signature(origin=OWN, value="s", model="m-2026-01-01")
    thought = ReasoningPart(id="rs_1", summary=("a",), signature=own, redacted=True)
    request = _asked(thought, role="assistant")
    (item,) = written(request)["input"]
    assert item == {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "a"}],
        "encrypted_content": "s",
    }
    other = _asked(replace(thought, id="x", redacted=False), role="assistant")
    assert "id" not in written(other)["input"][0]
    elsewhere = replace(own, model="n")
    request = _asked(replace(thought, signature=elsewhere), role="assistant")
    assert written(request)["input"] == []
    assert ("messages[0].parts[0].signature", "reasoning.signature", "dropped") in lost(
        request
    )
    plain = _asked(ReasoningPart(text="t"), role="assistant")
    assert written(plain)["input"] == []
    open_models = replace(PROFILE, replay_reasoning="always")
    assert written(plain, profile=open_models)["input"] == [
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "t"}],
        }
    ]


def _called(*parts: Part, result: tuple[Part, ...] = (), **fields: Any) -> Request:
    turns = (
        Message(role="user", parts=(TextPart("Hi"),)),
        Message(role="assistant", parts=parts),
        Message(role="user", parts=result),
    )
    return Request(messages=turns, dialect="anthropic", **fields)


def test_calls_and_results() -> None:
    call = ToolCallPart(call_id="c" * 70, name="f", arguments=" ")
    bad = ToolCallPart(call_id="d", name="ns.tool", arguments="{", kind="custom")
    image = MediaPart(kind="image", source=Url("https://x"), detail="auto")
    request = _called(
        call,
        bad,
        result=(
            ToolResultPart(call_id="c" * 70, name="f", parts=(TextPart("1"),)),
            ToolResultPart(call_id="d", name="other", parts=(image,), error=True),
            TextPart("and?"),
        ),
        tools=(Tool(name="ns.tool", kind="custom"),),
    )
    out, _ = encoded(request)
    items = json.loads(out.http.body)["input"]
    assert [item["type"] for item in items] == [
        "message",
        "function_call",
        "custom_tool_call",
        "function_call_output",
        "custom_tool_call_output",
        "message",
    ]
    assert items[1]["arguments"] == "{}"
    assert items[1]["call_id"] == items[3]["call_id"] != "c" * 70
    assert items[2]["name"] == "ns_tool" and out.names == {"ns_tool": "ns.tool"}
    assert items[3]["output"] == "1"
    assert [part["type"] for part in items[4]["output"]] == [
        "input_text",
        "input_image",
    ]
    found = lost(request)
    for expected in (
        ("messages[1].parts[1].name", "tool.name", "emulated"),
        ("messages[2].parts[0].name", "tool.name", "approximated"),
        ("messages[2].parts[1].name", "tool.name", "dropped"),
        ("messages[2].parts[1].kind", "tool.custom", "approximated"),
        ("messages[2].parts[1]", "tool_result.error", "emulated"),
        ("messages[2]", "message.boundary", "approximated"),
        ("tools[0].name", "tool.name", "emulated"),
    ):
        assert expected in found


def test_results_in_every_form() -> None:
    def output(*parts: Part, error: bool = False) -> Any:
        result = ToolResultPart(call_id="c", parts=parts, error=error)
        request = _called(ToolCallPart(call_id="c", name="f"), result=(result,))
        return written(request, DROPPING)["input"][-1]["output"]

    assert output() == ""
    assert output(error=True) == "Error: "
    assert output(TextPart("Error: x"), error=True) == "Error: x"
    assert output(TextPart("x"), error=True) == "Error: x"
    assert output(TextPart("a"), TextPart("b"))[1]["text"] == "b"
    strange = OpaquePart(dialect="anthropic", kind="x", raw=Raw(b"{}"))
    assert output(TextPart("a"), strange) == [{"type": "input_text", "text": "a"}]
    film = MediaPart(kind="video", source=Url("x"))
    assert output(TextPart("a"), film) == [{"type": "input_text", "text": "a"}]
    marked = output(TextPart("a", cache=CacheMark()))
    assert marked[0]["prompt_cache_breakpoint"] == {"mode": "explicit"}


def test_custom_tools_can_be_functions() -> None:
    profile = replace(PROFILE, custom_tools=False)
    grammar = Raw(b'{"type":"grammar","syntax":"lark","definition":"start: A"}')
    request = _called(
        ToolCallPart(call_id="c", name="f", arguments='a "b"', kind="custom"),
        result=(ToolResultPart(call_id="c", parts=(TextPart("1"),), kind="custom"),),
        tools=(
            Tool(kind="custom", name="f", description="d", format=grammar),
            Tool(kind="custom", name="g"),
        ),
    )
    out, _ = encoded(request, profile=profile)
    body = json.loads(out.http.body)
    assert out.custom == ("f", "g")
    assert body["tools"][0]["type"] == "function"
    assert "start: A" in body["tools"][0]["description"]
    assert json.loads(body["input"][1]["arguments"]) == {"input": 'a "b"'}
    assert body["input"][2]["type"] == "function_call_output"


def test_parts_of_other_servers_are_dropped() -> None:
    strange = OpaquePart(dialect="anthropic", kind="x", raw=Raw(b"{}"))
    inside = replace(strange, extras={"@content": Raw(b"true")})
    hosted = ServerToolCallPart(name="web_search", cache=CacheMark())
    result = ServerToolResultPart(name="web_search")
    request = _called(strange, inside, hosted, result)
    assert len(written(request, DROPPING)["input"]) == 2
    assert lost(request, policy=DROPPING) == [
        ("messages[1].parts[0]", "opaque", "dropped"),
        ("messages[1].parts[1]", "opaque", "dropped"),
        ("messages[1].parts[2].cache", "cache.mark", "dropped"),
        ("messages[1].parts[2]", "tool.server_part", "dropped"),
        ("messages[1].parts[3]", "tool.server_part", "dropped"),
        ("messages[1]", "message.empty", "dropped"),
    ]
    own = OpaquePart(dialect=OWN, kind="item_reference", raw=Raw(b'{"id":"a"}'))
    assert written(_called(own))["input"][1] == {"id": "a"}


def test_turns_that_fall_together() -> None:
    says = Message(role="assistant", parts=(TextPart("a"),))
    request = Request(messages=(says, says, says), dialect="anthropic")
    assert [path for path, _, _ in lost(request)] == [
        f"messages[{i}]" for i in range(3)
    ]
    empty = Request(messages=(Message(role="assistant"), says), dialect="anthropic")
    assert lost(empty) == [("messages[0]", "message.empty", "dropped")]
    top = Message(role="system", parts=(TextPart("a"),), top=True)
    late = Request(messages=(says, top), dialect="anthropic")
    assert ("messages[1].top", "instructions.top", "approximated") in lost(late)


def test_tools_of_other_dialects() -> None:
    loose = Raw(b'{"type":"object","properties":{"a":{}}}')
    strict = Raw(
        b'{"type":"object","properties":{"a":{"anyOf":[{"type":"string"}]}},'
        b'"required":["a"],"additionalProperties":false}'
    )
    tools = (
        Tool(name="a", schema=loose, strict=True, description="d"),
        Tool(name="b", schema=strict, strict=True, cache=CacheMark()),
        Tool(name="c", strict=True),
        Tool(name="d", schema=Raw(b'{"type":"object","required":5}'), strict=True),
        Tool(name="e", schema=Raw(b"true"), strict=True),
        Tool(name="h", schema=_OPTIONAL, strict=True),
        Tool(kind="custom", name="g", schema=loose, description="d", format=loose),
        Tool(kind="server", name="web_search"),
        Tool(kind="opaque", name="x"),
    )
    request = replace(_asked(TextPart("Hi"), tools=tools), dialect="anthropic")
    sent = written(request, DROPPING)["tools"]
    assert [tool.get("strict") for tool in sent] == [False, True, *[False] * 4, None]
    with pytest.raises(UnsupportedFeature) as caught:
        written(request)
    assert caught.value.loss.path == "tools[7]"
    chat = replace(request, dialect="openai-chat")
    assert written(chat, DROPPING)["tools"][0]["strict"] is True


CHOICES: list[tuple[ToolChoice, Any]] = [
    (ToolChoice(mode="auto"), "auto"),
    (ToolChoice(mode="none", names=("f",)), "none"),
    (ToolChoice(mode="required"), "required"),
    (ToolChoice(mode="validated"), "auto"),
    (
        ToolChoice(mode="required", names=("f",), kind="named"),
        {"type": "function", "name": "f"},
    ),
    (ToolChoice(mode="required", names=("g",)), {"type": "custom", "name": "g"}),
    (
        ToolChoice(mode="auto", names=("f",), kind="allowed"),
        {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "f"}],
        },
    ),
    (ToolChoice(mode="auto", kind="opaque", raw=Raw(b"1")), None),
]


@pytest.mark.parametrize(("choice", "expected"), CHOICES)
def test_tool_choices(choice: ToolChoice, expected: Any) -> None:
    tools = (Tool(name="f"), Tool(kind="custom", name="g"))
    request = _asked(TextPart("Hi"), tools=tools, tool_choice=choice, parallel=False)
    body = written(request, DROPPING)
    assert body.get("tool_choice") == expected
    assert body["parallel_tool_calls"] is False
    alone = replace(request, tools=())
    assert "tool_choice" not in written(alone)
    assert ("parallel", "parallel", "dropped") in lost(alone)
    native = replace(request, dialect=OWN, tool_choice=replace(choice, raw=None))
    assert "tool_choice" in written(native)
    picky = replace(PROFILE, rejects=frozenset({"required_tool_choice", "parallel"}))
    body = written(request, DROPPING, profile=picky)
    assert "parallel_tool_calls" not in body
    if choice.mode == "required":
        assert body["tool_choice"] == "auto"


def test_sampling_and_limits() -> None:
    sampling = Sampling(
        temperature=3.0,
        top_p=0.5,
        top_k=1,
        min_p=0.1,
        seed=1,
        frequency_penalty=0.1,
        presence_penalty=0.1,
        repetition_penalty=1.1,
        logit_bias=Raw(b"{}"),
    )
    request = _asked(TextPart("Hi"), sampling=sampling, max_tokens=1, stop=("x",), n=1)
    out, losses = encoded(request)
    body = json.loads(out.http.body)
    assert (body["temperature"], body["top_p"]) == (2.0, 0.5)
    assert body["max_output_tokens"] == 16
    assert out.stops == ("x",)
    assert sum(loss.path.startswith("sampling.") for loss in losses) == 8
    out, _ = encoded(request, {"stop": "drop"})
    assert out.stops == ()
    strict = replace(PROFILE, sampling_with_reasoning=False)
    assert "temperature" not in written(request, profile=strict)
    calm = replace(request, reasoning=Reasoning(mode="off"))
    assert written(calm, profile=strict)["temperature"] == 2.0
    picky = Profile(name="picky", rejects=frozenset({"temperature", "logprobs"}))
    native = read(_with(temperature=1, top_p=1, top_logprobs=1))
    body = written(native, profile=picky)
    assert "temperature" not in body and "top_logprobs" not in body and body["top_p"]
    with pytest.raises(UnsupportedFeature):
        written(_asked(TextPart("Hi"), n=2))


def test_log_probabilities() -> None:
    request = _asked(TextPart("Hi"), logprobs=Logprobs(top=3))
    body = written(request)
    assert body["top_logprobs"] == 3
    assert "message.output_text.logprobs" in body["include"]
    off = _asked(TextPart("Hi"), logprobs=Logprobs(enabled=False))
    assert "message.output_text.logprobs" not in written(off)["include"]
    assert ("logprobs", "logprobs", "approximated") in lost(off)
    asked = _asked(TextPart("Hi"), include=("reasoning.encrypted_content",))
    assert written(asked)["include"] == ["reasoning.encrypted_content"]


REASONING: list[tuple[Reasoning, Any]] = [
    (Reasoning(), None),
    (Reasoning(mode="off"), {"effort": "none"}),
    (Reasoning(mode="off", effort="low"), {"effort": "none"}),
    (Reasoning(mode="on"), None),
    (Reasoning(mode="on", effort="max"), {"effort": "xhigh"}),
    (Reasoning(effort="low", show="summary"), {"effort": "low", "summary": "auto"}),
    (Reasoning(mode="on", budget=-1), None),
    (Reasoning(mode="on", budget=100), {"effort": "low"}),
    (Reasoning(mode="on", budget=100, effort="high"), {"effort": "high"}),
    (Reasoning(show="raw"), {"summary": "detailed"}),
    (Reasoning(show="raw", summary="detailed"), {"summary": "detailed"}),
    (Reasoning(show="summary", summary="concise"), {"summary": "concise"}),
    (Reasoning(mode="on", effort="low", show="none"), {"effort": "low"}),
]


@pytest.mark.parametrize(("wanted", "expected"), REASONING)
def test_reasoning_controls(wanted: Reasoning, expected: Any) -> None:
    request = _asked(TextPart("Hi"), reasoning=wanted)
    assert written(request).get("reasoning") == expected
    plain = replace(PROFILE, reasoning="none")
    assert "reasoning" not in written(request, profile=plain)
    feature = "approximated" if wanted.mode == "off" else "dropped"
    assert ("reasoning", "reasoning.mode", feature) in lost(request, profile=plain)
    always = replace(PROFILE, efforts=("low", "high"))
    if wanted.mode == "off":
        assert written(request, profile=always)["reasoning"] == {"effort": "low"}


def test_the_shape_of_answers() -> None:
    loose = Raw(b'{"type":"object","properties":{"a":{}}}')
    strict = Raw(b'{"type":"object","properties":{},"additionalProperties":false}')

    def shape(output: OutputFormat, dialect: str = "anthropic", **options: Any) -> Any:
        request = replace(_asked(TextPart("Hi"), output=output), dialect=dialect)
        return written(request, **options).get("text", {}).get("format")

    def schema(**fields: Any) -> OutputFormat:
        return OutputFormat(kind="json_schema", **fields)

    assert shape(OutputFormat(kind="text")) == {"type": "text"}
    assert shape(OutputFormat(kind="json_object", name="n")) == {"type": "json_object"}
    assert shape(OutputFormat(kind="enum")) is None
    assert shape(schema(name="n", schema=strict, description="d")) == {
        "type": "json_schema",
        "name": "n",
        "description": "d",
        "schema": json.loads(bytes(strict)),
        "strict": True,
    }
    sent = shape(schema(name="a b", schema=loose, strict=True))
    assert (sent["name"], sent["strict"]) == ("a_b", False)
    sent = shape(schema())
    assert (sent["name"], "strict" in sent) == ("response", False)
    assert shape(schema(schema=loose, strict=True), "openai-chat")["strict"] is True
    without = replace(PROFILE, structured_output=False)
    assert shape(schema(schema=loose), profile=without) == {"type": "json_object"}
    plain = replace(without, json_object=False)
    assert shape(schema(schema=loose), profile=plain) is None
    assert shape(OutputFormat(kind="json_object"), profile=plain) is None
    spoken = _asked(TextPart("Hi"), verbosity="low")
    assert written(spoken)["text"] == {"verbosity": "low"}
    mute = replace(PROFILE, rejects=frozenset({"verbosity"}))
    assert "text" not in written(spoken, profile=mute)


def test_labels_and_state() -> None:
    request = _asked(
        TextPart("Hi"),
        user="u" * 200,
        cache_key="k",
        metadata=Raw(b'{"a":"b"}'),
        service_tier="standard",
        truncation="auto",
        cache=CacheMark(),
        prediction=Raw(b"1"),
        modalities=("text",),
        extras={"x": Raw(b"1")},
    )
    body = written(request)
    assert len(body["safety_identifier"]) == 64
    assert (body["prompt_cache_key"], body["metadata"]) == ("k", {"a": "b"})
    assert (body["service_tier"], body["truncation"]) == ("default", "auto")
    found = lost(request)
    for expected in (
        ("user", "user", "approximated"),
        ("service_tier", "service_tier", "approximated"),
        ("cache", "cache.mark", "dropped"),
        ("prediction", "prediction", "dropped"),
        ("modalities", "modalities", "approximated"),
        ("extras[x]", "extras", "dropped"),
    ):
        assert expected in found
    words = "user cache_key metadata service_tier"
    picky = replace(PROFILE, rejects=frozenset(words.split()))
    assert set(written(request, profile=picky)) == {
        "model",
        "input",
        "store",
        "include",
        "truncation",
    }
    odd = _asked(
        TextPart("Hi"),
        metadata=Raw(b'{"a":1}'),
        service_tier="odd",
        modalities=("audio",),
        audio=AudioOutput(),
        include_usage=False,
    )
    assert lost(odd, policy=DROPPING) == [
        ("audio", "audio.output", "dropped"),
        ("modalities", "modalities", "dropped"),
        ("metadata", "metadata", "dropped"),
        ("service_tier", "service_tier", "dropped"),
    ]
    state = ServerState(previous_response_id="r", cached_content="c")
    assert (
        written(_asked(TextPart("Hi"), state=state), DROPPING)["previous_response_id"]
        == "r"
    )
    for held in (state, ServerState(container=Raw(b"{}"))):
        with pytest.raises(UnsupportedFeature):
            written(_asked(TextPart("Hi"), state=held))


def test_a_short_form_that_no_longer_fits() -> None:
    request = read({"model": "m", "input": "Hi"})
    two = Message(role="user", parts=(TextPart("a"), TextPart("b")))
    (item,) = written(replace(request, messages=(two,)))["input"]
    assert len(item["content"]) == 2
    cool = _asked(TextPart("Hi"), sampling=Sampling(temperature=0.5))
    assert written(cool)["temperature"] == 0.5


def test_closed_servers_get_no_extras() -> None:
    closed = Profile(name="other", closed=True)
    body = written(read(_with(x=1)), profile=closed)
    assert "x" not in body
    assert written(read(_with(x=1)), profile=replace(closed, closed=False))["x"] == 1
    assert "x" not in written(foreign(read(_with(x=1))))
    assert written(read(TALK), profile=closed) == TALK


def test_the_model_can_be_overridden() -> None:
    out, _ = encoded(read(TALK), model="other")
    assert json.loads(out.http.body)["model"] == "other"
    assert out.model == "other"
    assert "model" not in written(Request(dialect=OWN))


def test_what_answers_repeat() -> None:
    body = _with(
        instructions="Be brief.",
        temperature=0.5,
        store=True,
        text={"verbosity": "low"},
        conversation="c",
        tools=[{"type": "web_search"}],
        user="u",
        prompt=None,
    )
    request = DIALECT.decode_request(http(body), LOOSE)
    echo = {k: json.loads(bytes(v)) for k, v in (DIALECT.echo(request) or {}).items()}
    assert echo == {
        "instructions": "Be brief.",
        "temperature": 0.5,
        "text": {"verbosity": "low", "format": {"type": "text"}},
        "conversation": {"id": "c"},
        "tools": [{"type": "web_search"}],
        "user": "u",
    }
    assert DIALECT.echo(Request(dialect=OWN)) is None


def test_notes_of_ours_never_reach_the_wire() -> None:
    thought = ReasoningPart(extras={PLACEMENT: Raw(b'"next"')})
    request = Request(
        messages=(Message(role="assistant", parts=(thought,)),), dialect=OWN
    )
    assert written(request)["input"] == [{"type": "reasoning", "summary": []}]
