"""The traps that other translators fall into, one test or more for each, by number.

Here is how they spell wire data and read it back: small streams and bodies of the four
dialects, and translations that fail at once where what came out is not legal.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from llmwire import (
    EncodedRequest,
    EncodedResponse,
    StreamDecoder,
    StreamTranslator,
    translate_request,
    translate_response,
)
from llmwire.sse import FrameDecoder

__all__ = (
    "CHAT",
    "CLAUDE",
    "GEMINI",
    "RESPONSES",
    "Object",
    "ask",
    "chat_stream",
    "claude_stream",
    "frames",
    "gemini_stream",
    "objects",
    "responses_stream",
    "stream",
    "whole",
)

CHAT, RESPONSES = "openai-chat", "openai-responses"
CLAUDE, GEMINI = "anthropic", "gemini"

Object: TypeAlias = dict[str, Any]


def frames(*given: Object, done: bool = False) -> bytes:
    """Frames of a stream, with an event line where the object names its type."""
    return "".join(
        (f"event: {one['type']}\n" if "type" in one else "")
        + f"data: {json.dumps(one, ensure_ascii=False)}\n\n"
        for one in given
    ).encode() + (b"data: [DONE]\n\n" if done else b"")


def objects(stream: bytes) -> list[Object]:
    """The objects of a stream's frames, `[DONE]` and comments left out."""
    decoder = FrameDecoder()
    found = decoder.receive_data(stream) + decoder.receive_eof()
    texts = [frame.data for frame in found if frame.data]
    return [json.loads(text) for text in texts if text != b"[DONE]"]


def chat_stream(
    *deltas: Object, finish: str | None = "stop", usage: Object | None = None
) -> bytes:
    """A Chat stream of `deltas`, its finish, its usage chunk and `[DONE]`."""
    head: Object = {"id": "chatcmpl-src", "created": 5}
    head["object"] = "chat.completion.chunk"
    choices: list[Object] = [
        {"index": 0, "delta": one, "finish_reason": None} for one in deltas
    ]
    if finish is not None:
        choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    chunks: list[Object] = [
        {**head, "model": "src-model", "choices": [one]} for one in choices
    ]
    if usage is not None:
        chunks.append({**head, "model": "src-model", "choices": [], "usage": usage})
    return frames(*chunks, done=True)


def claude_stream(
    *blocks: tuple[Object, *tuple[Object, ...]],
    stop: str | None = "end_turn",
    usage: Object | None = None,
    last: Object | None = None,
    **delta: Any,
) -> bytes:
    """A Messages stream: each block is its start and its deltas.

    `usage` is that of the start, `last` that of the end, `delta` more of the end.
    """
    message: Object = {"id": "msg_src", "type": "message", "role": "assistant"}
    message |= {"model": "src-model", "content": [], "stop_reason": None}
    message |= {"stop_sequence": None, "usage": usage or {"input_tokens": 3}}
    out: list[Object] = [{"type": "message_start", "message": message}]
    for at, (start, *deltas) in enumerate(blocks):
        place = {"index": at}
        out.append({"type": "content_block_start", **place, "content_block": start})
        for one in deltas:
            out.append({"type": "content_block_delta", **place, "delta": one})
        out.append({"type": "content_block_stop", **place})
    end = {"stop_reason": stop, "stop_sequence": None, **delta}
    used = last or {"output_tokens": 4}
    out.append({"type": "message_delta", "delta": end, "usage": used})
    return frames(*out, {"type": "message_stop"})


def gemini_stream(*chunks: list[Object], finish: str = "STOP", **last: Any) -> bytes:
    """A Gemini stream: each chunk is its parts; `finish` comes with an empty text."""
    contents = [{"role": "model", "parts": parts} for parts in chunks]
    end = {"role": "model", "parts": [{"text": ""}]}
    candidates: list[Object] = [{"content": one, "index": 0} for one in contents]
    candidates.append({"content": end, "finishReason": finish, "index": 0})
    given: list[Object] = [
        {"candidates": [one], "responseId": "r-src", "modelVersion": "src-model"}
        for one in candidates
    ]
    given[-1] |= last
    return frames(*given)


def responses_stream(
    *events: Object, output: list[Object], end: str = "completed", **members: Any
) -> bytes:
    """A Responses stream: `events` between the opening and the terminal snapshot."""
    response: Object = {"id": "resp_src", "object": "response", "created_at": 5}
    response |= {"model": "src-model", "output": [], "status": "in_progress"}
    final = {**response, "output": output, "status": end, **members}
    given = [
        {"type": "response.created", "response": response},
        *events,
        {"type": f"response.{end}", "response": final},
    ]
    return frames(*({**one, "sequence_number": at} for at, one in enumerate(given)))


def stream(
    source: str, target: str, body: bytes, **options: Any
) -> tuple[list[Object], StreamTranslator]:
    """What a client of `target` is given of the stream `body`, which must be legal."""
    options = {"created": 7.0, "id": "seed", **options}
    translator = StreamTranslator(source, target, **options)
    out = translator.receive_data(body) + translator.receive_eof()
    reader = StreamDecoder(target)
    reader.receive_data(out)
    reader.receive_eof()
    assert translator.done and reader.done
    assert source == target or not reader.violations
    return objects(out), translator


def whole(
    source: str, target: str, body: Object, **options: Any
) -> tuple[Object, EncodedResponse]:
    """What a client of `target` is given of the whole answer `body`."""
    options = {"created": 7.0, "id": "seed", **options}
    reply = translate_response(json.dumps(body).encode(), source, target, **options)
    return json.loads(reply.body), reply


def ask(
    source: str, target: str, body: Object, **options: Any
) -> tuple[Object, EncodedRequest]:
    """What a server of `target` is asked for the request `body`."""
    call = translate_request(json.dumps(body).encode(), source, target, **options)
    return json.loads(call.http.body), call
