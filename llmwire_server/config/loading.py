"""The configuration, put together: defaults, the file, the environment, the flags.

Each goes over the one before. All that is wrong with any of them is told at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, structs

from llmwire_server.backends import BUILT_IN, SIMULATOR, Backend
from llmwire_server.config.checks import problem_at, wrong
from llmwire_server.config.files import read_file
from llmwire_server.config.key_files import with_key_files
from llmwire_server.config.overrides import (
    FILE_VARIABLE,
    Flag,
    read_environment,
    read_flags,
    read_vendors,
)
from llmwire_server.config.settings import (
    DEFAULT,
    Branch,
    ConfigError,
    Leaf,
    Origins,
    Path,
    Problem,
    build,
    merge,
    names_of,
    shown_path,
)
from llmwire_server.config.shapes import Record, shape_of
from llmwire_server.config.tree import Config

__all__ = ("SHAPE", "Loaded", "load", "load_all")

SHAPE: Final[Record] = shape_of(Config)
"""Of everything that the server can be told."""


class Loaded(Struct, frozen=True, kw_only=True):
    """A configuration, and where it comes from."""

    config: Config
    origins: Origins
    file: str | None
    """The file that was read."""
    outdone: tuple[str, ...] = ()
    """What a file says of a built-in backend and the environment says otherwise."""


def load(
    file: str | None = None,
    *,
    flags: Sequence[Flag] = (),
    environment: Mapping[str, str] | None = None,
) -> Config:
    """The configuration; see `load_all`.

    Raises:
        ConfigError: Something is wrong with it.
    """
    return load_all(file, flags=flags, environment=environment).config


def load_all(
    file: str | None = None,
    *,
    flags: Sequence[Flag] = (),
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Put the configuration together.

    Args:
        file: Path of a YAML file; else the one that `LLMWIRE_CONFIG` names, if any.
        flags: What the command line says.
        environment: Instead of the process's own.

    Raises:
        ConfigError: Something is wrong with it; everything that is, is told.
    """
    variables = os.environ if environment is None else environment
    file = file or variables.get(FILE_VARIABLE) or None
    problems: list[Problem] = []
    unknown: dict[str, Problem] = {}
    asked: set[str] = set()

    def look_up(name: str) -> str | None:
        asked.add(name)
        return variables.get(name)

    said = read_file(file, SHAPE, look_up, problems) if file else Branch()
    own = read_environment(variables, SHAPE, said, problems, unknown)
    below = merge(said, own)
    spoken = read_flags(flags, SHAPE, below, look_up, problems)
    problems += [unknown[name] for name in unknown if name not in asked]
    named = names_of(merge(below, spoken), ("backends",))
    vendors = read_vendors(variables, SHAPE, named, problems)
    settings = merge(merge(merge(said, vendors), own), spoken)
    settings = merge(settings, _built_in(settings))
    tree, origins, missing = build(SHAPE, settings)
    for path, origin in missing:
        line = f", line {origin.line}" if origin.line else ""
        text = f"{origin.name}{line}, {shown_path(path)}: is needed"
        problems.append(Problem(text, origin.line))

    def tell(path: Path, what: str) -> None:
        problems.append(problem_at(path, origins, what))

    config = with_key_files(_completed(tree), origins, tell)
    problems += wrong(config, origins, names_of(settings, ("backends",)))
    if problems:
        raise ConfigError(problems)
    outdone = tuple(_outdone(said, vendors))
    return Loaded(config=config, origins=origins, file=file, outdone=outdone)


def _built_in(settings: Branch) -> Branch:
    """What is known of the built-in backends that are there, where nothing is said."""
    there: dict[str, Any] = {}
    backends = settings.members.get("backends")
    members = backends.members if isinstance(backends, Branch) else {}
    for row in BUILT_IN:
        said = members.get(row.name)
        if isinstance(said, Branch):
            facts = {"dialect": row.dialect, "base_url": row.base_url}
            lacking = facts.keys() - said.members.keys()
            there[row.name] = Branch(
                {key: Leaf(facts[key], DEFAULT) for key in facts if key in lacking}
            )
    return Branch({"backends": Branch(there)}) if there else Branch()


def _completed(config: Config) -> Config:
    """With the embedded simulator where it is asked for, and a default backend whose
    name is whole."""
    backends = dict(config.backends)
    asked = config.default_backend.partition(":")[0] == SIMULATOR
    if not backends or asked or config.simulator.rules:
        backends[SIMULATOR] = Backend(name=SIMULATOR, dialect="openai-chat")
    name, _, model = config.default_backend.partition(":")
    if model and not name:
        name = next(iter(backends))
    return structs.replace(
        config,
        backends=backends,
        default_backend=f"{name}:{model}" if model else name,
    )


def _outdone(said: Branch, vendors: Branch) -> list[str]:
    found = []
    for name in names_of(vendors, ("backends",)):
        own = names_of(said, ("backends", name))
        for key in names_of(vendors, ("backends", name)):
            ways = ("api_key", "api_key_file") if key == "api_key" else (key,)
            found += [f"backends.{name}.{way}" for way in ways if way in own]
    return found
