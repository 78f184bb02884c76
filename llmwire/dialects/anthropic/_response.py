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
from llmwire._json import NULL, LearnedSchema, encode
from llmwire.dialects import ReplyTarget, ResponseSource
from llmwire.dialects.anthropic import _wire as w
from llmwire.dialects.anthropic._blocks_read import Reading, read_blocks
from llmwire.dialects.anthropic._blocks_write import (
    Members,
    add_extras,
    write_block,
)
from llmwire.dialects.anthropic._cache import odd_members
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


def _read(wire: w.ResponseWire, source: ResponseSource) -> Response:
    extras = response_extras(wire)
    if UNSET in _SKELETON(wire):
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
        if isinstance(part, ToolCallPart) and not part.call_id:
            parts[at] = replace(part, call_id=mint_call(seed, ordinal))
            ordinal += 1
        elif isinstance(part, ToolResultPart):
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
    losses.drop_extras(choice.extras, path)
    if not native:
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
