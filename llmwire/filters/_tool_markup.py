"""Calls of tools written as markup: its words, and writing a whole call.

Knows tools by name and parameters, JSON and tags; knows no events.

Two syntaxes. *Tags*, of Cline, Roo and Kilo: an element with the tool's name, in it one
with the name of each parameter. *Invocations*: `<function_calls>` around one
`<invoke name="…">` for each call, in it `<parameter name="…">`.

A value stands as it is, nothing escaped. What would not be read back as it was (it
holds its own closing tag, or is a string where the schema leaves open what it is) is
written as JSON between tags that say `encoding="json"`, every `</` in it as `<\\/`. A
call whose arguments are no object of declared parameters is one JSON text in such tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, get_args

from msgspec import Struct

from llmwire._json import decode_any, decode_object
from llmwire.errors import LocalProtocolError, RemoteProtocolError
from llmwire.filters._tool_values import (
    TEXT,
    Kinds,
    kinds_of,
    members,
    padded,
    quoted,
    read_value,
)
from llmwire.requests import Tool

ToolFormat = Literal["cline", "roo", "kilo", "function_calls"]
"""How calls are written in text."""

INPUT: Final = "input"
"""The one parameter of a tool with free text as input."""
MOST_WORDS: Final = 80
"""Characters of a call that its result repeats, at most."""
MCP: Final = "use_mcp_tool"
"""The tool by which those of MCP servers are called in the syntax of tags."""
_MCP_NAME: Final = re.compile(r"mcp__(?P<server>(?:(?!__).)+)__(?P<tool>.+)\Z")
_NAME: Final = re.compile(r"[\w.:/\-]+\Z")
_JSON: Final = ' encoding="json"'


class MarkupTool(Struct, frozen=True):
    """What must be known of a tool to write and read its calls."""

    name: str
    parameters: Mapping[str, Kinds]
    custom: bool = False
    """Its input is free text, in the parameter `input`."""


class Syntax(Struct, frozen=True):
    """How a call is written."""

    invocations: bool
    block_start: str = "<function_calls>"
    block_end: str = "</function_calls>"

    def tool(self, name: str, *, json: bool = False) -> str:
        """The opening tag of a call."""
        mark = _JSON if json else ""
        return (
            f'<invoke name="{name}"{mark}>' if self.invocations else f"<{name}{mark}>"
        )

    def parameter(self, name: str, *, json: bool = False) -> str:
        """The opening tag of a value."""
        mark = _JSON if json else ""
        if self.invocations:
            return f'<parameter name="{name}"{mark}>'
        return f"<{name}{mark}>"

    def tool_end(self, name: str) -> str:
        """The closing tag of a call."""
        return "</invoke>" if self.invocations else f"</{name}>"

    def parameter_end(self, name: str) -> str:
        """The closing tag of a value."""
        return "</parameter>" if self.invocations else f"</{name}>"

    def block(self, calls: Iterable[str]) -> str:
        """Calls that are made together."""
        text = "\n".join(calls)
        if self.invocations:
            return f"{self.block_start}\n{text}\n{self.block_end}"
        return text


def syntax_of(format: str) -> Syntax:
    """The syntax of `format`.

    Raises:
        LocalProtocolError: There is no such format.
    """
    if format not in get_args(ToolFormat):
        known = ", ".join(get_args(ToolFormat))
        raise LocalProtocolError(f"`{format}` is none of {known}")
    return Syntax(format == "function_calls")


def is_writable(name: str) -> bool:
    """Whether `name` can stand in a tag."""
    return _NAME.match(name) is not None


def markup_tool(tool: Tool) -> MarkupTool:
    """What of `tool` matters here; parameters with odd names are as if undeclared."""
    if tool.kind == "custom":
        return MarkupTool(tool.name, {INPUT: TEXT}, custom=True)
    declared = {
        name: kinds_of(schema)
        for name, schema in members(tool.schema).items()
        if is_writable(name)
    }
    return MarkupTool(tool.name, declared)


def mcp_tool() -> MarkupTool:
    """The tool that calls those of MCP servers."""
    parameters: dict[str, Kinds] = {
        "server_name": TEXT,
        "tool_name": TEXT,
        "arguments": frozenset({"object"}),
    }
    return MarkupTool(MCP, parameters)


def mcp_names(name: str) -> tuple[str, str] | None:
    """Server and tool in a name of the form `mcp__SERVER__TOOL`."""
    found = _MCP_NAME.match(name)
    return (found["server"], found["tool"]) if found else None


def mcp_name(server: str, tool: str) -> str:
    """The inverse of `mcp_names`."""
    return f"mcp__{server}__{tool}"


def write_call(syntax: Syntax, tool: MarkupTool, arguments: str) -> str:
    """A call as markup.

    `arguments` is JSON text (of a custom tool: free text); text that is no JSON is
    written as it is between tags that say JSON, and cannot be told from a call that
    broke off.
    """
    mcp = None if syntax.invocations else mcp_names(tool.name)
    if mcp is not None:
        held = arguments if arguments.strip() else "{}"
        told = (
            f'{{"server_name":{quoted(mcp[0])},"tool_name":{quoted(mcp[1])},'
            f'"arguments":{held}}}'
        )
        return write_call(syntax, mcp_tool(), told)
    if tool.custom:
        arguments = f"{{{quoted(INPUT)}:{quoted(arguments)}}}"
    given = _given(arguments)
    if given is None or any(name not in tool.parameters for name in given):
        opening = syntax.tool(tool.name, json=True)
        body = arguments.replace("</", "<\\/")
        return f"{opening}\n{body}\n{syntax.tool_end(tool.name)}"
    lines = [
        _value(syntax, name, value, tool.parameters[name])
        for name, value in given.items()
    ]
    return "\n".join([syntax.tool(tool.name), *lines, syntax.tool_end(tool.name)])


def _given(arguments: str) -> dict[str, str] | None:
    """The members of `arguments`, each as JSON text; None: it is no object."""
    if not arguments.strip():
        return {}
    try:
        found = decode_object(arguments)
    except RemoteProtocolError:
        return None
    return {name: bytes(value).decode("utf-8") for name, value in found.items()}


def _value(syntax: Syntax, name: str, value: str, kinds: Kinds) -> str:
    end = syntax.parameter_end(name)
    meant: object = decode_any(value) if value.startswith('"') else None
    text = meant if isinstance(meant, str) else value
    body = padded(text)
    same = quoted(text) if isinstance(meant, str) else value
    if end not in body and read_value(text, kinds) == same:
        return f"{syntax.parameter(name)}{body}{end}"
    written = value.replace("</", "<\\/")
    return f"{syntax.parameter(name, json=True)}{written}{end}"


def undeclared(name: str, arguments: str, *, custom: bool) -> MarkupTool:
    """A tool of which nothing is known but one call."""
    if custom:
        return MarkupTool(name, {INPUT: TEXT}, custom=True)
    given = filter(is_writable, _given(arguments) or ())
    return MarkupTool(name, dict.fromkeys(given))


def first_words(arguments: str) -> str:
    """What a result says its call was for: its first string, on one line."""
    for value in (_given(arguments) or {}).values():
        if value.startswith('"'):
            text = str(decode_any(value))
            return text.strip().partition("\n")[0][:MOST_WORDS]
    return ""
