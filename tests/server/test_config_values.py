"""Tests of scalars, rules and shapes: what a text is, by the type of its key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from llmwire_server.backends import Secret
from llmwire_server.config.rules import RULES, suggestion
from llmwire_server.config.shapes import Many, Map, Record, Scalar, shape_of
from llmwire_server.config.tree import Config
from llmwire_server.config.values import (
    BadValue,
    expected,
    read_scalar,
    written_number,
)

SIZE = Scalar(kind="integer", least=1, unit="bytes")
TIME = Scalar(kind="number", least=0, most=86400, unit="seconds")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("10MB", 10_000_000),
        ("64KiB", 65536),
        ("64 kib", 65536),
        ("1.5GiB", 3 * 2**29),
        ("0.001kB", 1),
        ("2GB", 2 * 10**9),
        ("1MiB", 2**20),
        ("7b", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    found = read_scalar(text, SIZE)
    assert found == size
    assert type(found) is int


@pytest.mark.parametrize(
    "text",
    ["", "0", "0B", "-1KB", "1.5B", "1KBit", "1e3", "MB", "1.MB", "1 0MB", "٣MB"],
)
def test_no_sizes(text: str) -> None:
    with pytest.raises(BadValue, match="expected a number from 1, or a size such as"):
        read_scalar(text, SIZE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0.02", 0.02),
        ("30s", 30),
        ("5m", 300),
        ("1m30s", 90),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("1d", 86400),
        ("+1", 1),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert read_scalar(text, TIME) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1 s", "nan", "inf", "1e2", "2d", "1w", "01s!", "1m 30s"]
)
def test_no_times(text: str) -> None:
    with pytest.raises(BadValue, match="or a time such as 30s or 5m"):
        read_scalar(text, TIME)


@pytest.mark.parametrize(
    ("shape", "text", "value"),
    [
        (Scalar(kind="boolean"), "Yes", True),
        (Scalar(kind="boolean"), "off", False),
        (Scalar(kind="number"), "-1.5", -1.5),
        (Scalar(kind="integer"), "-7", -7),
        (Scalar(kind="choice", choices=("a", "b")), "a", "a"),
        (Scalar(kind="text"), " a ", " a "),
        (Scalar(kind="text", rule="dialect"), "gemini", "gemini"),
        (Scalar(kind="secret", secret=Secret), " k\n", Secret("k")),
    ],
)
def test_scalars(shape: Scalar, text: str, value: object) -> None:
    found = read_scalar(text, shape)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("shape", "text", "message"),
    [
        (Scalar(kind="boolean"), "1", "expected true or false"),
        (Scalar(kind="choice", choices=("ab", "xy")), "a", "expected ab or xy"),
        (Scalar(kind="number", most=1), "2", "expected a number to 1"),
        (Scalar(kind="integer", least=1), "0", "expected a whole number from 1"),
        (Scalar(kind="text", rule="regex"), "(", "not a regular expression: missing"),
        (
            Scalar(kind="text", rule="feature"),
            "zzz",
            "unknown feature; known are audio",
        ),
        (Scalar(kind="secret", secret=Secret), "", "a key is made of visible ASCII"),
        (Scalar(kind="secret", secret=Secret), "*", "this is a mask"),
    ],
)
def test_no_scalars(shape: Scalar, text: str, message: str) -> None:
    with pytest.raises(BadValue) as raised:
        read_scalar(text, shape)
    assert str(raised.value).startswith(message)


def test_what_is_expected_is_told() -> None:
    assert expected(Scalar(kind="secret")) == "expected text"


@given(st.floats(min_value=0, max_value=86400))
def test_numbers_are_read_as_they_are_written(value: float) -> None:
    assert read_scalar(written_number(value), TIME) == value


@given(st.text())
def test_any_text_is_a_value_or_a_bad_value(text: str) -> None:
    for shape in (SIZE, TIME, *(Scalar(kind="text", rule=name) for name in RULES)):
        try:
            read_scalar(text, shape)
        except BadValue as error:
            assert str(error)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("backend-name", ("a", "A-1_b.c"), ("", ".a", "a b", "a\n", "simulator")),
        ("base-url", ("http://h", "https://h:1/v1"), ("h", "ftp://h", "http://u@h")),
        (
            "proxy",
            ("http://h:1", "socks5h://u:p@h:1/", "https://h"),
            ("h:1", "http://h/x", "http://h?x", "http://h:x", "ftp://h", "http://"),
        ),
        (
            "origin",
            ("*", "null", "http://a", "https://a.b:1"),
            ("a", "http://a/", "http://A", "http://u@a", "http://", "http://a:x", ""),
        ),
        ("header-pattern", ("x-a", "x-*", "*"), ("", "x a", "*a", "x:", "x\n")),
        ("regex", ("a.*", ""), ("(", "a{1}{2}", "(?P<a>)(?P<a>)")),
    ],
)
def test_rules(rule: str, good: tuple[str, ...], bad: tuple[str, ...]) -> None:
    for text in good:
        RULES[rule].check(text)
    for text in bad:
        with pytest.raises(ValueError) as raised:
            RULES[rule].check(text)
        assert str(raised.value)


def test_suggestions_are_near_names_or_all_of_them() -> None:
    assert suggestion("prot", ["host", "port"]) == "; did you mean 'port'?"
    assert suggestion("zz", ["host", "port"]) == "; known are host, port"
    assert suggestion("zz", []) == ""


# --- shapes ----------------------------------------------------------------------


class _Inner(Struct, frozen=True):
    """What is inside. Not this."""

    name: Annotated[str, Meta(extra={"rule": "name"})]
    size: Annotated[int, Meta(ge=1, extra={"unit": "bytes"})] = 1


class _Tree(Struct, frozen=True, kw_only=True):
    a: Annotated[Annotated[float, Meta(le=2)] | None, Meta(description="A.")] = None
    b: tuple[_Inner, ...] = ()
    c: Mapping[str, Literal["x", "y"]]


def test_shapes_are_read_off_types() -> None:
    shape = shape_of(_Tree)
    assert [key.name for key in shape.keys] == ["a", "b", "c"]
    a, b, c = (key.shape for key in shape.keys)
    assert a == Scalar(kind="number", most=2, optional=True)
    assert shape.keys[0].description == "A."
    assert isinstance(b, Many)
    assert isinstance(b.item, Record)
    assert b.item.named
    assert b.item.description == "What is inside. Not this."
    assert [key.name for key in b.item.keys] == ["size"]
    assert c == Map(Scalar(kind="text"), Scalar(kind="choice", choices=("x", "y")))
    assert shape.key("d") is None
    assert shape.key("a") == shape.keys[0]


@pytest.mark.parametrize(
    "kind",
    [bytes, set[str], int | str, tuple[tuple[int, ...], ...], Mapping[str, list[int]]],
)
def test_types_that_no_file_can_hold(kind: Any) -> None:
    tree = type("T", (Struct,), {"__annotations__": {"a": kind}})
    with pytest.raises(TypeError):
        shape_of(tree)


def _described(shape: Any, path: str = "") -> list[str]:
    """Paths of keys without a description."""
    if isinstance(shape, Record):
        found = [f"{path}.{key.name}" for key in shape.keys if not key.description]
        return found + [
            each
            for key in shape.keys
            for each in _described(key.shape, f"{path}.{key.name}")
        ]
    inner = getattr(shape, "item", None) or getattr(shape, "value", None)
    return _described(inner, path) if inner is not None else []


def test_every_key_of_the_tree_is_described() -> None:
    assert _described(shape_of(Config)) == []
