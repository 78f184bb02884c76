"""Tests of `llmwire_server.shutdown`: what ends, and when."""

from __future__ import annotations

import json

import pytest

from llmwire import APIError
from llmwire.dialects import get
from llmwire_server.shutdown import STOPPING, Shutdown, refusal
from tests.server.stage import DIALECTS


def test_nothing_ends_before_the_limit() -> None:
    shutdown, ended = Shutdown(7), list[APIError]()
    assert (shutdown.seconds, shutdown.begun, shutdown.expired) == (7, False, False)
    shutdown.enter(ended.append)
    shutdown.begin()
    shutdown.begin()
    assert (shutdown.begun, shutdown.expired, shutdown.running) == (True, False, 1)
    assert not ended


def test_every_call_ends_at_the_limit_and_afterwards() -> None:
    shutdown, ended, gone = Shutdown(), list[APIError](), list[APIError]()
    end, leave = ended.append, gone.append
    shutdown.enter(leave)
    shutdown.enter(end)
    shutdown.leave(leave)
    shutdown.leave(leave)
    shutdown.expire()
    assert shutdown.begun
    assert (ended, gone) == ([STOPPING], [])
    shutdown.enter(leave)
    assert gone == [STOPPING]


def test_calls_that_leave_while_they_are_ended() -> None:
    shutdown = Shutdown()

    def end(error: APIError) -> None:
        shutdown.leave(end)

    shutdown.enter(end)
    shutdown.expire()
    assert shutdown.running == 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_refusals_are_in_the_dialect_and_close(dialect: str) -> None:
    reply = refusal(get(dialect))
    headers = dict(reply.headers)
    assert reply.status == (529 if dialect == "anthropic" else 503)
    assert headers["connection"] == "close"
    assert headers["retry-after"] == "1"
    assert "stopped" in json.loads(reply.body)["error"]["message"]
