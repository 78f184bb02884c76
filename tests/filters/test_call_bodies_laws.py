"""Laws of all readers of bodies: what was written is read, wherever it is cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from llmwire.filters._call_bodies import (
    arg_keys,
    attributes,
    gemma,
    pythonic,
    xml_parameters,
)
from tests.counting import steepness
from tests.filters.call_bodies import (
    TEXTS,
    TOOLS,
    calls,
    end_of,
    lenient,
    plain,
)
from tests.filters.call_texts import write

Case = tuple[ModuleType, str, str, bool, tuple[str, ...]]

_FUNCTION_ENDS = ("</parameter", "</function")
_INVOKE_ENDS = ("parameter>", "invoke>")
_ELEMENT_ENDS = ("</text", "</content", "</look_up>", "</write>", "<text", "<content")
CASES: dict[str, Case] = {
    "02-qwen-coder-bare": (xml_parameters, "", "", True, _FUNCTION_ENDS),
    "02-qwen-coder": (
        xml_parameters,
        "<tool_call>\n",
        "\n</tool_call>",
        False,
        _FUNCTION_ENDS,
    ),
    "03-seed": (
        xml_parameters,
        "<seed:tool_call>",
        "</seed:tool_call>",
        False,
        _FUNCTION_ENDS,
    ),
    "33-minicpm": (xml_parameters, "", "", True, ("</param", "CDATA")),
    "36-anthropic-legacy": (
        xml_parameters,
        "<function_calls>",
        "</function_calls>",
        True,
        (*_ELEMENT_ENDS, "</invoke>", "</parameters>", "<parameters>"),
    ),
    "37-cline": (xml_parameters, "", "", False, _ELEMENT_ENDS),
    "08-glm": (arg_keys, "<tool_call>", "</tool_call>", False, ("</arg_",)),
    "08-glm-tight": (arg_keys, "<tool_call>", "</tool_call>", False, ("</arg_",)),
    "22-hunyuan": (
        arg_keys,
        "<tool_calls:opensource>",
        "</tool_calls:opensource>",
        True,
        ("</arg_",),
    ),
    "09-pythonic": (pythonic, "", "", True, ()),
    "09-pythonic-marked": (
        pythonic,
        "<|python_start|>",
        "<|python_end|>",
        True,
        (),
    ),
    "10-olmo": (pythonic, "<function_calls>", "</function_calls>", True, ()),
    "11-lfm": (pythonic, "<|tool_call_start|>", "<|tool_call_end|>", True, ()),
    "39-tool-code": (pythonic, "```tool_code", "```", False, ()),
    "14-deepseek-32": (
        attributes,
        "<｜DSML｜function_calls>",
        "</｜DSML｜function_calls>",
        True,
        (),
    ),
    "14-deepseek-4": (
        attributes,
        "<｜DSML｜tool_calls>",
        "</｜DSML｜tool_calls>",
        True,
        (),
    ),
    "15-gigachat": (
        attributes,
        "<｜GCML｜tool_calls>",
        "</｜GCML｜tool_calls>",
        True,
        (),
    ),
    "17-kimi-3": (
        attributes,
        "<|open|>tools<|sep|>",
        "<|close|>tools<|sep|>",
        True,
        (),
    ),
    "18-minimax-2": (
        attributes,
        "<minimax:tool_call>",
        "</minimax:tool_call>",
        True,
        _INVOKE_ENDS,
    ),
    "18-minimax-3": (
        attributes,
        "]<]minimax[>[<tool_call>",
        "]<]minimax[>[</tool_call>",
        True,
        (*_ELEMENT_ENDS, "</invoke>", "</tool_call>"),
    ),
    "19-step-3": (
        attributes,
        "<｜tool_calls_begin｜>",
        "<｜tool_calls_end｜>",
        True,
        (),
    ),
    "36-anthropic": (
        attributes,
        "<function_calls>",
        "</function_calls>",
        True,
        _INVOKE_ENDS,
    ),
    "31-functiongemma": (
        gemma,
        "<start_function_call>",
        "<end_function_call>",
        False,
        ("<escape>",),
    ),
    "32-gemma-4": (gemma, "<|tool_call>", "<tool_call|>", False, ('<|"|>',)),
}

_LITERAL = TEXTS
Given = list[tuple[str, dict[str, Any]]]


def written(key: str, made: Given) -> tuple[str, str]:
    """The body of these calls in format `key`, and what closes it."""
    _, begin, end, _, _ = CASES[key]
    text = write(key, made)
    assert text.startswith(begin) and text.endswith(end)
    return text[len(begin) : len(text) - len(end)], end


def _allowed(key: str, made: Given) -> Given:
    """`made` without what the format cannot say: its own marks in a value."""
    _, _, _, several, marks = CASES[key]
    assume(not any(mark in json.dumps(made, ensure_ascii=False) for mark in marks))
    return made if several else made[:1]


@pytest.mark.parametrize("key", CASES)
@given(made=calls())
@example(made=[("write", {})])
@example(made=[("write", {"text": ""})])
@example(made=[("write", {"text": "\n"}), ("look_up", {})])
@example(made=[("write", {"text": "null"}), ("look_up", {"text": "3"})])
@example(made=[("write", {"text": "日本 🦉\r\n\t", "deep": {"a": [1, {"b": None}]}})])
@example(made=[("look_up", {"deep": {"_": "</tool_call>"}})])
@example(made=[("look_up", {"items": ["}</function>"], "text": ""})])
def test_what_was_written_is_read(key: str, made: Given) -> None:
    made = _allowed(key, made)
    body, _ = written(key, made)
    assert plain(CASES[key][0].parse(body, TOOLS)) == lenient(made)


@pytest.mark.parametrize("key", CASES)
@given(made=calls(), cuts=st.lists(st.integers(0, 2000), max_size=6))
@example(made=[("write", {"text": "a"}), ("write", {})], cuts=list(range(2000)))
@example(made=[("look_up", {"deep": {"_": "</tool_call>"}})], cuts=[])
@example(made=[("look_up", {"items": ["}</function>"], "text": ""})], cuts=[])
def test_the_end_is_found_wherever_the_text_is_cut(
    key: str, made: Given, cuts: list[int]
) -> None:
    made = _allowed(key, made)
    body, closer = written(key, made)
    if not closer:
        made = made if key == "09-pythonic" else made[:1]
        body, _ = written(key, made)
    ending = CASES[key][0].ending(closer, TOOLS)
    assert end_of(ending, body + closer + "\nand so on", cuts) == len(body)


@pytest.mark.parametrize("key", CASES)
@given(made=calls(most=1), data=st.data())
def test_what_is_cut_off_is_no_call(key: str, made: Given, data: st.DataObject) -> None:
    made = _allowed(key, made)
    body, closer = written(key, made)
    body = body.rstrip()
    stop = data.draw(st.integers(0, len(body) - 1))
    module = CASES[key][0]
    end = end_of(module.ending(closer, TOOLS), body[:stop], [])
    read = plain(module.parse(body[:end], TOOLS)) if end is not None else None
    assert read is None or read == lenient(made)
    if module in (pythonic, gemma):
        assert module.parse(body[:stop], TOOLS) is None


MODULES = (arg_keys, attributes, gemma, pythonic, xml_parameters)
_PIECES = st.sampled_from(
    [
        "<function=look_up>",
        "<parameter=text>",
        "</parameter>",
        "</function>",
        "</",
        "<",
        '<function name="write">',
        '<param name="text">',
        "</param>",
        "<![CDATA[",
        "]]>",
        "<invoke>",
        "<tool_name>write</tool_name>",
        "<parameters>",
        "<text>",
        "</text>",
        "</invoke>",
        "<write>",
        "</write>",
        "<use_mcp_tool>",
        "<server_name>",
        "write",
        '<invoke name="write">',
        '<invoke name="write"/>',
        '<parameter name="text">',
        '<｜DSML｜invoke name="write">',
        "</｜DSML｜invoke>",
        "]<]minimax[>[",
        "{",
        "}",
        '<|open|>call tool="write"<|sep|>',
        '<|open|>argument key="text"<|sep|>',
        "]",
        "<|close|>argument<|sep|>",
        "<|close|>call<|sep|>",
        "<|open|>json<|sep|>",
        "[",
        "<arg_key>text</arg_key>",
        "<arg_value>",
        "</arg_value>",
        "<tool_call>",
        "\\n",
        "</tool_call>",
        "<tool_sep>",
        "write(",
        "text=",
        "'",
        '"',
        ")",
        "print(",
        ",",
        "call:write{",
        "text:",
        "<escape>",
        '<|"|>',
        "1",
        ".",
        "-",
        "\\",
        "\n",
        " ",
        "\x00",
        "�",
        "None",
        "'''",
        "=",
        ":",
        "\\u12",
        "\\ud83d",
        "0x",
        "_",
        "é",
    ]
)
HOSTILE = st.lists(_PIECES | st.text(max_size=2), max_size=25).map("".join)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
@given(text=HOSTILE, closer=st.sampled_from(["", "</tool_call>", "```", "]"]))
def test_nothing_raises(module: ModuleType, text: str, closer: str) -> None:
    for call in module.parse(text, TOOLS) or ():
        assert call.name in TOOLS
        assert isinstance(json.loads(call.arguments), dict)
    ending = module.ending(closer, TOOLS)
    end = end_of(ending, text, [])
    assert end is None or 0 <= end <= len(text)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
@given(
    text=HOSTILE,
    closer=st.sampled_from(["", "</tool_call>"]),
    cuts=st.lists(st.integers(0, 500), max_size=8),
)
def test_where_it_ends_does_not_depend_on_the_cuts(
    module: ModuleType, text: str, closer: str, cuts: list[int]
) -> None:
    whole = end_of(module.ending(closer, TOOLS), text, [])
    assert end_of(module.ending(closer, TOOLS), text, cuts) == whole
    every = list(range(len(text) + 1))
    assert end_of(module.ending(closer, TOOLS), text, every) == whole


def _filled(begin: str, unit: str, end: str = "") -> Callable[[int], str]:
    return lambda size: begin + unit * size + end


_SHAPES: dict[str, tuple[ModuleType, Callable[[int], str]]] = {
    "closers": (
        xml_parameters,
        _filled("<function=write><parameter=text>", "</parameter> x "),
    ),
    "closed calls": (
        xml_parameters,
        _filled("<function=write><parameter=text>", "</parameter></function> x"),
    ),
    "openers": (
        xml_parameters,
        _filled("<function=write><parameter=text>", "\n<parameter=count>"),
    ),
    "sections": (
        xml_parameters,
        _filled('<function name="write"><param name="text"><![CDATA[', "]]></param> x"),
    ),
    "elements": (xml_parameters, _filled("<write><content>", "</content></write> ")),
    "last": (xml_parameters, _filled("<write><content>", "</content><text></text>")),
    "calls": (xml_parameters, _filled("", "<function=write></function>\n")),
    "invokes": (attributes, _filled("", '<invoke name="write"/>\n')),
    "noise": (attributes, _filled("", "]<]minimax[>[")),
    "attributes": (attributes, _filled("<|open|>call ", ' name="write" ')),
    "keys": (arg_keys, _filled("write", "<arg_key>text</arg_key>\n")),
    "pairs": (
        arg_keys,
        _filled("write<arg_key>text</arg_key><arg_value>", "</arg_value> x"),
    ),
    "nested": (pythonic, _filled("[write(items=", "[")),
    "quotes": (pythonic, _filled("[write(text=", "'a' ")),
    "string": (pythonic, _filled("[write(text='", "\\n a ", "')]")),
    "numbers": (pythonic, _filled("[write(items=[", "1, ", "])]")),
    "escapes": (gemma, _filled("call:write{text:<escape>", "<escape> ")),
    "gemma nested": (gemma, _filled("call:write{items:", "[")),
    "gemma numbers": (gemma, _filled("call:write{items:[", "1,", "1]}")),
}


@pytest.mark.parametrize("shape", _SHAPES)
def test_reading_is_linear(shape: str) -> None:
    module, text = _SHAPES[shape]

    def prepare(size: int) -> Callable[[], object]:
        body = text(size)
        return lambda: module.parse(body, TOOLS)

    assert steepness(prepare, 80) <= 2.3


@pytest.mark.parametrize("shape", _SHAPES)
def test_looking_for_the_end_is_linear(shape: str) -> None:
    module, text = _SHAPES[shape]

    def prepare(size: int) -> Callable[[], object]:
        body = text(size)
        every = range(len(body))
        return lambda: end_of(module.ending("</none>", TOOLS), body, every)

    assert steepness(prepare, 40) <= 2.3
