"""Running the ASGI application under uvicorn: sockets, signals, the end.

Knows uvicorn. What a signal means for calls is `shutdown`'s business, what a call does
is the application's.

Rules:
    - SIGINT or SIGTERM: no connection and no call is taken any more; running calls have
      `timeouts.shutdown` seconds to come to their end, then they are ended with an
      error in their clients' form. A second signal ends them at once.
    - A server that was told to stop and did is a success: its exit status is 0.
    - A client that does not take what it was sent is cut off, by the system too where
      that can watch over it (`TCP_USER_TIMEOUT`), which sees the last bytes of an
      answer as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import socket
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Final

import uvicorn

from llmwire_server.app import App
from llmwire_server.config import Config, Loaded
from llmwire_server.protocol import front_protocol
from llmwire_server.reload import Reload, watch
from llmwire_server.shutdown import Shutdown

__all__ = ("Server", "listen", "make_server", "serve")

_TAKING: Final = 2.0
"""Seconds for clients to take the errors that a shutdown ends their calls with."""
_FORCED: Final = 0.1
"""The same after a second signal."""
_COLLECT_AFTER: Final = 20_000
"""Objects made, less those given back, after which garbage is looked for."""
_PROBE_AFTER: Final = 60
"""Seconds of silence after which the system asks whether a client is still there."""


def listen(host: str, port: int) -> socket.socket:
    """Listen for connections, at a free port where `port` is 0.

    Raises:
        OSError: The address is taken, or none of this machine's.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address[:2], family=family, backlog=2048)


def _watch_clients(sock: socket.socket, seconds: float) -> None:
    """Have the system end connections whose clients are gone; they inherit this."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_AFTER)
    if seconds and hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = math.ceil(seconds * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _calm_collector() -> None:
    """Look for garbage seldom: a call leaves none that counting references misses."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)


class Server(uvicorn.Server):
    """A server that lets calls end, within limits, before it does.

    Args:
        config: uvicorn's.
        shutdown: What the application's calls are told by.
    """

    def __init__(self, config: uvicorn.Config, shutdown: Shutdown) -> None:
        super().__init__(config)
        self.reload: Reload | None = None
        """What SIGHUP asks for, if anything."""
        self._ending = shutdown
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watching: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening."""
        self._loop = asyncio.get_running_loop()
        if self.reload is not None:
            self._watching = self._loop.create_task(watch(self.reload))
        await super().startup(sockets)
        _calm_collector()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal says to stop; the second one, to do so at once."""
        if not self.should_exit:
            self.should_exit = True
            self._ending.begin()
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(self._expire, _FORCED)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let calls end, end them, close everything."""
        loop = asyncio.get_running_loop()
        self._ending.begin()
        # Only what hangs outside of every connection is left to uvicorn's own limit.
        self.config.timeout_graceful_shutdown = None
        timer = None
        if self._ending.seconds:
            limit = self._ending.seconds
            self.config.timeout_graceful_shutdown = math.ceil(limit + 2 * _TAKING)
            timer = loop.call_later(limit, self._expire, _TAKING)
        await super().shutdown(sockets)
        if timer is not None:
            timer.cancel()
        if self._watching is not None:
            self._watching.cancel()

    def _expire(self, seconds: float) -> None:
        """End every call; cut off the clients that have not taken that in `seconds`."""
        self._ending.expire()
        asyncio.get_running_loop().call_later(seconds, self._cut)

    def _cut(self) -> None:
        for connection in tuple(self.server_state.connections):
            transport: asyncio.Transport = connection.transport
            transport.abort()


def make_server(app: App, dialects: Mapping[int, str] | None = None) -> Server:
    """A server of `app`, ready to run.

    Args:
        app: The application; its `shutdown` is what its calls are ended by.
        dialects: Which dialect clients speak who call a port, for those of which that
            is known.
    """
    return Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="on",
            http=front_protocol(app, dialects or {}),
            ws="none",
            proxy_headers=False,
        ),
        app.shutdown,
    )


def serve(
    config: Config,
    sock: socket.socket,
    anthropic: socket.socket | None = None,
    *,
    load: Callable[[], Loaded] | None = None,
) -> int:
    """Serve until told to stop; the exit status.

    Args:
        config: What the application is told.
        sock: Listens for clients of every dialect.
        anthropic: Listens for clients that speak Anthropic.
        load: Gives what SIGHUP has the application told from then on.
    """
    sockets, dialects = [sock], {}
    if anthropic is not None:
        sockets.append(anthropic)
        dialects[anthropic.getsockname()[1]] = "anthropic"
    for each in sockets:
        _watch_clients(each, config.timeouts.send)
    app = App(config)
    server = make_server(app, dialects)
    if load is not None:
        server.reload = Reload(app, config, load)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=sockets)
    return 0 if server.started else 1
