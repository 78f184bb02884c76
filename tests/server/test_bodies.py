"""Tests of `llmwire_server.bodies`: limits, codings, time."""

from __future__ import annotations

import asyncio
import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import anyio
import pytest

from llmwire_server.bodies import BodyRefused, read_body

pytestmark = pytest.mark.anyio

TEXT = b'{"messages": [' + b'"so it goes", ' * 5000 + b"]}"
MEGABYTE = 1024 * 1024


def _raw(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "X-GZIP": gzip.compress,
    "deflate": zlib.compress,
    "deflate, identity": _raw,
    "gzip, deflate": lambda data: zlib.compress(gzip.compress(data)),
    "deflate,gzip, gzip": lambda data: gzip.compress(
        gzip.compress(zlib.compress(data))
    ),
    "identity": bytes,
    "": bytes,
}


class _Receive:
    def __init__(self, *chunks: bytes, ends: bool = True) -> None:
        self.chunks = list(chunks)
        self.ends = ends
        self.asked = 0

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if self.chunks:
            chunk = self.chunks.pop(0)
            more = bool(self.chunks) or not self.ends
            return {"type": "http.request", "body": chunk, "more_body": more}
        return {"type": "http.disconnect"}


def _pieces(data: bytes, size: int) -> Iterable[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)] or [b""]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [1 << 20, 1000, 7])
async def test_every_coding_in_any_pieces(coding: str, size: int) -> None:
    data = CODINGS[coding](TEXT)
    receive = _Receive(*_pieces(data, size))
    assert await read_body(receive, len(TEXT), coding=coding, seconds=60) == TEXT


async def test_gzip_may_have_many_members() -> None:
    members = gzip.compress(b"a") + gzip.compress(b"") + gzip.compress(TEXT)
    assert await read_body(_Receive(members), MEGABYTE, coding="gzip") == b"a" + TEXT
    too_many = gzip.compress(b"") * 1025
    with pytest.raises(BodyRefused) as caught:
        await read_body(_Receive(too_many), MEGABYTE, coding="gzip")
    assert caught.value.status == 400


async def test_an_empty_body_needs_no_coding() -> None:
    assert await read_body(_Receive(b""), 10, coding="gzip") == b""


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "compress", "gzip, br", "*", "gzip;q"]
)
async def test_other_codings_are_refused_before_anything_is_read(coding: str) -> None:
    receive = _Receive(b"x")
    with pytest.raises(BodyRefused) as caught:
        await read_body(receive, 10, coding=coding)
    assert caught.value.status == 415
    assert ("accept-encoding", "gzip, deflate") in caught.value.headers
    assert not receive.asked


async def test_no_more_than_four_layers() -> None:
    data = b"{}"
    for _ in range(4):
        data = gzip.compress(data)
    assert await read_body(_Receive(data), 999, coding=",".join(["gzip"] * 4)) == b"{}"
    with pytest.raises(BodyRefused) as caught:
        await read_body(_Receive(data), 999, coding=",".join(["gzip"] * 5))
    assert caught.value.status == 415


@pytest.mark.parametrize("coding", ["gzip", "deflate", "deflate, identity"])
async def test_what_is_no_such_coding(coding: str) -> None:
    whole = CODINGS[coding](TEXT)
    broken = [
        b"{}" * 20,
        whole[:-1],
        whole[: len(whole) // 2],
        whole + b"x",
        whole[:20] + b"\xff\xff\xff\xff" + whole[24:],
        b"\x1f",
    ]
    for data in broken:
        for size in (MEGABYTE, 1):
            receive = _Receive(*_pieces(data, size))
            with pytest.raises(BodyRefused) as caught:
                await read_body(receive, MEGABYTE, coding=coding)
            assert caught.value.status == 400, data[:30]


@pytest.mark.parametrize("coding", [c for c in CODINGS if "f" in c or "g" in c.lower()])
async def test_the_limit_is_exact_once_inflated(coding: str) -> None:
    data = CODINGS[coding](TEXT)
    with pytest.raises(BodyRefused) as caught:
        await read_body(_Receive(data), len(TEXT) - 1, coding=coding)
    assert caught.value.status == 413


@pytest.mark.parametrize("layers", [1, 2, 3])
async def test_a_bomb_is_refused_while_it_is_small(layers: int) -> None:
    bomb = bytes(200 * MEGABYTE)
    for _ in range(layers):
        bomb = gzip.compress(bomb, 9)
    coding = ", ".join(["gzip"] * layers)
    receive = _Receive(*_pieces(bomb, 1000))
    tracemalloc.start()
    try:
        with pytest.raises(BodyRefused) as caught:
            await read_body(receive, MEGABYTE, coding=coding)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.status == 413
    assert most < 8 * MEGABYTE


async def test_random_bytes_never_do_more_than_be_refused() -> None:
    dice = random.Random(7)
    for _ in range(500):
        coding = dice.choice(["gzip", "deflate", "gzip, deflate"])
        whole = bytearray(CODINGS[coding](TEXT[:2000]))
        for _ in range(dice.randrange(4)):
            whole[dice.randrange(len(whole))] = dice.randrange(256)
        pieces = _pieces(bytes(whole), dice.choice([1, 9, 4096]))
        try:
            body = await read_body(_Receive(*pieces), 4000, coding=coding)
        except BodyRefused as refused:
            assert refused.status in (400, 413)
        else:
            assert body is not None and len(body) <= 4000


async def test_a_length_that_is_too_large_is_refused_before_anything_is_read() -> None:
    receive = _Receive(b"x")
    with pytest.raises(BodyRefused) as caught:
        await read_body(receive, 10, length="11")
    assert caught.value.status == 413
    assert not receive.asked
    assert await read_body(_Receive(b"x" * 10), 10, length="10") == b"x" * 10


@pytest.mark.parametrize("length", ["", "-1", "1e3", "0x10", "+1", "9" * 20, "1,1"])
async def test_a_length_that_is_no_number(length: str) -> None:
    receive = _Receive(b"x")
    with pytest.raises(BodyRefused) as caught:
        await read_body(receive, 10, length=length)
    assert caught.value.status == 400
    assert not receive.asked


async def test_a_body_without_a_length_is_read_to_its_limit_only() -> None:
    receive = _Receive(*[b"x" * 10] * 9)
    with pytest.raises(BodyRefused) as caught:
        await read_body(receive, 25)
    assert caught.value.status == 413
    assert receive.asked == 3


async def test_a_client_that_leaves() -> None:
    for seconds in (0.0, 60.0):
        receive = _Receive(b"x", ends=False)
        assert await read_body(receive, 10, seconds=seconds) is None


async def test_a_body_that_comes_too_slowly() -> None:
    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    with pytest.raises(BodyRefused) as caught:
        await read_body(receive, 10, seconds=0.001)
    assert caught.value.status == 408
    assert ("connection", "close") in caught.value.headers
    task = asyncio.current_task()
    assert task is not None and not task.cancelling()


async def test_a_call_that_is_cancelled_stays_cancelled() -> None:
    waiting = asyncio.Event()

    async def receive() -> dict[str, Any]:
        waiting.set()
        await anyio.sleep_forever()
        raise AssertionError

    task = asyncio.ensure_future(read_body(receive, 10, seconds=60))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nothing_of_the_body_is_told() -> None:
    with pytest.raises(BodyRefused) as caught:
        await read_body(_Receive(b"secret" * 10), MEGABYTE, coding="gzip")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
