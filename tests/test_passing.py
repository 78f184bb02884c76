"""Streams and answers that are passed through: the same bytes, however they came.

Whole chunks of frames are passed on unseen where no frame in them can end the answer;
that must show in nothing but speed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire import Attempt, Exchange, HTTPRequest
from llmwire.dialects import get
from llmwire.sse import FrameDecoder
from tests.sentences import StreamCase
from tests.sentences.anthropic import CASES as ANTHROPIC
from tests.sentences.gemini import CASES as GEMINI
from tests.sentences.openai_chat import CASES as CHAT
from tests.sentences.openai_responses import CASES as RESPONSES

HELLO = [{"role": "user", "content": "Hi"}]
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": ("/v1/chat/completions", {"model": "m", "messages": HELLO}),
    "openai-responses": ("/v1/responses", {"model": "m", "input": "Hi"}),
    "anthropic": ("/v1/messages", {"model": "m", "max_tokens": 9, "messages": HELLO}),
    "gemini": (
        "/v1beta/models/m:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    ),
}
BY_DIALECT = {
    "openai-chat": CHAT,
    "openai-responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
}
STREAMS = [
    pytest.param(name, case, id=f"{name}-{case.name}")
    for name, cases in BY_DIALECT.items()
    for case in cases
    if case.framing == "sse"
]


def _attempt(dialect: str, *, stream: bool) -> Attempt:
    path, body = ASKED[dialect]
    if stream and dialect == "gemini":
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    elif stream:
        body = {**body, "stream": True}
    exchange = Exchange(dialect, created=1.0, id="x")
    http = HTTPRequest(method="POST", path=path, body=json.dumps(body).encode())
    exchange.receive_request(http)
    return exchange.attempt(dialect)


def _passed(dialect: str, chunks: Iterable[bytes]) -> tuple[bytes, Attempt]:
    attempt = _attempt(dialect, stream=True)
    attempt.receive_head(200, (("content-type", "text/event-stream"),))
    out = b"".join(map(attempt.receive_data, chunks))
    return out + attempt.receive_eof(), attempt


def _frames(wire: bytes) -> list[bytes]:
    decoder = FrameDecoder()
    found = decoder.receive_data(wire) + decoder.receive_eof()
    return [frame.raw for frame in found]


@pytest.mark.parametrize(("dialect", "case"), STREAMS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_what_is_passed_does_not_depend_on_the_chunks(
    dialect: str, case: StreamCase, end: bytes
) -> None:
    wire = case.wire.replace(b"\r\n", b"\n").replace(b"\n", end)
    frames = _frames(wire)
    expected, slow = _passed(dialect, frames)
    divisions = [
        [wire],
        [wire[at : at + 1] for at in range(len(wire))],
        [wire[at : at + 97] for at in range(0, len(wire), 97)],
        *([b"".join(frames[:at]), b"".join(frames[at:])] for at in range(len(frames))),
    ]
    for chunks in divisions:
        out, attempt = _passed(dialect, chunks)
        assert out == expected
        assert (attempt.stop, attempt.done) == (slow.stop, slow.done)
        assert (attempt.error, attempt.committed) == (slow.error, slow.committed)


@pytest.mark.parametrize(("dialect", "case"), STREAMS)
@given(st.data())
def test_frames_that_end_are_never_unseen(
    dialect: str, case: StreamCase, data: st.DataObject
) -> None:
    record = get(dialect)
    assert record.may_end is not None
    decoder = FrameDecoder()
    frames = decoder.receive_data(case.wire) + decoder.receive_eof()
    first = data.draw(st.integers(0, len(frames)))
    last = data.draw(st.integers(first, len(frames)))
    some = frames[first:last]
    if any(map(record.terminal_mark, some)):
        assert record.may_end(b"".join(frame.raw for frame in some))


@pytest.mark.parametrize(
    ("dialect", "frame"),
    [
        ("openai-chat", b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'),
        ("openai-chat", b'data: {"choices":[{"finish_reason":null}]}\n\n'),
        ("openai-responses", b'data: {"type":"response.output_text.delta"}\n\n'),
        ("anthropic", b'event: content_block_delta\ndata: {"index":0}\n\n'),
        ("gemini", b'data: {"candidates":[{"content":{}}]}\n\n'),
    ],
)
def test_usual_frames_need_not_be_seen(dialect: str, frame: bytes) -> None:
    may_end = get(dialect).may_end
    assert may_end is not None
    assert not may_end(frame * 9)


@pytest.mark.parametrize(
    ("dialect", "body", "stop", "tokens"),
    [
        (
            "openai-chat",
            {
                "choices": [{"message": {"content": "a"}, "finish_reason": "length"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 7},
            },
            "max_tokens",
            7,
        ),
        (
            "anthropic",
            {
                "content": [{"type": "text", "text": "a"}],
                "stop_reason": "refusal",
                "usage": {"input_tokens": 1, "output_tokens": 7},
            },
            "refusal",
            7,
        ),
    ],
)
def test_an_answer_passed_through_tells_when_asked(
    dialect: str, body: dict[str, object], stop: str, tokens: int
) -> None:
    wire = json.dumps(body, indent=1).encode()
    for ask in ("usage", "stop", "first_output"):
        attempt = _attempt(dialect, stream=False)
        attempt.receive_head(200, (("content-type", "application/json"),))
        assert attempt.receive_data(wire) + attempt.receive_eof() == wire
        assert getattr(attempt, ask)
        assert attempt.stop == stop
        assert attempt.first_output
        assert attempt.usage is not None
        assert attempt.usage.output == tokens


def test_an_answer_that_only_looks_like_one_is_passed_and_tells_nothing() -> None:
    attempt = _attempt("openai-chat", stream=False)
    attempt.receive_head(200, (("content-type", "application/json"),))
    wire = b'{"choices": [5]}'
    assert attempt.receive_data(wire) + attempt.receive_eof() == wire
    assert (attempt.usage, attempt.stop) == (None, None)


@pytest.mark.parametrize("dialect", BY_DIALECT)
@pytest.mark.parametrize("wire", [b"[5]", b"<html>", b'{"choices": 5'])
def test_what_is_no_answer_is_the_upstreams_fault(dialect: str, wire: bytes) -> None:
    attempt = _attempt(dialect, stream=False)
    attempt.receive_head(200, (("content-type", "application/json"),))
    attempt.receive_data(wire)
    attempt.receive_eof()
    assert attempt.head is not None
    assert attempt.head.status == 502
    assert attempt.error is not None
