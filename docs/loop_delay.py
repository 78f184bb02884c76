"""The plot of `filters/loops.md`: after how many characters a loop is found, by period.

Measured with the detector itself: for each period texts that begin to repeat at various
places, the median of what it says.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from math import log10
from statistics import median
from typing import Final, TypeAlias

from llmwire.filters.loops import LoopContext, LoopDetector, LoopLevel

PERIODS: Final = (1, 2, 3, 5, 8, 12, 20, 35, 60, 100, 170, 300, 500, 850, 1400, 2000)
STARTS: Final = (0, 1, 37, 90, 200, 401, 777)
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz    "
LINES: Final[tuple[tuple[LoopContext, LoopLevel, str, str], ...]] = (
    ("prose", "suspect", "#2a78b8", "6 4"),
    ("prose", "confirmed", "#2a78b8", "none"),
    ("code", "suspect", "#c2571a", "6 4"),
    ("code", "confirmed", "#c2571a", "none"),
)
"""Context, level, colour, dashes."""
WIDTH: Final = 720
HEIGHT: Final = 420
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 20, 50
X: Final = (1, 2000)
Y: Final = (100, 12_000)
Point: TypeAlias = tuple[float, float]


def _letters(size: int, seed: int) -> str:
    text = "".join(random.Random(seed).choices(LETTERS, k=size))
    return f"x{text[1:]}" if size == 1 else text


def delay(period: int, start: int, context: LoopContext, level: LoopLevel) -> int:
    """Characters from where the second copy begins to where `level` is said."""
    before = _letters(start, 1)
    unit = "e" if period == 1 else _letters(period, 2 + start)
    text = f"{before}#" + unit * (7 + 2600 // period)
    found = LoopDetector(context).feed(text)
    end = next(loop.end for loop in found if loop.level == level)
    return end - len(before) - 1 - period


def measured(context: LoopContext, level: LoopLevel) -> list[Point]:
    """The median delay of each period."""
    return [
        (period, median(delay(period, start, context, level) for start in STARTS))
        for period in PERIODS
    ]


def _at(point: Point) -> str:
    """Where `point` is drawn."""
    x = log10(point[0] / X[0]) / log10(X[1] / X[0])
    y = log10(point[1] / Y[0]) / log10(Y[1] / Y[0])
    across = LEFT + x * (WIDTH - LEFT - RIGHT)
    return f"{across:.1f},{HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM):.1f}"


def _line(points: Sequence[Point], colour: str, dashes: str, width: float = 2) -> str:
    drawn = " ".join(map(_at, points))
    return (
        f'<polyline points="{drawn}" fill="none" stroke="{colour}" '
        f'stroke-width="{width}" stroke-dasharray="{dashes}"/>'
    )


def _words(place: str, words: str, anchor: str = "middle") -> str:
    x, y = place.split(",")
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{words}</text>'


def _axes() -> Iterable[str]:
    foot = HEIGHT - BOTTOM
    for value in (1, 10, 100, 1000, 2000):
        yield _line([(value, Y[0]), (value, Y[1])], "#dddddd", "none", 1)
        across = _at((value, Y[0])).split(",")[0]
        yield _words(f"{across},{foot + 18}", f"{value:,}")
    for value in (100, 300, 1000, 3000, 10_000):
        yield _line([(X[0], value), (X[1], value)], "#dddddd", "none", 1)
        down = float(_at((X[0], value)).split(",")[1]) + 4
        yield _words(f"{LEFT - 8},{down:.1f}", f"{value:,}", "end")
    yield _words(f"{(WIDTH + LEFT) // 2},{HEIGHT - 10}", "period, in characters")


def delay_plot() -> str:
    """The plot, as SVG."""
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13" role="img">',
        "<title>Characters that repeat until a loop is found, by its period</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        *_axes(),
    ]
    for at, (context, level, colour, dashes) in enumerate(LINES):
        drawn.append(_line(measured(context, level), colour, dashes))
        down = TOP + 18 + 20 * at
        drawn.append(
            f'<line x1="{LEFT + 20}" x2="{LEFT + 60}" y1="{down}" y2="{down}" '
            f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>'
        )
        drawn.append(_words(f"{LEFT + 70},{down + 4}", f"{context}, {level}", "start"))
    return "\n".join((*drawn, "</svg>")) + "\n"
