"""The messages of a client's request to the neutral ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType

from llmwire._ids import mint_call
from llmwire._json import NULL, encode, strangers
from llmwire._turns import settled_signatures
from llmwire._unread import Unread
from llmwire.dialects.openai_chat._message_read import (
    plain_texts,
    read_content,
    read_spoken,
    simple_parts,
)
from llmwire.dialects.openai_chat._notes import CONTENT, LEGACY, Kept
from llmwire.dialects.openai_chat._wire import (
    AssistantMessage,
    DeveloperMessage,
    FunctionMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.messages import (
    Extras,
    Message,
    Part,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

_TOLD: Final[Mapping[type, Role]] = {
    UserMessage: "user",
    SystemMessage: "system",
    DeveloperMessage: "developer",
}


class MessagesReader:
    """The messages of one request while they are read.

    Args:
        unread: Of the document.
        limit: Parts that a message may have.
        exact: There is no stranger in any message.
    """

    def __init__(self, unread: Unread, limit: int, exact: bool) -> None:
        self._unread = unread
        self._limit = limit
        self._exact = exact and limit > 0
        self._minted = 0
        self._unnamed: dict[str, list[str]] = {}
        self._customs: set[str] = set()

    def read(self, wires: Sequence[Any]) -> tuple[Message, ...]:
        """The messages that `wires` are; results that are neighbours become one.

        Raises:
            RemoteProtocolError: One of them is none; names the place.
            LimitExceeded: One has too many parts.
        """
        found: list[Message] = []
        results: list[Part] = []
        whole, customs = self._exact, self._customs
        for at, wire in enumerate(wires):
            exact = whole or self._is_exact(wire)
            kind = type(wire)
            if kind is ToolMessage:
                text, name = wire.content, wire.name
                usual = exact and type(text) is str and text and not customs
                if usual and wire.tool_call_id and (name or name is UNSET):
                    part: Part = ToolResultPart(
                        call_id=wire.tool_call_id,
                        name=name or None,
                        parts=(TextPart(text),),
                    )
                else:
                    plain = _listed_result(wire) if exact and not customs else None
                    part = plain or self._result(wire, at)
                results.append(part)
                continue
            if kind is FunctionMessage:
                results.append(self._result(wire, at))
                continue
            if results:
                found.append(Message(role="user", parts=tuple(results)))
                results = []
            if kind is AssistantMessage:
                parts = simple_parts(wire) if exact else None
                if parts:
                    message = Message(role="assistant", parts=parts)
                else:
                    message = self._answered(wire, at)
            else:
                text = wire.content
                if exact and type(text) is str and wire.name is UNSET:
                    parts = (TextPart(text),)
                    found.append(Message(role=_TOLD[kind], parts=parts))
                    continue
                message = self._told(wire, at, exact)
            if len(message.parts) > self._limit:
                what = f"more than {self._limit} parts"
                raise LimitExceeded(what, path=f"$.messages[{at}]")
            found.append(message)
        if results:
            found.append(Message(role="user", parts=tuple(results)))
        return tuple(found)

    def _is_exact(self, wire: Any) -> bool:
        """Whether there is no stranger in one message, nor any limit to think of."""
        return self._limit > 0 and not wire.extras and not wire.loose

    def _told(
        self,
        wire: UserMessage | SystemMessage | DeveloperMessage,
        at: int,
        exact: bool,
    ) -> Message:
        role, content = _TOLD[type(wire)], wire.content
        if exact and type(content) is list and wire.name is UNSET:
            texts = plain_texts(content)
            if texts:
                return Message(role=role, parts=tuple(texts), extras=_listed(texts))
        self._unread.check_within(wire)
        kept = Kept(strangers(wire))
        parts = read_content(content, f"$.messages[{at}]", kept)
        if wire.name is not UNSET and not kept.empty("name", wire.name):
            kept.extras["name"] = Raw(encode(wire.name))
        return Message(role=role, parts=tuple(parts), extras=kept.done())

    def _answered(self, wire: AssistantMessage, at: int) -> Message:
        self._unread.check_within(wire)
        kept = Kept(strangers(wire))
        parts = read_spoken(wire, f"$.messages[{at}]", self._mint, kept, answer=False)
        for part in parts:
            if isinstance(part, ToolCallPart):
                if part.kind == "custom":
                    self._customs.add(part.call_id)
                if LEGACY in (part.extras or {}):
                    self._unnamed.setdefault(part.name, []).append(part.call_id)
        if wire.reasoning_details:
            parts = settled_signatures(parts)
        return Message(role="assistant", parts=parts, extras=kept.done())

    def _mint(self) -> str:
        self._minted += 1
        return mint_call("", self._minted - 1)

    def _result(self, wire: ToolMessage | FunctionMessage, at: int) -> Part:
        self._unread.check_within(wire)
        kept = Kept(strangers(wire))
        if wire.content == "":
            parts: list[Part] = []
        else:
            parts = read_content(wire.content, f"$.messages[{at}]", kept)
        name = wire.name
        if name is None:
            kept.said["name"] = NULL
        if isinstance(wire, ToolMessage):
            call_id = wire.tool_call_id
            if not isinstance(call_id, str):
                what = "Object missing required field `tool_call_id`"
                raise RemoteProtocolError(what, path=f"$.messages[{at}]")
        else:
            kept.extras[LEGACY] = Raw(b"true")
            waiting = self._unnamed.get(name or "", [])
            call_id = waiting.pop(0) if waiting else self._mint()
        return ToolResultPart(
            call_id=call_id,
            name=None if isinstance(name, UnsetType) else name,
            parts=tuple(parts),
            kind="custom" if call_id in self._customs else "function",
            extras=kept.done(),
        )


def _listed(texts: list[Part]) -> Extras | None:
    """The note of texts that stood in an array."""
    return {CONTENT: Raw(b'"parts"')} if len(texts) == 1 else None


def _listed_result(wire: ToolMessage) -> ToolResultPart | None:
    """A result that is an array of texts; None if it is anything else."""
    content, call_id = wire.content, wire.tool_call_id
    if not call_id or type(content) is not list or wire.name is not UNSET:
        return None
    texts = plain_texts(content)
    if not texts:
        return None
    return ToolResultPart(call_id=call_id, parts=tuple(texts), extras=_listed(texts))
