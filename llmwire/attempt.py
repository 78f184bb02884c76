"""One upstream tried for one call: its bytes in, the client's bytes out.

Knows heads and when an answer has begun; no socket and no clock. `Exchange.attempt`
makes an `Attempt`; a relay only pumps.

Rules:
1. The head is decided by events, never by calls: the first `PartStart` or `MessageEnd`
   commits. Until then nothing goes out, and a `StreamError` becomes an HTTP status in
   the client's envelope.
2. What the upstream really answers decides how it is read (content type, else the first
   byte that is not blank); what the client asked for decides how it is answered.
3. Bodies that are not streamed are held, within the limit, and given by one call.
4. After the end nothing more is given; only a stream that is passed through is passed
   on with what its server says after its end, if it is given that.

Theory of operation: `receive_head` chooses a lane (`llmwire._lanes`), which turns
bytes into output and tells the `Answer` (`llmwire._answer`) what it learned. The
attempt keeps the output back until the head is decided, and longer where it was told to
`hold`.
"""

from __future__ import annotations

from msgspec.structs import replace

from llmwire._answer import Answer, Plan
from llmwire._lanes import Lane, SniffLane, body_lane, error_lane
from llmwire.errors import LocalProtocolError
from llmwire.http import Head, Headers, HTTPRequest
from llmwire.losses import Loss
from llmwire.messages import APIError, StopReason, Usage

__all__ = ("Attempt",)


class Attempt:
    """One try at one upstream. Made by `Exchange.attempt`.

    Nothing here raises for what the upstream sent.
    """

    def __init__(
        self, plan: Plan, http: HTTPRequest, losses: tuple[Loss, ...] = ()
    ) -> None:
        self.http = http
        """What to send upstream, without host and credentials."""
        self.context = plan.context
        """What reading the answer needs."""
        self._request_losses = losses
        self._answer = Answer(plan)
        self._lane: Lane | None = None
        self._pending: list[bytes] = []

    @property
    def head(self) -> Head | None:
        """Status and headers of the answer, once they are decided."""
        return None if self._answer.holding else self._answer.head

    @property
    def upstream_headers(self) -> Headers:
        """As `receive_head` was given them; none before."""
        return self._answer.upstream_headers

    @property
    def committed(self) -> bool:
        """Bytes of an answer were returned; an error reply never commits."""
        return self._answer.answering and not self._answer.holding

    @property
    def first_output(self) -> bool:
        """A non-empty piece of text, thinking or arguments was decoded."""
        self._answer.read_passed()
        return self._answer.first_output

    @property
    def done(self) -> bool:
        """The answer is complete, or has failed: finish the client at once."""
        return self._answer.over

    @property
    def usage(self) -> Usage | None:
        """The last token counts (of a stream passed through: when observed)."""
        self._answer.read_passed()
        return self._answer.tally.usage

    @property
    def stop(self) -> StopReason | None:
        """Why the answer ended."""
        self._answer.read_passed()
        return self._answer.tally.stop

    @property
    def error(self) -> APIError | None:
        """Why it failed."""
        return self._answer.tally.error

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Of the request, then of the answer and its filters."""
        answer = self._answer
        return self._request_losses + answer.recorder.losses + answer.chain.losses

    def receive_head(self, status: int, headers: Headers) -> None:
        """The upstream's status and headers (names in lower case).

        Raises:
            LocalProtocolError: There was a head already.
        """
        if self._lane is not None:
            raise LocalProtocolError("receive_head was called before")
        self._answer.upstream_headers = headers
        if not 200 <= status < 300:
            self._lane = error_lane(self._answer, status, headers)
        elif self._answer.plan.counting:
            self._lane = body_lane(self._answer)
        else:
            self._lane = SniffLane(self._answer, headers)

    def receive_data(self, chunk: bytes) -> bytes:
        """Bytes for the client, b"" for none.

        Raises:
            LocalProtocolError: There was no head yet.
        """
        answer = self._answer
        lane = self._after_head("receive_data") if self._lane is None else self._lane
        if answer.over and answer.closed:
            return b""
        data = lane.receive(chunk)
        if type(lane) is SniffLane and lane.chosen is not None:
            self._lane = lane.chosen
        if answer.head is None or answer.over or answer.holding or self._pending:
            return self._out(data)
        return data

    def receive_eof(self) -> bytes:
        """The upstream's body ended: the rest for the client.

        Raises:
            LocalProtocolError: There was no head yet.
        """
        lane = self._after_head("receive_eof")
        return b"" if self._answer.closed else self._out(lane.end())

    def fail(self, error: APIError) -> bytes:
        """End the answer with `error`: timeout, reset, shutdown.

        Before the head is decided it becomes an HTTP status, afterwards the error form
        of the client's stream. b"" where the answer is over.
        """
        return self._out(self._answer.fail(error))

    def keepalive(self, *, commit: bool = False) -> bytes:
        """A sign of life for the client of a stream, on a frame's border.

        Args:
            commit: Decide for a 200 head now, if none is decided.
        """
        answer = self._answer
        if answer.over or answer.holding or not answer.plan.stream:
            return b""
        if commit:
            answer.commit()
        if not answer.answering:
            return b""
        array = answer.plan.framing == "json-array"
        return self._out(b"\n" if array else answer.plan.client.keepalive)

    def forget_request(self) -> None:
        """Let go of the body of `http`, which may be large: it was sent."""
        self.http = replace(self.http, body=b"")

    def hold(self) -> None:
        """Keep everything back until `release`.

        Raises:
            LocalProtocolError: Something was decided already.
        """
        if self._answer.head is not None:
            raise LocalProtocolError("hold after the head was decided")
        self._answer.holding = True

    def release(self) -> bytes:
        """Everything held back; `head` tells what was decided."""
        self._answer.holding = False
        return self._out(b"")

    def _after_head(self, call: str) -> Lane:
        if self._lane is None:
            raise LocalProtocolError(f"{call} before receive_head")
        return self._lane

    def _out(self, data: bytes) -> bytes:
        answer = self._answer
        if answer.error_body is not None:
            self._pending.clear()
            data, answer.error_body = answer.error_body, None
        if answer.holding or answer.head is None:
            if data:
                self._pending.append(data)
            return b""
        if self._pending:
            data = b"".join((*self._pending, data))
            self._pending.clear()
        return data
