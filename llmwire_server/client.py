"""The client's end of one call: what the server around the proxy offers it.

`Cycle` offers it on a connection of ours, without a detour; `ASGIClient` makes it of
the two callables that any ASGI server gives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias

__all__ = (
    "ASGIClient",
    "ASGIMessage",
    "Client",
    "Fields",
    "Leaving",
    "Receive",
    "Send",
)

ASGIMessage: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[ASGIMessage]]
Send: TypeAlias = Callable[[ASGIMessage], Awaitable[None]]
Fields: TypeAlias = list[tuple[bytes, bytes]]


class Leaving:
    """Tells one call that its client has left, where the server can say so by itself.

    It spares the call a task that waits for nothing else.
    """

    __slots__ = ("_tell", "_told")

    def __init__(self) -> None:
        self._tell: Callable[[], None] | None = None
        self._told = False

    def tell(self) -> None:
        """The client has left."""
        self._told = True
        if self._tell is not None:
            self._tell()

    def watch(self, tell: Callable[[], None] | None) -> None:
        """Have `tell` called when the client leaves, or now if it has; None: nobody."""
        self._tell = tell
        if tell is not None and self._told:
            tell()


class Client(Protocol):
    """Whoever waits for an answer."""

    @property
    def leaving(self) -> Leaving | None:
        """Tells when the client leaves; None: only `receive` does."""

    def take_body(self) -> bytes | None:
        """All of the request's body, once; None: not all of it has come."""

    async def receive(self) -> ASGIMessage:
        """The next of ASGI's messages: the body as it comes, then that it has left."""

    def start(self, status: int, fields: Fields) -> None:
        """Begin the answer; its head goes with the first piece of its body.

        Args:
            status: HTTP's.
            fields: Headers; names in lower case.
        """

    def write(self, body: bytes, *, more: bool) -> Awaitable[None] | None:
        """Send a piece of the answer's body.

        Args:
            body: May be empty.
            more: Others follow.

        Returns:
            What must be awaited before anything else is written; None: nothing.

        Raises:
            OSError: The client has left; here or where the result is awaited.
        """


class ASGIClient:
    """The client of an ASGI server.

    Args:
        receive: ASGI's.
        send: ASGI's.
    """

    __slots__ = ("_head", "_receive", "_send")

    leaving = None
    """It is told by `receive` only."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._head: ASGIMessage | None = None

    def take_body(self) -> bytes | None:
        """Nobody knows what has come."""
        return None

    async def receive(self) -> ASGIMessage:
        """See `Client.receive`."""
        return await self._receive()

    def start(self, status: int, fields: Fields) -> None:
        """See `Client.start`."""
        kind = "http.response.start"
        self._head = {"type": kind, "status": status, "headers": fields}

    async def write(self, body: bytes, *, more: bool) -> None:
        """See `Client.write`."""
        head, self._head = self._head, None
        if head is not None:
            await self._send(head)
        kind = "http.response.body"
        await self._send({"type": kind, "body": body, "more_body": more})
