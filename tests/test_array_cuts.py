"""Gemini's JSON arrays that break off: wherever that is, none looks whole.

The client asks for a stream without `alt=sse`; the server gives an array too, or
server-sent events, or another dialect's stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from llmwire import (
    APIError,
    Choice,
    Exchange,
    HTTPRequest,
    Response,
    StreamEncoder,
    TextPart,
    unfold,
)
from llmwire.events import StreamError

PATH = "/v1beta/models/m:streamGenerateContent"
ASKED = HTTPRequest(
    method="POST",
    path=PATH,
    body=b'{"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}',
)
TEXT = 'So {"a": [1, "]"]}, \\ "quoted"'
ANSWER = Response(
    id="r", model="m", choices=(Choice(parts=(TextPart(TEXT),), stop="end"),)
)
FAILED = APIError(kind="internal", message="it broke", status=500)
SERVERS = {
    "array": ("gemini", "json-array", "application/json"),
    "sse": ("gemini", "sse", "text/event-stream"),
    "other": ("anthropic", "sse", "text/event-stream"),
}


def _frames(server: str, *, failing: bool = False) -> list[bytes]:
    dialect, framing, _ = SERVERS[server]
    encoder = StreamEncoder(dialect, framing=framing, created=1.0, id="r")
    events = unfold(ANSWER)
    if failing:
        events = [*events[:3], StreamError(FAILED)]
    return [frame for event in events if (frame := encoder.send(event))]


class Told:
    """What a client was told."""

    def __init__(
        self, server: str, chunks: Iterable[bytes], *, early: bool, error: bool = False
    ) -> None:
        dialect, _, kind = SERVERS[server]
        exchange = Exchange("gemini", created=1.0, id="x")
        request = exchange.receive_request(ASKED)
        attempt = exchange.attempt(dialect, request)
        attempt.receive_head(200, (("content-type", kind),))
        out = [attempt.keepalive(commit=True)] if early else []
        out += [attempt.receive_data(chunk) for chunk in chunks]
        end = attempt.fail(FAILED) if error else attempt.receive_eof()
        assert attempt.fail(FAILED) == b""
        assert attempt.error is None or attempt.receive_data(b"]") == b""
        assert attempt.head is not None
        self.status = attempt.head.status
        self.done = attempt.done
        self.body = b"".join((*out, end))

    @property
    def elements(self) -> list[Any]:
        found = json.loads(self.body)
        assert isinstance(found, list)
        return found

    def is_broken(self) -> bool:
        """One error, as the last word, and no word of an end."""
        if self.status != 200:
            return "error" in json.loads(self.body)
        elements = self.elements
        errors = ["error" in element for element in elements]
        return errors == [False] * (len(errors) - 1) + [True] and (
            b"finishReason" not in self.body
        )


def _cuts(frames: list[bytes]) -> Iterator[bytes]:
    """Every beginning of the stream that does not hold its stop word."""
    body = b"".join(frames)
    last = max(body.find(b"STOP"), body.find(b"end_turn"))
    for at in range(last):
        yield body[:at]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("error", [False, True])
def test_cut_anywhere_it_is_broken(server: str, early: bool, error: bool) -> None:
    for cut in _cuts(_frames(server)):
        told = Told(server, [cut], early=early, error=error)
        assert told.is_broken(), (cut, told.body)
        assert told.done
        pieces = [cut[at : at + 1] for at in range(len(cut))]
        assert Told(server, pieces, early=early, error=error).body == told.body


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("server", SERVERS)
def test_a_failure_inside_is_the_last_word(server: str, early: bool) -> None:
    frames = _frames(server, failing=True)
    for chunks in (frames, [b"".join(frames)], [b"".join(frames), b" \n"]):
        told = Told(server, chunks, early=early)
        assert told.is_broken(), told.body
        assert told.elements[0]["candidates"][0]["content"]["parts"][0]["text"] == TEXT
        assert told.elements[-1]["error"]["message"] == FAILED.message


@pytest.mark.parametrize("early", [False, True])
def test_an_array_that_is_shut_without_an_end_is_broken(early: bool) -> None:
    frames = _frames("array")
    for end in (b"]", b"\n]\n", b",]", b",\r\n]"):
        told = Told("array", [frames[0], end], early=early)
        assert told.is_broken(), told.body
        assert len(told.elements) == 2


def test_a_failure_alone_is_a_status_unless_that_is_decided() -> None:
    body = b'[{"error": {"code": 429, "message": "slow", "status": "X"}}]'
    assert Told("array", [body], early=False).status == 429
    told = Told("array", [body], early=True)
    assert told.status == 200
    assert told.is_broken()


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("server", SERVERS)
def test_what_is_whole_stays_whole(server: str, early: bool) -> None:
    told = Told(server, _frames(server), early=early)
    assert told.status == 200
    assert not told.is_broken()
    assert b'"finishReason":"STOP"' in told.body
    if server == "array":
        assert told.body.lstrip() == b"".join(_frames(server))
