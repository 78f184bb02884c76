"""What the parts of an answer say, as frames of a Chat stream.

A part opens, grows and ends; each step gives the bytes that are due. The order of the
steps is `_stream_write`'s business; what names no open part gives nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from msgspec.structs import replace

from llmwire import _seal
from llmwire._json import decode_object, encode, level
from llmwire._turns import PLACEMENT
from llmwire.dialects.openai_chat._logprobs import write_tokens
from llmwire.dialects.openai_chat._message_write import (
    gap_before,
)
from llmwire.dialects.openai_chat._notes import DATA, FIELD, LEGACY, noted
from llmwire.dialects.openai_chat._pieces_write import write_citation
from llmwire.dialects.openai_chat._reasoning import (
    DETAILS,
    ENCRYPTED,
    FIELDS,
    carrier_entry,
    is_detail,
    native_entries,
    own_entry,
    state_value,
)
from llmwire.dialects.openai_chat._stream_frames import Answer, Frames, Piece, ordered
from llmwire.dialects.openai_chat._writing import NAME, Writing
from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
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
)


class PartWriter:
    """Writes the parts of one answer."""

    def __init__(self, frames: Frames, to: Writing) -> None:
        self.frames = frames
        self.to = to
        self.parts: dict[int, Piece] = {}
        self.direct: set[int] = set()
        """Parts that need not wait for others: calls and sound."""

    def open(self, event: PartStart, choice: Answer) -> bytes:
        """A part starts."""
        place = f"choices[{event.choice}].parts[{choice.parts}]"
        choice.parts += 1
        part = Piece(event.part, choice, place)
        self.parts[event.index] = part
        opener = _OPEN.get(type(event.part))
        if opener is not None:
            return opener(self, part, event.index)
        part.open = False
        reason = "the dialect does not show such a part"
        server = isinstance(event.part, (ServerToolCallPart, ServerToolResultPart))
        feature = "tool.server_part" if server else "opaque"
        self.to.losses.drop(feature, place, reason)
        return b""

    def write(self, event: Event) -> bytes:
        """What an event says of a part that has started."""
        return _WRITE[type(event)](self, event)

    def grow(self, event: TextDelta | RefusalDelta) -> bytes:
        """A text or refusal grows."""
        part = self.parts.get(event.index)
        if part is None or not part.before:
            return b""
        return self.grow_text(part, event)

    def grow_text(self, part: Piece, event: TextDelta | RefusalDelta) -> bytes:
        """The open `part`, a text or refusal, grows."""
        if type(event) is not _TAKES.get(type(part.part)):
            return b""
        text = event.text
        if not text:
            return b""
        part.choice.size += len(text)
        return part.before + encode(text) + part.behind

    def _open_text(self, part: Piece, index: int) -> bytes:
        choice = part.choice
        choice.texts += 1
        if choice.texts > 1 and not self.to.native:
            self._merged(choice)
        self._report_extras(part)
        out = b"" if choice.shown else self.frames.show(choice)
        out += self._open_phase(part)
        part.start = choice.size
        self.frames.make_way(part)
        return out

    def _open_phase(self, part: Piece) -> bytes:
        """A blank line where another phase begins."""
        choice, text = part.choice, part.part
        phase = text.phase if isinstance(text, TextPart) else None
        if phase is not None and not self.to.native:
            place = f"{part.place}.phase"
            self.to.losses.drop("phase", place, "texts have no phase")
        gap = gap_before(phase, choice.phase, choice.size)
        choice.phase = phase
        choice.size += len(gap)
        return self.frames.frame(choice, {"content": gap}) if gap else b""

    def _open_refusal(self, part: Piece, index: int) -> bytes:
        choice = part.choice
        choice.refusals += 1
        if choice.refusals > 1 and not self.to.native:
            self._merged(choice)
        self._report_extras(part)
        out = b""
        if not choice.shown:
            choice.shown = True
            role = {"role": "assistant", "content": None, "refusal": ""}
            out = self.frames.frame(choice, role)
        self.frames.make_way(part)
        return out

    def _merged(self, choice: Answer) -> None:
        reason = "the dialect has one text for the whole message"
        place = f"choices[{choice.index}].parts"
        self.to.losses.approximate("part.boundary", place, reason)

    def _report_extras(self, part: Piece) -> None:
        if not self.to.native:
            self.to.losses.drop_extras(part.part.extras, part.place)

    def _open_thought(self, part: Piece, index: int) -> bytes:
        thought = cast(ReasoningPart, part.part)
        choice, to = part.choice, self.to
        part.number = choice.thoughts
        choice.thoughts += 1
        placement = noted(thought.extras, PLACEMENT)
        if placement is not None and thought.signature is not None:
            part.open = False
            value = _seal.seal(
                thought.signature, "prev" if placement == "prev" else "next"
            )
            entry = carrier_entry(value, part.number)
            return self.frames.frame(choice, {DETAILS: [entry]})
        field = noted(thought.extras, FIELD)
        if to.native and field == "content":
            part.field = "content"
            strangers = level(thought.extras)
            if not strangers:
                return b""
            part.shown = True
            element = {"type": "thinking", "thinking": [], **strangers}
            return self.frames.frame(choice, {"content": [element]})
        if to.native and is_detail(thought):
            part.field = DETAILS
            return b""
        part.field = field if to.native and field else to.profile.reasoning_field
        if part.field not in FIELDS:
            part.field = to.profile.reasoning_field
        if not to.native and part.number:
            self._merged(choice)
        if to.native or part.number:
            part.texts = []
        self._report_extras(part)
        out = b"" if choice.shown else self.frames.show(choice)
        self.frames.make_way(part)
        if thought.signature is not None:
            out += self._sign(part, thought.signature)
        return out

    def _open_call(self, part: Piece, index: int) -> bytes:
        call = cast(ToolCallPart, part.part)
        choice, to = part.choice, self.to
        self.direct.add(index)
        part.number = choice.calls
        choice.calls += 1
        self._report_extras(part)
        if to.native and LEGACY in (call.extras or {}):
            part.field = "function_call"
            opened: Any = {"name": call.name, "arguments": ""}
            self.frames.make_way(part)
            return self.frames.frame(choice, {"function_call": opened})
        member, text = (
            ("custom", "input") if call.kind == "custom" else ("function", "arguments")
        )
        entry: dict[str, Any] = {
            "index": part.number,
            "id": call.call_id,
            "type": call.kind,
            member: {"name": call.name, text: ""},
        }
        if to.native:
            entry |= ordered(level(call.extras))
            entry[member] |= ordered(level(call.extras, member))
        if call.signature is not None and "extra_content" not in entry:
            entry["extra_content"] = _google(call.signature)
        self.frames.make_way(part)
        return self.frames.frame(choice, {"tool_calls": [entry]})

    def _open_media(self, part: Piece, index: int) -> bytes:
        medium = part.part
        if not isinstance(medium, MediaPart) or medium.kind != "audio":
            part.open = False
            reason = "the dialect does not show such a medium"
            kind = medium.kind if isinstance(medium, MediaPart) else "image"
            self.to.losses.drop(f"media.{kind}", part.place, reason)
            return b""
        self.direct.add(index)
        self._report_extras(part)
        if medium.mime is not None:
            reason = "audio has the format asked for"
            self.to.losses.drop("media.meta", f"{part.place}.mime", reason)
        return self.frames.frame(part.choice, {"audio": {"id": medium.id or "audio"}})

    def _open_opaque(self, part: Piece, index: int) -> bytes:
        opaque = part.part
        if not isinstance(opaque, OpaquePart) or opaque.dialect != NAME:
            part.open = False
            reason = "a part of another dialect only"
            self.to.losses.drop("opaque", part.place, reason)
            return b""
        if noted(opaque.extras, FIELD) == DETAILS:
            return self.frames.frame(part.choice, {DETAILS: [opaque.raw]})
        return self.frames.frame(part.choice, {"content": [opaque.raw]})

    def _part(self, index: int) -> Piece | None:
        part = self.parts.get(index)
        return part if part is not None and not part.choice.ended else None

    def _write_thought(self, event: ReasoningDelta) -> bytes:
        part = self._part(event.index)
        if part is None or not part.open or not isinstance(part.part, ReasoningPart):
            return b""
        text = event.text
        if not text:
            return b""
        if part.field == "content":
            part.shown = True
            said = [{"type": "text", "text": text}]
            element = {"type": "thinking", "thinking": said}
            return self.frames.frame(part.choice, {"content": [element]})
        if part.field == DETAILS:
            return self._write_detail(part, event)
        if part.grown and event.summary != part.segment:
            text = "\n\n" + text
            reason = "thinking is one text"
            self.to.losses.approximate("reasoning.segments", part.place, reason)
        if part.texts is not None:
            part.texts.append(text)
        choice = part.choice
        if not part.grown and (choice.gap if self.to.native else choice.mused):
            text = "\n\n" + text
        choice.gap, choice.mused = False, True
        part.grown = True
        part.segment = event.summary
        return part.before + encode(text) + part.behind

    def _write_detail(self, part: Piece, event: ReasoningDelta) -> bytes:
        member = "text" if event.summary is None else "summary"
        entry = {**self._entry(part), member: event.text}
        delta: dict[str, Any] = {DETAILS: [entry]}
        field = noted(part.part.extras, FIELD)
        if field in FIELDS:
            delta[field] = event.text
        return self.frames.frame(part.choice, delta)

    def _entry(self, part: Piece) -> dict[str, Any]:
        """The members that every entry of a thought repeats."""
        entry: dict[str, Any] = dict(level(part.part.extras))
        if not part.shown and part.part.id is not None:
            entry["id"] = part.part.id
        part.shown = True
        return entry

    def _grow_call(self, event: ArgumentsDelta) -> bytes:
        part = self._part(event.index)
        if part is None or not part.open or not event.text:
            return b""
        if not isinstance(part.part, ToolCallPart):
            return b""
        part.grown = True
        return part.before + encode(event.text) + part.behind

    def _grow_media(self, event: MediaDelta) -> bytes:
        part = self._part(event.index)
        if part is None or not part.open or not isinstance(part.part, MediaPart):
            return b""
        part.grown = True
        audio = {"id": part.part.id or "audio", "data": event.data}
        return self.frames.frame(part.choice, {"audio": audio})

    def _write_opaque(self, event: OpaqueEvent) -> bytes:
        part = self._part(event.index if event.index is not None else -1)
        if part is None or event.kind != "audio.transcript":
            self.to.losses.drop("opaque", "events", "no such event here")
            return b""
        part.shown = True
        audio = {"id": part.part.id or "audio", "transcript": event.raw}
        return self.frames.frame(part.choice, {"audio": audio})

    def _write_signature(self, event: SignatureDelta) -> bytes:
        part = self._part(event.index)
        if part is None:
            return b""
        return self._sign(part, event.signature)

    def _sign(self, part: Piece, signature: Signature) -> bytes:
        to, choice = self.to, part.choice
        if isinstance(part.part, ToolCallPart):
            entry = {
                "index": part.number,
                "function": {"arguments": ""},
                "extra_content": _google(signature),
            }
            return self.frames.frame(choice, {"tool_calls": [entry]})
        if part.field == DETAILS:
            return self._sign_detail(part, signature)
        if not to.profile.reasoning_details:
            place = f"{part.place}.signature"
            reason = "not shown to this client"
            to.losses.drop("reasoning.signature", place, reason)
            return b""
        if not isinstance(part.part, ReasoningPart):
            number = choice.thoughts
            choice.thoughts += 1
            entry = carrier_entry(_seal.seal(signature, "next"), number)
            return self.frames.frame(choice, {DETAILS: [entry]})
        part.shown = True
        value = state_value(signature, redacted=part.part.redacted)
        thought = replace(part.part, signature=signature)
        words = "".join(part.texts or ())
        if part.segment is not None:
            thought = replace(thought, text=None, summary=(words,))
        elif words:
            thought = replace(thought, text=words, summary=())
        ours = signature.origin != NAME
        again = not ours or not to.native or (choice.ours and part.number > 0)
        text = bool(words) and again
        choice.ours, choice.gap = choice.ours or ours, ours and bool(words)
        entry = own_entry(thought, value, part.number, text)
        if is_detail(thought) and not ours:
            [entry] = native_entries(thought)
        elif "index" in (thought.extras or {}):
            entry["index"] = level(thought.extras)["index"]
        return self.frames.frame(choice, {DETAILS: [entry]})

    def _sign_detail(self, part: Piece, signature: Signature) -> bytes:
        other = (part.part.extras or {}).get(DATA)
        if other is not None:
            entry: dict[str, Any] = dict(decode_object(bytes(other)))
            entry["data"] = state_value(signature)
            return self.frames.frame(part.choice, {DETAILS: [entry]})
        kind = noted(part.part.extras, "type")
        name = "data" if kind == ENCRYPTED else "signature"
        redacted = isinstance(part.part, ReasoningPart) and part.part.redacted
        value = state_value(signature, redacted=redacted)
        entry = {**self._entry(part), name: value}
        return self.frames.frame(part.choice, {DETAILS: [entry]})

    def _write_citation(self, event: CitationDelta) -> bytes:
        part = self._part(event.index)
        if part is None or not isinstance(part.part, TextPart):
            return b""
        place = f"{part.place}.citations"
        size = (part.choice.size if part.open else part.stop) - part.start
        written = write_citation(event.citation, part.start, size, self.to, place)
        if written is None:
            return b""
        if not self.to.native:
            # The vendor's accumulator joins lists of objects by their `index`.
            written = {"index": part.choice.citations, **written}
            part.choice.citations += 1
        return self.frames.frame(part.choice, {"annotations": [written]})

    def _write_logprobs(self, event: LogprobsDelta) -> bytes:
        part = self._part(event.index)
        if part is None:
            return b""
        name = "content"
        if isinstance(part.part, RefusalPart):
            name = "refusal"
        elif isinstance(part.part, ReasoningPart):
            field = noted(part.part.extras, FIELD) or ""
            name = field if field in FIELDS else "content"
            if not self.to.native:
                place = f"{part.place}.logprobs"
                self.to.losses.drop("logprobs", place, "thinking has none")
                return b""
        tokens = write_tokens(event.tokens, native=self.to.native)
        return self.frames.frame(part.choice, {}, more={"logprobs": {name: tokens}})

    def _write_extra(self, event: Extra) -> bytes:
        part = self._part(event.index if event.index is not None else -1)
        if part is None:
            return b""
        if not self.to.native:
            self.to.losses.drop_extras(event.extras, part.place)
            return b""
        extras, choice = event.extras, part.choice
        members = ordered(level(extras))
        if isinstance(part.part, ToolCallPart):
            member = "custom" if part.part.kind == "custom" else "function"
            entry: dict[str, Any] = {"index": part.number, **members}
            inner = ordered(level(extras, member))
            if inner:
                entry[member] = inner
            return self.frames.frame(choice, {"tool_calls": [entry]})
        if part.field == "content":
            part.shown = True
            element = {"type": "thinking", "thinking": [], **members}
            return self.frames.frame(choice, {"content": [element]})
        if part.field == DETAILS:
            return self._extend_detail(part, event)
        if isinstance(part.part, ReasoningPart):
            known = part.part.extras or {}
            part.part = replace(part.part, extras={**known, **extras})
            return b""
        if isinstance(part.part, TextPart) and members:
            element = {"type": "text", "text": "", **members}
            return self.frames.frame(choice, {"content": [element]})
        return b""

    def _extend_detail(self, part: Piece, event: Extra) -> bytes:
        out = b""
        if not part.shown:
            out = self.frames.frame(part.choice, {DETAILS: [self._entry(part)]})
        members = level(event.extras)
        extras = {**(part.part.extras or {}), **event.extras}
        extras.pop("id", None)
        part.part = replace(part.part, extras=extras)
        if members:
            entry = {**self._entry(part), **members}
            out += self.frames.frame(part.choice, {DETAILS: [entry]})
        return out

    def _write_end(self, event: PartEnd) -> bytes:
        part = self._part(event.index)
        if part is None or not part.open:
            return b""
        part.open = False
        part.stop = part.choice.size
        out = b""
        kind = part.part
        if isinstance(kind, ToolCallPart):
            empty = not part.grown and not self.to.native
            if empty and kind.kind == "function":
                out = part.before + b'"{}"' + part.behind
        elif isinstance(kind, MediaPart):
            out = self._end_media(part, event.final)
        elif isinstance(kind, ReasoningPart):
            out = self._end_thought(part)
        part.before = part.behind = b""
        return out

    def _end_thought(self, part: Piece) -> bytes:
        if part.field == DETAILS and not part.shown:
            return self.frames.frame(part.choice, {DETAILS: [self._entry(part)]})
        if part.segment is not None and not part.shown:
            reason = "thinking is one text"
            self.to.losses.approximate("reasoning.segments", part.place, reason)
        if part.field == "content" and not part.shown:
            element = {"type": "thinking", "thinking": []}
            return self.frames.frame(part.choice, {"content": [element]})
        return b""

    def _end_media(self, part: Piece, final: Part | None) -> bytes:
        if not isinstance(final, MediaPart):
            return b""
        audio: dict[str, Any] = {}
        for name, value in (final.meta or {}).items():
            if name != "transcript" or not part.shown:
                audio[name] = value
        audio |= level(final.extras, "audio") if self.to.native else {}
        source = getattr(final.source, "data", "")
        if source and not part.grown:
            audio["data"] = source
        if not audio:
            return b""
        return self.frames.frame(
            part.choice, {"audio": {"id": final.id or "audio", **audio}}
        )


def _google(signature: Signature) -> dict[str, Any]:
    native = signature.origin == NAME
    value = signature.value if native else _seal.seal(signature)
    return {"google": {"thought_signature": value}}


_TAKES: Final = {TextPart: TextDelta, RefusalPart: RefusalDelta}
_OPEN: Final[dict[type, Callable[[PartWriter, Piece, int], bytes]]] = {
    TextPart: PartWriter._open_text,
    RefusalPart: PartWriter._open_refusal,
    ReasoningPart: PartWriter._open_thought,
    ToolCallPart: PartWriter._open_call,
    MediaPart: PartWriter._open_media,
    OpaquePart: PartWriter._open_opaque,
}
_WRITE: Final[dict[type, Callable[[PartWriter, Any], bytes]]] = {
    PartEnd: PartWriter._write_end,
    TextDelta: PartWriter.grow,
    RefusalDelta: PartWriter.grow,
    ReasoningDelta: PartWriter._write_thought,
    ArgumentsDelta: PartWriter._grow_call,
    MediaDelta: PartWriter._grow_media,
    SignatureDelta: PartWriter._write_signature,
    CitationDelta: PartWriter._write_citation,
    LogprobsDelta: PartWriter._write_logprobs,
    Extra: PartWriter._write_extra,
    OpaqueEvent: PartWriter._write_opaque,
}
"""What may be said of a part that has started."""
