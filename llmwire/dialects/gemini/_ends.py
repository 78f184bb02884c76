"""Where a conversation and its turns begin and end, and what Google wants there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from llmwire.dialects.gemini._config_write import Aim
from llmwire.messages import Message, TextPart, ToolResultPart

CONTINUED: Final = "(continued)"


def leading_messages(messages: Sequence[Message]) -> int:
    """How many messages of instructions stand at the front."""
    for at, message in enumerate(messages):
        if message.role not in ("system", "developer"):
            return at
    return len(messages)


def speaks(message: Message) -> bool:
    """Whether there is more in `message` than empty texts."""
    return any(not isinstance(p, TextPart) or p.text for p in message.parts)


def turn_start(messages: Sequence[Message]) -> int:
    """Index of the last message in which the user says something of their own."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "user" and any(
            not isinstance(part, ToolResultPart) for part in messages[at].parts
        ):
            return at
    return 0


def settle_ends(contents: list[Any], count: int, aim: Aim) -> None:
    """The profile's rules about the first and the last turn.

    Args:
        contents: The contents so far; changed in place.
        count: Messages of the request.
        aim: Whom it is written for.
    """
    profile, losses = aim.profile, aim.losses
    more = {"parts": [{"text": CONTINUED}], "role": "user"}
    if contents and contents[-1]["role"] == "model" and not profile.prefill:
        path = f"messages[{count - 1}]"
        if losses.emulates("message.prefill"):
            reason = "a turn of the user was put behind it"
            losses.emulate("message.prefill", path, reason)
            contents.append(more)
        else:
            reason = "the target does not continue an answer"
            losses.drop("message.prefill", path, reason)
            del contents[-1]
    if contents and contents[0]["role"] == "model" and profile.first_turn_user:
        if losses.emulates("message.order"):
            reason = "a turn of the user was put before it"
            losses.emulate("message.order", "messages[0]", reason)
            contents.insert(0, more)
        else:
            reason = "the user must speak first"
            losses.drop("message.order", "messages[0]", reason)
            del contents[0]
