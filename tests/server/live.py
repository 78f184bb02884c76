"""Servers over real sockets for tests, each in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Literal

from llmwire_server.app import App
from llmwire_server.serving import listen, make_server

__all__ = ("Live", "play", "run_app", "serve_app", "until")

Loop = Literal["asyncio", "uvloop", "auto"]


class Live:
    """A served application, looked at from another thread."""

    def __init__(
        self,
        app: App,
        sockets: list[socket.socket],
        dialects: Mapping[int, str],
        loop: Loop,
    ) -> None:
        self.server = make_server(app, dialects)
        self.server.config.loop = loop
        self.port = sockets[0].getsockname()[1]
        self.root = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._run, args=(sockets,))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._resident: set[asyncio.Task[Any]] = set()

    def _run(self, sockets: list[socket.socket]) -> None:
        self.server.run(sockets=sockets)

    def start(self) -> None:
        """Returns when it serves."""
        self.thread.start()
        until(lambda: self.server.started)
        self._loop = self.server._loop
        self._resident = self.ask(_others)

    def ask(self, look: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What `look()` gives when it is awaited in the server's loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(look(), self._loop).result(10)

    def settle(self) -> None:
        """Wait until no call and no connection of a client is left.

        Raises:
            AssertionError: Something stayed behind.
        """

        async def settled() -> set[asyncio.Task[Any]]:
            async with asyncio.timeout(10):
                connections = self.server.server_state.connections
                while connections or await _others() - self._resident:
                    await asyncio.sleep(0)
            return await _others() - self._resident

        with contextlib.suppress(TimeoutError):
            assert not self.ask(settled)
            return
        raise AssertionError(f"left behind: {self.ask(_others)}")

    def paused(self) -> bool:
        """Whether there is a client that takes nothing more at present."""

        async def look() -> bool:
            connections: set[Any] = {*self.server.server_state.connections}
            return any(each.flow.write_paused for each in connections)

        return bool(self.ask(look))

    def signal(self) -> None:
        """What the system does when a user says so."""
        self.server.handle_exit(signal.SIGTERM, None)

    def stop(self) -> None:
        """Tell it to stop, at once, and wait until it has."""
        if self.thread.is_alive():
            self.signal()
            self.signal()
        self.thread.join()


async def _others() -> set[asyncio.Task[Any]]:
    me = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not me}


def until(happened: Callable[[], bool]) -> None:
    """Look again and again; whoever looks gives way to the other threads."""
    give_up = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0)


@contextlib.contextmanager
def serve_app(
    app: App,
    *,
    anthropic: bool = False,
    loop: Loop = "auto",
    sending: int = 0,
) -> Iterator[Live]:
    """Serve `app` under uvicorn.

    Args:
        app: The application.
        anthropic: At a second port too, for clients that speak Anthropic.
        loop: Which event loop.
        sending: Bytes that the system may take for a client; 0: as it likes.
    """
    sockets = [listen("127.0.0.1", 0)]
    dialects = {}
    if anthropic:
        sockets.append(listen("127.0.0.1", 0))
        dialects[sockets[1].getsockname()[1]] = "anthropic"
    if sending:
        sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sending)
    live = Live(app, sockets, dialects, loop)
    live.start()
    try:
        yield live
    finally:
        live.stop()


@contextlib.contextmanager
def run_app(app: App) -> Iterator[str]:
    """Serve `app` under uvicorn; gives the URL of its root."""
    with serve_app(app) as live:
        yield live.root


@contextlib.contextmanager
def play(answer: Callable[[bytes, bytes], bytes]) -> Iterator[str]:
    """Answer each connection once, with what `answer(head, body)` gives, byte for byte,
    and close it; gives the URL of its root."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                peer.sendall(answer(*_read(peer)))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _read(peer: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += peer.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    while len(body) < lengths[0]:
        body += peer.recv(65536)
    return head, body
