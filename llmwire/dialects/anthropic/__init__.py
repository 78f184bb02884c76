"""Anthropic Messages: `/v1/messages`, `/v1/messages/count_tokens`, `/v1/models`.

https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from typing import Final

from llmwire._splice import rewrite_model
from llmwire.dialects import Dialect, ReplyTarget, ResponseSource
from llmwire.dialects.anthropic._errors import (
    decode_error,
    encode_error,
    find_error,
    stream_error,
)
from llmwire.dialects.anthropic._models import (
    decode_count,
    decode_models,
    encode_count,
    encode_model,
    encode_models,
)
from llmwire.dialects.anthropic._paths import (
    MODELS,
    REPLY_HEADERS,
    read_credential,
    route,
    write_credential,
)
from llmwire.dialects.anthropic._request_read import decode_request
from llmwire.dialects.anthropic._request_write import (
    encode_count_request,
    encode_request,
)
from llmwire.dialects.anthropic._response import (
    decode_reply,
    decode_response,
    encode_response,
)
from llmwire.dialects.anthropic._stream_read import StreamReader
from llmwire.dialects.anthropic._stream_write import StreamWriter
from llmwire.dialects.anthropic._wire import NAME
from llmwire.messages import Extras
from llmwire.requests import Request
from llmwire.sse import Frame

__all__ = ("DIALECT",)

_ENDS: Final = ("message_delta", "message_stop", "error")
_ENDS_IN_BYTES: Final = tuple(word.encode() for word in _ENDS)


def _echo(request: Request) -> Extras | None:
    """Answers repeat nothing of the request."""
    return None


def _terminal_mark(frame: Frame) -> bool:
    """Whether the frame is (or may be) the last one, or tells the stop reason.

    The event's name equals the data's type; servers that leave it out are looked at.
    """
    if frame.event:
        return frame.event in _ENDS
    data = frame.data or b""
    return any(word in data for word in _ENDS_IN_BYTES)


def _may_end(frames: bytes) -> bool:
    """Whether one of these frames may be a `_terminal_mark`."""
    return any(word in frames for word in _ENDS_IN_BYTES)


def _reader(source: ResponseSource, framing: str) -> StreamReader:
    return StreamReader(source)


def _writer(target: ReplyTarget) -> StreamWriter:
    return StreamWriter(target)


DIALECT: Final = Dialect(
    name=NAME,
    verbatim=True,
    framings=("sse",),
    route=route,
    read_credential=read_credential,
    write_credential=write_credential,
    reply_headers=REPLY_HEADERS,
    decode_request=decode_request,
    encode_request=encode_request,
    echo=_echo,
    decode_response=decode_response,
    decode_reply=decode_reply,
    encode_response=encode_response,
    stream_reader=_reader,
    stream_writer=_writer,
    terminal_mark=_terminal_mark,
    may_end=_may_end,
    answer_list="content",
    told_by_items=True,
    stream_error=stream_error,
    failing_stops=frozenset({"malformed_tool_call", "error"}),
    keepalive=b'event: ping\ndata: {"type":"ping"}\n\n',
    find_error=find_error,
    decode_error=decode_error,
    encode_error=encode_error,
    decode_count_request=decode_request,
    encode_count_request=encode_count_request,
    decode_count=decode_count,
    encode_count=encode_count,
    models_path=f"{MODELS}?limit=1000",
    models_headers=(("anthropic-version", "2023-06-01"),),
    decode_models=decode_models,
    encode_models=encode_models,
    encode_model=encode_model,
    rewrite_model=rewrite_model,
)
"""Everything that is particular to Anthropic Messages."""
