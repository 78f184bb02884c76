"""Calls as elements whose names are attributes."""

from __future__ import annotations

import pytest

from llmwire.filters._call_bodies.attributes import ending, parse
from tests.filters.call_bodies import TOOLS, end_of, plain

NS = "]<]minimax[>["


def invoke(inner: str, mark: str = "") -> str:
    return f'<{mark}invoke name="write">{inner}</{mark}invoke>'


def parameter(text: str, mark: str = "", kind: str = "") -> str:
    return f'<{mark}parameter name="text"{kind}>{text}</{mark}parameter>'


def kimi(inner: str) -> str:
    return f'<|open|>call tool="write" index="1"<|sep|>{inner}<|close|>call<|sep|>'


def argument(key: str, text: str, kind: str = "") -> str:
    opening = f'<|open|>argument key="{key}"{kind}<|sep|>'
    return f"{opening}{text}<|close|>argument<|sep|>"


STRING, JSON = ' string="true"', ' string="false"'


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        (invoke(""), {}),
        ('<invoke name="write"/>', {}),
        ('<invoke name="write" />', {}),
        (invoke(parameter("\na ")), {"text": "\na "}),
        (invoke('<parameter name="count">3</parameter>'), {"count": 3}),
        (invoke(parameter("a</parameter>b")), {"text": "a</parameter>b"}),
        (invoke(parameter("a</invoke>b")), {"text": "a</invoke>b"}),
        (invoke(parameter("<b>&amp;</b>")), {"text": "<b>&amp;</b>"}),
        (invoke('<parameter name="text">a\n'), {"text": "a\n"}),
        (invoke('{"text": "</invoke>"}'), {"text": "</invoke>"}),
        (invoke(parameter("a", "ns:"), "ns:"), {"text": "a"}),
        (invoke(parameter("</invoke>", "ns:"), "ns:"), {"text": "</invoke>"}),
        (invoke(parameter("3", "｜DSML｜", STRING), "｜DSML｜"), {"text": "3"}),
        (invoke(parameter("3", "｜DSML｜", JSON), "｜DSML｜"), {"text": 3}),
        (invoke(parameter("a", "｜｜DSML｜｜", STRING), "｜｜DSML｜｜"), {"text": "a"}),
        (invoke(parameter('"a"', "｜GCML｜"), "｜GCML｜"), {"text": '"a"'}),
        (invoke('{"text": "a"}', "｜DSML｜"), {"text": "a"}),
        (f"{NS}{invoke(f'{NS}<text>a{NS}</text>{NS}')}", {"text": "a"}),
        (f"{NS}{invoke(f'{NS}<text>a</text>')}", {"text": "a"}),
        (invoke("<text></b></text><count>3</count>"), {"text": "</b>", "count": 3}),
        (f"{NS}{invoke(NS)}", {}),
        (kimi(""), {}),
        (kimi(argument("text", "a")), {"text": "a"}),
        (kimi(argument("anything", "3", ' type="string"')), {"anything": "3"}),
        (kimi(argument("anything", "3", ' type="number"')), {"anything": 3}),
        (kimi(argument("a&quot;&amp;", "x")), {'a"&': "x"}),
        (
            kimi('<|open|>json type="object"<|sep|>{"a": 1}<|close|>json<|sep|>'),
            {"a": 1},
        ),
        (kimi("").replace("tool=", "name="), {}),
        (
            "<｜tool_call_begin｜>function<｜tool_sep｜>"
            + invoke(parameter("a", "steptml:"), "steptml:")
            + "<｜tool_call_end｜>",
            {"text": "a"},
        ),
    ],
)
def test_one_call(body: str, arguments: object) -> None:
    assert plain(parse(body, TOOLS)) == [("write", arguments)]


def test_several_calls() -> None:
    body = invoke("") + "\n" + invoke(parameter("a"))
    assert plain(parse(body, TOOLS)) == [("write", {}), ("write", {"text": "a"})]
    body = kimi("") + kimi(argument("text", "a"))
    assert plain(parse(body, TOOLS)) == [("write", {}), ("write", {"text": "a"})]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "x",
        invoke("").replace("write", "unknown"),
        '<invoke name="write">',
        '<invoke name="write"> x',
        invoke(" x "),
        invoke(parameter("a")) + " x",
        invoke("<text>a"),
        invoke("<unknown>a</unknown>"),
        invoke('{"a": 1} x'),
        invoke('{"a": NaN}'),
        invoke("{"),
        invoke('{"a": 1}').removesuffix("</invoke>"),
        invoke(parameter("a", "｜DSML｜"), "｜GCML｜"),
        kimi('<|open|>json<|sep|>{"a": 1}'),
        kimi("<|open|>json<|sep|>[1]<|close|>json<|sep|>"),
        kimi('<|open|>argument key="text"<|sep|>a'),
        '<|open|>call index="1"<|sep|><|close|>call<|sep|>',
    ],
)
def test_what_is_no_call(body: str) -> None:
    assert parse(body, TOOLS) is None


@pytest.mark.parametrize(
    ("body", "closer"),
    [
        (invoke(parameter("a")), ""),
        (invoke(parameter("a</parameter> </invoke> b")), "</function_calls>"),
        (invoke('{"a": 1}', "｜DSML｜"), "</｜DSML｜tool_calls>"),
        (f"{NS}{invoke(f'{NS}<text>a{NS}</text>{NS}')}{NS}", "</tool_call>"),
        (
            kimi('<|open|>json<|sep|>{"a": 1}<|close|>json<|sep|>'),
            "<|close|>tools<|sep|>",
        ),
        (kimi("") + kimi(argument("text", "a")), "<|close|>tools<|sep|>"),
        ("function<｜tool_sep｜>" + invoke("", "steptml:"), "<｜tool_call_end｜>"),
        ('<invoke name="write"/><invoke name="write"/>', "</function_calls>"),
    ],
)
def test_where_it_ends(body: str, closer: str) -> None:
    text = f"{body}{closer} and so on > "
    for cuts in ([], range(len(text)), [3, 26], [60]):
        assert end_of(ending(closer, TOOLS), text, list(cuts)) == len(body)


def test_a_call_that_closes_at_once_is_all_where_nothing_stands_around() -> None:
    assert ending("", TOOLS).feed('<invoke name="write"/> x') == 22
