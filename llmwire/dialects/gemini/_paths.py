"""Paths and credentials: Gemini says in the URL which model, and whether to stream.

https://ai.google.dev/api/generate-content#v1beta.models.streamGenerateContent
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

from llmwire._json import encode
from llmwire.dialects import Operation, Route
from llmwire.http import Headers, HTTPRequest

_CALL = re.compile(
    r"/v1(?:alpha|beta)?\d*/(?P<name>[^?]+?):"
    r"(?P<verb>generateContent|streamGenerateContent|countTokens)\Z"
)
_MODEL = re.compile(r"/v1(?:alpha|beta)?\d*/(?P<name>models/[^/?]+)\Z")
_MODELS = re.compile(r"/v1(?:alpha|beta)?\d*/models/?\Z")
_COLLECTIONS: Final = ("tunedModels/", "dynamic/", "projects/", "publishers/")
"""Beginnings of resource names that stand in the URL as they are."""
_VERBS: Final[dict[str, tuple[Operation, bool | None]]] = {
    "generateContent": ("generate", False),
    "streamGenerateContent": ("generate", True),
    "countTokens": ("count_tokens", None),
}


def model_of(name: str) -> str:
    """The model that a resource name stands for."""
    return name.removeprefix("models/")


def resource(model: str) -> str:
    """The resource name of `model`."""
    if model.startswith(("models/", *_COLLECTIONS)):
        return model
    return f"models/{model}"


def call_path(model: str, verb: str) -> str:
    """The path that calls `verb` of `model`."""
    name = resource(model)
    head, slash, rest = name.partition("/")
    safe = "" if head == "models" else "/"
    return f"/v1beta/{head}{slash}{quote(rest, safe=safe + '@')}:{verb}"


def route(request: HTTPRequest) -> Route | None:
    """What the path asks for, None where it is none of Gemini's."""
    path, _, query = request.path.partition("?")
    call = _CALL.search(path)
    if call is not None:
        operation, stream = _VERBS[call["verb"]]
        sse = "sse" in (v for k, v in parse_qsl(query) if k in ("alt", "$alt"))
        return Route(
            operation=operation,
            model=model_of(unquote(call["name"])),
            stream=stream,
            framing="json-array" if stream and not sse else "sse",
        )
    if _MODELS.search(path):
        return Route(operation="models")
    model = _MODEL.search(path)
    if model is not None and (":" not in path or request.method == "GET"):
        return Route(operation="model", model=model_of(unquote(model["name"])))
    return None


def read_credential(request: HTTPRequest) -> str | None:
    """The key a client presents, in its header, as a bearer, or in the query."""
    key = request.header("x-goog-api-key")
    if key:
        return key
    scheme, _, token = (request.header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    query = request.path.partition("?")[2]
    return next((value for name, value in parse_qsl(query) if name == "key"), None)


def write_credential(key: str) -> Headers:
    """The header that presents a key."""
    return (("x-goog-api-key", key),)


def rewrite_model(body: bytes, model: str) -> bytes:
    """`body` with another model, where it names one: usually the path does alone."""
    span = _model_span(body)
    if span is None:
        return body
    start, end = span
    spelled = body[start:end]
    name = resource(model) if b"/" in spelled else model_of(model)
    return body[:start] + encode(name) + body[end:]


_NAMED = re.compile(rb'"model"[ \t\r\n]*+:')
_OPENING = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+\{")
_MEMBER = re.compile(
    rb'[ \t\r\n,]*+"((?:[^"\\]|\\.)*+)"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL
)
_VALUE = re.compile(rb'"(?:[^"\\]|\\.)*+"|[{}\[\]]|[^"{}\[\],\s]++|[,\s]++', re.DOTALL)


def _model_span(body: bytes) -> tuple[int, int] | None:
    """Where the value of the root's member `model` stands."""
    opening = _OPENING.match(body) if _NAMED.search(body) else None
    at = opening.end() if opening else len(body)
    while True:
        member = _MEMBER.match(body, at)
        end = _end_of_value(body, member.end()) if member else None
        if member is None or end is None:
            return None
        if member[1] == b"model":
            text = body.startswith(b'"', member.end())
            return (member.end(), end) if text else None
        at = end


def _end_of_value(body: bytes, start: int) -> int | None:
    depth = 0
    at = start
    while True:
        token = _VALUE.match(body, at)
        if token is None:
            return None
        first = body[at : at + 1]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
        at = token.end()
        if depth == 0:
            return at
