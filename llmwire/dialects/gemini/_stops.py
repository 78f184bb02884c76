"""Why Gemini stopped, in its words and in the neutral ones.

https://ai.google.dev/api/generate-content#FinishReason
"""

from __future__ import annotations

from typing import Final

from llmwire.messages import StopReason

READ: Final[dict[str, StopReason]] = {
    "STOP": "end",
    "MAX_TOKENS": "max_tokens",
    "SAFETY": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "LANGUAGE": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "RECITATION": "recitation",
    "MALFORMED_FUNCTION_CALL": "malformed_tool_call",
    "UNEXPECTED_TOOL_CALL": "malformed_tool_call",
    "MISSING_THOUGHT_SIGNATURE": "malformed_tool_call",
    "MALFORMED_RESPONSE": "malformed_tool_call",
    "TOO_MANY_TOOL_CALLS": "malformed_tool_call",
    "CONTINUATION": "pause",
}
"""What is not listed is `other`."""

WRITTEN: Final[dict[StopReason, str]] = {
    "end": "STOP",
    "stop_sequence": "STOP",
    "max_tokens": "MAX_TOKENS",
    "context_full": "MAX_TOKENS",
    "tool_use": "STOP",
    "refusal": "STOP",
    "content_filter": "SAFETY",
    "recitation": "RECITATION",
    "pause": "CONTINUATION",
    "compaction": "STOP",
    "malformed_tool_call": "MALFORMED_FUNCTION_CALL",
    "steered": "OTHER",
    "cancelled": "OTHER",
    "error": "OTHER",
    "other": "OTHER",
}

_NUMBERS: Final = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
)
"""proto3 JSON may write an enum as its number."""


def written_stop(stop: StopReason, spoken: bool) -> str:
    """The word for `stop`. A refusal without a part of its own is told as a filter's:
    it would look like an empty success."""
    return WRITTEN["content_filter" if stop == "refusal" and not spoken else stop]


def read_stop(word: str, calls: bool) -> StopReason:
    """The neutral reason. Gemini says STOP even where it wants calls to be run."""
    known = word.upper()
    if word.isascii() and word.isdigit() and int(word[:4]) < len(_NUMBERS):
        known = _NUMBERS[int(word[:4])]
    reason = READ.get(known, "other")
    return "tool_use" if reason == "end" and calls else reason


def spelled_stop(word: str) -> str | int:
    """A raw word as it stood on the wire: names are text, numbers are numbers."""
    return int(word) if word.isascii() and word.isdigit() and len(word) < 10 else word
