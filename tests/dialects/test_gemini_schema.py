"""JSON schema to Google's OpenAPI subset and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from msgspec import Raw

from llmwire.dialects.gemini._schema import MAX_DEPTH, to_json_schema, to_openapi
from llmwire.strategies import json_values, schemas


def _raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


def _openapi(schema: Any) -> tuple[Any, bool]:
    made, same = to_openapi(_raw(schema))
    return json.loads(bytes(made)), same


@pytest.mark.parametrize(
    ("schema", "expected", "same"),
    [
        ({"type": "string"}, {"type": "STRING"}, True),
        ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}, True),
        ({"type": "null"}, {"type": "NULL"}, True),
        ({"type": ["null"]}, {"type": "NULL"}, False),
        (
            {"type": ["string", "integer"]},
            {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]},
            False,
        ),
        ({"type": 5}, {}, False),
        ({"const": "a"}, {"type": "STRING", "enum": ["a"]}, False),
        (
            {"type": "string", "enum": ["a", None]},
            {"type": "STRING", "enum": ["a"], "nullable": True},
            False,
        ),
        (
            {"type": "integer", "enum": [1, 2]},
            {"type": "INTEGER", "description": "(enum: [1,2])"},
            False,
        ),
        ({"enum": 5}, {}, False),
        (
            {"oneOf": [{"type": "string"}, {"type": "null"}], "title": "T"},
            {"type": "STRING", "nullable": True, "title": "T"},
            False,
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "number"}]},
            {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]},
            True,
        ),
        ({"anyOf": [{"type": "null"}]}, {"nullable": True}, False),
        ({"anyOf": 5}, {}, False),
        (
            {"type": "object", "properties": {"a": {}}, "required": ["a", "b"]},
            {"type": "OBJECT", "properties": {"a": {}}, "required": ["a"]},
            False,
        ),
        (
            {
                "properties": {"a": True},
                "required": ["b"],
                "additionalProperties": False,
            },
            {"type": "OBJECT", "properties": {"a": {}}},
            False,
        ),
        (
            {"type": "object", "properties": {}, "required": []},
            {"type": "OBJECT"},
            False,
        ),
        ({"properties": 5}, {}, False),
        (
            {"items": {"type": "string"}},
            {"type": "ARRAY", "items": {"type": "STRING"}},
            False,
        ),
        ({"type": "array"}, {"type": "ARRAY", "items": {}}, False),
        (
            {"items": [{"type": "string"}, {"type": "number"}]},
            {
                "type": "ARRAY",
                "items": {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]},
            },
            False,
        ),
        ({"items": []}, {"type": "ARRAY", "items": {}}, False),
        (
            {"type": "number", "exclusiveMinimum": 3, "description": "d"},
            {"type": "NUMBER", "description": "d (exclusiveMinimum: 3)"},
            False,
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {
                "type": "OBJECT",
                "description": '(additionalProperties: {"type":"string"})',
            },
            False,
        ),
        (
            {"$schema": "x", "$comment": "y", "type": "string"},
            {"type": "STRING"},
            False,
        ),
        (
            {"type": "string", "format": "uuid"},
            {"type": "STRING", "description": '(format: "uuid")'},
            False,
        ),
        (False, {}, False),
    ],
)
def test_keywords(schema: Any, expected: Any, same: bool) -> None:
    assert _openapi(schema) == (expected, same)


def test_references_are_inlined() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/x~1y", "description": "here"},
            "b": {"$ref": "#/$defs/none"},
            "c": {"$ref": "http://elsewhere"},
            "d": {"$ref": "#/$defs/bool"},
        },
        "$defs": {"x/y": {"type": "string"}, "bool": True},
    }
    made, same = _openapi(schema)
    assert made["properties"] == {
        "a": {"type": "STRING", "description": "here"},
        "b": {"type": "OBJECT"},
        "c": {"type": "OBJECT"},
        "d": {},
    }
    assert not same


def test_cycles_become_objects() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    made, same = _openapi(node)
    inner = made["properties"]["next"]
    assert inner["properties"]["next"] == {"type": "OBJECT"}
    assert not same


def test_all_of_is_merged() -> None:
    schema = {
        "allOf": [
            {"$ref": "#/$defs/a"},
            {"properties": {"y": {"type": "string"}}, "required": ["x", "y"]},
            {"description": "two", "minProperties": 1},
            {"minProperties": 2},
            5,
        ],
        "description": "three",
        "$defs": {
            "a": {
                "description": "one",
                "properties": {"x": {"type": "string"}},
                "required": ["x"],
            }
        },
    }
    made, same = _openapi(schema)
    assert made == {
        "description": "one two three",
        "properties": {"x": {"type": "STRING"}, "y": {"type": "STRING"}},
        "required": ["x", "y"],
        "minProperties": 2,
        "type": "OBJECT",
    }
    assert not same
    looped = {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert _openapi(looped) == ({}, False)


def test_depth_and_size_are_bounded() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(MAX_DEPTH + 5):
        deep = {"type": "array", "items": deep}
    assert not _openapi(deep)[1]
    wide = {
        "$defs": {
            f"d{at}": {
                "properties": {
                    name: {"$ref": f"#/$defs/d{at + 1}"} for name in "abcdefghij"
                }
            }
            for at in range(8)
        },
        "$ref": "#/$defs/d0",
    }
    assert not _openapi(wide)[1]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, {"type": "object"}),
        (
            {"type": "OBJECT", "properties": {"type": {"type": "STRING"}}},
            {"type": "object", "properties": {"type": {"type": "string"}}},
        ),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "STRING", "enum": ["A"], "nullable": True},
            {"type": ["string", "null"], "enum": ["A", None]},
        ),
        (
            {"anyOf": [{"type": "STRING"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
        ),
        ({"nullable": True}, {}),
        (
            {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "2"},
            {"type": "array", "items": {"type": "string"}, "minItems": 2},
        ),
        (
            {"type": "STRING", "default": {"type": "STRING"}},
            {"type": "string", "default": {"type": "STRING"}},
        ),
    ],
)
def test_back_to_json_schema(schema: Any, expected: Any) -> None:
    assert json.loads(bytes(to_json_schema(_raw(schema)))) == expected


@given(schemas())
def test_any_schema(schema: Raw) -> None:
    made, same = to_openapi(schema)
    if same:
        back = json.loads(bytes(to_json_schema(made)))
        assert back == json.loads(bytes(schema))


@given(json_values())
def test_anything_at_all(value: Any) -> None:
    to_json_schema(_raw({"nullable": True, "items": value, "enum": value}))
    to_openapi(
        _raw({"allOf": [value], "anyOf": [value], "type": value, "items": value})
    )
    to_openapi(_raw(value))
