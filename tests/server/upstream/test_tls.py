"""TLS as a client speaks it: sessions taken up again, ALPN, dual stacks."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio._core._eventloop import get_async_backend

from llmwire_server.upstream import UpstreamFailure
from llmwire_server.upstream.connection import Connection, connect_tcp
from llmwire_server.upstream.pool import Pool
from llmwire_server.upstream.tls import client_context
from tests.server.upstream.contract import over_wire, read_all
from tests.server.upstream.loopback import Peer, answer_all, plain, serve
from tests.server.upstream.test_connection import Authority

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_is_taken_up_again(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    authority = Authority(tmp_path)
    server = authority.server_context("localhost")
    server.maximum_version = version
    server.set_alpn_protocols(["h2", "http/1.1"])
    reused: list[bool | None] = []
    spoken: list[str | None] = []

    async def play(peer: Peer) -> None:
        received = await peer.read()
        tls: Any = peer.stream
        reused.append(tls._ssl_object.session_reused)
        spoken.append(tls._ssl_object.selected_alpn_protocol())
        await peer.send(plain(received.body))
        await peer.end()

    context = client_context(ca_file=authority.ca_file)
    async with serve(play, tls=server) as loopback, Pool(ssl_context=context) as pool:
        for _ in range(3):
            async with pool.open(loopback.request(body=b"x")) as response:
                assert await read_all(response) == b"x"
    assert reused == [False, True, True]
    assert spoken == ["http/1.1"] * 3


async def test_a_session_is_taken_up_again_behind_a_proxy(tmp_path: Path) -> None:
    reused: list[bool | None] = []

    async def play(peer: Peer) -> None:
        await peer.read()
        tls: Any = peer.stream
        reused.append(tls._ssl_object.session_reused)
        await peer.send(plain(b"ok"))
        await peer.end()

    async with over_wire("tunnel", tmp_path, play) as wired:
        for _ in range(2):
            assert await wired.fetch() == b"ok"
    assert reused == [False, True]


async def test_a_forgotten_session_costs_a_full_handshake(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = client_context(ca_file=authority.ca_file)
    async with Pool(ssl_context=context) as pool:
        for _ in range(2):  # Each with ticket keys of its own.
            server = authority.server_context("localhost")
            async with (
                serve(answer_all, tls=server) as loopback,
                pool.open(loopback.request(body=b"x")) as response,
            ):
                assert await read_all(response) == b"x"


def test_a_key_that_needs_a_password_is_not_asked_for(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    path = tmp_path / "key.pem"
    path.write_bytes(key)
    certificate = Authority(tmp_path).issue("client.example")
    with pytest.raises(OSError, match=r"key\.pem"):
        client_context(certificate=certificate, key=str(path))


# --- Names with several addresses -----------------------------------------------------


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[int, str]]]:
    """What names stand for, instead of what the system says."""
    known: dict[str, list[tuple[int, str]]] = {}

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (family, socket.SOCK_STREAM, 0, "", (address, port))
            for family, address in known.get(host, [(socket.AF_INET, host)])
        ]

    monkeypatch.setattr("anyio._core._sockets.getaddrinfo", getaddrinfo)
    return known


async def test_who_does_not_listen_on_ipv6_is_reached_by_ipv4(
    names: dict[str, list[tuple[int, str]]],
) -> None:
    names["both.example"] = [
        (socket.AF_INET6, "::1"),
        (socket.AF_INET, "127.0.0.1"),
    ]
    async with serve(answer_all) as loopback, Pool() as pool:
        request = loopback.request(host="both.example", body=b"x")
        async with pool.open(request) as response:
            assert await read_all(response) == b"x"


async def test_an_address_that_does_not_answer_is_overtaken(
    names: dict[str, list[tuple[int, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    backend: Any = get_async_backend()
    original = backend.connect_tcp

    async def connect(host: str, port: int, local: Any = None) -> Any:
        tried.append(host)
        if host == "::1":
            await anyio.sleep_forever()
        return await original(host, port, local)

    monkeypatch.setattr(backend, "connect_tcp", connect)
    names["both.example"] = [
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET6, "::1"),
    ]
    async with serve(answer_all) as loopback:
        with anyio.fail_after(10):
            stream = await connect_tcp("both.example", loopback.port)
            await stream.aclose()
        assert tried == ["::1", "127.0.0.1"]
        names["both.example"].pop(0)
        origin = loopback.request(host="both.example").origin
        with pytest.raises(UpstreamFailure) as caught:
            await Connection(origin).open(0.02, client_context)
        assert caught.value.kind == "connect"
