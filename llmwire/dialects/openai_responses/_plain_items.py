"""A plain conversation as items, written straight down.

Says of a conversation of another dialect what `_request_write` would say, with the same
losses, where there is nothing but texts, calls of functions and their results.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from llmwire._plain import PlainMessage, are_legal, plain_messages
from llmwire.dialects.openai_responses._content_write import Object
from llmwire.losses import LossRecorder
from llmwire.messages import Message, ToolCallPart
from llmwire.profiles import Profile


def leading_instructions(messages: Sequence[Message]) -> int:
    """How many messages of instructions stand at the front."""
    for at, message in enumerate(messages):
        if message.role not in ("system", "developer"):
            return at
    return len(messages)


def sendable(
    messages: Sequence[Message], renamed: Collection[str], profile: Profile
) -> list[PlainMessage]:
    """The messages behind the instructions, if they are plain; else none.

    Args:
        messages: Of the request.
        renamed: Tools that the target wants under another name.
        profile: Its other wishes.
    """
    plain = plain_messages(messages, leading_instructions(messages)) or []
    calls = [call for one in plain for call in one.calls]
    rule = "any" if profile.call_ids == "omitted" else profile.call_ids
    ids = [call.call_id for call in calls]
    legal = are_legal(ids, rule, profile.max_call_id)
    return plain if legal and not any(c.name in renamed for c in calls) else []


def write_plain(plain: Sequence[PlainMessage]) -> list[Object]:
    """The items of `plain`."""
    items: list[Object] = []
    for one in plain:
        if one.role == "assistant":
            for text in one.texts:
                items.append({"type": "message", "role": "assistant", "content": text})
            for call in one.calls:
                items.append(_call(call))
            continue
        for call_id, text in one.results:
            item = {"type": "function_call_output", "call_id": call_id, "output": text}
            items.append(item)
        if one.texts:
            content = [{"type": "input_text", "text": text} for text in one.texts]
            items.append({"type": "message", "role": "user", "content": content})
    return items


def _call(call: ToolCallPart) -> Object:
    return {
        "type": "function_call",
        "call_id": call.call_id,
        "name": call.name,
        "arguments": call.arguments if call.arguments.strip() else "{}",
    }


def report_torn(plain: Sequence[PlainMessage], losses: LossRecorder) -> None:
    """Say which of `plain` will be read as another number of messages."""
    torn: set[int] = set()
    before = PlainMessage(-1, "")
    for one in plain:
        if one.results and before.results:
            torn |= {before.at, one.at}
        if one.results and one.texts:
            torn.add(one.at)
        before = one
    for at in sorted(torn):
        report_boundary(at, losses)


def report_boundary(at: int, losses: LossRecorder) -> None:
    """Message `at` will be read as several, or as one with its neighbour."""
    reason = "turns are told apart by who speaks and what kind of item it is"
    losses.approximate("message.boundary", f"messages[{at}]", reason)
