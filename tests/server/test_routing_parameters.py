"""Tests of `llmwire_server.routing.parameters`: what a name asks for besides."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire import Request, decode_request, encode_request
from llmwire.requests import Reasoning, Sampling
from llmwire_server.routing import (
    Parameters,
    RoutingError,
    apply,
    parse_parameters,
)

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.decimals(0, 2, places=3),
    "top_p": st.decimals(0, 1, places=3),
    "top_k": st.integers(1, 100_000),
    "reasoning_effort": st.sampled_from(EFFORTS),
    "verbosity": st.sampled_from(["low", "medium", "high"]),
    "max_tokens": st.integers(1, 10_000_000),
}


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_what_may_be_asked_for_is_read(values: dict[str, Any]) -> None:
    found = parse_parameters(urlencode(values))
    for name in VALUES:
        value = values.get(name)
        given = getattr(found, name)
        if value is None or isinstance(value, (str, int)):
            assert given == value
        else:
            assert given == float(value)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Parameters()),
        ("temperature=0", Parameters(temperature=0)),
        ("temperature=2.0", Parameters(temperature=2.0)),
        ("temperature=1&temperature=0.5", Parameters(temperature=0.5)),
        ("top%5Fp=%30.5", Parameters(top_p=0.5)),
        ("verbosity=low&&max_tokens=7", Parameters(verbosity="low", max_tokens=7)),
    ],
)
def test_queries(query: str, expected: Parameters) -> None:
    assert parse_parameters(query) == expected


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("temperature=2.1", "'temperature' is '2.1'; expected a number from 0 to 2"),
        ("temperature=-1", "'temperature' is '-1'"),
        ("temperature=", "'temperature' is ''"),
        ("temperature", "'temperature' is ''"),
        ("temperature=nan", "'temperature' is 'nan'"),
        ("temperature=1e0", "'temperature' is '1e0'"),
        ("temperature=1_0", "'temperature' is '1_0'"),
        ("temperature=٣", "'temperature' is"),
        ("temperature=+1", "'temperature' is ' 1'"),
        ("top_p=1.01", "expected a number from 0 to 1"),
        ("top_k=0", "expected a whole number from 1 to 100000"),
        ("top_k=1.5", "'top_k' is '1.5'"),
        ("max_tokens=10000001", "'max_tokens' is '10000001'"),
        ("reasoning_effort=High", "expected one of none, minimal, low"),
        ("verbosity=none", "expected one of low, medium, high"),
        ("temprature=1", "'temprature' is unknown; did you mean 'temperature'?"),
        ("seed=1", "'seed' is unknown; known are temperature, top_p, top_k"),
        ("=1", "'' is unknown"),
        ("temperature=%FF", "cannot be read"),
        ("&".join(["top_k=1"] * 33), "at most 32 pairs"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(query: str, told: str) -> None:
    with pytest.raises(RoutingError) as raised:
        parse_parameters(query)
    error = raised.value.error
    assert told in error.message
    assert str(raised.value) == error.message
    assert (error.kind, error.status, error.param) == ("invalid_request", 400, "model")


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(query: str) -> None:
    try:
        parse_parameters(query)
    except RoutingError as error:
        assert error.error.message.isascii()


# --- Applying them ----------------------------------------------------------------


def test_nothing_asked_for_changes_nothing() -> None:
    request = Request(model="m")
    assert apply(Parameters(), request) is request


def test_only_what_is_asked_for_changes() -> None:
    before = Request(
        model="m",
        sampling=Sampling(temperature=1, seed=7),
        max_tokens=5,
        user="u",
    )
    after = apply(Parameters(temperature=0, top_k=3, verbosity="low"), before)
    assert after == Request(
        model="m",
        sampling=Sampling(temperature=0, seed=7, top_k=3),
        max_tokens=5,
        user="u",
        verbosity="low",
    )


@pytest.mark.parametrize(
    ("before", "effort", "after"),
    [
        (None, "low", Reasoning(effort="low")),
        (None, "none", Reasoning(mode="off")),
        (
            Reasoning(mode="on", budget=2048, show="summary"),
            "max",
            Reasoning(mode="on", effort="max", show="summary"),
        ),
        (Reasoning(mode="off"), "high", Reasoning(effort="high")),
        (Reasoning(mode="on", effort="low"), "none", Reasoning(mode="off")),
    ],
)
def test_an_effort_goes_before_a_budget(
    before: Reasoning | None, effort: str, after: Reasoning
) -> None:
    request = apply(Parameters(reasoning_effort=effort), Request(reasoning=before))
    assert request.reasoning == after


TURN = [{"role": "user", "content": "Hi"}]
BODIES: dict[str, dict[str, Any]] = {
    "openai-chat": {
        "messages": TURN,
        "temperature": 1.5,
        "top_p": None,
        "max_tokens": 9,
        "verbosity": "high",
        "reasoning_effort": "high",
    },
    "openai-responses": {
        "input": "Hi",
        "temperature": 1.5,
        "top_p": None,
        "max_output_tokens": 99,
        "text": {"verbosity": "high"},
        "reasoning": {"effort": "high", "summary": "auto"},
    },
    "anthropic": {
        "messages": TURN,
        "temperature": 0.9,
        "top_p": None,
        "max_tokens": 4096,
        "thinking": {"type": "enabled", "budget_tokens": 2048},
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "generationConfig": {
            "temperature": 1.5,
            "topP": None,
            "maxOutputTokens": 9,
            "thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True},
        },
    },
}
MODELS = {
    "openai-chat": "gpt-4.1",
    "openai-responses": "gpt-4.1",
    "anthropic": "claude-3-5-haiku",
    "gemini": "gemini-3-pro",
}
PLACES: dict[str, dict[str, tuple[str, ...]]] = {
    "openai-chat": {
        "temperature": ("temperature",),
        "top_p": ("top_p",),
        "max_tokens": ("max_tokens",),
        "verbosity": ("verbosity",),
        "reasoning_effort": ("reasoning_effort",),
    },
    "openai-responses": {
        "temperature": ("temperature",),
        "top_p": ("top_p",),
        "max_tokens": ("max_output_tokens",),
        "verbosity": ("text", "verbosity"),
    },
    "anthropic": {
        "temperature": ("temperature",),
        "top_p": ("top_p",),
        "top_k": ("top_k",),
        "max_tokens": ("max_tokens",),
    },
    "gemini": {
        "temperature": ("generationConfig", "temperature"),
        "top_p": ("generationConfig", "topP"),
        "top_k": ("generationConfig", "topK"),
        "max_tokens": ("generationConfig", "maxOutputTokens"),
        "reasoning_effort": ("generationConfig", "thinkingConfig", "thinkingLevel"),
    },
}
ASKED = Parameters(
    temperature=0.25,
    top_p=0.5,
    top_k=3,
    reasoning_effort="low",
    verbosity="low",
    max_tokens=3000,
)


@pytest.mark.parametrize(
    ("dialect", "name"),
    [(dialect, name) for dialect, places in PLACES.items() for name in places],
)
def test_the_name_goes_before_the_body_in_its_own_dialect(
    dialect: str, name: str
) -> None:
    body = {**BODIES[dialect], "model": MODELS[dialect]}
    request = decode_request(json.dumps(body).encode(), dialect)
    asked = apply(Parameters(**{name: getattr(ASKED, name)}), request)
    place = PLACES[dialect][name]
    sent, usual = _written(asked), _written(request)
    wanted = getattr(ASKED, name)
    assert _at(sent, place) in (wanted, str(wanted).upper())
    # Nothing else differs: the body's own value stands under no other name.
    _at(usual, place[:-1])[place[-1]] = _at(sent, place)
    assert sent == usual


def _written(request: Request) -> Any:
    dialect = request.dialect or ""
    return json.loads(encode_request(request, dialect, model=MODELS[dialect]).http.body)


def _at(document: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        document = document[key]
    return document
