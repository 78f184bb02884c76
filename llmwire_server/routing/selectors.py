"""What the name of a model says: `[backend[.instance]:]model[?parameters]`.

The name of a backend is told by the first colon, where no slash stands before it and
such a backend is configured: `openrouter:vendor/model:free` names the backend
`openrouter`, while `vendor/model:free` and `llama3:8b` are models and nothing else.
Percent-encoding is undone after the name was cut, so that `%3A` and `%3F` are a colon
and a question mark of the model itself.
"""

from __future__ import annotations

from collections.abc import Container
from urllib.parse import unquote

from msgspec import Struct

from llmwire import APIError

__all__ = ("RoutingError", "Selector", "parse_selector", "shown", "write_selector")

_SHOWN = 64
"""Characters of a client's word in an error."""


class RoutingError(Exception):
    """A call has nowhere to go.

    Args:
        error: What its client is told.
    """

    error: APIError
    """What its client is told."""

    def __init__(self, error: APIError) -> None:
        super().__init__(error.message)
        self.error = error


class Selector(Struct, frozen=True, kw_only=True):
    """The name of a model, taken apart."""

    backend: str | None = None
    """None: the name names none."""
    model: str | None = None
    """None: whichever the backend usually gives."""
    query: str = ""
    """The parameters, still encoded."""


def parse_selector(text: str, known: Container[str]) -> Selector:
    """Take the name of a model apart. Never raises.

    Args:
        text: As the client sent it.
        known: The names that name a backend.
    """
    route, _, query = text.partition("?")
    name, colon, rest = route.partition(":")
    if not colon or "/" in name or (name := _plain(name)) not in known:
        return Selector(model=_plain(route) or None, query=query)
    return Selector(backend=name, model=_plain(rest) or None, query=query)


def write_selector(backend: str, model: str) -> str:
    """The name under which a client selects `model` of `backend`."""
    if "%" in model or "?" in model:
        model = model.replace("%", "%25").replace("?", "%3F")
    return f"{backend}:{model}"


def shown(name: str) -> str:
    """What a client sent, as an error or a log line may show it."""
    return ascii(name if len(name) <= _SHOWN else name[: _SHOWN - 3] + "...")


def _plain(text: str) -> str:
    return unquote(text) if "%" in text else text
