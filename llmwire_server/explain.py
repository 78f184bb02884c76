"""What would become of a request: where it goes and why, what is sent, what is lost.

Pure: nothing is sent, nobody is asked. The same functions decide here that decide when
a call is served. Credentials are never shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from llmwire import (
    Exchange,
    HTTPRequest,
    LocalProtocolError,
    Loss,
    Profile,
    Request,
    UnsupportedFeature,
    encode_request,
    estimate_tokens,
    profiles,
)
from llmwire.dialects import get
from llmwire.translate import EncodedRequest, decode_request
from llmwire_server.backends import SIMULATOR, Address, Backend, SecretText
from llmwire_server.config import Config
from llmwire_server.filtering.plan import Filtered, filters_of
from llmwire_server.losses_told import LossRules, describe, loss_rules
from llmwire_server.routing import (
    Decision,
    Parameters,
    Router,
    RoutingError,
    spoken_by,
    write_selector,
)
from llmwire_server.routing.router import Why
from llmwire_server.upstream import Origin

__all__ = ("Explanation", "Fact", "Refusal", "Upstream", "explain", "render", "to_json")

_MASK: Final = "***"
_REASONS: Final[Mapping[Why, str]] = {
    "named": "the model's name begins with the backend's",
    "listed": "the backend lists the model",
    "vendor": "the model's name begins with its vendor's",
    "default": "no backend is named and none lists the model: it is the default",
}


class Fact(Struct, frozen=True):
    """One fact about a server or its model that changed what is sent or lost."""

    name: str
    """A field of `llmwire.Profile`."""
    value: Any


class Refusal(Struct, frozen=True, kw_only=True):
    """Why nothing would be sent."""

    status: int
    message: str
    loss: Loss | None = None
    """What cannot be said, where that is why."""


class Upstream(Struct, frozen=True, kw_only=True):
    """The request that would be sent."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    """Values of credentials, and of headers that the configuration adds, are masked."""
    body: Raw
    verbatim: bool
    """It is the client's own body, byte for byte."""


class Explanation(Struct, frozen=True, kw_only=True):
    """What would become of one request."""

    dialect: str
    """Of the client."""
    operation: str
    stream: bool
    model: str | None
    """As the client names it."""
    input_tokens: int
    """An estimate by rule of thumb, not a count."""
    why: Why | None = None
    """None: it goes nowhere."""
    backends: tuple[str, ...] = ()
    """They take such calls in turn; the first is explained."""
    backend_dialect: str | None = None
    backend_model: str | None = None
    parameters: Parameters | None = None
    """From the model's name."""
    profile: str | None = None
    facts: tuple[Fact, ...] = ()
    """Those of the profile that mattered for this request."""
    upstream: Upstream | None = None
    """None: nothing would be sent."""
    counted_here: bool = False
    """The backend cannot count tokens: the proxy estimates."""
    losses: tuple[Loss, ...] = ()
    filters: tuple[str, ...] = ()
    """Filters of such answers that are on, with their modes, in their order."""
    untold: tuple[str, ...] = ()
    """Features whose losses the configuration says nothing of."""
    refusal: Refusal | None = None


def explain(http: HTTPRequest, dialect: str, config: Config) -> Explanation:
    """Work out what would become of `http`, without sending anything.

    Args:
        http: What the client sends; an empty path is the usual one of its dialect.
        dialect: Of the client.
        config: Of the proxy.

    Raises:
        RemoteProtocolError: It is no request of that dialect.
        UnsupportedFeature: It can be said in no dialect, its own included.
        LocalProtocolError: It is none that is sent to a backend, such as one for a
            list of models; or its path is needed, for it names the model.
    """
    exchange = Exchange(dialect, created=0.0, id="explain")
    http = http if http.path else _with_usual_path(http, dialect)
    request = exchange.receive_request(http)
    if request is None:
        what = "only calls that generate or count tokens are sent to a backend"
        raise LocalProtocolError(what)
    router = Router(config.backends, *config.default, bare=config.models.bare)
    explanation = Explanation(
        dialect=exchange.dialect.name,
        operation=exchange.operation,
        stream=bool(request.stream),
        model=request.model,
        input_tokens=estimate_tokens(request).input,
    )
    try:
        decision = router.route(request.model, exchange.dialect.name)
    except RoutingError as error:
        refusal = Refusal(status=error.error.status or 400, message=str(error))
        return replace(explanation, refusal=refusal)
    return _sent(explanation, decision, exchange, request, http, config)


def _with_usual_path(http: HTTPRequest, dialect: str) -> HTTPRequest:
    request = decode_request(http, dialect)
    named = replace(request, model=request.model or "MODEL")
    http = replace(http, path=encode_request(named, dialect).http.path)
    route = get(dialect).route(http)
    if request.model is None and route is not None and route.model is not None:
        raise LocalProtocolError(f"the path names the model, as in {http.path}")
    return http


