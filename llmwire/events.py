"""The events of a message being generated: the one language between all streams.

Nothing but data. In which order they may come is `llmwire.grammar`'s business; how they
become bytes is the dialects'. The forms are small frozen records without garbage
collector tracking, for there is one per token.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Raw, Struct

from llmwire.messages import (
    APIError,
    Citation,
    Extras,
    Part,
    Signature,
    StopDetail,
    StopReason,
    TokenLogprob,
    Usage,
)

__all__ = (
    "EVENT_TYPES",
    "ArgumentsDelta",
    "CitationDelta",
    "Event",
    "Extra",
    "LogprobsDelta",
    "MediaDelta",
    "MessageEnd",
    "MessageStart",
    "OpaqueEvent",
    "PartEnd",
    "PartStart",
    "Ping",
    "ReasoningDelta",
    "RefusalDelta",
    "ServiceTier",
    "SignatureDelta",
    "StreamEnd",
    "StreamError",
    "TextDelta",
    "UsageUpdate",
)


class MessageStart(Struct, frozen=True, gc=False):
    """The answer begins: first of all but `Ping` and an early `StreamError`."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    usage: Usage | None = None
    dialect: str | None = None
    """Dialect it is read from: whose `extras` and raw words follow."""


class PartStart(Struct, frozen=True, gc=False):
    """Part `index` opens; `part` is its empty form with everything known so far."""

    index: int
    part: Part
    choice: int = 0


class PartEnd(Struct, frozen=True, gc=False):
    """Part `index` is closed.

    `final` is given for media, server-tool and opaque parts only and replaces what the
    deltas built.
    """

    index: int
    status: Literal["complete", "incomplete"] = "complete"
    final: Part | None = None


class TextDelta(Struct, frozen=True, gc=False):
    """Text part `index` grows."""

    index: int
    text: str


class ReasoningDelta(Struct, frozen=True, gc=False):
    """Reasoning part `index` grows: its summary number `summary`, or its raw text."""

    index: int
    text: str
    summary: int | None = None


class RefusalDelta(Struct, frozen=True, gc=False):
    """Refusal part `index` grows."""

    index: int
    text: str


class ArgumentsDelta(Struct, frozen=True, gc=False):
    """The arguments of call `index` grow: text, of JSON or of a custom tool."""

    index: int
    text: str


class MediaDelta(Struct, frozen=True, gc=False):
    """Media part `index` grows: base64 text that joins on 4-character borders."""

    index: int
    data: str


class SignatureDelta(Struct, frozen=True, gc=False):
    """The signature of part `index`: replaces an earlier one."""

    index: int
    signature: Signature


class CitationDelta(Struct, frozen=True, gc=False):
    """One more citation for part `index`."""

    index: int
    citation: Citation


class LogprobsDelta(Struct, frozen=True, gc=False):
    """Log probabilities of the next tokens of part `index`."""

    index: int
    tokens: tuple[TokenLogprob, ...]


class UsageUpdate(Struct, frozen=True, gc=False):
    """Token counts so far: cumulative, each replaces the one before whole."""

    usage: Usage


class ServiceTier(Struct, frozen=True, gc=False):
    """The tier that serves the request; the last one wins."""

    tier: str


class Extra(Struct, frozen=True, gc=False):
    """Members that are not modelled, of the part, the choice or the whole message.

    The last value per key wins; a decoder emits a key again only when it changed.
    """

    extras: Extras
    index: int | None = None
    choice: int | None = None


class OpaqueEvent(Struct, frozen=True, gc=False):
    """An event of one dialect without a neutral form.

    `raw` has no positional members (index, output_index, item_id, sequence_number …):
    an encoder of the same dialect fills in its own.
    """

    dialect: str
    kind: str
    raw: Raw
    index: int | None = None


class Ping(Struct, frozen=True, gc=False):
    """A sign of life."""


class MessageEnd(Struct, frozen=True, gc=False):
    """Choice `choice` is complete."""

    stop: StopReason
    raw: str | None = None
    stop_sequence: str | None = None
    detail: StopDetail | None = None
    choice: int = 0


class StreamError(Struct, frozen=True, gc=False):
    """The stream failed; terminal."""

    error: APIError


class StreamEnd(Struct, frozen=True, gc=False):
    """The stream came to its proper end; terminal."""


Event: TypeAlias = (
    MessageStart
    | PartStart
    | PartEnd
    | TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ArgumentsDelta
    | MediaDelta
    | SignatureDelta
    | CitationDelta
    | LogprobsDelta
    | UsageUpdate
    | ServiceTier
    | Extra
    | OpaqueEvent
    | Ping
    | MessageEnd
    | StreamError
    | StreamEnd
)
"""One step of a message being generated."""

EVENT_TYPES: tuple[type[Event], ...] = (
    MessageStart,
    PartStart,
    PartEnd,
    TextDelta,
    ReasoningDelta,
    RefusalDelta,
    ArgumentsDelta,
    MediaDelta,
    SignatureDelta,
    CitationDelta,
    LogprobsDelta,
    UsageUpdate,
    ServiceTier,
    Extra,
    OpaqueEvent,
    Ping,
    MessageEnd,
    StreamError,
    StreamEnd,
)
"""Every event type, in the order of the definition above."""
