"""One connection: opening, TLS, joining, liveness, and what a failure is called."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trustme
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from llmwire_server.upstream import Origin, UpstreamFailure
from llmwire_server.upstream.connection import Connection, connect_tcp
from llmwire_server.upstream.tls import client_context
from tests.server.upstream.loopback import Loopback, Peer, answer_all, serve
from tests.server.upstream.streams import ScriptedStream

pytestmark = pytest.mark.anyio


class Authority:
    """A CA, as files that `client_context` can read, and a server it vouches for."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.ca_file)
        self._folder = folder

    def issue(self, *names: str) -> str:
        path = self._folder / f"{'-'.join(names)}.pem"
        self.ca.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(
            str(path)
        )
        return str(path)

    def server_context(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue(*names))
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def no_context() -> ssl.SSLContext:
    raise AssertionError("no TLS was asked for")


async def open_to(
    loopback: Loopback,
    context: Callable[[], ssl.SSLContext] = no_context,
    host: str | None = None,
) -> Connection:
    request = loopback.request()
    connection = Connection(request.origin._replace(host=host or request.host))
    await connection.open(5.0, context)
    return connection


async def echo(peer: Peer) -> None:
    while True:
        await peer.send(await peer.stream.receive())


async def until_dead(connection: Connection) -> None:
    """The other side has done something; wait until it has arrived."""
    with anyio.fail_after(5):
        while not connection.dead:
            await anyio.lowlevel.checkpoint()


async def wait_to_be_left(peer: Peer) -> None:
    await peer.unless_left(anyio.sleep_forever())


async def test_bytes_go_out_and_come_in() -> None:
    async def play(peer: Peer) -> None:
        await peer.send(await peer.stream.receive())

    async with serve(play) as loopback:
        connection = await open_to(loopback)
        assert connection.opened
        await connection.send(b"a", b"b")
        assert await connection.receive() in (b"a", b"ab")
        await connection.close()
        assert not connection.opened
        await connection.close()


async def test_bytes_are_handed_over_without_waiting() -> None:
    go_on, taken = anyio.Event(), 0

    async def play(peer: Peer) -> None:
        nonlocal taken
        await go_on.wait()
        while True:
            taken += len(await peer.stream.receive())

    async with serve(play) as loopback:
        connection = await open_to(loopback)
        assert connection.hand_over(b"a", b"b") is None
        rest = connection.hand_over(bytes(30_000_000))
        assert rest is not None
        async with anyio.create_task_group() as group:
            group.start_soon(rest)
            await anyio.wait_all_tasks_blocked()
            go_on.set()
        await rest()  # Nothing is left of it.
        with anyio.fail_after(5):
            while taken < 30_000_002:
                await anyio.lowlevel.checkpoint()
        await connection.close()


async def test_what_is_handed_over_to_a_broken_connection() -> None:
    async with serve(wait_to_be_left) as loopback:
        connection = await open_to(loopback)
        rest = connection.hand_over(bytes(30_000_000))
        assert rest is not None
        stream: Any = connection._stream
        await stream.aclose()
        with pytest.raises(UpstreamFailure) as late:
            await rest()
        with pytest.raises(UpstreamFailure) as early:
            connection.hand_over(b"x")
        assert (late.value.kind, early.value.kind) == ("reset", "reset")


async def test_other_streams_are_sent_to_in_their_own_way() -> None:
    stream = ScriptedStream([b"x"])

    async def connect(host: str, port: int) -> ScriptedStream:
        return stream

    connection = Connection(Origin("http", "memory", 80))
    await connection.open(5.0, no_context, connect)
    rest = connection.hand_over(b"a", b"b")
    assert rest is not None
    before = len(stream.sent)
    await rest()
    assert (before, stream.sent) == (0, b"ab")
    await connection.close()


async def test_the_end_is_no_bytes() -> None:
    async def play(peer: Peer) -> None:
        await peer.send(b"x")

    async with serve(play) as loopback:
        connection = await open_to(loopback)
        assert await connection.receive() == b"x"
        assert await connection.receive() == b""
        assert await connection.receive() == b""
        await connection.close()


async def test_nagle_is_off() -> None:
    streams: list[ByteStream] = []

    async def connect(host: str, port: int) -> ByteStream:
        streams.append(await connect_tcp(host, port))
        return streams[0]

    async with serve(answer_all) as loopback:
        connection = Connection(loopback.request().origin)
        await connection.open(5.0, no_context, connect)
        raw = streams[0].extra(SocketAttribute.raw_socket)
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await connection.close()


