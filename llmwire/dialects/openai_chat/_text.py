"""Bytes at the edge of the codec: only valid UTF-8 comes in."""

from __future__ import annotations

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
