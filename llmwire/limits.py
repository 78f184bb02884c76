"""How much a peer may send: one frozen record of numbers, given as an argument.

Knows nothing of what is counted. Every codec takes a `Limits` and raises
`LimitExceeded` (requests, bodies) or ends in a `StreamError` (streams) beyond it.
"""

from __future__ import annotations

from collections.abc import Container, Sized
from typing import Final, Protocol

from msgspec import Struct

__all__ = ("Limits",)


class Limits(Struct, frozen=True, kw_only=True):
    """Upper bounds for one exchange; each is an allowance, not a reservation."""

    body: int = 64 * 1024 * 1024
    """Bytes of a whole request or response body."""
    frame: int = 16 * 1024 * 1024
    """Bytes of one server-sent event, or of one object of a JSON-array stream."""
    arguments: int = 8 * 1024 * 1024
    """Characters held for the arguments of the calls of one message."""
    nesting: int = 512
    """Levels of arrays and objects inside one JSON document."""
    parts: int = 100_000
    """Parts of one message, and parts of one streamed response."""
    messages: int = 100_000
    """Messages of one request."""


_AHEAD: Final = 16
"""How many places of a list a peer may leave out."""


class _Numbers(Container[object], Sized, Protocol):
    """Numbers that are known."""


def near(at: int, known: _Numbers) -> int:
    """Place `at` of a list; one that is not `known` is at most a little beyond them.

    Lists are as long as the highest place in them, and a peer may name any.
    """
    return at if at in known else max(0, min(at, len(known) + _AHEAD))
