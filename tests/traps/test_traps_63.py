"""Trap 63: a client that leaves takes the call to the server with it."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from llmwire import Exchange, HTTPRequest, Usage
from llmwire_server.app import App
from llmwire_server.backends import Backend
from llmwire_server.config import Config
from tests.server.live import run_app
from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    chat_stream,
    claude_stream,
    frames,
    objects,
)

PATIENCE = 10.0
_PATHS = {
    CHAT: "/v1/chat/completions",
    RESPONSES: "/v1/responses",
    CLAUDE: "/v1/messages",
    GEMINI: "/v1beta/models/m:generateContent",
}
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
_WORD = frames(*objects(chat_stream({"role": "assistant", "content": "Hello"}))[:1])


@contextlib.contextmanager
def _hanging(answer: bytes) -> Iterator[tuple[str, queue.Queue[str]]]:
    """A server that begins to answer with `answer` and never goes on; says when it was
    `asked`, and when whoever asked has `left`."""
    told: queue.Queue[str] = queue.Queue()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                data = b""
                while not data.endswith(b"}") and (piece := peer.recv(65536)):
                    data += piece
                peer.sendall(answer)
                told.put("asked")
                peer.settimeout(PATIENCE)
                more = b""
                with contextlib.suppress(ConnectionError):
                    more = peer.recv(1)
                told.put("still there" if more else "left")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", told
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _request(client: str, streamed: bool) -> bytes:
    """The bytes of a call of one dialect."""
    path = _PATHS[client]
    body: Object = {"model": "m", "stream": streamed, "max_tokens": 9}
    body["messages"] = [{"role": "user", "content": "Hi"}]
    if client == RESPONSES:
        body = {"model": "m", "stream": streamed, "input": "Hi"}
    elif client == GEMINI:
        body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
        if streamed:
            path = path.replace("generateContent", "streamGenerateContent?alt=sse")
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: proxy\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


@pytest.mark.parametrize(
    ("streamed", "answer", "until"),
    [
        pytest.param(False, b"", b"", id="whole, before the answer"),
        pytest.param(True, b"", b"", id="stream, before the head"),
        pytest.param(True, _HEAD, b"", id="stream, before the first word"),
        pytest.param(True, _HEAD + _WORD, b"Hello", id="stream, in its middle"),
    ],
)
def test_trap_63_a_client_that_leaves_cancels_the_call(
    streamed: bool, answer: bytes, until: bytes
) -> None:
    """In every dialect and at every stage the connection to the server is closed as
    soon as the client's is, and the next call is served.

    Fails (`told` stays empty until the patience is over) when the pump only notices
    the client at its next write, or watches it for streams or after the first byte
    only.
    """
    with _hanging(answer) as (root, told):
        backend = Backend(name="b", dialect=CHAT, base_url=root)
        config = Config(backends={"b": backend}, default_backend="b")
        with run_app(App(config)) as proxy:
            address = urlsplit(proxy)
            for client in _PATHS:
                place = (str(address.hostname), int(address.port or 0))
                with socket.create_connection(place, timeout=PATIENCE) as sock:
                    sock.sendall(_request(client, streamed))
                    assert told.get(timeout=PATIENCE) == "asked"
                    seen = b""
                    while until not in seen and (piece := sock.recv(65536)):
                        seen += piece
                    assert until in seen
                assert told.get(timeout=PATIENCE / 2) == "left", client


@pytest.mark.parametrize(("client", "observe"), [(CHAT, False), (CLAUDE, True)])
def test_trap_63_what_was_counted_so_far_is_known(client: str, observe: bool) -> None:
    """The counts of a call that was left in its middle can be accounted: an attempt
    knows them at any time, of a stream that is passed through when it is observed.

    Fails when counts are told at the end only.
    """
    body: Object = {"model": "m", "stream": True, "max_tokens": 9}
    body["messages"] = [{"role": "user", "content": "Hi"}]
    exchange = Exchange(client, created=1.0, id="seed")
    data = json.dumps(body).encode()
    exchange.receive_request(HTTPRequest(method="POST", path=_PATHS[client], body=data))
    attempt = exchange.attempt(CLAUDE, observe=observe)
    attempt.receive_head(200, (("content-type", "text/event-stream"),))
    text = {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hello"}
    counts = {"input_tokens": 11, "output_tokens": 1}
    attempt.receive_data(frames(*objects(claude_stream(text, usage=counts))[:3]))
    assert not attempt.done
    assert attempt.usage == Usage(fresh=11, output=1)
