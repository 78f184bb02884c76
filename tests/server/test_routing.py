"""Tests of `llmwire_server.routing`: whose call it is, and where it goes."""

from __future__ import annotations

import pytest

from llmwire import HTTPRequest
from llmwire_server.backends import SIMULATOR, Backend
from llmwire_server.routing import select, spoken_by, spoken_dialect

BACKENDS = {
    name: Backend(name=name, dialect="gemini", models=models)
    for name, models in (("a", ("m1", "m2")), ("b", ("m2", "x:y")), ("c", ()))
}


@pytest.mark.parametrize(
    ("model", "default_model", "backend", "under"),
    [
        ("b:m9", None, "b", "m9"),
        ("b:m9:8b", None, "b", "m9:8b"),
        ("m1", None, "a", "m1"),
        ("m2", "dm", "a", "m2"),
        ("x:y", None, "b", "x:y"),
        ("other", None, "c", "other"),
        ("other", "dm", "c", "dm"),
        ("no:m1", None, "c", "no:m1"),
        (None, None, "c", None),
        (None, "dm", "c", "dm"),
        ("b:", None, "b", "m2"),
        ("c:", "dm", "c", "dm"),
        ("c:", None, "c", None),
    ],
)
def test_the_model_names_the_backend(
    model: str | None, default_model: str | None, backend: str, under: str | None
) -> None:
    selection = select(model, BACKENDS, "c", default_model)
    assert (selection.backend.name, selection.model) == (backend, under)


def test_the_simulator_speaks_as_its_client() -> None:
    simulator = {SIMULATOR: Backend(name=SIMULATOR, dialect="openai-chat")}
    selection = select("m", simulator, SIMULATOR, None)
    assert spoken_by(selection, "anthropic") == "anthropic"
    assert spoken_by(select("a:m", BACKENDS, "c", None), "anthropic") == "gemini"


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
