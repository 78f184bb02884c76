"""The JSON Schema of a configuration file, for editors (draft 2020-12).

Pure; made of the shapes of the tree. A value may be a `${VARIABLE}` wherever it stands,
so that every value is allowed to be a text that holds one.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import NODEFAULT

from llmwire_server.config.rules import RULES, Rule
from llmwire_server.config.shapes import Key, Many, Map, Record, Scalar, Shape

__all__ = ("schema",)

_VARIABLE: Final = {"type": "string", "pattern": r"\$\{"}
_SIZE: Final = {
    "type": "string",
    "pattern": r"^[0-9]+(\.[0-9]+)? ?([kKmMgG][iI]?)?[bB]$",
}
_TIME: Final = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|[smhd]))+$"}


def schema(shape: Record) -> dict[str, Any]:
    """The schema of a file that holds records of a shape."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of llmwire",
        **_record(shape),
    }


def _record(shape: Record, needed: tuple[str, ...] = ()) -> dict[str, Any]:
    found = {
        "description": shape.description,
        "type": ["object", "null"],
        "properties": {key.name: _member(key) for key in shape.keys},
        "additionalProperties": False,
    }
    return {**found, "required": list(needed)} if needed else found


def _member(key: Key) -> dict[str, Any]:
    found = _shape(key.shape)
    found["description"] = key.description
    if key.default is not NODEFAULT and not isinstance(key.shape, Record):
        default = key.default
        found["default"] = list(default) if isinstance(default, tuple) else default
    return found


def _shape(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, Record):
        return _record(shape)
    if isinstance(shape, Many):
        return {"type": ["array", "null"], "items": _item(shape.item)}
    if isinstance(shape, Map):
        return _map(shape)
    return _scalar(shape)


def _item(item: Scalar | Record) -> dict[str, Any]:
    """What stands in a list: nothing completes it later, so that it must be whole."""
    if isinstance(item, Scalar):
        return _scalar(item)
    return _record(
        item, tuple(key.name for key in item.keys if key.default is NODEFAULT)
    )


def _map(shape: Map) -> dict[str, Any]:
    value = _shape(shape.value)
    found: dict[str, Any] = {"type": ["object", "null"], "additionalProperties": False}
    rule = RULES[shape.name.rule] if shape.name.rule else Rule(pattern="")
    if rule.known is not None:
        found["properties"] = dict.fromkeys(rule.known(), value)
    else:
        found["patternProperties"] = {rule.pattern: value}
    return found


def _scalar(shape: Scalar) -> dict[str, Any]:
    choices: list[dict[str, Any]] = [*_values(shape), _VARIABLE]
    if shape.optional:
        choices.append({"type": "null"})
    return {"anyOf": choices}


def _values(shape: Scalar) -> list[dict[str, Any]]:
    """What may stand there, variables aside."""
    match shape.kind:
        case "choice":
            return [{"enum": list(shape.choices)}]
        case "boolean":
            return [{"type": "boolean"}]
        case "secret":
            return [{"type": ["string", "number"]}]
        case "text":
            return [_text(shape)]
    number: dict[str, Any] = {"type": shape.kind}
    if shape.least is not None:
        number["minimum"] = shape.least
    if shape.most is not None:
        number["maximum"] = shape.most
    measure = {None: [], "bytes": [_SIZE], "seconds": [_TIME]}
    return [number, *measure[shape.unit]]


def _text(shape: Scalar) -> dict[str, Any]:
    rule = RULES[shape.rule] if shape.rule else None
    if rule is None:
        return {"type": ["string", "number", "boolean"]}
    if rule.known is not None:
        return {"enum": list(rule.known())}
    return {"type": "string", "pattern": rule.pattern or ""}
