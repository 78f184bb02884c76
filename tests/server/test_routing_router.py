"""Tests of `llmwire_server.routing.router`: which backends may take a call."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire import Request
from llmwire.requests import Sampling
from llmwire_server.backends import SIMULATOR, Backend
from llmwire_server.config import load
from llmwire_server.routing import (
    Parameters,
    Rotation,
    Router,
    RoutingError,
    Selector,
    family,
)


def _backends(
    dialects: Mapping[str, str] | None = None, **models: tuple[str, ...]
) -> dict[str, Backend]:
    """Backends by name, `_` for `.`, with the models that they list."""
    names = {name.replace("_", "."): listed for name, listed in models.items()}
    return {
        name: Backend(
            name=name,
            dialect=(dialects or {}).get(name, "openai-chat"),
            models=listed,
        )
        for name, listed in names.items()
    }


SOME = _backends(a=("m1", "m2"), b=("m2", "x:y", "v/m"), c=())
SEVERAL = _backends(
    o_1=("gpt", "old"), o_2=("gpt", "new"), o_eu_1=(), z_ai=(), local=("gpt",)
)
VENDORS = _backends(
    {"openai-responses": "openai-responses", "anthropic": "anthropic"},
    openai=(),
    anthropic=("claude",),
    gemini=(),
    other=("openai/listed", "gpt"),
) | {"openai-responses": Backend(name="openai-responses", dialect="openai-responses")}


def _names(backends: tuple[Backend, ...]) -> str:
    return " ".join(backend.name for backend in backends)


@pytest.mark.parametrize(
    ("model", "usual", "backends", "under", "why"),
    [
        ("b:m9", None, "b", "m9", "named"),
        ("b:m9:8b", None, "b", "m9:8b", "named"),
        ("m1", None, "a", "m1", "listed"),
        ("m2", "dm", "a b", "m2", "listed"),
        ("x:y", None, "b", "x:y", "listed"),
        ("x%3Ay", None, "b", "x:y", "listed"),
        ("v/m", None, "b", "v/m", "listed"),
        ("other", None, "c", "other", "default"),
        ("other", "dm", "c", "dm", "default"),
        ("no:m1", None, "c", "no:m1", "default"),
        ("llama3:8b", None, "c", "llama3:8b", "default"),
        ("v/other:free", None, "c", "v/other:free", "default"),
        ("openai/gpt-4o", None, "c", "openai/gpt-4o", "default"),
        ("openai/m2", None, "a b", "m2", "vendor"),
        (None, None, "c", None, "default"),
        ("", None, "c", None, "default"),
        (None, "dm", "c", "dm", "default"),
        ("b:", None, "b", "m2", "named"),
        ("c:", "dm", "c", "dm", "named"),
    ],
)
def test_the_model_names_the_backend(
    model: str | None, usual: str | None, backends: str, under: str | None, why: str
) -> None:
    decision = Router(SOME, "c", usual).route(model)
    found = (_names(decision.backends), decision.model, decision.why)
    assert found == (backends, under, why)


@pytest.mark.parametrize(
    ("model", "backends"),
    [
        ("o:gpt", "o.1 o.2"),
        ("o:new", "o.2"),
        ("o:unheard", "o.1 o.2 o.eu.1"),
        ("o:", "o.1 o.2"),
        ("o.1:gpt", "o.1"),
        ("o.1:new", "o.1"),
        ("o.eu:gpt", "o.eu.1"),
        ("z.ai:glm", "z.ai"),
        ("z:glm", "z.ai"),
        ("gpt", "o.1 o.2 local"),
        ("new", "o.2"),
    ],
)
def test_instances_share_a_name(model: str, backends: str) -> None:
    assert _names(Router(SEVERAL, "local").route(model).backends) == backends


def test_a_default_may_have_instances() -> None:
    router = Router(SEVERAL, "o", "gpt")
    assert _names(router.route("unheard").backends) == "o.1 o.2 o.eu.1"
    assert router.route("unheard").model == "gpt"
    assert router.route("o:").model == "gpt"


def test_a_backend_is_its_own_instance() -> None:
    backends = _backends(o=(), o_1=(), oo=())
    assert _names(Router(backends).route("o:m").backends) == "o o.1"
    assert _names(family("o", backends)) == "o o.1"
    assert family("x", backends) == ()


@pytest.mark.parametrize(
    ("model", "dialect", "backends", "under"),
    [
        ("openai/gpt-4o", "openai-chat", "openai", "gpt-4o"),
        ("openai/gpt-4o", "anthropic", "openai", "gpt-4o"),
        ("openai/gpt-4o", "openai-responses", "openai-responses", "gpt-4o"),
        ("openai/listed", "openai-chat", "other", "openai/listed"),
        ("openai/gpt", "openai-chat", "openai", "gpt"),
        ("anthropic/claude", "openai-chat", "anthropic", "claude"),
        ("google/gemini-3-pro", "openai-chat", "gemini", "gemini-3-pro"),
        ("gemini/gemini-3-pro", "openai-chat", "gemini", "gemini-3-pro"),
        ("other/m", "openai-chat", "openai", "other/m"),
        ("openai/", "openai-chat", "openai", "openai/"),
        ("openai/a/b", "openai-chat", "openai", "a/b"),
        ("openai/gpt-4o:free", "openai-chat", "openai", "gpt-4o:free"),
    ],
)
def test_a_vendor_before_a_slash_names_its_own_backend(
    model: str, dialect: str, backends: str, under: str
) -> None:
    decision = Router(VENDORS, "openai").route(model, dialect)
    assert (_names(decision.backends), decision.model) == (backends, under)


def test_of_a_vendors_instances_those_that_list_the_model_take_it() -> None:
    backends = _backends(openai_1=("gpt",), openai_2=("gpt", "new"), x=())
    router = Router(backends, "x")
    assert _names(router.route("openai/gpt").backends) == "openai.1 openai.2"
    assert _names(router.route("openai/new", "gemini").backends) == "openai.2"
    assert _names(router.route("openai/none").backends) == "openai.1 openai.2"


# --- Refusals ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("openai:gpt-4o", "there is no backend 'openai'; configured are a, b, c"),
        ("simulator:x", "there is no backend 'simulator'"),
        ("A:m1", "there is no backend 'A'; did you mean 'a'?"),
        ("a.1:m1", "there is no backend 'a.1'; did you mean 'a'?"),
        ("openai:gpt?temperature=1", "there is no backend 'openai'"),
    ],
)
def test_a_backend_that_is_meant_must_be_there(model: str, told: str) -> None:
    with pytest.raises(RoutingError, match="no backend") as raised:
        Router(SOME, "c").route(model)
    error = raised.value.error
    assert told in error.message
    assert (error.kind, error.status, error.param) == ("not_found", 404, "model")


@pytest.mark.parametrize(
    "model", ["llama3:8b", "aa:m", "openai.x:m", "x.1:m", "v/openai:m", "mistral:7b"]
)
def test_other_names_before_a_colon_are_the_models_own(model: str) -> None:
    assert Router(SOME, "c").route(model).model == model


def test_decisions_are_remembered_within_bounds() -> None:
    router = Router(SOME, "c")
    decision = router.route("b:m", "anthropic")
    assert router.route("b:m", "anthropic") is decision
    assert router.route(None).model == router.route(None).model
    for at in range(2000):
        router.route(f"m{at}")
    router.route("m" * 300)
    assert len(router._met) <= 1024
    assert max(len(model or "") for model, _ in router._met) <= 256


def test_what_a_dialect_decides_is_remembered_with_it() -> None:
    names = ("openai", "openai-responses")
    router = Router({name: VENDORS[name] for name in names})
    for _ in range(2):
        for name in ("openai-responses", "openai-chat"):
            backends = router.route("m", name).backends
            assert [backend.dialect for backend in backends] == [name]


def test_a_listed_model_is_no_backend_that_is_missing() -> None:
    backends = _backends(local=("openai:gpt", "simulator:x"))
    assert Router(backends).route("openai:gpt").why == "listed"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("c:", "no model is named behind the backend 'c'"),
        ("?temperature=1", "parameters and no name"),
        ("b:m?temperature=9", "expected a number from 0 to 2"),
        ("m9?tmperature=1", "did you mean 'temperature'?"),
    ],
)
def test_what_cannot_be_meant_is_refused(model: str, told: str) -> None:
    with pytest.raises(RoutingError) as raised:
        Router(SOME, "c").route(model)
    assert told in raised.value.error.message
    assert raised.value.error.status == 400


def test_only_listed_models_where_only_those_are_wanted() -> None:
    router = Router(SOME, "c", "dm", bare="listed")
    assert router.route("m1").why == "listed"
    assert router.route("c:anything").why == "named"
    assert router.route("openai/m1").why == "vendor"
    assert router.route(None).model == "dm"
    for model, told in (("v/mm", "did you mean 'v/m'"), ("zzzzz", "the model 'zzzzz'")):
        with pytest.raises(RoutingError) as raised:
            router.route(model)
        assert told in raised.value.error.message
        assert raised.value.error.status == 404


@pytest.mark.parametrize("model", ["m1", "other", "v/m", None, "", "openai/m1"])
def test_no_bare_model_where_backends_must_be_named(model: str | None) -> None:
    router = Router(SOME, "c", "dm", bare="refused")
    with pytest.raises(RoutingError) as raised:
        router.route(model)
    assert "as in 'a:model'; configured are a, b, c" in raised.value.error.message
    assert raised.value.error.status == 400
    assert router.route("b:m1").why == "named"


def test_without_a_default_the_first_backend_is_it() -> None:
    assert _names(Router(SOME).route("other").backends) == "a"
    for router in (Router({}), Router(SOME, "gone")):
        with pytest.raises(RoutingError, match="no backend is configured"):
            router.route("other")
    with pytest.raises(RoutingError, match="backend:model"):
        Router({}, bare="refused").route("m")


# --- What a decision holds ----------------------------------------------------------


def test_parameters_come_with_named_and_bare_models() -> None:
    router = Router(SOME, "c")
    for model, under in (("m1?top_k=3", "m1"), ("b:m9?top_k=3", "m9")):
        decision = router.route(model)
        assert decision.parameters == Parameters(top_k=3)
        assert decision.model == under
        request = decision.applied(Request(model=model))
        assert request.sampling == Sampling(top_k=3)
        assert decision.changed(model) == under


def test_nothing_changes_where_nothing_must() -> None:
    decision = Router(SOME, "c").route("m1")
    assert decision.selector == Selector(model="m1")
    request = Request(model="m1")
    assert decision.applied(request) is request
    assert decision.changed("m1") is None


def test_shared_names_are_those_of_several() -> None:
    router = Router(SEVERAL, "local")
    shared = {name: router.shared_name(SEVERAL[name]) for name in SEVERAL}
    assert shared == {
        "o.1": "o",
        "o.2": "o",
        "o.eu.1": "o.eu.1",
        "z.ai": "z.ai",
        "local": "local",
    }
    assert _names(router.members("o")) == "o.1 o.2 o.eu.1"
    assert router.members("none") == ()


# --- Turns --------------------------------------------------------------------------


def test_calls_go_round() -> None:
    rotation, router = Rotation(), Router(SEVERAL, "local")
    turns = [rotation.next(router.route("gpt").backends).name for _ in range(7)]
    assert turns == ["o.1", "o.2", "local"] * 2 + ["o.1"]
    assert rotation.next(router.route("o.2:gpt").backends).name == "o.2"
    assert rotation.next(router.route("o:gpt").backends).name == "o.1"


@given(st.integers(1, 6), st.integers(1, 40))
def test_nobody_is_ahead_by_more_than_one(size: int, calls: int) -> None:
    backends = tuple(Backend(name=str(at), dialect="gemini") for at in range(size))
    rotation = Rotation()
    counts = Counter(rotation.next(backends).name for _ in range(calls))
    turns = [counts[backend.name] for backend in backends]
    assert max(turns) - min(turns) <= 1
    assert turns == sorted(turns, reverse=True)


@given(st.text(alphabet="abm12:/.?%xy", max_size=10))
def test_every_name_goes_somewhere_or_is_refused(model: str) -> None:
    router = Router({**SOME, **SEVERAL}, "c")
    try:
        decision = router.route(model)
    except RoutingError as error:
        assert error.error.status in (400, 404)
    else:
        assert decision.backends
        assert decision == router.route(model)


def test_the_simulator_is_a_backend_like_others() -> None:
    backends = {SIMULATOR: Backend(name=SIMULATOR, dialect="openai-chat")}
    router = Router(backends, SIMULATOR)
    assert router.route("simulator:any").model == "any"
    assert router.route("any").why == "default"


def _built_in(default: str = "", **said: Any) -> Router:
    """What is made of a key in the environment and of what a file says besides."""
    text = json.dumps({"backends": said, "default_backend": default})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "llmwire.json"
        file.write_text(text)
        key = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
        config = load(str(file), environment=key)
    return Router(config.backends, *config.default)


@pytest.mark.parametrize(
    ("dialect", "backend"),
    [
        ("openai-chat", "openai"),
        ("openai-responses", "openai-responses"),
        ("anthropic", "openai"),
        ("gemini", "openai"),
        ("", "openai"),
    ],
)
def test_a_default_that_nobody_named_is_asked_in_the_clients_dialect(
    dialect: str, backend: str
) -> None:
    for model in ("gpt-4o", None):
        decision = _built_in().route(model, dialect)
        assert (_names(decision.backends), decision.why) == (backend, "default")
        assert decision.model == model


@pytest.mark.parametrize(
    ("default", "said", "backend"),
    [
        ("openai", {}, "openai"),
        ("openai:gpt-4o", {}, "openai"),
        (":gpt-4o", {}, "openai"),
        ("", {"openai": {"base_url": "http://127.0.0.1:1"}}, "openai"),
        ("", {"openai": {"proxy": "http://127.0.0.1:1"}}, "openai"),
        ("", {"openai": {"profile": "azure"}}, "openai"),
        ("", {"openai": {"models": ["x"]}}, "openai-responses"),
        ("", {"own": {"dialect": "openai-chat", "base_url": "http://x"}}, "own"),
    ],
)
def test_what_is_named_or_is_another_place_is_what_it_is(
    default: str, said: dict[str, Any], backend: str
) -> None:
    decision = _built_in(default, **said).route("gpt-4o", "openai-responses")
    assert _names(decision.backends) == backend


def test_the_twin_is_found_from_either_side() -> None:
    said: dict[str, Any] = {"openai-responses": {}}
    router = _built_in(**said)
    assert _names(router.route("m", "openai-chat").backends) == "openai"
    assert _names(router.route("m", "gemini").backends) == "openai-responses"
    assert _names(router.route("openai:m", "openai-responses").backends) == "openai"


def test_another_vendors_backend_is_no_twin_though_it_is_at_the_same_place() -> None:
    place = {"base_url": "http://gateway"}
    router = _built_in(openai=place, anthropic=place)
    assert _names(router.route("m", "anthropic").backends) == "openai"
