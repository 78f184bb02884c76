"""The messages of a client's request, and its `system`, to the neutral ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType

from llmwire import _seal
from llmwire._unread import Unread
from llmwire.dialects.anthropic import _wire as w
from llmwire.dialects.anthropic._blocks_read import REQUEST, STRING_NOTE, read_blocks
from llmwire.dialects.anthropic._cache import odd_members
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.messages import (
    Message,
    Part,
    ReasoningPart,
    Role,
    Signature,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

_FINE: Final = {"@is_error": Raw(b"false")}
"""The result says that it is no error."""
_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}


def read_system(
    system: str | list[w.TextBlock | Raw] | UnsetType | None,
    unread: Unread,
    exact: bool,
) -> list[Message]:
    """The message that `system` is, if it says anything. Arguments as below.

    Raises:
        RemoteProtocolError: One of its blocks is none; names the place.
    """
    if isinstance(system, str):
        text = (TextPart(system),)
        return [Message(role="system", parts=text, top=True, extras=STRING_NOTE)]
    if not system:
        return []
    parts = _plain_parts(system, unread) if exact else None
    if parts is None:
        unread.check_within(system)
        parts = read_blocks(system, "$.system", REQUEST)
    return [Message(role="system", parts=tuple(parts), top=True)]


def read_messages(
    wires: Sequence[w.MessageWire], unread: Unread, limit: int, exact: bool
) -> list[Message]:
    """The messages that `wires` are.

    Args:
        wires: As they came.
        unread: Of the document.
        limit: Blocks that a message may have.
        exact: There is no stranger in any message.

    Raises:
        RemoteProtocolError: One of them is none; names the place.
        LimitExceeded: One has too many blocks.
    """
    messages: list[Message] = []
    for at, wire in enumerate(wires):
        role = _ROLES.get(wire.role)
        if role is None:
            what = "expected `user`, `assistant` or `system`"
            raise RemoteProtocolError(what, path=f"$.messages[{at}].role")
        content = wire.content
        odd = None if exact else odd_members(wire)
        if type(content) is str:
            extras = {**odd, **STRING_NOTE} if odd else STRING_NOTE
            text = (TextPart(content),)
            messages.append(Message(role=role, parts=text, extras=extras))
            continue
        if len(content) > limit:
            path = f"$.messages[{at}].content"
            raise LimitExceeded(f"more than {limit} blocks", path=path)
        plain = exact or not (wire.extras or wire.loose)
        parts = _plain_parts(content, unread) if plain else None
        if parts is None:
            unread.check_within(content)
            parts = read_blocks(content, at, REQUEST)
        messages.append(Message(role=role, parts=tuple(parts), extras=odd))
    return messages


def _plain_parts(blocks: Sequence[Any], unread: Unread) -> list[Part] | None:
    """The parts of blocks with nothing but their content; None if one has more.

    Args:
        blocks: Of a client, without strangers.
        unread: Of the document.
    """
    parts: list[Part] = []
    for block in blocks:
        kind = type(block)
        if kind is w.TextBlock:
            text = block.text
            if text is UNSET or not block.citations is block.cache_control is UNSET:
                return None
            parts.append(TextPart(text))
        elif kind is w.ToolUseBlock:
            call_id, name, value = block.id, block.name, block.input
            if call_id is UNSET or name is UNSET or value is UNSET:
                return None
            if not block.cache_control is block.caller is UNSET:
                return None
            if len(value) > unread.room:
                unread.check(value)
            try:
                arguments = bytes(value).decode()
            except UnicodeDecodeError:
                return None
            parts.append(ToolCallPart(call_id=call_id, name=name, arguments=arguments))
        elif kind is w.ToolResultBlock:
            error = block.is_error
            inner = _plain_texts(block.content)
            if not inner or error is None or block.cache_control is not UNSET:
                return None
            notes = STRING_NOTE if type(block.content) is str else None
            if error is False:
                notes = {**(notes or {}), **_FINE}
            part = ToolResultPart(
                call_id=block.tool_use_id,
                parts=inner,
                error=error is True,
                extras=notes,
            )
            parts.append(part)
        elif kind is w.ThinkingBlock:
            value = block.signature
            if not value or block.thinking is UNSET or value.startswith(_seal.PREFIX):
                return None
            signature = Signature(origin=w.NAME, value=value)
            text = block.thinking or None
            parts.append(ReasoningPart(text=text, signature=signature))
        else:
            return None
    return parts


def _plain_texts(content: Any) -> tuple[Part, ...]:
    """The texts that a result holds; none if it holds anything else."""
    if type(content) is str:
        return (TextPart(content),)
    if type(content) is not list:
        return ()
    parts: list[Part] = []
    for block in content:
        if type(block) is not w.TextBlock or block.text is UNSET:
            return ()
        if not block.citations is block.cache_control is UNSET:
            return ()
        parts.append(TextPart(block.text))
    return tuple(parts)
