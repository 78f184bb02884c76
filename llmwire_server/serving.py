"""Running the ASGI application under uvicorn."""

from __future__ import annotations

import contextlib
import socket

import uvicorn

from llmwire_server.app import App
from llmwire_server.config import Config

__all__ = ("listen", "make_server", "serve")


def listen(host: str, port: int) -> socket.socket:
    """Listen for connections, at a free port where `port` is 0.

    Raises:
        OSError: The address is taken, or none of this machine's.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address[:2], family=family, backlog=2048)


def make_server(app: App) -> uvicorn.Server:
    """A server of `app`, ready to run."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="on",
            ws="none",
            timeout_graceful_shutdown=10,
        )
    )


def serve(config: Config, sock: socket.socket) -> int:
    """Serve at `sock` until told to stop; the exit status."""
    server = make_server(App(config))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[sock])
    return 0 if server.started else 1
