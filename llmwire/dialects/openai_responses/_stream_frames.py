"""Frames of a stream that is written, and what is remembered of its parts.

Numbers frames and knows both framings; what an event becomes is not decided here.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw

from llmwire import _json
from llmwire.dialects import ReplyTarget
from llmwire.dialects.openai_responses._content_write import Object
from llmwire.messages import (
    Citation,
    Extras,
    Part,
    RefusalPart,
    Signature,
    TextPart,
    TokenLogprob,
)

NOWHERE: Final = -1


def in_line(body: bytes) -> bytes:
    """JSON on one line: line ends in raw values are white space, never text."""
    if b"\n" in body or b"\r" in body:
        return body.replace(b"\n", b" ").replace(b"\r", b" ")
    return body


class Message:
    """A message item: open while parts of its group may follow."""

    __slots__ = (
        "content",
        "extras",
        "group",
        "id",
        "open",
        "output",
        "parts",
        "stale",
    )

    def __init__(self, id: str, output: int, group: int | None) -> None:
        self.id = id
        self.output = output
        self.group = group
        self.parts: list[Part] = []
        self.content: list[Object | Raw] = []
        self.extras: Extras = {}
        self.open = 0
        self.stale: dict[int, Open] = {}
        """Its parts of which more was said after their end."""


class Open:
    """A part while it comes."""

    __slots__ = (
        "carried",
        "citations",
        "content",
        "current",
        "done",
        "event",
        "extras",
        "final",
        "id",
        "logprobs",
        "measured",
        "message",
        "output",
        "part",
        "path",
        "pieces",
        "prefix",
        "segments",
        "signature",
        "suffix",
    )

    def __init__(self, part: Part, path: str) -> None:
        self.part = part
        self.path = path
        self.id = ""
        self.output = NOWHERE
        self.content = 0
        self.message: Message | None = None
        self.pieces: list[str] = []
        self.measured = (0, 0)
        """Pieces that were measured, and their characters."""
        self.segments: dict[int | None, tuple[int, list[str]]] = {}
        self.current: tuple[int | None] | None = None
        """Key of the open segment in `segments`; None: none is open."""
        self.citations: list[Citation] = []
        self.logprobs: list[TokenLogprob] = []
        self.signature: Signature | None = part.signature
        self.carried: Signature | None = None
        """Told already, before the part."""
        self.extras: Extras = {}
        self.event: Extras = {}
        self.final: Part | None = None
        self.done = False
        self.prefix = b""
        self.suffix = b""

    def length(self) -> int:
        """Characters said so far."""
        count, length = self.measured
        if count < len(self.pieces):
            length += sum(map(len, self.pieces[count:]))
            self.measured = (len(self.pieces), length)
        return length

    def own_extras(self) -> Extras | None:
        """Strangers of the part itself."""
        return self.extras or None


class Frames:
    """Makes the frames of one stream."""

    def __init__(self, target: ReplyTarget) -> None:
        self._target = target
        self._framing = target.framing
        self._number = 0

    @property
    def _close(self) -> bytes:
        return b"}\n\n" if self._framing != "messages" else b"}\n"

    # Frames

    def _frame(self, kind: str, members: Object) -> bytes:
        number = self._number
        self._number += 1
        body = in_line(
            _json.encode({"type": kind, **members, "sequence_number": number})
        )
        if self._framing == "messages":
            return body + b"\n"
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), body)

    def _prepare(
        self, opened: Open, kind: str, position: Object, tail: bytes = b""
    ) -> None:
        """Fix what stands before and after the text in deltas of a part."""
        members = {"type": kind, **self._place(opened), **position}
        inside = _json.encode(members)[:-1] + b',"delta":'
        if self._framing != "messages":
            inside = b"event: %b\ndata: %b" % (kind.encode(), inside)
        strangers = [
            b",%b:%b" % (_json.encode(name), in_line(bytes(value)))
            for name, value in _json.level(opened.event, "event").items()
        ]
        opened.prefix = inside
        opened.suffix = b"".join((tail, *strangers, b',"sequence_number":'))

    def _prepare_content(self, opened: Open) -> None:
        position = {"content_index": opened.content}
        if isinstance(opened.part, TextPart):
            kind = "response.output_text.delta"
            self._prepare(opened, kind, position, b',"logprobs":[]')
        elif isinstance(opened.part, RefusalPart):
            self._prepare(opened, "response.refusal.delta", position)

    def _place(self, opened: Open, **more: Any) -> Object:
        return {"item_id": opened.id, "output_index": opened.output, **more}

    def _delta(self, opened: Open, text: str) -> bytes:
        number = self._number
        self._number += 1
        parts = (opened.prefix, _json.encode(text), opened.suffix)
        return b"%b%b%b%d%b" % (*parts, number, self._close)
