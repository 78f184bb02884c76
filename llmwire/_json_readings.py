"""A reading of broken JSON under way, and what comes of it.

Knows what is remembered between two tokens; reads nothing itself. What grows with the
text (containers, edits) is kept in links, so that a reading can be copied at any point.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, TypeAlias

from msgspec import Struct

from llmwire._json_edits import Edit

MAX_FIXES: Final = 64
"""Fixes of one text; several of one kind in one string count once."""


class Mode(IntEnum):
    """What a reading expects next."""

    VALUE = 0
    ITEM = 1
    KEY = 2
    COLON = 3
    AFTER = 4
    TAIL = 5
    DONE = 6


Stack: TypeAlias = "tuple[str, object, Stack] | None"
_Edits: TypeAlias = "tuple[Edit, _Edits] | None"
Spans: TypeAlias = "tuple[int, int, Spans] | None"


class Stuck(Exception):
    """The text cannot go on like that.

    Args:
        offset: Where.
        expected: What could have stood there.
    """

    def __init__(self, offset: int, expected: str) -> None:
        super().__init__(offset, expected)
        self.offset = offset
        self.expected = expected


class Reading(Struct, frozen=True):
    """One document that was read."""

    start: int
    end: int
    """Where it stands in the text."""
    edits: tuple[Edit, ...]
    """What makes it JSON, in order; what stands around it is removed."""
    rest: int | None
    """Where another document begins behind it."""
    odd: int = 0
    """Strings in which an odd number of quotes was taken for content."""


class State:
    """A reading under way; a copy of it is cheap."""

    def __init__(self, at: int, edits: Sequence[Edit]) -> None:
        self.at = at
        self.mode = Mode.VALUE
        self.stack: Stack = None
        self.place: object = None
        """Schema of the value that comes next."""
        self.edits: _Edits = None
        for edit in edits:
            self.edits = (edit, self.edits)
        self.fixes = 0
        self.comma = -1
        """Where the comma stands behind which nothing has come yet."""
        self.member = 0
        """Where the member begins that is being read."""
        self.member_comma = -1
        """The comma in front of it, if one must stand there."""
        self.value_end = at
        self.start = -1
        self.rest: int | None = None
        self.search = 0
        """From where the string that comes next may end; 0: at its first quote."""
        self.doubted = False
        """Whether a string was given another end than its first quote."""
        self.pythonic = False
        self.odd = 0
        self.undoubled = False
        """Whether a string was written without doubling its backslashes."""
        self.escapes: Spans = None
        """Strings with escapes that are right."""

    def fix(self, *edits: Edit) -> None:
        """One fix, of these edits."""
        self.fixes += 1
        if self.fixes > MAX_FIXES:
            raise Stuck(self.at, f"no more than {MAX_FIXES} mistakes")
        for edit in edits:
            self.edits = (edit, self.edits)

    def withdraw(self, offset: int) -> None:
        """Take back the edit at `offset`, behind which there are few."""
        later: list[Edit] = []
        while self.edits is not None and self.edits[0].offset >= offset:
            edit, self.edits = self.edits
            if edit.offset > offset:
                later.append(edit)
        for edit in reversed(later):
            self.edits = (edit, self.edits)

    def in_order(self) -> tuple[Edit, ...]:
        """All edits."""
        listed: list[Edit] = []
        link = self.edits
        while link is not None:
            edit, link = link
            listed.append(edit)
        listed.reverse()
        return tuple(sorted(listed, key=_order))


def _order(edit: Edit) -> tuple[int, int]:
    """Insertions come before removals at the same place."""
    return edit.offset, len(edit.removed)
