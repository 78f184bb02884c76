"""Tests of `llmwire_server.cors`: what browsers are told."""

from __future__ import annotations

import pytest

from llmwire_server.config.tree import CORS
from llmwire_server.cors import CrossOrigin

APP = "https://app.example"
EXACT = CrossOrigin(CORS(origins=(APP, "http://localhost:3000"), max_age=60))
ANY = CrossOrigin(CORS(origins=("*",)))
NONE = CrossOrigin(CORS())


def test_by_default_nothing_is_said() -> None:
    assert not NONE.allows(APP)
    assert NONE.headers(APP) == NONE.headers(None) == ()
    assert NONE.preflight(APP, "POST", "authorization", "OPTIONS, POST") == ()


def test_an_origin_that_is_listed_is_named() -> None:
    headers = dict(EXACT.headers(APP))
    assert headers["access-control-allow-origin"] == APP
    assert headers["vary"] == "origin"
    assert headers["access-control-expose-headers"] == "*"


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "https://evil.example",
        f"{APP}.evil.example",
        "https://sub.app.example",
        f"{APP}:444",
        "http://app.example",
        f"{APP}/",
    ],
)
def test_other_origins_learn_only_that_it_depends(origin: str | None) -> None:
    assert EXACT.headers(origin) == (("vary", "origin"),)
    assert EXACT.preflight(origin, "POST", None, "POST") == ()


def test_any_origin() -> None:
    headers = dict(ANY.headers("https://whoever.example"))
    assert headers["access-control-allow-origin"] == "*"
    assert "vary" not in headers
    assert ANY.headers(None) == ()


@pytest.mark.parametrize("rules", [EXACT, ANY])
def test_credentials_are_never_allowed(rules: CrossOrigin) -> None:
    everything = rules.headers(APP) + rules.preflight(APP, "POST", "cookie", "POST")
    assert "access-control-allow-credentials" not in dict(everything)


def test_a_preflight_names_what_was_asked_for() -> None:
    headers = dict(EXACT.preflight(APP, "POST", "authorization, x-y", "OPTIONS, POST"))
    assert headers == {
        "access-control-allow-methods": "OPTIONS, POST",
        "access-control-allow-headers": "authorization, x-y",
        "access-control-max-age": "60",
        "vary": "access-control-request-method, access-control-request-headers",
    }


@pytest.mark.parametrize("names", [None, "", "a\r\nset-cookie: b", "x" * 5000, "é"])
def test_a_preflight_repeats_names_only(names: str | None) -> None:
    headers = dict(EXACT.preflight(APP, "POST", names, "POST"))
    assert "access-control-allow-headers" not in headers


def test_options_alone_is_no_preflight() -> None:
    assert EXACT.preflight(APP, None, None, "POST") == ()
