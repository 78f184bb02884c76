"""What the environment and the flags of a command say, as layers of settings.

Every key of the tree has a variable: `LLMWIRE_` and the names on the way to it in
capitals, two underscores between them (`LLMWIRE_LIMITS__BODY`); `-` and `.` of a name
are one underscore. The vendors' own variables (`OPENAI_API_KEY` …) make the built-in
backends. Flags name a path with dots: `limits.body`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import yaml
from msgspec import Struct

from llmwire_server.backends import BUILT_IN
from llmwire_server.config.files import composed, yaml_problem
from llmwire_server.config.reader import Lookup, Reader, Source
from llmwire_server.config.rules import RULES, suggestion
from llmwire_server.config.settings import (
    Branch,
    Origin,
    Path,
    Problem,
    Setting,
    at,
    merge,
    names_of,
    shown_path,
)
from llmwire_server.config.shapes import Many, Map, Record, Scalar, Shape
from llmwire_server.config.values import BadValue, read_scalar

__all__ = (
    "FILE_VARIABLE",
    "PREFIX",
    "Flag",
    "read_environment",
    "read_flags",
    "read_vendors",
    "variable_of",
)

PREFIX: Final = "LLMWIRE_"
FILE_VARIABLE: Final = "LLMWIRE_CONFIG"
_OTHERS: Final = (FILE_VARIABLE, "LLMWIRE_TEST_", "LLMWIRE_CI_")
"""Variables, or beginnings of them, that are not of the tree."""
_TEXT: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_LIST: Final = "tag:yaml.org,2002:seq"
_MARK: Final = yaml.Mark("", 0, 0, 0, "", 0)
"""Where nodes stand that no file holds."""
_SHOWN: Final = re.compile(r"[A-Za-z0-9_]{1,80}\Z")


class Flag(Struct, frozen=True):
    """One thing that a command line says."""

    name: str
    """As people wrote it: `--port`."""
    path: str
    """With dots: `limits.body`."""
    text: str


class _Way(NamedTuple):
    """A path into the tree, and what may stand there."""

    path: Path
    shape: Shape


class _NoWay(Exception):
    """There is no such key; the text says why."""


def variable_of(path: Iterable[str]) -> str:
    """The environment variable of a key."""
    return PREFIX + "__".join(_folded(name) for name in path).upper()


def _folded(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def read_environment(
    variables: Mapping[str, str],
    shape: Record,
    below: Branch,
    problems: list[Problem],
    unknown: dict[str, Problem],
) -> Branch:
    """What the variables `LLMWIRE_…` say; empty ones say nothing.

    Args:
        variables: The environment.
        shape: Of the tree.
        below: What goes before; its names are found in whatever case they are.
        problems: Takes what is wrong.
        unknown: Takes the variables that are of no key.
    """
    layer = Branch()
    for variable in sorted(variables):
        text = variables[variable]
        if not variable.startswith(PREFIX) or variable.startswith(_OTHERS) or not text:
            continue
        pieces = variable[len(PREFIX) :].lower().split("__")
        try:
            way = _variable_way(pieces, shape, merge(below, layer))
        except _NoWay as error:
            shown = variable if _SHOWN.match(variable) else repr(variable[:80])
            unknown[variable] = Problem(f"{shown}: {error}")
            continue
        origin = Origin("environment", variable)
        layer = merge(layer, _layer(way, text, origin, None, problems))
    return layer


def _variable_way(pieces: list[str], shape: Record, below: Branch) -> _Way:
    path: Path = ()
    here: Shape = shape
    for piece in pieces:
        if isinstance(here, Record):
            key = here.key(piece)
            if key is None:
                raise _NoWay("unknown variable" + _near_variable(path, piece, here))
            name, here = key.name, key.shape
        elif isinstance(here, Map):
            name, here = _known_name(piece, path, here, below), here.value
        else:
            near = variable_of(path)
            raise _NoWay(f"unknown variable; did you mean {near!r}?")
        path = (*path, name)
    return _Way(path, here)


def _near_variable(path: Path, piece: str, here: Record) -> str:
    for inner in _inner_paths(here):
        if "_".join(inner) == piece:
            return f"; did you mean {variable_of((*path, *inner))!r}?"
    names = {key.name: variable_of((*path, key.name)) for key in here.keys}
    near = difflib.get_close_matches(piece, names, n=1)
    if near:
        return f"; did you mean {names[near[0]]!r}?"
    return f"; known are {', '.join(names.values())}"


def _inner_paths(here: Record) -> Iterable[Path]:
    """Paths of two names, which people join by one underscore by mistake."""
    for key in here.keys:
        if isinstance(key.shape, Record):
            for inner in key.shape.keys:
                yield key.name, inner.name


def _known_name(piece: str, path: Path, here: Map, below: Branch) -> str:
    """The name of a map that a piece of a variable means; else the piece itself."""
    names = names_of(below, path)
    if path == ("backends",):
        names += [row.name for row in BUILT_IN]
    rule = RULES[here.name.rule] if here.name.rule else None
    if rule is not None and rule.known is not None:
        names += rule.known()
    found = [name for name in dict.fromkeys(names) if _folded(name) == piece]
    if len(found) > 1:
        raise _NoWay(f"this could be any of {', '.join(found)}")
    return _name(found[0] if found else piece, here)


def _name(name: str, here: Map) -> str:
    """A name of a map, if it may be one."""
    try:
        read_scalar(name, here.name)
    except BadValue as error:
        raise _NoWay(str(error)) from None
    return name


def read_vendors(
    variables: Mapping[str, str],
    shape: Record,
    named: Iterable[str],
    problems: list[Problem],
) -> Branch:
    """What the vendors' own variables say of the built-in backends.

    Args:
        variables: The environment.
        shape: Of the tree.
        named: Backends that are there without a key.
        problems: Takes what is wrong.
    """
    layer = Branch()
    there = set(named)
    for row in BUILT_IN:
        for variable, key in (
            (row.key_variable, "api_key"),
            (row.url_variable, "base_url"),
        ):
            text = variables.get(variable)
            if text and (row.name in there or variables.get(row.key_variable)):
                way = _variable_way(["backends", row.name, key], shape, Branch())
                origin = Origin("environment", variable)
                layer = merge(layer, _layer(way, text, origin, None, problems))
    return layer


def read_flags(
    flags: Sequence[Flag],
    shape: Record,
    below: Branch,
    variables: Lookup,
    problems: list[Problem],
) -> Branch:
    """What a command line says, the last word of several.

    Args:
        flags: In their order.
        shape: Of the tree.
        below: What goes before.
        variables: For `${VARIABLE}`.
        problems: Takes what is wrong.
    """
    layer = Branch()
    for flag in flags:
        try:
            way = _flag_way(flag.path, shape, merge(below, layer))
        except _NoWay as error:
            problems.append(Problem(f"{flag.name} {flag.path[:80]!r}: {error}"))
            continue
        name = flag.name if flag.name != "--set" else f"--set {shown_path(way.path)}"
        found = _layer(way, flag.text, Origin("flag", name), variables, problems)
        if _written_secret(shape, found):
            problems.append(
                Problem(
                    f"{name}: every user of this machine can read a command line; "
                    "write ${VARIABLE}, or put the secret into the environment or "
                    "the file"
                )
            )
        layer = merge(layer, found)
    return layer


def _flag_way(written: str, shape: Record, below: Branch) -> _Way:
    path: Path = ()
    here: Shape = shape
    rest = written.split(".")
    while rest:
        if isinstance(here, Record):
            key = here.key(rest[0])
            if key is None:
                near = suggestion(rest[0], [key.name for key in here.keys])
                raise _NoWay("unknown key" + near)
            name, here, rest = key.name, key.shape, rest[1:]
        elif isinstance(here, Map):
            count = _name_length(rest, here, names_of(below, path))
            name = _name(".".join(rest[:count]), here)
            here, rest = here.value, rest[count:]
        else:
            raise _NoWay(f"unknown key; {shown_path(path)} is a value")
        path = (*path, name)
    return _Way(path, here)


def _name_length(rest: list[str], here: Map, known: list[str]) -> int:
    """Of how many pieces between dots the name of a map is made."""
    if isinstance(here.value, Scalar):
        return len(rest)
    lengths = range(len(rest), 0, -1)
    return next((n for n in lengths if ".".join(rest[:n]) in known), 1)


def _layer(
    way: _Way,
    text: str,
    origin: Origin,
    variables: Lookup | None,
    problems: list[Problem],
) -> Branch:
    """The layer that says one thing."""
    source = Source(origin=origin, path=way.path, variables=variables)
    try:
        node = _node(text, way.shape)
    except yaml.YAMLError as error:
        what = yaml_problem(error).partition(": ")[2]
        problems.append(Problem(f"{origin.name}: {what}"))
        return Branch()
    return at(way.path, Reader(source, problems).read(node, way.shape, way.path))


def _node(text: str, shape: Shape) -> yaml.Node:
    """What a text says, as a file would.

    Raises:
        yaml.YAMLError: It is a list in brackets, or a mapping, and not well written.
    """
    if isinstance(shape, Scalar):
        return _text_node(text)
    several = isinstance(shape, Many) and isinstance(shape.item, Scalar)
    if several and not text.lstrip().startswith("["):
        pieces = [piece.strip() for piece in text.split(",")]
        items = [_text_node(piece) for piece in pieces if piece]
        return yaml.SequenceNode(_LIST, items, _MARK, _MARK)
    return composed(text) or yaml.ScalarNode(_NULL, "", _MARK, _MARK)


def _text_node(text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode(_TEXT, text, _MARK, _MARK, style='"')


def _written_secret(shape: Shape, setting: Setting) -> bool:
    """Whether a setting holds a secret that stands there itself."""
    if isinstance(setting, Branch):
        assert isinstance(shape, Map | Record)
        return any(
            _written_secret(below, member)
            for name, member in setting.members.items()
            if (below := _shape_below(shape, name)) is not None
        )
    item = shape.item if isinstance(shape, Many) else shape
    secret = isinstance(item, Scalar) and item.kind == "secret"
    return secret and setting.origin.literal and bool(setting.value)


def _shape_below(shape: Map | Record, name: str) -> Shape | None:
    if isinstance(shape, Map):
        return shape.value
    key = shape.key(name)
    return key.shape if key else None
