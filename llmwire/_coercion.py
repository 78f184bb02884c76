"""Values of the wrong type, made right where there is one way to read them.

Knows JSON texts that are valid and a schema that they do not meet. Changes the text at
single places; all the rest stays byte for byte. Never invents a value: no `0` for an
empty text, no list out of a text with commas, no default that the schema does not give.

Rules, with what each costs; the cheapest reading wins, and only if it is the only one:
- `key-case` 1: a name that is one of the schema's but for case and separators.
- `scalar-type` 1: a number, boolean or null in quotes; a number where a text is due
  (its own spelling). `""` is nothing.
- `wrap` 1, `unwrap` 1: one value where a list is due; a list of one where a value is.
- `stringified` 2: a JSON object or array in quotes where it is due without.
- `enum-case` 3: the one value of an `enum` that differs in case and punctuation alone.
- `unknown-key` 1: a member that is not allowed goes, if that is wanted.
- `default` 100: a member that is required gets the schema's default, if wanted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from llmwire._json_edits import Edit, patched
from llmwire._json_nodes import Member, Node, parse
from llmwire._json_schema import checked
from llmwire._schema_terms import Schema, is_named, key_of, kind_of, resolved, types_of

__all__ = ("COERCION_RULES", "Coercions", "coerce", "folded")

COERCION_RULES: Final[Mapping[str, int]] = {
    "key-case": 1,
    "scalar-type": 1,
    "wrap": 1,
    "unwrap": 1,
    "stringified": 2,
    "enum-case": 3,
    "unknown-key": 1,
    "default": 100,
}
"""Rule -> what it costs."""
_TOO_MUCH: Final = 200
"""A reading that costs this much is none."""
_EFFORT: Final = 64
"""Characters that are looked at for each one of the text, and 4096 to begin with."""
_FIT: Final = 32
"""Characters that every look at a value by a schema counts for."""
_LONGEST: Final = 1 << 20
"""Characters of a text that is looked at."""
_REFERENCES: Final = 16
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,308})(?:\.0{1,20})?", re.ASCII)
_NUMBER: Final = re.compile(
    r"-?(?:0|[1-9][0-9]{0,308})(?:\.[0-9]{1,308})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII
)
_WORDS: Final = {
    "boolean": {"true": "true", "false": "false", "True": "true", "False": "false"},
    "null": {"null": "null", "None": "null"},
}


class Coercions(Struct, frozen=True, kw_only=True):
    """What may be done beyond the rules that are always on."""

    drop_unknown: bool = False
    """Members that the schema does not allow go."""
    fill_defaults: bool = False
    """Members that are required and missing get the schema's default."""


class _Fit(Struct, frozen=True):
    """A reading: the edits it takes, its value, its cost."""

    edits: tuple[Edit, ...]
    value: Any
    cost: int


class _GiveUp(Exception):
    """There are too many ways to read it."""


_DEFAULT: Final = Coercions()


def coerce(
    text: str, schema: Schema, options: Coercions = _DEFAULT
) -> tuple[str, tuple[Edit, ...]] | None:
    """`text`, changed so that it meets `schema`, and the changes.

    None: it cannot be, or in more than one way, or it is no JSON. A text that meets the
    schema comes back as it is. Never raises. Texts beyond 1,048,576 characters and
    values nested beyond some 100 levels are not changed.
    """
    if len(text) > _LONGEST or not isinstance(schema, Mapping):
        return None
    try:
        node = parse(text)
        fit = _Reading(text, schema, options).fit(node, schema)
    except (ValueError, RecursionError, _GiveUp):
        return None
    if fit is None or fit.cost >= _TOO_MUCH:
        return None
    return patched(text, fit.edits), fit.edits


def folded(name: str) -> str:
    """`name` without case and without all that is no letter and no digit."""
    return "".join(filter(str.isalnum, name)).casefold()


def _cheapest(fits: Iterable[_Fit | None]) -> _Fit | None:
    """The one that costs least; None where there is none, or two that differ."""
    best: _Fit | None = None
    tied = False
    for fit in fits:
        if fit is None or (best is not None and fit.cost > best.cost):
            continue
        if best is not None and fit.cost == best.cost:
            tied = tied or key_of(fit.value) != key_of(best.value)
            continue
        best, tied = fit, False
    return None if tied else best


