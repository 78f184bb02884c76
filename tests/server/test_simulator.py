"""Tests of `llmwire_server.upstream.simulator`: it speaks every dialect."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

import llmwire
from llmwire import HTTPRequest
from llmwire_server.config.tree import SimulatorRule
from llmwire_server.upstream import Transport, UpstreamFailure, UpstreamRequest
from llmwire_server.upstream.simulator import Simulator

pytestmark = pytest.mark.anyio

ASK = b'{"model": "m", "messages": [{"role": "user", "content": "%s"}]%s}'
GEMINI = b'{"contents": [{"role": "user", "parts": [{"text": "%s"}]}]}'


def _chat(text: bytes, more: bytes = b"") -> HTTPRequest:
    body = ASK % (text, more)
    return HTTPRequest(method="POST", path="/v1/chat/completions", body=body)


async def _read(simulator: Simulator, http: HTTPRequest) -> tuple[int, list[bytes]]:
    transport: Transport = simulator
    request = UpstreamRequest(
        method=http.method,
        scheme="http",
        host="simulator",
        port=80,
        target=http.path,
        headers=http.headers,
        body=http.body,
    )
    chunks = []
    async with transport.open(request) as response:
        while chunk := await response.receive():
            chunks.append(chunk)
        await response.drain()
        await response.close()
        return response.status, chunks


@pytest.mark.parametrize(
    ("dialect", "path", "body"),
    [
        ("openai-chat", "/v1/chat/completions", ASK % (b"Hi", b"%s")),
        (
            "openai-responses",
            "/v1/responses",
            b'{"model": "m", "input": "Hi"%s}',
        ),
        ("anthropic", "/v1/messages", ASK % (b"Hi", b', "max_tokens": 9%s')),
        ("gemini", "/v1beta/models/m:%s", GEMINI % b"Hi"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_it_speaks_every_dialect(
    dialect: str, path: str, body: bytes, stream: bool
) -> None:
    if dialect == "gemini":
        path %= "streamGenerateContent?alt=sse" if stream else "generateContent"
    else:
        body %= b', "stream": true' if stream else b""
    http = HTTPRequest(method="POST", path=path, body=body)
    status, chunks = await _read(Simulator(), http)
    assert status == 200
    if stream:
        assert len(chunks) > 1
        decoder = llmwire.StreamDecoder(dialect)
        events = [event for c in chunks for event in decoder.receive_data(c)]
        answer = llmwire.fold(events + decoder.receive_eof())
    else:
        answer = llmwire.decode_response(b"".join(chunks), dialect)
    [choice] = answer.choices
    assert [getattr(p, "text", None) for p in choice.parts] == ["You said: Hi"]
    assert (answer.usage is None) is (stream and dialect == "openai-chat")


async def test_arrays_are_json() -> None:
    path = "/v1beta/models/m:streamGenerateContent"
    http = HTTPRequest(method="POST", path=path, body=GEMINI % b"Hi")
    assert ("content-type", "application/json") in Simulator().respond(http).headers
    _, chunks = await _read(Simulator(), http)
    assert isinstance(json.loads(b"".join(chunks)), list)


async def test_thoughts_and_calls_come_in_pieces() -> None:
    tool = b', "stream": true, "tools": [{"type": "function", "function": {"name": "f",'
    tool += b' "parameters": {"properties": {"abcdefghijklmnop": {}}}}}]'
    _, chunks = await _read(Simulator(), _chat(b"think about a tool", tool))
    assert sum(b"reasoning_content" in chunk for chunk in chunks) > 2
    assert sum(b'"arguments"' in chunk for chunk in chunks) > 2


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/nowhere", b"", 404),
        ("GET", "/v1/responses/x", b"", 404),
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", ASK % (b"simulate error 429", b""), 429),
        ("GET", "/v1/models", b"", 200),
        ("GET", "/v1/models/x", b"", 200),
        (
            "POST",
            "/v1/messages/count_tokens",
            b'{"model": "m", "messages": []}',
            200,
        ),
    ],
)
async def test_everything_else(
    method: str, path: str, body: bytes, status: int
) -> None:
    http = HTTPRequest(method=method, path=path, body=body)
    found, chunks = await _read(Simulator(), http)
    assert found == status
    assert status == 404 or json.loads(b"".join(chunks))


async def test_a_cut_is_a_failure() -> None:
    with pytest.raises(UpstreamFailure, match="truncated"):
        await _read(Simulator(), _chat(b"simulate cut", b', "stream": true'))


async def test_rules_and_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(anyio, "sleep", sleep)
    rules: Any = (SimulatorRule(match="x", text="ruled", pace=0.5),)
    simulator = Simulator(rules, 0.25)
    _, chunks = await _read(simulator, _chat(b"x", b', "stream": true'))
    assert b"ruled" in b"".join(chunks)
    assert set(slept) == {0.5}
    slept.clear()
    await _read(simulator, _chat(b"y", b', "stream": true'))
    assert set(slept) == {0.25}
