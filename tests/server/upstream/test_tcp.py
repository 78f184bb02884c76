"""The stream of our own at a socket: on each loop, beside anyio's, and at its edges."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream, SocketAttribute

from llmwire_server.upstream.connection import connect_tcp
from llmwire_server.upstream.tcp import TCPStream, adopt
from tests.server.upstream.contract import until
from tests.server.upstream.loopback import Loopback, Peer, serve
from tests.server.upstream.streams import ScriptedStream

pytestmark = pytest.mark.anyio


async def open_to(loopback: Loopback) -> TCPStream:
    stream = await connect_tcp("127.0.0.1", loopback.port)
    assert isinstance(stream, TCPStream)
    return stream


async def wait_to_be_left(peer: Peer) -> None:
    await peer.unless_left(anyio.sleep_forever())


async def test_what_came_is_given_as_one_and_without_waiting() -> None:
    async def play(peer: Peer) -> None:
        await peer.send(b"one, ", b"two")
        await wait_to_be_left(peer)

    async with serve(play) as loopback:
        stream = await open_to(loopback)
        await until(lambda: stream._size == len(b"one, two"))
        turned = False

        async def note_the_turn() -> None:
            nonlocal turned
            turned = True

        async with anyio.create_task_group() as group:
            group.start_soon(note_the_turn)
            assert await stream.receive() == b"one, two"
            assert not turned
        await stream.aclose()


async def test_no_more_is_given_than_asked_for() -> None:
    async def play(peer: Peer) -> None:
        await peer.send(b"x" * 10)
        await wait_to_be_left(peer)

    async with serve(play) as loopback:
        stream = await open_to(loopback)
        await until(lambda: stream._size == 10)
        sizes = [len(await stream.receive(4)) for _ in range(3)]
        assert sizes == [4, 4, 2]
        assert stream.silent
        await stream.aclose()


async def test_who_receives_in_a_loop_lets_others_run() -> None:
    async def play(peer: Peer) -> None:
        while True:
            await peer.send(b"x" * 500_000)

    async with serve(play) as loopback:
        stream = await open_to(loopback)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(count)
            for _ in range(100):
                await stream.receive()
            group.cancel_scope.cancel()
        assert turns > 100 / 10
        await stream.aclose()


async def test_no_more_is_read_than_may_wait() -> None:
    total = 20_000_000

    async def play(peer: Peer) -> None:
        await peer.send(bytes(total))
        await wait_to_be_left(peer)

    async with serve(play) as loopback:
        stream = await open_to(loopback)
        await until(lambda: not stream._reading)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert stream._size <= 2 * 256 * 1024
        size = 0
        while size < total:
            size += len(await stream.receive(1_000_000))
        assert size == total
        assert stream.silent
        await stream.aclose()


async def test_a_cancelled_receive_loses_nothing() -> None:
    said = b"".join(b"%d " % number for number in range(300))

    async def play(peer: Peer) -> None:
        for byte in said:
            await peer.send(bytes([byte]))
        await wait_to_be_left(peer)

    async with serve(play) as loopback:
        stream = await open_to(loopback)
        received = b""

        async def receive() -> None:
            nonlocal received
            received += await stream.receive()

        while len(received) < len(said):
            async with anyio.create_task_group() as group:
                group.start_soon(receive)
                await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        assert received == said
        await stream.aclose()


async def test_sending_waits_for_the_system_and_goes_on_after_a_cancellation() -> None:
    go_on = anyio.Event()
    taken = 0

    async def play(peer: Peer) -> None:
        nonlocal taken
        await go_on.wait()
        while True:
            taken += len(await peer.stream.receive())

    async with serve(play) as loopback:
        stream = await open_to(loopback)
        body = bytes(30_000_000)
        async with anyio.create_task_group() as group:
            group.start_soon(stream.send, body)
            await until(lambda: not stream._writable)
            with pytest.raises(anyio.BusyResourceError):
                await stream.send(b"x")
            group.cancel_scope.cancel()
        go_on.set()
        await stream.send(b"end")
        await until(lambda: taken == len(body) + 3)
        await stream.aclose()


async def test_closing_wakes_who_sends_and_who_receives() -> None:
    gate = anyio.Event()

    async def play(peer: Peer) -> None:
        await gate.wait()

    async with serve(play) as loopback:
        stream = await open_to(loopback)
        ended: list[str] = []

        async def expect(name: str, *args: Any) -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await getattr(stream, name)(*args)
            ended.append(name)

        async with anyio.create_task_group() as group:
            group.start_soon(expect, "send", bytes(30_000_000))
            group.start_soon(expect, "receive")
            await until(lambda: not stream._writable and stream._came is not None)
            with pytest.raises(anyio.BusyResourceError):
                await stream.receive()
            await stream.aclose()
        assert sorted(ended) == ["receive", "send"]
        for name, args in (("send", (b"x",)), ("receive", ())):
            await expect(name, *args)
        assert not stream.silent
        await stream.aclose()
        gate.set()


async def test_the_end_is_told_after_what_came_before_and_this_side_stays_open() -> (
    None
):
    seen: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.send(b"last")
        await peer.stream.send_eof()
        seen.append(await peer.stream.receive())
        seen.append(await peer.stream.receive())

    async with serve(play) as loopback:
        stream = await open_to(loopback)
        await until(lambda: stream._ended)
        assert not stream.silent
        assert await stream.receive() == b"last"
        for _ in range(2):
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
        assert not stream.silent
        await stream.send(b"still")
        await until(lambda: bool(seen))
        await stream.send_eof()
        await until(lambda: not loopback.open)
        assert seen == [b"still"]
        await stream.aclose()


async def test_a_broken_connection_says_why() -> None:
    go_on = anyio.Event()

    async def play(peer: Peer) -> None:
        await go_on.wait()
        await peer.reset()

    async with serve(play) as loopback:
        stream = await open_to(loopback)
        async with anyio.create_task_group() as group:

            async def receive() -> None:
                with pytest.raises(anyio.BrokenResourceError) as caught:
                    await stream.receive()
                assert isinstance(caught.value.__cause__, ConnectionResetError)

            group.start_soon(receive)
            await until(lambda: stream._came is not None)
            go_on.set()
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send(b"x")
        await stream.aclose()


async def test_what_anyio_tells_of_the_socket_is_told() -> None:
    async with serve(wait_to_be_left) as loopback:
        stream = await open_to(loopback)
        assert stream.extra(SocketAttribute.remote_port) == loopback.port
        await stream.aclose()


# --- Streams that are left as they are ------------------------------------------------


def without_transport(stream: Any) -> None:
    del stream._transport


def with_bytes(stream: Any) -> None:
    stream._protocol.data_received(b"early")


def at_its_end(stream: Any) -> None:
    stream._protocol.eof_received()


def of_another_making(stream: Any) -> None:
    stream._protocol = object()


def closing(stream: Any) -> None:
    stream._transport.close()


@pytest.mark.parametrize(
    "change", [with_bytes, at_its_end, of_another_making, closing, without_transport]
)
async def test_a_stream_that_cannot_be_taken_over(change: Any) -> None:
    async with serve(wait_to_be_left) as loopback:
        stream: ByteStream = await anyio.connect_tcp("127.0.0.1", loopback.port)
        transport: Any = getattr(stream, "_transport")  # noqa: B009
        change(stream)
        assert adopt(stream) is stream
        transport.abort()


async def test_a_stream_that_is_no_socket() -> None:
    stream = ScriptedStream([b"x"])
    assert adopt(stream) is stream
