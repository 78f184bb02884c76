"""Sentences of events: those that the grammar allows, and those that it does not.

Theory of operation: `_Speaker` keeps what the grammar keeps, which parts are open and
which choices have ended, and says something legal whatever it is told to do; a sentence
is a list of such tellings, then whatever is missing at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, Literal

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from msgspec import Raw
from msgspec.structs import replace

from llmwire._parts import whole_arguments
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
    ServiceTier,
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.messages import (
    Base64,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
)
from llmwire.strategies._answers import errors, stop_of, usages
from llmwire.strategies._native import native, opaque_parts
from llmwire.strategies._parts import (
    CALL_IDS,
    TOOL_NAMES,
    citations,
    logprobs,
    signatures,
)
from llmwire.strategies._values import (
    SECONDS,
    argument_texts,
    base64_texts,
    extras,
    identifiers,
    pick,
    record,
    roll,
    texts,
)

_TEXT: Final = texts()
_ARGUMENTS: Final = argument_texts()
_DATA: Final = base64_texts()
_EXTRAS: Final = extras()
_TOKENS: Final = logprobs()
_IDS: Final = identifiers("resp-")
_MODELS: Final = st.sampled_from(("m", "claude-x-1"))
_TIERS: Final = ("default", "priority", "x_new")
_RAW_EVENTS: Final = (Raw(b'{"type":"x_new"}'), Raw(b'{"a":null,"b":[1, 2]}'))
_MEDIA: Final = (
    MediaPart(kind="image", mime="image/png", source=Base64("")),
    MediaPart(kind="audio", mime="audio/wav", source=Base64("")),
)


class _Growing:
    """A part that has started."""

    __slots__ = ("choice", "ended", "left", "part", "said", "summary")

    def __init__(self, part: Part, choice: int, left: str) -> None:
        self.part = part
        self.choice = choice
        self.left = left
        """Arguments or base64 still to be said."""
        self.said = ""
        self.summary: int | None = None
        self.ended = False


class _Speaker:
    """Says legal things only."""

    def __init__(self, draw: DrawFn, dialect: str | None, choices: int) -> None:
        self.draw = draw
        self.dialect = dialect
        self.owner = dialect or ""
        """Of opaque events, of which there are none without a dialect."""
        self.events: list[Event] = []
        self.parts: list[_Growing] = []
        self.live = list(range(choices))
        """Choices that may still go on."""
        self.named: set[int] = set()
        """Choices that something was said about, and that must therefore end."""

    def say(self, event: Event) -> None:
        self.events.append(event)

    def some_open(self) -> int | None:
        found = [at for at, part in enumerate(self.parts) if not part.ended]
        return pick(self.draw, found) if found else None

    # What it can be told to do

    def start(self) -> None:
        if not self.live:
            return self.say(Ping())
        choice = pick(self.draw, self.live)
        part, left = self.draw(_openings(self.dialect))
        if isinstance(part, ToolCallPart):
            part = replace(part, call_id=part.call_id.format(len(self.parts)))
        if native(self.dialect).items:
            part = replace(part, group=len(self.parts))
        self.named.add(choice)
        self.say(PartStart(len(self.parts), part, choice))
        self.parts.append(_Growing(part, choice, left))

    def grow(self) -> None:
        index = self.some_open()
        if index is None:
            return self.start()
        growing = self.parts[index]
        part = growing.part
        if isinstance(part, TextPart):
            self.say(TextDelta(index, self.draw(_TEXT)))
        elif isinstance(part, RefusalPart):
            self.say(RefusalDelta(index, self.draw(_TEXT)))
        elif isinstance(part, ReasoningPart) and part.redacted:
            self.say(self.sign(index))
        elif isinstance(part, ReasoningPart):
            self.think(index, growing)
        elif isinstance(part, (ToolCallPart, ServerToolCallPart)):
            self.argue(index, growing, 1 + roll(self.draw, 9))
        elif isinstance(part, MediaPart):
            self.show(index, growing, 4 + 4 * roll(self.draw, 2))
        else:
            raw = pick(self.draw, _RAW_EVENTS)
            self.say(OpaqueEvent(self.owner, "x_delta", raw, index))

    def think(self, index: int, growing: _Growing) -> None:
        form = roll(self.draw, 4)
        if form == 1 and growing.summary is not None:
            growing.summary += 1
        elif form == 1:
            growing.summary = 0
        summary = None if form == 3 else growing.summary
        self.say(ReasoningDelta(index, self.draw(_TEXT), summary))

    def argue(self, index: int, growing: _Growing, size: int) -> None:
        piece, growing.left = growing.left[:size], growing.left[size:]
        growing.said += piece
        self.say(ArgumentsDelta(index, piece))

    def show(self, index: int, growing: _Growing, size: int) -> None:
        piece, growing.left = growing.left[:size], growing.left[size:]
        growing.said += piece
        self.say(MediaDelta(index, piece))

    def end(self) -> None:
        index = self.some_open()
        if index is None:
            return self.start()
        self.end_part(index)

    def end_part(self, index: int) -> None:
        growing = self.parts[index]
        part = growing.part
        broken = roll(self.draw, 8) == 7
        if growing.left and not broken:
            if isinstance(part, MediaPart):
                self.show(index, growing, len(growing.left))
            else:
                self.argue(index, growing, len(growing.left))
        status: Literal["complete", "incomplete"] = "complete"
        if isinstance(part, ToolCallPart) and part.kind == "function":
            broken = not whole_arguments(growing.said)
        if broken:
            status = "incomplete"
        growing.ended = True
        growing.part = part = replace(part, incomplete=broken)
        self.say(PartEnd(index, status, self.final(part, growing.said)))

    def final(self, part: Part, said: str) -> Part | None:
        if not isinstance(
            part, (MediaPart, ServerToolCallPart, ServerToolResultPart, OpaquePart)
        ):
            return None
        if roll(self.draw, 4) == 3:
            return None
        return (
            replace(part, source=Base64(said)) if isinstance(part, MediaPart) else part
        )

    def add(self) -> None:
        """Something for a part whose choice goes on, be it open or not."""
        found = [at for at, part in enumerate(self.parts) if part.choice in self.live]
        if not found:
            return self.remark()
        index = pick(self.draw, found)
        part = self.parts[index].part
        form = roll(self.draw, 8)
        if form == 7 or isinstance(part, TextPart):
            made = pick(self.draw, (self.cite, self.weigh, self.sign))
        elif isinstance(part, RefusalPart):
            made = self.weigh
        else:
            made = self.sign
        self.say(made(index))

    def cite(self, index: int) -> Event:
        return CitationDelta(index, self.draw(citations(self.dialect)))

    def weigh(self, index: int) -> Event:
        return LogprobsDelta(index, self.draw(_TOKENS))

    def sign(self, index: int) -> Event:
        return SignatureDelta(index, self.draw(signatures(self.dialect)))

    def remark(self) -> None:
        """Something that is legal anywhere."""
        form = roll(self.draw, 3 if self.dialect is None else 7)
        if form == 0:
            self.say(Ping())
        elif form == 1:
            self.say(UsageUpdate(self.draw(usages(self.dialect))))
        elif form == 2:
            self.say(ServiceTier(pick(self.draw, _TIERS)))
        elif form == 3:
            self.say(Extra(self.draw(_EXTRAS)))
        elif form == 4:
            self.say(self.extra_of_part())
        elif form == 5:
            choice = pick(self.draw, (*self.live, *self.named) or (0,))
            self.named.add(choice)
            self.say(Extra(self.draw(_EXTRAS), choice=choice))
        else:
            raw = pick(self.draw, _RAW_EVENTS)
            self.say(OpaqueEvent(self.owner, "x_new", raw))

    def extra_of_part(self) -> Event:
        members = self.draw(_EXTRAS)
        if not self.parts:
            return Extra(members)
        return Extra(members, index=roll(self.draw, len(self.parts)))

    def finish(self) -> None:
        if self.live:
            self.finish_choice(pick(self.draw, self.live))

    def finish_choice(self, choice: int) -> None:
        own = [at for at, part in enumerate(self.parts) if part.choice == choice]
        for index in own:
            if not self.parts[index].ended:
                self.end_part(index)
        self.live.remove(choice)
        self.named.add(choice)
        parts = tuple(self.parts[index].part for index in own)
        stop = stop_of(self.draw, parts, self.dialect, False)
        raw = native(self.dialect).stops.get(stop)
        met = self.draw(_STOPS) if stop == "stop_sequence" else None
        self.say(MessageEnd(stop, raw, met, None, choice))


_STOPS: Final = texts(blank=False)


@cache
def _openings(dialect: str | None) -> SearchStrategy[tuple[Part, str]]:
    """Empty parts, each with the text that will fill it where that must fit together.

    Call ids are still patterns.
    """
    items = native(dialect).items
    calls = record(
        ToolCallPart,
        {"call_id": st.sampled_from(CALL_IDS), "name": st.sampled_from(TOOL_NAMES)},
        {"kind": st.just("custom"), **({"id": identifiers("fc_")} if items else {})},
    )
    alone: list[Part] = [
        TextPart(text=""),
        TextPart(text="", phase="commentary") if items else TextPart(text=""),
        ReasoningPart(),
        ReasoningPart(text=""),
        ReasoningPart(redacted=True),
        RefusalPart(text=""),
    ]
    found: list[SearchStrategy[tuple[Part, str]]] = [
        st.tuples(calls, _ARGUMENTS),
        st.tuples(st.sampled_from(_MEDIA), _DATA),
    ]
    if dialect is not None:
        alone += opaque_parts(dialect)
        for part in native(dialect).hosted:
            if isinstance(part, ServerToolCallPart):
                found.append(st.tuples(st.just(part), _PIECES))
            else:
                alone.append(part)
    bare = st.tuples(st.sampled_from(alone), st.just(""))
    return st.one_of(bare, bare, *found)


_PIECES: Final = st.sampled_from(("", '{"q":1}', '{"q'))

_TELLINGS: Final[tuple[Callable[[_Speaker], None], ...]] = (
    *(_Speaker.grow,) * 6,
    *(_Speaker.start,) * 2,
    *(_Speaker.end,) * 2,
    *(_Speaker.add,) * 2,
    *(_Speaker.remark,) * 2,
)


@st.composite
def _whole(draw: DrawFn, dialect: str | None, choices: int) -> list[Event]:
    """A sentence that ends in `StreamEnd`."""
    speaker = _Speaker(draw, dialect, choices)
    speaker.events += pick(draw, _PINGS)
    speaker.say(_start(draw, dialect))
    for _ in range(roll(draw, 20)):
        if choices > 1 and roll(draw, 16) == 15:
            speaker.finish()
        pick(draw, _TELLINGS)(speaker)
    for choice in [at for at in speaker.live if at in speaker.named]:
        speaker.finish_choice(choice)
    if not speaker.named:
        speaker.finish_choice(pick(draw, speaker.live))
    speaker.live.clear()
    for _ in range(roll(draw, 3)):
        speaker.remark()
    speaker.say(StreamEnd())
    return speaker.events


_PINGS: Final = ((), (), (), (Ping(),), (Ping(), Ping()))


def _start(draw: DrawFn, dialect: str | None) -> MessageStart:
    form = roll(draw, 8)
    if form == 7:
        return MessageStart(dialect=dialect)
    usage = draw(usages(dialect)) if form in (5, 6) else None
    created = draw(SECONDS) if form in (4, 5) else None
    return MessageStart(draw(_IDS), draw(_MODELS), created, usage, dialect)


@st.composite
def _sentence(
    draw: DrawFn, dialect: str | None, choices: int, failing: bool
) -> list[Event]:
    if failing and roll(draw, 24) == 23:
        return [*pick(draw, _PINGS), StreamError(draw(errors(dialect)))]
    events = draw(_WHOLE(dialect, choices))
    if failing and roll(draw, 6) == 5:
        start = next(at for at, e in enumerate(events) if isinstance(e, MessageStart))
        length = start + 1 + roll(draw, len(events) - start - 1)
        return [*events[:length], StreamError(draw(errors(dialect)))]
    return events


_WHOLE: Final = cache(_whole)
_SENTENCE: Final = cache(_sentence)


def sentences(
    dialect: str | None = None, *, choices: int = 2, failing: bool = True
) -> SearchStrategy[list[Event]]:
    """Sentences that `llmwire.grammar` allows, of every kind of event.

    Parts interleave, choices end one by one, signatures and citations come late;
    `Ping`, `Extra` and the like stand wherever they may.

    Args:
        dialect: `MessageStart.dialect`: extras, hosted tools, unknown parts and events
            of it appear. None: nobody's, none of these.
        choices: At most so many.
        failing: Some end in a `StreamError`, at any place.
    """
    return _SENTENCE(dialect, choices, failing)
