"""Broken JSON: the rules one by one, the laws of every repair, and what is refused."""

from __future__ import annotations

import copy
import json
import pickle
from itertools import islice
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._json_edits import patched
from llmwire.errors import LLMWireError
from llmwire.json_repair import (
    MAX_FIXES,
    RULES,
    Edit,
    JSONRepairError,
    Repair,
    repair_arguments,
    repair_json,
)
from tests.json_defects import (
    FRAMING,
    LEXICAL,
    OPERATORS,
    STRUCTURAL,
    TRUNCATED,
    broken,
    calls,
    is_json,
    same,
)

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "content": {"type": "string"},
        "n": {"type": "integer"},
        "ratio": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "on": {"type": "boolean"},
        "inner": {"$ref": "#/$defs/inner"},
    },
    "required": ["path"],
    "$defs": {"inner": {"properties": {"code": {"type": "string"}}}},
}
OPEN: Final[dict[str, Any]] = {"type": "object", "properties": {"a": {}, "b": {}}}

VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
PIECES: Final = (
    *"{}[]:,\"\\'/#*\n\t =`<>|;.+-_xabn019",
    *("“", "”", "‘", "’", "„", "：", "，", "\u00a0", "\ufeff", "\ud83d", "\x00", "é"),
    *('"a"', '"b": ', "'a': ", "true", "None", "undefined", "1.", "\\u00", "\\n"),
    *("```json\n", "\n```", "</tool_call>", "// x\n", "/* x */", '{"path": "p"}'),
    *('"arguments": ', '"path": "a b"', '"n": 01', "NaN", "<|end|>"),
)
TEXTS: Final = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)


def _spaced(value: Any, indent: int | None, ascii_only: bool) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=ascii_only, allow_nan=False)


def _mended(text: str, schema: Any = SCHEMA) -> Any:
    repair = repair_arguments(text, schema, name="t")
    assert repair.complete and patched(text, repair.edits) == repair.text
    return json.loads(repair.text)


# What is right stays as it is


@given(VALUES, st.sampled_from([None, 0, 2]), st.booleans(), st.booleans())
def test_json_is_not_touched(
    value: Any, indent: int | None, ascii_only: bool, told: bool
) -> None:
    text = _spaced(value, indent, ascii_only)
    repair = repair_json(text, truncated=told)
    assert (repair.text, repair.edits, repair.tier) == (text, (), 0)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    assert repair.complete == (not (told and number))
    if isinstance(value, dict):
        assert repair_arguments(text, None, truncated=told) == Repair(text)


def test_right_calls_are_not_touched() -> None:
    for call in islice(calls(Random(1)), 500):
        repair = repair_arguments(call.text, call.schema, name=call.name)
        assert repair == Repair(call.text)


@pytest.mark.parametrize(
    "text",
    [
        ' {"a": 1} \n',
        '{"a": 1, "a": 2}',
        '{"a": "\\ud83d"}',
        '{"n": "3"}',
        '{"a": 1e999, "b": 12345678901234567890.10}',
        '{"a": "\u2028\x7f"}',
        "{}",
    ],
)
def test_arguments_that_only_look_odd(text: str) -> None:
    assert repair_arguments(text, SCHEMA) == Repair(text)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_of_json(word: str) -> None:
    with pytest.raises(JSONRepairError):
        repair_json(f'{{"a": {word}}}')
    with pytest.raises(JSONRepairError):
        repair_json(f"see {{{word!r}: {word}}}")


def test_keys_that_stand_twice_are_kept_and_told() -> None:
    text = '{"path": "a", "path": "b"}'
    for repair in (repair_json(text), repair_arguments(text, SCHEMA)):
        assert repair == Repair(text) and repair.duplicate_keys == ("path",)
    mended = repair_json('{"n": {"a": 1, "b": 2, "a": 3,}}')
    assert (mended.text, mended.duplicate_keys) == (
        '{"n": {"a": 1, "b": 2, "a": 3}}',
        ("a",),
    )
    assert repair_json('{"a": 1}').duplicate_keys == ()
    assert repair_json('{"a": 1, "a": 2', truncated=True).duplicate_keys == ()


# Laws


