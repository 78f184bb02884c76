"""Tests of `llmwire.filters._text_to_calls`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from llmwire._fold import fold
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
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.filters import FilterChain, _tool_call
from llmwire.filters._text_to_calls import TextToCalls
from llmwire.filters._tool_markup import syntax_of
from llmwire.filters._tool_tags import Markup
from llmwire.messages import (
    APIError,
    Citation,
    Part,
    ReasoningPart,
    Response,
    Signature,
    StopReason,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)
from llmwire.strategies import sentences
from tests.filters.calling import DECLARED, SOUP, read
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

MARKUP = Markup(DECLARED, syntax_of("cline"))
CALL = "<read>\n<path>a</path>\n</read>"
FAILED = StreamError(APIError(kind="internal", message="it failed"))


def parser(turn: int = 3, taken: Iterable[str] = ()) -> TextToCalls:
    return TextToCalls(MARKUP, turn, frozenset(taken))


def called(number: int = 0, **changes: Any) -> ToolCallPart:
    part = ToolCallPart(
        call_id=f"call_3_{number}", name="read", arguments='{"path":"a"}'
    )
    return replace(part, **changes)


def parts(*pieces: str) -> tuple[Part, ...]:
    return only(folded(spoken(*pieces), parser())).parts


@given(st.data(), texts_of(SOUP, 20))
def test_any_split_means_the_same(data: st.DataObject, text: str) -> None:
    whole = folded(spoken(text), parser())
    assert folded(spoken(*data.draw(cuts(text))), parser()) == whole
    assert folded(spoken(*text), parser()) == whole


@given(texts_of(SOUP, 20))
def test_parts_are_what_the_reader_finds(text: str) -> None:
    tokens = read(MARKUP, [text])
    found = parts(text)
    told = [part.text for part in found if isinstance(part, TextPart)]
    assert [each for each in told if each] == [t for t in tokens if isinstance(t, str)]
    starts = [t.name for t in tokens if isinstance(t, _tool_call.CallStart)]
    assert [p.name for p in found if isinstance(p, ToolCallPart)] == starts


@given(sentences())
def test_any_sentence_stays_one(events: Sequence[Event]) -> None:
    """And means the same, where no call stands in it."""
    given = sent(events, parser())
    if isinstance(events[-1], StreamEnd):
        assert _plain(fold(given)) == _plain(fold(events))
    assert sent(one_by_one(events), parser())[-1] == given[-1]


def _plain(response: Response) -> Response:
    """Without what a stream cannot tell twice the same: the order of parts."""
    return replace(
        response,
        choices=tuple(
            replace(choice, parts=tuple(sorted(choice.parts, key=repr)))
            for choice in response.choices
        ),
    )


@given(texts_of(SOUP, 20))
def test_it_is_idempotent(text: str) -> None:
    once = sent(spoken(text), parser())
    assert fold(sent(once, parser())) == fold(once)


@given(texts_of(SOUP, 20))
def test_little_is_held(text: str) -> None:
    each = parser()
    for event in spoken(*text)[:-3]:
        each(event)
        assert each.held <= 1024
    for event in spoken()[-3:]:
        each(event)
    assert each.held == 0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", [TextPart("a")]),
        ("", [TextPart("")]),
        (" ", [TextPart(" ")]),
        (CALL, [called()]),
        (f"\n{CALL}\n", [called()]),
        (f"a\n\n{CALL}", [TextPart("a\n\n"), called()]),
        (f"{CALL}\nb", [called(), TextPart("\nb")]),
        (
            f"a\n{CALL}\n{CALL} b\n{CALL}",
            [TextPart("a\n"), called(), called(1), TextPart(" b\n"), called(2)],
        ),
        (
            "<read><path>a",
            [called(arguments='{"path":"a', incomplete=True)],
        ),
        (
            "<patch><input>\nx\n</input></patch>",
            [called(name="patch", arguments="x", kind="custom")],
        ),
    ],
)
def test_parts(text: str, found: list[Part]) -> None:
    assert parts(text) == tuple(found)
    assert parts(*text) == tuple(found)


@pytest.mark.parametrize(
    ("text", "stop", "ends"),
    [
        ("a", "end", "end"),
        (CALL, "end", "tool_use"),
        (CALL, "stop_sequence", "tool_use"),
        (CALL, "other", "tool_use"),
        (CALL, "max_tokens", "max_tokens"),
        (CALL, "content_filter", "content_filter"),
        (f"{CALL}<read><path>", "end", "max_tokens"),
        (f"{CALL}<read><path>", "tool_use", "max_tokens"),
        (f"{CALL}<read><path>", "refusal", "refusal"),
        (f'<free encoding="json">{{"a"}}</free>{CALL}', "end", "max_tokens"),
    ],
)
def test_why_it_ends(text: str, stop: StopReason, ends: StopReason) -> None:
    events = spoken(text)
    events[-2] = MessageEnd(stop, "raw", "s" if stop == "stop_sequence" else None)
    given = sent(events, parser())[-2]
    assert isinstance(given, MessageEnd) and given.stop == ends
    assert given == events[-2] or (given.raw is given.stop_sequence is None)


def test_ids_that_are_taken_are_left_out() -> None:
    given = folded(spoken(CALL, CALL), parser(taken=("call_3_0", "call_3_2")))
    ids = [p.call_id for p in only(given).parts if isinstance(p, ToolCallPart)]
    assert ids == ["call_3_1", "call_3_3"]


def test_the_first_text_is_the_part_that_came_in() -> None:
    first = TextPart("", id="i", group=4, phase="commentary")
    for text, home in ((f"a\n{CALL}\nb", 0), (f"{CALL}\nb", 1)):
        events = [*spoken()[:1], PartStart(0, first), *spoken(text)[2:]]
        found = only(folded(events, parser())).parts
        ids = [part.id for part in found]
        assert ids.index("i") == home and ids.count("i") == 1


def test_a_part_may_open_with_text() -> None:
    events = [*spoken()[:1], PartStart(0, TextPart(f"a\n{CALL}")), *spoken()[2:]]
    assert only(folded(events, parser())).parts == (TextPart("a\n"), called())


def test_other_parts_and_choices() -> None:
    events = said(
        MessageStart(),
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, CALL),
        PartEnd(0),
        PartStart(1, TextPart("")),
        PartStart(2, TextPart(""), 1),
        TextDelta(1, CALL),
        TextDelta(2, f"b\n{CALL}"),
        PartStart(3, ToolCallPart(call_id="n", name="f", arguments="{}")),
        PartEnd(1),
        PartEnd(2),
        PartEnd(3),
        MessageEnd("end"),
        MessageEnd("end", choice=1),
        StreamEnd(),
    )
    first, second = folded(events, parser()).choices
    native = ToolCallPart(call_id="n", name="f", arguments="{}")
    assert first.parts == (ReasoningPart(text=CALL), called(), native)
    assert second.parts == (TextPart("b\n"), called(1))
    assert first.stop == second.stop == "tool_use"


def test_a_silent_text_goes_out_before_the_next_part() -> None:
    events = said(
        MessageStart(),
        PartStart(0, TextPart("")),
        PartStart(1, TextPart("x")),
        TextDelta(0, "a"),
        PartEnd(0),
        PartEnd(1),
        MessageEnd("end"),
        StreamEnd(),
    )
    assert sent(events, parser())[1:4] == [
        PartStart(0, TextPart("")),
        PartStart(1, TextPart("")),
        TextDelta(1, "x"),
    ]


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("", [TextPart("")]),
        ("a\n<re", [TextPart("a\n<re")]),
        ("<read><path>x", [called(arguments='{"path":"x', incomplete=True)]),
        (CALL, [called()]),
    ],
)
def test_what_is_held_is_said_before_an_error(text: str, given: list[Part]) -> None:
    events = sent([*spoken(text)[:3], FAILED], parser())
    assert events[-1] == FAILED
    closed = [*events[:-1], MessageEnd("end"), StreamEnd()]
    opened = {e.index for e in events if isinstance(e, PartStart)}
    opened -= {e.index for e in events if isinstance(e, PartEnd)}
    closed[-2:-2] = [PartEnd(index) for index in opened]
    assert only(fold(closed)).parts == tuple(given)


class TestWhatNamesThePart:
    CITED = CitationDelta(0, Citation(kind="url", url="u", start=1, end=2))
    TOKENS = LogprobsDelta(0, (TokenLogprob("a", -1.0),))
    SIGNED = SignatureDelta(0, Signature(origin="gemini", value="s"))
    EXTRA = Extra({"x": Raw(b"1")}, index=0)

    def parts(self, *events: Event) -> tuple[tuple[Part, ...], TextToCalls]:
        each = parser()
        sentence = [*spoken()[:2], *events, MessageEnd("end"), StreamEnd()]
        return only(folded(sentence, each)).parts, each

    def test_it_waits_for_the_text(self) -> None:
        events = said(self.SIGNED, self.CITED, self.EXTRA, TextDelta(0, "ab"))
        (part,), each = self.parts(*events, PartEnd(0), self.SIGNED)
        assert isinstance(part, TextPart)
        assert part.citations == (self.CITED.citation,)
        assert part.signature == self.SIGNED.signature
        assert part.extras == self.EXTRA.extras
        assert each.losses == ()

    def test_a_call_gets_it_where_there_is_no_text(self) -> None:
        for events in (
            said(self.SIGNED, self.CITED, TextDelta(0, CALL), PartEnd(0)),
            said(TextDelta(0, CALL), PartEnd(0), self.SIGNED, self.CITED),
        ):
            (part,), each = self.parts(*events)
            assert part == called(signature=self.SIGNED.signature)
            assert [(loss.path, loss.feature, loss.action) for loss in each.losses] == [
                ("choices[0].citations", "filter.virtual_tools", "dropped")
            ]

    def test_the_last_text_gets_it_and_places_are_lost(self) -> None:
        found, each = self.parts(
            TextDelta(0, f"a\n{CALL}b"), self.CITED, PartEnd(0), self.TOKENS
        )
        cited = Citation(kind="url", url="u")
        tokens = self.TOKENS.tokens
        text = TextPart("b", citations=(cited,), logprobs=tokens)
        assert found == (TextPart("a\n"), called(), text)
        assert [(loss.path, loss.action) for loss in each.losses] == [
            ("choices[0].citations", "approximated")
        ]

    @pytest.mark.parametrize("text", [CALL, " ", f"{CALL}<read>"])
    def test_not_too_much_waits(self, text: str) -> None:
        events = [*spoken(text)[:3], *[self.SIGNED] * 3000]
        chain = FilterChain([parser()], checked=True)
        given = [each for event in events for each in chain.send(event)]
        assert len(given) > 1900
        found, _ = self.parts(*events[2:], TextDelta(0, "b"), PartEnd(0))
        assert found[-1].signature == self.SIGNED.signature

    def test_what_names_no_part_passes(self) -> None:
        extra = Extra({"x": Raw(b"1")}, choice=0)
        assert parser()(extra) == (extra,)


def test_long_values_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tool_call, "MOST_WAITING", 5)
    each = parser()
    folded(spoken("a\n<write><lines>[1, 2, 3]</lines></write>"), each)
    (loss,) = each.losses
    assert (loss.path, loss.action) == ("choices[0].parts[1].arguments", "approximated")


def test_the_status_of_a_text_stays() -> None:
    events = spoken(f"{CALL}b")
    events[-3] = PartEnd(0, "incomplete")
    assert only(folded(events, parser())).parts[-1] == TextPart("b", incomplete=True)
