"""Texts with calls in them, from the tests of engines and gateways: which are found.

A record says which calls it expects, or nothing but that reading it must not fail. What
we read in another way is in `OTHERWISE`, with the reason.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from msgspec import Raw, Struct, field

from llmwire.filters.leaked_calls import FoundCall, find_calls
from llmwire.requests import Tool

_START: Final = "an object or a list without a mark is a call at the start only"
_WHOLE: Final = "a group with a call that cannot be read stays text, all of it"

OTHERWISE: Final = {
    "7929999f278d8653": _START,
    "caf7da2285efb667": _START,
    "1fe0b253ee9e1b02": _START,
    "3a9090eeff9270a0": "parameters that the tool does not know are left to its check",
    "62b84bb3922b051e": "a tool is called by its own name, aliases are guesses",
    "0bec0fbd91d487d2": "a tool is called by its own name, aliases are guesses",
    "d2c9cf3cbf55660d": "what stands between mark and list is no call",
    "db465f1f9eb335e5": "without its end nobody knows whether it is whole",
    "381f8410eac36be1": _WHOLE,
    "d99e4e988342a867": "without a schema JSON is a value; the source takes it as text",
}
"""Id of a record -> why we read it in another way."""

_NAMES: Final = re.compile(
    r'"(?:tool_)?name": ?"([^"]+)"|<function=([^>]+)>'
    r'|(?:invoke|function) name="([^"]+)"'
    r"|call:([\w-]+)|functions\.([\w-]+)|[\[,]\s*(\w+)\(|>\s*(\w+)\("
    r"|<tool_call>\s*([\w-]+)|sep[｜|]>([\w-]+)|\"(get_\w+)\""
)
_KINDS: Final = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    dict: "object",
    list: "array",
    type(None): "null",
}


class Score(Struct):
    """What came of the records of one source."""

    tried: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Id -> what was read."""


def scores(file: Path) -> dict[str, Score]:
    """By source."""
    found: dict[str, Score] = {}
    for line in file.read_text("utf-8").splitlines():
        record = json.loads(line)
        source = record["source"].split(":")[0].split(" ")[0]
        score = found.setdefault(source, Score())
        score.tried += 1
        problem = check(record)
        if problem:
            score.failed[record["id"]] = problem
    return found


def check(record: dict[str, Any]) -> str | None:
    """What is wrong with what is found in a record."""
    expected = record["expected_calls"]
    pieces = find_calls(record["text"], _tools(record))
    got = [piece for piece in pieces if isinstance(piece, FoundCall)]
    if expected is None:
        if "exactly one call" in record.get("note", "") and len(got) != 1:
            return f"{len(got)} calls"
        return None
    if len(got) != len(expected):
        return f"{len(got)} calls, not {len(expected)}: {got}"
    for call, wanted in zip(got, expected, strict=True):
        problem = _differs(call, wanted)
        if problem:
            return problem
    return _text_differs(record, pieces)


def _differs(call: FoundCall, wanted: dict[str, Any]) -> str | None:
    arguments = json.loads(call.arguments)
    if wanted.get("name", call.name) != call.name:
        return f"{call.name}, not {wanted['name']}"
    if "arguments" in wanted and arguments != wanted["arguments"]:
        return f"{arguments}, not {wanted['arguments']}"
    subset = wanted.get("arguments_subset", {})
    if any(arguments.get(key, ...) != value for key, value in subset.items()):
        return f"{arguments}, not {subset}"
    return None


def _text_differs(record: dict[str, Any], pieces: Iterable[Any]) -> str | None:
    """The text must be there; whether it is trimmed differs from source to source."""
    wanted = record.get("expected_content")
    said = "".join(piece for piece in pieces if isinstance(piece, str))
    if wanted is None or "".join(wanted.split()) in "".join(said.split()):
        return None
    return f"the text {said!r}, not {wanted!r}"


def _tools(record: dict[str, Any]) -> dict[str, Tool]:
    """Tools that the record means: those expected, else all names that stand in it.

    What is expected tells the types of their parameters.
    """
    expected = record["expected_calls"]
    if expected == []:
        return {"other": Tool(name="other")}
    tools: dict[str, Tool] = {}
    for call in expected or ():
        if "name" in call:
            values = call.get("arguments", call.get("arguments_subset", {}))
            kinds = {key: {"type": _KINDS[type(v)]} for key, v in values.items()}
            schema = Raw(json.dumps({"properties": kinds}).encode()) if kinds else None
            tools.setdefault(call["name"], Tool(name=call["name"], schema=schema))
    if expected is None or any("name" not in call for call in expected):
        for names in _NAMES.findall(record["text"]):
            for name in filter(None, names):
                tools.setdefault(name, Tool(name=name))
    return tools


def table(found: dict[str, Score]) -> str:
    """The scores, for people."""
    lines = []
    for source, score in found.items():
        lines.append(f"{source}: {score.tried - len(score.failed)} of {score.tried}")
        for record, problem in score.failed.items():
            why = OTHERWISE.get(record, "NOT EXPLAINED")
            lines.append(f"    {record} {why}: {problem[:200]}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(scores(Path(sys.argv[1]))))
