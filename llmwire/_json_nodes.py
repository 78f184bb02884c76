"""Strict JSON with its places: every value knows where in the text it stands.

Knows nothing of schemas. What `json` calls valid and the standard does not (NaN and the
infinities) is refused.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from msgspec import Struct

__all__ = ("Member", "Node", "parse", "strict_value")

_BLANK: Final = re.compile(r"[ \t\n\r]*+")
_SCALAR: Final = re.compile(
    r'"(?:[^"\\]++|\\.)*+"|true|false|null|-?[0-9]++[0-9.eE+\-]*+', re.DOTALL
)


class Node(Struct, frozen=True):
    """A value, and the characters from `start` to `end` that it is written in."""

    start: int
    end: int
    value: Any
    members: tuple[Member, ...] = ()
    """Of an object."""
    items: tuple[Node, ...] = ()
    """Of an array."""


class Member(Struct, frozen=True):
    """One member of an object."""

    start: int
    """Of the name's opening quote."""
    name_end: int
    """Behind the name's closing quote."""
    name: str
    node: Node


def _reject(word: str) -> NoReturn:
    raise ValueError(word)


_DECODER: Final = json.JSONDecoder(parse_constant=_reject)


def strict_value(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is no JSON, or a number in it is too long to be read.
        RecursionError: It is nested too deeply.
    """
    return _DECODER.decode(text)


def parse(text: str) -> Node:
    """The value of a JSON text, with its places. Raises like `strict_value`."""
    strict_value(text)
    return _node(text, _skipped(text, 0))


def _skipped(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    assert blank is not None  # it matches everywhere
    return blank.end()


def _node(text: str, at: int) -> Node:
    """The value that begins at `at`, in a text that is known to be JSON."""
    letter = text[at]
    if letter == "{":
        return _object(text, at)
    if letter == "[":
        return _array(text, at)
    found = _SCALAR.match(text, at)
    assert found is not None  # it begins every other value
    return Node(at, found.end(), _DECODER.decode(found[0]))


def _object(text: str, at: int) -> Node:
    start = at
    members: list[Member] = []
    at = _skipped(text, at + 1)
    while text[at] != "}":
        name = _node(text, at)
        node = _node(text, _skipped(text, _skipped(text, name.end) + 1))
        members.append(Member(at, name.end, name.value, node))
        at = _skipped(text, node.end)
        if text[at] == ",":
            at = _skipped(text, at + 1)
    value = {member.name: member.node.value for member in members}
    return Node(start, at + 1, value, members=tuple(members))


def _array(text: str, at: int) -> Node:
    start = at
    items: list[Node] = []
    at = _skipped(text, at + 1)
    while text[at] != "]":
        items.append(_node(text, at))
        at = _skipped(text, items[-1].end)
        if text[at] == ",":
            at = _skipped(text, at + 1)
    return Node(start, at + 1, [n.value for n in items], items=tuple(items))
