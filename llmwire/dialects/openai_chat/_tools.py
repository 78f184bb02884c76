"""Tools, tool choice and output format: definitions both ways.

https://platform.openai.com/docs/guides/function-calling; the legacy `functions` and
`function_call` too. What a definition holds beyond the neutral form is kept with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType

from llmwire._json import (
    NULL,
    decode_any,
    decode_object,
    encode,
    level,
    nested,
    strangers,
)
from llmwire.dialects.openai_chat._content_read import read_cache_control
from llmwire.dialects.openai_chat._notes import LEGACY, Kept, said
from llmwire.dialects.openai_chat._wire import (
    CustomObject,
    CustomTool,
    FunctionObject,
    FunctionTool,
)
from llmwire.dialects.openai_chat._writing import VENDOR, Writing
from llmwire.messages import CacheMark
from llmwire.requests import OutputFormat, Request, Tool, ToolChoice

WEB_SEARCH: Final = "web_search_options"
"""The one hosted tool, which has a member of its own."""
_INPUT_SCHEMA: Final = Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}'
)


# --- reading -----------------------------------------------------------------------


def read_tool(wire: FunctionTool | CustomTool | Raw, path: str) -> Tool:
    """One entry of `tools`; of an unknown type it is kept whole."""
    if isinstance(wire, FunctionTool):
        return _read_function(wire)
    if isinstance(wire, CustomTool):
        return _read_custom(wire)
    word = decode_any(bytes(decode_object(bytes(wire), path).get("type", NULL)))
    if isinstance(word, str) and word:
        return Tool(kind="server", name=word, raw=wire)
    return Tool(kind="opaque", name="", raw=wire)


def plain_tool(wire: FunctionTool | CustomTool | Raw) -> Tool | None:
    """A function's definition without strangers and nulls, which most are."""
    if type(wire) is not FunctionTool:
        return None
    inner = wire.function
    schema, text, strict = inner.parameters, inner.description, inner.strict
    if wire.extras or inner.extras or wire.cache_control is not UNSET:
        return None
    if text is None or strict is None or schema == NULL:
        return None
    return Tool(
        name=inner.name,
        description=None if isinstance(text, UnsetType) else text,
        schema=None if isinstance(schema, UnsetType) else schema,
        strict=None if isinstance(strict, UnsetType) else strict,
    )


def _read_function(wire: FunctionTool) -> Tool:
    kept = Kept(strangers(wire))
    cache: CacheMark | None = None
    if not isinstance(wire.cache_control, UnsetType):
        cache = read_cache_control(wire.cache_control)
        if cache is None:
            kept.extras["cache_control"] = wire.cache_control
    return _read_object(wire.function, kept, "function", cache)


def _read_object(
    wire: FunctionObject, kept: Kept, prefix: str, cache: CacheMark | None
) -> Tool:
    found = strangers(wire)
    if found:
        kept.extras = nested(prefix, found, kept.extras) or {}
    schema = None
    if not isinstance(wire.parameters, UnsetType):
        if bytes(wire.parameters) == b"null":
            kept.said[f"{prefix}/parameters"] = NULL
        else:
            schema = wire.parameters
    for name in ("description", "strict"):
        if getattr(wire, name) is None:
            kept.said[f"{prefix}/{name}"] = NULL
    return Tool(
        name=wire.name,
        description=_known(wire.description),
        schema=schema,
        strict=_known(wire.strict),
        cache=cache,
        extras=kept.done(),
    )


def _known(value: Any) -> Any:
    return None if isinstance(value, UnsetType) else value


def _read_custom(wire: CustomTool) -> Tool:
    kept = Kept(strangers(wire))
    inner: CustomObject = wire.custom
    kept.extras = nested("custom", strangers(inner), kept.extras) or {}
    shape = None
    if not isinstance(inner.format, UnsetType):
        shape = flat_format(inner.format)
        if shape is None:
            kept.extras["custom/format"] = inner.format
    if inner.description is None:
        kept.said["custom/description"] = NULL
    return Tool(
        kind="custom",
        name=inner.name,
        description=_known(inner.description),
        format=shape,
        extras=kept.done(),
    )


