"""Streams of every dialect to a client of the same one: not a byte is changed, and an
end that is none is told in the dialect's own words."""

from __future__ import annotations

import itertools
import json
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmwire
from llmwire import APIError, Attempt, Exchange, HTTPRequest, StreamError
from llmwire_server.upstream.simulator import Simulator

ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "think: a tool"}], "stream": True},
    ),
    "openai-responses": (
        "/v1/responses",
        {"input": "think: a tool", "stream": True},
    ),
    "anthropic": (
        "/v1/messages",
        {
            "messages": [{"role": "user", "content": "think: a tool"}],
            "stream": True,
            "max_tokens": 99,
        },
    ),
    "gemini": (
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "think: a tool"}]}]},
    ),
    "gemini array": (
        "/v1beta/models/m:streamGenerateContent",
        {"contents": [{"role": "user", "parts": [{"text": "think: a tool"}]}]},
    ),
}
SSE = (("content-type", "text/event-stream"),)
JSON = (("content-type", "application/json"),)


def _http(name: str) -> HTTPRequest:
    path, members = ASKED[name]
    if not name.startswith("gemini"):
        members = {"model": "m", **members}
    return HTTPRequest(method="POST", path=path, body=json.dumps(members).encode())


async def _recorded(name: str) -> bytes:
    response = Simulator().respond(_http(name))
    chunks = []
    while chunk := await response.receive():
        chunks.append(chunk)
    return b"".join(chunks)


STREAMS = {name: anyio.run(_recorded, name) for name in ASKED}
"""What the simulator answers."""
NAMES = pytest.mark.parametrize("name", ASKED)
OBSERVED = pytest.mark.parametrize("observe", [False, True])


def _attempt(name: str, observe: bool = False) -> Attempt:
    dialect = name.partition(" ")[0]
    exchange = Exchange(dialect, created=1.0, id="seed")
    http = _http(name)
    exchange.receive_request(http)
    attempt = exchange.attempt(dialect, observe=observe)
    assert attempt.http.body == http.body
    attempt.receive_head(200, JSON if name.endswith("array") else SSE)
    return attempt


@NAMES
@OBSERVED
@settings(max_examples=25)
@given(data=st.data())
def test_not_a_byte_is_changed(name: str, observe: bool, data: st.DataObject) -> None:
    whole = STREAMS[name]
    if not name.endswith("array"):
        whole = b": hello\n\n" + whole + b": bye\n\n"
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=9))
    bounds = [0, *sorted(cuts), len(whole)]
    attempt = _attempt(name, observe)
    out = [
        attempt.receive_data(whole[start:end])
        for start, end in itertools.pairwise(bounds)
    ]
    out.append(attempt.receive_eof())
    assert b"".join(out) == whole
    assert attempt.done
    assert attempt.error is None
    assert (attempt.stop is not None) is observe


@NAMES
@OBSERVED
def test_byte_by_byte(name: str, observe: bool) -> None:
    whole = STREAMS[name]
    attempt = _attempt(name, observe)
    out = [attempt.receive_data(whole[i : i + 1]) for i in range(len(whole))]
    assert b"".join(out) + attempt.receive_eof() == whole


def _last_event(name: str, out: bytes) -> object:
    dialect, _, array = name.partition(" ")
    decoder = llmwire.StreamDecoder(dialect, framing="json-array" if array else "sse")
    return (decoder.receive_data(out) + decoder.receive_eof())[-1]


@NAMES
@pytest.mark.parametrize("end", ["eof", "failure"])
def test_an_end_that_is_none_is_told(name: str, end: str) -> None:
    whole = STREAMS[name]
    told = statuses = 0
    for at in range(0, len(whole) - 120, 7):
        attempt = _attempt(name)
        out = attempt.receive_data(whole[:at])
        if end == "eof":
            out += attempt.receive_eof()
        elif not attempt.done:
            late = APIError(kind="timeout", message="too late", status=504)
            out += attempt.fail(late)
        assert attempt.head is not None
        if attempt.head.status != 200:
            statuses += 1
            assert json.loads(out)["error"]
        elif attempt.error is not None:
            told += 1
            assert isinstance(_last_event(name, out), StreamError), at
    assert told
    assert statuses
