"""Which backends may take a call, told by the name of its model alone.

A `Router` is made once from a configuration: every table is built then, and a decision
is a few lookups. It decides without state; whose turn it is among several backends is
kept by one `Rotation`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from llmwire import APIError, Request
from llmwire_server.backends import BUILT_IN, SIMULATOR, Backend
from llmwire_server.routing.parameters import Parameters, apply, parse_parameters
from llmwire_server.routing.selectors import (
    RoutingError,
    Selector,
    parse_selector,
    shown,
)

__all__ = ("BareModels", "Decision", "Rotation", "Router", "Why", "family")

BareModels: TypeAlias = Literal["default", "listed", "refused"]
"""Where models go that name no backend."""

Why: TypeAlias = Literal["named", "listed", "vendor", "default"]
"""What sent a call where it goes: the backend's name before the colon; the list of
models that holds it; its vendor's name before the slash; nothing of all that."""

_VENDORS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("openai", "openai-responses"),
    "anthropic": ("anthropic",),
    "google": ("gemini",),
    "gemini": ("gemini",),
}
"""What stands before the slash of a model's name -> backends of that vendor."""
_VENDORS_OWN: Final = frozenset({row.name for row in BUILT_IN} | {SIMULATOR})
"""Names that cannot be meant as anything but a backend's."""
_MOST_MET: Final = 1024
_LONGEST_MET: Final = 256
"""Names of models that are remembered, and characters of the longest of them."""


class Decision(Struct, frozen=True, kw_only=True):
    """Where a call may go."""

    backends: tuple[Backend, ...]
    """Each of them may take it; one at least."""
    model: str | None
    """Under which name of the model; None: none is named."""
    why: Why
    selector: Selector
    parameters: Parameters | None = None
    """What the model's name asks for besides."""

    def applied(self, request: Request) -> Request:
        """`request` with the parameters that the model's name asks for."""
        return apply(self.parameters, request) if self.parameters else request

    def changed(self, model: str | None) -> str | None:
        """What a request that names `model` must name instead; None: it may stay."""
        return self.model if self.model != model else None


class Rotation:
    """Whose turn it is, for every set of backends that may take the same call."""

    def __init__(self) -> None:
        self._turns: dict[tuple[str, ...], int] = {}

    def next(self, backends: tuple[Backend, ...]) -> Backend:
        """The next of `backends`, round and round; they stand in the same order each
        time."""
        if len(backends) == 1:
            return backends[0]
        names = tuple(backend.name for backend in backends)
        turn = self._turns.get(names, 0)
        self._turns[names] = (turn + 1) % len(backends)
        return backends[turn]


def family(name: str, backends: Mapping[str, Backend]) -> tuple[Backend, ...]:
    """The backend `name` and its instances: `name.1`, `name.eu`, `name.eu.2`.

    Empty where `name` names none.
    """
    inside = f"{name}."
    return tuple(
        backend
        for key, backend in backends.items()
        if key == name or key.startswith(inside)
    )


