"""Tests of `llmwire_server.serving`: over real sockets, as clients see it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from llmwire_server import serving
from llmwire_server.app import App
from llmwire_server.backends import Backend
from llmwire_server.client import Client
from llmwire_server.config import Config, load
from llmwire_server.config.tree import Simulator, SimulatorRule
from llmwire_server.incoming import Incoming
from llmwire_server.serving import listen, serve
from llmwire_server.upstream.pool import Pool
from tests.server.live import run_app, serve_app


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with run_app(App(load(environment={}))) as url:
        yield url


def _post(root: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(root.removeprefix("http://"))
    try:
        connection.request("POST", path, body)
        reply = connection.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, headers, reply.read()
    finally:
        connection.close()


CHAT = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]%s}'


def test_a_whole_answer_has_its_length(root: str) -> None:
    status, headers, body = _post(root, "/v1/chat/completions", CHAT % b"")
    assert status == 200
    assert headers["content-length"] == str(len(body))
    assert headers["content-type"] == "application/json"
    assert "server" not in headers
    assert json.loads(body)["choices"][0]["message"]["content"] == "You said: Hi"


def test_a_stream_comes_in_chunks(root: str) -> None:
    body = CHAT % b', "stream": true'
    status, headers, body = _post(root, "/v1/chat/completions", body)
    assert status == 200
    assert headers["transfer-encoding"] == "chunked"
    assert headers["content-type"].startswith("text/event-stream")
    assert body.endswith(b"data: [DONE]\n\n")


def test_ports_and_addresses() -> None:
    with listen("127.0.0.1", 0) as first:
        assert first.getsockname()[1] > 0
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", first.getsockname()[1])
    with pytest.raises(OSError):
        listen("host.invalid", 0)


@pytest.mark.parametrize("started", [True, False])
def test_the_status_says_whether_it_started(
    monkeypatch: pytest.MonkeyPatch, started: bool
) -> None:
    def run(self: uvicorn.Server, sockets: list[socket.socket]) -> None:
        self.started = started
        raise KeyboardInterrupt

    monkeypatch.setattr(uvicorn.Server, "run", run)
    with listen("127.0.0.1", 0) as sock:
        assert serve(load(environment={}), sock) == (0 if started else 1)


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_stop(told: signal.Signals) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_BASE_URL"))
    }
    command = [sys.executable, "-m", "llmwire_server", "serve", "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        try:
            place = process.stderr.readline().split(" ")[2].rstrip(":")
            status, _, _ = _post(place, "/v1/chat/completions", CHAT % b"")
            assert status == 200
        finally:
            process.send_signal(told)
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_second_port_says_its_dialect() -> None:
    seen: list[Any] = []

    class Asked(App):
        async def serve(self, incoming: Incoming, client: Client) -> None:
            seen.append(incoming.shown)
            await super().serve(incoming, client)

    with serve_app(Asked(load(environment={})), anthropic=True) as live:
        (second,) = live.server.config.http.dialects  # type: ignore[union-attr]  # ours
        for port in (live.port, second):
            place = f"http://127.0.0.1:{port}"
            status, _, _ = _post(place, "/v1/chat/completions", CHAT % b"")
            assert status in (200, 404)
    assert seen == [None, "anthropic"]


def test_the_system_watches_over_clients() -> None:
    with listen("127.0.0.1", 0) as sock:
        serving._watch_clients(sock, 7.5)
        with socket.create_connection(sock.getsockname()), sock.accept()[0] as peer:
            assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                level = socket.IPPROTO_TCP
                assert peer.getsockopt(level, socket.TCP_USER_TIMEOUT) == 7500
    with listen("127.0.0.1", 0) as sock:
        serving._watch_clients(sock, 0)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            level = socket.IPPROTO_TCP
            assert sock.getsockopt(level, socket.TCP_USER_TIMEOUT) == 0


def test_both_sockets_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []

    def run(self: uvicorn.Server, sockets: list[socket.socket]) -> None:
        ran.append((sockets, self.config.http.dialects))  # type: ignore[union-attr]  # ours

    monkeypatch.setattr(uvicorn.Server, "run", run)
    with listen("127.0.0.1", 0) as sock, listen("127.0.0.1", 0) as second:
        serve(load(environment={}), sock, second)
        assert ran == [([sock, second], {second.getsockname()[1]: "anthropic"})]


@pytest.mark.parametrize("early", [True, False])
def test_a_client_that_leaves_closes_the_upstreams_connection(early: bool) -> None:
    """Client, proxy and upstream over real sockets: nothing stays behind."""
    asked, closed = threading.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def upstream() -> None:
        peer, _ = listener.accept()
        with peer:
            data = b""
            while b'"messages"' not in data:
                data += peer.recv(65536)
            if not early:
                head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
                delta = b'{"choices": [{"index": 0, "delta": {"content": "a"}}]}'
                peer.sendall(head + b"data: " + delta + b"\n\n")
            asked.set()
            while peer.recv(65536):
                pass
            closed.set()

    thread = threading.Thread(target=upstream)
    thread.start()
    port = listener.getsockname()[1]
    backend = Backend(
        name="b", dialect="openai-chat", base_url=f"http://127.0.0.1:{port}/v1"
    )
    pool = Pool()
    app = App(Config(backends={"b": backend}, default_backend="b"), pool=pool)
    with listener, run_app(app) as root:
        connection = http.client.HTTPConnection(root.removeprefix("http://"))
        body = b'{"model": "m", "max_tokens": 9, "stream": true, "messages": []}'
        connection.request("POST", "/v1/messages", body)
        assert asked.wait(10)
        if not early:
            reply = connection.getresponse()
            assert reply.read1(14) == b"event: message"
            reply.close()
        connection.close()
        assert closed.wait(10)
        thread.join()
    assert (pool.counts.busy, pool.counts.idle, pool.counts.waiting) == (0, 0, 0)


def test_a_paced_stream_comes_as_it_is_made() -> None:
    rules = (SimulatorRule(match="slow", text="a" * 99, pace=0.001),)
    config = load(environment={})
    config = Config(
        backends=config.backends,
        default_backend=config.default_backend,
        simulator=Simulator(rules=rules),
    )
    with run_app(App(config)) as root:
        body = CHAT.replace(b"Hi", b"slow") % b', "stream": true'
        status, _, body = _post(root, "/v1/chat/completions", body)
    assert status == 200
    assert body.count(b"data: ") > 9
