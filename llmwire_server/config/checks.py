"""What is wrong, or worth a warning, with a whole configuration.

Everything that one value alone cannot show. `wrong` is asked whenever a configuration
is loaded, `warnings` by `llmwire config check` and when the server starts.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from llmwire_server.backends import (
    BUILT_IN,
    SIMULATOR,
    TLS,
    Backend,
    Secret,
    parse_base_url,
)
from llmwire_server.config.rules import suggestion
from llmwire_server.config.settings import (
    DEFAULT,
    Origin,
    Origins,
    Path,
    Problem,
    shown_path,
)
from llmwire_server.config.tree import Config
from llmwire_server.filtering.rules import FilterRules

__all__ = ("KEY_LENGTH", "loopback", "problem_at", "warnings", "wrong")

KEY_LENGTH = 16
"""Characters of the shortest client key that nobody is warned of."""


def loopback(host: str) -> bool:
    """Whether only this machine reaches, or is reached at, a host name or address."""
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


# --- what is wrong ---------------------------------------------------------------


def wrong(config: Config, origins: Origins, names: Sequence[str]) -> list[Problem]:
    """What makes a configuration unusable.

    Args:
        config: The whole.
        origins: Where its values come from.
        names: All backends that are spoken of, those that could not be read as well.
    """
    problems: list[Problem] = []

    def tell(path: Path, what: str) -> None:
        problems.append(problem_at(path, origins, what))

    chosen = config.default[0]
    instances = (name.startswith(f"{chosen}.") for name in names)
    if chosen not in ("", *names, SIMULATOR) and not any(instances):
        near = suggestion(chosen, names)
        literal = origins.get(("default_backend",), DEFAULT).literal
        name = repr(chosen) if literal else "of that name"
        tell(("default_backend",), f"there is no backend {name}{near}")
    if config.port and config.port == config.anthropic_port:
        tell(("anthropic_port",), "is that of `port`; it needs one of its own")
    for name, backend in config.backends.items():
        path = ("backends", name, "base_url")
        unsaid = origins.get(path, DEFAULT) == DEFAULT
        if not backend.base_url and unsaid and name != SIMULATOR:
            tell(path, "is needed")
        for key, what in _tls_problems(backend.tls):
            tell(("backends", name, "tls", key), what)
    return problems


def problem_at(path: Path, origins: Origins, what: str) -> Problem:
    """What is wrong at a key, with its place."""
    own = origins.get(path, DEFAULT)
    origin = own if own != DEFAULT else origins.get(path[:2], DEFAULT)
    return Problem(f"{_place(path, origin)}: {what}", origin.line)


def _place(path: Path, origin: Origin) -> str:
    shown = shown_path(path)
    if origin.kind == "file":
        return f"{origin.name}, line {origin.line}, {shown}"
    return f"{origin.name}, {shown}" if origin.name else shown


def _tls_problems(tls: TLS) -> Iterator[tuple[str, str]]:
    """Keys of a backend's TLS settings, and what is wrong with their files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca_file is not None:
        try:
            context.load_verify_locations(tls.ca_file)
        except (OSError, ValueError) as error:
            yield "ca_file", f"no PEM file of authorities: {_reason(error)}"
    if tls.client_cert is not None:
        try:
            context.load_cert_chain(tls.client_cert, tls.client_key, lambda: b"")
        except (OSError, ValueError) as error:
            yield "client_cert", f"no certificate and its key: {_reason(error)}"
    elif tls.client_key is not None:
        yield "client_key", "is the key of a certificate, and there is no client_cert"


