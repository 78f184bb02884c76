"""From the configuration to transports: limits, time limits, TLS settings, proxies.

Knows the records of the configuration and the pool, and decides which backends may
share connections: those with the same TLS settings and the same proxy.
"""

from __future__ import annotations

import hashlib
import math
import ssl
from collections.abc import Callable
from functools import partial

import msgspec

from llmwire_server.backends import TLS, Backend
from llmwire_server.config.tree import ConnectionLimits, TimeLimits
from llmwire_server.upstream import Timeouts, Transport
from llmwire_server.upstream.ledger import PoolLimits
from llmwire_server.upstream.pool import Pool
from llmwire_server.upstream.tls import client_context

__all__ = ("TransportMaker", "pool_settings")


def pool_settings(
    connections: ConnectionLimits, times: TimeLimits
) -> tuple[PoolLimits, Timeouts]:
    """What a pool is told; 0 seconds in the configuration are no limit."""
    return PoolLimits(
        total=connections.total,
        per_origin=connections.per_origin,
        waiting=connections.waiting,
        idle_seconds=connections.idle_seconds or math.inf,
        age_seconds=connections.age_seconds or math.inf,
    ), Timeouts(
        pool=times.pool or math.inf,
        connect=times.connect or math.inf,
        write=times.write or math.inf,
        first_byte=times.first_byte or math.inf,
        idle_read=times.idle or math.inf,
    )


class TransportMaker:
    """Makes transports over one pool; equal settings share connections.

    Args:
        pool: Carries the calls, and holds the limits for all of them together.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transports: dict[str, Transport] = {}

    def transport_for(self, backend: Backend) -> Transport:
        """The transport that reaches `backend`; the same for the same settings.

        Files are read the first time that they are named: a new maker reads them
        again. Connections of an older one with the same settings are still used.

        Raises:
            OSError: A file of its TLS settings cannot be used; the text names it.
            ValueError: Its proxy is not the URL of one.
            ImportError: It needs a proxy, and httpcore is not installed.
        """
        if backend.tls == TLS() and backend.proxy is None:
            return self._pool
        name = _name_of(backend.tls, backend.proxy)
        transport = self._transports.get(name)
        if transport is None:
            transport = self._transports[name] = self._make(name, backend)
        return transport

    def _make(self, name: str, backend: Backend) -> Transport:
        make_context = partial(
            client_context,
            ca_file=backend.tls.ca_file,
            certificate=backend.tls.client_cert,
            key=backend.tls.client_key,
        )
        context = make_context()
        if backend.proxy is None:
            return self._pool.route(name, context)
        return _proxied(self._pool, name, backend.proxy, lambda: context)


def _proxied(
    pool: Pool, name: str, url: str, context: Callable[[], ssl.SSLContext]
) -> Transport:
    try:
        from llmwire_server.upstream.proxied import ProxiedRoute, parse_proxy
    except ImportError as error:
        raise ImportError(
            "a proxy needs httpcore: pip install 'llmwire[server]'"
        ) from error
    return ProxiedRoute(pool, name, parse_proxy(url), context)


def _name_of(tls: TLS, proxy: str | None) -> str:
    """Equal for equal settings; says nothing of them."""
    return hashlib.sha256(msgspec.json.encode((tls, proxy))).hexdigest()
