"""Gemini's streams: the sentences written by hand, however they are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire._fold import fold
from llmwire.dialects import ReplyTarget, get
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
    ServerToolCallPart,
    Signature,
    StopDetail,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    Url,
    Usage,
)
from llmwire.sse import Frame, FrameDecoder
from llmwire.strategies import chunks, hostile_bytes
from tests.dialects.gemini_pair import (
    GEMINI,
    read_stream,
    source,
    told,
    write_stream,
)
from tests.sentences import StreamCase
from tests.sentences.gemini import CASES
from tests.stream_law import normed


def _plain(events: list[Event] | tuple[Event, ...]) -> list[object]:
    """Stream errors by their kind; everything else as it is."""
    return [
        ("error", event.error.kind) if isinstance(event, StreamError) else event
        for event in events
    ]


def _cut(wire: bytes, size: int) -> list[bytes]:
    return [wire[at : at + size] for at in range(0, len(wire), size)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 10**6])
def test_sentences(case: StreamCase, size: int) -> None:
    events, violations = read_stream(_cut(case.wire, size), case.framing)
    check(events)
    assert _plain(events) == _plain(case.events)
    assert violations == dict(case.violations)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(case: StreamCase, end: bytes) -> None:
    wire = case.wire.replace(b"\r\n", b"\n").replace(b"\n", end)
    events, violations = read_stream([wire])
    assert _plain(events) == _plain(case.events)
    assert violations == dict(case.violations)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sentences_as_an_array(case: StreamCase) -> None:
    frames = FrameDecoder().receive_data(case.wire)
    documents = [frame.data for frame in frames if frame.data is not None]
    if not documents:
        documents = [case.wire]
    array = b"[" + b",\r\n".join(documents) + b"]\n"
    for size in (1, 5, 10**6):
        events, violations = read_stream(_cut(array, size), "json-array")
        assert _plain(events) == _plain(case.events)
        assert violations == dict(case.violations)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_truncated_at_every_frame(case: StreamCase) -> None:
    frames = FrameDecoder().receive_data(case.wire)
    for count in range(len(frames)):
        wire = b"".join(frame.raw for frame in frames[:count])
        events, _ = read_stream([wire])
        check(events)
        if not any(b"finishReason" in frame.raw for frame in frames[:count]):
            error = events[-1]
            assert isinstance(error, StreamError)
            assert error.error.kind == "truncated"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("framing", ["sse", "json-array"])
def test_written_again(case: StreamCase, framing: str) -> None:
    events, _ = read_stream([case.wire])
    wire, losses = write_stream(events, framing)
    again, _ = read_stream([wire], framing)
    assert losses == ()
    assert normed(again) == normed(events)
    assert write_stream(again, framing)[0] == wire


@given(st.data())
def test_any_division_gives_the_same(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(CASES))
    pieces = data.draw(chunks(case.wire))
    events, _ = read_stream(pieces)
    assert _plain(events) == _plain(case.events)


@given(hostile_bytes("gemini"), st.integers(1, 40))
def test_hostile_bytes(wire: bytes, size: int) -> None:
    for framing in ("sse", "json-array"):
        events, _ = read_stream([wire], framing)
        check(events)
        assert _plain(read_stream(_cut(wire, size), framing)[0]) == _plain(events)


# --- reading -----------------------------------------------------------------------


def _chunk(*parts: Any, **candidate: Any) -> dict[str, Any]:
    inner = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    return {"candidates": [{**inner, **candidate}], "responseId": "r"}


def _wire(*documents: Any) -> bytes:
    return b"".join(
        b"data: " + json.dumps(document).encode() + b"\r\n\r\n"
        for document in documents
    )


def _read(*documents: Any, **fields: Any) -> list[Event]:
    events, _ = read_stream([_wire(*documents)], **fields)
    check(events)
    return events


_DONE = {"candidates": [{"finishReason": "STOP", "index": 0}], "responseId": "r"}


def _errors(events: list[Event]) -> list[str]:
    return [e.error.kind for e in events if isinstance(e, StreamError)]


def test_an_empty_body_is_truncated() -> None:
    assert _errors(read_stream([b""])[0]) == ["truncated"]


def test_pings_and_what_says_nothing() -> None:
    wire = b": hello\n\n\n\ndata: \n\ndata: [DONE]\n\n" + _wire(_DONE)
    events, violations = read_stream([wire])
    assert events[0] == Ping()
    assert violations == {}
    assert isinstance(events[-1], StreamEnd)


@pytest.mark.parametrize(
    "wire",
    [
        b"data: nonsense\n\n",
        b"data: 5\n\n",
        b"data: " + b'{"a":' * 9000 + b"1" + b"}" * 9000 + b"\n\n",
        b"not an event\n\n",
        b"{broken\n\n",
        b'nonsense {"error": {}}\n\n',
    ],
)
def test_garbage_is_a_bad_upstream(wire: bytes) -> None:
    events, _ = read_stream([wire])
    check(events)
    assert _errors(events) == ["bad_upstream"]


def test_an_error_in_a_data_line_and_in_an_array() -> None:
    error = {"error": {"code": 503, "message": "Busy", "status": "UNAVAILABLE"}}
    assert _errors(_read(_chunk({"text": "a"}), error)) == ["overloaded"]
    assert _errors(_read([error])) == ["overloaded"]
    assert _errors(read_stream([json.dumps([error]).encode()])[0]) == ["overloaded"]
    assert _errors(_read({"error": 5})) == ["bad_upstream"]


def test_bare_objects_are_chunks_too() -> None:
    wire = json.dumps(_chunk({"text": "a"}), indent=1).encode() + b"\n\n" + _wire(_DONE)
    events, _ = read_stream([wire])
    assert TextDelta(0, "a") in events
    assert isinstance(events[-1], StreamEnd)


def test_bare_object_that_breaks_off() -> None:
    events, _ = read_stream([_wire(_chunk({"text": "a"})) + b'{"error": {\n\n'])
    assert _errors(events) == ["bad_upstream"]


def test_bare_object_beyond_the_limit() -> None:
    wire = b'{"error":\n' + b" {\n\n" * 40
    events, _ = read_stream([wire], limits=Limits(frame=64))
    assert _errors(events) == ["bad_upstream"]


def test_after_the_end_is_counted_once() -> None:
    error = {"error": {"code": 500, "message": "no", "status": "INTERNAL"}}
    wire = _wire(error, _chunk({"text": "a"}), _chunk({"text": "b"}))
    events, violations = read_stream([wire + b"data: [DONE]\n\n"])
    assert len(events) == 1
    assert violations == {"after-end": 1}


def test_everything_after_an_error_in_one_array_is_left_out() -> None:
    error = {"error": {"code": 500, "message": "no", "status": "INTERNAL"}}
    wire = json.dumps([error, _chunk({"text": "a"})]).encode()
    assert len(read_stream([wire])[0]) == 1
    broken, _ = read_stream([json.dumps(error).encode() + b"\n{"])
    assert _errors(broken) == ["internal"]


def test_a_changed_id_is_counted_once() -> None:
    one, two = _chunk({"text": "a"}), {**_chunk({"text": "b"}), "responseId": "s"}
    events, violations = read_stream([_wire(one, two, two, _DONE)])
    assert isinstance(events[0], MessageStart) and events[0].id == "r"
    assert violations == {"changed-id": 1}


def test_an_id_that_comes_late() -> None:
    first = {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}
    assert read_stream([_wire(first, _DONE)])[1] == {}


def test_counts_before_the_message_wait_for_it() -> None:
    counts = {"usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}}
    events = _read(counts, _chunk({"text": "a"}), _DONE)
    assert isinstance(events[0], MessageStart)
    assert UsageUpdate(Usage(fresh=3)) in events
    assert _errors(_read(counts)) == ["truncated"]


def test_candidates_are_choices() -> None:
    both = {
        "candidates": [
            {"content": {"parts": [{"text": "a"}]}, "index": 0, "finishReason": "STOP"},
            {"content": {"parts": [{"text": "b"}]}, "index": 1, "finishReason": 2},
        ]
    }
    answer = fold(_read(both))
    assert [choice.stop for choice in answer.choices] == ["end", "max_tokens"]
    assert answer.choices[1].raw == "2"
    del both["candidates"][1]["finishReason"]
    assert _errors(_read(both)) == ["truncated"]


def test_too_many_candidates_and_parts() -> None:
    many = {"candidates": [{"index": at} for at in range(4)]}
    limits = Limits(parts=3)
    assert _errors(_read(many, limits=limits)) == ["bad_upstream"]
    parts = [{"text": "a", "thoughtSignature": "cw=="} for _ in range(4)]
    assert _errors(_read(_chunk(*parts), limits=limits)) == ["bad_upstream"]
    calls = [{"functionCall": {"name": "f"}} for _ in range(4)]
    assert _errors(_read(_chunk(*calls), limits=limits)) == ["bad_upstream"]


def test_an_unspecified_finish_says_nothing() -> None:
    events = _read(_chunk({"text": "a"}, finishReason="FINISH_REASON_UNSPECIFIED"))
    assert _errors(events) == ["truncated"]


def test_blocked_prompt() -> None:
    feedback = {"blockReason": "SAFETY", "safetyRatings": []}
    events = _read(
        {
            "promptFeedback": feedback,
            "usageMetadata": {"promptTokenCount": 2, "totalTokenCount": 2},
        }
    )
    end = events[-2]
    assert isinstance(end, MessageEnd)
    assert (end.stop, end.raw) == ("content_filter", "SAFETY")
    assert end.detail is not None and end.detail.explanation == "SAFETY"
    wire, losses = write_stream(events)
    assert losses == () and b"candidates" not in wire
    assert normed(read_stream([wire])[0]) == normed(events)


def test_feedback_that_blocks_nothing_is_an_extra() -> None:
    feedback: dict[str, Any] = {"safetyRatings": []}
    events = _read({**_chunk({"text": "a"}), "promptFeedback": feedback}, _DONE)
    assert Extra({"promptFeedback": Raw(b'{"safetyRatings": []}')}) in events
    assert _errors(_read({"promptFeedback": "no"})) == ["truncated"]
    assert _errors(_read({"promptFeedback": None})) == ["truncated"]


def test_a_block_after_the_answer_began_filters_it() -> None:
    blocked = {"promptFeedback": {"blockReason": "OTHER"}}
    begun = {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}
    late = {"candidates": [], **blocked}
    assert _errors(_read(begun, late)) == ["truncated"]
    answer = fold(_read({"responseId": "r", **blocked}, begun))
    assert answer.choices[0].stop == "content_filter"


def test_nulls_of_known_members_say_nothing() -> None:
    odd = {
        "candidates": [
            {
                "content": {"parts": None, "role": None, "strange": 1},
                "index": 0,
                "finishReason": None,
                "citationMetadata": None,
                "unknown": None,
            }
        ],
        "modelVersion": None,
        "newField": 2,
    }
    events = _read(odd, _chunk({"text": "a"}), _DONE)
    assert Extra({"newField": Raw(b"2")}) in events
    extras = {"content/strange": Raw(b"1"), "unknown": Raw(b"null")}
    assert Extra(extras, choice=0) in events


def test_strangers_on_texts() -> None:
    first = {"text": "a", "partMetadata": {"k": 1}}
    second = {"text": "b", "partMetadata": {"k": 2}}
    events = _read(_chunk(first), _chunk(second), _chunk({"text": "", "new": 3}), _DONE)
    start = PartStart(0, TextPart("", extras={"partMetadata": Raw(b'{"k": 1}')}))
    assert start in events
    assert Extra({"partMetadata": Raw(b'{"k": 2}')}, index=0) in events
    wire, losses = write_stream(events)
    assert losses == ()
    assert normed(read_stream([wire])[0]) == normed(events)


def test_media() -> None:
    parts = [
        {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
        {"inlineData": {"mimeType": "audio/L16"}, "thoughtSignature": "cw=="},
        {"fileData": {"fileUri": "https://youtu.be/x"}},
    ]
    events = _read(_chunk({"text": "see"}, *parts), _DONE)
    assert MediaDelta(1, "QUJD") in events
    image, sound, film = fold(events).choices[0].parts[1:]
    assert isinstance(image, MediaPart) and image.source == Base64("QUJD")
    assert sound.signature is not None
    assert isinstance(film, MediaPart) and film.kind == "video"
    wire, losses = write_stream(events)
    assert losses == ()
    assert normed(read_stream([wire])[0]) == normed(events)


def test_parts_of_a_new_kind_are_opaque() -> None:
    part = {"hologram": {"a": 1}, "thoughtSignature": "cw=="}
    events = _read(_chunk(part, {"functionResponse": {"name": "f"}}), _DONE)
    first, second = fold(events).choices[0].parts
    assert isinstance(first, OpaquePart) and first.kind == "hologram"
    assert isinstance(second, OpaquePart) and second.kind == "functionResponse"
    wire, _ = write_stream(events)
    assert normed(read_stream([wire])[0]) == normed(events)


def test_logprobs() -> None:
    one = {"token": "a", "logProbability": -0.5, "tokenId": 7}
    result = {"chosenCandidates": [one], "topCandidates": [{"candidates": [one]}]}
    odd = {"chosenCandidates": [one], "logProbabilitySum": -1}
    events = _read(
        _chunk({"text": "a"}, logprobsResult=result),
        _chunk({"functionCall": {"name": "f"}}, logprobsResult=result),
        _chunk(logprobsResult=odd),
        _DONE,
    )
    deltas = [e for e in events if isinstance(e, LogprobsDelta)]
    assert [d.index for d in deltas] == [0, 0]
    assert deltas[0].tokens[0].top[0].token == "a"
    wire, losses = write_stream(events)
    assert losses == ()
    assert normed(read_stream([wire])[0]) == normed(events)
    bare = _read(_chunk({"functionCall": {"name": "f"}}, logprobsResult=result), _DONE)
    assert any(isinstance(e, Extra) and "logprobsResult" in e.extras for e in bare)


@pytest.mark.parametrize(
    "grounding",
    [
        None,
        [],
        {"groundingSupports": 5},
        {"groundingSupports": [5, {"groundingChunkIndices": [0, True, "x", 9]}]},
        {"groundingChunks": [{}, {"web": {}}], "groundingSupports": [{}]},
    ],
)
def test_grounding_that_cites_nothing(grounding: Any) -> None:
    events = _read(_chunk({"text": "a"}, groundingMetadata=grounding), _DONE)
    assert not any(isinstance(event, CitationDelta) for event in events)


def test_citations_count_characters() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.test", "title": 5}}],
        "groundingSupports": [
            {"segment": s, "groundingChunkIndices": [0]}
            for s in (
                {"startIndex": 3, "endIndex": 6, "text": "né"},
                {"startIndex": 3, "endIndex": 600},
                {"partIndex": 7},
                {"startIndex": "x"},
            )
        ],
    }
    events = _read(_chunk({"text": "éa né"}, groundingMetadata=grounding), _DONE)
    cited = [e.citation for e in events if isinstance(e, CitationDelta)]
    assert [(c.start, c.end) for c in cited] == [(2, 4), *[(None, None)] * 3]
    lone = _read(
        _chunk({"functionCall": {"name": "f"}}, groundingMetadata=grounding), _DONE
    )
    assert not any(isinstance(event, CitationDelta) for event in lone)


# --- calls in pieces ---------------------------------------------------------------


def _piece(path: str, going_on: bool = True, **value: Any) -> dict[str, Any]:
    call: dict[str, Any] = {"partialArgs": [{"jsonPath": path, **value}]}
    return {"functionCall": {**call, "willContinue": True} if going_on else call}


def _arguments(*parts: Any) -> tuple[str, bool]:
    events, _ = read_stream([_wire(*(_chunk(part) for part in parts), _DONE)])
    check(events)
    call = fold(events).choices[0].parts[0]
    assert isinstance(call, ToolCallPart)
    return call.arguments, call.incomplete


_START = {"functionCall": {"name": "f", "id": "c1", "willContinue": True}}


def test_pieces_of_every_kind() -> None:
    text, incomplete = _arguments(
        _START,
        _piece("$.n", numberValue=1.50),
        _piece("$.b", boolValue=True),
        _piece("$.z", nullValue="NULL_VALUE"),
        _piece("$['a b'][\"c\"][2]", stringValue="x"),
        _piece("$.s", stringValue=5),
        _piece("$.e", False),
    )
    assert json.loads(text) == {
        "n": 1.5,
        "b": True,
        "z": None,
        "a b": {"c": [None, None, "x"]},
        "s": "",
        "e": "",
    }
    assert not incomplete


@pytest.mark.parametrize(
    "path",
    [
        5,
        "n",
        "$",
        "$..",
        "$[99999]",
        "$.a.b",
        "$[0].a",
        "$.a[0]",
        "$" + ".a" * 70,
        "$.l.x",
        "$.l[99999]",
    ],
)
def test_pieces_that_fit_nowhere(path: Any) -> None:
    wire = _wire(
        _chunk(_START),
        _chunk(_piece("$.a", stringValue="x")),
        _chunk(_piece("$.l[0]", stringValue="x")),
        _chunk(_piece(path, stringValue="y")),
        _chunk({"functionCall": {}}),
        _DONE,
    )
    events, violations = read_stream([wire])
    check(events)
    assert violations == {"unknown-part": 1}


def test_a_piece_that_is_no_object() -> None:
    call = {"functionCall": {"name": "f", "partialArgs": [5]}}
    events, violations = read_stream([_wire(_chunk(call), _DONE)])
    assert ArgumentsDelta(0, "{}") in events
    assert violations == {"unknown-part": 1}


def test_an_array_of_arguments() -> None:
    assert _arguments(_START, _piece("$[0]", False, stringValue="x"))[0] == '["x"]'


def test_a_call_in_pieces_that_is_cut_ends_incomplete() -> None:
    text, incomplete = _arguments(_START, _piece("$.a", stringValue="x"))
    assert (text, incomplete) == ('{"a":"x"', True)
    events, _ = read_stream(
        [_wire(_chunk(_START), _chunk(_piece("$.a", stringValue="x")), _DONE)]
    )
    wire, losses = write_stream(events)
    again, _ = read_stream([wire])
    assert losses == ()
    assert normed(again) == normed(events)


def test_a_new_call_ends_the_one_in_pieces() -> None:
    wire = _wire(
        _chunk(_START, {"functionCall": {"name": "g", "args": {"b": 1}}}), _DONE
    )
    calls = fold(read_stream([wire])[0]).choices[0].parts
    assert [c.name for c in calls if isinstance(c, ToolCallPart)] == ["f", "g"]


def test_an_end_without_a_call_is_counted() -> None:
    events, violations = read_stream([_wire(_chunk({"functionCall": {}}), _DONE)])
    assert violations == {"unknown-part": 1}
    assert isinstance(events[-1], StreamEnd)


def test_arguments_beyond_the_limit() -> None:
    limits = Limits(arguments=50)
    pieces = [_chunk(_piece("$.a", stringValue="x" * 40)) for _ in range(2)]
    events, _ = read_stream([_wire(_chunk(_START), *pieces)], limits=limits)
    assert _errors(events) == ["bad_upstream"]
    whole = _chunk({"functionCall": {"name": "f", "args": {"a": "x" * 60}}})
    assert _errors(_read(whole, limits=limits)) == ["bad_upstream"]


# --- writing -----------------------------------------------------------------------

_END = (MessageEnd("end"), StreamEnd())


def _written(*events: Event, **fields: Any) -> tuple[list[Any], set[Any]]:
    wire, losses = write_stream(events, **fields)
    documents = [
        json.loads(frame.data)
        for frame in FrameDecoder().receive_data(wire)
        if frame.data is not None
    ]
    return documents, told(losses)


def _texts(documents: list[Any]) -> list[Any]:
    return [
        part
        for document in documents
        for candidate in document.get("candidates", ())
        for part in candidate.get("content", {}).get("parts", ())
        if part != {"text": ""}
    ]


def test_counts_only_on_the_last_chunk() -> None:
    documents, _ = _written(
        MessageStart("r", "m", usage=Usage(fresh=1)),
        PartStart(0, TextPart("")),
        TextDelta(0, "a"),
        UsageUpdate(Usage(fresh=3, output=2)),
        TextDelta(0, "b"),
        PartEnd(0),
        *_END,
    )
    assert [("usageMetadata" in d) for d in documents] == [False, False, True]
    assert documents[-1]["usageMetadata"]["totalTokenCount"] == 5


def test_nothing_at_all() -> None:
    documents, losses = _written(StreamEnd())
    assert documents[0]["candidates"][0]["finishReason"] == "OTHER"
    assert losses == set()
    assert write_stream([], "json-array")[0] == b""
    assert json.loads(write_stream([StreamEnd()], "json-array")[0])


def test_nothing_after_the_end() -> None:
    documents, _ = _written(
        MessageStart(), *_END, TextDelta(0, "a"), UsageUpdate(Usage()), StreamEnd()
    )
    assert len(documents) == 1


def test_a_second_start_is_left_out() -> None:
    documents, _ = _written(MessageStart("a", "m"), MessageStart("b"), *_END)
    assert documents[-1]["responseId"] == "a"


def test_an_error_in_both_framings() -> None:
    error = StreamError(APIError(kind="overloaded", message="Busy"))
    documents, _ = _written(MessageStart(), error)
    assert documents == [
        {"error": {"code": 503, "message": "Busy", "status": "UNAVAILABLE"}}
    ]
    assert json.loads(write_stream([error], "json-array")[0])[0]["error"]
    text = (MessageStart(), PartStart(0, TextPart("")), TextDelta(0, "a"), error)
    assert len(json.loads(write_stream(text, "json-array")[0])) == 2


def test_pings_are_blank_lines() -> None:
    assert write_stream([Ping()])[0] == b"\r\n"
    assert GEMINI.keepalive == b"\r\n"


def test_neighbouring_texts_lose_their_border() -> None:
    documents, losses = _written(
        MessageStart(),
        PartStart(0, TextPart("x")),
        TextDelta(0, "a"),
        PartEnd(0),
        PartStart(1, RefusalPart("")),
        RefusalDelta(1, "b"),
        RefusalDelta(1, ""),
        PartEnd(1),
        *_END,
    )
    assert [p["text"] for p in _texts(documents)] == ["x", "a", "b"]
    assert losses == {
        ("choices[0].parts[1]", "part.boundary", "approximated"),
        ("choices[0].parts[1]", "refusal", "emulated"),
    }


def test_thoughts_in_segments() -> None:
    documents, losses = _written(
        MessageStart(),
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "a", 0),
        ReasoningDelta(0, "b", 0),
        ReasoningDelta(0, "c", 1),
        ReasoningDelta(0, "d"),
        ReasoningDelta(0, "e"),
        ReasoningDelta(0, "f"),
        PartEnd(0),
        PartStart(1, ReasoningPart(summary=("s",), text="t")),
        PartEnd(1),
        *_END,
    )
    texts = [p["text"] for p in _texts(documents)]
    assert "".join(texts) == "ab\n\nc\n\ndefs\n\nt"
    assert ("choices[0].parts[0]", "reasoning.segments", "emulated") in losses


def test_a_summary_after_raw_text_is_a_segment() -> None:
    documents, _ = _written(
        MessageStart(),
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "a"),
        ReasoningDelta(0, "b"),
        ReasoningDelta(0, "c", 0),
        PartEnd(0),
        *_END,
    )
    assert "".join(p["text"] for p in _texts(documents)) == "ab\n\nc"


def test_foreign_signatures_are_sealed_where_they_stand() -> None:
    signature = Signature(origin="anthropic", value="s", model="claude", tag="a.1")
    events: tuple[Event, ...] = (
        MessageStart(),
        PartStart(0, ReasoningPart()),
        ReasoningDelta(0, "hm"),
        SignatureDelta(0, signature),
        PartEnd(0),
        PartStart(1, ReasoningPart(redacted=True)),
        SignatureDelta(1, signature),
        PartEnd(1),
        PartStart(2, ToolCallPart(call_id="c", name="f")),
        SignatureDelta(2, signature),
        PartEnd(2),
        PartStart(3, TextPart("", signature=signature)),
        PartEnd(3),
        MessageEnd("tool_use"),
        StreamEnd(),
    )
    wire, losses = write_stream(events)
    assert losses == ()
    parts = fold(read_stream([wire])[0]).choices[0].parts
    assert [part.signature for part in parts] == [signature] * 4
    assert isinstance(parts[1], ReasoningPart) and parts[1].redacted


def test_late_signatures() -> None:
    signature = Signature(origin="gemini", value="cw==")
    documents, losses = _written(
        MessageStart(),
        PartStart(0, TextPart("")),
        TextDelta(0, "a"),
        PartEnd(0),
        SignatureDelta(0, signature),
        SignatureDelta(0, signature),
        PartStart(1, ToolCallPart(call_id="c", name="f")),
        PartEnd(1),
        SignatureDelta(1, signature),
        MessageEnd("tool_use"),
        SignatureDelta(1, signature),
        StreamEnd(),
    )
    assert _texts(documents) == [
        {"text": "a"},
        {"text": "", "thoughtSignature": "cw=="},
        {"text": "", "thought": True, "thoughtSignature": "cw=="},
        {"functionCall": {"id": "c", "name": "f", "args": {}}},
        {"text": "", "thought": True, "thoughtSignature": "cw=="},
    ]
    assert losses == {
        ("choices[0].parts[0].signature", "reasoning.signature", "approximated"),
        ("choices[0].parts[1].signature", "reasoning.signature", "approximated"),
    }


def test_calls_without_an_object_must_not_run() -> None:
    documents, losses = _written(
        MessageStart(),
        PartStart(0, ToolCallPart(call_id="c", name="f")),
        ArgumentsDelta(0, '{"a": 1'),
        PartEnd(0, "incomplete"),
        MessageEnd("tool_use"),
        StreamEnd(),
    )
    assert _texts(documents)[0]["functionCall"]["args"] == {}
    assert documents[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert losses == {
        ("choices[0].parts[0].arguments", "call.arguments", "approximated"),
        ("choices[0].parts[0].incomplete", "part.incomplete", "dropped"),
        ("choices[0].stop", "stop_reason", "approximated"),
    }


def test_native_calls_that_are_broken_otherwise_are_not_run_either() -> None:
    documents, _ = _written(
        MessageStart(dialect="gemini"),
        PartStart(0, ToolCallPart(call_id="c", name="f")),
        ArgumentsDelta(0, "nonsense"),
        PartEnd(0, "incomplete"),
        MessageEnd("tool_use", "STOP"),
        StreamEnd(),
    )
    assert documents[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_interleaved_parts_wait_for_their_turn() -> None:
    documents, _ = _written(
        MessageStart(),
        PartStart(0, ToolCallPart(call_id="a", name="f")),
        PartStart(1, ToolCallPart(call_id="b", name="g")),
        ArgumentsDelta(1, '{"b":\n2}'),
        ArgumentsDelta(0, "{}"),
        PartEnd(1),
        PartEnd(0),
        *_END,
    )
    calls = [part["functionCall"] for part in _texts(documents)]
    assert [(c["name"], c["args"]) for c in calls] == [("f", {}), ("g", {"b": 2})]


def test_parts_that_wait_too_long() -> None:
    documents, _ = _written(
        MessageStart(),
        PartStart(0, TextPart("")),
        PartStart(1, TextPart("")),
        TextDelta(1, "x" * 100),
        TextDelta(0, "a"),
        limits=Limits(arguments=50),
    )
    assert documents[-1]["error"]["status"] == "INTERNAL"


def test_citations_become_grounding() -> None:
    page = Citation(kind="url", url="https://a.test", title="A", start=0, end=2)
    events: tuple[Event, ...] = (
        MessageStart(),
        PartStart(0, TextPart("")),
        TextDelta(0, "é"),
        TextDelta(0, "bc"),
        CitationDelta(0, page),
        CitationDelta(0, Citation(kind="file", file_id="f")),
        PartEnd(0),
        PartStart(1, TextPart("")),
        TextDelta(1, "de"),
        CitationDelta(1, Citation(kind="url", url="https://b.test", text="de")),
        CitationDelta(1, page),
        PartEnd(1),
        PartStart(2, ReasoningPart()),
        CitationDelta(2, page),
        PartEnd(2),
        CitationDelta(9, page),
        *_END,
    )
    documents, losses = _written(*events)
    grounding = documents[-1]["candidates"][0]["groundingMetadata"]
    assert [c["web"]["uri"] for c in grounding["groundingChunks"]] == [
        "https://a.test",
        "https://b.test",
    ]
    segments = [s["segment"] for s in grounding["groundingSupports"]]
    assert segments == [
        {"endIndex": 3},
        {"text": "de"},
        {"startIndex": 4, "endIndex": 6},
    ]
    assert {
        ("choices[0].parts[0].citations[1]", "citations", "dropped"),
        ("choices[0].extras[groundingMetadata]", "citations", "emulated"),
        ("choices[0].parts[2].citations", "citations", "dropped"),
    } <= losses


def test_what_has_no_place_in_a_stream() -> None:
    token = TokenLogprob("a", -1.0, (97,), (TokenLogprob("b", -2.0, (98,)),))
    bare = TokenLogprob("a", -1.0, None, (TokenLogprob("b", -2.0, (98,)),))
    _, losses = _written(
        MessageStart(),
        ServiceTier("default"),
        Extra({"x": Raw(b"1")}),
        Extra({"y": Raw(b"1")}, choice=0),
        PartStart(0, TextPart("", phase="commentary", id="msg_1")),
        Extra({"z": Raw(b"1")}, index=0),
        Extra({"z": Raw(b"1")}, index=9),
        TextDelta(0, "a"),
        LogprobsDelta(0, (token, bare)),
        LogprobsDelta(9, (token,)),
        OpaqueEvent("anthropic", "x", Raw(b"{}"), 0),
        OpaqueEvent("anthropic", "x", Raw(b"{}")),
        PartEnd(0),
        PartStart(1, ReasoningPart(text="")),
        LogprobsDelta(1, (token,)),
        PartEnd(1),
        PartStart(2, ServerToolCallPart(name="web_search")),
        PartEnd(2),
        PartStart(3, TextPart("")),
        TextDelta(3, "b"),
        LogprobsDelta(0, (bare,)),
        PartEnd(3),
        UsageUpdate(Usage(fresh=1, audio_in=1, estimated=True, reasoning=5, output=1)),
        MessageEnd("stop_sequence", stop_sequence="X", detail=StopDetail("cat")),
        StreamEnd(),
    )
    assert {(path, feature) for path, feature, _ in losses} == {
        ("extras[x]", "extras"),
        ("choices[0].extras[y]", "extras"),
        ("choices[0].parts[0].extras[z]", "extras"),
        ("choices[0].parts[0].id", "part.id"),
        ("choices[0].parts[0].phase", "phase"),
        ("choices[0].parts[0].logprobs[0]", "logprobs"),
        ("choices[0].parts[0].logprobs[1].top", "logprobs"),
        ("choices[0].parts[0].logprobs[2].top", "logprobs"),
        ("choices[0].parts[0]", "opaque"),
        ("events", "opaque"),
        ("choices[0].parts[1].logprobs", "logprobs"),
        ("choices[0].parts[1].text", "message.empty"),
        ("choices[0].parts[1]", "message.empty"),
        ("choices[0].parts[2]", "tool.server_part"),
        ("choices[0].parts[3]", "part.boundary"),
        ("service_tier", "service_tier"),
        ("usage.audio_in", "usage"),
        ("usage.estimated", "usage"),
        ("usage.output", "usage"),
        ("choices[0].stop", "stop_reason"),
        ("choices[0].stop_sequence", "stop_sequence"),
        ("choices[0].detail", "stop_detail"),
    }


def test_log_probabilities_of_an_earlier_text() -> None:
    _, losses = _written(
        MessageStart(),
        PartStart(0, TextPart("a", signature=Signature(origin="gemini", value="s"))),
        PartEnd(0),
        PartStart(1, TextPart("b")),
        LogprobsDelta(0, (TokenLogprob("a", -1.0),)),
        PartEnd(1),
        *_END,
    )
    assert losses == {("choices[0].parts", "logprobs", "approximated")}


def test_filtered_before_a_word_is_a_blocked_prompt() -> None:
    documents, losses = _written(
        MessageStart(), MessageEnd("content_filter"), StreamEnd()
    )
    assert documents[0]["promptFeedback"] == {"blockReason": "SAFETY"}
    assert losses == {("choices[0].detail", "stop_detail", "defaulted")}
    detail = StopDetail(explanation="no")
    documents, _ = _written(
        MessageStart(), MessageEnd("content_filter", detail=detail), StreamEnd()
    )
    assert documents[0]["promptFeedback"]["blockReasonMessage"] == "no"


def test_filtered_otherwise_is_a_candidate_without_content() -> None:
    begun: tuple[Event, ...] = (
        MessageStart(),
        PartStart(0, TextPart("")),
        TextDelta(0, "a"),
        PartEnd(0),
        MessageEnd("content_filter", detail=StopDetail(explanation="why")),
        StreamEnd(),
    )
    documents, _ = _written(*begun)
    assert documents[-1]["candidates"] == [
        {"index": 0, "finishReason": "SAFETY", "finishMessage": "why"}
    ]
    native, _ = _written(
        MessageStart(dialect="gemini"),
        MessageEnd("content_filter", "SPII"),
        StreamEnd(),
    )
    assert native[0]["candidates"][0]["finishReason"] == "SPII"
    second, _ = _written(
        MessageStart(), MessageEnd("content_filter", choice=1), StreamEnd()
    )
    assert second[0]["candidates"][0]["index"] == 1
    both, _ = _written(
        MessageStart(),
        MessageEnd("content_filter"),
        MessageEnd("content_filter", choice=1),
        StreamEnd(),
    )
    assert len(both[0]["candidates"]) == 2


def test_native_annotations_keep_their_places() -> None:
    def extra(value: bytes, choice: int | None = None) -> Extra:
        return Extra({"k": Raw(value), "@note": Raw(b"1")}, choice=choice)

    events: tuple[Event, ...] = (
        MessageStart("r", "m", 1772366400.5, dialect="gemini"),
        extra(b"1"),
        extra(b"2"),
        extra(b"3", 0),
        extra(b"4"),
        extra(b"5", 1),
        ServiceTier("standard"),
        Extra({"content/c": Raw(b"6")}, choice=0),
        Extra({"@only": Raw(b"6")}, choice=0),
        PartStart(0, TextPart(""), 1),
        TextDelta(0, "a"),
        PartEnd(0),
        Extra({"content/c": Raw(b"7")}, choice=0),
        MessageEnd("end", "STOP", choice=0),
        MessageEnd("end", "STOP", choice=1),
        StreamEnd(),
    )
    wire, losses = write_stream(events)
    assert losses == ()
    said = [
        (e.extras, e.choice) for e in read_stream([wire])[0] if isinstance(e, Extra)
    ]
    assert said == [
        ({"k": Raw(b"1")}, None),
        ({"k": Raw(b"2")}, None),
        ({"k": Raw(b"3")}, 0),
        ({"k": Raw(b"4")}, None),
        ({"k": Raw(b"5")}, 1),
        ({"content/c": Raw(b"6")}, 0),
        ({"content/c": Raw(b"7")}, 0),
    ]


def test_a_candidate_blocked_in_native_words_with_annotations() -> None:
    documents, _ = _written(
        MessageStart(dialect="gemini"),
        Extra({"safetyRatings": Raw(b"[]")}, choice=0),
        MessageEnd("content_filter", "SAFETY", detail=StopDetail(raw=Raw(b"{}"))),
        StreamEnd(),
    )
    assert documents[0]["candidates"][0]["safetyRatings"] == []


def test_part_annotations_without_a_word_go_out_alone() -> None:
    events: tuple[Event, ...] = (
        MessageStart(dialect="gemini"),
        PartStart(0, TextPart("", extras={"a": Raw(b"1")})),
        Extra({"b": Raw(b"2")}, index=0),
        PartEnd(0),
        *_END,
    )
    documents, _ = _written(*events)
    assert _texts(documents) == [{"text": "", "a": 1}, {"text": "", "b": 2}]


def test_media_in_deltas() -> None:
    picture = MediaPart(kind="image", mime="image/png", source=Base64(""))
    far = MediaPart(kind="image", mime="image/png", source=Url("https://x.test/a"))
    documents, losses = _written(
        MessageStart(),
        PartStart(0, picture),
        MediaDelta(0, "QUJD"),
        MediaDelta(0, "QUJD"),
        PartEnd(0),
        PartStart(1, far),
        PartEnd(1, "incomplete"),
        *_END,
    )
    assert _texts(documents)[0]["inlineData"]["data"] == "QUJDQUJD"
    assert _texts(documents)[1]["fileData"]["fileUri"] == "https://x.test/a"
    assert losses == {("choices[0].parts[1].incomplete", "part.incomplete", "dropped")}


def test_the_hot_path_takes_nothing_else() -> None:
    documents, _ = _written(
        MessageStart(),
        PartStart(0, TextPart("")),
        TextDelta(0, "a"),
        TextDelta(0, ""),
        TextDelta(7, "x"),
        TextDelta(0, "b"),
        TextDelta(0, "c"),
        PartEnd(0),
        PartStart(1, ReasoningPart()),
        ReasoningDelta(1, "d"),
        ReasoningDelta(1, "e"),
        ReasoningDelta(9, "x"),
        PartEnd(1),
        *_END,
        framing="sse",
    )
    assert [p["text"] for p in _texts(documents)] == ["a", "b", "c", "d", "e"]


def test_readers_say_when_they_are_done() -> None:
    reader = GEMINI.stream_reader(source(), "sse")
    assert not reader.done
    reader.receive_eof()
    assert reader.done
    assert reader.receive_eof() == []


def test_members_of_a_text_keep_their_place() -> None:
    noted = TextPart("", extras={"a": Raw(b"1")})
    events: tuple[Event, ...] = (
        MessageStart("r", "m", float("inf"), dialect="gemini"),
        PartStart(0, noted),
        Extra({"k": Raw(b"1")}, choice=0),
        Extra({"r": Raw(b"1")}),
        TextDelta(0, ""),
        TextDelta(0, "b"),
        PartEnd(0),
        MessageEnd("end", "STOP"),
        StreamEnd(),
    )
    wire, losses = write_stream(events)
    assert losses == ()
    kinds = [type(event) for event in read_stream([wire])[0]]
    assert kinds == [
        MessageStart,
        PartStart,
        Extra,
        Extra,
        TextDelta,
        PartEnd,
        MessageEnd,
        StreamEnd,
    ]


def test_an_error_takes_along_what_waits() -> None:
    error = StreamError(APIError(kind="overloaded", message="Busy"))
    start = MessageStart("r", "m", dialect="gemini")
    for events in (
        (start, error),
        (MessageStart(dialect="gemini"), error),
        (start, Extra({"k": Raw(b"1")}), error),
        (start, Extra({"k": Raw(b"1")}, choice=0), ServiceTier("flex"), error),
        (start, Extra({"k": Raw(b"1")}), ServiceTier("flex"), error),
    ):
        wire, _ = write_stream(events)
        assert normed(read_stream([wire])[0]) == normed(events)


def test_terminal_marks() -> None:
    mark = GEMINI.terminal_mark
    assert mark(Frame(b'{"candidates":[{"finishReason":"STOP"}]}', b""))
    assert mark(Frame(None, b"", stray=(b'{"error":{}}',)))
    assert not mark(Frame(b'{"candidates":[]}', b""))
    assert not mark(Frame(None, b": ping"))


def test_own_error_frames() -> None:
    error = APIError(kind="timeout", message="late")
    losses = write_stream([])[1]
    assert losses == ()
    for framing, start in (("sse", b"data: {"), ("json-array", b",\r\n{")):
        target = _target(framing)
        assert get("gemini").stream_error(error, target).startswith(start)


def _target(framing: str) -> Any:
    return ReplyTarget(losses=LossRecorder(), profile=source().profile, framing=framing)
