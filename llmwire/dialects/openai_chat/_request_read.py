"""A client's request to the neutral one.

Strict about what is modelled, patient with the rest: members that this module does not
name are kept, elements and tools of unknown types stay opaque.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, Literal

from msgspec import UNSET, Raw, UnsetType

from llmwire._ids import mint_call
from llmwire._json import (
    NULL,
    Schema,
    decode_any,
    decode_object,
    encode,
    fitting,
    nested,
    strangers,
)
from llmwire._nesting import Nesting
from llmwire._turns import settled_signatures
from llmwire.dialects.openai_chat._message_read import (
    read_content,
    read_spoken,
    simple_parts,
)
from llmwire.dialects.openai_chat._notes import LEGACY, Kept
from llmwire.dialects.openai_chat._reasoning_read import read_reasoning
from llmwire.dialects.openai_chat._text import validated
from llmwire.dialects.openai_chat._tools import (
    WEB_SEARCH,
    plain_tool,
    read_choice,
    read_format,
    read_legacy,
    read_tool,
)
from llmwire.dialects.openai_chat._wire import (
    AssistantMessage,
    DeveloperMessage,
    FunctionMessage,
    RequestBody,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from llmwire.dialects.openai_chat._writing import NAME
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart
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
PLAIN: Final[Mapping[str, str]] = {
    "model": "model",
    "stream": "stream",
    "verbosity": "verbosity",
    "store": "store",
    "service_tier": "service_tier",
    "n": "n",
    "parallel_tool_calls": "parallel",
    "prompt_cache_key": "cache_key",
}
"""Members that are fields of the request."""
SAMPLING: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "repetition_penalty": "repetition_penalty",
}
THINKING: Final = (
    "reasoning_effort",
    "reasoning",
    "thinking",
    "enable_thinking",
    "thinking_budget",
)
STRANGE: Final = (
    "prompt_cache_options",
    "prompt_cache_retention",
    "moderation",
    "provider",
    "chat_template_kwargs",
)
"""Members that the wire struct declares and that have no neutral form."""
_MEMBERS: Final = RequestBody.__struct_fields__
_VALUES: Final = attrgetter(*_MEMBERS)


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
    nesting = Nesting(body, limits.nesting)
    try:
        wire: RequestBody | None = fitting(RequestBody, validated(body))
        if wire is None:
            nesting.check()
            wire = _SCHEMA.decode(body)
        if len(wire.messages) > limits.messages:
            what = f"more than {limits.messages} messages"
            raise LimitExceeded(what, path="$.messages")
        return _Reader(wire, limits, nesting).request()
    except RemoteProtocolError:
        nesting.check()
        raise


class _Reader:
    """One request while it is read."""

    def __init__(self, wire: RequestBody, limits: Limits, nesting: Nesting) -> None:
        self._wire = wire
        self._limits = limits
        self._nesting = nesting
        self._kept = Kept(strangers(wire))
        self._given: dict[str, Any] = {
            name: value
            for name, value in zip(_MEMBERS, _VALUES(wire), strict=True)
            if value is not UNSET
        }
        self._values: dict[str, Any] = {}
        """Fields of the request, as far as they are read."""
        self._minted = 0
        self._unnamed: dict[str, list[str]] = {}
        self._customs: set[str] = set()

    def request(self) -> Request:
        given, kept, values = self._given, self._kept, self._values
        for value in given.values():
            if type(value) is Raw:
                self._nesting.check_raw(value)
        for name in STRANGE:
            if name in given:
                kept.extras[name] = given[name]
        self._plain(PLAIN, values)
        for names, read in _SECTIONS:
            if not names.isdisjoint(given):
                read(self)
        messages = tuple(self._messages())
        return Request(messages=messages, dialect=NAME, extras=kept.done(), **values)

    # --- scalars -------------------------------------------------------------------

    def _plain(self, fields: Mapping[str, str], values: dict[str, Any]) -> None:
        given = self._given
        for name, field in fields.items():
            if name in given:
                value = given[name]
                if value is None:
                    self._kept.said[name] = NULL
                else:
                    values[field] = value

    def _raw(self, name: str, values: dict[str, Any]) -> None:
        value = self._given.get(name)
        if value is None:
            return
        if bytes(value) == b"null":
            self._kept.said[name] = NULL
        else:
            values[name] = value

    def _either(self, first: str, second: str, note: str, field: str) -> Any:
        """A value that may stand in two members; the first one wins."""
        found = None
        for name in (first, second):
            if name not in self._given:
                continue
            value = self._given[name]
            if value is None:
                self._kept.said[name] = NULL
            elif found is not None:
                self._kept.extras[name] = Raw(encode(value))
            else:
                found = value
                if name != field:
                    self._kept.extras[note] = Raw(encode(name))
        return found

    def _sampling(self) -> None:
        sampling: dict[str, Any] = {}
        self._plain(SAMPLING, sampling)
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
        raw = self._given["stream_options"]
        if bytes(raw) == b"null":
            self._kept.said["stream_options"] = NULL
            return
        members = decode_object(bytes(raw), "$.stream_options")
        wanted = members.get("include_usage")
        if wanted is not None and bytes(wanted) in (b"true", b"false"):
            self._values["include_usage"] = bytes(wanted) == b"true"
            del members["include_usage"]
        elif not members:
            self._kept.extras["stream_options"] = raw
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
            for at, tool in enumerate(wire.tools):
                plain = plain_tool(tool)
                if plain is None:
                    self._nesting.check()
                    plain = read_tool(tool, f"$.tools[{at}]")
                else:
                    self._nesting.check_raw(plain.schema)
                tools.append(plain)
        elif wire.tools is not UNSET:
            kept.empty("tools", wire.tools)
        if wire.functions:
            self._nesting.check()
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
        for name in ("tool_choice", "function_call"):
            raw = getattr(wire, name)
            if raw is UNSET:
                continue
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
        given = self._given
        members: dict[str, Raw] = {
            name: given[name] for name in THINKING if name in given
        }
        for name in [n for n, raw in members.items() if bytes(raw) == b"null"]:
            self._kept.said[name] = NULL
            del members[name]
        if members:
            self._values["reasoning"] = read_reasoning(members)

    # --- messages ------------------------------------------------------------------

    def _messages(self) -> list[Message]:
        found: list[Message] = []
        results: list[Part] = []
        limit = self._limits.parts
        for at, wire in enumerate(self._wire.messages):
            kind = type(wire)
            if kind is ToolMessage or kind is FunctionMessage:
                results.append(self._result(wire, at))  # type: ignore[arg-type]  # one of the two
                continue
            if results:
                found.append(Message(role="user", parts=tuple(results)))
                results = []
            message = _ROLES[kind](self, wire, at)
            if len(message.parts) > limit:
                what = f"more than {limit} parts"
                raise LimitExceeded(what, path=f"$.messages[{at}]")
            found.append(message)
        if results:
            found.append(Message(role="user", parts=tuple(results)))
        return found

    def _told(self, wire: Any, at: int) -> Message:
        content = wire.content
        if type(content) is str and wire.name is UNSET and not wire.extras:
            return Message(role=wire.__struct_config__.tag, parts=(TextPart(content),))
        self._nesting.check()
        kept = Kept(strangers(wire))
        parts = read_content(content, f"$.messages[{at}]", kept)
        if wire.name is not UNSET and not kept.empty("name", wire.name):
            kept.extras["name"] = Raw(encode(wire.name))
        role = wire.__struct_config__.tag
        return Message(role=role, parts=tuple(parts), extras=kept.done())

    def _answered(self, wire: AssistantMessage, at: int) -> Message:
        parts = simple_parts(wire)
        if parts:
            return Message(role="assistant", parts=parts)
        self._nesting.check()
        kept = Kept(strangers(wire))
        parts = read_spoken(wire, f"$.messages[{at}]", self._mint, kept, answer=False)
        for part in parts:
            if isinstance(part, ToolCallPart):
                if part.kind == "custom":
                    self._customs.add(part.call_id)
                if LEGACY in (part.extras or {}):
                    self._unnamed.setdefault(part.name, []).append(part.call_id)
        if wire.reasoning_details:
            parts = settled_signatures(parts)
        return Message(role="assistant", parts=parts, extras=kept.done())

    def _mint(self) -> str:
        self._minted += 1
        return mint_call("", self._minted - 1)

    def _result(self, wire: ToolMessage | FunctionMessage, at: int) -> Part:
        content = wire.content
        if type(content) is str and content and type(wire) is ToolMessage:
            call_id = wire.tool_call_id
            if call_id and wire.name is UNSET and not wire.extras:
                text = (TextPart(content),)
                return ToolResultPart(
                    call_id=call_id, parts=text, kind=self._kind(call_id)
                )
        self._nesting.check()
        kept = Kept(strangers(wire))
        if content == "":
            parts: list[Part] = []
        else:
            parts = read_content(content, f"$.messages[{at}]", kept)
        name = wire.name
        if name is None:
            kept.said["name"] = NULL
        if isinstance(wire, ToolMessage):
            call_id = wire.tool_call_id
            if not isinstance(call_id, str):
                what = "Object missing required field `tool_call_id`"
                raise RemoteProtocolError(what, path=f"$.messages[{at}]")
        else:
            kept.extras[LEGACY] = Raw(b"true")
            waiting = self._unnamed.get(name or "", [])
            call_id = waiting.pop(0) if waiting else self._mint()
        return ToolResultPart(
            call_id=call_id,
            name=None if isinstance(name, UnsetType) else name,
            parts=tuple(parts),
            kind=self._kind(call_id),
            extras=kept.done(),
        )

    def _kind(self, call_id: str) -> Literal["function", "custom"]:
        return "custom" if call_id in self._customs else "function"


_SECTIONS: Final[tuple[tuple[frozenset[str], Callable[[_Reader], None]], ...]] = (
    (frozenset({*SAMPLING, "seed", "random_seed", "logit_bias"}), _Reader._sampling),
    (frozenset({"metadata", "prediction"}), _Reader._labels),
    (frozenset({"max_completion_tokens", "max_tokens"}), _Reader._tokens),
    (frozenset({"stop"}), _Reader._stop),
    (frozenset({"safety_identifier", "user"}), _Reader._user),
    (frozenset({"stream_options"}), _Reader._stream_options),
    (frozenset({"logprobs", "top_logprobs"}), _Reader._logprobs),
    (
        frozenset(
            {"tools", "functions", WEB_SEARCH, "tool_choice", "function_call"},
        ),
        _Reader._tools,
    ),
    (frozenset(THINKING), _Reader._thinking),
    (frozenset({"response_format", "modalities", "audio"}), _Reader._output),
)
"""Members, and what reads them: none is called for nothing."""
_ROLES: Final[Mapping[type, Callable[[_Reader, Any, int], Message]]] = {
    SystemMessage: _Reader._told,
    DeveloperMessage: _Reader._told,
    UserMessage: _Reader._told,
    AssistantMessage: _Reader._answered,
}
