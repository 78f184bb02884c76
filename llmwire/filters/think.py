"""Thinking between tags inside the text becomes reasoning parts.

Knows the tags it is given and text; for servers whose profile says that they do not
tell the two apart.

Rules:
1. A tag opens a thought only where the text of a part begins, white space aside, or
   behind the end of a thought. Everywhere else it is text.
2. A thought ends at the first closing tag of its pair, or with its part: then it is
   incomplete.
3. With an implicit opening the first part of a choice, if it is text, is a thought from
   its beginning, with or without the tag; any closing tag ends it.
4. Every character but those of the tags comes out once and in order. White space that
   stands alone (before an opening tag, as a whole thought, behind the last thought of
   a part) is no content and is left out.
5. The text behind the thoughts is the part that came in: its id, group, signature,
   citations and extras stay with it. Log probabilities go to the part that is open when
   they come. A part that is nothing but thoughts gives all this to the last of them,
   except citations: they are dropped, with a `Loss`.
6. Held back are at most `_PATIENCE` characters of white space and one tag that is not
   whole, and at most `_WAITING` events that wait for a part to begin.

Theory of operation: a text part is `LOOKING` for an opening tag, `THINKING`, or
`TALKING`, which lasts. While the first looking goes on, its `PartStart` waits, for
nobody knows yet what starts; another part of its choice, or too much that waits,
decides for text. Indices are counted anew as parts go out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, Final, Literal

from msgspec.structs import replace

from llmwire.events import (
    EVENT_TYPES,
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
from llmwire.filters._match import Finder, Words
from llmwire.filters._numbering import Numbering
from llmwire.losses import Loss
from llmwire.messages import Citation, ReasoningPart, TextPart

__all__ = ("ThinkTagFilter",)

_PATIENCE: Final = 256
_WAITING: Final = 1024
_NOTHING: Final = Words(())
_NONE: Final = -1


class _Phase(Enum):
    LOOKING = "looking"
    THINKING = "thinking"
    TALKING = "talking"


class _Text:
    """A text part as it came in."""

    __slots__ = (
        "base",
        "finder",
        "fresh",
        "held",
        "implicit",
        "out",
        "phase",
        "seen",
        "start",
        "thought",
        "waiting",
    )

    def __init__(self, start: PartStart, implicit: bool) -> None:
        self.start = start
        self.implicit = implicit
        """It begins inside a thought."""
        self.phase = _Phase.LOOKING
        self.fresh = True
        """No thought was found in it yet."""
        self.held = ""
        """White space, and what could become a tag behind it."""
        self.waiting: list[Event] = []
        """What names the part before it goes out."""
        self.finder = Finder(_NOTHING)
        self.out = _NONE
        """What is going out: the open thought, or the text."""
        self.thought = _NONE
        """The last thought that went out."""
        self.seen = 0
        """Characters that came in, until it talks."""
        self.base = 0
        """How many of them are none of the text that goes out."""


class ThinkTagFilter:
    """Makes reasoning parts of what stands between tags.

    Args:
        tags: Pairs of an opening and a closing tag.
        implicit_open: Answers begin inside a thought, for the template opened it.
    """

    events: Final = frozenset(EVENT_TYPES) - {
        MessageStart,
        UsageUpdate,
        ServiceTier,
        Ping,
        MessageEnd,
    }

    def __init__(
        self, tags: Iterable[tuple[str, str]], *, implicit_open: bool = False
    ) -> None:
        pairs = [(opening, closing) for opening, closing in tags if opening and closing]
        self._pairs = tuple(
            (opening, Words((closing,)))
            for opening, closing in sorted(pairs, key=lambda pair: len(pair[0]))
        )
        self._closings = Words(closing for _, closing in pairs)
        self._implicit = implicit_open
        self._numbering = Numbering()
        self._begun: set[int] = set()
        self._texts: dict[int, _Text] = {}
        self._over: dict[int, _Text] = {}
        self._losses: dict[str, Loss] = {}

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Citations that came with thoughts and not with a text."""
        return tuple(self._losses.values())

    @property
    def held(self) -> int:
        """Characters held back now."""
        return sum(len(t.held) + len(t.finder.held) for t in self._texts.values())

    def __call__(self, event: Event) -> Sequence[Event]:
        """The events that are due now."""
        return _TAKE.get(type(event), ThinkTagFilter._on_named)(self, event)

    def _on_start(self, event: PartStart) -> Sequence[Event]:
        due: list[Event] = []
        choice, part = event.choice, event.part
        for text in self._texts.values():
            undecided = text.fresh and text.phase is _Phase.LOOKING
            if undecided and text.start.choice == choice:
                self._talk(text, due)
        implicit = self._implicit and choice not in self._begun
        self._begun.add(choice)
        if not isinstance(part, TextPart):
            self._numbering.start(event.index, choice)
            return [*due, *self._numbering.moved(event)]
        if not part.text:
            self._texts[event.index] = _Text(event, implicit)
            return due
        empty = PartStart(event.index, replace(part, text=""), choice)
        self._texts[event.index] = _Text(empty, implicit)
        return [*due, *self._on_text(TextDelta(event.index, part.text))]

    def _on_text(self, event: TextDelta) -> Sequence[Event]:
        text = self._texts.get(event.index)
        if text is None or text.phase is _Phase.TALKING:
            return self._numbering.moved(event)
        if not event.text:
            return self._wait(text, event) if text.fresh else ()
        text.seen += len(event.text)
        if text.fresh:
            text.waiting.append(event)
        due: list[Event] = []
        self._grow(text, event.text, due)
        return due

    def _grow(self, text: _Text, piece: str, due: list[Event]) -> None:
        while piece:
            if text.phase is _Phase.LOOKING:
                piece = self._look(text, piece, due)
            else:
                piece = self._think(text, piece, due)

    def _look(self, text: _Text, piece: str, due: list[Event]) -> str:
        """Go on until it is a thought or a text; what is left belongs to a thought."""
        text.held += piece
        bare = text.held.lstrip()
        if len(text.held) - len(bare) <= _PATIENCE:
            for opening, closing in self._pairs:
                if bare.startswith(opening):
                    self._enter(text, closing)
                    return bare[len(opening) :]
            if any(opening.startswith(bare) for opening, _ in self._pairs):
                return ""
        if text.implicit:
            held = text.held
            self._enter(text, self._closings)
            return held
        self._talk(text, due)
        return ""

    def _enter(self, text: _Text, closings: Words) -> None:
        """A thought begins; it goes out once there is anything in it."""
        text.phase = _Phase.THINKING
        text.finder = Finder(closings)
        text.held = ""
        text.fresh = text.implicit = False
        text.waiting = [e for e in text.waiting if not isinstance(e, TextDelta)]

    def _think(self, text: _Text, piece: str, due: list[Event]) -> str:
        """Go on until the thought ends; what is left stands behind it."""
        clear, closing, rest = text.finder.feed(piece)
        self._add(text, clear, due)
        if closing is not None:
            self._close(text, "complete", due)
        return rest

    def _add(self, text: _Text, clear: str, due: list[Event]) -> None:
        """Let the thought grow; it goes out with the first that is no white space."""
        if text.out == _NONE:
            text.held += clear
            if len(text.held) <= _PATIENCE and not text.held.strip():
                return
            clear = self._think_aloud(text, due)
        if clear:
            due.append(ReasoningDelta(text.out, clear))

    def _think_aloud(self, text: _Text, due: list[Event]) -> str:
        """The thought goes out, with the tokens that waited; its text so far."""
        choice = text.start.choice
        text.out = text.thought = self._numbering.add(choice)
        due.append(PartStart(text.out, ReasoningPart(), choice))
        waiting, text.waiting = text.waiting, []
        for event in waiting:
            if isinstance(event, LogprobsDelta):
                due.append(LogprobsDelta(text.out, event.tokens))
            else:
                text.waiting.append(event)
        held, text.held = text.held, ""
        return held

    def _close(
        self, text: _Text, status: Literal["complete", "incomplete"], due: list[Event]
    ) -> None:
        """The thought is over; what is behind it may be another."""
        if text.out != _NONE:
            due.append(PartEnd(text.out, status))
        text.phase = _Phase.LOOKING
        text.out = _NONE
        text.held = ""

    def _talk(self, text: _Text, due: list[Event]) -> None:
        """The text goes out, with all that waited."""
        index = text.start.index
        text.phase = _Phase.TALKING
        text.implicit = False
        text.base = text.seen - len(text.held)
        text.out = self._numbering.start(index, text.start.choice)
        due += self._numbering.moved(text.start)
        if text.held and not text.fresh:
            text.waiting.append(TextDelta(index, text.held))
        for event in text.waiting:
            due += self._placed(text, event)
        text.waiting, text.held = [], ""

    def _on_named(self, event: Event) -> Sequence[Event]:
        """What names a part and is not its growth."""
        index: int | None = getattr(event, "index", None)
        if index is None:
            return (event,)
        text = self._texts.get(index) or self._over.get(index)
        if text is None:
            return self._numbering.moved(event)
        if text.phase is _Phase.TALKING:
            return self._placed(text, event)
        if isinstance(event, LogprobsDelta) and text.out != _NONE:
            return (LogprobsDelta(text.out, event.tokens),)
        return self._wait(text, event)

    def _placed(self, text: _Text, event: Event) -> Sequence[Event]:
        """`event` at the part that goes out, if there is one that can have it."""
        if isinstance(event, CitationDelta):
            if text.out == _NONE:
                self._lose(text)
                return ()
            if text.base:
                cited = _moved_back(event.citation, text.base)
                event = CitationDelta(event.index, cited)
        return self._numbering.moved(event)

    def _lose(self, text: _Text) -> None:
        place = f"choices[{text.start.choice}]"
        if text.thought != _NONE:
            place = self._numbering.place(text.thought)
        self._losses[place] = Loss(
            path=f"{place}.citations",
            feature="citations",
            action="dropped",
            reason="they came with a thought, which cannot have them",
        )

    def _wait(self, text: _Text, event: Event) -> Sequence[Event]:
        """Keep `event` until its part goes out; too many of them decide."""
        text.waiting.append(event)
        due: list[Event] = []
        if len(text.waiting) > _WAITING:
            if text.phase is _Phase.LOOKING:
                self._talk(text, due)
            else:
                if text.out == _NONE:
                    self._add(text, self._think_aloud(text, due), due)
                self._yield_to_thought(text, due)
        return due

    def _yield_to_thought(self, text: _Text, due: list[Event]) -> None:
        """What waits for the text goes to the last thought."""
        index = text.start.index
        if text.thought != _NONE:
            self._numbering.alias(index, text.thought)
        out, text.out = text.out, _NONE
        for event in text.waiting:
            due += self._placed(text, event)
        text.waiting, text.out = [], out

    def _on_end(self, event: PartEnd) -> Sequence[Event]:
        text = self._texts.pop(event.index, None)
        if text is None:
            return self._numbering.moved(event)
        due: list[Event] = []
        self._finish(text, due)
        if text.out != _NONE:
            due += self._numbering.moved(event)
        if not text.fresh:
            self._over[event.index] = text
        return due

    def _finish(self, text: _Text, due: list[Event]) -> None:
        """No more text comes: give what is held, end a thought that is open."""
        if text.implicit and text.held.strip():
            held = text.held
            self._enter(text, self._closings)
            self._grow(text, held, due)
        while text.phase is _Phase.THINKING:
            clear, closing, rest = text.finder.finish()
            self._add(text, clear, due)
            self._close(text, "incomplete" if closing is None else "complete", due)
            self._grow(text, rest, due)
        if text.phase is _Phase.TALKING:
            return
        unsaid = text.waiting and text.thought == _NONE
        if text.fresh or text.held.strip() or unsaid:
            self._talk(text, due)
            return
        self._yield_to_thought(text, due)
        text.phase = _Phase.TALKING
        text.held = ""

    def _on_terminal(self, event: StreamEnd | StreamError) -> Sequence[Event]:
        due: list[Event] = []
        for text in self._texts.values():
            self._finish(text, due)
        self._texts.clear()
        return [*due, event]


def _moved_back(citation: Citation, by: int) -> Citation:
    """`citation` of a text that lost its first `by` characters."""
    start, end = citation.start, citation.end
    return replace(
        citation,
        start=None if start is None else max(0, start - by),
        end=None if end is None else max(0, end - by),
    )


_TAKE: Final[dict[type, Callable[[ThinkTagFilter, Any], Sequence[Event]]]] = {
    PartStart: ThinkTagFilter._on_start,
    TextDelta: ThinkTagFilter._on_text,
    PartEnd: ThinkTagFilter._on_end,
    StreamEnd: ThinkTagFilter._on_terminal,
    StreamError: ThinkTagFilter._on_terminal,
}
