"""Events to a response and back."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from llmwire._fold import Folder, fold, unfold
from llmwire.errors import LocalProtocolError, RemoteProtocolError
from llmwire.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Extra,
    LogprobsDelta,
    MediaDelta,
    MessageEnd,
    MessageStart,
    OpaqueEvent,
    PartEnd,
    PartStart,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    ServiceTier,
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.grammar import check
from llmwire.messages import (
    APIError,
    Base64,
    Choice,
    Citation,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Response,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    StopDetail,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    ToolResultPart,
    Url,
    Usage,
)
from llmwire.strategies import responses, sentences

START = MessageStart("r", "m", 1.0, None, "gemini")
END = MessageEnd("end")
ONE, TWO = Raw(b"1"), Raw(b"2")
SIGNATURE = Signature(origin="gemini", value="c2ln")
CITATION = Citation(kind="url", url="https://a")
TOKENS = (TokenLogprob("a", -0.5), TokenLogprob("b", None))
DIALECTS = st.sampled_from(
    (None, "openai-chat", "openai-responses", "anthropic", "gemini")
)


def _folded(*events: Event) -> tuple[Part, ...]:
    """The parts of the one choice that `events` say."""
    response = fold([START, *events, END, StreamEnd()])
    return response.choices[0].parts


# Laws


@given(DIALECTS.flatmap(lambda dialect: responses(dialect, choices=3)))
def test_fold_undoes_unfold(response: Response) -> None:
    events = unfold(response)
    check(events)
    assert fold(events) == response


@given(DIALECTS.flatmap(lambda dialect: sentences(dialect, failing=False)))
def test_fold_of_a_sentence_says_it_all_again(events: list[Event]) -> None:
    response = fold(events)
    again = unfold(response)
    check(again)
    assert fold(again) == response


@given(sentences("openai-chat", failing=False))
def test_signs_of_life_fold_to_nothing(events: list[Event]) -> None:
    silent = (Ping, OpaqueEvent)
    heard = [event for event in events if not isinstance(event, silent)]
    assert fold(heard) == fold(events)


@given(sentences("anthropic", failing=False), st.data())
def test_deltas_may_be_cut_anywhere(events: list[Event], data: st.DataObject) -> None:
    cut: list[Event] = []
    for event in events:
        kinds = (TextDelta, RefusalDelta, ReasoningDelta, ArgumentsDelta)
        if isinstance(event, kinds) and event.text:
            at = data.draw(st.integers(0, len(event.text)))
            cut.append(replace(event, text=event.text[:at]))
            cut.append(replace(event, text=event.text[at:]))
        else:
            cut.append(event)
    assert fold(cut) == fold(events)


@given(sentences("gemini", failing=False))
def test_a_folder_takes_one_event_at_a_time(events: list[Event]) -> None:
    folder = Folder()
    for event in events:
        with pytest.raises(LocalProtocolError, match="no StreamEnd"):
            folder.response()
        folder = pickle.loads(pickle.dumps(folder))
        folder.add(event)
    assert folder.response() == fold(events)


# What each event adds


def test_head_and_tail() -> None:
    first, last = Usage(fresh=1), Usage(fresh=1, output=2)
    detail = StopDetail("cyber")
    start = MessageStart("r", "m", 2.5, first, "anthropic")
    middle: list[Event] = [ServiceTier("flex"), ServiceTier("default")]
    end = MessageEnd("refusal", "refusal", "END", detail)
    response = fold([start, *middle, UsageUpdate(last), end, StreamEnd()])
    assert response == Response(
        id="r",
        model="m",
        created=2.5,
        dialect="anthropic",
        usage=last,
        service_tier="default",
        choices=(
            Choice(stop="refusal", raw="refusal", stop_sequence="END", detail=detail),
        ),
    )
    assert fold([start, end, StreamEnd()]).usage == first


def test_choices_stand_in_the_order_of_their_indices() -> None:
    response = fold(
        [
            START,
            PartStart(0, TextPart(text=""), 1),
            PartStart(1, TextPart(text=""), 0),
            TextDelta(0, "b"),
            TextDelta(1, "a"),
            PartEnd(0),
            PartEnd(1),
            MessageEnd("end", choice=1),
            MessageEnd("max_tokens", choice=0),
            StreamEnd(),
        ]
    )
    assert response.choices == (
        Choice(index=0, parts=(TextPart(text="a"),), stop="max_tokens"),
        Choice(index=1, parts=(TextPart(text="b"),), stop="end"),
    )


def test_extras_the_last_value_of_a_key_wins() -> None:
    response = fold(
        [
            START,
            Extra({"a": ONE}),
            Extra({"a": ONE, "b": ONE}, choice=0),
            PartStart(0, TextPart(text="", extras={"a": ONE})),
            Extra({"b": ONE, "c": ONE}, index=0),
            Extra({"c": TWO}, index=0),
            PartEnd(0),
            Extra({"b": TWO}, choice=0),
            END,
            Extra({"a": TWO, "b": ONE}),
            Extra({"d": ONE}, index=0),
            StreamEnd(),
        ]
    )
    assert response.extras == {"a": TWO, "b": ONE}
    (choice,) = response.choices
    assert choice.extras == {"a": ONE, "b": TWO}
    assert choice.parts[0].extras == {"a": ONE, "b": ONE, "c": TWO, "d": ONE}


def test_extras_that_are_empty_are_not_lost() -> None:
    part = TextPart(text="", extras={})
    choice = Choice(parts=(part,), stop="end", extras={})
    response = Response(choices=(choice,), extras={})
    assert fold(unfold(response)) == response


def test_text() -> None:
    start = TextPart(text="a", citations=(CITATION,), logprobs=TOKENS[:1])
    (part,) = _folded(
        PartStart(0, start),
        TextDelta(0, "b"),
        CitationDelta(0, CITATION),
        LogprobsDelta(0, TOKENS[1:]),
        PartEnd(0, "incomplete"),
        SignatureDelta(0, SIGNATURE),
    )
    assert part == TextPart(
        text="ab",
        citations=(CITATION, CITATION),
        logprobs=TOKENS,
        signature=SIGNATURE,
        incomplete=True,
    )


def test_refusal() -> None:
    (part,) = _folded(
        PartStart(0, RefusalPart(text="")),
        RefusalDelta(0, "a"),
        RefusalDelta(0, "b"),
        LogprobsDelta(0, TOKENS),
        PartEnd(0),
    )
    assert part == RefusalPart(text="ab", logprobs=TOKENS)


def test_call() -> None:
    (part,) = _folded(
        PartStart(0, ToolCallPart(call_id="1", name="f", signature=SIGNATURE)),
        ArgumentsDelta(0, "{"),
        ArgumentsDelta(0, "}"),
        LogprobsDelta(0, TOKENS),
        PartEnd(0),
    )
    assert part == ToolCallPart(
        call_id="1", name="f", arguments="{}", logprobs=TOKENS, signature=SIGNATURE
    )


@pytest.mark.parametrize(
    ("start", "deltas", "expected"),
    [
        (ReasoningPart(), [], ReasoningPart()),
        (ReasoningPart(text=""), [], ReasoningPart(text="")),
        (ReasoningPart(), [("", None)], ReasoningPart(text="")),
        (ReasoningPart(), [("a", None), ("b", None)], ReasoningPart(text="ab")),
        (ReasoningPart(), [("a", 0), ("b", 0)], ReasoningPart(summary=("ab",))),
        (ReasoningPart(), [("b", 2)], ReasoningPart(summary=("", "", "b"))),
        (ReasoningPart(), [("b", 10**15)], ReasoningPart(summary=("",) * 16 + ("b",))),
        (ReasoningPart(), [("b", -1), ("a", 0)], ReasoningPart(summary=("ba",))),
        (
            ReasoningPart(summary=("x",), text="y"),
            [("a", 0), ("b", None)],
            ReasoningPart(summary=("x", "a"), text="yb"),
        ),
    ],
)
def test_reasoning(
    start: ReasoningPart,
    deltas: list[tuple[str, int | None]],
    expected: ReasoningPart,
) -> None:
    said = [ReasoningDelta(0, text, summary) for text, summary in deltas]
    (part,) = _folded(PartStart(0, start), *said, PartEnd(0))
    assert part == expected


def test_media() -> None:
    empty = MediaPart(kind="image", source=Base64(""))
    final = MediaPart(kind="image", mime="image/png", source=Base64("YWJj"))
    deltas: list[Event] = [MediaDelta(0, "YWJj"), MediaDelta(0, "ZGVm")]
    start = PartStart(0, empty)
    assert _folded(start, *deltas, PartEnd(0, final=final)) == (final,)
    whole = replace(empty, source=Base64("YWJjZGVm"))
    assert _folded(start, *deltas, PartEnd(0)) == (whole,)
    assert _folded(start, PartEnd(0)) == (empty,)
    linked = MediaPart(kind="image", source=Url("https://a"))
    assert _folded(PartStart(0, linked), *deltas, PartEnd(0)) == (linked,)


@pytest.mark.parametrize(
    ("text", "payload"),
    [("", b"1"), ('{"q"', b"1"), ('{"q":1}', b'{"q":1}'), ("NaN", b"null")],
)
def test_a_server_tool_without_a_final(text: str, payload: bytes) -> None:
    start = PartStart(0, ServerToolCallPart(name="search", payload=ONE))
    (part,) = _folded(start, ArgumentsDelta(0, text), PartEnd(0, "incomplete"))
    assert part == ServerToolCallPart(
        name="search", payload=Raw(payload), incomplete=True
    )


@pytest.mark.parametrize(
    "part",
    [
        ServerToolCallPart(name="search", payload=TWO),
        ServerToolResultPart(name="search", payload=TWO),
        OpaquePart(dialect="gemini", kind="x", raw=TWO),
    ],
    ids=lambda part: type(part).__name__,
)
def test_a_final_replaces_what_came_before(part: OpaquePart) -> None:
    start = replace(part, id="a", extras={"a": ONE}, signature=SIGNATURE)
    begun = PartStart(0, start)
    ended = PartEnd(0, "incomplete", part)
    assert _folded(begun, ended) == (
        replace(part, signature=SIGNATURE, incomplete=True),
    )
    signed = replace(part, signature=replace(SIGNATURE, value="b"))
    assert _folded(begun, PartEnd(0, final=signed)) == (signed,)
    late = Extra({"b": ONE}, index=0)
    assert _folded(begun, PartEnd(0, final=signed), late) == (
        replace(signed, extras={"b": ONE}),
    )


# What is no answer


def test_an_error_raises() -> None:
    error = APIError(kind="overloaded", message="busy", status=529)
    with pytest.raises(RemoteProtocolError, match="busy") as caught:
        fold([START, StreamError(error)])
    assert caught.value.status == 529
    with pytest.raises(RemoteProtocolError) as caught:
        fold([StreamError(replace(error, status=None))])
    assert caught.value.status == 502


@pytest.mark.parametrize("events", [[], [START], [START, END], [StreamEnd()]], ids=repr)
def test_an_end_is_needed(events: list[Event]) -> None:
    with pytest.raises(LocalProtocolError, match="no StreamEnd"):
        fold(events)


@pytest.mark.parametrize("event", [TextDelta(1, "a"), Extra({}, 1), PartEnd(1)])
def test_a_part_must_be_open(event: Event) -> None:
    with pytest.raises(LocalProtocolError, match="not open"):
        fold([START, PartStart(0, TextPart("")), event, END, StreamEnd()])


# Unfolding


def test_an_answer_says_nothing_empty() -> None:
    parts: tuple[Part, ...] = (
        TextPart(text=""),
        RefusalPart(text=""),
        ReasoningPart(),
        ToolCallPart(call_id="1", name="f"),
        MediaPart(kind="audio", source=Base64("")),
    )
    response = Response(choices=(Choice(parts=parts, stop="end"),))
    events = unfold(response)
    kinds = {type(event) for event in events}
    assert kinds == {MessageStart, PartStart, PartEnd, MessageEnd, StreamEnd}
    assert fold(events) == response


def test_parts_start_empty() -> None:
    parts: tuple[Part, ...] = (
        TextPart(text="a", citations=(CITATION,), logprobs=TOKENS, incomplete=True),
        RefusalPart(text="a", signature=SIGNATURE, logprobs=TOKENS),
        ReasoningPart(summary=("a", ""), text="b", signature=SIGNATURE),
        ToolCallPart(call_id="1", name="f", arguments="{", incomplete=True),
        MediaPart(kind="image", source=Base64("YWJj"), signature=SIGNATURE),
    )
    response = Response(choices=(Choice(parts=parts, stop="end"),))
    events = unfold(response)
    started = [event.part for event in events if isinstance(event, PartStart)]
    assert started == [
        TextPart(text=""),
        RefusalPart(text=""),
        ReasoningPart(text=""),
        ToolCallPart(call_id="1", name="f"),
        MediaPart(kind="image", source=Base64(""), signature=SIGNATURE),
    ]
    ends = [event for event in events if isinstance(event, PartEnd)]
    assert [end.status for end in ends] == [
        "incomplete",
        "complete",
        "complete",
        "incomplete",
        "complete",
    ]
    assert [end.final for end in ends] == [None, None, None, None, parts[4]]
    assert fold(events) == response


def test_media_by_url_unfold_whole() -> None:
    part = MediaPart(kind="image", source=Url("https://a"))
    response = Response(choices=(Choice(parts=(part,), stop="end"),))
    events = unfold(response)
    assert events[1:3] == [PartStart(0, part), PartEnd(0, final=part)]
    assert fold(events) == response


def test_what_is_no_answer_folds_back_too() -> None:
    result = ToolResultPart(call_id="1", parts=(TextPart(text="a"),))
    choice = Choice(parts=(result, result), stop="end")
    for response in (Response(), Response(choices=(choice,))):
        events = unfold(response)
        assert fold(events) == response
        with pytest.raises(LocalProtocolError):
            check(events)
