"""Tests of `llmwire.filters._calls_to_text`, and of both directions together."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from msgspec import Raw
from msgspec.structs import replace

from llmwire._fold import fold
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
    SignatureDelta,
    StreamEnd,
    TextDelta,
)
from llmwire.filters._calls_to_text import CallsToText
from llmwire.filters._text_to_calls import TextToCalls
from llmwire.filters._tool_markup import syntax_of
from llmwire.filters._tool_tags import Markup
from llmwire.messages import (
    Signature,
    StopReason,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)
from llmwire.strategies import sentences
from tests.filters.calling import DECLARED, call
from tests.filters.laws import called, folded, one_by_one, only, said, sent, spoken

ARGUMENTS = '{"path": "a", "content": "x\\ny"}'
WRITTEN = "<write>\n<path>a</path>\n<content>x\ny</content>\n</write>"


def writer(format: str = "cline", *, one_call: bool = False) -> CallsToText:
    return CallsToText(DECLARED, syntax_of(format), one_call=one_call)


def texts(events: Sequence[Event], **options: Any) -> list[str]:
    parts = only(folded(events, writer(**options))).parts
    assert all(isinstance(part, TextPart) for part in parts)
    return [part.text for part in parts if isinstance(part, TextPart)]


@pytest.mark.parametrize("format", ["cline", "function_calls"])
def test_both_directions_undo_each_other(format: str) -> None:
    """But for values that look like the end of themselves, which are left out here."""
    rng = random.Random(5)
    syntax = syntax_of(format)
    markup = Markup(DECLARED, syntax)
    for number in range(3000):
        asked = [call(rng, DECLARED) for _ in range(rng.randrange(1, 3))]
        asked = [each for each in asked if _is_plain(*each, format=format)]
        events: list[Event] = [MessageStart()]
        for index, (tool, arguments) in enumerate(asked):
            kind: Any = "custom" if tool.custom else "function"
            part = ToolCallPart(call_id=f"call_0_{index}", name=tool.name, kind=kind)
            growth = ArgumentsDelta(index, arguments)
            events += said(PartStart(index, part), growth, PartEnd(index))
        events += said(MessageEnd("tool_use" if asked else "end"), StreamEnd())
        expected = only(folded(events))
        split = one_by_one(events) if number % 4 == 0 else events
        given = sent(split, writer(format), TextToCalls(markup, 0))
        choice = only(fold(given))
        assert choice.stop == expected.stop
        for got, want in zip(choice.parts, expected.parts, strict=True):
            assert isinstance(got, ToolCallPart) and isinstance(want, ToolCallPart)
            assert (got.name, got.call_id, got.kind) == (
                want.name, want.call_id, want.kind
            )  # fmt: skip
            if got.kind == "custom":
                assert got.arguments == want.arguments
            else:
                assert json.loads(got.arguments) == json.loads(want.arguments or "{}")


def _is_plain(tool: Any, arguments: str, *, format: str) -> bool:
    """Whether markup without escapes can say it: every type is known and given."""
    if tool.custom:
        return "</" not in arguments and arguments != ""
    if format == "cline" and tool.name.startswith("mcp__"):
        return True
    for name, value in json.loads(arguments).items():
        kinds = tool.parameters.get(name)
        kind = {str: "string", bool: "boolean", int: "integer", list: "array"}.get(
            type(value), "null" if value is None else "other"
        )
        if kinds is None or kind not in kinds or len(kinds - {"null", kind}):
            return False
        if "</" in json.dumps(value):
            return False
    return True


@given(sentences())
def test_any_sentence_stays_one(events: Sequence[Event]) -> None:
    for each in (writer(), writer("function_calls", one_call=True)):
        given = sent(events, each)
        assert sent(one_by_one(events), replace_of(each))[-1] == given[-1]
        if not any(_is_call(event) for event in events):
            assert given == list(events)
        assert sent(given, replace_of(each)) == given


def replace_of(each: CallsToText) -> CallsToText:
    """Another one like it."""
    return CallsToText(DECLARED, each._syntax, one_call=each._one_call)


def _is_call(event: Event) -> bool:
    return isinstance(event, PartStart) and isinstance(event.part, ToolCallPart)


def test_a_call_is_a_text() -> None:
    for pieces in ([ARGUMENTS], list(ARGUMENTS)):
        events = called(*pieces, name="write")
        assert texts(events) == [WRITTEN]
        assert only(folded(events, writer())).stop == "end"


def test_values_stream() -> None:
    events = called('{"content": "x', "y", "z\\", 'n"}', name="write")
    grown = [e.text for e in sent(events, writer()) if isinstance(e, TextDelta)]
    assert grown == [
        "<write>\n", "<content>x", "y", "z", "\n\n</content>\n", "</write>"
    ]  # fmt: skip


def test_a_call_may_open_with_arguments() -> None:
    part = ToolCallPart(call_id="c", name="write", arguments=ARGUMENTS)
    events = [MessageStart(), PartStart(0, part), *called()[-3:]]
    assert texts(events) == [WRITTEN]


@pytest.mark.parametrize(
    ("text", "lines"), [("a", "\n\n"), ("a\n", ""), ("", ""), ("a\n ", "\n\n")]
)
def test_it_stands_on_lines_of_its_own(text: str, lines: str) -> None:
    other = [replace(e, index=1) for e in called(ARGUMENTS, name="write")[1:-2]]
    for pieces in ([text], list(text)):
        events = [*spoken(*pieces)[:-2], *other, MessageEnd("tool_use"), StreamEnd()]
        assert texts(events) == [text, lines + WRITTEN]
    opened = [MessageStart(), PartStart(0, TextPart(text)), PartEnd(0), *events[-5:]]
    assert texts(opened) == [text, lines + WRITTEN]


def _two() -> list[Event]:
    part = ToolCallPart(call_id="c", name="write")
    return said(
        MessageStart(),
        PartStart(0, part),
        PartStart(1, part),
        ArgumentsDelta(1, ARGUMENTS),
        ArgumentsDelta(0, ARGUMENTS),
        PartEnd(0),
        PartEnd(1),
        PartStart(2, TextPart("z")),
        PartEnd(2),
        PartStart(3, part, 1),
        ArgumentsDelta(3, ARGUMENTS),
        PartEnd(3),
        MessageEnd("tool_use"),
        MessageEnd("tool_use", choice=1),
        StreamEnd(),
    )


def test_several_calls() -> None:
    first, second = folded(_two(), writer()).choices
    assert first.parts == tuple(map(TextPart, (WRITTEN, f"\n\n{WRITTEN}", "z")))
    assert second.parts == (TextPart(WRITTEN),)


def test_one_call_in_a_message() -> None:
    each = writer(one_call=True)
    first, second = folded(_two(), each).choices
    assert first.parts == (TextPart(WRITTEN), TextPart("z"))
    assert second.parts == (TextPart(WRITTEN),)
    assert [(loss.path, loss.feature, loss.action) for loss in each.losses] == [
        ("choices[0]", "filter.virtual_tools", "dropped")
    ]


def test_broken_calls_are_left_open() -> None:
    each = writer()
    events = called('{"path": "a', name="write", whole=False, stop="max_tokens")
    choice = only(folded(events, each))
    assert choice.parts == (TextPart("<write>\n<path>a", incomplete=True),)
    assert (choice.stop, each.losses) == ("max_tokens", ())


@pytest.mark.parametrize("stop", ["tool_use", "end"])
def test_broken_calls_are_no_proper_end(stop: StopReason) -> None:
    events = called('{"path": a', name="write", whole=False, stop=stop)
    assert only(folded(events, writer())).stop == "max_tokens"
    left = called('{"path": a', name="write", whole=False, stop="refusal")
    assert only(folded(left, writer())).stop == "refusal"


def test_dropped_calls_break_nothing() -> None:
    broken = ToolCallPart(call_id="d", name="write")
    events = [
        *called('{"path": "a"}', name="write")[:-2],
        *said(PartStart(1, broken), PartEnd(1, "incomplete")),
        *said(MessageEnd("tool_use"), StreamEnd()),
    ]
    assert only(folded(events, writer(one_call=True))).stop == "end"
    assert only(folded(events, writer())).stop == "max_tokens"


def test_arguments_that_are_no_object_are_told() -> None:
    each = writer()
    folded(called("[1]", name="write"), each)
    (loss,) = each.losses
    assert (loss.path, loss.action) == ("choices[0].parts[0]", "approximated")


def test_tools_that_are_not_known() -> None:
    assert texts(called('{"a": null}', name="other")) == [
        "<other>\n<a>null</a>\n</other>"
    ]


def test_what_names_a_call() -> None:
    signature = Signature(origin="gemini", value="s")
    part = ToolCallPart(call_id="c", name="read", signature=signature)
    tokens = LogprobsDelta(0, (TokenLogprob("a", -1.0),))
    later = SignatureDelta(0, Signature(origin="gemini", value="t"))
    extra = Extra({"x": Raw(b"1")}, choice=0)
    events = said(
        MessageStart(),
        PartStart(0, part),
        Extra({"x": Raw(b"1")}, index=0),
        OpaqueEvent("gemini", "x", Raw(b"{}"), index=0),
        tokens,
        later,
        extra,
        PartEnd(0),
        MessageEnd("end", "STOP"),
        StreamEnd(),
    )
    assert sent(events, writer())[1:] == [
        PartStart(0, TextPart("", signature=signature)),
        TextDelta(0, "<read>\n"),
        tokens,
        later,
        extra,
        TextDelta(0, "</read>"),
        PartEnd(0),
        MessageEnd("end", "STOP"),
        StreamEnd(),
    ]


def test_little_is_held() -> None:
    each = writer()
    for event in called(*ARGUMENTS, name="write")[:-3]:
        each(event)
        assert each.held <= 16
