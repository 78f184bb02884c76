"""Tests of `llmwire.filters._proper_calls`."""

from __future__ import annotations

from msgspec import Raw

from llmwire.events import ArgumentsDelta, Extra, PartEnd, PartStart
from llmwire.filters._call_bodies._found import FoundCall
from llmwire.filters._numbering import Numbering
from llmwire.filters._proper_calls import ProperCalls
from llmwire.messages import ToolCallPart

F = FoundCall("f", '{"a": 1, "b": 2}')


def start(index: int, name: str = "f", arguments: str = "") -> PartStart:
    """A call begins."""
    return PartStart(index, ToolCallPart(call_id="c", name=name, arguments=arguments))


def proper(limit: int = 99) -> ProperCalls:
    """Calls of one answer."""
    return ProperCalls(Numbering(), limit)


def test_calls_are_the_same_however_they_are_spelled() -> None:
    calls = proper()
    begin = start(0, arguments='{"b":2,')
    assert calls.start(begin, begin.part) == (begin,)  # type: ignore[arg-type]  # a call by construction
    assert not calls.has(0, F)
    calls.grow(ArgumentsDelta(0, ' "a":1}'))
    assert calls.end(PartEnd(0)) == [PartEnd(0)]
    assert calls.has(0, F)
    assert not calls.has(1, F)
    assert not calls.has(0, FoundCall("f", "{}"))
    assert not calls.has(0, FoundCall("g", F.arguments))


def test_arguments_that_are_no_json_are_compared_as_texts() -> None:
    calls = proper()
    for arguments in ("{", "[" * 100_000):
        begin = start(0, arguments=arguments)
        calls.start(begin, begin.part)  # type: ignore[arg-type]  # a call by construction
        calls.end(PartEnd(0))
        assert calls.has(0, FoundCall("f", arguments))
    assert not calls.has(0, FoundCall("f", "{ "))


def test_what_is_expected_is_held_and_left_out() -> None:
    calls = proper()
    calls.expect(0, F)
    begin = start(0, arguments=F.arguments)
    assert calls.start(begin, begin.part) == ()  # type: ignore[arg-type]  # a call by construction
    assert calls.keeps(Extra({"k": Raw(b"1")}, 0), 0)
    assert not calls.keeps(Extra({"k": Raw(b"1")}, 1), 1)
    assert calls.held == len(F.arguments)
    assert calls.end(PartEnd(0)) == ()
    assert calls.held == 0
    (loss,) = calls.losses
    assert (loss.path, loss.action) == ("choices[0]", "dropped")


def test_another_call_of_the_same_tool_goes_out_whole() -> None:
    calls = proper()
    calls.expect(0, F)
    begin, growth, end = start(0), ArgumentsDelta(0, "{}"), PartEnd(0)
    calls.start(begin, begin.part)  # type: ignore[arg-type]  # a call by construction
    assert calls.grow(growth) == ()
    assert calls.end(end) == [begin, growth, end]
    assert calls.losses == ()


def test_other_tools_are_not_held() -> None:
    calls = proper()
    calls.expect(0, F)
    begin = start(0, "g")
    assert calls.start(begin, begin.part) == (begin,)  # type: ignore[arg-type]  # a call by construction
    assert not calls.keeps(PartEnd(0), 0)


def test_a_call_that_is_too_long_is_let_go() -> None:
    calls = proper(limit=10)
    calls.expect(0, F)
    begin = start(0)
    calls.start(begin, begin.part)  # type: ignore[arg-type]  # a call by construction
    growth = ArgumentsDelta(0, F.arguments[:11])
    rest = ArgumentsDelta(0, F.arguments[11:])
    assert calls.grow(growth) == [begin, growth]
    assert calls.grow(rest) == (rest,)
    assert calls.grow(rest) == (rest,)
    assert calls.end(PartEnd(0)) == [PartEnd(0)]


def test_the_end_of_the_stream() -> None:
    calls = proper()
    calls.expect(0, F)
    begin = start(0)
    calls.start(begin, begin.part)  # type: ignore[arg-type]  # a call by construction
    assert calls.finish() == [begin]
    assert calls.finish() == []


def test_other_parts_are_none_of_its_business() -> None:
    calls = proper()
    assert calls.grow(ArgumentsDelta(3, "x")) == ()
    assert calls.end(PartEnd(3)) == ()
