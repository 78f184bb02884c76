"""Tests of `llmwire.filters._call_prints`."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.filters._call_prints import canonical, fingerprint, print_of_result

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)


def shuffled(value: Any, source: random.Random) -> Any:
    """`value` with the members of every object in another order."""
    if isinstance(value, dict):
        keys = list(value)
        source.shuffle(keys)
        return {key: shuffled(value[key], source) for key in keys}
    if isinstance(value, list):
        return [shuffled(each, source) for each in value]
    return value


@given(st.dictionaries(st.text(max_size=4), VALUES), st.randoms(use_true_random=False))
def test_order_and_white_space_make_no_difference(
    value: dict[str, Any], source: random.Random
) -> None:
    plain = json.dumps(value)
    other = json.dumps(shuffled(value, source), indent=1, ensure_ascii=False)
    assert fingerprint("f", plain) == fingerprint("f", f" {other}\n")


@given(VALUES, VALUES)
def test_different_values_differ(left: Any, right: Any) -> None:
    same = canonical(json.dumps(left)) == canonical(json.dumps(right))
    assert same == (_typed(left) == _typed(right))


def _typed(value: Any) -> Any:
    """`value` such that `==` tells true from 1, and takes a NaN for itself."""
    if isinstance(value, dict):
        return {key: _typed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_typed(each) for each in value]
    if isinstance(value, float) and value != value:
        return ("number", "NaN")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return ("number", value)
    return (type(value).__name__, value)


@pytest.mark.parametrize(
    "group",
    [
        ["1", "1.0", "10e-1", "0.1E+1", "1.000"],
        ["0", "-0", "0.0", "-0.0e9"],
        ["-2.5", "-25e-1"],
        ["1e400", "10e399"],
        [str(10**50), "1e50"],
    ],
)
def test_numbers_are_compared_by_value(group: list[str]) -> None:
    assert len({canonical(f"[{number}]") for number in group}) == 1


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("[1]", '["1"]'),
        ("[1]", "[true]"),
        ("[1e2]", '["n1e2"]'),
        (f"[{10**40}]", f"[{10**40 + 1}]"),
        (f"[{'1' * 5000}]", f"[{'1' * 5001}]"),
        ("[1e99999999999999999999]", "[2e99999999999999999999]"),
        ("[NaN]", "[Infinity]"),
        ("[NaN]", '["NaN"]'),
        ('{"a": 1}', '{"a": 1, "b": null}'),
        ("{", "{}"),
        ("a", '"a"'),
    ],
)
def test_what_is_not_equal(left: str, right: str) -> None:
    assert canonical(left) != canonical(right)


def test_empty_arguments_are_an_empty_object() -> None:
    assert fingerprint("f", "") == fingerprint("f", " {} ")


def test_what_is_no_json_is_a_text() -> None:
    assert fingerprint("f", "*** Begin") == fingerprint("f", " *** Begin\n")
    assert fingerprint("f", "[" * 100_000) != fingerprint("f", "[" * 100_001)
    assert fingerprint("f", '"\\ud800"') != fingerprint("f", '"\\ud801"')


def test_paths_have_one_kind_of_slash() -> None:
    left = r'{"file_path": "a\\b", "Paths": ["c\\d"], "x": {"cwd": "e\\f"}}'
    right = '{"file_path": "a/b", "Paths": ["c/d"], "x": {"cwd": "e/f"}}'
    assert fingerprint("f", left) == fingerprint("f", right)
    left, right = r'{"pattern": "a\\b"}', '{"pattern": "a/b"}'
    assert fingerprint("f", left) != fingerprint("f", right)
    left, right = r'{"paths": {"x": "a\\b"}}', '{"paths": {"x": "a/b"}}'
    assert fingerprint("f", left) != fingerprint("f", right)


def test_members_can_be_left_out() -> None:
    left = '{"a": 1, "b": [{"pid": 1}]}'
    right = '{"pid": 2, "a": 1, "b": [{}]}'
    assert fingerprint("f", left) != fingerprint("f", right)
    assert fingerprint("f", left, leave_out={"pid"}) == fingerprint(
        "f", right, leave_out=["pid"]
    )


def test_name_and_result_count() -> None:
    prints = {
        fingerprint("f", "{}"),
        fingerprint("g", "{}"),
        fingerprint("f", "{}", "None"),
        fingerprint("f", "{}", ""),
    }
    assert len(prints) == 4


def test_results() -> None:
    assert print_of_result("a") == print_of_result("a")
    assert print_of_result("a") != print_of_result("a", error=True)
    assert print_of_result("1 passed in 0.03s") != print_of_result("1 passed in 0.04s")
    assert print_of_result(" 1 passed\nin 0.03s", shape=True) == print_of_result(
        "12 passed in  10.041s\n", shape=True
    )
    assert print_of_result("a", shape=True) != print_of_result("b", shape=True)
