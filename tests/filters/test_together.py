"""All filters at once, in the order of the proxy and in any other.

What holds for each of them alone must hold for all of them together: the grammar, the
same result for every division of the text, and nothing done where nothing is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from llmwire import APIError, Loss, Message, Request, Response, Tool
from llmwire._fold import fold
from llmwire._parts import whole_arguments
from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    ReasoningDelta,
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.filters import FilterChain, FilterFactory
from llmwire.filters.leaked_calls import leaked_call_filter
from llmwire.filters.loops import loop_filter
from llmwire.filters.structured import structured_filter
from llmwire.filters.think import TOOL_OPENERS, think_filter
from llmwire.filters.tool_loops import tool_loop_filter
from llmwire.filters.tool_repair import tool_repair_filter
from llmwire.filters.virtual_tools import calls_to_text, text_to_calls
from llmwire.messages import (
    Citation,
    Part,
    ReasoningPart,
    RefusalPart,
    Signature,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.requests import OutputFormat
from llmwire.strategies import sentences
from llmwire_server.filtering.plan import Filtered, FilterPlan
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
from tests.filters.laws import said, spoken
from tests.server.stage import DIALECTS

Outcome: TypeAlias = tuple[Response | APIError, tuple[Loss, ...], tuple[str, ...]]


def _tool(name: str, *required: str, **types: str) -> Tool:
    properties = {key: {"type": kind} for key, kind in types.items()}
    schema = {"type": "object", "properties": properties, "required": required}
    return Tool(name=name, description="d", schema=Raw(json.dumps(schema).encode()))


TOOLS = (
    _tool("read_file", "path", path="string", limit="integer"),
    _tool("search", query="string", deep="object"),
    _tool("ping"),
    Tool(name="free", kind="custom"),
)
PROMPT = """\
## read_file
Description: Read a file.
Parameters:
- path: (required) Where it is.
Usage:
<read_file>
<path>path here</path>
</read_file>
"""
"""Of a client that knows no tools."""
CALL = '{"name": "read_file", "arguments": {"path": "a.py", "limit": "3"}}'
MARKUP = "<read_file>\n<path>a.py</path>\n</read_file>"
PIECES = (
    *("a", " ", "\n", "word ", "\r\n", "\0", "\N{SLIGHTLY SMILING FACE}", "'", '"'),
    *("<think>", "</think>", "<think", "<think>Hm.</think>", "> ", "`", "```"),
    *("<tool_call>", "</tool_call>", CALL, CALL[:20], "{}", "}", ",}"),
    *(MARKUP, MARKUP[:20], "<read_file>", "<path>", "</path>", "</read_file>"),
    *("<ping></ping>", "<ping/>", "<free><input>z</input></free>"),
    f"<tool_call>\n{CALL}\n</tool_call>",
    "<function=search>\n<parameter=query>x</parameter></function>",
    *('[TOOL_CALLS]search[ARGS]{"query": "x"}', "[TOOL_CALLS]"),
    "<|tool_call_begin|>functions.ping:0<|tool_call_argument_begin|>{}"
    "<|tool_call_end|>",
    "<|channel|>commentary to=functions.ping <|message|>{}<|call|>",
    '<function_calls>\n<invoke name="ping">\n</invoke>\n</function_calls>',
    *("```json\n", "\n```\n", '{"name": "Ada", "age": 3}', '{"name": "Ada",'),
    *("I will look again. " * 30, "x" * 3000, "Step 1. ", "Action: ping"),
)
ARGUMENTS = (
    *('{"path": "a.py"}', '{"path": "a', '.py"', "}", ",", '"limit": "3"', "]"),
    *("{'path': 'b'}", "{}", '{"Path": "a.py",}', '{"query": [1, 2', "null", "x"),
    *('{"path": "' + "ab " * 300, '{"path": "a"}{"path": "b"}', "\\", '"', "\n"),
)
NAMES = ("read_file", "readFile", "functions.search", "ping", "nope", "search")
SCHEMA = Raw(
    b'{"type":"object","properties":{"name":{"type":"string"},'
    b'"age":{"type":"integer"}},"required":["name"]}'
)
SAID = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
ARGUED = st.lists(st.sampled_from(ARGUMENTS), max_size=3).map("".join)
DIALECT = st.sampled_from((None, *DIALECTS))


@st.composite
def strange_answers(
    draw: st.DrawFn, dialect: str | None = None, failing: bool = False
) -> list[Event]:
    """Sentences whose texts and calls are what filters look for, and halves of it."""
    said: list[Event] = []
    arguments: dict[int, str] = {}
    for event in draw(sentences(dialect, failing=failing)):
        if isinstance(event, (TextDelta, ReasoningDelta)):
            event = replace(event, text=draw(SAID))
        elif isinstance(event, PartStart):
            event = replace(event, part=_opened(draw, event.part))
            if isinstance(event.part, ToolCallPart) and event.part.kind == "function":
                arguments[event.index] = event.part.arguments
        elif isinstance(event, ArgumentsDelta) and event.index in arguments:
            event = replace(event, text=draw(ARGUED))
            arguments[event.index] += event.text
        elif isinstance(event, PartEnd) and event.index in arguments:
            whole = whole_arguments(arguments[event.index])
            event = replace(event, status="complete" if whole else "incomplete")
        said.append(event)
    return said


def _opened(draw: st.DrawFn, part: Any) -> Any:
    """A part as it starts, sometimes with something in it."""
    filled = draw(st.integers(0, 3)) == 3
    if isinstance(part, ToolCallPart) and part.kind == "function":
        name = draw(st.sampled_from(NAMES))
        return replace(part, name=name, arguments=draw(ARGUED) if filled else "")
    plain = isinstance(part, ReasoningPart) and not part.redacted
    if filled and (plain or isinstance(part, TextPart)):
        return replace(part, text=draw(SAID))
    return part


@st.composite
def asked(draw: st.DrawFn) -> Request:
    """Requests with tools, or a prompt that names some; some have called in vain."""
    messages = [Message(role="user", parts=(TextPart("Do it."),))]
    tools = draw(st.sampled_from((TOOLS, TOOLS, TOOLS[:3], ())))
    if not tools:
        messages.insert(0, Message(role="system", parts=(TextPart(PROMPT),)))
    for at in range(draw(st.sampled_from((0, 0, 3, 5)))):
        call = ToolCallPart(call_id=f"h{at}", name="ping", arguments="{}")
        result = ToolResultPart(call_id=f"h{at}", parts=(TextPart("x"),))
        messages.append(Message(role="assistant", parts=(call,)))
        messages.append(Message(role="user", parts=(result,)))
    any_object = OutputFormat(kind="json_object")
    person = OutputFormat(kind="json_schema", schema=SCHEMA)
    return Request(
        model="m",
        messages=tuple(messages),
        tools=tools,
        n=draw(st.sampled_from((None, 2))),
        stream=draw(st.booleans()),
        output=draw(st.sampled_from((None, None, any_object, person))),
    )


def _unless(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from((None, *values))


RULES = st.builds(
    FilterRules,
    think=st.builds(
        ThinkRules,
        mode=_unless("move", "drop", "keep"),
        implicit_open=_unless(True),
        retroactive=_unless(20),
        promote_if_no_content=_unless(True),
    ),
    virtual_tools=st.builds(VirtualToolRules, mode=_unless("cline", "function_calls")),
    leaked_calls=st.builds(LeakedCallRules, mode=_unless("on")),
    tool_repair=st.builds(
        ToolRepairRules,
        mode=_unless("repair", "error"),
        drop_unknown=_unless(True),
        fill_defaults=_unless(True),
        hold=_unless(True, False),
    ),
    structured=st.builds(
        StructuredRules,
        mode=_unless("repair", "check"),
        action=_unless("pass"),
        hold=_unless(True, False),
    ),
    tool_loops=st.builds(
        ToolLoopRules,
        mode=_unless("report", "cut", "error"),
        at=_unless("suspect"),
        steer=_unless(True),
    ),
    loops=st.builds(
        LoopRules, mode=_unless("report", "cut", "error"), at=_unless("suspect")
    ),
    client_tools=st.builds(ClientToolRules, mode=_unless("cline", "function_calls")),
)


def _through(
    filtered: Filtered, events: Sequence[Event]
) -> tuple[list[Event], FilterChain]:
    """What a checked chain of the plan's filters makes of `events`."""
    return _sent(filtered.factories, filtered.request, events)


