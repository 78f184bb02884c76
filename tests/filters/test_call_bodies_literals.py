"""Literals of Python and JSON as the text of JSON."""

from __future__ import annotations

import ast
import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.filters._call_bodies._literals import (
    blank_end,
    json_string,
    read_literal,
)
from tests.filters.call_bodies import HOSTILE_TEXTS, VALUES


def value(text: str) -> object:
    read = read_literal(text, 0)
    assert read is not None
    assert read[1] == len(text)
    return json.loads(read[0])


@given(given_=VALUES)
def test_what_python_shows_and_what_json_says_are_read(given_: object) -> None:
    assert value(repr(given_)) == given_
    assert value(json.dumps(given_).replace("\\/", "/")) == given_
    assert value(json.dumps(given_, ensure_ascii=False)) == given_


@pytest.mark.parametrize(
    "text",
    [
        "''",
        '""',
        "'a\"b'",
        r"'\'\"\\\a\b\f\n\r\t\v'",
        r"'\x41\u00e9\U0001F600\101\0'",
        r"'\q\/\ '",
        "'a\\\nb'",
        "'a\\\r\nb'",
        "r'\\n\\'",
        r"R'\''",
        "'''a'b''c'''",
        '"""a\n"b" """',
        '""""a"""',
        "0",
        "-12",
        "+1",
        "1_000_000",
        "0x1F",
        "-0b11",
        "0o17",
        ".5",
        "5.",
        "1.5e-3",
        "1E5",
        "[]",
        "{}",
        "[1, [2], {'a': [None]},]",
        "{'a': 1, 'b': True,}",
        "True",
        "None",
    ],
)
def test_they_mean_what_python_says(text: str) -> None:
    if text == "r'\\n\\'":
        assert read_literal(text, 0) is None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ast.literal_eval(text)
    assert value(text) == expected


@pytest.mark.parametrize(
    "text",
    ["'a\nb'", "true", "false", "null", '"\\ud83e\\udd89"', '[true, "x"]'],
)
def test_what_models_write_beyond_python(text: str) -> None:
    expected = json.loads(text) if text[0] != "'" else "a\nb"
    assert value(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "'a",
        '"""a""',
        "b'a'",
        "f'a'",
        "(1, 2)",
        "{1, 2}",
        "{1: 2}",
        "[1 2]",
        "[,]",
        "[1,,2]",
        "[1",
        "{'a'}",
        "{'a': }",
        "{'a': 1, 2}",
        "{'a' 1}",
        "[1}",
        "1a",
        "1.2.3",
        "-",
        ".",
        "e5",
        "007",
        "1__0",
        "NaN",
        "inf",
        "nullx",
        r"'\x4'",
        r"'\u12'",
        r"'\U99999999'",
        r"'\N{BULLET}'",
        "__import__('os')",
        "0x" + "f" * 5000,
        "[" * 200 + "]" * 200,
        "[" * 100_000,
    ],
)
def test_what_is_no_literal_is_refused(text: str) -> None:
    assert read_literal(text, 0) is None


def test_what_stands_behind_is_left() -> None:
    assert read_literal("x= 'a' 'b'", 2) == ('"a"', 6)
    assert read_literal("1+2j", 0) == ("1", 1)


def test_deep_ones_are_read_to_a_bound() -> None:
    assert value("[" * 128 + "]" * 128) is not None
    assert read_literal("[" * 129 + "]" * 129, 0) is None


def test_half_of_a_pair_stays_an_escape() -> None:
    assert json_string("a\ud83d") == '"a\\ud83d"'
    assert read_literal(r"'\ud83d'", 0) == ('"\\ud83d"', 8)
    assert json_string("é") == '"é"'


def test_numbers_keep_their_digits() -> None:
    digits = "1" * 10_000
    assert read_literal(digits, 0) == (digits, 10_000)
    assert read_literal("1.10", 0) == ("1.10", 4)


def test_white_space() -> None:
    assert blank_end(" \n\tx", 0) == 3
    assert blank_end("x", 0) == 0


@given(text=HOSTILE_TEXTS | st.text())
def test_nothing_raises_and_all_is_json(text: str) -> None:
    read = read_literal(text, 0)
    if read is not None:
        json.loads(read[0])
