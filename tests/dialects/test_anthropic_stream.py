"""Messages streams: read as their sentences, written as the vendor would."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import Raw, Struct
from msgspec.structs import replace

from llmwire import _seal, profiles, strategies
from llmwire._fold import fold, unfold
from llmwire._ids import mint_call
from llmwire._json import decode_any, encode
from llmwire.dialects import ReplyTarget, ResponseSource, StreamReader, get
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
from llmwire.limits import Limits
from llmwire.losses import LossRecorder
from llmwire.messages import (
    APIError,
    Base64,
    Citation,
    MediaPart,
    OpaquePart,
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
    Url,
    Usage,
)
from llmwire.sse import Frame, FrameDecoder
from tests import oracle
from tests.sentences import StreamCase
from tests.sentences.anthropic import CASES
from tests.stream_law import normed

DIALECT = get("anthropic")
PROFILE = profiles.resolve("anthropic")
SOURCE = ResponseSource(profile=PROFILE)
SOURCES = (None, "openai-chat", "openai-responses", "gemini", "anthropic")
START = (
    '{"type":"message_start","message":{"id":"msg_a","type":"message",'
    '"role":"assistant","model":"m","content":[],"stop_reason":null,'
    '"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}}'
)
FINISH = (
    '{"type":"message_delta","delta":{"stop_reason":"end_turn",'
    '"stop_sequence":null},"usage":{"output_tokens":9}}'
)
STOP = '{"type":"message_stop"}'
BEGUN = MessageStart("msg_a", "m", None, Usage(fresh=3, output=1), "anthropic")
ENDED = (
    UsageUpdate(Usage(fresh=3, output=9)),
    MessageEnd("end", "end_turn"),
    StreamEnd(),
)


def wire(*texts: str) -> bytes:
    """Frames for JSON texts, without the events' names."""
    return "".join(f"data: {text}\n\n" for text in texts).encode()


def opened(index: int, block: str) -> str:
    return f'{{"type":"content_block_start","index":{index},"content_block":{block}}}'


def delta(index: int, inner: str) -> str:
    return f'{{"type":"content_block_delta","index":{index},"delta":{inner}}}'


def closed(index: int) -> str:
    return f'{{"type":"content_block_stop","index":{index}}}'


def reading(
    data: bytes, size: int | None = None, source: ResponseSource = SOURCE
) -> tuple[list[Event], StreamReader]:
    """The events of a stream that comes in chunks of `size` bytes."""
    reader = DIALECT.stream_reader(source, "sse")
    frames = FrameDecoder()
    events: list[Event] = []
    step = size or max(len(data), 1)
    for at in range(0, len(data), step):
        for frame in frames.receive_data(data[at : at + step]):
            events += reader.receive(frame)
    for frame in frames.receive_eof():
        events += reader.receive(frame)
    events += reader.receive_eof()
    return events, reader


def read(*texts: str) -> list[Event]:
    """The events of a whole stream of these JSON texts, which are checked."""
    events, _ = reading(wire(*texts))
    check(events)
    return events


def between(*texts: str) -> list[Event]:
    """What the blocks in the middle of an ordinary message read as."""
    events = read(START, *texts, FINISH, STOP)
    assert events[0] == BEGUN
    assert tuple(events[-3:]) == ENDED
    return events[1:-3]


def violations(*texts: str) -> dict[str, int]:
    _, reader = reading(wire(START, *texts, FINISH, STOP))
    return dict(reader.violations)


def target(**changes: Any) -> ReplyTarget:
    made = ReplyTarget(losses=LossRecorder(response=True), profile=PROFILE, seed="x")
    return replace(made, **changes)


def write(events: list[Event], to: ReplyTarget | None = None) -> bytes:
    return b"".join(map(DIALECT.stream_writer(to or target()).send, events))


def objects(data: bytes) -> list[Any]:
    """The frames' data; every event's name equals its type."""
    found = []
    for frame in FrameDecoder().receive_data(data):
        assert frame.data is not None
        value = json.loads(frame.data)
        assert frame.event == value["type"]
        found.append(value)
    return found


def blocks(events: list[Event], dialect: str | None = None) -> list[Any]:
    """The frames between start and end that these events are written as."""
    begin = MessageStart("m1", "m", None, Usage(fresh=1, output=1), dialect)
    end: list[Event] = [MessageEnd("end"), StreamEnd()]
    found = objects(write([begin, *events, *end]))
    assert found[0]["type"] == "message_start"
    assert [one["type"] for one in found[-2:]] == ["message_delta", "message_stop"]
    return found[1:-2]


def told(events: list[Event], dialect: str | None = None) -> set[tuple[str, str]]:
    """Feature and action of every loss that writing these events tells."""
    to = target()
    write([MessageStart("m1", "m", None, None, dialect), *events], to)
    return {(loss.feature, loss.action) for loss in to.losses.losses}


# The sentences


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sentences(case: StreamCase) -> None:
    events, reader = reading(case.wire)
    assert tuple(events) == case.events
    assert dict(reader.violations) == dict(case.violations)
    check(events)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sentences_in_any_division(case: StreamCase, ending: bytes) -> None:
    data = case.wire.replace(b"\n", ending)
    for size in (1, 2, 3, 7, 64, 1000):
        events, reader = reading(data, size)
        assert tuple(events) == case.events
        assert dict(reader.violations) == dict(case.violations)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sentences_cut_at_every_frame(case: StreamCase) -> None:
    frames = case.wire.split(b"\n\n")
    for count in range(len(frames)):
        events, reader = reading(b"".join(f + b"\n\n" for f in frames[:count]))
        check(events)
        assert reader.done
        whole = isinstance(events[-1], StreamEnd)
        assert whole or events[-1].error.kind == "truncated"  # type: ignore[union-attr]  # an error


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_own_streams_are_written_back(case: StreamCase) -> None:
    events, _ = reading(case.wire)
    written = write(events)
    again, reader = reading(written)
    assert normed(again) == normed(events)
    assert not reader.violations
    assert write(again) == written


# Reading


def test_nothing_is_truncated() -> None:
    events, reader = reading(b"")
    assert [type(event) for event in events] == [StreamError]
    assert reader.receive_eof() == []


def test_a_stop_reason_is_an_end() -> None:
    events, reader = reading(wire(START, FINISH))
    assert tuple(events[1:]) == ENDED
    assert reader.violations == {"missing-terminator": 1}


