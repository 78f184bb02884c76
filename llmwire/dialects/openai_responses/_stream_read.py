"""Streams, from frames into events.

Rules, beside those of the grammar:

1. An item is known by its `output_index`; ids may change from event to event. The n-th
   item announced is the n-th of the answer, and the n-th content part announced is the
   n-th of its item, whatever their numbers say (`output-index-gap`,
   `content-index-gap`).
2. A content part stays open until the next one of its item, or the item's done, which
   says whether it is complete.
3. What a closing frame says beyond the deltas is said then: the rest of a text, the
   citations, the signature of a thought. `output_item.done` beats the snapshot of the
   terminal frame, which only closes what is open and adds what was never announced.
4. `error` waits for the next frame, for OpenAI says the same again in
   `response.failed`.
5. Strangers are told when they change. Null of a modelled member says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import UNSET, Raw
from msgspec.structs import replace

from llmwire import _json
from llmwire._json import LearnedSchema, Wire, strangers
from llmwire._parts import PartTracker
from llmwire.dialects import ResponseSource
from llmwire.dialects.openai_responses import _errors, _items_read, _names, _wire
from llmwire.dialects.openai_responses._names import NAME
from llmwire.dialects.openai_responses._response import (
    ResponseObject,
    read_output_item,
)
from llmwire.dialects.openai_responses._usage import read_stop
from llmwire.errors import RemoteProtocolError
from llmwire.events import (
    CitationDelta,
    Event,
    Extra,
    LogprobsDelta,
    OpaqueEvent,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    ServiceTier,
    SignatureDelta,
    TextDelta,
    UsageUpdate,
)
from llmwire.messages import (
    APIError,
    Extras,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    Usage,
)
from llmwire.sse import Frame

_SCHEMA: Final[LearnedSchema[Any]] = LearnedSchema(_wire.EventWire)  # type: ignore[arg-type]  # a union serves
_POSITIONAL: Final = frozenset(
    {
        "index",
        "output_index",
        "content_index",
        "item_id",
        "sequence_number",
        "obfuscation",
        "p",
        "padding",
    }
)
_WHOLE: Final = (ServerToolCallPart, ServerToolResultPart, OpaquePart)
"""Parts that are kept as they came."""
_SILENT: Final = frozenset(
    {
        "id",
        "status",
        "phase",
        "summary",
        "content",
        "encrypted_content",
        "annotations",
        "logprobs",
        "name",
        "text",
        "refusal",
    }
)
"""Modelled members of items and parts: null says nothing."""
_SPELLED: Final = ("id", "summary", "content")
"""Kept of whole items to give them back as they came; deltas say it in streams."""
_ROOT_MODELLED: Final = frozenset(
    {
        "id",
        "created_at",
        "model",
        "status",
        "incomplete_details",
        "output",
        "usage",
        "service_tier",
        "error",
    }
)


class _Content:
    """A part of a message while it comes."""

    __slots__ = ("citations", "delta", "extras", "index", "key", "length", "logprobs")

    def __init__(self, index: int, key: Any, part: Part) -> None:
        self.index = index
        self.key = key
        self.delta = _GROWS.get(type(part))
        self.length = 0
        self.citations = 0
        self.logprobs = False
        self.extras: Extras = {}


_GROWS: Final[dict[type, type[TextDelta] | type[RefusalDelta]]] = {
    TextPart: TextDelta,
    RefusalPart: RefusalDelta,
}
"""How the parts of a message grow; others do not."""


class _Slot:
    """An item while it comes."""

    __slots__ = (
        "contents",
        "done",
        "extras",
        "group",
        "id",
        "index",
        "kind",
        "lengths",
        "phase",
    )

    def __init__(self, kind: str, id: str | None) -> None:
        self.kind = kind
        self.group = -1
        """Its number among the items that say something; -1: it has said nothing."""
        self.id = id
        self.phase: str | None = None
        self.index = -1
        self.contents: list[_Content] = []
        self.lengths: dict[int | None, int] = {}
        self.extras: Extras = {}
        self.done = False


class Reader:
    """Turns frames into events (the `StreamReader` of this dialect)."""

    def __init__(self, source: ResponseSource, framing: str = "sse") -> None:
        self._source = source
        self._tracker = PartTracker(NAME, source.limits, source.seed)
        self._slots: dict[Any, _Slot] = {}
        self._order: list[_Slot] = []
        self._groups = 0
        self._held: APIError | None = None
        self._id: str | None = None
        self._tier: str | None = None
        self._usage: Usage | None = None
        self._extras: Extras = {}
        self._said: set[type] = set()
        self._take = dict(_TAKE)

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
        if self._tracker.done:
            self._after_end(frame)
            return []
        if data is None:
            data = self._without_data(frame)
            if data is None:
                return self._tracker.drain()
        if b"\n" in data:  # several lines: white space, for strings have none
            data = data.replace(b"\n", b" ")
        try:
            self._receive(data)
        except RemoteProtocolError as error:
            if frame.complete:
                self._settle_held()
                self._tracker.fail_upstream(str(error))
        return self._tracker.drain()

    def receive_eof(self) -> list[Event]:
        """The input ended: what is left, with the terminal event."""
        self._settle_held()
        if not self._tracker.done:
            self._tracker.fail_truncated()
        return self._tracker.drain()

    # Frames

    def _without_data(self, frame: Frame) -> bytes | None:
        """Raw JSON where the framing was forgotten; comments are signs of life."""
        if frame.stray:
            text = b"\n".join(frame.stray).strip()
            if text[:1] == b"{":
                return text
        if frame.raw.lstrip(b"\xef\xbb\xbf\r\n")[:1] == b":":
            self._tracker.emit(Ping())
        return None

    def _after_end(self, frame: Frame) -> None:
        data = (frame.data or b"\n".join(frame.stray)).strip()
        known = self._tracker.violations
        if data and not data.startswith(b"[DONE]") and "after-end" not in known:
            self._tracker.violation("after-end")

    def _receive(self, data: bytes) -> None:
        try:
            wire = _SCHEMA.decode(data)
        except RemoteProtocolError as error:
            self._receive_unusual(data, error)
            return
        take = self._take.get(type(wire))
        if take is None:  # a type that has learned names
            kind = next(k for k in type(wire).__mro__ if k in _TAKE)
            take = self._take[type(wire)] = _TAKE[kind]
        if self._held is not None and not isinstance(wire, _wire.Failed):
            self._settle_held()
            return
        take(self, wire)

    def _receive_unusual(self, data: bytes, error: RemoteProtocolError) -> None:
        """A frame that is no event which is modelled."""
        text = data.strip()
        if not text:
            return
        self._settle_held()
        if text.startswith(b"[DONE]"):
            return  # a habit of Chat servers: no end of this dialect's streams
        if error.path != "$.type":
            raise error
        members = _json.decode_object(data)
        word = _json.decode_any(bytes(members.get("type", _json.NULL)))
        if word and isinstance(word, str):
            self._opaque(word, members)
            return
        failure = members.get("error")
        if failure is not None and bytes(failure) not in (b"null", b'""'):
            message = "the upstream sent an error"
            self._tracker.fail(_errors.read_failure(failure, message))
            return
        self._tracker.violation("untyped-event")

    def _settle_held(self) -> None:
        if self._held is not None:
            self._tracker.fail(self._held)
            self._held = None

    def _opaque(self, word: str, members: dict[str, Raw]) -> None:
        """An event without a neutral form."""
        slot = self._slots.get(_position(members, "output_index"))
        index: int | None = None
        if slot is not None:
            index = slot.index if slot.index >= 0 else None
            if slot.contents:
                key = _position(members, "content_index")
                found = _content(slot, key) or slot.contents[-1]
                index = found.index
        kept = {n: v for n, v in members.items() if n not in _POSITIONAL}
        kept["type"] = Raw(_json.encode(word))
        raw = Raw(_json.encode(kept))
        if not self._tracker.started:
            self._tracker.start()
        self._tracker.emit(OpaqueEvent(NAME, word, raw, index))

    # The response as a whole

    def _on_start(self, wire: _wire.Created) -> None:
        tracker = self._tracker
        if tracker.started:
            tracker.violation("restarted-message")
            self._close_all(incomplete=True)
            self._slots.clear()
            self._order.clear()
        known = self._begin(wire)
        self._tell(wire, known)

    def _begin(self, wire: Any) -> ResponseObject:
        known = ResponseObject(_json.decode_object(bytes(wire.response), "$.response"))
        id = known.text("id") or None
        tracker = self._tracker
        if not tracker.started:
            self._id = id
            model = known.text("model") or None
            tracker.start(id, model, known.number("created_at"))
        elif None not in (id, self._id) and id != self._id:
            self._changed_id()
        return known

    def _changed_id(self) -> None:
        if "changed-id" not in self._tracker.violations:
            self._tracker.violation("changed-id")

    def _on_progress(self, wire: _wire.InProgress) -> None:
        self._tell(wire, self._begin(wire))
        self._tracker.emit(Ping())

    def _on_keepalive(self, wire: _wire.KeepAlive) -> None:
        self._tracker.emit(Ping())

    def _tell(self, wire: Any, known: ResponseObject) -> None:
        """Tier, strangers and usage, where they changed."""
        self._tell_tier(known)
        self._tell_extras(wire, known)
        self._tell_usage(known)

    def _tell_tier(self, known: ResponseObject) -> None:
        tier = known.text("service_tier")
        if tier is not None and tier != self._tier:
            self._tier = tier
            self._tracker.emit(ServiceTier(tier))

    def _tell_usage(self, known: ResponseObject) -> None:
        usage = known.usage()
        if usage is not None and usage != self._usage:
            self._usage = usage
            self._tracker.emit(UsageUpdate(usage))

    def _tell_extras(self, wire: Any, known: ResponseObject) -> None:
        fresh: Extras = {}
        for name, raw in known.members.items():
            if name in _ROOT_MODELLED or name in _names.REPEATED:
                continue
            if name in _names.REPORTED and bytes(raw) == b"null":
                continue
            fresh[_json.escaped(name)] = raw
        fresh.update(_strangers(wire))
        changed = _changed(fresh, self._extras)
        if changed:
            self._tracker.emit(Extra(changed))

    def _on_end(self, wire: Any) -> None:
        tracker = self._tracker
        known = self._begin(wire)
        self._close_by_snapshot(known)
        self._tell_usage(known)
        self._tell_tier(known)
        self._tell_extras(wire, known)
        status = known.text("status")
        if status not in ("completed", "incomplete", "cancelled", "failed"):
            status = str(type(wire).__struct_config__.tag).partition(".")[2]
        stop, raw = read_stop(status, known.reason(), self._shown())
        tracker.end(stop, raw)
        tracker.finish()

    def _shown(self) -> tuple[Part, ...]:
        """One part of each kind that was said."""
        shown: list[Part] = []
        if ToolCallPart in self._said:
            shown.append(ToolCallPart(call_id="", name=""))
        if TextPart in self._said:
            shown.append(TextPart(""))
        if RefusalPart in self._said:
            shown.append(RefusalPart(""))
        return tuple(shown)

    def _on_failure(self, wire: _wire.Failed) -> None:
        known = self._begin(wire)
        self._tell(wire, known)
        raw = known.members.get("error", Raw(b"{}"))
        held, self._held = self._held, None
        otherwise = held.message if held is not None else "the response failed"
        error = _errors.read_failure(raw, otherwise)
        if held is not None and error.code is None:
            error = held
        self._tracker.fail(error)

    def _on_error(self, wire: _wire.ErrorEvent) -> None:
        raw = wire.error
        if raw is UNSET or bytes(raw) == b"null":
            told = {"code": wire.code, "message": wire.message, "param": wire.param}
            raw = Raw(_json.encode({**told, **strangers(wire)}))
        message = "the upstream sent an error"
        self._held = _errors.read_failure(raw, message)

    # Items

    def _on_item(self, wire: _wire.ItemAdded) -> None:
        known = self._slots.get(wire.output_index)
        if known is not None and not known.done:
            self._tracker.violation("repeated-item")
            return
        self._open_item(wire.output_index, wire.item)

    def _open_item(self, key: Any, raw: Raw) -> _Slot:
        """Announce an item; a message has no part before its first content."""
        if key is UNSET:
            key = len(self._order)
        elif key != len(self._order) and key not in self._slots:
            self._tracker.violation("output-index-gap")
        word, members = _described(raw)
        id = members.get("id")
        slot = _Slot(word, id if isinstance(id, str) else None)
        self._slots[key] = slot
        self._order.append(slot)
        if not self._tracker.started:
            self._tracker.start()
        if word == "message" and members.get("role", "assistant") == "assistant":
            phase = members.get("phase")
            slot.phase = phase if isinstance(phase, str) else None
            slot.extras = _message_extras(raw, done=False)
            return slot
        self._give_group(slot)
        part = _announced(read_output_item(raw, slot.group, self._source)[0])
        slot.extras = dict(part.extras or {})
        slot.index = self._open(part)
        return slot

    def _give_group(self, slot: _Slot) -> None:
        if slot.group < 0:
            slot.group = self._groups
            self._groups += 1

    def _open(self, part: Part) -> int:
        self._said.add(type(part))
        return self._tracker.open(part)

    def _slot(self, wire: Any, word: str) -> _Slot:
        """The item that an event is about; an unknown one is opened."""
        slot = self._slots.get(wire.output_index)
        if slot is None and wire.output_index is UNSET and self._order:
            slot = self._order[-1]
        if slot is None or slot.done:
            self._tracker.violation("unknown-item")
            raw = Raw(_json.encode(_blank(word, wire.item_id)))
            return self._open_item(wire.output_index, raw)
        return slot

    def _on_item_done(self, wire: _wire.ItemDone) -> None:
        slot = self._slots.get(wire.output_index)
        if slot is None and wire.output_index is UNSET and self._order:
            slot = self._order[-1]
        if slot is None:
            self._tracker.violation("item-without-added")
            slot = self._open_item(wire.output_index, wire.item)
        if slot.done:
            self._tracker.violation("repeated-item")
            return
        self._close_item(slot, wire.item)

    def _close_item(self, slot: _Slot, raw: Raw) -> None:
        """Say what the done item says beyond the deltas, and end its parts."""
        slot.done = True
        self._give_group(slot)
        parts = read_output_item(raw, slot.group, self._source)
        first = parts[0]
        if slot.id is not None and first.id not in (None, slot.id):
            self._changed_id()
        if slot.index < 0:
            self._close_message(slot, parts, raw)
            return
        tracker, index = self._tracker, slot.index
        if not tracker.is_open(index):
            return
        opened = tracker.part(index)
        if type(first) is not type(opened):
            tracker.violation("changed-item")
            self._close_part(index, incomplete=not isinstance(opened, _WHOLE))
            return
        if isinstance(first, _WHOLE):
            self._close_part(index, incomplete=first.incomplete, final=first)
            return
        if isinstance(first, ReasoningPart):
            self._finish_thought(slot, first)
        elif isinstance(first, ToolCallPart):
            self._finish_arguments(index, first.arguments)
        self._tell_part(slot.extras, _told(first.extras, done=True), index)
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
        if final is None and isinstance(opened, _WHOLE):
            final = opened
        tracker.close(index, incomplete=incomplete, final=final)

    def _close_all(self, *, incomplete: bool = False) -> None:
        for index in self._tracker.open_parts():
            self._close_part(index, incomplete=incomplete)

    def _tell_part(self, known: Extras, told: Extras, index: int) -> None:
        changed = _changed(told, known)
        if changed:
            self._tracker.emit(Extra(changed, index))

    def _finish_thought(self, slot: _Slot, part: ReasoningPart) -> None:
        for at, text in enumerate(part.summary):
            self._finish_thinking(slot, at, text)
        if part.text is not None:
            self._finish_thinking(slot, None, part.text)

    def _finish_thinking(self, slot: _Slot, summary: int | None, text: str) -> None:
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
        elif known != text:
            self._tracker.violation("changed-arguments")

    # Messages

    def _close_message(self, slot: _Slot, parts: tuple[Part, ...], raw: Raw) -> None:
        tracker = self._tracker
        if not slot.contents and isinstance(parts[0], OpaquePart):
            index = self._open(parts[0])
            tracker.close(index, final=parts[0])
            return
        told = _message_extras(raw, done=True)
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

    def _open_content(self, slot: _Slot, key: Any, part: Part) -> _Content:
        self._give_group(slot)
        extras = _told(part.extras, done=False)
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
        content = _Content(index, key, part)
        content.extras = dict(extras)
        slot.contents.append(content)
        return content

    def _finish_content(self, content: _Content, part: Part) -> None:
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
        told = _told(part.extras, done=False)
        self._tell_part(content.extras, told, index)

    def _finish_text(self, content: _Content, text: str | None) -> None:
        rest = (text or "")[content.length :]
        if rest and content.delta and self._tracker.is_open(content.index):
            content.length += len(rest)
            self._tracker.emit(content.delta(content.index, rest))

    def _on_content(self, wire: _wire.ContentAdded) -> None:
        part = self._content_part(wire.part)
        word = "message" if part is not None else "reasoning"
        slot = self._slot(wire, word)
        if slot.index >= 0 or part is None:
            return
        tracker = self._tracker
        if _content(slot, wire.content_index) is not None:
            tracker.violation("repeated-part")
            return
        if wire.content_index != len(slot.contents):
            tracker.violation("content-index-gap")
        if slot.contents:
            self._close_part(slot.contents[-1].index)
        content = self._open_content(slot, wire.content_index, part)
        if isinstance(part, (TextPart, RefusalPart)):
            self._finish_text(content, part.text)

    def _content_part(self, raw: Raw) -> Part | None:
        """A content part of a message; None: raw reasoning, a border only."""
        try:
            part = _items_read.read_content(raw, "assistant", "$.part", True)
        except RemoteProtocolError:
            note = {_names.CONTENT: Raw(b"true")}
            return OpaquePart(dialect=NAME, kind="", raw=raw, extras=note)
        if isinstance(part, OpaquePart) and part.kind == "reasoning_text":
            return None
        return part

    def _on_content_done(self, wire: _wire.ContentDone) -> None:
        slot = self._slots.get(wire.output_index)
        content = None if slot is None else _content(slot, wire.content_index)
        part = self._content_part(wire.part)
        if content is not None and part is not None:
            self._finish_content(content, part)

    def _said_in(self, wire: Any, blank: Part) -> _Content:
        """The content part that an event is about; an unknown one is opened."""
        slot = self._slot(wire, "message")
        content = _content(slot, wire.content_index)
        if content is not None and self._tracker.is_open(content.index):
            return content
        self._tracker.violation("unknown-part")
        if slot.index >= 0:  # text inside an item that holds none
            slot = self._open_item(UNSET, Raw(_json.encode(_blank("message", None))))
        elif slot.contents:
            self._close_part(slot.contents[-1].index)
        return self._open_content(slot, wire.content_index, blank)

    # Deltas

    def _on_text(self, wire: _wire.OutputTextDelta) -> None:
        slot = self._slots.get(wire.output_index)
        content: _Content | None = None
        if slot is not None and slot.contents:
            content = slot.contents[-1]
            if content.key != wire.content_index or slot.done:
                content = None
        if content is None:
            content = self._said_in(wire, TextPart(""))
        text = wire.delta
        if text and content.delta:
            self._tell_event(wire, content.extras, content.index)
            content.length += len(text)
            self._tracker.events.append(content.delta(content.index, text))
        if wire.logprobs and content.delta is TextDelta:
            tokens = _items_read.read_logprobs(wire.logprobs)
            if tokens:
                content.logprobs = True
                self._tracker.events.append(LogprobsDelta(content.index, tokens))

    def _on_refusal(self, wire: _wire.RefusalTextDelta) -> None:
        content = self._said_in(wire, RefusalPart(""))
        text = wire.delta
        if text and content.delta:
            self._tell_event(wire, content.extras, content.index)
            content.length += len(text)
            self._tracker.emit(content.delta(content.index, text))

    def _tell_event(self, wire: Wire, known: Extras, index: int) -> None:
        """Strangers of a delta's frame."""
        if wire.learned or wire.extras:
            self._tell_part(known, _strangers(wire), index)

    def _on_annotation(self, wire: _wire.AnnotationAdded) -> None:
        slot = self._slots.get(wire.output_index)
        content = None if slot is None else _content(slot, wire.content_index)
        if content is None:
            content = self._said_in(wire, TextPart(""))
        if content.delta is TextDelta:
            content.citations += 1
            citation = _items_read.read_citation(wire.annotation)
            self._tracker.emit(CitationDelta(content.index, citation))

    def _on_text_done(self, wire: _wire.OutputTextDone) -> None:
        if not wire.text and not wire.logprobs:
            return
        slot = self._slots.get(wire.output_index)
        if slot is not None and slot.done:
            return
        content = self._said_in(wire, TextPart(""))
        self._finish_text(content, wire.text)

    def _on_refusal_done(self, wire: _wire.RefusalDone) -> None:
        slot = self._slots.get(wire.output_index)
        if wire.refusal and not (slot is not None and slot.done):
            self._finish_text(self._said_in(wire, RefusalPart("")), wire.refusal)

    def _thought(self, wire: Any) -> _Slot | None:
        slot = self._slot(wire, "reasoning")
        tracker = self._tracker
        if not tracker.is_open(slot.index) or not isinstance(
            tracker.part(slot.index), ReasoningPart
        ):
            tracker.violation("misplaced-delta")
            return None
        return slot

    def _on_summary(self, wire: _wire.SummaryDelta) -> None:
        self._think(wire, max(wire.summary_index, 0))

    def _on_thought(self, wire: _wire.ThoughtDelta) -> None:
        self._think(wire, None)

    def _think(self, wire: Any, summary: int | None) -> None:
        slot = self._thought(wire)
        if slot is None:
            return
        text = wire.delta
        if text:
            self._tell_event(wire, slot.extras, slot.index)
            slot.lengths[summary] = slot.lengths.get(summary, 0) + len(text)
            self._tracker.emit(ReasoningDelta(slot.index, text, summary))

    def _on_summary_done(self, wire: _wire.SummaryTextDone) -> None:
        self._finish_open_thought(wire, max(wire.summary_index, 0))

    def _on_thought_done(self, wire: _wire.ThoughtTextDone) -> None:
        self._finish_open_thought(wire, None)

    def _finish_open_thought(self, wire: Any, summary: int | None) -> None:
        known = self._slots.get(wire.output_index)
        if wire.text and not (known is not None and known.done):
            slot = self._thought(wire)
            if slot is not None:
                self._finish_thinking(slot, summary, wire.text)

    def _call(self, wire: Any, word: str) -> _Slot | None:
        slot = self._slot(wire, word)
        tracker = self._tracker
        if not tracker.is_open(slot.index) or not isinstance(
            tracker.part(slot.index), ToolCallPart
        ):
            tracker.violation("misplaced-delta")
            return None
        return slot

    def _on_arguments(self, wire: _wire.CallDelta) -> None:
        self._argue(wire, self._call(wire, "function_call"))

    def _on_input(self, wire: _wire.CustomDelta) -> None:
        self._argue(wire, self._call(wire, "custom_tool_call"))

    def _argue(self, wire: Any, slot: _Slot | None) -> None:
        if slot is not None and wire.delta:
            self._tell_event(wire, slot.extras, slot.index)
            self._tracker.arguments(slot.index, wire.delta)

    def _on_arguments_done(self, wire: _wire.CallDone) -> None:
        self._whole_arguments(wire, "function_call", wire.arguments)

    def _on_input_done(self, wire: _wire.CustomDone) -> None:
        self._whole_arguments(wire, "custom_tool_call", wire.input)

    def _whole_arguments(self, wire: Any, word: str, text: str | None) -> None:
        known = self._slots.get(wire.output_index)
        if text and not (known is not None and known.done):
            slot = self._call(wire, word)
            if slot is not None:
                self._finish_arguments(slot.index, text)

    def _on_border(self, wire: Any) -> None:
        """A border inside an item, with nothing to carry."""

    # The terminal snapshot

    def _close_by_snapshot(self, known: ResponseObject) -> None:
        raws = self._snapshot(known)
        claimed: set[int] = set()
        for at, raw in enumerate(raws):
            slot = self._found(raw, at, claimed)
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

    def _found(self, raw: Raw, at: int, claimed: set[int]) -> _Slot | None:
        """The announced item that an item of the snapshot is."""
        word, members = _described(raw)
        own = members.get("id")
        if isinstance(own, str):
            for slot in self._order:
                if slot.id == own and id(slot) not in claimed:
                    return slot
        if at < len(self._order):
            slot = self._order[at]
            if slot.kind == word and id(slot) not in claimed:
                return slot
        return None


