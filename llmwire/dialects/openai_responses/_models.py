"""Lists of models, counts of tokens, paths and credentials."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

from msgspec import Raw

from llmwire import _json
from llmwire.dialects import ModelInfo, ModelList, Route
from llmwire.dialects.openai_responses._content_write import Object, merge
from llmwire.dialects.openai_responses._names import NAME
from llmwire.errors import RemoteProtocolError
from llmwire.http import Headers, HTTPRequest
from llmwire.messages import TokenCount

MODELS_PATH: Final = "/v1/models"
REPLY_HEADERS: Final = (
    "openai-organization",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-*",
    "x-request-id",
    "x-should-retry",
)
_RESPONSES: Final = re.compile(r"(?:/[^?]*)?/responses(/[^?]*)?\Z")
_MODELS: Final = re.compile(r"(?:/[^?]*)?/models(?:/([^?]+))?\Z")
_MAX_INT: Final = 2**53


def route(request: HTTPRequest) -> Route | None:
    """What a client's call asks for; None: not a path of this dialect."""
    path = request.path.partition("?")[0].rstrip("/")
    found = _RESPONSES.match(path)
    if found is not None:
        return _response_route(request, found[1] or "")
    found = _MODELS.match(path)
    if found is None or request.method != "GET":
        return None
    if found[1]:
        return Route(operation="model", model=unquote(found[1]))
    return Route(operation="models")


def _response_route(request: HTTPRequest, rest: str) -> Route:
    if rest == "" and request.method == "POST":
        return Route(operation="generate")
    if rest == "" and (request.header("upgrade") or "").lower() == "websocket":
        return Route(operation="generate", stream=True, framing="messages")
    if rest == "/input_tokens" and request.method == "POST":
        return Route(operation="count_tokens")
    return Route(operation="other")


def read_credential(request: HTTPRequest) -> str | None:
    """The key a client presents."""
    scheme, _, key = (request.header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return request.header("api-key")  # as Azure's clients present it


def write_credential(key: str) -> Headers:
    """The headers that present `key`."""
    return (("authorization", f"Bearer {key}"),)


# --- models -------------------------------------------------------------------------


def decode_models(body: bytes) -> ModelList:
    """A list of models, in the shape of any vendor.

    Raises:
        RemoteProtocolError: It is none; with status 502.
    """
    try:
        members = _json.decode_object(body)
        entries = members.get("data", members.get("models", Raw(b"[]")))
        raws = _json.decode_as(list[Raw], bytes(entries), "$.data")
        models = tuple(_read_model(raw, at) for at, raw in enumerate(raws))
    except RemoteProtocolError as error:
        error.status = 502
        raise
    return ModelList(models=models)


def _read_model(raw: Raw, at: int) -> ModelInfo:
    path = f"$.data[{at}]"
    value: dict[str, Any] = _json.decode_as(dict[str, Any], bytes(raw), path)
    id = value.get("id") or value.get("name")
    if not isinstance(id, str):
        what = "Object missing required field `id`"
        raise RemoteProtocolError(what, path=path)
    owner = value.get("owned_by")
    name = value.get("display_name") or value.get("displayName")
    return ModelInfo(
        id=id.removeprefix("models/"),
        created=_integer(value.get("created")),
        owner=owner if isinstance(owner, str) else None,
        name=name if isinstance(name, str) else None,
        context_window=_integer(value.get("context_length")),
        raw=raw,
        dialect=NAME,
    )


def _integer(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if abs(value) < _MAX_INT else None


def encode_models(models: ModelList) -> bytes:
    """A list of models."""
    entries = [_entry(model) for model in models.models]
    return _json.encode({"object": "list", "data": entries})


def encode_model(model: ModelInfo) -> bytes:
    """One model."""
    return _json.encode(_entry(model))


def _entry(model: ModelInfo) -> Object | Raw | dict[str, Raw]:
    if model.dialect == NAME and model.raw is not None:
        return _json.with_member(model.raw, "id", model.id)
    return {
        "id": model.id,
        "object": "model",
        "created": model.created or 0,
        "owned_by": model.owner or "",
    }


# --- counts -------------------------------------------------------------------------


def decode_count(body: bytes) -> TokenCount:
    """A count of tokens.

    Raises:
        RemoteProtocolError: It is none; with status 502.
    """
    try:
        members = _json.decode_object(body)
        raw = members.pop("input_tokens", Raw(b"null"))
        count = _json.decode_as(int, bytes(raw), "$.input_tokens")
    except RemoteProtocolError as error:
        error.status = 502
        raise
    members.pop("object", None)
    extras = {_json.escaped(name): value for name, value in members.items()}
    return TokenCount(input=count, dialect=NAME, extras=extras or None)


def encode_count(count: TokenCount) -> bytes:
    """A count of tokens."""
    body: Object = {"object": "response.input_tokens", "input_tokens": count.input}
    if count.dialect == NAME:
        merge(body, count.extras)
    return _json.encode(body)
