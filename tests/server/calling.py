"""The proxy called as an ASGI server calls it, without sockets."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import anyio
from msgspec import Struct, field

from llmwire_server.app import App

__all__ = ("Client", "Reply", "call")


class Reply(Struct):
    """What the client got."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    complete: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """The client's side of one call: its messages, and what it was sent."""

    def __init__(self, *chunks: bytes) -> None:
        self.reply = Reply()
        self.left = anyio.Event()
        """Set to leave."""
        self.on_send: Callable[[], Awaitable[None]] | None = None
        more = [True] * (len(chunks) - 1) + [False]
        self._messages = [
            {"type": "http.request", "body": chunk, "more_body": each}
            for chunk, each in zip(chunks, more, strict=True)
        ]

    async def receive(self) -> MutableMapping[str, Any]:
        if self._messages:
            return self._messages.pop(0)
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """ASGI's."""
        await anyio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            fields = [(k.decode("latin-1"), v) for k, v in message["headers"]]
            headers = [(name, value.decode("latin-1")) for name, value in fields]
            self.start(message["status"], headers)
            return
        await self.write(message["body"], more=message.get("more_body", False))

    def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """An `Answer`'s."""
        assert not self.reply.status
        self.reply.status = status
        self.reply.headers = dict(headers)

    async def write(self, body: bytes, *, more: bool) -> None:
        """An `Answer`'s."""
        await anyio.lowlevel.checkpoint()
        assert self.reply.status
        assert not self.reply.complete
        self.reply.pieces.append(body)
        if not more:
            self.reply.complete = True
            self.left.set()
        if self.on_send is not None:
            await self.on_send()


def scope(
    method: str, path: str, headers: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """What an ASGI server says of a request."""
    bare, _, query = path.partition("?")
    return {
        "type": "http",
        "method": method,
        "path": bare,
        "raw_path": bare.encode(),
        "query_string": query.encode(),
        "client": ("127.0.0.1", 50000),
        "headers": [(k.encode(), v.encode("latin-1")) for k, v in headers],
    }


async def call(
    app: App,
    path: str,
    body: Any = None,
    *,
    method: str = "POST",
    headers: Iterable[tuple[str, str]] = (),
) -> Reply:
    """One whole call; a body that is not bytes goes as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    client = Client(data)
    await app(scope(method, path, headers), client.receive, client.send)
    assert client.reply.complete
    return client.reply
