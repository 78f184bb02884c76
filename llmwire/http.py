"""HTTP messages as data: what to send upstream, what to answer a client.

No socket and no URL of a host: a path is relative to the backend's base. Header names
are lower case; a representation of these records never shows a header's value.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

__all__ = ("HTTPReply", "HTTPRequest", "Head", "Headers")

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Pairs of lower-case name and value, in order."""


def _names(headers: Headers) -> str:
    return "(" + ", ".join(name for name, _ in headers) + ")"


class _Discreet(Struct, frozen=True):
    """Pretty printers, which do not ask `repr`, are shown no fields."""

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return []


class HTTPRequest(_Discreet, frozen=True, kw_only=True):
    """A request without its host."""

    method: str
    path: str
    """Path and query from the root, version segment included: `/v1/messages`."""
    headers: Headers = ()
    body: bytes = b""

    def __repr__(self) -> str:
        path = self.path.partition("?")[0]
        return (
            f"HTTPRequest({self.method} {path}, headers={_names(self.headers)}, "
            f"body={len(self.body)} bytes)"
        )

    def header(self, name: str) -> str | None:
        """The first value of header `name` (lower case), None where it is absent."""
        return next((value for key, value in self.headers if key == name), None)


class Head(_Discreet, frozen=True):
    """Status and headers of an answer."""

    status: int
    headers: Headers = ()

    def __repr__(self) -> str:
        return f"Head({self.status}, headers={_names(self.headers)})"


class HTTPReply(_Discreet, frozen=True, kw_only=True):
    """A complete answer."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def __repr__(self) -> str:
        return (
            f"HTTPReply({self.status}, headers={_names(self.headers)}, "
            f"body={len(self.body)} bytes)"
        )
