"""Token counts: Chat's inclusive sums to disjoint buckets and back.

`prompt_tokens` includes what was read from and written to the cache, and
`completion_tokens` includes reasoning, but for xAI
(https://docs.x.ai/docs/guides/reasoning), where the total tells.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import MsgspecError, Raw, Struct, UnsetType
from msgspec.json import Decoder
from msgspec.structs import replace

from llmwire._json import (
    Schema,
    decode_any,
    decode_object,
    encode,
    escaped,
    level,
    unescaped,
)
from llmwire.dialects.openai_chat._notes import ABSENT, absent
from llmwire.dialects.openai_chat._wire import WireUsage
from llmwire.errors import RemoteProtocolError
from llmwire.losses import LossRecorder
from llmwire.messages import Extras, Usage

_SCHEMA: Final = Schema(WireUsage, tolerant=True)
_PROMPT: Final = "prompt_tokens_details"
_COMPLETION: Final = "completion_tokens_details"
_DETAILS: Final = (_PROMPT, _COMPLETION)


_UNSAID: Final[Any] = None
"""In place of a count; a null that is told is none."""


class _Prompt(Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    cached_tokens: int = _UNSAID
    cache_write_tokens: int = _UNSAID
    audio_tokens: int = _UNSAID
    image_tokens: int = _UNSAID


class _Completion(Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    reasoning_tokens: int = _UNSAID
    audio_tokens: int = _UNSAID
    image_tokens: int = _UNSAID
    accepted_prediction_tokens: int = _UNSAID
    rejected_prediction_tokens: int = _UNSAID


_NO_PROMPT: Final = _Prompt()
_NO_COMPLETION: Final = _Completion()


class _Plain(Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """Usage in which every count is a number, as most servers tell it."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: _Prompt = _NO_PROMPT
    completion_tokens_details: _Completion = _NO_COMPLETION


_PLAIN: Final = Decoder(_Plain)


def read_usage(raw: Raw, *, outside: bool = False) -> Usage | None:
    """The counts that `raw` tells; None where it is no object.

    Args:
        raw: The member `usage`.
        outside: Reasoning is not part of the completion tokens (by profile).
    """
    try:
        plain = _PLAIN.decode(raw)
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_details(raw, outside)
    prompt, completion = plain.prompt_tokens, plain.completion_tokens
    given, made = plain.prompt_tokens_details, plain.completion_tokens_details
    read, write = given.cached_tokens, given.cache_write_tokens
    cached = (read or 0) + (write or 0)
    empty = (given is not _NO_PROMPT and given == _NO_PROMPT) or (
        made is not _NO_COMPLETION and made == _NO_COMPLETION
    )
    if empty or cached > prompt or plain.total_tokens != prompt + completion:
        return _read_details(raw, outside)
    return Usage(
        fresh=prompt - cached,
        cache_read=read,
        cache_write=write,
        output=completion,
        reasoning=made.reasoning_tokens,
        audio_in=given.audio_tokens,
        audio_out=made.audio_tokens,
        image_in=given.image_tokens,
        image_out=made.image_tokens,
        accepted=made.accepted_prediction_tokens,
        rejected=made.rejected_prediction_tokens,
    )


def _read_details(raw: Raw, outside: bool) -> Usage | None:
    try:
        wire = _SCHEMA.decode(raw)
        original = decode_any(bytes(raw))
    except RemoteProtocolError:
        return None
    prompt, completion = _int(wire.prompt_tokens), _int(wire.completion_tokens)
    given = wire.prompt_tokens_details
    read = write = audio_in = image_in = None
    if given and not isinstance(given, UnsetType):
        read, write = _int(given.cached_tokens), _int(given.cache_write_tokens)
        audio_in, image_in = _int(given.audio_tokens), _int(given.image_tokens)
    if read is None:
        read = _first(original, "prompt_cache_hit_tokens", "cached_tokens")
    output, reasoning = completion, None
    audio_out = image_out = accepted = rejected = None
    made = wire.completion_tokens_details
    if made and not isinstance(made, UnsetType):
        reasoning = _int(made.reasoning_tokens)
        audio_out, image_out = _int(made.audio_tokens), _int(made.image_tokens)
        accepted = _int(made.accepted_prediction_tokens)
        rejected = _int(made.rejected_prediction_tokens)
    total = _int(wire.total_tokens)
    if None not in (prompt, completion, reasoning, total):
        over = total - prompt - completion  # type: ignore[operator]  # none is None
        if reasoning and (over == reasoning or (outside and over > 0)):
            output = completion + over  # type: ignore[operator]  # none is None
    cached = (read or 0) + (write or 0)
    fresh = prompt
    if prompt is not None and cached <= prompt:
        fresh = prompt - cached
    usage = Usage(
        fresh=fresh,
        cache_read=read,
        cache_write=write,
        output=output,
        reasoning=reasoning,
        audio_in=audio_in,
        audio_out=audio_out,
        image_in=image_in,
        image_out=image_out,
        accepted=accepted,
        rejected=rejected,
    )
    return _with_rest(usage, raw, original)


