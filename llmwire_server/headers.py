"""Which headers pass, in either direction; pure.

Both ways by allow-list. What a codec needs it reads and writes itself, betas of its
dialect among it; here is what passes beside. What is on no list stays here, and some
headers never pass, whatever the configuration says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from typing import Final

from llmwire.http import Head, Headers
from llmwire_server.config.tree import HeaderRules
from llmwire_server.keys import CREDENTIAL_HEADERS

__all__ = (
    "NEVER_DOWN",
    "NEVER_UP",
    "Allowed",
    "sane_request_id",
    "to_client",
    "to_upstream",
    "with_headers",
)

_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""About one connection (RFC 9110, 7.6.1)."""
NEVER_UP: Final = (
    CREDENTIAL_HEADERS
    | _HOP_BY_HOP
    | {
        "accept-encoding",
        "expect",
        "forwarded",
        "host",
        "origin",
        "referer",
        "true-client-ip",
        "via",
        "x-real-ip",
        "x-request-id",
    }
)
"""Headers of clients that no upstream sees: who they are, where they come from, and
what the two connections do not share."""
_NEVER_UP_BEGIN: Final = (
    "access-control-",
    "cf-",
    "content-",
    "proxy-",
    "sec-",
    "x-forwarded-",
    "x-llmwire-",
)
NEVER_DOWN: Final = (
    CREDENTIAL_HEADERS
    | _HOP_BY_HOP
    | {
        "alt-svc",
        "clear-site-data",
        "date",
        "set-cookie",
        "set-cookie2",
        "strict-transport-security",
        "vary",
        "www-authenticate",
        "x-request-id",
    }
)
"""Headers of upstreams that no client sees: they are about another origin."""
_NEVER_DOWN_BEGIN: Final = ("access-control-", "content-", "proxy-", "x-llmwire-")

_NOTHING: Final[frozenset[str]] = frozenset()
_SAME_DIALECT: Final[Mapping[str, frozenset[str]]] = {
    "openai-chat": frozenset({"openai-beta"}),
}
"""Betas for servers of the client's own dialect whose codec does not write them."""
_TO_CLIENTS: Final = (
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "anthropic-priority-*",
    "anthropic-ratelimit-*",
    "ratelimit*",
    "x-ratelimit-*",
)
"""What servers of every dialect tell of their limits; clients of each may see it."""

_SANE_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}\Z")


class Allowed:
    """Which headers pass: names, and beginnings of names, but for those that never do.

    Args:
        names: That pass; an ending `*` stands for any ending.
        never: Names that do not pass.
        never_begin: Beginnings of names that do not pass.
    """

    def __init__(
        self, names: Iterable[str], never: Set[str], never_begin: tuple[str, ...]
    ) -> None:
        lower = [name.strip().lower() for name in names]
        self._exact = frozenset(name for name in lower if not name.endswith("*"))
        self._beginnings = tuple(name[:-1] for name in lower if name.endswith("*"))
        self._never = never
        self._never_begin = never_begin

    def of(self, headers: Headers) -> Headers:
        """Those that pass.

        Args:
            headers: Names in lower case.
        """
        exact, beginnings = self._exact, self._beginnings
        wanted = [
            field
            for field in headers
            if field[0] in exact or field[0].startswith(beginnings)
        ]
        if not wanted:
            return ()
        never, begin = self._never, self._never_begin
        return tuple(
            [
                field
                for field in wanted
                if field[0] not in never and not field[0].startswith(begin)
            ]
        )


def to_upstream(
    client_dialect: str, upstream_dialect: str, rules: HeaderRules
) -> Allowed:
    """Those of a client's headers that are sent on, beside what the codecs write.

    Args:
        client_dialect: Of the client.
        upstream_dialect: Of the server.
        rules: What passes besides.
    """
    same = _NOTHING
    if client_dialect == upstream_dialect:
        same = _SAME_DIALECT.get(client_dialect, _NOTHING)
    return Allowed((*same, *rules.request), NEVER_UP, _NEVER_UP_BEGIN)


def to_client(rules: HeaderRules) -> Allowed:
    """Those of an upstream's headers that clients of every dialect may see: its rate
    limits, how long to wait, and what the configuration names.

    Args:
        rules: What passes besides.
    """
    return Allowed((*_TO_CLIENTS, *rules.response), NEVER_DOWN, _NEVER_DOWN_BEGIN)


def with_headers(head: Head, more: Iterable[tuple[str, str]]) -> Head:
    """`head` with those of `more` that it does not have yet."""
    known = {name for name, _ in head.headers}
    new = tuple(pair for pair in more if pair[0] not in known)
    return Head(head.status, head.headers + new) if new else head


def sane_request_id(value: bytes) -> str | None:
    """A client's `x-request-id`, where it is taken for the call's own: 1 to 128 visible
    ASCII characters; None where it is not."""
    return value.decode("ascii") if _SANE_ID.match(value) else None
