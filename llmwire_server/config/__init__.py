"""Configuration: YAML, the environment and flags become frozen records.

The only module that reads the environment or a configuration file. JSON is YAML, so
either will do. Flags go before the file, the file before the environment. Every
mistake is one `ConfigError` that names the file, the line and the key, and the nearest
name where one was probably meant.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct
from msgspec.structs import replace

from llmwire.dialects import dialects
from llmwire.profiles import PROFILES
from llmwire_server.backends import (
    BUILT_IN,
    SIMULATOR,
    Backend,
    Secret,
    parse_base_url,
)
from llmwire_server.config.tree import Config, Simulator, SimulatorRule

__all__ = ("Config", "ConfigError", "load")

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


class ConfigError(Exception):
    """The configuration cannot be used; the text says where and why."""


class _Place(Struct, frozen=True):
    """Where a value of the file stands."""

    file: str
    line: int
    key: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, {self.key}"

    def error(self, what: str) -> ConfigError:
        return ConfigError(f"{self}: {what}")


def load(
    file: str | None = None,
    *,
    default_backend: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Put the configuration together.

    Args:
        file: Path of a YAML file.
        default_backend: The flag `--default-backend`: NAME or NAME:MODEL.
        environment: Instead of the process's own.

    Raises:
        ConfigError: Something is wrong with it.
    """
    variables = os.environ if environment is None else environment
    backends = _from_environment(variables)
    rules: tuple[SimulatorRule, ...] = ()
    pace = 0.0
    chosen, place = default_backend, "--default-backend"
    if file is not None:
        reader = _File(file, variables)
        named = reader.backends(backends)
        others = {name: b for name, b in backends.items() if name not in named}
        backends = {**named, **others}
        rules, pace = reader.simulator()
        if chosen is None:
            chosen, place = reader.default_backend()
    if not backends or (chosen or "").partition(":")[0] == SIMULATOR or rules:
        backends[SIMULATOR] = Backend(name=SIMULATOR, dialect="openai-chat")
    name, model = _default(chosen, place, backends)
    return Config(
        backends=backends,
        default_backend=f"{name}:{model}" if model else name,
        simulator=Simulator(rules=rules, pace=pace),
    )


def _default(
    chosen: str | None, place: str, backends: Mapping[str, Backend]
) -> tuple[str, str | None]:
    if chosen is None:
        return next(iter(backends)), None
    name, _, model = chosen.partition(":")
    if name not in backends:
        what = f"{place}: there is no backend {name!r}"
        raise ConfigError(what + _suggestion(name, backends))
    return name, model or None


def _from_environment(variables: Mapping[str, str]) -> dict[str, Backend]:
    backends: dict[str, Backend] = {}
    for row in BUILT_IN:
        key = variables.get(row.key_variable)
        if not key:
            continue
        url = variables.get(row.url_variable) or row.base_url
        try:
            parse_base_url(url)
        except ValueError as error:
            raise ConfigError(f"{row.url_variable}: {error}") from None
        try:
            secret = Secret(key)
        except ValueError as error:
            raise ConfigError(f"{row.key_variable}: {error}") from None
        backends[row.name] = Backend(
            name=row.name, dialect=row.dialect, base_url=url, api_key=secret
        )
    return backends