def test_no_stop_reason_at_all() -> None:
    events, reader = reading(wire(START, STOP))
    assert events[1:] == [MessageEnd("other"), StreamEnd()]
    assert reader.violations == {"terminator-without-finish": 1}


def test_pings_and_comments() -> None:
    events, _ = reading(b": hi\n\nevent: ping\n\n\n\nid: 3\n\n" + wire(START, STOP))
    assert events[:3] == [Ping(), Ping(), BEGUN]


def test_blank_data_and_done_say_nothing() -> None:
    events, reader = reading(
        wire(START, " ", "[DONE]", FINISH, STOP, "[DONE]", " ") + b": bye\n\n"
    )
    assert tuple(events) == (BEGUN, *ENDED)
    assert not reader.violations


def test_data_after_the_end_is_counted_once() -> None:
    _, reader = reading(wire(START, FINISH, STOP, STOP, "x"))
    assert reader.violations == {"after-end": 1}


def test_no_json_is_a_bad_upstream() -> None:
    events, _ = reading(wire(START, "nonsense", STOP))
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.kind == "bad_upstream"
    assert "nonsense" not in events[-1].error.message


def test_an_unfinished_last_frame_is_nothing() -> None:
    events, _ = reading(wire(START) + b'data: {"type":"mess')
    assert events[-1].error.kind == "truncated"  # type: ignore[union-attr]  # an error


def test_errors_end_the_stream() -> None:
    error = '{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'
    events, _ = reading(wire(START, error, STOP))
    found = events[-1]
    assert isinstance(found, StreamError)
    assert (found.error.kind, found.error.message) == ("overloaded", "busy")
    assert write(events).endswith(b"event: error\ndata: " + error.encode() + b"\n\n")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"error":{"message":"no","code":429}}', "rate_limit"),
        ('{"type":"error"}', "bad_upstream"),
        ('{"type":"error","error":5}', "bad_upstream"),
    ],
)
def test_errors_of_other_shapes(text: str, kind: str) -> None:
    events, _ = reading(wire(START, text))
    assert events[-1].error.kind == kind  # type: ignore[union-attr]  # an error


def test_an_error_that_is_no_frame() -> None:
    data = b'{"type":"error","error":{"type":"api_error","message":"x"}}\n\n'
    events, _ = reading(data)
    assert events[-1].error.kind == "internal"  # type: ignore[union-attr]  # an error
    events, _ = reading(b'{"a":1}\n\nfoo\n\n')
    assert events[-1].error.kind == "truncated"  # type: ignore[union-attr]  # an error


def test_the_name_of_the_event_stands_for_a_missing_type() -> None:
    data = b'event: content_block_delta\ndata: {"index":0,"delta":%b}\n\n' % (
        b'{"type":"text_delta","text":"a"}'
    )
    events, _ = reading(
        wire(START, opened(0, '{"type":"text","text":""}')) + data + wire(FINISH, STOP)
    )
    assert TextDelta(0, "a") in events
    broken = b'event: content_block_delta\ndata: {"index":0}\n\n'
    events, _ = reading(wire(START) + broken)
    assert events[-1].error.kind == "bad_upstream"  # type: ignore[union-attr]  # an error


def test_unknown_events_are_kept() -> None:
    new = '{"type":"x_new","x":1}'
    events = read(new, START, new, '{"x":2}', FINISH, STOP)
    assert events[1:4] == [
        OpaqueEvent("anthropic", "x_new", Raw(new.encode())),
        OpaqueEvent("anthropic", "x_new", Raw(new.encode())),
        OpaqueEvent("anthropic", "", Raw(b'{"x":2}')),
    ]
    assert normed(reading(write(events))[0]) == normed(events)


def test_strangers_of_the_message() -> None:
    start = START.replace('"model"', '"provider":"p","model"')
    end = FINISH.replace('"usage"', '"x":1,"context_management":{"a":1},"usage"')
    end = end.replace('"stop_sequence":null', '"container":{"id":"c"},"y":[]')
    events = read(start, end, '{"type":"message_stop","z":2}')
    late = {"container", "y", "context_management", "x"}
    assert [set(e.extras) for e in events if isinstance(e, Extra)] == [
        {"provider"},
        late,
        {"z"},
    ]
    assert normed(reading(write(events))[0]) == normed(events)
    bare = read(START, '{"type":"message_delta","delta":null,"x":1}', FINISH, STOP)
    assert Extra({"x": Raw(b"1")}) in bare


def test_what_a_start_says_without_a_form_is_nothing() -> None:
    start = (
        '{"type":"message_start","message":{"id":null,"model":null,"usage":null,'
        '"role":5,"type":"x","content":null,"stop_details":null}}'
    )
    assert read(start, FINISH, STOP)[0] == MessageStart(dialect="anthropic")


def test_a_start_that_holds_everything() -> None:
    start = START.replace('"content":[]', '"content":[{"type":"text","text":"a"}]')
    start = start.replace('"stop_reason":null', '"stop_reason":"refusal"')
    start = start.replace(
        '"stop_sequence":null', '"stop_sequence":"s","stop_details":{"a":1}'
    )
    assert read(start, STOP)[1:] == [
        PartStart(0, TextPart("")),
        TextDelta(0, "a"),
        PartEnd(0),
        MessageEnd("refusal", "refusal", "s", StopDetail(raw=Raw(b'{"a":1}'))),
        StreamEnd(),
    ]


def test_a_message_without_its_start() -> None:
    events, reader = reading(wire(opened(0, '{"type":"text","text":""}'), FINISH, STOP))
    assert events[0] == MessageStart(dialect="anthropic")
    assert reader.violations == {"missing-start": 1, "unclosed-block": 1}


def test_restart_with_nothing_known() -> None:
    again = '{"type":"message_start","message":{"x":1}}'
    assert between(again) == [Extra({"x": Raw(b"1")})]
    found = between(
        opened(0, '{"type":"server_tool_use","id":"s","name":"n","input":{}}'), again
    )
    assert found[1] == PartEnd(
        0, "incomplete", ServerToolCallPart(name="n", call_id="s")
    )


