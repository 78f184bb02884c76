"""Runs one record of public SSE conformance data against `llmwire.sse`.

A pure function over one record; which file the records come from, and what to do with
those marked as a deviation of some SDK, is the caller's business. A record holds

- `input_b64`, and `chunks_b64`, one division of the same bytes that a suite tested;
- kind `events`: `events`, of which only the keys `event`, `data`, `data_json`, `id` and
  `retry` that are present are asserted, `final_last_event_id` and `final_retry`;
- kind `lines`: `lines`, what the suite's line splitter gave, the last one flushed.
"""

from __future__ import annotations

import base64
import json

from llmwire.sse import Frame, FrameDecoder

__all__ = ("check",)

_RESTORED = {
    "345baecbb7e8bda4": b"\n\r\n\r",
    "3a30fc9694a0517f": b"line1\n",
}
"""Inputs that were lost in transcription: what the suite's source has there."""


def check(record: dict[str, object]) -> str | None:
    """Compare what the decoder makes of a record with what the record asserts.

    The input is fed whole, as the record divides it, and byte by byte.

    Args:
        record: One record.

    Returns:
        None if all agrees, else what differs.
    """
    data = _RESTORED.get(str(record["id"])) or _unpack(record["input_b64"])
    pieces = record["chunks_b64"]
    assert isinstance(pieces, list)
    chunks = [_unpack(piece) for piece in pieces]
    feeds = {
        "whole": [data],
        "as recorded": chunks if b"".join(chunks) == data else [data],
        "byte by byte": [data[i : i + 1] for i in range(len(data))],
    }
    compare = _compare_lines if record["kind"] == "lines" else _compare_events
    for name, feed in feeds.items():
        difference = compare(record, feed)
        if difference is not None:
            return f"{name}: {difference}"
    return None


def _unpack(text: object) -> bytes:
    assert isinstance(text, str)
    return base64.b64decode(text, validate=True)


def _compare_lines(record: dict[str, object], feed: list[bytes]) -> str | None:
    """No line of these records is a field, so that all are stray."""
    decoder = FrameDecoder()
    frames = [frame for chunk in feed for frame in decoder.receive_data(chunk)]
    lines: list[str] = []
    for frame in (*frames, *decoder.receive_eof()):
        lines += [line.decode("utf-8", "replace") for line in frame.stray]
        lines += [""] if frame.complete else []
    return _differ("lines", lines, record["lines"])


def _compare_events(record: dict[str, object], feed: list[bytes]) -> str | None:
    decoder = FrameDecoder()
    # The id and the retry time are the decoder's: they belong to one event only where
    # no call returned more than one.
    found: list[tuple[Frame, str, int | None]] = []
    for chunk in feed:
        frames = decoder.receive_data(chunk)
        found += [(frame, decoder.last_event_id, decoder.retry) for frame in frames]
    last = decoder.receive_eof()
    found += [(frame, decoder.last_event_id, decoder.retry) for frame in last]
    # WHATWG knows no frame without data and discards what is not complete.
    found = [
        entry for entry in found if entry[0].complete and entry[0].data is not None
    ]
    expected = record["events"]
    assert isinstance(expected, list)
    single = all(len(chunk) == 1 for chunk in feed)
    if len(found) != len(expected):
        return _differ("number of events", len(found), len(expected))
    for number, (entry, event) in enumerate(zip(found, expected, strict=True)):
        difference = _compare_event(*entry, event, single=single)
        if difference is not None:
            return f"event {number}: {difference}"
    if "final_retry" in record and decoder.retry != record["final_retry"]:
        return _differ("final retry", decoder.retry, record["final_retry"])
    identity = record.get("final_last_event_id", decoder.last_event_id)
    return _differ("final id", decoder.last_event_id, identity)


def _compare_event(
    frame: Frame,
    last_event_id: str,
    retry: int | None,
    expected: dict[str, object],
    *,
    single: bool,
) -> str | None:
    assert frame.data is not None
    text = frame.data.decode("utf-8", "replace")
    found: dict[str, object] = {"event": frame.event or "message", "data": text}
    if single:
        found |= {"id": last_event_id, "retry": retry}
    if "data_json" in expected:
        found["data_json"] = json.loads(text)
    asserted = {key: value for key, value in expected.items() if key in found}
    return _differ("fields", {key: found[key] for key in asserted}, asserted)


def _differ(what: str, found: object, expected: object) -> str | None:
    return None if found == expected else f"{what}: {found!r}, expected {expected!r}"