def _check(text: str, repair: Repair) -> None:
    if repair.documents:
        assert not repair.complete and len(repair.documents) > 1
        assert all(map(is_json, repair.documents))
    if not repair.complete:
        assert (repair.text, repair.edits) == (text, ())
        return
    assert is_json(repair.text)
    assert patched(text, repair.edits) == repair.text
    assert bool(repair.edits) == (repair.text != text)
    for edit in repair.edits:
        assert text.startswith(edit.removed, edit.offset)
        assert edit.removed != edit.inserted and edit.rule in RULES
    assert repair.tier == max((RULES[e.rule] for e in repair.edits), default=0)


@given(TEXTS | st.text(), st.sampled_from([None, SCHEMA, OPEN]), st.booleans())
def test_every_text_has_an_answer(text: str, schema: Any, told: bool) -> None:
    try:
        repair = repair_json(text, schema, truncated=told)
    except JSONRepairError as error:
        assert not told and 0 <= error.offset <= len(text)
        return
    _check(text, repair)
    if repair.complete:
        assert repair_json(repair.text, schema) == Repair(repair.text)


@given(
    TEXTS | TEXTS.map(lambda text: f"{{{text}}}"),
    st.sampled_from([None, SCHEMA, OPEN]),
    st.booleans(),
)
def test_every_text_has_an_answer_as_arguments(
    text: str, schema: Any, told: bool
) -> None:
    try:
        repair = repair_arguments(text, schema, truncated=told, name="t")
    except JSONRepairError:
        assert not told or is_json(text)
        return
    _check(text, repair)
    if repair.complete:
        assert isinstance(json.loads(repair.text), dict)
        again = repair_arguments(repair.text, schema, name="t")
        assert again == Repair(repair.text)


@pytest.mark.parametrize("name", OPERATORS)
def test_what_was_meant_comes_back_or_nothing(name: str) -> None:
    random = Random(name)
    tried = exact = 0
    for call in islice(calls(random), 400):
        text = broken(call.text, OPERATORS[name], random)
        if text is None:
            continue
        tried += 1
        try:
            repair = repair_arguments(text, call.schema, name=call.name)
        except JSONRepairError:
            continue
        _check(text, repair)
        assert repair.complete and same(json.loads(repair.text), call.arguments)
        exact += 1
    sure = name in {**FRAMING, **LEXICAL, **STRUCTURAL} and name != "inner quotes"
    least = {"single backslashes": 0.6, "one single backslash": 0.15}.get(name, 0.9)
    assert tried >= 20
    assert exact == tried if sure else exact >= least * tried


def test_what_was_cut_off_is_never_whole() -> None:
    for call in islice(calls(Random("cut")), 40):
        for end in range(len(call.text)):
            text = call.text[:end]
            repair = repair_arguments(text, call.schema, truncated=True)
            assert repair == Repair(text, complete=False)
            assert not is_json(text) or not end


def test_what_was_broken_and_cut_off_is_never_whole() -> None:
    random = Random("both")
    for operator in [*LEXICAL.values(), STRUCTURAL["inner quotes"]]:
        for call in islice(calls(random), 20):
            text = broken(call.text, operator, random)
            cut = TRUNCATED(text, random) if text else None
            if cut is None or is_json(cut):
                continue
            repair = repair_arguments(cut, call.schema, truncated=True)
            assert not repair.complete or same(json.loads(repair.text), call.arguments)


