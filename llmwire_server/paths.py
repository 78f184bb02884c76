"""Which call a path is: whose dialect, which operation, by which method; pure.

The paths that most calls have are one look into a table, made once. What comes out is
the path as the vendor has it, so that nothing behind knows prefixes or spellings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from llmwire.dialects import Operation

__all__ = ("Match", "allowed", "envelope", "match", "normal_path")

Method: TypeAlias = Literal["GET", "POST"]


class Match(Struct, frozen=True):
    """What a path asks for."""

    dialect: str
    operation: Operation
    method: Method
    """By which it is asked for."""
    path: str
    """As the vendor has it."""


_V1: Final = ("/v1", "")
"""Clients of OpenAI take the version as a part of the base URL, or forget it."""
_PREFIXES: Final = {
    "": ("openai-chat", "openai-responses", "anthropic"),
    "/openai": ("openai-chat", "openai-responses"),
    "/anthropic": ("anthropic",),
}
"""Base paths, and who is spoken there; Gemini has version segments of its own."""
_CALLS: Final[dict[str, tuple[tuple[str, Operation], ...]]] = {
    "openai-chat": (("/chat/completions", "generate"),),
    "openai-responses": (
        ("/responses", "generate"),
        ("/responses/input_tokens", "count_tokens"),
    ),
    "anthropic": (
        ("/messages", "generate"),
        ("/messages/count_tokens", "count_tokens"),
    ),
}
_GOOGLE: Final = re.compile(r"/v1(?:alpha|beta)\d*/models\Z")
_GOOGLE_MODEL: Final = re.compile(r"/v1(?:alpha|beta)\d*/models/[^/]+\Z")
_GOOGLE_CALL: Final = re.compile(
    r"/v1(?:(?:alpha|beta)\d*)?/[^?]+:"
    r"(?P<verb>generateContent|streamGenerateContent|countTokens)\Z"
)


def _exact() -> Iterator[tuple[str, Match]]:
    for prefix, names in _PREFIXES.items():
        for name in names:
            versions = ("/v1",) if name == "anthropic" else _V1
            for version in versions:
                for path, operation in _CALLS[name]:
                    match = Match(name, operation, "POST", f"/v1{path}")
                    yield f"{prefix}{version}{path}", match


_EXACT: Final = dict(_exact())
_MODELS: Final = {
    "/v1/models": None,
    "/models": None,
    "/openai/v1/models": "openai-chat",
    "/openai/models": "openai-chat",
    "/anthropic/v1/models": "anthropic",
}
"""Paths of lists of models, and whose list it is where the path says so."""
_ODD: Final = re.compile(r"//|/\.|%|/\Z|\A/v1/v1/|\A(?!/)")
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_PLAIN: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:"
)
"""What means the same escaped or not (RFC 3986, 6.2.2.2), and the colon, which some
clients escape before the verb."""


def normal_path(path: str) -> str | None:
    """`path` in its usual spelling, None where it climbs (`/../`) or is none.

    Slashes are not doubled and do not end it, a version that a base URL repeats is said
    once, and nothing is escaped without need.
    """
    if path in _EXACT or not _ODD.search(path):
        return path
    if not path.startswith("/"):
        return None
    if "%" in path:
        path = _ESCAPE.sub(_unescaped, path)
    pieces = [piece for piece in path.split("/") if piece]
    if "." in pieces or ".." in pieces:
        return None
    if pieces[:2] == ["v1", "v1"]:
        del pieces[0]
    return "/" + "/".join(pieces)


def _unescaped(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if character in _PLAIN else escape[0].upper()


def match(path: str, shown: str | None = None) -> Match | None:
    """What `path` asks for, None: it is not served.

    Args:
        path: In its usual spelling, without a query.
        shown: Dialect that the client's headers or its port tell of; it decides whose
            list `/v1/models` is.
    """
    found = _EXACT.get(path)
    if found is not None:
        return found
    if path in _MODELS:
        name = _MODELS[path] or shown or "openai-chat"
        return Match(name, "models", "GET", _models_path(name))
    return _google(path) or _model(path, shown)


def _google(path: str) -> Match | None:
    call = _GOOGLE_CALL.match(path)
    if call is not None:
        counting = call["verb"] == "countTokens"
        return Match("gemini", "count_tokens" if counting else "generate", "POST", path)
    if _GOOGLE.match(path):
        return Match("gemini", "models", "GET", path)
    if _GOOGLE_MODEL.match(path):
        return Match("gemini", "model", "GET", path)
    return None


def _model(path: str, shown: str | None) -> Match | None:
    """One model: its name may hold slashes, escaped or not."""
    for prefix, whose in _MODELS.items():
        if path.startswith(f"{prefix}/"):
            name = whose or shown or "openai-chat"
            model = path[len(prefix) + 1 :]
            if name == "gemini" or name == "anthropic":
                model = model.replace("/", "%2F")
            return Match(name, "model", "GET", f"{_models_path(name)}/{model}")
    return None


def _models_path(dialect: str) -> str:
    return "/v1beta/models" if dialect == "gemini" else "/v1/models"


def allowed(found: Match) -> str:
    """The header `allow` of a path."""
    return "GET, HEAD, OPTIONS" if found.method == "GET" else "OPTIONS, POST"


def envelope(path: str, shown: str | None = None) -> str:
    """The dialect in which an error about `path` is told: whose it looks like."""
    if path.startswith("/anthropic/") or "/messages" in path:
        return "anthropic"
    if "/responses" in path:
        return "openai-responses"
    if path.startswith(("/v1beta", "/v1alpha")) or "enerateContent" in path:
        return "gemini"
    return shown or "openai-chat"
