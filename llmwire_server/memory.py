"""Memory that bodies took, given back to the system.

The C library keeps what was freed, in the hope that it is wanted again: after a burst
of large bodies a server would stay as large as it was at its height. glibc can be asked
to give it back (`malloc_trim`), in a millisecond or two; elsewhere nothing is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Final

__all__ = ("Freeing", "find_trim")

_WORTH: Final = 8 * 1024 * 1024
"""Bytes of bodies after which asking is worth its time."""
_LATER: Final = 2.0
"""Seconds after which most of those bodies were sent and let go of."""


class Freeing:
    """Asks for it after enough was carried: when no call runs, or a little later, for
    answers may go on for long when their requests are forgotten."""

    __slots__ = ("_carried", "_timer")

    def __init__(self) -> None:
        self._carried = 0
        self._timer: asyncio.TimerHandle | None = None

    def carry(self, size: int) -> None:
        """A body of `size` bytes was read, on the loop that runs."""
        self._carried += size
        if self._carried >= _WORTH and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_LATER, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.rest()

    def rest(self) -> None:
        """No call runs now, or none that holds what was carried."""
        if self._carried >= _WORTH:
            self._carried = 0
            trim = find_trim()
            if trim is not None:
                trim()


@cache
def find_trim() -> Callable[[], object] | None:
    """What gives freed memory back to the system; None where there is nothing."""
    try:
        import ctypes

        trim = ctypes.CDLL(None).malloc_trim
    except (ImportError, OSError, TypeError, AttributeError):
        return None
    return lambda: trim(0)
