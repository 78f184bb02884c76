"""Tests of `llmwire.filters.think`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from llmwire._fold import fold, unfold
from llmwire.events import (
    CitationDelta,
    Event,
    Extra,
    LogprobsDelta,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    ReasoningDelta,
    RefusalDelta,
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.filters import FilterChain
from llmwire.filters.think import ThinkTagFilter
from llmwire.grammar import check
from llmwire.messages import (
    APIError,
    Citation,
    Part,
    ReasoningPart,
    RefusalPart,
    Signature,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)
from llmwire.strategies import responses, sentences
from tests.filters.laws import (
    cuts,
    folded,
    one_by_one,
    only,
    said,
    sent,
    spoken,
    texts_of,
)

TAGS = (("<think>", "</think>"), ("[T]", "[/T]"))
PIECES = (
    *("<think>", "</think>", "[T]", "[/T]", "<thi", "nk>", "</", "think>", "[", "<"),
    *(" ", "\n", "\n\n", "a", "b c", "é"),
)
TEXTS = texts_of(PIECES)
FAILED = StreamError(APIError(kind="internal", message="it failed"))
_WHITE = 256


def parted(text: str, *, implicit: bool = False) -> list[Part]:
    """What `text` means, read as a whole."""
    parts: list[Part] = []
    closings: tuple[str, ...] = tuple(closing for _, closing in TAGS)
    thinking, fresh, rest = False, True, text
    while True:
        if not thinking:
            bare = rest.lstrip()
            found = [pair for pair in TAGS if bare.startswith(pair[0])]
            if not found and not (implicit and fresh and bare):
                break
            if found:
                rest = bare[len(found[0][0]) :]
                closings = (found[0][1],)
            thinking, fresh = True, False
        ends = [at for closing in closings if (at := rest.find(closing)) >= 0]
        thought = rest[: min(ends)] if ends else rest
        if thought.strip():
            parts.append(ReasoningPart(text=thought, incomplete=not ends))
        if not ends:
            return parts
        closing = next(c for c in closings if rest.startswith(c, len(thought)))
        rest, thinking = rest[len(thought) + len(closing) :], False
    if fresh or rest.strip():
        parts.append(TextPart(rest))
    return parts


@given(st.data(), TEXTS, st.booleans())
def test_any_split_means_the_same(
    data: st.DataObject, text: str, implicit: bool
) -> None:
    expected = tuple(parted(text, implicit=implicit))
    for pieces in (data.draw(cuts(text)), [text], list(text)):
        think = ThinkTagFilter(TAGS, implicit_open=implicit)
        assert only(folded(spoken(*pieces), think)).parts == expected
        assert think.losses == ()


@given(st.data(), TEXTS, st.booleans())
def test_nothing_is_lost_or_doubled(
    data: st.DataObject, text: str, implicit: bool
) -> None:
    """Every character that is no white space, in order, but those of tags."""
    think = ThinkTagFilter(TAGS, implicit_open=implicit)
    given = "".join(
        event.text
        for event in sent(spoken(*data.draw(cuts(text))), think)
        if isinstance(event, (TextDelta, ReasoningDelta))
    )
    left, bare = "".join(given.split()), "".join(text.split())
    while bare:
        if left and left[0] == bare[0] and not _is_tag_taken(left, bare):
            left, bare = left[1:], bare[1:]
        else:
            tag = next(each for pair in TAGS for each in pair if bare.startswith(each))
            bare = bare[len(tag) :]
    assert not left


def _is_tag_taken(left: str, bare: str) -> bool:
    """Whether a tag stands in `bare` here that `left` does not have any more."""
    tags = [each for pair in TAGS for each in pair if bare.startswith(each)]
    return any(not left.startswith(each) for each in tags)


@given(st.data(), TEXTS, st.booleans())
def test_no_more_is_held_than_white_space_and_a_tag(
    data: st.DataObject, text: str, implicit: bool
) -> None:
    think = ThinkTagFilter(TAGS, implicit_open=implicit)
    for event in spoken(*data.draw(cuts(text)))[:-3]:
        think(event)
        assert think.held < _WHITE + len("</think>")


@given(sentences("openai-chat", choices=1))
def test_clean_answers_pass_event_for_event(events: list[Event]) -> None:
    think = ThinkTagFilter([("\x01\x02 never said", "</think>")])
    given = sent(events, think)
    check(given)
    assert _by_part(given) == _by_part(events)
    if isinstance(events[-1], StreamEnd):
        assert fold(given) == fold(events)


def _by_part(events: list[Event]) -> dict[int | None, list[Event]]:
    """The events of each part, and those of none: only a start may be late."""
    found: dict[int | None, list[Event]] = {}
    for event in events:
        found.setdefault(getattr(event, "index", None), []).append(event)
    return found


@pytest.mark.parametrize("pieces", [["Hello", " you"], ["\n\n", "Hello"], ["<", "b>"]])
def test_clean_text_passes_as_it_came(pieces: list[str]) -> None:
    given = sent(spoken(*pieces), ThinkTagFilter(TAGS))
    assert given == spoken(*pieces)


@given(sentences("openai-responses", choices=3), st.booleans())
def test_the_answer_is_grammatical(events: list[Event], implicit: bool) -> None:
    think = ThinkTagFilter([("<", ">"), ("a", "a"), ("e", " ")], implicit_open=implicit)
    check(sent(events, think))
    assert think.held == 0


@given(responses("anthropic"), st.booleans())
def test_any_split_folds_alike(response: object, implicit: bool) -> None:
    events = unfold(response)  # type: ignore[arg-type]  # what the strategy gives
    tags = [("<", ">"), ("a", "a"), ("The", "t")]
    whole = folded(events, ThinkTagFilter(tags, implicit_open=implicit))
    cut = folded(one_by_one(events), ThinkTagFilter(tags, implicit_open=implicit))
    assert cut == whole


def read(*pieces: str, implicit: bool = False) -> tuple[Part, ...]:
    """The parts of an answer of these pieces."""
    think = ThinkTagFilter(TAGS, implicit_open=implicit)
    return only(folded(spoken(*pieces), think)).parts


def thought(text: str, *, whole: bool = True) -> ReasoningPart:
    return ReasoningPart(text=text, incomplete=not whole)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>a</think>b", [thought("a"), TextPart("b")]),
        ("\n <think>\na\n</think>\n\nb", [thought("\na\n"), TextPart("\n\nb")]),
        ("<think>a</think>\n[T]b[/T] c", [thought("a"), thought("b"), TextPart(" c")]),
        ("<think>\n\n</think>\n\nb", [TextPart("\n\nb")]),
        ("<think></think>", []),
        ("<think>a</think>\n", [thought("a")]),
        ("<think>a</think> <thi", [thought("a"), TextPart(" <thi")]),
        ("<think>a", [thought("a", whole=False)]),
        ("<think>a</thi", [thought("a</thi", whole=False)]),
        ("<think>a[/T]</think>", [thought("a[/T]")]),
        ("<think>a<think>b</think>c", [thought("a<think>b"), TextPart("c")]),
        ("a <think>b</think>", [TextPart("a <think>b</think>")]),
        ("a</think>b", [TextPart("a</think>b")]),
        ("<thinking>a", [TextPart("<thinking>a")]),
        ("`<think>`a", [TextPart("`<think>`a")]),
        ("<thi", [TextPart("<thi")]),
        (" ", [TextPart(" ")]),
        ("", [TextPart("")]),
        (" " * 256 + "<think>a", [thought("a", whole=False)]),
        (" " * 257 + "<think>a", [TextPart(" " * 257 + "<think>a")]),
        ("[T]" + " " * 256 + "[/T]", []),
        ("[T]" + " " * 257 + "[/T]", [thought(" " * 257)]),
        ("[T]" + " " * 257, [thought(" " * 257, whole=False)]),
    ],
)
def test_where_thoughts_begin_and_end(text: str, parts: list[Part]) -> None:
    for pieces in ([text], list(text)):
        assert read(*pieces) == tuple(parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a</think>b", [thought("a"), TextPart("b")]),
        ("<think>a</think>b", [thought("a"), TextPart("b")]),
        ("a[/T]b</think>", [thought("a"), TextPart("b</think>")]),
        ("a[/T]<think>b</think>c", [thought("a"), thought("b"), TextPart("c")]),
        ("a", [thought("a", whole=False)]),
        ("<thi", [thought("<thi", whole=False)]),
        ("</th", [thought("</th", whole=False)]),
        ("</think>b", [TextPart("b")]),
        (" \n</think>", []),
        ("", [TextPart("")]),
        (" ", [TextPart(" ")]),
        (" " * 257 + "[T]a", [thought(" " * 257 + "[T]a", whole=False)]),
    ],
)
def test_an_implicit_opening(text: str, parts: list[Part]) -> None:
    for pieces in ([text], list(text)):
        assert read(*pieces, implicit=True) == tuple(parts)


def test_a_closing_tag_that_begins_another() -> None:
    """At the end of the part it is known which of them it is."""
    tags = [("<a>", "</a>"), ("<b>", "</a><b>c")]
    for pieces in (["x</a><b>"], list("x</a><b>")):
        think = ThinkTagFilter(tags, implicit_open=True)
        assert only(folded(spoken(*pieces), think)).parts == (thought("x"),)
    think = ThinkTagFilter([("<a>", "</a>"), ("<b>", "</a>bc")], implicit_open=True)
    given = only(folded(spoken("x</a>b"), think)).parts
    assert given == (thought("x"), TextPart("b"))


def test_only_the_first_part_of_a_choice_is_opened_implicitly() -> None:
    events: list[Event] = [
        MessageStart(),
        PartStart(0, RefusalPart("")),
        RefusalDelta(0, "no"),
        PartEnd(0),
        PartStart(1, TextPart("")),
        TextDelta(1, "a</think>"),
        PartEnd(1),
        PartStart(2, TextPart(""), 1),
        TextDelta(2, "a</think>"),
        PartEnd(2),
        MessageEnd("end"),
        MessageEnd("end", choice=1),
        StreamEnd(),
    ]
    given = folded(events, ThinkTagFilter(TAGS, implicit_open=True))
    assert [choice.parts for choice in given.choices] == [
        (RefusalPart("no"), TextPart("a</think>")),
        (thought("a"),),
    ]


def test_it_streams() -> None:
    given = sent(
        spoken("<th", "ink>a ", "b</", "think>", "\nc", "d"), ThinkTagFilter(TAGS)
    )
    assert given == [
        MessageStart(),
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "a "),
        ReasoningDelta(0, "b"),
        PartEnd(0),
        PartStart(1, TextPart("")),
        TextDelta(1, "\nc"),
        TextDelta(1, "d"),
        PartEnd(1),
        MessageEnd("end"),
        StreamEnd(),
    ]


def test_tags_that_say_nothing_are_ignored() -> None:
    think = ThinkTagFilter([("", "x"), ("x", "")])
    assert sent(spoken("x", "y"), think) == spoken("x", "y")


def test_an_empty_delta_stays() -> None:
    assert sent(spoken("", "a", ""), ThinkTagFilter(TAGS)) == spoken("", "a", "")
    given = sent(spoken("[T]", "", "a"), ThinkTagFilter(TAGS))
    assert given == sent(spoken("[T]", "a"), ThinkTagFilter(TAGS))


def test_text_that_a_part_starts_with() -> None:
    start = said(MessageStart(), PartStart(0, TextPart("<think>a")))
    given = only(folded([*start, *spoken("</think>b")[2:]], ThinkTagFilter(TAGS)))
    assert given.parts == (thought("a"), TextPart("b"))


def test_the_text_keeps_what_came_with_it() -> None:
    part = TextPart("", id="msg_1", group=4, phase="final_answer")
    events = said(MessageStart(), PartStart(0, part), *spoken("[T]a[/T]b")[2:])
    given = only(folded(events, ThinkTagFilter(TAGS)))
    assert given.parts == (thought("a"), replace(part, text="b"))


def test_later_parts_are_counted_anew() -> None:
    call = ToolCallPart(call_id="c", name="f")
    events = spoken("<think>a</think>b")
    more = said(PartStart(1, call), Extra({"x": Raw(b"1")}, index=1), PartEnd(1))
    given = sent([*events[:4], *more, *events[4:]], ThinkTagFilter(TAGS))
    assert given[-5:-2] == [
        PartStart(2, call),
        Extra({"x": Raw(b"1")}, index=2),
        PartEnd(2),
    ]


def test_another_part_decides_for_text() -> None:
    events = said(
        MessageStart(),
        PartStart(0, TextPart("")),
        TextDelta(0, "<thi"),
        PartStart(1, TextPart("")),
        TextDelta(0, "nk>"),
    )
    assert sent(events, ThinkTagFilter(TAGS)) == [*events[:3], events[4]]
    events[3] = PartStart(1, RefusalPart(""))
    assert sent(events, ThinkTagFilter(TAGS)) == events


def test_a_part_of_another_choice_decides_nothing() -> None:
    events = said(
        MessageStart(),
        PartStart(0, TextPart("")),
        TextDelta(0, "<thi"),
        PartStart(1, RefusalPart(""), 1),
        PartStart(2, TextPart("")),
        TextDelta(2, "b"),
    )
    events[4] = TextDelta(0, "nk>a")
    assert sent(events[:5], ThinkTagFilter(TAGS))[1:] == [
        PartStart(0, RefusalPart(""), 1),
        PartStart(1, ReasoningPart()),
        ReasoningDelta(1, "a"),
    ]


def test_a_text_between_its_thoughts_and_its_words_decides_nothing() -> None:
    events = said(
        *spoken("[T]a[/T] ")[:3],
        PartStart(1, RefusalPart("")),
        TextDelta(0, "b"),
    )
    assert sent(events, ThinkTagFilter(TAGS))[-3:] == [
        PartStart(1, RefusalPart("")),
        PartStart(2, TextPart("")),
        TextDelta(2, " b"),
    ]


class TestFailure:
    """What is held is said before an error."""

    @pytest.mark.parametrize(
        ("text", "events"),
        [
            ("", [PartStart(0, TextPart(""))]),
            ("<thi", [PartStart(0, TextPart("")), TextDelta(0, "<thi")]),
            ("a", [PartStart(0, TextPart("")), TextDelta(0, "a")]),
            ("[T] ", []),
            (
                "[T]a[/",
                [
                    PartStart(0, ReasoningPart()),
                    ReasoningDelta(0, "a"),
                    ReasoningDelta(0, "[/"),
                    PartEnd(0, "incomplete"),
                ],
            ),
        ],
    )
    def test_at_any_place(self, text: str, events: list[Event]) -> None:
        given = sent([*spoken(text)[:3], FAILED], ThinkTagFilter(TAGS))
        expected = said(MessageStart(), *events, FAILED)
        assert [e for e in given if e != TextDelta(0, "")] == expected


class TestWhatNamesThePart:
    """Annotations of a text that has thoughts in front."""

    CITED = CitationDelta(0, Citation(kind="url", url="u", start=10, end=12))
    TOKENS = LogprobsDelta(0, (TokenLogprob("a", -1.0),))
    SIGNED = SignatureDelta(0, Signature(origin="gemini", value="s"))

    def send(self, *events: Event) -> tuple[list[Event], ThinkTagFilter]:
        think = ThinkTagFilter(TAGS)
        return sent([*spoken()[:2], *events], think)[1:], think

    def test_it_waits_with_the_part(self) -> None:
        events = said(TextDelta(0, " "), self.TOKENS, self.CITED, TextDelta(0, "a"))
        assert self.send(*events)[0] == [PartStart(0, TextPart("")), *events]

    def test_tokens_go_to_what_is_open(self) -> None:
        given, _ = self.send(
            TextDelta(0, "[T]"),
            self.SIGNED,
            self.TOKENS,
            TextDelta(0, "a"),
            self.TOKENS,
            TextDelta(0, "[/T]"),
            self.TOKENS,
            TextDelta(0, "b"),
            self.TOKENS,
        )
        behind = LogprobsDelta(1, self.TOKENS.tokens)
        assert given == [
            PartStart(0, ReasoningPart()),
            self.TOKENS,
            ReasoningDelta(0, "a"),
            self.TOKENS,
            PartEnd(0),
            PartStart(1, TextPart("")),
            replace(self.SIGNED, index=1),
            behind,
            TextDelta(1, "b"),
            behind,
        ]

    def test_citations_count_from_the_text_that_goes_out(self) -> None:
        start = TextDelta(0, "[T]abc[/T]defgh")
        whole = CitationDelta(0, Citation(kind="url", url="u"))
        early = CitationDelta(0, Citation(kind="url", start=2, end=11))
        given, think = self.send(
            start, self.CITED, whole, early, PartEnd(0), self.CITED
        )
        cited = CitationDelta(1, Citation(kind="url", url="u", start=0, end=2))
        assert given[-5:] == [
            cited,
            replace(whole, index=1),
            CitationDelta(1, Citation(kind="url", start=0, end=1)),
            PartEnd(1),
            cited,
        ]
        assert think.losses == ()

    def test_thoughts_without_text_get_what_they_can_hold(self) -> None:
        extra = Extra({"x": Raw(b"1")}, index=0)
        given, think = self.send(
            TextDelta(0, "[T]a"),
            self.SIGNED,
            extra,
            self.CITED,
            PartEnd(0),
            self.SIGNED,
        )
        assert given == [
            PartStart(0, ReasoningPart()),
            ReasoningDelta(0, "a"),
            PartEnd(0, "incomplete"),
            self.SIGNED,
            extra,
            self.SIGNED,
        ]
        assert [(loss.path, loss.feature, loss.action) for loss in think.losses] == [
            ("choices[0].parts[0].citations", "citations", "dropped")
        ]

    def test_a_part_that_is_nothing_is_kept_for_them(self) -> None:
        given, _ = self.send(TextDelta(0, "[T] [/T] "), self.SIGNED, PartEnd(0))
        assert given == [
            PartStart(0, TextPart("")),
            self.SIGNED,
            TextDelta(0, " "),
            PartEnd(0),
        ]

    def test_nothing_can_be_said_of_a_part_that_never_was(self) -> None:
        given, think = self.send(
            TextDelta(0, "[T] [/T]"), PartEnd(0), self.SIGNED, self.CITED
        )
        assert given == []
        assert [loss.path for loss in think.losses] == ["choices[0].citations"]

    def test_what_names_the_choice_or_nothing_passes(self) -> None:
        extra = Extra({"x": Raw(b"1")}, choice=0)
        assert self.send(extra)[0] == [extra]

    @pytest.mark.parametrize("text", ["", "<thi", "[T]", "[T] ", "[T]a", "[T]a[/T]"])
    def test_not_too_much_waits(self, text: str) -> None:
        many = said(self.SIGNED, self.CITED) * 1000
        given, think = self.send(TextDelta(0, text), *many)
        assert len(given) > 500
        assert [loss.feature for loss in think.losses] in ([], ["citations"])
        chain = FilterChain([ThinkTagFilter(TAGS)], checked=True)
        for event in said(*spoken(text)[:3], *many, *spoken("b")[2:]):
            chain.send(event)

    def test_not_too_many_empty_deltas_wait(self) -> None:
        given, _ = self.send(*[TextDelta(0, "")] * 1025, TextDelta(0, "[T]a"))
        assert given[-1] == TextDelta(0, "[T]a")
