"""Patterns: what Python's `re` says of them, in linear time, or nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._patterns import search

PIECES = ("a", "b", ".", "[ab]", "[^a]", "(a|b)", "(?:ab)", "\\d", "\\w", "\\b", "x?")
REPEATS = ("", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?")


@st.composite
def patterns(draw: st.DrawFn) -> str:
    """Patterns that mean the same to Python."""
    count = draw(st.integers(0, 5))
    pattern = ""
    for _ in range(count):
        piece = draw(st.sampled_from(PIECES))
        plain = piece not in ("\\b", "x?")
        pattern += piece + (draw(st.sampled_from(REPEATS)) if plain else "")
    if draw(st.booleans()):
        pattern = f"(?:{pattern})+|b"
    pattern = ("^" if draw(st.booleans()) else "") + pattern
    return pattern + ("$" if draw(st.booleans()) else "")


@given(patterns(), st.text("abx1 -", max_size=12))
def test_it_says_what_python_says(pattern: str, text: str) -> None:
    assert search(pattern, text) is (re.search(pattern, text) is not None)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^\u0041\x42\u{43}$", "ABC", True),
        (r"^[\u0041-C\-\b]+$", "AB-\x08", True),
        (r"^[a-]$", "-", True),
        (r"^[\d-]+$", "1-2", True),
        (r"^[^\d\s]+$", "ab", True),
        (r"^[^\d\s]+$", "a b", False),
        (r"^\D\W\S$", "a-b", True),
        (r"^\D\W\S$", "1-b", False),
        (r"^\S$", "\xa0", False),
        (r"^\t\n\v\f\r\0$", "\t\n\x0b\x0c\r\x00", True),
        (r"^.$", "\n", False),
        (r"^.$", "\u2028", False),
        (r"^.$", "😀", True),
        (r"a$", "a\n", False),
        (r"\Bb", "ab", True),
        (r"\Bb", "b", False),
        (r"^(?<year>\d{4})$", "2025", True),
        (r"^\/\.\$$", "/.$", True),
        (r"^(a|b|)$", "", True),
        (r"^[]$", "", False),
        (r"^[^]$", "\n", True),
        (r"^\d{0}$", "", True),
        (r"é", "É", False),
        (r"^}]$", "}]", True),
        (r"[^\0-\u{10FFFF}]", "a", False),
        (r"^[^\0-ba]$", "c", True),
        (r"^[^\0-ba]$", "\0", False),
    ],
)
def test_ecma(pattern: str, text: str, found: bool) -> None:
    assert search(pattern, text) is found


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?<n",
        "(?P<n>a)",
        "(a",
        "(a|b",
        "(?:a]",
        "a)",
        "[a",
        "\\",
        "\\1",
        "\\01",
        "\\p{L}",
        "\\k<n>",
        "\\u12",
        "\\u{}",
        "\\u{1234567}",
        "\\u{12",
        "\\xg1",
        "*a",
        "a**",
        "^*",
        "{2}",
        "a{",
        "a{,3}",
        "a{x}",
        "a{3,2}",
        "a{1,x}",
        "a{9999999999999}",
        "a{5000}",
        "[b-a]",
        "[a-\\d]",
        "[\\w-z]",
        "[\\q]",
        "(" * 60 + ")" * 60,
        "a" * 2001,
    ],
)
def test_what_it_does_not_know_it_does_not_tell(pattern: str) -> None:
    assert search(pattern, "a") is None


def test_what_python_would_never_finish() -> None:
    assert search("^(a+)+$", "a" * 50_000 + "b") is False
    assert search("(x+x+)+y", "x" * 50_000) is False


def test_long_texts_are_not_looked_at() -> None:
    assert search("b", "a" * (1 << 18)) is False
    assert search("b", "a" * ((1 << 18) + 1)) is None


def test_steps_are_forgotten_not_collected() -> None:
    letters = "".join(chr(0x4E00 + at) for at in range(6000))
    assert search("^[^a]*$", letters) is True
    assert search("^[^a]*$", letters + "a") is False


@given(st.text(max_size=30), st.text(max_size=10))
def test_it_never_raises(pattern: str, text: str) -> None:
    assert search(pattern, text) in (True, False, None)
