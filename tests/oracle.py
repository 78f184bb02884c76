"""What the vendors' own SDKs say of a message: their types as the judge.

Every function gives a list of complaints, empty where the message is valid. Values are
validated (`validate_python`), never constructed, and members that the SDK's model does
not know are complaints too, where the message is one that we wrote (`strict`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import anthropic.types
import google.genai.types as gemini_types
import openai.types.chat
import openai.types.responses
from anthropic.types import message_create_params as anthropic_params
from openai.types.chat import completion_create_params as chat_params
from openai.types.responses import response_create_params as responses_params
from pydantic import BaseModel, TypeAdapter, ValidationError

from llmwire.sse import FrameDecoder

CONVENTIONS = tuple(
    f".{name}: unknown"
    for name in (
        "reasoning_content",
        "reasoning_details",
        "extra_content",
        "delta.annotations",
        "delta.annotations.0.index",
    )
)
"""Members that Chat's SDK does not model and its clients read all the same: the plain
thinking of DeepSeek and others, OpenRouter's list, Google's own place for signatures,
OpenAI's own citations in streams."""


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _complaints(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3]
    ]


def _exhausted(value: Any) -> Any:
    """`value` with lazily validated iterables read, which validates them."""
    if isinstance(value, dict):
        return {key: _exhausted(inner) for key, inner in value.items()}
    if isinstance(value, str | bytes | int | float | None | BaseModel):
        return value
    if isinstance(value, Iterable):
        return [_exhausted(inner) for inner in value]
    return value


def _unknown(sent: Any, known: Any, path: str = "$") -> list[str]:
    """Members of `sent` that validation dropped."""
    if isinstance(sent, dict) and isinstance(known, dict):
        found = [f"{path}.{key}: unknown" for key in sent if key not in known]
        for key in sent:
            if key in known:
                found += _unknown(sent[key], known[key], f"{path}.{key}")
        return found
    if isinstance(sent, list) and isinstance(known, list):
        return [
            one
            for at, (left, right) in enumerate(zip(sent, known, strict=False))
            for one in _unknown(left, right, f"{path}[{at}]")
        ]
    return []


def _validated(kind: Any, value: Any, strict: bool) -> list[str]:
    try:
        found = _adapter(kind).validate_python(value)
        if isinstance(found, BaseModel):
            unknown = _extras(found) if strict else ()
            return [one for one in unknown if not one.endswith(CONVENTIONS)]
        listed = _exhausted(found)
    except ValidationError as error:
        return _complaints(error)
    return _unknown(value, listed) if strict else []


def _extras(model: BaseModel, path: str = "$") -> Iterator[str]:
    """Members that the models took without knowing them."""
    for name in model.model_extra or {}:
        yield f"{path}.{name}: unknown"
    for name in type(model).model_fields:
        yield from _extras_in(getattr(model, name, None), f"{path}.{name}")


