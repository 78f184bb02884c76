"""Token counts.

Gemini's prompt includes what came from the cache and its candidates exclude the
thoughts; the neutral buckets are disjoint, and their output includes the thoughts.

https://ai.google.dev/api/generate-content#UsageMetadata
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from llmwire._json import NULL, decode_any, level, strangers
from llmwire.dialects.gemini import _wire
from llmwire.dialects.gemini._notes import kept, parsed
from llmwire.dialects.gemini._wire import CARRIED, UsageMetadata
from llmwire.losses import LossRecorder
from llmwire.messages import Extras, Usage

_CARRIED: Final = CARRIED[UsageMetadata]
_UNSAID: Final = (
    ("audio_in", "audio_in"),
    ("audio_out", "audio_out"),
    ("image_in", "image_in"),
    ("image_out", "image_out"),
    ("accepted", "accepted"),
    ("rejected", "rejected"),
    ("cache_write", "cache_write"),
    ("cache_write_long", "cache_write_long"),
)
_MODALITIES: Final = {
    "prompt_tokens_details": (("AUDIO", "audio_in"), ("IMAGE", "image_in")),
    "candidates_tokens_details": (("AUDIO", "audio_out"), ("IMAGE", "image_out")),
}


def _count(value: int | str | UnsetType) -> int | None:
    if value is UNSET:
        return None
    if isinstance(value, str):
        return int(value[:18]) if value.isascii() and value.isdigit() else None
    return value if value > 0 else 0


def read_usage(wire: UsageMetadata) -> Usage | None:
    """The neutral counts; None where nothing but the tier is said."""
    prompt = _count(wire.prompt_token_count)
    cached = _count(wire.cached_content_token_count)
    candidates = _count(wire.candidates_token_count)
    thoughts = _count(wire.thoughts_token_count)
    tool_prompt = _count(wire.tool_use_prompt_token_count)
    output = None
    if candidates is not None or thoughts is not None:
        output = (candidates or 0) + (thoughts or 0)
    extras: Extras = {}
    if wire.extras or wire.learned:
        extras = kept(strangers(wire))
    for attribute, name in _CARRIED:
        value = getattr(wire, attribute)
        if value is not UNSET:
            extras[name] = value
    _note_counts(wire, prompt, cached, output, extras)
    usage = Usage(
        fresh=None if prompt is None else max(prompt - (cached or 0), 0),
        cache_read=cached,
        tool_prompt=tool_prompt,
        output=output,
        reasoning=thoughts,
        extras=extras or None,
    )
    if "promptTokensDetails" in extras or "candidatesTokensDetails" in extras:
        shares = _shares(wire)
        if shares:
            usage = replace(usage, **shares)
    return None if usage == _NOTHING and wire.service_tier is not UNSET else usage


def _note_counts(
    wire: UsageMetadata,
    prompt: int | None,
    cached: int | None,
    output: int | None,
    extras: Extras,
) -> None:
    """Note the counts that would not be written as they stood."""
    total = _count(wire.total_token_count)
    tool_prompt = _count(wire.tool_use_prompt_token_count)
    counted = (prompt or 0) + (tool_prompt or 0) + (output or 0)
    said = prompt is not None or output is not None
    if total is None:
        if said:
            extras["@totalTokenCount"] = NULL
    elif total != counted or not said:
        extras["totalTokenCount"] = Raw(b"%d" % total)
    if wire.candidates_token_count == 0 and output:
        extras["candidatesTokenCount"] = Raw(b"0")
    if cached is not None and cached > (prompt or 0):
        extras["@promptTokenCount"] = NULL if prompt is None else Raw(b"%d" % prompt)


_NOTHING: Final = Usage()


def _shares(wire: UsageMetadata) -> dict[str, Any]:
    """Counts by modality, where sounds or images are among them."""
    shares: dict[str, Any] = {}
    for attribute, kinds in _MODALITIES.items():
        details = getattr(wire, attribute)
        if details is UNSET:
            continue
        text = bytes(details)
        if b'"AUDIO"' not in text and b'"IMAGE"' not in text:
            continue
        for modality, share in kinds:
            count = _of_modality(details, modality)
            if count is not None:
                shares[share] = count
    return shares


def _of_modality(details: Raw, modality: str) -> int | None:
    entries = parsed(details)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("modality") == modality:
            value = entry.get("tokenCount")
            if isinstance(value, int | str) and not isinstance(value, bool):
                return _count(value)
    return None


def write_usage(usage: Usage | None, tier: str | None, native: bool) -> dict[str, Any]:
    """The members of `usageMetadata`."""
    members: dict[str, Any] = {}
    if usage is not None:
        _write_counts(members, usage, native)
    if tier is not None:
        members["serviceTier"] = tier
    if native and usage is not None:
        for name, value in level(usage.extras).items():
            members[name] = value
    return members


def _write_counts(members: dict[str, Any], usage: Usage, native: bool) -> None:
    extras = usage.extras if native and usage.extras else {}
    prompt = None
    if usage.fresh is not None or not native:
        prompt = usage.input - (usage.tool_prompt or 0)
    note = extras.get("@promptTokenCount")
    if note is not None:
        prompt = decode_any(bytes(note))
    if prompt is not None:
        members["promptTokenCount"] = prompt
    if usage.cache_read is not None:
        members["cachedContentTokenCount"] = usage.cache_read
    if usage.output is not None:
        candidates = max(usage.output - (usage.reasoning or 0), 0)
        if candidates or usage.reasoning is None:
            members["candidatesTokenCount"] = candidates
    if usage.reasoning is not None:
        members["thoughtsTokenCount"] = usage.reasoning
    if usage.tool_prompt is not None:
        members["toolUsePromptTokenCount"] = usage.tool_prompt
    said = prompt is not None or usage.output is not None
    if said and "@totalTokenCount" not in extras:
        total = (prompt or 0) + (usage.tool_prompt or 0) + (usage.output or 0)
        members["totalTokenCount"] = total


def drop_tier(losses: LossRecorder) -> None:
    """The tier of another dialect's answer: Google's own SDK has no place for it."""
    losses.drop("service_tier", "service_tier", "answers do not tell it")


def report_usage(usage: Usage, losses: LossRecorder) -> None:
    """Losses of counts of another dialect that have no place."""
    losses.drop_extras(usage.extras, "usage")
    for field, path in _UNSAID:
        if getattr(usage, field) is not None:
            reason = "there is no such count"
            losses.drop("usage", f"usage.{path}", reason)
    if usage.estimated:
        losses.drop("usage", "usage.estimated", "estimates look like counts")
    written = read_usage(_rewritten(usage)) or Usage()
    for field in ("fresh", "cache_read", "tool_prompt", "output", "reasoning"):
        if getattr(written, field) != getattr(usage, field):
            reason = "the count follows from the others"
            losses.approximate("usage", f"usage.{field}", reason)


def _rewritten(usage: Usage) -> _wire.UsageMetadata:
    members = write_usage(usage, None, False)
    names = {name: attribute for attribute, name in _COUNTS}
    return UsageMetadata(**{names[name]: value for name, value in members.items()})


_COUNTS: Final = (
    ("prompt_token_count", "promptTokenCount"),
    ("cached_content_token_count", "cachedContentTokenCount"),
    ("candidates_token_count", "candidatesTokenCount"),
    ("thoughts_token_count", "thoughtsTokenCount"),
    ("tool_use_prompt_token_count", "toolUsePromptTokenCount"),
    ("total_token_count", "totalTokenCount"),
)
