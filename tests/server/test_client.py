"""Tests of `llmwire_server.client`: what a server offers a call."""

from __future__ import annotations

from typing import Any

import pytest

from llmwire_server.client import ASGIClient, Leaving

pytestmark = pytest.mark.anyio


async def test_an_asgi_server_is_sent_the_head_with_the_first_piece() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    client = ASGIClient(receive, send)
    assert client.leaving is None
    assert client.take_body() is None
    assert await client.receive() == {"type": "http.disconnect"}
    fields = [(b"a", b"b")]
    client.start(201, fields)
    assert sent == []
    await client.write(b"one", more=True)
    await client.write(b"two", more=False)
    assert sent == [
        {"type": "http.response.start", "status": 201, "headers": fields},
        {"type": "http.response.body", "body": b"one", "more_body": True},
        {"type": "http.response.body", "body": b"two", "more_body": False},
    ]


def test_leaving_is_told_to_whoever_watches() -> None:
    told: list[str] = []
    leaving = Leaving()
    leaving.watch(lambda: told.append("early"))
    leaving.watch(None)
    leaving.tell()
    assert told == []
    leaving.watch(lambda: told.append("late"))
    leaving.tell()
    assert told == ["late", "late"]