def _strangers(wire: Wire) -> Extras:
    """Strangers of an event; a modelled member of another type is none."""
    learned = {name for _, name in wire.learned}
    return {
        f"event/{_json.escaped(name)}": value
        for name, value in strangers(wire).items()
        if name not in _POSITIONAL
        and (name in learned or name not in wire.__struct_encode_fields__)
    }


def _position(members: Mapping[str, Raw], name: str) -> Any:
    raw = members.get(name)
    value = UNSET if raw is None else _json.decode_any(bytes(raw))
    return value if isinstance(value, int) else UNSET


def _content(slot: _Slot, key: Any) -> _Content | None:
    for content in reversed(slot.contents):
        if content.key == key:
            return content
    return None


def _changed(fresh: Extras, known: Extras) -> Extras:
    """Members of `fresh` that `known` has not, or otherwise; `known` learns them."""
    changed = {
        name: raw
        for name, raw in fresh.items()
        if name not in known or bytes(known[name]) != bytes(raw)
    }
    known.update(changed)
    return changed


def _described(raw: Raw) -> tuple[str, dict[str, Any]]:
    """An item's type and the members that say who it is. Never raises."""
    try:
        members = _json.decode_object(bytes(raw))
        told: dict[str, Any] = {
            name: _json.decode_any(bytes(members[name]))
            for name in ("type", "id", "role", "phase")
            if name in members
        }
    except RemoteProtocolError:
        return "", {}
    word = told.get("type")
    if word is None and "role" in told:
        word = "message"
    return word if isinstance(word, str) else "", told


_BLANKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "message": {"type": "message", "role": "assistant", "content": []},
    "reasoning": {"type": "reasoning", "summary": []},
    "function_call": {
        "type": "function_call",
        "call_id": "",
        "name": "",
        "arguments": "",
    },
    "custom_tool_call": {
        "type": "custom_tool_call",
        "call_id": "",
        "name": "",
        "input": "",
    },
}


def _blank(word: str, id: Any) -> dict[str, Any]:
    """An item that was never announced."""
    blank = dict(_BLANKS[word])
    if isinstance(id, str):
        blank["id"] = id
        if "call_id" in blank:
            blank["call_id"] = id
    return blank


def _told(extras: Extras | None, *, done: bool) -> Extras:
    """What extras of a whole item say in a stream: neither notes nor silent nulls."""
    told: Extras = {}
    for name, raw in (extras or {}).items():
        bare = name.removeprefix("item/")
        if name[:1] == "@" and name != _names.CONTENT:
            continue
        if name != bare or name in _SPELLED or (bare in _SILENT and bytes(raw) == b"null"):
            continue
        if name == "status" and not done:
            continue
        told[name] = raw
    return told


def _message_extras(raw: Raw, *, done: bool) -> Extras:
    """Strangers of a message item, and a status that is none of the usual."""
    told: Extras = {}
    try:
        members = _json.decode_object(bytes(raw))
    except RemoteProtocolError:
        return told
    for name, value in members.items():
        if name in ("type", "role", "id", "content", "phase"):
            continue
        if name == "status" and (not done or bytes(value) in _USUAL):
            continue
        told[f"item/{_json.escaped(name)}"] = value
    return told


