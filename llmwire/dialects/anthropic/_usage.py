"""Token counts and stop reasons, read and written for whole answers and streams.

`input_tokens` is what was neither read from the cache nor written to it, so the
vendor's members are our disjoint buckets (https://platform.claude.com/docs/en/build-with-claude/prompt-caching).
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from msgspec import UNSET, Raw, UnsetType

from llmwire._json import (
    NULL,
    Schema,
    encode,
    nested,
    strangers,
)
from llmwire.dialects.anthropic import _wire as w
from llmwire.dialects.anthropic._blocks_write import Members, add_extras
from llmwire.dialects.anthropic._cache import odd_members
from llmwire.errors import RemoteProtocolError
from llmwire.losses import LossRecorder
from llmwire.messages import Extras, Part, StopDetail, StopReason, ToolCallPart, Usage

_RAW: Final = ("server_tool_use", "inference_geo", "iterations", "speed")
_COUNTS: Final = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)
_NULLABLE: Final = (
    *_COUNTS,
    "cache_creation",
    "output_tokens_details",
    "service_tier",
)
_COUNTED: Final = attrgetter(*_COUNTS)
_NULLABLES: Final = attrgetter(*_NULLABLE)
_RAWS: Final = attrgetter(*_RAW)
_UNSAID: Final = (UNSET,) * len(_RAW)
_SHARES: Final = (
    "tool_prompt",
    "audio_in",
    "audio_out",
    "image_in",
    "image_out",
    "accepted",
    "rejected",
)
_SHARED: Final = attrgetter(*_SHARES)
_SHARE_PLACES: Final = tuple(f"usage.{name}" for name in _SHARES)
_NO_SHARES: Final = (None,) * len(_SHARES)

_STOPS: Final[dict[str, StopReason]] = {
    "end_turn": "end",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_full",
    "compaction": "compaction",
}
_WORDS: Final[dict[str, str]] = {
    **{reason: word for word, reason in _STOPS.items()},
    "content_filter": "refusal",
    "recitation": "refusal",
    "compaction": "end_turn",
    # A call that must not be run, or an answer that broke: no clean end.
    "malformed_tool_call": "max_tokens",
    "error": "max_tokens",
    "steered": "end_turn",
    "cancelled": "end_turn",
    "other": "end_turn",
}
_EXACT: Final = frozenset(_STOPS.values()) - {"compaction"}
_CATEGORIES: Final = frozenset(
    {"cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"}
)
_details = Schema(w.StopDetailsWire, tolerant=True)


def read_stop(word: str | None, parts: tuple[Part, ...] | bool) -> StopReason:
    """The neutral stop reason; `parts` tells whether a call of the client's is there.

    `tool_use` without such a call is an ordinary end: nothing is asked of the client.
    """
    if word is None:
        return "other"
    stop = _STOPS.get(word, "other")
    if stop == "tool_use":
        called = parts if isinstance(parts, bool) else ToolCallPart in map(type, parts)
        return "tool_use" if called else "end"
    return stop


def read_detail(raw: Raw | UnsetType) -> StopDetail | None:
    """`stop_details`; its own words are kept where it has members of its own."""
    if isinstance(raw, UnsetType) or bytes(raw) == b"null":
        return None
    try:
        wire = _details.decode(raw)
    except RemoteProtocolError:
        return StopDetail(raw=raw)
    category, explanation = wire.category, wire.explanation
    plain = (
        wire.type == "refusal"
        and category is not UNSET
        and explanation is not UNSET
        and not strangers(wire)
    )
    return StopDetail(
        category if isinstance(category, str) else None,
        explanation if isinstance(explanation, str) else None,
        None if plain else raw,
    )


def write_stop(
    stop: StopReason, raw: str | None, native: bool, losses: LossRecorder, path: str
) -> str | None:
    """`stop_reason`; the source's own word goes back only to this dialect."""
    if native:
        if raw is not None:
            return raw
        if stop == "other":
            return None
        return "compaction" if stop == "compaction" else _WORDS[stop]
    if stop not in _EXACT:
        reason = "the dialect has no word for it"
        losses.approximate("stop_reason", f"{path}.stop", reason)
    return _WORDS[stop]


