"""The usual conversation, which needs no fitting: texts, calls, and their results.

Most of what agents send is nothing else. An encoder asks for `plain_messages` before it
fits part by part what it is given; what it writes then must be what it writes the long
way. No wire name and no dialect.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final, TypeGuard

from msgspec import MsgspecError, Raw, Struct

from llmwire._json import decoder
from llmwire.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart

_decode_raw = decoder(Raw).decode
_SAFE: Final = re.compile(r"[A-Za-z0-9_-]*\Z")


class PlainMessage(Struct, gc=False):
    """A message of the user (results, then texts) or the assistant (texts, calls)."""

    at: int
    """Index in the request."""
    role: str
    texts: Sequence[str] = ()
    """None is blank."""
    calls: Sequence[ToolCallPart] = ()
    """Of functions. The results of the next message answer all, in this order."""
    results: Sequence[tuple[str, str]] = ()
    """Call id and text, which is not blank."""


def plain_messages(
    messages: Sequence[Message], start: int
) -> list[PlainMessage] | None:
    """`messages` from `start` on, None if one of them is not plain.

    The user is the first who speaks and the last, the assistant's messages are never
    neighbours, every call is answered by what comes next, and no id is used twice.
    Nothing has a signature, a cache mark, extras or an id of its own.
    """
    plain: list[PlainMessage] = []
    waiting: list[str] = []
    called: set[str] = set()
    before = ""
    for at in range(start, len(messages)):
        message = messages[at]
        role, parts = message.role, message.parts
        if message.extras is not None or message.id is not None or message.top:
            return None
        one = None
        if role == "user":
            one = _told(at, parts, waiting)
        elif role == "assistant" and before == "user" and not waiting:
            one = _spoken(at, parts, waiting, called)
        if one is None:
            return None
        plain.append(one)
        before = role
    return plain if before == "user" and not waiting else None


def _told(at: int, parts: tuple[Part, ...], waiting: list[str]) -> PlainMessage | None:
    """A message of the user: the results that are waited for, then texts."""
    texts: list[str] = []
    results: list[tuple[str, str]] = []
    for part in parts:
        if type(part) is TextPart:
            if waiting or _is_odd(part):
                return None
            texts.append(part.text)
            continue
        if type(part) is not ToolResultPart or texts or not waiting:
            return None
        call_id, inner = part.call_id, part.parts
        if call_id != waiting.pop(0) or len(inner) != 1 or part.kind != "function":
            return None
        if part.extras is not None or not is_bare_result(part):
            return None
        text = inner[0]
        if type(text) is not TextPart or _is_odd(text):
            return None
        results.append((call_id, text.text))
    return PlainMessage(at, "user", texts, (), results) if parts else None


def _spoken(
    at: int, parts: tuple[Part, ...], waiting: list[str], called: set[str]
) -> PlainMessage | None:
    """A message of the assistant: texts, then calls, which are waited for."""
    texts: list[str] = []
    calls: list[ToolCallPart] = []
    for part in parts:
        if type(part) is TextPart:
            if calls or _is_odd(part):
                return None
            texts.append(part.text)
            continue
        if type(part) is not ToolCallPart or part.call_id in called or not part.name:
            return None
        call_id = part.call_id
        if not is_bare_call(part):
            return None
        called.add(call_id)
        waiting.append(call_id)
        calls.append(part)
    return PlainMessage(at, "assistant", texts, calls) if parts else None


def is_bare(part: Part) -> TypeGuard[TextPart]:
    """Whether `part` is a text and nothing else."""
    return type(part) is TextPart and part == TextPart(part.text)


def is_bare_call(part: ToolCallPart) -> bool:
    """Whether `part` is the call of a function and nothing else."""
    return (
        part.kind == "function"
        and part.extras is None
        and part.signature is None
        and part.cache is None
        and part.id is None
        and part.group is None
        and not (part.incomplete or part.logprobs)
    )


def is_bare_result(part: ToolResultPart) -> bool:
    """Whether `part` is a success and nothing else, but for its kind and extras."""
    return (
        part.signature is None
        and part.cache is None
        and part.id is None
        and part.group is None
        and part.name is None
        and not (part.error or part.incomplete)
    )


def _is_odd(part: TextPart) -> bool:
    """Whether `part` is blank, or more than its text."""
    text = part.text
    return not text or text.isspace() or part != TextPart(text)


def are_legal(call_ids: Collection[str], rule: str, limit: int) -> bool:
    """Whether all ids may be sent as they are (`_turns.legal_call_id`)."""
    lengths = set(map(len, call_ids))
    if 0 in lengths or max(lengths, default=0) > limit:
        return False
    return rule == "any" or (
        rule == "safe" and _SAFE.match("".join(call_ids)) is not None
    )


def plain_object(arguments: str) -> Raw | None:
    """Arguments that are one strict JSON object and nothing around it, as such."""
    if arguments[:1] != "{" or arguments[-1:] != "}":
        return None
    try:
        found: Raw = _decode_raw(arguments)
    except (MsgspecError, UnicodeError, RecursionError):
        return None
    return found
