"""The neutral conversation: messages, their parts, and what a model answers.

Nothing but data: frozen records that every dialect is read into and written from. No
wire name, no codec and no rule of a vendor lives here. Fields that a dialect carries
and this module does not name are kept as raw JSON in `extras`, and go back only to the
dialect they came from (`Request.dialect`, `Response.dialect` say which that is).

Keys of `extras` name a member beside the node's own; where the wire nests deeper than
the node does the key is a path, `message/annotations` (`~0` and `~1` as in RFC 6901;
`~2` is an `@` at the front of a name, for keys with `@` are our own notes).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Raw, Struct

__all__ = (
    "APIError",
    "Base64",
    "CacheMark",
    "Choice",
    "Citation",
    "ErrorKind",
    "Extras",
    "FileId",
    "MediaKind",
    "MediaPart",
    "Message",
    "OpaquePart",
    "Part",
    "PlainText",
    "ReasoningPart",
    "RefusalPart",
    "Response",
    "Role",
    "ServerToolCallPart",
    "ServerToolResultPart",
    "Signature",
    "Source",
    "StopDetail",
    "StopReason",
    "TextPart",
    "TokenCount",
    "TokenLogprob",
    "ToolCallPart",
    "ToolResultPart",
    "Url",
    "Usage",
)

Extras: TypeAlias = dict[str, Raw]
"""Members that are not modelled, by name, as the JSON text they came in."""

Role: TypeAlias = Literal["system", "developer", "user", "assistant"]
MediaKind: TypeAlias = Literal["image", "audio", "video", "document"]

StopReason: TypeAlias = Literal[
    "end",
    "stop_sequence",
    "max_tokens",
    "context_full",
    "tool_use",
    "refusal",
    "content_filter",
    "recitation",
    "pause",
    "compaction",
    "malformed_tool_call",
    "steered",
    "cancelled",
    "error",
    "other",
]
"""Why a message ended: the union of what the dialects can say."""

ErrorKind: TypeAlias = Literal[
    "invalid_request",
    "context_length",
    "content_policy",
    "auth",
    "billing",
    "permission",
    "not_found",
    "conflict",
    "too_large",
    "rate_limit",
    "quota",
    "timeout",
    "overloaded",
    "internal",
    "unimplemented",
    "bad_upstream",
    "truncated",
]
"""What sort of failure; `truncated` and `bad_upstream` are our own findings."""


class Base64(Struct, frozen=True, gc=False, tag="base64"):
    """Bytes inline, standard base64 with padding."""

    data: str


class Url(Struct, frozen=True, gc=False, tag="url"):
    """A place that somebody else must fetch from."""

    url: str


class FileId(Struct, frozen=True, gc=False, tag="file"):
    """A file stored at the server of the dialect it came from."""

    id: str


class PlainText(Struct, frozen=True, gc=False, tag="text"):
    """A text document given as text."""

    text: str


Source: TypeAlias = Base64 | Url | FileId | PlainText
"""Where the bytes of a medium are."""


class Signature(Struct, frozen=True, kw_only=True, gc=False):
    """The opaque proof or encrypted state that must go back to where it was made."""

    origin: str
    """Dialect that made it."""
    value: str
    """As the origin wrote it."""
    model: str | None = None
    """Model that made it, where known."""
    tag: str | None = None
    """Opaque mark of the backend that made it, where known."""


class CacheMark(Struct, frozen=True, gc=False):
    """A prompt-cache breakpoint after the node that carries it."""

    ttl: str | None = None
    """Time to live in the source's own words: `5m`, `1h`, `30m`, `12h`."""
    extras: Extras | None = None


class Citation(Struct, frozen=True, kw_only=True, gc=False):
    """Where a piece of text comes from.

    `start` and `end` count characters of the part's text. `raw` is the source's own
    annotation: only its dialect gets it back.
    """

    kind: Literal["url", "file", "document", "other"]
    url: str | None = None
    title: str | None = None
    text: str | None = None
    """The words cited, where the source repeats them."""
    start: int | None = None
    end: int | None = None
    file_id: str | None = None
    raw: Raw | None = None


class TokenLogprob(Struct, frozen=True, gc=False):
    """One generated token with its log probability."""

    token: str
    logprob: float | None
    bytes: tuple[int, ...] | None = None
    top: tuple[TokenLogprob, ...] = ()
    """Alternatives at this position; theirs is empty."""
    extras: Extras | None = None


class _Part(Struct, frozen=True, kw_only=True, gc=False):
    """What every part may carry beside its content."""

    id: str | None = None
    """Native id of the item or block."""
    group: int | None = None
    """Parts of one native item share it; None: the part stands alone."""
    signature: Signature | None = None
    cache: CacheMark | None = None
    incomplete: bool = False
    """The source broke off inside this part; a call that is must never be run."""
    extras: Extras | None = None


class TextPart(_Part, frozen=True, gc=False):
    """Words that are meant to be read."""

    text: str
    citations: tuple[Citation, ...] = ()
    phase: str | None = None
    """Responses: `commentary` or `final_answer`."""
    logprobs: tuple[TokenLogprob, ...] = ()


