"""Tools, the choice of them, and structured output made to fit this dialect."""

from __future__ import annotations

from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from llmwire._json import decode_any
from llmwire._turns import own_choice
from llmwire.dialects.anthropic._adapt_parts import Fitting
from llmwire.dialects.anthropic._schema import constrained, object_schema, says_object
from llmwire.messages import ToolCallPart, ToolResultPart
from llmwire.requests import OutputFormat, Request, Tool, ToolChoice

JSON_TOOL: Final = "json_response"
"""The tool whose call stands for structured output."""
_INPUT: Final = Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},'
    b'"required":["input"],"additionalProperties":false}'
)
_ANY_OBJECT: Final = Raw(b'{"type":"object"}')


def fit_tools(
    request: Request, fitting: Fitting
) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    """The tools to send, and the names of those that stand for custom tools."""
    tools: list[Tool] = []
    custom: list[str] = []
    taken: set[str] = set()
    allowed = _allowed(request.tool_choice)
    for at, tool in enumerate(request.tools):
        path = f"tools[{at}]"
        if at > len(tools):
            fitting.moved[f"tools[{len(tools)}]"] = path
        if tool.kind in ("server", "opaque"):
            if fitting.native:
                tools.append(tool)
            else:
                reason = "a tool that only another vendor has"
                fitting.losses.drop(f"tool.{tool.kind}", path, reason)
            continue
        if allowed is not None and tool.name not in allowed:
            fitting.losses.approximate("tool.choice", path, "not among those allowed")
            continue
        name = fitting.names.get(tool.name, tool.name)
        if name in taken:
            fitting.losses.drop("tool.name", path, "names must be unique")
            continue
        taken.add(name)
        fitted = _fit_tool(tool, name, path, fitting)
        if tool.kind == "custom":
            custom.append(name)
        tools.append(fitted)
    if not tools and not request.tools:
        tools = _from_history(request, fitting)
    return tuple(tools), tuple(custom)


def _allowed(choice: ToolChoice | None) -> frozenset[str] | None:
    if choice is None or choice.kind != "allowed" or not choice.names:
        return None
    return frozenset(choice.names)


def _fit_tool(tool: Tool, name: str, path: str, fitting: Fitting) -> Tool:
    if _is_usual(tool) and name == tool.name:
        return tool
    losses = fitting.losses
    if name != tool.name:
        losses.emulate("tool.name", f"{path}.name", "a name that is legal here")
    extras = tool.extras
    if not fitting.keeps_extras:
        losses.drop_extras(extras, path)
        extras = None
    cache = fitting.cache(tool.cache, path)
    if tool.kind == "custom":
        losses.emulate("tool.custom", path, "a function with one input")
        return Tool(name=name, description=_grammar(tool), schema=_INPUT, cache=cache)
    schema, changed = object_schema(tool.schema)
    strict = _fit_strict(tool, path, fitting)
    if strict:
        schema, more = constrained(schema)
        changed = changed or more
    if tool.schema is None:
        losses.default("schema", f"{path}.schema", "the dialect needs one")
    elif changed:
        reason = "the subset of JSON schema that is taken here"
        losses.approximate("schema", f"{path}.schema", reason)
    return replace(
        tool,
        name=name,
        schema=schema,
        strict=strict,
        cache=cache,
        extras=extras,
        raw=None,
    )


def _is_usual(tool: Tool) -> bool:
    """Whether `tool` is a function with a schema of an object, and nothing else."""
    return (
        tool.kind == "function"
        and tool.extras is None
        and tool.cache is None
        and tool.strict is None
        and tool.raw is None
        and tool.schema is not None
        and says_object(tool.schema)
    )


def _fit_strict(tool: Tool, path: str, fitting: Fitting) -> bool | None:
    profile = fitting.profile
    if tool.strict is None:
        return None
    if profile.structured_output and "tool_strict" not in profile.rejects:
        return tool.strict
    reason = "the server does not enforce schemas"
    if tool.strict:
        fitting.losses.drop("tool.strict", f"{path}.strict", reason)
    else:
        fitting.losses.emulate("tool.strict", f"{path}.strict", reason)
    return None


def _grammar(tool: Tool) -> str | None:
    """The description of a custom tool, with what its input must look like."""
    pieces = [tool.description] if tool.description else []
    form = decode_any(bytes(tool.format)) if tool.format is not None else None
    if isinstance(form, dict):
        inner = form.get("grammar")
        grammar = inner if isinstance(inner, dict) else form
        definition = grammar.get("definition")
        if isinstance(definition, str):
            syntax = grammar.get("syntax", "grammar")
            pieces.append(f"The input must match this {syntax}:\n{definition}")
    return "\n\n".join(pieces) or None


def _from_history(request: Request, fitting: Fitting) -> list[Tool]:
    """The least definitions for calls in the history: the dialect demands some."""
    names: dict[str, None] = {}
    results = False
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                names[fitting.names.get(part.name, part.name)] = None
            results = results or isinstance(part, ToolResultPart)
    if not names:
        return []
    reason = "calls in the history need definitions"
    fitting.losses.default("tool.choice", "tools", reason)
    fitting.losses.default("tool.choice", "tool_choice", reason)
    return [Tool(name=name, schema=_ANY_OBJECT) for name in names]


