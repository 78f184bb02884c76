"""Gemini's `generateContent`: the dialect of Google's models.

Everything particular to it, both ways. It knows no other dialect.

https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from llmwire.dialects import Dialect, ReplyTarget, ResponseSource
from llmwire.dialects.gemini._array import ArrayDecoder
from llmwire.dialects.gemini._chunks import event
from llmwire.dialects.gemini._errors import (
    decode_error,
    encode_error,
    envelope,
    find_error,
)
from llmwire.dialects.gemini._models import (
    decode_count,
    decode_models,
    encode_count,
    encode_model,
    encode_models,
)
from llmwire.dialects.gemini._parts_read import NAME
from llmwire.dialects.gemini._paths import (
    read_credential,
    rewrite_model,
    route,
    write_credential,
)
from llmwire.dialects.gemini._request_read import decode_count_request, decode_request
from llmwire.dialects.gemini._request_write import encode_count_request, encode_request
from llmwire.dialects.gemini._response import decode_response, encode_response
from llmwire.dialects.gemini._stream_read import GeminiReader
from llmwire.dialects.gemini._stream_write import GeminiWriter
from llmwire.limits import Limits
from llmwire.messages import APIError
from llmwire.requests import Request
from llmwire.sse import Frame

__all__ = ("DIALECT",)


def _echo(request: Request) -> dict[str, Raw] | None:
    """Answers repeat nothing of the request."""
    return None


def _frame_decoder(framing: str, limits: Limits) -> ArrayDecoder | None:
    return ArrayDecoder(limit=limits.frame) if framing == "json-array" else None


def _stream_reader(source: ResponseSource, framing: str) -> GeminiReader:
    return GeminiReader(source, framing)


def _stream_writer(target: ReplyTarget) -> GeminiWriter:
    return GeminiWriter(target)


_ENDS: Final = (b'"finishReason"', b'"error"', b'"blockReason"')


def _terminal_mark(frame: Frame) -> bool:
    """Whether a frame holds a stop word or an error."""
    data = frame.data
    if data is None:
        return any(b'"error"' in line for line in frame.stray)
    return _may_end(data)


def _may_end(frames: bytes) -> bool:
    """Whether one of these frames may be a `_terminal_mark`."""
    return any(word in frames for word in _ENDS)


def _stream_error(error: APIError, target: ReplyTarget) -> bytes:
    body = envelope(error)
    if target.framing == "json-array":
        return b",\r\n" + body + b"]"
    return event(body)


DIALECT = Dialect(
    name=NAME,
    verbatim=True,
    framings=("sse", "json-array"),
    route=route,
    read_credential=read_credential,
    write_credential=write_credential,
    reply_headers=("server-timing",),
    decode_request=decode_request,
    encode_request=encode_request,
    echo=_echo,
    decode_response=decode_response,
    encode_response=encode_response,
    stream_reader=_stream_reader,
    stream_writer=_stream_writer,
    terminal_mark=_terminal_mark,
    may_end=_may_end,
    answer_list="candidates",
    told_by_items=True,
    stream_error=_stream_error,
    keepalive=b"\r\n",  # the official clients take a comment for JSON
    frame_decoder=_frame_decoder,
    find_error=find_error,
    decode_error=decode_error,
    encode_error=encode_error,
    decode_count_request=decode_count_request,
    encode_count_request=encode_count_request,
    decode_count=decode_count,
    encode_count=encode_count,
    models_path="/v1beta/models?pageSize=1000",
    decode_models=decode_models,
    encode_models=encode_models,
    encode_model=encode_model,
    rewrite_model=rewrite_model,
)
"""The record of the dialect."""
