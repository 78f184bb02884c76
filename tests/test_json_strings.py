"""Strings that are no JSON: what their backslashes, quotes and controls become."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmwire._json_edits import patched
from llmwire._json_strings import are_meant, holds_quotations, respelled

LETTERS = st.text("\\\"'ndtru0xab4 \n\t\x01`")


def _value(content: str, quote: str = '"', pythonic: bool = False) -> str | None:
    edits = respelled(content, quote, 0, pythonic)
    if edits is None:
        return None
    value = json.loads(f'"{patched(content, edits)}"')
    assert isinstance(value, str)
    return value


@given(st.text(st.characters(codec="utf-8")))
def test_what_is_right_stays(value: str) -> None:
    for ascii_only in (False, True):
        assert (
            respelled(json.dumps(value, ensure_ascii=ascii_only)[1:-1], '"', 0, False)
            == []
        )


@given(st.text(st.characters(codec="utf-8")))
@example("\x07\x0b\x00'\"\\\x7f\u2028")
def test_python_is_exact(value: str) -> None:
    written = repr(value)
    assert _value(written[1:-1], written[0], pythonic=True) == value


@given(LETTERS, st.sampled_from(["'", '"', "“"]), st.booleans())
def test_every_string_is_json_or_nothing(
    content: str, quote: str, pythonic: bool
) -> None:
    if re.sub(r"\\.", "", content, flags=re.DOTALL).endswith("\\"):
        assert respelled(content, quote, 0, pythonic) is None
        return
    value = _value(content, quote, pythonic)
    assert value is None or respelled(json.dumps(value)[1:-1], '"', 0, False) == []


@given(st.text("abc.()[]+*$^?|wdsWS\\ ", min_size=1))
def test_patterns_without_doubling(value: str) -> None:
    """Nothing in it could be an escape that is meant: it is exactly what it says."""
    if "\\\\" in value or re.search(r"\\[^.()\[\]+*$^?|wdsWScab ]|\\$", value):
        return
    if re.search(r"\\[^b]", value):
        assert _value(value) == value


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("\\d\\b\\f\\/", "\\d\\b\\f\\/"),
        ('\\d\\"x\\"', '\\d"x"'),
        ("\\b\\f", "\b\f"),
        ("C:\\Users\\new\\table", "C:\\Users\\new\\table"),
        ("C:\\dir", "C:\\dir"),
        ("\\u12 \\", None),
        ("\\d \\u00e9", None),
        ("C:\\data\\n", None),
        ("C:\\data\\t\\", None),
        ("\\d\\n", None),
        ("a\\n  \\d", "a\n  \\d"),
        ("a\\n\\t\\d", "a\n\t\\d"),
        ("a\\r\\n  \\d", "a\r\n  \\d"),
        ("a\\r  \\d", None),
        ("a\\n  b\\tc\\d", None),
        ("'a\\n  b' \\d", None),
        ("x[\\n]\\n  \\d", None),
        ("/\\n/\\n  \\d", None),
        ("\\n+\\n  \\d", None),
        ("it\\'s", "it's"),
        ("it\\'s 'x'", None),
        ("'\\''", "'\\''"),
        ("'\\'' \\n", None),
        ("\\' \\d", None),
        ("\\\n", None),
        ("a\x00\x1f\n", "a\x00\x1f\n"),
    ],
)
def test_backslashes(content: str, value: str | None) -> None:
    if content.endswith("\\"):
        assert respelled(content, '"', 0, False) is None
        return
    assert _value(content) == value


def test_edits_say_where_and_why() -> None:
    edits = respelled('a"\n\\d', '"', 10, False)
    assert edits is not None
    assert [(e.offset, e.rule) for e in edits] == [
        (11, "inner-quote"),
        (12, "control-character"),
        (13, "escape"),
    ]
    edits = respelled('a"', "'", 0, False)
    assert edits is not None and edits[0].rule == "quotes"


def test_escapes_that_are_meant() -> None:
    for content in ('say \\"hi\\"\\/', "a\\nb", "a\\r\\n\\tb", ""):
        assert are_meant(content), content
    for content in (
        "a\\\\b",
        "\\u00e9",
        "\\b",
        "a\\tb",
        "\\t",
        'f(\\"\\n\\")',
        "[\\n]",
    ):
        assert not are_meant(content), content


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        ("plain", True),
        ('say "hi" now', True),
        ('"hi" now', True),
        ('24" wide', True),
        ('a"b', True),
        ('f(", ")', True),
        ('x", "key": "y', False),
        ('x", key": "y', False),
        ('24", "word": "y', True),
        ('"word": 1', True),
        ('"key" : 1', False),
        ('a" and "b', False),
        ('a" + "b', False),
        ('1" + "2', False),
        ('1"+"2', False),
        ("1\"\n+ '2", False),
        ('Hi, " + name + "!', False),
        ('5" + 3 is 8', True),
        ('what is "5" + "3" x', True),
        ('a"\\nb" x "c', False),
        ('a",', False),
        ('b, "c', False),
        ('b: "c', False),
        ('"c', False),
        ('b "c', True),
        ('\\"key\\": 1, "x"', True),
        ('\\"key": 1, "x"', False),
        ('„a" b', True),
    ],
)
def test_quotations(content: str, looks: bool) -> None:
    assert holds_quotations(content, '"', frozenset({"key"})) == looks


def test_any_key_counts_without_a_schema() -> None:
    assert not holds_quotations('x", "word": "y', '"', frozenset())
    assert holds_quotations("don't", "'", frozenset())
    assert holds_quotations("a “b” c", "”", frozenset())
