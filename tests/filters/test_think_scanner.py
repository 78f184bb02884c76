"""Tests of `llmwire.filters._think_scanner`, against a judge of the whole text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmwire.filters._think_rules import ThinkRules
from llmwire.filters._think_scanner import Kind, Phase, Piece, ThoughtScanner
from llmwire.filters.think import THINK_TAGS, ThinkTags, Thought
from tests.filters.laws import cuts, texts_of
from tests.filters.thinking import Options, judged

ROWS = (
    THINK_TAGS["think"],
    THINK_TAGS["thinking"],
    ThinkTags(
        openings=("[T]", "[[T]"),
        closings=("[/T]", "[/T]]"),
        answers=("[A]",),
        answer_ends=("[/A]",),
    ),
)
PIECES = (
    *("<think>", "</think>", "<THINKING>", "</Thinking>", "<think a='b'>", "<think />"),
    *("[T]", "[/T]", "[[T]", "]", "[A]", "[/A]", "<call>", "<thi", "nk>", "</"),
    *("think>", "[", "<", " ", "\n", "\n\n", "a", "b c", "é", "<thinking x"),
)
FRAMED = st.tuples(
    st.sampled_from(("", " ", "\n")),
    st.sampled_from(("<think>", "[T]", "[[T]", "<Thinking>", "[A]", "")),
    texts_of(("\n", " ", "a", "<think>", "<call>", "[/"), 4),
    st.sampled_from(("</think>", "[/T]", "[/T]]", "</thinking>", "[/A]")),
    texts_of(("\n", " ", "a", "[T]", "</think>", "[/T]", "[A]", "[/A]"), 4),
).map("".join)
TEXTS = texts_of(PIECES) | FRAMED
OPTIONS = st.builds(
    Options,
    rows=st.lists(st.sampled_from(ROWS), min_size=1, max_size=3, unique=True).map(
        tuple
    ),
    implicit=st.booleans(),
    retroactive=st.sampled_from((0, 0, 9, 40)),
    tools=st.sampled_from(((), ("<call>",), ("<call>", "a"))),
    trim=st.booleans(),
)
ENDS = (Kind.CLOSE, Kind.CALL, Kind.BREAK)


def scanner(options: Options) -> ThoughtScanner:
    rules = ThinkRules(
        options.rows,
        tool_openers=options.tools,
        trim=options.trim,
        retroactive=options.retroactive,
    )
    return ThoughtScanner(rules, implicit=options.implicit)


def told(options: Options, *pieces: str) -> list[Piece]:
    """What the scanner tells of a text in pieces."""
    scan = scanner(options)
    due = [piece for text in pieces for piece in scan.feed(text)]
    return [*due, *scan.finish()]


def normal(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of a kind as one."""
    joined: list[Piece] = []
    for kind, text in pieces:
        if joined and joined[-1][0] is kind and kind in (Kind.TEXT, Kind.THOUGHT):
            joined[-1] = (kind, joined[-1][1] + text)
        else:
            joined.append((kind, text))
    return joined


def thoughts(pieces: list[Piece]) -> list[Thought]:
    found: list[Thought] = []
    text = ""
    for kind, piece in pieces:
        if kind is Kind.THOUGHT:
            text += piece
        elif kind in ENDS:
            found.append(Thought(text, kind is not Kind.BREAK))
            text = ""
    return found


@given(st.data(), TEXTS, OPTIONS)
@example(None, "<think><think>\n\na\n</think>\n\n\nb", Options(ROWS, trim=True))
@example(None, "a</think>b", Options(ROWS, retroactive=9))
def test_it_reads_what_the_judge_reads(
    data: st.DataObject | None, text: str, options: Options
) -> None:
    some = data.draw(cuts(text)) if data is not None else [text]
    expected = judged(text, options)
    for pieces in (some, [text], list(text)):
        given = told(options, *pieces)
        assert thoughts(given) == list(expected.thoughts)
        said = "".join(piece for kind, piece in given if kind is Kind.TEXT)
        assert said == expected.text
        assert "".join(piece for _, piece in given) == text


@given(st.data(), TEXTS, OPTIONS)
def test_any_split_tells_the_same(
    data: st.DataObject, text: str, options: Options
) -> None:
    pieces = data.draw(cuts(text))
    whole, cut = scanner(options), scanner(options)
    once = [*whole.feed(text), *whole.finish()]
    apart = [piece for each in pieces for piece in cut.feed(each)]
    apart += cut.finish()
    assert normal(apart) == normal(once)
    assert cut.unpaired == whole.unpaired


@given(TEXTS, OPTIONS)
def test_what_was_told_is_never_taken_back(text: str, options: Options) -> None:
    scan = scanner(options)
    due: list[Piece] = []
    for at, letter in enumerate(text):
        due += scan.feed(letter)
        size = sum(len(piece) for _, piece in due)
        assert at + 1 - size == scan.held


@given(TEXTS, OPTIONS)
def test_little_is_held(text: str, options: Options) -> None:
    scan = scanner(options)
    for letter in text:
        scan.feed(letter)
        assert scan.held <= 2 * 256 + 2 * len("</thinking>") + options.retroactive


@pytest.mark.parametrize("text", ["", " ", "<thi", "a </think> b", "a"])
def test_a_text_without_thoughts_is_text(text: str) -> None:
    given = told(Options(ROWS, trim=True), text)
    assert [kind for kind, _ in given] == [Kind.TEXT] * bool(text)


