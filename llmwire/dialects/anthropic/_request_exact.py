"""A neutral request that fits this dialect, written as the body of a request.

Nothing is settled here: `_adapt` has made the request fit, or it was read from this
dialect and goes back as it came.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from llmwire._json import decode_object
from llmwire.dialects.anthropic._blocks_write import (
    Members,
    add_extras,
    string_of,
    write_blocks,
)
from llmwire.dialects.anthropic._cache import write_cache
from llmwire.dialects.anthropic._request_read import TIERS, thinking_type
from llmwire.messages import Message, Part
from llmwire.requests import OutputFormat, Reasoning, Request, Tool, ToolChoice

_TIER_WORDS: Final = {neutral: word for word, neutral in TIERS.items()}
_DISPLAYS: Final = {"summary": "summarized", "none": "omitted"}
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}


def write_request(request: Request, turns: list[Members] | None = None) -> Members:
    """The members of the body, in a fixed order.

    Args:
        request: What to write.
        turns: The conversation behind the instructions, where it is written already.
    """
    body: Members = {}
    if request.model is not None:
        body["model"] = request.model
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.stream is not None:
        body["stream"] = request.stream
    if request.cache is not None:
        body["cache_control"] = write_cache(request.cache)
    _write_tools(request, body)
    _write_system(request, body)
    body["messages"] = _write_turns(request) if turns is None else turns
    _write_controls(request, body)
    _write_rest(request, body)
    return add_extras(body, request.extras)


def _write_system(request: Request, body: Members) -> None:
    top = [m for m in request.messages if m.top]
    if len(top) == 1:
        text = string_of(top[0].parts, top[0].extras)
        body["system"] = text if text is not None else write_blocks(top[0].parts)
    elif top:
        parts: list[Part] = [part for message in top for part in message.parts]
        body["system"] = write_blocks(parts)


def _write_turns(request: Request) -> list[Members]:
    return [write_message(m) for m in request.messages if not m.top]


def write_message(message: Message) -> Members:
    """One turn."""
    extras = message.extras
    role = "system" if message.role == "developer" else message.role
    text = string_of(message.parts, extras) if extras else None
    content = text if text is not None else write_blocks(message.parts)
    members: Members = {"role": role, "content": content}
    return add_extras(members, extras) if extras else members


def _write_tools(request: Request, body: Members) -> None:
    tools: list[Members | Raw] = []
    servers: list[Raw | None] = []
    for tool in request.tools:
        if tool.extras is not None and "@field" in tool.extras:
            servers.append(tool.raw)
        elif tool.raw is not None:
            tools.append(tool.raw)
        elif tool.kind in ("function", "custom"):
            tools.append(_write_tool(tool))
    if tools:
        body["tools"] = tools
    if servers:
        body["mcp_servers"] = servers
    choice = write_choice(request.tool_choice, request.parallel)
    if choice is not None:
        body["tool_choice"] = add_extras(choice, request.extras, "tool_choice")


def _write_tool(tool: Tool) -> Members:
    members: Members = {"name": tool.name}
    if tool.extras and "@type" in tool.extras:
        members = {"type": "custom", "name": tool.name}
    if tool.description is not None:
        members["description"] = tool.description
    if tool.schema is not None:
        members["input_schema"] = tool.schema
    if tool.strict is not None:
        members["strict"] = tool.strict
    if tool.cache is not None:
        members["cache_control"] = write_cache(tool.cache)
    return add_extras(members, tool.extras) if tool.extras else members


def write_choice(choice: ToolChoice | None, parallel: bool | None) -> Members | None:
    """`tool_choice`, which also says whether calls may be parallel."""
    if choice is None and parallel is None:
        return None
    members: Members = {"type": "auto"}
    if choice is not None:
        if choice.kind == "opaque" and choice.raw is not None:
            members = {"type": _opaque_type(choice)}
        elif choice.kind == "named" and choice.names:
            members = {"type": "tool", "name": choice.names[0]}
        else:
            members = {"type": _CHOICES.get(choice.mode, "auto")}
    if parallel is not None:
        members["disable_parallel_tool_use"] = not parallel
    return members


def _opaque_type(choice: ToolChoice) -> object:
    return decode_object(bytes(choice.raw or b"{}")).get("type", "auto")


def _write_controls(request: Request, body: Members) -> None:
    reasoning = request.reasoning
    if reasoning is not None and reasoning.mode != "default":
        body["thinking"] = _write_thinking(reasoning)
    config: Members = {}
    if reasoning is not None and reasoning.effort is not None:
        config["effort"] = reasoning.effort
    output = request.output
    if output is not None and output.kind in ("json_schema", "opaque"):
        written = _write_format(output)
        if output.extras and "@field" in output.extras:
            body["output_format"] = written
        else:
            config["format"] = written
    add_extras(config, request.extras, "output_config")
    if config:
        body["output_config"] = config
    sampling = request.sampling
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        body["top_k"] = sampling.top_k
    if request.stop:
        body["stop_sequences"] = request.stop


def _write_thinking(reasoning: Reasoning) -> Members:
    members: Members = {}
    extras = reasoning.extras or {}
    if "@type" in extras:
        if bytes(extras["@type"]) != b"null":
            members["type"] = extras["@type"]
    elif "type" in extras:
        members["type"] = extras["type"]
    else:
        members["type"] = thinking_type(reasoning.mode, reasoning.budget)
    if reasoning.budget is not None:
        members["budget_tokens"] = reasoning.budget
    if reasoning.show in _DISPLAYS:
        members["display"] = _DISPLAYS[reasoning.show]
    return add_extras(members, reasoning.extras)


def _write_format(output: OutputFormat) -> object:
    if output.raw is not None:
        return output.raw
    return add_extras({"type": "json_schema", "schema": output.schema}, output.extras)


def _write_rest(request: Request, body: Members) -> None:
    metadata: Members = {}
    if request.user is not None:
        metadata["user_id"] = request.user
    add_extras(metadata, request.extras, "metadata")
    if metadata:
        body["metadata"] = metadata
    tier = request.service_tier
    if tier is not None:
        body["service_tier"] = _TIER_WORDS.get(tier, tier)
    if request.state is not None and request.state.container is not None:
        body["container"] = request.state.container
