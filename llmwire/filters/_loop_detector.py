"""Whether a text repeats itself, told while it comes.

Knows text; nothing of words, tokens, languages or streams.

Rules:
1. A text is *suspect* or *confirmed* when its end repeats for as long as `needs` says:
   by the period, by what is repeated and by where that stands.
2. Periods of 1 to 2000 characters are exact. Confirmed is said at the very character
   that makes the run long enough, suspect at the next multiple of `STRIDE`.
3. *Near* loops (counters, noise) are suspect only: the last `NEAR_WINDOW` characters,
   asked at every `NEAR_STRIDE`, compress to next to nothing.
4. What is found depends on the text alone, not on the pieces in which it came.
5. One episode is told once for each level; it ends when nothing repeats any more.

Theory of operation: pieces wait for the next multiple of `STRIDE`, or for the place at
which a run that is known would be confirmed. There `Tail` is asked what repeats, which
in ordinary text is one search. All windows are bounded, and so is the work for each
character.
"""

from __future__ import annotations

import re
import zlib
from typing import Final, Literal, TypeAlias, get_args

from msgspec import Struct

from llmwire.errors import LocalProtocolError
from llmwire.filters._fences import Fences
from llmwire.filters._periods import LONGEST, WINDOW, Tail

__all__ = (
    "LONGEST",
    "NEAR_STRIDE",
    "NEAR_WINDOW",
    "STRIDE",
    "Loop",
    "LoopContext",
    "LoopDetector",
    "LoopLevel",
    "needs",
)

LoopLevel: TypeAlias = Literal["suspect", "confirmed"]
LoopContext: TypeAlias = Literal["prose", "code"]

_CONTEXTS: Final = get_args(LoopContext)
STRIDE: Final = 128
"""Characters between two questions; fewer than lie between suspect and confirmed."""
NEAR_STRIDE: Final = 1024
"""Characters between two questions for near loops: a multiple of `STRIDE`."""
NEAR_WINDOW: Final = 4096
"""Characters that a near loop fills."""
_NEAR: Final = {"prose": 0.08, "code": 0.04}
"""Compressed size of a near loop, as a part of its size."""
_LENIENCE: Final = 1.5
"""How much more it may be while the loop goes on."""
_PROBES: Final = (0, 701, 1427, 2203)
_PROBE: Final = 16
_OFTEN: Final = 8
"""How often one of the probes stands in what is worth while to compress."""

_LETTER: Final = re.compile(r"[^\W\d_]")
_RULER: Final = re.compile(
    r"[\s\-=_*#~.+|/\\<>^:\u00b7\u2010-\u2015\u2022\u2026\u2500-\u25ff\u2800-\u28ff]+"
)
_WORDS: Final = {"prose": ((3, 120), (3, 250)), "code": ((4, 400), (6, 1000))}
_SYMBOLS: Final = {"prose": ((3, 250), (4, 600)), "code": ((6, 1000), (8, 2500))}
_RULERS: Final = ((3, 1000), (3, 2000))
_MOST: Final = WINDOW - 3 * LONGEST


class Loop(Struct, frozen=True, gc=False):
    """A text that repeats itself. Places count its characters from 0."""

    level: LoopLevel
    kind: Literal["exact", "near"]
    start: int
    """Where the repetition begins; if before what is kept, the oldest that is."""
    end: int
    """How long the text was when it was found."""
    period: int = 0
    """Characters after which it repeats; 0 where it does not exactly."""

    def __str__(self) -> str:
        """What was found, for people; none of the text."""
        size = self.end - self.start
        if not self.period:
            return f"characters {self.start} to {self.end} hold next to nothing new"
        times = f"{size / self.period:.1f} times"
        return f"from character {self.start} on, {self.period} repeat {times}"


def needs(unit: str, context: LoopContext) -> tuple[int, int]:
    """Characters that a repetition of `unit` needs to be suspect and confirmed.

    Prose with letters needs 3 p + 120 and 3 p + 250 characters for period p; numbers
    and symbols, rows of tables and markup, and anything in code need more; rulers and
    blanks 3 p + 2000. None needs more than 3 p + 4000.
    """
    if _RULER.fullmatch(unit):
        steps = _RULERS
    else:
        if context == "prose" and _is_rows(unit):
            context = "code"
        plain = _LETTER.search(unit) and (context == "prose" or len(set(unit)) > 3)
        steps = (_WORDS if plain else _SYMBOLS)[context]
    (few, little), (times, more) = steps
    period = len(unit)
    most = 3 * period + _MOST
    return min(few * period + little, most), min(times * period + more, most)