def _sent(
    explanation: Explanation,
    decision: Decision,
    exchange: Exchange,
    request: Request,
    http: HTTPRequest,
    config: Config,
) -> Explanation:
    backend = decision.backends[0]
    dialect = spoken_by(backend, exchange.dialect.name)
    rules = loss_rules(config.losses.policy, backend.losses)
    plan = filters_of(config.filters, backend, rules.policy).plan(decision.model)
    asked = decision.applied(request)
    model = decision.changed(request.model)
    known = replace(
        explanation,
        why=decision.why,
        backends=tuple(each.name for each in decision.backends),
        backend_dialect=dialect,
        backend_model=decision.model,
        parameters=decision.parameters,
        profile=profiles.resolve(dialect, backend.profile).name,
        filters=plan.on if plan is not None else (),
        untold=tuple(sorted(rules.untold)),
    )
    if exchange.operation == "count_tokens" and (
        get(dialect).encode_count_request is None
    ):
        return replace(known, counted_here=True)
    try:
        filtered = plan.applied(asked) if plan is not None else Filtered(asked)
        asked = filtered.request
        attempt = exchange.attempt(
            dialect,
            asked,
            profile=backend.profile,
            model=model,
            tag=backend.name,
            filters=filtered.factories,
            policy=rules.policy,
        )
    except UnsupportedFeature as error:
        refusal = Refusal(status=400, message=str(error), loss=error.loss)
        known = replace(known, refusal=refusal)
    else:
        upstream = _upstream(backend, attempt.http, http.body)
        known = replace(known, upstream=upstream, losses=attempt.losses)
    facts = tuple(_facts(asked, dialect, backend, decision.model, rules))
    return replace(known, facts=facts)


def _upstream(backend: Backend, http: HTTPRequest, body: bytes) -> Upstream:
    query = {name: SecretText(_MASK) for name in backend.query}
    address = Address(replace(backend, query=query))
    request = address.request(http)
    place = "simulator:" if backend.name == SIMULATOR else _origin(request.origin)
    return Upstream(
        method=request.method,
        url=place + request.target,
        headers=tuple(
            (name, _MASK if name in address.secret_headers else value)
            for name, value in request.headers
        ),
        body=Raw(request.body or b"null"),
        verbatim=request.body == body,
    )


def _origin(origin: Origin) -> str:
    usual = {"http": 80, "https": 443}[origin.scheme]
    text = str(origin)
    return text.removesuffix(f":{usual}") if origin.port == usual else text


def _facts(
    request: Request,
    dialect: str,
    backend: Backend,
    model: str | None,
    rules: LossRules,
) -> Iterator[Fact]:
    """Facts without which something else would be sent or lost: each is taken away,
    and the request written once more."""

    def written(facts: Profile) -> EncodedRequest | None:
        try:
            return encode_request(
                request,
                dialect,
                profile=facts,
                model=model,
                tag=backend.name,
                policy=rules.policy,
            )
        except UnsupportedFeature:
            return None

    def matters(**changes: Any) -> bool:
        other = written(replace(profile, **changes))
        if other is None or usual is None:
            return other is not usual
        return (other.http, other.losses) != (usual.http, usual.losses)

    profile = profiles.resolve(dialect, backend.profile, model or request.model)
    usual = written(profile)
    plain = Profile()
    for name in sorted(profile.rejects):
        if matters(rejects=profile.rejects - {name}):
            yield Fact("rejects", name)
    for field in Profile.__struct_fields__:
        value, general = getattr(profile, field), getattr(plain, field)
        if field in ("name", "rejects") or value == general:
            continue
        if matters(**{field: general}):
            yield Fact(field, value)


# --- Showing it ----------------------------------------------------------------------


def to_json(explanation: Explanation) -> bytes:
    """An explanation for programs: one JSON object."""
    return msgspec.json.encode(explanation)


def render(explanation: Explanation) -> str:
    """An explanation for people; ends with a line break."""
    return "\n".join((*_lines(explanation), ""))


def _lines(it: Explanation) -> Iterator[str]:
    asked = "streamed" if it.stream else it.operation
    yield f"from     {it.dialect}, {asked}, model {it.model!r}"
    if it.why is not None:
        yield f"to       {_where(it)} ({it.backend_dialect})"
        yield f"why      {_REASONS[it.why]}"
    if len(it.backends) > 1:
        yield f"         {', '.join(it.backends)} take such calls in turn"
    if it.parameters is not None:
        given = msgspec.to_builtins(it.parameters)
        yield "with     " + ", ".join(f"{k}={v}" for k, v in given.items())
    yield f"input    about {it.input_tokens} tokens, by estimate"
    if it.profile is not None:
        yield f"profile  {it.profile}"
    for fact in it.facts:
        yield f"         {fact.name}: {_shown_value(fact.value)}"
    if it.filters:
        yield f"filters  {', '.join(it.filters)}"
    yield from _ending(it)


def _ending(it: Explanation) -> Iterator[str]:
    if it.counted_here:
        yield "nothing is sent: the backend cannot count tokens, so they are estimated"
    if it.refusal is not None:
        yield f"refused  {it.refusal.status}: {it.refusal.message}"
    if it.upstream is not None:
        yield from ("", f"{it.upstream.method} {it.upstream.url}")
        yield from (f"{name}: {value}" for name, value in it.upstream.headers)
        yield ""
        yield msgspec.json.format(bytes(it.upstream.body), indent=2).decode()
        if it.upstream.verbatim:
            yield "(the client's own body, byte for byte)"
        yield ""
        yield f"losses   {len(it.losses) or 'none'}"
    for loss in it.losses:
        quiet = " [not told]" if loss.feature in it.untold else ""
        yield f"  {describe(loss)}{quiet}"


def _where(it: Explanation) -> str:
    name = it.backends[0]
    return name if it.backend_model is None else write_selector(name, it.backend_model)


def _shown_value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
