"""Streams that do as a test says, in the place of sockets."""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream


class ScriptedStream(ByteStream):
    """Receives what it is given, in order; then the end.

    Args:
        received: What `receive` returns, or raises.
        refusal: What `send` raises, if anything.
    """

    def __init__(
        self, received: Iterable[bytes | Exception], refusal: Exception | None = None
    ) -> None:
        self.sent = b""
        self.closed = False
        self._received = iter(received)
        self._refusal = refusal

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        if self._refusal is not None:
            raise self._refusal
        self.sent += item

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        step = next(self._received, anyio.EndOfStream())
        if isinstance(step, Exception):
            raise step
        return step

    async def send_eof(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed = True
        await anyio.lowlevel.checkpoint()
