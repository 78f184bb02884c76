"""One timer for all that waits on a loop, instead of one each.

Whoever is watched says until when nothing needs to be done for it; that time only ever
moves when it is looked at. A timer of its own would be set and cancelled by every call,
and hardly ever be due.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final, Protocol

from llmwire_server.per_loop import PerLoop

__all__ = ("Watch", "Watched", "watch")

_APART: Final = 0.02
"""Seconds at least between two rounds, however many are due."""


class Watched(Protocol):
    """Who is looked at when its time has come."""

    due: float
    """When, on the loop's clock; `inf`: never."""

    def look(self, now: float) -> None:
        """Do what is due, and set `due` anew; never raises."""


class Watch:
    """Looks at whoever is due, late by 20 ms at most.

    Args:
        loop: Runs here.
    """

    __slots__ = ("_at", "_loop", "_timer", "_watched")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._at = math.inf

    def enter(self, watched: Watched) -> None:
        """Look at it from now on."""
        self._watched.add(watched)
        if watched.due < self._at:
            self._set(watched.due)

    def leave(self, watched: Watched) -> None:
        """Look at it no more."""
        self._watched.discard(watched)

    def _set(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.call_at(at, self._go_round)

    def _go_round(self) -> None:
        self._timer = None
        self._at = math.inf
        now = self._loop.time()
        for each in tuple(self._watched):
            if each.due <= now and each in self._watched:
                each.look(now)
        next_due = min((each.due for each in self._watched), default=math.inf)
        if next_due < self._at:
            self._set(max(next_due, now + _APART))


watch: Final = PerLoop(Watch)
"""The one of the loop that runs."""
