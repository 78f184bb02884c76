"""Answers that have to be JSON: valid ones untouched, others repaired or told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire._json_schema import violations
from llmwire.errors import LocalProtocolError
from llmwire.events import (
    Event,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.filters.structured import (
    Coercions,
    StructuredFilter,
    enforce,
    structured_filter,
)
from llmwire.losses import FEATURES
from llmwire.messages import (
    APIError,
    ReasoningPart,
    RefusalPart,
    StopReason,
    TextPart,
    ToolCallPart,
)
from llmwire.requests import OutputFormat, Request
from tests.filters.laws import cuts, folded, part, sent, spoken

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"anyOf": [{"type": "string", "maxLength": 1}, {"type": "array"}]},
    },
    "required": ["name"],
    "additionalProperties": False,
}
VALID = ['{"name": "a", "age": 3}', ' {\n"name": "caf\\u00e9 \\"x\\""}\n ']
REPAIRED = [
    ('```json\n{"name": "a"}\n```', '\n{"name": "a"}\n', "framing"),
    ('Here you are: {"name": "a"}', '{"name": "a"}', "framing"),
    ('{"name": "a",}', '{"name": "a"}', "trailing-comma"),
    ('{"name": "a\nb"}', '{"name": "a\\nb"}', "control-character"),
    ('{"name": "a", "age": "3"}', '{"name": "a", "age": 3}', "scalar-type"),
    ('{"name": "a"', '{"name": "a"}', "missing-closer"),
    ('{"Name": "a",}', '{"name": "a"}', "trailing-comma key-case"),
]
INVALID = [
    "",
    "I cannot do that.",
    '{"age": 3}',
    '{"name": "a", "age": "many"}',
    '{"name": "a"} {"name": "b"}',
    "[1]",
]


@pytest.mark.parametrize("text", VALID)
def test_what_is_valid_stays(text: str) -> None:
    for truncated in (False, True):
        result = enforce(text, SCHEMA, truncated=truncated)
        assert (result.status, result.text, result.rules) == ("valid", text, ())


@pytest.mark.parametrize(("text", "expected", "rules"), REPAIRED)
def test_repaired(text: str, expected: str, rules: str) -> None:
    result = enforce(text, SCHEMA)
    assert (result.status, result.text) == ("repaired", expected)
    assert " ".join(result.rules) == rules
    cut = enforce(text, SCHEMA, truncated=True)
    assert (cut.status, cut.text) == ("truncated", text)


@pytest.mark.parametrize("text", INVALID)
def test_what_is_not_sure_is_said(text: str) -> None:
    result = enforce(text, SCHEMA)
    assert (result.status, result.text) == ("invalid", text)
    assert result.problem and result.rules == ()


def test_what_the_schema_does_not_allow_is_told() -> None:
    result = enforce('{"age": 3}', SCHEMA)
    assert [v.path for v in result.violations] == ["$.name"]


def test_types_may_be_left_alone() -> None:
    text = '{"name": "a", "age": "3"}'
    assert enforce(text, SCHEMA, coercions=None).status == "invalid"
    drop = Coercions(drop_unknown=True)
    assert enforce('{"name": "a", "x": 1}', SCHEMA).status == "invalid"
    assert (
        enforce('{"name": "a", "x": 1}', SCHEMA, coercions=drop).text == '{"name": "a"}'
    )


def test_without_a_schema_any_object_will_do() -> None:
    assert enforce('{"x": 1}', None).status == "valid"
    assert enforce("{'x': 1}", None).text == '{"x": 1}'
    assert enforce("[1]", None).status == "invalid"
    assert enforce("[1]", {}).status == "valid"


def test_depth() -> None:
    deep = "[" * 50_000 + "]" * 50_000
    assert enforce(deep, {}).status == "invalid"
    assert enforce(deep, SCHEMA).problem


def outcome(events: list[Event], *options: Any, **more: Any) -> str:
    """The text that comes out, or `error`."""
    given_ = sent(events, StructuredFilter(SCHEMA, *options, **more))
    if isinstance(given_[-1], StreamError):
        error = given_[-1].error
        assert (error.kind, error.status) == ("bad_upstream", 502)
        return "error"
    return "".join(e.text for e in given_ if isinstance(e, TextDelta))


@pytest.mark.parametrize("text", VALID)
@pytest.mark.parametrize("mode", ["repair", "check"])
@pytest.mark.parametrize("hold", [False, True])
def test_valid_streams_stay(text: str, mode: Any, hold: bool) -> None:
    for pieces in ([text], list(text)):
        filter_ = StructuredFilter(SCHEMA, mode, hold=hold)
        assert folded(spoken(*pieces), filter_) == folded(spoken(*pieces))
        assert filter_.findings == () and filter_.losses == ()
        if mode == "check":
            events = spoken(*pieces)
            assert sent(events, StructuredFilter(SCHEMA, mode)) == events


@pytest.mark.parametrize(("text", "expected", "rules"), REPAIRED)
def test_repaired_in_a_stream(text: str, expected: str, rules: str) -> None:
    for pieces in ([text], list(text)):
        filter_ = StructuredFilter(SCHEMA)
        response = folded(spoken(*pieces), filter_)
        assert part(response) == TextPart(expected)
        assert [(f.path, f.status) for f in filter_.findings] == [
            ("choices[0]", "repaired")
        ]
        assert [loss.feature for loss in filter_.losses] == ["filter.structured"]
        again = StructuredFilter(SCHEMA)
        assert folded(spoken(expected), again) == response and not again.findings
        assert outcome(spoken(*pieces), "check") == "error"
        assert outcome(spoken(*pieces), "check", "pass") == text
    assert "filter.structured" in FEATURES


@pytest.mark.parametrize("text", INVALID)
@pytest.mark.parametrize("mode", ["repair", "check"])
@pytest.mark.parametrize("hold", [False, True])
def test_what_is_no_document_is_an_error(text: str, mode: Any, hold: bool) -> None:
    for pieces in ([text], list(text)):
        assert outcome(spoken(*pieces), mode, hold=hold) == "error"
        filter_ = StructuredFilter(SCHEMA, mode, "pass", hold=hold)
        assert folded(spoken(*pieces), filter_) == folded(spoken(*pieces))
        assert [f.status for f in filter_.findings] == ["invalid"]


def test_a_valid_text_waits_for_nothing() -> None:
    *begin, end, _, _ = spoken('{"name": "a"}')
    given_ = sent([*begin, end], StructuredFilter(SCHEMA))
    assert given_[-2:] == [TextDelta(0, '"}'), end]


def test_the_error_names_the_place_and_not_the_content() -> None:
    text = '{"name": "s3cret", "age": "s3cret"}'
    error = sent(spoken(text), StructuredFilter(SCHEMA))[-1]
    assert isinstance(error, StreamError)
    assert "`$.age` (type)" in error.error.message
    assert "s3cret" not in error.error.message


@pytest.mark.parametrize("mode", ["repair", "check"])
@pytest.mark.parametrize("hold", [False, True])
def test_what_was_cut_off_stays(mode: Any, hold: bool) -> None:
    text = '{"name": "a\\nb", "age": 3}'
    ends: list[StopReason] = [
        "max_tokens",
        "stop_sequence",
        "content_filter",
        "refusal",
    ]
    for at in range(1, len(text)):
        for stop in ends:
            events = spoken(*text[:at], stop=stop)
            filter_ = StructuredFilter(SCHEMA, mode, hold=hold)
            assert folded(events, filter_) == folded(events)
            assert [f.status for f in filter_.findings] == ["truncated"]


def test_a_failing_stream_gives_all_that_came() -> None:
    failed = StreamError(APIError(kind="truncated", message="cut"))
    for text in ('{"name": "a"}', "prose"):
        given_ = sent([*spoken(text)[:3], failed], StructuredFilter(SCHEMA))
        assert "".join(e.text for e in given_ if isinstance(e, TextDelta)) == text
        assert given_[-1] == failed


def test_a_repair_keeps_what_has_gone_out() -> None:
    text = '{"name": "a", "tags": "xyz"}'
    for pieces in ([text], list(text)):
        assert outcome(spoken(*pieces)) == "error"
        expected = '{"name": "a", "tags": ["xyz"]}'
        assert outcome(spoken(*pieces), hold=True) == expected


OTHERS = [
    RefusalPart("No."),
    ToolCallPart(call_id="c", name="f"),
]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("mode", ["repair", "check"])
def test_refusals_and_calls_are_left_alone(other: Any, mode: Any) -> None:
    for first, last in (
        (["Let me ", "see."], []),
        (['{"name": 1}'], ["more"]),
        ([], ["x"]),
    ):
        events: list[Event] = [MessageStart()]
        index = 0
        if first:
            events.append(PartStart(0, TextPart("")))
            events += [TextDelta(0, piece) for piece in first]
            events.append(PartEnd(0))
            index = 1
        events += [PartStart(index, other), PartEnd(index)]
        if last:
            events += [PartStart(index + 1, TextPart(last[0])), PartEnd(index + 1)]
        events += [MessageEnd("end"), StreamEnd()]
        filter_ = StructuredFilter(SCHEMA, mode)
        assert folded(events, filter_) == folded(events)
        assert filter_.findings == ()


def test_a_call_beside_an_open_text() -> None:
    call = ToolCallPart(call_id="c", name="f")
    events: list[Event] = [
        MessageStart(),
        PartStart(0, TextPart("")),
        TextDelta(0, "Let me"),
        PartStart(1, call),
        TextDelta(0, " see"),
        PartEnd(0),
        PartEnd(1),
        MessageEnd("tool_use"),
        StreamEnd(),
    ]
    assert folded(events, StructuredFilter(SCHEMA)) == folded(events)


def test_what_is_no_text_is_no_document() -> None:
    events: list[Event] = [
        MessageStart(),
        PartStart(0, ReasoningPart(text="hm")),
        PartEnd(0),
        PartStart(1, TextPart("I think", phase="commentary")),
        TextDelta(1, " so"),
        PartEnd(1),
        MessageEnd("end"),
        StreamEnd(),
    ]
    assert sent(events, StructuredFilter(SCHEMA)) == events
    events[-2:-2] = [
        PartStart(2, TextPart('{"name": ')),
        TextDelta(2, '"a",}'),
        PartEnd(2),
    ]
    texts = folded(events, StructuredFilter(SCHEMA)).choices[0].parts
    assert texts[-1] == TextPart('{"name": "a"}')
    empty: list[Event] = [MessageStart(), MessageEnd("end"), StreamEnd()]
    assert sent(empty, StructuredFilter(SCHEMA)) == empty


@pytest.mark.parametrize(
    ("first", "second", "valid"),
    [
        ('{"name": ', '"a"}', True),
        ("Here it is:", '{"name": "a"}', True),
        ('{"name": ', '"a",}', False),
        ('{"name": "a"}', "That is it.", False),
        ("x", "y", False),
    ],
)
@pytest.mark.parametrize("mode", ["repair", "check"])
def test_several_texts(first: str, second: str, valid: bool, mode: Any) -> None:
    events: list[Event] = [
        MessageStart(),
        PartStart(0, TextPart("")),
        TextDelta(0, first),
        PartEnd(0),
        PartStart(1, TextPart(second)),
        PartEnd(1),
        MessageEnd("end"),
        StreamEnd(),
    ]
    if valid:
        assert folded(events, StructuredFilter(SCHEMA, mode)) == folded(events)
    else:
        assert isinstance(sent(events, StructuredFilter(SCHEMA, mode))[-1], StreamError)
        filter_ = StructuredFilter(SCHEMA, mode, "pass")
        assert folded(events, filter_) == folded(events)


def test_choices_are_apart() -> None:
    events: list[Event] = [
        MessageStart(),
        PartStart(0, TextPart(""), 0),
        PartStart(1, TextPart("```\n"), 1),
        TextDelta(1, '{"name": "b"}'),
        TextDelta(0, '{"name": "a",'),
        PartEnd(1),
        MessageEnd("end", choice=1),
        PartEnd(0),
        MessageEnd("max_tokens"),
        StreamEnd(),
    ]
    filter_ = StructuredFilter(SCHEMA)
    texts = [choice.parts for choice in folded(events, filter_).choices]
    assert texts == [(TextPart('{"name": "a",'),), (TextPart('\n{"name": "b"}'),)]
    assert [(f.path, f.status) for f in filter_.findings] == [
        ("choices[1]", "repaired"),
        ("choices[0]", "truncated"),
    ]


@pytest.mark.parametrize("mode", ["repair", "check"])
def test_what_is_looked_at_is_bounded(mode: Any) -> None:
    text = "x" * 300
    for pieces in ([text], list(text)):
        filter_ = StructuredFilter(SCHEMA, mode, "pass", max_size=100)
        events = spoken(*pieces)
        assert folded(events, filter_) == folded(events)
        assert [f.problem for f in filter_.findings] == [
            "longer than what is looked at"
        ]
        assert outcome(events, mode, max_size=100) == "error"


def test_findings_are_bounded() -> None:
    events: list[Event] = [MessageStart()]
    for at in range(70):
        events += [PartStart(at, TextPart("x"), at), PartEnd(at)]
        events.append(MessageEnd("end", choice=at))
    filter_ = StructuredFilter(SCHEMA, "check", "pass")
    sent([*events, StreamEnd()], filter_)
    assert len(filter_.findings) == 64


def made(output: OutputFormat | None, **more: Any) -> Any:
    return structured_filter()(Request(output=output, **more))


def test_the_factory() -> None:
    assert made(None) is None
    for kind in ("text", "enum", "opaque"):
        assert made(OutputFormat(kind=kind)) is None
    schema = Raw(json.dumps(SCHEMA).encode())
    wanted = OutputFormat(kind="json_schema", schema=schema)
    text = '{"name": "a", "tags": "xyz"}'
    for stream, failed in ((True, True), (False, False), (None, False)):
        last = sent(spoken(text), made(wanted, stream=stream))[-1]
        assert isinstance(last, StreamError) is failed
    for raw in (None, Raw(b"[1]"), Raw(b"{")):
        filter_ = made(OutputFormat(kind="json_schema", schema=raw))
        assert sent(spoken("[1]"), filter_)[-1] == StreamEnd()
    filter_ = made(OutputFormat(kind="json_object"))
    assert isinstance(sent(spoken("[1]"), filter_)[-1], StreamError)
    make = structured_filter(hold=True, coercions=None)
    held = make(Request(output=wanted, stream=True))
    assert held is not None
    assert isinstance(sent(spoken(text), held)[-1], StreamError)


@pytest.mark.parametrize(
    "options", [{"mode": "x"}, {"action": "drop"}, {"max_size": -1}]
)
def test_options_are_checked_at_once(options: Any) -> None:
    with pytest.raises(LocalProtocolError):
        structured_filter(**options)
    with pytest.raises(LocalProtocolError):
        StructuredFilter(SCHEMA, **options)


ALL = [*VALID, *(text for text, _, _ in REPAIRED), *INVALID]


@given(
    st.sampled_from(ALL).flatmap(lambda text: st.tuples(st.just(text), cuts(text))),
    st.sampled_from(["end", "max_tokens"]),
    st.sampled_from(["repair", "check"]),
    st.sampled_from(["error", "pass"]),
    st.booleans(),
)
def test_pieces_do_not_matter(
    given_: tuple[str, list[str]], stop: Any, mode: Any, action: Any, hold: bool
) -> None:
    text, pieces = given_
    told = []
    for cut in ([text], pieces):
        filter_ = StructuredFilter(SCHEMA, mode, action, hold=hold)
        events = sent(spoken(*cut, stop=stop), filter_)
        failed = isinstance(events[-1], StreamError)
        told.append(
            (events[-1] if failed else folded(events), filter_.findings, filter_.losses)
        )
    assert told[0] == told[1]


@given(st.text("{}[]\":,nameg123\\ \n'`", max_size=30))
def test_what_ends_properly_is_what_was_asked_for(text: str) -> None:
    found = outcome(spoken(*text))
    if found != "error":
        assert not violations(json.loads(found), SCHEMA)
