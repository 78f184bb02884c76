"""Whole Chat answers, errors, lists of models, and the rest of the interface."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from llmwire import profiles
from llmwire._fold import fold
from llmwire.dialects import ModelInfo, ModelList, Route
from llmwire.dialects.openai_chat import _usage as chat_usage
from llmwire.dialects.openai_chat._usage import _read_details, read_usage
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.http import Headers, HTTPRequest
from llmwire.limits import Limits
from llmwire.losses import LossRecorder
from llmwire.messages import (
    APIError,
    Base64,
    Choice,
    Citation,
    ErrorKind,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Response,
    ServerToolCallPart,
    Signature,
    StopDetail,
    TextPart,
    TokenCount,
    TokenLogprob,
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from llmwire.strategies import errors, json_values, responses, usages
from tests import oracle
from tests.dialects.chat_pair import (
    CHAT,
    OPENAI,
    chunk,
    frames,
    plain,
    raw,
    read_request,
    read_response,
    read_stream,
    told,
    write_response,
)
from tests.normal_forms import differences

_HEAD = {"id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "m"}
_TOKEN = {"token": "a", "logprob": -1.5, "bytes": [97], "top_logprobs": []}


def _choice(message: Any, **members: Any) -> dict[str, Any]:
    base = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {**base, **members}


def _said(**members: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "a", "refusal": None, **members}


def _body(*choices: Any, **members: Any) -> dict[str, Any]:
    return {**_HEAD, "choices": [*choices], **members}


def _usage(**members: Any) -> dict[str, Any]:
    base = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return _body(_choice(_said()), usage={**base, **members})


_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_PAGE = {"type": "url_citation", "url_citation": {"url": "https://a.example/"}}

BODIES: tuple[Any, ...] = (
    _body(_choice(_said())),
    _body(_choice(_said()), created=9_007_199_254_740_993),
    _body(_choice(_said()), _choice(_said(content=[{"type": "text", "text": "a"}]))),
    _body(),
    {"choices": []},
    _body(_choice({"content": "a"}), system_fingerprint=None, new=1, object="x"),
    {**_HEAD, "choices": [{"message": {"role": "assistant", "content": "a"}}]},
    {"choices": [{}], "id": None, "created": None, "model": None, "object": None},
    {"choices": [{"index": None, "message": None}], "id": "", "created": 1.5},
    _body({"index": 3, "finish_reason": None}, {"index": 1, "finish_reason": ""}),
    _body(_choice(_said(content="")), _choice(_said(content=None), index=1)),
    _body(_choice(_said(content=[]), finish_reason="new")),
    _body(_choice(_said(content=5, tool_calls=5, refusal=5, reasoning=5))),
    _body(_choice({"role": "model", "content": "a"}, finish_reason=5, index="0")),
    _body(_choice(_said(content=None, refusal="no"))),
    _body(_choice(_said(content=None, refusal=""))),
    _body(_choice(_said(content=None, tool_calls=[_CALL]), finish_reason="tool_calls")),
    _body(_choice(_said(content="", tool_calls=[{"function": {"name": "f"}}]))),
    _body(_choice(_said(content=None, function_call={"name": "f", "arguments": ""}))),
    _body(_choice(_said(annotations=[], tool_calls=None, audio=None, name=None))),
    _body(_choice(_said(annotations=[_PAGE, {"type": "file"}]))),
    _body(_choice(_said(content=None, annotations=[_PAGE]))),
    _body(
        _choice(
            _said(
                content=None,
                audio={"id": "", "data": "AAAA", "transcript": "t", "expires_at": 5},
            )
        )
    ),
    _body(_choice(_said(audio={"id": "a", "data": "AAAA", "new": 1}))),
    _body(_choice(_said(audio={"id": "a"})), _choice(_said(audio=5), index=1)),
    _body(_choice(_said(reasoning="Hm", executed_tools=[{"x": 1}]), delta={}, x=1)),
    _body(_choice(_said(reasoning_content="Hm", reasoning="Hm"))),
    _body(
        _choice(
            _said(
                content=[
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
                    {"type": "text", "text": "a"},
                    {"type": "new"},
                ]
            )
        )
    ),
    _body(_choice(_said(content=[{"type": "text", "text": "a"}]))),
    _body(_choice(_said(content=[{"type": "text", "text": "a"}] * 2))),
    _body(_choice(_said(content=[{"type": "text", "text": "a", "x": 1}]))),
    _body(_choice(_said(), logprobs={"content": [_TOKEN], "refusal": None})),
    _body(_choice(_said(), logprobs={"content": [], "refusal": [], "new": 1})),
    _body(_choice(_said(), logprobs={"content": None})),
    _body(
        _choice(
            _said(content=None),
            finish_reason="",
            **{"": 1, "x/y": 2},
            logprobs={"content": [_TOKEN]},
        )
    ),
    _body(_choice(_said(**{"": 1, "x/y": 2, "@x": 3}), finish_reason=None)),
    _body(
        _choice(
            _said(), finish_reason="", logprobs={"content": [_TOKEN], "refusal": []}
        )
    ),
    _body(_choice(_said(), logprobs={"refusal": [_TOKEN]})),
    _body(_choice(_said(), logprobs={"content": [{"token": 5}]})),
    _body(_choice(_said(), logprobs=5)),
    _body(
        _choice(_said(content=None, tool_calls=[_CALL]), logprobs={"content": [_TOKEN]})
    ),
    _body(_choice(_said(content=None, refusal="n"), logprobs={"refusal": [_TOKEN]})),
    _body(
        _choice(
            _said(reasoning_content="Hm"),
            logprobs={"reasoning_content": [_TOKEN], "content": [_TOKEN]},
        )
    ),
    _body(_choice(_said(reasoning="Hm"), logprobs={"reasoning_content": [_TOKEN]})),
    _body(
        _choice(
            _said(),
            logprobs={
                "content": [
                    {"token": "a"},
                    {
                        "token": "a",
                        "logprob": None,
                        "bytes": None,
                        "top_logprobs": None,
                    },
                    {
                        "token": "a",
                        "logprob": 0,
                        "bytes": [],
                        "top_logprobs": [
                            {"token": "b", "logprob": -1, "bytes": None},
                            {"token": "b", "logprob": -1, "top_logprobs": []},
                        ],
                        "new": 1,
                    },
                ]
            },
        )
    ),
    # Copilot: text and calls apart, both of index 0.
    _body(
        _choice(_said()),
        _choice(_said(content=None, tool_calls=[_CALL]), finish_reason="tool_calls"),
    ),
    _body(_choice({"content": "a"}), {"index": 0, "message": _said()}),
    _usage(),
    _usage(total_tokens=20),
    _usage(
        prompt_tokens_details={"cached_tokens": 4, "cache_write_tokens": 2, "x": 1},
        completion_tokens_details={"reasoning_tokens": 3, "audio_tokens": None},
        new={"a": 1},
        **{"x/y": 1},
    ),
    _usage(prompt_tokens_details=None, completion_tokens_details={}),
    _usage(prompt_tokens_details={"cached_tokens": 40}),
    _usage(prompt_cache_hit_tokens=4, prompt_cache_miss_tokens=6),
    _usage(prompt_cache_hit_tokens=4, prompt_tokens_details={"x": 1}),
    _usage(cached_tokens=4, completion_tokens=None, total_tokens=None),
    _usage(completion_tokens_details={"reasoning_tokens": 20}, total_tokens=35),
    _usage(prompt_tokens=True, prompt_tokens_details=[]),
    _body(_choice(_said()), usage={"completion_tokens": 5}),
    _body(_choice(_said()), usage=None, service_tier=None),
    _body(_choice(_said()), usage=5, service_tier="priority"),
)


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_native_answers_go_as_they_came(body: Any) -> None:
    response = read_response(body)
    written, losses = write_response(response)
    assert differences(body, written) == []
    assert losses == ()
    assert read_response(json.dumps(written).encode()) == response


def test_what_an_answer_says() -> None:
    details = {"cached_tokens": 4, "cache_write_tokens": 2}
    body = _body(
        _choice(
            _said(reasoning_content="Hm", tool_calls=[_CALL], annotations=[_PAGE]),
            stop_reason="END",
        ),
        usage={
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": details,
        },
        service_tier="default",
    )
    response = read_response(body)
    choice = response.choices[0]
    assert [type(part) for part in choice.parts] == [
        *(ReasoningPart, TextPart, ToolCallPart)
    ]
    assert (choice.stop, choice.raw) == ("tool_use", "stop")
    assert response.usage == Usage(fresh=4, cache_read=4, cache_write=2, output=5)
    assert (response.created, response.service_tier) == (5.0, "default")


@pytest.mark.parametrize(
    ("choice", "stop"),
    [
        (_choice(_said(), stop_reason="END"), "stop_sequence"),
        (_choice(_said(), matched_stop=5), "end"),
        (_choice(_said(content=None, refusal="no")), "refusal"),
        (_choice(_said(content=None, tool_calls=[_CALL])), "tool_use"),
        (_choice(_said(), finish_reason="tool_calls"), "end"),
        (_choice(_said(), finish_reason="length"), "max_tokens"),
        (_choice(_said(), finish_reason=None), "other"),
    ],
)
def test_why_it_ended(choice: Any, stop: str) -> None:
    assert read_response(_body(choice)).choices[0].stop == stop


def test_calls_without_ids_get_one_and_lose_it_again() -> None:
    calls = [{"function": {"name": "f", "arguments": "{}"}}] * 2
    response = read_response(_body(_choice(_said(tool_calls=calls))))
    ids = {p.call_id for p in response.choices[0].parts if isinstance(p, ToolCallPart)}
    assert len(ids) == 2
    assert all(one.startswith("tc_") for one in ids)


def test_choices_of_one_index_are_one() -> None:
    body = _body(
        _choice(_said()),
        _choice(_said(content=None, tool_calls=[_CALL]), finish_reason="tool_calls"),
    )
    response = read_response(body)
    assert len(response.choices) == 1
    assert [type(p) for p in response.choices[0].parts] == [TextPart, ToolCallPart]
    assert response.choices[0].stop == "tool_use"
    only = replace(response.choices[0], parts=response.choices[0].parts[:1])
    written, _ = write_response(replace(response, choices=(only,)))
    assert len(written["choices"]) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"x":1}', b'{"choices":5}', b'{"choices":[5]}', b"\xff"],
)
def test_garbage_is_a_bad_upstream(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_response(body)
    assert caught.value.status == 502


def test_limits() -> None:
    body = json.dumps(_body(_choice(_said(tool_calls=[_CALL] * 3)))).encode()
    for limits in (Limits(body=10), Limits(parts=2)):
        with pytest.raises(LimitExceeded) as caught:
            read_response(body, limits=limits)
        assert caught.value.status == 502


@given(json_values())
def test_members_of_any_type(value: Any) -> None:
    names = ("content", "tool_calls", "reasoning_details", "annotations", "audio", "x")
    for body in (
        value,
        _body(value),
        _body(_choice(value)),
        *(_body(_choice(_said(**{name: value}))) for name in names),
        _body(_choice(_said(tool_calls=[value, {"function": value}]))),
        _body(_choice(_said(), logprobs=value, index=value, finish_reason=value)),
        _body(_choice(_said()), usage=value, id=value, created=value, model=value),
        _body(_choice(_said()), usage={"prompt_tokens_details": value, "x": value}),
    ):
        try:
            response = read_response(body)
        except RemoteProtocolError as error:
            assert error.status == 502
        else:
            written, losses = write_response(response)
            assert differences(body, written) == []
            assert losses == ()


def test_a_stream_and_a_whole_answer_say_the_same() -> None:
    entry = {"type": "reasoning.text", "text": "Hm", "signature": "s", "index": 0}
    message = _said(reasoning_details=[entry], reasoning="Hm", tool_calls=[_CALL])
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    whole = read_response(
        _body(_choice(message, finish_reason="tool_calls"), usage=usage)
    )
    call = {**_CALL, "index": 0}
    head = {k: v for k, v in message.items() if k in ("reasoning", "reasoning_details")}
    wire = frames(
        chunk(head, id="chatcmpl-1"),
        chunk({"content": "a"}, id="chatcmpl-1"),
        chunk({"tool_calls": [call]}, "tool_calls", id="chatcmpl-1", usage=usage),
    )
    assert fold(read_stream(wire)[0]) == whole


# --- for clients of this dialect ---------------------------------------------------


def _answer(*parts: Part, stop: Any = "end", **members: Any) -> Response:
    choice = Choice(parts=parts, stop=stop, **members)
    return Response(id="msg_1", model="m", choices=(choice,), dialect="anthropic")


def test_the_skeleton() -> None:
    written, losses = write_response(_answer(TextPart("Hi")))
    identity = written.pop("id")
    assert identity.startswith("chatcmpl-")
    assert written == {
        "object": "chat.completion",
        "created": 1763680000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }
    assert losses == ()
    again = write_response(_answer(TextPart("Hi")), model="x", created=None)[0]
    assert (again["id"], again["model"], again["created"]) == (identity, "x", 0)
    assert write_response(Response())[0]["choices"] == []


def test_content_of_silent_answers() -> None:
    assert write_response(_answer())[0]["choices"][0]["message"]["content"] == ""
    call = ToolCallPart(call_id="c", name="f")
    message = write_response(_answer(call, stop="tool_use"))[0]["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][0]["function"]["arguments"] == "{}"


def test_parts_without_a_place() -> None:
    signature = Signature(origin="gemini", value="x")
    response = _answer(
        TextPart("a", signature=signature, incomplete=True),
        ToolCallPart(call_id="c", name="f", arguments="{}", signature=signature),
        TextPart("b", signature=signature, phase="commentary"),
        TextPart(""),
        ServerToolCallPart(name="s"),
        OpaquePart(dialect="anthropic", kind="x", raw=raw(1)),
        ToolResultPart(call_id="c"),
        MediaPart(kind="image", source=Base64("AAAA")),
        stop="pause",
        stop_sequence="END",
        extras={"x": raw(1)},
    )
    written, losses = write_response(replace(response, extras={"x": raw(1)}))
    message = written["choices"][0]["message"]
    assert message["content"] == "a\n\nb"
    google = message["tool_calls"][0]["extra_content"]["google"]
    assert google["thought_signature"].startswith("llmw1.gemini.")
    assert [e["type"] for e in message["reasoning_details"]] == ["reasoning.encrypted"]
    assert {loss.feature for loss in losses} == {
        *("part.order", "part.boundary", "part.incomplete", "phase", "message.empty"),
        *("tool.server_part", "opaque", "media.image", "stop_reason", "stop_sequence"),
        *("extras", "reasoning.signature"),
    }


def test_audio() -> None:
    sound = MediaPart(kind="audio", mime="audio/wav", source=Base64("AAAA"))
    audio = write_response(_answer(sound))[0]["choices"][0]["message"]["audio"]
    assert audio == {"id": "audio", "data": "AAAA", "expires_at": 0, "transcript": ""}
    two = write_response(_answer(sound, replace(sound, meta={"transcript": raw("t")})))
    assert {loss.feature for loss in two[1]} == {"media.meta", "media.audio"}


def test_thinking() -> None:
    signature = Signature(origin="anthropic", value="c2ln")
    response = _answer(
        ReasoningPart(text="A", signature=signature, extras={"x": raw(1)}),
        ReasoningPart(summary=("B", "C"), signature=signature),
        ReasoningPart(redacted=True, signature=signature),
        ReasoningPart(),
        TextPart("Hi"),
    )
    written, losses = write_response(response)
    message = written["choices"][0]["message"]
    assert message["reasoning_content"] == "A\n\nB\n\nC"
    assert [e["type"] for e in message["reasoning_details"]] == [
        *("reasoning.text", "reasoning.summary", "reasoning.encrypted")
    ]
    assert message["reasoning_details"][1]["summary"] == "B\n\nC"
    assert {loss.feature for loss in losses} == {
        *("extras", "reasoning.segments", "reasoning.text", "part.boundary")
    }
    quiet = profiles.Profile(
        name="x", reasoning_details=False, reasoning_field="reasoning"
    )
    message = write_response(response, profile=quiet)[0]["choices"][0]["message"]
    assert "reasoning_details" not in message
    assert message["reasoning"].startswith("A")


def test_thinking_of_this_dialect_made_by_hand() -> None:
    own = Signature(origin="openai-chat", value="s")
    parts = (ReasoningPart(text="A"), ReasoningPart(text="B", signature=own))
    response = replace(_answer(*parts), dialect="openai-chat")
    message = write_response(response)[0]["choices"][0]["message"]
    assert message["reasoning_content"] == "AB"
    assert message["reasoning_details"][0]["signature"] == "s"


def test_signatures_say_who_was_asked() -> None:
    entry = {"type": "reasoning.text", "text": "Hm", "signature": "s", "index": 0}
    body = _body(
        _choice(
            _said(reasoning_details=[entry, entry], reasoning="x", tool_calls=[_CALL])
        )
    )
    response = read_response(body, model="m-1", tag="t")
    thought = response.choices[0].parts[0]
    own = Signature(origin="openai-chat", value="s", model="m-1", tag="t")
    assert thought.signature == own
    assert differences(body, write_response(response)[0]) == []


def test_edited_log_probabilities() -> None:
    token = TokenLogprob(
        "a",
        -1.0,
        (97,),
        (TokenLogprob("b", -2.0),),
        {"@absent": raw(["bytes"]), "@said": raw({"top_logprobs": None})},
    )
    response = replace(_answer(TextPart("a", logprobs=(token,))), dialect="openai-chat")
    entry = write_response(response)[0]["choices"][0]["logprobs"]["content"][0]
    assert entry["bytes"] == [97]
    assert entry["top_logprobs"][0]["token"] == "b"


def test_members_of_this_dialect_in_answers_of_another() -> None:
    opaque = OpaquePart(
        dialect="openai-chat",
        kind="x",
        raw=raw({"type": "x"}),
        extras={"@field": raw("reasoning_details")},
    )
    call = replace(opaque, extras={"@field": raw("tool_calls")})
    sound = MediaPart(
        kind="audio",
        source=Base64("AAAA"),
        meta={"expires_at": raw(5), "transcript": raw("t")},
    )
    cited = Citation(kind="url", url="u", title="t", start=0, end=1)
    text = TextPart("a", citations=(cited,))
    written, losses = write_response(_answer(opaque, text, sound, call))
    message = written["choices"][0]["message"]
    assert message["tool_calls"] == [{"type": "x"}]
    assert message["audio"]["expires_at"] == 5
    assert "citations" not in {loss.feature for loss in losses}
    native = replace(_answer(opaque, RefusalPart("")), dialect="openai-chat")
    assert write_response(native)[0]["choices"][0]["message"]["reasoning_details"]


def test_citations() -> None:
    response = _answer(
        TextPart("ab", citations=(Citation(kind="document", title="t"),)),
        TextPart(
            "cd",
            citations=(
                Citation(kind="url", url="u", title="t", start=0, end=1),
                Citation(kind="url", url="u"),
                Citation(kind="url"),
            ),
        ),
    )
    written, losses = write_response(response)
    found = written["choices"][0]["message"]["annotations"]
    spans = [
        (a["url_citation"]["start_index"], a["url_citation"]["end_index"])
        for a in found
    ]
    assert spans == [(2, 3), (2, 4)]
    assert ("citations", "choices[0].parts[0].citations[0]", "dropped") in told(losses)


@pytest.mark.parametrize(
    ("stop", "detail", "word", "refusal"),
    [
        ("end", None, "stop", None),
        ("max_tokens", None, "length", None),
        ("recitation", None, "content_filter", None),
        ("refusal", None, "content_filter", None),
        ("refusal", StopDetail("bio", "No."), "stop", "No."),
        ("content_filter", StopDetail("bio", "No."), "content_filter", "No."),
        ("error", StopDetail("x"), "stop", None),
    ],
)
def test_why_it_ended_told(stop: Any, detail: Any, word: str, refusal: Any) -> None:
    written, _ = write_response(_answer(TextPart("a"), stop=stop, detail=detail))
    choice = written["choices"][0]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == (word, refusal)


def test_an_end_beside_calls_is_a_call() -> None:
    call = ToolCallPart(call_id="c", name="f", arguments="{}")
    assert (
        write_response(_answer(call))[0]["choices"][0]["finish_reason"] == "tool_calls"
    )
    declined = _answer(RefusalPart("No."), stop="refusal")
    assert write_response(declined)[0]["choices"][0]["finish_reason"] == "stop"


def test_log_probabilities() -> None:
    tokens = (TokenLogprob("a", None, None, (TokenLogprob("b", -1.0),)),)
    response = _answer(
        ReasoningPart(text="x", logprobs=tokens),
        TextPart("a", logprobs=tokens),
        ToolCallPart(call_id="c", name="f", arguments="{}", logprobs=tokens),
        RefusalPart("no", logprobs=tokens),
    )
    written, losses = write_response(response)
    lists = written["choices"][0]["logprobs"]
    assert len(lists["content"]) == 2
    assert lists["refusal"][0]["logprob"] == -9999.0
    assert {loss.action for loss in losses if loss.feature == "logprobs"} == {
        *("dropped", "approximated")
    }


def test_usage_and_tiers() -> None:
    usage = Usage(
        *(),
        fresh=1,
        cache_read=2,
        cache_write=3,
        cache_write_long=4,
        tool_prompt=5,
        output=6,
        image_out=7,
        estimated=True,
        extras={"x": raw(1)},
    )
    base = _answer(TextPart("a"))
    written, losses = write_response(replace(base, usage=usage, service_tier="batch"))
    assert written["usage"] == {
        "prompt_tokens": 15,
        "completion_tokens": 6,
        "total_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 7},
    }
    assert "service_tier" not in written
    assert {loss.path for loss in losses} >= {
        *("usage.tool_prompt", "usage.cache_write_long", "usage.image_out"),
        *("usage.estimated", "usage.extras[x]", "service_tier"),
    }
    bare = replace(base, usage=Usage(), service_tier="standard")
    written, losses = write_response(bare)
    assert written["usage"]["total_tokens"] == 0
    assert written["service_tier"] == "default"
    assert ("usage", "usage.output", "defaulted") in told(losses)


def test_lone_surrogates_never_raise() -> None:
    response = _answer(TextPart("\ud800", extras={"x": Raw(b"1")}))
    message = write_response(response)[0]["choices"][0]["message"]
    assert message["content"] == "\ufffd"


@given(responses())
def test_answers_are_valid_for_the_vendor(response: Response) -> None:
    written, _ = write_response(response)
    assert oracle.response("openai-chat", written) == []
    read_response(written)


@given(responses("openai-chat"))
def test_native_answers_are_read_as_they_were_written(response: Response) -> None:
    first, _ = write_response(response)
    once = read_response(first)
    again, losses = write_response(once)
    assert differences(first, again) == []
    assert losses == ()
    assert read_response(again) == once


@given(usages("openai-chat") | usages())
def test_usage_survives(usage: Usage) -> None:
    response = replace(_answer(TextPart("a")), usage=usage, dialect="openai-chat")
    once = read_response(write_response(response)[0])
    assert read_response(write_response(once)[0]).usage == once.usage


# --- errors ------------------------------------------------------------------------


def _error(status: int, body: Any, *headers: tuple[str, str]) -> APIError:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CHAT.decode_error(status, headers, octets)


def _wrapped(**members: Any) -> dict[str, Any]:
    return {"error": {"message": "m", **members}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, _wrapped(type="invalid_request_error"), "invalid_request"),
        (400, _wrapped(code="context_length_exceeded"), "context_length"),
        (400, {"error": {"message": "maximum context length is 5"}}, "context_length"),
        (400, _wrapped(type="too_many_prompt_tokens"), "context_length"),
        (400, _wrapped(code="content_filter", status=400), "content_policy"),
        (400, _wrapped(innererror={"code": "ResponsibleAIPolicy"}), "content_policy"),
        (401, _wrapped(type="invalid_request_error"), "auth"),
        (401, {"statusCode": 401, "message": "m"}, "auth"),
        (402, _wrapped(), "billing"),
        (403, _wrapped(code="model_not_found"), "not_found"),
        (403, _wrapped(), "permission"),
        (404, {"error": "m"}, "not_found"),
        (409, _wrapped(), "conflict"),
        (413, b"<html>too big</html>", "too_large"),
        (422, {"detail": [{"loc": ["body", "x"], "msg": "m"}]}, "invalid_request"),
        (422, {"detail": "m"}, "invalid_request"),
        (429, _wrapped(code="insufficient_quota"), "quota"),
        (429, _wrapped(code="RateLimitReached"), "rate_limit"),
        (429, b"slow down", "rate_limit"),
        (498, _wrapped(), "overloaded"),
        (500, _wrapped(type="server_error"), "internal"),
        (500, {"object": "error", "message": "m", "code": 400}, "internal"),
        (501, _wrapped(), "unimplemented"),
        (502, b"", "bad_upstream"),
        (503, _wrapped(type="server_error"), "overloaded"),
        (504, b"<html>", "timeout"),
        (529, {"type": "error", "error": {"type": "overloaded_error"}}, "overloaded"),
        (429, [{"error": {"status": "RESOURCE_EXHAUSTED"}}], "rate_limit"),
        (418, _wrapped(), "invalid_request"),
        (599, 5, "internal"),
        (500, {"fault": {"faultstring": "m"}}, "internal"),
        (400, {"contentFilter": [{"level": 1}]}, "invalid_request"),
        (400, {"detail": [5]}, "invalid_request"),
        (400, {"detail": {"msg": "m"}}, "invalid_request"),
        (400, _wrapped(type="weird"), "invalid_request"),
        (0, _wrapped(type="missing_field"), "invalid_request"),
        (0, _wrapped(code="503"), "overloaded"),
    ],
)
def test_errors_are_read_by_their_shape(status: int, body: Any, kind: str) -> None:
    error = _error(status, body)
    assert error.kind == kind
    assert error.message
    reply = CHAT.encode_error(error)
    assert 400 <= reply.status <= 599


def test_what_an_error_says() -> None:
    body = {"error": {"message": "m", "type": "t", "param": "p", "code": 17}}
    error = _error(400, body)
    assert (error.code, error.param, error.status) == ("17", "p", 400)
    assert _error(400, {"error": {"message": "m", "code": True}}).code is None
    reply = CHAT.encode_error(error)
    assert (reply.status, json.loads(reply.body)) == (400, body)
    page = _error(502, b"<html>" + b"x" * 999)
    assert len(page.message) == 300


def test_keys_are_never_told() -> None:
    secret = "Incorrect key sk-abcdefghijkl, AIzaSyA1234567890 or Bearer abcdefghijk"
    error = _error(401, {"error": {"message": secret, "type": "x"}})
    assert error.message == "Incorrect key [redacted], [redacted] or [redacted]"
    assert b"abcdefgh" not in CHAT.encode_error(error).body


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ([("retry-after", "7")], 7.0),
        ([("retry-after", "7"), ("retry-after-ms", "1500")], 1.5),
        ([("retry-after", "x")], None),
        ([("retry-after", "-1")], None),
        ([("retry-after", "inf")], None),
        (
            [
                ("retry-after", "Sat, 21 Nov 2026 00:00:30 GMT"),
                ("date", "Sat, 21 Nov 2026 00:00:00 GMT"),
            ],
            30.0,
        ),
        ([("retry-after", "Sat, 21 Nov 2026 00:00:30 GMT")], None),
        (
            [
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "1m30.5s"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "20ms"),
            ],
            90.5,
        ),
        ([("x-ratelimit-reset-requests", "1m")], None),
        (
            [
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "soon"),
            ],
            None,
        ),
        ([], None),
    ],
)
def test_how_long_to_wait(headers: list[tuple[str, str]], wait: float | None) -> None:
    assert _error(429, {"error": {"message": "m"}}, *headers).retry_after == wait


def test_googles_way_to_say_how_long() -> None:
    details = [5, {"@type": "x"}, {"retryDelay": "37.5s"}]
    error = _error(429, [{"error": {"message": "m", "details": details}}])
    assert error.retry_after == 37.5
    reply = CHAT.encode_error(error)
    assert ("retry-after", "38") in reply.headers


@pytest.mark.parametrize("kind", ["overloaded", "quota", "billing", "truncated"])
def test_errors_of_other_dialects(kind: ErrorKind) -> None:
    error = APIError(
        kind=kind, message="m", status=529, param="p", code="own", dialect="anthropic"
    )
    reply = CHAT.encode_error(error)
    inner = json.loads(reply.body)["error"]
    assert (inner["message"], inner["param"]) == ("m", "p")
    assert inner["code"] != "own"
    assert reply.status != 529
    back = _error(reply.status, reply.body)
    assert back.kind in (kind, "bad_upstream")
    own = APIError(kind=kind, message="m", code="own", dialect="openai-chat")
    assert json.loads(CHAT.encode_error(own).body)["error"]["code"] == "own"


@given(errors() | errors("openai-chat"))
def test_every_error_can_be_told(error: APIError) -> None:
    reply = CHAT.encode_error(error)
    assert 400 <= reply.status <= 599
    json.loads(reply.body)


@given(st.integers(100, 599), st.binary(max_size=60) | json_values())
def test_any_body_is_an_error(status: int, body: Any) -> None:
    error = _error(status, body)
    assert error.message
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    CHAT.find_error(octets)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"error": {"message": "m"}}, True),
        ({"error": "m", "choices": [1]}, True),
        ({"error": None, "choices": []}, False),
        ({"choices": [{"error": 1}]}, False),
        ({"base_resp": {"status_code": 0}, "choices": None}, False),
        ({"base_resp": {"status_code": 1004, "status_msg": "m"}}, True),
        ({"object": "error", "message": "m"}, True),
        ({"detail": "m"}, True),
        ({"detail": "m", "choices": []}, False),
        ([{"error": {"message": "m"}}], True),
        (["error"], False),
        (b'{"error"', False),
        (b"{}", False),
    ],
)
def test_errors_that_came_with_status_200(body: Any, found: bool) -> None:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = CHAT.find_error(octets)
    assert (error is not None) is found
    if error is not None:
        assert error.status is not None
        assert error.status >= 400


# --- the rest ----------------------------------------------------------------------


def test_routes() -> None:
    def asked(path: str, method: str = "POST") -> Route | None:
        return CHAT.route(HTTPRequest(method=method, path=path))

    assert asked("/v1/chat/completions?x=1") == Route(operation="generate")
    assert asked("/v1/chat/completions", "GET") == Route(operation="other")
    assert asked("/v1/chat/completions/c1", "GET") == Route(operation="other")
    assert asked("/v1/models", "GET") == Route(operation="models")
    assert asked("/v1/models/a/b", "GET") == Route(operation="model", model="a/b")
    assert asked("/v1/messages") is None


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ((("authorization", "Bearer k"),), "k"),
        ((("authorization", "bearer  k "),), "k"),
        ((("authorization", "Basic k"), ("api-key", "a")), "a"),
        ((("authorization", "Bearer "),), None),
        ((), None),
    ],
)
def test_credentials(headers: Headers, key: str | None) -> None:
    request = HTTPRequest(method="POST", path="/", headers=headers)
    assert CHAT.read_credential(request) == key
    assert CHAT.write_credential("k") == (("authorization", "Bearer k"),)


def test_models() -> None:
    entry = {"id": "a", "object": "model", "created": 5, "owned_by": "o", "new": 1}
    wide = {"id": "b", "context_length": 9, "max_completion_tokens": 3, "name": "B"}
    listed = CHAT.decode_models(json.dumps({"data": [entry, wide]}).encode())
    assert listed.models[0].owner == "o"
    assert (listed.models[1].context_window, listed.models[1].max_output) == (9, 3)
    assert json.loads(CHAT.encode_models(listed))["data"] == [entry, wide]
    assert CHAT.decode_models(json.dumps([entry]).encode()).models[0].id == "a"
    foreign = ModelInfo(id="c", dialect="gemini", raw=raw({"name": "models/c"}))
    model = {"id": "c", "object": "model", "created": 0, "owned_by": ""}
    assert json.loads(CHAT.encode_model(foreign)) == model
    assert json.loads(CHAT.encode_models(ModelList(models=(foreign,)))) == {
        "object": "list",
        "data": [model],
    }
    with pytest.raises(RemoteProtocolError) as caught:
        CHAT.decode_models(b'{"data": 5}')
    assert caught.value.status == 502


def test_nothing_counts_tokens() -> None:
    assert CHAT.encode_count_request is None
    with pytest.raises(RemoteProtocolError):
        CHAT.decode_count(b"{}")
    assert json.loads(CHAT.encode_count(TokenCount(input=5)))["input_tokens"] == 5
    http = HTTPRequest(method="POST", path="", body=b'{"messages": []}')
    assert CHAT.decode_count_request(http, Limits()) == read_request({"messages": []})
    assert CHAT.echo(read_request({"messages": []})) is None


def test_losses_of_answers_are_never_refused() -> None:
    losses = LossRecorder({"choices": "refuse"}, response=True)
    losses.drop("choices", "choices[1]", "x")
    assert losses.losses
    assert OPENAI.name == "openai"
    assert plain(None) == {}


# --- counts ------------------------------------------------------------------------

_COUNT: st.SearchStrategy[Any] = st.sampled_from([0, 1, 2, 3, 7]) | st.sampled_from(
    [None, True, 2.0, "2", -1]
)
_DETAILS = {
    "prompt_tokens_details": ("cached_tokens", "cache_write_tokens", "audio_tokens"),
    "completion_tokens_details": ("reasoning_tokens", "image_tokens", "new"),
}


@st.composite
def counts(draw: st.DrawFn) -> dict[str, Any]:
    """Usage as servers tell it, mostly."""
    prompt, completion = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    more = draw(st.sampled_from([0, 0, 0, 1, 3]))
    total = prompt + completion + more
    found: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    if draw(st.integers(0, 9)):
        found["total_tokens"] = total
    for name, members in _DETAILS.items():
        kind = st.sampled_from([0, 1, 2]) if draw(st.integers(0, 5)) else _COUNT
        inner = st.dictionaries(st.sampled_from(members), kind)
        if draw(st.booleans()):
            found[name] = draw(inner if draw(st.integers(0, 5)) else _COUNT)
    return found


@given(counts(), st.booleans())
def test_plain_counts_are_read_as_all_others(
    usage: dict[str, Any], outside: bool
) -> None:
    raw = Raw(json.dumps(usage).encode())
    assert read_usage(raw, outside=outside) == _read_details(raw, outside)


def test_counts_of_the_vendor_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_usage, "_read_details", None)
    details = {"cached_tokens": 4, "audio_tokens": 0}
    made = {"reasoning_tokens": 1, "accepted_prediction_tokens": 0}
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "total_tokens": 11,
        "prompt_tokens_details": details,
        "completion_tokens_details": made,
    }
    assert read_usage(Raw(json.dumps(usage).encode())) == Usage(
        fresh=5, cache_read=4, output=2, reasoning=1, audio_in=0, accepted=0
    )