def flat_format(raw: Raw) -> Raw | None:
    """A custom tool's format without the level `grammar`, None if it is another."""
    value = decode_any(bytes(raw))
    if value == {"type": "text"}:
        return Raw(b'{"type":"text"}')
    if not isinstance(value, dict) or set(value) != {"type", "grammar"}:
        return None
    grammar = value["grammar"]
    if value["type"] != "grammar" or not isinstance(grammar, dict):
        return None
    if set(grammar) != {"syntax", "definition"}:
        return None
    return Raw(encode({"type": "grammar", **grammar}))


def read_legacy(wire: FunctionObject) -> Tool:
    """One entry of the legacy `functions`."""
    kept = Kept()
    kept.extras[LEGACY] = Raw(b"true")
    return _read_object(wire, kept, "function", None)


def read_choice(raw: Raw, *, legacy: bool = False) -> ToolChoice:
    """`tool_choice`, or the legacy `function_call`."""
    value = decode_any(bytes(raw))
    if isinstance(value, str):
        if value in ("auto", "none", "required"):
            return ToolChoice(mode=value)  # type: ignore[arg-type]  # one of the modes
        if value == "any":
            return ToolChoice(mode="required", raw=raw)
    elif isinstance(value, dict):
        found = _read_named(value, raw, legacy) or _read_allowed(value, raw)
        if found is not None:
            return found
    return ToolChoice(mode="auto", kind="opaque", raw=raw)


def _read_named(value: Mapping[str, Any], raw: Raw, legacy: bool) -> ToolChoice | None:
    kind = value.get("type")
    inner, exact = None, False
    if isinstance(kind, str) and kind in ("function", "custom"):
        inner, exact = value.get(kind), set(value) == {"type", kind}
    if kind is None and set(value) == {"name"}:
        inner = value
    name = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(name, str):
        return None
    exact = exact and kind is not None and set(inner or ()) == {"name"}
    custom = kind == "custom"
    return ToolChoice(
        mode="required",
        names=(name,),
        kind="named",
        raw=None if (exact and not custom) or legacy else raw,
    )


def _read_allowed(value: Mapping[str, Any], raw: Raw) -> ToolChoice | None:
    inner = value.get("allowed_tools")
    if value.get("type") != "allowed_tools" or not isinstance(inner, dict):
        return None
    mode, tools = inner.get("mode"), inner.get("tools")
    if mode not in ("auto", "required") or not isinstance(tools, list):
        return None
    names = []
    for tool in tools:
        kind = tool.get("type") if isinstance(tool, dict) else None
        one = tool.get(kind) if kind in ("function", "custom") else None
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            return None
        names.append(one["name"])
    plain = _allowed(mode, names, {})
    return ToolChoice(
        mode=mode,
        names=tuple(names),
        kind="allowed",
        raw=None if plain == value else raw,
    )


def _allowed(mode: str, names: Any, kinds: Mapping[str, str]) -> dict[str, Any]:
    tools = [
        {"type": kinds.get(n, "function"), kinds.get(n, "function"): {"name": n}}
        for n in names
    ]
    inner = {"mode": mode, "tools": tools}
    return {"type": "allowed_tools", "allowed_tools": inner}


def read_format(raw: Raw) -> OutputFormat:
    """`response_format`."""
    value = decode_any(bytes(raw))
    opaque = OutputFormat(kind="opaque", raw=raw)
    if not isinstance(value, dict):
        return opaque
    members = decode_object(bytes(raw))
    kind = value.get("type")
    members.pop("type", None)
    if kind in ("text", "json_object"):
        return OutputFormat(kind=kind, extras=nested("", members, None))
    if kind != "json_schema" or not isinstance(value.get("json_schema"), dict):
        return opaque
    inner = decode_object(bytes(members.pop("json_schema")))
    given = value["json_schema"]
    extras = nested("", members, None)
    known: dict[str, Any] = {}
    for name, type_ in (("name", str), ("description", str), ("strict", bool)):
        if isinstance(given.get(name), type_):
            known[name] = given[name]
            del inner[name]
    schema = inner.pop("schema", None)
    if schema is not None and bytes(schema) == b"null":
        inner["schema"], schema = schema, None
    extras = nested("json_schema", inner, extras)
    return OutputFormat(kind="json_schema", schema=schema, extras=extras, **known)