_USUAL: Final = (b'"completed"', b'"incomplete"', b"null")


def _announced(part: Part) -> Part:
    """`part` as it starts: without what only its end says."""
    extras = _told(part.extras, done=False) or None
    if isinstance(part, ReasoningPart):
        return replace(
            part,
            summary=(),
            text=None,
            signature=None,
            redacted=False,
            incomplete=False,
            extras=extras,
        )
    if isinstance(part, ToolCallPart):
        return replace(part, arguments="", incomplete=False, extras=extras)
    return replace(part, incomplete=False)  # hosted and opaque items


_TAKE: Final[dict[type, Callable[[Reader, Any], None]]] = {
    _wire.OutputTextDelta: Reader._on_text,
    _wire.SummaryDelta: Reader._on_summary,
    _wire.ThoughtDelta: Reader._on_thought,
    _wire.CallDelta: Reader._on_arguments,
    _wire.CustomDelta: Reader._on_input,
    _wire.RefusalTextDelta: Reader._on_refusal,
    _wire.Created: Reader._on_start,
    _wire.Queued: Reader._on_progress,
    _wire.InProgress: Reader._on_progress,
    _wire.Completed: Reader._on_end,
    _wire.Incomplete: Reader._on_end,
    _wire.Cancelled: Reader._on_end,
    _wire.Failed: Reader._on_failure,
    _wire.ItemAdded: Reader._on_item,
    _wire.ItemDone: Reader._on_item_done,
    _wire.ContentAdded: Reader._on_content,
    _wire.ContentDone: Reader._on_content_done,
    _wire.ThoughtAdded: Reader._on_border,
    _wire.ThoughtDone: Reader._on_border,
    _wire.SummaryAdded: Reader._on_border,
    _wire.SummaryDone: Reader._on_border,
    _wire.OutputTextDone: Reader._on_text_done,
    _wire.RefusalDone: Reader._on_refusal_done,
    _wire.SummaryTextDone: Reader._on_summary_done,
    _wire.ThoughtTextDone: Reader._on_thought_done,
    _wire.CallDone: Reader._on_arguments_done,
    _wire.CustomDone: Reader._on_input_done,
    _wire.AnnotationAdded: Reader._on_annotation,
    _wire.ErrorEvent: Reader._on_error,
    _wire.KeepAlive: Reader._on_keepalive,
}

_TERMINAL: Final = frozenset(
    {
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.cancelled",
        "error",
    }
)
_ENDS: Final = (b".completed", b".incomplete", b".failed", b".cancelled", b'"error"')


def terminal_mark(frame: Frame) -> bool:
    """Whether this frame ends the stream; cheap for those that do not."""
    if frame.event:
        return frame.event in _TERMINAL
    data = frame.data
    if data is None or not any(end in data for end in _ENDS):
        return False
    try:
        kind = _json.decode_object(data).get("type", _json.NULL)
    except RemoteProtocolError:
        return False
    return bytes(kind)[1:-1].decode("utf-8", "replace") in _TERMINAL