def write_detail(
    detail: StopDetail | None,
    stop: StopReason,
    native: bool,
    losses: LossRecorder,
    path: str,
) -> Members | Raw | None:
    """`stop_details`, None for none."""
    if native:
        if detail is None:
            return None
        if detail.raw is not None:
            return detail.raw
        return {
            "type": "refusal",
            "category": detail.category,
            "explanation": detail.explanation,
        }
    if _WORDS[stop] != "refusal":
        if detail is not None:
            reason = "only refusals have details"
            losses.drop("stop_detail", f"{path}.detail", reason)
        return None
    category = detail.category if detail is not None else None
    explanation = detail.explanation if detail is not None else None
    if category is not None and category not in _CATEGORIES:
        reason = "not a category of this dialect"
        losses.approximate("stop_detail", f"{path}.detail", reason)
        explanation, category = explanation or category, None
    elif detail is not None and detail.raw is not None:
        reason = "the source's own words are not this dialect's"
        losses.approximate("stop_detail", f"{path}.detail", reason)
    elif detail is None and stop != "refusal":
        explanation = stop
        losses.default("stop_detail", f"{path}.detail", "why it was refused")
    if detail is None and explanation is None:
        return None
    return {"type": "refusal", "category": category, "explanation": explanation}


def read_usage(wire: w.UsageWire, *, stream: bool = False) -> tuple[Usage, str | None]:
    """The buckets, and the tier that served the request.

    In a `stream` a null of a member that is modelled says nothing.
    """
    extras: Extras = {}
    if wire.extras or wire.learned:
        extras.update(odd_members(wire) or {})
    if not stream and None in _NULLABLES(wire):
        for name in _NULLABLE:
            if getattr(wire, name) is None:
                extras[name] = NULL
    if _RAWS(wire) != _UNSAID:
        for name in _RAW:
            value = getattr(wire, name)
            if value is not UNSET:
                extras[name] = value
    fresh, total, read, output = map(_count, _COUNTED(wire))
    write, long = _read_writes(wire, total, extras)
    reasoning = None
    details = wire.output_tokens_details
    if isinstance(details, w.OutputDetails):
        odd = dict(strangers(details))
        if details.thinking_tokens is None and not stream:
            odd["thinking_tokens"] = NULL
        extras.update(nested("output_tokens_details", odd, None) or {})
        reasoning = _count(details.thinking_tokens)
        if not odd and reasoning is None and not stream:
            extras["output_tokens_details"] = Raw(b"{}")
    usage = Usage(
        fresh=fresh,
        cache_read=read,
        cache_write=write,
        cache_write_long=long,
        output=output,
        reasoning=reasoning,
        extras=extras or None,
    )
    tier = wire.service_tier
    return usage, tier if isinstance(tier, str) else None


def _count(value: int | UnsetType | None) -> int | None:
    return value if isinstance(value, int) else None


def _read_writes(
    wire: w.UsageWire, total: int | None, extras: dict[str, Raw]
) -> tuple[int | None, int | None]:
    """The cache writes of short and of long life: disjoint."""
    split = wire.cache_creation
    if not isinstance(split, w.CacheCreation):
        return total, None
    short = _count(split.ephemeral_5m_input_tokens)
    long = _count(split.ephemeral_1h_input_tokens)
    if short is None or long is None or total != short + long or strangers(split):
        whole = {
            "ephemeral_5m_input_tokens": split.ephemeral_5m_input_tokens,
            "ephemeral_1h_input_tokens": split.ephemeral_1h_input_tokens,
            **strangers(split),
        }
        said = {name: value for name, value in whole.items() if value is not UNSET}
        extras["cache_creation"] = Raw(encode(said))
        if total is None or long is None or total < long:
            return total, None
        return total - long, long
    return short, long


