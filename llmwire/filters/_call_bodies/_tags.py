"""Calls written as tags: one around each call, one around each parameter.

Knows grammars of tags, given as data; what the tags of a format are, its module says.

Rules:
1. A closing tag is structural only where the structure goes on behind it: behind that
   of a value another parameter that the call does not have yet, or the end of the call;
   behind that of a call another call, or the end of the body. Elsewhere it is text.
2. A value whose closing tag is missing ends before a parameter that the tool names and
   the call does not have yet, at the beginning of a line, or anywhere if the value can
   be no string (`implicit` grammars); in the same places before the structural end of
   its call.
3. Of a value that may end in several places the first is taken; for `last` parameters
   the last.
4. A call ends with its closing tag, or with the body behind the end of a value: whether
   that is where the body ends or where the text was cut off, only `TagEnding` tells.
5. Values are kept as they stand; `newlines` grammars leave out one line feed on each
   side.

Theory of operation: one search per value for the tags that could end it, each of which
is looked at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from llmwire.filters._call_bodies._found import FoundCall, Tools, resolved
from llmwire.filters._call_bodies._values import (
    Parameters,
    json_object,
    json_object_end,
    parameters_of,
    typed,
)
from llmwire.filters._tool_values import between

__all__ = ("ATTRIBUTE", "CDATA", "Grammar", "parse_tags", "unnamed")

ATTRIBUTE: Final = r'[^<>"\n]{1,128}'
"""A name between quotes."""
_TEXTS: Final = ("true", "string")
_REACH: Final = 256
"""White space between two tags that still stand side by side."""
CDATA: Final = r"<!\[CDATA\["


class Grammar(Struct, frozen=True):
    """The tags of one format, as patterns."""

    call: str
    """Opens a call; with a group `name`, maybe a group `empty`: it holds nothing."""
    parameter: str
    """Opens a value; with a group `name`, maybe a group `kind`: `true` or `string` if
    the value is a string, anything else if it is JSON."""
    parameter_end: str
    call_end: str
    blank: str = r"\s"
    """What may stand between tags, any number of times."""
    object_begin: str = r"(?=\{)"
    """In front of an object with all arguments."""
    object_end: str = ""
    named_ends: bool = False
    """`parameter_end` closes the parameter whose name stands in place of `NAME`."""
    implicit: bool = False
    newlines: bool = False
    cdata: bool = False
    last: frozenset[str] = frozenset()
    again: str = ""
    """Opens another call, where `call` is no tag; the region's end is the call's."""
    unescape: Callable[[str], str] = str

    def end_of(self, name: str) -> str:
        """The pattern of the tag that closes parameter `name`."""
        if self.named_ends:
            return self.parameter_end.replace("NAME", re.escape(name))
        return self.parameter_end


class _Call(Struct):
    """A call that is being read."""

    name: str
    parameters: Parameters
    members: dict[str, str]


class _Reader:
    """Reads one body."""

    __slots__ = (
        "_blank",
        "_grammar",
        "_next",
        "_opener",
        "_starts",
        "_stops",
        "_text",
        "_tools",
    )

    def __init__(self, grammar: Grammar, text: str, tools: Tools) -> None:
        self._grammar = grammar
        self._text = text
        self._tools = tools
        self._blank = re.compile(f"(?:{grammar.blank})*+")
        self._starts = re.compile(grammar.call)
        self._next = re.compile(grammar.again or grammar.call)
        self._stops = re.compile(grammar.call_end)
        self._opener = re.compile(grammar.parameter)

    def calls(self) -> list[FoundCall] | None:
        """All calls of the body, if it holds nothing else."""
        found: list[FoundCall] = []
        at = self._after_blank(0)
        while at < len(self._text):
            opening = self._starts.match(self._text, at)
            if opening is None:
                return None
            name = resolved(self._grammar.unescape(opening["name"]), self._tools)
            if name is None:
                return None
            read = (
                (FoundCall(name, "{}"), opening.end())
                if opening.groupdict().get("empty")
                else self._call(name, opening.end())
            )
            if read is None:
                return None
            found.append(read[0])
            at = self._after_blank(read[1])
        return found or None

    def _after_blank(self, at: int) -> int:
        return self._blank.match(self._text, at).end()  # type: ignore[union-attr]  # it matches nothing too

    def _call(self, name: str, at: int) -> tuple[FoundCall, int] | None:
        """The rest of the call of tool `name`, and where it ends."""
        grammar, text = self._grammar, self._text
        call = _Call(name, parameters_of(self._tools[name]), {})
        at = self._after_blank(at)
        whole = self._object(name, at)
        if whole is not None:
            return whole
        while (opening := self._opening(call, at)) is not None:
            value = self._value(call, opening)
            if value is None:
                return None
            at = value
        stop = self._stops.match(text, at)
        ended = at == len(text) and bool(call.members or grammar.again)
        if stop is None and not ended:
            return None
        arguments = json_object(call.members.items())
        return FoundCall(name, arguments), stop.end() if stop else at

    def _object(self, name: str, at: int) -> tuple[FoundCall, int] | None:
        """A call whose arguments are one object."""
        grammar, text = self._grammar, self._text
        begin = re.compile(grammar.object_begin).match(text, at)
        end = json_object_end(text, begin.end()) if begin else None
        if begin is None or end is None:
            return None
        close = re.compile(grammar.object_end).match(text, self._after_blank(end))
        if close is None:
            return None
        stop = self._stops.match(text, self._after_blank(close.end()))
        if stop is None:
            return None
        return FoundCall(name, text[begin.end() : end]), stop.end()

    def _opening(self, call: _Call, at: int) -> re.Match[str] | None:
        """The opening of a parameter at `at` that the call does not have yet."""
        found = self._opener.match(self._text, at)
        if found is None:
            return None
        name = self._grammar.unescape(found["name"])
        if name in call.members:
            return None
        if self._grammar.named_ends and not call.parameters.known(name):
            return None
        return found

    def _value(self, call: _Call, opening: re.Match[str]) -> int | None:
        """Read the value behind `opening`; where the structure goes on."""
        name = self._grammar.unescape(opening["name"])
        call.members[name] = "null"
        kinds = call.parameters.of(name)
        kind = opening.groupdict().get("kind")
        if kind is not None:
            kinds = frozenset({"string"}) if kind in _TEXTS else None
        section = self._section(call, opening.end())
        found = section or self._end_of_value(call, opening, name)
        if found is None:
            return None
        begin, end, after = found
        text = self._text[begin:end]
        if self._grammar.newlines:
            text = between(text)
        call.members[name] = typed(text, kinds)
        return after

    def _section(self, call: _Call, at: int) -> tuple[int, int, int] | None:
        """A value in a CDATA section."""
        if not self._grammar.cdata:
            return None
        begin = re.compile(rf"\s*+{CDATA}").match(self._text, at)
        if begin is None:
            return None
        ends = re.compile(rf"\]\]>\s*+{self._grammar.parameter_end}")
        for end in ends.finditer(self._text, begin.end()):
            after = self._after_blank(end.end())
            if self._goes_on(call, after):
                return begin.end(), end.start(), after
        return None

    def _end_of_value(
        self, call: _Call, opening: re.Match[str], name: str
    ) -> tuple[int, int, int] | None:
        """Where the value begins and ends, and where the structure goes on."""
        grammar, text = self._grammar, self._text
        begin = opening.end()
        kept: tuple[int, int, int] | None = None
        for tag in _tags_in_values(grammar, name).finditer(text, begin):
            after = self._after_blank(tag.end())
            if tag.lastgroup == "p":
                if self._goes_on(call, after):
                    kept = (begin, tag.start(), after)
                    if name not in grammar.last or self._stops.match(text, after):
                        return kept
            elif tag.lastgroup == "c":
                ended = kept is None and self._follows_call(after)
                if ended and self._may_end(call, name, tag.start()):
                    return begin, tag.start(), tag.start()
            elif self._implies_end(call, name, tag.start()):
                return begin, tag.start(), tag.start()
        return kept

    def _goes_on(self, call: _Call, at: int) -> bool:
        """Whether the structure goes on at `at` behind a value."""
        if at == len(self._text):
            return True
        if self._opening(call, at) is not None:
            return True
        stop = self._stops.match(self._text, at)
        return stop is not None and self._follows_call(self._after_blank(stop.end()))

    def _follows_call(self, at: int) -> bool:
        return at == len(self._text) or self._next.match(self._text, at) is not None

    def _implies_end(self, call: _Call, name: str, at: int) -> bool:
        """Whether the opening of a parameter at `at` ends value `name`."""
        found = self._opening(call, at)
        if found is None or found["name"] not in call.parameters.kinds:
            return False
        return self._may_end(call, name, at)

    def _may_end(self, call: _Call, name: str, at: int) -> bool:
        """Whether value `name` may end at `at` without its closing tag."""
        kinds = call.parameters.of(name)
        if kinds is not None and "string" not in kinds:
            return True
        line = self._text[max(at - _REACH, 0) : at].rstrip(" \t")
        return line.endswith("\n")


def _tags_in_values(grammar: Grammar, name: str) -> re.Pattern[str]:
    """The tags that could end the value of parameter `name`."""
    pattern = f"(?P<p>{grammar.end_of(name)})|(?P<c>{unnamed(grammar.call_end)})"
    if grammar.implicit:
        pattern += f"|(?P<q>{unnamed(grammar.parameter)})"
    return re.compile(pattern)


def unnamed(pattern: str) -> str:
    """`pattern` with its named groups unnamed."""
    return re.sub(r"\(\?P<\w+>", "(?:", pattern)


def parse_tags(grammar: Grammar, body: str, tools: Tools) -> list[FoundCall] | None:
    """The calls of a body written in `grammar`. Never raises."""
    return _Reader(grammar, body, tools).calls()
