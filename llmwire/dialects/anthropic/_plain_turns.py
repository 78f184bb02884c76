"""An orderly conversation, written as it stands: no turn has to be moved or made.

What `write_orderly` writes is what `_adapt_turns` and `_request_exact` write the long
way. Messages that hold more than texts, calls and their results are left to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from llmwire._plain import (
    are_legal,
    is_bare,
    is_bare_call,
    is_bare_result,
    plain_object,
)
from llmwire.dialects.anthropic._adapt_parts import Fitting
from llmwire.dialects.anthropic._blocks_write import Members
from llmwire.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart


class Orderly(Struct, frozen=True):
    """A conversation of the user (results, then all else) and the assistant."""

    turns: list[Members]
    noted: list[tuple[int, Members | None]]
    """Index of a message, and its turn, which must be written part by part; None
    where the message only became one with the turn before it."""


def write_orderly(
    messages: Sequence[Message], start: int, fitting: Fitting
) -> Orderly | None:
    """`messages` from `start` on, None if a turn must be moved, merged or made.

    The user is the first who speaks and the last, the assistant's messages are never
    neighbours, every call is answered by what comes next, in the same order, and no id
    is used twice. Nothing has a cache mark, and every message something to keep.
    """
    turns: list[Members] = []
    noted: list[tuple[int, Members | None]] = []
    waiting: list[str] = []
    called: list[str] = []
    names = fitting.names
    before, odd = "", False
    for at in range(start, len(messages)):
        message = messages[at]
        role, parts = message.role, message.parts
        if message.top or (role != "user" and (before != "user" or waiting)):
            return None
        blocks: list[Members] | None = None
        if message.extras is not None or not parts:
            pass
        elif len(parts) == 1 and type(parts[0]) is TextPart:
            text = parts[0].text
            if (
                text
                and not waiting
                and not text.isspace()
                and parts[0] == TextPart(text)
            ):
                blocks = [{"type": "text", "text": text}]
        elif role == "user":
            blocks = _told(parts, waiting)
        else:
            blocks = _spoken(parts, waiting, names)
        if blocks is None:
            if role == "assistant":
                waiting = []
            if not _is_orderly(parts, role, waiting):
                return None
        if role == before:
            if odd or blocks is None:
                return None
            noted.append((at, None))
            turns[-1]["content"] += blocks  # type: ignore[operator]  # both are lists
            waiting = waiting[len(parts) :]
            continue
        if role == "user":
            if waiting:
                waiting = waiting[len(parts) :]
        elif role == "assistant":
            if blocks is None:
                waiting = [p.call_id for p in parts if type(p) is ToolCallPart]
            if waiting:
                called += waiting
        else:
            return None
        turn: Members = {"role": role, "content": blocks}
        turns.append(turn)
        odd = blocks is None
        if odd:
            noted.append((at, turn))
        before = role
    if before != "user" or waiting or len(set(called)) < len(called):
        return None
    profile = fitting.profile
    rule = "any" if profile.call_ids == "omitted" else profile.call_ids
    if called and not are_legal(called, rule, profile.max_call_id):
        return None
    return Orderly(turns, noted)


def _told(parts: tuple[Part, ...], waiting: list[str]) -> list[Members] | None:
    """Blocks of the user: results that are waited for, then texts."""
    blocks: list[Members] = []
    told = 0
    for part in parts:
        if type(part) is TextPart:
            text = part.text
            if told < len(waiting) or not text or text.isspace():
                return None
            if part != TextPart(text):
                return None
            blocks.append({"type": "text", "text": text})
            continue
        if type(part) is not ToolResultPart or not part.parts or told >= len(waiting):
            return None
        if waiting[told] != part.call_id or part.extras is not None:
            return None
        if part.kind != "function" or not is_bare_result(part):
            return None
        told += 1
        content: list[Members] = []
        for inner in part.parts:
            if type(inner) is not TextPart:
                return None
            text = inner.text
            if not text or text.isspace() or inner != TextPart(text):
                return None
            content.append({"type": "text", "text": text})
        blocks.append(
            {"type": "tool_result", "tool_use_id": part.call_id, "content": content}
        )
    return blocks


def _spoken(
    parts: tuple[Part, ...], waiting: list[str], names: Mapping[str, str]
) -> list[Members] | None:
    """Blocks of the assistant: texts and calls, which are waited for."""
    blocks: list[Members] = []
    for part in parts:
        if type(part) is TextPart:
            text = part.text
            if not text or text.isspace() or part != TextPart(text):
                return None
            blocks.append({"type": "text", "text": text})
            continue
        if type(part) is not ToolCallPart or not is_bare_call(part):
            return None
        name, arguments = part.name, plain_object(part.arguments)
        if arguments is None or name in names:
            return None
        call_id = part.call_id
        waiting.append(call_id)
        blocks.append(
            {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
        )
    return blocks


def _results(parts: tuple[Part, ...]) -> int:
    """How many results stand in front."""
    for at, part in enumerate(parts):
        if type(part) is not ToolResultPart:
            return at
    return len(parts)


def _is_orderly(parts: tuple[Part, ...], role: str, waiting: list[str]) -> bool:
    """Whether a message stays where it is, whatever becomes of its parts one by one.

    Some are kept for sure, none is marked, and the user's results are those that are
    waited for: all of them, unless the message holds nothing else.
    """
    results = _results(parts)
    told = [p.call_id for p in parts[:results] if isinstance(p, ToolResultPart)]
    if told != waiting[:results] or (results < len(parts) and results < len(waiting)):
        return False
    own = ToolCallPart if role == "assistant" else ToolResultPart
    kept = False
    for at, part in enumerate(parts):
        if part.cache is not None:
            return False
        if isinstance(part, ToolResultPart):
            if at >= results or any(p.cache is not None for p in part.parts):
                return False
        elif isinstance(part, ToolCallPart) and role == "user":
            return False
        kept = kept or type(part) is own or (is_bare(part) and bool(part.text.strip()))
    return kept
