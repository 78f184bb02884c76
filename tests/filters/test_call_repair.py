"""One call at a time: what is repaired, by which rules, and what is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire._coercion import Coercions
from llmwire._json_schema import violations
from llmwire.filters._call_repair import CallRepair, ToolBox, repaired, schemas_of
from llmwire.filters.tool_repair import repair_call
from llmwire.requests import Tool

READ = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}},
    "required": ["path"],
    "additionalProperties": False,
}
BASH = {
    "type": "object",
    "properties": {"command": {"type": "string"}, "timeout": {"type": "integer"}},
    "required": ["command"],
}
TOOLS: dict[str, Any] = {
    "read_file": READ,
    "bash": BASH,
    "now": {"type": "object", "properties": {}},
    "anything": None,
}


def said(result: CallRepair) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in result.calls]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read_file", '{"path":"x"}'),
        ("read_file", ' {"path": "caf\\u00e9", "limit": 3.0} '),
        ("bash", '{"command": "ls", "other": NULL}'.replace("NULL", "null")),
        ("anything", '{"a": [1e5]}'),
        ("now", "{}"),
    ],
)
def test_what_is_valid_stays(name: str, arguments: str) -> None:
    for truncated in (False, True):
        result = repair_call(name, arguments, TOOLS, truncated=truncated)
        assert result.status == "valid" and not result.rules
        assert said(result) == [(name, arguments)]


@pytest.mark.parametrize(
    ("name", "arguments", "calls", "rules"),
    [
        (
            "read_file",
            '{"path":"x",}',
            [("read_file", '{"path":"x"}')],
            "trailing-comma",
        ),
        ("bash", "{'command':'ls'}", [("bash", '{"command":"ls"}')], "quotes"),
        ("readFile", '{"path":"x"}', [("read_file", '{"path":"x"}')], "name-case"),
        (
            "functions.read_file:1",
            '{"Path":"x","limit":"3",}',
            [("read_file", '{"path":"x","limit":3}')],
            "name-debris trailing-comma key-case scalar-type",
        ),
        ("now", "", [("now", "{}")], "empty"),
        ("now", " null", [("now", "{}")], "empty"),
        (
            "read_file",
            '{"path":"x"}{"path":"y"}',
            [("read_file", '{"path":"x"}'), ("read_file", '{"path":"y"}')],
            "concatenated",
        ),
        (
            "read_file",
            '{"path":"x"}{"limit":3}',
            [("read_file", '{"path":"x","limit":3}')],
            "concatenated",
        ),
        (
            "read_file",
            '{"path":"x"}{"path":"x"}',
            [("read_file", '{"path":"x"}')],
            "duplicate",
        ),
        (
            "anything",
            '{"a":1}{"a":2}',
            [("anything", '{"a":1}'), ("anything", '{"a":2}')],
            "concatenated",
        ),
        (
            "read_file",
            '"{\\"path\\": \\"x\\"}"',
            [("read_file", '{"path": "x"}')],
            "double-encoded",
        ),
        (
            "read_file",
            '{"name":"read_file","arguments":{"path":"x"}}',
            [("read_file", '{"path":"x"}')],
            "wrapper",
        ),
        (
            "read_file",
            '{"path":"say "hi""}',
            [("read_file", '{"path":"say \\"hi\\""}')],
            "inner-quote",
        ),
        ("read_file", '{"path":"x"', [("read_file", '{"path":"x"}')], "missing-closer"),
        (
            "multi_tool_use.parallel",
            '{"tool_uses":[{"recipient_name":"functions.bash",'
            '"parameters":{"command": "ls"}},'
            '{"recipient_name":"read_file","parameters":{"path":"x","limit":"1"}},]}',
            [("bash", '{"command": "ls"}'), ("read_file", '{"path":"x","limit":1}')],
            "parallel name-debris scalar-type",
        ),
    ],
)
def test_repaired(
    name: str, arguments: str, calls: list[tuple[str, str]], rules: str
) -> None:
    result = repair_call(name, arguments, TOOLS)
    assert result.status == "repaired", result
    assert said(result) == calls
    assert " ".join(result.rules) == rules
    for call in result.calls:
        assert repair_call(call.name, call.arguments, TOOLS).status == "valid"


@pytest.mark.parametrize(
    ("name", "arguments", "status"),
    [
        ("nope", '{"path":"x"}', "unknown-tool"),
        ("read_file", '{"limit":3}', "invalid"),
        ("read_file", '{"path":"x","limit":"many"}', "invalid"),
        ("read_file", '{"path":"x"}{"limit":"many"}', "invalid"),
        ("read_file", "", "invalid"),
        ("read_file", "[1]", "invalid"),
        ("read_file", "hello", "invalid"),
        ("bash", '{"command":"echo "hi" x"}', "invalid"),
        ("bash", '{"command":"ls","timeout":"3"}', "invalid"),
        ("bash", '{"command":"ls"}{"command":"rm"}', "invalid"),
        ("bash", '{"command":"ls"', "invalid"),
        ("anything", '{"a":1', "invalid"),
        ("anything", '{"a":[1,2 ', "invalid"),
        ("multi_tool_use.parallel", "{}", "invalid"),
        ("multi_tool_use.parallel", '{"tool_uses":[]}', "invalid"),
        ("multi_tool_use.parallel", '{"tool_uses":[{"parameters":{}}]}', "invalid"),
        (
            "multi_tool_use.parallel",
            '{"tool_uses":[{"recipient_name":"now"}]}',
            "invalid",
        ),
        (
            "multi_tool_use.parallel",
            '{"tool_uses":[{"recipient_name":1,"parameters":{}}]}',
            "invalid",
        ),
        (
            "multi_tool_use.parallel",
            '{"tool_uses":[{"recipient_name":"nope","parameters":{}}]}',
            "invalid",
        ),
        ("multi_tool_use.parallel", "(", "invalid"),
        (
            "multi_tool_use.parallel",
            '{"tool_uses":[{"recipient_name":"multi_tool_use.parallel","parameters":{}}]}',
            "invalid",
        ),
        (
            "multi_tool_use.parallel",
            json.dumps(
                {"tool_uses": [{"recipient_name": "now", "parameters": {}}] * 65}
            ),
            "invalid",
        ),
    ],
)
def test_what_is_not_sure_is_left(name: str, arguments: str, status: str) -> None:
    result = repair_call(name, arguments, TOOLS)
    assert result.status == status and result.problem
    assert said(result) == [(name, arguments)]


def test_the_name_is_right_even_where_the_arguments_are_not() -> None:
    result = repair_call("readFile", '{"limit":3}', TOOLS)
    assert (result.status, result.rules) == ("invalid", ("name-case",))
    assert said(result) == [("read_file", '{"limit":3}')]
    assert [v.path for v in result.violations] == ["$.path"]


def test_what_was_cut_off_is_not_repaired() -> None:
    whole = '{"path":"x","limit":"3",}'
    for at in range(len(whole) + 1):
        result = repair_call("read_file", whole[:at], TOOLS, truncated=True)
        assert result.status == "truncated"
        assert said(result) == [("read_file", whole[:at])]
    uses = '{"tool_uses":[{"recipient_name":"now","parameters":{}}]}'
    result = repair_call("multi_tool_use.parallel", uses, TOOLS, truncated=True)
    assert result.status == "truncated"


def test_slips_do_not_lead_to_tools_with_effects() -> None:
    tools = {"run_command": None, "get_weather": None}
    assert repair_call("run_comand", "{}", tools).status == "unknown-tool"
    assert repair_call("runCommand", "{}", tools).status == "repaired"
    assert repair_call("get_wether", "{}", tools).status == "repaired"


@pytest.mark.parametrize("effectful", [["Read_File"], lambda name: name == "read_file"])
def test_which_tools_have_effects_can_be_said(effectful: Any) -> None:
    box = ToolBox(TOOLS, effectful)
    assert repaired(box, "read_file", '{"path":1}').status == "invalid"
    assert repaired(box, "bash", '{"command":1}').status == "repaired"
    assert repair_call("bash", '{"command":1}', box).status == "repaired"


def test_options() -> None:
    box = ToolBox(TOOLS, coercions=Coercions(drop_unknown=True))
    result = repaired(box, "read_file", '{"path":"x","y":1}')
    assert said(result) == [("read_file", '{"path":"x"}')]


def test_a_tool_that_is_called_so_is_one() -> None:
    tools = {"multi_tool_use.parallel": None}
    assert repair_call("multi_tool_use.parallel", "{}", tools).status == "valid"


def test_tools_of_a_request() -> None:
    tools = [
        Tool(name="a", schema=Raw(json.dumps(READ).encode())),
        Tool(name="b", schema=Raw(b"[1]")),
        Tool(name="c"),
        Tool(name="d", schema=Raw(b"{")),
        Tool(name="e", kind="custom"),
    ]
    assert schemas_of(tools) == {"a": READ, "b": None, "c": None, "d": None}
    assert repair_call("a", '{"path":1}', tools).status == "repaired"


def test_depth() -> None:
    deep = '{"a":' * 20_000 + "1" + "}" * 20_000
    assert repair_call("anything", deep, TOOLS).status == "invalid"
    uses = '{"tool_uses":' + deep + "}"
    assert repair_call("multi_tool_use.parallel", uses, TOOLS).status == "invalid"


PIECES = st.sampled_from(
    ['{"path": "', "x", '"', "}", "{", ",", "limit", '"limit": "3"', ":", "]", "'",
     "\\",
     "```json\n", "\n", "null", '"Path": "y"', " "]
)  # fmt: skip


@given(
    st.lists(PIECES, max_size=12).map("".join), st.sampled_from([*TOOLS, "readFile"])
)
def test_it_never_raises_and_repairs_are_valid(arguments: str, name: str) -> None:
    result = repair_call(name, arguments, TOOLS)
    for call in result.calls if result.status in ("valid", "repaired") else ():
        value = json.loads(call.arguments)
        assert isinstance(value, dict)
        assert not violations(value, TOOLS[call.name] or {})
        again = repair_call(call.name, call.arguments, TOOLS)
        assert (again.status, said(again)) == ("valid", [(call.name, call.arguments)])
