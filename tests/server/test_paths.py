"""Tests of `llmwire_server.paths`: spellings of paths, and what they ask for."""

from __future__ import annotations

import pytest

from llmwire import Exchange, HTTPRequest
from llmwire_server.paths import Match, allowed, envelope, match, normal_path

ANTHROPIC = ("anthropic", "generate", "POST", "/v1/messages")
CHAT = ("openai-chat", "generate", "POST", "/v1/chat/completions")
LIST = ("openai-chat", "models", "GET", "/v1/models")


@pytest.mark.parametrize(
    ("path", "usual"),
    [
        ("/v1/messages", "/v1/messages"),
        ("/v1/messages/", "/v1/messages"),
        ("/v1/messages///", "/v1/messages"),
        ("//v1//messages", "/v1/messages"),
        ("/v1/v1/messages", "/v1/messages"),
        ("/v1/%6Dessages", "/v1/messages"),
        ("/v1/m%65ssages%2f", "/v1/messages%2F"),
        (
            "/v1beta/models/a%2fb%3AgenerateContent",
            "/v1beta/models/a%2Fb:generateContent",
        ),
        ("/v1/models/a%zz", "/v1/models/a%zz"),
        ("/v1/models/100%", "/v1/models/100%"),
        ("/v1/models/a%00b", "/v1/models/a%00b"),
        ("/v1/models/..a", "/v1/models/..a"),
        ("/", "/"),
        ("//", "/"),
        ("/v1/../v1/messages", None),
        ("/./v1/messages", None),
        ("/v1/%2e%2E/v1/messages", None),
        ("v1/messages", None),
        ("*", None),
        ("", None),
    ],
)
def test_one_spelling_for_each_path(path: str, usual: str | None) -> None:
    assert normal_path(path) == usual
    if usual is not None:
        assert normal_path(usual) == usual


@pytest.mark.parametrize(
    ("path", "shown", "expected"),
    [
        ("/v1/chat/completions", None, CHAT),
        ("/chat/completions", None, CHAT),
        ("/openai/v1/chat/completions", None, CHAT),
        ("/openai/chat/completions", "anthropic", CHAT),
        (
            "/v1/responses",
            None,
            ("openai-responses", "generate", "POST", "/v1/responses"),
        ),
        (
            "/responses/input_tokens",
            None,
            ("openai-responses", "count_tokens", "POST", "/v1/responses/input_tokens"),
        ),
        ("/v1/messages", None, ANTHROPIC),
        ("/anthropic/v1/messages", None, ANTHROPIC),
        (
            "/anthropic/v1/messages/count_tokens",
            None,
            ("anthropic", "count_tokens", "POST", "/v1/messages/count_tokens"),
        ),
        ("/v1/models", None, LIST),
        ("/models", None, LIST),
        ("/openai/v1/models", "anthropic", LIST),
        ("/v1/models", "anthropic", ("anthropic", "models", "GET", "/v1/models")),
        ("/models", "gemini", ("gemini", "models", "GET", "/v1beta/models")),
        (
            "/anthropic/v1/models",
            None,
            ("anthropic", "models", "GET", "/v1/models"),
        ),
        ("/v1beta/models", None, ("gemini", "models", "GET", "/v1beta/models")),
        (
            "/v1beta/models/a%2Fb:countTokens",
            "anthropic",
            ("gemini", "count_tokens", "POST", "/v1beta/models/a%2Fb:countTokens"),
        ),
        (
            "/v1/models/m:streamGenerateContent",
            None,
            ("gemini", "generate", "POST", "/v1/models/m:streamGenerateContent"),
        ),
        (
            "/v1beta/tunedModels/m:generateContent",
            None,
            ("gemini", "generate", "POST", "/v1beta/tunedModels/m:generateContent"),
        ),
        (
            "/v1beta/models/claude:opus",
            None,
            ("gemini", "model", "GET", "/v1beta/models/claude:opus"),
        ),
        (
            "/v1/models/vendor/m:x",
            None,
            ("openai-chat", "model", "GET", "/v1/models/vendor/m:x"),
        ),
        (
            "/anthropic/v1/models/vendor/m",
            None,
            ("anthropic", "model", "GET", "/v1/models/vendor%2Fm"),
        ),
    ],
)
def test_what_paths_ask_for(
    path: str, shown: str | None, expected: tuple[str, str, str, str]
) -> None:
    found = match(path, shown)
    assert found is not None
    assert (found.dialect, found.operation, found.method, found.path) == expected
    # The dialect itself says the same of the path as it is given on.
    exchange = Exchange(found.dialect)
    http = HTTPRequest(method=found.method, path=found.path, body=b"{}")
    route = exchange.dialect.route(http)
    assert route is not None and route.operation == found.operation


@pytest.mark.parametrize(
    ("path", "shown", "name"),
    [
        ("/v1/models/vendor%2Fm", None, "vendor/m"),
        ("/v1/models/vendor%2Fm", "anthropic", "vendor/m"),
        ("/anthropic/v1/models/a/b%3Fc", None, "a/b?c"),
        ("/v1beta/models/vendor%2Fm", None, "vendor/m"),
        ("/models/claude:opus", None, "claude:opus"),
    ],
)
def test_names_of_models_are_read_as_they_were_meant(
    path: str, shown: str | None, name: str
) -> None:
    found = match(path, shown)
    assert found is not None
    exchange = Exchange(found.dialect)
    exchange.receive_request(HTTPRequest(method="GET", path=found.path))
    assert (exchange.operation, exchange.model) == ("model", name)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v2/messages",
        "/messages",
        "/evil/v1/messages",
        "/v1/messages/batches",
        "/v1/responses/resp_1",
        "/v1/chat/completions/x",
        "/anthropic/v1/chat/completions",
        "/openai/v1/messages",
        "/v1/embeddings",
        "/v1beta/models/m:embedContent/x",
        "/v1beta/nowhere",
        "/V1/messages",
    ],
)
def test_other_paths_are_nobodys(path: str) -> None:
    assert match(path) is None


def test_methods() -> None:
    assert allowed(Match("anthropic", "models", "GET", "/")) == "GET, HEAD, OPTIONS"
    assert allowed(Match("anthropic", "generate", "POST", "/")) == "OPTIONS, POST"


@pytest.mark.parametrize(
    ("path", "shown", "dialect"),
    [
        ("/nowhere", None, "openai-chat"),
        ("/nowhere", "anthropic", "anthropic"),
        ("/v1/messages/batches", None, "anthropic"),
        ("/anthropic/x", None, "anthropic"),
        ("/v1/responses/x", None, "openai-responses"),
        ("/v1beta/x", None, "gemini"),
        ("/x:generateContent", None, "gemini"),
    ],
)
def test_whose_error_it_is(path: str, shown: str | None, dialect: str) -> None:
    assert envelope(path, shown) == dialect
