"""Twice the call is twice the work, in bytecodes, whatever is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from bench.shapes import Work
from llmwire._coercion import Coercions
from llmwire._json_schema import violations
from llmwire._patterns import search
from llmwire.filters.structured import StructuredFilter, enforce
from llmwire.filters.tool_repair import ToolBox, ToolRepairFilter, repair_call
from tests.counting import steepness
from tests.filters.laws import called, spoken
from tests.test_linear import STEEP

NUMBERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "n": {"type": "array", "items": {"type": "integer"}},
        "t": {"type": "string"},
    },
    "additionalProperties": False,
}
BOX: Final = ToolBox({"f": NUMBERS}, (), Coercions(drop_unknown=True))
TEXTS: Final[dict[str, Callable[[int], str]]] = {
    "right": lambda n: json.dumps({"t": 'a "b"\n' * n, "n": [1] * n}),
    "numbers in quotes": lambda n: json.dumps({"n": ["1"] * n}),
    "unknown members": lambda n: json.dumps({f"x{at}": at for at in range(n)}),
    "the same member": lambda n: "{" + '"t": 1, ' * n + '"t": 1}',
    "other spellings": lambda n: "{" + '"T_": "", "t-": "", ' * n + '"t": 1}',
    "calls in one": lambda n: '{"t": "a"}' * min(n, 60) + '{"n": ["1"]}' * n,
    "nested": lambda n: '{"n": ' + "[" * n + "]" * n + "}",
    "quotes inside": lambda n: '{"t": "' + 'a "b" ' * n + '"}',
    "a long number": lambda n: '{"n": [' + "1" * n + "]}",
    "a long name": lambda n: '{"' + "t" * n + '": 1}',
    "white space": lambda n: '{"t": "x"' + " " * n + "}",
    "closers": lambda n: '{"n": []' + "}" * n,
}


def _work(text: str) -> Work:
    calls = called(*text, name="f", whole=False)
    texts = spoken(*text)

    def work() -> None:
        repair = ToolRepairFilter(BOX)
        check = StructuredFilter(NUMBERS)
        for event in calls:
            repair(event)
        for event in texts:
            if type(event) in check.events:
                check(event)
        repair_call("f", text, BOX)
        enforce(text, NUMBERS, coercions=BOX.coercions)

    return work


@pytest.mark.parametrize("shape", TEXTS)
def test_twice_the_text_is_twice_the_work(shape: str) -> None:
    assert steepness(lambda n: _work(TEXTS[shape](n)), 96) <= STEEP


def test_checking_and_matching() -> None:
    items = {"items": {"enum": list(range(50))}, "uniqueItems": True}
    assert steepness(lambda n: lambda: violations(list(range(n)), items), 96) <= STEEP
    assert steepness(lambda n: lambda: search("(a|b|ab)*c", "ab" * n), 96) <= STEEP
