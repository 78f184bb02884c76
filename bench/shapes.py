"""Inputs that grow: the same shape with `n` and with `2n` of what it is made of.

Each shape is what a peer may send, far beyond what is usual and within the limits, and
every one of them is a chance to be quadratic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

import llmwire
from bench.inputs import dumps, feeds
from llmwire._lines import LineDecoder
from llmwire.dialects import get
from llmwire.events import Event
from llmwire.limits import Limits
from llmwire.sse import FrameDecoder
from llmwire_server.upstream.codec import (
    CodecName,
    HeadLimits,
    ResponseDecoder,
    load_dechunker,
)

__all__ = ("DIALECTS", "SHAPES", "Shape")

DIALECTS: Final = ("openai-chat", "openai-responses", "anthropic", "gemini")
Work: TypeAlias = Callable[[], object]
_MANY: Final = 160
"""The `n` for which steps are counted where one of many is a small part of them."""
_SMALL: Final = 16
"""Bytes of a small piece."""


class Shape(Struct, frozen=True):
    """One thing that grows."""

    name: str
    size: int
    """The `n` that is measured."""
    prepare: Callable[[int], Work]
    """Makes the input of size `n`; what it returns is the work."""
    few: int = 64
    """The `n` for which the steps of the work are counted."""


# Framing


def _frames(make: Callable[[], Any], wrap: Callable[[bytes], bytes]) -> Any:
    def prepare(n: int) -> Work:
        pieces = feeds(wrap(b"x" * n), _SMALL)

        def work() -> int:
            source = make()
            found = sum(len(source.receive_data(piece)) for piece in pieces)
            return found + len(source.receive_eof())

        return work

    return prepare


def _framings() -> Iterator[Shape]:
    limit = 2**30
    yield Shape(
        "sse, a frame in 16-byte pieces",
        200_000,
        _frames(lambda: FrameDecoder(limit=limit), lambda x: b"data: " + x + b"\n\n"),
        4096,
    )
    yield Shape(
        "sse, a block of short lines in 16-byte pieces",
        200_000,
        _frames(
            lambda: FrameDecoder(limit=limit),
            lambda x: b"data: y\r\n" * (len(x) // 9) + b"\r\n",
        ),
        4096,
    )
    yield Shape(
        "sse, carriage returns in 16-byte pieces",
        200_000,
        _frames(lambda: FrameDecoder(limit=limit), lambda x: b"a\r" * (len(x) // 2)),
        4096,
    )
    yield Shape(
        "messages, a line in 16-byte pieces",
        200_000,
        _frames(lambda: LineDecoder(limit=limit), lambda x: b'"' + x + b'"\n'),
        4096,
    )
    frame_decoder = get("gemini").frame_decoder
    assert frame_decoder is not None
    limits = Limits(frame=limit)
    yield Shape(
        "json-array, a string in 16-byte pieces",
        200_000,
        _frames(
            lambda: frame_decoder("json-array", limits),
            lambda x: b'[{"a":"' + x + b'"}]',
        ),
        4096,
    )
    yield Shape(
        "json-array, levels in 16-byte pieces",
        100_000,
        _frames(
            lambda: frame_decoder("json-array", limits),
            lambda x: b'[{"a":' + b"[]," * len(x) + b"0}]",
        ),
        4096,
    )


# Streams


def _started(parts: Sequence[Event], dialect: str | None = None) -> list[Event]:
    start = llmwire.MessageStart("msg-1", "model-x", 1.0, None, dialect)
    return [start, *parts, llmwire.MessageEnd("end"), llmwire.StreamEnd()]


def texts(n: int) -> list[Event]:
    """`n` texts, one after another."""
    parts: list[Event] = []
    for at in range(n):
        text = llmwire.TextPart("", group=at)
        parts += [llmwire.PartStart(at, text), llmwire.TextDelta(at, "a")]
        parts.append(llmwire.PartEnd(at))
    return _started(parts)


def calls(n: int) -> list[Event]:
    """`n` calls, one after another."""
    parts: list[Event] = []
    for at in range(n):
        part = llmwire.ToolCallPart(call_id=f"call_{at}", name="f")
        parts += [llmwire.PartStart(at, part), llmwire.ArgumentsDelta(at, '{"a":1}')]
        parts.append(llmwire.PartEnd(at))
    return _started(parts)


def parallel(n: int) -> list[Event]:
    """`n` calls that open together, grow in turn and end together."""
    ids = [
        llmwire.ToolCallPart(call_id=f"call_{at}", name="f", group=at)
        for at in range(n)
    ]
    return _started(
        [
            *(llmwire.PartStart(at, part) for at, part in enumerate(ids)),
            *(llmwire.ArgumentsDelta(at, "{") for at in range(n)),
            *(llmwire.ArgumentsDelta(at, "}") for at in range(n)),
            *(llmwire.PartEnd(at) for at in range(n)),
        ]
    )


def choices(n: int) -> list[Event]:
    """`n` choices that speak together and end in turn."""
    return [
        llmwire.MessageStart("msg-1", "model-x", 1763680000.0),
        *(llmwire.PartStart(at, llmwire.TextPart(""), at) for at in range(n)),
        *(llmwire.TextDelta(at, "a") for at in range(n)),
        *(
            event
            for at in range(n)
            for event in (llmwire.PartEnd(at), llmwire.MessageEnd("end", choice=at))
        ),
        llmwire.StreamEnd(),
    ]


def long_arguments(n: int) -> list[Event]:
    """One call whose arguments come byte by byte."""
    text = json.dumps({"a": "x" * n})
    call = llmwire.ToolCallPart(call_id="call_1", name="f")
    deltas = (llmwire.ArgumentsDelta(0, letter) for letter in text)
    return _started([llmwire.PartStart(0, call), *deltas, llmwire.PartEnd(0)])


def thoughts(n: int) -> list[Event]:
    """One thought of `n` short summaries, signed."""
    signature = llmwire.Signature(origin="anthropic", value="c2ln")
    deltas = (llmwire.ReasoningDelta(0, "a", at) for at in range(n))
    return _started(
        [
            llmwire.PartStart(0, llmwire.ReasoningPart()),
            *deltas,
            llmwire.SignatureDelta(0, signature),
            llmwire.PartEnd(0),
        ]
    )


def cited(n: int) -> list[Event]:
    """A text with `n` citations, half of them told after its end."""
    citation = llmwire.Citation(kind="url", url="https://example.org", title="t")
    half = [llmwire.CitationDelta(0, citation) for _ in range(n // 2)]
    grown: list[Event] = [
        event for one in half for event in (llmwire.TextDelta(0, "a"), one)
    ]
    start = llmwire.PartStart(0, llmwire.TextPart(""))
    return _started([start, *grown, llmwire.PartEnd(0), *half])


def strange(n: int, dialect: str | None = None) -> list[Event]:
    """A text among members that nobody knows, each of another name and place."""
    parts: list[Event] = [llmwire.PartStart(0, llmwire.TextPart(""))]
    places: list[dict[str, int]] = [{"index": 0}, {"choice": 0}, {}]
    for at in range(n):
        extras = {f"x_{at}": Raw(b"%d" % at)}
        parts.append(llmwire.Extra(extras, **places[at % 3]))
        parts.append(llmwire.TextDelta(0, "a"))
    return _started([*parts, llmwire.PartEnd(0)], dialect)


_STREAMS: Final[dict[str, tuple[Callable[[int], list[Event]], int]]] = {
    "texts": (texts, 10_000),
    "calls": (calls, 10_000),
    "parallel calls": (parallel, 10_000),
    "choices": (choices, 10_000),
    "one-byte arguments": (long_arguments, 500_000),
    "summaries": (thoughts, 10_000),
    "citations": (cited, 4_000),
    "strangers": (strange, 4_000),
}


def written(events: Sequence[Event], dialect: str) -> bytes:
    """`events` as a stream of `dialect`."""
    encoder = llmwire.StreamEncoder(dialect, created=1.0, id="bench")
    return b"".join(map(encoder.send, events))


def _encode(make: Callable[[int], list[Event]], dialect: str) -> Any:
    def prepare(n: int) -> Work:
        events = make(n)
        return lambda: len(written(events, dialect))

    return prepare


def _decode(make: Callable[[int], list[Event]], dialect: str) -> Any:
    def prepare(n: int) -> Work:
        pieces = feeds(written(make(n), dialect))

        def work() -> int:
            decoder = llmwire.StreamDecoder(dialect)
            count = sum(len(decoder.receive_data(piece)) for piece in pieces)
            return count + len(decoder.receive_eof())

        return work

    return prepare


def _translate(make: Callable[[int], list[Event]], source: str, target: str) -> Any:
    def prepare(n: int) -> Work:
        pieces = feeds(written(make(n), source))

        def work() -> int:
            translator = llmwire.StreamTranslator(source, target, created=1.0)
            size = sum(len(translator.receive_data(piece)) for piece in pieces)
            return size + len(translator.receive_eof())

        return work

    return prepare


def _streams() -> Iterator[Shape]:
    for name, (make, size) in _STREAMS.items():
        for dialect in DIALECTS:
            yield Shape(f"{name}, to {dialect}", size, _encode(make, dialect), _MANY)
            yield Shape(f"{name}, from {dialect}", size, _decode(make, dialect), _MANY)
        if name in ("calls", "parallel calls"):
            for source in DIALECTS:
                for target in DIALECTS:
                    pair = f"{name}, {source} to {target}"
                    yield Shape(pair, size, _translate(make, source, target))
    for dialect in DIALECTS:
        own = partial(strange, dialect=dialect)
        name = f"strangers of {dialect}"
        yield Shape(f"{name}, to it", 4_000, _encode(own, dialect), _MANY)
        yield Shape(f"{name}, from it", 4_000, _decode(own, dialect), _MANY)
    for name, (make, size) in _STREAMS.items():
        yield Shape(f"{name}, checked", size, _check(make), _MANY)
        yield Shape(f"{name}, folded", size, _fold(make), _MANY)
    yield Shape("choices that finish together", 10_000, _open_choices, _MANY)
    yield Shape("pieces of arguments, from gemini", 4_000, _partial, _MANY)


def _check(make: Callable[[int], list[Event]]) -> Any:
    def prepare(n: int) -> Work:
        events = make(n)
        return lambda: llmwire.grammar.check(events)

    return prepare


def _fold(make: Callable[[int], list[Event]]) -> Any:
    def prepare(n: int) -> Work:
        events = make(n)
        return lambda: llmwire.unfold(llmwire.fold(events))

    return prepare


def _open_choices(n: int) -> Work:
    """Chat: all choices speak, then each ends, with its part still open."""
    lines = []
    for delta, finish in (({"content": "a"}, None), ({}, "stop")):
        for at in range(n):
            choice = {"index": at, "delta": delta, "finish_reason": finish}
            lines.append(b"data: " + dumps({"id": "c", "choices": [choice]}) + b"\n\n")
    return _decode_bytes(b"".join((*lines, b"data: [DONE]\n\n")), "openai-chat")


def _partial(n: int) -> Work:
    """Gemini: a call whose arguments come in pieces with their places."""
    lines = []
    for at in range(n):
        piece = {"jsonPath": f"$.a[{at}].b", "stringValue": "x"}
        call = {"partialArgs": [piece], "willContinue": True}
        content = {"parts": [{"functionCall": call}], "role": "model"}
        lines.append(dumps({"candidates": [{"content": content}]}))
    start = {"functionCall": {"name": "f", "willContinue": True}}
    first = dumps({"candidates": [{"content": {"parts": [start], "role": "model"}}]})
    last = {"content": {"parts": [{"functionCall": {}}]}, "finishReason": "STOP"}
    chunks = [first, *lines, dumps({"candidates": [last]})]
    return _decode_bytes(b"".join(b"data: %b\n\n" % one for one in chunks), "gemini")


def _decode_bytes(data: bytes, dialect: str) -> Work:
    pieces = feeds(data)

    def work() -> int:
        decoder = llmwire.StreamDecoder(dialect)
        count = sum(len(decoder.receive_data(piece)) for piece in pieces)
        return count + len(decoder.receive_eof())

    return work


# Bodies


def _conversation(n: int) -> llmwire.Request:
    """`n` calls, each with its result, and `n` tools."""
    message = llmwire.Message
    turns = [message(role="user", parts=(llmwire.TextPart("Hi"),))]
    for at in range(n):
        call = llmwire.ToolCallPart(call_id=f"call_{at}", name="f", arguments="{}")
        said = (llmwire.TextPart("r"),)
        result = llmwire.ToolResultPart(call_id=f"call_{at}", name="f", parts=said)
        turns.append(message(role="assistant", parts=(llmwire.TextPart("t"), call)))
        turns.append(message(role="user", parts=(result,)))
    tools = tuple(
        llmwire.Tool(name=f"f{at}", schema=Raw(b'{"type":"object"}')) for at in range(n)
    )
    return llmwire.Request(model="m", messages=tuple(turns), tools=tools)


def _one_turn(n: int) -> llmwire.Request:
    """One turn of `n` texts, `n` calls and, after it, their results."""
    ids = [f"call_{at}" for at in range(n)]
    calls = (llmwire.ToolCallPart(call_id=id, name="f", arguments="{}") for id in ids)
    words = tuple(llmwire.TextPart("a") for _ in ids)
    results = (
        llmwire.ToolResultPart(call_id=id, name="f", parts=words[:1]) for id in ids
    )
    message = llmwire.Message
    return llmwire.Request(
        model="m",
        messages=(
            message(role="user", parts=words),
            message(role="assistant", parts=(*words, *calls)),
            message(role="user", parts=tuple(results)),
            message(role="user", parts=words),
        ),
    )


def _deep(n: int) -> llmwire.Request:
    """40 calls, 40 results and a tool, whose JSON is `n` levels deep."""
    arguments = '{"a":' * n + "1" + "}" * n
    schema = '{"type":"object","properties":{"a":' * (n // 2) + "{}" + "}}" * (n // 2)
    request = _conversation(40)
    turns = tuple(
        replace(turn, parts=tuple(_deeper(part, arguments) for part in turn.parts))
        for turn in request.messages
    )
    tool = llmwire.Tool(name="f", schema=Raw(schema.encode()))
    return replace(request, messages=turns, tools=(tool,))


def _deeper(part: llmwire.Part, text: str) -> llmwire.Part:
    if isinstance(part, llmwire.ToolCallPart):
        return replace(part, arguments=text)
    if isinstance(part, llmwire.ToolResultPart):
        return replace(part, parts=(llmwire.TextPart(text),))
    return part


def _request(make: Callable[[int], llmwire.Request], source: str, target: str) -> Any:
    def prepare(n: int) -> Work:
        body = llmwire.encode_request(make(n), source).http.body
        return lambda: llmwire.translate_request(body, source, target, model="m")

    return prepare


def _response(make: Callable[[int], list[Event]], source: str, target: str) -> Any:
    def prepare(n: int) -> Work:
        answer = llmwire.fold(make(n))
        body = llmwire.encode_response(answer, source, created=1.0).body
        return lambda: llmwire.translate_response(body, source, target, created=1.0)

    return prepare


def _bodies() -> Iterator[Shape]:
    asks = {"turns": _conversation, "one turn": _one_turn}
    for source in DIALECTS:
        for target in DIALECTS:
            pair = f"{source} to {target}"
            for name, make in asks.items():
                yield Shape(
                    f"request, {name}, {pair}", 2_000, _request(make, source, target)
                )
            yield Shape(
                f"request, levels, {pair}", 200, _request(_deep, source, target)
            )
            for name in ("texts", "calls", "summaries", "citations"):
                answers = _STREAMS[name][0]
                yield Shape(
                    f"response, {name}, {pair}",
                    4_000,
                    _response(answers, source, target),
                )


# HTTP


def _http(codec: CodecName, wrap: Callable[[bytes], bytes], size: int) -> Any:
    make = load_dechunker(codec)
    limits = HeadLimits(head_bytes=2**30, headers=2**30)

    def prepare(n: int) -> Work:
        pieces = feeds(wrap(b"x" * n), size)

        def work() -> int:
            decoder = ResponseDecoder("POST", make, limits)
            size = sum(
                len(decoder.receive_data(piece))
                for piece in pieces
                if not decoder.complete and decoder.failure is None
            )
            decoder.receive_eof()
            return size

        return work

    return prepare


_OK: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = _OK + b"transfer-encoding: chunked\r\n\r\n"
_LAST: Final = b"0\r\n\r\n"
_HTTP: Final[dict[str, Callable[[bytes], bytes]]] = {
    "a header": lambda x: _OK + b"a: " + x + b"\r\n\r\n",
    "headers": lambda x: _OK + b"a: b\r\n" * (len(x) // 6) + b"\r\n",
    "early answers": lambda x: b"HTTP/1.1 103 X\r\n\r\n" * (len(x) // 18) + _OK,
    "one-byte chunks": lambda x: _CHUNKED + b"1\r\nx\r\n" * (len(x) // 6) + _LAST,
    "an extension": lambda x: _CHUNKED + b"1;" + x + b"\r\nx\r\n0\r\n\r\n",
    "trailers": lambda x: _CHUNKED + b"0\r\n" + b"a: b\r\n" * (len(x) // 6) + b"\r\n",
}


def _answers() -> Iterator[Shape]:
    codecs: tuple[CodecName, ...] = ("httptools", "h11")
    for codec in codecs:
        for name, wrap in _HTTP.items():
            for size in (_SMALL, 65_536):
                yield Shape(
                    f"http/{codec}, {name} in {size}-byte pieces",
                    1_000_000,
                    _http(codec, wrap, size),
                    4096,
                )


SHAPES: Final[tuple[Shape, ...]] = (*_framings(), *_streams(), *_bodies(), *_answers())
