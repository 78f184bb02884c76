"""Tests of the chain of filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._fold import fold, unfold
from llmwire.errors import LocalProtocolError, RemoteProtocolError
from llmwire.events import (
    EVENT_TYPES,
    ArgumentsDelta,
    Event,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    Ping,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.filters import FilterChain, run
from llmwire.grammar import check
from llmwire.losses import Loss
from llmwire.messages import (
    APIError,
    Choice,
    Part,
    Response,
    TextPart,
    ToolCallPart,
    Usage,
)
from llmwire.strategies import responses, sentences
from tests.filters.laws import sent, spoken

FAILED = StreamError(APIError(kind="internal", message="it failed"))


class Seen:
    """Notes what comes and lets it by."""

    def __init__(self, *events: type[Event]) -> None:
        self.seen: list[Event] = []
        if events:
            self.events = frozenset(events)

    def __call__(self, event: Event) -> Sequence[Event]:
        self.seen.append(event)
        return (event,)


class Late:
    """Gives every text one event later, the last at the end."""

    losses = (Loss(path="", feature="filter", action="approximated", reason="late"),)

    def __init__(self) -> None:
        self.kept: list[Event] = []

    def __call__(self, event: Event) -> Sequence[Event]:
        kept, self.kept = self.kept, []
        if isinstance(event, TextDelta):
            self.kept = [event]
            return kept
        return [*kept, event]


class Ends:
    """Ends the answer, or fails it, at the first event that `when` likes."""

    def __init__(self, when: Callable[[Event], bool], *given: Event) -> None:
        self.ended: MessageEnd | None = None
        self.when = when
        self.given = given or (StreamEnd(),)

    def __call__(self, event: Event) -> Sequence[Event]:
        if not self.when(event):
            return (event,)
        if StreamEnd() in self.given:
            self.ended = MessageEnd("content_filter")
        return self.given


def shouted(event: Event) -> Sequence[Event]:
    """A plain function is a filter."""
    if isinstance(event, TextDelta):
        return (TextDelta(event.index, event.text.upper()),)
    return (event,)


def doubled(event: Event) -> Sequence[Event]:
    return (event, event) if isinstance(event, TextDelta) else (event,)


def is_text(event: Event) -> bool:
    return isinstance(event, TextDelta)


@given(sentences("anthropic"), st.booleans())
def test_without_filters_events_come_back(events: list[Event], checked: bool) -> None:
    chain = FilterChain((), checked=checked)
    for event in events:
        assert chain.passes(type(event)) is (
            not checked and not isinstance(event, (StreamEnd, StreamError))
        )
        (given,) = chain.send(event)
        assert given is event
    assert chain.done
    assert chain.ended is None
    assert chain.losses == ()


@given(sentences("openai-responses"))
def test_filters_that_change_nothing_change_nothing(events: list[Event]) -> None:
    assert sent(events, Seen(), Seen(TextDelta), Ends(lambda _: False)) == events


def test_a_filter_gets_what_it_wants_and_the_end() -> None:
    texts, rest = Seen(TextDelta), Seen()
    events = spoken("a", "b")
    assert sent(events, texts, rest) == events
    assert texts.seen == [TextDelta(0, "a"), TextDelta(0, "b"), StreamEnd()]
    assert rest.seen == events


@pytest.mark.parametrize("end", [StreamEnd(), FAILED])
def test_the_terminal_event_passes_through_every_filter(end: Event) -> None:
    filters = [Seen(Ping), Seen(TextDelta)]
    assert FilterChain(filters).send(end) == [end]
    assert [each.seen for each in filters] == [[end], [end]]


def test_what_one_gives_goes_on_at_the_next() -> None:
    events = sent(spoken("a"), doubled, shouted, doubled)
    assert events[2:6] == [TextDelta(0, "A")] * 4
    before, after = Seen(TextDelta), Seen(TextDelta)
    sent(spoken("a"), before, doubled, after)
    assert (len(before.seen), len(after.seen)) == (2, 3)


def test_what_is_held_comes_at_the_end() -> None:
    late = Late()
    start = spoken()[:2]
    assert sent([*start, TextDelta(0, "a"), FAILED], late) == [
        *start,
        TextDelta(0, "a"),
        FAILED,
    ]


def test_losses_are_collected() -> None:
    assert FilterChain([shouted, Late(), Late()]).losses == (*Late.losses,) * 2


def test_the_terminal_event_cannot_be_kept() -> None:
    class Keeper(Seen):
        def __call__(self, event: Event) -> Sequence[Event]:
            return () if isinstance(event, StreamEnd) else (event,)

    last = Seen(Ping)
    assert sent(spoken("a"), Keeper(), last) == spoken("a")
    assert last.seen == [StreamEnd()]


def test_a_done_chain_is_dead() -> None:
    chain = FilterChain([Seen(TextDelta)])
    assert chain.passes(Ping)
    assert not chain.passes(TextDelta)
    chain.send(FAILED)
    assert chain.done
    assert not any(map(chain.passes, EVENT_TYPES))
    assert [chain.send(event) for event in spoken("a")] == [[]] * 6


def test_nothing_follows_the_end_that_a_filter_gives() -> None:
    ends = Ends(is_text, TextDelta(0, "a"), StreamEnd(), TextDelta(0, "b"))
    events = sent(spoken("x", "y"), ends, doubled)
    assert events == [
        *spoken()[:2],
        TextDelta(0, "a"),
        TextDelta(0, "a"),
        PartEnd(0, "incomplete"),
        MessageEnd("content_filter"),
        StreamEnd(),
    ]


def test_a_filter_may_fail_the_answer() -> None:
    chain = FilterChain([Ends(is_text, FAILED)], checked=True)
    given = [given for event in spoken("x") for given in chain.send(event)]
    assert given == [*spoken()[:2], FAILED]
    assert chain.ended is None


def test_a_filter_may_mend_the_answer() -> None:
    mends = Ends(lambda event: isinstance(event, StreamError))
    chain = FilterChain([mends], checked=True)
    events = [*spoken("a")[:3], FAILED]
    given = [given for event in events for given in chain.send(event)]
    assert given[3:] == [
        PartEnd(0, "incomplete"),
        MessageEnd("content_filter"),
        StreamEnd(),
    ]
    assert chain.ended == MessageEnd("content_filter")


def _opened(choice: int = 0, start: int = 0) -> list[Event]:
    calls: tuple[Part, ...] = (
        ToolCallPart(call_id="a", name="f"),
        ToolCallPart(call_id="b", name="f"),
        ToolCallPart(call_id="c", name="f", kind="custom"),
        TextPart(""),
    )
    return [
        *(PartStart(start + at, part, choice) for at, part in enumerate(calls)),
        ArgumentsDelta(start, '{"a":'),
        ArgumentsDelta(start, "1}"),
        ArgumentsDelta(start + 1, '{"a":'),
        ArgumentsDelta(start + 2, "1"),
    ]


def test_parts_left_open_are_closed_by_what_they_hold() -> None:
    events = [MessageStart(), *_opened(), *_opened(1, 4), PartEnd(7), Ping()]
    done: list[Event] = [
        *(PartEnd(at) for at in (4, 5, 6)),
        MessageEnd("end", choice=1),
    ]
    events[-1:-1] = done
    assert sent(events, Ends(lambda event: isinstance(event, Ping)))[-6:] == [
        PartEnd(0),
        PartEnd(1, "incomplete"),
        PartEnd(2, "incomplete"),
        PartEnd(3, "incomplete"),
        MessageEnd("content_filter"),
        StreamEnd(),
    ]


def test_every_open_choice_gets_its_end() -> None:
    texts = [PartStart(at, TextPart(""), at) for at in (0, 1)]
    assert sent([MessageStart(), *texts, Ping()], Ends(lambda e: isinstance(e, Ping)))[
        3:
    ] == [
        PartEnd(0, "incomplete"),
        MessageEnd("content_filter"),
        PartEnd(1, "incomplete"),
        MessageEnd("content_filter", choice=1),
        StreamEnd(),
    ]


@pytest.mark.parametrize("before", [[], [MessageStart()]])
def test_an_answer_ends_before_it_says_anything(before: list[Event]) -> None:
    ends = Ends(lambda event: isinstance(event, Ping))
    assert sent([*before, Ping()], ends) == [
        MessageStart(),
        MessageEnd("content_filter"),
        StreamEnd(),
    ]


def test_a_filter_may_end_one_choice_alone() -> None:
    cut = MessageEnd("content_filter", choice=1)
    events = [MessageStart(), *_opened(1), PartStart(4, TextPart("")), Ping()]
    given = sent(events, Ends(lambda event: isinstance(event, Ping), cut))
    assert given[-5:] == [
        PartEnd(0),
        *(PartEnd(at, "incomplete") for at in (1, 2, 3)),
        cut,
    ]


@given(st.data(), sentences("openai-chat"))
def test_wherever_a_filter_ends_the_answer_is_whole(
    data: st.DataObject, events: list[Event]
) -> None:
    at = data.draw(st.integers(0, len(events)))
    left = at

    def count(event: Event) -> bool:
        nonlocal left
        left -= 1
        return left < 0

    given = sent(events, Ends(count))
    check(given)
    assert given[:at] == events[:at]


def test_a_checked_chain_names_the_filter() -> None:
    class Broken:
        def __call__(self, event: Event) -> Sequence[Event]:
            return () if isinstance(event, PartEnd) else (event,)

    def lazy(event: Event) -> Sequence[Event]:
        return () if isinstance(event, MessageEnd) else (event,)

    with pytest.raises(LocalProtocolError, match=r"^filter Broken: MessageEnd with"):
        sent(spoken("a"), shouted, Broken(), doubled)
    with pytest.raises(LocalProtocolError, match=r"^filter lazy: StreamEnd without"):
        sent(spoken("a"), shouted, lazy, doubled)
    with pytest.raises(LocalProtocolError, match=r"^what is sent to the filters: "):
        sent(spoken("a")[1:], Broken())


@given(responses("gemini"))
def test_run_is_the_fold_of_what_the_filters_give(response: Response) -> None:
    assert run((), response) == fold(unfold(response)) == response


def test_run_keeps_the_usage_of_what_was_cut() -> None:
    usage = Usage(fresh=3, output=5)
    response = Response(choices=(Choice(parts=(TextPart("a"),), stop="end"),))
    cut = Response(
        choices=(
            Choice(parts=(TextPart("", incomplete=True),), stop="content_filter"),
        ),
        usage=usage,
    )
    with_usage = Response(choices=response.choices, usage=usage)
    assert run([Ends(is_text)], with_usage) == cut
    assert run([shouted], response).choices[0].parts == (TextPart("A"),)
    first = Seen(UsageUpdate)
    run([first], with_usage)
    assert first.seen == [UsageUpdate(usage), StreamEnd()]


def test_run_raises_what_a_filter_fails() -> None:
    response = Response(choices=(Choice(parts=(TextPart("a"),)),))
    with pytest.raises(RemoteProtocolError, match="it failed"):
        run([Ends(is_text, FAILED)], response)


def test_an_end_that_comes_with_what_was_held_cannot_be_kept() -> None:
    def kept(event: Event) -> Sequence[Event]:
        return () if isinstance(event, StreamEnd) else (event,)

    events = spoken("x", "y")
    unended = [event for event in events if not isinstance(event, StreamEnd)]
    chain = FilterChain([Held(), kept])
    given = [each for event in events for each in chain.send(event)]
    assert given == [*unended, StreamEnd()]
    assert chain.done


class Held:
    """Gives the end of a choice with the end of the answer."""

    def __init__(self) -> None:
        self.kept: list[Event] = []

    def __call__(self, event: Event) -> Sequence[Event]:
        if isinstance(event, MessageEnd):
            self.kept.append(event)
            return ()
        return [*self.kept, event] if isinstance(event, StreamEnd) else (event,)
