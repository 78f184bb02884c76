"""How many tokens a request is, by rule of thumb.

For servers that cannot count. No tokenizer and no vocabulary: characters of text by
script, a fixed price for each medium and each turn. The answer says that it is an
estimate; expect it within a third of the truth for prose and code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from llmwire.messages import (
    Base64,
    MediaPart,
    OpaquePart,
    Part,
    PlainText,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    TokenCount,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.requests import Request

__all__ = ("estimate_tokens",)

_PER_MESSAGE: Final = 4
_PER_TOOL: Final = 8
_CHARACTERS_PER_TOKEN: Final = 4
_MEDIA: Final = {"image": 1000, "audio": 800, "video": 4000, "document": 1500}
_BASE64_PER_TOKEN: Final = 40
"""Base64 characters of a document or a recording that make one token."""


def estimate_tokens(request: Request) -> TokenCount:
    """The input tokens of `request`: every message, part and tool is counted.

    Never raises. The count is marked as estimated.
    """
    total = sum(_PER_MESSAGE + _of_parts(message.parts) for message in request.messages)
    for tool in request.tools:
        texts = (tool.name, tool.description or "")
        raws = (tool.schema, tool.format, tool.raw)
        total += _PER_TOOL + sum(map(_of_text, texts))
        total += sum(len(bytes(raw)) for raw in raws if raw) // _CHARACTERS_PER_TOKEN
    if request.output is not None and request.output.schema is not None:
        total += len(bytes(request.output.schema)) // _CHARACTERS_PER_TOKEN
    return TokenCount(input=total, estimated=True)


def _of_text(text: str) -> int:
    if text.isascii():
        return -(-len(text) // _CHARACTERS_PER_TOKEN)
    wide = sum(character > "\u2e7f" for character in text)
    return wide + -(-(len(text) - wide) // _CHARACTERS_PER_TOKEN)


def _of_parts(parts: Iterable[Part]) -> int:
    return sum(map(_of_part, parts))


def _of_part(part: Part) -> int:
    if isinstance(part, (TextPart, RefusalPart)):
        return _of_text(part.text)
    if isinstance(part, ReasoningPart):
        return sum(map(_of_text, (*part.summary, part.text or "")))
    if isinstance(part, ToolCallPart):
        return _PER_TOOL + _of_text(part.name) + _of_text(part.arguments)
    if isinstance(part, ToolResultPart):
        return _PER_TOOL + _of_parts(part.parts)
    if isinstance(part, MediaPart):
        return _of_media(part)
    return _of_raw(part)


def _of_raw(part: ServerToolCallPart | ServerToolResultPart | OpaquePart) -> int:
    raw = part.raw if isinstance(part, OpaquePart) else part.payload
    return _PER_TOOL + len(bytes(raw)) // _CHARACTERS_PER_TOKEN


def _of_media(part: MediaPart) -> int:
    if isinstance(part.source, PlainText):
        return _of_text(part.source.text)
    if isinstance(part.source, Base64) and part.kind in ("audio", "document"):
        return max(_MEDIA["audio"], len(part.source.data) // _BASE64_PER_TOKEN)
    return _MEDIA[part.kind]
