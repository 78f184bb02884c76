"""Tests of `llmwire_server.upstream.script`: the words decide, and always alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from llmwire import (
    APIError,
    Base64,
    MediaPart,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningPart,
    Request,
    Response,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from llmwire_server.config.tree import SimulatorRule
from llmwire_server.upstream.script import MODEL, example, script_for

TOOLS = (
    Tool(name="get_time", schema=Raw(b'{"type":"object","properties":{}}')),
    Tool(name="Search"),
    Tool(name="shell", kind="custom"),
    Tool(name="web", kind="server"),
)


def _said(text: str, **fields: Any) -> Request:
    return Request(messages=(Message(role="user", parts=(TextPart(text),)),), **fields)


def _parts(request: Request) -> tuple[Part, ...]:
    answer = script_for(request).answer
    assert isinstance(answer, Response)
    return answer.choices[0].parts


def _names(request: Request) -> list[str]:
    return [part.name for part in _parts(request) if isinstance(part, ToolCallPart)]


def test_anything_is_echoed() -> None:
    script = script_for(_said("Hello", model="m"))
    assert isinstance(script.answer, Response)
    assert script.answer.model == "m"
    assert script.answer.choices[0].stop == "end"
    assert script.answer.choices[0].parts == (TextPart("You said: Hello"),)
    assert (script.pace, script.cut) == (0.0, False)
    assert script == script_for(_said("Hello", model="m"))
    usage = script.answer.usage
    assert usage is not None
    assert (usage.fresh, usage.output, usage.reasoning) == (6, 4, 0)


def test_nothing_is_echoed_too() -> None:
    assert _parts(Request()) == (TextPart("You said: "),)
    assert _parts(Request(messages=(Message(role="assistant"),))) == (
        TextPart("You said: "),
    )
    answer = script_for(Request()).answer
    assert isinstance(answer, Response)
    assert answer.model == MODEL


def test_attachments_are_seen() -> None:
    image = MediaPart(kind="image", source=Base64("AAAA"))
    message = Message(role="user", parts=(TextPart("Look"), image))
    assert _parts(Request(messages=(message,))) == (
        TextPart("You said: Look I see 1 attachment(s)."),
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "rate_limit"), (529, "overloaded"), (418, "invalid_request"), (599, "int")],
)
def test_errors_on_demand(status: int, kind: str) -> None:
    error = script_for(_said(f"please simulate error {status}")).answer
    assert isinstance(error, APIError)
    assert error.status == status
    assert error.kind.startswith(kind)
    assert error.retry_after == (1.0 if status == 429 else None)


def test_cuts_on_demand() -> None:
    assert script_for(_said("simulate cut")).cut


@pytest.mark.parametrize(
    "request_",
    [
        _said("Think!"),
        _said("a", reasoning=Reasoning(effort="high")),
        _said("a", reasoning=Reasoning(budget=1)),
        _said("a", reasoning=Reasoning(mode="on")),
    ],
)
def test_thinking(request_: Request) -> None:
    assert isinstance(_parts(request_)[0], ReasoningPart)


@pytest.mark.parametrize(
    "request_",
    [
        _said("a"),
        _said("a", reasoning=Reasoning()),
        _said("a", reasoning=Reasoning(mode="off", effort="high")),
    ],
)
def test_no_thinking(request_: Request) -> None:
    assert not isinstance(_parts(request_)[0], ReasoningPart)


@pytest.mark.parametrize(
    ("text", "fields", "names"),
    [
        ("hello", {}, []),
        ("use a tool", {}, ["get_time"]),
        ("what does get_time say", {}, ["get_time"]),
        ("search it", {}, ["Search"]),
        ("both", {}, ["get_time", "Search", "shell"]),
        ("in parallel", {"parallel": False}, []),
        ("a tool", {"tool_choice": ToolChoice(mode="none")}, []),
        ("hello", {"tool_choice": ToolChoice(mode="required")}, ["get_time"]),
        ("hello", {"tool_choice": ToolChoice(mode="auto")}, []),
        (
            "hello",
            {"tool_choice": ToolChoice(mode="required", names=("shell",))},
            ["shell"],
        ),
    ],
)
def test_calls(text: str, fields: dict[str, Any], names: list[str]) -> None:
    assert _names(_said(text, tools=TOOLS, **fields)) == names


def test_calls_have_arguments_and_a_stop() -> None:
    answer = script_for(_said("both", tools=TOOLS)).answer
    assert isinstance(answer, Response)
    assert answer.choices[0].stop == "tool_use"
    first, second, custom = answer.choices[0].parts
    assert isinstance(first, ToolCallPart)
    assert isinstance(second, ToolCallPart)
    assert isinstance(custom, ToolCallPart)
    assert (first.arguments, second.arguments) == ("{}", "{}")
    assert (custom.arguments, custom.kind) == ("free text", "custom")
    assert [first.call_id, second.call_id] == ["call_1_0", "call_1_1"]


def test_results_are_repeated() -> None:
    result = ToolResultPart(call_id="1", parts=(TextPart("sunny"),))
    other = ToolResultPart(call_id="2", parts=(TextPart("late"),))
    request = _said("a tool", tools=TOOLS)
    message = Message(role="user", parts=(result, other))
    request = Request(messages=(*request.messages, message), tools=TOOLS)
    assert _parts(request) == (TextPart("The tools said: sunny; late"),)


def test_structured_output() -> None:
    schema = Raw(b'{"type":"object","properties":{"a":{"type":"integer"}}}')
    [part] = _parts(_said("a", output=OutputFormat(kind="json_schema", schema=schema)))
    assert isinstance(part, TextPart)
    assert json.loads(part.text) == {"a": 1}
    for raw in (None, Raw(b"{")):
        output = OutputFormat(kind="json_object", schema=raw)
        assert _parts(_said("a", output=output)) == (TextPart("{}"),)
    assert _parts(_said("a", output=OutputFormat(kind="text"))) == (
        TextPart("You said: a"),
    )


TREE = {
    "type": "object",
    "properties": {"left": {"$ref": "#/$defs/tree"}},
    "$defs": {"tree": {"type": "object", "properties": {"v": {"type": "number"}}}},
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (None, {}),
        ([], {}),
        ({}, {}),
        ({"const": 5}, 5),
        ({"default": "d"}, "d"),
        ({"enum": ["a", "b"]}, "a"),
        ({"anyOf": [{"type": "boolean"}, {}]}, True),
        ({"type": ["string", "null"]}, "text"),
        ({"type": "STRING"}, "text"),
        ({"type": "string", "minLength": 6}, "text.."),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "minimum": "3"}, 3),
        ({"type": "number", "maximum": -2.5}, -2),
        ({"type": "integer", "minimum": {}}, 1),
        ({"type": "null"}, None),
        ({"type": "what"}, "text"),
        ({"type": []}, "text"),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "array"}, ["text"]),
        ({"properties": {"a": {}}}, {"a": "text"}),
        ({"type": "object", "properties": 7}, {}),
        ({"properties": {"a": True}}, {"a": "text"}),
        (TREE, {"left": {"v": 1}}),
        ({"$ref": "#/no/where"}, "text"),
    ],
)
def test_examples_fit_their_schema(schema: Any, value: Any) -> None:
    assert example(schema) == value


def test_examples_of_what_refers_to_itself_end() -> None:
    schema = {"properties": {"next": {"$ref": "#"}}}
    assert "text" in json.dumps(example(schema))


def test_rules_go_first() -> None:
    rules = (
        SimulatorRule(match="fail", error=503),
        SimulatorRule(
            match="^rain", text="Wet.", reasoning="Hm.", calls=("get_time", "x"), pace=2
        ),
        SimulatorRule(match="quiet"),
    )
    error = script_for(_said("do fail"), rules).answer
    assert isinstance(error, APIError)
    assert error.kind == "overloaded"
    script = script_for(_said("rain?", tools=TOOLS), rules, pace=1)
    assert isinstance(script.answer, Response)
    kinds = [type(part) for part in script.answer.choices[0].parts]
    assert kinds == [ReasoningPart, TextPart, ToolCallPart, ToolCallPart]
    assert script.pace == 2
    quiet = script_for(_said("quiet"), rules, pace=1)
    assert isinstance(quiet.answer, Response)
    assert (quiet.answer.choices[0].parts, quiet.pace) == ((), 1)
    assert isinstance(script_for(_said("other"), rules).answer, Response)


def test_a_rule_may_say_the_arguments() -> None:
    rule = SimulatorRule(match="", calls=("a", "b"), arguments='{"x":')
    answer = script_for(_said("Hi"), (rule,)).answer
    assert isinstance(answer, Response)
    calls = answer.choices[0].parts
    assert [getattr(call, "arguments", None) for call in calls] == ['{"x":', '{"x":']
