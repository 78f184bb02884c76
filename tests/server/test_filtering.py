"""Tests of `llmwire_server.filtering`: how rules add up, and the order of stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from llmwire import (
    Message,
    Request,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    UnsupportedFeature,
)
from llmwire.events import (
    ArgumentsDelta,
    Event,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    StreamEnd,
)
from llmwire.filters import FilterChain
from llmwire.filters.loops import LoopFilter
from llmwire.filters.think import MODEL_TAGS, TOOL_OPENERS
from llmwire.filters.virtual_tools import Virtual
from llmwire_server.config import load
from llmwire_server.filtering import plan
from llmwire_server.filtering.plan import (
    STAGES,
    Filtered,
    FilterPlan,
    Filters,
    filters_of,
)
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
    merged,
    pattern_for,
)

REQUEST = Request(
    model="m",
    messages=(Message(role="user", parts=(TextPart("Hi"),)),),
    tools=(Tool(name="t"),),
)


def test_every_rule_has_a_stage_in_the_same_order() -> None:
    names = tuple(stage.name for stage in STAGES)
    assert names == FilterRules.__struct_fields__
    for stage in STAGES:
        assert (stage.filter_of is None) is not (stage.step_of is None)
        assert stage.why_here


@pytest.mark.parametrize(
    ("under", "over", "both"),
    [
        (LoopRules(mode="cut"), LoopRules(), LoopRules(mode="cut")),
        (LoopRules(mode="cut"), LoopRules(mode="off"), LoopRules(mode="off")),
        (
            LoopRules(mode="cut", watch=("text",)),
            LoopRules(at="suspect", watch=("reasoning",)),
            LoopRules(mode="cut", at="suspect", watch=("reasoning",)),
        ),
        (
            ThinkRules(implicit_open=True, retroactive=5),
            ThinkRules(implicit_open=False, retroactive=0),
            ThinkRules(implicit_open=False, retroactive=0),
        ),
        (
            FilterRules(loops=LoopRules(mode="cut")),
            FilterRules(loops=LoopRules(at="suspect"), think=ThinkRules(mode="move")),
            FilterRules(
                loops=LoopRules(mode="cut", at="suspect"), think=ThinkRules(mode="move")
            ),
        ),
    ],
)
def test_what_is_said_goes_over_what_was_said(
    under: Struct, over: Struct, both: Struct
) -> None:
    assert merged(under, over) == both
    assert merged(under, type(under)()) == under
    assert merged(type(over)(), over) == over


@pytest.mark.parametrize(
    ("model", "pattern"),
    [
        ("qwen3", "qwen3"),
        ("qwen3:8b", "qwen3*"),
        ("qwen2", "qwen*"),
        ("q", "*"),
        ("qwen*", "qwen*"),
        ("", "*"),
    ],
)
def test_the_longest_beginning_says_most(model: str, pattern: str) -> None:
    assert pattern_for(("*", "qwen*", "qwen3*", "qwen3"), model) == pattern
    assert pattern_for(("x", "y*"), model) is None


def test_a_plan_of_nothing_is_none() -> None:
    filters = Filters(FilterRules(), {"m": FilterRules(loops=LoopRules(mode="cut"))})
    assert filters.plan(None) is None
    assert filters.plan("other") is None
    found = filters.plan("m")
    assert found is not None
    assert found.on == ("loops: cut",)


def test_the_very_same_request_goes_on_where_nothing_changes_it() -> None:
    filtered = FilterPlan(FilterRules(loops=LoopRules(mode="cut"))).applied(REQUEST)
    assert filtered.request is REQUEST
    (factory,) = filtered.factories
    assert isinstance(factory(REQUEST), LoopFilter)
    assert Filtered(REQUEST).factories == ()


def test_filters_stand_in_the_order_of_the_stages() -> None:
    rules = FilterRules(
        loops=LoopRules(mode="cut"),
        think=ThinkRules(mode="move"),
        virtual_tools=VirtualToolRules(mode="cline"),
    )
    made_plan = FilterPlan(rules)
    assert made_plan.on == ("think: move", "virtual_tools: cline", "loops: cut")
    filtered = made_plan.applied(REQUEST)
    made = [factory(filtered.request) for factory in filtered.factories]
    kinds = [type(each).__name__ for each in made]
    assert kinds == ["_Told", "ThinkTagFilter", "TextToCalls", "LoopFilter"]
    assert filtered.request.tools == ()
    told: Any = made[0]
    assert told.losses == filtered.losses != ()
    for event in (MessageStart(), StreamEnd()):
        assert told(event) == (event,)


PROMPT = (
    "## t\nDescription: Does it.\nParameters:\n- x: (required) What\nUsage:\n"
    "<t>\n<x>1</x>\n</t>\n"
)
PROMPTED = Request(
    model="m",
    messages=(
        Message(role="system", parts=(TextPart(PROMPT),), top=True),
        Message(role="user", parts=(TextPart("Hi"),)),
    ),
)


def _kinds(rules: FilterRules, request: Request) -> list[str]:
    filtered = FilterPlan(rules).applied(request)
    made = [factory(filtered.request) for factory in filtered.factories]
    return [type(each).__name__ for each in made if each is not None]


def test_a_filter_knows_the_request_as_its_stage_saw_it() -> None:
    told = VirtualToolRules(mode="cline")
    listed = ClientToolRules(mode="cline")
    repair = ToolRepairRules(mode="repair")
    behind = FilterRules(virtual_tools=told, tool_repair=repair)
    assert _kinds(behind, REQUEST) == ["_Told", "TextToCalls", "ToolRepairFilter"]
    before = FilterRules(client_tools=listed, tool_repair=repair)
    assert _kinds(before, PROMPTED) == ["_Told", "ToolRepairFilter", "CallsToText"]
    both = FilterRules(client_tools=listed, virtual_tools=told, tool_repair=repair)
    assert _kinds(both, PROMPTED) == [
        "_Told",
        "TextToCalls",
        "ToolRepairFilter",
        "CallsToText",
    ]


def test_the_losses_of_every_step_are_told() -> None:
    rules = FilterRules(
        client_tools=ClientToolRules(mode="cline"),
        virtual_tools=VirtualToolRules(mode="cline"),
    )
    losses = FilterPlan(rules).applied(PROMPTED).losses
    reasons = {(loss.path, loss.reason) for loss in losses}
    assert ("tools", "they were read in the instructions") in reasons
    assert ("tools[0]", "it is told in the instructions") in reasons


def _round(turns: int) -> Request:
    messages: tuple[Message, ...] = ()
    for at in range(turns):
        call = ToolCallPart(call_id=f"c{at}", name="t", arguments='{"x":1}')
        result = ToolResultPart(call_id=f"c{at}", parts=(TextPart("no"),))
        messages += (
            Message(role="assistant", parts=(call,)),
            Message(role="user", parts=(result,)),
        )
    return replace(REQUEST, messages=REQUEST.messages + messages)


def test_a_model_is_told_of_its_loop_where_that_is_asked_for() -> None:
    quiet = FilterPlan(FilterRules(tool_loops=ToolLoopRules(mode="cut")))
    going_round = _round(9)
    assert quiet.applied(going_round).request is going_round
    telling = FilterPlan(FilterRules(tool_loops=ToolLoopRules(mode="cut", steer=True)))
    once = _round(1)
    assert telling.applied(once).request is once
    assert telling.applied(once).losses == ()
    assert telling.applied(going_round).request != going_round


@pytest.mark.parametrize("turns", range(1, 12))
def test_what_the_model_is_told_is_no_result(turns: int) -> None:
    """The answer is cut or not, whether the model is told or not."""
    stops = set()
    for steer in (False, True):
        rules = FilterRules(tool_loops=ToolLoopRules(mode="cut", steer=steer))
        filtered = FilterPlan(rules).applied(_round(turns))
        made = filtered.factories[-1](filtered.request)
        assert made is not None
        part = ToolCallPart(call_id="c", name="t")
        events: list[Event] = [
            MessageStart(),
            PartStart(0, part),
            ArgumentsDelta(0, '{"x":1}'),
            PartEnd(0),
            MessageEnd("tool_use"),
            StreamEnd(),
        ]
        chain = FilterChain([made])
        out = [each for event in events for each in chain.send(event)]
        stops.add(next(e.stop for e in out if isinstance(e, MessageEnd)))
    assert len(stops) == 1


def test_a_step_may_be_forbidden() -> None:
    rules = FilterRules(virtual_tools=VirtualToolRules(mode="cline"))
    with pytest.raises(UnsupportedFeature) as raised:
        FilterPlan(rules, {"filter.virtual_tools": "refuse"}).applied(REQUEST)
    assert raised.value.loss.feature == "filter.virtual_tools"
    FilterPlan(rules, {"filter.virtual_tools": "drop"}).applied(REQUEST)


class _Found(Struct):
    path: str


class _Finder:
    def __init__(self, count: int) -> None:
        self.findings = tuple(_Found(f"choices[0].parts[{at}]") for at in range(count))

    def __call__(self, event: Any) -> Any:
        raise AssertionError(event)


def test_findings_are_told_without_the_text() -> None:
    filtered = Filtered(REQUEST)
    for name, count in (("a", 0), ("b", 1), ("c", 4)):
        filtered.add(name, lambda _, count=count: _Finder(count), REQUEST)  # type: ignore[misc]  # bound now
    filtered.add("d", lambda _: None, REQUEST)
    assert filtered.findings() == []
    for factory in filtered.factories:
        factory(REQUEST)
    assert filtered.findings() == [
        "b found 1: choices[0].parts[0]",
        "c found 4: choices[0].parts[0], choices[0].parts[1], choices[0].parts[2], …",
    ]


def test_the_configuration_says_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "llmwire.yaml"
    file.write_text(
        """