def test_tier_and_usage_change() -> None:
    start = START.replace('"output_tokens":1', '"service_tier":"standard"')
    end = FINISH.replace(
        '"output_tokens":9', '"output_tokens":9,"service_tier":"batch"'
    )
    events = read(start, end, STOP)
    assert [e for e in events if isinstance(e, ServiceTier)] == [
        ServiceTier("standard"),
        ServiceTier("batch"),
    ]
    assert normed(reading(write(events))[0]) == normed(events)


def test_the_split_of_cache_writes_stands_while_it_fits() -> None:
    split = (
        '"cache_creation_input_tokens":30,"cache_creation":'
        '{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}'
    )
    start = START.replace('"output_tokens":1', split)
    end = FINISH.replace('"output_tokens":9', '"cache_creation_input_tokens":50')
    events = read(start, end, STOP)
    assert events[-3] == UsageUpdate(
        Usage(fresh=3, cache_write=30, cache_write_long=20)
    )
    assert normed(reading(write(events))[0]) == normed(events)
    odd = START.replace('"output_tokens":1', '"x":1')
    odd = odd.replace('"x":1', '"x":1,"y":2')
    more = FINISH.replace('"output_tokens":9', '"y":3')
    assert read(odd, more, STOP)[-3] == UsageUpdate(
        Usage(fresh=3, extras={"x": Raw(b"1"), "y": Raw(b"3")})
    )
    other = split.replace("20}", "40}").replace("30,", "50,")
    end = FINISH.replace('"output_tokens":9', other)
    events = read(start, end, STOP)
    assert events[-3] == UsageUpdate(
        Usage(fresh=3, cache_write=10, cache_write_long=40)
    )
    assert normed(reading(write(events))[0]) == normed(events)


# Blocks


def test_starts_that_hold_something() -> None:
    assert between(
        opened(
            0,
            '{"type":"text","text":"a","citations":[{"type":"page_location",'
            '"document_title":"T"}],"x":1}',
        ),
        closed(0),
        opened(1, '{"type":"thinking","thinking":"b","signature":"c2ln"}'),
        closed(1),
        opened(2, '{"type":"tool_use","id":"t","name":"n","input":{"a":1}}'),
        closed(2),
        opened(3, '{"type":"server_tool_use","name":"n","input":{"b":1}}'),
        closed(3),
        opened(4, '{"type":"tool_use","name":"n"}'),
        closed(4),
    ) == [
        PartStart(0, TextPart("", extras={"x": Raw(b"1")})),
        TextDelta(0, "a"),
        CitationDelta(
            0,
            Citation(
                kind="document",
                title="T",
                raw=Raw(b'{"type":"page_location","document_title":"T"}'),
            ),
        ),
        PartEnd(0),
        PartStart(1, ReasoningPart()),
        ReasoningDelta(1, "b"),
        SignatureDelta(1, Signature(origin="anthropic", value="c2ln")),
        PartEnd(1),
        PartStart(2, ToolCallPart(call_id="t", name="n")),
        ArgumentsDelta(2, '{"a":1}'),
        PartEnd(2),
        PartStart(3, ServerToolCallPart(name="n")),
        ArgumentsDelta(3, '{"b":1}'),
        PartEnd(3, final=ServerToolCallPart(name="n", payload=Raw(b'{"b":1}'))),
        PartStart(4, ToolCallPart(call_id=mint_call("", 0), name="n")),
        ArgumentsDelta(4, "{}"),
        PartEnd(4),
    ]


def test_arguments_that_deltas_give_replace_those_of_the_start() -> None:
    found = between(
        opened(0, '{"type":"tool_use","id":"t","name":"n","input":{"a":1}}'),
        delta(0, '{"type":"input_json_delta","partial_json":"{}"}'),
        closed(0),
    )
    assert found[1:] == [ArgumentsDelta(0, "{}"), PartEnd(0)]


def test_a_server_call_that_is_no_json() -> None:
    found = between(
        opened(0, '{"type":"server_tool_use","id":"s","name":"n","input":{}}'),
        delta(0, '{"type":"input_json_delta","partial_json":"{"}'),
        closed(0),
    )
    final = ServerToolCallPart(name="n", call_id="s")
    assert found[-1] == PartEnd(0, "incomplete", final)


def test_blocks_without_a_form() -> None:
    raws = (
        '{"type":"x_new","a":1}',
        '{"type":5}',
        '{"type":"tool_result","tool_use_id":"t","content":"a"}',
    )
    frames = [
        text for at, raw in enumerate(raws) for text in (opened(at, raw), closed(at))
    ]
    kinds = ["x_new", "", "tool_result"]
    starts = [e for e in between(*frames) if isinstance(e, PartStart)]
    assert [e.part.kind for e in starts] == kinds  # type: ignore[union-attr]  # opaque


def test_media_in_an_answer() -> None:
    block = (
        '{"type":"image","source":{"type":"base64","media_type":"image/png",'
        '"data":"AAAA"}}'
    )
    part = MediaPart(kind="image", mime="image/png", source=Base64("AAAA"))
    found = between(opened(0, block), closed(0))
    assert found == [PartStart(0, part), PartEnd(0, final=part)]
    growing = replace(part, source=Base64(""))
    events: list[Event] = [
        PartStart(0, growing),
        MediaDelta(0, "AA"),
        MediaDelta(0, "AA"),
        PartEnd(0),
    ]
    assert blocks(events, "anthropic")[0]["content_block"] == json.loads(block)
    events = [PartStart(0, growing), PartEnd(0, final=part)]
    assert blocks(events, "anthropic")[0]["content_block"] == json.loads(block)
    linked = MediaPart(kind="image", source=Url("u"))
    assert blocks([PartStart(0, linked)], "anthropic")
    assert not blocks([PartStart(0, linked), MediaDelta(0, "x"), PartEnd(0)])


def test_deltas_that_no_block_takes() -> None:
    text = '{"type":"text_delta","text":"a"}'
    thought = '{"type":"thinking_delta","thinking":"b"}'
    arguments = '{"type":"input_json_delta","partial_json":"{}"}'
    events = read(
        START, delta(0, text), delta(0, thought), delta(1, arguments), FINISH, STOP
    )
    assert [e for e in events[1:-2] if not isinstance(e, UsageUpdate)] == [
        PartStart(0, TextPart("")),
        TextDelta(0, "a"),
        PartEnd(0),
        PartStart(1, ReasoningPart()),
        ReasoningDelta(1, "b"),
        PartStart(2, ToolCallPart(call_id=mint_call("", 0), name="")),
        ArgumentsDelta(2, "{}"),
        PartEnd(1),
        PartEnd(2),
    ]
    assert violations(delta(0, text), delta(0, thought), closed(0), closed(1)) == {
        "unopened-block": 2,
        "mismatched-delta": 1,
    }
    assert between(delta(0, '{"type":"x_new"}')) == []


