"""Errors, paths, models and counts of the Responses dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from llmwire.dialects import ModelInfo, ModelList
from llmwire.dialects.openai_responses import DIALECT
from llmwire.dialects.openai_responses._errors import retry_after
from llmwire.errors import RemoteProtocolError
from llmwire.events import MessageStart
from llmwire.http import HTTPRequest
from llmwire.messages import APIError, TokenCount
from llmwire.sse import Frame
from tests.dialects.responses_pair import (
    LOOSE,
    OWN,
    encoded,
    foreign,
    http,
    objects,
    read,
    reply_target,
    target,
)


def _error(status: int, body: Any, *headers: tuple[str, str]) -> APIError:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECT.decode_error(status, headers, octets)


def _openai(code: str | None = None, kind: str = "x", message: str = "no") -> Any:
    return {"error": {"message": message, "type": kind, "code": code, "param": "p"}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, _openai(), "invalid_request"),
        (400, _openai("context_length_exceeded"), "context_length"),
        (400, _openai(message="your prompt is too long: 9 tokens"), "context_length"),
        (401, _openai("invalid_api_key", "invalid_request_error"), "auth"),
        (400, {"code": "invalid-argument", "error": "Incorrect API key"}, "auth"),
        (400, _openai("Model-Not-Found"), "not_found"),
        (404, _openai(), "not_found"),
        (429, _openai("insufficient_quota"), "quota"),
        (429, _openai(), "rate_limit"),
        (429, _openai(kind="tokens"), "rate_limit"),
        (503, _openai(kind="server_error"), "overloaded"),
        (418, _openai(), "invalid_request"),
        (599, _openai(), "internal"),
        (529, {"type": "error", "error": {"type": "overloaded_error"}}, "overloaded"),
        (
            400,
            {"type": "error", "error": {"details": {"error_code": "billing_error"}}},
            "billing",
        ),
        (
            400,
            [{"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}, 1]}}],
            "auth",
        ),
        (400, {"detail": [{"msg": "Extra inputs"}]}, "invalid_request"),
        (400, {"statusCode": 401, "message": "Missing key"}, "invalid_request"),
        (200, {"base_resp": {"status_code": 1004, "status_msg": "no"}}, "internal"),
        (400, {"error": {"message": "no"}, "message": 7}, "invalid_request"),
        (502, b"<html>Bad gateway</html>", "bad_upstream"),
        (500, b"<html>Oh</html>", "bad_upstream"),
        (400, b"Invalid schema", "invalid_request"),
        (500, b"", "internal"),
        (500, b"[1, 2]", "internal"),
        (400, {"error": 5}, "invalid_request"),
    ],
)
def test_errors_are_read_by_shape(status: int, body: Any, kind: str) -> None:
    error = _error(status, body)
    assert (error.kind, error.dialect) == (kind, OWN)
    assert error.message
    assert error.status == status


def test_keys_are_cut_out_of_messages() -> None:
    for secret in ("sk-abcdef123456", "AIzaSyA1234567890", "Bearer abcdef.ghijkl"):
        error = _error(401, _openai(message=f"Bad key {secret}!"))
        assert secret not in error.message
        assert secret.encode() not in DIALECT.encode_error(error).body
    reply = DIALECT.encode_error(APIError(kind="auth", message="sk-abcdef123456"))
    assert b"abcdef" not in reply.body


def test_waiting_times_are_read_from_headers_and_details() -> None:
    assert retry_after((("retry-after-ms", "1500"), ("retry-after", "9"))) == 1.5
    assert retry_after((("retry-after", "2"),)) == 2.0
    assert retry_after((("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),)) is None
    spent = (
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    )
    assert retry_after(spent) == 360.0
    spent = (("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "3"))
    assert retry_after(spent) == 3.0
    left = (("x-ratelimit-remaining-tokens", "5"), ("x-ratelimit-reset-tokens", "1s"))
    assert retry_after(left) is None
    body = {"error": {"code": 429, "details": [{"retryDelay": "37.5s"}]}}
    assert _error(429, body).retry_after == 37.5
    assert (
        _error(429, {"error": {"details": [{"retryDelay": "x"}]}}).retry_after is None
    )
    assert _error(429, _openai(), ("retry-after", "4")).retry_after == 4.0


def test_errors_in_bodies_that_came_well() -> None:
    assert DIALECT.find_error(b"no JSON") is None
    assert DIALECT.find_error(b'{"object":"response","output":[],"error":null}') is None
    found = DIALECT.find_error(b'{"error":{"message":"no","code":503}}')
    assert found is not None and (found.message, found.status) == ("no", 503)
    found = DIALECT.find_error(b'{"type":"error","message":"oh"}')
    assert found is not None and found.message == "oh"
    failed = b'{"status":"failed","output":[],"error":{"code":"server_error"}}'
    found = DIALECT.find_error(failed)
    assert found is not None and found.kind == "internal"
    found = DIALECT.find_error(b'{"status":"failed","output":[],"error":"gone"}')
    assert found is not None and found.message == "gone"
    found = DIALECT.find_error(b'{"status":"failed","error":"\xff"}')
    assert found is not None and found.message == "the response failed"
    found = DIALECT.find_error(b'{"status":"failed","output":[],"error":null}')
    assert found is not None and found.message == "the response failed"


def test_errors_are_written_in_the_own_envelope() -> None:
    error = APIError(
        kind="rate_limit", message="slow", status=529, param="p", retry_after=1.2
    )
    reply = DIALECT.encode_error(error)
    assert reply.status == 429
    assert ("retry-after", "2") in reply.headers
    assert json.loads(reply.body) == {
        "error": {
            "message": "slow",
            "type": "rate_limit_error",
            "param": "p",
            "code": "rate_limit_exceeded",
        }
    }
    native = _error(418, _openai("teapot"))
    reply = DIALECT.encode_error(native)
    assert reply.status == 418
    assert json.loads(reply.body) == _openai("teapot")
    # Another shape is not what clients of this dialect know.
    reply = DIALECT.encode_error(_error(400, {"error": "text", "code": "x"}))
    assert json.loads(reply.body)["error"]["message"] == "text"
    odd = APIError(kind="auth", message="m", dialect=OWN, raw=Raw(b"{"))
    assert json.loads(DIALECT.encode_error(odd).body)["error"]["message"] == "m"


def test_the_own_error_frame_of_a_stream() -> None:
    error = APIError(kind="truncated", message="cut")
    (frame,) = objects(DIALECT.stream_error(error, reply_target()))
    assert (frame["type"], frame["message"]) == ("error", "cut")
    start = MessageStart("resp_9", "m", 7.0, None, OWN)
    (frame,) = objects(DIALECT.stream_error(error, reply_target(start=start)))
    assert frame["type"] == "response.failed"
    assert frame["response"]["id"] == "resp_9"
    assert frame["response"]["error"]["message"] == "cut"


def test_terminal_marks() -> None:
    def mark(data: bytes | None, event: str = "") -> bool:
        return DIALECT.terminal_mark(Frame(data, b"", event))

    assert mark(b"{}", "response.completed") and mark(b"{}", "error")
    assert not mark(b"{}", "response.output_text.delta")
    assert mark(b'{"response":{},"type":"response.incomplete"}')
    assert not mark(b'{"type":"x","delta":"response.completed"}')
    assert not mark(b'{"type":"x","delta":"response.completed\\""}')
    assert not mark(b'{"type":"x"}')
    assert not mark(b'"error"')
    assert not mark(None)


# --- paths and credentials ---------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/responses", "generate"),
        ("POST", "/openai/v1/responses/?api-version=1", "generate"),
        ("POST", "/responses", "generate"),
        ("POST", "/v1/responses/input_tokens", "count_tokens"),
        ("POST", "/v1/responses/compact", "other"),
        ("GET", "/v1/responses/resp_1", "other"),
        ("GET", "/v1/responses", "other"),
        ("GET", "/v1/models", "models"),
        ("GET", "/v1/models/vendor/name", "model"),
        ("POST", "/v1/models", None),
        ("POST", "/v1/chat/completions", None),
    ],
)
def test_routes(method: str, path: str, operation: str | None) -> None:
    route = DIALECT.route(HTTPRequest(method=method, path=path))
    assert (route.operation if route else None) == operation


def test_other_routes() -> None:
    upgrade = (("upgrade", "WebSocket"),)
    request = HTTPRequest(method="GET", path="/v1/responses", headers=upgrade)
    route = DIALECT.route(request)
    assert route is not None and (route.framing, route.stream) == ("messages", True)
    model = DIALECT.route(HTTPRequest(method="GET", path="/v1/models/a"))
    assert model is not None and model.model == "a"


def test_credentials() -> None:
    def key(*headers: tuple[str, str]) -> str | None:
        request = HTTPRequest(method="POST", path="/", headers=headers)
        return DIALECT.read_credential(request)

    assert key(("authorization", "Bearer  k")) == "k"
    assert key(("authorization", "Basic k")) is None
    assert key(("authorization", "Bearer "), ("api-key", "z")) == "z"
    assert DIALECT.write_credential("k") == (("authorization", "Bearer k"),)


# --- models and counts -------------------------------------------------------------


def test_lists_of_models() -> None:
    entry = {"id": "a", "object": "model", "created": 5, "owned_by": "o", "x": 1}
    models = DIALECT.decode_models(json.dumps({"data": [entry]}).encode())
    (first,) = models.models
    assert (first.id, first.created, first.owner) == ("a", 5, "o")
    assert json.loads(DIALECT.encode_models(models))["data"] == [entry]
    assert json.loads(DIALECT.encode_model(first)) == entry
    gemini = {"models": [{"name": "models/g", "displayName": "G", "created": True}]}
    (first,) = DIALECT.decode_models(json.dumps(gemini).encode()).models
    assert (first.id, first.name, first.created) == ("g", "G", None)
    bare = ModelList(models=(ModelInfo(id="b"),))
    assert json.loads(DIALECT.encode_models(bare))["data"] == [
        {"id": "b", "object": "model", "created": 0, "owned_by": ""}
    ]
    huge = b'{"data":[{"id":"a","created":1e300}]}'
    assert DIALECT.decode_models(huge).models[0].created is None
    for body in (b"[]", b'{"data":[{"x":1}]}', b'{"data":[1]}', b'{"data":5}'):
        with pytest.raises(RemoteProtocolError) as caught:
            DIALECT.decode_models(body)
        assert caught.value.status == 502


def test_counts() -> None:
    body = b'{"object":"response.input_tokens","input_tokens":7,"x":1}'
    count = DIALECT.decode_count(body)
    assert count.input == 7
    assert json.loads(DIALECT.encode_count(count)) == json.loads(body)
    assert json.loads(DIALECT.encode_count(TokenCount(input=3))) == {
        "object": "response.input_tokens",
        "input_tokens": 3,
    }
    with pytest.raises(RemoteProtocolError) as caught:
        DIALECT.decode_count(b"{}")
    assert caught.value.status == 502


def test_requests_to_count() -> None:
    body = {"model": "m", "input": "Hi", "truncation": "auto", "x": 1}
    request = DIALECT.decode_count_request(http(body), LOOSE)
    assert DIALECT.encode_count_request is not None
    sent = DIALECT.encode_count_request(request, target())
    assert sent.path == "/v1/responses/input_tokens"
    assert json.loads(sent.body) == body
    sent = DIALECT.encode_count_request(foreign(read({"input": "Hi"})), target())
    assert set(json.loads(sent.body)) == {"input"}


def test_the_headers_of_requests() -> None:
    request = read({"model": "m", "input": "Hi", "stream": True}, openai_beta="a, b")
    assert request.betas == ("a", "b")
    headers = dict(encoded(request)[0].http.headers)
    assert headers["openai-beta"] == "a,b"
    assert headers["accept"] == "text/event-stream"
    assert dict(encoded(read({"input": "Hi"}))[0].http.headers)["accept"] == (
        "application/json"
    )