def _int(value: int | UnsetType | None) -> int | None:
    return None if isinstance(value, UnsetType) else value


def _first(members: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = members.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _with_rest(usage: Usage, raw: Raw, original: dict[str, Any]) -> Usage:
    """`usage` with what could not be written back from its counts."""
    written = _members(usage)
    if written == original and _no_bools(original):
        return usage
    members = decode_object(bytes(raw))
    extras: Extras = {}
    missing = [escaped(name) for name in written if name not in original]
    for name, value in original.items():
        known = written.get(name)
        if name in _DETAILS and isinstance(value, dict) and isinstance(known, dict):
            inner = decode_object(bytes(members[name]))
            for sub, count in value.items():
                if sub not in known or not _equal(known[sub], count):
                    extras[f"{name}/{escaped(sub)}"] = inner[sub]
            missing += [f"{name}/{sub}" for sub in known if sub not in value]
        elif name not in written or not _equal(known, value):
            extras[escaped(name)] = members[name]
    if missing:
        extras[ABSENT] = Raw(encode(missing))
    return replace(usage, extras=extras)


def _equal(left: object, right: object) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _no_bools(original: dict[str, Any]) -> bool:
    return not any(isinstance(value, bool) for value in original.values())


def _members(usage: Usage) -> dict[str, Any]:
    """The wire's members that the counts give."""
    members: dict[str, Any] = {}
    if usage.fresh is not None:
        members["prompt_tokens"] = prompt_tokens = usage.input
    if usage.output is not None:
        members["completion_tokens"] = usage.output
        if usage.fresh is not None:
            members["total_tokens"] = prompt_tokens + usage.output
    _add_details(members, usage, usage.image_out)
    return members


def _add_details(members: dict[str, Any], usage: Usage, image_out: int | None) -> None:
    """The shares that are told, `image_out` in place of its own."""
    write = usage.cache_write
    if usage.cache_write_long is not None:
        write = (write or 0) + usage.cache_write_long
    prompt = (usage.cache_read, write, usage.audio_in, usage.image_in)
    if prompt != _NO_COUNTS[:4]:
        members[_PROMPT] = _told(_PROMPT_COUNTS, prompt)
    completion = (
        usage.reasoning,
        usage.audio_out,
        image_out,
        usage.accepted,
        usage.rejected,
    )
    if completion != _NO_COUNTS:
        members[_COMPLETION] = _told(_COMPLETION_COUNTS, completion)


_NO_COUNTS: Final = (None,) * 5
_PROMPT_COUNTS: Final = _Prompt.__struct_fields__
_COMPLETION_COUNTS: Final = _Completion.__struct_fields__


def _told(names: tuple[str, ...], counts: tuple[int | None, ...]) -> dict[str, int]:
    return {
        name: count
        for name, count in zip(names, counts, strict=True)
        if count is not None
    }


def write_usage(usage: Usage, losses: LossRecorder, *, native: bool) -> dict[str, Any]:
    """The member `usage`. Never raises with a recorder for responses."""
    if native:
        return _restored(_members(usage), usage.extras)
    _report(usage, losses)
    if usage.extras:
        losses.drop_extras(usage.extras, "usage")
    prompt, output = usage.input, usage.output or 0
    members: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
    }
    _add_details(members, usage, None)
    return members


def _restored(members: dict[str, Any], extras: Extras | None) -> dict[str, Any]:
    if not extras:
        return members
    for path in absent(extras):
        name, _, sub = path.partition("/")
        if sub:
            members.get(name, {}).pop(unescaped(sub), None)
        else:
            members.pop(unescaped(name), None)
    members.update(level(extras))
    for name in _DETAILS:
        inner = level(extras, name)
        if inner:
            known = members.get(name)
            known = known if isinstance(known, dict) else {}
            members[name] = {**known, **inner}
    return members


def _report(usage: Usage, losses: LossRecorder) -> None:
    if usage.fresh is None or usage.output is None:
        for name in ("fresh", "output"):
            if getattr(usage, name) is None:
                losses.default("usage", f"usage.{name}", "the dialect needs a number")
    if usage.tool_prompt is not None:
        reason = "tokens of tool prompts are prompt tokens like others"
        losses.drop("usage", "usage.tool_prompt", reason)
        losses.approximate("usage", "usage.fresh", reason)
    if usage.cache_write_long is not None:
        reason = "the cache has one count of what was written"
        losses.drop("usage", "usage.cache_write_long", reason)
        losses.approximate("usage", "usage.cache_write", reason)
    if usage.image_out is not None:
        losses.drop("usage", "usage.image_out", "the dialect has no such count")
    if usage.estimated:
        losses.drop("usage", "usage.estimated", "the dialect cannot say so")
