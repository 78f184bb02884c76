"""The effective configuration as YAML, with the origin of every value beside it.

Pure. Secrets are masked whole: no part of one, not even its length, is shown. What is
written can be read again, and gives the same configuration, where secrets are revealed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from llmwire_server.backends import SIMULATOR, Secret
from llmwire_server.config.settings import DEFAULT, Origins, Path
from llmwire_server.config.shapes import Many, Map, Record, Shape
from llmwire_server.config.values import MASK, written_number

__all__ = ("shown", "written_text")

_PLAIN: Final = re.compile(r"[A-Za-z/](?:[A-Za-z0-9_./+-]|:(?=[A-Za-z0-9/]))*\Z")
_WORDS: Final = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))
_USER: Final = re.compile(r"(?<=://)[^/@]*@")
_INDENT: Final = "  "


def shown(config: Any, shape: Record, origins: Origins, *, reveal: bool = False) -> str:
    """A configuration as YAML.

    Args:
        config: The records.
        shape: Theirs.
        origins: Where values come from; those that it does not name are defaults.
        reveal: Write secrets out, instead of `***`.
    """
    lines = _Writer(origins, reveal).record(config, shape, (), "")
    return "".join(f"{line}\n" for line in lines)


class _Writer:
    def __init__(self, origins: Origins, reveal: bool) -> None:
        self._origins = origins
        self._reveal = reveal

    def record(
        self, value: Any, shape: Record, path: Path | None, indent: str
    ) -> Iterator[str]:
        """The members; `path` is None for those of a record that stands in a list."""
        for key in shape.keys:
            found = getattr(value, key.name)
            yield from self._member(key.name, found, key.shape, path, indent)

    def _member(
        self, name: str, value: Any, shape: Shape, above: Path | None, indent: str
    ) -> Iterator[str]:
        path = None if above is None else (*above, name)
        start = f"{indent}{written_text(name)}:"
        if isinstance(shape, Record):
            yield start
            yield from self.record(value, shape, path, indent + _INDENT)
        elif isinstance(shape, Map):
            yield from self._map(start, value, shape, path, indent)
        elif isinstance(shape, Many) and isinstance(shape.item, Record) and value:
            yield start + self._comment(path)
            yield from self._list(value, shape.item, indent + _INDENT)
        elif isinstance(shape, Many):
            items = ", ".join(self._scalar(item) for item in value)
            yield f"{start} [{items}]{self._comment(path)}"
        else:
            yield f"{start} {self._scalar(value)}{self._comment(path)}"

    def _map(
        self,
        start: str,
        value: Mapping[str, Any],
        shape: Map,
        path: Path | None,
        indent: str,
    ) -> Iterator[str]:
        members = {
            name: member
            for name, member in value.items()
            if not (path == ("backends",) and name == SIMULATOR)
        }
        yield start if members else start + " {}"
        for name, member in members.items():
            yield from self._member(name, member, shape.value, path, indent + _INDENT)

    def _list(self, items: Any, shape: Record, indent: str) -> Iterator[str]:
        for item in items:
            lines = self.record(item, shape, None, indent + _INDENT)
            yield f"{indent}- {next(lines).lstrip()}"
            yield from lines

    def _comment(self, path: Path | None) -> str:
        """Where the value comes from."""
        if path is None:
            return ""
        origin = str(self._origins.get(path, DEFAULT))
        return f"  # {origin if origin.isprintable() else repr(origin)}"

    def _scalar(self, value: Any) -> str:
        if isinstance(value, Secret):
            return _escaped(value.reveal()) if self._reveal else f"'{MASK}'"
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return written_number(value)
        text = str(value)
        return _escaped(text if self._reveal else _USER.sub(f"{MASK}@", text))


def _escaped(text: str) -> str:
    """A text as YAML that no variable has a part in."""
    return written_text(text.replace("${", "$${"))


def written_text(text: str) -> str:
    """A text as YAML, quoted where it has to be."""
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(map(_written_character, text)) + '"'


def _written_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
