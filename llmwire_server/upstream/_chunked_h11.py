"""The chunked coding, undone by h11, for where httptools is not installed.

Knows only that coding. The parser is shown a head of our own making.
"""

from __future__ import annotations

import h11

__all__ = ("H11Dechunker",)

_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_REQUEST = h11.Request(method="GET", target="/", headers=[("host", "-")])


class H11Dechunker:
    """`Dechunker` over `h11.Connection`."""

    __slots__ = ("_connection", "broken", "complete", "excess")

    def __init__(self) -> None:
        self._connection = connection = h11.Connection(h11.CLIENT)
        connection.send(_REQUEST)
        connection.send(h11.EndOfMessage())
        connection.receive_data(_HEAD)
        connection.next_event()
        self.complete = False
        self.excess = False
        self.broken = False

    def receive_data(self, data: bytes) -> bytes:
        """See `Dechunker.receive_data`."""
        connection = self._connection
        connection.receive_data(data)
        pieces: list[bytes] = []
        try:
            while type(event := connection.next_event()) is h11.Data:
                pieces.append(event.data)
        except h11.RemoteProtocolError:
            self.broken = True
        else:
            if type(event) is h11.EndOfMessage:
                self.complete = True
                self.excess = bool(connection.trailing_data[0])
        return b"".join(pieces)
