"""Twice the input is twice the work, counted in bytecodes: no clock is asked.

The shapes are those of `python -m bench linear`, which times them at full size. Here
they are small, and what grows with the square of something shows in how the counts
grow: from n to 2n a linear shape adds twice what it adds from n/2 to n.
"""

from __future__ import annotations

import pytest

from bench.filter_shapes import FILTER_SHAPES
from bench.shapes import SHAPES, Shape, Work
from tests.counting import steepness

STEEP = 2.3


@pytest.mark.parametrize("shape", SHAPES + FILTER_SHAPES, ids=lambda shape: shape.name)
def test_twice_the_input_is_twice_the_work(shape: Shape) -> None:
    assert steepness(shape.prepare, shape.few) <= STEEP


def test_squares_are_seen() -> None:
    def prepare(n: int) -> Work:
        return lambda: [[0 for _ in range(n)].count(at) for at in range(n)]

    assert steepness(prepare, 64) > 3