# Framing


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"path": "a"}\n```',
        '```\n{"path": "a"}',
        '```{"path": "a"}```',
        '~~~JSON\n{"path": "a"}\n~~~',
        'json\n{"path": "a"}',
        '\ufeff{"path": "a"}',
        '<|tool_call_begin|>{"path": "a"}<|tool_call_end|>',
        '<｜tool▁sep｜>{"path": "a"}<｜tool▁call▁end｜>',
        '<tool_call>\n{"path": "a"}\n</tool_call>',
        '<parameter name="x">{"path": "a"}</parameter></invoke>',
        '{"path": "a"}</s>',
        '{"path": "a"}[/TOOL_CALLS]',
        '{"path": "a"},',
        '{"path": "a"} // done',
        '"{\\"path\\": \\"a\\"}"',
        '```\n"{\\"path\\": \\"a\\"}"\n```',
        '{\\"path\\": \\"a\\"}',
        json.dumps('{"input": {"path": "a"}}'),
        '```\n{"args": "{\\"path\\": \\"a\\"}",}\n```',
        '"{"path": "a"}"',
        '{"arguments": {"path": "a"}}',
        '{"name": "t", "arguments": {"path": "a"}}',
        '{"type": "function", "name": "t", "parameters": "{\\"path\\": \\"a\\"}"}',
        '```json\n{"input": {"path": "a",}}\n```',
        '{ "id" : "1" , "input" : { "path" : "a" } }',
    ],
)
def test_what_stands_around_arguments(text: str) -> None:
    assert _mended(text) == {"path": "a"}


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "other", "arguments": {"path": "a"}}',
        '{"arguments": {"path": "a"}, "input": {"path": "a"}}',
        '{"arguments": {"path": "a"}, "extra": 1}',
        '{"path": "b", "arguments": {"path": "a"}}',
        '{"arguments": [1]}',
        '{"arguments": "text"}',
        '{"input": {"input": {"path": "a"}}}',
        '{"input": {"content": 1, "n": "x", "on": 3}}',
        '{"input": {"path": "a", "path": "b"}}',
    ],
)
def test_what_is_no_envelope(text: str) -> None:
    assert repair_arguments(text, SCHEMA, name="t") == Repair(text)


def test_envelopes_must_carry_what_fits_better() -> None:
    text = '{"input": {"other": 1}}'
    assert repair_arguments(text, {"properties": {"path": {}}}) == Repair(text)


def test_envelopes_without_their_last_brackets() -> None:
    schema = {"properties": {"path": {"type": "string"}}}
    for text in ('{"input": {"path": "a"}', '{"input": {"path": "a"'):
        assert _mended(text, schema) == {"path": "a"}
        with pytest.raises(JSONRepairError):  # `path` is missing in the envelope
            repair_arguments(text, SCHEMA)
    assert _mended('{"input": {}', {"properties": {}}) == {}


def test_envelopes_need_a_schema_that_names_members() -> None:
    text = '{"arguments": {"path": "a"}}'
    named = {"properties": {"arguments": {"type": "object"}}}
    for schema in (None, {}, {"type": "object"}, {"properties": 1}, named):
        assert repair_arguments(text, schema).text == text
    assert repair_arguments('{"input": {}}', {"properties": {}}).text == "{}"
    assert repair_arguments('{"name": "x", "args": {"path": "a"}}', SCHEMA).text == (
        '{"path": "a"}'
    )


@pytest.mark.parametrize("text", ["", " \n", "null", "```\nnull\n```", "None"])
def test_no_arguments(text: str) -> None:
    schemas: list[Any] = [None, {}, {"properties": {"a": {}}}]
    for schema in schemas:
        assert repair_arguments(text, schema).text == "{}"
    with pytest.raises(JSONRepairError, match="expected an object"):
        repair_arguments(text, SCHEMA)
    if not text.strip():
        assert not repair_arguments(text, {}, truncated=True).complete
        with pytest.raises(JSONRepairError):
            repair_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "3",
        '"text"',
        "true",
        '[{"path": "a"}]',
        '"[1]"',
        "```\n[1]\n```",
        "[" * 9999 + "]" * 9999,
    ],
)
def test_arguments_are_objects(text: str) -> None:
    with pytest.raises(JSONRepairError, match="expected an object"):
        repair_arguments(text, SCHEMA)


