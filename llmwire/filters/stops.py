"""Stop sequences for servers that know none, or too few.

Knows visible text and nothing else of an answer: reasoning, refusals and arguments are
never looked at.

Rules:
1. The text of a part is cut where the first stop sequence begins, the longest of those
   that begin there. None of the sequence comes out. A sequence does not reach from one
   part into another.
2. Only text that can still become a stop sequence is held back, always less than the
   longest of them; the end of its part, or of the stream, releases it.
3. With the sequence the text part is complete and its choice is over: `stop_sequence`.
   Where no other choice goes on, or is still expected, the answer ends there.
4. What the upstream still says in a choice that is over is left out, but for `Extra`.
5. Log probabilities wait for the text they belong to. Those next to the cut are
   dropped, with one `Loss`.

Theory of operation: one `Finder` per open text part does the holding back. Tokens that
come while text is held are matched to it from the end, for a source tells them right
after the text: those that reach into held text wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from llmwire.errors import LocalProtocolError
from llmwire.events import (
    EVENT_TYPES,
    Event,
    Extra,
    LogprobsDelta,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    Ping,
    ServiceTier,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.filters._match import Finder, Words
from llmwire.filters._numbering import Numbering
from llmwire.losses import Loss
from llmwire.messages import TextPart, TokenLogprob

__all__ = ("StopFilter",)


class _Text:
    """One open text part."""

    __slots__ = ("choice", "finder", "index", "logged", "out", "tokens")

    def __init__(self, index: int, out: int, choice: int, words: Words) -> None:
        self.index = index
        self.out = out
        self.choice = choice
        self.finder = Finder(words)
        self.tokens: list[TokenLogprob] = []
        self.logged = False

    def ripe(self) -> list[Event]:
        """The tokens that wait and do not reach into the text that is held."""
        reach = len(self.finder.held)
        at = len(self.tokens)
        while at and reach > 0:
            at -= 1
            reach -= len(self.tokens[at].token) or 1
        ripe, self.tokens = self.tokens[:at], self.tokens[at:]
        return [LogprobsDelta(self.out, tuple(ripe))] if ripe else []


class StopFilter:
    """Ends a choice where its text meets a stop sequence.

    Args:
        stops: The sequences; empty ones are ignored.
        choices: How many choices were asked for.

    Raises:
        LocalProtocolError: `stops` is one text, not several.
    """

    events: Final = frozenset(EVENT_TYPES) - {
        MessageStart,
        UsageUpdate,
        ServiceTier,
        Ping,
    }

    def __init__(self, stops: Iterable[str], *, choices: int = 1) -> None:
        if isinstance(stops, str):
            raise LocalProtocolError("stop sequences are several texts, not one")
        self.ended: MessageEnd | None = None
        """Set once the answer was ended here."""
        self._words = Words(stops)
        self._expected = choices
        self._numbering = Numbering()
        self._texts: dict[int, _Text] = {}
        self._choice_of: dict[int, int] = {}
        self._over: dict[int, bool] = {}
        self._cut: dict[int, MessageEnd] = {}
        self._losses: list[Loss] = []

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Log probabilities that a cut took with it."""
        return tuple(self._losses)

    @property
    def held(self) -> int:
        """Characters of text held back now."""
        return sum(len(text.finder.held) for text in self._texts.values())

    def __call__(self, event: Event) -> Sequence[Event]:
        """The events that are due now."""
        return _TAKE.get(type(event), StopFilter._on_other)(self, event)

    def _on_start(self, event: PartStart) -> Sequence[Event]:
        self._choice_of[event.index] = event.choice
        self._over.setdefault(event.choice, False)
        if event.choice in self._cut:
            return ()
        out = self._numbering.start(event.index, event.choice)
        part = event.part
        if not isinstance(part, TextPart):
            return self._numbering.moved(event)
        self._texts[event.index] = _Text(event.index, out, event.choice, self._words)
        if not part.text:
            return self._numbering.moved(event)
        start = PartStart(out, replace(part, text=""), event.choice)
        return [start, *self._on_text(TextDelta(event.index, part.text))]

    def _on_text(self, event: TextDelta) -> Sequence[Event]:
        text = self._texts.get(event.index)
        if text is None:
            return self._on_other(event)
        clear, stop, _ = text.finder.feed(event.text)
        if stop is not None:
            return self._stopped(text, clear, stop)
        if clear == event.text and not text.tokens:
            return (event if text.out == event.index else TextDelta(text.out, clear),)
        return self._grown(text, clear)

    def _grown(self, text: _Text, clear: str) -> list[Event]:
        events: list[Event] = [TextDelta(text.out, clear)] if clear else []
        if not text.finder.held:
            events += text.ripe()
        return events

    def _on_logprobs(self, event: LogprobsDelta) -> Sequence[Event]:
        text = self._texts.get(event.index)
        if text is None:
            return self._on_other(event)
        text.logged = True
        if not text.finder.held:
            return self._numbering.moved(event)
        text.tokens += event.tokens
        return text.ripe()

    def _on_end(self, event: PartEnd) -> Sequence[Event]:
        text = self._texts.get(event.index)
        if text is None:
            return self._on_other(event)
        return self._released(text, self._numbering.moved(event))

    def _released(self, text: _Text, ends: Sequence[Event]) -> list[Event]:
        """What is held of `text`, and `ends` behind it; nothing more comes of it."""
        clear, stop, _ = text.finder.finish()
        if stop is not None:
            return self._stopped(text, clear, stop)
        del self._texts[text.index]
        return [*self._grown(text, clear), *ends]

    def _stopped(self, text: _Text, clear: str, stop: str) -> list[Event]:
        """`text` ends before `stop`, and its choice with it."""
        choice = text.choice
        self._texts = {
            index: each for index, each in self._texts.items() if each.choice != choice
        }
        if text.logged:
            place = self._numbering.place(text.out)
            self._losses.append(
                Loss(
                    path=f"{place}.logprobs",
                    feature="logprobs",
                    action="dropped",
                    reason="tokens next to the stop sequence were cut with it",
                )
            )
        end = MessageEnd("stop_sequence", None, stop, None, choice)
        self._cut[choice] = end
        self._over[choice] = True
        due: list[Event] = [TextDelta(text.out, clear)] if clear else []
        return [*due, PartEnd(text.out), *(self._finish(end) or [end])]

    def _finish(self, end: MessageEnd) -> list[Event]:
        """The end of the answer, if every choice that is expected is over."""
        if len(self._over) < self._expected or not all(self._over.values()):
            return []
        self.ended = end
        return [StreamEnd()]

    def _on_message_end(self, event: MessageEnd) -> Sequence[Event]:
        if event.choice in self._cut:
            return ()
        self._over[event.choice] = True
        if not self._cut:
            return (event,)
        return [event, *self._finish(next(iter(self._cut.values())))]

    def _on_terminal(self, event: StreamEnd | StreamError) -> Sequence[Event]:
        due: list[Event] = []
        for text in tuple(self._texts.values()):
            if text.index in self._texts:
                due += self._released(text, ())
        return due if self.ended else [*due, event]

    def _on_other(self, event: Event) -> Sequence[Event]:
        """Whatever names a choice that is over is left out, but for `Extra`."""
        index: int | None = getattr(event, "index", None)
        if index is not None and self._choice_of.get(index) in self._cut:
            return self._numbering.moved(event) if isinstance(event, Extra) else ()
        return self._numbering.moved(event)


_TAKE: Final[dict[type, Callable[[StopFilter, Any], Sequence[Event]]]] = {
    PartStart: StopFilter._on_start,
    TextDelta: StopFilter._on_text,
    LogprobsDelta: StopFilter._on_logprobs,
    PartEnd: StopFilter._on_end,
    MessageEnd: StopFilter._on_message_end,
    StreamEnd: StopFilter._on_terminal,
    StreamError: StopFilter._on_terminal,
}
