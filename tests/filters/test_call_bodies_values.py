"""Texts as values of parameters."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from msgspec import Raw

from llmwire.filters._call_bodies._values import (
    json_object,
    json_object_end,
    parameters_of,
    typed,
)
from llmwire.requests import Tool
from tests.filters.call_bodies import TEXTS, VALUES, tool

TEXT = frozenset({"string"})


@pytest.mark.parametrize(
    "text", ["null", "3", "true", " a ", "", '"x"', "[1]", "\ud83d"]
)
def test_a_string_is_its_text(text: str) -> None:
    assert json.loads(typed(text, TEXT)) == text


@pytest.mark.parametrize(
    ("text", "kinds", "value"),
    [
        ("null", {"string", "null"}, None),
        ("None", {"string", "null"}, "None"),
        ("3", {"string", "null"}, "3"),
        ("3", {"string", "integer"}, 3),
        ("3.5", {"string", "integer"}, "3.5"),
        ('"3"', {"string", "integer"}, '"3"'),
        ("True", {"string", "boolean"}, "True"),
        (" 3\n", {"integer"}, 3),
        ("-3", {"integer"}, -3),
        ("3.0", {"integer"}, 3.0),
        ("3.5", {"integer"}, "3.5"),
        ("1e2", {"integer"}, "1e2"),
        ("0x1F", {"integer"}, 31),
        ("1_000", {"integer"}, 1000),
        ("007", {"integer"}, "007"),
        ("3 apples", {"integer"}, "3 apples"),
        ("", {"integer"}, ""),
        ("3", {"number"}, 3),
        (".5", {"number"}, 0.5),
        ("NaN", {"number"}, "NaN"),
        ("Infinity", {"number"}, "Infinity"),
        ("True", {"boolean"}, True),
        ("false", {"boolean"}, False),
        ("None", {"integer", "null"}, None),
        ("1", {"boolean"}, "1"),
        ('{"a": 1}', {"object"}, {"a": 1}),
        ("{'a': None}", {"object"}, {"a": None}),
        ("{'a': None", {"object"}, "{'a': None"),
        ("[1, 'x',]", {"array"}, [1, "x"]),
        ("[1]", {"object"}, "[1]"),
        ("'x'", {"array"}, "'x'"),
        ('"x"', {"array"}, '"x"'),
        ("true", None, True),
        ("[1]", None, [1]),
        ('"x"', None, '"x"'),
        ("x", None, "x"),
        ("True", None, "True"),
    ],
)
def test_other_values_are_what_the_schema_allows(
    text: str, kinds: set[str] | None, value: object
) -> None:
    read = json.loads(typed(text, frozenset(kinds) if kinds else None))
    assert (type(read), read) == (type(value), value)


@given(value=VALUES)
def test_any_value_but_a_string_is_read_where_anything_is_allowed(
    value: object,
) -> None:
    if isinstance(value, str):
        return
    assert json.loads(typed(json.dumps(value), None)) == value


@given(text=TEXTS)
def test_the_text_of_a_number_is_kept(text: str) -> None:
    assert typed(" 1.50 ", frozenset({"number"})) == "1.50"
    assert json.loads(typed(text, TEXT)) == text


def test_what_a_tool_says_of_its_parameters() -> None:
    schema = {
        "properties": {
            "a": {"$ref": "#/$defs/A"},
            "b": {"$ref": "#/$defs/absent"},
            "c": {"$ref": "elsewhere"},
            "d": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "e": True,
        },
        "$defs": {"A": {"type": "boolean"}},
    }
    found = parameters_of(tool("f", schema))
    assert found.of("a") == frozenset({"boolean"})
    assert found.of("b") is None
    assert found.of("c") is None
    assert found.of("d") == frozenset({"integer", "null"})
    assert found.of("e") is None
    assert found.of("unknown") == TEXT
    assert found.known("a") and not found.known("unknown")


@pytest.mark.parametrize(
    "schema", [{}, {"properties": []}, [], {"$defs": 1, "properties": {}}]
)
def test_a_tool_that_says_nothing_takes_anything(schema: object) -> None:
    found = parameters_of(tool("f", schema))
    assert found.known("a") and found.of("a") is None


def test_references_to_what_is_no_list_of_schemas() -> None:
    schema = {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": [1]}
    assert parameters_of(tool("f", schema)).of("a") is None


def test_a_schema_that_is_none() -> None:
    assert parameters_of(Tool(name="f", schema=Raw(b"{"))).of("a") is None
    assert parameters_of(Tool(name="f")).known("a")


def test_objects_are_put_together() -> None:
    assert json_object([]) == "{}"
    assert json.loads(json_object([('a"', "1"), ("b", "null")])) == {'a"': 1, "b": None}


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ('{"a": "}"} x', 10),
        ("{}", 2),
        ("[1]", None),
        ("", None),
        ("{", None),
        ('{"a": NaN}', None),
        ('{"a":' * 100_000, None),
    ],
)
def test_where_an_object_ends(text: str, end: int | None) -> None:
    assert json_object_end(text, 0) == end