def test_late_signatures_and_citations() -> None:
    found = between(
        opened(0, '{"type":"thinking","thinking":"a"}'),
        closed(0),
        delta(0, '{"type":"signature_delta","signature":""}'),
        delta(0, '{"type":"signature_delta","signature":"c2ln"}'),
        opened(1, '{"type":"text","text":"b"}'),
        closed(1),
        delta(1, '{"type":"citations_delta","citation":5}'),
    )
    signature = Signature(origin="anthropic", value="c2ln")
    assert SignatureDelta(0, signature) in found
    assert found[-1] == CitationDelta(1, Citation(kind="other", raw=Raw(b"5")))


def test_blocks_at_odds_with_their_indices() -> None:
    text = '{"type":"text","text":""}'
    assert violations(opened(0, text), opened(0, text), closed(0)) == {
        "reopened-block": 1
    }
    assert violations(opened(0, text), opened(1, text), closed(0), closed(1)) == {
        "interleaved-block": 1
    }


def test_blocks_after_the_stop_reason() -> None:
    text = '{"type":"text","text":""}'
    _, reader = reading(wire(START, FINISH, opened(0, text), closed(0), STOP))
    assert reader.violations == {"block-after-stop": 1}
    assert violations(opened(0, text), closed(0), opened(0, text), closed(0)) == {
        "reused-index": 1
    }


def test_deltas_that_say_nothing() -> None:
    kinds = ("text", "input_json", "thinking", "signature", "citations")
    kinds_of = [
        type(event)
        for kind in kinds
        for event in read(START, delta(0, f'{{"type":"{kind}_delta"}}'), FINISH, STOP)
        if "Delta" in type(event).__name__
    ]
    assert kinds_of == [ArgumentsDelta]
    found = between(
        opened(0, '{"type":"x_new"}'), delta(0, '{"type":"text_delta"}'), closed(0)
    )
    assert found[-1] == PartEnd(
        0,
        final=OpaquePart(
            dialect="anthropic", kind="x_new", raw=Raw(b'{"type":"x_new"}')
        ),
    )
    late = delta(5, '{"type":"signature_delta","signature":"a"}')
    assert violations(late, closed(5)) == {"unopened-block": 1}


def test_strangers_of_blocks_and_deltas() -> None:
    texts = (
        opened(0, '{"type":"thinking","thinking":""}').replace(
            '"index"', '"e":1,"index"'
        ),
        delta(
            0, '{"type":"thinking_delta","thinking":"","estimated_tokens":5,"p":"x"}'
        ),
        delta(0, '{"type":"thinking_delta","thinking":"a","estimated_tokens":5}'),
        delta(0, '{"type":"thinking_delta","thinking":"b","estimated_tokens":7}'),
        delta(0, '{"type":"x_new","x":1}').replace('"index"', '"e":2,"index"'),
        closed(0).replace('"index"', '"e":2,"index"'),
    )
    found = between(*texts)
    assert [e.extras for e in found if isinstance(e, Extra)] == [
        {"event/e": Raw(b"1")},
        {"delta/estimated_tokens": Raw(b"5")},
        {"delta/estimated_tokens": Raw(b"7")},
        {"event/e": Raw(b"2")},
    ]
    assert between(*texts) == found
    events = read(START, *texts, FINISH, STOP)
    assert normed(reading(write(events))[0]) == normed(events)


def test_opaque_blocks_take_every_delta() -> None:
    texts = (
        opened(0, '{"type":"x_new","text":""}'),
        delta(0, '{"type":"text_delta","text":"a","y":1}'),
        delta(0, '{"text":"b"}'),
        closed(0),
    )
    for _ in range(2):
        found = between(*texts)
        assert found[-1] == PartEnd(
            0,
            final=OpaquePart(
                dialect="anthropic",
                kind="x_new",
                raw=Raw(b'{"type":"x_new","text":"b","y":1}'),
            ),
        )
    events = read(START, *texts, FINISH, STOP)
    assert normed(reading(write(events))[0]) == normed(events)


def test_limits() -> None:
    few = replace(SOURCE, limits=Limits(parts=1))
    text = '{"type":"text","text":"a","citations":[{}]}'
    data = wire(START, opened(0, text), closed(0), opened(1, text), STOP)
    events, _ = reading(data, source=few)
    assert events[-1].error.kind == "bad_upstream"  # type: ignore[union-attr]  # an error
    thought = '{"type":"thinking","thinking":"","signature":""}'
    for start in (thought, '{"type":"tool_use","id":"t","name":"n"}', '{"type":"x"}'):
        data = wire(START, opened(0, text), closed(0), opened(1, start), STOP)
        events, _ = reading(data, source=few)
        check(events)
    data = wire(
        START, opened(0, text), closed(0), delta(1, '{"type":"text_delta","text":"x"}')
    )
    check(reading(data, source=few)[0])
    whole = START.replace('"content":[]', f'"content":[{text},{text}]')
    check(reading(wire(whole), source=few)[0])
    short = replace(SOURCE, limits=Limits(arguments=3))
    call = '{"type":"server_tool_use","id":"s","name":"n","input":{"a":1}}'
    events, _ = reading(wire(START, opened(0, call), closed(0)), source=short)
    assert events[-1].error.kind == "bad_upstream"  # type: ignore[union-attr]  # an error


def test_signatures_know_what_was_asked() -> None:
    asked = replace(SOURCE, model="claude-x", tag="a.1")
    thought = opened(0, '{"type":"redacted_thinking","data":"ZGF0"}')
    events, _ = reading(wire(START, thought, FINISH, STOP), source=asked)
    signature = Signature(origin="anthropic", value="ZGF0", model="claude-x", tag="a.1")
    assert SignatureDelta(0, signature) in events


# Envelopes


def sealed(origin: str, value: str, place: _seal.Placement = "here") -> str:
    return _seal.seal(Signature(origin=origin, value=value), place)


def thought(signature: str, text: str = "") -> str:
    return json.dumps({"type": "thinking", "thinking": text, "signature": signature})


