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
from collections import deque
from collections.abc import Mapping
from typing import ClassVar, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from llmwire import HTTPReply
from llmwire.messages import ErrorKind
from llmwire_server.app import App, error_reply
from llmwire_server.cycle import Cycle
from llmwire_server.gathering import gathering
from llmwire_server.incoming import Incoming
from llmwire_server.paths import envelope, normal_path

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
    dialects: ClassVar[Mapping[int, str]]
    cycle: Cycle  # type: ignore[assignment]  # in the place of uvicorn's

    # --- The connection ------------------------------------------------------------

    def connection_made(  # type: ignore[override]  # uvicorn narrows it too
        self, transport: asyncio.Transport
    ) -> None:
        """It is open."""
        super().connection_made(transport)
        self._gathering = gathering()
        self._heading = False
        """A head has begun and is not complete."""
        self._open = False
        """A message has begun and is not complete."""
        self._unspent = 0
        """Bytes that came since the parser last got anywhere."""
        self._thrown = 0
        """Bytes of a body that nobody reads any more."""
        self._refused = False
        self._calls: list[Cycle] = []
        """Those that may not be answered yet."""
        self._waiting: deque[tuple[Cycle, Incoming]] = deque()
        """Those that came before the one before them was answered."""
        self._peer = self.client[0] if self.client is not None else None
        port = self.server[1] if self.server is not None else None
        self._dialect = self.dialects.get(port) if port is not None else None
        """What is spoken at this port, where that is known."""
        self._idle_since = 0.0
        """Since when the last answer is complete, on the loop's clock."""
        self._idling: asyncio.TimerHandle | None = None
        self._offering = b"", b""
        """Method and version of a head that offers an upgrade."""
        self._timer: asyncio.TimerHandle | None = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._stop_timer()
        if self._idling is not None:
            self._idling.cancel()
        super().connection_lost(exc)
        self._tell_leaving()

    def shutdown(self) -> None:
        """The server ends: so does the connection, behind the answer that it gives."""
        self._gathering.flush()
        super().shutdown()

    def _close(self) -> None:
        """End it behind what was written."""
        self._gathering.flush()
        self.transport.close()

    def _tell_leaving(self) -> None:
        """Calls that are not answered yet learn that nobody waits for them."""
        for cycle in self._calls:
            if not cycle.response_complete:
                cycle.leave()

    def data_received(self, data: bytes) -> None:
        """The client sent something."""
        if self._refused:
            self._thrown += len(data)
            if self._thrown > _LINGER_BYTES:
                self._close()
            return
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
        """An answer was given; its request may still be coming, and the next one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._waiting:
            self._start(*self._waiting.popleft())
            return
        self._idle_since = self.loop.time()
        if self._idling is None:
            self._idle(self.timeout_keep_alive)
        if self._open and self._timer is None:
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

    def _idle(self, seconds: float) -> None:
        self._idling = self.loop.call_later(seconds, self._end_idling)

    def _end_idling(self) -> None:
        """Close a connection that nobody uses; look again later where it is not so."""
        self._idling = None
        if self._open or not self.cycle.response_complete:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle(left)
        else:
            self._close()

    def _expire(self) -> None:
        self._timer = None
        if self._heading:
            self._refuse(408, "timeout", "the head of the request came too slowly")
        else:
            self._close()

    # --- What the parser tells -----------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._heading = self._open = True
        self._thrown = 0
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which counts for nothing."""
        if self._heading:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is complete."""
        parser = self.parser
        version = parser.get_http_version()
        if version not in _VERSIONS:
            raise httptools.HttpParserError
        if parser.should_upgrade():
            # It will be told again, without the offer.
            self._offering = parser.get_method(), version.encode("ascii")
            return
        self._heading = False
        self._unspent = 0
        self._stop_timer()
        path, query = _parted(self.url)
        method = parser.get_method().decode("ascii")
        incoming = Incoming(
            method,
            path.decode("ascii"),
            query.decode("latin-1"),
            self.headers,
            peer=self._peer,
            needs_host=version == "1.1",
            dialect=self._dialect,
        )
        before = self.cycle
        self.cycle = cycle = Cycle(
            self.transport,
            self.flow,
            self._gathering,
            bodiless=method == "HEAD",
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            expects=incoming.expects,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._calls.clear()
            self._start(cycle, incoming)
        else:
            self.flow.pause_reading()
            self._waiting.append((cycle, incoming))
        self._calls.append(cycle)

    def _start(self, cycle: Cycle, incoming: Incoming) -> None:
        task = self.loop.create_task(cycle.run(self.door.serve, incoming))
        self.tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            _log.error("a call failed: %s", type(fault).__name__, exc_info=fault)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._unspent = 0
        if self.cycle.response_complete:
            self._thrown += len(body)
            if self._thrown > self.door.config.limits.body:
                self._close()
        else:
            self.cycle.feed(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self.parser.should_upgrade():
            return
        self._open = False
        self._unspent = 0
        self._stop_timer()
        if not self.cycle.response_complete:
            self.cycle.end_body()

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
        for given, value in self.headers:
            name = given.lower()
            if name == b"connection":
                tokens = (token.strip() for token in value.split(b","))
                kept = [t for t in tokens if t and t.lower() not in _UPGRADES]
                value = b", ".join(kept)
            if value and name not in _UPGRADES:
                lines.append(b"%b: %b" % (given, value))
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
            started = cycle.response_started or self._heading or bool(self._waiting)
            self._tell_leaving()
        elif cycle is not None and self._open and not self._heading:
            started = True
        if started or self.transport.is_closing():
            self._close()
            return
        self._gathering.flush()
        path = self.url.decode("latin-1").partition("?")[0] if self._open else "/"
        dialect = envelope(normal_path(path) or path)
        self.transport.write(_wire(error_reply(dialect, status, kind, message)))
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._timer = self.loop.call_later(_LINGER_SECONDS, self._close)
        else:
            self._close()


def _wire(reply: HTTPReply) -> bytes:
    lines = [STATUS_LINE[reply.status].rstrip()]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in reply.headers]
    lines.append(b"content-length: %d" % len(reply.body))
    return b"\r\n".join((*lines, b"connection: close", b"", reply.body))


def _parted(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target.

    Raises:
        HttpParserInvalidURLError: It is no URL.
    """
    if url.startswith(b"/") and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    parts = httptools.parse_url(url)
    return parts.path, parts.query or b""


def front_protocol(app: App, dialects: Mapping[int, str]) -> type[asyncio.Protocol]:
    """The protocol that `uvicorn.Config(http=…)` takes, for connections to `app`.

    Args:
        app: The application.
        dialects: Which dialect clients speak who call a port.
    """
    own = {"door": app, "dialects": dialects}
    return cast("type[asyncio.Protocol]", type("FrontProtocol", (FrontProtocol,), own))
