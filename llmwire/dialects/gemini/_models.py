"""Lists of models and counts of tokens.

https://ai.google.dev/api/models  https://ai.google.dev/api/tokens
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from llmwire._json import decode_any, decode_object, encode, level, with_member
from llmwire.dialects import ModelInfo, ModelList
from llmwire.dialects.gemini._parts_read import NAME
from llmwire.errors import RemoteProtocolError
from llmwire.messages import TokenCount


def _members(body: bytes) -> dict[str, Raw]:
    try:
        return decode_object(body)
    except RemoteProtocolError as error:
        error.status = 502
        raise


def _whole(value: Raw | None) -> int | None:
    found = decode_any(bytes(value)) if value is not None else None
    if isinstance(found, str) and found.isascii() and found.isdigit():
        return int(found[:18])
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def decode_count(body: bytes) -> TokenCount:
    """The answer to `countTokens`.

    Raises:
        RemoteProtocolError: It has no count (status 502).
    """
    members = _members(body)
    total = _whole(members.pop("totalTokens", None))
    if total is None:
        raise RemoteProtocolError("found no `totalTokens`", status=502)
    cached = _whole(members.get("cachedContentTokenCount"))
    if cached is not None:
        del members["cachedContentTokenCount"]
    return TokenCount(
        input=total, cached=cached, dialect=NAME, extras=dict(members) or None
    )


def encode_count(count: TokenCount) -> bytes:
    """A count as `countTokens` answers it."""
    members: dict[str, Any] = {"totalTokens": count.input}
    if count.cached is not None:
        members["cachedContentTokenCount"] = count.cached
    if count.dialect == NAME:
        members.update(level(count.extras))
    return encode(members)


def decode_models(body: bytes) -> ModelList:
    """The answer to `GET /v1beta/models`.

    Raises:
        RemoteProtocolError: It is no list of models (status 502).
    """
    try:
        document = decode_any(body)
    except RemoteProtocolError as error:
        error.status = 502
        raise
    models = document.get("models", []) if isinstance(document, dict) else None
    if not isinstance(models, list):
        raise RemoteProtocolError("found no list of models", status=502)
    found = tuple(_model(m) for m in models if isinstance(m, dict))
    return ModelList(models=found)


def _model(entry: dict[str, Any]) -> ModelInfo:
    def number(key: str) -> int | None:
        value = entry.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    name = entry.get("name")
    title = entry.get("displayName")
    return ModelInfo(
        id=name.removeprefix("models/") if isinstance(name, str) else "",
        name=title if isinstance(title, str) else None,
        context_window=number("inputTokenLimit"),
        max_output=number("outputTokenLimit"),
        raw=Raw(encode(entry)),
        dialect=NAME,
    )


def _entry(model: ModelInfo) -> Any:
    if model.dialect == NAME and model.raw is not None:
        if not model.id:
            return model.raw
        return with_member(model.raw, "name", f"models/{model.id}")
    entry: dict[str, Any] = {
        "name": f"models/{model.id}",
        "version": "001",
        "displayName": model.name or model.id,
    }
    if model.context_window is not None:
        entry["inputTokenLimit"] = model.context_window
    if model.max_output is not None:
        entry["outputTokenLimit"] = model.max_output
    entry["supportedGenerationMethods"] = ["generateContent", "countTokens"]
    return entry


def encode_models(models: ModelList) -> bytes:
    """A list of models as Google gives it."""
    return encode({"models": [_entry(model) for model in models.models]})


def encode_model(model: ModelInfo) -> bytes:
    """One model as `GET /v1beta/models/{id}` answers."""
    return encode(_entry(model))
