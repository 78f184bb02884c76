"""JSON schema to Google's OpenAPI subset, and back.

`Schema` of the API is a protobuf message: a keyword it does not name is a 400 for the
whole request. `to_openapi` therefore keeps a list of allowed keywords, puts what it can
into them (`$ref` inlined, `const` as an enum, null types as `nullable`, `allOf` merged,
`oneOf` as `anyOf`) and appends every constraint that is left to the description, where
the model can still read it. `to_json_schema` turns what a client of Gemini wrote, with
types in capitals, into JSON schema for everybody else.

https://ai.google.dev/api/caching#Schema
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Raw

from llmwire._json import decode_any, encode

_KEPT: Final = frozenset(
    {
        "title",
        "description",
        "format",
        "nullable",
        "required",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "example",
        "default",
        "propertyOrdering",
    }
)
"""Keywords that go as they are."""
_SILENT: Final = frozenset(
    {"$schema", "$id", "$anchor", "$comment", "$defs", "definitions", "readOnly"}
    | {"writeOnly", "deprecated", "strict"}
)
"""Keywords that constrain nothing."""
_TYPES: Final = ("string", "number", "integer", "boolean", "array", "object", "null")
_KINDS: Final = {bool: "BOOLEAN", int: "INTEGER", float: "NUMBER"}
"""Types of values of which there are no enums."""
_FORMATS: Final = {
    "STRING": ("", "enum", "date-time"),
    "NUMBER": ("", "float", "double"),
    "INTEGER": ("", "int32", "int64"),
}
"""Formats that older models take; any other is an error."""
MAX_NODES: Final = 20_000
"""Schemas that inlining may produce, so that nested references cannot explode."""
MAX_DEPTH: Final = 64

_CAPITALS = re.compile(
    rb'("type"\s*:\s*")(STRING|NUMBER|INTEGER|BOOLEAN|ARRAY|OBJECT|NULL)"'
)
_STRUCTURAL = re.compile(
    rb'"(?:nullable|default|example|enum|minItems|maxItems|minLen)'
)


class _Converter:
    """One conversion: the root for references, what was lost, how much was made."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.lossy = False
        self._nodes = 0

    def schema(self, node: Any, seen: tuple[str, ...], depth: int) -> dict[str, Any]:
        """`node` in the subset."""
        self._nodes += 1
        if not isinstance(node, dict):
            self.lossy = self.lossy or node is not True
            return {}
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            self.lossy = True
            return {"type": "OBJECT"}
        if isinstance(node.get("$ref"), str):
            return self._reference(node, seen, depth)
        if isinstance(node.get("allOf"), list):
            node = self._merged(node, seen)
        made: dict[str, Any] = {}
        dropped: dict[str, Any] = {}
        for key, value in node.items():
            if key in _KEPT:
                made[key] = value
            elif key in _HANDLED:
                _HANDLED[key](self, made, value, seen, depth)
            elif key not in _SILENT:
                dropped[key] = value
        if made.get("format", "") not in _FORMATS.get(made.get("type", ""), ("",)):
            dropped["format"] = made.pop("format")
        if dropped:
            self._tell(made, dropped)
        return _settled(made)

    def _tell(self, made: dict[str, Any], dropped: dict[str, Any]) -> None:
        """Append constraints that the subset lacks to the description."""
        self.lossy = True
        words = "; ".join(
            f"{key}: {encode(value).decode()}" for key, value in dropped.items()
        )
        before = made.get("description")
        text = f"{before} " if isinstance(before, str) and before else ""
        made["description"] = f"{text}({words})"

    def _reference(
        self, node: dict[str, Any], seen: tuple[str, ...], depth: int
    ) -> dict[str, Any]:
        pointer = node["$ref"]
        beside = {k: v for k, v in node.items() if k != "$ref"}
        target = _resolved(self.root, pointer)
        if pointer in seen or target is None:
            self.lossy = True
            return self.schema({"type": "object", **beside}, seen, depth + 1)
        merged = {**target, **beside} if isinstance(target, dict) else beside
        return self.schema(merged, (*seen, pointer), depth + 1)

    def _merged(self, node: dict[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
        """`node` with its `allOf` laid over one another."""
        merged: dict[str, Any] = {}
        rest = {k: v for k, v in node.items() if k != "allOf"}
        for branch in (*node["allOf"], rest):
            hops = 0
            while isinstance(branch, dict) and isinstance(branch.get("$ref"), str):
                hops += 1
                pointer = branch["$ref"]
                target = _resolved(self.root, pointer)
                if target is None or pointer in seen or hops > MAX_DEPTH:
                    self.lossy = True
                    target = {}
                beside = {k: v for k, v in branch.items() if k != "$ref"}
                branch = {**target, **beside}
                seen = (*seen, pointer)
            if isinstance(branch, dict):
                self._lay(merged, branch)
        return merged

    def _lay(self, merged: dict[str, Any], branch: dict[str, Any]) -> None:
        for key, value in branch.items():
            before = merged.get(key)
            if isinstance(before, dict) and isinstance(value, dict):
                merged[key] = {**before, **value}
            elif isinstance(before, list) and isinstance(value, list):
                merged[key] = [*before, *(v for v in value if v not in before)]
            elif key == "description" and isinstance(before, str):
                merged[key] = f"{before} {value}"
            else:
                self.lossy = self.lossy or (key in merged and before != value)
                merged[key] = value

    def type(
        self, made: dict[str, Any], value: Any, seen: tuple[str, ...], depth: int
    ) -> None:
        """`type`: a word, or several of which null makes the rest nullable."""
        words = value if isinstance(value, list) else [value]
        kinds = [w.lower() for w in words if isinstance(w, str)]
        others = [k for k in kinds if k != "null" and k in _TYPES]
        if len(others) < len(kinds):
            if "null" in kinds and others:
                made["nullable"] = True
            elif "null" in kinds:
                others = ["null"]
        if len(others) == 1:
            made["type"] = others[0].upper()
        elif others:
            made["anyOf"] = [{"type": kind.upper()} for kind in others]

    def properties(
        self, made: dict[str, Any], value: Any, seen: tuple[str, ...], depth: int
    ) -> None:
        """`properties`: every value is a schema."""
        if isinstance(value, dict):
            made["properties"] = {
                name: self.schema(inner, seen, depth + 1)
                for name, inner in value.items()
            }

    def items(
        self, made: dict[str, Any], value: Any, seen: tuple[str, ...], depth: int
    ) -> None:
        """`items`: one schema; of a tuple any of them."""
        if isinstance(value, list):
            self.lossy = True
            value = {"anyOf": value} if value else {}
        made["items"] = self.schema(value, seen, depth + 1)

    def any_of(
        self, made: dict[str, Any], value: Any, seen: tuple[str, ...], depth: int
    ) -> None:
        """`anyOf` and `oneOf`: a null branch makes the rest nullable."""
        if not isinstance(value, list):
            return
        branches = [self.schema(branch, seen, depth + 1) for branch in value]
        others = [b for b in branches if b.get("type") != "NULL"]
        if len(others) < len(branches):
            made["nullable"] = True
        if len(others) == 1:
            for key, inner in others[0].items():
                made.setdefault(key, inner)
        elif others:
            made["anyOf"] = others

    def enum(
        self, made: dict[str, Any], value: Any, seen: tuple[str, ...], depth: int
    ) -> None:
        """`enum`: strings only; null makes the rest nullable."""
        if not isinstance(value, list):
            return
        words = [v for v in value if v is not None]
        if len(words) < len(value):
            made["nullable"] = True
        if all(isinstance(w, str) for w in words):
            made.setdefault("type", "STRING")
            made["enum"] = words
        else:
            self.lossy = True
            kinds = {_KINDS.get(type(word)) for word in words}
            if len(kinds) == 1 and None not in kinds:
                made.setdefault("type", kinds.pop())
            self._tell(made, {"enum": value})

    def const(
        self, made: dict[str, Any], value: Any, seen: tuple[str, ...], depth: int
    ) -> None:
        """`const`: an enum of one."""
        self.enum(made, [value], seen, depth)

    def ignored(
        self, made: dict[str, Any], value: Any, seen: tuple[str, ...], depth: int
    ) -> None:
        """`additionalProperties`: false is what the model does anyway."""
        if isinstance(value, dict) and value:
            self._tell(made, {"additionalProperties": value})


_HANDLED: Final = {
    "type": _Converter.type,
    "properties": _Converter.properties,
    "items": _Converter.items,
    "anyOf": _Converter.any_of,
    "oneOf": _Converter.any_of,
    "enum": _Converter.enum,
    "const": _Converter.const,
    "additionalProperties": _Converter.ignored,
}


def _resolved(root: Any, pointer: str) -> Any:
    """What a local reference names, None where it is not there."""
    if pointer == "#":
        return root
    if not pointer.startswith("#/"):
        return None
    node = root
    for step in pointer[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, dict) or name not in node:
            return None
        node = node[name]
    return node


def _settled(made: dict[str, Any]) -> dict[str, Any]:
    """`made` with the types that its keywords imply, and no keyword out of place."""
    kind = made.get("type")
    if kind is None and "anyOf" not in made:
        if "properties" in made:
            made["type"] = kind = "OBJECT"
        elif "items" in made:
            made["type"] = kind = "ARRAY"
    if kind == "ARRAY":
        made.setdefault("items", {})
    if kind == "OBJECT" and not made.get("properties"):
        made.pop("properties", None)
        made.pop("required", None)
    required = made.get("required")
    if isinstance(required, list) and isinstance(made.get("properties"), dict):
        made["required"] = [
            r for r in required if isinstance(r, str) and r in made["properties"]
        ]
        if not made["required"]:
            del made["required"]
    return made


def to_openapi(schema: Raw) -> tuple[Raw, bool]:
    """`schema` in the subset, and whether it says exactly the same."""
    parsed = decode_any(bytes(schema))
    converter = _Converter(parsed)
    made = Raw(encode(converter.schema(parsed, (), 0)))
    same = not converter.lossy and decode_any(bytes(to_json_schema(made))) == parsed
    return made, same


def to_json_schema(schema: Raw) -> Raw:
    """A `Schema` message, with types in capitals and `nullable`, as JSON schema."""
    octets = bytes(schema)
    if _CAPITALS.search(octets) is None and b'"nullable"' not in octets:
        return schema
    if _STRUCTURAL.search(octets) is None:
        return Raw(_CAPITALS.sub(lambda m: m[1] + m[2].lower() + b'"', octets))
    return Raw(encode(_plain(decode_any(octets), 0)))


_COUNTS: Final = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties"}
    | {"maxProperties"}
)


def _plain(node: Any, depth: int) -> Any:
    if not isinstance(node, dict) or depth > MAX_DEPTH * 2:
        return node
    made: dict[str, Any] = {}
    for key, value in node.items():
        if key == "nullable":
            continue
        if key == "type" and isinstance(value, str) and value.lower() in _TYPES:
            value = value.lower()
        elif key == "properties" and isinstance(value, dict):
            value = {name: _plain(v, depth + 1) for name, v in value.items()}
        elif key == "items":
            value = _plain(value, depth + 1)
        elif key == "anyOf" and isinstance(value, list):
            value = [_plain(v, depth + 1) for v in value]
        elif key in _COUNTS and isinstance(value, str) and value.isdigit():
            value = int(value[:18])
        made[key] = value
    return _nullable(made) if node.get("nullable") is True else made


def _nullable(made: dict[str, Any]) -> dict[str, Any]:
    """`made` in the words of JSON schema for "or null"."""
    if isinstance(made.get("enum"), list):
        made["enum"] = [*made["enum"], None]
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    elif isinstance(made.get("anyOf"), list):
        made["anyOf"] = [*made["anyOf"], {"type": "null"}]
    return made
