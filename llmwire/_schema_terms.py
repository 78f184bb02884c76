"""What a JSON schema says in single words, and where in a value one is.

Shared by those who check values and those who change them. Knows no rules. Never
raises, whatever the schema is, but for a RecursionError in values nested too deeply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from llmwire._patterns import search

Schema: TypeAlias = Mapping[str, Any]
Path: TypeAlias = "tuple[Path, str | int] | None"
"""A place in a value: the way to its container, and the last step; None: the root."""

_TYPES: Final = frozenset(
    {"null", "boolean", "integer", "number", "string", "array", "object"}
)
_NAME_SIZE: Final = 64
"""Characters of a member's name that a path tells."""


def kind_of(value: object) -> str:
    """The JSON type of `value`: its most special name."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, (list, tuple)) else "object"


def types_of(schema: Schema) -> frozenset[str]:
    """The types that `schema` names; empty: any. `nullable` adds null."""
    named = schema.get("type")
    listed = [named] if isinstance(named, str) else named
    if not isinstance(listed, (list, tuple)):
        return frozenset()
    known = {each for each in listed if isinstance(each, str) and each in _TYPES}
    if known and schema.get("nullable") is True:
        known.add("null")
    return frozenset(known)


def resolved(reference: object, root: Schema) -> object:
    """What a local `$ref` leads to in `root`; None: nowhere, or out of it."""
    if not isinstance(reference, str) or reference[:1] != "#":
        return None
    target: object = root
    if reference == "#":
        return target
    if reference[:2] != "#/":
        return None
    for piece in unquote(reference[2:]).split("/"):
        key = piece.replace("~1", "/").replace("~0", "~")
        if isinstance(target, Mapping):
            target = target.get(key)
        elif isinstance(target, (list, tuple)) and re.fullmatch(r"[0-9]{1,6}", key):
            target = target[int(key)] if int(key) < len(target) else None
        else:
            return None
    return target


def rendered(path: Path) -> str:
    """`path` as people write it."""
    pieces: list[str] = []
    while path is not None:
        path, step = path
        if isinstance(step, int):
            pieces.append(f"[{step}]")
        elif re.fullmatch(r"[A-Za-z_][\w-]{0,63}", step):
            pieces.append(f".{step}")
        else:
            pieces.append(f"[{step[:_NAME_SIZE]!r}]")
    return "$" + "".join(reversed(pieces))


def key_of(value: object) -> object:
    """Something hashable that is equal for the same JSON."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, (list, tuple)):
        return ("array", *map(key_of, value))
    if isinstance(value, Mapping):
        return frozenset((name, key_of(inner)) for name, inner in value.items())
    return value


def is_named(name: str, schema: Schema) -> bool:
    """Whether `properties` or `patternProperties` speak of a member `name`."""
    known = schema.get("properties")
    if isinstance(known, Mapping) and name in known:
        return True
    patterns = schema.get("patternProperties")
    # A pattern that cannot be told counts as one that matches.
    return isinstance(patterns, Mapping) and any(
        search(each, name) is not False for each in patterns
    )