def test_two_line_feeds_are_framing_and_no_other_white_space() -> None:
    for white, left in (("\n\n\n", "\n"), (" \n", " \n"), ("\n ", " "), (" ", " ")):
        given = told(Options(ROWS, trim=True), f"<think>a</think>{white}b")
        assert "".join(t for kind, t in given if kind is Kind.TEXT) == f"{left}b"


def test_pieces_are_told_apart() -> None:
    options = Options(ROWS, trim=True)
    assert told(options, " <think>\n\na\n</think>\n\nb") == [
        (Kind.OPEN, " <think>\n"),
        (Kind.THOUGHT, "\na"),
        (Kind.CLOSE, "\n</think>"),
        (Kind.MARK, "\n\n"),
        (Kind.TEXT, "b"),
    ]


class TestUnpaired:
    """A closing tag that has no opening."""

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("a</think>b</think>", 1),
            ("</think>", 0),
            ("a</thinking>", None),
            ("<think>a</think>b</think>", None),
            ("[A]a</think>", None),
            ("a[/T]", 1),
            ("a[/T", None),
        ],
    )
    def test_its_place_is_told(self, text: str, place: int | None) -> None:
        for pieces in ([text], list(text)):
            scan = scanner(Options(ROWS))
            for piece in pieces:
                scan.feed(piece)
            scan.finish()
            assert scan.unpaired == place

    def test_it_makes_a_thought_of_what_is_held(self) -> None:
        options = Options(ROWS, retroactive=10)
        assert told(options, "ab</think>c") == [
            (Kind.OPEN, ""),
            (Kind.THOUGHT, "ab"),
            (Kind.CLOSE, "</think>"),
            (Kind.TEXT, "c"),
        ]
        assert told(options, "abc</think>c")[0][0] is Kind.TEXT

    @pytest.mark.parametrize("text", ["ab[/T]", "ab[/T]c", "ab[/T]]"])
    def test_a_tag_that_ends_at_the_limit(self, text: str) -> None:
        options = Options(ROWS, retroactive=6)
        for pieces in ([text], list(text)):
            given = normal(told(options, *pieces))
            assert given[:3] == [
                (Kind.OPEN, ""),
                (Kind.THOUGHT, "ab"),
                (Kind.CLOSE, "[/T]"),
            ]

    def test_half_a_tag_is_text_where_that_was_decided(self) -> None:
        scan = scanner(Options(ROWS, retroactive=9))
        assert scan.feed("ab[/T]") == []
        assert scan.settle() == [(Kind.TEXT, "ab[/T]")]
        assert scan.finish() == []
        assert scan.unpaired == 2

    def test_held_text_goes_out_at_the_limit(self) -> None:
        scan = scanner(Options(ROWS, retroactive=4))
        assert scan.feed("abc") == []
        assert scan.feed("de") == [(Kind.TEXT, "abcd"), (Kind.TEXT, "e")]
        assert scan.phase is Phase.TALKING


class TestDecidedFromOutside:
    """Somebody else knows that it is a text, or a thought."""

    @pytest.mark.parametrize("text", ["<thi", " ", "a"])
    def test_it_is_a_text(self, text: str) -> None:
        scan = scanner(Options(ROWS, retroactive=9))
        given = [*scan.feed(text), *scan.settle()]
        assert given == [(Kind.TEXT, text)]
        assert scan.feed("<think>") == [(Kind.TEXT, "<think>")]
        assert scan.settle() == []

    def test_a_blank_thought_has_content(self) -> None:
        scan = scanner(Options(ROWS))
        assert scan.feed("<think> ") == []
        assert scan.speak_up() == [(Kind.OPEN, "<think>"), (Kind.THOUGHT, " ")]
        assert scan.speak_up() == []
        assert scan.settle() == []

    def test_white_space_behind_thoughts_can_be_kept(self) -> None:
        scan = scanner(Options(ROWS))
        scan.feed("<think></think> ")
        assert scan.finish(keep=True) == [(Kind.TEXT, " ")]


def test_nothing_is_held_back_behind_a_thought() -> None:
    scan = scanner(Options(ROWS, retroactive=9))
    scan.feed("<think>a</think>")
    assert scan.feed("b</think>") == [(Kind.TEXT, "b</think>")]


def test_only_the_first_text_is_held_back() -> None:
    rules = ThinkRules(ROWS, retroactive=9)
    assert ThoughtScanner(rules, first=False).feed("a") == [(Kind.TEXT, "a")]


def test_more_than_a_little_white_space_is_a_thought() -> None:
    options = Options(ROWS, trim=True)
    for text in (" " * 257, "<think>" + " " * 257):
        given = normal(told(options, *f"<think>{text}"))
        assert (Kind.THOUGHT, " " * 257) in given


def test_long_texts_are_read_in_steps() -> None:
    options = Options(ROWS)
    text = "<think>a</think>" * 2000 + "b" * 9000
    given = normal(told(options, text))
    assert given[-1] == (Kind.TEXT, "b" * 9000)
    assert len(given) == 3 * 2000 + 1


def test_what_is_overheard_is_counted() -> None:
    scan = ThoughtScanner(ThinkRules([THINK_TAGS["think"]]))
    scan.feed("ab")
    scan.overhear("cd")
    scan.overhear("e</think>")
    assert scan.unpaired == 5
