"""Streams, from events into frames.

Theory of operation. `MessageStart` is kept until the next event that is not part of the
head (tier, strangers, usage), so that `response.created` says them. Every part gets its
item's whole life; an item's id and its place are fixed when it is announced and used in
every later frame and in the terminal snapshot. A message is done when the next event
does not continue it, for the parts of one message share a group. The terminal frame
waits for `StreamEnd`.

Native sentences are written as they come, interleaved parts included. Those of other
dialects go through a `Sequencer` where the profile wants one item after another; their
thinking is shown as summaries, and signatures that have no room where they belong ride
in a reasoning item before or after.

The hot path is a text delta of the part that streams: a prefix and a suffix are made
when it opens, and only the text and the number stand between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, get_args

from msgspec import Raw
from msgspec.structs import replace

from llmwire import _json
from llmwire._sequence import Sequencer
from llmwire.dialects import ReplyTarget
from llmwire.dialects.openai_responses import _errors, _names, _wire
from llmwire.dialects.openai_responses import _items_write as items
from llmwire.dialects.openai_responses._items_write import Object
from llmwire.dialects.openai_responses._names import ECHO, NAME
from llmwire.dialects.openai_responses._response import (
    OutputWriter,
    failure,
    response_id,
    seconds,
    skeleton,
    way_to,
    with_explanation,
    write_tier,
)
from llmwire.dialects.openai_responses._usage import write_stop, write_usage
from llmwire.errors import RemoteProtocolError
from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Extra,
    LogprobsDelta,
    MediaDelta,
    MessageEnd,
    MessageStart,
    OpaqueEvent,
    PartEnd,
    PartStart,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    ServiceTier,
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.messages import (
    Base64,
    Choice,
    Citation,
    Extras,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    Usage,
)

_KNOWN: Final = frozenset(
    str(kind.__struct_config__.tag) for kind in get_args(_wire.EventWire)
)
"""Events that have a meaning of their own: never written for an opaque one."""
_RANKS: Final[dict[type, int]] = {ServiceTier: 1, Extra: 2}
"""In which order a frame of the head says what it says."""
_BEFORE_END: Final = (
    UsageUpdate,
    ServiceTier,
    MessageEnd,
    StreamEnd,
    StreamError,
    PartEnd,
)
"""What may stand between news of the response and its last frame."""
_HEADS: Final = ("response.created", "response.in_progress")
_NONE: Final = -1


class _Message:
    """A message item: open while parts of its group may follow."""

    __slots__ = ("content", "extras", "group", "id", "open", "output", "parts")

    def __init__(self, id: str, output: int, group: int | None) -> None:
        self.id = id
        self.output = output
        self.group = group
        self.parts: list[Part] = []
        self.content: list[Object | Raw] = []
        self.extras: Extras = {}
        self.open = 0


class _Open:
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
        self.output = _NONE
        self.content = 0
        self.message: _Message | None = None
        self.pieces: list[str] = []
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

    def own_extras(self) -> Extras | None:
        """Strangers of the part itself."""
        return self.extras or None


class Writer:
    """Turns events into bytes (the `StreamWriter` of this dialect)."""

    def __init__(self, target: ReplyTarget) -> None:
        self._target = target
        self._framing = target.framing
        self._way = way_to(target, None)
        self._ids = OutputWriter(self._way, target.seed, "choices[0]")
        self._number = 0
        self._start: MessageStart | None = None
        self._heads = 0
        """How many of the frames of the head are written."""
        self._rank = 0
        self._news = False
        """Tier or strangers came after the head."""
        self._done = False
        self._head: Object = {}
        self._extras: Extras = {}
        self._event_extras: Extras = {}
        self._tier: str | None = None
        self._usage: Usage | None = None
        self._sequencer: Sequencer | None = None
        self._parts: dict[int, _Open] = {}
        self._counts: dict[int, int] = {}
        self._output: list[Object | Raw] = []
        self._messages: dict[int, _Message] = {}
        self._pending: _Message | None = None
        self._choice: int | None = None
        self._end: MessageEnd | None = None
        self._shown: list[Part] = []
        self._call_ids: set[str] = set()
        self._hot = _NONE
        self._hot_open: _Open | None = None

    def send(self, event: Event) -> bytes:
        """Bytes due now; any event in any order gives a legal stream."""
        if type(event) is TextDelta and event.index == self._hot:
            hot = self._hot_open
            if hot is not None and self._pending is None:
                text = event.text
                if not text:
                    return b""
                hot.pieces.append(text)
                number = self._number
                self._number = number + 1
                return b"%b%b%b%d%b" % (
                    hot.prefix,
                    _json.encode(text),
                    hot.suffix,
                    number,
                    self._close,
                )
        if self._done:
            return b""
        if self._sequencer is None or type(event) in _UNSEQUENCED:
            written = self._write(event)
        else:
            due = self._sequencer.send(event)
            written = b"".join([self._write(each) for each in due])
        self._warm()
        return written

    def resume(self, start: MessageStart) -> None:
        """Go on with a stream whose beginning somebody else wrote."""
        self._begin(start)
        self._heads = len(_HEADS)

    @property
    def _close(self) -> bytes:
        return b"}\n\n" if self._framing != "messages" else b"}\n"

    def _warm(self) -> None:
        """Find the part whose deltas may take the hot path."""
        sequencer = self._sequencer
        index: int | None
        if self._done:
            index, opened = None, None
        elif sequencer is not None:
            index = sequencer.streaming
            opened = None if index is None else self._parts.get(index)
        else:
            index = next(reversed(self._parts), None)
            opened = None if index is None else self._parts[index]
        hot = (
            opened is not None
            and not opened.done
            and bool(opened.prefix)
            and isinstance(opened.part, TextPart)
        )
        self._hot = index if hot and index is not None else _NONE
        self._hot_open = opened if hot else None

    def _write(self, event: Event) -> bytes:
        if self._done:
            return b""
        writer = _WRITERS.get(type(event))
        if writer is None:
            return b""
        if self._start is None and type(event) not in _EARLY:
            self._begin(MessageStart())
        due = self._write_head(event)
        if self._pending is not None and not self._continues(event):
            due += self._finish_message()
        return due + writer(self, event)

    def _write_head(self, event: Event) -> bytes:
        """The frames of the head that cannot wait for more than `event`."""
        waits = self._start is None or isinstance(event, UsageUpdate)
        if waits:
            return b""
        if self._heads == len(_HEADS):
            return self._restate_response(event)
        rank = _RANKS.get(type(event))
        if isinstance(event, Extra) and event.index is not None:
            rank = None
        if rank is None:
            return b"".join([self._head_frame() for _ in _HEADS[self._heads :]])
        due = self._head_frame() if rank <= self._rank else b""
        self._rank = rank
        return due

    def _restate_response(self, event: Event) -> bytes:
        """Tell news of the response before what goes on; the last frame tells them."""
        if not self._news or isinstance(event, _BEFORE_END):
            return b""
        self._news = False
        if isinstance(event, Extra) and event.index is None:
            self._news = True
            return b""
        body = self._response("in_progress")
        return self._frame("response.in_progress", body)

    def _head_frame(self) -> bytes:
        kind = _HEADS[self._heads]
        self._heads += 1
        return self._frame(kind, self._response("in_progress"))

    # Frames

    def _frame(self, kind: str, members: Object) -> bytes:
        number = self._number
        self._number += 1
        body = _in_line(
            _json.encode({"type": kind, **members, "sequence_number": number})
        )
        if self._framing == "messages":
            return body + b"\n"
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), body)

    def _prepare(
        self, opened: _Open, kind: str, position: Object, tail: bytes = b""
    ) -> None:
        """Fix what stands before and after the text in deltas of a part."""
        members = {"type": kind, **self._place(opened), **position}
        inside = _json.encode(members)[:-1] + b',"delta":'
        if self._framing != "messages":
            inside = b"event: %b\ndata: %b" % (kind.encode(), inside)
        strangers = [
            b",%b:%b" % (_json.encode(name), _in_line(bytes(value)))
            for name, value in _json.level(opened.event, "event").items()
        ]
        opened.prefix = inside
        opened.suffix = b"".join((tail, *strangers, b',"sequence_number":'))

    def _prepare_content(self, opened: _Open) -> None:
        position = {"content_index": opened.content}
        if isinstance(opened.part, TextPart):
            kind = "response.output_text.delta"
            self._prepare(opened, kind, position, b',"logprobs":[]')
        elif isinstance(opened.part, RefusalPart):
            self._prepare(opened, "response.refusal.delta", position)

    def _delta(self, opened: _Open, text: str) -> bytes:
        number = self._number
        self._number += 1
        parts = (opened.prefix, _json.encode(text), opened.suffix)
        return b"%b%b%b%d%b" % (*parts, number, self._close)

    # The response as a whole

    def _on_start(self, event: MessageStart) -> bytes:
        if self._start is None:
            self._begin(event)
        return b""

    def _begin(self, start: MessageStart) -> None:
        self._start = start
        target = self._target
        self._way = way_to(target, start.dialect)
        seed = target.seed or start.id or ""
        self._ids = OutputWriter(self._way, seed, "choices[0]")
        if not self._way.native and target.profile.sequential_items:
            self._sequencer = Sequencer(target.losses, target.limits)
        created = start.created if start.created is not None else target.created
        self._head = {
            "id": response_id(start.id, target.seed, native=self._way.native),
            "created_at": seconds(created),
            "model": target.model or start.model or "",
        }
        if start.usage is not None:
            self._usage = start.usage

    def _response(
        self,
        status: str,
        reason: str | None = None,
        error: Object | None = None,
        *,
        final: bool = False,
    ) -> Object:
        body = skeleton(self._target.echo)
        note = self._extras.get(ECHO)
        if note is not None:
            for name, value in _json.decode_object(bytes(note)).items():
                if name in _names.REPEATED:
                    body[name] = value
        body.update(self._head)
        body["status"] = status
        body["error"] = error
        body["incomplete_details"] = {"reason": reason} if reason is not None else None
        if final:
            body["output"] = self._output
            if not (self._way.native and self._usage is None):
                body["usage"] = write_usage(self._usage, self._way)
        if self._tier is not None:
            write_tier(self._tier, body, self._way)
        items.merge(body, self._extras)
        members: Object = {"response": body}
        items.merge(members, self._event_extras, "event")
        return members

    def _on_tier(self, event: ServiceTier) -> bytes:
        self._tier = event.tier
        self._news = self._way.native and self._heads == len(_HEADS)
        return b""

    def _on_usage(self, event: UsageUpdate) -> bytes:
        self._usage = event.usage
        return b""

    def _on_ping(self, event: Ping) -> bytes:
        if self._framing == "messages":
            return b""
        fresh = self._start is not None and self._number == 2 and not self._parts
        if fresh and not self._pinged:
            self._pinged = True
            return b""
        return b": keep-alive\n\n"

    _pinged = False

    def _on_extra(self, event: Extra) -> bytes:
        if event.index is not None:
            return self._on_part_extra(event)
        path = "" if event.choice is None else "choices[0]"
        if not self._way.native or event.choice is not None:
            self._way.losses.drop_extras(event.extras, path)
            return b""
        for name, value in event.extras.items():
            place = self._event_extras if name.startswith("event/") else self._extras
            place[name] = value
        self._news = self._heads == len(_HEADS)
        return b""

    def _on_opaque(self, event: OpaqueEvent) -> bytes:
        if event.dialect != NAME:
            reason = f"only {event.dialect} knows this event"
            self._way.losses.drop("opaque", "choices[0]", reason)
            return b""
        if event.kind in _KNOWN or not event.kind:
            return b""
        try:
            members: Object = dict(_json.decode_object(bytes(event.raw)))
        except RemoteProtocolError:
            return b""
        members.pop("type", None)
        members.pop("sequence_number", None)
        opened = None if event.index is None else self._parts.get(event.index)
        if opened is not None and opened.output != _NONE:
            members["item_id"] = opened.id
            members["output_index"] = opened.output
            if opened.message is not None:
                members["content_index"] = opened.content
        return self._frame(event.kind, members)

    def _on_message_end(self, event: MessageEnd) -> bytes:
        if not self._keeps(event.choice) or self._end is not None:
            return b""
        due = self._close_all()
        choice = self._ended(event)
        for part in with_explanation(choice, self._way)[len(choice.parts) :]:
            due += self._explain(part)
        wanted = self._target.profile.empty_text_block and not self._way.native
        if wanted and not self._output:
            due += self._explain(TextPart(""))
        self._end = event
        return due

    def _explain(self, part: Part) -> bytes:
        """A whole part of our own."""
        index = max((*self._parts, *self._counts, -1)) + 1
        text = part.text if isinstance(part, (TextPart, RefusalPart)) else ""
        empty = RefusalPart("") if isinstance(part, RefusalPart) else TextPart("")
        due = self._on_part(PartStart(index, empty, self._choice or 0))
        if text:
            due += self._on_refusal(RefusalDelta(index, text))
        due += self._on_part_end(PartEnd(index))
        return due + self._finish_message()

    def _close_all(self) -> bytes:
        due = b""
        for index, opened in list(self._parts.items()):
            if not opened.done:
                due += self._on_part_end(PartEnd(index, "incomplete"))
        return due + self._finish_message()

    def _ended(self, event: MessageEnd) -> Choice:
        return Choice(
            parts=tuple(self._shown),
            stop=event.stop,
            raw=event.raw,
            stop_sequence=event.stop_sequence,
            detail=event.detail,
        )

    def _on_stream_end(self, event: StreamEnd) -> bytes:
        due = self._close_all()
        choice = self._ended(self._end or MessageEnd("other"))
        status, reason = write_stop(choice, self._way, "choices[0]")
        error: Object | None = None
        if status == "failed":
            error = {"code": "server_error", "message": failure(choice)}
        body = self._response(status, reason, error, final=True)
        self._done = True
        word = {"incomplete": "incomplete", "cancelled": "incomplete"}.get(status)
        word = "failed" if status == "failed" else word or "completed"
        return due + self._frame(f"response.{word}", body)

    def _on_error(self, event: StreamError) -> bytes:
        error = event.error
        if self._start is None:
            self._done = True
            told = _errors.error_object(error)
            flat = {
                "code": told["code"] or told["type"],
                "message": told["message"],
                "param": told["param"],
            }
            return self._frame("error", flat)
        due = self._finish_message()
        self._done = True
        told = _errors.failure_object(error)
        return due + self._frame(
            "response.failed", self._response("failed", None, told, final=True)
        )

    # Parts

    def _keeps(self, choice: int) -> bool:
        if self._choice is None:
            self._choice = choice
        if choice == self._choice:
            return True
        reason = "the dialect has one answer"
        self._way.losses.drop("choices", f"choices[{choice}]", reason)
        return False

    def _on_part(self, event: PartStart) -> bytes:
        if event.index in self._parts or self._end is not None:
            return b""
        if not self._keeps(event.choice):
            return b""
        count = self._counts.get(event.choice, 0)
        self._counts[event.choice] = count + 1
        part = event.part
        opened = _Open(part, f"choices[{event.choice}].parts[{count}]")
        self._parts[event.index] = opened
        self._keep_extras(opened, part.extras)
        if self._ids.speaks(part):
            return self._open_content(opened)
        if isinstance(part, ReasoningPart):
            return self._open_thought(opened)
        if isinstance(part, ToolCallPart):
            return self._open_call(opened)
        if isinstance(part, (ServerToolCallPart, ServerToolResultPart, OpaquePart)):
            return self._open_server(opened)
        return b""  # media are written when they are whole

    def _keep_extras(self, opened: _Open, extras: Extras | None) -> None:
        if not extras:
            return
        if not self._way.native:
            self._way.losses.drop_extras(extras, opened.path)
            return
        for name, value in extras.items():
            if name.startswith("event/"):
                opened.event[name] = value
            elif not name.startswith("item/"):
                opened.extras[name] = value

    def _add(self, opened: _Open, item: Object | Raw) -> bytes:
        """Announce an item."""
        opened.output = len(self._output)
        self._output.append(item)
        members: Object = {"output_index": opened.output, "item": item}
        return self._frame("response.output_item.added", members)

    def _close_item(self, opened: _Open, item: Object | Raw) -> bytes:
        self._output[opened.output] = item
        members: Object = {"output_index": opened.output, "item": item}
        return self._frame("response.output_item.done", members)

    def _place(self, opened: _Open, **more: Any) -> Object:
        return {"item_id": opened.id, "output_index": opened.output, **more}

    # Messages

    def _continues(self, event: Event) -> bool:
        """Whether `event` belongs to the message that may be done."""
        message = self._pending
        if message is None or message.group is None:
            return False
        if isinstance(event, PartStart):
            same = event.part.group == message.group
            return same and self._ids.speaks(event.part)
        if isinstance(event, Extra) and event.index is not None:
            opened = self._parts.get(event.index)
            return opened is not None and opened.message is message
        return False

    def _open_content(self, opened: _Open) -> bytes:
        part = opened.part
        group = part.group
        message = None if group is None else self._messages.get(group)
        due = b""
        if message is None:
            message = self._new_message(opened)
            due = self._announce_message(message, part)
        self._pending = None
        opened.message = message
        opened.id, opened.output = message.id, message.output
        opened.content = len(message.parts)
        message.open += 1
        message.parts.append(part)
        message.content.append({})
        empty = self._content(opened, part)
        self._prepare_content(opened)
        place = self._place(opened, content_index=opened.content, part=empty)
        due += self._frame("response.content_part.added", place)
        if isinstance(part, (TextPart, RefusalPart)) and part.text:
            opened.pieces.append(part.text)
            due += self._delta(opened, part.text)
        return due

    def _new_message(self, opened: _Open) -> _Message:
        part = opened.part
        native = part.id if self._way.native else None
        id = native or self._ids.minted("msg_")
        message = _Message(id, len(self._output), part.group)
        if part.group is not None:
            self._messages[part.group] = message
        if self._way.native:
            for name, value in (part.extras or {}).items():
                if name.startswith("item/"):
                    message.extras[name] = value
        return message

    def _announce_message(self, message: _Message, part: Part) -> bytes:
        item: Object = {
            "id": message.id,
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        if isinstance(part, TextPart) and part.phase is not None:
            item["phase"] = part.phase
        items.merge(item, message.extras, "item")
        self._output.append(item)
        members: Object = {"output_index": message.output, "item": item}
        return self._frame("response.output_item.added", members)

    def _content(self, opened: _Open, part: Part) -> Object | Raw:
        """`part` inside its message."""
        written: Object | Raw | None = None
        if isinstance(part, (TextPart, RefusalPart)):
            plain = replace(part, extras=opened.own_extras(), signature=None)
            written = items.write_content(plain, "assistant", self._way, opened.path)
        elif isinstance(part, OpaquePart):
            written = part.raw
        elif isinstance(part, MediaPart):
            written = items.write_content(part, "assistant", self._way, opened.path)
        return {} if written is None else written

    def _close_content(self, opened: _Open, incomplete: bool) -> bytes:
        message = opened.message
        assert message is not None
        part = self._grown(opened, incomplete)
        written = self._content(opened, part)
        at = opened.content
        message.parts[at], message.content[at] = part, written
        due = b""
        if isinstance(part, TextPart):
            octets = self._way.native
            told = items.write_logprobs(
                part.logprobs, self._way, opened.path, octets=octets
            )
            place = self._place(opened, content_index=at, text=part.text, logprobs=told)
            due = self._frame("response.output_text.done", place)
        elif isinstance(part, RefusalPart):
            place = self._place(opened, content_index=at, refusal=part.text)
            due = self._frame("response.refusal.done", place)
        place = self._place(opened, content_index=at, part=written)
        due += self._frame("response.content_part.done", place)
        message.open -= 1
        self._shown.append(part)
        carried = b""
        if opened.signature is not None:
            carried = self._finish_message(message)
            carried += self._carry(part, opened.signature, "prev")
        elif message.open == 0:
            self._pending = message
        return due + carried

    def _grown(self, opened: _Open, incomplete: bool) -> Part:
        """`opened` with all that was said in it."""
        part = opened.part
        text = "".join(opened.pieces)
        common: Any = {"incomplete": incomplete}
        if isinstance(part, TextPart):
            return replace(
                part,
                text=text,
                citations=(*part.citations, *opened.citations),
                logprobs=(*part.logprobs, *opened.logprobs),
                **common,
            )
        if isinstance(part, RefusalPart):
            return replace(part, text=text, **common)
        return replace(opened.final or part, **common)

    def _finish_message(self, message: _Message | None = None) -> bytes:
        """The done of a message's item."""
        message = message or self._pending
        self._pending = None
        if message is None:
            return b""
        if message.group is not None:
            self._messages.pop(message.group, None)
        item = self._message_item(message)
        self._output[message.output] = item
        members: Object = {"output_index": message.output, "item": item}
        return self._frame("response.output_item.done", members)

    def _message_item(self, message: _Message) -> Object:
        first = message.parts[0]
        parts = [replace(first, extras=message.extras or None), *message.parts[1:]]
        content = list(message.content)
        return items.write_message(parts, content, self._way, message.id)

    # Reasoning

    def _open_thought(self, opened: _Open) -> bytes:
        part = opened.part
        native = part.id if self._way.native else None
        opened.id = native or self._ids.minted("rs_")
        item: Object = {"id": opened.id, "type": "reasoning", "summary": []}
        if not self._way.native:
            item["status"] = "in_progress"
        items.merge(item, opened.extras)
        due = self._add(opened, item)
        if isinstance(part, ReasoningPart):
            for at, text in enumerate(part.summary):
                due += self._think(opened, text, at)
            if part.text:
                due += self._think(opened, part.text, None)
        return due

    def _think(self, opened: _Open, text: str, summary: int | None) -> bytes:
        due = b""
        if opened.current != (summary,):
            due = self._close_segment(opened)
            known = opened.segments.get(summary)
            if known is None:
                at = self._next_summary(opened, summary)
                known = opened.segments[summary] = (at, [])
                due += self._open_segment(opened, at, self._is_raw(summary))
            opened.current = (summary,)
            self._thought_frames(opened)
        opened.segments[summary][1].append(text)
        return due + (self._delta(opened, text) if text else b"")

    def _is_raw(self, summary: int | None) -> bool:
        """Whether a segment is written as raw reasoning."""
        return summary is None and self._way.native

    def _next_summary(self, opened: _Open, summary: int | None) -> int:
        """The place of a new segment: natively its own, else the next."""
        if self._way.native:
            return summary or 0
        return len(opened.segments)

    def _open_segment(self, opened: _Open, at: int, raw: bool) -> bytes:
        if raw:
            blank: Object = {"type": "reasoning_text", "text": ""}
            place = self._place(opened, content_index=at, part=blank)
            return self._frame("response.content_part.added", place)
        blank = {"type": "summary_text", "text": ""}
        place = self._place(opened, summary_index=at, part=blank)
        return self._frame("response.reasoning_summary_part.added", place)

    def _thought_frames(self, opened: _Open) -> None:
        """Prepare prefix and suffix of the open segment's deltas."""
        assert opened.current is not None
        (summary,) = opened.current
        raw = self._is_raw(summary)
        at = opened.segments[summary][0]
        kind = "reasoning_text" if raw else "reasoning_summary_text"
        position = "content_index" if raw else "summary_index"
        self._prepare(opened, f"response.{kind}.delta", {position: at})

    def _close_segment(self, opened: _Open) -> bytes:
        if opened.current is None:
            return b""
        (summary,) = opened.current
        opened.current = None
        at, pieces = opened.segments[summary]
        text = "".join(pieces)
        if self._is_raw(summary):
            whole: Object = {"type": "reasoning_text", "text": text}
            told = self._place(opened, content_index=at, text=text)
            done = self._place(opened, content_index=at, part=whole)
            due = self._frame("response.reasoning_text.done", told)
            return due + self._frame("response.content_part.done", done)
        whole = {"type": "summary_text", "text": text}
        told = self._place(opened, summary_index=at, text=text)
        done = self._place(opened, summary_index=at, part=whole)
        due = self._frame("response.reasoning_summary_text.done", told)
        return due + self._frame("response.reasoning_summary_part.done", done)

    def _close_thought(self, opened: _Open, incomplete: bool) -> bytes:
        due = self._close_segment(opened)
        part = opened.part
        assert isinstance(part, ReasoningPart)
        by_place: dict[int, str] = {}
        text: str | None = None
        for key, (at, pieces) in opened.segments.items():
            if key is None and self._way.native:
                text = "".join(pieces)
            else:
                by_place[at] = "".join(pieces)
        count = max(by_place, default=-1) + 1
        whole = replace(
            part,
            summary=tuple(by_place.get(at, "") for at in range(count)),
            text=text,
            signature=opened.signature,
            incomplete=incomplete,
            extras=opened.own_extras() or part.extras,
        )
        told = None in opened.segments or part.text is not None
        if told and not self._way.native:
            reason = "thinking is shown as summaries"
            self._way.losses.approximate("reasoning.segments", opened.path, reason)
        sealed = None
        if opened.signature is not None:
            sealed = items.seal(whole, opened.signature)
        item = items.write_thought(
            whole, self._way, opened.id, sealed, as_summary=False
        )
        self._shown.append(whole)
        return due + self._close_item(opened, item)

    def _carry(self, part: Part, signature: Signature, placement: str) -> bytes:
        """A reasoning item that holds the signature of its neighbour."""
        item = self._ids.carried(replace(part, signature=signature), placement)
        blank = {**item, "status": "in_progress"}
        blank.pop("encrypted_content", None)
        carrier = _Open(part, "")
        return self._add(carrier, blank) + self._close_item(carrier, item)

    # Calls

    def _open_call(self, opened: _Open) -> bytes:
        part = opened.part
        assert isinstance(part, ToolCallPart)
        due = b""
        if opened.signature is not None:
            due = self._carry(part, opened.signature, "next")
            opened.carried, opened.signature = opened.signature, None
        call_id, id = self._ids.call_ids(part, opened.path)
        if not self._way.native and call_id in self._call_ids:
            call_id, id = self._ids.another_call(part, len(self._parts))
        self._call_ids.add(call_id)
        opened.id = id or items.call_item_id(call_id, part.kind)
        part = opened.part = replace(part, call_id=call_id, signature=None)
        empty = replace(part, arguments="", extras=opened.own_extras())
        item = self._call_item(opened, empty)
        if "status" in item:
            item["status"] = "in_progress"
        due += self._add(opened, item)
        self._call_frames(opened)
        if part.arguments:
            due += self._argue(opened, part.arguments)
        return due

    def _call_frames(self, opened: _Open) -> None:
        kind = "response.function_call_arguments.delta"
        if getattr(opened.part, "kind", "") == "custom":
            kind = "response.custom_tool_call_input.delta"
        self._prepare(opened, kind, {})

    def _call_item(self, opened: _Open, part: ToolCallPart) -> Object:
        return items.write_call(
            part, self._way, opened.id, call_id=part.call_id, name=part.name
        )

    def _argue(self, opened: _Open, text: str) -> bytes:
        opened.pieces.append(text)
        return self._delta(opened, text)

    def _close_call(self, opened: _Open, incomplete: bool) -> bytes:
        part = opened.part
        assert isinstance(part, ToolCallPart)
        text = "".join(opened.pieces)
        due = b""
        custom = part.kind == "custom"
        if not text.strip() and not custom and not self._way.native:
            due = self._argue(opened, "{}")
            text = "".join(opened.pieces)
        if custom:
            done = self._place(opened, input=text)
            due += self._frame("response.custom_tool_call_input.done", done)
        else:
            done = self._place(opened, arguments=text)
            due += self._frame("response.function_call_arguments.done", done)
        extras = opened.own_extras()
        whole = replace(part, arguments=text, incomplete=incomplete, extras=extras)
        self._ids.report_call(whole, opened.path)
        self._shown.append(whole)
        due += self._close_item(opened, self._call_item(opened, whole))
        if opened.signature is not None:
            due += self._carry(part, opened.signature, "prev")
        return due

    # Hosted and opaque items, media

    def _open_server(self, opened: _Open) -> bytes:
        part = opened.part
        raw = self._native_raw(part, opened.path)
        if raw is None:
            return b""
        opened.id = part.id or ""
        return self._add(opened, raw)

    def _native_raw(self, part: Part, path: str) -> Raw | None:
        """The item as it is known; None where it cannot be told."""
        if isinstance(part, OpaquePart):
            if part.dialect == NAME:
                return part.raw
            reason = f"only {part.dialect} knows this part"
            self._way.losses.drop("opaque", path, reason)
            return None
        if self._way.native and isinstance(
            part, (ServerToolCallPart, ServerToolResultPart)
        ):
            return part.payload
        reason = "another server's own tool"
        self._way.losses.drop("tool.server_part", path, reason)
        return None

    def _close_server(self, opened: _Open, final: Part | None) -> bytes:
        if opened.output == _NONE:
            return b""
        part = final if type(final) is type(opened.part) else opened.part
        raw = self._native_raw(part or opened.part, opened.path)
        self._shown.append(opened.part)
        return b"" if raw is None else self._close_item(opened, raw)

    def _close_media(
        self, opened: _Open, incomplete: bool, final: Part | None
    ) -> bytes:
        part = final if isinstance(final, MediaPart) else opened.part
        if (
            opened.pieces
            and not isinstance(final, MediaPart)
            and isinstance(part, MediaPart)
            and isinstance(part.source, Base64)
        ):
            data = part.source.data + "".join(opened.pieces)
            part = replace(part, source=Base64(data))
        part = replace(part, incomplete=incomplete)
        due = b""
        for item in self._ids.item(part, opened.path):
            assert isinstance(item, dict)
            blank = {**item, "status": "in_progress", "result": None}
            shown = _Open(part, "")
            due += self._add(shown, blank) + self._close_item(shown, item)
        return due

    # Deltas and ends

    def _growing(self, index: int, kind: type[Part]) -> _Open | None:
        opened = self._parts.get(index)
        if opened is None or opened.done or not isinstance(opened.part, kind):
            return None
        return opened

    def _on_text(self, event: TextDelta) -> bytes:
        opened = self._growing(event.index, TextPart)
        if opened is None or not event.text:
            return b""
        opened.pieces.append(event.text)
        return self._delta(opened, event.text)

    def _on_refusal(self, event: RefusalDelta) -> bytes:
        opened = self._growing(event.index, RefusalPart)
        if opened is None or not event.text:
            return b""
        opened.pieces.append(event.text)
        return self._delta(opened, event.text)

    def _on_reasoning(self, event: ReasoningDelta) -> bytes:
        opened = self._growing(event.index, ReasoningPart)
        if opened is None:
            return b""
        if not event.text and (event.summary is None and not self._way.native):
            return b""
        return self._think(opened, event.text, event.summary)

    def _on_arguments(self, event: ArgumentsDelta) -> bytes:
        opened = self._growing(event.index, ToolCallPart)
        return self._argue(opened, event.text) if opened and event.text else b""

    def _on_media(self, event: MediaDelta) -> bytes:
        opened = self._growing(event.index, MediaPart)
        if opened is not None:
            opened.pieces.append(event.data)
        return b""

    def _on_signature(self, event: SignatureDelta) -> bytes:
        opened = self._parts.get(event.index)
        if opened is None or isinstance(
            opened.part, (ServerToolCallPart, ServerToolResultPart, OpaquePart)
        ):
            return b""
        if event.signature == opened.carried:
            return b""
        if not opened.done:
            opened.signature = event.signature
            return b""
        reason = "it came after the end of its part: told in an item of its own"
        place = f"{opened.path}.signature"
        self._way.losses.approximate("reasoning.signature", place, reason)
        thought = isinstance(opened.part, ReasoningPart)
        return self._carry(opened.part, event.signature, "here" if thought else "prev")

    def _on_citation(self, event: CitationDelta) -> bytes:
        opened = self._parts.get(event.index)
        if opened is None or not isinstance(opened.part, TextPart):
            return b""
        length = sum(map(len, opened.pieces))
        at = len(opened.citations)
        place = f"{opened.path}.citations[{at}]"
        opened.citations.append(event.citation)
        told = items.write_citation(event.citation, length, self._way, place)
        if told is None:
            return b""
        if opened.done and opened.message is not None:
            self._restate(opened)
        members = self._place(
            opened,
            content_index=opened.content,
            annotation_index=at,
            annotation=told,
        )
        return self._frame("response.output_text.annotation.added", members)

    def _restate(self, opened: _Open) -> None:
        """Renew the item of a text that is done, for the snapshot."""
        message = opened.message
        assert message is not None
        at = opened.content
        part = self._grown(opened, message.parts[at].incomplete)
        message.parts[at] = part
        message.content[at] = self._content(opened, part)
        self._output[message.output] = self._message_item(message)

    def _on_logprobs(self, event: LogprobsDelta) -> bytes:
        opened = self._parts.get(event.index)
        if opened is None or not event.tokens:
            return b""
        if not isinstance(opened.part, TextPart):
            reason = "only texts have them"
            place = f"{opened.path}.logprobs"
            self._way.losses.drop("logprobs", place, reason)
            return b""
        opened.logprobs += event.tokens
        if opened.done:
            if opened.message is not None:
                self._restate(opened)
            return b""
        told = items.write_logprobs(
            event.tokens, self._way, opened.path, octets=self._way.native
        )
        members = self._place(
            opened, content_index=opened.content, delta="", logprobs=told
        )
        return self._frame("response.output_text.delta", members)

    def _on_part_extra(self, event: Extra) -> bytes:
        opened = self._parts.get(-1 if event.index is None else event.index)
        if opened is None:
            return b""
        self._keep_extras(opened, event.extras)
        if not self._way.native:
            return b""
        for name, value in event.extras.items():
            if name.startswith("item/") and opened.message is not None:
                opened.message.extras[name] = value
        if opened.prefix and any(n.startswith("event/") for n in event.extras):
            self._renew(opened)
        return b""

    def _renew(self, opened: _Open) -> None:
        """Prefix and suffix with new strangers."""
        if opened.message is not None:
            self._prepare_content(opened)
        elif isinstance(opened.part, ToolCallPart):
            self._call_frames(opened)
        elif opened.current is not None:
            self._thought_frames(opened)

    def _on_part_end(self, event: PartEnd) -> bytes:
        opened = self._parts.get(event.index)
        if opened is None or opened.done:
            return b""
        opened.done = True
        opened.final = event.final
        incomplete = event.status == "incomplete"
        if opened.message is not None:
            return self._close_content(opened, incomplete)
        if isinstance(opened.part, ReasoningPart):
            return self._close_thought(opened, incomplete)
        if isinstance(opened.part, ToolCallPart):
            return self._close_call(opened, incomplete)
        if isinstance(
            opened.part, (ServerToolCallPart, ServerToolResultPart, OpaquePart)
        ):
            return self._close_server(opened, event.final)
        return self._close_media(opened, incomplete, event.final)


