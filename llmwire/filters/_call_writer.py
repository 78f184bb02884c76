"""Writes a call as markup while its arguments come.

Knows the markup of `_tool_markup` and JSON objects; knows no events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from llmwire.filters._argument_reader import ArgumentReader, Step
from llmwire.filters._tool_markup import INPUT, MCP, Syntax, mcp_names
from llmwire.filters._tool_values import Kinds
from llmwire.losses import LossAction

Change: TypeAlias = tuple[LossAction, str]
"""What was done to the arguments, and why."""

_NULL: Final = "null"


class CallWriter:
    """Writes one call.

    Args:
        syntax: How calls are written.
        name: Name of the tool.
        parameters: Types of its parameters, those that are known.
        custom: The arguments are free text.
    """

    __slots__ = (
        "_custom",
        "_end",
        "_last",
        "_mcp",
        "_member",
        "_name",
        "_nothing",
        "_parameters",
        "_raw",
        "_reader",
        "_syntax",
        "_tail",
        "changes",
    )

    def __init__(
        self,
        syntax: Syntax,
        name: str,
        parameters: Mapping[str, Kinds],
        *,
        custom: bool = False,
    ) -> None:
        self._mcp = None if syntax.invocations else mcp_names(name)
        self._syntax = syntax
        self._name = name if self._mcp is None else MCP
        self._parameters = parameters
        self._custom = custom
        self._reader = ArgumentReader()
        self._nothing = True
        """No arguments have come."""
        self._member = ""
        self._end = ""
        """Closing tag of the value that is open; "" of one that is left out."""
        self._raw = False
        """The value is given as JSON."""
        self._tail = ""
        """The end of the value so far, where its closing tag could begin."""
        self._last = ""
        """The last character of the value so far."""
        self.changes: list[Change] = []
        """What could not be written as it was."""

    @property
    def held(self) -> int:
        """Characters held back now."""
        return self._reader.held

    def start(self) -> str:
        """The opening of the call."""
        syntax = self._syntax
        lines = [syntax.block_start] if syntax.invocations else []
        lines.append(syntax.tool(self._name))
        if self._mcp is not None:
            server, tool = self._mcp
            lines.append(f"<server_name>{server}</server_name>")
            lines.append(f"<tool_name>{tool}</tool_name>")
            lines.append("<arguments>")
        text = "\n".join(lines) + "\n"
        return text + self._open(INPUT) if self._custom else text

    def grow(self, text: str) -> str:
        """What is due now that the arguments go on with `text`."""
        if self._custom:
            return self._said(text)
        steps = self._reader.feed(text)
        if self._mcp is not None:
            self._nothing = self._nothing and not text.strip()
            return self._masked(text)
        return "".join(map(self._written, steps))

    def finish(self, *, complete: bool) -> str:
        """The arguments have ended: what closes the call, if it is whole."""
        broken = not self._custom and not self._reader.done
        if broken and complete:
            self._change("approximated", "the arguments are no object")
        if broken or not complete:
            return ""
        rest = self._close() if self._custom else ""
        if self._mcp is not None:
            rest = ("{}" if self._nothing else "") + "\n</arguments>\n"
        rest += self._syntax.tool_end(self._name)
        return f"{rest}\n{self._syntax.block_end}" if self._syntax.invocations else rest

    def _change(self, action: LossAction, reason: str) -> None:
        if (action, reason) not in self.changes:
            self.changes.append((action, reason))

    def _written(self, step: Step) -> str:
        kind, text = step
        if kind == "name":
            self._member = text
        elif kind == "string":
            return self._open(self._member)
        elif kind == "raw":
            if text == _NULL and not self._takes_null():
                what = f"`{self._member}` is null, which it cannot be"
                self._change("dropped", what)
                self._end = ""
                return ""
            return self._open(self._member, raw=True) + text
        elif kind == "text":
            return self._masked(text) if self._raw else self._said(text)
        elif kind == "over":
            return self._close()
        else:
            return text
        return ""

    def _takes_null(self) -> bool:
        kinds = self._parameters.get(self._member)
        return kinds is None or _NULL in kinds

    def _open(self, name: str, *, raw: bool = False) -> str:
        self._end = self._syntax.parameter_end(name)
        self._raw = raw
        self._last = self._tail = ""
        return self._syntax.parameter(name)

    def _close(self) -> str:
        if not self._end:
            return ""
        line = "\n" if self._last == "\n" else ""
        return f"{line}{self._end}\n"

    def _said(self, text: str) -> str:
        """`text` of a string."""
        line = "\n" if not self._last and text.startswith("\n") else ""
        self._last = text[-1:] or self._last
        near = self._tail + text
        if self._end in near:
            what = f"`{self._member or INPUT}` holds its own closing tag"
            self._change("approximated", what)
        self._tail = near[1 - len(self._end) :]
        return line + text

    def _masked(self, text: str) -> str:
        """`text` of JSON, in which no closing tag can stand."""
        if self._last == "<" and text.startswith("/"):
            text = "\\" + text
        self._last = text[-1:] or self._last
        return text.replace("</", "<\\/")
