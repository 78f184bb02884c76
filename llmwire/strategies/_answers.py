"""What a server answers: usage, whole responses, errors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from msgspec import Raw
from msgspec.structs import replace

from llmwire.messages import (
    APIError,
    Choice,
    ErrorKind,
    Part,
    RefusalPart,
    Response,
    StopDetail,
    StopReason,
    TextPart,
    ToolCallPart,
    Usage,
)
from llmwire.strategies._native import native
from llmwire.strategies._parts import (
    TOOL_NAMES,
    calls,
    hosted_parts,
    media_parts,
    reasoning_parts,
    refusal_parts,
    strange_parts,
    text_parts,
)
from llmwire.strategies._values import (
    SECONDS,
    Fields,
    extras,
    identifiers,
    pick,
    record,
    roll,
    texts,
)

# Usage

_COUNTS: Final = st.one_of(st.sampled_from((0, 1, 7, 10**9)), st.integers(0, 4000))


@st.composite
def _usages(draw: DrawFn, own: Fields) -> Usage:
    output = draw(_COUNTS)
    fields = draw(_BUCKETS)
    for name in draw(_SHARES):
        fields[name] = roll(draw, output + 1)
    if own and roll(draw, 4) == 3:
        fields["extras"] = draw(own["extras"])
    return Usage(output=output, **fields)  # type: ignore[arg-type]  # by name


_BUCKETS: Final[SearchStrategy[dict[str, object]]] = record(
    dict,
    {"fresh": _COUNTS},
    {
        "cache_read": _COUNTS,
        "cache_write": _COUNTS,
        "cache_write_long": _COUNTS,
        "tool_prompt": _COUNTS,
        "audio_in": st.sampled_from((0, 1)),
        "image_in": st.sampled_from((0, 1)),
        "estimated": st.just(True),
    },
)
_SHARES: Final = st.sampled_from(
    (
        (),
        (),
        ("reasoning",),
        ("reasoning", "audio_out"),
        ("image_out",),
        ("accepted", "rejected"),
    )
)
_SILENT: Final = st.sampled_from((Usage(), Usage(fresh=0, output=0), Usage(output=1)))


@cache
def _usage(dialect: str | None) -> SearchStrategy[Usage]:
    own: Fields = {} if dialect is None else {"extras": extras()}
    full = _usages(own)
    return st.one_of(full, full, full, _SILENT)


def usages(dialect: str | None = None) -> SearchStrategy[Usage]:
    """Token counts: disjoint buckets, shares no greater than the whole, gaps.

    Args:
        dialect: Members that are not modelled appear.
    """
    return _usage(dialect)


# Errors

_STATUSES: Final[Mapping[ErrorKind, int]] = {
    "invalid_request": 400,
    "context_length": 400,
    "content_policy": 400,
    "auth": 401,
    "billing": 402,
    "permission": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "rate_limit": 429,
    "quota": 429,
    "timeout": 504,
    "overloaded": 529,
    "internal": 500,
    "unimplemented": 501,
    "bad_upstream": 502,
    "truncated": 502,
}


@st.composite
def _errors(draw: DrawFn, dialect: str | None) -> APIError:
    kind = pick(draw, tuple(_STATUSES))
    fields: dict[str, object] = draw(_ERROR_FIELDS)
    if roll(draw, 4):
        fields["status"] = _STATUSES[kind]
    if dialect is not None and roll(draw, 2):
        fields |= {"dialect": dialect, "raw": draw(_ENVELOPES)}
    message = draw(texts(blank=False))
    return APIError(kind=kind, message=message, **fields)  # type: ignore[arg-type]  # by name


_ERROR_FIELDS: Final[SearchStrategy[dict[str, object]]] = record(
    dict,
    {},
    {
        "code": st.sampled_from(("rate_limit_exceeded", "x_new", "400")),
        "param": st.sampled_from(("messages", "tools[0].function")),
        "retry_after": st.sampled_from((0.0, 0.25, 37.0)),
    },
)
_ENVELOPES: Final = st.sampled_from(
    (
        Raw(b'{"error":{"message":"m","type":"x_new","param":null,"code":null}}'),
        Raw(b'{"type":"error","error":{"type":"x_new","message":"m"}}'),
        Raw(b'{"error":{"code":400,"message":"m","status":"X_NEW","details":[]}}'),
    )
)


@cache
def _error(dialect: str | None) -> SearchStrategy[APIError]:
    return _errors(dialect)


def errors(dialect: str | None = None) -> SearchStrategy[APIError]:
    """Errors of every kind, with the status that suits it or none.

    Args:
        dialect: It may have come from there, in an envelope of its own.
    """
    return _error(dialect)


# Responses


@cache
def _content(dialect: str | None) -> SearchStrategy[Part]:
    """Parts of an answer that may stand alone."""
    text = text_parts(dialect)
    thought = reasoning_parts(dialect)
    return st.one_of(text, text, thought, media_parts(dialect, inline=True))


@st.composite
def _answer(
    draw: DrawFn, dialect: str | None, number: int, simple: bool
) -> tuple[Part, ...]:
    """Parts of one choice; calls are numbered from `number`."""
    if simple:
        found: list[Part] = [TextPart(text=draw(texts(blank=False)))]
    else:
        found = [draw(_content(dialect)) for _ in range(roll(draw, 4))]
        if roll(draw, 8) == 7:
            found.append(draw(refusal_parts(dialect)))
        if dialect is not None and roll(draw, 4) == 3:
            found += draw(hosted_parts(dialect))
        if dialect is not None and roll(draw, 8) == 7:
            found.append(draw(strange_parts(dialect)))
    for at in range(number, number + pick(draw, (0, 0, 1, 1, 2, 3))):
        name = pick(draw, TOOL_NAMES[:3] if simple else TOOL_NAMES)
        custom = not simple and roll(draw, 8) == 7
        call = draw(calls(dialect, at, name, custom=custom, simple=simple))
        place = len(found) if simple else roll(draw, 4) and len(found)
        found.insert(place, call)
    return tuple(found)


_LONE_STOPS: Final[tuple[StopReason, ...]] = (
    "end",
    "end",
    "end",
    "max_tokens",
    "stop_sequence",
    "content_filter",
    "context_full",
    "recitation",
    "pause",
    "other",
)


def stop_of(
    draw: DrawFn, parts: tuple[Part, ...], dialect: str | None, simple: bool
) -> StopReason:
    """A stop reason that suits `parts` and that `dialect` can tell."""
    asked = [part for part in parts if isinstance(part, ToolCallPart)]
    if any(part.incomplete for part in asked):
        return "max_tokens"
    if asked:
        return pick(draw, ("tool_use", "tool_use", "tool_use", "max_tokens"))
    known = native(dialect).stops
    refused = any(isinstance(part, RefusalPart) for part in parts)
    if refused and (not known or "refusal" in known):
        return "refusal"
    able = [stop for stop in _LONE_STOPS if not known or stop in known]
    return pick(draw, able[:4] if simple else able)


_DETAILS: Final = record(
    StopDetail, {}, {"category": st.just("cyber"), "explanation": texts(blank=False)}
)


@st.composite
def _choices(draw: DrawFn, dialect: str | None, index: int, simple: bool) -> Choice:
    parts = draw(_answer(dialect, index * 10, simple))
    if native(dialect).items and not simple:
        parts = _in_items(draw, parts)
    stop = stop_of(draw, parts, dialect, simple)
    fields: dict[str, object] = {}
    if stop == "stop_sequence":
        fields["stop_sequence"] = draw(texts(blank=False))
    if stop in ("refusal", "content_filter") and not simple and roll(draw, 2):
        fields["detail"] = draw(_DETAILS)
    if stop == "max_tokens" and not simple and parts and roll(draw, 2):
        parts = (*parts[:-1], _cut_off(parts[-1]))
    if dialect is not None:
        fields["raw"] = native(dialect).stops.get(stop)
        if not simple and roll(draw, 4) == 3:
            fields["extras"] = draw(extras())
    return Choice(index=index, parts=parts, stop=stop, **fields)  # type: ignore[arg-type]  # by name


def _cut_off(part: Part) -> Part:
    """`part` as it is if the answer broke off inside it."""
    if isinstance(part, ToolCallPart) and part.kind == "function":
        return part
    return replace(part, incomplete=True)


def _in_items(draw: DrawFn, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """`parts` in items: each in its own, but that texts may share their message."""
    found: list[Part] = []
    group = -1
    for part in parts:
        last = found[-1] if found else None
        joins = isinstance(part, TextPart) and isinstance(last, TextPart)
        if joins and last is not None and roll(draw, 2):
            found.append(replace(part, id=last.id, group=group))
        else:
            group += 1
            found.append(replace(part, group=group))
    return tuple(found)


_HEADS: Final[SearchStrategy[dict[str, object]]] = record(
    dict,
    {"id": identifiers("resp-"), "model": st.sampled_from(("m", "claude-x-1"))},
    {
        "created": SECONDS,
        "service_tier": st.sampled_from(("default", "priority", "standard", "x_new")),
    },
)
_BARE_HEADS: Final = st.just({"id": "resp-1", "model": "m"})


@st.composite
def _responses(
    draw: DrawFn, dialect: str | None, choices: int, simple: bool
) -> Response:
    count = 1 + roll(draw, choices)
    fields: dict[str, object] = dict(draw(_HEADS))
    if roll(draw, 4):
        fields["usage"] = draw(usages(None if simple else dialect))
    if dialect is not None and not simple and roll(draw, 4) == 3:
        fields["extras"] = draw(extras())
    return Response(
        choices=tuple(draw(_choices(dialect, at, simple)) for at in range(count)),
        dialect=dialect,
        **fields,  # type: ignore[arg-type]  # by name
    )


@cache
def _response(
    dialect: str | None, choices: int, simple: bool
) -> SearchStrategy[Response]:
    return _responses(dialect, choices, simple)


def responses(
    dialect: str | None = None, *, choices: int = 1, simple: bool = False
) -> SearchStrategy[Response]:
    """Whole answers: `fold(unfold(response)) == response` for each.

    A function call is incomplete exactly when its arguments are no JSON value; the stop
    reason suits the parts; choices stand in the order of their indices.

    Args:
        dialect: `Response.dialect`: its stop words, extras, hosted tools, unknown parts
            and, in Responses, items appear. None: nobody's, none of these.
        choices: At most so many.
        simple: Only what every dialect can say: a text, then calls with JSON objects,
            and the stop word.
    """
    return _response(dialect, choices, simple)
