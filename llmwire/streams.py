"""Streams: bytes to events, events to bytes, and bytes of one dialect to another's.

Knows framings and the register of dialects, no wire name. Nothing here raises for what
a peer sent: it becomes the terminal `StreamError`, and that the error form of the
client's stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llmwire._lines import LineDecoder
from llmwire._sides import NO_LIMITS, reply_target, response_source
from llmwire.context import Context
from llmwire.dialects import Dialect, FrameSource, get
from llmwire.errors import LimitExceeded, LocalProtocolError
from llmwire.events import (
    Event,
    MessageEnd,
    MessageStart,
    StreamEnd,
    StreamError,
    UsageUpdate,
)
from llmwire.filters import Filter, FilterChain
from llmwire.limits import Limits
from llmwire.losses import Loss, LossRecorder
from llmwire.messages import APIError, StopReason, Usage
from llmwire.profiles import Profile
from llmwire.sse import FrameDecoder

__all__ = ("StreamDecoder", "StreamEncoder", "StreamTranslator", "Tally")


class StreamDecoder:
    """Bytes of a server's stream to events.

    The events are a sentence of `llmwire.grammar` for any bytes in any division;
    nothing is raised for what the peer sent.

    Args:
        source: Dialect of the stream.
        framing: How it is cut: one of the dialect's framings.
        context: Of the request it answers.
        profile: Facts about the server, where there is no context.
        id: Seed of ids that must be minted.
        limits: What is too much.
    """

    def __init__(
        self,
        source: str | Dialect,
        *,
        framing: str | None = None,
        context: Context | None = None,
        profile: str | Profile | None = None,
        id: str = "",
        limits: Limits = NO_LIMITS,
    ) -> None:
        dialect = get(source)
        framing = framing or dialect.framings[0]
        origin = response_source(
            dialect, context, profile=profile, seed=id, limits=limits
        )
        self._frames = frame_source(dialect, framing, limits)
        self.reader = dialect.stream_reader(origin, framing)
        """The dialect's own reader, for callers that have frames already."""
        self._closed = False

    @property
    def violations(self) -> dict[str, int]:
        """How often the peer broke which rule, and was repaired."""
        return dict(self.reader.violations)

    @property
    def done(self) -> bool:
        """The terminal event was given."""
        return self._closed or self.reader.done

    def receive_data(self, chunk: bytes) -> list[Event]:
        """Events that `chunk` completes; empty after the terminal one."""
        if self._closed:
            return []
        try:
            frames = self._frames.receive_data(chunk)
        except LimitExceeded as error:
            return self._exceeded(error)
        receive = self.reader.receive
        if len(frames) == 1:
            return receive(frames[0])
        events: list[Event] = []
        for frame in frames:
            events += receive(frame)
        return events

    def receive_eof(self) -> list[Event]:
        """The input ended: what is left, with the terminal event."""
        if self._closed:
            return []
        try:
            frames = self._frames.receive_eof()
        except LimitExceeded as error:
            return self._exceeded(error)
        events: list[Event] = []
        for frame in frames:
            events += self.reader.receive(frame)
        events += self.reader.receive_eof()
        self._closed = True
        return events

    def _exceeded(self, error: LimitExceeded) -> list[Event]:
        over = self.reader.done
        self._closed = True
        found = APIError(kind="bad_upstream", message=str(error), status=502)
        return [] if over else [StreamError(found)]


def frame_source(dialect: Dialect, framing: str, limits: Limits) -> FrameSource:
    """What cuts a stream of `framing` into frames.

    Raises:
        LocalProtocolError: The dialect has no such framing.
    """
    _check_framing(dialect, framing)
    if dialect.frame_decoder is not None:
        special = dialect.frame_decoder(framing, limits)
        if special is not None:
            return special
    if framing == "messages":
        return LineDecoder(limit=limits.frame)
    return FrameDecoder(limit=limits.frame)


def _check_framing(dialect: Dialect, framing: str) -> None:
    if framing not in dialect.framings:
        known = ", ".join(dialect.framings)
        raise LocalProtocolError(
            f"{dialect.name} has no framing {framing!r}; it has {known}"
        )


