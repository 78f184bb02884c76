"""Writes of one turn of the event loop, handed to the system together.

A write that wakes a peer costs the system several times what one costs that finds it
awake. So while many calls run, what they write in one turn of the loop waits for the
end of that turn: it is one turn that a byte waits, never time. While few run, a turn
costs more than it saves, and nothing waits. Knows asyncio's transports.
"""

from __future__ import annotations

import asyncio
from typing import Final

from llmwire_server.per_loop import PerLoop

__all__ = ("Gathering", "gathering")

_FEW: Final = 8
"""Calls beside which nothing waits."""
_LARGE: Final = 64 * 1024
"""Bytes of one write that is handed over at once."""
_MOST: Final = 1024 * 1024
"""Bytes that wait, of all connections."""


class Gathering:
    """What waits for the end of a turn of one loop.

    Args:
        loop: Runs here.
    """

    __slots__ = ("_call_soon", "_size", "_waiting", "calls")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []
        self._size = 0
        self.calls = 0
        """Calls that run; counted by whoever runs them."""

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write `data` behind what was written to `transport` before.

        What is large goes at once, so that the transport can say that it is too much.
        """
        waiting = self._waiting
        if not waiting:
            if self.calls <= _FEW:
                transport.write(data)
                return
            self._call_soon(self.flush)
        waiting.append((transport, data))
        self._size += len(data)
        if len(data) > _LARGE or self._size > _MOST:
            self.flush()

    def flush(self) -> None:
        """Hand everything over now; needed before a transport is closed."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)


gathering: Final = PerLoop(Gathering)
"""The one of the loop that runs."""
