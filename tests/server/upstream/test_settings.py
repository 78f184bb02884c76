"""From the configuration to transports: what is shared, what is kept apart."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import pytest

from llmwire_server.backends import TLS, Backend
from llmwire_server.config.tree import ConnectionLimits, TimeLimits
from llmwire_server.upstream import Timeouts, UpstreamFailure
from llmwire_server.upstream.exchange import Route
from llmwire_server.upstream.ledger import PoolLimits
from llmwire_server.upstream.pool import Pool
from llmwire_server.upstream.proxied import ProxiedRoute
from llmwire_server.upstream.settings import TransportMaker, pool_settings
from tests.server.upstream.contract import read_all
from tests.server.upstream.loopback import answer_all, serve
from tests.server.upstream.test_connection import Authority


def backend(name: str, tls: TLS | None = None, proxy: str | None = None) -> Backend:
    return Backend(
        name=name,
        dialect="openai-chat",
        base_url="http://x",
        tls=tls or TLS(),
        proxy=proxy,
    )


def test_the_defaults_of_the_configuration() -> None:
    limits, times = pool_settings(ConnectionLimits(), TimeLimits())
    assert limits == PoolLimits(age_seconds=3600.0)
    assert times == Timeouts()


def test_every_limit_is_taken_over() -> None:
    limits, times = pool_settings(
        ConnectionLimits(
            total=1, per_origin=2, waiting=3, idle_seconds=4.0, age_seconds=5.0
        ),
        TimeLimits(pool=1.0, connect=2.0, write=3.0, first_byte=4.0, idle=5.0),
    )
    assert limits == PoolLimits(
        total=1, per_origin=2, waiting=3, idle_seconds=4.0, age_seconds=5.0
    )
    assert times == Timeouts(
        pool=1.0, connect=2.0, write=3.0, first_byte=4.0, idle_read=5.0
    )


def test_zero_is_no_limit() -> None:
    limits, times = pool_settings(
        ConnectionLimits(idle_seconds=0.0, age_seconds=0.0),
        TimeLimits(pool=0.0, connect=0.0, write=0.0, first_byte=0.0, idle=0.0),
    )
    assert (limits.idle_seconds, limits.age_seconds) == (math.inf, math.inf)
    endless = Timeouts(**dict.fromkeys(Timeouts.__struct_fields__, math.inf))
    assert times == endless


def test_equal_settings_share_a_transport(tmp_path: Path) -> None:
    tls = TLS(ca_file=Authority(tmp_path).ca_file)
    pool = Pool()
    maker = TransportMaker(pool)
    assert maker.transport_for(backend("a")) is pool
    first = maker.transport_for(backend("b", tls))
    assert isinstance(first, Route)
    assert maker.transport_for(backend("c", tls)) is first
    proxied = maker.transport_for(backend("d", tls, "http://user:SECRET@proxy:1"))
    assert isinstance(proxied, ProxiedRoute)
    assert proxied is not maker.transport_for(backend("e", proxy="http://proxy:1"))
    again = TransportMaker(pool).transport_for(backend("f", tls))
    assert isinstance(again, Route)
    assert again.name == first.name


@pytest.mark.parametrize("field", ["ca_file", "client_cert", "client_key"])
@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_errors_name_the_file(
    tmp_path: Path, field: str, content: bytes | None
) -> None:
    good = Authority(tmp_path).issue("client.example")
    bad = tmp_path / "bad-file.pem"
    if content is not None:
        bad.write_bytes(content)
    files = {"client_cert": good} if field == "client_key" else {}
    tls = TLS(**(files | {field: str(bad)}))
    with pytest.raises(OSError, match=r"bad-file\.pem"):
        TransportMaker(Pool()).transport_for(backend("a", tls))


def test_what_is_no_proxy() -> None:
    with pytest.raises(ValueError, match="proxy"):
        TransportMaker(Pool()).transport_for(backend("a", proxy="ftp://SECRET"))


@pytest.mark.anyio
async def test_settings_decide_who_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusting = backend("a", TLS(ca_file=authority.ca_file))
    async with (
        serve(answer_all, tls=authority.server_context("localhost")) as peer,
        Pool() as pool,
    ):
        maker = TransportMaker(pool)
        for _ in range(2):
            async with maker.transport_for(trusting).open(peer.request()) as response:
                assert await read_all(response) == b""
        assert peer.accepted == 1
        # The open connection is not there for who does not trust its peer.
        with contextlib.ExitStack() as stack:
            caught = stack.enter_context(pytest.raises(UpstreamFailure))
            async with maker.transport_for(backend("b")).open(peer.request()):
                pytest.fail("there is no response")
        assert caught.value.kind == "tls"
        assert pool.counts.idle == 1
