"""The pool over loopback sockets: reuse, staleness, limits, time, cancellation."""

from __future__ import annotations

import contextlib
import math
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream

from llmwire.errors import LocalProtocolError
from llmwire_server.upstream import Timeouts, UpstreamFailure, UpstreamRequest
from llmwire_server.upstream.connection import connect_tcp
from llmwire_server.upstream.exchange import Exchange
from llmwire_server.upstream.ledger import PoolCounts, PoolLimits
from llmwire_server.upstream.pool import Pool
from llmwire_server.upstream.tls import client_context
from tests.server.upstream.contract import read_all
from tests.server.upstream.loopback import (
    Loopback,
    Peer,
    Play,
    Received,
    answer_all,
    chunk,
    plain,
    serve,
)
from tests.server.upstream.streams import ScriptedStream
from tests.server.upstream.test_connection import Authority

pytestmark = pytest.mark.anyio

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
IDLE = PoolCounts(busy=0, idle=1, waiting=0)
EMPTY = PoolCounts(busy=0, idle=0, waiting=0)


@pytest.fixture(params=["httptools", "h11"])
def codec(request: pytest.FixtureRequest) -> Any:
    return request.param


@contextlib.asynccontextmanager
async def pooled(play: Play, **options: Any) -> AsyncIterator[tuple[Pool, Loopback]]:
    async with serve(play) as loopback, Pool(**options) as pool:
        with anyio.fail_after(30):
            yield pool, loopback


async def fetch(pool: Pool, request: UpstreamRequest) -> bytes:
    async with pool.open(request) as response:
        return await read_all(response)


# --- Reuse --------------------------------------------------------------------------


async def test_a_connection_is_used_again() -> None:
    async with pooled(answer_all) as (pool, loopback):
        for body in (b"", b"one", b"x" * 300_000):
            assert await fetch(pool, loopback.request(body=body)) == body
            assert pool.counts == IDLE
        assert loopback.accepted == 1


async def test_a_connection_is_free_as_soon_as_the_end_was_read() -> None:
    async with pooled(answer_all) as (pool, loopback):
        async with pool.open(loopback.request(body=b"x")) as response:
            assert pool.counts == IDLE
            assert await fetch(pool, loopback.request(body=b"y")) == b"y"
            assert await response.receive() == b"x"
        assert loopback.accepted == 1


async def test_a_response_that_was_not_read_ends_the_connection(codec: Any) -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(CHUNKED + chunk(b"x"))
        await anyio.sleep_forever()

    async with pooled(play, codec=codec) as (pool, loopback):
        for _ in range(3):
            async with pool.open(loopback.request()) as response:
                assert await response.receive() == b"x"
                assert pool.counts.busy == 1
            assert pool.counts == EMPTY
        assert loopback.accepted == 3


async def test_a_response_that_was_drained_does_not(codec: Any) -> None:
    async def play(peer: Peer) -> None:
        while True:
            await peer.read()
            await peer.send(CHUNKED + chunk(b"x"), chunk(b"y" * 5000), b"0\r\n\r\n")

    async with pooled(play, codec=codec) as (pool, loopback):
        for _ in range(3):
            async with pool.open(loopback.request()) as response:
                await response.drain(seconds=math.inf)
            assert pool.counts == IDLE
        assert loopback.accepted == 1


@pytest.mark.parametrize(
    "wire",
    [
        plain(b"ok", b"connection: close"),
        plain(b"ok") + b"excess",
        plain(b"ok").replace(b"1.1", b"1.0"),
        b"HTTP/1.1 200 OK\r\n\r\nok",
        CHUNKED + chunk(b"ok") + b"0\r\n\r\n" + plain(b"evil"),
    ],
)
async def test_what_must_not_be_used_again_is_not(codec: Any, wire: bytes) -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(wire)

    async with pooled(play, codec=codec) as (pool, loopback):
        for _ in range(2):
            assert await fetch(pool, loopback.request()) == b"ok"
            assert pool.counts == EMPTY
        assert loopback.accepted == 2


