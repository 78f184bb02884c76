"""Frames of a Messages stream to events.

The vendor's grammar: `message_start`, blocks one after another, `message_delta`,
`message_stop`, with `ping` anywhere
(https://platform.claude.com/docs/en/build-with-claude/streaming). Servers break it, so
each repair has a name that is counted.

Theory of operation: a `_Slot` stands for the block that is open at an index of the
wire; our own indices come from the tracker. A signature is given when its block stops,
for a later one replaces it. Usage is merged on the wire's members, so that what the
last frame does not repeat stands. Members of the whole message that turn up while
blocks come are given before the end.

Rules, by the names in `violations`:
- `restarted-message`: a second `message_start`; open blocks are incomplete.
- `reopened-block`: a block starts at the index of an open one, which is closed.
- `reused-index`: a block starts at the index of one that has ended.
- `block-after-stop`: a block starts after the stop reason; it is part of the answer.
- `interleaved-block`: a block starts while another is open; both go on.
- `unopened-block`: a delta for no block opens one; a stop for no block is nothing.
- `late-delta`: a signature or a citation for a block that has ended, which takes it.
- `mismatched-delta`: a delta that its block cannot take opens a block that can.
- `unclosed-block`: blocks open at the end are closed.
- `missing-start`: blocks before `message_start`; the message begins with them.
- `missing-terminator`: the input ended after the stop reason, before `message_stop`.
- `unterminated-frame`: the last frame had no blank line.
- `after-end`: data after the terminal event, counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from llmwire._json import (
    NULL,
    LearnedSchema,
    decode_any,
    decode_object,
    encode,
    nested,
    strangers,
)
from llmwire.dialects import ResponseSource
from llmwire.dialects.anthropic import _wire as w
from llmwire.dialects.anthropic._errors import error_in
from llmwire.dialects.anthropic._response import SKELETON, response_extras
from llmwire.dialects.anthropic._stream_shape import Shape, learned
from llmwire.dialects.anthropic._stream_slots import BlockReader
from llmwire.dialects.anthropic._usage import merged, read_detail, read_stop, read_usage
from llmwire.errors import RemoteProtocolError
from llmwire.events import (
    ArgumentsDelta,
    Event,
    Extra,
    OpaqueEvent,
    Ping,
    ReasoningDelta,
    ServiceTier,
    TextDelta,
    UsageUpdate,
)
from llmwire.messages import ReasoningPart, TextPart, ToolCallPart
from llmwire.sse import Frame

_frames: Final[LearnedSchema[Any]] = LearnedSchema(w.Frame)  # type: ignore[arg-type]  # a union of wire structs
_MODELLED: Final = frozenset({*SKELETON, "stop_details"})
"""Members of the message that are no extras in a stream, whatever they hold."""
_OWNED: Final = _MODELLED | {"message", "delta"}
"""What these names mean stands elsewhere: no strangers of a frame or its delta."""
_TYPED: Final = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    }
)


_GROWTH: Final[dict[type[Any], tuple[Any, Any, str]]] = {
    w.TextDeltaWire: (TextPart, TextDelta, "text"),
    w.ThinkingDeltaWire: (ReasoningPart, ReasoningDelta, "thinking"),
    w.JSONDeltaWire: (ToolCallPart, ArgumentsDelta, "partial_json"),
}
"""Kind of delta -> the part that grows by it, the event, the member with the text."""


@lru_cache(maxsize=64)
def _growth(kind: Any) -> tuple[Any, Any, str]:
    """`_GROWTH` of a struct, also of one that has taken up strangers."""
    known = [_GROWTH[each] for each in kind.__mro__ if each in _GROWTH]
    return known[0] if known else (None, None, "")


_TRIES: Final = 8
"""Frames from which a shape is learned without one that has it."""


class StreamReader(BlockReader):
    """Turns frames into events; whatever comes, they are a sentence."""

    def __init__(self, source: ResponseSource, framing: str = "sse") -> None:
        super().__init__(source)
        self._usage: w.UsageWire | None = None
        self._tier: str | None = None
        self._extras: dict[str, Raw] = {}
        self._late: dict[str, Raw] = {}
        """Members of the message that are given before its end."""
        self._early: list[OpaqueEvent] = []
        """Unknown events before the message."""
        self._stop: str | None = None
        self._stopping = False
        """A `message_delta` has said the stop reason."""
        self._stop_sequence: str | None = None
        self._detail: Raw | UnsetType = UNSET
        self._handlers = dict(_HANDLERS)
        self._shape: Shape | None = None
        """Of the frame before, where the next one may have it."""
        self._tries = _TRIES

    @property
    def violations(self) -> Mapping[str, int]:
        """Repairs so far, by rule."""
        return self._tracker.violations

    @property
    def done(self) -> bool:
        """The terminal event was given."""
        return self._tracker.done

    def receive(self, frame: Frame) -> list[Event]:
        """Events of one frame; never raises for what the peer sent."""
        data = frame.data
        tracker = self._tracker
        shape = self._shape
        if data is not None and shape is not None and frame.complete:
            text = None if tracker.done else shape.read(data)
            if text is not None:
                self._tries = _TRIES
                if shape.kind is not ArgumentsDelta:
                    return [shape.kind(shape.index, text)] if text else []
                tracker.arguments(shape.index, text)
                return tracker.drain()
        self._shape = None
        if data is None or tracker.done:
            return self._receive_unusual(frame)
        try:
            wire = _frames.decode(data)
        except RemoteProtocolError as error:
            self._unreadable(frame, error)
            return tracker.drain()
        if not frame.complete:
            tracker.violation("unterminated-frame")
        handle = self._handlers.get(type(wire))
        if handle is None:
            handle = self._learn(type(wire))
        try:
            handle(self, wire, frame)
        except RemoteProtocolError as error:
            self._unreadable(frame, error)
        return tracker.drain()

    def _learn(self, kind: type[Any]) -> Callable[[StreamReader, Any, Frame], None]:
        """The handler for a struct that has taken up strangers."""
        handle = next(_HANDLERS[each] for each in kind.__mro__ if each in _HANDLERS)
        self._handlers[kind] = handle
        return handle

    def receive_eof(self) -> list[Event]:
        """The input ended: what is left, with the terminal event."""
        tracker = self._tracker
        if not tracker.done:
            if self._stop is None:
                tracker.fail_truncated()
            else:
                tracker.violation("missing-terminator")
                self._finish()
        return tracker.drain()

    def _receive_unusual(self, frame: Frame) -> list[Event]:
        tracker = self._tracker
        data = frame.data
        if tracker.done:
            spoke = data is not None and data.strip() not in (b"", b"[DONE]")
            if spoke and "after-end" not in tracker.violations:
                tracker.violation("after-end")
            return []
        if frame.event == "ping" or frame.raw.lstrip(b"\xef\xbb\xbf")[:1] == b":":
            tracker.emit(Ping())
        elif frame.stray and frame.stray[0][:1] == b"{":
            error = error_in(b"\n".join(frame.stray))
            if error is not None:
                tracker.fail(error)
        return tracker.drain()

    def _unreadable(self, frame: Frame, error: RemoteProtocolError) -> None:
        data = (frame.data or b"").strip()
        if data not in (b"", b"[DONE]") and frame.complete:
            what = f"the upstream sent an unreadable event: {error}"
            self._tracker.fail_upstream(what)

    # The message

    def _on_message_start(self, wire: w.MessageStartFrame, frame: Frame) -> None:
        message = wire.message
        found = {
            name: value
            for name, value in response_extras(message).items()
            if name not in _MODELLED
        }
        found = nested("", strangers(wire), found) or found
        usage = message.usage if isinstance(message.usage, w.UsageWire) else None
        if self._tracker.started:
            self._restart(usage, found)
            return
        self._begin(message, usage, found)

    def _begin(
        self,
        message: w.ResponseWire,
        wire: w.UsageWire | None,
        found: dict[str, Raw],
    ) -> None:
        tracker = self._tracker
        usage = tier = None
        if wire is not None:
            self._usage = wire
            usage, tier = read_usage(wire, stream=True)
        id = message.id if isinstance(message.id, str) else None
        model = message.model if isinstance(message.model, str) else None
        tracker.start(id or None, model or None, None, usage)
        self._serve(tier)
        self._emit_extras(found)
        for event in self._early:
            tracker.emit(event)
        if isinstance(message.content, list):
            for block in message.content:
                self._whole_block(block)
        self._note_stop(message.stop_reason, message.stop_sequence)
        if message.stop_details != NULL:
            self._note_detail(message.stop_details)

    def _restart(self, usage: w.UsageWire | None, found: dict[str, Raw]) -> None:
        self._tracker.violation("restarted-message")
        self._stopping = False
        self._close_slots(cut=True)
        self._late.update(found)
        if usage is not None:
            self._update_usage(usage)

    def _on_message_delta(self, wire: w.MessageDeltaFrame, frame: Frame) -> None:
        self._ensure_started()
        found: dict[str, Raw] = dict(self._late)
        self._late.clear()
        delta = wire.delta
        if isinstance(delta, w.MessageDeltaInner):
            self._note_stop(delta.stop_reason, delta.stop_sequence)
            self._note_detail(delta.stop_details)
            self._stopping = isinstance(delta.stop_reason, str)
            if not isinstance(delta.container, UnsetType):
                found["container"] = delta.container
            found = nested("", strangers(delta), found) or found
        if not isinstance(wire.context_management, UnsetType):
            found["context_management"] = wire.context_management
        found = nested("", strangers(wire), found) or found
        if isinstance(wire.usage, w.UsageWire):
            self._update_usage(wire.usage, found)
        else:
            self._emit_extras(found)

    def _note_stop(
        self, reason: str | UnsetType | None, sequence: str | UnsetType | None
    ) -> None:
        """The last one that says something counts."""
        if isinstance(reason, str):
            self._stop = reason
        if isinstance(sequence, str):
            self._stop_sequence = sequence

    def _note_detail(self, detail: Raw | UnsetType) -> None:
        if not isinstance(detail, UnsetType) and detail != NULL:
            self._detail = detail

    def _update_usage(
        self, update: w.UsageWire, found: dict[str, Raw] | None = None
    ) -> None:
        self._usage = merged(self._usage, update)
        usage, tier = read_usage(self._usage, stream=True)
        self._serve(tier)
        if found:
            self._emit_extras(found)
        self._tracker.emit(UsageUpdate(usage))

    def _serve(self, tier: str | None) -> None:
        if tier is not None and tier != self._tier:
            self._tier = tier
            self._tracker.emit(ServiceTier(tier))

    def _emit_extras(self, found: dict[str, Raw]) -> None:
        changed = {
            name: value
            for name, value in found.items()
            if self._extras.get(name) != value and name not in _OWNED
        }
        if not _OWNED.isdisjoint(found):
            self._tracker.violation("misplaced-member")
        if changed:
            self._extras.update(changed)
            self._tracker.emit(Extra(changed))

    def _on_message_stop(self, wire: w.MessageStopFrame, frame: Frame) -> None:
        self._ensure_started()
        found = strangers(wire)
        if found:
            self._late.update(nested("", found, None) or {})
        self._finish()

    def _finish(self) -> None:
        tracker = self._tracker
        self._end_blocks()
        if self._late:
            self._emit_extras(self._late)
        if self._stop is not None:
            tracker.end(
                read_stop(self._stop, self._called),
                self._stop,
                stop_sequence=self._stop_sequence,
                detail=read_detail(self._detail),
            )
        tracker.finish()

    def _on_delta(self, wire: w.BlockDeltaFrame, frame: Frame) -> None:
        delta: Any = wire.delta
        kind: Any = type(delta)
        slot = self._slots.get(wire.index)
        part, event, member = _growth(kind)
        if (
            slot is None
            or slot.kind is not part
            or slot.index < 0
            or strangers(delta)
            or strangers(wire)
        ):
            self._take_delta(wire, slot)
            return
        text = getattr(delta, member)
        if not text:
            return
        if event is ArgumentsDelta:
            self._tracker.arguments(slot.index, text)
        else:
            self._tracker.emit(event(slot.index, text))
        if self._tries and frame.data is not None:
            self._tries -= 1
            self._shape = learned(frame.data, text, event, slot.index)

    def _on_start(self, wire: w.BlockStartFrame, frame: Frame) -> None:
        if self._stopping:
            self._tracker.violation("block-after-stop")
        self._on_block_start(wire)

    def _on_stop(self, wire: w.BlockStopFrame, frame: Frame) -> None:
        self._on_block_stop(wire)

    # The rest

    def _on_ping(self, wire: w.PingFrame, frame: Frame) -> None:
        self._tracker.emit(Ping())

    def _on_error(self, wire: w.ErrorFrame, frame: Frame) -> None:
        error = error_in(frame.data or b"")
        if error is None:
            self._tracker.fail_upstream("the upstream sent an error without a word")
        else:
            self._tracker.fail(error)

    def _on_unknown(self, raw: Raw, frame: Frame) -> None:
        members = decode_object(bytes(raw))
        word = decode_any(bytes(members.get("type", NULL)))
        if not isinstance(word, str):
            if "error" in members:
                self._on_error(w.ErrorFrame(), frame)
                return
            if frame.event in _TYPED and "type" not in members:
                typed = {"type": frame.event, **members}
                self._retype(encode(typed), frame)
                return
            word = frame.event
        event = OpaqueEvent(w.NAME, word, raw)
        if self._tracker.started:
            self._tracker.emit(event)
        else:
            self._early.append(event)

    def _retype(self, data: bytes, frame: Frame) -> None:
        """Read a frame whose type only the event's name tells."""
        try:
            wire = _frames.decode(data)
        except RemoteProtocolError as error:
            self._unreadable(frame, error)
            return
        handle = self._handlers.get(type(wire)) or self._learn(type(wire))
        handle(self, wire, replace(frame, data=data))


_HANDLERS: Final[dict[type[Any], Callable[[StreamReader, Any, Frame], None]]] = {
    w.BlockDeltaFrame: StreamReader._on_delta,
    w.BlockStartFrame: StreamReader._on_start,
    w.BlockStopFrame: StreamReader._on_stop,
    w.MessageStartFrame: StreamReader._on_message_start,
    w.MessageDeltaFrame: StreamReader._on_message_delta,
    w.MessageStopFrame: StreamReader._on_message_stop,
    w.PingFrame: StreamReader._on_ping,
    w.ErrorFrame: StreamReader._on_error,
    Raw: StreamReader._on_unknown,
}