def _is_rows(unit: str) -> bool:
    """Whether `unit`, said again and again, is lines of a table or of markup."""
    at = unit.find("\n") + 1
    lines = (unit[at:] + unit[: at - 1]).split("\n") if at else [""]
    return all(line.lstrip(" \t")[:1] in ("|", "<") for line in lines)


class LoopDetector:
    """Tells when a text begins to repeat itself.

    Keeps at most `WINDOW` (10,000) characters of it. No text makes it raise.

    Args:
        context: What the text is. Prose may hold fenced code, which is noticed.

    Raises:
        LocalProtocolError: `context` is none of the words.
    """

    __slots__ = (
        "_due",
        "_fences",
        "_kept",
        "_last",
        "_near",
        "_pieces",
        "_tail",
        "_told",
        "context",
        "loop",
        "size",
    )

    def __init__(self, context: LoopContext = "prose") -> None:
        if context not in _CONTEXTS:
            known = ", ".join(_CONTEXTS)
            raise LocalProtocolError(f"`{context}` is none of {known}")
        self.context: Final = context
        self.size = 0
        """Characters that came."""
        self.loop: Loop | None = None
        """The first that was confirmed, else the first that is suspect."""
        self._pieces: list[str] = []
        self._kept = 0
        self._due = STRIDE
        self._tail = Tail()
        self._fences = Fences()
        self._told = 0
        self._last = 0
        self._near = False

    def feed(self, text: str) -> tuple[Loop, ...]:
        """Take the next piece of the text, of any length.

        Returns:
            What was found in it, in order; mostly nothing.
        """
        if text:
            self.size += len(text)
            self._pieces.append(text)
            if self.size >= self._due:
                return self._advance()
        return ()

    def _advance(self) -> tuple[Loop, ...]:
        text = "".join(self._pieces)
        found: list[Loop] = []
        at = 0
        while self.size >= self._due:
            piece = text[at : at + self._due - self._kept]
            at += len(piece)
            self._kept = self._due
            self._due += STRIDE - self._due % STRIDE
            self._tail.grow(piece)
            if self.context == "prose":
                self._fences.feed(piece)
            self._ask(found)
        self._pieces = [text[at:]]
        return tuple(found)

    def _ask(self, found: list[Loop]) -> None:
        """Whether the text up to here repeats itself."""
        here = self._kept
        loop = self._exact() if self._tail.repeats() else None
        if loop is None:
            self._told = 0
            if here % NEAR_STRIDE == 0 and here - self._last >= NEAR_WINDOW:
                self._ask_near(found)
            return
        self._last = here
        level = 1 + (loop.level == "confirmed")
        if level > self._told:
            self._told = level
            self._tell(loop, found)

    def _exact(self) -> Loop | None:
        """The shortest period that is confirmed, else the shortest that is suspect."""
        here = self._kept
        suspect: Loop | None = None
        for period in self._tail.periods():
            run = self._tail.run(period)
            few, enough = needs(self._tail.last(period), self._context_of(run, period))
            if run >= enough:
                return Loop("confirmed", "exact", here - run, here, period)
            self._due = min(self._due, here + enough - run)
            if run >= few and suspect is None:
                suspect = Loop("suspect", "exact", here - run, here, period)
        return suspect

    def _context_of(self, run: int, period: int) -> LoopContext:
        """Code if what would be enough in prose, but one period, is in one fence."""
        since = self._fences.since
        within = min(run - period, 2 * period + 250)
        fenced = since is not None and since <= self._kept - within
        return "code" if fenced else self.context

    def _ask_near(self, found: list[Loop]) -> None:
        """Whether the window compresses to next to nothing, and is no ruler."""
        here = self._kept
        text = self._tail.last(NEAR_WINDOW)
        context = self.context if self._fences.since is None else "code"
        if self._near:
            self._near = _is_near(text, _NEAR[context] * _LENIENCE)
        elif _is_promising(text) and _is_near(text, _NEAR[context]):
            self._near = True
            self._tell(Loop("suspect", "near", here - len(text), here), found)

    def _tell(self, loop: Loop, found: list[Loop]) -> None:
        found.append(loop)
        known = self.loop
        if known is None or known.level == "suspect" != loop.level:
            self.loop = loop


def _is_promising(text: str) -> bool:
    """Whether it is worth while to compress `text`: some of its words come often."""
    probes = (text[at : at + _PROBE] for at in _PROBES)
    return any(text.count(p) >= _OFTEN and not p.isspace() for p in probes)


def _is_near(text: str, ratio: float) -> bool:
    """Whether `text` compresses to less than `ratio` of its size; no rulers do."""
    data = text.encode("utf-8", "surrogatepass")
    if len(zlib.compress(data, 1)) >= ratio * len(data):
        return False
    return sum(map(str.isalnum, text)) * 4 > len(text)
