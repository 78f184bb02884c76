"""Tests of `llmwire.filters._call_scanner`, `_call_regions` and `_call_openers`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmwire.filters._call_bodies._found import FoundCall, Tools
from llmwire.filters._call_format import CallFormat
from llmwire.filters._call_formats import FORMATS, expanded, for_reasoning
from llmwire.filters._call_openers import HOLD, Openers
from llmwire.filters._call_regions import CallRegion
from llmwire.filters._call_scanner import CallScanner, CallText, MissedCall, Piece
from llmwire.filters._leaked_call_filter import openers_of
from tests.counting import steepness
from tests.filters.leaking import TOOLS, calls, raw, scanned, scanner

CALL = '<tool_call>{"name": "ping", "arguments": {}}</tool_call>'
BARE = '{"name": "ping", "parameters": {}}'


_BITS = (
    *(" ", "\n", "\n\n", "    ", "\t", "a", "f", "t", "d", "`", "```", "``", "> ", "<"),
    *("[", "]", "{", "}", "<tool", "_call>", "```json\n", "function", "def ", "x[0]"),
    *(CALL, BARE, "<think>", "</think>", "word ", "a < b"),
)


def _is_call(piece: Piece) -> bool:
    return isinstance(piece, CallText)


def ping(body: str, tools: Tools) -> list[FoundCall] | None:
    """One call where the body is `!`."""
    return [FoundCall("ping", "{}")] if body.endswith("!") else None


class TestOpeners:
    """Finding opening words."""

    def test_words_that_stand_anywhere_hide_none(self) -> None:
        words = openers_of(None, tuple(TOOLS), False).anywhere
        for one, other in combinations(sorted(words, key=len), 2):
            assert one not in other or other.endswith(one), (one, other)
            assert not other.startswith(one)

    def test_formats_that_share_a_word_are_told_apart(self) -> None:
        openers = openers_of(None, ("search",), False)
        for words in (openers.anywhere, openers.line):
            for formats in words.values():
                begins = Counter(word for each in formats for word in each.begins)
                shared = [word for word, count in begins.items() if count > 1]
                assert all(word in ("{", "[") for word in shared), shared

    def test_every_format_has_one_kind_of_end(self) -> None:
        for form in FORMATS:
            assert not (form.closers and form.value)
            assert form.closers or form.value or form.ending
            assert len(form.closers) <= 1 or form.ending is None

    def test_lines(self) -> None:
        def form(word: str) -> CallFormat:
            return CallFormat(name=word, openers=(word,), parse=ping, place="line")

        openers = Openers(map(form, ("ab", "abcd", "x")))
        assert openers.line_word("abc", 0, False) is HOLD
        assert openers.line_word("a", 0, False) is HOLD
        assert openers.line_word("abx", 0, False) == "ab"
        assert openers.line_word("abc", 0, True) == "ab"
        assert openers.line_word("--abcde", 2, False) == "abcd"
        assert openers.line_word("q", 0, False) is None
        assert openers.line_word("ax", 0, False) is None
        assert openers.reach("abc") == 0
        assert openers.search("abc") is None

    def test_a_word_for_both_places(self) -> None:
        line = CallFormat(name="a", openers=("<a>",), parse=ping, place="line")
        free = CallFormat(name="b", openers=("<a>",), parse=ping)
        openers = Openers([free, line])
        assert openers.line == {"<a>": (line, free)}
        assert openers.anywhere == {"<a>": (free,)}

    def test_thoughts(self) -> None:
        formats = for_reasoning(FORMATS)
        assert {each.name for each in formats} == {
            "kimi-k2",
            "hermes",
            "qwen3-coder",
            "glm",
        }
        anywhere = {each.name for each in formats if each.place == "anywhere"}
        assert anywhere == {"kimi-k2"}

    def test_names_in_marks(self) -> None:
        form = CallFormat(
            name="x", openers=("<{tool}>",), closers=("</{tool}>",), parse=ping
        )
        both = [(each.openers, each.closers) for each in expanded(form, ["a", "b"])]
        assert both == [(("<a>",), ("</a>",)), (("<b>",), ("</b>",))]


class TestRegions:
    """Where calls end."""

    @staticmethod
    def region(limit: int = 99, **fields: object) -> CallRegion:
        form = CallFormat(name="x", openers=("<",), parse=ping, **fields)  # type: ignore[arg-type]  # as given
        return CallRegion("<", [form], TOOLS, limit)

    def test_closing_words_are_tried_one_after_the_other(self) -> None:
        region = self.region(closers=(">", "=>"))
        assert region.feed("a>b=") is None
        assert region.feed(">") is None
        assert region.feed("!>c") == (FoundCall("ping", "{}"),)
        assert (region.text, region.rest) == ("<a>b=>!>", "c")

    def test_but_not_for_ever(self) -> None:
        for count, found in ((15, True), (16, False)):
            region = self.region(closers=(">",))
            assert bool(region.feed(">" * count + "!>")) == found
            assert bool(region.candidates) == found
            assert region.died == count if not found else True

    def test_values(self) -> None:
        region = self.region(value="{[")
        assert region.feed(' x {"a": "}\\"') is None
        assert region.feed("\\") is None
        assert region.feed('"}"') is None
        assert region.feed(", [1]}") is None
        assert region.candidates == []

    def test_a_value_must_begin_soon(self) -> None:
        for pieces in ([" " * 300], [" "] * 300, [" " * 256 + "{"]):
            region = self.region(value="{")
            assert all(region.feed(piece) is None for piece in pieces)
            assert region.candidates == []

    def test_limits(self) -> None:
        region = self.region(limit=3, closers=(">",))
        assert region.feed("a!>") is not None
        region = self.region(limit=2, closers=(">",))
        assert region.feed("a!>") is None
        assert (region.candidates, region.died) == ([], 2)

    def test_beginnings(self) -> None:
        for text, alive in (
            (" a\nb", True),
            ("a", True),
            ("a x", False),
            ("ax", False),
        ):
            region = self.region(closers=(">",), begins=("ab",))
            region.feed(text)
            assert bool(region.candidates) == alive
            assert region.died is None
        region = self.region(closers=(">",), begins=("ab",))
        region.feed(" " * 300)
        assert region.candidates == []

    def test_what_cannot_begin_so_is_not_read(self) -> None:
        region = self.region(closers=(">",), begins=("ab!",))
        assert region.feed("a>") is None

    def test_the_end_of_the_text(self) -> None:
        for open_ended in (True, False):
            region = self.region(closers=(">",), open_ended=open_ended)
            region.feed("a!")
            assert bool(region.at_end()) == open_ended
        assert region.died == 2

    def test_an_end_that_is_told_needs_its_word(self) -> None:
        class Ending:
            def __init__(self) -> None:
                self.text = ""

            def feed(self, piece: str) -> int | None:
                self.text += piece
                return self.text.find("!") + 1 or None

            def finish(self) -> int | None:
                return None

        for pieces, found in (
            (["a!=", ">b"], True),
            (["a!=x"], False),
            (["a!"], False),
        ):
            region = self.region(
                closers=("=>",), kept=True, ending=lambda closer, tools: Ending()
            )
            assert bool([each for each in map(region.feed, pieces) if each]) == found
            assert region.at_end() is None or found


class TestScanner:
    """The whole."""

    def test_after_a_call_the_end_of_the_message(self) -> None:
        found, _ = scanned([CALL + "\n</s> <|im_end|>\nbye"])
        assert [each.text for each in found if isinstance(each, CallText)] == [
            CALL,
            "\n</s>",
            " <|im_end|>",
        ]
        assert found[-1] == "\nbye"

    def test_many_such_ends(self) -> None:
        text = '<|python_tag|>{"name": "ping", "parameters": {}}' + ";" * 3000 + "x"
        found, _ = scanned([text])
        assert raw(found) == text
        assert found[-1] == "x"

    def test_white_space_after_a_call_is_bounded(self) -> None:
        by = scanner()
        for piece in (CALL, *("\n" * 300)):
            by.feed(piece)
            assert by.held <= 256

    def test_what_is_missed_is_told_once(self) -> None:
        text = f'a <tool_call>{{"name": "ping <tool_call>{{"name" {CALL[:-1]}'
        found, missed = scanned([text])
        assert found == [text]
        assert missed == [MissedCall("hermes", 2, False)]
        assert scanned(list(text)) == (found, missed)

    def test_a_call_that_is_too_long(self) -> None:
        text = '<tool_call>{"name": "' + "x" * 100
        found, missed = scanned([text], scanner(limit=50))
        assert missed == [MissedCall("hermes", 0, True)]
        assert scanned(list(text), scanner(limit=50)) == (found, missed)

    def test_two_that_are_too_long(self) -> None:
        long = '<tool_call>{"name": "' + "x" * 100 + "\n"
        _, missed = scanned([long * 2], scanner(limit=50))
        assert [each.start for each in missed] == [0, len(long)]

    @pytest.mark.parametrize(
        ("before", "made"),
        [
            ("", True),
            ("a ", True),
            ("`", False),
            ("``` `", False),
            ("`a` ", True),
            ("`a`", True),
            ("``a`", False),
            ("`a`` ", False),
            ("``a`b`` ", True),
            ("> ", False),
            (">\n", True),
            ("  > a\n> b ", False),
            ("```\nx\n", False),
            ("```\nx\n```\n", True),
            ("<think>a</think>", True),
            ("<think>a", False),
            (" \n<think>\n\n</think>\n", True),
            ("a <think> ", True),
            ("<thin ", True),
            ("[THINK]x[/THINK]", True),
            ("[THINK]x</think>", False),
        ],
    )
    def test_where_calls_may_begin(self, before: str, made: bool) -> None:
        text = before + CALL
        found, _ = scanned([text])
        assert bool(calls(found)) == made
        assert scanned(list(text))[0] == found
        padded = before + "a " * 300 * (not before.endswith("\n"))
        assert bool(calls(scanned(list(padded + CALL))[0])) == made

    @pytest.mark.parametrize("before", ["", " \n", "<think>x</think>\n\n", BARE + "; "])
    def test_where_the_start_is(self, before: str) -> None:
        text = before + '{"name": "search", "arguments": {}}'
        assert calls(scanned([text])[0])[-1] == ("search", {})
        assert scanned(list(text)) == scanned([text])

    def test_where_it_is_not(self) -> None:
        text = 'So:\n{"name": "search", "arguments": {}}'
        assert scanned([text])[0] == [text]

    def test_passing_is_saying(self) -> None:
        by = scanner()
        by.feed("a")
        for _ in range(600):
            assert by.passes(" word")
        assert by.passes("\n  ")
        assert not by.passes("`")
        assert not by.passes("{")
        assert by.passes(" }\n\n a [0] <b")
        assert not by.passes("\n\n\n```")
        assert not by.passes("<")
        by.feed(" `")
        assert by.passes("b")
        assert scanned([CALL], by)[0] == [CALL]

    @given(st.lists(st.sampled_from(_BITS), max_size=24), st.booleans())
    @example(["a", "\n", "f", "or"], True)
    @example(["a\n", "  ", "{", '"name": "ping", "parameters": {}}'], True)
    @example(["a\n", "`", "``json", "\n"], True)
    def test_passing_changes_nothing(self, bits: list[str], cut: bool) -> None:
        whole, by = "".join(bits), scanner()
        found = [
            piece
            for bit in bits
            for piece in ([bit] if by.passes(bit) else by.feed(bit))
        ]
        found += by.finish(cut=cut)
        assert raw(found) == whole
        expected = scanner()
        again = [*expected.feed(whole), *expected.finish(cut=cut)]
        assert [*filter(_is_call, found)] == [*filter(_is_call, again)]
        assert by.missed == expected.missed

    def test_nothing_is_left_after_the_end(self) -> None:
        by = scanner()
        by.feed("a <tool_c")
        assert by.held == 7
        assert [*by.finish()] == ["<tool_c"]
        assert [*by.finish()] == []

    @given(st.integers(1, 40))
    def test_what_is_in_vain_is_not_done_for_ever(self, count: int) -> None:
        text = '<tool_call>{"' * count * 40 + CALL
        found, _ = scanned([text])
        assert raw(found) == text
        assert scanned(list(text))[0] == found

    def test_work_in_vain_is_bounded(self) -> None:
        looked = 0

        class Counting(CallScanner):
            def _step(self, text: str, final: bool) -> str:
                nonlocal looked
                looked += len(text)
                return super()._step(text, final)

        text = '<tool_call>{"' * 4000
        by = Counting(openers_of(("hermes",), ("ping",), False), TOOLS, 1_000_000)
        by.feed(text)
        by.finish()
        assert len(text) <= looked <= 12 * len(text)


TEXTS: dict[str, Callable[[int], str]] = {
    "calls": lambda n: (CALL + "\n") * n,
    "opening words": lambda n: "<tool_call>" * n,
    "beginnings": lambda n: '<tool_call>{"' * n,
    "closing words": lambda n: '<tool_call>{"' + "</tool_call>" * n,
    "a long call": lambda n: CALL.replace("{}", '{"a": "' + "x" * 16 * n + '"}'),
    "lines": lambda n: "some text\n" * n,
    "backticks": lambda n: "`` ` <a> " * n,
    "blanks after a call": lambda n: CALL + " " * 16 * n,
    "ends of messages": lambda n: CALL + "</s>" * n,
    "sections": lambda n: "<|tool_calls_section_begin|><|tool_call_begin|>" * n,
    "brackets": lambda n: "[TOOL_CALLS]" + "[{" * n,
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("size", [1, 4, 1 << 20])
def test_twice_the_text_is_twice_the_work(name: str, size: int) -> None:
    def prepare(n: int) -> Callable[[], object]:
        text = TEXTS[name](n)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        return lambda: scanned(pieces)

    assert steepness(prepare, 128 if size < 9 else 2048) <= 2.3
