"""Tests of `llmwire.filters._call_bodies.json_objects`."""

from __future__ import annotations

import pytest

from llmwire.filters._call_bodies import json_objects as bodies
from llmwire.filters._call_bodies._found import FoundCall, resolved, schema_of
from llmwire.requests import Tool
from tests.filters.leaking import tool

TOOLS = {
    "f": tool("f", a="string"),
    "g": tool("g", "x", x="integer", y="integer"),
    "bare": Tool(name="bare"),
}
F = FoundCall("f", '{"a": "b"}')


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "f", "arguments": {"a": "b"}}',
        ' {"parameters": {"a": "b"}, "name": "f"} ',
        '[{"tool_name": "f", "parameters": {"a": "b"}}]',
        '{"type": "function", "function": {"name": "f", "arguments": {"a": "b"}}}',
        '{"function_call": {"name": "functions.f", "arguments": {"a": "b"}}}',
        '{"tool": "default_api.f", "args": {"a": "b"}}',
        '{"function": "f", "input": {"a": "b"}}',
        '{"name": "f", "arguments": "{\\"a\\": \\"b\\"}"}',
        '{"name": "f", "arguments": {"a": "b"},}',
        '[{"name": "f", "arguments": {"a": "b"}}',
        '{"name": "f", "arguments": {"a": "b"}',
    ],
)
def test_objects_of_one_call(body: str) -> None:
    assert bodies.objects(body, TOOLS) == [F]


def test_several_objects() -> None:
    one = '{"name": "f", "arguments": {"a": "b"}}'
    for body in (
        f"{one}\n{one}",
        f"[{one}, {one}]",
        f"{one}; {one}",
        f"[{one}]\n[{one}]",
    ):
        assert bodies.objects(body, TOOLS) == [F, F]


def test_the_text_of_arguments_is_kept() -> None:
    text = '{ "x" :1.0e3,\n"y": "\\u00e9"}'
    body = f'{{"name": "g", "arguments": {text} }}'
    assert bodies.objects(body, TOOLS) == [FoundCall("g", text)]


def test_a_line_feed_in_a_text_is_mended() -> None:
    body = '{"name": "f", "arguments": {"a": "1\n2"}}'
    assert bodies.objects(body, TOOLS) == [FoundCall("f", '{"a": "1\\n2"}')]


@pytest.mark.parametrize("arguments", ["null", '""', '" "', "{}"])
def test_no_arguments(arguments: str) -> None:
    body = f'{{"name": "f", "arguments": {arguments}, "id": "c1"}}'
    assert bodies.objects(body, TOOLS) == [FoundCall("f", "{}", "c1")]


def test_ids_outside_of_what_names_the_call() -> None:
    body = '{"id": "c", "function": {"name": "f", "arguments": {}}}'
    assert bodies.objects(body, TOOLS) == [FoundCall("f", "{}", "c")]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "[]",
        "3",
        "[3]",
        "f",
        '{"name": "f"}',
        '{"name": 3, "arguments": {}}',
        '{"arguments": {}}',
        '{"name": "other", "arguments": {}}',
        '{"name": "f", "arguments": "x"}',
        '{"name": "f", "arguments": [1]}',
        '{"name": "f", "arguments": 3}',
        '{"name": "f", "arguments": {"a": "b',
        '{"name": "f", "arguments": {}} and more',
        '{"name": "f", "arguments": {}}</other>',
        '{"name": "f", "arguments": {}}{"name": "other", "arguments": {}}',
        '{"name": "directly_answer", "parameters": {}}',
        '{"function": {"name": "f"}}',
        "[" * 100_000,
        '{"name": "f", "arguments": ' + '{"a":' * 5000,
        '{"name": "f", "arguments": {"a": \ud800}}',
    ],
)
def test_what_is_no_call(body: str) -> None:
    assert bodies.objects(body, TOOLS) is None
    assert bodies.exact_objects(body, TOOLS) is None


def test_answering_is_left_out_beside_calls() -> None:
    body = '[{"tool_name": "directly_answer"}, {"tool_name": "f", "parameters": {}}]'
    assert bodies.objects(body, TOOLS) == [FoundCall("f", "{}")]


def test_exact_names() -> None:
    body = '{"name": "%sf", "arguments": {"a": "b"}}'
    assert bodies.exact_objects(body % "", TOOLS) == [F]
    assert bodies.exact_objects(body % "functions.", TOOLS) is None


def test_single_key_objects() -> None:
    read = bodies.single_key_objects
    assert read('[{"f": {"a": "b"}}, {"g": null}]', TOOLS) == [F, FoundCall("g", "{}")]
    for body in ("[]", '[{"f": {}, "g": {}}]', '{"other": {}}', '{"f": 3}'):
        assert read(body, TOOLS) is None