@pytest.mark.parametrize("with_poll", [True, False])
async def test_an_idle_connection_is_alive_until_something_comes(
    with_poll: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_poll:  # As on Windows.
        monkeypatch.delattr(select, "poll", raising=False)
    speak = anyio.Event()

    async def play(peer: Peer) -> None:
        await speak.wait()
        await peer.send(b"x")
        await anyio.sleep_forever()

    async with serve(play) as loopback:
        connection = await open_to(loopback)
        assert not connection.dead
        speak.set()
        await until_dead(connection)
        await connection.close()
        assert connection.dead


async def test_a_connection_that_the_peer_closed_is_dead() -> None:
    close = anyio.Event()

    async def play(peer: Peer) -> None:
        await close.wait()

    async with serve(play) as loopback:
        connection = await open_to(loopback)
        close.set()
        await until_dead(connection)
        await connection.close()


@pytest.mark.parametrize("speaks", [True, False])
async def test_what_the_event_loop_has_not_seen_yet_is_death_too(speaks: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = Origin("http", "127.0.0.1", listener.getsockname()[1])
        connection = Connection(origin)
        await connection.open(5.0, no_context)
        peer, _ = listener.accept()
        with peer:
            assert not connection.dead
            if speaks:
                peer.send(b"x")
            else:
                peer.shutdown(socket.SHUT_WR)
            assert connection.dead
            await connection.close()


async def test_a_broken_connection_is_a_reset() -> None:
    async def play(peer: Peer) -> None:
        await peer.reset()

    async with serve(play) as loopback:
        connection = await open_to(loopback)
        with pytest.raises(UpstreamFailure) as caught:
            await connection.receive()
        assert caught.value.kind == "reset"
        await connection.close()
        for use in (connection.receive(), connection.send(b"x")):
            with pytest.raises(UpstreamFailure) as caught:
                await use
            assert caught.value.kind == "reset"


async def test_what_is_closed_for_being_late_is_a_timeout() -> None:
    async def play(peer: Peer) -> None:
        await anyio.sleep_forever()

    async with serve(play) as loopback, anyio.create_task_group() as group:
        connection = await open_to(loopback)
        connection.awaited = "nothing came"

        async def expire() -> None:
            connection.expired = True
            await connection.close()

        group.start_soon(expire)
        with pytest.raises(UpstreamFailure) as caught:
            await connection.receive()
        assert caught.value.kind == "timeout"
        assert caught.value.message.endswith(": nothing came")


async def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        connection = Connection(Origin("http", "127.0.0.1", bound.getsockname()[1]))
        with pytest.raises(UpstreamFailure) as caught:
            await connection.open(5.0, no_context)
    assert caught.value.kind == "connect"
    assert "Connection refused" in caught.value.message


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown name"), "unknown name"),
        (OSError("all failed"), "no address answered"),
        (ConnectionRefusedError(111, "('10.0.0.1', 80)"), "Connection refused"),
    ],
)
async def test_why_there_is_no_connection(error: OSError, message: str) -> None:
    async def connect(host: str, port: int) -> ByteStream:
        raise OSError("All connection attempts failed") from error

    connection = Connection(Origin("http", "nowhere.example", 80))
    with pytest.raises(UpstreamFailure) as caught:
        await connection.open(5.0, no_context, connect)
    assert str(caught.value) == f"connect: http://nowhere.example:80: {message}"


async def test_connecting_takes_too_long() -> None:
    async def connect(host: str, port: int) -> ByteStream:
        await anyio.sleep_forever()
        raise AssertionError

    connection = Connection(Origin("http", "slow.example", 80))
    with pytest.raises(UpstreamFailure) as caught:
        await connection.open(0.001, no_context, connect)
    assert caught.value.kind == "connect"
    assert "0.001 s" in caught.value.message


async def test_a_handshake_that_takes_too_long_leaves_nothing_open() -> None:
    stream = ScriptedStream([])

    async def receive(max_bytes: int = 65536) -> bytes:
        await anyio.sleep_forever()
        raise AssertionError

    async def connect(host: str, port: int) -> ByteStream:
        stream.receive = receive  # type: ignore[method-assign]  # Never answers.
        return stream

    connection = Connection(Origin("https", "slow.example", 443))
    with pytest.raises(UpstreamFailure) as caught:
        await connection.open(0.001, client_context, connect)
    assert caught.value.kind == "connect"
    assert stream.closed


