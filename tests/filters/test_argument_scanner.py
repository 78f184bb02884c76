"""How much of arguments is certain: never more than is, whatever the pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.filters._argument_scanner import ArgumentScanner, Terms
from tests.filters.laws import cuts, texts_of

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "n": {"type": "integer"},
        "u": {"enum": ["a", "b", 1]},
        "l": {"type": "array", "items": {"type": "string"}},
        "o": {"$ref": "#/$defs/o"},
        "w": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "x": {"anyOf": [{"type": "string"}, {}]},
        "c": {"const": True},
        "any": {},
        "free": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
    "$defs": {
        "o": {
            "type": "object",
            "properties": {"x": {"type": "number"}},
            "patternProperties": {"^p": {}},
            "additionalProperties": False,
        }
    },
}

_LONG = "b" * 5000


def scanned(*pieces: str, schema: Any = SCHEMA) -> tuple[str, ArgumentScanner]:
    scanner = ArgumentScanner(Terms(schema))
    return "".join(map(scanner.feed, pieces)), scanner


@pytest.mark.parametrize(
    ("text", "certain"),
    [
        (r'{"path": "a\n\"b\u00e9"}', r'{"path": "a\n\"b\u00e9'),
        (f'{{"path": "if a:\\n{_LONG}"}}', f'{{"path": "if a:\\n{_LONG}'),
        (f'{{"path": "\\nC:\\n{_LONG}"}}', f'{{"path": "\\nC:\\n{_LONG}'),
        ('{"path": "C:\\\\x\\\\y", "n": 1}', '{"path": "C:\\\\x\\\\y", "n": 1'),
        ('{"n": 12, "u": "a", "c": true}', '{"n": 12, "u": "a", "c": true'),
        ('{"l": ["x", "y"], "u": 1 }', '{"l": ["x", "y"], "u": 1'),
        ('{"o": {"x": 1.5, "pq": []}}', '{"o": {"x": 1.5, "pq":'),
        ('{"w": null, "x": 5}', '{"w": null, "x": 5'),
        ('{"free": {"a": 1}, "other": [1, {}]}', '{"free": {"a": 1}, "other": [1'),
        ('{"any": {"name": {}}}', '{"any": {"name":'),
        (' {"path" : "x" } ', ' {"path" : "x'),
        ("{}", ""),
        ('{"any": []}', '{"any":'),
    ],
)
def test_what_is_valid_goes_on_but_for_its_end(text: str, certain: str) -> None:
    for pieces in ([text], list(text)):
        found, scanner = scanned(*pieces)
        assert (found, scanner.broken, scanner.whole) == (certain, False, True)
        assert found + scanner.held == text


@pytest.mark.parametrize(
    ("text", "certain"),
    [
        ("[1]", ""),
        ('"{}"', ""),
        ("{'path': 1}", ""),
        ("{path: 1}", ""),
        ('{"path" = "x"}', ""),
        ('{"Path": "x"}', ""),
        ('{"name": "x"}', ""),
        ('{"\\q": "x"}', ""),
        ('{"path": "say "hi" x"}', '{"path": "say '),
        ('{"path": "a\tb"}', '{"path": "a'),
        ('{"path": "\\d"}', '{"path": "'),
        ('{"path": "\\u12x"}', '{"path": "'),
        ('{"path": "C:\\new\\User"}', '{"path": "C:'),
        ('{"path": "x", }', '{"path": "x'),
        ('{"path": "x"} {', '{"path": "x'),
        ('{"path": "x"]', '{"path": "x'),
        ('{"l": ["x", 1]}', '{"l": ["x'),
        ('{"l": ["x"}', '{"l": ["x'),
        ('{"l": "x"}', '{"l":'),
        ('{"o": []}', '{"o":'),
        ('{"o": {"y": 1}}', '{"o":'),
        ('{"n": "3"}', '{"n":'),
        ('{"n": 1.5}', '{"n":'),
        ('{"n": 01}', '{"n":'),
        ('{"n": None}', '{"n":'),
        ('{"n": 1 2}', '{"n": 1'),
        ('{"u": "A"}', '{"u":'),
        ('{"u": 2}', '{"u":'),
        ('{"c": false}', '{"c":'),
        ('{"u": "\\q"}', '{"u":'),
        ('{"free": {"a": "1"}}', '{"free": {"a":'),
        ('{"any": ' + "1" * 5000 + "}", '{"any":'),
        ('{"any": ' + " " * 5000 + "1}", '{"any":'),
        ('{"path": "C:\\\\' + "a" * 5000 + '"}', '{"path": "C:'),
        ('{"u": "' + "a" * 5000 + '"}', '{"u":'),
        ('{"' + "a" * 5000 + '": 1}', ""),
        ('{"path": "x"}' + " " * 5000, '{"path": "x'),
    ],
)
def test_an_anomaly_holds_the_rest(text: str, certain: str) -> None:
    for pieces in ([text, "}"], [*text, "}"]):
        found, scanner = scanned(*pieces)
        assert (found, scanner.broken) == (certain, True)
        assert not scanner.whole


@pytest.mark.parametrize(
    "text",
    ['{"path', '{"path"', '{"n": 1', '{"n": tru', '{"u": "a', '{"path": "a\\', "  "],
)
def test_what_is_not_whole_is_no_anomaly(text: str) -> None:
    for pieces in ([text], list(text)):
        _, scanner = scanned(*pieces)
        assert not scanner.broken and not scanner.whole


def test_what_is_held_is_bounded() -> None:
    for text in ('{"any": ' + "1" * 5000, '{"' + "a" * 5000, '{"l": ["x"' + " " * 5000):
        for pieces in ([text], list(text)):
            assert scanned(*pieces)[1].broken


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        {"properties": 5, "items": 5, "type": 5, "enum": 5, "anyOf": 5},
        {"$ref": "#"},
    ],
)
def test_without_a_schema_any_object_will_do(schema: Any) -> None:
    text = '{"name": "a", "b": [1, null, {"c": 1e5}], "d": "x"'
    assert scanned(text, schema=schema)[0] == text[:-1]


def test_values_that_are_too_deep_are_no_list() -> None:
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    schema = {"properties": {"a": {"enum": [deep]}}}
    assert scanned('{"a": "x', schema=schema)[0] == '{"a": "x'


PIECES = ('{"', "path", '"', ":", " ", "\\n", "\\", "C:", '", "n": 1', "3", ",", "}",
          "[", "]", '{"path": "', '{"u": "a"', "true", "\t", "é")  # fmt: skip


@given(texts_of(PIECES).flatmap(lambda text: st.tuples(st.just(text), cuts(text))))
def test_pieces_do_not_matter(given_: tuple[str, list[str]]) -> None:
    text, pieces = given_
    whole, first = scanned(text)
    found, scanner = scanned(*pieces)
    assert (found, scanner.broken, scanner.whole) == (
        whole,
        first.broken,
        first.whole,
    )
    assert text.startswith(found)
    if not scanner.broken:
        assert found + scanner.held == text


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "path": st.text(),
            "n": st.integers(),
            "u": st.sampled_from(["a", "b", 1]),
            "l": st.lists(st.text(), max_size=3),
            "any": st.lists(st.booleans() | st.none() | st.text()),
        },
    ),
    st.booleans(),
)
def test_json_of_the_schema_is_no_anomaly(value: Any, ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    _, scanner = scanned(*text)
    assert not scanner.broken and scanner.whole
    assert len(scanner.held) <= 8 + sum(map(len, map(str, value)))
