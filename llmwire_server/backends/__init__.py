"""Where a dialect is spoken, and as whom.

A `Backend` is a base URL, a credential, a dialect and a profile. Nothing here opens a
socket, and nothing shows a credential: `Secret` has no text of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlencode, urlsplit

from msgspec import Meta, Struct, field

from llmwire.dialects import get
from llmwire.http import Headers, HTTPRequest
from llmwire_server.filtering.rules import FilterRules, ModelPattern
from llmwire_server.upstream import UpstreamRequest

__all__ = (
    "BUILT_IN",
    "SIMULATOR",
    "TLS",
    "Address",
    "Backend",
    "BaseURL",
    "Feature",
    "LossRule",
    "Secret",
    "SecretText",
    "parse_base_url",
    "upstream_path",
    "upstream_request",
)

SIMULATOR: Final = "simulator"
"""Name of the backend that is no server at all."""

_VERSION: Final = re.compile(r"/v\d+[a-z0-9]*\Z")
_LEADING_VERSION: Final = re.compile(r"\A/v\d+[a-z0-9]*(?=/)")
_KEY: Final = re.compile(r"[\x21-\x7e]+\Z")
_TEXT: Final = re.compile(r"[\x20-\x7e]+\Z")
_HOST: Final = re.compile(r"[0-9A-Za-z._~:-]+\Z")
_PATH: Final = re.compile(r"[\x21-\x7e]*\Z")
_PORTS: Final = {"http": 80, "https": 443}


class Secret:
    """Text that is never shown: `reveal` it where it is sent.

    Args:
        text: White space around it, such as the line break of a file, is dropped.

    Raises:
        ValueError: It holds what no header can carry; the text does not show it.
    """

    __slots__ = ("_text",)
    _form: ClassVar[re.Pattern[str]] = _KEY
    _rule: ClassVar[str] = "a key is made of visible ASCII characters"

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        if not self._form.match(self._text):
            raise ValueError(self._rule)

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class SecretText(Secret):
    """A `Secret` that may hold spaces, as the values of headers do."""

    __slots__ = ()
    _form = _TEXT
    _rule = "such a value is made of printable ASCII characters"


class BaseURL(NamedTuple):
    """A base URL, taken apart."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str
    """Without a slash at its end, unless it is nothing but one."""


LossRule: TypeAlias = Literal["error", "warn", "allow", "emulate"]
"""What is done about a feature that a server lacks: the call is refused; it is left
out and told; it is left out and not told; it is done by other means."""


Feature: TypeAlias = Annotated[str, Meta(extra={"rule": "feature"})]
"""A key of `llmwire.FEATURES`."""


HeaderName: TypeAlias = Annotated[str, Meta(extra={"rule": "header-name"})]


class TLS(Struct, frozen=True, kw_only=True):
    """Whom a server is trusted by, and as whom it is called."""

    ca_file: Annotated[
        str | None,
        Meta(description="PEM file of authorities, instead of the system's"),
    ] = None
    client_cert: Annotated[
        str | None, Meta(description="PEM file of this client's certificate")
    ] = None
    client_key: Annotated[
        str | None, Meta(description="PEM file of its key, where it is another file")
    ] = None


class Backend(Struct, frozen=True, kw_only=True):
    """One server, and how it is spoken to."""

    name: Annotated[str, Meta(extra={"rule": "name"})]
    dialect: Annotated[
        str, Meta(description="that the server speaks", extra={"rule": "dialect"})
    ]
    base_url: Annotated[
        str,
        Meta(description="what the vendor's own SDK takes", extra={"rule": "base-url"}),
    ] = ""
    api_key: Annotated[
        Secret | None, Meta(description="never shown; ${VARIABLE} reads another one")
    ] = None
    api_key_file: Annotated[
        str | None,
        Meta(description="a file that holds the key; read again at every reload"),
    ] = None
    models: Annotated[
        tuple[str, ...],
        Meta(description="models that calls without a backend's name find here"),
    ] = ()
    discover: Annotated[
        bool, Meta(description="ask it for its models when a client asks for a list")
    ] = True
    headers: Annotated[
        Mapping[HeaderName, SecretText],
        Meta(description="sent with every call, over all others; never shown"),
    ] = field(default_factory=dict)
    query: Annotated[
        Mapping[str, SecretText],
        Meta(description="parameters of every URL, such as api-version; never shown"),
    ] = field(default_factory=dict)
    profile: Annotated[
        str | None,
        Meta(
            description="facts about the server; see llmwire.profiles",
            extra={"rule": "profile"},
        ),
    ] = None
    losses: Annotated[
        Mapping[Feature, LossRule],
        Meta(
            description="feature to error, warn, allow or emulate; before the general"
        ),
    ] = field(default_factory=dict)
    filters: Annotated[
        FilterRules, Meta(description="filters of its answers; before the general")
    ] = FilterRules()
    model_filters: Annotated[
        Mapping[ModelPattern, FilterRules],
        Meta(description="for some models, by name or beginning and `*`; before both"),
    ] = field(default_factory=dict)
    proxy: Annotated[
        str | None,
        Meta(
            description="http://, socks5:// or socks5h:// URL on the way",
            extra={"rule": "proxy"},
        ),
    ] = None
    tls: Annotated[TLS, Meta(description="trust and client certificate")] = TLS()

    def __rich_repr__(self) -> list[tuple[str, object]]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        if self.proxy is not None:
            fields["proxy"] = self.proxy.rpartition("@")[2]  # never its user
        return list(fields.items())

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Backend({', '.join(shown)})"


