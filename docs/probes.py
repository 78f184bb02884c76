"""One small request or answer for every feature: what `coverage.md` is made with.

Neutral ones belong to nobody and are tried in every dialect; native ones are bodies of
a dialect that says the feature in its own way only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from llmwire.messages import (
    Base64,
    CacheMark,
    Choice,
    Citation,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    Response,
    StopDetail,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Url,
    Usage,
)
from llmwire.requests import (
    Logprobs,
    OutputFormat,
    Reasoning,
    Request,
    Sampling,
    Tool,
    ToolChoice,
)

__all__ = ("ANSWERS", "NATIVE_ANSWERS", "NATIVE_REQUESTS", "REQUESTS")

_PNG: Final = Base64("iVBORw0KGgo=")
_SCHEMA: Final = Raw(b'{"type":"object","properties":{"q":{"type":"string"}}}')
_TOOL: Final = Tool(name="search", description="Searches.", schema=_SCHEMA)
_ASKED: Final = Message(role="user", parts=(TextPart("Hi"),))
_PLAIN: Final = Request(model="m", messages=(_ASKED,), max_tokens=100)
_CALL: Final = ToolCallPart(call_id="call_1", name="search", arguments='{"q":"a"}')


def _turns(*messages: Message) -> Request:
    return replace(_PLAIN, messages=messages)


def _user(*parts: Part) -> Request:
    return _turns(Message(role="user", parts=parts))


def _assistant(*parts: Part) -> Request:
    said = Message(role="assistant", parts=parts)
    return _turns(_ASKED, said, Message(role="user", parts=(TextPart("Go on"),)))


def _result(*parts: Part, error: bool = False) -> Request:
    result = ToolResultPart(call_id="call_1", name="search", parts=parts, error=error)
    return replace(
        _turns(
            _ASKED,
            Message(role="assistant", parts=(_CALL,)),
            Message(role="user", parts=(result,)),
        ),
        tools=(_TOOL,),
    )


def _tools(**changes: Any) -> Request:
    return replace(_PLAIN, **{"tools": (_TOOL,), **changes})


REQUESTS: Final[Mapping[str, Request]] = {
    "cache.key": replace(_PLAIN, cache_key="k"),
    "cache.mark": _user(TextPart("Hi", cache=CacheMark("5m"))),
    "call.arguments": _assistant(replace(_CALL, arguments="[1]")),
    "call.order": _assistant(_CALL, TextPart("and so")),
    "call.unanswered": _assistant(_CALL),
    "choices": replace(_PLAIN, n=2),
    "include": replace(_PLAIN, include=("message.output_text.logprobs",)),
    "instructions": _turns(
        _ASKED,
        Message(role="assistant", parts=(TextPart("Hello"),)),
        Message(role="system", parts=(TextPart("Be brief"),)),
        _ASKED,
    ),
    "instructions.top": _turns(
        Message(role="system", parts=(TextPart("Be brief"),), top=True), _ASKED
    ),
    "logprobs": replace(_PLAIN, logprobs=Logprobs(top=2)),
    "max_tokens": replace(_PLAIN, max_tokens=None),
    "media.audio": _user(MediaPart(kind="audio", mime="audio/wav", source=_PNG)),
    "media.detail": _user(
        MediaPart(kind="image", mime="image/png", source=_PNG, detail="low")
    ),
    "media.document": _user(
        MediaPart(kind="document", mime="application/pdf", source=_PNG, name="a.pdf")
    ),
    "media.image": _user(MediaPart(kind="image", mime="image/png", source=_PNG)),
    "media.url": _user(
        MediaPart(kind="image", mime="image/png", source=Url("https://a.example/b.png"))
    ),
    "media.video": _user(MediaPart(kind="video", mime="video/mp4", source=_PNG)),
    "message.boundary": _turns(_ASKED, _ASKED),
    "message.empty": _turns(_ASKED, Message(role="assistant", parts=()), _ASKED),
    "message.order": _turns(
        Message(role="assistant", parts=(TextPart("Hello"),)), _ASKED
    ),
    "message.prefill": _turns(
        _ASKED, Message(role="assistant", parts=(TextPart("It is"),))
    ),
    "metadata": replace(_PLAIN, metadata=Raw(b'{"job":"a"}')),
    "modalities": replace(_PLAIN, modalities=("text", "image")),
    "output.format": replace(
        _PLAIN, output=OutputFormat(kind="json_schema", name="a", schema=_SCHEMA)
    ),
    "parallel": _tools(parallel=False),
    "phase": _assistant(TextPart("Let me see", phase="commentary")),
    "prediction": replace(
        _PLAIN, prediction=Raw(b'{"type":"content","content":"so it goes"}')
    ),
    "reasoning.budget": replace(
        _PLAIN, reasoning=Reasoning(mode="on", budget=2048), max_tokens=9000
    ),
    "reasoning.effort": replace(_PLAIN, reasoning=Reasoning(mode="on", effort="low")),
    "reasoning.mode": replace(_PLAIN, reasoning=Reasoning(mode="off")),
    "reasoning.show": replace(_PLAIN, reasoning=Reasoning(mode="on", show="summary")),
    "refusal": _assistant(RefusalPart("I will not")),
    "sampling": replace(_PLAIN, sampling=Sampling(temperature=0.5, seed=1)),
    "schema": _tools(
        tools=(
            replace(
                _TOOL,
                schema=Raw(
                    b'{"type":"object","properties":{"q":{"type":"string",'
                    b'"pattern":"a","contentEncoding":"base64"}}}'
                ),
            ),
        )
    ),
    "service_tier": replace(_PLAIN, service_tier="flex"),
    "stop": replace(_PLAIN, stop=("END",)),
    "store": replace(_PLAIN, store=True),
    "tool.choice": _tools(tool_choice=ToolChoice(mode="required")),
    "tool.custom": _tools(tools=(Tool(kind="custom", name="patch"),)),
    "tool.description": _tools(
        tools=(Tool(name="search", description="Searches.", schema=_SCHEMA),)
    ),
    "tool.name": _tools(tools=(replace(_TOOL, name="files.read/it"),)),
    "tool.strict": _tools(tools=(replace(_TOOL, strict=True),)),
    "tool_result.error": _result(TextPart("no such file"), error=True),
    "tool_result.media": _result(
        MediaPart(kind="image", mime="image/png", source=_PNG)
    ),
    "tool_result.orphan": _turns(
        Message(
            role="user",
            parts=(ToolResultPart(call_id="call_9", parts=(TextPart("x"),)),),
        )
    ),
    "truncation": replace(_PLAIN, truncation="auto"),
    "user": replace(_PLAIN, user="user-1"),
    "verbosity": replace(_PLAIN, verbosity="low"),
}


def _answer(*parts: Part, **changes: Any) -> Response:
    choice = Choice(parts=parts or (TextPart("Hello"),), stop="end")
    choice = replace(choice, **changes.pop("choice", {}))
    return Response(id="r1", model="m", choices=(choice,), **changes)


ANSWERS: Final[Mapping[str, Response]] = {
    "citations": _answer(
        TextPart(
            "Rain",
            citations=(
                Citation(
                    kind="url", url="https://a.example", title="A", start=0, end=4
                ),
            ),
        )
    ),
    "reasoning.segments": _answer(
        ReasoningPart(summary=("First", "Then")), TextPart("So")
    ),
    "reasoning.text": _answer(ReasoningPart(text="Hm"), TextPart("So")),
    "stop_detail": _answer(
        choice={"stop": "refusal", "detail": StopDetail("cyber", "why")}
    ),
    "stop_reason": _answer(choice={"stop": "context_full"}),
    "stop_sequence": _answer(choice={"stop": "stop_sequence", "stop_sequence": "END"}),
    "usage": _answer(usage=Usage(fresh=5, cache_write=3, output=2)),
}

_CONTENT: Final = "Hi"


def _body(**members: Any) -> bytes:
    return json.dumps(members).encode()


def _chat(**members: Any) -> bytes:
    return _body(model="m", messages=[{"role": "user", "content": _CONTENT}], **members)


def _responses(**members: Any) -> bytes:
    return _body(model="m", **{"input": _CONTENT, **members})


def _anthropic(**members: Any) -> bytes:
    messages = [{"role": "user", "content": _CONTENT}]
    return _body(**{"model": "m", "max_tokens": 9, "messages": messages, **members})


def _gemini(**members: Any) -> bytes:
    contents = [{"role": "user", "parts": [{"text": _CONTENT}]}]
    return _body(**{"contents": contents, **members})


def _said(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [part, {"type": "text", "text": _CONTENT}]}]


NATIVE_REQUESTS: Final[Mapping[str, Mapping[str, bytes]]] = {
    "audio.output": {
        "openai-chat": _chat(
            modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}
        ),
    },
    "call.unanswered": {
        "openai-responses": _responses(
            input=[
                {
                    "type": "function_call",
                    "call_id": "call_1",
                    "name": "search",
                    "arguments": "{}",
                },
                {"role": "user", "content": _CONTENT},
            ]
        ),
    },
    "media.file": {
        "openai-chat": _body(
            model="m", messages=_said({"type": "file", "file": {"file_id": "file-1"}})
        ),
        "anthropic": _anthropic(
            messages=_said(
                {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
            )
        ),
        "gemini": _gemini(
            contents=[
                {
                    "role": "user",
                    "parts": [
                        {
                            "fileData": {
                                "mimeType": "application/pdf",
                                "fileUri": "https://generativelanguage.googleapis.com"
                                "/v1beta/files/a",
                            }
                        }
                    ],
                }
            ]
        ),
    },
    "extras": {
        "openai-chat": _chat(x_new=1),
        "openai-responses": _responses(x_new=1),
        "anthropic": _anthropic(x_new=1),
        "gemini": _gemini(xNew=1),
    },
    "include": {
        "openai-responses": _responses(include=["web_search_call.results"]),
    },
    "reasoning.budget": {
        "anthropic": _anthropic(
            model="claude-sonnet-4-5",
            max_tokens=9000,
            thinking={"type": "enabled", "budget_tokens": 2048},
        ),
        "gemini": _gemini(generationConfig={"thinkingConfig": {"thinkingBudget": 512}}),
    },
    "state": {
        "openai-responses": _responses(previous_response_id="resp_1"),
        "gemini": _gemini(cachedContent="cachedContents/a"),
    },
    "tool.name": {
        "gemini": _gemini(tools=[{"functionDeclarations": [{"name": "files.read"}]}]),
    },
    "tool.opaque": {
        "openai-responses": _responses(tools=[{"type": "new_kind_of_tool"}]),
        "anthropic": _anthropic(tools=[{"type": "new_kind_20990101", "name": "a"}]),
    },
    "tool_result.orphan": {
        "openai-responses": _responses(
            input=[
                {"type": "function_call_output", "call_id": "call_9", "output": "x"},
                {"role": "user", "content": _CONTENT},
            ]
        ),
    },
    "tool.server": {
        "openai-responses": _responses(tools=[{"type": "web_search"}]),
        "anthropic": _anthropic(
            tools=[{"type": "web_search_20250305", "name": "web_search"}]
        ),
        "gemini": _gemini(tools=[{"googleSearch": {}}]),
    },
}
NATIVE_ANSWERS: Final[Mapping[str, Mapping[str, bytes]]] = {
    "opaque": {
        "openai-responses": _body(
            id="r",
            object="response",
            status="completed",
            model="m",
            output=[{"type": "new_kind_of_item", "id": "x_1", "state": "done"}],
        ),
        "anthropic": _body(
            id="m",
            type="message",
            role="assistant",
            model="m",
            content=[{"type": "new_kind_of_block"}, {"type": "text", "text": "So"}],
            stop_reason="end_turn",
            usage={"input_tokens": 1, "output_tokens": 1},
        ),
    },
    "reasoning.signature": {
        "anthropic": _body(
            id="m",
            type="message",
            role="assistant",
            model="m",
            content=[{"type": "thinking", "thinking": "Hm", "signature": "c2ln"}],
            stop_reason="end_turn",
            usage={"input_tokens": 1, "output_tokens": 1},
        ),
        "gemini": _body(
            candidates=[
                {
                    "content": {
                        "role": "model",
                        "parts": [{"text": "So", "thoughtSignature": "c2ln"}],
                    },
                    "finishReason": "STOP",
                }
            ]
        ),
    },
    "tool.server_part": {
        "anthropic": _body(
            id="m",
            type="message",
            role="assistant",
            model="m",
            content=[
                {
                    "type": "server_tool_use",
                    "id": "srvtoolu_1",
                    "name": "web_search",
                    "input": {"query": "a"},
                },
                {"type": "text", "text": "So"},
            ],
            stop_reason="end_turn",
            usage={"input_tokens": 1, "output_tokens": 1},
        ),
        "openai-responses": _body(
            id="r",
            object="response",
            status="completed",
            model="m",
            output=[{"type": "web_search_call", "id": "ws_1", "status": "completed"}],
        ),
    },
}
