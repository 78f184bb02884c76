"""The table of faults: what goes wrong, and what the clients of each dialect see.

`python -m tests.server.faults` plays every row over real sockets and prints the table
in Markdown; `test_faults` asserts the same rows.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import math
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

from msgspec import Struct

from llmwire.messages import ErrorKind
from llmwire_server.app import App
from llmwire_server.backends import Backend
from llmwire_server.config import Config
from llmwire_server.config.tree import TimeLimits
from llmwire_server.upstream import Timeouts
from llmwire_server.upstream.ledger import PoolLimits
from llmwire_server.upstream.pool import Pool
from tests.server.live import Live, Loop, serve_app, until
from tests.server.seen import ARRAY, CLIENTS, Seen, body, path, read, see
from tests.server.stage import DIALECTS, ERRORS, PLAYS, TEXT, Stage, stage

__all__ = ("FAULTS", "Fault", "Proxies", "proxies")

SHORT = 0.05
"""Seconds of a limit that is meant to be hit."""
PATIENT = TimeLimits(keepalive=0, first_byte=0, idle=0, send=0)

Outcome = Literal["status", "broken", "well"]


class Fault(Struct, frozen=True):
    """One row."""

    name: str
    says: str
    """What happens, in words."""
    status: int
    """That a client gets where nothing of the answer was given yet."""
    kind: ErrorKind
    """Of the error."""
    streamed: Outcome = "status"
    """What a client of a stream gets."""
    times: TimeLimits = PATIENT
    play: str = ""
    """What the stage does, where it is not called as the row is."""

    def outcome(self, stream: bool) -> Outcome:
        return self.streamed if stream else "status"


FAULTS = (
    Fault("refused", "the connection is refused", 502, "bad_upstream"),
    Fault("tls", "the certificate is not trusted", 502, "bad_upstream"),
    Fault("no-tls", "the server does not speak TLS", 502, "bad_upstream"),
    Fault("reset", "the connection is reset before an answer", 502, "bad_upstream"),
    Fault("closed", "the connection is closed before an answer", 502, "truncated"),
    Fault("reset-inside", "it is reset inside", 502, "bad_upstream", "broken"),
    Fault("cut-early", "cut before anything of the answer", 502, "truncated"),
    Fault("cut-in-frame", "cut inside a frame", 502, "truncated", "broken"),
    Fault("cut-between-frames", "cut between frames", 502, "truncated", "broken"),
    Fault("ended-in-frame", "HTTP ends inside a frame", 502, "bad_upstream", "broken"),
    Fault(
        "ended-between-frames",
        "HTTP ends before the stream does",
        502,
        "bad_upstream",
        "broken",
    ),
    Fault("garbage", "garbage instead of HTTP", 502, "bad_upstream"),
    Fault("garbage-body", "garbage in a good head's body", 502, "bad_upstream"),
    Fault("html", "a web page with status 200", 502, "bad_upstream"),
    Fault("html-502", "a web page with status 502", 502, "bad_upstream"),
    Fault("error-in-200", "an error with status 200", 429, "rate_limit"),
    Fault("error-in-stream", "an error inside", 500, "internal", "broken"),
    Fault(
        "slow-head",
        "no head within `first_byte`",
        504,
        "timeout",
        times=TimeLimits(first_byte=SHORT, keepalive=0),
    ),
    Fault(
        "slow-body",
        "nothing of the answer within `idle`",
        504,
        "timeout",
        times=TimeLimits(idle=SHORT, keepalive=0),
    ),
    Fault(
        "stalled",
        "it does not go on within `idle`",
        504,
        "timeout",
        "broken",
        TimeLimits(idle=SHORT, keepalive=0),
    ),
    Fault(
        "total",
        "the call takes longer than `total`",
        504,
        "timeout",
        times=TimeLimits(total=SHORT, keepalive=0),
        play="slow-head",
    ),
    *(
        Fault(f"error-{status}", f"an error {status}", status, kind)
        for status, kind in ERRORS.items()
    ),
)


class Proxy:
    """One application with its pool, served."""

    def __init__(self, live: Live, pool: Pool, app: App) -> None:
        self.live = live
        self.pool = pool
        self.app = app
        self.root = live.root

    def settle(self) -> None:
        """Nothing of any call is left: no task, no client, no entry of the pool."""
        self.live.settle()
        counts = self.pool.counts
        assert (counts.busy, counts.waiting) == (0, 0)
        assert self.app.shutdown.running == 0


class Proxies:
    """A proxy for every set of time limits, in front of one stage."""

    def __init__(self, upstream: Stage, loop: Loop) -> None:
        self.stage = upstream
        self._loop = loop
        self._made: dict[TimeLimits, Proxy] = {}
        self._open = contextlib.ExitStack()

    def of(self, times: TimeLimits = PATIENT) -> Proxy:
        """The proxy with these limits, for as long as the stage is open."""
        if times not in self._made:
            self._made[times] = self._open.enter_context(self.serve(times))
        return self._made[times]

    @contextlib.contextmanager
    def serve(
        self,
        times: TimeLimits = PATIENT,
        limits: PoolLimits | None = None,
        **how: Any,
    ) -> Iterator[Proxy]:
        """A proxy of one's own."""

        def seconds(limit: float) -> float:
            return limit or math.inf

        pool = Pool(
            limits=limits,
            timeouts=Timeouts(
                pool=seconds(times.pool),
                first_byte=seconds(times.first_byte),
                idle_read=seconds(times.idle),
            ),
        )
        config = Config(
            backends=self._backends(), default_backend="well-anthropic", timeouts=times
        )
        app = App(config, pool=pool)
        with serve_app(app, loop=self._loop, **how) as live:
            yield Proxy(live, pool, app)

    def _backends(self) -> dict[str, Backend]:
        faults = {*PLAYS, "refused", "tls", "no-tls"}
        return {
            f"{fault}-{server}": Backend(
                name=f"{fault}-{server}",
                dialect=server.removesuffix("-array"),
                base_url=self.stage.url(fault) + ("/array" if server == ARRAY else ""),
            )
            for fault in faults
            for server in (*DIALECTS, ARRAY)
        }

    def close(self) -> None:
        self._open.close()


