"""Tests of `llmwire._answer`: the head, and how an error can still be given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmwire._answer import Answer, Plan, bad_answer
from llmwire.context import Context
from llmwire.events import (
    MessageEnd,
    MessageStart,
    PartStart,
    Ping,
    StreamEnd,
    TextDelta,
    UsageUpdate,
)
from llmwire.http import Head
from llmwire.messages import APIError, Choice, Response, TextPart, Usage
from llmwire.profiles import Profile
from tests.toys import OTHER, TOY, frame

DOWN = APIError(kind="overloaded", message="down", status=503, retry_after=2)


def _answer(**fields: Any) -> Answer:
    context = Context(
        source=TOY.name, target=OTHER.name, profile=Profile(), upstream_model="big"
    )
    given: dict[str, Any] = {"context": context, "client": TOY, "upstream": OTHER}
    return Answer(Plan(**(given | {"stream": True} | fields)))


def test_the_first_event_of_an_answer_decides() -> None:
    for event in (PartStart(0, TextPart("")), MessageEnd("end"), StreamEnd()):
        answer = _answer()
        answer.note(MessageStart("1"))
        answer.note(Ping())
        answer.note(UsageUpdate(Usage(output=1)))
        assert answer.head is None
        answer.note(event)
        assert answer.head is not None
        assert answer.head.status == 200
        assert ("cache-control", "no-cache") in answer.head.headers
        assert answer.answering


def test_an_answer_that_is_not_streamed_is_decided_when_it_is_whole() -> None:
    answer = _answer(stream=False)
    answer.note(PartStart(0, TextPart("")))
    assert answer.head is None
    body = answer.whole(b"{}")
    assert answer.head == Head(
        200, (("content-type", "application/json"), ("content-length", "2"))
    )
    assert (body, answer.over, answer.closed) == (b"{}", True, True)


def test_a_json_array_is_json() -> None:
    answer = _answer(framing="json-array")
    answer.commit()
    assert answer.head is not None
    assert answer.head.headers == (("content-type", "application/json"),)


def test_first_output_is_not_empty() -> None:
    answer = _answer()
    answer.note(TextDelta(0, ""))
    assert not answer.first_output
    answer.note(TextDelta(0, "a"))
    answer.note(TextDelta(0, ""))
    assert answer.first_output


def test_whole_answers_tell_what_they_are() -> None:
    answer = _answer()
    answer.learn(Response(usage=Usage(output=3)))
    assert (answer.tally.usage, answer.tally.stop) == (Usage(output=3), None)
    assert not answer.first_output
    answer.learn(Response(choices=(Choice(parts=(TextPart("a"),), stop="end"),)))
    assert answer.tally.stop == "end"
    assert answer.first_output


def test_an_error_before_the_head_is_a_status() -> None:
    answer = _answer()
    answer.upstream_headers = (
        ("x-id", "7"),
        ("retry-after", "9"),
        ("x-limit-rest", "1"),
        ("set-cookie", "no"),
    )
    assert answer.fail(DOWN) == b""
    assert answer.error_body is not None
    assert json.loads(answer.error_body)["error"] == "down"
    assert answer.head == Head(
        503,
        (
            ("content-type", "application/json"),
            ("retry-after", "2"),
            ("content-length", str(len(answer.error_body))),
            ("x-id", "7"),
            ("x-limit-rest", "1"),
        ),
    )
    assert not answer.answering
    assert answer.tally.error == DOWN


def test_an_error_behind_the_head_is_one_of_the_stream() -> None:
    answer = _answer()
    answer.commit()
    assert answer.fail(DOWN) == frame(error="down")
    assert answer.closed
    assert answer.fail(DOWN) == b""


def test_an_error_in_a_stream_passed_through_is_the_dialects_own() -> None:
    answer = _answer()
    answer.passing = True
    answer.note(MessageStart("7"))
    answer.commit()
    assert answer.fail(DOWN) == frame(error="down", of="7")


def test_a_stream_passed_through_is_not_closed_by_its_end() -> None:
    answer = _answer()
    answer.passing = answer.over = True
    assert not answer.closed


def test_both_sides_are_those_of_the_context() -> None:
    answer = _answer(seed="s", created=1.0)
    assert answer.target().seed == "s"
    assert answer.source().model == "big"
    assert not answer.decoder("sse").done


@pytest.mark.parametrize("status", [502])
def test_bad_answers_are_the_upstreams_fault(status: int) -> None:
    assert bad_answer("what").status == status
