"""In which order events may come: one table, the rules it cannot say, a checker.

Knows the events and nothing of bytes or dialects.

Theory of operation: a sentence is a sequence of events. `TRANSITIONS` holds the three
states of a stream; `GrammarChecker` walks it and keeps, per part, the choice it belongs
to and whether it is open, and, per choice, whether it has ended.

Rules (the numbers are those of `docs/grammar.md`):
1. A part belongs to one choice. Indices are 0, 1, 2 … over all choices in the order of
   their `PartStart`. Several parts may be open.
2. A delta names an open part whose kind takes it.
3. Signatures, citations and log probabilities may also name a part that has ended,
   while its choice has not.
4. `MessageEnd` comes once per choice, with no part of it open; afterwards nothing names
   that choice but `Extra`.
5. `UsageUpdate`, `ServiceTier`, `Extra`, `OpaqueEvent` and `Ping` are legal anywhere in
   OPEN.
6. `StreamEnd` needs a `MessageEnd` for every choice that started a part, and at least
   one. Exactly one terminal event comes, last.
7. `PartEnd.final` is given for media, server-tool and opaque parts only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final

from llmwire.errors import LocalProtocolError
from llmwire.events import (
    EVENT_TYPES,
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
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.messages import (
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

__all__ = ("TAKES", "TRANSITIONS", "GrammarChecker", "State", "check")


class State(Enum):
    """Where a stream is."""

    IDLE = "idle"
    OPEN = "open"
    DONE = "done"


TRANSITIONS: Final[Mapping[State, Mapping[type[Event], State]]] = {
    State.IDLE: {
        MessageStart: State.OPEN,
        Ping: State.IDLE,
        StreamError: State.DONE,
    },
    State.OPEN: {
        **{
            kind: State.OPEN
            for kind in EVENT_TYPES
            if kind not in (MessageStart, StreamEnd, StreamError)
        },
        StreamEnd: State.DONE,
        StreamError: State.DONE,
    },
    State.DONE: {},
}
"""State -> event type -> next state; what is missing is illegal."""

TAKES: Final[Mapping[type[Event], tuple[type[Part], ...]]] = {
    TextDelta: (TextPart,),
    ReasoningDelta: (ReasoningPart,),
    RefusalDelta: (RefusalPart,),
    ArgumentsDelta: (ToolCallPart, ServerToolCallPart),
    MediaDelta: (MediaPart,),
}
"""Which kinds of part a delta can grow."""

_LATE: Final = (SignatureDelta, CitationDelta, LogprobsDelta)
_FINAL: Final = (MediaPart, ServerToolCallPart, ServerToolResultPart, OpaquePart)


class GrammarChecker:
    """Raises at the first event that is out of order."""

    def __init__(self) -> None:
        self.state = State.IDLE
        self._parts: list[tuple[type[Part], int]] = []
        self._open: set[int] = set()
        self._open_in: dict[int, int] = {}
        """Choice -> how many of its parts are open."""
        self._choices: set[int] = set()
        self._ended: set[int] = set()

    def check(self, event: Event) -> None:
        """Take one event.

        Raises:
            LocalProtocolError: It may not come here; names the rule.
        """
        kind = type(event)
        following = TRANSITIONS[self.state].get(kind)
        if following is None:
            raise LocalProtocolError(
                f"{kind.__name__} in state {self.state.name} (transition table)"
            )
        self._check_rules(event)
        self.state = following

    def _check_rules(self, event: Event) -> None:
        if isinstance(event, PartStart):
            self._check_start(event)
        elif isinstance(event, PartEnd):
            self._check_end(event)
        elif isinstance(event, MessageEnd):
            self._check_message_end(event)
        elif isinstance(event, StreamEnd):
            self._check_stream_end()
        elif isinstance(event, _LATE):
            self._check_late(event.index, type(event).__name__)
        elif isinstance(event, (Extra, OpaqueEvent)):
            if event.index is not None and not 0 <= event.index < len(self._parts):
                self._fail(2, f"{type(event).__name__} names an unknown part")
        else:
            takes = TAKES.get(type(event))
            if takes is not None:
                self._check_delta(event, takes)

    def _check_start(self, event: PartStart) -> None:
        if event.index != len(self._parts):
            self._fail(1, f"part {event.index} where {len(self._parts)} is next")
        if event.choice in self._ended:
            self._fail(4, f"PartStart after the end of choice {event.choice}")
        if isinstance(event.part, ToolResultPart):
            self._fail(1, "a tool result is no part of an answer")
        self._parts.append((type(event.part), event.choice))
        self._open.add(event.index)
        self._open_in[event.choice] = self._open_in.get(event.choice, 0) + 1
        self._choices.add(event.choice)

    def _check_delta(self, event: Event, takes: tuple[type[Part], ...]) -> None:
        index: int = getattr(event, "index")  # noqa: B009  every delta has one
        name = type(event).__name__
        if index not in self._open:
            self._fail(2, f"{name} for part {index}, which is not open")
        if not issubclass(self._parts[index][0], takes):
            self._fail(2, f"{name} for a {self._parts[index][0].__name__}")

    def _check_late(self, index: int, name: str) -> None:
        if not 0 <= index < len(self._parts):
            self._fail(3, f"{name} for part {index}, which never started")
        if self._parts[index][1] in self._ended:
            self._fail(3, f"{name} for part {index} after the end of its choice")

    def _check_end(self, event: PartEnd) -> None:
        if event.index not in self._open:
            self._fail(2, f"PartEnd for part {event.index}, which is not open")
        if event.final is not None:
            kind = self._parts[event.index][0]
            if not isinstance(event.final, _FINAL) or type(event.final) is not kind:
                self._fail(7, f"final {type(event.final).__name__} for {kind.__name__}")
        self._open.remove(event.index)
        self._open_in[self._parts[event.index][1]] -= 1

    def _check_message_end(self, event: MessageEnd) -> None:
        if event.choice in self._ended:
            self._fail(4, f"a second MessageEnd for choice {event.choice}")
        if self._open_in.get(event.choice):
            self._fail(4, f"MessageEnd with open parts in choice {event.choice}")
        self._ended.add(event.choice)

    def _check_stream_end(self) -> None:
        if not self._ended or self._choices - self._ended:
            self._fail(6, "StreamEnd without a MessageEnd for every choice")

    @staticmethod
    def _fail(rule: int, what: str) -> None:
        raise LocalProtocolError(f"{what} (rule {rule})")


def check(events: Iterable[Event], *, complete: bool = True) -> None:
    """Check a whole sentence.

    Args:
        events: The sentence.
        complete: It must also come to its end.

    Raises:
        LocalProtocolError: It breaks the grammar.
    """
    checker = GrammarChecker()
    for event in events:
        checker.check(event)
    if complete and checker.state is not State.DONE:
        raise LocalProtocolError("no terminal event (rule 6)")
