"""Messages for servers whose chat templates are narrow: one system message, in turn.

Knows messages as they are written, and nothing of what they were read from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from llmwire.dialects.openai_chat._pieces_write import Members
from llmwire.losses import LossRecorder

INSTRUCTIONS: Final = ("system", "developer")
"""Roles that instruct."""
_NONE: Final[frozenset[str]] = frozenset()


def system_first(found: list[Members], losses: LossRecorder) -> list[Members]:
    """All instructions as one message at the front."""
    told = [m for m in found if m["role"] in INSTRUCTIONS]
    if len(told) < 2 and (not told or found[0] is told[0]):
        return found
    reason = "the server takes one message of instructions, in front"
    losses.approximate("instructions", "messages", reason)
    texts = [_text(m.get("content")) for m in told]
    first = {"role": "system", "content": "\n\n".join(t for t in texts if t)}
    return [first, *(m for m in found if m["role"] not in INSTRUCTIONS)]


def results_behind_calls(found: list[Members], losses: LossRecorder) -> list[Members]:
    """Results directly behind the turn whose calls they answer, before all others.

    The vendor refuses any other order (`tool_calls` must be followed by tool messages).
    Results that answer nothing stay where they are.
    """
    if _are_in_order(found):
        return found
    groups: list[list[Members]] = []
    asked: dict[str, list[Members]] = {}
    for message in found:
        group: list[Members] | None = None
        if message["role"] == "tool":
            group = asked.get(message["tool_call_id"])
        if group is None:
            group = []
            groups.append(group)
        group.append(message)
        asked.update(dict.fromkeys(_call_ids(message), group))
    behind = [message for group in groups for message in group]
    if all(a is b for a, b in zip(found, behind, strict=True)):
        return found
    reason = "results stand directly behind their calls"
    losses.approximate("message.order", "messages", reason)
    return behind


def _are_in_order(found: list[Members]) -> bool:
    """Whether every result answers a call of the turn before the results."""
    asked = _NONE
    for message in found:
        if message["role"] != "tool":
            calls = "tool_calls" in message
            asked = frozenset(_call_ids(message)) if calls else _NONE
        elif message["tool_call_id"] not in asked:
            return False
    return True


def _call_ids(message: Members) -> Iterator[str]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        call_id = call.get("id") if isinstance(call, dict) else None
        if isinstance(call_id, str):
            yield call_id


def alternating(found: list[Members], losses: LossRecorder) -> list[Members]:
    """Neighbours of one role as one message."""
    merged: list[Members] = []
    for message in found:
        last = merged[-1] if merged else {}
        if message["role"] in ("user", "assistant", "system") and (
            last.get("role") == message["role"]
        ):
            reason = "the server wants the roles in turn"
            losses.approximate("message.boundary", "messages", reason)
            merged[-1] = _joined(last, message)
        else:
            merged.append(message)
    return merged


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [e.get("text", "") for e in content if isinstance(e, dict)]
    return "\n\n".join(text for text in texts if text)


def _joined(first: Members, second: Members) -> Members:
    joined = {**first, **{k: v for k, v in second.items() if k not in first}}
    left, right = first.get("content"), second.get("content")
    if isinstance(left, str) and isinstance(right, str):
        joined["content"] = "\n\n".join(text for text in (left, right) if text)
    elif isinstance(left, (str, list)) or isinstance(right, (str, list)):
        joined["content"] = [*_as_elements(left), *_as_elements(right)]
    calls: list[Any] = []
    for each in (first.get("tool_calls"), second.get("tool_calls")):
        calls += each if isinstance(each, list) else []
    if calls:
        joined["tool_calls"] = calls
    return joined


def _as_elements(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content if isinstance(content, list) else []
