"""The ASGI callable: which dialect the client speaks, its body, one `Call`.

No framework: one raw callable under any ASGI server. The lifespan opens the pool that
calls share and closes it when the server stops.
"""

from __future__ import annotations

import secrets
import time
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from msgspec.structs import replace

from llmwire import APIError, Exchange, HTTPReply, HTTPRequest, Limits
from llmwire.dialects import Dialect, Route, get
from llmwire_server.call import Call, Upstreams
from llmwire_server.config import Config
from llmwire_server.relay import Receive, Send, send_reply
from llmwire_server.routing import shown_dialect, spoken_dialect
from llmwire_server.upstream.pool import Pool
from llmwire_server.upstream.simulator import Simulator

__all__ = ("App",)

Spoken: TypeAlias = tuple[Dialect, Route]

_SAFE: Final = "/:@!$&'()*+,;=~"
"""What need not be percent-encoded in a path (RFC 3986, 3.3)."""
_HEALTH: Final = HTTPReply(
    status=200,
    headers=(("content-type", "application/json"),),
    body=b'{"status":"ok"}',
)


class App:
    """The proxy as an ASGI application.

    Args:
        config: What it is told.
        limits: What is too much.
        pool: Carries calls to upstreams; opened and closed by the lifespan.
    """

    def __init__(
        self, config: Config, *, limits: Limits | None = None, pool: Pool | None = None
    ) -> None:
        self._config = config
        self._limits = limits or Limits()
        self._pool = pool or Pool()
        simulator = Simulator(config.simulator.rules, config.simulator.pace)
        self._upstreams = Upstreams(self._pool, simulator)

    async def __call__(
        self, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """One ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._serve(_request_head(scope), receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._pool:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, http: HTTPRequest, receive: Receive, send: Send) -> None:
        if http.path.partition("?")[0] == "/health":
            await send_reply(send, _HEALTH)
            return
        spoken = spoken_dialect(http)
        if spoken is None or not _served(spoken, http.method):
            reply = _other_method(http) or _not_found(http, spoken)
            await send_reply(send, reply)
            return
        exchange = Exchange(
            spoken[0],
            created=float(int(time.time())),
            id=secrets.token_hex(12),
            limits=self._limits,
        )
        body = await _read_body(receive, self._limits.body)
        if body is None:
            return
        if len(body) > self._limits.body:
            message = f"the request is larger than {self._limits.body} bytes"
            error = APIError(kind="too_large", message=message, status=413)
            await send_reply(send, exchange.reply(error))
            return
        call = Call(exchange, self._config, self._upstreams)
        await call.run(replace(http, body=body), receive, send)


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """The client's body, or its beginning where it is larger than `limit`.

    None: the client left before its end.
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece: bytes = message.get("body", b"")
        size += len(piece)
        pieces.append(piece)
        if size > limit or not message.get("more_body"):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _request_head(scope: dict[str, Any]) -> HTTPRequest:
    """Dialects take the path as it was sent: names in it are percent-encoded."""
    path = (scope.get("raw_path") or quote(scope["path"], safe=_SAFE).encode()).decode(
        "latin-1"
    )
    path = path.partition("?")[0]
    query = scope.get("query_string", b"").decode("latin-1")
    return HTTPRequest(
        method=scope["method"],
        path=f"{path}?{query}" if query else path,
        headers=tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        ),
    )


def _served(spoken: Spoken, method: str) -> bool:
    operation = spoken[1].operation
    generating = operation in ("generate", "count_tokens")
    return operation != "other" and method == ("POST" if generating else "GET")


def _other_method(http: HTTPRequest) -> HTTPReply | None:
    """405 where the path is served, but not by this method."""
    for method in ("POST", "GET"):
        spoken = spoken_dialect(replace(http, method=method))
        if spoken is not None and _served(spoken, method):
            message = f"{http.method} is not known at this path, {method} is"
            error = APIError(kind="invalid_request", message=message, status=405)
            reply = spoken[0].encode_error(error)
            headers = (*reply.headers, ("allow", method))
            return replace(reply, status=405, headers=headers)
    return None


def _not_found(http: HTTPRequest, spoken: Spoken | None) -> HTTPReply:
    """404 in the envelope of whom the call looks like."""
    path = http.path.partition("?")[0]
    name = shown_dialect(http) or ("anthropic" if "/messages" in path else None)
    dialect = get(name or "openai-chat") if spoken is None else spoken[0]
    message = f"{http.method} {path} is not served"
    error = APIError(kind="not_found", message=message, status=404)
    return dialect.encode_error(error)
