"""Tests of `llmwire_server.cycle`: one request and its answer, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from llmwire_server.client import Client
from llmwire_server.cycle import Cycle, _learn, _Signal
from llmwire_server.gathering import gathering
from llmwire_server.incoming import Incoming
from llmwire_server.relay import ClientStalled

pytestmark = pytest.mark.anyio


class Line(asyncio.Transport):
    """A connection that remembers what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False
        self.aborted = False
        self.reading = True

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Asked:
    """One cycle, and what became of it."""

    def __init__(
        self, *, head: bool = False, keep: bool = True, expects: bool = False
    ) -> None:
        self.line = Line()
        self.flow = FlowControl(self.line)
        self.answers = 0
        self.cycle = Cycle(
            self.line,
            self.flow,
            gathering(),
            bodiless=head,
            keep_alive=keep,
            expects=expects,
            on_response=self.count,
        )

    def count(self) -> None:
        self.answers += 1

    def start(self, *fields: tuple[bytes, bytes], status: int = 200) -> None:
        self.cycle.start(status, list(fields))

    def body(self, data: bytes, *, more: bool = False) -> None:
        assert self.cycle.write(data, more=more) is None

    async def run(self, answer: Callable[[], Awaitable[None]]) -> None:
        async def serve(incoming: Incoming, client: Client) -> None:
            assert (incoming, client) == (HEAD, self.cycle)
            await answer()

        await self.cycle.run(serve, HEAD)


HEAD = Incoming("GET", "/", "", [])


def length(size: int) -> tuple[bytes, bytes]:
    return (b"content-length", b"%d" % size)


# --- The answer --------------------------------------------------------------------


async def test_head_and_body_are_one_write() -> None:
    asked = Asked()
    asked.start((b"content-type", b"a/b"), length(2))
    assert asked.line.writes == []
    assert asked.cycle.response_started
    asked.body(b"ok")
    assert asked.line.writes == [
        b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 2\r\n\r\nok"
    ]
    assert asked.cycle.response_complete
    assert (asked.answers, asked.line.closed) == (1, False)


async def test_a_body_without_a_length_is_chunked() -> None:
    asked = Asked()
    asked.start()
    asked.body(b"", more=True)
    asked.body(b"0123456789abcdef", more=True)
    asked.body(b"end")
    assert b"".join(asked.line.writes) == (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b"10\r\n0123456789abcdef\r\n3\r\nend\r\n0\r\n\r\n"
    )


async def test_a_body_in_pieces_with_a_length() -> None:
    asked = Asked()
    asked.start(length(4))
    asked.body(b"ab", more=True)
    assert not asked.cycle.response_complete
    asked.body(b"cd")
    assert asked.line.writes[1:] == [b"cd"]
    assert asked.cycle.response_complete


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_that_have_no_body(status: int) -> None:
    asked = Asked()
    asked.start(status=status)
    asked.body(b"")
    (out,) = asked.line.writes
    assert out.endswith(b"\r\n\r\n") and b"transfer-encoding" not in out


async def test_the_answer_to_head_is_a_head() -> None:
    asked = Asked(head=True)
    asked.start(length(99))
    asked.body(b"never shown")
    assert asked.line.writes == [b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"]
    assert asked.cycle.response_complete


@pytest.mark.parametrize("size", [1, 3])
async def test_another_length_than_the_head_says(size: int) -> None:
    asked = Asked()
    asked.start(length(2))
    with pytest.raises(RuntimeError, match="another length"):
        asked.body(b"x" * size)
    assert not asked.cycle.response_complete
    assert asked.line.writes == []


@pytest.mark.parametrize(
    "field",
    [
        (b"a", b"b\r\nc: d"),
        (b"a", b"b\nc"),
        (b"a", b"b\rc"),
        (b"a", b"b\0c"),
    ],
)
async def test_a_header_cannot_end_its_line(field: tuple[bytes, bytes]) -> None:
    asked = Asked()
    with pytest.raises(RuntimeError, match="end its line"):
        asked.start((b"x-first", b"1"), field, length(0))


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"\xff"])
async def test_a_header_needs_a_name(name: bytes) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError, match="proper name"):
            Asked().start((name, b"1"))


def test_names_that_are_remembered_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {b"a"}
    monkeypatch.setattr("llmwire_server.cycle._NAMES", known)
    monkeypatch.setattr("llmwire_server.cycle._MOST_NAMES", 2)
    _learn(b"b")
    _learn(b"c")
    assert known == {b"a", b"b"}


@pytest.mark.parametrize("said", [True, False])
async def test_the_end_of_a_connection_is_said_once(said: bool) -> None:
    asked = Asked(keep=said)
    fields = [(b"connection", b"close")] if said else []
    asked.start(*fields, length(0))
    asked.body(b"")
    assert asked.line.writes[0].count(b"connection: close") == 1
    assert asked.line.closed


async def test_an_answer_has_one_head_one_end_and_the_head_first() -> None:
    asked = Asked()
    with pytest.raises(RuntimeError, match="without a head"):
        asked.body(b"")
    asked.start(length(0))
    with pytest.raises(RuntimeError, match="second head"):
        asked.start(length(0))
    asked.body(b"")
    with pytest.raises(RuntimeError, match="after the end"):
        asked.body(b"")


@pytest.mark.parametrize("paused", [False, True])
async def test_nothing_is_sent_to_a_client_that_has_left(paused: bool) -> None:
    asked = Asked()
    asked.cycle.disconnected = True
    if paused:
        asked.flow.pause_writing()
    asked.start(length(0))
    asked.body(b"")
    assert asked.line.writes == []


