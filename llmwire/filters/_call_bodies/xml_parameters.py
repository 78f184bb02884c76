"""Calls as elements: `<function=NAME>`, `<function name="NAME">`, `<NAME>`, `<invoke>`.

Knows five grammars, told apart by the first tag of a body:

- `<function=N>`, `<parameter=P>V</parameter>`, `</function>` (Qwen3-Coder, Seed-OSS,
  Nemotron 3, MiMo, Step 3.5), of values one line feed on each side left out;
- `<function name="N">`, `<param name="P">V</param>`, `</function>` (MiniCPM), a value
  as it stands or in a CDATA section;
- `<invoke>`, `<tool_name>N</tool_name>`, `<parameters>`, `<P>V</P>` (Claude 2);
- `<N>`, `<P>V</P>`, `</N>` (Cline, Roo, Kilo), for declared tools and parameters alone;
  of values one line feed on each side left out;
- `use_mcp_tool` in the same way, with `server_name`, `tool_name` and `arguments`, where
  no tool has that name but one has that of the MCP server's.

Interface: `parse(body, tools)` and `ending(closer, tools)` as `_ending` has it. The
body begins with `<function=` and the like, what stands around several calls left out.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct

from llmwire._json import is_json_object
from llmwire.filters._call_bodies._ending import Ending
from llmwire.filters._call_bodies._found import FoundCall, Tools, resolved
from llmwire.filters._call_bodies._tag_ending import TagEnding
from llmwire.filters._call_bodies._tags import ATTRIBUTE, Grammar, parse_tags
from llmwire.requests import Tool

__all__ = ("ending", "parse")

_TAG_NAME: Final = r"[A-Za-z_][\w.:-]{0,127}"

_FUNCTION: Final = Grammar(
    call=rf'<function=\s{{0,16}}"?(?P<name>{ATTRIBUTE}?)"?\s{{0,16}}>',
    parameter=rf'<parameter=\s{{0,16}}"?(?P<name>{ATTRIBUTE}?)"?\s{{0,16}}>',
    parameter_end="</parameter>",
    call_end="</function>",
    implicit=True,
    newlines=True,
)
_NAMED_FUNCTION: Final = Grammar(
    call=rf'<function\s{{1,16}}name="(?P<name>{ATTRIBUTE})"\s{{0,16}}(?P<empty>/)?>',
    parameter=rf'<param\s{{1,16}}name="(?P<name>{ATTRIBUTE})"\s{{0,16}}>',
    parameter_end="</param>",
    call_end="</function>",
    cdata=True,
)
_LEGACY: Final = Grammar(
    call=(
        rf"<invoke>\s{{0,64}}<tool_name>\s{{0,16}}(?P<name>{ATTRIBUTE}?)\s{{0,16}}"
        r"</tool_name>"
    ),
    parameter=rf"<(?!parameters>|invoke>|tool_name>)(?P<name>{_TAG_NAME})>",
    parameter_end="</(?!parameters>)NAME>",
    call_end=r"</invoke>",
    blank=r"\s|</?parameters>",
    named_ends=True,
)
_WRITTEN: Final = frozenset({"content", "diff"})
"""Parameters that hold files, in which anything may stand."""
_FIRST_TAG: Final = re.compile(rf"\s*<({_TAG_NAME})>")
_MCP: Final = "use_mcp_tool"
_MCP_TOOL: Final = Tool(
    name=_MCP,
    schema=msgspec.Raw(
        b'{"properties": {"server_name": {"type": "string"},'
        b' "tool_name": {"type": "string"}, "arguments": {"type": "object"}}}'
    ),
)


class _McpCall(Struct):
    server_name: str
    tool_name: str
    arguments: msgspec.Raw


def _element(name: str) -> Grammar:
    tag = re.escape(name)
    return Grammar(
        call=f"<(?P<name>{tag})>",
        parameter=rf"<(?P<name>{_TAG_NAME})>",
        parameter_end="</NAME>",
        call_end=f"</{tag}>",
        named_ends=True,
        newlines=True,
        last=_WRITTEN,
    )


def _grammar(tools: Tools, text: str) -> Grammar | None:
    """The grammar of a body that begins with `text`."""
    for grammar in (_FUNCTION, _NAMED_FUNCTION, _LEGACY):
        if re.compile(r"\s*" + grammar.call).match(text):
            return grammar
    tag = _FIRST_TAG.match(text)
    if tag is None or (tag[1] not in tools and tag[1] != _MCP):
        return None
    return _element(tag[1])


def parse(body: str, tools: Tools) -> list[FoundCall] | None:
    """The calls of `body`; None if it is anything but whole calls. Never raises."""
    grammar = _grammar(tools, body)
    if grammar is None:
        return None
    tag = _FIRST_TAG.match(body)
    if tag is not None and tag[1] == _MCP and _MCP not in tools:
        return _of_servers(parse_tags(grammar, body, {_MCP: _MCP_TOOL}) or [], tools)
    return parse_tags(grammar, body, tools)


def _of_servers(calls: list[FoundCall], tools: Tools) -> list[FoundCall] | None:
    """Calls of `use_mcp_tool` as those of the declared tools that they mean."""
    found: list[FoundCall] = []
    for call in calls:
        try:
            meant = msgspec.json.decode(call.arguments, type=_McpCall)
        except msgspec.MsgspecError:
            return None
        name = _server_tool(meant, tools)
        arguments = bytes(meant.arguments).decode()
        if name is None or not is_json_object(arguments):
            return None
        found.append(FoundCall(name, arguments))
    return found or None


def _server_tool(call: _McpCall, tools: Tools) -> str | None:
    server, tool = call.server_name, call.tool_name
    for name in (f"mcp__{server}__{tool}", f"{server}__{tool}"):
        if name in tools:
            return name
    return resolved(tool, tools)


def ending(closer: str, tools: Tools) -> Ending:
    """Follows a body of one of these grammars; see `_ending`."""
    return TagEnding(partial(_grammar, tools), closer)