def _reason(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return str(reason).partition(" (_ssl")[0]


# --- what is worth a warning -----------------------------------------------------


def warnings(
    config: Config, origins: Origins, file: str | None, outdone: Sequence[str] = ()
) -> list[str]:
    """What is allowed, and is probably not meant.

    Args:
        config: The whole.
        origins: Where its values come from.
        file: The file that was read, if any.
        outdone: Keys of it that the vendors' own variables go over.
    """
    found = [
        *_about_clients(config),
        *_about_limits(config),
        *_about_backends(config, origins),
        *_about_filters(config),
        *_about_file(file, origins, config),
    ]
    for path in outdone:
        name, key = path.split(".", 1)[1].rsplit(".", 1)
        row = next(row for row in BUILT_IN if row.name == name)
        variable = row.url_variable if key == "base_url" else row.key_variable
        found.append(f"{path}: the environment's {variable} goes over the file")
    return found


def _about_clients(config: Config) -> Iterator[str]:
    local = loopback(config.host)
    if config.keys and local:
        yield (
            f"host: keys are asked for, though only this machine reaches {config.host}"
        )
    if not config.keys and not local:
        yield (
            "keys: without any, only callers on this machine are answered, though the "
            f"server listens at {config.host or 'every address'}"
        )
    for at, key in enumerate(config.keys):
        if len(key.reveal()) < KEY_LENGTH:
            one = f"keys[{at}]" if config.keys_file is None else "keys: one"
            yield f"{one}: shorter than {KEY_LENGTH} characters"
    if len(set(config.keys)) < len(config.keys):
        yield "keys: one stands there twice"
    upstream = {backend.api_key for backend in config.backends.values()}
    if upstream.intersection(config.keys):
        yield "keys: one of them is a backend's api_key; give clients keys of their own"
    if "*" in config.cors.origins and not config.keys and local:
        yield "cors.origins: `*` lets every web page that you visit call this server"


def _about_limits(config: Config) -> Iterator[str]:
    if config.connections.per_origin > config.connections.total:
        yield "connections.per_origin: more than connections.total"
    times = config.timeouts
    if times.total and times.total < times.first_byte:
        yield "timeouts.total: shorter than timeouts.first_byte"


def _about_backends(config: Config, origins: Origins) -> Iterator[str]:
    listed: dict[str, str] = {}
    for name, backend in config.backends.items():
        path = f"backends.{name}"
        if backend.base_url:
            yield from _about_address(path, backend)
        for model in backend.models:
            if listed.setdefault(model, name) != name:
                yield f"{path}.models: {model!r} is listed by {listed[model]} as well"


def _about_address(path: str, backend: Backend) -> Iterator[str]:
    url = parse_base_url(backend.base_url)
    if url.scheme == "https":
        return
    secret = backend.api_key or backend.headers or backend.query
    if secret and not loopback(url.host):
        yield f"{path}.base_url: secrets go to {url.host} unencrypted, by http://"
    if backend.tls != TLS():
        yield f"{path}.tls: is not used, for its base_url is http://"


def _about_filters(config: Config) -> Iterator[str]:
    """Options of filters that nothing switches on or off."""
    backends = config.backends.items()
    levels = [
        ("filters", config.filters),
        *((f"backends.{name}.filters", each.filters) for name, each in backends),
        *(
            (f"backends.{name}.model_filters.{model}", rules)
            for name, each in backends
            for model, rules in each.model_filters.items()
        ),
    ]
    for name in FilterRules.__struct_fields__:
        records = [(path, getattr(rules, name)) for path, rules in levels]
        if any(record.mode is not None for _, record in records):
            continue
        for path, record in records:
            if record != type(record)():
                yield f"{path}.{name}: has no effect, for no `mode` switches it on"


def _about_file(file: str | None, origins: Origins, config: Config) -> Iterator[str]:
    if file is None or os.name != "posix" or not _holds_secret(origins, config):
        return
    mode = os.stat(file).st_mode
    if mode & (stat.S_IROTH | stat.S_IRGRP):
        others = "everybody" if mode & stat.S_IROTH else "its group"
        yield (
            f"{file}: holds secrets and {others} can read it; chmod 600, or name "
            "variables that hold them: ${VARIABLE}"
        )


def _holds_secret(origins: Origins, config: Config) -> bool:
    """Whether a secret itself stands in the file."""
    return any(
        origin.kind == "file" and origin.literal and _secret(config, path)
        for path, origin in origins.items()
    )


def _secret(config: Config, path: Path) -> bool:
    found: object = config
    for name in path:
        found = found[name] if isinstance(found, dict) else getattr(found, name)
    several = found if isinstance(found, tuple) else (found,)
    return any(isinstance(one, Secret) for one in several)
