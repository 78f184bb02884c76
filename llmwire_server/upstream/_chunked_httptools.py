"""The chunked coding, undone by httptools (llhttp).

Knows only that coding. The parser is shown a head of our own making, which says
`connection: close`: whatever follows the body is then an error, never a response.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpResponseParser

__all__ = ("HttptoolsDechunker",)

_HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"


class _Events:
    """What the parser calls back; kept apart so that nothing refers in a circle."""

    __slots__ = ("complete", "on_body", "pieces")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append
        self.complete = False

    def on_message_complete(self) -> None:
        self.complete = True


class HttptoolsDechunker:
    """`Dechunker` over `httptools.HttpResponseParser`."""

    __slots__ = ("_events", "_feed", "_pieces", "broken", "complete", "excess")

    def __init__(self) -> None:
        self._events = events = _Events()
        self._pieces = events.pieces
        self._feed = HttpResponseParser(events).feed_data
        self._feed(_HEAD)
        self.complete = False
        self.excess = False
        self.broken = False

    def receive_data(self, data: bytes) -> bytes:
        """See `Dechunker.receive_data`."""
        try:
            self._feed(data)
        except HttpParserError:
            self.excess = self._events.complete
            self.broken = not self.excess
        self.complete = self._events.complete
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body
