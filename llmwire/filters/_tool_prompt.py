"""What a system prompt says of tools, for a model that is told of them in words only.

Knows tools, their schemas and the markup; knows no conversation. What is written here
has the form that Cline, Roo and Kilo use, a heading with the name, then `Description:`,
`Parameters:` and `Usage:`, and is read again by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Raw

from llmwire._json import decode_any, encode
from llmwire.errors import RemoteProtocolError
from llmwire.filters._tool_markup import (
    INPUT,
    MCP,
    Syntax,
    is_writable,
    mcp_names,
    mcp_tool,
)
from llmwire.filters._tool_values import TEXT, Kinds, kinds_of, members
from llmwire.requests import Tool, ToolChoice

_HEAD: Final = """\
# Tools

You can call the tools that are listed below. To call one, write this in your answer, \
beginning on a line of its own and outside any code fence:

{form}

- Write every value as it is; nothing is escaped. A value of several lines begins on \
the line behind its opening tag and ends on the line before its closing tag.
- A value that is not a string is written as JSON.
- A string that contains its own closing tag is written as a JSON string behind the \
opening tag {json}, with every `</` in it as `<\\/`.
- {several}
- The result comes in the next message, behind `[name for '…'] Result:`."""
_ONE: Final = "Call one tool in a message, then stop and wait for its result."
_MANY: Final = "Calls that do not need each other's results stand in one such block."

_HEADING: Final = re.compile(r"#{1,2} +(.*)\Z")
_TOOL: Final = re.compile(r"[A-Za-z_][\w\-]{0,127}\Z")
_PARAMETER: Final = re.compile(r"- ([A-Za-z_][\w\-]{0,127}): ?(.*)\Z")


def written_tools(
    tools: Sequence[Tool], choice: ToolChoice | None, syntax: Syntax, *, one_call: bool
) -> str:
    """The words that tell a model of `tools`."""
    example = syntax.block(
        [
            f"{syntax.tool('tool_name')}\n"
            f"{syntax.parameter('parameter_name')}value"
            f"{syntax.parameter_end('parameter_name')}\n{syntax.tool_end('tool_name')}"
        ]
    )
    head = _HEAD.format(
        form=example,
        json=f"`{syntax.parameter('parameter_name', json=True)}`",
        several=_ONE if one_call else _MANY,
    )
    blocks = [head]
    served: list[Tool] = []
    for tool in tools:
        if not syntax.invocations and mcp_names(tool.name):
            served.append(tool)
        else:
            blocks.append(_tool(tool, syntax))
    if served:
        blocks.append(_served(served, syntax))
    said = _choice(choice)
    return "\n\n".join([*blocks, said] if said else blocks)


def _tool(tool: Tool, syntax: Syntax) -> str:
    lines = [f"## {tool.name}", f"Description: {tool.description or tool.name}"]
    if tool.kind == "custom":
        lines += ["Parameters:", f"- {INPUT}: (required) free text"]
        if tool.format is not None:
            lines.append(f"  in this format: {_text(tool.format)}")
        return "\n".join([*lines, *_usage(tool.name, {INPUT: TEXT}, syntax)])
    declared = members(tool.schema)
    if not declared or not all(map(is_writable, declared)):
        return "\n".join([*lines, *_whole(tool, syntax)])
    required = _schema(tool.schema).get("required")
    lines.append("Parameters:")
    for name, schema in declared.items():
        needed = isinstance(required, list) and name in required
        word = "required" if needed else "optional"
        lines.append(f"- {name}: ({word}) {_parameter(schema)}")
    kinds = {name: kinds_of(schema) for name, schema in declared.items()}
    return "\n".join([*lines, *_usage(tool.name, kinds, syntax)])


def _whole(tool: Tool, syntax: Syntax) -> list[str]:
    """A tool whose parameters are not all known by name."""
    if tool.schema is None or _schema(tool.schema).get("properties") == {}:
        return ["Parameters: none", *_usage(tool.name, {}, syntax)]
    opening = syntax.tool(tool.name, json=True)
    call = f"{opening}\n{{…}}\n{syntax.tool_end(tool.name)}"
    return [
        f"Parameters: one JSON object, by the schema {_text(tool.schema)}",
        "Usage:",
        syntax.block([call]),
    ]


def _usage(name: str, parameters: Mapping[str, Kinds], syntax: Syntax) -> list[str]:
    lines = [
        f"{syntax.parameter(each)}{_example(each, kinds)}{syntax.parameter_end(each)}"
        for each, kinds in parameters.items()
    ]
    call = "\n".join([syntax.tool(name), *lines, syntax.tool_end(name)])
    return ["Usage:", syntax.block([call])]


def _example(name: str, kinds: Kinds) -> str:
    if kinds == frozenset({"object"}):
        return "{…}"
    return "[…]" if kinds == frozenset({"array"}) else f"{name} here"


def _parameter(schema: object) -> str:
    """Type and description of one parameter; its whole schema where it has more."""
    if not isinstance(schema, dict):
        return "any JSON value"
    said = str(schema.get("description") or "")
    rest = {key: value for key, value in schema.items() if key != "description"}
    kinds = kinds_of(schema)
    plain = kinds is not None and set(rest) <= {"type"}
    words = " or ".join(sorted(kinds or ())) if plain else f"JSON schema {_text(rest)}"
    return f"{words}. {said}" if said else words


def _served(tools: Sequence[Tool], syntax: Syntax) -> str:
    """The tools of MCP servers."""
    lines = [
        f"## {MCP}",
        "Description: Call a tool of an MCP server.",
        "Parameters:",
        "- server_name: (required) string. The server.",
        "- tool_name: (required) string. Its tool.",
        "- arguments: (required) object. What the tool takes, as JSON.",
        *_usage(MCP, mcp_tool().parameters, syntax),
        "",
        "MCP servers and their tools:",
    ]
    for tool in tools:
        server, name = mcp_names(tool.name) or ("", "")
        lines.append(f"- server `{server}`, tool `{name}`: {tool.description or name}")
        lines.append(f"  Arguments: {_text(tool.schema or Raw(b'{}'))}")
    return "\n".join(lines)


def _choice(choice: ToolChoice | None) -> str:
    if choice is None:
        return ""
    named = ", ".join(f"`{name}`" for name in choice.names)
    if choice.mode == "none":
        return "Call no tool in your next answer."
    if choice.mode == "required":
        which = f"one of these tools: {named}" if named else "a tool"
        return f"In your next answer you must call {which}."
    return f"In your next answer call no other tools than {named}." if named else ""


def _schema(schema: Raw | None) -> dict[str, Any]:
    try:
        value = decode_any(bytes(schema or b"{}"))
    except RemoteProtocolError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    if isinstance(value, Raw):
        return bytes(value).decode("utf-8", "replace")
    return encode(value).decode("utf-8")


def read_tools(text: str) -> tuple[Tool, ...]:
    """The tools that a system prompt lists in that form, each name once.

    Every parameter is a string, but for one that the example shows as a JSON object or
    list.
    """
    found: dict[str, Tool] = {}
    for name, lines in _sections(text):
        if name not in found and any(tag in lines for tag in _tags(name)):
            found[name] = _read_tool(name, lines)
    return tuple(found.values())


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Headings that could be the name of a tool, and the lines below each."""
    name, lines = "", list[str]()
    for line in [*text.split("\n"), "# "]:
        heading = _HEADING.match(line)
        if heading is None:
            lines.append(line)
            continue
        if _TOOL.match(name):
            yield name, [each.rstrip() for each in lines]
        name, lines = heading[1].strip(), []


