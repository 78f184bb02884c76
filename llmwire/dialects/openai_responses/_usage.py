"""Token counts and stop reasons, both ways.

The API tells the whole input and, inside it, what the cache gave and took; the neutral
buckets are disjoint. Counts that do not come out of the buckets again are kept.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw

from llmwire import _json
from llmwire.dialects.openai_responses import _names
from llmwire.dialects.openai_responses._content_write import Object, Way
from llmwire.errors import RemoteProtocolError
from llmwire.messages import (
    Choice,
    Part,
    RefusalPart,
    ServerToolCallPart,
    StopReason,
    TextPart,
    ToolCallPart,
    Usage,
)

_REASONS: Final[dict[str, StopReason]] = {
    "max_output_tokens": "max_tokens",
    "content_filter": "content_filter",
    "max_messages": "pause",
    "steered": "steered",
}
_STATUSES: Final[dict[str, StopReason]] = {
    "failed": "error",
    "cancelled": "cancelled",
    "incomplete": "max_tokens",
}
STATUS_WORDS: Final = frozenset(
    {"completed", "incomplete", "failed", "cancelled", "queued", "in_progress"}
)
_WRITTEN: Final[dict[StopReason, tuple[str, str | None]]] = {
    "max_tokens": ("incomplete", "max_output_tokens"),
    "context_full": ("incomplete", "max_output_tokens"),
    "pause": ("incomplete", "max_output_tokens"),
    "content_filter": ("incomplete", "content_filter"),
    "recitation": ("incomplete", "content_filter"),
    "steered": ("incomplete", "steered"),
    "cancelled": ("cancelled", None),
    "malformed_tool_call": ("failed", None),
    "error": ("failed", None),
}
"""Stop reason -> status and the reason of an incomplete one; others are completed."""
EMPTY_USAGE: Final[Object] = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


# --- usage --------------------------------------------------------------------------


def read_usage(raw: Raw) -> Usage | None:
    """Token counts; None where there is no object. Never raises."""
    try:
        members = _json.decode_object(bytes(raw))
        values: dict[str, Any] = _json.decode_any(bytes(raw))
    except RemoteProtocolError:
        return None
    given = _object(values, "input_tokens_details")
    made = _object(values, "output_tokens_details")
    split = _object(given, "cache_write_tokens_details")
    whole, read = _count(values, "input_tokens"), _count(given, "cached_tokens")
    write, long = _count(given, "cache_write_tokens"), _count(split, "ttl_12h_tokens")
    if write is not None and long is not None:
        write = max(write - long, 0)
    fresh = None
    if whole is not None:
        fresh = max(whole - (read or 0) - (write or 0) - (long or 0), 0)
    usage = Usage(
        fresh=fresh,
        cache_read=read,
        cache_write=write,
        cache_write_long=long,
        output=_count(values, "output_tokens"),
        reasoning=_count(made, "reasoning_tokens"),
    )
    extras = _irreproducible(members, values, native_usage(usage))
    if not extras:
        return usage
    return Usage(
        fresh=fresh,
        cache_read=read,
        cache_write=write,
        cache_write_long=long,
        output=usage.output,
        reasoning=usage.reasoning,
        extras=extras,
    )


def _object(values: dict[str, Any], name: str) -> dict[str, Any]:
    value = values.get(name)
    return value if isinstance(value, dict) else {}


def _count(values: dict[str, Any], name: str) -> int | None:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value


def _irreproducible(
    members: dict[str, Raw], values: dict[str, Any], written: Object
) -> dict[str, Raw] | None:
    """What `written` does not say, and which of its members were not there."""
    extras: dict[str, Raw] = {}
    form: list[str] = []
    for name, raw in members.items():
        told = written.get(name)
        if (
            name in written
            and told == values[name]
            and isinstance(told, bool) == isinstance(values[name], bool)
        ):
            continue
        key = _json.escaped(name)
        if isinstance(told, dict) and isinstance(values[name], dict) and told:
            inner = _json.decode_object(bytes(raw))
            for part, value in inner.items():
                if told.get(part) != values[name][part] or part not in told:
                    extras[f"{key}/{_json.escaped(part)}"] = value
            form += [f"{name}/{part}" for part in told if part not in inner]
        else:
            extras[key] = raw
    form += [name for name in written if name not in members]
    return _names.with_form(extras, form)


def native_usage(usage: Usage) -> Object:
    """Counts as far as they were said, without extras."""
    written: Object = {}
    if usage.fresh is not None:
        written["input_tokens"] = usage.input
    given: Object = {}
    if usage.cache_read is not None:
        given["cached_tokens"] = usage.cache_read
    if usage.cache_write is not None or usage.cache_write_long is not None:
        given["cache_write_tokens"] = _written(usage)
    if usage.cache_write_long is not None:
        given["cache_write_tokens_details"] = {
            "ttl_30m_tokens": usage.cache_write or 0,
            "ttl_12h_tokens": usage.cache_write_long,
        }
    if given:
        written["input_tokens_details"] = given
    if usage.output is not None:
        written["output_tokens"] = usage.output
    if usage.reasoning is not None:
        written["output_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    if usage.fresh is not None and usage.output is not None:
        written["total_tokens"] = usage.input + usage.output
    return written


def _written(usage: Usage) -> int:
    return (usage.cache_write or 0) + (usage.cache_write_long or 0)


def write_usage(usage: Usage | None, way: Way) -> Object:
    """Counts as the API tells them; foreign ones in full, for clients need them."""
    if way.native and usage is not None:
        _report_shares(usage, way)
        return _with_extras(usage)
    if usage is None:
        reason = "answers always tell usage"
        way.losses.default("usage", "usage", reason)
        return EMPTY_USAGE
    _report_usage(usage, way)
    given: Object = {
        "cached_tokens": usage.cache_read or 0,
        "cache_write_tokens": _written(usage),
    }
    if usage.cache_write_long is not None:
        given["cache_write_tokens_details"] = {
            "ttl_30m_tokens": usage.cache_write or 0,
            "ttl_12h_tokens": usage.cache_write_long,
        }
    return {
        "input_tokens": usage.input,
        "input_tokens_details": given,
        "output_tokens": usage.output or 0,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.input + (usage.output or 0),
    }


def _with_extras(usage: Usage) -> Object:
    written = native_usage(usage)
    extras = usage.extras
    if not extras:
        return written
    for name in _names.form(extras):
        outer, _, inner = name.partition("/")
        level = written.get(outer, {}) if inner else written
        level.pop(inner or outer, None)
    for name in list(written):
        inside = _json.level(extras, _json.escaped(name))
        if inside and isinstance(written[name], dict):
            written[name].update(inside)
    written.update(_json.level(extras))
    return written


_SHARES: Final = (
    "audio_in",
    "audio_out",
    "image_in",
    "image_out",
    "accepted",
    "rejected",
)
_ALWAYS: Final = ("fresh", "cache_read", "cache_write", "output", "reasoning")


def _report_shares(usage: Usage, way: Way) -> None:
    for name in _SHARES:
        if getattr(usage, name) is not None:
            way.losses.drop("usage", f"usage.{name}", "not told in this dialect")
    if usage.estimated:
        way.losses.drop("usage", "usage.estimated", "not told in this dialect")


def _report_usage(usage: Usage, way: Way) -> None:
    losses = way.losses
    losses.drop_extras(usage.extras, "usage")
    _report_shares(usage, way)
    if usage.tool_prompt is not None:
        reason = "counted with the other input"
        losses.approximate("usage", "usage.tool_prompt", reason)
        if usage.tool_prompt:
            losses.approximate("usage", "usage.fresh", reason)
    for name in _ALWAYS:
        if getattr(usage, name) is None:
            losses.default("usage", f"usage.{name}", "answers always tell it")


# --- why an answer ended ------------------------------------------------------------


def read_stop(
    status: str | None, reason: str | None, parts: tuple[Part, ...]
) -> tuple[StopReason, str | None]:
    """The stop reason and the source's own word for it."""
    if reason is not None and status in ("incomplete", None):
        return _REASONS.get(reason, "other"), reason
    if status != "completed":
        return _STATUSES.get(status or "", "other"), status
    return completed_stop(parts), status


