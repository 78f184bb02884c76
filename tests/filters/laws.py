"""What every filter owes, said once: splits, grammar, and how to send events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire._fold import fold
from llmwire.events import (
    ArgumentsDelta,
    Event,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    StreamEnd,
    TextDelta,
)
from llmwire.filters import Filter, FilterChain
from llmwire.messages import Choice, Part, Response, StopReason, TextPart, ToolCallPart


def sent(events: Iterable[Event], *filters: Filter) -> list[Event]:
    """What a checked chain makes of `events`."""
    chain = FilterChain(filters, checked=True)
    return [given for event in events for given in chain.send(event)]


def folded(events: Iterable[Event], *filters: Filter) -> Response:
    """The answer that a checked chain makes of `events`."""
    return fold(sent(events, *filters))


def said(*events: Event) -> list[Event]:
    """These events."""
    return list(events)


def cuts(text: str) -> st.SearchStrategy[list[str]]:
    """Divisions of `text`; some pieces are empty."""
    places = st.lists(st.integers(0, len(text)), max_size=6).map(sorted)
    some = places.map(lambda at: [text[a:b] for a, b in pairwise((0, *at, len(text)))])
    return st.one_of(some, st.sampled_from(([text], list(text))))


def texts_of(alphabet: Sequence[str], most: int = 12) -> st.SearchStrategy[str]:
    """Texts of these pieces."""
    return st.lists(st.sampled_from(alphabet), max_size=most).map("".join)


def one_by_one(events: Iterable[Event]) -> list[Event]:
    """`events` with every growth of text or arguments cut into single characters."""
    cut: list[Event] = []
    for event in events:
        if isinstance(event, (TextDelta, ArgumentsDelta)):
            cut += [replace(event, text=letter) for letter in event.text]
        else:
            cut.append(event)
    return cut


def spoken(*pieces: str, stop: StopReason = "end") -> list[Event]:
    """An answer of one text part that grows by `pieces`."""
    return [
        MessageStart(),
        PartStart(0, TextPart("")),
        *(TextDelta(0, piece) for piece in pieces),
        PartEnd(0),
        MessageEnd(stop),
        StreamEnd(),
    ]


def called(
    *pieces: str, name: str = "f", whole: bool = True, stop: StopReason = "tool_use"
) -> list[Event]:
    """An answer of one call whose arguments grow by `pieces`."""
    return [
        MessageStart(),
        PartStart(0, ToolCallPart(call_id="c", name=name)),
        *(ArgumentsDelta(0, piece) for piece in pieces),
        PartEnd(0, "complete" if whole else "incomplete"),
        MessageEnd(stop),
        StreamEnd(),
    ]


def only(response: Response) -> Choice:
    """The one choice of `response`."""
    (choice,) = response.choices
    return choice


def part(response: Response) -> Part:
    """The one part of the one choice of `response`."""
    (found,) = only(response).parts
    return found
