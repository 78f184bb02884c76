"""One request and its answer on a connection: ASGI's two callables, with one write.

Knows uvicorn's cycle, which it takes the place of, and HTTP/1.1's framing of answers.

Rules:
    - The head of an answer waits for the first piece of its body, which ASGI allows:
      both go to the system as one.
    - What an application gives as a header cannot end its line (RFC 9112, 5): such an
      answer is a fault of the program, and is not sent.
    - An answer that is not as long as its head says ends its connection, so that
      nobody takes it for whole.
    - A client that leaves its bytes untaken is cut off.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from llmwire_server.gathering import gathering
from llmwire_server.relay import ASGIMessage, ClientStalled, Leaving, Receive, Send

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from uvicorn.protocols.http.flow_control import FlowControl

    Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

__all__ = ("Cycle",)

_log: Final = logging.getLogger("llmwire")
_HIGH_WATER: Final = 65536
"""Bytes of a body that wait for the application before no more are read."""
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NAMES: Final[set[bytes]] = set()
"""Names of headers that were found to be some."""
_MOST_NAMES: Final = 1024
_BODILESS: Final = (204, 304)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Signal:
    """An `asyncio.Event` for one who waits; it costs nothing until somebody does."""

    __slots__ = ("_future", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._future: asyncio.Future[None] | None = None

    def set(self) -> None:
        self.is_set = True
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)

    async def wait(self) -> None:
        """Until it is set; then it is no longer."""
        while not self.is_set:
            self._future = asyncio.get_running_loop().create_future()
            await self._future
        self.is_set = False


class Cycle(RequestResponseCycle):
    """One request and its answer.

    Args:
        scope: What ASGI says of the request.
        transport: The connection.
        flow: Whether more may be read or written.
        keep_alive: Another request may follow.
        expects: The client waits to be told to go on with its body.
        on_response: Called when the answer was given.
    """

    def __init__(
        self,
        scope: dict[str, Any],
        transport: asyncio.Transport,
        flow: FlowControl,
        *,
        keep_alive: bool,
        expects: bool,
        on_response: Callable[[], None],
    ) -> None:
        self.scope: Any = scope
        self.transport = transport
        self.flow = flow
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expects
        self.on_response = on_response
        self.message_event = _Signal()  # type: ignore[assignment]  # as far as it is used
        self.leaving = Leaving()
        self._gathering = gathering()
        self.disconnected = False
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._head: bytes | None = None
        """The head of the answer, as long as it waits for a body."""
        self._chunked = False
        self._left = 0
        """Bytes that are missing of the length that the head announced."""

    # --- The request ---------------------------------------------------------------

    def feed(self, piece: bytes) -> None:
        """A piece of the body came."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > _HIGH_WATER:
            self.flow.pause_reading()
        self.message_event.set()

    def end_body(self) -> None:
        """There is no more of it."""
        self.more_body = False
        self.message_event.set()

    def take_body(self) -> bytes | None:
        """All of the body, if all of it is there."""
        if self.more_body or self.disconnected:
            return None
        return self._take()

    def _take(self) -> bytes:
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        return body

    async def receive(self) -> Any:
        """ASGI's: the body as it comes, then whether the client has left."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self._gathering.write(self.transport, _CONTINUE)
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            await self.message_event.wait()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body = self._take()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    # --- The answer ----------------------------------------------------------------

    async def send(self, message: ASGIMessage) -> None:  # type: ignore[override]  # of ours
        """ASGI's: the head of the answer, then its body."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started:
            self._start(message["status"], message["headers"])
        elif kind == "http.response.body" and self.response_started:
            self._continue(message["body"], message.get("more_body", False))
        else:
            raise RuntimeError(f"an ASGI message out of order: {kind}")

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        self._chunked = framed = (
            self.scope["method"] != "HEAD" and status not in _BODILESS
        )
        closing = False
        lines = []
        for name, value in headers:
            if name not in _NAMES:
                _learn(name)
            if name == b"content-length":
                self._left = int(value)
                self._chunked = False
            elif name == b"connection" and value == b"close":
                closing = True
            lines.append(name + b": " + value)
        if closing or not self.keep_alive:
            self.keep_alive = False
            if not closing:
                lines.append(b"connection: close")
        if self._chunked and framed:
            lines.append(b"transfer-encoding: chunked")
        fields = b"\r\n".join(lines)
        ends = len(lines) - 1 if lines else 0
        if (
            fields.count(b"\n") != ends
            or fields.count(b"\r") != ends
            or b"\0" in fields
        ):
            raise RuntimeError("a header of the answer would end its line")
        self._head = b"%b%b\r\n\r\n" % (STATUS_LINE[status], fields)

    def _continue(self, body: bytes, more: bool) -> None:
        if self.response_complete:
            raise RuntimeError("an ASGI message after the end of the answer")
        out = body
        if self.scope["method"] == "HEAD":
            out, self._left = b"", 0
        elif self._chunked:
            out = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                out += b"0\r\n\r\n"
        else:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("an answer of another length than its head says")
        if self._head is not None:
            out, self._head = self._head + out, None
        self._gathering.write(self.transport, out)
        if not more:
            self._finish()

    def _finish(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self._close()
        self.on_response()

    def leave(self) -> None:
        """The client has left, or is given up."""
        self.disconnected = True
        self.message_event.set()
        self.leaving.tell()

    # --- Both ----------------------------------------------------------------------

    async def run_asgi(self, app: Application) -> None:  # type: ignore[override]  # ours
        """Have the application answer; whatever it does, the connection is sound."""
        self._gathering.calls += 1
        try:
            await app(self.scope, self.receive, self.send)
        except ClientStalled:
            self.disconnected = True
            self.transport.abort()
        finally:
            if not (self.response_complete or self.disconnected):
                await self._fail()
            self.on_response = _nothing
            self.scope = None
            self._gathering.calls -= 1

    async def _fail(self) -> None:
        _log.error("a call ended without a complete answer")
        if self.response_started:
            self._close()
        else:
            await self.send_500_response()

    def _close(self) -> None:
        self._gathering.flush()
        self.transport.close()


def _learn(name: bytes) -> None:
    if not _TOKEN.fullmatch(name):
        raise RuntimeError("a header of the answer has no proper name")
    if len(_NAMES) < _MOST_NAMES:
        _NAMES.add(name)


def _nothing() -> None:
    """The connection is told no more."""
