"""Tests of the options of `llmwire.filters.think`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._fold import fold
from llmwire.errors import LocalProtocolError
from llmwire.events import (
    CitationDelta,
    Event,
    LogprobsDelta,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    ReasoningDelta,
    SignatureDelta,
    StreamEnd,
    TextDelta,
)
from llmwire.filters import Filter, FilterChain, run
from llmwire.filters.think import (
    TOOL_OPENERS,
    ThinkTagFilter,
    Thought,
    ThoughtFinding,
    split_thoughts,
    think_filter,
)
from llmwire.messages import (
    Choice,
    Citation,
    Part,
    ReasoningPart,
    Response,
    Signature,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)
from llmwire.requests import Request
from llmwire.strategies import responses, sentences
from tests.counting import bytecodes
from tests.filters.laws import cuts, folded, only, said, sent, spoken, texts_of

PIECES = (
    *("<think>", "</think>", "<thinking>", "</Thinking>", "<tool_call>", "<think x>"),
    *("[A]", "[/A]", "<thi", "nk>", "</", "think>", "<", " ", "\n", "\n\n", "a", "b c"),
)
TEXTS = texts_of(PIECES, 8)
PAIRS = ("think", "thinking")
OPTIONS = st.fixed_dictionaries(
    {
        "implicit_open": st.booleans(),
        "retroactive": st.sampled_from((0, 0, 300)),
        "tool_openers": st.sampled_from(((), ("<tool_call>",))),
        "trim": st.booleans(),
    }
)


def made(**options: Any) -> Any:
    """The filter that the factory makes."""
    return think_filter(options.pop("pairs", PAIRS), **options)(Request())


def whole(text: str, options: dict[str, Any]) -> tuple[list[Thought], str]:
    """What `split_thoughts` says."""
    given = {**options, "retroactive": bool(options["retroactive"])}
    split = split_thoughts(text, PAIRS, **given)
    return list(split.thoughts), split.text


def parts_of(parts: Sequence[Part]) -> tuple[list[Thought], str]:
    thoughts = [
        Thought(part.text or "", not part.incomplete)
        for part in parts
        if isinstance(part, ReasoningPart)
    ]
    return thoughts, "".join(p.text for p in parts if isinstance(p, TextPart))


@given(st.data(), TEXTS, OPTIONS)
def test_a_stream_is_split_as_a_whole_text_is(
    data: st.DataObject, text: str, options: dict[str, Any]
) -> None:
    expected = whole(text, options)
    for pieces in (data.draw(cuts(text)), [text], list(text)):
        think = made(**options)
        choice = only(folded(spoken(*pieces), think))
        assert parts_of(choice.parts) == expected
        assert think.losses == ()
        split = split_thoughts(
            text, PAIRS, **{**options, "retroactive": bool(options["retroactive"])}
        )
        assert [f.kind for f in think.findings] == [f.kind for f in split.findings]
        assert [f.start for f in think.findings] == [f.start for f in split.findings]


@given(st.data(), TEXTS, OPTIONS)
def test_drop_leaves_the_same_text(
    data: st.DataObject, text: str, options: dict[str, Any]
) -> None:
    thoughts, rest = whole(text, options)
    for pieces in (data.draw(cuts(text)), list(text)):
        think = made(mode="drop", **options)
        choice = only(folded(spoken(*pieces), think))
        assert parts_of(choice.parts) == ([], rest)
        size = sum(len(thought.text) for thought in thoughts)
        told = [(loss.path, loss.feature, loss.action) for loss in think.losses]
        row = ("choices[0].parts[0]", "filter.think", "dropped")
        assert told == [row] * bool(size)
        assert all(f"{size} characters" in loss.reason for loss in think.losses)


@given(st.data(), TEXTS, OPTIONS)
def test_keep_changes_nothing(
    data: st.DataObject, text: str, options: dict[str, Any]
) -> None:
    events = spoken(*data.draw(cuts(text)))
    kept, moved = made(mode="keep", **options), made(**options)
    assert sent(events, kept) == events
    sent(events, moved)
    assert kept.findings == moved.findings


@given(sentences("openai-responses", choices=3), OPTIONS, st.booleans())
def test_the_answer_is_grammatical(
    events: list[Event], options: dict[str, Any], promote: bool
) -> None:
    pairs = [("<", ">"), ("a", "a"), ("e", " ")]
    options["tool_openers"] = ("o",) if options["tool_openers"] else ()
    for mode in ("move", "drop", "keep"):
        think = made(pairs=pairs, mode=mode, promote_if_no_content=promote, **options)
        given = sent(events, think)
        assert mode != "keep" or given == events


@given(sentences("openai-chat", choices=1), OPTIONS)
def test_clean_answers_fold_alike(events: list[Event], options: dict[str, Any]) -> None:
    options["implicit_open"] = False
    given = sent(events, made(pairs=[("\x01\x02", "\x02\x01")], **options))
    if isinstance(events[-1], StreamEnd):
        assert fold(given) == fold(events)


@given(responses("anthropic"))
def test_whole_answers(response: Response) -> None:
    pairs = [("\x01\x02", "\x02\x01")]
    assert run([made(pairs=pairs)], response) == response
    assert run([made(pairs=pairs, mode="keep")], response) == response


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("<think>a\n</think>b", "a"),
        ("<think>a\nb\n\n</think>b", "a\nb\n"),
        ("<think>a\n\nc</think>b", "a\n\nc"),
    ],
)
def test_line_feeds_at_every_split(text: str, thought: str) -> None:
    for pieces in (list(text), [text[:9], text[9:]], [text[:8], text[8:9], text[9:]]):
        choice = only(folded(spoken(*pieces), made()))
        assert choice.parts == (ReasoningPart(text=thought), TextPart("b"))


def test_the_text_that_is_left_is_clean() -> None:
    once = folded(spoken("<think>\na\n</think>\n\nb"), made())
    assert only(once).parts == (ReasoningPart(text="a"), TextPart("b"))
    assert run([made()], once) == once


class TestFindings:
    """What was found, and where."""

    @pytest.mark.parametrize(
        ("text", "kind", "start", "end", "opening"),
        [
            (" <think x>a</think>b", "complete", 0, 19, "<think x>"),
            ("<think>a<tool_call>b", "call", 0, 8, "<think>"),
            ("<think>a", "unfinished", 0, 8, "<think>"),
            ("a</think>b", "unpaired", 1, 1, ""),
        ],
    )
    @pytest.mark.parametrize("mode", ["move", "drop", "keep"])
    def test_all_kinds(
        self, text: str, kind: Any, start: int, end: int, opening: str, mode: str
    ) -> None:
        think = made(mode=mode, tool_openers=TOOL_OPENERS)
        sent(spoken(*text), think)
        path = "choices[0].parts[0]"
        assert think.findings == (ThoughtFinding(path, kind, start, end, opening),)

    def test_not_too_many_are_kept(self) -> None:
        for mode in ("move", "keep"):
            think = made(mode=mode)
            sent(spoken("<think>a</think>" * 100), think)
            assert len(think.findings) == 64

    @pytest.mark.parametrize("mode", ["move", "drop", "keep"])
    def test_places_are_those_of_what_came_in(self, mode: str) -> None:
        events = said(
            MessageStart(),
            PartStart(0, ReasoningPart(text="x")),
            PartEnd(0),
            PartStart(1, TextPart("<think>a"), 1),
            PartStart(2, TextPart("<think>b")),
            PartEnd(1),
            PartEnd(2),
            MessageEnd("end"),
            MessageEnd("end", choice=1),
            StreamEnd(),
        )
        think = made(mode=mode)
        sent(events, think)
        paths = [finding.path for finding in think.findings]
        assert paths == ["choices[1].parts[0]", "choices[0].parts[1]"]

    def test_an_error_ends_what_is_open(self) -> None:
        think = made(mode="keep")
        chain = FilterChain([think], checked=True)
        for event in spoken("<think>a")[:3]:
            chain.send(event)
        think(StreamEnd())
        assert [finding.kind for finding in think.findings] == ["unfinished"]
        assert think(StreamEnd()) == (StreamEnd(),)


class TestDrop:
    """What came with a thought goes with it."""

    TOKENS = LogprobsDelta(0, (TokenLogprob("a", -1.0),))
    SIGNED = SignatureDelta(0, Signature(origin="gemini", value="s"))

    def send(self, *events: Event) -> list[Event]:
        head: list[Event] = [MessageStart(), PartStart(0, TextPart(""))]
        tail: list[Event] = [PartEnd(0), MessageEnd("end"), StreamEnd()]
        return sent([*head, *events, *tail], made(mode="drop"))

    def test_its_tokens(self) -> None:
        given = self.send(
            TextDelta(0, "<think>"),
            self.TOKENS,
            TextDelta(0, "a"),
            self.TOKENS,
            TextDelta(0, "</think>b"),
            self.TOKENS,
        )
        assert given[1:-2] == [
            PartStart(0, TextPart("")),
            TextDelta(0, "b"),
            self.TOKENS,
            PartEnd(0),
        ]

    def test_its_signature_if_there_is_no_text(self) -> None:
        given = self.send(TextDelta(0, "<think>a"), self.SIGNED)
        assert given == [MessageStart(), MessageEnd("end"), StreamEnd()]
        given = self.send(TextDelta(0, "<think>a</think>b"), self.SIGNED)
        assert self.SIGNED in given

    def test_not_too_much_waits(self) -> None:
        given = self.send(TextDelta(0, "<think>a"), *[self.SIGNED] * 2000)
        assert given == [MessageStart(), MessageEnd("end"), StreamEnd()]


@pytest.mark.parametrize("mode", ["move", "drop"])
def test_a_part_without_any_content_is_kept_for_what_names_it(mode: str) -> None:
    events = spoken("<think></think>")
    events.insert(3, TestDrop.SIGNED)
    assert sent(events, made(mode=mode)) == [*events[:2], *events[3:]]


class TestRetroactive:
    """What is held back waits with what names it."""

    def test_a_closing_tag_makes_a_thought_of_it(self) -> None:
        given = sent(spoken("ab", "c</th", "ink>", "d"), made(retroactive=100))
        assert given[1:5] == [
            PartStart(0, ReasoningPart()),
            ReasoningDelta(0, "abc"),
            PartEnd(0),
            PartStart(1, TextPart("")),
        ]

    def test_text_goes_by_as_it_came_once_it_is_text(self) -> None:
        events = spoken(*"abcdefgh")
        assert sent(events, made(retroactive=5)) == events
        assert sent(events, made(retroactive=500)) == events

    @pytest.mark.parametrize("mode", ["move", "keep"])
    def test_only_the_first_part_of_a_choice(self, mode: str) -> None:
        head = [*spoken("a")[:4], PartStart(1, TextPart("")), TextDelta(1, "b</think>")]
        think = made(mode=mode, retroactive=100)
        assert sent(head, think) == head
        assert list(think(PartEnd(1))) == [PartEnd(1)]
        assert [finding.kind for finding in think.findings] == ["unpaired"]

    def test_a_call_before_it_means_text(self) -> None:
        events = spoken("a<tool_call>b</think>c")
        think = made(retroactive=100, tool_openers=TOOL_OPENERS)
        assert sent(events, think) == events

    def test_many_small_pieces(self) -> None:
        think = made(retroactive=3000)
        given = folded(spoken(*["a"] * 2500, "</think>b"), think)
        assert only(given).parts == (ReasoningPart(text="a" * 2500), TextPart("b"))

    def test_empty_pieces_decide_as_well(self) -> None:
        think = made(retroactive=3)
        chain = FilterChain([think], checked=True)
        events = [*spoken()[:2], *[TextDelta(0, "")] * 2000]
        given = [each for event in events for each in chain.send(event)]
        assert given == events

    def test_empty_pieces_among_others(self) -> None:
        think = made(retroactive=2000, pairs=["think"])
        pieces = ["a", ""] * 1600
        chain = FilterChain([think], checked=True)
        events = spoken(*pieces)[:-3]
        given = [each for event in events for each in chain.send(event)]
        assert given == events


class TestPromotion:
    """An answer that is nothing but a thought is said again."""

    @pytest.mark.parametrize("mode", ["move", "drop"])
    def test_as_a_text(self, mode: str) -> None:
        think = made(mode=mode, implicit_open=True, promote_if_no_content=True)
        given = only(folded(spoken("Fo", "ur."), think))
        thought = ReasoningPart(text="Four.", incomplete=True)
        assert given.parts == (thought,) * (mode == "move") + (TextPart("Four."),)
        *_, loss = think.losses
        place = f"choices[0].parts[{int(mode == 'move')}]"
        told = (loss.path, loss.feature, loss.action)
        assert told == (place, "filter.think", "emulated")

    def test_one_that_was_cut_off_is_incomplete(self) -> None:
        think = made(implicit_open=True, promote_if_no_content=True)
        *_, text = only(folded(spoken("Fo", stop="max_tokens"), think)).parts
        assert text == TextPart("Fo", incomplete=True)

    @pytest.mark.parametrize("text", ["a</think>", "a</think>b", "", " ", "</think>"])
    def test_not_where_the_thought_ends_or_nothing_is_said(self, text: str) -> None:
        options = {"implicit_open": True}
        think = made(promote_if_no_content=True, **options)
        assert sent(spoken(text), think) == sent(spoken(text), made(**options))

    def test_not_where_it_is_too_long(self) -> None:
        for size, parts in ((65536, 2), (65537, 1)):
            think = made(implicit_open=True, promote_if_no_content=True)
            given = only(folded(spoken("a" * 9000, "a" * (size - 9000)), think))
            assert len(given.parts) == parts

    def test_only_the_last_thought_counts(self) -> None:
        think = made(promote_if_no_content=True)
        text = "<think>" + "a" * 60000 + "</think><think>" + "b" * 60000
        *_, last = only(folded(spoken(text), think)).parts
        assert last == TextPart("b" * 60000)

    def test_not_where_there_is_a_call(self) -> None:
        events = spoken("<think>a")
        call = PartStart(1, ToolCallPart(call_id="c", name="f"))
        events[-2:-2] = [call, PartEnd(1)]
        think = made(promote_if_no_content=True)
        assert sent(events, think) == sent(events, made())

    def test_not_by_default(self) -> None:
        given = only(folded(spoken("<think>a"), made()))
        assert given.parts == (ReasoningPart(text="a", incomplete=True),)


def test_places_behind_every_mark_are_counted_anew() -> None:
    text = "<|START_THINKING|>a<|END_THINKING|><|START_TEXT|>bcd<|END_TEXT|>ef"
    marked = text.index("bcd")
    behind = text.index("ef")
    events = spoken(text)
    places = ((marked + 1, behind), (behind + 1, None), (0, marked))
    cited = [Citation(kind="url", start=start, end=end) for start, end in places]
    events[-3:-3] = [CitationDelta(0, each) for each in cited]
    given = only(folded(events, made(pairs=["cohere"]))).parts[-1]
    assert isinstance(given, TextPart)
    assert given.text == "bcdef"
    found = [(each.start, each.end) for each in given.citations]
    assert found == [(1, 3), (4, None), (0, 0)]


def test_a_call_out_of_a_thought() -> None:
    text = "<think>\nI call.\n<tool_call>{}</tool_call>\n</think>\nDone."
    think = made(tool_openers=TOOL_OPENERS)
    given = only(folded(spoken(*text), think)).parts
    calling = TextPart("<tool_call>{}</tool_call>\n\nDone.")
    assert given == (ReasoningPart(text="I call.\n"), calling)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "hide"},
        {"retroactive": -1},
        {"retroactive": 65537},
        {"tool_openers": ("",)},
        {"tool_openers": "<tool_call>"},
        {"pairs": ["unknown"]},
        {"pairs": [("", "a")]},
    ],
)
def test_mistakes_are_told_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        think_filter(**options)


def test_each_answer_has_its_own_filter() -> None:
    factory = think_filter()
    filters: list[Filter | None] = [factory(Request()), factory(Request())]
    assert isinstance(filters[0], ThinkTagFilter)
    assert filters[0] is not filters[1]


def test_a_complete_answer() -> None:
    text = Choice(parts=(TextPart("<think>a</think>b"),), stop="end")
    (choice,) = run([made()], Response(choices=(text,))).choices
    assert choice.parts == (ReasoningPart(text="a"), TextPart("b"))


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "<think>",
        "<think>a</think>",
        "<think>a</thin",
        "<think x",
        "</think>",
        " ",
        "\n",
        "<",
        "<think>a\n",
    ],
)
@pytest.mark.parametrize("options", [{}, {"implicit_open": True, "retroactive": 200}])
@pytest.mark.parametrize("one", [True, False])
def test_twice_the_text_is_twice_the_work(
    piece: str, options: dict[str, Any], one: bool
) -> None:
    def prepare(size: int) -> Callable[[], object]:
        text = (piece * size)[:size]
        events = spoken(*(text if one else [text]))
        return lambda: [think(e) for think in (made(**options),) for e in events]

    assert bytecodes(prepare(1600)) <= 2.3 * bytecodes(prepare(800)) + 5000