def _tags(name: str) -> tuple[str, str]:
    """The lines that can begin an example."""
    return f"<{name}>", f'<invoke name="{name}">'


def _read_tool(name: str, lines: list[str]) -> Tool:
    described: list[str] = []
    parameters: dict[str, list[str]] = {}
    usage: list[str] = []
    told = described
    listing = False
    for line in lines:
        label, _, rest = line.partition(":")
        found = _PARAMETER.match(line) if listing else None
        if usage or label == "Usage":
            usage.append(line)
        elif label == "Description":
            described.append(rest.strip())
        elif label == "Parameters":
            listing, told = True, []
        elif found is not None:
            told = parameters.setdefault(found[1], [])
            told.append(found[2])
        else:
            told.append(line)
    schema = {
        "type": "object",
        "properties": {
            each: {"type": _shown(each, usage), "description": "\n".join(said).strip()}
            for each, said in parameters.items()
        },
        "required": [
            each for each, said in parameters.items() if "(required)" in said[0]
        ],
    }
    return Tool(
        name=name,
        description="\n".join(described).strip() or None,
        schema=Raw(encode(schema)),
    )


def _shown(name: str, usage: list[str]) -> str:
    """What the example shows between the tags of the parameter."""
    tag, other = f"<{name}>", f'<parameter name="{name}">'
    for at, line in enumerate(usage):
        if line.startswith((tag, other)):
            shown = line.partition(">")[2] or "".join(usage[at + 1 : at + 2])
            return {"{": "object", "[": "array"}.get(shown[:1], "string")
    return "string"
