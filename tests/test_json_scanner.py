"""The scanner: one reading where nothing is doubtful, several where quotes are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._json_edits import patched
from llmwire._json_evidence import Evidence
from llmwire._json_readings import Reading, Stuck
from llmwire._json_scanner import Scanner

NOTHING = Evidence(None)
KEYS = Evidence({"properties": {"a": {}, "b": {"type": "integer"}}})


def _read(text: str, evidence: Evidence = NOTHING) -> Reading:
    return Scanner(text, 0, evidence).read()


def _values(text: str, evidence: Evidence = NOTHING) -> list[object]:
    found = Scanner(text, 0, evidence).readings()
    return [json.loads(patched(text, reading.edits)) for reading in found]


@given(st.recursive(st.integers() | st.text(), st.lists), st.sampled_from([None, 2]))
def test_json_is_read_as_it_is(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    reading = _read(f" {text} ")
    assert reading == Reading(1, 1 + len(text), (), None)


def test_what_comes_behind() -> None:
    text = '{"a": 1} </x> }] , {"b": 2}'
    reading = _read(text)
    assert (reading.start, reading.end, reading.rest) == (0, 8, text.index('{"b"'))
    with pytest.raises(Stuck):
        _read('{"a": 1} x')
    open_ended = Scanner('{"a": 1} // x', 0, NOTHING, framed=False).read()
    assert open_ended == Reading(0, 8, (), None)


def test_where_it_is_stuck() -> None:
    for text, offset, expected in (
        ('{"a" 1}', 5, "a colon"),
        ('{"a": 1 2}', 8, "a comma or the end of the object"),
        ("[1 2]", 3, "a comma or the end of the array"),
        ("{1}", 1, "a key"),
        ("[x]", 1, "a value"),
        ("[1.2.3]", 1, "a number"),
        ('["a', 3, "the end of a string"),
        ("", 0, "a value"),
    ):
        with pytest.raises(Stuck) as caught:
            _read(text)
        assert (caught.value.offset, caught.value.expected) == (offset, expected)


def test_readings_without_doubt_are_one() -> None:
    assert _values('{"a": 1,}') == [{"a": 1}]
    assert _values('{"a": x}') == []
    assert _values('{"a": ["x "y" z", 1]}') == [{"a": ['x "y" z', 1]}]


def test_keys_decide_where_a_string_may_end() -> None:
    text = '{"a": "x "y", "b": 1, "c": "z"}'
    assert {"a": 'x "y', "b": 1, "c": "z"} in _values(text)
    assert _values('{"a": "x "y" w", "c": "z"}', KEYS) == [{"a": 'x "y" w", "c": "z'}]
    assert _values('{"a": "x "y" "b": 1}', KEYS) == [{"a": 'x "y', "b": 1}]
    assert _values('{"a": "x "y" "b": 1}') == []


def test_odd_quotations_are_counted() -> None:
    for text, odd in (('["a "b" c"]', 0), ('["a 2" c"]', 1), ('["a"]', 0)):
        (reading,) = Scanner(text, 0, NOTHING).readings()
        assert reading.odd == odd


def test_effort_is_limited() -> None:
    assert Scanner('["' + '", "b"x' * 4000 + "]", 0, NOTHING).readings() == []
    many = "[" + ", ".join('"a" "b"' for _ in range(99)) + "]"
    assert Scanner(many, 0, NOTHING).readings() == []
