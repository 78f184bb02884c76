"""Calls as Python writes them."""

from __future__ import annotations

import pytest

from llmwire.filters._call_bodies.pythonic import ending, parse
from tests.filters.call_bodies import TOOLS, end_of, plain, tool


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ("[write()]", [("write", {})]),
        (" [ write( ) , ] ", [("write", {})]),
        ("write(text='a')", [("write", {"text": "a"})]),
        ("write(text = 'a',)", [("write", {"text": "a"})]),
        ("write()\nlook_up()", [("write", {}), ("look_up", {})]),
        ("write(); look_up();", [("write", {}), ("look_up", {})]),
        ("print(default_api.write(text='a'))", [("write", {"text": "a"})]),
        ("default_api.write()", [("write", {})]),
        ("functions.write()", [("write", {})]),
        ("write.call(text='a')", [("write", {"text": "a"})]),
        ("one('x')", [("one", {"only": "x"})]),
        ("write(text='a\nb')", [("write", {"text": "a\nb"})]),
        ("write(text='<end>, )]')", [("write", {"text": "<end>, )]"})]),
        ('write(count="3")', [("write", {"count": "3"})]),
        ("write(flag=true, maybe=null)", [("write", {"flag": True, "maybe": None})]),
    ],
)
def test_calls(body: str, calls: object) -> None:
    assert plain(parse(body, TOOLS)) == calls


@pytest.mark.parametrize(
    "body",
    [
        "",
        "  ",
        "[]",
        "[write()",
        "[write()] and so on",
        "write",
        "write(",
        "write(text='a'",
        "write(text='a) ",
        "write(text=a)",
        "write(text=open('x'))",
        "write(text='a' + 'b')",
        "write(text='a' 'b')",
        "write(text=f'a')",
        "write(text='a', text='b')",
        "write(**{'text': 'a'})",
        "write(*['a'])",
        "write('a')",
        "write(, )",
        "one('x', 'y')",
        "one('x', only='y')",
        "one(other='y', 'x')",
        "free('x')",
        "unknown()",
        "write()()",
        "write().text",
        "print(write()",
        "print(unknown())",
        "print('x')",
        "x = write()",
        "write(text=='a')",
        "write(text=1j)",
        "lambda: write()",
        "write() if x else look_up()",
        "[write() for x in y]",
        "write(items=" + "[" * 100_000,
    ],
)
def test_what_is_no_call(body: str) -> None:
    assert parse(body, TOOLS) is None


def test_a_tool_named_print_is_called_itself() -> None:
    tools = {**TOOLS, "print": tool("print", {"properties": {"text": {}}})}
    assert plain(parse("print(text='a')", tools)) == [("print", {"text": "a"})]
    assert parse("print(write())", tools) is None


@pytest.mark.parametrize(
    ("text", "closer", "end"),
    [
        ("[write(text=']')] x", "", 17),
        ("write(text='\\')') x", "", 17),
        ("[write(text='''']''')] x", "", 22),
        ("[write(text='', count=1)] x", "", 25),
        ('[write(text="""a""")] x', "", 21),
        ("[write(text='a", "", None),
        ("write", "", None),
        (")", "", 1),
        ("write(text='```')\n``` x", "```", 18),
        ("write(text='a')`` ``", "```", 20),
        ("write(text='a')\n", "```", 16),
        ("write(text='a\n```", "```", None),
        ("write(text='a'\n", "```", None),
        ("write\n", "```", None),
        ("write('\\", "", None),
    ],
)
def test_where_it_ends(text: str, closer: str, end: int | None) -> None:
    for cuts in ([], range(len(text)), [3, 8], [16]):
        assert end_of(ending(closer, TOOLS), text, list(cuts)) == end
