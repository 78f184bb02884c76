"""A client's request to the neutral one.

Strict about what is modelled, patient with the rest: members that this module does not
name are kept, elements and tools of unknown types stay opaque.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from llmwire._ids import mint_call
from llmwire._json import (
    NULL,
    Schema,
    decode_any,
    decode_object,
    encode,
    nested,
    strangers,
)
from llmwire._nesting import check_nesting
from llmwire._turns import settled_signatures
from llmwire.dialects.openai_chat._message_read import (
    read_content,
    read_spoken,
    simple_parts,
)
from llmwire.dialects.openai_chat._notes import LEGACY, Kept
from llmwire.dialects.openai_chat._text import validated
from llmwire.dialects.openai_chat._tools import (
    WEB_SEARCH,
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
    Reasoning,
    Request,
    Sampling,
    Tool,
)

_SCHEMA: Final = Schema(RequestBody)
MAX_TOKENS: Final = "@max_tokens"
USER: Final = "@user"
SEED: Final = "@seed"
STOP: Final = "@stop"
SPELLING: Final = "@raw"
"""Notes: the member a value stood in, where this dialect has two."""
PLAIN: Final = (
    "model",
    "stream",
    "verbosity",
    "store",
    "service_tier",
    "n",
)
"""Members that are fields of the same name."""
SAMPLING: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
)
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
    check_nesting(body, limits.nesting)
    wire = _SCHEMA.decode(validated(body))
    if len(wire.messages) > limits.messages:
        what = f"more than {limits.messages} messages"
        raise LimitExceeded(what, path="$.messages")
    return _Reader(wire, limits).request()


class _Reader:
    """One request while it is read."""

    def __init__(self, wire: RequestBody, limits: Limits) -> None:
        self._wire = wire
        self._limits = limits
        self._kept = Kept(strangers(wire))
        self._minted = 0
        self._unnamed: dict[str, list[str]] = {}
        self._customs: set[str] = set()

    def request(self) -> Request:
        wire, kept = self._wire, self._kept
        for name in STRANGE:
            value = getattr(wire, name)
            if value is not UNSET:
                kept.extras[name] = value
        values: dict[str, Any] = {}
        for name in PLAIN:
            self._plain(name, name, values)
        self._plain("parallel_tool_calls", "parallel", values)
        self._plain("prompt_cache_key", "cache_key", values)
        sampling: dict[str, Any] = {}
        for name in SAMPLING:
            self._plain(name, name, sampling)
        self._seed(sampling)
        self._raw("logit_bias", sampling)
        self._raw("metadata", values)
        self._raw("prediction", values)
        if sampling:
            values["sampling"] = Sampling(**sampling)
        self._tokens(values)
        self._stop(values)
        self._user(values)
        self._stream_options(values)
        self._logprobs(values)
        self._tools(values)
        self._thinking(values)
        self._output(values)
        messages = tuple(self._messages())
        return Request(messages=messages, dialect=NAME, extras=kept.done(), **values)

    # --- scalars -------------------------------------------------------------------

    def _plain(self, name: str, field: str, values: dict[str, Any]) -> None:
        value = getattr(self._wire, name)
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

    def _either(
        self, first: str, second: str, field: str, note: str, values: dict[str, Any]
    ) -> None:
        """A value that may stand in two members; the first one wins."""
        for name in (first, second):
            value = getattr(self._wire, name)
            if value is None:
                self._kept.said[name] = NULL
            elif value is not UNSET:
                if field in values:
                    self._kept.extras[name] = Raw(encode(value))
                    continue
                values[field] = value
                if name != _DEFAULT[note]:
                    self._kept.extras[note] = Raw(encode(name))

    def _tokens(self, values: dict[str, Any]) -> None:
        names = ("max_completion_tokens", "max_tokens")
        self._either(*names, "max_tokens", MAX_TOKENS, values)

    def _user(self, values: dict[str, Any]) -> None:
        self._either("safety_identifier", "user", "user", USER, values)

    def _seed(self, sampling: dict[str, Any]) -> None:
        self._either("seed", "random_seed", "seed", SEED, sampling)

    def _stop(self, values: dict[str, Any]) -> None:
        stop = self._wire.stop
        if isinstance(stop, str):
            values["stop"] = (stop,)
            self._kept.extras[STOP] = Raw(b'"text"')
        elif stop:
            values["stop"] = tuple(stop)
        elif stop is not UNSET:
            self._kept.empty("stop", stop)

    def _stream_options(self, values: dict[str, Any]) -> None:
        raw = self._wire.stream_options
        if isinstance(raw, UnsetType):
            return
        if bytes(raw) == b"null":
            self._kept.said["stream_options"] = NULL
            return
        members = decode_object(bytes(raw), "$.stream_options")
        wanted = members.get("include_usage")
        if wanted is not None and bytes(wanted) in (b"true", b"false"):
            values["include_usage"] = bytes(wanted) == b"true"
            del members["include_usage"]
        elif not members:
            self._kept.extras["stream_options"] = raw
        self._kept.extras = nested("stream_options", members, self._kept.extras) or {}

    def _logprobs(self, values: dict[str, Any]) -> None:
        wire, kept = self._wire, self._kept
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

    def _tools(self, values: dict[str, Any]) -> None:
        wire, kept = self._wire, self._kept
        tools: list[Tool] = []
        if wire.tools:
            tools = [
                read_tool(tool, f"$.tools[{at}]") for at, tool in enumerate(wire.tools)
            ]
        elif wire.tools is not UNSET:
            kept.empty("tools", wire.tools)
        if wire.functions:
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

    def _output(self, values: dict[str, Any]) -> None:
        wire, kept = self._wire, self._kept
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

    def _thinking(self, values: dict[str, Any]) -> None:
        members = {
            name: getattr(self._wire, name)
            for name in THINKING
            if getattr(self._wire, name) is not UNSET
        }
        for name in [n for n, raw in members.items() if bytes(raw) == b"null"]:
            self._kept.said[name] = NULL
            del members[name]
        if members:
            values["reasoning"] = read_reasoning(members)

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


_DEFAULT: Final[Mapping[str, str]] = {
    MAX_TOKENS: "max_completion_tokens",
    USER: "user",
    SEED: "seed",
}
_ROLES: Final[Mapping[type, Callable[[_Reader, Any, int], Message]]] = {
    SystemMessage: _Reader._told,
    DeveloperMessage: _Reader._told,
    UserMessage: _Reader._told,
    AssistantMessage: _Reader._answered,
}


def read_reasoning(members: Mapping[str, Raw]) -> Reasoning:
    """How to think, from the members that say so."""
    values = {name: decode_any(bytes(raw)) for name, raw in members.items()}
    reasoning = Reasoning()
    effort = values.get("reasoning_effort")
    if isinstance(effort, str):
        reasoning = _with_effort(reasoning, effort)
    object_ = values.get("reasoning")
    if isinstance(object_, dict):
        reasoning = _with_object(reasoning, object_)
    switch = values.get("thinking")
    if isinstance(switch, dict):
        reasoning = _with_switch(reasoning, switch)
    enabled = values.get("enable_thinking")
    if isinstance(enabled, bool):
        reasoning = replace(reasoning, mode="on" if enabled else "off")
    budget = values.get("thinking_budget")
    if isinstance(budget, int) and not isinstance(budget, bool):
        reasoning = replace(reasoning, budget=budget)
    if set(members) == {"reasoning_effort"} and isinstance(effort, str):
        return reasoning
    extras = {SPELLING: Raw(encode(dict(members)))}
    return replace(reasoning, extras=extras)


def _with_effort(reasoning: Reasoning, effort: str) -> Reasoning:
    if effort == "none":
        return replace(reasoning, mode="off")
    return replace(reasoning, effort=effort)


def _with_object(reasoning: Reasoning, value: Mapping[str, Any]) -> Reasoning:
    """OpenRouter's `reasoning`."""
    effort, budget = value.get("effort"), value.get("max_tokens")
    if isinstance(effort, str):
        reasoning = _with_effort(reasoning, effort)
    if isinstance(budget, int) and not isinstance(budget, bool):
        reasoning = replace(reasoning, budget=budget)
    enabled = value.get("enabled")
    if isinstance(enabled, bool):
        reasoning = replace(reasoning, mode="on" if enabled else "off")
    if value.get("exclude") is True:
        reasoning = replace(reasoning, show="none")
    return reasoning


def _with_switch(reasoning: Reasoning, value: Mapping[str, Any]) -> Reasoning:
    """`thinking` of DeepSeek, Z.ai, Moonshot and MiniMax."""
    word, budget = value.get("type"), value.get("budget_tokens")
    if word in ("enabled", "adaptive"):
        reasoning = replace(reasoning, mode="on")
    elif word == "disabled":
        reasoning = replace(reasoning, mode="off")
    if isinstance(budget, int) and not isinstance(budget, bool):
        reasoning = replace(reasoning, budget=budget)
    return reasoning