def _sent(
    factories: Sequence[FilterFactory], request: Request, events: Sequence[Event]
) -> tuple[list[Event], FilterChain]:
    made = [factory(request) for factory in factories]
    chain = FilterChain([each for each in made if each is not None], checked=True)
    return [given for event in events for given in chain.send(event)], chain


def _outcome(rules: FilterRules, request: Request, events: Sequence[Event]) -> Outcome:
    """What the client gets, and what is told of it.

    An answer that a filter ends has been seen further by the filters before it, as far
    as the piece went in which it ended: what they tell is left out.
    """
    filtered = FilterPlan(rules).applied(request)
    out, chain = _through(filtered, events)
    last = out[-1]
    if isinstance(last, StreamError):
        return last.error, (), ()
    if chain.ended is not None:
        return _bare(fold(out)), (), ()
    return fold(out), chain.losses, tuple(filtered.findings())


def _bare(response: Response) -> Response:
    """`response` without what stands beside its texts.

    That may wait in a filter for the text that it names, and so come before or behind
    the place where another one ends the answer.
    """
    choices = [
        replace(choice, parts=tuple(map(_bare_part, choice.parts)), extras=None)
        for choice in response.choices
    ]
    return replace(response, choices=tuple(choices))


def _bare_part(part: Part) -> Part:
    bare = replace(part, signature=None, extras=None)
    if isinstance(bare, (TextPart, ReasoningPart, RefusalPart, ToolCallPart)):
        bare = replace(bare, logprobs=())
    return replace(bare, citations=()) if isinstance(bare, TextPart) else bare


