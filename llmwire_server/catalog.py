"""Lists of models: what the configuration names and what the backends themselves list.

Backends are asked when a client asks for a list, never otherwise: all at once, for a
bounded time, and what they say is kept for a while. One that is down or slow adds
nothing and is left alone for half a minute; the others' models, and those that the
configuration names, are listed all the same.

Rules:
    - A backend that once gave its list keeps it while it is out of reach.
    - A model is listed under the name by which clients select it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Final
from urllib.parse import unquote

import anyio
from msgspec import Struct
from msgspec.structs import replace

from llmwire import HTTPRequest, LLMWireError
from llmwire.dialects import Dialect, ModelInfo, get
from llmwire_server.backends import SIMULATOR, Address, Backend
from llmwire_server.config import Config
from llmwire_server.routing import Router, RoutingError, write_selector
from llmwire_server.upstream import Transport, UpstreamFailure, UpstreamResponse
from llmwire_server.upstream.script import MODEL

__all__ = ("Catalog", "Listing", "list_models")

_BODY: Final = 16 * 1024 * 1024
"""Bytes of a list; the longest known ones have less than one million."""
_PATIENCE: Final = 30.0
"""Seconds until a backend is asked again that gave no list."""
_LOG: Final = logging.getLogger("llmwire")


class Listing(Struct, frozen=True):
    """What one backend is known to serve, and until when that holds."""

    models: tuple[ModelInfo, ...]
    until: float


class Catalog:
    """The models of all backends.

    Args:
        config: Which backends there are, and how long they are waited for.
        router: Tells the names by which models are selected.
        reach: The transport that carries calls to a backend.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        config: Config,
        router: Router,
        reach: Callable[[Backend], Transport],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._config = config
        self._router = router
        self._reach = reach
        self._clock = clock
        self._found: dict[str, Listing] = {}
        self._asking = anyio.Lock()

    async def models(self) -> tuple[ModelInfo, ...]:
        """Every model, as clients may select it; never raises for what backends do."""
        await self._discover()
        found = {name: listing.models for name, listing in self._found.items()}
        return list_models(self._config, self._router, found)

    async def model(self, name: str, dialect: str) -> ModelInfo | None:
        """The entry of the model that a client of `dialect` selects by `name`.

        None: no list holds it, though a backend may know it.

        Args:
            name: As it stands in the path, percent-encoded or not.
            dialect: Of the client.
        """
        models = {model.id: model for model in await self.models()}
        plain = unquote(name)
        for spelled in (name, plain):
            if spelled in models:
                return models[spelled]
        for selectable in self._selectable(plain, dialect):
            if selectable in models:
                return replace(models[selectable], id=plain)
        return None

    def _selectable(self, name: str, dialect: str) -> list[str]:
        try:
            decision = self._router.route(name, dialect)
        except RoutingError:
            return []
        model = decision.model or ""
        return [
            write_selector(each, model)
            for backend in decision.backends
            for each in (self._router.shared_name(backend), backend.name)
        ]

    async def _discover(self) -> None:
        """Ask every backend whose list is not known, or is too old."""
        async with self._asking:
            now = self._clock()
            due = [backend for backend in self._asked() if self._is_due(backend, now)]
            if not due:
                return
            # The first use of a dialect loads it, which is not the backends' time.
            spoken = [(backend, get(backend.dialect)) for backend in due]
            with anyio.move_on_after(self._config.models.wait_seconds):
                async with anyio.create_task_group() as tasks:
                    for backend, dialect in spoken:
                        tasks.start_soon(self._ask, backend, dialect)
            age = min(self._config.models.age_seconds, _PATIENCE)
            for backend in due:
                if self._is_due(backend, now):
                    known = self._found.get(backend.name)
                    models = known.models if known else ()
                    self._found[backend.name] = Listing(models, self._clock() + age)

    def _asked(self) -> Iterable[Backend]:
        if not self._config.models.discover:
            return ()
        backends = self._config.backends.values()
        return (b for b in backends if b.discover and b.name != SIMULATOR)

    def _is_due(self, backend: Backend, now: float) -> bool:
        known = self._found.get(backend.name)
        return known is None or known.until <= now

    async def _ask(self, backend: Backend, dialect: Dialect) -> None:
        http = HTTPRequest(
            method="GET", path=dialect.models_path, headers=dialect.models_headers
        )
        try:
            request = Address(backend).request(http)
            async with self._reach(backend).open(request) as response:
                body = await _read(response)
            models = dialect.decode_models(body).models
        except (UpstreamFailure, LLMWireError) as error:
            _LOG.warning("backend=%s gave no list of models: %s", backend.name, error)
            return
        until = self._clock() + self._config.models.age_seconds
        self._found[backend.name] = Listing(models, until)


async def _read(response: UpstreamResponse) -> bytes:
    if response.status != 200:
        raise UpstreamFailure("protocol", f"it answered with {response.status}")
    pieces: list[bytes] = []
    size = 0
    while piece := await response.receive():
        size += len(piece)
        if size > _BODY:
            raise UpstreamFailure("protocol", f"it is larger than {_BODY} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def list_models(
    config: Config, router: Router, found: Mapping[str, tuple[ModelInfo, ...]]
) -> tuple[ModelInfo, ...]:
    """One entry for every model, as clients may select it; each name once.

    Args:
        config: What it names comes first.
        router: Made from `config`.
        found: What backends listed, by their names.
    """
    default, usual = config.default
    defaults = router.members(default) if usual else ()
    serving: dict[str, dict[str, ModelInfo]] = {}
    for backend in config.backends.values():
        if backend.name != SIMULATOR:
            more = (usual,) if usual and backend in defaults else ()
            named = (*backend.models, *more)
            listed = found.get(backend.name, ())
            serving[backend.name] = _of_backend(backend, named, listed)
    entries: dict[str, ModelInfo] = {}
    for name, models in serving.items():
        backend = config.backends[name]
        shared = router.shared_name(backend)
        others = [serving[other.name] for other in router.members(shared)]
        for model, info in models.items():
            everywhere = all(model in other for other in others)
            id = write_selector(shared if everywhere else name, model)
            entries.setdefault(id, replace(info, id=id))
    if SIMULATOR in config.backends:
        entries[MODEL] = ModelInfo(id=MODEL, owner=SIMULATOR)
    return tuple(entries.values())


def _of_backend(
    backend: Backend, named: Iterable[str], found: Iterable[ModelInfo]
) -> dict[str, ModelInfo]:
    """Its models by their own names: what the configuration names, then what it
    lists itself, which says more."""
    discovered = {info.id: info for info in found if info.id}
    known = {name: ModelInfo(id=name, owner=backend.name) for name in named}
    return known | discovered
