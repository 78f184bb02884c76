"""The items of a stream that is read: opened, grown, closed.

Knows wire structs of items and parts and the tracker; what an event means is
`_stream_read`'s business.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw
from msgspec.structs import replace

from llmwire import _json
from llmwire._json import Wire
from llmwire._parts import PartTracker
from llmwire.dialects import ResponseSource
from llmwire.dialects.openai_responses import _content_read, _names
from llmwire.dialects.openai_responses._names import NAME
from llmwire.dialects.openai_responses._response import (
    ResponseObject,
    read_output_item,
)
from llmwire.dialects.openai_responses._stream_slots import (
    WHOLE,
    Content,
    Slot,
    announced,
    blank_item,
    changed_in,
    content_at,
    described,
    event_strangers,
    message_extras,
    stands_alone,
    told_in_stream,
)
from llmwire.errors import RemoteProtocolError
from llmwire.events import (
    CitationDelta,
    Extra,
    LogprobsDelta,
    ReasoningDelta,
    SignatureDelta,
)
from llmwire.messages import (
    Extras,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
)


class Items:
    """The items of one stream: opened, grown, closed."""

    def __init__(self, source: ResponseSource) -> None:
        self._source = source
        self._tracker = PartTracker(NAME, source.limits, source.seed)
        self._slots: dict[Any, Slot] = {}
        self._order: list[Slot] = []
        self._groups = 0
        self._said: set[type] = set()

    def _changed_id(self) -> None:
        if "changed-id" not in self._tracker.violations:
            self._tracker.violation("changed-id")

    def _tell_event(self, wire: Wire, known: Extras, index: int) -> None:
        """Strangers of a delta's frame."""
        if wire.learned or wire.extras:
            self._tell_part(known, event_strangers(wire), index)

    # Items

    def _open_item(self, key: Any, raw: Raw) -> Slot:
        """Announce an item; a message has no part before its first content."""
        if key is UNSET:
            key = len(self._order)
        elif key != len(self._order) and key not in self._slots:
            self._tracker.violation("output-index-gap")
        word, members = described(raw)
        id = members.get("id")
        slot = Slot(word, id if isinstance(id, str) else None)
        self._slots[key] = slot
        self._order.append(slot)
        if not self._tracker.started:
            self._tracker.start()
        if word == "message" and members.get("role", "assistant") == "assistant":
            phase = members.get("phase")
            slot.phase = phase if isinstance(phase, str) else None
            slot.extras = message_extras(raw, done=False)
            return slot
        self._give_group(slot)
        part = announced(read_output_item(raw, slot.group, self._source)[0])
        slot.extras = dict(part.extras or {})
        slot.index = self._open(part)
        return slot

    def _give_group(self, slot: Slot) -> None:
        if slot.group < 0:
            slot.group = self._groups
            self._groups += 1

    def _open(self, part: Part) -> int:
        self._said.add(type(part))
        if isinstance(part, ToolCallPart) and not part.call_id:
            part = replace(part, call_id=self._tracker.call_id(None))
        return self._tracker.open(part)

    def _slot(self, wire: Any, word: str) -> Slot:
        """The item that an event is about; an unknown one is opened."""
        slot = self._slots.get(wire.output_index)
        if slot is None and wire.output_index is UNSET and self._order:
            slot = self._order[-1]
        if slot is None or slot.done:
            self._tracker.violation("unknown-item")
            raw = Raw(_json.encode(blank_item(word, wire.item_id)))
            return self._open_item(wire.output_index, raw)
        return slot

    def _close_item(self, slot: Slot, raw: Raw) -> None:
        """Say what the done item says beyond the deltas, and end its parts."""
        slot.done = True
        self._give_group(slot)
        parts = read_output_item(raw, slot.group, self._source)
        first = parts[0]
        if slot.id is not None and first.id not in (None, slot.id):
            self._changed_id()
        if slot.index < 0 and not stands_alone(first):
            self._close_message(slot, parts, raw)
            return
        if slot.index < 0:
            self._tracker.violation("changed-item")
            for content in slot.contents:
                self._close_part(content.index, incomplete=True)
            slot.extras = {}
            if slot.contents:
                slot.group = -1
                self._give_group(slot)
                first = replace(first, group=slot.group)
            slot.index = self._open(announced(first))
        tracker, index = self._tracker, slot.index
        if not tracker.is_open(index):
            return
        opened = tracker.part(index)
        if type(first) is not type(opened):
            tracker.violation("changed-item")
            self._close_part(index, incomplete=not isinstance(opened, WHOLE))
            return
        if isinstance(first, WHOLE):
            self._close_part(index, incomplete=first.incomplete, final=first)
            return
        if isinstance(first, ReasoningPart):
            self._finish_thought(slot, first)
        else:
            assert isinstance(first, ToolCallPart)
            self._finish_arguments(index, first.arguments)
        self._tell_part(slot.extras, told_in_stream(first.extras, done=True), index)
        if first.signature is not None:
            tracker.emit(SignatureDelta(index, first.signature))
        tracker.close(index, incomplete=first.incomplete)

    def _close_part(
        self, index: int, *, incomplete: bool = False, final: Part | None = None
    ) -> None:
        """End a part; what is kept whole ends with its final form."""
        tracker = self._tracker
        if not tracker.is_open(index):
            return
        opened = tracker.part(index)
        if final is None and isinstance(opened, WHOLE):
            final = opened
        tracker.close(index, incomplete=incomplete, final=final)

    def _close_all(self, *, incomplete: bool = False) -> None:
        for index in self._tracker.open_parts():
            self._close_part(index, incomplete=incomplete)

    def _tell_part(self, known: Extras, told: Extras, index: int) -> None:
        changed = changed_in(told, known)
        if changed:
            self._tracker.emit(Extra(changed, index))

    def _finish_thought(self, slot: Slot, part: ReasoningPart) -> None:
        for at, text in enumerate(part.summary):
            self._finish_thinking(slot, at, text)
        if part.text is not None:
            self._finish_thinking(slot, None, part.text)

    def _finish_thinking(self, slot: Slot, summary: int | None, text: str) -> None:
        known = slot.lengths.get(summary)
        rest = text[known or 0 :]
        if rest or known is None:
            slot.lengths[summary] = len(text)
            self._tracker.emit(ReasoningDelta(slot.index, rest, summary))

    def _finish_arguments(self, index: int, text: str | None) -> None:
        """What the whole arguments say beyond the deltas."""
        if not text:
            return
        known = self._tracker.arguments_so_far(index)
        if text.startswith(known):
            self._tracker.arguments(index, text[len(known) :])
        else:
            self._tracker.violation("changed-arguments")

    # Messages

    def _close_message(self, slot: Slot, parts: tuple[Part, ...], raw: Raw) -> None:
        tracker = self._tracker
        if not slot.contents and isinstance(parts[0], OpaquePart):
            index = self._open(parts[0])
            tracker.close(index, final=parts[0])
            return
        told = message_extras(raw, done=True)
        fresh = bool(slot.contents)
        for at, part in enumerate(parts):
            if at >= len(slot.contents):
                if slot.contents:
                    self._close_part(slot.contents[-1].index)
                self._open_content(slot, len(slot.contents), part)
            elif at == 0 and fresh:
                self._tell_part(slot.extras, told, slot.contents[0].index)
            self._finish_content(slot.contents[at], part)
        if not fresh:
            self._tell_part(slot.extras, told, slot.contents[0].index)
        incomplete = any(part.incomplete for part in parts)
        for content in slot.contents:
            self._close_part(content.index, incomplete=incomplete)

    def _open_content(self, slot: Slot, key: Any, part: Part) -> Content:
        self._give_group(slot)
        extras = told_in_stream(part.extras, done=False)
        if not slot.contents:
            extras = {**extras, **slot.extras}
        changes: dict[str, Any] = {
            "id": slot.id,
            "group": slot.group,
            "incomplete": False,
            "extras": extras or None,
        }
        if isinstance(part, TextPart):
            phase = slot.phase if slot.phase is not None else part.phase
            changes.update(text="", citations=(), logprobs=(), phase=phase)
        elif isinstance(part, RefusalPart):
            changes["text"] = ""
        index = self._open(replace(part, **changes))
        content = Content(index, key, part)
        content.extras = dict(extras)
        slot.contents.append(content)
        return content

    def _finish_content(self, content: Content, part: Part) -> None:
        """What a whole content part says beyond its deltas."""
        tracker, index = self._tracker, content.index
        if not tracker.is_open(index):
            return
        opened = tracker.part(index)
        if type(part) is not type(opened):
            return
        if isinstance(opened, OpaquePart) and isinstance(part, OpaquePart):
            self._close_part(index, final=replace(opened, raw=part.raw))
            return
        if not isinstance(part, (TextPart, RefusalPart)):
            return
        self._finish_text(content, part.text)
        if isinstance(part, TextPart):
            for citation in part.citations[content.citations :]:
                content.citations += 1
                tracker.emit(CitationDelta(index, citation))
            if part.logprobs and not content.logprobs:
                content.logprobs = True
                tracker.emit(LogprobsDelta(index, part.logprobs))
        told = told_in_stream(part.extras, done=False)
        self._tell_part(content.extras, told, index)

    def _finish_text(self, content: Content, text: str | None) -> None:
        rest = (text or "")[content.length :]
        if rest and content.delta and self._tracker.is_open(content.index):
            content.length += len(rest)
            self._tracker.emit(content.delta(content.index, rest))

    def _content_part(self, raw: Raw) -> Part | None:
        """A content part of a message; None: raw reasoning, a border only."""
        try:
            part = _content_read.read_content(raw, "assistant", "$.part", True)
        except RemoteProtocolError:
            note = {_names.CONTENT: Raw(b"true")}
            return OpaquePart(dialect=NAME, kind="", raw=raw, extras=note)
        if isinstance(part, OpaquePart) and part.kind == "reasoning_text":
            return None
        return part

    def _said_in(self, wire: Any, blank: Part) -> Content:
        """The content part that an event is about; an unknown one is opened."""
        slot = self._slot(wire, "message")
        content = content_at(slot, wire.content_index)
        if content is not None and self._tracker.is_open(content.index):
            return content
        self._tracker.violation("unknown-part")
        if slot.index >= 0:  # text inside an item that holds none
            slot = self._open_item(
                UNSET, Raw(_json.encode(blank_item("message", None)))
            )
        elif slot.contents:
            self._close_part(slot.contents[-1].index)
        return self._open_content(slot, wire.content_index, blank)

    # The terminal snapshot

    def _close_by_snapshot(self, known: ResponseObject) -> None:
        raws = self._snapshot(known)
        claimed: set[int] = set()
        named: dict[str, list[Slot]] = {}
        for each in reversed(self._order):
            if each.id is not None:
                named.setdefault(each.id, []).append(each)
        for at, raw in enumerate(raws):
            slot = self._found(raw, at, claimed, named)
            if slot is None:
                slot = self._open_item(UNSET, raw)
                self._tracker.violation("item-only-at-end")
                self._close_item(slot, raw)
                continue
            claimed.add(id(slot))
            if not slot.done:
                self._tracker.violation("item-without-done")
                self._close_item(slot, raw)
        for slot in self._order:
            if not slot.done:
                self._tracker.violation("item-without-done")
        self._close_all()

    def _snapshot(self, known: ResponseObject) -> list[Raw]:
        raw = known.members.get("output")
        if raw is None:
            return []
        try:
            raws: list[Raw] = _json.decode_as(list[Raw], bytes(raw))
        except RemoteProtocolError:
            return []
        return raws

    def _found(
        self, raw: Raw, at: int, claimed: set[int], named: dict[str, list[Slot]]
    ) -> Slot | None:
        """The announced item that an item of the snapshot is."""
        word, members = described(raw)
        own = members.get("id")
        if isinstance(own, str):
            waiting = named.get(own, [])
            while waiting:
                slot = waiting.pop()
                if id(slot) not in claimed:
                    return slot
        if at < len(self._order):
            slot = self._order[at]
            if slot.kind == word and id(slot) not in claimed:
                return slot
        return None