# Lexical rules


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"path": "a\n\tb\x01"}', {"path": "a\n\tb\x01"}),
        ('{"path": "a",}', {"path": "a"}),
        ('{"path": "a", "tags": ["x", ], }', {"path": "a", "tags": ["x"]}),
        ('{"path": "a",, "n": 1}', {"path": "a", "n": 1}),
        ('{,"path": "a"}', {"path": "a"}),
        ('{// one\n"path": /* two */ "a" # three\n}', {"path": "a"}),
        ('{"path": "a", "on": True, "n": None}', {"path": "a", "on": True, "n": None}),
        ('{"path": "a", "n": undefined}', {"path": "a"}),
        ('{"n": undefined, "path": "a"}', {"path": "a"}),
        ("{'path': 'a', 'n': /* ? */ undefined}", {"path": "a"}),
        ('{"n": undefined /* no */ , // no\n "path": "a"}', {"path": "a"}),
        ('{"tags": [undefined], "path": "a"}', {"tags": [None], "path": "a"}),
        (
            "{'path': 'it\\'s \"x\" \\x41\\u0042\\U0001f600'}",
            {"path": "it's \"x\" AB😀"},
        ),
        ("{'path': 'a\\d\\a\\\\'}", {"path": "a\\d\x07\\"}),
        ("{'path': \"it's \\x41\"}", {"path": "it's A"}),
        ("{“path”: “a \"b\" c”, ‘n’: 1}", {"path": 'a "b" c', "n": 1}),
        ("{„path“: „a“}", {"path": "a"}),
        ("{path: \"a\", $x-y: 1, 5: 2}", {"path": "a", "$x-y": 1, "5": 2}),
        ('{"path" = "a", "n" => 1, "on"：true}', {"path": "a", "n": 1, "on": True}),
        ('{"path": "a"，/* x */}', {"path": "a"}),
        ('{"path": "a"，"n": 1}', {"path": "a", "n": 1}),
        ('{\u00a0"path":\u3000"a\u00a0b"\ufeff}', {"path": "a\u00a0b"}),
        ('{"path": "a" "n": 1}', {"path": "a", "n": 1}),
        ('{"path": "a"\n n: 1}', {"path": "a", "n": 1}),
        ('{"n": 1 path: "a"}', {"n": 1, "path": "a"}),
        ('{"path": "a", "tags": ["x"\n"y"]}', {"path": "a", "tags": ["x", "y"]}),
        ('{"path": "a", "x": [{}{}[] []]}', {"path": "a", "x": [{}, {}, [], []]}),
        ('{"path": "\\d+\\w"}', {"path": "\\d+\\w"}),
        ('{"path": "\\bx\\d\\u12"}', {"path": "\\bx\\d\\u12"}),
        ('{"path": "C:\\Users\\new\\t.txt"}', {"path": "C:\\Users\\new\\t.txt"}),
        ('{"path": "don\\\'t"}', {"path": "don't"}),
        ("{\"path\": \"echo 'it'\\''s'\"}", {"path": "echo 'it'\\''s'"}),
        ('{"path": "a", "ratio": .5, "n": +1}', {"path": "a", "ratio": 0.5, "n": 1}),
        ('{"path": "a", "ratio": 1., "n": 0x1F}', {"path": "a", "ratio": 1.0, "n": 31}),
        ('{"path": 01, "n": 007, "ratio": -00}', {"path": "01", "n": 7, "ratio": 0}),
        (
            '{"path": "a", "ratio": -.5e3, "n": 1_000}',
            {"path": "a", "ratio": -500.0, "n": 1000},
        ),
        ('{"path": "a"}}]', {"path": "a"}),
    ],
)  # fmt: skip
def test_lexical_mistakes(text: str, meant: Any) -> None:
    assert _mended(text) == meant
    assert repair_arguments(text, SCHEMA).tier == 2


