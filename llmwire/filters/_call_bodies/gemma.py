"""Calls of Gemma: `call:NAME{key:<mark>text<mark>,other:1}`.

Knows one grammar with two marks around strings: `<escape>` (FunctionGemma) and `<|"|>`
(Gemma 4). Strings may also stand in the quotes of JSON. What stands bare is a number, a
word for truth or nothing, a list, an object, or else text up to the next comma or
bracket, typed by the tool's schema. Nothing is escaped between two marks; the second
is one only where a comma, a colon or a closing bracket follows.

Interface: `parse(body, tools)` and `ending(closer, tools)` as `_ending` has it.
Without a closer the body ends with the bracket that closes its first one.
"""

from __future__ import annotations

import json
import re
from typing import Final

from llmwire.filters._call_bodies._ending import Ending, open_end
from llmwire.filters._call_bodies._found import FoundCall, Tools, resolved
from llmwire.filters._call_bodies._literals import blank_end, json_string, read_literal
from llmwire.filters._call_bodies._values import json_object, parameters_of, typed
from llmwire.filters._tool_values import Kinds

__all__ = ("ending", "parse")

_HEAD: Final = re.compile(r"\s*+call:\s{0,16}(?P<name>[^\s{}<>]{1,128})\s{0,16}\{")
_MARKS: Final = ("<escape>", '<|"|>')
_MARK: Final = re.compile(r'<escape>|<\|"\|>')
_ENDS: Final = {
    mark: re.compile(rf"{re.escape(mark)}(?=\s{{0,16}}+(?:[,:}}\]]|\Z))")
    for mark in _MARKS
}
_KEY: Final = re.compile(r"([^\s{}\[\],:<>\"]{1,128})")
_BARE: Final = re.compile(r"[^{}\[\],<>\"]{1,4096}+(?=[,}\]])")
_ANYTHING: Final = None
_DEEPEST: Final = 128
_CLOSERS: Final = {"[": "]", "{": "}"}


def parse(body: str, tools: Tools) -> list[FoundCall] | None:
    """The one call of `body`; None if it is anything else. Never raises."""
    head = _HEAD.match(body)
    name = resolved(head["name"], tools) if head else None
    if head is None or name is None:
        return None
    parameters = parameters_of(tools[name])
    members: dict[str, str] = {}
    at = blank_end(body, head.end())
    while not body.startswith("}", at):
        key = _key(body, at)
        if key is None or key[0] in members:
            return None
        value = _Value(body, key[1]).read(parameters.of(key[0]))
        if value is None:
            return None
        members[key[0]] = value[0]
        at = blank_end(body, value[1])
        if body.startswith(",", at):
            at = blank_end(body, at + 1)
        elif not body.startswith("}", at):
            return None
    if blank_end(body, at + 1) != len(body):
        return None
    return [FoundCall(name, json_object(members.items()))]


def _key(text: str, at: int) -> tuple[str, int] | None:
    """The key at `at`, and where its value begins."""
    found = _KEY.match(text, at)
    if found is not None:
        key, end = found[1], found.end()
    else:
        marked = _marked(text, at) or _quoted(text, at)
        if marked is None:
            return None
        key, end = marked
    end = blank_end(text, end)
    return (key, blank_end(text, end + 1)) if text.startswith(":", end) else None


def _marked(text: str, at: int) -> tuple[str, int] | None:
    """The text between two marks at `at`, and where the second ends."""
    begin = _MARK.match(text, at)
    end = _ENDS[begin[0]].search(text, begin.end()) if begin else None
    if begin is None or end is None:
        return None
    return text[begin.end() : end.start()], end.end()


def _quoted(text: str, at: int) -> tuple[str, int] | None:
    """The text in quotes at `at`, and where they end."""
    literal = read_literal(text, at) if text.startswith('"', at) else None
    return (json.loads(literal[0]), literal[1]) if literal else None


