"""Sealed signatures: a round trip, and envelopes that an enemy wrote."""

from __future__ import annotations

import base64
import pickle
from typing import Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmwire._seal import (
    MAX_LENGTH,
    PREFIX,
    Opened,
    Placement,
    fits,
    read,
    seal,
    unseal,
)
from llmwire.messages import Signature
from llmwire.strategies import texts

ORIGINS: Final = st.sampled_from(
    ("openai-chat", "openai-responses", "anthropic", "gemini", "a")
)
MODELS: Final = st.none() | texts()
SIGNATURES: Final = st.builds(
    Signature, origin=ORIGINS, value=texts(), model=MODELS, tag=MODELS
)
PLACEMENTS: Final[st.SearchStrategy[Placement]] = st.sampled_from(
    ("here", "next", "prev")
)


def _envelope(content: object, origin: str = "gemini") -> str:
    body = base64.urlsafe_b64encode(msgspec.json.encode(content)).decode()
    return f"{PREFIX}{origin}.{body.rstrip('=')}"


@given(SIGNATURES, PLACEMENTS, st.booleans())
def test_round_trip(signature: Signature, placement: Placement, redacted: bool) -> None:
    envelope = seal(signature, placement, redacted=redacted)
    assert envelope.isascii()
    assert envelope == seal(signature, placement, redacted=redacted)
    opened = unseal(envelope)
    assert opened == Opened(signature, placement, redacted)
    assert read(envelope, "openai-chat", "m") == opened
    assert pickle.loads(pickle.dumps(opened)) == opened


def test_the_envelope_on_the_wire() -> None:
    signature = Signature(origin="gemini", value="c2ln", model="m", tag="t")
    assert seal(signature) == _envelope({"b": "c2ln", "m": "m", "t": "t"})
    bare = Signature(origin="gemini", value="c2ln")
    content = {"b": "c2ln", "p": "next", "r": True}
    assert seal(bare, "next", redacted=True) == _envelope(content)


@given(texts(), st.sampled_from(("gemini", "anthropic")), MODELS)
@example("llmw1.gemini.e30", "gemini", None)
def test_other_signatures_are_native(
    value: str, dialect: str, model: str | None
) -> None:
    assert unseal(value) is None
    native = Signature(origin=dialect, value=value, model=model)
    assert read(value, dialect, model) == Opened(native)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "llmw1",
        PREFIX,
        f"{PREFIX}gemini",
        f"{PREFIX}gemini.",
        f"{PREFIX}gemini.e",
        f"{PREFIX}gemini.!!!!",
        f"{PREFIX}Gemini.e30",
        f"{PREFIX}{'a' * 41}.e30",
        f"{PREFIX}gemini.e30=",
        f"{PREFIX}gemini.e30\n",
        _envelope({}),
        _envelope([]),
        _envelope({"b": 1}),
        _envelope({"b": None}),
        _envelope({"b": "x", "p": "here"}),
        _envelope({"b": "x", "r": "yes"}),
        _envelope({"b": "x", "m": 1}),
        f"{PREFIX}gemini." + base64.urlsafe_b64encode(b'{"b":"\xff"}').decode(),
        f"{PREFIX}gemini."
        + base64.urlsafe_b64encode(b'{"b":"","x":' + b"[" * 90_000).decode(),
        " " + _envelope({"b": "x"}),
        _envelope({"b": "x" * MAX_LENGTH}),
    ],
    ids=lambda value: value[:40],
)
def test_what_is_no_envelope(value: str) -> None:
    assert unseal(value) is None


def test_unknown_members_of_an_envelope_are_ignored() -> None:
    opened = unseal(_envelope({"b": "x", "later": [1]}))
    assert opened == Opened(Signature(origin="gemini", value="x"))


def test_the_longest_envelope() -> None:
    signature = Signature(origin="gemini", value="x" * (MAX_LENGTH * 3 // 4 - 40))
    envelope = seal(signature)
    assert MAX_LENGTH - 60 < len(envelope) <= MAX_LENGTH
    assert unseal(envelope) == Opened(signature)


@given(SIGNATURES, st.lists(st.tuples(st.integers(0, 200), texts()), max_size=3))
def test_spoilt_envelopes_never_raise(
    signature: Signature, strokes: list[tuple[int, str]]
) -> None:
    value = seal(signature)
    for at, text in strokes:
        value = value[:at] + text + value[at + 1 :]
    opened = unseal(value)
    assert opened is None or isinstance(opened, Opened)


@given(st.binary(max_size=60))
def test_envelopes_of_anything_never_raise(content: bytes) -> None:
    body = base64.urlsafe_b64encode(content).decode().rstrip("=")
    unseal(f"{PREFIX}gemini.{body}")


def _fits(
    model: str | None,
    target: str | None,
    tags: tuple[str | None, str | None] = (None, None),
) -> bool:
    signature = Signature(origin="gemini", value="x", model=model, tag=tags[0])
    return fits(signature, "gemini", target, tags[1])


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (None, None),
        (None, "m"),
        ("m", None),
        ("m", "m"),
        ("claude-x-20260101", "claude-x"),
        ("claude-x-20260101", "claude-x-latest"),
        ("gpt-x-2026-01-01", "gpt-x"),
        ("claude-x@20260101", "claude-x"),
        ("models/gemini-x-001", "gemini-x"),
        ("google/gemini-x", "models/gemini-x-002"),
    ],
)
def test_models_that_fit(model: str | None, target: str | None) -> None:
    assert _fits(model, target)
    assert _fits(target, model)


@pytest.mark.parametrize(
    ("model", "target"),
    [("m", "n"), ("gpt-x", "gpt-x-mini"), ("gpt-4", "gpt-4.1"), ("m-1", "m-2")],
)
def test_models_that_do_not(model: str, target: str) -> None:
    assert not _fits(model, target)


def test_origins_and_tags() -> None:
    signature = Signature(origin="gemini", value="x", model="m", tag="t")
    assert not fits(signature, "anthropic", "m", "t")
    assert fits(signature, "gemini", "m", "t")
    assert _fits("m", "m", ("t", "t"))
    assert _fits("m", "m", ("t", None))
    assert _fits("m", "m", (None, "t"))
    assert not _fits("m", "m", ("t", "u"))
