"""Arguments that come in pieces, each with the JSONPath where it belongs.

Vertex streams the arguments of a call so where the client asked for it
(`streamFunctionCallArguments`): the first piece names the call, pieces of one path
join while `willContinue` says so, and a piece without it ends the call.

https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import UNSET, Raw

from llmwire._json import decode_any, decode_object, encode
from llmwire.errors import RemoteProtocolError
from llmwire.messages import Extras, Signature

_STEP = re.compile(
    r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d{1,9})\]"
    r"|\['(?P<single>[^']*)'\]|\[\"(?P<double>[^\"]*)\"\]"
)
_VALUES: Final = ("stringValue", "numberValue", "boolValue", "nullValue")
MAX_GAP: Final = 1000
"""Places of an array that a path may leave out."""


class _Pieces(list[str]):
    """A string that still grows."""


class PartialCall:
    """One call while its arguments come."""

    __slots__ = ("base", "extras", "name", "native", "signature", "size", "tree")

    def __init__(self) -> None:
        self.name = ""
        self.native: str | None = None
        self.signature: Signature | None = None
        self.extras: Extras | None = None
        self.base: Raw | None = None
        self.tree: Any = None
        self.size = 0
        """Characters held so far."""

    def add(self, piece: Raw) -> bool:
        """Take one of `partialArgs`; False where it cannot be understood."""
        try:
            members = decode_object(bytes(piece))
            steps = _steps(decode_any(bytes(members.get("jsonPath", b"null"))))
            name = next((n for n in _VALUES if n in members), None)
            value = decode_any(bytes(members[name])) if name is not None else ""
        except RemoteProtocolError:
            return False
        self.size += len(bytes(piece))
        if not steps:
            return False
        if name == "nullValue":
            value = None
        elif name in ("stringValue", None):
            value = _Pieces([value]) if isinstance(value, str) else _Pieces()
        elif name == "numberValue":
            value = members[name]
        if self.tree is None:
            self.tree = {} if isinstance(steps[0], str) else []
        return _put(self.tree, steps, value)

    def text(self) -> str:
        """The arguments so far as JSON: compact, in the order of the first pieces."""
        if self.tree is None:
            return bytes(self.base).decode("utf-8", "replace") if self.base else "{}"
        return encode(_joined(self.tree)).decode("utf-8", "replace")


def _steps(path: Any) -> list[str | int]:
    """`$.a.b[0]` as its steps, empty where it is no such path."""
    if not isinstance(path, str) or not path.startswith("$"):
        return []
    steps: list[str | int] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or len(steps) > 64:
            return []
        at = match.end()
        if match["index"] is not None:
            steps.append(int(match["index"]))
        else:
            steps.append(match["name"] or match["single"] or match["double"] or "")
    return steps


def _put(node: Any, steps: list[str | int], value: Any) -> bool:
    """Put `value` at `steps` below `node`, making what is missing on the way."""
    for at, step in enumerate(steps):
        if not _fits(node, step):
            return False
        last = at == len(steps) - 1
        below = node[step]
        if last:
            if isinstance(below, _Pieces) and isinstance(value, _Pieces):
                below.extend(value)
            else:
                node[step] = value
        elif below is UNSET:
            node[step] = {} if isinstance(steps[at + 1], str) else []
        node = node[step]
    return True


def _fits(node: Any, step: str | int) -> bool:
    """Whether `step` leads into `node`; makes room for it."""
    if isinstance(step, str):
        if not isinstance(node, dict):
            return False
        node.setdefault(step, UNSET)
        return True
    if not isinstance(node, list) or isinstance(node, _Pieces):
        return False
    if step > len(node) + MAX_GAP:
        return False
    node.extend([UNSET] * (step + 1 - len(node)))
    return True


def _joined(node: Any) -> Any:
    if isinstance(node, _Pieces):
        return "".join(node)
    if isinstance(node, dict):
        return {name: _joined(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_joined(value) for value in node]
    return None if node is UNSET else node
