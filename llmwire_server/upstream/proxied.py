"""The transport by way of a proxy: HTTP (CONNECT, absolute-form) and SOCKS5.

Knows httpcore, which speaks to proxies, and keeps its faults away from the calls. It
counts against the limits of the pool that it is made for.

Rules:
    - Every call has an httpcore pool of its own, with one connection, which ends with
      the call: a pool of httpcore that saw a cancellation may never work again.
    - httpcore runs in a task of its own, which the caller's cancellation does not
      reach: a cancelled `receive` loses nothing. It reads ahead at most 64 KiB.
    - httpcore is given no time limits; the deadline of that task is moved instead as
      the exchange goes on, and what remains is closed when it is over.
    - No text holds what a proxy said, or a proxy's credentials; httpcore's own log
      would.

Heads are read by h11, whose rules are less strict than those of `codec`: folded lines
and bare line feeds pass. As no connection is used again, none of it reaches another
call.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

import anyio
import httpcore
from msgspec import Struct

from llmwire_server.upstream import (
    Headers,
    Origin,
    UpstreamFailure,
    UpstreamRequest,
)
from llmwire_server.upstream._httpcore_wire import SPEECH, Wire
from llmwire_server.upstream.codec import encode_head
from llmwire_server.upstream.connection import Connection
from llmwire_server.upstream.draining import drain
from llmwire_server.upstream.pool import Pool

__all__ = ("ProxiedExchange", "ProxiedRoute", "Proxy", "parse_proxy")

_READ_AHEAD = 64 * 1024
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}

# What httpcore logs for debugging holds headers, and the password for a SOCKS proxy.
logging.getLogger("httpcore").setLevel(logging.WARNING)


class Proxy(Struct, frozen=True, kw_only=True):
    """Where a proxy is, and who one is there."""

    scheme: Literal["http", "https", "socks5", "socks5h"]
    """Names are always resolved by a SOCKS proxy, whichever of the two is said."""
    host: str
    port: int
    credentials: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"Proxy({self.scheme}://{self.host}:{self.port})"


def parse_proxy(url: str) -> Proxy:
    """Take the URL of a proxy apart; user and password may be percent-encoded.

    Raises:
        ValueError: It is none; the text holds nothing of it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("ascii").decode()
    except ValueError:
        raise ValueError("expected a URL like http://host:port") from None
    if parts.scheme not in _PORTS or not host:
        raise ValueError("expected an http, https, socks5 or socks5h URL of a proxy")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("the URL of a proxy has no path, query or fragment")
    credentials = None
    if parts.username is not None:
        credentials = (unquote(parts.username), unquote(parts.password or ""))
    scheme: Any = parts.scheme
    return Proxy(
        scheme=scheme,
        host=host,
        port=_PORTS[scheme] if port is None else port,
        credentials=credentials,
    )


class ProxiedRoute:
    """A `Transport` by way of a proxy.

    Args:
        pool: Whose limits, time limits and life it shares.
        name: Tells its calls from those of other routes, for the limits per origin.
        proxy: The proxy.
        context: Gives whom to trust behind the proxy, and whom the proxy itself where
            it is spoken to by TLS.
    """

    def __init__(
        self, pool: Pool, name: str, proxy: Proxy, context: Callable[[], ssl.SSLContext]
    ) -> None:
        self.pool = pool
        self.name = name
        self.proxy = proxy
        self.get_context = context

    def open(self, request: UpstreamRequest) -> ProxiedExchange:
        """Send a request; see `Transport.open`."""
        return ProxiedExchange(self, request)

    def make_client(
        self, backend: httpcore.AsyncNetworkBackend
    ) -> httpcore.AsyncConnectionPool:
        """A pool of httpcore for one call."""
        proxy = self.proxy
        host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
        url = httpcore.URL(scheme=proxy.scheme, host=host, port=proxy.port, target=b"/")
        shared: dict[str, Any] = {
            "ssl_context": self.get_context(),
            "max_connections": 1,
            "network_backend": backend,
        }
        credentials: Any = None
        if proxy.credentials is not None:
            credentials = tuple(part.encode() for part in proxy.credentials)
        if proxy.scheme in ("socks5", "socks5h"):
            return httpcore.AsyncSOCKSProxy(url, credentials, **shared)
        if proxy.scheme == "https":
            shared["proxy_ssl_context"] = self.get_context()
        return httpcore.AsyncHTTPProxy(url, credentials, **shared)


