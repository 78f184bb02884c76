"""Tests of `llmwire_server.protocol`: raw bytes over real sockets; nothing hangs."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from llmwire_server.app import App
from llmwire_server.backends import SIMULATOR, Backend, Secret
from llmwire_server.client import Client
from llmwire_server.config import Config
from llmwire_server.config.tree import RequestLimits, Simulator, TimeLimits
from llmwire_server.gathering import gathering
from llmwire_server.incoming import Incoming
from llmwire_server.protocol import front_protocol
from tests.server.live import play, run_app, serve_app, until
from tests.server.test_cycle import Line

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}'
LENGTH = b"content-length: %d\r\n" % len(BODY)
STREAM = BODY[:-1] + b', "stream": true}'
LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
HEAD = LINE + b"host: localhost\r\n"
GOOD = HEAD + LENGTH + b"\r\n" + BODY
SIMULATED = {SIMULATOR: Backend(name=SIMULATOR, dialect="openai-chat")}


def _app(**fields: Any) -> App:
    given: dict[str, Any] = {"backends": SIMULATED, "default_backend": SIMULATOR}
    return App(Config(**(given | fields)))


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with run_app(_app()) as url:
        yield url


@contextlib.contextmanager
def _connected(root: str) -> Iterator[socket.socket]:
    host, _, port = root.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as peer:
        yield peer


def _send(peer: socket.socket, data: bytes) -> None:
    """The other side may have had enough of it."""
    with contextlib.suppress(OSError):
        peer.sendall(data)


def _until_closed(peer: socket.socket) -> bytes:
    data = b""
    while True:
        try:
            piece = peer.recv(65536)
        except ConnectionError:
            return data
        if not piece:
            return data
        data += piece


def _ask(root: str, data: bytes) -> bytes:
    """What comes back, until the server closes; fails where it does not."""
    with _connected(root) as peer:
        _send(peer, data)
        return _until_closed(peer)


def _answer(peer: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer, as its framing says."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(65536)
        assert piece, data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    length = int(headers.get("content-length", 0))
    while len(body) < length:
        body += peer.recv(65536)
    return int(first.split(" ")[1]), headers, body[:length]


# --- What is no HTTP ---------------------------------------------------------------

CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"

GARBAGE: dict[str, bytes] = {
    "nothing of HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 99,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no method": b"/v1/models HTTP/1.1\r\n\r\n",
    "unknown method": b"BREW /v1/models HTTP/1.1\r\nhost: a\r\n\r\n",
    "HTTP/0.9": b"GET /v1/models\r\n\r\n",
    "bad version": b"GET /v1/models HTTP/9.9\r\nhost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
    "space in target": b"GET /v1/ models HTTP/1.1\r\nhost: a\r\n\r\n",
    "bytes in target": b"GET /v1/\xff\x00 HTTP/1.1\r\nhost: a\r\n\r\n",
    "no colon": HEAD + b"nothing\r\n\r\n",
    "space before colon": HEAD + b"content-length : 5\r\n\r\nabcde",
    "folded": HEAD + b"content-length: 5\r\n folded\r\n\r\nabcde",
    "folded first": LINE + b" host: a\r\n\r\n",
    "null in value": HEAD + b"a: b\x00c\r\n\r\n",
    "null in name": HEAD + b"a\x00: b\r\n\r\n",
    "return in value": HEAD + b"a: b\rc: d\r\n\r\n",
    "no name": HEAD + b": b\r\n\r\n",
    "bare line feeds": HEAD.replace(b"\r\n", b"\n") + b"a\n\n",
    "length and chunks": HEAD + LENGTH + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": HEAD
    + b"transfer-encoding: chunked\r\n"
    + LENGTH
    + b"\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
    "the same length twice": HEAD + b"content-length: 5\r\n" * 2 + b"\r\nabcde",
    "lengths in one": HEAD + b"content-length: 5, 5\r\n\r\nabcde",
    "negative length": HEAD + b"content-length: -1\r\n\r\n",
    "signed length": HEAD + b"content-length: +5\r\n\r\nabcde",
    "hexadecimal length": HEAD + b"content-length: 0x5\r\n\r\nabcde",
    "endless length": HEAD + b"content-length: " + b"9" * 40 + b"\r\n\r\n",
    "empty length": HEAD + b"content-length:\r\n\r\n",
    "chunked twice": HEAD
    + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked is not last": HEAD + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked is misspelt": HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked in a vertical tab": HEAD
    + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunk without a size": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "chunk of another size": CHUNKED + b"2\r\nabc\r\n0\r\n\r\n",
    "chunk of no number": CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n",
    "chunk of negative size": CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n",
    "chunk of prefixed size": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "chunk of endless size": CHUNKED + b"f" * 17 + b"\r\nabc\r\n0\r\n\r\n",
    "chunk in bare line feeds": CHUNKED + b"3\nabc\n0\n\n",
    "chunk with a bad extension": CHUNKED + b"3;\x00\r\nabc\r\n0\r\n\r\n",
    "trailer of no header": CHUNKED + b"0\r\nno\x00thing\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("pieces", [1, 0])
def test_what_is_no_http_is_answered_and_ends_the_connection(
    root: str, name: str, pieces: int
) -> None:
    with _connected(root) as peer:
        if pieces:
            _send(peer, GARBAGE[name])
        else:
            for byte in GARBAGE[name]:
                _send(peer, bytes((byte,)))
        came = _until_closed(peer)
    status = int(came.split(b" ")[1])
    assert 400 <= status < 600 and b"connection: close" in came, came
    assert came.count(b"HTTP/1.1 ") == 1
    assert json.loads(came.partition(b"\r\n\r\n")[2])["error"]["message"]


@pytest.mark.parametrize("name", GARBAGE)
def test_whatever_follows_garbage_is_not_read_as_a_request(
    root: str, name: str
) -> None:
    came = _ask(root, GARBAGE[name] + GOOD)
    assert came.count(b"HTTP/1.1 ") == 1
    assert b"You said" not in came


def test_the_error_has_the_envelope_of_its_path(root: str) -> None:
    tail = b" HTTP/1.1\r\nhost: a\r\nno\x00\r\n\r\n"
    for path in (b"/v1/messages?key=k", b"/anthropic/v1/messages"):
        error = json.loads(_ask(root, b"POST " + path + tail).partition(b"\r\n\r\n")[2])
        assert error["type"] == "error"
    path = b"/v1beta/models/m:generateContent"
    error = json.loads(_ask(root, b"POST " + path + tail).partition(b"\r\n\r\n")[2])
    assert error["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (LINE + LENGTH, 400),
        (HEAD + b"host: b\r\n" + LENGTH, 400),
        (HEAD + b"transfer-encoding: gzip, chunked\r\n", 501),
        (LINE.replace(b"1.1", b"1.0") + LENGTH, 200),
        (HEAD.replace(b"/v1/", b"http://localhost/v1/") + LENGTH, 200),
    ],
)
def test_heads_that_are_http_but_may_not_be(
    root: str, head: bytes, status: int
) -> None:
    body = b"3f\r\n" + BODY + b"\r\n0\r\n\r\n" if b"chunked" in head else BODY
    came = _ask(root, head + b"connection: close\r\n\r\n" + body)
    assert int(came.split(b" ")[1]) == status


# --- Smuggling: one answer for each request, and none for what hides in a body -----


def test_a_request_in_a_body_is_a_body(root: str) -> None:
    hidden = HEAD + b"content-length: %d\r\n\r\n" % len(GOOD) + GOOD
    with _connected(root) as peer:
        _send(peer, hidden)
        assert _answer(peer)[0] == 400
        _send(peer, b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
        status, _, body = _answer(peer)
        assert (status, body) == (200, b'{"status":"ok"}')


def test_trailers_are_no_headers(root: str) -> None:
    size = b"%x\r\n" % len(BODY)
    data = CHUNKED + size + BODY + b"\r\n0\r\nx-request-id: trailer\r\n\r\n"
    with _connected(root) as peer:
        _send(peer, data)
        status, headers, _ = _answer(peer)
        assert status == 200
        assert headers["x-request-id"] != "trailer"
        _send(peer, GOOD)
        assert _answer(peer)[0] == 200


def test_requests_in_a_row_are_answered_in_a_row(root: str) -> None:
    with _connected(root) as peer:
        _send(peer, GOOD + b"\r\n" + b"GET /live HTTP/1.1\r\nhost: a\r\n\r\n" + GOOD)
        came = b""
        while came.count(b"You said") < 2:
            came += peer.recv(65536)
    assert came.index(b"You said") < came.index(b'{"status":"ok"}')


@pytest.mark.parametrize(
    "rest", [b"\x00garbage\r\n\r\n", b"GET / HTTP/1.1\r\nno\r\n\r\n"]
)
def test_no_error_stands_inside_of_an_answer(rest: bytes) -> None:
    slow = Simulator(pace=0.05)
    with run_app(_app(simulator=slow)) as root, _connected(root) as peer:
        head = HEAD + b"content-length: %d\r\n\r\n" % len(STREAM)
        _send(peer, head + STREAM)
        came = b""
        while b"data: " not in came:
            came += peer.recv(65536)
        _send(peer, rest)
        came += _until_closed(peer)
    assert came.count(b"HTTP/1.1 ") == 1
    assert b"400" not in came


# --- Limits --------------------------------------------------------------------------


def _huge(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece * 64


HUGE: dict[str, tuple[bytes, bytes, int]] = {
    "a header": (HEAD + b"a: ", b"b" * 1024, 431),
    "headers": (HEAD, b"a: b\r\n" * 99, 431),
    "a name": (HEAD, b"a" * 1024, 431),
    "a target": (b"GET /", b"a" * 1024, 431),
    "empty lines": (b"", b"\r\n" * 512, 400),
    "an extension": (CHUNKED + b"1;a=", b"b" * 1024, 400),
    "a trailer": (CHUNKED + b"0\r\na: ", b"b" * 1024, 400),
    "trailers": (CHUNKED + b"0\r\n", b"a: b\r\n" * 99, 400),
    "zeros of a size": (CHUNKED, b"0" * 1024, 400),
}


@pytest.mark.parametrize("name", HUGE)
def test_what_has_no_end_is_ended(root: str, name: str) -> None:
    begin, piece, status = HUGE[name]
    with _connected(root) as peer:
        sent = 0
        try:
            peer.sendall(begin)
            for data in _huge(piece):
                peer.sendall(data)
                sent += len(data)
                assert sent < 64 * 1024 * 1024
        except OSError:
            pass
        came = _until_closed(peer)
    # Whoever goes on sending may find the answer gone with its connection.
    assert came == b"" or int(came.split(b" ")[1]) == status


@pytest.mark.parametrize("name", HUGE)
def test_and_whoever_stops_sending_is_told(root: str, name: str) -> None:
    begin, piece, status = HUGE[name]
    with _connected(root) as peer:
        data = begin + piece * (512 * 1024 // len(piece))
        for at in range(0, len(data), 8192):
            _send(peer, data[at : at + 8192])
        came = _until_closed(peer)
    assert int(came.split(b" ")[1]) == status, came
    assert json.loads(came.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_heads_that_come_whole_have_their_limits_too() -> None:
    limits = RequestLimits(headers=5, header_bytes=200)
    with run_app(_app(limits=limits)) as root:
        for more in (b"a: b\r\n" * 5, b"a: " + b"b" * 200 + b"\r\n"):
            with _connected(root) as peer:
                _send(peer, HEAD + LENGTH + more + b"\r\n" + BODY)
                status, headers, body = _answer(peer)
                assert status == 431
                assert json.loads(body)["error"]["message"]
                assert headers["x-request-id"]


@pytest.mark.parametrize("begun", [b"", b"POST /v1/mess", HEAD, HEAD + b"a: b"])
def test_a_head_that_does_not_come(begun: bytes) -> None:
    with run_app(_app(timeouts=TimeLimits(head=0.05))) as root:
        came = _ask(root, begun)
    assert (b" 408 " in came) is bool(begun)


def test_nor_does_the_second_one() -> None:
    with run_app(_app(timeouts=TimeLimits(head=0.05))) as root:
        with _connected(root) as peer:
            _send(peer, GOOD + HEAD)
            assert _answer(peer)[0] == 200
            assert b" 408 " in _until_closed(peer)
        for rest in (b"\r\n", b""):
            with _connected(root) as peer:
                _send(peer, GOOD)
                assert _answer(peer)[0] == 200
                _send(peer, rest)
                if rest:
                    assert _until_closed(peer) == b""


def test_a_body_that_does_not_come() -> None:
    with run_app(_app(timeouts=TimeLimits(body=0.05))) as root:
        for head in (HEAD + LENGTH + b"\r\n{", CHUNKED, CHUNKED + b"1\r\n{"):
            came = _ask(root, head)
            assert b" 408 " in came
            assert b"connection: close" in came


def test_a_body_that_is_refused_is_thrown_away() -> None:
    limits = RequestLimits(body=1000)
    with run_app(_app(limits=limits)) as root, _connected(root) as peer:
        for _ in range(3):
            _send(peer, HEAD + b"content-length: 1500\r\n\r\n" + b" " * 1500)
            assert _answer(peer)[0] == 413
        size = b"%x\r\n" % len(BODY)
        _send(peer, CHUNKED + size + BODY + b"\r\n0\r\n\r\n")
        assert _answer(peer)[0] == 200
        _send(peer, HEAD + b"content-length: 99999999\r\n\r\n")
        assert _answer(peer)[0] == 413
        _send(peer, b" " * 1001)
        assert _until_closed(peer) == b""


def test_a_body_that_is_refused_and_never_comes() -> None:
    limits, times = RequestLimits(body=1000), TimeLimits(head=0.05)
    with run_app(_app(limits=limits, timeouts=times)) as root, _connected(root) as peer:
        _send(peer, HEAD + b"content-length: 1500\r\n\r\n")
        assert _answer(peer)[0] == 413
        assert _until_closed(peer) == b""


def test_garbage_behind_an_answer_ends_the_connection_in_silence() -> None:
    with run_app(_app(keys=(Secret("client-key"),))) as root:
        with _connected(root) as peer:
            _send(peer, CHUNKED + b"1\r\n{")
            assert _answer(peer)[0] == 401
            _send(peer, b"\r\nzz\r\n" + GOOD)
            assert _until_closed(peer) == b""
        with _connected(root) as peer:
            _send(peer, HEAD + LENGTH + b"\r\n" + BODY[:9])
            assert _answer(peer)[0] == 401
            _send(peer, BODY[9:] + GOOD)
            assert _answer(peer)[0] == 401


def test_heads_may_have_all_the_time_there_is() -> None:
    with run_app(_app(timeouts=TimeLimits(head=0))) as root, _connected(root) as peer:
        for byte in GOOD:
            _send(peer, bytes((byte,)))
        assert _answer(peer)[0] == 200


# --- Expect, Upgrade ----------------------------------------------------------------

EXPECT = b"expect: 100-continue\r\n"


def test_a_client_that_waits_is_told_to_go_on(root: str) -> None:
    with _connected(root) as peer:
        _send(peer, HEAD + EXPECT + LENGTH + b"\r\n")
        assert peer.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        _send(peer, BODY)
        assert _answer(peer)[0] == 200


@pytest.mark.parametrize(
    ("fields", "more", "status"),
    [
        ({"keys": (Secret("client-key"),)}, b"", 401),
        ({"limits": RequestLimits(body=10)}, b"", 413),
        ({}, b"content-encoding: br\r\n", 415),
        ({"limits": RequestLimits(headers=1)}, b"", 431),
    ],
)
def test_or_why_not_and_never_both(
    fields: dict[str, Any], more: bytes, status: int
) -> None:
    with run_app(_app(**fields)) as root:
        came = _ask(root, HEAD + EXPECT + LENGTH + more + b"\r\n")
    assert came.startswith(b"HTTP/1.1 %d " % status)
    assert b"100 Continue" not in came


UPGRADES: dict[str, bytes] = {
    "h2c": b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
    b"http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n",
    "websocket": b"connection: keep-alive, upgrade\r\nupgrade: websocket\r\n",
    "tls": b"Upgrade: TLS/1.0\r\nConnection: upgrade\r\n",
}


@pytest.mark.parametrize("name", UPGRADES)
@pytest.mark.parametrize("whole", [True, False])
def test_an_upgrade_is_an_offer_only(root: str, name: str, whole: bool) -> None:
    data = HEAD + UPGRADES[name] + LENGTH + b"\r\n" + BODY
    with _connected(root) as peer:
        for _ in range(2):
            if whole:
                _send(peer, data)
            else:
                for byte in data:
                    _send(peer, bytes((byte,)))
            status, _, body = _answer(peer)
            assert status == 200
            assert b"You said: Hi" in body


def test_an_upgrade_behind_another_request_is_not_read(root: str) -> None:
    data = HEAD + UPGRADES["h2c"] + LENGTH + b"\r\n" + BODY
    came = _ask(root, data * 3)
    assert came.count(b"HTTP/1.1 ") <= 1


# --- Nothing is believed, nothing is kept ---------------------------------------------


def test_a_proxys_headers_are_not_believed() -> None:
    seen: list[Any] = []
    app = _app()
    served = app.serve

    async def serve(incoming: Incoming, client: Client) -> None:
        seen.append(incoming.peer)
        await served(incoming, client)

    app.serve = serve  # type: ignore[method-assign]  # to see what uvicorn says
    with run_app(app) as root, _connected(root) as peer:
        _send(peer, HEAD + b"x-forwarded-for: 10.1.2.3\r\n" + LENGTH + b"\r\n" + BODY)
        assert _answer(peer)[0] == 403
    assert seen == ["127.0.0.1"]


def test_head_and_options(root: str) -> None:
    with _connected(root) as peer:
        _send(peer, b"HEAD /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(65536)
        assert head.endswith(b"\r\n\r\n") and b" 200 " in head
        _send(peer, b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        _, headers, body = _answer(peer)
        length = next(v for v in head.split(b"\r\n") if v.startswith(b"content-length"))
        assert length == b"content-length: %d" % len(body)
        _send(peer, b"OPTIONS /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        status, headers, _ = _answer(peer)
        assert (status, headers["allow"]) == (200, "GET, HEAD, OPTIONS")
        _send(peer, b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n")
        status, headers, _ = _answer(peer)
        assert (status, headers["allow"]) == (200, "GET, HEAD, OPTIONS, POST")


def test_keys_and_cookies_stay_here() -> None:
    seen: list[bytes] = []

    def answer(head: bytes, body: bytes) -> bytes:
        seen.append(head + body)
        return b"HTTP/1.1 500 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

    secrets = b"client-key-header", b"client-key-query", b"cookie-value"
    with play(answer) as upstream:
        backend = Backend(
            name="up",
            dialect="openai-chat",
            base_url=f"{upstream}/v1",
            api_key=Secret("upstream-key"),
        )
        config = {
            "backends": {"up": backend},
            "default_backend": "up",
            "keys": (Secret("client-key-header"),),
        }
        head = HEAD.replace(b"completions", b"completions?key=client-key-query") + (
            b"authorization: Bearer client-key-header\r\n"
            b"x-api-key: client-key-header\r\nx-goog-api-key: client-key-header\r\n"
            b"cookie: a=cookie-value\r\nx-forwarded-for: 10.1.2.3\r\n"
        )
        with run_app(_app(**config)) as root, _connected(root) as peer:
            _send(peer, head + LENGTH + b"\r\n" + BODY)
            assert _answer(peer)[0] == 500
    assert b"Bearer upstream-key" in seen[0]
    for secret in (*secrets, b"10.1.2.3"):
        assert secret not in seen[0]


@pytest.mark.parametrize("calls", [1, 3])
def test_an_idle_connection_is_closed_and_no_other(calls: int) -> None:
    pace = Simulator(pace=0.05)
    with serve_app(_app(simulator=pace)) as live:
        live.server.config.timeout_keep_alive = 0.02  # type: ignore[assignment]  # seconds
        with _connected(live.root) as peer:
            for _ in range(calls):
                _send(peer, HEAD + b"content-length: %d\r\n\r\n" % len(STREAM) + STREAM)
                data = b""
                while not data.endswith(b"0\r\n\r\n"):
                    piece = peer.recv(65536)
                    assert piece, data
                    data += piece
                assert b"[DONE]" in data
            assert _until_closed(peer) == b""


def test_an_application_that_fails_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(App):
        async def serve(self, incoming: Incoming, client: Client) -> None:
            raise ValueError

    with run_app(Failing(_app().config)) as root, _connected(root) as peer:
        _send(peer, GOOD)
        status, headers, _ = _answer(peer)
        assert (status, headers["connection"]) == (500, "close")
        assert _until_closed(peer) == b""
    assert "a call failed: ValueError" in caplog.messages


@pytest.mark.anyio
async def test_an_answer_is_whole_when_the_server_ends_in_the_same_turn() -> None:
    app = _app()
    config = uvicorn.Config(app, log_config=None)
    made: Any = front_protocol(app, {})
    connection = made(config, ServerState(), {})
    line = Line()
    connection.connection_made(line)
    gathering().calls += 99
    connection.on_response_complete = connection.shutdown
    try:
        connection.data_received(GOOD)
        (task,) = connection.tasks
        await task
    finally:
        gathering().calls -= 99
    assert line.closed
    head, _, body = b"".join(line.writes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 ")
    assert json.loads(body)["error"]["message"]
    connection.connection_lost(None)


def test_a_client_that_leaves_pipelined_calls_is_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = _app(simulator=Simulator(pace=0.05))
    streamed = HEAD + b"content-length: %d\r\n\r\n" % len(STREAM) + STREAM
    with run_app(app) as root:
        with _connected(root) as peer:
            _send(peer, streamed * 3)
            until(lambda: app._calls == 1)
        until(lambda: not app._calls)
    assert "a call ended without a complete answer" not in caplog.messages


def test_nothing_is_left_behind() -> None:
    app = _app()
    with run_app(app) as root:
        for data in (
            *GARBAGE.values(),
            GOOD.replace(b"host", b"connection: close\r\nhost"),
        ):
            _ask(root, data)
    assert app._calls == 0
    assert app.shutdown.running == 0
