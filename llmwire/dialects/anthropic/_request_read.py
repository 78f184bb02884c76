"""Requests to `/v1/messages` (and `/count_tokens`) as neutral requests.

Strict about what a client sends: what the vendor would reject for its shape is refused
with its place; what is only unknown is kept. A member that we model and whose value the
neutral form cannot hold (null, an empty list) stands in `extras` under its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from llmwire._json import (
    NULL,
    Schema,
    decode_any,
    decode_object,
    decoder,
    encode,
    fitting,
    nested,
    strangers,
)
from llmwire._nesting import Nesting
from llmwire.dialects.anthropic import _wire as w
from llmwire.dialects.anthropic._blocks_read import REQUEST, STRING_NOTE, read_blocks
from llmwire.dialects.anthropic._cache import odd_members, read_cache
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.messages import CacheMark, Extras, Message, Role, TextPart
from llmwire.requests import (
    OutputFormat,
    Reasoning,
    Request,
    Sampling,
    ServerState,
    Tool,
    ToolChoice,
)

V = TypeVar("V")
_Extras = dict[str, Raw]

MCP_NOTE: Final[Extras] = {"@field": Raw(b'"mcp_servers"')}
"""The tool stood among `mcp_servers`. Shared: never changed."""
TIERS: Final = {"standard_only": "default", "auto": "auto"}
"""Service tiers asked for, as neutral words."""
_SHOWS: Final = {"summarized": "summary", "omitted": "none"}
_MODES: Final = {"auto": "auto", "none": "none", "any": "required", "tool": "required"}
_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}
_RUN_BY_VENDOR: Final = (
    "web_search",
    "web_fetch",
    "code_execution",
    "tool_search",
    "advisor",
    "mcp",
)
_request = Schema(w.RequestWire)
_tool = Schema(w.ToolWire)
_tool_strict = decoder(w.ToolWire)
_KEPT: Final = (
    "context_management",
    "speed",
    "inference_geo",
    "anthropic_version",
    "anthropic_beta",
)
_RAWS: Final = attrgetter("container", *_KEPT)
_NULLABLE: Final = (
    "model",
    "max_tokens",
    "system",
    "stream",
    "stop_sequences",
    "temperature",
    "top_p",
    "top_k",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "metadata",
    "service_tier",
    "mcp_servers",
)


def decode_request(http: HTTPRequest, limits: Limits) -> Request:
    """The neutral request.

    Raises:
        RemoteProtocolError: It is none of this dialect; names the place.
        LimitExceeded: It is larger than `limits` allow.
    """
    wire = _body(http.body, limits)
    extras: _Extras = dict(odd_members(wire) or {})
    for name in _NULLABLE:
        if getattr(wire, name) is None:
            extras[name] = NULL
    for name in _KEPT:
        value = getattr(wire, name)
        if value is not UNSET:
            extras[name] = value
    cache: CacheMark | None = None
    if wire.cache_control is not UNSET:
        cache, found = read_cache(wire.cache_control, extras)
        extras = found or {}
    betas = [
        word.strip()
        for name, value in http.headers
        if name == "anthropic-beta"
        for word in value.split(",")
        if word.strip()
    ]
    return Request(
        model=_value(wire.model),
        messages=_read_messages(wire, limits, extras),
        tools=_read_tools(wire, extras),
        tool_choice=_read_choice(wire, extras),
        parallel=_read_parallel(wire),
        sampling=_read_sampling(wire),
        stop=_read_list(wire.stop_sequences, "stop_sequences", extras),
        max_tokens=_value(wire.max_tokens),
        output=_read_output(wire, extras),
        reasoning=_read_reasoning(wire, extras),
        stream=_value(wire.stream),
        include_usage=True if wire.stream is True else None,
        user=_read_user(wire, extras),
        cache=cache,
        service_tier=_read_tier(wire, extras),
        state=_read_state(wire, extras),
        version=http.header("anthropic-version"),
        betas=tuple(betas),
        dialect=w.NAME,
        extras=extras or None,
    )


def _body(body: bytes, limits: Limits) -> w.RequestWire:
    if len(body) > limits.body:
        raise LimitExceeded(f"the body has more than {limits.body} bytes")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"invalid UTF-8 at byte {error.start}"
        raise RemoteProtocolError(what, path="$") from None
    nesting = Nesting(body, limits.nesting)
    wire: w.RequestWire | None = fitting(w.RequestWire, body)
    if wire is None:
        nesting.check()
        return _request.decode(body)
    for value in _RAWS(wire):
        if value is not UNSET:
            nesting.check_raw(value)
    for raw in (*(wire.tools or ()), *(wire.mcp_servers or ())):
        nesting.check_raw(raw)
    if wire.output_config is not UNSET or wire.output_format is not UNSET:
        nesting.check()
    if isinstance(wire.system, list):
        _look(wire.system, nesting)
    for message in wire.messages:
        if type(message.content) is not str:
            _look(message.content, nesting)
    return wire


def _look(blocks: Sequence[Any], nesting: Nesting) -> None:
    """Have the whole body looked at where one of `blocks` may be nested deeply."""
    for block in blocks:
        kind = type(block)
        if kind is w.TextBlock and not block.citations:
            continue
        if kind is w.ToolUseBlock and block.caller is UNSET:
            nesting.check_raw(block.input)
        elif kind is w.ToolResultBlock:
            if type(block.content) is list:
                _look(block.content, nesting)
        else:
            nesting.check()


def _value(value: V | UnsetType | None) -> V | None:
    return None if value is UNSET else value


def _read_messages(
    wire: w.RequestWire, limits: Limits, extras: _Extras
) -> tuple[Message, ...]:
    if len(wire.messages) > limits.messages:
        what = f"more than {limits.messages} messages"
        raise LimitExceeded(what, path="$.messages")
    messages: list[Message] = []
    system = wire.system
    if isinstance(system, str):
        parts = (TextPart(text=system),)
        messages.append(
            Message(role="system", parts=parts, top=True, extras=STRING_NOTE)
        )
    elif isinstance(system, list):
        if system:
            blocks = tuple(read_blocks(system, "$.system", REQUEST))
            messages.append(Message(role="system", parts=blocks, top=True))
        else:
            extras["system"] = Raw(b"[]")
    for at, message in enumerate(wire.messages):
        messages.append(_read_message(message, at, limits))
    return tuple(messages)


def _read_message(wire: w.MessageWire, at: int, limits: Limits) -> Message:
    role = _ROLES.get(wire.role)
    if role is None:
        what = "expected `user`, `assistant` or `system`"
        raise RemoteProtocolError(what, path=f"$.messages[{at}].role")
    odd = odd_members(wire) if wire.extras else None
    content = wire.content
    if type(content) is str:
        extras = {**odd, **STRING_NOTE} if odd else STRING_NOTE
        return Message(role=role, parts=(TextPart(text=content),), extras=extras)
    if len(content) > limits.parts:
        path = f"$.messages[{at}].content"
        raise LimitExceeded(f"more than {limits.parts} blocks", path=path)
    parts = tuple(read_blocks(content, at, REQUEST))
    return Message(role=role, parts=parts, extras=odd)


def _read_list(
    value: list[str] | UnsetType | None, name: str, extras: _Extras
) -> tuple[str, ...]:
    if isinstance(value, list):
        if not value:
            extras[name] = Raw(b"[]")
        return tuple(value)
    return ()


def _read_sampling(wire: w.RequestWire) -> Sampling:
    return Sampling(
        temperature=_value(wire.temperature),
        top_p=_value(wire.top_p),
        top_k=_value(wire.top_k),
    )


def _read_tools(wire: w.RequestWire, extras: _Extras) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    if isinstance(wire.tools, list):
        if not wire.tools:
            extras["tools"] = Raw(b"[]")
        for at, raw in enumerate(wire.tools):
            tools.append(_read_tool(raw, at))
    if isinstance(wire.mcp_servers, list):
        if not wire.mcp_servers:
            extras["mcp_servers"] = Raw(b"[]")
        tools += (
            Tool(kind="server", name="mcp_server", raw=raw, extras=MCP_NOTE)
            for raw in wire.mcp_servers
        )
    return tuple(tools)


def _read_tool(raw: Raw, at: int) -> Tool:
    try:
        wire = _tool_strict.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        path = f"$.tools[{at}]"
        members = decode_object(bytes(raw), path)
        word = decode_any(bytes(members["type"])) if "type" in members else None
        if isinstance(word, str) and word != "custom":
            return _vendor_tool(word, raw)
        wire = _tool.decode(raw, path)
    if isinstance(wire.type, str) and wire.type != "custom":
        return _vendor_tool(wire.type, raw)
    extras = _tool_extras(wire)
    cache: CacheMark | None = None
    if wire.cache_control is not UNSET:
        cache, extras = read_cache(wire.cache_control, extras)
    return Tool(
        name=wire.name,
        description=_value(wire.description),
        schema=_value(wire.input_schema),
        strict=_value(wire.strict),
        cache=cache,
        extras=extras,
    )


def _vendor_tool(word: str, raw: Raw) -> Tool:
    """A tool that the vendor defines, and maybe runs."""
    kind = "server" if word.startswith(_RUN_BY_VENDOR) else "opaque"
    return Tool(kind=kind, name=word, raw=raw)  # type: ignore[arg-type]  # a Literal by construction


def _tool_extras(wire: w.ToolWire) -> _Extras | None:
    extras: _Extras = {}
    if wire.type == "custom":
        extras["@type"] = Raw(b'"custom"')
    for name, value in (
        ("type", wire.type),
        ("description", wire.description),
        ("strict", wire.strict),
    ):
        if value is None:
            extras[name] = NULL
    for name, raw in (
        ("defer_loading", wire.defer_loading),
        ("input_examples", wire.input_examples),
        ("eager_input_streaming", wire.eager_input_streaming),
        ("allowed_callers", wire.allowed_callers),
    ):
        if raw is not UNSET:
            extras[name] = raw
    if wire.extras:
        return nested("", strangers(wire), extras)
    return extras or None


def _read_choice(wire: w.RequestWire, extras: _Extras) -> ToolChoice | None:
    choice = wire.tool_choice
    if not isinstance(choice, w.ToolChoiceWire):
        return None
    odd = dict(strangers(choice))
    if choice.disable_parallel_tool_use is None:
        odd["disable_parallel_tool_use"] = NULL
    named = choice.type == "tool"
    if named and not choice.name:
        what = "a choice of type `tool` needs a `name`"
        raise RemoteProtocolError(what, path="$.tool_choice.name")
    if not named and choice.name is not UNSET:
        odd["name"] = Raw(encode(choice.name))
    extras.update(nested("tool_choice", odd, None) or {})
    mode = _MODES.get(choice.type)
    if mode is None:
        raw = Raw(encode({"type": choice.type}))
        return ToolChoice(mode="auto", kind="opaque", raw=raw)
    if named:
        return ToolChoice(mode="required", names=(str(choice.name),), kind="named")
    return ToolChoice(mode=mode)  # type: ignore[arg-type]  # a Literal by the table


def _read_parallel(wire: w.RequestWire) -> bool | None:
    choice = wire.tool_choice
    if not isinstance(choice, w.ToolChoiceWire):
        return None
    disabled = choice.disable_parallel_tool_use
    return not disabled if isinstance(disabled, bool) else None


def _read_reasoning(wire: w.RequestWire, extras: _Extras) -> Reasoning | None:
    thinking = wire.thinking
    config = wire.output_config
    effort = None
    if isinstance(config, w.OutputConfig):
        effort = _value(config.effort)
    if not isinstance(thinking, w.ThinkingWire):
        return None if effort is None else Reasoning(effort=effort)
    odd = dict(odd_members(thinking) or {})
    for name in ("budget_tokens", "display"):
        if getattr(thinking, name) is None:
            odd[name] = NULL
    show = None
    if isinstance(thinking.display, str):
        show = _SHOWS.get(thinking.display)
        if show is None:
            odd["display"] = Raw(encode(thinking.display))
    budget = _value(thinking.budget_tokens)
    word = thinking.type
    mode = "off" if word in ("disabled", "between_tools") else "on"
    if word != thinking_type(mode, budget):
        odd["type"] = NULL if isinstance(word, UnsetType) else Raw(encode(word))
        if word in ("enabled", "adaptive") or isinstance(word, UnsetType):
            odd["@type"] = odd.pop("type")
    return Reasoning(
        mode=mode,  # type: ignore[arg-type]  # a Literal by construction
        effort=effort,
        budget=budget,
        show=show,  # type: ignore[arg-type]  # a Literal by the table
        extras=odd or None,
    )


def thinking_type(mode: str, budget: int | None) -> str:
    """`thinking.type` for a mode and a budget, without any note."""
    if mode == "off":
        return "disabled"
    return "adaptive" if budget is None else "enabled"


def _read_output(wire: w.RequestWire, extras: _Extras) -> OutputFormat | None:
    found: OutputFormat | None = None
    config = wire.output_config
    if isinstance(config, w.OutputConfig):
        odd = dict(strangers(config))
        for name in ("effort", "format"):
            if getattr(config, name) is None:
                odd[name] = NULL
        if isinstance(config.format, w.FormatWire):
            found = _read_format(config.format, None)
        extras.update(nested("output_config", odd, None) or {})
        if not odd and config.effort is UNSET and found is None:
            extras["output_config"] = Raw(b"{}")
    older = wire.output_format
    if isinstance(older, w.FormatWire):
        if found is None:
            return _read_format(older, {"@field": Raw(b'"output_format"')})
        extras["output_format"] = Raw(encode(_format_members(older)))
    return found


def _format_members(wire: w.FormatWire) -> dict[str, object]:
    members: dict[str, object] = {"type": wire.type, "schema": wire.schema}
    members.update(strangers(wire))
    return {name: value for name, value in members.items() if value is not UNSET}


def _read_format(wire: w.FormatWire, note: _Extras | None) -> OutputFormat:
    if wire.type == "json_schema" and wire.schema is not UNSET:
        extras = nested("", strangers(wire), note)
        return OutputFormat(kind="json_schema", schema=wire.schema, extras=extras)
    raw = Raw(encode(_format_members(wire)))
    return OutputFormat(kind="opaque", raw=raw, extras=note)


def _read_user(wire: w.RequestWire, extras: _Extras) -> str | None:
    metadata = wire.metadata
    if not isinstance(metadata, w.MetadataWire):
        return None
    odd = dict(strangers(metadata))
    if metadata.user_id is None:
        odd["user_id"] = NULL
    extras.update(nested("metadata", odd, None) or {})
    if not odd and metadata.user_id is UNSET:
        extras["metadata"] = Raw(b"{}")
    return _value(metadata.user_id)


def _read_tier(wire: w.RequestWire, extras: _Extras) -> str | None:
    word = _value(wire.service_tier)
    if word == "default":
        extras["service_tier"] = Raw(b'"default"')
        return None
    return None if word is None else TIERS.get(word, word)


def _read_state(wire: w.RequestWire, extras: _Extras) -> ServerState | None:
    container = wire.container
    if isinstance(container, UnsetType):
        return None
    if bytes(container) == b"null":
        extras["container"] = NULL
        return None
    return ServerState(container=container)
