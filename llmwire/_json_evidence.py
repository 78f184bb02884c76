"""What a schema says for or against one reading of a broken text.

Which keys there are, which types stand at a place, and how badly a reading fits. Knows
values and schemas, no text that is broken. A schema is never trusted: what it does not
say plainly is not evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from llmwire._json_schema import violations
from llmwire._schema_terms import Schema, resolved, types_of

_NODES: Final = 4096
"""Schemas inside a schema that are looked at for keys."""
_REFERENCES: Final = 16
"""References that are followed one behind the other."""


def _reject(word: str) -> NoReturn:
    raise ValueError(word)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise KeyError
    return members


def _spelling(number: str) -> tuple[str]:
    return (number,)


_READER: Final = json.JSONDecoder(
    parse_constant=_reject, parse_int=_spelling, parse_float=_spelling
)
_UNIQUE: Final = json.JSONDecoder(parse_constant=_reject, object_pairs_hook=_pairs)


def read(text: str) -> Any:
    """The value of a JSON text; a number is a tuple of its spelling.

    Raises:
        ValueError: It is no JSON. NaN and Infinity are none.
        RecursionError: It is nested too deeply to be told.
    """
    return _READER.decode(text)


def repeated_keys(text: str) -> tuple[str, ...]:
    """The keys that stand more than once in one object of a JSON text, as they end.

    Empty where nesting is too deep to be told.
    """
    found: dict[str, None] = {}

    def members(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found[key] = None
            seen.add(key)

    try:
        json.loads(text, object_pairs_hook=members, parse_int=_spelling)
    except (ValueError, RecursionError):
        return ()
    return tuple(found)


def keys_in(schema: Schema | None) -> frozenset[str]:
    """Every key that `schema` names, at any place."""
    found: set[str] = set()
    waiting: list[object] = [schema]
    for _ in range(_NODES):
        if not waiting:
            break
        each = waiting.pop()
        if isinstance(each, Mapping):
            known = each.get("properties")
            if isinstance(known, Mapping):
                found.update(name for name in known if isinstance(name, str))
            waiting.extend(each.values())
        elif isinstance(each, (list, tuple)):
            waiting.extend(each)
    return frozenset(found)


class Evidence:
    """A schema, asked about readings of a text; without one it knows nothing."""

    def __init__(self, schema: Schema | None) -> None:
        self.schema = schema if isinstance(schema, Mapping) else None
        self.keys = keys_in(self.schema)
        """Every key that the schema names, at any place."""

    def member(self, place: object, name: str) -> object:
        """The schema of a member of what `place` describes; None: not known."""
        known = self._followed(place).get("properties")
        return known.get(name) if isinstance(known, Mapping) else None

    def item(self, place: object) -> object:
        """The schema of the items of what `place` describes; None: not known."""
        return self._followed(place).get("items")

    def types(self, place: object) -> frozenset[str]:
        """The types that `place` allows; empty: not known."""
        return types_of(self._followed(place))

    def names(self) -> Mapping[str, Any] | None:
        """The members that the schema names at its top; None: it does not say."""
        known = self._followed(self.schema).get("properties")
        return known if isinstance(known, Mapping) else None

    def required(self) -> bool:
        """Whether any member is required at the top."""
        return bool(self._followed(self.schema).get("required"))

    def _followed(self, place: object) -> Mapping[str, Any]:
        for _ in range(_REFERENCES):
            if not isinstance(place, Mapping) or "$ref" not in place:
                break
            place = resolved(place["$ref"], self.schema or {})
        return place if isinstance(place, Mapping) else {}

    def faults(self, text: str) -> tuple[int, int] | None:
        """How badly a JSON text fits: violations, and members that nothing names.

        None where a key stands twice in one object, or nesting hides what is asked.
        """
        try:
            value = _UNIQUE.decode(text)
        except (ValueError, KeyError):
            return None
        except RecursionError:
            return None if self.schema else (0, 0)
        if self.schema is None:
            return 0, 0
        return len(violations(value, self.schema)), self._unnamed(value)

    def missing(self, text: str) -> bool:
        """Whether a JSON text lacks a member that is required."""
        if self.schema is None:
            return False
        try:
            found = violations(read(text), self.schema)
        except (ValueError, RecursionError):
            return False
        return any(each.rule == "required" for each in found)

    def _unnamed(self, value: object) -> int:
        count = 0
        waiting: list[tuple[object, object]] = [(value, self.schema)]
        while waiting:
            each, place = waiting.pop()
            if isinstance(each, dict):
                known = self._followed(place).get("properties")
                if isinstance(known, Mapping):
                    count += sum(name not in known for name in each)
                    waiting += [(v, known.get(name)) for name, v in each.items()]
            elif isinstance(each, list):
                waiting += [(v, self.item(place)) for v in each]
        return count