class _Reading:
    """One text, with the root of its schema."""

    def __init__(self, text: str, root: Schema, options: Coercions) -> None:
        self._text = text
        self._root = root
        self._options = options
        self._effort = 4096 * _FIT + _EFFORT * len(text)

    def fit(self, node: Node, schema: object) -> _Fit | None:
        """`node` as `schema` wants it; None: there is no single way."""
        self._effort -= _FIT + node.end - node.start
        if self._effort < 0:
            raise _GiveUp
        if not isinstance(schema, Mapping):
            return None if schema is False else _Fit((), node.value, 0)
        if self._is_met(node.value, schema):
            return _Fit((), node.value, 0)
        return _cheapest(self._met(each, schema) for each in self._ways(node, schema))

    def _met(self, fit: _Fit | None, schema: Schema) -> _Fit | None:
        """`fit`, if it meets all of `schema`."""
        return fit if fit is not None and self._is_met(fit.value, schema) else None

    def _is_met(self, value: object, schema: Schema) -> bool:
        found, steps = checked(value, schema, self._root)
        self._effort -= _FIT * steps
        return not found

    def _ways(self, node: Node, schema: Schema) -> Iterator[_Fit | None]:
        """What `node` may be meant to be."""
        views = self._views(schema)
        for view in views:
            for keyword in ("anyOf", "oneOf"):
                branches = view.get(keyword)
                if isinstance(branches, (list, tuple)):
                    for branch in branches:
                        yield self.fit(node, branch)
        allowed = _types(views)
        value = node.value
        if isinstance(value, dict):
            yield from self._objects(node, views)
        elif isinstance(value, list):
            yield from self._arrays(node, views)
        elif isinstance(value, str):
            yield from self._texts(node, views, allowed)
        elif "string" in allowed and _is_spelling(value, views):
            written = self._text[node.start : node.end]
            yield self._scalar(node, f'"{written}"', written)
        yield from self._wrapped(node, views, allowed)

    def _views(self, schema: Schema) -> list[Schema]:
        """`schema`, what it refers to, and all that it demands beside."""
        views: list[Schema] = []
        waiting: list[object] = [schema]
        while waiting and len(views) < _REFERENCES:
            each = waiting.pop(0)
            if isinstance(each, Mapping):
                views.append(each)
                waiting.append(resolved(each.get("$ref"), self._root))
                demanded = each.get("allOf")
                if isinstance(demanded, (list, tuple)):
                    waiting += demanded
        return views

    def _replaced(self, node: Node, rule: str, inserted: str, value: Any) -> _Fit:
        edit = Edit(node.start, rule, self._text[node.start : node.end], inserted)
        return _Fit((edit,), value, COERCION_RULES[rule])

    def _scalar(self, node: Node, inserted: str, value: Any) -> _Fit:
        return self._replaced(node, "scalar-type", inserted, value)

    def _texts(
        self, node: Node, views: list[Schema], allowed: frozenset[str]
    ) -> Iterator[_Fit | None]:
        """What a text may be meant to be."""
        text: str = node.value
        number = _NUMBER if "number" in allowed else _INTEGER
        if allowed & {"integer", "number"} and number.fullmatch(text):
            yield self._scalar(node, text, json.loads(text))
        for kind, words in _WORDS.items():
            if kind in allowed and text in words:
                yield self._scalar(node, words[text], json.loads(words[text]))
        for view in views:
            yield self._listed(node, view.get("enum"))
        if allowed & {"array", "object"} and text.lstrip()[:1] in ("{", "["):
            yield self._stringified(node, views[0])

    def _listed(self, node: Node, values: object) -> _Fit | None:
        """The one value of an `enum` that the text spells differently."""
        meant = folded(node.value)
        if not isinstance(values, (list, tuple)) or not meant:
            return None
        alike = {v for v in values if isinstance(v, str) and folded(v) == meant}
        if len(alike) != 1:
            return None
        (value,) = alike
        return self._replaced(node, "enum-case", _written(value), value)

    def _stringified(self, node: Node, schema: Schema) -> _Fit | None:
        """A text that is JSON, as what it says, which may need fitting itself."""
        text: str = node.value
        try:
            inner = parse(text)
        except ValueError:
            return None
        reading = _Reading(text, self._root, self._options)
        reading._effort = self._effort
        fit = reading.fit(inner, schema)
        self._effort = reading._effort
        if fit is None:
            return None
        outer = self._replaced(node, "stringified", patched(text, fit.edits), fit.value)
        return _Fit(outer.edits, fit.value, outer.cost + fit.cost)

    def _wrapped(
        self, node: Node, views: list[Schema], allowed: frozenset[str]
    ) -> Iterator[_Fit | None]:
        """One value where a list is due."""
        value = node.value
        if "array" not in allowed or value is None or isinstance(value, list):
            return
        if isinstance(value, str) and not _is_one(value):
            return
        fit = self.fit(node, _item(views, 0))
        if fit is not None:
            opening = Edit(node.start, "wrap", "", "[")
            closing = Edit(node.end, "wrap", "", "]")
            cost = fit.cost + COERCION_RULES["wrap"]
            yield _Fit((opening, *fit.edits, closing), [fit.value], cost)

    def _arrays(self, node: Node, views: list[Schema]) -> Iterator[_Fit | None]:
        fits = [self.fit(n, _item(views, at)) for at, n in enumerate(node.items)]
        found = [fit for fit in fits if fit is not None]
        if len(found) == len(fits):
            edits = tuple(edit for fit in found for edit in fit.edits)
            cost = sum(fit.cost for fit in found)
            yield _Fit(edits, [fit.value for fit in found], cost)
        if len(node.items) == 1 and not isinstance(node.items[0].value, list):
            yield self._unwrapped(node, views[0])

    def _unwrapped(self, node: Node, schema: Schema) -> _Fit | None:
        (item,) = node.items
        fit = self.fit(item, schema)
        if fit is None or isinstance(fit.value, list):
            return None
        opening = Edit(node.start, "unwrap", self._text[node.start : item.start], "")
        closing = Edit(item.end, "unwrap", self._text[item.end : node.end], "")
        cost = fit.cost + COERCION_RULES["unwrap"]
        return _Fit((opening, *fit.edits, closing), fit.value, cost)

    def _objects(self, node: Node, views: list[Schema]) -> Iterator[_Fit | None]:
        if len(node.value) < len(node.members):
            return  # a name stands twice: which one is meant is not ours to say
        yield self._members(node, views, {})
        renamed = _renamed(node.members, views)
        if renamed:
            yield self._members(node, views, renamed)

    def _members(
        self, node: Node, views: list[Schema], renamed: Mapping[str, str]
    ) -> _Fit | None:
        """An object member by member, some of them under other names."""
        edits: list[Edit] = []
        value: dict[str, Any] = {}
        cost = 0
        dropped = self._dropped(node.members, views, renamed)
        for member in node.members:
            if member.start in dropped:
                cost += COERCION_RULES["unknown-key"]
                continue
            name = renamed.get(member.name, member.name)
            if name != member.name:
                written = self._text[member.start : member.name_end]
                spelled = _written(name)
                edits.append(Edit(member.start, "key-case", written, spelled))
                cost += COERCION_RULES["key-case"]
            fit = self.fit(member.node, _member(views, name))
            if fit is None:
                return None
            edits += fit.edits
            value[name] = fit.value
            cost += fit.cost
        filled = self._filled(node, views, value)
        cost += COERCION_RULES["default"] * len(filled)
        edits += self._without(node, dropped)
        edits.sort(key=lambda edit: edit.offset)
        return _Fit((*edits, *filled), value, cost)

    def _dropped(
        self,
        members: tuple[Member, ...],
        views: list[Schema],
        renamed: Mapping[str, str],
    ) -> frozenset[int]:
        """Where the members start that are not allowed, if they are to go."""
        closed = [view for view in views if view.get("additionalProperties") is False]
        if not self._options.drop_unknown:
            return frozenset()
        return frozenset(
            member.start
            for member in members
            if member.name not in renamed
            and not all(is_named(member.name, view) for view in closed)
        )

    def _without(self, node: Node, dropped: frozenset[int]) -> Iterator[Edit]:
        """The edits that take `dropped` out, each with one comma."""
        kept_before = False
        for at, member in enumerate(node.members):
            if member.start not in dropped:
                kept_before = True
                continue
            start, end = member.start, member.node.end
            if kept_before:
                start = node.members[at - 1].node.end
            elif at + 1 < len(node.members):
                end = node.members[at + 1].start
            yield Edit(start, "unknown-key", self._text[start:end], "")

    def _filled(
        self, node: Node, views: list[Schema], value: dict[str, Any]
    ) -> list[Edit]:
        """What is required, missing and has a default; `value` gets it too."""
        if not self._options.fill_defaults:
            return []
        filled: list[Edit] = []
        for name in _required(views):
            schema = _member(views, name)
            if name in value or not isinstance(schema, Mapping):
                continue
            if "default" in schema:
                member = _written({name: schema["default"]})[1:-1]
                comma = ", " if value else ""
                value[name] = schema["default"]
                filled.append(Edit(node.end - 1, "default", "", comma + member))
        return filled


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _types(views: list[Schema]) -> frozenset[str]:
    """The types that all of `views` allow, told by their values where need be."""
    allowed: frozenset[str] | None = None
    for view in views:
        named = types_of(view)
        listed = view.get("enum")
        if not named and isinstance(listed, (list, tuple)):
            named = frozenset(map(kind_of, listed))
        if not named and "const" in view:
            named = frozenset((kind_of(view["const"]),))
        if named:
            allowed = named if allowed is None else allowed & named
    return allowed or frozenset()