def test_envelopes_are_opened() -> None:
    found = between(
        opened(0, '{"type":"thinking","thinking":"a","signature":""}'),
        delta(
            0,
            json.dumps({"type": "signature_delta", "signature": sealed("gemini", "v")}),
        ),
        closed(0),
        opened(1, '{"type":"thinking","thinking":"b","signature":""}'),
        delta(
            1,
            json.dumps(
                {"type": "signature_delta", "signature": sealed("openai-chat", "")}
            ),
        ),
        closed(1),
        opened(2, thought(sealed("openai-chat", ""), "c")),
        closed(2),
    )
    note = {"@origin": Raw(b'"openai-chat"')}
    assert SignatureDelta(0, Signature(origin="gemini", value="v")) in found
    assert [e for e in found if isinstance(e, Extra)] == [
        Extra(note, 1),
        Extra(note, 2),
    ]
    events = [BEGUN, *found, *ENDED]
    assert normed(reading(write(events))[0]) == normed(events)


def test_carriers_give_their_signature_to_a_neighbour() -> None:
    after, before = sealed("gemini", "n", "next"), sealed("gemini", "p", "prev")
    events = read(
        START,
        opened(0, thought(after)),
        delta(0, json.dumps({"type": "signature_delta", "signature": after})),
        closed(0).replace('"index"', '"x":1,"index"'),
        opened(1, '{"type":"tool_use","id":"t","name":"n","input":{}}'),
        closed(1),
        opened(2, thought(before)),
        closed(2),
        opened(3, thought(after)),
        closed(3),
        FINISH,
        STOP,
    )
    found = [e for e in events[1:-2] if not isinstance(e, UsageUpdate)]
    first = Signature(origin="gemini", value="n")
    assert found == [
        PartStart(0, ToolCallPart(call_id="t", name="n", signature=first)),
        ArgumentsDelta(0, "{}"),
        PartEnd(0),
        SignatureDelta(0, Signature(origin="gemini", value="p")),
        PartStart(1, ReasoningPart()),
        SignatureDelta(1, first),
        PartEnd(1),
    ]


def test_carriers_without_a_neighbour_are_thoughts() -> None:
    after, before = sealed("gemini", "n", "next"), sealed("gemini", "p", "prev")
    found = between(
        opened(0, thought(before)),
        closed(0),
        opened(1, thought(after, "said")),
        closed(1),
        opened(2, thought(after)),
        closed(2),
        opened(3, thought(after)),
        closed(3),
    )
    starts = [e for e in found if isinstance(e, PartStart)]
    assert len(starts) == 3
    few = replace(SOURCE, limits=Limits(parts=0))
    check(reading(wire(START, opened(0, thought(after)), FINISH, STOP), source=few)[0])


# Writing


def test_the_short_way_is_the_long_way() -> None:
    events: list[Event] = [PartStart(0, TextPart("")), TextDelta(0, "a")]
    events += [TextDelta(0, ""), TextDelta(0, 'é"'), PartEnd(0)]
    assert blocks(events) == [
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        },
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            }
            for text in ("a", 'é"')
        ),
        {"type": "content_block_stop", "index": 0},
    ]


def test_foreign_thoughts_are_sealed() -> None:
    signature = Signature(origin="openai-responses", value="v", model="gpt-x")
    events: list[Event] = [
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "a", 0),
        ReasoningDelta(0, "b", 0),
        ReasoningDelta(0, "c", 1),
        ReasoningDelta(0, "d"),
        ReasoningDelta(0, "e"),
        ReasoningDelta(0, "f", 3),
        SignatureDelta(0, signature),
        PartEnd(0),
    ]
    found = blocks(events, "openai-responses")
    assert found[0]["content_block"] == {
        "type": "thinking",
        "thinking": "",
        "signature": "",
    }
    deltas = [one["delta"] for one in found[1:-1]]
    text = "".join(d.get("thinking", "") for d in deltas)
    assert text == "ab\n\nc\n\nde\n\nf"
    assert [d["signature"] for d in deltas if "signature" in d] == [
        _seal.seal(signature)
    ]


def test_plain_thoughts_are_sealed_by_default() -> None:
    events: list[Event] = [
        PartStart(0, ReasoningPart(summary=("a",), text="b")),
        PartEnd(0),
    ]
    found = blocks(events, "openai-chat")
    assert found[-2]["delta"]["signature"] == sealed("openai-chat", "")
    start = MessageStart("m", "m", None, None, "openai-chat")
    bare = target(profile=replace(PROFILE, seal_plain=False))
    written = objects(write([start, *events], bare))
    assert not any("signature_delta" in str(one) for one in written)
    assert blocks(events)[-2]["delta"]["signature"] == sealed("unknown", "")


def test_withheld_thoughts_come_whole() -> None:
    for dialect in ("anthropic", "openai-chat"):
        signature = Signature(origin=dialect, value="v")
        events: list[Event] = [
            PartStart(0, ReasoningPart(redacted=True)),
            ReasoningDelta(0, "never shown"),
            SignatureDelta(0, signature),
            PartEnd(0),
        ]
        found = blocks(events, dialect)
        assert [one["type"] for one in found] == [
            "content_block_start",
            "content_block_stop",
        ]
        assert found[0]["content_block"]["type"] == "redacted_thinking"
    silent: list[Event] = [PartStart(0, ReasoningPart()), PartEnd(0)]
    assert blocks(silent) == []
    own = Signature(origin="anthropic", value="v")
    found = blocks([PartStart(0, ReasoningPart(signature=own)), PartEnd(0)], "gemini")
    assert [one["type"] for one in found[1:]] == [
        "content_block_delta",
        "content_block_stop",
    ]


def test_signatures_of_neighbours_ride_in_carriers() -> None:
    signature = Signature(origin="gemini", value="v")
    events: list[Event] = [
        PartStart(0, ToolCallPart(call_id="c", name="n", signature=signature)),
        ArgumentsDelta(0, "{}"),
        PartEnd(0),
        PartStart(1, TextPart("")),
        TextDelta(1, "a"),
        SignatureDelta(1, signature),
        PartEnd(1),
        PartStart(2, TextPart("")),
        SignatureDelta(2, signature),
        PartEnd(2),
    ]
    found = blocks(events, "gemini")
    starts = [one["content_block"] for one in found if "content_block" in one]
    assert [one["type"] for one in starts] == [
        "thinking",
        "tool_use",
        "text",
        "thinking",
        "thinking",
    ]
    assert starts[0]["signature"] == sealed("gemini", "v", "next")
    assert starts[3]["signature"] == sealed("gemini", "v", "prev")
    assert starts[4]["signature"] == ""
    begin = MessageStart("m1", "m", None, None, "gemini")
    sentence = [begin, *events, MessageEnd("tool_use"), StreamEnd()]
    again = fold(reading(write(sentence))[0])
    parts = again.choices[0].parts
    assert [part.signature for part in parts] == [signature] * 3