def completed_stop(parts: tuple[Part, ...]) -> StopReason:
    """Why a completed answer ended, which only its parts tell."""
    if any(isinstance(part, ToolCallPart) for part in parts):
        return "tool_use"
    said = [part for part in parts if isinstance(part, (TextPart, RefusalPart))]
    if said and all(isinstance(part, RefusalPart) for part in said):
        return "refusal"
    return "end"


def write_stop(choice: Choice, way: Way, path: str) -> tuple[str, str | None]:
    """Status and the reason of an incomplete one."""
    if way.native and choice.raw is not None:
        raw = choice.raw
        return (raw, None) if raw in STATUS_WORDS else ("incomplete", raw)
    status, reason = _WRITTEN.get(choice.stop, ("completed", None))
    refused = any(isinstance(part, RefusalPart) for part in choice.parts)
    if choice.stop == "refusal" and not refused and not _explained(choice):
        status, reason = "incomplete", "content_filter"
    if not way.native:
        _report_stop(choice, status, reason, way, path)
    return status, reason


def _explained(choice: Choice) -> bool:
    return choice.detail is not None and bool(choice.detail.explanation)


def _report_stop(
    choice: Choice, status: str, reason: str | None, way: Way, path: str
) -> None:
    losses = way.losses
    shown = tuple(
        part for part in choice.parts if not isinstance(part, ServerToolCallPart)
    )
    if _explained(choice) and choice.stop == "refusal":
        shown = (*shown, RefusalPart(""))
    told, _ = read_stop(status, reason, shown)
    if told != choice.stop:
        why = "the dialect has no word for it"
        losses.approximate("stop_reason", f"{path}.stop", why)
    if choice.stop_sequence is not None:
        why = "the dialect has no stop sequences"
        losses.drop("stop_sequence", f"{path}.stop_sequence", why)
    if choice.detail is not None:
        why = "the dialect says no more than the reason"
        losses.drop("stop_detail", f"{path}.detail", why)
