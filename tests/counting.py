"""Work, counted: what makes tests of it independent of the machine and its load."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeAlias

__all__ = ("bytecodes", "calls", "lines", "steepness")

Work: TypeAlias = Callable[[], object]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Finalizers of others are no work of ours, and tracing ends with it."""
    trace, profile = sys.gettrace(), sys.getprofile()
    gc.disable()
    try:
        yield
    finally:
        sys.settrace(trace)
        sys.setprofile(profile)
        gc.enable()


def bytecodes(work: Work) -> int:
    """The bytecodes that `work` runs, the second time that it is done."""
    work()
    count = 0

    def local(frame: FrameType, event: str, given: Any) -> Callable[..., Any]:
        nonlocal count
        count += event == "opcode"
        return local

    def enter(frame: FrameType, event: str, given: Any) -> Callable[..., Any]:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return local

    with _undisturbed():
        sys.settrace(enter)
        work()
    return count


def lines(work: Work) -> int:
    """Lines of Python that `work` runs: loops count each time around."""
    count = 0

    def trace(frame: FrameType, event: str, given: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    with _undisturbed():
        sys.settrace(trace)
        work()
    return count


def calls(work: Work) -> int:
    """The calls of functions, Python's and built-in, that `work` makes."""
    count = 0

    def enter(frame: FrameType, event: str, given: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    with _undisturbed():
        sys.setprofile(enter)
        work()
        sys.setprofile(None)
    return count


def steepness(prepare: Callable[[int], Work], size: int) -> float:
    """How the bytecodes grow from `size` to twice that, against from half of it."""
    few, some, many = (bytecodes(prepare(at)) for at in (size // 2, size, 2 * size))
    return (many - some) / max(some - few, 1)
