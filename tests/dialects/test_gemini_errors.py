"""Gemini's errors, model lists, token counts, paths and keys."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from llmwire.dialects import ModelInfo, ModelList, Route
from llmwire.errors import RemoteProtocolError
from llmwire.http import HTTPRequest
from llmwire.messages import APIError, TokenCount
from llmwire.strategies import errors
from tests.dialects.gemini_pair import GEMINI


def _decoded(status: int, body: Any, *headers: tuple[str, str]) -> APIError:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return GEMINI.decode_error(status, headers, octets)


def _google(code: int, status: str, message: str = "m", **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, **more}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, _google(400, "INVALID_ARGUMENT"), "invalid_request"),
        (400, [_google(400, "INVALID_ARGUMENT")], "invalid_request"),
        (
            400,
            _google(400, "INVALID_ARGUMENT", details=[{"reason": "API_KEY_INVALID"}]),
            "auth",
        ),
        (
            400,
            _google(
                400, "INVALID_ARGUMENT", "The input token count (9) exceeds the max"
            ),
            "context_length",
        ),
        (400, _google(400, "FAILED_PRECONDITION"), "invalid_request"),
        (400, _google(400, "FAILED_PRECONDITION", "enable billing"), "billing"),
        (401, _google(401, "UNAUTHENTICATED"), "auth"),
        (403, _google(403, "PERMISSION_DENIED", details=5), "permission"),
        (404, _google(404, "NOT_FOUND"), "not_found"),
        (413, _google(413, "INVALID_ARGUMENT"), "too_large"),
        (429, _google(429, "RESOURCE_EXHAUSTED"), "rate_limit"),
        (500, _google(500, "INTERNAL"), "internal"),
        (503, _google(503, "UNAVAILABLE"), "overloaded"),
        (504, _google(504, "DEADLINE_EXCEEDED"), "timeout"),
        (599, _google(599, "NEWEST"), "internal"),
        (418, _google(418, "NEWEST"), "bad_upstream"),
        (418, {"error": {"type": "invalid_request_error"}}, "invalid_request"),
        (401, {"error": {"code": "invalid_api_key", "message": "m"}}, "auth"),
        (529, {"type": "error", "error": {"type": "overloaded_error"}}, "overloaded"),
        (404, {"error": "model not found"}, "not_found"),
        (422, {"detail": "no"}, "invalid_request"),
        (502, b"<html>bad gateway</html>", "bad_upstream"),
        (500, b"", "internal"),
        (200, b"odd", "bad_upstream"),
        (500, [], "internal"),
        (500, {"a": 1}, "internal"),
    ],
)
def test_kinds(status: int, body: Any, kind: str) -> None:
    error = _decoded(status, body)
    assert error.kind == kind
    assert error.status == status
    assert error.message


def test_fields() -> None:
    error = _decoded(400, {"error": {"message": "m", "code": "c", "param": "p"}})
    assert (error.code, error.param) == ("c", "p")
    assert _decoded(400, {"error": {"message": 5, "param": 5}}).param is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((("retry-after", "7"),), 7.0),
        ((("retry-after-ms", "1500"), ("retry-after", "9")), 1.5),
        ((("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),), None),
        ((("x-ratelimit-reset-requests", "1m30s"),), 90.0),
        ((("x-ratelimit-reset-requests", "soon"),), None),
        ((), None),
    ],
)
def test_retry_after_in_headers(headers: Any, seconds: float | None) -> None:
    body = _google(429, "RESOURCE_EXHAUSTED")
    assert _decoded(429, body, *headers).retry_after == seconds


def test_retry_after_in_details() -> None:
    details = [{"retryDelay": 5}, 7, {"retryDelay": "34.4s"}]
    error = _decoded(429, _google(429, "RESOURCE_EXHAUSTED", details=details))
    assert error.retry_after == 34.4
    reply = GEMINI.encode_error(
        APIError(kind="rate_limit", message="m", retry_after=1.2)
    )
    assert ("retry-after", "2") in reply.headers
    assert json.loads(reply.body)["error"]["details"][0]["retryDelay"] == "2s"


def test_keys_are_redacted() -> None:
    body = _google(400, "INVALID_ARGUMENT", "bad key AIzaSyA1234567890 sk-abcdefghijk")
    error = _decoded(400, body)
    assert "AIza" not in error.message and "sk-" not in error.message
    assert b"AIza" not in GEMINI.encode_error(error).body


@given(errors())
def test_written_errors_are_read_as_what_they_are(error: APIError) -> None:
    reply = GEMINI.encode_error(error)
    again = _decoded(reply.status, reply.body, *reply.headers)
    assert 400 <= reply.status < 600
    assert again.status == reply.status
    assert GEMINI.encode_error(again).body == reply.body


def test_own_envelopes_go_back_as_they_came() -> None:
    body = _google(429, "RESOURCE_EXHAUSTED", details=[{"x": 1}])
    reply = GEMINI.encode_error(_decoded(429, body))
    assert reply.status == 429
    assert json.loads(reply.body) == body
    odd = APIError(kind="auth", message="m", dialect="gemini", raw=Raw(b"[]"))
    assert json.loads(GEMINI.encode_error(odd).body)["error"]["code"] == 401
    ok = APIError(kind="auth", message="m", dialect="gemini", status=200)
    assert GEMINI.encode_error(ok).status == 401


def test_errors_inside_a_good_status() -> None:
    found = GEMINI.find_error(json.dumps([_google(503, "UNAVAILABLE")]).encode())
    assert found is not None and found.kind == "overloaded" and found.status == 503
    bare = GEMINI.find_error(b'{"error": {"message": "m"}}')
    assert bare is not None and bare.kind == "bad_upstream"
    assert GEMINI.find_error(b'{"candidates": [], "error": {"message": "m"}}') is None
    assert GEMINI.find_error(b'{"error": 5}') is None
    assert GEMINI.find_error(b'"error"') is None
    assert GEMINI.find_error(b"{}") is None


# --- counts and models -------------------------------------------------------------


def test_counts() -> None:
    body = {
        "totalTokens": "12",
        "cachedContentTokenCount": 3,
        "promptTokensDetails": [],
    }
    count = GEMINI.decode_count(json.dumps(body).encode())
    assert (count.input, count.cached) == (12, 3)
    written = json.loads(GEMINI.encode_count(count))
    assert written == {**body, "totalTokens": 12}
    assert GEMINI.decode_count(b'{"totalTokens": 2}').cached is None
    plain = json.loads(GEMINI.encode_count(TokenCount(input=4)))
    assert plain == {"totalTokens": 4}


@pytest.mark.parametrize("body", [b"", b"5", b"{}", b'{"totalTokens": true}'])
def test_no_counts(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        GEMINI.decode_count(body)
    assert caught.value.status == 502


def test_models() -> None:
    entry = {
        "name": "models/gemini-3-pro",
        "displayName": "Gemini 3",
        "inputTokenLimit": 1000,
        "outputTokenLimit": True,
        "topK": 64,
    }
    odd = {"name": 5, "displayName": 5}
    found = GEMINI.decode_models(json.dumps({"models": [entry, odd, 7]}).encode())
    model = found.models[0]
    assert (model.id, model.name, model.context_window) == (
        "gemini-3-pro",
        "Gemini 3",
        1000,
    )
    assert model.max_output is None
    assert json.loads(GEMINI.encode_models(found)) == {"models": [entry, odd]}
    foreign = ModelInfo(id="gpt", context_window=9, max_output=4)
    assert json.loads(GEMINI.encode_model(foreign)) == {
        "name": "models/gpt",
        "version": "001",
        "displayName": "gpt",
        "inputTokenLimit": 9,
        "outputTokenLimit": 4,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    plain = ModelList(models=(ModelInfo(id="x", name="X"),))
    assert json.loads(GEMINI.encode_models(plain))["models"][0]["displayName"] == "X"


@pytest.mark.parametrize("body", [b"", b"5", b'{"models": 5}'])
def test_no_models(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        GEMINI.decode_models(body)
    assert caught.value.status == 502


# --- paths -------------------------------------------------------------------------


def _route(path: str) -> Route | None:
    return GEMINI.route(HTTPRequest(method="POST", path=path))


def test_routes() -> None:
    route = _route("/v1beta/models/gemini-3:generateContent?key=x")
    assert route == Route(operation="generate", model="gemini-3", stream=False)
    route = _route("/v1/models/gemini-3:streamGenerateContent?alt=sse")
    assert route == Route(operation="generate", model="gemini-3", stream=True)
    route = _route("/v1beta/models/gemini-3:streamGenerateContent")
    assert route is not None and route.framing == "json-array"
    route = _route("/v1beta/tunedModels/mine:countTokens")
    assert route == Route(operation="count_tokens", model="tunedModels/mine")
    assert _route("/v1beta/models?pageSize=5") == Route(operation="models")
    assert _route("/v1beta/models/gemini-3") == Route(
        operation="model", model="gemini-3"
    )
    assert _route("/v1/chat/completions") is None


def _key(path: str, *headers: tuple[str, str]) -> str | None:
    request = HTTPRequest(method="POST", path=path, headers=headers)
    return GEMINI.read_credential(request)


def test_keys() -> None:
    assert _key("/", ("x-goog-api-key", "k")) == "k"
    assert _key("/", ("authorization", "Bearer  t ")) == "t"
    assert _key("/", ("authorization", "Basic t")) is None
    assert _key("/?key=q") == "q"
    assert _key("/") is None
    assert GEMINI.write_credential("k") == (("x-goog-api-key", "k"),)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"contents": []}', b'{"contents": []}'),
        (b'{"model": "models/a", "x": 1}', b'{"model": "models/b", "x": 1}'),
        (b'{"x": [{"model": 1}], "model":"a"}', b'{"x": [{"model": 1}], "model":"b"}'),
        (b'{"x": "model", "y": "\\"model\\""}', b'{"x": "model", "y": "\\"model\\""}'),
        (b'{"model": 5}', b'{"model": 5}'),
        (b'["model"]', b'["model"]'),
        (b'{"a": {"model": "a"', b'{"a": {"model": "a"'),
        (b'{"a" "model"', b'{"a" "model"'),
    ],
)
def test_another_model(body: bytes, expected: bytes) -> None:
    assert GEMINI.rewrite_model(body, "b") == expected


@given(st.binary(max_size=40))
def test_another_model_of_anything(body: bytes) -> None:
    GEMINI.rewrite_model(b'{"model"' + body, "b")
