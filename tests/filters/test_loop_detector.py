"""Tests of `llmwire.filters._loop_detector`, `_periods` and `_fences`."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmwire.errors import LocalProtocolError
from llmwire.filters._fences import Fences
from llmwire.filters._loop_detector import NEAR_WINDOW, STRIDE
from llmwire.filters._periods import ANCHOR, LONGEST, WINDOW, Tail
from llmwire.filters.loops import Loop, LoopContext, LoopDetector, needs
from tests import counting
from tests.filters.laws import cuts
from tests.filters.looping import (
    chatter,
    confirmed,
    fed,
    first_confirmed,
    is_primitive,
    run_of,
)

PERIODS = (1, 2, 3, 5, 11, 12, 40, 121, 122, 123, 366, 367, 700, 854, 855, 1830, 1831)
CONTEXTS: tuple[LoopContext, ...] = ("prose", "code")


def unit_of(period: int, seed: int = 0) -> str:
    """`period` characters that are no shorter text several times over."""
    for more in range(50):
        unit = chatter(period, seed + more * 1000)
        if is_primitive(unit):
            return unit
    raise AssertionError(period)


@st.composite
def looping(draw: st.DrawFn) -> str:
    """Texts with pieces that repeat, some of them inside one another."""
    pieces = []
    for _ in range(draw(st.integers(1, 3))):
        unit = draw(st.text("ab\n `|.", min_size=1, max_size=30))
        pieces.append(draw(st.text("abc \n", max_size=40)))
        pieces.append(unit * draw(st.integers(1, 900 // len(unit))))
    return "".join(pieces) * draw(st.integers(1, 3))


class TestPeriods:
    """`Tail` against the definition."""

    @settings(max_examples=300)
    @given(looping())
    def test_they_are_those_of_the_definition(self, text: str) -> None:
        tail = Tail()
        tail.grow(text)
        kept = text[-WINDOW:]
        runs = {p: run_of(kept, p) for p in range(1, min(LONGEST, len(kept)) + 1)}
        expected = [
            period
            for period, run in runs.items()
            if run >= 3 * period + ANCHOR and is_primitive(kept[-period:])
        ]
        assert tail.periods() == expected
        assert tail.repeats() or not expected
        assert [tail.run(period) for period in expected] == [
            runs[period] for period in expected
        ]

    @pytest.mark.parametrize("period", (*PERIODS, LONGEST))
    def test_the_shortest_repetition_is_found(self, period: int) -> None:
        unit = unit_of(period)
        text = (unit * (3 + ANCHOR // period + 1))[: 3 * period + ANCHOR]
        for size, found in ((len(text), [period]), (len(text) - 1, [])):
            tail = Tail()
            tail.grow("#" + text[-size:])
            assert tail.periods() == found, size

    def test_longer_ones_are_not(self) -> None:
        tail = Tail()
        tail.grow(unit_of(LONGEST + 1) * 4)
        assert tail.periods() == []

    def test_a_ruler_inside_hides_nothing(self) -> None:
        unit = unit_of(300) + "-" * 400
        tail = Tail()
        tail.grow(unit * 5)
        assert tail.periods() == [1, 700]

    def test_what_is_kept_is_bounded(self) -> None:
        tail = Tail()
        for _ in range(100):
            tail.grow("x" * 999)
        assert len(tail.last(10**6)) == tail.run(1) == WINDOW


class TestRecall:
    """A text that repeats is confirmed at the character that makes it long enough."""

    @pytest.mark.parametrize("lead", [0, 1, 37, 700])
    @pytest.mark.parametrize("period", (*PERIODS, LONGEST))
    def test_at_three_periods_and_250(self, period: int, lead: int) -> None:
        unit = unit_of(period, lead)
        before = "#" + chatter(lead, 99) if lead else ""
        size = 3 * period + 250
        text = before + (unit * (3 + 250 // period + 1))[:size]
        expected = Loop("confirmed", "exact", len(before), len(text), period)
        if lead and before[-1] == unit[-1]:
            before = before[:-1] + "#"
            text = before + text[len(before) :]
        assert confirmed(fed([text])) == expected
        assert confirmed(fed([text[:-1]])) is None
        assert fed([text])[0].level == "suspect"

    @settings(max_examples=60, deadline=None)
    @given(looping(), st.sampled_from(CONTEXTS))
    def test_as_the_definition_says(self, text: str, context: LoopContext) -> None:
        text = text.replace("`", "'")[:1500]
        loop = confirmed(fed([text], context))
        found = (loop.end, loop.period) if loop else None
        assert found == first_confirmed(text, 420, context)


class TestSplits:
    """The pieces do not matter."""

    @given(st.data(), looping(), st.sampled_from(CONTEXTS))
    def test_any_split(
        self, data: st.DataObject, text: str, context: LoopContext
    ) -> None:
        whole = fed([text], context)
        assert fed(data.draw(cuts(text)), context) == whole
        assert fed(text, context) == whole

    @given(looping(), st.integers(0, 3000))
    def test_nothing_is_taken_back(self, text: str, size: int) -> None:
        before = fed([text[:size]])
        assert fed([text])[: len(before)] == before

    @given(st.text(), st.sampled_from(CONTEXTS))
    def test_any_text_at_all(self, text: str, context: LoopContext) -> None:
        whole = fed([text * 40], context)
        assert fed(text * 40, context) == whole
        detector = LoopDetector(context)
        assert detector.feed(text * 40) == tuple(whole)
        assert detector.size == len(text) * 40

    def test_what_was_found_stays_known(self) -> None:
        detector = LoopDetector()
        assert detector.loop is None
        detector.feed("again " * 43)
        suspect = detector.loop
        assert suspect is not None and suspect.level == "suspect"
        detector.feed("again " * 30)
        assert detector.loop is not None and detector.loop.level == "confirmed"
        first = detector.loop
        detector.feed(chatter(500, 1) + "and again " * 90)
        assert detector.loop is first

    def test_an_episode_is_told_once_for_each_level(self) -> None:
        text = "I will now check. " * 60
        levels = [loop.level for loop in fed(text)]
        assert levels == ["suspect", "confirmed"]
        other = chatter(3000, 5)
        assert [loop.level for loop in fed(text + other + text)] == levels * 2


class TestNeeds:
    """How long what must repeat."""

    @pytest.mark.parametrize(
        ("unit", "prose", "code"),
        [
            ("again ", (138, 268), (424, 1036)),
            ("Wait, no. ", (150, 280), (440, 1060)),
            ("aab", (129, 259), (1018, 2524)),
            ("0, ", (259, 612), (1018, 2524)),
            ("!", (253, 604), (1006, 2508)),
            ("-", (1003, 2003), (1003, 2003)),
            (" \n", (1006, 2006), (1006, 2006)),
            ("╭─", (1006, 2006), (1006, 2006)),
            ("| a | b |\n", (440, 1060), (440, 1060)),
            ("b |\n  | a | ", (448, 1072), (448, 1072)),
            ("<tr></tr>\n", (440, 1060), (440, 1060)),
            ("| a\nb\n", (138, 268), (424, 1036)),
            ("重复", (126, 256), (1012, 2516)),
        ],
    )
    def test_they_depend_on_what_repeats(
        self, unit: str, prose: tuple[int, int], code: tuple[int, int]
    ) -> None:
        assert needs(unit, "prose") == prose
        assert needs(unit, "code") == code

    @given(st.text(max_size=2000).filter(bool), st.sampled_from(CONTEXTS))
    def test_they_are_within_what_is_known(
        self, unit: str, context: LoopContext
    ) -> None:
        suspect, sure = needs(unit, context)
        assert 3 * len(unit) + ANCHOR <= suspect <= sure <= WINDOW
        assert needs(unit, "prose") <= needs(unit, "code")


class TestCode:
    """Fenced code needs more, and is not left out."""

    LINE = "self.assertEqual(a, b)\n"

    def test_within_a_fence(self) -> None:
        text = f"Tests:\n```python\n{self.LINE * 80}"
        loop = confirmed(fed(text))
        assert loop is not None and loop.period == len(self.LINE)
        assert loop.end - loop.start == 6 * len(self.LINE) + 1000
        assert confirmed(fed([self.LINE * 80], "code")) is not None

    def test_behind_a_fence(self) -> None:
        text = f"```\nx\n```\n{self.LINE * 20}"
        assert confirmed(fed(text)) is not None

    def test_fences_that_are_what_repeats(self) -> None:
        unit = f"{chatter(80, 1)}\n```sh\n{chatter(60, 2)}\n```\n"
        loop = confirmed(fed(unit * 6))
        assert loop is not None
        assert loop.end - loop.start == 3 * len(unit) + 250

    @pytest.mark.parametrize(
        ("text", "since"),
        [
            ("```\n", 4),
            ("``\n", None),
            ("a ```\n", None),
            ("```", None),
            ("```py x\ny", 8),
            ("```x``` y\n", None),
            ("a\n  > ~~~ `b`\n", 14),
            ("```\na\n```\n", None),
            ("```\na\n```b", None),
            ("```\na\n``\n", 4),
            ("```\na\n~~~\n", 4),
            ("````\na\n```\nb\n", 5),
            ("````\na\n`````\nb\n", None),
            ("```\na\n```\n```\n", 14),
            ("```\na\n``` ```\nb", None),
            ("```" + "a" * 300 + "\n", None),
            ("\n" * 3 + "```\n", 7),
        ],
    )
    def test_where_it_is(self, text: str, since: int | None) -> None:
        for size in (1, 2, 3, 7, len(text)):
            fences = Fences()
            for at in range(0, len(text), size):
                fences.feed(text[at : at + size])
            assert fences.since == since, size

    @given(st.data(), st.text("`~a \n>", max_size=60))
    def test_however_it_is_cut(self, data: st.DataObject, text: str) -> None:
        whole, cut = Fences(), Fences()
        whole.feed(text)
        for piece in data.draw(cuts(text)):
            cut.feed(piece)
        assert whole.since == cut.since


class TestNear:
    """Loops that are not exact are suspects."""

    @staticmethod
    def counter(size: int = 9000) -> str:
        steps = (
            f"Step {at}: I will look at the same file once more, now.\n"
            for at in range(999)
        )
        return "".join(steps)[:size]

    def test_a_counter(self) -> None:
        (loop,) = fed(self.counter())
        assert loop == Loop("suspect", "near", loop.end - NEAR_WINDOW, loop.end)
        assert loop.end % 1024 == 0
        assert "next to nothing new" in str(loop)

    def test_noise(self) -> None:
        source = random.Random(3)
        unit = chatter(150, 8).split()
        words = unit * 60
        for at in range(0, len(words), len(unit)):
            words[at + source.randrange(len(unit))] = "x"
        (loop,) = fed([" ".join(words)])
        assert loop.kind == "near"

    def test_code_needs_more(self) -> None:
        assert fed([self.counter()], "code") == []
        assert fed([f"```\n{self.counter()}"]) == []

    def test_it_is_told_again_after_something_else(self) -> None:
        other = chatter(9000, 4)
        found = fed([self.counter() + other + self.counter()])
        assert [loop.kind for loop in found] == ["near", "near"]

    def test_what_is_a_bit_less_alike_goes_on_with_it(self) -> None:
        short = "".join(f"Is {at} the last one of them?\n" for at in range(200))
        assert fed([short]) == []
        text = self.counter() + short[:3000] + self.counter()
        assert [loop.kind for loop in fed([text])] == ["near"]

    def test_a_loop_is_not_told_twice(self) -> None:
        text = f"{'again ' * 90}{chatter(600, 2)}{'and again ' * 700}"
        assert {loop.kind for loop in fed(text)} == {"exact"}
        text = "again " * 1000 + chatter(3000, 2)
        assert [loop.level for loop in fed([text])] == ["suspect", "confirmed"]

    def test_rulers_and_blanks_are_none(self) -> None:
        ruled = "".join(f"{'-' * at}\n{' ' * at}\n" for at in range(60, 130))
        assert len(ruled) > 2 * NEAR_WINDOW
        assert fed(ruled) == []

    def test_half_characters(self) -> None:
        assert fed(["\ud800" + self.counter()]) != []


CLEAN = {
    "fifty blank lines": "a" + "\n" * 50 + "b",
    "a ruler": "─" * 900,
    "dots of a test run": "." * 900,
    "a table of blanks": "|     |     |\n" * 60,
    "a box": ("│" + " " * 78 + "│\n") * 11,
    "rows alike": "| yes | no |\n" * 30,
    "rows of markup": "  <tr><td>0</td></tr>\n" * 40,
    "zeros": "0, 0, 0, 0,\n" * 50,
    "hello twenty times": "hello " * 20,
    "numbered asserts": "".join(f"assert f({n}) == {n * n}\n" for n in range(70)),
    "a switch": "".join(f"case {n}: return 'n{n * 7 % 31}';\n" for n in range(70)),
    "a log": "".join(f"12:{n:02}:07 GET /item/{n * 37} 200\n" for n in range(60)),
    "an identity matrix": "".join(
        " ".join("1" if a == b else "0" for a in range(30)) + "\n" for b in range(30)
    ),
}


class TestTraps:
    """Texts that look like loops and are none; clean texts."""

    @pytest.mark.parametrize("name", CLEAN)
    def test_they_are_not_confirmed(self, name: str) -> None:
        assert confirmed(fed([CLEAN[name]])) is None

    @given(st.integers(0, 10**6))
    def test_words_in_no_order(self, seed: int) -> None:
        assert fed([chatter(12000, seed)]) == []


LONG: dict[str, Callable[[int], str]] = {
    "words": lambda size: chatter(size, 1),
    "one letter": lambda size: "a" * size,
    "blanks": lambda size: " " * size,
    "runs": lambda size: ("a" * 119 + "b") * (size // 120),
    "ragged runs": lambda size: "".join(
        "a" * (300 + at * 37 % 90) + "b" for at in range(size // 345)
    ),
    "a counter": lambda size: TestNear.counter(size),
    "fences": lambda size: "```\nx\n" * (size // 6),
}


def calls_for(text: str, size: int = 4) -> int:
    """How many functions, Python's and C's, run while `text` is fed."""
    detector = LoopDetector()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return counting.calls(lambda: [detector.feed(piece) for piece in pieces])


class TestWork:
    """Each character costs the same, whatever was before it."""

    @pytest.mark.parametrize("name", LONG)
    def test_it_is_linear(self, name: str) -> None:
        """Every call works on a bounded window, so calls are work."""
        sizes = [24_000, 48_000, 96_000]
        counts = [calls_for(LONG[name](size)) for size in sizes]
        first, second = counts[1] - counts[0], counts[2] - counts[1]
        assert second <= 2.2 * first
        assert counts[2] <= 5 * sizes[2]

    @pytest.mark.parametrize("name", LONG)
    def test_little_is_kept(self, name: str) -> None:
        text = LONG[name](60_000)
        for size in (1, 7, len(text)):
            detector = LoopDetector()
            for at in range(0, len(text), size):
                detector.feed(text[at : at + size])
            kept = detector._tail.last(10**9)
            assert len(kept) <= WINDOW
            assert sum(map(len, detector._pieces)) < STRIDE
            assert len(detector._pieces) <= STRIDE

    def test_empty_pieces_are_not_kept(self) -> None:
        detector = LoopDetector()
        for _ in range(1000):
            detector.feed("")
        assert len(detector._pieces) == 0


@pytest.mark.parametrize("context", ["nonsense", "", None, 3, []])
def test_contexts_are_words(context: LoopContext) -> None:
    with pytest.raises(LocalProtocolError, match="is none of prose, code"):
        LoopDetector(context)
