"""Undoes what the translation of a request did to its tools.

Knows tool names as they were sent, and the two forms in which something else went as a
function: a custom tool with one member `input`, and a wanted JSON answer.

Rules:
1. A call under a name that was changed gets the name that the client knows.
2. A call of a custom tool that went as a function is a custom call again, with the text
   of `input`, decoded while it streams. It is complete if its arguments were one object
   with that one member and nothing else. What cannot be decoded is kept as it is, the
   call is incomplete, and a `Loss` says so.
3. A call of the tool that stands for a JSON answer is a text part with the arguments as
   its text. Where its choice made no other call, stop `tool_use` is `end`.
4. Everything else passes untouched.

Theory of operation: one `_Input` per custom call walks through `{"input":"`, the text,
and `"}`. Held are the opening, then the closing, until they are certain: `_PATIENCE`
characters, white space included; in between an escape that is not whole: eleven.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec.structs import replace

from llmwire.events import (
    ArgumentsDelta,
    Event,
    Extra,
    MessageEnd,
    OpaqueEvent,
    PartEnd,
    PartStart,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.filters._escapes import unescaped
from llmwire.filters._numbering import Numbering
from llmwire.losses import Loss
from llmwire.messages import TextPart, ToolCallPart

__all__ = ("UnwrapFilter",)

_PATIENCE: Final = 256
_BLANK: Final = "[ \t\n\r]*"
_OPENING: Final = re.compile(rf'{_BLANK}\{{{_BLANK}"input"{_BLANK}:{_BLANK}"')
_PARTIAL_OPENING: Final = re.compile(
    rf'{_BLANK}(?:\{{{_BLANK}(?:"(?:i(?:n(?:p(?:u(?:t(?:"{_BLANK}(?::{_BLANK})?)?)?)?)?)?)?)?)?\Z'
)
_CLOSING: Final = re.compile(rf'"{_BLANK}\}}{_BLANK}\Z')
_PARTIAL_CLOSING: Final = re.compile(rf'"{_BLANK}(?:\}}{_BLANK})?\Z')
_SPECIAL: Final = re.compile(r'["\\\x00-\x1f]')


class _Input:
    """Decodes `{"input": "text"}` while it comes."""

    __slots__ = ("_broken", "_state", "held")

    def __init__(self) -> None:
        self._state: Literal["opening", "inside", "closing", "refused"] = "opening"
        self._broken = False
        self.held = ""

    def feed(self, text: str) -> str:
        """The text that is certain now."""
        text = self.held + text
        self.held = ""
        if self._state == "refused":
            return text
        if self._state == "opening":
            opening = _OPENING.match(text)
            if opening is None or opening.end() > _PATIENCE:
                return self._wait(text, _PARTIAL_OPENING)
            self._state = "inside"
            text = text[opening.end() :]
        pieces: list[str] = []
        if self._state == "inside":
            text = self._decode(text, pieces)
        if self._state == "closing":
            pieces.append(self._wait(text, _PARTIAL_CLOSING))
        return "".join(pieces)

    def finish(self) -> tuple[str, bool]:
        """The arguments end: what is left as it is, and whether they were whole.

        Of a closing that is not whole nothing is left: it was no part of the text.
        """
        held, self.held = self.held, ""
        if self._state != "closing":
            return held, False
        return "", not self._broken and _CLOSING.match(held) is not None

    def _wait(self, text: str, partial: re.Pattern[str]) -> str:
        """Hold `text` while it can still become what is due, else give all of it."""
        if len(text) <= _PATIENCE and partial.match(text):
            self.held = text
            return ""
        self._state = "refused"
        return text

    def _decode(self, text: str, pieces: list[str]) -> str:
        """Decode the inside of a JSON string up to its end; what is behind is left."""
        at = 0
        while special := _SPECIAL.search(text, at):
            pieces.append(text[at : special.start()])
            at = special.start()
            if text[at] == '"':
                self._state = "closing"
                return text[at:]
            if text[at] == "\\":
                piece, after = unescaped(text, at)
                if piece is None:
                    self.held = text[at:]
                    return ""
                self._broken = self._broken or after == at + 1
            else:
                piece, after = text[at], at + 1
                self._broken = True
            pieces.append(piece)
            at = after
        pieces.append(text[at:])
        return ""


class UnwrapFilter:
    """Gives calls their names back, and what went as a function its own form.

    Args:
        names: Name as it was sent -> name that the client knows, where they differ.
        custom: Custom tools that went as functions, by either name.
        json_tool: The tool that stands for a JSON answer, by its name as sent.
    """

    def __init__(
        self,
        names: Mapping[str, str] | None = None,
        custom: Iterable[str] = (),
        json_tool: str | None = None,
    ) -> None:
        self._names = names or {}
        self._custom = frozenset(custom)
        self._json_tool = json_tool
        self.events: frozenset[type[Event]] = self._wanted()
        """What is looked at: only what the arguments make necessary."""
        self._inputs: dict[int, _Input] = {}
        self._answers: dict[int, bool] = {}
        """Whether the text that stands for a call has anything in it."""
        self._called: dict[int, bool] = {}
        self._places = Numbering()
        self._losses: list[Loss] = []

    def _wanted(self) -> frozenset[type[Event]]:
        if self._custom or self._json_tool is not None:
            return frozenset(_TAKE)
        return frozenset({PartStart} if self._names else ())

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Custom calls whose input could not be decoded."""
        return tuple(self._losses)

    @property
    def held(self) -> int:
        """Characters of arguments held back now."""
        return sum(len(each.held) for each in self._inputs.values())

    def __call__(self, event: Event) -> Sequence[Event]:
        """The events that are due now."""
        take = _TAKE.get(type(event))
        return (event,) if take is None else take(self, event)

    def _on_start(self, event: PartStart) -> Sequence[Event]:
        self._places.start(event.index, event.choice)
        part = event.part
        if not isinstance(part, ToolCallPart):
            return (event,)
        if part.kind == "function" and part.name == self._json_tool:
            return self._answer(event, part)
        self._called[event.choice] = True
        name = self._names.get(part.name, part.name)
        custom = part.name in self._custom or name in self._custom
        if part.kind == "function" and custom:
            self._inputs[event.index] = _Input()
            empty = replace(part, name=name, kind="custom", arguments="")
            start = PartStart(event.index, empty, event.choice)
            return [start, *self._grown(event.index, part.arguments)]
        if name == part.name:
            return (event,)
        return (PartStart(event.index, replace(part, name=name), event.choice),)

    def _answer(self, event: PartStart, part: ToolCallPart) -> Sequence[Event]:
        """The call stands for a text: nothing that belongs to a call is kept."""
        self._answers[event.index] = False
        self._called.setdefault(event.choice, False)
        text = TextPart("", signature=part.signature)
        start = PartStart(event.index, text, event.choice)
        return [start, *self._grown(event.index, part.arguments)]

    def _grown(self, index: int, text: str) -> Sequence[Event]:
        return self._on_arguments(ArgumentsDelta(index, text)) if text else ()

    def _on_arguments(self, event: ArgumentsDelta) -> Sequence[Event]:
        index = event.index
        if index in self._answers:
            self._answers[index] = self._answers[index] or bool(event.text.strip())
            return (TextDelta(index, event.text),)
        decoder = self._inputs.get(index)
        if decoder is None:
            return (event,)
        text = decoder.feed(event.text)
        return (ArgumentsDelta(index, text),) if text else ()

    def _on_end(self, event: PartEnd) -> Sequence[Event]:
        index = event.index
        if index in self._answers:
            empty = not self._answers[index]
            return [TextDelta(index, "{}"), event] if empty else [event]
        decoder = self._inputs.pop(index, None)
        if decoder is None:
            return (event,)
        left, whole = decoder.finish()
        due: list[Event] = [ArgumentsDelta(index, left)] if left else []
        if not whole:
            self._losses.append(self._undecoded(index))
        broken = not whole or event.status == "incomplete"
        return [*due, PartEnd(index, "incomplete" if broken else "complete")]

    def _undecoded(self, index: int) -> Loss:
        return Loss(
            path=f"{self._places.place(index)}.arguments",
            feature="tool.custom",
            action="approximated",
            reason="the arguments are not one text named `input`",
        )

    def _on_message_end(self, event: MessageEnd) -> Sequence[Event]:
        if event.stop == "tool_use" and self._called.get(event.choice) is False:
            return (replace(event, stop="end", raw=None),)
        return (event,)

    def _on_extra(self, event: Extra | OpaqueEvent) -> Sequence[Event]:
        """Members of a call mean nothing on a text."""
        return () if event.index in self._answers else (event,)

    def _on_terminal(self, event: StreamEnd | StreamError) -> Sequence[Event]:
        due: list[Event] = []
        for index, decoder in self._inputs.items():
            left, _ = decoder.finish()
            if left:
                due.append(ArgumentsDelta(index, left))
        self._inputs.clear()
        return [*due, event]


_TAKE: Final[dict[type[Event], Callable[[UnwrapFilter, Any], Sequence[Event]]]] = {
    PartStart: UnwrapFilter._on_start,
    ArgumentsDelta: UnwrapFilter._on_arguments,
    PartEnd: UnwrapFilter._on_end,
    Extra: UnwrapFilter._on_extra,
    OpaqueEvent: UnwrapFilter._on_extra,
    MessageEnd: UnwrapFilter._on_message_end,
    StreamEnd: UnwrapFilter._on_terminal,
    StreamError: UnwrapFilter._on_terminal,
}
