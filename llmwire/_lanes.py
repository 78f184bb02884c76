"""How the bytes of each kind of upstream answer become output for the client.

`error_lane` collects an error reply, `body_lane` a whole answer, `StreamLane`
translates a stream (into a stream or a whole answer), `RawLane` passes one through, and
`SniffLane` decides between them by what the upstream really sends. Each tells the
`Answer` what it learned and gives the bytes that are due; holding them back until the
head is decided is the `Attempt`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, Protocol

from msgspec.structs import replace

from llmwire._answer import Answer, bad_answer
from llmwire._fold import Folder, unfold
from llmwire._json import holds_list
from llmwire.dialects import Dialect
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.events import Event, MessageEnd, StreamEnd, StreamError, UsageUpdate
from llmwire.http import Headers
from llmwire.messages import APIError, Response, StopReason
from llmwire.sse import Frame, FrameDecoder
from llmwire.streams import frame_source

_FIELDS: Final = b":deir"
"""First bytes of a comment and of the fields of a server-sent event; no JSON text of an
answer begins with one."""
_TRUNCATED: Final = APIError(
    kind="truncated", message="the upstream's stream broke off", status=502
)


class Lane(Protocol):
    """Bytes of the upstream in, bytes for the client out."""

    def receive(self, chunk: bytes) -> bytes:
        """Output that `chunk` makes due."""

    def end(self) -> bytes:
        """Output that the end of the body makes due."""


class CollectLane:
    """Holds a body, within the limit, and finishes when it is complete."""

    def __init__(self, answer: Answer, finish: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._finish = finish
        self._pieces: list[bytes] = []
        self._size = 0

    def receive(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        limit = self._answer.plan.limits.body
        if self._size > limit:
            self._pieces.clear()
            return self._answer.fail(bad_answer(f"more than {limit} bytes"))
        self._pieces.append(chunk)
        return b""

    def end(self) -> bytes:
        body = b"".join(self._pieces)
        self._pieces.clear()
        return self._finish(body)


def error_lane(answer: Answer, status: int, headers: Headers) -> Lane:
    """For a reply whose status says that it is no answer."""

    def finish(body: bytes) -> bytes:
        if status < 400:
            return answer.fail(bad_answer(f"status {status} where 200 was expected"))
        decode = answer.plan.upstream.decode_error
        return answer.fail(decode(status, headers, body))

    return CollectLane(answer, finish)


def body_lane(answer: Answer) -> Lane:
    """For a whole answer."""
    return CollectLane(answer, partial(_finished, answer))


def _finished(answer: Answer, body: bytes) -> bytes:
    plan = answer.plan
    error = plan.upstream.find_error(body)
    if error is not None:
        return answer.fail(error)
    if plan.raw and not plan.observe and _is_answer(plan.upstream, body):
        answer.unread = body
        return answer.whole(body)
    try:
        if plan.counting:
            count = plan.upstream.decode_count(body)
            return answer.whole(plan.client.encode_count(count))
        response = plan.upstream.decode_response(body, answer.source())
    except RemoteProtocolError as problem:
        return answer.fail(bad_answer(str(problem)))
    if plan.stream or plan.filters:
        folder = None if plan.stream else Folder()
        events = _usage_first(response) if plan.filters else unfold(response)
        return _written(answer, events, folder)
    answer.learn(response)
    for choice in response.choices:
        error = _broken(answer, choice.stop, choice.raw)
        if error is not None:
            return answer.fail(error)
    return answer.whole(body) if plan.raw else answer.whole_response(response)


def _is_answer(dialect: Dialect, body: bytes) -> bool:
    """Whether that can be told without decoding it."""
    return dialect.answer_list is not None and holds_list(body, dialect.answer_list)


def _usage_first(response: Response) -> list[Event]:
    """Its events, so that a filter that cuts the answer does not cut the usage too."""
    events = unfold(replace(response, usage=None))
    if response.usage is not None:
        events.insert(1, UsageUpdate(response.usage))
    return events


def _told(answer: Answer, end: MessageEnd) -> MessageEnd | StreamError:
    """`end`, or the error that the client is told where it has no word for it."""
    error = _broken(answer, end.stop, end.raw)
    return end if error is None else StreamError(error)


def _broken(answer: Answer, stop: StopReason, raw: str | None) -> APIError | None:
    client, upstream = answer.plan.client, answer.plan.upstream
    if stop not in client.failing_stops or client.name == upstream.name:
        return None
    what = f"the model's answer broke off: {raw or stop}"
    return APIError(kind="bad_upstream", message=what, status=502, code=stop)


class StreamLane:
    """A stream, translated."""

    def __init__(self, answer: Answer, framing: str) -> None:
        self._answer = answer
        self._decoder = answer.decoder(framing)
        self._folder = None if answer.plan.stream else Folder()
        self._size = 0

    def receive(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        limit = self._answer.plan.limits.body
        if self._folder is not None and self._size > limit:
            return self._answer.fail(bad_answer(f"more than {limit} bytes"))
        events = self._decoder.receive_data(chunk)
        return _written(self._answer, events, self._folder)

    def end(self) -> bytes:
        return _written(self._answer, self._decoder.receive_eof(), self._folder)


def _written(answer: Answer, events: Iterable[Event], folder: Folder | None) -> bytes:
    """`events` through the filters to the client: streamed, or into `folder`."""
    pieces: list[bytes] = []
    chain = answer.chain.send if answer.plan.filters else None
    for event in events:
        for each in chain(event) if chain else (event,):
            if isinstance(each, MessageEnd):
                each = _told(answer, each)
            if isinstance(each, StreamError):
                pieces.append(answer.fail(each.error))
                return b"".join(pieces)
            answer.note(each)
            if folder is None:
                pieces.append(answer.send(each))
            else:
                folder.add(each)
            if isinstance(each, StreamEnd):
                if folder is not None:
                    pieces.append(answer.whole_response(folder.response()))
                answer.over = True
    return b"".join(pieces)


class RawLane:
    """A stream passed through, byte for byte.

    Frames are decoded until the head is decided (and, where the attempt is held, until
    it has shown something), afterwards only where the dialect's terminal mark is in
    them, unless the stream is observed. What such a reader finds wrong by itself after
    that changes nothing: only an error that the server names does, and an end that is
    none.
    """

    def __init__(self, answer: Answer, framing: str) -> None:
        plan = answer.plan
        self._array = framing == "json-array"
        # The error of an array of which nothing was passed opens that array.
        answer.passing = not self._array
        self._answer = answer
        self._frames = frame_source(plan.upstream, framing, plan.limits)
        self._reader = answer.decoder(framing).reader
        self._mark = plan.upstream.terminal_mark
        self._may_end = plan.upstream.may_end
        self._marked = False
        """The terminal mark was seen."""
        self._lost = False
        """The reader found something wrong in an answer that goes on all the same."""

    def receive(self, chunk: bytes) -> bytes:
        whole = self._unmarked(chunk)
        try:
            passed = self._passed(self._frames.receive_data(chunk[len(whole) :]))
        except LimitExceeded as error:
            return whole + self._answer.fail(bad_answer(str(error)))
        return whole + passed if whole else passed

    def _unmarked(self, chunk: bytes) -> bytes:
        """As many whole frames at the front of `chunk` as need not be looked at."""
        frames = self._frames
        if (
            self._may_end is None
            or not isinstance(frames, FrameDecoder)
            or frames.buffered
            or self._answer.over
            or self._looking()
        ):
            return b""
        whole = chunk[: chunk.rfind(b"\n\n") + 2]
        if len(whole) < 2 or b"\r" in whole or self._may_end(whole):
            return b""
        return whole

    def end(self) -> bytes:
        answer = self._answer
        try:
            frames = self._frames.receive_eof()
        except LimitExceeded as error:
            return answer.fail(bad_answer(str(error)))
        out = self._passed([frame for frame in frames if _is_whole(frame)])
        rest = self._passed([frame for frame in frames if not _is_whole(frame)])
        if answer.over:
            return out + rest
        for event in self._reader.receive_eof():
            if isinstance(event, StreamError):
                # What broke off is no frame, and an array's end none either: the
                # error stands where they would.
                return out + answer.fail(event.error)
            self._learn(event)
        if self._lost and not self._marked:
            return out + answer.fail(_TRUNCATED)
        answer.over = True
        return out + rest

    def _passed(self, frames: Sequence[Frame]) -> bytes:
        answer = self._answer
        pieces: list[bytes] = []
        for frame in frames:
            marked = frame.complete and self._mark(frame)
            self._marked = self._marked or marked
            if marked or not frame.complete or self._looking():
                error = self._look(frame)
                if error is not None:
                    return answer.fail(error)
            pieces.append(frame.raw)
            if self._array:
                answer.passing = answer.passing or _is_whole(frame)
                if answer.over:
                    # An error ends the answer here: its array is ended with it.
                    answer.failed = True
                    pieces.append(b"]")
                    break
        return b"".join(pieces)

    def _looking(self) -> bool:
        """Whether every frame must be decoded (still)."""
        answer = self._answer
        if answer.plan.observe or not answer.answering:
            return not answer.over
        return answer.holding and not answer.first_output

    def _look(self, frame: Frame) -> APIError | None:
        """Learn from one frame; the error to answer with instead of it, if any."""
        answer = self._answer
        for event in self._reader.receive(frame):
            if not isinstance(event, StreamError):
                self._learn(event)
            elif not answer.answering:
                return event.error
            elif event.error.kind in ("bad_upstream", "truncated"):
                self._lost = True
            else:
                answer.tally.take(event)
                answer.over = True
        return None

    def _learn(self, event: Event) -> None:
        answer = self._answer
        if answer.plan.observe:
            answer.note(event)
        else:
            answer.decide(event)
        if isinstance(event, StreamEnd):
            answer.over = True


def _is_whole(frame: Frame) -> bool:
    return frame.complete and frame.data is not None


class SniffLane:
    """Decides by content type, else by the first byte, how an answer is read."""

    def __init__(self, answer: Answer, headers: Headers) -> None:
        self._answer = answer
        first = dict(headers[::-1])
        self._type = first.get("content-type", "").lower()
        self._blank = b""
        self._lane: Lane | None = None

    def receive(self, chunk: bytes) -> bytes:
        if self._lane is not None:
            return self._lane.receive(chunk)
        data = self._blank + chunk
        first = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if not first and len(data) < 4096 and "event-stream" not in self._type:
            self._blank = data
            return b""
        self._lane = self._chosen(first)
        return self._lane.receive(data)

    def end(self) -> bytes:
        if self._lane is None:
            self._lane = self._chosen(b"")
            self._lane.receive(self._blank)
        return self._lane.end()

    def _chosen(self, first: bytes) -> Lane:
        plan = self._answer.plan
        if "event-stream" in self._type:
            return self._streamed("sse")
        if first == b"[" and "json-array" in plan.upstream.framings:
            return self._streamed("json-array")
        typed = "json" in self._type or "html" in self._type
        if first in b"{[<" or (typed and first not in _FIELDS):
            return body_lane(self._answer)
        return self._streamed("sse")

    def _streamed(self, framing: str) -> Lane:
        plan = self._answer.plan
        if plan.raw and plan.stream and framing == plan.framing:
            return RawLane(self._answer, framing)
        return StreamLane(self._answer, framing)