async def test_the_last_used_connection_is_used_first() -> None:
    gate = anyio.Event()

    async def play(peer: Peer) -> None:
        while True:
            received = await peer.read()
            if received.body == b"wait":
                await gate.wait()
            await peer.send(plain(b"%d" % peer.number))

    async with pooled(play) as (pool, loopback):

        async def wait() -> None:
            assert await fetch(pool, loopback.request(body=b"wait")) == b"0"

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            while not loopback.accepted:
                await anyio.lowlevel.checkpoint()
            assert await fetch(pool, loopback.request()) == b"1"
            gate.set()
        assert pool.counts == PoolCounts(busy=0, idle=2, waiting=0)
        assert await fetch(pool, loopback.request()) == b"0"


async def test_bytes_arrive_byte_by_byte(codec: Any) -> None:
    wire = b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED
    wire += chunk(b"hello, ") + chunk(b"world") + b"0\r\nx-y: z\r\n\r\n"

    async def play(peer: Peer) -> None:
        while True:
            await peer.read()
            for byte in wire:
                await peer.send(bytes([byte]))

    async with pooled(play, codec=codec) as (pool, loopback):
        for _ in range(2):
            assert await fetch(pool, loopback.request()) == b"hello, world"
        assert loopback.accepted == 1


async def test_a_chunk_is_given_when_it_came_and_not_later(codec: Any) -> None:
    gates = [anyio.Event() for _ in range(3)]

    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(CHUNKED)
        for number, gate in enumerate(gates):
            await gate.wait()
            await peer.send(chunk(b"%d" % number))
        await anyio.sleep_forever()

    async with (
        pooled(play, codec=codec) as (pool, loopback),
        pool.open(loopback.request()) as response,
    ):
        for number, gate in enumerate(gates):
            gate.set()
            assert await response.receive() == b"%d" % number


async def test_the_request_is_written_as_it_should_be() -> None:
    seen: list[Received] = []

    async def play(peer: Peer) -> None:
        seen.append(await peer.read())
        await peer.send(plain(b""))

    headers = (("authorization", "Bearer x"), ("transfer-encoding", "chunked"))
    async with pooled(play) as (pool, loopback):
        await fetch(pool, loopback.request("/a?b", headers=headers, body=b"hello"))
    assert seen[0].line == "POST /a?b HTTP/1.1"
    assert seen[0].headers == (
        ("Host", f"127.0.0.1:{loopback.port}"),
        ("accept-encoding", "identity"),
        ("authorization", "Bearer x"),
        ("Content-Length", "5"),
    )
    assert seen[0].body == b"hello"


# --- Connections that have gone stale -----------------------------------------------


async def test_a_connection_that_was_closed_while_idle_is_not_used() -> None:
    close = anyio.Event()
    streams: list[ByteStream] = []

    async def connect(host: str, port: int) -> ByteStream:
        streams.append(await connect_tcp(host, port))
        return streams[-1]

    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(plain(b"ok"))
        await close.wait()

    async with pooled(play, connect=connect) as (pool, loopback):
        assert await fetch(pool, loopback.request()) == b"ok"
        close.set()
        connection = next(iter(pool._ledger._oldest))
        while not connection.dead:
            await anyio.lowlevel.checkpoint()
        assert await fetch(pool, loopback.request()) == b"ok"
        assert loopback.accepted == 2


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_stale_connection_costs_no_failure(how: str) -> None:
    async def play(peer: Peer) -> None:
        received = await peer.read()
        await peer.send(plain(received.body))
        await peer.read()
        await (peer.reset() if how == "reset" else peer.close())

    async with pooled(play) as (pool, loopback):
        assert await fetch(pool, loopback.request(body=b"one")) == b"one"
        assert await fetch(pool, loopback.request(body=b"two")) == b"two"
        assert loopback.accepted == 2
        assert pool.counts == IDLE


async def test_it_is_tried_once_more_and_only_once() -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        if peer.number == 0:
            await peer.send(plain(b"ok"))
            await peer.read()
        await peer.reset()

    async with pooled(play) as (pool, loopback):
        assert await fetch(pool, loopback.request()) == b"ok"
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, loopback.request())
        assert caught.value.kind == "reset"
        assert loopback.accepted == 2
        assert pool.counts == EMPTY


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_new_connection_that_breaks_is_not_tried_again(how: str) -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        await (peer.reset() if how == "reset" else peer.close())

    async with pooled(play) as (pool, loopback):
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, loopback.request())
        assert caught.value.kind == "reset"
        assert loopback.accepted == 1


