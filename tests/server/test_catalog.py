"""Tests of `llmwire_server.catalog`: lists of models, whoever is out of reach."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from llmwire.dialects import ModelInfo
from llmwire_server.backends import SIMULATOR, Backend, Secret
from llmwire_server.catalog import Catalog, list_models
from llmwire_server.config import Config
from llmwire_server.config.tree import Models
from llmwire_server.routing import Router
from llmwire_server.upstream import UpstreamFailure, UpstreamRequest
from llmwire_server.upstream.memory import Answer, MemoryTransport

pytestmark = pytest.mark.anyio


def _backend(name: str, dialect: str = "openai-chat", **fields: Any) -> Backend:
    url = f"http://{name}.example" + ("/v1" if dialect.startswith("openai") else "")
    return Backend(name=name, dialect=dialect, base_url=url, **fields)


def _list(*names: str) -> bytes:
    data = [{"id": name, "object": "model"} for name in names]
    return json.dumps({"object": "list", "data": data}).encode()


class _World:
    """A catalog whose backends are scripted by their hosts."""

    def __init__(
        self,
        *backends: Backend,
        answers: Mapping[str, bytes | int | UpstreamFailure | anyio.Event],
        default: str = "",
        **models: Any,
    ) -> None:
        self.answers = dict(answers)
        self.asked: list[UpstreamRequest] = []
        self.now = 0.0
        config = Config(
            backends={backend.name: backend for backend in backends},
            default_backend=default,
            models=Models(**models),
        )
        self.transport = MemoryTransport(self._answer)
        self.catalog = Catalog(
            config,
            Router(config.backends, *config.default),
            lambda backend: self.transport,
            lambda: self.now,
        )

    def _answer(self, request: UpstreamRequest) -> Answer:
        self.asked.append(request)
        said = self.answers[request.host.partition(".")[0]]
        if isinstance(said, UpstreamFailure):
            raise said
        if isinstance(said, int):
            return said, (), ()
        return 200, (), (said,)

    async def names(self) -> list[str]:
        return [model.id for model in await self.catalog.models()]

    @property
    def hosts(self) -> list[str]:
        return [request.host.partition(".")[0] for request in self.asked]


DOWN = UpstreamFailure("connect", "refused")


async def test_every_backend_is_asked_in_its_own_way() -> None:
    world = _World(
        _backend("chat", api_key=Secret("chat-secret")),
        _backend("claude", "anthropic", api_key=Secret("claude-secret")),
        _backend("google", "gemini"),
        answers={
            "chat": _list("a", "b"),
            "claude": json.dumps({"data": [{"type": "model", "id": "c"}]}).encode(),
            "google": json.dumps({"models": [{"name": "models/g"}]}).encode(),
        },
    )
    assert await world.names() == ["chat:a", "chat:b", "claude:c", "google:g"]
    asked = {request.host: request for request in world.asked}
    assert {(r.method, r.target) for r in world.asked} == {
        ("GET", "/v1/models"),
        ("GET", "/v1/models?limit=1000"),
        ("GET", "/v1beta/models?pageSize=1000"),
    }
    claude = dict(asked["claude.example"].headers)
    assert claude == {"anthropic-version": "2023-06-01", "x-api-key": "claude-secret"}
    assert asked["google.example"].headers == ()


@pytest.mark.parametrize(
    "said", [DOWN, 500, 404, b"", b"[1]", b'{"data": 7}', b"<html>"]
)
async def test_a_backend_out_of_reach_empties_nothing(
    said: bytes | int | UpstreamFailure, caplog: pytest.LogCaptureFixture
) -> None:
    world = _World(
        _backend("bad", models=("known",)),
        _backend("good"),
        answers={"bad": said, "good": _list("a")},
    )
    with caplog.at_level(logging.WARNING, "llmwire"):
        assert await world.names() == ["bad:known", "good:a"]
    assert [record.getMessage()[:34] for record in caplog.records] == [
        "backend=bad gave no list of models"
    ]
    # It is left alone for a while, and then asked again.
    world.now = 29.0
    await world.names()
    assert world.hosts.count("bad") == 1
    world.now = 31.0
    world.answers["bad"] = _list("back")
    assert await world.names() == ["bad:known", "bad:back", "good:a"]
    assert world.hosts.count("good") == 1


async def test_a_slow_backend_delays_nobody_beyond_the_limit() -> None:
    world = _World(
        _backend("slow"),
        _backend("good"),
        answers={"slow": anyio.Event(), "good": _list("a")},
        wait_seconds=0.2,
    )
    assert await world.names() == ["good:a"]
    assert [e.outcome for e in world.transport.exchanges] == ["aborted", "complete"]


async def test_a_list_is_kept_and_renewed() -> None:
    world = _World(_backend("b"), answers={"b": _list("a")}, age_seconds=60.0)
    assert await world.names() == ["b:a"]
    world.answers["b"] = _list("new")
    world.now = 59.0
    assert await world.names() == ["b:a"]
    world.now = 61.0
    assert await world.names() == ["b:new"]
    # While it is out of reach, what it last said holds.
    world.answers["b"] = DOWN
    world.now = 200.0
    assert await world.names() == ["b:new"]
    assert len(world.asked) == 3


async def test_several_clients_ask_once() -> None:
    world = _World(_backend("b"), answers={"b": _list("a")})
    found: list[list[str]] = []

    async def ask() -> None:
        found.append(await world.names())

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
    assert found == [["b:a"]] * 5
    assert len(world.asked) == 1


async def test_a_list_that_never_ends_is_left() -> None:
    world = _World(_backend("b", models=("a",)), answers={})
    piece = b" " * (1024 * 1024)
    world.transport = MemoryTransport(lambda request: (200, (), [piece] * 17))
    assert await world.names() == ["b:a"]
    [exchange] = world.transport.exchanges
    assert exchange.outcome == "aborted"


@pytest.mark.parametrize(
    ("fields", "models"), [({"discover": False}, {}), ({}, {"discover": False})]
)
async def test_nobody_is_asked_who_must_not_be(
    fields: dict[str, Any], models: dict[str, Any]
) -> None:
    world = _World(_backend("b", models=("a",), **fields), answers={}, **models)
    assert await world.names() == ["b:a"]
    assert not world.asked


async def test_the_simulator_is_not_asked() -> None:
    simulator = Backend(name=SIMULATOR, dialect="openai-chat")
    world = _World(simulator, answers={})
    assert await world.names() == ["simulator"]
    assert not world.asked


# --- One model ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("b:x/y", "b:x/y"),
        ("b:x%2Fy", "b:x/y"),
        ("b%3Ax/y", "b:x/y"),
        ("known", "known"),
        ("x/y", None),
        ("openai/known", "openai/known"),
        ("known?temperature=0", "known?temperature=0"),
        ("known?temperature=9", None),
        ("b:none", None),
        ("a:", "a:"),
        ("", None),
        ("default", "default"),
    ],
)
async def test_one_model_is_found_by_any_of_its_names(
    name: str, found: str | None
) -> None:
    world = _World(
        _backend("a", models=("known",)),
        _backend("b"),
        answers={"a": _list("default"), "b": _list("x/y")},
        default="a",
    )
    model = await world.catalog.model(name, "openai-chat")
    assert (model and model.id) == found


# --- Names --------------------------------------------------------------------------


def test_what_a_backend_says_of_a_model_goes_before_its_mere_name() -> None:
    config = Config(backends={"b": _backend("b", models=("a", "z"))})
    said = ModelInfo(id="a", context_window=9, owner="who")
    found = list_models(config, Router(config.backends), {"b": (said, said)})
    assert found == (
        ModelInfo(id="b:a", context_window=9, owner="who"),
        ModelInfo(id="b:z", owner="b"),
    )


def test_nameless_models_are_not_listed() -> None:
    config = Config(backends={"b": _backend("b")})
    assert (
        list_models(config, Router(config.backends), {"b": (ModelInfo(id=""),)}) == ()
    )


def test_instances_are_told_apart_only_where_they_differ() -> None:
    backends = {
        name: _backend(name, models=models)
        for name, models in (("o.1", ("m", "one")), ("o.2", ("m",)), ("z.ai", ("m",)))
    }
    config = Config(backends=backends, default_backend="o:usual")
    found = list_models(config, Router(backends, *config.default), {})
    assert [model.id for model in found] == ["o:m", "o.1:one", "o:usual", "z.ai:m"]


def test_odd_names_are_listed_as_they_are_selected() -> None:
    config = Config(backends={"b": _backend("b", models=("50%?",))})
    [model] = list_models(config, Router(config.backends), {})
    assert Router(config.backends).route(model.id).model == "50%?"
