"""Tests of `llmwire_server.health`: what the server says of itself."""

from __future__ import annotations

import json

import pytest

from llmwire_server.health import Reachability, ready_reply


@pytest.mark.parametrize(
    ("running", "stopping", "status", "word"),
    [
        (True, False, 200, "ready"),
        (False, False, 503, "starting"),
        (True, True, 503, "stopping"),
        (False, True, 503, "stopping"),
    ],
)
def test_ready(running: bool, stopping: bool, status: int, word: str) -> None:
    reached = Reachability()
    reached.note("a", True)
    reached.note("a", False)
    reached.note("b", True)
    reached.note("gone", True)
    reply = ready_reply(
        running=running, stopping=stopping, backends=reached.of(["a", "b", "c"])
    )
    assert reply.status == status
    assert ("cache-control", "no-store") in reply.headers
    assert json.loads(reply.body) == {
        "status": word,
        "backends": {
            "a": {"reachable": False},
            "b": {"reachable": True},
            "c": {"reachable": None},
        },
    }
