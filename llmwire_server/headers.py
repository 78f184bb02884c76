"""Which headers pass, in either direction; pure.

Both ways by allow-list. What a codec needs it reads and writes itself, betas of its
dialect among it; here is what passes beside. What is on no list stays here, and some
headers never pass, whatever the configuration says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from llmwire.http import Head, Headers
from llmwire_server.config.tree import HeaderRules
from llmwire_server.keys import CREDENTIAL_HEADERS

__all__ = (
    "NEVER_DOWN",
    "NEVER_UP",
    "for_client",
    "for_upstream",
    "sane_request_id",
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
_TO_CLIENTS: Final = frozenset({"retry-after", "retry-after-ms", "x-should-retry"})
_TO_CLIENTS_BEGIN: Final = (
    "anthropic-priority-",
    "anthropic-ratelimit-",
    "ratelimit",
    "x-ratelimit-",
)
"""What servers of every dialect tell of their limits; clients of each may see it."""

_SANE_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}\Z")


@lru_cache(maxsize=64)
def _compiled(names: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Names, and beginnings of names, of a rule."""
    lower = [name.strip().lower() for name in names]
    exact = frozenset(name for name in lower if not name.endswith("*"))
    return exact, tuple(name[:-1] for name in lower if name.endswith("*"))


def for_upstream(
    client_dialect: str, upstream_dialect: str, headers: Headers, rules: HeaderRules
) -> Headers:
    """Those of a client's headers that are sent on, beside what the codecs write.

    Args:
        client_dialect: Of the client.
        upstream_dialect: Of the server.
        headers: The client's; names in lower case.
        rules: What passes besides.
    """
    same = _NOTHING
    if client_dialect == upstream_dialect:
        same = _SAME_DIALECT.get(client_dialect, _NOTHING)
    if not same and not rules.request:
        return ()
    exact, beginnings = _compiled(rules.request)
    return tuple(
        (name, value)
        for name, value in headers
        if (name in same or name in exact or name.startswith(beginnings))
        and name not in NEVER_UP
        and not name.startswith(_NEVER_UP_BEGIN)
    )


def for_client(headers: Headers, rules: HeaderRules) -> Headers:
    """Those of an upstream's headers that clients of every dialect may see: its rate
    limits, how long to wait, and what the configuration names.

    Args:
        headers: The upstream's; names in lower case.
        rules: What passes besides.
    """
    exact, beginnings = _compiled(rules.response)
    return tuple(
        (name, value)
        for name, value in headers
        if (
            name in _TO_CLIENTS
            or name.startswith(_TO_CLIENTS_BEGIN)
            or name in exact
            or name.startswith(beginnings)
        )
        and name not in NEVER_DOWN
        and not name.startswith(_NEVER_DOWN_BEGIN)
    )


def with_headers(head: Head, more: Iterable[tuple[str, str]]) -> Head:
    """`head` with those of `more` that it does not have yet."""
    known = {name for name, _ in head.headers}
    new = tuple(pair for pair in more if pair[0] not in known)
    return Head(head.status, head.headers + new) if new else head


def sane_request_id(value: bytes) -> str | None:
    """A client's `x-request-id`, where it is taken for the call's own: 1 to 128 visible
    ASCII characters; None where it is not."""
    return value.decode("ascii") if _SANE_ID.match(value) else None
