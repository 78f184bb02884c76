"""What stream decoders remember of their parts: any calls, legal sentences."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Final, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from msgspec import Raw

from llmwire._ids import is_minted_call
from llmwire._parts import PartTracker, whole_arguments
from llmwire.events import (
    ArgumentsDelta,
    Event,
    Extra,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    Ping,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.grammar import GrammarChecker, State
from llmwire.limits import Limits
from llmwire.messages import (
    APIError,
    Base64,
    MediaPart,
    OpaquePart,
    Part,
    ServerToolCallPart,
    StopDetail,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from llmwire.strategies import errors, parts, texts

TEXT = TextPart(text="")
CALL = ToolCallPart(call_id="1", name="f")
CUSTOM = ToolCallPart(call_id="2", name="g", kind="custom")
HOSTED = ServerToolCallPart(name="search")


def _tracker(**limits: int) -> PartTracker:
    return PartTracker("gemini", Limits(**limits), "seed")


def _error(tracker: PartTracker) -> APIError:
    last = tracker.drain()[-1]
    assert isinstance(last, StreamError)
    return last.error


# Any calls in any order

Move: TypeAlias = Callable[[DataObject, PartTracker], object]

INDICES: Final = st.integers(-1, 6)
CHOICES: Final = st.integers(0, 2)
ANSWERS: Final = parts(dialect="anthropic").filter(
    lambda part: not isinstance(part, ToolResultPart)
)


def _final(tracker: PartTracker, index: int) -> Part | None:
    part = tracker.part(index) if tracker.is_open(index) else None
    vouched = (MediaPart, ServerToolCallPart, OpaquePart)
    return part if isinstance(part, vouched) else None


def _close(data: DataObject, tracker: PartTracker) -> None:
    index = data.draw(INDICES)
    final = _final(tracker, index) if data.draw(st.booleans()) else None
    tracker.close(index, incomplete=data.draw(st.booleans()), final=final)


def _emit(data: DataObject, tracker: PartTracker) -> None:
    if tracker.started:
        tracker.emit(Ping())
        for index in tracker.open_parts():
            if isinstance(tracker.part(index), TextPart):
                tracker.emit(TextDelta(index, data.draw(texts())))


MOVES: Final[tuple[Move, ...]] = (
    lambda data, t: t.start(data.draw(st.sampled_from((None, "r"))), "m", 1.0, Usage()),
    lambda data, t: t.open(data.draw(ANSWERS), data.draw(CHOICES)),
    lambda data, t: t.open(data.draw(ANSWERS)),
    lambda data, t: t.arguments(data.draw(INDICES), data.draw(texts())),
    lambda data, t: t.arguments(data.draw(INDICES), '{"a":'),
    lambda data, t: t.close_all(data.draw(st.sampled_from((None, 0, 1)))),
    lambda data, t: t.close_all(incomplete=True),
    lambda data, t: t.end("end", "stop", choice=data.draw(CHOICES)),
    lambda data, t: t.finish(),
    lambda data, t: t.fail(data.draw(errors())),
    lambda data, t: t.fail_upstream("garbage", Raw(b"1")),
    lambda data, t: t.fail_truncated(),
    lambda data, t: t.violation("x"),
    lambda data, t: t.call_id(None),
    _close,
    _close,
    _emit,
)
MANY: Final = st.lists(st.integers(0, len(MOVES) - 1), max_size=30)


@given(MANY, st.integers(0, 12), st.integers(0, 4), st.data())
def test_whatever_is_called_is_a_sentence(
    moves: list[int], arguments: int, count: int, data: DataObject
) -> None:
    tracker = _tracker(arguments=arguments, parts=count)
    checker = GrammarChecker()
    for move in moves:
        MOVES[move](data, tracker)
        for event in tracker.drain():
            checker.check(event)
    tracker.finish()
    for event in tracker.drain():
        checker.check(event)
    assert checker.state is State.DONE
    assert tracker.done


@given(MANY, st.data())
def test_calls_end_incomplete_exactly_when_they_are(
    moves: list[int], data: DataObject
) -> None:
    tracker = _tracker()
    for move in moves:
        MOVES[move](data, tracker)
    said: dict[int, str] = {}
    opened: dict[int, Part] = {}
    for event in tracker.drain():
        if isinstance(event, PartStart):
            opened[event.index] = event.part
            said[event.index] = ""
        elif isinstance(event, ArgumentsDelta):
            said[event.index] += event.text
        elif isinstance(event, PartEnd):
            part = opened[event.index]
            if isinstance(part, ToolCallPart) and part.kind == "function":
                complete = whole_arguments(said[event.index])
                assert (event.status == "complete") is complete


@given(MANY, st.data())
def test_a_tracker_can_be_pickled(moves: list[int], data: DataObject) -> None:
    tracker = _tracker()
    for move in moves:
        MOVES[move](data, tracker)
    copy = pickle.loads(pickle.dumps(tracker))
    for other in (tracker, copy):
        other.finish()
    assert copy.drain() == tracker.drain()
    assert copy.violations == tracker.violations


# One by one


@pytest.mark.parametrize("text", ["", " \n", "{}", "null", "1", ' {"a": 1}\n', "NaN"])
def test_arguments_that_are_whole(text: str) -> None:
    assert whole_arguments(text)


@pytest.mark.parametrize("text", ["{", '{"a":', "{}{}", "a", "\x00"])
def test_arguments_that_are_not(text: str) -> None:
    assert not whole_arguments(text)


@given(texts())
@example("[" * 100_000)
def test_any_text_is_one_or_the_other(text: str) -> None:
    assert isinstance(whole_arguments(text), bool)


def test_start_is_said_once() -> None:
    tracker = _tracker()
    assert not tracker.started
    tracker.start("r", "m", 1.0, Usage(output=1))
    tracker.start("other")
    assert tracker.started
    assert tracker.drain() == [MessageStart("r", "m", 1.0, Usage(output=1), "gemini")]
    assert tracker.drain() == []


def test_nothing_starts_after_the_end() -> None:
    tracker = _tracker()
    tracker.fail_truncated()
    tracker.drain()
    tracker.start()
    assert tracker.open(TEXT) == -1
    tracker.end("end")
    tracker.finish()
    tracker.emit(Ping())
    tracker.fail_upstream("again")
    assert tracker.drain() == []
    assert not tracker.started


def test_open_starts_the_message() -> None:
    tracker = _tracker()
    assert tracker.open(TEXT, 2) == 0
    assert tracker.open(CALL) == 1
    assert tracker.drain() == [
        MessageStart(dialect="gemini"),
        PartStart(0, TEXT, 2),
        PartStart(1, CALL, 0),
    ]
    assert tracker.is_open(0)
    assert not tracker.is_open(2)
    assert tracker.part(1) == CALL
    assert tracker.open_parts() == (0, 1)
    assert tracker.open_parts(0) == (1,)
    assert tracker.open_parts(7) == ()


def test_a_part_after_the_end_of_its_choice_is_counted() -> None:
    tracker = _tracker()
    tracker.end("end", choice=1)
    assert tracker.open(TEXT, 1) == -1
    assert tracker.open(TEXT, 0) == 0
    assert tracker.violations == {"part-after-end": 1}
    assert tracker.ended(1)
    assert not tracker.ended(0)
    assert not tracker.ended(5)


def test_too_many_parts() -> None:
    tracker = _tracker(parts=1)
    assert tracker.open(TEXT) == 0
    assert tracker.open(TEXT) == -1
    error = _error(tracker)
    assert error.kind == "bad_upstream"
    assert error.message == "the upstream sent more than 1 parts"
    assert error.status == 502


def test_call_ids() -> None:
    tracker, same = _tracker(), _tracker()
    assert tracker.call_id("native") == "native"
    first, second = tracker.call_id(None), tracker.call_id("")
    assert is_minted_call(first)
    assert is_minted_call(second)
    assert first != second
    assert same.call_id("") == first


def test_arguments() -> None:
    tracker = _tracker()
    tracker.open(CALL)
    tracker.open(TEXT)
    tracker.open(HOSTED)
    tracker.drain()
    assert tracker.arguments_so_far(0) == ""
    tracker.arguments(0, '{"a"')
    tracker.arguments(0, "")
    tracker.arguments(0, ":1}")
    tracker.arguments(1, "no call")
    tracker.arguments(9, "no part")
    tracker.arguments(2, "{}")
    assert tracker.arguments_so_far(0) == '{"a":1}'
    assert tracker.arguments_so_far(0) == '{"a":1}'
    assert tracker.arguments_so_far(2) == "{}"
    tracker.close_all()
    tracker.arguments(0, "ended")
    assert tracker.drain() == [
        ArgumentsDelta(0, '{"a"'),
        ArgumentsDelta(0, ":1}"),
        ArgumentsDelta(2, "{}"),
        PartEnd(0),
        PartEnd(1),
        PartEnd(2),
    ]


def test_arguments_are_limited_over_all_open_calls() -> None:
    tracker = _tracker(arguments=4)
    for _ in range(2):
        index = tracker.open(CALL)
        tracker.arguments(index, "1234")
        tracker.close(index)
    one, two = tracker.open(CALL), tracker.open(CUSTOM)
    tracker.arguments(one, "123")
    tracker.arguments(two, "45")
    tracker.arguments(one, "6")
    assert _error(tracker).message == (
        "the upstream sent more than 4 argument characters"
    )


@pytest.mark.parametrize(
    ("part", "text", "incomplete", "status"),
    [
        (CALL, "{}", True, "complete"),
        (CALL, "", True, "complete"),
        (CALL, "{", False, "incomplete"),
        (CUSTOM, "{", False, "complete"),
        (CUSTOM, "{}", True, "incomplete"),
        (HOSTED, "{", False, "complete"),
        (TEXT, "", False, "complete"),
        (TEXT, "", True, "incomplete"),
    ],
)
def test_close(part: Part, text: str, incomplete: bool, status: str) -> None:
    tracker = _tracker()
    tracker.open(part)
    tracker.arguments(0, text)
    tracker.close(0, incomplete=incomplete)
    tracker.close(0)
    tracker.close(7)
    ends = [event for event in tracker.drain() if isinstance(event, PartEnd)]
    assert [end.status for end in ends] == [status]


def test_close_with_a_final() -> None:
    tracker = _tracker()
    final = MediaPart(kind="image", source=Base64("YWJj"))
    tracker.open(MediaPart(kind="image", source=Base64("")))
    tracker.close(0, final=final)
    assert tracker.drain()[-1] == PartEnd(0, "complete", final)


def test_close_says_nothing_after_the_end() -> None:
    tracker = _tracker()
    tracker.open(CALL)
    tracker.fail(APIError(kind="internal", message="m"))
    tracker.drain()
    tracker.arguments(0, "{}")
    tracker.close(0)
    assert tracker.drain() == []
    assert not tracker.is_open(0)


def test_end_closes_the_parts_of_its_choice() -> None:
    tracker = _tracker()
    tracker.open(TEXT)
    tracker.open(TEXT, 1)
    tracker.drain()
    detail = StopDetail("cyber")
    tracker.end("refusal", "r", stop_sequence="s", detail=detail)
    assert tracker.drain() == [PartEnd(0), MessageEnd("refusal", "r", "s", detail, 0)]
    tracker.end("end")
    assert tracker.drain() == []
    assert tracker.violations == {"repeated-finish": 1}
    tracker.close_all(1, incomplete=True)
    assert tracker.drain() == [PartEnd(1, "incomplete")]


def test_finish() -> None:
    tracker = _tracker()
    tracker.end("end")
    tracker.finish()
    tracker.finish()
    assert tracker.drain() == [
        MessageStart(dialect="gemini"),
        MessageEnd("end"),
        StreamEnd(),
    ]
    assert tracker.violations == {}


def test_finish_without_stop_words() -> None:
    tracker = _tracker()
    tracker.open(TEXT, 1)
    tracker.open(TEXT, 0)
    tracker.drain()
    tracker.finish()
    assert tracker.drain() == [
        PartEnd(0),
        MessageEnd("other", choice=1),
        PartEnd(1),
        MessageEnd("other", choice=0),
        StreamEnd(),
    ]
    assert tracker.violations == {"terminator-without-finish": 1}


def test_finish_without_anything() -> None:
    tracker = _tracker()
    tracker.finish()
    assert tracker.drain() == [
        MessageStart(dialect="gemini"),
        MessageEnd("other"),
        StreamEnd(),
    ]


def test_failures() -> None:
    tracker = _tracker()
    tracker.fail_upstream("no JSON", Raw(b"1"))
    assert _error(tracker) == APIError(
        kind="bad_upstream", message="no JSON", status=502, raw=Raw(b"1")
    )
    tracker = _tracker()
    tracker.fail_truncated()
    assert _error(tracker).kind == "truncated"
    tracker = _tracker()
    tracker.fail_limit("too much")
    assert _error(tracker).message == "the upstream sent too much"


def test_emit_and_violation() -> None:
    tracker = _tracker()
    tracker.start()
    tracker.drain()
    said: list[Event] = [Ping(), Extra({"a": Raw(b"1")})]
    for event in said:
        tracker.emit(event)
    assert tracker.drain() == said
    tracker.violation("a")
    tracker.violation("a")
    tracker.violation("b")
    assert tracker.violations == {"a": 2, "b": 1}
