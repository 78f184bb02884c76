"""The grammar of events: what is allowed, and one failing case per rule."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire.errors import LocalProtocolError
from llmwire.events import (
    EVENT_TYPES,
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
from llmwire.grammar import TAKES, TRANSITIONS, GrammarChecker, State, check
from llmwire.messages import (
    APIError,
    Base64,
    Citation,
    MediaPart,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Url,
    Usage,
)
from llmwire.strategies import sentences, ungrammatical_sentences

START = MessageStart("r", "m")
TEXT = PartStart(0, TextPart(text=""))
END = MessageEnd("end", "stop")
CALL = ToolCallPart(call_id="1", name="f")
MEDIUM = MediaPart(kind="image", source=Base64(""))
OPAQUE = OpaquePart(dialect="gemini", kind="x", raw=Raw(b"{}"))
HOSTED = ServerToolCallPart(name="search")
RESULT = ServerToolResultPart(name="search")
SIGNATURE = Signature(origin="gemini", value="c2ln")
ERROR = StreamError(APIError(kind="internal", message="m"))
ANYWHERE: tuple[Event, ...] = (
    UsageUpdate(Usage(output=1)),
    ServiceTier("default"),
    Extra({"x": Raw(b"1")}),
    Extra({"x": Raw(b"1")}, choice=7),
    OpaqueEvent("gemini", "x", Raw(b"{}")),
    Ping(),
)


# Allowed


@given(sentences(None))
def test_sentences_of_nobody(events: list[Event]) -> None:
    check(events)


@given(st.sampled_from(("anthropic", "openai-responses")).flatmap(sentences))
def test_sentences_of_a_dialect(events: list[Event]) -> None:
    check(events)


@given(sentences("gemini"))
def test_every_prefix_is_allowed_but_not_complete(events: list[Event]) -> None:
    checker = GrammarChecker()
    for length, event in enumerate(events):
        check(events[:length], complete=False)
        with pytest.raises(LocalProtocolError, match=r"no terminal event \(rule 6\)"):
            check(events[:length])
        checker.check(event)
    assert checker.state is State.DONE


def test_parts_of_several_choices_may_interleave() -> None:
    events: list[Event] = [
        Ping(),
        START,
        PartStart(0, CALL),
        PartStart(1, CALL, 2),
        ArgumentsDelta(1, "{"),
        ArgumentsDelta(0, "{}"),
        PartEnd(0),
        END,
        ArgumentsDelta(1, "}"),
        PartEnd(1),
        SignatureDelta(1, SIGNATURE),
        MessageEnd("tool_use", choice=2),
        StreamEnd(),
    ]
    check(events)


def test_a_choice_may_end_without_a_part() -> None:
    check([START, END, StreamEnd()])
    check([START, MessageEnd("content_filter", choice=3), END, StreamEnd()])


@pytest.mark.parametrize("event", ANYWHERE)
def test_legal_anywhere_while_open(event: Event) -> None:
    told = [event]
    check([START, *told, TEXT, *told, PartEnd(0), *told, END, *told, StreamEnd()])


@pytest.mark.parametrize(
    "event", [Extra({"x": Raw(b"1")}, index=0), OpaqueEvent("a", "x", Raw(b"1"), 0)]
)
def test_extras_may_name_a_part_whose_choice_has_ended(event: Event) -> None:
    check([START, TEXT, event, PartEnd(0), event, END, event, StreamEnd()])


@pytest.mark.parametrize(
    ("part", "final"),
    [
        (MEDIUM, MediaPart(kind="image", source=Url("https://a"))),
        (HOSTED, ServerToolCallPart(name="search", payload=Raw(b"1"))),
        (RESULT, RESULT),
        (OPAQUE, OPAQUE),
    ],
    ids=lambda part: type(part).__name__,
)
def test_finals(part: MediaPart | OpaquePart, final: MediaPart | OpaquePart) -> None:
    check([START, PartStart(0, part), PartEnd(0, final=final), END, StreamEnd()])


def test_errors_end_a_stream_at_any_time() -> None:
    check([ERROR])
    check([Ping(), ERROR])
    check([START, ERROR])
    check([START, TEXT, ERROR])
    check([START, TEXT, PartEnd(0), END, ERROR])


# Not allowed


def test_the_table_is_closed() -> None:
    assert set(TRANSITIONS) == set(State)
    assert not TRANSITIONS[State.DONE]
    for row in TRANSITIONS.values():
        assert set(row) <= set(EVENT_TYPES)


@pytest.mark.parametrize(
    "events",
    [
        [TextDelta(0, "a")],
        [PartStart(0, TextPart(text=""))],
        [StreamEnd()],
        [Ping(), END],
        [UsageUpdate(Usage())],
        [START, START],
        [START, END, StreamEnd(), Ping()],
        [START, END, StreamEnd(), StreamEnd()],
        [START, ERROR, ERROR],
        [ERROR, START],
    ],
)
def test_transitions(events: list[Event]) -> None:
    with pytest.raises(LocalProtocolError, match=r"in state \w+ \(transition table\)"):
        check(events)


def _rejected(rule: int, what: str, *events: Event) -> None:
    *before, last = (START, *events)
    checker = GrammarChecker()
    for event in before:
        checker.check(event)
    with pytest.raises(LocalProtocolError, match=rf"{what}.* \(rule {rule}\)$"):
        checker.check(last)


@pytest.mark.parametrize("index", [-1, 1, 2])
def test_rule_1_indices_count_up(index: int) -> None:
    part = TextPart(text="")
    _rejected(1, f"part {index} where 0 is next", PartStart(index, part))


def test_rule_1_an_index_is_not_used_twice() -> None:
    _rejected(1, "part 0 where 1 is next", TEXT, PartEnd(0), TEXT)


def test_rule_1_tool_results_are_no_answer() -> None:
    start = PartStart(0, ToolResultPart(call_id="1"))
    _rejected(1, "a tool result is no part of an answer", start)


DELTAS: tuple[Event, ...] = (
    TextDelta(0, "a"),
    ReasoningDelta(0, "a"),
    RefusalDelta(0, "a"),
    ArgumentsDelta(0, "a"),
    MediaDelta(0, "YQ=="),
)
PARTS = (
    TextPart(text=""),
    ReasoningPart(),
    RefusalPart(text=""),
    CALL,
    MEDIUM,
    HOSTED,
    RESULT,
    OPAQUE,
)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("delta", DELTAS, ids=lambda event: type(event).__name__)
def test_rule_2_deltas_fit_their_part(delta: Event, part: TextPart) -> None:
    start = PartStart(0, part)
    if isinstance(part, TAKES[type(delta)]):
        check([START, start, delta, delta, PartEnd(0), END, StreamEnd()])
    else:
        _rejected(2, f"for a {type(part).__name__}", start, delta)


@pytest.mark.parametrize("delta", DELTAS, ids=lambda event: type(event).__name__)
def test_rule_2_deltas_need_an_open_part(delta: Event) -> None:
    name = f"{type(delta).__name__} for part 0, which is not open"
    _rejected(2, name, delta)
    _rejected(2, name, TEXT, PartEnd(0), delta)


def test_rule_2_only_open_parts_end() -> None:
    what = "PartEnd for part 0, which is not open"
    _rejected(2, what, PartEnd(0))
    _rejected(2, what, TEXT, PartEnd(0), PartEnd(0))
    _rejected(2, "PartEnd for part -1", TEXT, PartEnd(-1))


@pytest.mark.parametrize("index", [-1, 1])
def test_rule_2_nothing_names_an_unknown_part(index: int) -> None:
    _rejected(2, "Extra names an unknown part", TEXT, Extra({}, index=index))
    opaque = OpaqueEvent("gemini", "x", Raw(b"{}"), index)
    _rejected(2, "OpaqueEvent names an unknown part", TEXT, opaque)


LATE: tuple[Event, ...] = (
    SignatureDelta(0, SIGNATURE),
    CitationDelta(0, Citation(kind="other")),
    LogprobsDelta(0, ()),
)


@pytest.mark.parametrize("late", LATE, ids=lambda event: type(event).__name__)
def test_rule_3_late_deltas(late: Event) -> None:
    check([START, TEXT, late, PartEnd(0), late, END, StreamEnd()])
    _rejected(3, "for part 0, which never started", late)
    _rejected(3, "after the end of its choice", TEXT, PartEnd(0), END, late)


def test_rule_3_negative_indices() -> None:
    late = SignatureDelta(-1, SIGNATURE)
    _rejected(3, "for part -1, which never started", TEXT, late)


def test_rule_4_one_end_per_choice() -> None:
    _rejected(4, "a second MessageEnd for choice 0", END, END)


def test_rule_4_parts_end_before_their_choice() -> None:
    _rejected(4, "MessageEnd with open parts in choice 0", TEXT, END)
    other = PartStart(0, TextPart(text=""), 1)
    check([START, other, END, PartEnd(0), MessageEnd("end", choice=1), StreamEnd()])


def test_rule_4_no_part_after_the_end() -> None:
    _rejected(4, "PartStart after the end of choice 0", END, TEXT)


def test_rule_6_every_choice_ends() -> None:
    what = "StreamEnd without a MessageEnd for every choice"
    _rejected(6, what, StreamEnd())
    _rejected(6, what, TEXT, PartEnd(0), StreamEnd())
    _rejected(6, what, TEXT, PartEnd(0), MessageEnd("end", choice=1), StreamEnd())


@pytest.mark.parametrize("part", PARTS[:4], ids=lambda part: type(part).__name__)
def test_rule_7_no_final_for_what_deltas_build(part: TextPart) -> None:
    end = PartEnd(0, final=part)
    _rejected(7, f"final {type(part).__name__}", PartStart(0, part), end)


def test_rule_7_a_final_has_the_type_of_its_part() -> None:
    end = PartEnd(0, final=OPAQUE)
    what = "final OpaquePart for MediaPart"
    _rejected(7, what, PartStart(0, MEDIUM), end)


@given(sentences("anthropic"), ungrammatical_sentences("anthropic"), st.data())
def test_a_rejected_event_changes_nothing(
    events: list[Event], others: list[Event], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(events)))
    checker = GrammarChecker()
    for event in events[:at]:
        checker.check(event)
    for event in others:
        trial = pickle.loads(pickle.dumps(checker))
        try:
            trial.check(event)
        except LocalProtocolError:
            with pytest.raises(LocalProtocolError):
                checker.check(event)
    for event in events[at:]:
        checker.check(event)
    assert checker.state is State.DONE
