"""Values of parameters as text between tags, and back, by their JSON schema.

Knows JSON and the types that a schema names; knows no tags.

Rules:
1. A parameter that can only be a string is its text, as it stands.
2. Any other is JSON where the text is JSON of a type that the schema allows, with white
   space around it left out; `True` and `False` count as JSON for a parameter that can
   be a boolean and no string. Everything else is a string.
3. Of the text between two tags one line feed is left out on each side, no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any, Final, TypeAlias

from msgspec import MsgspecError, Raw

from llmwire._json import decode_any, decoder
from llmwire.errors import RemoteProtocolError

Kinds: TypeAlias = frozenset[str] | None
"""JSON types that a parameter can have, as schemas name them; None: any."""

TEXT: Final[Kinds] = frozenset({"string"})

_BLANK: Final = " \t\r\n"
_OF: Final = {'"': "string", "{": "object", "[": "array", "n": "null"}
_OF_TRUTH: Final = {"true": "boolean", "false": "boolean"}
_DEEPEST: Final = 8
"""Alternatives within alternatives that are looked into."""


def quoted(text: str) -> str:
    """`text` as a JSON string."""
    return encode_basestring(text)


def escaped(text: str) -> str:
    """`text` as it stands inside a JSON string."""
    return encode_basestring(text)[1:-1]


def members(schema: Raw | None) -> dict[str, Any]:
    """The schema's `properties`; empty where it has none."""
    if schema is None:
        return {}
    try:
        value = decode_any(bytes(schema))
    except RemoteProtocolError:
        return {}
    properties = value.get("properties") if isinstance(value, dict) else None
    return properties if isinstance(properties, dict) else {}


def kinds_of(schema: object, depth: int = 0) -> Kinds:
    """The types that the schema of one parameter allows."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    named = schema.get("type")
    if isinstance(named, str):
        return frozenset({named})
    if isinstance(named, list):
        return frozenset(filter(lambda each: isinstance(each, str), named))
    if isinstance(schema.get("enum"), list):
        return frozenset(_kind_of_value(each) for each in schema["enum"])
    if "const" in schema:
        return frozenset({_kind_of_value(schema["const"])})
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            return _union([kinds_of(each, depth + 1) for each in schema[word]])
    return None


def _union(several: list[Kinds]) -> Kinds:
    found: frozenset[str] = frozenset()
    for kinds in several:
        if kinds is None:
            return None
        found |= kinds
    return found


def _kind_of_value(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else "object"


def kind_of_json(text: str) -> str:
    """The type of the JSON value `text`, whole numbers as `integer`."""
    kind = _OF_TRUTH.get(text) or _OF.get(text[0])
    if kind is not None:
        return kind
    return "number" if any(letter in text for letter in ".eE") else "integer"


def _allows(kinds: Kinds, kind: str) -> bool:
    if kinds is None or kind in kinds:
        return True
    return kind == "integer" and "number" in kinds


def strict_json(text: str) -> bool:
    """Whether `text` is JSON, without `NaN` and the like."""
    try:
        decoder(Raw).decode(text)
    except (MsgspecError, UnicodeError, RecursionError):
        return False
    return True


def read_value(text: str, kinds: Kinds) -> str:
    """The JSON text that `text` means for a parameter of `kinds` (rules 1 and 2)."""
    if kinds == TEXT:
        return quoted(text)
    bare = text.strip(_BLANK)
    if not bare:
        return quoted(text)
    can_be_text = kinds is None or "string" in kinds
    if not can_be_text and "boolean" in (kinds or ()) and bare in ("True", "False"):
        return bare.lower()
    if not strict_json(bare):
        return quoted(text)
    kind = kind_of_json(bare)
    if can_be_text and (kind == "string" or not _allows(kinds, kind)):
        return quoted(text)
    return bare


def between(text: str) -> str:
    """What `text` that stands between tags means (rule 3)."""
    return text.removeprefix("\n").removesuffix("\n")


def padded(text: str) -> str:
    """`text` so that `between` gives it back; several lines on lines of their own."""
    return f"\n{text}\n" if "\n" in text else text
