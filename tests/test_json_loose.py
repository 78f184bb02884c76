"""The rules of tier 4: each of them, what they refuse, and that they never guess."""

from __future__ import annotations

import json
from itertools import islice
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._json_edits import patched
from llmwire.json_repair import (
    RULES,
    JSONRepairError,
    Repair,
    repair_arguments,
    repair_json,
)
from tests.json_defects import OPERATORS, broken, calls, is_json, same

SCHEMA: Final[dict[str, Any]] = {
    "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}
}
PIECES: Final = (
    *"{}[]()\"':,+;=/#\n\t .…-_ax19",
    *('"a"', '"b": ', "c: ", "foo", "foo bar", "...", "f(", "NumberLong(", "ISODate("),
    *("1.2.3", "2024-01-02", "https://x.y/z", "/* x */", "// x\n", "None", "undefined"),
    *("```json\n", "\n```", "so it is ", "nan", "“", "”", "\u00a0", "\\", 'a"', "1/3"),
)
TEXTS: Final = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)


def _mended(text: str, schema: Any = None) -> tuple[Any, set[str]]:
    """The value of `text`, and the rules of tier 4 that it took."""
    with pytest.raises(JSONRepairError):
        repair_json(text, schema)
    with pytest.raises(JSONRepairError):
        repair_arguments(text, schema)
    assert repair_json(text, schema, truncated=True, loose=True) == Repair(
        text, complete=False
    )
    repair = repair_json(text, schema, loose=True)
    assert repair.complete and patched(text, repair.edits) == repair.text
    assert repair.tier == 4
    return json.loads(repair.text), {e.rule for e in repair.edits if RULES[e.rule] > 3}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": foo}', {"a": "foo"}),
        ('{"city": New York , "n": 1}', {"city": "New York", "n": 1}),
        ("{\na: hello world\nb: 2\n}", {"a": "hello world", "b": 2}),
        ('{"a": one "b": 2}', {"a": "one", "b": 2}),
        ("[1, foo, This is F(3)]", [1, "foo", "This is F(3)"]),
        (
            '{"u": https://x.y/z?q, "p": /usr/bin}',
            {"u": "https://x.y/z?q", "p": "/usr/bin"},
        ),
        ('{"d": 2024-10-18T18:35:22.229Z}', {"d": "2024-10-18T18:35:22.229Z"}),
        ("[1.2.3, 10-20, 1/3, 5 kg, 3px]", ["1.2.3", "10-20", "1/3", "5 kg", "3px"]),
        ("[true story, @me, $x]", ["true story", "@me", "$x"]),
        ("{'n': None, 'a': C# 8, 'b': 1 // one\n}", {"n": None, "a": "C# 8", "b": 1}),
        ('{"é": naïve}', {"é": "naïve"}),
        ("```json\n[foo]\n```", ["foo"]),
        (' {"a": foo, "b": "```[1]```"}', {"a": "foo", "b": "```[1]```"}),
        ("So:\n```json\n[foo]\n```\nDone.", ["foo"]),
    ],
)
def test_text_without_quotes(text: str, value: object) -> None:
    assert _mended(text) == (value, {"unquoted-string"})


@pytest.mark.parametrize(
    "text",
    [
        "hello world",
        "[foo",
        "{a: foo",
        "[nan]",
        "[Infinity, 1]",
        "[NIL]",
        "[tRUE]",
        "[05]",
        "[1,000.5]",
        "[234..5]",
        "[2e3.4]",
        "[1e]",
        "[a + b]",
        "[a = b]",
        "[a // b\n]",
        "[a /* b */]",
        "[a # b\n]",
        '[say "hi"]',
        "[don't]",
        "[a\\b]",
        "[a{b}]",
        "{a: b: c}",
        "{a: b, c}",
        "{a: b\nc d\n}",
        "[a b\nc]",
        "[1\nb]",
        '["a"\nb]',
        "[a\nb c]",
        "[x...]",
        "[-x]",
        "[(foo)]",
        "see [foo]",
        "[foo] bar",
        "[foo] [bar]",
        "So ```\n[foo]\n``` or ```\n[bar]\n```",
        "```\n[foo]\n``` or ```\n[bar]\n```",
        '{"a": x, "a": y}',
    ],
)
def test_text_that_is_not_sure(text: str) -> None:
    with pytest.raises(JSONRepairError):
        repair_json(text, loose=True)


def test_the_schema_says_where_a_text_may_stand() -> None:
    assert _mended('{"n": 1, "s": one}', SCHEMA)[0] == {"n": 1, "s": "one"}
    for text in ('{"n": one}', '{"n": 1/3}'):
        with pytest.raises(JSONRepairError):
            repair_json(text, SCHEMA, loose=True)
    assert _mended('{"n": 05, "s": x}', SCHEMA)[0] == {"n": 5, "s": "x"}


