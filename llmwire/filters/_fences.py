"""Where the fenced code of a Markdown text begins and ends, while the text comes.

Knows lines and fences: three or more backticks or tildes that begin a line, white space
and marks of quotes aside. A fence of backticks opens at the end of its line, if no
other backtick stands on it. It closes with the first line that begins with as many,
whatever follows there, for models forget the line break.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ("Fences",)

_LONGEST: Final = 256
"""A longer line is no fence."""
_BLANK: Final = " \t>"
_FENCE: Final = re.compile(r"(`{3,}(?!.*`)|~{3,})")


class Fences:
    """Follows one text."""

    __slots__ = ("_fence", "_line", "_seen", "since")

    def __init__(self) -> None:
        self.since: int | None = None
        """Where the code begins in which the text now is; None: in none."""
        self._fence = ""
        self._line: str | None = ""
        """The last line so far without blanks before it; None: it is no fence."""
        self._seen = 0

    def feed(self, piece: str) -> None:
        """The text goes on with `piece`."""
        if not self._line and "`" not in piece and "~" not in piece:
            self._seen += len(piece)
            newline = piece.rfind("\n")
            if newline >= 0 or self._line is not None:
                self._line = None if piece[newline + 1 :].strip(_BLANK) else ""
            return
        first, *rest = piece.split("\n")
        self._grow(first)
        for line in rest:
            self._end()
            self._grow(line)

    def _grow(self, text: str) -> None:
        """The line goes on with `text`."""
        self._seen += len(text)
        if self._line is None:
            return
        line = (self._line + text).lstrip(_BLANK)
        if line[:1] not in ("", "`", "~") or len(line) > _LONGEST:
            self._line = None
        elif self.since is not None and line.startswith(self._fence):
            self.since = self._line = None
        else:
            self._line = line

    def _end(self) -> None:
        """The line ends."""
        self._seen += 1
        fence = _FENCE.match(self._line or "") if self.since is None else None
        if fence is not None:
            self.since = self._seen
            self._fence = fence[1]
        self._line = ""
