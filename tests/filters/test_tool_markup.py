"""Tests of `llmwire.filters._tool_markup`: what is written is read again."""

from __future__ import annotations

import json
import random

import pytest

from llmwire.errors import LocalProtocolError
from llmwire.filters._tool_call import Arguments, CallEnd, CallStart, Token
from llmwire.filters._tool_markup import (
    MarkupTool,
    first_words,
    is_writable,
    markup_tool,
    mcp_name,
    mcp_names,
    syntax_of,
    undeclared,
    write_call,
)
from llmwire.filters._tool_tags import Markup
from llmwire.requests import Tool
from tests.filters.calling import DECLARED, FREE, WRITE, call, halves, read, tool

FORMATS = ("cline", "function_calls")


def _arguments(tokens: list[Token]) -> str:
    return "".join(token.text for token in tokens if isinstance(token, Arguments))


def _same(tool: MarkupTool, given: str, arguments: str) -> bool:
    if tool.custom:
        return given == arguments
    return bool(json.loads(given) == json.loads(arguments))


@pytest.mark.parametrize("format", FORMATS)
def test_ten_thousand_calls_are_read_as_they_were_written(format: str) -> None:
    rng = random.Random(7)
    syntax = syntax_of(format)
    markup = Markup(DECLARED, syntax)
    for number in range(5000):
        tool, arguments = call(rng, DECLARED)
        text = f"before\n{write_call(syntax, tool, arguments)}\n\n behind"
        tokens = read(markup, [text])
        assert tokens[0] == "before\n", text
        assert tokens[1] == CallStart(tool.name, tool.custom), text
        assert tokens[-2:] == [CallEnd(True), "\n\n behind"], text
        assert _same(tool, _arguments(tokens), arguments), text
        assert read(markup, text) == tokens, text
        if number % 50 == 0:
            assert all(read(markup, cut) == tokens for cut in halves(text))


@pytest.mark.parametrize("format", FORMATS)
def test_several_calls_in_a_block(format: str) -> None:
    rng = random.Random(8)
    syntax = syntax_of(format)
    markup = Markup(DECLARED, syntax)
    for _ in range(200):
        calls = [call(rng, DECLARED) for _ in range(rng.randrange(1, 4))]
        text = syntax.block(write_call(syntax, *each) for each in calls)
        tokens = read(markup, [text])
        names = [token.name for token in tokens if isinstance(token, CallStart)]
        assert names == [tool.name for tool, _ in calls]
        assert not any(isinstance(token, str) for token in tokens)


def test_words_of_the_formats() -> None:
    write = markup_tool(WRITE)
    arguments = '{"path": "a.py", "content": "x\\ny", "count": 1}'
    assert write_call(syntax_of("roo"), write, arguments) == (
        "<write>\n<path>a.py</path>\n<content>\nx\ny\n</content>\n"
        "<count>1</count>\n</write>"
    )
    assert write_call(syntax_of("function_calls"), write, arguments) == (
        '<invoke name="write">\n<parameter name="path">a.py</parameter>\n'
        '<parameter name="content">\nx\ny\n</parameter>\n'
        '<parameter name="count">1</parameter>\n</invoke>'
    )


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ('{"content": "</content>"}', '<content encoding="json">"<\\/content>"'),
        ('{"content": 5}', '<content encoding="json">5</content>'),
        ('{"count": "5"}', '<count encoding="json">"5"</count>'),
        ('{"count": "five"}', "<count>five</count>"),
        ('{"anything": "5"}', '<anything encoding="json">"5"</anything>'),
        ('{"anything": 1e400}', "<anything>1e400</anything>"),
        ('{"anything": "</x>"}', "<anything></x></anything>"),
        ('{"other": "</x>"}', '<write encoding="json">\n{"other": "<\\/x>"}\n</write>'),
        ("[1]", '<write encoding="json">\n[1]\n</write>'),
        ('{"path": "a', '<write encoding="json">\n{"path": "a\n</write>'),
        ("", "<write>\n</write>"),
    ],
)
def test_what_is_written_otherwise(arguments: str, written: str) -> None:
    assert written in write_call(syntax_of("kilo"), markup_tool(WRITE), arguments)


def test_calls_by_mcp() -> None:
    called = MarkupTool("mcp__a_b__c__d", {})
    text = write_call(syntax_of("cline"), called, '{"x": "</arguments>"}')
    assert text == (
        "<use_mcp_tool>\n<server_name>a_b</server_name>\n<tool_name>c__d</tool_name>\n"
        '<arguments encoding="json">{"x": "<\\/arguments>"}</arguments>\n'
        "</use_mcp_tool>"
    )
    assert "<arguments>{}</arguments>" in write_call(syntax_of("cline"), called, " ")
    other = write_call(syntax_of("function_calls"), called, "{}")
    assert other == '<invoke name="mcp__a_b__c__d">\n</invoke>'


def test_names_of_mcp() -> None:
    assert mcp_names("mcp__a__b") == ("a", "b")
    assert mcp_name("a", "b") == "mcp__a__b"
    assert mcp_names("mcp__a") is mcp_names("read") is mcp_names("mcp____b") is None


def test_names_that_can_stand_in_tags() -> None:
    assert is_writable("a.b:c-d/e_1")
    assert not any(map(is_writable, ("", "a b", "a>", "<a", 'a"', "a\n")))
    odd = tool("odd", **{"a b": {}, "c": {}})
    assert markup_tool(odd).parameters == {"c": None}
    assert markup_tool(FREE).parameters == {}
    assert markup_tool(Tool(name="p", kind="custom")).custom


def test_undeclared_tools() -> None:
    assert undeclared("f", '{"a": 1, "b c": 2}', custom=False) == MarkupTool(
        "f", {"a": None}
    )
    assert undeclared("f", "[", custom=False) == MarkupTool("f", {})
    assert undeclared("f", "x", custom=True).custom


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"n": 1, "path": " a.py\\nb", "other": "c"}', "a.py"),
        (json.dumps({"path": "x" * 100}), "x" * 80),
        ('{"n": 1}', ""),
        ("[", ""),
    ],
)
def test_first_words(arguments: str, words: str) -> None:
    assert first_words(arguments) == words


def test_unknown_formats() -> None:
    with pytest.raises(LocalProtocolError, match="`aider` is none of cline, roo"):
        syntax_of("aider")
