"""`cache_control` to a neutral cache mark and back."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Raw

from llmwire._json import NULL, Wire, encode, level, nested, strangers
from llmwire.dialects.anthropic import _wire as w
from llmwire.messages import CacheMark

_MARK: Final = CacheMark()
_PLAIN: Final[dict[str, object]] = {"type": "ephemeral"}


def odd_members(wire: Wire) -> dict[str, Raw] | None:
    """The strangers of `wire` as extras."""
    found = strangers(wire)
    return nested("", found, None) if found else None


def read_cache(
    value: w.Cache, extras: dict[str, Raw] | None
) -> tuple[CacheMark | None, dict[str, Raw] | None]:
    """The cache mark, and `extras` with a null one."""
    if value is None:
        return None, {**(extras or {}), "cache_control": NULL}
    if not isinstance(value, w.CacheControl):
        return None, extras
    odd = dict(odd_members(value) or {})
    if value.type is UNSET:
        odd["@type"] = NULL
    elif value.type != "ephemeral":
        odd["type"] = Raw(encode(value.type))
    if value.ttl is None:
        odd["ttl"] = NULL
    ttl = value.ttl if isinstance(value.ttl, str) else None
    if ttl is None and not odd:
        return _MARK, extras
    return CacheMark(ttl, odd or None), extras


def write_cache(mark: CacheMark) -> dict[str, object]:
    """The mark as `cache_control`."""
    if mark is _MARK:
        return _PLAIN
    members: dict[str, object] = {"type": "ephemeral"}
    if mark.ttl is not None:
        members["ttl"] = mark.ttl
    if mark.extras:
        if "@type" in mark.extras:
            del members["type"]
        for name, value in level(mark.extras).items():
            if name == "type" or name not in members:
                members[name] = value
    return members
