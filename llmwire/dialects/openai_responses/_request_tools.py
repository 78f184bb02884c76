"""Requests, from the neutral conversation onto the wire: tools, and which of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from llmwire import _json
from llmwire._turns import own_choice
from llmwire.dialects.openai_responses import _names
from llmwire.dialects.openai_responses._content_write import Object, Way, merge
from llmwire.requests import Request, Tool, ToolChoice

NO_ARGUMENTS: Final = Raw(b'{"type":"object","properties":{}}')
FREE_TEXT: Final = Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},'
    b'"required":["input"],"additionalProperties":false}'
)
"""Schema of a function that stands for a tool with free text."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+\Z")


def legal_name(name: str, limit: int) -> bool:
    """Whether a tool may be called `name`."""
    return len(name) <= limit and _NAME.match(name) is not None


def may_send(name: str, path: str, feature: str, way: Way) -> bool:
    """Whether the server takes a member; a loss is reported where it does not."""
    if way.native and way.profile.name in _names.VENDOR_PROFILES:
        return True
    if name not in way.profile.rejects:
        return True
    way.losses.drop(feature, path, "the target rejects it")
    return False


def write_tools(
    request: Request, body: Object, way: Way, names: Mapping[str, str]
) -> tuple[str, ...]:
    written: list[Object | Raw] = []
    custom: list[str] = []
    for at, tool in enumerate(request.tools):
        path = f"tools[{at}]"
        if tool.kind in ("server", "opaque"):
            if way.native and tool.raw is not None:
                written.append(tool.raw)
            else:
                feature = f"tool.{tool.kind}"
                way.losses.drop(feature, path, "the target has no such tool")
            continue
        name = names.get(tool.name, tool.name)
        if name != tool.name:
            reason = "the target rejects the name"
            way.losses.emulate("tool.name", f"{path}.name", reason)
        if tool.kind == "custom":
            definition = _custom_tool(tool, name, way, path)
            if definition["type"] == "function":
                custom.append(name)
            written.append(definition)
        else:
            written.append(_function(tool, name, way, path))
    if written:
        body["tools"] = written
    return tuple(custom)


def _function(tool: Tool, name: str, way: Way, path: str) -> Object:
    written: Object = {"type": "function", "name": name}
    if tool.description is not None:
        written["description"] = tool.description
    if way.native:
        if tool.schema is not None:
            written["parameters"] = tool.schema
        if tool.strict is not None:
            written["strict"] = tool.strict
        merge(written, tool.extras)
        return written
    _report_tool(tool, way, path)
    if tool.schema is None:
        reason = "a tool without arguments needs a schema all the same"
        way.losses.default("schema", f"{path}.schema", reason)
    written["parameters"] = tool.schema or NO_ARGUMENTS
    written["strict"] = _strict(tool, way, path)
    return written


def _strict(tool: Tool, way: Way, path: str) -> bool:
    """Whether arguments must fit the schema: said in any case.

    The API is strict where nothing is said, and refuses schemas that its strict subset
    does not know (https://platform.openai.com/docs/guides/function-calling).
    """
    place = f"{path}.strict"
    if tool.strict is None:
        reason = "the dialect is strict unless told otherwise"
        way.losses.default("tool.strict", place, reason)
        return False
    if tool.strict and not way.same_vendor and not is_strict(tool.schema):
        reason = "the schema is outside the target's strict subset"
        way.losses.approximate("tool.strict", place, reason)
        return False
    return tool.strict


def is_strict(schema: Raw | None) -> bool:
    """Whether every object in `schema` closes and requires all of its properties."""
    if schema is None:
        return False
    value = _json.decode_any(bytes(schema))
    waiting: list[Any] = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        if not isinstance(node, dict):
            continue
        properties = node.get("properties")
        if node.get("type") == "object" or isinstance(properties, dict):
            required = node.get("required") or []
            if node.get("additionalProperties") is not False or not isinstance(
                required, list
            ):
                return False
            if not isinstance(properties or {}, dict):
                return False
            if any(name not in required for name in properties or ()):
                return False
        waiting += node.values()
    return isinstance(value, dict)


def _report_tool(tool: Tool, way: Way, path: str) -> None:
    way.losses.drop_extras(tool.extras, path)
    if tool.cache is not None:
        way.losses.drop("cache.mark", f"{path}.cache", "tools cannot be marked")


