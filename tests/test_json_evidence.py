"""What schemas say about readings; schemas that say nothing, or nonsense."""

from __future__ import annotations

from typing import Any

import pytest

from llmwire._json_evidence import Evidence, keys_in, read, repeated_keys

SCHEMA: dict[str, Any] = {
    "$ref": "#/$defs/top",
    "$defs": {
        "top": {
            "properties": {
                "a": {"type": "string"},
                "list": {"items": {"$ref": "#/$defs/b"}},
            },
            "required": ["a"],
        },
        "b": {"properties": {"x": {"type": ["integer", "null"]}}},
    },
}


def test_numbers_are_their_spelling() -> None:
    assert read('[1, 1.0, -1e5, "1"]') == [("1",), ("1.0",), ("-1e5",), "1"]
    assert read(f"[{'9' * 5000}]") == [("9" * 5000,)]
    for text in ("NaN", "[-Infinity]", "", "{", "1 2"):
        with pytest.raises(ValueError):
            read(text)
    with pytest.raises(RecursionError):
        read("[" * 100_000 + "]" * 100_000)


def test_keys_that_stand_twice() -> None:
    text = '[{"a": {"b": 1, "c": 2, "b": 3}, "a": 1e9, "\\u0061": 4}, {"a": 1, "b": 2}]'
    assert repeated_keys(text) == ("b", "a")
    assert repeated_keys('{"a": {"a": {"a": 1}}}') == ()
    assert repeated_keys('{"a": 1, "a": ' + "9" * 5000 + "}") == ("a",)
    assert repeated_keys('{"a": 1, "a"') == ()
    assert repeated_keys('{"a": 1, "a":' + "[" * 100_000 + "]" * 100_000 + "}") == ()


def test_keys_anywhere() -> None:
    assert keys_in(SCHEMA) == {"a", "list", "x"}
    assert keys_in(
        {"anyOf": [{"properties": {"k": {}, 3: {}}}, {"properties": 7}]}
    ) == {"k"}
    assert keys_in(None) == keys_in({}) == frozenset()
    wide = {"anyOf": [{"properties": {f"k{at}": 1}} for at in range(9000)]}
    assert 0 < len(keys_in(wide)) < 9000


def test_places() -> None:
    evidence = Evidence(SCHEMA)
    assert evidence.types(evidence.member(SCHEMA, "a")) == {"string"}
    item = evidence.item(evidence.member(SCHEMA, "list"))
    assert evidence.types(evidence.member(item, "x")) == {"integer", "null"}
    assert evidence.member(SCHEMA, "other") is None
    assert evidence.member({"properties": []}, "a") is None
    assert evidence.types(None) == frozenset() and evidence.item("x") is None
    assert evidence.names() == SCHEMA["$defs"]["top"]["properties"]
    assert evidence.required()
    assert Evidence({"properties": 1}).names() is None


def test_references_that_go_round() -> None:
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    evidence = Evidence(schema)
    assert evidence.types(schema) == frozenset()
    assert evidence.faults("{}") == (0, 0)


def test_faults() -> None:
    evidence = Evidence(SCHEMA)
    assert evidence.faults('{"a": "x", "list": [{"x": 1}, 3]}') == (0, 0)
    assert evidence.faults('{"a": 1, "b": {"c": 1}, "list": [{"y": 1}]}') == (1, 2)
    assert evidence.faults("{}") == (1, 0)
    assert evidence.faults('{"a": "x", "a": "y"}') is None
    assert evidence.faults("{") is None
    deep = '{"a":' * 9000 + "1" + "}" * 9000
    assert evidence.faults(deep) is None
    unknown = Evidence(None)
    assert unknown.faults('{"a": 1}') == (0, 0) == unknown.faults(deep)
    assert unknown.faults('{"a": 1, "a": 2}') is None


def test_what_is_missing() -> None:
    evidence = Evidence(SCHEMA)
    assert evidence.missing("{}") and not evidence.missing('{"a": "x"}')
    assert not evidence.missing("{") and not Evidence(None).missing("{}")
    assert not evidence.missing("[" * 9000 + "]" * 9000)
