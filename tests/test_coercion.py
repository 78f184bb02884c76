"""Types made right: only where there is one way, and nothing else is touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._coercion import COERCION_RULES, Coercions, coerce, folded
from llmwire._json_edits import patched
from llmwire._json_schema import violations

STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
BOOLEAN, NULL = {"type": "boolean"}, {"type": "null"}
ALL = Coercions(drop_unknown=True, fill_defaults=True)


def object_of(required: tuple[str, ...] = (), **members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(required)}


def array_of(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


CASES: list[tuple[str, Any, str | None, str]] = [
    ('"3"', INTEGER, "3", "scalar-type"),
    ('"-3.00"', INTEGER, "-3.00", "scalar-type"),
    ('"3.5"', INTEGER, None, ""),
    ('"3e2"', INTEGER, None, ""),
    ('"3e2"', NUMBER, "3e2", "scalar-type"),
    ('"3e400"', NUMBER, None, ""),
    ('"007"', INTEGER, None, ""),
    ('" 3"', INTEGER, None, ""),
    ('"1,000"', INTEGER, None, ""),
    ('"٣"', INTEGER, None, ""),
    ('""', INTEGER, None, ""),
    ('""', BOOLEAN, None, ""),
    ('""', NULL, None, ""),
    ('""', array_of(STRING), None, ""),
    ('"true"', BOOLEAN, "true", "scalar-type"),
    ('"False"', BOOLEAN, "false", "scalar-type"),
    ('"yes"', BOOLEAN, None, ""),
    ("1", BOOLEAN, None, ""),
    ("0", BOOLEAN, None, ""),
    ("true", INTEGER, None, ""),
    ('"null"', {"type": ["integer", "null"]}, "null", "scalar-type"),
    ('"None"', {"type": ["integer", "null"]}, "null", "scalar-type"),
    ('"null"', {"type": ["string", "null"]}, '"null"', ""),
    ("1.50", STRING, '"1.50"', "scalar-type"),
    ("1e5", STRING, '"1e5"', "scalar-type"),
    ("true", STRING, None, ""),
    ("null", STRING, None, ""),
    ("true", {"type": "string", "enum": ["true", "false"]}, '"true"', "scalar-type"),
    ("1", {"enum": ["1", "2"]}, '"1"', "scalar-type"),
    ('"1"', {"enum": [1, 2]}, "1", "scalar-type"),
    ('"1"', {"const": 1}, "1", "scalar-type"),
    ("1.5", INTEGER, None, ""),
    ("3.0", INTEGER, "3.0", ""),
    ('"a"', array_of(STRING), '["a"]', "wrap"),
    ('"a, b"', array_of(STRING), None, ""),
    ('"3"', array_of(INTEGER), "[3]", "wrap scalar-type"),
    ('{"a": "1"}', array_of(object_of(a=INTEGER)), '[{"a": 1}]', "wrap scalar-type"),
    ("null", array_of({}), None, ""),
    ('["a"]', STRING, '"a"', "unwrap"),
    ('[ "3" ]', INTEGER, "3", "unwrap scalar-type"),
    ('["a", "b"]', STRING, None, ""),
    ("[]", STRING, None, ""),
    ('["a", 2]', array_of(STRING) | {"maxItems": 1}, None, ""),
    ('["a", null]', array_of(STRING), None, ""),
    ('[["a"]]', STRING, None, ""),
    ('"[1, 2]"', array_of(INTEGER), "[1, 2]", "stringified"),
    ('"[1, \\"2\\"]"', array_of(INTEGER), "[1, 2]", "stringified"),
    ('"[a]"', array_of(STRING), None, ""),
    ('"{\\"a\\": 1}"', object_of(a=INTEGER), '{"a": 1}', "stringified"),
    ('"{\\"a\\": {}}"', object_of(a=INTEGER), None, ""),
    ('"CELSIUS"', {"enum": ["celsius", "kelvin"]}, '"celsius"', "enum-case"),
    ('"in-progress"', {"enum": ["in_progress", "done"]}, '"in_progress"', "enum-case"),
    ('"cel"', {"enum": ["celsius", "kelvin"]}, None, ""),
    ('"A-B"', {"enum": ["a_b", "ab"]}, None, ""),
    ('"--"', {"enum": ["", "a"]}, None, ""),
    (
        '{"filePath": "x"}',
        object_of(("file_path",), file_path=STRING),
        '{"file_path": "x"}',
        "key-case",
    ),
    (
        '{"filePath": "x", "file_path": 1}',
        object_of(file_path=STRING),
        '{"filePath": "x", "file_path": "1"}',
        "scalar-type",
    ),
    ('{"AB": 1, "a-b": 2}', object_of(("a_b",), a_b=INTEGER), None, ""),
    ('{"AB": 1}', object_of(("a_b",), a_b=INTEGER, **{"a-b": INTEGER}), None, ""),
    (
        '{"a": "1", "a": 2}',
        object_of(a=INTEGER, b=INTEGER) | {"required": ["b"]},
        None,
        "",
    ),
    (
        '{"a": "1", "b": [1, "2"]}',
        object_of(a=INTEGER, b=array_of(INTEGER)),
        '{"a": 1, "b": [1, 2]}',
        "scalar-type scalar-type",
    ),
    ('{"a": "1", "b": "x"}', object_of(a=INTEGER, b=INTEGER), None, ""),
    ('{"a": "1"}', object_of(("b",), a=INTEGER), None, ""),
    ('{"x": "1"}', {"additionalProperties": INTEGER}, '{"x": 1}', "scalar-type"),
    ('{"x": "1"}', {"properties": {"x": False}}, None, ""),
    (
        '["1", "2"]',
        {"prefixItems": [INTEGER], "items": STRING},
        '[1, "2"]',
        "scalar-type",
    ),
    ('["1", "2"]', {"items": [INTEGER, STRING]}, '[1, "2"]', "scalar-type"),
    ('["1", 2]', {"prefixItems": [INTEGER]}, "[1, 2]", "scalar-type"),
    ('"3"', {"anyOf": [INTEGER, NULL]}, "3", "scalar-type"),
    ('"3"', {"oneOf": [INTEGER, array_of(INTEGER)]}, "3", "scalar-type"),
    ('"true"', {"anyOf": [BOOLEAN, {"enum": ["TRUE"]}]}, "true", "scalar-type"),
    (
        '"true"',
        {"anyOf": [{"const": True}, {"anyOf": [BOOLEAN]}]},
        "true",
        "scalar-type",
    ),
    (
        '{"a": "1"}',
        {"anyOf": [object_of(a=INTEGER), object_of(a=BOOLEAN)]},
        '{"a": 1}',
        "scalar-type",
    ),
    ('["1"]', {"anyOf": [INTEGER, array_of(INTEGER)]}, "[1]", "scalar-type"),
    (
        '{"a": "1"}',
        {
            "$ref": "#/$defs/o",
            "$defs": {"o": object_of(a={"$ref": "#/$defs/i"}), "i": INTEGER},
        },
        '{"a": 1}',
        "scalar-type",
    ),
    (
        '{"a": "1"}',
        {"allOf": [object_of(a=INTEGER), {"required": ["a"]}]},
        '{"a": 1}',
        "scalar-type",
    ),
    ('"5"', {"type": "integer", "maximum": 4}, None, ""),
    ('"1"', {"anyOf": [INTEGER, array_of(STRING)]}, None, ""),
    (
        '"3"',
        {"anyOf": [array_of(INTEGER), array_of(array_of(STRING)), INTEGER]},
        "3",
        "scalar-type",
    ),
    ('{"a": "1", "a": "2"}', object_of(a=INTEGER), None, ""),
    (
        '{"aB": "x", "a_b": "y"}',
        {**object_of(a_b=STRING), "additionalProperties": False},
        None,
        "",
    ),
    ('"3"', {"allOf": [STRING, INTEGER]}, None, ""),
    ("{", INTEGER, None, ""),
    ("NaN", INTEGER, None, ""),
    ("1", False, None, ""),
]


@pytest.mark.parametrize(("text", "schema", "expected", "rules"), CASES)
def test_readings(text: str, schema: Any, expected: str | None, rules: str) -> None:
    found = coerce(text, schema)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found[0] == expected
    assert " ".join(dict.fromkeys(e.rule for e in found[1])) == " ".join(
        dict.fromkeys(rules.split())
    )
    assert patched(text, found[1]) == expected
    assert all(edit.rule in COERCION_RULES for edit in found[1])


CLOSED = {**object_of(("a",), a=INTEGER), "additionalProperties": False}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1, "x": 2}', '{"a": 1}'),
        ('{"x": 2, "a": 1}', '{"a": 1}'),
        ('{"x": 2, "y": 3, "a": 1, "z": 4, "w": 5}', '{"a": 1}'),
        ('{"x": 2, "A": "1" }', '{"a": 1 }'),
        ('{"a": ["1"], "x": 2}', '{"a": 1}'),
        ('{"x": 2}', None),
    ],
)
def test_unknown_members_go_where_that_is_wanted(
    text: str, expected: str | None
) -> None:
    assert coerce(text, CLOSED) is None
    found = coerce(text, CLOSED, Coercions(drop_unknown=True))
    assert (found and found[0]) == expected


def test_all_members_go() -> None:
    schema = {"type": "object", "additionalProperties": False}
    found = coerce('{"x": 1, "y": [2] }', schema, ALL)
    assert found is not None and found[0] == "{ }"


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("{}", 3, '{"a": 3}'),
        ('{"b": 1}', [1, "é"], '{"b": 1, "a": [1, "é"]}'),
        ('{"b": 1}', float("nan"), None),
    ],
)
def test_defaults_come_where_that_is_wanted(
    text: str, default: Any, expected: str | None
) -> None:
    schema = object_of(("a",), a={"default": default})
    assert coerce(text, schema) is None
    found = coerce(text, schema, Coercions(fill_defaults=True))
    assert (found and found[0]) == expected


def test_two_defaults_are_too_much() -> None:
    schema = object_of(("a", "b"), a={"default": 1}, b={"default": 1})
    assert coerce("{}", schema, ALL) is None
    assert coerce("{}", object_of(("a",), a=True), ALL) is None
    assert coerce("{}", object_of(("a",), a={}), ALL) is None


def test_broken_schemas() -> None:
    none: Any = 5
    assert coerce("1", none) is None
    schemas: list[dict[str, Any]] = [
        {"type": "string", "enum": 5},
        {"type": "array", "items": 5},
        {"required": 5, "type": "object", "properties": 5},
        {"type": "string", "anyOf": 5, "allOf": 5},
    ]
    for schema in schemas:
        for text in ("[5]", "{}", "true", '"[1]"', '{"a": 1}'):
            coerce(text, schema, ALL)


def test_limits() -> None:
    assert coerce('"' + "1" * (1 << 20) + '"', INTEGER) is None
    deep = "[" * 400 + '"1"' + "]" * 400
    assert coerce(deep, {"items": {"$ref": "#"}}) is None
    assert coerce('"' + "[" * 5000 + '"', array_of({})) is None
    deep = json.dumps("[" * 60_000 + "]" * 60_000)
    assert coerce(deep, array_of({"type": "integer"})) is None


def test_work_is_bounded() -> None:
    ways = {
        "anyOf": [{"items": {"$ref": "#"}}] * 8,
        "not": {"const": 1},
        "type": "array",
    }
    assert coerce("[" * 20 + '"x"' + "]" * 20, ways) is None


def test_folded() -> None:
    assert folded("File-Path_2") == "filepath2"


SCHEMAS = st.sampled_from([schema for _, schema, _, _ in CASES])
TEXTS = st.sampled_from([text for text, _, _, _ in CASES])


@given(TEXTS, SCHEMAS)
def test_what_comes_out_is_what_the_schema_wants(text: str, schema: Any) -> None:
    found = coerce(text, schema, ALL)
    if found is not None:
        assert violations(json.loads(found[0]), schema) == ()
        assert coerce(found[0], schema, ALL) == (found[0], ())


@given(TEXTS, SCHEMAS)
def test_what_is_valid_is_not_touched(text: str, schema: Any) -> None:
    try:
        value = json.loads(text, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return
    if isinstance(schema, dict) and not violations(value, schema):
        assert coerce(text, schema, ALL) == (text, ())
