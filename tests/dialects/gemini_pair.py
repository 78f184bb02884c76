"""Both sides of the Gemini dialect as plain functions, for its tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from llmwire.dialects import Encoded, ReplyTarget, RequestTarget, ResponseSource, get
from llmwire.events import Event
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.losses import FEATURES, Loss, LossRecorder, PolicyChoice
from llmwire.messages import Response
from llmwire.profiles import Profile, resolve
from llmwire.requests import Request
from llmwire.streams import frame_source

GEMINI = get("gemini")
PROFILE = resolve("gemini")
DROP: dict[str, PolicyChoice] = {
    name: "drop" for name, feature in FEATURES.items() if feature.hard
}
"""The policy under which nothing is refused."""


def source(limits: Limits | None = None, **fields: Any) -> ResponseSource:
    """From whom an answer is read."""
    return ResponseSource(profile=PROFILE, limits=limits or Limits(), **fields)


def read_stream(
    chunks: Iterable[bytes],
    framing: str = "sse",
    limits: Limits | None = None,
    **fields: Any,
) -> tuple[list[Event], dict[str, int]]:
    """Events and violations of a stream."""
    found = limits or Limits()
    frames = frame_source(GEMINI, framing, found)
    reader = GEMINI.stream_reader(source(found, **fields), framing)
    events: list[Event] = []
    for chunk in chunks:
        for frame in frames.receive_data(chunk):
            events += reader.receive(frame)
    for frame in frames.receive_eof():
        events += reader.receive(frame)
    events += reader.receive_eof()
    return events, dict(reader.violations)


def write_stream(
    events: Iterable[Event], framing: str = "sse", **fields: Any
) -> tuple[bytes, tuple[Loss, ...]]:
    """A stream's bytes, and what it could not hold."""
    losses = LossRecorder(response=True)
    target = ReplyTarget(losses=losses, profile=PROFILE, framing=framing, **fields)
    writer = GEMINI.stream_writer(target)
    return b"".join([writer.send(event) for event in events]), losses.losses


def read_response(body: Any, **fields: Any) -> Response:
    """A whole body, given as Python values or bytes."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return GEMINI.decode_response(octets, source(**fields))


def write_response(response: Response, **fields: Any) -> tuple[Any, tuple[Loss, ...]]:
    """A whole body as Python values, and what it could not hold."""
    losses = LossRecorder(response=True)
    target = ReplyTarget(losses=losses, profile=PROFILE, **fields)
    return json.loads(GEMINI.encode_response(response, target)), losses.losses


PATH = "/v1beta/models/gemini-3-pro:generateContent"


def read_request(body: Any, path: str = PATH, limits: Limits | None = None) -> Request:
    """A client's request, its body given as Python values or bytes."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    http = HTTPRequest(method="POST", path=path, body=octets)
    return GEMINI.decode_request(http, limits or Limits())


def encode_request(
    request: Request,
    model: str | None = "gemini-3-pro",
    policy: dict[str, PolicyChoice] | None = None,
    profile: Profile | None = None,
    tag: str | None = None,
) -> tuple[Encoded, tuple[Loss, ...]]:
    """A request as it is sent, and what it could not hold."""
    losses = LossRecorder(policy)
    target = RequestTarget(
        losses=losses,
        profile=profile or resolve("gemini", None, model),
        model=model,
        tag=tag,
    )
    return GEMINI.encode_request(request, target), losses.losses


def write_request(
    request: Request, model: str | None = "gemini-3-pro", **fields: Any
) -> tuple[Any, tuple[Loss, ...]]:
    """The body of a request as Python values, and what it could not hold."""
    encoded, losses = encode_request(request, model, **fields)
    return json.loads(encoded.http.body), losses


def told(losses: Sequence[Loss]) -> set[tuple[str, str, str]]:
    """Path, feature and action of each loss."""
    return {(loss.path, loss.feature, loss.action) for loss in losses}
