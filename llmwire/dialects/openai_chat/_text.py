"""Bytes and text at the edge of the codec: valid UTF-8 in, valid JSON out."""

from __future__ import annotations

from typing import Any

from llmwire._json import encode
from llmwire.errors import RemoteProtocolError


def validated(body: bytes) -> bytes:
    """`body`, which is UTF-8.

    Raises:
        RemoteProtocolError: It is not; names the byte.
    """
    if not body.isascii():
        try:
            body.decode("utf-8")
        except UnicodeDecodeError as error:
            what = f"invalid UTF-8 at byte {error.start}"
            raise RemoteProtocolError(what) from None
    return body


def encode_text(value: Any) -> bytes:
    """`value` as JSON; a lone surrogate, which JSON text cannot hold, is U+FFFD."""
    try:
        return encode(value)
    except UnicodeEncodeError:
        return encode(_repaired(value))


def _repaired(value: Any) -> Any:
    if isinstance(value, str):
        units = value.encode("utf-16-le", "surrogatepass")
        return units.decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_repaired(key): _repaired(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_repaired(item) for item in value]
    return value
