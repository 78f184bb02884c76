"""What was sent and what was read back of it, lined up part by part.

Turns are joined and split on the way to Messages, and instructions and placeholders are
added, so that parts are compared as one sequence: each part without a loss of its own
must turn up, in order and on its side. Every other member must be equal, or lie under
the path of a loss; a loss that says `dropped` or `approximated` must name something
that is there and differs. Not compared: dialects, ids, the model, raw words, our own
notes and nulls in extras.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from llmwire._json import decode_any, is_json
from llmwire.losses import Loss
from llmwire.messages import CacheMark, Message, Response, ToolCallPart, ToolResultPart
from llmwire.requests import Request

_IGNORED: Final = frozenset(
    {
        "betas",
        "call_id",
        "created",
        "dialect",
        "group",
        "id",
        "include_usage",
        "index",
        "model",
        "raw",
        "tag",
        "version",
    }
)
_DIFFERING: Final = ("dropped", "approximated")
_STEP = re.compile(r"\.?([A-Za-z_]+)|\[([^\]]*)\]")
_LISTS: Final = ("messages", "choices", "tools")

_Node = Request | Response
_Placed = tuple[str, str, Any]
"""Where a part stands, on which side, and the part."""


def unexplained(left: _Node, right: _Node, losses: Iterable[Loss]) -> list[str]:
    """Places at which `right` differs from `left` though no loss says so."""
    told = {loss.path for loss in losses}
    found = [
        path
        for path in _differences(_rest(left), _rest(right), "")
        if not _covered(path, told)
    ]
    if isinstance(left, Request) and isinstance(right, Request):
        tools = [
            [(f"tools[{at}]", "", tool) for at, tool in enumerate(node.tools)]
            for node in (left, right)
        ]
        found += _missing(tools[0], tools[1], told)
    told.discard("messages")
    return found + _missing(_parts(left), _parts(right), told)


def unfounded(left: _Node, right: _Node, losses: Iterable[Loss]) -> list[str]:
    """Losses that say `dropped` or `approximated` where nothing differs."""
    found = []
    for loss in losses:
        if loss.action not in _DIFFERING or loss.path == "":
            continue
        value = _at(left, loss.path)
        if _says_nothing(value):
            found.append(f"{loss.path}: nothing is there ({loss.reason})")
        elif not loss.path.startswith(_LISTS) and not list(
            _differences(value, _at(right, loss.path), loss.path)
        ):
            found.append(f"{loss.path}: nothing differs ({loss.reason})")
    return found


def _covered(path: str, told: set[str]) -> bool:
    return path in told or any(path.startswith((f"{e}.", f"{e}[")) for e in told)


def _rest(node: _Node) -> dict[str, Any]:
    """The members that are no lists of tools or parts."""
    names = [name for name in node.__struct_fields__ if name not in _LISTS]
    fields = {name: getattr(node, name) for name in names}
    if isinstance(node, Response) and node.choices:
        first, names = node.choices[0], ["stop", "stop_sequence", "detail", "extras"]
        fields["choices"] = [{name: getattr(first, name) for name in names}]
    return fields


def _differences(left: Any, right: Any, path: str) -> Iterator[str]:
    """Paths of leaves that differ."""
    if _says_nothing(left) and _says_nothing(right):
        return
    if isinstance(left, Struct) or isinstance(right, Struct):
        if None not in (left, right) and type(left) is not type(right):
            yield path
            return
        left, right = _fields(left), _fields(right)
    if isinstance(left, dict) and isinstance(right, dict):
        for name in {**left, **right}:
            a, b = left.get(name), right.get(name)
            if name == "extras":
                yield from _extras(a or {}, b or {}, path)
            elif name not in _IGNORED and name[:1] != "@":
                yield from _differences(a, b, f"{path}.{name}" if path else name)
    elif isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        for at in range(max(len(left), len(right))):
            a = left[at] if at < len(left) else None
            b = right[at] if at < len(right) else None
            yield from _differences(a, b, f"{path}[{at}]")
    elif not _equal(left, right):
        yield path


def _fields(node: Struct | None) -> dict[str, Any]:
    if node is None:
        return {}
    return {name: getattr(node, name) for name in node.__struct_fields__}


def _extras(left: dict[str, Raw], right: dict[str, Raw], path: str) -> Iterator[str]:
    for key in {**left, **right}:
        a, b = left.get(key), right.get(key)
        silent = _says_nothing(a) and _says_nothing(b)
        if key[:1] != "@" and not silent and not _equal(a, b):
            yield f"{path}.extras[{key}]" if path else f"extras[{key}]"


def _says_nothing(value: Any) -> bool:
    if isinstance(value, Raw):
        return bytes(value) == b"null"
    if isinstance(value, Struct) and not isinstance(value, CacheMark):
        fields = _fields(value).items()
        return all(_says_nothing(v) for name, v in fields if name not in _IGNORED)
    return value is None or value is False or value == () or value == {}


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, Raw) and isinstance(right, Raw):
        return bool(decode_any(bytes(left)) == decode_any(bytes(right)))
    return bool(left == right)


def _parts(node: _Node) -> list[_Placed]:
    if isinstance(node, Request):
        return [
            (f"messages[{at}].parts[{index}]", _side(message), part)
            for at, message in enumerate(node.messages)
            for index, part in enumerate(message.parts)
        ]
    return [
        (f"choices[0].parts[{index}]", "assistant", part)
        for index, part in enumerate(node.choices[0].parts if node.choices else ())
    ]


def _side(message: Message) -> str:
    return "system" if message.role == "developer" else message.role


def _missing(left: list[_Placed], right: list[_Placed], told: set[str]) -> list[str]:
    """Of `left`, what has no counterpart in `right` and no loss."""
    problems: list[str] = []
    after = 0
    for path, side, node in left:
        if _covered(path, told):
            continue
        best: list[str] | None = None
        for at in range(after, len(right)):
            _, other_side, other = right[at]
            if other_side != side or type(other) is not type(node):
                continue
            found = _part_differences(node, other, path, told)
            differing = [place for place in found if not _covered(place, told)]
            if not differing:
                after, best = at + 1, []
                break
            if best is None or len(differing) < len(best):
                best = differing
        problems += [path] if best is None else best
    return problems


def _part_differences(left: Any, right: Any, path: str, told: set[str]) -> list[str]:
    if isinstance(left, ToolResultPart):
        inner = _missing(
            [(f"{path}.parts[{at}]", "", part) for at, part in enumerate(left.parts)],
            [("", "", part) for part in right.parts],
            told,
        )
        left, right = (msgspec.structs.replace(p, parts=()) for p in (left, right))
        return inner + list(_differences(left, right, path))
    found = list(_differences(left, right, path))
    if isinstance(left, ToolCallPart) and _arguments(left) == _arguments(right):
        found = [place for place in found if place != f"{path}.arguments"]
    return found


def _arguments(part: ToolCallPart) -> Any:
    text = part.arguments.strip()
    if text in ("", "null"):
        return {}
    return decode_any(text) if is_json(text) else part.arguments


def _at(node: Any, path: str) -> Any:
    """The value at `path`, None where it leads nowhere."""
    for name, index in _STEP.findall(path):
        if name:
            node = getattr(node, name, None)
        elif isinstance(node, dict):
            node = node.get(index)
        elif node is not None:
            node = node[int(index)] if int(index) < len(node) else None
    return node
