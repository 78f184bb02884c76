"""Whole answers: `message` bodies to neutral responses and back.

An answer of this dialect goes back as it came. One of another dialect is written as the
vendor would: no member that the official client does not know, every member that it
requires.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from llmwire._ids import mint_call
from llmwire._json import NULL, LearnedSchema, encode, strangers
from llmwire.dialects import ReplyTarget, ResponseSource
from llmwire.dialects.anthropic import _wire as w
from llmwire.dialects.anthropic._blocks_read import Reading, read_blocks
from llmwire.dialects.anthropic._blocks_write import (
    Members,
    add_extras,
    write_block,
)
from llmwire.dialects.anthropic._cache import odd_members
from llmwire.dialects.anthropic._errors import find_error
from llmwire.dialects.anthropic._reply import message_id, reply_blocks
from llmwire.dialects.anthropic._usage import (
    read_detail,
    read_stop,
    read_usage,
    write_detail,
    write_stop,
    write_tier,
    write_usage,
)
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.messages import (
    APIError,
    Choice,
    Extras,
    OpaquePart,
    Part,
    Response,
    ToolCallPart,
    ToolResultPart,
    Usage,
)

SKELETON: Final = (
    "id",
    "type",
    "role",
    "model",
    "content",
    "stop_reason",
    "stop_sequence",
    "usage",
)
"""Members that every answer has."""
_SKELETON: Final = attrgetter(*SKELETON)
_response = LearnedSchema(w.ResponseWire)


def decode_response(body: bytes, source: ResponseSource) -> Response:
    """The neutral response.

    Raises:
        RemoteProtocolError: The body is no answer of this dialect (status 502).
    """
    if len(body) > source.limits.body:
        what = f"the body has more than {source.limits.body} bytes"
        raise LimitExceeded(what, status=502)
    try:
        wire = _response.decode(body)
        silent = wire.content is UNSET and wire.stop_reason is UNSET
        if silent or "content" in wire.extras:
            raise RemoteProtocolError("expected a message with `content`", path="$")
        return _read(wire, source)
    except RemoteProtocolError as error:
        error.status = 502
        raise


def decode_reply(body: bytes, source: ResponseSource) -> Response | APIError:
    """The error that `find_error` finds, else the answer.

    Raises:
        RemoteProtocolError: It is neither (status 502).
    """
    try:
        response = decode_response(body, source)
    except RemoteProtocolError:
        error = find_error(body)
        if error is None:
            raise
        return error
    if response.extras is not None and "error" in response.extras:
        return find_error(body) or response
    return response


def _read(wire: w.ResponseWire, source: ResponseSource) -> Response:
    extras = None if _is_usual(wire) else response_extras(wire)
    if extras is not None and UNSET in _SKELETON(wire):
        absent = [
            name
            for name in SKELETON
            if getattr(wire, name) is UNSET and name not in extras
        ]
        if absent:
            extras["@absent"] = Raw(encode(absent))
    content = wire.content if isinstance(wire.content, list) else []
    if len(content) > source.limits.parts:
        raise LimitExceeded(f"more than {source.limits.parts} blocks", path="$.content")
    reading = Reading(False, source.model, source.tag)
    parts = _as_answer(read_blocks(content, "$.content", reading), source.seed)
    usage: Usage | None = None
    tier: str | None = None
    if isinstance(wire.usage, w.UsageWire):
        usage, tier = read_usage(wire.usage)
    word = _text(wire.stop_reason)
    choice = Choice(
        parts=parts,
        stop=read_stop(word, parts),
        raw=word,
        stop_sequence=_text(wire.stop_sequence),
        detail=read_detail(wire.stop_details),
    )
    return Response(
        id=_text(wire.id),
        model=_text(wire.model),
        choices=(choice,),
        usage=usage,
        service_tier=tier,
        dialect=w.NAME,
        extras=extras or None,
    )


def _is_usual(wire: w.ResponseWire) -> bool:
    """Whether the neutral response holds all that the message's members say."""
    return (
        type(wire.id) is type(wire.model) is str
        and wire.type == "message"
        and wire.role == "assistant"
        and type(wire.content) is list
        and wire.usage is not None
        and UNSET not in (wire.stop_reason, wire.stop_sequence, wire.usage)
        and wire.stop_details is wire.container is wire.context_management is UNSET
        and not (wire.extras or (wire.learned and strangers(wire)))
    )