async def test_once_an_answer_has_begun_nothing_is_tried_again() -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(plain(b"ok"))
        await peer.read()
        await peer.send(b"H")

    async with pooled(play) as (pool, loopback):
        assert await fetch(pool, loopback.request()) == b"ok"
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, loopback.request())
        assert caught.value.kind == "truncated"
        assert loopback.accepted == 1


async def test_not_even_if_the_connection_breaks_then() -> None:
    answer = plain(b"ok")
    streams = [
        ScriptedStream([answer, b"H", anyio.BrokenResourceError()]),
        ScriptedStream([answer]),
    ]

    async def connect(host: str, port: int) -> ByteStream:
        return streams.pop(0)

    async with pooled(answer_all, connect=connect) as (pool, loopback):
        assert await fetch(pool, loopback.request()) == b"ok"
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, loopback.request())
        assert caught.value.kind == "reset"
        assert len(streams) == 1


async def test_a_slow_answer_on_a_used_connection_is_not_tried_again() -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(plain(b"ok"))
        await anyio.sleep_forever()

    async with pooled(play, timeouts=Timeouts(first_byte=0.01)) as (pool, loopback):
        assert await fetch(pool, loopback.request()) == b"ok"
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, loopback.request())
        assert caught.value.kind == "timeout"
        assert loopback.accepted == 1


async def test_an_idle_connection_grows_too_old() -> None:
    now = [0.0]
    limits = PoolLimits(idle_seconds=10.0)
    options: dict[str, Any] = {"limits": limits, "clock": lambda: now[0]}
    async with pooled(answer_all, **options) as (pool, loopback):
        for time, accepted in ((0.0, 1), (9.0, 1), (18.0, 1), (28.0, 2)):
            now[0] = time
            await fetch(pool, loopback.request())
            assert loopback.accepted == accepted


async def test_idle_connections_are_closed_without_being_asked_for() -> None:
    limits = PoolLimits(idle_seconds=0.01)
    closed = anyio.Event()

    async def play(peer: Peer) -> None:
        try:
            await answer_all(peer)
        finally:
            closed.set()

    async with pooled(play, limits=limits) as (pool, loopback):
        await fetch(pool, loopback.request())
        await closed.wait()
        assert pool.counts == EMPTY


@pytest.mark.parametrize("connect", [connect_tcp, anyio.connect_tcp])
async def test_what_came_after_an_answer_is_never_taken_for_the_next_one(
    connect: Any,
) -> None:
    async with pooled(answer_all, connect=connect) as (pool, loopback):
        assert await fetch(pool, loopback.request(body=b"one")) == b"one"
        stream: Any = next(iter(pool._ledger._oldest))._stream
        # As if it had come in the same turn of the loop as the end of the answer.
        getattr(stream, "_protocol", stream).data_received(plain(b"evil"))
        assert await fetch(pool, loopback.request(body=b"two")) == b"two"
        assert loopback.accepted == 2


async def test_an_old_connection_is_not_used_again() -> None:
    now = [0.0]
    limits = PoolLimits(age_seconds=10.0)
    options: dict[str, Any] = {"limits": limits, "clock": lambda: now[0]}
    async with pooled(answer_all, **options) as (pool, loopback):
        for time, accepted in ((0.0, 1), (9.0, 1), (10.0, 2), (19.0, 2), (20.0, 3)):
            now[0] = time
            await fetch(pool, loopback.request())
            assert loopback.accepted == accepted


async def test_limits_may_be_replaced() -> None:
    async with pooled(answer_all) as (pool, loopback):
        await fetch(pool, loopback.request())
        pool.limits = PoolLimits(idle_seconds=0.0)
        while pool.counts != EMPTY:
            await anyio.lowlevel.checkpoint()
        await fetch(pool, loopback.request())


# --- Bodies that break off ----------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [CHUNKED + b"5\r\nhel", CHUNKED + chunk(b"hel"), plain(b"hello")[:-2]],
)
async def test_a_body_that_ends_too_early_is_truncated(codec: Any, wire: bytes) -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(wire)

    async with pooled(play, codec=codec) as (pool, loopback):
        async with pool.open(loopback.request()) as response:
            assert await response.receive() == b"hel"
            for _ in range(2):
                with pytest.raises(UpstreamFailure) as caught:
                    await response.receive()
                assert caught.value.kind == "truncated"
        assert pool.counts == EMPTY


