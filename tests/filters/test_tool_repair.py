"""Calls in a stream: valid ones untouched, others repaired, cut ones never."""

from __future__ import annotations

import json
import operator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire.errors import LocalProtocolError
from llmwire.events import (
    ArgumentsDelta,
    Event,
    Extra,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.filters.tool_repair import (
    ToolBox,
    ToolRepairFilter,
    repair_call,
    tool_repair_filter,
)
from llmwire.losses import FEATURES
from llmwire.messages import (
    APIError,
    Choice,
    StopReason,
    TextPart,
    ToolCallPart,
)
from llmwire.requests import Request, Tool
from tests.filters.laws import called, cuts, folded, only, sent, spoken
from tests.filters.test_call_repair import TOOLS

BOX = ToolBox(TOOLS)
SHORT = {"anyOf": [{"type": "string", "maxLength": 1}, {"type": "array"}]}
PICK = ToolBox({"pick": {"type": "object", "properties": {"a": SHORT}}})
PARALLEL = "multi_tool_use.parallel"
USES = (
    '{"tool_uses":[{"recipient_name":"functions.bash","parameters":{"command":"ls"}},'
    '{"recipient_name":"read_file","parameters":{"path":"x"}}]}'
)


def is_whole(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return not text.strip()
    return True


def answer(
    *pieces: str, name: str = "read_file", stop: StopReason = "tool_use"
) -> list[Event]:
    return called(*pieces, name=name, whole=is_whole("".join(pieces)), stop=stop)


def calls_in(choice: Choice) -> list[tuple[str, str, bool]]:
    return [
        (part.name, part.arguments, part.incomplete)
        for part in choice.parts
        if isinstance(part, ToolCallPart)
    ]


def outcome(events: list[Event], **options: Any) -> list[tuple[str, str, bool]]:
    return calls_in(only(folded(events, ToolRepairFilter(BOX, **options))))


VALID = [
    ("read_file", '{"path": "a\\nb", "limit": 3}'),
    ("bash", ' {"command": "echo \\"hi\\"", "other": [1, {"a": null}]} '),
    ("now", ""),
    ("now", "{}"),
    ("anything", '{"name": "x", "arguments": {}}'),
]


@pytest.mark.parametrize(("name", "arguments"), VALID)
@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("stop", ["tool_use", "max_tokens"])
def test_valid_calls_stay(
    name: str, arguments: str, hold: bool, stop: StopReason
) -> None:
    for pieces in ([arguments], list(arguments)):
        events = answer(*pieces, name=name, stop=stop)
        repair = ToolRepairFilter(BOX, hold=hold)
        assert folded(events, repair) == folded(events)
        assert repair.findings == () and repair.losses == ()


def test_what_is_certain_goes_on_as_the_same_event() -> None:
    repair = ToolRepairFilter(BOX)
    start = PartStart(0, ToolCallPart(call_id="c", name="read_file"))
    assert [*repair(MessageStart()), *repair(start)][-1] is start
    assert repair(ArgumentsDelta(0, '{"pa')) == ()
    assert repair(ArgumentsDelta(0, 'th": "a')) == (ArgumentsDelta(0, '{"path": "a'),)
    growth = ArgumentsDelta(0, "bcd")
    assert repair(growth) == (growth,)
    assert repair(ArgumentsDelta(0, '"}')) == ()
    end = PartEnd(0)
    assert list(repair(end)) == [ArgumentsDelta(0, '"}'), end]


REPAIRED = [
    ("read_file", '{"path":"x",}', [("read_file", '{"path":"x"}')]),
    ("readFile", '{"path":"x"}', [("read_file", '{"path":"x"}')]),
    ("Now", "", [("now", "")]),
    (
        "read_file",
        '{"path":"say "hi" x"}',
        [("read_file", '{"path":"say \\"hi\\" x"}')],
    ),
    (
        "read_file",
        '{"Path":"x","limit":"3"}',
        [("read_file", '{"path":"x","limit":3}')],
    ),
    ("read_file", '{"path":"a\nb"', [("read_file", '{"path":"a\\nb"}')]),
    (
        "read_file",
        '{"path":"C:\\new\\User"}',
        [("read_file", '{"path":"C:\\\\new\\\\User"}')],
    ),
    (
        "read_file",
        '{"path":"x"}{"path":"y"}',
        [("read_file", '{"path":"x"}'), ("read_file", '{"path":"y"}')],
    ),
    ("read_file", '{"path":"x"}{"limit":3}', [("read_file", '{"path":"x","limit":3}')]),
    ("read_file", '"{\\"path\\": \\"x\\"}"', [("read_file", '{"path": "x"}')]),
    (PARALLEL, USES, [("bash", '{"command":"ls"}'), ("read_file", '{"path":"x"}')]),
    (
        PARALLEL,
        USES[:-1],
        [("bash", '{"command":"ls"}'), ("read_file", '{"path":"x"}')],
    ),
]


@pytest.mark.parametrize(("name", "arguments", "calls"), REPAIRED)
def test_repaired(name: str, arguments: str, calls: list[tuple[str, str]]) -> None:
    for pieces in ([arguments], list(arguments)):
        repair = ToolRepairFilter(BOX)
        response = folded(answer(*pieces, name=name), repair)
        assert calls_in(only(response)) == [(*call, False) for call in calls]
        assert [f.status for f in repair.findings] == ["repaired"]
        assert repair.findings[0].name == name
        rules = repair_call(name, arguments, BOX).rules
        assert repair.findings[0].rules == tuple(r for r in rules if r != "empty")
        assert [(x.path, x.feature) for x in repair.losses] == [
            ("choices[0].parts[0]", "filter.tool_repair")
        ]
        again = ToolRepairFilter(BOX)
        events = sent(answer(*pieces, name=name), ToolRepairFilter(BOX))
        assert folded(events, again) == response
        assert again.findings == ()
        parts = only(response).parts
        ids = [part.call_id for part in parts if isinstance(part, ToolCallPart)]
        assert ids[0] == "c" and len(set(ids)) == len(calls)


def test_texts_stay_the_same_events() -> None:
    box = ToolBox({"f": None})
    events = spoken("a", "b")
    given = sent(events, ToolRepairFilter(box))
    assert given == events
    assert all(map(operator.is_, given, events))


def test_the_feature_is_listed() -> None:
    assert "filter.tool_repair" in FEATURES


LEFT = [
    ("nope", '{"a": 1}', "unknown-tool"),
    ("read_file", '{"limit": 3}', "invalid"),
    ("read_file", '{"path": "x", "limit": "many"}', "invalid"),
    ("bash", '{"command": "echo "hi" x"}', "invalid"),
    ("read_file", '{"path": "x" ]', "invalid"),
    ("read_file", "", "invalid"),
    (PARALLEL, '{"tool_uses": []}', "invalid"),
    (PARALLEL, "(", "invalid"),
]


@pytest.mark.parametrize(("name", "arguments", "status"), LEFT)
@pytest.mark.parametrize("hold", [False, True])
def test_what_cannot_be_repaired_stays(
    name: str, arguments: str, status: str, hold: bool
) -> None:
    for pieces in ([arguments], list(arguments)):
        events = answer(*pieces, name=name)
        repair = ToolRepairFilter(BOX, hold=hold)
        assert folded(events, repair) == folded(events)
        assert [f.status for f in repair.findings] == [status]
        assert repair.findings[0].problem and repair.losses == ()


@pytest.mark.parametrize(("name", "arguments", "status"), LEFT)
def test_what_cannot_be_repaired_is_an_error_where_that_is_wanted(
    name: str, arguments: str, status: str
) -> None:
    repair = ToolRepairFilter(BOX, "error")
    last = sent(answer(*arguments, name=name), repair)[-1]
    assert isinstance(last, StreamError)
    assert (last.error.kind, last.error.status) == ("bad_upstream", 502)
    assert repair.findings[0].status == status


@pytest.mark.parametrize("hold", [False, True])
def test_what_was_cut_off_is_never_executable(hold: bool) -> None:
    text = '{"path": "say \\"hi\\" C:\\\\x\\u00e9", "limit": 3}'
    ends: list[StopReason] = ["max_tokens", "content_filter", "stop_sequence", "other"]
    for at in range(1, len(text)):
        for stop in ends:
            events = answer(text[:at], stop=stop)
            repair = ToolRepairFilter(BOX, hold=hold)
            assert folded(events, repair) == folded(events)
            assert calls_in(only(folded(events))) == [("read_file", text[:at], True)]
            assert [f.status for f in repair.findings] == ["truncated"]


@pytest.mark.parametrize("name", ["read_file", PARALLEL])
@pytest.mark.parametrize("ended", [False, True])
def test_a_failing_stream_gives_all_that_came(name: str, ended: bool) -> None:
    events = answer('{"path": "x", ', name=name)[: 4 if ended else 3]
    failed = StreamError(APIError(kind="truncated", message="cut"))
    repair = ToolRepairFilter(BOX, "error")
    given_ = sent([*events, failed], repair)
    text = "".join(e.text for e in given_ if isinstance(e, ArgumentsDelta))
    assert text == '{"path": "x", ' and given_[-1] == failed
    assert [f.status for f in repair.findings] == ["truncated"]


def test_a_whole_call_of_a_failing_stream_is_not_ended() -> None:
    failed = StreamError(APIError(kind="truncated", message="cut"))
    events = answer('{"path": "x"}')[:3]
    given_ = sent([*events, failed], ToolRepairFilter(BOX))
    assert not any(isinstance(event, PartEnd) for event in given_)
    assert ArgumentsDelta(0, '"}') in given_


def test_the_source_may_say_that_a_whole_call_is_not() -> None:
    for name in ("read_file", "readFile"):
        events = called('{"path": "x"}', name=name, whole=False)
        assert outcome(events) == [("read_file", '{"path": "x"}', True)]
    events = called('{"path": 1}', name="read_file", whole=False)
    assert outcome(events) == [("read_file", '{"path": 1}', True)]


def test_a_repair_keeps_what_has_gone_out() -> None:
    text = '{"a": "xyz"}'
    for pieces in ([text], list(text)):
        events = answer(*pieces, name="pick")
        repair = ToolRepairFilter(PICK)
        assert folded(events, repair) == folded(events)
        assert repair.findings[0].problem == "a repair would change what has gone out"
        repair = ToolRepairFilter(PICK, hold=True)
        response = folded(events, repair)
        assert calls_in(only(response)) == [("pick", '{"a": ["xyz"]}', False)]


@pytest.mark.parametrize("name", ["read_file", PARALLEL])
def test_what_is_held_is_bounded(name: str) -> None:
    text = '["' + "x" * 200 + '"]'
    for pieces in ([text], list(text)):
        repair = ToolRepairFilter(BOX, max_hold=100)
        events = answer(*pieces, name=name)
        assert folded(events, repair) == folded(events)
        assert [f.problem for f in repair.findings] == ["longer than what is held"]
    held = ToolRepairFilter(BOX, "error", max_hold=100)
    assert isinstance(sent(answer(text, name=name), held)[-1], StreamError)


def test_several_choices_and_parts_at_once() -> None:
    def start(index: int, name: str, choice: int, text: str = "") -> PartStart:
        part = ToolCallPart(call_id=f"c{index}", name=name, arguments=text)
        return PartStart(index, part, choice)

    events: list[Event] = [
        MessageStart(),
        start(0, PARALLEL, 0, USES[:20]),
        start(1, "readFile", 1, '{"path":'),
        PartStart(2, TextPart("a"), 0),
        ArgumentsDelta(1, '"y",'),
        ArgumentsDelta(0, USES[20:]),
        Extra({"x": Raw(b"1")}, index=0),
        TextDelta(2, "b"),
        PartEnd(0),
        start(3, "bash", 0),
        ArgumentsDelta(3, '{"command": "a",}'),
        ArgumentsDelta(1, "}"),
        PartEnd(1, "incomplete"),
        PartEnd(3, "incomplete"),
        PartEnd(2),
        MessageEnd("tool_use", choice=1),
        Extra({"y": Raw(b"1")}, choice=0),
        MessageEnd("tool_use"),
        StreamEnd(),
    ]
    repair = ToolRepairFilter(BOX)
    response = folded(events, repair)
    assert [calls_in(choice) for choice in response.choices] == [
        [
            ("bash", '{"command":"ls"}', False),
            ("read_file", '{"path":"x"}', False),
            ("bash", '{"command": "a"}', False),
        ],
        [("read_file", '{"path":"y"}', False)],
    ]
    assert response.choices[0].parts[0] == TextPart("ab")
    assert response.choices[0].parts[1].extras == {"x": Raw(b"1")}
    assert [f.path for f in repair.findings] == [
        "choices[0].parts[1]",
        "choices[1].parts[0]",
        "choices[0].parts[3]",
    ]


def test_each_choice_has_its_own_end() -> None:
    events: list[Event] = [MessageStart()]
    for choice in (0, 1):
        part = ToolCallPart(call_id=str(choice), name="read_file")
        events.append(PartStart(choice, part, choice))
        events.append(ArgumentsDelta(choice, '{"path": "x",}'))
        events.append(PartEnd(choice, "incomplete"))
    events.append(MessageEnd("max_tokens", choice=0))
    events += [MessageEnd("tool_use", choice=1), StreamEnd()]
    choices = folded(events, ToolRepairFilter(BOX)).choices
    assert [calls_in(choice) for choice in choices] == [
        [("read_file", '{"path": "x",}', True)],
        [("read_file", '{"path": "x"}', False)],
    ]


def test_other_calls_are_none_of_its_business() -> None:
    part = ToolCallPart(call_id="c", name="nope", kind="custom")
    events = answer("any text")
    events[1] = PartStart(0, part)
    repair = ToolRepairFilter(BOX)
    assert sent(events, repair) == events and repair.findings == ()


def test_findings_are_bounded() -> None:
    events: list[Event] = [MessageStart()]
    for index in range(70):
        part = ToolCallPart(call_id=str(index), name="nope")
        events += [PartStart(index, part), PartEnd(index)]
    repair = ToolRepairFilter(BOX)
    sent([*events, MessageEnd("tool_use"), StreamEnd()], repair)
    assert len(repair.findings) == 64


def test_the_factory() -> None:
    tool = Tool(name="bash", schema=Raw(json.dumps(TOOLS["bash"]).encode()))
    pick = Tool(name="pick", schema=Raw(json.dumps(PICK.schemas["pick"]).encode()))
    make = tool_repair_filter()
    assert make(Request()) is None
    assert make(Request(tools=(Tool(name="x", kind="custom"),))) is None
    for stream, whole in ((True, False), (False, True), (None, True)):
        repair = make(Request(tools=(pick,), stream=stream))
        assert repair is not None
        sent(answer('{"a": "xyz"}', name="pick"), repair)
        (finding,) = repair.findings  # type: ignore[attr-defined]  # of this filter
        assert finding.status == ("repaired" if whole else "invalid")
    make = tool_repair_filter(
        effectful=(), drop_unknown=True, fill_defaults=True, hold=True
    )
    repair = make(Request(tools=(tool,), stream=True))
    assert repair is not None
    events = answer('{"Command": 1}', name="bash")
    assert calls_in(only(folded(events, repair))) == [
        ("bash", '{"command": "1"}', False)
    ]


@pytest.mark.parametrize("options", [{"action": "drop"}, {"max_hold": -1}])
def test_options_are_checked_at_once(options: Any) -> None:
    with pytest.raises(LocalProtocolError):
        tool_repair_filter(**options)
    with pytest.raises(LocalProtocolError):
        ToolRepairFilter(BOX, **options)


ALL: list[tuple[str, str]] = [
    *VALID,
    *((name, text) for name, text, _ in REPAIRED),
    *((name, text) for name, text, _ in LEFT),
]
STOPS: list[StopReason] = ["tool_use", "end", "max_tokens"]


@given(
    st.sampled_from(ALL).flatmap(
        lambda call: st.tuples(st.just(call[0]), st.just(call[1]), cuts(call[1]))
    ),
    st.sampled_from(STOPS),
    st.booleans(),
    st.sampled_from(["pass", "error"]),
)
def test_pieces_do_not_matter(
    call: tuple[str, str, list[str]], stop: StopReason, hold: bool, action: Any
) -> None:
    name, text, pieces = call
    told = []
    for cut in ([text], pieces):
        repair = ToolRepairFilter(BOX, action, hold=hold)
        events = sent(answer(*cut, name=name, stop=stop), repair)
        failed = isinstance(events[-1], StreamError)
        told.append(
            (events[-1] if failed else folded(events), repair.findings, repair.losses)
        )
    assert told[0] == told[1]


@given(
    st.text("{}[]\":,pathlimitx1\\ \n'", max_size=30),
    st.sampled_from(["read_file", "bash", "anything", PARALLEL, "read_fil"]),
    st.sampled_from(STOPS),
)
def test_what_goes_out_complete_can_be_run(
    text: str, name: str, stop: StopReason
) -> None:
    repair = ToolRepairFilter(BOX)
    events = answer(*text, name=name, stop=stop)
    for tool, arguments, incomplete in calls_in(only(folded(events, repair))):
        if not incomplete and arguments.strip() and not repair.findings:
            assert repair_call(tool, arguments, TOOLS).status == "valid"
        if stop == "max_tokens" and not is_whole(text):
            assert incomplete and arguments == text


def test_work_is_linear() -> None:
    sizes = []
    for length in (2_000, 4_000):
        pieces = ['{"path": "', *["\\n"] * length, '", ]']
        repair = ToolRepairFilter(BOX)
        longest = 0
        for event in answer(*pieces):
            repair(event)
            calls = repair._calls.values()
            longest = max([longest, *(len(c.scanner.held) for c in calls if c.scanner)])
        sizes.append(longest)
    assert all(one == other < 16 for one, other in pairwise(sizes))
