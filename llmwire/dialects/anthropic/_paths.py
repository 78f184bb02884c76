"""Paths, credentials, and the one member that a proxy splices.

https://platform.claude.com/docs/en/api/overview
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from llmwire.dialects import Route
from llmwire.http import Headers, HTTPRequest

MESSAGES: Final = "/v1/messages"
COUNT: Final = "/v1/messages/count_tokens"
MODELS: Final = "/v1/models"
REPLY_HEADERS: Final = (
    "request-id",
    "anthropic-ratelimit-*",
    "anthropic-priority-*",
    "anthropic-organization-id",
    "anthropic-fast-*",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
)

_GENERATE: Final = Route(operation="generate")
_MODEL = re.compile(r"/v1/models/([^/]+)\Z")


def route(request: HTTPRequest) -> Route | None:
    """What a call asks for, None where the path is none of this dialect."""
    path = request.path.partition("?")[0].rstrip("/")
    if request.method == "POST":
        if path.endswith(MESSAGES):
            return _GENERATE
        if path.endswith(COUNT):
            return Route(operation="count_tokens")
        return None
    if request.method != "GET":
        return None
    if path.endswith(MODELS):
        return Route(operation="models")
    found = _MODEL.search(path)
    return Route(operation="model", model=unquote(found[1])) if found else None


def read_credential(request: HTTPRequest) -> str | None:
    """The key: of `authorization: Bearer`, else of `x-api-key`."""
    scheme, _, token = (request.header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.header("x-api-key") or None


def write_credential(key: str) -> Headers:
    """One header only: two that differ are rejected. OAuth tokens need Bearer."""
    if key.startswith("sk-ant-oat"):
        return (("authorization", f"Bearer {key}"),)
    return (("x-api-key", key),)
