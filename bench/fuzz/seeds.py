"""What the fuzzer starts from: small frames and bodies of the shape of real ones.

The streams written by hand in `tests/sentences`, whole answers folded from them,
requests and errors of every dialect; with a corpus, recorded ones too. Strings and
lists are cut short: what matters is the shape, and small inputs are many inputs.

A corpus is a folder with one folder for each protocol (`openai_chat`,
`openai_responses`, `anthropic`, `gemini`) of JSON Lines files, whose records have
`request` and `response` (JSON) or `sse` (text) and perhaps `status`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from msgspec import Raw

import llmwire
from bench.inputs import small_request
from tests.sentences import StreamCase, anthropic, gemini, openai_chat, openai_responses

__all__ = ("DIALECTS", "bodies", "http_answers", "streams")

CASES: Final[dict[str, tuple[StreamCase, ...]]] = {
    "openai-chat": openai_chat.CASES,
    "openai-responses": openai_responses.CASES,
    "anthropic": anthropic.CASES,
    "gemini": gemini.CASES,
}
DIALECTS: Final = tuple(CASES)
_FRAMES: Final = 12
"""Frames of a seed stream."""
_TEXT: Final = 60
"""Characters of a string in a seed."""
_LIST: Final = 4
"""Elements of a list in a seed."""
_SEEDS: Final = 300
"""Seeds of one kind, each of another shape."""
_BLANK: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_ERRORS: Final[tuple[dict[str, Any], ...]] = (
    {"error": {"message": "m", "type": "server_error", "param": None, "code": "c"}},
    {"type": "error", "error": {"type": "api_error", "message": "m"}, "request_id": ""},
    {
        "error": {
            "code": 429,
            "message": "m",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.RetryInfo",
                    "retryDelay": "34.5s",
                }
            ],
        }
    },
    {"error": {"message": "m", "metadata": {"raw": '{"error": {"message": "n"}}'}}},
    {"error": "text", "message": "m", "detail": [{"loc": ["body"], "msg": "m"}]},
    {"detail": "Not Found"},
    {"message": "m", "code": 400, "type": "BadRequestError", "object": "error"},
)
_LISTS: Final[tuple[dict[str, Any], ...]] = (
    {
        "object": "list",
        "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "o"}],
    },
    {
        "data": [{"type": "model", "id": "m", "display_name": "M", "created_at": "x"}],
        "has_more": False,
        "first_id": "m",
        "last_id": "m",
    },
    {
        "models": [
            {
                "name": "models/m",
                "displayName": "M",
                "inputTokenLimit": 9,
                "outputTokenLimit": 9,
                "supportedGenerationMethods": ["generateContent"],
            }
        ],
        "nextPageToken": "t",
    },
    {"input_tokens": 9},
    {"object": "response.input_tokens", "input_tokens": 9},
    {"totalTokens": 9, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}]},
)
_HTTP: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: a\r\n\r\n"
    b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
    b"HTTP/1.0 503 \r\nretry-after: 5\r\n\r\nlater",
    b"HTTP/1.1 304\r\ncontent-length: 2\r\nContent-Length: 2, 2\r\n\r\n",
)
_CHUNKED: Final = (
    b"5\r\nhello\r\n0\r\n\r\n",
    b'3;a=b;c="d"\r\nabc\r\n00A\r\n0123456789\r\n0;last\r\nx-t: v\r\ny: \r\n\r\n',
    b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
)


def _small(value: Any) -> Any:
    """`value` with short strings and short lists."""
    if isinstance(value, dict):
        return {name[:_TEXT]: _small(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_small(inner) for inner in value[:_LIST]]
    return value[:_TEXT] if isinstance(value, str) else value


def _shape(value: Any) -> Any:
    """What of `value` makes it another kind of seed: names, types and tags."""
    if isinstance(value, dict):
        tag = value.get("type")
        kind = tag if isinstance(tag, str) else None
        return (kind, *((name, _shape(value[name])) for name in sorted(value)))
    if isinstance(value, list):
        return ("[]", *sorted({repr(_shape(inner)) for inner in value}))
    return type(value).__name__


class _Shapes:
    """Keeps one seed of each shape."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self._known: set[str] = set()

    def add(self, value: Any, small: Any) -> None:
        """Keep `small`, unless something of the shape of `value` is kept already."""
        shape = repr(_shape(value))
        if shape not in self._known and len(self.kept) < _SEEDS:
            self._known.add(shape)
            self.kept.append(small)


