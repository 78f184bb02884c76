"""Tests of `llmwire.filters.stops`."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire._fold import unfold
from llmwire.errors import LocalProtocolError
from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Extra,
    LogprobsDelta,
    MessageEnd,
    MessageStart,
    OpaqueEvent,
    PartEnd,
    PartStart,
    Ping,
    ReasoningDelta,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.filters import FilterChain, run
from llmwire.filters.stops import StopFilter
from llmwire.messages import (
    APIError,
    Choice,
    Citation,
    ReasoningPart,
    Response,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    Usage,
)
from llmwire.strategies import responses, sentences
from tests.filters.laws import (
    cuts,
    folded,
    one_by_one,
    only,
    part,
    said,
    sent,
    spoken,
    texts_of,
)

STOPS = ("END", "ENDING", "\n\nH:", "DI", "aab")
PIECES = ("E", "EN", "END", "ING", "D", "DI", "\n", "\n\n", "H:", "a", "ab", "x")
FAILED = StreamError(APIError(kind="internal", message="it failed"))


def cut_of(text: str, stops: tuple[str, ...] = STOPS) -> tuple[str, str | None]:
    """What is left of `text`, and the stop sequence that it met."""
    longest_first = sorted(filter(None, stops), key=len, reverse=True)
    match = re.search("|".join(map(re.escape, longest_first)) or "(?!)", text)
    return (text[: match.start()], match[0]) if match else (text, None)


@given(st.data(), texts_of(PIECES), st.sampled_from([STOPS, ("", "aab"), ("a",), ()]))
def test_text_is_cut_at_the_first_stop_in_any_split(
    data: st.DataObject, text: str, stops: tuple[str, ...]
) -> None:
    pieces = data.draw(cuts(text))
    choice = only(folded(spoken(*pieces), StopFilter(stops)))
    left, stop = cut_of(text, stops)
    assert choice.parts == (TextPart(left),)
    assert choice.stop_sequence == stop
    assert choice.stop == ("stop_sequence" if stop else "end")


@given(st.data(), texts_of(PIECES))
def test_no_more_is_held_than_can_become_a_stop(data: st.DataObject, text: str) -> None:
    stops = StopFilter(STOPS)
    chain = FilterChain([stops], checked=True)
    came = given = ""
    for event in spoken(*data.draw(cuts(text))):
        came += event.text if isinstance(event, TextDelta) else ""
        for each in chain.send(event):
            given += each.text if isinstance(each, TextDelta) else ""
        held = came[len(given) :]
        if not chain.done and not any(stop in came for stop in STOPS):
            assert any(stop.startswith(held) for stop in STOPS)
            assert stops.held in (len(held), 0)
        assert stops.held < max(map(len, STOPS))
    assert stops.held == 0


@given(sentences("openai-chat"))
def test_clean_answers_pass_event_for_event(events: list[Event]) -> None:
    given = sent(events, StopFilter(("\x01\x02 never said",)))
    assert given == events


@given(st.data(), responses("anthropic"))
def test_any_split_folds_alike(data: st.DataObject, response: Response) -> None:
    words = {w for c in response.choices for p in c.parts for w in _words(p)}
    stops = tuple(data.draw(st.lists(st.sampled_from(sorted(words) or ["x"]))))
    count = len(response.choices)
    events = unfold(response)
    whole = folded(events, StopFilter(stops, choices=count))
    assert folded(one_by_one(events), StopFilter(stops, choices=count)) == whole
    assert run([StopFilter(stops, choices=count)], response).usage == response.usage


def _words(part: object) -> list[str]:
    if not isinstance(part, TextPart):
        return []
    return [part.text[at : at + 3] for at in range(0, len(part.text), 2)]


@given(sentences(None, choices=3), st.lists(st.sampled_from(["a", "e", "<", "\n"])))
def test_the_answer_is_grammatical_whatever_is_cut(
    events: list[Event], stops: list[str]
) -> None:
    for choices in (1, 3):
        chain = FilterChain([StopFilter(stops, choices=choices)], checked=True)
        given = [each for event in events for each in chain.send(event)]
        assert chain.done
        assert isinstance(given[-1], (StreamEnd, StreamError))


def test_the_answer_ends_at_once() -> None:
    stops = StopFilter(["END"])
    chain = FilterChain([stops], checked=True)
    events = spoken("one E", "N", "D two", " three")
    given = [chain.send(event) for event in events]
    assert given[2:] == [
        [TextDelta(0, "one ")],
        [],
        [PartEnd(0), MessageEnd("stop_sequence", None, "END"), StreamEnd()],
        [],
        [],
        [],
        [],
    ]
    assert chain.ended == stops.ended == MessageEnd("stop_sequence", None, "END")
    assert chain.losses == ()


def test_a_stop_does_not_reach_from_part_to_part() -> None:
    events: list[Event] = [
        MessageStart(),
        PartStart(0, TextPart("")),
        TextDelta(0, "E"),
        PartEnd(0),
        PartStart(1, TextPart("")),
        TextDelta(1, "ND"),
        PartEnd(1),
        MessageEnd("end"),
        StreamEnd(),
    ]
    assert sent(events, StopFilter(["END"])) == events


def test_only_visible_text_is_looked_at() -> None:
    call = ToolCallPart(call_id="a", name="f")
    events: list[Event] = [
        MessageStart(),
        Ping(),
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "END"),
        PartEnd(0),
        PartStart(1, call),
        ArgumentsDelta(1, '"END"'),
        PartEnd(1),
        MessageEnd("tool_use"),
        UsageUpdate(Usage(output=1)),
        StreamEnd(),
    ]
    assert sent(events, StopFilter(["END"])) == events


def test_calls_that_are_open_at_the_stop_are_closed_by_their_arguments() -> None:
    events: list[Event] = [
        MessageStart(),
        PartStart(0, ToolCallPart(call_id="a", name="f")),
        PartStart(1, ToolCallPart(call_id="b", name="f")),
        ArgumentsDelta(0, "{}"),
        ArgumentsDelta(1, "{"),
        PartStart(2, TextPart("")),
        TextDelta(2, "aEND"),
    ]
    assert sent(events, StopFilter(["END"]))[6:] == [
        TextDelta(2, "a"),
        PartEnd(2),
        PartEnd(0),
        PartEnd(1, "incomplete"),
        MessageEnd("stop_sequence", None, "END"),
        StreamEnd(),
    ]


def test_text_that_a_part_starts_with_is_looked_at() -> None:
    start = said(MessageStart(), PartStart(0, TextPart("aEN")))
    end = said(PartEnd(0), MessageEnd("end"), StreamEnd())
    assert part(folded([*start, TextDelta(0, "D"), *end], StopFilter(["END"]))) == (
        TextPart("a")
    )
    assert part(folded([*start, *end], StopFilter(["END"]))) == TextPart("aEN")


class TestTheEnd:
    """A sequence that could still have become a longer one."""

    START = (MessageStart(), PartStart(0, TextPart("")), TextDelta(0, "aEND"))

    def test_of_the_part(self) -> None:
        stops = StopFilter(["END", "ENDING"])
        given = sent([*self.START, PartEnd(0, "incomplete")], stops)
        assert given[2:] == [
            TextDelta(0, "a"),
            PartEnd(0),
            MessageEnd("stop_sequence", None, "END"),
            StreamEnd(),
        ]

    def test_of_a_stream_that_fails(self) -> None:
        stops = StopFilter(["END", "ENDING"])
        given = sent([*self.START, FAILED], stops)
        assert given[-2:] == [MessageEnd("stop_sequence", None, "END"), StreamEnd()]

    def test_of_a_stream_that_fails_and_has_other_choices(self) -> None:
        stops = StopFilter(["END", "ENDING"], choices=2)
        given = sent([*self.START, FAILED], stops)
        assert given[-2:] == [MessageEnd("stop_sequence", None, "END"), FAILED]

    def test_of_a_stream_that_fails_within_several_texts(self) -> None:
        more = said(*self.START, PartStart(1, TextPart("")), TextDelta(1, "bEND"))
        given = sent([*more, FAILED], StopFilter(["END", "ENDING"]))
        assert given[-4:] == [
            PartEnd(0),
            PartEnd(1, "incomplete"),
            MessageEnd("stop_sequence", None, "END"),
            StreamEnd(),
        ]

    def test_what_is_held_is_said_before_a_failure(self) -> None:
        start = said(*self.START[:2], TextDelta(0, "aEN"))
        given = sent([*start, FAILED], StopFilter(["END"]))
        assert given[2:] == [TextDelta(0, "a"), TextDelta(0, "EN"), FAILED]


class TestChoices:
    """Several answers to one request."""

    START = (
        MessageStart(),
        PartStart(0, TextPart("")),
        PartStart(1, TextPart(""), 1),
        TextDelta(0, "aEND"),
    )
    CUT = MessageEnd("stop_sequence", None, "END")

    def test_only_the_one_that_met_it_ends(self) -> None:
        after: list[Event] = [
            TextDelta(0, "more"),
            LogprobsDelta(0, ()),
            CitationDelta(0, Citation(kind="url")),
            OpaqueEvent("x", "y", Raw(b"{}"), 0),
            Extra({"a": Raw(b"1")}, index=0),
            Extra({"b": Raw(b"1")}, choice=0),
            PartStart(2, TextPart("")),
            TextDelta(2, "still more"),
            Extra({"a": Raw(b"1")}, index=2),
            PartEnd(2),
            PartStart(3, ToolCallPart(call_id="a", name="f"), 1),
            ArgumentsDelta(3, "{}"),
            TextDelta(1, "b"),
            PartEnd(0),
            MessageEnd("end"),
            PartEnd(3),
            PartEnd(1),
        ]
        end = MessageEnd("tool_use", choice=1)
        given = sent([*self.START, *after, end, Ping()], StopFilter(["END"]))
        assert given[3:] == [
            TextDelta(0, "a"),
            PartEnd(0),
            self.CUT,
            Extra({"a": Raw(b"1")}, index=0),
            Extra({"b": Raw(b"1")}, choice=0),
            PartStart(2, ToolCallPart(call_id="a", name="f"), 1),
            ArgumentsDelta(2, "{}"),
            TextDelta(1, "b"),
            PartEnd(2),
            PartEnd(1),
            end,
            StreamEnd(),
        ]

    def test_the_answer_ends_with_the_last(self) -> None:
        more = said(PartEnd(1), MessageEnd("end", choice=1), TextDelta(0, "a"))
        start = [*self.START[:3], *more]
        stops = StopFilter(["a"])
        assert sent(start, stops)[-3:] == [
            PartEnd(0),
            MessageEnd("stop_sequence", None, "a"),
            StreamEnd(),
        ]

    def test_one_that_is_expected_may_still_come(self) -> None:
        second = said(PartStart(1, TextPart(""), 1), TextDelta(1, "b"), PartEnd(1))
        events = [*self.START[:2], TextDelta(0, "aEND"), *second]
        end = MessageEnd("end", choice=1)
        given = sent([*events, end], StopFilter(["END"], choices=2))
        assert given[2:] == [
            TextDelta(0, "a"),
            PartEnd(0),
            self.CUT,
            *second,
            end,
            StreamEnd(),
        ]

    def test_all_of_a_whole_answer_are_cut(self) -> None:
        response = Response(
            choices=(
                Choice(parts=(TextPart("aEND"),)),
                Choice(index=1, parts=(TextPart("bENDc"), TextPart("d"))),
            )
        )
        given = run([StopFilter(["END"], choices=2)], response)
        assert [choice.parts for choice in given.choices] == [
            (TextPart("a"),),
            (TextPart("b"),),
        ]


class TestLogprobs:
    """Tokens wait with the text that they are."""

    @staticmethod
    def tokens(*words: str) -> LogprobsDelta:
        return LogprobsDelta(0, tuple(TokenLogprob(word, -1.0) for word in words))

    def send(self, *events: Event) -> tuple[list[Event], StopFilter]:
        stops = StopFilter(["<END>"])
        start = spoken()[:2]
        return sent([*start, *events], stops)[2:], stops

    def test_they_pass_where_nothing_is_held(self) -> None:
        events = said(TextDelta(0, "a"), self.tokens("a"))
        assert self.send(*events)[0] == events

    def test_those_of_held_text_wait(self) -> None:
        given, _ = self.send(TextDelta(0, "ab<E"), self.tokens("a", "b", "<", "E"))
        assert given == [TextDelta(0, "ab"), self.tokens("a", "b")]
        given, _ = self.send(TextDelta(0, "ab<E"), self.tokens("a", "b<", "E"))
        assert given == [TextDelta(0, "ab"), self.tokens("a")]

    @pytest.mark.parametrize("after", [TextDelta(0, "x"), PartEnd(0)])
    def test_they_come_with_the_text(self, after: Event) -> None:
        given, _ = self.send(TextDelta(0, "<"), self.tokens("<"), after)
        said = TextDelta(0, "<x" if isinstance(after, TextDelta) else "<")
        assert given[:2] == [said, self.tokens("<")]

    def test_they_come_though_the_text_was_said(self) -> None:
        given, _ = self.send(
            TextDelta(0, "<"), self.tokens("<"), TextDelta(0, "<"), self.tokens("<")
        )
        assert given == [TextDelta(0, "<"), self.tokens("<")]

    def test_those_of_the_cut_are_dropped_and_told(self) -> None:
        given, stops = self.send(
            TextDelta(0, "a"),
            self.tokens("a"),
            TextDelta(0, "b<"),
            self.tokens("b", "<"),
        )
        assert given[2:] == [TextDelta(0, "b"), self.tokens("b")]
        given, stops = self.send(
            TextDelta(0, "a<"), self.tokens("a", "<"), TextDelta(0, "END>")
        )
        assert given[1:2] == [self.tokens("a")]
        assert [loss.path for loss in stops.losses] == ["choices[0].parts[0].logprobs"]

    @given(st.lists(st.sampled_from(["", "<", "x"]), max_size=50))
    def test_they_are_bounded(self, words: list[str]) -> None:
        stops = StopFilter(["<END>"])
        sent([*spoken()[:2], TextDelta(0, "<EN")], stops)
        given = [e for word in words for e in stops(self.tokens(word))]
        said = sum(len(e.tokens) for e in given if isinstance(e, LogprobsDelta))
        assert len(words) - said <= 3

    def test_late_ones_pass(self) -> None:
        given, _ = self.send(TextDelta(0, "a"), PartEnd(0), self.tokens("a"))
        assert given[-1] == self.tokens("a")


def test_one_text_is_no_list_of_stops() -> None:
    """Its letters would be."""
    with pytest.raises(LocalProtocolError, match="not one"):
        StopFilter("END")