@contextlib.contextmanager
def proxies(loop: Loop = "auto") -> Iterator[Proxies]:
    """A stage, and proxies in front of it."""
    with stage() as upstream:
        made = Proxies(upstream, loop)
        with contextlib.closing(made):
            yield made


def played(made: Proxies, fault: Fault, up: str, dialect: str, stream: bool) -> Seen:
    """One cell: the call, and afterwards nothing of it is left."""
    made.stage.reset()
    made.stage.go()
    proxy = made.of(fault.times)
    seen = see(proxy.root, dialect, f"{fault.play or fault.name}-{up}:m", stream)
    proxy.settle()
    return seen


# --- What clients and operators do -------------------------------------------------


class Conversation:
    """A call whose answer is read piece by piece."""

    def __init__(
        self, made: Proxies, proxy: Proxy, dialect: str, stream: bool, model: str
    ) -> None:
        made.stage.reset()
        self._made = made
        self._proxy = proxy
        self._dialect = dialect
        self._stream = stream
        self._socket = socket.socket()
        # A client that takes little at a time.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(30)
        self._socket.connect(("127.0.0.1", proxy.live.port))
        asked = body(dialect, model, stream)
        where = path(dialect, model, stream)
        head = f"POST {where} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(asked)}"
        self._socket.sendall(f"{head}\r\n\r\n".encode() + asked)
        self._read = b""

    def until(self, mark: bytes) -> None:
        """Read until `mark` has come."""
        while mark not in self._read:
            piece = self._socket.recv(65536)
            assert piece, self._read
            self._read += piece

    def rest(self) -> Seen:
        """Read to the end."""
        first, self._read = self._read, b""
        reply = http.client.HTTPResponse(_Joined(first, self._socket))  # type: ignore[arg-type]  # all that it needs
        reply.begin()
        with self._socket:
            return read(reply, self._dialect)

    def leave(self) -> None:
        """Without a word."""
        self._socket.close()


