"""One member of a JSON object given another value, every other byte left alone."""

from __future__ import annotations

import re
from typing import Final

from llmwire._json import decode_any, decode_object, encode

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]', re.DOTALL)
_AFTER_COLON: Final = re.compile(rb"[ \t\r\n]*")


def rewrite_model(body: bytes, model: str) -> bytes:
    """`body` with another `model`, nothing else touched.

    Raises:
        RemoteProtocolError: The body is no JSON object.
    """
    members = decode_object(body)
    value = encode(model)
    if "model" not in members:
        start = body.index(b"{") + 1
        comma = b"," if members else b""
        return body[:start] + b'"model":' + value + comma + body[start:]
    span = _span_of(body, "model")
    return body[: span[0]] + value + body[span[1] :]


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
