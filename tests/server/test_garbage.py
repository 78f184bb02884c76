"""A call through the served application leaves nothing that only the cycle collector
finds, whatever becomes of it.

What asyncio and anyio leave of a connection, or of a pool that ends, is theirs: a cycle
counts where something of ours is in it.
"""

from __future__ import annotations

import contextlib
import http.client
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any, Final

import pytest

from llmwire_server.app import App
from llmwire_server.backends import SIMULATOR, Backend
from llmwire_server.config import Config
from llmwire_server.config.tree import Simulator, SimulatorRule
from llmwire_server.filtering.rules import (
    ClientToolRules,
    FilterRules,
    LeakedCallRules,
    LoopRules,
    StructuredRules,
    ThinkRules,
    ToolLoopRules,
    ToolRepairRules,
    VirtualToolRules,
)
from tests.garbage import collector_still, cycles_left
from tests.server import faults
from tests.server.faults import FAULTS, Fault, Proxies, other, played, proxies
from tests.server.live import Live, Loop, serve_app
from tests.server.seen import CLIENTS, body, path, see
from tests.server.stage import DIALECTS

LOOPS: Final[tuple[Loop, ...]] = ("asyncio", "uvloop")
OURS: Final = re.compile(r"\bllmwire(_server)?\.")
WAYS: Final = (
    ("openai-chat", True, "anthropic"),
    ("anthropic", False, "openai-chat"),
    ("anthropic", True, "anthropic"),
    ("gemini", True, "openai-responses"),
)
"""Clients, whether they ask for a stream, and the servers behind."""
CALLS: Final = 3
"""How many calls one look is at."""


def _cycles_of_ours(work: Callable[[], object]) -> list[str]:
    return [line for line in cycles_left(work) if OURS.search(line)]


@pytest.fixture(scope="module", params=LOOPS)
def made(request: pytest.FixtureRequest) -> Iterator[Proxies]:
    with proxies(request.param) as running:
        for fault in FAULTS:
            running.of(fault.times)
        with collector_still():
            yield running


@pytest.mark.parametrize(("dialect", "stream"), CLIENTS)
def test_good_answers(made: Proxies, dialect: str, stream: bool) -> None:
    def work(up: str) -> None:
        for _ in range(CALLS):
            seen = see(made.of().root, dialect, f"well-{up}:m", stream)
            assert (seen.status, seen.complete, seen.error) == (200, True, None)
        made.of().settle()

    for up in (dialect, other(dialect)):
        assert _cycles_of_ours(partial(work, up)) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize(("dialect", "stream", "up"), WAYS)
def test_faults(
    made: Proxies, fault: Fault, dialect: str, stream: bool, up: str
) -> None:
    assert _cycles_of_ours(partial(played, made, fault, up, dialect, stream)) == []


@pytest.mark.parametrize("deed", [faults.left_before, faults.left_after])
@pytest.mark.parametrize(("dialect", "stream", "up"), WAYS)
def test_clients_that_leave(
    made: Proxies,
    deed: Callable[[Proxies, str, str, bool], None],
    dialect: str,
    stream: bool,
    up: str,
) -> None:
    assert _cycles_of_ours(partial(deed, made, up, dialect, stream)) == []


ASKED: Final[tuple[tuple[str, str, bytes, int], ...]] = (
    ("POST", "/v1/chat/completions", b"{", 400),
    ("POST", "/v1/chat/completions", b'{"model": "m", "messages": 1}', 400),
    ("POST", "/v1/responses", b'{"model": "m", "input": 1}', 400),
    ("POST", "/v1/messages", b"[]", 400),
    ("POST", "/v1beta/models/m:generateContent", b'{"contents": 1}', 400),
    ("POST", "/v1beta/models/m:nothing", b"{}", 405),
    ("GET", "/v1/chat/completions", b"", 405),
    ("GET", "/nowhere", b"", 404),
    ("GET", "/health", b"", 200),
    ("GET", "/v1/models", b"", 200),
    ("OPTIONS", "/v1/messages", b"", 200),
    ("POST", "/v1/messages/count_tokens", b'{"model": "m", "messages": []}', 200),
)


@pytest.fixture(scope="module", params=LOOPS)
def simulated(request: pytest.FixtureRequest) -> Iterator[Live]:
    """Every filter is on, and has something to do."""
    rules = (
        SimulatorRule(match="repeat", text="Once more, and once more. " * 200),
        SimulatorRule(match="think", text="<think>Let me see.</think>So it is."),
        SimulatorRule(match="leak", text='<tool_call>{"name": "f", "arguments": {}}'),
    )
    filters = FilterRules(
        think=ThinkRules(mode="move"),
        virtual_tools=VirtualToolRules(mode="cline"),
        leaked_calls=LeakedCallRules(mode="on"),
        tool_repair=ToolRepairRules(mode="repair"),
        structured=StructuredRules(mode="repair"),
        tool_loops=ToolLoopRules(mode="cut"),
        loops=LoopRules(mode="cut"),
        client_tools=ClientToolRules(mode="cline"),
    )
    config = Config(
        backends={SIMULATOR: Backend(name=SIMULATOR, dialect="anthropic")},
        default_backend=SIMULATOR,
        filters=filters,
        simulator=Simulator(rules=rules),
    )
    with serve_app(App(config), loop=request.param) as live, collector_still():
        yield live


def _ask(live: Live, method: str, where: str, data: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, where, data)
        reply = connection.getresponse()
        reply.read()
    return reply.status


@pytest.mark.parametrize(("method", "where", "data", "status"), ASKED)
def test_calls_without_an_upstream(
    simulated: Live, method: str, where: str, data: bytes, status: int
) -> None:
    def work() -> None:
        for _ in range(CALLS):
            assert _ask(simulated, method, where, data) == status
        simulated.settle()

    assert _cycles_of_ours(work) == []


@pytest.mark.parametrize(("dialect", "stream"), tuple(product(DIALECTS, (False, True))))
def test_filters(simulated: Live, dialect: str, stream: bool) -> None:
    def work() -> None:
        for text in ("repeat", "think", "leak"):
            asked = body(dialect, "m", stream, text)
            where = path(dialect, "m", stream)
            assert _ask(simulated, "POST", where, asked) == 200
        simulated.settle()

    assert _cycles_of_ours(work) == []


class _Kept:
    """Holds itself."""

    def __init__(self) -> None:
        self.own: Any = self


_Kept.__module__ = "llmwire_server.kept"


def test_a_cycle_of_ours_is_seen() -> None:
    class Foreign:
        def __init__(self) -> None:
            self.own: Any = self

    [line] = _cycles_of_ours(_Kept)
    assert line == "1 x llmwire_server.kept._Kept -> llmwire_server.kept._Kept"
    assert _cycles_of_ours(Foreign) == []
    assert cycles_left(Foreign) != []
