"""A transport without sockets: a function answers, for tests.

Knows nothing of connections. It keeps the contract of the seam in all that a caller
can see, so that whoever works with it works with the pool: requests that could not be
written are refused, a body that fails stays failed, a cancelled call loses nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from types import TracebackType
from typing import Literal, Self, TypeAlias

import anyio
import anyio.lowlevel

from llmwire_server.upstream import Headers, UpstreamFailure, UpstreamRequest
from llmwire_server.upstream.codec import encode_head
from llmwire_server.upstream.draining import drain

__all__ = ("Answer", "MemoryExchange", "MemoryTransport", "Script", "Step")

Step: TypeAlias = bytes | UpstreamFailure | anyio.Event
"""What a body does next: a chunk comes, it breaks off, or it waits for an event."""

Answer: TypeAlias = tuple[int, Iterable[tuple[str, str]], Iterable[Step]]
"""Status, headers and body."""

Script: TypeAlias = Callable[[UpstreamRequest], Answer | Awaitable[Answer]]
"""What the upstream says to a request; raises `UpstreamFailure` where it says none."""


class MemoryTransport:
    """A `Transport` whose upstreams are one function.

    Args:
        script: Answers every request.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.exchanges: list[MemoryExchange] = []
        """All that were opened, in order."""

    def open(self, request: UpstreamRequest) -> MemoryExchange:
        """Send a request; see `Transport.open`."""
        exchange = MemoryExchange(request, self._script)
        self.exchanges.append(exchange)
        return exchange


class MemoryExchange:
    """One request and its scripted response: context and `UpstreamResponse`.

    Args:
        request: What was sent.
        script: Answers it.
    """

    def __init__(self, request: UpstreamRequest, script: Script) -> None:
        self.request = request
        """What was sent."""
        self.outcome: Literal["open", "complete", "failed", "aborted"] = "open"
        """How it ended; `aborted` if it was left before its end."""
        self.status = 0
        """The final status."""
        self.headers: Headers = ()
        """Lower-case names and values."""
        self._script = script
        self._failure: UpstreamFailure | None = None
        self._steps: Iterator[Step] = iter(())
        self._awaited: anyio.Event | None = None

    async def __aenter__(self) -> Self:
        try:
            encode_head(self.request)
            await anyio.lowlevel.checkpoint()
            answer = self._script(self.request)
            if isinstance(answer, Awaitable):
                answer = await answer
            status, headers, body = answer
            self.headers = tuple((name.lower(), value) for name, value in headers)
            self._steps = iter(body)
            self.status = status
        except UpstreamFailure as failure:
            self._fail(failure)
            raise
        finally:
            if not self.status:
                await self.close()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def receive(self) -> bytes:
        """See `UpstreamResponse.receive`."""
        await anyio.lowlevel.checkpoint()
        while self.outcome == "open":
            if self._awaited is not None:
                await self._awaited.wait()
            step = next(self._steps, None)
            self._awaited = step if isinstance(step, anyio.Event) else None
            if step is None:
                self.outcome = "complete"
            elif isinstance(step, UpstreamFailure):
                self._fail(step)
            elif isinstance(step, bytes) and step:
                return step
        if self._failure is not None:
            raise self._failure.anew()
        return b""

    async def drain(self, limit_bytes: int = 65536, seconds: float = 0.1) -> None:
        """See `UpstreamResponse.drain`."""
        await drain(self.receive, limit_bytes, seconds)

    async def close(self) -> None:
        """See `UpstreamResponse.close`."""
        if self.outcome == "open":
            self._fail(UpstreamFailure("reset", "closed by this side"))
            self.outcome = "aborted"

    def _fail(self, failure: UpstreamFailure) -> None:
        self._failure = failure.anew()
        self.outcome = "failed"
