"""Rules that texts of the configuration follow beyond their type: names and URLs.

Pure. A rule raises ValueError with what was expected, never with the text itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from llmwire import FEATURES
from llmwire.dialects import dialects
from llmwire.filters.leaked_calls import CALL_FORMATS
from llmwire.filters.think import THINK_TAGS
from llmwire.profiles import PROFILES
from llmwire_server.backends import SIMULATOR, parse_base_url

__all__ = ("RULES", "Rule", "suggestion")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'+.^_`|~-]*\*?\Z")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_PROXIES: Final = ("http", "https", "socks5", "socks5h")


class Rule(Struct, frozen=True, kw_only=True):
    """What a text must be: one of a closed list, or what a check lets pass."""

    known: Callable[[], Iterable[str]] | None = None
    """All that there are."""
    pattern: str | None = None
    """A regular expression (ECMA 262) that tells most of it, for editors."""
    check: Callable[[str], object] = str
    """Raises ValueError."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """How a message about an unknown `word` ends: the near name, else all of them."""
    names = list(known)
    near = difflib.get_close_matches(word[:80], names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known are {', '.join(names)}" if names else ""


def _backend_name(text: str) -> None:
    if not _NAME.match(text):
        raise ValueError("a backend's name is letters, digits, `_`, `.` and `-`")
    if text == SIMULATOR:
        raise ValueError("a backend's name is not that of the embedded simulator")


def _base_url(text: str) -> None:
    parse_base_url(text)


def _proxy(text: str) -> None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in _PROXIES or not parts.hostname or not text.isprintable():
        raise ValueError("expected a URL like http://host:port or socks5://host:port")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("the URL of a proxy has no path, query or fragment")


def _regex(text: str) -> None:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from None


def _origin(text: str) -> None:
    """What browsers send as `Origin` (RFC 6454, 6.2): no path, lower case."""
    try:
        parts = urlsplit(text)
        _ = parts.port
        whole = f"{parts.scheme}://{parts.netloc}" == text and bool(parts.hostname)
    except ValueError:
        whole = False
    if text not in ("*", "null") and not (whole and "@" not in text):
        raise ValueError("expected an origin like https://app.example, or `*`")
    if text != text.lower():
        raise ValueError("browsers send origins in lower case")


def _header_pattern(text: str) -> None:
    if not text or not _HEADER.match(text):
        raise ValueError("expected a header's name, or its beginning and `*`")


def _header_name(text: str) -> None:
    """RFC 9110, 5.6.2."""
    if not _TOKEN.match(text):
        raise ValueError("expected a header's name: letters, digits and `-`")


def _model_pattern(text: str) -> None:
    if not text or "*" in text[:-1]:
        raise ValueError("expected a model's name, or its beginning and `*`")


RULES: Final[Mapping[str, Rule]] = {
    "backend-name": Rule(
        check=_backend_name,
        pattern=rf"^(?!{SIMULATOR}$)[A-Za-z0-9][A-Za-z0-9_.-]*$",
    ),
    "base-url": Rule(check=_base_url, pattern="^https?://[^?#@]+$"),
    "call-format": Rule(known=lambda: CALL_FORMATS),
    "dialect": Rule(known=dialects),
    "feature": Rule(known=lambda: FEATURES),
    "header-name": Rule(check=_header_name, pattern="^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"),
    "header-pattern": Rule(
        check=_header_pattern, pattern="^[A-Za-z0-9!#$%&'+.^_`|~-]*\\*?$"
    ),
    "model-pattern": Rule(check=_model_pattern, pattern=r"^[^*]*[^*]$|^[^*]*\*$"),
    "origin": Rule(check=_origin),
    "profile": Rule(known=lambda: PROFILES),
    "proxy": Rule(check=_proxy, pattern="^(https?|socks5h?)://"),
    "regex": Rule(check=_regex),
    "think-tag": Rule(known=lambda: THINK_TAGS),
}
"""By the name that annotations of the tree use."""
