"""Whole Messages answers: read, written back exactly, and made from any other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from msgspec import Raw
from msgspec.structs import replace

from llmwire import _seal, profiles, strategies
from llmwire._ids import mint_call
from llmwire.dialects import ReplyTarget, ResponseSource, get
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.limits import Limits
from llmwire.losses import LossRecorder
from llmwire.messages import (
    Base64,
    Choice,
    Citation,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Response,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    StopDetail,
    StopReason,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from tests import oracle
from tests.dialects.anthropic_pair import unexplained, unfounded
from tests.normal_forms import differences

DIALECT = get("anthropic")
PROFILE = profiles.resolve("anthropic")
SOURCE = ResponseSource(profile=PROFILE)
PLAIN: dict[str, Any] = {
    "id": "msg_a",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "a"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 5},
}


def target(**changes: Any) -> ReplyTarget:
    made = ReplyTarget(losses=LossRecorder(response=True), profile=PROFILE, seed="x")
    return replace(made, **changes)


def decoded(body: Any, source: ResponseSource = SOURCE) -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECT.decode_response(data, source)


def encoded(response: Response, to: ReplyTarget | None = None) -> Any:
    return json.loads(DIALECT.encode_response(response, to or target()))


def sent(
    *parts: Part,
    stop: StopReason = "end",
    dialect: str | None = "openai-chat",
    **more: Any,
) -> tuple[Any, set[tuple[str, str]]]:
    """The body for a foreign answer of these parts, with what was told."""
    to = target()
    choice = Choice(parts=parts, stop=stop, **more)
    usage = Usage(fresh=1, output=2)
    body = encoded(
        Response(id="r", model="m", choices=(choice,), usage=usage, dialect=dialect), to
    )
    assert oracle.response("anthropic", body) == []
    return body, {(loss.feature, loss.action) for loss in to.losses.losses}


SPLIT = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}
EXACT: tuple[Any, ...] = (
    PLAIN,
    {"content": []},
    {**PLAIN, "id": None, "model": None, "usage": None, "content": None},
    {**PLAIN, "type": "x_new", "role": "user", "stop_details": None, "container": None},
    {**PLAIN, "id": 5, "stop_reason": 5, "stop_sequence": {}},
    {**PLAIN, "stop_reason": None, "x": 1, "context_management": {"applied_edits": []}},
    {**PLAIN, "stop_reason": "x_new", "container": {"id": "c"}},
    {**PLAIN, "stop_reason": "compaction"},
    {**PLAIN, "stop_reason": "stop_sequence", "stop_sequence": "s"},
    {
        **PLAIN,
        "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": None},
    },
    {**PLAIN, "stop_details": {"type": "refusal", "category": None, "x": 1}},
    {**PLAIN, "stop_details": 5},
    {
        **PLAIN,
        "usage": {
            "input_tokens": None,
            "output_tokens": None,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 4,
            "cache_creation": SPLIT,
            "output_tokens_details": {"thinking_tokens": 2, "x": 1},
            "service_tier": "standard",
            "server_tool_use": {"web_search_requests": 1},
            "inference_geo": "eu",
            "speed": None,
            "iterations": [],
            "y": 2,
        },
    },
    {**PLAIN, "usage": {"cache_creation_input_tokens": 50, "cache_creation": SPLIT}},
    {**PLAIN, "usage": {"cache_creation_input_tokens": 5, "cache_creation": SPLIT}},
    {**PLAIN, "usage": {"cache_creation": {}, "output_tokens_details": {}}},
    {**PLAIN, "usage": {"cache_creation": None, "output_tokens_details": None}},
    {**PLAIN, "usage": {"cache_creation": {**SPLIT, "x": 1}, "service_tier": None}},
    {**PLAIN, "usage": {"output_tokens_details": {"thinking_tokens": None}}},
    {
        **PLAIN,
        "content": [
            {"type": "thinking", "thinking": "a", "signature": "c2ln"},
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking"},
            {"type": "redacted_thinking", "data": "ZGF0YQ=="},
            {"type": "redacted_thinking"},
            {"type": "text"},
            {"type": "text", "text": "b", "citations": None},
            {"type": "tool_use", "name": "f"},
            {"type": "tool_use", "id": "t", "input": {}},
            {"type": "tool_use", "id": None, "name": "f", "input": [1]},
            {"type": "server_tool_use", "id": "s", "name": "n", "input": {"a": 1}},
            {"type": "server_tool_use", "name": "n", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "web_search_tool_result", "content": []},
            {"type": "image", "source": {"type": "url", "url": "u"}},
            {"type": "x_new"},
            {"type": 5},
            {},
        ],
        "stop_reason": "tool_use",
    },
)


@pytest.mark.parametrize("body", EXACT, ids=range(len(EXACT)))
def test_answers_go_back_as_they_came(body: Any) -> None:
    found = decoded(body)
    assert differences(body, encoded(found)) == []
    assert decoded(encoded(found)) == found


def test_neutral_forms() -> None:
    asked = replace(SOURCE, model="claude-x", tag="a.1")
    thought = {"type": "thinking", "thinking": "t", "signature": "v"}
    found = decoded({**PLAIN, "content": [thought], "stop_reason": "tool_use"}, asked)
    signature = Signature(origin="anthropic", value="v", model="claude-x", tag="a.1")
    assert found == Response(
        id="msg_a",
        model="m",
        choices=(
            Choice(
                parts=(ReasoningPart(text="t", signature=signature),),
                stop="end",
                raw="tool_use",
            ),
        ),
        usage=Usage(fresh=3, output=5),
        dialect="anthropic",
    )


def test_calls_without_ids_get_them() -> None:
    call = {"type": "tool_use", "name": "f", "input": {}}
    found = decoded({**PLAIN, "content": [call, call]}, replace(SOURCE, seed="s"))
    ids = [
        part.call_id
        for part in found.choices[0].parts
        if isinstance(part, ToolCallPart)
    ]
    assert ids == [mint_call("s", 0), mint_call("s", 1)]


def test_results_are_no_answers() -> None:
    block = {"type": "tool_result", "tool_use_id": "t", "content": "a"}
    found = decoded({**PLAIN, "content": [block]})
    assert isinstance(found.choices[0].parts[0], OpaquePart)
    assert encoded(found)["content"] == [block]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"x":1}',
        b'{"content":[5]}',
        b'{"content":"a"}',
        b"\xff",
        b"{" * 3000,
    ],
)
def test_garbage_is_a_bad_upstream(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decoded(body)
    assert caught.value.status == 502


def test_limits() -> None:
    for limits in (Limits(body=5), Limits(parts=0)):
        with pytest.raises(LimitExceeded) as caught:
            decoded(PLAIN, replace(SOURCE, limits=limits))
        assert caught.value.status == 502


def test_envelopes_go_through() -> None:
    def sealed(value: str, place: _seal.Placement = "here") -> str:
        return _seal.seal(Signature(origin="gemini", value=value), place)

    body = {
        **PLAIN,
        "content": [
            {"type": "thinking", "thinking": "a", "signature": sealed("v")},
            {"type": "thinking", "thinking": "b", "signature": sealed("")},
            {"type": "redacted_thinking", "data": sealed("w")},
            {"type": "thinking", "thinking": "", "signature": sealed("n", "next")},
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
            {"type": "text", "text": "c"},
            {"type": "thinking", "thinking": "", "signature": sealed("p", "prev")},
        ],
    }
    found = decoded(body)
    values = [
        part.signature and part.signature.value for part in found.choices[0].parts
    ]
    assert values == ["v", None, "w", "n", "p"]
    assert differences(body, encoded(found)) == []


def test_the_least_answer() -> None:
    body, told = sent(TextPart("a"))
    assert body == {
        "id": body["id"],
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "a"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    assert body["id"].startswith("msg_")
    assert told == set()
    empty = encoded(Response(), target(model="other"))
    assert (empty["model"], empty["content"]) == ("other", [])
    wanting = target(profile=replace(PROFILE, empty_text_block=True))
    assert encoded(Response(), wanting)["content"] == [{"type": "text", "text": ""}]
    renamed = encoded(decoded({"content": []}), target(model="other"))
    assert renamed["model"] == "other"


STOPS: tuple[tuple[StopReason, str, Any], ...] = (
    ("stop_sequence", "stop_sequence", None),
    ("max_tokens", "max_tokens", None),
    ("context_full", "model_context_window_exceeded", None),
    ("tool_use", "tool_use", None),
    ("refusal", "refusal", None),
    ("content_filter", "refusal", "content_filter"),
    ("recitation", "refusal", "recitation"),
    ("pause", "pause_turn", None),
    ("compaction", "end_turn", None),
    ("malformed_tool_call", "max_tokens", None),
    ("steered", "end_turn", None),
    ("cancelled", "end_turn", None),
    ("error", "max_tokens", None),
    ("other", "end_turn", None),
)


@pytest.mark.parametrize(("stop", "word", "explanation"), STOPS)
def test_stops(stop: StopReason, word: str, explanation: Any) -> None:
    body, _ = sent(stop=stop, raw="theirs")
    assert body["stop_reason"] == word
    assert body.get("stop_details", {}).get("explanation") == explanation
    native = Choice(stop=stop)
    own = encoded(Response(choices=(native,), dialect="anthropic"))
    expected = {"compaction": "compaction", "other": None}.get(stop, word)
    assert own["stop_reason"] == expected


def test_stop_details() -> None:
    def detail(found: StopDetail, stop: StopReason = "refusal") -> tuple[Any, Any]:
        body, told = sent(stop=stop, detail=found)
        return body.get("stop_details"), told

    plain = {"type": "refusal", "category": "bio", "explanation": "e"}
    assert detail(StopDetail("bio", "e")) == (plain, set())
    assert detail(StopDetail("bio", "e", Raw(b"{}"))) == (
        plain,
        {("stop_detail", "approximated")},
    )
    found, _ = detail(StopDetail("hate"))
    assert found == {"type": "refusal", "category": None, "explanation": "hate"}
    assert detail(StopDetail("hate", "e"), "end") == (
        None,
        {("stop_detail", "dropped")},
    )
    own = Choice(detail=StopDetail("bio", "e"), stop="refusal")
    assert (
        encoded(Response(choices=(own,), dialect="anthropic"))["stop_details"] == plain
    )


def test_thoughts() -> None:
    signature = Signature(origin="openai-responses", value="v")
    body, told = sent(
        ReasoningPart(summary=("a", "b"), signature=signature),
        ReasoningPart(signature=signature),
        ReasoningPart(text="c", redacted=True, signature=signature),
        ReasoningPart(redacted=True),
        ReasoningPart(redacted=True, text="d"),
        ReasoningPart(text=""),
        ReasoningPart(text="plain"),
        ReasoningPart(text="ours", signature=Signature(origin="anthropic", value="w")),
        dialect="openai-responses",
    )
    sealed = _seal.seal(signature)
    assert body["content"] == [
        {"type": "thinking", "thinking": "a\n\nb", "signature": sealed},
        {"type": "redacted_thinking", "data": sealed},
        {"type": "redacted_thinking", "data": _seal.seal(signature, redacted=True)},
        {
            "type": "thinking",
            "thinking": "d",
            "signature": _seal.seal(Signature(origin="openai-responses", value="")),
        },
        {
            "type": "thinking",
            "thinking": "plain",
            "signature": _seal.seal(Signature(origin="openai-responses", value="")),
        },
        {"type": "thinking", "thinking": "ours", "signature": "w"},
    ]
    assert told == {
        ("message.empty", "dropped"),
        ("reasoning.segments", "emulated"),
        ("reasoning.text", "defaulted"),
        ("reasoning.text", "dropped"),
    }
    own = Choice(parts=(ReasoningPart(redacted=True), ReasoningPart(text="a")))
    native = encoded(Response(choices=(own,), dialect="anthropic"))
    assert native["content"] == [{"type": "thinking", "thinking": "a", "signature": ""}]


def test_calls() -> None:
    signature = Signature(origin="gemini", value="v")
    body, told = sent(
        ToolCallPart(
            call_id="a|b", name="f", arguments=' {"a": 1}', signature=signature
        ),
        ToolCallPart(call_id="c", name="g", arguments="null"),
        ToolCallPart(call_id="d", name="h", arguments="in", kind="custom"),
        stop="tool_use",
    )
    blocks = body["content"]
    assert blocks[0]["signature"] == _seal.seal(signature, "next")
    assert blocks[1]["id"].startswith("tc_")
    assert [one["input"] for one in blocks[1:]] == [{"a": 1}, {}, {"input": "in"}]
    assert told == {("tool.custom", "emulated")}
    broken = ToolCallPart(call_id="c", name="g", arguments="{", incomplete=True)
    body, told = sent(broken, stop="tool_use")
    assert (body["content"][0]["input"], body["stop_reason"]) == ({}, "max_tokens")
    assert told == {
        ("call.arguments", "dropped"),
        ("part.incomplete", "dropped"),
        ("stop_reason", "approximated"),
    }
    own = Choice(parts=(broken,), stop="tool_use")
    native = encoded(Response(choices=(own,), dialect="anthropic"))
    assert native["stop_reason"] == "tool_use"


def test_what_has_no_block_is_told() -> None:
    signature = Signature(origin="gemini", value="v")
    body, told = sent(
        TextPart(
            "a",
            citations=(Citation(kind="url"),),
            phase="commentary",
            logprobs=(TokenLogprob("a", -1.0),),
            incomplete=True,
            signature=signature,
            extras={"x": Raw(b"1")},
        ),
        TextPart(""),
        TextPart("", signature=signature),
        TextPart("b"),
        TextPart("", signature=signature),
        RefusalPart("no"),
        RefusalPart(""),
        MediaPart(kind="image", source=Base64("AA")),
        ServerToolCallPart(name="s"),
        ServerToolResultPart(name="s"),
        OpaquePart(dialect="gemini", kind="", raw=Raw(b"{}")),
        ToolResultPart(call_id="c"),
        extras={"y": Raw(b"1")},
    )
    behind = _seal.seal(signature, "prev")
    assert body["content"] == [
        {"type": "text", "text": "a"},
        {
            "type": "thinking",
            "thinking": "",
            "signature": _seal.seal(signature, "prev"),
        },
        {"type": "thinking", "thinking": "", "signature": _seal.seal(signature)},
        {"type": "text", "text": "b"},
        {"type": "thinking", "thinking": "", "signature": behind},
        {"type": "text", "text": "no"},
    ]
    assert told == {
        ("citations", "dropped"),
        ("extras", "dropped"),
        ("logprobs", "dropped"),
        ("media.image", "dropped"),
        ("message.empty", "dropped"),
        ("opaque", "dropped"),
        ("part.boundary", "approximated"),
        ("part.incomplete", "dropped"),
        ("phase", "dropped"),
        ("refusal", "emulated"),
        ("tool.server_part", "dropped"),
    }


def test_more_choices_are_dropped() -> None:
    to = target()
    two = tuple(
        Choice(index=at, parts=(TextPart(text),)) for at, text in enumerate("ab")
    )
    body = encoded(Response(choices=two), to)
    assert body["content"] == [{"type": "text", "text": "a"}]
    assert ("choices[1]", "dropped") in {
        (loss.path, loss.action) for loss in to.losses.losses
    }


def test_usage() -> None:
    to = target()
    usage = Usage(
        fresh=1,
        tool_prompt=2,
        cache_read=3,
        cache_write_long=4,
        output=5,
        reasoning=6,
        audio_in=7,
        estimated=True,
        extras={"x": Raw(b"1")},
    )
    ended = Choice(stop="end")
    response = Response(
        choices=(ended,), usage=usage, service_tier="default", dialect="gemini"
    )
    body = encoded(response, to)
    assert oracle.response("anthropic", body) == []
    assert body["usage"] == {
        "input_tokens": 3,
        "cache_creation_input_tokens": 4,
        "cache_read_input_tokens": 3,
        "cache_creation": {
            "ephemeral_5m_input_tokens": 0,
            "ephemeral_1h_input_tokens": 4,
        },
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 6},
        "service_tier": "standard",
    }
    assert {(loss.path, loss.action) for loss in to.losses.losses} == {
        ("service_tier", "approximated"),
        ("usage.audio_in", "dropped"),
        ("usage.cache_write", "defaulted"),
        ("usage.estimated", "dropped"),
        ("usage.extras[x]", "dropped"),
        ("usage.fresh", "approximated"),
        ("usage.tool_prompt", "dropped"),
    }
    silent = encoded(Response(usage=Usage(), service_tier="scale"))
    assert silent["usage"] == {"input_tokens": 0, "output_tokens": 0}


@pytest.mark.parametrize("dialect", [None, "openai-chat", "openai-responses", "gemini"])
def test_what_differs_was_told(dialect: str | None) -> None:
    @given(strategies.responses(dialect))
    def law(response: Response) -> None:
        to = target()
        body = DIALECT.encode_response(response, to)
        assert oracle.response("anthropic", json.loads(body)) == []
        back = decoded(body)
        if response.choices[0].index == 0:
            assert unexplained(response, back, to.losses.losses) == []
            assert unfounded(response, back, to.losses.losses) == []
        assert DIALECT.encode_response(back, target()) == body

    law()


@given(strategies.responses("anthropic"))
def test_own_answers_are_written_and_read(response: Response) -> None:
    body = DIALECT.encode_response(response, target())
    again = DIALECT.encode_response(decoded(body), target())
    assert json.loads(again) == json.loads(body)


def test_a_block_without_a_neutral_form_is_whole_however_often_it_comes() -> None:
    block = b'{"type":"redacted_thinking","odd_id":"a","odd_input":{"b":1}}'
    body = b'{"type":"message","role":"assistant","content":[%b]}' % block
    for _ in range(3):  # Its strangers are known from the second time on.
        (part,) = DIALECT.decode_response(body, SOURCE).choices[0].parts
        assert isinstance(part, OpaquePart)
        assert bytes(part.raw) == block