class _Joined:
    """What was read of a socket, and what is yet to be."""

    def __init__(self, first: bytes, sock: socket.socket) -> None:
        self._first = first
        self._socket = sock

    def makefile(self, mode: str) -> Any:
        self._socket.settimeout(30)
        return io.BufferedReader(_Tail(self._first, self._socket))


class _Tail(io.RawIOBase):
    def __init__(self, first: bytes, sock: socket.socket) -> None:
        self._first = first
        self._socket = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._first:
            return self._socket.recv_into(buffer)
        size = min(len(buffer), len(self._first))
        buffer[:size], self._first = self._first[:size], self._first[size:]
        return size


def left_before(made: Proxies, up: str, dialect: str, stream: bool) -> None:
    """The client leaves before the first byte: so does the proxy."""
    proxy = made.of()
    call = Conversation(made, proxy, dialect, stream, f"slow-head-{up}:m")
    assert made.stage.waiting.wait(10)
    call.leave()
    assert made.stage.closed.wait(10)
    proxy.settle()


def left_after(made: Proxies, up: str, dialect: str, stream: bool) -> None:
    """The client leaves in the middle (of a whole answer: while it is made)."""
    proxy = made.of()
    call = Conversation(made, proxy, dialect, stream, f"stalled-{up}:m")
    assert made.stage.waiting.wait(10)
    if stream:
        call.until(TEXT.encode())
    call.leave()
    assert made.stage.closed.wait(10)
    proxy.settle()


def slow(made: Proxies, up: str, dialect: str, stream: bool) -> Seen:
    """The client takes nothing until the proxy cannot go on, and then everything."""
    made.stage.pieces = 100
    with made.serve(PATIENT, sending=65536) as proxy:
        play = "flood" if stream else "flood-whole"
        call = Conversation(made, proxy, dialect, stream, f"{play}-{up}:m")

        until(proxy.live.paused)
        seen = call.rest()
        proxy.settle()
    return seen


def stuck(made: Proxies, up: str, dialect: str, stream: bool) -> Seen:
    """The client takes nothing for longer than `send`."""
    made.stage.pieces = 400
    times = TimeLimits(send=SHORT, keepalive=0)
    with made.serve(times, sending=65536) as proxy:
        play = "flood" if stream else "flood-whole"
        call = Conversation(made, proxy, dialect, stream, f"{play}-{up}:m")
        until(lambda: proxy.app.shutdown.running == 1)
        proxy.settle()
        # What the upstream had left was never read.
        assert not stream or made.stage.given < made.stage.pieces
        return call.rest()


def stopped(made: Proxies, up: str, dialect: str, stream: bool) -> Seen:
    """The server is told to stop in the middle, and the limit passes."""
    with made.serve(TimeLimits(shutdown=SHORT, keepalive=0)) as proxy:
        call = Conversation(made, proxy, dialect, stream, f"stalled-{up}:m")
        assert made.stage.waiting.wait(10)
        if stream:
            call.until(TEXT.encode())
        proxy.live.signal()
        seen = call.rest()
        assert made.stage.closed.wait(10)
        proxy.live.thread.join()
        assert (proxy.pool.counts.busy, proxy.pool.counts.idle) == (0, 0)
    return seen


def waited(made: Proxies, up: str, dialect: str, stream: bool) -> Seen:
    """The upstream is silent for longer than `keepalive`, then answers."""
    return _waited(made, f"late-{up}:m", dialect, stream)


def waited_in_vain(made: Proxies, up: str, dialect: str, stream: bool) -> Seen:
    """The upstream is silent for longer than `keepalive`, then refuses."""
    return _waited(made, f"late-error-{up}:m", dialect, stream)


