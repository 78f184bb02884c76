"""When a server ends: whether it has been told to, and which calls still run.

Knows no signal, no clock and no socket. Who stops the server calls `begin`, gives
running calls `seconds` to come to their end, and calls `expire`: whatever still runs
then is ended with an error in its client's own form, never as if it were complete.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec.structs import replace

from llmwire import APIError, HTTPReply
from llmwire.dialects import Dialect

__all__ = ("STOPPING", "Shutdown", "refusal")

End: TypeAlias = Callable[[APIError], None]
"""Ends one running call with an error; never raises."""

STOPPING: Final = APIError(
    kind="overloaded",
    message="this server is being stopped; try again",
    status=503,
    retry_after=1.0,
)
"""What calls are told that cannot be carried to their end, or not begun."""


class Shutdown:
    """The end of one server.

    Args:
        seconds: For running calls to come to their end.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self.seconds = seconds
        """For running calls to come to their end."""
        self.begun = False
        """No new call is taken."""
        self.expired = False
        """No call may run any longer."""
        self._ends: set[End] = set()

    @property
    def running(self) -> int:
        """How many calls run."""
        return len(self._ends)

    def begin(self) -> None:
        """Take no new call. May be called from a signal's handler, and twice."""
        self.begun = True

    def expire(self) -> None:
        """End every running call, and each that begins from now on, at once."""
        self.begun = self.expired = True
        for end in tuple(self._ends):
            end(STOPPING)

    def enter(self, end: End) -> None:
        """A call runs; `end` is how to end it."""
        self._ends.add(end)
        if self.expired:
            end(STOPPING)

    def leave(self, end: End) -> None:
        """It has ended."""
        self._ends.discard(end)


def refusal(dialect: Dialect) -> HTTPReply:
    """The answer to a call that comes after `Shutdown.begin`; closes its connection."""
    reply = dialect.encode_error(STOPPING)
    return replace(reply, headers=(*reply.headers, ("connection", "close")))
