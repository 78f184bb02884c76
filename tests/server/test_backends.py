"""Tests of `llmwire_server.backends`: URLs, keys, and who gets which."""

from __future__ import annotations

import pytest

from llmwire import HTTPRequest
from llmwire_server.backends import (
    BUILT_IN,
    SIMULATOR,
    Address,
    Backend,
    Secret,
    SecretText,
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
    assert parse_base_url("http://[::1]:1/") == ("http", "::1", 1, "/")
    assert parse_base_url("http://h//").path == "/"


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
        ("openai-chat", "/", "/v1/chat/completions", "/chat/completions"),
        ("anthropic", "/", "/v1/messages", "/v1/messages"),
        ("gemini", "/", "/v1beta/models/m:x", "/v1beta/models/m:x"),
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


# --- Servers of all kinds, by configuration alone -----------------------------------

HTTP = HTTPRequest(
    method="POST",
    path="/v1/chat/completions",
    headers=(("content-type", "application/json"), ("x-title", "of the codec")),
    body=b"{}",
)


def test_a_server_without_a_version() -> None:
    backend = Backend(
        name="copilot",
        dialect="openai-chat",
        base_url="https://api.githubcopilot.com/",
        api_key=Secret("gho_1"),
        headers={"Editor-Version": SecretText("vscode/1.99")},
    )
    request = upstream_request(backend, HTTP)
    assert (request.host, request.target) == (
        "api.githubcopilot.com",
        "/chat/completions",
    )
    assert request.headers[-2:] == (
        ("authorization", "Bearer gho_1"),
        ("editor-version", "vscode/1.99"),
    )


@pytest.mark.parametrize(
    ("dialect", "url", "path", "target"),
    [
        (
            "openai-chat",
            "https://api.z.ai/api/paas/v4",
            "/v1/chat/completions",
            "/api/paas/v4/chat/completions",
        ),
        (
            "anthropic",
            "https://api.deepseek.com/anthropic",
            "/v1/messages/count_tokens",
            "/anthropic/v1/messages/count_tokens",
        ),
        (
            "openai-responses",
            "https://r.openai.azure.com/openai/v1/",
            "/v1/responses",
            "/openai/v1/responses",
        ),
    ],
)
def test_a_server_behind_a_prefix(
    dialect: str, url: str, path: str, target: str
) -> None:
    backend = Backend(name="b", dialect=dialect, base_url=url)
    http = HTTPRequest(method="POST", path=path)
    assert upstream_request(backend, http).target == target


def test_azures_deployments() -> None:
    backend = Backend(
        name="azure",
        dialect="openai-chat",
        base_url="https://r.openai.azure.com/openai/deployments/gpt-4o",
        headers={"api-key": SecretText("azure-secret")},
        query={"api-version": SecretText("2024-10-21 x&y")},
        profile="azure",
    )
    request = upstream_request(backend, HTTP)
    assert request.target == (
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21+x%26y"
    )
    assert ("api-key", "azure-secret") in request.headers
    assert "authorization" not in dict(request.headers)
    assert "secret" not in repr(backend) + repr(request)


def test_a_query_joins_the_one_that_is_there() -> None:
    backend = Backend(
        name="g",
        dialect="gemini",
        base_url="http://h",
        query={"k": SecretText("v"), "l": SecretText("w")},
    )
    http = HTTPRequest(method="POST", path="/v1beta/models/m:x?alt=sse")
    target = upstream_request(backend, http).target
    assert target == "/v1beta/models/m:x?alt=sse&k=v&l=w"


def test_headers_of_the_configuration_go_before_all_others() -> None:
    backend = Backend(
        name="b",
        dialect="openai-chat",
        base_url="http://h/v1",
        api_key=Secret("key"),
        headers={
            "Authorization": SecretText("Basic abc"),
            "X-Title": SecretText("My App"),
        },
    )
    address = Address(backend)
    passed = (("x-title", "of the client"), ("x-team", "red"), ("content-type", "no"))
    assert address.request(HTTP, passed).headers == (
        ("content-type", "application/json"),
        ("x-team", "red"),
        ("authorization", "Basic abc"),
        ("x-title", "My App"),
    )
    assert address.secret_headers == {"authorization", "x-title"}


def test_without_headers_of_its_own_a_backend_adds_none() -> None:
    backend = Backend(name="b", dialect="openai-chat", base_url="http://h/v1")
    assert Address(backend).request(HTTP).headers is HTTP.headers
    passed = (("x-team", "red"),)
    assert Address(backend).request(HTTP, passed).headers == (*HTTP.headers, *passed)


def test_the_simulator_is_asked_as_its_clients_ask() -> None:
    backend = Backend(name=SIMULATOR, dialect="openai-chat")
    request = Address(backend).request(HTTP)
    assert (request.scheme, request.host, request.port) == ("http", SIMULATOR, 80)
    assert request.target == HTTP.path


def test_a_backend_without_a_url_is_none() -> None:
    with pytest.raises(ValueError, match="expected a URL"):
        Address(Backend(name="b", dialect="openai-chat"))


def test_texts_may_hold_spaces() -> None:
    text = SecretText(" My App ")
    assert text.reveal() == "My App"
    assert repr(text) == "SecretText(…)"
    for wrong in ("", "a\nb", "clé", "a\tb"):
        with pytest.raises(ValueError, match="printable ASCII") as raised:
            SecretText(wrong)
        assert not wrong or wrong not in str(raised.value)
