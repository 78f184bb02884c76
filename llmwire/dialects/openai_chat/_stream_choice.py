"""One choice of a Chat stream: which of its parts may still grow, and how they do.

Knows deltas and the tracker, nothing of frames. Rules 4 to 8 of `_stream_read`.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from msgspec import Raw, Struct, UnsetType
from msgspec.structs import replace

from llmwire._json import (
    Schema,
    decode_any,
    decode_object,
    encode,
    nested,
)
from llmwire._parts import PartTracker
from llmwire._turns import carrier
from llmwire.dialects import ResponseSource
from llmwire.dialects.openai_chat._content_read import thinking_texts
from llmwire.dialects.openai_chat._logprobs import LISTS, read_lists, read_tokens
from llmwire.dialects.openai_chat._message_read import read_citation
from llmwire.dialects.openai_chat._notes import FIELD, with_note
from llmwire.dialects.openai_chat._reasoning import (
    FIELDS,
    Entry,
    data_note,
    read_entry,
    starting_part,
)
from llmwire.dialects.openai_chat._stream_calls import (
    CallReader,
    PartStrangers,
    asked,
    copied,
)
from llmwire.dialects.openai_chat._wire import (
    ChunkChoice,
    Delta,
)
from llmwire.dialects.openai_chat._writing import NAME
from llmwire.errors import RemoteProtocolError
from llmwire.events import (
    CitationDelta,
    Extra,
    LogprobsDelta,
    MediaDelta,
    OpaqueEvent,
    ReasoningDelta,
    RefusalDelta,
    SignatureDelta,
    TextDelta,
)
from llmwire.messages import (
    Base64,
    Citation,
    Extras,
    MediaPart,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    TokenLogprob,
)

_DELTA = Schema(Delta, tolerant=True)


class _Audio(Struct):
    """Spoken output while it comes."""

    index: int
    id: str | None
    data: list[str]
    meta: dict[str, Any]
    rest: dict[str, Raw]


class ChoiceState:
    """The parts of one choice while they come."""

    def __init__(
        self, index: int, tracker: PartTracker, source: ResponseSource
    ) -> None:
        self.index = index
        self.seen: dict[str, Raw] = {}
        """Strangers by their key, as last told."""
        self.values: object = ((), ())
        """Theirs and the delta's, as they last came."""
        self.spoke = False
        self.has_refusal = False
        self._tracker = tracker
        self._source = source
        self._text = -1
        self._refusal = -1
        self._thought = -1
        self._thought_key: object = None
        self.thought: list[str] = []
        """The raw text of the open thought, in pieces."""
        self._plain = False
        """The open thought began in a plain field."""
        self._count = 0
        """Thoughts so far."""
        self._ours = False
        """An entry of ours has come."""
        self._last_text = -1
        self._last_refusal = -1
        self._last_thought = -1
        self._last_grown = -1
        self._strangers = PartStrangers(tracker)
        self._calls = CallReader(index, tracker, source, self._strangers)
        self._citations: list[tuple[Citation, Raw]] = []
        self._tokens: list[TokenLogprob] = []
        self._raw_tokens: list[Any] = []
        self._audio: _Audio | None = None

    @property
    def has_calls(self) -> bool:
        """A call has opened."""
        return self._calls.any

    @property
    def stop_sequence(self) -> str | None:
        """The stop sequence that the server says was met (vLLM, SGLang)."""
        for name in ("stop_reason", "matched_stop"):
            value = self.seen.get(name)
            if value is not None and bytes(value)[:1] == b'"':
                text: str = decode_any(bytes(value))
                return text or None
        return None

    def read(self, choice: ChunkChoice, *, aggregated: bool) -> str:
        """Take one entry of `choices`; the name of the one plain text it held."""
        delta = choice.delta
        if not delta:
            message = choice.message
            if isinstance(message, UnsetType) or self.spoke:
                return ""
            try:
                delta = _DELTA.decode(message)
            except RemoteProtocolError:
                return ""
        elif aggregated and self.spoke and not isinstance(choice.message, UnsetType):
            return ""
        if self._tracker.ended(self.index):
            self._check_late(delta)
            return ""
        field = self._read_thinking(delta)
        content = delta.content
        if isinstance(content, str):
            if content:
                self._grow_text(content)
                field = "content"
        elif isinstance(content, list):
            self._read_elements(content)
        if delta.refusal:
            self._grow_refusal(delta.refusal)
        if not isinstance(delta.audio, UnsetType):
            self._read_audio(delta.audio)
        for place, call in enumerate(delta.tool_calls or ()):
            self._calls.read(call, place, self._close_others)
        if delta.function_call:
            self._calls.read_legacy(delta.function_call, self._close_others)
        if self._calls.grown >= 0:
            self._last_grown, self._calls.grown = self._calls.grown, -1
        for raw in delta.annotations or ():
            self._read_annotation(raw)
        if not isinstance(choice.logprobs, UnsetType):
            self._read_logprobs(choice.logprobs)
        return field

    def _check_late(self, delta: Delta) -> None:
        late = delta.content or delta.tool_calls or delta.refusal
        if late or any(getattr(delta, name) for name in FIELDS):
            self._tracker.violation("part-after-end")

    # --- text and refusal ----------------------------------------------------------

    def _grow_text(self, text: str) -> None:
        if self._text < 0:
            self._close_thought()
            self._close_refusal()
            index = self._tracker.open(TextPart(""), self.index)
            if index < 0:
                return
            self.spoke = True
            self._text = self._last_text = index
            for citation, _ in self._citations:
                self._tracker.emit(CitationDelta(index, citation))
            self._citations.clear()
        self._last_grown = self._text
        self._tracker.emit(TextDelta(self._text, text))
        if self._tokens:
            self._tracker.emit(LogprobsDelta(self._text, tuple(self._tokens)))
            self._tokens.clear()
            self._raw_tokens.clear()

    def _grow_refusal(self, text: str) -> None:
        if self._refusal < 0:
            self._close_thought()
            self._close_text()
            index = self._tracker.open(RefusalPart(""), self.index)
            if index < 0:
                return
            self.spoke = self.has_refusal = True
            self._refusal = self._last_refusal = index
        self._tracker.emit(RefusalDelta(self._refusal, text))

    def _close_others(self) -> None:
        """Close what does not interleave, before a call opens."""
        self.spoke = True
        self._close_thought()
        self._close_text()
        self._close_refusal()

    def _close_text(self) -> None:
        if self._text >= 0:
            self._tracker.close(self._text)
            self._text = -1

    def _close_refusal(self) -> None:
        if self._refusal >= 0:
            self._tracker.close(self._refusal)
            self._refusal = -1

    def _close_thought(self) -> None:
        if self._thought >= 0:
            self._tracker.close(self._thought)
            self._thought = -1
            self._thought_key = None

    def _read_elements(self, elements: list[Raw]) -> None:
        """Mistral's array of content."""
        for raw in elements:
            try:
                members = decode_object(bytes(raw))
            except RemoteProtocolError:
                self._opaque("", raw)
                continue
            kind = decode_any(bytes(members.pop("type", Raw(b"null"))))
            if kind == "text" and _is_text(members.get("text")):
                text = decode_any(bytes(members.pop("text")))
                if text:
                    self._grow_text(text)
                if members and self._text >= 0:
                    self._strangers.tell(self._text, nested("", members, None) or {})
            elif kind == "thinking" and "thinking" in members:
                texts = thinking_texts(members.pop("thinking"))
                if texts is None:
                    self._opaque("thinking", raw)
                else:
                    self._grow_thinking("".join(texts), members)
            else:
                self._opaque(kind if isinstance(kind, str) else "", raw)

    def _grow_thinking(self, text: str, members: dict[str, Raw]) -> None:
        self._open_thought("content", "content", members)
        self._grow_thought(text)

    def _grow_thought(self, text: str, summary: int | None = None) -> None:
        if text and self._thought >= 0:
            self._last_grown = self._thought
            if summary is None:
                self.thought.append(text)
            self._tracker.emit(ReasoningDelta(self._thought, text, summary))

    def _opaque(self, kind: str, raw: Raw) -> None:
        self._close_thought()
        self._close_refusal()
        self._close_text()
        part = OpaquePart(dialect=NAME, kind=kind, raw=raw.copy())
        index = self._tracker.open(part, self.index)
        self.spoke = True
        self._tracker.close(index, final=part)

    # --- thinking ------------------------------------------------------------------

    def _read_thinking(self, delta: Delta) -> str:
        """The thinking of a delta; the name of its plain field, were it alone."""
        field = text = ""
        for name in FIELDS:
            value = getattr(delta, name)
            if value and isinstance(value, str):
                field, text = name, value
                break
        details = delta.reasoning_details
        if not details or isinstance(details, UnsetType):
            if text:
                self._grow_plain(text, field)
            return field
        entries = [read_entry(raw, place) for place, raw in enumerate(details)]
        said = any(e is not None and (e.text or e.summary) for e in entries)
        if text and not said:
            self._grow_plain(text, field)
        for entry, raw in zip(entries, details, strict=True):
            if entry is None:
                self._opaque_detail(raw)
            else:
                self._read_entry(entry, field if said else "")
        return ""

    def _grow_plain(self, text: str, field: str) -> None:
        if self._ours:
            # Where ours say several thoughts in one field, a blank line parts them.
            fresh = self._thought < 0 or self._thought_key != ("plain", field)
            text = text.removeprefix("\n\n") if fresh else text
        self._open_thought(("plain", field), field, {})
        self._grow_thought(text)

    def _open_thought(self, key: object, field: str, members: dict[str, Raw]) -> None:
        """Make the thought of `key` the one that grows."""
        if self._thought >= 0 and self._thought_key == key:
            if members:
                self._strangers.tell(self._thought, nested("", members, None) or {})
            return
        extras = with_note(nested("", copied(members), None), FIELD, field)
        self._start_thought(key, ReasoningPart(extras=extras))

    def _start_thought(self, key: object, part: ReasoningPart) -> None:
        self._close_thought()
        self._close_text()
        self._close_refusal()
        index = self._tracker.open(part, self.index)
        if index < 0:
            return
        self.spoke = True
        self._thought = self._last_thought = index
        self._thought_key = key
        self._plain = isinstance(key, tuple) and key[0] == "plain"
        self._count += 1
        self.thought = []
        self._strangers.start(index, part.extras)

    def _opaque_detail(self, raw: Raw) -> None:
        note: Extras = {FIELD: Raw(b'"reasoning_details"')}
        self._close_thought()
        part = OpaquePart(dialect=NAME, kind="", raw=raw.copy(), extras=note)
        index = self._tracker.open(part, self.index)
        self.spoke = True
        self._tracker.close(index, final=part)

    def _read_entry(self, entry: Entry, field: str) -> None:
        opened = entry.opened
        tracker = self._tracker
        if opened is not None and opened.placement != "here":
            part = carrier(asked(opened.signature, self._source), opened.placement)
            self._start_thought(object(), part)
            self._close_thought()
            return
        key = ("entry", entry.key)
        entry = self._unrepeated(entry, key)
        self._ours = self._ours or entry.ours
        if self._thought >= 0 and self._thought_key == key:
            self._grow_entry(entry, field)
        else:
            part = starting_part(entry)
            extras: Extras = {n: v.copy() for n, v in (part.extras or {}).items()}
            if field and (entry.text or entry.summary):
                extras = with_note(extras, FIELD, field)
            part = ReasoningPart(
                id=part.id, redacted=part.redacted, extras=extras or None
            )
            self._start_thought(key, part)
        index = self._thought
        if index < 0:
            return
        self._grow_thought(entry.text or "")
        self._grow_thought(entry.summary or "", 0)
        if opened is not None:
            tracker.emit(SignatureDelta(index, asked(opened.signature, self._source)))

    def _unrepeated(self, entry: Entry, key: object) -> Entry:
        """A signed entry that belongs to the open thought, without what was said.

        Some servers say the whole thought again beside its signature. Where the text
        came in a plain field ours say the signature, under the number of the thought.
        """
        if self._thought < 0 or not (self._plain or self._thought_key == key):
            return entry
        if entry.opened is None or entry.opened.redacted or entry.encrypted:
            return entry
        said, text = "".join(self.thought), entry.text or ""
        if entry.ours:
            alone = said.removeprefix("\n\n")
            if not said or not self._plain or not said.endswith(text):
                return entry
            if entry.key == self._count - 1 and text in ("", said, alone):
                self._thought_key = key
            return replace(entry, text=None)
        if not said or not text.startswith(said):
            return entry
        self._thought_key = key
        self._tracker.violation("repeated-thinking")
        self._grow_thought(text[len(said) :])
        return replace(entry, text=None)

    def _grow_entry(self, entry: Entry, field: str) -> None:
        """What a later entry of the open thought says beside its text."""
        part = self._tracker.part(self._thought)
        seen = self._strangers.seen(self._thought)
        note = data_note(entry, ReasoningPart(extras=seen))
        if note is not None:
            self._strangers.tell(self._thought, note)
            return
        members = dict(entry.extras)
        if entry.id is not None and part.id != entry.id:
            members["id"] = Raw(encode(entry.id))
        if members:
            self._strangers.tell(self._thought, nested("", members, None) or {})
        if field and (entry.text or entry.summary):
            self._strangers.tell(self._thought, {FIELD: Raw(encode(field))})

    # --- audio, annotations, log probabilities -------------------------------------

    def _read_audio(self, raw: Raw) -> None:
        if bytes(raw) == b"null":
            return
        try:
            members = decode_object(bytes(raw))
        except RemoteProtocolError:
            return
        audio = self._audio
        if audio is None:
            given = members.get("id")
            native = decode_any(bytes(given)) if _is_text(given) else None
            part = MediaPart(kind="audio", source=Base64(""), id=native)
            self._close_thought()
            self._close_text()
            self._close_refusal()
            index = self._tracker.open(part, self.index)
            self.spoke = True
            audio = self._audio = _Audio(index, native, [], {}, {})
        members.pop("id", None)
        if _is_text(members.get("data")):
            data = decode_any(bytes(members.pop("data")))
            if data:
                audio.data.append(data)
                self._tracker.emit(MediaDelta(audio.index, data))
        if _is_text(members.get("transcript")):
            words = decode_any(bytes(members["transcript"]))
            spoken = audio.meta.get("transcript", "") + words
            audio.meta["transcript"] = spoken
            if words:
                kind = "audio.transcript"
                text = Raw(encode(words))
                self._tracker.emit(OpaqueEvent(NAME, kind, text, audio.index))
        members.pop("transcript", None)
        if "expires_at" in members:
            audio.meta["expires_at"] = members.pop("expires_at").copy()
        audio.rest.update(copied(members))

    def _close_audio(self) -> None:
        audio = self._audio
        if audio is None:
            return
        self._audio = None
        meta = {name: Raw(encode(value)) for name, value in audio.meta.items()}
        final = MediaPart(
            kind="audio",
            source=Base64("".join(audio.data)),
            id=audio.id,
            meta=meta or None,
            extras=nested("audio", audio.rest, None),
        )
        self._tracker.close(audio.index, final=final)

    def _read_annotation(self, raw: Raw) -> None:
        citation = read_citation(raw.copy())
        if citation is None:
            return
        if self._last_text >= 0:
            self._tracker.emit(CitationDelta(self._last_text, citation))
        else:
            self._citations.append((citation, raw.copy()))

    def _read_logprobs(self, raw: Raw) -> None:
        if bytes(raw) == b"null":
            return
        try:
            lists, others = read_lists(raw)
        except RemoteProtocolError:
            others = {}
            lists = None
        if lists is not None:
            for name in LISTS:
                entries = getattr(lists, name)
                if entries:
                    self._place_tokens(name, read_tokens(entries))
        if others:
            extras = nested("logprobs", others, None) or {}
            fresh = {n: v.copy() for n, v in extras.items() if self.seen.get(n) != v}
            if fresh:
                self.seen.update(fresh)
                self._tracker.emit(Extra(fresh, choice=self.index))

    def _place_tokens(self, name: str, tokens: tuple[TokenLogprob, ...]) -> None:
        if name == "refusal":
            place = self._last_refusal
        elif name == "content":
            place = self._last_grown if self._last_grown >= 0 else self._last_text
        else:
            place = self._last_thought
        if place >= 0:
            self._tracker.emit(LogprobsDelta(place, tokens))
        elif name == "content":
            self._tokens += tokens

    # --- the end -------------------------------------------------------------------

    def settle(self) -> None:
        """Say what still waits, before the end of the choice."""
        self._calls.settle(self._close_others)
        if self._citations:
            raws = [raw for _, raw in self._citations]
            self._citations.clear()
            extras = {"message/annotations": Raw(encode(raws))}
            self._tracker.emit(Extra(extras, choice=self.index))
        self._close_audio()


def _is_text(value: Raw | None) -> TypeGuard[Raw]:
    return value is not None and bytes(value)[:1] == b'"'
