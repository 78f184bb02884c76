"""Conversations and requests."""

from __future__ import annotations

from functools import cache
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from msgspec import Raw

from llmwire.messages import Message, Part, Role, TextPart, ToolCallPart
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
from llmwire.strategies._native import native
from llmwire.strategies._parts import (
    TOOL_NAMES,
    cache_marks,
    calls,
    hosted_parts,
    media_parts,
    plain_text_parts,
    reasoning_parts,
    refusal_parts,
    results,
    strange_parts,
    text_parts,
)
from llmwire.strategies._values import (
    Fields,
    extras,
    identifiers,
    pick,
    raw_objects,
    record,
    roll,
    schemas,
    texts,
    tuples_of,
)

# Turns


@cache
def _spoken(role: Role, dialect: str | None) -> SearchStrategy[Part]:
    """Parts of `role` that need no other part: no calls and no results."""
    if role == "user":
        text = plain_text_parts(dialect)
        return st.one_of(text, text, media_parts(dialect))
    if role == "assistant":
        common = (text_parts(dialect, input=True), reasoning_parts(dialect))
        return st.one_of(*common, refusal_parts(dialect))
    return plain_text_parts(dialect)


@st.composite
def _said(draw: DrawFn, role: Role, dialect: str | None, simple: bool) -> list[Part]:
    if simple:
        return [TextPart(text=draw(texts(blank=False)))]
    count = pick(draw, (1, 1, 1, 2, 3, 0))
    spoken = [draw(_spoken(role, dialect)) for _ in range(count)]
    if role == "assistant" and dialect is not None and roll(draw, 4) == 3:
        spoken += draw(hosted_parts(dialect))
        if roll(draw, 2):
            spoken.append(draw(strange_parts(dialect)))
    return spoken


@st.composite
def _turn(
    draw: DrawFn, role: Role, parts: list[Part], dialect: str | None, simple: bool
) -> Message:
    own = None
    if dialect is not None and not simple and roll(draw, 8) == 7:
        own = draw(extras())
    return Message(role=role, parts=tuple(parts), extras=own)


@st.composite
def _messages(draw: DrawFn, dialect: str | None, roles: tuple[Role, ...]) -> Message:
    role = pick(draw, roles)
    return draw(_turn(role, draw(_said(role, dialect, False)), dialect, False))


def messages(
    dialect: str | None = None,
    *,
    roles: tuple[Role, ...] = ("user", "assistant", "system", "developer"),
) -> SearchStrategy[Message]:
    """Single turns without calls, which would need their results.

    Args:
        dialect: Its native parts and extras appear.
        roles: Whose turns.
    """
    return _message(dialect, roles)


@cache
def _message(dialect: str | None, roles: tuple[Role, ...]) -> SearchStrategy[Message]:
    return _messages(dialect, roles)


def _instructions(draw: DrawFn, dialect: str | None, simple: bool) -> list[Message]:
    count = roll(draw, 2 if simple else 3)
    tops = {"openai-chat": (False,), "anthropic": (True,), "gemini": (True,)}
    roles: tuple[Role, ...] = ("system", "developer")
    found = []
    for at in range(count):
        top = pick(draw, tops.get(dialect or "", (True, False))) and at == 0
        role = roles[0] if top or simple else pick(draw, roles)
        part = draw(plain_text_parts(None if simple else dialect, blank=not simple))
        text = TextPart(text=part.text) if simple else part
        found.append(Message(role=role, parts=(text,), top=top))
    return found


def _calls(
    draw: DrawFn,
    dialect: str | None,
    simple: bool,
    tools: tuple[Tool, ...],
    number: int,
) -> list[ToolCallPart]:
    """Up to three calls of client tools, numbered from `number`."""
    own = [tool for tool in tools if tool.kind in ("function", "custom")]
    count = roll(draw, 4) if own else 0
    made = []
    for at in range(number, number + count):
        tool = pick(draw, own)
        custom = tool.kind == "custom"
        made.append(
            draw(
                calls(
                    None if simple else dialect,
                    at,
                    tool.name,
                    custom=custom,
                    answer=False,
                    simple=simple,
                )
            )
        )
    return made


def _answers(
    draw: DrawFn, dialect: str | None, simple: bool, asked: list[ToolCallPart]
) -> list[Message]:
    """The results of `asked`: in one message or several, at times with words."""
    given: list[Part] = [
        draw(results(None if simple else dialect, call, simple=simple))
        for call in asked
    ]
    form = 0 if simple else roll(draw, 6)
    if form == 3:
        return [Message(role="user", parts=(part,)) for part in given]
    if form == 4:
        given.reverse()
    if form == 5:
        given += draw(_said("user", dialect, simple))
    return [Message(role="user", parts=tuple(given))]


