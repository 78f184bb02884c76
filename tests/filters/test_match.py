"""Tests of `llmwire.filters._match`: where a word first stands, however text is cut."""

from __future__ import annotations

import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.filters._match import Finder, Words, beginnings
from tests.filters.laws import cuts, texts_of

_WORDS = st.lists(texts_of("ab", 5).filter(bool), min_size=1, max_size=4)


@given(_WORDS, texts_of("abc", 6))
def test_beginnings_miss_no_word(words: list[str], text: str) -> None:
    possible = any(
        text[at:].startswith(word[:2]) or (text[at:] and word.startswith(text[at:]))
        for at in range(len(text))
        for word in words
    )
    assert bool(re.search(beginnings(words), text)) == possible


def test_beginnings_of_marks_and_of_nothing() -> None:
    marks = re.compile(beginnings(["]<a", "^-b", "[", "\\]"]))
    assert [mark for mark in ("]<", "^-", "[", "\\]") if marks.search(f"{mark}x")]
    assert [mark for mark in ("]x", "^^x", "-x", "\\x") if marks.search(mark)] == []
    assert re.search(beginnings([]), "a") is None


def _expected(words: list[str], text: str) -> tuple[str, str | None, str]:
    longest_first = sorted(words, key=len, reverse=True)
    match = re.search("|".join(map(re.escape, longest_first)), text)
    if match is None:
        return text, None, ""
    return text[: match.start()], match[0], text[match.end() :]


def _found(words: list[str], pieces: list[str]) -> tuple[str, str | None, str]:
    finder = Finder(Words(words))
    given, longest = "", max(map(len, words))
    for at, piece in enumerate(pieces):
        clear, word, rest = finder.feed(piece)
        given += clear
        if word is not None:
            assert not finder.held
            return given, word, rest + "".join(pieces[at + 1 :])
        assert len(finder.held) < longest
        assert given + finder.held == "".join(pieces[: at + 1])
    clear, word, rest = finder.finish()
    return given + clear, word, rest


@given(st.data(), _WORDS, texts_of("abc", 16))
def test_leftmost_longest_in_any_cut(
    data: st.DataObject, words: list[str], text: str
) -> None:
    pieces = data.draw(cuts(text))
    assert _found(words, pieces) == _expected(words, text)


@given(st.data(), _WORDS, texts_of("abc", 16))
def test_it_holds_only_what_can_still_become_a_word(
    data: st.DataObject, words: list[str], text: str
) -> None:
    finder = Finder(Words(words))
    seen = ""
    for piece in data.draw(cuts(text)):
        seen += piece
        _, word, _ = finder.feed(piece)
        if word is not None:
            break
        if not any(each in seen for each in words):
            assert any(each.startswith(finder.held) for each in words)


def test_it_starts_anew_behind_a_word() -> None:
    finder = Finder(Words(["ab"]))
    assert finder.feed("xaby") == ("x", "ab", "y")
    assert finder.feed("a") == ("", None, "")
    assert finder.finish() == ("a", None, "")
    assert finder.feed("b") == ("b", None, "")


def test_a_longer_word_is_waited_for_and_an_earlier_one() -> None:
    assert _found(["a", "abc"], ["a", "b", "c"]) == ("", "abc", "")
    assert _found(["a", "abc"], ["a", "b", "d"]) == ("", "a", "bd")
    assert _found(["b", "abc"], ["a", "b"]) == ("a", "b", "")
    assert _found(["b", "abc"], ["a", "b", "c"]) == ("", "abc", "")


def test_words_that_say_nothing_are_left_out() -> None:
    assert Words(["", "a", "a"]).words == ("a",)
    assert Finder(Words([""])).feed("text") == ("text", None, "")


@pytest.mark.parametrize("letter", ["a", "b"])
def test_no_word_makes_it_slow(letter: str) -> None:
    """A word that nearly matches everywhere costs what any other costs."""
    size = 20_000
    finder = Finder(Words(["a" * size + "b", "ab" * size]))
    begin = perf_counter()
    for _ in range(2):
        for _ in range(size - 1):
            finder.feed("a")
        finder.feed("c" + letter)
    assert perf_counter() - begin < 5