def _in_line(body: bytes) -> bytes:
    """JSON on one line: line ends in raw values are white space, never text."""
    if b"\n" in body or b"\r" in body:
        return body.replace(b"\n", b" ").replace(b"\r", b" ")
    return body


_EARLY: Final = (MessageStart, Ping, StreamError)
_UNSEQUENCED: Final = frozenset(
    {MessageStart, ServiceTier, UsageUpdate, Ping, StreamEnd, StreamError}
)


_WRITERS: Final[dict[type, Callable[[Writer, Any], bytes]]] = {
    MessageStart: Writer._on_start,
    PartStart: Writer._on_part,
    PartEnd: Writer._on_part_end,
    TextDelta: Writer._on_text,
    ReasoningDelta: Writer._on_reasoning,
    RefusalDelta: Writer._on_refusal,
    ArgumentsDelta: Writer._on_arguments,
    MediaDelta: Writer._on_media,
    SignatureDelta: Writer._on_signature,
    CitationDelta: Writer._on_citation,
    LogprobsDelta: Writer._on_logprobs,
    UsageUpdate: Writer._on_usage,
    ServiceTier: Writer._on_tier,
    Extra: Writer._on_extra,
    OpaqueEvent: Writer._on_opaque,
    Ping: Writer._on_ping,
    MessageEnd: Writer._on_message_end,
    StreamError: Writer._on_error,
    StreamEnd: Writer._on_stream_end,
}
