"""The filter of `leaked_calls`: turns the text of calls into the events of calls.

Knows the events that hold text; what is a call `CallScanner` says, which calls the
answer makes anyway `ProperCalls`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from math import inf
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from llmwire._ids import mint_call
from llmwire.errors import LocalProtocolError
from llmwire.events import (
    EVENT_TYPES,
    ArgumentsDelta,
    CitationDelta,
    Event,
    LogprobsDelta,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    Ping,
    ReasoningDelta,
    ServiceTier,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.filters._call_bodies._found import FoundCall
from llmwire.filters._call_formats import chosen, expanded, for_reasoning
from llmwire.filters._call_openers import Openers
from llmwire.filters._call_scanner import CallScanner, CallText, Piece
from llmwire.filters._numbering import Numbering
from llmwire.filters._proper_calls import ProperCalls
from llmwire.losses import Loss
from llmwire.messages import Citation, Part, ReasoningPart, TextPart, ToolCallPart
from llmwire.requests import Tool

__all__ = (
    "LIMIT",
    "LeakOutcome",
    "LeakedCall",
    "LeakedCallFilter",
    "checked",
    "openers_of",
)

LIMIT: Final = 1_000_000
"""Characters of a call at most, unless said otherwise."""

_PATIENCE: Final = 256
_WAITING: Final = 1024
_FINDINGS: Final = 64
_NONE: Final = -1
_FEATURE: Final = "filter.leaked_calls"

LeakOutcome: TypeAlias = Literal["call", "duplicate", "incomplete", "too_long"]


class LeakedCall(Struct, frozen=True, gc=False):
    """What was found, and what became of it."""

    path: str
    """Of the first call that it became in the neutral answer, else of the text."""
    what: Literal["text", "reasoning"]
    """Where it stood."""
    format: str
    start: int
    """Its place in the part that came in, in characters."""
    names: tuple[str, ...]
    """The tools, of `incomplete` and `too_long` none."""
    outcome: LeakOutcome
    """All but `call` stayed text: the answer called properly already, the text broke
    off, or the call was longer than the limit."""


class _Source:
    """A text or thought as it came in."""

    __slots__ = (
        "base",
        "blank",
        "called",
        "done",
        "fresh",
        "kind",
        "out",
        "scanner",
        "start",
        "waiting",
    )

    def __init__(self, start: PartStart, scanner: CallScanner) -> None:
        self.start = start
        self.scanner = scanner
        self.kind: Literal["text", "reasoning"] = (
            "text" if isinstance(start.part, TextPart) else "reasoning"
        )
        self.out = _NONE
        """The part that is going out."""
        self.fresh = True
        """None went out yet."""
        self.called = False
        """The last that went out is a call."""
        self.blank: list[str] = []
        """White space that waits for a text."""
        self.done = 0
        """Characters that are out, or left out."""
        self.waiting: deque[tuple[int, Event]] = deque()
        """What names the part while its text is held, each with its place in it."""
        self.base = 0
        """Characters of it before the part that is going out."""

    def delta(self, text: str) -> Event:
        if self.kind == "text":
            return TextDelta(self.out, text)
        return ReasoningDelta(self.out, text)


class LeakedCallFilter:
    """Makes calls of those that were written as text.

    Args:
        tools: The tools that may be called, by name.
        formats: Names of `CALL_FORMATS`; None: all that need not be asked for.
        reasoning: Look into thoughts too, for the formats that models mean there.
        limit: Characters of a call at most; a longer one is text.
        seed: What tells this answer from others, for the ids that are made up.

    Raises:
        LocalProtocolError: There is no such format, or the limit is not positive.
    """

    events: Final = frozenset(EVENT_TYPES) - {UsageUpdate, ServiceTier, Ping}

    def __init__(
        self,
        tools: Mapping[str, Tool],
        formats: Iterable[str] | None = None,
        *,
        reasoning: bool = True,
        limit: int = LIMIT,
        seed: str = "",
    ) -> None:
        names = checked(formats, limit)
        self.findings: tuple[LeakedCall, ...] = ()
        """What was found, the first 64."""
        self._tools = tools
        self._limit = limit
        self._seed = seed
        self._openers: dict[type[Part], Openers] = {
            TextPart: openers_of(names, tuple(tools), False)
        }
        if reasoning:
            self._openers[ReasoningPart] = openers_of(names, tuple(tools), True)
        self._numbering = Numbering()
        self._sources: dict[int, _Source] = {}
        self._latest: _Source | None = None
        """What began last, which alone may not go out yet."""
        self._over: dict[int, _Source] = {}
        self._proper = ProperCalls(self._numbering, limit)
        self._ids: set[str] = set()
        self._called: set[int] = set()
        self._losses: dict[tuple[str, str], Loss] = {}

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Text that became calls, and what went with it."""
        return (*self._losses.values(), *self._proper.losses)

    @property
    def held(self) -> int:
        """Characters held back now."""
        texts = sum(
            each.scanner.held + sum(map(len, each.blank))
            for each in self._sources.values()
        )
        return texts + self._proper.held

    def __call__(self, event: Event) -> Sequence[Event]:
        """The events that are due now."""
        if type(event) is TextDelta or (
            type(event) is ReasoningDelta and event.summary is None
        ):
            source = self._sources.get(event.index)
            if (
                source is not None
                and source.out == event.index
                and not source.waiting
                and source.scanner.passes(event.text)
            ):
                return (event,)
        return _TAKE.get(type(event), LeakedCallFilter._on_named)(self, event)

    def _on_message_start(self, event: MessageStart) -> Sequence[Event]:
        self._seed = f"{self._seed}/{event.id or ''}"
        return (event,)

    def _on_start(self, event: PartStart) -> Sequence[Event]:
        due: list[Event] = []
        before, self._latest = self._latest, None
        if before is not None and before.fresh:
            self._open(before, due)
        part = event.part
        if isinstance(part, ToolCallPart) and part.kind == "function":
            self._ids.add(part.call_id)
            return [*due, *self._proper.start(event, part)]
        openers = self._openers.get(type(part))
        if openers is None:
            self._numbering.start(event.index, event.choice)
            return [*due, *self._numbering.moved(event)]
        empty, text = _emptied(part)
        scanner = CallScanner(openers, self._tools, self._limit)
        source = _Source(PartStart(event.index, empty, event.choice), scanner)
        self._sources[event.index] = self._latest = source
        if text:
            self._begin(source, event, text, due)
        return due

    def _begin(
        self, source: _Source, event: PartStart, text: str, due: list[Event]
    ) -> None:
        """The part came with text in it."""
        pieces = source.scanner.feed(text)
        if text.strip() and not source.scanner.held and [*pieces] == [text]:
            source.fresh = False
            source.out = self._numbering.start(event.index, event.choice)
            due += self._numbering.moved(event)
        else:
            self._take(source, pieces, due)

    def _on_text(self, event: TextDelta | ReasoningDelta) -> Sequence[Event]:
        source = self._sources.get(event.index)
        if source is None:
            return self._numbering.moved(event)
        moved = source.out >= 0 and source.out != event.index and not source.waiting
        if moved and source.scanner.passes(event.text):
            return (source.delta(event.text),)
        due: list[Event] = []
        pieces = source.scanner.feed(event.text) if event.text else ("",)
        self._take(source, pieces, due)
        return due

    def _on_reasoning(self, event: ReasoningDelta) -> Sequence[Event]:
        known = event.summary is None or event.index not in self._sources
        return self._on_text(event) if known else self._on_named(event)

    def _take(self, source: _Source, pieces: Iterable[Piece], due: list[Event]) -> None:
        for piece in pieces:
            text = piece if isinstance(piece, str) else piece.text
            source.done += len(text)
            if isinstance(piece, str):
                self._say(source, piece, due)
            elif piece.calls:
                self._call(source, piece, due)
            else:
                source.base += len(text)
            if source.out >= 0:
                self._release(source, due, source.done)

    def _say(self, source: _Source, text: str, due: list[Event]) -> None:
        """`text` goes out, unless it is white space behind which a call may come."""
        if source.out >= 0:
            due.append(source.delta(text))
            return
        if text or not source.blank:
            source.blank.append(text)
        if text.strip() or sum(map(len, source.blank)) > _PATIENCE:
            self._open(source, due)

    def _open(self, source: _Source, due: list[Event]) -> None:
        """A part for the text, and the white space it begins with."""
        index, choice = source.start.index, source.start.choice
        if source.fresh:
            source.out = self._numbering.start(index, choice)
            due += self._numbering.moved(source.start)
        else:
            source.out = self._numbering.add(choice)
            self._numbering.alias(index, source.out)
            due.append(PartStart(source.out, _continued(source.start.part), choice))
        source.fresh = source.called = False
        due += map(source.delta, source.blank)
        source.blank = []
        self._release(source, due, source.done)

    def _release(self, source: _Source, due: list[Event], to: float = inf) -> None:
        """What waited, up to a place, goes to the last part that came of `source`."""
        while source.waiting and source.waiting[0][0] <= to:
            due += self._placed(source, source.waiting.popleft()[1])

    def _call(self, source: _Source, piece: CallText, due: list[Event]) -> None:
        """Calls that were text; they stay text where they were made properly."""
        choice = source.start.choice
        if any(self._proper.has(choice, call) for call in piece.calls):
            self._say(source, piece.text, due)
            self._find(source, piece, "duplicate", None)
            return
        self._close(source, piece, due)
        for call in piece.calls:
            self._proper.expect(choice, call)
            out = self._numbering.add(choice)
            if call is piece.calls[0]:
                self._find(source, piece, "call", out)
            part = ToolCallPart(call_id=self._id(call), name=call.name)
            due += (
                PartStart(out, part, choice),
                ArgumentsDelta(out, call.arguments),
                PartEnd(out),
            )
            self._numbering.alias(source.start.index, out)
        self._called.add(choice)

    def _close(self, source: _Source, piece: CallText, due: list[Event]) -> None:
        """The text before a call is over."""
        if source.out >= 0:
            due.append(PartEnd(source.out))
        waiting, source.waiting = source.waiting, deque()
        for place, event in waiting:
            if isinstance(event, (CitationDelta, LogprobsDelta)):
                self._lose(source, event)
            else:
                source.waiting.append((place, event))
        source.out, source.blank = _NONE, []
        source.fresh, source.called = False, True
        source.base = piece.start + len(piece.text)

    def _id(self, call: FoundCall) -> str:
        """An id that no other call of the answer has."""
        call_id = call.id
        while not call_id or call_id in self._ids:
            seed = f"{self._seed}/{call.name}/{call.arguments}"
            call_id = mint_call(seed, len(self._ids))
        self._ids.add(call_id)
        return call_id

    def _find(
        self, source: _Source, piece: CallText, outcome: LeakOutcome, out: int | None
    ) -> None:
        names = tuple(call.name for call in piece.calls)
        path = self._path(source) if out is None else self._numbering.place(out)
        found = LeakedCall(path, source.kind, piece.format, piece.start, names, outcome)
        self.findings = (*self.findings, found)[:_FINDINGS]
        if outcome == "call":
            reason = f"it was written as {source.kind}, in the format {piece.format}"
            self._losses[path, _FEATURE] = Loss(
                path=path, feature=_FEATURE, action="approximated", reason=reason
            )

    def _path(self, source: _Source) -> str:
        out = self._numbering.out(source.start.index)
        if out is None:
            return f"choices[{source.start.choice}]"
        return self._numbering.place(out)

    def _lose(self, source: _Source, event: CitationDelta | LogprobsDelta) -> None:
        feature = "citations" if isinstance(event, CitationDelta) else "logprobs"
        path = f"{self._path(source)}.{feature}"
        reason = "they came with text that became a call"
        self._losses[path, feature] = Loss(
            path=path, feature=feature, action="dropped", reason=reason
        )

    def _on_named(self, event: Event) -> Sequence[Event]:
        """What names a part and is not the growth that is looked at."""
        index: int | None = getattr(event, "index", None)
        if index is None:
            return (event,)
        if self._proper.keeps(event, index):
            return ()
        source = self._sources.get(index)
        if source is None:
            over = self._over.get(index)
            return self._placed(over, event) if over else self._numbering.moved(event)
        due: list[Event] = []
        if isinstance(event, ReasoningDelta) and source.out < 0:
            self._open(source, due)
        elif source.out < 0 or source.scanner.held:
            source.waiting.append((source.done + source.scanner.held, event))
            if len(source.waiting) > _WAITING:
                if source.fresh:
                    self._open(source, due)
                self._release(source, due)
            return due
        return [*due, *self._placed(source, event)]

    def _placed(self, source: _Source, event: Event) -> Sequence[Event]:
        """`event` at the last part that came of `source`."""
        if isinstance(event, CitationDelta):
            if source.called:
                self._lose(source, event)
                return ()
            if source.base:
                cited = _moved_back(event.citation, source.base)
                event = CitationDelta(event.index, cited)
        return self._numbering.moved(event)

    def _on_end(self, event: PartEnd) -> Sequence[Event]:
        source = self._sources.get(event.index)
        if source is None:
            return self._proper.end(event)
        due: list[Event] = []
        self._finish(source, due, event.status == "incomplete")
        if source.out >= 0:
            due.append(replace(event, index=source.out))
        self._over[event.index] = self._sources.pop(event.index)
        return due

    def _finish(self, source: _Source, due: list[Event], cut: bool) -> None:
        """No more text comes; what is held goes out."""
        self._take(source, source.scanner.finish(cut=cut), due)
        for missed in source.scanner.missed:
            text = CallText(missed.format, "", missed.start)
            outcome: LeakOutcome = "too_long" if missed.too_long else "incomplete"
            self._find(source, text, outcome, None)
        if source.fresh:
            self._open(source, due)
        self._release(source, due)

    def _on_arguments(self, event: ArgumentsDelta) -> Sequence[Event]:
        return self._proper.grow(event)

    def _on_message_end(self, event: MessageEnd) -> Sequence[Event]:
        if event.choice in self._called and event.stop == "end":
            return (replace(event, stop="tool_use", raw=None),)
        return (event,)

    def _on_terminal(self, event: StreamEnd | StreamError) -> Sequence[Event]:
        due: list[Event] = []
        for source in self._sources.values():
            self._finish(source, due, True)
        self._sources = {}
        return [*due, *self._proper.finish(), event]


