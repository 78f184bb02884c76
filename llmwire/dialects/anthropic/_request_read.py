"""Requests to `/v1/messages` (and `/count_tokens`) as neutral requests.

Strict about what a client sends: what the vendor would reject for its shape is refused
with its place; what is only unknown is kept. A member that we model and whose value the
neutral form cannot hold (null, an empty list) stands in `extras` under its name.
"""

from __future__ import annotations

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
from llmwire._unread import Unread
from llmwire.dialects.anthropic import _wire as w
from llmwire.dialects.anthropic._cache import odd_members, read_cache
from llmwire.dialects.anthropic._messages_read import read_messages, read_system
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.messages import CacheMark, Extras
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
_EMPTY_LIST: Final = Raw(b"[]")
_Extras = dict[str, Raw]

MCP_NOTE: Final[Extras] = {"@field": Raw(b'"mcp_servers"')}
"""The tool stood among `mcp_servers`. Shared: never changed."""
TIERS: Final = {"standard_only": "default", "auto": "auto"}
"""Service tiers asked for, as neutral words."""
_SHOWS: Final = {"summarized": "summary", "omitted": "none"}
_MODES: Final = {"auto": "auto", "none": "none", "any": "required", "tool": "required"}
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
_NULLABLES: Final = attrgetter(*_NULLABLE)
_SELDOM: Final = attrgetter(
    "stop_sequences",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "cache_control",
    "metadata",
    "service_tier",
    "container",
    "mcp_servers",
    *_KEPT,
)
"""Members that few requests have."""
_NO_SELDOM: Final = _SELDOM(w.RequestWire(messages=[]))
_TOOL_SELDOM: Final = attrgetter(
    "type",
    "cache_control",
    "defer_loading",
    "input_examples",
    "eager_input_streaming",
    "allowed_callers",
)
_NO_TOOL_SELDOM: Final = _TOOL_SELDOM(w.ToolWire(name=""))


def decode_request(http: HTTPRequest, limits: Limits) -> Request:
    """The neutral request.

    Raises:
        RemoteProtocolError: It is none of this dialect; names the place.
        LimitExceeded: It is larger than `limits` allow.
    """
    body = http.body
    if len(body) > limits.body:
        raise LimitExceeded(f"the body has more than {limits.body} bytes")
    unread = Unread(body, limits.nesting, "$")
    try:
        return _read(http, limits, unread)
    except RemoteProtocolError:
        unread.check_all()
        raise


def _read(http: HTTPRequest, limits: Limits, unread: Unread) -> Request:
    wire: w.RequestWire | None = fitting(w.RequestWire, http.body)
    if wire is None:
        unread.check_all()
        wire = _request.decode(http.body)
    extras: _Extras = dict(odd_members(wire) or {})
    if None in _NULLABLES(wire):
        extras |= {n: NULL for n in _NULLABLE if getattr(wire, n) is None}
    seldom = _SELDOM(wire)
    usual = seldom == _NO_SELDOM
    cache: CacheMark | None = None
    if not usual:
        unread.check_within(seldom)
        kept = ((name, getattr(wire, name)) for name in _KEPT)
        extras |= {name: value for name, value in kept if value is not UNSET}
        cache, found = read_cache(wire.cache_control, extras)
        extras = found or {}
    if len(wire.messages) > limits.messages:
        what = f"more than {limits.messages} messages"
        raise LimitExceeded(what, path="$.messages")
    messages = read_system(wire.system, unread, "system" not in wire.loose)
    if wire.system == []:
        extras["system"] = _EMPTY_LIST
    exact = "messages" not in wire.loose
    messages += read_messages(wire.messages, unread, limits.parts, exact)
    version, betas = _read_headers(http)
    return Request(
        model=_value(wire.model),
        messages=tuple(messages),
        tools=_read_tools(wire, unread, extras),
        sampling=_read_sampling(wire),
        max_tokens=_value(wire.max_tokens),
        stream=_value(wire.stream),
        include_usage=True if wire.stream is True else None,
        cache=cache,
        version=version,
        betas=betas,
        dialect=w.NAME,
        **({} if usual else _read_seldom(wire, extras)),
        extras=extras or None,
    )


def _read_seldom(wire: w.RequestWire, extras: _Extras) -> dict[str, Any]:
    """Fields of the request that few have."""
    return {
        "tool_choice": _read_choice(wire, extras),
        "parallel": _read_parallel(wire),
        "stop": _read_list(wire.stop_sequences, "stop_sequences", extras),
        "output": _read_output(wire, extras),
        "reasoning": _read_reasoning(wire, extras),
        "user": _read_user(wire, extras),
        "service_tier": _read_tier(wire, extras),
        "state": _read_state(wire, extras),
    }


def _read_headers(http: HTTPRequest) -> tuple[str | None, tuple[str, ...]]:
    """The version of the protocol, and the betas that are asked for."""
    version: str | None = None
    betas: list[str] = []
    for name, value in http.headers:
        if name == "anthropic-beta":
            betas += filter(None, map(str.strip, value.split(",")))
        elif name == "anthropic-version" and version is None:
            version = value
    return version, tuple(betas)


def _value(value: V | UnsetType | None) -> V | None:
    return None if value is UNSET else value


def _read_list(
    value: list[str] | UnsetType | None, name: str, extras: _Extras
) -> tuple[str, ...]:
    if isinstance(value, list):
        if not value:
            extras[name] = _EMPTY_LIST
        return tuple(value)
    return ()


def _read_sampling(wire: w.RequestWire) -> Sampling:
    return Sampling(
        temperature=_value(wire.temperature),
        top_p=_value(wire.top_p),
        top_k=_value(wire.top_k),
    )


def _read_tools(
    wire: w.RequestWire, unread: Unread, extras: _Extras
) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    if isinstance(wire.tools, list):
        if not wire.tools:
            extras["tools"] = _EMPTY_LIST
        for at, raw in enumerate(wire.tools):
            if len(raw) > unread.short:
                unread.check(raw)
            tools.append(_read_tool(raw, at))
    if isinstance(wire.mcp_servers, list):
        if not wire.mcp_servers:
            extras["mcp_servers"] = _EMPTY_LIST
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
    text, schema, strict = wire.description, wire.input_schema, wire.strict
    seldom = _TOOL_SELDOM(wire) != _NO_TOOL_SELDOM or wire.extras
    if not seldom and text is not None and strict is not None:
        return Tool(
            name=wire.name,
            description=None if text is UNSET else text,
            schema=None if schema is UNSET else schema,
            strict=None if strict is UNSET else strict,
        )
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
