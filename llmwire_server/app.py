"""The ASGI callable: the door through which every call comes.

No framework: one raw callable under any ASGI server. In this order a call is asked
whether its head is too large, what its path is, who sends it, whether there is room for
it, and for its body; what passes becomes one `Call`. Everything else is answered here,
in the envelope of whoever asks.

Everything that a configuration decides stands in one `_State`. `reload` puts another in
its place: calls that run keep theirs, calls that come find the new one.
"""

from __future__ import annotations

import os
import time
from typing import Any, Final

from msgspec.structs import replace

from llmwire import APIError, Exchange, HTTPReply, HTTPRequest, Limits
from llmwire.dialects import get
from llmwire.http import Headers
from llmwire.messages import ErrorKind
from llmwire_server.backends import SIMULATOR
from llmwire_server.bodies import BodyRefused, read_body
from llmwire_server.call import Call, Pipeline, Upstreams
from llmwire_server.client import ASGIClient, Client, Receive, Send
from llmwire_server.config import Config
from llmwire_server.config.tree import RequestLimits
from llmwire_server.cors import CrossOrigin
from llmwire_server.health import (
    ALIVE,
    LIVE_PATHS,
    READY_PATH,
    Reachability,
    ready_reply,
)
from llmwire_server.incoming import Incoming
from llmwire_server.keys import ClientKeys, is_local, is_loopback, is_own_page
from llmwire_server.masking import Mask
from llmwire_server.memory import Freeing
from llmwire_server.outgoing import Outgoing
from llmwire_server.paths import Match, allowed, envelope, match, normal_path
from llmwire_server.relay import send_reply
from llmwire_server.shutdown import Shutdown, refusal
from llmwire_server.upstream import Transport
from llmwire_server.upstream.pool import Pool
from llmwire_server.upstream.settings import TransportMaker, pool_settings
from llmwire_server.upstream.simulator import Simulator

__all__ = ("App", "error_reply")

_GENERATING: Final = ("generate", "count_tokens")
_KEY_NEEDED: Final = (
    "a key of this server is needed: `Authorization: Bearer KEY`, `x-api-key: KEY`, "
    "`x-goog-api-key: KEY` or `?key=KEY`"
)
_WRONG_KEY: Final = "this is no key of this server"
_NO_KEYS: Final = (
    "this server has no client keys, so it serves its own machine only; set `keys` in "
    "its configuration, then call it with one of them"
)
_FULL: Final = APIError(
    kind="overloaded",
    message="this server carries as many calls as it may; try again",
    status=503,
    retry_after=1.0,
)
_EVERY_METHOD: Final = "GET, HEAD, OPTIONS, POST"
_SHOWN: Final = 200
"""Characters of a path in a message."""


def error_reply(
    dialect: str, status: int, kind: ErrorKind, message: str, headers: Headers = ()
) -> HTTPReply:
    """An error in the envelope of `dialect`, under exactly this status."""
    error = APIError(kind=kind, message=message, status=status)
    reply = get(dialect).encode_error(error)
    return replace(reply, status=status, headers=(*reply.headers, *headers))


class _State:
    """Everything that one configuration decides."""

    def __init__(
        self,
        config: Config,
        limits: Limits | None,
        upstreams: Upstreams,
        reached: Reachability,
    ) -> None:
        bounds = config.limits
        self.config = config
        self.limits = limits or Limits(
            body=max(bounds.answer, bounds.body),
            nesting=bounds.nesting,
            messages=bounds.messages,
        )
        self.body = limits.body if limits is not None else bounds.body
        self.keys = ClientKeys(config.keys)
        self.origins = CrossOrigin(config.cors)
        self.mask = Mask.of(config)
        self.pipeline = Pipeline(config, upstreams, reached)