async def test_a_body_that_is_reset_in_the_middle() -> None:
    read = anyio.Event()

    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(CHUNKED + chunk(b"x"))
        await read.wait()
        await peer.reset()

    async with (
        pooled(play) as (pool, loopback),
        pool.open(loopback.request()) as response,
    ):
        assert await response.receive() == b"x"
        read.set()
        with pytest.raises(UpstreamFailure) as caught:
            await response.receive()
        assert caught.value.kind == "reset"


async def test_garbage_after_good_bytes_gives_the_good_ones_first(codec: Any) -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(CHUNKED + chunk(b"good") + b"garbage\r\n")
        await anyio.sleep_forever()

    async with (
        pooled(play, codec=codec) as (pool, loopback),
        pool.open(loopback.request()) as response,
    ):
        assert await response.receive() == b"good"
        with pytest.raises(UpstreamFailure) as caught:
            await response.receive()
        assert caught.value.kind == "protocol"


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": (("x", "a\r\ny: b"),)},
        {"headers": (("x", "a\x00"),)},
        {"headers": (("x\ny", "a"),)},
        {"headers": (("x y", "a"),)},
        {"target": "/ HTTP/1.1\r\nx: y\r\n\r\nGET /"},
        {"target": "/\x00"},
        {"method": "GET / HTTP/1.1\r\nx:"},
        {"host": "127.0.0.1\r\nx: y"},
    ],
)
async def test_nothing_is_sent_of_what_cannot_be_written(
    fields: dict[str, Any],
) -> None:
    async with pooled(answer_all) as (pool, loopback):
        await fetch(pool, loopback.request())
        with pytest.raises(LocalProtocolError):
            await fetch(pool, loopback.request(**fields))
        assert pool.counts == IDLE
        assert await fetch(pool, loopback.request(body=b"x")) == b"x"
        assert loopback.accepted == 1


async def test_who_does_not_speak_http() -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(b"SSH-2.0-x\r\n")
        await anyio.sleep_forever()

    async with pooled(play) as (pool, loopback):
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, loopback.request())
        assert caught.value.kind == "protocol"
        assert pool.counts == EMPTY


async def test_an_answer_given_before_the_request_was_taken_is_read() -> None:
    early = plain(b"too large", status=b"413 X")
    stream = ScriptedStream([early], refusal=anyio.BrokenResourceError())

    async def connect(host: str, port: int) -> ByteStream:
        return stream

    async with pooled(answer_all, connect=connect) as (pool, loopback):
        async with pool.open(loopback.request(body=b"x" * 100_000)) as response:
            assert response.status == 413
            assert await read_all(response) == b"too large"
        assert pool.counts == EMPTY
        while not stream.closed:
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("size", [9, 100_000])
async def test_what_was_sent_is_let_go_of_with_the_head(size: int) -> None:
    body = b"x" * size
    async with pooled(stream_on) as (pool, loopback):
        holders = sys.getrefcount(body)
        async with pool.open(loopback.request(body=body)):
            await anyio.wait_all_tasks_blocked()
            assert sys.getrefcount(body) == holders


# --- Limits -------------------------------------------------------------------------


async def hold(pool: Pool, request: UpstreamRequest, gate: anyio.Event) -> None:
    async with pool.open(request):
        await gate.wait()


async def stream_on(peer: Peer) -> None:
    while True:
        await peer.read()
        await peer.send(CHUNKED + chunk(b"x"))


async def test_who_comes_too_late_waits_for_a_place() -> None:
    gate = anyio.Event()
    limits = PoolLimits(per_origin=2)
    async with pooled(stream_on, limits=limits) as (pool, loopback):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(hold, pool, loopback.request(), gate)
            while pool.counts.waiting < 3:
                await anyio.lowlevel.checkpoint()
            assert pool.counts == PoolCounts(busy=2, idle=0, waiting=3)
            gate.set()
        assert pool.counts == EMPTY


async def test_a_connection_is_handed_on_to_who_waits() -> None:
    limits = PoolLimits(per_origin=2)
    async with pooled(answer_all, limits=limits) as (pool, loopback):

        async def call(number: int) -> None:
            body = b"%d" % number
            assert await fetch(pool, loopback.request(body=body)) == body

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(call, number)
        assert loopback.accepted == 2
        assert pool.counts == PoolCounts(busy=0, idle=2, waiting=0)


