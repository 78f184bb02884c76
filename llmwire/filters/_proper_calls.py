"""The calls that an answer makes properly, beside those that were written as text.

Knows the events of calls. A call that was made of text already is held back while it
comes properly with the same name, and left out if its arguments are the same too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from llmwire.events import ArgumentsDelta, Event, PartEnd, PartStart
from llmwire.filters._call_bodies._found import FoundCall
from llmwire.filters._numbering import Numbering
from llmwire.losses import Loss
from llmwire.messages import ToolCallPart

__all__ = ("ProperCalls",)


class _Call:
    __slots__ = ("choice", "held", "name", "pieces", "size")

    def __init__(self, part: ToolCallPart, choice: int) -> None:
        self.name = part.name
        self.choice = choice
        self.pieces = [part.arguments]
        self.size = len(part.arguments)
        self.held: list[Event] | None = None
        """Its events, while it may be one that was made already."""


class ProperCalls:
    """Follows the calls of one answer.

    Args:
        numbering: Where they go out.
        limit: Characters of a call that are remembered, and held back, at most.
    """

    def __init__(self, numbering: Numbering, limit: int) -> None:
        self.losses: tuple[Loss, ...] = ()
        """Calls that were left out."""
        self._numbering = numbering
        self._limit = limit
        self._open: dict[int, _Call] = {}
        self._proper: set[tuple[int, str, str]] = set()
        self._expected: set[tuple[int, str, str]] = set()
        self._names: set[tuple[int, str]] = set()
        """Of what is expected."""

    @property
    def held(self) -> int:
        """Characters held back now."""
        calls = self._open.values()
        return sum(each.size for each in calls if each.held is not None)

    def has(self, choice: int, call: FoundCall) -> bool:
        """Whether `choice` made `call` properly."""
        return (choice, *_canonical(call)) in self._proper

    def expect(self, choice: int, call: FoundCall) -> None:
        """`call` was made of text; it may come properly too."""
        self._expected.add((choice, *_canonical(call)))
        self._names.add((choice, call.name))

    def start(self, event: PartStart, part: ToolCallPart) -> Sequence[Event]:
        """A call begins."""
        self._open[event.index] = call = _Call(part, event.choice)
        if (event.choice, part.name) in self._names:
            call.held = [event]
            return ()
        self._numbering.start(event.index, event.choice)
        return self._numbering.moved(event)

    def grow(self, event: ArgumentsDelta) -> Sequence[Event]:
        """The arguments of a call grow."""
        call = self._open.get(event.index)
        if call is None:
            return self._numbering.moved(event)
        if call.size <= self._limit:
            call.size += len(event.text)
            call.pieces.append(event.text)
        if call.held is None:
            return self._numbering.moved(event)
        call.held.append(event)
        return self._released(call) if call.size > self._limit else ()

    def keeps(self, event: Event, index: int) -> bool:
        """Whether `event` names a call that is held back; then it is held too."""
        call = self._open.get(index)
        if call is None or call.held is None:
            return False
        call.held.append(event)
        return True

    def end(self, event: PartEnd) -> Sequence[Event]:
        """A part ends, maybe a call."""
        call = self._open.pop(event.index, None)
        if call is None:
            return self._numbering.moved(event)
        found = FoundCall(call.name, "".join(call.pieces))
        key = (call.choice, *_canonical(found))
        if call.held is not None and key in self._expected:
            dropped = Loss(
                path=f"choices[{call.choice}]",
                feature="filter.leaked_calls",
                action="dropped",
                reason=f"`{call.name}` was called again as it had been in text",
            )
            self.losses += (dropped,)
            return ()
        self._proper.add(key)
        return [*self._released(call), *self._numbering.moved(event)]

    def finish(self) -> list[Event]:
        """The stream is over: what is held."""
        calls, self._open = self._open, {}
        return [event for call in calls.values() for event in self._released(call)]

    def _released(self, call: _Call) -> list[Event]:
        due: list[Event] = []
        held, call.held = call.held or (), None
        for event in held:
            if isinstance(event, PartStart):
                self._numbering.start(event.index, event.choice)
            due += self._numbering.moved(event)
        return due


def _canonical(call: FoundCall) -> tuple[str, str]:
    """The name and the arguments of a call, however they are spelled."""
    try:
        value = json.loads(call.arguments.strip() or "{}")
        return call.name, json.dumps(value, sort_keys=True)
    except (ValueError, RecursionError):
        return call.name, call.arguments
