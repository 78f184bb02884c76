"""The same filters as the vendors' own clients see them: they stumble at nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from llmwire_server.app import App
from llmwire_server.backends import SIMULATOR, Backend
from llmwire_server.config import Config
from llmwire_server.config.tree import Simulator, SimulatorRule
from llmwire_server.filtering.rules import (
    FilterRules,
    LeakedCallRules,
    LoopRules,
    ThinkRules,
    ToolRepairRules,
)
from tests.matrix.speakers import SPEAKERS, TOOLS, Speaker
from tests.server.live import run_app
from tests.server.stage import DIALECTS

LINE = "I will look at the file once more, and then I will say what I have found. "
NAME = next(iter(TOOLS))
CALL = json.dumps({"name": NAME, "arguments": {"city": "Rome"}})
RULES = (
    SimulatorRule(match="repeat", text=LINE * 200),
    SimulatorRule(match="leak", text=f"Well. <tool_call>{CALL}</tool_call>"),
    SimulatorRule(match="think", text="<think>Let me see.</think>So it is."),
    SimulatorRule(
        match="wrong", calls=(NAME,), arguments='{"city": "Rome", "days": "2"}'
    ),
)
FILTERS = FilterRules(
    think=ThinkRules(mode="move"),
    leaked_calls=LeakedCallRules(mode="on"),
    tool_repair=ToolRepairRules(mode="repair"),
    loops=LoopRules(mode="cut"),
)


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    config = Config(
        backends={SIMULATOR: Backend(name=SIMULATOR, dialect="openai-chat")},
        simulator=Simulator(rules=RULES),
        filters=FILTERS,
    )
    with run_app(App(config)) as served:
        yield served


@pytest.fixture(params=DIALECTS)
def client(request: pytest.FixtureRequest, root: str) -> Iterator[Speaker]:
    made = SPEAKERS[request.param](root, "m")
    yield made
    made.close()


@pytest.mark.parametrize("stream", [False, True])
def test_clients_take_what_filters_make(client: Speaker, stream: bool) -> None:
    end, call, limit = client.stops
    cut = client.ask("repeat", stream=stream)
    assert cut.stop == limit
    assert (LINE * 200).startswith(cut.text)
    assert len(cut.text) < 30 * len(LINE)
    leaked = client.ask("leak", stream=stream, tools=True)
    assert [(each.name, each.arguments) for each in leaked.calls] == [
        (NAME, {"city": "Rome"})
    ]
    assert leaked.stop == call
    wrong = client.ask("wrong", stream=stream, tools=True)
    assert [each.arguments for each in wrong.calls] == [{"city": "Rome", "days": 2}]
    thought = client.ask("think", stream=stream)
    assert (thought.text, thought.stop) == ("So it is.", end)
    assert thought.thought == "Let me see."
