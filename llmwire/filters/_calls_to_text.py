"""Calls of an answer become markup in its text, for a client that reads only that.

Knows events, the markup and JSON objects; knows nothing of requests.

Rules:
1. A call is a text part of its own, on lines of its own. Its values are given while
   their JSON comes: strings as they are, anything else as JSON text.
2. A value that begins or ends with a line feed gets one more there, which readers take
   off again. Nothing else is added and nothing escaped: what the client takes for the
   end of a value that holds its own closing tag is the client's; a `Loss` says so.
3. A member that is null is left out where the parameter cannot be null, with a `Loss`.
4. A call that broke off, or whose arguments are no object, has no closing tag: no
   client runs it.
5. Where a choice may have one call only, further ones are dropped, each with a `Loss`.
6. A choice with calls that ended with `tool_use` ends with `end`; one with a call that
   broke off never ends properly: it says `max_tokens`.
7. Members and events of one dialect that name a call mean nothing on a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Extra,
    LogprobsDelta,
    MediaDelta,
    MessageEnd,
    OpaqueEvent,
    PartEnd,
    PartStart,
    ReasoningDelta,
    RefusalDelta,
    SignatureDelta,
    TextDelta,
)
from llmwire.filters._call_writer import CallWriter
from llmwire.filters._numbering import Numbering
from llmwire.filters._tool_markup import MarkupTool, Syntax
from llmwire.losses import Loss, LossAction
from llmwire.messages import TextPart, ToolCallPart

FEATURE: Final = "filter.virtual_tools"


class CallsToText:
    """Makes markup of calls.

    Args:
        tools: Those that the client knows.
        syntax: How it writes calls.
        one_call: A choice may have one call at most.
    """

    events: Final = frozenset(
        {
            ArgumentsDelta,
            CitationDelta,
            Extra,
            LogprobsDelta,
            MediaDelta,
            MessageEnd,
            OpaqueEvent,
            PartEnd,
            PartStart,
            ReasoningDelta,
            RefusalDelta,
            SignatureDelta,
            TextDelta,
        }
    )

    def __init__(
        self, tools: Iterable[MarkupTool], syntax: Syntax, *, one_call: bool = False
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._syntax = syntax
        self._one_call = one_call
        self._numbering = Numbering()
        self._open: dict[int, tuple[CallWriter, str, int]] = {}
        """Open calls, their places and choices."""
        self._was_call: set[int] = set()
        self._texts: dict[int, int] = {}
        """Open text parts and their choices."""
        self._last: dict[int, str] = {}
        """The last character of a choice's text so far."""
        self._called: dict[int, bool] = {}
        """Choices with calls, and whether all of these are whole."""
        self._losses: list[Loss] = []

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Calls that were dropped, and values that do not read as they were."""
        return tuple(self._losses)

    @property
    def held(self) -> int:
        """Characters held back now."""
        return sum(writer.held for writer, _, _ in self._open.values())

    def __call__(self, event: Event) -> Sequence[Event]:
        """The events that are due now."""
        return _TAKE.get(type(event), CallsToText._on_named)(self, event)

    def _on_start(self, event: PartStart) -> Sequence[Event]:
        part, choice = event.part, event.choice
        if isinstance(part, ToolCallPart):
            return self._on_call(event, part)
        self._numbering.start(event.index, choice)
        if isinstance(part, TextPart):
            self._texts[event.index] = choice
            self._last[choice] = part.text[-1:] or self._last.get(choice, "")
        return self._numbering.moved(event)

    def _on_call(self, event: PartStart, part: ToolCallPart) -> Sequence[Event]:
        choice = event.choice
        self._was_call.add(event.index)
        if choice in self._called and self._one_call:
            self._lose(f"choices[{choice}]", "dropped", "one call in a message is all")
            return ()
        self._called.setdefault(choice, True)
        tool = self._tools.get(part.name)
        writer = CallWriter(
            self._syntax,
            part.name,
            tool.parameters if tool else {},
            custom=part.kind == "custom",
        )
        place = self._numbering.place(self._numbering.start(event.index, choice))
        self._open[event.index] = writer, place, choice
        text = TextPart("", signature=part.signature)
        lines = "" if self._last.get(choice, "\n") in ("", "\n") else "\n\n"
        self._last[choice] = ">"
        opening = lines + writer.start() + writer.grow(part.arguments)
        return [
            *self._numbering.moved(PartStart(event.index, text, choice)),
            *self._numbering.moved(TextDelta(event.index, opening)),
        ]

    def _on_arguments(self, event: ArgumentsDelta) -> Sequence[Event]:
        opened = self._open.get(event.index)
        if opened is None:
            return self._numbering.moved(event)
        text = opened[0].grow(event.text)
        return self._numbering.moved(TextDelta(event.index, text)) if text else ()

    def _on_text(self, event: TextDelta) -> Sequence[Event]:
        if event.text:
            self._last[self._texts[event.index]] = event.text[-1]
        return self._numbering.moved(event)

    def _on_end(self, event: PartEnd) -> Sequence[Event]:
        self._texts.pop(event.index, None)
        due: list[Event] = []
        opened = self._open.pop(event.index, None)
        if opened is not None:
            writer, place, choice = opened
            whole = event.status == "complete"
            self._called[choice] = self._called[choice] and whole
            text = writer.finish(complete=whole)
            if text:
                due += self._numbering.moved(TextDelta(event.index, text))
            for action, reason in writer.changes:
                self._lose(place, action, reason)
        return [*due, *self._numbering.moved(event)]

    def _lose(self, place: str, action: LossAction, reason: str) -> None:
        self._losses.append(
            Loss(path=place, feature=FEATURE, action=action, reason=reason)
        )

    def _on_own(self, event: Extra | OpaqueEvent) -> Sequence[Event]:
        """What belongs to one dialect."""
        return () if event.index in self._was_call else self._numbering.moved(event)

    def _on_named(self, event: Event) -> Sequence[Event]:
        return self._numbering.moved(event)

    def _on_message_end(self, event: MessageEnd) -> Sequence[Event]:
        whole = self._called.get(event.choice)
        if whole is False and event.stop in ("end", "tool_use"):
            return (replace(event, stop="max_tokens", raw=None),)
        if whole and event.stop == "tool_use":
            return (replace(event, stop="end", raw=None),)
        return (event,)


_TAKE: Final[dict[type, Callable[[CallsToText, Any], Sequence[Event]]]] = {
    PartStart: CallsToText._on_start,
    TextDelta: CallsToText._on_text,
    ArgumentsDelta: CallsToText._on_arguments,
    PartEnd: CallsToText._on_end,
    MessageEnd: CallsToText._on_message_end,
    Extra: CallsToText._on_own,
    OpaqueEvent: CallsToText._on_own,
}