class Router:
    """Decides where calls may go.

    Args:
        backends: By name; a name with a dot in it is an instance of what stands before.
        default_backend: For models that nobody lists; "": the first backend, or,
            where that is a built-in one, the vendor's other one for clients that
            speak its dialect.
        default_model: Under which name such models go there; None: under their own.
        bare: What is done about models that name no backend.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        default_backend: str = "",
        default_model: str | None = None,
        bare: BareModels = "default",
    ) -> None:
        self._families = {
            name: family(name, backends)
            for key in backends
            for name in _names_of_families(key)
        }
        self._default = self._families.get(default_backend, ())
        self._twins: Mapping[str, tuple[Backend, ...]] = {}
        if not default_backend:
            self._default = tuple(backends.values())[:1]
            self._twins = _twins(self._default, backends)
        self._default_model = default_model
        self._bare = bare
        self._listed = _by_model(backends.values())
        self._serving = {
            (name, model): listing
            for name, members in self._families.items()
            for model, listing in _by_model(members).items()
        }
        self._decided = {
            model: Decision(
                backends=listing,
                model=model,
                why="listed",
                selector=Selector(model=model),
            )
            for model, listing in self._listed.items()
        }
        self._met: dict[tuple[str | None, str], Decision] = {}
        """Models that were asked for, and where that goes."""

    def route(self, model: str | None, dialect: str = "") -> Decision:
        """Where a call that asks for `model` may go.

        Args:
            model: As the client named it; None: it named none.
            dialect: Of the client: a vendor with two dialects is asked in that one,
                unless the configuration names the default.

        Raises:
            RoutingError: It names a backend that there is not, parameters that there
                are not, or no backend where one must be named.
        """
        if model is not None and self._bare != "refused":
            decided = self._decided.get(model)
            if decided is not None:
                return decided
        met = self._met.get((model, dialect))
        if met is not None:
            return met
        decision = self._decide(model, dialect)
        if len(self._met) < _MOST_MET and (model is None or len(model) <= _LONGEST_MET):
            self._met[model, dialect] = decision
        return decision

    def _decide(self, model: str | None, dialect: str) -> Decision:
        selector = parse_selector(model or "", self._families)
        parameters = None
        if selector.query:
            parameters = parse_parameters(selector.query)
            if selector.model is None and selector.backend is None:
                raise _invalid("the model has parameters and no name")
        if selector.backend is not None:
            return self._named(selector.backend, selector, parameters)
        backends, name, why = self._unnamed(selector.model, dialect)
        return Decision(
            backends=backends,
            model=name,
            why=why,
            selector=selector,
            parameters=parameters,
        )

    def _named(
        self, name: str, selector: Selector, parameters: Parameters | None
    ) -> Decision:
        members = self._families[name]
        model = selector.model
        if model is not None:
            members = self._serving.get((name, model), members)
        elif members == self._default and self._default_model is not None:
            model = self._default_model
        else:
            model = next((m for b in members for m in b.models), None)
            if model is None:
                raise _invalid(f"no model is named behind the backend {name!r}")
            members = self._serving[name, model]
        return Decision(
            backends=members,
            model=model,
            why="named",
            selector=selector,
            parameters=parameters,
        )

    def _unnamed(
        self, model: str | None, dialect: str
    ) -> tuple[tuple[Backend, ...], str | None, Why]:
        if self._bare == "refused":
            raise self._nobody_named()
        if model is not None:
            listing = self._listed.get(model)
            if listing is not None:
                return listing, model, "listed"
            vendor, slash, rest = model.partition("/")
            if slash and rest:
                of_vendor = self._of_vendor(vendor, rest, dialect)
                if of_vendor:
                    return of_vendor, rest, "vendor"
            self._check_prefix(model)
            if self._bare == "listed":
                raise self._nobody_lists(model)
        if not self._default:
            message = "no backend is configured for models that name none"
            raise _not_found(message)
        default = self._twins.get(dialect, self._default)
        return default, self._default_model or model, "default"

    def _of_vendor(self, vendor: str, model: str, dialect: str) -> tuple[Backend, ...]:
        """Backends for `vendor/model`: the vendor's own, else whoever lists `model`."""
        names = _VENDORS.get(vendor)
        if names is None:
            return ()
        present = [name for name in names if name in self._families]
        if not present:
            return self._listed.get(model, ())
        for name in present:
            spoken = [b for b in self._families[name] if b.dialect == dialect]
            if spoken:
                return self._serving.get((name, model), self._families[name])
        return self._serving.get((present[0], model), self._families[present[0]])

    def _check_prefix(self, model: str) -> None:
        """A name that can only be meant as a backend's must be one."""
        name, colon, _ = model.partition(":")
        if not colon or "/" in name:
            return
        spelled = {key.lower(): key for key in self._families}.get(name.lower())
        instance_of = name.rpartition(".")[0]
        meant = instance_of if instance_of in self._families else spelled
        if not (meant or name in _VENDORS_OWN):
            return
        near = [meant] if meant else _near(name, self._families)
        hint = f"did you mean {near[0]!r}?" if near else self._configured()
        raise _not_found(f"there is no backend {shown(name)}; {hint}")

    def _nobody_named(self) -> RoutingError:
        example = f"{next(iter(self._families), 'backend')}:model"
        what = f"the model must name its backend, as in {example!r}"
        return _invalid(f"{what}; {self._configured()}")

    def _nobody_lists(self, model: str) -> RoutingError:
        near = _near(model, self._listed)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return _not_found(f"no backend lists the model {shown(model)}{hint}")

    def _configured(self) -> str:
        return "configured are " + ", ".join(self._families)

    def members(self, name: str) -> tuple[Backend, ...]:
        """The backend `name` and its instances; empty where there is none."""
        return self._families.get(name, ())

    def shared_name(self, backend: Backend) -> str:
        """The name that `backend` shares with its other instances, its own where it
        has none."""
        name = backend.name.rpartition(".")[0] or backend.name
        return name if len(self._families[name]) > 1 else backend.name


def _twins(
    default: tuple[Backend, ...], backends: Mapping[str, Backend]
) -> dict[str, tuple[Backend, ...]]:
    """The built-in backends of the default's vendor, by the dialects they speak.

    Only those of which the configuration says the same: a base URL of one of them
    alone leads to another server.
    """
    rows = {row.name: row for row in BUILT_IN}
    twins: dict[str, tuple[Backend, ...]] = {}
    for backend in default:
        own = rows.get(backend.name)
        for row in rows.values():
            twin = backends.get(row.name)
            if own is None or twin is None or row.key_variable != own.key_variable:
                continue
            if _as_one_of(backend, twin) == backend:
                twins[twin.dialect] = (twin,)
    return twins


def _as_one_of(backend: Backend, twin: Backend) -> Backend:
    """`twin` with what may differ as `backend` has it."""
    return replace(
        twin,
        name=backend.name,
        dialect=backend.dialect,
        models=backend.models,
        discover=backend.discover,
    )


def _names_of_families(key: str) -> Iterable[str]:
    """`openai.eu.1` is one of `openai.eu.1`, `openai.eu` and `openai`."""
    while key:
        yield key
        key = key.rpartition(".")[0]


def _by_model(backends: Iterable[Backend]) -> dict[str, tuple[Backend, ...]]:
    found: dict[str, tuple[Backend, ...]] = {}
    for backend in backends:
        for model in dict.fromkeys(backend.models):
            found[model] = (*found.get(model, ()), backend)
    return found


def _near(name: str, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name[:64], list(known), n=1)


def _invalid(message: str) -> RoutingError:
    error = APIError(kind="invalid_request", message=message, status=400, param="model")
    return RoutingError(error)


def _not_found(message: str) -> RoutingError:
    error = APIError(kind="not_found", message=message, status=404, param="model")
    return RoutingError(error)
