"""The seam itself: its records, and that they show no secret."""

from __future__ import annotations

from llmwire_server import upstream
from llmwire_server.upstream import (
    Origin,
    Timeouts,
    UpstreamFailure,
    UpstreamRequest,
)


def test_texts_hold_no_secret() -> None:
    request = UpstreamRequest(
        method="POST",
        scheme="https",
        host="api.example",
        port=443,
        target="/v1?key=SECRET",
        headers=(("authorization", "Bearer SECRET"),),
        body=b"SECRET",
    )
    assert repr(request) == (
        "UpstreamRequest(POST https://api.example:443/v1, headers=(authorization), "
        "body=6 bytes)"
    )


def test_an_origin_is_written_as_a_url() -> None:
    assert str(Origin("http", "::1", 80)) == "http://[::1]:80"


def test_a_failure_says_kind_and_message() -> None:
    failure = UpstreamFailure("connect", "nobody there")
    assert (failure.kind, failure.message) == ("connect", "nobody there")
    assert str(failure) == "connect: nobody there"


def test_limits_have_defaults() -> None:
    assert Timeouts() == Timeouts(connect=10.0)


def test_all_names_are_there() -> None:
    assert all(hasattr(upstream, name) for name in upstream.__all__)