async def test_waiting_for_a_place_has_an_end() -> None:
    gate = anyio.Event()
    limits = PoolLimits(per_origin=1)
    timeouts = Timeouts(pool=0.01)
    async with (
        pooled(stream_on, limits=limits, timeouts=timeouts) as (pool, loopback),
        pool.open(loopback.request()),
    ):
        with pytest.raises(UpstreamFailure) as caught:
            await hold(pool, loopback.request(), gate)
        assert caught.value.kind == "pool"
        assert pool.counts == PoolCounts(busy=1, idle=0, waiting=0)


async def test_waiting_for_a_place_can_be_cancelled() -> None:
    gate = anyio.Event()
    limits = PoolLimits(per_origin=1)
    async with pooled(stream_on, limits=limits) as (pool, loopback):
        async with pool.open(loopback.request()):
            async with anyio.create_task_group() as group:
                group.start_soon(hold, pool, loopback.request(), gate)
                while not pool.counts.waiting:
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            assert pool.counts == PoolCounts(busy=1, idle=0, waiting=0)
        assert pool.counts == EMPTY


async def test_being_served_and_cancelled_at_once_loses_no_place() -> None:
    limits = PoolLimits(per_origin=1)
    async with pooled(answer_all, limits=limits) as (pool, loopback):
        async with anyio.create_task_group() as group:
            connection = await pool.checkout(loopback.request().origin, 1.0)
            group.start_soon(fetch, pool, loopback.request())
            while not pool.counts.waiting:
                await anyio.lowlevel.checkpoint()
            pool.release(connection, reusable=True)
            assert pool.counts == PoolCounts(busy=1, idle=0, waiting=0)
            group.cancel_scope.cancel()
        assert pool.counts == EMPTY
        await fetch(pool, loopback.request())


async def test_the_total_limit_holds_for_all_origins_together() -> None:
    limits = PoolLimits(total=1)
    async with (
        serve(answer_all) as other,
        pooled(answer_all, limits=limits) as (pool, loopback),
    ):
        for _ in range(2):
            assert await fetch(pool, loopback.request(body=b"a")) == b"a"
            assert await fetch(pool, other.request(body=b"b")) == b"b"
            assert pool.counts == IDLE
        assert (loopback.accepted, other.accepted) == (2, 2)


# --- Time limits --------------------------------------------------------------------


async def silent(peer: Peer) -> None:
    await peer.read_head()
    await anyio.sleep_forever()


async def started(peer: Peer) -> None:
    await peer.read()
    await peer.send(CHUNKED + chunk(b"x"))
    await anyio.sleep_forever()


async def test_an_answer_that_does_not_come() -> None:
    async with pooled(silent, timeouts=Timeouts(first_byte=0.01)) as (pool, loopback):
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, loopback.request())
        assert str(caught.value).endswith("no answer came in time")
        assert caught.value.kind == "timeout"
        assert pool.counts == EMPTY


async def test_interim_responses_are_no_answer() -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        while True:
            await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            await anyio.lowlevel.checkpoint()

    async with pooled(play, timeouts=Timeouts(first_byte=0.01)) as (pool, loopback):
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, loopback.request())
        assert caught.value.kind in ("timeout", "protocol")


async def test_a_request_that_is_not_taken() -> None:
    async with pooled(silent, timeouts=Timeouts(write=0.01)) as (pool, loopback):
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, loopback.request(body=b"x" * 30_000_000))
        assert caught.value.kind == "timeout"
        assert str(caught.value).endswith("the request was not taken in time")


async def test_a_body_that_does_not_go_on(codec: Any) -> None:
    options: dict[str, Any] = {"timeouts": Timeouts(idle_read=0.01), "codec": codec}
    async with (
        pooled(started, **options) as (pool, loopback),
        pool.open(loopback.request()) as response,
    ):
        assert await response.receive() == b"x"
        for _ in range(2):
            with pytest.raises(UpstreamFailure) as caught:
                await response.receive()
            assert caught.value.kind == "timeout"


async def wait_in_vain(response: Exchange, now: list[float], seconds: float) -> None:
    """Wait for bytes that long, on the clock of the test, and give up."""
    connection = response._connection
    assert connection is not None
    async with anyio.create_task_group() as group:
        group.start_soon(response.receive)
        while connection.deadline == math.inf:
            await anyio.lowlevel.checkpoint()
        now[0] += seconds
        group.cancel_scope.cancel()


