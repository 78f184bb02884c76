"""Twice the text is twice the work of a repair, in bytecodes, whatever is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from bench.shapes import Work
from llmwire.json_repair import (
    JSONRepairError,
    preview_json,
    repair_arguments,
    repair_json,
)
from tests.counting import bytecodes
from tests.test_linear import STEEP

SCHEMA: Final[dict[str, Any]] = {
    "properties": {"path": {"type": "string"}, "content": {"type": "string"}}
}
LINE: Final = 'print("a", "b") # "x": y\\n'
TEXTS: Final[dict[str, Callable[[int], str]]] = {
    "quotes inside": lambda n: f'{{"content": "{LINE * n}", "path": "p"}}',
    "borders inside": lambda n: '{"content": "' + 'a", "path": "' * n + '"x}',
    "nothing but quotes": lambda n: '{"content": ' + '"' * n + "}",
    "members without end": lambda n: '{"content": "x' + '", "a": "b"' * n + " c}",
    "items without commas": lambda n: '["' + '", "b"x' * n + "]",
    "quoted words": lambda n: '{"content": ["' + 'a "b" c", "' * n + '"x}',
    "one long word": lambda n: '{"content": "' + "a" * n + '"x" }',
    "Python": lambda n: repr({"path": LINE * n}),
    "control characters": lambda n: '{"path": "' + "a\n" * n + '"}',
    "backslashes": lambda n: '{"path": "' + "\\d" * n + '"}',
    "indented lines": lambda n: '{"path": "\\d' + "\\n  a\\n\\t" * n + '"}',
    "only tabs": lambda n: '{"path": "\\d\\n ' + "\\t" * n + '"}',
    "open arrays": lambda n: "[" * n,
    "open objects": lambda n: '{"a":' * n + "1",
    "brackets in prose": lambda n: "so [x] {y} [z " * n,
    "documents in prose": lambda n: 'so {"a": 1} ' * n,
    "fences": lambda n: "```\n{" * n,
    "markup": lambda n: "<a" * n + "{}",
    "white space": lambda n: '{"a": "b' + '" ' * n,
    "comments": lambda n: '{"a": 1 ' + "/*" * n,
    "envelopes": lambda n: '{"input":' * n + "{}" + "}" * n,
    "quotes escaped": lambda n: "{" + '\\"a\\": \\"b\\",' * n + "}",
    "digits": lambda n: "[0" + "1" * n + "]",
    "points": lambda n: "[1" + ".1" * n + "]",
    "words": lambda n: "[" + "word " * n + "]",
    "words on lines": lambda n: "[" + "word\n" * n + "]",
    "words in parentheses": lambda n: "[a " + "(b) " * n + '"x]',
    "open parentheses": lambda n: "(" * n,
    "calls": lambda n: "f(" * n + "1" + ")" * n,
    "tuples": lambda n: "(" * n + "1," + "),(" * n,
    "joined strings": lambda n: '"a"' + ' + "b"' * n,
    "ellipses": lambda n: "[1, " + "..., " * n + "2]",
    "colons missing": lambda n: '{"a" 1' + ', "b"' + " " * n + "2 x}",
    "half an escape": lambda n: '"' + "\\ud83d" * n,
    "backslashes at the end": lambda n: '"' + "\\\\" * n + "\\u1",
    "cut off in a word": lambda n: "[" + "w" * n,
    "cut off in a number": lambda n: "[" + "1" * n + "e+",
    "right": lambda n: json.dumps({"path": LINE * n}),
}


def _work(text: str) -> Work:
    def work() -> None:
        for told in (False, True):
            for repair in (repair_json, repair_arguments):
                try:
                    repair(text, SCHEMA, truncated=told)
                except JSONRepairError:
                    continue
        for other in (_loosely, preview_json):
            try:
                other(text)
            except JSONRepairError:
                continue

    return work


def _loosely(text: str) -> object:
    return repair_json(text, SCHEMA, loose=True)


LONG: Final = {"items without commas", "quoted words"}
"""What is looked at until the budget of work is spent, which small texts do not."""


@pytest.mark.parametrize("name", TEXTS)
def test_work_grows_with_the_text(name: str) -> None:
    size = 800 if name in LONG else 96
    few, some, many = (
        bytecodes(_work(TEXTS[name](n))) for n in (size // 2, size, 2 * size)
    )
    assert many - some <= STEEP * max(some - few, few // 10)
