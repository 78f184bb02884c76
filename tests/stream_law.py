"""When two sentences of events say the same, read and written in one dialect.

Neighbouring deltas of one part are joined, pings dropped, only the last usage counts
wherever it stood (none before an error), stream errors are compared by their message,
and a missing id or time equals the minted one. Nothing else is forgiven.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from llmwire.events import (
    ArgumentsDelta,
    Event,
    MediaDelta,
    MessageStart,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.messages import APIError


def normed(events: Iterable[Event]) -> list[Event]:
    """The normal form of a sentence."""
    out: list[Event] = []
    usage: UsageUpdate | None = None
    for event in events:
        if isinstance(event, Ping):
            continue
        if isinstance(event, UsageUpdate):
            usage = event
            continue
        if isinstance(event, MessageStart):
            if event.usage is not None:
                usage = UsageUpdate(event.usage)
            event = MessageStart(None, event.model, None, None, event.dialect)
        if isinstance(event, StreamError):
            message = event.error.message
            event = StreamError(APIError(kind="internal", message=message))
            usage = None
        joined = _joined(out[-1], event) if out else None
        if joined is None:
            out.append(event)
        else:
            out[-1] = joined
    return [*out, *([usage] if usage else [])]


def _joined(left: Event, right: Event) -> Event | None:
    """Both as one delta, if they are of the same part and kind."""
    if isinstance(left, ReasoningDelta) and isinstance(right, ReasoningDelta):
        if (left.index, left.summary) == (right.index, right.summary):
            return replace(left, text=left.text + right.text)
    elif isinstance(left, MediaDelta) and isinstance(right, MediaDelta):
        if left.index == right.index:
            return replace(left, data=left.data + right.data)
    elif type(left) is type(right) and isinstance(
        left, (TextDelta, RefusalDelta, ArgumentsDelta)
    ):
        assert isinstance(right, (TextDelta, RefusalDelta, ArgumentsDelta))
        if left.index == right.index:
            return replace(left, text=left.text + right.text)
    return None