async def test_time_waited_adds_up_over_cancelled_calls() -> None:
    now = [0.0]
    options: dict[str, Any] = {"clock": lambda: now[0]}
    options["timeouts"] = Timeouts(idle_read=10.0)
    async with (
        pooled(started, **options) as (pool, loopback),
        pool.open(loopback.request()) as response,
    ):
        assert await response.receive() == b"x"
        now[0] = 1000.0  # Not waiting costs nothing.
        for _ in range(3):
            await wait_in_vain(response, now, 4.0)
        with pytest.raises(UpstreamFailure) as caught:
            await response.receive()
        assert caught.value.kind == "timeout"


async def test_bytes_begin_the_wait_anew() -> None:
    now = [0.0]
    options: dict[str, Any] = {"clock": lambda: now[0]}
    options["timeouts"] = Timeouts(idle_read=10.0)

    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(CHUNKED + chunk(b"x"))
        for _ in range(5):
            await peer.stream.receive()
            await peer.send(chunk(b"y"))
        await peer.send(b"0\r\n\r\n")

    async with (
        pooled(play, **options) as (pool, loopback),
        pool.open(loopback.request()) as response,
    ):
        assert await response.receive() == b"x"
        connection = response._connection
        assert connection is not None
        for _ in range(5):
            await wait_in_vain(response, now, 8.0)
            await connection.send(b"go on")
            assert await response.receive() == b"y"
        assert await response.receive() == b""


async def test_a_request_may_bring_time_limits_of_its_own() -> None:
    async with pooled(silent, timeouts=Timeouts(first_byte=math.inf)) as (pool, to):
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, to.request(timeouts=Timeouts(first_byte=0.01)))
        assert caught.value.kind == "timeout"


async def test_connecting_that_takes_too_long_gives_the_place_back() -> None:
    async def connect(host: str, port: int) -> ByteStream:
        await anyio.sleep_forever()
        raise AssertionError

    options: dict[str, Any] = {"connect": connect, "limits": PoolLimits(total=1)}
    async with pooled(answer_all, **options) as (pool, loopback):
        for _ in range(2):
            request = loopback.request(timeouts=Timeouts(connect=0.01))
            with pytest.raises(UpstreamFailure) as caught:
                await fetch(pool, request)
            assert caught.value.kind == "connect"
            assert pool.counts == EMPTY


# --- Cancellation -------------------------------------------------------------------


@pytest.mark.parametrize("where", ["connect", "head", "body"])
async def test_a_cancelled_exchange_ends_its_connection(where: str) -> None:
    gone = anyio.Event()

    async def connect(host: str, port: int) -> ByteStream:
        if where == "connect":
            gone.set()
            await anyio.sleep_forever()
        return await connect_tcp(host, port)

    async def play(peer: Peer) -> None:
        await peer.read()
        if where == "body":
            await peer.send(CHUNKED + chunk(b"x"))
        try:
            await peer.stream.receive()
        finally:
            gone.set()

    async with pooled(play, connect=connect) as (pool, loopback):
        async with anyio.create_task_group() as group:
            group.start_soon(fetch, pool, loopback.request())
            while where != "connect" and not loopback.accepted:
                await anyio.lowlevel.checkpoint()
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert pool.counts.busy == 1
            group.cancel_scope.cancel()
        assert pool.counts == EMPTY
        await gone.wait()  # Nobody but the pool's own task has told the peer.


@pytest.mark.parametrize("seed", range(5))
async def test_cancellation_churn_leaves_nothing_behind(codec: Any, seed: int) -> None:
    chance = random.Random(seed)
    limits = PoolLimits(per_origin=10, total=10)

    async def play(peer: Peer) -> None:
        while True:
            received = await peer.read()
            if received.body != b"stream":
                await peer.send(plain(received.body))
                continue
            await peer.send(CHUNKED)
            for _ in range(5):
                await peer.send(chunk(b"x" * 100))
            await peer.send(b"0\r\n\r\n")

    async with pooled(play, limits=limits, codec=codec) as (pool, loopback):

        async def call(steps: int, body: bytes) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(fetch, pool, loopback.request(body=body))
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()

        for _ in range(20):
            async with anyio.create_task_group() as group:
                for _ in range(30):
                    body = chance.choice((b"", b"x", b"stream", b"y" * 100_000))
                    group.start_soon(call, chance.randrange(60), body)
            assert (pool.counts.busy, pool.counts.waiting) == (0, 0)
        for number in range(20):
            body = b"%d" % number
            assert await fetch(pool, loopback.request(body=body)) == body
        assert pool.counts.busy == pool.counts.waiting == 0
        assert pool.counts.idle <= 10


