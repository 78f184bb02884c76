"""Tests of `llmwire_server.backends`: URLs, keys, and who gets which."""

from __future__ import annotations

import pytest

from llmwire import HTTPRequest
from llmwire_server.backends import (
    BUILT_IN,
    Backend,
    Secret,
    parse_base_url,
    upstream_path,
    upstream_request,
)


def test_base_urls_are_taken_apart() -> None:
    assert parse_base_url("https://h.example/a/v1/") == (
        "https",
        "h.example",
        443,
        "/a/v1",
    )
    assert parse_base_url("http://127.0.0.1:8000") == ("http", "127.0.0.1", 8000, "")
    assert parse_base_url("http://[::1]:1/").host == "::1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "ftp://secret",
        "http://",
        "http://h:secret",
        "http://h:99999",
        "http://[secret",
        "http://h?secret=1",
        "http://h#secret",
        "http://secret@h",
        "http://sécret",
        "http://h/sec ret",
    ],
)
def test_other_urls_are_refused_without_showing_them(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as raised:
        parse_base_url(url)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("dialect", "base", "path", "target"),
    [
        ("openai-chat", "/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("openai-chat", "", "/v1/chat/completions", "/v1/chat/completions"),
        ("openai-chat", "/openai", "/v1/chat/completions", "/openai/chat/completions"),
        ("openai-chat", "/x/v4", "/v1/chat/completions", "/x/v4/chat/completions"),
        ("openai-responses", "/v1", "/v1/responses", "/v1/responses"),
        ("anthropic", "", "/v1/messages", "/v1/messages"),
        ("anthropic", "/v1", "/v1/messages", "/v1/messages"),
        ("anthropic", "/proxy", "/v1/messages", "/proxy/v1/messages"),
        ("gemini", "", "/v1beta/models/m:x?alt=sse", "/v1beta/models/m:x?alt=sse"),
        ("gemini", "/v1beta", "/v1beta/models/m:x", "/v1beta/models/m:x"),
        ("gemini", "/v1", "/v1beta/models/v2/m:x", "/v1/models/v2/m:x"),
    ],
)
def test_the_version_is_said_once(
    dialect: str, base: str, path: str, target: str
) -> None:
    assert upstream_path(dialect, base, path) == target


@pytest.mark.parametrize(
    ("dialect", "name", "value"),
    [
        ("openai-chat", "authorization", "Bearer topsecret"),
        ("openai-responses", "authorization", "Bearer topsecret"),
        ("anthropic", "x-api-key", "topsecret"),
        ("gemini", "x-goog-api-key", "topsecret"),
    ],
)
def test_each_dialect_presents_a_key_in_its_way(
    dialect: str, name: str, value: str
) -> None:
    backend = Backend(
        name="b", dialect=dialect, base_url="http://h:1/v1", api_key=Secret("topsecret")
    )
    http = HTTPRequest(method="POST", path="/v1/x", headers=(("a", "b"),), body=b"{}")
    request = upstream_request(backend, http)
    assert (name, value) in request.headers
    assert ("a", "b") in request.headers
    assert (request.scheme, request.host, request.port) == ("http", "h", 1)
    assert (request.method, request.target, request.body) == ("POST", "/v1/x", b"{}")
    assert "topsecret" not in repr(request) + repr(backend)


def test_without_a_key_none_is_presented() -> None:
    backend = Backend(name="b", dialect="gemini", base_url="http://h")
    http = HTTPRequest(method="POST", path="/v1beta/x")
    assert upstream_request(backend, http).headers == ()


def test_secrets_are_values_that_show_nothing() -> None:
    secret = Secret(" topsecret\n")
    assert secret == Secret("topsecret")
    assert secret != Secret("other")
    assert secret != "topsecret"
    assert hash(secret) == hash(Secret("topsecret"))
    assert repr(secret) == str(secret) == f"{secret}" == "Secret(…)"
    assert secret.reveal() == "topsecret"


@pytest.mark.parametrize("text", ["", " ", "a b", "a\nb", "clé"])
def test_what_no_header_can_carry_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        Secret(text)


def test_built_in_backends_have_good_urls() -> None:
    for row in BUILT_IN:
        assert parse_base_url(row.base_url).scheme == "https"