class MediaPart(_Part, frozen=True, kw_only=True, gc=False):
    """An image, a sound, a film or a document."""

    kind: MediaKind
    mime: str | None = None
    source: Source
    name: str | None = None
    detail: str | None = None
    meta: Extras | None = None
    """Neutral facts beside the bytes: `transcript`, `expires_at`, `context` …"""


class RefusalPart(_Part, frozen=True, gc=False):
    """Words in which the model declines."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class ReasoningPart(_Part, frozen=True, kw_only=True, gc=False):
    """Thinking: summaries, raw text, or nothing but a signature.

    Targets without segments join them by a blank line (`reasoning_text`).
    """

    summary: tuple[str, ...] = ()
    text: str | None = None
    redacted: bool = False
    """The text is withheld; `signature` holds it encrypted."""
    logprobs: tuple[TokenLogprob, ...] = ()


class ToolCallPart(_Part, frozen=True, kw_only=True, gc=False):
    """A call that the client is asked to run."""

    call_id: str
    name: str
    arguments: str = ""
    """JSON text as it came, maybe invalid, never re-serialised (custom: free text)."""
    kind: Literal["function", "custom"] = "function"
    logprobs: tuple[TokenLogprob, ...] = ()


class ToolResultPart(_Part, frozen=True, kw_only=True, gc=False):
    """What running a call gave."""

    call_id: str
    name: str | None = None
    parts: tuple[Part, ...] = ()
    error: bool = False
    kind: Literal["function", "custom"] = "function"


class ServerToolCallPart(_Part, frozen=True, kw_only=True, gc=False):
    """A call that the server itself runs; the client only watches."""

    name: str
    call_id: str | None = None
    payload: Raw = Raw(b"{}")
    """Arguments, or the whole native item where it does not separate them."""
    status: str | None = None


class ServerToolResultPart(_Part, frozen=True, kw_only=True, gc=False):
    """What a server's own tool gave."""

    name: str
    call_id: str | None = None
    payload: Raw = Raw(b"{}")
    status: str | None = None


class OpaquePart(_Part, frozen=True, kw_only=True, gc=False):
    """Something of one dialect that has no neutral form, kept whole."""

    dialect: str
    kind: str
    """The dialect's own type word, "" if it has none."""
    raw: Raw


Part: TypeAlias = (
    TextPart
    | MediaPart
    | RefusalPart
    | ReasoningPart
    | ToolCallPart
    | ToolResultPart
    | ServerToolCallPart
    | ServerToolResultPart
    | OpaquePart
)
"""An ordered piece of a message."""


class Message(Struct, frozen=True, kw_only=True, gc=False):
    """One turn."""

    role: Role
    parts: tuple[Part, ...] = ()
    top: bool = False
    """It came from the dialect's top-level field for instructions."""
    id: str | None = None
    extras: Extras | None = None


class StopDetail(Struct, frozen=True, gc=False):
    """Why a safety system or the model stopped, where the source says more."""

    category: str | None = None
    explanation: str | None = None
    raw: Raw | None = None


class Usage(Struct, frozen=True, kw_only=True, gc=False):
    """Token counts; None means not said, never 0.

    The input buckets `fresh`, `cache_read`, `cache_write`, `cache_write_long` and
    `tool_prompt` are disjoint and sum to the whole input. `output` is everything
    generated; `reasoning` is the share of it that is thinking. The audio and image
    counts, `accepted` and `rejected` are shares too.
    """

    fresh: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_long: int | None = None
    tool_prompt: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_in: int | None = None
    audio_out: int | None = None
    image_in: int | None = None
    image_out: int | None = None
    accepted: int | None = None
    """Predicted tokens that were used."""
    rejected: int | None = None
    estimated: bool = False
    """We counted, the server did not say."""
    extras: Extras | None = None

    @property
    def input(self) -> int:
        """Every input token, 0 where nothing was said."""
        return (
            (self.fresh or 0)
            + (self.cache_read or 0)
            + (self.cache_write or 0)
            + (self.cache_write_long or 0)
            + (self.tool_prompt or 0)
        )


class Choice(Struct, frozen=True, kw_only=True, gc=False):
    """One of the answers to a request."""

    index: int = 0
    parts: tuple[Part, ...] = ()
    stop: StopReason = "other"
    raw: str | None = None
    """The source's own stop word; only its dialect gets it back."""
    stop_sequence: str | None = None
    detail: StopDetail | None = None
    extras: Extras | None = None


class Response(Struct, frozen=True, kw_only=True, gc=False):
    """A complete answer."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    """Seconds since the epoch."""
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    service_tier: str | None = None
    dialect: str | None = None
    """Dialect it was read from: whose `extras` and raw words these are."""
    extras: Extras | None = None


class TokenCount(Struct, frozen=True, kw_only=True, gc=False):
    """The answer to a request to count tokens."""

    input: int
    cached: int | None = None
    estimated: bool = False
    dialect: str | None = None
    extras: Extras | None = None


class APIError(Struct, frozen=True, kw_only=True, gc=False):
    """What a server said went wrong: a value, not an exception."""

    kind: ErrorKind
    message: str
    status: int | None = None
    """HTTP status it came with, or the one it stands for."""
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    """Seconds to wait before the next try."""
    dialect: str | None = None
    raw: Raw | None = None
    """The native envelope; only `dialect` gets it back."""
