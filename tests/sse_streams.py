"""Event streams to test with, a second reader to compare, and a count of the work.

`read` is as slow and as plain as the WHATWG text and shares no code with
`llmwire.sse`. `streams` draws all that a stream may consist of. `count_work` counts the
bytes that the decoder looks at or copies, so that linear work need not be timed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import SupportsIndex

import pytest
from hypothesis import strategies as st

from llmwire import sse
from llmwire.sse import Frame, FrameDecoder

__all__ = (
    "BOM",
    "FLOODS",
    "count_work",
    "divide",
    "divisions",
    "feed",
    "mixed_streams",
    "pieces_of",
    "read",
    "singles",
)

BOM = b"\xef\xbb\xbf"
JSON = b'{"id":"x","choices":[{"index":0,"delta":{"content":"hel"}}]}'


def read(stream: bytes) -> tuple[list[Frame], str, int | None]:
    """The frames, last event id and retry time of a whole stream, line by line."""
    bom = BOM if stream.startswith(BOM) else b""
    lines = re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", stream[len(bom) :])
    frames: list[Frame] = []
    last_event_id, retry = "", None
    raw, block = bom, list[bytes]()
    for line in lines:
        text = line.rstrip(b"\r\n")
        raw += line
        block.append(text)
        if not text:
            frame, identity, time = _read_block(block, raw, complete=True)
            frames.append(frame)
            last_event_id = last_event_id if identity is None else identity
            retry = retry if time is None else time
            raw, block = b"", []
    if raw:
        frames.append(_read_block(block, raw, complete=False)[0])
    return frames, last_event_id, retry


def _read_block(
    lines: list[bytes], raw: bytes, *, complete: bool
) -> tuple[Frame, str | None, int | None]:
    data: list[bytes] = []
    stray: list[bytes] = []
    event, identity, retry = "", None, None
    for line in lines:
        if line == b"" or line.startswith(b":"):
            continue
        name, value = line, b""
        if b":" in line:
            name, value = line[: line.index(b":")], line[line.index(b":") + 1 :]
            if value.startswith(b" "):
                value = value[1:]
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = str(value, "utf-8", "replace")
        elif name == b"id":
            identity = identity if b"\0" in value else str(value, "utf-8", "replace")
        elif name == b"retry":
            digits = re.fullmatch(rb"[0-9]{1,18}", value)
            retry = int(value) if digits else retry
        else:
            stray.append(line)
    joined = b"\n".join(data) if data else None
    return Frame(joined, raw, event, tuple(stray), complete), identity, retry


PIECES = (
    b"data: {",
    b"data: " + JSON,
    b"data:{}",
    b"event: a\ndata: {}\n\n",
    b"event: a\r\ndata: {}\r\n\r\n",
    b"data: {}\n\n",
    b"data: {}\r\n\r\n",
    b"data: {}\r\r",
    b"data",
    b"data:",
    b"data: ",
    b"data:  x",
    b"event: tick",
    b"event",
    b"id: 7",
    b"id: \0",
    b"id",
    b"retry: 10",
    b"retry: 10x",
    b"retry: 1234567890123456789",
    b": comment",
    b":",
    b"{",
    b'  "error": {',
    b"error: {}",
    b"unknown",
    BOM,
    b"\xef\xbb",
    b"\xff",
    b"\0",
    b" ",
    b"x",
)
ENDS = (b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r", b"\r\n\r")
mixed = st.lists(
    st.sampled_from(PIECES) | st.sampled_from(ENDS) | st.sampled_from(ENDS),
    max_size=24,
).map(b"".join)
noise = st.lists(st.sampled_from([b"\r", b"\n", b":", b" ", b"data", b"id", b"x"]))
mixed_streams = st.tuples(
    st.sampled_from([b"", b"", BOM, b"\xef\xbb"]),
    mixed | noise.map(b"".join) | st.binary(max_size=64),
).map(b"".join)


divisions = st.lists(st.integers(0, 10_000), max_size=12)
"""Places to cut at, to be taken modulo the length of the stream."""


def divide(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`stream` in pieces; equal cuts make empty chunks."""
    places = sorted(cut % (len(stream) + 1) for cut in cuts)
    return [stream[a:b] for a, b in pairwise([0, *places, len(stream)])]


