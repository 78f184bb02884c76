"""The same faults as the vendors' own clients see them: each of them raises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.matrix.speakers import SPEAKERS
from tests.server import faults
from tests.server.faults import FAULTS, Fault, Proxies, proxies
from tests.server.live import play
from tests.server.stage import DIALECTS


@pytest.fixture(scope="module")
def made() -> Iterator[Proxies]:
    with proxies() as running:
        yield running


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
def test_clients_raise(made: Proxies, dialect: str, stream: bool) -> None:
    up = DIALECTS[DIALECTS.index(dialect) - 1]
    clients: dict[str, Any] = {}
    for fault in FAULTS:
        root = made.of(fault.times).root
        client: Any = clients.get(root) or SPEAKERS[dialect](root, "")
        clients[root] = client
        client.model = f"{fault.play or fault.name}-{up}:m"
        _raises(made, fault, client, dialect, stream)
    for client in clients.values():
        client.close()


def _raises(
    made: Proxies, fault: Fault, client: Any, dialect: str, stream: bool
) -> None:
    made.stage.reset()
    made.stage.go()
    with pytest.raises(client.broken) as raised:
        client.ask("Hi", stream=stream)
    status = getattr(raised.value, "status_code", getattr(raised.value, "code", None))
    if fault.outcome(stream) == "status":
        overloaded = dialect == "anthropic" and fault.kind == "overloaded"
        assert status == (529 if overloaded else fault.status), fault.name


@pytest.mark.parametrize("dialect", DIALECTS)
def test_clients_take_signs_of_life(made: Proxies, dialect: str) -> None:
    seen = faults.waited(made, "anthropic", dialect, True)
    signs = (b": keep-alive", b"event: ping", b"\r\n")
    assert seen.body.startswith(signs)

    def answer(head: bytes, body: bytes) -> bytes:
        kind = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        return kind + seen.body

    with play(answer) as root:
        client = SPEAKERS[dialect](root, "m")
        assert "wire" in client.ask("Hi", stream=True).text
        client.close()
