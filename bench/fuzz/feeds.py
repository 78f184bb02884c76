"""Where the inputs of one decoder come from: half of them spoilt, half generated.

A feed draws one input at a time from a `random.Random`, so that a run can be repeated
from its seed. Spoilt inputs are recorded ones with bytes changed; generated ones are
written anew from varied JSON, or put together from lines and chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

from bench.fuzz import seeds
from bench.fuzz.spoiling import NOISE, Vocabulary, spoil_bytes, vary, written

__all__ = ("Feed", "body_feed", "frame_feed", "http_feed", "stream_feed")

Frames: TypeAlias = Sequence[tuple[str, Any]]
Maker: TypeAlias = Callable[[Random], bytes]
_RATES: Final = (0.0, 0.01, 0.03, 0.03, 0.1, 0.3)


class Feed:
    """Draws inputs.

    Args:
        recorded: Inputs as they were recorded.
        generate: Makes another one.
    """

    def __init__(self, recorded: Sequence[bytes], generate: Maker) -> None:
        self._recorded = [one for one in recorded if one]
        self._generate = generate

    def draw(self, rng: Random) -> bytes:
        """The next input."""
        if rng.random() < 0.5:
            return self._generate(rng)
        choose = rng.choice
        return spoil_bytes(rng, choose(self._recorded), choose(self._recorded))


def _as_sse(frames: Frames) -> bytes:
    out = []
    for event, data in frames:
        if event:
            out.append(b"event: " + event.encode() + b"\n")
        out.append(b"data: " + written(data) + b"\n\n")
    return b"".join(out)


def _as_lines(frames: Frames) -> bytes:
    return b"".join(written(data) + b"\n" for _, data in frames)


def _as_array(frames: Frames) -> bytes:
    return b"[" + b",\r\n".join(written(data) for _, data in frames) + b"]"


_FRAMINGS: Final[dict[str, Callable[[Frames], bytes]]] = {
    "sse": _as_sse,
    "messages": _as_lines,
    "json-array": _as_array,
}


def _shuffled(rng: Random, frames: list[tuple[str, Any]], other: Frames) -> None:
    """One stroke on the order of `frames`."""
    at = rng.randrange(len(frames))
    stroke = rng.randrange(5)
    if stroke == 0:
        del frames[at]
    elif stroke == 1:
        frames.insert(rng.randrange(len(frames)), frames[at])
    elif stroke == 2:
        frames[at:] = frames[at:][::-1]
    elif stroke == 3:
        frames.insert(at, rng.choice(other))
    else:
        frames[at] = (rng.choice(("", "error", "x_new", "ping")), frames[at][1])


def stream_feed(dialect: str, framing: str, corpus: Path | None) -> Feed:
    """Streams of one dialect."""
    own = seeds.streams(dialect, corpus)
    every = [
        *own,
        *(one for name in seeds.DIALECTS for one in seeds.streams(name, None)),
    ]
    words = Vocabulary(data for one in own for _, data in one)
    render = _FRAMINGS[framing]

    def generate(rng: Random) -> bytes:
        frames = list(rng.choice(own))
        if rng.random() < 0.3:
            del frames[1 + rng.randrange(len(frames)) :]
        other = rng.choice(own if rng.random() < 0.8 else every)
        while frames and rng.random() < 0.3:
            _shuffled(rng, frames, other)
        rate = rng.choice(_RATES)
        return render(
            [(event, vary(rng, words, data, "", rate)) for event, data in frames]
        )

    return Feed([render(one) for one in own], generate)


def body_feed(kind: str, dialect: str, corpus: Path | None) -> Feed:
    """Whole bodies of one kind."""
    own = seeds.bodies(kind, dialect, corpus)
    words = Vocabulary(own)

    def generate(rng: Random) -> bytes:
        return written(vary(rng, words, rng.choice(own), "", rng.choice(_RATES)))

    return Feed([written(one) for one in own], generate)


_LINES: Final = (
    b"data: {}",
    b'data:{"a":1}',
    b"data",
    b"data:",
    b"data:  x",
    b"event: a",
    b"event",
    b"id: 1",
    b"id: \x00",
    b"retry: 10",
    b"retry: x",
    b": comment",
    b":",
    b"",
    b"",
    b"",
    b"stray: x",
    b"\xef\xbb\xbfdata: a",
)


def frame_feed(corpus: Path | None) -> Feed:
    """Event streams, of whatever dialect."""
    recorded = [
        _as_sse(one) for name in seeds.DIALECTS for one in seeds.streams(name, corpus)
    ]

    def generate(rng: Random) -> bytes:
        ends = rng.choice(((b"\n",), (b"\r\n",), (b"\r",), (b"\n", b"\r\n", b"\r")))
        lines = (
            rng.choice(_LINES) + rng.choice(ends) for _ in range(rng.randrange(16))
        )
        return b"".join(lines)

    return Feed(recorded, generate)


_FIELDS: Final = (
    b"content-length: 5",
    b"Content-Length: 0",
    b"content-length: 2, 2",
    b"content-length: +5",
    b"content-length: 99999999999999999999",
    b"transfer-encoding: chunked",
    b"Transfer-Encoding: Chunked ",
    b"transfer-encoding: gzip, chunked",
    b"connection: close",
    b"connection: keep-alive, x",
    b"content-type: application/json",
    b"x : y",
    b" folded",
    b"x:\x00",
    b"x",
    b": y",
)
_STARTS: Final = (
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 101 Switching",
    b"HTTP/1.1 204 ",
    b"HTTP/1.1 304",
    b"HTTP/2 200",
    b"http/1.1 200 OK",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1 099 X",
)
_SIZES: Final = (
    b"%x",
    b"%X",
    b"0%x",
    b"%x;a=b",
    b'%x;a="b;c"',
    b"%x ",
    b"0x%x",
    b"+%x",
)
_ENDS: Final = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"")


def _chunks(rng: Random) -> bytes:
    out = []
    for _ in range(rng.randrange(4)):
        data = b"x" * (1 + rng.randrange(30))
        size = len(data) if rng.random() < 0.95 else rng.choice((1, 99, 2**64, 2**70))
        form = _SIZES[0] if rng.random() < 0.7 else rng.choice(_SIZES)
        out += [form % size, rng.choice(_ENDS), data, rng.choice(_ENDS)]
    out += [b"0", rng.choice(_ENDS)]
    if rng.random() < 0.3:
        out += [rng.choice(_FIELDS), rng.choice(_ENDS)]
    return b"".join((*out, rng.choice(_ENDS)))


def http_feed(corpus: Path | None) -> Feed:
    """Responses of HTTP/1.1."""

    def generate(rng: Random) -> bytes:
        out = []
        for _ in range(1 + (rng.random() < 0.2)):
            out += [rng.choice(_STARTS), rng.choice(_ENDS)]
            for _ in range(rng.randrange(4)):
                out += [rng.choice(_FIELDS), rng.choice(_ENDS)]
            if rng.random() < 0.5:
                out += [_FIELDS[5], rng.choice(_ENDS)]
            out.append(rng.choice(_ENDS))
        body = _chunks(rng) if rng.random() < 0.8 else b"hello" + rng.choice(NOISE)
        return b"".join((*out, body))

    return Feed(seeds.http_answers(), generate)
