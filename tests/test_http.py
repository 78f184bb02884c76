"""HTTP messages as data: what they show and what they keep to themselves."""

from __future__ import annotations

import pickle

import pytest
from msgspec import Struct

from llmwire.http import Head, HTTPReply, HTTPRequest

SECRET = "sk-secret"
HEADERS = (("x-api-key", SECRET), ("accept", "*/*"), ("accept", SECRET))
REQUEST = HTTPRequest(
    method="POST", path=f"/v1/x?key={SECRET}", headers=HEADERS, body=SECRET.encode()
)
HEAD = Head(200, HEADERS)
REPLY = HTTPReply(status=404, headers=HEADERS, body=SECRET.encode())


def test_reprs() -> None:
    names = "(x-api-key, accept, accept)"
    assert repr(REQUEST) == (
        f"HTTPRequest(POST /v1/x, headers={names}, body={len(SECRET)} bytes)"
    )
    assert repr(HEAD) == f"Head(200, headers={names})"
    assert repr(REPLY) == f"HTTPReply(404, headers={names}, body={len(SECRET)} bytes)"
    assert repr(Head(204)) == "Head(204, headers=())"


@pytest.mark.parametrize("value", [REQUEST, HEAD, REPLY], ids=repr)
def test_nothing_shows_a_secret(value: Struct) -> None:
    shown = (repr(value), str(value), f"{value}", f"{[value]!r}", value.__rich_repr__())
    assert SECRET not in repr(shown)


def test_header() -> None:
    assert REQUEST.header("accept") == "*/*"
    assert REQUEST.header("x-api-key") == SECRET
    assert REQUEST.header("cookie") is None


@pytest.mark.parametrize("value", [REQUEST, HEAD, REPLY], ids=repr)
def test_messages_can_be_pickled(value: Struct) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    with pytest.raises(AttributeError):
        value.headers = ()  # type: ignore[attr-defined]  # frozen