def test_late_signatures_are_thoughts_of_their_own() -> None:
    signature = Signature(origin="anthropic", value="v")
    other = Signature(origin="gemini", value="w")
    events: list[Event] = [
        PartStart(0, ReasoningPart(text="a")),
        PartEnd(0),
        SignatureDelta(0, signature),
        PartStart(1, TextPart("b")),
        SignatureDelta(0, signature),
        PartEnd(1),
        SignatureDelta(1, other),
        PartStart(2, ToolCallPart(call_id="c", name="n")),
        SignatureDelta(1, other),
        PartEnd(2),
    ]
    found = blocks(events, "anthropic")
    values = [
        one["delta"]["signature"] for one in found if "signature_delta" in str(one)
    ]
    assert values == ["v", "v", sealed("gemini", "w"), sealed("gemini", "w")]
    check(reading(write([BEGUN, *events, *ENDED]))[0])


def test_parallel_calls_come_one_after_another() -> None:
    events: list[Event] = [
        PartStart(0, ToolCallPart(call_id="call|a", name="f")),
        PartStart(1, ToolCallPart(call_id="b", name="g")),
        ArgumentsDelta(0, '{"a":'),
        ArgumentsDelta(1, '{"b":'),
        ArgumentsDelta(0, "1}"),
        ArgumentsDelta(1, "2}"),
        PartEnd(0),
        PartEnd(1),
    ]
    found = blocks(events, "openai-chat")
    assert [one["index"] for one in found] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found[0]["content_block"]["id"].startswith("tc_")
    assert found[4]["content_block"]["id"] == "b"


@pytest.mark.parametrize(
    ("arguments", "written", "stop"),
    [
        (["", " ", "{", "}"], " {}", "tool_use"),
        (["nu", "ll"], "{}", "tool_use"),
        ([], "{}", "tool_use"),
        (["[1", "]"], "{}", "max_tokens"),
        (['{"a":'], '{"a":', "max_tokens"),
    ],
)
def test_arguments_must_be_an_object(
    arguments: list[str], written: str, stop: str
) -> None:
    part = ToolCallPart(call_id="c", name="n")
    events: list[Event] = [PartStart(0, part)]
    events += [ArgumentsDelta(0, text) for text in arguments]
    whole = "".join(arguments).strip()
    broken = bool(whole) and whole[-1] not in "}]l"
    events.append(PartEnd(0, "incomplete" if broken else "complete"))
    begin = MessageStart(None, None, None, None, "openai-chat")
    found = objects(write([begin, *events, MessageEnd("tool_use"), StreamEnd()]))
    deltas = [
        one["delta"].get("partial_json", "")
        for one in found
        if "index" in one and "delta" in one
    ]
    assert "".join(deltas) == written
    assert found[-2]["delta"]["stop_reason"] == stop
    native = blocks(events, "anthropic")
    text = "".join(one["delta"]["partial_json"] for one in native if "delta" in one)
    assert text == "".join(arguments)


def test_arguments_that_are_no_object_and_incomplete() -> None:
    events: list[Event] = [
        PartStart(0, ToolCallPart(call_id="c", name="n")),
        ArgumentsDelta(0, "nul"),
        PartEnd(0, "incomplete"),
        MessageEnd("max_tokens"),
        StreamEnd(),
    ]
    assert told(events) >= {
        ("call.arguments", "dropped"),
        ("part.incomplete", "dropped"),
    }


def test_custom_calls_are_functions_with_one_input() -> None:
    events: list[Event] = [
        PartStart(0, ToolCallPart(call_id="c", name="n", kind="custom")),
        ArgumentsDelta(0, 'a"'),
        ArgumentsDelta(0, "\n"),
        PartEnd(0),
    ]
    found = blocks(events, "openai-responses")
    text = "".join(one["delta"]["partial_json"] for one in found if "delta" in one)
    assert json.loads(text) == {"input": 'a"\n'}


def test_what_has_no_block_is_told() -> None:
    citation = Citation(kind="url", url="u")
    token = TokenLogprob("a", -1.0)
    image = MediaPart(kind="image", source=Base64("AA"))
    events: list[Event] = [
        Extra({"x": Raw(b"1")}),
        Extra({"x": Raw(b"1")}, choice=0),
        PartStart(0, TextPart("", phase="final_answer", extras={"y": Raw(b"1")})),
        TextDelta(0, "a"),
        CitationDelta(0, citation),
        LogprobsDelta(0, (token,)),
        Extra({"z": Raw(b"1"), "@note": Raw(b"1")}, index=0),
        PartEnd(0, "incomplete"),
        PartStart(1, image),
        CitationDelta(1, citation),
        LogprobsDelta(1, (token,)),
        PartEnd(1, final=image),
        PartStart(2, ServerToolCallPart(name="n")),
        ArgumentsDelta(2, "{}"),
        PartEnd(2),
        PartStart(3, OpaquePart(dialect="gemini", kind="", raw=Raw(b"{}"))),
        PartEnd(3),
        PartStart(4, RefusalPart("no")),
        RefusalDelta(4, "!"),
        PartEnd(4),
        OpaqueEvent("gemini", "x", Raw(b"{}")),
        PartStart(5, TextPart("b"), 1),
        Extra({"x": Raw(b"1")}, choice=1),
        MessageEnd("end"),
        MessageEnd("end", choice=1),
        StreamEnd(),
    ]
    assert told(events, "gemini") == {
        ("choices", "dropped"),
        ("citations", "dropped"),
        ("extras", "dropped"),
        ("logprobs", "dropped"),
        ("media.image", "dropped"),
        ("opaque", "dropped"),
        ("opaque", "emulated"),
        ("part.incomplete", "dropped"),
        ("phase", "dropped"),
        ("refusal", "emulated"),
        ("tool.server_part", "dropped"),
        ("usage", "defaulted"),
    }


