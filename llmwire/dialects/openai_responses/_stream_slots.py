"""What a stream reader remembers of items, and what it reads off them.

Data and functions without state: an item while it comes, its content parts, and which
of its members a stream tells. Nothing here emits an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, Raw
from msgspec.structs import replace

from llmwire import _json
from llmwire._json import Wire, strangers
from llmwire.dialects.openai_responses import _names
from llmwire.errors import RemoteProtocolError
from llmwire.events import (
    RefusalDelta,
    TextDelta,
)
from llmwire.limits import near
from llmwire.messages import (
    Extras,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
)

POSITIONAL: Final = frozenset(
    {
        "index",
        "output_index",
        "content_index",
        "item_id",
        "sequence_number",
        "obfuscation",
        "p",
        "padding",
    }
)
WHOLE: Final = (ServerToolCallPart, ServerToolResultPart, OpaquePart)
"""Parts that are kept as they came."""
_SILENT: Final = frozenset(
    {
        "id",
        "status",
        "phase",
        "summary",
        "content",
        "encrypted_content",
        "annotations",
        "logprobs",
        "name",
        "text",
        "refusal",
    }
)
"""Modelled members of items and parts: null says nothing."""
_SPELLED: Final = ("id", "call_id", "summary", "content")
"""Kept of whole items to give them back as they came; deltas say it in streams."""


class Content:
    """A part of a message while it comes."""

    __slots__ = ("citations", "delta", "extras", "index", "key", "length", "logprobs")

    def __init__(self, index: int, key: Any, part: Part) -> None:
        self.index = index
        self.key = key
        self.delta = _GROWS.get(type(part))
        self.length = 0
        self.citations = 0
        self.logprobs = False
        self.extras: Extras = {}


_GROWS: Final[dict[type, type[TextDelta] | type[RefusalDelta]]] = {
    TextPart: TextDelta,
    RefusalPart: RefusalDelta,
}
"""How the parts of a message grow; others do not."""


class Slot:
    """An item while it comes."""

    __slots__ = (
        "contents",
        "done",
        "extras",
        "group",
        "id",
        "index",
        "kind",
        "lengths",
        "phase",
    )

    def __init__(self, kind: str, id: str | None) -> None:
        self.kind = kind
        self.group = -1
        """Its number among the items that say something; -1: it has said nothing."""
        self.id = id
        self.phase: str | None = None
        self.index = -1
        self.contents: list[Content] = []
        self.lengths: dict[int | None, int] = {}
        self.extras: Extras = {}
        self.done = False

    def segment(self, at: int) -> int:
        """The number of summary `at`, which a peer may not set far ahead."""
        return near(at, self.lengths)


def event_strangers(wire: Wire) -> Extras:
    """Strangers of an event; a modelled member of another type is none.

    They are sorted, for their order would depend on what was learned before.
    """
    learned = {name for _, name in wire.learned}
    return {
        f"event/{_json.escaped(name)}": value
        for name, value in sorted(strangers(wire).items())
        if name not in POSITIONAL
        and (name in learned or name not in wire.__struct_encode_fields__)
    }


def position_of(members: Mapping[str, Raw], name: str) -> Any:
    raw = members.get(name)
    value = UNSET if raw is None else _json.decode_any(bytes(raw))
    return value if isinstance(value, int) else UNSET


def content_at(slot: Slot, key: Any) -> Content | None:
    for content in reversed(slot.contents):
        if content.key == key:
            return content
    return None


def changed_in(fresh: Extras, known: Extras) -> Extras:
    """Members of `fresh` that `known` has not, or otherwise; `known` learns them."""
    changed = {
        name: raw
        for name, raw in fresh.items()
        if name not in known or bytes(known[name]) != bytes(raw)
    }
    known.update(changed)
    return changed


def stands_alone(part: Part) -> bool:
    """Whether `part` is an item, not a part of a message."""
    return not isinstance(part, (TextPart, RefusalPart, MediaPart, OpaquePart))


def described(raw: Raw) -> tuple[str, dict[str, Any]]:
    """An item's type and the members that say who it is. Never raises."""
    try:
        members = _json.decode_object(bytes(raw))
        told: dict[str, Any] = {
            name: _json.decode_any(bytes(members[name]))
            for name in ("type", "id", "role", "phase")
            if name in members
        }
    except RemoteProtocolError:
        return "", {}
    word = told.get("type")
    if word is None and "role" in told:
        word = "message"
    return word if isinstance(word, str) else "", told


_BLANKS: Final[Mapping[str, Mapping[str, Any]]] = {
    "message": {"type": "message", "role": "assistant", "content": []},
    "reasoning": {"type": "reasoning", "summary": []},
    "function_call": {
        "type": "function_call",
        "name": "",
        "arguments": "",
    },
    "custom_tool_call": {
        "type": "custom_tool_call",
        "name": "",
        "input": "",
    },
}


def blank_item(word: str, id: Any) -> dict[str, Any]:
    """An item that was never announced."""
    blank = dict(_BLANKS[word])
    if isinstance(id, str):
        blank["id"] = id
    return blank


def told_in_stream(extras: Extras | None, *, done: bool) -> Extras:
    """What extras of a whole item say in a stream: neither notes nor silent nulls."""
    told: Extras = {}
    for name, raw in (extras or {}).items():
        bare = name.removeprefix("item/")
        if name[:1] == "@" and name != _names.CONTENT:
            continue
        if (
            name != bare
            or name in _SPELLED
            or (bare in _SILENT and bytes(raw) == b"null")
        ):
            continue
        if name == "status" and not done:
            continue
        told[name] = raw
    return told


def message_extras(raw: Raw, *, done: bool) -> Extras:
    """Strangers of a message item, and a status that is none of the usual."""
    told: Extras = {}
    try:
        members = _json.decode_object(bytes(raw))
    except RemoteProtocolError:
        return told
    for name, value in members.items():
        if name in ("type", "role", "id", "content", "phase"):
            continue
        if name == "status" and (not done or bytes(value) in _USUAL):
            continue
        told[f"item/{_json.escaped(name)}"] = value
    return told


_USUAL: Final = (b'"completed"', b'"incomplete"', b"null")


def announced(part: Part) -> Part:
    """`part` as it starts: without what only its end says."""
    extras = told_in_stream(part.extras, done=False) or None
    if isinstance(part, ReasoningPart):
        return replace(
            part,
            summary=(),
            text=None,
            signature=None,
            redacted=False,
            incomplete=False,
            extras=extras,
        )
    if isinstance(part, ToolCallPart):
        return replace(part, arguments="", incomplete=False, extras=extras)
    return replace(part, incomplete=False)  # hosted and opaque items
