"""Calls as elements."""

from __future__ import annotations

import pytest
from msgspec import Raw

from llmwire.filters._call_bodies.xml_parameters import ending, parse
from tests.filters.call_bodies import TOOLS, end_of, plain, tool

TEXT = "<parameter=text>\n%s\n</parameter>\n"


def function(inner: str) -> str:
    return f"<function=write>\n{inner}</function>"


def written(text: str) -> str:
    return f"<write>\n<content>\n{text}\n</content>\n</write>"


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        (function(""), {}),
        (" \n" + function(TEXT % "a") + "\n", {"text": "a"}),
        (function(TEXT % "\na\n"), {"text": "\na\n"}),
        (function(TEXT % ""), {"text": ""}),
        (function("<parameter=text></parameter>"), {"text": ""}),
        (function("<parameter=text>\n</parameter>"), {"text": ""}),
        (function("<parameter=text> a </parameter>"), {"text": " a "}),
        ('<function="write"><parameter="text">a</parameter></function>', {"text": "a"}),
        ("<function=functions.write></function>", {}),
        # literal closers
        (function(TEXT % "a</parameter>b"), {"text": "a</parameter>b"}),
        (function(TEXT % "a</function>b"), {"text": "a</function>b"}),
        (
            function(TEXT % "</parameter></parameter>"),
            {"text": "</parameter></parameter>"},
        ),
        (
            function(TEXT % "a</parameter></function> b"),
            {"text": "a</parameter></function> b"},
        ),
        (
            function(TEXT % "x <parameter=count>" + "<parameter=count>3</parameter>"),
            {"text": "x <parameter=count>", "count": 3},
        ),
        (
            function(TEXT % "a" + TEXT % "b"),
            {"text": "a\n</parameter>\n<parameter=text>\nb"},
        ),
        # closers that are missing
        (function(TEXT % "a")[: -len("</function>")], {"text": "a"}),
        (function("<parameter=text>\na\n"), {"text": "a"}),
        (
            function("<parameter=text>\na\n<parameter=count>\n3\n</parameter>\n"),
            {"text": "a", "count": 3},
        ),
        (
            function("<parameter=count>3<parameter=text>a</parameter>"),
            {"count": 3, "text": "a"},
        ),
        (
            function("<parameter=anything>{<parameter=text>a</parameter>"),
            {"anything": "{<parameter=text>a"},
        ),
        (function("<parameter=count>3"), {"count": 3}),
        (
            function("<parameter=text>a\n<parameter=other>b</parameter>"),
            {"text": "a\n<parameter=other>b"},
        ),
        (
            function("<parameter=text>a</parameter><parameter=other>3</parameter>"),
            {"text": "a", "other": "3"},
        ),
        # the other grammars
        ('<function name="write"></function>', {}),
        ('<function name="write"/>', {}),
        (
            '<function name="write"><param name="text">\na</param></function>',
            {"text": "\na"},
        ),
        (
            '<function name="write"><param name="text">\n<![CDATA[</param></function>'
            ']]></param>\n<param name="count"><![CDATA[3]]></param></function>',
            {"text": "</param></function>", "count": 3},
        ),
        (
            '<function name="write"><param name="text"><![CDATA[]]></param> x]]>'
            "</param></function>",
            {"text": "]]></param> x"},
        ),
        (
            '<function name="write"><param name="text"><![CDATA[a</param></function>',
            {"text": "<![CDATA[a"},
        ),
        ("<invoke><tool_name>write</tool_name></invoke>", {}),
        (
            "<invoke>\n<tool_name> write </tool_name>\n<parameters>\n<text>\na</b>"
            "</text><count>3</count></parameters></invoke>",
            {"text": "\na</b>", "count": 3},
        ),
        ("<write></write>", {}),
        (written("a"), {"content": "a"}),
        (written("</content>"), {"content": "</content>"}),
        (written("</write>"), {"content": "</write>"}),
        (written("<text>"), {"content": "<text>"}),
        (
            written("a\n</content>\n<text>b</text>\nc"),
            {"content": "a\n</content>\n<text>b</text>\nc"},
        ),
        (
            "<write><content>a</content><count>3</count></write>",
            {"content": "a", "count": 3},
        ),
        (
            "<write><text>a</text><content>b</text><count>3</content></write>",
            {"text": "a", "content": "b</text><count>3"},
        ),
    ],
)
def test_one_call(body: str, arguments: object) -> None:
    assert plain(parse(body, TOOLS)) == [("write", arguments)]


def test_several_calls() -> None:
    body = function(TEXT % "a") + "\n<function=look_up></function>"
    assert plain(parse(body, TOOLS)) == [("write", {"text": "a"}), ("look_up", {})]
    # The first lacks the end of its value.
    body = function("<parameter=text>a\n") + "\n<function=look_up></function>"
    assert plain(parse(body, TOOLS)) == [("write", {"text": "a"}), ("look_up", {})]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "write",
        "<b>x</b>",
        "<function=unknown></function>",
        "<function=write>",
        "<function=write>x</function>",
        "<function=write></function> and so on",
        "<function=write><parameter=text>a",
        "<function=write><parameter=text>a</function>",
        "<function=write><parameter=text",
        "<function=write><parameter=text>a</parameter> b",
        '<function=write>{"text": "a"}',
        "<write>",
        "<write><unknown>a</unknown></write>",
        "<write><text>a</write>",
        "<write><text>a</text>b</write>",
        "<invoke><tool_name>write</tool_name><parameters>",
        "<use_mcp_tool></use_mcp_tool>",
        '<div className="a"><Button onClick={() => write()}>x</Button></div>',
        "<?xml version='1.0'?><function name='write'></function>",
    ],
)
def test_what_is_no_call(body: str) -> None:
    assert parse(body, TOOLS) is None


