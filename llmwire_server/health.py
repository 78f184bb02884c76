"""What the server says of itself: `/health`, `/live`, `/ready`.

Anybody may ask, so nothing is told but names of backends and what the last calls
learned of them: no address, no key, no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from llmwire import HTTPReply
from llmwire.http import Headers

__all__ = ("ALIVE", "LIVE_PATHS", "READY_PATH", "Reachability", "ready_reply")

LIVE_PATHS: Final = frozenset({"/health", "/live"})
READY_PATH: Final = "/ready"
_HEADERS: Final[Headers] = (
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
)
ALIVE: Final = HTTPReply(status=200, headers=_HEADERS, body=b'{"status":"ok"}')
"""The process answers."""


class Reachability:
    """Which backends the last calls reached."""

    __slots__ = ("_reached",)

    def __init__(self) -> None:
        self._reached: dict[str, bool] = {}

    def note(self, backend: str, reached: bool) -> None:
        """A call to `backend` got an answer, or could not even connect."""
        self._reached[backend] = reached

    def of(self, backends: Iterable[str]) -> Mapping[str, bool | None]:
        """By name; None: not called yet."""
        return {name: self._reached.get(name) for name in backends}


def ready_reply(
    *, running: bool, stopping: bool, backends: Mapping[str, bool | None]
) -> HTTPReply:
    """Whether calls should be sent here, 200 or 503.

    Args:
        running: The connections to upstreams are managed.
        stopping: The server has been told to stop.
        backends: Whether each was reached. One that was not does not make the server
            unready: the others still answer, and it may be back for the next call.
    """
    status = "stopping" if stopping else "ready" if running else "starting"
    body = {
        "status": status,
        "backends": {
            name: {"reachable": reached} for name, reached in backends.items()
        },
    }
    return HTTPReply(
        status=200 if status == "ready" else 503,
        headers=_HEADERS,
        body=msgspec.json.encode(body),
    )
