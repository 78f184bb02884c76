"""Sentences that the grammar does not allow, one way of breaking it each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from msgspec import Raw

from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Extra,
    LogprobsDelta,
    MediaDelta,
    MessageEnd,
    MessageStart,
    OpaqueEvent,
    PartEnd,
    PartStart,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.grammar import TAKES
from llmwire.messages import (
    APIError,
    Base64,
    Citation,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.strategies._sentences import sentences
from llmwire.strategies._values import pick, roll

Breaker: TypeAlias = Callable[[DrawFn, list[Event]], list[Event]]
"""Takes a sentence that ends in `StreamEnd` and breaks it."""

_TEXT: Final = TextPart(text="")
_CITATION: Final = Citation(kind="other")
_SIGNATURE: Final = Signature(origin="anthropic", value="c2ln")
_OPAQUE: Final = OpaquePart(dialect="anthropic", kind="x", raw=Raw(b"{}"))
_MEDIUM: Final = MediaPart(kind="image", source=Base64(""))
_PARTS: Final[tuple[Part, ...]] = (
    _TEXT,
    RefusalPart(text=""),
    ReasoningPart(),
    ToolCallPart(call_id="1", name="f"),
    _MEDIUM,
    ServerToolCallPart(name="f"),
    ServerToolResultPart(name="f"),
    _OPAQUE,
)


def _started(events: list[Event]) -> int:
    """Where the events after `MessageStart` begin."""
    return 1 + next(at for at, e in enumerate(events) if isinstance(e, MessageStart))


def _inside(draw: DrawFn, events: list[Event]) -> int:
    """A place between `MessageStart` and the end."""
    start = _started(events)
    return start + roll(draw, len(events) - start)


def _put(events: list[Event], at: int, *more: Event) -> list[Event]:
    return [*events[:at], *more, *events[at:]]


def _first_end(events: list[Event]) -> tuple[int, MessageEnd]:
    return next((at, e) for at, e in enumerate(events) if isinstance(e, MessageEnd))


def _parts_before(events: list[Event], at: int) -> int:
    return sum(isinstance(event, PartStart) for event in events[:at])


def _delta(kind: type[Event], index: int) -> Event:
    deltas: Mapping[type[Event], Event] = {
        TextDelta: TextDelta(index, "a"),
        ReasoningDelta: ReasoningDelta(index, "a"),
        RefusalDelta: RefusalDelta(index, "a"),
        ArgumentsDelta: ArgumentsDelta(index, "a"),
        MediaDelta: MediaDelta(index, "YQ=="),
    }
    return deltas[kind]


def _without_start(draw: DrawFn, events: list[Event]) -> list[Event]:
    start = _started(events)
    return events[: start - 1] + events[start:]


def _before_start(draw: DrawFn, events: list[Event]) -> list[Event]:
    return _put(events, 0, pick(draw, _EARLY))


_EARLY: Final[tuple[Event, ...]] = (
    TextDelta(0, "a"),
    PartStart(0, _TEXT),
    MessageEnd("end"),
    Extra({}),
)


def _second_start(draw: DrawFn, events: list[Event]) -> list[Event]:
    return _put(events, _inside(draw, events), MessageStart())


def _after_end(draw: DrawFn, events: list[Event]) -> list[Event]:
    return [*events, pick(draw, _AFTERWARDS)]


_AFTERWARDS: Final[tuple[Event, ...]] = (
    Ping(),
    StreamEnd(),
    StreamError(APIError(kind="internal", message="m")),
    TextDelta(0, "a"),
    MessageStart(),
)


def _without_end(draw: DrawFn, events: list[Event]) -> list[Event]:
    return events[: _started(events) + roll(draw, len(events) - _started(events))]


def _skipped_index(draw: DrawFn, events: list[Event]) -> list[Event]:
    gap = pick(draw, (_parts_before(events, len(events)) + 1, 10**9, -1))
    return _put(events, _inside(draw, events), PartStart(gap, _TEXT))


def _tool_result(draw: DrawFn, events: list[Event]) -> list[Event]:
    start = PartStart(0, ToolResultPart(call_id="1"))
    return _put(events, _started(events), start)


def _unknown_part(draw: DrawFn, events: list[Event]) -> list[Event]:
    index = pick(draw, (10**9, -1, -(10**9)))
    named = (
        *(_delta(kind, index) for kind in TAKES),
        PartEnd(index),
        Extra({}, index=index),
        OpaqueEvent("anthropic", "x", Raw(b"{}"), index),
    )
    return _put(events, _inside(draw, events), pick(draw, named))


def _wrong_kind(draw: DrawFn, events: list[Event]) -> list[Event]:
    kind = pick(draw, tuple(TAKES))
    part = pick(draw, [part for part in _PARTS if not isinstance(part, TAKES[kind])])
    start = PartStart(0, part)
    return _put(events, _started(events), start, _delta(kind, 0))


def _ended_part(draw: DrawFn, events: list[Event]) -> list[Event]:
    more: tuple[Event, ...] = (PartEnd(0), TextDelta(0, "a"))
    opened = (PartStart(0, _TEXT), PartEnd(0))
    return _put(events, _started(events), *opened, pick(draw, more))


def _late_unknown(draw: DrawFn, events: list[Event]) -> list[Event]:
    index = pick(draw, (10**9, -1))
    return _put(events, _inside(draw, events), pick(draw, _late(index)))


def _too_late(draw: DrawFn, events: list[Event]) -> list[Event]:
    opened = (PartStart(0, _TEXT, 9), PartEnd(0), MessageEnd("end", choice=9))
    return _put(events, _started(events), *opened, pick(draw, _late(0)))


def _late(index: int) -> tuple[Event, ...]:
    return (
        SignatureDelta(index, _SIGNATURE),
        CitationDelta(index, _CITATION),
        LogprobsDelta(index, ()),
    )


def _second_message_end(draw: DrawFn, events: list[Event]) -> list[Event]:
    at, end = _first_end(events)
    return _put(events, at + 1 + roll(draw, len(events) - at - 1), end)


def _open_part(draw: DrawFn, events: list[Event]) -> list[Event]:
    return _put(events, _started(events), PartStart(0, _TEXT), MessageEnd("end"))


def _part_after_end(draw: DrawFn, events: list[Event]) -> list[Event]:
    at, end = _first_end(events)
    start = PartStart(_parts_before(events, at), _TEXT, end.choice)
    return _put(events, at + 1, start)


def _missing_end(draw: DrawFn, events: list[Event]) -> list[Event]:
    index = _parts_before(events, len(events))
    more = (PartStart(index, _TEXT, 99), PartEnd(index))
    return _put(events, len(events) - 1, *more)


def _no_message_end(draw: DrawFn, events: list[Event]) -> list[Event]:
    return [*events[: _started(events)], StreamEnd()]


def _wrong_final(draw: DrawFn, events: list[Event]) -> list[Event]:
    part = pick(draw, _PARTS)
    finals = [p for p in _PARTS if type(p) is not type(part) or part in _PARTS[:4]]
    opened = (PartStart(0, part), PartEnd(0, final=pick(draw, finals)))
    return _put(events, _started(events), *opened)


BREAKERS: Final[tuple[tuple[str, Breaker], ...]] = (
    ("transition table", _without_start),
    ("transition table", _before_start),
    ("transition table", _second_start),
    ("transition table", _after_end),
    ("rule 1", _skipped_index),
    ("rule 1", _tool_result),
    ("rule 2", _unknown_part),
    ("rule 2", _wrong_kind),
    ("rule 2", _ended_part),
    ("rule 3", _late_unknown),
    ("rule 3", _too_late),
    ("rule 4", _second_message_end),
    ("rule 4", _open_part),
    ("rule 4", _part_after_end),
    ("rule 6", _missing_end),
    ("rule 6", _no_message_end),
    ("rule 6", _without_end),
    ("rule 7", _wrong_final),
)
"""What the checker says, and the breaker that makes it say so."""


@st.composite
def _broken(
    draw: DrawFn, dialect: str | None, breakers: tuple[Breaker, ...]
) -> list[Event]:
    events = draw(sentences(dialect, failing=False))
    return pick(draw, breakers)(draw, events)


@cache
def broken_by(
    dialect: str | None, breakers: tuple[Breaker, ...]
) -> SearchStrategy[list[Event]]:
    """Sentences that one of `breakers` has broken."""
    return _broken(dialect, breakers)


_ALL: Final = tuple(breaker for _, breaker in BREAKERS)


def ungrammatical_sentences(
    dialect: str | None = None,
) -> SearchStrategy[list[Event]]:
    """Sequences of events that `llmwire.grammar.check` rejects, each for one reason.

    Args:
        dialect: As for `sentences`.
    """
    return broken_by(dialect, _ALL)
