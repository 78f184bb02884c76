"""Calls by clients that know nothing but HTTP, and what they see."""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import Any, Final

from msgspec import Struct

from tests.server.stage import DIALECTS, TEXT

__all__ = ("ARRAY", "CLIENTS", "Seen", "body", "path", "read", "see")

ARRAY: Final = "gemini-array"
"""A client of Gemini that asks for a stream without `alt=sse`, and a server that gives
a JSON array whatever it is asked for."""
CLIENTS: Final = (
    *((dialect, stream) for dialect in DIALECTS for stream in (False, True)),
    (ARRAY, True),
)
"""Clients, and whether they ask for a stream."""


class Seen(Struct, kw_only=True):
    """What a client saw."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool
    """The body had a proper end, as far as HTTP is concerned."""
    stream: bool
    """It came as a stream."""
    dialect: str
    array: bool = False
    """A stream came as a JSON array."""

    @property
    def objects(self) -> list[Any]:
        """The JSON of a body, or of every frame of a stream."""
        if not self.stream:
            return [json.loads(self.body)]
        if self.array:
            found: list[Any] = json.loads(self.body)
            return found
        lines = self.body.split(b"\n")
        datas = [line[6:] for line in lines if line.startswith(b"data: ")]
        return [json.loads(data) for data in datas if data != b"[DONE]"]

    @property
    def error(self) -> tuple[str, str] | None:
        """The dialect's word for the error, and its message."""
        found = [one for one in map(self._error_of, self.objects) if one is not None]
        assert len(found) < 2
        return found[0] if found else None

    def _error_of(self, value: Any) -> tuple[str, str] | None:
        responses = self.dialect == "openai-responses" and self.stream
        if responses and value["type"] == "error":
            return value["code"], value["message"]
        if responses:
            value = value.get("response") or {}
        error = value.get("error")
        if error is None:
            return None
        if self.dialect == "anthropic":
            assert value["type"] == "error"
        elif self.dialect == "gemini":
            assert error["code"] >= 400
        word = {"gemini": "status", "openai-responses": "code" if responses else "type"}
        return error[word.get(self.dialect, "type")], error["message"]

    @property
    def text_begun(self) -> bool:
        return TEXT.encode() in self.body

    @property
    def stopped(self) -> bool:
        """It says that the answer is complete."""
        ends = {
            "openai-chat": (b'"finish_reason":"', b"[DONE]"),
            "openai-responses": (b"response.completed",),
            "anthropic": (b"message_stop", b'"stop_reason":"'),
            "gemini": (b'"finishReason"',),
        }
        return any(end in self.body for end in ends[self.dialect])


def path(dialect: str, model: str, stream: bool) -> str:
    """Where a client of `dialect` asks."""
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    if dialect == ARRAY:
        return f"/v1beta/models/{model}:streamGenerateContent"
    return {
        "openai-chat": "/v1/chat/completions",
        "openai-responses": "/v1/responses",
        "anthropic": "/v1/messages",
        "gemini": f"/v1beta/models/{model}:{verb}",
    }[dialect]


def body(dialect: str, model: str, stream: bool, text: str = "Hi") -> bytes:
    """What it asks."""
    turn = [{"role": "user", "content": text}]
    asked: dict[str, Any] = {"model": model, "stream": stream}
    if dialect == "openai-responses":
        asked["input"] = text
    elif dialect in ("gemini", ARRAY):
        asked = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    else:
        asked |= {"messages": turn, "max_tokens": 99}
    return json.dumps(asked).encode()


def see(root: str, dialect: str, model: str, stream: bool) -> Seen:
    """One call by a client that knows nothing but HTTP."""
    connection = http.client.HTTPConnection(root.removeprefix("http://"), timeout=30)
    with contextlib.closing(connection):
        asked = body(dialect, model, stream)
        connection.request("POST", path(dialect, model, stream), asked)
        reply = connection.getresponse()
        return read(reply, dialect)


def read(reply: http.client.HTTPResponse, dialect: str) -> Seen:
    """The rest of an answer."""
    try:
        data, complete = reply.read(), True
    except http.client.IncompleteRead as cut:
        data, complete = cut.partial, False
    except ConnectionError:
        data, complete = b"", False
    headers = {name.lower(): value for name, value in reply.getheaders()}
    array = dialect == ARRAY and data.lstrip()[:1] == b"["
    return Seen(
        status=reply.status,
        headers=headers,
        body=data,
        complete=complete,
        stream=array or headers["content-type"].startswith("text/event-stream"),
        dialect=dialect.removesuffix("-array"),
        array=array,
    )
