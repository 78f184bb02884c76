"""Chat Completions streams to events.

Rules, beyond those of the protocol (https://platform.openai.com/docs/api-reference/
chat-streaming), each a habit of some server:

1. The message begins with the first frame that has an id or a choice; strangers of
   frames before it join its own. Another id later is counted once (`changed-id`).
2. `error` is looked at before `choices`; a line that is JSON without `data:` is read.
3. A choice is known by its `index`, 0 where it has none. Several of one index in one
   frame (Copilot) are one: their ends wait for the last of them.
4. Text, reasoning and refusal close when content of another kind comes; calls stay
   open until their choice ends, for they may interleave.
5. A call is known by its `index`, else by its place in the array. Another id there is
   another call (`reused-index`), and so is another name, or a second whole call where
   nothing tells them apart. Repeated names, ids and whole arguments say nothing new.
6. Glued arguments (`{"q":"A"}{"q":"B"}`) stay as they came: the call is incomplete.
7. Thinking stands in `reasoning_details`, in plain fields, in arrays of `content`: each
   piece is read once, also where a thought is said again beside its signature
   (`repeated-thinking`).
8. A whole message at the end (`chat.completion`) is not read again.
9. `[DONE]`, or the end of the input after the end of every choice, ends the stream.

Theory of operation: frames are decoded into learned structs. What a frame says goes to
the tracker, choice by choice; `_ChoiceState` knows the parts that may still grow. Most
frames of a stream differ from the one before in a single text: a `Template` holds the
bytes around it, and a frame that has the same bytes around another text needs no
decoding. Whatever is decoded forgets the template, for it may change what is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Raw, UnsetType

from llmwire._json import (
    LearnedSchema,
    decode_any,
    decode_object,
    escaped,
    nested,
    stranger_values,
    strangers,
)
from llmwire._parts import PartTracker
from llmwire.dialects import ResponseSource
from llmwire.dialects.openai_chat._errors import error_of, find_error, is_error
from llmwire.dialects.openai_chat._stop import read_stop
from llmwire.dialects.openai_chat._stream_choice import ChoiceState
from llmwire.dialects.openai_chat._stream_template import Counts, Template, learned
from llmwire.dialects.openai_chat._wire import Chunk, ChunkChoice, Delta
from llmwire.dialects.openai_chat._writing import NAME
from llmwire.errors import RemoteProtocolError
from llmwire.events import (
    Event,
    Extra,
    Ping,
    ServiceTier,
    UsageUpdate,
)
from llmwire.messages import APIError, Extras
from llmwire.sse import Frame

_ROOT: Final = frozenset(Chunk.__struct_encode_fields__) - {"error"}
_DELTA: Final = frozenset(Delta.__struct_encode_fields__)
_CHOICE: Final = frozenset(ChunkChoice.__struct_encode_fields__)
_USUAL: Final = ((Chunk, ("system_fingerprint",)),)
"""Strangers that most streams have."""
_TRIES: Final = 8
_PAUSE: Final = 32
"""After so many frames without a known shape one is learned only now and then."""


class ChatReader:
    """Turns frames into events; never raises for what the peer sent."""

    def __init__(self, source: ResponseSource) -> None:
        self._source = source
        self._tracker = PartTracker(NAME, source.limits, source.seed)
        self._schema = LearnedSchema(Chunk, _USUAL)
        self._choices: dict[int, ChoiceState] = {}
        self._root: dict[str, Raw] = {}
        self._root_values: object = ()
        self._waiting: Extras = {}
        self._id: str | None = None
        self._tier: str | None = None
        self._counts = Counts(source.profile.reasoning_outside_output)
        self._usage: UsageUpdate | None = None
        """Waits for the message to begin."""
        self._template: Template | None = None
        self._misses = 0
        """Frames since one was of a known shape."""
        self._field = ""
        """Member of the one plain text of the last choice."""
        self._spoken: list[str] = []
        """Where the pieces of its thought go."""

    @property
    def violations(self) -> Mapping[str, int]:
        """Repairs so far, by rule."""
        return self._tracker.violations

    @property
    def done(self) -> bool:
        """The terminal event was given."""
        return self._tracker.done

    # --- frames --------------------------------------------------------------------

    def receive(self, frame: Frame) -> list[Event]:
        """Events of one frame."""
        data = frame.data
        if self._template is not None and data is not None:
            known = self._template.read(data)
            if known is not None:
                self._misses = 0
                return known
        self._template = None
        self._misses += 1
        self._receive(frame)
        events = self._tracker.drain()
        patient = self._misses < _TRIES or self._misses % _PAUSE == 0
        if patient and 1 <= len(events) <= 2 and data is not None:
            self._template = learned(
                data, events, self._field, self._spoken, self._counts
            )
        return events

    def _receive(self, frame: Frame) -> None:
        data = frame.data
        if data is None:
            self._receive_undressed(frame)
            return
        data = data.strip()
        if not data:
            return
        if data.startswith(b"[DONE]"):
            self._finish()
        elif self.done:
            self._late()
        else:
            self._receive_json(data, frame.complete)

    def _receive_undressed(self, frame: Frame) -> None:
        """A frame without data: comments, and JSON that lacks its field name."""
        for line in frame.stray:
            text = line.strip().removeprefix(b"error:").strip()
            if text[:1] in (b"{", b"["):
                if self.done:
                    self._late()
                else:
                    self._receive_json(text, frame.complete)
                return
        if b":" in frame.raw and not self.done and not frame.stray:
            self._tracker.emit(Ping())

    def _late(self) -> None:
        if "after-end" not in self._tracker.violations:
            self._tracker.violation("after-end")

    def _receive_json(self, data: bytes, complete: bool) -> None:
        try:
            chunk = self._schema.decode(data)
            if b"\n" in data:
                # Several `data` lines: raw values go on one line from here on.
                chunk = self._schema.decode(data.replace(b"\n", b" "))
        except RemoteProtocolError as problem:
            if not complete:
                return
            error = find_error(data)
            if error is not None:
                self._fail(error)
            else:
                self._tracker.fail_upstream(str(problem))
            return
        if not isinstance(chunk.error, UnsetType) and self._has_error(chunk, data):
            return
        if not chunk.choices and is_error_like(chunk) and self._is_error(data):
            return
        try:
            self._read_chunk(chunk)
        except RemoteProtocolError as problem:
            self._tracker.fail_upstream(str(problem))

    def _has_error(self, chunk: Chunk, data: bytes) -> bool:
        if not decode_any(bytes(chunk.error)):  # type: ignore[arg-type]  # not UNSET here
            return False
        self._fail(error_of(decode_any(data), None, None, data))
        return True

    def _is_error(self, data: bytes) -> bool:
        members = decode_any(data)
        if is_error(members):
            self._fail(error_of(members, None, None, data))
        return self.done

    def _fail(self, error: APIError) -> None:
        self._tracker.fail(error)

    # --- chunks --------------------------------------------------------------------

    def _read_chunk(self, chunk: Chunk) -> None:
        tracker = self._tracker
        choices = chunk.choices
        if not tracker.started:
            if not chunk.id and not choices:
                self._waiting |= self._root_extras(chunk)
                self._read_usage(chunk)
                return
            self._start(chunk)
        elif chunk.id and chunk.id != self._id:
            if self._id is not None and "changed-id" not in tracker.violations:
                tracker.violation("changed-id")
            self._id = self._id or chunk.id
        tier = chunk.service_tier
        if tier and tier != self._tier:
            self._tier = tier
            tracker.emit(ServiceTier(tier))
        extras = self._root_extras(chunk)
        if self._waiting:
            extras, self._waiting = {**self._waiting, **extras}, {}
        if extras:
            tracker.emit(Extra(extras))
        if choices:
            self._read_choices(choices, chunk)
        self._read_usage(chunk)

    def _start(self, chunk: Chunk) -> None:
        created = chunk.created
        known = not isinstance(created, UnsetType) and created is not None
        self._id = chunk.id or None
        self._tracker.start(
            self._id,
            chunk.model or None,
            float(created) if known else None,  # type: ignore[arg-type]  # a number here
        )

    def _root_extras(self, chunk: Chunk) -> Extras:
        """Strangers of the root that are new or have changed."""
        values = stranger_values(chunk)
        if values == self._root_values:
            return {}
        self._root_values = values
        seen = self._root
        fresh: dict[str, Raw] = {}
        for name, value in strangers(chunk).items():
            if name in _ROOT:
                _count(self._tracker, "misfit-member")
                continue
            if seen.get(name) != value:
                seen[name] = fresh[name] = value.copy()
        return nested("", fresh, None) or {}

    def _read_choices(self, choices: list[ChunkChoice], chunk: Chunk) -> None:
        alone = len(choices) == 1
        last: dict[int, int] = {}
        if not alone:
            last = {self._index_of(choice): at for at, choice in enumerate(choices)}
        words: dict[int, str] = {}
        aggregated = chunk.object == "chat.completion"
        for at, choice in enumerate(choices):
            index = self._index_of(choice)
            state = self._choices.get(index)
            if state is None:
                state = ChoiceState(index, self._tracker, self._source)
                self._choices[index] = state
            extras = choice_strangers(choice, state, self._tracker)
            if extras:
                self._tracker.emit(Extra(extras, choice=index))
            self._field = state.read(choice, aggregated=aggregated)
            self._spoken = state.thought
            if choice.finish_reason:
                words[index] = choice.finish_reason
            if index in words and (alone or at == last[index]):
                self._end(state, words[index])

    @staticmethod
    def _index_of(choice: ChunkChoice) -> int:
        index = choice.index
        return 0 if isinstance(index, UnsetType) or index is None else index

    def _end(self, state: ChoiceState, word: str) -> None:
        tracker = self._tracker
        if tracker.ended(state.index):
            tracker.violation("repeated-finish")
            return
        state.settle()
        sequence = state.stop_sequence
        stop = read_stop(
            word,
            calls=state.has_calls,
            refusal=state.has_refusal,
            sequence=sequence is not None,
        )
        if stop == "end" and word in ("tool_calls", "function_call"):
            tracker.violation("calls-missing")
        tracker.end(
            stop,
            word,
            choice=state.index,
            stop_sequence=sequence if stop == "stop_sequence" else None,
        )

    def _read_usage(self, chunk: Chunk) -> None:
        given = chunk.usage
        own = b"" if isinstance(given, UnsetType) else bytes(given)
        self._counts.given = own if own[:1] == b"{" else b""
        raw = self._usage_elsewhere(chunk) if own in (b"", b"null") else given
        if isinstance(raw, Raw):
            self._usage = self._counts.read(raw) or self._usage
        self._tell_usage()

    def _tell_usage(self) -> None:
        """Emit the usage, once the message has begun."""
        if self._usage is not None and self._tracker.started:
            self._tracker.emit(self._usage)
            self._usage = None

    def _usage_elsewhere(self, chunk: Chunk) -> Raw | None:
        """Moonshot's place for usage, and Groq's."""
        for choice in chunk.choices or ():
            raw = choice.usage
            if not isinstance(raw, UnsetType) and bytes(raw)[:1] == b"{":
                return raw
        groq = strangers(chunk).get("x_groq")
        if groq is not None:
            value = decode_any(bytes(groq))
            if isinstance(value, dict) and isinstance(value.get("usage"), dict):
                return decode_object(bytes(groq))["usage"]
        return None

    # --- the end -------------------------------------------------------------------

    def _finish(self) -> None:
        tracker = self._tracker
        if tracker.done:
            return
        self._flush()
        tracker.finish()

    def _flush(self) -> None:
        """Say what still waits, before the end."""
        tracker = self._tracker
        if not tracker.started:
            tracker.start()
            self._tell_usage()
        if self._waiting:
            tracker.emit(Extra(self._waiting))
            self._waiting = {}
        for state in self._choices.values():
            if not tracker.ended(state.index):
                state.settle()

    def receive_eof(self) -> list[Event]:
        """The input ended: what is left, with the terminal event."""
        tracker = self._tracker
        if not tracker.done:
            spoken = [s for s in self._choices.values() if s.spoke]
            ended = [i for i in self._choices if tracker.ended(i)]
            if ended and all(tracker.ended(s.index) for s in spoken):
                self._flush()
                tracker.finish()
            else:
                tracker.fail_truncated()
        return tracker.drain()


def is_error_like(chunk: Chunk) -> bool:
    """Whether a chunk without choices could be an error's envelope."""
    return chunk.object == "error" or bool(
        strangers(chunk).keys() & {"base_resp", "detail"}
    )


def choice_strangers(
    choice: ChunkChoice, state: ChoiceState, tracker: PartTracker
) -> Extras:
    """Strangers of a choice and its delta that are new or have changed."""
    delta = choice.delta
    values = stranger_values(choice), stranger_values(delta) if delta else ()
    if values == state.values:
        return {}
    state.values = values
    seen = state.seen
    fresh: Extras = {}
    for name, value in strangers(choice).items():
        key = escaped(name)
        if name in _CHOICE:
            _count(tracker, "misfit-member")
        elif name in _ROOT:
            _count(tracker, "misplaced-member")
        elif seen.get(key) != value:
            seen[key] = fresh[key] = value.copy()
    for name, value in (strangers(delta) if delta else {}).items():
        key = f"message/{escaped(name)}"
        if name in _DELTA:
            _count(tracker, "misfit-member")
        elif name in _ROOT or name in _CHOICE:
            _count(tracker, "misplaced-member")
        elif seen.get(key) != value:
            seen[key] = fresh[key] = value.copy()
    return fresh


def _count(tracker: PartTracker, rule: str) -> None:
    if rule not in tracker.violations:
        tracker.violation(rule)
