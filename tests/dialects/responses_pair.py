"""Reading and writing the Responses dialect in tests: the shortest way and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from llmwire.dialects import Encoded, ReplyTarget, RequestTarget, ResponseSource
from llmwire.dialects.openai_responses import DIALECT
from llmwire.events import Event
from llmwire.grammar import check
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.losses import FEATURES, Loss, LossRecorder, Policy
from llmwire.messages import Response
from llmwire.profiles import Profile, resolve
from llmwire.requests import Request
from llmwire.sse import Frame, FrameDecoder

OWN: Final = "openai-responses"
PROFILE: Final = resolve(OWN)
DROPPING: Final[Policy] = {
    name: "drop" for name, feature in FEATURES.items() if feature.hard
}
"""Every hard feature is dropped with a loss."""
LOOSE: Final = Limits()
SOURCE: Final = ResponseSource(profile=PROFILE)


def http(body: Any, path: str = "/v1/responses", **headers: str) -> HTTPRequest:
    """A client's request; `body` is JSON unless it is bytes."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = tuple((key.replace("_", "-"), value) for key, value in headers.items())
    return HTTPRequest(method="POST", path=path, headers=names, body=octets)


def read(body: Any, limits: Limits = LOOSE, **headers: str) -> Request:
    """A client's request, read."""
    return DIALECT.decode_request(http(body, **headers), limits)


def target(
    policy: Policy | None = None, profile: Profile = PROFILE, model: str | None = None
) -> RequestTarget:
    """For whom requests are written."""
    losses = LossRecorder(policy)
    return RequestTarget(losses=losses, profile=profile, model=model)


def encoded(
    request: Request,
    policy: Policy | None = None,
    profile: Profile = PROFILE,
    model: str | None = None,
) -> tuple[Encoded, tuple[Loss, ...]]:
    """A request, written."""
    to = target(policy, profile, model)
    return DIALECT.encode_request(request, to), to.losses.losses


def written(
    request: Request, policy: Policy | None = None, profile: Profile = PROFILE
) -> dict[str, Any]:
    """The body of a request, parsed."""
    body: dict[str, Any] = json.loads(encoded(request, policy, profile)[0].http.body)
    return body


def lost(request: Request, **options: Any) -> list[tuple[str, str, str]]:
    """Losses of a request as (path, feature, action), but for the usual three."""
    usual = ("store", "include", "include_usage")
    losses = encoded(request, **options)[1]
    return [(x.path, x.feature, x.action) for x in losses if x.path not in usual]


def read_answer(body: Any, source: ResponseSource = SOURCE) -> Response:
    """A whole answer, read."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECT.decode_response(octets, source)


def reply_target(**fields: Any) -> ReplyTarget:
    """For whom answers are written."""
    losses = LossRecorder(response=True)
    fields = {"profile": PROFILE, "seed": "s", "created": 5.0, **fields}
    return ReplyTarget(losses=losses, **fields)


def answer(response: Response, **fields: Any) -> tuple[dict[str, Any], Any]:
    """A whole answer, written and parsed, and its losses."""
    to = reply_target(**fields)
    return json.loads(DIALECT.encode_response(response, to)), to.losses.losses


def frames(wire: bytes) -> list[Frame]:
    """The frames of a stream."""
    decoder = FrameDecoder()
    return decoder.receive_data(wire) + decoder.receive_eof()


def events_of(
    wire: bytes | Iterable[Frame], source: ResponseSource = SOURCE
) -> tuple[list[Event], dict[str, int]]:
    """The sentence of a stream, checked, and the repairs it took."""
    reader = DIALECT.stream_reader(source, "sse")
    events: list[Event] = []
    for frame in frames(wire) if isinstance(wire, bytes) else wire:
        events += reader.receive(frame)
    events += reader.receive_eof()
    assert reader.done
    assert reader.receive_eof() == []
    check(events)
    return events, dict(reader.violations)


def stream(events: Iterable[Event], **fields: Any) -> bytes:
    """A sentence as a stream."""
    writer = DIALECT.stream_writer(reply_target(**fields))
    return b"".join([writer.send(event) for event in events])


def objects(wire: bytes) -> list[dict[str, Any]]:
    """The JSON of every frame."""
    return [json.loads(frame.data) for frame in frames(wire) if frame.data]


def sse(*members: dict[str, Any]) -> bytes:
    """Frames of these objects, numbered."""
    return b"".join(
        b"event: %b\ndata: %b\n\n"
        % (
            str(each.get("type", "")).encode(),
            json.dumps({**each, "sequence_number": at}).encode(),
        )
        for at, each in enumerate(members)
    )


def created(**members: Any) -> dict[str, Any]:
    """The first event of a stream."""
    return {"type": "response.created", "response": whole(**members)}


def completed(output: Sequence[Any] = (), **members: Any) -> dict[str, Any]:
    """The last event of a stream."""
    members = {"status": "completed", "output": list(output), **members}
    word = str(members["status"])
    return {"type": f"response.{word}", "response": whole(**members)}


def whole(**members: Any) -> dict[str, Any]:
    """A response object."""
    plain = {"id": "resp_1", "object": "response", "created_at": 7, "model": "m"}
    return {**plain, "status": "in_progress", "output": [], **members}


def added(item: dict[str, Any], at: int = 0) -> dict[str, Any]:
    """An item is announced."""
    return {"type": "response.output_item.added", "output_index": at, "item": item}


def done(item: dict[str, Any], at: int = 0) -> dict[str, Any]:
    """An item is done."""
    return {"type": "response.output_item.done", "output_index": at, "item": item}


def inside(word: str, at: int = 0, **members: Any) -> dict[str, Any]:
    """An event inside an item."""
    return {"type": f"response.{word}", "output_index": at, "item_id": "x", **members}


def message(text: str | None = "Hi", **members: Any) -> dict[str, Any]:
    """A message item; without text it has no content."""
    said: dict[str, Any] = {
        "type": "output_text",
        "text": text,
        "annotations": [],
        "logprobs": [],
    }
    return {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [] if text is None else [said],
        **members,
    }


def foreign(request: Request, dialect: str | None = "openai-chat") -> Request:
    """`request` as if it came from another dialect."""
    return replace(request, dialect=dialect)
