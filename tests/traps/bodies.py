"""One answer in both its forms, a stream and a whole body, of each dialect.

What goes in is the whole form; the stream says the same in small pieces, as the
vendor's servers cut it.
"""

from __future__ import annotations

import json
from typing import TypeAlias

from tests.traps import (
    Object,
    chat_stream,
    claude_stream,
    gemini_stream,
    responses_stream,
)

__all__ = ("Pair", "call", "chat", "claude", "gemini", "halves", "message", "responses")

Pair: TypeAlias = tuple[bytes, Object]
"""The stream and the whole body."""


def halves(text: str) -> list[str]:
    """`text` in two pieces, without empty ones."""
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def call(id: str, name: str, arguments: str) -> Object:
    """A call of a Chat message."""
    return {
        "id": id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


# --- openai-chat -------------------------------------------------------------------


def chat(finish: str = "stop", **message: object) -> Pair:
    """A Chat answer: members of its message."""
    body: Object = {"id": "chatcmpl-src", "object": "chat.completion", "created": 5}
    said = {"role": "assistant", "content": None, **message}
    choice = {"index": 0, "message": said, "finish_reason": finish}
    deltas: list[Object] = [{"role": "assistant", "content": ""}]
    for name, value in message.items():
        if isinstance(value, str):
            deltas += [{name: piece} for piece in halves(value)]
        elif name == "tool_calls" and isinstance(value, list):
            for at, each in enumerate(value):
                deltas += [{name: [entry]} for entry in _grown(at, each)]
        else:
            deltas.append({name: value})
    stream = chat_stream(*deltas, finish=finish)
    return stream, {**body, "model": "src-model", "choices": [choice]}


def _grown(at: int, each: Object) -> list[Object]:
    function = each["function"]
    opened = {**each, "index": at, "function": {**function, "arguments": ""}}
    pieces = halves(function["arguments"])
    return [opened, *({"index": at, "function": {"arguments": p}} for p in pieces)]


# --- anthropic ---------------------------------------------------------------------


def claude(*blocks: Object, stop: str = "end_turn") -> Pair:
    """A Messages answer: its blocks."""
    body: Object = {"id": "msg_src", "type": "message", "role": "assistant"}
    body |= {"model": "src-model", "content": list(blocks), "stop_reason": stop}
    body |= {"stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 4}}
    return claude_stream(*map(_pieces, blocks), stop=stop), body


def _pieces(block: Object) -> tuple[Object, *tuple[Object, ...]]:
    kind = block["type"]
    if kind == "text":
        texts = [{"type": "text_delta", "text": p} for p in halves(block["text"])]
        return ({**block, "text": ""}, *texts)
    if kind == "thinking":
        name = "thinking"
        grown = [{"type": "thinking_delta", name: p} for p in halves(block[name])]
        if block.get("signature"):
            signed = {"type": "signature_delta", "signature": block["signature"]}
            grown.append(signed)
        return ({"type": kind, name: "", "signature": ""}, *grown)
    if kind in ("tool_use", "server_tool_use"):
        text = json.dumps(block["input"]) if block["input"] else ""
        name = "partial_json"
        inputs = [{"type": "input_json_delta", name: p} for p in halves(text)]
        return ({**block, "input": {}}, *inputs)
    return (block,)


# --- gemini ------------------------------------------------------------------------


def gemini(*parts: Object, finish: str = "STOP") -> Pair:
    """A Gemini answer: its parts, a chunk for each."""
    content = {"role": "model", "parts": list(parts)}
    candidate = {"content": content, "finishReason": finish, "index": 0}
    body: Object = {"candidates": [candidate], "responseId": "r-src"}
    stream = gemini_stream(*([part] for part in parts), finish=finish)
    return stream, {**body, "modelVersion": "src-model"}


# --- openai-responses --------------------------------------------------------------


def message(text: str, id: str = "msg_1") -> Object:
    """A message item of one text."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"type": "message", "id": id, "status": "completed", "role": "assistant"}
    return {**item, "content": [part]}


def responses(*items: Object) -> Pair:
    """A Responses answer: its items."""
    body: Object = {"id": "resp_src", "object": "response", "created_at": 5}
    body |= {"model": "src-model", "status": "completed", "output": list(items)}
    events = [event for at, item in enumerate(items) for event in _life(at, item)]
    return responses_stream(*events, output=list(items)), body


def _life(at: int, item: Object) -> list[Object]:
    place = {"output_index": at, "item_id": item["id"]}
    inner: list[Object] = []
    begun = {**item, "status": "in_progress"}
    if item["type"] == "message":
        begun["content"] = []
        for index, part in enumerate(item["content"]):
            here = {**place, "content_index": index}
            empty = {**part, "text": ""}
            inner.append(_event("content_part.added", here, part=empty))
            for piece in halves(part["text"]):
                inner.append(_event("output_text.delta", here, delta=piece))
            inner.append(_event("output_text.done", here, text=part["text"]))
            inner.append(_event("content_part.done", here, part=part))
    elif item["type"] == "reasoning":
        begun = {**begun, "summary": [], "encrypted_content": None}
        for index, part in enumerate(item["summary"]):
            here = {**place, "summary_index": index}
            empty = {**part, "text": ""}
            inner.append(_event("reasoning_summary_part.added", here, part=empty))
            for piece in halves(part["text"]):
                delta = _event("reasoning_summary_text.delta", here, delta=piece)
                inner.append(delta)
            done = _event("reasoning_summary_text.done", here, text=part["text"])
            inner += [done, _event("reasoning_summary_part.done", here, part=part)]
    elif item["type"] == "function_call":
        begun["arguments"] = ""
        name = "function_call_arguments"
        for piece in halves(item["arguments"]):
            inner.append(_event(f"{name}.delta", place, delta=piece))
        inner.append(_event(f"{name}.done", place, arguments=item["arguments"]))
    added = _event("output_item.added", {"output_index": at}, item=begun)
    return [added, *inner, _event("output_item.done", {"output_index": at}, item=item)]


def _event(kind: str, place: Object, **members: object) -> Object:
    return {"type": f"response.{kind}", **place, **members}