def _suggestion(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"


class _File:
    """One YAML file, read with the line of every key."""

    def __init__(self, file: str, variables: Mapping[str, str]) -> None:
        self._file = file
        self._variables = variables
        try:
            text = Path(file).read_text(encoding="utf-8")
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{file}: not UTF-8") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{file}{_yaml_problem(error)}") from None
        self._root = self._members(node, "the file")
        self._known(self._root, ("backends", "default_backend", "simulator"), "")

    def _place(self, node: yaml.Node | None, key: str) -> _Place:
        line = node.start_mark.line + 1 if node is not None else 1
        return _Place(self._file, line, key)

    def _members(
        self, node: yaml.Node | None, key: str
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise self._place(node, key).error("expected names and values")
        members: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                raise self._place(name, key).error("a name must be text")
            if name.value in members:
                raise self._place(name, key).error(f"{name.value!r} stands here twice")
            members[name.value] = (name, value)
        return members

    def _known(
        self,
        members: Mapping[str, tuple[yaml.Node, yaml.Node]],
        names: tuple[str, ...],
        prefix: str,
    ) -> None:
        for name, (node, _) in members.items():
            if name not in names:
                what = "unknown key" + _suggestion(name, names)
                raise self._place(node, prefix + name).error(what)

    def _string(self, node: yaml.Node, key: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag.endswith(":null"):
            raise self._place(node, key).error("expected text")

        def value_of(match: re.Match[str]) -> str:
            found = self._variables.get(match[1])
            if found is None:
                what = f"the environment has no variable {match[1]}"
                raise self._place(node, key).error(what)
            return found

        return _VARIABLE.sub(value_of, str(node.value))

    def _strings(self, node: yaml.Node, key: str) -> tuple[str, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._place(node, key).error("expected a list")
        return tuple(self._string(item, key) for item in node.value)

    def _number(self, node: yaml.Node, key: str) -> float:
        try:
            number = float(self._string(node, key))
        except ValueError:
            raise self._place(node, key).error("expected a number") from None
        if not 0 <= number < 3600:
            raise self._place(node, key).error("expected a number from 0 to 3600")
        return number

    def default_backend(self) -> tuple[str | None, str]:
        """The default backend, None where the file names none, and its place."""
        key = "default_backend"
        pair = self._root.get(key)
        if pair is None:
            return None, ""
        return self._string(pair[1], key), str(self._place(pair[1], key))

    def backends(self, known: Mapping[str, Backend]) -> dict[str, Backend]:
        """The backends that the file names, over those `known` from elsewhere."""
        pair = self._root.get("backends")
        members = self._members(pair[1], "backends") if pair else {}
        return {
            name: self._backend(name, key, value, known.get(name))
            for name, (key, value) in members.items()
        }

    def _backend(
        self, name: str, at: yaml.Node, node: yaml.Node, known: Backend | None
    ) -> Backend:
        prefix = f"backends.{name}."
        if not _NAME.match(name) or name == SIMULATOR:
            what = "a backend's name is letters, digits, `_`, `.` and `-`"
            raise self._place(at, f"backends.{name}").error(what)
        members = self._members(node, f"backends.{name}")
        self._known(
            members, ("dialect", "base_url", "api_key", "models", "profile"), prefix
        )
        built_in = next((row for row in BUILT_IN if row.name == name), None)
        backend = known or (
            Backend(name=name, dialect=built_in.dialect, base_url=built_in.base_url)
            if built_in
            else Backend(name=name, dialect="")
        )
        changes: dict[str, Any] = {}
        for key, (_, value) in members.items():
            place = self._place(value, prefix + key)
            if key == "models":
                changes[key] = self._strings(value, prefix + key)
            else:
                changes[key] = _checked(key, self._string(value, prefix + key), place)
        backend = replace(backend, **changes)
        if not backend.dialect:
            raise self._place(at, prefix + "dialect").error("is needed")
        if not backend.base_url:
            raise self._place(at, prefix + "base_url").error("is needed")
        return backend

    def simulator(self) -> tuple[tuple[SimulatorRule, ...], float]:
        """What the embedded simulator is told: its rules and its pace."""
        pair = self._root.get("simulator")
        members = self._members(pair[1], "simulator") if pair else {}
        self._known(members, ("rules", "pace"), "simulator.")
        pace = 0.0
        if "pace" in members:
            pace = self._number(members["pace"][1], "simulator.pace")
        if "rules" not in members:
            return (), pace
        node = members["rules"][1]
        if not isinstance(node, yaml.SequenceNode):
            raise self._place(node, "simulator.rules").error("expected a list")
        return tuple(self._rule(at, item) for at, item in enumerate(node.value)), pace

    def _rule(self, at: int, node: yaml.Node) -> SimulatorRule:
        prefix = f"simulator.rules[{at}]."
        members = self._members(node, prefix[:-1])
        self._known(members, SimulatorRule.__struct_fields__, prefix)
        values: dict[str, Any] = {}
        for key, (_, value) in members.items():
            place = self._place(value, prefix + key)
            if key == "calls":
                values[key] = self._strings(value, prefix + key)
            elif key == "pace":
                values[key] = self._number(value, prefix + key)
            elif key == "error":
                values[key] = _status(self._string(value, prefix + key), place)
            else:
                values[key] = self._string(value, prefix + key)
        if "match" not in values:
            raise self._place(node, prefix + "match").error("is needed")
        try:
            re.compile(values["match"])
        except re.error as error:
            what = f"not a regular expression: {error}"
            raise self._place(node, prefix + "match").error(what) from None
        return SimulatorRule(**values)


def _checked(key: str, value: str, place: _Place) -> str | Secret:
    if key == "dialect" and value not in dialects():
        known = dialects()
        raise place.error(f"unknown dialect {value!r}" + _suggestion(value, known))
    if key == "profile" and value not in PROFILES:
        raise place.error(f"unknown profile {value!r}" + _suggestion(value, PROFILES))
    try:
        if key == "base_url":
            parse_base_url(value)
        return Secret(value) if key == "api_key" else value
    except ValueError as error:
        raise place.error(str(error)) from None


def _yaml_problem(error: yaml.YAMLError) -> str:
    """Where and what, without the line itself, which may hold a key."""
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark is not None else ""
    problem = getattr(error, "problem", None)
    return f"{line}: not YAML" + (f": {problem}" if problem else "")


def _status(text: str, place: _Place) -> int:
    if not text.isdigit() or not 400 <= int(text) <= 599:
        raise place.error("expected an HTTP status from 400 to 599")
    return int(text)
