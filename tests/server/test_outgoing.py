"""Tests of `llmwire_server.outgoing`: what every answer has in common."""

from __future__ import annotations

from typing import Any

import pytest

from llmwire_server.client import ASGIClient
from llmwire_server.masking import Mask
from llmwire_server.outgoing import Outgoing

pytestmark = pytest.mark.anyio

KEY = "upstream-secret"


async def _sent(
    status: int, headers: list[tuple[str, str]], *pieces: bytes, **fields: Any
) -> tuple[dict[bytes, bytes], list[bytes]]:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        raise NotImplementedError

    out = Outgoing(ASGIClient(receive, send), "req-1", Mask([KEY]), **fields)
    out.start(status, tuple(headers))
    for at, piece in enumerate(pieces):
        taken = out.write(piece, more=at < len(pieces) - 1)
        if taken is not None:
            await taken
    start, *bodies = messages
    assert start["status"] == status
    names = [name for name, _ in start["headers"]]
    assert len(set(names)) == len(names)
    assert [body["more_body"] for body in bodies][-1:] == [False]
    return dict(start["headers"]), [body["body"] for body in bodies]


async def test_the_id_is_ours_and_the_upstreams_is_told_beside_it() -> None:
    headers, _ = await _sent(200, [("x-request-id", "theirs")], b"")
    assert headers[b"x-request-id"] == b"req-1"
    assert headers[b"x-upstream-request-id"] == b"theirs"
    assert b"request-id" not in headers
    headers, _ = await _sent(200, [], b"", native_id=True)
    assert headers[b"request-id"] == headers[b"x-request-id"] == b"req-1"
    assert b"x-upstream-request-id" not in headers
    headers, _ = await _sent(200, [("request-id", "theirs")], b"", native_id=True)
    assert headers[b"request-id"] == headers[b"x-upstream-request-id"] == b"theirs"


async def test_headers_of_every_answer() -> None:
    for status in (200, 500):
        headers, _ = await _sent(status, [], b"", more=(("vary", "origin"),))
        assert headers[b"vary"] == b"origin"


@pytest.mark.parametrize("status", [400, 401, 503])
async def test_a_key_that_an_error_repeats_is_hidden(status: int) -> None:
    body = b'{"error": "Bearer upstream-secret"}'
    length = ("content-length", str(len(body)))
    headers, pieces = await _sent(status, [length], body)
    assert pieces == [b'{"error": "Bearer [redacted]"}']
    assert headers[b"content-length"] == str(len(pieces[0])).encode()


async def test_also_where_it_comes_in_pieces() -> None:
    headers, pieces = await _sent(
        400, [("content-length", "17")], b"a upstr", b"eam-secret"
    )
    assert pieces == [b"a [redacted]"]
    assert headers[b"content-length"] == b"12"


async def test_a_key_in_a_header_is_hidden_whatever_the_status() -> None:
    for status in (200, 400):
        headers, _ = await _sent(
            status, [("x-a", "b upstream-secret"), ("x-b", "c")], b""
        )
        assert headers[b"x-a"] == b"b [redacted]"
        assert headers[b"x-b"] == b"c"
    headers, _ = await _sent(200, [("request-id", KEY)], b"")
    assert headers[b"x-upstream-request-id"] == b"[redacted]"


async def test_what_a_header_cannot_hold_is_replaced() -> None:
    headers, _ = await _sent(200, [("x-a", "é…")], b"")
    assert headers[b"x-a"] == b"\xe9?"


async def test_streams_are_searched_where_they_may_hold_an_error() -> None:
    pieces = (b"data: upstream-secret\n\n", b'data: {"error": "upstream-secret"}\n\n')
    _, sent = await _sent(200, [], *pieces)
    assert sent == [pieces[0], b'data: {"error": "[redacted]"}\n\n']


async def test_whole_answers_are_the_models() -> None:
    body = b"error: upstream-secret"
    length = ("content-length", str(len(body)))
    _, sent = await _sent(200, [length], body)
    assert sent == [body]


async def test_an_answer_without_its_body() -> None:
    length = ("content-length", "15")
    for status in (200, 404):
        headers, sent = await _sent(status, [length], b"upstream-secret", bodiless=True)
        assert sent == [b""]
        expected = b"15" if status == 200 else b"10"
        assert headers[b"content-length"] == expected
