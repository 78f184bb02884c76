"""Notes of how a client or server spelled what the neutral form says in one way.

A note is a reserved key (`@mode`) among a node's extras: never a loss, never sent as
such. The encoder of the same dialect writes the noted spelling while it still reads as
the node's value, so that what was not changed goes back as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw

from llmwire._json import decode_any, encode, nested
from llmwire.errors import RemoteProtocolError
from llmwire.messages import Extras

SINGLE_ITEM: Final = "@single:"
"""How `_names` marks a list that came as its only item, before the list's name."""


def kept(found: Mapping[str, Raw]) -> Extras:
    """Strangers as extras of their own level."""
    if not found:
        return {}
    members = {k: v for k, v in found.items() if not k.startswith(SINGLE_ITEM)}
    extras = nested("", members, None) or {}
    for name in found.keys() - members.keys():
        extras["@" + name.removeprefix(SINGLE_ITEM)] = found[name]
    return extras


def parsed(value: Raw) -> Any:
    """`value` as Python values, None where it is no JSON: islands are not checked."""
    try:
        return decode_any(bytes(value))
    except RemoteProtocolError:
        return None


def raw(value: object) -> Raw:
    """`value` as JSON."""
    return Raw(encode(value))


def noted(extras: Extras | None, key: str) -> Raw | None:
    """The note `@key`, if there is one."""
    return extras.get("@" + key) if extras else None


def spelled(
    extras: Extras | None, key: str, read: Callable[[Any], object], value: object
) -> Any:
    """The noted spelling of `value` under `key`, None where it says something else."""
    note = noted(extras, key)
    if note is None:
        return None
    found = decode_any(bytes(note))
    return found if read(found) == value else None
