"""`python -m bench linear [WORD …]`: what 2n costs beside n, for all that grows.

Both sizes are timed in one run, one after the other, several times; the least of each
counts. A ratio of 2 is linear; more than `LIMIT` fails, after it was measured again.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence
from typing import Final

from bench.filter_shapes import FILTER_SHAPES
from bench.shapes import SHAPES, Shape, Work

__all__ = ("main", "measure")

LIMIT: Final = 2.3
_ROUNDS: Final = 5
_AGAIN: Final = 3
"""How often a ratio that is too high is measured again."""


def measure(shape: Shape, size: int) -> tuple[float, float]:
    """Seconds for `size` and for twice as much."""
    small, large = shape.prepare(size), shape.prepare(2 * size)
    pairs = [(_timed(small), _timed(large)) for _ in range(_ROUNDS)]
    return min(one for one, _ in pairs), min(two for _, two in pairs)


def _timed(work: Work) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began
    finally:
        gc.enable()


def main(words: Sequence[str]) -> int:
    """Measure and report; 1 if anything grows faster than its input."""
    parser = argparse.ArgumentParser(prog="python -m bench linear")
    parser.add_argument("words", nargs="*", help="only shapes that hold one of these")
    parser.add_argument("--scale", type=float, default=1.0, help="of every size")
    options = parser.parse_args(words)
    steep = 0
    print(f"{'shape':58} {'n':>8} {'ms, n':>9} {'ms, 2n':>9}  ratio")
    for shape in SHAPES + FILTER_SHAPES:
        if options.words and not any(word in shape.name for word in options.words):
            continue
        size = max(int(shape.size * options.scale), 2)
        one, two = measure(shape, size)
        for _ in range(_AGAIN):
            if two / one > LIMIT:
                one, two = measure(shape, size)
        mark = "  TOO STEEP" if two / one > LIMIT else ""
        steep += bool(mark)
        times = f"{one * 1e3:9.2f} {two * 1e3:9.2f}"
        print(f"{shape.name:58} {size:8} {times}  {two / one:5.2f}{mark}", flush=True)
    print(f"\n{steep} shapes grow faster than their input")
    return 1 if steep else 0
