"""Server-sent events: frames out of bytes, beside splitting the same bytes."""

from __future__ import annotations

from typing import Any

import pytest

from bench.inputs import chat_stream, feeds
from llmwire.sse import FrameDecoder, encode_frame

STREAM = chat_stream()
COUNT = STREAM.count(b"\n\n")


def _decode(chunks: list[bytes]) -> int:
    decoder = FrameDecoder()
    found = 0
    for chunk in chunks:
        found += len(decoder.receive_data(chunk))
    return found


def _split(chunks: list[bytes]) -> int:
    """The least: a peer that never splits an event, one kind of line end."""
    return sum(len(chunk.split(b"\n\n")) for chunk in chunks)


@pytest.mark.benchmark(group="sse decode, 64 kB feeds")
def test_limit_split(benchmark: Any) -> None:
    benchmark.extra_info.update(limit=True, units=COUNT, per="event")
    benchmark(_split, feeds(STREAM))


@pytest.mark.benchmark(group="sse decode, 64 kB feeds")
@pytest.mark.parametrize("size", [64 * 1024, 1400, 286])
def test_decode(benchmark: Any, size: int) -> None:
    benchmark.extra_info.update(units=COUNT, per="event")
    assert benchmark(_decode, feeds(STREAM, size)) == COUNT


@pytest.mark.benchmark(group="sse decode, long event in 16-byte pieces")
@pytest.mark.parametrize("times", [1, 2])
def test_long(benchmark: Any, times: int) -> None:
    data = b"data: " + b"x" * (200_000 * times) + b"\n\n"
    benchmark.extra_info.update(limit=times == 1, per="event")
    assert benchmark(_decode, feeds(data, 16)) == 1


@pytest.mark.benchmark(group="sse encode")
def test_encode(benchmark: Any) -> None:
    benchmark.extra_info.update(per="event")
    benchmark(encode_frame, b'{"type":"ping"}', event="ping")