@pytest.mark.parametrize(
    "text",
    [
        '{"path": "\\d\\\\w"}',  # doubled or not
        '{"path": "\\d\\n"}',  # an escape or not
        '{"path": "\\d\\u0041"}',
        '{"path": "C:\\Users\\n"}',
        '{"path": "don\\\'t \'x\'"}',
        '{"path": "don\\\'t \\d"}',
        '{"path": "a\\\nb"}',
        '{"path": "\\d", "content": "a\\\\b"}',
        '{"path": "\\d", "content": "a\\tb"}',
        '{"path": "\\d", "content": "say \\"a\\nb\\""}',
        "{'path': '\\0\\1'}",
        "{'path': '\\x1'}",
        "{'path': '\\U00110000'}",
        "{'path': '\\N{DASH}'}",
        '{"path": a}',
        '{"path": "a", "n": 1-2}',
        '{"path": "a", "n": 1.2.3}',
        '{"path": "a", "x": 0x1F}',
        '{"path": "a", "x": 01}',
        '{"path": "a", "on": 01}',
        '{"path": }',
        '{"path" "a"}',
        '{"path"}',
        '{"path": "a", ...}',
        '{"path": "a" /* open}',
        '{"path": "a" # open}',
        '{"path": "a"#touching\n}',
        '{"path": "a", "tags": [,]}',
        '{"path": "a", "tags": [1,,2]}',
        '{"path": "a", "tags": ["x" "y"]}',
        '{"path": "a"; "n": 1}',
        '{"path": "a"} and more',
        'Here: {"path": "a"}',
        '"}',
        "{'path': 'a\\",
    ],
)
def test_what_is_not_sure_is_refused(text: str) -> None:
    with pytest.raises(JSONRepairError):
        repair_arguments(text, SCHEMA)
    assert repair_arguments(text, SCHEMA, truncated=True) == Repair(
        text, complete=False
    )


def test_lines_keep_their_escapes() -> None:
    """A string of several lines keeps `\\n`; backslashes that are none are literal."""
    code = 'def f():\\n    return re.match(\\"\\d+\\", x)\\n'
    meant = 'def f():\n    return re.match("\\d+", x)\n'
    assert _mended(f'{{"path": "{code}"}}') == {"path": meant}
    tabs = "f() {\\r\\n\\t\\tgrep \\d\\r\\n}"
    assert _mended(f'{{"path": "{tabs}"}}') == {"path": "f() {\r\n\t\tgrep \\d\r\n}"}
    both = f'{{"content": "{code}", "path": "\\d", "tags": ["a\\nb", "\\"\\/"]}}'
    found = _mended(both)
    assert found["content"] == meant and found["tags"] == ["a\nb", '"/']


# Structural rules


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"path": "say "hi", you", "n": 3}', {"path": 'say "hi", you', "n": 3}),
        ('{"content": "f(", ")", "path": "a"}', {"content": 'f(", ")', "path": "a"}),
        (
            '{"content": "", ".join(x)", "path": "p"}',
            {"content": '", ".join(x)', "path": "p"},
        ),
        ('{"content": "a "}", "path": "p"}', {"content": 'a "}', "path": "p"}),
        (
            '{"path": "p", "tags": ["a "b" c", "d"]}',
            {"path": "p", "tags": ['a "b" c', "d"]},
        ),
        ('{"path": "p", "tags": ["a "b" c",]}', {"path": "p", "tags": ['a "b" c']}),
        ("{'path': 'don't'}", {"path": "don't"}),
        (
            '{"path": "x", "tags": ["a "b", "c" d", "e"]}',
            {"path": "x", "tags": ['a "b", "c" d', "e"]},
        ),
        ('{"path": "die „Frage" war"}', {"path": 'die „Frage" war'}),
        ('{"path": "say "hi"",\n}', {"path": 'say "hi"'}),
        ('{"path": "a 24" screen"}', {"path": 'a 24" screen'}),
        ('{"path": "say "hi" now" "n": 1}', {"path": 'say "hi" now', "n": 1}),
        ('{"path": "<a b="c"/>\n"}', {"path": '<a b="c"/>\n'}),
        (
            '{"content": "echo "x" \\d", "path": "p"}',
            {"content": 'echo "x" \\d', "path": "p"},
        ),
        ('{"path": "a"', {"path": "a"}),
        ('{"path": "a", "inner": {"code": "b"', {"path": "a", "inner": {"code": "b"}}),
        ('{"path": "a", "tags": ["b"}', {"path": "a", "tags": ["b"]}),
        (
            '{"path": "a", "inner": {"x": [{"y": 1]}',
            {"path": "a", "inner": {"x": [{"y": 1}]}},
        ),
        ('```\n{"path": "a"\n```', {"path": "a"}),
        ('<tool_call>{"path": "a"</tool_call>', {"path": "a"}),
        ('{"path": "a"}{"path": "a"}', {"path": "a"}),
        ('{"path": "a"}\n{"path":"a",}', {"path": "a"}),
        ('{}{"path": "a"}', {"path": "a"}),
        ('{"path": "a"}{}', {"path": "a"}),
        ('{"path": "a"} {"n": 1,}', {"path": "a", "n": 1}),
        ('{"n": 1}{"path": "a"}{}{"on": true}', {"n": 1, "path": "a", "on": True}),
    ],
)  # fmt: skip
def test_structural_mistakes(text: str, meant: Any) -> None:
    assert _mended(text) == meant
    assert repair_arguments(text, SCHEMA).tier == 3