def _text(value: str | UnsetType | None) -> str | None:
    return value if isinstance(value, str) else None


def response_extras(wire: w.ResponseWire) -> dict[str, Raw]:
    """What the neutral response does not hold of the message's own members."""
    extras = dict(odd_members(wire) or {})
    for name in ("id", "model", "content", "usage"):
        if getattr(wire, name) is None:
            extras[name] = NULL
    if isinstance(wire.type, str) and wire.type != "message":
        extras["type"] = Raw(encode(wire.type))
    if isinstance(wire.role, str) and wire.role != "assistant":
        extras["role"] = Raw(encode(wire.role))
    if wire.stop_details == NULL:
        extras["stop_details"] = NULL
    for name in ("container", "context_management"):
        value = getattr(wire, name)
        if value is not UNSET:
            extras[name] = value
    return extras


def _as_answer(parts: list[Part], seed: str) -> tuple[Part, ...]:
    """`parts`, with ids for calls that came without one, and results as opaque."""
    ordinal = 0
    for at, part in enumerate(parts):
        if type(part) is ToolCallPart and not part.call_id:
            parts[at] = replace(part, call_id=mint_call(seed, ordinal))
            ordinal += 1
        elif type(part) is ToolResultPart:
            parts[at] = as_opaque(part)
    return tuple(parts)


def as_opaque(part: ToolResultPart) -> OpaquePart:
    """A result, which is no part of an answer, as a block that nobody knows."""
    raw = Raw(encode(write_block(part)))
    return OpaquePart(dialect=w.NAME, kind="tool_result", raw=raw)


def encode_response(response: Response, target: ReplyTarget) -> bytes:
    """The body of an answer. Never raises for what the answer holds."""
    native = response.dialect == w.NAME
    losses = target.losses
    for at in range(1, len(response.choices)):
        losses.drop("choices", f"choices[{at}]", "the dialect has one answer")
    choice = response.choices[0] if response.choices else Choice()
    path = "choices[0]"
    if choice.extras:
        losses.drop_extras(choice.extras, path)
    if response.extras and not native:
        losses.drop_extras(response.extras, "")
    blocks, cut = reply_blocks(choice.parts, path, response.dialect, target)
    stop = choice.stop
    if cut and stop != "max_tokens" and not native:
        reason = "a call's arguments are no JSON object: it must not be run"
        losses.approximate("stop_reason", f"{path}.stop", reason)
        stop = "max_tokens"
    if target.profile.empty_text_block and not blocks:
        blocks.append({"type": "text", "text": ""})
    body: Members = {
        "id": message_id(response.id, native, target.seed),
        "type": "message",
        "role": "assistant",
        "model": target.model or response.model or "",
        "content": blocks,
        "stop_reason": write_stop(stop, choice.raw, native, losses, path),
        "stop_sequence": choice.stop_sequence,
    }
    detail = write_detail(choice.detail, stop, native, losses, path)
    if detail is not None:
        body["stop_details"] = detail
    body["usage"] = _usage(response, native, target)
    if native:
        _restore(body, response.extras, target)
    return encode(body)


def _usage(response: Response, native: bool, target: ReplyTarget) -> Members:
    usage = response.usage
    if usage is None:
        target.losses.default("usage", "usage", "clients need numbers")
        members: Members = {"input_tokens": 0, "output_tokens": 0}
    else:
        members = write_usage(usage, native, target.losses)
    if response.service_tier is not None:
        tier = write_tier(response.service_tier, native, target.losses)
        if tier is not None:
            members["service_tier"] = tier
    return members


def _restore(body: Members, extras: Extras | None, target: ReplyTarget) -> None:
    """Give a native answer back what it had and had not."""
    if not extras:
        return
    absent = bytes(extras.get("@absent", NULL))
    for name in SKELETON:
        if f'"{name}"'.encode() in absent and name != "model":
            body.pop(name, None)
    if b'"model"' in absent and target.model is None:
        body.pop("model", None)
    for name in SKELETON:
        if name in extras and not (name == "model" and target.model):
            body[name] = extras[name]
    add_extras(body, extras)
