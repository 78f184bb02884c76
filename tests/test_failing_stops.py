"""Answers that broke off, told to clients whose dialect has no word for that."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmwire import Attempt, Exchange, HTTPRequest

MALFORMED = {
    "candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}],
    "modelVersion": "m",
}
SPOKEN = {"candidates": [{"content": {"role": "model", "parts": [{"text": "So"}]}}]}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": ("/v1/chat/completions", {"model": "m"}),
    "openai-responses": ("/v1/responses", {"model": "m"}),
    "anthropic": ("/v1/messages", {"model": "m", "max_tokens": 9}),
    "gemini": ("/v1beta/models/m:generateContent", {}),
}


def _attempt(client: str, *, stream: bool) -> Attempt:
    path, asked = ASKED[client]
    body = {**asked, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    if client == "openai-responses":
        body = {**asked, "input": "Hi", "stream": stream}
    if client == "gemini":
        body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
        if stream:
            path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    exchange = Exchange(client, created=1.0, id="x")
    http = HTTPRequest(method="POST", path=path, body=json.dumps(body).encode())
    exchange.receive_request(http)
    return exchange.attempt("gemini")


def _answered(attempt: Attempt, *chunks: object, stream: bool) -> bytes:
    kind = "text/event-stream" if stream else "application/json"
    attempt.receive_head(200, (("content-type", kind),))
    mark = b"data: " if stream else b""
    out = b"".join(
        attempt.receive_data(mark + json.dumps(chunk).encode() + b"\n\n")
        for chunk in chunks
    )
    return out + attempt.receive_eof()


@pytest.mark.parametrize("client", ["openai-chat", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_broke_is_an_error_before_the_head(
    client: str, stream: bool
) -> None:
    attempt = _attempt(client, stream=stream)
    out = _answered(attempt, MALFORMED, stream=stream)
    assert attempt.head is not None
    assert attempt.head.status == 502
    assert b"MALFORMED_FUNCTION_CALL" in out
    assert "error" in json.loads(out)
    assert attempt.error is not None
    assert attempt.error.code == "malformed_tool_call"
    assert attempt.done


@pytest.mark.parametrize(
    ("client", "ends"),
    [
        ("openai-chat", (b'"finish_reason":"', b"[DONE]")),
        ("anthropic", (b'"stop_reason":"', b"message_stop")),
    ],
)
def test_a_call_that_broke_ends_a_stream_with_an_error(
    client: str, ends: tuple[bytes, ...]
) -> None:
    attempt = _attempt(client, stream=True)
    out = _answered(attempt, SPOKEN, MALFORMED, stream=True)
    assert attempt.head is not None
    assert attempt.head.status == 200
    assert b"So" in out
    assert b"MALFORMED_FUNCTION_CALL" in out
    assert not any(end in out for end in ends)
    assert attempt.done


@pytest.mark.parametrize("client", ["openai-responses", "gemini"])
@pytest.mark.parametrize("stream", [False, True])
def test_dialects_with_a_word_for_it_say_it(client: str, stream: bool) -> None:
    attempt = _attempt(client, stream=stream)
    out = _answered(attempt, MALFORMED, stream=stream)
    assert attempt.head is not None
    assert attempt.head.status == 200
    assert b"failed" in out or b"MALFORMED_FUNCTION_CALL" in out
    assert attempt.error is None
