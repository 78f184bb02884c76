"""The client's side of one HTTP call: what was asked, in which dialect, and replies.

Pure: an HTTP request as data comes in, HTTP replies as data go out, and for each
upstream that is tried an `Attempt` turns its bytes into the client's. No socket, no
clock, no secret: credentials are read and written by the caller, through the dialect.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from msgspec.structs import replace

from llmwire import profiles
from llmwire._answer import Plan
from llmwire._fold import unfold
from llmwire._sides import reply_target
from llmwire._splice import replace_model, rewrite_model
from llmwire.attempt import Attempt
from llmwire.context import Context
from llmwire.dialects import (
    Dialect,
    ModelInfo,
    ModelList,
    Operation,
    RequestTarget,
    Route,
    get,
)
from llmwire.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    UnsupportedFeature,
)
from llmwire.filters import FilterFactory
from llmwire.http import HTTPReply, HTTPRequest
from llmwire.limits import Limits
from llmwire.losses import Loss, LossRecorder, OnLoss, Policy
from llmwire.messages import APIError, ErrorKind, Response, TokenCount
from llmwire.profiles import Profile
from llmwire.requests import Request
from llmwire.translate import EncodedRequest, encode_request, for_client

__all__ = ("Exchange",)

_SEALED: Final = b"llmw1."
"""How sealed signatures begin: see `llmwire._seal`."""
_LIMITS: Final = Limits()
_NO_ROUTE: Final = Route(operation="other")
_SHORT: Final = 512
"""Characters of a client's words that are worth being remembered."""
_KINDS: dict[int, ErrorKind] = {
    401: "auth",
    403: "permission",
    404: "not_found",
    405: "invalid_request",
    413: "too_large",
    501: "unimplemented",
}