# --- writing -----------------------------------------------------------------------


def write_tool(tool: Tool, to: Writing, path: str, names: Mapping[str, str]) -> Any:
    """One entry of `tools`; None where it goes elsewhere or nowhere.

    Raises:
        UnsupportedFeature: A tool that only another server has.
    """
    if tool.kind in ("server", "opaque"):
        if to.native and tool.raw is not None:
            return None if tool.name == WEB_SEARCH else tool.raw
        feature = f"tool.{tool.kind}"
        to.losses.drop(feature, path, "only its own server has this tool")
        return None
    if tool.kind == "custom":
        return _write_custom(tool, to, path, names)
    written: dict[str, Any] = {
        "type": "function",
        "function": write_function(tool, to, path, names),
    }
    if tool.cache is not None:
        style = tool.cache.extras or {}
        if to.native or (to.profile.cache_marks and "@field" in style):
            written["cache_control"] = {"type": "ephemeral"}
            if tool.cache.ttl is not None:
                written["cache_control"]["ttl"] = tool.cache.ttl
            if to.extras:
                written["cache_control"] |= level(tool.cache.extras)
        else:
            to.losses.drop("cache.mark", f"{path}.cache", "tools take no cache mark")
    for name, value in to.strangers(tool.extras, path).items():
        written.setdefault(name, value)
    return written


def is_bare_tool(tool: Tool) -> bool:
    """Whether `tool` is a function with a name, a description and a schema at most."""
    return (
        tool.kind == "function"
        and tool.extras is None
        and tool.cache is None
        and tool.strict is None
    )


def write_bare_tool(tool: Tool, names: Mapping[str, str]) -> dict[str, Any]:
    """`write_tool` of one that `is_bare_tool`: nothing of it can be lost."""
    function: dict[str, Any] = {"name": names.get(tool.name, tool.name)}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = tool.schema
    return {"type": "function", "function": function}


def write_function(
    tool: Tool, to: Writing, path: str, names: Mapping[str, str]
) -> dict[str, Any]:
    """A function's definition."""
    written: dict[str, Any] = {"name": names.get(tool.name, tool.name)}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.schema is not None:
        written["parameters"] = tool.schema
    if tool.strict is not None:
        if "tool_strict" in to.profile.rejects and not to.exact:
            reason = "the server knows no strict tools"
            to.losses.drop("tool.strict", f"{path}.strict", reason)
        else:
            written["strict"] = tool.strict
    if to.native:
        for name, value in said(tool.extras).items():
            written.setdefault(name.removeprefix("function/"), value)
    for name, value in to.strangers(tool.extras, path, "function").items():
        written.setdefault(name, value)
    return written


def _write_custom(
    tool: Tool, to: Writing, path: str, names: Mapping[str, str]
) -> dict[str, Any]:
    name = names.get(tool.name, tool.name)
    if not (to.exact or to.profile.custom_tools):
        to.losses.emulate("tool.custom", path, "a function with one input")
        return {
            "type": "function",
            "function": {
                "name": name,
                "description": emulated_description(tool),
                "parameters": _INPUT_SCHEMA,
            },
        }
    inner: dict[str, Any] = {"name": name}
    if tool.description is not None:
        inner["description"] = tool.description
    if tool.format is not None:
        inner["format"] = nested_format(tool.format)
    if to.native:
        for key, value in said(tool.extras).items():
            inner.setdefault(key.removeprefix("custom/"), value)
    for key, value in to.strangers(tool.extras, path, "custom").items():
        inner.setdefault(key, value)
    written: dict[str, Any] = {"type": "custom", "custom": inner}
    for key, value in to.strangers(tool.extras, path).items():
        written.setdefault(key, value)
    return written


def emulated_description(tool: Tool) -> str:
    """The description of a custom tool with its grammar in words."""
    text = tool.description or ""
    value = decode_any(bytes(tool.format)) if tool.format is not None else None
    if isinstance(value, dict) and value.get("definition"):
        syntax = value.get("syntax", "grammar")
        text += f"\n\nThe input must match this {syntax} grammar:\n"
        text += str(value["definition"])
    return text.strip()


