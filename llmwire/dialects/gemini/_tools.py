"""Tools and which of them must be called, both ways.

One object of `tools` may hold several functions and several of Google's own tools. A
note (`@group`) on each tool keeps the objects apart for a client's own request; others
are put into one object, as Google's documentation does.

https://ai.google.dev/api/caching#Tool
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import UNSET, Raw

from llmwire._json import NULL, decode_object, decoder, encode, level, strangers
from llmwire._turns import own_choice
from llmwire.dialects.gemini._config_write import Aim
from llmwire.dialects.gemini._names import camel, checked, read
from llmwire.dialects.gemini._notes import kept, noted
from llmwire.dialects.gemini._schema import to_json_schema, to_openapi
from llmwire.dialects.gemini._wire import (
    CARRIED,
    FunctionCallingConfig,
    FunctionDeclaration,
)
from llmwire.errors import RemoteProtocolError
from llmwire.messages import Extras
from llmwire.requests import Request, Tool, ToolChoice

FUNCTIONS: Final = "functionDeclarations"
HOSTED: Final = frozenset(
    {
        "googleSearch",
        "googleSearchRetrieval",
        "codeExecution",
        "urlContext",
        "fileSearch",
        "googleMaps",
        "computerUse",
        "mcpServers",
        "enterpriseWebSearch",
        "retrieval",
        "parallelAiSearch",
        "exaAiSearch",
    }
)
"""Tools that Google runs."""
_EMULATED: Final = (
    (re.compile(r"web_search"), "googleSearch"),
    (re.compile(r"code_(?:execution|interpreter)"), "codeExecution"),
    (re.compile(r"web_fetch"), "urlContext"),
)
"""Hosted tools of others that have a counterpart."""
_LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*\Z")
_MODES: Final = {
    "AUTO": "auto",
    "ANY": "required",
    "NONE": "none",
    "VALIDATED": "validated",
}
_WORDS: Final = {mode: word for word, mode in _MODES.items()}
_NUMBERS: Final = ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED")
INPUT: Final = Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}'
)
"""Schema of a function that stands for a tool with free text."""


def legal_name(name: str) -> bool:
    """Whether a function may be called so."""
    return len(name) <= 64 and _LEGAL.match(name) is not None


# --- reading -----------------------------------------------------------------------


def read_tools(tools: list[Raw], path: str) -> tuple[Tool, ...]:
    """The tools of a client's request.

    Raises:
        RemoteProtocolError: A member has the wrong type.
    """
    found: list[Tool] = []
    for group, tool in enumerate(tools):
        place = f"{path}[{group}]"
        members = decode_object(bytes(tool), place)
        note = {"@group": Raw(b"%d" % group)}
        if not members:
            found.append(Tool(kind="opaque", name="", raw=tool, extras=note))
        for given, value in members.items():
            name = camel(given)
            if name == FUNCTIONS and value != NULL:
                found += _read_functions(value, note, f"{place}.{name}")
                continue
            whole = Raw(encode({name if name in HOSTED else given: value}))
            kind: Any = "server" if name in HOSTED and value != NULL else "opaque"
            found.append(Tool(kind=kind, name=name, raw=whole, extras=note))
    return tuple(found)


def _read_functions(value: Raw, note: Extras, path: str) -> list[Tool]:
    if not bytes(value).startswith(b"["):
        raise RemoteProtocolError("expected a list of functions", path=path)
    items: list[Raw] = decoder(list[Raw]).decode(value)
    if not items:
        whole = Raw(encode({FUNCTIONS: value}))
        return [Tool(kind="opaque", name=FUNCTIONS, raw=whole, extras=note)]
    return [_read_function(v, note, f"{path}[{at}]") for at, v in enumerate(items)]


def _read_function(value: Raw, note: Extras, path: str) -> Tool:
    wire = read(FunctionDeclaration, value, path)
    found = checked(strangers(wire), FunctionDeclaration, path)
    extras: Extras = {**note, **kept(found)}
    for attribute, name in CARRIED[FunctionDeclaration]:
        member = getattr(wire, attribute)
        if member is not UNSET:
            extras[name] = member
    if not wire.name:
        raise RemoteProtocolError("found a function without a name", path=path)
    if wire.description is None:
        extras["description"] = NULL
    schema: Raw | None = None
    if wire.parameters is not UNSET:
        if wire.parameters == NULL:
            extras["parameters"] = NULL
        else:
            extras["@parameters"] = wire.parameters
            schema = to_json_schema(wire.parameters)
    if wire.parameters_json_schema is not UNSET:
        if schema is None and wire.parameters_json_schema != NULL:
            schema = wire.parameters_json_schema
        else:
            extras["parametersJsonSchema"] = wire.parameters_json_schema
    return Tool(
        name=wire.name,
        description=wire.description if isinstance(wire.description, str) else None,
        schema=schema,
        extras=extras,
    )


def read_choice(config: Raw, path: str) -> ToolChoice:
    """Which functions must be called.

    Raises:
        RemoteProtocolError: A member has the wrong type.
    """
    wire = read(FunctionCallingConfig, config, path)
    checked(strangers(wire), FunctionCallingConfig, path)
    word = "AUTO" if wire.mode is UNSET else wire.mode
    if isinstance(word, int):
        word = _NUMBERS[word] if 0 <= word < len(_NUMBERS) else "AUTO"
    mode: Any = _MODES.get(word.upper(), "auto")
    names = wire.allowed_function_names
    allowed = tuple(names) if names is not UNSET else ()
    return ToolChoice(mode=mode, names=allowed, kind=_kind(mode, allowed), raw=config)


def _kind(mode: str, names: tuple[str, ...]) -> Any:
    if not names:
        return "any"
    return "named" if mode == "required" and len(names) == 1 else "allowed"


# --- writing -----------------------------------------------------------------------


def write_tools(
    request: Request, aim: Aim, names: dict[str, str], custom: list[str]
) -> list[Any]:
    """The `tools` of a request; names of custom tools as sent go to `custom`."""
    groups: dict[str, dict[str, Any]] = {}
    for at, tool in enumerate(request.tools):
        path = f"tools[{at}]"
        note = noted(tool.extras, "group") if aim.native else None
        key = bytes(note).decode() if note is not None else ""
        if tool.kind in ("server", "opaque"):
            member = _write_hosted(tool, path, aim)
        else:
            declared = _write_function(tool, path, aim, names, custom)
            member = {FUNCTIONS: [declared]}
        if member is None:
            continue
        group = groups.get(key)
        if group is None:
            group = groups[key] = {}
        for name, value in member.items():
            if name == FUNCTIONS and isinstance(group.get(name), list):
                group[name] += value
            else:
                group[name] = value
    return list(groups.values())


def _write_hosted(tool: Tool, path: str, aim: Aim) -> dict[str, Any] | None:
    if aim.native and tool.raw is not None:
        return dict(decode_object(bytes(tool.raw)))
    if tool.kind == "opaque":
        aim.losses.drop("tool.opaque", path, "a tool of another dialect")
        return None
    reason = "a tool that another server runs"
    if aim.losses.choice("tool.server") == "emulate":
        for pattern, name in _EMULATED:
            if pattern.match(tool.name):
                aim.losses.emulate("tool.server", path, f"as `{name}`")
                return {name: {}}
    aim.losses.drop("tool.server", path, reason)
    return None


def _write_function(
    tool: Tool, path: str, aim: Aim, names: dict[str, str], custom: list[str]
) -> dict[str, Any]:
    sent = names.get(tool.name, tool.name)
    declared: dict[str, Any] = {"name": sent}
    description = tool.description
    if tool.kind == "custom":
        reason = "sent as a function with one text"
        aim.losses.emulate("tool.custom", path, reason)
        custom.append(sent)
        description = _with_grammar(tool)
        tool = Tool(name=tool.name, description=description, schema=INPUT)
    elif sent != tool.name:
        aim.losses.emulate("tool.name", f"{path}.name", f"sent as `{sent}`")
    if description is None and not aim.native:
        reason = "functions need a description"
        aim.losses.default("tool.description", f"{path}.description", reason)
        description = tool.name
    if description is not None:
        declared["description"] = description
    _write_parameters(tool, declared, path, aim)
    if aim.native:
        for name, value in level(tool.extras).items():
            declared.setdefault(name, value)
        return declared
    if tool.strict is not None:
        reason = "schemas are always read loosely"
        aim.losses.drop("tool.strict", f"{path}.strict", reason)
    if tool.cache is not None:
        aim.losses.drop("cache.mark", f"{path}.cache", "caching is implicit")
    aim.losses.drop_extras(tool.extras, path)
    return declared


def _with_grammar(tool: Tool) -> str:
    text = tool.description or tool.name
    if tool.format is None:
        return text
    return f"{text}\n\nThe input has this format: {bytes(tool.format).decode()}"


def _write_parameters(
    tool: Tool, declared: dict[str, Any], path: str, aim: Aim
) -> None:
    schema = tool.schema
    if schema is None:
        return
    note = noted(tool.extras, "parameters") if aim.native else None
    if note is not None and to_json_schema(note) == schema:
        declared["parameters"] = note
        return
    if aim.profile.json_schema != "openapi" or aim.exact:
        declared["parametersJsonSchema"] = schema
        return
    converted, same = to_openapi(schema)
    if not same:
        reason = "the target reads a subset of OpenAPI"
        aim.losses.approximate("schema", f"{path}.schema", reason)
    if b'"properties"' in bytes(converted):
        declared["parameters"] = converted
    else:
        # An object without properties was rejected by older endpoints.
        reason = "functions without parameters have none"
        aim.losses.approximate("schema", f"{path}.schema", reason)


def write_choice(request: Request, aim: Aim, names: dict[str, str]) -> Any:
    """The `functionCallingConfig`, None where there is nothing to say."""
    choice = request.tool_choice if aim.native else own_choice(request, aim.losses)
    if choice is None:
        return None
    if aim.native and choice.raw is not None:
        known = read_choice(choice.raw, "$")
        if (known.mode, known.names) == (choice.mode, choice.names):
            return choice.raw
    if choice.kind == "opaque":
        aim.losses.drop("tool.choice", "tool_choice", "a choice of another dialect")
        return None
    if "tool_choice" in aim.profile.rejects and not aim.exact:
        aim.losses.drop("tool.choice", "tool_choice", "the target rejects it")
        return None
    word = _WORDS[choice.mode]
    config: dict[str, Any] = {"mode": word}
    allowed = [names.get(name, name) for name in choice.names]
    if allowed and word == "NONE":
        reason = "no tool may be called"
        aim.losses.drop("tool.choice", "tool_choice.names", reason)
        allowed = []
    if allowed and word == "AUTO":
        reason = "only `VALIDATED` and `ANY` take names"
        aim.losses.approximate("tool.choice", "tool_choice.mode", reason)
        config["mode"] = "VALIDATED"
    if allowed:
        config["allowedFunctionNames"] = allowed
        if allowed != list(choice.names):
            reason = "as the tools are sent"
            aim.losses.emulate("tool.name", "tool_choice.names", reason)
    mode = _MODES[config["mode"]]
    if _kind(mode, tuple(allowed)) != choice.kind:
        reason = "told by the mode and the number of names"
        aim.losses.approximate("tool.choice", "tool_choice.kind", reason)
    return config
