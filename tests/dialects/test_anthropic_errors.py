"""Errors, lists of models, counts, paths and credentials of Anthropic's API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from llmwire import strategies
from llmwire.dialects import ModelInfo, ModelList, Route, get
from llmwire.errors import RemoteProtocolError
from llmwire.http import Headers, HTTPRequest
from llmwire.messages import APIError, TokenCount

DIALECT = get("anthropic")


def found(body: Any, status: int = 400, headers: Headers = ()) -> APIError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECT.decode_error(status, headers, data)


def envelope(word: str, message: str = "x", **more: Any) -> Any:
    inner = {"type": word, "message": message, **more}
    return {"type": "error", "error": inner, "request_id": "req_a"}


NATIVE = (
    (400, "invalid_request_error", "invalid_request"),
    (401, "authentication_error", "auth"),
    (402, "billing_error", "billing"),
    (403, "permission_error", "permission"),
    (404, "not_found_error", "not_found"),
    (409, "conflict_error", "conflict"),
    (413, "request_too_large", "too_large"),
    (429, "rate_limit_error", "rate_limit"),
    (500, "api_error", "internal"),
    (504, "timeout_error", "timeout"),
    (529, "overloaded_error", "overloaded"),
)


@pytest.mark.parametrize(("status", "word", "kind"), NATIVE)
def test_own_errors(status: int, word: str, kind: str) -> None:
    body = envelope(word)
    error = found(body, status)
    assert (error.kind, error.message, error.status) == (kind, "x", status)
    reply = DIALECT.encode_error(error)
    assert (reply.status, json.loads(reply.body)) == (status, body)
    foreign = replace(error, dialect=None, raw=None, status=None)
    reply = DIALECT.encode_error(foreign)
    assert reply.status == status
    assert json.loads(reply.body)["error"] == {"type": word, "message": "x"}


def _limited(code: str) -> Any:
    return envelope("rate_limit_error", details={"error_code": code})


def _google(code: int, status: str) -> Any:
    return {"error": {"code": code, "message": "m", "status": status}}


OTHERS: tuple[tuple[int, Any, str], ...] = (
    (400, envelope("invalid_request_error", "prompt is too long: 9"), "context_length"),
    (
        429,
        envelope(
            "rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}
        ),
        "quota",
    ),
    (
        429,
        envelope("rate_limit_error", details={"error_code": "ramp_limit_exceeded"}),
        "rate_limit",
    ),
    (401, envelope("invalid_request_error"), "auth"),
    (422, envelope("invalid_request_error"), "invalid_request"),
    (418, envelope("x_new"), "invalid_request"),
    (599, envelope("x_new"), "internal"),
    (400, {"error": {"message": "m", "type": "t", "code": "invalid_api_key"}}, "auth"),
    (400, {"error": {"message": {"a": 1}, "code": "content_filter"}}, "content_policy"),
    (
        429,
        {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}},
        "rate_limit",
    ),
    (
        503,
        [{"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}],
        "overloaded",
    ),
    (404, {"error": "model not found"}, "not_found"),
    (403, {"message": "denied"}, "permission"),
    (
        400,
        {"__type": "com.amazon#ThrottlingException", "message": "slow"},
        "rate_limit",
    ),
    (400, {"Message": "m", "code": 5}, "invalid_request"),
    (422, {"detail": "bad", "type": "x"}, "invalid_request"),
    (502, b"<html>bad gateway</html>", "bad_upstream"),
    (503, b"", "overloaded"),
    (418, b"tea", "invalid_request"),
    (500, {"x": 1}, "bad_upstream"),
    (400, [], "invalid_request"),
    (413, {"type": "message"}, "too_large"),
)


@pytest.mark.parametrize(("status", "body", "kind"), OTHERS, ids=range(len(OTHERS)))
def test_errors_of_other_shapes(status: int, body: Any, kind: str) -> None:
    error = found(body, status)
    assert error.kind == kind
    assert error.status == status
    assert error.message


def test_details() -> None:
    body = {
        "error": {
            "message": "m",
            "param": "p",
            "code": 429,
            "details": [{"x": 1}, {"retryDelay": "1m2.5s"}, 5],
        }
    }
    error = found(body, 429)
    assert (error.param, error.code, error.retry_after) == ("p", "429", 62.5)
    odd = {"error": {"message": "m", "details": [{"retryDelay": "soon"}]}}
    assert found(odd, 429).retry_after is None
    coded = {"error": {"message": "m", "code": True}}
    assert found(coded, 400).code == "True"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((), None),
        ((("retry-after", "7"),), 7),
        ((("retry-after-ms", "1500"), ("retry-after", "7")), 1.5),
        ((("retry-after-ms", "x"), ("retry-after", "7")), 7),
        ((("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),), None),
        (
            (
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ),
            360,
        ),
    ],
)
def test_waiting(headers: Headers, seconds: float | None) -> None:
    for body in (b"busy", envelope("rate_limit_error")):
        error = found(body, 429, headers)
        assert error.retry_after == seconds
    reply = DIALECT.encode_error(error)
    wait = None if seconds is None else str(-int(-seconds // 1))
    assert dict(reply.headers).get("retry-after") == wait


def test_keys_are_hidden() -> None:
    secret = "Incorrect key sk-ant-api03-abcdefgh, AIzaSyA1234567890 or Bearer abc.def"
    for body in (envelope("authentication_error", secret), secret.encode()):
        error = found(body, 401)
        reply = DIALECT.encode_error(error)
        for word in ("abcdefgh", "AIza", "abc.def"):
            assert word not in error.message
            assert word.encode() not in reply.body


def test_errors_of_other_dialects() -> None:
    reply = DIALECT.encode_error(
        APIError(kind="quota", message="m", status=418, code="insufficient_quota")
    )
    assert reply.status == 429
    assert json.loads(reply.body) == {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "m",
            "details": {"error_code": "insufficient_quota"},
        },
    }


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"type":"message","content":[]}', None),
        (b'{"type":"message","content":[{"type":"text","text":"\\"error\\""}]}', None),
        (b' {"type":"error","error":{"type":"api_error","message":"m"}}', "internal"),
        (b'{"error":{"code":402,"message":"m"}}', "billing"),
        (b'{"error":{"code":7,"message":"m"}}', "internal"),
        (b'[{"error":{"message":"m"}}]', "internal"),
        (b'{"type":"error","error":"m"}', "internal"),
        (b'{"error":null,"content":[]}', None),
        (b'{"error":', None),
        (b"text", None),
        (b"", None),
    ],
)
def test_errors_inside_answers(body: bytes, kind: str | None) -> None:
    error = DIALECT.find_error(body)
    assert (error and error.kind) == kind


@given(strategies.errors())
def test_any_error_is_written_and_read(error: APIError) -> None:
    reply = DIALECT.encode_error(error)
    again = DIALECT.decode_error(reply.status, reply.headers, reply.body)
    assert reply.status >= 400
    assert DIALECT.encode_error(again).body == reply.body


@given(st.integers(300, 600), st.binary(max_size=40))
def test_any_bytes_are_an_error(status: int, body: bytes) -> None:
    assert DIALECT.decode_error(status, (), body).status == status
    DIALECT.find_error(body)


# Counts


def test_counts() -> None:
    body = b'{"input_tokens":5,"context_management":{"a":1}}'
    count = DIALECT.decode_count(body)
    assert (count.input, count.dialect) == (5, "anthropic")
    assert json.loads(DIALECT.encode_count(count)) == json.loads(body)
    other = TokenCount(input=7, dialect="gemini", extras={"x": Raw(b"1")})
    assert DIALECT.encode_count(other) == b'{"input_tokens":7}'


@pytest.mark.parametrize("body", [b"", b"{}", b'{"input_tokens":true}', b"[]"])
def test_no_counts(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        DIALECT.decode_count(body)
    assert caught.value.status == 502


# Models

ENTRY = {
    "type": "model",
    "id": "claude-x",
    "display_name": "Claude X",
    "created_at": "2026-01-02T03:04:05Z",
    "max_input_tokens": 1000,
    "max_tokens": 100,
    "x": 1,
}


def test_models() -> None:
    body = {
        "data": [ENTRY],
        "has_more": False,
        "first_id": "claude-x",
        "last_id": "claude-x",
    }
    models = DIALECT.decode_models(json.dumps(body).encode())
    info = models.models[0]
    assert (info.id, info.name, info.created) == ("claude-x", "Claude X", 1767323045)
    assert (info.context_window, info.max_output) == (1000, 100)
    assert json.loads(DIALECT.encode_models(models)) == body
    assert json.loads(DIALECT.encode_model(info)) == ENTRY


def test_models_of_other_dialects() -> None:
    info = ModelInfo(id="gpt-x", created=0, context_window=10, max_output=5)
    assert json.loads(DIALECT.encode_models(ModelList(models=(info,))))["data"] == [
        {
            "type": "model",
            "id": "gpt-x",
            "display_name": "gpt-x",
            "created_at": "1970-01-01T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": 10,
            "max_tokens": 5,
        }
    ]
    assert json.loads(DIALECT.encode_models(ModelList()))["first_id"] is None
    endless = ModelInfo(id="m", created=10**20)
    assert json.loads(DIALECT.encode_model(endless))["created_at"].startswith("1970")


@pytest.mark.parametrize(
    ("created", "seconds"),
    [
        ("2026-01-02T03:04:05", 1767323045),
        ("2026-01-02T03:04:05.5+01:00", 1767319445),
        ("2026-13-02T03:04:05Z", None),
        ("yesterday", None),
        (5, None),
    ],
)
def test_when_models_were_made(created: Any, seconds: int | None) -> None:
    entry = {**ENTRY, "created_at": created, "display_name": 5, "max_tokens": True}
    info = DIALECT.decode_models(json.dumps({"data": [entry]}).encode()).models[0]
    assert (info.created, info.name, info.max_output) == (seconds, None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data":null}',
        b'{"data":5}',
        b'{"data":[5]}',
        json.dumps(ENTRY).encode(),
    ],
)
def test_no_models(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        DIALECT.decode_models(body)
    assert caught.value.status == 502


# Paths and credentials


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/messages", Route(operation="generate")),
        ("POST", "/anthropic/v1/messages?beta=true", Route(operation="generate")),
        ("POST", "/v1/messages/count_tokens/", Route(operation="count_tokens")),
        ("GET", "/v1/models?limit=5", Route(operation="models")),
        ("GET", "/v1/models/claude-x", Route(operation="model", model="claude-x")),
        ("GET", "/v1/messages", None),
        ("POST", "/v1/models", None),
        ("POST", "/v1/chat/completions", None),
        ("DELETE", "/v1/models", None),
    ],
)
def test_routes(method: str, path: str, route: Route | None) -> None:
    assert DIALECT.route(HTTPRequest(method=method, path=path)) == route


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ((("x-api-key", "k"),), "k"),
        ((("authorization", "Bearer t"),), "t"),
        ((("authorization", "bearer t"), ("x-api-key", "k")), "t"),
        ((("authorization", "Basic t"), ("x-api-key", "k")), "k"),
        ((("authorization", "Bearer "),), None),
        ((), None),
    ],
)
def test_reading_credentials(headers: Headers, key: str | None) -> None:
    request = HTTPRequest(method="POST", path="/v1/messages", headers=headers)
    assert DIALECT.read_credential(request) == key


def test_writing_credentials() -> None:
    assert DIALECT.write_credential("k") == (("x-api-key", "k"),)
    token = "sk-ant-oat01-x"
    assert DIALECT.write_credential(token) == (("authorization", f"Bearer {token}"),)
