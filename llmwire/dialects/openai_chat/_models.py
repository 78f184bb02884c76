"""Lists of models, paths and credentials of OpenAI's HTTP interface."""

from __future__ import annotations

from typing import Any, Final, NoReturn
from urllib.parse import unquote

from msgspec import UNSET, Raw, UnsetType

from llmwire._json import Schema, Wire, encode, with_member
from llmwire.dialects import ModelInfo, ModelList, Route
from llmwire.dialects.openai_chat._request_read import decode_request
from llmwire.dialects.openai_chat._text import validated
from llmwire.dialects.openai_chat._writing import NAME
from llmwire.errors import RemoteProtocolError
from llmwire.http import Headers, HTTPRequest
from llmwire.limits import Limits
from llmwire.messages import TokenCount
from llmwire.requests import Request

MODELS_PATH: Final = "/v1/models"


class _Model(Wire):
    id: str
    created: int | float | UnsetType | None = UNSET
    owned_by: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    context_length: int | UnsetType | None = UNSET
    context_window: int | UnsetType | None = UNSET
    max_completion_tokens: int | UnsetType | None = UNSET


class _Models(Wire):
    data: list[Raw]


_GENERATE: Final = Route(operation="generate")
_MODELS: Final = Schema(_Models, tolerant=True)
_MODEL: Final = Schema(_Model, tolerant=True)


def route(http: HTTPRequest) -> Route | None:
    """What a client's call asks for; None where it is no path of this dialect."""
    path = http.path.partition("?")[0].rstrip("/")
    if path.endswith("/chat/completions"):
        return _GENERATE if http.method == "POST" else Route(operation="other")
    if path.endswith(MODELS_PATH):
        return Route(operation="models")
    _, found, model = path.partition(f"{MODELS_PATH}/")
    if found and model:
        return Route(operation="model", model=unquote(model))
    return Route(operation="other") if "/chat/completions/" in path else None


def read_credential(http: HTTPRequest) -> str | None:
    """The key a client presents: a bearer token, or Azure's `api-key`."""
    value = http.header("authorization")
    if value is not None:
        scheme, _, key = value.strip().partition(" ")
        if scheme.lower() == "bearer" and key.strip():
            return key.strip()
    return http.header("api-key") or None


def write_credential(key: str) -> Headers:
    """The header that presents a key to a server."""
    return (("authorization", f"Bearer {key}"),)


def decode_models(body: bytes) -> ModelList:
    """Read a list of models; Together gives the bare array.

    Raises:
        RemoteProtocolError: It is none (status 502).
    """
    try:
        if body.lstrip()[:1] == b"[":
            body = b'{"data":' + body + b"}"
        wires = [_read_model(raw) for raw in _MODELS.decode(validated(body)).data]
    except RemoteProtocolError as error:
        error.status = 502
        raise
    return ModelList(models=tuple(wires))


def _read_model(raw: Raw) -> ModelInfo:
    wire = _MODEL.decode(raw)
    created = _known(wire.created)
    window = _known(wire.context_length) or _known(wire.context_window)
    return ModelInfo(
        id=wire.id,
        created=None if created is None else int(created),
        owner=_known(wire.owned_by),
        name=_known(wire.name),
        context_window=window,
        max_output=_known(wire.max_completion_tokens),
        raw=raw.copy(),
        dialect=NAME,
    )


def _known(value: Any) -> Any:
    return None if isinstance(value, UnsetType) else value


def _written(model: ModelInfo) -> Any:
    if model.dialect == NAME and model.raw is not None:
        return with_member(model.raw, "id", model.id)
    return {
        "id": model.id,
        "object": "model",
        "created": model.created or 0,
        "owned_by": model.owner or "",
    }


def encode_models(models: ModelList) -> bytes:
    """Write a list of models."""
    data = [_written(model) for model in models.models]
    return encode({"object": "list", "data": data})


def encode_model(model: ModelInfo) -> bytes:
    """Write one model."""
    return encode(_written(model))


def decode_count_request(http: HTTPRequest, limits: Limits) -> Request:
    """The dialect has no request to count tokens; one to generate is read."""
    return decode_request(http, limits)


def decode_count(body: bytes) -> NoReturn:
    """The dialect cannot count.

    Raises:
        RemoteProtocolError: Always.
    """
    raise RemoteProtocolError("the dialect does not count tokens", status=502)


def encode_count(count: TokenCount) -> bytes:
    """Write a count in the words that OpenAI's other dialect has for it."""
    return encode({"object": "response.input_tokens", "input_tokens": count.input})
