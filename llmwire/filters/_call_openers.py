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

__all__ = ("HOLD", "Openers")


class _Hold(Enum):
    HOLD = "hold"


HOLD: Final = _Hold.HOLD
"""A word could still come."""
_Held: TypeAlias = Literal[_Hold.HOLD]
_Search: TypeAlias = Callable[..., "re.Match[str] | None"]


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
        letters = "".join({re.escape(word[0]) for word in anywhere}) + "\\n"
        self.trigger: Final[_Search] = re.compile(f"[{letters}]").search
        """Whether a word, or a line, may begin in a text."""
        self._prefixes = {word[:at] for word in anywhere for at in range(1, len(word))}
        self._longest = max(map(len, anywhere), default=1)
        self._lines = sorted(line)
        self._sizes = sorted(set(map(len, line)), reverse=True)
        self._letters = {word[0] for word in line}

    def reach(self, text: str) -> int:
        """How much of the end of `text` could become a word that stands anywhere."""
        for size in range(min(len(text), self._longest - 1), 0, -1):
            if text[-size:] in self._prefixes:
                return size
        return 0

    def line_word(self, text: str, at: int, final: bool) -> str | _Held | None:
        """The longest word that begins a line at `at`; HOLD: not yet known."""
        if text[at] not in self._letters:
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