@st.composite
def conversations(
    draw: DrawFn, dialect: str | None, simple: bool, tools: tuple[Tool, ...]
) -> tuple[Message, ...]:
    """Turns in which every call has its result, in the next turn."""
    found = _instructions(draw, dialect, simple)
    number = 0
    for _ in range(roll(draw, 3)):
        if not found or found[-1].role != "user":
            said = draw(_said("user", dialect, simple))
            found.append(draw(_turn("user", said, dialect, simple)))
        said = draw(_said("assistant", dialect, simple))
        asked = _calls(draw, dialect, simple, tools, number)
        number += len(asked)
        at = 0 if simple else roll(draw, 2) and len(said)
        said = [*asked, *said] if at and not simple else [*said, *asked]
        found.append(draw(_turn("assistant", said, dialect, simple)))
        if asked:
            found += _answers(draw, dialect, simple, asked)
        if not simple and roll(draw, 12) == 11:
            found.append(draw(_message(dialect, ("system", "user"))))
    last = found[-1].role if found else None
    if last is None or (last != "user" and (simple or roll(draw, 8) < 7)):
        said = draw(_said("user", dialect, simple))
        found.append(draw(_turn("user", said, dialect, simple)))
    return tuple(found)


# Tools


@cache
def _functions(dialect: str | None, simple: bool) -> SearchStrategy[Tool]:
    names = st.sampled_from(TOOL_NAMES[:3] if simple else TOOL_NAMES)
    own: Fields = {} if dialect is None or simple else {"extras": extras()}
    more: Fields = {"strict": st.booleans(), "cache": cache_marks(dialect)}
    return record(
        Tool,
        {"name": names, "schema": _OBJECT_SCHEMA} if simple else {"name": names},
        {
            "description": texts(blank=not simple),
            **({} if simple else {"schema": schemas(), **more}),
            **own,
        },
    )


_OBJECT_SCHEMA: Final = st.sampled_from(
    (
        Raw(b'{"type":"object","properties":{"a":{"type":"string"}}}'),
        Raw(b'{"type":"object","properties":{}}'),
    )
)
_GRAMMAR: Final = Raw(b'{"type":"grammar","syntax":"lark","definition":"start: /a/"}')
_CUSTOM: Final = record(
    Tool,
    {"kind": st.just("custom"), "name": st.sampled_from(("apply_patch", "run"))},
    {
        "description": texts(),
        "format": st.sampled_from((Raw(b'{"type":"text"}'), _GRAMMAR)),
    },
)


@cache
def _tools(dialect: str | None, simple: bool) -> SearchStrategy[tuple[Tool, ...]]:
    kinds: list[SearchStrategy[Tool]] = [_functions(dialect, simple)] * 3
    if not simple:
        kinds.append(_CUSTOM)
        hosted = [Tool(kind="server", name=n, raw=r) for n, r in native(dialect).tools]
        if hosted:
            kinds.append(st.sampled_from(hosted))
    return st.lists(
        st.one_of(kinds), max_size=2 if simple else 3, unique_by=lambda tool: tool.name
    ).map(tuple)


@st.composite
def _tool_choices(
    draw: DrawFn, dialect: str | None, simple: bool, tools: tuple[Tool, ...]
) -> ToolChoice | None:
    own = tuple(tool.name for tool in tools if tool.kind in ("function", "custom"))
    form = roll(draw, 3 if simple else 8) if own else 0
    if form < 2:
        return ToolChoice(mode="auto") if form else None
    if form == 2:
        return ToolChoice(mode="required", kind="named", names=(pick(draw, own),))
    if form == 3:
        some = own[: 1 + roll(draw, len(own))]
        return ToolChoice(mode=pick(draw, _FREE), kind="allowed", names=some)
    if form == 7 and dialect is not None:
        raw = Raw(b'{"type":"x_new"}')
        return ToolChoice(mode="auto", kind="opaque", raw=raw)
    return ToolChoice(mode=pick(draw, _MODES))


_FREE: Final = ("auto", "required")
_MODES: Final = ("none", "required", "validated")

# What else a request asks for

_SHARES: Final = st.sampled_from((0, 0.0, 0.5, 1, 1.0, 0.7))
_SAMPLING: Final = record(
    Sampling,
    {},
    {
        "temperature": st.sampled_from((0, 0.0, 1, 0.7, 2.0)),
        "top_p": _SHARES,
        "top_k": st.sampled_from((0, 1, 40)),
        "min_p": _SHARES,
        "seed": st.sampled_from((0, 7, 2**31 - 1)),
        "frequency_penalty": st.sampled_from((-2, 0.5)),
        "presence_penalty": st.sampled_from((2, 0)),
        "repetition_penalty": st.sampled_from((1.1, 1)),
        "logit_bias": st.just(Raw(b'{"50256": -100}')),
    },
)
_FORMATS: Final = st.one_of(
    st.sampled_from(
        (OutputFormat(kind="json_object"), OutputFormat(kind="text")),
    ),
    record(
        OutputFormat,
        {
            "kind": st.just("json_schema"),
            "name": st.sampled_from(("out", "the-format")),
            "schema": schemas(),
        },
        {"strict": st.booleans(), "description": texts(blank=False)},
    ),
    st.just(OutputFormat(kind="enum", schema=Raw(b'{"type":"string","enum":["a"]}'))),
)
_REASONING: Final = record(
    Reasoning,
    {"mode": st.sampled_from(("default", "on", "off"))},
    {
        "effort": st.sampled_from(
            ("minimal", "low", "medium", "high", "xhigh", "max", "x_new")
        ),
        "budget": st.sampled_from((-1, 0, 1024, 8000)),
        "show": st.sampled_from(("none", "summary", "raw")),
        "summary": st.sampled_from(("auto", "concise", "detailed")),
    },
)
_AUDIO: Final = record(
    AudioOutput,
    {"voice": st.sampled_from((Raw(b'"alloy"'), Raw(b'{"id":"v"}')))},
    {"format": st.sampled_from(("wav", "mp3", "pcm16"))},
)
_LOGPROBS: Final = record(Logprobs, {}, {"top": st.sampled_from((0, 2, 20))})
_STOPS: Final = st.lists(
    st.sampled_from(("END", "\n\n", "</s>", "🛑", "###", " a ")),
    min_size=1,
    max_size=5,
    unique=True,
).map(tuple)
_LABELS: Final = st.sampled_from((Raw(b'{"user_id":"u"}'), Raw(b'{"a": "b"}')))