def _extras_in(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from _extras(value, path)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _extras_in(item, f"{path}[{at}]")


def request(dialect: str, body: dict[str, Any], *, strict: bool = True) -> list[str]:
    """Complaints about a request's body."""
    if dialect == "gemini":
        return _gemini_request(body)
    streaming = bool(body.get("stream"))
    kinds: dict[str, tuple[Any, Any]] = {
        "openai-chat": (
            chat_params.CompletionCreateParamsNonStreaming,
            chat_params.CompletionCreateParamsStreaming,
        ),
        "openai-responses": (
            responses_params.ResponseCreateParamsNonStreaming,
            responses_params.ResponseCreateParamsStreaming,
        ),
        "anthropic": (
            anthropic_params.MessageCreateParamsNonStreaming,
            anthropic_params.MessageCreateParamsStreaming,
        ),
    }
    return _validated(kinds[dialect][streaming], body, strict)


_GEMINI_REQUEST: dict[str, Any] = {
    "contents": list[gemini_types.Content],
    "systemInstruction": gemini_types.Content,
    "tools": list[gemini_types.Tool],
    "toolConfig": gemini_types.ToolConfig,
    "safetySettings": list[gemini_types.SafetySetting],
    "generationConfig": gemini_types.GenerationConfig,
    "cachedContent": str,
    "serviceTier": str,
    "labels": dict[str, str],
    "store": bool,
    "continuationToken": str,
    "model": str,
}


def _gemini_request(body: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for name, value in body.items():
        kind = _GEMINI_REQUEST.get(name)
        if kind is None:
            found.append(f"$.{name}: unknown")
        else:
            found += [f"$.{name}.{one}" for one in _validated(kind, value, True)]
    return found


def response(dialect: str, body: dict[str, Any], *, strict: bool = True) -> list[str]:
    """Complaints about a whole answer."""
    kinds: dict[str, Any] = {
        "openai-chat": openai.types.chat.ChatCompletion,
        "openai-responses": openai.types.responses.Response,
        "anthropic": anthropic.types.Message,
        "gemini": gemini_types.GenerateContentResponse,
    }
    return _validated(kinds[dialect], body, strict)


def stream_objects(data: bytes) -> list[tuple[str, Any]]:
    """The JSON of every frame with its event name; `[DONE]` left out."""
    decoder = FrameDecoder()
    frames = decoder.receive_data(data) + decoder.receive_eof()
    return [
        (frame.event, json.loads(frame.data))
        for frame in frames
        if frame.data and not frame.data.startswith(b"[DONE]")
    ]


def stream(dialect: str, data: bytes, *, strict: bool = True) -> list[str]:
    """Complaints about a stream that we wrote, of the types and the accumulator."""
    objects = stream_objects(data)
    if dialect == "openai-chat":
        return _chat_stream([value for _, value in objects], strict)
    if dialect == "openai-responses":
        return _responses_stream(objects, strict)
    if dialect == "anthropic":
        return _anthropic_stream(objects, strict)
    return [
        complaint
        for _, value in objects
        if "error" not in value
        for complaint in response("gemini", value, strict=strict)
    ]


def _chat_stream(chunks: list[Any], strict: bool) -> list[str]:
    from openai.lib.streaming.chat import ChatCompletionStreamState

    found: list[str] = []
    state = ChatCompletionStreamState()
    for value in chunks:
        if "error" in value:
            return found
        if any(_has_custom_call(choice) for choice in value["choices"]):
            return found
        found += _validated(openai.types.chat.ChatCompletionChunk, value, strict)
        if found:
            return found
        chunk = openai.types.chat.ChatCompletionChunk.model_validate(value)
        try:
            list(state.handle_chunk(chunk))
        except RuntimeError as error:
            return [f"accumulator: {error}"]
    with suppress(
        openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError
    ):
        state.get_final_completion()
    return found


def _has_custom_call(choice: Any) -> bool:
    """A custom tool's call: the API streams it, the SDK's chunk has no type for it."""
    calls = choice["delta"].get("tool_calls") or []
    return any(call.get("type") == "custom" for call in calls)


def _responses_stream(objects: list[tuple[str, Any]], strict: bool) -> list[str]:
    from openai.lib.streaming.responses._responses import ResponseStreamState

    found: list[str] = []
    state: Any = ResponseStreamState(input_tools=[], text_format=openai.omit)
    for at, (name, value) in enumerate(objects):
        if name != value.get("type"):
            found.append(f"event {name!r} is not its type {value.get('type')!r}")
        if value.get("sequence_number") != at:
            found.append(f"sequence number {value.get('sequence_number')} at {at}")
        kind: Any = openai.types.responses.ResponseStreamEvent
        found += _validated(kind, value, strict)
        if found:
            return found
        state.handle_event(_adapter(kind).validate_python(value))
    return found


def _anthropic_stream(objects: list[tuple[str, Any]], strict: bool) -> list[str]:
    from anthropic.lib.streaming._messages import accumulate_event

    found: list[str] = []
    snapshot: Any = None
    pieces: dict[int, bytes] = {}
    for name, value in objects:
        if name != value.get("type"):
            found.append(f"event {name!r} is not its type {value.get('type')!r}")
        if name in ("ping", "error"):
            continue
        kind: Any = anthropic.types.RawMessageStreamEvent
        found += _validated(kind, value, strict)
        if found:
            return found
        event = _adapter(kind).validate_python(value)
        try:
            snapshot = accumulate_event(
                event=event, current_snapshot=snapshot, json_bufs=pieces
            )
        except (RuntimeError, ValueError) as error:
            return [f"accumulator: {error}"]
    return found
