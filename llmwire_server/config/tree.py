"""Everything that the server can be told: one tree of frozen records, and its defaults.

Nothing but data: who reads it from files, the environment and flags is `load`. The
descriptions are what `llmwire config schema` and the documentation say of a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

from llmwire_server.backends import (
    SIMULATOR,
    Backend,
    Feature,
    LossRule,
    Secret,
)
from llmwire_server.filtering.rules import FilterRules

__all__ = (
    "CORS",
    "Config",
    "ConnectionLimits",
    "HeaderRules",
    "Losses",
    "Models",
    "RequestLimits",
    "Simulator",
    "SimulatorRule",
    "TimeLimits",
)

Count: TypeAlias = Annotated[int, Meta(ge=1)]
Bytes: TypeAlias = Annotated[int, Meta(ge=1, extra={"unit": "bytes"})]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=86400, extra={"unit": "seconds"})]
Origin: TypeAlias = Annotated[str, Meta(extra={"rule": "origin"})]
BackendName: TypeAlias = Annotated[str, Meta(extra={"rule": "backend-name"})]
HeaderPattern: TypeAlias = Annotated[str, Meta(extra={"rule": "header-pattern"})]


class RequestLimits(Struct, frozen=True, kw_only=True):
    """What a client may send; each is answered by an error in the client's dialect."""

    body: Annotated[Bytes, Meta(description="bytes of a body, once inflated")] = (
        10 * 1024 * 1024
    )
    concurrent: Annotated[Count, Meta(description="calls at the same time")] = 100
    headers: Annotated[Count, Meta(description="header fields")] = 100
    header_bytes: Annotated[
        Bytes, Meta(description="bytes of all names and values of headers")
    ] = 64 * 1024
    nesting: Annotated[
        Count, Meta(description="levels of arrays and objects in a body")
    ] = 128
    messages: Annotated[Count, Meta(description="messages of a request")] = 100_000
    answer: Annotated[Bytes, Meta(description="bytes of an upstream's whole body")] = (
        64 * 1024 * 1024
    )


class TimeLimits(Struct, frozen=True, kw_only=True):
    """How long things may take, in seconds; 0 is no limit."""

    head: Annotated[
        Seconds, Meta(description="for a client to send the head of a request")
    ] = 30.0
    body: Annotated[Seconds, Meta(description="for a client to send its body")] = 60.0
    pool: Annotated[
        Seconds, Meta(description="waiting for a connection that is free")
    ] = 10.0
    connect: Annotated[
        Seconds, Meta(description="name lookup, TCP and TLS handshakes together")
    ] = 10.0
    write: Annotated[
        Seconds, Meta(description="until the upstream has taken the request")
    ] = 60.0
    first_byte: Annotated[
        Seconds, Meta(description="until the head of the upstream's answer")
    ] = 300.0
    idle: Annotated[
        Seconds, Meta(description="between two pieces of the upstream's answer")
    ] = 300.0
    total: Annotated[Seconds, Meta(description="one call from end to end")] = 0.0
    send: Annotated[
        Seconds, Meta(description="a client may leave a piece of its answer untaken")
    ] = 300.0
    keepalive: Annotated[
        Seconds,
        Meta(description="silence after which a stream shows it lives; 0: never"),
    ] = 15.0
    shutdown: Annotated[
        Seconds, Meta(description="for streams to end when the server is told to stop")
    ] = 10.0


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """Connections to upstreams."""

    total: Annotated[Count, Meta(description="to all origins, idle ones included")] = (
        1000
    )
    per_origin: Annotated[Count, Meta(description="to one origin")] = 500
    waiting: Annotated[
        Count, Meta(description="calls that may wait for a connection")
    ] = 1000
    idle_seconds: Annotated[
        Seconds, Meta(description="after which an idle one is closed")
    ] = 60.0
    age_seconds: Annotated[
        Seconds, Meta(description="after which one is not used again; 0: no limit")
    ] = 3600.0


class CORS(Struct, frozen=True, kw_only=True):
    """Browsers of which origins may call; none by default."""

    origins: Annotated[
        tuple[Origin, ...], Meta(description="such as https://app.example; `*`: any")
    ] = ()
    max_age: Annotated[
        Seconds, Meta(description="seconds for which browsers remember the answer")
    ] = 600.0


class HeaderRules(Struct, frozen=True, kw_only=True):
    """Which headers pass beyond those that always do; names, `*` at the end matches."""

    request: Annotated[
        tuple[HeaderPattern, ...], Meta(description="of clients, sent on to upstreams")
    ] = ()
    response: Annotated[
        tuple[HeaderPattern, ...],
        Meta(description="of upstreams, sent on to clients"),
    ] = ()
    route: Annotated[
        bool, Meta(description="tell clients by x-llmwire-backend who answered")
    ] = True


