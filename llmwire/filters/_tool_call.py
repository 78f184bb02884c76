"""The arguments of one call in markup, made while its values come.

Knows parameters and their types; where a value ends is told to it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, TypeAlias

from msgspec import Struct

from llmwire._json import decode_any, is_json
from llmwire.filters._tool_markup import MCP, mcp_name
from llmwire.filters._tool_tags import Opening
from llmwire.filters._tool_values import (
    TEXT,
    escaped,
    quoted,
    read_value,
    strict_json,
)

MOST_WAITING: Final = 1 << 20
"""Characters of a value that waits for its end."""
_BLANK: Final = " \t\r\n"


class CallStart(Struct, frozen=True):
    """A call begins."""

    name: str
    custom: bool = False


class Arguments(Struct, frozen=True):
    """The arguments of the call grow."""

    text: str


class CallEnd(Struct, frozen=True):
    """The call is over."""

    complete: bool
    long: bool = False
    """A value was so long that it was taken as a string, or the arguments cut."""


Token: TypeAlias = str | CallStart | Arguments | CallEnd
"""Text, or a step of a call."""


class Call:
    """Makes the arguments of one call."""

    __slots__ = (
        "_count",
        "_custom",
        "_fresh",
        "_had",
        "_json",
        "_kinds",
        "_long",
        "_mcp",
        "_members",
        "_name",
        "_parameters",
        "_pieces",
        "_raw",
        "_streams",
        "_tool",
        "_valid",
        "_waiting",
        "_whole",
        "end",
        "following",
        "refused",
        "value_end",
    )

    def __init__(self, opening: Opening, mcp: Collection[str]) -> None:
        self._tool = tool = opening.tool
        self._custom = tool.custom
        self._whole = opening.whole
        self._mcp = mcp if tool.name == MCP and not opening.whole else ()
        """It waits for its end, to be called by one of these names."""
        self._parameters = opening.parameters
        self._had: set[str] = set()
        """Names of the parameters that the call has."""
        self.end = opening.end
        self.following = opening.following
        self.value_end = opening.end
        self.refused = ""
        """The whole call, if it turned out to be text."""
        self._raw: list[str] = []
        self._members: dict[str, str] = {}
        self._name = ""
        self._kinds = TEXT
        self._json = False
        self._streams = False
        self._fresh = True
        """Nothing of the value has come."""
        self._pieces: list[str] = []
        self._waiting = 0
        self._count = 0
        """Values so far."""
        self._valid = True
        self._long = False

    @property
    def whole(self) -> bool:
        """The arguments are one JSON text."""
        return self._whole

    def start(self) -> list[Token]:
        """The call begins."""
        return [] if self._mcp else [CallStart(self._tool.name, self._custom)]

    def keep(self, raw: str) -> None:
        """`raw` is markup of the call, in case that it turns out to be text."""
        if self._mcp:
            self._raw.append(raw)

    def has(self, tag: str) -> bool:
        """Whether the call has the parameter already that `tag` opens."""
        return tag != self.end and self._parameters[tag][0] in self._had

    def open(self, tag: str) -> list[Token]:
        """A value begins with `tag`."""
        name, self._json, self.value_end = self._parameters[tag]
        self._had.add(name)
        self._name = name
        self._kinds = self._tool.parameters[name]
        self._fresh = True
        self._streams = self._kinds == TEXT and not self._json and not self._mcp
        if not self._streams or self._custom:
            return []
        return [Arguments(self._key() + '"')]

    def grow(self, piece: str) -> list[Token]:
        """The value goes on with `piece`."""
        self.keep(piece)
        if self._fresh:
            self._fresh = False
            piece = piece.removeprefix("\n")
        if self._streams:
            return [Arguments(self._written(piece))] if piece else []
        self._pieces.append(piece)
        self._waiting += len(piece)
        return self._overflow() if self._waiting > MOST_WAITING else []

    def close_value(self) -> list[Token]:
        """The value is over."""
        if self._streams:
            streamed = self._whole or self._custom
            return [] if streamed else [Arguments('"')]
        text = self._waited()
        if self._whole:
            self._valid = is_json(text)
            return [Arguments(text)]
        value = read_value(text, self._kinds)
        if self._json:
            bare = text.strip(_BLANK)
            value = bare if strict_json(bare) else quoted(text)
        if self._mcp:
            self._members[self._name] = value
            return []
        if self._custom:
            said = decode_any(value)
            return [Arguments(said if isinstance(said, str) else text)]
        return [Arguments(self._key() + value)]

    def close(self) -> list[Token]:
        """The call is over; nothing if it is refused."""
        if self._mcp:
            return self._by_name()
        if self._whole or self._custom:
            return [CallEnd(self._valid, self._long)]
        return [Arguments("}" if self._count else "{}"), CallEnd(True, self._long)]

    def break_off(self, left: str) -> list[Token]:
        """The text ends within the call, with `left`."""
        if self._mcp:
            self.keep(left)
            self.refused = "".join(self._raw)
            return []
        due = self.grow(left) if left else []
        if not self._streams:
            text = self._waited()
            if self._whole:
                due.append(Arguments(text[:-1] if is_json(text) else text))
            elif self._custom:
                due.append(Arguments(text))
            else:
                due.append(Arguments(self._key() + text))
        return [*due, CallEnd(False, self._long)]

    def _key(self) -> str:
        self._count += 1
        return f"{'{' if self._count == 1 else ','}{quoted(self._name)}:"

    def _written(self, piece: str) -> str:
        return piece if self._whole or self._custom else escaped(piece)

    def _waited(self) -> str:
        text = "".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        return text

    def _overflow(self) -> list[Token]:
        """The value is too long to wait for."""
        if self._mcp:
            self.refused = "".join(self._raw)
            return []
        text = self._waited()
        self._streams = self._long = True
        self._valid = not self._whole
        key = "" if self._whole or self._custom else self._key() + '"'
        return [Arguments(key + self._written(text))]

    def _by_name(self) -> list[Token]:
        """The call of an MCP server's tool, or of the tool that calls those."""
        given = self._members
        server, tool = (
            decode_any(given.get(name, '""')) for name in ("server_name", "tool_name")
        )
        name = mcp_name(server, tool)
        if name in self._mcp:
            arguments = given.get("arguments", "{}")
            whole = not arguments.startswith('"')
            if not whole:
                arguments = decode_any(arguments)
            return [CallStart(name), Arguments(arguments), CallEnd(whole)]
        if MCP in self._mcp:
            inner = ",".join(f"{quoted(key)}:{value}" for key, value in given.items())
            return [CallStart(MCP), Arguments(f"{{{inner}}}"), CallEnd(True)]
        self.refused = "".join(self._raw)
        return []