@pytest.mark.parametrize(
    ("text", "value", "rule"),
    [
        ('{a": 1, b": 2}', {"a": 1, "b": 2}, "opening-quote"),
        ('{"k": abc", "l": d.e"}', {"k": "abc", "l": "d.e"}, "opening-quote"),
        ('{"a" 1}', {"a": 1}, "missing-colon"),
        ("{'a' 'b',\n\"c\"\n[1]}", {"a": "b", "c": [1]}, "missing-colon"),
        ('{"a" /* is */ true}', {"a": True}, "missing-colon"),
        ('["a" "b" 1 ]', ["a", "b", 1], "missing-item-comma"),
        ('["a" "b", "c" 1]', ["a", "b", "c", 1], "missing-item-comma"),
        ('"a" + "b"+"c"', "abc", "joined-strings"),
        ('{"a": "1" + "2"}', {"a": "12"}, "joined-strings"),
        (
            "{'a': 'x' + /* y */ // z\n \"'y\" + 'z', b: 1}",
            {"a": "x'yz", "b": 1},
            "joined-strings",
        ),
        ('["a"  /* b */ + “c” ]', ["ac"], "joined-strings"),
        ('f("a");', "a", "function-call"),
        ("a.b({x: (1,)})", {"x": [1]}, "function-call"),
        ("cb([1, ...]); // so", [1], "function-call"),
        (
            '{"_id": ObjectId("1"), "n": NumberLong (2)}',
            {"_id": "1", "n": 2},
            "function-call",
        ),
        ('ISODate("x")', "x", "function-call"),
        ("Decimal('1.5')", "1.5", "function-call"),
        ("(1, 2)", [1, 2], "tuple"),
        ("(1,)", [1], "tuple"),
        ("[(), ((1), 'x',), (None)]", [[], [1, "x"], None], "tuple"),
        ("{'a': (1, {'b': ()})}", {"a": [1, {"b": []}]}, "tuple"),
        ("[1, 2, ...]", [1, 2], "ellipsis"),
        ("[..., 1, ..., 2, …]", [1, 2], "ellipsis"),
        ("(1, ...)", [1], "ellipsis"),
        (
            '{"a": 1, /* x */ ... /* y */, "b": [2, ...]}',
            {"a": 1, "b": [2]},
            "ellipsis",
        ),
    ],
)
def test_rules(text: str, value: object, rule: str) -> None:
    found, rules = _mended(text)
    assert found == value
    assert rule in rules and rules <= {rule, "tuple", "ellipsis"}


@pytest.mark.parametrize(
    "text",
    [
        '["a", b", "c"]',
        '{"k": 12", "l": 1}',
        '{"k": a b", "l": 1}',
        '{"a"1}',
        "{a 1}",
        "{'a', 'b'}",
        '{"a" foo}',
        '{"a" "b", "c"}',
        "[1 2]",
        '"a" + 1',
        '1 + "a"',
        '"a" +',
        '["a" + "b',
        '["a" + b]',
        "[+]",
        "sqrt(4)",
        "[sqrt(4)]",
        "f(1, 2);",
        "f();",
        "f(1,);",
        'f("a"',
        'f("a")',
        "NumberLong()",
        'f("a"); g',
        "(1]",
        "[1)",
        "(]",
        "(1, 2",
        "(,)",
        "(see below)",
        "(foo, 1)",
        '["a"1]',
        "[...]",
        "[..., ]",
        "{...}",
        "{..., /* x */}",
        "(...)",
        "[1 ...]",
        "[1, ... 2]",
        "[1, ....]",
        '{"a": ...}',
        '{"a": 1, ... "b": 2}',
        '{"a": 1};',
        "[foo];",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(JSONRepairError):
        repair_json(text, loose=True)


def test_nesting_is_no_limit() -> None:
    opened, closed = "[" * 100_000, "]" * 100_000
    mended = repair_json(f"{opened}foo, 1{closed}", loose=True).text
    assert mended == f'{opened}"foo", 1{closed}'
    for text in (f"{opened}NumberLong(){closed}", f"{opened}foo{closed} [1]"):
        with pytest.raises(JSONRepairError):
            repair_json(text, loose=True)


def test_what_is_not_loose_stays_as_it_was() -> None:
    for text in ('{"a": 1,}', "{'a': None}", '{"a": 1}{"b": 2}', "see {a: 1} there"):
        assert repair_json(text, loose=True) == repair_json(text)


def test_every_edit_is_told() -> None:
    repair = repair_json('{"a": "x" + \'y\', "b": foo, ...}', loose=True)
    assert [(e.rule, e.removed, e.inserted) for e in repair.edits] == [
        ("joined-strings", "\" + '", ""),
        ("quotes", "'", '"'),
        ("unquoted-string", "foo", '"foo"'),
        ("trailing-comma", ",", ""),
        ("ellipsis", "...", ""),
    ]


@given(
    TEXTS | TEXTS.map("{{{}}}".format) | TEXTS.map("[{}]".format),
    st.sampled_from([None, SCHEMA]),
)
def test_every_text_has_an_answer(text: str, schema: Any) -> None:
    try:
        repair = repair_json(text, schema, loose=True)
    except JSONRepairError as error:
        assert 0 <= error.offset <= len(text)
        with pytest.raises(JSONRepairError):
            repair_json(text, schema)
        return
    if not repair.complete:
        assert repair.documents
        return
    assert is_json(repair.text)
    assert patched(text, repair.edits) == repair.text
    for edit in repair.edits:
        assert text.startswith(edit.removed, edit.offset)
        assert edit.removed != edit.inserted and edit.rule in RULES
    assert repair_json(repair.text, schema, loose=True) == Repair(repair.text)
    if repair.tier < 4:
        assert repair == repair_json(text, schema)


@pytest.mark.parametrize("name", OPERATORS)
def test_what_was_meant_comes_back_or_nothing(name: str) -> None:
    random = Random(name)
    for call in islice(calls(random), 200):
        text = broken(call.text, OPERATORS[name], random)
        if text is None:
            continue
        for schema in (None, call.schema):
            try:
                repair = repair_json(text, schema, loose=True)
            except JSONRepairError:
                continue
            if repair.tier == 4:
                assert same(json.loads(repair.text), call.arguments)


def test_what_was_cut_off_is_not_guessed() -> None:
    for call in islice(calls(Random("cut")), 40):
        for end in range(len(call.text)):
            try:
                repair = repair_json(call.text[:end], loose=True)
            except JSONRepairError:
                continue
            assert repair.tier < 4
