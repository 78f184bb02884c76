"""The tags of some tools, and what may stand behind each of them.

Knows the markup of `_tool_markup`; reads no text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from llmwire.filters._tool_markup import (
    MCP,
    MarkupTool,
    Syntax,
    mcp_names,
    mcp_tool,
)


class Tags:
    """Words of which one is looked for: tags, which end with `>`, or one character."""

    __slots__ = ("beginnings", "longest", "words")

    def __init__(self, words: Iterable[str]) -> None:
        self.words: Final = frozenset(words)
        self.longest: Final = max(map(len, self.words), default=0)
        self.beginnings: Final = frozenset(
            word[:size] for word in self.words for size in range(len(word))
        )


class Opening(Struct, frozen=True):
    """What the opening tag of a call opens."""

    tool: MarkupTool
    end: str
    """The closing tag."""
    parameters: Mapping[str, tuple[str, bool, str]]
    """Opening tags of values: name, whether they are JSON, closing tag."""
    following: Tags
    """What must stand behind the tag, and may behind a value."""
    whole: bool = False
    """The arguments are one JSON text."""


class Markup:
    """The tags of some tools. Readers of several texts can share it."""

    __slots__ = ("close", "mcp", "openings", "starts", "syntax", "tags")

    def __init__(self, tools: Iterable[MarkupTool], syntax: Syntax) -> None:
        self.syntax: Final = syntax
        self.openings: Final[dict[str, Opening]] = {}
        self.mcp: Final[set[str]] = set()
        """Names of tools of MCP servers; with them that of the tool that calls them,
        where it is declared itself."""
        for tool in tools:
            if not syntax.invocations and mcp_names(tool.name):
                self.mcp.add(tool.name)
            else:
                self._add(tool)
        if self.mcp:
            if syntax.tool(MCP) in self.openings:
                self.mcp.add(MCP)
            self._add(mcp_tool(), whole=False)
        self.tags: Final = Tags(self.openings)
        blocks = (syntax.block_start,) if syntax.invocations and self.openings else ()
        self.starts: Final = Tags((*self.openings, *blocks))
        self.close: Final = Tags((syntax.block_end,))

    def _add(self, tool: MarkupTool, *, whole: bool = True) -> None:
        syntax = self.syntax
        end = syntax.tool_end(tool.name)
        parameters = {
            syntax.parameter(name, json=json): (
                name,
                json,
                syntax.parameter_end(name),
            )
            for name in tool.parameters
            for json in (False, True)
        }
        opening = Opening(tool, end, parameters, Tags((end, *parameters)))
        self.openings[syntax.tool(tool.name)] = opening
        if whole and not tool.custom:
            json = Opening(tool, end, {}, Tags("{"), whole=True)
            self.openings[syntax.tool(tool.name, json=True)] = json
