"""The life of one call, from the client's request to its last byte.

Readable as the documentation of the pipeline: read the request in the client's
dialect, decide where it goes, change it as the filters of that backend need it
(`llmwire_server.filtering`), translate it, carry bytes, tell what was lost. Whatever
fails is answered in the client's own envelope.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Final
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from llmwire import (
    APIError,
    Attempt,
    Exchange,
    Head,
    HTTPReply,
    HTTPRequest,
    Loss,
    ModelList,
    RemoteProtocolError,
    Request,
    UnsupportedFeature,
    Usage,
    estimate_tokens,
)
from llmwire.dialects import get
from llmwire.http import Headers
from llmwire_server.backends import SIMULATOR, Address, Backend
from llmwire_server.catalog import Catalog
from llmwire_server.client import Leaving, Receive
from llmwire_server.config import Config
from llmwire_server.filtering.plan import Filtered, Filters, filters_of
from llmwire_server.headers import Allowed, to_client, to_upstream, with_headers
from llmwire_server.health import Reachability
from llmwire_server.losses_told import (
    LOSSES_HEADER,
    LossRules,
    describe,
    loss_rules,
    summary,
)
from llmwire_server.relay import Answer, relay, send_reply
from llmwire_server.routing import (
    Rotation,
    Router,
    RoutingError,
    shown,
    spoken_by,
    write_selector,
)
from llmwire_server.shutdown import Shutdown
from llmwire_server.upstream import Transport, UpstreamRequest

__all__ = ("BACKEND_HEADER", "ESTIMATED", "Call", "Pipeline", "Upstreams")

ESTIMATED: Final = ("x-llmwire-estimated", "true")
"""Header of a token count that no server made."""
BACKEND_HEADER: Final = "x-llmwire-backend"
"""Who answered, as `backend:model`."""
_RETRY_HEADER: Final = "x-should-retry"
"""What the vendors' own SDKs go by, before they go by the status."""
_LASTING: Final = frozenset({"quota", "unimplemented"})
"""Errors that come again, under a status that says try again."""
_CANNOT_COUNT: Final = (404, 405, 501)
"""Statuses of servers that do not know the call at all."""
_SHOWN: Final = 200
"""Characters of a model's name in a header or in the log."""
_LOG: Final = logging.getLogger("llmwire")


class Upstreams(Struct, frozen=True):
    """The transports that carry calls."""

    network: Transport
    simulator: Transport
    routes: Mapping[str, Transport] = {}
    """By name of a backend: for those that are not reached by `network`."""

    def of(self, backend: Backend) -> Transport:
        """The one that reaches `backend`."""
        if backend.name == SIMULATOR:
            return self.simulator
        return self.routes.get(backend.name, self.network)


class Place(Struct, frozen=True):
    """What is the same for all calls of clients of one dialect to one backend."""

    backend: Backend
    dialect: str
    """Of the server."""
    address: Address
    transport: Transport
    rules: LossRules
    filters: Filters
    passed_up: Allowed
    """Headers of clients that are sent on."""
    passed_down: Allowed
    """Headers of the server that clients see."""


class Pipeline:
    """What all calls under one configuration share."""

    def __init__(
        self,
        config: Config,
        upstreams: Upstreams,
        reachability: Reachability | None = None,
    ) -> None:
        self.config = config
        self.upstreams = upstreams
        self.reachability = reachability or Reachability()
        self.router = Router(config.backends, *config.default, bare=config.models.bare)
        self.rotation = Rotation()
        self.catalog = Catalog(config, self.router, upstreams.of)
        self._places: dict[tuple[str, str], Place] = {}

    def place(self, backend: Backend, source: str) -> Place:
        """How `backend` is reached, and what is done on the way there.

        Args:
            backend: The backend.
            source: Dialect of the client.
        """
        key = backend.name, source
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = self._make_place(backend, source)
        return place

    def _make_place(self, backend: Backend, source: str) -> Place:
        config = self.config
        rules = loss_rules(config.losses.policy, backend.losses)
        dialect = spoken_by(backend, source)
        return Place(
            backend,
            dialect,
            Address(backend),
            self.upstreams.of(backend),
            rules,
            filters_of(config.filters, backend, rules.policy),
            to_upstream(source, dialect, config.headers),
            to_client(config.headers),
        )


