"""Tool calls that come again and again with the same results: found, steered, ended.

Knows requests, whose history holds the calls and their results, and the events of an
answer that goes on with it. What a loop is, is `ToolLoopDetector`'s business; it needs
neither.

Rules of the filter, beyond those of the detector:
1. The calls of the request come first, then those of the answer, choice by choice, each
   when it is complete. Their results are not known.
2. What is found is kept in `findings`. `report` does nothing else.
3. `cut` ends the choice with the call that makes the loop: it ends incomplete, so that
   nobody runs it, and so does all that is open; the stop is `max_tokens`, with one
   `Loss`. Where no other choice goes on, or is still expected, the answer ends there.
4. What the upstream still says in a choice that is over is left out, but for `Extra`.
5. `error` ends the whole answer there with a `StreamError`.
6. Everything else passes untouched; nothing is held back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct
from msgspec.structs import replace

from llmwire._json import encode
from llmwire._turns import REMINDER
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
    ServiceTier,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.filters._call_cycles import (
    POLL_TOOLS,
    ToolLoop,
    ToolLoopDetector,
    ToolLoopLevel,
    ToolLoopPolicy,
    Verdict,
)
from llmwire.filters._call_prints import PATH_KEYS, VOLATILE_KEYS, fingerprint
from llmwire.filters._chain import FilterFactory
from llmwire.filters._choice_cuts import ChoiceCuts
from llmwire.losses import Loss
from llmwire.messages import (
    APIError,
    MediaPart,
    Message,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.requests import Request

__all__ = (
    "PATH_KEYS",
    "POLL_TOOLS",
    "VOLATILE_KEYS",
    "ToolLoop",
    "ToolLoopAction",
    "ToolLoopDetector",
    "ToolLoopFilter",
    "ToolLoopFinding",
    "ToolLoopLevel",
    "ToolLoopPolicy",
    "Verdict",
    "find_tool_loop",
    "fingerprint",
    "history_of",
    "steer",
    "steering_text",
    "tool_loop_filter",
)

ToolLoopAction: TypeAlias = Literal["report", "cut", "error"]

_FINDINGS: Final = 64
"""Findings that are kept of one answer."""


def history_of(
    request: Request, policy: ToolLoopPolicy | None = None
) -> ToolLoopDetector:
    """A detector that knows the calls of `request` since the user last said something.

    A user turn without a result of a tool is something new; texts beside results are
    what programs add to them, and are not.

    Raises:
        LocalProtocolError: A number of `policy` is out of its range.
    """
    detector = ToolLoopDetector(policy)
    calls: list[tuple[ToolCallPart, ToolResultPart | None]] = []
    latest: dict[str, int] = {}
    for message in request.messages:
        if _is_new(message):
            calls, latest = [], {}
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                latest[part.call_id] = len(calls)
                calls.append((part, None))
            elif isinstance(part, ToolResultPart) and part.call_id in latest:
                at = latest.pop(part.call_id)
                calls[at] = (calls[at][0], part)
    for call, result in calls:
        text = None if result is None else _text_of(result)
        error = result is not None and result.error
        detector.note(call.name, call.arguments, text, error=error)
    return detector


def _is_new(message: Message) -> bool:
    """Whether the user said something in it."""
    results = any(isinstance(part, ToolResultPart) for part in message.parts)
    return message.role == "user" and bool(message.parts) and not results


def _text_of(result: ToolResultPart) -> str:
    """All of a result, in one text; marks and ids beside it left out."""
    return "\x1f".join(map(_content_of, result.parts))


def _content_of(part: Part) -> str:
    if isinstance(part, TextPart):
        return part.text
    if isinstance(part, MediaPart):
        part = MediaPart(kind=part.kind, source=part.source)
    bare = replace(part, id=None, group=None, cache=None)
    return f"{type(part).__name__} {encode(bare).decode()}"


def find_tool_loop(
    request: Request, policy: ToolLoopPolicy | None = None
) -> ToolLoop | None:
    """The loop in which the history of `request` ends; None: it gets on.

    Raises:
        LocalProtocolError: As `history_of`.
    """
    return history_of(request, policy).loop()


def steering_text(loop: ToolLoop) -> str:
    """What to tell a model that is in `loop`; none of the arguments are repeated."""
    return (
        f"You are repeating yourself: {loop}. Doing it again will not give anything "
        "new. Do not make the same call again. Say what you know so far and what is "
        "missing, then go on in another way, or ask the user."
    )


def steer(request: Request, loop: ToolLoop) -> Request:
    """`request` with a text that tells the model about `loop`.

    It stands at the end of the latest result, as a reminder: every dialect carries text
    there, models read it last, and no turn is added that some server would refuse
    (a user's turn right behind a result is, by some). Where the history ends without a
    result it is a turn of the user. Steered twice it says it once.
    """
    text = TextPart(REMINDER.format(steering_text(loop)))
    for at in range(len(request.messages) - 1, -1, -1):
        message = request.messages[at]
        results = [
            place
            for place, part in enumerate(message.parts)
            if isinstance(part, ToolResultPart)
        ]
        if results:
            parts = list(message.parts)
            parts[results[-1]] = _with_text(parts[results[-1]], text)
            changed = replace(message, parts=tuple(parts))
            messages = (*request.messages[:at], changed, *request.messages[at + 1 :])
            return replace(request, messages=messages)
        if message.role in ("user", "assistant"):
            break
    turn = Message(role="user", parts=(text,))
    if turn in request.messages[-1:]:
        return request
    return replace(request, messages=(*request.messages, turn))


def _with_text(result: Part, text: TextPart) -> Part:
    if isinstance(result, ToolResultPart) and text not in result.parts:
        return replace(result, parts=(*result.parts, text))
    return result


class ToolLoopFinding(Struct, frozen=True, gc=False):
    """A loop, and the call of the answer that makes it."""

    path: str
    """Of the call in the neutral answer: `choices[0].parts[1]`."""
    loop: ToolLoop


class ToolLoopFilter:
    """Reports answers that make the same calls again, or ends them.

    Args:
        action: What is done about a loop: `report`, `cut` or `error`.
        history: The calls before the answer.
        at: The level from which on it is done. All levels are reported.
        choices: How many choices were asked for.

    Raises:
        LocalProtocolError: `action` or `at` is none of the words.
    """

    events: Final = frozenset(EVENT_TYPES) - {
        MessageStart,
        UsageUpdate,
        ServiceTier,
        Ping,
    }

    def __init__(
        self,
        action: ToolLoopAction = "cut",
        *,
        history: ToolLoopDetector | None = None,
        at: ToolLoopLevel = "confirmed",
        choices: int = 1,
    ) -> None:
        _check_words(action, at)
        self.findings: tuple[ToolLoopFinding, ...] = ()
        """What was found, the first 64."""
        self.losses: tuple[Loss, ...] = ()
        """One for each choice that was cut."""
        self._action = action
        self._levels = ("confirmed",) if at == "confirmed" else get_args(ToolLoopLevel)
        self._history = history or ToolLoopDetector()
        self._detectors: dict[int, ToolLoopDetector] = {}
        self._cuts = ChoiceCuts(choices)
        self._calls: dict[int, tuple[ToolCallPart, list[str]]] = {}

    @property
    def ended(self) -> MessageEnd | None:
        """Set once the answer was ended here."""
        return self._cuts.ended

    def __call__(self, event: Event) -> Sequence[Event]:
        """The events that are due now."""
        if type(event) is TextDelta and not self._cuts.made:
            return (event,)
        take = _TAKE.get(type(event))
        return self._cuts.moved(event) if take is None else take(self, event)

    def _on_start(self, event: PartStart) -> Sequence[Event]:
        if not self._cuts.start(event):
            return ()
        if isinstance(event.part, ToolCallPart):
            self._calls[event.index] = (event.part, [event.part.arguments])
        return self._cuts.moved(event)

    def _on_arguments(self, event: ArgumentsDelta) -> Sequence[Event]:
        call = self._calls.get(event.index)
        if call is not None:
            call[1].append(event.text)
        return self._cuts.moved(event)

    def _on_end(self, event: PartEnd) -> Sequence[Event]:
        self._cuts.end(event)
        call = self._calls.pop(event.index, None)
        if call is None or event.status == "incomplete":
            return self._cuts.moved(event)
        part, pieces = call
        choice = self._cuts.choice_of(event.index)
        detector = self._detectors.get(choice)
        if detector is None:
            detector = self._detectors[choice] = self._history.copy()
        loop = detector.add(part.name, "".join(pieces))
        if loop is None:
            return self._cuts.moved(event)
        path = self._cuts.place(event.index)
        if len(self.findings) < _FINDINGS:
            self.findings += (ToolLoopFinding(path, loop),)
        if self._action == "report" or loop.level not in self._levels:
            return self._cuts.moved(event)
        if self._action == "error":
            message = f"the answer repeats itself: {loop}"
            error = APIError(kind="bad_upstream", message=message, status=502)
            return [StreamError(error)]
        ended = replace(event, status="incomplete")
        return [*self._cuts.moved(ended), *self._ended(choice, path, loop)]

    def _ended(self, choice: int, path: str, loop: ToolLoop) -> list[Event]:
        """`choice` is over, with all that is open in it."""
        ends: list[Event] = []
        for index in self._cuts.open_parts(choice):
            self._calls.pop(index, None)
            ends += self._cuts.moved(PartEnd(index, "incomplete"))
        cut = Loss(
            path=path,
            feature="filter.tool_loop",
            action="dropped",
            reason=f"the answer was cut where it repeats itself: {loop}",
        )
        self.losses += (cut,)
        return [*ends, *self._cuts.cut(choice)]

    def _on_message_end(self, event: MessageEnd) -> Sequence[Event]:
        return self._cuts.message_end(event)


_TAKE: Final[dict[type, Callable[[ToolLoopFilter, Any], Sequence[Event]]]] = {
    PartStart: ToolLoopFilter._on_start,
    ArgumentsDelta: ToolLoopFilter._on_arguments,
    PartEnd: ToolLoopFilter._on_end,
    MessageEnd: ToolLoopFilter._on_message_end,
}


def tool_loop_filter(
    action: ToolLoopAction = "report",
    *,
    at: ToolLoopLevel = "confirmed",
    policy: ToolLoopPolicy | None = None,
) -> FilterFactory:
    """A factory of `ToolLoopFilter` for requests, whose calls are the history.

    Raises:
        LocalProtocolError: As `ToolLoopFilter` and `ToolLoopDetector`, at once.
    """
    _check_words(action, at)
    known = ToolLoopDetector(policy).policy

    def make(request: Request) -> ToolLoopFilter | None:
        if not request.tools and not any(_has_calls(m) for m in request.messages):
            return None
        history = history_of(request, known)
        return ToolLoopFilter(action, history=history, at=at, choices=request.n or 1)

    return make


def _has_calls(message: Message) -> bool:
    return any(isinstance(part, ToolCallPart) for part in message.parts)


def _check_words(action: str, at: str) -> None:
    for word, kind in ((action, ToolLoopAction), (at, ToolLoopLevel)):
        if word not in get_args(kind):
            known = ", ".join(get_args(kind))
            raise LocalProtocolError(f"`{word}` is none of {known}")
