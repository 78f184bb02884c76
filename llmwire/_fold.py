"""Events to a `Response` and back: a complete answer is the fold of its events.

`fold(unfold(r)) == r` for every response whose choices stand in the order of their
indices. Knows events and the neutral conversation, no dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import replace

from llmwire._json import decode_raw, is_json
from llmwire.errors import LocalProtocolError, RemoteProtocolError
from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Extra,
    LogprobsDelta,
    MediaDelta,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    ReasoningDelta,
    RefusalDelta,
    ServiceTier,
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.limits import near
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
    Response,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    Usage,
)


class _Growing:
    """One part while its deltas come."""

    __slots__ = (
        "citations",
        "extras",
        "final",
        "incomplete",
        "logprobs",
        "more",
        "part",
        "pieces",
        "signature",
        "summaries",
    )

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pieces: list[str] = []
        self.summaries: dict[int, list[str]] = {}
        self.citations: list[Citation] = []
        self.logprobs: list[TokenLogprob] = []
        self.signature: Signature | None = part.signature
        self.extras: Extras | None = part.extras
        self.more: Extras | None = None
        """Extras that came since."""
        self.incomplete = part.incomplete
        self.final: Part | None = None

    def grown(self) -> Part:
        part = self.final or self._with_content(self.part)
        common = {}
        if self.signature is not None:
            common["signature"] = self.signature
        extras = self.extras
        if self.more is not None:
            extras = {**(extras or {}), **self.more}
        if extras != part.extras:
            common["extras"] = extras  # type: ignore[assignment]  # fields differ in type
        if self.incomplete != part.incomplete:
            common["incomplete"] = self.incomplete  # type: ignore[assignment]  # fields differ in type
        return replace(part, **common) if common else part

    def _with_content(self, part: Part) -> Part:
        text = "".join(self.pieces)
        logprobs = (*getattr(part, "logprobs", ()), *self.logprobs)
        if isinstance(part, TextPart):
            citations = (*part.citations, *self.citations)
            text = part.text + text
            return replace(part, text=text, citations=citations, logprobs=logprobs)
        if isinstance(part, RefusalPart):
            return replace(part, text=part.text + text, logprobs=logprobs)
        if isinstance(part, ToolCallPart):
            arguments = part.arguments + text
            return replace(part, arguments=arguments, logprobs=logprobs)
        if isinstance(part, ReasoningPart):
            return self._with_reasoning(part, text, logprobs)
        if isinstance(part, MediaPart) and isinstance(part.source, Base64):
            return replace(part, source=Base64(part.source.data + text))
        if isinstance(part, ServerToolCallPart) and is_json(text):
            return replace(part, payload=decode_raw(text))
        return part

    def _with_reasoning(
        self, part: ReasoningPart, text: str, logprobs: tuple[TokenLogprob, ...]
    ) -> ReasoningPart:
        count = max(self.summaries, default=-1) + 1
        summary = tuple("".join(self.summaries.get(i, ())) for i in range(count))
        raw = (part.text or "") + text if self.pieces or part.text is not None else None
        return replace(
            part, summary=part.summary + summary, text=raw, logprobs=logprobs
        )


class Folder:
    """Collects events into a `Response`, one at a time."""

    def __init__(self) -> None:
        self._start: MessageStart | None = None
        self._parts: list[_Growing] = []
        self._parts_of: dict[int, list[_Growing]] = {}
        """Choice -> its parts."""
        self._ends: dict[int, MessageEnd] = {}
        self._choice_extras: dict[int, Extras] = {}
        self._extras: Extras | None = None
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._done = False

    def add(self, event: Event) -> None:
        """Take one event of a grammatical sentence.

        Raises:
            RemoteProtocolError: The stream failed; carries the error's status.
        """
        take = _TAKE.get(type(event))
        if take is not None:
            take(self, event)

    def response(self) -> Response:
        """The answer.

        Raises:
            LocalProtocolError: The sentence has not come to its end.
        """
        if not self._done or self._start is None:
            raise LocalProtocolError("the events have no StreamEnd")
        start = self._start
        return Response(
            id=start.id,
            model=start.model,
            created=start.created,
            choices=tuple(self._choice(index) for index in sorted(self._ends)),
            usage=self._usage,
            service_tier=self._tier,
            dialect=start.dialect,
            extras=self._extras,
        )

    def _choice(self, index: int) -> Choice:
        end = self._ends[index]
        return Choice(
            index=index,
            parts=tuple(part.grown() for part in self._parts_of.get(index, ())),
            stop=end.stop,
            raw=end.raw,
            stop_sequence=end.stop_sequence,
            detail=end.detail,
            extras=self._choice_extras.get(index),
        )

    def _on_start(self, event: MessageStart) -> None:
        self._start = event
        self._usage = event.usage

    def _on_part(self, event: PartStart) -> None:
        part = _Growing(event.part)
        self._parts.append(part)
        self._parts_of.setdefault(event.choice, []).append(part)

    def _on_text(self, event: TextDelta | RefusalDelta | ArgumentsDelta) -> None:
        self._parts[event.index].pieces.append(event.text)

    def _on_reasoning(self, event: ReasoningDelta) -> None:
        part = self._parts[event.index]
        if event.summary is None:
            part.pieces.append(event.text)
        else:
            at = near(event.summary, part.summaries)
            part.summaries.setdefault(at, []).append(event.text)

    def _on_media(self, event: MediaDelta) -> None:
        self._parts[event.index].pieces.append(event.data)

    def _on_signature(self, event: SignatureDelta) -> None:
        self._parts[event.index].signature = event.signature

    def _on_citation(self, event: CitationDelta) -> None:
        self._parts[event.index].citations.append(event.citation)

    def _on_logprobs(self, event: LogprobsDelta) -> None:
        self._parts[event.index].logprobs.extend(event.tokens)

    def _on_part_end(self, event: PartEnd) -> None:
        part = self._parts[event.index]
        part.incomplete = event.status == "incomplete"
        if event.final is not None:
            part.final = event.final
            part.extras, part.more = event.final.extras, None
            part.signature = event.final.signature or part.signature

    def _on_usage(self, event: UsageUpdate) -> None:
        self._usage = event.usage

    def _on_tier(self, event: ServiceTier) -> None:
        self._tier = event.tier

    def _on_extra(self, event: Extra) -> None:
        if event.index is not None:
            part = self._parts[event.index]
            part.more = part.more if part.more is not None else {}
            part.more.update(event.extras)
        elif event.choice is not None:
            self._choice_extras.setdefault(event.choice, {}).update(event.extras)
        else:
            self._extras = self._extras if self._extras is not None else {}
            self._extras.update(event.extras)

    def _on_message_end(self, event: MessageEnd) -> None:
        self._ends[event.choice] = event

    def _on_error(self, event: StreamError) -> None:
        error = event.error
        raise RemoteProtocolError(error.message, status=error.status or 502)

    def _on_end(self, event: StreamEnd) -> None:
        self._done = True


_TAKE: Final[dict[type, Callable[[Folder, Any], None]]] = {
    MessageStart: Folder._on_start,
    PartStart: Folder._on_part,
    PartEnd: Folder._on_part_end,
    TextDelta: Folder._on_text,
    RefusalDelta: Folder._on_text,
    ArgumentsDelta: Folder._on_text,
    ReasoningDelta: Folder._on_reasoning,
    MediaDelta: Folder._on_media,
    SignatureDelta: Folder._on_signature,
    CitationDelta: Folder._on_citation,
    LogprobsDelta: Folder._on_logprobs,
    UsageUpdate: Folder._on_usage,
    ServiceTier: Folder._on_tier,
    Extra: Folder._on_extra,
    MessageEnd: Folder._on_message_end,
    StreamError: Folder._on_error,
    StreamEnd: Folder._on_end,
}


def fold(events: Iterable[Event]) -> Response:
    """The answer that a complete sentence of events gives.

    Raises:
        RemoteProtocolError: The sentence ends in a `StreamError`.
        LocalProtocolError: It has no end, or tells of a part that it has not opened.
    """
    folder = Folder()
    try:
        for event in events:
            folder.add(event)
    except IndexError:
        raise LocalProtocolError("an event tells of a part that is not open") from None
    return folder.response()


def unfold(response: Response) -> list[Event]:
    """A sentence of events that folds to `response`. Never raises.

    It is grammatical if the response is an answer: at least one choice, no index twice,
    and no tool result among the parts.
    """
    events: list[Event] = [
        MessageStart(
            response.id, response.model, response.created, None, response.dialect
        )
    ]
    if response.service_tier is not None:
        events.append(ServiceTier(response.service_tier))
    if response.extras is not None:
        events.append(Extra(response.extras))
    index = 0
    for choice in response.choices:
        if choice.extras is not None:
            events.append(Extra(choice.extras, choice=choice.index))
        for part in choice.parts:
            events += _unfold_part(index, part, choice.index)
            index += 1
        events.append(
            MessageEnd(
                choice.stop,
                choice.raw,
                choice.stop_sequence,
                choice.detail,
                choice.index,
            )
        )
    if response.usage is not None:
        events.append(UsageUpdate(response.usage))
    events.append(StreamEnd())
    return events


def _unfold_part(index: int, part: Part, choice: int) -> list[Event]:
    empty, deltas, final = _opened(index, part)
    status = "incomplete" if part.incomplete else "complete"
    if empty.incomplete:
        empty = replace(empty, incomplete=False)
    return [
        PartStart(index, empty, choice),
        *deltas,
        PartEnd(index, status, final),  # type: ignore[arg-type]  # a Literal by construction
    ]


def _opened(index: int, part: Part) -> tuple[Part, list[Event], Part | None]:
    """The part as it starts, the deltas that fill it, and its final form if any."""
    if isinstance(part, (ServerToolCallPart, ServerToolResultPart, OpaquePart)):
        return part, [], part
    if isinstance(part, MediaPart):
        return _opened_media(index, part)
    deltas = _content_deltas(index, part)
    if part.signature is not None:
        deltas.append(SignatureDelta(index, part.signature))
    return _emptied(part), deltas, None


def _emptied(part: Part) -> Part:
    if isinstance(part, TextPart):
        return replace(part, text="", citations=(), logprobs=(), signature=None)
    if isinstance(part, RefusalPart):
        return replace(part, text="", logprobs=(), signature=None)
    if isinstance(part, ReasoningPart):
        text = None if part.text is None else ""
        return replace(part, summary=(), text=text, logprobs=(), signature=None)
    if isinstance(part, ToolCallPart):
        return replace(part, arguments="", logprobs=())
    return part


def _content_deltas(index: int, part: Part) -> list[Event]:
    deltas: list[Event] = []
    if isinstance(part, TextPart):
        if part.text:
            deltas.append(TextDelta(index, part.text))
        deltas += [CitationDelta(index, c) for c in part.citations]
    elif isinstance(part, RefusalPart):
        if part.text:
            deltas.append(RefusalDelta(index, part.text))
    elif isinstance(part, ReasoningPart):
        deltas += [ReasoningDelta(index, s, at) for at, s in enumerate(part.summary)]
        if part.text:
            deltas.append(ReasoningDelta(index, part.text))
    elif isinstance(part, ToolCallPart) and part.arguments:
        deltas.append(ArgumentsDelta(index, part.arguments))
    logprobs: tuple[TokenLogprob, ...] = getattr(part, "logprobs", ())
    if logprobs:
        deltas.append(LogprobsDelta(index, logprobs))
    return deltas


def _opened_media(index: int, part: MediaPart) -> tuple[Part, list[Event], Part | None]:
    if not isinstance(part.source, Base64):
        return part, [], part
    deltas: list[Event] = []
    if part.source.data:
        deltas.append(MediaDelta(index, part.source.data))
    return replace(part, source=Base64("")), deltas, part
