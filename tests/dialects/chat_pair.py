"""Both directions of the Chat codec, in the shape that its tests want."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from msgspec import Raw

from llmwire import profiles
from llmwire._json import decode_any
from llmwire.dialects import (
    Encoded,
    ReplyTarget,
    RequestTarget,
    ResponseSource,
    get,
)
from llmwire.events import Event
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.losses import FEATURES, Loss, LossRecorder, Policy
from llmwire.messages import Extras, Response
from llmwire.profiles import Profile
from llmwire.requests import Request
from llmwire.sse import FrameDecoder

CHAT = get("openai-chat")
OPENAI = profiles.resolve("openai-chat")
DROP: Policy = {name: "drop" for name, row in FEATURES.items() if row.hard}
"""Hard features are dropped with a loss, so that every request can be written."""
CREATED = 1763680000.0


def source(**changes: Any) -> ResponseSource:
    """From whom answers are read."""
    return ResponseSource(**{"profile": OPENAI, "seed": "x", **changes})


def target(**changes: Any) -> tuple[ReplyTarget, LossRecorder]:
    """For whom answers are written, and who takes the losses."""
    losses = LossRecorder(response=True)
    values = {"profile": OPENAI, "seed": "x", "created": CREATED, **changes}
    return ReplyTarget(losses=losses, **values), losses


def read_request(body: Any, limits: Limits | None = None) -> Request:
    """A request from its body, parsed or not."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    http = HTTPRequest(method="POST", path="/v1/chat/completions", body=octets)
    return CHAT.decode_request(http, limits or Limits())


def encode_request(
    request: Request,
    profile: Profile | str | None = None,
    policy: Policy | None = None,
    **changes: Any,
) -> tuple[Encoded, tuple[Loss, ...]]:
    """A request on the wire, and its losses."""
    losses = LossRecorder(policy)
    if not isinstance(profile, Profile):
        profile = profiles.resolve("openai-chat", profile, request.model)
    asked = RequestTarget(losses=losses, profile=profile, **changes)
    return CHAT.encode_request(request, asked), losses.losses


def write_request(
    request: Request,
    profile: Profile | str | None = None,
    policy: Policy | None = None,
    **changes: Any,
) -> tuple[Any, tuple[Loss, ...]]:
    """The parsed body of a request, and its losses."""
    encoded, losses = encode_request(request, profile, policy, **changes)
    return json.loads(encoded.http.body), losses


def read_response(body: Any, **changes: Any) -> Response:
    """A whole answer from its body, parsed or not."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CHAT.decode_response(octets, source(**changes))


def write_response(response: Response, **changes: Any) -> tuple[Any, tuple[Loss, ...]]:
    """The parsed body of an answer, and its losses."""
    to, losses = target(**changes)
    return json.loads(CHAT.encode_response(response, to)), losses.losses


def read_stream(
    chunks: bytes | Iterable[bytes], **changes: Any
) -> tuple[list[Event], dict[str, int]]:
    """The events of a stream, and its repairs."""
    frames = FrameDecoder()
    reader = CHAT.stream_reader(source(**changes), "sse")
    events: list[Event] = []
    for chunk in [chunks] if isinstance(chunks, bytes) else chunks:
        for frame in frames.receive_data(chunk):
            events += reader.receive(frame)
    for frame in frames.receive_eof():
        events += reader.receive(frame)
    events += reader.receive_eof()
    return events, dict(reader.violations)


def write_stream(
    events: Iterable[Event], **changes: Any
) -> tuple[bytes, tuple[Loss, ...]]:
    """The bytes of a stream, and what it lost."""
    to, losses = target(**changes)
    send = CHAT.stream_writer(to).send
    return b"".join([send(event) for event in events]), losses.losses


def frames(*values: Any, done: bool = True) -> bytes:
    """A stream of `values`, each an object or a frame's data as it is."""
    data = [v if isinstance(v, str) else json.dumps(v) for v in values]
    if done:
        data.append("[DONE]")
    return "".join(f"data: {one}\n\n" for one in data).encode()


def chunk(delta: Any, finish: str | None = None, index: int = 0, **more: Any) -> Any:
    """One chunk with one choice."""
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    head = {"id": "c-1", "object": "chat.completion.chunk", "created": 5, "model": "m"}
    return {**head, "choices": [choice], **more}


def objects(stream: bytes) -> list[Any]:
    """The JSON of the frames of a stream; `[DONE]` as it is."""
    found = []
    for frame in FrameDecoder().receive_data(stream):
        if frame.data is not None:
            done = frame.data == b"[DONE]"
            found.append("[DONE]" if done else json.loads(frame.data))
    return found


def plain(extras: Extras | None) -> dict[str, Any]:
    """Extras as values."""
    return {name: decode_any(bytes(raw)) for name, raw in (extras or {}).items()}


def raw(value: Any) -> Raw:
    """A value as raw JSON."""
    return Raw(json.dumps(value).encode())


def told(losses: Iterable[Loss]) -> set[tuple[str, str, str]]:
    """Losses as (feature, path, action)."""
    return {(loss.feature, loss.path, loss.action) for loss in losses}
