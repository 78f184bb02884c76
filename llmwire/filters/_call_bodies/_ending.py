"""Where the body of a call ends, told while its text comes: the contract.

Every module of a format has `ending(closer, tools)`, which returns an `Ending` for one
body. `closer` is the mark that stands behind the body, of the region around it
(`</tool_call>`, `<|tool_call_end|>`); empty where the body ends with its own last mark
(`</function>`, `]`). The body begins behind the mark that opened the region, or with
its own first mark where there is no region. What `parse` of the module is given is the
body up to there: by itself it cannot tell a body that lacks its last mark from one that
was cut off.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

__all__ = ("Ending", "open_end")


class Ending(Protocol):
    """Follows the text of one body."""

    def feed(self, piece: str) -> int | None:
        """The text goes on with `piece`.

        Returns:
            Where the body ends, in characters from its beginning; the closer, if there
            is one, begins there. None: it has not ended. Not to be fed again after.
        """
        ...

    def finish(self) -> int | None:
        """The text has ended. Where the body ends if it is whole without more marks.

        What `feed` leaves open for more to come may be certain now.
        """
        ...


def open_end(text: str, at: int, words: Collection[str]) -> int:
    """How much of the end of `text[at:]` is the beginning of one of `words`."""
    room = len(text) - at
    for size in range(min(max(map(len, words), default=1) - 1, room), 0, -1):
        end = text[-size:]
        if any(len(word) > size and word.startswith(end) for word in words):
            return size
    return 0
