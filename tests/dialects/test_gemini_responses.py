"""Whole Gemini answers: exact in their own dialect, valid from every other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from llmwire._ids import mint_call
from llmwire.dialects import get
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.grammar import check
from llmwire.limits import Limits
from llmwire.messages import (
    Choice,
    Citation,
    FileId,
    MediaPart,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    Response,
    ServerToolCallPart,
    Signature,
    StopDetail,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from llmwire.requests import Request
from tests import oracle
from tests.dialects.gemini_pair import read_response, read_stream, told, write_response
from tests.normal_forms import differences


def _answer(*parts: Any, **candidate: Any) -> dict[str, Any]:
    content = {"parts": list(parts), "role": "model"}
    return {"candidates": [{"content": content, "index": 0, **candidate}]}


def _same(body: Any) -> Response:
    response = read_response(body)
    written, losses = write_response(response)
    assert differences(body, written) == []
    assert losses == ()
    assert read_response(written) == response
    return response


_TOKEN = {"token": "a", "logProbability": -0.5, "tokenId": 5}
_ODD_LOGPROBS: tuple[Any, ...] = (
    5,
    None,
    {},
    {"chosenCandidates": []},
    {"chosenCandidates": [5]},
    {"chosenCandidates": [{"token": 5}]},
    {"chosenCandidates": [{"token": "a", "logProbability": True}]},
    {"chosenCandidates": [_TOKEN], "topCandidates": []},
    {"chosenCandidates": [_TOKEN], "topCandidates": [5]},
    {"chosenCandidates": [_TOKEN], "topCandidates": [{}]},
    {"chosenCandidates": [_TOKEN], "topCandidates": [{"candidates": 5}]},
    {"chosenCandidates": [_TOKEN], "topCandidates": [{"candidates": [5]}]},
    {"chosenCandidates": [_TOKEN], "logProbabilitySum": 1},
    {
        "chosenCandidates": [_TOKEN, _TOKEN],
        "topCandidates": [{"candidates": []}, {"candidates": []}],
    },
)


@pytest.mark.parametrize(
    "body",
    [
        _answer({"text": "a"}, {"text": "b"}, finishReason="STOP"),
        _answer({"text": "a"}, finishReason=2, finishMessage="why", avgLogprobs=-0.1),
        _answer({"text": "a"}, finishReason="BRAND_NEW", strange={"a": 1}),
        _answer({"text": ""}, {"text": "t", "thought": True}),
        {
            "candidates": [
                {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}
            ]
        },
        {"candidates": [{"finishReason": "SAFETY"}]},
        {"candidates": [{"content": {"role": "user", "new": 1}, "index": 3}]},
        {"candidates": [{"content": {}, "index": 0}], "usageMetadata": {}},
        {"candidates": [], "responseId": "r", "newRoot": None, "@odd": 1},
        {"candidates": [{"content": None, "index": None, "finishReason": None}]},
        {"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}},
        {"responseId": "r"},
        {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "m"}},
        {"promptFeedback": {"blockReason": 3}},
        {"promptFeedback": {"blockReason": True}, "candidates": []},
        {"promptFeedback": None, "candidates": []},
        {**_answer({"text": "a"}), "promptFeedback": {"blockReason": "X"}},
        {**_answer(), "createTime": "2026-03-01T12:00:00.500000Z"},
        {**_answer(), "createTime": "2026-03-01T12:00:00Z"},
        {**_answer(), "createTime": "2026-03-01T12:00:00.123456789Z"},
        {**_answer(), "createTime": "2026-03-01T12:00:00"},
        {**_answer(), "createTime": "yesterday"},
        {**_answer(), "error": {"a": 1}},
        _answer({"functionCall": {"name": "f"}}, {"functionCall": {"args": {}}}),
        _answer({"functionCall": {"name": "f", "id": "tc_" + "a" * 24}}),
        _answer({"functionCall": {"name": "f", "args": "odd"}}),
        _answer({"functionResponse": {"name": "f"}}, {"new": {"a": 1}}),
        _answer({"inlineData": {"mimeType": "image/png", "data": "QU JD"[:2]}}),
        _answer({"text": "a"}, logprobsResult={"chosenCandidates": [_TOKEN]}),
        _answer(
            {"text": "a"},
            logprobsResult={
                "chosenCandidates": [_TOKEN, {"token": "b"}],
                "topCandidates": [{"candidates": [_TOKEN]}, {"candidates": []}],
            },
        ),
        *(_answer({"text": "a"}, logprobsResult=odd) for odd in _ODD_LOGPROBS),
        _answer(
            {"functionCall": {"name": "f"}},
            logprobsResult={"chosenCandidates": [_TOKEN]},
        ),
        _answer(
            {"text": "a"},
            {"functionCall": {"name": "f"}},
            groundingMetadata={
                "groundingChunks": [{"web": {"uri": "u"}}],
                "groundingSupports": [
                    {"segment": {"endIndex": 1}, "groundingChunkIndices": [0]}
                ],
            },
        ),
        _answer({"text": "a"}, groundingMetadata=["groundingSupports"]),
    ],
    ids=lambda body: json.dumps(body)[:50],
)
def test_answers_go_back_as_they_came(body: Any) -> None:
    _same(body)


@pytest.mark.parametrize(
    "counts",
    [
        {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
        {"promptTokenCount": 10, "cachedContentTokenCount": 4, "totalTokenCount": 10},
        {"promptTokenCount": 1, "cachedContentTokenCount": 4, "totalTokenCount": 1},
        {"cachedContentTokenCount": 4},
        {"promptTokenCount": 10},
        {"promptTokenCount": 10, "totalTokenCount": 99},
        {"totalTokenCount": 0},
        {"thoughtsTokenCount": 3, "candidatesTokenCount": 0, "totalTokenCount": 3},
        {"thoughtsTokenCount": 0, "candidatesTokenCount": 2, "totalTokenCount": 2},
        {"candidatesTokenCount": 0, "totalTokenCount": 0},
        {"toolUsePromptTokenCount": 7, "promptTokenCount": 1, "totalTokenCount": 8},
        {"serviceTier": "standard"},
        {"serviceTier": "standard", "trafficType": 1, "new": None},
        {"promptTokenCount": None},
        {"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}]},
        {"promptTokensDetails": [{"modality": "IMAGE"}, 5, {"modality": "AUDIO"}]},
        {"candidatesTokensDetails": 'IMAGE "IMAGE"'},
    ],
    ids=json.dumps,
)
def test_counts_go_back_as_they_came(counts: Any) -> None:
    _same({**_answer({"text": "a"}), "usageMetadata": counts})


def test_counts_of_every_kind() -> None:
    counts = {
        "promptTokenCount": "10",
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": -3,
        "toolUsePromptTokenCount": "x",
        "totalTokenCount": 15,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": "3"}],
        "candidatesTokensDetails": [
            {"modality": "IMAGE", "tokenCount": 2},
            {"modality": "AUDIO", "tokenCount": True},
        ],
        "serviceTier": "flex",
    }
    response = read_response({**_answer(), "usageMetadata": counts})
    assert response.service_tier == "flex"
    usage = response.usage
    assert usage is not None
    assert (usage.fresh, usage.cache_read, usage.output, usage.reasoning) == (
        6,
        4,
        5,
        0,
    )
    assert (usage.audio_in, usage.image_out, usage.audio_out) == (3, 2, None)


def test_islands_that_are_no_text() -> None:
    """Islands of a stream are not checked; nothing may fall over them."""
    wire = (
        b'data: {"candidates":[{"content":{"parts":[{"text":"a"},'
        b'{"toolCall":{"id":"\xff"}},{"executableCode":["id"]},'
        b'{"functionCall":{"name":"f","args":null}}]},'
        b'"groundingMetadata":{"groundingSupports":"\xff"},"finishReason":"STOP"}],'
        b'"usageMetadata":{"promptTokensDetails":"\xff\\"AUDIO\\"","totalTokenCount":1}}'
        b"\n\n"
    )
    events, _ = read_stream([wire])
    check(events)


def test_stops() -> None:
    for word, stop in (
        ("STOP", "end"),
        ("stop", "end"),
        ("MAX_TOKENS", "max_tokens"),
        ("RECITATION", "recitation"),
        ("MALFORMED_FUNCTION_CALL", "malformed_tool_call"),
        ("CONTINUATION", "pause"),
        ("NEWEST", "other"),
        (10, "malformed_tool_call"),
        (999, "other"),
    ):
        answer = _answer({"text": "a"}, finishReason=word)
        assert read_response(answer).choices[0].stop == stop
    call = _answer({"functionCall": {"name": "f"}}, finishReason="STOP")
    assert read_response(call).choices[0].stop == "tool_use"


def test_calls_without_ids_get_them_from_the_seed() -> None:
    body = _answer({"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}})
    parts = read_response(body, seed="s").choices[0].parts
    assert [p.call_id for p in parts if isinstance(p, ToolCallPart)] == [
        mint_call("s", 0),
        mint_call("s", 1),
    ]


def test_signatures_know_whom_was_asked() -> None:
    body = _answer({"text": "a", "thoughtSignature": "cw=="})
    part = read_response(body, model="gemini-3", tag="g.1").choices[0].parts[0]
    signature = Signature(origin="gemini", value="cw==", model="gemini-3", tag="g.1")
    assert part.signature == signature


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff", b"{", b'{"candidates": 5}', b'{"candidates": [5]}'],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_response(body)
    assert caught.value.status == 502


def test_limits() -> None:
    body = _answer({"text": "a"}, {"text": "b"})
    for limits in (Limits(body=5), Limits(parts=1), Limits(nesting=2)):
        with pytest.raises(LimitExceeded) as caught:
            read_response(body, limits=limits)
        assert caught.value.status == 502


# --- foreign answers ---------------------------------------------------------------


def _foreign(*parts: Any, **fields: Any) -> Response:
    choice = Choice(parts=parts, **{"stop": "end", **fields})
    return Response(id="chatcmpl-1", model="m", created=1.0, choices=(choice,))


def _written(response: Response, **fields: Any) -> tuple[Any, set[Any]]:
    body, losses = write_response(response, **fields)
    assert oracle.response("gemini", body) == []
    return body, told(losses)


def test_a_foreign_answer() -> None:
    signature = Signature(origin="anthropic", value="s")
    body, losses = _written(
        _foreign(
            ReasoningPart(summary=("a", "b"), signature=signature),
            TextPart(text="hi"),
            RefusalPart(text="no"),
            ToolCallPart(call_id="c", name="f", arguments='{"a": 1}'),
            ToolCallPart(call_id=mint_call("", 0), name="f", arguments=""),
            stop="tool_use",
        ),
        model="alias",
    )
    parts = body["candidates"][0]["content"]["parts"]
    assert parts[0]["text"] == "a\n\nb" and parts[0]["thought"] is True
    assert parts[3]["functionCall"] == {"id": "c", "name": "f", "args": {"a": 1}}
    assert parts[4]["functionCall"] == {"name": "f", "args": {}}
    assert body["modelVersion"] == "alias" and body["responseId"] == "chatcmpl-1"
    assert losses == {
        ("choices[0].parts[0]", "reasoning.segments", "emulated"),
        ("choices[0].parts[2]", "refusal", "emulated"),
    }


def test_a_foreign_answer_without_id_or_model() -> None:
    response = Response(choices=(Choice(parts=(TextPart(text="a"),), stop="end"),))
    body, _ = _written(response, seed="s")
    again, _ = _written(response, seed="s")
    assert body == again and body["responseId"]
    assert "modelVersion" not in body
    native = Response(choices=response.choices, dialect="gemini")
    assert "responseId" not in write_response(native)[0]


def test_parts_without_a_place() -> None:
    page = Citation(kind="url", url="u", start=0, end=1, text="a")
    token = TokenLogprob("a", -1.0)
    body, losses = _written(
        _foreign(
            TextPart(text="a", citations=(page, Citation(kind="file", file_id="f"))),
            TextPart(
                text="b",
                citations=(Citation(kind="document", url="u", start=5, end=9),),
                logprobs=(token,),
            ),
            TextPart(text="c", logprobs=(token,)),
            ServerToolCallPart(name="web_search"),
            OpaquePart(dialect="anthropic", kind="k", raw=Raw(b"{}")),
            ToolResultPart(call_id="c"),
            ToolCallPart(call_id="c", name="f", arguments="[]"),
            stop="pause",
            stop_sequence="x",
            detail=StopDetail("cat", "why"),
            extras={"x": Raw(b"1")},
        )
    )
    candidate = body["candidates"][0]
    assert candidate["finishReason"] == "MAX_TOKENS"
    assert candidate["finishMessage"] == "why"
    supports = candidate["groundingMetadata"]["groundingSupports"]
    assert supports[0]["segment"] == {"endIndex": 1, "text": "a"}
    assert supports[1]["segment"] == {"partIndex": 1}
    assert losses == {
        ("choices[0].parts[0].citations[1]", "citations", "dropped"),
        ("choices[0].parts[1].citations[0]", "citations", "approximated"),
        ("choices[0].parts", "logprobs", "approximated"),
        ("choices[0].extras[groundingMetadata]", "citations", "emulated"),
        ("choices[0].parts[3]", "tool.server_part", "dropped"),
        ("choices[0].parts[4]", "opaque", "dropped"),
        ("choices[0].parts[6].arguments", "call.arguments", "approximated"),
        ("choices[0].stop", "stop_reason", "approximated"),
        ("choices[0].stop_sequence", "stop_sequence", "dropped"),
        ("choices[0].detail.category", "stop_detail", "dropped"),
        ("choices[0].extras[x]", "extras", "dropped"),
    }


def test_a_blocked_prompt() -> None:
    blocked = _foreign(stop="content_filter", extras={"x": Raw(b"1")})
    body, losses = _written(blocked)
    assert body["promptFeedback"] == {"blockReason": "SAFETY"}
    assert "candidates" not in body
    assert losses == {
        ("choices[0].detail", "stop_detail", "defaulted"),
        ("choices[0].extras[x]", "extras", "dropped"),
    }
    two = Response(choices=(Choice(stop="content_filter"), Choice(index=1, stop="end")))
    assert "candidates" in _written(two)[0]
    native = Response(choices=(Choice(stop="content_filter"),), dialect="gemini")
    assert write_response(native)[0]["candidates"][0]["finishReason"] == "SAFETY"


def test_counts_and_tier_of_others() -> None:
    usage = Usage(
        fresh=5, cache_read=2, cache_write=3, output=4, reasoning=1, accepted=1,
        extras={"x": Raw(b"1")},
    )  # fmt: skip
    response = Response(
        choices=(Choice(parts=(TextPart(text="a"),), stop="end"),),
        usage=usage,
        service_tier="default",
        extras={"y": Raw(b"1")},
    )
    body, losses = _written(response)
    assert body["usageMetadata"] == {
        "promptTokenCount": 10,
        "cachedContentTokenCount": 2,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 1,
        "totalTokenCount": 14,
    }
    assert losses == {
        ("usage.extras[x]", "extras", "dropped"),
        ("usage.cache_write", "usage", "dropped"),
        ("usage.accepted", "usage", "dropped"),
        ("usage.fresh", "usage", "approximated"),
        ("service_tier", "service_tier", "dropped"),
        ("extras[y]", "extras", "dropped"),
    }


def test_times_that_no_calendar_has() -> None:
    for created in (1e300, float("inf"), float("nan")):
        response = Response(created=created, dialect="gemini", choices=(Choice(),))
        assert "createTime" not in write_response(response)[0]
    early = Response(created=-6e10, dialect="gemini", choices=(Choice(),))
    written = write_response(early)[0]
    assert read_response(written).created == -6e10


def test_changed_times_are_written_anew() -> None:
    response = _same({**_answer(), "createTime": "2026-03-01T12:00:00Z"})
    later = replace(response, created=1772366460.0)
    assert write_response(later)[0]["createTime"] == "2026-03-01T12:01:00.000000Z"


def test_native_answers_that_were_changed() -> None:
    body = {**_answer({"text": "a"}), "candidates": []}
    response = read_response(body)
    more = replace(response, choices=(Choice(parts=(TextPart(text="a"),), stop="end"),))
    written, _ = write_response(more)
    assert len(written["candidates"]) == 1
    kept = read_response(_answer({"text": "a"}, groundingMetadata={}))
    choice = kept.choices[0]
    cited = TextPart(text="a", citations=(Citation(kind="url", url="u"),))
    changed = replace(kept, choices=(replace(choice, parts=(cited,)),))
    assert write_response(changed)[0]["candidates"][0]["groundingMetadata"] == {}
    audio = MediaPart(kind="audio", mime="audio/wav", source=FileId("files/x"))
    spoken = replace(kept, choices=(replace(choice, parts=(audio,)),))
    part = write_response(spoken)[0]["candidates"][0]["content"]["parts"][0]
    assert part["fileData"]["fileUri"] == "files/x"


def test_nothing_is_echoed() -> None:
    assert get("gemini").echo(Request()) is None
