"""Where a call ends whose opening word was found.

Knows the formats that open with the word, and reads the text behind it with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from llmwire.filters._call_bodies._ending import Ending
from llmwire.filters._call_bodies._found import FoundCall, Tools
from llmwire.filters._call_formats import CallFormat

__all__ = ("CallRegion",)

_HEAD: Final = 256
"""Characters by which it is decided whether a format can begin so."""
_TRIES: Final = 16
"""Closing words at which a format is tried."""
_BRACKETS: Final = re.compile(r'["\\\[\](){}]')


@lru_cache(256)
def _closings(words: tuple[str, ...]) -> re.Pattern[str]:
    longest = sorted(words, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest)))


class _Closing:
    """Finds the closing words of a format."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self._pattern = _closings(words)
        self._reach = max(map(len, words)) - 1
        self._tail = ""
        self._left = _TRIES
        self.over = False

    def ends(self, text: str, base: int) -> list[tuple[int, int]]:
        """Where the format could end: behind which character, and what of it is read.

        Args:
            text: The next piece.
            base: Characters before it.
        """
        window, base = self._tail + text, base - len(self._tail)
        seen = len(self._tail)
        self._tail = window[-self._reach :] if self._reach else ""
        found = []
        for word in self._pattern.finditer(window):
            if word.end() > seen and self._left:
                self._left -= 1
                found.append((base + word.end(), base + word.start()))
        self.over = not self._left
        return found


class _Value:
    """Finds the end of a value in brackets."""

    def __init__(self, opening: str) -> None:
        self._opening = opening
        self._begun = False
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self.over = False

    def ends(self, text: str, base: int) -> list[tuple[int, int]]:
        """As `_Closing.ends`."""
        at = 0
        if not self._begun:
            room = max(_HEAD - base, 0)
            places = [text.find(opening, 0, room) for opening in self._opening]
            if max(places) < 0:
                self.over = len(text) > room
                return []
            self._begun, at = True, min(at for at in places if at >= 0)
        while not self.over:
            if self._escaped and at < len(text):
                self._escaped = False
                at += 1
            mark = _BRACKETS.search(text, at)
            if mark is None:
                return []
            at = mark.end()
            self._take(mark[0])
            if not self._depth:
                self.over = True
        return [(base + at, base + at)]

    def _take(self, mark: str) -> None:
        if mark == "\\":
            self._escaped = True
        elif mark == '"':
            self._quoted = not self._quoted
        elif not self._quoted:
            self._depth += 1 if mark in "([{" else -1


class _Told:
    """Follows a format whose reader tells where it ends."""

    def __init__(self, ending: Ending, closer: str) -> None:
        self._ending = ending
        self._closer = len(closer)
        self._opening = 0
        """Characters of the body that are those of the opening word."""
        self._end: int | None = None
        self.over = False

    def ends(self, text: str, base: int) -> list[tuple[int, int]]:
        """As `_Closing.ends`."""
        if base < 0:
            self._opening = -base
        if self._end is None:
            self._end = self._ending.feed(text)
        if self._end is None:
            return []
        read = self._end - self._opening
        self.over = base + len(text) >= read + self._closer
        return [(read + self._closer, read)] if self.over else []

    def at_end(self) -> int | None:
        """Where the body ends, if the text is over and it is whole."""
        end = self._ending.finish() if self._end is None else None
        return None if end is None else end - self._opening


class _Candidate:
    """A format that the call may be in."""

    def __init__(self, form: CallFormat, word: str, tools: Tools) -> None:
        self.form = form
        self.prefix = word if form.kept else ""
        self.end: _Closing | _Value | _Told
        if form.ending is not None:
            closer = form.closers[0] if form.closers else ""
            self.end = _Told(form.ending(closer, tools), closer)
        elif form.closers:
            self.end = _Closing(form.closers)
        else:
            self.end = _Value(form.value)
        if self.prefix:
            self.end.ends(self.prefix, -len(self.prefix))

    def closed(self, word: str) -> bool:
        """Whether `word` is what must stand at the end."""
        return word in self.form.closers if self.form.closers else not word


class CallRegion:
    """The text behind an opening word.

    Args:
        word: The opening word.
        formats: Those that open so, the first that reads the text wins.
        tools: The tools that may be called.
        limit: Characters of the text at most.
    """

    def __init__(
        self, word: str, formats: Sequence[CallFormat], tools: Tools, limit: int
    ) -> None:
        self.word: Final = word
        self.name = formats[0].name
        """The format it is, as far as that is known."""
        self.accepted = formats[0]
        """The format by which calls were read."""
        self.candidates = [_Candidate(form, word, tools) for form in formats]
        """What it may be; empty: it is no call."""
        self.size = 0
        self.rest = ""
        """What stands behind the calls that were found."""
        self.died: int | None = None
        """Where it was known that it is no call; None: from how it begins."""
        self.too_long = False
        """It was longer than the limit."""
        self._tools = tools
        self._limit = limit
        self._pieces: list[str] = []
        self._head: str | None = ""

    @property
    def text(self) -> str:
        """All of it, with the opening word."""
        return self.word + self._body()

    def _body(self) -> str:
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def feed(self, text: str) -> tuple[FoundCall, ...] | None:
        """The text goes on: the calls, if it is complete with that."""
        base = self.size
        self._pieces.append(text)
        self.size += len(text)
        seen = text[: self._limit - base]
        if self._head is not None:
            self._settle(self._head + seen)
        ends = [
            (*end, at)
            for at, each in enumerate(self.candidates)
            for end in each.end.ends(seen, base)
        ]
        for end, read, at in sorted(ends, key=lambda each: (each[0], each[2])):
            each = self.candidates[at]
            closed = each.closed(self._body()[read:end])
            found = self._read(each, read) if closed else None
            if found:
                return self._split(found, end)
            self.died = end
        alive = [each for each in self.candidates if not each.end.over]
        if alive and self.size > self._limit:
            alive, self.died, self.too_long = [], self._limit, True
        self.candidates = alive
        return None

    def _settle(self, head: str) -> None:
        """Leave the formats out that cannot begin so."""
        squeezed = "".join(head[:_HEAD].split())
        decided = len(head) >= _HEAD
        alive = []
        open_still = False
        for each in self.candidates:
            begins = each.form.begins
            if begins and not squeezed.startswith(begins):
                if decided or not any(word.startswith(squeezed) for word in begins):
                    continue
                open_still = True
            alive.append(each)
        self.candidates = alive
        if not alive:
            self.died = None
        self.name = alive[0].form.name if alive else self.name
        self._head = head if open_still else None

    def _read(self, candidate: _Candidate, end: int) -> tuple[FoundCall, ...] | None:
        form, body = candidate.form, self._body()[:end]
        if form.begins and not "".join(body[:_HEAD].split()).startswith(form.begins):
            return None
        found = form.parse(candidate.prefix + body, self._tools)
        if not found:
            return None
        self.accepted = form
        return tuple(found)

    def _split(self, found: tuple[FoundCall, ...], end: int) -> tuple[FoundCall, ...]:
        """The region ends; what is behind is the rest."""
        body = self._body()
        self.rest = body[end:]
        self._pieces = [body[:end]]
        return found

    def at_end(self) -> tuple[FoundCall, ...] | None:
        """The calls, if the text is over and the format may end with it."""
        self.died = self.size
        for each in self.candidates:
            end = self.size if each.form.open_ended else None
            if isinstance(each.end, _Told):
                end = each.end.at_end()
            found = self._read(each, end) if end is not None else None
            if found and end is not None:
                return self._split(found, end)
        return None
