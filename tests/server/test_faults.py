"""The table of faults, row by row: what clients see, and that nothing stays behind."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest

from llmwire_server.config.tree import TimeLimits
from tests.server import faults
from tests.server.faults import (
    DEEDS,
    FAULTS,
    Conversation,
    Fault,
    Proxies,
    other,
    played,
    proxies,
)
from tests.server.live import Loop, until
from tests.server.seen import ARRAY, CLIENTS, Seen, body, path, see
from tests.server.stage import DIALECTS, TEXT, open_files

LOOPS: tuple[Loop, ...] = ("asyncio", "uvloop")
WORDS = {
    "bad_upstream": ("server_error", "server_error", "api_error", "INTERNAL"),
    "truncated": ("server_error", "server_error", "api_error", "INTERNAL"),
    "internal": ("server_error", "server_error", "api_error", "INTERNAL"),
    "timeout": ("timeout", "timeout", "timeout_error", "DEADLINE_EXCEEDED"),
    "rate_limit": (
        "rate_limit_error",
        "rate_limit_error",
        "rate_limit_error",
        "RESOURCE_EXHAUSTED",
    ),
    "overloaded": ("server_error", "server_error", "overloaded_error", "UNAVAILABLE"),
    "invalid_request": (
        "invalid_request_error",
        "invalid_request_error",
        "invalid_request_error",
        "INVALID_ARGUMENT",
    ),
    "auth": (
        "invalid_request_error",
        "invalid_request_error",
        "authentication_error",
        "UNAUTHENTICATED",
    ),
    "not_found": (
        "invalid_request_error",
        "invalid_request_error",
        "not_found_error",
        "NOT_FOUND",
    ),
}
"""The dialects' words for each kind of error, in the order of `DIALECTS`."""
CELLS = list(CLIENTS)
WAYS = [
    *(
        (dialect, stream, up)
        for dialect, stream in itertools.product(DIALECTS, (False, True))
        for up in (dialect, other(dialect))
    ),
    *((ARRAY, True, up) for up in (ARRAY, "gemini", "openai-responses")),
    ("gemini", True, ARRAY),
    ("anthropic", True, ARRAY),
]
"""Clients, and the servers behind: the same dialect, another, arrays from and to."""


@pytest.fixture(scope="module", params=LOOPS)
def made(request: pytest.FixtureRequest) -> Iterator[Proxies]:
    with proxies(request.param) as running:
        yield running


def _word(kind: str, dialect: str) -> str:
    return WORDS[kind][DIALECTS.index(dialect.removesuffix("-array"))]


def _is_status(seen: Seen, status: int, kind: str, dialect: str) -> None:
    """An error reply, whole, in the dialect's own envelope."""
    if dialect == "anthropic" and kind == "overloaded":
        status = 529
    assert seen.status == status
    assert seen.headers["content-type"].startswith("application/json")
    assert int(seen.headers["content-length"]) == len(seen.body)
    assert not seen.stream
    assert seen.error is not None
    assert seen.error[0] == _word(kind, dialect)
    assert seen.error[1]
    if dialect in ("gemini", ARRAY):
        assert json.loads(seen.body)["error"]["code"] == status


def _is_broken(seen: Seen, kind: str, dialect: str) -> None:
    """A stream with an error as its last word, and without a mark of an end."""
    assert (seen.status, seen.stream, seen.complete) == (200, True, True)
    assert not seen.stopped
    assert seen.error is not None
    word = seen.error[0]
    if dialect == "openai-responses" and kind == "timeout":
        # The codes of failed responses are a closed list.
        assert word == "server_error"
    else:
        assert word == _word(kind, dialect)
    assert seen._error_of(seen.objects[-1]) == seen.error
    assert seen.array is (dialect == ARRAY)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize(("dialect", "stream", "up"), WAYS)
def test_faults(
    made: Proxies, fault: Fault, dialect: str, stream: bool, up: str
) -> None:
    proxy = made.of(fault.times)
    files, idle = open_files(), proxy.pool.counts.idle
    seen = played(made, fault, up, dialect, stream)
    if fault.outcome(stream) == "broken":
        assert seen.text_begun
        _is_broken(seen, fault.kind, dialect)
    else:
        assert not seen.text_begun
        _is_status(seen, fault.status, fault.kind, dialect)
    _nothing_is_open(made, fault, files, idle)


def _nothing_is_open(made: Proxies, fault: Fault, files: int | None, idle: int) -> None:
    """Both ends of every idle connection, and no other file, are open in addition."""
    if files is None:
        return
    grown = 2 * (made.of(fault.times).pool.counts.idle - idle)
    until(lambda: open_files() == files + grown)


@pytest.mark.parametrize("up", [*DIALECTS, ARRAY])
@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_good_answer_is_whole(
    made: Proxies, dialect: str, stream: bool, up: str
) -> None:
    seen = see(made.of().root, dialect, f"well-{up}:m", stream)
    assert (seen.status, seen.complete, seen.error) == (200, True, None)
    assert seen.stopped or not stream
    assert seen.text_begun
    made.of().settle()


