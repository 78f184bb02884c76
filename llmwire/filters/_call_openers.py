"""The words that calls begin with, and how they are found in a text.

Knows words only. Words that may stand anywhere are no part of each other, unless the
one ends with the other; so the first that stands in a text is the one that counts.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final, Literal, TypeAlias

from llmwire.filters._call_formats import CallFormat
from llmwire.filters._match import beginnings

__all__ = ("HOLD", "Openers")


class _Hold(Enum):
    HOLD = "hold"


HOLD: Final = _Hold.HOLD
"""A word could still come."""
_Held: TypeAlias = Literal[_Hold.HOLD]
_Search: TypeAlias = Callable[..., "re.Match[str] | None"]
_HEAD: Final = 4
_BLANKS: Final = re.compile(r"[ \t]*")


class Openers:
    """The opening words of some formats."""

    def __init__(self, formats: Iterable[CallFormat]) -> None:
        anywhere: dict[str, tuple[CallFormat, ...]] = {}
        line: dict[str, tuple[CallFormat, ...]] = {}
        for form in formats:
            words = anywhere if form.place == "anywhere" else line
            for word in form.openers:
                words[word] = (*words.get(word, ()), form)
        for word in line.keys() & anywhere.keys():
            line[word] += anywhere[word]
        self.anywhere: Final[Mapping[str, tuple[CallFormat, ...]]] = anywhere
        """Word that may stand within a line -> what it may begin."""
        self.line: Final[Mapping[str, tuple[CallFormat, ...]]] = line
        """Word that begins a line -> what it may begin."""
        pattern = "|".join(map(re.escape, anywhere)) or "(?!)"
        self.search: Final[_Search] = re.compile(pattern).search
        """The first word within a text."""
        self.trigger: Final[_Search] = re.compile(beginnings(anywhere)).search
        """Whether one of them may begin in a text, by its first two letters."""
        self._prefixes = {word[:at] for word in anywhere for at in range(1, len(word))}
        self._longest = max(map(len, anywhere), default=1)
        self._lines = sorted(line)
        self._sizes = sorted(set(map(len, line)), reverse=True)
        self._letters = {word[0] for word in line}
        self._short = {word[0] for word in line if len(word) < _HEAD}
        self._heads = {word[:size] for word in line for size in range(1, _HEAD + 1)}

    def line_behind(self, text: str, bare: bool) -> bool | None:
        """Whether the line behind `text` has nothing but blanks.

        Args:
            text: The next piece.
            bare: The line before it has nothing but blanks.

        Returns:
            That, or None: a word that begins lines stands in it, or may.
        """
        start = text.rfind("\n") + 1
        if not start or (not bare and text.find("\n") + 1 == start):
            line = text[start:].lstrip(" \t")
            if not line:
                return True
            if line[0] not in self._letters or not self._may_begin(line[:_HEAD]):
                return False
        at = 0 if bare else text.find("\n") + 1
        while bare or at:
            at = _BLANKS.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too
            if at == len(text):
                return True
            if self.line_word(text, at, False) is not None:
                return None
            at, bare = text.find("\n", at) + 1, False
        return False

    def _may_begin(self, head: str) -> bool:
        """Whether a word that begins lines may begin so: with up to four letters."""
        return head in self._heads or head[0] in self._short

    def reach(self, text: str) -> int:
        """How much of the end of `text` could become a word that stands anywhere."""
        for size in range(min(len(text), self._longest - 1), 0, -1):
            if text[-size:] in self._prefixes:
                return size
        return 0

    def line_word(self, text: str, at: int, final: bool) -> str | _Held | None:
        """The longest word that begins a line at `at`; HOLD: not yet known."""
        if not self._may_begin(text[at : at + _HEAD]):
            return None
        rest = text[at : at + self._sizes[0]]
        if not final:
            following = bisect_left(self._lines, rest)
            following += self._lines[following : following + 1] == [rest]
            longer = self._lines[following : following + 1]
            if longer and longer[0].startswith(rest):
                return HOLD
        sizes = (size for size in self._sizes if rest[:size] in self.line)
        size = next(sizes, 0)
        return rest[:size] or None
