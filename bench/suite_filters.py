"""Filters on what comes in tokens of four characters, microseconds per token.

In the groups of single filters the limit is a filter that wants every growth of text
and passes it on. In those of the proxy's chain it is the chain without filters; each
filter stands alone there and then all of them together, in the order of the proxy, and
the least of all rounds counts.
"""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.inputs import prose
from bench.proxy_chain import RULES, proxy_chain
from llmwire.events import (
    ArgumentsDelta,
    Event,
    MessageStart,
    PartStart,
    ReasoningDelta,
    TextDelta,
)
from llmwire.filters import Filter, FilterChain
from llmwire.filters.leaked_calls import LeakedCallFilter
from llmwire.filters.loops import LoopDetector, LoopFilter
from llmwire.messages import ReasoningPart, TextPart, ToolCallPart
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
    return _tokens(TEXTS[name]())


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


# The chain of the proxy

CHAINS = {
    "no filter": (),
    **{name: (name,) for name in RULES},
    "all together": tuple(RULES),
}


def _markdown() -> str:
    """Prose with lists, code between backticks and fenced blocks of code."""
    code, words = _code(), _words()
    blocks = (
        f"## Step {at}\n\n{words[at * 300 : at * 300 + 300]}\n\n- **one** `of` them\n"
        f"- [a link](https://example.org/{at})\n\n```python\n"
        f"{code[at * 300 : at * 300 + 300]}\n```\n\n"
        for at in range(TOKENS * TOKEN // 600)
    )
    return "".join(blocks)[: TOKENS * TOKEN]


def _document() -> str:
    return json.dumps({"path": "a.py", "content": _code()})[: TOKENS * TOKEN]


def _tokens(text: str) -> list[str]:
    return [text[at : at + TOKEN] for at in range(0, len(text), TOKEN)]


def _grown(of: str) -> list[Event]:
    """One part that grows by four characters at a time, as most servers send it."""
    if of == "arguments":
        call = ToolCallPart(call_id="call_1", name="write_file")
        growth = [ArgumentsDelta(0, each) for each in _tokens(_document())]
        return [MessageStart(), PartStart(0, call), *growth]
    if of == "thoughts":
        thoughts = [ReasoningDelta(0, each) for each in _tokens(_words())]
        return [MessageStart(), PartStart(0, ReasoningPart()), *thoughts]
    made = {
        "prose": _words,
        "code": _code,
        "markdown": _markdown,
        "a document": _document,
    }
    texts = [TextDelta(0, each) for each in _tokens(made[of]())]
    return [MessageStart(), PartStart(0, TextPart("")), *texts]


@pytest.mark.parametrize("what", CHAINS)
@pytest.mark.parametrize(
    "of", ["prose", "code", "markdown", "arguments", "thoughts", "a document"]
)
def test_proxy(benchmark: Any, of: str, what: str) -> None:
    events = _grown(of)

    def work() -> int:
        send = proxy_chain(CHAINS[what], document=of == "a document").send
        return sum(len(send(event)) for event in events)

    benchmark.group = f"filters of the proxy, {of}"
    benchmark.extra_info.update(
        limit=what == "no filter", least=True, units=len(events), per="token"
    )
    given = benchmark.pedantic(work, rounds=12, warmup_rounds=1)
    assert given > TOKENS // 2
