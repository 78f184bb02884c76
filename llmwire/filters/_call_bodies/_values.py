"""Values of parameters: from the text of a model to the text of JSON.

Knows JSON, the types that a schema names, and literals of Python; knows no marks.

Rules:
1. A parameter that can only be a string is its text, as it stands, `null` and `3` too.
2. One that can also be a string is JSON where the text is JSON of another type that the
   schema allows; else its text.
3. One that cannot be a string is JSON of a type that the schema allows, or a literal of
   Python that stands for it. What is neither is its text, as a string: a check against
   the schema will see it.
4. Where the schema says nothing of the type, everything is allowed.
5. Of a tool that says which parameters it has, any other is a string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from llmwire.filters._call_bodies._found import schema_of
from llmwire.filters._call_bodies._literals import json_string, read_literal
from llmwire.filters._tool_values import Kinds, kind_of_json, kinds_of, strict_json
from llmwire.requests import Tool

__all__ = ("Parameters", "json_object", "json_object_end", "parameters_of", "typed")

_BLANK: Final = " \t\r\n"
_REFERENCE: Final = re.compile(r"#/(\$defs|definitions)/([^/]+)\Z")
_WHOLE: Final = re.compile(r"-?[0-9]+(?:\.0+)?\Z")
_TEXT: Final = frozenset({"string"})


class Parameters(Struct, frozen=True):
    """What one tool says of its parameters."""

    kinds: Mapping[str, Kinds]
    """Those that it names, and the types they can have; None: any."""

    def known(self, name: str) -> bool:
        """Whether the tool names the parameter, or names none at all."""
        return not self.kinds or name in self.kinds

    def of(self, name: str) -> Kinds:
        """The types that the parameter can have."""
        return self.kinds.get(name, _TEXT) if self.kinds else None


def parameters_of(tool: Tool) -> Parameters:
    """The parameters of `tool`; none where its schema is none."""
    schema = schema_of(tool)
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return Parameters({})
    return Parameters(
        {name: kinds_of(_followed(each, schema)) for name, each in properties.items()}
    )


def _followed(schema: object, root: Mapping[str, Any]) -> object:
    """What `schema` refers to, where it only refers to something of `root`."""
    if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
        return schema
    found = _REFERENCE.match(schema["$ref"])
    definitions = root.get(found[1]) if found else None
    return definitions.get(found[2]) if found and isinstance(definitions, dict) else {}


def typed(text: str, kinds: Kinds) -> str:
    """The JSON text that `text` means for a parameter of `kinds` (rules 1 to 4)."""
    if kinds == _TEXT:
        return json_string(text)
    bare = text.strip(_BLANK)
    may_be_text = kinds is None or "string" in kinds
    if bare and strict_json(bare):
        kind = kind_of_json(bare)
        if kind != "string" and _fits(bare, kind, kinds):
            return bare
    elif not may_be_text:
        literal = read_literal(bare, 0)
        if literal is not None and literal[1] == len(bare):
            value = literal[0]
            if _fits(value, kind_of_json(value), kinds):
                return value
    return json_string(text)


def _fits(value: str, kind: str, kinds: Kinds) -> bool:
    if kinds is None or kind in kinds:
        return True
    if kind == "integer":
        return "number" in kinds
    return kind == "number" and "integer" in kinds and bool(_WHOLE.match(value))


def json_object(members: Iterable[tuple[str, str]]) -> str:
    """The object of these names and JSON texts."""
    return "{" + ", ".join(f"{json_string(n)}: {v}" for n, v in members) + "}"


def json_object_end(text: str, at: int) -> int | None:
    """Where the JSON object that begins at `at` ends; None where none is."""
    if not text.startswith("{", at):
        return None
    try:
        _, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None
    return end if strict_json(text[at:end]) else None


_DECODER: Final = json.JSONDecoder()