class Exchange:
    """One call of a client.

    Args:
        dialect: That the client speaks.
        created: Seconds since the epoch, for answers that say none.
        id: Seed of every id that must be minted; unique per call.
        limits: What is too much.
    """

    def __init__(
        self,
        dialect: str | Dialect,
        *,
        created: float | None = None,
        id: str = "",
        limits: Limits | None = None,
    ) -> None:
        self.dialect = get(dialect)
        self._created = created
        self._seed = id
        self._limits = limits or _LIMITS
        self._route = _NO_ROUTE
        self._http: HTTPRequest | None = None
        self._request: Request | None = None

    @property
    def operation(self) -> Operation:
        """What the client asks for; `other` until `receive_request`."""
        return self._route.operation

    @property
    def framing(self) -> str:
        """How the client's stream is cut."""
        return self._route.framing

    @property
    def model(self) -> str | None:
        """The model that the path names, for `operation` model."""
        return self._route.model

    @property
    def context(self) -> Context | None:
        """What an answer without any upstream depends on; None before a request."""
        request = self._request
        if request is None:
            return None
        name = self.dialect.name
        return Context(
            source=name,
            target=name,
            model=request.model,
            include_usage=bool(request.include_usage),
            profile=profiles.resolve(name, self.dialect.profile),
            echo=self.dialect.echo(request),
        )

    def receive_request(self, http: HTTPRequest) -> Request | None:
        """Read the client's request.

        Returns:
            The request to generate or count; None for the other operations.

        Raises:
            RemoteProtocolError: It is none of the dialect; `.reply` is the answer.
            LimitExceeded: It is too large; `.reply` is the answer.
        """
        self._http = http
        try:
            self._request = self._read(http)
        except RemoteProtocolError as error:
            error.reply = self.reply(_as_api_error(error))
            raise
        return self._request

    def _read(self, http: HTTPRequest) -> Request | None:
        route = self.dialect.route(http)
        if route is None:
            what = f"{http.method} is not known at this path"
            raise RemoteProtocolError(what, status=404)
        self._route = route
        if route.operation == "generate":
            return self.dialect.decode_request(http, self._limits)
        if route.operation == "count_tokens":
            return self.dialect.decode_count_request(http, self._limits)
        return None

    def forget_request(self) -> None:
        """Let go of the request, which may be large: no other attempt will be made."""
        self._http = self._request = None

    def reply(
        self, value: APIError | TokenCount | ModelList | ModelInfo | Response
    ) -> HTTPReply:
        """An answer without any upstream, in the client's dialect.

        A `Response` is streamed (as one body) where the client asked for a stream.
        """
        if isinstance(value, APIError):
            return self.dialect.encode_error(value)
        if isinstance(value, TokenCount):
            return _json(self.dialect.encode_count(value))
        if isinstance(value, ModelList):
            return _json(self.dialect.encode_models(value))
        if isinstance(value, ModelInfo):
            return _json(self.dialect.encode_model(value))
        return self._answered(value)

    def _answered(self, response: Response) -> HTTPReply:
        request = self._request
        target = reply_target(
            self.dialect,
            self.context,
            LossRecorder(response=True),
            created=self._created,
            seed=self._seed,
            framing=self.framing,
            limits=self._limits,
        )
        if request is None or not request.stream:
            return _json(self.dialect.encode_response(response, target))
        send = self.dialect.stream_writer(target).send
        body = b"".join(map(send, unfold(response)))
        kind = "text/event-stream; charset=utf-8"
        if self.framing == "json-array":
            kind = "application/json"
        return HTTPReply(status=200, headers=(("content-type", kind),), body=body)

    def attempt(
        self,
        target: str | Dialect,
        request: Request | None = None,
        *,
        profile: str | Profile | None = None,
        model: str | None = None,
        tag: str | None = None,
        filters: Sequence[FilterFactory] = (),
        policy: Policy | None = None,
        on_loss: OnLoss = "record",
        observe: bool = False,
        checked: bool = False,
    ) -> Attempt:
        """Try one upstream.

        Args:
            target: Dialect of the server.
            request: What to ask; the very object received, unless a step changed it.
            profile: Facts about the server.
            model: Overrides the request's.
            tag: Opaque mark of the backend.
            filters: Factories, called once with the request.
            policy: Feature -> drop, emulate or refuse.
            on_loss: `refuse` raises at the first thing that would be dropped.
            observe: Decode a stream that is passed through, for usage and stop.
            checked: Prove the grammar of what every filter gives.

        Raises:
            UnsupportedFeature: Something cannot be said; `.reply` is the answer.
            LocalProtocolError: There is no request.
        """
        asked = request if request is not None else self._request
        if asked is None:
            raise LocalProtocolError("there is no request to try an upstream with")
        upstream = get(target)
        made = [each for make in filters if (each := make(asked)) is not None]
        try:
            if self._route.operation == "count_tokens":
                losses = LossRecorder(policy, on_loss)
                return self._counting(upstream, asked, profile, model, tag, losses)
            own = None
            if not made:
                own = self._own(asked, upstream, profile, model, tag)
            encoded = own or encode_request(
                asked,
                upstream,
                profile=profile,
                model=model,
                tag=tag,
                policy=policy,
                on_loss=on_loss,
            )
        except UnsupportedFeature as error:
            error.reply = self.reply(_as_refusal(error))
            raise
        context = for_client(encoded.context, self.dialect, asked)
        passed = None
        stages = (*context.filters(), *made)
        if own is not None:
            passed = self._with_own_body(upstream, encoded, model)
        elif not (stages or encoded.losses):
            passed = self._passed_on(asked, upstream, encoded, model)
        plan = Plan(
            context=context,
            client=self.dialect,
            upstream=upstream,
            filters=stages,
            stream=bool(asked.stream),
            framing=self._route.framing,
            raw=passed is not None,
            observe=observe,
            checked=checked,
            created=self._created,
            seed=self._seed,
            limits=self._limits,
        )
        return Attempt(plan, passed or encoded.http, encoded.losses)

    def _own(
        self,
        request: Request,
        upstream: Dialect,
        profile: str | Profile | None,
        model: str | None,
        tag: str | None,
    ) -> EncodedRequest | None:
        """What goes with the client's own body, where encoding would say it again word
        for word; None where it would not.

        It does where a dialect's own request goes to a server without facts of its
        own, unless the client carries state of ours, which only encoding opens.
        """
        if (
            self._http is None
            or request is not self._request
            or upstream.name != self.dialect.name
            or not upstream.verbatim
        ):
            return None
        facts = profiles.resolve(
            upstream.name, profile or upstream.profile, model or request.model
        )
        if facts.name != profiles.resolve(upstream.name).name or facts.think_tags:
            return None
        if self._http.body.rfind(_SEALED) >= 0:  # which is faster than to find it
            return None
        return _head(request, upstream, facts, profile, model, tag)

    def _passed_on(
        self,
        request: Request,
        upstream: Dialect,
        encoded: EncodedRequest,
        model: str | None,
    ) -> HTTPRequest | None:
        """The request with the client's own bytes, None where they will not do."""
        if (
            self._http is None
            or upstream.name != self.dialect.name
            or request is not self._request
            or _objects(encoded, request, upstream, model)
        ):
            return None
        return self._with_own_body(upstream, encoded, model)

    def _with_own_body(
        self, upstream: Dialect, encoded: EncodedRequest, model: str | None
    ) -> HTTPRequest:
        assert self._http is not None
        body = self._http.body
        if model is not None:
            if upstream.rewrite_model is rewrite_model and self._request is not None:
                body = replace_model(body, self._request.model, model)
            else:
                body = upstream.rewrite_model(body, model)
        return replace(encoded.http, body=body)

    def _counting(
        self,
        upstream: Dialect,
        request: Request,
        profile: str | Profile | None,
        model: str | None,
        tag: str | None,
        losses: LossRecorder,
    ) -> Attempt:
        if upstream.encode_count_request is None:
            raise UnsupportedFeature(
                Loss(
                    path="",
                    feature="usage",
                    action="refused",
                    reason=f"{upstream.name} does not count tokens",
                )
            )
        facts = profiles.resolve(
            upstream.name, profile or upstream.profile, model or request.model
        )
        target = RequestTarget(losses=losses, profile=facts, model=model, tag=tag)
        http = upstream.encode_count_request(request, target)
        plan = Plan(
            context=Context(
                source=self.dialect.name,
                target=upstream.name,
                profile=target.profile,
                tag=target.tag,
            ),
            client=self.dialect,
            upstream=upstream,
            counting=True,
            limits=self._limits,
        )
        return Attempt(plan, http, target.losses.losses)


