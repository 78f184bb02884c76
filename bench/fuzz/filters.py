"""Filters as targets: whatever a model says, and however it is divided.

The contract of a filter: what it gives is a sentence of the event grammar, and folds to
the same answer, with the same losses, for every division of what came.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final, Literal, TypeAlias

import llmwire
from bench.fuzz.feeds import Feed
from bench.proxy_chain import RULES, proxy_chain
from llmwire.errors import RemoteProtocolError
from llmwire.events import Event

__all__ = ("FILTER_CHAINS", "filter_feed", "run_filters")

FILTER_CHAINS: Final = {**{name: (name,) for name in RULES}, "all": tuple(RULES)}
"""Each filter alone, and all of them."""

_Kind: TypeAlias = Literal["text", "thought", "arguments"]
_CALL: Final = '{"name": "write_file", "arguments": {"path": "a", "content": "b"}}'
_PIECES: Final = (
    *(" ", "\n", "\n\n", "    ", "\t", "a", "word ", "for ", "\r\n", "é", "🦉"),
    *("<", ">", "[", "]", "{", "}", '"', "'", "\\", "`", "```", "~~~", "> ", ",", ":"),
    *("<think>", "</think>", "<think a='b'>", "[THINK]", "[/THINK]", "<thinking>"),
    *("<tool_call>", "</tool_call>", "<TOOLCALL>[", "]</TOOLCALL>", "[TOOL_CALLS]"),
    *("<|channel|>analysis<|message|>", "<|end|>", "<|channel|>final<|message|>"),
    *("<write_file>", "</write_file>", "<path>", "</path>", "<content>", "</content>"),
    *("<function=write_file>", "<parameter=path>", "</parameter>", "</function>"),
    *("```json\n", "```tool_code\n", "[write_file(path='a', content='b')]", "</s>"),
    *(
        '{"path": "a", ',
        '"content": "',
        '"}',
        "null",
        "1e9",
        "C:\\\\",
        "\\u12",
        "//x\n",
    ),
    *(_CALL, f"<tool_call>{_CALL}</tool_call>", f"```json\n{_CALL}\n```"),
    "<write_file>\n<path>a</path>\n<content>\nb\n</content>\n</write_file>\n",
    "the same words again and again, " * 5,
)
"""What models write around thoughts and calls, whole and in parts."""


def filter_feed(corpus: Path | None) -> Feed:
    """Texts, thoughts and arguments; no recorded ones, for what is told is marks."""

    def generate(rng: Random) -> bytes:
        count = rng.randrange(1, 24)
        return "".join(rng.choice(_PIECES) for _ in range(count)).encode()

    return Feed([piece.encode() for piece in _PIECES], generate)


def run_filters(names: Sequence[str], data: bytes, rng: Random) -> str:
    """One text through a chain, in two divisions: what became of it.

    Raises:
        AssertionError: They differ.
        LocalProtocolError: What a filter gave is no sentence.
    """
    text = data.decode("utf-8", "replace")
    kinds: tuple[_Kind, ...] = ("text", "text", "thought", "arguments")
    kind, document = rng.choice(kinds), rng.random() < 0.5
    stop: Literal["end", "max_tokens"] = "end" if rng.random() < 0.8 else "max_tokens"
    whole = [text] if text else []
    divisions = (_divided(text, rng), rng.choice((whole, [*text])))
    one, other = (_answered(names, document, _told(kind, e, stop)) for e in divisions)
    assert one == other, f"{kind}: the answer depends on the division"
    found = one[0]
    if isinstance(found, str):
        return "refused"
    return kind if len(found.choices[0].parts) == 1 else f"{kind}, taken apart"


def _divided(text: str, rng: Random) -> list[str]:
    most = rng.choice((1, 4, 16, 400))
    pieces = []
    while text:
        size = rng.randint(1, most)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


def _told(
    kind: _Kind, pieces: Sequence[str], stop: Literal["end", "max_tokens"]
) -> list[Event]:
    """One part of an answer, in these pieces."""
    part: llmwire.Part = llmwire.TextPart("")
    growth: list[Event] = [llmwire.TextDelta(0, each) for each in pieces]
    if kind == "thought":
        part = llmwire.ReasoningPart()
        growth = [llmwire.ReasoningDelta(0, each) for each in pieces]
    elif kind == "arguments":
        part = llmwire.ToolCallPart(call_id="call_1", name="write_file")
        growth = [llmwire.ArgumentsDelta(0, each) for each in pieces]
    end = llmwire.MessageEnd(stop)
    start: list[Event] = [llmwire.MessageStart("m"), llmwire.PartStart(0, part)]
    return [*start, *growth, llmwire.PartEnd(0), end, llmwire.StreamEnd()]


def _answered(
    names: Sequence[str], document: bool, events: Sequence[Event]
) -> tuple[llmwire.Response | str, tuple[llmwire.Loss, ...]]:
    """The answer that a client gets, or the error; and what is told of losses."""
    chain = proxy_chain(names, document=document, checked=True)
    given = [each for event in events for each in chain.send(event)]
    try:
        return llmwire.fold(given), chain.losses
    except RemoteProtocolError as error:
        return str(error), chain.losses
