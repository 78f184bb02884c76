"""The neutral request: everything a client can ask of a model, in nobody's dialect.

Nothing but data, and two operations on it that need no dialect: `Request.fetches`
lists the media that somebody must fetch before a target can see them, `with_media`
fills one in. Every member of a wire request is a field here or stands in `extras`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

from llmwire.errors import LocalProtocolError
from llmwire.messages import (
    Base64,
    CacheMark,
    Extras,
    MediaPart,
    Message,
    Part,
    ToolResultPart,
    Url,
)

__all__ = (
    "AudioOutput",
    "Effort",
    "Fetch",
    "Logprobs",
    "OutputFormat",
    "Reasoning",
    "Request",
    "Sampling",
    "ServerState",
    "Tool",
    "ToolChoice",
)

Effort: TypeAlias = Literal["minimal", "low", "medium", "high", "xhigh", "max"]
"""How hard to think, from least to most."""


class Tool(Struct, frozen=True, kw_only=True, gc=False):
    """Something the model may call."""

    kind: Literal["function", "custom", "server", "opaque"] = "function"
    name: str
    """Of a server tool: the dialect's own type word."""
    description: str | None = None
    schema: Raw | None = None
    """JSON schema of the arguments."""
    strict: bool | None = None
    format: Raw | None = None
    """Custom tools: grammar of the input, `{"type", "syntax", "definition"}`."""
    cache: CacheMark | None = None
    raw: Raw | None = None
    """Server and opaque tools: the whole native declaration."""
    extras: Extras | None = None


class ToolChoice(Struct, frozen=True, kw_only=True, gc=False):
    """Whether, and which, tools must be called."""

    mode: Literal["auto", "none", "required", "validated"]
    names: tuple[str, ...] = ()
    """The only tools allowed; empty: all of them."""
    kind: Literal["any", "named", "allowed", "opaque"] = "any"
    """`named`: exactly one tool is forced; `allowed`: a set was given."""
    raw: Raw | None = None
    """The native value, for its own dialect."""


class Sampling(Struct, frozen=True, kw_only=True, gc=False):
    """How tokens are drawn; None is the server's default."""

    temperature: float | int | None = None
    top_p: float | int | None = None
    top_k: float | int | None = None
    min_p: float | int | None = None
    seed: int | None = None
    frequency_penalty: float | int | None = None
    presence_penalty: float | int | None = None
    repetition_penalty: float | int | None = None
    logit_bias: Raw | None = None


class Logprobs(Struct, frozen=True, kw_only=True, gc=False):
    """Log probabilities are wanted."""

    enabled: bool = True
    top: int | None = None
    """Alternatives per position."""


class OutputFormat(Struct, frozen=True, kw_only=True, gc=False):
    """The shape the answer must have."""

    kind: Literal["text", "json_object", "json_schema", "enum", "opaque"]
    name: str | None = None
    schema: Raw | None = None
    strict: bool | None = None
    description: str | None = None
    raw: Raw | None = None
    """The native value where `kind` is opaque."""
    extras: Extras | None = None


class Reasoning(Struct, frozen=True, kw_only=True, gc=False):
    """How the model should think, and how much of it to show."""

    mode: Literal["default", "off", "on"] = "default"
    effort: Effort | str | None = None
    budget: int | None = None
    """Tokens; -1: the model decides."""
    show: Literal["none", "summary", "raw"] | None = None
    summary: str | None = None
    """Responses: `auto`, `concise` or `detailed`."""
    extras: Extras | None = None


class AudioOutput(Struct, frozen=True, kw_only=True, gc=False):
    """The voice and format of spoken answers."""

    voice: Raw | None = None
    format: str | None = None
    extras: Extras | None = None


class ServerState(Struct, frozen=True, kw_only=True, gc=False):
    """What only the server that keeps it can resolve."""

    previous_response_id: str | None = None
    conversation: Raw | None = None
    prompt: Raw | None = None
    cached_content: str | None = None
    container: Raw | None = None
    continuation_token: str | None = None


class Fetch(Struct, frozen=True, gc=False):
    """A medium that must be fetched before every target can be shown it."""

    path: str
    """Its place, for `Request.with_media`: `messages[2].parts[0]`."""
    url: str
    kind: str


class Request(Struct, frozen=True, kw_only=True, gc=False):
    """One request to generate."""

    model: str | None = None
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel: bool | None = None
    """Several calls at once are allowed."""
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    n: int | None = None
    logprobs: Logprobs | None = None
    output: OutputFormat | None = None
    verbosity: str | None = None
    reasoning: Reasoning | None = None
    modalities: tuple[str, ...] = ()
    audio: AudioOutput | None = None
    prediction: Raw | None = None
    stream: bool | None = None
    include_usage: bool | None = None
    user: str | None = None
    cache: CacheMark | None = None
    """A cache mark on the request as a whole."""
    cache_key: str | None = None
    metadata: Raw | None = None
    service_tier: str | None = None
    store: bool | None = None
    include: tuple[str, ...] = ()
    truncation: str | None = None
    state: ServerState | None = None
    version: str | None = None
    """Version of the protocol the client speaks, where it says one."""
    betas: tuple[str, ...] = ()
    dialect: str | None = None
    """Dialect it was read from: whose `extras` and raw values these are."""
    extras: Extras | None = None

    def fetches(self) -> tuple[Fetch, ...]:
        """Every medium given by URL, in order. Never raises."""
        found: list[Fetch] = []
        for at, message in enumerate(self.messages):
            _list_fetches(message.parts, f"messages[{at}].parts", found)
        return tuple(found)

    def with_media(self, path: str, mime: str, data: str) -> Request:
        """The same request with the medium at `path` given inline.

        Args:
            path: As `fetches` names it.
            mime: Media type of the bytes.
            data: The bytes in standard base64.

        Raises:
            LocalProtocolError: There is no medium by URL at `path`.
        """
        messages = tuple(
            replace(
                m, parts=_filled(m.parts, f"messages[{at}].parts", path, mime, data)
            )
            for at, m in enumerate(self.messages)
        )
        if messages == self.messages:
            raise LocalProtocolError(f"no medium by URL at `{path}`")
        return replace(self, messages=messages)


def _list_fetches(parts: tuple[Part, ...], at: str, found: list[Fetch]) -> None:
    for index, part in enumerate(parts):
        place = f"{at}[{index}]"
        if isinstance(part, MediaPart) and isinstance(part.source, Url):
            found.append(Fetch(place, part.source.url, part.kind))
        elif isinstance(part, ToolResultPart):
            _list_fetches(part.parts, f"{place}.parts", found)


def _filled(
    parts: tuple[Part, ...], at: str, path: str, mime: str, data: str
) -> tuple[Part, ...]:
    if not path.startswith(at):
        return parts
    filled: list[Part] = []
    for index, part in enumerate(parts):
        place = f"{at}[{index}]"
        if (
            place == path
            and isinstance(part, MediaPart)
            and isinstance(part.source, Url)
        ):
            part = replace(part, mime=mime, source=Base64(data))
        elif isinstance(part, ToolResultPart):
            inner = _filled(part.parts, f"{place}.parts", path, mime, data)
            part = replace(part, parts=inner)
        filled.append(part)
    return tuple(filled)