def _head(
    request: Request,
    upstream: Dialect,
    facts: Profile,
    profile: str | Profile | None,
    model: str | None,
    tag: str | None,
) -> EncodedRequest:
    """Path, headers and context of a request whose body is known."""
    asked = _CONTENTLESS(request)
    size = len(request.model or "") + len(request.version or "")
    if request.betas:
        size += sum(map(len, request.betas))
    if (
        size <= _SHORT
        and not isinstance(profile, Profile)
        and get(upstream.name) is upstream
    ):
        known = _known_head(asked, upstream.name, profile, model, tag)
        if known.context.profile is facts:
            return known
    bare = Request(**dict(zip(_HEAD, asked, strict=True)))
    return encode_request(bare, upstream, profile=profile, model=model, tag=tag)


@lru_cache(maxsize=256)
def _known_head(
    asked: tuple[Any, ...],
    upstream: str,
    profile: str | None,
    model: str | None,
    tag: str | None,
) -> EncodedRequest:
    bare = Request(**dict(zip(_HEAD, asked, strict=True)))
    return encode_request(bare, upstream, profile=profile, model=model, tag=tag)


_HEAD: Final = (
    "model",
    "n",
    "stream",
    "include_usage",
    "version",
    "betas",
    "dialect",
)
"""What of a request its path, its headers and its answer depend on."""
_CONTENTLESS: Final = attrgetter(*_HEAD)


def _objects(
    encoded: EncodedRequest, request: Request, upstream: Dialect, model: str | None
) -> bool:
    """Whether the server's profile wants the request said in another way than the
    dialect does: other names of fields, other forms of messages."""
    facts = encoded.context.profile
    usual = profiles.resolve(upstream.name)
    if facts == usual:
        return False
    try:
        plain = encode_request(request, upstream, profile=usual, model=model)
    except UnsupportedFeature:
        return True
    return plain.http != encoded.http


def _json(body: bytes) -> HTTPReply:
    headers = (("content-type", "application/json"),)
    return HTTPReply(status=200, headers=headers, body=body)


def _as_api_error(error: RemoteProtocolError) -> APIError:
    kind = _KINDS.get(error.status, "invalid_request")
    return APIError(
        kind=kind, message=str(error), status=error.status, param=error.path
    )


def _as_refusal(error: UnsupportedFeature) -> APIError:
    return APIError(
        kind="invalid_request",
        message=str(error),
        status=400,
        code="unsupported_value",
        param=error.loss.path or None,
    )
