"""What work leaves behind that counting references misses, told by its cycles."""

from __future__ import annotations

import gc
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, FunctionType, MethodType
from typing import Any, Final

__all__ = ("collector_still", "cycles_left", "told")

_RUNS: Final = 4
"""How often work is done at most: what is left in each of them is left for ever."""
_TOLD: Final = 8
"""Cycles that are told in words."""


@contextmanager
def collector_still() -> Iterator[None]:
    """The collector does nothing by itself, and never looks at what is there now."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def cycles_left(work: Callable[[], object]) -> list[str]:
    """The cycles that `work` leaves every time that it is done; [] for none.

    Fast within `collector_still`. What is left once while something is learned for good
    (msgspec leaves cycles where it looks at a new type) is no garbage of a call.
    """
    found: list[str] = []
    for _ in range(_RUNS):
        found = _cycles_left_once(work)
        if not found:
            break
    return found


def _cycles_left_once(work: Callable[[], object]) -> list[str]:
    enabled, flags = gc.isenabled(), gc.get_debug()
    gc.disable()
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        work()
        gc.collect()
        return told(gc.garbage[:])
    finally:
        gc.set_debug(flags)
        gc.garbage.clear()
        gc.collect()
        if enabled:
            gc.enable()


def told(found: Sequence[object]) -> list[str]:
    """Through what these objects hold themselves, a line for each kind of way.

    Those that only hang on others are not told.
    """
    among = {id(each): each for each in found}
    ways: Counter[str] = Counter()
    seen: set[int] = set()
    for each in found:
        if id(each) not in seen:
            way = _way_back(each, among)
            seen.update(map(id, way))
            if way:
                ways[" -> ".join(map(_named, [*way, each]))] += 1
    return [f"{count} x {way}" for way, count in ways.most_common(_TOLD)]


def _way_back(start: object, among: dict[int, object]) -> list[object]:
    """The shortest way from an object through others to itself; [] for none."""
    came_from: dict[int, int] = {}
    waiting = deque([id(start)])
    while waiting:
        at = waiting.popleft()
        for held in gc.get_referents(among[at]):
            if held is start:
                return _walked(at, came_from, among)
            if id(held) in among and id(held) not in came_from:
                came_from[id(held)] = at
                waiting.append(id(held))
    return []


def _walked(
    last: int, came_from: dict[int, int], among: dict[int, object]
) -> list[object]:
    way = [among[last]]
    while last in came_from:
        last = came_from[last]
        way.append(among[last])
    return way[::-1]


def _named(value: Any) -> str:
    """What an object is, without what it says."""
    kind = type(value)
    if isinstance(value, (FunctionType, MethodType)):
        return f"{kind.__name__} {value.__module__}.{value.__qualname__}"
    if isinstance(value, FrameType):
        module = value.f_globals.get("__name__")
        return f"frame {module}:{value.f_lineno} {value.f_code.co_qualname}"
    return f"{kind.__module__}.{kind.__qualname__}"