def _is_spelling(value: object, views: list[Schema]) -> bool:
    """Whether what stands there can be meant as a text: booleans only from a list."""
    if isinstance(value, bool):
        return any("enum" in view or "const" in view for view in views)
    return value is not None


def _is_one(text: str) -> bool:
    """Whether a text is one item for certain, and no list in disguise."""
    return bool(text.strip()) and not set(text) & set(",;\n") and text[0] not in "[{"


def _item(views: list[Schema], at: int) -> object:
    """The schema of item `at`; True: nothing is said."""
    for view in views:
        before = view.get("prefixItems")
        items = view.get("items")
        for listed in (before, items):
            if isinstance(listed, (list, tuple)) and at < len(listed):
                return listed[at]
        if isinstance(items, (Mapping, bool)):
            return items
    return True


def _member(views: list[Schema], name: str) -> object:
    """The schema of member `name`; True: nothing is said."""
    for view in views:
        known = view.get("properties")
        if isinstance(known, Mapping) and name in known:
            schema: object = known[name]
            return schema
    for view in views:
        other = view.get("additionalProperties")
        if isinstance(other, Mapping) and not is_named(name, view):
            return other
    return True


def _names(views: list[Schema]) -> list[str]:
    return [
        name
        for view in views
        if isinstance(known := view.get("properties"), Mapping)
        for name in known
        if isinstance(name, str)
    ]


def _required(views: list[Schema]) -> list[str]:
    return [
        name
        for view in views
        if isinstance(wanted := view.get("required"), (list, tuple))
        for name in wanted
        if isinstance(name, str)
    ]


def _renamed(members: tuple[Member, ...], views: list[Schema]) -> dict[str, str]:
    """Name as it came -> the one name of the schema that is meant and is not there."""
    there = {member.name for member in members}
    known: dict[str, set[str]] = {}
    for name in _names(views):
        known.setdefault(folded(name), set()).add(name)
    renamed: dict[str, str] = {}
    for name in there:
        meant = known.get(folded(name), set())
        if len(meant) == 1 and not meant & there:
            (renamed[name],) = meant
    counts = Counter(renamed.values())
    return {name: to for name, to in renamed.items() if counts[to] == 1}
