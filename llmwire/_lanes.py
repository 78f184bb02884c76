"""How the bytes of each kind of upstream answer become output for the client.

`error_lane` collects an error reply, `body_lane` a whole answer, `StreamLane`
translates a stream (into a stream or a whole answer), `RawLane` passes one through, and
`SniffLane` decides between them by what the upstream really sends. Each tells the
`Answer` what it learned and gives the bytes that are due; holding them back until the
head is decided is the `Attempt`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final, Protocol

from msgspec import NODEFAULT, MsgspecError, Raw, defstruct
from msgspec.json import Decoder
from msgspec.structs import replace

from llmwire._answer import OUTPUT, Answer, bad_answer
from llmwire._fold import Folder, unfold
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

    __slots__ = ("_answer", "_finish", "_pieces", "_size")

    def __init__(
        self, answer: Answer, finish: Callable[[Answer, bytes], bytes]
    ) -> None:
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
        return self._finish(self._answer, body)


def error_lane(answer: Answer, status: int, headers: Headers) -> Lane:
    """For a reply whose status says that it is no answer."""

    def finish(answer: Answer, body: bytes) -> bytes:
        if status < 400:
            return answer.fail(bad_answer(f"status {status} where 200 was expected"))
        decode = answer.plan.upstream.decode_error
        return answer.fail(decode(status, headers, body))

    return CollectLane(answer, finish)


def body_lane(answer: Answer) -> Lane:
    """For a whole answer."""
    plan = answer.plan
    if plan.counting:
        return CollectLane(answer, _count)
    passing = plan.raw and not plan.observe
    return CollectLane(answer, _pass if passing else _translate)


def _count(answer: Answer, body: bytes) -> bytes:
    plan = answer.plan
    error = plan.upstream.find_error(body)
    if error is not None:
        return answer.fail(error)
    try:
        count = plan.upstream.decode_count(body)
    except RemoteProtocolError as problem:
        return answer.fail(bad_answer(str(problem)))
    return answer.whole(plan.client.encode_count(count))


def _pass(answer: Answer, body: bytes) -> bytes:
    """A body that is certainly an answer, as it is; all others as `_translate`."""
    upstream = answer.plan.upstream
    name = upstream.answer_list
    if name is None:
        return _translate(answer, body)
    if not (upstream.told_by_items and holds_list(body, name, alone=True)):
        error = upstream.find_error(body)
        if error is not None:
            return answer.fail(error)
        if not holds_list(body, name):
            return _translate(answer, body)
    answer.unread = body
    return answer.whole(body)


@cache
def _finder(name: str, alone: bool) -> Decoder[Any]:
    fields: list[tuple[str, Any, Any]] = [(name, list[Raw], NODEFAULT)]
    if alone:
        fields.append(("error", None, None))
    return Decoder(defstruct("Holder", fields))


def holds_list(body: bytes, name: str, *, alone: bool = False) -> bool:
    """Whether `body` is an object with a list as its member `name`. Never raises.

    Args:
        body: Of an answer.
        name: Of the member.
        alone: The list has items, and there is no `error` but null.
    """
    try:
        found = getattr(_finder(name, alone).decode(body), name)
    except (MsgspecError, UnicodeError, RecursionError):
        return False
    return bool(found) or not alone


def _translate(answer: Answer, body: bytes) -> bytes:
    plan = answer.plan
    try:
        response = _decoded(answer, body)
    except RemoteProtocolError as problem:
        return answer.fail(bad_answer(str(problem)))
    if isinstance(response, APIError):
        return answer.fail(response)
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


def _decoded(answer: Answer, body: bytes) -> Response | APIError:
    """What a body with a good status holds. Raises like `Dialect.decode_response`."""
    upstream, source = answer.plan.upstream, answer.source()
    if upstream.decode_reply is not None:
        return upstream.decode_reply(body, source)
    return upstream.find_error(body) or upstream.decode_response(body, source)


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
        answer, folder = self._answer, self._folder
        if folder is not None:
            self._size += len(chunk)
            limit = answer.plan.limits.body
            if self._size > limit:
                return answer.fail(bad_answer(f"more than {limit} bytes"))
        return _written(answer, self._decoder.receive_data(chunk), folder)

    def end(self) -> bytes:
        return _written(self._answer, self._decoder.receive_eof(), self._folder)


def _written(answer: Answer, events: Iterable[Event], folder: Folder | None) -> bytes:
    """`events` through the filters to the client: streamed, or into `folder`."""
    pieces: list[bytes] = []
    take: Callable[[Event], bytes | None]
    take = answer.sender() if folder is None else folder.add
    for event in _filtered(answer, events) if answer.plan.filters else events:
        if type(event) in OUTPUT:
            if not answer.first_output:
                answer.decide(event)
            due = take(event)
            if due:
                pieces.append(due)
            continue
        told = _told(answer, event) if isinstance(event, MessageEnd) else event
        if isinstance(told, StreamError):
            pieces.append(answer.fail(told.error))
            break
        answer.note(told)
        pieces.append(take(told) or b"")
        if isinstance(told, StreamEnd):
            if folder is not None:
                pieces.append(answer.whole_response(folder.response()))
            answer.over = True
    return b"".join(pieces)


def _filtered(answer: Answer, events: Iterable[Event]) -> Iterator[Event]:
    """What the filters make of `events`, one after the other."""
    for event in events:
        yield from answer.chain.send(event)


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

    __slots__ = ("_answer", "_blank", "_headers", "chosen")

    def __init__(self, answer: Answer, headers: Headers) -> None:
        self._answer = answer
        self._headers = headers
        self._blank = b""
        self.chosen: Lane | None = None
        """What it decided for: all the rest may go there at once."""

    def receive(self, chunk: bytes) -> bytes:
        if self.chosen is not None:
            return self.chosen.receive(chunk)
        data = self._blank + chunk
        kind = self._kind()
        if data[:1] == b"{" and "event-stream" not in kind:
            self.chosen = body_lane(self._answer)
            return self.chosen.receive(data)
        first = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if not first and len(data) < 4096 and "event-stream" not in kind:
            self._blank = data
            return b""
        self.chosen = self._choose(kind, first)
        return self.chosen.receive(data)

    def end(self) -> bytes:
        if self.chosen is None:
            self.chosen = self._choose(self._kind(), b"")
            self.chosen.receive(self._blank)
        return self.chosen.end()

    def _kind(self) -> str:
        """The content type that the headers say, "" for none."""
        for name, value in self._headers:
            if name == "content-type":
                return value.lower()
        return ""

    def _choose(self, kind: str, first: bytes) -> Lane:
        plan = self._answer.plan
        if "event-stream" in kind:
            return self._streamed("sse")
        if first == b"[" and "json-array" in plan.upstream.framings:
            return self._streamed("json-array")
        typed = "json" in kind or "html" in kind
        if first in b"{[<" or (typed and first not in _FIELDS):
            return body_lane(self._answer)
        return self._streamed("sse")

    def _streamed(self, framing: str) -> Lane:
        plan = self._answer.plan
        if plan.raw and plan.stream and framing == plan.framing:
            return RawLane(self._answer, framing)
        return StreamLane(self._answer, framing)
