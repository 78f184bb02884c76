"""Streams of the Responses dialect: repairs, borders and frames, one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from llmwire import _seal
from llmwire._ids import mint_call
from llmwire.dialects.openai_responses import DIALECT
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
from llmwire.limits import Limits
from llmwire.messages import (
    APIError,
    Base64,
    Citation,
    MediaPart,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    Signature,
    StopDetail,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    Usage,
)
from llmwire.sse import Frame
from tests import oracle
from tests.dialects.responses_pair import (
    OWN,
    PROFILE,
    SOURCE,
    added,
    completed,
    created,
    done,
    events_of,
    frames,
    inside,
    message,
    objects,
    reply_target,
    sse,
    stream,
)
from tests.stream_law import normed

_CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "c",
    "name": "f",
    "arguments": '{"a":1}',
}
_THOUGHT = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "ab"}],
    "encrypted_content": "s",
}
_TEXT = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
_LINK = {
    "type": "url_citation",
    "url": "u",
    "title": "t",
    "start_index": 0,
    "end_index": 1,
}
_TOKEN = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}


def _part(at: int = 0, part: Any = _TEXT, content: int = 0) -> dict[str, Any]:
    return inside("content_part.added", at, content_index=content, part=part)


def _delta(text: Any, at: int = 0, content: int = 0, **members: Any) -> dict[str, Any]:
    return inside("output_text.delta", at, content_index=content, delta=text, **members)


def _between(*inner: Any, end: Any = None) -> tuple[list[Event], dict[str, int]]:
    """Events between the first frame and the last, and the repairs."""
    events, violations = events_of(sse(created(), *inner, end or completed()))
    assert isinstance(events[0], MessageStart)
    wire = stream(events)
    again, none = events_of(wire)
    assert not none
    assert normed(again) == normed(events) or any(
        isinstance(e, PartStart) and e.part.id is None for e in events
    )
    return [e for e in events[1:] if not isinstance(e, UsageUpdate)], violations


def _parts(events: list[Event]) -> list[Any]:
    return [event.part for event in events if isinstance(event, PartStart)]


# --- reading: items ----------------------------------------------------------------


def test_items_that_only_end() -> None:
    events, violations = _between(
        done({**message(), "phase": "final_answer", "x": 1}),
        done(_THOUGHT, 1),
        done(_CALL, 2),
    )
    assert violations == {"item-without-added": 3}
    text, thought, call = _parts(events)
    assert text == TextPart(
        "", id="msg_1", group=0, phase="final_answer", extras={"item/x": Raw(b"1")}
    )
    assert (thought.id, call.call_id) == ("rs_1", "c")
    assert TextDelta(0, "Hi") in events
    assert ReasoningDelta(1, "ab", 0) in events
    assert ArgumentsDelta(2, '{"a":1}') in events


def test_items_that_only_the_snapshot_has() -> None:
    events, violations = _between(end=completed([message(), _CALL]))
    assert violations == {"item-only-at-end": 2}
    assert [type(part) for part in _parts(events)] == [TextPart, ToolCallPart]
    assert events[-2] == MessageEnd("tool_use", "completed")
    _, violations = _between(
        added(_CALL), end=completed([{"type": "x_call"}, {"type": "y_call"}])
    )
    assert violations == {"item-without-done": 1, "item-only-at-end": 2}


def test_items_announced_twice_or_late() -> None:
    _, violations = _between(
        added(_CALL), added(_CALL), done(_CALL), done(_CALL), added(_THOUGHT, 5)
    )
    assert violations == {
        "repeated-item": 2,
        "output-index-gap": 1,
        "item-without-done": 1,
    }


def test_a_number_can_be_used_again() -> None:
    events, _ = _between(added(_CALL), done(_CALL), added(_THOUGHT), done(_THOUGHT))
    assert [part.group for part in _parts(events)] == [0, 1]


def test_items_without_numbers() -> None:
    bare = [
        {k: v for k, v in event.items() if k != "output_index"}
        for event in (
            added(message(None)),
            _part(),
            _delta("Hi"),
            done(message()),
            {"type": "response.output_item.done", "item": message()},
        )
    ]
    events, violations = _between(*bare)
    assert TextDelta(0, "Hi") in events
    assert violations == {"repeated-item": 1}
    events, violations = _between({"type": "response.output_item.done", "item": _CALL})
    assert violations == {"item-without-added": 1}


def test_rotating_ids() -> None:
    events, violations = _between(
        added(message(None, id="a")),
        _part(),
        _delta("Hi"),
        done(message(id="b")),
        end=completed([message(id="c")], id="resp_2"),
    )
    assert len(_parts(events)) == 1
    assert violations == {"changed-id": 1}


def test_items_that_become_others() -> None:
    events, violations = _between(added(_CALL), done(_THOUGHT))
    assert violations == {"changed-item": 1, "changed-id": 1}
    assert PartEnd(0) in events  # no arguments are {}
    events, violations = _between(added(message(None)), done(_CALL))
    assert [type(part) for part in _parts(events)] == [ToolCallPart]
    events, violations = _between(added(message(None)), _part(), done(_CALL))
    assert [part.group for part in _parts(events)] == [0, 1]
    events, violations = _between(added({"type": "x_new"}), done(_CALL))
    assert PartEnd(0, final=_parts(events)[0]) in events


def test_messages_of_others_and_strange_items_are_opaque() -> None:
    user = message(role="user")
    events, _ = _between(added(user), done(user), done({"type": "x_new", "a": 1}, 1))
    assert [part.kind for part in _parts(events)] == ["message", "x_new"]
    events, _ = _between(added(message(None)), done(message(None)))
    (part,) = _parts(events)
    assert isinstance(part, OpaquePart) and part.kind == "message"
    events, _ = _between(done(5), added({"type": 5}, 1))  # type: ignore[arg-type]  # what a broken server sends
    assert [part.kind for part in _parts(events)] == ["", ""]
    events, _ = _between(done({"role": "assistant", "content": "Hi"}))
    assert TextDelta(0, "Hi") in events


def test_calls_without_ids() -> None:
    bare = {"type": "function_call", "name": "f", "arguments": "{}"}
    events, _ = _between(added(bare), done(bare), done(bare, 1))
    assert [part.call_id for part in _parts(events)] == [
        mint_call("", 0),
        mint_call("", 1),
    ]


def test_arguments_at_done() -> None:
    call = {**_CALL, "arguments": ""}
    whole = inside("function_call_arguments.done", arguments='{"a":1}')
    part = inside("function_call_arguments.delta", delta='{"a"')
    events, violations = _between(added(call), part, whole, done(_CALL))
    assert [e for e in events if isinstance(e, ArgumentsDelta)] == [
        ArgumentsDelta(0, '{"a"'),
        ArgumentsDelta(0, ":1}"),
    ]
    assert not violations
    other = inside("function_call_arguments.done", arguments="{}")
    _, violations = _between(added(call), part, other, whole, done(_CALL), whole)
    assert violations == {"changed-arguments": 1}
    text = {**_CALL, "type": "custom_tool_call", "input": "ab"}
    del text["arguments"]
    events, _ = _between(
        added({**text, "input": ""}),
        inside("custom_tool_call_input.delta", delta=""),
        inside("custom_tool_call_input.done", input="ab"),
        done({**text, "status": "incomplete"}),
    )
    assert events[-3] == PartEnd(0, "incomplete")


def test_arguments_after_their_call_is_done() -> None:
    custom = {**_CALL, "type": "custom_tool_call", "input": "a"}
    del custom["arguments"]
    events, violations = _between(
        done(_CALL),
        inside("function_call_arguments.delta", delta="{"),
        done(custom, 1),
        inside("custom_tool_call_input.delta", 1, delta="b"),
    )
    assert violations["late-arguments"] == 2
    assert len([e for e in events if isinstance(e, ArgumentsDelta)]) == 2


def test_deltas_for_nobody() -> None:
    events, violations = _between(
        inside("function_call_arguments.delta", 3, delta="{"),
        inside("custom_tool_call_input.delta", 4, delta="a"),
        inside("reasoning_summary_text.delta", 5, delta="t"),
        _delta("Hi", 6),
        inside("refusal.delta", 7, delta="no"),
        inside("output_text.annotation.added", 8, annotation=_LINK),
    )
    assert [type(part) for part in _parts(events)] == [
        ToolCallPart,
        ToolCallPart,
        ReasoningPart,
        TextPart,
        RefusalPart,
        TextPart,
    ]
    assert violations["unknown-item"] == 6 and violations["unknown-part"] == 3


def test_deltas_that_fit_nothing() -> None:
    events, violations = _between(
        added(_THOUGHT),
        inside("function_call_arguments.delta", delta="{"),
        inside("reasoning_text.delta", delta=None),
        _delta("Hi"),
        added(_CALL, 2),
        inside("reasoning_summary_text.delta", 2, delta="t"),
        inside("reasoning_summary_text.done", 2, text="t"),
        done(_THOUGHT),
    )
    assert violations["misplaced-delta"] == 3
    assert TextDelta(1, "Hi") in events


def test_thoughts() -> None:
    raw = {"type": "reasoning_text", "text": "xy"}
    item = {**_THOUGHT, "content": [raw], "status": "incomplete"}
    events, _ = _between(
        added({**_THOUGHT, "summary": [], "encrypted_content": None}),
        inside("reasoning_summary_part.added", summary_index=0),
        inside("reasoning_summary_text.delta", summary_index=0, delta="a"),
        inside("reasoning_summary_text.done", summary_index=0, text="ab"),
        inside("reasoning_summary_part.done", summary_index=0),
        inside("content_part.added", content_index=0, part=raw),
        inside("reasoning_text.delta", content_index=0, delta="x"),
        inside("reasoning_text.done", content_index=0, text="xy"),
        done(item),
        inside("reasoning_text.done", content_index=0, text="xy"),
    )
    assert events[1:-2] == [
        ReasoningDelta(0, "a", 0),
        ReasoningDelta(0, "b", 0),
        ReasoningDelta(0, "x"),
        ReasoningDelta(0, "y"),
        SignatureDelta(0, Signature(origin=OWN, value="s")),
        PartEnd(0, "incomplete"),
    ]
    blank = {"type": "reasoning", "id": "rs_1", "summary": [{"text": "", "type": "x"}]}
    events, _ = _between(done({**blank, "content": [{**raw, "text": ""}]}))
    assert ReasoningDelta(0, "", 0) in events and ReasoningDelta(0, "") in events


# --- reading: messages -------------------------------------------------------------


def test_what_closing_frames_add() -> None:
    said = {**_TEXT, "text": "Hi you", "annotations": [_LINK], "logprobs": [_TOKEN]}
    events, violations = _between(
        added(message(None)),
        _part(),
        _delta("Hi"),
        inside("output_text.done", content_index=0, text="Hi you"),
        inside("content_part.done", content_index=0, part={**said, "x": 1}),
        done(message(content=[{**said, "x": 1}])),
        inside("output_text.done", content_index=0, text="Hi you"),
        inside("content_part.done", content_index=0, part=said),
    )
    assert [type(event).__name__ for event in events] == [
        "PartStart",
        "TextDelta",
        "TextDelta",
        "CitationDelta",
        "LogprobsDelta",
        "Extra",
        "PartEnd",
        "MessageEnd",
        "StreamEnd",
    ]
    assert not violations


def test_several_contents() -> None:
    refusal = {"type": "refusal", "refusal": "no"}
    strange = {"type": "x_new", "a": 1}
    events, violations = _between(
        added(message(None)),
        _part(part={**_TEXT, "text": "Hi"}),
        _part(content=1, part=refusal),
        _part(content=1),
        _part(content=2, part=strange),
        _delta("lost", content=2),
        inside("refusal.done", content_index=1, refusal="no"),
        inside("content_part.done", content_index=2, part=strange),
        done(
            message(
                content=[{**_TEXT, "text": "Hi"}, refusal, strange, _TEXT],
                status="incomplete",
            )
        ),
        _part(content=9),
    )
    assert [type(part) for part in _parts(events)][:4] == [
        TextPart,
        RefusalPart,
        OpaquePart,
        TextPart,
    ]
    assert RefusalDelta(1, "no") in events
    assert violations["repeated-part"] == 1


def test_contents_that_change_their_kind() -> None:
    events, _ = _between(
        added(message(None)),
        _part(part={"type": "x_new"}),
        done(message()),
    )
    assert isinstance(events[1], PartEnd) and events[1].final is not None
    events, _ = _between(
        added(message(None)),
        _part(part=5),
        inside("content_part.done", content_index=0, part=_TEXT),
    )
    assert isinstance(_parts(events)[0], OpaquePart)
    events, _ = _between(
        added(message(None)), _part(), done(message(content=[{"type": "x_new"}]))
    )
    assert events[-3] == PartEnd(0)


def test_refusals_and_their_strangers() -> None:
    refusal = {"type": "refusal", "refusal": ""}
    events, _ = _between(
        added(message(None)),
        _part(part=refusal),
        inside("refusal.delta", content_index=0, delta="n", x=1),
        inside("refusal.delta", content_index=0, delta=""),
        _delta("o"),
        inside("output_text.annotation.added", content_index=0, annotation=_LINK),
        done(message(content=[{**refusal, "refusal": "no"}])),
    )
    assert events == [
        PartStart(0, RefusalPart("", id="msg_1", group=0)),
        Extra({"event/x": Raw(b"1")}, 0),
        RefusalDelta(0, "n"),
        RefusalDelta(0, "o"),
        PartEnd(0),
        MessageEnd("refusal", "completed"),
        StreamEnd(),
    ]


def test_log_probabilities_of_a_delta() -> None:
    events, _ = _between(
        added(message(None)),
        _part(),
        _delta("a", logprobs=[_TOKEN]),
        _delta("b", logprobs=[{"token": 5}]),
        _delta("c", logprobs=[]),
    )
    assert LogprobsDelta(0, (TokenLogprob("a", -0.5, (97,)),)) in events
    assert len([e for e in events if isinstance(e, TextDelta)]) == 3


def test_strangers_are_told_when_they_change() -> None:
    events, _ = _between(
        added({**message(None), "x": 1}),
        _part(part={**_TEXT, "y": 1}),
        _delta("a", z=1),
        _delta("b", z=1),
        _delta("c", z=2),
        done({**message("abc"), "x": 2, "status": "odd"}),
    )
    part = _parts(events)[0]
    assert part.extras == {"item/x": Raw(b"1"), "y": Raw(b"1")}
    assert [e.extras for e in events if isinstance(e, Extra)] == [
        {"event/z": Raw(b"1")},
        {"event/z": Raw(b"2")},
        {"item/x": Raw(b"2"), "item/status": Raw(b'"odd"')},
    ]
    events, _ = _between(
        added(_CALL),
        inside("function_call_arguments.delta", delta="{", z=1),
        added(_THOUGHT, 1),
        inside("reasoning_summary_text.delta", 1, delta="a", z=1),
    )
    assert len([e for e in events if isinstance(e, Extra)]) == 2


# --- reading: the response ---------------------------------------------------------


def test_news_of_the_response() -> None:
    events, _ = events_of(
        sse(
            created(service_tier="auto", x=1, moderation=None, tool_usage={"a": 1}),
            {"type": "response.queued", "response": created(x=2)["response"], "y": 1},
            {"type": "keepalive"},
            completed(service_tier="flex", x=2, usage={"input_tokens": 1}),
        )
    )
    assert events == [
        MessageStart("resp_1", "m", 7.0, None, OWN),
        ServiceTier("auto"),
        Extra({"x": Raw(b"1"), "tool_usage": Raw(b'{"a": 1}')}),
        Extra({"x": Raw(b"2"), "event/y": Raw(b"1")}),
        Ping(),
        Ping(),
        UsageUpdate(Usage(fresh=1)),
        ServiceTier("flex"),
        MessageEnd("end", "completed"),
        StreamEnd(),
    ]
    wire = stream(events)
    again, _ = events_of(wire)
    assert normed(again) == normed(events)
    assert stream(again) == wire


def test_a_message_that_starts_again() -> None:
    events, violations = events_of(
        sse(
            created(),
            added({"type": "web_search_call", "id": "ws"}),
            added(message(None), 1),
            _part(1),
            _delta("a", 1),
            created(id="resp_2"),
            done(message(), 0),
            completed(),
        )
    )
    assert violations["restarted-message"] == 1
    assert violations["changed-id"] == 1
    assert PartEnd(1, "incomplete") in events
    assert [part.group for part in _parts(events)] == [0, 1, 2]


def test_beginnings_that_are_missing() -> None:
    events, _ = events_of(sse({"type": "response.x_new", "a": 1}, completed()))
    assert events[:2] == [
        MessageStart(dialect=OWN),
        OpaqueEvent(OWN, "response.x_new", Raw(b'{"type":"response.x_new","a":1}')),
    ]
    events, _ = events_of(sse(completed(id="", model="")))
    assert events[0] == MessageStart(None, None, 7.0, None, OWN)


def test_how_it_can_end() -> None:
    def end(**members: Any) -> Event:
        return events_of(sse(created(), completed(**members)))[0][-2]

    assert end(status="incomplete") == MessageEnd("max_tokens", "incomplete")
    reason = {"reason": "content_filter"}
    assert end(status="incomplete", incomplete_details=reason) == MessageEnd(
        "content_filter", "content_filter"
    )
    event = {"type": "response.cancelled", "response": created()["response"]}
    events, _ = events_of(sse(created(), event))
    assert events[-2] == MessageEnd("cancelled", "cancelled")
    odd = {"type": "response.completed", "response": created(output=5)["response"]}
    events, _ = events_of(sse(created(), odd))
    assert events[-2] == MessageEnd("end", "completed")


def test_opaque_events_name_their_part() -> None:
    def event(at: int, **members: Any) -> dict[str, Any]:
        return inside("x_new", at, **members)

    events, _ = _between(
        event(0),
        added(message(None)),
        event(0),
        _part(),
        _part(content=1),
        event(0, content_index=0),
        event(0, content_index=7),
        added(_CALL, 1),
        event(1, obfuscation="x"),
    )
    found = [e.index for e in events if isinstance(e, OpaqueEvent)]
    assert found == [None, None, 0, 1, 2]


def test_errors_in_streams() -> None:
    def error(*objects: Any) -> APIError:
        events, _ = events_of(sse(created(), *objects))
        assert isinstance(events[-1], StreamError)
        return events[-1].error

    flat = {"type": "error", "code": "server_error", "message": "gone", "param": "p"}
    assert error(flat).message == "gone"
    assert error(flat, added(_CALL)).message == "gone"
    assert error(flat, {"type": "x_new"}).message == "gone"
    nested = {"type": "error", "error": {"message": "no", "code": "x", "more": 1}}
    assert error(nested).raw is not None
    assert (
        error({"type": "error", "message": ""}).message == "the upstream sent an error"
    )
    failed = completed(status="failed", error={"code": "server_error", "message": "z"})
    assert error(flat, failed).message == "z"
    silent = completed(status="failed", error=None)
    assert error(silent).message == "the response failed"
    assert error(flat, silent) == error(flat)
    assert error({"error": {"message": "bare"}}).message == "bare"
    assert error({"error": None}).kind == "truncated"
    assert error({"type": "response.created"}).kind == "bad_upstream"
    assert error({"type": "response.completed", "response": 5}).kind == "bad_upstream"


def test_frames_that_are_no_events() -> None:
    events, _ = events_of(b"data: {\n\n")
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.kind == "bad_upstream"
    events, _ = events_of(b"data: {")
    assert events[-1].error.kind == "truncated"  # type: ignore[union-attr]  # an error
    events, _ = events_of(b'{"error":{"message":"raw"}}\n\n')
    assert events[-1].error.message == "raw"  # type: ignore[union-attr]  # an error
    wire = sse(created(), completed())
    events, violations = events_of(
        b"data:\n\nevent: x\n\nstray\n\n: hi\n\ndata: [DONE]\n\n"
        + wire
        + b"data: {}\n\n"
        b"data: {}\n\n: bye\n\ndata: [DONE]\n\n"
    )
    assert events[0] == Ping()
    assert violations == {"after-end": 1}
    lines = wire.replace(b'"response": {', b'"response":\ndata: {')
    assert events_of(lines)[0] == events[1:]


def test_borders_of_repair() -> None:
    events, violations = events_of(
        sse(added(message(None)), _part(), _delta("a"), _delta("b", content=5))
    )
    assert events[0] == MessageStart(dialect=OWN)
    assert violations == {"unknown-part": 1}
    events, _ = _between(added(message(None)), _part(), _delta("a"), done(5))  # type: ignore[arg-type]  # what a broken server sends
    assert PartEnd(0) in events
    whole = inside("function_call_arguments.done", arguments="{}")
    _, violations = _between(added(_THOUGHT), whole)
    assert violations["misplaced-delta"] == 1
    bare = {"type": "response.completed", "response": {"id": "resp_1"}}
    events, _ = events_of(sse(created(), bare))
    assert events[-1] == StreamEnd()
    none = replace(SOURCE, limits=Limits(parts=0))
    events, _ = events_of(sse(created(), done(_CALL)), none)
    assert isinstance(events[-1], StreamError)
    sealed = _seal.seal(Signature(origin=OWN, value="s", model="a"))
    events, _ = events_of(
        sse(created(), done({**_THOUGHT, "encrypted_content": sealed}), completed()),
        replace(SOURCE, model="b"),
    )
    own = Signature(origin=OWN, value="s", model="a")
    assert SignatureDelta(0, own) in events


def test_limits_of_streams() -> None:
    tight = replace(SOURCE, limits=Limits(parts=1, arguments=3))
    events, _ = events_of(sse(created(), added(_CALL), added(_THOUGHT, 1)), tight)
    assert events[-1].error.kind == "bad_upstream"  # type: ignore[union-attr]  # an error
    long = inside("function_call_arguments.delta", delta="12345")
    events, _ = events_of(sse(created(), added(_CALL), long), tight)
    assert isinstance(events[-1], StreamError)


def test_sealed_state_of_others_is_opened() -> None:
    signature = Signature(origin="gemini", value="s", model="g")
    item = {**_THOUGHT, "encrypted_content": _seal.seal(signature)}
    source = replace(SOURCE, model="asked", tag="t")
    events, _ = events_of(sse(created(), done(item), completed()), source)
    assert SignatureDelta(0, signature) in events
    events, _ = events_of(sse(created(), done(_THOUGHT), completed()), source)
    own = Signature(origin=OWN, value="s", model="asked", tag="t")
    assert SignatureDelta(0, own) in events


def test_messages_framing() -> None:
    reader = DIALECT.stream_reader(SOURCE, "messages")
    found: list[Event] = []
    for frame in frames(sse(created(), completed())):
        assert frame.data is not None
        found += reader.receive(Frame(frame.data, frame.data))
    assert found[-1] == StreamEnd()
    wire = stream([Ping(), *found], framing="messages")
    kinds = [json.loads(line)["type"] for line in wire.splitlines()]
    assert kinds == ["response.created", "response.in_progress", "response.completed"]


# --- writing -----------------------------------------------------------------------

START = MessageStart("x", "m", None, None, "anthropic")
END = (MessageEnd("end"), StreamEnd())


def _kinds(*events: Event, **fields: Any) -> list[str]:
    wire = stream([START, *events, *END], **fields)
    assert not oracle.stream(OWN, wire)
    return [value["type"].removeprefix("response.") for value in objects(wire)][2:-1]


def _items(*events: Event, **fields: Any) -> list[dict[str, Any]]:
    wire = stream([START, *events, *END], **fields)
    assert not oracle.stream(OWN, wire)
    output: list[dict[str, Any]] = objects(wire)[-1]["response"]["output"]
    return output


def test_the_life_of_a_text() -> None:
    text = TextPart("")
    events = (PartStart(0, text), TextDelta(0, "Hi"), TextDelta(0, " you"), PartEnd(0))
    assert _kinds(*events) == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]
    wire = stream([START, *events, *END])
    values = objects(wire)
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    ids = {value["item_id"] for value in values if "item_id" in value}
    (item,) = values[-1]["response"]["output"]
    assert ids == {item["id"]} and item["id"].startswith("msg_")
    assert item["content"][0]["text"] == "Hi you"
    assert wire == stream([START, *events, *END])


def test_the_life_of_the_other_items() -> None:
    call = ToolCallPart(call_id="c", name="f")
    own = Signature(origin="gemini", value="s")
    kinds = _kinds(
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "a", 0),
        ReasoningDelta(0, "b"),
        SignatureDelta(0, own),
        PartEnd(0),
        PartStart(1, call),
        ArgumentsDelta(1, "{"),
        ArgumentsDelta(1, "}"),
        PartEnd(1),
        PartStart(2, replace(call, call_id="d", kind="custom")),
        ArgumentsDelta(2, "x"),
        PartEnd(2),
    )
    assert kinds == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]


def test_parts_that_start_with_content() -> None:
    items = _items(
        PartStart(0, TextPart("a")),
        TextDelta(0, "b"),
        PartEnd(0),
        PartStart(1, ReasoningPart(summary=("a",), text="b")),
        PartEnd(1, "incomplete"),
        PartStart(2, ToolCallPart(call_id="c", name="f", arguments="{")),
        ArgumentsDelta(2, "}"),
        PartEnd(2),
        PartStart(3, RefusalPart("n")),
        RefusalDelta(3, "o"),
        PartEnd(3),
    )
    assert items[0]["content"][0]["text"] == "ab"
    assert [s["text"] for s in items[1]["summary"]] == ["a", "b"]
    assert items[1]["status"] == "incomplete"
    assert items[2]["arguments"] == "{}"
    assert items[3]["content"][0]["refusal"] == "no"


def test_calls_without_arguments_and_with_one_id() -> None:
    call = ToolCallPart(call_id="c", name="f")
    items = _items(PartStart(0, call), PartEnd(0), PartStart(1, call), PartEnd(1))
    assert [item["arguments"] for item in items] == ["{}", "{}"]
    assert items[0]["call_id"] == "c" != items[1]["call_id"]


def test_signatures_without_room_are_carried() -> None:
    signature = Signature(origin="gemini", value="s")
    call = ToolCallPart(call_id="c", name="f", signature=signature)
    items = _items(
        PartStart(0, call),
        SignatureDelta(0, signature),
        PartEnd(0),
        PartStart(1, TextPart("")),
        SignatureDelta(1, signature),
        PartEnd(1),
        PartStart(2, ToolCallPart(call_id="d", name="f")),
        SignatureDelta(2, signature),
        PartEnd(2),
        PartStart(3, ReasoningPart()),
        PartEnd(3),
        SignatureDelta(3, signature),
        PartStart(4, TextPart("")),
        PartEnd(4),
        SignatureDelta(4, signature),
        SignatureDelta(9, signature),
    )
    assert [item["type"] for item in items] == [
        "reasoning",
        "function_call",
        "message",
        "reasoning",
        "function_call",
        "reasoning",
        "reasoning",
        "reasoning",
        "message",
        "reasoning",
    ]
    placements = []
    for item in items:
        if item.get("encrypted_content"):
            opened = _seal.unseal(item["encrypted_content"])
            assert opened is not None
            placements.append(opened.placement)
    assert placements == ["next", "prev", "prev", "here", "prev"]


def test_interleaved_calls_wait_or_do_not() -> None:
    call = ToolCallPart(call_id="c", name="f")
    events = (
        PartStart(0, call),
        PartStart(1, replace(call, call_id="d")),
        ArgumentsDelta(1, "{}"),
        ArgumentsDelta(0, "{}"),
        PartEnd(1),
        PartEnd(0),
    )
    kinds = _kinds(*events)
    assert kinds[:4] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    together = replace(PROFILE, sequential_items=False)
    kinds = _kinds(*events, profile=together)
    assert kinds[:3] == [
        "output_item.added",
        "output_item.added",
        "function_call_arguments.delta",
    ]


def test_citations_and_log_probabilities() -> None:
    link = Citation(kind="url", url="u", title="t", start=0, end=1)
    tokens = (TokenLogprob("a", -0.5, (97,)),)
    events = (
        PartStart(0, TextPart("")),
        TextDelta(0, "a"),
        LogprobsDelta(0, tokens),
        CitationDelta(0, link),
        CitationDelta(0, Citation(kind="other")),
        PartEnd(0),
        CitationDelta(0, link),
        LogprobsDelta(0, tokens),
    )
    (item,) = _items(*events)
    (content,) = item["content"]
    assert len(content["annotations"]) == 2 and len(content["logprobs"]) == 2
    assert _kinds(*events).count("output_text.annotation.added") == 2


def test_images_are_what_the_image_tool_gives() -> None:
    image = MediaPart(kind="image", mime="image/png", source=Base64(""))
    items = _items(
        PartStart(0, image),
        MediaDelta(0, "AAAA"),
        PartEnd(0, final=replace(image, source=Base64("AAAA"))),
        PartStart(1, image),
        MediaDelta(1, "BBBB"),
        PartEnd(1),
        PartStart(2, replace(image, kind="audio")),
        PartEnd(2),
    )
    assert [item["result"] for item in items] == ["AAAA", "BBBB"]


def test_what_other_dialects_alone_know_is_left_out() -> None:
    hosted = ServerToolCallPart(name="web_search")
    strange = OpaquePart(dialect="anthropic", kind="x", raw=Raw(b"{}"))
    target = reply_target()
    writer = DIALECT.stream_writer(target)
    events: tuple[Event, ...] = (
        START,
        ServiceTier("odd"),
        Extra({"x": Raw(b"1")}),
        Extra({"x": Raw(b"1")}, choice=0),
        PartStart(0, hosted),
        ArgumentsDelta(0, "{}"),
        SignatureDelta(0, Signature(origin="anthropic", value="s")),
        PartEnd(0, final=hosted),
        PartStart(1, strange),
        OpaqueEvent("anthropic", "x", Raw(b"{}"), 1),
        PartEnd(1, final=strange),
        PartStart(2, TextPart("", extras={"x": Raw(b"1")}), 1),
        TextDelta(2, "other answer"),
        PartStart(3, ReasoningPart(text="")),
        LogprobsDelta(3, (TokenLogprob("a", 0.0),)),
        Extra({"x": Raw(b"1")}, 3),
        PartEnd(3),
        *END,
    )
    wire = b"".join(writer.send(event) for event in events)
    assert not oracle.stream(OWN, wire)
    assert len(objects(wire)[-1]["response"]["output"]) == 1
    assert {loss.path for loss in target.losses.losses} == {
        "service_tier",
        "extras[x]",
        "choices[0].extras[x]",
        "choices[0].parts[0]",
        "choices[0].parts[1]",
        "choices[0]",
        "choices[1]",
        "choices[0].parts[2]",
        "choices[0].parts[2].extras[x]",
        "choices[0].parts[2].logprobs",
        "usage",
    }


def test_how_streams_end() -> None:
    def last(*events: Event, **fields: Any) -> dict[str, Any]:
        wire = stream([START, *events], **fields)
        assert not oracle.stream(OWN, wire)
        return objects(wire)[-1]

    assert last(MessageEnd("max_tokens"), StreamEnd())["type"] == "response.incomplete"
    assert last(MessageEnd("cancelled"), StreamEnd())["type"] == "response.incomplete"
    failed = last(MessageEnd("malformed_tool_call"), StreamEnd())
    assert failed["type"] == "response.failed" and failed["response"]["error"]
    assert last(StreamEnd())["type"] == "response.completed"
    open_part = last(PartStart(0, TextPart("")), MessageEnd("max_tokens"), StreamEnd())
    assert open_part["response"]["output"][0]["status"] == "incomplete"
    why = StopDetail(explanation="not this")
    refused = last(MessageEnd("refusal", detail=why), StreamEnd())
    (item,) = refused["response"]["output"]
    assert item["content"] == [{"type": "refusal", "refusal": "not this"}]
    profile = replace(PROFILE, empty_text_block=True)
    full = last(*END, profile=profile)
    assert full["response"]["output"][0]["content"][0]["text"] == ""
    told = last(UsageUpdate(Usage(fresh=1, output=2)), ServiceTier("standard"), *END)
    assert told["response"]["usage"]["total_tokens"] == 3
    assert told["response"]["service_tier"] == "default"
    counted = MessageStart("x", "m", None, Usage(fresh=4), "anthropic")
    values = objects(stream([counted, *END]))
    assert values[-1]["response"]["usage"]["input_tokens"] == 4


def test_errors_are_written() -> None:
    error = APIError(kind="rate_limit", message="slow", param="p")
    (flat,) = objects(stream([Ping(), StreamError(error)]))
    assert flat == {
        "type": "error",
        "code": "rate_limit_exceeded",
        "message": "slow",
        "param": "p",
        "sequence_number": 0,
    }
    values = objects(stream([START, PartStart(0, TextPart("")), StreamError(error)]))
    assert values[-1]["type"] == "response.failed"
    assert values[-1]["response"]["error"] == {
        "code": "rate_limit_exceeded",
        "message": "slow",
        "param": "p",
    }
    native = APIError(
        kind="internal", message="m", code="odd", dialect=OWN, raw=Raw(b'{"more":1}')
    )
    values = objects(stream([START, StreamError(native)]))
    assert values[-1]["response"]["error"] == {"code": "odd", "message": "m", "more": 1}
    broken = replace(native, raw=Raw(b"5"))
    values = objects(stream([START, StreamError(broken)]))
    assert values[-1]["response"]["error"] == {"code": "odd", "message": "m"}


def test_nothing_follows_the_end() -> None:
    writer = DIALECT.stream_writer(reply_target())
    writer.send(START)
    writer.send(PartStart(0, TextPart("")))
    writer.send(StreamError(APIError(kind="internal", message="m")))
    for event in (TextDelta(0, "a"), StreamEnd(), START):
        assert writer.send(event) == b""


def test_events_out_of_order_do_nothing() -> None:
    items = _items(
        START,
        TextDelta(0, "a"),
        RefusalDelta(0, "a"),
        ReasoningDelta(0, "a"),
        ArgumentsDelta(0, "a"),
        MediaDelta(0, "a"),
        CitationDelta(0, Citation(kind="other")),
        LogprobsDelta(0, (TokenLogprob("a", 0.0),)),
        Extra({"x": Raw(b"1")}, 0),
        PartEnd(0),
        PartStart(0, TextPart("")),
        PartStart(0, TextPart("")),
        TextDelta(0, ""),
        RefusalDelta(0, ""),
        PartEnd(0),
        PartEnd(0),
        MessageEnd("end"),
        PartStart(1, TextPart("")),
    )
    assert len(items) == 1
    native = MessageStart("resp_1", "m", 7.0, None, OWN)
    empty = PartStart(0, ReasoningPart(id="rs_1"))
    values = objects(
        stream(
            [
                native,
                empty,
                empty,
                ReasoningDelta(0, ""),
                ReasoningDelta(0, "a", 0),
                ReasoningDelta(0, "b"),
                ReasoningDelta(0, "c", 0),
                Extra({"event/x": Raw(b"1")}, 0),
                ReasoningDelta(0, "d", 0),
                OpaqueEvent(OWN, "response.completed", Raw(b"{}")),
                OpaqueEvent(OWN, "", Raw(b"{}")),
                OpaqueEvent(OWN, "response.x_new", Raw(b"5")),
                OpaqueEvent(OWN, "response.x_new", Raw(b"{}"), 0),
                SignatureDelta(0, Signature(origin=OWN, value="s")),
                PartEnd(0),
                Extra({"event/x": Raw(b"2")}, 0),
                *END,
                *END,
            ]
        )
    )
    assert values[-1]["type"] == "response.completed"


# --- writing back what was read ----------------------------------------------------


def _native(*events: Event) -> list[dict[str, Any]]:
    start = MessageStart("resp_1", "m", 7.0, None, OWN)
    wire = stream([start, *events, MessageEnd("end", "completed"), StreamEnd()])
    again, violations = events_of(wire)
    assert not violations
    assert stream(again) == wire
    return objects(wire)


def test_native_extras_stand_where_they_stood() -> None:
    one = Raw(b"1")
    text = TextPart("", id="msg_1", group=0, extras={"item/x": one, "y": one})
    values = _native(
        Extra({"x": one}),
        PartStart(0, text),
        Extra({"event/z": one}, 0),
        TextDelta(0, "a"),
        Extra({"event/z": Raw(b"2"), "w": one, "item/v": one}, 0),
        TextDelta(0, "b"),
        PartEnd(0),
        Extra({"item/u": one}, 0),
        PartStart(1, RefusalPart("", id="msg_1", group=0)),
        Extra({"event/z": one}, 1),
        RefusalDelta(1, "no"),
        PartEnd(1),
        PartStart(2, ToolCallPart(id="fc_1", group=1, call_id="c", name="f")),
        Extra({"event/z": one}, 2),
        ArgumentsDelta(2, "{}"),
        PartEnd(2),
        ServiceTier("flex"),
    )
    final = values[-1]["response"]
    assert final["x"] == 1
    said, call = final["output"]
    assert (said["x"], said["v"], said["u"]) == (1, 1, 1)
    assert len(said["content"]) == 2
    assert (said["content"][0]["y"], said["content"][0]["w"]) == (1, 1)
    assert [v["z"] for v in values if "z" in v] == [1, 2, 1, 1]
    assert final["service_tier"] == "flex" and call["name"] == "f"


def test_a_whole_answer_as_a_stream_repeats_what_it_repeated() -> None:
    echo = Extra({"@echo": Raw(b'{"tools":[1],"usage":5}')})
    start = MessageStart("resp_1", "m", 7.0, None, OWN)
    for value in objects(stream([start, echo, *END])):
        assert value["response"]["tools"] == [1]
        assert value["response"]["usage"] is None


def test_raw_values_stay_on_their_line() -> None:
    tall = Raw(b'{"a":\r\n1}')
    values = _native(
        Extra({"nobody": tall}, 7),
        Extra({"x": tall}),
        PartStart(0, TextPart("", id="msg_1", group=0)),
        PartEnd(0),
    )
    assert values[-1]["response"]["x"] == {"a": 1}


def test_news_between_native_parts() -> None:
    one = Raw(b"1")
    values = _native(
        ServiceTier("auto"),
        ServiceTier("default"),
        Ping(),
        PartStart(0, TextPart("", id="msg_1", group=0)),
        Ping(),
        ServiceTier("flex"),
        Extra({"x": one}),
        TextDelta(0, "a"),
        PartEnd(0),
    )
    kinds = [value["type"] for value in values]
    assert kinds.count("response.in_progress") == 2
    assert values[-1]["response"]["service_tier"] == "flex"


def test_native_parts_that_overlap() -> None:
    one = Raw(b"1")
    values = _native(
        PartStart(0, TextPart("", id="msg_1", group=0)),
        Extra({"y": one}, 0),
        PartStart(1, TextPart("", id="msg_1", group=0)),
        PartStart(2, TextPart("", id="msg_2", group=1)),
        TextDelta(0, "a"),
        TextDelta(2, "c"),
        PartEnd(0),
        TextDelta(1, "b"),
        PartEnd(1),
        TextDelta(2, "d"),
        PartEnd(2),
    )
    first, second, third = values[-1]["response"]["output"]
    assert [each["content"][0]["text"] for each in (first, second, third)] == [
        "a",
        "b",
        "cd",
    ]


def test_parts_that_wait_too_long() -> None:
    call = ToolCallPart(call_id="c", name="f")
    wire = stream(
        [
            START,
            Extra({"x": Raw(b"1")}, 0),
            PartStart(0, call),
            PartStart(1, replace(call, call_id="d")),
            ArgumentsDelta(1, "12345"),
            PartEnd(0),
            *END,
        ],
        limits=Limits(arguments=3),
    )
    assert objects(wire)[-1]["type"] == "response.failed"


def test_native_media_inside_a_message() -> None:
    image = MediaPart(kind="image", source=Base64("AAAA"), mime="image/png", group=0)
    values = _native(PartStart(0, image), PartEnd(0, final=image))
    (item,) = values[-1]["response"]["output"]
    assert item["content"] == [
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    ]


def test_native_hosted_items_without_a_final_form() -> None:
    hosted = ServerToolCallPart(
        id="ws_1", group=0, name="web_search_call", payload=Raw(b'{"type":"x_call"}')
    )
    values = _native(PartStart(0, hosted), PartEnd(0))
    assert values[-1]["response"]["output"] == [{"type": "x_call"}]


@pytest.mark.parametrize("framing", ["sse", "messages"])
def test_the_hot_path_says_the_same(framing: str) -> None:
    writer = DIALECT.stream_writer(reply_target(framing=framing))
    for event in (START, PartStart(0, TextPart(""))):
        writer.send(event)
    first, second = writer.send(TextDelta(0, "a")), writer.send(TextDelta(0, "b"))
    data = first.partition(b"data: ")[2] if framing == "sse" else first
    assert json.loads(data)["delta"] == "a"
    assert first.replace(b'"a"', b'"b"').replace(b":4}", b":5}") == second
    assert writer.send(TextDelta(0, "")) == b""


def test_a_final_form_of_another_kind_is_none() -> None:
    for part in (MediaPart(kind="image", source=Base64("")), TextPart("a")):
        wire = stream(
            [
                MessageStart("resp-1", "m", dialect="openai-responses"),
                PartStart(0, part),
                PartEnd(0, final=ReasoningPart(text="b")),
                MessageEnd("end", "completed"),
                StreamEnd(),
            ]
        )
        last = objects(wire)[-1]
        assert last["type"] == "response.completed"
        assert [item["type"] for item in last["response"]["output"]] == ["message"]


def test_summaries_far_ahead_are_near() -> None:
    far = inside("reasoning_summary_text.delta", summary_index=10**12, delta="a")
    item = {"type": "reasoning", "id": "x", "summary": []}
    events, _ = events_of(sse(created(), added(item), far))
    assert [e.summary for e in events if isinstance(e, ReasoningDelta)] == [16]
    start = MessageStart(dialect="openai-responses")
    far_ahead = ReasoningDelta(0, "b", 10**12)
    thought = PartStart(0, ReasoningPart())
    wire = stream(
        [start, thought, far_ahead, PartEnd(0), MessageEnd("end"), StreamEnd()]
    )
    summary = objects(wire)[-1]["response"]["output"][0]["summary"]
    assert [segment["text"] for segment in summary] == [""] * 16 + ["b"]


def test_what_is_said_of_a_text_after_its_end_is_in_the_snapshot() -> None:
    citation = Citation(kind="url", url="u", title="t", start=0, end=1)
    late: list[Event] = [CitationDelta(0, citation), CitationDelta(0, citation)]
    parts: list[Event] = [PartStart(0, TextPart("")), TextDelta(0, "ab"), PartEnd(0)]
    wire = stream([*parts, *late, MessageEnd("end"), StreamEnd()])
    output = objects(wire)[-1]["response"]["output"]
    assert len(output[0]["content"][0]["annotations"]) == 2


def test_many_strangers_of_a_response_are_told_at_the_end() -> None:
    events: list[Event] = [MessageStart(dialect="openai-responses")]
    events += [PartStart(0, TextPart(""))]
    for at in range(100):
        events += [Extra({f"x_{at}": Raw(b"1")}), TextDelta(0, "a")]
    wire = stream([*events, PartEnd(0), MessageEnd("end"), StreamEnd()])
    assert wire.count(b'"response.in_progress"') < 50
    assert objects(wire)[-1]["response"]["x_99"] == 1
