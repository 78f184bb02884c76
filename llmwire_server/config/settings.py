"""Settings: values with where they come from, in layers that go over each other.

Pure. A layer (the file, the environment, the flags) is a `Branch` that holds what it
says and nothing else; `merge` lays one over another, `build` makes the records of the
tree out of what lies on top, and defaults of the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import NODEFAULT, Struct, field

from llmwire_server.config.shapes import Map, Record, Shape

__all__ = (
    "BAD",
    "DEFAULT",
    "Branch",
    "ConfigError",
    "Leaf",
    "Origin",
    "Origins",
    "Path",
    "Problem",
    "Setting",
    "at",
    "build",
    "merge",
    "names_of",
    "shown_path",
)

Path: TypeAlias = tuple[str, ...]
"""Names from the root down: `("backends", "local", "base_url")`."""


class Origin(Struct, frozen=True):
    """Where a value comes from."""

    kind: Literal["default", "file", "environment", "flag", "key file"]
    name: str = ""
    """The file, the variable, the flag, or the file of keys."""
    line: int = 0
    """Of the file, from 1."""
    literal: bool = True
    """The value itself stands there, not the name of a variable that holds it."""

    def __str__(self) -> str:
        if self.kind == "file":
            return f"{self.name}:{self.line}"
        return self.name or self.kind


DEFAULT: Final = Origin("default")

Origins: TypeAlias = Mapping[Path, Origin]
"""Of every value, and of every record that has a name of its own; lists have one,
however many things they hold."""


class Problem(Struct, frozen=True):
    """One thing that is wrong, or worth a warning."""

    text: str
    """Where and what: `llmwire.yaml, line 3, limits.body: expected …`."""
    line: int = 0


class ConfigError(Exception):
    """The configuration cannot be used; the text says where and why, line by line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        ordered = sorted(problems, key=lambda problem: problem.line)
        self.problems: tuple[str, ...] = tuple(
            dict.fromkeys(problem.text for problem in ordered)
        )
        """Each thing that is wrong, those of a file in its order."""
        super().__init__("\n".join(self.problems))


class Leaf(Struct, frozen=True):
    """A value."""

    value: Any
    origin: Origin


class Branch(Struct, frozen=True):
    """Settings by name."""

    members: dict[str, Setting] = field(default_factory=dict)
    origin: Origin = DEFAULT


Setting: TypeAlias = Leaf | Branch

BAD: Final = object()
"""The value of a leaf that could not be read: nothing else is said about it."""


def shown_path(path: Path) -> str:
    """A path as people write it; names of peers cut short."""
    return ".".join(
        name if len(name) <= 80 and name.isprintable() else repr(name[:80])
        for name in path
    )


def merge(under: Branch, over: Branch) -> Branch:
    """What `over` says, and `under` where it says nothing; names of `under` first."""
    members = dict(under.members)
    for name, setting in over.members.items():
        below = members.get(name)
        if isinstance(below, Branch) and isinstance(setting, Branch):
            setting = merge(below, setting)
        members[name] = setting
    return Branch(members, under.origin if under.origin != DEFAULT else over.origin)


def at(path: Path, setting: Setting) -> Branch:
    """A layer that says one thing."""
    for name in reversed(path):
        setting = Branch({name: setting}, setting.origin)
    assert isinstance(setting, Branch)
    return setting


def names_of(settings: Branch, path: Path) -> list[str]:
    """The names that stand at a path."""
    found: Setting | None = settings
    for name in path:
        found = found.members.get(name) if isinstance(found, Branch) else None
    return list(found.members) if isinstance(found, Branch) else []


class _Build:
    """One building of the tree; see `build`."""

    def __init__(self) -> None:
        self.origins: dict[Path, Origin] = {}
        self.missing: list[tuple[Path, Origin]] = []

    def value(
        self, shape: Shape, setting: Setting | None, default: Any, path: Path
    ) -> Any:
        if isinstance(shape, Record):
            assert not isinstance(setting, Leaf) or setting.value is BAD
            if isinstance(setting, Leaf):
                return BAD
            return self._record(shape, setting or Branch(), default, path)
        if isinstance(shape, Map):
            return self._map(shape, setting, path)
        if setting is None:
            self.origins[path] = DEFAULT
            return default
        assert isinstance(setting, Leaf)
        self.origins[path] = setting.origin
        return setting.value

    def _record(self, shape: Record, branch: Branch, default: Any, path: Path) -> Any:
        values: dict[str, Any] = {"name": path[-1]} if shape.named else {}
        whole = True
        for key in shape.keys:
            setting = branch.members.get(key.name)
            below = getattr(default, key.name, key.default)
            found = self.value(key.shape, setting, below, (*path, key.name))
            if found is NODEFAULT:
                self.missing.append(((*path, key.name), branch.origin))
                found = BAD
            if found is BAD:
                if key.default is NODEFAULT:
                    whole = False
                continue
            values[key.name] = found
        return shape.type(**values) if whole else BAD

    def _map(self, shape: Map, setting: Setting | None, path: Path) -> Any:
        members = setting.members if isinstance(setting, Branch) else {}
        found = {}
        for name, member in members.items():
            if isinstance(shape.value, Record):
                self.origins[*path, name] = member.origin
            found[name] = self.value(shape.value, member, None, (*path, name))
        return {name: value for name, value in found.items() if value is not BAD}


def build(
    shape: Record, settings: Branch
) -> tuple[Any, dict[Path, Origin], list[tuple[Path, Origin]]]:
    """The records of the tree.

    Args:
        shape: Of the tree.
        settings: What all layers together say.

    Returns:
        The tree (`BAD` where something that its top needs is missing or bad), where
        every value comes from, and the paths of what is needed and missing, each with
        the origin of the record that lacks it. Entries of maps that lack something
        are left out.
    """
    building = _Build()
    tree = building.value(shape, settings, None, ())
    return tree, building.origins, building.missing
