"""Notes of this dialect in `extras`: how a thing was spelt, where there are two ways.

Their keys start with `@`; they are never written as they are and never a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Raw

from llmwire._json import NULL, decode_any, decode_object, encode, nested
from llmwire.messages import Extras

ABSENT: Final = "@absent"
"""Names that this encoder writes of itself and the wire did not have."""
SAID: Final = "@said"
"""Members that say nothing, by name: null, an empty text, an empty list."""
CONTENT: Final = "@content"
"""`parts`: the one text stood in an array."""
THOUGHTS: Final = "@reasoning"
"""Members for thinking, by name, where they could not be written from the parts."""
SUMMARIZED: Final = "@summary"
"""The plain field holds a summary, not the thought itself."""
ARGUMENTS: Final = "@arguments"
"""Arguments of a call that were no text but this JSON value."""
FIELD: Final = "@field"
"""The member in which a thought (or a refusal) stood."""
INDEX: Final = "@index"
"""`index` of a call outside of streams."""
LEGACY: Final = "@legacy"
"""Said with `functions`, `function_call` or `role: function`."""
ELEMENT: Final = "@raw"
"""The wire's own spelling of a part that has several."""
DATA: Final = "@data"
"""A thought's encrypted state stood in an entry of its own: that entry, without it."""


def noted(extras: Extras | None, note: str) -> str | None:
    """The text of `note`, None where it is not there."""
    value = (extras or {}).get(note)
    if value is None:
        return None
    text = decode_any(bytes(value))
    return text if isinstance(text, str) else None


def with_note(extras: Extras | None, note: str, value: object) -> Extras:
    """`extras` and one note more."""
    raw = value if isinstance(value, Raw) else Raw(encode(value))
    return {**(extras or {}), note: raw}


def without(extras: Extras | None, *names: str) -> Extras | None:
    """`extras` less some keys, None where nothing is left."""
    return {k: v for k, v in (extras or {}).items() if k not in names} or None


def said(extras: Extras | None) -> dict[str, Raw]:
    """The members in the note `SAID`."""
    value = (extras or {}).get(SAID)
    return {} if value is None else decode_object(bytes(value))


def absent(extras: Extras | None) -> frozenset[str]:
    """The names in the note `ABSENT`."""
    value = (extras or {}).get(ABSENT)
    return frozenset() if value is None else frozenset(decode_any(bytes(value)))


def spelling(extras: Extras | None) -> tuple[frozenset[str], Mapping[str, Raw]]:
    """`absent` and `said`."""
    return (absent(extras), said(extras)) if extras else _AS_USUAL


_AS_USUAL: Final[tuple[frozenset[str], Mapping[str, Raw]]] = (
    frozenset(),
    MappingProxyType({}),
)


_EMPTY: Final[dict[type, Raw]] = {str: Raw(b'""'), list: Raw(b"[]")}


class Kept:
    """What a node keeps beside its parts, while it is read."""

    __slots__ = ("absent", "extras", "said")

    def __init__(self, extras: dict[str, Raw] | None = None) -> None:
        self.extras: Extras = (nested("", extras, None) if extras else None) or {}
        self.said: dict[str, Raw] = {}
        self.absent: list[str] = []

    def empty(self, name: str, value: Any) -> bool:
        """Note a member that says nothing; whether `value` is such."""
        if value is None or value == "" or value == []:
            self.said[name] = NULL if value is None else _EMPTY[type(value)]
            return True
        return False

    def done(self) -> Extras | None:
        """The extras, None where there is nothing."""
        if self.said:
            self.extras[SAID] = Raw(encode(self.said))
        if self.absent:
            self.extras[ABSENT] = Raw(encode(self.absent))
        return self.extras or None
