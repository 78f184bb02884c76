"""Answers that repeat themselves: found in any text, reported or cut in a stream.

Knows the events that hold text: visible text, reasoning, arguments of calls. What
repeats is `LoopDetector`'s business; it needs no stream.

Rules:
1. Every part is looked at by itself; of a thought the raw text and the summaries. The
   arguments of calls are code, texts and thoughts are prose.
2. What is found is kept in `findings`. `report` does nothing else.
3. `cut` leaves the text up to the character at which the loop was found. Parts that are
   open end incomplete, and the choice ends as `max_tokens`, with one `Loss`. Where no
   other choice goes on, or is still expected, the answer ends there.
4. What the upstream still says in a choice that is over is left out, but for `Extra`.
5. `error` ends the whole answer at that character with a `StreamError`.
6. Everything else passes untouched; nothing is held back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct
from msgspec.structs import replace

from llmwire.errors import LocalProtocolError
from llmwire.events import (
    EVENT_TYPES,
    ArgumentsDelta,
    Event,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    Ping,
    ReasoningDelta,
    ServiceTier,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.filters._chain import FilterFactory
from llmwire.filters._choice_cuts import ChoiceCuts
from llmwire.filters._loop_detector import (
    Loop,
    LoopContext,
    LoopDetector,
    LoopLevel,
    needs,
)
from llmwire.losses import Loss
from llmwire.messages import APIError, Part, ReasoningPart, TextPart, ToolCallPart
from llmwire.requests import Request

__all__ = (
    "Loop",
    "LoopAction",
    "LoopContext",
    "LoopDetector",
    "LoopFilter",
    "LoopFinding",
    "LoopLevel",
    "Watched",
    "loop_filter",
    "needs",
)

LoopAction: TypeAlias = Literal["report", "cut", "error"]
Watched: TypeAlias = Literal["text", "reasoning", "arguments"]
_Growth: TypeAlias = TextDelta | ReasoningDelta | ArgumentsDelta

_KINDS: Final[dict[type[Event], Watched]] = {
    TextDelta: "text",
    ReasoningDelta: "reasoning",
    ArgumentsDelta: "arguments",
}
_FINDINGS: Final = 64
"""Findings that are kept of one answer."""


class LoopFinding(Struct, frozen=True, gc=False):
    """A loop, and where in the answer it is."""

    path: str
    """Of the part in the neutral answer: `choices[0].parts[1]`."""
    what: Watched
    loop: Loop


class LoopFilter:
    """Reports answers that repeat themselves, or ends them.

    Args:
        action: What is done about a loop: `report`, `cut` or `error`.
        at: The level from which on it is done. All levels are reported.
        watch: What is looked at.
        choices: How many choices were asked for.

    Raises:
        LocalProtocolError: `action`, `at` or `watch` is none of the words.
    """

    events: Final = frozenset(EVENT_TYPES) - {
        MessageStart,
        UsageUpdate,
        ServiceTier,
        Ping,
    }

    def __init__(
        self,
        action: LoopAction = "cut",
        *,
        at: LoopLevel = "confirmed",
        watch: Collection[Watched] = get_args(Watched),
        choices: int = 1,
    ) -> None:
        _check_words(action, at, watch)
        self.findings: tuple[LoopFinding, ...] = ()
        """What was found, the first 64."""
        self.losses: tuple[Loss, ...] = ()
        """One for each choice that was cut."""
        self._action = action
        self._levels = ("confirmed",) if at == "confirmed" else get_args(LoopLevel)
        self._watch = frozenset(watch)
        self._cuts = ChoiceCuts(choices)
        self._detectors: dict[int, LoopDetector] = {}
        """By the index of the part; of summaries by its complement."""

    @property
    def ended(self) -> MessageEnd | None:
        """Set once the answer was ended here."""
        return self._cuts.ended

    def __call__(self, event: Event) -> Sequence[Event]:
        """The events that are due now."""
        if type(event) is TextDelta and not self._cuts.made:
            detector = self._detectors.get(event.index)
            if detector is not None:
                found = detector.feed(event.text)
                return (
                    self._on_found(event, found, detector.size) if found else (event,)
                )
        take = _TAKE.get(type(event))
        return self._cuts.moved(event) if take is None else take(self, event)

    def _on_start(self, event: PartStart) -> Sequence[Event]:
        if not self._cuts.start(event):
            return ()
        empty, growth = _opened(event.index, event.part)
        opened = self._cuts.moved(PartStart(event.index, empty, event.choice))
        due = [each for one in growth for each in self._on_growth(one)]
        if not self._cuts.is_cut(event.index):
            return self._cuts.moved(event)
        return [*opened, *due]

    def _on_growth(self, event: _Growth) -> Sequence[Event]:
        key = event.index
        if type(event) is ReasoningDelta and event.summary is not None:
            key = ~key
        detector = self._detectors.get(key)
        if detector is None:
            if not self._is_watched(event):
                return self._cuts.moved(event)
            code = type(event) is ArgumentsDelta
            self._detectors[key] = detector = LoopDetector("code" if code else "prose")
        found = detector.feed(event.text)
        if found:
            return self._on_found(event, found, detector.size)
        return self._cuts.moved(event) if self._cuts.made else (event,)

    def _is_watched(self, event: _Growth) -> bool:
        return _KINDS[type(event)] in self._watch and not self._cuts.is_cut(event.index)

    def _on_found(
        self, event: _Growth, found: Sequence[Loop], size: int
    ) -> Sequence[Event]:
        """Loops were found in `event`, which ends at character `size` of its part."""
        place, what = self._cuts.place(event.index), _KINDS[type(event)]
        for loop in found:
            if len(self.findings) < _FINDINGS:
                self.findings += (LoopFinding(place, what, loop),)
            if self._action != "report" and loop.level in self._levels:
                left = len(event.text) - size + loop.end
                kept = replace(event, text=event.text[:left])
                due = self._cuts.moved(kept)
                return [*due, *self._ended(event.index, loop)]
        return self._cuts.moved(event)

    def _ended(self, index: int, loop: Loop) -> list[Event]:
        """The choice of part `index` is over, or the whole answer."""
        if self._action == "error":
            message = f"the answer repeats itself: {loop}"
            error = APIError(kind="bad_upstream", message=message, status=502)
            return [StreamError(error)]
        choice = self._cuts.choice_of(index)
        for each in self._cuts.open_parts(choice):
            self._forget(each)
        cut = Loss(
            path=self._cuts.place(index),
            feature="filter.loop",
            action="dropped",
            reason=f"the answer was cut where it repeats itself: {loop}",
        )
        self.losses += (cut,)
        return self._cuts.cut(choice)

    def _forget(self, index: int) -> None:
        """No more is looked for in part `index`."""
        self._detectors.pop(index, None)
        self._detectors.pop(~index, None)

    def _on_end(self, event: PartEnd) -> Sequence[Event]:
        self._forget(event.index)
        self._cuts.end(event)
        return self._cuts.moved(event)

    def _on_message_end(self, event: MessageEnd) -> Sequence[Event]:
        return self._cuts.message_end(event)


_TAKE: Final[dict[type, Callable[[LoopFilter, Any], Sequence[Event]]]] = {
    PartStart: LoopFilter._on_start,
    TextDelta: LoopFilter._on_growth,
    ReasoningDelta: LoopFilter._on_growth,
    ArgumentsDelta: LoopFilter._on_growth,
    PartEnd: LoopFilter._on_end,
    MessageEnd: LoopFilter._on_message_end,
}


def loop_filter(
    action: LoopAction = "cut",
    *,
    at: LoopLevel = "confirmed",
    watch: Collection[Watched] = get_args(Watched),
) -> FilterFactory:
    """A factory of `LoopFilter` for requests, which know how many choices they want.

    Raises:
        LocalProtocolError: As `LoopFilter`, at once.
    """
    _check_words(action, at, watch)

    def make(request: Request) -> LoopFilter:
        return LoopFilter(action, at=at, watch=watch, choices=request.n or 1)

    return make


def _check_words(action: str, at: str, watch: Collection[str]) -> None:
    words = [
        (action, LoopAction),
        (at, LoopLevel),
        *((each, Watched) for each in watch),
    ]
    for word, kind in words:
        if word not in get_args(kind):
            known = ", ".join(get_args(kind))
            raise LocalProtocolError(f"`{word}` is none of {known}")


def _opened(index: int, part: Part) -> tuple[Part, list[_Growth]]:
    """A part as it starts with nothing in it, and the growth that fills it."""
    if isinstance(part, TextPart) and part.text:
        return replace(part, text=""), [TextDelta(index, part.text)]
    if isinstance(part, ToolCallPart) and part.arguments:
        return replace(part, arguments=""), [ArgumentsDelta(index, part.arguments)]
    if isinstance(part, ReasoningPart):
        growth: list[_Growth] = [
            ReasoningDelta(index, text, at) for at, text in enumerate(part.summary)
        ]
        if part.text:
            growth.append(ReasoningDelta(index, part.text))
        return replace(part, summary=(), text=None), growth
    return part, []
