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

from llmwire import _json
from llmwire._sequence import Sequencer
from llmwire.dialects import ReplyTarget
from llmwire.dialects.openai_responses import _content_write as contents
from llmwire.dialects.openai_responses import _errors, _names, _wire
from llmwire.dialects.openai_responses._content_write import Object
from llmwire.dialects.openai_responses._names import ECHO, NAME
from llmwire.dialects.openai_responses._output import OutputWriter
from llmwire.dialects.openai_responses._response import (
    failure,
    response_id,
    seconds,
    skeleton,
    way_to,
    with_explanation,
    write_tier,
)
from llmwire.dialects.openai_responses._stream_frames import (
    NOWHERE,
    Open,
)
from llmwire.dialects.openai_responses._stream_parts import Parts
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
    Choice,
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


class Writer(Parts):
    """Turns events into bytes (the `StreamWriter` of this dialect)."""

    def __init__(self, target: ReplyTarget) -> None:
        super().__init__(target)
        self._start: MessageStart | None = None
        self._heads = 0
        """How many of the frames of the head are written."""
        self._rank = 0
        self._signed = False
        """The event at hand has made a frame of the head: a sign of life."""
        self._news = False
        """Tier or strangers came after the head."""
        self._done = False
        self._head: Object = {}
        self._extras: Extras = {}
        self._event_extras: Extras = {}
        self._tier: str | None = None
        self._usage: Usage | None = None
        self._sequencer: Sequencer | None = None
        self._late: list[tuple[Part, Signature]] = []
        """Signatures that came late, while another item was open."""
        self._hot = NOWHERE
        self._hot_open: Open | None = None

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
        if self._start is None and type(event) in _LATE:
            self._begin(MessageStart())
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

    def _warm(self) -> None:
        """Find the part whose deltas may take the hot path."""
        sequencer = self._sequencer
        index: int | None
        if self._done or self._news:
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
        self._hot = index if hot and index is not None else NOWHERE
        self._hot_open = opened if hot else None

    def _write(self, event: Event) -> bytes:
        writer = _WRITERS[type(event)]
        due = self._write_head(event)
        self._signed = bool(due)
        if self._pending is not None and not self._continues(event):
            due += self._finish_message()
        if self._late:
            due += self._write_late()
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
            body["output"] = self._whole_output()
            if not (self._way.native and self._usage is None):
                body["usage"] = write_usage(self._usage, self._way)
        if self._tier is not None:
            write_tier(self._tier, body, self._way)
        contents.merge(body, self._extras)
        members: Object = {"response": body}
        contents.merge(members, self._event_extras, "event")
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
        return b"" if self._signed else b": keep-alive\n\n"

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
        # So many news are told at the end: each time all of them are said again.
        few = len(self._extras) + len(self._event_extras) <= _MOST_NEWS
        self._news = few and self._heads == len(_HEADS)
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
        if opened is not None and opened.output != NOWHERE:
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
        return due + self._finish_message() + self._write_late()

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

    # Deltas and ends

    def _growing(self, index: int, kind: type[Part]) -> Open | None:
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
        self._late.append((opened.part, event.signature))
        return self._write_late()

    def _write_late(self) -> bytes:
        """Signatures that came late, once no item is open where one follows another."""
        if self._sequencer is not None and any(
            not opened.done and opened.output != NOWHERE
            for opened in self._parts.values()
        ):
            return b""
        late, self._late = self._late, []
        due = b""
        for part, signature in late:
            thought = isinstance(part, ReasoningPart)
            due += self._carry(part, signature, "here" if thought else "prev")
        return due

    def _on_citation(self, event: CitationDelta) -> bytes:
        opened = self._parts.get(event.index)
        if opened is None or not isinstance(opened.part, TextPart):
            return b""
        length = opened.length()
        at = len(opened.citations)
        place = f"{opened.path}.citations[{at}]"
        opened.citations.append(event.citation)
        told = contents.write_citation(event.citation, length, self._way, place)
        if told is None:
            return b""
        if opened.done:
            self._note_late(opened)
        members = self._place(
            opened,
            content_index=opened.content,
            annotation_index=at,
            annotation=told,
        )
        return self._frame("response.output_text.annotation.added", members)

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
            self._note_late(opened)
            return b""
        told = contents.write_logprobs(
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

    def _renew(self, opened: Open) -> None:
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
        final = event.final if type(event.final) is type(opened.part) else None
        opened.final = final
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
            return self._close_server(opened, final)
        return self._close_media(opened, incomplete, final)


_MOST_NEWS: Final = 32
"""Strangers of the response up to which one more is told before the end."""
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
_LATE: Final = frozenset(_WRITERS) - {MessageStart, Ping, StreamError}
"""Events of a message that has begun."""
