"""Tests of `llmwire.filters._leaked_call_filter`: leaked calls in events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

import llmwire
from llmwire._ids import is_minted_call
from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Extra,
    LogprobsDelta,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    Ping,
    ReasoningDelta,
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.filters import run
from llmwire.filters._leaked_call_filter import LeakedCall, LeakedCallFilter
from llmwire.losses import FEATURES
from llmwire.messages import (
    APIError,
    Choice,
    Citation,
    Part,
    ReasoningPart,
    RefusalPart,
    Response,
    Signature,
    StopReason,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)
from llmwire.strategies import sentences
from tests.filters.laws import cuts, folded, one_by_one, only, said, sent, spoken
from tests.filters.leaking import TOOLS, WRITERS, Call

SEARCH: Call = ("search", {"query": "a b", "limit": 3})
PING: Call = ("ping", {})
HERMES = WRITERS["hermes"][1]
CALL = HERMES([PING])
KIMI = WRITERS["kimi-k2"][1]


def leaks(**options: Any) -> LeakedCallFilter:
    """A filter for the tools of the tests."""
    return LeakedCallFilter(TOOLS, **options)


def made(choice: Choice) -> list[Call]:
    """The calls of a choice."""
    return [
        (part.name, json.loads(part.arguments or "{}"))
        for part in choice.parts
        if isinstance(part, ToolCallPart)
    ]


def texts(choice: Choice) -> list[str]:
    """What the choice says beside them."""
    return [part.text for part in choice.parts if isinstance(part, TextPart)]


def kinds(choice: Choice) -> list[type[Part]]:
    """The parts of a choice, by type."""
    return [type(part) for part in choice.parts]


def doubled(*pieces: str) -> list[Event]:
    """An answer of one thought and one text, each growing by `pieces`."""
    return [
        MessageStart(),
        PartStart(0, ReasoningPart()),
        *(ReasoningDelta(0, piece) for piece in pieces),
        PartEnd(0),
        PartStart(1, TextPart("")),
        *(TextDelta(1, piece) for piece in pieces),
        PartEnd(1),
        MessageEnd("end"),
        StreamEnd(),
    ]


def test_a_call_in_text_is_a_call() -> None:
    calls = leaks()
    choice = only(folded(spoken(f"I look.\n{HERMES([SEARCH, PING])}\nDone."), calls))
    assert texts(choice) == ["I look.\n", "\nDone."]
    assert made(choice) == [SEARCH, PING]
    assert kinds(choice) == [TextPart, ToolCallPart, ToolCallPart, TextPart]
    assert choice.stop == "tool_use"
    assert [(each.path, each.start, each.names) for each in calls.findings] == [
        ("choices[0].parts[1]", 8, ("search",)),
        ("choices[0].parts[2]", 95, ("ping",)),
    ]
    assert {each.outcome for each in calls.findings} == {"call"}
    assert [(loss.path, loss.action) for loss in calls.losses] == [
        ("choices[0].parts[1]", "approximated"),
        ("choices[0].parts[2]", "approximated"),
    ]
    assert {loss.feature for loss in calls.losses} == {"filter.leaked_calls"}
    assert "filter.leaked_calls" in FEATURES


def test_an_answer_of_nothing_but_a_call() -> None:
    choice = only(folded(spoken("\n", CALL, "\n \n"), leaks()))
    assert kinds(choice) == [ToolCallPart]
    assert choice.stop == "tool_use"
    (part,) = choice.parts
    assert isinstance(part, ToolCallPart)
    assert is_minted_call(part.call_id)
    assert not part.incomplete


@pytest.mark.parametrize("stop", ["max_tokens", "refusal", "stop_sequence", "tool_use"])
def test_other_stops_stay(stop: StopReason) -> None:
    choice = only(folded(spoken(CALL, stop=stop), leaks()))
    assert choice.stop == stop
    assert made(choice) == [PING]


def test_the_raw_stop_word_goes_with_the_stop() -> None:
    events = spoken(CALL)
    events[-2] = MessageEnd("end", "stop")
    assert sent(events, leaks())[-2] == MessageEnd("tool_use")
    clean = spoken("Hi")
    clean[-2] = events[-2]
    assert sent(clean, leaks()) == clean


@settings(max_examples=60)
@given(st.data(), st.sampled_from(sorted(WRITERS)))
def test_any_split_folds_alike(data: st.DataObject, form: str) -> None:
    text = f"So.\n{WRITERS[form][1]([SEARCH, PING])}\nBye `<tool_call>`."
    names = [WRITERS[form][0]]
    whole = folded(spoken(text), leaks(formats=names))
    cut = leaks(formats=names)
    assert folded(spoken(*data.draw(cuts(text))), cut) == whole
    assert folded(spoken(*text), leaks(formats=names)) == whole
    assert cut.held == 0


@given(sentences("openai-chat"))
def test_clean_answers_fold_alike(events: list[Event]) -> None:
    given = sent(events, leaks())
    assert type(given[-1]) is type(events[-1])
    if isinstance(events[-1], StreamEnd):
        assert llmwire.fold(given) == llmwire.fold(events)


def test_clean_answers_pass_event_for_event() -> None:
    events = spoken(
        "  ", "Hello, ", "<b>", "you", "\n", "  x", " and [1] `<tool_call>`"
    )
    assert sent(events, leaks()) == events
    whole = said(MessageStart(), PartStart(0, TextPart("Hi")), PartEnd(0))
    events = [*whole, MessageEnd("end"), StreamEnd()]
    assert sent(events, leaks()) == events


@given(sentences(None, choices=3))
def test_the_answer_is_grammatical(events: list[Event]) -> None:
    loud = [
        replace(event, text=f"\n{CALL}" * 2)
        if isinstance(event, TextDelta | ReasoningDelta)
        else event
        for event in events
    ]
    calls = leaks(formats=["hermes", "llama3"])
    given = sent(loud, calls)
    assert isinstance(given[-1], StreamEnd | StreamError)
    assert calls.held == 0


@given(
    st.lists(st.sampled_from((CALL, "Hi. ", "\n", "<tool_call>", "```\n")), max_size=6)
)
def test_what_was_found_is_not_found_again(pieces: list[str]) -> None:
    once = sent(spoken(*pieces), leaks())
    again = leaks()
    assert llmwire.fold(sent(once, again)) == llmwire.fold(once)
    assert not [each for each in again.findings if each.outcome == "call"]


def test_whole_answers() -> None:
    text = Choice(parts=(TextPart(f"A\n{CALL}"),), stop="end")
    given = only(run([leaks()], Response(choices=(text,))))
    assert made(given) == [PING]
    assert texts(given) == ["A\n"]


class TestThoughts:
    """Calls in thoughts are made for the formats that mean them there."""

    def test_kimi_calls_where_it_thinks(self) -> None:
        text = KIMI([SEARCH, PING])
        calls = leaks()
        choice = only(folded(doubled(f"Let me see. {text}", " Then"), calls))
        assert kinds(choice)[:4] == [
            ReasoningPart,
            ToolCallPart,
            ToolCallPart,
            ReasoningPart,
        ]
        assert [each.what for each in calls.findings] == ["reasoning", "text"]
        assert [
            part.text for part in choice.parts if isinstance(part, ReasoningPart)
        ] == [
            "Let me see. ",
            " Then",
        ]

    def test_other_formats_must_begin_a_line_there(self) -> None:
        for before, count in (("I do ", 1), ("I do\n", 2)):
            assert len(made(only(folded(doubled(before + CALL), leaks())))) == count

    def test_most_are_drafts_there(self) -> None:
        text = WRITERS["mistral"][1]([PING])
        assert len(made(only(folded(doubled(text), leaks())))) == 1

    def test_it_can_be_left_out(self) -> None:
        choice = only(folded(doubled(CALL), leaks(reasoning=False)))
        assert kinds(choice) == [ReasoningPart, ToolCallPart]

    def test_summaries_are_not_looked_at(self) -> None:
        events = said(
            MessageStart(),
            PartStart(0, ReasoningPart()),
            ReasoningDelta(0, CALL, 0),
            ReasoningDelta(0, CALL),
            PartEnd(0),
            MessageEnd("end"),
            StreamEnd(),
        )
        choice = only(folded(events, leaks()))
        assert choice.parts[0] == ReasoningPart(summary=(CALL,))
        assert made(choice) == [PING]

    def test_a_thought_that_came_whole(self) -> None:
        for text in (f"So.\n{CALL}", "So."):
            thought = ReasoningPart(
                text=text, signature=Signature(origin="x", value="s")
            )
            start = said(MessageStart(), PartStart(0, thought), PartEnd(0))
            events = [*start, MessageEnd("end"), StreamEnd()]
            choice = only(folded(events, leaks()))
            first = choice.parts[0]
            assert isinstance(first, ReasoningPart)
            assert first.text is not None and first.text.strip() == "So."
            assert first.signature == thought.signature


class TestProperCalls:
    """What the answer calls properly is made once."""

    @staticmethod
    def proper(at: int, arguments: str = "{}", name: str = "ping") -> list[Event]:
        return [
            PartStart(at, ToolCallPart(call_id="n", name=name)),
            *(ArgumentsDelta(at, letter) for letter in arguments),
            PartEnd(at),
        ]

    def test_first_proper_then_text(self) -> None:
        events = [
            MessageStart(),
            *self.proper(0, '{ "limit":3, "query":"a b"}', "search"),
            *[replace(event, index=1) for event in spoken(HERMES([SEARCH]))[1:4]],
            MessageEnd("end"),
            StreamEnd(),
        ]
        calls = leaks()
        choice = only(folded(events, calls))
        assert made(choice) == [SEARCH]
        assert texts(choice) == [HERMES([SEARCH])]
        assert choice.stop == "end"
        (found,) = calls.findings
        assert (found.outcome, found.names) == ("duplicate", ("search",))
        assert calls.losses == ()

    def test_first_text_then_proper(self) -> None:
        events = [
            *spoken(f"A\n{CALL}")[:4],
            *self.proper(1),
            *self.proper(2, '{"x": 1}'),
            Extra({"k": Raw(b"1")}, 1),
            MessageEnd("tool_use"),
            StreamEnd(),
        ]
        calls = leaks()
        choice = only(folded(events, calls))
        assert made(choice) == [PING, ("ping", {"x": 1})]
        assert calls.losses[-1].action == "dropped"
        assert "`ping`" in calls.losses[-1].reason

    def test_what_names_a_call_that_is_held_waits_with_it(self) -> None:
        extra = Extra({"k": Raw(b"1")}, 1)
        start, end = self.proper(1, "")
        events = [
            *spoken(CALL)[:4],
            start,
            extra,
            ArgumentsDelta(1, '{"x": 1}'),
            end,
            MessageEnd("end"),
            StreamEnd(),
        ]
        given = sent(events, leaks())
        assert given.index(extra) > given.index(start)
        assert made(only(llmwire.fold(given))) == [PING, ("ping", {"x": 1})]

    def test_ids_are_told_apart(self) -> None:
        text = KIMI([PING])
        events = [
            MessageStart(),
            PartStart(0, ToolCallPart(call_id="functions.ping:0", name="search")),
            PartEnd(0),
            *[replace(event, index=1) for event in spoken(text, HERMES([PING]))[1:5]],
            MessageEnd("end"),
            StreamEnd(),
        ]
        choice = only(folded(events, leaks()))
        ids = [each.call_id for each in choice.parts if isinstance(each, ToolCallPart)]
        assert len(ids) == len(set(ids)) == 3
        assert ids[0] == "functions.ping:0"

    def test_ids_of_a_format_are_kept(self) -> None:
        choice = only(folded(spoken(KIMI([PING, PING])), leaks()))
        ids = [each.call_id for each in choice.parts if isinstance(each, ToolCallPart)]
        assert ids == ["functions.ping:0", "functions.ping:1"]

    def test_ids_are_the_same_each_time_and_differ_by_answer(self) -> None:
        def id_of(seed: str, message: str | None) -> str:
            events = [MessageStart(message), *spoken(CALL)[1:]]
            (part,) = only(folded(events, leaks(seed=seed))).parts
            assert isinstance(part, ToolCallPart)
            return part.call_id

        assert id_of("", None) == id_of("", None)
        assert len({id_of("", None), id_of("1", None), id_of("", "r")}) == 3


class TestBrokenOff:
    """What has no end stays text."""

    HALF = '<tool_call>\n{"name": "ping", "arguments": {'

    def test_at_the_end_of_a_part(self) -> None:
        calls = leaks()
        choice = only(folded(spoken("Hm. ", *self.HALF), calls))
        assert texts(choice) == ["Hm. " + self.HALF]
        assert choice.stop == "end"
        path = "choices[0].parts[0]"
        assert calls.findings == (
            LeakedCall(path, "text", "hermes", 4, (), "incomplete"),
        )
        assert calls.losses == ()

    def test_without_any_text_before(self) -> None:
        calls = leaks()
        folded(spoken(self.HALF), calls)
        assert calls.findings[0].path == "choices[0].parts[0]"

    def test_at_an_error(self) -> None:
        error = StreamError(APIError(kind="truncated", message="cut"))
        calls = leaks()
        given = sent([*spoken(self.HALF)[:3], error], calls)
        assert given[-2:] == [TextDelta(0, self.HALF[11:]), error] or (
            "".join(e.text for e in given if isinstance(e, TextDelta)) == self.HALF
        )
        assert given[-1] == error
        assert calls.findings[0].outcome == "incomplete"

    def test_when_it_is_too_long(self) -> None:
        calls = leaks(limit=40)
        text = self.HALF + "x" * 50 + "\nmore"
        assert texts(only(folded(spoken(*text), calls))) == [text]
        assert calls.findings[0].outcome == "too_long"

    def test_what_may_end_with_the_text_may_not_be_cut_off(self) -> None:
        text = KIMI([PING]).removesuffix("<|tool_calls_section_end|>")
        for status, count in (("complete", 1), ("incomplete", 1)):
            events = spoken(text)
            events[3] = PartEnd(0, status)  # type: ignore[arg-type]  # one of the words
            assert len(made(only(folded(events, leaks())))) == count
        half = text[: text.index("<|tool_call_end")]
        events = spoken(half)
        assert made(only(folded(events, leaks()))) == [PING]
        events[3] = PartEnd(0, "incomplete")
        assert made(only(folded(events, leaks()))) == []


class TestWhatNamesThePart:
    """Log probabilities, citations, signatures and extras."""

    TOKENS = (TokenLogprob("x", -0.5),)

    def answer(self, *events: Event) -> list[Event]:
        return said(
            MessageStart(),
            PartStart(0, TextPart("", id="t")),
            *events,
            PartEnd(0),
            MessageEnd("end"),
            StreamEnd(),
        )

    def test_tokens_of_a_text_wait_with_it(self) -> None:
        tokens = LogprobsDelta(0, self.TOKENS)
        events = self.answer(TextDelta(0, "a <"), tokens, TextDelta(0, "b"), tokens)
        choice = only(folded(events, leaks()))
        assert choice.parts == (TextPart("a <b", id="t", logprobs=self.TOKENS * 2),)

    def test_tokens_of_a_call_are_dropped(self) -> None:
        tokens = LogprobsDelta(0, self.TOKENS)
        half = len(CALL) // 2
        calls = leaks()
        events = self.answer(
            TextDelta(0, CALL[:half]), tokens, TextDelta(0, CALL[half:])
        )
        choice = only(folded(events, calls))
        assert made(choice) == [PING]
        assert {loss.feature for loss in calls.losses} == {
            "logprobs",
            "filter.leaked_calls",
        }

    def test_a_signature_goes_to_the_last_part(self) -> None:
        signature = Signature(origin="gemini", value="s")
        late = SignatureDelta(0, signature)
        events = self.answer(TextDelta(0, "a"), TextDelta(0, f"\n{CALL}"), late)
        events.insert(-2, SignatureDelta(0, replace(signature, value="t")))
        choice = only(folded(events, leaks()))
        assert choice.parts[0] == TextPart("a\n", id="t")
        assert choice.parts[1].signature == replace(signature, value="t")

    def test_what_is_no_part_of_the_text_waits_for_the_call(self) -> None:
        signature = Signature(origin="gemini", value="s")
        events = self.answer(
            TextDelta(0, CALL[:-1]), SignatureDelta(0, signature), TextDelta(0, ">")
        )
        choice = only(folded(events, leaks()))
        assert [part.signature for part in choice.parts] == [signature]

    def test_what_names_no_part_passes(self) -> None:
        extra = Extra({"k": Raw(b"1")})
        events = self.answer(TextDelta(0, "a <"), extra, TextDelta(0, "b"))
        assert sent(events, leaks())[3] == extra

    def test_another_part_does_not_overtake(self) -> None:
        first, last = (
            SignatureDelta(0, Signature(origin="x", value=each)) for each in "ab"
        )
        other = said(PartStart(1, RefusalPart("")), PartEnd(1))
        events = self.answer(first, *other, last)
        assert only(folded(events, leaks())).parts[0].signature == last.signature

    def test_another_part_begins_while_a_text_is_held(self) -> None:
        other = said(PartStart(1, RefusalPart("")), PartEnd(1))
        signature = SignatureDelta(0, Signature(origin="x", value="s"))
        events = self.answer(TextDelta(0, "<"), signature, *other, TextDelta(0, "b"))
        (text, refusal) = only(folded(events, leaks())).parts
        assert text == TextPart("<b", id="t", signature=signature.signature)
        assert isinstance(refusal, RefusalPart)

    def test_an_error_before_any_text(self) -> None:
        error = StreamError(APIError(kind="truncated", message="cut"))
        start = self.answer()[:2]
        signature = SignatureDelta(0, Signature(origin="x", value="s"))
        events = [*start, signature, error]
        assert sent(events, leaks()) == events

    def test_citations_count_from_the_text_they_are_at(self) -> None:
        cited = CitationDelta(0, Citation(kind="url", start=len(CALL) + 3, end=99))
        open_ = CitationDelta(0, Citation(kind="url"))
        events = self.answer(
            TextDelta(0, "a\n"), TextDelta(0, CALL + "bcd"), cited, open_
        )
        choice = only(folded(events, leaks()))
        text = choice.parts[-1]
        assert isinstance(text, TextPart)
        assert [(each.start, each.end) for each in text.citations] == [
            (1, 97 - len(CALL)),
            (None, None),
        ]

    def test_citations_of_the_first_text_stay(self) -> None:
        cited = CitationDelta(0, Citation(kind="url", start=1, end=2))
        events = self.answer(TextDelta(0, "abc"), cited)
        assert sent(events, leaks()) == events

    def test_citations_of_a_call_are_dropped(self) -> None:
        cited = CitationDelta(0, Citation(kind="url"))
        calls = leaks()
        events = self.answer(TextDelta(0, CALL[:-1]), cited, TextDelta(0, ">"), cited)
        events.insert(-2, cited)
        assert made(only(folded(events, calls))) == [PING]
        assert "citations" in {loss.feature for loss in calls.losses}

    def test_too_much_that_waits_is_let_go(self) -> None:
        extra = Extra({"k": Raw(b"1")}, 0)
        many = [extra] * 1100
        for before in ("", "a "):
            events = self.answer(TextDelta(0, before + "<"), *many)
            given = sent(events, leaks())
            assert given.count(extra) == 1100
            assert texts(only(llmwire.fold(given))) == [before + "<"]

    def test_an_empty_part_stays(self) -> None:
        signature = SignatureDelta(0, Signature(origin="x", value="s"))
        events = self.answer(signature)
        assert sent(events, leaks()) == events

    def test_a_long_blank_is_text(self) -> None:
        blank = "\n" * 300
        choice = only(folded(spoken(CALL, *blank, CALL), leaks()))
        assert texts(choice) == [blank]
        assert made(choice) == [PING, PING]


def test_parts_go_on_in_order() -> None:
    events = said(
        MessageStart(),
        PartStart(0, TextPart("")),
        Ping(),
        PartStart(1, RefusalPart(""), 1),
        PartStart(2, TextPart(""), 1),
        TextDelta(0, f"x\n{CALL}"),
        TextDelta(2, "y"),
        TextDelta(0, "z"),
        *(PartEnd(at) for at in range(3)),
        MessageEnd("end", choice=1),
        MessageEnd("end"),
        StreamEnd(),
    )
    response = folded(events, leaks())
    assert texts(response.choices[0]) == ["x\n", "z"]
    assert texts(response.choices[1]) == ["y"]
    assert [choice.stop for choice in response.choices] == ["tool_use", "end"]
    assert folded(one_by_one(events), leaks()) == response


def test_findings_are_bounded() -> None:
    calls = leaks()
    folded(spoken(CALL * 70), calls)
    assert len(calls.findings) == 64


def test_what_is_held_is_told() -> None:
    calls = leaks()
    for event in spoken("ab <tool_call>{", '"name"')[:4]:
        calls(event)
    assert calls.held == len('<tool_call>{"name"') - len("<tool_call>")
