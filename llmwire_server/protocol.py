"""HTTP/1.1 towards clients: uvicorn's protocol over httptools, and what it lacks.

Knows sockets' bytes and uvicorn's classes; what a call means is the application's.

Rules:
    - A head has `limits.header_bytes` and `timeouts.head` seconds, from the opening of
      its connection on; the body's framing (extensions and trailers of chunks) has as
      many bytes between two pieces of body. Beyond that: 431, 408 or 400.
    - What is no HTTP is answered with 400, but never inside of another answer, or
      before one that is due: then the connection just ends. Whatever follows on the
      connection is not read as a request.
    - An error is followed by half a close: a client that still sends may read it.
    - `Upgrade` is an offer that is not taken (RFC 9110, 7.8): the call goes on as if
      it were not there, with its body. Java's own client makes it with every call.
    - Trailers are dropped (RFC 9110, 6.5.1): they never become headers of a call that
      is already being answered.
    - What a client goes on to send after it was answered is thrown away, as much as a
      body may have.
"""

from __future__ import annotations

import asyncio
import logging
from typing import ClassVar, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from llmwire import HTTPReply
from llmwire.messages import ErrorKind
from llmwire_server.app import App, error_reply
from llmwire_server.paths import envelope, normal_path
from llmwire_server.relay import Leaving

__all__ = ("FrontProtocol", "front_protocol")

_log: Final = logging.getLogger("llmwire")
_VERSIONS: Final = ("1.1", "1.0")
_UPGRADES: Final = (b"upgrade", b"http2-settings")
_LINGER_SECONDS: Final = 2.0
"""For a client to take an error before its connection ends."""
_LINGER_BYTES: Final = 1024 * 1024
"""What it may send meanwhile."""
_NO_HTTP: Final = "the request is no HTTP/1.1"


class FrontProtocol(HttpToolsProtocol):
    """One connection of a client."""

    door: ClassVar[App]

    # --- The connection ------------------------------------------------------------

    def connection_made(  # type: ignore[override]  # uvicorn narrows it too
        self, transport: asyncio.Transport
    ) -> None:
        """It is open."""
        super().connection_made(transport)
        self._heading = False
        """A head has begun and is not complete."""
        self._open = False
        """A message has begun and is not complete."""
        self._unspent = 0
        """Bytes that came since the parser last got anywhere."""
        self._thrown = 0
        """Bytes of a body that nobody reads any more."""
        self._refused = False
        self._calls: list[tuple[RequestResponseCycle, Leaving]] = []
        """Those that may not be answered yet."""
        self._offering = b"", b""
        """Method and version of a head that offers an upgrade."""
        self._timer: asyncio.TimerHandle | None = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._stop_timer()
        super().connection_lost(exc)
        self._tell_leaving()

    def _tell_leaving(self) -> None:
        """Calls that are not answered yet learn that nobody waits for them."""
        for cycle, leaving in self._calls:
            if not cycle.response_complete:
                leaving.tell()

    def data_received(self, data: bytes) -> None:
        """The client sent something."""
        if self._refused:
            self._thrown += len(data)
            if self._thrown > _LINGER_BYTES:
                self.transport.close()
            return
        self._unset_keepalive_if_required()
        self._unspent += len(data)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade() + data[upgrade.args[0] :]
                self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(400, "invalid_request", _NO_HTTP)
            return
        limit = self.door.config.limits.header_bytes
        if self._unspent > limit:
            self._overflow(limit)
        elif self._timer is None and self._waits_for_head():
            self._await_head()

    def on_response_complete(self) -> None:
        """An answer was given; its request may still be coming."""
        super().on_response_complete()
        if self._open and self._timer is None and not self.transport.is_closing():
            self._await_head()

    # --- Time ----------------------------------------------------------------------

    def _waits_for_head(self) -> bool:
        if self._open:
            return self._heading
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        seconds = self.door.config.timeouts.head
        if seconds:
            self._timer = self.loop.call_later(seconds, self._expire)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        if self._heading:
            self._refuse(408, "timeout", "the head of the request came too slowly")
        else:
            self.transport.close()

    # --- What the parser tells -----------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._heading = self._open = True
        self._thrown = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which counts for nothing."""
        if self._heading:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            raise httptools.HttpParserError
        if self.parser.should_upgrade():
            # It will be told again, without the offer.
            self._offering = self.parser.get_method(), version.encode("ascii")
            return
        self._heading = False
        self._unspent = 0
        self._stop_timer()
        leaving = Leaving()
        self.scope["extensions"] = {"llmwire": {"leaving": leaving}}
        super().on_headers_complete()
        self._calls = [pair for pair in self._calls if not pair[0].response_complete]
        self._calls.append((self.cycle, leaving))

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._unspent = 0
        if self.cycle.response_complete:
            self._thrown += len(body)
            if self._thrown > self.door.config.limits.body:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self.parser.should_upgrade():
            return
        self._open = False
        self._unspent = 0
        self._stop_timer()
        super().on_message_complete()

    def _without_upgrade(self) -> bytes:
        """The head that was just read, as it is without the offer.

        Raises:
            HttpParserError: It is a CONNECT, or answers before it are still due.
        """
        method, version = self._offering
        busy = self.cycle is not None and not self.cycle.response_complete
        if method == b"CONNECT" or busy:
            raise httptools.HttpParserError
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = (token.strip() for token in value.split(b","))
                kept = [t for t in tokens if t and t.lower() not in _UPGRADES]
                value = b", ".join(kept)
            if value and name not in _UPGRADES:
                lines.append(b"%b: %b" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join((*lines, b"", b""))

    # --- Errors --------------------------------------------------------------------

    def _overflow(self, limit: int) -> None:
        if self._heading:
            message = f"the headers are larger than {limit} bytes"
            self._refuse(431, "invalid_request", message)
        else:
            self._refuse(400, "invalid_request", _NO_HTTP)

    def _refuse(self, status: int, kind: ErrorKind, message: str) -> None:
        """End the connection, with an error where one has its place."""
        _log.debug("a connection was ended: %s", message)
        self._stop_timer()
        self._refused = True
        self._thrown = 0
        cycle = self.cycle
        started = False
        if cycle is not None and not cycle.response_complete:
            # Whoever waits for the rest of this request is told that none will come.
            started = cycle.response_started or self._heading or bool(self.pipeline)
            cycle.disconnected = True
            cycle.message_event.set()
            self._tell_leaving()
        elif cycle is not None and self._open and not self._heading:
            started = True
        if started or self.transport.is_closing():
            self.transport.close()
            return
        self._unset_keepalive_if_required()
        path = self.url.decode("latin-1").partition("?")[0] if self._open else "/"
        dialect = envelope(normal_path(path) or path)
        self.transport.write(_wire(error_reply(dialect, status, kind, message)))
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()


def _wire(reply: HTTPReply) -> bytes:
    lines = [STATUS_LINE[reply.status].rstrip()]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in reply.headers]
    lines.append(b"content-length: %d" % len(reply.body))
    return b"\r\n".join((*lines, b"connection: close", b"", reply.body))


def front_protocol(app: App) -> type[asyncio.Protocol]:
    """The protocol that `uvicorn.Config(http=…)` takes, for connections to `app`."""
    return cast(
        "type[asyncio.Protocol]", type("FrontProtocol", (FrontProtocol,), {"door": app})
    )
