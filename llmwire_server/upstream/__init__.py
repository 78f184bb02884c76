"""The seam to an upstream: one HTTP exchange, from whichever transport.

Here is only what both sides of the seam must know: the request, the response, the
failure, the time limits. Who carries the bytes is a `Transport`: the pool of sockets
in `pool`, the script in `memory`. Nothing here knows an LLM, a key or a dialect.

Rules:
    - A transport is used as ``async with transport.open(request) as response:``.
      However the block is left, nothing stays behind: a connection whose response was
      read to its end may be used again, any other one is closed.
    - A cancelled `receive` loses nothing and may be called again.
    - No text that comes from here holds a header's value, a query or a body.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Literal, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

__all__ = (
    "FailureKind",
    "Headers",
    "Origin",
    "Timeouts",
    "Transport",
    "UpstreamFailure",
    "UpstreamRequest",
    "UpstreamResponse",
)

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Pairs of name and value, in order; in responses the names are lower case."""

FailureKind: TypeAlias = Literal[
    "connect", "tls", "pool", "timeout", "reset", "truncated", "protocol"
]
"""What went wrong.

`connect`, `tls`, `pool`: no byte of the request was sent, so that trying elsewhere can
repeat nothing. `timeout`: the upstream was too slow to take the request, to answer or
to go on. `reset`: the connection broke. `truncated`: it was closed in good order, but
before the end of the response. `protocol`: what came is no HTTP/1.1 response, or one
whose end is ambiguous.
"""


class UpstreamFailure(Exception):
    """The exchange cannot go on, and why.

    Args:
        kind: What went wrong.
        message: Where and how, without anything a peer or a client sent.
    """

    kind: FailureKind
    """What went wrong."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind

    @property
    def message(self) -> str:
        """Where and how it went wrong."""
        return str(self.args[1])

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"

    def anew(self) -> UpstreamFailure:
        """The same without a traceback: to be kept, or raised once more.

        One that is kept with its traceback holds the frames that hold who keeps it.
        """
        return UpstreamFailure(self.kind, self.message)


class Timeouts(Struct, frozen=True, kw_only=True):
    """How long each part of an exchange may take, in seconds; `inf` is no limit."""

    pool: float = 10.0
    """Waiting for a place in the pool."""
    connect: float = 10.0
    """Name lookup, TCP and TLS handshakes together."""
    write: float = 60.0
    """Until the whole request was handed to the network."""
    first_byte: float = 300.0
    """From there until the head of the response is complete; 1xx do not count."""
    idle_read: float = 300.0
    """One stretch of waiting for more of the body, however often it was resumed."""


class Origin(NamedTuple):
    """What a connection is bound to."""

    scheme: str
    host: str
    port: int
    route: str = ""
    """Keeps apart what must not share a connection: TLS settings and proxies."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class UpstreamRequest(Struct, frozen=True, kw_only=True):
    """One request; every header that concerns the connection is the transport's own."""

    method: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    target: str
    """Path and query from the root, exactly as sent."""
    headers: Headers = ()
    body: bytes = b""
    timeouts: Timeouts | None = None
    """Instead of the transport's own."""

    @property
    def origin(self) -> Origin:
        """What a connection for this request is bound to."""
        return Origin(self.scheme, self.host, self.port)

    def __repr__(self) -> str:
        path = self.target.partition("?")[0]
        names = ", ".join(name for name, _ in self.headers)
        return (
            f"UpstreamRequest({self.method} {self.origin}{path}, headers=({names}), "
            f"body={len(self.body)} bytes)"
        )


class UpstreamResponse(Protocol):
    """The answer, from its head on."""

    @property
    def status(self) -> int:
        """The final status, 200 or above."""

    @property
    def headers(self) -> Headers:
        """Lower-case names and values, in order; framing headers included."""

    async def receive(self) -> bytes:
        """The next bytes of the body, without its transfer coding.

        What has already arrived is given as one; nothing waits to fill a buffer.
        Cancelling this call loses no byte: it may simply be called again.

        Returns:
            At least one byte, or `b""` at the proper end, then as often as asked.

        Raises:
            UpstreamFailure: The body broke off; repeated calls fail alike.
        """

    async def drain(self, limit_bytes: int = 65536, seconds: float = 0.1) -> None:
        """Read on and throw away, so that the connection may be used again.

        Stops at the end of the body, at either limit, or when the body breaks off, of
        which nothing is said. Never raises for what the peer does.

        Args:
            limit_bytes: Give up when the body holds more than this.
            seconds: Give up after this time.
        """

    async def close(self) -> None:
        """End the exchange now; closes the connection unless the body was read."""


class Transport(Protocol):
    """Whoever carries requests to upstreams."""

    def open(
        self, request: UpstreamRequest
    ) -> AbstractAsyncContextManager[UpstreamResponse]:
        """Send a request; entering the context waits for the head of the answer.

        Args:
            request: What to send, and where.

        Returns:
            A context that always cleans up, cancelled or not.

        Raises:
            UpstreamFailure: On entering, if no head of a response was received.
            LocalProtocolError: On entering, if the request cannot be written as
                HTTP/1.1, such as a header value with a line break in it.
        """