def test_one_object_in_place_of_values() -> None:
    found = parse('<function=write>{"text": "</function>"}</function>', TOOLS)
    assert plain(found) == [("write", {"text": "</function>"})]


MCP = (
    "<use_mcp_tool>\n<server_name>files</server_name>\n<tool_name>%s</tool_name>\n"
    "<arguments>\n%s\n</arguments>\n</use_mcp_tool>"
)


@pytest.mark.parametrize("name", ["mcp__files__cat", "files__cat", "cat"])
def test_tools_of_servers(name: str) -> None:
    tools = {name: tool(name)}
    assert plain(parse(MCP % ("cat", '{"a": 1}'), tools)) == [(name, {"a": 1})]
    assert parse(MCP % ("dog", '{"a": 1}'), tools) is None
    assert parse(MCP % ("cat", "[1]"), tools) is None
    assert parse(MCP % ("cat", "x"), tools) is None
    assert parse("<use_mcp_tool></use_mcp_tool>", tools) is None


def test_a_tool_of_that_name_is_called_itself() -> None:
    tools = {
        "use_mcp_tool": tool(
            "use_mcp_tool",
            {
                "properties": {
                    "server_name": {},
                    "tool_name": {},
                    "arguments": {"type": "object"},
                }
            },
        )
    }
    found = plain(parse(MCP % ("cat", '{"a": 1}'), tools))
    arguments = {"server_name": "files", "tool_name": "cat", "arguments": {"a": 1}}
    assert found == [("use_mcp_tool", arguments)]


def test_a_tool_without_a_schema() -> None:
    tools = {"f": tool("f", {})}
    body = "<f><a>1</a><b>x</b></f>"
    assert plain(parse(body, tools)) == [("f", {"a": 1, "b": "x"})]
    assert Raw(b"{}") == tools["f"].schema


CALL = function(TEXT % "a")
LACKING = function("<parameter=text>a\n")


@pytest.mark.parametrize(
    ("text", "closer", "end"),
    [
        (f"{CALL} x", "", len(CALL)),
        (f"\n{CALL}\n</tool_call> x", "</tool_call>", len(CALL) + 2),
        (f"{CALL}{CALL}</tool_call> x", "</tool_call>", 2 * len(CALL)),
        (f"{function('')}</tool_call> x", "</tool_call>", len(function(""))),
        (f"{CALL[:-11]}</tool_call> x", "</tool_call>", len(CALL) - 11),
        # literal ones
        (
            function(TEXT % "</function></tool_call>") + "</tool_call>",
            "</tool_call>",
            len(function(TEXT % "</function></tool_call>")),
        ),
        (
            function(TEXT % "<function=look_up> </function>") + " x",
            "",
            len(function(TEXT % "<function=look_up> </function>")),
        ),
        (
            function(TEXT % ("</parameter>" + " " * 300 + "</function>")),
            "",
            len(function(TEXT % ("</parameter>" + " " * 300 + "</function>"))),
        ),
        # missing ones
        (LACKING, "", len(LACKING)),
        (f"{LACKING} x", "", None),
        (f"{LACKING}\n{CALL}", "", len(LACKING)),
        (f"{LACKING}</tool_call>", "</tool_call>", len(LACKING)),
        (f"{LACKING}</tool_call> x", "</tool_call>", None),
        (
            f"{LACKING}</tool_call>\n<tool_call>{CALL}",
            "</tool_call>",
            len(LACKING),
        ),
        (CALL, "</tool_call>", len(CALL)),
        (f"{CALL} x", "</tool_call>", None),
        (CALL[:-11], "</tool_call>", None),
        ("</tool_call>", "</tool_call>", None),
        ("x" * 2000 + CALL, "", None),
        (written("a") + " x", "", len(written("a"))),
        (written("</text>\n</write>") + " x", "", len(written("</text>\n</write>"))),
        (
            written("<text>\n</text></write>") + " x",
            "",
            len(written("<text>\n</text></write>")),
        ),
        ('<function name="write"/> x', "", 24),
        (
            '<function name="write"><param name="text"><![CDATA[</param></function>]]>'
            "</param></function> x",
            "",
            92,
        ),
        ('<function name="write"><param name="text"><![CDATA[a', "", None),
        ('<function name="write">{"a": 1}</function> x', "", 42),
        ('<function name="write"/></tools>', "</tools>", 24),
    ],
)
def test_where_it_ends(text: str, closer: str, end: int | None) -> None:
    for cuts in ([], range(len(text)), [3, 26], [60]):
        assert end_of(ending(closer, TOOLS), text, list(cuts)) == end


def test_what_is_kept_of_a_text_is_bounded() -> None:
    follows = ending("", TOOLS)
    assert follows.feed("<function=write><parameter=text>") is None
    for _ in range(200):
        assert follows.feed("> some text that goes on and on " * 4) is None
    for _ in range(200):
        assert follows.feed("some text that goes on and on " * 4) is None
    assert len("".join(follows._pieces)) < 2048  # type: ignore[attr-defined]  # its bound
