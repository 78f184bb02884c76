"""Calls as Python writes them: `[f(a=1, b="x"), g()]`, `print(default_api.f(a=1))`.

Knows calls with keyword arguments that are literals (`_literals`), and never evaluates.
They stand in one list, or one behind the other with line feeds, commas or semicolons
between. One argument without a name is taken where the tool has one parameter.

Interface: `parse(body, tools)` and `ending(closer, tools)` as `_ending` has it.
Without a closer the body ends with the bracket that closes its first one.
"""

from __future__ import annotations

import re
from typing import Final

from llmwire.filters._call_bodies._ending import Ending, open_end
from llmwire.filters._call_bodies._found import FoundCall, Tools, resolved
from llmwire.filters._call_bodies._literals import blank_end, read_literal
from llmwire.filters._call_bodies._values import json_object, parameters_of

__all__ = ("ending", "parse")

_NAME: Final = re.compile(r"([^\W\d][\w.\-/:]{0,127})[ \t]{0,16}\(")
_KEY: Final = re.compile(r"([^\W\d][\w\-]{0,127})\s{0,16}=(?!=)")
_BETWEEN: Final = re.compile(r"[\s,;]*+")
_SHOWN: Final = "print("
_BUILT_IN: Final = ".call"
"""What Llama puts behind the names of the tools that it was trained with."""


def parse(body: str, tools: Tools) -> list[FoundCall] | None:
    """The calls of `body`; None if it is anything but whole calls. Never raises."""
    at = blank_end(body, 0)
    listed = body.startswith("[", at)
    if listed:
        at = blank_end(body, at + 1)
    found: list[FoundCall] = []
    while at < len(body) and not (listed and body[at] == "]"):
        read = _statement(body, at, tools)
        if read is None:
            return None
        found.append(read[0])
        at = _BETWEEN.match(body, read[1]).end()  # type: ignore[union-attr]  # it matches nothing too
    if listed:
        if at >= len(body):
            return None
        at = blank_end(body, at + 1)
    return found if found and at == len(body) else None


def _statement(text: str, at: int, tools: Tools) -> tuple[FoundCall, int] | None:
    """The call at `at`, maybe one that is printed, and where it ends."""
    if "print" in tools or not text.startswith(_SHOWN, at):
        return _call(text, at, tools)
    read = _call(text, blank_end(text, at + len(_SHOWN)), tools)
    if read is None:
        return None
    end = blank_end(text, read[1])
    return (read[0], end + 1) if text.startswith(")", end) else None


def _call(text: str, at: int, tools: Tools) -> tuple[FoundCall, int] | None:
    opening = _NAME.match(text, at)
    if opening is None:
        return None
    name = resolved(opening[1], tools)
    name = name or resolved(opening[1].removesuffix(_BUILT_IN), tools)
    read = _arguments(text, opening.end()) if name else None
    if name is None or read is None:
        return None
    members, end = read
    if "" in members:
        known = list(parameters_of(tools[name]).kinds)
        if len(known) != 1 or len(members) != 1:
            return None
        members = {known[0]: members[""]}
    return FoundCall(name, json_object(members.items())), end


def _arguments(text: str, at: int) -> tuple[dict[str, str], int] | None:
    """The arguments up to the bracket that closes them; one without a name under ""."""
    members: dict[str, str] = {}
    at = blank_end(text, at)
    while text[at : at + 1] != ")":
        key = _KEY.match(text, at)
        name = key[1] if key else ""
        value = read_literal(text, key.end() if key else at)
        if value is None or name in members:
            return None
        members[name] = value[0]
        at = blank_end(text, value[1])
        if text[at : at + 1] == ",":
            at = blank_end(text, at + 1)
        elif text[at : at + 1] != ")":
            return None
    return members, at + 1


_IN_STRING: Final = {
    quote: re.compile(rf"\\.|{quote}", re.DOTALL) for quote in ("'", '"', "'''", '"""')
}


class _PythonicEnding:
    """Follows brackets and strings."""

    __slots__ = ("_begun", "_closer", "_depth", "_marks", "_quote", "_read", "_rest")

    def __init__(self, closer: str) -> None:
        self._closer = closer
        words = [re.escape(closer), "'''", '"""', "'", '"', r"[\[\](){}]"]
        self._marks = re.compile("|".join(filter(None, words)))
        self._rest = ""
        self._read = 0
        """Characters in front of the rest."""
        self._depth = 0
        self._begun = False
        self._quote = ""

    def feed(self, piece: str) -> int | None:
        """See `Ending`."""
        return self._follow(self._rest + piece, more=True)

    def finish(self) -> int | None:
        """See `Ending`."""
        end = self._follow(self._rest, more=False)
        if end is None and self._begun and not self._depth and not self._quote:
            return self._read
        return end

    def _follow(self, text: str, *, more: bool) -> int | None:
        at = 0
        while True:
            limit = len(text) - (self._open_end(text, at) if more else 0)
            marks = _IN_STRING[self._quote] if self._quote else self._marks
            mark = marks.search(text, at)
            if mark is None or mark.start() >= limit:
                break
            at = mark.end()
            if self._quote:
                self._quote = "" if mark[0] == self._quote else self._quote
            elif mark[0] == self._closer:
                return self._read + mark.start()
            elif mark[0] in _IN_STRING:
                self._quote = mark[0]
            elif self._nests(mark[0]) and not self._closer:
                return self._read + at
        self._read += max(at, limit)
        self._rest = text[max(at, limit) :]
        return None

    def _nests(self, bracket: str) -> bool:
        """Count `bracket`; whether none is open any more."""
        self._begun = True
        self._depth += 1 if bracket in "([{" else -1
        return self._depth <= 0

    def _open_end(self, text: str, at: int) -> int:
        """How much of the end of `text` could still become another mark."""
        if self._quote and text.endswith("\\") and len(text) > at:
            return 1
        words = (self._quote,) if self._quote else (self._closer, "'''", '"""')
        return open_end(text, at, words)


def ending(closer: str, tools: Tools) -> Ending:
    """Follows a body of this form; see `_ending`."""
    return _PythonicEnding(closer)
