"""Cross-origin calls from browsers: who may make them, and how they are told; pure.

By default nobody. Credentials that a browser keeps by itself (cookies) are never
allowed; a page must bring its key in a header. https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re
from typing import Final

from llmwire.http import Headers
from llmwire_server.config.tree import CORS

__all__ = ("CrossOrigin",)

_TOKENS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]{1,4096}\Z")
"""A list of header names (RFC 9110, 5.6.2)."""
_VARY: Final = ("vary", "origin")
_EXPOSED: Final = ("access-control-expose-headers", "*")


class CrossOrigin:
    """What browsers are told, by the origin of the page.

    Args:
        rules: Origins as browsers write them: `https://app.example`, no slash at the
            end; `*` allows every one.
    """

    __slots__ = ("_any", "_max_age", "_origins", "enabled")

    def __init__(self, rules: CORS) -> None:
        self._any = "*" in rules.origins
        self._origins = frozenset(o.lower() for o in rules.origins if o != "*")
        self._max_age = str(int(rules.max_age))
        self.enabled = bool(rules.origins)
        """Any origin is allowed at all."""

    def allows(self, origin: str) -> bool:
        """Whether pages of `origin` may call."""
        return self._any or origin.lower() in self._origins

    def headers(self, origin: str | None) -> Headers:
        """For every answer to a call from `origin`, None: it does not say.

        Answers that depend on the origin say so even to those that are not allowed, so
        that no cache gives them to somebody else.
        """
        if not self.enabled:
            return ()
        if self._any:
            allowed = () if origin is None else (_allow("*"), _EXPOSED)
            return allowed
        if origin is None or not self.allows(origin):
            return (_VARY,)
        return (_allow(origin), _EXPOSED, _VARY)

    def preflight(
        self, origin: str | None, wanted: str | None, names: str | None, allow: str
    ) -> Headers:
        """For the answer to a preflight, beside `headers`; empty where the call is
        none, or not allowed.

        Args:
            origin: Header `origin`.
            wanted: Header `access-control-request-method`.
            names: Header `access-control-request-headers`.
            allow: Methods that the path knows, as in the header `allow`.
        """
        if origin is None or wanted is None or not self.allows(origin):
            return ()
        headers = [
            ("access-control-allow-methods", allow),
            ("access-control-max-age", self._max_age),
            ("vary", "access-control-request-method, access-control-request-headers"),
        ]
        # A wildcard would leave out `authorization`, so what is asked for is named.
        if names is not None and _TOKENS.match(names):
            headers.append(("access-control-allow-headers", names))
        return tuple(headers)


def _allow(origin: str) -> tuple[str, str]:
    return ("access-control-allow-origin", origin)
