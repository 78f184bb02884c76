"""Reading on without a reader, within limits; for transports to share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from llmwire_server.upstream import UpstreamFailure

__all__ = ("drain",)


async def drain(
    receive: Callable[[], Awaitable[bytes]], limit_bytes: int, seconds: float
) -> None:
    """Read to the end, to a failure, or to either limit; see `UpstreamResponse.drain`.

    Args:
        receive: Gives bytes, or none at the end.
        limit_bytes: Give up when there are more than this.
        seconds: Give up after this time.
    """
    with anyio.move_on_after(seconds):
        while limit_bytes >= 0:
            try:
                data = await receive()
            except UpstreamFailure:
                return
            if not data:
                return
            limit_bytes -= len(data)
