"""Recorded answers through tool repair and structured output, as the client's request
asked for them: what is found, and that nothing else is touched.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

import llmwire
from llmwire._fold import unfold
from llmwire.events import Event
from llmwire.filters import FilterChain
from llmwire.filters.structured import structured_filter
from llmwire.filters.tool_repair import tool_repair_filter
from tests import corpus
from tests.stream_law import normed

UNFIT: Final[dict[str, str]] = {
    "defc1cee9cd6b2a4": "a list of 95.5 where the schema wants integers",
    "2c535517efb5d4fb": "a server's empty function_call beside the real calls",
    "64e0fa29f96ca99b": "the same",
    "a197a64e0e42c4a4": "the same",
    "c9ca01c934223690": "the same",
    "5c3c52ea6482183d": "a tool that the server found by itself",
    "eda12c9a3c5c9b2d": "the same",
    "ef7945d09f94b3ba": "the same",
    "f3294fff0ed460e2": "the same",
}
"""Whole calls that their tools do not take and nobody can repair, and why."""
REPAIRED: Final[dict[str, str]] = {
    "ef1003b2d9e8c4d6": "null for the arguments of tools without any",
    "f8b10a7b008568e6": "the same",
    "314a8b0e19753703": "JSON in a fence",
}
"""Answers that are repaired."""


class Row(Struct, frozen=True):
    """One finding, or an answer without any (`status` empty)."""

    id: str
    dialect: str
    what: str
    status: str
    cut: bool
    """The text or the arguments end in the middle of JSON."""
    unchanged: bool


def rows(folder: Path) -> Iterator[Row]:
    """What both filters find in every recorded answer."""
    for dialect, record in corpus.records(folder):
        request = _request(dialect, record)
        if request is None:
            continue
        for events in _answers(dialect, record):
            calls = tool_repair_filter(hold=False)(request)
            texts = structured_filter(action="pass", hold=False)(request)
            for what, each in (("calls", calls), ("text", texts)):
                if each is not None:
                    yield from _found(record["id"], dialect, what, each, events)


def _request(dialect: str, record: dict[str, Any]) -> llmwire.Request | None:
    failed = (record.get("status") or 200) >= 400
    if failed or not isinstance(record.get("request"), dict) or not record["request"]:
        return None
    body = json.dumps(record["request"]).encode()
    path = str(record.get("path") or "") if dialect == "gemini" else ""
    at = path.find("/models/")
    path = "/v1beta" + path[at:] if at >= 0 else ""
    http = llmwire.HTTPRequest(method="POST", path=path, body=body)
    try:
        return llmwire.decode_request(http, dialect)
    except llmwire.RemoteProtocolError:
        return None


def _answers(dialect: str, record: dict[str, Any]) -> Iterator[list[Event]]:
    body = record.get("response")
    if isinstance(body, dict) and body:
        data = json.dumps(body).encode()
        try:
            yield unfold(llmwire.decode_response(data, dialect))
        except llmwire.RemoteProtocolError:
            return
    if record.get("sse"):
        decoder = llmwire.StreamDecoder(dialect, id="x")
        events = decoder.receive_data(record["sse"].encode())
        yield events + decoder.receive_eof()


def _found(
    id: str, dialect: str, what: str, each: Any, events: list[Event]
) -> Iterator[Row]:
    chain = FilterChain([each], checked=True)
    given = [out for event in events for out in chain.send(event)]
    same = _is_same(given, events)
    if not each.findings:
        yield Row(id, dialect, what, "", False, same)
    for found in each.findings:
        cut = "end of the text" in found.problem
        yield Row(id, dialect, what, found.status, cut, same)


def _is_same(left: list[Event], right: list[Event]) -> bool:
    """Whether both are the same answer; of a failing one the same events."""
    if isinstance(right[-1], llmwire.StreamError):
        return normed(left) == normed(right)
    return llmwire.fold(left) == llmwire.fold(right)


def table(folder: Path) -> str:
    """How often each filter found what in which dialect."""
    found = rows(folder)
    counts = Counter((r.what, r.dialect, r.status or "valid") for r in found)
    lines = [f"{' '.join(key)}: {count}" for key, count in sorted(counts.items())]
    return "\n".join([*lines, *(f"{id}: {why}" for id, why in UNFIT.items())])
