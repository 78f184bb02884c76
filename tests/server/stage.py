"""An upstream that misbehaves, over real sockets, in a thread of its own.

One server plays every fault: the first segment of the path says which (`PLAYS`), the
rest of it which dialect is spoken, and `/array/` that Gemini's streams come as JSON
arrays, as servers give them that know no `alt=sse`. Nothing is timed: what stalls does
so until its connection is closed, or until `Stage.go` is set.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator

import trustme
from msgspec import Struct

from llmwire import (
    APIError,
    Choice,
    Response,
    StreamEncoder,
    TextPart,
    Usage,
    encode_response,
    unfold,
)
from llmwire.dialects import get
from llmwire.events import StreamError, TextDelta
from llmwire.messages import ErrorKind

__all__ = ("DIALECTS", "PLAYS", "TEXT", "Stage", "stage")

DIALECTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
TEXT = "Once upon a time there was a wire"
_MARKS = {
    "/chat/completions": "openai-chat",
    "/responses": "openai-responses",
    "/messages": "anthropic",
    "enerateContent": "gemini",
}
_GONE = (ConnectionError, asyncio.IncompleteReadError)


class Asked(Struct):
    """What the proxy wants, and what a healthy server of the dialect would say."""

    dialect: str
    stream: bool
    array: bool = False
    """A stream comes as a JSON array."""

    def encoder(self) -> StreamEncoder:
        """Of a stream."""
        framing = "json-array" if self.array else "sse"
        return StreamEncoder(self.dialect, framing=framing, created=1.0, id="stage")

    @property
    def frames(self) -> list[bytes]:
        """Of a stream: the message's beginning, its text, its end."""
        events = unfold(_response())
        encoder = self.encoder()
        frames = [encoder.send(event) for event in events]
        at = next(i for i, frame in enumerate(frames) if TEXT.encode() in frame) + 1
        return [frames[0], b"".join(frames[1:at]), b"".join(frames[at:])]

    @property
    def body(self) -> bytes:
        """Of a whole answer."""
        encoded = encode_response(_response(), self.dialect, created=1.0, id="stage")
        return encoded.body

    def error(self, kind: ErrorKind, status: int) -> bytes:
        """An error reply of the dialect, from its head to its end."""
        wrong = APIError(kind=kind, message="the stage says no", status=status)
        reply = get(self.dialect).encode_error(wrong)
        return _plain(f"{reply.status} X", "application/json", reply.body)

    def error_frame(self, kind: ErrorKind, status: int) -> bytes:
        """An error inside a stream."""
        wrong = APIError(kind=kind, message="the stage broke", status=status)
        encoder = self.encoder()
        for event in unfold(_response())[:3]:
            encoder.send(event)
        return encoder.send(StreamError(wrong))


def _response() -> Response:
    usage = Usage(fresh=3, output=9)
    choice = Choice(parts=(TextPart(TEXT),), stop="end")
    return Response(id="stage", model="m", choices=(choice,), usage=usage)


