"""Whose dialect a call is in, and in which one its backend is asked.

Knows paths and headers only as the dialects' own records read them.
"""

from __future__ import annotations

from typing import Final

from llmwire import HTTPRequest
from llmwire.dialects import Dialect, Operation, Route, dialects, get
from llmwire_server.backends import SIMULATOR, Backend

__all__ = ("spoken_by", "spoken_dialect")

_RANK: Final[dict[Operation, int]] = {
    "generate": 0,
    "count_tokens": 0,
    "models": 1,
    "model": 1,
    "other": 2,
}
"""Paths that say more go before those that say less."""


def spoken_by(backend: Backend, dialect: str) -> str:
    """The dialect in which `backend` is asked by a client of `dialect`.

    The embedded simulator speaks all of them, so that it answers in the client's own.
    """
    return dialect if backend.name == SIMULATOR else backend.dialect


def spoken_dialect(http: HTTPRequest) -> tuple[Dialect, Route] | None:
    """The dialect of whoever sent `http`, and what it asks for; None: nobody's path.

    The path is one of a vendor's own. `/v1/models` is OpenAI's, unless the headers show
    that another asks.
    """
    shown = _shown_dialect(http)
    names = dialects() if shown is None else (shown, *dialects())
    best: tuple[Dialect, Route] | None = None
    for name in names:
        dialect = get(name)
        route = dialect.route(http)
        if route is None:
            continue
        if best is None or _RANK[route.operation] < _RANK[best[1].operation]:
            best = dialect, route
        if _RANK[route.operation] == 0:
            break
    return best


def _shown_dialect(http: HTTPRequest) -> str | None:
    """The dialect that the beginning of the path, or headers, tell of."""
    if http.path.startswith(("/v1beta", "/v1alpha")):
        return "gemini"
    google = False
    for name, _ in http.headers:
        if name == "anthropic-version":
            return "anthropic"
        google = google or name.startswith("x-goog-")
    return "gemini" if google else None
