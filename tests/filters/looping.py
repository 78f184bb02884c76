"""Texts that repeat, and a slow judge of them that reads the definition literally."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from llmwire.filters.loops import Loop, LoopContext, LoopDetector, needs

PROSE = """the parser reads one frame and keeps what it cannot name so that nothing
gets lost when an answer goes back to its client while errors wait until everything else
was said by those who know how long it takes before anybody asks again about them"""
WORDS = PROSE.split()


def chatter(size: int, seed: int) -> str:
    """`size` characters of words in no order, which begin and end with a letter."""
    source = random.Random(seed)
    text = ""
    while len(text) < size:
        text += f"{source.choice(WORDS)} "
    return text[: size - 1].strip().ljust(size, "e")[:size]


def fed(pieces: Iterable[str], context: LoopContext = "prose") -> list[Loop]:
    """What a detector finds in a text that comes in these pieces."""
    detector = LoopDetector(context)
    return [loop for piece in pieces for loop in detector.feed(piece)]


def confirmed(loops: Sequence[Loop]) -> Loop | None:
    """The first that is confirmed."""
    return next((loop for loop in loops if loop.level == "confirmed"), None)


def run_of(text: str, period: int) -> int:
    """How many characters at the end of `text` have `period`."""
    at = len(text)
    while at > period and text[at - 1] == text[at - 1 - period]:
        at -= 1
    return len(text) - at + period


def is_primitive(unit: str) -> bool:
    """Whether `unit` is no shorter text several times over."""
    return (unit + unit).find(unit, 1) == len(unit)


def first_confirmed(
    text: str, longest: int, context: LoopContext = "prose"
) -> tuple[int, int] | None:
    """Where the definition first confirms a loop in `text`, and its period."""
    runs = list(range(longest + 1))
    for at, letter in enumerate(text):
        for period in range(1, min(longest, at) + 1):
            if letter != text[at - period]:
                runs[period] = period
                continue
            runs[period] += 1
            unit = text[at + 1 - period : at + 1]
            if runs[period] < 3 * period + 250 or not is_primitive(unit):
                continue
            if runs[period] >= needs(unit, context)[1]:
                return at + 1, period
    return None
