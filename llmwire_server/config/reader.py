"""YAML nodes become settings, as the shapes of the tree would have them.

What the environment and flags say is read by the same reader: their texts are made
nodes first. All that is wrong is collected, nothing is raised; a text that came out of
a variable, or may be a secret, is never repeated.

Theory of operation: nodes are composed, never constructed, so that a scalar is still
the text that people wrote when the shape of its key says what it means. Anchors and
merges (`<<`) are followed; the number of nodes is bounded, for aliases multiply.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import yaml
from msgspec import Struct

from llmwire_server.config.rules import RULES, suggestion
from llmwire_server.config.settings import (
    BAD,
    Branch,
    Leaf,
    Origin,
    Path,
    Problem,
    Setting,
    build,
    shown_path,
)
from llmwire_server.config.shapes import Many, Map, Record, Scalar, Shape
from llmwire_server.config.values import BadValue, expected, read_scalar

__all__ = ("NODES", "Lookup", "Reader", "Source")

NODES: Final = 200_000
"""More nodes than a configuration has."""

_VARIABLE: Final = re.compile(
    r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<otherwise>[^}]*))?\})?"
)
_TAG: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(
    _TAG + name
    for name in (
        "null", "bool", "int", "float", "timestamp", "str", "seq", "map", "merge",
        "value",
    )
)  # fmt: skip
_NULL: Final = _TAG + "null"
_MERGE: Final = _TAG + "merge"


Lookup: TypeAlias = Callable[[str], str | None]
"""Gives the value of a variable, None where there is none."""


class Source(Struct, frozen=True, kw_only=True):
    """What is read."""

    origin: Origin
    path: Path = ()
    """Where in the tree it stands; only parts of it are named in messages."""
    variables: Lookup | None = None
    """For `${VARIABLE}`; None where that is nothing but text."""


class _Text(Struct, frozen=True):
    """A scalar's text."""

    text: str
    literal: bool = True
    """No variable had a part in it."""


class _BadVariable(Exception):
    """`${…}` stands for nothing; the text says why."""


