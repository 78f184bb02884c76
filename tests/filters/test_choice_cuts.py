"""Tests of `llmwire.filters._choice_cuts`: choices that end before the model does."""

from __future__ import annotations

from llmwire.events import Extra, MessageEnd, PartEnd, PartStart, StreamEnd, TextDelta
from llmwire.filters._choice_cuts import ChoiceCuts
from llmwire.messages import TextPart


def _start(index: int, choice: int = 0) -> PartStart:
    return PartStart(index, TextPart(""), choice)


def _end(choice: int = 0) -> MessageEnd:
    return MessageEnd("max_tokens", choice=choice)


def test_without_a_cut_everything_is_as_it_came() -> None:
    cuts = ChoiceCuts(1)
    assert cuts.start(_start(0))
    event, unknown = TextDelta(0, "a"), TextDelta(7, "a")
    assert cuts.moved(event)[0] is event
    assert cuts.moved(unknown)[0] is unknown
    end = MessageEnd("end")
    assert cuts.message_end(end) == (end,)
    assert not cuts.made
    assert cuts.ended is None


def test_a_cut_of_the_only_choice_ends_the_answer() -> None:
    cuts = ChoiceCuts(1)
    cuts.start(_start(0))
    assert cuts.cut(0) == [StreamEnd()]
    assert cuts.made
    assert cuts.ended == _end()


def test_a_choice_goes_on_beside_one_that_is_cut() -> None:
    cuts = ChoiceCuts(2)
    cuts.start(_start(0, 0))
    cuts.start(_start(1, 1))
    assert cuts.cut(0) == [_end()]
    assert (cuts.is_cut(0), cuts.is_cut(1), cuts.is_cut(9)) == (True, False, False)
    assert cuts.ended is None
    assert cuts.moved(TextDelta(1, "a")) == (TextDelta(1, "a"),)
    end = MessageEnd("end", choice=1)
    assert cuts.message_end(end) == [end, StreamEnd()]
    assert cuts.ended == _end()


def test_a_choice_that_is_still_expected_keeps_the_answer_open() -> None:
    cuts = ChoiceCuts(3)
    cuts.start(_start(0, 0))
    cuts.message_end(MessageEnd("end", choice=1))
    assert cuts.cut(0) == [_end()]
    last = MessageEnd("end", choice=2)
    assert cuts.message_end(last) == [last, StreamEnd()]


def test_more_choices_than_expected_are_waited_for() -> None:
    cuts = ChoiceCuts(1)
    cuts.start(_start(0, 0))
    cuts.start(_start(1, 1))
    assert cuts.cut(1) == [_end(1)]
    assert cuts.cut(0) == [StreamEnd()]
    assert cuts.ended == _end(1)


def test_what_is_said_in_a_cut_choice_is_left_out() -> None:
    cuts = ChoiceCuts(2)
    cuts.start(_start(0, 0))
    cuts.cut(0)
    assert not cuts.start(_start(1, 0))
    assert cuts.start(_start(2, 1))
    assert cuts.moved(_start(2, 1)) == (_start(1, 1),)
    assert cuts.place(2) == "choices[1].parts[0]"
    assert (cuts.choice_of(1), cuts.choice_of(2)) == (0, 1)
    assert cuts.moved(TextDelta(0, "a")) == ()
    assert cuts.moved(TextDelta(1, "a")) == ()
    cuts.end(PartEnd(1))
    assert cuts.moved(PartEnd(1)) == ()
    assert cuts.message_end(MessageEnd("end")) == ()
    assert cuts.moved(Extra({}, index=0)) == (Extra({}, index=0),)
    assert cuts.moved(Extra({}, index=1)) == ()
    assert cuts.moved(Extra({})) == (Extra({}),)


def test_parts_that_are_open() -> None:
    cuts = ChoiceCuts(2)
    for index, choice in ((0, 0), (1, 1), (2, 0), (3, 0)):
        cuts.start(_start(index, choice))
    cuts.end(PartEnd(2))
    cuts.end(PartEnd(9))
    assert cuts.open_parts(0) == [0, 3]
    cuts.cut(0)
    assert cuts.open_parts(0) == []
    assert cuts.open_parts(1) == [1]
