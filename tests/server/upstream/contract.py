"""Every transport behind the seam, ready to be tested: over sockets, and by script.

A *wire* transport talks to a peer that plays byte for byte; a *scripted* one gets its
answers from a function; *any* transport, the simulator among them, gives one answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import anyio
import anyio.lowlevel

from llmwire_server.upstream import Transport, UpstreamRequest, UpstreamResponse
from llmwire_server.upstream.memory import MemoryTransport, Script
from llmwire_server.upstream.pool import Pool
from llmwire_server.upstream.proxied import ProxiedRoute, parse_proxy
from llmwire_server.upstream.simulator import Simulator
from llmwire_server.upstream.tls import client_context
from tests.server.upstream.loopback import Loopback, Play, play_script, serve
from tests.server.upstream.proxies import ProxySight, http_proxy, socks_proxy
from tests.server.upstream.test_connection import Authority

Call: TypeAlias = Callable[..., AbstractAsyncContextManager[UpstreamResponse]]
Scripted: TypeAlias = Callable[[Script], AbstractAsyncContextManager[Call]]


class Wired(NamedTuple):
    """A transport and the peer that it reaches."""

    transport: Transport
    pool: Pool
    peer: Loopback
    proxy: ProxySight | None

    def call(
        self, *args: Any, **fields: Any
    ) -> AbstractAsyncContextManager[UpstreamResponse]:
        return self.transport.open(self.peer.request(*args, **fields))

    async def fetch(self, *args: Any, **fields: Any) -> bytes:
        async with self.call(*args, **fields) as response:
            return await read_all(response)


Wire: TypeAlias = Callable[..., AbstractAsyncContextManager[Wired]]

DIRECT: dict[str, dict[str, Any]] = {
    "httptools": {"codec": "httptools"},
    "h11": {"codec": "h11"},
    "anyio": {"connect": anyio.connect_tcp},
}
WIRES = (*DIRECT, "http-proxy", "tunnel", "socks", "socks-tls")
"""Both codecs; streams that are anyio's own; requests in absolute form; TLS through
CONNECT; SOCKS5; TLS in it."""


async def read_all(response: UpstreamResponse) -> bytes:
    body = b""
    while data := await response.receive():
        body += data
    return body


async def until(condition: Callable[[], bool]) -> None:
    """Let everybody else go on until it is so."""
    with anyio.fail_after(3):
        while not condition():
            await anyio.lowlevel.checkpoint()


def _is_left(peer: Loopback, pool: Pool) -> bool:
    return peer.open <= pool.counts.idle


@contextlib.asynccontextmanager
async def nothing_left(*peers: Loopback, pool: Pool) -> AsyncIterator[None]:
    """Afterwards no exchange, waiter, connection or task is there that was not."""
    await anyio.wait_all_tasks_blocked()
    before = asyncio.all_tasks()
    yield
    assert pool.counts.busy == pool.counts.waiting == 0
    for peer in peers:
        await until(partial(_is_left, peer, pool))
    idle = pool.counts.idle * (len(peers) + 1)
    await until(lambda: len(asyncio.all_tasks() - before) <= idle)


@contextlib.asynccontextmanager
async def over_wire(
    name: str, folder: Path, play: Play, **options: Any
) -> AsyncIterator[Wired]:
    """The transport of that name, a peer, and what lies between."""
    tls = name in ("tunnel", "socks-tls")
    authority = Authority(folder) if tls else None
    sight = ProxySight()
    async with contextlib.AsyncExitStack() as stack:
        server = authority.server_context("localhost") if authority else None
        peer = await stack.enter_async_context(serve(play, tls=server))
        scheme = "socks5" if name.startswith("socks") else "http"
        if name in DIRECT:
            pool = await stack.enter_async_context(Pool(**DIRECT[name] | options))
            await stack.enter_async_context(nothing_left(peer, pool=pool))
            yield Wired(pool, pool, peer, None)
            return
        start = socks_proxy if scheme == "socks5" else http_proxy
        proxy = await stack.enter_async_context(start(sight))
        pool = await stack.enter_async_context(Pool(**options))
        await stack.enter_async_context(nothing_left(peer, proxy, pool=pool))
        context = client_context(ca_file=authority.ca_file if authority else None)
        url = parse_proxy(f"{scheme}://127.0.0.1:{proxy.port}")
        route = ProxiedRoute(pool, "proxied", url, lambda: context)
        yield Wired(route, pool, peer, sight)


def scripted(name: str, folder: Path) -> Scripted:
    """How the transport of that name is given a script."""
    return _over_memory if name == "memory" else partial(_over_wire, name, folder)


@contextlib.asynccontextmanager
async def _over_wire(name: str, folder: Path, script: Script) -> AsyncIterator[Call]:
    async with over_wire(name, folder, play_script(script)) as wired:
        yield wired.call


@contextlib.asynccontextmanager
async def _over_memory(script: Script) -> AsyncIterator[Call]:
    memory = MemoryTransport(script)
    yield partial(_call_nobody, memory)
    assert all(exchange.outcome != "open" for exchange in memory.exchanges)


@contextlib.asynccontextmanager
async def answering(name: str, folder: Path) -> AsyncIterator[Call]:
    """A transport of that name that gives one answer in several pieces."""
    if name == "simulator":
        body = b'{"model": "m", "stream": true, "messages": [{"role": "user", '
        body += b'"content": "Hello"}]}'
        target = "/v1/chat/completions"
        simulator = Simulator(pace=0.001)
        yield partial(_call_nobody, simulator, target=target, body=body)
        return
    async with scripted(name, folder)(
        lambda request: (200, [("Content-Type", "x")], [b"one, ", b"two, ", b"three"])
    ) as call:
        yield call


def _call_nobody(
    transport: Transport, target: str = "/", **fields: Any
) -> AbstractAsyncContextManager[UpstreamResponse]:
    given: dict[str, Any] = {"method": "POST", "scheme": "http", "host": "nobody"}
    given |= {"port": 80, "target": target} | fields
    return transport.open(UpstreamRequest(**given))