class ProxiedExchange:
    """One request and its response by way of a proxy.

    Args:
        route: Which proxy.
        request: What to send.
    """

    def __init__(self, route: ProxiedRoute, request: UpstreamRequest) -> None:
        self._route = route
        self._pool = pool = route.pool
        self._request = request
        self._timeouts = request.timeouts or pool.timeouts
        self._place: Connection | None = None
        self._scope = anyio.CancelScope()
        self._wire = Wire(request, self._timeouts, self._scope, pool.connect)
        self._wire.limit = pool.head_limits.head_bytes
        self._failure: UpstreamFailure | None = None
        self._ended = False
        self._came = anyio.Event()
        self._taken = anyio.Event()
        self._chunks: list[bytes] = []
        self._size = 0
        self.status = 0
        """The final status."""
        self.headers: Headers = ()
        """Lower-case names and values."""

    async def __aenter__(self) -> Self:
        pool, request = self._pool, self._request
        head = encode_head(request)
        origin = Origin(request.scheme, request.host, request.port, self._route.name)
        self._place = await pool.checkout(origin, self._timeouts.pool)
        entered = False
        try:
            pool.group.start_soon(self._run, head)
            while not self.status and not self._ended:
                await self._wait()
            entered = bool(self.status)
        finally:
            if not entered:  # Cancelled, perhaps just as the head came.
                self._leave()
        if not entered:
            raise self._why()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    async def receive(self) -> bytes:
        """See `UpstreamResponse.receive`."""
        while not self._chunks:
            if self._failure is not None:
                raise self._why()
            if self._ended:
                return b""
            await self._wait()
        data = b"".join(self._chunks)
        self._forget_chunks()
        return data

    async def drain(self, limit_bytes: int = 65536, seconds: float = 0.1) -> None:
        """See `UpstreamResponse.drain`; there is no connection to save."""
        await drain(self.receive, limit_bytes, seconds)

    async def close(self) -> None:
        """See `UpstreamResponse.close`."""
        self._forget_chunks()
        self._leave()

    def _forget_chunks(self) -> None:
        self._chunks.clear()
        self._size = 0
        self._taken.set()

    def _leave(self) -> None:
        """End the task, if it still runs, and give the place back."""
        if not self._ended:
            self._end(UpstreamFailure("reset", "closed by this side"))
            self._scope.cancel()

    def _end(self, failure: UpstreamFailure | None) -> None:
        """The first to say how it ended is right."""
        if self._ended:
            return
        self._ended = True
        self._failure = failure and failure.anew()
        place, self._place = self._place, None
        if place is not None:
            self._pool.release(place, reusable=False)
        self._notify()

    def _why(self) -> UpstreamFailure:
        assert self._failure is not None
        return self._failure.anew()

    async def _wait(self) -> None:
        """Until something came or it ended; a cancelled call loses nothing."""
        self._came = anyio.Event()
        await self._came.wait()

    def _notify(self) -> None:
        self._came.set()

    async def _run(self, head: bytes) -> None:
        """The task: all of httpcore happens here."""
        failure: UpstreamFailure | None = UpstreamFailure(
            "reset", "closed by this side"
        )
        try:
            with self._scope:
                failure = await self._converse(head)
            if self._scope.cancelled_caught:
                failure = self._wire.timeout()
        finally:
            self._end(failure)

    async def _converse(self, head: bytes) -> UpstreamFailure | None:
        wire = self._wire
        wire.enter("connect")
        client = self._route.make_client(wire)
        try:
            response = await client.handle_async_request(self._encode(head))
            if response.status < 200:
                return wire.failure("protocol", "switches protocols unasked")
            self._begin(response)
            async for data in _body_of(response):
                wire.pause()
                await self._hand_over(data)
                wire.resume()
        except UpstreamFailure as failure:
            return failure
        except SPEECH as error:
            return wire.explain(error)
        finally:
            with anyio.CancelScope(shield=True):
                await client.aclose()
                await wire.close()
        return None

    def _encode(self, head: bytes) -> httpcore.Request:
        """The same request as the pool would send, for httpcore to write."""
        request = self._request
        lines = head.split(b"\r\n")[1:-2]
        pairs: list[tuple[bytes, bytes]] = []
        for line in lines:
            name, _, value = line.partition(b": ")
            pairs.append((name, value))
        socks = self._route.proxy.scheme in ("socks5", "socks5h")
        bracketed = ":" in request.host and not socks
        return httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.scheme,
                host=f"[{request.host}]" if bracketed else request.host,
                port=request.port,
                target=request.target,
            ),
            headers=pairs,
            content=request.body,
            extensions={"trace": self._wire.trace},
        )

    def _begin(self, response: httpcore.Response) -> None:
        self.headers = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in response.headers
        )
        self.status = response.status
        self._notify()

    async def _hand_over(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        self._notify()
        while self._size >= _READ_AHEAD:
            self._taken = anyio.Event()
            await self._taken.wait()


async def _body_of(response: httpcore.Response) -> AsyncIterator[bytes]:
    async for data in response.aiter_stream():
        if data:
            yield data
