"""Tests of `llmwire_server.routing.selectors`: what the name of a model says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire_server.routing import Selector, parse_selector, shown, write_selector

KNOWN = {"openai", "openai.1", "openrouter", "my:own", "a b"}
NAMES = st.sampled_from(sorted(KNOWN - {"my:own"}))
MODELS = st.text(min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("text", "backend", "model", "query"),
    [
        ("", None, None, ""),
        ("gpt-4o", None, "gpt-4o", ""),
        ("openai:gpt-4o", "openai", "gpt-4o", ""),
        ("openai.1:gpt-4o", "openai.1", "gpt-4o", ""),
        ("openai.2:gpt-4o", None, "openai.2:gpt-4o", ""),
        ("openai:", "openai", None, ""),
        (":gpt-4o", None, ":gpt-4o", ""),
        ("llama3:8b", None, "llama3:8b", ""),
        ("vendor/model", None, "vendor/model", ""),
        ("vendor/model:free", None, "vendor/model:free", ""),
        ("openai/openai:free", None, "openai/openai:free", ""),
        ("openrouter:vendor/model:free", "openrouter", "vendor/model:free", ""),
        (
            "openai:gpt-4o?temperature=0.5&a=b",
            "openai",
            "gpt-4o",
            "temperature=0.5&a=b",
        ),
        ("gpt-4o?", None, "gpt-4o", ""),
        ("gpt-4o?a?b", None, "gpt-4o", "a?b"),
        ("?a=b", None, None, "a=b"),
        ("openai:?a=b", "openai", None, "a=b"),
        ("gpt?x=openai:y", None, "gpt", "x=openai:y"),
        ("open%61i:gpt%2D4o", "openai", "gpt-4o", ""),
        ("openai%3Agpt-4o", None, "openai:gpt-4o", ""),
        ("what%3Fnow", None, "what?now", ""),
        ("my%3Aown:m", "my:own", "m", ""),
        ("50%", None, "50%", ""),
        ("OpenAI:gpt-4o", None, "OpenAI:gpt-4o", ""),
    ],
)
def test_names_are_taken_apart(
    text: str, backend: str | None, model: str | None, query: str
) -> None:
    expected = Selector(backend=backend, model=model, query=query)
    assert parse_selector(text, KNOWN) == expected


@given(NAMES, MODELS)
def test_what_is_written_is_read(backend: str, model: str) -> None:
    text = write_selector(backend, model)
    assert parse_selector(text, KNOWN) == Selector(backend=backend, model=model)


@given(st.text(max_size=30))
def test_any_text_is_a_name(text: str) -> None:
    selector = parse_selector(text, KNOWN)
    assert selector.backend is None or selector.backend in KNOWN
    if not set(text) & set(":?%"):
        assert selector == Selector(model=text or None)


@given(st.text(alphabet="ab/:", max_size=12), NAMES)
def test_a_backend_is_named_by_the_first_colon_before_any_slash(
    text: str, name: str
) -> None:
    named = parse_selector(f"{name}:{text}", KNOWN)
    assert (named.backend, named.model or "") == (name, text)
    assert parse_selector(f"x/{name}:{text}", KNOWN).backend is None


@pytest.mark.parametrize(
    ("name", "text"),
    [("a", "'a'"), ("é\n", r"'\xe9\n'"), ("\ud800", r"'\ud800'")],
)
def test_what_clients_sent_is_shown_in_ascii(name: str, text: str) -> None:
    assert shown(name) == text


def test_long_names_are_cut() -> None:
    assert shown("x" * 64) == repr("x" * 64)
    assert shown("x" * 65) == repr("x" * 61 + "...")
