"""Filters on text that comes in tokens of four characters, microseconds per token.

The limit is a filter that wants every growth of text and passes it on.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.inputs import prose
from llmwire.events import Event, MessageStart, PartStart, TextDelta
from llmwire.filters import Filter, FilterChain
from llmwire.filters.leaked_calls import LeakedCallFilter
from llmwire.filters.loops import LoopDetector, LoopFilter
from llmwire.messages import TextPart
from llmwire.requests import Tool

TOKENS = 50_000
TOKEN = 4


def _code() -> str:
    folder = Path(sysconfig.get_path("stdlib"))
    text = ""
    for file in sorted(folder.glob("*.py")):
        text += file.read_text("utf-8", "replace")
        if len(text) > TOKENS * TOKEN:
            break
    return text[: TOKENS * TOKEN]


def _words() -> str:
    pieces = (prose(23, at * 7 % 31) + f" {at * at}. " for at in range(9999))
    return "".join(pieces)[: TOKENS * TOKEN]


TEXTS: dict[str, Callable[[], str]] = {
    "code": _code,
    "words": _words,
    "a loop": lambda: "again and " * (TOKENS * TOKEN // 10),
    "runs that are none": lambda: "".join(
        "a" * (130 + at * 37 % 300) + "b" for at in range(999)
    )[: TOKENS * TOKEN],
}


def _pieces(name: str) -> list[str]:
    text = TEXTS[name]()
    return [text[at : at + TOKEN] for at in range(0, len(text), TOKEN)]


def _pass(event: Event) -> Sequence[Event]:
    return (event,)


def _chain(only: Filter, events: list[Event]) -> int:
    send = FilterChain([only]).send
    return sum(len(send(event)) for event in events)


def _detect(pieces: list[str]) -> int:
    feed = LoopDetector().feed
    return sum(len(feed(piece)) for piece in pieces)


@pytest.mark.parametrize("text", TEXTS)
def test_loops_detector(benchmark: Any, text: str) -> None:
    pieces = _pieces(text)
    benchmark.group = "filters, text in tokens"
    benchmark.extra_info.update(units=len(pieces), per="token of 4 characters")
    benchmark(_detect, pieces)


@pytest.mark.parametrize("what", ["no filter", "loops, report", "loops, cut"])
def test_chain(benchmark: Any, what: str) -> None:
    start: list[Event] = [MessageStart(), PartStart(0, TextPart(""))]
    events = [*start, *(TextDelta(0, piece) for piece in _pieces("code"))]
    limit = what == "no filter"
    benchmark.group = "filters, a chain"
    benchmark.extra_info.update(limit=limit, units=len(events), per="event")
    made: dict[str, Callable[[], Filter]] = {
        "no filter": lambda: _pass,
        "loops, report": lambda: LoopFilter("report"),
        "loops, cut": lambda: LoopFilter("cut"),
    }
    assert benchmark(lambda: _chain(made[what](), events)) > TOKENS // 2


TOOLS = {f"tool_{at}": Tool(name=f"tool_{at}") for at in range(20)}


@pytest.mark.parametrize("text", ["code", "words", "marks"])
def test_leaked_calls(benchmark: Any, text: str) -> None:
    pieces = ["<a> "] * TOKENS if text == "marks" else _pieces(text)
    events: list[Event] = [MessageStart(), PartStart(0, TextPart(""))]
    events += [TextDelta(0, piece) for piece in pieces]
    benchmark.group = "filters, a chain"
    benchmark.extra_info.update(units=len(events), per="event")
    assert benchmark(lambda: _chain(LeakedCallFilter(TOOLS), events)) > TOKENS // 4
