"""Servers over real sockets for tests, each in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from llmwire_server.app import App
from llmwire_server.serving import listen, make_server

__all__ = ("play", "run_app")


@contextlib.contextmanager
def run_app(app: App) -> Iterator[str]:
    """Serve `app` under uvicorn; gives the URL of its root."""
    server = make_server(app)
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        # The socket listens already: whoever connects waits until the server is up.
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


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
