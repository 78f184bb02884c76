"""Credentials, hidden wherever a peer says them back; pure.

Some servers repeat the key they were called with in the error that rejects it. A `Mask`
knows every credential of one configuration, in each form that a peer may write it, and
takes it out of a text.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from llmwire_server.backends import Backend
from llmwire_server.config.tree import Config

__all__ = ("HIDDEN", "Mask", "credentials")

HIDDEN: Final = "[redacted]"
_LEAST: Final = 8
"""Characters of the shortest text that is taken for a credential: local servers are
given keys such as `none`, and those words must stay words."""
_PLAIN: Final = frozenset(
    {
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "api-version",
        "content-type",
        "http-referer",
        "openai-beta",
        "user-agent",
        "x-title",
    }
)
"""Names of configured headers and parameters whose values are no credentials."""


class Mask:
    """Takes credentials out of texts.

    Args:
        secrets: In the clear.
    """

    __slots__ = ("_bytes", "_texts")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {
            form for text in secrets if len(text) >= _LEAST for form in _forms(text)
        }
        # Longer ones first: one may be a part of another.
        self._texts = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        self._bytes = tuple(text.encode("latin-1", "replace") for text in self._texts)

    @classmethod
    def of(cls, config: Config) -> Mask:
        """One that knows every credential of `config`."""
        return cls(credentials(config))

    def text(self, text: str) -> str:
        """`text` without any credential."""
        for form in self._texts:
            if form in text:
                text = text.replace(form, HIDDEN)
        return text

    def finds(self, data: bytes) -> bool:
        """Whether `data` holds a credential."""
        return any(form in data for form in self._bytes)

    def data(self, data: bytes) -> bytes:
        """`data` without any credential; the very same object where it holds none."""
        for form in self._bytes:
            if form in data:
                data = data.replace(form, HIDDEN.encode())
        return data


def _forms(secret: str) -> set[str]:
    """How a peer may write it: plain, in JSON, in a URL, in base64, as a user's name
    or password too."""
    spelled = json.dumps(secret)[1:-1]
    forms = {secret, spelled, spelled.replace("/", "\\/")}
    forms |= {quote(secret), quote(secret, safe="")}
    for pair in (secret, f"{secret}:", f":{secret}"):
        data = pair.encode("utf-8", "replace")
        forms.add(base64.b64encode(data).decode().rstrip("="))
        forms.add(base64.urlsafe_b64encode(data).decode().rstrip("="))
    return forms


def credentials(config: Config) -> Iterator[str]:
    """Every credential that `config` holds."""
    for key in config.keys:
        yield key.reveal()
    for backend in config.backends.values():
        yield from _of_backend(backend)


def _of_backend(backend: Backend) -> Iterator[str]:
    if backend.api_key is not None:
        yield backend.api_key.reveal()
    for values in (backend.headers, backend.query):
        for name, value in values.items():
            if name.lower() not in _PLAIN:
                text = value.reveal()
                yield text
                yield text.rpartition(" ")[2]  # `Bearer …`
    if backend.proxy is not None:
        yield from _of_url(backend.proxy)


def _of_url(url: str) -> Iterator[str]:
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    if at:
        yield user
        yield unquote(user)
        password = user.partition(":")[2]
        yield password
        yield unquote(password)