def singles(stream: bytes) -> list[bytes]:
    """`stream` byte by byte."""
    return [stream[i : i + 1] for i in range(len(stream))]


def feed(decoder: FrameDecoder, chunks: Iterable[bytes]) -> list[Frame]:
    """All frames of `chunks`, to the end."""
    frames = [frame for chunk in chunks for frame in decoder.receive_data(chunk)]
    return frames + decoder.receive_eof()


class _Probe(bytes):
    """Bytes that count how many of them are looked at or copied."""

    touched = 0

    @classmethod
    def touch(cls, count: int) -> None:
        cls.touched += count

    def __getitem__(self, key: SupportsIndex | slice) -> bytes:  # type: ignore[override]  # slices only
        assert isinstance(key, slice)
        found = super().__getitem__(key)
        self.touch(len(found))
        return found

    def __contains__(self, key: object) -> bool:
        assert isinstance(key, int)
        self.touch(len(self))
        return super().__contains__(key)

    def __radd__(self, other: bytes) -> _Probe:
        self.touch(len(self))
        return _Probe(b"".join((other, self)))

    def find(self, sub: bytes, start: int = 0) -> int:  # type: ignore[override]
        found = super().find(sub, start)
        self.touch((found if found >= 0 else len(self)) - start)
        return found


def count_work(monkeypatch: pytest.MonkeyPatch, chunks: Iterable[bytes]) -> int:
    """Bytes that are looked at or copied while `chunks` are decoded."""
    cut, find_end = FrameDecoder._cut, sse._find_end

    def cut_probe(self: FrameDecoder, buffer: bytes) -> list[Frame]:
        _Probe.touch(len(buffer))
        return cut(self, _Probe(buffer))

    def find_end_probe(buffer: bytes, start: int, *, returns: bool) -> int:
        found = find_end(buffer, start, returns=returns)
        _Probe.touch((found if found >= 0 else len(buffer)) - start)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(FrameDecoder, "_cut", cut_probe)
        patch.setattr(sse, "_find_end", find_end_probe)
        patch.setattr(_Probe, "touched", 0)
        feed(FrameDecoder(), [_Probe(chunk) for chunk in chunks])
        return _Probe.touched


def pieces_of(stream: bytes, size: int) -> list[bytes]:
    """`stream` in pieces of `size` bytes."""
    return [stream[i : i + size] for i in range(0, len(stream), size)]


FLOODS: dict[str, Callable[[int], bytes]] = {
    "one long line": lambda n: b"data: {" + b"x" * n + b"}\n\n",
    "one long line, never ended": lambda n: b"data: {" + b"x" * n,
    "no field": lambda n: b"x" * n,
    "short lines, LF": lambda n: b"data: {\n" * (n // 8) + b"\n",
    "short lines, CRLF": lambda n: b"data: {\r\n" * (n // 8) + b"\r\n",
    "short lines, CR": lambda n: b"data: {\r" * (n // 8) + b"\n\n",
    "comments": lambda n: b": c\n\n" * (n // 5),
    "blank lines, LF": lambda n: b"\n" * n,
    "blank lines, CR": lambda n: b"\r" * n,
    "usual, LF": lambda n: b"data: {}\n\n" * (n // 10),
    "usual, CRLF": lambda n: b"data: {}\r\n\r\n" * (n // 12),
    "LF blocks, one CR at the end": lambda n: b"data: {}\n\n" * (n // 10) + b"\r",
    "CR blocks, one LF at the end": lambda n: b"data: {}\r\r" * (n // 10) + b"\n",
    "LF blocks among CR": lambda n: b"data: {}\n\ndata: {}\n\n\r" * (n // 21),
}
"""Streams of about n bytes that have tempted decoders to work more than that."""
