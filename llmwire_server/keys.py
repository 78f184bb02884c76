"""Client keys: which one is presented, whether it is one of ours, who needs none.

Pure. Keys are held as digests only; nothing here shows one.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus, urlsplit

from llmwire_server.backends import Secret

__all__ = (
    "CREDENTIAL_HEADERS",
    "ClientKeys",
    "is_local",
    "is_loopback",
    "is_own_page",
    "presented_key",
    "take_key",
)

KEY_HEADERS: Final = frozenset({"x-api-key", "x-goog-api-key"})
"""Headers that hold a key and nothing else."""
CREDENTIAL_HEADERS: Final = KEY_HEADERS | {
    "api-key",
    "authorization",
    "cookie",
    "cookie2",
    "proxy-authorization",
}
"""Headers by which clients say who they are; none of them ever leaves this server."""
_KEY_NAMES: Final = frozenset({"key", "$key"})
"""Parameters of a URL that hold a key; `$` marks Google's system parameters."""


class ClientKeys:
    """The keys that clients may present.

    Args:
        keys: In the clear; only their digests are kept.
    """

    __slots__ = ("_digests",)

    def __init__(self, keys: Iterable[Secret] = ()) -> None:
        self._digests = tuple(_digest(key.reveal().encode("ascii")) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accept(self, presented: Iterable[bytes]) -> bool:
        """Whether one of `presented` is a key.

        Takes as long whichever key is right, and wherever one first differs: digests
        of equal length are compared, all with all, without an early end.
        """
        found = False
        for key in presented:
            digest = _digest(key)
            for known in self._digests:
                found |= hmac.compare_digest(digest, known)
        return found


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def presented_key(name: str, value: bytes) -> bytes | None:
    """The key in a header, None where it holds none.

    Args:
        name: Of the header, in lower case.
        value: As it was sent.
    """
    if name in KEY_HEADERS:
        return value.strip() or None
    if name == "authorization":
        scheme, _, token = value.strip().partition(b" ")
        if scheme.lower() == b"bearer":
            return token.strip() or None
    return None


def take_key(query: str) -> tuple[str, tuple[bytes, ...]]:
    """Part a query from the keys in it.

    Returns:
        The query without them, every other piece of it untouched, and the keys.
    """
    if not query or ("%" not in query and "key" not in query.lower()):
        return query, ()
    kept: list[str] = []
    keys: list[bytes] = []
    for piece in query.split("&"):
        name, _, value = piece.partition("=")
        if unquote_plus(name).lower() in _KEY_NAMES:
            keys.append(unquote_plus(value, "latin-1").encode("latin-1"))
        else:
            kept.append(piece)
    return "&".join(kept), tuple(keys)


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether `host` is an address of this machine to itself."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


@lru_cache(maxsize=1024)
def is_local(host: str) -> bool:
    """Whether the `Host` of a call is one that no web site's name can stand for.

    A page in a browser can reach this machine's ports under a name of its own site that
    was made to point here (DNS rebinding). Addresses, `localhost`, names without a dot
    and those under `.internal` are nobody's to give away.

    Args:
        host: The header's value, with or without a port.
    """
    name = host.strip().lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    name = name.rstrip(".")
    if "." not in name or name.endswith((".localhost", ".internal")):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1024)
def is_own_page(origin: str) -> bool:
    """Whether `origin` is a page of this machine, or of a program that is no browser.

    Web sites are http or https, and pages without an origin call theirs `null`.
    """
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return bool(parts.scheme)
    name = parts.hostname or ""
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)
