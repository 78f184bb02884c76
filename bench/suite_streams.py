"""Streams of text deltas through every pair, microseconds per token event.

The limit is that of the wire alone: the frames of the same stream decoded into typed
structs that know their strangers, and these encoded again. No server-sent events, no
neutral events, no translation.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import llmwire
from bench.inputs import chat_stream, feeds, stream
from llmwire._json import LearnedSchema
from llmwire.dialects.openai_chat._wire import Chunk
from llmwire.sse import FrameDecoder

DIALECTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
CHAT = {"constant": chat_stream(), "strangers": chat_stream(strangers=True)}


def _frames(data: bytes) -> list[bytes]:
    decoder = FrameDecoder()
    return [
        frame.data
        for frame in decoder.receive_data(data)
        if frame.data and not frame.data.startswith(b"[DONE]")
    ]


def _bare(frames: list[bytes], schema: LearnedSchema[Chunk]) -> int:
    encode = msgspec.json.Encoder().encode
    decode = schema.decode
    return sum(len(encode(decode(frame))) for frame in frames)


def _translate(chunks: list[bytes], source: str, target: str) -> int:
    translator = llmwire.StreamTranslator(source, target, created=1.0, id="bench")
    size = 0
    for chunk in chunks:
        size += len(translator.receive_data(chunk))
    return size + len(translator.receive_eof())


@pytest.mark.parametrize("kind", CHAT)
def test_limit(benchmark: Any, kind: str) -> None:
    frames = _frames(CHAT[kind])
    schema = LearnedSchema(Chunk)
    _bare(frames[:2], schema)
    benchmark.group = f"stream, chat chunks, {kind}"
    benchmark.extra_info.update(limit=True, units=len(frames), per="token event")
    benchmark(_bare, frames, schema)


@pytest.mark.parametrize("target", DIALECTS)
@pytest.mark.parametrize("kind", CHAT)
def test_chat(benchmark: Any, kind: str, target: str) -> None:
    data = CHAT[kind]
    benchmark.group = f"stream, chat chunks, {kind}"
    benchmark.extra_info.update(units=data.count(b"\n\n"), per="token event")
    assert benchmark(_translate, feeds(data), "openai-chat", target)


@pytest.mark.parametrize("target", DIALECTS)
@pytest.mark.parametrize("source", DIALECTS)
def test_pair(benchmark: Any, source: str, target: str) -> None:
    data = stream(source)
    benchmark.group = f"stream, from {source}"
    benchmark.extra_info.update(units=2000, per="token event")
    assert benchmark(_translate, feeds(data), source, target)
