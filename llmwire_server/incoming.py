"""What the head of a call says, read once.

One walk over the headers finds everything that the door needs to know, and parts the
client's credentials from what goes on: behind it nothing knows them. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from llmwire.http import Headers
from llmwire_server.headers import sane_request_id
from llmwire_server.keys import CREDENTIAL_HEADERS, presented_key, take_key

__all__ = ("Incoming",)

_SAFE: Final = "/:@!$&'()*+,;=~"
"""What need not be percent-encoded in a path (RFC 3986, 3.3)."""
_NOTED: Final = frozenset(
    {
        "access-control-request-headers",
        "access-control-request-method",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "origin",
        "transfer-encoding",
    }
)
"""Headers that the door looks at; of several, the last counts."""
_ANY, _CREDENTIAL, _NOTE, _ID, _PROXY, _ANTHROPIC, _GOOGLE = range(7)
"""What a header is to the door."""
_NAMES: Final[dict[bytes, tuple[str, int]]] = {}
"""Names as they were sent -> in lower case, and what they are; those met so far."""
_MOST: Final = 2048
_LONGEST: Final = 64
_PROXIED: Final = frozenset({"forwarded", "via", "x-forwarded-for", "x-real-ip"})


class Incoming:
    """The head of one call.

    Args:
        method: HTTP's.
        path: As it was sent: names in it are percent-encoded; without a query.
        query: What follows the `?`.
        fields: Headers, their names spelled as they may be.
        peer: Address of whoever is connected, None: unknown.
        needs_host: Its HTTP wants to know whom it is for (RFC 9112, 3.2).
        dialect: What is spoken at this port, where that is known.
    """

    __slots__ = (
        "expects",
        "fields",
        "headers",
        "hosts",
        "keys",
        "method",
        "needs_host",
        "noted",
        "path",
        "peer",
        "proxied",
        "query",
        "request_id",
        "shown",
        "size",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        fields: Sequence[tuple[bytes, bytes]],
        *,
        peer: str | None = None,
        needs_host: bool = False,
        dialect: str | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query, keys = take_key(query)
        """Without a key."""
        self.peer = peer
        self.needs_host = needs_host
        self.noted: dict[str, str] = {}
        """Headers that the door looks at."""
        self.request_id: str | None = None
        """Of the client, where it is one."""
        self.shown: str | None = None
        """Dialect that the headers tell of, else the port."""
        self.proxied = False
        """Somebody passed the call on."""
        self.expects = False
        """The client waits to be told to go on with its body."""
        self.fields = len(fields)
        """How many headers there are."""
        self.hosts = 0
        """How many of them are `host`."""
        self.size = 0
        """Bytes of their names and values."""
        self.headers, found = self._read(fields)
        """Without credentials."""
        if self.shown is None:
            self.shown = dialect
        self.keys: tuple[bytes, ...] = (*found, *keys)
        """Every key that the client presents."""

    @classmethod
    def of_scope(cls, scope: dict[str, Any]) -> Incoming:
        """What an ASGI server says of a call."""
        raw = scope.get("raw_path")
        path = (
            quote(scope["path"], safe=_SAFE) if raw is None else raw.decode("latin-1")
        )
        client = scope.get("client")
        return cls(
            scope["method"],
            path.partition("?")[0],
            scope.get("query_string", b"").decode("latin-1"),
            scope["headers"],
            peer=client[0] if client else None,
            needs_host=scope.get("http_version") == "1.1",
        )

    def _read(
        self, fields: Sequence[tuple[bytes, bytes]]
    ) -> tuple[Headers, list[bytes]]:
        headers: list[tuple[str, str]] = []
        keys: list[bytes] = []
        size = 0
        for field, value in fields:
            size += len(field) + len(value)
            name, what = _NAMES.get(field) or _learn(field)
            if what == _CREDENTIAL:
                key = presented_key(name, value)
                if key is not None:
                    keys.append(key)
                continue
            text = value.decode("latin-1")
            headers.append((name, text))
            if what:
                self._note(name, what, value, text)
        self.size = size
        return tuple(headers), keys

    def _note(self, name: str, what: int, value: bytes, text: str) -> None:
        if what == _NOTE:
            text = text.strip()
            self.noted[name] = text
            if name == "host":
                self.hosts += 1
            elif name == "expect":
                self.expects = text.lower() == "100-continue"
        elif what == _ID:
            self.request_id = sane_request_id(value)
        elif what == _PROXY:
            self.proxied = True
        elif what == _ANTHROPIC:
            self.shown = "anthropic"
        else:
            self.shown = self.shown or "gemini"


def _learn(field: bytes) -> tuple[str, int]:
    """A header's name in lower case, and what it is to the door."""
    name = field.decode("latin-1").lower()
    if name in CREDENTIAL_HEADERS:
        what = _CREDENTIAL
    elif name in _NOTED:
        what = _NOTE
    elif name == "x-request-id":
        what = _ID
    elif name in _PROXIED:
        what = _PROXY
    elif name == "anthropic-version":
        what = _ANTHROPIC
    else:
        what = _GOOGLE if name.startswith("x-goog-") else _ANY
    if len(field) <= _LONGEST and len(_NAMES) < _MOST:
        _NAMES[field] = name, what
    return name, what