_PLAIN: Final[Fields] = {
    "max_tokens": st.sampled_from((1, 256, 65536)),
    "sampling": st.sampled_from((Sampling(temperature=0.5), Sampling(temperature=1))),
    "stop": st.sampled_from((("END",), ("END", "###"))),
    "stream": st.booleans(),
}
_RICH: Final[Fields] = {
    **_PLAIN,
    "sampling": _SAMPLING,
    "stop": _STOPS,
    "parallel": st.booleans(),
    "n": st.sampled_from((1, 2)),
    "logprobs": _LOGPROBS,
    "output": _FORMATS,
    "verbosity": st.sampled_from(("low", "medium", "high")),
    "reasoning": _REASONING,
    "modalities": st.sampled_from((("text",), ("text", "audio"), ("text", "image"))),
    "audio": _AUDIO,
    "include_usage": st.booleans(),
    "user": st.sampled_from(("u-1", "é")),
    "cache_key": st.just("key"),
    "metadata": _LABELS,
    "service_tier": st.sampled_from(("auto", "default", "flex", "priority", "x_new")),
    "store": st.booleans(),
    "truncation": st.sampled_from(("auto", "disabled")),
}
_STATES: Final = record(
    ServerState,
    {},
    {
        "previous_response_id": identifiers("resp_"),
        "conversation": st.sampled_from((Raw(b'"conv_1"'), Raw(b'{"id":"conv_1"}'))),
        "prompt": st.just(Raw(b'{"id":"pmpt_1","version":"2"}')),
        "cached_content": st.just("cachedContents/1"),
        "container": st.just(Raw(b'"container_1"')),
        "continuation_token": st.just("token"),
    },
).filter(lambda state: state != ServerState())
_NATIVE_FIELDS: Final[Fields] = {
    "prediction": st.just(Raw(b'{"type":"content","content":"a"}')),
    "include": tuples_of(st.just("reasoning.encrypted_content"), 1),
    "state": _STATES,
    "extras": extras(),
    "metadata": st.one_of(_LABELS, raw_objects()),
    "version": st.just("2023-06-01"),
    "betas": st.sampled_from((("a-2025-01-01",), ("a-2025-01-01", "b-1"))),
}
_MODELS: Final = st.sampled_from(("m", "gpt-x", "claude-x-1", "org/model:free"))


@cache
def _fields(dialect: str | None, simple: bool) -> SearchStrategy[dict[str, object]]:
    if simple:
        return record(dict, {"model": _MODELS}, _PLAIN)
    own: Fields = {} if dialect is None else _NATIVE_FIELDS
    marks: Fields = {"cache": cache_marks(dialect)}
    return record(dict, {}, {"model": _MODELS, **_RICH, **marks, **own})


@st.composite
def _requests(draw: DrawFn, dialect: str | None, simple: bool) -> Request:
    tools = draw(_tools(dialect, simple))
    return Request(
        messages=draw(conversations(dialect, simple, tools)),
        tools=tools,
        tool_choice=draw(_tool_choices(dialect, simple, tools)),
        dialect=dialect,
        **draw(_fields(dialect, simple)),  # type: ignore[arg-type]  # by name
    )


@cache
def _request(dialect: str | None, simple: bool) -> SearchStrategy[Request]:
    return _requests(dialect, simple)


def requests(
    dialect: str | None = None, *, simple: bool = False
) -> SearchStrategy[Request]:
    """Requests whose conversations are grammatical.

    Every call has a result in the turn after it, ids of calls are unique, and the tools
    that the history mentions are there.

    Args:
        dialect: `Request.dialect`: native values and extras of it appear, server state
            and hosted tools too.
        simple: Only what every dialect can say: alternating turns of text that begin
            and end with the user's, function tools, an easy tool choice, `max_tokens`,
            `temperature`, two stop sequences.
    """
    return _request(dialect, simple)
