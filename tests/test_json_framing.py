"""What stands around documents: heads, fences, prose, envelopes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._json_evidence import Evidence
from llmwire._json_framing import (
    carried,
    documents_in,
    encoded_object,
    fenced_spans,
    head_end,
    member_span,
    prose_span,
)

PATH = Evidence({"properties": {"path": {}}})


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ('{"a": 1}', ""),
        ("  {}", ""),
        ("```json\n{}", "```json"),
        ("\ufeff\n```\n<tool_call>{}", "\ufeff\n```\n<tool_call>"),
        ("<function=name>{}", "<function=name>"),
        ('<invoke name="x">{}', '<invoke name="x">'),
        ("JSON \n{}", "JSON"),
        ("json {}", ""),
        ("<|a|> <|b|>[]", "<|a|> <|b|>"),
        ("< a>{}", ""),
        ("", ""),
    ],
)
def test_heads(text: str, head: str) -> None:
    assert text[: head_end(text)] == head


def _cut(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


def test_fences() -> None:
    text = "a ```json\n{1}\n``` b ```\nplain\n``` c ```[2]``` d ```{open"
    assert _cut(text, fenced_spans(text)) == ["{1}\n", "[2]"]
    assert _cut("```{`x`}```", fenced_spans("```{`x`}```")) == ["{`x`}"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('x {"a": [1]} y', ['{"a": [1]}']),
        ('x [1] y {"a": 1} {"b": 2}', ['{"a": 1}', '{"b": 2}']),
        ("x [1] y [2]", ["[1]", "[2]"]),
        ('x [see there] {name} {"a": 1}', ['{"a": 1}']),
        ('x {"a": NaN} {"b": 1}', []),
        ('x {"a": {"b": 1} {"c": 1}', []),
        ("x [" + "[" * 100_000, []),
        ("x", []),
        ("[1] " * 40, []),
    ],
)
def test_documents_in_prose(text: str, found: list[str]) -> None:
    assert _cut(text, documents_in(text)) == found


def test_spans_in_prose() -> None:
    for text, span in {
        "so {a} b } c": "{a} b }",
        "so [a] {": "[a]",
        "so {a ]": None,
        "}{": None,
        "so": None,
        "": None,
    }.items():
        found = prose_span(text)
        assert (found and text[slice(*found)]) == span


def test_envelopes() -> None:
    inner: dict[str, Any] = {"path": "a"}
    for key in ("arguments", "parameters", "input", "args"):
        assert carried({key: inner}, PATH, None) == key
        assert carried({key: json.dumps(inner), "id": "1"}, PATH, "f") == key
    named = {"name": "f", "arguments": inner}
    assert carried(named, PATH, "f") == carried(named, PATH, None) == "arguments"
    assert carried(named, PATH, "g") is None
    assert carried({**named, "path": 1}, PATH, "f") is None
    assert carried({**named, "other": 1}, PATH, "f") is None
    assert carried({"arguments": inner, "args": inner}, PATH, None) is None
    assert carried({"input": {"input": {}}}, PATH, None) is None
    assert carried({"input": "no"}, PATH, None) is None
    assert carried({"name": "f"}, PATH, "f") is None
    assert carried({"input": inner}, Evidence(None), None) is None


def test_objects_in_strings() -> None:
    assert encoded_object('{"a": 1}') == {"a": ("1",)}
    for text in ("[1]", "x", "", "[" * 100_000):
        assert encoded_object(text) is None


@given(
    st.dictionaries(st.text(max_size=3), st.lists(st.integers() | st.text(max_size=3))),
    st.sampled_from([None, 1]),
)
def test_members_are_found(value: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    for name, inner in value.items():
        start, end = member_span(text, name)
        assert json.loads(text[start:end]) == inner
    assert member_span(text, "none of these") == (0, 0)


def test_the_last_of_equal_members_counts() -> None:
    text = '\n{ "a" : {} , "a" :[1] }'
    assert text[slice(*member_span(text, "a"))] == "[1]"
