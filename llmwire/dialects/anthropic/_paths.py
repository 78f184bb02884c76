"""Paths, credentials, and the one member that a proxy splices.

https://platform.claude.com/docs/en/api/overview
"""

from __future__ import annotations

import re
from typing import Final

from llmwire._json import decode_object, encode
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

_MODEL = re.compile(r"/v1/models/([^/]+)\Z")
_MEMBER = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*')
_VALUE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[^,}\s]+', re.DOTALL)
_MARKS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', re.DOTALL)


def route(request: HTTPRequest) -> Route | None:
    """What a call asks for, None where the path is none of this dialect."""
    path = request.path.partition("?")[0].rstrip("/")
    if request.method == "POST":
        if path.endswith(MESSAGES):
            return Route(operation="generate")
        if path.endswith(COUNT):
            return Route(operation="count_tokens")
        return None
    if request.method != "GET":
        return None
    if path.endswith(MODELS):
        return Route(operation="models")
    found = _MODEL.search(path)
    return Route(operation="model", model=found[1]) if found else None


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


def rewrite_model(body: bytes, model: str) -> bytes:
    """`body` with another model: a splice at its first level.

    Raises:
        RemoteProtocolError: The body is no JSON object.
    """
    members = decode_object(body)
    written = encode(model)
    if "model" not in members:
        at = body.index(b"{") + 1
        comma = b"," if members else b""
        return body[:at] + b'"model":' + written + comma + body[at:]
    pieces: list[bytes] = []
    done = depth = seen = 0
    for found in _MEMBER.finditer(body):
        depth += _depth(body, seen, found.start())
        seen = found.start()
        value = _VALUE.match(body, found.end())
        if depth == 1 and value is not None:
            pieces += (body[done : found.end()], written)
            done = value.end()
    return b"".join((*pieces, body[done:]))


def _depth(body: bytes, start: int, end: int) -> int:
    """How many more arrays and objects are open at `end` than at `start`."""
    depth = 0
    for mark in _MARKS.finditer(body, start, end):
        first = mark[0][:1]
        if first in b"[{":
            depth += 1
        elif first in b"]}":
            depth -= 1
    return depth