@pytest.mark.parametrize(
    "text",
    [
        '{"path": "a", "content": "b, "n": 1}',  # a quote is missing, or swallowed
        '{"path": "a, "content": "c"}',
        '{"path": "x", "tags": ["b,"c"]}',
        '{"path": "x", "tags": ["a" + "b"]}',
        '{"path": "1" + "2"}',
        '{"path": "Hi, " + name + "!"}',
        "{'path': 'a', 'n': 'b' , 'x'}",
        '{"path": ""a"}',
        '{"path": "a", "content": "b',
        '{"path": "a", "tags": [',
        '{"path": "a",',
        '{"path": "a", "n":',
        '{"n": 1',  # without what is required it may have been cut off
        '{"path": "say "hi"',
        '{"path": "say "hi" x", "n": "3"}',
        '{"path": "say "hi" x", "n": 3',
        '{"path": "a", "x": [{"y": {"z": 1]}',
        '{"path": "x", "tags": ["a 1"2", "b 3"4", "z"]}',
        '{"path": "a", "n": 1]',
        '{"path": "a"}{"n": 1, "path": "b", "n": 2}',
        '{"path": "a"}{"on": 1}',
        '{"path": "a"}{"path": }',
    ],
)
def test_structures_that_are_not_sure_are_refused(text: str) -> None:
    with pytest.raises(JSONRepairError):
        repair_arguments(text, SCHEMA)


def test_several_calls_in_one() -> None:
    text = '{"path": "a"} {"path": "b",}{}'
    documents = ('{"path": "a"}', '{"path": "b"}')
    assert repair_arguments(text, SCHEMA) == Repair(
        text, complete=False, documents=documents
    )
    assert repair_arguments(text, SCHEMA, truncated=True).documents == documents
    numbers = '{"path": "a", "n": 9007199254740992}{"path": "a", "n": 9007199254740993}'
    assert len(repair_arguments(numbers, SCHEMA).documents) == 2
    many = '{"path": "a"}' * MAX_FIXES
    assert repair_arguments(many, SCHEMA).text == '{"path": "a"}'
    with pytest.raises(JSONRepairError, match="no more than 64 documents"):
        repair_arguments(many + many, SCHEMA)


def test_what_is_lexical_comes_first() -> None:
    """A missing comma is no unescaped quote, though the schema lacks the key."""
    schema = {"properties": {"a": {}}, "additionalProperties": False}
    assert _mended('{"a": "1" "x": 2}', None) == {"a": "1", "x": 2}
    assert _mended('{"a": "1" "x": 2}', schema) == {"a": "1", "x": 2}
    assert _mended('{"a": ""x": "y""}', schema) == {"a": '"x": "y"'}


def test_fixes_are_limited() -> None:
    members = ", ".join(f"k{at}: 1" for at in range(MAX_FIXES))
    text = f"{{{members}}}"
    assert len(_mended(text, None)) == MAX_FIXES
    with pytest.raises(JSONRepairError, match="no more than 64 mistakes"):
        repair_arguments(text[:-1] + ", x: 1}", None)
    lines = json.dumps({"a": "x\n" * 999}).replace("\\n", "\n")
    assert len(repair_arguments(lines, None).edits) == 999


