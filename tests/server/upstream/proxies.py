"""Small proxies on the loopback interface for tests: HTTP and SOCKS5."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream

from tests.server.upstream.loopback import ENDED, Loopback, Peer, serve

USER, PASSWORD = "proxy-user", "proxy-SECRET@:/"


class ProxySight:
    """What a proxy saw."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        """Request lines, or hosts and ports that SOCKS was asked for."""
        self.refuse = b""
        """Said instead of reaching anybody."""
        self.silent = False
        """Nothing is answered at all."""


@contextlib.asynccontextmanager
async def http_proxy(
    sight: ProxySight, *, secured: bool = False
) -> AsyncIterator[Loopback]:
    """CONNECT, and requests in absolute form; `secured` asks for credentials."""
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    async def play(peer: Peer) -> None:
        received = await peer.read_head()
        sight.lines.append(received.line)
        if sight.silent:
            await anyio.sleep_forever()
        if secured and received.values("proxy-authorization") != [f"Basic {token}"]:
            await peer.send(b"HTTP/1.1 407 Who SECRET\r\ncontent-length: 0\r\n\r\n")
            return
        if sight.refuse:
            await peer.send(sight.refuse)
            return
        method, target, version = received.line.split(" ")
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            async with await anyio.connect_tcp(host, int(port)) as server:
                await peer.send(b"HTTP/1.1 200 Connected\r\n\r\n")
                await _join(peer, server)
            return
        url = urlsplit(target)
        path = target.partition(url.netloc)[2]
        lines = [f"{method} {path} {version}"]
        lines += [
            f"{name}: {value}"
            for name, value in received.headers
            if not name.lower().startswith("proxy-")
        ]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        async with await anyio.connect_tcp(url.hostname or "", url.port or 80) as to:
            await to.send(head)
            await _join(peer, to)

    async with serve(play) as loopback:
        yield loopback


@contextlib.asynccontextmanager
async def socks_proxy(
    sight: ProxySight, *, secured: bool = False
) -> AsyncIterator[Loopback]:
    """SOCKS5 (RFC 1928), with a user and a password (RFC 1929) if `secured`."""

    async def play(peer: Peer) -> None:
        if sight.silent:
            await anyio.sleep_forever()
        if sight.refuse:
            await peer.stream.receive()
            await peer.send(sight.refuse)
            return
        _, count = await peer.take(2)
        await peer.take(count)
        await peer.send(b"\x05\x02" if secured else b"\x05\x00")
        if secured:
            user = await peer.take((await peer.take(2))[1])
            password = await peer.take((await peer.take(1))[0])
            good = (user, password) == (USER.encode(), PASSWORD.encode())
            await peer.send(b"\x01\x00" if good else b"\x01\x01")
        _, _, _, kind = await peer.take(4)
        if kind == 1:
            host = ".".join(str(byte) for byte in await peer.take(4))
        else:
            host = (await peer.take((await peer.take(1))[0])).decode()
        port = int.from_bytes(await peer.take(2), "big")
        sight.lines.append(f"{host}:{port}")
        try:
            server = await anyio.connect_tcp(host, port)
        except OSError:
            await peer.send(b"\x05\x05\x00\x01" + bytes(6))
            return
        async with server:
            await peer.send(b"\x05\x00\x00\x01" + bytes(6))
            await _join(peer, server)

    async with serve(play) as loopback:
        yield loopback


async def _join(peer: Peer, server: ByteStream) -> None:
    """Both ways until either side ends; a server's reset is passed on as one."""

    async def upwards() -> None:
        with contextlib.suppress(*ENDED):
            await server.send(peer.rest())
            while True:
                await server.send(await peer.stream.receive())
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(upwards)
        with contextlib.suppress(*ENDED):
            while True:
                try:
                    data = await server.receive()
                except anyio.BrokenResourceError:
                    await peer.reset()
                    break
                await peer.send(data)
        group.cancel_scope.cancel()
