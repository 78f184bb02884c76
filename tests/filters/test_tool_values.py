"""Tests of `llmwire.filters._tool_values`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire.filters._tool_values import (
    between,
    escaped,
    kind_of_json,
    kinds_of,
    members,
    padded,
    quoted,
    read_value,
    strict_json,
)


@given(st.text())
def test_several_lines_stand_on_lines_of_their_own(text: str) -> None:
    assert padded(text) in (text, f"\n{text}\n")
    assert (padded(text) == text) == ("\n" not in text)
    assert between(padded(text)) == text


def test_one_line_feed_is_left_out_on_each_side() -> None:
    assert between("\n\n a \n\n") == "\n a \n"


@given(st.text())
def test_strings_are_quoted(text: str) -> None:
    assert json.loads(quoted(text)) == text
    assert f'"{escaped(text)}"' == quoted(text)


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({"type": "string"}, {"string"}),
        ({"type": ["string", "null", 3]}, {"string", "null"}),
        (
            {"enum": ["a", 1, True, None, [1], {}]},
            {"string", "number", "boolean", "null", "array", "object"},
        ),
        ({"const": 1.5}, {"number"}),
        ({"anyOf": [{"type": "string"}, {"type": "array"}]}, {"string", "array"}),
        ({"oneOf": [{"const": "a"}, {"type": "null"}]}, {"string", "null"}),
        ({"anyOf": [{"type": "string"}, {}]}, None),
        ({"anyOf": "x"}, None),
        ({"$ref": "#/x"}, None),
        (True, None),
    ],
)
def test_kinds(schema: object, kinds: set[str] | None) -> None:
    assert kinds_of(schema) == (None if kinds is None else frozenset(kinds))


def test_kinds_of_deep_schemas() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(20):
        schema = {"anyOf": [schema]}
    assert kinds_of(schema) is None


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (None, {}),
        (b'{"properties": {"a": {"type": "string"}}}', {"a": {"type": "string"}}),
        (b'{"properties": []}', {}),
        (b"{}", {}),
        (b"[]", {}),
        (b"{", {}),
    ],
)
def test_members(schema: bytes | None, found: object) -> None:
    assert members(None if schema is None else Raw(schema)) == found


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('"a"', "string"),
        ("{}", "object"),
        ("[]", "array"),
        ("null", "null"),
        ("true", "boolean"),
        ("false", "boolean"),
        ("-1", "integer"),
        ("1.0", "number"),
        ("1e5", "number"),
    ],
)
def test_kind_of_json(text: str, kind: str) -> None:
    assert kind_of_json(text) == kind


@pytest.mark.parametrize("text", ["NaN", "[NaN]", "\ufeff1", "01", "", "\ud800"])
def test_not_json(text: str) -> None:
    assert not strict_json(text)


def test_deep_json_is_a_string() -> None:
    assert not strict_json("[" * 100_000)


@pytest.mark.parametrize(
    ("text", "kinds", "meant"),
    [
        ("5", {"string"}, '"5"'),
        (" a ", {"string"}, '" a "'),
        (" 5\n", {"integer"}, "5"),
        ("5", {"number", "string"}, "5"),
        ("5.5", {"integer", "string"}, '"5.5"'),
        ("[1]", {"number", "string"}, '"[1]"'),
        ("5", None, "5"),
        ('"5"', None, '"\\"5\\""'),
        ("a b", None, '"a b"'),
        ("", None, '""'),
        (" ", {"array"}, '" "'),
        ("True", {"boolean"}, "true"),
        ("False", {"boolean", "null"}, "false"),
        ("True", {"boolean", "string"}, '"True"'),
        ("True", {"integer"}, '"True"'),
        ("[1, 2]", {"array"}, "[1, 2]"),
        ("[1, 2", {"array"}, '"[1, 2"'),
        ('"a"', {"array"}, '"a"'),
        ("1.50", {"number"}, "1.50"),
    ],
)
def test_reading(text: str, kinds: set[str] | None, meant: str) -> None:
    assert read_value(text, None if kinds is None else frozenset(kinds)) == meant
