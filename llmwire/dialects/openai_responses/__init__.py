"""OpenAI's Responses API (https://platform.openai.com/docs/api-reference/responses).

`DIALECT` is everything that the rest of llmwire knows of it.
"""

from __future__ import annotations

from typing import Final

from llmwire._splice import rewrite_model
from llmwire.dialects import Dialect, ReplyTarget, ResponseSource
from llmwire.dialects.openai_responses import _errors, _models
from llmwire.dialects.openai_responses._names import NAME
from llmwire.dialects.openai_responses._request_read import decode_request
from llmwire.dialects.openai_responses._request_write import (
    echo,
    encode_count_request,
    encode_request,
)
from llmwire.dialects.openai_responses._response import (
    decode_response,
    encode_response,
)
from llmwire.dialects.openai_responses._stream_read import (
    Reader,
    may_end,
    terminal_mark,
)
from llmwire.dialects.openai_responses._stream_write import Writer
from llmwire.events import StreamError
from llmwire.messages import APIError

__all__ = ("DIALECT",)


def _stream_reader(source: ResponseSource, framing: str) -> Reader:
    return Reader(source, framing)


def _stream_error(error: APIError, target: ReplyTarget) -> bytes:
    """A stream's own error frame; `target.start` says what response it is of."""
    writer = Writer(target)
    if target.start is not None:
        writer.resume(target.start)
    return writer.send(StreamError(error))


DIALECT: Final = Dialect(
    name=NAME,
    verbatim=True,
    framings=("sse", "messages"),
    route=_models.route,
    read_credential=_models.read_credential,
    write_credential=_models.write_credential,
    reply_headers=_models.REPLY_HEADERS,
    decode_request=decode_request,
    encode_request=encode_request,
    echo=echo,
    decode_response=decode_response,
    encode_response=encode_response,
    stream_reader=_stream_reader,
    stream_writer=Writer,
    terminal_mark=terminal_mark,
    may_end=may_end,
    answer_list="output",
    stream_error=_stream_error,
    find_error=_errors.find_error,
    decode_error=_errors.decode_error,
    encode_error=_errors.encode_error,
    decode_count_request=decode_request,
    encode_count_request=encode_count_request,
    decode_count=_models.decode_count,
    encode_count=_models.encode_count,
    models_path=_models.MODELS_PATH,
    decode_models=_models.decode_models,
    encode_models=_models.encode_models,
    encode_model=_models.encode_model,
    rewrite_model=rewrite_model,
)
"""The dialect `openai-responses`."""
