"""What a dialect is: a frozen record of functions and facts, and the register of them.

The four built-in dialects are packages beside this file; each is imported when it is
first asked for. A new dialect is one more record given to `register`, a variant of one
is a dialect with another profile (`variant`): no other file changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, Literal, Protocol, TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

from llmwire.errors import LocalProtocolError, UnknownDialect
from llmwire.events import Event, MessageStart
from llmwire.http import Headers, HTTPReply, HTTPRequest
from llmwire.limits import Limits
from llmwire.losses import LossRecorder
from llmwire.messages import APIError, Extras, Response, StopReason, TokenCount
from llmwire.profiles import Profile
from llmwire.requests import Request
from llmwire.sse import Frame

__all__ = (
    "Dialect",
    "Encoded",
    "FrameSource",
    "ModelInfo",
    "ModelList",
    "Operation",
    "ReplyTarget",
    "RequestTarget",
    "ResponseSource",
    "Route",
    "StreamReader",
    "StreamWriter",
    "dialects",
    "get",
    "register",
    "variant",
)

Operation: TypeAlias = Literal["generate", "count_tokens", "models", "model", "other"]
"""What a client's call asks for."""


class Route(Struct, frozen=True, kw_only=True):
    """What the path of a client's call says."""

    operation: Operation
    model: str | None = None
    stream: bool | None = None
    framing: str = "sse"


class RequestTarget(Struct, frozen=True, kw_only=True):
    """For whom a request is written."""

    losses: LossRecorder
    profile: Profile
    model: str | None = None
    """Overrides the request's own."""
    tag: str | None = None
    """Opaque mark of the backend; signatures of another one are not sent to it."""


class Encoded(Struct, frozen=True, kw_only=True):
    """A request on the wire, and what its answer must undo."""

    http: HTTPRequest
    model: str | None = None
    """Model as it was sent."""
    names: Mapping[str, str] = {}
    """Tool name as it was sent -> name in the request, where they differ."""
    custom: tuple[str, ...] = ()
    """Names as sent of custom tools that went as functions with one `input`."""
    json_tool: str | None = None
    """Name as sent of the tool whose call stands for structured output."""
    stops: tuple[str, ...] = ()
    """Stop sequences that the target does not know: we must cut at them."""


class ResponseSource(Struct, frozen=True, kw_only=True):
    """From whom an answer is read."""

    profile: Profile
    limits: Limits = Limits()
    seed: str = ""
    """Of ids that must be minted."""
    model: str | None = None
    """Model as it was asked for: whose signatures these are."""
    tag: str | None = None


class ReplyTarget(Struct, frozen=True, kw_only=True):
    """For whom an answer is written."""

    losses: LossRecorder
    profile: Profile
    seed: str = ""
    """Of ids that must be minted."""
    created: float | None = None
    """Seconds since the epoch, where the source said none."""
    model: str | None = None
    """Overrides the answer's own."""
    framing: str = "sse"
    include_usage: bool = True
    """Chat streams tell usage only to those who asked."""
    echo: Extras | None = None
    """Members of the client's request that its dialect repeats in answers."""
    start: MessageStart | None = None
    """How the stream began, for `Dialect.stream_error`."""
    limits: Limits = Limits()


class FrameSource(Protocol):
    """Cuts bytes into frames, as `llmwire.sse.FrameDecoder` does."""

    def receive_data(self, chunk: bytes) -> list[Frame]:
        """Frames that are complete now; raises `LimitExceeded`."""

    def receive_eof(self) -> list[Frame]:
        """What is left."""


class StreamReader(Protocol):
    """Turns frames of one dialect into events (the decoder behind `StreamDecoder`)."""

    @property
    def violations(self) -> Mapping[str, int]:
        """Repairs so far, by rule."""

    @property
    def done(self) -> bool:
        """The terminal event was given."""

    def receive(self, frame: Frame) -> list[Event]:
        """Events of one frame; never raises for what the peer sent."""

    def receive_eof(self) -> list[Event]:
        """The input ended: what is left, with the terminal event."""


class StreamWriter(Protocol):
    """Turns events into bytes of one dialect (behind `StreamEncoder`)."""

    def send(self, event: Event) -> bytes:
        """Bytes due now; any event in any order gives a legal stream."""


class ModelInfo(Struct, frozen=True, kw_only=True):
    """One entry of a list of models."""

    id: str
    created: int | None = None
    owner: str | None = None
    name: str | None = None
    """For people."""
    context_window: int | None = None
    max_output: int | None = None
    raw: Raw | None = None
    """The native entry, for its own dialect."""
    dialect: str | None = None


class ModelList(Struct, frozen=True, kw_only=True):
    """A list of models."""

    models: tuple[ModelInfo, ...] = ()


