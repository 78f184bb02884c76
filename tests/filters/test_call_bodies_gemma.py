"""Calls of Gemma."""

from __future__ import annotations

import pytest

from llmwire.filters._call_bodies.gemma import ending, parse
from tests.filters.call_bodies import TOOLS, end_of, plain


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ("call:write{}", {}),
        (" call: write { } ", {}),
        ("call:write{text:<escape>a, b: c}<escape>}", {"text": "a, b: c}"}),
        ('call:write{text:<|"|>say "x"<|"|>,count:3}', {"text": 'say "x"', "count": 3}),
        ('call:write{text:"a\\n"}', {"text": "a\n"}),
        ("call:write{text:Tokyo }", {"text": "Tokyo"}),
        ("call:write{text:3}", {"text": "3"}),
        ("call:write{count:3,}", {"count": 3}),
        ("call:write{flag:true,maybe:null}", {"flag": True, "maybe": None}),
        ("call:write{count:many}", {"count": "many"}),
        ('call:write{items:[<|"|>a<|"|>, 1, [], {}]}', {"items": ["a", 1, [], {}]}),
        (
            'call:write{deep:{a:1, <|"|>b<|"|>:{"c":[true]}}}',
            {"deep": {"a": 1, "b": {"c": [True]}}},
        ),
        ("call:write{text:<escape>a<escape>b<escape>}", {"text": "a<escape>b"}),
        ('call:write{"text":<escape><escape>}', {"text": ""}),
        ("call:functions.write{}", {}),
    ],
)
def test_calls(body: str, arguments: object) -> None:
    assert plain(parse(body, TOOLS)) == [("write", arguments)]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "call:write",
        "call:write{",
        "call:write{}x",
        "call:unknown{}",
        "call:write{text}",
        "call:write{text:}",
        "call:write{text:<escape>a}",
        "call:write{text:<escape>a<escape>",
        "call:write{text:<escape>a<escape> b}",
        "call:write{text:a,text:b}",
        "call:write{text:a,,}",
        "call:write{items:[}",
        "call:write{items:[1",
        "call:write{items:[1}}",
        "call:write{items:[1,]}",
        "call:write{deep:{a}}",
        "call:write{deep:{,}}",
        "call:write{deep:{[]:1}}",
        "call:write{<b>:1}",
        'call:write{"text:1}',
        "call:write{items:" + "[" * 100_000 + "}",
        "write{}",
    ],
)
def test_what_is_no_call(body: str) -> None:
    assert parse(body, TOOLS) is None


def test_deep_ones_are_read_to_a_bound() -> None:
    for depth, read in ((128, True), (129, False)):
        body = "call:write{items:" + "[" * depth + "]" * depth + "}"
        assert (parse(body, TOOLS) is not None) is read


@pytest.mark.parametrize(
    ("text", "closer", "end"),
    [
        ("call:write{} x", "", 12),
        ("call:write{items:[{}]} x", "", 22),
        ("call:write{text:<escape>}<escape>} x", "", 34),
        ("call:write{text:<escape>a<escape>b<escape>} x", "", 43),
        ('call:write{text:"}\\""} x', "", 22),
        ('call:write{text:"\\', "", None),
        ("call:write{", "", None),
        ("call:write{}<end> x", "<end>", 12),
        ("call:write{text:<escape><end><escape>}<end> x", "<end>", 38),
        ("call:write{text:<escape>a<escape>  ,b:1}<end> x", "<end>", 40),
        ("call:write{text:<escape>a<escape>  ", "<end>", None),
        ("call:write{}", "<end>", None),
    ],
)
def test_where_it_ends(text: str, closer: str, end: int | None) -> None:
    for cuts in ([], range(len(text)), [3, 26], [33]):
        assert end_of(ending(closer, TOOLS), text, list(cuts)) == end
