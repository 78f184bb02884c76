"""What was found of thoughts: split off a whole text, or reported of an answer.

Knows what the scanner gives; of events only those that a report looks at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from llmwire.events import Event, PartEnd, PartStart, StreamEnd, StreamError, TextDelta
from llmwire.filters._numbering import Numbering
from llmwire.filters._think_rules import ThinkRules
from llmwire.filters._think_scanner import Kind, Piece, ThoughtScanner
from llmwire.messages import TextPart

__all__ = (
    "Thought",
    "ThoughtFinding",
    "ThoughtReport",
    "ThoughtTrace",
    "Thoughts",
    "split_by",
)

FINDINGS: Final = 64
"""Findings that are kept of one answer."""


class ThoughtFinding(Struct, frozen=True, gc=False):
    """A thought, or a closing tag without an opening, and where it stands."""

    path: str
    """Of the part as it came in: `choices[0].parts[1]`."""
    kind: Literal["complete", "call", "unfinished", "unpaired"]
    """How the thought ends: with its tag, with the opener of a call, or not at all;
    `unpaired` is a closing tag in a text that had no thought."""
    start: int
    """Character of the part's text at which its tag begins."""
    end: int
    """Behind its closing tag; of `unpaired` the place where that begins."""
    opening: str = ""
    """The tag as it was written, without white space; empty: there was none."""


class Thought(Struct, frozen=True, gc=False):
    """One thought of a text."""

    text: str
    complete: bool = True
    """It did not end with the text."""


class Thoughts(Struct, frozen=True, gc=False):
    """A text, split."""

    thoughts: tuple[Thought, ...]
    text: str
    findings: tuple[ThoughtFinding, ...] = ()


_ENDS: Final[dict[Kind, Literal["complete", "call", "unfinished"]]] = {
    Kind.CLOSE: "complete",
    Kind.CALL: "call",
    Kind.BREAK: "unfinished",
}


class ThoughtTrace:
    """Notes what the scanner of one text finds.

    Args:
        path: Where the text stands.
        findings: What was found so far; grows to 64 at most.
    """

    __slots__ = ("_findings", "_opening", "_path", "_start", "at", "found", "path")

    def __init__(self, path: str, findings: list[ThoughtFinding]) -> None:
        self.path: Final = path
        self.at = 0
        """Characters that were told apart."""
        self.found = False
        """A thought that has content ended, or never will."""
        self._findings = findings
        self._start = 0
        self._opening = ""

    def note(self, kind: Kind, piece: str) -> None:
        """The next piece of the text."""
        if kind is Kind.OPEN:
            self._start, self._opening = self.at, piece.strip()
        self.at += len(piece)
        end = _ENDS.get(kind)
        if end is not None:
            self.found = True
            self._add(end, self._start, self.at, self._opening)

    def finish(self, scanner: ThoughtScanner) -> None:
        """The text is over."""
        place = scanner.unpaired
        if place is not None:
            self._add("unpaired", place, place)

    def _add(
        self,
        kind: Literal["complete", "call", "unfinished", "unpaired"],
        start: int,
        end: int,
        opening: str = "",
    ) -> None:
        if len(self._findings) < FINDINGS:
            self._findings.append(ThoughtFinding(self.path, kind, start, end, opening))


def split_by(rules: ThinkRules, text: str, *, implicit: bool) -> Thoughts:
    """The thoughts in a whole text, and the text without them."""
    scanner = ThoughtScanner(rules, implicit=implicit)
    findings: list[ThoughtFinding] = []
    trace = ThoughtTrace("", findings)
    said: list[str] = []
    thoughts: list[Thought] = []
    thought: list[str] = []
    for kind, piece in [*scanner.feed(text), *scanner.finish()]:
        trace.note(kind, piece)
        if kind is Kind.THOUGHT:
            thought.append(piece)
        elif kind is Kind.TEXT:
            said.append(piece)
        elif kind in _ENDS:
            thoughts.append(Thought("".join(thought), kind is not Kind.BREAK))
            thought = []
    trace.finish(scanner)
    return Thoughts(tuple(thoughts), "".join(said), tuple(findings))


class ThoughtReport:
    """Finds thoughts and changes nothing."""

    events: Final = frozenset({PartStart, TextDelta, PartEnd, StreamEnd, StreamError})

    def __init__(self, rules: ThinkRules, *, implicit: bool = False) -> None:
        self._rules = rules
        self._implicit = implicit
        self._numbering = Numbering()
        self._begun: set[int] = set()
        self._texts: dict[int, tuple[ThoughtScanner, ThoughtTrace]] = {}
        self._findings: list[ThoughtFinding] = []

    @property
    def findings(self) -> tuple[ThoughtFinding, ...]:
        """What was found, the first 64."""
        return tuple(self._findings)

    def __call__(self, event: Event) -> Sequence[Event]:
        """`event` as it is."""
        if isinstance(event, PartStart):
            self._start(event)
        elif isinstance(event, TextDelta):
            self._feed(event.index, event.text)
        elif isinstance(event, PartEnd):
            self._finish(event.index)
        else:
            for index in list(self._texts):
                self._finish(index)
        return (event,)

    def _start(self, event: PartStart) -> None:
        out = self._numbering.start(event.index, event.choice)
        first = event.choice not in self._begun
        self._begun.add(event.choice)
        if isinstance(event.part, TextPart):
            trace = ThoughtTrace(self._numbering.place(out), self._findings)
            implicit = self._implicit and first
            scanner = ThoughtScanner(self._rules, implicit=implicit, first=first)
            self._texts[event.index] = (scanner, trace)
            self._feed(event.index, event.part.text)

    def _feed(self, index: int, text: str) -> None:
        scanner, trace = self._texts.get(index, (None, None))
        if scanner is not None and trace is not None and not scanner.idle:
            _note(trace, scanner.feed(text))

    def _finish(self, index: int) -> None:
        scanner, trace = self._texts.pop(index, (None, None))
        if scanner is not None and trace is not None:
            _note(trace, scanner.finish())
            trace.finish(scanner)


def _note(trace: ThoughtTrace, pieces: Sequence[Piece]) -> None:
    for kind, piece in pieces:
        trace.note(kind, piece)
