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

from llmwire import _json
from llmwire._json import LearnedSchema, strangers
from llmwire.dialects import ResponseSource
from llmwire.dialects.openai_responses import (
    _content_read,
    _errors,
    _names,
    _wire,
)
from llmwire.dialects.openai_responses._names import NAME
from llmwire.dialects.openai_responses._response import (
    ResponseObject,
)
from llmwire.dialects.openai_responses._stream_items import Items
from llmwire.dialects.openai_responses._stream_slots import (
    POSITIONAL,
    Content,
    Slot,
    changed_in,
    content_at,
    event_strangers,
    position_of,
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
    ServiceTier,
    TextDelta,
    UsageUpdate,
)
from llmwire.messages import (
    APIError,
    Extras,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    Usage,
)
from llmwire.sse import Frame

_SCHEMA: Final[LearnedSchema[Any]] = LearnedSchema(_wire.EventWire)  # type: ignore[arg-type]  # a union serves
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


class Reader(Items):
    """Turns frames into events (the `StreamReader` of this dialect)."""

    def __init__(self, source: ResponseSource, framing: str = "sse") -> None:
        super().__init__(source)
        self._held: APIError | None = None
        self._id: str | None = None
        self._tier: str | None = None
        self._usage: Usage | None = None
        self._extras: Extras = {}
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
            if not self._receive_unusual(data, error.path):
                raise
            return
        take = self._take.get(type(wire))
        if take is None:  # a type that has learned names
            kind = next(k for k in type(wire).__mro__ if k in _TAKE)
            take = self._take[type(wire)] = _TAKE[kind]
        if self._held is not None and not isinstance(wire, _wire.Failed):
            self._settle_held()
            return
        take(self, wire)

    def _receive_unusual(self, data: bytes, path: str | None) -> bool:
        """A frame that is no event which is modelled; False where it is none at all.

        Args:
            data: Of the frame.
            path: What is wrong with it as one that is.
        """
        text = data.strip()
        if not text:
            return True
        self._settle_held()
        if text.startswith(b"[DONE]"):
            return True  # a habit of Chat servers: no end of this dialect's streams
        if path != "$.type":
            return False
        members = _json.decode_object(data)
        word = _json.decode_any(bytes(members.get("type", _json.NULL)))
        if word and isinstance(word, str):
            self._opaque(word, members)
            return True
        failure = members.get("error")
        if failure is not None and bytes(failure) not in (b"null", b'""'):
            message = "the upstream sent an error"
            self._tracker.fail(_errors.read_failure(failure, message))
            return True
        self._tracker.violation("untyped-event")
        return True

    def _settle_held(self) -> None:
        if self._held is not None:
            self._tracker.fail(self._held)
            self._held = None

    def _opaque(self, word: str, members: dict[str, Raw]) -> None:
        """An event without a neutral form."""
        slot = self._slots.get(position_of(members, "output_index"))
        index: int | None = None
        if slot is not None:
            index = slot.index if slot.index >= 0 else None
            if slot.contents:
                key = position_of(members, "content_index")
                found = content_at(slot, key) or slot.contents[-1]
                index = found.index
        kept = {n: v for n, v in members.items() if n not in POSITIONAL}
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
        fresh.update(event_strangers(wire))
        changed = changed_in(fresh, self._extras)
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

    # Items and parts

    def _on_item(self, wire: _wire.ItemAdded) -> None:
        known = self._slots.get(wire.output_index)
        if known is not None and not known.done:
            self._tracker.violation("repeated-item")
            return
        self._open_item(wire.output_index, wire.item)

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

    def _on_content(self, wire: _wire.ContentAdded) -> None:
        part = self._content_part(wire.part)
        word = "message" if part is not None else "reasoning"
        slot = self._slot(wire, word)
        if slot.index >= 0 or part is None:
            return
        tracker = self._tracker
        if content_at(slot, wire.content_index) is not None:
            tracker.violation("repeated-part")
            return
        if wire.content_index != len(slot.contents):
            tracker.violation("content-index-gap")
        if slot.contents:
            self._close_part(slot.contents[-1].index)
        content = self._open_content(slot, wire.content_index, part)
        if isinstance(part, (TextPart, RefusalPart)):
            self._finish_text(content, part.text)

    def _on_content_done(self, wire: _wire.ContentDone) -> None:
        slot = self._slots.get(wire.output_index)
        content = None if slot is None else content_at(slot, wire.content_index)
        part = self._content_part(wire.part)
        if content is not None and part is not None:
            self._finish_content(content, part)

    # Deltas

    def _on_text(self, wire: _wire.OutputTextDelta) -> None:
        slot = self._slots.get(wire.output_index)
        content: Content | None = None
        if slot is not None and slot.contents:
            content = slot.contents[-1]
            if content.key != wire.content_index or slot.done:
                content = None
        if content is None:
            content = self._said_in(wire, TextPart(""))
            if self._tracker.done:
                return
        text = wire.delta
        if text and content.delta:
            self._tell_event(wire, content.extras, content.index)
            content.length += len(text)
            self._tracker.events.append(content.delta(content.index, text))
        if wire.logprobs and content.delta is TextDelta:
            tokens = _content_read.read_logprobs(wire.logprobs)
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

    def _on_annotation(self, wire: _wire.AnnotationAdded) -> None:
        slot = self._slots.get(wire.output_index)
        content = None if slot is None else content_at(slot, wire.content_index)
        if content is None:
            content = self._said_in(wire, TextPart(""))
        if content.delta is TextDelta:
            content.citations += 1
            citation = _content_read.read_citation(wire.annotation)
            self._tracker.emit(CitationDelta(content.index, citation))

    def _on_text_done(self, wire: _wire.OutputTextDone) -> None:
        self._finish_said(wire, wire.text, TextPart(""))

    def _on_refusal_done(self, wire: _wire.RefusalDone) -> None:
        self._finish_said(wire, wire.refusal, RefusalPart(""))

    def _finish_said(self, wire: Any, text: str | None, blank: Part) -> None:
        slot = self._slots.get(wire.output_index)
        if not text or (slot is not None and slot.done):
            return
        content = None if slot is None else content_at(slot, wire.content_index)
        self._finish_text(content or self._said_in(wire, blank), text)

    def _thought(self, wire: Any) -> Slot | None:
        slot = self._slot(wire, "reasoning")
        tracker = self._tracker
        if not tracker.is_open(slot.index) or not isinstance(
            tracker.part(slot.index), ReasoningPart
        ):
            tracker.violation("misplaced-delta")
            return None
        return slot

    def _on_summary(self, wire: _wire.SummaryDelta) -> None:
        self._think(wire, wire.summary_index)

    def _on_thought(self, wire: _wire.ThoughtDelta) -> None:
        self._think(wire, None)

    def _think(self, wire: Any, summary: int | None) -> None:
        slot = self._thought(wire)
        if slot is None:
            return
        text = wire.delta
        if text:
            self._tell_event(wire, slot.extras, slot.index)
            if summary is not None:
                summary = slot.segment(summary)
            slot.lengths[summary] = slot.lengths.get(summary, 0) + len(text)
            self._tracker.emit(ReasoningDelta(slot.index, text, summary))

    def _on_summary_done(self, wire: _wire.SummaryTextDone) -> None:
        self._finish_open_thought(wire, wire.summary_index)

    def _on_thought_done(self, wire: _wire.ThoughtTextDone) -> None:
        self._finish_open_thought(wire, None)

    def _finish_open_thought(self, wire: Any, summary: int | None) -> None:
        known = self._slots.get(wire.output_index)
        if wire.text and not (known is not None and known.done):
            slot = self._thought(wire)
            if slot is not None:
                if summary is not None:
                    summary = slot.segment(summary)
                self._finish_thinking(slot, summary, wire.text)

    def _call(self, wire: Any, word: str) -> Slot | None:
        slot = self._slot(wire, word)
        tracker = self._tracker
        if not tracker.is_open(slot.index) or not isinstance(
            tracker.part(slot.index), ToolCallPart
        ):
            tracker.violation("misplaced-delta")
            return None
        return slot

    def _on_arguments(self, wire: _wire.CallDelta) -> None:
        if not self._settled(wire):
            self._argue(wire, self._call(wire, "function_call"))

    def _on_input(self, wire: _wire.CustomDelta) -> None:
        if not self._settled(wire):
            self._argue(wire, self._call(wire, "custom_tool_call"))

    def _settled(self, wire: Any) -> bool:
        """Whether the call that grows was done: its item has said all of it."""
        known = self._slots.get(wire.output_index)
        late = known is not None and known.done
        if late:
            self._tracker.violation("late-arguments")
        return late

    def _argue(self, wire: Any, slot: Slot | None) -> None:
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


_MAY_END: Final = (*_ENDS, b"event: error", b"event:error")


def may_end(frames: bytes) -> bool:
    """Whether one of these frames may be a `terminal_mark`."""
    return any(end in frames for end in _MAY_END)


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