def write_usage(usage: Usage, native: bool, losses: LossRecorder | None) -> Members:
    """`usage`, with the members that official clients require."""
    members: Members = {}
    fresh = usage.fresh
    if losses is not None:
        _report_usage(usage, native, losses)
    if not native:
        fresh = (fresh or 0) + (usage.tool_prompt or 0)
    if fresh is not None:
        members["input_tokens"] = fresh
    write, long = usage.cache_write, usage.cache_write_long
    if write is not None or long is not None:
        members["cache_creation_input_tokens"] = (write or 0) + (long or 0)
    if usage.cache_read is not None:
        members["cache_read_input_tokens"] = usage.cache_read
    if long is not None:
        members["cache_creation"] = {
            "ephemeral_5m_input_tokens": write or 0,
            "ephemeral_1h_input_tokens": long,
        }
    output = usage.output
    if output is None and not native:
        output = 0
    if output is not None:
        members["output_tokens"] = output
    if usage.reasoning is not None:
        members["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if native and usage.extras:
        _add_native(members, usage.extras)
    return members


def _add_native(members: Members, extras: Extras) -> None:
    """Members that the buckets do not reproduce; theirs are the source's own words."""
    for name in ("cache_creation",):
        if name in extras:
            members[name] = extras[name]
    details: Members = {}
    add_extras(details, extras, "output_tokens_details")
    if details:
        known = members.get("output_tokens_details")
        if isinstance(known, dict):
            details = {**details, **known}
        members["output_tokens_details"] = details
    add_extras(members, extras)


def _report_usage(usage: Usage, native: bool, losses: LossRecorder) -> None:
    shares = _SHARED(usage)
    if shares != _NO_SHARES:
        for place, share in zip(_SHARE_PLACES, shares, strict=True):
            if share is not None:
                losses.drop("usage", place, "the dialect has no such count")
    if usage.cache_write_long is not None and usage.cache_write is None:
        reason = "cache writes are told by time to live"
        losses.default("usage", "usage.cache_write", reason)
    if usage.estimated:
        losses.drop("usage", "usage.estimated", "the dialect cannot say it")
    if native:
        return
    if usage.fresh is None or usage.output is None:
        for name in ("fresh", "output"):
            if getattr(usage, name) is None:
                losses.default("usage", f"usage.{name}", "clients need a number")
    if usage.tool_prompt and usage.fresh is not None:
        reason = "with the prompts of tools"
        losses.approximate("usage", "usage.fresh", reason)
    if usage.extras:
        losses.drop_extras(usage.extras, "usage")


TIERS: Final = {
    "standard": "standard",
    "priority": "priority",
    "batch": "batch",
    "default": "standard",
}
"""Tiers that an answer can name (`usage.service_tier`)."""


def write_tier(tier: str | None, native: bool, losses: LossRecorder) -> str | None:
    """`usage.service_tier`."""
    if tier is None or native:
        return tier
    word = TIERS.get(tier)
    if word is None:
        losses.drop("service_tier", "service_tier", "the dialect has no such tier")
    elif word != tier:
        reason = "the dialect's own word for it"
        losses.approximate("service_tier", "service_tier", reason)
    return word


def merged(known: w.UsageWire | None, update: w.UsageWire) -> w.UsageWire:
    """Usage so far: what `update` says goes over what was said before.

    The split of the cache writes stands only while it fits their sum.
    """
    if known is None:
        return update
    odd = strangers(update)
    extras = {**strangers(known), **odd}
    values = {}
    for name in w.UsageWire.__struct_fields__:
        value = getattr(update, name)
        if name in odd:
            value = UNSET  # It is said anew, and is no count.
        elif value is UNSET or value is None or value == NULL:
            value = getattr(known, name)
        else:
            extras.pop(name, None)
        values[name] = value
    if not isinstance(update.cache_creation, w.CacheCreation):
        values["cache_creation"] = _fitting(
            values["cache_creation"], values["cache_creation_input_tokens"]
        )
    result = w.UsageWire(**values)
    if extras:
        result.__dict__["extras"] = extras
    return result


def _fitting(split: object, total: int | None) -> object:
    if not isinstance(split, w.CacheCreation) or not isinstance(total, int):
        return split
    long = _count(split.ephemeral_1h_input_tokens) or 0
    return w.CacheCreation(
        ephemeral_5m_input_tokens=max(0, total - long),
        ephemeral_1h_input_tokens=min(long, total),
    )
