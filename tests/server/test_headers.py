"""Tests of `llmwire_server.headers`: what passes, and what never does."""

from __future__ import annotations

import pytest

from llmwire import Head
from llmwire_server.config.tree import HeaderRules
from llmwire_server.headers import (
    NEVER_DOWN,
    NEVER_UP,
    sane_request_id,
    to_client,
    to_upstream,
    with_headers,
)

EVERYTHING = HeaderRules(request=("*",), response=("*",))
CLIENT = (
    ("user-agent", "agent/1"),
    ("openai-beta", "assistants=v2"),
    ("x-trace", "t"),
    ("x-team-a", "a"),
)


def test_nothing_passes_up_by_itself_but_betas_of_the_same_dialect() -> None:
    rules = HeaderRules()
    same = to_upstream("openai-chat", "openai-chat", rules).of(CLIENT)
    assert same == (("openai-beta", "assistants=v2"),)
    assert to_upstream("openai-chat", "anthropic", rules).of(CLIENT) == ()
    assert to_upstream("anthropic", "anthropic", rules).of(CLIENT) == ()


def test_the_configuration_names_what_passes_up() -> None:
    rules = HeaderRules(request=("X-Trace", "x-team-*"))
    passed = to_upstream("anthropic", "gemini", rules).of(CLIENT)
    assert passed == (("x-trace", "t"), ("x-team-a", "a"))


@pytest.mark.parametrize(
    "name",
    [
        *sorted(NEVER_UP),
        "content-length",
        "content-encoding",
        "x-forwarded-for",
        "x-forwarded-anything",
        "cf-connecting-ip",
        "sec-fetch-mode",
        "proxy-anything",
    ],
)
def test_what_never_passes_up(name: str) -> None:
    for rules in (EVERYTHING, HeaderRules(request=(name,))):
        assert to_upstream("gemini", "gemini", rules).of(((name, "x"),)) == ()


def test_rate_limits_pass_down_whoever_tells_them() -> None:
    headers = (
        ("retry-after", "3"),
        ("x-ratelimit-remaining-requests", "1"),
        ("anthropic-ratelimit-tokens-remaining", "2"),
        ("ratelimit-policy", "p"),
        ("server", "cloud"),
        ("cf-ray", "r"),
    )
    assert to_client(HeaderRules()).of(headers) == headers[:4]
    rules = HeaderRules(response=("CF-*",))
    assert to_client(rules).of(headers) == (*headers[:4], ("cf-ray", "r"))


@pytest.mark.parametrize(
    "name",
    [
        *sorted(NEVER_DOWN),
        "access-control-allow-origin",
        "content-length",
        "content-encoding",
        "content-type",
    ],
)
def test_what_never_passes_down(name: str) -> None:
    for rules in (EVERYTHING, HeaderRules(response=(name,))):
        assert to_client(rules).of(((name, "x"),)) == ()


def test_no_header_comes_twice() -> None:
    head = Head(200, (("a", "1"),))
    assert with_headers(head, [("a", "2"), ("b", "3")]) == Head(
        200, (("a", "1"), ("b", "3"))
    )
    assert with_headers(head, [("a", "2")]) is head


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a", "a"),
        (b"!" * 128, "!" * 128),
        (b"", None),
        (b"!" * 129, None),
        (b"a b", None),
        (b"a\n", None),
        (b"\xe9", None),
        (b"a\x00", None),
    ],
)
def test_request_ids_of_clients(value: bytes, expected: str | None) -> None:
    assert sane_request_id(value) == expected
