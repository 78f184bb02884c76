"""`python -m bench load`: many streams at once, and many calls after one another.

Three processes: an upstream that paces, the proxy (one worker), and the clients here.
Streams: every one has a text of its own; half of them are passed through, the other
half translated, and every byte is compared with what this stream must be. Calls: what
the proxy holds, in bytes and in objects, before and after.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator

from msgspec import Struct

from llmwire import StreamTranslator
from llmwire_server.app import App
from llmwire_server.backends import Backend
from llmwire_server.client import Client
from llmwire_server.config import Config
from llmwire_server.config.tree import ConnectionLimits, RequestLimits
from llmwire_server.incoming import Incoming
from llmwire_server.serving import listen, make_server

__all__ = ("CallsReport", "StreamsReport", "many_calls", "many_streams", "running")

_DELTAS = 20
_PACE = 0.1
_HISTORY = 50_000
"""Bytes of the request of each stream: an agent's."""
_OWN = re.compile(rb'"id":"[^"]*"|"created":\d+')
"""What a translated stream has of its own."""


class StreamsReport(Struct, frozen=True):
    """What many streams at once cost the proxy."""

    streams: int
    wrong: int
    """Streams that were not what they must be."""
    bytes_each: int
    """Resident memory per stream that is open and idle."""
    seconds: float
    left: dict[str, int]
    """What the proxy held more, afterwards, than before."""


class CallsReport(Struct, frozen=True):
    """What many calls leave in the proxy."""

    calls: int
    per_second: float
    before: dict[str, int]
    after: dict[str, int]


# --- The upstream ------------------------------------------------------------------


def _delta(text: str) -> bytes:
    body = {"model": "m", "choices": [{"index": 0, "delta": {"content": text}}]}
    return f"data: {json.dumps(body)}\n\n".encode()