class Models(Struct, frozen=True, kw_only=True):
    """How models are found, and where their lists come from."""

    bare: Annotated[
        Literal["default", "listed", "refused"],
        Meta(
            description="models that name no backend: to the default where none lists "
            "them; only where one lists them; none at all"
        ),
    ] = "default"
    discover: Annotated[
        bool, Meta(description="lists hold what the backends themselves list")
    ] = True
    wait_seconds: Annotated[
        Seconds, Meta(description="for all backends together to give their lists")
    ] = 3.0
    age_seconds: Annotated[
        Seconds, Meta(description="after which a backend is asked again")
    ] = 300.0


class Losses(Struct, frozen=True, kw_only=True):
    """What is done, and told, when a target cannot say something."""

    header: Annotated[
        bool, Meta(description="tell clients by the header x-llmwire-losses")
    ] = True
    log: Annotated[bool, Meta(description="tell the log")] = True
    policy: Annotated[
        Mapping[Feature, LossRule],
        Meta(description="feature to error, warn, allow or emulate"),
    ] = field(default_factory=dict)


class Log(Struct, frozen=True, kw_only=True):
    """What the log on standard error says."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="the least that is written"),
    ] = "info"
    format: Annotated[
        Literal["text", "json"], Meta(description="lines for people or for programs")
    ] = "text"
    calls: Annotated[bool, Meta(description="a line for every call")] = False


class SimulatorRule(Struct, frozen=True, kw_only=True):
    """One scripted answer of the embedded simulator."""

    match: Annotated[
        str,
        Meta(
            description="regular expression, searched in the last text of the user",
            extra={"rule": "regex"},
        ),
    ]
    text: Annotated[str | None, Meta(description="what is answered")] = None
    reasoning: Annotated[str | None, Meta(description="what is thought before")] = None
    calls: Annotated[
        tuple[str, ...],
        Meta(description="tools to call, all at once, with arguments that fit"),
    ] = ()
    arguments: Annotated[
        str | None, Meta(description="of every call, instead; JSON or not")
    ] = None
    error: Annotated[
        Annotated[int, Meta(ge=400, le=599)] | None,
        Meta(description="HTTP status to fail with"),
    ] = None
    pace: Annotated[
        Seconds | None, Meta(description="seconds between the events of a stream")
    ] = None


class Simulator(Struct, frozen=True, kw_only=True):
    """The embedded simulator: scripted answers in every dialect, no network."""

    pace: Annotated[
        Seconds, Meta(description="seconds between the events of a stream")
    ] = 0.0
    rules: Annotated[
        tuple[SimulatorRule, ...], Meta(description="the first that matches answers")
    ] = ()


class Config(Struct, frozen=True, kw_only=True):
    """Everything that the server is told."""

    host: Annotated[str, Meta(description="address to listen at")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="0: any free one")] = 8000
    anthropic_port: Annotated[
        Port | None, Meta(description="a second port, whose clients speak Anthropic")
    ] = None
    keys: Annotated[
        tuple[Secret, ...],
        Meta(description="of clients; with none, only this machine may call"),
    ] = ()
    keys_file: Annotated[
        str | None,
        Meta(description="a file with more of them, one to a line; read at every load"),
    ] = None
    backends: Annotated[
        Mapping[BackendName, Backend],
        Meta(description="servers, by a name of your choice"),
    ] = field(default_factory=dict)
    default_backend: Annotated[
        str,
        Meta(
            description="NAME or NAME:MODEL, for models that name no backend; else the "
            "first backend"
        ),
    ] = ""
    models: Models = Models()
    limits: RequestLimits = RequestLimits()
    timeouts: TimeLimits = TimeLimits()
    connections: ConnectionLimits = ConnectionLimits()
    cors: CORS = CORS()
    headers: HeaderRules = HeaderRules()
    filters: Annotated[
        FilterRules, Meta(description="filters of answers, for all backends")
    ] = FilterRules()
    losses: Losses = Losses()
    log: Log = Log()
    simulator: Simulator = Simulator()

    @property
    def simulated(self) -> bool:
        """Nothing but the embedded simulator answers."""
        return set(self.backends) == {SIMULATOR}

    @property
    def default(self) -> tuple[str, str | None]:
        """The default backend (`""`: none is named, it is the first), and the model
        that the configuration names for it."""
        name, _, model = self.default_backend.partition(":")
        return name, model or None
