"""Thinking between tags inside the text becomes reasoning parts, or is left out.

Knows the events and text; which tags there are is `THINK_TAGS`, where a thought begins
and ends is `ThoughtScanner`'s business.

Rules, beyond those of the scanner:
1. `move` makes reasoning parts of thoughts. `drop` leaves them out, with a `Loss` of
   the feature `filter.think` for each part that had any. `keep` changes nothing.
   All three note what they found in `findings`.
2. The text behind the thoughts is the part that came in: its id, group, signature,
   citations and extras stay with it. Log probabilities go to the part that is open when
   they come. A part that is nothing but thoughts gives all this to the last of them,
   except citations: they are dropped, with a `Loss`.
3. Only the first part of a choice opens implicitly, if it is text.
4. With `promote_if_no_content` a thought that never ended is said again as a text, if
   its choice ends without any content and it has at most `PROMOTED` characters.
5. At most `_WAITING` events wait for a part to begin, and one for each character of
   `retroactive`.

Theory of operation: while the scanner cannot tell what a part begins with, its
`PartStart` waits; another part of its choice, or too much that waits, decides for text.
Indices are counted anew as parts go out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from llmwire.filters._numbering import Numbering
from llmwire.filters._think_rules import rules_of
from llmwire.filters._think_scanner import Kind, Phase, Piece, ThoughtScanner
from llmwire.filters._think_tags import TagPair, tags_of
from llmwire.filters._thoughts import ThoughtFinding, ThoughtTrace
from llmwire.losses import Loss
from llmwire.messages import Citation, ReasoningPart, TextPart

__all__ = ("PROMOTED", "ThinkTagFilter")

PROMOTED: Final = 65536
"""Characters of a thought that may be said again as a text."""
_WAITING: Final = 1024
_NONE: Final = -1


class _Text:
    """A text part as it came in."""

    __slots__ = (
        "dropped",
        "fresh",
        "gaps",
        "kept",
        "out",
        "room",
        "scanner",
        "start",
        "stays",
        "talking",
        "thinking",
        "thought",
        "trace",
        "waiting",
    )

    def __init__(
        self, start: PartStart, scanner: ThoughtScanner, trace: ThoughtTrace
    ) -> None:
        self.start = start
        self.scanner = scanner
        self.trace = trace
        self.fresh = True
        """It goes out as it came in, if it turns out to be text."""
        self.talking = False
        """Its text goes out."""
        self.stays = False
        """It goes out as it came in, under the same index, and has begun to."""
        self.thinking = False
        """A thought that has content is open."""
        self.waiting: list[Event] = []
        """What names the part before it goes out."""
        self.out = _NONE
        """What is going out: the open thought, or the text."""
        self.thought = _NONE
        """The last thought that went out."""
        self.gaps: list[tuple[int, int]] = []
        """Where in what came in no text is, once it talks: places and sizes."""
        self.dropped = 0
        """Characters of thoughts that were left out."""
        self.kept: list[str] | None = None
        """The thought that is open, if it may be promoted."""
        self.room = PROMOTED
        """Characters that it may still grow by, until it may not."""

    def leave_out(self, size: int) -> None:
        """The next `size` characters that came in are no text."""
        at = self.trace.at
        if self.gaps and sum(self.gaps[-1]) == at:
            at, before = self.gaps.pop()
            size += before
        self.gaps.append((at, size))

    def moved(self, citation: Citation) -> Citation:
        """`citation` with its places in what goes out of the text."""
        return replace(
            citation, start=self._moved(citation.start), end=self._moved(citation.end)
        )

    def _moved(self, place: int | None) -> int | None:
        if place is None:
            return None
        return place - sum(
            min(max(place - start, 0), size) for start, size in self.gaps
        )


class ThinkTagFilter:
    """Makes reasoning parts of what stands between tags, or leaves it out.

    Args:
        tags: What stands around thoughts. Pairs with an empty tag are ignored.
        mode: `move` or `drop`.
        implicit_open: Answers begin inside a thought, for the template opened it.
        retroactive: Characters held back at the beginning of an answer, so that a
            closing tag without an opening can make a thought of them.
        tool_openers: What begins a call, and ends a thought that is open.
        trim: Line feeds around tags belong to them, and so does a tag said twice.
        promote_if_no_content: An answer that is nothing but a thought without an end
            is said again as a text.

    Raises:
        LocalProtocolError: A name in `tags` is unknown.
    """

    def __init__(
        self,
        tags: Iterable[TagPair],
        *,
        mode: Literal["move", "drop"] = "move",
        implicit_open: bool = False,
        retroactive: int = 0,
        tool_openers: Iterable[str] = (),
        trim: bool = False,
        promote_if_no_content: bool = False,
    ) -> None:
        pairs = [p for p in tags if not isinstance(p, tuple) or all(p)]
        self._rules = rules_of(tags_of(pairs), tuple(tool_openers), trim, retroactive)
        self.events: Final = _EVENTS | (
            {MessageEnd} if promote_if_no_content else set()
        )
        self._drop = mode == "drop"
        self._implicit = implicit_open
        self._promote = promote_if_no_content
        self._most_waiting = _WAITING + retroactive
        self._numbering = Numbering()
        self._incoming = Numbering()
        self._begun: set[int] = set()
        self._texts: dict[int, _Text] = {}
        self._latest: dict[int, _Text] = {}
        """By choice: the text that began last, which alone may not go out yet."""
        self._over: dict[int, _Text] = {}
        self._losses: dict[tuple[str, str], Loss] = {}
        self._findings: list[ThoughtFinding] = []
        self._spoken: set[int] = set()
        """Choices that have content."""
        self._unfinished: dict[int, str] = {}
        """By choice: the last thought that never ended."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Thoughts that were left out or said twice, citations without a text."""
        return tuple(self._losses.values())

    @property
    def findings(self) -> tuple[ThoughtFinding, ...]:
        """The thoughts that were found, the first 64."""
        return tuple(self._findings)

    @property
    def held(self) -> int:
        """Characters held back now."""
        return sum(text.scanner.held for text in self._texts.values())

    def __call__(self, event: Event) -> Sequence[Event]:
        """The events that are due now."""
        if type(event) is TextDelta:
            text = self._texts.get(event.index)
            if text is not None and text.stays and text.scanner.passes(event.text):
                return (event,)
        return _TAKE.get(type(event), ThinkTagFilter._on_named)(self, event)

    def _on_start(self, event: PartStart) -> Sequence[Event]:
        due: list[Event] = []
        choice, part = event.choice, event.part
        before = self._latest.pop(choice, None)
        if before is not None and before.fresh and not before.talking:
            self._settle(before, due)
        first = choice not in self._begun
        self._begun.add(choice)
        path = self._incoming.place(self._incoming.start(event.index, choice))
        if not isinstance(part, TextPart):
            if not isinstance(part, ReasoningPart):
                self._spoken.add(choice)
            self._numbering.start(event.index, choice)
            return [*due, *self._numbering.moved(event)]
        scanner = ThoughtScanner(
            self._rules, implicit=self._implicit and first, first=first
        )
        empty = PartStart(event.index, replace(part, text=""), choice)
        trace = ThoughtTrace(path, self._findings)
        text = self._texts[event.index] = _Text(empty, scanner, trace)
        self._latest[choice] = text
        if part.text:
            due += self._on_text(TextDelta(event.index, part.text))
        return due

    def _on_text(self, event: TextDelta) -> Sequence[Event]:
        text = self._texts.get(event.index)
        if text is None or (text.talking and text.scanner.idle):
            return self._numbering.moved(event)
        if text.talking and text.fresh:
            text.scanner.overhear(event.text)
            return self._numbering.moved(event)
        if not event.text and not text.talking:
            return self._wait(text, event) if text.fresh else ()
        due: list[Event] = []
        if text.thinking and text.scanner.is_thought(event.text):
            self._give(text, Kind.THOUGHT, event.text, due)
            return due
        if not text.talking and text.fresh:
            text.waiting.append(event)
        self._take(text, text.scanner.feed(event.text), due)
        if len(text.waiting) > self._most_waiting:
            self._decide(text, due)
        return due

    def _take(self, text: _Text, pieces: Sequence[Piece], due: list[Event]) -> None:
        """Send on what the scanner told apart."""
        if text.fresh and text.scanner.fresh:
            if text.scanner.phase is Phase.TALKING and not text.talking:
                self._talk(text, due)
            return
        if text.fresh:
            text.fresh = False
            text.waiting = [e for e in text.waiting if not isinstance(e, TextDelta)]
        for kind, piece in pieces:
            self._give(text, kind, piece, due)

    def _give(self, text: _Text, kind: Kind, piece: str, due: list[Event]) -> None:
        if kind is not Kind.TEXT:
            text.leave_out(len(piece))
        text.trace.note(kind, piece)
        give = _GIVE.get(kind)
        if give is not None:
            give(self, text, piece, due)

    def _on_open(self, text: _Text, piece: str, due: list[Event]) -> None:
        """A thought goes out, with the tokens that waited."""
        text.thinking = True
        text.kept = [] if self._promote else None
        text.room = PROMOTED
        tokens = [e for e in text.waiting if isinstance(e, LogprobsDelta)]
        text.waiting = [e for e in text.waiting if not isinstance(e, LogprobsDelta)]
        if self._drop:
            return
        choice = text.start.choice
        text.out = text.thought = self._numbering.add(choice)
        due.append(PartStart(text.out, ReasoningPart(), choice))
        due += [LogprobsDelta(text.out, event.tokens) for event in tokens]

    def _on_thought(self, text: _Text, piece: str, due: list[Event]) -> None:
        if text.kept is not None:
            text.kept.append(piece)
            text.room -= len(piece)
            if text.room < 0:
                text.kept = None
        if self._drop:
            text.dropped += len(piece)
        else:
            due.append(ReasoningDelta(text.out, piece))

    def _on_close(self, text: _Text, piece: str, due: list[Event]) -> None:
        self._end_thought(text, "complete", due)

    def _on_break(self, text: _Text, piece: str, due: list[Event]) -> None:
        if text.kept is not None:
            self._unfinished[text.start.choice] = "".join(text.kept)
        self._end_thought(text, "incomplete", due)

    def _end_thought(
        self, text: _Text, status: Literal["complete", "incomplete"], due: list[Event]
    ) -> None:
        if text.out != _NONE:
            due.append(PartEnd(text.out, status))
        text.out = _NONE
        text.thinking = False

    def _on_words(self, text: _Text, piece: str, due: list[Event]) -> None:
        if not text.talking:
            self._talk(text, due)
        due += self._numbering.moved(TextDelta(text.start.index, piece))

    def _talk(self, text: _Text, due: list[Event]) -> None:
        """The text goes out, with all that waited."""
        text.talking = True
        choice = text.start.choice
        self._spoken.add(choice)
        text.out = self._numbering.start(text.start.index, choice)
        text.stays = text.fresh and text.out == text.start.index
        due += self._numbering.moved(text.start)
        waiting, text.waiting = text.waiting, []
        for event in waiting:
            due += self._placed(text, event)

    def _settle(self, text: _Text, due: list[Event]) -> None:
        """It is a text from here on; no thought is open in it."""
        self._take(text, text.scanner.settle(), due)
        if not text.talking:
            self._talk(text, due)

    def _on_named(self, event: Event) -> Sequence[Event]:
        """What names a part and is not its growth."""
        index: int | None = getattr(event, "index", None)
        if index is None:
            return (event,)
        text = self._texts.get(index) or self._over.get(index)
        if text is None:
            return self._numbering.moved(event)
        if text.talking:
            return self._placed(text, event)
        if isinstance(event, LogprobsDelta) and text.thinking:
            return () if self._drop else (LogprobsDelta(text.out, event.tokens),)
        return self._wait(text, event)

    def _placed(self, text: _Text, event: Event) -> Sequence[Event]:
        """`event` at the part that goes out, if there is one that can have it."""
        if isinstance(event, CitationDelta):
            if text.out == _NONE:
                self._lose_citations(text)
                return ()
            if text.gaps:
                event = CitationDelta(event.index, text.moved(event.citation))
        return self._numbering.moved(event)

    def _lose_citations(self, text: _Text) -> None:
        place = f"choices[{text.start.choice}]"
        if text.thought != _NONE:
            place = self._numbering.place(text.thought)
        self._lose(
            f"{place}.citations",
            "citations",
            "they came with a thought, which cannot have them",
        )

    def _lose(
        self,
        path: str,
        feature: str,
        reason: str,
        action: Literal["dropped", "emulated"] = "dropped",
    ) -> None:
        loss = Loss(path=path, feature=feature, action=action, reason=reason)
        self._losses[path, feature] = loss

    def _wait(self, text: _Text, event: Event) -> Sequence[Event]:
        """Keep `event` until its part goes out; too many of them decide."""
        text.waiting.append(event)
        due: list[Event] = []
        if len(text.waiting) > self._most_waiting:
            self._decide(text, due)
        return due

    def _decide(self, text: _Text, due: list[Event]) -> None:
        """Too much waits: send it on."""
        if text.scanner.phase is not Phase.THINKING:
            self._settle(text, due)
            return
        self._take(text, text.scanner.speak_up(), due)
        self._yield_to_thought(text, due)

    def _yield_to_thought(self, text: _Text, due: list[Event]) -> None:
        """What waits for the text goes to the last thought."""
        index = text.start.index
        if text.thought != _NONE:
            self._numbering.alias(index, text.thought)
        out, text.out = text.out, _NONE
        waiting, text.waiting = text.waiting, []
        for event in waiting:
            due += self._placed(text, event)
        text.out = out

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
        self._take(text, text.scanner.finish_thoughts(), due)
        nothing = text.thought == _NONE and not text.dropped
        unsaid = nothing and bool(text.waiting)
        self._take(text, text.scanner.finish(keep=unsaid), due)
        text.trace.finish(text.scanner)
        if text.dropped:
            reason = f"{text.dropped} characters of thinking were left out"
            self._lose(text.trace.path, "filter.think", reason)
        if text.talking:
            return
        if unsaid:
            self._talk(text, due)
            return
        self._yield_to_thought(text, due)
        text.talking = True

    def _on_message_end(self, event: MessageEnd) -> Sequence[Event]:
        choice = event.choice
        thought = self._unfinished.pop(choice, "")
        if choice in self._spoken or not thought:
            return (event,)
        out = self._numbering.add(choice)
        reason = "the answer is nothing but a thought, and is said again as a text"
        place = self._numbering.place(out)
        self._lose(place, "filter.think", reason, "emulated")
        return (
            PartStart(out, TextPart(""), choice),
            TextDelta(out, thought),
            PartEnd(out, "complete" if event.stop == "end" else "incomplete"),
            event,
        )

    def _on_terminal(self, event: StreamEnd | StreamError) -> Sequence[Event]:
        due: list[Event] = []
        for text in self._texts.values():
            self._finish(text, due)
        self._texts.clear()
        return [*due, event]


_EVENTS: Final = frozenset(EVENT_TYPES) - {
    MessageStart,
    UsageUpdate,
    ServiceTier,
    Ping,
    MessageEnd,
}
_GIVE: Final[dict[Kind, Callable[[ThinkTagFilter, _Text, str, list[Event]], None]]] = {
    Kind.OPEN: ThinkTagFilter._on_open,
    Kind.THOUGHT: ThinkTagFilter._on_thought,
    Kind.CLOSE: ThinkTagFilter._on_close,
    Kind.CALL: ThinkTagFilter._on_close,
    Kind.BREAK: ThinkTagFilter._on_break,
    Kind.TEXT: ThinkTagFilter._on_words,
}
_TAKE: Final[dict[type, Callable[[ThinkTagFilter, Any], Sequence[Event]]]] = {
    PartStart: ThinkTagFilter._on_start,
    TextDelta: ThinkTagFilter._on_text,
    PartEnd: ThinkTagFilter._on_end,
    MessageEnd: ThinkTagFilter._on_message_end,
    StreamEnd: ThinkTagFilter._on_terminal,
    StreamError: ThinkTagFilter._on_terminal,
}
