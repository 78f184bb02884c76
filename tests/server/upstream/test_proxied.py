"""Proxies: what they are asked, who one is there, and what is never told."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from llmwire_server.upstream import Timeouts, UpstreamFailure
from llmwire_server.upstream.pool import Pool
from llmwire_server.upstream.proxied import ProxiedRoute, Proxy, parse_proxy
from llmwire_server.upstream.tls import client_context
from tests.server.upstream.contract import Wired, read_all
from tests.server.upstream.loopback import Play, answer_all, plain, serve
from tests.server.upstream.proxies import (
    PASSWORD,
    USER,
    ProxySight,
    http_proxy,
    socks_proxy,
)

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def behind(
    scheme: str,
    user: str = "",
    secured: bool = False,
    play: Play = answer_all,
    **options: Any,
) -> AsyncIterator[tuple[Wired, ProxySight]]:
    sight = ProxySight()
    start = http_proxy if scheme == "http" else socks_proxy
    async with (
        serve(play) as peer,
        start(sight, secured=secured) as proxy,
        Pool(**options) as pool,
    ):
        url = f"{scheme}://{user}127.0.0.1:{proxy.port}"
        route = ProxiedRoute(pool, "proxied", parse_proxy(url), client_context)
        yield Wired(route, pool, peer, sight), sight


CREDENTIALS = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@"


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
async def test_credentials_are_given(scheme: str) -> None:
    async with behind(scheme, CREDENTIALS, secured=True) as (wired, _):
        assert await wired.fetch(body=b"hello") == b"hello"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_who_is_refused_by_an_http_proxy(scheme: str) -> None:
    async with behind("http", "someone:SECRET@", secured=True) as (wired, _):
        request = wired.peer.request(scheme=scheme)
        if scheme == "http":  # Indistinguishable from the server's own answer.
            async with wired.transport.open(request) as response:
                assert response.status == 407
            return
        with pytest.raises(UpstreamFailure) as caught:
            async with wired.transport.open(request):
                pytest.fail("there is no response")
        assert caught.value.kind == "connect"
        assert caught.value.message.endswith("the proxy refuses (407)")
        assert "SECRET" not in repr(caught.value)


async def test_who_is_refused_by_a_socks_proxy() -> None:
    async with behind("socks5", "someone:SECRET@", secured=True) as (wired, _):
        with pytest.raises(UpstreamFailure) as caught:
            await wired.fetch()
        assert caught.value.kind == "connect"
        assert caught.value.message.endswith("the proxy refuses")


async def test_what_an_http_proxy_is_asked() -> None:
    async with behind("http") as (wired, sight):
        await wired.fetch("/a?b=c")
        with pytest.raises(UpstreamFailure):  # It is no TLS server.
            await wired.fetch(scheme="https")
    port = wired.peer.port
    assert sight.lines == [
        f"POST http://127.0.0.1:{port}/a?b=c HTTP/1.1",
        f"CONNECT 127.0.0.1:{port} HTTP/1.1",
    ]


async def test_names_are_left_to_a_socks_proxy() -> None:
    async with behind("socks5") as (wired, sight):
        await wired.fetch(host="localhost")
        assert sight.lines == [f"localhost:{wired.peer.port}"]


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("said", [b"\x00SECRET\r\n\r\n", b"HTTP/1.1 200"])
async def test_who_is_no_proxy(scheme: str, said: bytes) -> None:
    async with behind(scheme) as (wired, sight):
        sight.refuse = said
        with pytest.raises(UpstreamFailure) as caught:
            await wired.fetch(scheme="https")
        assert caught.value.kind == "connect"
        assert "SECRET" not in repr(caught.value)
        assert wired.pool.counts.busy == 0


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_does_not_answer(scheme: str) -> None:
    async with behind(scheme, timeouts=Timeouts(connect=0.02)) as (wired, sight):
        sight.silent = True
        with pytest.raises(UpstreamFailure) as caught:
            await wired.fetch(scheme="https")
        assert caught.value.kind == "connect"


async def test_nobody_behind_a_proxy() -> None:
    async with behind("socks5") as (wired, _):
        with pytest.raises(UpstreamFailure) as caught:
            await wired.fetch(port=1)
        assert caught.value.kind == "connect"


async def test_no_proxy_there() -> None:
    async with Pool() as pool, serve(answer_all) as peer:
        nowhere = parse_proxy("http://127.0.0.1:1")
        route = ProxiedRoute(pool, "proxied", nowhere, client_context)
        with pytest.raises(UpstreamFailure) as caught:
            async with route.open(peer.request()):
                pytest.fail("there is no response")
        assert caught.value.kind == "connect"
        assert pool.counts.busy == 0


async def test_a_slow_reader_holds_the_upstream_back() -> None:
    sent = 0

    async def play(peer: Any) -> None:
        nonlocal sent
        await peer.read()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n")
        while sent < 50_000_000:
            await peer.send(bytes(100_000))
            sent += 100_000

    async with behind("http", play=play) as (wired, _), wired.call() as response:
        await response.receive()
        await anyio.wait_all_tasks_blocked()
        assert sent < 50_000_000
        assert len(await read_all(response)) > 40_000_000


async def test_a_pool_that_is_closed_ends_its_calls() -> None:
    async def play(peer: Any) -> None:
        await peer.read()
        await peer.send(plain(b"hello")[:-1])
        await peer.unless_left(anyio.sleep_forever())

    sight = ProxySight()
    async with serve(play) as peer, http_proxy(sight) as proxy:
        async with Pool() as pool:
            url = parse_proxy(f"http://127.0.0.1:{proxy.port}")
            route = ProxiedRoute(pool, "proxied", url, client_context)
            exchange = await route.open(peer.request()).__aenter__()
        with pytest.raises(UpstreamFailure) as caught:
            while True:
                await exchange.receive()
        assert caught.value.kind == "reset"
        with pytest.raises(UpstreamFailure) as caught:
            async with route.open(peer.request()):
                pytest.fail("there is no response")
        assert caught.value.kind == "pool"


async def test_cancelled_just_as_the_head_comes() -> None:
    async def play(peer: Any) -> None:
        await peer.read()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await peer.unless_left(anyio.sleep_forever())

    async with behind("http", play=play) as (wired, _):
        exchange: Any = wired.call()
        begin = exchange._begin
        async with anyio.create_task_group() as group:

            def cancel_and_begin(response: Any) -> None:
                group.cancel_scope.cancel()
                begin(response)

            exchange._begin = cancel_and_begin
            await exchange.__aenter__()
            pytest.fail("it was cancelled")
        assert exchange.status == 200
        assert wired.pool.counts.busy == 0


async def test_no_log_holds_credentials(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for scheme in ("http", "socks5"):
        async with behind(scheme, CREDENTIALS, secured=True) as (wired, _):
            await wired.fetch(headers=(("authorization", "SECRET"),))
    assert not [record for record in caplog.records if "httpcore" in record.name]


def test_urls_of_proxies() -> None:
    assert parse_proxy("socks5h://a%40:b%2F@[::1]:9") == Proxy(
        scheme="socks5h", host="::1", port=9, credentials=("a@", "b/")
    )
    assert parse_proxy("http://proxy.example/").port == 80
    assert parse_proxy("socks5://proxy.example").port == 1080
    assert "SECRET" not in repr(parse_proxy("http://user:SECRET@x"))


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://SECRET", "http://", "http://SECRET:x", "http://h/SECRET"]
)
def test_what_is_no_url_of_a_proxy(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected|proxy") as caught:
        parse_proxy(url)
    assert "SECRET" not in str(caught.value)
