"""One call over the pool, beside a bare asyncio protocol client that does nothing else.

The upstream is a bare asyncio protocol in a process of its own; a call is a POST of
1 kB that is answered by 1 kB.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from llmwire_server.upstream import UpstreamRequest
from llmwire_server.upstream.pool import Pool

BODY = b"x" * 1000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWER += b"Content-Length: 1000\r\n\r\n" + BODY
HEADERS = (("authorization", "Bearer x"), ("content-type", "application/json"))
CALLS = 512


class _Server(asyncio.Protocol):
    """Answers whatever ends as the request does."""

    def __init__(self) -> None:
        self.size = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.size += len(data)
        if data.endswith(BODY[:100]) and self.size > len(BODY):
            self.size = 0
            self.transport.write(ANSWER)


def _serve(sock: socket.socket) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(_Server, sock=sock)
        await server.serve_forever()

    asyncio.run(run())


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    sock = socket.create_server(("127.0.0.1", 0), backlog=256)
    process = multiprocessing.get_context("fork").Process(
        target=_serve, args=(sock,), daemon=True
    )
    process.start()
    yield sock.getsockname()[1]
    process.terminate()
    process.join()
    sock.close()


class _Client(asyncio.Protocol):
    """The least that a call could cost."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.size += len(data)
        if self.size >= len(ANSWER):
            self.answered.set_result(None)

    async def call(self, request: bytes) -> None:
        self.size = 0
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        await self.answered


async def _at_once(concurrency: int, call: Callable[[], Awaitable[None]]) -> None:
    async def work() -> None:
        for _ in range(CALLS // concurrency):
            await call()

    async with anyio.create_task_group() as group:
        for _ in range(concurrency):
            group.start_soon(work)


@pytest.mark.parametrize("concurrency", [1, 64])
def test_bare_protocol(benchmark: Any, port: int, concurrency: int) -> None:
    request = (
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n" + BODY
    )
    loop = asyncio.new_event_loop()
    clients: list[_Client] = []

    async def prepare() -> None:
        for _ in range(concurrency):
            _, client = await loop.create_connection(_Client, "127.0.0.1", port)
            clients.append(client)

    async def call() -> None:
        client = clients.pop()
        await client.call(request)
        clients.append(client)

    loop.run_until_complete(prepare())
    _note(benchmark, concurrency, limit=True)
    benchmark(lambda: loop.run_until_complete(_at_once(concurrency, call)))
    for client in clients:
        client.transport.close()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@pytest.mark.parametrize("codec", ["httptools", "h11"])
@pytest.mark.parametrize("concurrency", [1, 64])
def test_pool(benchmark: Any, port: int, concurrency: int, codec: Any) -> None:
    request = UpstreamRequest(
        method="POST",
        scheme="http",
        host="127.0.0.1",
        port=port,
        target="/v1/chat/completions",
        headers=HEADERS,
        body=BODY,
    )
    pool = Pool(codec=codec)

    async def call() -> None:
        async with pool.open(request) as response:
            while await response.receive():
                pass

    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    running = loop.create_future()

    async def live() -> None:
        async with pool:
            running.set_result(None)
            await stop.wait()

    life = loop.create_task(live())
    loop.run_until_complete(running)
    _note(benchmark, concurrency)
    benchmark(lambda: loop.run_until_complete(_at_once(concurrency, call)))
    stop.set()
    loop.run_until_complete(life)
    loop.close()


def _note(benchmark: Any, concurrency: int, *, limit: bool = False) -> None:
    benchmark.group = f"pool, {concurrency} at a time"
    benchmark.extra_info.update(units=CALLS, per="call", limit=limit)