backends:
  local:
    dialect: openai-chat
    base_url: http://127.0.0.1:1
    filters:
      think: {mode: move, tags: [think, mistral], retroactive: 4096}
    model_filters:
      "qwen3*": {leaked_calls: {mode: on, formats: [hermes], reasoning: no}}
      qwen3: {loops: {mode: off}}
filters:
  loops: {mode: cut, at: suspect, watch: [text, reasoning]}
"""
    )
    config = load(
        str(file), environment={"LLMWIRE_BACKENDS__LOCAL__FILTERS__THINK__MODE": "drop"}
    )
    filters = filters_of(config.filters, config.backends["local"])
    on = {model: filters.plan(model) for model in ("m", "qwen3:8b", "qwen3")}
    assert {model: each.on for model, each in on.items() if each} == {
        "m": ("think: drop", "loops: cut"),
        "qwen3:8b": ("think: drop", "leaked_calls: on", "loops: cut"),
        "qwen3": ("think: drop",),
    }
    for each in on.values():
        assert each is not None
        each.applied(REQUEST)


ENDS: tuple[tuple[Any, Any, Any], ...] = (
    (None, "on", TOOL_OPENERS),
    (None, "off", ()),
    (False, "on", ()),
    (True, "off", TOOL_OPENERS),
)
"""Whether calls end thoughts: what is said, whether leaked calls are on, what holds."""


@pytest.mark.parametrize(
    ("name", "rules", "said"),
    [
        (
            "think_filter",
            FilterRules(think=ThinkRules(mode="drop")),
            (
                (MODEL_TAGS,),
                {
                    "mode": "drop",
                    "implicit_open": False,
                    "retroactive": 0,
                    "tool_openers": (),
                    "promote_if_no_content": False,
                },
            ),
        ),
        *(
            (
                "think_filter",
                FilterRules(
                    think=ThinkRules(mode="move", ends_at_calls=said),
                    leaked_calls=LeakedCallRules(mode=mode),
                ),
                (
                    (MODEL_TAGS,),
                    {
                        "mode": "move",
                        "implicit_open": False,
                        "retroactive": 0,
                        "tool_openers": openers,
                        "promote_if_no_content": False,
                    },
                ),
            )
            for said, mode, openers in ENDS
        ),
        (
            "think_filter",
            FilterRules(
                think=ThinkRules(
                    mode="move",
                    tags=("mistral",),
                    implicit_open=True,
                    retroactive=9,
                    promote_if_no_content=True,
                )
            ),
            (
                (("mistral",),),
                {
                    "mode": "move",
                    "implicit_open": True,
                    "retroactive": 9,
                    "tool_openers": (),
                    "promote_if_no_content": True,
                },
            ),
        ),
        (
            "leaked_call_filter",
            FilterRules(leaked_calls=LeakedCallRules(mode="on")),
            ((None,), {"reasoning": True}),
        ),
        (
            "leaked_call_filter",
            FilterRules(
                leaked_calls=LeakedCallRules(
                    mode="on", formats=("hermes",), reasoning=False
                )
            ),
            ((("hermes",),), {"reasoning": False}),
        ),
        (
            "tool_repair_filter",
            FilterRules(tool_repair=ToolRepairRules(mode="repair")),
            (
                ("pass",),
                {"drop_unknown": False, "fill_defaults": False, "hold": None},
            ),
        ),
        (
            "tool_repair_filter",
            FilterRules(
                tool_repair=ToolRepairRules(
                    mode="error", drop_unknown=True, fill_defaults=True, hold=False
                )
            ),
            (("error",), {"drop_unknown": True, "fill_defaults": True, "hold": False}),
        ),
        (
            "structured_filter",
            FilterRules(structured=StructuredRules(mode="repair")),
            (("repair", "error"), {"hold": None}),
        ),
        (
            "structured_filter",
            FilterRules(
                structured=StructuredRules(mode="check", action="pass", hold=True)
            ),
            (("check", "pass"), {"hold": True}),
        ),
        (
            "tool_loop_filter",
            FilterRules(tool_loops=ToolLoopRules(mode="error")),
            (("error",), {"at": "confirmed"}),
        ),
        (
            "tool_loop_filter",
            FilterRules(tool_loops=ToolLoopRules(mode="cut", at="suspect")),
            (("cut",), {"at": "suspect"}),
        ),
        (
            "loop_filter",
            FilterRules(loops=LoopRules(mode="error")),
            (("error",), {"at": "confirmed"}),
        ),
        (
            "loop_filter",
            FilterRules(loops=LoopRules(mode="cut", at="suspect", watch=("text",))),
            (("cut",), {"at": "suspect", "watch": ("text",)}),
        ),
    ],
)
def test_every_option_reaches_its_filter(
    name: str, rules: FilterRules, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def factory(*args: Any, **options: Any) -> Any:
        calls.append((args, options))
        return lambda request: None

    monkeypatch.setattr(plan, name, factory)
    FilterPlan(rules)
    assert calls == [said]


@pytest.mark.parametrize("name", ["virtualize", "devirtualize"])
def test_every_markup_reaches_its_step(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def step(request: Request, markup: str) -> Any:
        seen.append(markup)
        return Virtual(request, (), lambda _: None)

    monkeypatch.setattr(plan, name, step)
    for mode in ("cline", "roo", "kilo", "function_calls"):
        word: Any = mode
        rules = FilterRules(client_tools=ClientToolRules(mode=word))
        if name == "virtualize":
            rules = FilterRules(virtual_tools=VirtualToolRules(mode=word))
        FilterPlan(rules).applied(REQUEST)
    assert seen == ["cline", "roo", "kilo", "function_calls"]
