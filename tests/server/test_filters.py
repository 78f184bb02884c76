"""Filters switched on by the configuration, over real sockets, in every dialect.

The embedded simulator answers as the rules say, a few characters at a time.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Raw, Struct

from llmwire import (
    Message,
    ReasoningPart,
    Request,
    Response,
    StreamDecoder,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    decode_response,
    encode_request,
    fold,
)
from llmwire.events import StreamError
from llmwire.requests import OutputFormat, ToolChoice
from llmwire_server.app import App
from llmwire_server.backends import SIMULATOR, Backend
from llmwire_server.config import Config
from llmwire_server.config.tree import Losses, Simulator, SimulatorRule
from llmwire_server.filtering.rules import (
    ClientToolRules,
    FilterRules,
    LeakedCallRules,
    LoopRules,
    StructuredRules,
    ThinkRules,
    ToolLoopRules,
    ToolRepairRules,
    VirtualToolRules,
)
from tests.server.live import run_app
from tests.server.stage import DIALECTS

LINE = "I will look at the file once more, and then I will say what I have found. "
OFF = FilterRules()
WEATHER = Tool(
    name="get_weather",
    description="Tells the weather.",
    schema=Raw(
        b'{"type":"object","properties":{"city":{"type":"string"},'
        b'"days":{"type":"integer"}},"required":["city"]}'
    ),
)
CALL = '{"name": "get_weather", "arguments": {"city": "Rome", "days": 2}}'
TEXT = '{"city":"text","days":1}'
"""What the simulator calls it with."""
MARKUP = "<get_weather>\n<city>Rome</city>\n<days>2</days>\n</get_weather>"
FLAWED = '{"city": "Rome", "days": "2",}'
RULES = (
    SimulatorRule(match="repeat", text=LINE * 200),
    SimulatorRule(match="leak", text=f"Well. <tool_call>{CALL}</tool_call>"),
    SimulatorRule(match="think", text="<think>Let me see.</think>So it is."),
    SimulatorRule(match="ponder", text=f"<think>Hm. <tool_call>{CALL}</tool_call>"),
    SimulatorRule(match="markup", text=f"Well.\n{MARKUP}"),
    SimulatorRule(
        match="wrong",
        calls=("get_weather",),
        arguments='{"city": "Rome", "days": "2"}',
    ),
    SimulatorRule(
        match="broken",
        calls=("get_weather",),
        arguments='{"city": "Rome", "days": 2,}',
    ),
    SimulatorRule(match="document", text=f"Here it is:\n```json\n{FLAWED}\n```"),
    SimulatorRule(match="prose", text="I would rather not."),
    SimulatorRule(match="call", calls=("get_weather",)),
)
CELLS = [(dialect, stream) for dialect in DIALECTS for stream in (False, True)]
CUT = {
    "openai-chat": b'"finish_reason":"length"',
    "openai-responses": b'"status":"incomplete"',
    "anthropic": b'"stop_reason":"max_tokens"',
    "gemini": b'"finishReason":"MAX_TOKENS"',
}
"""How an answer ends that was too long."""
LAST = {
    "openai-chat": b"data: [DONE]",
    "openai-responses": b"event: response.incomplete",
    "anthropic": b"event: message_stop",
    "gemini": b'"finishReason":"MAX_TOKENS"',
}
"""The last word of its stream."""


class Seen(Struct):
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: bytes
    response: Response
    broken: bool = False
    """A stream ended in an error."""

    @property
    def parts(self) -> tuple[Any, ...]:
        return self.response.choices[0].parts

    @property
    def text(self) -> str:
        return "".join(p.text for p in self.parts if isinstance(p, TextPart))

    @property
    def thoughts(self) -> str:
        found = [p for p in self.parts if isinstance(p, ReasoningPart)]
        return "".join((p.text or "") + "".join(p.summary) for p in found)

    @property
    def calls(self) -> list[tuple[str, Any]]:
        return [
            (p.name, json.loads(p.arguments))
            for p in self.parts
            if isinstance(p, ToolCallPart)
        ]

    @property
    def stop(self) -> str:
        return self.response.choices[0].stop

    @property
    def losses(self) -> str:
        return self.headers.get("x-llmwire-losses", "")


@contextlib.contextmanager
def _served(filters: FilterRules = OFF, **more: Any) -> Iterator[str]:
    simulator = Backend(
        name=SIMULATOR, dialect="openai-chat", **more.pop("backend", {})
    )
    config = Config(
        backends={SIMULATOR: simulator},
        simulator=Simulator(rules=RULES),
        filters=filters,
        **more,
    )
    with run_app(App(config)) as root:
        yield root


def _ask(root: str, dialect: str, stream: bool, text: str, **more: Any) -> Seen:
    messages = (Message(role="user", parts=(TextPart(text),)),)
    more = {"model": "m", "max_tokens": 9999, "messages": messages, **more}
    asked = encode_request(Request(stream=stream, **more), dialect).http
    connection = http.client.HTTPConnection(root.removeprefix("http://"), timeout=30)
    with contextlib.closing(connection):
        headers = dict(asked.headers)
        connection.request(asked.method, asked.path, asked.body, headers)
        reply = connection.getresponse()
        body = reply.read()
    told = {name.lower(): value for name, value in reply.getheaders()}
    if reply.status != 200:
        return Seen(reply.status, told, body, Response())
    if not stream:
        return Seen(200, told, body, decode_response(body, dialect))
    decoder = StreamDecoder(dialect)
    events = [*decoder.receive_data(body), *decoder.receive_eof()]
    if isinstance(events[-1], StreamError):
        return Seen(200, told, body, Response(), broken=True)
    return Seen(200, told, body, fold(events))


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_nothing_is_on_by_default(dialect: str, stream: bool) -> None:
    with _served() as root:
        assert _ask(root, dialect, stream, "repeat").text == LINE * 200
        seen = _ask(root, dialect, stream, "think")
        assert seen.text == "<think>Let me see.</think>So it is."
        seen = _ask(root, dialect, stream, "leak", tools=(WEATHER,))
        assert (seen.text, seen.calls) == (RULES[1].text, [])
        assert "filter" not in seen.losses


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_an_answer_that_repeats_itself_is_cut(dialect: str, stream: bool) -> None:
    with _served(FilterRules(loops=LoopRules(mode="cut"))) as root:
        seen = _ask(root, dialect, stream, "repeat")
    assert seen.status == 200
    assert seen.stop == "max_tokens"
    assert CUT[dialect] in seen.body
    assert (LINE * 200).startswith(seen.text)
    assert len(LINE) < len(seen.text) < 30 * len(LINE)
    if stream:
        assert LAST[dialect] in seen.body.strip().rpartition(b"\n\n")[2] or (
            LAST[dialect] in seen.body.strip().rpartition(b"\r\n\r\n")[2]
        )
    else:
        assert "filter.loop=dropped;1" in seen.losses


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_an_answer_that_repeats_itself_may_fail(dialect: str, stream: bool) -> None:
    with _served(FilterRules(loops=LoopRules(mode="error"))) as root:
        seen = _ask(root, dialect, stream, "repeat")
    assert seen.status == (200 if stream else 502)
    assert seen.broken is stream
    assert b"the answer repeats itself" in seen.body
    assert CUT[dialect] not in seen.body


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_call_that_leaked_into_the_text_is_a_call(dialect: str, stream: bool) -> None:
    with _served(FilterRules(leaked_calls=LeakedCallRules(mode="on"))) as root:
        seen = _ask(root, dialect, stream, "leak", tools=(WEATHER,))
        other = _ask(root, dialect, stream, "leak")
    assert seen.calls == [("get_weather", {"city": "Rome", "days": 2})]
    assert seen.text.strip() == "Well."
    assert seen.stop == "tool_use"
    assert stream or "filter.leaked_calls=approximated;1" in seen.losses
    assert (other.text, other.calls) == (RULES[1].text, [])


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_wrong_argument_is_repaired(dialect: str, stream: bool) -> None:
    with _served(FilterRules(tool_repair=ToolRepairRules(mode="repair"))) as root:
        seen = _ask(root, dialect, stream, "wrong", tools=(WEATHER,))
    assert seen.calls == [("get_weather", {"city": "Rome", "days": 2})]
    assert seen.stop == "tool_use"
    assert stream or "filter.tool_repair=approximated;1" in seen.losses


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS[:2])
def test_broken_arguments_are_repaired(dialect: str, stream: bool) -> None:
    """Of the dialects whose arguments are text."""
    with _served(FilterRules(tool_repair=ToolRepairRules(mode="repair"))) as root:
        seen = _ask(root, dialect, stream, "broken", tools=(WEATHER,))
    assert seen.calls == [("get_weather", {"city": "Rome", "days": 2})]
    assert seen.stop == "tool_use"


JSON = OutputFormat(kind="json_schema", name="weather", schema=WEATHER.schema)


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_flawed_document_is_repaired(dialect: str, stream: bool) -> None:
    rules = StructuredRules(mode="repair", hold=True)
    with _served(FilterRules(structured=rules)) as root:
        seen = _ask(root, dialect, stream, "document", output=JSON)
        free = _ask(root, dialect, stream, "document")
    assert json.loads(seen.text) == {"city": "Rome", "days": 2}
    assert seen.stop == "end"
    assert stream or "filter.structured=approximated;1" in seen.losses
    assert FLAWED in free.text


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_what_is_no_document_fails(dialect: str, stream: bool) -> None:
    rules = StructuredRules(mode="check")
    with _served(FilterRules(structured=rules)) as root:
        seen = _ask(root, dialect, stream, "prose", output=JSON)
    with _served(
        FilterRules(structured=StructuredRules(mode="check", action="pass"))
    ) as root:
        passed = _ask(root, dialect, stream, "prose", output=JSON)
    assert seen.status == (200 if stream else 502)
    assert seen.broken is stream
    assert b"not the JSON that was asked for" in seen.body
    assert passed.text == "I would rather not."


def _went_round(turns: int) -> tuple[Message, ...]:
    """A conversation in which the same call is made again and again."""
    messages = [Message(role="user", parts=(TextPart("call it"),))]
    for at in range(turns):
        call = ToolCallPart(call_id=f"call_{at}", name="get_weather", arguments=TEXT)
        result = ToolResultPart(
            call_id=f"call_{at}", name="get_weather", parts=(TextPart("rain"),)
        )
        messages.append(Message(role="assistant", parts=(call,)))
        messages.append(Message(role="user", parts=(result,)))
    return tuple(messages)


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_calls_that_go_round_are_cut(dialect: str, stream: bool) -> None:
    rules = FilterRules(tool_loops=ToolLoopRules(mode="cut"))
    with _served(rules) as root:
        once = _ask(
            root, dialect, stream, "", tools=(WEATHER,), messages=_went_round(1)
        )
        often = _ask(
            root, dialect, stream, "", tools=(WEATHER,), messages=_went_round(9)
        )
    assert once.stop == "tool_use"
    assert once.calls
    assert often.stop == "max_tokens"
    assert CUT[dialect] in often.body
    assert stream or "filter.tool_loop=dropped;1" in often.losses


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_model_that_goes_round_is_told(dialect: str, stream: bool) -> None:
    """The simulator repeats what the tools said last."""
    rules = FilterRules(tool_loops=ToolLoopRules(mode="report", steer=True))
    more = {"tools": (WEATHER,), "tool_choice": ToolChoice(mode="none")}
    asked = (Message(role="user", parts=(TextPart("hello"),)),)
    with _served(rules) as root:
        once = _ask(
            root, dialect, stream, "", messages=asked + _went_round(1)[1:], **more
        )
        often = _ask(
            root, dialect, stream, "", messages=asked + _went_round(9)[1:], **more
        )
    assert once.text == "The tools said: rain"
    assert "repeating yourself" in often.text
    assert "filter.tool_loop" not in once.losses
    assert "filter.tool_loop=approximated;1" in often.losses


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_thoughts_between_tags_move(dialect: str, stream: bool) -> None:
    with _served(FilterRules(think=ThinkRules(mode="move"))) as root:
        seen = _ask(root, dialect, stream, "think")
    assert seen.text == "So it is."
    # Chat has a field for it in its compatible form; every dialect shows it somewhere.
    assert seen.thoughts.strip() == "Let me see."


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_call_ends_a_thought_that_is_open(dialect: str, stream: bool) -> None:
    rules = FilterRules(
        think=ThinkRules(mode="move"), leaked_calls=LeakedCallRules(mode="on")
    )
    with _served(rules) as root:
        seen = _ask(root, dialect, stream, "ponder", tools=(WEATHER,))
    assert seen.calls == [("get_weather", {"city": "Rome", "days": 2})]
    assert seen.thoughts.strip() == "Hm."
    assert (seen.text.strip(), seen.stop) == ("", "tool_use")


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_thoughts_between_tags_are_dropped(dialect: str, stream: bool) -> None:
    rules = ThinkRules(mode="drop", tags=("think",))
    with _served(FilterRules(think=rules)) as root:
        seen = _ask(root, dialect, stream, "think")
    assert (seen.text, seen.thoughts) == ("So it is.", "")
    assert b"Let me see" not in seen.body


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_server_without_tools_is_told_them_in_words(
    dialect: str, stream: bool
) -> None:
    rules = FilterRules(virtual_tools=VirtualToolRules(mode="cline"))
    with _served(rules) as root:
        seen = _ask(root, dialect, stream, "markup", tools=(WEATHER,))
        # The simulator would call it, were it there to be called.
        called = _ask(root, dialect, stream, "no rule: a tool", tools=(WEATHER,))
    assert seen.calls == [("get_weather", {"city": "Rome", "days": 2})]
    assert seen.text.strip() == "Well."
    assert seen.stop == "tool_use"
    assert "filter.virtual_tools=emulated;" in seen.losses
    assert called.calls == []


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_client_with_tools_in_its_prompt_gets_markup(
    dialect: str, stream: bool
) -> None:
    rules = FilterRules(client_tools=ClientToolRules(mode="cline"))
    prompt = (
        "You have tools.\n\n## get_weather\nDescription: Tells the weather.\n"
        "Parameters:\n- city: (required) Which city\nUsage:\n"
        "<get_weather>\n<city>City here</city>\n</get_weather>\n"
    )
    messages = (
        Message(role="system", parts=(TextPart(prompt),), top=True),
        Message(role="user", parts=(TextPart("call it"),)),
    )
    with _served(rules) as root:
        seen = _ask(root, dialect, stream, "", messages=messages)
    assert seen.text.strip() == "<get_weather>\n<city>text</city>\n</get_weather>"
    assert seen.calls == []
    assert seen.stop == "end"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_cannot_be_told_in_words_is_refused(dialect: str) -> None:
    rules = FilterRules(virtual_tools=VirtualToolRules(mode="cline"))
    losses = Losses(policy={"filter.virtual_tools": "error"})
    with _served(rules, losses=losses) as root:
        seen = _ask(root, dialect, False, "markup", tools=(WEATHER,))
        fine = _ask(root, dialect, False, "think")
    assert seen.status == 400
    assert b"instructions" in seen.body
    assert json.loads(seen.body)["error"]["message"]
    assert fine.status == 200


def test_losses_of_filters_are_left_unsaid_as_others_are() -> None:
    rules = FilterRules(virtual_tools=VirtualToolRules(mode="cline"))
    losses = Losses(policy={"filter.virtual_tools": "allow"})
    with _served(rules, losses=losses) as root:
        seen = _ask(root, "openai-chat", False, "markup", tools=(WEATHER,))
    assert seen.calls
    assert "filter" not in seen.losses


def test_backends_and_models_go_before_the_general() -> None:
    backend = {
        "filters": FilterRules(think=ThinkRules(mode="drop")),
        "model_filters": {
            "qwen*": FilterRules(think=ThinkRules(mode="off")),
            "qwen-old": FilterRules(think=ThinkRules(mode="move")),
        },
    }
    general = FilterRules(think=ThinkRules(mode="move"), loops=LoopRules(mode="cut"))
    with _served(general, backend=backend) as root:
        dropped = _ask(root, "openai-chat", True, "think")
        kept = _ask(root, "openai-chat", True, "think", model="qwen3")
        moved = _ask(root, "openai-chat", True, "think", model="qwen-old")
        cut = _ask(root, "openai-chat", True, "repeat", model="qwen3")
    assert (dropped.text, dropped.thoughts) == ("So it is.", "")
    assert kept.text.startswith("<think>")
    assert (moved.text, moved.thoughts) == ("So it is.", "Let me see.")
    assert cut.stop == "max_tokens"


def test_what_filters_find_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    rules = FilterRules(
        loops=LoopRules(mode="report"), think=ThinkRules(mode="keep", tags=("think",))
    )
    with caplog.at_level(logging.INFO, "llmwire"), _served(rules) as root:
        whole = _ask(root, "anthropic", True, "repeat")
        kept = _ask(root, "anthropic", True, "think")
    assert whole.text == LINE * 200
    assert kept.text.startswith("<think>")
    found = [r.getMessage() for r in caplog.records if " found " in r.getMessage()]
    assert [line.partition(":")[0] for line in found] == [
        "loops found 2",
        "think found 1",
    ]
    assert "choices[0].parts[0]" in found[0]
    assert not any("look at the file" in line for line in found)


def test_tokens_are_counted_of_what_would_be_sent() -> None:
    counted = {}
    for mode in ("off", "cline"):
        rules = FilterRules(virtual_tools=VirtualToolRules(mode=mode))
        body = json.dumps(
            {
                "model": "m",
                "messages": [{"role": "user", "content": "Hi"}],
                "tools": [{"name": "t", "input_schema": {"type": "object"}}],
            }
        )
        with _served(rules) as root:
            where = root.removeprefix("http://")
            connection = http.client.HTTPConnection(where, timeout=30)
            with contextlib.closing(connection):
                connection.request("POST", "/v1/messages/count_tokens", body)
                counted[mode] = json.loads(connection.getresponse().read())
    assert counted["cline"]["input_tokens"] > counted["off"]["input_tokens"] + 50


@pytest.mark.parametrize("dialect", DIALECTS)
def test_filters_that_have_nothing_to_do_change_nothing(dialect: str) -> None:
    rules = FilterRules(
        think=ThinkRules(mode="move"),
        leaked_calls=LeakedCallRules(mode="on"),
        tool_repair=ToolRepairRules(mode="repair"),
        structured=StructuredRules(mode="repair"),
        tool_loops=ToolLoopRules(mode="cut", steer=True),
        loops=LoopRules(mode="cut"),
        virtual_tools=VirtualToolRules(mode="roo"),
        client_tools=ClientToolRules(mode="roo"),
    )
    with _served(rules) as on, _served() as off:
        filtered = _ask(on, dialect, True, "Hello")
        plain = _ask(off, dialect, True, "Hello")
    assert filtered.text == plain.text == "You said: Hello"
    assert filtered.stop == plain.stop == "end"
    assert filtered.losses == plain.losses


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_forced_tool_is_asked_for_in_words(dialect: str) -> None:
    rules = FilterRules(virtual_tools=VirtualToolRules(mode="kilo"))
    choice = ToolChoice(mode="required")
    with _served(rules) as root:
        seen = _ask(
            root, dialect, False, "markup", tools=(WEATHER,), tool_choice=choice
        )
    assert [name for name, _ in seen.calls] == ["get_weather"]
    assert "filter.virtual_tools=emulated;2" in seen.losses
