"""Tests of `llmwire.filters.tool_loops`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

import llmwire
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
from llmwire.filters import FilterChain, run
from llmwire.filters.tool_loops import (
    ToolLoop,
    ToolLoopAction,
    ToolLoopDetector,
    ToolLoopFilter,
    ToolLoopFinding,
    ToolLoopPolicy,
    find_tool_loop,
    history_of,
    steer,
    steering_text,
    tool_loop_filter,
)
from llmwire.messages import (
    Base64,
    CacheMark,
    Choice,
    MediaPart,
    Message,
    OpaquePart,
    Part,
    Response,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.requests import Request, Tool
from llmwire.strategies import responses, sentences
from tests.counting import steepness
from tests.filters.laws import folded, one_by_one, only, sent

ACTIONS: tuple[ToolLoopAction, ...] = ("report", "cut", "error")
DIALECTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
TASK = Message(role="user", parts=(TextPart("Fix it."),))
READ = '{"path": "a.py"}'


def turns(
    count: int, *, result: str | None = "same", name: str = "read", error: bool = False
) -> tuple[Message, ...]:
    """`count` times a call and its result."""
    found: list[Message] = []
    for at in range(count):
        call = ToolCallPart(call_id=f"c{at}", name=name, arguments=READ)
        found.append(Message(role="assistant", parts=(call,)))
        if result is not None:
            text = (TextPart(result),)
            given = ToolResultPart(call_id=f"c{at}", parts=text, error=error)
            found.append(Message(role="user", parts=(given,)))
    return tuple(found)


def asked(*messages: Message) -> Request:
    return Request(model="m", messages=(TASK, *messages), tools=(Tool(name="read"),))


def answer(*calls: tuple[str, str], choice: int = 0, first: int = 0) -> list[Event]:
    """The parts of an answer of these calls."""
    events: list[Event] = []
    for at, (name, arguments) in enumerate(calls, first):
        part = ToolCallPart(call_id=f"n{at}", name=name)
        events.append(PartStart(at, part, choice))
        events += [ArgumentsDelta(at, arguments[:3]), ArgumentsDelta(at, arguments[3:])]
        events.append(PartEnd(at))
    return events


def whole(*calls: tuple[str, str]) -> list[Event]:
    return [MessageStart(), *answer(*calls), MessageEnd("tool_use"), StreamEnd()]


def made(
    action: ToolLoopAction, request: Request, policy: ToolLoopPolicy | None = None
) -> ToolLoopFilter:
    found = tool_loop_filter(action, policy=policy)(request)
    assert isinstance(found, ToolLoopFilter)
    return found


class TestHistory:
    """Loops of the calls that a request holds."""

    def test_four_equal_turns(self) -> None:
        assert find_tool_loop(asked(*turns(3))) is None
        loop = find_tool_loop(asked(*turns(4)))
        assert loop == ToolLoop("confirmed", ("read",), 4, 4, True, False, "steer")
        assert loop.verdict == "steer"

    def test_then_it_is_an_error(self) -> None:
        verdicts = [find_tool_loop(asked(*turns(n))) for n in range(4, 8)]
        found = [loop.verdict for loop in verdicts if loop is not None]
        assert found == ["steer", "steer", "error", "error"]
        policy = ToolLoopPolicy(patience=1)
        loop = find_tool_loop(asked(*turns(5)), policy)
        assert loop is not None
        assert loop.verdict == "error"

    def test_failures(self) -> None:
        loop = find_tool_loop(asked(*turns(3, error=True)))
        assert loop is not None
        assert loop.failed

    def test_the_user_begins_anew(self) -> None:
        later = Message(role="user", parts=(TextPart("Again, please."),))
        assert find_tool_loop(asked(*turns(4), later)) is None
        assert find_tool_loop(asked(*turns(3), later, *turns(1))) is None
        empty = Message(role="user")
        assert find_tool_loop(asked(*turns(3), empty, *turns(1))) is not None

    def test_texts_beside_results_and_instructions_do_not(self) -> None:
        history = list(turns(4))
        reminder = TextPart("<system-reminder>…</system-reminder>")
        history[3] = replace(history[3], parts=(*history[3].parts, reminder))
        history.insert(4, Message(role="system", parts=(TextPart("Be brief."),)))
        assert find_tool_loop(asked(*history)) is not None

    def test_calls_at_once(self) -> None:
        calls = tuple(
            ToolCallPart(call_id=f"c{at}", name="read", arguments=f'{{"path": {at}}}')
            for at in range(9)
        )
        results = tuple(
            ToolResultPart(call_id=f"c{at}", parts=(TextPart("same"),))
            for at in reversed(range(9))
        )
        both = (
            Message(role="assistant", parts=calls),
            Message(role="user", parts=results),
        )
        assert find_tool_loop(asked(*both)) is None
        assert find_tool_loop(asked(*both * 3)) is None
        some = ToolLoopPolicy(cycle=9)
        loop = find_tool_loop(asked(*both * 3), some)
        assert loop is not None
        assert (loop.times, loop.known) == (3, True)

    def test_results_that_are_missing(self) -> None:
        assert find_tool_loop(asked(*turns(4, result=None))) is None
        loop = find_tool_loop(asked(*turns(5, result=None)))
        assert loop is not None
        assert not loop.known

    def test_a_result_without_a_call_is_no_result(self) -> None:
        stray = ToolResultPart(call_id="other", parts=(TextPart("x"),))
        history = [*turns(4), Message(role="user", parts=(stray,))]
        assert find_tool_loop(asked(*history)) is not None

    def test_a_call_has_one_result(self) -> None:
        late = ToolResultPart(call_id="c0", parts=(TextPart("x"),))
        history = [*turns(1, result=None), TASK, Message(role="user", parts=(late,))]
        assert find_tool_loop(asked(*history)) is None
        again = ToolResultPart(call_id="c3", parts=(TextPart("other"),))
        history = [*turns(4), Message(role="user", parts=(again,))]
        assert find_tool_loop(asked(*history)) is not None

    def test_marks_make_no_difference_and_contents_do(self) -> None:
        def loop(*lasts: Part) -> bool:
            history = list(turns(4))
            for at, last in enumerate(lasts):
                given = ToolResultPart(call_id=f"c{at}", parts=(last,))
                history[2 * at + 1] = Message(role="user", parts=(given,))
            return find_tool_loop(asked(*history)) is not None

        assert loop(TextPart("same", cache=CacheMark("5m"), id="x"))
        assert not loop(TextPart("other"))
        image = MediaPart(kind="image", source=Base64("AAAA"))
        marked = replace(image, cache=CacheMark("5m"), name="x")
        assert loop(image, marked, image, marked)
        assert not loop(image, image, image, replace(image, source=Base64("BBBB")))
        other = OpaquePart(dialect="anthropic", kind="x", raw=Raw(b"1"))
        assert loop(other, other, other, replace(other, cache=CacheMark()))
        apart = [replace(other, raw=Raw(b'["%b"]' % b"a")) for _ in range(4)]
        assert loop(*apart)
        assert not loop(*apart[:3], replace(other, raw=Raw(b'["b"]')))
        kinds = [replace(other, kind=kind) for kind in "xxxy"]
        assert not loop(*kinds)

    def test_numbers_are_checked(self) -> None:
        with pytest.raises(LocalProtocolError):
            find_tool_loop(asked(), ToolLoopPolicy(single=0))


class TestSteer:
    """The model is told."""

    LOOP = ToolLoop("confirmed", ("read",), 4, 4, True, False, "steer")

    def test_at_the_end_of_the_last_result(self) -> None:
        request = asked(*turns(4))
        steered = steer(request, self.LOOP)
        assert steered.messages[:-1] == request.messages[:-1]
        (result,) = steered.messages[-1].parts
        assert isinstance(result, ToolResultPart)
        same, text = result.parts
        assert same == TextPart("same")
        assert isinstance(text, TextPart)
        assert steering_text(self.LOOP) in text.text
        assert "came 4 times" in text.text
        assert steer(steered, self.LOOP) == steered

    def test_instructions_behind_it_stay_there(self) -> None:
        system = Message(role="system", parts=(TextPart("Be brief."),))
        request = asked(*turns(4), system)
        steered = steer(request, self.LOOP)
        assert steered.messages[-1] == system
        assert steered.messages[-2] != request.messages[-2]

    def test_of_several_results_the_last(self) -> None:
        history = list(turns(2))
        text = TextPart("x")
        both = (*history[1].parts, text, *history[3].parts, text)
        steered = steer(asked(Message(role="user", parts=both)), self.LOOP)
        first, _, second, last = steered.messages[-1].parts
        assert (first, last) == (both[0], text)
        assert second != both[2]

    @pytest.mark.parametrize("history", [(), turns(5, result=None)])
    def test_without_a_result_it_is_a_turn(self, history: tuple[Message, ...]) -> None:
        request = asked(*history)
        steered = steer(request, self.LOOP)
        assert steered.messages[:-1] == request.messages
        assert steered.messages[-1].role == "user"
        assert steer(steered, self.LOOP) == steered
        nothing = Request()
        assert len(steer(nothing, self.LOOP).messages) == 1

    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_every_dialect_carries_it(self, dialect: str) -> None:
        request = steer(asked(*turns(4)), self.LOOP)
        call = llmwire.encode_request(request, dialect, model="m")
        text = json.dumps(json.loads(call.http.body), ensure_ascii=False)
        assert text.count("You are repeating yourself") == 1
        assert "same" in text
        assert not [loss for loss in call.losses if "tool_result" in loss.feature]
        back = llmwire.decode_request(call.http, dialect)
        last = back.messages[-1].parts[-1]
        assert isinstance(last, ToolResultPart)


class TestFilter:
    """Calls of the answer."""

    SAME = ("read", READ)

    def test_it_goes_on_with_the_history(self) -> None:
        events = whole(self.SAME)
        request = asked(*turns(3))
        assert made("report", request).findings == ()
        assert sent(events, quiet := made("cut", request)) == events
        assert quiet.findings == ()
        loops = made("cut", asked(*turns(4)))
        given = only(folded(events, loops))
        (call,) = given.parts
        assert call.incomplete
        assert given.stop == "max_tokens"
        (finding,) = loops.findings
        assert finding.path == "choices[0].parts[0]"
        assert (finding.loop.times, finding.loop.known) == (5, False)

    def test_other_calls_pass(self) -> None:
        events = whole(("read", '{"path": "b.py"}'), ("grep", "{}"))
        assert sent(events, made("cut", asked(*turns(9)))) == events

    def test_one_answer_of_many_equal_calls(self) -> None:
        loops = ToolLoopFilter("cut")
        chain = FilterChain([loops], checked=True)
        events = whole(*[self.SAME] * 9)
        given = [each for event in events for each in chain.send(event)]
        assert given[: 1 + 4 * 4 + 3] == events[: 1 + 4 * 4 + 3]
        assert given[1 + 4 * 4 + 3 :] == [
            PartEnd(4, "incomplete"),
            MessageEnd("max_tokens"),
            StreamEnd(),
        ]
        assert chain.ended == MessageEnd("max_tokens")
        (loss,) = loops.losses
        told = (loss.path, loss.feature, loss.action)
        assert told == ("choices[0].parts[4]", "filter.tool_loop", "dropped")
        assert "came 5 times" in loss.reason

    def test_parts_that_are_open_end_incomplete(self) -> None:
        events = answer(*[self.SAME] * 5)
        text = PartStart(5, TextPart(""))
        other = PartStart(6, ToolCallPart(call_id="o", name="grep"))
        start = [MessageStart(), *events[:-1], text, other, TextDelta(5, "a")]
        given = sent([*start, events[-1], TextDelta(5, "b")], ToolLoopFilter("cut"))
        assert given[len(start) :] == [
            PartEnd(4, "incomplete"),
            PartEnd(5, "incomplete"),
            PartEnd(6, "incomplete"),
            MessageEnd("max_tokens"),
            StreamEnd(),
        ]

    def test_a_choice_is_cut_once(self) -> None:
        loops = ToolLoopFilter("cut", choices=2)
        events = answer(*[self.SAME] * 5)
        part = ToolCallPart(call_id="o", name="read", arguments=READ)
        chain = FilterChain([loops], checked=True)
        for event in [MessageStart(), *events[:-1], PartStart(5, part), events[-1]]:
            chain.send(event)
        late: list[Event] = [ArgumentsDelta(5, " "), PartEnd(5), MessageEnd("tool_use")]
        assert [each for event in late for each in chain.send(event)] == []
        assert len(loops.losses) == len(loops.findings) == 1

    def test_an_error_ends_the_answer(self) -> None:
        given = sent(whole(*[self.SAME] * 9), ToolLoopFilter("error"))
        last = given[-1]
        assert isinstance(last, StreamError)
        assert (last.error.kind, last.error.status) == ("bad_upstream", 502)
        assert "came 5 times" in last.error.message

    def test_a_report_changes_nothing(self) -> None:
        loops = ToolLoopFilter("report")
        events = whole(*[self.SAME] * 99)
        assert sent(events, loops) == events
        assert len(loops.findings) == 64
        assert loops.findings[0].path == "choices[0].parts[4]"
        assert loops.losses == ()

    def test_suspects_can_be_enough(self) -> None:
        calls = [("read", f'{{"request_id": {at}}}') for at in range(9)]
        events = whole(*calls)
        assert sent(events, ToolLoopFilter("cut")) == events
        loops = ToolLoopFilter("cut", at="suspect")
        assert len(only(folded(events, loops)).parts) == 5

    def test_calls_that_broke_off_do_not_count(self) -> None:
        events = whole(*[self.SAME] * 9)
        events = [
            replace(event, status="incomplete") if isinstance(event, PartEnd) else event
            for event in events
        ]
        loops = ToolLoopFilter("cut")
        assert sent(events, loops) == events
        assert loops.findings == ()

    def test_arguments_that_a_part_starts_with(self) -> None:
        part = ToolCallPart(call_id="c", name="read", arguments=READ)
        head: list[Event] = [MessageStart(), PartStart(0, part), PartEnd(0)]
        loops = made("cut", asked(*turns(4)))
        sent(head, loops)
        assert len(loops.findings) == 1

    def test_choices_are_apart(self) -> None:
        loops = made("cut", replace(asked(*turns(2)), n=2))
        other = ("grep", "{}")
        events: list[Event] = [
            MessageStart(),
            *answer(self.SAME, self.SAME),
            *answer(self.SAME, self.SAME, choice=1, first=2),
            *answer(other, first=4),
            *answer(self.SAME, choice=1, first=5),
            Extra({"x": Raw(b"1")}, index=5),
            Extra({"x": Raw(b"1")}, choice=1),
            *answer(other, choice=1, first=6),
            *answer(other, first=7),
            MessageEnd("tool_use", choice=1),
            MessageEnd("tool_use"),
            StreamEnd(),
        ]
        given = folded(events, loops)
        stops = [choice.stop for choice in given.choices]
        assert stops == ["tool_use", "max_tokens"]
        assert [len(choice.parts) for choice in given.choices] == [4, 3]
        assert [part.incomplete for part in given.choices[1].parts] == [0, 0, 1]
        assert given.choices[1].parts[-1].extras == {"x": Raw(b"1")}
        assert len(loops.losses) == 1

    def test_no_tools_no_filter(self) -> None:
        make = tool_loop_filter()
        assert make(Request(messages=(TASK,))) is None
        assert make(Request(messages=(TASK, *turns(1)))) is not None
        assert make(asked()) is not None

    @pytest.mark.parametrize(
        "options",
        [
            {"action": "stop"},
            {"at": "maybe"},
            {"policy": ToolLoopPolicy(several=1)},
        ],
    )
    def test_mistakes_are_told_at_once(self, options: dict[str, Any]) -> None:
        with pytest.raises(LocalProtocolError):
            tool_loop_filter(**options)

    def test_words_of_the_filter_itself(self) -> None:
        with pytest.raises(LocalProtocolError):
            ToolLoopFilter("stop")  # type: ignore[arg-type]  # the mistake


@given(sentences(None, choices=3), st.sampled_from(ACTIONS), st.integers(0, 4))
def test_the_answer_is_grammatical(
    events: list[Event], action: ToolLoopAction, before: int
) -> None:
    """Whatever is cut: here two equal calls are a loop, and most of what is said is."""
    policy = ToolLoopPolicy(single=2, single_errors=2, several=2, unknown=0)
    calls = [
        event.part
        for event in events
        if isinstance(event, PartStart) and isinstance(event.part, ToolCallPart)
    ]
    history = ToolLoopDetector(policy)
    folded_calls = {
        part.name: part.arguments
        for choice in _folded_choices(events)
        for part in choice.parts
        if isinstance(part, ToolCallPart)
    }
    for call in calls[:before]:
        history.note(call.name, folded_calls.get(call.name, ""))
    for choices in (1, 3):
        loops = ToolLoopFilter(action, history=history, choices=choices)
        given = sent(events, loops)
        assert action != "report" or given == events
        assert loops.findings or given == events
        again = ToolLoopFilter(action, history=history, choices=choices)
        assert sent(one_by_one(events), again)[-1] == given[-1]
        assert again.findings == loops.findings


def _folded_choices(events: list[Event]) -> tuple[Choice, ...]:
    if isinstance(events[-1], StreamEnd):
        return llmwire.fold(events).choices
    return ()


@given(sentences("openai-chat"), st.sampled_from(ACTIONS))
def test_clean_answers_pass_event_for_event(
    events: list[Event], action: ToolLoopAction
) -> None:
    high = ToolLoopPolicy(single=20, several=20, single_errors=20)
    assert (
        sent(events, ToolLoopFilter(action, history=ToolLoopDetector(high))) == events
    )


@given(responses("anthropic"))
def test_whole_answers(response: Response) -> None:
    high = ToolLoopPolicy(single=20, several=20, single_errors=20)
    assert run([made("cut", asked(), high)], response) == response


def test_what_was_cut_is_not_cut_again() -> None:
    events = whole(*[TestFilter.SAME] * 9)
    once = sent(events, ToolLoopFilter("cut"))
    assert sent(once, ToolLoopFilter("cut")) == once


def test_the_history_is_not_touched() -> None:
    history = history_of(asked(*turns(4)))
    sent(whole(TestFilter.SAME), ToolLoopFilter("report", history=history))
    loop = history.loop()
    assert loop is not None
    assert loop.times == 4


def test_findings_name_the_call() -> None:
    loops = made("report", asked(*turns(4)))
    sent(whole(("grep", "{}"), *[TestFilter.SAME] * 5), loops)
    assert [type(each) for each in loops.findings] == [ToolLoopFinding]
    assert loops.findings[0].path == "choices[0].parts[5]"


@pytest.mark.parametrize("kinds", [1, 2, 8, 9, 10_000])
def test_it_is_linear(kinds: int) -> None:
    """In calls, once as many have come as are kept."""

    def prepare(size: int) -> Callable[[], object]:
        calls = [("f", f'{{"at": {at % kinds}}}') for at in range(1024 + size)]
        events = whole(*calls)
        head = 1 + 4 * 1024

        def work() -> None:
            history = ToolLoopDetector()
            for name, arguments in calls[:1024]:
                history.note(name, arguments)
            loops = ToolLoopFilter("report", history=history)
            for event in [events[0], *events[head:]]:
                loops(event)

        return work

    assert steepness(prepare, 8) <= 2.3