# Documents in text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("```json\n[1, 2,]\n```", [1, 2]),
        ('Sure [1]! {name}: {"a": {"b": 1}} and {that}.', {"a": {"b": 1}}),
        ("The list is [1, 2].", [1, 2]),
        ('Look:\n```json\n{"a": 1,}\n```\nDone.', {"a": 1}),
        ('Look: {"a": 1,} done', {"a": 1}),
        ("So: {'a': 'b'}", {"a": "b"}),
        ('x ```\n{"a": "b "c" d"}\n``` y', {"a": 'b "c" d'}),
        ('callback({"a": 1});', {"a": 1}),
        ("'text'", "text"),
        ("True", True),
        ("+1", 1),
        ("{} {}", {}),
    ],
)
def test_documents_in_text(text: str, meant: Any) -> None:
    repair = repair_json(text)
    assert repair.complete and same(json.loads(repair.text), meant)
    assert patched(text, repair.edits) == repair.text


@pytest.mark.parametrize(
    "text",
    [
        "no document at all",
        "Look: {broken",
        'one ```\n{"a": 1,}\n``` two ```\n{"b": 1,}\n```',
        'Look: {"a": {"b": 1} [} {"c": 1}',
        '{"a": [{"b": 1}',
        "Look: {a: 1}{b: 2} done",
        '{"a": x, "b": {"c": 1}}',
        "see " + "[1] [a] " * 40,
    ],
)
def test_texts_without_a_sure_document(text: str) -> None:
    if text == '{"a": [{"b": 1}':
        assert json.loads(repair_json(text).text) == {"a": [{"b": 1}]}
        return
    with pytest.raises(JSONRepairError):
        repair_json(text)


def test_several_documents_in_text() -> None:
    for text in ('{"a": 1}\n{"a": 2}', 'first {"a": 1}, then {"a": 2}.'):
        repair = repair_json(text)
        assert repair.documents == ('{"a": 1}', '{"a": 2}')
        assert not repair.complete and repair.text == text


@pytest.mark.parametrize(
    "text", ["12", " -1.5", "```\n12", "+1", '{"a": 1', "x {'a': 1}"]
)
def test_documents_that_may_go_on(text: str) -> None:
    assert repair_json(text, truncated=True) == Repair(text, complete=False)


def test_documents_that_were_whole_before_the_cut() -> None:
    assert repair_json("12 ", truncated=True).complete
    assert repair_json('```json\n{"a": 1,}\n``', truncated=True).complete is False
    assert repair_json('```json\n{"a": 1,}\n', truncated=True).complete
    assert repair_json('x {"a": 1} y', truncated=True).complete
    assert repair_arguments('{"a": 1}}', None, truncated=True).complete


# Depth, errors


def test_depth_is_no_limit() -> None:
    deep = 100_000
    whole = "[" * deep + "]" * deep
    assert repair_json(whole) == Repair(whole)
    mended = repair_json("[" * deep + "1" + "]" * 10)
    assert mended.edits == (Edit(deep + 11, "missing-closer", "", "]" * (deep - 10)),)
    for text in ("[" * deep, '{"a":' * deep, "[{" * deep, whole + "x"):
        with pytest.raises(JSONRepairError):
            repair_json(text)
    nested = '{"path":' * deep + "1" + "}" * deep
    assert repair_arguments(nested, SCHEMA) == Repair(nested)
    with pytest.raises(JSONRepairError, match="less nesting"):
        repair_arguments(nested + nested, SCHEMA)
    with pytest.raises(JSONRepairError):
        repair_arguments(nested[:-5], SCHEMA)


def test_errors_name_the_place_and_no_content() -> None:
    with pytest.raises(JSONRepairError) as caught:
        repair_arguments('{"path":\n  secret}', SCHEMA)
    error = caught.value
    assert str(error) == "expected a value, found a letter - at line 2, column 3"
    assert (error.line, error.column, error.offset) == (2, 3, 11)
    assert (error.expected, error.found) == ("a value", "a letter")
    assert isinstance(error, ValueError) and isinstance(error, LLMWireError)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert str(other) == str(error) and vars(other) == vars(error)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"path": ', "the end of the text"),
        ('{"path": }', "`}`"),
        ('{"path": é', "a letter"),
        ('{"path": "a"} 5', "a digit"),
        ('{"path": \x00', "a character"),
        ('{"path": →', "a character"),
    ],
)
def test_what_stands_there(text: str, found: str) -> None:
    with pytest.raises(JSONRepairError, match="expected") as caught:
        repair_arguments(text, SCHEMA)
    assert caught.value.found == found