def _plain(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


class Peer:
    """The stage's side of one connection."""

    def __init__(
        self, stage: Stage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.stage = stage
        self._reader = reader
        self._writer = writer

    async def read(self) -> tuple[str, Asked]:
        """The next request: its fault, and what it asks for."""
        first = await self._reader.readexactly(1)
        if first == b"\x16":
            # A client says hello in TLS.
            await self.send(_plain("400 Bad Request", "text/plain", b"what?"))
            raise ConnectionAbortedError
        rest = await self._reader.readuntil(b"\r\n\r\n")
        head = (first + rest).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        body = await self._reader.readexactly(length)
        path = head.split(" ")[1]
        dialect = next(
            name for mark, name in _MARKS.items() if mark.lower() in path.split("?")[0]
        )
        stream = "stream" in path or bool(json.loads(body).get("stream"))
        fault, first_step = path.split("/")[1:3]
        return fault, Asked(dialect, stream, stream and first_step == "array")

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def begin(self, asked: Asked, *chunks: bytes) -> None:
        """A head, and the first chunks of a body, at once."""
        sse = asked.stream and not asked.array
        kind = "text/event-stream" if sse else "application/json"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n"
        data = f"{head}transfer-encoding: chunked\r\n\r\n".encode()
        await self.send(data + b"".join(map(_chunk, chunks)))

    async def more(self, *chunks: bytes) -> None:
        await self.send(b"".join(map(_chunk, chunks)))

    async def end(self) -> None:
        """The body is complete."""
        await self.send(b"0\r\n\r\n")

    def reset(self) -> None:
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def stall(self) -> None:
        """Say nothing more until the connection is closed."""
        self.stage.waiting.set()
        with contextlib.suppress(*_GONE):
            await self._reader.read()
        self.stage.closed.set()

    def close(self) -> None:
        self._writer.close()


def _chunk(data: bytes) -> bytes:
    """Nothing is no chunk: an empty one would end the body."""
    if not data:
        return b""
    return b"%x\r\n%s\r\n" % (len(data), data)


Play = Callable[[Asked, Peer], Awaitable[None]]
PLAYS: dict[str, Play] = {}
"""What the stage does, by the fault's name."""
_AGAIN = {
    "well",
    "late",
    "late-error",
    "half-then-rest",
    "html",
    "html-502",
    "garbage-body",
    "ended-in-frame",
    "ended-between-frames",
    "error-in-200",
    "error-in-stream",
}
"""Plays after which the connection may be used again."""


def _play(play: Play) -> Play:
    PLAYS[play.__name__.replace("_", "-")] = play
    return play


@_play
async def well(asked: Asked, peer: Peer) -> None:
    await peer.begin(asked, *(asked.frames if asked.stream else [asked.body]))
    await peer.end()


@_play
async def reset(asked: Asked, peer: Peer) -> None:
    peer.reset()


@_play
async def reset_inside(asked: Asked, peer: Peer) -> None:
    frames = asked.frames
    await peer.begin(asked, *(frames[:2] if asked.stream else [asked.body[:40]]))
    await peer.stage.until_go()
    peer.reset()


@_play
async def closed(asked: Asked, peer: Peer) -> None:
    """Without a word."""


@_play
async def cut_early(asked: Asked, peer: Peer) -> None:
    """After the beginning, before anything of the answer."""
    await peer.begin(asked, asked.frames[0] if asked.stream else asked.body[:1])


@_play
async def cut_in_frame(asked: Asked, peer: Peer) -> None:
    first, text, last = asked.frames
    half = last[: len(last) // 3].rstrip(b"\n")
    await peer.begin(asked, *([first, text, half] if asked.stream else [asked.body]))


@_play
async def cut_between_frames(asked: Asked, peer: Peer) -> None:
    first, text, _ = asked.frames
    await peer.begin(asked, *([first, text] if asked.stream else [asked.body[:40]]))


@_play
async def ended_in_frame(asked: Asked, peer: Peer) -> None:
    """HTTP says that the body is complete; it is not."""
    first, text, last = asked.frames
    half = last[: len(last) // 3].rstrip(b"\n")
    half_body = asked.body[: len(asked.body) // 2]
    await peer.begin(asked, *([first, text, half] if asked.stream else [half_body]))
    await peer.end()


@_play
async def ended_between_frames(asked: Asked, peer: Peer) -> None:
    first, text, _ = asked.frames
    shut = b"]" if asked.array else b""
    await peer.begin(asked, *([first, text, shut] if asked.stream else [b""]))
    await peer.end()


@_play
async def garbage(asked: Asked, peer: Peer) -> None:
    await peer.send(bytes(range(256)) * 4)


@_play
async def garbage_body(asked: Asked, peer: Peer) -> None:
    await peer.begin(asked, bytes(range(256)) * 4)
    await peer.end()


@_play
async def html(asked: Asked, peer: Peer) -> None:
    page = b"<!doctype html><title>Welcome</title><p>It works!"
    await peer.send(_plain("200 OK", "text/html", page))


@_play
async def html_502(asked: Asked, peer: Peer) -> None:
    page = b"<html><center><h1>502 Bad Gateway</h1></center></html>"
    await peer.send(_plain("502 Bad Gateway", "text/html", page))


@_play
async def error_in_200(asked: Asked, peer: Peer) -> None:
    head, _, body = asked.error("rate_limit", 429).partition(b"\r\n\r\n")
    if asked.stream:
        frame = asked.error_frame("rate_limit", 429)
        alone = b"[" + frame.lstrip(b",\r\n") if asked.array else frame
        await peer.begin(asked, alone)
        await peer.end()
    else:
        await peer.send(head.replace(b"429 X", b"200 OK") + b"\r\n\r\n" + body)


@_play
async def error_in_stream(asked: Asked, peer: Peer) -> None:
    if asked.stream:
        await peer.begin(asked, *asked.frames[:2], asked.error_frame("internal", 500))
        await peer.end()
    else:
        await peer.send(asked.error("internal", 500))


@_play
async def slow_head(asked: Asked, peer: Peer) -> None:
    await peer.stall()


@_play
async def slow_body(asked: Asked, peer: Peer) -> None:
    await peer.begin(asked, asked.frames[0] if asked.stream else asked.body[:40])
    await peer.stall()


@_play
async def stalled(asked: Asked, peer: Peer) -> None:
    frames = asked.frames
    await peer.begin(asked, *(frames[:2] if asked.stream else [asked.body[:-1]]))
    await peer.stall()


@_play
async def late(asked: Asked, peer: Peer) -> None:
    """A good answer, once somebody says so."""
    await peer.stage.until_go()
    await well(asked, peer)


@_play
async def late_error(asked: Asked, peer: Peer) -> None:
    await peer.stage.until_go()
    await peer.send(asked.error("internal", 500))


@_play
async def half_then_rest(asked: Asked, peer: Peer) -> None:
    frames = asked.frames
    await peer.begin(asked, *(frames[:2] if asked.stream else [asked.body[:40]]))
    peer.stage.waiting.set()
    await peer.stage.until_go()
    await peer.more(frames[2] if asked.stream else asked.body[40:])
    await peer.end()


@_play
async def flood(asked: Asked, peer: Peer) -> None:
    """More than all buffers on the way hold, counted as it is taken."""
    encoder = asked.encoder()
    first, second, _, *last = unfold(_response())
    piece = TextDelta(0, "x" * 32_000)
    await peer.begin(asked, encoder.send(first) + encoder.send(second))
    for _ in range(peer.stage.pieces):
        await peer.more(encoder.send(piece))
        peer.stage.given += 1
    await peer.more(*(encoder.send(event) for event in last))
    await peer.end()


@_play
async def flood_whole(asked: Asked, peer: Peer) -> None:
    text = TextPart("x" * 32_000 * peer.stage.pieces)
    response = Response(id="s", model="m", choices=(Choice(parts=(text,), stop="end"),))
    body = encode_response(response, asked.dialect, created=1.0, id="stage").body
    await peer.send(_plain("200 OK", "application/json", body))


def _error_play(kind: ErrorKind, status: int) -> Play:
    async def refuse(asked: Asked, peer: Peer) -> None:
        await peer.send(asked.error(kind, status))

    return refuse


ERRORS: dict[int, ErrorKind] = {
    400: "invalid_request",
    401: "auth",
    404: "not_found",
    429: "rate_limit",
    500: "internal",
    503: "overloaded",
}
"""What servers refuse with."""
for _status, _kind in ERRORS.items():
    PLAYS[f"error-{_status}"] = _error_play(_kind, _status)
    _AGAIN.add(f"error-{_status}")


class Stage:
    """Where the upstream listens, and what has happened on it."""

    def __init__(self) -> None:
        self.port = 0
        self.tls_port = 0
        """Speaks TLS, with a certificate that nobody trusts."""
        self.closed_port = 0
        """Nobody listens there."""
        self.pieces = 0
        """How much `flood` gives."""
        self.given = 0
        """How much of it was taken."""
        self.waiting = threading.Event()
        """A call has come to where it stalls."""
        self.closed = threading.Event()
        """The connection of a call that stalled was closed."""
        self._go = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def reset(self) -> None:
        """Forget what has happened."""
        self.waiting.clear()
        self.closed.clear()
        self._go.clear()
        self.given = 0

    def go(self) -> None:
        """Let whatever waits for it go on."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._go.set)

    async def until_go(self) -> None:
        """Wait for `go`."""
        await self._go.wait()

    def url(self, fault: str) -> str:
        """The base URL behind which `fault` is played."""
        if fault == "refused":
            return f"http://127.0.0.1:{self.closed_port}/x"
        if fault == "tls":
            return f"https://127.0.0.1:{self.tls_port}/x"
        if fault == "no-tls":
            return f"https://127.0.0.1:{self.port}/x"
        return f"http://127.0.0.1:{self.port}/{fault}"

    async def converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        peer = Peer(self, reader, writer)
        with contextlib.suppress(*_GONE, asyncio.LimitOverrunError):
            again = True
            while again:
                fault, asked = await peer.read()
                await PLAYS[fault](asked, peer)
                again = fault in _AGAIN
        peer.close()

    async def run(self, ready: threading.Event, done: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self.converse, "127.0.0.1", 0)
        # What the system holds for a slow proxy would hide that it is slow.
        server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        tls = await asyncio.start_server(self.converse, "127.0.0.1", 0, ssl=context)
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            self.closed_port = reserved.getsockname()[1]
            self.port = server.sockets[0].getsockname()[1]
            self.tls_port = tls.sockets[0].getsockname()[1]
            ready.set()
            await done.wait()
        server.close()
        tls.close()


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """Run an upstream until the context is left."""
    made = Stage()
    ready, done = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=lambda: asyncio.run(made.run(ready, done)))
    thread.start()
    ready.wait()
    try:
        yield made
    finally:
        assert made._loop is not None
        made._loop.call_soon_threadsafe(done.set)
        thread.join()


def open_files() -> int | None:
    """How many this process has open, where the system tells."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return None
