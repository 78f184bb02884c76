"""Think tags, ready to be looked for: openings with attributes, closings in any case.

Knows text and the rows of `_think_tags`. Every answer about the beginning of a text
stays the same when the text goes on.
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from llmwire.filters._match import Finder, Words
from llmwire.filters._think_tags import ThinkTags

ATTRIBUTES: Final = 256
"""Characters of attributes that an opening tag may have."""
_FOLD: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Opening:
    """What stands in front of a thought, or of an answer."""

    __slots__ = ("_literal", "_stem", "answer", "tags")

    def __init__(self, literal: str, tags: ThinkTags, *, answer: bool = False) -> None:
        self.tags: Final = tags
        self.answer: Final = answer
        self._literal = fold(literal) if tags.ignore_case else literal
        self._stem = self._literal[:-1] if tags.attributes else ""

    @property
    def size(self) -> int:
        """Characters that it has without attributes."""
        return len(self._literal)

    def match(self, text: str) -> int | None:
        """How much of the beginning of `text` is this tag.

        Returns:
            Its size; 0: it is none; None: `text` is too short to tell.
        """
        size = len(self._literal)
        head = text[:size]
        if self.tags.ignore_case:
            head = fold(head)
        if head == self._literal:
            return size
        if self._literal.startswith(head):
            return None
        if self._stem and head.startswith(self._stem):
            return _with_attributes(text, len(self._stem))
        return 0


def _with_attributes(text: str, at: int) -> int | None:
    """As `Opening.match`, for what stands behind the name of a tag."""
    if not text[at].isspace():
        return 0
    end = text.find(">", at, at + ATTRIBUTES)
    inside = text[at : end if end >= 0 else at + ATTRIBUTES]
    if "<" in inside:
        return 0
    if end < 0:
        return None if len(inside) < ATTRIBUTES else 0
    return 0 if inside.endswith("/") else end + 1


def fold(text: str) -> str:
    """`text` with its ASCII letters small; everything keeps its place."""
    return text.translate(_FOLD)


class ThinkRules:
    """Tags, ready to be looked for. `rules_of` keeps them for the next answer."""

    __slots__ = ("_closings", "closings", "openings", "retroactive", "tools", "trim")

    def __init__(
        self,
        tags: Iterable[ThinkTags],
        *,
        tool_openers: Iterable[str] = (),
        trim: bool = False,
        retroactive: int = 0,
    ) -> None:
        rows = tuple(dict.fromkeys(tags))
        found = [Opening(each, row) for row in rows for each in row.openings]
        found += [Opening(w, row, answer=True) for row in rows for w in row.answers]
        self.openings: Final = tuple(sorted(found, key=lambda each: each.size))
        """Shortest first: the first that matches is the one."""
        self.tools: Final = frozenset(tool_openers)
        self.trim: Final = trim
        self.retroactive: Final = retroactive
        exact = [row for row in rows if not row.ignore_case]
        self.closings: Final = Words(word for row in exact for word in row.closings)
        """What ends a thought that opened without a tag."""
        self._closings = {row: self._words(row) for row in rows}

    def _words(self, row: ThinkTags) -> Words:
        words = (*row.closings, *self.tools)
        return Words(map(fold, words) if row.ignore_case else words)

    def finder(self, tags: ThinkTags | None) -> TagFinder:
        """Looks for what ends a thought of `tags`; None: of any that are exact."""
        if tags is None:
            return TagFinder(Words((*self.closings.words, *self.tools)))
        return TagFinder(self._closings[tags], ignore_case=tags.ignore_case)

    def is_tool(self, word: str, tags: ThinkTags | None) -> bool:
        """Whether `word`, found by `finder(tags)`, is an opener of calls."""
        if tags is None or not tags.ignore_case:
            return word in self.tools
        return fold(word) in map(fold, self.tools)

    def match(self, text: str) -> tuple[Opening | None, int | None]:
        """The opening at the beginning of `text` and its size, as `Opening.match`."""
        for opening in self.openings:
            size = opening.match(text)
            if size != 0:
                return opening, size
        return None, 0


class TagFinder:
    """A `Finder` that may take ASCII letters in either case."""

    __slots__ = ("_begins", "_finder", "_ignore_case", "held")

    def __init__(self, words: Words, *, ignore_case: bool = False) -> None:
        self._finder = Finder(words)
        self._begins = words.begins
        self._ignore_case = ignore_case
        self.held = ""
        """The end of the text so far, where it could become a word."""

    def passes(self, text: str) -> bool:
        """Whether `feed` would give all of `text` and remember nothing of it."""
        if self.held:
            return False
        return self._begins(fold(text) if self._ignore_case else text) is None

    def feed(self, text: str) -> tuple[str, str | None, str]:
        """As `Finder.feed`, with every text as it was written."""
        found = self._finder.feed(fold(text) if self._ignore_case else text)
        return self._as_written(self.held + text, found)

    def finish(self) -> tuple[str, str | None, str]:
        """As `Finder.finish`."""
        return self._as_written(self.held, self._finder.finish())

    def _as_written(
        self, text: str, found: tuple[str, str | None, str]
    ) -> tuple[str, str | None, str]:
        clear, word, _ = found
        self.held = ""
        end = len(clear)
        if word is None:
            self.held = text[end:]
            return text[:end] if self.held else text, None, ""
        behind = end + len(word)
        return text[:end], text[end:behind], text[behind:]


@lru_cache(maxsize=64)
def rules_of(
    tags: tuple[ThinkTags, ...],
    tool_openers: tuple[str, ...] = (),
    trim: bool = False,
    retroactive: int = 0,
) -> ThinkRules:
    """`ThinkRules`, made once for equal arguments."""
    return ThinkRules(
        tags, tool_openers=tool_openers, trim=trim, retroactive=retroactive
    )
