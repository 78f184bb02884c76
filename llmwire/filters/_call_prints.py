"""What makes two tool calls the same call, and two results the same result.

Knows JSON and text. Arguments are compared by value: the order of members, the spelling
of a number and the slashes of a path make no difference. Results are compared by the
character.

The *shape* of a call or a result leaves out what changes by itself: members that name
the request, and all digits of a result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from llmwire._ids import digest

__all__ = ("PATH_KEYS", "VOLATILE_KEYS", "fingerprint", "print_of_result")

PATH_KEYS: Final = frozenset(
    {
        "cwd",
        "dir",
        "directory",
        "file",
        "file_name",
        "filename",
        "files",
        "folder",
        "paths",
        "target_file",
        "workdir",
    }
)
"""Members whose texts are paths, and all whose names end in `path`: a backslash in them
is a slash. Compared in small letters."""
VOLATILE_KEYS: Final = frozenset(
    {"nonce", "pid", "request_id", "timestamp", "tool_call_id", "trace_id"}
)
"""Members that the shape of a call leaves out. Not `id`, `offset`, `limit` or `line`:
who counts these up gets on."""
_DIGITS: Final = re.compile(r"\d+")
_SPACES: Final = re.compile(r"\s+")


def fingerprint(
    name: str,
    arguments: str,
    result: str | None = None,
    *,
    leave_out: Collection[str] = (),
) -> str:
    """24 letters and digits that are equal for equal calls with equal results.

    Args:
        name: Of the tool.
        arguments: JSON text, compared by value; any other text by the character, white
            space at its ends aside. Empty text is `{}`.
        result: None: it is not known, which equals no result that is.
        leave_out: Members of the arguments that make no difference, at any depth.
    """
    return digest("call", name, canonical(arguments, leave_out), result is None, result)


def print_of_result(text: str, *, error: bool = False, shape: bool = False) -> str:
    """24 letters and digits that are equal for equal results.

    Args:
        text: The whole result.
        error: The tool failed.
        shape: Digits and the amount of white space make no difference.
    """
    if shape:
        text = _SPACES.sub(" ", _DIGITS.sub("0", text.strip()))
    return digest("result", error, text)


def canonical(arguments: str, leave_out: Collection[str] = ()) -> str:
    """One text for all spellings of the same arguments."""
    text = arguments.strip() or "{}"
    try:
        value = json.loads(
            text, parse_float=_Number, parse_int=_Number, parse_constant=_Number
        )
        plain = _plain(value, frozenset(leave_out), in_path=False)
        return json.dumps(plain, sort_keys=True)
    except (ValueError, RecursionError):
        return f"text {text}"


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def _by_value(number: _Number) -> str:
    """One spelling for all numbers of a value; an absurd exponent keeps its own."""
    try:
        sign, digits, exponent = Decimal(number).as_tuple()
    except InvalidOperation:
        return number
    if isinstance(exponent, str):
        return number
    figures = "".join(map(str, digits))
    short = figures.rstrip("0")
    zeros = len(figures) - len(short)
    return f"{'-' * sign}{short}e{exponent + zeros}" if short else "0"


def _plain(value: Any, leave_out: frozenset[str], *, in_path: bool) -> Any:
    """`value` in its one spelling; a letter in front tells texts from numbers."""
    if isinstance(value, dict):
        return {
            key: _plain(each, leave_out, in_path=_is_path(key))
            for key, each in value.items()
            if key not in leave_out
        }
    if isinstance(value, list):
        return [_plain(each, leave_out, in_path=in_path) for each in value]
    if isinstance(value, _Number):
        return _by_value(value)
    if isinstance(value, str):
        return "s" + (value.replace("\\", "/") if in_path else value)
    return value


def _is_path(key: str) -> bool:
    name = key.lower()
    return name in PATH_KEYS or name.endswith("path")
