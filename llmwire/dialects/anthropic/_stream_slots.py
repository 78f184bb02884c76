"""Blocks of a streamed answer as parts.

`BlockReader` knows `content_block_start`, its deltas and `content_block_stop`; of the
message around them it knows nothing. A `Slot` stands for the block that is open at an
index of the wire; our own indices come from the tracker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from llmwire import _seal
from llmwire._json import (
    NULL,
    Wire,
    decode_any,
    decode_object,
    encode,
    is_json,
    nested,
    strangers,
)
from llmwire._parts import PartTracker
from llmwire._turns import PLACEMENT
from llmwire.dialects import ResponseSource
from llmwire.dialects.anthropic import _wire as w
from llmwire.dialects.anthropic._blocks_read import (
    ORIGIN,
    Reading,
    read_block,
    read_citation,
)
from llmwire.dialects.anthropic._response import as_opaque
from llmwire.events import (
    CitationDelta,
    Extra,
    OpaqueEvent,
    ReasoningDelta,
    SignatureDelta,
    TextDelta,
)
from llmwire.messages import (
    Extras,
    OpaquePart,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    Signature,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

_EMPTY: Final = Raw(b"{}")
_NEXT: Final = Raw(b'"next"')
_PREV: Final = Raw(b'"prev"')
_SILENT: Final = frozenset(
    {"@id", "@input", "@name", "@signature", "@text", "@thinking"}
    | {"id", "input", "name", "signature", "text", "thinking"}
)
"""What is written at every start, whatever it held."""
_SILENT_EMPTY: Final = frozenset({"citations", "cache_control"})
_PADDING: Final = frozenset({"p", "padding", "obfuscation"})


class Slot:
    """The block that is open at an index of the wire."""

    __slots__ = ("given", "index", "kind", "members", "opened", "part")

    def __init__(self, index: int, part: Part, given: str = "") -> None:
        self.index = index
        """Of the part; negative for a block that is none (a carrier)."""
        self.part = part
        self.kind = type(part)
        self.given = given
        """Input that the start of a call held already."""
        self.opened: _seal.Opened | None = None
        """The last signature, given when the block stops."""
        self.members: dict[str, Raw] | None = None
        """Of an opaque block that deltas fill."""


def _quiet(extras: Extras | None) -> Extras | None:
    """Without what says nothing in a stream."""
    if not extras:
        return None
    kept = {
        name: value
        for name, value in extras.items()
        if name not in _SILENT
        and not (name in _SILENT_EMPTY and bytes(value) in (b"null", b"[]"))
    }
    return kept or None


class BlockReader:
    """Reads the blocks of one message into a tracker."""

    def __init__(self, source: ResponseSource) -> None:
        self._tracker = PartTracker(w.NAME, source.limits, source.seed)
        self._reading = Reading(False, source.model, source.tag)
        self._slots: dict[int, Slot] = {}
        self._ended: dict[int, Slot] = {}
        self._last = -1
        """The part that was opened last."""
        self._next_signature: Signature | None = None
        """Brought by a carrier for the next part."""
        self._part_extras: dict[int, dict[str, Raw]] = {}
        self._called = False
        """A call of the client's was met."""

    def _ensure_started(self) -> None:
        if not self._tracker.started:
            self._tracker.violation("missing-start")
            self._tracker.start()

    # Starts

    def _on_block_start(self, wire: w.BlockStartFrame) -> None:
        self._ensure_started()
        at = wire.index
        known = self._slots.pop(at, None)
        if known is not None:
            self._tracker.violation("reopened-block")
            self._close(known)
        if self._slots:
            self._tracker.violation("interleaved-block")
        if self._ended.pop(at, None) is not None:
            self._tracker.violation("reused-index")
        slot = self._open(wire.content_block)
        if slot is not None:
            self._slots[at] = slot
            self._frame_extras(slot, wire)

    def _whole_block(self, block: Any) -> None:
        slot = self._open(block)
        if slot is not None:
            self._close(slot)

    def _open(self, block: Any) -> Slot | None:
        """Start the part for a block, with what its start holds already."""
        part = read_block(block, "content", 0, self._reading)
        if isinstance(part, ToolResultPart):
            part = as_opaque(part)
        if isinstance(part, ReasoningPart):
            return self._open_thought(part)
        extras = _quiet(part.extras)
        if extras is not part.extras:
            part = replace(part, extras=extras)
        if isinstance(part, TextPart):
            return self._open_text(part)
        if isinstance(part, ToolCallPart):
            self._called = True
            given = part.arguments
            named = self._tracker.call_id(part.call_id or None)
            return self._started(replace(part, call_id=named, arguments=""), given)
        if isinstance(part, ServerToolCallPart):
            given = bytes(part.payload).decode("utf-8", "replace")
            return self._started(replace(part, payload=_EMPTY), given)
        return self._started(part)

    def _started(self, part: Part, given: str = "") -> Slot | None:
        if self._next_signature is not None:
            part = replace(part, signature=self._next_signature)
            self._next_signature = None
        index = self._tracker.open(part)
        if index < 0:
            return None
        self._last = index
        return Slot(index, part, "" if given.strip() in ("{}", "") else given)

    def _open_text(self, part: TextPart) -> Slot | None:
        slot = self._started(TextPart(text="", extras=part.extras))
        if slot is not None:
            if part.text:
                self._tracker.emit(TextDelta(slot.index, part.text))
            for citation in part.citations:
                self._tracker.emit(CitationDelta(slot.index, citation))
        return slot

    def _open_thought(self, part: ReasoningPart) -> Slot | None:
        extras = dict(part.extras or {})
        placement = extras.pop(PLACEMENT, None)
        if self._carries(part, placement):
            return Slot(-1, part)
        origin = extras.pop(ORIGIN, None)
        kept = _quiet(extras)
        slot = self._started(ReasoningPart(redacted=part.redacted, extras=kept))
        if slot is None:
            return None
        if part.redacted and part.signature is not None:
            self._tracker.emit(SignatureDelta(slot.index, part.signature))
        elif part.signature is not None:
            slot.opened = _seal.Opened(part.signature)
        elif origin is not None:
            made = Signature(origin=str(decode_any(bytes(origin))), value="")
            slot.opened = _seal.Opened(made)
        if part.text:
            self._tracker.emit(ReasoningDelta(slot.index, part.text))
        return slot

    def _carries(self, part: ReasoningPart, placement: Raw | None) -> bool:
        """Give the signature of a carrier to its neighbour, if there is one."""
        if placement is None or part.signature is None or part.text:
            return False
        if placement == _NEXT and self._next_signature is None:
            self._next_signature = part.signature
            return True
        if placement == _PREV and self._last >= 0:
            self._tracker.emit(SignatureDelta(self._last, part.signature))
            return True
        return False

    # Ends

    def _on_block_stop(self, wire: w.BlockStopFrame) -> None:
        slot = self._slots.pop(wire.index, None)
        if slot is None:
            self._tracker.violation("unopened-block")
            return
        self._frame_extras(slot, wire)
        self._close(slot)
        self._ended[wire.index] = slot

    def _close_slots(self, *, cut: bool = False) -> None:
        """End every open block."""
        for slot in list(self._slots.values()):
            self._close(slot, cut=cut)
        self._slots.clear()
        self._ended.clear()

    def _end_blocks(self) -> None:
        """The message is complete."""
        if self._slots:
            self._tracker.violation("unclosed-block")
        self._close_slots()
        if self._next_signature is not None:
            signature, self._next_signature = self._next_signature, None
            index = self._tracker.open(ReasoningPart())
            if index >= 0:
                self._tracker.emit(SignatureDelta(index, signature))
                self._tracker.close(index)

    def _close(self, slot: Slot, *, cut: bool = False) -> None:
        """End the part of `slot`; `cut`: the source broke it off."""
        tracker = self._tracker
        index = slot.index
        if not tracker.is_open(index):
            return
        self._emit_signature(slot)
        final: Part | None = None
        incomplete = cut
        if isinstance(slot.part, ToolCallPart):
            if not tracker.arguments_so_far(index) and not cut:
                tracker.arguments(index, slot.given or "{}")
        elif isinstance(slot.part, ServerToolCallPart):
            if not tracker.arguments_so_far(index):
                tracker.arguments(index, slot.given)
            if tracker.done:
                return
            text = tracker.arguments_so_far(index).strip()
            whole = not text or is_json(text)
            incomplete = cut or not whole
            payload = Raw(text.encode()) if text and whole else _EMPTY
            final = replace(slot.part, payload=payload)
        elif not isinstance(slot.part, (TextPart, ReasoningPart)):
            final = slot.part
            if isinstance(final, OpaquePart) and slot.members is not None:
                final = replace(final, raw=Raw(encode(slot.members)))
        tracker.close(index, incomplete=incomplete, final=final)

    def _emit_signature(self, slot: Slot) -> None:
        opened, slot.opened = slot.opened, None
        if opened is None:
            return
        signature = opened.signature
        if signature.value:
            self._tracker.emit(SignatureDelta(slot.index, signature))
        else:
            note = {ORIGIN: Raw(encode(signature.origin))}
            self._tracker.emit(Extra(note, slot.index))

    # Deltas

    def _take_delta(self, wire: w.BlockDeltaFrame, slot: Slot | None) -> None:
        """A delta that is not just text for a block of text."""
        delta: Any = wire.delta
        self._ensure_started()
        if slot is not None and slot.index < 0:
            return
        if isinstance(delta, Raw):
            if slot is None:
                self._tracker.violation("unopened-block")
            else:
                self._frame_extras(slot, wire)
                self._take_opaque(slot, delta)
            return
        kinds, take, member = _taken(type(delta))
        if slot is None and isinstance(delta, _LATE):
            slot = self._ended.get(wire.index)
            if slot is not None:
                self._tracker.violation("late-delta")
        if slot is None or not issubclass(slot.kind, (*kinds, OpaquePart)):
            slot = self._reopened(wire.index, slot, kinds[0])
            if slot is None:
                return
        self._frame_extras(slot, wire)
        if slot.kind is OpaquePart:
            tag = delta.__struct_config__.tag
            members = {"type": tag, **strangers(delta)}
            if getattr(delta, member) is not UNSET:
                members[member] = getattr(delta, member)
            self._take_opaque(slot, Raw(encode(members)))
            return
        found = strangers(delta)
        if found:
            odd = {name: value for name, value in found.items() if name != member}
            self._note_extras(slot, nested("delta", odd, None) or {})
        take(self, slot, delta)

    def _reopened(self, at: int, known: Slot | None, kind: type[Any]) -> Slot | None:
        """A block for a delta that has none that takes it."""
        tracker = self._tracker
        if known is None:
            tracker.violation("unopened-block")
        else:
            tracker.violation("mismatched-delta")
            self._close(known)
            self._slots.pop(at, None)
        part: Part
        if kind is TextPart:
            part = TextPart(text="")
        elif kind is ReasoningPart:
            part = ReasoningPart()
        else:
            self._called = True
            part = ToolCallPart(call_id=tracker.call_id(None), name="")
        slot = self._started(part)
        if slot is not None:
            self._slots[at] = slot
        return slot

    def _take_text(self, slot: Slot, delta: w.TextDeltaWire) -> None:
        if delta.text:
            self._tracker.emit(TextDelta(slot.index, delta.text))

    def _take_thinking(self, slot: Slot, delta: w.ThinkingDeltaWire) -> None:
        if delta.thinking:
            self._tracker.emit(ReasoningDelta(slot.index, delta.thinking))

    def _take_json(self, slot: Slot, delta: w.JSONDeltaWire) -> None:
        if delta.partial_json:
            self._tracker.arguments(slot.index, delta.partial_json)

    def _take_signature(self, slot: Slot, delta: w.SignatureDeltaWire) -> None:
        if delta.signature:
            slot.opened = self._reading.signature(delta.signature)
            if not self._tracker.is_open(slot.index):
                self._emit_signature(slot)

    def _take_citation(self, slot: Slot, delta: w.CitationsDeltaWire) -> None:
        if not isinstance(delta.citation, UnsetType):
            citation = read_citation(delta.citation)
            self._tracker.emit(CitationDelta(slot.index, citation))

    def _take_opaque(self, slot: Slot, raw: Raw) -> None:
        """A delta without a neutral form: told, and merged into an opaque block."""
        members = decode_object(bytes(raw))
        kind = decode_any(bytes(members.pop("type", NULL)))
        word = kind if isinstance(kind, str) else ""
        self._tracker.emit(OpaqueEvent(w.NAME, word, raw, slot.index))
        if isinstance(slot.part, OpaquePart):
            if slot.members is None:
                slot.members = decode_object(bytes(slot.part.raw))
            slot.members.update(members)

    def _frame_extras(self, slot: Slot, wire: Wire) -> None:
        found = strangers(wire)
        if found and slot.index >= 0:
            named = {n: value for n, value in found.items() if n not in _OWNED}
            if len(named) < len(found):
                self._tracker.violation("misplaced-member")
            self._note_extras(slot, nested("event", named, None) or {})

    def _note_extras(self, slot: Slot, found: dict[str, Raw]) -> None:
        known = self._part_extras.setdefault(slot.index, {})
        changed = {
            name: value
            for name, value in found.items()
            if known.get(name) != value and name.partition("/")[2] not in _PADDING
        }
        if changed:
            known.update(changed)
            self._tracker.emit(Extra(changed, slot.index))


_OWNED: Final = frozenset({"content_block", "delta"})
"""What the other frames of a block mean by these names: no strangers of a frame."""
_LATE: Final = (w.SignatureDeltaWire, w.CitationsDeltaWire)
_Take = Callable[[BlockReader, Slot, Any], None]
_Row = tuple[tuple[type[Any], ...], _Take, str]
_CALLS: Final = (ToolCallPart, ServerToolCallPart)
_DELTAS: Final[dict[type[Any], _Row]] = {
    w.TextDeltaWire: ((TextPart,), BlockReader._take_text, "text"),
    w.JSONDeltaWire: (_CALLS, BlockReader._take_json, "partial_json"),
    w.ThinkingDeltaWire: ((ReasoningPart,), BlockReader._take_thinking, "thinking"),
    w.SignatureDeltaWire: ((ReasoningPart,), BlockReader._take_signature, "signature"),
    w.CitationsDeltaWire: ((TextPart,), BlockReader._take_citation, "citation"),
}
"""Which parts a delta can grow, how, and the member that it holds."""


def _taken(kind: type[Any]) -> _Row:
    """The row for a delta, also of a type that has taken up strangers."""
    return next(_DELTAS[each] for each in kind.__mro__ if each in _DELTAS)