def _joined(events: Sequence[Event]) -> list[Event]:
    """`events` with neighbouring pieces of one part in one."""
    joined: list[Event] = []
    for event in events:
        last = joined[-1] if joined else None
        if (
            isinstance(event, (TextDelta, ArgumentsDelta))
            and type(last) is type(event)
            and last.index == event.index
        ):
            joined[-1] = replace(last, text=last.text + event.text)
        else:
            joined.append(event)
    return joined


def _letters(events: Sequence[Event]) -> list[Event]:
    """`events` with every piece cut into single characters; empty ones stay."""
    cut: list[Event] = []
    for event in events:
        if isinstance(event, (TextDelta, ReasoningDelta, ArgumentsDelta)):
            cut += [replace(event, text=letter) for letter in event.text or ("",)]
        else:
            cut.append(event)
    return cut


@given(RULES, asked(), DIALECT.flatmap(lambda name: strange_answers(name, True)))
def test_the_grammar_is_kept(
    rules: FilterRules, request: Request, events: list[Event]
) -> None:
    out, chain = _through(FilterPlan(rules).applied(request), events)
    assert chain.done
    assert isinstance(out[-1], StreamError) or fold(out).choices


@given(RULES, asked(), strange_answers())
def test_pieces_do_not_matter(
    rules: FilterRules, request: Request, events: list[Event]
) -> None:
    expected = _outcome(rules, request, events)
    assert _outcome(rules, request, _letters(events)) == expected
    assert _outcome(rules, request, _joined(events)) == expected


FACTORIES: dict[str, FilterFactory] = {
    "think": think_filter(tool_openers=TOOL_OPENERS),
    "leaked_calls": leaked_call_filter(),
    "tool_repair": tool_repair_filter(),
    "structured": structured_filter(action="pass"),
    "tool_loops": tool_loop_filter("cut"),
    "loops": loop_filter("cut"),
    "text_to_calls": text_to_calls(TOOLS, "cline"),
    "calls_to_text": calls_to_text(TOOLS, "function_calls"),
}


@given(st.permutations(sorted(FACTORIES)), asked(), strange_answers())
def test_any_order_will_do(
    order: list[str], request: Request, events: list[Event]
) -> None:
    factories = [FACTORIES[name] for name in order]
    out, chain = _sent(factories, request, events)
    again, _ = _sent(factories, request, _letters(events))
    assert chain.done
    whole, in_letters = fold(out), fold(again)
    if chain.ended is not None:
        whole, in_letters = _bare(whole), _bare(in_letters)
    assert in_letters == whole


