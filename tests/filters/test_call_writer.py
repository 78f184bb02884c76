"""Tests of `llmwire.filters._call_writer`."""

from __future__ import annotations

import pytest

from llmwire.filters._call_writer import CallWriter
from llmwire.filters._tool_markup import markup_tool, syntax_of
from tests.filters.calling import WRITE, halves

PARAMETERS = markup_tool(WRITE).parameters


def written(
    pieces: list[str],
    name: str = "write",
    *,
    format: str = "cline",
    custom: bool = False,
    complete: bool = True,
) -> tuple[str, list[tuple[str, str]]]:
    writer = CallWriter(syntax_of(format), name, PARAMETERS, custom=custom)
    text = writer.start() + "".join(map(writer.grow, pieces))
    text += writer.finish(complete=complete)
    assert writer.held < 1100
    return text, [(action, reason) for action, reason in writer.changes]


@pytest.mark.parametrize(
    ("arguments", "inner"),
    [
        ("{}", ""),
        ("", ""),
        ('{"path": "a\\nb"}', "<path>a\nb</path>\n"),
        ('{"path": "\\na\\n"}', "<path>\n\na\n\n</path>\n"),
        ('{"path": "\\n"}', "<path>\n\n\n</path>\n"),
        ('{"path": "", "count": 5}', "<path></path>\n<count>5</count>\n"),
        ('{"lines": ["a", "</x>"]}', '<lines>["a", "<\\/x>"]</lines>\n'),
        ('{"flag": null, "other": null}', "<flag>null</flag>\n<other>null</other>\n"),
    ],
)
def test_calls(arguments: str, inner: str) -> None:
    for pieces in halves(arguments):
        assert written(pieces) == (f"<write>\n{inner}</write>", [])


@pytest.mark.parametrize(
    ("arguments", "inner", "change"),
    [
        (
            '{"path": null, "count": 1}',
            "<count>1</count>\n",
            ("dropped", "`path` is null, which it cannot be"),
        ),
        (
            '{"path": "</path></path>", "count": 1}',
            "<path></path></path></path>\n<count>1</count>\n",
            ("approximated", "`path` holds its own closing tag"),
        ),
    ],
)
def test_what_does_not_read_as_it_was(
    arguments: str, inner: str, change: tuple[str, str]
) -> None:
    for pieces in halves(arguments):
        assert written(pieces) == (f"<write>\n{inner}</write>", [change])


def test_a_closing_tag_that_begins_in_another_value_is_none() -> None:
    arguments = '{"path": "x</pat", "content": "h></path>"}'
    assert written([arguments])[1] == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"path": "a', "<write>\n<path>a"),
        ('{"path": "a"', "<write>\n<path>a</path>\n"),
        ("[1]", "<write>\n[1]"),
    ],
)
def test_broken_calls_are_left_open(arguments: str, text: str) -> None:
    for pieces in halves(arguments):
        assert written(pieces, complete=False) == (text, [])
        told = ("approximated", "the arguments are no object")
        assert written(pieces) == (text, [told])


def test_whole_arguments_of_an_incomplete_call_are_left_open() -> None:
    assert written(['{"count": 5}'], complete=False)[0] == (
        "<write>\n<count>5</count>\n"
    )


def test_invocations() -> None:
    assert written(['{"path": "a"}'], format="function_calls")[0] == (
        '<function_calls>\n<invoke name="write">\n'
        '<parameter name="path">a</parameter>\n'
        "</invoke>\n</function_calls>"
    )


def test_free_text() -> None:
    for pieces in (["\na\n"], ["\n", "a", "", "\n"]):
        assert written(pieces, "patch", custom=True)[0] == (
            "<patch>\n<input>\n\na\n\n</input>\n</patch>"
        )
    told = written(["</input>"], "patch", custom=True)[1]
    assert told == [("approximated", "`input` holds its own closing tag")]


@pytest.mark.parametrize(
    ("arguments", "inner"),
    [("", "{}"), (" ", " {}"), ('{"a": "</arguments>"}', '{"a": "<\\/arguments>"}')],
)
def test_calls_by_mcp(arguments: str, inner: str) -> None:
    for pieces in halves(arguments):
        assert written(pieces, "mcp__s__t") == (
            "<use_mcp_tool>\n<server_name>s</server_name>\n<tool_name>t</tool_name>\n"
            f"<arguments>\n{inner}\n</arguments>\n</use_mcp_tool>",
            [],
        )
