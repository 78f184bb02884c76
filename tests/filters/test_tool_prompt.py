"""Tests of `llmwire.filters._tool_prompt`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from llmwire.filters._tool_markup import syntax_of
from llmwire.filters._tool_prompt import read_tools, written_tools
from llmwire.requests import Tool, ToolChoice
from tests.filters.calling import CUSTOM, FREE, MCP, READ, WRITE

LISTED = """\
You are an agent.

# Tools

## Example of a heading
Parameters: none

## read_file
Description: Read a file.
It can be long.
- note: not a parameter
Parameters:
- path: (required) Where it is.
  On this disk.
- mode: (optional) How to read it.
- files:
Usage:
<read_file>
<path>File path here</path>
<files>
[...]
</files>
</read_file>

Example:
<read_file>
<path>{}</path>
</read_file>

## use_mcp_tool
Parameters:
- arguments: (required) A JSON object.
- other: (required) Not shown.
Usage:
<use_mcp_tool>
<arguments>
{
}
</arguments>
</use_mcp_tool>
### list_files
Usage:
<list_files>
## no_example
Usage:
no_example()
## done
Description: The end.
Usage:
<invoke name="done">
</invoke>
## read_file
Usage:
<read_file>
# Rules
- path: stay there
"""


def _schema(tool: Tool) -> dict[str, Any]:
    assert tool.schema is not None
    schema: dict[str, Any] = json.loads(bytes(tool.schema))
    return schema


def test_tools_that_are_listed() -> None:
    read, mcp, done = read_tools(LISTED)
    assert (read.name, read.description) == (
        "read_file",
        "Read a file.\nIt can be long.\n- note: not a parameter",
    )
    assert _schema(read) == {
        "type": "object",
        "properties": {
            "path": {
                "type": "string",
                "description": "(required) Where it is.\n  On this disk.",
            },
            "mode": {"type": "string", "description": "(optional) How to read it."},
            "files": {"type": "array", "description": ""},
        },
        "required": ["path"],
    }
    assert (mcp.name, mcp.description) == ("use_mcp_tool", None)
    assert {k: v["type"] for k, v in _schema(mcp)["properties"].items()} == {
        "arguments": "object",
        "other": "string",
    }
    assert (done.name, _schema(done)["properties"]) == ("done", {})


@pytest.mark.parametrize("text", ["", "# Tools", "## read_file", "## \nUsage:\n<>"])
def test_nothing_is_listed(text: str) -> None:
    assert read_tools(text) == ()


@pytest.mark.parametrize("format", ["cline", "function_calls"])
def test_what_is_written_is_read(format: str) -> None:
    tools = (READ, WRITE, CUSTOM)
    text = written_tools(tools, None, syntax_of(format), one_call=True)
    found = read_tools(text)
    assert [tool.name for tool in found] == ["read", "write", "patch"]
    assert found[0].description == "It is read."
    schema = _schema(found[1])
    assert list(schema["properties"]) == list(_schema(WRITE)["properties"])
    assert schema["required"] == ["path", "content"]
    assert schema["properties"]["lines"]["type"] == "array"


def test_words_for_every_kind_of_tool() -> None:
    odd = Tool(name="odd", schema=Raw(b'{"properties": {"a b": {}}}'))
    bare = Tool(name="bare", schema=Raw(b'{"type": "object", "properties": {}}'))
    grammar = Tool(name="g", kind="custom", format=Raw(b'{"type": "text"}'))
    broken = Tool(name="broken", schema=Raw(b"{"))
    deep = Tool(
        name="deep",
        schema=Raw(
            b'{"properties": {"o": {"type": "object"}, "t": true, '
            b'"e": {"enum": ["x"], "description": "Which."}}, "required": 3}'
        ),
    )
    text = written_tools(
        (odd, bare, Tool(name="none"), grammar, broken, deep, FREE),
        None,
        syntax_of("roo"),
        one_call=False,
    )
    for said in (
        '## odd\nDescription: odd\nParameters: one JSON object, by the schema {"prop',
        '<odd encoding="json">\n{…}\n</odd>',
        "Parameters: none\nUsage:\n<bare>\n</bare>",
        "Parameters: none\nUsage:\n<none>\n</none>",
        '- input: (required) free text\n  in this format: {"type": "text"}\nUsage:\n',
        "<input>input here</input>",
        "by the schema {\n",
        "- o: (optional) object\n",
        "- t: (optional) any JSON value\n",
        '- e: (optional) JSON schema {"enum":["x"]}. Which.\n',
        "<o>{…}</o>",
        "<t>t here</t>",
        "by the schema " + '{"type": "object"}',
        "Calls that do not need each other's results stand in one such block.",
    ):
        assert said in text, said


def test_tools_of_servers() -> None:
    text = written_tools((READ, MCP), None, syntax_of("cline"), one_call=True)
    assert "## use_mcp_tool\n" in text and "<arguments>{…}</arguments>" in text
    assert "- server `srv`, tool `do_it`: do_it\n" in text
    assert '  Arguments: {"type": "object"}' in text
    assert "## mcp__srv__do_it" not in text
    bare = Tool(name="mcp__a__b", description="Do.")
    text = written_tools((bare,), None, syntax_of("cline"), one_call=True)
    assert "tool `b`: Do.\n  Arguments: {}" in text
    other = written_tools((MCP,), None, syntax_of("function_calls"), one_call=True)
    assert "## mcp__srv__do_it" in other and "use_mcp_tool" not in other


@pytest.mark.parametrize(
    ("choice", "end"),
    [
        (None, "</read>"),
        (ToolChoice(mode="auto"), "</read>"),
        (ToolChoice(mode="none"), "\n\nCall no tool in your next answer."),
        (
            ToolChoice(mode="required"),
            "\n\nIn your next answer you must call a tool.",
        ),
        (
            ToolChoice(mode="required", names=("a", "b"), kind="allowed"),
            "\n\nIn your next answer you must call one of these tools: `a`, `b`.",
        ),
        (
            ToolChoice(mode="auto", names=("a",), kind="allowed"),
            "\n\nIn your next answer call no other tools than `a`.",
        ),
    ],
)
def test_choice(choice: ToolChoice | None, end: str) -> None:
    text = written_tools((READ,), choice, syntax_of("kilo"), one_call=True)
    assert text.endswith(end)
    assert "Call one tool in a message, then stop and wait for its result." in text


def test_the_form_is_shown() -> None:
    text = written_tools((READ,), None, syntax_of("function_calls"), one_call=True)
    assert (
        '<function_calls>\n<invoke name="tool_name">\n'
        '<parameter name="parameter_name">value</parameter>\n</invoke>\n'
        "</function_calls>"
    ) in text
    assert '`<parameter name="parameter_name" encoding="json">`' in text
    assert "`</` in it as `<\\/`" in text
