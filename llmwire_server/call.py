"""The life of one call, from the client's request to its last byte.

Readable as the documentation of the pipeline: read the request in the client's
dialect, select a backend, translate for it, carry bytes. Whatever fails is answered in
the client's own envelope.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from llmwire import (
    APIError,
    Exchange,
    HTTPReply,
    HTTPRequest,
    ModelInfo,
    ModelList,
    RemoteProtocolError,
    Request,
    UnsupportedFeature,
    estimate_tokens,
)
from llmwire.dialects import get
from llmwire_server.backends import SIMULATOR, Backend, upstream_request
from llmwire_server.config import Config
from llmwire_server.relay import Receive, Send, relay, send_reply
from llmwire_server.routing import Selection, select, spoken_by
from llmwire_server.upstream import Transport, UpstreamRequest
from llmwire_server.upstream.script import MODEL

__all__ = ("Call", "Upstreams")

ESTIMATED: Final = ("x-llmwire-estimated", "true")
"""Header of a token count that no server made."""
_CANNOT_COUNT: Final = (404, 405, 501)
"""Statuses of servers that do not know the call at all."""


class Upstreams(Struct, frozen=True):
    """The transports that carry calls."""

    network: Transport
    simulator: Transport

    def of(self, backend: Backend) -> Transport:
        """The one that reaches `backend`."""
        return self.simulator if backend.name == SIMULATOR else self.network


class Call:
    """One call of one client."""

    def __init__(
        self, exchange: Exchange, config: Config, upstreams: Upstreams
    ) -> None:
        self._exchange = exchange
        self._config = config
        self._upstreams = upstreams

    async def run(self, http: HTTPRequest, receive: Receive, send: Send) -> None:
        """Answer the client."""
        exchange = self._exchange
        try:
            request = exchange.receive_request(http)
        except RemoteProtocolError as error:
            await send_reply(send, error.reply or HTTPReply(status=error.status))
            return
        if request is None:
            await send_reply(send, self._without_upstream())
            return
        selection = self._select(request)
        try:
            await self._ask(selection, request, receive, send)
        except UnsupportedFeature as error:
            await send_reply(send, error.reply or HTTPReply(status=400))

    def _select(self, request: Request) -> Selection:
        config = self._config
        return select(
            request.model,
            config.backends,
            *config.default,
        )

    async def _ask(
        self, selection: Selection, request: Request, receive: Receive, send: Send
    ) -> None:
        exchange, backend = self._exchange, selection.backend
        dialect = spoken_by(selection, exchange.dialect.name)
        counting = exchange.operation == "count_tokens"
        if counting and get(dialect).encode_count_request is None:
            await send_reply(send, self._estimate(request))
            return

        def instead(error: APIError) -> HTTPReply | None:
            uncounted = counting and error.status in _CANNOT_COUNT
            return self._estimate(request) if uncounted else None

        model = selection.model if selection.model != request.model else None
        attempt = exchange.attempt(
            dialect, request, profile=backend.profile, model=model, tag=backend.name
        )
        await relay(
            attempt,
            self._upstreams.of(backend),
            self._addressed(backend, attempt.http),
            receive,
            send,
            instead=instead,
        )

    def _estimate(self, request: Request) -> HTTPReply:
        reply = self._exchange.reply(estimate_tokens(request))
        return replace(reply, headers=(*reply.headers, ESTIMATED))

    @staticmethod
    def _addressed(backend: Backend, http: HTTPRequest) -> UpstreamRequest:
        if backend.name != SIMULATOR:
            return upstream_request(backend, http)
        return UpstreamRequest(
            method=http.method,
            scheme="http",
            host=SIMULATOR,
            port=80,
            target=http.path,
            headers=http.headers,
            body=http.body,
        )

    def _without_upstream(self) -> HTTPReply:
        """What is answered from the configuration alone: lists of models."""
        exchange = self._exchange
        models = listed_models(self._config)
        if exchange.operation == "models":
            return exchange.reply(ModelList(models=models))
        found = next((m for m in models if m.id == exchange.model), None)
        if found is not None:
            return exchange.reply(found)
        what = f"there is no model {exchange.model!r}"
        return exchange.reply(APIError(kind="not_found", message=what, status=404))


def listed_models(config: Config) -> tuple[ModelInfo, ...]:
    """Every model that the configuration names, as clients may select it."""
    found = [
        ModelInfo(id=f"{backend.name}:{model}", owner=backend.name)
        for backend in config.backends.values()
        for model in backend.models
    ]
    backend, default_model = config.default
    if default_model is not None:
        name = config.default_backend
        if name not in [model.id for model in found]:
            found.append(ModelInfo(id=name, owner=backend))
    if SIMULATOR in config.backends:
        found.append(ModelInfo(id=MODEL, owner=SIMULATOR))
    return tuple(found)