@pytest.mark.parametrize("leaves", [False, True])
async def test_sending_waits_for_the_client(leaves: bool) -> None:
    asked = Asked()
    asked.flow.pause_writing()
    asked.start(length(2))
    waiting = asked.cycle.write(b"ok", more=False)
    assert waiting is not None
    sending = asyncio.ensure_future(waiting)
    await asyncio.sleep(0)
    assert asked.line.writes == []
    asked.cycle.disconnected = leaves
    asked.flow.resume_writing()
    await sending
    assert asked.cycle.response_complete is not leaves
    assert len(asked.line.writes) == (not leaves)


# --- The request -------------------------------------------------------------------


async def test_the_body_as_it_comes() -> None:
    asked = Asked()
    cycle = asked.cycle
    assert cycle.take_body() is None
    receiving = asyncio.ensure_future(cycle.receive())
    await asyncio.sleep(0)
    assert not receiving.done()
    cycle.feed(b"a")
    cycle.feed(b"b")
    assert await receiving == {"type": "http.request", "body": b"ab", "more_body": True}
    cycle.end_body()
    assert await cycle.receive() == {
        "type": "http.request",
        "body": b"",
        "more_body": False,
    }


async def test_all_of_the_body_at_once() -> None:
    asked = Asked()
    asked.cycle.feed(b"all")
    assert asked.cycle.take_body() is None
    asked.cycle.end_body()
    assert asked.cycle.take_body() == b"all"
    gone = Asked()
    gone.cycle.end_body()
    gone.cycle.disconnected = True
    assert gone.cycle.take_body() is None


async def test_no_more_is_read_than_is_wanted() -> None:
    asked = Asked()
    asked.cycle.feed(bytes(65536))
    assert asked.line.reading
    asked.cycle.feed(b"x")
    assert not asked.line.reading
    message = await asked.cycle.receive()
    assert len(message["body"]) == 65537
    assert asked.line.reading


@pytest.mark.parametrize("closing", [False, True])
async def test_a_client_is_told_to_go_on_once(closing: bool) -> None:
    asked = Asked(expects=True)
    asked.line.closed = closing
    asked.cycle.feed(b"a")
    await asked.cycle.receive()
    asked.cycle.feed(b"a")
    await asked.cycle.receive()
    told = [] if closing else [b"HTTP/1.1 100 Continue\r\n\r\n"]
    assert asked.line.writes == told


async def test_the_end_is_told_after_the_answer_and_to_who_waits() -> None:
    asked = Asked()
    asked.cycle.feed(b"a")
    await asked.cycle.receive()
    waiting = asyncio.ensure_future(asked.cycle.receive())
    await asyncio.sleep(0)
    asked.start(length(0))
    asked.body(b"")
    assert await waiting == {"type": "http.disconnect"}
    assert await asked.cycle.receive() == {"type": "http.disconnect"}


async def test_a_signal_wakes_one_who_waits_and_may_come_before() -> None:
    signal = _Signal()
    signal.set()
    await signal.wait()
    assert not signal.is_set
    waiting = asyncio.ensure_future(signal.wait())
    await asyncio.sleep(0)
    signal.set()
    signal.set()
    await waiting
    assert not signal.is_set


# --- Who answers -------------------------------------------------------------------


async def test_one_that_fails_before_its_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answer() -> None:
        raise ValueError("secret")

    asked = Asked()
    with pytest.raises(ValueError, match="secret"):
        await asked.run(answer)
    assert asked.line.writes[0].startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in b"".join(asked.line.writes)
    assert asked.line.closed
    assert caplog.messages == ["a call ended without a complete answer"]


async def test_one_that_fails_in_its_head() -> None:
    async def answer() -> None:
        asked.start((b"x-a", b"1"), (b"x-b", b"2\n"))

    asked = Asked()
    with pytest.raises(RuntimeError, match="end its line"):
        await asked.run(answer)
    assert asked.line.writes == [
        b"HTTP/1.1 500 Internal Server Error\r\n"
        b"content-length: 0\r\nconnection: close\r\n\r\n"
    ]


async def test_one_that_fails_within_its_answer() -> None:
    async def answer() -> None:
        asked.start(length(2))
        asked.body(b"x", more=True)
        raise ValueError

    asked = Asked()
    with pytest.raises(ValueError):
        await asked.run(answer)
    assert asked.line.closed
    assert len(asked.line.writes) == 1
    assert not asked.cycle.response_complete


async def test_one_that_gives_up(caplog: pytest.LogCaptureFixture) -> None:
    async def answer() -> None:
        return None

    asked = Asked()
    await asked.run(answer)
    assert asked.line.writes[0].startswith(b"HTTP/1.1 500 ")
    assert caplog.messages == ["a call ended without a complete answer"]
    left = Asked()
    left.cycle.disconnected = True
    await left.run(answer)
    assert left.line.writes == []


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    async def answer() -> None:
        raise ClientStalled

    asked = Asked()
    await asked.run(answer)
    assert asked.line.aborted


async def test_a_sound_answer_leaves_the_connection_alone() -> None:
    async def answer() -> None:
        asked.start(length(0))
        asked.body(b"")

    asked = Asked()
    await asked.run(answer)
    assert not asked.line.closed
    assert asked.answers == 1


async def test_the_connection_is_told_nothing_once_the_call_is_over() -> None:
    async def answer() -> None:
        asked.cycle.disconnected = True

    asked = Asked()
    await asked.run(answer)
    asked.cycle.disconnected = False
    asked.start(length(0))
    asked.body(b"")
    assert asked.answers == 0
