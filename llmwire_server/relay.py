"""The pump: upstream bytes -> Attempt -> client bytes, for one call.

Knows ASGI messages and a `Transport`; what the bytes mean is the attempt's business.
A client that leaves cancels the upstream at once, before the first byte too: a watcher
runs beside the pump for as long as the call lives.

Whatever goes wrong is told to the client in its own dialect, faults of this program
included: the one place that catches every exception is here, and it raises them again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import anyio

from llmwire import APIError, Attempt, Head, HTTPReply
from llmwire.messages import ErrorKind
from llmwire_server.upstream import (
    FailureKind,
    Transport,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamResponse,
)

__all__ = ("Receive", "Send", "relay", "send_reply")

ASGIMessage: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[ASGIMessage]]
Send: TypeAlias = Callable[[ASGIMessage], Awaitable[None]]
Instead: TypeAlias = Callable[[APIError], HTTPReply | None]

_KINDS: Final[dict[FailureKind, tuple[ErrorKind, int]]] = {
    "connect": ("bad_upstream", 502),
    "tls": ("bad_upstream", 502),
    "pool": ("overloaded", 503),
    "timeout": ("timeout", 504),
    "reset": ("bad_upstream", 502),
    "truncated": ("truncated", 502),
    "protocol": ("bad_upstream", 502),
}
FAULT: Final = APIError(
    kind="internal", message="llmwire failed; its log says why", status=500
)


async def send_reply(send: Send, reply: HTTPReply) -> None:
    """Give the client a complete answer."""
    length = ("content-length", str(len(reply.body)))
    headers = tuple(pair for pair in reply.headers if pair[0] != "content-length")
    await send(_start(Head(reply.status, (*headers, length))))
    await send({"type": "http.response.body", "body": reply.body})


def _start(head: Head) -> ASGIMessage:
    return {
        "type": "http.response.start",
        "status": head.status,
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in head.headers
        ],
    }


async def relay(
    attempt: Attempt,
    transport: Transport,
    request: UpstreamRequest,
    receive: Receive,
    send: Send,
    *,
    instead: Instead = lambda error: None,
) -> None:
    """Carry one call until its answer is complete or its client has left.

    Args:
        attempt: Turns the upstream's bytes into the client's.
        transport: Carries `request`.
        request: What to send upstream.
        receive: The client's ASGI messages; its body has been read.
        send: Takes ASGI messages for the client.
        instead: Is asked for another reply before an error is told; None: there is
            none.
    """
    pump = _Pump(attempt, send, instead)
    await _run_watched(pump, transport, request, receive)
    if pump.fault is not None:
        raise pump.fault


async def _run_watched(
    pump: _Pump, transport: Transport, request: UpstreamRequest, receive: Receive
) -> None:
    watching = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            with watching:
                left = False
                while not left:
                    left = (await receive())["type"] == "http.disconnect"
                # Servers say so after a complete answer too; the upstream's
                # connection may still be read to its end then.
                if not pump.done:
                    tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        await pump.run(transport, request)
        watching.cancel()


class _Pump:
    """One direction of one call: everything that the client is sent."""

    def __init__(self, attempt: Attempt, send: Send, instead: Instead) -> None:
        self._attempt = attempt
        self._send = send
        self._instead = instead
        self._started = False
        self.fault: Exception | None = None
        """What went wrong in this program."""

    @property
    def done(self) -> bool:
        """The answer is complete, or has failed."""
        return self._attempt.done

    async def run(self, transport: Transport, request: UpstreamRequest) -> None:
        """Pump until the answer is complete. Raises nothing."""
        try:
            async with transport.open(request) as response:
                await self._carry(response)
            return
        except UpstreamFailure as failure:
            kind, status = _KINDS[failure.kind]
            message = f"the upstream failed: {failure}"
            error = APIError(kind=kind, message=message, status=status)
        except Exception as fault:
            self.fault = fault
            error = FAULT
        await self._give(self._attempt.fail(error))

    async def _carry(self, response: UpstreamResponse) -> None:
        attempt = self._attempt
        attempt.receive_head(response.status, response.headers)
        while not attempt.done:
            chunk = await response.receive()
            out = attempt.receive_data(chunk) if chunk else attempt.receive_eof()
            if out or attempt.done:
                await self._give(out)
        await response.drain()

    async def _give(self, out: bytes) -> None:
        attempt = self._attempt
        if attempt.head is None:
            return
        if not self._started:
            self._started = True
            error = attempt.error
            other = None
            if error is not None and not attempt.committed:
                other = self._instead(error)
            if other is not None:
                await send_reply(self._send, other)
                return
            await self._send(_start(attempt.head))
        await self._send(
            {
                "type": "http.response.body",
                "body": out,
                "more_body": not attempt.done,
            }
        )