WORDS = (
    *("Hello", " world", "\n", "\n\n", "  ", "\t", "a < b", " x > y ", "see <b>", "<"),
    *("日本", "\N{SLIGHTLY SMILING FACE}", "1, 2", "- item\n", "**b**", "`code`", "|"),
    *("```\ncode\n```\n", "f(x)", "[1]", "e.g. {x}", '"q"', "func", "call", "Action"),
)
CALLED = ('{"path": "a.py"}', '{"path": "", "limit": 3}', '{"path":"\\u00e9\\n"}')
ALL = FilterRules(
    think=ThinkRules(mode="move"),
    leaked_calls=LeakedCallRules(mode="on"),
    tool_repair=ToolRepairRules(mode="repair"),
    structured=StructuredRules(mode="repair"),
    tool_loops=ToolLoopRules(mode="cut"),
    loops=LoopRules(mode="cut"),
    client_tools=ClientToolRules(mode="cline"),
)
ALL_VIRTUAL = replace(ALL, virtual_tools=VirtualToolRules(mode="cline"))


@st.composite
def clean_answers(draw: st.DrawFn, dialect: str | None) -> list[Event]:
    """Sentences of plain texts and of calls as they should be."""
    texts = st.lists(st.sampled_from(WORDS), max_size=6).map("".join)
    said: list[Event] = []
    left: dict[int, str] = {}
    for event in draw(sentences(dialect, failing=False)):
        if isinstance(event, (TextDelta, ReasoningDelta)):
            event = replace(event, text=draw(texts))
        elif isinstance(event, PartStart):
            part = event.part
            if isinstance(part, ToolCallPart) and part.kind == "function":
                part = replace(part, name="read_file", arguments="")
                left[event.index] = draw(st.sampled_from(CALLED))
            event = replace(event, part=part)
        elif isinstance(event, ArgumentsDelta) and event.index in left:
            rest = left[event.index]
            at = draw(st.integers(0, len(rest)))
            event, left[event.index] = replace(event, text=rest[:at]), rest[at:]
        elif isinstance(event, PartEnd) and event.index in left:
            said.append(ArgumentsDelta(event.index, left[event.index]))
            event = replace(event, status="complete")
        said.append(event)
    return said


@given(
    st.sampled_from((ALL, ALL_VIRTUAL)), st.booleans(), DIALECT.flatmap(clean_answers)
)
def test_clean_answers_stay(
    rules: FilterRules, stream: bool, events: list[Event]
) -> None:
    hello = Message(role="user", parts=(TextPart("Hi"),))
    request = Request(model="m", messages=(hello,), tools=TOOLS, stream=stream)
    filtered = FilterPlan(rules).applied(request)
    out, chain = _through(filtered, events)
    assert fold(out) == fold(events)
    assert chain.losses == filtered.losses
    assert filtered.findings() == []


def _thought(*growth: Event) -> list[Event]:
    opened = said(MessageStart(), PartStart(0, ReasoningPart()))
    return [*opened, *growth, PartEnd(0), MessageEnd("end"), StreamEnd()]


def _leaks(events: Sequence[Event]) -> Response:
    request = Request(tools=TOOLS, stream=True)
    return fold(_sent([FACTORIES["leaked_calls"]], request, events)[0])


def test_what_came_before_a_text_stays_with_it() -> None:
    text = f"a\n<tool_call>\n{CALL}\n</tool_call>"
    cited = CitationDelta(0, Citation(kind="url"))
    events = spoken(text)
    events.insert(2, cited)
    for each in (events, _letters(events)):
        first, call = _leaks(each).choices[0].parts
        assert first == TextPart("a\n", citations=(cited.citation,))
        assert isinstance(call, ToolCallPart)


def test_a_thought_of_nothing_is_no_other() -> None:
    events = _thought(ReasoningDelta(0, ""), ReasoningDelta(0, ""))
    assert _leaks(events) == fold(events)


def test_the_last_signature_is_the_last() -> None:
    early, late = (Signature(origin="anthropic", value=value) for value in "ab")
    events = _thought(
        SignatureDelta(0, early), ReasoningDelta(0, "So", 0), SignatureDelta(0, late)
    )
    assert _leaks(events) == fold(events)