class App:
    """The proxy as an ASGI application.

    Args:
        config: What it is told.
        limits: What is too much, instead of what the configuration says.
        pool: Carries calls to upstreams; opened and closed by the lifespan.
    """

    def __init__(
        self, config: Config, *, limits: Limits | None = None, pool: Pool | None = None
    ) -> None:
        self._limits = limits
        self._own_pool = pool is None
        self._pool = pool or Pool()
        self._running = False
        self._calls = 0
        self._freeing = Freeing()
        self.reached = Reachability()
        """Which backends the last calls reached."""
        self.shutdown = Shutdown(config.timeouts.shutdown)
        """Tells calls that the server ends."""
        self._state = self._make_state(config)

    @property
    def config(self) -> Config:
        """What it is told now."""
        return self._state.config

    def reload(self, config: Config) -> None:
        """Serve calls that come from now on as `config` says; running ones go on.

        Addresses and ports stay as they are, and connections to upstreams where nothing
        changed for them.

        Raises:
            ValueError: A file or a proxy that a backend names cannot be used; the old
                configuration stays.
        """
        state = self._make_state(config)
        self.shutdown.seconds = config.timeouts.shutdown
        self._state = state

    def _make_state(self, config: Config) -> _State:
        simulator = Simulator(config.simulator.rules, config.simulator.pace)
        upstreams = Upstreams(self._pool, simulator, _routes(config, self._pool))
        state = _State(config, self._limits, upstreams, self.reached)
        if self._own_pool:
            limits, timeouts = pool_settings(config.connections, config.timeouts)
            self._pool.limits, self._pool.timeouts = limits, timeouts
        return state

    async def __call__(
        self, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """One ASGI connection."""
        if scope["type"] == "http":
            client = ASGIClient(receive, send)
            await self.serve(Incoming.of_scope(scope), client)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._pool:
            self._running = True
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self._running = False
        await send({"type": "lifespan.shutdown.complete"})

    async def serve(self, incoming: Incoming, client: Client) -> None:
        """One call.

        Args:
            incoming: Its head.
            client: Has its body, and takes the answer.

        Raises:
            ClientStalled: As `relay` does.
        """
        state = self._state
        path = normal_path(incoming.path)
        found = match(path, incoming.shown) if path is not None else None
        seed = os.urandom(12).hex()
        request_id = incoming.request_id or f"req_{seed}"
        out = Outgoing(
            client,
            request_id,
            state.mask,
            more=state.origins.headers(incoming.noted.get("origin")),
            native_id=found is not None and found.dialect == "anthropic",
            bodiless=incoming.method == "HEAD",
        )
        reply = self._answer_at_door(state, incoming, path, found)
        if reply is not None or found is None:
            await send_reply(out, _closing(incoming, reply or ALIVE))
            return
        counted = found.operation in _GENERATING
        self._calls += counted
        try:
            await self._admit(state, incoming, found, client, out, (request_id, seed))
        finally:
            self._calls -= counted
            if not self._calls:
                self._freeing.rest()

    def _answer_at_door(
        self, state: _State, incoming: Incoming, path: str | None, found: Match | None
    ) -> HTTPReply | None:
        """The answer to a call that comes to nothing more; None: it may go on."""
        reply = _unreadable(state.config.limits, incoming)
        if reply is not None:
            return reply
        if found is None:
            if path in LIVE_PATHS or path == READY_PATH:
                return self._health(state, incoming.method, path)
            if incoming.method == "OPTIONS" and incoming.path == "*":
                return HTTPReply(status=200, headers=(("allow", _EVERY_METHOD),))
            return _not_found(incoming, path)
        if incoming.method != found.method:
            if incoming.method == "OPTIONS":
                return _options(state.origins, incoming, allowed(found))
            if incoming.method != "HEAD" or found.method != "GET":
                return _other_method(incoming.method, found)
        reply = _forbidden(state, incoming, found.dialect)
        if reply is not None:
            return reply
        if self.shutdown.begun:
            return refusal(get(found.dialect))
        full = self._calls >= state.config.limits.concurrent
        if full and found.operation in _GENERATING:
            return get(found.dialect).encode_error(_FULL)
        return None

    def _health(self, state: _State, method: str, path: str | None) -> HTTPReply:
        if method not in ("GET", "HEAD"):
            reply = HTTPReply(status=405, headers=(("allow", "GET, HEAD"),))
        elif path in LIVE_PATHS:
            reply = ALIVE
        else:
            reply = ready_reply(
                running=self._running,
                stopping=self.shutdown.begun,
                backends=self.reached.of(state.config.backends),
            )
        return reply

    async def _admit(
        self,
        state: _State,
        incoming: Incoming,
        found: Match,
        client: Client,
        out: Outgoing,
        ids: tuple[str, str],
    ) -> None:
        """Take the body of a call that may go on, and carry it out."""
        body: bytes | None = b""
        if found.method == "POST":
            body = await self._read(state, incoming, found, client, out)
        if body is None:
            return
        request_id, seed = ids
        exchange = Exchange(
            found.dialect,
            created=float(int(time.time())),
            id=seed,
            limits=state.limits,
        )
        self._freeing.carry(len(body))
        http = HTTPRequest(
            method=found.method,
            path=f"{found.path}?{incoming.query}" if incoming.query else found.path,
            headers=incoming.headers,
            body=body,
        )
        call = Call(
            exchange,
            state.pipeline,
            shutdown=self.shutdown,
            request_id=request_id,
            leaving=client.leaving,
        )
        carried = call.run(http, client.receive, out)
        del http, body  # They may be large, and the call may take its time.
        await carried

    async def _read(
        self,
        state: _State,
        incoming: Incoming,
        found: Match,
        client: Client,
        out: Outgoing,
    ) -> bytes | None:
        """The body of a call, None where there is nothing to go on with: the client has
        left, or was told why its body is not taken."""
        try:
            body = await read_body(
                client.receive,
                state.body,
                length=incoming.noted.get("content-length"),
                coding=incoming.noted.get("content-encoding"),
                seconds=state.config.timeouts.body,
                there=client.take_body,
            )
        except BodyRefused as error:
            reply = error_reply(
                found.dialect, error.status, error.kind, str(error), error.headers
            )
            await send_reply(out, _closing(incoming, reply))
            return None
        return body


def _routes(config: Config, pool: Pool) -> dict[str, Transport]:
    """How each backend is reached; files are read now, so that what is wrong with them
    is known before anything is changed."""
    maker = TransportMaker(pool)
    routes: dict[str, Transport] = {}
    for name, backend in config.backends.items():
        if name == SIMULATOR:
            continue
        try:
            transport = maker.transport_for(backend)
        except (OSError, ImportError) as error:
            raise ValueError(f"backends.{name}: {error}") from None
        if transport is not pool:
            routes[name] = transport
    return routes


def _unreadable(limits: RequestLimits, incoming: Incoming) -> HTTPReply | None:
    """The answer to a head that is too large, or that two readers may read in two
    ways."""
    status, what = 400, ""
    if incoming.fields > limits.headers:
        status, what = 431, f"the request has more than {limits.headers} headers"
    elif incoming.size > limits.header_bytes:
        status = 431
        what = f"the headers are larger than {limits.header_bytes} bytes"
    elif len(incoming.path) + len(incoming.query) > limits.header_bytes:
        status, what = 414, f"the URL is longer than {limits.header_bytes} bytes"
    elif incoming.hosts != 1 and (incoming.hosts or incoming.needs_host):
        what = "HTTP/1.1 needs one header `host`"
    elif incoming.noted.get("transfer-encoding", "chunked").lower() != "chunked":
        status, what = 501, "no transfer-encoding but chunked is known"
    if not what:
        return None
    dialect = envelope(incoming.path, incoming.shown)
    return error_reply(dialect, status, "invalid_request", what)


def _not_found(incoming: Incoming, path: str | None) -> HTTPReply:
    shown = path or incoming.path
    dialect = envelope(shown, incoming.shown)
    message = f"{incoming.method} {shown[:_SHOWN]} is not served"
    return error_reply(dialect, 404, "not_found", message)


def _other_method(method: str, found: Match) -> HTTPReply:
    message = f"{method} is not known at this path, {found.method} is"
    allow = ("allow", allowed(found))
    return error_reply(found.dialect, 405, "invalid_request", message, (allow,))


def _options(origins: CrossOrigin, incoming: Incoming, allow: str) -> HTTPReply:
    noted = incoming.noted
    more = origins.preflight(
        noted.get("origin"),
        noted.get("access-control-request-method"),
        noted.get("access-control-request-headers"),
        allow,
    )
    return HTTPReply(status=200, headers=(("allow", allow), *more))


def _forbidden(state: _State, incoming: Incoming, dialect: str) -> HTTPReply | None:
    """The answer to somebody who may not call."""
    if not state.keys:
        why = _why_strange(incoming, state.origins)
        return None if why is None else error_reply(dialect, 403, "permission", why)
    if state.keys.accept(incoming.keys):
        return None
    message = _WRONG_KEY if incoming.keys else _KEY_NEEDED
    challenge = (("www-authenticate", "Bearer"),)
    return error_reply(dialect, 401, "auth", message, challenge)


def _why_strange(incoming: Incoming, origins: CrossOrigin) -> str | None:
    """Why a call does not come from this machine's own programs; None: it does."""
    if incoming.peer is None or not is_loopback(incoming.peer):
        return _NO_KEYS
    if incoming.proxied:
        return f"the call came through a proxy, and {_NO_KEYS}"
    noted = incoming.noted
    if "host" in noted and not is_local(noted["host"]):
        return f"the call names another host, and {_NO_KEYS}"
    origin = noted.get("origin")
    if origin is not None and not is_own_page(origin) and not origins.allows(origin):
        return f"the call comes from a web page, and {_NO_KEYS}"
    return None


def _closing(incoming: Incoming, reply: HTTPReply) -> HTTPReply:
    """Where a client waits to be told to go on with its body and is told something
    else, nobody knows whether the body follows: the connection ends."""
    if "expect" not in incoming.noted:
        return reply
    return replace(reply, headers=(*reply.headers, ("connection", "close")))