def _stream(number: int) -> list[bytes]:
    """The upstream's frames for one client."""
    deltas = [_delta(f"{number}/{at} " + "é" * (number % 7)) for at in range(_DELTAS)]
    stop = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    end = {"model": "m", "choices": stop}
    return [*deltas, f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n".encode()]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _upstream() -> None:
    go = asyncio.Event()
    message = {"role": "assistant", "content": "Hello!"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()
    head = f"content-type: application/json\r\ncontent-length: {len(body)}"
    whole = f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body

    async def converse(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = re.search(rb"content-length: *(\d+)", head)
                asked = await reader.readexactly(int(length[1]) if length else 0)
                if head.startswith(b"get /go "):
                    go.set()
                    writer.write(whole)
                    continue
                document = json.loads(asked)
                if not document.get("stream"):
                    writer.write(whole)
                    continue
                first, *rest = _stream(int(document["messages"][0]["content"]))
                kind = b"content-type: text/event-stream\r\n"
                coding = b"transfer-encoding: chunked\r\n\r\n"
                writer.write(b"HTTP/1.1 200 OK\r\n" + kind + coding + _chunk(first))
                await go.wait()
                for frame in rest:
                    await asyncio.sleep(_PACE)
                    writer.write(_chunk(frame))
                    await writer.drain()
                writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# --- The proxy -----------------------------------------------------------------------


class _Counted(App):
    """Tells what it holds."""

    async def serve(self, incoming: Incoming, client: Client) -> None:
        """One call."""
        if incoming.path != "/held":
            await super().serve(incoming, client)
            return
        gc.collect()
        held = {
            "bytes": _resident(),
            "objects": len(gc.get_objects()),
            "tasks": len(asyncio.all_tasks()),
            "calls": self.shutdown.running,
        }
        body = json.dumps(held).encode()
        client.start(200, [(b"content-length", str(len(body)).encode())])
        client.write(body, more=False)


def _resident() -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        found = re.search(r"VmRSS:\s*(\d+) kB", status.read())
    assert found is not None
    return int(found[1]) * 1024


def _proxy(upstream: int) -> None:
    backend = Backend(
        name="up", dialect="openai-chat", base_url=f"http://127.0.0.1:{upstream}/v1"
    )
    app = _Counted(
        Config(
            backends={"up": backend},
            default_backend="up",
            limits=RequestLimits(concurrent=10_000),
            connections=ConnectionLimits(total=10_000, per_origin=10_000),
        )
    )
    sock = listen("127.0.0.1", 0)
    print(sock.getsockname()[1], flush=True)
    make_server(app).run(sockets=[sock])


# --- The clients ---------------------------------------------------------------------


class _Client:
    """One connection to the proxy, or to the upstream."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> _Client:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port
        )
        return self

    async def __aexit__(self, *how: object) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def ask(self, path: str, body: bytes = b"", method: str = "POST") -> bytes:
        """Send a request; gives the head of the answer."""
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}"
        self._writer.write(f"{head}\r\n\r\n".encode() + body)
        return await self._reader.readuntil(b"\r\n\r\n")

    async def whole(self, path: str, body: bytes = b"", method: str = "POST") -> bytes:
        """The body of an answer whose length is known."""
        head = await self.ask(path, body, method)
        assert head.startswith(b"HTTP/1.1 200"), head
        length = re.search(rb"content-length: *(\d+)", head.lower())
        assert length is not None
        return await self._reader.readexactly(int(length[1]))

    async def chunk(self) -> bytes:
        """The next chunk of a body, b"" at its end."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        data = await self._reader.readexactly(size + 2)
        return data[:-2]


_PATHS = {"openai-chat": "/v1/chat/completions", "anthropic": "/v1/messages"}


def _asked(text: str, stream: bool, history: int = 0) -> bytes:
    """A request, with so many bytes of what was said before."""
    turn = [{"role": "user", "content": text}]
    if history:
        turn.append({"role": "assistant", "content": "x" * history})
        turn.append({"role": "user", "content": "Go on."})
    asked = {"model": "m", "max_tokens": 99, "stream": stream, "messages": turn}
    return json.dumps(asked).encode()


def _expected(number: int, dialect: str) -> bytes:
    sent = b"".join(_stream(number))
    if dialect == "openai-chat":
        return sent
    translator = StreamTranslator("openai-chat", dialect)
    return translator.receive_data(sent) + translator.receive_eof()


async def _held(port: int) -> dict[str, int]:
    async with _Client(port) as client:
        held: dict[str, int] = json.loads(await client.whole("/held", method="GET"))
        return held


async def _quiet(port: int) -> dict[str, int]:
    """What the proxy holds when its last call has ended."""
    while True:
        held = await _held(port)
        if not held["calls"]:
            return held


async def many_streams(proxy: int, upstream: int, count: int) -> StreamsReport:
    """`count` streams at the same time; all are open before any goes on."""
    before = await _held(proxy)
    opened, go = asyncio.Semaphore(0), asyncio.Event()
    wrong = 0

    async def read(number: int) -> None:
        nonlocal wrong
        dialect = "anthropic" if number % 2 else "openai-chat"
        got = []
        async with _Client(proxy) as client:
            await client.ask(_PATHS[dialect], _asked(str(number), True, _HISTORY))
            got.append(await client.chunk())
            opened.release()
            await go.wait()
            while chunk := await client.chunk():
                got.append(chunk)
        own, must = b"".join(got), _expected(number, dialect)
        if dialect != "openai-chat":
            own, must = _OWN.sub(b"", own), _OWN.sub(b"", must)
        wrong += own != must

    tasks = [asyncio.create_task(read(number)) for number in range(count)]
    for _ in tasks:
        await opened.acquire()
    idle = await _held(proxy)
    started = time.perf_counter()
    go.set()
    async with _Client(upstream) as client:
        await client.whole("/go", method="GET")
    await asyncio.gather(*tasks)
    seconds = time.perf_counter() - started
    after = await _quiet(proxy)
    left = {name: after[name] - before[name] for name in ("tasks", "calls")}
    each = (idle["bytes"] - before["bytes"]) // count
    return StreamsReport(count, wrong, each, seconds, left)


async def many_calls(proxy: int, count: int, clients: int = 64) -> CallsReport:
    """`count` whole calls, half of them translated, over a few connections."""
    bodies = [(path, _asked("Hi", False)) for path in _PATHS.values()]

    async def ask(client: _Client, calls: int) -> None:
        for at in range(calls):
            path, body = bodies[at % 2]
            assert b"Hello!" in await client.whole(path, body)

    async with contextlib.AsyncExitStack() as stack:
        made = [await stack.enter_async_context(_Client(proxy)) for _ in range(clients)]
        # What is made once, and kept, is made now.
        await asyncio.gather(*(ask(client, 2000) for client in made))
        before = await _quiet(proxy)
        started = time.perf_counter()
        await asyncio.gather(*(ask(client, count // clients) for client in made))
        seconds = time.perf_counter() - started
        after = await _quiet(proxy)
    done = count // clients * clients
    return CallsReport(done, done / seconds, before, after)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[tuple[int, int]]:
    """The ports of a proxy and of its upstream, in processes of their own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else min(16_384, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    with contextlib.ExitStack() as stack:
        upstream = _start(stack, "upstream")
        proxy = _start(stack, "proxy", str(upstream))
        yield proxy, upstream


def _start(stack: contextlib.ExitStack, *words: str) -> int:
    command = [sys.executable, "-m", "bench.load", *words]
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    stack.callback(process.terminate)
    assert process.stdout is not None
    return int(process.stdout.readline())


async def report() -> int:
    """Measure and print; 1 where a stream was wrong."""
    async with running() as (proxy, upstream):
        calls = await many_calls(proxy, 100_000)
        streams = await many_streams(proxy, upstream, 2_000)
    print(f"{calls.calls} calls, {calls.per_second:.0f} a second")
    for name, count in calls.after.items():
        print(f"  {name}: {calls.before[name]} before, {count} after")
    print(
        f"{streams.streams} streams at once, {streams.seconds:.1f} s, "
        f"{streams.wrong} wrong; {streams.bytes_each / 1024:.1f} kB each while idle, "
        f"of requests of {_HISTORY // 1000} kB; "
        f"left behind: {streams.left}"
    )
    return int(streams.wrong > 0)


def main(words: list[str]) -> int:
    """Play the part that `words` name; none: the clients'."""
    if words[:1] == ["upstream"]:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_upstream())
    elif words[:1] == ["proxy"]:
        _proxy(int(words[1]))
    else:
        return asyncio.run(report())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