def test_server_parts_of_our_own() -> None:
    call = ServerToolCallPart(
        name="n",
        call_id="s",
        payload=Raw(b'{"a":1}'),
        extras={"@type": Raw(b'"mcp_tool_use"')},
    )
    result = ServerToolResultPart(name="x_tool_result", call_id="s", payload=Raw(b"[]"))
    events: list[Event] = [
        PartStart(0, call),
        PartEnd(0, final=call),
        PartStart(1, result),
        Extra({"event/x": Raw(b"1")}, index=1),
        PartEnd(1, final=result),
        PartStart(2, call),
        ArgumentsDelta(2, "{}"),
        PartEnd(2, final=call),
    ]
    found = blocks(events, "anthropic")
    assert found[0]["content_block"] == {
        "type": "mcp_tool_use",
        "id": "s",
        "name": "n",
        "input": {},
    }
    assert found[1]["delta"]["partial_json"] == '{"a":1}'
    assert found[3]["content_block"] == {
        "type": "x_tool_result",
        "tool_use_id": "s",
        "content": [],
    }
    assert found[6]["delta"]["partial_json"] == "{}"


def test_native_citations_and_notes() -> None:
    raw = Raw(b'{"type":"x"}')
    cited = TextPart(
        "", citations=(Citation(kind="other", raw=raw), Citation(kind="url"))
    )
    events: list[Event] = [
        PartStart(0, cited),
        CitationDelta(0, Citation(kind="other", raw=raw)),
        Extra({"plain": Raw(b"1"), "delta/x": Raw(b"2")}, index=0),
        PartEnd(0),
        CitationDelta(0, Citation(kind="other", raw=raw)),
        PartStart(1, ReasoningPart(extras={"@origin": Raw(b'"openai-chat"')})),
        PartEnd(1),
    ]
    found = blocks(events, "anthropic")
    assert [one["delta"]["type"] for one in found if "delta" in one] == [
        "citations_delta",
        "citations_delta",
        "text_delta",
        "signature_delta",
    ]
    assert found[3]["delta"] == {"type": "text_delta", "text": "", "x": 2}
    assert told(events, "anthropic") >= {
        ("extras", "dropped"),
        ("citations", "dropped"),
    }


def test_raw_json_with_line_ends_stays_one_line() -> None:
    events: list[Event] = [
        MessageStart("m", "m", None, None, "anthropic"),
        Extra({"x": Raw(b'{\r\n"a": 1}')}),
        OpaqueEvent("anthropic", "x\n", Raw(b"{\n}")),
        OpaqueEvent("anthropic", "", Raw(b'{"a":1}')),
        StreamError(
            APIError(
                kind="internal", message="x", dialect="anthropic", raw=Raw(b"{\n}")
            )
        ),
    ]
    frames = FrameDecoder().receive_data(write(events))
    assert [frame.event for frame in frames] == ["message_start", "x", "", "error"]
    assert all(json.loads(frame.data or b"") is not None for frame in frames)


def test_ends() -> None:
    start = MessageStart(None, None, None, None, "openai-chat")
    usage = Usage(fresh=1, cache_write=2, cache_write_long=3, output=4, reasoning=1)
    found = objects(
        write(
            [
                start,
                ServiceTier("priority"),
                MessageEnd("content_filter"),
                UsageUpdate(usage),
                ServiceTier("flex"),
                StreamEnd(),
                TextDelta(0, "late"),
                StreamEnd(),
            ]
        )
    )
    assert found[0]["message"]["usage"]["service_tier"] == "priority"
    assert found[1] == {
        "type": "message_delta",
        "delta": {
            "stop_reason": "refusal",
            "stop_sequence": None,
            "stop_details": {
                "type": "refusal",
                "category": None,
                "explanation": "content_filter",
            },
        },
        "usage": {
            "input_tokens": 1,
            "cache_creation_input_tokens": 5,
            "output_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 1},
        },
    }
    late = objects(write([start, Ping(), ServiceTier("standard"), StreamEnd()]))
    assert [one["type"] for one in late] == [
        "message_start",
        "ping",
        "message_delta",
        "message_stop",
    ]


def test_pings_wait_for_the_message() -> None:
    assert write([Ping()]) == b""
    assert objects(write([MessageStart(), Ping(), Ping()]))[1]["type"] == "ping"


def test_errors_before_and_after_the_start() -> None:
    error = StreamError(APIError(kind="overloaded", message="busy"))
    alone = objects(write([error, StreamEnd()]))
    assert [one["type"] for one in alone] == ["error"]
    begun = objects(write([MessageStart(), error]))
    assert [one["type"] for one in begun] == ["message_start", "error"]


def test_an_empty_answer() -> None:
    events: list[Event] = [MessageStart(), MessageEnd("end"), StreamEnd()]
    assert [one["type"] for one in objects(write(events))] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    wanting = target(profile=replace(PROFILE, empty_text_block=True))
    assert [one["type"] for one in objects(write(events, wanting))[1:3]] == [
        "content_block_start",
        "content_block_stop",
    ]
    talking = target(profile=replace(PROFILE, empty_text_block=True))
    found = objects(write([PartStart(0, TextPart("a")), StreamEnd()], talking))
    assert sum("content_block_start" in str(one) for one in found) == 1


def test_streams_in_any_order() -> None:
    writer = DIALECT.stream_writer(target())
    for event in (
        TextDelta(0, "a"),
        PartEnd(3),
        ReasoningDelta(0, "x"),
        ArgumentsDelta(0, "x"),
        SignatureDelta(0, Signature(origin="gemini", value="v")),
        CitationDelta(0, Citation(kind="url")),
        OpaqueEvent("anthropic", "x", Raw(b"{}"), 0),
        PartStart(0, TextPart("")),
        MessageStart("late"),
        PartStart(0, TextPart("")),
        ReasoningDelta(0, "x"),
        ArgumentsDelta(0, "x"),
        OpaqueEvent("anthropic", "x", Raw(b"{}"), 0),
        TextDelta(0, "a"),
        PartStart(1, ReasoningPart(text="b")),
        TextDelta(1, "x"),
        PartEnd(0),
        TextDelta(1, "x"),
    ):
        writer.send(event)
    assert b"message_stop" in writer.send(StreamEnd())


