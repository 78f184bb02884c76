"""Tests of `llmwire.filters._numbering`: indices in the order of going out."""

from __future__ import annotations

from llmwire.events import ArgumentsDelta, Extra, PartEnd, Ping, TextDelta
from llmwire.filters._numbering import Numbering


def test_parts_are_counted_as_they_go_out() -> None:
    numbering = Numbering()
    assert [numbering.start(3, 0), numbering.add(1), numbering.start(0, 1)] == [0, 1, 2]
    assert [numbering.out(3), numbering.out(0), numbering.out(1)] == [0, 2, None]
    assert numbering.place(0) == "choices[0].parts[0]"
    assert numbering.place(2) == "choices[1].parts[1]"


def test_events_are_moved() -> None:
    numbering = Numbering()
    numbering.start(1, 0)
    numbering.add(0)
    numbering.start(2, 0)
    same, ping, whole = TextDelta(2, "a"), Ping(), Extra({})
    assert numbering.moved(same)[0] is same
    assert numbering.moved(ping)[0] is ping
    assert numbering.moved(whole)[0] is whole
    assert numbering.moved(TextDelta(1, "a")) == (TextDelta(0, "a"),)
    assert numbering.moved(ArgumentsDelta(1, "a")) == (ArgumentsDelta(0, "a"),)
    assert numbering.moved(PartEnd(1)) == (PartEnd(0),)
    assert numbering.moved(TextDelta(0, "a")) == ()


def test_a_part_can_stand_for_another() -> None:
    numbering = Numbering()
    out = numbering.add(0)
    numbering.alias(7, out)
    assert numbering.moved(Extra({}, index=7)) == (Extra({}, index=0),)
