"""Tests of `llmwire._nesting`: levels counted without decoding."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire._nesting import _has_few_openings, check_nesting
from llmwire.errors import LimitExceeded
from llmwire.strategies import raw_json


def _levels(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(_levels, value), default=0)
    return 0


@given(raw_json(), st.integers(0, 5))
def test_nesting_is_counted(raw: Raw, limit: int) -> None:
    data = bytes(raw)
    depth = _levels(json.loads(data, object_pairs_hook=_pairs))
    if depth <= limit:
        check_nesting(data, limit)
    else:
        with pytest.raises(LimitExceeded, match=f"more than {limit} levels") as caught:
            check_nesting(data, limit, "$.a")
        assert caught.value.path == "$.a"
        assert caught.value.status == 400


def _pairs(pairs: list[tuple[str, object]]) -> list[object]:
    """The values of an object; of equal names a dict would keep the last one."""
    return [value for _, value in pairs]


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('{"a":[', "]}"), ('["]",[', "]]")],
)
def test_nesting_of_every_shape(opening: str, closing: str) -> None:
    levels = opening.count("[") + opening.count("{")
    for times in (3, 4, 500):
        data = (opening * times + "1" + closing * times).encode()
        check_nesting(data, levels * times)
        with pytest.raises(LimitExceeded):
            check_nesting(data, levels * times - 1)


def test_nesting_far_beyond_the_limit() -> None:
    with pytest.raises(LimitExceeded, match="more than 10 levels"):
        check_nesting(b"[" * 10_000 + b"]" * 10_000, 10)


def test_nesting_of_siblings() -> None:
    data = b"[[[[[]]]],[[[]]],[[[[[1]]]]]]"
    check_nesting(data, 6)
    with pytest.raises(LimitExceeded):
        check_nesting(data, 5)


@pytest.mark.parametrize(
    "data",
    [
        b'["[[[[", "]", "", "{{", "\\"[", "\\\\", "[", ""]',
        b'{"[[[[": 1, "": "[", "]]": "\\"]"}',
        b"[[[[",
        b"]]]]",
        b'"[[[[',
        b"",
    ],
)
def test_brackets_that_do_not_nest(data: bytes) -> None:
    check_nesting(data, 1)


@given(raw_json(), st.integers(0, 5))
def test_few_openings_are_found_as_they_are_counted(raw: Raw, limit: int) -> None:
    data = bytes(raw)
    few = data.count(b"[") + data.count(b"{") <= limit
    assert _has_few_openings(data, limit) == few


def test_nesting_of_long_documents() -> None:
    image = b'"' + b"x" * 300_000 + b'"'
    check_nesting(b"[" * 4 + image + b"]" * 4, 4)
    check_nesting(b"[" + b"[]," * 9 + image + b"]", 2)
    with pytest.raises(LimitExceeded):
        check_nesting(b"[" * 5 + image + b"]" * 5, 4)


def test_what_is_no_json_passes() -> None:
    check_nesting(b'"""[{{""{""{""{""}}""[]""""}}""}]', 6)
    check_nesting(b"]]]][[", 1)
