"""The client's side of one attempt: the head, what was decided, what was learned.

Knows how an answer and an error look to the client, not how the upstream's bytes are
read: that is the lanes' business (`llmwire._lanes`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from llmwire._sides import reply_target, response_source
from llmwire.context import Context
from llmwire.dialects import Dialect, ReplyTarget, ResponseSource
from llmwire.errors import RemoteProtocolError
from llmwire.events import (
    ArgumentsDelta,
    Event,
    MessageEnd,
    MessageStart,
    PartStart,
    ReasoningDelta,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.filters import Filter, FilterChain
from llmwire.http import Head, Headers
from llmwire.limits import Limits
from llmwire.losses import LossRecorder
from llmwire.messages import APIError, Response
from llmwire.streams import StreamDecoder, Tally

_COMMITS: Final = (PartStart, MessageEnd, StreamEnd)
OUTPUT: Final = frozenset({TextDelta, ReasoningDelta, ArgumentsDelta})
"""Events that carry a piece of an answer, and nothing to learn but that."""
_STREAM_HEADERS: Final[Headers] = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
)
_JSON_HEADER: Final = ("content-type", "application/json")
_PARTS: Final = attrgetter("parts")
_NO_FILTERS: Final = FilterChain(())
_NO_START: Final = MessageStart()


class Plan(Struct, frozen=True, kw_only=True):
    """Everything that is known when an attempt starts."""

    context: Context
    client: Dialect
    upstream: Dialect
    filters: tuple[Filter, ...] = ()
    stream: bool = False
    """The client wants a stream."""
    framing: str = "sse"
    """Of the client's stream."""
    raw: bool = False
    """Pass-through: nothing wants to change anything."""
    observe: bool = False
    checked: bool = False
    counting: bool = False
    """Tokens are counted, nothing is generated."""
    created: float | None = None
    seed: str = ""
    limits: Limits = Limits()


class Answer:
    """What the client is given, and whether it has begun."""

    __slots__ = (
        "_send",
        "_start",
        "answering",
        "chain",
        "error_body",
        "failed",
        "first_output",
        "head",
        "holding",
        "over",
        "passing",
        "plan",
        "recorder",
        "tally",
        "unread",
        "upstream_headers",
    )

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tally = Tally()
        self.chain = _NO_FILTERS
        if plan.filters:
            self.chain = FilterChain(plan.filters, checked=plan.checked)
        self.recorder = LossRecorder(response=True)
        self.upstream_headers: Headers = ()
        self.head: Head | None = None
        self.answering = False
        """An answer, not an error reply, was decided for."""
        self.over = False
        """It is complete, or has failed."""
        self.failed = False
        """It was ended with an error of ours."""
        self.first_output = False
        self.holding = False
        """Nothing may go out yet, whatever was decided."""
        self.passing = False
        """The upstream's own stream is what the client gets."""
        self.unread: bytes | None = None
        """A whole answer that is passed through, until somebody asks what it says."""
        self.error_body: bytes | None = None
        """Of an error reply, until it is given: all that the client gets."""
        self._start = _NO_START
        self._send: Callable[[Event], bytes] | None = None

    @property
    def closed(self) -> bool:
        """Nothing more will be given: over, and no stream to be passed on."""
        return self.over and (self.failed or not self.passing)

    def target(self) -> ReplyTarget:
        """For whom the answer is written."""
        plan = self.plan
        return reply_target(
            plan.client,
            plan.context,
            self.recorder,
            created=plan.created,
            seed=plan.seed,
            framing=plan.framing,
            limits=plan.limits,
        )

    def source(self) -> ResponseSource:
        """From whom the answer is read."""
        plan = self.plan
        return response_source(
            plan.upstream, plan.context, seed=plan.seed, limits=plan.limits
        )

    def decoder(self, framing: str) -> StreamDecoder:
        """Of the upstream's stream."""
        plan = self.plan
        return StreamDecoder(
            plan.upstream,
            framing=framing,
            context=plan.context,
            id=plan.seed,
            limits=plan.limits,
        )

    def sender(self) -> Callable[[Event], bytes]:
        """What writes events to the client's stream."""
        if self._send is None:
            self._send = self.plan.client.stream_writer(self.target()).send
        return self._send

    def note(self, event: Event) -> None:
        """Learn from an event on its way to the client."""
        self.tally.take(event)
        self.decide(event)

    def decide(self, event: Event) -> None:
        """The first event of an answer decides for a streamed 200 where the client
        wants a stream."""
        if isinstance(event, MessageStart):
            self._start = event
        elif isinstance(event, TextDelta | ReasoningDelta | ArgumentsDelta):
            self.first_output = self.first_output or bool(event.text)
        elif isinstance(event, _COMMITS) and self.plan.stream:
            self.commit()

    def learn(self, response: Response) -> None:
        """Note what a whole answer tells."""
        tally, choices = self.tally, response.choices
        tally.usage = response.usage
        tally.stop = choices[0].stop if choices else None
        self.first_output = any(map(_PARTS, choices))

    def read_passed(self) -> None:
        """Learn from a whole answer that was passed through. Never raises."""
        body, self.unread = self.unread, None
        if body is None:
            return
        try:
            self.learn(self.plan.upstream.decode_response(body, self.source()))
        except RemoteProtocolError:
            self.first_output = True

    def commit(self) -> None:
        """Decide for a streamed 200, once."""
        if self.head is None:
            json = self.plan.framing == "json-array"
            headers = (_JSON_HEADER,) if json else _STREAM_HEADERS
            self.head = Head(200, (*headers, *self._shown_headers()))
            self.answering = True

    def whole(self, body: bytes) -> bytes:
        """Decide for a whole 200: `body` is all of it."""
        length = ("content-length", str(len(body)))
        self.head = Head(200, (_JSON_HEADER, length, *self._shown_headers()))
        self.answering = self.over = True
        return body

    def whole_response(self, response: Response) -> bytes:
        """Decide for a whole 200 in the client's dialect."""
        return self.whole(self.plan.client.encode_response(response, self.target()))

    def fail(self, error: APIError) -> bytes:
        """`error` in the form that the client can still be given.

        An error reply goes to `error_body`: nothing that was due before it counts.
        """
        if self.over:
            return b""
        self.tally.take(StreamError(error))
        self.over = self.failed = True
        if self.answering and self.passing:
            target = replace(self.target(), start=self._start)
            return self.plan.client.stream_error(error, target)
        if self.answering:
            return self.sender()(StreamError(error))
        reply = self.plan.client.encode_error(error)
        known = {name for name, _ in reply.headers}
        more = (("content-length", str(len(reply.body))), *self._shown_headers())
        headers = (*reply.headers, *(pair for pair in more if pair[0] not in known))
        self.head = Head(reply.status, headers)
        self.error_body = reply.body
        return b""

    def _shown_headers(self) -> Headers:
        """The upstream's headers that a client may see."""
        names, prefixes = _allowed(self.plan.upstream.reply_headers)
        return tuple(
            [
                (name, value)
                for name, value in self.upstream_headers
                if name in names or name.startswith(prefixes)
            ]
        )


@lru_cache(maxsize=64)
def _allowed(names: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Names of headers, and the beginnings of others (`x-*`)."""
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    return frozenset(names), prefixes


def bad_answer(message: str) -> APIError:
    """The upstream's answer is not one of its dialect."""
    return APIError(
        kind="bad_upstream", message=f"the upstream's answer: {message}", status=502
    )
