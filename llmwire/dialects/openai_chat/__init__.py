"""OpenAI's Chat Completions, and the many servers that speak it.

https://platform.openai.com/docs/api-reference/chat. This package reads and writes both
directions; what differs from server to server is the profile's, not the codec's.
"""

from __future__ import annotations

from typing import Final

from llmwire._splice import rewrite_model
from llmwire.dialects import (
    Dialect,
    ReplyTarget,
    ResponseSource,
    StreamReader,
    StreamWriter,
)
from llmwire.dialects.openai_chat._errors import (
    decode_error,
    encode_error,
    find_error,
)
from llmwire.dialects.openai_chat._models import (
    MODELS_PATH,
    decode_count,
    decode_count_request,
    decode_models,
    encode_count,
    encode_model,
    encode_models,
    read_credential,
    route,
    write_credential,
)
from llmwire.dialects.openai_chat._request_read import decode_request
from llmwire.dialects.openai_chat._request_write import encode_request
from llmwire.dialects.openai_chat._response import (
    decode_reply,
    decode_response,
    encode_response,
)
from llmwire.dialects.openai_chat._stream_read import ChatReader
from llmwire.dialects.openai_chat._stream_write import (
    KEEPALIVE,
    ChatWriter,
    stream_error,
)
from llmwire.dialects.openai_chat._writing import NAME
from llmwire.messages import Extras
from llmwire.requests import Request
from llmwire.sse import Frame

__all__ = ("DIALECT",)


def _reader(source: ResponseSource, framing: str) -> StreamReader:
    return ChatReader(source)


def _writer(target: ReplyTarget) -> StreamWriter:
    return ChatWriter(target)


def _echo(request: Request) -> Extras | None:
    return None


_NULL_REASONS: Final = (b'"finish_reason":null', b'"finish_reason": null')


def may_end(frames: bytes) -> bool:
    """Whether one of these frames may be a `terminal_mark`."""
    if b"[DONE]" in frames or b'"error"' in frames:
        return True
    reasons = frames.count(b'"finish_reason"')
    for null in _NULL_REASONS:
        if reasons:
            reasons -= frames.count(null)
    return reasons != 0


def terminal_mark(frame: Frame) -> bool:
    """Whether a frame ends the stream, or the answer: `[DONE]`, a reason, an error."""
    data = frame.data
    if data is None:
        return False
    if data.startswith(b"[DONE]") or b'"error"' in data:
        return True
    at = data.find(b'"finish_reason"')
    while at >= 0:
        rest = data[at + 15 : at + 40].lstrip(b" \t\r\n:")
        if rest[:1] == b'"' and rest[:2] != b'""':
            return True
        at = data.find(b'"finish_reason"', at + 15)
    return False


DIALECT: Final = Dialect(
    name=NAME,
    verbatim=True,
    route=route,
    read_credential=read_credential,
    write_credential=write_credential,
    reply_headers=(
        "x-request-id",
        "openai-processing-ms",
        "openai-version",
        "openai-organization",
        "x-ratelimit-*",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
    ),
    decode_request=decode_request,
    encode_request=encode_request,
    echo=_echo,
    decode_response=decode_response,
    decode_reply=decode_reply,
    encode_response=encode_response,
    stream_reader=_reader,
    stream_writer=_writer,
    terminal_mark=terminal_mark,
    may_end=may_end,
    answer_list="choices",
    told_by_items=True,
    stream_error=stream_error,
    failing_stops=frozenset({"malformed_tool_call", "error"}),
    keepalive=KEEPALIVE,
    find_error=find_error,
    decode_error=decode_error,
    encode_error=encode_error,
    decode_count_request=decode_count_request,
    encode_count_request=None,
    decode_count=decode_count,
    encode_count=encode_count,
    models_path=MODELS_PATH,
    decode_models=decode_models,
    encode_models=encode_models,
    encode_model=encode_model,
    rewrite_model=rewrite_model,
)
"""Chat Completions."""
