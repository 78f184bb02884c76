"""Tokens that are nearly JSON's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._json_tokens import NUMBER, STRING, number

ANY: frozenset[str] = frozenset()
NUMERIC = frozenset({"number"})


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_numbers(value: float) -> None:
    assert NUMBER.fullmatch(json.dumps(value))


@pytest.mark.parametrize("text", ["01", "1.", ".5", "+1", "1e", "-", "1_0", "1a", "１"])
def test_what_is_no_number(text: str) -> None:
    assert NUMBER.match(text) is None


@given(st.text(), st.booleans())
def test_strings_are_strings(value: str, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert STRING.fullmatch(text)
    assert STRING.match(text[:-1]) is None


@pytest.mark.parametrize(
    ("token", "types", "spelled"),
    [
        (".5", ANY, "0.5"),
        ("-.5", ANY, "-0.5"),
        ("+.5", ANY, "0.5"),
        ("1.", ANY, "1.0"),
        ("1.e5", ANY, "1.0e5"),
        ("+1", ANY, "1"),
        ("1_000.5", ANY, None),
        ("1_000", ANY, "1000"),
        ("0x1F", frozenset({"integer"}), "31"),
        ("0x1F", NUMERIC, None),
        ("007", NUMERIC, "7"),
        ("-007", NUMERIC, "-7"),
        ("00", NUMERIC, "0"),
        ("007", frozenset({"string", "number"}), '"007"'),
        ("007", frozenset({"boolean"}), None),
        ("007", ANY, None),
        ("1.2.3", ANY, None),
        (".", ANY, None),
        ("+", ANY, None),
        ("-", ANY, None),
        ("1", ANY, None),
    ],
)
def test_spelling(token: str, types: frozenset[str], spelled: str | None) -> None:
    assert number(token, types) == spelled
