"""Events to Chat Completions streams.

Rules:

1. Each choice begins with a frame that shows its role, ends with one that has its
   finish reason; the usage comes before `[DONE]`, to clients that asked for it.
2. Calls may interleave and are numbered from 0 in their choice. Other parts come one
   after another (`Sequencer`), and their boundaries are lost: one text, one refusal.
3. Thinking goes to the field and the entries it was read from; of another dialect, to
   the profile's field, its state sealed in an entry when it is known.
4. After an error nothing follows; by the profile, `[DONE]`.
5. Whatever order events come in, the stream is legal: what names no open part is left
   out, and so is everything after the end.

Theory of operation: a part that is open has the bytes before and behind its next text
built once (`Piece.before`, `.behind`). Strangers of the whole answer and of choices get
frames of their own, for a reader tells them only when they change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llmwire._json import MAX_LEARNED, level
from llmwire._sequence import Sequencer
from llmwire.dialects import ReplyTarget
from llmwire.dialects.openai_chat._errors import envelope
from llmwire.dialects.openai_chat._response import (
    created_at,
    report_stop,
    response_id,
    write_tier,
)
from llmwire.dialects.openai_chat._stop import write_stop
from llmwire.dialects.openai_chat._stream_frames import Answer, Frames, ordered
from llmwire.dialects.openai_chat._stream_parts import PartWriter
from llmwire.dialects.openai_chat._usage import write_usage
from llmwire.dialects.openai_chat._wire import Chunk
from llmwire.dialects.openai_chat._writing import NAME, Writing
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
from llmwire.messages import APIError, Choice, MediaPart, ToolCallPart, Usage
from llmwire.sse import encode_frame

DONE: Final = b"data: [DONE]\n\n"
KEEPALIVE: Final = b": keep-alive\n\n"
ROOT: Final = frozenset(Chunk.__struct_encode_fields__)
"""Members of a chunk that are written already."""
_SMALL: Final = 64
"""Strangers of at most so many bytes are repeated in every frame, as servers do."""


class ChatWriter:
    """Turns events into bytes; any event in any order gives a legal stream."""

    def __init__(self, target: ReplyTarget) -> None:
        self._target = target
        self._sequencer = Sequencer(target.losses, target.limits, single=False)
        self._frames = Frames(target.include_usage)
        self._to = self._writing(None)
        self._parts = PartWriter(self._frames, self._to)
        self._started = self._parts.parts
        self._choices: dict[int, Answer] = {}
        self._usage: Usage | None = None
        self._done = False
        self._began = False
        self._begin(MessageStart())
        self._began = False

    def _writing(self, dialect: str | None) -> Writing:
        native = dialect == NAME
        target = self._target
        return Writing(
            profile=target.profile, losses=target.losses, native=native, extras=native
        )

    def send(self, event: Event) -> bytes:
        """Bytes due now."""
        if self._done:
            return b""
        return _SEND[type(event)](self, event)

    # --- the way of what parts say -------------------------------------------------

    def _grow(self, event: TextDelta | RefusalDelta) -> bytes:
        part = self._started.get(event.index)
        if part is None or not part.before:
            return self._route(event)
        return self._parts.grow_text(part, event)

    def _grow_thought(self, event: ReasoningDelta) -> bytes:
        part = self._started.get(event.index)
        if part is None or not part.open:
            return self._route(event)
        return self._parts.write(event)

    def _grow_directly(self, event: ArgumentsDelta | MediaDelta) -> bytes:
        return self._parts.write(event)

    def _route(self, event: Event) -> bytes:
        """Let `event` wait for its turn, then write what is due."""
        due = self._sequencer.send(event)
        return b"".join([self._write(e) for e in due])

    def _write(self, event: Event) -> bytes:
        if isinstance(event, PartStart):
            return self._parts.open(event, self._choice(event.choice))
        if isinstance(event, MessageEnd):
            return b""
        if isinstance(event, StreamError):
            return self._send_error(event)
        return self._parts.write(event)

    def _part_event(self, event: Any) -> bytes:
        """Events that name a part."""
        index: int = event.index
        if index in self._parts.direct:
            return self._parts.write(event)
        return self._route(event)

    # --- the whole answer ----------------------------------------------------------

    def _begin(self, event: MessageStart) -> bytes:
        target = self._target
        self._to = self._parts.to = self._writing(event.dialect)
        members = self._frames.members = {
            "id": response_id(event.id, self._to.native, target.seed),
            "object": "chat.completion.chunk",
            "created": int(created_at(event.created, target.created)),
            "model": target.model or event.model or "",
        }
        if self._to.native and isinstance(event.created, float) and event.created % 1:
            members["created"] = event.created
        self._usage = event.usage
        self._began = True
        self._remake()
        return b""

    def _remake(self) -> None:
        self._frames.make_head(self._started.values())

    def _choice(self, index: int) -> Answer:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = Answer(index)
        return choice

    def _send_usage(self, event: UsageUpdate) -> bytes:
        self._usage = event.usage
        return b""

    def _send_tier(self, event: ServiceTier) -> bytes:
        tier = write_tier(event.tier, self._to.losses, native=self._to.native)
        if tier is None:
            return b""
        self._frames.members["service_tier"] = tier
        self._remake()
        return self._frames.root_frame()

    def _send_extra(self, event: Extra) -> bytes:
        if event.index is not None:
            return self._part_event(event)
        to = self._to
        if event.choice is not None:
            choice = self._choice(event.choice)
            if not to.native:
                path = f"choices[{event.choice}]"
                to.losses.drop_extras(event.extras, path)
                return b""
            delta = ordered(level(event.extras, "message"))
            members = ordered(level(event.extras))
            logprobs = ordered(level(event.extras, "logprobs"))
            if logprobs:
                members["logprobs"] = logprobs
            return self._frames.frame(choice, delta, more=members)
        if not to.native:
            to.losses.drop_extras(event.extras, "")
            return b""
        given = ordered(level(event.extras))
        extras = {name: value for name, value in given.items() if name not in ROOT}
        if not extras:
            return b""
        out = self._frames.root_frame(extras)
        for name, value in extras.items():
            members = self._frames.members
            known = name in members or len(members) < MAX_LEARNED
            if known and len(bytes(value)) <= _SMALL:
                members[name] = value
            else:
                members.pop(name, None)
        self._remake()
        return out

    def _send_opaque(self, event: OpaqueEvent) -> bytes:
        if event.index is not None and event.dialect == NAME:
            return self._part_event(event)
        self._to.losses.drop("opaque", "events", f"an event of {event.dialect} only")
        return b""

    def _send_ping(self, event: Ping) -> bytes:
        return KEEPALIVE

    def _send_message_end(self, event: MessageEnd) -> bytes:
        choice = self._choice(event.choice)
        if choice.ended:
            return b""
        out = self._route(event)
        for index in sorted(self._parts.direct):
            part = self._started[index]
            if part.choice is choice and part.open:
                out += self._parts.write(PartEnd(index, "incomplete"))
        return out + self._write_message_end(event, choice)

    def _write_message_end(self, event: MessageEnd, choice: Answer) -> bytes:
        choice.ended = True
        to = self._to
        if to.native and event.raw is not None:
            return self._frames.frame(choice, {}, event.raw)
        if to.native and event.stop == "other":
            # The server said no word: neither do we.
            return b"" if choice.shown else self._frames.show(choice)
        refusal = bool(choice.refusals)
        out = b""
        detail = event.detail
        declined = event.stop in ("refusal", "content_filter") and not refusal
        if declined and detail is not None and detail.explanation:
            out = self._frames.frame(choice, {"refusal": detail.explanation})
            refusal = event.stop == "refusal"
        calls = bool(choice.calls)
        word = write_stop(event.stop, calls=calls, refusal=refusal)
        told = Choice(
            index=event.choice,
            stop=event.stop,
            stop_sequence=event.stop_sequence,
            detail=detail,
        )
        report_stop(told, word, calls, refusal, to, f"choices[{event.choice}]")
        return out + self._frames.frame(choice, {}, word)

    def _send_end(self, event: StreamEnd) -> bytes:
        out = b""
        if not self._choices:
            self._choice(0)
        some = any(choice.ended for choice in self._choices.values())
        for choice in self._choices.values():
            # One of which there was nothing but a stranger never began.
            if not choice.ended and (choice.parts or not some):
                end = MessageEnd("end", "stop", choice=choice.index)
                out += self._send_message_end(end)
        self._done = True
        if self._usage is not None and self._target.include_usage:
            usage = write_usage(self._usage, self._to.losses, native=self._to.native)
            out += self._frames.root_frame({"usage": usage})
        return out + DONE

    def _send_error(self, event: StreamError) -> bytes:
        self._done = True
        first = b""
        if self._began and self._to.native and not self._choices:
            # So that a reader learns of the message that broke off.
            first = self._frames.root_frame()
        return first + stream_error(event.error, self._target)

    def _start(self, event: PartStart) -> bytes:
        if event.index in self._started or self._choice(event.choice).ended:
            return b""
        if isinstance(event.part, (ToolCallPart, MediaPart)):
            return self._parts.open(event, self._choice(event.choice))
        return self._route(event)

    def _end(self, event: PartEnd) -> bytes:
        if event.index in self._parts.direct:
            return self._parts.write(event)
        return self._route(event)


def stream_error(error: APIError, target: ReplyTarget) -> bytes:
    """The frame that ends a stream with `error`."""
    if error.raw is not None and b'"error"' not in bytes(error.raw):
        error = APIError(
            kind=error.kind, message=error.message, code=error.code, param=error.param
        )
    out = encode_frame(envelope(error))
    return out + DONE if target.profile.done_after_error else out


_SEND: Final[dict[type, Callable[[ChatWriter, Any], bytes]]] = {
    MessageStart: ChatWriter._begin,
    PartStart: ChatWriter._start,
    PartEnd: ChatWriter._end,
    TextDelta: ChatWriter._grow,
    RefusalDelta: ChatWriter._grow,
    ReasoningDelta: ChatWriter._grow_thought,
    ArgumentsDelta: ChatWriter._grow_directly,
    MediaDelta: ChatWriter._grow_directly,
    SignatureDelta: ChatWriter._part_event,
    CitationDelta: ChatWriter._part_event,
    LogprobsDelta: ChatWriter._part_event,
    UsageUpdate: ChatWriter._send_usage,
    ServiceTier: ChatWriter._send_tier,
    Extra: ChatWriter._send_extra,
    OpaqueEvent: ChatWriter._send_opaque,
    Ping: ChatWriter._send_ping,
    MessageEnd: ChatWriter._send_message_end,
    StreamEnd: ChatWriter._send_end,
    StreamError: ChatWriter._send_error,
}
"""What comes from outside."""
