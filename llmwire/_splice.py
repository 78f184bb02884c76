"""A body's `model` given another value, every other byte left alone.

Knows JSON and the name of that one member, which three of the dialects share.
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Struct

from llmwire._json import decode_any, decode_object, encode, fitting

_NAME: Final = b'"model"'
_VALUE: Final = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\]|\\.)*")')
_CANDIDATES: Final = 4
"""How many places that look like the member are tried before the body is scanned."""
_FRONT: Final = 64
"""Where a member that stands first begins."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]', re.DOTALL)
_AFTER_COLON: Final = re.compile(rb"[ \t\r\n]*")


class _Named(Struct):
    model: Any = None


def rewrite_model(body: bytes, model: str) -> bytes:
    """`body`, a JSON object, with another `model`, nothing else touched.

    Of several members of that name the last is meant, as JSON parsers have it.

    Raises:
        RemoteProtocolError: The body is no JSON object, where that was noticed.
    """
    found = fitting(_Named, body)
    return replace_model(body, None if found is None else found.model, model)


def replace_model(body: bytes, known: object, model: str) -> bytes:
    """`rewrite_model` where `body` was read: its `model` is `known`, None if it is not.

    Raises:
        RemoteProtocolError: As `rewrite_model`.
    """
    if known == model:
        return body
    value = encode(model)
    spliced = None if known is None else _guessed(body, value, model)
    if spliced is not None:
        return spliced
    members = decode_object(body)
    if "model" not in members:
        start = body.index(b"{") + 1
        comma = b"," if members else b""
        return body[:start] + b'"model":' + value + comma + body[start:]
    span = _span_of(body, "model")
    return body[: span[0]] + value + body[span[1] :]


def _guessed(body: bytes, value: bytes, model: str) -> bytes | None:
    """`body` with `value` where `model` seems to stand, if reading it back proves it.

    Texts and tools may name a `model` too: only at the right place does another value
    change what the whole body's own member is. Clients write it first, or behind the
    messages.
    """
    at, stop = body.find(_NAME, 0, _FRONT), len(body)
    for _ in range(_CANDIDATES):
        match = _VALUE.match(body, at) if at >= 0 else None
        if match is not None:
            start, end = match.span(1)
            spliced = body[:start] + value + body[end:]
            changed = fitting(_Named, spliced)
            if changed is not None and changed.model == model:
                return spliced
        at = stop = body.rfind(_NAME, 0, stop)
        if at < 0:
            break
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
