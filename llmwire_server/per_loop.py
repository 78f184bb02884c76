"""What there is once for each event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

__all__ = ("PerLoop",)

_T = TypeVar("_T")


class PerLoop(Generic[_T]):
    """Called, it gives the one of the loop that runs.

    Args:
        make: Makes it for a loop, when it is first wanted.
    """

    def __init__(self, make: Callable[[asyncio.AbstractEventLoop], _T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, _T] = (
            WeakKeyDictionary()
        )

    def __call__(self) -> _T:
        """The one of the running loop.

        Raises:
            RuntimeError: No loop runs.
        """
        loop = asyncio.get_running_loop()
        found = self._made.get(loop)
        if found is None:
            found = self._made[loop] = self._make(loop)
        return found
