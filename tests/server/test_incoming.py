"""Tests of `llmwire_server.incoming`: what is read from the head of a call."""

from __future__ import annotations

import pytest

from llmwire_server import incoming
from llmwire_server.incoming import Incoming
from tests.server.calling import scope


def test_credentials_are_parted_from_the_rest() -> None:
    said = scope(
        "POST",
        "/v1/messages?key=in-query&a=b",
        [
            ("authorization", "Bearer a"),
            ("x-api-key", "b"),
            ("x-goog-api-key", "c"),
            ("api-key", "d"),
            ("cookie", "e"),
            ("proxy-authorization", "f"),
            ("user-agent", "g"),
        ],
    )
    head = Incoming.of_scope(said)
    assert head.keys == (b"a", b"b", b"c", b"in-query")
    assert head.headers == (("user-agent", "g"),)
    assert (head.path, head.query) == ("/v1/messages", "a=b")
    assert (head.fields, head.peer) == (7, "127.0.0.1")
    assert head.size == sum(len(k) + len(v) for k, v in said["headers"])


def test_also_where_a_server_leaves_names_as_they_were_sent() -> None:
    fields = [("AUTHORIZATION", "Bearer a"), ("X-Api-Key", "b"), ("X-Request-ID", "i")]
    head = Incoming.of_scope(scope("GET", "/", fields))
    assert head.keys == (b"a", b"b")
    assert head.headers == (("x-request-id", "i"),)
    assert head.request_id == "i"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ([], None),
        ([("anthropic-version", "1")], "anthropic"),
        ([("x-goog-api-client", "1")], "gemini"),
        ([("x-goog-api-client", "1"), ("anthropic-version", "1")], "anthropic"),
        ([("anthropic-version", "1"), ("x-goog-api-client", "1")], "anthropic"),
    ],
)
def test_headers_show_a_dialect(
    fields: list[tuple[str, str]], shown: str | None
) -> None:
    assert Incoming.of_scope(scope("GET", "/", fields)).shown == shown


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "via", "x-real-ip"])
def test_proxies_are_noticed(name: str) -> None:
    assert Incoming.of_scope(scope("GET", "/", [(name, "a")])).proxied
    assert not Incoming.of_scope(scope("GET", "/", [("x-other", "a")])).proxied


def test_a_servers_scope_may_be_short() -> None:
    said = scope("GET", "/ü")
    for name in ("raw_path", "query_string", "client"):
        del said[name]
    head = Incoming.of_scope(said)
    assert (head.path, head.query, head.peer) == ("/%C3%BC", "", None)


def test_names_that_peers_choose_are_kept_within_bounds() -> None:
    for at in range(5000):
        Incoming.of_scope(scope("GET", "/", [(f"x-{at}", "")]))
    Incoming.of_scope(scope("GET", "/", [("x" * 65, "")]))
    assert len(incoming._NAMES) <= incoming._MOST
    assert max(map(len, incoming._NAMES)) <= 64
    # What is not kept is known all the same.
    head = Incoming.of_scope(scope("GET", "/", [("Api-KEY", "a"), ("X-API-key", "b")]))
    assert (head.headers, head.keys) == ((), (b"b",))


def test_whoever_waits_to_go_on_says_so() -> None:
    def expects(*fields: tuple[str, str]) -> bool:
        return Incoming.of_scope(scope("POST", "/", fields)).expects

    assert expects(("Expect", "100-Continue"))
    assert not expects(("expect", "another"))
    assert not expects()


def test_headers_tell_more_than_the_port() -> None:
    fields = [(b"anthropic-version", b"1")]
    for given, shown in ((fields, "anthropic"), ([], "gemini")):
        assert Incoming("GET", "/", "", given, dialect="gemini").shown == shown
