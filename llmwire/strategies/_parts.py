"""Parts of messages, and the records that hang on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from msgspec import Raw

from llmwire._parts import whole_arguments
from llmwire.messages import (
    Base64,
    CacheMark,
    Citation,
    FileId,
    MediaPart,
    OpaquePart,
    Part,
    PlainText,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    Source,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    ToolResultPart,
    Url,
)
from llmwire.strategies._native import DIALECTS, native, opaque_parts
from llmwire.strategies._values import (
    Fields,
    argument_texts,
    base64_texts,
    extras,
    identifiers,
    json_texts,
    pick,
    raw_objects,
    record,
    roll,
    texts,
    tuples_of,
)

TOOL_NAMES: Final = (
    "f",
    "get_weather",
    "mcp__server__read-file",
    "ns.tool:1",
    "2fast",
    "n" * 64,
    "m" * 80,
)
"""Names of tools; the later ones are illegal somewhere."""
CALL_IDS: Final = (
    "call_{}",
    "toolu_01{}",
    "tc_{}",
    "functions.f:{}",
    "call|{}|fc_1",
    "c" * 80 + "{}",
    "{}",
)
"""Patterns of call ids; the later ones are illegal somewhere."""


@cache
def signatures(dialect: str | None) -> SearchStrategy[Signature]:
    """Proofs made by `dialect`, seldom by another; None: by any."""
    own = () if dialect is None else (dialect,) * 12
    return record(
        Signature,
        {
            "origin": st.sampled_from((*own, *DIALECTS)),
            "value": st.sampled_from(("c2ln", "EqoB/+8=", "gAAAA_-x", "s" * 90)),
        },
        {
            "model": st.sampled_from(("gpt-x", "claude-x-20260101", "gemini-x")),
            "tag": st.sampled_from(("openai.1", "a.2")),
        },
    )


@cache
def cache_marks(dialect: str | None) -> SearchStrategy[CacheMark]:
    """Breakpoints of the prompt cache."""
    own: Fields = {} if dialect is None else {"extras": extras()}
    return record(CacheMark, {}, {"ttl": st.sampled_from(("5m", "1h", "30m")), **own})


@cache
def citations(dialect: str | None) -> SearchStrategy[Citation]:
    """Sources of a text; offsets stand in no relation to it."""
    own: Fields = {} if dialect is None else {"raw": raw_objects()}
    return record(
        Citation,
        {"kind": st.sampled_from(("url", "file", "document", "other"))},
        {
            "url": st.sampled_from(("https://a.example/?q=1", "http://b.example")),
            "title": texts(),
            "text": texts(),
            "start": st.integers(0, 9),
            "end": st.integers(0, 99),
            "file_id": identifiers("file-"),
            **own,
        },
    )


_BYTES: Final = texts().map(lambda text: tuple(text.encode()))
_LOGPROB: Final = st.sampled_from((-0.5, 0.0, -9999.0, -1e-07, None))
_TOP: Final = record(
    TokenLogprob, {"token": texts(), "logprob": _LOGPROB}, {"bytes": _BYTES}
)
_TOKEN: Final = record(
    TokenLogprob,
    {"token": texts(), "logprob": _LOGPROB},
    {"bytes": _BYTES, "top": tuples_of(_TOP, 2)},
)
_TOKENS: Final = st.lists(_TOKEN, min_size=1, max_size=3).map(tuple)


def logprobs() -> SearchStrategy[tuple[TokenLogprob, ...]]:
    """Log probabilities of some tokens, at least one."""
    return _TOKENS


# Parts by kind

_MEDIA: Final = {
    "image": ("image/png", "image/jpeg", "image/gif", "image/webp", "image/x-new"),
    "audio": ("audio/wav", "audio/mp3", "audio/mpeg", "audio/pcm"),
    "video": ("video/mp4", "video/mpeg"),
    "document": ("application/pdf", "text/plain", "text/csv"),
}
_PHASES: Final = st.sampled_from(("commentary", "final_answer"))


@cache
def _common(dialect: str | None, prefix: str) -> Mapping[str, SearchStrategy[object]]:
    """What a part of `dialect` may carry beside its content."""
    fields: dict[str, SearchStrategy[object]] = {}
    if dialect is not None:
        fields["extras"] = extras()
    if native(dialect).items:
        fields["id"] = identifiers(prefix)
    return fields


@cache
def text_parts(dialect: str | None, *, input: bool = False) -> SearchStrategy[TextPart]:
    """Texts; of a request (`input`) or of an answer."""
    fields: Fields = (
        {"cache": cache_marks(dialect)} if input else {"logprobs": logprobs()}
    )
    phase: Fields = {"phase": _PHASES} if native(dialect).items else {}
    return record(
        TextPart,
        {"text": texts()},
        {
            **fields,
            **phase,
            **_common(dialect, "msg_"),
            "citations": tuples_of(citations(dialect), 2),
        },
    )


@cache
def plain_text_parts(
    dialect: str | None, *, blank: bool = True
) -> SearchStrategy[TextPart]:
    """Texts of instructions, users and results."""
    return record(
        TextPart,
        {"text": texts(blank=blank)},
        {"cache": cache_marks(dialect), **_common(dialect, "msg_")},
    )


@st.composite
def _media(draw: DrawFn, dialect: str | None, inline: bool) -> MediaPart:
    kind = pick(draw, tuple(_MEDIA)[: 2 if inline else 4])
    mime = pick(draw, _MEDIA[kind])
    source: Source = Base64(draw(base64_texts(empty=False)))
    form = 0 if inline else roll(draw, 4)
    if form == 1:
        source = Url(f"https://a.example/{kind}?x=1")
    elif form == 2 and dialect is not None:
        source = FileId("file-1")
    elif form == 3 and kind == "document":
        source, mime = PlainText(draw(texts(blank=False))), "text/plain"
    fields: dict[str, object] = {"mime": mime} if form != 1 or roll(draw, 2) else {}
    if not inline:
        fields |= draw(_MEDIA_FIELDS)
        if native(dialect).items or roll(draw, 8) == 7:
            fields["cache"] = draw(cache_marks(dialect))
    if dialect is not None and roll(draw, 8) == 7:
        fields["extras"] = draw(extras())
    return MediaPart(kind=kind, source=source, **fields)  # type: ignore[arg-type]  # by name


_MEDIA_FIELDS: Final[SearchStrategy[dict[str, object]]] = record(
    dict,
    {},
    {
        "name": st.sampled_from(("a.pdf", "é b.png")),
        "detail": st.sampled_from(("low", "high", "auto", "original")),
        "meta": st.sampled_from(({"context": Raw(b'"c"')},)),
    },
)


@cache
def media_parts(
    dialect: str | None, *, inline: bool = False
) -> SearchStrategy[MediaPart]:
    """Media; with `inline` images and sounds in base64, as answers hold them."""
    return _media(dialect, inline)


@cache
def refusal_parts(dialect: str | None) -> SearchStrategy[RefusalPart]:
    """Refusals."""
    return record(RefusalPart, {"text": texts()}, _common(dialect, "msg_"))


@st.composite
def _reasoning(draw: DrawFn, dialect: str | None) -> ReasoningPart:
    form = roll(draw, 5)
    signed = form >= 3 or roll(draw, 2) == 1
    fields: dict[str, object] = draw(_reasoning_fields(dialect))
    if form in (0, 2):
        fields["text"] = draw(texts())
    if form in (1, 2):
        fields["summary"] = draw(_SUMMARIES)
    if signed:
        fields["signature"] = draw(signatures(dialect))
    return ReasoningPart(redacted=form == 4, **fields)  # type: ignore[arg-type]  # by name


@cache
def _reasoning_fields(dialect: str | None) -> SearchStrategy[dict[str, object]]:
    return record(dict, {}, _common(dialect, "rs_"))


_SUMMARIES: Final = st.lists(texts(), min_size=1, max_size=3).map(tuple)


@cache
def reasoning_parts(dialect: str | None) -> SearchStrategy[ReasoningPart]:
    """Thoughts: raw, summarised, both, or nothing but a signature."""
    return _reasoning(dialect)


@st.composite
def calls(
    draw: DrawFn,
    dialect: str | None,
    number: int,
    name: str,
    *,
    custom: bool = False,
    answer: bool = True,
    simple: bool = False,
) -> ToolCallPart:
    """The call that is the `number`-th of its conversation, so that ids differ.

    Args:
        draw: Given by Hypothesis.
        dialect: Dialect it is from.
        number: Unlike that of every other call.
        name: Name of the tool.
        custom: Its input is free text.
        answer: It is part of an answer: arguments may be broken, and then it is
            incomplete. Those of a history are JSON.
        simple: Its id and arguments are what every dialect takes.
    """
    pattern = CALL_IDS[0] if simple else pick(draw, CALL_IDS)
    fields: dict[str, object] = {}
    if not simple:
        fields = draw(_call_fields(dialect))
    if custom:
        arguments = draw(texts())
    elif answer and not simple:
        arguments = draw(argument_texts())
        fields["incomplete"] = not whole_arguments(arguments)
    elif simple or roll(draw, 8) < 7:
        arguments = draw(argument_texts(objects=True))
    else:
        arguments = draw(json_texts())
    return ToolCallPart(
        call_id=pattern.format(number),
        name=name,
        arguments=arguments,
        kind="custom" if custom else "function",
        **fields,  # type: ignore[arg-type]  # by name
    )


@cache
def _call_fields(dialect: str | None) -> SearchStrategy[dict[str, object]]:
    signed = {"signature": signatures(dialect)} if dialect else {}
    return record(dict, {}, {**_common(dialect, "fc_"), **signed})


@st.composite
def results(
    draw: DrawFn, dialect: str | None, call: ToolCallPart, *, simple: bool = False
) -> ToolResultPart:
    """A result of `call`."""
    texts_only = simple or roll(draw, 4) < 3
    content = _text_content(dialect, simple) if texts_only else _any_content(dialect)
    fields: dict[str, object] = {} if simple else draw(_result_fields(dialect))
    return ToolResultPart(
        call_id=call.call_id,
        name=call.name if roll(draw, 2) else None,
        parts=draw(content),
        kind=call.kind,
        **fields,  # type: ignore[arg-type]  # by name
    )


@cache
def _text_content(
    dialect: str | None, simple: bool
) -> SearchStrategy[tuple[Part, ...]]:
    part = plain_text_parts(None if simple else dialect, blank=not simple)
    return st.lists(part, min_size=int(simple), max_size=1 if simple else 2).map(tuple)


@cache
def _any_content(dialect: str | None) -> SearchStrategy[tuple[Part, ...]]:
    return tuples_of(st.one_of(plain_text_parts(dialect), media_parts(dialect)), 3)


@cache
def _result_fields(dialect: str | None) -> SearchStrategy[dict[str, object]]:
    own = _common(dialect, "fco_")
    marks = {"error": st.just(True), "cache": cache_marks(dialect)}
    return record(dict, {}, {**marks, **own})


@st.composite
def _any_call(draw: DrawFn, dialect: str | None, answer: bool) -> ToolCallPart:
    name = pick(draw, TOOL_NAMES)
    custom = roll(draw, 4) == 3
    number = roll(draw, 100)
    return draw(calls(dialect, number, name, custom=custom, answer=answer))


@st.composite
def _any_result(draw: DrawFn, dialect: str | None) -> ToolResultPart:
    return draw(results(dialect, draw(_any_call(dialect, False))))


@cache
def hosted_parts(
    dialect: str | None,
) -> SearchStrategy[tuple[ServerToolCallPart | ServerToolResultPart, ...]]:
    """Calls that a server of `dialect` ran, with their results; maybe none."""
    known = native(dialect).hosted
    starts = [at for at, p in enumerate(known) if isinstance(p, ServerToolCallPart)]
    ends = [*starts[1:], len(known)]
    runs = [known[a:b] for a, b in zip(starts, ends, strict=False)]
    return st.sampled_from(runs or [()])


@cache
def strange_parts(dialect: str) -> SearchStrategy[OpaquePart]:
    """Parts of `dialect` that nobody knows."""
    return st.sampled_from(opaque_parts(dialect))


KINDS: Final[tuple[type[Part], ...]] = (
    TextPart,
    MediaPart,
    RefusalPart,
    ReasoningPart,
    ToolCallPart,
    ToolResultPart,
    ServerToolCallPart,
    ServerToolResultPart,
    OpaquePart,
)
"""Every kind of part."""


@cache
def _of_kind(kind: type[Part], dialect: str | None) -> SearchStrategy[Part]:
    simple: Mapping[type[Part], SearchStrategy[Part]] = {
        TextPart: text_parts(dialect),
        MediaPart: media_parts(dialect),
        RefusalPart: refusal_parts(dialect),
        ReasoningPart: reasoning_parts(dialect),
        ToolCallPart: _any_call(dialect, True),
        ToolResultPart: _any_result(dialect),
    }
    if kind in simple:
        return simple[kind]
    if dialect is None:
        return st.nothing()
    if kind is OpaquePart:
        return strange_parts(dialect)
    hosted = [part for part in native(dialect).hosted if type(part) is kind]
    return st.sampled_from(hosted) if hosted else st.nothing()


def parts(
    kinds: Collection[type[Part]] = KINDS, *, dialect: str | None = None
) -> SearchStrategy[Part]:
    """Single parts, each for itself; ids of calls are not unique.

    Args:
        kinds: Types of part to give. Server tools' and opaque parts exist only in a
            dialect.
        dialect: Its native values, extras and signatures appear.
    """
    return _parts(tuple(kinds), dialect)


@cache
def _parts(kinds: tuple[type[Part], ...], dialect: str | None) -> SearchStrategy[Part]:
    return st.one_of([_of_kind(kind, dialect) for kind in kinds])
