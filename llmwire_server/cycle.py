"""One request and its answer on a connection: the client's end of a call.

Knows HTTP/1.1's framing of answers, and what uvicorn's protocol wants to know of a
cycle, whose place it takes.

Rules:
    - The head of an answer waits for the first piece of its body: both go to the
      system as one.
    - What a header says cannot end its line (RFC 9112, 5): such an answer is a fault of
      the program, and is not sent.
    - An answer that is not as long as its head says ends its connection, so that
      nobody takes it for whole.
    - A client that leaves its bytes untaken is cut off.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from llmwire_server.client import ASGIMessage, Client, Fields, Leaving
from llmwire_server.gathering import Gathering
from llmwire_server.incoming import Incoming
from llmwire_server.relay import ClientStalled

__all__ = ("Cycle",)

Serve: TypeAlias = Callable[[Incoming, Client], Awaitable[None]]

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


class Cycle:
    """One request and its answer: a `Client`.

    Args:
        transport: The connection.
        flow: Whether more may be read or written.
        gathering: What is written goes through it.
        bodiless: The answer is its head only.
        keep_alive: Another request may follow.
        expects: The client waits to be told to go on with its body.
        on_response: Called when the answer was given.
    """

    __slots__ = (
        "_bodiless",
        "_chunked",
        "_flow",
        "_gathering",
        "_head",
        "_left",
        "_on_response",
        "_pieces",
        "_size",
        "_transport",
        "disconnected",
        "expects",
        "keep_alive",
        "leaving",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        flow: FlowControl,
        gathering: Gathering,
        *,
        bodiless: bool,
        keep_alive: bool,
        expects: bool,
        on_response: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._flow = flow
        self._gathering = gathering
        self._bodiless = bodiless
        self.keep_alive = keep_alive
        """Another request may follow."""
        self.expects = expects
        """The client waits to be told to go on with its body."""
        self._on_response: Callable[[], None] | None = on_response
        self.message_event = _Signal()
        """Something came, or nothing will."""
        self.leaving = Leaving()
        """Tells when the client leaves."""
        self.disconnected = False
        """It has left."""
        self.more_body = True
        """Not all of the request has come."""
        self.response_started = False
        """The answer has a head."""
        self.response_complete = False
        """The answer was given."""
        self._pieces: list[bytes] = []
        self._size = 0
        self._head = b""
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
            self._flow.pause_reading()
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

    async def receive(self) -> ASGIMessage:
        """The body as it comes, then whether the client has left."""
        if self.expects and not self._transport.is_closing():
            self._gathering.write(self._transport, _CONTINUE)
            self.expects = False
        if not self.disconnected and not self.response_complete:
            self._flow.resume_reading()
            await self.message_event.wait()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body = self._take()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    # --- The answer ----------------------------------------------------------------

    def start(self, status: int, fields: Fields) -> None:
        """See `Client.start`.

        Raises:
            RuntimeError: A header would end its line, or has no proper name; or there
                is a head already.
        """
        if self.response_started:
            raise RuntimeError("a second head of one answer")
        framed = not self._bodiless and status not in _BODILESS
        chunked = framed
        closing = False
        lines = []
        for name, value in fields:
            if name not in _NAMES:
                _learn(name)
            if name == b"content-length":
                self._left = int(value)
                chunked = False
            elif name == b"connection" and value == b"close":
                closing = True
            lines.append(name + b": " + value)
        if closing or not self.keep_alive:
            self.keep_alive = False
            if not closing:
                lines.append(b"connection: close")
        if chunked:
            lines.append(b"transfer-encoding: chunked")
        self._chunked = chunked
        text = b"\r\n".join(lines)
        ends = len(lines) - 1 if lines else 0
        if text.count(b"\n") != ends or text.count(b"\r") != ends or b"\0" in text:
            raise RuntimeError("a header of the answer would end its line")
        self._head = b"%b%b\r\n\r\n" % (STATUS_LINE[status], text)
        self.response_started = True
        self.expects = False

    def write(self, body: bytes, *, more: bool) -> Awaitable[None] | None:
        """See `Client.write`.

        Raises:
            RuntimeError: The answer has no head, is longer or shorter than that says,
                or is complete already.
        """
        if self.disconnected:
            return None
        if self._flow.write_paused:
            return self._write_later(body, more)
        self._continue(body, more)
        return None

    async def _write_later(self, body: bytes, more: bool) -> None:
        await self._flow.drain()
        if not self.disconnected:
            self._continue(body, more)

    def _continue(self, body: bytes, more: bool) -> None:
        if self.response_complete or not self.response_started:
            raise RuntimeError("a body without a head, or after the end of the answer")
        out = body
        if self._bodiless:
            out, self._left = b"", 0
        elif self._chunked:
            out = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                out += b"0\r\n\r\n"
        else:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("an answer of another length than its head says")
        if self._head:
            out, self._head = self._head + out, b""
        self._gathering.write(self._transport, out)
        if not more:
            self._finish()

    def _finish(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self._close()
        if self._on_response is not None:
            self._on_response()

    def leave(self) -> None:
        """The client has left, or is given up."""
        self.disconnected = True
        self.message_event.set()
        self.leaving.tell()

    # --- Both ----------------------------------------------------------------------

    async def run(self, serve: Serve, incoming: Incoming) -> None:
        """Have `serve` answer; whatever it does, the connection is sound."""
        self._gathering.calls += 1
        try:
            await serve(incoming, self)
        except ClientStalled:
            self.disconnected = True
            self._transport.abort()
        finally:
            if not (self.response_complete or self.disconnected):
                self._fail()
            self._on_response = None
            self._gathering.calls -= 1

    def _fail(self) -> None:
        _log.error("a call ended without a complete answer")
        if not self.response_started:
            self.start(500, [(b"content-length", b"0"), (b"connection", b"close")])
            self.write(b"", more=False)
        else:
            self._close()

    def _close(self) -> None:
        self._gathering.flush()
        self._transport.close()


def _learn(name: bytes) -> None:
    if not _TOKEN.fullmatch(name):
        raise RuntimeError("a header of the answer has no proper name")
    if len(_NAMES) < _MOST_NAMES:
        _NAMES.add(name)
