"""JSON with its places: every value is what its own characters say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._json_nodes import Node, parse, strict_value

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
)


@given(VALUES, st.sampled_from([None, 2]), st.booleans(), st.sampled_from(["", " \n"]))
def test_places(value: Any, indent: int | None, ascii: bool, around: str) -> None:
    text = around + json.dumps(value, indent=indent, ensure_ascii=ascii) + around
    node = parse(text)
    assert node.value == value
    assert (node.start, node.end) == (len(around), len(text) - len(around))
    _check(text, node)


def _check(text: str, node: Node) -> None:
    assert json.loads(text[node.start : node.end]) == node.value
    for member in node.members:
        assert json.loads(text[member.start : member.name_end]) == member.name
        assert node.value[member.name] == member.node.value
        _check(text, member.node)
    for item, value in zip(node.items, node.value if node.items else [], strict=True):
        assert item.value == value
        _check(text, item)


def test_a_name_that_stands_twice() -> None:
    node = parse('{"a": 1, "a": 2}')
    assert [m.node.value for m in node.members] == [1, 2]
    assert node.value == {"a": 2}


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", "-Infinity", "01", "1 2"]
)
def test_what_is_no_json(text: str) -> None:
    for read in (parse, strict_value):
        with pytest.raises(ValueError):
            read(text)


def test_depth() -> None:
    with pytest.raises(RecursionError):
        parse("[" * 10**5 + "]" * 10**5)
