"""JSON Schema: every keyword met and broken, broken schemas, depth, work."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire import _json_schema
from llmwire._json_schema import MAX_VIOLATIONS, violations
from llmwire._schema_terms import key_of, kind_of, rendered, resolved, types_of

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name"],
            "additionalProperties": False,
        }
    },
}

CASES: list[tuple[dict[str, Any], list[object], list[object]]] = [
    ({}, [None, 1, "a", [], {}], []),
    ({"type": "string"}, ["", "a"], [1, None, [], True]),
    ({"type": "integer"}, [1, -1, 3.0], [1.5, "1", True, None]),
    ({"type": "number"}, [1, 1.5], ["1", False]),
    ({"type": "boolean"}, [True], [0, 1, "true"]),
    ({"type": "null"}, [None], [0, "", False]),
    ({"type": "array"}, [[]], [{}, "a"]),
    ({"type": "object"}, [{}], [[], None]),
    ({"type": ["integer", "null"]}, [1, None], ["a", 1.5]),
    ({"type": "string", "nullable": True}, ["a", None], [1]),
    ({"type": "string", "nullable": True, "enum": ["a"]}, [None, "a"], ["b"]),
    ({"enum": [1, "a", None, {"x": [1]}]}, [1, 1.0, None, {"x": [1.0]}], [True, "b"]),
    ({"items": {"enum": [1]}}, [[1, 1.0]], [[1, 2]]),
    ({"const": {"a": 1}}, [{"a": 1.0}], [{"a": True}, {}]),
    ({"const": [1, False]}, [[1.0, False]], [[1, 0], [True, False]]),
    ({"minimum": 2}, [2, 3.5, "a"], [1, 1.9]),
    ({"minimum": 2, "exclusiveMinimum": True}, [3], [2]),
    ({"maximum": 2}, [2, -1, "a"], [2.1]),
    ({"maximum": 2, "exclusiveMaximum": True}, [1], [2]),
    ({"exclusiveMinimum": 2}, [2.1, "a"], [2]),
    ({"exclusiveMaximum": 2}, [1, "a"], [2]),
    ({"multipleOf": 0.1}, [0.3, 1, "a"], [0.35, float("inf")]),
    ({"multipleOf": 3}, [9, 9.0, 10**300 * 3], [10]),
    ({"multipleOf": 10**30}, [0], [1]),
    ({"minLength": 2}, ["ab", 1], ["a"]),
    ({"maxLength": 2}, ["ab", "😀😀"], ["abc"]),
    ({"pattern": "^a+$"}, ["aa", 1], ["b"]),
    ({"pattern": "(?=b)"}, ["a", "b"], []),
    ({"minItems": 1}, [[1], "a"], [[]]),
    ({"maxItems": 1}, [[1], {}], [[1, 2]]),
    ({"uniqueItems": True}, [[1, True, "1", [1], [True]], "aa"], [[1, 1.0], [{}, {}]]),
    ({"items": {"type": "string"}}, [["a"], [], 1], [["a", 1]]),
    ({"items": False}, [[]], [[1]]),
    ({"prefixItems": [{"type": "string"}], "items": False}, [["a"], []], [["a", 1]]),
    ({"prefixItems": [{"type": "string"}]}, [["a", 1], "a"], [[1]]),
    ({"items": [{"type": "string"}]}, [["a", 1]], [[1]]),
    (
        {"items": [{"type": "string"}], "additionalItems": False},
        [["a"], []],
        [["a", 1]],
    ),
    ({"additionalItems": False}, [[1]], []),
    ({"contains": {"type": "string"}}, [[1, "a"], 1], [[], [1]]),
    (
        {"contains": {"type": "string"}, "minContains": 2, "maxContains": 3},
        [["a", "b"], ["a", "b", "c", 1]],
        [["a"], ["a"] * 4],
    ),
    ({"contains": {}, "minContains": 0}, [[]], []),
    ({"properties": {"a": {"type": "string"}}}, [{"a": "x"}, {"b": 1}, 1], [{"a": 1}]),
    ({"properties": {"a": False}}, [{}], [{"a": 1}]),
    ({"required": ["a"]}, [{"a": None}, []], [{}, {"b": 1}]),
    (
        {"patternProperties": {"^x": {"type": "string"}}},
        [{"xa": "b", "y": 1}],
        [{"x": 1}],
    ),
    (
        {"properties": {"a": {}}, "additionalProperties": False},
        [{"a": 1}, "a"],
        [{"b": 1}],
    ),
    (
        {"patternProperties": {"^x": {}}, "additionalProperties": False},
        [{"xa": 1}],
        [{"y": 1}],
    ),
    (
        {"patternProperties": {"(?=x)": {}}, "additionalProperties": False},
        [{"y": 1}],
        [],
    ),
    ({"additionalProperties": {"type": "string"}}, [{"a": "b"}], [{"a": 1}]),
    ({"propertyNames": {"maxLength": 1}}, [{"a": 1}, 1], [{"ab": 1}]),
    ({"minProperties": 1}, [{"a": 1}, 1], [{}]),
    ({"maxProperties": 1}, [{"a": 1}], [{"a": 1, "b": 2}]),
    ({"dependentRequired": {"a": ["b"]}}, [{"a": 1, "b": 1}, {"b": 1}, 1], [{"a": 1}]),
    ({"dependentSchemas": {"a": {"required": ["b"]}}}, [{}, 1], [{"a": 1}]),
    (
        {"dependencies": {"a": ["b"], "c": {"required": ["d"]}}},
        [{}],
        [{"a": 1}, {"c": 1}],
    ),
    ({"allOf": [{"type": "string"}, {"minLength": 2}]}, ["ab"], ["a", 1]),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ["a", None], [1]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, [1, 2.5], [2, 1.5]),
    ({"not": {"type": "string"}}, [1], ["a"]),
    ({"not": True}, [], [1]),
    (
        {"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}},
        ["ab", 2],
        ["a", 1],
    ),
    ({"if": {"type": "string"}}, ["a", 1], []),
    (TREE, [{"name": "a", "kids": [{"name": "b"}]}], [{"name": "a", "kids": [{}]}]),
    (
        {
            "properties": {"a/b~c d": {"type": "string"}},
            "items": {"$ref": "#/properties/a~1b~0c%20d"},
        },
        [["a"]],
        [[1]],
    ),
    ({"$ref": "#/definitions/a", "definitions": {"a": {"type": "null"}}}, [None], [1]),
    ({"$ref": "#/anyOf/1", "anyOf": [{}, {"type": "null"}]}, [None], [1]),
    ({"$ref": "#"}, [1, "a"], []),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, [1], []),
    ({"$ref": "https://example.com/x"}, [1], []),
    ({"$ref": "#anchor"}, [1], []),
    ({"$ref": "#/nowhere/at/all"}, [1], []),
    ({"format": "uuid", "unevaluatedProperties": False, "x-y": 1}, ["a", {"a": 1}], []),
]


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"), CASES, ids=lambda each: json.dumps(each)[:60]
)
def test_keywords(
    schema: dict[str, Any], valid: list[object], invalid: list[object]
) -> None:
    for value in valid:
        assert violations(value, schema) == (), value
    for value in invalid:
        assert violations(value, schema) != (), value


def test_what_is_told() -> None:
    value = {"name": 1, "kids": [{"name": "a", "x y": 1}, {"na-me": 1}]}
    found = violations(value, TREE)
    assert [(v.path, v.rule) for v in found] == [
        ("$.name", "type"),
        ("$.kids[0]['x y']", "additionalProperties"),
        ("$.kids[1].name", "required"),
        ("$.kids[1].na-me", "additionalProperties"),
    ]
    assert found[0].message == "string expected, not integer"


def test_the_content_is_not_told() -> None:
    schemas = [schema for schema, _, invalid in CASES if "s3cret" not in invalid]
    for schema in schemas:
        for value in ("s3cret", ["s3cret"], {"a": "s3cret"}):
            assert "s3cret" not in str(violations(value, schema))


def test_long_names_are_cut() -> None:
    (found,) = violations({"x" * 1000: 1}, {"additionalProperties": False})
    assert len(found.path) < 100


BROKEN: list[object] = [
    5, "a", None, True, [], [[]], [5], {}, {"a": 5}, {"a": ["b", 5]}, -1, float("nan"),
    10**5000, {"": []}, ["object"], "[", "#/", "#/0", "#/x/y", "(", "integer",
]  # fmt: skip
KEYWORDS = sorted(
    {*_json_schema._RULES, "then", "else", "nullable", "minContains", "maxContains"}
)


@given(
    st.dictionaries(st.sampled_from(KEYWORDS), st.sampled_from(BROKEN), max_size=4),
    st.sampled_from([None, True, 1, 1.5, "a", ["a", 1], {"a": 1}, {"a": {"": []}}]),
)
def test_broken_schemas_do_not_raise(schema: dict[str, Any], value: object) -> None:
    violations(value, schema)
    violations(value, {"properties": {"a": schema}, "items": schema, "anyOf": [schema]})


def test_what_is_no_schema_allows_everything() -> None:
    for schema in BROKEN:
        if not isinstance(schema, dict):
            none: Any = schema
            assert violations({"a": 1}, none) == ()


def _nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def test_depth_is_bounded() -> None:
    schema = {"items": {"$ref": "#"}}
    assert violations(_nested(60), schema) == ()
    (found,) = violations(_nested(500), schema)
    assert (found.path, found.rule) == ("$", "limit")


def test_values_that_are_too_deep_to_compare() -> None:
    (found,) = violations(_nested(5000), {"const": _nested(4)})
    assert found.rule == "limit"


def test_work_is_bounded() -> None:
    ways = {"allOf": [{"items": {"$ref": "#"}}] * 8}
    (found,) = violations(_nested(20), ways)
    assert found.rule == "limit"
    assert violations(_nested(4), ways) == ()


def test_large_values_are_no_reason_to_give_up() -> None:
    value = [{"name": "a"} for _ in range(60_000)]
    assert (
        violations(value, {"items": {"properties": {"name": {"type": "string"}}}}) == ()
    )


def test_many_violations_are_cut() -> None:
    found = violations(list(range(1000)), {"items": {"type": "string"}})
    assert len(found) == MAX_VIOLATIONS
    deep = [*range(1000), _nested(500)]
    found = violations(deep, {"items": {"type": "array", "items": {"$ref": "#"}}})
    assert len(found) == MAX_VIOLATIONS and found[-1].rule == "limit"


def test_an_object_that_holds_itself_at_two_places() -> None:
    schema = {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"type": "string"}},
    }
    assert len(violations([1, 1, "a", 1], schema)) == 3


def test_root_of_references() -> None:
    part = {"$ref": "#/$defs/a"}
    assert violations(1, part) == ()
    assert violations(1, part, root={"$defs": {"a": {"type": "string"}}}) != ()


def test_terms() -> None:
    values: list[Any] = [None, True, 1, 1.0, 1.5, "", [], {}]
    assert [kind_of(value) for value in values] == [
        "null", "boolean", "integer", "integer", "number", "string", "array", "object",
    ]  # fmt: skip
    assert types_of({"type": ["string", "odd", 5]}) == {"string"}
    assert types_of({"type": 5}) == types_of({"type": "odd", "nullable": True}) == set()
    assert resolved("#/a/2", {"a": [0, 1]}) is None
    assert resolved("#/a/x", {"a": [0, 1]}) is None
    assert resolved(5, {}) is None
    assert key_of([1, {"a": None}]) == key_of([1.0, {"a": None}])
    assert key_of(0) != key_of(False)
    assert key_of({"a": 1}) != key_of([["a", 1]])
    assert rendered(((None, "a"), 0)) == "$.a[0]"


def test_long_integers() -> None:
    assert violations(10**5000 * 3, {"multipleOf": 3}) == ()
    assert violations(10**5000, {"multipleOf": 3}) != ()


def test_a_number_is_not_told_in_full() -> None:
    (found,) = violations(1, {"minimum": 10**5000})
    assert len(found.message) < 50
