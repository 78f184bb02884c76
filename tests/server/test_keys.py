"""Tests of `llmwire_server.keys`: which key is presented, and whether it is one."""

from __future__ import annotations

import hmac

import pytest

from llmwire_server.backends import Secret
from llmwire_server.keys import (
    ClientKeys,
    is_local,
    is_loopback,
    is_own_page,
    presented_key,
    take_key,
)


def test_any_of_several_keys_will_do() -> None:
    known = ClientKeys([Secret("first-key"), Secret("second-key")])
    assert known
    for good in (b"first-key", b"second-key"):
        assert known.accept([good])
        assert known.accept([b"wrong", good])
        assert known.accept([good, b"wrong"])
    for bad in (b"", b"first-ke", b"first-key ", b"FIRST-KEY", b"third", b"\xff\x00"):
        assert not known.accept([bad])
    assert not known.accept([])


def test_no_keys_accept_nobody() -> None:
    assert not ClientKeys()
    assert not ClientKeys().accept([b"", b"x"])


def test_keys_are_not_kept_in_the_clear() -> None:
    known = ClientKeys([Secret("a-secret-key")])
    assert b"a-secret-key" not in b"".join(known._digests)
    assert "a-secret-key" not in repr(known)


def test_all_keys_are_compared_whatever_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[int, int]] = []
    compare_digest = hmac.compare_digest

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return compare_digest(left, right)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    known = ClientKeys([Secret("one"), Secret("two-is-longer"), Secret("three")])
    for presented in (b"one", b"three", b"nothing of all that" * 99):
        compared.clear()
        known.accept([presented])
        assert compared == [(32, 32)] * 3


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("authorization", b"Bearer k", b"k"),
        ("authorization", b"bearer   k ", b"k"),
        ("authorization", b"BEARER k", b"k"),
        ("authorization", b"Bearer", None),
        ("authorization", b"Bearer ", None),
        ("authorization", b"Basic a2V5", None),
        ("authorization", b"k", None),
        ("x-api-key", b" k ", b"k"),
        ("x-api-key", b"", None),
        ("x-goog-api-key", b"k", b"k"),
        ("api-key", b"k", None),
        ("cookie", b"k", None),
    ],
)
def test_headers_that_hold_a_key(name: str, value: bytes, key: bytes | None) -> None:
    assert presented_key(name, value) == key


@pytest.mark.parametrize(
    ("query", "left", "found"),
    [
        ("", "", ()),
        ("alt=sse", "alt=sse", ()),
        ("key=k", "", (b"k",)),
        ("alt=sse&key=k", "alt=sse", (b"k",)),
        ("key=k&alt=sse&b", "alt=sse&b", (b"k",)),
        ("%6Bey=k", "", (b"k",)),
        ("%24key=k", "", (b"k",)),
        ("KEY=k&$key=l", "", (b"k", b"l")),
        ("key=a%2Bb+c", "", (b"a+b c",)),
        ("key=%E9", "", (b"\xe9",)),
        ("key", "", (b"",)),
        ("monkey=k&a=%20", "monkey=k&a=%20", ()),
        ("a=key&&b", "a=key&&b", ()),
    ],
)
def test_a_key_in_the_query_is_taken_out(
    query: str, left: str, found: tuple[bytes, ...]
) -> None:
    assert take_key(query) == (left, found)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::1%lo", True),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("fe80::1%eth0", False),
        ("localhost", False),
        ("testclient", False),
        ("", False),
    ],
)
def test_loopback_is_an_address(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("app.localhost:1", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("192.168.0.7", True),
        ("::1", True),
        ("llmwire:8000", True),
        ("host.docker.internal:8000", True),
        ("evil.example", False),
        ("evil.example:8000", False),
        ("evil.example.:8000", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
    ],
)
def test_hosts_that_no_site_can_take_for_its_own(host: str, expected: bool) -> None:
    assert is_local(host) is expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:3000", True),
        ("http://app.localhost", True),
        ("https://127.0.0.1", True),
        ("http://[::1]:3000", True),
        ("http://[::1]", True),
        ("vscode-webview://abc", True),
        ("app://obsidian.md", True),
        ("https://evil.example", False),
        ("https://localhost.evil.example", False),
        ("http://10.0.0.1", False),
        ("http://[::1", False),
        ("null", False),
        ("", False),
    ],
)
def test_pages_of_this_machine(origin: str, expected: bool) -> None:
    assert is_own_page(origin) is expected
