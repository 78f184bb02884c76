"""The contract of the seam, byte for byte, over every transport that has a wire."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
import pytest

from llmwire_server.upstream import Timeouts, UpstreamFailure
from llmwire_server.upstream.ledger import PoolLimits
from tests.server.upstream import contract
from tests.server.upstream.contract import Wired, over_wire, read_all, until
from tests.server.upstream.loopback import Peer, answer_all, chunk, plain

pytestmark = pytest.mark.anyio

Wire: TypeAlias = Callable[..., AbstractAsyncContextManager[Wired]]

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


@pytest.fixture(params=contract.WIRES)
def wire(request: pytest.FixtureRequest, tmp_path: Path) -> Wire:
    return partial(over_wire, request.param, tmp_path)


def saying(*pieces: bytes) -> Callable[[Peer], Any]:
    """A peer that answers so, and closes in good order."""

    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(*pieces)
        await peer.end()

    return play


def stalling(*pieces: bytes) -> Callable[[Peer], Any]:
    """A peer that begins so, and then says no more until it is left."""

    async def play(peer: Peer) -> None:
        while True:
            await peer.read()
            await peer.send(*pieces)

    return play


async def failure_of(wired: Wired, **fields: Any) -> UpstreamFailure:
    with anyio.fail_after(10), pytest.raises(UpstreamFailure) as caught:
        await wired.fetch(**fields)
    return caught.value


READ = {
    "content-length": (plain(b"hello"), b"hello"),
    "content-length zero": (plain(b""), b""),
    "chunked": (CHUNKED + chunk(b"hel") + chunk(b"lo") + b"0\r\n\r\n", b"hello"),
    "chunked, empty": (CHUNKED + b"0\r\n\r\n", b""),
    "chunked, trailers": (CHUNKED + chunk(b"hi") + b"0\r\na: b\r\n\r\n", b"hi"),
    "until close": (OK + b"\r\nhello", b"hello"),
    "until close, empty": (OK + b"\r\n", b""),
    "1xx before": (b"HTTP/1.1 100 X\r\n\r\nHTTP/1.1 103 Y\r\na: b\r\n\r\n", b""),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
}
READ["1xx before"] = (READ["1xx before"][0] + plain(b"hello"), b"hello")


@pytest.mark.parametrize("name", READ)
async def test_what_is_read(wire: Wire, name: str) -> None:
    said, body = READ[name]
    async with wire(saying(said)) as wired:
        for _ in range(2):
            async with wired.call() as response:
                assert response.status == 200
                assert await read_all(response) == body


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", b"200 X"), ("GET", b"204 X"), ("GET", b"304 X")]
)
async def test_no_body_where_there_is_none(
    wire: Wire, method: str, status: bytes
) -> None:
    head = b"HTTP/1.1 " + status + b"\r\n"
    head += b"content-length: 5\r\n\r\n" if method == "HEAD" else b"\r\n"
    async with wire(stalling(head)) as wired:
        for _ in range(2):
            assert await wired.fetch(method=method) == b""


BROKEN = {
    "nothing": ((), "reset"),
    "in the head": ((OK + b"a: b",), "truncated"),
    "in a length": ((plain(b"hello")[:-2],), "truncated"),
    "in a chunk": ((CHUNKED + b"5\r\nhel",), "truncated"),
    "between chunks": ((CHUNKED + chunk(b"hel"),), "truncated"),
    "no HTTP": ((b"SSH-2.0-x\r\n\r\n",), "protocol"),
    "not chunked": ((CHUNKED + b"xyz\r\n\r\n",), "protocol"),
    "two lengths": ((OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",), ""),
    "101": ((b"HTTP/1.1 101 X\r\nupgrade: y\r\n\r\n",), "protocol"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_breaks_off(wire: Wire, name: str) -> None:
    said, kind = BROKEN[name]
    async with wire(saying(*said)) as wired:
        failure = await failure_of(wired)
        assert failure.kind == (kind or "protocol")


async def test_a_reset_in_the_middle(wire: Wire) -> None:
    read = anyio.Event()

    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(CHUNKED + chunk(b"x"))
        await read.wait()
        await peer.reset()

    async with wire(play) as wired, wired.call() as response:
        assert await response.receive() == b"x"
        read.set()
        with pytest.raises(UpstreamFailure) as caught:
            await response.receive()
        assert caught.value.kind in ("reset", "truncated")


async def test_an_endless_head_is_refused(wire: Wire) -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        await peer.send(OK)
        while True:
            await peer.send(b"a: " + b"b" * 1000 + b"\r\n")

    async with wire(play) as wired:
        assert (await failure_of(wired)).kind == "protocol"


async def test_endless_interim_responses_are_refused(wire: Wire) -> None:
    async def play(peer: Peer) -> None:
        await peer.read()
        while True:
            await peer.send(b"HTTP/1.1 102 X\r\n\r\n" * 100)

    async with wire(play) as wired:
        assert (await failure_of(wired)).kind == "protocol"


async def test_an_early_answer_ends_the_sending_of_a_large_body(wire: Wire) -> None:
    enough = anyio.Event()

    async def play(peer: Peer) -> None:
        await peer.read_head()
        await peer.send(plain(b"too large", status=b"413 X"))
        await enough.wait()  # Neither reads on nor closes.

    async with wire(play) as wired:
        with anyio.fail_after(10):
            async with wired.call(body=b"x" * 30_000_000) as response:
                assert response.status == 413
                assert await read_all(response) == b"too large"
        assert wired.pool.counts.idle == 0
        enough.set()


async def test_a_large_body_arrives(wire: Wire) -> None:
    body = random.Random(0).randbytes(3_000_000)
    async with wire(answer_all) as wired:
        for _ in range(2):
            assert await wired.fetch(body=body) == body


# --- Time ---------------------------------------------------------------------------


async def test_a_slow_answer(wire: Wire) -> None:
    async with wire(stalling(b""), timeouts=Timeouts(first_byte=0.02)) as wired:
        failure = await failure_of(wired)
        assert (failure.kind, "no answer came in time" in failure.message) == (
            "timeout",
            True,
        )


async def test_a_slow_body(wire: Wire) -> None:
    times = Timeouts(idle_read=0.05)
    async with (
        wire(stalling(CHUNKED + chunk(b"x")), timeouts=times) as wired,
        wired.call() as response,
    ):
        assert await response.receive() == b"x"
        for _ in range(2):
            with pytest.raises(UpstreamFailure) as caught:
                await response.receive()
            assert caught.value.kind == "timeout"


async def test_a_body_that_is_not_taken(wire: Wire) -> None:
    enough = anyio.Event()

    async def play(peer: Peer) -> None:
        await peer.read_head()
        await enough.wait()

    async with wire(play, timeouts=Timeouts(write=0.05)) as wired:
        failure = await failure_of(wired, body=b"x" * 30_000_000)
        enough.set()
        assert failure.kind == "timeout"
        assert "not taken" in failure.message


async def test_no_way_there(wire: Wire) -> None:
    async def connect(host: str, port: int) -> Any:
        await anyio.sleep_forever()

    times = Timeouts(connect=0.02)
    async with wire(answer_all, connect=connect, timeouts=times) as wired:
        failure = await failure_of(wired)
        assert failure.kind == "connect"
        assert "0.02 s" in failure.message


async def test_who_waits_for_a_place(wire: Wire) -> None:
    limits = PoolLimits(per_origin=1, waiting=1)
    times = Timeouts(pool=0.02)
    async with wire(stalling(CHUNKED), limits=limits, timeouts=times) as wired:
        async with wired.call():
            assert (await failure_of(wired)).kind == "pool"
            async with anyio.create_task_group() as group:
                group.start_soon(failure_of, wired)
                await until(lambda: wired.pool.counts.waiting == 1)
                failure = await failure_of(wired)
                assert failure.kind == "pool"
                assert "too many" in failure.message
        async with wired.call() as response:
            assert response.status == 200


# --- Cancellation -------------------------------------------------------------------


async def converse(peer: Peer) -> None:
    while True:
        received = await peer.read()
        if received.body == b"silent":
            await peer.unless_left(anyio.sleep_forever())
        elif received.body == b"stream":
            await peer.send(CHUNKED)
            for _ in range(5):
                await peer.send(chunk(b"x" * 100))
            await peer.unless_left(anyio.sleep_forever())
        await peer.send(plain(received.body))


@pytest.mark.parametrize("what", [b"silent", b"stream"])
async def test_the_call_after_a_cancelled_one(wire: Wire, what: bytes) -> None:
    async with wire(converse) as wired:
        for _ in range(3):
            async with anyio.create_task_group() as group:
                group.start_soon(partial(wired.fetch, body=what))
                await until(lambda: wired.pool.counts.busy == 1)
                for _ in range(50):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            assert await wired.fetch(body=b"next") == b"next"


@pytest.mark.parametrize("seed", range(2))
async def test_thirty_workers_and_random_cancellation(wire: Wire, seed: int) -> None:
    chance = random.Random(seed)
    limits = PoolLimits(per_origin=10, total=10)

    async with wire(converse, limits=limits) as wired:

        async def work() -> None:
            for _ in range(5):
                body = chance.choice((b"silent", b"stream", b"x", b"y" * 100_000))
                async with anyio.create_task_group() as group:
                    group.start_soon(partial(wired.fetch, body=body))
                    for _ in range(chance.randrange(80)):
                        await anyio.lowlevel.checkpoint()
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(work)
        for number in range(20):
            body = b"%d" % number
            with anyio.fail_after(10):
                assert await wired.fetch(body=body) == body
