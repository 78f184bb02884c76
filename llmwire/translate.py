"""Bytes of one dialect to bytes of another: requests, answers, errors.

Knows the register of dialects and the neutral form between them, no wire name. Every
function is deterministic: time (`created`) and the seed of minted ids (`id`) are
arguments. Streams are `llmwire.streams`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from llmwire import profiles
from llmwire._json import decode_object
from llmwire._sides import NO_LIMITS, reply_target, response_source
from llmwire.context import Context
from llmwire.dialects import Dialect, RequestTarget, get
from llmwire.errors import UnknownDialect
from llmwire.filters import Filter, run
from llmwire.http import Headers, HTTPReply, HTTPRequest
from llmwire.limits import Limits
from llmwire.losses import Loss, LossRecorder, OnLoss, Policy
from llmwire.messages import APIError, Extras, Response
from llmwire.profiles import Profile
from llmwire.requests import Request

__all__ = (
    "EncodedRequest",
    "EncodedResponse",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
    "rewrite_model",
    "translate_error",
    "translate_request",
    "translate_response",
)


class EncodedRequest(Struct, frozen=True, kw_only=True):
    """A request put into a dialect."""

    http: HTTPRequest
    """What to send, without host and credentials."""
    losses: tuple[Loss, ...] = ()
    """What the target cannot say."""
    context: Context
    """What reading the answer needs."""


class EncodedResponse(Struct, frozen=True, kw_only=True):
    """An answer put into a dialect."""

    body: bytes
    losses: tuple[Loss, ...] = ()
    error: APIError | None = None
    """The body that came was an error in spite of its status; `body` is one too."""


def decode_request(
    body: bytes | HTTPRequest, source: str | Dialect, *, limits: Limits = NO_LIMITS
) -> Request:
    """Read a client's request.

    Args:
        body: The body, or the whole HTTP request (Gemini has the model in the path).
        source: Dialect it is written in.
        limits: What is too much.

    Raises:
        RemoteProtocolError: It is no request of that dialect; names the place.
        LimitExceeded: It is larger than `limits` allow.
        UnknownDialect: There is no such dialect.
    """
    http = body if isinstance(body, HTTPRequest) else _posted(body)
    return get(source).decode_request(http, limits)


def _posted(body: bytes) -> HTTPRequest:
    return HTTPRequest(method="POST", path="", body=bytes(body))


def encode_request(
    request: Request,
    target: str | Dialect,
    *,
    profile: str | Profile | None = None,
    model: str | None = None,
    tag: str | None = None,
    policy: Policy | None = None,
    on_loss: OnLoss = "record",
) -> EncodedRequest:
    """Write a request for a server.

    Args:
        request: From `decode_request`, or made by hand.
        target: Dialect of the server.
        profile: Facts about the server: a row's name or a record.
        model: Overrides the request's.
        tag: Opaque mark of the backend; only its own signatures are sent to it.
        policy: Feature -> drop, emulate or refuse (`llmwire.losses.FEATURES`).
        on_loss: `refuse` raises at the first thing that would be dropped.

    Raises:
        UnsupportedFeature: Something cannot be said and must not be dropped.
        UnknownDialect: There is no such dialect.
    """
    dialect = get(target)
    asked = model or request.model
    facts = profiles.resolve(dialect.name, profile or dialect.profile, asked)
    losses = LossRecorder(policy, on_loss)
    encoded = dialect.encode_request(
        request, RequestTarget(losses=losses, profile=facts, model=model, tag=tag)
    )
    context = Context(
        source=request.dialect,
        target=dialect.name,
        model=request.model,
        upstream_model=encoded.model or asked,
        stream=bool(request.stream),
        include_usage=bool(request.include_usage),
        profile=facts,
        tag=tag,
        names=_changed(encoded.names) if encoded.names else {},
        custom=encoded.custom,
        json_tool=encoded.json_tool,
        stops=encoded.stops,
        choices=request.n or 1,
        echo=_echo(request),
    )
    return EncodedRequest(http=encoded.http, losses=losses.losses, context=context)


def _changed(names: Mapping[str, str]) -> dict[str, str]:
    return {sent: name for sent, name in names.items() if sent != name}


def _echo(request: Request) -> Extras | None:
    try:
        return get(request.dialect).echo(request) if request.dialect else None
    except UnknownDialect:
        # Read by a record that is not registered: `translate_request` knows it.
        return None


def translate_request(
    body: bytes | HTTPRequest,
    source: str | Dialect,
    target: str | Dialect,
    *,
    profile: str | Profile | None = None,
    model: str | None = None,
    tag: str | None = None,
    policy: Policy | None = None,
    on_loss: OnLoss = "record",
    limits: Limits = NO_LIMITS,
) -> EncodedRequest:
    """A client's request as the server's dialect has it.

    Raises:
        RemoteProtocolError: As `decode_request`.
        UnsupportedFeature: As `encode_request`.
    """
    client = get(source)
    request = decode_request(body, client, limits=limits)
    encoded = encode_request(
        request,
        target,
        profile=profile,
        model=model,
        tag=tag,
        policy=policy,
        on_loss=on_loss,
    )
    return replace(encoded, context=for_client(encoded.context, client, request))


def for_client(context: Context, client: Dialect, request: Request) -> Context:
    """`context` for a client whose dialect is at hand, registered or not."""
    echo = client.echo(request) if context.echo is None else context.echo
    if echo is context.echo and context.source == client.name:
        return context
    return replace(context, source=client.name, echo=echo)


def decode_response(
    body: bytes,
    source: str | Dialect,
    *,
    context: Context | None = None,
    profile: str | Profile | None = None,
    id: str = "",
    limits: Limits = NO_LIMITS,
) -> Response:
    """Read a server's whole answer.

    Args:
        body: The body of a reply with a 2xx status.
        source: Dialect it is written in.
        context: Of the request it answers.
        profile: Facts about the server, where there is no context.
        id: Seed of ids that are missing and must be minted.
        limits: What is too much.

    Raises:
        RemoteProtocolError: It is no answer of that dialect (status 502).
    """
    dialect = get(source)
    origin = response_source(dialect, context, profile=profile, seed=id, limits=limits)
    return dialect.decode_response(body, origin)


def encode_response(
    response: Response,
    target: str | Dialect,
    *,
    context: Context | None = None,
    created: float | None = None,
    id: str = "",
    model: str | None = None,
) -> EncodedResponse:
    """Write a whole answer for a client. Never raises for what the answer holds.

    Args:
        response: From `decode_response`, `fold`, or made by hand.
        target: Dialect of the client.
        context: Of the request it answers.
        created: Seconds since the epoch, where the answer says none.
        id: Seed of ids that must be minted.
        model: Overrides the answer's.
    """
    dialect = get(target)
    losses = LossRecorder(response=True)
    body = dialect.encode_response(
        response,
        reply_target(dialect, context, losses, created=created, seed=id, model=model),
    )
    return EncodedResponse(body=body, losses=losses.losses)


def translate_response(
    body: bytes,
    source: str | Dialect,
    target: str | Dialect,
    *,
    context: Context | None = None,
    created: float | None = None,
    id: str = "",
    model: str | None = None,
    filters: Sequence[Filter] = (),
) -> EncodedResponse:
    """A server's whole answer as the client's dialect has it.

    A body that is an error in spite of its status is translated as one (`.error`).

    Raises:
        RemoteProtocolError: As `decode_response`.
    """
    upstream = get(source)
    error = upstream.find_error(body)
    if error is not None:
        reply = get(target).encode_error(error)
        return EncodedResponse(body=reply.body, error=error)
    response = decode_response(body, upstream, context=context, id=id)
    chain = (*(context.filters() if context else ()), *filters)
    if chain:
        response = run(chain, response)
    encoded = encode_response(
        response, target, context=context, created=created, id=id, model=model
    )
    lost = tuple(loss for each in chain for loss in getattr(each, "losses", ()))
    return replace(encoded, losses=encoded.losses + lost) if lost else encoded


def translate_error(
    status: int,
    body: bytes,
    source: str | Dialect,
    target: str | Dialect,
    *,
    headers: Headers = (),
) -> HTTPReply:
    """A server's error reply as the client's dialect has it. Never raises.

    Args:
        status: HTTP status it came with.
        body: Its body, JSON of any shape or not.
        source: Dialect of the server.
        target: Dialect of the client.
        headers: Of the reply; `retry-after` and its like are read.
    """
    error = get(source).decode_error(status, headers, body)
    return get(target).encode_error(error)


def rewrite_model(body: bytes, dialect: str | Dialect, model: str) -> bytes:
    """`body` with another model: a splice at depth 1, nothing else touched.

    Gemini names the model in the path: its body stays as it is unless it has one.

    Raises:
        RemoteProtocolError: `body` is no JSON object.
    """
    decode_object(body)
    return get(dialect).rewrite_model(body, model)