_TAKE: Final[dict[type[Event], Callable[[LeakedCallFilter, Any], Sequence[Event]]]] = {
    MessageStart: LeakedCallFilter._on_message_start,
    PartStart: LeakedCallFilter._on_start,
    TextDelta: LeakedCallFilter._on_text,
    ReasoningDelta: LeakedCallFilter._on_reasoning,
    ArgumentsDelta: LeakedCallFilter._on_arguments,
    PartEnd: LeakedCallFilter._on_end,
    MessageEnd: LeakedCallFilter._on_message_end,
    StreamEnd: LeakedCallFilter._on_terminal,
    StreamError: LeakedCallFilter._on_terminal,
}


def checked(formats: Iterable[str] | None, limit: int) -> tuple[str, ...] | None:
    """The names of formats, once they and the limit are found good."""
    names = None if formats is None else tuple(formats)
    chosen(names)
    if limit < 1:
        raise LocalProtocolError(f"the limit of a call is {limit}, which is too small")
    return names


@lru_cache(64)
def openers_of(
    formats: tuple[str, ...] | None, tools: tuple[str, ...], reasoning: bool
) -> Openers:
    """The opening words of these formats, with the names of these tools."""
    forms = chosen(formats)
    if reasoning:
        forms = for_reasoning(forms)
    return Openers(each for form in forms for each in expanded(form, tools))


def _emptied(part: Part) -> tuple[Part, str]:
    """A text or thought as it starts with nothing in it, and its text."""
    if isinstance(part, TextPart):
        return replace(part, text=""), part.text
    if isinstance(part, ReasoningPart) and part.text:
        return replace(part, text=None), part.text
    return part, ""


def _continued(part: Part) -> Part:
    """What goes on behind a call."""
    if isinstance(part, TextPart):
        return TextPart("", phase=part.phase)
    return ReasoningPart()


def _moved_back(citation: Citation, by: int) -> Citation:
    """`citation` of a text that lost its first `by` characters."""
    start, end = citation.start, citation.end
    return replace(
        citation,
        start=None if start is None else max(0, start - by),
        end=None if end is None else max(0, end - by),
    )