class StreamEncoder:
    """Events to bytes of a client's stream.

    Whatever order the events come in, the stream is legal; what the dialect cannot
    hold is told in `losses`.

    Args:
        target: Dialect of the client.
        framing: How the stream is cut.
        context: Of the request it answers.
        created: Seconds since the epoch, where the answer says none.
        id: Seed of ids that must be minted.
        model: Overrides the answer's.
    """

    def __init__(
        self,
        target: str | Dialect,
        *,
        framing: str | None = None,
        context: Context | None = None,
        created: float | None = None,
        id: str = "",
        model: str | None = None,
        limits: Limits = NO_LIMITS,
    ) -> None:
        dialect = get(target)
        _check_framing(dialect, framing or dialect.framings[0])
        self._losses = LossRecorder(response=True)
        self.send = dialect.stream_writer(
            reply_target(
                dialect,
                context,
                self._losses,
                created=created,
                seed=id,
                model=model,
                framing=framing,
                limits=limits,
            )
        ).send
        """`send(event) -> bytes`: what is due now."""

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What the dialect could not hold so far."""
        return self._losses.losses


class StreamTranslator:
    """Bytes of a server's stream to bytes of a client's.

    Args:
        source: Dialect of the server.
        target: Dialect of the client.
        context: Of the request it answers.
        created: Seconds since the epoch, where the answer says none.
        id: Seed of ids that must be minted.
        filters: Stages on the events, after those of the context.
        model: Overrides the answer's.
        framing: Of the client's stream.
        source_framing: Of the server's stream.
        limits: What is too much.
        checked: Prove the grammar of what every filter gives.
    """

    def __init__(
        self,
        source: str | Dialect,
        target: str | Dialect,
        *,
        context: Context | None = None,
        created: float | None = None,
        id: str = "",
        filters: Sequence[Filter] = (),
        model: str | None = None,
        framing: str | None = None,
        source_framing: str | None = None,
        limits: Limits = NO_LIMITS,
        checked: bool = False,
    ) -> None:
        self.decoder = StreamDecoder(
            source, framing=source_framing, context=context, id=id, limits=limits
        )
        own = context.filters() if context else ()
        self.chain = FilterChain((*own, *filters), checked=checked)
        self.encoder = StreamEncoder(
            target,
            framing=framing,
            context=context,
            created=created,
            id=id,
            model=model,
            limits=limits,
        )
        self.tally = Tally()
        self._plain = not (own or filters or checked)

    def receive_data(self, chunk: bytes) -> bytes:
        """Bytes for the client that `chunk` makes due, b"" for none. Never raises."""
        return self.encode(self.decoder.receive_data(chunk))

    def receive_eof(self) -> bytes:
        """The rest: the stream's end, or an error that says that it broke."""
        return self.encode(self.decoder.receive_eof())

    def encode(self, events: Iterable[Event]) -> bytes:
        """The bytes for events of the decoder, through the filters."""
        send = self.encoder.send
        take = self.tally.take
        if self._plain:
            out = []
            for event in events:
                if type(event) in _TALLIED:
                    take(event)
                out.append(send(event))
            return b"".join(out)
        pieces: list[bytes] = []
        for event in events:
            for given in self.chain.send(event):
                take(given)
                pieces.append(send(given))
        return b"".join(pieces)

    @property
    def done(self) -> bool:
        """The answer is complete, or has failed."""
        return self.tally.done

    @property
    def usage(self) -> Usage | None:
        """The last token counts."""
        return self.tally.usage

    @property
    def stop(self) -> StopReason | None:
        """Why the first choice ended."""
        return self.tally.stop

    @property
    def error(self) -> APIError | None:
        """Why the stream failed."""
        return self.tally.error

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What the client's dialect could not hold, and what filters changed."""
        return self.encoder.losses + self.chain.losses


_TALLIED = frozenset({MessageStart, UsageUpdate, MessageEnd, StreamEnd, StreamError})


class Tally:
    """What is to be known of a stream from outside: usage, stop, error, end."""

    __slots__ = ("done", "error", "stop", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.stop: StopReason | None = None
        self.error: APIError | None = None
        self.done = False

    def take(self, event: Event) -> None:
        """Note what `event` tells."""
        if isinstance(event, (UsageUpdate, MessageStart)):
            self.usage = event.usage
        elif isinstance(event, MessageEnd):
            self.stop = self.stop or event.stop
        elif isinstance(event, StreamError):
            self.error = event.error
            self.done = True
        elif isinstance(event, StreamEnd):
            self.done = True
