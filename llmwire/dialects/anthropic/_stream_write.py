"""Events to frames of a Messages stream.

Rules:
1. One block is open at a time (`_sequence.Sequencer` puts parts in a row).
2. A thought has one `signature_delta`, right before its stop: its own, a foreign one
   sealed, or the seal of a plain foreign thought. Withheld thoughts and foreign ones
   without text are `redacted_thinking` and come whole.
3. A signature of a text or a call rides in an empty thought behind it (before the call
   where it is known at its start). A signature for a block that has ended is an empty
   thought of its own.
4. `message_delta` and `message_stop` are written at the end of the stream, when usage
   and every member of the whole message are known.
5. Nothing follows an `error` or `message_stop`.

Theory of operation: `send` looks whether the event grows the block that is open and
writes prefix, text and suffix. Everything else goes through the sequencer to the method
for its type. `message_start` waits for the first event that is not a member of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from llmwire._json import encode
from llmwire.dialects import ReplyTarget
from llmwire.dialects.anthropic._blocks_write import Members, add_extras
from llmwire.dialects.anthropic._errors import stream_error
from llmwire.dialects.anthropic._reply import message_id
from llmwire.dialects.anthropic._response import SKELETON
from llmwire.dialects.anthropic._stream_blocks import BLOCK_EVENTS, BlockWriter
from llmwire.dialects.anthropic._stream_core import SUFFIX, frame
from llmwire.dialects.anthropic._usage import (
    write_detail,
    write_stop,
    write_tier,
    write_usage,
)
from llmwire.dialects.anthropic._wire import NAME
from llmwire.events import (
    Event,
    Extra,
    MessageEnd,
    MessageStart,
    PartStart,
    Ping,
    ReasoningDelta,
    ServiceTier,
    StreamEnd,
    StreamError,
    UsageUpdate,
)
from llmwire.messages import Usage

_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_EMPTY_BLOCK: Final = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
)


class StreamWriter(BlockWriter):
    """Writes events; any event in any order gives a legal stream."""

    def __init__(self, target: ReplyTarget) -> None:
        super().__init__(target)
        self._start: MessageStart | None = None
        self._begun = False
        self._done = False
        self._usage: Usage | None = None
        self._start_long: int | None = None
        self._tier: str | None = None
        self._sent_tier: str | None = None
        self._extras: dict[str, Raw] = {}
        self._stop_extras: dict[str, Raw] = {}
        self._counted = False
        """Usage came since the message began."""
        self._end: MessageEnd | None = None

    def send(self, event: Event) -> bytes:
        """Bytes due now, b"" for none."""
        kind = type(event)
        if (
            kind is self._hot_type
            and event.index == self._hot_index  # type: ignore[union-attr]  # such events have one
            and (kind is not ReasoningDelta or event.summary is None)  # type: ignore[union-attr]  # it has one
        ):
            text: str = event.text  # type: ignore[union-attr]  # such events have one
            return self._hot_prefix + encode(text) + SUFFIX if text else b""
        if self._done:
            return b""
        head = _HEADS.get(kind)
        if head is not None:
            return head(self, event)
        if isinstance(event, Extra) and event.index is None:
            return self._on_extra(event)
        out = b"" if self._begun else self._begin()
        if isinstance(event, PartStart):
            self._note_part(event)
        for due in self._sequencer.send(event):
            out += _TAKES[type(due)](self, due)
        return out

    def _on_start(self, event: MessageStart) -> bytes:
        if self._start is None and not self._begun:
            self._start = event
            self._dialect = event.dialect
            self._native = event.dialect == NAME
            self._usage = event.usage
        return b""

    def _on_usage(self, event: UsageUpdate) -> bytes:
        self._usage = event.usage
        self._counted = self._begun
        return b""

    def _on_tier(self, event: ServiceTier) -> bytes:
        more = self._native and self._tier is not None and not self._begun
        out = self._begin() if more else b""
        self._tier = event.tier
        return out

    def _on_extra(self, event: Extra) -> bytes:
        """Members of the message; behind its last usage they are the stop's."""
        if event.choice is not None:
            for due in self._sequencer.send(event):
                assert isinstance(due, Extra)
                self._losses.drop_extras(due.extras, f"choices[{event.choice}]")
        elif self._native:
            # What the start held comes at once: more is of the end.
            more = bool(self._extras) and not self._begun
            out = self._begin() if more else b""
            extras = self._stop_extras if self._counted else self._extras
            extras.update(
                {n: v for n, v in sorted(event.extras.items()) if n not in SKELETON}
            )
            return out
        else:
            self._losses.drop_extras(event.extras, "")
        return b""

    def _on_ping(self, event: Ping) -> bytes:
        if self._start is None:
            return b""
        return (b"" if self._begun else self._begin()) + _PING

    def _begin(self) -> bytes:
        """`message_start`, once."""
        self._begun = True
        start = self._start = self._start or MessageStart()
        usage: Members = {"input_tokens": 0, "output_tokens": 0}
        if start.usage is not None:
            usage = write_usage(_ordered(start.usage), self._native, None)
            self._start_long = start.usage.cache_write_long
        tier = write_tier(self._tier, self._native, self._losses)
        if tier is not None:
            usage["service_tier"] = self._sent_tier = tier
        message: Members = {
            "id": message_id(start.id, self._native, self._target.seed),
            "type": "message",
            "role": "assistant",
            "model": self._target.model or start.model or "",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        add_extras(message, self._extras)
        self._extras = {}
        return frame("message_start", {"message": message})

    def _on_message_end(self, event: MessageEnd) -> bytes:
        self._end = event
        return b""

    def _on_error(self, event: StreamError) -> bytes:
        out = b"" if self._begun or self._start is None else self._begin()
        self._finish()
        return out + stream_error(event.error, self._target)

    def _finish(self) -> None:
        self._done = True
        self._cool()

    def _on_stream_end(self, event: StreamEnd) -> bytes:
        out = b"" if self._begun else self._begin()
        if self._block is not None:
            out += self._close(self._block)
        if self._target.profile.empty_text_block and self._next == 0:
            out += _EMPTY_BLOCK
        out += self._message_delta()
        self._finish()
        return out + frame("message_stop", add_extras({}, self._stop_extras))

    def _message_delta(self) -> bytes:
        native, losses = self._native, self._losses
        end = self._end or MessageEnd("end")
        stop = end.stop
        path = f"choices[{end.choice}]"
        if self._cut and not native and stop != "max_tokens":
            reason = "a call's arguments are no JSON object: it must not be run"
            losses.approximate("stop_reason", f"{path}.stop", reason)
            stop = "max_tokens"
        delta: Members = {
            "stop_reason": write_stop(stop, end.raw, native, losses, path),
            "stop_sequence": end.stop_sequence,
        }
        detail = write_detail(end.detail, stop, native, losses, path)
        if detail is not None:
            delta["stop_details"] = detail
        context = self._extras.pop("context_management", None)
        add_extras(delta, self._extras)
        members: Members = {"delta": delta, "usage": self._final_usage()}
        if context is not None:
            members["context_management"] = context
        return frame("message_delta", members)

    def _final_usage(self) -> Members:
        """The last counts: what the start did not say, and what changed."""
        native, losses, known = self._native, self._losses, self._usage
        if known is None:
            losses.default("usage", "usage", "clients need numbers")
            usage: Members = {"output_tokens": 0}
        else:
            usage = write_usage(_ordered(known), native, losses)
            told = known.cache_write_long == self._start_long
            if "cache_creation" in usage and (told or not native):
                del usage["cache_creation"]
            if not told and not native:
                reason = "a stream's end tells only their sum"
                losses.default("usage", "usage.cache_write", reason)
                losses.drop("usage", "usage.cache_write_long", reason)
        if self._tier is not None and self._tier != self._sent_tier:
            if native:
                usage["service_tier"] = self._tier
            elif write_tier(self._tier, False, losses) != self._sent_tier:
                reason = "known too late to be told"
                losses.drop("service_tier", "service_tier", reason)
        return usage


def _ordered(usage: Usage) -> Usage:
    """`usage` with its extras in an order that no reader's history changes."""
    if not usage.extras or len(usage.extras) < 2:
        return usage
    return replace(usage, extras=dict(sorted(usage.extras.items())))


_HEADS: Final[dict[type[Any], Callable[[StreamWriter, Any], bytes]]] = {
    MessageStart: StreamWriter._on_start,
    UsageUpdate: StreamWriter._on_usage,
    ServiceTier: StreamWriter._on_tier,
    Ping: StreamWriter._on_ping,
    StreamError: StreamWriter._on_error,
    StreamEnd: StreamWriter._on_stream_end,
}
_TAKES: Final[dict[type[Any], Callable[[StreamWriter, Any], bytes]]] = {
    **BLOCK_EVENTS,
    MessageEnd: StreamWriter._on_message_end,
    StreamError: StreamWriter._on_error,
}
