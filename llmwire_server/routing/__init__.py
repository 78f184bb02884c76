"""Who is spoken to: pure functions of a call's path, headers and model.

`backend:model` names both. A bare model goes to the backend that lists it, else to the
default backend, under the default's model where the configuration names one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from llmwire import HTTPRequest
from llmwire.dialects import Dialect, Operation, Route, dialects, get
from llmwire_server.backends import SIMULATOR, Backend

__all__ = ("Selection", "select", "spoken_by", "spoken_dialect")

_RANK: Final[dict[Operation, int]] = {
    "generate": 0,
    "count_tokens": 0,
    "models": 1,
    "model": 1,
    "other": 2,
}
"""Paths that say more go before those that say less."""


class Selection(Struct, frozen=True):
    """Where a call goes."""

    backend: Backend
    model: str | None
    """Under which model, None: whichever the request names."""


def select(
    model: str | None,
    backends: Mapping[str, Backend],
    default_backend: str,
    default_model: str | None,
) -> Selection:
    """The backend for a request that asks for `model`. Never raises."""
    name, colon, rest = (model or "").partition(":")
    if colon and name in backends:
        backend = backends[name]
        usual = default_model if name == default_backend else None
        return Selection(backend, rest or usual or next(iter(backend.models), None))
    for backend in backends.values():
        if model in backend.models:
            return Selection(backend, model)
    return Selection(backends[default_backend], default_model or model)


def spoken_by(selection: Selection, dialect: str) -> str:
    """The dialect in which the selected backend is asked.

    The embedded simulator speaks all of them, so that it answers in the client's own.
    """
    backend = selection.backend
    return dialect if backend.name == SIMULATOR else backend.dialect


def spoken_dialect(http: HTTPRequest) -> tuple[Dialect, Route] | None:
    """The dialect of whoever sent `http`, and what it asks for; None: nobody's path.

    `/v1/models` is OpenAI's, unless the client shows that it is another.
    """
    shown = shown_dialect(http)
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


def shown_dialect(http: HTTPRequest) -> str | None:
    """The dialect that headers, or the version in the path, tell of."""
    path = http.path.partition("?")[0]
    if http.header("anthropic-version") is not None:
        return "anthropic"
    if path.startswith(("/v1beta", "/v1alpha")) or any(
        name.startswith("x-goog-") for name, _ in http.headers
    ):
        return "gemini"
    return None
