"""The `messages` framing: whole JSON objects, one a line, as a WebSocket carries them.

Knows lines and nothing of what is in them. A line break cannot stand inside a JSON
text that was written compactly, so one line is one message. As with server-sent events
the frames are the same for every division of the input: those before a line that is
too long are given first, and the next call raises.
"""

from __future__ import annotations

from typing import NoReturn

from llmwire.errors import LimitExceeded
from llmwire.sse import Frame


class LineDecoder:
    """Bytes to frames, one for each line; the last may lack its line break.

    Args:
        limit: Bytes that one line may have, its line break included.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0
        self._dead = False

    def receive_data(self, chunk: bytes) -> list[Frame]:
        """The messages that are complete now.

        Raises:
            LimitExceeded: A message is larger than the limit, here or earlier.
        """
        if self._dead:
            self._refuse()
        frames: list[Frame] = []
        start = 0
        while not self._dead and (end := chunk.find(b"\n", start) + 1):
            self._hold(chunk[start:end])
            if not self._dead:
                frames.append(self._released(complete=True))
            start = end
        if not self._dead:
            self._hold(chunk[start:])
        if self._dead and not frames:
            self._refuse()
        return frames

    def receive_eof(self) -> list[Frame]:
        """What is left: a message without its line break.

        Raises:
            LimitExceeded: A message was larger than the limit.
        """
        if self._dead:
            self._refuse()
        return [self._released(complete=False)] if self._pieces else []

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
        if self._size > self._limit:
            self._dead = True
            self._pieces.clear()

    def _released(self, *, complete: bool) -> Frame:
        line = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        return Frame(line.strip() or None, line, complete=complete)

    def _refuse(self) -> NoReturn:
        raise LimitExceeded(f"found a message of more than {self._limit} bytes")
