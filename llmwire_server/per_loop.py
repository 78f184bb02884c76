"""What there is once for each event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ("PerLoop",)

_T = TypeVar("_T")


class PerLoop(threading.local, Generic[_T]):
    """Called, it gives the one of the loop that runs.

    A thread runs one loop at a time, and has the one of its last loop only.

    Args:
        make: Makes it for a loop, when it is first wanted.
    """

    def __init__(self, make: Callable[[asyncio.AbstractEventLoop], _T]) -> None:
        self._make = make
        self._loop: asyncio.AbstractEventLoop | None = None
        self._made: _T

    def __call__(self) -> _T:
        """The one of the running loop.

        Raises:
            RuntimeError: No loop runs.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._made = self._make(loop)
            self._loop = loop
        return self._made
