"""A client's request to the neutral one.

Strict about what is modelled, patient with the rest: members that this module does not
name are kept, elements and tools of unknown types stay opaque.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

from msgspec import UNSET, Raw, UnsetType

from llmwire._json import (
    NULL,
    Schema,
    Wire,
    decode_any,
    decode_object,
    encode,
    fitting,
    nested,
    strangers,
)
from llmwire._nesting import check_nesting
from llmwire._unread import Unread
from llmwire.dialects.openai_chat._messages_read import MessagesReader
from llmwire.dialects.openai_chat._notes import LEGACY, Kept
from llmwire.dialects.openai_chat._reasoning_read import read_reasoning
from llmwire.dialects.openai_chat._tools import (
    WEB_SEARCH,
    plain_tool,
    read_choice,
    read_format,
    read_legacy,
    read_tool,
)
from llmwire.dialects.openai_chat._wire import RequestBody
from llmwire.dialects.openai_chat._writing import NAME
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.requests import (
    AudioOutput,
    Logprobs,
    Request,
    Sampling,
    Tool,
)

_SCHEMA: Final = Schema(RequestBody)
MAX_TOKENS: Final = "@max_tokens"
USER: Final = "@user"
SEED: Final = "@seed"
STOP: Final = "@stop"
"""Notes: the member a value stood in, where this dialect has two."""
_PLAIN: Final[Mapping[str, str]] = {
    "verbosity": "verbosity",
    "store": "store",
    "service_tier": "service_tier",
    "n": "n",
    "parallel_tool_calls": "parallel",
    "prompt_cache_key": "cache_key",
}
"""Members that are fields of the request."""
_SAMPLING: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
)
_HOW_TO_SAMPLE: Final = attrgetter(*_SAMPLING)
_THINKING: Final = (
    "reasoning_effort",
    "reasoning",
    "thinking",
    "enable_thinking",
    "thinking_budget",
)
_STRANGE: Final = (
    "prompt_cache_options",
    "prompt_cache_retention",
    "moderation",
    "provider",
    "chat_template_kwargs",
)
"""Members that the wire struct declares and that have no neutral form."""


_SPELT: Final = {
    name: Raw(encode(name))
    for name in ("max_tokens", "random_seed", "safety_identifier")
}
"""Names as notes, of members that have a more usual one."""


def decode_request(http: HTTPRequest, limits: Limits) -> Request:
    """Read `POST /v1/chat/completions`.

    Raises:
        RemoteProtocolError: The body is no such request; names the place.
        LimitExceeded: It is larger than `limits` allow.
    """
    body = http.body
    if len(body) > limits.body:
        raise LimitExceeded(f"a body of more than {limits.body} bytes")
    if not body:
        raise RemoteProtocolError("found no body, expected a JSON object")
    try:
        unread = Unread(body, limits.nesting)
        wire: RequestBody | None = fitting(RequestBody, body)
        if wire is None:
            unread.check_all()
            wire = _SCHEMA.decode(body)
        if len(wire.messages) > limits.messages:
            what = f"more than {limits.messages} messages"
            raise LimitExceeded(what, path="$.messages")
        messages = MessagesReader(unread, limits.parts, "messages" not in wire.loose)
        return _Reader(wire, unread).request(messages)
    except RemoteProtocolError:
        check_nesting(body, limits.nesting)
        Unread(body, limits.nesting).check_all()
        raise


class _Reader:
    """One request while it is read."""

    def __init__(self, wire: RequestBody, unread: Unread) -> None:
        self._wire = wire
        self._unread = unread
        self._kept = Kept(strangers(wire))
        self._values: dict[str, Any] = {}
        """Fields of the request, as far as they are read."""

    def request(self, reader: MessagesReader) -> Request:
        """The request, its messages read by `reader`."""
        wire, values = self._wire, self._values
        for name, value in (("model", wire.model), ("stream", wire.stream)):
            self._take(name, value, name, values)
        seldom = _SELDOM(wire)
        sections = _OFTEN
        if seldom != _NO_SELDOM:
            sections = _SECTIONS
            for value in seldom:
                if type(value) is Raw:
                    self._unread.check(value)
        for members, unset, read in sections:
            if members(wire) != unset:
                read(self)
        messages = reader.read(wire.messages)
        extras = self._kept.done()
        return Request(messages=messages, dialect=NAME, extras=extras, **values)

    # --- scalars -------------------------------------------------------------------

    def _scalars(self) -> None:
        for name in _STRANGE:
            value = getattr(self._wire, name)
            if value is not UNSET:
                self._kept.extras[name] = value
        for name, field in _PLAIN.items():
            self._take(name, getattr(self._wire, name), field, self._values)

    def _take(self, name: str, value: Any, field: str, values: dict[str, Any]) -> None:
        if value is None:
            self._kept.said[name] = NULL
        elif value is not UNSET:
            values[field] = value

    def _raw(self, name: str, values: dict[str, Any]) -> None:
        value = getattr(self._wire, name)
        if value is UNSET:
            return
        if bytes(value) == b"null":
            self._kept.said[name] = NULL
        else:
            values[name] = value

    def _either(self, first: str, second: str, note: str, field: str) -> Any:
        """A value that may stand in two members; the first one wins."""
        found = None
        for name in (first, second):
            value = getattr(self._wire, name)
            if value is UNSET:
                continue
            if value is None:
                self._kept.said[name] = NULL
            elif found is not None:
                self._kept.extras[name] = Raw(encode(value))
            else:
                found = value
                if name != field:
                    self._kept.extras[note] = _SPELT[name]
        return found

    def _sampling(self) -> None:
        sampling: dict[str, Any] = {}
        wire = self._wire
        for name, value in zip(_SAMPLING, _HOW_TO_SAMPLE(wire), strict=True):
            if value is None:
                self._kept.said[name] = NULL
            elif value is not UNSET:
                sampling[name] = value
        if not wire.seed is wire.random_seed is wire.logit_bias is UNSET:
            seed = self._either("seed", "random_seed", SEED, "seed")
            if seed is not None:
                sampling["seed"] = seed
            self._raw("logit_bias", sampling)
        if sampling:
            self._values["sampling"] = Sampling(**sampling)

    def _labels(self) -> None:
        self._raw("metadata", self._values)
        self._raw("prediction", self._values)

    def _tokens(self) -> None:
        names = ("max_completion_tokens", "max_tokens")
        tokens = self._either(*names, MAX_TOKENS, names[0])
        if tokens is not None:
            self._values["max_tokens"] = tokens

    def _user(self) -> None:
        user = self._either("safety_identifier", "user", USER, "user")
        if user is not None:
            self._values["user"] = user

    def _stop(self) -> None:
        values = self._values
        stop = self._wire.stop
        if isinstance(stop, str):
            values["stop"] = (stop,)
            self._kept.extras[STOP] = Raw(b'"text"')
        elif stop:
            values["stop"] = tuple(stop)
        else:
            self._kept.empty("stop", stop)

    def _stream_options(self) -> None:
        raw = bytes(self._wire.stream_options)  # type: ignore[arg-type]  # it is there
        usual: _StreamOptions | None = fitting(_StreamOptions, raw)
        if usual is not None:
            self._values["include_usage"] = usual.include_usage
            return
        self._unread.check(self._wire.stream_options)
        if raw == b"null":
            self._kept.said["stream_options"] = NULL
            return
        members = decode_object(raw, "$.stream_options")
        wanted = members.get("include_usage")
        if wanted is not None and bytes(wanted) in (b"true", b"false"):
            self._values["include_usage"] = bytes(wanted) == b"true"
            del members["include_usage"]
        elif not members:
            self._kept.extras["stream_options"] = Raw(raw)
        self._kept.extras = nested("stream_options", members, self._kept.extras) or {}

    def _logprobs(self) -> None:
        wire, kept, values = self._wire, self._kept, self._values
        top = wire.top_logprobs
        if isinstance(wire.logprobs, bool):
            known = None if isinstance(top, UnsetType) else top
            values["logprobs"] = Logprobs(enabled=wire.logprobs, top=known)
        else:
            if wire.logprobs is None:
                kept.said["logprobs"] = NULL
            if isinstance(top, int):
                kept.extras["top_logprobs"] = Raw(encode(top))
        if top is None:
            kept.said["top_logprobs"] = NULL

    # --- tools and output ----------------------------------------------------------

    def _tools(self) -> None:
        wire, kept, values = self._wire, self._kept, self._values
        tools: list[Tool] = []
        if wire.tools:
            short = self._unread.short
            for at, tool in enumerate(wire.tools):
                plain = plain_tool(tool)
                if plain is None:
                    self._unread.check_within([tool])
                    plain = read_tool(tool, f"$.tools[{at}]")
                elif plain.schema is not None and len(plain.schema) > short:
                    self._unread.check(plain.schema)
                tools.append(plain)
        elif wire.tools is not UNSET:
            kept.empty("tools", wire.tools)
        if wire.functions:
            self._unread.check_within(wire.functions)
            tools += [read_legacy(function) for function in wire.functions]
        elif wire.functions is not UNSET:
            kept.empty("functions", wire.functions)
        search = wire.web_search_options
        if not isinstance(search, UnsetType):
            if bytes(search) == b"null":
                kept.said[WEB_SEARCH] = NULL
            else:
                tools.append(Tool(kind="server", name=WEB_SEARCH, raw=search))
        if tools:
            values["tools"] = tuple(tools)
        for name, raw in (
            ("tool_choice", wire.tool_choice),
            ("function_call", wire.function_call),
        ):
            if isinstance(raw, UnsetType):
                continue
            self._unread.check(raw)
            if bytes(raw) == b"null":
                kept.said[name] = NULL
            elif "tool_choice" in values:
                kept.extras[name] = raw
            else:
                legacy = name == "function_call"
                values["tool_choice"] = read_choice(raw, legacy=legacy)
                if legacy:
                    kept.extras[LEGACY] = Raw(b"true")

    def _output(self) -> None:
        wire, kept, values = self._wire, self._kept, self._values
        if not isinstance(wire.response_format, UnsetType):
            if bytes(wire.response_format) == b"null":
                kept.said["response_format"] = NULL
            else:
                values["output"] = read_format(wire.response_format)
        if wire.modalities:
            values["modalities"] = tuple(wire.modalities)
        elif wire.modalities is not UNSET:
            kept.empty("modalities", wire.modalities)
        if isinstance(wire.audio, UnsetType):
            return
        if bytes(wire.audio) == b"null":
            kept.said["audio"] = NULL
            return
        members = decode_object(bytes(wire.audio), "$.audio")
        voice = members.pop("voice", None)
        word = members.get("format")
        shape = None
        if word is not None and bytes(word)[:1] == b'"':
            shape = decode_any(bytes(members.pop("format")))
        extras = nested("", members, None)
        values["audio"] = AudioOutput(voice=voice, format=shape, extras=extras)

    # --- thinking ------------------------------------------------------------------

    def _thinking(self) -> None:
        given = zip(_THINKING, _HOW_TO_THINK(self._wire), strict=True)
        members = {name: raw for name, raw in given if raw is not UNSET}
        for name in [n for n, raw in members.items() if bytes(raw) == b"null"]:
            self._kept.said[name] = NULL
            del members[name]
        if members:
            self._values["reasoning"] = read_reasoning(members)


class _StreamOptions(Wire):
    """What `stream_options` usually holds."""

    include_usage: bool


_Section: TypeAlias = tuple[
    Callable[[RequestBody], Any], Any, Callable[[_Reader], None]
]
_BLANK: Final = RequestBody(messages=[])


def _section(read: Callable[[_Reader], None], names: Sequence[str]) -> _Section:
    """Members, what they are where none is there, and what reads them."""
    members = attrgetter(*names)
    return members, members(_BLANK), read


_READERS: Final[tuple[tuple[Callable[[_Reader], None], str, str], ...]] = (
    (_Reader._scalars, "", " ".join((*_STRANGE, *_PLAIN))),
    (
        _Reader._sampling,
        "temperature top_p",
        "top_k min_p frequency_penalty presence_penalty repetition_penalty seed"
        " random_seed logit_bias",
    ),
    (_Reader._labels, "", "metadata prediction"),
    (_Reader._tokens, "max_completion_tokens max_tokens", ""),
    (_Reader._stop, "stop", ""),
    (_Reader._user, "", "safety_identifier user"),
    (_Reader._stream_options, "stream_options", ""),
    (_Reader._logprobs, "", "logprobs top_logprobs"),
    (_Reader._tools, "tools tool_choice", "functions function_call web_search_options"),
    (_Reader._thinking, "", " ".join(_THINKING)),
    (_Reader._output, "", "response_format modalities audio"),
)
"""What reads members: those that many requests have, and those that few have."""
_OFTEN: Final = tuple(
    _section(read, often.split()) for read, often, _ in _READERS if often
)
_SECTIONS: Final = tuple(
    _section(read, f"{often} {seldom}".split()) for read, often, seldom in _READERS
)
_SELDOM: Final = attrgetter(*" ".join(seldom for _, _, seldom in _READERS).split())
_NO_SELDOM: Final = _SELDOM(_BLANK)
_HOW_TO_THINK: Final = attrgetter(*_THINKING)
