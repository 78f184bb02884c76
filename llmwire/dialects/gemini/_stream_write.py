"""Events as Gemini's stream: every chunk a whole answer, its parts increments.

Rules:

1. A candidate has one open text at most; parts that are open at the same time wait for
   their turn (`Sequencer`). Texts stream, the rest is written whole when it ends.
2. A reader joins texts of one kind that follow each other. Where that loses a border
   it is reported; a signature keeps it.
3. The stop words wait for the end of the stream, where the counts are complete: both
   go out together on the last chunk.
4. Annotations wait for the next chunk of their candidate, and go out alone before
   something else would change their place.
5. Calls whose arguments are no object are written without them, and the answer then
   ends with MAX_TOKENS: nobody must run a guess.

Theory of operation: the hot path is a text delta of the open part with nothing waiting:
its chunk is `prefix + JSON string + suffix`, both made once per part and usage.

https://ai.google.dev/api/generate-content#v1beta.models.streamGenerateContent
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from llmwire._ids import mint
from llmwire._json import encode, is_json_object, level
from llmwire._sequence import Sequencer
from llmwire.dialects import ReplyTarget
from llmwire.dialects.gemini._chunks import Chunks
from llmwire.dialects.gemini._ending import Answer, OpenPart, blocked, finished
from llmwire.dialects.gemini._errors import envelope
from llmwire.dialects.gemini._logprobs import report_logprobs, write_logprobs
from llmwire.dialects.gemini._parts_read import NAME
from llmwire.dialects.gemini._parts_write import Members
from llmwire.dialects.gemini._response import (
    part_writer,
    write_block,
    write_time,
)
from llmwire.dialects.gemini._usage import drop_tier, report_usage
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
    Extras,
    MediaPart,
    Part,
    ReasoningPart,
    RefusalPart,
    Signature,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)

_TEXTS: Final = (TextPart, RefusalPart, ReasoningPart)


class GeminiWriter:
    """Turns events into bytes."""

    def __init__(self, target: ReplyTarget) -> None:
        self._target = target
        self._losses = target.losses
        self._chunks = Chunks(array=target.framing == "json-array")
        self._done = False
        self._native = False
        self._sequencer = Sequencer(target.losses, target.limits, single=False)
        self._writer = part_writer(False, target.losses)
        self._open: dict[int, OpenPart] = {}
        self._laden: set[int] = set()
        """Texts with members that wait for a chunk of theirs."""
        self._answers: dict[int, Answer] = {}
        # The hot path: the text that streams, and what stands around each delta.
        self._hot: type | None = None
        self._index = -1
        self._pieces: list[str] | None = None
        self._prefix = b""
        self._suffix = b""

    def send(self, event: Event) -> bytes:
        """Bytes due now; any event in any order gives a legal stream."""
        kind = type(event)
        if kind is self._hot:
            text = self._hot_text(event)
            if text:
                return self._prefix + encode(text) + self._suffix
        elif kind is UsageUpdate and not self._done:
            return self._on_usage(event)  # type: ignore[arg-type]  # by its type
        self._hot = None
        return b"" if self._done else self._dispatch(event)

    def _hot_text(self, event: Any) -> str:
        """The text of a delta that may take the hot path, "" of any other."""
        if event.index != self._index:
            return ""
        text: str = event.text
        if self._pieces is not None:
            self._pieces.append(text)
        elif self._hot is ReasoningDelta and event.summary is not None:
            return ""
        return text

    def _dispatch(self, event: Event) -> bytes:
        if isinstance(event, PartStart):
            self._number(event)
        out = b""
        for due in self._sequencer.send(event):
            if self._laden and not isinstance(due, Ping):
                out += self._unload(due)
            out += self._take(due)
        if not self._done:
            self._warm(event)
        return out

    def _unload(self, event: Event) -> bytes:
        """Write the members of texts that wait, unless `event` takes them along."""
        own = getattr(event, "index", None)
        out = b""
        for index in [i for i in self._laden if i != own]:
            opened = self._open[index]
            if opened.extras and not opened.ended:
                out += self._write_text(index, opened, "", None)
            self._laden.discard(index)
        return out

    def _take(self, event: Event) -> bytes:
        take = _TAKE.get(type(event))
        return take(self, event) if take is not None and not self._done else b""

    def _number(self, event: PartStart) -> None:
        """Give a part its path, by its place among those of its choice."""
        if event.index in self._open:
            return
        answer = self._answer(event.choice)
        path = f"choices[{answer.at}].parts[{answer.parts}]"
        answer.parts += 1
        self._open[event.index] = OpenPart(event.part, event.choice, path, [])

    def _answer(self, choice: int) -> Answer:
        answer = self._answers.get(choice)
        if answer is None:
            answer = self._answers[choice] = Answer(choice, len(self._answers))
        return answer

    def _warm(self, event: Event) -> None:
        """Prepare the hot path where `event` left one text streaming."""
        index = self._sequencer.streaming
        kind = type(event)
        if index is None or kind not in (TextDelta, ReasoningDelta):
            return
        opened = self._open[index]
        due = self._chunks.waiting or self._chunks.root or self._chunks.tier_due
        if opened.extras or due:
            return
        if getattr(event, "index", -1) != index or opened.segment not in (None, -1):
            return
        thought = isinstance(opened.part, ReasoningPart)
        if thought != (kind is ReasoningDelta) or opened.written < 0:
            return
        self._hot, self._index = kind, index
        self._pieces = opened.pieces if self._tracks(opened) else None
        self._prefix, self._suffix = self._chunks.around(opened.choice, thought)

    def _tracks(self, opened: OpenPart) -> bool:
        """Whether the text must be remembered, for citations that may come."""
        return not self._native and isinstance(opened.part, TextPart)

    # --- events --------------------------------------------------------------------

    def _on_start(self, event: MessageStart) -> bytes:
        if self._chunks.members or self._answers:
            return b""
        self._native = self._chunks.native = event.dialect == NAME
        self._writer = part_writer(self._native, self._losses)
        members = self._chunks.members
        model = self._target.model or event.model
        if model is not None:
            members["modelVersion"] = model
        if event.id is not None:
            members["responseId"] = event.id
        elif not self._native:
            members["responseId"] = mint("", self._target.seed, "response", 0)
        if self._native and event.created is not None:
            time = write_time(event.created)
            if time is not None:
                members["createTime"] = time
        if event.usage is not None:
            self._chunks.usage = event.usage
        return b""

    def _on_part(self, event: PartStart) -> bytes:
        opened = self._open[event.index]
        part = event.part
        if isinstance(part, _TEXTS):
            opened.extras = self._native_extras(part.extras)
            if opened.extras:
                self._laden.add(event.index)
            if isinstance(part, (TextPart, RefusalPart)) and part.text:
                return self._grow(event.index, part.text)
            if isinstance(part, ReasoningPart) and (part.text or part.summary):
                whole = "\n\n".join((*part.summary, *((part.text or ""),)))
                return self._grow(event.index, whole)
        return b""

    def _native_extras(self, extras: Extras | None) -> Extras | None:
        return level(extras) or None if self._native else None

    def _on_text(self, event: TextDelta | RefusalDelta) -> bytes:
        return self._grow(event.index, event.text)

    def _on_reasoning(self, event: ReasoningDelta) -> bytes:
        opened = self._open[event.index]
        text = event.text
        if opened.segment != -1 and opened.segment != event.summary:
            text = "\n\n" + text
        if event.summary is not None and opened.segment == -1:
            reason = "thoughts have no segments"
            self._losses.emulate("reasoning.segments", opened.path, reason)
        opened.segment = event.summary
        return self._grow(event.index, text)

    def _grow(self, index: int, text: str) -> bytes:
        """One more piece of a text or thought."""
        opened = self._open[index]
        if not isinstance(opened.part, _TEXTS) or not text:
            return b""
        if self._tracks(opened):
            opened.pieces.append(text)
        return self._write_text(index, opened, text, None)

    def _write_text(
        self, index: int, opened: OpenPart, text: str, signature: str | None
    ) -> bytes:
        thought = isinstance(opened.part, ReasoningPart)
        answer = self._answer(opened.choice)
        self._join(index, opened, answer)
        members: Members = {"text": text}
        if thought:
            members["thought"] = True
        if signature is not None:
            members["thoughtSignature"] = signature
        if opened.extras:
            for name, value in opened.extras.items():
                members.setdefault(name, value)
            opened.extras = None
        return self._chunks.chunk(opened.choice, members)

    def _join(self, index: int, opened: OpenPart, answer: Answer) -> None:
        """Find the place of a text's first piece among the parts a reader sees."""
        if opened.written >= 0:
            return
        before = self._open.get(answer.joins)
        same = before is not None and (
            isinstance(before.part, ReasoningPart)
            == isinstance(opened.part, ReasoningPart)
        )
        if before is not None and same:
            reason = "a reader joins neighbouring texts of one kind"
            self._losses.approximate("part.boundary", opened.path, reason)
            opened.written = before.written
        else:
            opened.written = answer.seen
            answer.seen += 1
        answer.joins = index

    def _on_arguments(self, event: ArgumentsDelta) -> bytes:
        self._open[event.index].pieces.append(event.text)
        return b""

    def _on_media(self, event: MediaDelta) -> bytes:
        self._open[event.index].pieces.append(event.data)
        return b""

    def _on_signature(self, event: SignatureDelta) -> bytes:
        opened = self._open[event.index]
        if not isinstance(opened.part, _TEXTS):
            if not opened.ended:
                opened.part = replace(opened.part, signature=event.signature)
                return b""
            return self._late(opened, event.signature)
        answer = self._answer(opened.choice)
        if opened.signed or (opened.ended and answer.joins != event.index):
            return self._late(opened, event.signature)
        return self._sign(event.index, opened, event.signature)

    def _sign(self, index: int, opened: OpenPart, signature: Signature) -> bytes:
        """Sign the text that a reader still holds open: it ends there."""
        part = replace(opened.part, signature=signature)
        text = self._writer.sign(part, opened.path)
        out = self._write_text(index, opened, "", text)
        opened.signed = True
        self._answer(opened.choice).joins = -1
        return out

    def _late(self, opened: OpenPart, signature: Signature) -> bytes:
        """A signature whose part is closed: on a thought of its own."""
        answer = self._answer(opened.choice)
        reason = "it came after its part: on an empty thought"
        path = f"{opened.path}.signature"
        self._losses.approximate("reasoning.signature", path, reason)
        text = self._writer.sign(ReasoningPart(signature=signature), opened.path)
        answer.joins = -1
        answer.seen += 1
        members = {"text": "", "thought": True, "thoughtSignature": text}
        return self._chunks.chunk(opened.choice, members)

    def _on_part_end(self, event: PartEnd) -> bytes:
        opened = self._open[event.index]
        opened.ended = True
        part = opened.part
        if isinstance(part, _TEXTS):
            return self._end_text(event, opened)
        return self._end_whole(event, opened)

    def _end_text(self, event: PartEnd, opened: OpenPart) -> bytes:
        part, out = opened.part, b""
        if part.signature is not None and not opened.signed:
            out = self._sign(event.index, opened, part.signature)
        elif opened.extras:
            out = self._write_text(event.index, opened, "", None)
        if getattr(part, "text", None) == "" and self._is_mute(opened):
            reason = "a thought without words has none"
            self._losses.drop("message.empty", f"{opened.path}.text", reason)
        if opened.written < 0:
            reason = "an empty text is not written"
            self._losses.drop("message.empty", opened.path, reason)
        if not self._native:
            part = replace(part, incomplete=event.status == "incomplete")
            self._writer.report(part, opened.path)
            if isinstance(part, RefusalPart):
                reason = "refusals are ordinary text"
                self._losses.emulate("refusal", opened.path, reason)
            if isinstance(part, TextPart) and part.phase is not None:
                reason = "there are no phases"
                self._losses.drop("phase", f"{opened.path}.phase", reason)
        return out

    def _is_mute(self, opened: OpenPart) -> bool:
        """Whether a foreign thought has come without a word."""
        thought = isinstance(opened.part, ReasoningPart)
        return thought and opened.segment == -1 and not self._native

    def _end_whole(self, event: PartEnd, opened: OpenPart) -> bytes:
        """Write a part that goes out in one piece."""
        answer = self._answer(opened.choice)
        part = self._whole(event, opened)
        opened.pieces.clear()
        self._writer.cut = False
        members = self._writer.part(part, opened.path)
        if members is None:
            return b""
        if isinstance(part, ToolCallPart):
            answer.calls = True
            answer.cut = answer.cut or self._writer.cut
        opened.written = answer.seen
        answer.seen += 1
        answer.joins = -1
        return self._chunks.chunk(opened.choice, members)

    def _whole(self, event: PartEnd, opened: OpenPart) -> Part:
        part, text = opened.part, "".join(opened.pieces)
        signature = part.signature
        if event.final is not None:
            part = event.final
        elif isinstance(part, MediaPart) and isinstance(part.source, Base64) and text:
            part = replace(part, source=Base64(part.source.data + text))
        if isinstance(part, ToolCallPart):
            part = replace(part, arguments=part.arguments + text)
            part = self._cut_short(part, event)
        if not self._native:
            part = replace(part, incomplete=event.status == "incomplete")
        extras = {**(part.extras or {}), **(opened.extras or {})}
        return replace(
            part, signature=signature or part.signature, extras=extras or None
        )

    def _cut_short(self, part: ToolCallPart, event: PartEnd) -> ToolCallPart:
        """Native arguments that broke off are written as such: more is to come."""
        if not self._native or event.status != "incomplete":
            return part
        if not is_json_object(part.arguments + "}"):
            return part
        going_on = {"functionCall/willContinue": Raw(b"true")}
        extras = {**(part.extras or {}), **going_on}
        return replace(part, arguments=part.arguments + "}", extras=extras)

    def _on_citation(self, event: CitationDelta) -> bytes:
        opened = self._open[event.index]
        if isinstance(opened.part, TextPart):
            opened.citations = [*(opened.citations or ()), event.citation]
        else:
            reason = "only texts are cited for"
            self._losses.drop("citations", f"{opened.path}.citations", reason)
        return b""

    def _on_logprobs(self, event: LogprobsDelta) -> bytes:
        opened = self._open[event.index]
        if not isinstance(opened.part, TextPart) or opened.written < 0:
            reason = "log probabilities are those of texts"
            self._losses.drop("logprobs", f"{opened.path}.logprobs", reason)
            return b""
        if not self._native:
            self._report_logprobs(opened, event.tokens)
        result = {"logprobsResult": write_logprobs(event.tokens, self._native)}
        return self._chunks.chunk(opened.choice, None, result)

    def _report_logprobs(
        self, opened: OpenPart, tokens: Sequence[TokenLogprob]
    ) -> None:
        """Losses of tokens, and of the text that a reader puts them on."""
        report_logprobs(tokens, opened.path, self._losses, opened.tokens)
        opened.tokens += len(tokens)
        answer = self._answer(opened.choice)
        last = max(
            (
                p.written
                for p in self._open.values()
                if p.choice == answer.choice
                and isinstance(p.part, (TextPart, RefusalPart))
            ),
            default=-1,
        )
        if opened.written != last:
            reason = "a reader puts them on the last text"
            path = f"choices[{answer.at}].parts"
            self._losses.approximate("logprobs", path, reason)

    def _on_usage(self, event: UsageUpdate) -> bytes:
        self._chunks.usage = event.usage
        return b""

    def _on_tier(self, event: ServiceTier) -> bytes:
        if not self._native:
            drop_tier(self._losses)
            return b""
        out = self._chunks.flush()
        if self._chunks.root:
            out += self._chunks.framed(self._chunks.document(b""))
        self._chunks.tier = event.tier
        self._chunks.tier_due = True
        return out

    def _on_extra(self, event: Extra) -> bytes:
        if event.index is not None:
            return self._on_part_extra(event, event.index)
        if not self._native:
            place = "" if event.choice is None else self._choice_path(event.choice)
            self._losses.drop_extras(event.extras, place)
            return b""
        if all(name[:1] == "@" for name in event.extras):
            return b""
        if event.choice is None:
            out = b""
            if self._chunks.waiting:
                out = self._chunks.flush()
            elif self._chunks.root:
                out = self._chunks.framed(self._chunks.document(b""))
            self._chunks.root = dict(level(event.extras))
            if "candidates" in self._chunks.root:  # of another type: not beside ours
                out += self._chunks.framed(self._chunks.document(b""))
            return out
        out = self._chunks.flush()
        self._chunks.waiting[event.choice] = event.extras
        answer = self._answer(event.choice)
        answer.known |= frozenset(event.extras)
        return out

    def _choice_path(self, choice: int) -> str:
        return f"choices[{self._answer(choice).at}]"

    def _on_part_extra(self, event: Extra, index: int) -> bytes:
        opened = self._open[index]
        if not self._native:
            self._losses.drop_extras(event.extras, opened.path)
            return b""
        out = b""
        if opened.extras and isinstance(opened.part, _TEXTS):
            out = self._write_text(index, opened, "", None)
        opened.extras = {**(opened.extras or {}), **level(event.extras)}
        if isinstance(opened.part, _TEXTS):
            self._laden.add(index)
        return out

    def _on_opaque(self, event: OpaqueEvent) -> bytes:
        path = "events"
        if event.index is not None:
            path = self._open[event.index].path
        self._losses.drop("opaque", path, f"an event of {event.dialect} only")
        return b""

    def _on_ping(self, event: Ping) -> bytes:
        # The official clients take a comment for JSON; blank lines they skip.
        return b"\r\n"

    # --- the end -------------------------------------------------------------------

    def _on_message_end(self, event: MessageEnd) -> bytes:
        self._answer(event.choice).end = event
        return b""

    def _on_error(self, event: StreamError) -> bytes:
        out = self._said_before_error() if self._native else b""
        self._done = True
        error = self._chunks.framed(envelope(event.error))
        return out + error + self._chunks.closing()

    def _said_before_error(self) -> bytes:
        """What waits for a next chunk that will not come."""
        out = self._chunks.flush()
        if self._chunks.root or self._chunks.tier_due:
            out += self._chunks.framed(self._chunks.document(b""))
        if out or self._chunks.written:
            return out
        candidate = b"" if self._chunks.members else b'{"index":0}'
        return self._chunks.framed(self._chunks.document(candidate))

    def _on_end(self, event: StreamEnd) -> bytes:
        self._done = True
        if self._chunks.usage is not None and not self._native:
            report_usage(self._chunks.usage, self._losses)
        answers = sorted(self._answers.values(), key=lambda answer: answer.choice)
        choice = blocked(answers, self._chunks)
        if choice is not None:
            feedback = Raw(encode(write_block(choice, self._native, self._losses)))
            self._chunks.root = {**self._chunks.root, "promptFeedback": feedback}
            document = self._chunks.document(b"", last=True)
        else:
            document = self._last(answers or [Answer(0, 0)])
        return self._chunks.framed(document) + self._chunks.closing()

    def _last(self, answers: list[Answer]) -> bytes:
        """The last chunk, with every candidate's stop word."""
        parts: dict[int, list[OpenPart]] = {}
        for opened in self._open.values():
            parts.setdefault(opened.choice, []).append(opened)
        members = [
            finished(a, parts.get(a.choice, ()), self._chunks, self._losses)
            for a in answers
        ]
        return self._chunks.document(b",".join(map(encode, members)), last=True)


_TAKE: Final[dict[type, Callable[[GeminiWriter, Any], bytes]]] = {
    MessageStart: GeminiWriter._on_start,
    PartStart: GeminiWriter._on_part,
    PartEnd: GeminiWriter._on_part_end,
    TextDelta: GeminiWriter._on_text,
    RefusalDelta: GeminiWriter._on_text,
    ReasoningDelta: GeminiWriter._on_reasoning,
    ArgumentsDelta: GeminiWriter._on_arguments,
    MediaDelta: GeminiWriter._on_media,
    SignatureDelta: GeminiWriter._on_signature,
    CitationDelta: GeminiWriter._on_citation,
    LogprobsDelta: GeminiWriter._on_logprobs,
    UsageUpdate: GeminiWriter._on_usage,
    ServiceTier: GeminiWriter._on_tier,
    Extra: GeminiWriter._on_extra,
    OpaqueEvent: GeminiWriter._on_opaque,
    Ping: GeminiWriter._on_ping,
    MessageEnd: GeminiWriter._on_message_end,
    StreamError: GeminiWriter._on_error,
    StreamEnd: GeminiWriter._on_end,
}
