"""What is fuzzed, and the contract that each decoder keeps for any bytes.

A target takes one input and says what became of it. Whatever breaks the contract is an
exception: one that is not documented, `ContractBroken`, or the checker's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

from msgspec import Struct

import llmwire
from bench.fuzz import feeds
from bench.fuzz.filters import FILTER_CHAINS, filter_feed, run_filters
from bench.fuzz.seeds import DIALECTS
from bench.fuzz.spoiling import cut
from llmwire.dialects import ReplyTarget, get
from llmwire.events import Event
from llmwire.limits import Limits
from llmwire.losses import LossRecorder
from llmwire.sse import Frame, FrameDecoder
from llmwire_server.upstream.codec import (
    CodecName,
    HeadLimits,
    MakeDechunker,
    ResponseDecoder,
    load_dechunker,
)

__all__ = ("ContractBroken", "Target", "targets")

Run: TypeAlias = Callable[[bytes, Random], str]
"""One input through a decoder: what became of it."""
TIGHT: Final = Limits(
    body=2000, frame=300, arguments=40, nesting=6, parts=3, messages=2
)
_PATHS: Final = {
    "openai-chat": ("/v1/chat/completions",),
    "openai-responses": ("/v1/responses",),
    "anthropic": ("/v1/messages",),
    "gemini": (
        "/v1beta/models/m:generateContent",
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        "/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
    ),
}
_STATUS: Final = (200, 400, 401, 403, 404, 413, 422, 429, 500, 503, 529, 599)
_REFUSALS: Final = (400, 413, 502)
_HEADERS: Final = (
    (),
    (("retry-after", "5"),),
    (("retry-after", "x"), ("x-should-retry", "true")),
    (("retry-after-ms", "1e999"), ("content-type", "text/html")),
)


class ContractBroken(AssertionError):
    """A decoder did what it promises never to do."""


class Target(Struct, frozen=True):
    """One decoder, or one chain of filters."""

    name: str
    feed: Callable[[Path | None], feeds.Feed]
    run: Run
    modules: tuple[str, ...]
    """Whose branches are counted: paths below the checkout."""


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise ContractBroken(what)


def _limits(rng: Random) -> Limits:
    return TIGHT if rng.random() > 0.94 else Limits()


# Frames


def _run_frames(data: bytes, rng: Random) -> str:
    limit = rng.choice((9, 40, 10**6, 10**6))
    whole, refused = _frames([data], limit)
    again, twice = _frames(cut(rng, data), limit)
    _demand(whole == again and refused == twice, "frames depend on the division")
    raw = b"".join(frame.raw for frame in whole)
    _demand(data == raw or (refused and data.startswith(raw)), "bytes were lost")
    if refused:
        return "refused: too long"
    return "frames" if any(frame.data is not None for frame in whole) else "no data"


def _frames(pieces: Sequence[bytes], limit: int) -> tuple[list[Frame], bool]:
    decoder = FrameDecoder(limit=limit)
    found: list[Frame] = []
    try:
        for piece in pieces:
            found += decoder.receive_data(piece)
        # What is too long may be told only by the next call.
        return found + decoder.receive_eof(), False
    except llmwire.LimitExceeded:
        return found, True


# Streams


def _stream(dialect: str, framing: str) -> Run:
    def run(data: bytes, rng: Random) -> str:
        limits = _limits(rng)
        decoder, events = _events(dialect, framing, [data], limits)
        llmwire.grammar.check(events)
        _demand(decoder.done, "not done after the end of the input")
        if rng.random() < 0.1:
            _, again = _events(dialect, framing, cut(rng, data), limits)
            _demand(again == events, "events depend on the division")
        if rng.random() < 0.03:
            _write_everywhere(events)
        last = events[-1]
        if isinstance(last, llmwire.StreamError):
            return f"broken: {last.error.kind}"
        return "complete, repaired" if decoder.violations else "complete"

    return run


def _events(
    dialect: str, framing: str, pieces: Sequence[bytes], limits: Limits
) -> tuple[llmwire.StreamDecoder, list[Event]]:
    decoder = llmwire.StreamDecoder(dialect, framing=framing, limits=limits)
    events: list[Event] = []
    for piece in pieces:
        events += decoder.receive_data(piece)
    return decoder, events + decoder.receive_eof()


def _write_everywhere(events: list[Event]) -> None:
    """What was read can be written in every dialect, and is a sentence there."""
    for name in DIALECTS:
        for framing in get(name).framings:
            encoder = llmwire.StreamEncoder(name, framing=framing)
            wire = b"".join(map(encoder.send, events))
            _, again = _events(name, framing, [wire], Limits())
            llmwire.grammar.check(again)
            same = type(again[-1]) is type(events[-1])
            _demand(same or _failed(events), f"as {name} it ends in another way")
    if isinstance(events[-1], llmwire.StreamEnd):
        _write_answer(llmwire.fold(events))


def _failed(events: list[Event]) -> bool:
    """Whether the model failed: some dialects tell that as an error."""
    return any(
        isinstance(event, llmwire.MessageEnd)
        and event.stop in ("error", "malformed_tool_call")
        for event in events
    )


# Bodies


def _request(dialect: str) -> Run:
    paths = _PATHS[dialect]

    def run(data: bytes, rng: Random) -> str:
        http = llmwire.HTTPRequest(method="POST", path=rng.choice(paths), body=data)
        try:
            request = llmwire.decode_request(http, dialect, limits=_limits(rng))
        except llmwire.RemoteProtocolError as error:
            _demand(error.status in _REFUSALS, f"status {error.status}")
            return f"refused: {error.status}"
        if rng.random() < 0.1:
            _send_everywhere(request)
        return "read"

    return run


def _send_everywhere(request: llmwire.Request) -> None:
    for name in DIALECTS:
        try:
            call = llmwire.encode_request(request, name, model="m")
        except llmwire.UnsupportedFeature:
            continue
        llmwire.decode_request(call.http, name)


def _response(dialect: str) -> Run:
    def run(data: bytes, rng: Random) -> str:
        error = get(dialect).find_error(data)
        try:
            response = llmwire.decode_response(data, dialect, limits=_limits(rng))
        except llmwire.RemoteProtocolError as refusal:
            _demand(refusal.status in _REFUSALS, f"status {refusal.status}")
            return "refused: an error inside" if error else "refused: no answer"
        indices = [choice.index for choice in response.choices]
        if indices and len(set(indices)) == len(indices):
            llmwire.grammar.check(llmwire.unfold(response))
        if response.choices and rng.random() < 0.1:
            _write_answer(response)
        return "read, with an error" if error else "read"

    return run


def _write_answer(response: llmwire.Response) -> None:
    """What was read can be written in every dialect, and is an answer there."""
    for name in DIALECTS:
        reply = llmwire.encode_response(response, name, created=1.0)
        llmwire.decode_response(reply.body, name)


def _error(dialect: str) -> Run:
    decode = get(dialect).decode_error

    def run(data: bytes, rng: Random) -> str:
        error = decode(rng.choice(_STATUS), rng.choice(_HEADERS), data)
        if rng.random() < 0.1:
            for name in DIALECTS:
                reply = get(name).encode_error(error)
                _demand(400 <= reply.status < 600, f"status {reply.status}")
                json.loads(reply.body)
                start = ReplyTarget(
                    losses=LossRecorder(response=True),
                    profile=llmwire.profiles.resolve(name, None, None),
                )
                get(name).stream_error(error, start)
        return error.kind

    return run


def _models(dialect: str) -> Run:
    record = get(dialect)

    def run(data: bytes, rng: Random) -> str:
        outcome = []
        for decode in (record.decode_models, record.decode_count):
            try:
                decode(data)
                outcome.append("read")
            except llmwire.RemoteProtocolError as error:
                _demand(error.status in _REFUSALS, f"status {error.status}")
                outcome.append("refused")
        return "models {}, count {}".format(*outcome)

    return run


# HTTP


def _http(codec: CodecName) -> Run:
    make = load_dechunker(codec)

    def run(data: bytes, rng: Random) -> str:
        method = rng.choice(("POST", "POST", "GET", "HEAD"))
        limits = HeadLimits(head_bytes=rng.choice((60, 65536, 65536)), headers=3)
        whole = _answer(make, [data], method, limits)
        again = _answer(make, cut(rng, data), method, limits)
        _demand(whole == again, "the answer depends on the division")
        head, _, complete, kind = whole
        if complete:
            return "complete"
        return f"broken: {kind}" if head else f"refused: {kind}"

    return run


def _answer(
    make: MakeDechunker, pieces: Sequence[bytes], method: str, limits: HeadLimits
) -> tuple[object, bytes, bool, str | None]:
    decoder = ResponseDecoder(method, make, limits)
    body = b""
    for piece in pieces:
        if piece and not decoder.complete and decoder.failure is None:
            body += decoder.receive_data(piece)
    decoder.receive_eof()
    failure = decoder.failure
    ended = decoder.complete or failure is not None
    _demand(ended, "neither complete nor failed after the end of the input")
    kind = None if failure is None else failure.kind
    return decoder.head, body, decoder.complete, kind


# The table


def _filter_modules(names: str) -> tuple[str, ...]:
    return tuple(f"llmwire/filters/{name}.py" for name in names.split())


_READING: Final = {
    "stream": "stream_read stream_slots stream_choice stream_calls stream_items "
    "stream_template increments partial",
    "request": "request_read config_read content_read items_read message_read "
    "blocks_read parts_read names cache",
    "response": "response content_read items_read message_read blocks_read parts_read",
    "error": "errors",
    "models": "models",
}


def _modules(dialect: str, kind: str) -> tuple[str, ...]:
    folder = f"llmwire/dialects/{dialect.replace('-', '_')}"
    return tuple(f"{folder}/_{name}.py" for name in _READING[kind].split())


def _of_dialect(dialect: str) -> Iterator[Target]:
    for framing in get(dialect).framings:
        special = {"json-array": "llmwire/dialects/gemini/_array.py"}
        yield Target(
            f"{dialect}/stream, {framing}",
            partial(feeds.stream_feed, dialect, framing),
            _stream(dialect, framing),
            (
                *_modules(dialect, "stream"),
                "llmwire/_parts.py",
                special.get(framing, "llmwire/_lines.py"),
            ),
        )
    runs = {
        "request": _request,
        "response": _response,
        "error": _error,
        "models": _models,
    }
    for kind, run in runs.items():
        yield Target(
            f"{dialect}/{kind}",
            partial(feeds.body_feed, kind, dialect),
            run(dialect),
            _modules(dialect, kind),
        )


_FILTERS: Final = {
    "think": _filter_modules("_think_filter _think_scanner _think_rules _match"),
    "virtual_tools": _filter_modules("_text_to_calls _tool_reader _tool_call"),
    "leaked_calls": _filter_modules(
        "_leaked_call_filter _call_scanner _call_regions _call_openers"
    ),
    "tool_repair": _filter_modules("tool_repair _argument_scanner"),
    "structured": _filter_modules("structured _argument_scanner"),
    "tool_loops": _filter_modules("tool_loops _choice_cuts"),
    "loops": _filter_modules("loops _loop_detector _choice_cuts"),
    "all": _filter_modules("_chain _numbering"),
}


def targets() -> list[Target]:
    """Every decoder and framing, and every filter."""
    folder = "llmwire_server/upstream"
    found = [Target("sse", feeds.frame_feed, _run_frames, ("llmwire/sse.py",))]
    for dialect in DIALECTS:
        found += _of_dialect(dialect)
    codecs: tuple[CodecName, ...] = ("httptools", "h11")
    for codec in codecs:
        modules = (f"{folder}/codec.py", f"{folder}/_chunked_{codec}.py")
        found.append(Target(f"http/{codec}", feeds.http_feed, _http(codec), modules))
    for name, chain in FILTER_CHAINS.items():
        run = partial(run_filters, chain)
        found.append(Target(f"filter/{name}", filter_feed, run, _FILTERS[name]))
    return found
