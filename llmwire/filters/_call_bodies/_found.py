"""A call that was read from text, and the tools that it may name.

Knows names and JSON schemas; nothing of formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from llmwire.requests import Tool

__all__ = ("PREFIXES", "FoundCall", "Tools", "resolved", "schema_of")

Tools: TypeAlias = Mapping[str, Tool]
"""The tools that were declared, by their names."""

PREFIXES: Final = ("functions.", "function.", "default_api.", "tools.", "tool.")
"""What models put before a name."""


class FoundCall(Struct, frozen=True, gc=False):
    """One call, as a model wrote it."""

    name: str
    """Of a declared tool."""
    arguments: str
    """The text of a JSON object."""
    id: str | None = None
    """Where the format gives one."""


def resolved(name: str, tools: Tools) -> str | None:
    """The declared tool that `name` means: itself, or without a prefix of models."""
    name = name.strip()
    if name in tools:
        return name
    for prefix in PREFIXES:
        if name.startswith(prefix) and name[len(prefix) :] in tools:
            return name[len(prefix) :]
    return None


def schema_of(tool: Tool) -> Mapping[str, Any]:
    """The JSON schema of the arguments; empty where it is none."""
    try:
        schema = msgspec.json.decode(tool.schema or b"{}")
    except (msgspec.DecodeError, RecursionError):
        return {}
    return schema if isinstance(schema, dict) else {}