class Reader:
    """Reads the nodes of one source.

    Args:
        source: Where they come from.
        problems: Takes what is wrong.
    """

    def __init__(self, source: Source, problems: list[Problem]) -> None:
        self._source = source
        self._problems = problems
        self._nodes = 0

    def read(self, node: yaml.Node, shape: Shape, path: Path) -> Setting:
        """What `node` says of the key at `path`; bad leaves where it is wrong."""
        if not self._counted(1, node, path):
            return self._bad(node)
        if node.tag not in _TAGS:
            tag = "tags have no meaning here; variables are written ${NAME}"
            return self._wrong(node, path, tag)
        if isinstance(shape, Scalar):
            return self._scalar(node, shape, path)
        if isinstance(shape, Many):
            return self._many(node, shape, path)
        return self._members(node, shape, path)

    def _counted(self, count: int, node: yaml.Node, path: Path) -> bool:
        """Whether there may be `count` more nodes; told, once, where not."""
        allowed = self._nodes <= NODES
        self._nodes += count
        if allowed and self._nodes > NODES:
            self._wrong(node, path, f"more than {NODES} values, aliases included")
        return self._nodes <= NODES

    def _origin(self, node: yaml.Node, literal: bool = True) -> Origin:
        origin = self._source.origin
        line = node.start_mark.line + 1 if origin.kind == "file" else 0
        return Origin(origin.kind, origin.name, line, literal)

    def _bad(self, node: yaml.Node) -> Leaf:
        return Leaf(BAD, self._origin(node))

    def _wrong(self, node: yaml.Node, path: Path, what: str) -> Leaf:
        """A bad leaf, and the problem told."""
        origin = self._origin(node)
        place = origin.name + (f", line {origin.line}" if origin.line else "")
        if path and (origin.kind == "file" or path != self._source.path):
            place += f", {shown_path(path)}"
        self._problems.append(Problem(f"{place}: {what}", origin.line))
        return Leaf(BAD, origin)

    def _scalar(self, node: yaml.Node, shape: Scalar, path: Path) -> Leaf:
        if not isinstance(node, yaml.ScalarNode):
            return self._wrong(node, path, expected(shape))
        plain = node.style is None
        if plain and node.tag == _NULL:
            if shape.optional:
                return Leaf(None, self._origin(node))
            return self._wrong(node, path, expected(shape))
        try:
            found = self._substituted(node.value)
        except _BadVariable as error:
            return self._wrong(node, path, str(error))
        origin = self._origin(node, found.literal)
        if not found.text and not found.literal and shape.optional:
            return Leaf(None, origin)
        try:
            return Leaf(read_scalar(found.text, shape), origin)
        except BadValue as error:
            what = error.what + _repeated(found, shape, error.what) + error.hint
            return self._wrong(node, path, what)

    def _substituted(self, text: str) -> _Text:
        variables = self._source.variables
        if variables is None or "${" not in text:
            return _Text(text)
        literal = True

        def value_of(match: re.Match[str]) -> str:
            nonlocal literal
            if match[0] == "$${":
                return "${"
            if match["name"] is None:
                why = "expected ${VARIABLE} or ${VARIABLE:-default}; $${ is the text ${"
                raise _BadVariable(why)
            literal = False
            found, otherwise = variables(match["name"]), match["otherwise"]
            if otherwise is not None:
                return found or otherwise
            if found is None:
                raise _BadVariable(f"the environment has no variable {match['name']}")
            return found

        return _Text(_VARIABLE.sub(value_of, text), literal)

    def _many(self, node: yaml.Node, shape: Many, path: Path) -> Leaf:
        if node.tag == _NULL:
            return Leaf((), self._origin(node))
        if not isinstance(node, yaml.SequenceNode):
            return self._wrong(node, path, "expected a list")
        items: list[Any] = []
        literal = not node.value
        for at, item in enumerate(node.value):
            place = (*path[:-1], f"{path[-1]}[{at}]")
            setting = self.read(item, shape.item, place)
            if isinstance(setting, Branch):
                value = self._record(item, shape.item, setting, place)
            else:
                value = setting.value
                literal = literal or setting.origin.literal
            items.append(value)
        if any(item is BAD for item in items):
            return self._bad(node)
        return Leaf(tuple(items), self._origin(node, literal))

    def _record(
        self, node: yaml.Node, shape: Scalar | Record, branch: Branch, path: Path
    ) -> Any:
        """One record of a list, which is whole or bad: nothing goes over it later."""
        assert isinstance(shape, Record)
        tree, _, missing = build(shape, branch)
        for lacking, _ in missing:
            self._wrong(node, (*path, *lacking), "is needed")
        return BAD if _holds_bad(branch) else tree

    def _members(self, node: yaml.Node, shape: Map | Record, path: Path) -> Setting:
        if node.tag == _NULL:
            return Branch({}, self._origin(node))
        if not isinstance(node, yaml.MappingNode):
            return self._wrong(node, path, "expected names and values")
        members: dict[str, Setting] = {}
        for name, (key, value) in self._pairs(node, path, 0).items():
            place = (*path, name)
            below = self._below(key, shape, place)
            if below is None:
                members[name] = self._bad(key)
                continue
            setting = self.read(value, below, place)
            if isinstance(setting, Branch):
                setting = Branch(setting.members, self._origin(key))
            members[name] = setting
        if isinstance(shape, Record):
            known = {key.name for key in shape.keys}
            members = {name: m for name, m in members.items() if name in known}
        return Branch(members, self._origin(node))

    def _below(self, key: yaml.Node, shape: Map | Record, path: Path) -> Shape | None:
        """What may stand under a name; None, and told, where the name is wrong."""
        name = path[-1]
        if isinstance(shape, Record):
            found = shape.key(name)
            if found is None:
                near = suggestion(name, [key.name for key in shape.keys])
                self._wrong(key, path, f"unknown key{near}")
                return None
            return found.shape
        try:
            read_scalar(name, shape.name)
        except BadValue as error:
            self._wrong(key, path, error.what + error.hint)
            return None
        return shape.value

    def _pairs(
        self, node: yaml.MappingNode, path: Path, depth: int
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The members of a mapping, those that it merges behind its own."""
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        if not self._counted(len(node.value), node, path):
            return pairs
        for key, value in node.value:
            if key.tag == _MERGE:
                merged.append(value)
            elif not isinstance(key, yaml.ScalarNode) or key.tag not in _TAGS:
                self._wrong(key, path, "a name must be text")
            elif key.value in pairs:
                self._wrong(key, (*path, key.value), "stands here twice")
            else:
                pairs[key.value] = (key, value)
        for value in merged:
            for name, pair in self._merged(value, path, depth + 1).items():
                pairs.setdefault(name, pair)
        return pairs

    def _merged(
        self, node: yaml.Node, path: Path, depth: int
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode) or depth > 8:
                self._wrong(source, (*path, "<<"), "expected an alias of a mapping")
            else:
                for name, pair in self._pairs(source, path, depth).items():
                    pairs.setdefault(name, pair)
        return pairs


def _holds_bad(setting: Setting) -> bool:
    if isinstance(setting, Leaf):
        return setting.value is BAD
    return any(map(_holds_bad, setting.members.values()))


def _repeated(found: _Text, shape: Scalar, what: str) -> str:
    """The text itself, where it cannot be a secret."""
    closed = shape.rule is not None and RULES[shape.rule].known is not None
    if not found.literal or shape.kind == "secret":
        return ""
    if shape.kind == "text" and not closed:
        return ""
    joint = " " if what.startswith("unknown") else ", not "
    return f"{joint}{found.text[:40]!r}"
