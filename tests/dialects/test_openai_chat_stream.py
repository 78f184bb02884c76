"""Chat streams: sentences written by hand, habits of servers, what is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire import profiles
from llmwire._fold import fold, unfold
from llmwire._json import encode
from llmwire._seal import Placement, seal
from llmwire.dialects.openai_chat import _stream_read
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
from llmwire.messages import (
    APIError,
    Base64,
    Citation,
    MediaPart,
    OpaquePart,
    Part,
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
from llmwire.strategies import (
    chunks,
    hostile_bytes,
    sentences,
    ungrammatical_sentences,
)
from tests.dialects.chat_pair import (
    CHAT,
    OPENAI,
    chunk,
    frames,
    objects,
    plain,
    raw,
    read_stream,
    source,
    target,
    told,
    write_stream,
)
from tests.sentences import StreamCase
from tests.sentences.openai_chat import CASES
from tests.stream_law import normed

_USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def _cut(wire: bytes, size: int) -> list[bytes]:
    return [wire[at : at + size] for at in range(0, len(wire), size)]


def _kinds(events: list[Event]) -> list[object]:
    return [e.error.kind if isinstance(e, StreamError) else e for e in events]


def _call(index: int | None, **members: Any) -> dict[str, Any]:
    function = {k: members.pop(k) for k in ("name", "arguments") if k in members}
    call: dict[str, Any] = {} if index is None else {"index": index}
    return {"tool_calls": [{**call, **members, "function": function}]}


def _calls(events: list[Event]) -> list[tuple[str, str, str]]:
    """Name, arguments and status of the calls of a sentence."""
    found: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, PartStart) and isinstance(event.part, ToolCallPart):
            found[event.index] = [event.part.name, "", ""]
        elif isinstance(event, ArgumentsDelta):
            found[event.index][1] += event.text
        elif isinstance(event, PartEnd) and event.index in found:
            found[event.index][2] = event.status
    return [(one[0], one[1], one[2]) for one in found.values()]


# --- the sentences ---------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sentences(case: StreamCase) -> None:
    for wire in (
        case.wire,
        case.wire.replace(b"\n", b"\r\n"),
        case.wire.replace(b"\n", b"\r"),
    ):
        for size in (len(wire), 1, 2, 7, 64, 1000):
            events, violations = read_stream(_cut(wire, size))
            assert tuple(events) == case.events
            assert violations == dict(case.violations)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_truncated_sentences(case: StreamCase) -> None:
    pieces = case.wire.split(b"\n\n")
    for at in range(len(pieces)):
        for cut in (b"\n\n".join(pieces[:at]) + b"\n\n", case.wire[: at * 90]):
            events, _ = read_stream(cut)
            check(events)
            assert isinstance(events[-1], StreamEnd | StreamError)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sentences_written_again(case: StreamCase) -> None:
    wire, losses = write_stream(case.events)
    again, _ = read_stream(wire)
    assert normed(again) == normed(case.events)
    assert write_stream(again)[0] == wire
    assert losses == ()


# --- habits of servers -------------------------------------------------------------


def test_whole_calls_in_one_chunk_each() -> None:
    wire = frames(
        chunk(_call(0, id="a", name="f", arguments='{"q":1}')),
        chunk(_call(1, id="b", name="g", arguments="{}"), "tool_calls"),
    )
    assert _calls(read_stream(wire)[0]) == [
        ("f", '{"q":1}', "complete"),
        ("g", "{}", "complete"),
    ]


def test_another_id_on_the_same_index_is_another_call() -> None:
    wire = frames(
        chunk(_call(0, id="a", name="f", arguments='{"q"')),
        chunk(_call(0, arguments=":1}")),
        chunk(_call(0, id="b", name="f", arguments="{}"), "tool_calls"),
    )
    events, violations = read_stream(wire)
    assert _calls(events) == [("f", '{"q":1}', "complete"), ("f", "{}", "complete")]
    assert violations == {"reused-index": 1}


def test_another_name_on_the_same_index_is_another_call() -> None:
    wire = frames(
        chunk(_call(0, name="f", arguments="{}")),
        chunk(_call(0, name="g", arguments="{}")),
        chunk(_call(0, name="g", arguments='{"q":2}'), "tool_calls"),
    )
    events, violations = read_stream(wire)
    assert [c[0] for c in _calls(events)] == ["f", "g", "g"]
    assert violations == {"reused-index": 2}


def test_calls_without_index_and_id() -> None:
    wire = frames(
        chunk(_call(None, name="f", arguments="{}")),
        chunk(_call(None, name="f", arguments="{}"), "tool_calls"),
    )
    events, violations = read_stream(wire)
    ids = [
        e.part.call_id
        for e in events
        if isinstance(e, PartStart) and isinstance(e.part, ToolCallPart)
    ]
    assert len(set(ids)) == 2
    assert all(one.startswith("tc_") for one in ids)
    assert violations == {}


def test_interleaved_calls() -> None:
    wire = frames(
        chunk(_call(0, id="a", name="f", arguments="")),
        chunk(_call(1, id="b", name="g", arguments="")),
        chunk(_call(0, arguments='{"x":1}')),
        chunk(_call(1, arguments="{}")),
        chunk({}, "tool_calls"),
    )
    events, _ = read_stream(wire)
    assert _calls(events) == [("f", '{"x":1}', "complete"), ("g", "{}", "complete")]


def test_repeated_names_ids_and_arguments_say_nothing_new() -> None:
    wire = frames(
        chunk(_call(0, id="a", name="f", arguments="")),
        chunk(_call(0, id="a", name="f", arguments='{"x":1}')),
        chunk(_call(0, id="a", name="f", arguments='{"x":1}')),
        chunk({}, "tool_calls"),
    )
    events, violations = read_stream(wire)
    assert _calls(events) == [("f", '{"x":1}', "complete")]
    assert violations == {"repeated-arguments": 1}


def test_arguments_glued_together_stay_as_they_came() -> None:
    # Splitting them is a repair that a filter may make; the call must not be run.
    glued = '{"q":"A"}{"q":"B"}'
    wire = frames(chunk(_call(0, id="a", name="f", arguments=glued), "tool_calls"))
    assert _calls(read_stream(wire)[0]) == [("f", glued, "incomplete")]


def test_arguments_null_and_as_an_object() -> None:
    wire = frames(
        chunk(_call(0, id="a", name="f", arguments=None)),
        chunk(_call(0, arguments={"x": [1, 2]})),
        chunk({}, "tool_calls"),
    )
    events, _ = read_stream(wire)
    assert _calls(events) == [("f", '{"x": [1, 2]}', "complete")]


def test_a_call_whose_name_comes_later_or_never() -> None:
    wire = frames(
        chunk(_call(0, id="a")),
        chunk(_call(0, id="", name="f")),
        chunk(_call(0, arguments="{}")),
        chunk(_call(1, id="b")),
        chunk({"tool_calls": [{"index": 2}]}),
        chunk({}, "tool_calls"),
    )
    assert _calls(read_stream(wire)[0]) == [
        ("f", "{}", "complete"),
        ("", "", "complete"),
    ]


def test_custom_calls() -> None:
    first = {"index": 0, "id": "a", "type": "custom"}
    wire = frames(
        chunk({"tool_calls": [{**first, "custom": {"name": "patch", "input": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "*** "}}]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "x", "y": 1}}]}),
        chunk({}, "tool_calls"),
    )
    events, _ = read_stream(wire)
    part = fold(events).choices[0].parts[0]
    assert isinstance(part, ToolCallPart)
    assert (part.kind, part.name, part.arguments) == ("custom", "patch", "*** x")
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_legacy_function_call() -> None:
    wire = frames(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk({"function_call": {"arguments": ""}}),
        chunk({}, "function_call"),
    )
    events, _ = read_stream(wire)
    assert _calls(events) == [("f", "{}", "complete")]
    assert isinstance(events[-2], MessageEnd)
    assert events[-2].stop == "tool_use"
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_plain_thinking(field: str) -> None:
    wire = frames(
        chunk({"role": "assistant", "content": "", field: ""}),
        chunk({field: "Hm"}),
        chunk({field: "m."}),
        chunk({"content": "Hi"}, "stop"),
    )
    events, _ = read_stream(wire)
    thought, text = fold(events).choices[0].parts
    assert isinstance(thought, ReasoningPart)
    assert (thought.text, plain(thought.extras)) == ("Hmm.", {"@field": field})
    assert isinstance(text, TextPart)
    assert text.text == "Hi"


def test_thinking_said_twice_is_read_once() -> None:
    wire = frames(
        chunk({"reasoning": "a", "reasoning_content": "a"}),
        chunk({"content": "b"}, "stop"),
    )
    thought = fold(read_stream(wire)[0]).choices[0].parts[0]
    assert isinstance(thought, ReasoningPart)
    assert thought.text == "a"


def test_details_with_summary_and_encrypted_state_of_one_index() -> None:
    summary = {"type": "reasoning.summary", "index": 0, "format": "f-1"}
    secret = {"type": "reasoning.encrypted", "data": "YQ==", "index": 0}
    wire = frames(
        chunk({"reasoning_details": [{**summary, "summary": "S"}]}),
        chunk({"reasoning_details": [{**summary, "summary": "um", "new": 1}]}),
        chunk({"reasoning_details": [{**secret, "format": "f-1"}]}),
        chunk({"reasoning_details": [{**secret, "id": "rs_1"}]}),
        chunk({"content": "b"}, "stop"),
    )
    events, _ = read_stream(wire)
    thought = fold(events).choices[0].parts[0]
    assert isinstance(thought, ReasoningPart)
    assert thought.summary == ("Sum",)
    assert thought.signature == Signature(origin="openai-chat", value="YQ==")
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_details_of_every_kind() -> None:
    wire = frames(
        chunk({"reasoning_details": [{"type": "reasoning.text", "index": 3}]}),
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}),
        chunk({"reasoning_details": [{"type": "reasoning.new", "x": 1}, 5]}),
        chunk(
            {
                "reasoning": "plain",
                "reasoning_details": [
                    {"type": "reasoning.text", "signature": "s", "index": 1}
                ],
            }
        ),
        chunk(
            {
                "reasoning": "late",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "late", "id": "r", "index": 1}
                ],
            }
        ),
        chunk({"content": "b"}, "stop"),
    )
    events, _ = read_stream(wire)
    check(events)
    parts = fold(events).choices[0].parts
    assert [type(part).__name__ for part in parts] == [
        "ReasoningPart",
        "ReasoningPart",
        "OpaquePart",
        "OpaquePart",
        "ReasoningPart",
        "ReasoningPart",
        "TextPart",
    ]
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_signatures_say_who_was_asked() -> None:
    entry = {"type": "reasoning.text", "signature": "s", "index": 0}
    google = {"google": {"thought_signature": "g"}}
    wire = frames(
        chunk({"reasoning_details": [entry]}),
        chunk(_call(0, id="a", name="f", arguments="{}", extra_content=google)),
        chunk({}, "tool_calls"),
    )
    thought, call = fold(read_stream(wire, model="m-1", tag="t")[0]).choices[0].parts
    own = Signature(origin="openai-chat", value="s", model="m-1", tag="t")
    assert thought.signature == own
    assert call.signature is not None
    assert (call.signature.value, call.signature.tag) == ("g", "t")


def test_googles_signature_late_or_among_others() -> None:
    alone = {"google": {"thought_signature": "g"}}
    wire = frames(
        chunk(_call(0, id="a", name="f", arguments="{}", extra_content={"x": 1})),
        chunk(_call(0, extra_content=alone)),
        chunk(_call(1, id="b", name="f", extra_content={**alone, "x": 1})),
        chunk(_call(1, arguments="{}", new=5)),
        chunk({}, "tool_calls"),
    )
    events, _ = read_stream(wire)
    first, second = fold(events).choices[0].parts
    assert first.signature == Signature(origin="openai-chat", value="g")
    assert plain(first.extras) == {"extra_content": {"x": 1}}
    assert second.signature == first.signature
    assert plain(second.extras) == {"extra_content": {**alone, "x": 1}, "new": 5}
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_content_arrays_of_any_element() -> None:
    thinking = {"type": "thinking", "thinking": "as a text"}
    wire = frames(
        chunk({"content": [thinking, {"type": "text", "text": "a", "new": 1}]}),
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "ref"}]}]}),
        chunk({"content": [{"type": "image", "x": 1}, 5, {"type": 3}]}),
        chunk({"content": [{"type": "thinking", "thinking": []}]}),
        chunk({"content": [{"type": "text", "text": ""}]}, "stop"),
    )
    events, _ = read_stream(wire)
    check(events)
    kinds = [type(part).__name__ for part in fold(events).choices[0].parts]
    assert kinds == [
        "ReasoningPart",
        "TextPart",
        *("OpaquePart",) * 4,
        "ReasoningPart",
    ]
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


@pytest.mark.parametrize(
    "place",
    [
        {"usage": _USAGE},
        {"x_groq": {"usage": _USAGE}},
        {
            "choices": [
                {"index": 0, "delta": {}, "finish_reason": None, "usage": _USAGE}
            ]
        },
    ],
)
def test_where_usage_comes(place: dict[str, Any]) -> None:
    wire = frames(chunk({"content": "a"}, **place), chunk({}, "stop", usage=None))
    if "choices" in place:
        wire = frames(chunk({"content": "a"}), chunk({}, **place), chunk({}, "stop"))
    usages = [e.usage for e in read_stream(wire)[0] if isinstance(e, UsageUpdate)]
    assert usages == [Usage(fresh=7, output=2)]


def test_usage_in_every_chunk_and_before_the_message() -> None:
    early = {"choices": [], "usage": _USAGE}
    more = {**_USAGE, "completion_tokens": 3, "total_tokens": 10}
    wire = frames(
        early,
        chunk({"content": "a"}, usage=_USAGE),
        chunk({"content": "b"}, usage=more),
        chunk({"content": "c"}, usage=more, x_groq=5),
        chunk({}, "stop", usage=7),
    )
    usages = [e.usage for e in read_stream(wire)[0] if isinstance(e, UsageUpdate)]
    assert usages == [Usage(fresh=7, output=2), Usage(fresh=7, output=3)]


def test_reasoning_counted_outside_the_completion() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 36,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    wire = frames(chunk({"content": "a"}, "stop", usage=usage))
    xai = profiles.resolve("openai-chat", "xai")
    found = fold(read_stream(wire, profile=xai)[0]).usage
    assert found is not None
    assert found.output == 26
    assert plain(found.extras) == {"completion_tokens": 5}


@pytest.mark.parametrize(
    ("frame", "kind", "message"),
    [
        ({"error": {"message": "Overloaded", "code": 503}}, "overloaded", "Overloaded"),
        ({"error": "no such luck"}, "internal", "no such luck"),
        ({"object": "error", "message": "bad", "code": 400}, "invalid_request", "bad"),
        ({"detail": [{"msg": "extra", "loc": ["a"]}]}, "internal", "a: extra"),
        (
            {"base_resp": {"status_code": 1008, "status_msg": "no money"}},
            "internal",
            "no money",
        ),
        ([{"error": {"code": 429, "message": "slow"}}], "rate_limit", "slow"),
        ("{not json", "bad_upstream", None),
        ('"text"', "bad_upstream", None),
    ],
)
def test_errors_inside_a_stream(frame: Any, kind: str, message: str | None) -> None:
    wire = frames(chunk({"content": "a"}), frame, chunk({"content": "b"}, "stop"))
    events, violations = read_stream(wire)
    check(events)
    last = events[-1]
    assert isinstance(last, StreamError)
    assert last.error.kind == kind
    if message is not None:
        assert last.error.message == message
    assert violations == {"after-end": 1}


def test_an_error_beside_a_finish_reason() -> None:
    error = {"error": {"code": 502, "message": "provider gone"}}
    last_words = chunk({"content": ""}, "error") | error
    wire = frames(chunk({"content": "a"}), last_words)
    last = read_stream(wire)[0][-1]
    assert isinstance(last, StreamError)
    assert last.error.message == "provider gone"


@pytest.mark.parametrize("error", [None, {}, "", False])
def test_an_empty_error_is_none(error: Any) -> None:
    wire = frames(chunk({"content": "a"}, "stop", error=error))
    assert isinstance(read_stream(wire)[0][-1], StreamEnd)


@pytest.mark.parametrize(
    "line",
    [b'{"error":{"message":"raw"}}\n\n', b'error: {"error":{"message":"raw"}}\n\n'],
)
def test_json_that_lacks_its_field_name(line: bytes) -> None:
    wire = frames(chunk({"content": "a"}), done=False) + line + line
    events, violations = read_stream(wire)
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.message == "raw"
    assert violations == {"after-end": 1}


def test_ends_of_many_kinds() -> None:
    body = frames(chunk({"content": "a"}), chunk({}, "stop"), done=False)
    whole = read_stream(body + b"data: [DONE]\n\n")
    for end in (
        b"data:[DONE]\n\n",
        b"data: [DONE] \n\n",
        b"data: [DONE]\n\n: bye\n\n\n\n",
        b"",
        b"data: [DO",
        b"data: \n\n",
    ):
        assert read_stream(body + end) == whole


def test_a_terminator_without_a_reason() -> None:
    events, violations = read_stream(frames(chunk({"content": "a"})))
    assert events[-2:] == [MessageEnd("other"), StreamEnd()]
    assert violations == {"terminator-without-finish": 1}
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_nothing_but_a_terminator() -> None:
    events, _ = read_stream(b"data: [DONE]\n\ndata: [DONE]\n\n")
    assert events == [
        MessageStart(dialect="openai-chat"),
        MessageEnd("other"),
        StreamEnd(),
    ]
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_a_prelude_without_a_message() -> None:
    wire = frames({"choices": [], "new": 1, "usage": _USAGE})
    events, _ = read_stream(wire)
    check(events)
    assert Extra({"new": raw(1)}) in events
    assert UsageUpdate(Usage(fresh=7, output=2)) in events


def test_truncation() -> None:
    for wire in (
        b"",
        frames(chunk({"content": "a"}), done=False),
        frames(chunk({"content": "a"}), done=False) + b'data: {"id": "c-1", "cho',
    ):
        last = read_stream(wire)[0][-1]
        assert isinstance(last, StreamError)
        assert last.error.kind == "truncated"


def test_a_whole_message_at_the_end_is_not_read_again() -> None:
    message = {"role": "assistant", "content": "Hi there"}
    last = chunk(None, "stop", object="chat.completion")
    last["choices"][0]["message"] = message
    del last["choices"][0]["delta"]
    wire = frames(chunk({"content": "Hi"}), chunk({"content": " there"}), last)
    part = fold(read_stream(wire)[0]).choices[0].parts
    assert part == (TextPart("Hi there"),)
    last["choices"][0]["delta"] = message
    assert fold(read_stream(frames(chunk({"content": "Hi there"}), last))[0]).choices[
        0
    ].parts == (TextPart("Hi there"),)


def test_a_whole_message_alone_is_read() -> None:
    last = chunk(None, "stop", object="chat.completion")
    del last["choices"][0]["delta"]
    last["choices"][0]["message"] = {"role": "assistant", "content": "Hi"}
    assert fold(read_stream(frames(last))[0]).choices[0].parts == (TextPart("Hi"),)
    last["choices"][0]["message"] = 5
    assert fold(read_stream(frames(last))[0]).choices[0].parts == ()


def test_copilots_several_choices_of_one_index() -> None:
    wire = frames(
        {
            "id": "c-1",
            "choices": [
                {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "tool_calls"},
                {"delta": _call(0, id="a", name="f", arguments="{}")},
            ],
        }
    )
    events, violations = read_stream(wire)
    parts = fold(events).choices[0].parts
    assert [type(part) for part in parts] == [TextPart, ToolCallPart]
    assert violations == {}


def test_a_choice_of_which_only_a_stranger_came() -> None:
    wire = frames(
        chunk({"new": 1}), chunk({"content": "a"}, None, 1), chunk({}, "stop", 1)
    )
    events, _ = read_stream(wire)
    assert [e.choice for e in events if isinstance(e, MessageEnd)] == [1]
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_text_after_the_end_of_its_choice() -> None:
    wire = frames(
        chunk({"content": "a"}, "stop"),
        chunk({"content": "b"}),
        chunk({"reasoning": "b"}),
        chunk({"content": ""}),
        chunk({}, "stop"),
    )
    events, violations = read_stream(wire)
    assert fold(events).choices[0].parts == (TextPart("a"),)
    assert violations == {"part-after-end": 2, "repeated-finish": 1}


def test_members_of_wrong_types_and_in_wrong_places() -> None:
    wire = frames(
        chunk({"content": 5, "id": "x", "index": 1}, new={"a": 1}),
        {**chunk({"content": "a"}), "created": "now"},
        {
            **chunk({}),
            "choices": [{"index": "0", "delta": {}, "finish_reason": 3, "model": 1}],
        },
        chunk({"tool_calls": [{"index": "x", "id": 5, "function": {"name": 3}}]}),
        chunk({"refusal": "no", "audio": 5}, "stop"),
    )
    events, violations = read_stream(wire)
    check(events)
    assert violations == {"misfit-member": 1, "misplaced-member": 1}
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


@pytest.mark.parametrize(
    ("word", "stop"),
    [
        ("stop", "end"),
        ("eos", "end"),
        ("model_length", "max_tokens"),
        ("sensitive", "content_filter"),
        ("insufficient_system_resource", "error"),
        ("model_context_window_exceeded", "context_full"),
        ("tool_calls", "end"),
        ("something new", "other"),
    ],
)
def test_stop_words(word: str, stop: str) -> None:
    events, violations = read_stream(frames(chunk({"content": "a"}, word)))
    assert MessageEnd(stop, word) in events  # type: ignore[arg-type]  # a reason
    assert violations == ({"calls-missing": 1} if word == "tool_calls" else {})


def test_stop_of_forced_calls_refusals_and_sequences() -> None:
    call = chunk(_call(0, id="a", name="f", arguments="{}"), "stop")
    assert MessageEnd("tool_use", "stop") in read_stream(frames(call))[0]
    no = frames(chunk({"refusal": "I can't."}, "stop"))
    assert MessageEnd("refusal", "stop") in read_stream(no)[0]
    met = chunk({"content": "a"}, "stop")
    met["choices"][0]["stop_reason"] = "END"
    end = MessageEnd("stop_sequence", "stop", "END")
    assert end in read_stream(frames(met))[0]
    for nothing in (5, "", None):
        met["choices"][0]["stop_reason"] = nothing
        assert MessageEnd("end", "stop") in read_stream(frames(met))[0]


def test_audio() -> None:
    wire = frames(
        chunk({"content": "so "}),
        chunk({"audio": {"id": "au_1", "transcript": "He"}}),
        chunk({"audio": {"data": "AAAA", "new": 1}}),
        chunk({"audio": {"data": "BBBB", "transcript": "llo"}}),
        chunk({"audio": {"data": "", "transcript": "", "expires_at": 99}}),
        chunk({"audio": None}, "stop"),
    )
    events, _ = read_stream(wire)
    check(events)
    part = fold(events).choices[0].parts[1]
    assert isinstance(part, MediaPart)
    assert (part.kind, part.id, part.source) == ("audio", "au_1", Base64("AAAABBBB"))
    assert plain(part.meta) == {"transcript": "Hello", "expires_at": 99}
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_annotations_after_the_text_and_without_any() -> None:
    page = {"type": "url_citation", "url_citation": {"url": "https://a.example/"}}
    late = frames(
        chunk({"content": "a"}), chunk({"annotations": [page, 5]}), chunk({}, "stop")
    )
    part = fold(read_stream(late)[0]).choices[0].parts[0]
    assert isinstance(part, TextPart)
    assert [c.url for c in part.citations] == ["https://a.example/"]
    alone = frames(chunk({"annotations": [page]}), chunk({}, "stop"))
    events, _ = read_stream(alone)
    assert plain(fold(events).choices[0].extras) == {"message/annotations": [page]}
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_log_probabilities_of_calls_refusals_and_before_any_text() -> None:
    token = {"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": []}

    def told_of(delta: Any, lists: Any) -> Any:
        one = chunk(delta)
        one["choices"][0]["logprobs"] = lists
        return one

    wire = frames(
        told_of({}, {"content": [token]}),
        told_of({"content": "a"}, {"content": [token], "new": 1}),
        told_of({}, {"content": [token], "new": 1}),
        told_of(_call(0, id="a", name="f", arguments="{}"), {"content": [token]}),
        told_of({"refusal": "no"}, {"refusal": [token], "reasoning": [token]}),
        told_of({}, 5),
        told_of({}, {"content": [{"token": 5}]}),
        chunk({}, "stop"),
    )
    events, _ = read_stream(wire)
    check(events)
    one = (TokenLogprob("a", -1.0),)
    text, call, refusal = fold(events).choices[0].parts
    assert isinstance(text, TextPart)
    assert text.logprobs == one * 3
    assert isinstance(call, ToolCallPart)
    assert call.logprobs == one
    assert isinstance(refusal, RefusalPart)
    assert refusal.logprobs == one
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)
    thinking = frames(
        told_of({"reasoning": "x"}, {"content": [token]}), chunk({}, "stop")
    )
    thought = fold(read_stream(thinking)[0]).choices[0].parts[0]
    assert isinstance(thought, ReasoningPart)
    assert thought.logprobs == one


def test_limits() -> None:
    calls = [chunk(_call(i, id=f"c{i}", name="f", arguments="{}")) for i in range(4)]
    for limits in (Limits(parts=2), Limits(arguments=3)):
        events, _ = read_stream(frames(*calls, chunk({}, "stop")), limits=limits)
        check(events)
        assert isinstance(events[-1], StreamError)
    many = [chunk({field: "x"}) for field in ("content", "reasoning", "refusal") * 2]
    entry = {"type": "reasoning.text", "text": "x", "index": 7}
    many.append(chunk({"reasoning_details": [entry]}))
    for index in range(1, 8):
        for first in range(7):
            wire = frames(*many[first:], *calls, chunk({"audio": {"data": "AAAA"}}))
            check(read_stream(wire, limits=Limits(parts=index))[0])


def test_several_data_lines() -> None:
    text = json.dumps(chunk({"content": "a"}, new=[1]), indent=1)
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    events, _ = read_stream(lines.encode() + b"\n" + frames(chunk({}, "stop")))
    assert isinstance(events[-1], StreamEnd)
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


# --- the hot lane ------------------------------------------------------------------


def _slowly(wire: bytes, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    with monkeypatch.context() as patch:
        patch.setattr(_stream_read, "learned", lambda *_: None)
        return read_stream(wire)[0]


_FIELD = st.sampled_from(["content", "reasoning", "reasoning_content", "refusal"])
_TEXT = st.sampled_from(
    ["a", "", "é", '"', "\\", "\n", "x" * 9, "[DONE]", "\U0001f600"]
)
_MORE = st.sampled_from(
    [
        {},
        {"obfuscation": "ab"},
        {"obfuscation": "abcd"},
        {"p": "x"},
        {"new": 1},
        {"usage": None},
        {"usage": _USAGE},
        {"id": "other"},
        {"content": "x"},
    ]
)
_EXTRA_DELTA = st.sampled_from(
    [
        {},
        {"role": "assistant"},
        {"new": "x"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "t", "index": 0}]},
    ]
)


@given(
    st.lists(
        st.tuples(_FIELD, _TEXT, _MORE, _EXTRA_DELTA, st.integers(0, 1)), max_size=12
    ),
    st.booleans(),
)
def test_the_hot_lane_says_what_the_slow_one_does(steps: Any, ascii: bool) -> None:
    data = [
        json.dumps(chunk({**extra, f: text}, None, at, **more), ensure_ascii=ascii)
        for f, text, more, extra, at in steps
        for _ in range(2)
    ]
    wire = frames(*data, chunk({}, "stop"), chunk({}, "stop", 1))
    with pytest.MonkeyPatch.context() as patch:
        slow = _slowly(wire, patch)
    assert read_stream(wire)[0] == slow


def test_the_hot_lane_leaves_what_is_no_utf8() -> None:
    good = frames(chunk({"content": "ab"}), chunk({"content": "cd"}), done=False)
    events, _ = read_stream(good + good.replace(b"cd", b"\xff\xfe"))
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.kind == "bad_upstream"


def test_members_that_look_like_errors_or_usage() -> None:
    quiet = {"id": "c-1", "choices": [], "base_resp": {"status_code": 0}}
    odd = chunk({"content": "b"}, x_groq={"usage": 5})
    texts = {"type": "text", "text": "c"}
    wire = frames(
        quiet,
        chunk({"content": "a"}, base_resp={"status_code": 0}),
        odd,
        chunk({"content": [texts]}),
        chunk({"reasoning_details": [{"type": "reasoning.text", "index": 0}]}),
        chunk({"audio": None}, "stop"),
    )
    events, _ = read_stream(wire)
    assert isinstance(events[-1], StreamEnd)
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_padding_of_another_shape_is_decoded() -> None:
    first = chunk({"content": "a"}, obfuscation="ab")
    for more in ({"obfuscation": "x-y"}, {"obfuscation": "ab", "new": 1}):
        wire = frames(first, first, chunk({"content": "b"}, **more), chunk({}, "stop"))
        assert fold(read_stream(wire)[0]).choices[0].parts == (TextPart("aab"),)


def test_the_hot_lane_with_padding_and_without_text() -> None:
    first = chunk({"content": "a"}, obfuscation="ab")
    more = {**first, "created": 6}
    quiet = chunk({"content": ""}, obfuscation="")
    wire = frames(first, quiet, first, quiet, first, more, more, chunk({}, "stop"))
    assert fold(read_stream(wire)[0]).choices[0].parts == (TextPart("aaaaa"),)
    late = json.dumps(first).replace('"a"', '"b", "new": 1')
    wire = frames(first, first, late, late, chunk({}, "stop"))
    assert fold(read_stream(wire)[0]).choices[0].parts == (TextPart("aabb"),)


def test_thinking_elements_with_strangers_from_the_start() -> None:
    thinking = {"type": "thinking", "thinking": "Hm", "closed": False}
    wire = frames(chunk({"content": [thinking]}), chunk({"content": "a"}, "stop"))
    events, _ = read_stream(wire)
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_state_that_belongs_to_another_part() -> None:
    signature = Signature(origin="gemini", value="x")
    places: tuple[Placement, ...] = ("next", "prev")
    entries = [
        {
            "type": "reasoning.encrypted",
            "data": seal(signature, place),
            "format": "llmwire-v1",
            "index": at,
        }
        for at, place in enumerate(places)
    ]
    wire = frames(
        chunk({"content": "a"}),
        *(chunk({"reasoning_details": [entry]}) for entry in entries),
        chunk({}, "stop"),
    )
    events, _ = read_stream(wire)
    parts = fold(events).choices[0].parts
    notes = [plain(part.extras) for part in parts]
    assert notes == [{}, {"@placement": "next"}, {"@placement": "prev"}]
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_strangers_of_thoughts_before_their_text() -> None:
    known = ReasoningPart(extras={"type": raw("reasoning.text"), "index": raw(0)})
    events: list[Event] = [
        MessageStart("c-1", "m", 5.0, dialect="openai-chat"),
        PartStart(0, known),
        Extra({"new": raw(1), "id": raw("r")}, index=0),
        Extra({"@field": raw("reasoning")}, index=0),
        ReasoningDelta(0, "a"),
        PartEnd(0),
        MessageEnd("end", "stop"),
        StreamEnd(),
    ]
    once, _ = read_stream(write_stream(events)[0])
    assert normed(once) == normed(events)


def test_commentary_and_the_final_answer_stand_apart() -> None:
    first = TextPart("", phase="commentary")
    last = TextPart("", phase="final_answer")
    events = _sentence(
        *_part(0, first, TextDelta(0, "a")), *_part(1, last, TextDelta(1, "b"))
    )
    texts = [one["content"] for one in _deltas(events) if "content" in one]
    assert "".join(texts) == "a\n\nb"
    assert "phase" in {loss.feature for loss in write_stream(events)[1]}


def test_a_message_that_breaks_off_at_once() -> None:
    error = StreamError(APIError(kind="truncated", message="x"))
    start = MessageStart("c-1", "m", 5.0, dialect="openai-chat")
    again, _ = read_stream(write_stream([start, error])[0])
    assert again[0] == start


def test_details_of_the_same_index_with_other_members() -> None:
    first = {"type": "reasoning.text", "text": "a", "index": 0, "format": "f-1"}
    wire = frames(
        chunk({"reasoning_details": [{**first, "id": "r1"}]}),
        chunk({"reasoning_details": [{**first, "id": "r1", "format": "f-2"}]}),
        chunk({"reasoning_details": [{**first, "id": "r2"}], "reasoning": "a"}),
        chunk({"content": "b"}, "stop"),
    )
    events, _ = read_stream(wire)
    thought = fold(events).choices[0].parts[0]
    assert isinstance(thought, ReasoningPart)
    assert (thought.text, thought.id) == ("aaa", "r1")
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


def test_a_thought_said_again_beside_its_signature() -> None:
    signed = {"type": "reasoning.text", "text": "Hmm.", "signature": "s", "index": 0}
    wire = frames(
        chunk({"reasoning": "Hm"}),
        chunk({"reasoning": "m."}),
        chunk({"reasoning_details": [signed]}),
        chunk({"content": "b"}, "stop"),
    )
    events, violations = read_stream(wire)
    thought = fold(events).choices[0].parts[0]
    assert isinstance(thought, ReasoningPart)
    assert thought.text == "Hmm."
    assert violations == {"repeated-thinking": 1}
    other = {**signed, "text": "Else", "index": 1}
    wire = frames(
        chunk({"reasoning": "Hm"}),
        chunk({"reasoning_details": [other, {**other, "text": None, "index": 1}]}),
        chunk({"content": "b"}, "stop"),
    )
    assert len(fold(read_stream(wire)[0]).choices[0].parts) == 3


# --- writing -----------------------------------------------------------------------

_H = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1763680000}


def _sentence(*events: Event, stop: Any = "end") -> list[Event]:
    start = MessageStart("chatcmpl-1", "m", 1763680000.0, dialect="anthropic")
    usage = Usage(fresh=10, cache_read=0, output=5, reasoning=0)
    return [start, *events, MessageEnd(stop), UsageUpdate(usage), StreamEnd()]


def _part(index: int, part: Part, *deltas: Event) -> tuple[Event, ...]:
    return (PartStart(index, part), *deltas, PartEnd(index))


def _deltas(events: list[Event], **changes: Any) -> list[Any]:
    """What the choices of a stream say: delta, or the reason to end."""
    found: list[Any] = []
    for value in objects(write_stream(events, **changes)[0]):
        for choice in value["choices"] if isinstance(value, dict) else ():
            found.append(choice["finish_reason"] or choice["delta"])
    return found


_ROLE = {"role": "assistant", "content": ""}


def test_a_stream_from_another_dialect() -> None:
    events = _sentence(*_part(0, TextPart(""), TextDelta(0, "Hi"), TextDelta(0, "")))
    found = objects(write_stream(events)[0])
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    head = {**_H, "model": "m"}
    none = {"finish_reason": None}
    assert found == [
        {**head, "choices": [{"index": 0, "delta": _ROLE, **none}], "usage": None},
        {
            **head,
            "choices": [{"index": 0, "delta": {"content": "Hi"}, **none}],
            "usage": None,
        },
        {
            **head,
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
            "usage": None,
        },
        {**head, "choices": [], "usage": usage},
        "[DONE]",
    ]
    quiet = objects(write_stream(events, include_usage=False)[0])
    assert all("usage" not in one for one in quiet if one != "[DONE]")


def test_ids_time_and_model() -> None:
    events: list[Event] = [MessageStart("msg_1"), MessageEnd("end"), StreamEnd()]
    one = objects(write_stream(events, model="other")[0])[0]
    assert one["id"].startswith("chatcmpl-")
    assert (one["created"], one["model"]) == (1763680000, "other")
    native: list[Event] = [
        MessageStart("x", "m", 1.5, dialect="openai-chat"),
        StreamEnd(),
    ]
    assert objects(write_stream(native)[0])[0]["created"] == 1.5
    assert objects(write_stream([StreamEnd()], created=None)[0])[0]["created"] == 0


def test_thinking_and_its_state_from_another_dialect() -> None:
    signature = Signature(origin="anthropic", value="c2ln", model="claude-x")
    events = _sentence(
        *_part(
            0, ReasoningPart(), ReasoningDelta(0, "Hm"), SignatureDelta(0, signature)
        ),
        *_part(1, ReasoningPart(), ReasoningDelta(1, "So"), ReasoningDelta(1, "")),
        *_part(2, ReasoningPart(redacted=True), SignatureDelta(2, signature)),
        *_part(3, TextPart(""), TextDelta(3, "Hi"), SignatureDelta(3, signature)),
    )
    found = _deltas(events)
    entries = [
        one["reasoning_details"][0] for one in found if "reasoning_details" in one
    ]
    assert [one["type"] for one in entries] == [
        "reasoning.text",
        "reasoning.encrypted",
        "reasoning.encrypted",
    ]
    assert all(one["format"] == "llmwire-v1" for one in entries)
    texts = [one["reasoning_content"] for one in found if "reasoning_content" in one]
    assert texts == ["Hm", "\n\nSo"]
    hidden = profiles.Profile(name="openai", reasoning_details=False)
    bare = _deltas(events, profile=hidden)
    assert not any("reasoning_details" in one for one in bare)
    assert ("reasoning.signature", "choices[0].parts[0].signature", "dropped") in told(
        write_stream(events, profile=hidden)[1]
    )


def test_thinking_of_another_dialect_is_read_and_written_again() -> None:
    signature = Signature(origin="anthropic", value="c2ln")
    signed = SignatureDelta
    sentences_ = (
        _sentence(
            *_part(0, ReasoningPart(), ReasoningDelta(0, "A"), signed(0, signature)),
            *_part(1, ReasoningPart(), ReasoningDelta(1, "B"), signed(1, signature)),
            *_part(2, TextPart(""), TextDelta(2, "Hi")),
        ),
        _sentence(
            *_part(
                0,
                ReasoningPart(),
                ReasoningDelta(0, "A", 0),
                ReasoningDelta(0, "B", 1),
                signed(0, signature),
            ),
            *_part(1, ReasoningPart(), ReasoningDelta(1, "C")),
        ),
        _sentence(
            *_part(0, ReasoningPart(), signed(0, signature)),
            *_part(1, ReasoningPart(), ReasoningDelta(1, "B"), signed(1, signature)),
            *_part(2, ReasoningPart(), ReasoningDelta(2, "C"), signed(2, signature)),
            *_part(3, ReasoningPart(redacted=True), signed(3, signature)),
        ),
    )
    for events in sentences_:
        once, _ = read_stream(write_stream(events)[0])
        check(once)
        twice, _ = read_stream(write_stream(once)[0])
        assert normed(twice) == normed(once)
        parts = fold(once).choices[0].parts
        signatures = [p.signature for p in parts if isinstance(p, ReasoningPart)]
        assert signature in signatures


def test_later_thoughts_repeat_their_text_beside_their_state() -> None:
    signature = Signature(origin="anthropic", value="c2ln")
    events = _sentence(
        *_part(0, ReasoningPart(), ReasoningDelta(0, "A")),
        *_part(
            1, ReasoningPart(), ReasoningDelta(1, "B"), SignatureDelta(1, signature)
        ),
    )
    entry = next(
        one["reasoning_details"][0]
        for one in _deltas(events)
        if "reasoning_details" in one
    )
    assert entry["text"] == "B"


def test_calls_from_another_dialect() -> None:
    signature = Signature(origin="gemini", value="c2ln")
    call = ToolCallPart(call_id="t1", name="f", signature=signature)
    events = _sentence(
        PartStart(0, call),
        PartStart(1, ToolCallPart(call_id="t2", name="g")),
        ArgumentsDelta(1, '{"a":'),
        ArgumentsDelta(1, ""),
        ArgumentsDelta(1, "1}"),
        SignatureDelta(1, signature),
        PartEnd(0),
        PartEnd(1),
        stop="tool_use",
    )
    found = _deltas(events)
    assert found[0] == {"role": "assistant", "content": None, "refusal": None}
    opened = found[1]["tool_calls"][0]
    assert (opened["index"], opened["id"], opened["type"]) == (0, "t1", "function")
    google = opened["extra_content"]["google"]
    assert google["thought_signature"].startswith("llmw1.gemini.")
    assert {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]} in found
    assert found[-1] == "tool_calls"


def test_refusals() -> None:
    words = _sentence(
        *_part(0, RefusalPart(""), RefusalDelta(0, "No."), TextDelta(0, "x")),
        *_part(1, RefusalPart(""), RefusalDelta(1, "Never.")),
        stop="refusal",
    )
    assert _deltas(words) == [
        {"role": "assistant", "content": None, "refusal": ""},
        {"refusal": "No."},
        {"refusal": "Never."},
        "stop",
    ]
    start: Event = MessageStart("msg_1", "m", None, dialect="anthropic")
    detail = StopDetail("bio", "Not this.")
    for stop, word in (("refusal", "stop"), ("content_filter", "content_filter")):
        events: list[Event] = [start, MessageEnd(stop, None, None, detail), StreamEnd()]  # type: ignore[arg-type]  # a reason
        assert _deltas(events)[1:] == [{"refusal": "Not this."}, word]
    assert _deltas([start, MessageEnd("refusal"), StreamEnd()])[-1] == "content_filter"


def test_what_has_no_place_is_told() -> None:
    events = _sentence(
        *_part(0, ServerToolCallPart(name="search")),
        *_part(1, OpaquePart(dialect="gemini", kind="x", raw=raw(1)), TextDelta(1, "")),
        *_part(2, MediaPart(kind="image", source=Base64("")), MediaDelta(2, "AAAA")),
        *_part(3, TextPart("", extras={"x": raw(1)}), TextDelta(3, "a")),
        *_part(4, TextPart(""), TextDelta(4, "b")),
        OpaqueEvent("anthropic", "x", raw(1)),
        OpaqueEvent("openai-chat", "x", raw(1)),
        OpaqueEvent("openai-chat", "x", raw(1), 3),
        Extra({"x": raw(1)}),
        Extra({"x": raw(1)}, choice=0),
        Extra({"y": raw(1)}, index=3),
        ServiceTier("batch"),
        ServiceTier("standard"),
        CitationDelta(3, Citation(kind="document", title="t")),
        CitationDelta(3, Citation(kind="url", url="https://a.example/")),
        CitationDelta(9, Citation(kind="url", url="https://a.example/")),
        CitationDelta(1, Citation(kind="url", url="https://a.example/")),
        TextDelta(1, "x"),
        LogprobsDelta(3, (TokenLogprob("a", None),)),
        LogprobsDelta(9, ()),
        SignatureDelta(9, Signature(origin="gemini", value="x")),
        stop="pause",
    )
    wire, losses = write_stream(events)
    features = {loss.feature for loss in losses}
    assert features >= {
        "tool.server_part",
        "opaque",
        "media.image",
        "part.boundary",
        "extras",
        "service_tier",
        "citations",
        "stop_reason",
    }
    values = [one for one in objects(wire) if one != "[DONE]"]
    assert values[-1]["service_tier"] == "default"
    tokens = [c["logprobs"] for v in values for c in v["choices"] if "logprobs" in c]
    assert tokens[0]["content"][0]["logprob"] == -9999.0


def test_thinking_has_no_log_probabilities_for_others() -> None:
    tokens = (TokenLogprob("a", -1.0),)
    events = _sentence(
        *_part(0, ReasoningPart(), ReasoningDelta(0, "a"), LogprobsDelta(0, tokens))
    )
    assert ("logprobs", "choices[0].parts[0].logprobs", "dropped") in told(
        write_stream(events)[1]
    )


def test_audio_from_another_dialect() -> None:
    whole = MediaPart(kind="audio", mime="audio/wav", source=Base64("AAAABBBB"))
    empty = MediaPart(kind="audio", mime="audio/wav", source=Base64(""))
    grown: list[Event] = [
        PartStart(0, empty),
        MediaDelta(0, "AAAABBBB"),
        PartEnd(0, final=whole),
    ]
    at_once: list[Event] = [PartStart(0, empty), PartEnd(0, final=whole)]
    never: list[Event] = [PartStart(0, empty), PartEnd(0)]
    for parts in (grown, at_once, never):
        audio = [one["audio"] for one in _deltas(_sentence(*parts)) if "audio" in one]
        data = "".join(one.get("data", "") for one in audio)
        assert data == (
            "" if len(parts) == 2 and parts[1] == PartEnd(0) else "AAAABBBB"
        )


def test_errors_end_a_stream() -> None:
    error = APIError(kind="overloaded", message="Too much, sk-abcdefghijkl")
    start = MessageStart("msg_1", "m", None, dialect="anthropic")
    wire, _ = write_stream([start, StreamError(error), StreamEnd()])
    assert objects(wire) == [
        {
            "error": {
                "message": "Too much, [redacted]",
                "type": "server_error",
                "param": None,
                "code": "overloaded",
            }
        }
    ]
    patient = profiles.Profile(name="openai", done_after_error=True)
    assert write_stream([StreamError(error)], profile=patient)[0].endswith(
        b"data: [DONE]\n\n"
    )
    foreign = APIError(
        kind="internal", message="x", dialect="openai-chat", raw=raw({"detail": "x"})
    )
    assert CHAT.stream_error(foreign, target()[0]).startswith(b'data: {"error"')


def test_parts_in_turn_and_lone_surrogates() -> None:
    events = _sentence(
        PartStart(0, TextPart("")),
        PartStart(1, TextPart("")),
        TextDelta(1, "b\ud800"),
        TextDelta(0, "a\ud800"),
        PartEnd(1),
        PartEnd(0),
        PartStart(2, ToolCallPart(call_id="t", name="f")),
        ArgumentsDelta(2, "\ud800"),
        PartStart(3, ReasoningPart()),
        ReasoningDelta(3, "\ud800"),
    )
    texts = [one["content"] for one in _deltas(events) if "content" in one][1:]
    assert texts == ["a\ufffd", "b\ufffd"]


def test_parallel_parts_wait_within_the_limit() -> None:
    events = _sentence(
        PartStart(0, TextPart("")),
        PartStart(1, TextPart("")),
        TextDelta(1, "b" * 9),
    )
    wire, _ = write_stream(events, limits=Limits(arguments=4))
    assert "error" in objects(wire)[-1]


def test_events_that_name_nothing_that_is_shown() -> None:
    signature = Signature(origin="openai-chat", value="s")
    start = MessageStart("c-1", "m", 5.0, dialect="openai-chat")
    known = ReasoningPart(signature=signature, extras={"@field": raw("new")})
    server = ServerToolCallPart(name="s")
    events: list[Event] = [
        start,
        Extra({"id": raw("x")}),
        PartStart(0, known),
        ReasoningDelta(0, "a"),
        PartEnd(0),
        PartStart(1, server),
        ArgumentsDelta(1, "{}"),
        SignatureDelta(1, signature),
        PartEnd(1),
        PartStart(2, ToolCallPart(call_id="c", name="f")),
        TextDelta(2, "x"),
        MediaDelta(2, "AAAA"),
        ReasoningDelta(2, "x"),
        PartEnd(2),
        PartEnd(2),
        PartStart(3, TextPart("")),
        ArgumentsDelta(3, "x"),
        Extra({"y": raw(1)}, index=3),
        Extra({"@note": raw(1)}, index=3),
        MessageEnd("end", "stop"),
        SignatureDelta(3, signature),
        CitationDelta(3, Citation(kind="url", url="u")),
        LogprobsDelta(3, ()),
        LogprobsDelta(2, ()),
        SignatureDelta(2, signature),
        Extra({"y": raw(1)}, index=2),
        OpaqueEvent("openai-chat", "audio.transcript", raw("x"), 2),
        PartStart(9, TextPart("")),
        MessageEnd("end", "stop"),
        StreamEnd(),
        Ping(),
    ]
    wire, _ = write_stream(events)
    check(read_stream(wire)[0])
    assert wire.endswith(b"data: [DONE]\n\n")


def test_signed_thinking_of_this_dialect_made_by_hand() -> None:
    own = Signature(origin="openai-chat", value="s")
    start = MessageStart("c-1", "m", 5.0, dialect="openai-chat")
    events: list[Event] = [
        start,
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "a\nb"),
        SignatureDelta(0, own),
        PartEnd(0),
        PartStart(1, ReasoningPart(extras={"@field": raw("content")})),
        PartEnd(1),
        PartStart(2, TextPart("")),
        TextDelta(2, "a"),
        Extra({"new": Raw(b"[\n1]")}, index=2),
        Extra({"other": Raw(b"{\r\n}")}),
        MessageEnd("end", "stop"),
        StreamEnd(),
    ]
    once, _ = read_stream(write_stream(events)[0])
    check(once)
    assert normed(read_stream(write_stream(once)[0])[0]) == normed(once)


def test_a_ping_is_a_comment() -> None:
    assert write_stream([Ping()])[0] == CHAT.keepalive == b": keep-alive\n\n"


def test_native_strangers_of_texts() -> None:
    wire = frames(chunk({"content": [{"type": "text", "text": "a", "new": 1}]}, "stop"))
    events, _ = read_stream(wire)
    assert normed(read_stream(write_stream(events)[0])[0]) == normed(events)


# --- laws --------------------------------------------------------------------------


@given(hostile_bytes("openai-chat"), st.data())
def test_hostile_bytes_are_sentences_however_they_are_cut(
    wire: bytes, data: st.DataObject
) -> None:
    events, violations = read_stream(wire)
    check(events)
    assert read_stream(data.draw(chunks(wire))) == (events, violations)
    written, _ = write_stream(events)
    again, _ = read_stream(written)
    assert normed(again) == normed(events)
    assert write_stream(again)[0] == written


@given(st.binary(max_size=60))
def test_any_bytes_are_a_sentence(wire: bytes) -> None:
    check(read_stream(wire)[0])
    check(read_stream(b"data: " + wire + b"\n\n")[0])


@given(sentences() | sentences("openai-chat") | sentences("anthropic"))
def test_every_sentence_can_be_written(events: list[Event]) -> None:
    written, _ = write_stream(events)
    again, _ = read_stream(written)
    check(again)
    assert type(again[-1]) is type(events[-1])


@given(ungrammatical_sentences())
def test_every_order_of_events_gives_a_legal_stream(events: list[Event]) -> None:
    written, _ = write_stream(events)
    check(read_stream(written)[0])


def _origins(events: list[Event]) -> dict[int, set[str]]:
    """Whose the signatures of each part are."""
    found: dict[int, set[str]] = {}
    for event in events:
        if isinstance(event, SignatureDelta):
            found.setdefault(event.index, set()).add(event.signature.origin)
    return found


@given(sentences("openai-chat"))
def test_native_streams_are_a_fixed_point(events: list[Event]) -> None:
    # No thought is signed by two dialects.
    assume(all(len(origins) == 1 for origins in _origins(events).values()))
    once, _ = read_stream(write_stream(events)[0])
    written, _ = write_stream(once)
    twice, _ = read_stream(written)
    assert normed(twice) == normed(once)
    assert write_stream(twice)[0] == written


def test_terminal_marks() -> None:
    def marked(data: bytes | None) -> bool:
        return CHAT.terminal_mark(Frame(data, b""))

    assert marked(b"[DONE]")
    assert marked(b'{"error":{"message":"x"}}')
    assert marked(b'{"choices":[{"finish_reason":null},{"finish_reason": "stop"}]}')
    assert not marked(b'{"choices":[{"finish_reason":null}]}')
    assert not marked(b'{"choices":[{"finish_reason":""}]}')
    assert not marked(b'{"choices":[]}')
    assert not marked(None)


def test_a_whole_answer_unfolds_into_a_stream() -> None:
    wire = frames(chunk({"content": "Hi"}, "stop", usage=_USAGE))
    response = fold(read_stream(wire)[0])
    again = fold(read_stream(write_stream(unfold(response))[0])[0])
    assert again == response


def test_encode_is_compact() -> None:
    assert encode({"a": Raw(b"1")}) == b'{"a":1}'
    assert OPENAI.name == "openai"
    assert source().seed == "x"


def test_few_strangers_are_repeated_in_every_chunk() -> None:
    events: list[Event] = [MessageStart("c", "m", 1.0, None, "openai-chat")]
    events += [Extra({f"x_{at}": Raw(b"1")}) for at in range(300)]
    wire, _ = write_stream([*events, PartStart(0, TextPart("")), TextDelta(0, "a")])
    found = objects(wire)
    assert {name for one in found for name in one} >= {f"x_{at}" for at in range(300)}
    assert len(found[-1]) < 150
