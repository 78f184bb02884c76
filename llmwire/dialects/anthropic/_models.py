"""Lists of models, and the answer to a request to count tokens."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Raw

from llmwire._json import (
    decode_any,
    decode_object,
    encode,
    level,
    nested,
    with_member,
)
from llmwire.dialects import ModelInfo, ModelList
from llmwire.dialects.anthropic._wire import NAME
from llmwire.errors import RemoteProtocolError
from llmwire.messages import TokenCount

_RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}")
_EPOCH: Final = "1970-01-01T00:00:00Z"


def decode_count(body: bytes) -> TokenCount:
    """The count in an answer.

    Raises:
        RemoteProtocolError: It is none (status 502).
    """
    try:
        members = decode_object(body)
        value = decode_any(bytes(members.pop("input_tokens", Raw(b"null"))))
    except RemoteProtocolError as error:
        error.status = 502
        raise
    if not isinstance(value, int) or isinstance(value, bool):
        what = "expected a number of `input_tokens`"
        raise RemoteProtocolError(what, path="$.input_tokens", status=502)
    return TokenCount(input=value, dialect=NAME, extras=nested("", members, None))


def encode_count(count: TokenCount) -> bytes:
    """The answer that tells `count`."""
    body: dict[str, object] = {"input_tokens": count.input}
    if count.dialect == NAME:
        for name, value in level(count.extras).items():
            body.setdefault(name, value)
    return encode(body)


def decode_models(body: bytes) -> ModelList:
    """The models in a list.

    Raises:
        RemoteProtocolError: It is no list of models (status 502).
    """
    try:
        members = decode_object(body)
        listed: Any = decode_any(bytes(members.pop("data", Raw(b"null"))))
    except RemoteProtocolError as error:
        error.status = 502
        raise
    if not isinstance(listed, list):
        raise RemoteProtocolError("expected a list", path="$.data", status=502)
    return ModelList(
        models=tuple(_read_model(Raw(encode(item))) for item in listed if item)
    )


def _read_model(raw: Raw) -> ModelInfo:
    entry = decode_any(bytes(raw))
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        what = "expected a model with an `id`"
        raise RemoteProtocolError(what, path="$.data", status=502)
    name = entry.get("display_name")
    return ModelInfo(
        id=entry["id"],
        created=_seconds(entry.get("created_at")),
        name=name if isinstance(name, str) else None,
        context_window=_count(entry.get("max_input_tokens")),
        max_output=_count(entry.get("max_tokens")),
        raw=raw,
        dialect=NAME,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _seconds(value: object) -> int | None:
    if not isinstance(value, str) or not _RFC3339.match(value):
        return None
    try:
        found = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        return int(found.timestamp())
    except (ValueError, OverflowError):
        return None


def _instant(seconds: int | None) -> str:
    """RFC 3339; the vendor, too, gives the epoch where it does not know."""
    try:
        found = datetime.fromtimestamp(seconds or 0, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return _EPOCH
    return found.strftime("%Y-%m-%dT%H:%M:%SZ")


def _write_model(info: ModelInfo) -> object:
    if info.dialect == NAME and info.raw is not None:
        return with_member(info.raw, "id", info.id)
    entry: dict[str, object] = {
        "type": "model",
        "id": info.id,
        "display_name": info.name or info.id,
        "created_at": _instant(info.created),
        "lifecycle": "active",
    }
    if info.context_window is not None:
        entry["max_input_tokens"] = info.context_window
    if info.max_output is not None:
        entry["max_tokens"] = info.max_output
    return entry


def encode_model(info: ModelInfo) -> bytes:
    """One model."""
    return encode(_write_model(info))


def encode_models(models: ModelList) -> bytes:
    """A whole list, on one page."""
    ids = [info.id for info in models.models]
    return encode(
        {
            "data": [_write_model(info) for info in models.models],
            "has_more": False,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
        }
    )