class _Ready(Struct):
    """A call that only needs to be carried."""

    attempt: Attempt
    place: Place
    passed: Headers
    """Headers of the client that are sent on."""
    instead: Callable[[APIError], HTTPReply | None]
    filtered: Filtered | None

    def request(self) -> UpstreamRequest:
        """What to send."""
        return self.place.address.request(self.attempt.http, self.passed)


class Call:
    """One call of one client.

    Args:
        exchange: The client's side.
        pipeline: What the configuration makes of calls.
        shutdown: May end the call.
        request_id: What the log calls it.
        leaving: Tells when the client leaves.
    """

    def __init__(
        self,
        exchange: Exchange,
        pipeline: Pipeline,
        *,
        shutdown: Shutdown | None = None,
        request_id: str = "",
        leaving: Leaving | None = None,
    ) -> None:
        self._exchange = exchange
        self._pipeline = pipeline
        self._config = pipeline.config
        self._shutdown = shutdown
        self._request_id = request_id
        self._leaving = leaving
        self._record = _Record()

    async def run(self, http: HTTPRequest, receive: Receive, answer: Answer) -> None:
        """Answer the client.

        Args:
            http: Its request, without its credentials.
            receive: Its ASGI messages; the body has been read.
            answer: Goes to it.

        Raises:
            ClientStalled: As `relay` does.
        """
        exchange = self._exchange
        started = perf_counter()
        try:
            ready = self._prepare(http)
            del http  # It may be large, and an upstream may take its time.
            if isinstance(ready, _Ready):
                await self._carry(ready, receive, answer)
            else:
                await self._reply(answer, ready or await self._listed())
        except (RemoteProtocolError, UnsupportedFeature) as error:
            status = getattr(error, "status", 400)
            refusal = APIError(
                kind="invalid_request", message=str(error), status=status
            )
            await self._reply(answer, error.reply or exchange.reply(refusal))
        except RoutingError as error:
            await self._reply(answer, exchange.reply(error.error))
        finally:
            if self._config.log.calls:
                self._log_call(perf_counter() - started)

    def _prepare(self, http: HTTPRequest) -> _Ready | HTTPReply | None:
        """Read, route and translate; None: it asks for a list of models.

        Of the request nothing is kept but what is sent.
        """
        exchange, pipeline = self._exchange, self._pipeline
        request = exchange.receive_request(http)
        if request is None:
            return None
        source = exchange.dialect.name
        decision = pipeline.router.route(request.model, source)
        place = pipeline.place(pipeline.rotation.next(decision.backends), source)
        backend, record = place.backend, self._record
        record.backend, record.model = backend.name, decision.model
        asked = decision.applied(request)
        filtered = None
        plan = place.filters.plan(decision.model)
        if plan is not None:
            filtered = plan.applied(asked)
            asked = filtered.request
        instead: Callable[[APIError], HTTPReply | None] = _nothing
        if exchange.operation == "count_tokens":
            if get(place.dialect).encode_count_request is None:
                return self._estimate(asked)
            instead = partial(self._counted, asked)
        attempt = exchange.attempt(
            place.dialect,
            asked,
            profile=backend.profile,
            model=decision.changed(request.model),
            tag=backend.name,
            filters=filtered.factories if filtered is not None else (),
            policy=place.rules.policy,
            observe=self._config.log.calls,
        )
        exchange.forget_request()
        passed = place.passed_up.of(http.headers)
        return _Ready(attempt, place, passed, instead, filtered)

    def _counted(self, asked: Request, error: APIError) -> HTTPReply | None:
        """An estimate, where the server cannot count."""
        if error.status not in _CANNOT_COUNT:
            return None
        self._record.status = 200
        return self._estimate(asked)

    async def _carry(self, ready: _Ready, receive: Receive, answer: Answer) -> None:
        attempt, place = ready.attempt, ready.place
        try:
            await relay(
                attempt,
                place.transport,
                ready.request,
                receive,
                answer,
                times=self._config.timeouts,
                shutdown=self._shutdown,
                dress=partial(self._dress, attempt, place),
                instead=ready.instead,
                request_id=self._request_id,
                leaving=self._leaving,
            )
        finally:
            if self._config.log.calls:
                self._record.usage = attempt.usage
            if self._config.losses.log:
                losses = attempt.losses
                if losses:
                    self._log_losses(place.rules.told(losses))
            if ready.filtered is not None:
                for finding in ready.filtered.findings():
                    _LOG.info("%s", finding, extra={"request_id": self._request_id})

    def _dress(self, attempt: Attempt, place: Place, head: Head) -> Head:
        """The head of the answer, with what this server adds to it."""
        self._record.status = head.status
        reached = _reached(attempt)
        self._pipeline.reachability.note(place.backend.name, reached)
        return with_headers(head, self._told(attempt, place))

    def _told(self, attempt: Attempt, place: Place) -> Headers:
        config = self._config
        more = list(place.passed_down.of(attempt.upstream_headers))
        if config.headers.route:
            more.append((BACKEND_HEADER, _plain(self._record.selector)))
        losses = attempt.losses if config.losses.header else ()
        if losses:
            losses = place.rules.told(losses)
            if losses:
                more.append((LOSSES_HEADER, summary(losses)))
        error = attempt.error
        if error is not None and error.kind in _LASTING:
            more.append((_RETRY_HEADER, "false"))
        return tuple(more)

    def _estimate(self, request: Request) -> HTTPReply:
        reply = self._exchange.reply(estimate_tokens(request))
        return replace(reply, headers=(*reply.headers, ESTIMATED))

    async def _listed(self) -> HTTPReply:
        """Lists of models, and entries of them."""
        exchange, catalog = self._exchange, self._pipeline.catalog
        if exchange.operation == "models":
            return exchange.reply(ModelList(models=await catalog.models()))
        name = exchange.model or ""
        found = await catalog.model(name, exchange.dialect.name)
        if found is not None:
            return exchange.reply(found)
        message = f"there is no model {shown(name)}"
        return exchange.reply(APIError(kind="not_found", message=message, status=404))

    async def _reply(self, answer: Answer, reply: HTTPReply) -> None:
        self._record.status = reply.status
        await send_reply(answer, reply)

    # --- The log -------------------------------------------------------------------

    def _log_losses(self, losses: tuple[Loss, ...]) -> None:
        if not losses or not _LOG.isEnabledFor(logging.INFO):
            return
        said = {"request_id": self._request_id}
        source, target = self._exchange.dialect.name, self._record.selector
        _LOG.info(
            "lost from %s to %s: %s",
            source,
            _plain(target),
            summary(losses),
            extra=said,
        )
        if _LOG.isEnabledFor(logging.DEBUG):
            for loss in losses:
                _LOG.debug("%s", describe(loss), extra=said)

    def _log_call(self, seconds: float) -> None:
        record, exchange = self._record, self._exchange
        usage = record.usage or Usage()
        _LOG.info(
            "call operation=%s dialect=%s backend=%s model=%s status=%s ms=%d "
            "input=%d output=%d",
            exchange.operation,
            exchange.dialect.name,
            record.backend or "-",
            _plain(record.model or "-"),
            record.status or "-",
            seconds * 1000,
            usage.input,
            usage.output or 0,
            extra={"request_id": self._request_id},
        )


class _Record:
    """What is known of a call when it is over."""

    __slots__ = ("backend", "model", "status", "usage")

    def __init__(self) -> None:
        self.backend: str | None = None
        self.model: str | None = None
        self.status: int | None = None
        self.usage: Usage | None = None

    @property
    def selector(self) -> str:
        """Backend and model."""
        backend = self.backend or ""
        return backend if self.model is None else write_selector(backend, self.model)


def _reached(attempt: Attempt) -> bool:
    """The backend answered, or at least it is not known to be out of reach."""
    error = attempt.error
    failed = error is not None and error.kind == "bad_upstream"
    return bool(attempt.upstream_headers) or not failed


def _nothing(error: APIError) -> None:
    return None


def _plain(text: str) -> str:
    """What clients or servers chose, as headers and lines of a log can hold it."""
    text = text[:_SHOWN]
    if text.isascii() and text.isprintable():
        return text
    return quote(text, safe=" !\"#$%&'()*+,/:;<=>?@[]^`{|}", errors="replace")
