"""Tests of `llmwire.filters.unwrap`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from llmwire._fold import unfold
from llmwire._parts import whole_arguments
from llmwire.events import (
    ArgumentsDelta,
    Event,
    Extra,
    LogprobsDelta,
    MessageEnd,
    MessageStart,
    OpaqueEvent,
    PartEnd,
    PartStart,
    Ping,
    SignatureDelta,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.filters import FilterChain, run
from llmwire.filters.unwrap import UnwrapFilter
from llmwire.messages import (
    APIError,
    Choice,
    Response,
    ServerToolCallPart,
    Signature,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)
from llmwire.strategies import argument_texts, responses, sentences, texts
from tests.filters.laws import (
    called,
    cuts,
    folded,
    one_by_one,
    only,
    part,
    said,
    sent,
    texts_of,
)

FAILED = StreamError(APIError(kind="internal", message="it failed"))
PIECES = (
    *('{"input":"', ' {\n"input" : "', '{"in', 'put":"', '"', '"}', '" }\n', "}", " "),
    *("\\n", "\\u00e9", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\", "\\x", "\\u12"),
    *("a", "é", "\n", "\t", ',"b":1', '{"b":1}'),
)

_ARGUMENTS = texts_of(PIECES, 8)


def undone(arguments: str) -> tuple[str, bool]:
    """What the arguments of a custom call mean, and whether that is certain."""
    try:
        pairs = json.loads(arguments, object_pairs_hook=lambda pairs: pairs)
    except ValueError:
        return arguments, False
    if not isinstance(pairs, list) or len(pairs) != 1 or pairs[0][0] != "input":
        return arguments, False
    (_, value), *_ = pairs
    if not isinstance(value, str):
        return arguments, False
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), True


def custom(*pieces: str) -> tuple[ToolCallPart, UnwrapFilter]:
    """A call of a custom tool with these arguments, and what undid it."""
    unwrap = UnwrapFilter({}, ("f",))
    whole = whole_arguments("".join(pieces))
    found = part(folded(called(*pieces, whole=whole), unwrap))
    assert isinstance(found, ToolCallPart)
    assert found.kind == "custom"
    return found, unwrap


class TestNames:
    """Names that were changed on the way out."""

    def test_they_are_given_back(self) -> None:
        names = UnwrapFilter({"a_b": "a.b"})
        assert part(folded(called("{}", name="a_b"), names)) == ToolCallPart(
            call_id="c", name="a.b", arguments="{}"
        )
        assert names.events == {PartStart}

    def test_others_stay(self) -> None:
        for name in ("f", "a.b"):
            given = sent(called("{}", name=name), UnwrapFilter({"a_b": "a.b"}))
            assert given == called("{}", name=name)

    def test_calls_of_the_server_stay(self) -> None:
        events = said(MessageStart(), PartStart(0, ServerToolCallPart(name="a_b")))
        assert sent(events, UnwrapFilter({"a_b": "a.b"})) == events

    def test_custom_calls_have_names_too(self) -> None:
        start = PartStart(0, ToolCallPart(call_id="c", name="a_b", kind="custom"))
        given = UnwrapFilter({"a_b": "a.b"}, ("a_b",))(start)
        assert given == (
            PartStart(0, ToolCallPart(call_id="c", name="a.b", kind="custom")),
        )

    @pytest.mark.parametrize("known", ["a.b", "a_b"])
    def test_a_custom_tool_is_known_by_either_name(self, known: str) -> None:
        unwrap = UnwrapFilter({"a_b": "a.b"}, (known,))
        given = part(folded(called('{"input":"x"}', name="a_b"), unwrap))
        assert given == ToolCallPart(
            call_id="c", name="a.b", arguments="x", kind="custom"
        )


class TestCustom:
    """Calls of custom tools that went as functions."""

    @given(st.data(), texts(), st.booleans())
    def test_the_text_comes_back_in_any_split(
        self, data: st.DataObject, text: str, plain: bool
    ) -> None:
        arguments = json.dumps({"input": text}, ensure_ascii=plain)
        found, unwrap = custom(*data.draw(cuts(arguments)))
        assert (found.arguments, found.incomplete) == (text, False)
        assert unwrap.losses == ()

    @given(st.data(), st.one_of(argument_texts(), _ARGUMENTS))
    def test_what_is_no_such_object_is_incomplete(
        self, data: st.DataObject, arguments: str
    ) -> None:
        expected, whole = undone(arguments)
        found, unwrap = custom(*data.draw(cuts(arguments)))
        assert found.incomplete is not whole
        assert bool(unwrap.losses) is not whole
        if whole:
            assert found.arguments == expected
        assert custom(*arguments)[0] == found

    @given(st.data(), _ARGUMENTS)
    def test_little_is_held(self, data: st.DataObject, arguments: str) -> None:
        unwrap = UnwrapFilter({}, ("f",))
        chain = FilterChain([unwrap])
        for event in called(*data.draw(cuts(arguments)))[:-3]:
            chain.send(event)
            assert unwrap.held <= 256
        chain.send(FAILED)
        assert unwrap.held == 0

    @pytest.mark.parametrize(
        ("arguments", "kept"),
        [
            ("", ""),
            ("{}", "{}"),
            ("null", "null"),
            ("free text", "free text"),
            ('{"other":"x"}', '{"other":"x"}'),
            ('{"input":5}', '{"input":5}'),
            ('{"input":"a', "a"),
            ('{"input":"a\\', "a\\"),
            ('{"input":"a\\u12', "a\\u12"),
            ('{"input":"a\\ud83d\\', "a\\ud83d\\"),
            ('{"input":"a"', "a"),
            ('{"input":"a" ', "a"),
            ('{"input":"a" b"}', 'a" b"}'),
            ('{"input":"a","b":1}', 'a","b":1}'),
            ('{"input":"a"}{"input":"b"}', 'a"}{"input":"b"}'),
            ('{"input":"a\nb"}', "a\nb"),
            ('{"input":"a\\xb"}', "a\\xb"),
            ('{"in', '{"in'),
        ],
    )
    def test_what_cannot_be_decoded_is_kept(self, arguments: str, kept: str) -> None:
        found, unwrap = custom(arguments)
        assert (found.arguments, found.incomplete) == (kept, True)
        (loss,) = unwrap.losses
        assert (loss.path, loss.feature) == (
            "choices[0].parts[0].arguments",
            "tool.custom",
        )

    @pytest.mark.parametrize(
        ("escaped", "text"),
        [
            ("\\ud83d", "\ufffd"),
            ("\\ude00", "\ufffd"),
            ("\\ud83dx", "\ufffdx"),
            ("\\ud83d\\n", "\ufffd\n"),
            ("\\ud83d\\ud83d\\ude00", "\ufffd😀"),
            ("\\ud83d\\u00e9", "\ufffdé"),
            ("\\uD83D\\uDE00", "😀"),
            ('\\"\\\\\\/\\b\\f\\n\\r\\t', '"\\/\b\f\n\r\t'),
        ],
    )
    def test_escapes(self, escaped: str, text: str) -> None:
        arguments = f'{{"input":"{escaped}"}}'
        for pieces in ([arguments], list(arguments)):
            assert custom(*pieces)[0].arguments == text
            assert not custom(*pieces)[0].incomplete

    @pytest.mark.parametrize("place", [0, 1, 8, 9, -1, -2, 300])
    def test_too_much_white_space_is_not_held(self, place: int) -> None:
        arguments = '{"input":"a"}'
        split = place if place >= 0 else len(arguments) + 1 + place
        arguments = f"{arguments[:split]}{' ' * 300}{arguments[split:]}"
        for pieces in ([arguments], list(arguments)):
            found, _ = custom(*pieces)
            assert found.incomplete
            assert found.arguments in (arguments, arguments[10:])

    def test_it_streams(self) -> None:
        unwrap = UnwrapFilter({}, ("f",))
        given = sent(called('{"inp', 'ut":"on', "e\\", 'ntwo"', "}"), unwrap)
        assert given[2:-3] == [
            ArgumentsDelta(0, piece) for piece in ("on", "e", "\ntwo")
        ]

    def test_the_source_may_know_better(self) -> None:
        unwrap = UnwrapFilter({}, ("f",))
        given = part(folded(called('{"input":"a"}', whole=False), unwrap))
        assert given.incomplete
        assert unwrap.losses == ()

    def test_arguments_that_a_call_starts_with(self) -> None:
        call = ToolCallPart(call_id="c", name="f", arguments='{"input":"a')
        start = said(MessageStart(), PartStart(0, call))
        rest = called('b"}')[2:]
        found = part(folded([*start, *rest], UnwrapFilter({}, ("f",))))
        assert found == replace(call, arguments="ab", kind="custom")

    def test_what_is_held_is_said_before_a_failure(self) -> None:
        events = [*called('{"input":"a\\')[:3], FAILED]
        given = sent(events, UnwrapFilter({}, ("f",)))
        assert given[2:] == [ArgumentsDelta(0, "a"), ArgumentsDelta(0, "\\"), FAILED]
        events = [*called('{"input":"a')[:3], FAILED]
        assert sent(events, UnwrapFilter({}, ("f",)))[2:] == [
            ArgumentsDelta(0, "a"),
            FAILED,
        ]

    def test_calls_may_interleave(self) -> None:
        calls = [ToolCallPart(call_id=each, name=each) for each in "fgh"]
        events: list[Event] = [
            MessageStart(),
            *(PartStart(at, call) for at, call in enumerate(calls)),
            ArgumentsDelta(0, '{"input'),
            ArgumentsDelta(1, '{"input":"b"}'),
            ArgumentsDelta(2, '{"input"'),
            ArgumentsDelta(0, '":"a"}'),
            ArgumentsDelta(2, ':"c"}'),
            *(PartEnd(at) for at in (2, 0, 1)),
            MessageEnd("tool_use"),
            StreamEnd(),
        ]
        parts = only(folded(events, UnwrapFilter({}, ("f", "h")))).parts
        assert [p.arguments for p in parts if isinstance(p, ToolCallPart)] == [
            "a",
            '{"input":"b"}',
            "c",
        ]


class TestAnswer:
    """A tool that stands for a JSON answer."""

    def test_its_arguments_are_the_text(self) -> None:
        answer = only(folded(called('{"a":', "1}"), UnwrapFilter({}, (), "f")))
        assert answer == Choice(parts=(TextPart('{"a":1}'),), stop="end")

    def test_the_source_word_goes_with_the_reason(self) -> None:
        events = called("{}")
        events[-2] = MessageEnd("tool_use", "tool_use")
        assert only(folded(events, UnwrapFilter({}, (), "f"))).raw is None

    @pytest.mark.parametrize("stop", ["max_tokens", "end"])
    def test_other_reasons_stay(self, stop: str) -> None:
        events = called("{}")
        end = MessageEnd(stop, "x")  # type: ignore[arg-type]  # both are words of it
        events[-2] = end
        assert sent(events, UnwrapFilter({}, (), "f"))[-2] is end

    def test_it_is_no_call_only_if_there_is_no_other(self) -> None:
        more = said(PartStart(1, ToolCallPart(call_id="d", name="g")), PartEnd(1))
        for at in (1, 4):
            events = called("{}")
            events[at:at] = more
            events = [_numbered(event, at == 1) for event in events]
            assert only(folded(events, UnwrapFilter({}, (), "f"))).stop == "tool_use"

    def test_without_it_nothing_changes(self) -> None:
        events = called("{}", name="g")
        assert sent(events, UnwrapFilter({}, ("x",), "f")) == events
        events = said(MessageStart(), MessageEnd("tool_use"), StreamEnd())
        assert sent(events, UnwrapFilter({}, (), "f")) == events

    def test_no_arguments_are_an_empty_object(self) -> None:
        assert part(folded(called(), UnwrapFilter({}, (), "f"))) == TextPart("{}")
        assert part(folded(called("", ""), UnwrapFilter({}, (), "f"))) == TextPart("{}")

    def test_arguments_that_are_no_json(self) -> None:
        found = part(folded(called("{", whole=False), UnwrapFilter({}, (), "f")))
        assert found == TextPart("{", incomplete=True)

    def test_arguments_that_the_call_starts_with(self) -> None:
        call = ToolCallPart(call_id="c", name="f", arguments='{"a"')
        events = [MessageStart(), PartStart(0, call), *called(":1}")[2:]]
        assert part(folded(events, UnwrapFilter({}, (), "f"))) == TextPart('{"a":1}')

    def test_only_what_a_text_has_is_kept(self) -> None:
        mark = Signature(origin="gemini", value="s")
        call = ToolCallPart(
            call_id="c",
            name="f",
            id="fc_1",
            group=3,
            signature=mark,
            extras={"caller": Raw(b"1")},
        )
        tokens = (TokenLogprob("{", -1.0),)
        later = Signature(origin="gemini", value="t")
        events: list[Event] = [
            MessageStart(),
            PartStart(0, call),
            Extra({"x": Raw(b"1")}, index=0),
            Extra({"y": Raw(b"1")}, choice=0),
            OpaqueEvent("gemini", "x", Raw(b"1"), 0),
            OpaqueEvent("gemini", "y", Raw(b"1")),
            ArgumentsDelta(0, "{}"),
            LogprobsDelta(0, tokens),
            SignatureDelta(0, later),
            PartEnd(0),
            MessageEnd("tool_use"),
            StreamEnd(),
        ]
        given = sent(events, UnwrapFilter({}, (), "f"))
        assert given[1:] == [
            PartStart(0, TextPart("", signature=mark)),
            Extra({"y": Raw(b"1")}, choice=0),
            OpaqueEvent("gemini", "y", Raw(b"1")),
            TextDelta(0, "{}"),
            *events[7:10],
            MessageEnd("end"),
            StreamEnd(),
        ]

    def test_choices_are_told_apart(self) -> None:
        call = ToolCallPart(call_id="c", name="f", arguments="{}")
        other = replace(call, name="g")
        response = Response(
            choices=(
                Choice(parts=(call,), stop="tool_use"),
                Choice(index=1, parts=(other, call), stop="tool_use"),
            )
        )
        given = run([UnwrapFilter({}, (), "f")], response)
        assert [choice.stop for choice in given.choices] == ["end", "tool_use"]
        assert given.choices[1].parts == (other, TextPart("{}"))


def _numbered(event: Event, swapped: bool) -> Event:
    """The event of one of two parts that changed places."""
    index: int | None = getattr(event, "index", None)
    if not swapped or index is None:
        return event
    return replace(event, index=1 - index)


def test_it_wants_only_what_it_needs() -> None:
    assert UnwrapFilter().events == frozenset()
    assert TextDelta not in UnwrapFilter({}, ("f",), "g").events
    ping = Ping()
    assert UnwrapFilter({}, ("f",))(ping) == (ping,)


@given(sentences("openai-responses"))
def test_clean_answers_pass_event_for_event(events: list[Event]) -> None:
    given = sent(events, UnwrapFilter({"x": "y"}, ("z",), "w"))
    assert len(given) == len(events)
    assert all(left is right for left, right in zip(given, events, strict=True))


@given(responses("anthropic"))
def test_any_split_folds_alike(response: Response) -> None:
    parts = [part for choice in response.choices for part in choice.parts]
    names = sorted({part.name for part in parts if isinstance(part, ToolCallPart)})
    first, second = [*names, "x", "x"][:2]
    events = unfold(response)
    whole = folded(events, UnwrapFilter({}, (first,), second))
    assert folded(one_by_one(events), UnwrapFilter({}, (first,), second)) == whole
