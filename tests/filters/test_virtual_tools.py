"""Tests of `llmwire.filters.virtual_tools`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec import Raw
from msgspec.structs import replace

import llmwire
from llmwire.errors import LocalProtocolError, UnsupportedFeature
from llmwire.filters.virtual_tools import (
    CallsToText,
    TextToCalls,
    Virtual,
    calls_to_text,
    devirtualize,
    text_to_calls,
    tools_in,
    virtualize,
)
from llmwire.messages import (
    CacheMark,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.requests import Request, Tool, ToolChoice
from llmwire.strategies import requests
from tests.filters.calling import CUSTOM, READ, WRITE
from tests.filters.laws import called, folded, only, spoken

READ_A = "<read>\n<path>a</path>\n</read>"
ASKED = ToolCallPart(call_id="c", name="read", arguments='{"path":"a"}')
SEARCH = Tool(kind="server", name="web_search", raw=Raw(b"{}"))
CHAT = (
    Message(role="user", parts=(TextPart("go"),)),
    Message(role="assistant", parts=(ASKED,)),
    Message(role="user", parts=(ToolResultPart(call_id="c", parts=(TextPart("x"),)),)),
)
PROMPT = """\
You are an agent.

## read
Description: Read.
Parameters:
- path: (required) Where.
Usage:
<read>
<path>path</path>
</read>
"""


def request(*messages: Message, **more: Any) -> Request:
    more.setdefault("tools", (READ,))
    return Request(messages=messages or CHAT, **more)


def instructed(*texts: str, role: Any = "system") -> Message:
    return Message(role=role, parts=tuple(map(TextPart, texts)))


def told(virtual: Virtual) -> str:
    """The last words of the instructions."""
    part = virtual.request.messages[0].parts[-1]
    assert isinstance(part, TextPart)
    return part.text


class TestVirtualize:
    def test_a_conversation(self) -> None:
        virtual = virtualize(request(parallel=True))
        changed = virtual.request
        assert (changed.tools, changed.tool_choice, changed.parallel) == (
            (),
            None,
            None,
        )
        first, *rest = changed.messages
        assert (first.role, first.top) == ("system", True)
        assert told(virtual).startswith("# Tools\n")
        assert "## read\nDescription: It is read." in told(virtual)
        assert rest == [
            CHAT[0],
            Message(role="assistant", parts=(TextPart(READ_A),)),
            Message(role="user", parts=(TextPart("[read for 'a'] Result:\nx"),)),
        ]
        assert [loss.path for loss in virtual.losses] == [
            "tools[0]",
            "messages[1].parts[0]",
            "messages[2].parts[0]",
            "parallel",
        ]
        assert {loss.feature for loss in virtual.losses} == {"filter.virtual_tools"}

    def test_the_answer(self) -> None:
        virtual = virtualize(request())
        made = virtual.filter(virtual.request)
        assert isinstance(made, TextToCalls)
        choice = only(folded(spoken(f"ok\n{READ_A}"), made))
        call = replace(ASKED, call_id="call_1_0")
        assert choice.parts == (TextPart("ok\n"), call)
        assert choice.stop == "tool_use"

    def test_ids_of_the_history_are_not_used_again(self) -> None:
        call = replace(ASKED, call_id="call_1_0")
        history = Message(role="assistant", parts=(call,))
        virtual = virtualize(request(history))
        made = virtual.filter(virtual.request)
        assert made is not None
        (part,) = only(folded(spoken(READ_A), made)).parts
        assert part == replace(ASKED, call_id="call_1_1")

    @pytest.mark.parametrize("role", ["system", "developer"])
    def test_instructions_stand_behind_those_of_the_client(self, role: Any) -> None:
        mark = CacheMark("1h")
        tools = (replace(READ, cache=CacheMark()), replace(WRITE, cache=mark), CUSTOM)
        first = (instructed("a"), instructed("b", role=role))
        virtual = virtualize(request(*first, CHAT[0], tools=tools))
        one, two, three = virtual.request.messages
        assert (one, three) == (first[0], CHAT[0])
        assert two.parts[0] == TextPart("b") and two.role == role
        said = two.parts[1]
        assert isinstance(said, TextPart) and said.text.startswith("\n\n# Tools")
        assert said.cache == mark
        empty = virtualize(request(Message(role="system"), CHAT[0]))
        assert told(empty).startswith("# Tools")

    def test_tools_of_the_server_stay(self) -> None:
        virtual = virtualize(request(tools=(SEARCH, READ)))
        assert virtual.request.tools == (SEARCH,)
        assert virtual.losses[0].path == "tools[1]"

    def test_nothing_to_do(self) -> None:
        choice = ToolChoice(mode="required")
        for tools in ((), (SEARCH,)):
            asked = request(CHAT[0], tools=tools, tool_choice=choice)
            virtual = virtualize(asked)
            assert virtual.request is asked and virtual.losses == ()
            assert virtual.filter(asked) is None

    def test_a_history_without_tools(self) -> None:
        choice = ToolChoice(mode="auto")
        virtual = virtualize(request(tools=(), tool_choice=choice))
        assert virtual.request.messages[0] == CHAT[0]
        assert virtual.request.messages[1].parts == (TextPart(READ_A),)
        assert virtual.request.tool_choice == choice
        assert virtual.filter(virtual.request) is None

    def test_choice(self) -> None:
        tools = (READ, WRITE)
        none = virtualize(request(tools=tools, tool_choice=ToolChoice(mode="none")))
        assert told(none).endswith("Call no tool in your next answer.")
        assert none.filter(none.request) is None
        assert "tool_choice" in [loss.path for loss in none.losses]
        named = ToolChoice(mode="required", names=("write",), kind="named")
        virtual = virtualize(request(tools=tools, tool_choice=named))
        assert told(virtual).endswith("you must call one of these tools: `write`.")
        made = virtual.filter(virtual.request)
        assert made is not None
        assert only(folded(spoken(READ_A), made)).parts == (TextPart(READ_A),)
        auto = virtualize(request(tools=tools, tool_choice=ToolChoice(mode="auto")))
        assert isinstance(auto.filter(auto.request), TextToCalls)

    @pytest.mark.parametrize(
        ("format", "parallel", "single"),
        [
            ("roo", True, True),
            ("function_calls", None, False),
            ("function_calls", True, False),
            ("function_calls", False, True),
        ],
    )
    def test_calls_at_once(
        self, format: Any, parallel: bool | None, single: bool
    ) -> None:
        virtual = virtualize(request(parallel=parallel), format)
        assert ("Call one tool in a message" in told(virtual)) == single

    def test_names_that_cannot_be_said(self) -> None:
        with pytest.raises(UnsupportedFeature) as refused:
            virtualize(request(tools=(READ, Tool(name="a b"))))
        assert refused.value.loss.path == "tools[1].name"
        assert refused.value.loss.action == "refused"

    @given(requests())
    @settings(max_examples=60)
    def test_any_request(self, asked: Request) -> None:
        for format in ("kilo", "function_calls"):
            try:
                virtual = virtualize(asked, format)
            except UnsupportedFeature:
                return
            kinds = {tool.kind for tool in virtual.request.tools}
            assert not kinds & {"function", "custom"}
            for message in virtual.request.messages:
                for part in message.parts:
                    assert not isinstance(part, ToolCallPart | ToolResultPart)
            again = virtualize(virtual.request, format)
            assert again.request is virtual.request
            devirtualize(virtual.request, format)


class TestDevirtualize:
    MESSAGES = (
        instructed(PROMPT),
        CHAT[0],
        Message(role="assistant", parts=(TextPart(READ_A),)),
        Message(role="user", parts=(TextPart("[read for 'a'] Result:\nx"),)),
    )

    def test_a_conversation(self) -> None:
        virtual = devirtualize(request(*self.MESSAGES, tools=()))
        (tool,) = virtual.request.tools
        assert tool.name == "read" and virtual.request.parallel is False
        first, second, asked, answered = virtual.request.messages
        assert first.parts[0] == TextPart(PROMPT)
        assert told(virtual).startswith("\n\nThe tools named above are given to you")
        assert second == CHAT[0]
        call = replace(ASKED, call_id="call_0_0")
        assert asked.parts == (call,)
        assert answered.parts == (
            ToolResultPart(call_id="call_0_0", name="read", parts=(TextPart("x"),)),
        )
        assert [loss.path for loss in virtual.losses] == [
            "tools",
            "parallel",
            "messages[2].parts",
            "messages[3].parts",
        ]

    def test_the_answer(self) -> None:
        virtual = devirtualize(request(*self.MESSAGES, tools=()))
        made = virtual.filter(virtual.request)
        assert isinstance(made, CallsToText)
        choice = only(folded(called('{"path":"a"}', name="read"), made))
        assert (choice.parts, choice.stop) == ((TextPart(READ_A),), "end")

    def test_tools_may_be_given(self) -> None:
        virtual = devirtualize(
            request(*CHAT, tools=(SEARCH,), parallel=True), tools=[READ], one_call=False
        )
        assert virtual.request.tools == (SEARCH, READ)
        assert virtual.request.parallel is True
        assert [loss.path for loss in virtual.losses] == ["tools"]
        assert virtual.request.messages[0].role == "system"

    def test_clients_with_functions_are_left_alone(self) -> None:
        for asked in (
            request(*self.MESSAGES),
            request(CHAT[0], tools=()),
            request(CHAT[0], tools=(SEARCH,)),
        ):
            virtual = devirtualize(asked)
            assert virtual.request is asked and virtual.losses == ()
            assert virtual.filter(asked) is None

    def test_tools_in_the_instructions(self) -> None:
        other = PROMPT.replace("read", "other")
        found = tools_in(
            request(
                instructed(PROMPT, other, role="developer"),
                instructed(PROMPT.replace("Where", "There")),
                Message(role="user", parts=(TextPart(PROMPT.replace("read", "u")),)),
            )
        )
        assert [tool.name for tool in found] == ["read", "other"]
        assert b"Where" in bytes(found[0].schema or b"")


def test_unknown_formats() -> None:
    for make in (virtualize, devirtualize):
        with pytest.raises(LocalProtocolError):
            make(request(), "aider")  # type: ignore[arg-type]  # both take a format
    for factory in (text_to_calls, calls_to_text):
        with pytest.raises(LocalProtocolError):
            factory((READ,), "aider")  # type: ignore[arg-type]  # both take a format


def test_factories() -> None:
    asked = request()
    made = text_to_calls((READ,), turn=4, taken=("call_4_0",))(asked)
    assert made is not None
    (part,) = only(folded(spoken(READ_A), made)).parts
    assert part == replace(ASKED, call_id="call_4_1")
    made = calls_to_text((READ,), one_call=True)(asked)
    assert made is not None
    (part,) = only(folded(called('{"path":"a"}', name="read"), made)).parts
    assert part == TextPart(READ_A)


def test_through_an_exchange() -> None:
    """A client with tools, a server without: in one exchange, streamed."""
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    body = {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": "Read a."}],
        "tools": [
            {"type": "function", "function": {"name": "read", "parameters": schema}}
        ],
    }
    exchange = llmwire.Exchange("openai-chat", created=1, id="x")
    asked = exchange.receive_request(
        llmwire.HTTPRequest(
            method="POST", path="/v1/chat/completions", body=json.dumps(body).encode()
        )
    )
    assert asked is not None
    virtual = virtualize(asked)
    attempt = exchange.attempt(
        "anthropic", virtual.request, filters=[virtual.filter], checked=True
    )
    assert b'"tools"' not in attempt.http.body and b"## read" in attempt.http.body
    server = llmwire.StreamEncoder("anthropic", created=1, id="y")
    data = b"".join(map(server.send, spoken("ok\n", *READ_A)))
    attempt.receive_head(200, (("content-type", "text/event-stream"),))
    out = attempt.receive_data(data) + attempt.receive_eof()
    assert b'"finish_reason":"tool_calls"' in out.replace(b": ", b":")
    answer = llmwire.StreamDecoder("openai-chat")
    events = [*answer.receive_data(out), *answer.receive_eof()]
    parts = only(llmwire.fold(events)).parts
    assert parts == (TextPart("ok\n"), replace(ASKED, call_id="call_0_0"))
