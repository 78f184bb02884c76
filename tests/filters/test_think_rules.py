"""Tests of `llmwire.filters._think_tags` and `llmwire.filters._think_rules`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.errors import LocalProtocolError
from llmwire.filters._match import Words
from llmwire.filters._think_rules import Opening, TagFinder, ThinkRules, fold, rules_of
from llmwire.filters._think_tags import tags_of
from llmwire.filters.think import (
    MODEL_TAGS,
    PROMPTED_TAGS,
    THINK_TAGS,
    ThinkTags,
    split_thoughts,
)
from tests.filters.laws import texts_of


@pytest.mark.parametrize("name", THINK_TAGS)
def test_every_pair_is_recognised_at_every_split(name: str) -> None:
    row = THINK_TAGS[name]
    for opening in row.openings:
        for closing in row.closings:
            split = split_thoughts(f"{opening}a{closing}b", [name])
            assert [thought.text for thought in split.thoughts] == ["a"]
            assert split.text == "b"
    for mark in row.answers:
        for end in row.answer_ends:
            split = split_thoughts(f"{row.openings[0]}a{row.closings[0]}{mark}b{end}")
            assert [thought.text for thought in split.thoughts] == ["a"]
            assert split.text == "b"
            assert split_thoughts(f"{mark}b{end}c").text == "bc"


def test_the_default_takes_what_models_say_unasked() -> None:
    assert set(MODEL_TAGS) == set(THINK_TAGS) - {*PROMPTED_TAGS, "granite-3.2"}
    assert split_thoughts("Here is my thought process: a").thoughts == ()
    assert split_thoughts("<thinking>a</thinking>").thoughts == ()
    assert len(MODEL_TAGS) >= 13


@pytest.mark.parametrize("name", PROMPTED_TAGS)
def test_prompted_tags_match_in_either_case(name: str) -> None:
    text = f"<{name.upper()}>a</{name.title()}>b"
    assert split_thoughts(text, [name]).text == "b"
    assert split_thoughts("<THINK>a</THINK>b", ["think"]).thoughts == ()
    assert split_thoughts("<think>a</THINK>b</think>c", ["think"]).text == "c"


def test_prompted_tags_never_open_implicitly() -> None:
    text, pairs = "a</thinking>b</think>c", ["thinking", "think"]
    for split in (
        split_thoughts(text, pairs, implicit_open=True),
        split_thoughts(text, pairs, retroactive=True),
    ):
        assert [thought.text for thought in split.thoughts] == ["a</thinking>b"]


def test_no_letter_but_ascii_changes_its_case() -> None:
    assert fold("AZ\u212a\u0130ÄK") == "az\u212a\u0130Äk"
    assert split_thoughts("<thin\u212aing>a</thinking>", ["thinking"]).thoughts == ()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("<think>a", 7),
        ('<think time="3 s">a', 18),
        ("<think\n>a", 8),
        ("<think " + "x" * 254 + ">", 262),
        ("<think " + "x" * 255 + ">", 0),
        ("<think />a", 0),
        ("<think/>a", 0),
        ("<thinks>a", 0),
        ("<think <b>a", 0),
        ("<think x/ y>a", 12),
        ("<think x=1", None),
        ("<think x/", None),
        ("<think ", None),
        ("<think", None),
        ("<", None),
        ("", None),
        ("think>", 0),
        ("<THINK>", 0),
    ],
)
def test_openings_may_have_attributes(text: str, size: int | None) -> None:
    assert Opening("<think>", THINK_TAGS["think"]).match(text) == size


def test_openings_of_special_tokens_have_none() -> None:
    opening = Opening("[THINK]", THINK_TAGS["mistral"])
    assert opening.match("[THINK x]") == 0
    assert opening.size == len("[THINK]")


@given(texts_of(("<think", "[T]", "[", "<", ">", " ", "x", "/", "T]"), 8))
def test_what_was_decided_stays(text: str) -> None:
    rows = (THINK_TAGS["think"], ThinkTags(openings=("[T]", "[[T]"), closings=("]",)))
    rules = ThinkRules(rows)
    whole = rules.match(text)
    for end in range(len(text)):
        opening, size = rules.match(text[:end])
        assert size is None or (opening, size) == whole


@given(texts_of(("</a>", "</A>", "</", "a>", "x", "\u212a")), st.data())
def test_finding_in_either_case(text: str, data: st.DataObject) -> None:
    finder = TagFinder(Words(["</a>"]), ignore_case=True)
    at = data.draw(st.integers(0, len(text)))
    clear, word, rest = finder.feed(text[:at])
    if word is None:
        more, word, rest = finder.feed(text[at:])
        clear += more
    else:
        rest += text[at:]
    if word is None:
        more, _, _ = finder.finish()
        assert clear + more == text
        assert "</a>" not in text.lower()
    else:
        assert clear + word + rest == text
        assert len(clear) == text.replace("A", "a").index("</a>")


def test_of_two_openings_the_shorter_is_taken() -> None:
    """Nothing has to wait for the longer one."""
    for openings in (("<a>", "<a>b"), ("<a>b", "<a>")):
        row = ThinkTags(openings=openings, closings=("</a>",))
        (thought,) = split_thoughts("<a>bc</a>", [row]).thoughts
        assert thought.text == "bc"


def test_rules_are_made_once() -> None:
    rows = tags_of(["think"])
    assert rules_of(rows, (), True, 0) is rules_of(rows, (), True, 0)
    assert rules_of(rows, (), False, 0) is not rules_of(rows, (), True, 0)


@pytest.mark.parametrize(
    "pairs",
    [
        ["unknown"],
        [("", "</a>")],
        [("<a>", "")],
        [ThinkTags(openings=(), closings=("a",))],
        [ThinkTags(openings=("a",), closings=())],
        [ThinkTags(openings=("a",), closings=("b",), answers=("",))],
    ],
)
def test_mistakes_are_told(pairs: list[str | tuple[str, str] | ThinkTags]) -> None:
    with pytest.raises(LocalProtocolError):
        tags_of(pairs)


@pytest.mark.parametrize("openers", ["<tool_call>", [""]])
def test_openers_are_texts(openers: Sequence[str]) -> None:
    with pytest.raises(LocalProtocolError):
        split_thoughts("a", tool_openers=openers)


def test_rows_of_all_kinds() -> None:
    row = ThinkTags(openings=("a",), closings=("b",))
    pair = ThinkTags(openings=("<a>",), closings=("</a>",))
    assert tags_of(["think", row, ("<a>", "</a>")]) == (THINK_TAGS["think"], row, pair)
