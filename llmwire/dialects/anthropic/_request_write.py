"""Neutral requests as HTTP requests of this dialect.

A request that was read from this dialect and goes to the vendor is written as it came
(signatures of other dialects excepted: no verifier is shown them). Every other is made
to fit first, by `_adapt`.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from llmwire._json import encode
from llmwire.dialects import Encoded, RequestTarget
from llmwire.dialects.anthropic._adapt import Adapted, adapt, drop_absent
from llmwire.dialects.anthropic._adapt_turns import without_foreign
from llmwire.dialects.anthropic._blocks_write import Members
from llmwire.dialects.anthropic._paths import COUNT, MESSAGES
from llmwire.dialects.anthropic._request_exact import write_request
from llmwire.dialects.anthropic._wire import NAME
from llmwire.http import HTTPRequest
from llmwire.requests import Request

DEFAULT_VERSION: Final = "2023-06-01"
_NOT_COUNTED: Final = (
    "max_tokens",
    "stream",
    "metadata",
    "stop_sequences",
    "service_tier",
    "temperature",
    "top_p",
    "top_k",
    "container",
)
"""Members that `/count_tokens` does not take."""


def encode_request(request: Request, target: RequestTarget) -> Encoded:
    """The request for `POST /v1/messages`.

    Raises:
        UnsupportedFeature: It cannot be said, and must not be dropped.
    """
    adapted = _settled(request, target)
    body = write_request(adapted.request, adapted.turns)
    return Encoded(
        http=_http(MESSAGES, body, adapted.request, target),
        model=adapted.request.model,
        names=adapted.names,
        custom=adapted.custom,
        json_tool=adapted.json_tool,
        stops=adapted.stops,
    )


def encode_count_request(request: Request, target: RequestTarget) -> HTTPRequest:
    """The request for `POST /v1/messages/count_tokens`.

    Raises:
        UnsupportedFeature: As `encode_request`.
    """
    adapted = _settled(request, target)
    body = write_request(adapted.request, adapted.turns)
    if not _exact(request, target):
        for name in _NOT_COUNTED:
            body.pop(name, None)
    return _http(COUNT, body, adapted.request, target)


def _exact(request: Request, target: RequestTarget) -> bool:
    """The vendor's own client to the vendor, and nothing was put in that no client
    of this dialect can say."""
    if request.dialect != NAME or target.profile.name != NAME:
        return False
    choice = request.tool_choice
    usual = choice is None or (choice.mode != "validated" and choice.kind != "allowed")
    return usual and not any(tool.kind == "custom" for tool in request.tools)


def _settled(request: Request, target: RequestTarget) -> Adapted:
    if _exact(request, target):
        model = target.model or request.model
        request = replace(request, model=model) if model != request.model else request
        drop_absent(request, target.losses)
        return Adapted(request=without_foreign(request, target))
    return adapt(request, target)


def _http(
    path: str, body: Members, request: Request, target: RequestTarget
) -> HTTPRequest:
    versions = target.profile.versions
    version = request.version or (versions[0] if versions else DEFAULT_VERSION)
    headers = [("content-type", "application/json"), ("anthropic-version", version)]
    if request.betas:
        headers.append(("anthropic-beta", ",".join(request.betas)))
    if request.stream:
        headers.append(("accept", "text/event-stream"))
    return HTTPRequest(
        method="POST", path=path, headers=tuple(headers), body=encode(body)
    )