class Dialect(Struct, frozen=True, kw_only=True):
    """Everything that is particular to one wire protocol.

    Functions that read a client raise `RemoteProtocolError`; functions that read a
    server raise it too, with status 502. Functions that write a request raise
    `UnsupportedFeature`; functions that write an answer never raise.
    """

    name: str
    framings: tuple[str, ...] = ("sse",)
    """The first is the default."""
    profile: str | None = None
    """Name of the profile that a variant brings."""
    verbatim: bool = False
    """Requests of the dialect, written for a server without facts of its own, are what
    they were, whatever the model: so they need not be written at all."""

    # Paths. Base paths are those of the vendor: `/v1`, `/v1beta`.
    route: Callable[[HTTPRequest], Route | None]
    """What a client's call asks for; None: not a path of this dialect."""
    read_credential: Callable[[HTTPRequest], str | None]
    """The key a client presents."""
    write_credential: Callable[[str], Headers]
    """The headers that present a key to a server."""
    reply_headers: tuple[str, ...] = ()
    """Names (or prefixes ending in `*`) of response headers that a client may see."""

    decode_request: Callable[[HTTPRequest, Limits], Request]
    encode_request: Callable[[Request, RequestTarget], Encoded]
    echo: Callable[[Request], Extras | None]
    """Members of a client's request (of this dialect) that answers repeat."""

    decode_response: Callable[[bytes, ResponseSource], Response]
    """A whole body that holds no error (`find_error`)."""
    decode_reply: Callable[[bytes, ResponseSource], Response | APIError] | None = None
    """The error that `find_error` finds in a body, else what `decode_response` gives.
    None: nothing is quicker than asking the two."""
    encode_response: Callable[[Response, ReplyTarget], bytes]

    frame_decoder: Callable[[str, Limits], FrameSource | None] | None = None
    """What cuts the stream of a framing, where that is neither server-sent events nor
    one JSON object a line."""
    stream_reader: Callable[[ResponseSource, str], StreamReader]
    """Reader for a framing."""
    stream_writer: Callable[[ReplyTarget], StreamWriter]
    terminal_mark: Callable[[Frame], bool]
    """A cheap test for pass-through: this frame ends the stream (or the answer)."""
    may_end: Callable[[bytes], bool] | None = None
    """A cheaper one for the bytes of several frames at once: False says that
    `terminal_mark` holds for none of them. None: every frame is looked at."""
    answer_list: str | None = None
    """The member of a whole answer that no answer is without: a list. Bodies that have
    it are passed through without being decoded; None: all are decoded."""
    told_by_items: bool = False
    """Items in that list, and an `error` that is null or absent, tell that a body is no
    error (`find_error`)."""
    stream_error: Callable[[APIError, ReplyTarget], bytes]
    """A stream's own error frame, for streams passed through."""
    failing_stops: frozenset[StopReason] = frozenset()
    """Why answers end that this dialect has no word for but an error."""
    keepalive: bytes = b": keep-alive\n\n"
    """What may be sent between two frames."""

    find_error: Callable[[bytes], APIError | None]
    """The error inside a body that came with status 200."""
    decode_error: Callable[[int, Headers, bytes], APIError]
    encode_error: Callable[[APIError], HTTPReply]

    decode_count_request: Callable[[HTTPRequest, Limits], Request]
    encode_count_request: Callable[[Request, RequestTarget], HTTPRequest] | None
    """None: the dialect cannot count."""
    decode_count: Callable[[bytes], TokenCount]
    encode_count: Callable[[TokenCount], bytes]

    models_path: str
    """Path of the list of models, with a query that asks for all of them at once."""
    models_headers: Headers = ()
    """What a server wants to be sent with it, beside the credential."""
    decode_models: Callable[[bytes], ModelList]
    encode_models: Callable[[ModelList], bytes]
    encode_model: Callable[[ModelInfo], bytes]

    rewrite_model: Callable[[bytes, str], bytes]
    """A body with another model, nothing else touched."""


_BUILT_IN: Final[Mapping[str, str]] = {
    "openai-chat": "llmwire.dialects.openai_chat",
    "openai-responses": "llmwire.dialects.openai_responses",
    "anthropic": "llmwire.dialects.anthropic",
    "gemini": "llmwire.dialects.gemini",
}
_registered: dict[str, Dialect] = {}


def dialects() -> tuple[str, ...]:
    """Names of every dialect that `get` knows, built-in ones first."""
    return (*_BUILT_IN, *(name for name in _registered if name not in _BUILT_IN))


def get(dialect: str | Dialect) -> Dialect:
    """The record of `dialect`; a record is given back as it is.

    Raises:
        UnknownDialect: There is none of that name.
    """
    if isinstance(dialect, Dialect):
        return dialect
    found = _registered.get(dialect)
    if found is None:
        if dialect not in _BUILT_IN:
            known = ", ".join(dialects())
            raise UnknownDialect(f"unknown dialect {dialect!r}; known are {known}")
        found = _registered[dialect] = import_module(_BUILT_IN[dialect]).DIALECT
    return found


def register(dialect: Dialect) -> None:
    """Make `dialect` known by its name.

    Raises:
        LocalProtocolError: The name is taken by another record.
    """
    if dialect.name in dialects() and _registered.get(dialect.name) is not dialect:
        raise LocalProtocolError(f"dialect {dialect.name!r} exists already")
    _registered[dialect.name] = dialect


def variant(dialect: str | Dialect, name: str, profile: str) -> Dialect:
    """`dialect` as spoken by servers of one profile, under another name."""
    return replace(get(dialect), name=name, profile=profile)