# --- The pool itself ----------------------------------------------------------------


async def test_a_pool_that_does_not_run_refuses() -> None:
    async with serve(answer_all) as loopback:
        pool = Pool()
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, loopback.request())
        assert caught.value.kind == "pool"
        async with pool:
            pass
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, loopback.request())
        assert caught.value.kind == "pool"


@pytest.mark.parametrize("stage", ["connecting", "reading"])
async def test_closing_the_pool_ends_what_is_still_open(stage: str) -> None:
    ended: list[str] = []
    gate, connecting = anyio.Event(), anyio.Event()

    async def connect(host: str, port: int) -> ByteStream:
        connecting.set()
        if stage == "connecting":
            await gate.wait()
        return await connect_tcp(host, port)

    async with serve(started) as loopback, anyio.create_task_group() as group:
        pool = Pool(limits=PoolLimits(per_origin=1), connect=connect)

        async def call() -> None:
            with pytest.raises(UpstreamFailure) as caught:
                async with pool.open(loopback.request()) as response:
                    await response.receive()
                    gate.set()
                    await response.receive()
            ended.append(caught.value.kind)

        async with pool:
            group.start_soon(call)
            await connecting.wait()
            group.start_soon(call)
            while not pool.counts.waiting:
                await anyio.lowlevel.checkpoint()
            if stage == "reading":
                await gate.wait()
        gate.set()
    kind = "reset" if stage == "reading" else "pool"
    assert sorted(ended) == ["pool", kind]
    assert pool.counts == EMPTY


async def test_a_pool_runs_once() -> None:
    async with Pool() as pool:
        pass
    with pytest.raises(RuntimeError, match="once"):
        await pool.__aenter__()


async def test_an_error_inside_the_pool_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with Pool():
            raise ZeroDivisionError


async def test_a_cancelled_pool_closes_its_connections() -> None:
    closed = anyio.Event()

    async def play(peer: Peer) -> None:
        try:
            await answer_all(peer)
        finally:
            closed.set()

    async with serve(play) as loopback:
        with anyio.CancelScope() as scope:
            async with Pool() as pool:
                await fetch(pool, loopback.request())
                scope.cancel()
                await anyio.sleep_forever()
        await closed.wait()
        assert pool.counts == EMPTY


async def test_tls_connections_are_pooled(tmp_path: Any, codec: Any) -> None:
    authority = Authority(tmp_path)
    context = client_context(ca_file=authority.ca_file)

    async def play(peer: Peer) -> None:
        while True:
            received = await peer.read()
            await peer.send(CHUNKED + chunk(received.body), b"0\r\n\r\n")

    async with (
        serve(play, tls=authority.server_context("localhost")) as loopback,
        Pool(ssl_context=context, codec=codec) as pool,
    ):
        for body in (b"one", b"two", b"x" * 200_000):
            assert await fetch(pool, loopback.request(body=body)) == body
        assert loopback.accepted == 1


async def test_without_a_context_the_systems_certificates_count(tmp_path: Any) -> None:
    authority = Authority(tmp_path)
    async with (
        serve(answer_all, tls=authority.server_context("localhost")) as loopback,
        Pool() as pool,
    ):
        for _ in range(2):
            with pytest.raises(UpstreamFailure) as caught:
                await fetch(pool, loopback.request())
            assert caught.value.kind == "tls"
        assert pool.counts == EMPTY


async def test_failures_hold_no_secret() -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(b"SECRET")

    async with pooled(play) as (pool, loopback):
        request = loopback.request(
            "/?key=SECRET",
            headers=(("authorization", "SECRET"), ("x", "SECRET")),
            body=b"SECRET",
        )
        with pytest.raises(UpstreamFailure) as caught:
            await fetch(pool, request)
        assert "SECRET" not in str(caught.value) + repr(caught.value)