class _Value:
    """Reads one value to JSON."""

    __slots__ = ("_at", "_open", "_pieces", "_text")

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._at = at
        self._open: list[str] = []
        self._pieces: list[str] = []

    def read(self, kinds: Kinds) -> tuple[str, int] | None:
        """The JSON of the value, and where it ends."""
        while True:
            self._at = blank_end(self._text, self._at)
            mark = self._text[self._at : self._at + 1]
            if mark in _CLOSERS and len(self._open) < _DEEPEST:
                self._pieces.append(mark)
                self._open.append(_CLOSERS[mark])
                self._at = blank_end(self._text, self._at + 1)
                if not self._text.startswith(self._open[-1], self._at):
                    if not self._next():
                        return None
                    continue
            elif not self._scalar(_ANYTHING if self._open else kinds):
                return None
            if not self._close():
                return None
            if not self._open:
                return "".join(self._pieces), self._at

    def _close(self) -> bool:
        """What stands behind a value; False: nothing that may."""
        while self._open:
            self._at = blank_end(self._text, self._at)
            mark = self._text[self._at : self._at + 1]
            self._at += 1
            if mark == self._open[-1]:
                self._pieces.append(self._open.pop())
            elif mark == ",":
                self._pieces.append(",")
                return self._next()
            else:
                return False
        return True

    def _next(self) -> bool:
        """The key of the next member, where it has one."""
        if self._open[-1] == "]":
            return True
        self._at = blank_end(self._text, self._at)
        key = _key(self._text, self._at)
        if key is None:
            return False
        self._pieces += (json_string(key[0]), ":")
        self._at = key[1]
        return True

    def _scalar(self, kinds: Kinds) -> bool:
        """A string, or what stands bare."""
        marked = _marked(self._text, self._at) or _quoted(self._text, self._at)
        if marked is not None:
            value, self._at = json_string(marked[0]), marked[1]
        else:
            bare = _BARE.match(self._text, self._at)
            if bare is None:
                return False
            value, self._at = typed(bare[0].strip(), kinds), bare.end()
        self._pieces.append(value)
        return True


_QUOTE_MARK: Final = re.compile(r'\\.|"', re.DOTALL)
_CERTAIN: Final = {
    mark: re.compile(rf"{re.escape(mark)}(?=\s{{0,16}}+[,:}}\]])") for mark in _MARKS
}
_UNCERTAIN: Final = {
    mark: re.compile(rf"{re.escape(mark)}\s{{0,16}}+\Z") for mark in _MARKS
}


class _GemmaEnding:
    """Follows brackets and strings."""

    __slots__ = ("_closer", "_depth", "_marks", "_quote", "_read", "_rest")

    def __init__(self, closer: str) -> None:
        self._closer = closer
        words = map(re.escape, filter(None, (closer, *_MARKS)))
        self._marks = re.compile("|".join((*words, r'["{}\[\]]')))
        self._rest = ""
        self._read = 0
        """Characters in front of the rest."""
        self._depth = 0
        self._quote = ""

    def feed(self, piece: str) -> int | None:
        """See `Ending`."""
        text = self._rest + piece
        at = 0
        while True:
            limit = len(text) - self._open_end(text, at)
            mark = self._pattern().search(text, at)
            if mark is None or mark.start() >= limit:
                break
            at = mark.end()
            if self._quote:
                self._quote = "" if mark[0] == self._quote else self._quote
            elif mark[0] == self._closer:
                return self._read + mark.start()
            elif mark[0] in (*_MARKS, '"'):
                self._quote = mark[0]
            else:
                self._depth += 1 if mark[0] in "{[" else -1
                if self._depth <= 0 and not self._closer:
                    return self._read + at
        at = max(at, limit)
        self._read += at
        self._rest = text[at:]
        return None

    def finish(self) -> int | None:
        """See `Ending`: without its closer it is no call."""
        return None

    def _pattern(self) -> re.Pattern[str]:
        if not self._quote:
            return self._marks
        return _QUOTE_MARK if self._quote == '"' else _CERTAIN[self._quote]

    def _open_end(self, text: str, at: int) -> int:
        """How much of the end of `text` could still become another mark."""
        if self._quote == '"':
            return int(text.endswith("\\") and len(text) > at)
        if not self._quote:
            return open_end(text, at, (self._closer, *_MARKS))
        tail = max(len(text) - len(self._quote) - 16, at)
        waiting = _UNCERTAIN[self._quote].search(text, tail)
        if waiting is not None:
            return len(text) - waiting.start()
        return open_end(text, at, (self._quote,))


def ending(closer: str, tools: Tools) -> Ending:
    """Follows a body of this form; see `_ending`."""
    return _GemmaEnding(closer)