class BuiltIn(Struct, frozen=True):
    """A backend that exists as soon as its key is in the environment."""

    name: str
    dialect: str
    base_url: str
    key_variable: str
    url_variable: str


BUILT_IN: Final = (
    BuiltIn(
        "openai",
        "openai-chat",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
    ),
    BuiltIn(
        "openai-responses",
        "openai-responses",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
    ),
    BuiltIn(
        "anthropic",
        "anthropic",
        "https://api.anthropic.com",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
    ),
    BuiltIn(
        "gemini",
        "gemini",
        "https://generativelanguage.googleapis.com",
        "GEMINI_API_KEY",
        "GEMINI_BASE_URL",
    ),
)


def parse_base_url(url: str) -> BaseURL:
    """Take a base URL apart.

    Raises:
        ValueError: It is no http or https URL, or has a query, a fragment or a user;
            the text holds nothing of it.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("expected a URL like https://host:port/path") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("expected a URL like https://host/path")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("a base URL has no user, query or fragment")
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    if not _HOST.match(parts.hostname) or not _PATH.match(parts.path):
        raise ValueError("a base URL is made of visible ASCII characters")
    port = parts.port if parts.port is not None else _PORTS[scheme]
    path = parts.path.rstrip("/") or parts.path[:1]
    return BaseURL(scheme, parts.hostname, port, path)


def upstream_path(dialect: str, base: str, path: str) -> str:
    """The path of a call: the version is said once, and `base` decides which.

    A base path without a version is a prefix. The SDKs of OpenAI take the version as
    a part of it, so that behind theirs (`/openai`, or a mere `/`) only the call's own
    name follows.

    Args:
        dialect: Name of the dialect that is spoken there.
        base: Path of the base URL.
        path: Of the call, as the vendor has it: `/v1/messages`.
    """
    whole = bool(base) and dialect.startswith("openai")
    if whole or _VERSION.search(base):
        path = _LEADING_VERSION.sub("", path, count=1)
    return base.rstrip("/") + path


_SHORT: Final = 128
_TARGETS: Final = 256
_SIMULATED: Final = BaseURL("http", SIMULATOR, 80, "")


class Address:
    """How one backend is reached: what is the same for all calls, worked out once.

    Args:
        backend: Only the embedded simulator needs no base URL.

    Raises:
        ValueError: Its base URL is none.
    """

    def __init__(self, backend: Backend) -> None:
        simulated = backend.name == SIMULATOR
        self._url = _SIMULATED if simulated else parse_base_url(backend.base_url)
        self._dialect = backend.dialect
        self._simulated = simulated
        query = {name: value.reveal() for name, value in backend.query.items()}
        self._query = urlencode(query, safe="*")
        own = {name.lower(): value.reveal() for name, value in backend.headers.items()}
        key = backend.api_key
        credential = get(backend.dialect).write_credential(key.reveal()) if key else ()
        self.secret_headers = frozenset(name for name, _ in credential) | own.keys()
        """Names of the headers that are never shown."""
        self._headers: Headers = (
            *(pair for pair in credential if pair[0] not in own),
            *own.items(),
        )
        self._targets: dict[str, str] = {}
        """Paths of calls that were met, and where they go."""

    def request(self, http: HTTPRequest, passed: Headers = ()) -> UpstreamRequest:
        """`http` addressed to the backend, with its credential and its own headers.

        Args:
            http: What to send.
            passed: The client's headers that are sent on, where nothing else says
                the same.
        """
        headers = http.headers
        if passed:
            said = {name for name, _ in headers}
            headers += tuple(pair for pair in passed if pair[0] not in said)
        if self._headers:
            own = self.secret_headers
            kept = [pair for pair in headers if pair[0] not in own]
            headers = (*kept, *self._headers)
        url = self._url
        return UpstreamRequest(
            method=http.method,
            scheme=url.scheme,
            host=url.host,
            port=url.port,
            target=self._target(http.path),
            headers=headers,
            body=http.body,
        )

    def _target(self, path: str) -> str:
        target = self._targets.get(path)
        if target is None:
            target = self._make_target(path)
            if len(path) <= _SHORT and len(self._targets) < _TARGETS:
                self._targets[path] = target
        return target

    def _make_target(self, path: str) -> str:
        if not self._simulated:
            path = upstream_path(self._dialect, self._url.path, path)
        if not self._query:
            return path
        return f"{path}{'&' if '?' in path else '?'}{self._query}"


def upstream_request(backend: Backend, http: HTTPRequest) -> UpstreamRequest:
    """`http` addressed to `backend`, with its credential."""
    return Address(backend).request(http)
