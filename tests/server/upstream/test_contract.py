"""The contract of the seam, by script: what a caller may rely on over any transport."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from llmwire.errors import LocalProtocolError
from llmwire_server.upstream import UpstreamFailure, UpstreamRequest
from llmwire_server.upstream.memory import Answer, Step
from tests.server.upstream import contract
from tests.server.upstream.contract import Call, Scripted, read_all

pytestmark = pytest.mark.anyio

Answering: TypeAlias = Callable[[], AbstractAsyncContextManager[Call]]

SCRIPTED = (*contract.WIRES, "memory")
ALL = (*SCRIPTED, "simulator")


@pytest.fixture(params=SCRIPTED)
def scripted(request: pytest.FixtureRequest, tmp_path: Path) -> Scripted:
    return contract.scripted(request.param, tmp_path)


@pytest.fixture(params=ALL)
def answering(request: pytest.FixtureRequest, tmp_path: Path) -> Answering:
    return lambda: contract.answering(request.param, tmp_path)


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


# --- Over all of them, the simulator among them --------------------------------------


async def test_any_answer_has_a_status_headers_and_a_body(answering: Answering) -> None:
    async with answering() as call:
        async with call() as response:
            assert response.status == 200
            names = [name for name, _ in response.headers]
            assert "content-type" in names
            assert all(name == name.lower() for name in names)
            body = await read_all(response)
            assert len(body) > 5
            for _ in range(2):
                assert await response.receive() == b""
        async with call() as response:
            assert await read_all(response) == body


async def test_any_call_may_be_made_at_once_with_others(
    answering: Answering,
) -> None:
    async with answering() as call:
        bodies: list[bytes] = []

        async def converse() -> None:
            async with call() as response:
                bodies.append(await read_all(response))

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(converse)
        assert len(bodies) == 20
        assert len(set(bodies)) == 1


async def test_any_cancelled_receive_loses_nothing(answering: Answering) -> None:
    async with answering() as call:
        async with call() as response:
            expected = await read_all(response)
        async with call() as response:
            body = b""
            for _ in range(3):
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    body += await response.receive()
            assert body + await read_all(response) == expected


async def test_any_call_may_be_left_closed_or_drained(
    answering: Answering,
) -> None:
    async with answering() as call:
        async with call() as response:
            expected = await read_all(response)
            await response.close()
            await response.drain()
            assert await response.receive() == b""
        for _ in range(3):
            async with call() as response:
                await response.receive()
            with pytest.raises(ZeroDivisionError):
                async with call():
                    raise ZeroDivisionError
            async with call() as response:
                await response.drain(seconds=math.inf)
                assert await response.receive() == b""
        async with call() as response:
            assert await read_all(response) == expected


async def test_any_bad_request_is_the_callers_fault(answering: Answering) -> None:
    async with answering() as call:
        with pytest.raises(LocalProtocolError):
            async with call(headers=(("x", "a\r\ny: b"),)):
                pytest.fail("there is no response")
        async with call() as response:
            assert await read_all(response)
