"""The contract of the seam, over every transport: what a caller may rely on."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import anyio
import pytest

from llmwire.errors import LocalProtocolError
from llmwire_server import upstream
from llmwire_server.upstream import (
    Origin,
    Timeouts,
    Transport,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamResponse,
)
from llmwire_server.upstream.memory import Answer, MemoryTransport, Script, Step
from llmwire_server.upstream.pool import Pool
from tests.server.upstream.loopback import play_script, serve

pytestmark = pytest.mark.anyio

Call: TypeAlias = Callable[..., AbstractAsyncContextManager[UpstreamResponse]]
Scripted: TypeAlias = Callable[[Script], AbstractAsyncContextManager[Call]]


@contextlib.asynccontextmanager
async def _over_pool(codec: Any, script: Script) -> AsyncIterator[Call]:
    async with serve(play_script(script)) as loopback, Pool(codec=codec) as pool:
        transport: Transport = pool
        yield lambda *args, **fields: transport.open(loopback.request(*args, **fields))
        assert (pool.counts.busy, pool.counts.waiting) == (0, 0)


@contextlib.asynccontextmanager
async def _over_memory(script: Script) -> AsyncIterator[Call]:
    memory = MemoryTransport(script)
    transport: Transport = memory

    def call(
        target: str = "/", **fields: Any
    ) -> AbstractAsyncContextManager[UpstreamResponse]:
        given: dict[str, Any] = {"method": "POST", "scheme": "http", "host": "memory"}
        given |= {"port": 80, "target": target} | fields
        return transport.open(UpstreamRequest(**given))

    yield call
    assert all(exchange.outcome != "open" for exchange in memory.exchanges)


@pytest.fixture(params=["httptools", "h11", "memory"])
def scripted(request: pytest.FixtureRequest) -> Scripted:
    if request.param == "memory":
        return _over_memory
    return lambda script: _over_pool(request.param, script)


async def read_all(response: UpstreamResponse) -> bytes:
    body = b""
    while data := await response.receive():
        body += data
    return body


def hello(request: UpstreamRequest) -> Answer:
    return 200, [("Content-Type", "text/plain")], [b"hello, ", b"", b"world"]


async def test_a_response_has_status_headers_and_body(scripted: Scripted) -> None:
    async with scripted(hello) as call, call() as response:
        assert response.status == 200
        assert ("content-type", "text/plain") in response.headers
        assert await read_all(response) == b"hello, world"


async def test_the_end_is_told_as_often_as_asked(scripted: Scripted) -> None:
    async with scripted(hello) as call, call() as response:
        await read_all(response)
        assert await response.receive() == b""
        assert await response.receive() == b""


async def test_an_empty_body_ends_at_once(scripted: Scripted) -> None:
    async with scripted(lambda request: (503, [], [])) as call, call() as response:
        assert response.status == 503
        assert await response.receive() == b""


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204)])
async def test_responses_without_a_body(
    scripted: Scripted, method: str, status: int
) -> None:
    async with scripted(lambda request: (status, [], [])) as call:
        for _ in range(2):
            async with call(method=method) as response:
                assert response.status == status
                assert await response.receive() == b""


async def test_the_request_arrives_as_it_was_given(scripted: Scripted) -> None:
    seen: list[UpstreamRequest] = []

    def script(request: UpstreamRequest) -> Answer:
        seen.append(request)
        return 200, [], []

    body = bytes(range(256)) * 1000
    async with (
        scripted(script) as call,
        call("/v1/x?key=1", headers=(("X-Name", "a b"),), body=body),
    ):
        pass
    assert (seen[0].method, seen[0].target) == ("POST", "/v1/x?key=1")
    assert ("X-Name", "a b") in seen[0].headers
    assert seen[0].body == body


async def test_many_exchanges_one_after_the_other_and_at_once(
    scripted: Scripted,
) -> None:
    async with scripted(lambda request: (200, [], [request.body] * 3)) as call:

        async def converse(number: int) -> None:
            body = b"%d" % number
            async with call(body=body) as response:
                assert await read_all(response) == body * 3

        for number in range(5):
            await converse(number)
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(converse, number)


async def test_a_failure_before_the_head_is_raised_on_entering(
    scripted: Scripted,
) -> None:
    def script(request: UpstreamRequest) -> Answer:
        raise UpstreamFailure("reset", "scripted")

    async with scripted(script) as call:
        with pytest.raises(UpstreamFailure) as caught:
            async with call():
                pytest.fail("there is no response")
        assert caught.value.kind == "reset"


async def test_a_body_that_breaks_off_gives_what_came_and_stays_broken(
    scripted: Scripted,
) -> None:
    steps: list[Step] = [b"first", UpstreamFailure("truncated", "scripted")]
    async with scripted(lambda request: (200, [], steps)) as call, call() as response:
        assert await response.receive() == b"first"
        for _ in range(2):
            with pytest.raises(UpstreamFailure) as caught:
                await response.receive()
            assert caught.value.kind == "truncated"
        await response.drain()


async def test_a_cancelled_receive_loses_nothing(scripted: Scripted) -> None:
    gate = anyio.Event()
    steps: list[Step] = [b"one", gate, b"two"]
    async with scripted(lambda request: (200, [], steps)) as call, call() as response:
        assert await response.receive() == b"one"
        for _ in range(3):
            with anyio.move_on_after(0.001) as scope:
                await response.receive()
            assert scope.cancelled_caught
        gate.set()
        assert await read_all(response) == b"two"


async def test_leaving_early_does_no_harm_to_the_next(scripted: Scripted) -> None:
    forever = anyio.Event()

    def script(request: UpstreamRequest) -> Answer:
        return 200, [], [b"x", forever] if request.body else [b"done"]

    async with scripted(script) as call:
        for _ in range(3):
            async with call(body=b"wait") as response:
                assert await response.receive() == b"x"
        async with call() as response:
            assert await read_all(response) == b"done"


async def test_an_error_inside_the_context_comes_out(scripted: Scripted) -> None:
    async with scripted(hello) as call:
        with pytest.raises(ZeroDivisionError):
            async with call():
                raise ZeroDivisionError
        async with call() as response:
            assert await read_all(response) == b"hello, world"


async def test_cancelled_while_waiting_for_the_head(scripted: Scripted) -> None:
    forever = anyio.Event()

    async def script(request: UpstreamRequest) -> Answer:
        if request.body:
            await forever.wait()
        return 200, [], [b"done"]

    async with scripted(script) as call:
        with anyio.move_on_after(0.001) as scope:
            async with call(body=b"wait"):
                pytest.fail("there is no response")
        assert scope.cancelled_caught
        async with call() as response:
            assert await read_all(response) == b"done"


async def test_closed_means_closed(scripted: Scripted) -> None:
    forever = anyio.Event()
    steps: list[Step] = [b"x", forever]
    async with scripted(lambda request: (200, [], steps)) as call, call() as response:
        await response.close()
        await response.close()
        with pytest.raises(UpstreamFailure) as caught:
            await response.receive()
        assert caught.value.kind == "reset"


async def test_closing_after_the_end_changes_nothing(scripted: Scripted) -> None:
    async with scripted(hello) as call, call() as response:
        await read_all(response)
        await response.close()
        await response.drain()
        assert await response.receive() == b""


async def test_drain_reads_to_the_end(scripted: Scripted) -> None:
    async with scripted(hello) as call, call() as response:
        await response.drain(seconds=math.inf)
        assert await response.receive() == b""


async def test_drain_says_nothing_of_a_failure(scripted: Scripted) -> None:
    steps: list[Step] = [b"x", UpstreamFailure("truncated", "scripted")]
    async with scripted(lambda request: (200, [], steps)) as call, call() as response:
        await response.drain(seconds=math.inf)
        with pytest.raises(UpstreamFailure):
            await response.receive()


async def test_drain_gives_up_in_time(scripted: Scripted) -> None:
    forever = anyio.Event()
    steps: list[Step] = [b"x", forever]
    async with scripted(lambda request: (200, [], steps)) as call, call() as response:
        with anyio.fail_after(5):
            await response.drain(seconds=0.001)


async def test_drain_gives_up_at_its_limit(scripted: Scripted) -> None:
    forever = anyio.Event()
    steps: list[Step] = [b"x" * 100, forever, b"y"]
    async with scripted(lambda request: (200, [], steps)) as call, call() as response:
        with anyio.fail_after(5):
            await response.drain(limit_bytes=10, seconds=math.inf)
        forever.set()
        assert await read_all(response) == b"y"


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": (("x", "a\r\ny: b"),)},
        {"headers": (("x\n", "a"),)},
        {"target": "no-slash"},
        {"host": "a b"},
        {"method": "G T"},
    ],
)
async def test_what_cannot_be_written_is_the_callers_fault(
    scripted: Scripted, fields: dict[str, Any]
) -> None:
    async with scripted(hello) as call:
        with pytest.raises(LocalProtocolError):
            async with call(**fields):
                pytest.fail("there is no response")


def test_texts_hold_no_secret() -> None:
    request = UpstreamRequest(
        method="POST",
        scheme="https",
        host="api.example",
        port=443,
        target="/v1?key=SECRET",
        headers=(("authorization", "Bearer SECRET"),),
        body=b"SECRET",
    )
    assert repr(request) == (
        "UpstreamRequest(POST https://api.example:443/v1, headers=(authorization), "
        "body=6 bytes)"
    )


def test_an_origin_is_written_as_a_url() -> None:
    assert str(Origin("http", "::1", 80)) == "http://[::1]:80"


def test_a_failure_says_kind_and_message() -> None:
    failure = UpstreamFailure("connect", "nobody there")
    assert (failure.kind, failure.message) == ("connect", "nobody there")
    assert str(failure) == "connect: nobody there"


def test_limits_have_defaults() -> None:
    assert Timeouts() == Timeouts(connect=10.0)


def test_all_names_are_there() -> None:
    assert all(hasattr(upstream, name) for name in upstream.__all__)
