"""A body's `model` given another value, every other byte left alone.

Knows JSON and the name of that one member, which three of the dialects share.
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Struct

from llmwire._json import decode_any, decode_as, decode_object, encode
from llmwire.errors import RemoteProtocolError

_NAMED: Final = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\]|\\.)*")')
_NAME: Final = b'"model"'
_ESCAPED_LETTER: Final = b"\\u006"
"""Begins the escapes of all letters of `model`."""
_NEAR: Final = 4096
"""Bytes in which the model is looked for without reading the whole body."""
_CANDIDATES: Final = 4
"""How many places that look like the member are tried before the body is scanned."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]', re.DOTALL)
_AFTER_COLON: Final = re.compile(rb"[ \t\r\n]*")


def rewrite_model(body: bytes, model: str) -> bytes:
    """`body`, a JSON object, with another `model`, nothing else touched.

    Of several members of that name the last is meant, as JSON parsers have it.

    Raises:
        RemoteProtocolError: The body is no JSON object, where that was noticed.
    """
    value = encode(model)
    span = _only_named(body)
    if span is not None:
        return body[: span[0]] + value + body[span[1] :]
    spliced = _guessed(body, value, model)
    if spliced is not None:
        return spliced
    members = decode_object(body)
    if "model" not in members:
        start = body.index(b"{") + 1
        comma = b"," if members else b""
        return body[:start] + b'"model":' + value + comma + body[start:]
    span = _span_of(body, "model")
    return body[: span[0]] + value + body[span[1] :]


def _only_named(body: bytes) -> tuple[int, int] | None:
    """Where the model stands, if it is named once, near the front, in plain letters."""
    found = _NAMED.search(body, 0, _NEAR)
    if found is None or body.count(_NAME) != 1 or _ESCAPED_LETTER in body:
        return None
    depth = 0
    for token in _TOKEN.findall(body, 0, found.start()):
        depth += (token in (b"{", b"[")) - (token in (b"}", b"]"))
    return found.span(1) if depth == 1 and body.lstrip()[:1] == b"{" else None


class _Named(Struct):
    model: Any = None


def _guessed(body: bytes, value: bytes, model: str) -> bytes | None:
    """`body` with `value` where `model` seems to stand, if reading it back proves it.

    Texts and tools may name a `model` too: only at the right place does another value
    change what the whole body's own member is.
    """
    try:
        if decode_as(_Named, body).model in (None, model):
            return None
        for _, match in zip(range(_CANDIDATES), _NAMED.finditer(body), strict=False):
            spliced = body[: match.start(1)] + value + body[match.end(1) :]
            if decode_as(_Named, spliced).model == model:
                return spliced
    except RemoteProtocolError:
        pass
    return None


def _span_of(body: bytes, name: str) -> tuple[int, int]:
    """Where the value of the last member `name` at depth 1 stands."""
    depth = 0
    key: str | None = None
    last: bytes = b""
    start = -1
    span = (-1, -1)
    for match in _TOKEN.finditer(body):
        token = match[0]
        if token in (b"{", b"["):
            depth += 1
        elif token in (b"}", b"]"):
            depth -= 1
        if depth == 1 and token == b":" and start < 0:
            key = _text(last)
            if key == name:
                start = _AFTER_COLON.match(body, match.end()).end()  # type: ignore[union-attr]  # matches always
        elif start >= 0 and ((depth == 1 and token == b",") or depth == 0):
            span = (start, _trimmed(body, start, match.start()))
            start = -1
        last = token
    return span


def _trimmed(body: bytes, start: int, stop: int) -> int:
    return start + len(body[start:stop].rstrip(b" \t\r\n"))


def _text(token: bytes) -> str | None:
    value = decode_any(token) if token[:1] == b'"' else None
    return value if isinstance(value, str) else None
