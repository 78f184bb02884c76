"""Why an answer ended: Chat's five words, those of its imitators, and ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from llmwire.messages import Part, RefusalPart, StopReason, ToolCallPart

_READ: Final[Mapping[str, StopReason]] = {
    "stop": "end",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "content_filter",
    # Together, Cohere, Anthropic's words through gateways.
    "eos": "end",
    "eos_token": "end",
    "end_turn": "end",
    "COMPLETE": "end",
    # Mistral, and gateways.
    "max_tokens": "max_tokens",
    "model_length": "max_tokens",
    "max_output_tokens": "max_tokens",
    # Z.ai (https://docs.z.ai/api-reference/llm/chat-completion).
    "sensitive": "content_filter",
    "network_error": "error",
    "model_context_window_exceeded": "context_full",
    # DeepSeek.
    "insufficient_system_resource": "error",
    "error": "error",
    "abort": "error",
}
_WRITE: Final[Mapping[StopReason, str]] = {
    "end": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "context_full": "length",
    "tool_use": "tool_calls",
    "refusal": "stop",
    "content_filter": "content_filter",
    "recitation": "content_filter",
    "pause": "length",
    "compaction": "stop",
    "malformed_tool_call": "stop",
    "steered": "stop",
    "cancelled": "stop",
    "error": "stop",
    "other": "stop",
}


def read_stop(
    word: str | None, *, calls: bool, refusal: bool, sequence: bool = False
) -> StopReason:
    """What `word` means beside what the message holds.

    Servers say `stop` where a call was forced, and `tool_calls` where there is none.
    """
    stop = _READ.get(word or "", "other")
    if stop == "end" and calls:
        return "tool_use"
    if stop == "end" and refusal:
        return "refusal"
    if stop == "end" and sequence:
        return "stop_sequence"
    if stop == "tool_use" and not calls:
        return "end"
    return stop


def stop_of(word: str | None, parts: Iterable[Part], sequence: bool) -> StopReason:
    """`read_stop` for a message of `parts`."""
    kinds = set(map(type, parts))
    calls, refusal = ToolCallPart in kinds, RefusalPart in kinds
    return read_stop(word, calls=calls, refusal=refusal, sequence=sequence)


def write_stop(stop: StopReason, *, calls: bool, refusal: bool) -> str:
    """The word for `stop`.

    A refusal without words of refusal is a filter's: nothing else would show it.
    """
    if stop == "refusal" and not refusal:
        return "content_filter"
    if stop == "end" and calls:
        return "tool_calls"
    return _WRITE[stop]
