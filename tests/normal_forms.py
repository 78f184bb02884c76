"""The closed list of normal forms: in which ways equal wire messages may differ.

A body read and written again in its own dialect must be JSON-equal to what it was:
the same members, null not absent, the same order in arrays, numbers by value. Each
function below is one allowed difference, with the vendor's page that allows it; it
changes a parsed body in place and returns how often it did. `normalised` applies those
of a dialect and counts them by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["request", "response"]
Form: TypeAlias = Callable[[dict[str, Any], Kind], int]

# --- openai-chat -------------------------------------------------------------------

OPENAI_CHAT: tuple[Form, ...] = ()

# --- openai-responses --------------------------------------------------------------

OPENAI_RESPONSES: tuple[Form, ...] = ()

# --- anthropic ---------------------------------------------------------------------

ANTHROPIC: tuple[Form, ...] = ()

# --- gemini ------------------------------------------------------------------------

_GEMINI_ISLANDS = frozenset(
    {
        "args",
        "response",
        "parameters",
        "parametersJsonSchema",
        "responseSchema",
        "responseJsonSchema",
        "executableCode",
        "codeExecutionResult",
        "toolCall",
        "toolResponse",
        "partialArgs",
        "labels",
    }
)
"""Members below which nothing is renamed."""


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def snake_names_are_camel(body: dict[str, Any], kind: Kind) -> int:
    """proto3 JSON: "parsers accept both the lowerCamelCase name and the original
    proto field name". https://protobuf.dev/programming-guides/json/#json-options
    """

    def walk(node: Any) -> int:
        if isinstance(node, list):
            return sum(map(walk, node))
        if not isinstance(node, dict):
            return 0
        times = 0
        for name in list(node):
            known = _camel(name)
            value = node.pop(name)
            times += known != name
            node[known if known not in node else name] = value
            if known not in _GEMINI_ISLANDS:
                times += walk(value)
        return times

    return walk(body)


GEMINI: tuple[Form, ...] = (snake_names_are_camel,)

# -----------------------------------------------------------------------------------

FORMS: Mapping[str, tuple[Form, ...]] = {
    "openai-chat": OPENAI_CHAT,
    "openai-responses": OPENAI_RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
}


def normalised(
    body: dict[str, Any], dialect: str, kind: Kind, counts: Counter[str] | None = None
) -> dict[str, Any]:
    """`body` in the normal form of `dialect`; `counts` learns which forms it took."""
    body = deepcopy(body)
    for form in FORMS[dialect]:
        times = form(body, kind)
        if times and counts is not None:
            counts[form.__name__] += times
    return body


def differences(left: Any, right: Any, path: str = "$") -> list[str]:
    """Paths at which two parsed bodies are not JSON-equal; empty: they are."""
    if isinstance(left, dict) and isinstance(right, dict):
        found = []
        for key in [*left, *(k for k in right if k not in left)]:
            place = f"{path}.{key}"
            if key not in right:
                found.append(f"{place}: only left")
            elif key not in left:
                found.append(f"{place}: only right")
            else:
                found += differences(left[key], right[key], place)
        return found
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            return [f"{path}: {len(left)} items, {len(right)} items"]
        return [
            difference
            for at, pair in enumerate(zip(left, right, strict=True))
            for difference in differences(*pair, f"{path}[{at}]")
        ]
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    same_kind = isinstance(left, bool) == isinstance(right, bool)
    if numbers and same_kind and left == right:
        return []
    if type(left) is type(right) and left == right:
        return []
    return [f"{path}: {type(left).__name__} differs from {type(right).__name__}"]