@pytest.mark.parametrize(
    ("parse", "body", "call_id"),
    [
        (bodies.named, ' f {"a": "b"}', None),
        (bodies.function_tag, 'f>{"a": "b"}', None),
        (bodies.functionary, '>>>f\n{"a": "b"}', None),
        (bodies.mistral_named, 'f[ARGS]{"a": "b"}', None),
        (bodies.mistral_named, 'f{"a": "b"}', None),
        (bodies.mistral_named, 'f[CALL_ID]c9[ARGS]{"a": "b"}', "c9"),
        (bodies.harmony, ' to=functions.f <|message|>{"a": "b"}', None),
        (bodies.harmony, 'functions.f<|channel|>commentary{"a": "b"}', None),
        (bodies.plugin, ' <|plugin|> {"name": "f", "parameters": {"a": "b"}}', None),
        (bodies.parenthesised, 'f({"a": "b"}', None),
        (bodies.react, 'f\nAction Input: {"a": "b"}', None),
        (bodies.react_text, "f\nAction Input: b", None),
    ],
)
def test_names_in_front(parse: bodies.Parse, body: str, call_id: str | None) -> None:
    assert parse(body, TOOLS) == [FoundCall("f", '{"a": "b"}', call_id)]
    assert parse(body.replace("f", "other", 1), TOOLS) is None
    assert parse("", TOOLS) is None


def test_heads_without_what_they_need() -> None:
    assert bodies.harmony("to=f", TOOLS) is None
    assert bodies.harmony('{"a": "b"}', TOOLS) is None
    assert bodies.plugin('{"name": "f", "parameters": {}}', TOOLS) is None
    assert bodies.parenthesised("f", TOOLS) is None
    assert bodies.react("f\nAction Input: b", TOOLS) is None
    assert bodies.react_text('f\nAction Input: {"a": "b"', TOOLS) is None
    for name in ("g", "bare"):
        assert bodies.react_text(f"{name}\nAction Input: b", TOOLS) is None


class TestSections:
    """Several calls between marks."""

    V3 = (
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{}\n"
        "```json\n{}\n```<｜tool▁call▁end｜>"
    )

    def test_deepseek(self) -> None:
        one = self.V3.replace("{}", "f", 1).replace("{}", '{"a": "b"}')
        assert bodies.deepseek(one + "\n" + one, TOOLS) == [F, F]
        assert bodies.deepseek(one.removesuffix("<｜tool▁call▁end｜>"), TOOLS) == [F]
        assert bodies.deepseek(one.replace("f\n", "other\n"), TOOLS) is None
        assert bodies.deepseek(one.replace('"b"', ""), TOOLS) is None
        assert bodies.deepseek("x" + one, TOOLS) is None
        assert bodies.deepseek(one + "x", TOOLS) is None
        assert bodies.deepseek("", TOOLS) is None
        assert bodies.deepseek(one.replace("▁", "_"), TOOLS) == [F]

    def test_a_broken_value_needs_its_end(self) -> None:
        one = self.V3.replace("{}", "f", 1).replace("{}", '{"a": "b"')
        assert bodies.deepseek(one, TOOLS) == [FoundCall("f", '{"a": "b"}')]
        assert bodies.deepseek(one.removesuffix("<｜tool▁call▁end｜>"), TOOLS) is None

    def test_between_a_value_and_the_next_call_stands_nothing(self) -> None:
        one = "<|tool_call_begin|>f<|tool_sep|>{} x <|tool_call_end|>"
        assert bodies.deepseek(one, TOOLS) is None

    KIMI = "<|tool_call_begin|>{}<|tool_call_argument_begin|>{}<|tool_call_end|>"

    @pytest.mark.parametrize(
        ("head", "arguments", "call"),
        [
            (
                "functions.f:3",
                '{"a": "b"}',
                FoundCall("f", '{"a": "b"}', "functions.f:3"),
            ),
            ("f", '{"a": "b"}', F),
            ("7", '{"x": 1}', FoundCall("g", '{"x": 1}')),
            ("7", '{"y": 1}', None),
            ("7", "{}", FoundCall("f", "{}")),
            ("7", '{"z": 1}', None),
            ("other:1", "{}", None),
            ("f:1", '{"a": }', None),
        ],
    )
    def test_kimi(self, head: str, arguments: str, call: FoundCall | None) -> None:
        body = self.KIMI.replace("{}", head, 1).replace("{}", arguments, 1)
        assert bodies.kimi(body, TOOLS) == (None if call is None else [call])

    def test_two_tools_that_fit_are_none(self) -> None:
        body = self.KIMI.replace("{}", "0", 1).replace("{}", '{"a": "b"}')
        assert bodies.kimi(body, TOOLS | {"h": tool("h", a="string")}) is None

    def test_a_schema_that_says_nothing_fits_nothing(self) -> None:
        body = self.KIMI.replace("{}", "0", 1).replace("{}", "{}", 1)
        assert bodies.kimi(body, {"bare": TOOLS["bare"]}) is None


def test_names() -> None:
    assert resolved(" f ", TOOLS) == "f"
    assert resolved("functions.f", TOOLS) == "f"
    assert resolved("functions.other", TOOLS) is None
    assert resolved("functions.f", {"functions.f": TOOLS["f"]}) == "functions.f"


def test_schemas() -> None:
    assert schema_of(TOOLS["bare"]) == {}
    for raw in (b"[]", b"{"):
        assert schema_of(Tool(name="x", schema=raw)) == {}  # type: ignore[arg-type]  # what a server may send