@pytest.mark.parametrize(
    "received", [[], [anyio.BrokenResourceError()], [b"HTTP/1.1 400 X\r\n\r\n"]]
)
async def test_who_does_not_speak_tls(received: list[bytes | Exception]) -> None:
    stream = ScriptedStream(received)

    async def connect(host: str, port: int) -> ByteStream:
        return stream

    connection = Connection(Origin("https", "plain.example", 443))
    with pytest.raises(UpstreamFailure) as caught:
        await connection.open(5.0, client_context, connect)
    assert caught.value.kind == "tls"
    assert stream.closed
    assert not connection.opened


# --- TLS ----------------------------------------------------------------------------


async def test_a_peer_whom_the_ca_knows_is_trusted(authority: Authority) -> None:
    async with serve(echo, tls=authority.server_context("localhost")) as loopback:
        connection = await open_to(
            loopback, lambda: client_context(ca_file=authority.ca_file)
        )
        await connection.send(b"hello")
        assert await connection.receive() == b"hello"
        assert not connection.dead
        await connection.close()


async def test_a_peer_whom_nobody_knows_is_refused(authority: Authority) -> None:
    async with serve(echo, tls=authority.server_context("localhost")) as loopback:
        with pytest.raises(UpstreamFailure) as caught:
            await open_to(loopback, client_context)
    assert caught.value.kind == "tls"
    assert "certificate verify failed" in caught.value.message


async def test_a_peer_of_another_name_is_refused(authority: Authority) -> None:
    async with serve(echo, tls=authority.server_context("other.example")) as loopback:
        with pytest.raises(UpstreamFailure) as caught:
            await open_to(loopback, lambda: client_context(ca_file=authority.ca_file))
    assert caught.value.kind == "tls"
    assert "localhost" in caught.value.message


async def test_a_client_can_say_who_it_is(authority: Authority) -> None:
    server = authority.server_context("localhost")
    server.verify_mode = ssl.CERT_REQUIRED
    authority.ca.configure_trust(server)
    certificate = authority.issue("me@client.example")
    async with serve(echo, tls=server) as loopback:
        connection = await open_to(
            loopback,
            lambda: client_context(ca_file=authority.ca_file, certificate=certificate),
        )
        await connection.send(b"hello")
        assert await connection.receive() == b"hello"
        await connection.close()


async def test_records_that_came_together_are_given_as_one(
    authority: Authority,
) -> None:
    async def play(peer: Peer) -> None:
        await peer.stream.receive()
        tls = peer.stream
        assert isinstance(tls, TLSStream)
        for _ in range(3):  # Three records and the end, in one segment.
            tls._ssl_object.write(b"x" * 10)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls._ssl_object.unwrap()
        await tls.transport_stream.send(tls._write_bio.read())
        await anyio.sleep_forever()

    async with serve(play, tls=authority.server_context("localhost")) as loopback:
        connection = await open_to(
            loopback, lambda: client_context(ca_file=authority.ca_file)
        )
        await connection.send(b"go")
        assert await connection.receive() == b"x" * 30
        assert await connection.receive() == b""
        await connection.close()


@pytest.mark.parametrize("polite", [True, False])
async def test_tls_that_ends_without_saying_so_is_broken(
    authority: Authority, polite: bool
) -> None:
    async def play(peer: Peer) -> None:
        await peer.send(b"x")
        await peer.stream.receive()
        if polite:
            assert isinstance(peer.stream, TLSStream)
            peer.stream.standard_compatible = True
            await peer.stream.aclose()

    async with serve(play, tls=authority.server_context("localhost")) as loopback:
        connection = await open_to(
            loopback, lambda: client_context(ca_file=authority.ca_file)
        )
        assert await connection.receive() == b"x"
        await connection.send(b"enough")
        if polite:
            assert await connection.receive() == b""
        else:
            with pytest.raises(UpstreamFailure) as caught:
                await connection.receive()
            assert caught.value.kind == "reset"
        await connection.close()


def test_the_default_context_verifies() -> None:
    context = client_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_ca_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        client_context(ca_file=str(tmp_path / "none.pem"))
