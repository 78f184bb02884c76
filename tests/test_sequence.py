"""Tests of `llmwire._sequence`: one open part per choice, whatever comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from llmwire._fold import fold
from llmwire._sequence import Sequencer
from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Extra,
    MediaDelta,
    MessageEnd,
    MessageStart,
    OpaqueEvent,
    PartEnd,
    PartStart,
    Ping,
    ReasoningDelta,
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.grammar import check
from llmwire.limits import Limits
from llmwire.losses import Loss, LossRecorder
from llmwire.messages import (
    Base64,
    Citation,
    MediaPart,
    ReasoningPart,
    Signature,
    TextPart,
    ToolCallPart,
)
from llmwire.strategies import sentences, ungrammatical_sentences

TEXT = TextPart("")
CALL = ToolCallPart(call_id="c", name="f")
EXTRA = Extra({"x": Raw(b"1")}, index=0)


def sequenced(
    events: list[Event], *, single: bool = True, limit: int = 10**6
) -> tuple[list[Event], tuple[Loss, ...]]:
    """What a sequencer makes of `events`, and what it could not keep."""
    losses = LossRecorder(response=True)
    sequencer = Sequencer(losses, Limits(arguments=limit), single=single)
    due = [due for event in events for due in sequencer.send(event)]
    return due, losses.losses


def numbered(events: list[Event]) -> list[Event]:
    """`events` with indices in the order of their parts, as whoever writes counts."""
    places: dict[int, int] = {}
    counted: list[Event] = []
    for event in events:
        if isinstance(event, PartStart):
            places[event.index] = len(places)
        index: int | None = getattr(event, "index", None)
        if index is not None:
            event = replace(event, index=places[index])
        counted.append(event)
    return counted


def is_sequential(events: list[Event]) -> bool:
    """No part starts while one of its choice is open."""
    open_parts: dict[int, int] = {}
    for event in events:
        if isinstance(event, PartStart):
            if event.choice in open_parts.values():
                return False
            open_parts[event.index] = event.choice
        elif isinstance(event, PartEnd):
            del open_parts[event.index]
    return True


@given(sentences("openai-chat"), st.booleans())
def test_every_sentence_becomes_sequential(events: list[Event], single: bool) -> None:
    given, _ = sequenced(events, single=single)
    check(numbered(given))
    assert is_sequential(given)


@given(sentences("openai-responses", choices=1, failing=False))
def test_nothing_of_one_answer_is_lost(events: list[Event]) -> None:
    given, losses = sequenced(events)
    assert fold(numbered(given)) == fold(events)
    assert losses == ()
    assert _by_part(given) == _by_part(events)


@given(sentences("gemini", choices=3, failing=False))
def test_nothing_of_several_answers_is_lost(events: list[Event]) -> None:
    given, losses = sequenced(events, single=False)
    assert fold(numbered(given)) == fold(events)
    assert losses == ()
    assert _by_part(given) == _by_part(events)


def _by_part(events: list[Event]) -> dict[int | None, list[Event]]:
    found: dict[int | None, list[Event]] = {}
    for event in events:
        found.setdefault(getattr(event, "index", None), []).append(event)
    return found


@given(sentences("openai-chat", choices=3, failing=False))
def test_of_several_answers_one_is_kept_and_the_others_are_told(
    events: list[Event],
) -> None:
    given, losses = sequenced(events)
    response, whole = fold(numbered(given)), fold(events)
    (kept,) = response.choices
    assert kept in whole.choices
    told = {loss.path for loss in losses}
    assert told == {f"choices[{c.index}]" for c in whole.choices if c != kept}


@given(ungrammatical_sentences(), st.booleans())
def test_whatever_comes_in_parts_stay_in_a_row(
    events: list[Event], single: bool
) -> None:
    given, _ = sequenced(events, single=single)
    inner: list[Event] = [
        e for e in given if isinstance(e, (PartStart, PartEnd, *_GROWTH))
    ]
    assert is_sequential(inner)
    open_parts: set[int] = set()
    for event in inner:
        if isinstance(event, PartStart):
            open_parts.add(event.index)
        elif isinstance(event, PartEnd):
            open_parts.remove(event.index)
        else:
            assert getattr(event, "index", None) in open_parts


_GROWTH = (TextDelta, ReasoningDelta, ArgumentsDelta, MediaDelta)


def test_the_first_streams_and_the_others_wait() -> None:
    sequencer = Sequencer(LossRecorder(response=True), Limits())
    first, second, third = (PartStart(at, CALL) for at in range(3))
    assert sequencer.streaming is None
    assert sequencer.send(first) == [first]
    assert sequencer.streaming == 0
    assert sequencer.send(second) == sequencer.send(third) == []
    assert sequencer.streaming is None
    for index in (2, 0, 1):
        due = sequencer.send(ArgumentsDelta(index, "{}"))
        assert due == ([ArgumentsDelta(0, "{}")] if index == 0 else [])
    assert sequencer.send(PartEnd(1)) == []
    assert sequencer.send(PartEnd(0)) == [
        PartEnd(0),
        second,
        ArgumentsDelta(1, "{}"),
        PartEnd(1),
        third,
        ArgumentsDelta(2, "{}"),
    ]
    assert sequencer.streaming == 2
    assert sequencer.send(PartEnd(2)) == [PartEnd(2)]
    assert sequencer.streaming is None


def test_only_an_answer_of_its_own_may_bypass() -> None:
    sequencer = Sequencer(LossRecorder(response=True), Limits(), single=False)
    sequencer.send(PartStart(0, TEXT))
    assert sequencer.streaming == 0
    assert sequencer.send(PartStart(1, TEXT, 1)) == [PartStart(1, TEXT, 1)]
    assert sequencer.streaming is None
    sequencer.send(PartEnd(1))
    assert sequencer.streaming is None


def test_late_annotations_wait_with_their_part() -> None:
    signed = SignatureDelta(1, Signature(origin="gemini", value="s"))
    cited = CitationDelta(0, Citation(kind="url"))
    events: list[Event] = [
        MessageStart(),
        PartStart(0, TEXT),
        PartStart(1, CALL),
        PartEnd(1),
        signed,
        PartEnd(0),
        cited,
        MessageEnd("end"),
        EXTRA,
        StreamEnd(),
    ]
    given, _ = sequenced(events)
    assert given == [
        *events[:2],
        PartEnd(0),
        PartStart(1, CALL),
        PartEnd(1),
        signed,
        cited,
        MessageEnd("end"),
        EXTRA,
        StreamEnd(),
    ]


def test_an_end_closes_what_is_open() -> None:
    events: list[Event] = [
        PartStart(0, TEXT),
        PartStart(1, TEXT),
        TextDelta(1, "b"),
        MessageEnd("end"),
    ]
    assert sequenced(events)[0] == [
        PartStart(0, TEXT),
        PartEnd(0, "incomplete"),
        PartStart(1, TEXT),
        TextDelta(1, "b"),
        PartEnd(1, "incomplete"),
        MessageEnd("end"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        TextDelta(7, "x"),
        PartEnd(7),
        PartStart(0, TEXT),
        PartStart(1, TEXT),
        TextDelta(2, "x"),
        PartEnd(2),
        OpaqueEvent("x", "y", Raw(b"1"), 2),
        TextDelta(1, "x"),
        PartEnd(1),
    ],
)
def test_what_is_out_of_order_is_left_out(wrong: Event) -> None:
    before: list[Event] = [
        PartStart(2, TEXT),
        PartEnd(2),
        PartStart(0, TEXT),
        PartStart(1, TEXT),
        PartEnd(1),
    ]
    after: list[Event] = [PartEnd(0), MessageEnd("end")]
    assert sequenced([*before, wrong, *after]) == sequenced([*before, *after])


@pytest.mark.parametrize(
    "late",
    [
        TextDelta(0, "x"),
        PartEnd(0),
        PartStart(1, TEXT),
        MessageEnd("end"),
        SignatureDelta(0, Signature(origin="x", value="s")),
    ],
)
def test_nothing_follows_the_end_of_a_choice(late: Event) -> None:
    events: list[Event] = [PartStart(0, TEXT), PartEnd(0), MessageEnd("end")]
    assert sequenced([*events, late])[0] == events


def test_one_answer_is_the_first_that_says_anything() -> None:
    events: list[Event] = [
        Ping(),
        Extra({"x": Raw(b"1")}),
        Extra({"x": Raw(b"1")}, choice=1),
        Extra({"x": Raw(b"1")}, choice=0),
        PartStart(0, TEXT),
        TextDelta(0, "a"),
        PartEnd(0),
        MessageEnd("end"),
        PartStart(1, TEXT, 1),
    ]
    given, losses = sequenced(events)
    assert given == [*events[:3], events[-1]]
    (loss,) = losses
    assert (loss.path, loss.feature, loss.action) == (
        "choices[0]",
        "choices",
        "dropped",
    )
    assert sequenced(events, single=False)[0] == events


class TestTheLimit:
    """What may wait for its turn is bounded."""

    @pytest.mark.parametrize(
        "growth",
        [
            TextDelta(1, "x" * 10),
            ArgumentsDelta(1, "x" * 10),
            MediaDelta(1, "x" * 12),
            ReasoningDelta(1, "x" * 10),
            SignatureDelta(1, Signature(origin="x", value="s")),
            PartEnd(1),
        ],
    )
    def test_too_much_fails_the_stream_for_good(self, growth: Event) -> None:
        picture = MediaPart(kind="image", source=Base64(""))
        for part in (TEXT, CALL, picture, ReasoningPart()):
            start: list[Event] = [PartStart(0, TEXT), PartStart(1, part)]
            sequencer = Sequencer(LossRecorder(response=True), Limits(arguments=70))
            assert [sequencer.send(event) for event in start] == [[start[0]], []]
            (failed,) = sequencer.send(growth)
            assert isinstance(failed, StreamError)
            assert failed.error.kind == "bad_upstream"
            assert sequencer.send(Ping()) == []

    def test_the_first_part_does_not_wait(self) -> None:
        growth: list[Event] = [TextDelta(0, "x" * 100)] * 10
        events = [PartStart(0, TEXT), *growth]
        assert sequenced(events, limit=70)[0] == events

    def test_what_was_said_waits_no_more(self) -> None:
        events: list[Event] = [PartStart(0, TEXT)]
        for at in range(1, 50):
            events += [PartStart(at, TEXT), TextDelta(at, "x" * 30), PartEnd(at - 1)]
        given, _ = sequenced(events, limit=100)
        assert len(given) == len(events)

    def test_it_is_the_same_for_every_round(self) -> None:
        """Parts that came and went leave no room for more."""
        events: list[Event] = [PartStart(0, TEXT)]
        for at in range(1, 50):
            events += [PartStart(at, TEXT), PartEnd(at), PartEnd(at - 1)]
            events += [PartStart(at + 100, TEXT), PartEnd(at + 100)]
        flood: list[Event] = [
            PartStart(200, TEXT),
            PartStart(201, TEXT),
            TextDelta(201, "x" * 900),
        ]
        given, _ = sequenced([*events, *flood], limit=900)
        assert isinstance(given[-1], StreamError)