def _custom_tool(tool: Tool, name: str, way: Way, path: str) -> Object:
    if not way.native:
        _report_tool(tool, way, path)
        if not way.profile.custom_tools:
            reason = "the target has no tools with free text"
            way.losses.emulate("tool.custom", path, reason)
            return _free_text(tool, name)
    written: Object = {"type": "custom", "name": name}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.format is not None:
        written["format"] = tool.format
    if way.native:
        if tool.strict is not None:
            written["strict"] = tool.strict
        merge(written, tool.extras)
    elif tool.schema is not None or tool.strict is not None:
        reason = "tools with free text have no schema"
        way.losses.drop("schema", f"{path}.schema", reason)
    return written


def _free_text(tool: Tool, name: str) -> Object:
    description = tool.description or ""
    grammar = _json.decode_any(bytes(tool.format)) if tool.format else None
    if isinstance(grammar, dict) and grammar.get("definition"):
        syntax, definition = grammar.get("syntax", ""), grammar["definition"]
        description += f"\n\nThe input follows this {syntax} grammar:\n{definition}"
    return {
        "type": "function",
        "name": name,
        "description": description.strip(),
        "parameters": FREE_TEXT,
        "strict": False,
    }


def write_tool_choice(
    request: Request, body: Object, way: Way, names: Mapping[str, str]
) -> None:
    choice = request.tool_choice
    if way.native:
        if request.parallel is not None and may_send(
            "parallel", "parallel", "parallel", way
        ):
            body["parallel_tool_calls"] = request.parallel
        if choice is not None and may_send(
            "tool_choice", "tool_choice", "tool.choice", way
        ):
            body["tool_choice"] = (
                _choice(choice, request, names) if choice.raw is None else choice.raw
            )
        return
    if not body.get("tools"):
        reason = "it may not be said without tools"
        if request.parallel is not None:
            way.losses.drop("parallel", "parallel", reason)
        if choice is not None:
            way.losses.drop("tool.choice", "tool_choice", reason)
        return
    if request.parallel is not None and may_send(
        "parallel", "parallel", "parallel", way
    ):
        body["parallel_tool_calls"] = request.parallel
    if choice is None or not may_send("tool_choice", "tool_choice", "tool.choice", way):
        return
    choice = own_choice(request, way.losses)
    if choice is None:
        return
    if choice.kind == "opaque":
        way.losses.drop("tool.choice", "tool_choice", "a tool of another dialect")
        return
    if choice.mode == "validated":
        reason = "there are strict tools instead"
        way.losses.approximate("tool.choice", "tool_choice.mode", reason)
        choice = replace(choice, mode="auto")
    rejected = "required_tool_choice" in way.profile.rejects
    if rejected and choice.mode == "required":
        reason = "the target cannot be made to call a tool"
        way.losses.approximate("tool.choice", "tool_choice", reason)
        choice = ToolChoice(mode="auto")
    elif choice.names and choice.mode == "none":
        reason = "no tool is allowed at all"
        way.losses.approximate("tool.choice", "tool_choice", reason)
    elif choice != _canonical(choice):
        reason = "said in the target's own words"
        way.losses.approximate("tool.choice", "tool_choice.kind", reason)
    if any(name in names for name in choice.names):
        reason = "the target rejects the name"
        way.losses.emulate("tool.name", "tool_choice.names", reason)
    body["tool_choice"] = _choice(choice, request, names)


def _canonical(choice: ToolChoice) -> ToolChoice:
    """`choice` as it would be read again."""
    kind: Any = "any"
    if choice.names:
        single = len(choice.names) == 1 and choice.kind != "allowed"
        kind = "named" if single and choice.mode == "required" else "allowed"
    return replace(choice, kind=kind)


def _choice(
    choice: ToolChoice, request: Request, names: Mapping[str, str]
) -> str | Object:
    if not choice.names or choice.mode == "none":
        return "auto" if choice.mode == "validated" else choice.mode
    custom = {tool.name for tool in request.tools if tool.kind == "custom"}
    tools: list[Object] = [
        {
            "type": "custom" if name in custom else "function",
            "name": names.get(name, name),
        }
        for name in choice.names
    ]
    if _canonical(choice).kind == "named":
        return tools[0]
    mode = "required" if choice.mode == "required" else "auto"
    return {"type": "allowed_tools", "mode": mode, "tools": tools}
