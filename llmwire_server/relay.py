"""The pump: upstream bytes -> Attempt -> client bytes, for one call.

Knows an `Answer`, a `Transport` and the clock; what the bytes mean is the attempt's
business. Whatever goes wrong is told to the client in its own dialect, faults of this
program included: the one place that catches every exception is here, and it raises
them again.

Rules:
1. Nothing is read from the upstream while the client has not taken what came before;
   what has arrived together is sent together, and nothing is waited for. Only the
   first words go ahead of what came with them, for somebody waits for them.
2. A client that leaves ends the upstream's exchange at once, before the first byte
   too.
3. A client that leaves its bytes untaken for `send` seconds is given up:
   `ClientStalled` is raised, and whoever serves must cut the connection, since a
   stalled client cannot be told anything.
4. The stream of a client that has heard nothing for `keepalive` seconds shows that it
   lives. Where the head is not decided yet, it is decided for 200 then: intermediaries
   cut connections that stay silent, which is worse than an error that comes as the last
   frame of a stream instead of as a status.
5. An answer that cannot be brought to its end (`total`, a shutdown, any failure) ends
   with an error in the client's form. It never looks complete.

Theory of operation: the call's own task pumps. Beside it there are `Watch` and, where
the server does not tell by itself (`Leaving`), one task that waits for the client to
leave. All that a chunk costs is two looks at the clock; `look` finds out, when its time
has come, whether anything really is due, and otherwise moves on. What must end the call
from outside (`_Pump.end`, `_Pump.leave`) cancels the call's task and leaves word why.
It is asyncio's own cancellation: the server runs on no other loop, and a task group
costs eight times as much.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeAlias

from msgspec.structs import replace

from llmwire import APIError, Attempt, Head, HTTPReply
from llmwire.http import Headers
from llmwire.messages import ErrorKind
from llmwire_server.client import Leaving, Receive
from llmwire_server.config.tree import TimeLimits
from llmwire_server.shutdown import Shutdown
from llmwire_server.upstream import (
    FailureKind,
    Transport,
    UpstreamFailure,
    UpstreamRequest,
    UpstreamResponse,
)
from llmwire_server.watching import watch

__all__ = ("Answer", "ClientStalled", "Dress", "relay", "send_reply")

Instead: TypeAlias = Callable[[APIError], HTTPReply | None]
Dress: TypeAlias = Callable[[Head], Head]

_log: Final = logging.getLogger("llmwire")
_DEFAULT_TIMES: Final = TimeLimits()
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
_BUFFERED: Final = 64 * 1024
"""Bytes that a server may take for a client without waiting for it."""
_AHEAD: Final = 2048
"""Bytes of a stream that hold its first words, whatever stands before them."""
_GRACE: Final = 1.0
"""Seconds after `total` in which a client may still take the error that says so."""


class ClientStalled(Exception):
    """A client leaves its bytes untaken: its connection is to be cut."""


class _ClientLeft(Exception):
    """The server says so when something is sent."""


class Answer(Protocol):
    """What is being told the client."""

    def start(self, status: int, headers: Headers) -> None:
        """Begin it; its head goes with the first piece of its body.

        Args:
            status: HTTP's.
            headers: Names in lower case.
        """

    def write(self, body: bytes, *, more: bool) -> Awaitable[None] | None:
        """Send a piece of its body; see `Client.write`."""


async def send_reply(answer: Answer, reply: HTTPReply) -> None:
    """Give the client a complete answer."""
    length = ("content-length", str(len(reply.body)))
    headers = [pair for pair in reply.headers if pair[0] != "content-length"]
    answer.start(reply.status, (*headers, length))
    taken = answer.write(reply.body, more=False)
    if taken is not None:
        await taken


def relay(
    attempt: Attempt,
    transport: Transport,
    request: Callable[[], UpstreamRequest],
    receive: Receive,
    answer: Answer,
    *,
    times: TimeLimits = _DEFAULT_TIMES,
    shutdown: Shutdown | None = None,
    dress: Dress | None = None,
    instead: Instead = lambda error: None,
    request_id: str = "",
    leaving: Leaving | None = None,
) -> Coroutine[Any, Any, None]:
    """Carry one call until its answer is complete or its client has left.

    Args:
        attempt: Turns the upstream's bytes into the client's.
        transport: Carries what is sent; keeps the limits that concern the upstream.
        request: Makes what to send upstream of `attempt.http`, which is forgotten as
            soon as an answer begins.
        receive: The client's ASGI messages; its body has been read.
        answer: Goes to the client; whoever waits for it waits for the client.
        times: `total`, `send` and `keepalive`, in seconds; 0 is no limit.
        shutdown: May end the call.
        dress: Is shown the head of the answer, once, and gives the one to send.
        instead: Is asked for another reply before an error is told; None: there is
            none.
        request_id: What the log calls this call.
        leaving: Tells when the client leaves; without it, `receive` does.

    Returns:
        What the call's task awaits.

    Raises:
        ClientStalled: Where that is awaited: the client has not taken its bytes for
            `times.send` seconds.
    """
    pump = _Pump(attempt, answer, times, dress, instead)
    watching = None if leaving is not None else receive
    return pump.run(transport, request, shutdown, leaving, watching, request_id)


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _log_end(pump: _Pump, request_id: str) -> None:
    """One line where the call did not go well; nothing that a peer wrote is in it."""
    said = {"request_id": request_id}
    if pump.stalled:
        _log.warning("the client left its bytes untaken and was cut off", extra=said)
    elif pump.left:
        _log.info("the client left before its answer was complete", extra=said)
    elif pump.fault is not None:
        _log.error("llmwire failed: %s", type(pump.fault).__name__, extra=said)
    elif pump.error is not None:
        _log.warning("%s", pump.error.message, extra=said)


def _first_ahead(chunk: bytes) -> tuple[bytes, ...]:
    """What came first of an answer, and the rest of what came with it."""
    if len(chunk) <= _AHEAD:
        return (chunk,)
    return chunk[:_AHEAD], chunk[_AHEAD:]


class _Pump:
    """One direction of one call: everything that the client is sent, and when."""

    def __init__(
        self,
        attempt: Attempt,
        answer: Answer,
        times: TimeLimits,
        dress: Dress | None,
        instead: Instead,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._task: asyncio.Task[None]
        """Pumps."""
        self._attempt = attempt
        self._answer = answer
        self._dress = dress
        self._instead = instead
        self._started = False
        self._complete = False
        self._commits = True
        """A keep-alive may decide the head."""
        self._cancellations = 0
        self._cancelled_before = 0
        self._verdict: APIError | None = None
        """Why the call was ended from outside."""
        self._beat: asyncio.Task[None] | None = None
        self.left = False
        """The client has left."""
        self.stalled = False
        """The client did not take its bytes in time."""
        self.fault: Exception | None = None
        """What went wrong in this program."""
        self.error: APIError | None = None
        """Why the exchange with the upstream failed, where the attempt did not say."""
        now = self._now()
        self._sending = 0
        """Sends that are under way: the pump's, a keep-alive's."""
        self._since = now
        """Since when something is being sent, or nothing is."""
        self._silence = times.keepalive or math.inf
        self._patience = times.send or math.inf
        self._total = times.total
        self._last = now + (times.total or math.inf)
        self.due = min(self._last, now + self._patience, now + self._silence)
        """When there may be something to do beside what comes."""
        self._watch = watch()

    # --- What comes from outside ---------------------------------------------------

    def end(self, error: APIError) -> None:
        """End the call with `error`, unless only the client's taking it is missing."""
        if self._verdict is None and not self._attempt.done:
            self._verdict = error
            # What is being sent is sent to its end, so that the error follows it.
            if not self._sending:
                self._cancel()

    def leave(self) -> None:
        """The client has left."""
        # Servers say so after a complete answer too; the upstream's connection may
        # still be read to its end then.
        if not self._complete:
            self.left = True
            self._cancel()

    def leave_with(self, watching: asyncio.Future[None]) -> None:
        """`watching` has ended; also where asking for the client's messages fails."""
        if not watching.cancelled():
            watching.exception()
            self.leave()

    def take_cancellation(self) -> bool:
        """Whether the task was cancelled from here alone; then it is no longer."""
        ours, self._cancellations = self._cancellations, 0
        for _ in range(ours):
            self._task.uncancel()
        return ours > 0 and self._task.cancelling() <= self._cancelled_before

    def stop(self) -> None:
        """Nothing more will be sent, and nothing watched."""
        self._complete = True
        self._watch.leave(self)
        if self._beat is not None:
            self._beat.cancel()

    def _cancel(self) -> None:
        self._cancellations += 1
        self._task.cancel()

    # --- Time ----------------------------------------------------------------------

    def _next_due(self, now: float) -> float:
        """The first moment at which anything could be due."""
        sent = self._since if self._sending else now
        silent = now if self._sending else self._since
        return min(self._last, sent + self._patience, silent + self._silence)

    def look(self, now: float) -> None:
        """See what is due, if anything is."""
        self.due = math.inf
        if self._complete:
            return
        if now >= self._last:
            if self._verdict is not None or self._attempt.done:
                self._cut()
                return
            self._last = now + _GRACE
            message = f"the call took longer than {self._total:g} s"
            self.end(APIError(kind="timeout", message=message, status=504))
        elif self._sending and now >= self._since + self._patience:
            self._cut()
            return
        elif not self._sending and now >= self._since + self._silence:
            self._since = now
            self._show_life()
        self.due = self._next_due(now)

    def _cut(self) -> None:
        self.stalled = True
        self._cancel()

    def _show_life(self) -> None:
        out = self._attempt.keepalive(commit=self._commits)
        if out:
            self._beat = self._loop.create_task(self._give(out, more=True))
            self._beat.add_done_callback(self._beaten)

    def _beaten(self, beat: asyncio.Task[None]) -> None:
        self._beat = None
        if beat.cancelled() or self._complete:
            return
        if beat.exception() is not None:
            self.left = True
            self._cancel()
        elif self._verdict is not None and not self._sending:
            self._cancel()

    # --- Pumping -------------------------------------------------------------------

    async def run(
        self,
        transport: Transport,
        request: Callable[[], UpstreamRequest],
        shutdown: Shutdown | None,
        leaving: Leaving | None,
        receive: Receive | None,
        request_id: str,
    ) -> None:
        """Pump until the answer is complete, or has failed and says so."""
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelled_before = task.cancelling()
        self._watch.enter(self)
        watching = None
        if leaving is not None:
            leaving.watch(self.leave)
        elif receive is not None:
            watching = asyncio.ensure_future(_until_left(receive))
            watching.add_done_callback(self.leave_with)
        if shutdown is not None:
            shutdown.enter(self.end)
        try:
            await self._exchange(transport, request)
        except _ClientLeft:
            pass
        except asyncio.CancelledError:
            if not self.take_cancellation():
                raise
        finally:
            if shutdown is not None:
                shutdown.leave(self.end)
            self.stop()
            if watching is not None:
                watching.cancel()
            if leaving is not None:
                leaving.watch(None)
            _log_end(self, request_id)
        if self.fault is not None:
            raise self.fault
        if self.stalled:
            raise ClientStalled

    async def _exchange(
        self, transport: Transport, request: Callable[[], UpstreamRequest]
    ) -> None:
        try:
            async with transport.open(request()) as response:
                await self._carry(response)
        except UpstreamFailure as failure:
            kind, status = _KINDS[failure.kind]
            message = f"the upstream failed: {failure}"
            self.error = APIError(kind=kind, message=message, status=status)
        except asyncio.CancelledError:
            if self.left or self.stalled or not self.take_cancellation():
                raise
        except _ClientLeft:
            raise
        except Exception as fault:
            self.fault = fault
            self.error = FAULT
        self.error = self.error or self._verdict
        if self.error is not None and not self._attempt.done:
            await self._give(self._attempt.fail(self.error), more=False)

    async def _carry(self, response: UpstreamResponse) -> None:
        attempt = self._attempt
        attempt.forget_request()
        attempt.receive_head(response.status, response.headers)
        self._commits = response.status < 300
        chunk = b"\n"
        while not attempt.done:
            chunk = await response.receive()
            for piece in (chunk,) if self._started else _first_ahead(chunk):
                out = attempt.receive_data(piece) if piece else attempt.receive_eof()
                done = attempt.done
                if out or done:
                    await self._give(out, more=not done)
                if self._verdict is not None:
                    return
                if done:
                    break
        if chunk:
            await response.drain()

    async def _give(self, out: bytes, *, more: bool) -> None:
        """Send what is due, after the head where that is due too."""
        attempt = self._attempt
        if attempt.head is None:
            return
        self._sending += 1
        self._since = self._now()
        try:
            if self._beat is not None and self._beat is not asyncio.current_task():
                await self._beat
            if not self._started:
                self._started = True
                if await self._send_other(attempt):
                    return
                head = self._dressed(attempt.head)
                self._answer.start(head.status, head.headers)
            large = len(out) > _BUFFERED
            taken = self._answer.write(out, more=more or large)
            if taken is not None:
                await taken
            if large and not more:
                # Only a further write waits for the client to take what was written.
                taken = self._answer.write(b"", more=False)
                if taken is not None:
                    await taken
            self._complete = not more
        except OSError as error:
            self.left = True
            raise _ClientLeft from error
        finally:
            self._sending -= 1
            self._since = self._now()

    async def _send_other(self, attempt: Attempt) -> bool:
        """Whether there is another reply instead of an error, and it was sent."""
        error = attempt.error
        if error is None or attempt.committed:
            return False
        other = self._instead(error)
        if other is None:
            return False
        head = self._dressed(Head(other.status, other.headers))
        await send_reply(self._answer, replace(other, headers=head.headers))
        self._complete = True
        return True

    def _dressed(self, head: Head) -> Head:
        return head if self._dress is None else self._dress(head)
