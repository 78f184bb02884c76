"""The laws of the Gemini dialect, on generated messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw, Struct

from llmwire._fold import fold, unfold
from llmwire._json import decode_any
from llmwire.errors import RemoteProtocolError
from llmwire.events import Event
from llmwire.grammar import check
from llmwire.losses import Loss
from llmwire.messages import Response
from llmwire.profiles import resolve
from llmwire.requests import Request
from llmwire.strategies import (
    json_values,
    requests,
    responses,
    sentences,
    ungrammatical_sentences,
)
from tests import oracle
from tests.dialects.gemini_pair import (
    DROP,
    encode_request,
    read_request,
    read_response,
    read_stream,
    write_request,
    write_response,
    write_stream,
)
from tests.loss_equation import complaints
from tests.normal_forms import differences, normalised
from tests.stream_law import normed

MODELS = ("gemini-3-pro", "gemini-2.5-flash", "gemini-1.5-flash")


@pytest.mark.parametrize("model", MODELS)
def test_losses_of_requests_are_an_equation(model: str) -> None:
    @given(requests())
    def holds(request: Request) -> None:
        encoded, losses = encode_request(request, model, DROP)
        decoded = read_request(encoded.http.body, encoded.http.path)
        moved = any(
            loss.feature == "tool_result.media" and loss.action == "emulated"
            for loss in losses
        )
        if not moved:  # media that follow a result are one content more
            ignore = "call_id stream model"
            assert complaints(request, decoded, losses, ignore=ignore) == []

    holds()


@pytest.mark.parametrize("dialect", [None, "openai-chat", "anthropic"])
def test_requests_are_valid_for_the_vendor(dialect: str | None) -> None:
    @given(requests(dialect), st.sampled_from(MODELS))
    def holds(request: Request, model: str) -> None:
        body, _ = write_request(request, model, policy=DROP)
        found = oracle.request("gemini", body)
        # Generated signatures are no base64; what a client sends as one goes back.
        assert [one for one in found if "thoughtSignature" not in one] == []

    holds()


@given(requests("gemini"))
def test_native_requests_are_read_as_they_were_written(request: Request) -> None:
    encoded, _ = encode_request(request, None, DROP, resolve("gemini"))
    once = read_request(encoded.http.body, encoded.http.path)
    again, losses = encode_request(once, None, None, resolve("gemini"))
    assert losses == ()
    first, second = json.loads(encoded.http.body), json.loads(again.http.body)
    assert differences(first, second) == []
    assert read_request(again.http.body, again.http.path) == once


@given(requests(), st.sampled_from(MODELS))
def test_equal_requests_give_equal_bytes(request: Request, model: str) -> None:
    one, _ = encode_request(request, model, DROP)
    two, _ = encode_request(request, model, DROP)
    assert one == two


@given(json_values() | st.binary(max_size=40))
def test_garbage_requests_are_refused_by_name(value: Any) -> None:
    for body in (value, {"contents": value}, {"contents": [{"parts": [value]}]}):
        if isinstance(value, bytes) and body is not value:
            continue
        try:
            request = read_request(body)
        except RemoteProtocolError as error:
            assert 400 <= error.status < 500
        else:
            encode_request(request, None, DROP, resolve("gemini"))


@given(json_values())
def test_members_of_any_type(value: Any) -> None:
    for body in (
        {"contents": [], "generationConfig": {"thinkingConfig": value, "topK": value}},
        {
            "contents": [],
            "tools": value,
            "toolConfig": {"functionCallingConfig": value},
        },
        {"contents": [], "systemInstruction": value, "generationConfig": value},
        {"contents": [{"role": value, "parts": value}], "model": value},
        {"contents": [{"parts": [{"functionCall": {"name": "f", "args": value}}]}]},
        {"contents": [{"parts": [{"functionResponse": {"response": value}}]}]},
        {"contents": [{"parts": [{"text": "a", "new": value}], "new": value}]},
    ):
        try:
            request = read_request(body)
        except RemoteProtocolError:
            continue
        written, _ = write_request(request, None, profile=resolve("gemini"))
        left = normalised(body, "gemini", "request")
        assert differences(left, normalised(written, "gemini", "request")) == []


# --- answers -----------------------------------------------------------------------

_UNCOMPARED = {"call_id", "created", "dialect", "group", "id", "model", "raw", "tag"}
_MOVING = {
    "choices",
    "citations",
    "media.file",
    "media.url",
    "message.empty",
    "opaque",
    "part.boundary",
    "reasoning.signature",
    "tool.server_part",
}


def _said(extras: dict[str, Raw] | None) -> dict[str, Any]:
    return {
        key: decode_any(bytes(value))
        for key, value in (extras or {}).items()
        if key[:1] != "@" and bytes(value) != b"null"
    }


def _arguments(text: str) -> Any:
    try:
        return decode_any(text.strip() or "{}")
    except RemoteProtocolError:
        return text


def _differences(left: Any, right: Any, path: str = "") -> list[str]:
    """Paths at which two answers differ."""
    if isinstance(left, Struct) and type(left) is type(right):
        found = []
        for name in left.__struct_fields__:
            place = f"{path}.{name}" if path else name
            one, other = getattr(left, name), getattr(right, name)
            if name in _UNCOMPARED:
                continue
            if name == "extras":
                a, b = _said(one), _said(other)
                found += [f"{place}[{k}]" for k in {**a, **b} if a.get(k) != b.get(k)]
            elif name == "arguments":
                found += [] if _arguments(one) == _arguments(other) else [place]
            else:
                found += _differences(one, other, place)
        return found
    if isinstance(left, tuple) and isinstance(right, tuple):
        found = []
        for at in range(max(len(left), len(right))):
            place = f"{path}[{at}]"
            if at < min(len(left), len(right)):
                found += _differences(left[at], right[at], place)
            else:
                found.append(place)
        return found
    return [] if left == right else [path]


def _cover(loss: Loss) -> str:
    """What moves the elements of a list covers the list."""
    if loss.feature in _MOVING and loss.path.endswith("]"):
        return loss.path.rpartition("[")[0]
    return loss.path


def _unexplained(
    left: Response, right: Response, losses: tuple[Loss, ...]
) -> list[str]:
    covers = [_cover(loss) for loss in losses]
    return [
        path
        for path in _differences(left, right)
        if not any(path == c or path.startswith((f"{c}.", f"{c}[")) for c in covers)
    ]


@given(responses())
def test_losses_of_whole_answers(response: Response) -> None:
    body, losses = write_response(response)
    found = oracle.response("gemini", body)
    assert [one for one in found if "thoughtSignature" not in one] == []
    assert _unexplained(response, read_response(body), losses) == []


@given(responses(), st.sampled_from(["sse", "json-array"]))
def test_losses_of_streamed_answers(response: Response, framing: str) -> None:
    wire, losses = write_stream(unfold(response), framing)
    events, violations = read_stream([wire], framing)
    check(events)
    assert violations == {}
    assert _unexplained(response, fold(events), losses) == []


@given(responses())
def test_a_stream_folds_to_the_whole_body(response: Response) -> None:
    wire, streamed = write_stream(unfold(response))
    body, whole = write_response(response)
    one = fold(read_stream([wire])[0])
    two = read_response(body)
    assert _unexplained(two, one, (*streamed, *whole)) == []


@given(responses("gemini"))
def test_native_answers_are_read_as_they_were_written(response: Response) -> None:
    body, _ = write_response(response)
    once = read_response(body)
    again, losses = write_response(once)
    assert losses == ()
    assert differences(body, again) == []
    assert read_response(again) == once


@given(sentences("gemini"), st.sampled_from(["sse", "json-array"]))
def test_native_streams_are_read_as_they_were_written(
    sentence: list[Event], framing: str
) -> None:
    wire, _ = write_stream(sentence, framing)
    events, _ = read_stream([wire], framing)
    check(events)
    again, _ = write_stream(events, framing)
    assert normed(read_stream([again], framing)[0]) == normed(events)
    third, _ = write_stream(read_stream([again], framing)[0], framing)
    assert third == again


@given(sentences())
def test_streams_are_valid_for_the_vendor(sentence: list[Event]) -> None:
    wire, _ = write_stream(sentence)
    found = oracle.stream("gemini", wire)
    assert [one for one in found if "thoughtSignature" not in one] == []


@given(ungrammatical_sentences(), st.sampled_from(["sse", "json-array"]))
@settings(max_examples=200)
def test_any_order_of_events_gives_a_stream(
    sentence: list[Event], framing: str
) -> None:
    wire, _ = write_stream(sentence, framing)
    events, _ = read_stream([wire], framing)
    check(events)


@given(json_values())
def test_answers_of_any_shape(value: Any) -> None:
    for body in (
        value,
        {"candidates": value},
        {"candidates": [{"content": value, "index": 0}]},
        {"candidates": [{"content": {"parts": value, "role": "model"}, "index": 0}]},
        {"candidates": [], "usageMetadata": value, "createTime": value},
        {"promptFeedback": value, "newMember": value},
    ):
        try:
            response = read_response(body)
        except RemoteProtocolError as error:
            assert error.status == 502
        else:
            written, _ = write_response(response)
            assert differences(body, written) == []