def test_too_much_waiting_is_an_error() -> None:
    small = target(limits=Limits(arguments=10))
    calls = [ToolCallPart(call_id=name, name=name) for name in "ab"]
    events: list[Event] = [PartStart(at, call) for at, call in enumerate(calls)]
    events.append(ArgumentsDelta(1, "x" * 11))
    assert objects(write(events, small))[-1]["type"] == "error"


# Laws


def said(value: Any) -> Any:
    """`value` with raw JSON compared by what it says, not by its white space."""
    if isinstance(value, Raw):
        return Raw(encode(decode_any(bytes(value))))
    if isinstance(value, Struct):
        names = value.__struct_fields__
        return type(value)(**{name: said(getattr(value, name)) for name in names})
    if isinstance(value, dict):
        return {name: said(inner) for name, inner in value.items()}
    return tuple(map(said, value)) if isinstance(value, tuple) else value


def meant(events: list[Event]) -> list[Any]:
    """The normal form of a sentence, of what this dialect's wire has a place for.

    A signature of its own has no model there, but for one that came sealed; members of
    the message that its end would tell are not told where it fails; and behind the last
    part, events that nobody knows come before what the end tells.
    """
    found = normed(events)
    last = max((at for at, e in enumerate(found) if isinstance(e, PartEnd)), default=0)
    found[last:] = sorted(found[last:], key=lambda e: not isinstance(e, OpaqueEvent))
    if isinstance(events[-1], StreamError):
        found = [e for e in found if not isinstance(e, Extra) or e.index is not None]
    return [
        replace(one, signature=replace(one.signature, model=None, tag=None))
        if isinstance(one, SignatureDelta)
        else said(one)
        for one in found
    ]


LAW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


_START = (
    b'data: {"type":"message_start","message":{"id":"m","type":"message","role":'
    b'"assistant","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
)
_LAST = (
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":9},"x_new":null}\n\n'
)


@LAW
@example(_START + _LAST + b'data:!{"type":"message_stop"}\n\n', 1)
@example(
    _START
    + b'data: {"type":"content_block_start","index":0,"content_block":'
    + b'{"type":"text","text":"a"}}\n\n'
    + b'data: {"type":"content_block_stop","index":0,"delta":null}\n\n'
    + _LAST
    + b'data: {"type":"message_stop"}\n\n',
    1,
)
@example(
    b'data: {"type":"content_block_start","index":3,'
    b'"content_block":{"type":"server_tool_use"}}\n\n',
    1,
)
@example(
    _START + b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":1.5}}\n\ndata: {"type":"message_stop"}\n\n',
    1,
)
@example(
    _START + _LAST.replace(b"9", b"1.5") + _LAST + b'data: {"type":"message_stop"}\n\n',
    1,
)
@given(strategies.hostile_bytes("anthropic"), st.integers(1, 9))
def test_any_bytes_are_a_sentence(data: bytes, size: int) -> None:
    events, reader = reading(data)
    check(events)
    assert reader.done
    again, _ = reading(data, size)
    assert list(map(said, again)) == list(map(said, events))
    written, _ = reading(write(events))
    check(written)
    start = events[0]
    usual = isinstance(start, MessageStart) and start.usage is not None
    if usual and not reader.violations:
        assert meant(written) == meant(events)


@LAW
@pytest.mark.parametrize("dialect", SOURCES)
@given(data=st.data())
def test_any_sentence_is_a_stream(dialect: str | None, data: st.DataObject) -> None:
    events = data.draw(strategies.sentences(dialect))
    if dialect == "anthropic":
        # The tier stands inside the usage: told apart from it, it has no place of its
        # own among the extras around it.
        events = [event for event in events if not isinstance(event, ServiceTier)]
    written = write(events)
    again, reader = reading(written)
    check(again)
    assert not reader.violations
    broke = isinstance(events[-1], StreamError)
    assert broke == isinstance(again[-1], StreamError)
    if not broke and dialect != "anthropic":
        complaints = oracle.stream("anthropic", written)
        assert [c for c in complaints if "parameter JSON" not in c] == []
    twice = write(again)
    thrice, _ = reading(twice)
    assert meant(thrice) == meant(again)
    assert write(thrice) == twice


@LAW
@pytest.mark.parametrize("dialect", SOURCES)
@given(data=st.data())
def test_any_events_are_a_stream(dialect: str | None, data: st.DataObject) -> None:
    events = data.draw(strategies.ungrammatical_sentences(dialect))
    again, reader = reading(write(events))
    check(again)
    assert not reader.violations


@LAW
@pytest.mark.parametrize("dialect", SOURCES[:4])
@given(data=st.data())
def test_streams_and_bodies_say_the_same(
    dialect: str | None, data: st.DataObject
) -> None:
    response: Response = data.draw(strategies.responses(dialect))
    whole, streamed = target(), target()
    body = DIALECT.decode_response(DIALECT.encode_response(response, whole), SOURCE)
    stream = fold(reading(write(unfold(response), streamed))[0])
    lost = {loss.feature for loss in (*whole.losses.losses, *streamed.losses.losses)}
    left, right = body.choices[0], stream.choices[0]
    if not lost & {"call.arguments", "part.incomplete"}:
        assert (left.stop, left.stop_sequence) == (right.stop, right.stop_sequence)
        assert [_words(part) for part in left.parts] == [
            _words(part) for part in right.parts
        ]
    if not lost & {"usage"}:
        assert body.usage == stream.usage


def _words(part: Any) -> tuple[Any, ...]:
    arguments = getattr(part, "arguments", "").strip()
    text = getattr(part, "text", None)
    return type(part), text, arguments, part.signature, getattr(part, "redacted", None)


def test_terminal_marks() -> None:
    def mark(event: str, data: bytes) -> bool:
        return DIALECT.terminal_mark(Frame(data, data, event))

    assert mark("message_stop", b"{}")
    assert mark("error", b"{}")
    assert not mark("content_block_delta", b'"message_stop"')
    assert mark("", b'{"type":"message_delta"}')
    assert not mark("", b'{"type":"ping"}')
    assert not DIALECT.terminal_mark(Frame(None, b": x\n\n"))


def test_stream_error_frames() -> None:
    error = APIError(kind="timeout", message="slow")
    frame = DIALECT.stream_error(error, target())
    assert objects(frame) == [
        {"type": "error", "error": {"type": "timeout_error", "message": "slow"}}
    ]
