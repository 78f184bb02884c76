"""What every stream decoder must remember of its parts, in one place.

A decoder says what the wire said (`open`, `text`, `close`, `end` …); `PartTracker`
hands out indices, closes what must be closed first, applies the limits and counts what
the peer broke. Whatever is called in whatever order, the events it collects are a
sentence of `llmwire.grammar`.
"""

from __future__ import annotations

from msgspec import Raw

from llmwire._ids import mint_call
from llmwire._json import is_json
from llmwire.events import (
    ArgumentsDelta,
    Event,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    StreamEnd,
    StreamError,
)
from llmwire.limits import Limits
from llmwire.messages import (
    APIError,
    Part,
    ServerToolCallPart,
    StopDetail,
    StopReason,
    ToolCallPart,
    Usage,
)


def whole_arguments(text: str) -> bool:
    """Whether the arguments of a function call are complete: any JSON value.

    Empty text counts as `{}`: servers send it for calls without arguments.
    """
    return not text.strip() or is_json(text)


class PartTracker:
    """Indices, open parts, ended choices, limits and violations of one stream."""

    def __init__(self, dialect: str, limits: Limits, seed: str) -> None:
        self.dialect = dialect
        self.events: list[Event] = []
        """What was collected since the last `drain`."""
        self.violations: dict[str, int] = {}
        """How often the peer broke which rule."""
        self.started = False
        self.done = False
        self._limits = limits
        self._seed = seed
        self._count = 0
        self._calls_without_id = 0
        self._open: dict[int, tuple[int, Part]] = {}
        self._open_in: dict[int, dict[int, None]] = {}
        """Choice -> its open parts, oldest first."""
        self._arguments: dict[int, list[str]] = {}
        self._argument_size = 0
        self._choices: dict[int, bool] = {}

    def drain(self) -> list[Event]:
        """The events collected since the last call."""
        events, self.events = self.events, []
        return events

    def violation(self, rule: str) -> None:
        """Count one breach of `rule`."""
        self.violations[rule] = self.violations.get(rule, 0) + 1

    def start(
        self,
        id: str | None = None,
        model: str | None = None,
        created: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Emit `MessageStart`, once."""
        if not self.started and not self.done:
            self.started = True
            self.events.append(MessageStart(id, model, created, usage, self.dialect))

    def open(self, part: Part, choice: int = 0) -> int:
        """Start a part and return its index; -1 where its choice has ended."""
        if self.done:
            return -1
        self.start()
        if self._choices.setdefault(choice, False):
            self.violation("part-after-end")
            return -1
        if self._count >= self._limits.parts:
            self.fail_limit(f"more than {self._limits.parts} parts")
            return -1
        index = self._count
        self._count += 1
        self._open[index] = (choice, part)
        self._open_in.setdefault(choice, {})[index] = None
        if isinstance(part, (ToolCallPart, ServerToolCallPart)):
            self._arguments[index] = []
        self.events.append(PartStart(index, part, choice))
        return index

    def call_id(self, native: str | None) -> str:
        """`native`, or a minted id where the peer gave none."""
        if native:
            return native
        self._calls_without_id += 1
        return mint_call(self._seed, self._calls_without_id - 1)

    def is_open(self, index: int) -> bool:
        """Whether part `index` has started and not ended."""
        return index in self._open

    def part(self, index: int) -> Part:
        """The open part `index` as it started."""
        return self._open[index][1]

    def open_parts(self, choice: int | None = None) -> tuple[int, ...]:
        """Indices of the open parts (of `choice`), oldest first."""
        if choice is None:
            return tuple(self._open)
        return tuple(self._open_in.get(choice, ()))

    def emit(self, event: Event) -> None:
        """Collect a delta or other event, unless the stream is over.

        The caller vouches that it is legal here.
        """
        if not self.done:
            self.events.append(event)

    def arguments(self, index: int, text: str) -> None:
        """Grow the arguments of call `index`; empty text is nothing."""
        if self.done or not text or index not in self._arguments:
            return
        self._argument_size += len(text)
        if self._argument_size > self._limits.arguments:
            self.fail_limit(f"more than {self._limits.arguments} argument characters")
            return
        self._arguments[index].append(text)
        self.events.append(ArgumentsDelta(index, text))

    def arguments_so_far(self, index: int) -> str:
        """The arguments of open call `index`, joined."""
        pieces = self._arguments[index]
        if len(pieces) > 1:
            pieces[:] = ["".join(pieces)]
        return pieces[0] if pieces else ""

    def close(
        self, index: int, *, incomplete: bool = False, final: Part | None = None
    ) -> None:
        """End part `index`; nothing where it is not open.

        A function call is incomplete exactly when its arguments are no JSON value; of
        every other part `incomplete` decides. The caller vouches for `final`: it has
        the type of the part, which is a medium, a server tool's or opaque.
        """
        opened = self._open.pop(index, None)
        if opened is None:
            return
        del self._open_in[opened[0]][index]
        if self.done:
            return
        part = opened[1]
        if isinstance(part, ToolCallPart) and part.kind == "function":
            incomplete = not whole_arguments(self._pop_arguments(index))
        elif index in self._arguments:
            self._pop_arguments(index)
        status = "incomplete" if incomplete else "complete"
        self.events.append(PartEnd(index, status, final))  # type: ignore[arg-type]  # a Literal by construction

    def _pop_arguments(self, index: int) -> str:
        text = "".join(self._arguments.pop(index))
        self._argument_size -= len(text)
        return text

    def close_all(self, choice: int | None = None, *, incomplete: bool = False) -> None:
        """End every open part (of `choice`), oldest first."""
        for index in self.open_parts(choice):
            self.close(index, incomplete=incomplete)

    def ended(self, choice: int) -> bool:
        """Whether `choice` has had its `MessageEnd`."""
        return self._choices.get(choice, False)

    def end(
        self,
        stop: StopReason,
        raw: str | None = None,
        *,
        choice: int = 0,
        stop_sequence: str | None = None,
        detail: StopDetail | None = None,
    ) -> None:
        """End `choice`, closing its parts; a second end is swallowed and counted."""
        if self.done:
            return
        self.start()
        if self.ended(choice):
            self.violation("repeated-finish")
            return
        self.close_all(choice)
        self._choices[choice] = True
        self.events.append(MessageEnd(stop, raw, stop_sequence, detail, choice))

    def finish(self) -> None:
        """The proper end. Choices without a stop word get `other`, counted once."""
        if self.done:
            return
        self.start()
        missing = [c for c, ended in self._choices.items() if not ended]
        if not self._choices:
            missing = [0]
        if missing:
            self.violation("terminator-without-finish")
        for choice in missing:
            self.end("other", choice=choice)
        self.done = True
        self.events.append(StreamEnd())

    def fail(self, error: APIError) -> None:
        """The stream failed: terminal, once."""
        if not self.done:
            self.done = True
            self.events.append(StreamError(error))

    def fail_limit(self, what: str) -> None:
        """The peer sent more than allowed."""
        self.fail_upstream(f"the upstream sent {what}")

    def fail_upstream(self, message: str, raw: Raw | None = None) -> None:
        """The peer sent what is not its protocol."""
        self.fail(APIError(kind="bad_upstream", message=message, status=502, raw=raw))

    def fail_truncated(self) -> None:
        """The input ended before the message did."""
        message = "the upstream's stream ended before it was complete"
        self.fail(APIError(kind="truncated", message=message, status=502))