def _blocks(wire: bytes) -> list[tuple[str, Any]]:
    """Name and JSON of the frames of a stream; data that is no JSON as text."""
    found: list[tuple[str, Any]] = []
    for block in _BLANK.split(wire):
        event, data = "", []
        for line in block.decode("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name == "event":
                event = value.strip()
            elif name == "data":
                data.append(value.strip())
        if data:
            text = "\n".join(data)
            try:
                found.append((event, json.loads(text)))
            except ValueError:
                found.append((event, text[:_TEXT]))
    return found


@cache
def _records(corpus: Path | None, dialect: str) -> tuple[dict[str, Any], ...]:
    if corpus is None:
        return ()
    folder = corpus / dialect.replace("-", "_")
    return tuple(
        json.loads(line)
        for file in sorted(folder.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    )


def _windows(frames: list[tuple[str, Any]]) -> Iterator[list[tuple[str, Any]]]:
    """The stream's beginning, and each frame of a new kind with what opens it."""
    yield frames[:_FRAMES]
    if len(frames) > _FRAMES:
        yield [*frames[:2], *frames[2 - _FRAMES :]]
        middle = len(frames) // 2
        yield [*frames[:2], *frames[middle : middle + _FRAMES - 2]]


def streams(dialect: str, corpus: Path | None) -> list[list[tuple[str, Any]]]:
    """Streams as lists of the frames' names and JSON."""
    shapes = _Shapes()
    wires = [case.wire for case in CASES[dialect]]
    for record in _records(corpus, dialect):
        if record.get("sse"):
            wires.append(record["sse"].encode())
    for wire in wires:
        for window in _windows(_blocks(wire)):
            small = [(event, _small(data)) for event, data in window]
            if small:
                shapes.add([list(frame) for frame in small], small)
    return shapes.kept


def bodies(kind: str, dialect: str, corpus: Path | None) -> list[Any]:
    """JSON bodies of one kind: `request`, `response`, `error` or `models`."""
    shapes = _Shapes()
    for value in _BODIES[kind](dialect):
        shapes.add(value, _small(value))
    for record in _records(corpus, dialect):
        failed = (record.get("status") or 200) >= 400
        wanted = {"request": True, "response": not failed, "error": failed}
        name = "request" if kind == "request" else "response"
        if wanted.get(kind) and isinstance(record.get(name), dict):
            shapes.add(record[name], _small(record[name]))
    return shapes.kept


def _responses(dialect: str) -> Iterator[Any]:
    for response in _answers(dialect):
        reply = llmwire.encode_response(response, dialect, created=1.0)
        yield json.loads(reply.body)


def _answers(dialect: str) -> Iterator[llmwire.Response]:
    """What the streams written by hand say as a whole."""
    for case in CASES[dialect]:
        if isinstance(case.events[-1], llmwire.StreamEnd):
            yield llmwire.fold(case.events)


def _requests(dialect: str) -> Iterator[Any]:
    asks = [
        llmwire.decode_request(small_request(), "openai-chat"),
        llmwire.Request(model="m", messages=tuple(_history()), tools=tuple(_tools())),
    ]
    asks += [_with_history(answer, dialect) for answer in _answers(dialect)]
    for ask in asks:
        try:
            call = llmwire.encode_request(ask, dialect, model="m")
        except llmwire.UnsupportedFeature:
            continue
        yield json.loads(call.http.body)


def _with_history(answer: llmwire.Response, dialect: str) -> llmwire.Request:
    """A request that gives `answer` back as the assistant's last turn."""
    turns = (
        llmwire.Message(role="user", parts=(llmwire.TextPart("Hi"),)),
        llmwire.Message(role="assistant", parts=answer.choices[0].parts),
        llmwire.Message(role="user", parts=(llmwire.TextPart("on"),)),
    )
    return llmwire.Request(model="m", messages=turns, dialect=dialect)


def _tools() -> Iterator[llmwire.Tool]:
    schema = Raw(b'{"type":"object","properties":{"a":{"type":["string","null"]}}}')
    yield llmwire.Tool(name="look", description="d", schema=schema)


def _history() -> Iterator[llmwire.Message]:
    message = llmwire.Message
    png = llmwire.Base64("iVBORw0KGgo=")
    yield message(role="system", parts=(llmwire.TextPart("s"),), top=True)
    yield message(
        role="user",
        parts=(
            llmwire.TextPart("Hi"),
            llmwire.MediaPart(kind="image", mime="image/png", source=png),
        ),
    )
    call = llmwire.ToolCallPart(call_id="call_1", name="look", arguments='{"a": 1}')
    yield message(role="assistant", parts=(llmwire.TextPart("t"), call))
    result = llmwire.ToolResultPart(
        call_id="call_1", name="look", parts=(llmwire.TextPart("r"),)
    )
    yield message(role="user", parts=(result,))


_BODIES: Final[dict[str, Callable[[str], Any]]] = {
    "request": _requests,
    "response": _responses,
    "error": lambda dialect: _ERRORS,
    "models": lambda dialect: _LISTS,
}


def http_answers() -> list[bytes]:
    """Responses of HTTP/1.1, most of them chunked."""
    return [*_HTTP[1:], *(_HTTP[0] + body for body in _CHUNKED)]
