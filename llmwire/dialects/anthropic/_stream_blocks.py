"""Parts of a streamed answer as blocks, one after another.

`BlockWriter` knows `content_block_start`, its deltas and `content_block_stop`; of the
message around them it knows nothing. Events reach it in the order of one open part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from llmwire import _seal
from llmwire._json import decode_any, encode
from llmwire.dialects.anthropic._blocks_read import ORIGIN
from llmwire.dialects.anthropic._blocks_write import (
    Members,
    add_extras,
    write_block,
)
from llmwire.dialects.anthropic._errors import on_one_line
from llmwire.dialects.anthropic._reply import (
    call_id,
    drops,
    plain_signature,
    report_part,
    signature_text,
)
from llmwire.dialects.anthropic._stream_core import (
    DROPPED,
    GROWTH,
    Block,
    BlockCore,
    frame,
)
from llmwire.dialects.anthropic._wire import NAME
from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Extra,
    LogprobsDelta,
    MediaDelta,
    OpaqueEvent,
    PartEnd,
    PartStart,
    ReasoningDelta,
    RefusalDelta,
    SignatureDelta,
    TextDelta,
)
from llmwire.messages import (
    Base64,
    MediaPart,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    Signature,
    TextPart,
    ToolCallPart,
)


class BlockWriter(BlockCore):
    """Writes the blocks of one message."""

    def _on_part(self, event: PartStart) -> bytes:
        part = event.part
        path, _ = self._parts[event.index]
        block = self._block = Block(event.index, part)
        if isinstance(part, ReasoningPart):
            return self._start_reasoning(block, part)
        report_part(part, path, self._native, self._losses)
        if isinstance(part, TextPart):
            return self._start_text(block, part)
        if drops(part, path, self._native, self._losses, whole=False):
            block.grows = DROPPED
            return b""
        if isinstance(part, ToolCallPart):
            return self._start_call(block, part)
        if isinstance(part, RefusalPart):
            return self._grow_text(block, part.text)
        if isinstance(part, ServerToolCallPart):
            return self._start_server_call(block, part)
        if isinstance(part, MediaPart):
            block.held = []
            return b""
        written = write_block(part)
        assert written is not None
        return self._open_raw(block, written)

    # Texts

    def _start_text(self, block: Block, part: TextPart) -> bytes:
        out = b""
        if self._native:
            members: Members = {"type": "text", "text": ""}
            out = self._open(
                block, add_extras(members, self._kept(part.extras)), "text"
            )
        # Others are opened by their first words: clients send back what they got, and
        # an empty text is refused.
        out += self._grow_text(block, part.text)
        for citation in part.citations if block.opened and self._native else ():
            if citation.raw is not None:
                out += self._cite(block, citation.raw)
        return out

    def _grow_text(self, block: Block, text: str) -> bytes:
        if not text:
            return b""
        out = b""
        if not block.opened:
            out = self._open(block, {"type": "text", "text": ""}, "text")
        return out + self._grow(block, text)

    def _on_text(self, event: TextDelta | RefusalDelta) -> bytes:
        block = self._current(event.index)
        if block is None or not isinstance(block.part, (TextPart, RefusalPart)):
            return b""
        return self._grow_text(block, event.text)

    def _on_citation(self, event: CitationDelta) -> bytes:
        block = self._current(event.index)
        raw = event.citation.raw
        growing = block is not None and block.grows == "text"
        if self._native and raw is not None and block is not None and growing:
            return self._cite(block, raw)
        path, part = self._parts[event.index]
        if isinstance(part, TextPart):
            reason = "the dialect's citations cannot be made up, nor come late"
            self._losses.drop("citations", f"{path}.citations", reason)
        return b""

    def _cite(self, block: Block, raw: Raw) -> bytes:
        delta = {"type": "citations_delta", "citation": raw}
        return frame("content_block_delta", {"index": block.at, "delta": delta})

    def _on_logprobs(self, event: LogprobsDelta) -> bytes:
        path, part = self._parts[event.index]
        if hasattr(part, "logprobs"):
            reason = "the dialect has no log probabilities"
            self._losses.drop("logprobs", f"{path}.logprobs", reason)
        return b""

    # Thoughts

    def _start_reasoning(self, block: Block, part: ReasoningPart) -> bytes:
        if not self._native:
            self._losses.drop_extras(part.extras, self._path(block.index))
        elif part.extras and ORIGIN in part.extras:
            block.origin = str(decode_any(bytes(part.extras[ORIGIN])))
        block.signature = part.signature
        out = b""
        if self._native and not part.redacted:
            out = self._open_thought(block)
        for at, piece in enumerate(part.summary):
            out += self._think(block, piece, at)
        return out + self._think(block, part.text or "", None)

    def _open_thought(self, block: Block) -> bytes:
        members: Members = {"type": "thinking", "thinking": "", "signature": ""}
        extras = self._kept(block.part.extras)
        return self._open(block, add_extras(members, extras), "thinking")

    def _on_reasoning(self, event: ReasoningDelta) -> bytes:
        block = self._current(event.index)
        if block is None or not isinstance(block.part, ReasoningPart):
            return b""
        out = self._think(block, event.text, event.summary)
        if block.opened and event.summary is None:
            self._heat(block)
        else:
            self._cool()
        return out

    def _think(self, block: Block, text: str, segment: int | None) -> bytes:
        if not text:
            return b""
        if block.part.redacted:  # type: ignore[union-attr]  # a thought
            path = self._path(block.index)
            self._losses.drop("reasoning.text", path, "the thought is withheld")
            return b""
        out = b"" if block.opened else self._open_thought(block)
        if segment is not None:
            reason = "segments are joined by a blank line"
            path = self._path(block.index)
            self._losses.emulate("reasoning.segments", path, reason)
        if block.wrote and segment != block.segment:
            text = "\n\n" + text
        block.segment = segment
        return out + self._grow(block, text)

    def _close_thought(self, block: Block, part: ReasoningPart) -> bytes:
        value = self._signature_of(block, part)
        if block.opened:
            signed = self._sign(block, value) if value else b""
            return signed + self._stop(block)
        if not value:
            path = self._path(block.index)
            self._losses.drop("message.empty", path, "a thought that says nothing")
            return b""
        made_here = block.signature is not None and block.signature.origin == NAME
        if made_here and not part.redacted:
            return (
                self._open_thought(block) + self._sign(block, value) + self._stop(block)
            )
        members: Members = {"type": "redacted_thinking", "data": value}
        out = self._open_raw(block, add_extras(members, self._kept(part.extras)))
        return out + self._stop(block)

    def _signature_of(self, block: Block, part: ReasoningPart) -> str:
        """What stands for the signature, "" for none."""
        if block.signature is not None:
            return signature_text(block.signature, redacted=part.redacted)
        if block.origin is not None:
            return plain_signature(block.origin, self._target)
        return plain_signature(self._dialect, self._target) if block.opened else ""

    def _on_signature(self, event: SignatureDelta) -> bytes:
        block = self._current(event.index)
        if block is not None:
            block.signature = event.signature
            return b""
        return self._late_signature(event.index, event.signature)

    def _late_signature(self, index: int, signature: Signature) -> bytes:
        """An empty thought for the signature of a block that has ended."""
        path, part = self._parts[index]
        place: _seal.Placement = "here"
        if not isinstance(part, ReasoningPart) and self._last == index:
            place = "prev" if self._block is None else "here"
        reason = "its block had ended: it stands in a thought of its own"
        self._losses.approximate("reasoning.signature", f"{path}.signature", reason)
        value = signature_text(signature, place)
        if self._block is not None and self._block.opened:
            self._pending.append(value)
            return b""
        return self._carrier(value, place)

    # Calls

    def _start_call(self, block: Block, part: ToolCallPart) -> bytes:
        out = b""
        if part.signature is not None:
            out = self._carrier(_seal.seal(part.signature, "next"), "next")
        if part.kind == "custom":
            reason = "written as a function with one input"
            self._losses.emulate("tool.custom", self._path(block.index), reason)
        members: Members = {
            "type": "tool_use",
            "id": call_id(part.call_id, self._native),
            "name": part.name,
            "input": {},
        }
        out += self._open(block, add_extras(members, self._kept(part.extras)), "json")
        if part.kind == "custom":
            out += self._grow(block, '{"input":"')
        elif not self._native:
            block.held = []
        return out + self._argue(block, part.arguments)

    def _start_server_call(self, block: Block, part: ServerToolCallPart) -> bytes:
        written = write_block(part)
        assert isinstance(written, dict)
        return self._open(block, {**written, "input": {}}, "json")

    def _on_arguments(self, event: ArgumentsDelta) -> bytes:
        block = self._current(event.index)
        if block is None or block.grows != "json":
            return b""
        return self._argue(block, event.text)

    def _argue(self, block: Block, text: str) -> bytes:
        if not text:
            return b""
        if isinstance(block.part, ToolCallPart) and block.part.kind == "custom":
            return self._grow(block, encode(text)[1:-1].decode())
        if block.held is not None:
            block.held.append(text)
            start = "".join(block.held)
            if start.lstrip()[:1] != "{":
                block.held = [start]
                return b""
            text, block.held = start, None
        self._heat(block)
        return self._grow(block, text)

    def _end_call(self, block: Block, part: ToolCallPart, incomplete: bool) -> bytes:
        if part.kind == "custom":
            return self._grow(block, '"}')
        path = f"{self._path(block.index)}.arguments"
        if block.held is not None:
            if "".join(block.held).strip() not in ("", "null"):
                self._cut = True
                reason = "no JSON object; left empty"
                self._losses.drop("call.arguments", path, reason)
                if incomplete:
                    place = f"{self._path(block.index)}.incomplete"
                    self._losses.drop("part.incomplete", place, reason)
            return self._grow(block, "{}")
        if incomplete and not self._native:
            self._cut = True
            reason = "no JSON object; the text stands as it came"
            self._losses.emulate("call.arguments", path, reason)
        return b""

    # The rest

    def _part_extra(self, event: Extra) -> bytes:
        assert event.index is not None
        block = self._current(event.index)
        if self._native and ORIGIN in event.extras and block is not None:
            block.origin = str(decode_any(bytes(event.extras[ORIGIN])))
        extras = {k: v for k, v in sorted(event.extras.items()) if k[:1] != "@"}
        if not extras:
            return b""
        if not self._native or block is None or block.grows not in GROWTH:
            self._losses.drop_extras(extras, self._path(event.index))
            return b""
        kind, member = GROWTH[block.grows]
        delta = add_extras({"type": kind, member: ""}, extras, "delta")
        members: Members = {"index": block.at, "delta": delta}
        add_extras(members, extras, "event")
        for name in extras:
            if not name.startswith(("delta/", "event/")):
                self._losses.drop_extras({name: extras[name]}, self._path(event.index))
        return frame("content_block_delta", members)

    def _on_opaque(self, event: OpaqueEvent) -> bytes:
        if event.dialect != NAME:
            reason = "an event of another dialect"
            self._losses.emulate("opaque", "", reason)
            return b""
        if event.index is None:
            name = event.kind.replace("\n", "").replace("\r", "")
            line = b"event: %b\n" % name.encode("utf-8", "replace") if name else b""
            return b"%bdata: %b\n\n" % (line, on_one_line(bytes(event.raw)))
        block = self._current(event.index)
        if block is None or not block.opened:
            return b""
        members: Members = {"index": block.at, "delta": event.raw}
        return frame("content_block_delta", members)

    def _on_media(self, event: MediaDelta) -> bytes:
        """Media are written whole, where they can be written at all."""
        block = self._current(event.index)
        if block is not None and block.held is not None:
            block.held.append(event.data)
        return b""

    def _end_media(self, block: Block, part: MediaPart) -> bytes:
        if isinstance(part.source, Base64):
            data = "".join((part.source.data, *(block.held or ())))
            part = replace(part, source=Base64(data))
        return self._open_raw(block, write_block(part) or {})

    def _on_part_end(self, event: PartEnd) -> bytes:
        block = self._current(event.index)
        assert block is not None  # the sequencer ends what it has started
        incomplete = event.status == "incomplete"
        final = event.final
        out = b""
        if isinstance(final, ServerToolCallPart) and block.grows == "json":
            payload = bytes(final.payload).decode("utf-8", "replace")
            if not block.wrote and payload.strip() not in ("", "{}"):
                out = self._grow(block, payload)
        if isinstance(final, MediaPart) and isinstance(block.part, MediaPart):
            block.part, block.held = final, None
        called = isinstance(block.part, (ToolCallPart, ServerToolCallPart))
        if incomplete and not called and block.grows != DROPPED:
            reason = "the dialect cannot say that a part broke off"
            path = f"{self._path(block.index)}.incomplete"
            self._losses.drop("part.incomplete", path, reason)
        return out + self._close(block, incomplete)

    def _close(self, block: Block, incomplete: bool = False) -> bytes:
        self._cool()
        self._block = None
        part = block.part
        if block.grows == DROPPED:
            return b""
        if isinstance(part, ReasoningPart):
            out = self._close_thought(block, part)
        else:
            if isinstance(part, ToolCallPart):
                out = self._end_call(block, part, incomplete)
            elif isinstance(part, MediaPart):
                out = self._end_media(block, part)
            else:
                out = b""
            out += self._close_block(block)
        self._last = block.index if block.opened else None
        return out + self._flush()

    def _close_block(self, block: Block) -> bytes:
        """The stop, and the signature of a part that is no thought."""
        out = self._stop(block) if block.opened else b""
        path = self._path(block.index)
        if block.signature is not None:
            place: _seal.Placement = "prev"
            if not block.opened:
                place = "here"
                reason = "its signature stands in a thought of its own"
                self._losses.approximate("part.boundary", path, reason)
            out += self._carrier(_seal.seal(block.signature, place), place)
        elif not block.opened:
            self._losses.drop("message.empty", path, "texts must not be empty")
        return out


BLOCK_EVENTS: Final[dict[type[Any], Callable[[Any, Any], bytes]]] = {
    PartStart: BlockWriter._on_part,
    PartEnd: BlockWriter._on_part_end,
    TextDelta: BlockWriter._on_text,
    RefusalDelta: BlockWriter._on_text,
    ReasoningDelta: BlockWriter._on_reasoning,
    ArgumentsDelta: BlockWriter._on_arguments,
    SignatureDelta: BlockWriter._on_signature,
    CitationDelta: BlockWriter._on_citation,
    LogprobsDelta: BlockWriter._on_logprobs,
    MediaDelta: BlockWriter._on_media,
    OpaqueEvent: BlockWriter._on_opaque,
    Extra: BlockWriter._part_extra,
}
"""What is done with the events of parts, in their order."""
