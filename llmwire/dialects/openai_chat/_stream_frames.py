"""Frames of a Chat stream: the bytes around what a part says.

Knows the members of a chunk and how they are put into bytes; nothing of the order in
which parts come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from llmwire._json import encode
from llmwire.messages import (
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
)

_NOTHING: Final[Mapping[str, Any]] = {}


class Piece:
    """A part that has started."""

    __slots__ = (
        "before",
        "behind",
        "choice",
        "field",
        "grown",
        "number",
        "open",
        "part",
        "place",
        "segment",
        "shown",
        "start",
        "stop",
        "texts",
    )

    def __init__(self, part: Part, choice: Answer, place: str) -> None:
        self.part = part
        self.choice = choice
        self.place = place
        self.before = b""
        self.behind = b""
        self.number = 0
        self.open = True
        self.grown = False
        """Some text of it was written."""
        self.shown = False
        """Something of it was written."""
        self.segment: int | None = None
        """Number of the summary of a thought that grew last."""
        self.field = ""
        self.start = self.stop = 0
        """Where a text begins in its answer, and where it ended."""
        self.texts: list[str] | None = None


class Answer:
    """One answer."""

    __slots__ = (
        "calls",
        "citations",
        "ended",
        "gap",
        "index",
        "mused",
        "ours",
        "parts",
        "phase",
        "refusals",
        "shown",
        "size",
        "texts",
        "thoughts",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.parts = 0
        self.calls = 0
        self.citations = 0
        self.texts = 0
        self.phase: str | None = None
        """Of its last text."""
        self.size = 0
        """Characters of its text so far."""
        self.thoughts = 0
        self.ours = False
        """The state of a thought was written in an entry of our own format."""
        self.mused = False
        """Some thinking was said in a plain field."""
        self.gap = False
        """A blank line stands before the next thought."""
        self.refusals = 0
        self.shown = False
        self.ended = False


class Frames:
    """Builds frames; `members` are those that every one of them has."""

    def __init__(self, include_usage: bool) -> None:
        self.members: dict[str, Any] = {}
        self._head = b""
        self._foot = b',"usage":null}\n\n' if include_usage else b"}\n\n"

    def make_head(self, parts: Iterable[Piece]) -> None:
        """Build the bytes before the choices, after `members` changed."""
        head = one_line(encode(self.members)[:-1])
        self._head = b"data: " + head + b',"choices":['
        for part in parts:
            if part.before:
                self.make_way(part)

    def frame(
        self,
        choice: Answer,
        delta: Any,
        finish: str | None = None,
        more: Mapping[str, Any] = _NOTHING,
    ) -> bytes:
        """One frame of `choice`, with the one that shows its role before it."""
        first = b""
        if not choice.shown:
            choice.shown = True
            calls = "tool_calls" in delta or "function_call" in delta
            role = {
                "role": "assistant",
                "content": None if calls or "refusal" in delta else "",
                "refusal": None,
            }
            first = self.frame(choice, role)
        body = encode(
            {
                **more,
                "index": choice.index,
                "delta": delta,
                "finish_reason": finish,
            }
        )
        if b"\n" in body or b"\r" in body:
            body = one_line(body)
        return first + self._head + body + b"]" + self._foot

    def root_frame(self, members: Mapping[str, Any] = _NOTHING) -> bytes:
        """A frame without choices."""
        if not members:
            return self._head + b"]" + self._foot
        tail = one_line(encode(members)[1:])
        return self._head + b"]," + tail + b"\n\n"

    def show(self, choice: Answer) -> bytes:
        """The frame that shows the role of a choice with text."""
        choice.shown = True
        return self.frame(choice, {"role": "assistant", "content": ""})

    def make_way(self, part: Piece) -> None:
        """Build the bytes around the next text of `part`."""
        kind = type(part.part)
        if kind is TextPart:
            inside = b'{"content":'
        elif kind is RefusalPart:
            inside = b'{"refusal":'
        elif kind is ReasoningPart:
            inside = b'{"%b":' % part.field.encode()
        else:
            inside = self._call_way(part)
        head = self._head + b'{"index":%d,"delta":' % part.choice.index
        part.before = head + inside
        part.behind = (
            (b"}" if kind is not ToolCallPart else self._call_close(part))
            + b',"finish_reason":null}]'
            + self._foot
        )

    @staticmethod
    def _call_way(part: Piece) -> bytes:
        call = part.part
        if part.field == "function_call":
            return b'{"function_call":{"arguments":'
        custom = isinstance(call, ToolCallPart) and call.kind == "custom"
        member = b'"custom":{"input":' if custom else b'"function":{"arguments":'
        return b'{"tool_calls":[{"index":%d,%b' % (part.number, member)

    @staticmethod
    def _call_close(part: Piece) -> bytes:
        return b"}}" if part.field == "function_call" else b"}}]}"


def ordered(members: Mapping[str, Any]) -> dict[str, Any]:
    """`members` by name: readers learn them in an order of their own."""
    return dict(sorted(members.items()))


def one_line(body: bytes) -> bytes:
    """JSON without the ends of lines, which stand between its tokens only."""
    return body.replace(b"\r", b" ").replace(b"\n", b" ")