def fit_choice(
    request: Request, fitting: Fitting, tools: tuple[Tool, ...], structured: bool
) -> tuple[ToolChoice | None, bool | None]:
    """Which tools must be called, and whether several may be at once."""
    losses = fitting.losses
    choice, parallel = request.tool_choice, request.parallel
    if structured:
        reason = "the answer itself is a call"
        losses.emulate("tool.choice", "tool_choice", reason)
        return _structured_choice(tools), _fit_parallel(parallel, True, fitting)
    if not tools:
        if choice is not None:
            losses.emulate("tool.choice", "tool_choice", "there are no tools")
        return None, _fit_parallel(parallel, False, fitting)
    if not request.tools:
        if choice is not None and choice.mode != "none":
            reason = "there are no tools but those of the history"
            losses.approximate("tool.choice", "tool_choice", reason)
        return ToolChoice(mode="none"), _fit_parallel(parallel, False, fitting)
    if "tool_choice" in fitting.profile.rejects and choice is not None:
        losses.drop("tool.choice", "tool_choice", "the server takes no choice")
        choice = None
    elif not fitting.native:
        choice = own_choice(request, losses)
    choice = _fit_mode(choice, fitting, tools)
    takes = choice is None or choice.mode != "none"
    parallel = _fit_parallel(parallel, takes, fitting)
    if parallel is not None and choice is None:
        reason = "says whether calls may be parallel"
        losses.default("tool.choice", "tool_choice", reason)
        choice = ToolChoice(mode="auto")
    return choice, parallel


def _structured_choice(tools: tuple[Tool, ...]) -> ToolChoice:
    if tools:
        return ToolChoice(mode="required")
    return ToolChoice(mode="required", names=(JSON_TOOL,), kind="named")


def _fit_parallel(parallel: bool | None, takes: bool, fitting: Fitting) -> bool | None:
    if parallel is None:
        return None
    if takes and "parallel" not in fitting.profile.rejects:
        return parallel
    fitting.losses.emulate("parallel", "parallel", "nothing is called")
    return None


def _fit_mode(
    choice: ToolChoice | None, fitting: Fitting, tools: tuple[Tool, ...]
) -> ToolChoice | None:
    if choice is None:
        return None
    losses = fitting.losses
    if choice.kind == "opaque":
        if fitting.native:
            return choice
        reason = "a choice that only another dialect has"
        losses.drop("tool.choice", "tool_choice", reason)
        return None
    mode = choice.mode
    if mode == "validated":
        reason = "schemas are enforced tool by tool"
        losses.approximate("tool.choice", "tool_choice.mode", reason)
        mode = "auto"
    if mode == "required" and "required_tool_choice" in fitting.profile.rejects:
        reason = "the server cannot be made to call"
        losses.approximate("tool.choice", "tool_choice.mode", reason)
        mode = "auto"
    if choice.kind == "allowed":
        reason = "only the tools allowed are sent"
        losses.emulate("tool.choice", "tool_choice", reason)
        return ToolChoice(mode=mode)
    if choice.kind == "named" and choice.names and mode == "required":
        name = fitting.names.get(choice.names[0], choice.names[0])
        if name != choice.names[0]:
            reason = "a name that is legal here"
            losses.emulate("tool.name", "tool_choice.names", reason)
        if any(tool.name == name or tool.raw is not None for tool in tools):
            return ToolChoice(mode=mode, names=(name,), kind="named")
        reason = "the tool is not among those sent"
        losses.approximate("tool.choice", "tool_choice", reason)
    return ToolChoice(mode=mode)


def fit_output(
    request: Request, fitting: Fitting, tools: tuple[Tool, ...]
) -> tuple[OutputFormat | None, Tool | None, str | None]:
    """The shape of the answer: natively, by a tool, or by an instruction."""
    output, losses, profile = request.output, fitting.losses, fitting.profile
    if output is None:
        return None, None, None
    if not fitting.keeps_extras:
        losses.drop_extras(output.extras, "output")
    if output.kind == "text":
        losses.emulate("output.format", "output", "text is the only other shape")
        return None, None, None
    if output.kind == "json_object":
        losses.emulate("output.format", "output", "asked for by an instruction")
        return None, None, None
    if output.kind == "opaque" or output.schema is None:
        if fitting.native and output.kind == "opaque":
            return output, None, None
        reason = "a shape that only another dialect has"
        losses.drop("output.format", "output", reason)
        return None, None, None
    if not profile.structured_output or "output_schema" in profile.rejects:
        return _by_tool(output, fitting, tools)
    return _native_output(output, fitting), None, None


def _native_output(output: OutputFormat, fitting: Fitting) -> OutputFormat:
    losses = fitting.losses
    reason = "the dialect's schemas have none"
    for name in ("name", "description", "strict"):
        value = getattr(output, name)
        if value:
            losses.approximate("output.format", f"output.{name}", reason)
        elif value is not None:
            losses.emulate("output.format", f"output.{name}", reason)
    if output.kind == "enum":
        losses.approximate("output.format", "output.kind", "as a JSON schema")
    assert output.schema is not None
    schema, changed = output.schema, False
    if not fitting.native:
        schema, changed = constrained(output.schema)
    if changed:
        reason = "the subset of JSON schema that is taken here"
        losses.approximate("schema", "output.schema", reason)
    extras = output.extras if fitting.native else None
    return OutputFormat(kind="json_schema", schema=schema, extras=extras)


def _by_tool(
    output: OutputFormat, fitting: Fitting, tools: tuple[Tool, ...]
) -> tuple[OutputFormat | None, Tool | None, str | None]:
    """One tool whose arguments are the answer; a call is forced."""
    losses = fitting.losses
    schema, changed = object_schema(output.schema)
    if changed or any(tool.name == JSON_TOOL for tool in tools):
        reason = "the schema, which is no object's, is told in an instruction"
        losses.emulate("output.format", "output", reason)
        text = bytes(output.schema or b"{}").decode("utf-8", "replace")
        said = f"Answer with nothing but JSON that matches this schema:\n{text}"
        return None, None, said
    losses.emulate("output.format", "output", "the arguments of a forced call")
    description = output.description or "Give the answer to the user."
    return None, Tool(name=JSON_TOOL, description=description, schema=schema), None
