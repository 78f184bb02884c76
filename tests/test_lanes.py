"""Tests of `llmwire._lanes`: each kind of upstream answer, for each kind of client."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire._answer import Answer, Plan
from llmwire._lanes import (
    Lane,
    RawLane,
    SniffLane,
    StreamLane,
    body_lane,
    error_lane,
    holds_list,
)
from llmwire.context import Context
from llmwire.dialects import get
from llmwire.events import Event, TextDelta
from llmwire.limits import Limits
from llmwire.messages import Usage
from llmwire.profiles import Profile
from tests.toys import OTHER, SILENT, TOY, frame

SSE = (("content-type", "text/event-stream; charset=utf-8"),)
JSON = (("content-type", "Application/JSON"),)
BODY = b'{"id": "1", "TEXT": "so", "stop": "end", "usage": 3}'
STREAM = (
    frame(start="1"),
    frame(TEXT="s"),
    frame(TEXT="o"),
    frame(usage=3),
    frame(stop="end"),
    frame(),
)


def _plan(**fields: Any) -> Plan:
    context = Context(target=OTHER.name, profile=Profile(), source=None)
    plan = Plan(context=context, client=TOY, upstream=OTHER, stream=True)
    return replace(plan, **fields)


def _fed(lane: Lane, *chunks: bytes) -> bytes:
    return b"".join([*map(lane.receive, chunks), lane.end()])


def _sniffed(answer: Answer, headers: Any, *chunks: bytes) -> bytes:
    return _fed(SniffLane(answer, headers), *chunks)


# --- Errors and whole bodies -----------------------------------------------------


def test_an_error_reply_is_collected() -> None:
    answer = Answer(_plan())
    lane = error_lane(answer, 429, (("retry-after", "2"),))
    assert _fed(lane, b'{"error":', b'"slow"}') == b""
    assert answer.head is not None
    assert answer.head.status == 429
    assert ("retry-after", "2") in answer.head.headers
    assert json.loads(answer.error_body or b"")["error"] == "slow"


def test_a_redirection_is_no_answer() -> None:
    answer = Answer(_plan())
    _fed(error_lane(answer, 302, ()), b"elsewhere")
    assert answer.head is not None
    assert answer.head.status == 502
    assert b"status 302" in (answer.error_body or b"")


def test_bodies_have_a_limit() -> None:
    for make in (body_lane, lambda a: error_lane(a, 500, ())):
        answer = Answer(_plan(limits=Limits(body=4)))
        lane = make(answer)
        assert lane.receive(b"123") == lane.receive(b"45") == b""
        assert answer.failed
        assert b"more than 4 bytes" in (answer.error_body or b"")


def test_a_body_for_a_client_that_wants_one() -> None:
    answer = Answer(_plan(stream=False))
    out = _fed(body_lane(answer), BODY[:9], BODY[9:])
    assert json.loads(out) == {"id": "1", "text": "so", "stop": "end", "usage": 3}
    assert answer.tally.usage == Usage(output=3)
    assert (answer.tally.stop, answer.over) == ("end", True)


def test_a_body_for_a_client_that_wants_a_stream() -> None:
    answer = Answer(_plan())
    out = _fed(body_lane(answer), BODY)
    assert out == b"".join(
        (
            frame(start="1"),
            frame(text="so"),
            frame(stop="end"),
            frame(usage=3),
            frame(),
        )
    )
    assert answer.answering


def test_a_body_that_says_nothing_is_still_an_answer() -> None:
    answer = Answer(_plan())
    assert _fed(body_lane(answer), b"{}").endswith(frame())
    assert answer.head is not None
    assert answer.head.status == 200
    assert answer.tally.usage is None


def test_a_body_passed_through_is_the_same() -> None:
    answer = Answer(_plan(stream=False, raw=True))
    assert _fed(body_lane(answer), BODY) == BODY
    assert answer.tally.stop == "end"


@pytest.mark.parametrize("counting", [True, False])
def test_an_error_inside_a_body_is_one(counting: bool) -> None:
    answer = Answer(_plan(counting=counting))
    assert _fed(body_lane(answer), b'{"error": "no"}') == b""
    assert answer.failed


@pytest.mark.parametrize("counting", [True, False])
def test_garbage_is_the_upstreams_fault(counting: bool) -> None:
    answer = Answer(_plan(counting=counting))
    _fed(body_lane(answer), b"<html>")
    assert answer.head is not None
    assert answer.head.status == 502
    assert answer.tally.error is not None
    assert answer.tally.error.kind == "bad_upstream"


def test_a_count_is_written_for_the_client() -> None:
    answer = Answer(_plan(counting=True, stream=False))
    assert json.loads(_fed(body_lane(answer), b'{"count": 5}')) == {"count": 5}


@pytest.mark.parametrize(
    ("body", "there"),
    [
        (b'{"x":1,"a":[1,{}]}', True),
        (b'{"a":[]}', True),
        (b'{"a":5}', False),
        (b'{"b":[]}', False),
        (b"[]", False),
        (b'{"a":[', False),
        (b'{"a":[' + b"[" * 5000 + b"]" * 5000 + b"]}", False),
    ],
)
def test_a_list_by_its_name(body: bytes, there: bool) -> None:
    assert holds_list(body, "a") is there
    assert holds_list(body, "a", alone=True) is (there and b"[]" not in body)


_ERRORS = (
    b'{"error": {"message": "no"}}',
    b'{"error": "no", "type": "error", "message": "no"}',
    b'{"%s": [], "error": {"message": "no"}}',
    b'{"%s": [{}], "error": {"message": "no"}}',
    b'{"error": null, "%s": [{}], "error": {"message": "no"}}',
    b'{"error": {"message": "no"}, "%s": [{}], "error": null}',
    b'[{"%s": [{}], "error": {"message": "no"}}]',
    b'{"%s": [{}], "error": "\\ud800"}',
)
_ANSWERS = (
    b"",
    b"{}",
    b"[]",
    b'"error"',
    b'{"%s": null, "error": null}',
    b'{"%s": []}',
    b'{"%s": [{}]}',
    b'{"%s": [{}], "error": null, "stop_reason": null}',
    b'{"%s": [{}], "base_resp": {"status_code": 5}}',
    b'{"base_resp": {"status_code": 5, "status_msg": "no"}, "%s": []}',
    b'{"%s": [{}], "detail": "no"}',
    b'{"%s": [{}], "new": NaN}',
    b'{"%s": [{}], "new": "\xff"}',
    b'\xef\xbb\xbf{"%s": [{}], "error": null}',
    b'{"%s": [' + b"[" * 9000 + b"]" * 9000 + b"]}",
)


@pytest.mark.parametrize("name", ["openai-chat", "anthropic", "gemini"])
@pytest.mark.parametrize("raw", [True, False])
def test_what_is_told_quickly_is_what_is_found(name: str, raw: bool) -> None:
    """Neither items in the list of an answer nor one reading hides an error."""
    dialect = get(name)
    slow = replace(dialect, told_by_items=False, decode_reply=None)
    for form in (*_ERRORS, *_ANSWERS):
        body = form.replace(b"%s", (dialect.answer_list or "").encode())
        outcomes = []
        for upstream in (dialect, slow):
            answer = Answer(_plan(upstream=upstream, raw=raw, stream=False))
            out = _fed(body_lane(answer), body)
            answer.read_passed()
            tally = (answer.tally.usage, answer.tally.stop, answer.tally.error)
            outcomes.append((out, answer.head, answer.error_body, tally))
        assert outcomes[0] == outcomes[1], body


def _shout(event: Event) -> tuple[Event, ...]:
    if isinstance(event, TextDelta):
        return (TextDelta(event.index, event.text.upper()),)
    return (event,)


def test_filters_work_on_bodies() -> None:
    answer = Answer(_plan(stream=False, filters=(_shout,)))
    assert json.loads(_fed(body_lane(answer), BODY))["text"] == "SO"
    assert answer.tally.usage == Usage(output=3)
    answer = Answer(_plan(filters=(_shout,)))
    assert _fed(body_lane(answer), b'{"stop": "end"}').endswith(frame())


# --- Streams ---------------------------------------------------------------------


def test_a_stream_for_a_client_that_wants_one() -> None:
    answer = Answer(_plan(filters=(_shout,)))
    out = _fed(StreamLane(answer, "sse"), *STREAM)
    assert out.startswith(frame(start="1") + frame(text="S"))
    assert (answer.over, answer.tally.stop) == (True, "end")


def test_a_stream_for_a_client_that_wants_a_body() -> None:
    answer = Answer(_plan(stream=False))
    out = _fed(StreamLane(answer, "sse"), *STREAM)
    assert json.loads(out) == {"id": "1", "text": "so", "stop": "end", "usage": 3}
    assert answer.head is not None
    assert ("content-length", str(len(out))) in answer.head.headers


def test_a_stream_that_breaks_is_no_body() -> None:
    answer = Answer(_plan(stream=False))
    assert _fed(StreamLane(answer, "sse"), *STREAM[:3]) == b""
    assert answer.head is not None
    assert answer.head.status == 502


def test_a_stream_folded_into_a_body_has_its_limit() -> None:
    answer = Answer(_plan(stream=False, limits=Limits(body=40)))
    lane = StreamLane(answer, "sse")
    lane.receive(STREAM[0])
    assert not answer.over
    lane.receive(STREAM[1])
    assert answer.failed


# --- Streams passed through ------------------------------------------------------


def _raw(**fields: Any) -> Answer:
    return Answer(_plan(client=OTHER, raw=True, **fields))


NOISE = (
    b": hello\n\n",
    b'data:{"start": "1"}\r\n\r\n',
    b"event: x\nid: 3\ndata: {}\n\n",
    frame(TEXT="s"),
    b": ping\n\n",
    frame(TEXT="o"),
    frame(stop="end"),
    b"\n",
    frame(),
    b": bye\n\n",
    b"data: more",
)


@pytest.mark.parametrize("observe", [True, False])
@given(cuts=st.lists(st.integers(0, sum(map(len, NOISE))), max_size=8))
def test_bytes_pass_through_unchanged(observe: bool, cuts: list[int]) -> None:
    whole = b"".join(NOISE)
    bounds = [0, *sorted(cuts), len(whole)]
    chunks = [whole[a:b] for a, b in itertools.pairwise(bounds)]
    answer = _raw(observe=observe)
    assert _fed(RawLane(answer, "sse"), *chunks) == whole
    assert (answer.over, answer.failed, answer.tally.error) == (True, False, None)


def test_only_an_observed_stream_tells_its_usage() -> None:
    for observe in (True, False):
        answer = _raw(observe=observe)
        _fed(RawLane(answer, "sse"), *STREAM)
        assert answer.tally.usage == (Usage(output=3) if observe else None)
        assert answer.tally.stop == ("end" if observe else None)


def test_a_stream_passed_through_may_end_without_its_last_frame() -> None:
    for rest in ((), (b"data: {}",)):
        answer = _raw()
        chunks = (*STREAM[:5], *rest)
        assert _fed(RawLane(answer, "sse"), *chunks) == b"".join(chunks)
        assert not answer.failed


def test_a_last_frame_without_its_blank_line_counts() -> None:
    answer = _raw()
    chunks = (*STREAM[:3], b'data: {"stop": "end"}')
    assert _fed(RawLane(answer, "sse"), *chunks) == b"".join(chunks)
    assert not answer.failed


@pytest.mark.parametrize("observe", [True, False])
def test_a_stream_passed_through_that_breaks_ends_in_an_error(observe: bool) -> None:
    answer = _raw(observe=observe)
    chunks = (*STREAM[:3], b'data: {"stop": "e')
    out = _fed(RawLane(answer, "sse"), *chunks)
    assert out.startswith(b"".join(STREAM[:3]) + b'data: {"error":"')
    assert out.endswith(b'"of":"1"}\n\n')
    assert answer.tally.error is not None
    assert answer.tally.error.kind == "truncated"


def test_words_that_look_like_the_end_are_none() -> None:
    answer = _raw()
    out = _fed(RawLane(answer, "sse"), STREAM[1], b'data: {"n": {"stop": 1}}\n\n')
    assert b"broke off" in out
    assert answer.failed


def test_what_its_reader_finds_wrong_does_not_end_a_stream_passed_through() -> None:
    answer = _raw(observe=True)
    chunks = (STREAM[1], b"data: [\n\n", STREAM[2], STREAM[4], STREAM[5])
    assert _fed(RawLane(answer, "sse"), *chunks) == b"".join(chunks)
    assert not answer.failed
    answer = _raw(observe=True)
    out = _fed(RawLane(answer, "sse"), *chunks[:3])
    assert out.startswith(b"".join(chunks[:3]))
    assert b"broke off" in out[len(b"".join(chunks[:3])) :]


def test_an_error_before_the_answer_is_a_status() -> None:
    for first in (frame(error="no", status=503), b"stray\n\n", b"data: ["):
        answer = _raw()
        _fed(RawLane(answer, "sse"), STREAM[0] + first)
        assert answer.head is not None
        assert answer.head.status in (502, 503)
        assert answer.error_body


def test_nothing_at_all_is_a_status() -> None:
    answer = _raw()
    assert _fed(RawLane(answer, "sse")) == b""
    assert answer.head is not None
    assert answer.head.status == 502


@pytest.mark.parametrize("observe", [True, False])
def test_the_servers_own_error_passes_through(observe: bool) -> None:
    answer = _raw(observe=observe)
    chunks = (STREAM[1], frame(error="no"))
    lane = RawLane(answer, "sse")
    out = b"".join(map(lane.receive, chunks))
    assert answer.over
    assert answer.tally.error is not None
    out += lane.receive(b": bye\n\n") + lane.end()
    assert out == b"".join((*chunks, b": bye\n\n"))


def test_frames_passed_through_have_their_limit() -> None:
    for chunks in ((STREAM[1], b"x" * 99), (STREAM[1] + b"x" * 99,)):
        answer = _raw(limits=Limits(frame=50))
        out = _fed(RawLane(answer, "sse"), *chunks)
        assert out.startswith(STREAM[1] + b'data: {"error":')
        assert answer.failed


def test_an_attempt_that_is_held_is_read_until_it_shows_something() -> None:
    answer = _raw()
    answer.holding = True
    lane = RawLane(answer, "sse")
    lane.receive(frame(TEXT=""))
    assert (answer.answering, answer.first_output) == (True, False)
    lane.receive(frame(TEXT="a"))
    assert answer.first_output
    lane.receive(b"data: [\n\n")
    assert not answer.over


# --- How an answer is read -------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (SSE, b"".join(STREAM)),
        ((), b"".join(STREAM)),
        (JSON, b"\r\n" + b"".join(STREAM)),
        ((), b": comment\n\n" + b"".join(STREAM)),
        ((("server", "x"), *SSE, *JSON), b"".join(STREAM)),
        (JSON, BODY),
        ((), b" \n" + BODY),
        ((), b"\xef\xbb\xbf" + BODY),
    ],
)
def test_what_comes_decides_how_it_is_read(headers: Any, body: bytes) -> None:
    for chunks in ([body], [body[at : at + 1] for at in range(len(body))]):
        answer = Answer(_plan(stream=False))
        out = _sniffed(answer, headers, *chunks)
        assert json.loads(out)["text"] == "so"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((), b""),
        (SSE, b""),
        ((), b" "),
        (JSON, b"oops"),
        ((), b"oops"),
        ((("content-type", "text/html"),), b"oops"),
        ((), b" " * 5000),
        ((), b"<html>"),
    ],
)
def test_what_is_no_answer_is_an_error(headers: Any, body: bytes) -> None:
    answer = Answer(_plan())
    _sniffed(answer, headers, body)
    assert answer.head is not None
    assert answer.head.status == 502


def test_an_array_is_a_stream_where_the_dialect_has_such() -> None:
    lines = b'[\n{"TEXT": "so"}\n{"stop": "end"}\nEND\n'
    answer = Answer(_plan(stream=False))
    _sniffed(answer, JSON, lines)
    assert answer.tally.error is not None
    answer = Answer(_plan(upstream=SILENT))
    _sniffed(answer, JSON, b"[]")
    assert answer.tally.error is not None
    assert "no object" in answer.tally.error.message


def test_a_stream_is_passed_through_in_its_own_framing_only() -> None:
    for framing, same in (("sse", True), ("json-array", False)):
        answer = _raw(framing=framing)
        out = _sniffed(answer, SSE, *STREAM)
        assert (out == b"".join(STREAM)) is same
        assert answer.passing is same
