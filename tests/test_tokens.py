"""Tests of `llmwire.tokens`: everything in a request counts, nothing raises."""

from __future__ import annotations

from msgspec import Raw

from llmwire.messages import (
    Base64,
    MediaPart,
    Message,
    OpaquePart,
    Part,
    PlainText,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Url,
)
from llmwire.requests import OutputFormat, Request, Tool
from llmwire.tokens import estimate_tokens


def _count(*parts: Part) -> int:
    counted = estimate_tokens(Request(messages=(Message(role="user", parts=parts),)))
    assert counted.estimated
    return counted.input - 4


def test_an_empty_request_is_nothing() -> None:
    assert estimate_tokens(Request()).input == 0
    assert estimate_tokens(Request(messages=(Message(role="user"),))).input == 4


def test_text_counts_by_its_characters() -> None:
    assert _count(TextPart("")) == 0
    assert _count(TextPart("four")) == 1
    assert _count(TextPart("five!")) == 2
    assert _count(TextPart("日本語")) == 3
    assert _count(TextPart("é" * 8)) == 2
    assert _count(RefusalPart("no!!")) == 1


def test_thinking_counts() -> None:
    assert _count(ReasoningPart(summary=("four", "five!"))) == 3
    assert _count(ReasoningPart(text="four")) == 1


def test_calls_and_results_count() -> None:
    assert _count(ToolCallPart(call_id="1", name="four", arguments='{"a":1}')) == 11
    assert _count(ToolResultPart(call_id="1", parts=(TextPart("four"),))) == 9
    payload = Raw(b'{"a": 12345}')
    assert _count(ServerToolCallPart(name="search", payload=payload)) == 11
    assert _count(ServerToolResultPart(name="search", payload=payload)) == 11
    assert _count(OpaquePart(dialect="toy", kind="x", raw=payload)) == 11


def test_media_have_a_price() -> None:
    image = MediaPart(kind="image", source=Base64("A" * 400_000))
    assert _count(image) == 1000
    assert _count(MediaPart(kind="document", source=Url("https://x"))) == 1500
    assert _count(MediaPart(kind="document", source=Base64("A" * 80_000))) == 2000
    assert _count(MediaPart(kind="audio", source=Base64("AAAA"))) == 800
    assert _count(MediaPart(kind="document", source=PlainText("four"))) == 1


def test_tools_and_schemas_count() -> None:
    tool = Tool(name="four", description="five!", schema=Raw(b'{"type":"object"}'))
    assert estimate_tokens(Request(tools=(tool,))).input == 8 + 1 + 2 + 4
    output = OutputFormat(kind="json_schema", schema=Raw(b'{"type": 1}'))
    assert estimate_tokens(Request(output=output)).input == 2
    assert estimate_tokens(Request(output=OutputFormat(kind="text"))).input == 0
