"""JSON schemas in the subset that constrained sampling takes here.

Strict tools and `output_config.format` refuse many keywords
(https://platform.claude.com/docs/en/build-with-claude/structured-outputs). What is
stripped is said in the description, for the model reads that.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import MsgspecError, Raw, Struct
from msgspec.json import Decoder

from llmwire._json import decode_any, encode

_MAPS: Final = ("properties", "$defs", "definitions")
_LISTS: Final = ("anyOf", "allOf")
_FORMATS: Final = frozenset(
    {
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    }
)
_CONSTRAINTS: Final = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "maxItems",
        "uniqueItems",
        "prefixItems",
        "minProperties",
        "maxProperties",
        "patternProperties",
        "propertyNames",
        "contains",
        "minContains",
        "maxContains",
        "not",
        "if",
        "then",
        "else",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
        "unevaluatedItems",
    }
)
_MAX_LEVELS: Final = 100


def constrained(schema: Raw) -> tuple[Raw, bool]:
    """`schema` in the subset, and whether it had to be changed. Never raises."""
    value = decode_any(bytes(schema))
    changes: list[str] = []
    fitted = _fit(value, changes, 0)
    return (Raw(encode(fitted)), True) if changes else (schema, False)


def _fit(schema: Any, changes: list[str], depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _MAX_LEVELS:
        return schema
    fitted: dict[str, Any] = {}
    stripped: list[str] = []
    for name, value in schema.items():
        if name == "oneOf":
            changes.append(name)
            name = "anyOf"
        if name in _MAPS and isinstance(value, dict):
            value = {k: _fit(v, changes, depth + 1) for k, v in value.items()}
        elif name in _LISTS and isinstance(value, list):
            value = [_fit(v, changes, depth + 1) for v in value]
        elif name == "items":
            value = _fit(value, changes, depth + 1)
        elif name == "nullable":
            changes.append(name)
            continue
        elif _refused(name, value):
            stripped.append(f"{name}: {encode(value).decode()}")
            continue
        fitted[name] = value
    if stripped:
        changes += stripped
        told = fitted.get("description")
        said = [told] if isinstance(told, str) and told else []
        fitted["description"] = "\n".join([*said, *stripped])
    if _is_object(fitted) and fitted.get("additionalProperties") is not False:
        changes.append("additionalProperties")
        fitted["additionalProperties"] = False
    return fitted


def _refused(name: str, value: Any) -> bool:
    if name == "format":
        return not isinstance(value, str) or value not in _FORMATS
    if name == "minItems":
        return value not in (0, 1)
    return name in _CONSTRAINTS


def _is_object(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    listed = isinstance(kind, list) and "object" in kind
    return kind == "object" or listed or "properties" in schema


class _Typed(Struct):
    """The one member of a schema that is looked at."""

    type: str


_TYPED: Final = Decoder(_Typed)


def says_object(schema: Raw) -> bool:
    """Whether the root's type is just that, which is the rule."""
    try:
        return _TYPED.decode(schema).type == "object"
    except (MsgspecError, UnicodeError, RecursionError):
        return False


def object_schema(schema: Raw | None) -> tuple[Raw, bool]:
    """A schema for the arguments of a tool, whose root must be an object.

    Returns it, and whether it had to be changed.
    """
    if schema is not None and says_object(schema):
        return schema, False
    if schema is None or bytes(schema).strip() == b"null":
        return Raw(b'{"type":"object","properties":{}}'), True
    value = decode_any(bytes(schema))
    if not isinstance(value, dict):
        return Raw(b'{"type":"object","properties":{}}'), True
    return Raw(encode({**value, "type": "object"})), value.get("type") != "object"
