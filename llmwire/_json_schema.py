"""JSON Schema 2020-12, as far as tools and structured output use it.

Tells what is wrong with a value, and where. Knows the keywords of assertion and
application, local `$ref`, and the older spellings that tools still send (`definitions`,
`items` as a list, `dependencies`, `nullable`, a boolean `exclusiveMinimum`). Keywords
that are not known here (`format`, `unevaluatedProperties`, `$dynamicRef` …), and those
whose operand is none, say nothing; so does a `$ref` that leads nowhere. A schema is the
client's: it is never fetched, never trusted, and cannot make this raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import isfinite
from typing import Any, Final, TypeAlias

from msgspec import Struct

from llmwire._patterns import search
from llmwire._schema_terms import (
    Path,
    Schema,
    is_named,
    key_of,
    kind_of,
    rendered,
    resolved,
    types_of,
)

__all__ = ("MAX_VIOLATIONS", "Violation", "violations")

MAX_VIOLATIONS: Final = 64
"""Violations that are told of one value."""
_DEPTH: Final = 128
"""Schemas inside each other that are looked into."""
_STEPS: Final = 50_000
"""Schemas that are looked at, for a value that is a single node."""
_STEPS_PER_NODE: Final = 16
"""And for every further node of the value."""


class Violation(Struct, frozen=True, gc=False):
    """One thing that a schema does not allow."""

    path: str
    """Place in the value: `$.files[0].name`."""
    rule: str
    """The keyword of the schema; `limit` where looking was given up."""
    message: str
    """What was expected; never the value."""


def violations(
    value: object, schema: Schema, *, root: Schema | None = None
) -> tuple[Violation, ...]:
    """What `schema` does not allow of `value`, the first 64; empty: valid.

    Never raises. Values nested more than 128 levels deep, and work beyond a multiple of
    the value's size, are a violation of rule `limit`.

    Args:
        value: As `json.loads` gives it.
        schema: An object; anything else allows everything.
        root: The document that `$ref` refers to, if not `schema` itself.
    """
    return checked(value, schema, root)[0]


def checked(
    value: object, schema: Schema, root: Schema | None
) -> tuple[tuple[Violation, ...], int]:
    """As `violations`, and how many schemas were looked at for it."""
    if not isinstance(schema, Mapping):
        return (), 0
    check = _Check(schema if root is None else root, value)
    try:
        check.run(value, schema, None)
    except RecursionError:
        check.exhaust()
    if check.exhausted:
        where = Violation("$", "limit", "too deep or too much to be checked")
        return (*check.found[: MAX_VIOLATIONS - 1], where), check.taken
    return tuple(check.found[:MAX_VIOLATIONS]), check.taken


def _nodes(value: object) -> int:
    """How many values `value` is made of."""
    count = 0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        count += 1
        if isinstance(each, Mapping):
            waiting.extend(each.values())
        elif isinstance(each, (list, tuple)):
            waiting.extend(each)
    return count


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_size(value: object) -> bool:
    return _is_number(value) and value >= 0  # type: ignore[operator]  # a number


class _Check:
    """One value being looked at: the root of its schema, and what was found."""

    def __init__(self, root: Schema, value: object) -> None:
        self.root = root
        self.found: list[Violation] = []
        self.exhausted = False
        self.taken = 0
        """Schemas that were looked at."""
        self._value = value
        self._steps = _STEPS
        self._counted = False
        self._depth = 0
        self._keys: dict[int, frozenset[object]] = {}
        self._followed: list[tuple[int, int]] = []
        """The references being followed, by schema and value."""

    def run(self, value: Any, schema: object, path: Path) -> None:
        """Look at `value` at `path`; what is wrong stands in `found`."""
        if schema is False:
            self.fail(path, "false", "nothing is allowed here")
        if not isinstance(schema, Mapping) or not self._may_go_on():
            return
        if value is None and schema.get("nullable") is True:
            return
        self._depth += 1
        for keyword, operand in schema.items():
            rule = _RULES.get(keyword)
            if rule is not None:
                rule(self, value, operand, schema, path)
        self._depth -= 1

    def fail(self, path: Path, rule: str, message: str) -> None:
        """`path` breaks `rule`."""
        if len(self.found) < MAX_VIOLATIONS:
            self.found.append(Violation(rendered(path), rule, message))

    def exhaust(self) -> None:
        """Nothing more is looked at."""
        self.exhausted = True

    def allows(self, value: Any, schema: object, path: Path) -> bool:
        """Whether `schema` allows `value`; tells nothing about it."""
        kept, self.found = self.found, []
        self.run(value, schema, path)
        found, self.found = self.found, kept
        return not found

    def keys(self, values: Any) -> frozenset[object]:
        """The values of an `enum`, as `key_of` gives them."""
        if id(values) not in self._keys:
            self._keys[id(values)] = frozenset(map(key_of, values))
        return self._keys[id(values)]

    def spend(self, steps: int) -> None:
        """So many schemas, or names of one, are looked at beside."""
        self._steps -= steps

    def follow(self, value: Any, target: object, path: Path) -> None:
        """Look at `value` by the target of a reference, unless that is being done."""
        step = (id(target), id(value))
        if target is None or step in self._followed:
            return
        self._followed.append(step)
        self.run(value, target, path)
        self._followed.pop()

    def _may_go_on(self) -> bool:
        self.taken += 1
        self._steps -= 1
        if self._steps < 0 and not self._counted:
            self._counted = True
            self._steps = _STEPS_PER_NODE * _nodes(self._value)
        if self._steps < 0 or self._depth >= _DEPTH:
            self.exhausted = True
        return not self.exhausted


_Rule: TypeAlias = Callable[[_Check, Any, Any, Schema, Path], None]


def _type(check: _Check, value: Any, _: Any, schema: Schema, path: Path) -> None:
    wanted = types_of(schema)
    if not wanted:
        return
    kind = kind_of(value)
    if kind not in wanted and not (kind == "integer" and "number" in wanted):
        check.fail(path, "type", f"{' or '.join(sorted(wanted))} expected, not {kind}")


def _enum(check: _Check, value: Any, allowed: Any, _: Schema, path: Path) -> None:
    if isinstance(allowed, (list, tuple)) and key_of(value) not in check.keys(allowed):
        check.fail(path, "enum", f"one of {len(allowed)} values expected")


def _const(check: _Check, value: Any, wanted: Any, _: Schema, path: Path) -> None:
    if key_of(value) != key_of(wanted):
        check.fail(path, "const", "one certain value expected")


def _bound(
    rule: str, words: str, keeps: Callable[[Any, Any], bool], size: bool = False
) -> Callable[[Any, _Check, Any, Path], None]:
    """A rule for a number that has to keep to `limit`."""

    def look(measure: Any, check: _Check, limit: Any, path: Path) -> None:
        if (_is_size if size else _is_number)(limit) and not keeps(measure, limit):
            check.fail(path, rule, f"{words} {_shown(limit)} expected")

    return look


_at_least = _bound("minimum", "at least", lambda a, b: a >= b)
_above = _bound("exclusiveMinimum", "more than", lambda a, b: a > b)
_at_most = _bound("maximum", "at most", lambda a, b: a <= b)
_below = _bound("exclusiveMaximum", "less than", lambda a, b: a < b)


def _minimum(check: _Check, value: Any, limit: Any, schema: Schema, path: Path) -> None:
    if _is_number(value):
        exclusive = schema.get("exclusiveMinimum") is True
        (_above if exclusive else _at_least)(value, check, limit, path)


def _maximum(check: _Check, value: Any, limit: Any, schema: Schema, path: Path) -> None:
    if _is_number(value):
        exclusive = schema.get("exclusiveMaximum") is True
        (_below if exclusive else _at_most)(value, check, limit, path)


def _exclusive_minimum(
    check: _Check, value: Any, limit: Any, _: Schema, path: Path
) -> None:
    if _is_number(value):
        _above(value, check, limit, path)


def _exclusive_maximum(
    check: _Check, value: Any, limit: Any, _: Schema, path: Path
) -> None:
    if _is_number(value):
        _below(value, check, limit, path)


def _multiple(check: _Check, value: Any, unit: Any, _: Schema, path: Path) -> None:
    if not _is_number(value) or not _is_number(unit) or unit <= 0:
        return
    if not _is_multiple(value, unit):
        check.fail(path, "multipleOf", f"a multiple of {_shown(unit)} expected")


def _is_multiple(value: float, unit: float) -> bool:
    """Exactly, by the decimals that were written: 0.3 is a multiple of 0.1."""
    exact: list[Fraction] = []
    for number in (value, unit):
        if isinstance(number, float) and not isfinite(number):
            return False
        exact.append(Fraction(number if isinstance(number, int) else repr(number)))
    return not exact[0] % exact[1]


def _shown(limit: Any) -> str:
    """A number of the schema, for people."""
    small = isinstance(limit, float) or abs(limit) < 10**15
    return f"{limit}" if small else "more than 1e15 or so"


def _size(
    rule: str, kind: type | tuple[type, ...], words: str, *, least: bool
) -> _Rule:
    """A rule for the length of a text, an array or an object."""
    order = "at least" if least else "at most"

    def look(check: _Check, value: Any, limit: Any, _: Schema, path: Path) -> None:
        if not isinstance(value, kind) or not _is_size(limit):
            return
        size = len(value)  # type: ignore[arg-type]  # mypy loses the kind
        if size < limit if least else size > limit:
            check.fail(path, rule, f"{order} {_shown(limit)} {words} expected")

    return look


def _pattern(check: _Check, value: Any, pattern: Any, _: Schema, path: Path) -> None:
    told = isinstance(value, str) and isinstance(pattern, str)
    if told and search(pattern, value) is False:
        check.fail(path, "pattern", "a text of a certain pattern expected")


def _required(check: _Check, value: Any, names: Any, _: Schema, path: Path) -> None:
    if isinstance(value, Mapping) and isinstance(names, (list, tuple)):
        check.spend(len(names) >> 4)
        for name in names:
            if isinstance(name, str) and name not in value:
                check.fail((path, name), "required", "missing")


def _properties(check: _Check, value: Any, known: Any, _: Schema, path: Path) -> None:
    if isinstance(value, Mapping) and isinstance(known, Mapping):
        for name, inner in value.items():
            if name in known:
                check.run(inner, known[name], (path, name))


def _pattern_properties(
    check: _Check, value: Any, patterns: Any, _: Schema, path: Path
) -> None:
    if isinstance(value, Mapping) and isinstance(patterns, Mapping):
        check.spend(len(patterns) * len(value))
        for pattern, schema in patterns.items():
            for name, inner in value.items():
                if search(pattern, name):
                    check.run(inner, schema, (path, name))


def _additional(
    check: _Check, value: Any, rule: Any, schema: Schema, path: Path
) -> None:
    if not isinstance(value, Mapping):
        return
    for name, inner in value.items():
        if is_named(name, schema):
            continue
        if rule is False:
            check.fail((path, name), "additionalProperties", "not a known member")
        else:
            check.run(inner, rule, (path, name))


def _property_names(
    check: _Check, value: Any, rule: Any, _: Schema, path: Path
) -> None:
    if isinstance(value, Mapping):
        for name in value:
            if not check.allows(name, rule, path):
                check.fail((path, name), "propertyNames", "not a possible name")


def _dependent_required(
    check: _Check, value: Any, needs: Any, _: Schema, path: Path
) -> None:
    if isinstance(value, Mapping) and isinstance(needs, Mapping):
        for name, others in needs.items():
            if name not in value or not isinstance(others, (list, tuple)):
                continue
            for other in others:
                if isinstance(other, str) and other not in value:
                    what = "missing beside another member"
                    check.fail((path, other), "dependentRequired", what)


def _dependent_schemas(
    check: _Check, value: Any, schemas: Any, _: Schema, path: Path
) -> None:
    if isinstance(value, Mapping) and isinstance(schemas, Mapping):
        for name, schema in schemas.items():
            if name in value:
                check.run(value, schema, path)


def _dependencies(
    check: _Check, value: Any, needs: Any, of: Schema, path: Path
) -> None:
    _dependent_required(check, value, needs, of, path)
    _dependent_schemas(check, value, needs, of, path)


def _prefix_items(
    check: _Check, value: Any, schemas: Any, _: Schema, path: Path
) -> None:
    if isinstance(value, (list, tuple)) and isinstance(schemas, (list, tuple)):
        for at, (inner, schema) in enumerate(zip(value, schemas, strict=False)):
            check.run(inner, schema, (path, at))


def _items(check: _Check, value: Any, rule: Any, schema: Schema, path: Path) -> None:
    if isinstance(rule, (list, tuple)):
        _prefix_items(check, value, rule, schema, path)
    elif isinstance(value, (list, tuple)):
        before = schema.get("prefixItems")
        first = len(before) if isinstance(before, (list, tuple)) else 0
        for at in range(first, len(value)):
            check.run(value[at], rule, (path, at))


def _additional_items(
    check: _Check, value: Any, rule: Any, schema: Schema, path: Path
) -> None:
    before = schema.get("items")
    if isinstance(value, (list, tuple)) and isinstance(before, (list, tuple)):
        for at in range(len(before), len(value)):
            check.run(value[at], rule, (path, at))


def _unique(check: _Check, value: Any, rule: Any, _: Schema, path: Path) -> None:
    if rule is not True or not isinstance(value, (list, tuple)):
        return
    if len({key_of(each) for each in value}) < len(value):
        check.fail(path, "uniqueItems", "items expected that differ")


def _contains(check: _Check, value: Any, rule: Any, schema: Schema, path: Path) -> None:
    if not isinstance(value, (list, tuple)):
        return
    least: Any = schema.get("minContains")
    most: Any = schema.get("maxContains")
    count = sum(check.allows(each, rule, path) for each in value)
    if count < (least if _is_size(least) else 1):
        check.fail(path, "contains", "too few of certain items")
    if _is_size(most) and count > most:
        check.fail(path, "maxContains", "too many of certain items")


def _all_of(check: _Check, value: Any, ways: Any, _: Schema, path: Path) -> None:
    if isinstance(ways, (list, tuple)):
        for way in ways:
            check.run(value, way, path)


def _any_of(check: _Check, value: Any, ways: Any, _: Schema, path: Path) -> None:
    if not isinstance(ways, (list, tuple)) or not ways:
        return
    if not any(check.allows(value, way, path) for way in ways):
        check.fail(path, "anyOf", f"none of {len(ways)} ways is met")


def _one_of(check: _Check, value: Any, ways: Any, _: Schema, path: Path) -> None:
    if isinstance(ways, (list, tuple)) and ways:
        met = sum(check.allows(value, way, path) for way in ways)
        if met != 1:
            check.fail(path, "oneOf", f"{met} of {len(ways)} ways are met")


def _not(check: _Check, value: Any, rule: Any, _: Schema, path: Path) -> None:
    if isinstance(rule, (Mapping, bool)) and check.allows(value, rule, path):
        check.fail(path, "not", "just this is not allowed")


def _if(check: _Check, value: Any, rule: Any, schema: Schema, path: Path) -> None:
    met = check.allows(value, rule, path)
    check.run(value, schema.get("then" if met else "else"), path)


def _ref(check: _Check, value: Any, reference: Any, _: Schema, path: Path) -> None:
    check.follow(value, resolved(reference, check.root), path)


_LISTS: Final = (list, tuple)
_RULES: Final[Mapping[str, _Rule]] = {
    "$ref": _ref,
    "additionalItems": _additional_items,
    "additionalProperties": _additional,
    "allOf": _all_of,
    "anyOf": _any_of,
    "const": _const,
    "contains": _contains,
    "dependencies": _dependencies,
    "dependentRequired": _dependent_required,
    "dependentSchemas": _dependent_schemas,
    "enum": _enum,
    "exclusiveMaximum": _exclusive_maximum,
    "exclusiveMinimum": _exclusive_minimum,
    "if": _if,
    "items": _items,
    "maxItems": _size("maxItems", _LISTS, "items", least=False),
    "maxLength": _size("maxLength", str, "characters", least=False),
    "maxProperties": _size("maxProperties", Mapping, "members", least=False),
    "maximum": _maximum,
    "minItems": _size("minItems", _LISTS, "items", least=True),
    "minLength": _size("minLength", str, "characters", least=True),
    "minProperties": _size("minProperties", Mapping, "members", least=True),
    "minimum": _minimum,
    "multipleOf": _multiple,
    "not": _not,
    "oneOf": _one_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "prefixItems": _prefix_items,
    "properties": _properties,
    "propertyNames": _property_names,
    "required": _required,
    "type": _type,
    "uniqueItems": _unique,
}
