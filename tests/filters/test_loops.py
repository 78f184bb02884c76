"""Tests of `llmwire.filters.loops`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

import llmwire
from llmwire.errors import LocalProtocolError, RemoteProtocolError
from llmwire.events import (
    ArgumentsDelta,
    Event,
    Extra,
    LogprobsDelta,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.filters import FilterChain, run
from llmwire.filters.loops import (
    Loop,
    LoopAction,
    LoopFilter,
    LoopFinding,
    loop_filter,
)
from llmwire.messages import (
    Choice,
    ReasoningPart,
    RefusalPart,
    Response,
    TextPart,
    ToolCallPart,
    Usage,
)
from llmwire.requests import Request
from llmwire.strategies import responses, sentences
from tests.filters.laws import (
    called,
    cuts,
    folded,
    only,
    part,
    said,
    sent,
    spoken,
    texts_of,
)
from tests.filters.looping import chatter, confirmed, fed

AGAIN = "I will now check the file again. "
SURE = 3 * len(AGAIN) + 250
"""Characters of AGAIN that are confirmed."""
PIECES = (AGAIN * 9, AGAIN * 20, "Wait, " * 60, "word " * 3, "-" * 300, "0", "\n```\n")
ACTIONS: tuple[LoopAction, ...] = ("report", "cut", "error")
GROWTH = (TextDelta, ReasoningDelta, ArgumentsDelta)


def letters(events: list[Event]) -> list[Event]:
    """`events` with every growth in single characters."""
    cut: list[Event] = []
    for event in events:
        if isinstance(event, GROWTH):
            cut += [replace(event, text=letter) for letter in event.text or ("",)]
        else:
            cut.append(event)
    return cut


def loud(events: list[Event], times: int) -> list[Event]:
    """`events` with every growth said `times` times."""
    return [
        replace(event, text=event.text * times) if isinstance(event, GROWTH) else event
        for event in events
    ]


@given(st.data(), texts_of(PIECES, 5))
def test_a_text_is_cut_where_the_loop_is_found(data: st.DataObject, text: str) -> None:
    pieces = data.draw(cuts(text))
    loops = LoopFilter()
    choice = only(folded(spoken(*pieces), loops))
    loop = confirmed(fed([text]))
    if loop is None:
        assert choice == Choice(parts=(TextPart(text),), stop="end")
        assert loops.ended is None
        assert loops.losses == ()
    else:
        kept = TextPart(text[: loop.end], incomplete=True)
        assert choice == Choice(parts=(kept,), stop="max_tokens")
        assert loops.ended == MessageEnd("max_tokens")
        (loss,) = loops.losses
        assert (loss.path, loss.feature) == ("choices[0].parts[0]", "filter.loop")
        assert str(loop) in loss.reason
    end = loop.end if loop else len(text)
    told = [each for each in fed([text]) if each.end <= end]
    assert [finding.loop for finding in loops.findings] == told


@given(st.data(), sentences("openai-chat"), st.integers(1, 700))
def test_any_split_folds_alike(
    data: st.DataObject, events: list[Event], times: int
) -> None:
    events = loud(events, times)
    action = data.draw(st.sampled_from(ACTIONS))
    whole, cut = LoopFilter(action, choices=2), LoopFilter(action, choices=2)
    given = sent(events, whole)
    apart = sent(letters(events), cut)
    assert cut.findings == whole.findings
    assert cut.losses == whole.losses
    assert type(given[-1]) is type(apart[-1])
    if isinstance(given[-1], StreamEnd):
        assert llmwire.fold(given) == llmwire.fold(apart)


@given(sentences("openai-chat"), st.sampled_from(ACTIONS))
def test_clean_answers_pass_event_for_event(
    events: list[Event], action: LoopAction
) -> None:
    assert sent(events, LoopFilter(action)) == events


@given(sentences(None, choices=3), st.integers(1, 700))
def test_a_report_changes_nothing(events: list[Event], times: int) -> None:
    events = loud(events, times)
    assert sent(events, LoopFilter("report")) == events


@given(
    sentences(None, choices=3), st.integers(1, 700), st.sampled_from(("cut", "error"))
)
def test_the_answer_is_grammatical_whatever_is_cut(
    events: list[Event], times: int, action: LoopAction
) -> None:
    for choices in (1, 3):
        given = sent(loud(events, times), LoopFilter(action, choices=choices))
        assert isinstance(given[-1], (StreamEnd, StreamError))


@given(sentences(None, choices=3), st.integers(1, 700))
def test_what_was_cut_is_not_cut_again(events: list[Event], times: int) -> None:
    once = sent(loud(events, times), LoopFilter(choices=3))
    assert sent(once, LoopFilter(choices=3)) == once


@given(responses("anthropic"), st.sampled_from(ACTIONS))
def test_whole_answers(response: Response, action: LoopAction) -> None:
    loops = LoopFilter(action, choices=len(response.choices))
    assert run([loops], response) == response


def test_the_answer_ends_at_once() -> None:
    loops = LoopFilter()
    chain = FilterChain([loops], checked=True)
    events = spoken(AGAIN * 5, AGAIN * 6, AGAIN)
    given = [chain.send(event) for event in events]
    assert given[3:] == [
        [
            TextDelta(0, (AGAIN * 6)[: SURE - 5 * len(AGAIN)]),
            PartEnd(0, "incomplete"),
            MessageEnd("max_tokens"),
            StreamEnd(),
        ],
        [],
        [],
        [],
        [],
    ]
    assert chain.ended == loops.ended == MessageEnd("max_tokens")
    assert chain.losses == loops.losses


def test_usage_is_kept() -> None:
    usage = Usage(output=9)
    text = Choice(parts=(TextPart(AGAIN * 20),), stop="end")
    given = run([LoopFilter()], Response(choices=(text,), usage=usage))
    assert given.usage == usage
    assert only(given).stop == "max_tokens"


def test_an_error_ends_the_answer() -> None:
    loops = LoopFilter("error")
    given = sent(spoken(AGAIN * 20), loops)
    assert given[2] == TextDelta(0, (AGAIN * 20)[:SURE])
    (error,) = given[3:]
    assert isinstance(error, StreamError)
    assert (error.error.kind, error.error.status) == ("bad_upstream", 502)
    assert str(loops.findings[-1].loop) in error.error.message
    with pytest.raises(RemoteProtocolError, match="repeats itself"):
        run([LoopFilter("error")], llmwire.fold(spoken(AGAIN * 20)))


def test_suspects_can_be_enough() -> None:
    loops = LoopFilter(at="suspect")
    given = part(folded(spoken(AGAIN * 20), loops))
    assert isinstance(given, TextPart)
    (finding,) = loops.findings
    assert finding == LoopFinding(
        "choices[0].parts[0]",
        "text",
        Loop("suspect", "exact", 0, len(given.text), len(AGAIN)),
    )
    assert len(given.text) < SURE


class TestParts:
    """Everything that holds text is looked at, by itself."""

    def test_thoughts(self) -> None:
        start = said(MessageStart(), PartStart(0, ReasoningPart()))
        growth = [ReasoningDelta(0, AGAIN) for _ in range(20)]
        given = part(folded([*start, *growth], LoopFilter()))
        assert given == ReasoningPart(text=(AGAIN * 20)[:SURE], incomplete=True)

    def test_summaries_and_the_raw_text_are_two(self) -> None:
        growth = [ReasoningDelta(0, AGAIN, at % 2 or None) for at in range(20)]
        loops = LoopFilter()
        given = sent(
            [MessageStart(), PartStart(0, ReasoningPart()), *growth[:18]], loops
        )
        assert len(given) == 20
        found = loops(ReasoningDelta(0, AGAIN * 9, 2))
        assert isinstance(found[0], ReasoningDelta)
        assert found[0].summary == 2
        assert loops.findings[-1].what == "reasoning"

    def test_two_parts_are_not_one(self) -> None:
        half = AGAIN * 9
        events = [
            *spoken(half)[:4],
            PartStart(1, TextPart("")),
            TextDelta(1, half),
            PartEnd(1),
            *spoken()[3:],
        ]
        assert sent(events, LoopFilter()) == events

    def test_arguments_need_more(self) -> None:
        line = "do_it()\\n"
        enough = 6 * len(line) + 1000
        given = part(folded(called('{"a": "', line * 200), LoopFilter()))
        assert isinstance(given, ToolCallPart)
        assert given.incomplete
        assert given.arguments == '{"a": "' + (line * 200)[:enough]

    def test_a_call_that_was_cut_cannot_be_run(self) -> None:
        loops = LoopFilter()
        choice = only(folded(called('{"command": "rm -rf ', "/tmp/x " * 300), loops))
        assert choice.stop == "max_tokens"
        assert choice.parts[0].incomplete

    def test_other_calls_are_closed_by_their_arguments(self) -> None:
        events = said(
            MessageStart(),
            PartStart(0, ToolCallPart(call_id="a", name="f")),
            ArgumentsDelta(0, "{}"),
            PartStart(1, ToolCallPart(call_id="b", name="f")),
            ArgumentsDelta(1, "{"),
            PartStart(2, TextPart("")),
            TextDelta(2, AGAIN * 20),
        )
        assert sent(events, LoopFilter())[-5:] == [
            PartEnd(0),
            PartEnd(1, "incomplete"),
            PartEnd(2, "incomplete"),
            MessageEnd("max_tokens"),
            StreamEnd(),
        ]

    @pytest.mark.parametrize(
        ("whole", "cut"),
        [
            (TextPart(AGAIN * 20), TextPart((AGAIN * 20)[:SURE])),
            (
                ReasoningPart(text=AGAIN * 20),
                ReasoningPart(text=(AGAIN * 20)[:SURE]),
            ),
            (
                ReasoningPart(summary=("a", AGAIN * 20), text="b"),
                ReasoningPart(summary=("a", (AGAIN * 20)[:SURE])),
            ),
            (
                ToolCallPart(call_id="a", name="f", arguments="[" + AGAIN * 99),
                ToolCallPart(
                    call_id="a",
                    name="f",
                    arguments="[" + (AGAIN * 99)[: 6 * len(AGAIN) + 1000],
                ),
            ),
        ],
    )
    def test_what_a_part_starts_with(self, whole: Any, cut: Any) -> None:
        events = said(
            MessageStart(),
            PartStart(0, whole),
            PartEnd(0),
            MessageEnd("end"),
            StreamEnd(),
        )
        assert part(folded(events, LoopFilter())) == replace(cut, incomplete=True)
        assert sent(events, LoopFilter("report")) == events

    def test_refusals_are_not_looked_at(self) -> None:
        events = said(
            MessageStart(),
            PartStart(0, RefusalPart("")),
            RefusalDelta(0, AGAIN * 20),
            PartEnd(0),
            MessageEnd("refusal"),
            StreamEnd(),
        )
        assert sent(events, LoopFilter()) == events

    def test_what_is_not_watched(self) -> None:
        loops = LoopFilter(watch=("reasoning", "arguments"))
        assert sent(spoken(AGAIN * 20), loops) == spoken(AGAIN * 20)
        assert loops.findings == ()


class TestChoices:
    """Several answers to one request."""

    START = (
        MessageStart(),
        PartStart(0, TextPart("")),
        PartStart(1, TextPart(""), 1),
        TextDelta(0, AGAIN * 20),
    )
    CUT = MessageEnd("max_tokens")

    def test_only_the_one_that_loops_ends(self) -> None:
        events: list[Event] = [
            *self.START,
            TextDelta(0, "more"),
            LogprobsDelta(0, ()),
            Extra({"a": Raw(b"1")}, index=0),
            Extra({"b": Raw(b"1")}, choice=0),
            PartStart(2, TextPart("")),
            TextDelta(2, "still more"),
            PartEnd(2),
            UsageUpdate(Usage(output=1)),
            PartStart(3, TextPart("b"), 1),
            TextDelta(3, "c"),
            PartEnd(0),
            MessageEnd("end"),
            PartEnd(3),
            PartEnd(1),
            MessageEnd("end", choice=1),
            Ping(),
        ]
        assert sent(events, LoopFilter())[3:] == [
            TextDelta(0, (AGAIN * 20)[:SURE]),
            PartEnd(0, "incomplete"),
            self.CUT,
            Extra({"a": Raw(b"1")}, index=0),
            Extra({"b": Raw(b"1")}, choice=0),
            UsageUpdate(Usage(output=1)),
            PartStart(2, TextPart("b"), 1),
            TextDelta(2, "c"),
            PartEnd(2),
            PartEnd(1),
            MessageEnd("end", choice=1),
            StreamEnd(),
        ]

    def test_what_the_others_said_is_remembered(self) -> None:
        half = SURE // 2
        events: list[Event] = [
            *self.START[:2],
            PartStart(1, ReasoningPart(), 1),
            ReasoningDelta(1, (AGAIN * 20)[:half], 0),
            self.START[3],
            ReasoningDelta(1, (AGAIN * 20)[half:], 0),
        ]
        assert sent(events, LoopFilter())[-4:] == [
            ReasoningDelta(1, (AGAIN * 20)[half:SURE], 0),
            PartEnd(1, "incomplete"),
            MessageEnd("max_tokens", choice=1),
            StreamEnd(),
        ]

    def test_one_that_is_expected_may_still_come(self) -> None:
        events = [*spoken(AGAIN * 20)[:3], PartStart(1, TextPart(""), 1)]
        more = said(TextDelta(1, AGAIN * 20))
        loops = LoopFilter(choices=2)
        given = sent([*events, *more], loops)
        assert given[3:] == [
            PartEnd(0, "incomplete"),
            self.CUT,
            PartStart(1, TextPart(""), 1),
            TextDelta(1, (AGAIN * 20)[:SURE]),
            PartEnd(1, "incomplete"),
            MessageEnd("max_tokens", choice=1),
            StreamEnd(),
        ]
        assert [loss.path for loss in loops.losses] == [
            "choices[0].parts[0]",
            "choices[1].parts[0]",
        ]


def test_little_is_kept() -> None:
    loops = LoopFilter("report")
    chain = FilterChain([loops])
    for event in spoken()[:2]:
        chain.send(event)
    for at in range(200):
        chain.send(TextDelta(0, AGAIN * 20 + chatter(300, at)))
    assert len(loops.findings) == 64
    chain.send(PartStart(1, ReasoningPart()))
    chain.send(ReasoningDelta(1, "a", 0))
    chain.send(ReasoningDelta(1, "a"))
    assert len(loops._detectors) == 3
    chain.send(PartEnd(0))
    chain.send(PartEnd(1))
    assert loops._detectors == {}


@pytest.mark.parametrize(
    ("action", "at", "watch"),
    [("stop", "confirmed", ()), ("cut", "sure", ()), ("cut", "suspect", ("texts",))],
)
def test_words_are_checked(action: Any, at: Any, watch: Any) -> None:
    for make in (LoopFilter, loop_filter):
        with pytest.raises(LocalProtocolError, match="is none of"):
            make(action, at=at, watch=watch)


WORDS = {
    "openai-chat": b'"finish_reason":"length"',
    "openai-responses": b'"incomplete_details":{"reason":"max_output_tokens"}',
    "anthropic": b'"stop_reason":"max_tokens"',
    "gemini": b'"finishReason":"MAX_TOKENS"',
}
WHOLE = ("stop", "completed", "end_turn", "STOP", "tool_calls", "tool_use")


@pytest.mark.parametrize("target", WORDS)
@pytest.mark.parametrize("source", WORDS)
class TestDialects:
    """A cut is told as what it is, from every dialect to every dialect."""

    def test_a_stream(self, source: str, target: str) -> None:
        encoder = llmwire.StreamEncoder(source, created=1.0, id="x")
        data = b"".join(map(encoder.send, spoken("Well:\n", *[AGAIN] * 40)))
        loops = LoopFilter()
        stream = llmwire.StreamTranslator(
            source, target, filters=[loops], checked=True, created=1.0, id="x"
        )
        out = stream.receive_data(data) + stream.receive_eof()
        assert stream.done and stream.error is None
        assert stream.stop == "max_tokens"
        assert WORDS[target] in out.replace(b": ", b":").replace(b", ", b",")
        assert not any(f':"{word}"'.encode() in out for word in WHOLE)
        assert [loss.feature for loss in stream.losses].count("filter.loop") == 1
        back = llmwire.StreamDecoder(target, id="x")
        answer = llmwire.fold(back.receive_data(out) + back.receive_eof())
        assert only(answer).stop == "max_tokens"
        (given,) = only(answer).parts
        assert isinstance(given, TextPart)
        assert given.text == "Well:\n" + (AGAIN * 40)[:SURE]

    def test_a_whole_answer(self, source: str, target: str) -> None:
        usage = Usage(fresh=3, output=7)
        text = Choice(parts=(TextPart(AGAIN * 40),), stop="end")
        said = Response(id="r", model="m", choices=(text,), usage=usage)
        body = llmwire.encode_response(said, source, created=1.0, id="x").body
        reply = llmwire.translate_response(
            body, source, target, filters=[LoopFilter()], created=1.0, id="x"
        )
        back = llmwire.decode_response(reply.body, target)
        assert only(back).stop == "max_tokens"
        assert back.usage is not None and back.usage.output == 7
        (given,) = only(back).parts
        assert isinstance(given, TextPart)
        assert given.text == (AGAIN * 40)[:SURE]
        assert "filter.loop" in [loss.feature for loss in reply.losses]


def test_the_factory_knows_the_request() -> None:
    make = loop_filter(at="suspect", watch=["reasoning"])
    two = spoken(AGAIN * 20)
    thought = said(
        MessageStart(), PartStart(0, ReasoningPart()), ReasoningDelta(0, AGAIN * 20)
    )
    for n, last in ((1, StreamEnd()), (2, MessageEnd("max_tokens"))):
        loops = make(Request(n=n))
        assert loops is not None
        assert sent(thought, loops)[-1] == last
        again = make(Request(n=n))
        assert again is not None
        assert sent(two, again) == two


def test_an_attempt_is_over_when_the_answer_was_cut() -> None:
    exchange = llmwire.Exchange("openai-chat", created=1.0, id="x")
    asked = [{"role": "user", "content": "Hi"}]
    body = json.dumps({"model": "m", "stream": True, "messages": asked}).encode()
    request = exchange.receive_request(
        llmwire.HTTPRequest(method="POST", path="/v1/chat/completions", body=body)
    )
    attempt = exchange.attempt("openai-chat", request, filters=[loop_filter()])
    attempt.receive_head(200, (("content-type", "text/event-stream"),))
    out = b""
    for _ in range(40):
        chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": AGAIN}}]}
        out += attempt.receive_data(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    assert attempt.done
    assert out.count(b"again") <= SURE // len(AGAIN) + 1
    assert out.endswith(b"data: [DONE]\n\n")
    assert [loss.feature for loss in attempt.losses] == ["filter.loop"]
