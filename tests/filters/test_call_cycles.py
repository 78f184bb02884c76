"""Tests of `llmwire.filters._call_cycles`, against the definition read literally."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.errors import LocalProtocolError
from llmwire.filters.tool_loops import (
    POLL_TOOLS,
    ToolLoop,
    ToolLoopDetector,
    ToolLoopPolicy,
)

Call: TypeAlias = tuple[str, str | None, bool]
"""A call by the name of its argument, its result, and whether it failed."""

POLICIES = st.builds(
    ToolLoopPolicy,
    cycle=st.integers(1, 5),
    single=st.integers(2, 5),
    single_errors=st.integers(2, 5),
    several=st.integers(2, 4),
    unknown=st.integers(0, 2),
)


def fed(
    calls: Sequence[Call], policy: ToolLoopPolicy | None = None
) -> list[ToolLoop | None]:
    """What is said at each of `calls`."""
    detector = ToolLoopDetector(policy)
    return [
        detector.add("f", f'{{"a": "{what}"}}', result, error=error)
        for what, result, error in calls
    ]


def goes_round(calls: Sequence[Call], size: int, times: int) -> bool:
    """Whether `calls` end in `times` times the same `size` calls and results."""
    window = calls[len(calls) - size * times :]
    if len(calls) < size * times:
        return False
    for place in range(size):
        turns = window[place::size]
        results = {(result, error) for _, result, error in turns if result is not None}
        if len({what for what, _, _ in turns}) > 1 or len(results) > 1:
            return False
    return True


def length(calls: Sequence[Call], size: int) -> int:
    """How many calls at the end are a cycle of `size`, the last time maybe in part."""
    for start in range(len(calls)):
        turns = [calls[start:][place::size] for place in range(size)]
        if all(goes_round(turn, 1, len(turn)) for turn in turns):
            return len(calls) - start
    return 0


def needed(calls: Sequence[Call], size: int, policy: ToolLoopPolicy) -> int | None:
    """How often a cycle of `size` had to come, if the sequence ends in a loop of it."""
    if any(
        size % inner == 0 and length(calls, inner) >= length(calls, size)
        for inner in range(1, size)
    ):
        return None
    enough = policy.single if size == 1 else policy.several
    few = min(policy.single_errors, enough)
    failed = all(error for _, result, error in calls[-few:])
    if size == 1 and goes_round(calls, 1, few) and failed:
        return few
    known = all(result is not None for _, result, _ in calls[-enough * size :])
    if not known:
        enough += policy.unknown
    return enough if goes_round(calls, size, enough) else None


def judged(
    calls: Sequence[Call], policy: ToolLoopPolicy
) -> tuple[int, int, int] | None:
    """The size of the shortest loop, how often it had to come, how often it did."""
    for size in range(1, policy.cycle + 1):
        least = needed(calls, size, policy)
        if least is not None:
            most = next(
                times
                for times in itertools.count(least)
                if not goes_round(calls, size, times + 1)
            )
            return size, least, most
    return None


def said(loop: ToolLoop | None) -> tuple[int, int, int] | None:
    """A loop that is confirmed, as the judge says it."""
    if loop is None or loop.level != "confirmed":
        return None
    return len(loop.names), loop.needed, loop.times


LETTERS = "pqr"
CALLS = st.tuples(
    st.sampled_from(LETTERS), st.sampled_from((None, "x", "y")), st.booleans()
).map(lambda call: (call[0], call[1], call[2] and call[1] is not None))
SEQUENCES = st.lists(CALLS, max_size=6).flatmap(
    lambda cycle: st.tuples(st.integers(1, 6), st.lists(CALLS, max_size=4)).map(
        lambda rest: [*rest[1], *cycle * rest[0]]
    )
)


@given(SEQUENCES | st.lists(CALLS, max_size=24), POLICIES)
def test_it_says_what_the_definition_says(
    calls: list[Call], policy: ToolLoopPolicy
) -> None:
    found = fed(calls, policy)
    for at, loop in enumerate(found):
        assert said(loop) == judged(calls[: at + 1], policy)


def test_a_result_that_is_missing_hides_no_longer_cycle() -> None:
    """By its known results it is one of two calls, and none of one."""
    results = ["2", "1", "2", "1", "2", "1", None, "1"]
    loop = fed([("p", result, False) for result in results])[-1]
    assert loop is not None
    assert (len(loop.names), loop.times, loop.known) == (2, 4, False)


def test_ten_thousand_random_sequences() -> None:
    source = random.Random(5)
    policy = ToolLoopPolicy()
    loops = 0
    for _ in range(10_000):
        letters = LETTERS[: source.randint(1, 3)]
        calls: list[Call] = [
            (source.choice(letters), source.choice("xxxy"), False)
            for _ in range(source.randint(1, 14))
        ]
        last = fed(calls, policy)[-1]
        assert said(last) == judged(calls, policy)
        loops += last is not None
    assert loops > 1000


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("known", [True, False])
def test_a_cycle_is_found_at_its_last_call(size: int, known: bool) -> None:
    times = (4 if size == 1 else 3) + (not known)
    result = "same" if known else None
    calls: list[Call] = [(str(at % size), result, False) for at in range(99)]
    calls = [("before", "x", False), *calls]
    found = fed(calls)
    first = next(at for at, loop in enumerate(found) if loop is not None)
    assert first == times * size
    assert [loop.verdict for loop in found[first:] if loop] == (
        ["steer"] * (2 * size) + ["error"] * (99 - first - 2 * size + 1)
    )
    loop = found[first]
    assert loop == ToolLoop(
        "confirmed", ("f",) * size, times, times, known, False, "steer"
    )


def test_a_cycle_has_its_shortest_form() -> None:
    policy = ToolLoopPolicy(single=10, single_errors=10, several=2)
    found = fed([("p", "same", False)] * 10, policy)
    assert found[:9] == [None] * 9
    assert said(found[9]) == (1, 10, 10)
    calls: list[Call] = [("p", "x", False), ("q", "x", False)]
    found = fed(calls * 8, ToolLoopPolicy(single=9, several=8))
    assert found[:15] == [None] * 15
    assert said(found[15]) == (2, 8, 8)


def test_nine_calls_are_no_cycle() -> None:
    calls: list[Call] = [(str(at % 9), "same", False) for at in range(99)]
    assert fed(calls) == [None] * 99


def test_three_equal_failures_are_enough() -> None:
    calls: list[Call] = [("p", "no", True)] * 4
    found = fed(calls)
    assert found[:2] == [None, None]
    assert found[2] == ToolLoop("confirmed", ("f",), 3, 3, True, True, "steer")
    assert fed([("p", "no", False)] * 3)[-1] is None


@given(st.lists(CALLS, max_size=20))
def test_a_call_that_was_never_seen_ends_every_loop(calls: list[Call]) -> None:
    assert fed([*calls, ("new", "x", False)])[-1] is None


@given(st.lists(st.booleans(), min_size=4, max_size=9))
def test_the_order_of_members_makes_no_difference(flips: list[bool]) -> None:
    detector = ToolLoopDetector()
    spellings = ('{"a": 1, "b": 2}', '{"b": 2.0, "a": 1}')
    found = [detector.add("f", spellings[flip], "same") for flip in flips]
    assert [loop is not None for loop in found] == [at >= 3 for at in range(len(flips))]


def test_progress_is_no_loop() -> None:
    """Edits in between, a list of files, pages of one file."""
    names = "abcdefghijklmnopqrstuvwxyz"
    assert fed([("p", letter, False) for letter in names]) == [None] * 26
    edits: list[Call] = []
    for letter in names:
        edits += [("pytest", "failed", False), (letter, "done", False)]
    assert fed(edits) == [None] * 52
    detector = ToolLoopDetector()
    for at in range(40):
        assert detector.add("read", f'{{"offset": {at}}}', "") is None


def test_shapes_are_suspect() -> None:
    detector = ToolLoopDetector()
    found = [
        detector.add("test", f'{{"request_id": {at}}}', f"1 passed in 0.0{at}s")
        for at in range(9)
    ]
    assert found[2] is None
    assert [loop.level for loop in found[3:] if loop] == ["suspect"] * 6
    assert {loop.verdict for loop in found[3:] if loop} == {"watch"}


def test_an_exact_cycle_comes_before_a_shorter_shape() -> None:
    calls: list[Call] = [("p", "1" if at % 2 else "2", False) for at in range(8)]
    loop = fed(calls)[-1]
    assert loop is not None
    assert (loop.level, len(loop.names)) == ("confirmed", 2)


@pytest.mark.parametrize("name", ["wait", "Wait", *sorted(POLL_TOOLS)])
def test_tools_that_wait_may_be_asked_again(name: str) -> None:
    detector = ToolLoopDetector()
    for _ in range(20):
        assert detector.add(name, "{}", "running") is None
    for _ in range(9):
        detector.add("status", "{}", "running")
        assert detector.add(name, "{}", "") is None


def test_copies_go_on_by_themselves() -> None:
    detector = ToolLoopDetector()
    for _ in range(3):
        detector.add("f", "{}", "same")
    other = detector.copy()
    assert other.add("f", "{}", "same") is not None
    assert detector.loop() is None
    detector.reset()
    assert detector.add("f", "{}", "same") is None


def test_it_keeps_a_bounded_number() -> None:
    detector = ToolLoopDetector()
    for _ in range(1500):
        detector.note("f", "{}", "same")
    loop = detector.loop()
    assert loop is not None
    assert loop.times == 1024


def test_it_says_what_it_found() -> None:
    detector = ToolLoopDetector()
    for _ in range(4):
        detector.note("read" * 50, "{}", "x")
    one = str(detector.loop())
    assert re.fullmatch("the call of (read){16} came 4 times with the same result", one)
    for _ in range(3):
        detector.note("a", "{}", "x", error=True)
        detector.note("b", "{}", "x", error=True)
    two = "the cycle of calls of a, b came 3 times with the same error"
    assert str(detector.loop()) == two
    for _ in range(5):
        detector.note("c", "{}")
    three = "the call of c came 5 times with nothing new in between"
    assert str(detector.loop()) == three


@pytest.mark.parametrize(
    "changes",
    [
        {"cycle": 0},
        {"cycle": 17},
        {"single": 1},
        {"single_errors": 1},
        {"several": 21},
        {"unknown": -1},
        {"patience": 0},
    ],
)
def test_mistakes_are_told(changes: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match=next(iter(changes))):
        ToolLoopDetector(ToolLoopPolicy(**changes))
