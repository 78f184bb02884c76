"""What every block of a streamed answer needs: frames, growth, carriers.

Knows `content_block_start`, `content_block_delta` and `content_block_stop`, and not
which part becomes which block.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw

from llmwire import _seal
from llmwire._json import encode
from llmwire._sequence import Sequencer
from llmwire.dialects import ReplyTarget
from llmwire.dialects.anthropic._blocks_write import Members
from llmwire.dialects.anthropic._errors import on_one_line
from llmwire.events import (
    ArgumentsDelta,
    Event,
    PartStart,
    ReasoningDelta,
    TextDelta,
)
from llmwire.messages import Extras, Part, ReasoningPart, Signature, TextPart

COLD: Final = type(None)
"""No event takes the short way."""
SUFFIX: Final = b"}}\n\n"
GROWTH: Final = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "json": ("input_json_delta", "partial_json"),
}
_HOT: Final[dict[str, type[Event]]] = {
    "text": TextDelta,
    "thinking": ReasoningDelta,
    "json": ArgumentsDelta,
}
DROPPED: Final = "dropped"
"""How a part grows that has no block."""


def frame(kind: str, members: Members) -> bytes:
    """One event whose type is `kind`."""
    body = on_one_line(encode({"type": kind, **members}))
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), body)


class Block:
    """The part that is being written."""

    __slots__ = (
        "at",
        "grows",
        "held",
        "index",
        "opened",
        "origin",
        "part",
        "prefix",
        "segment",
        "signature",
        "wrote",
    )

    def __init__(self, index: int, part: Part) -> None:
        self.index = index
        self.part = part
        self.at = -1
        """Index on the wire once it is open."""
        self.opened = False
        self.grows = ""
        self.prefix = b""
        self.held: list[str] | None = None
        """Start of arguments that may not be an object."""
        self.segment: int | None = None
        self.signature: Signature | None = None
        self.origin: str | None = None
        """Dialect that a thought without a signature came from."""
        self.wrote = False


class BlockCore:
    """One block at a time, its deltas, and thoughts that only carry a signature."""

    def __init__(self, target: ReplyTarget) -> None:
        self._target = target
        self._losses = target.losses
        self._sequencer = Sequencer(target.losses, target.limits)
        self._native = False
        self._dialect: str | None = None
        self._cut = False
        """A call was written whose arguments are no object."""
        self._next = 0
        self._block: Block | None = None
        self._last: int | None = None
        """The part whose block ended last."""
        self._pending: list[str] = []
        self._parts: dict[int, tuple[str, Part]] = {}
        """Place in the answer and start of every part."""
        self._counts: dict[int, int] = {}
        self._hot_index = -1
        self._hot_type: type[Any] = COLD
        self._hot_prefix = b""

    def _note_part(self, event: PartStart) -> None:
        """Remember where the part stands among those of its choice."""
        if event.index not in self._parts:
            count = self._counts.get(event.choice, 0)
            self._counts[event.choice] = count + 1
            path = f"choices[{event.choice}].parts[{count}]"
            self._parts[event.index] = path, event.part

    def _path(self, index: int) -> str:
        return self._parts[index][0]

    def _open(self, block: Block, members: Members, grows: str) -> bytes:
        """Start `block` on the wire; it grows by deltas of the kind `grows`."""
        block.grows = grows
        kind, member = GROWTH[grows]
        out = self._open_raw(block, members)
        block.prefix = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta",'
            b'"index":%d,"delta":{"type":"%b","%b":'
            % (block.at, kind.encode(), member.encode())
        )
        if grows == "text" and isinstance(block.part, TextPart):
            self._heat(block)
        return out

    def _open_raw(self, block: Block, members: Members | Raw) -> bytes:
        block.at = self._next
        block.opened = True
        self._next += 1
        start: Members = {"index": block.at, "content_block": members}
        return frame("content_block_start", start)

    def _heat(self, block: Block) -> None:
        """Let deltas of `block` take the short way, where nothing waits behind it."""
        if self._sequencer.streaming == block.index:
            self._hot_index = block.index
            self._hot_type = _HOT[block.grows]
            self._hot_prefix = block.prefix

    def _cool(self) -> None:
        self._hot_index = -1
        self._hot_type = COLD

    def _grow(self, block: Block, text: str) -> bytes:
        block.wrote = True
        return block.prefix + encode(text) + SUFFIX

    def _stop(self, block: Block) -> bytes:
        return frame("content_block_stop", {"index": block.at})

    def _kept(self, extras: Extras | None) -> Extras | None:
        """The extras that go back, in an order that no reader's history changes."""
        return dict(sorted(extras.items())) if extras and self._native else None

    def _current(self, index: int) -> Block | None:
        """The block of part `index`, if that is the one being written."""
        block = self._block
        return block if block is not None and block.index == index else None

    def _carrier(self, value: str, place: _seal.Placement) -> bytes:
        """A whole empty thought that carries `value`.

        One that belongs to its neighbour shows it at once, so that readers of ours
        open no part for it.
        """
        block = Block(-1, ReasoningPart())
        if place == "here":
            self._last = None
        shown = "" if place == "here" else value
        members: Members = {"type": "thinking", "thinking": "", "signature": shown}
        out = self._open(block, members, "thinking")
        return out + self._sign(block, value) + self._stop(block)

    def _sign(self, block: Block, value: str) -> bytes:
        delta = {"type": "signature_delta", "signature": value}
        return frame("content_block_delta", {"index": block.at, "delta": delta})

    def _flush(self) -> bytes:
        """Signatures that came late, once no block is open."""
        pending, self._pending = self._pending, []
        return b"".join(self._carrier(value, "here") for value in pending)
