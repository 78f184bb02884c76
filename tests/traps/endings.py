"""Why answers ended, in the words of each dialect, and answers of Anthropic for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llmwire import Loss
from tests.traps import CHAT, CLAUDE, RESPONSES, Object

__all__ = ("TEXT", "TOOL", "claude_body", "ending", "told")

TEXT: tuple[Object, Object] = (
    {"type": "text", "text": ""},
    {"type": "text_delta", "text": "Well"},
)
"""A block that says a word, for a stream."""
TOOL: tuple[Object, Object] = (
    {"type": "tool_use", "id": "toolu_7", "name": "dig", "input": {}},
    {"type": "input_json_delta", "partial_json": '{"depth": 3}'},
)
"""A block that calls a tool, for a stream."""


def ending(dialect: str, given: list[Object]) -> Any:
    """Why an answer ended, in the words of a stream's objects or of one body."""
    last = given[-1]
    if dialect == CHAT:
        choices = [choice for one in given for choice in one["choices"]]
        return choices[-1]["finish_reason"]
    if dialect == RESPONSES:
        response = last.get("response", last)
        return response["status"], (response["incomplete_details"] or {}).get("reason")
    if dialect == CLAUDE:
        found = [
            one for one in given if one.get("type") in ("message", "message_delta")
        ]
        return found[-1].get("delta", found[-1])["stop_reason"]
    if "candidates" not in last:
        return last["promptFeedback"]["blockReason"]
    return last["candidates"][0]["finishReason"]


def told(losses: Iterable[Loss], *features: str) -> list[tuple[str, str]]:
    """Path and action of the losses of these features."""
    return [(one.path, one.action) for one in losses if one.feature in features]


def claude_body(*content: Object, **members: Any) -> Object:
    """A whole message of these blocks."""
    body: Object = {"id": "msg_7", "type": "message", "role": "assistant"}
    body |= {"model": "m", "content": list(content), "stop_sequence": None}
    return {**body, "usage": {"input_tokens": 3, "output_tokens": 4}, **members}