@pytest.mark.parametrize("deed", [faults.left_before, faults.left_after])
@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_clients_that_leave(
    made: Proxies, dialect: str, stream: bool, deed: object
) -> None:
    assert deed in DEEDS.values()
    files, idle = open_files(), made.of().pool.counts.idle
    deed(made, "anthropic", dialect, stream)  # type: ignore[operator]  # one of the deeds
    until(
        lambda: (
            open_files()
            == (
                None
                if files is None
                else files + 2 * (made.of().pool.counts.idle - idle)
            )
        )
    )


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_slow_client_gets_everything(
    made: Proxies, dialect: str, stream: bool
) -> None:
    seen = faults.slow(made, "openai-chat", dialect, stream)
    assert (seen.status, seen.complete, seen.error) == (200, True, None)
    # Responses says a text again when it ends.
    assert seen.body.count(b"x" * 32_000) >= 100
    assert seen.stopped or not stream


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_client_that_takes_nothing_is_cut_off(
    made: Proxies, dialect: str, stream: bool
) -> None:
    seen = faults.stuck(made, "anthropic", dialect, stream)
    assert not seen.complete
    assert not stream or not seen.stopped


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_shutdown_ends_what_runs(made: Proxies, dialect: str, stream: bool) -> None:
    seen = faults.stopped(made, "openai-responses", dialect, stream)
    if stream:
        _is_broken(seen, "overloaded", dialect)
        assert seen.text_begun
    else:
        _is_status(seen, 503, "overloaded", dialect)
        assert seen.headers["retry-after"]


@pytest.mark.parametrize("deed", [faults.crowded, faults.outwaited])
@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_calls_that_find_no_connection_are_told_to_come_again(
    made: Proxies, dialect: str, stream: bool, deed: object
) -> None:
    assert deed in DEEDS.values()
    for up in (dialect, other(dialect)):
        seen = deed(made, up, dialect, stream)  # type: ignore[operator]  # one of the deeds
        _is_status(seen, 503, "overloaded", dialect)
        assert not seen.text_begun


@pytest.mark.parametrize("stream", [False, True])
def test_a_shutdown_waits_for_what_ends_in_time(made: Proxies, stream: bool) -> None:
    with made.serve() as proxy:
        model = "half-then-rest-gemini:m"
        call = Conversation(made, proxy, "anthropic", stream, model)
        assert made.stage.waiting.wait(10)
        proxy.live.signal()
        until(lambda: proxy.app.shutdown.begun)
        made.stage.go()
        seen = call.rest()
        proxy.live.thread.join()
    assert (seen.status, seen.complete, seen.error) == (200, True, None)
    assert seen.stopped or not stream
    assert seen.headers.get("connection", "close") == "close"


def test_a_second_signal_ends_what_runs_at_once(made: Proxies) -> None:
    with made.serve(TimeLimits(shutdown=0, keepalive=0)) as proxy:
        call = Conversation(made, proxy, "gemini", True, "stalled-anthropic:m")
        call.until(TEXT.encode())
        proxy.live.signal()
        proxy.live.signal()
        _is_broken(call.rest(), "overloaded", "gemini")
        proxy.live.thread.join()


def test_clients_that_take_nothing_do_not_hold_a_shutdown_up(made: Proxies) -> None:
    made.stage.pieces = 400
    with made.serve(sending=65536) as proxy:
        call = Conversation(made, proxy, "anthropic", True, "flood-anthropic:m")

        until(proxy.live.paused)
        proxy.live.signal()
        proxy.live.signal()
        proxy.live.thread.join()
        seen = call.rest()
    assert not seen.complete
    assert not seen.stopped


@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_no_call_begins_in_a_shutdown(dialect: str, stream: bool) -> None:
    with proxies() as made:
        proxy = made.of()
        proxy.app.shutdown.begin()
        seen = see(proxy.root, dialect, "well-anthropic:m", stream)
        _is_status(seen, 503, "overloaded", dialect)
        assert seen.headers["connection"] == "close"
        assert seen.headers["retry-after"]


@pytest.mark.parametrize("up", [*DIALECTS, ARRAY])
@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_a_client_that_waits_sees_signs_of_life(
    made: Proxies, dialect: str, stream: bool, up: str
) -> None:
    seen = faults.waited(made, up, dialect, stream)
    assert (seen.status, seen.complete, seen.error) == (200, True, None)
    assert seen.text_begun
    assert seen.stopped or not stream


@pytest.mark.parametrize("up", [*DIALECTS, ARRAY])
@pytest.mark.parametrize(("dialect", "stream"), CELLS)
def test_an_error_after_signs_of_life_is_inside(
    made: Proxies, dialect: str, stream: bool, up: str
) -> None:
    seen = faults.waited_in_vain(made, up, dialect, stream)
    if stream:
        _is_broken(seen, "internal", dialect)
    else:
        _is_status(seen, 500, "internal", dialect)


def test_the_table_has_every_row_and_every_client(made: Proxies) -> None:
    lines = list(faults.table(made))
    assert len(lines) == 2 + len(FAULTS) + len(DEEDS)
    assert {line.count("|") for line in lines} == {2 + len(CLIENTS)}
    assert all("complete" not in line for line in lines[2 : 2 + len(FAULTS)])


def test_paths_and_bodies_say_what_is_asked() -> None:
    assert "alt=sse" in path("gemini", "m", True)
    assert json.loads(body("openai-chat", "m", True))["stream"] is True
