"""What is measured: requests and streams of the sizes that agents send and get.

Made here, deterministic, in the shape of real traffic: a coding agent's request with
tools and a history of calls, images inline, streams of short text deltas.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

import llmwire
from llmwire.events import Event

PROSE = (
    "the parser reads one frame and keeps what it cannot name so that nothing is lost "
    "when the answer goes back to the client that asked for it in another dialect"
)
WORDS = PROSE.split()
FEED = 64 * 1024


def dumps(value: Any) -> bytes:
    """Compact JSON, as servers write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def prose(words: int, start: int = 0) -> str:
    """`words` words of text."""
    return " ".join(WORDS[(start + at) % len(WORDS)] for at in range(words))


def tool(at: int) -> dict[str, Any]:
    """A tool definition of an agent, in Chat's form."""
    return {
        "type": "function",
        "function": {
            "name": f"tool_{at}",
            "description": prose(60, at),
            "parameters": {
                "type": "object",
                "properties": {
                    f"argument_{n}": {"type": "string", "description": prose(12, n)}
                    for n in range(5)
                },
                "required": ["argument_0"],
                "additionalProperties": False,
            },
        },
    }


def small_request() -> bytes:
    """A short question."""
    return dumps(
        {
            "model": "gpt-4o",
            "messages": [
                {"role": "system", "content": "You are helpful."},
                {"role": "user", "content": "What is the capital of France?"},
            ],
            "max_completion_tokens": 256,
        }
    )


def agent_request(turns: int = 40, tools: int = 14) -> bytes:
    """A coding agent's request in the middle of its work: about 60 kB."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": prose(900)}]
    for at in range(turns):
        messages.append({"role": "user", "content": prose(30, at)})
        call = {
            "id": f"call_{at:024d}",
            "type": "function",
            "function": {
                "name": f"tool_{at % tools}",
                "arguments": json.dumps({"argument_0": prose(20, at)}),
            },
        }
        messages.append(
            {"role": "assistant", "content": prose(15, at), "tool_calls": [call]}
        )
        messages.append(
            {"role": "tool", "tool_call_id": call["id"], "content": prose(70, at)}
        )
    messages.append({"role": "user", "content": "Go on."})
    return dumps(
        {
            "model": "gpt-4o",
            "messages": messages,
            "tools": [tool(at) for at in range(tools)],
            "tool_choice": "auto",
            "stream": True,
            "max_completion_tokens": 4096,
        }
    )


def image_request(images: int = 4, size: int = 190_000) -> bytes:
    """A question about images given inline: about 1 MB."""
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * (size // 256))
    part = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + data.decode()},
    }
    content = [{"type": "text", "text": "What is this?"}, *([part] * images)]
    return dumps(
        {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": content}],
            "max_completion_tokens": 256,
        }
    )


@cache
def text_events(tokens: int = 2000) -> tuple[Event, ...]:
    """A streamed answer of plain text."""
    words = [f" {WORDS[at % len(WORDS)]}" for at in range(tokens)]
    return (
        llmwire.MessageStart(
            "msg-0123456789abcdef", "model-x-2026-01-01", 1763680000.0
        ),
        llmwire.PartStart(0, llmwire.TextPart("")),
        *(llmwire.TextDelta(0, word) for word in words),
        llmwire.PartEnd(0),
        llmwire.UsageUpdate(llmwire.Usage(fresh=1000, output=tokens)),
        llmwire.MessageEnd("end"),
        llmwire.StreamEnd(),
    )


@cache
def stream(dialect: str) -> bytes:
    """`text_events` on the wire of `dialect`."""
    encoder = llmwire.StreamEncoder(dialect, created=1763680000.0, id="bench")
    return b"".join(map(encoder.send, text_events()))


def chat_stream(tokens: int = 2000, *, strangers: bool = False) -> bytes:
    """A Chat stream of frames of about 250 bytes.

    With `strangers` every chunk holds usage and members outside the official schema.
    """
    frames = []
    for at in range(tokens):
        chunk: dict[str, Any] = {
            "id": "chatcmpl-CdXy0123456789abcdefghijklm",
            "object": "chat.completion.chunk",
            "created": 1763680000,
            "model": "gpt-4o-2024-08-06",
            "system_fingerprint": "fp_cbf1785567",
            "choices": [
                {
                    "index": 0,
                    "delta": {"content": f" {WORDS[at % len(WORDS)]}"},
                    "logprobs": None,
                    "finish_reason": None,
                }
            ],
        }
        if strangers:
            chunk["provider"] = "Acme"
            chunk["choices"][0]["native_finish_reason"] = None
            chunk["choices"][0]["delta"]["role"] = "assistant"
            chunk["usage"] = {
                "prompt_tokens": 1000,
                "completion_tokens": at,
                "total_tokens": 1000 + at,
            }
        frames.append(b"data: " + dumps(chunk) + b"\n\n")
    return b"".join((*frames, b"data: [DONE]\n\n"))


def feeds(data: bytes, size: int = FEED) -> list[bytes]:
    """`data` in pieces of `size` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]
