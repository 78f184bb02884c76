"""Calls that stand as markup in the text of an answer become parts of their own.

Knows events and the reader of markup; knows nothing of requests.

Rules:
1. The text of a part is cut where a call stands. The first piece of text is the part
   that came in, with its id, group, signature and extras; a part with calls and no text
   gives these to its last call. Parts without calls pass as they are.
2. Ids of calls are `call_{turn}_{n}`, `n` counting over the whole answer, those left
   out that are taken.
3. A choice with a call that broke off, and no other reason to stop, ends as if the
   token limit had been met; one with complete calls only ends with `tool_use`.
4. Citations count characters of a text that is not the same any more: they lose their
   places where a call stood before them, and are dropped where there is no text, each
   with a `Loss`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from msgspec.structs import replace

from llmwire.events import (
    EVENT_TYPES,
    ArgumentsDelta,
    CitationDelta,
    Event,
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
from llmwire.filters._numbering import Numbering
from llmwire.filters._tool_call import Arguments, CallEnd, CallStart, Token
from llmwire.filters._tool_reader import MarkupReader
from llmwire.filters._tool_tags import Markup
from llmwire.losses import Loss, LossAction
from llmwire.messages import TextPart, ToolCallPart

FEATURE: Final = "filter.virtual_tools"
_WAITING: Final = 1024
"""Events that wait for a part to begin, at most."""
_NONE: Final = -1


class _Text:
    """A text part as it came in."""

    __slots__ = ("home", "open", "reader", "split", "start", "waiting")

    def __init__(self, start: PartStart, markup: Markup) -> None:
        self.start = start
        self.reader = MarkupReader(markup)
        self.waiting: list[Event] | None = []
        """What names the part before it goes out; None once it does."""
        self.open = _NONE
        """The text or call that is going out."""
        self.home = _NONE
        """The last text of it that went out."""
        self.split = False
        """A call was found in it."""


class TextToCalls:
    """Makes calls of the markup in texts.

    Args:
        markup: The tags of the tools that may be called.
        turn: Number of the answer, for the ids of its calls.
        taken: Ids that are taken already.
    """

    events: Final = frozenset(EVENT_TYPES) - {
        MessageStart,
        UsageUpdate,
        ServiceTier,
        Ping,
    }

    def __init__(self, markup: Markup, turn: int, taken: Collection[str] = ()) -> None:
        self._markup = markup
        self._turn = turn
        self._taken = frozenset(taken)
        self._count = 0
        self._numbering = Numbering()
        self._texts: dict[int, _Text] = {}
        self._latest: dict[int, _Text] = {}
        """By choice: the text that began last, which alone may not go out yet."""
        self._over: dict[int, _Text] = {}
        self._called: dict[int, bool] = {}
        """Choice -> whether all of its calls are complete."""
        self._losses: dict[str, Loss] = {}

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Citations, and values that were too long to wait for."""
        return tuple(self._losses.values())

    @property
    def held(self) -> int:
        """Characters held back now, but for those of values that wait."""
        return sum(text.reader.held for text in self._texts.values())

    def __call__(self, event: Event) -> Sequence[Event]:
        """The events that are due now."""
        if type(event) is TextDelta and event.text:
            text = self._texts[event.index]
            if text.open == event.index and text.reader.passes(event.text):
                return (event,)
        return _TAKE.get(type(event), TextToCalls._on_named)(self, event)

    def _on_start(self, event: PartStart) -> Sequence[Event]:
        due: list[Event] = []
        before = self._latest.pop(event.choice, None)
        if before is not None and before.waiting is not None and not before.split:
            self._go(before, due)
        part = event.part
        if not isinstance(part, TextPart):
            self._numbering.start(event.index, event.choice)
            return [*due, *self._numbering.moved(event)]
        start = PartStart(event.index, replace(part, text=""), event.choice)
        self._texts[event.index] = text = _Text(start, self._markup)
        self._latest[event.choice] = text
        return [*due, *self._grown(text, text.reader.feed(part.text))]

    def _on_text(self, event: TextDelta) -> Sequence[Event]:
        text = self._texts[event.index]
        return self._grown(text, text.reader.feed(event.text))

    def _grown(self, text: _Text, tokens: Sequence[Token]) -> list[Event]:
        due: list[Event] = []
        for token in tokens:
            if isinstance(token, str):
                self._say(text, token, due)
            elif isinstance(token, CallStart):
                self._call(text, token, due)
            elif isinstance(token, Arguments):
                due.append(ArgumentsDelta(text.open, token.text))
            else:
                self._end_call(text, token, due)
        return due

    def _go(self, text: _Text, due: list[Event]) -> None:
        """The part that came in goes out, with all that waited."""
        waiting, text.waiting = text.waiting or [], None
        text.open = text.home = self._numbering.start(
            text.start.index, text.start.choice
        )
        due += self._numbering.moved(text.start)
        for event in waiting:
            due += self._placed(text, event)

    def _say(self, text: _Text, piece: str, due: list[Event]) -> None:
        if text.waiting is not None:
            self._go(text, due)
        elif text.open == _NONE:
            choice = text.start.choice
            text.open = text.home = self._numbering.add(choice)
            self._numbering.alias(text.start.index, text.home)
            due.append(PartStart(text.home, TextPart(""), choice))
        due.append(TextDelta(text.open, piece))

    def _call(self, text: _Text, token: CallStart, due: list[Event]) -> None:
        if text.open != _NONE:
            due.append(PartEnd(text.open))
        choice = text.start.choice
        text.split = True
        text.open = self._numbering.add(choice)
        part = ToolCallPart(
            call_id=self._mint(),
            name=token.name,
            kind="custom" if token.custom else "function",
        )
        due.append(PartStart(text.open, part, choice))
        if text.home == _NONE:
            self._numbering.alias(text.start.index, text.open)

    def _mint(self) -> str:
        while True:
            call_id = f"call_{self._turn}_{self._count}"
            self._count += 1
            if call_id not in self._taken:
                return call_id

    def _end_call(self, text: _Text, token: CallEnd, due: list[Event]) -> None:
        choice = text.start.choice
        whole = self._called.get(choice, True) and token.complete
        self._called[choice] = whole
        due.append(PartEnd(text.open, "complete" if token.complete else "incomplete"))
        if token.long:
            what = "a value was too long to wait for its end: it is a string"
            place = f"{self._numbering.place(text.open)}.arguments"
            self._lose(place, "approximated", what)
        text.open = _NONE

    def _lose(self, place: str, action: LossAction, reason: str) -> None:
        self._losses[place] = Loss(
            path=place, feature=FEATURE, action=action, reason=reason
        )

    def _on_named(self, event: Event) -> Sequence[Event]:
        """What names a part and is not its growth."""
        index: int | None = getattr(event, "index", None)
        if index is None:
            return (event,)
        text = self._texts.get(index) or self._over.get(index)
        if text is None:
            return self._numbering.moved(event)
        if text.waiting is None:
            return self._placed(text, event)
        text.waiting.append(event)
        due: list[Event] = []
        if len(text.waiting) > _WAITING:
            self._release(text, due)
        return due

    def _release(self, text: _Text, due: list[Event]) -> None:
        """What waits goes to a call if there was one, else the part goes out."""
        if not text.split:
            self._go(text, due)
            return
        for event in text.waiting or ():
            due += self._placed(text, event)
        text.waiting = []

    def _placed(self, text: _Text, event: Event) -> Sequence[Event]:
        """`event` at what goes out of the part that it names."""
        if isinstance(event, CitationDelta) and text.split:
            place = f"choices[{text.start.choice}].citations"
            if text.home == _NONE:
                self._lose(place, "dropped", "there is no text beside the call")
                return ()
            self._lose(place, "approximated", "the text was cut at a call")
            cited = replace(event.citation, start=None, end=None)
            event = CitationDelta(event.index, cited)
        return self._numbering.moved(event)

    def _on_end(self, event: PartEnd) -> Sequence[Event]:
        text = self._texts.pop(event.index, None)
        if text is None:
            return self._numbering.moved(event)
        due = self._finished(text)
        if text.waiting is not None:
            self._release(text, due)
        if text.open != _NONE:
            due.append(PartEnd(text.open, event.status))
            text.open = _NONE
        if text.split:
            text.waiting = None
            self._over[event.index] = text
        return due

    def _finished(self, text: _Text) -> list[Event]:
        return self._grown(text, text.reader.finish())

    def _on_message_end(self, event: MessageEnd) -> Sequence[Event]:
        whole = self._called.get(event.choice)
        if whole is None or event.stop not in _ORDINARY:
            return (event,)
        stop: Any = "tool_use" if whole else "max_tokens"
        return (replace(event, stop=stop, raw=None, stop_sequence=None),)

    def _on_terminal(self, event: StreamEnd | StreamError) -> Sequence[Event]:
        due: list[Event] = []
        for text in self._texts.values():
            due += self._finished(text)
            if text.waiting is not None and not text.split:
                self._go(text, due)
        self._texts.clear()
        return [*due, event]


_ORDINARY: Final = frozenset({"end", "stop_sequence", "tool_use", "other"})

_TAKE: Final[dict[type, Callable[[TextToCalls, Any], Sequence[Event]]]] = {
    PartStart: TextToCalls._on_start,
    TextDelta: TextToCalls._on_text,
    PartEnd: TextToCalls._on_end,
    MessageEnd: TextToCalls._on_message_end,
    StreamEnd: TextToCalls._on_terminal,
    StreamError: TextToCalls._on_terminal,
}
