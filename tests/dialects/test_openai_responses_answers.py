"""Whole answers of the Responses dialect: exactly back, and out of other dialects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from llmwire import _seal
from llmwire._ids import mint_call
from llmwire._turns import carrier
from llmwire.dialects.openai_responses import DIALECT
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.limits import Limits
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
    Signature,
    StopDetail,
    StopReason,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    ToolResultPart,
    Url,
    Usage,
)
from tests import oracle
from tests.dialects.responses_pair import (
    OWN,
    SOURCE,
    answer,
    message,
    read_answer,
    whole,
)
from tests.normal_forms import differences

_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
_USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 3},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 15,
}


def _done(*output: Any, **members: Any) -> dict[str, Any]:
    return whole(**{"status": "completed", "output": list(output), **members})


EXACT: list[dict[str, Any]] = [
    _done(),
    {"output": []},
    {},
    {"output": [], "id": None, "model": 5, "created_at": "now", "usage": 5},
    _done(message(), error=None, tools=[], x_new=1, **{"a/b": 2, "@c": 3}),
    _done(status="complete"),
    _done(status=None),
    _done(status=5, created_at=7.5, incomplete_details=None),
    _done(status="completed", incomplete_details={"reason": "odd"}),
    _done(status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
    _done(status="incomplete", incomplete_details={"reason": "steered", "x": 1}),
    _done(status="incomplete", incomplete_details={"reason": 5}),
    _done(status="incomplete", incomplete_details=None),
    _done(status="in_progress", created_at=10**400),
    _done(status="cancelled", service_tier="flex", tool_usage={"x": 1}),
    # Items
    _done(message(None), message(role="user"), {"type": "x_new"}, 5, {"type": 5}),
    _done({"role": "assistant", "content": "Hi"}, {"type": "message", "role": 5}),
    _done(
        message(content="Hi"), message(content=[{"type": "refusal", "refusal": "n"}])
    ),
    _done(message(content=[{"type": "output_text", "text": "Hi"}], status="odd")),
    _done(message(content=[{"type": "x_new"}, {"type": "input_text", "text": "a"}])),
    _done(message(phase="final_answer", id=None, status=None, x=1)),
    _done({"type": "reasoning", "id": "rs_1", "summary": [], "status": "completed"}),
    _done({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "s"}),
    _done({**_CALL, "status": "completed"}, {**_CALL, "status": "in_progress"}, _CALL),
    _done({**_CALL, "arguments": "{", "status": "incomplete"}),
    _done(
        {**_CALL, "arguments": "{", "status": "completed"}, {**_CALL, "status": None}
    ),
    _done({"type": "function_call", "name": "f", "arguments": ""}),
    _done({**_CALL, "call_id": ""}, {**_CALL, "call_id": None}),
    _done({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "a"}),
    _done({"type": "function_call_output", "call_id": "c", "output": "a"}),
    _done({"type": "web_search_call", "id": "ws", "status": "incomplete"}),
    _done({"type": "program_output", "id": "p", "call_id": "c"}),
    # Usage
    _done(usage=_USAGE),
    _done(usage=None),
    _done(usage={}),
    _done(usage={**_USAGE, "total_tokens": 99, "cost": 0.5}),
    _done(usage={**_USAGE, "total_tokens": 15.0, "output_tokens": True}),
    _done(usage={"input_tokens": 1, "output_tokens": 2}),
    _done(usage={**_USAGE, "input_tokens_details": {"cached_tokens": 99}}),
    _done(usage={**_USAGE, "input_tokens_details": None, "output_tokens_details": {}}),
    _done(usage={**_USAGE, "input_tokens_details": {"cached_tokens": 3, "x": 1}}),
    _done(usage={"input_tokens": -1, "output_tokens_details": {"x": 1}}),
    _done(
        usage={
            **_USAGE,
            "input_tokens_details": {
                "cached_tokens": 3,
                "cache_write_tokens": 4,
                "cache_write_tokens_details": {
                    "ttl_30m_tokens": 1,
                    "ttl_12h_tokens": 3,
                },
            },
        }
    ),
    _done(
        usage={
            **_USAGE,
            "input_tokens_details": {
                "cache_write_tokens_details": {"ttl_12h_tokens": 3},
            },
        }
    ),
]


@pytest.mark.parametrize("body", EXACT, ids=lambda body: json.dumps(body)[:70])
def test_answers_go_back_exactly(body: dict[str, Any]) -> None:
    response = read_answer(body)
    out, losses = answer(response)
    assert differences(body, out) == []
    assert not losses
    assert read_answer(out) == response


def test_what_answers_say() -> None:
    response = read_answer(
        _done(
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [],
                "encrypted_content": "s",
            },
            message(),
            _CALL,
            usage=_USAGE,
            service_tier="flex",
        ),
        replace(SOURCE, model="asked", tag="t"),
    )
    assert (response.id, response.model, response.created) == ("resp_1", "m", 7.0)
    assert response.service_tier == "flex"
    assert response.usage == Usage(
        fresh=7, cache_read=3, output=5, reasoning=2, extras=None
    )
    (choice,) = response.choices
    assert (choice.stop, choice.raw) == ("tool_use", "completed")
    thought, text, call = choice.parts
    assert thought.signature == Signature(origin=OWN, value="s", model="asked", tag="t")
    assert (text.id, text.group) == ("msg_1", 1)
    assert isinstance(call, ToolCallPart) and call.group == 2


def test_reasons_to_stop() -> None:
    def stop(**members: Any) -> tuple[StopReason, str | None]:
        (choice,) = read_answer(_done(**members)).choices
        return choice.stop, choice.raw

    def cut(reason: str) -> tuple[StopReason, str | None]:
        return stop(status="incomplete", incomplete_details={"reason": reason})

    assert cut("max_output_tokens") == ("max_tokens", "max_output_tokens")
    assert cut("content_filter") == ("content_filter", "content_filter")
    assert cut("max_messages") == ("pause", "max_messages")
    assert cut("odd") == ("other", "odd")
    assert stop(status="incomplete") == ("max_tokens", "incomplete")
    assert stop(status="failed") == ("error", "failed")
    assert stop(status=None) == ("other", None)
    refused = message(content=[{"type": "refusal", "refusal": "no"}])
    assert stop(output=[refused]) == ("refusal", "completed")
    assert stop(output=[refused, message()]) == ("end", "completed")


def test_calls_without_ids_get_one() -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    (choice,) = read_answer(_done(call, _CALL, call)).choices
    ids = [part.call_id for part in choice.parts if isinstance(part, ToolCallPart)]
    assert ids == [mint_call("", 0), "c", mint_call("", 1)]


def test_garbage_is_a_bad_gateway() -> None:
    for body in (b"", b"[]", b'{"output":5}', b"\xff"):
        with pytest.raises(RemoteProtocolError) as caught:
            read_answer(body)
        assert caught.value.status == 502
    for limits in (Limits(body=3), Limits(parts=0), Limits(nesting=2)):
        with pytest.raises(LimitExceeded) as refused:
            read_answer(_done([[[1]]]), replace(SOURCE, limits=limits))
        assert refused.value.status == 502


# --- out of other dialects ---------------------------------------------------------


def _said(*parts: Part, stop: StopReason = "end", **fields: Any) -> Response:
    choice = Choice(parts=parts, stop=stop, **fields)
    return Response(id="x", model="m", choices=(choice,), dialect="anthropic")


def _items(*parts: Part) -> list[dict[str, Any]]:
    body, _ = answer(_said(*parts))
    assert not oracle.response(OWN, body)
    items: list[dict[str, Any]] = body["output"]
    return items


def test_the_smallest_answer() -> None:
    body, losses = answer(Response())
    assert not oracle.response(OWN, body)
    assert body["id"].startswith("resp_") and body["created_at"] == 5
    assert {loss.path for loss in losses} == {
        "choices",
        "choices[0].stop",
        "usage",
    }
    native, _ = answer(Response(dialect=OWN))
    assert native == {"output": []}
    kept, _ = answer(Response(id="resp_7", model="m"), model="n", created=7.5)
    assert (kept["id"], kept["model"], kept["created_at"]) == ("resp_7", "n", 7.5)
    foreign, _ = answer(Response(id="msg_7", created=9.0))
    assert foreign["id"].startswith("resp_") and foreign["created_at"] == 9


def test_answers_repeat_what_was_asked() -> None:
    echo = {"temperature": Raw(b"0.5"), "output": Raw(b"5"), "error": Raw(b"5")}
    body, _ = answer(_said(TextPart("Hi")), echo=echo)
    assert (body["temperature"], body["error"]) == (0.5, None)
    assert len(body["output"]) == 1


def test_every_part_is_an_item() -> None:
    signature = Signature(origin="gemini", value="s", model="g")
    image = MediaPart(kind="image", source=Base64("AAAA"), incomplete=True)
    items = _items(
        ReasoningPart(text="t", summary=("a",), signature=signature, redacted=True),
        TextPart("Hi", signature=signature, citations=(Citation(kind="other"),)),
        TextPart("there", group=1),
        RefusalPart("no", group=1),
        ToolCallPart(call_id="c", name="f", signature=signature),
        ToolCallPart(call_id="c", name="f", arguments="a", kind="custom"),
        image,
    )
    assert [item["type"] for item in items] == [
        "reasoning",
        "message",
        "reasoning",
        "message",
        "reasoning",
        "function_call",
        "custom_tool_call",
        "image_generation_call",
    ]
    assert [s["text"] for s in items[0]["summary"]] == ["a", "t"]
    opened = _seal.unseal(items[0]["encrypted_content"])
    assert opened is not None and opened.signature == signature and opened.redacted
    after = _seal.unseal(items[2]["encrypted_content"])
    assert after is not None and after.placement == "prev"
    before = _seal.unseal(items[4]["encrypted_content"])
    assert before is not None and before.placement == "next"
    assert len(items[3]["content"]) == 2
    assert items[5]["arguments"] == "{}"
    assert items[5]["call_id"] == "c" != items[6]["call_id"]
    assert items[7]["status"] == "failed"
    assert len({item["id"] for item in items}) == len(items)


def test_what_answers_cannot_say() -> None:
    tokens = (TokenLogprob("a", None),)
    response = _said(
        TextPart("a", extras={"x": Raw(b"1")}, logprobs=tokens),
        ReasoningPart(text="", logprobs=tokens, extras={"x": Raw(b"1")}),
        ToolCallPart(
            call_id="c", name="f", kind="custom", incomplete=True, logprobs=tokens
        ),
        ServerToolCallPart(name="web_search"),
        OpaquePart(dialect="anthropic", kind="x", raw=Raw(b"{}")),
        MediaPart(kind="image", source=Url("https://x")),
        MediaPart(kind="audio", source=Base64("AAAA")),
        ToolResultPart(call_id="c"),
        OpaquePart(dialect=OWN, kind="x_new", raw=Raw(b'{"type":"x_new"}')),
        stop="context_full",
        stop_sequence="s",
        detail=StopDetail(),
        extras={"y": Raw(b"1")},
    )
    second = Choice(index=1)
    response = replace(
        response,
        choices=(*response.choices, second),
        service_tier="odd",
        extras={"z": Raw(b"1")},
        usage=Usage(tool_prompt=1, audio_in=1, estimated=True, extras={"u": Raw(b"1")}),
    )
    body, losses = answer(response)
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["type"] for item in body["output"]] == [
        "message",
        "reasoning",
        "custom_tool_call",
        "x_new",
    ]
    assert body["output"][1]["summary"] == []
    told = {(loss.path, loss.action) for loss in losses}
    path = "choices[0].parts"
    assert told >= {
        ("choices[1]", "dropped"),
        ("extras[z]", "dropped"),
        ("choices[0].extras[y]", "dropped"),
        ("choices[0].stop", "approximated"),
        ("choices[0].stop_sequence", "dropped"),
        ("choices[0].detail", "dropped"),
        (f"{path}[0].extras[x]", "dropped"),
        (f"{path}[0].logprobs", "approximated"),
        (f"{path}[1]", "approximated"),
        (f"{path}[1].logprobs", "dropped"),
        (f"{path}[2].incomplete", "dropped"),
        (f"{path}[2].logprobs", "dropped"),
        (f"{path}[3]", "dropped"),
        (f"{path}[4]", "dropped"),
        (f"{path}[5]", "dropped"),
        (f"{path}[6]", "dropped"),
        (f"{path}[7]", "dropped"),
        ("service_tier", "dropped"),
        ("usage.tool_prompt", "approximated"),
        ("usage.audio_in", "dropped"),
        ("usage.estimated", "dropped"),
        ("usage.extras[u]", "dropped"),
        ("usage.output", "defaulted"),
    }


@pytest.mark.parametrize(
    ("stop", "status", "reason"),
    [
        ("end", "completed", None),
        ("stop_sequence", "completed", None),
        ("tool_use", "completed", None),
        ("compaction", "completed", None),
        ("other", "completed", None),
        ("max_tokens", "incomplete", "max_output_tokens"),
        ("pause", "incomplete", "max_output_tokens"),
        ("recitation", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"),
        ("steered", "incomplete", "steered"),
        ("cancelled", "cancelled", None),
        ("malformed_tool_call", "failed", None),
        ("error", "failed", None),
    ],
)
def test_reasons_are_written(stop: StopReason, status: str, reason: str | None) -> None:
    body, _ = answer(_said(TextPart("Hi"), stop=stop))
    assert not oracle.response(OWN, body)
    assert body["status"] == status
    assert (body["incomplete_details"] or {}).get("reason") == reason
    assert (body["error"] is not None) == (status == "failed")
    native = replace(read_answer(_done(message())), choices=(Choice(stop=stop),))
    assert answer(native)[0].get("status", "completed") == status


def test_why_it_was_refused() -> None:
    detail = StopDetail(explanation="not this")
    body, _ = answer(_said(stop="refusal", detail=detail))
    assert body["status"] == "completed"
    assert body["output"][0]["content"] == [{"type": "refusal", "refusal": "not this"}]
    body, _ = answer(_said(RefusalPart("no"), stop="refusal", detail=detail))
    assert len(body["output"]) == 1
    body, _ = answer(_said(TextPart("a"), stop="refusal", detail=StopDetail()))
    assert body["status"] == "incomplete"


def test_tiers_and_usage() -> None:
    response = replace(_said(), service_tier="standard")
    assert answer(response)[0]["service_tier"] == "default"
    assert answer(replace(response, service_tier="flex"))[0]["service_tier"] == "flex"
    usage = Usage(fresh=1, cache_read=2, cache_write=3, cache_write_long=4, output=5)
    body, _ = answer(replace(response, usage=usage))
    assert body["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {
            "cached_tokens": 2,
            "cache_write_tokens": 7,
            "cache_write_tokens_details": {"ttl_30m_tokens": 3, "ttl_12h_tokens": 4},
        },
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 15,
    }
    native = replace(read_answer(_done()), usage=Usage(fresh=1, rejected=1))
    out, losses = answer(native)
    assert out["usage"] == {"input_tokens": 1}
    assert [loss.path for loss in losses] == ["usage.rejected"]


def test_a_carrier_is_sealed_where_it_belongs() -> None:
    signature = Signature(origin="gemini", value="s")
    items = _items(carrier(signature, "next"), carrier(signature, "here"))
    placements = []
    for item in items:
        opened = _seal.unseal(item["encrypted_content"])
        assert opened is not None
        placements.append(opened.placement)
    assert placements == ["next", "here"]
    own = Signature(origin=OWN, value="s")
    assert _items(ReasoningPart(signature=own))[0]["encrypted_content"] == "s"
    # What was sealed comes back as whose it was, also from a server.
    sealed = _seal.seal(signature)
    item = {"type": "reasoning", "summary": [], "encrypted_content": sealed}
    (choice,) = read_answer(_done(item)).choices
    assert choice.parts[0].signature == signature


def test_segments_that_changed_are_written_anew() -> None:
    item = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "a", "x": 1}],
    }
    response = read_answer(_done(item))
    part = response.choices[0].parts[0]
    assert isinstance(part, ReasoningPart)
    other = replace(response.choices[0], parts=(replace(part, summary=("b",)),))
    (sent,) = answer(replace(response, choices=(other,)))[0]["output"]
    assert sent["summary"] == [{"type": "summary_text", "text": "b"}]


def test_what_no_answer_can_hold() -> None:
    film = MediaPart(kind="video", source=Url("https://x"), group=0)
    choice = Choice(parts=(film, TextPart("a", group=0)), raw="completed")
    body, losses = answer(Response(choices=(choice,), dialect=OWN))
    assert len(body["output"][0]["content"]) == 1
    assert [loss.feature for loss in losses] == ["media.video"]
    timeless, _ = answer(_said(TextPart("a")), created=None)
    assert timeless["created_at"] == 0


def test_the_model_of_a_native_answer_can_change() -> None:
    response = read_answer(_done(message()))
    assert answer(response, model="n")[0]["model"] == "n"
    assert DIALECT.find_error(json.dumps(_done()).encode()) is None
