"""The embedded simulator: a `Transport` with no network behind it.

It answers in whichever dialect it is asked, by reading the request as a server of that
dialect would and writing the scripted answer (`script`) with the same codecs that the
proxy uses. Streams come at once, or paced.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from llmwire import (
    APIError,
    Exchange,
    HTTPReply,
    HTTPRequest,
    MessageStart,
    ModelInfo,
    ModelList,
    RemoteProtocolError,
    Response,
    StreamEncoder,
    TextDelta,
    Usage,
    estimate_tokens,
    unfold,
)
from llmwire.events import ArgumentsDelta, Event, ReasoningDelta
from llmwire_server.config.tree import SimulatorRule
from llmwire_server.routing import spoken_dialect
from llmwire_server.upstream import (
    Headers,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamResponse,
)
from llmwire_server.upstream.codec import encode_head
from llmwire_server.upstream.draining import drain
from llmwire_server.upstream.script import MODEL, Script, script_for

__all__ = ("Simulator",)

_CREATED = 1_700_000_000.0
_PIECE = 12
"""Characters of one simulated delta."""


class _Scripted:
    """An `UpstreamResponse` whose chunks are known beforehand."""

    def __init__(
        self, reply: HTTPReply, chunks: Iterator[bytes], pace: float, cut: bool
    ) -> None:
        self.status = reply.status
        self.headers: Headers = reply.headers
        self._chunks = chunks
        self._pace = pace
        self._cut = cut
        self._ended = False
        self._failure: UpstreamFailure | None = None

    async def receive(self) -> bytes:
        if self._failure is None and not self._ended:
            if self._pace:
                await anyio.sleep(self._pace)
            else:
                await anyio.lowlevel.checkpoint()
            chunk = next(self._chunks, b"")
            if chunk:
                return chunk
            self._ended = True
            if self._cut:
                what = "the simulated stream was cut"
                self._failure = UpstreamFailure("truncated", what)
        if self._failure is not None:
            raise self._failure.anew()
        return b""

    async def drain(self, limit_bytes: int = 65536, seconds: float = 0.1) -> None:
        await drain(self.receive, limit_bytes, seconds)

    async def close(self) -> None:
        if not self._ended:
            self._ended = True
            self._failure = UpstreamFailure("reset", "closed by this side")


class Simulator:
    """Deterministic answers in every dialect.

    Args:
        rules: Scripted answers, tried in order before the built-in ones.
        pace: Seconds between the events of a stream.
    """

    def __init__(self, rules: Sequence[SimulatorRule] = (), pace: float = 0.0) -> None:
        self._rules = tuple(rules)
        self._pace = pace

    @asynccontextmanager
    async def open(self, request: UpstreamRequest) -> AsyncIterator[UpstreamResponse]:
        """Answer `request`, as `Transport.open` does."""
        encode_head(request)
        http = HTTPRequest(
            method=request.method,
            path=request.target,
            headers=tuple((name.lower(), value) for name, value in request.headers),
            body=request.body,
        )
        response = self.respond(http)
        try:
            yield response
        finally:
            await response.close()

    def respond(self, http: HTTPRequest) -> UpstreamResponse:
        """The answer to `http`, in the dialect of its path."""
        spoken = spoken_dialect(http)
        if spoken is None or spoken[1].operation == "other":
            return _whole(HTTPReply(status=404))
        exchange = Exchange(spoken[0], created=_CREATED, id="simulator")
        try:
            request = exchange.receive_request(http)
        except RemoteProtocolError as error:
            return _whole(error.reply or HTTPReply(status=error.status))
        if request is None:
            model = ModelInfo(id=MODEL, created=int(_CREATED), owner="llmwire")
            single = exchange.operation == "model"
            return _whole(
                exchange.reply(model if single else ModelList(models=(model,)))
            )
        if exchange.operation == "count_tokens":
            return _whole(exchange.reply(estimate_tokens(request)))
        script = script_for(request, self._rules, self._pace)
        if isinstance(script.answer, APIError):
            return _whole(exchange.reply(script.answer))
        if not request.stream:
            return _whole(exchange.reply(script.answer))
        return _streamed(exchange, script, script.answer)


def _whole(reply: HTTPReply) -> UpstreamResponse:
    chunks = iter((reply.body,) if reply.body else ())
    return _Scripted(reply, chunks, 0.0, False)


def _streamed(
    exchange: Exchange, script: Script, response: Response
) -> UpstreamResponse:
    encoder = StreamEncoder(
        exchange.dialect,
        framing=exchange.framing,
        context=exchange.context,
        created=_CREATED,
        id="simulator",
    )
    events = [piece for event in _told(response) for piece in _pieces(event)]
    if script.cut:
        events = events[: max(2, len(events) // 2)]
    kind = "application/json"
    if exchange.framing == "sse":
        kind = "text/event-stream"
    head = HTTPReply(status=200, headers=(("content-type", kind),))
    chunks = (encoder.send(event) for event in events)
    return _Scripted(head, filter(None, chunks), script.pace, script.cut)


def _told(response: Response) -> list[Event]:
    """Its events; the size of the input is known from the start."""
    usage = response.usage or Usage()
    start = MessageStart(model=response.model, usage=Usage(fresh=usage.fresh))
    return [start, *unfold(response)[1:]]


def _pieces(event: Event) -> Iterator[Event]:
    """A delta as a model would give it: a few characters at a time."""
    if isinstance(event, (TextDelta, ArgumentsDelta)):
        for at in range(0, len(event.text), _PIECE):
            yield type(event)(event.index, event.text[at : at + _PIECE])
    elif isinstance(event, ReasoningDelta):
        for at in range(0, len(event.text), _PIECE):
            piece = event.text[at : at + _PIECE]
            yield ReasoningDelta(event.index, piece, event.summary)
    else:
        yield event
