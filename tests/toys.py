"""Two toy dialects, small enough to see through: for tests of what carries any dialect.

`TOY` and `OTHER` differ in how they spell text (`text`, `TEXT`), so that one cannot be
taken for the other. A frame says one thing: `{"start": "id"}`, `{"text": "x"}`,
`{"think": "x"}`, `{"usage": 3}`, `{"stop": "end"}`, `{"error": "why", "status": 503}`;
the frame `END` ends a stream. A whole answer has the members `text`, `stop`, `usage`.
`{"stop": …}` without `END` is an end as well.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from llmwire._lines import LineDecoder
from llmwire.dialects import (
    Dialect,
    Encoded,
    FrameSource,
    ModelInfo,
    ModelList,
    ReplyTarget,
    RequestTarget,
    ResponseSource,
    Route,
    _registered,
)
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.events import (
    Event,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    Ping,
    ReasoningDelta,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.http import Headers, HTTPReply, HTTPRequest
from llmwire.limits import Limits
from llmwire.messages import (
    APIError,
    Choice,
    Extras,
    Message,
    ReasoningPart,
    Response,
    TextPart,
    TokenCount,
    Usage,
)
from llmwire.requests import Request, Sampling
from llmwire.sse import Frame, encode_frame

__all__ = ("OTHER", "SILENT", "TOY", "frame", "known_toys", "make")


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def frame(**members: Any) -> bytes:
    """A frame as a toy server sends it; without members, the end."""
    return encode_frame(_json(members) if members else b"END")


def _object(body: bytes, status: int) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.DecodeError:
        raise RemoteProtocolError("no JSON", status=status) from None
    if not isinstance(found, dict):
        raise RemoteProtocolError("no object", path="$", status=status)
    return found


class _Reader:
    def __init__(self, source: ResponseSource, word: str) -> None:
        self.violations: dict[str, int] = {}
        self.done = False
        self._source = source
        self._word = word
        self._parts = 0
        self._open = ""
        self._started = False
        self._stopped = False

    def receive(self, given: Frame) -> list[Event]:
        if self.done:
            self.violations["after-end"] = self.violations.get("after-end", 0) + 1
            return []
        if given.stray:
            return self._fail("bad_upstream", "stray lines", 502)
        if given.data is None:
            return [Ping()]
        if given.data == b"END":
            self.done = True
            ends = [] if self._stopped else self._stop("other")
            return [*ends, StreamEnd()]
        try:
            members = _object(given.data, 502)
        except RemoteProtocolError as error:
            kind = "bad_upstream" if given.complete else "truncated"
            return self._fail(kind, str(error), 502)
        events: list[Event] = []
        for name, value in members.items():
            events += self._member(name, value, members)
        return events

    def receive_eof(self) -> list[Event]:
        if self.done:
            return []
        if self._stopped:
            self.done = True
            return [StreamEnd()]
        return self._fail("truncated", "broke off", 502)

    def _member(self, name: str, value: Any, members: Any) -> list[Event]:
        if name == "start":
            return self._start(value)
        if name == self._word:
            return [*self._opened("text"), TextDelta(self._parts - 1, value)]
        if name == "think":
            delta = [*self._opened("think")]
            return [*delta, ReasoningDelta(self._parts - 1, value)]
        if name == "usage":
            return [*self._start(None), UsageUpdate(Usage(output=value))]
        if name == "stop":
            return self._stop(value)
        if name == "error":
            return self._fail("internal", value, members.get("status", 500))
        return []

    def _start(self, id: str | None) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [MessageStart(id, self._source.model)]

    def _opened(self, kind: str) -> list[Event]:
        if self._open == kind:
            return []
        events = [*self._start(None), *self._closed()]
        part = TextPart("") if kind == "text" else ReasoningPart(text="")
        events.append(PartStart(self._parts, part))
        self._open = kind
        self._parts += 1
        return events

    def _closed(self) -> list[Event]:
        open_, self._open = self._open, ""
        return [PartEnd(self._parts - 1)] if open_ else []

    def _stop(self, word: Any) -> list[Event]:
        self._stopped = True
        return [*self._start(None), *self._closed(), MessageEnd(word)]

    def _fail(self, kind: Any, message: str, status: int) -> list[Event]:
        self.done = True
        return [StreamError(APIError(kind=kind, message=message, status=status))]


class _Writer:
    def __init__(self, target: ReplyTarget, word: str) -> None:
        self._target = target
        self._word = word

    def send(self, event: Event) -> bytes:
        if isinstance(event, MessageStart):
            return self._frame(start=event.id or self._target.seed)
        if isinstance(event, TextDelta):
            return self._frame(**{self._word: event.text})
        if isinstance(event, ReasoningDelta):
            self._target.losses.drop("reasoning.text", "choices[0]", "a toy")
            return b""
        if isinstance(event, UsageUpdate) and self._target.include_usage:
            return self._frame(usage=event.usage.output)
        if isinstance(event, MessageEnd):
            return self._frame(stop=event.stop)
        if isinstance(event, StreamError):
            return self._frame(error=event.error.message)
        if isinstance(event, StreamEnd):
            return self._frame()
        return b""

    def _frame(self, **members: Any) -> bytes:
        if self._target.framing == "json-array":
            return (_json(members) if members else b"END") + b"\n"
        return frame(**members)


def _error_reply(error: APIError) -> HTTPReply:
    headers: Headers = (("content-type", "application/json"),)
    if error.retry_after is not None:
        headers = (*headers, ("retry-after", f"{error.retry_after:g}"))
    body = _json({"error": error.message, "kind": error.kind})
    return HTTPReply(status=error.status or 500, headers=headers, body=body)


def _route(prefix: str, http: HTTPRequest) -> Route | None:
    path, _, query = http.path.partition("?")
    if path == f"/{prefix}/models":
        return Route(operation="models")
    if path.startswith(f"/{prefix}/models/"):
        return Route(operation="model", model=path.rpartition("/")[2])
    if http.method != "POST":
        return None
    if path == f"/{prefix}":
        return Route(operation="generate", framing=query or "sse")
    if path == f"/{prefix}/count":
        return Route(operation="count_tokens")
    return None


def _decode_request(name: str, http: HTTPRequest, limits: Limits) -> Request:
    if len(http.body) > limits.body:
        raise LimitExceeded("too much")
    members = _object(http.body, 400)
    return Request(
        model=members.get("model"),
        messages=(Message(role="user", parts=(TextPart(members.get("ask", "")),)),),
        sampling=Sampling(seed=members.get("seed")),
        stop=tuple(members.get("cut", ())),
        n=members.get("n"),
        stream=members.get("stream"),
        include_usage=members.get("usage"),
        dialect=name,
    )


def _encode_request(word: str, request: Request, target: RequestTarget) -> Encoded:
    if request.n is not None:
        target.losses.drop("choices", "n", "a toy answers once")
    members = {"model": target.model or request.model, word: "asked"}
    seed = request.sampling.seed
    if seed is not None and "seed" in target.profile.rejects:
        target.losses.drop("sampling", "sampling.seed", "a toy")
    elif seed is not None:
        members[target.profile.renames.get("seed", "seed")] = str(seed)
    http = HTTPRequest(method="POST", path=f"/{word}", body=_json(members))
    return Encoded(
        http=http, model=target.model or request.model, stops=tuple(request.stop)
    )


def _decode_response(word: str, body: bytes, source: ResponseSource) -> Response:
    members = _object(body, 502)
    if "stop" not in members:
        return Response(model=source.model)
    usage = members.get("usage")
    parts = (TextPart(members[word]),) if word in members else ()
    return Response(
        id=members.get("id"),
        model=source.model,
        choices=(Choice(parts=parts, stop=members["stop"]),),
        usage=None if usage is None else Usage(output=usage),
    )


def _encode_response(word: str, response: Response, target: ReplyTarget) -> bytes:
    members: dict[str, Any] = {"id": response.id or target.seed}
    for choice in response.choices:
        for part in choice.parts:
            if isinstance(part, TextPart):
                members[word] = part.text
            else:
                target.losses.drop("reasoning.text", "choices[0]", "a toy")
        members["stop"] = choice.stop
    if response.usage is not None:
        members["usage"] = response.usage.output
    return _json(members)


def _find_error(body: bytes) -> APIError | None:
    try:
        members = _object(body, 502)
    except RemoteProtocolError:
        return None
    if "error" not in members:
        return None
    return APIError(kind="internal", message=members["error"], status=500)


def _decode_error(status: int, headers: Headers, body: bytes) -> APIError:
    found = _find_error(body)
    message = found.message if found else "no words"
    retry = next((float(v) for k, v in headers if k == "retry-after"), None)
    return APIError(kind="internal", message=message, status=status, retry_after=retry)


def _echo(request: Request) -> Extras:
    return {"model": Raw(_json(request.model))}


def _decode_count(body: bytes) -> TokenCount:
    members = _object(body, 502)
    if not isinstance(members.get("count"), int):
        raise RemoteProtocolError("no count", status=502)
    return TokenCount(input=members["count"])


def _encode_count_request(request: Request, target: RequestTarget) -> HTTPRequest:
    if request.n is not None:
        target.losses.drop("choices", "n", "a toy counts one")
    body = _json({"model": target.model or request.model})
    return HTTPRequest(method="POST", path="/count", body=body)


def _rewrite_model(body: bytes, model: str) -> bytes:
    return _json({**_object(body, 400), "model": model})


def _frame_decoder(framing: str, limits: Limits) -> FrameSource | None:
    return LineDecoder(limit=limits.frame) if framing == "json-array" else None


def make(word: str) -> Dialect:
    """A toy that spells text as `word`, which is also its path."""
    name = f"toy-{word}"
    return Dialect(
        name=name,
        framings=("sse", "json-array", "messages"),
        route=lambda http: _route(word, http),
        read_credential=lambda http: http.header("x-key"),
        write_credential=lambda key: (("x-key", key),),
        reply_headers=("x-id", "x-limit-*"),
        decode_request=lambda http, limits: _decode_request(name, http, limits),
        encode_request=lambda request, target: _encode_request(word, request, target),
        echo=_echo,
        decode_response=lambda body, source: _decode_response(word, body, source),
        encode_response=lambda answer, target: _encode_response(word, answer, target),
        frame_decoder=_frame_decoder,
        stream_reader=lambda source, framing: _Reader(source, word),
        stream_writer=lambda target: _Writer(target, word),
        terminal_mark=lambda given: (
            b'"stop"' in (given.data or b"")
            or b'"error"' in (given.data or b"")
            or given.data == b"END"
        ),
        stream_error=lambda error, target: frame(
            error=error.message, of=target.start.id if target.start else None
        ),
        keepalive=b": alive\n\n",
        find_error=_find_error,
        decode_error=_decode_error,
        encode_error=_error_reply,
        decode_count_request=lambda http, limits: _decode_request(name, http, limits),
        encode_count_request=_encode_count_request,
        decode_count=_decode_count,
        encode_count=lambda count: _json({"count": count.input}),
        models_path=f"/{word}/models",
        decode_models=lambda body: ModelList(),
        encode_models=lambda found: _json([model.id for model in found.models]),
        encode_model=_encode_model,
        rewrite_model=_rewrite_model,
    )


def _encode_model(model: ModelInfo) -> bytes:
    return _json(model.id)


TOY: Final = make("text")
OTHER: Final = make("TEXT")
SILENT: Final = replace(
    make("Text"), frame_decoder=None, encode_count_request=None, framings=("sse",)
)
"""One that cannot count and has one framing."""


@pytest.fixture
def known_toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toys are registered for one test."""
    for dialect in (TOY, OTHER, SILENT):
        monkeypatch.setitem(_registered, dialect.name, dialect)
