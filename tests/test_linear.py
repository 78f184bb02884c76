"""Twice the input is twice the work, counted in bytecodes: no clock is asked.

The shapes are those of `python -m bench linear`, which times them at full size. Here
they are small, and what grows with the square of something shows in how the counts
grow: from n to 2n a linear shape adds twice what it adds from n/2 to n.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from bench.filter_shapes import FILTER_SHAPES
from bench.shapes import SHAPES, Shape, Work

STEEP = 2.3


def _steps(work: Work) -> int:
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

    before = sys.gettrace()
    gc.disable()  # Finalizers of others are no work of ours.
    sys.settrace(enter)
    try:
        work()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def _steepness(prepare: Callable[[int], Work], n: int) -> float:
    few, some, many = (_steps(prepare(size)) for size in (n // 2, n, 2 * n))
    return (many - some) / max(some - few, 1)


@pytest.mark.parametrize("shape", SHAPES + FILTER_SHAPES, ids=lambda shape: shape.name)
def test_twice_the_input_is_twice_the_work(shape: Shape) -> None:
    assert _steepness(shape.prepare, shape.few) <= STEEP


def test_squares_are_seen() -> None:
    def prepare(n: int) -> Work:
        return lambda: [[0 for _ in range(n)].count(at) for at in range(n)]

    assert _steepness(prepare, 64) > 3
