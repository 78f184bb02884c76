"""Interleaved parts put one after the other, for dialects that know one open part.

Theory of operation: parts queue up in the order in which they started. The first in
the queue streams; what comes for the others waits, bounded, and follows at once when
their turn comes. Where a dialect has one answer only, the first choice that says
anything is it, and every other is dropped with one loss.
"""

from __future__ import annotations

from llmwire.events import (
    ArgumentsDelta,
    Event,
    Extra,
    MediaDelta,
    MessageEnd,
    OpaqueEvent,
    PartEnd,
    PartStart,
    ReasoningDelta,
    RefusalDelta,
    StreamError,
    TextDelta,
)
from llmwire.limits import Limits
from llmwire.losses import LossRecorder
from llmwire.messages import APIError


class _Queue:
    """Parts of one choice: the streaming one first, the waiting ones behind it."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: dict[int, list[Event] | None] = {}
        """Index -> what waits; None: it streams."""


class Sequencer:
    """Gives the events of a sentence in an order with one open part per choice.

    Events that the grammar does not allow (a part that never started, a second end)
    are left out, so that whatever comes in, a sentence comes out.
    """

    def __init__(
        self, losses: LossRecorder, limits: Limits, *, single: bool = True
    ) -> None:
        self._losses = losses
        self._limit = limits.arguments
        self._single = single
        self._held = 0
        self._queues: dict[int, _Queue] = {}
        self._choice_of: dict[int, int] = {}
        self._kept: int | None = None
        self._ended: set[int] = set()
        self._closed: set[int] = set()
        """Parts that ended before their turn came."""
        self._failed = False
        self.streaming: int | None = None
        """The only open part, while nothing waits: its deltas may bypass `send`."""

    def send(self, event: Event) -> list[Event]:
        """The events that are due now; none after too much had to wait."""
        if self._failed:
            return []
        if isinstance(event, PartStart):
            return self._start(event)
        if isinstance(event, PartEnd):
            return self._end(event)
        if isinstance(event, MessageEnd):
            return self._message_end(event)
        index: int | None = getattr(event, "index", None)
        if index is not None:
            return self._inside(index, event)
        if isinstance(event, Extra) and event.choice is not None:
            return [event] if self._keeps(event.choice) else []
        return [event]

    def _keeps(self, choice: int) -> bool:
        if not self._single:
            return True
        if self._kept is None:
            self._kept = choice
        if choice == self._kept:
            return True
        reason = "the dialect has one answer"
        self._losses.drop("choices", f"choices[{choice}]", reason)
        return False

    def _start(self, event: PartStart) -> list[Event]:
        known = event.index in self._choice_of or event.choice in self._ended
        if known or not self._keeps(event.choice):
            return []
        self._choice_of[event.index] = event.choice
        queue = self._queues.setdefault(event.choice, _Queue())
        if queue.waiting:
            held: list[Event] = []
            queue.waiting[event.index] = held
            self.streaming = None
            return self._wait(held, event)
        queue.waiting[event.index] = None
        self.streaming = event.index if len(self._queues) == 1 else None
        return [event]

    def _inside(self, index: int, event: Event) -> list[Event]:
        choice = self._choice_of.get(index)
        if choice is None:
            return []
        late = not isinstance(event, _GROWTH)
        if choice in self._ended:
            return [event] if isinstance(event, Extra) else []
        waiting = self._queues[choice].waiting
        if index not in waiting:
            return [event] if late else []
        held = waiting[index]
        if held is None:
            return [event]
        if index in self._closed and not late:
            return []
        return self._wait(held, event)

    def _wait(self, held: list[Event], event: Event) -> list[Event]:
        """Keep `event` for later; too much of it fails the stream."""
        held.append(event)
        self._held += _size(event)
        if self._held <= self._limit:
            return []
        self._failed = True
        message = "parallel parts exceed what may wait for its turn"
        return [StreamError(APIError(kind="bad_upstream", message=message, status=502))]

    def _end(self, event: PartEnd) -> list[Event]:
        choice = self._choice_of.get(event.index)
        if choice is None or event.index not in self._queues[choice].waiting:
            return []
        waiting = self._queues[choice].waiting
        held = waiting[event.index]
        if held is not None:
            if event.index in self._closed:
                return []
            self._closed.add(event.index)
            return self._wait(held, event)
        del waiting[event.index]
        return [event, *self._advance(choice)]

    def _advance(self, choice: int) -> list[Event]:
        """Let the next in the queue stream, and those behind it that have ended."""
        due: list[Event] = []
        waiting = self._queues[choice].waiting
        while waiting:
            index = next(iter(waiting))
            held = waiting[index] or []
            due += held
            self._held -= sum(map(_size, held))
            if index not in self._closed:
                waiting[index] = None
                break
            del waiting[index]
        single = len(waiting) == 1 and len(self._queues) == 1
        self.streaming = next(iter(waiting)) if single else None
        return due

    def _message_end(self, event: MessageEnd) -> list[Event]:
        choice = event.choice
        if choice in self._ended or not self._keeps(choice):
            return []
        due: list[Event] = []
        queue = self._queues.get(choice)
        while queue and queue.waiting:
            due += self._end(PartEnd(next(iter(queue.waiting)), "incomplete"))
        self._ended.add(choice)
        self.streaming = None
        return [*due, event]


_GROWTH = (
    TextDelta,
    ReasoningDelta,
    RefusalDelta,
    ArgumentsDelta,
    MediaDelta,
    OpaqueEvent,
)


def _size(event: Event) -> int:
    if isinstance(event, (TextDelta, ReasoningDelta, RefusalDelta, ArgumentsDelta)):
        return len(event.text)
    if isinstance(event, MediaDelta):
        return len(event.data)
    return 64