_SIGNS: Final = {
    "anthropic": b"event: ping\n",
    # The head, and a chunk with a line's end in it.
    "gemini": b"\r\n\r\n2\r\n\r\n\r\n",
    ARRAY: b"\r\n\r\n1\r\n\n\r\n",
}
"""Signs of life, where they are no comments."""


def _waited(made: Proxies, model: str, dialect: str, stream: bool) -> Seen:
    proxy = made.of(TimeLimits(keepalive=SHORT))
    call = Conversation(made, proxy, dialect, stream, model)
    if stream:
        call.until(_SIGNS.get(dialect, b"\r\n: keep-alive\n\n"))
    made.stage.go()
    seen = call.rest()
    proxy.settle()
    return seen


def crowded(made: Proxies, up: str, dialect: str, stream: bool) -> Seen:
    """As many calls wait for a connection as may, and one more comes."""
    limits = PoolLimits(total=1, per_origin=1, waiting=1)
    model = f"stalled-{up}:m"
    with made.serve(TimeLimits(keepalive=0, pool=0), limits) as proxy:
        busy = Conversation(made, proxy, dialect, stream, model)
        assert made.stage.waiting.wait(10)
        patient = Conversation(made, proxy, dialect, stream, model)
        until(lambda: proxy.pool.counts.waiting == 1)
        seen = see(proxy.root, dialect, model, stream)
        patient.leave()
        until(lambda: proxy.pool.counts.waiting == 0)
        busy.leave()
        assert made.stage.closed.wait(10)
        proxy.settle()
    return seen


def outwaited(made: Proxies, up: str, dialect: str, stream: bool) -> Seen:
    """No connection comes free within `pool`."""
    limits = PoolLimits(total=1, per_origin=1)
    model = f"stalled-{up}:m"
    with made.serve(TimeLimits(keepalive=0, pool=SHORT), limits) as proxy:
        busy = Conversation(made, proxy, dialect, stream, model)
        assert made.stage.waiting.wait(10)
        seen = see(proxy.root, dialect, model, stream)
        busy.leave()
        assert made.stage.closed.wait(10)
        proxy.settle()
    return seen


DEEDS: Final[dict[str, Callable[[Proxies, str, str, bool], Seen | None]]] = {
    "the client leaves before the first byte": left_before,
    "the client leaves after it": left_after,
    "the client is slow": slow,
    "the client takes nothing within `send`": stuck,
    "silence longer than `keepalive`, then an answer": waited,
    "silence longer than `keepalive`, then an error 500": waited_in_vain,
    "`connections.waiting` calls wait, one more comes": crowded,
    "no connection comes free within `pool`": outwaited,
    "the server stops, `shutdown` passes": stopped,
}
"""Rows that need more than an upstream."""


def shown(seen: Seen | None) -> str:
    """A cell in words."""
    if seen is None:
        return "the upstream is left, too"
    if not seen.complete:
        return f"{seen.status}, cut off"
    error = seen.error
    word = "complete" if error is None else f"`{error[0]}`"
    where = "text, then " if seen.text_begun else ""
    return f"{seen.status} {where}{word}"


def other(client: str) -> str:
    """An upstream that speaks another dialect than `client`."""
    return DIALECTS[DIALECTS.index(client.removesuffix("-array")) - 1]


def table(made: Proxies) -> Iterator[str]:
    """The table's lines; the upstream of each client speaks another dialect."""
    ways = [(other(client), client, stream) for client, stream in CLIENTS]
    heads = [
        f"{name.replace('-array', ', array')}{', stream' if stream else ''}"
        for _, name, stream in ways
    ]
    yield "| what happens | " + " | ".join(heads) + " |"
    yield "|---" * (len(heads) + 1) + "|"
    for fault in FAULTS:
        yield _row(fault.says, [shown(played(made, fault, *way)) for way in ways])
    for says, deed in DEEDS.items():
        yield _row(says, [shown(deed(made, *way)) for way in ways])


def _row(says: str, cells: list[str]) -> str:
    return f"| {says} | " + " | ".join(cells) + " |"


def main() -> int:
    with proxies() as made:
        for line in table(made):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