def nested_format(raw: Raw) -> Any:
    """A custom tool's format with the level `grammar`."""
    value = decode_any(bytes(raw))
    if isinstance(value, dict) and value.get("type") == "grammar":
        grammar = {k: v for k, v in value.items() if k != "type"}
        return {"type": "grammar", "grammar": grammar}
    return raw


def write_choice(
    choice: ToolChoice, request: Request, to: Writing, names: Mapping[str, str]
) -> Any:
    """`tool_choice`; None where it cannot be said."""
    raw = choice.raw
    if raw is not None and to.native and read_choice(raw) == choice:
        return raw
    rejects = to.profile.rejects if not to.exact else frozenset()
    if choice.kind == "opaque":
        to.losses.drop("tool.choice", "tool_choice", "a choice of one dialect only")
        return None
    kinds = {names.get(t.name, t.name): t.kind for t in request.tools}
    if not to.exact and not to.profile.custom_tools:
        kinds = {}
    sent = [names.get(name, name) for name in choice.names]
    mode = choice.mode
    if mode == "validated":
        reason = "schemas are strict tool by tool"
        to.losses.approximate("tool.choice", "tool_choice", reason)
        mode = "auto"
    if mode == "required" and "required_tool_choice" in rejects:
        reason = "the server cannot be made to call"
        to.losses.approximate("tool.choice", "tool_choice", reason)
        return "auto"
    if not sent:
        return mode
    if choice.kind == "named" and len(sent) == 1:
        kind = "custom" if kinds.get(sent[0]) == "custom" else "function"
        return {"type": kind, kind: {"name": sent[0]}}
    if mode == "none":
        return mode
    if not to.exact and to.profile.name not in VENDOR:
        reason = "the server knows no set of allowed tools"
        to.losses.approximate("tool.choice", "tool_choice", reason)
        return mode
    custom = {n: "custom" for n, kind in kinds.items() if kind == "custom"}
    return _allowed(mode, sent, custom)


def write_legacy_choice(choice: ToolChoice) -> Any:
    """`function_call`."""
    if choice.names:
        return {"name": choice.names[0]}
    return choice.raw if choice.kind == "opaque" else choice.mode


def write_format(output: OutputFormat, to: Writing, names: Mapping[str, str]) -> Any:
    """`response_format`; None where it cannot be said."""
    profile, losses, path = to.profile, to.losses, "output"
    if output.kind == "opaque":
        if to.native and output.raw is not None:
            return output.raw
        losses.drop("output.format", path, "a format of one dialect only")
        return None
    written: dict[str, Any] = {"type": output.kind}
    schema = output.kind in ("json_schema", "enum")
    if schema and not (to.exact or profile.structured_output):
        word = "json_object" if profile.json_object else None
        losses.approximate("output.format", path, "the server takes no schema")
        return {"type": word} if word else None
    if output.kind == "json_object" and not (to.exact or profile.json_object):
        losses.drop("output.format", path, "the server has no JSON mode")
        return None
    if schema:
        written = {"type": "json_schema", "json_schema": _schema(output, to)}
    elif not to.native:
        _report_schema(output, to)
    for name, value in to.strangers(output.extras, path).items():
        written.setdefault(name, value)
    return written


def _schema(output: OutputFormat, to: Writing) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    if output.name is not None:
        inner["name"] = output.name
    elif not to.native:
        inner["name"] = "response"
        to.losses.default("output.format", "output.name", "a schema needs a name")
    if output.description is not None:
        inner["description"] = output.description
    if output.schema is not None:
        inner["schema"] = output.schema
    if output.strict is not None:
        inner["strict"] = output.strict
    elif not to.native:
        inner["strict"] = True
        reason = "the source's schemas are always kept to"
        to.losses.default("output.format", "output.strict", reason)
    if output.kind == "enum":
        to.losses.approximate("output.format", "output.kind", "a schema with an enum")
    for name, value in to.strangers(output.extras, "output", "json_schema").items():
        inner.setdefault(name, value)
    return inner


def _report_schema(output: OutputFormat, to: Writing) -> None:
    for name in ("name", "schema", "strict", "description"):
        if getattr(output, name) is not None:
            place = f"output.{name}"
            to.losses.drop("output.format", place, "only schemas have one")
