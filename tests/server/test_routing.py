"""Tests of `llmwire_server.routing.speaking`: whose call it is."""

from __future__ import annotations

import pytest

from llmwire import HTTPRequest
from llmwire_server.backends import SIMULATOR, Backend
from llmwire_server.routing import spoken_by, spoken_dialect


@pytest.mark.parametrize(
    ("name", "dialect"), [(SIMULATOR, "anthropic"), ("other", "gemini")]
)
def test_the_simulator_speaks_as_its_client(name: str, dialect: str) -> None:
    assert spoken_by(Backend(name=name, dialect="gemini"), "anthropic") == dialect


VERSION = (("anthropic-version", "2023-06-01"),)
GOOGLE = (("x-goog-api-key", "k"),)


@pytest.mark.parametrize(
    ("method", "path", "headers", "dialect", "operation"),
    [
        ("POST", "/v1/chat/completions", (), "openai-chat", "generate"),
        ("POST", "/v1/responses", (), "openai-responses", "generate"),
        ("POST", "/v1/responses/input_tokens", (), "openai-responses", "count_tokens"),
        ("POST", "/v1/messages", (), "anthropic", "generate"),
        ("POST", "/v1/messages?beta=true", VERSION, "anthropic", "generate"),
        ("POST", "/v1/messages/count_tokens", (), "anthropic", "count_tokens"),
        ("POST", "/v1beta/models/m:generateContent", (), "gemini", "generate"),
        ("POST", "/v1/models/m:generateContent", (), "gemini", "generate"),
        ("POST", "/v1beta/models/m:streamGenerateContent", (), "gemini", "generate"),
        ("POST", "/v1beta/models/m:countTokens", (), "gemini", "count_tokens"),
        ("GET", "/v1/models", (), "openai-chat", "models"),
        ("GET", "/v1/models", VERSION, "anthropic", "models"),
        ("GET", "/v1/models", GOOGLE, "gemini", "models"),
        ("GET", "/v1beta/models", (), "gemini", "models"),
        ("GET", "/models", (), "openai-responses", "models"),
        ("GET", "/v1/models/m", (), "openai-chat", "model"),
        ("GET", "/v1/models/m", VERSION, "anthropic", "model"),
        ("GET", "/v1beta/models/m", (), "gemini", "model"),
        ("GET", "/v1/responses/resp_1", (), "openai-responses", "other"),
    ],
)
def test_paths_and_headers_tell_who_speaks(
    method: str,
    path: str,
    headers: tuple[tuple[str, str], ...],
    dialect: str,
    operation: str,
) -> None:
    spoken = spoken_dialect(HTTPRequest(method=method, path=path, headers=headers))
    assert spoken is not None
    assert (spoken[0].name, spoken[1].operation) == (dialect, operation)


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/embeddings", "/health"])
def test_other_paths_are_nobodys(path: str) -> None:
    assert spoken_dialect(HTTPRequest(method="POST", path=path)) is None


@pytest.mark.parametrize(
    ("path", "headers", "dialect"),
    [
        ("/v1beta/models", VERSION, "gemini"),
        ("/v1/models", (*GOOGLE, *VERSION), "anthropic"),
        ("/v1/models", (*GOOGLE, ("accept", "*/*")), "gemini"),
        ("/v1/models", (("accept", "*/*"),), "openai-chat"),
    ],
)
def test_some_signs_say_more_than_others(
    path: str, headers: tuple[tuple[str, str], ...], dialect: str
) -> None:
    spoken = spoken_dialect(HTTPRequest(method="GET", path=path, headers=headers))
    assert spoken is not None
    assert spoken[0].name == dialect
