"""Tests of `llmwire.attempt`, rule by rule, on toys: when the head is decided, what is
held back, how it fails at every stage, what keeps a client waiting."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.attempt import Attempt
from llmwire.dialects import Dialect
from llmwire.errors import LocalProtocolError
from llmwire.events import Event, MessageEnd, StreamEnd, TextDelta
from llmwire.exchange import Exchange
from llmwire.http import HTTPRequest
from llmwire.messages import APIError, Usage
from tests.toys import OTHER, TOY, frame

SSE = (("content-type", "text/event-stream"), ("x-id", "7"))
JSON = (("content-type", "application/json"),)
LATE = APIError(kind="timeout", message="late", status=504)


def _attempt(
    target: Dialect = OTHER, stream: bool = True, path: str = "/text", **fields: Any
) -> Attempt:
    exchange = Exchange(TOY, id="seed")
    members = {"model": "m", "ask": "?", "stream": stream, "usage": True}
    body = json.dumps(members).encode()
    exchange.receive_request(HTTPRequest(method="POST", path=path, body=body))
    return exchange.attempt(target, **fields)


def _head(attempt: Attempt) -> int | None:
    return None if attempt.head is None else attempt.head.status


# --- The head --------------------------------------------------------------------


def test_nothing_goes_out_before_an_answer_begins() -> None:
    attempt = _attempt()
    attempt.receive_head(200, SSE)
    for early in (b": comment\n\n", frame(start="1"), frame(usage=1)):
        assert attempt.receive_data(early) == b""
        assert attempt.head is None
        assert not attempt.committed
    out = attempt.receive_data(frame(TEXT="a"))
    assert out == frame(start="1") + frame(usage=1) + frame(text="a")
    assert attempt.head is not None
    assert attempt.head.status == 200
    assert ("x-id", "7") in attempt.head.headers
    assert attempt.committed
    assert attempt.first_output
    assert not attempt.done


def test_the_upstreams_headers_are_kept() -> None:
    attempt = _attempt()
    assert not attempt.upstream_headers
    attempt.receive_head(200, (*SSE, ("x-any", "1")))
    assert attempt.upstream_headers == (*SSE, ("x-any", "1"))


def test_an_end_without_parts_decides_too() -> None:
    attempt = _attempt()
    attempt.receive_head(200, SSE)
    assert attempt.receive_data(frame(stop="end")).endswith(frame(stop="end"))
    assert _head(attempt) == 200
    assert not attempt.first_output


@pytest.mark.parametrize("target", [TOY, OTHER])
@pytest.mark.parametrize("parted", [True, False])
def test_an_early_stream_error_is_a_status(target: Dialect, parted: bool) -> None:
    attempt = _attempt(target)
    attempt.receive_head(200, SSE)
    early = [frame(start="1"), frame(usage=1), frame(error="no", status=503)]
    chunks = early if parted else [b"".join(early)]
    out = b"".join(map(attempt.receive_data, chunks))
    assert json.loads(out)["error"] == "no"
    assert _head(attempt) == 503
    assert attempt.done
    assert not attempt.committed
    assert attempt.error is not None
    assert attempt.receive_data(frame(text="x")) == attempt.receive_eof() == b""


def test_a_late_stream_error_is_one_of_the_stream() -> None:
    attempt = _attempt()
    attempt.receive_head(200, SSE)
    out = attempt.receive_data(frame(TEXT="a") + frame(error="no"))
    assert out.endswith(frame(error="no"))
    assert (_head(attempt), attempt.committed) == (200, True)


def test_an_error_reply_never_commits() -> None:
    attempt = _attempt()
    attempt.receive_head(429, (*JSON, ("retry-after", "2")))
    assert attempt.receive_data(b'{"error": "slow"}') == b""
    assert json.loads(attempt.receive_eof())["error"] == "slow"
    assert attempt.head is not None
    assert attempt.head.status == 429
    assert ("retry-after", "2") in attempt.head.headers
    assert attempt.done
    assert not attempt.committed
    assert attempt.receive_eof() == b""


STREAM = frame(start="1") + frame(TEXT="ab") + frame(stop="end") + frame()


@given(st.lists(st.integers(0, len(STREAM)), max_size=6), st.booleans())
def test_division_changes_nothing(cuts: list[int], stream: bool) -> None:
    bounds = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[a:b] for a, b in itertools.pairwise(bounds)]
    outs = []
    for given_ in (chunks, [STREAM]):
        attempt = _attempt(stream=stream)
        attempt.receive_head(200, SSE)
        out = b"".join(map(attempt.receive_data, given_)) + attempt.receive_eof()
        outs.append((out, attempt.head))
    assert outs[0] == outs[1]


# --- Four ways through -----------------------------------------------------------


def test_stream_to_body() -> None:
    attempt = _attempt(stream=False)
    attempt.receive_head(200, SSE)
    out = attempt.receive_data(STREAM)
    assert json.loads(out) == {"id": "1", "text": "ab", "stop": "end"}
    assert attempt.head is not None
    assert ("content-length", str(len(out))) in attempt.head.headers
    assert attempt.stop == "end"


def test_body_to_stream() -> None:
    attempt = _attempt()
    attempt.receive_head(200, JSON)
    assert attempt.receive_data(b'{"TEXT": "ab", "stop": ') == b""
    assert attempt.receive_data(b'"end", "usage": 3}') == b""
    out = attempt.receive_eof()
    assert out.startswith(frame(start="seed") + frame(text="ab"))
    assert out.endswith(frame())
    assert attempt.usage == Usage(output=3)
    assert attempt.done


def test_body_to_body() -> None:
    attempt = _attempt(stream=False)
    attempt.receive_head(200, JSON)
    attempt.receive_data(b'{"TEXT": "ab", "stop": "end"}')
    assert json.loads(attempt.receive_eof())["text"] == "ab"


def test_counts() -> None:
    attempt = _attempt(path="/text/count")
    assert attempt.http.path == "/count"
    attempt.receive_head(200, JSON)
    attempt.receive_data(b'{"count": 9}')
    assert json.loads(attempt.receive_eof()) == {"count": 9}


def test_pass_through() -> None:
    attempt = _attempt(TOY)
    whole = b": hi\n\n" + frame(start="1") + frame(text="a") + frame(stop="end")
    whole += frame() + b": bye\n\n"
    attempt.receive_head(200, SSE)
    out = b"".join(attempt.receive_data(whole[at : at + 1]) for at in range(len(whole)))
    assert out + attempt.receive_eof() == whole
    assert attempt.done
    assert attempt.usage is None


# --- Hold and release ------------------------------------------------------------


def test_what_is_held_is_given_at_once() -> None:
    attempt = _attempt()
    attempt.hold()
    attempt.receive_head(200, SSE)
    assert attempt.receive_data(frame(start="1") + frame(TEXT="a")) == b""
    assert (attempt.head, attempt.committed) == (None, False)
    assert attempt.first_output
    assert attempt.keepalive() == attempt.keepalive(commit=True) == b""
    assert attempt.release() == frame(start="1") + frame(text="a")
    assert (_head(attempt), attempt.committed) == (200, True)
    assert attempt.receive_data(frame(TEXT="b")) == frame(text="b")


def test_a_release_before_anything_gives_nothing() -> None:
    attempt = _attempt()
    attempt.hold()
    assert attempt.release() == b""
    attempt.receive_head(200, SSE)
    assert attempt.receive_data(frame(TEXT="a"))


def test_an_error_that_is_held_replaces_what_came_before() -> None:
    attempt = _attempt()
    attempt.hold()
    attempt.receive_head(200, SSE)
    attempt.receive_data(frame(start="1"))
    assert attempt.fail(LATE) == b""
    assert attempt.head is None
    assert attempt.error == LATE
    assert json.loads(attempt.release())["error"] == "late"
    assert _head(attempt) == 504


def test_holding_comes_before_the_head() -> None:
    attempt = _attempt()
    attempt.fail(LATE)
    with pytest.raises(LocalProtocolError):
        attempt.hold()


# --- Failing ---------------------------------------------------------------------


def test_failing_before_the_upstream_said_anything() -> None:
    attempt = _attempt()
    assert json.loads(attempt.fail(LATE))["error"] == "late"
    assert (_head(attempt), attempt.done, attempt.committed) == (504, True, False)
    assert attempt.fail(LATE) == b""


@pytest.mark.parametrize("stream", [True, False])
def test_failing_after_the_head(stream: bool) -> None:
    attempt = _attempt(stream=stream)
    attempt.receive_head(200, SSE)
    attempt.receive_data(frame(start="1"))
    assert json.loads(attempt.fail(LATE))["error"] == "late"
    assert _head(attempt) == 504


@pytest.mark.parametrize(("target", "word"), [(TOY, "text"), (OTHER, "TEXT")])
def test_failing_inside_the_answer(target: Dialect, word: str) -> None:
    attempt = _attempt(target)
    attempt.receive_head(200, SSE)
    attempt.receive_data(frame(start="1") + frame(**{word: "a"}) + b"data: {")
    out = attempt.fail(LATE)
    of = {"of": "1"} if target is TOY else {}
    assert out == frame(error="late", **of)
    assert _head(attempt) == 200
    assert attempt.receive_data(frame(stop="end")) == attempt.receive_eof() == b""


def test_failing_after_the_end_is_nothing() -> None:
    attempt = _attempt()
    attempt.receive_head(200, SSE)
    attempt.receive_data(STREAM)
    assert attempt.fail(LATE) == b""
    assert attempt.error is None


def test_calls_out_of_order_are_misuse() -> None:
    attempt = _attempt()
    with pytest.raises(LocalProtocolError, match="before receive_head"):
        attempt.receive_data(b"")
    with pytest.raises(LocalProtocolError, match="before receive_head"):
        attempt.receive_eof()
    attempt.receive_head(200, SSE)
    with pytest.raises(LocalProtocolError, match="before"):
        attempt.receive_head(200, SSE)


# --- Keeping a client waiting ----------------------------------------------------


def test_signs_of_life_wait_for_the_head() -> None:
    attempt = _attempt()
    attempt.receive_head(200, SSE)
    attempt.receive_data(frame(start="1"))
    assert attempt.keepalive() == b""
    assert attempt.keepalive(commit=True) == frame(start="1") + b": alive\n\n"
    assert (_head(attempt), attempt.committed) == (200, True)
    assert attempt.keepalive() == b": alive\n\n"
    assert attempt.receive_data(frame(error="no")) == frame(error="no")
    assert attempt.keepalive() == b""


def test_a_head_committed_early_makes_every_error_one_of_the_stream() -> None:
    attempt = _attempt(TOY)
    assert attempt.keepalive(commit=True) == b": alive\n\n"
    attempt.receive_head(500, JSON)
    attempt.receive_data(b'{"error": "no"}')
    assert attempt.receive_eof() == frame(error="no")


def test_signs_of_life_stand_between_frames() -> None:
    attempt = _attempt(TOY)
    attempt.receive_head(200, SSE)
    first, second = frame(text="a"), frame(text="b")
    out = attempt.receive_data(first + second[:9]) + attempt.keepalive()
    assert out + attempt.receive_data(second[9:]) == first + b": alive\n\n" + second


def test_arrays_are_kept_alive_by_white_space() -> None:
    attempt = _attempt(path="/text?json-array")
    assert attempt.keepalive(commit=True) == b"\n"


def test_bodies_have_no_signs_of_life() -> None:
    assert _attempt(stream=False).keepalive(commit=True) == b""


# --- Filters and losses ----------------------------------------------------------


class _Cut:
    """Ends the answer after some text."""

    def __init__(self) -> None:
        self.ended: MessageEnd | None = None

    def __call__(self, event: Event) -> tuple[Event, ...]:
        if isinstance(event, TextDelta):
            self.ended = MessageEnd("other")
            return (event, StreamEnd())
        return (event,)


@pytest.mark.parametrize("target", [TOY, OTHER])
def test_a_filter_may_cut_the_answer(target: Dialect) -> None:
    word = "text" if target is TOY else "TEXT"
    attempt = _attempt(target, filters=(lambda _: _Cut(), lambda _: None))
    attempt.receive_head(200, SSE)
    out = attempt.receive_data(frame(**{word: "a"}) + frame(**{word: "b"}))
    assert out.endswith(frame(text="a") + frame(stop="other") + frame())
    assert attempt.done


def test_losses_are_those_of_both_ways() -> None:
    exchange = Exchange(TOY)
    body = b'{"model": "m", "n": 2, "stream": true}'
    exchange.receive_request(HTTPRequest(method="POST", path="/text", body=body))
    attempt = exchange.attempt(OTHER, policy={"choices": "drop"})
    attempt.receive_head(200, SSE)
    attempt.receive_data(frame(think="hm"))
    assert [loss.feature for loss in attempt.losses] == ["choices", "reasoning.text"]
