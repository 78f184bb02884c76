"""Calls with keys and values in turn."""

from __future__ import annotations

import pytest

from llmwire.filters._call_bodies.arg_keys import ending, parse
from tests.filters.call_bodies import TOOLS, end_of, plain

PAIR = "<arg_key>text</arg_key>\n<arg_value>a</arg_value>\n"


@pytest.mark.parametrize(
    ("body", "calls"),
    [
        ("write\n", [("write", {})]),
        ("write", [("write", {})]),
        (f"write\n{PAIR}", [("write", {"text": "a"})]),
        (f"write\\n{PAIR}".replace("\n", "\\n"), [("write", {"text": "a"})]),
        (f"write{PAIR}".replace("\n", ""), [("write", {"text": "a"})]),
        (f"<tool_call>write<tool_sep>{PAIR}</tool_call>", [("write", {"text": "a"})]),
        (
            f"<tool_call>write{PAIR}</tool_call>\n<tool_call>look_up</tool_call>",
            [("write", {"text": "a"}), ("look_up", {})],
        ),
        (
            "write<arg_key>text</arg_key><arg_value>a\n"
            "<arg_key>count</arg_key><arg_value>3<arg_key>flag</arg_key>"
            "<arg_value>true</arg_value>",
            [("write", {"text": "a\n", "count": 3, "flag": True})],
        ),
        (
            "write<arg_key>text</arg_key><arg_value></arg_value> </arg_value>",
            [("write", {"text": "</arg_value> "})],
        ),
        (
            f"write\n{PAIR}<arg_key>other</arg_key><arg_value>3</arg_value>",
            [("write", {"text": "a", "other": "3"})],
        ),
        ("free<arg_key>x</arg_key><arg_value>3</arg_value>", [("free", {"x": 3})]),
    ],
)
def test_calls(body: str, calls: object) -> None:
    assert plain(parse(body, TOOLS)) == calls


@pytest.mark.parametrize(
    "body",
    [
        "",
        "unknown",
        "write and so on",
        '{"name": "write"}',
        "write<arg_key>text</arg_key>",
        "write<arg_key>text</arg_key><arg_value>a",
        f"write{PAIR}<arg_key>count",
        f"write{PAIR} x",
        f"<tool_call>write{PAIR}</tool_call> x",
        f"write{PAIR}{PAIR} x",
        "<b>write</b>",
        "x" * 300,
    ],
)
def test_what_is_no_call(body: str) -> None:
    assert parse(body, TOOLS) is None


@pytest.mark.parametrize(
    ("text", "closer", "end"),
    [
        ("write\n</tool_call> x", "</tool_call>", 6),
        (f"write{PAIR}</tool_call> x", "</tool_call>", 54),
        (
            "write<arg_key>text</arg_key><arg_value></tool_call></arg_value></tool_call>",
            "</tool_call>",
            63,
        ),
        (f"write{PAIR}", "</tool_call>", None),
        (f"write{'x' * 300}</tool_call>", "</tool_call>", None),
        (
            f"<tool_call>write<tool_sep>{PAIR}</tool_call></tool_calls> x",
            "</tool_calls>",
            87,
        ),
        (
            "write<arg_key>text</arg_key><arg_value>a</tool_call>\n<tool_call>write"
            "<arg_key>text</arg_key><arg_value>b</arg_value></tool_call>",
            "</tool_call>",
            116,
        ),
    ],
)
def test_where_it_ends(text: str, closer: str, end: int | None) -> None:
    for cuts in ([], range(len(text)), [3, 26], [60]):
        assert end_of(ending(closer, TOOLS), text, list(cuts)) == end
