"""Gemini's streams: chunks that are whole answers whose parts are increments.

Rules:

1. Texts in a row join into one part per candidate and kind (`thought` or not). A
   signature ends the part it stands on; on an empty text it belongs to the text that
   is still open. Any other part ends the open text. An empty text without a signature
   says nothing.
2. Other parts arrive whole. Calls in pieces (Vertex) are given whole when their last
   piece has come.
3. Nothing but the end of the body ends an answer: `finishReason` is held until then,
   for usage, grounding and even parts may follow it; a later one replaces it.
4. Counts and annotations stand on every chunk; they are told when they change.
5. An error is a chunk with `error`, or JSON outside of the framing, over many lines.
   The official client gathers such lines until their braces balance, and so does this.

https://ai.google.dev/api/generate-content#v1beta.models.streamGenerateContent
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from llmwire._json import NULL, LearnedSchema, nested, strangers
from llmwire._parts import PartTracker
from llmwire.dialects import ResponseSource
from llmwire.dialects.gemini import _wire
from llmwire.dialects.gemini._array import ArrayDecoder
from llmwire.dialects.gemini._errors import read_error
from llmwire.dialects.gemini._grounding import read_citations
from llmwire.dialects.gemini._increments import (
    is_plain,
    is_text,
    spoken,
    without_notes,
)
from llmwire.dialects.gemini._logprobs import read_logprobs
from llmwire.dialects.gemini._notes import kept, raw
from llmwire.dialects.gemini._partial import PartialCall
from llmwire.dialects.gemini._parts_read import NAME
from llmwire.dialects.gemini._response import (
    block_word,
    candidate_extras,
    read_block,
    read_time,
    reader,
)
from llmwire.dialects.gemini._stops import read_stop
from llmwire.dialects.gemini._usage import read_usage
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.events import (
    CitationDelta,
    Event,
    Extra,
    LogprobsDelta,
    MediaDelta,
    Ping,
    ReasoningDelta,
    ServiceTier,
    SignatureDelta,
    TextDelta,
    UsageUpdate,
)
from llmwire.messages import (
    Base64,
    Extras,
    MediaPart,
    Part,
    ReasoningPart,
    StopDetail,
    TextPart,
    ToolCallPart,
    Usage,
)
from llmwire.sse import Frame

_UNSPECIFIED: Final = frozenset({"", "0", "FINISH_REASON_UNSPECIFIED"})


class _Answer:
    """One candidate while it is streamed."""

    __slots__ = (
        "calls",
        "choice",
        "extras",
        "finish",
        "grounding",
        "growing",
        "indices",
        "message",
        "open",
        "partial",
        "texts",
        "thought",
    )

    def __init__(self, choice: int) -> None:
        self.choice = choice
        self.open = -1
        """Index of the text or thought that still grows."""
        self.thought = False
        self.texts: list[list[str] | None] = []
        """Text of each part, None for parts of other kinds."""
        self.growing: list[str] = []
        """Text of the open part."""
        self.indices: list[int] = []
        self.extras: Extras = {}
        self.grounding: Raw | None = None
        self.finish: str | None = None
        self.message: str | None = None
        self.calls = False
        self.partial: PartialCall | None = None


class GeminiReader:
    """Turns frames into events."""

    def __init__(self, source: ResponseSource, framing: str = "sse") -> None:
        self._limits = source.limits
        self._tracker = PartTracker(NAME, source.limits, source.seed)
        self._parts = reader(source)
        self._schema = LearnedSchema(_wire.Chunk)
        self._answers: dict[int, _Answer] = {}
        self._id: str | None = None
        self._hot_id: str | UnsetType = UNSET
        self._tier: str | None = None
        self._extras: Extras = {}
        self._usage_wire: _wire.UsageMetadata | None = None
        self._usage: Usage | None = None
        self._usage_due = False
        self._block: StopDetail | None = None
        self._bare: ArrayDecoder | None = None

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
        tracker = self._tracker
        if tracker.done:
            self._after_end(frame)
            return []
        if frame.stray:
            self._receive_bare(b"\n".join(frame.stray) + b"\n")
            if tracker.done:
                return tracker.drain()
        data = frame.data
        if data is None:
            if frame.raw.startswith(b":"):
                tracker.emit(Ping())
        else:
            self._receive_json(data)
        return tracker.drain()

    def receive_eof(self) -> list[Event]:
        """The input ended: what is left, with the terminal event."""
        tracker = self._tracker
        if self._bare is not None:
            self._end_bare(self._bare)
        if tracker.done:
            return tracker.drain()
        if self._block is not None:
            self._end_block(self._block)
        answers = sorted(self._answers.values(), key=lambda answer: answer.choice)
        unfinished = any(answer.finish is None for answer in answers)
        if unfinished or (not answers and self._block is None):
            tracker.fail_truncated()
        else:
            self._emit_usage()
            for answer in answers:
                self._end_answer(answer)
            tracker.finish()
        return tracker.drain()

    def _after_end(self, frame: Frame) -> None:
        said = frame.stray or (frame.data or b"").strip() not in (b"", b"[DONE]")
        if said and "after-end" not in self._tracker.violations:
            self._tracker.violation("after-end")

    # --- frames --------------------------------------------------------------------

    def _receive_json(self, data: bytes) -> None:
        try:
            chunk = self._schema.decode(data)
        except RemoteProtocolError as error:
            text = data.strip()
            if text in (b"", b"[DONE]"):
                return
            if text.startswith(b"["):
                self._receive_bare(text + b"\n")
                return
            limited = isinstance(error, LimitExceeded)
            what = "JSON nested too deeply" if limited else "a chunk that is no object"
            self._tracker.fail_upstream(f"the upstream sent {what}")
            return
        self._receive_chunk(chunk)

    def _receive_bare(self, octets: bytes) -> None:
        """JSON that stands outside of the framing."""
        if self._bare is None:
            self._bare = ArrayDecoder(limit=self._limits.frame)
        try:
            for frame in self._bare.receive_data(octets):
                self._receive_element(frame)
        except LimitExceeded:
            self._tracker.fail_limit(
                f"more than {self._limits.frame} bytes of an object"
            )

    def _receive_element(self, frame: Frame) -> None:
        if frame.stray:
            self._tracker.fail_upstream("the upstream sent what is no event")
        elif frame.data is not None and not self._tracker.done:
            self._receive_json(frame.data)

    def _end_bare(self, bare: ArrayDecoder) -> None:
        """What is left of JSON outside of the framing."""
        self._bare = None
        if self._tracker.done:
            return
        for frame in bare.receive_eof():
            if frame.stray or frame.data is not None:
                self._tracker.fail_upstream("the upstream sent what is no event")

    # --- chunks --------------------------------------------------------------------

    def _receive_chunk(self, chunk: _wire.Chunk) -> None:
        tracker = self._tracker
        if self._receive_hot(chunk):
            return
        if chunk.error is not UNSET and chunk.error != NULL:
            tracker.fail(read_error(raw({"error": chunk.error})))
            return
        if not tracker.started:
            self._start(chunk)
        elif chunk.response_id is not UNSET and chunk.response_id != self._id:
            self._change_id(chunk.response_id)
        metadata = chunk.usage_metadata
        if metadata is not UNSET and metadata != self._usage_wire:
            self._receive_usage(metadata)
        found = strangers(chunk)
        if found or chunk.prompt_feedback is not UNSET:
            self._receive_root(chunk, found)
        if chunk.candidates is not UNSET:
            for candidate in chunk.candidates:
                self._receive_candidate(candidate)
        if self._usage_due and tracker.started:
            self._emit_usage()

    def _receive_hot(self, chunk: _wire.Chunk) -> bool:
        """Take a chunk that says one more piece of the open text and nothing else.

        Counts may stand beside it. False: it says more, and nothing was taken.
        """
        candidates = chunk.candidates
        if (
            candidates is UNSET
            or len(candidates) != 1
            or chunk.response_id != self._hot_id
            or chunk.prompt_feedback is not UNSET
            or chunk.error is not UNSET
            or chunk.extras
            or chunk.learned
        ):
            return False
        candidate = candidates[0]
        content = candidate.content
        answer = self._answers.get(candidate.index or 0)
        if answer is None or answer.open < 0 or content is UNSET:
            return False
        parts = content.parts
        if parts is UNSET or len(parts) != 1 or not is_plain(candidate, content):
            return False
        part = parts[0]
        text = part.text
        if not text or not is_text(part) or (part.thought is True) != answer.thought:
            return False
        events = self._tracker.events
        metadata = chunk.usage_metadata
        if metadata is not UNSET and metadata != self._usage_wire:
            self._receive_usage(metadata)
        if answer.thought:
            events.append(ReasoningDelta(answer.open, text))
        else:
            answer.growing.append(text)
            events.append(TextDelta(answer.open, text))
        if self._usage_due:
            self._emit_usage()
        return True

    def _start(self, chunk: _wire.Chunk) -> None:
        """The message starts with a real id, a model, or a choice."""
        known = chunk.response_id or chunk.model_version or chunk.candidates
        blocked = chunk.prompt_feedback is not UNSET
        if not known and not blocked:
            return
        self._id = chunk.response_id or None
        self._hot_id = chunk.response_id
        time = chunk.create_time
        created = read_time(time) if time is not UNSET else None
        self._tracker.start(self._id, chunk.model_version or None, created)

    def _change_id(self, response_id: str) -> None:
        if self._id is None:
            self._id = response_id
        elif "changed-id" not in self._tracker.violations:
            self._tracker.violation("changed-id")

    def _receive_usage(self, wire: _wire.UsageMetadata) -> None:
        self._usage_wire = wire
        tier = wire.service_tier
        if tier is not UNSET and tier and tier != self._tier:
            self._tier = tier
            self._tracker.start()
            self._tracker.emit(ServiceTier(tier))
        usage = read_usage(wire)
        if usage is not None and usage != self._usage:
            self._usage = usage
            self._usage_due = True

    def _emit_usage(self) -> None:
        if self._usage_due and self._usage is not None:
            self._usage_due = False
            self._tracker.emit(UsageUpdate(self._usage))

    def _receive_root(self, chunk: _wire.Chunk, found: dict[str, Raw]) -> None:
        """What stands beside the candidates."""
        said = kept(spoken(found, _wire.Chunk))
        feedback = chunk.prompt_feedback
        if feedback is not UNSET and feedback != NULL:
            detail = None if self._answers or chunk.candidates else read_block(feedback)
            if detail is None:
                said["promptFeedback"] = feedback
            else:
                self._block = detail
        changed = {k: v for k, v in said.items() if self._extras.get(k) != v}
        if changed:
            self._extras.update(changed)
            self._tracker.start()
            self._tracker.emit(Extra(changed))

    def _receive_candidate(self, wire: _wire.Candidate) -> None:
        choice = wire.index or 0
        answer = self._answers.get(choice)
        if answer is None:
            self._tracker.start()
            if len(self._answers) >= self._limits.parts:
                self._tracker.fail_limit(f"more than {self._limits.parts} candidates")
                return
            answer = self._answers[choice] = _Answer(choice)
        tokens = None
        extras = candidate_extras(wire)
        if wire.logprobs_result is not UNSET:
            tokens = read_logprobs(wire.logprobs_result)
            if tokens is None:
                extras["logprobsResult"] = wire.logprobs_result
        content = wire.content
        if content is not UNSET:
            found = strangers(content)
            if found:
                said = spoken(found, _wire.Content)
                extras.update(nested("content", said, None) or {})
        if extras:
            self._receive_extras(answer, extras)
        if content is not UNSET and content.parts is not UNSET:
            for part in content.parts:
                self._receive_part(answer, part)
        if tokens:
            self._receive_logprobs(answer, tokens, wire.logprobs_result)
        if wire.finish_reason is not UNSET:
            self._receive_finish(answer, str(wire.finish_reason))
        if wire.finish_message is not UNSET:
            answer.message = wire.finish_message

    def _receive_extras(self, answer: _Answer, extras: Extras) -> None:
        known = answer.extras
        said = spoken(extras, _wire.Candidate)
        changed = {k: v for k, v in said.items() if known.get(k) != v}
        if changed:
            known.update(changed)
            answer.grounding = known.get("groundingMetadata")
            self._tracker.emit(Extra(changed, choice=answer.choice))

    def _receive_logprobs(self, answer: _Answer, tokens: Any, result: Any) -> None:
        """The tokens belong to the last text, open or not."""
        for at in range(len(answer.texts) - 1, -1, -1):
            if answer.texts[at] is not None:
                self._tracker.emit(LogprobsDelta(answer.indices[at], tokens))
                return
        self._receive_extras(answer, {"logprobsResult": result})

    def _receive_finish(self, answer: _Answer, word: str) -> None:
        if word in _UNSPECIFIED:
            return
        if answer.finish is not None:
            self._tracker.violation("repeated-finish")
        answer.finish = word

    # --- parts ---------------------------------------------------------------------

    def _receive_part(self, answer: _Answer, wire: _wire.Part) -> None:
        if wire.function_call is not UNSET and self._receive_piece(
            answer, wire, wire.function_call
        ):
            return
        part = self._parts.part(wire, "$")
        if isinstance(part, TextPart):
            self._receive_text(answer, part, part.text, False)
        elif isinstance(part, ReasoningPart):
            self._receive_text(answer, part, part.text or "", True)
        elif isinstance(part, ToolCallPart):
            self._emit_call(answer, part, part.arguments or "{}")
        else:
            self._emit_whole(answer, part)

    def _receive_text(
        self, answer: _Answer, part: Part, text: str, thought: bool
    ) -> None:
        tracker = self._tracker
        extras = without_notes(part.extras)
        signature = part.signature
        if not text and signature is None and not extras:
            return
        redacted = isinstance(part, ReasoningPart) and part.redacted
        if answer.open >= 0 and (answer.thought != thought or redacted):
            self._close(answer)
        if answer.open < 0:
            opened: Part = TextPart(text="", extras=extras)
            if thought:
                opened = ReasoningPart(redacted=redacted, extras=extras)
            answer.growing = []
            self._open(answer, opened, None if thought else answer.growing)
            answer.thought = thought
        elif extras:
            tracker.emit(Extra(extras, index=answer.open))
        if text and thought:
            tracker.emit(ReasoningDelta(answer.open, text))
        elif text:
            answer.growing.append(text)
            tracker.emit(TextDelta(answer.open, text))
        if signature is not None:
            tracker.emit(SignatureDelta(answer.open, signature))
            self._close(answer)

    def _open(self, answer: _Answer, part: Part, text: list[str] | None) -> None:
        answer.open = self._tracker.open(part, answer.choice)
        if answer.open >= 0:
            answer.texts.append(text)
            answer.indices.append(answer.open)

    def _close(self, answer: _Answer, final: Part | None = None) -> None:
        if answer.open >= 0:
            self._tracker.close(answer.open, final=final)
            answer.open = -1

    def _emit_call(self, answer: _Answer, part: ToolCallPart, arguments: str) -> None:
        self._close(answer)
        answer.calls = True
        extras = without_notes(part.extras)
        if extras and extras.get("functionCall/args") == NULL:
            del extras["functionCall/args"]
        opened = replace(part, arguments="", extras=extras or None)
        self._open(answer, opened, None)
        self._tracker.arguments(answer.open, arguments)
        self._close(answer)

    def _emit_whole(self, answer: _Answer, part: Part) -> None:
        """A part that is neither text nor call: complete as it comes."""
        tracker = self._tracker
        self._close(answer)
        part = replace(part, extras=without_notes(part.extras))
        opened = part
        if isinstance(part, MediaPart) and isinstance(part.source, Base64):
            opened = replace(part, source=Base64(""))
        self._open(answer, replace(opened, signature=None), None)
        source = part.source if isinstance(part, MediaPart) else None
        if isinstance(source, Base64) and source.data:
            tracker.emit(MediaDelta(answer.open, source.data))
        if part.signature is not None:
            tracker.emit(SignatureDelta(answer.open, part.signature))
        self._close(answer, final=part)

    def _receive_piece(
        self, answer: _Answer, wire: _wire.Part, call: _wire.FunctionCall
    ) -> bool:
        """Take a call in pieces; False: it is a whole one."""
        pending = answer.partial
        if pending is not None and call.name:
            self._end_partial(answer, pending)
            pending = None
        goes_on = call.will_continue is True
        if pending is None:
            if not call.name and call.args is UNSET and call.partial_args is UNSET:
                self._tracker.violation("unknown-part")
                return True
            if not goes_on and call.partial_args is UNSET:
                return False
            pending = answer.partial = PartialCall()
            pending.name = call.name or ""
            pending.native = call.id or None
            opened = self._parts.signature(wire)
            pending.signature = opened.signature if opened else None
            pending.extras = without_notes(
                nested(
                    "functionCall",
                    strangers(call),
                    self._parts.extras(wire, "functionCall", "$"),
                )
            )
        if call.args is not UNSET and call.args != NULL:
            pending.base = call.args
            pending.size += len(bytes(call.args))
        for piece in call.partial_args or ():
            if not pending.add(piece):
                self._tracker.violation("unknown-part")
        if pending.size > self._limits.arguments:
            limit = self._limits.arguments
            self._tracker.fail_limit(f"more than {limit} argument characters")
        elif not goes_on:
            self._end_partial(answer, pending)
        return True

    def _end_partial(
        self, answer: _Answer, call: PartialCall, *, broken: bool = False
    ) -> None:
        """Give a call whose pieces have come; one that was cut stays broken JSON."""
        answer.partial = None
        text = call.text()
        call_id, _ = self._parts.call_id(call.native, call.name)
        part = ToolCallPart(
            call_id=call_id,
            name=call.name,
            signature=call.signature,
            extras=call.extras,
        )
        self._emit_call(answer, part, text.rstrip()[:-1] if broken else text)

    # --- the end -------------------------------------------------------------------

    def _end_block(self, detail: StopDetail) -> None:
        """The prompt was blocked: candidates that did not finish were filtered."""
        word = block_word(detail)
        if not self._answers:
            self._emit_usage()
            self._tracker.end("content_filter", word, detail=detail)
            self._tracker.finish()
        for answer in self._answers.values():
            answer.finish = answer.finish or "SAFETY"

    def _end_answer(self, answer: _Answer) -> None:
        if answer.partial is not None:
            self._end_partial(answer, answer.partial, broken=True)
        if answer.grounding is not None:
            texts = ["".join(t) if t is not None else None for t in answer.texts]
            for at, citation in read_citations(answer.grounding, texts):
                self._tracker.emit(CitationDelta(answer.indices[at], citation))
        message = answer.message
        detail = StopDetail(explanation=message) if message is not None else None
        word = answer.finish or ""
        self._tracker.end(
            read_stop(word, answer.calls), word, choice=answer.choice, detail=detail
        )
