"""What every answer has in common on its way to the client.

One place that all bytes pass: the call's id, what browsers are told, and credentials
of ours that an upstream says back. Those are looked for in all headers, in every error
reply, and in the pieces of a stream that may hold an error; answers are the model's and
are not touched.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from llmwire.http import Headers
from llmwire_server.client import Client, Fields
from llmwire_server.masking import Mask

__all__ = ("Outgoing",)

_ID: Final = b"x-request-id"
_NATIVE_ID: Final = b"request-id"
_IDS: Final = ("x-request-id", "request-id")
_UPSTREAM_ID: Final = b"x-upstream-request-id"
_LENGTH: Final = b"content-length"
_OURS: Final = frozenset(
    ("allow", "cache-control", "content-length", "content-type", "x-llmwire-losses")
)
"""Headers whose values are written here, whatever an upstream says."""


class Outgoing:
    """One answer on its way to the client: an `Answer`.

    Args:
        client: Takes it.
        request_id: The call's.
        mask: Knows what must not leave.
        more: Headers of every answer.
        native_id: The client's dialect knows the id as `request-id`.
        bodiless: The answer to a HEAD: its headers only.
    """

    __slots__ = (
        "_bodiless",
        "_client",
        "_held",
        "_mask",
        "_more",
        "_native_id",
        "_pieces",
        "_request_id",
        "_streamed",
    )

    def __init__(
        self,
        client: Client,
        request_id: str,
        mask: Mask,
        *,
        more: Headers = (),
        native_id: bool = False,
        bodiless: bool = False,
    ) -> None:
        self._client = client
        self._request_id = request_id.encode("latin-1")
        self._mask = mask
        self._more = more
        self._native_id = native_id
        self._bodiless = bodiless
        self._held: tuple[int, Fields] | None = None
        """Status and headers of an error reply."""
        self._pieces: list[bytes] = []
        self._streamed = False

    def start(self, status: int, headers: Headers) -> None:
        """See `Answer.start`."""
        fields: Fields = []
        theirs: list[bytes] = []
        upstream_id = None
        streamed = True
        for name, text in headers:
            value = text.encode("latin-1", "replace")
            if name not in _OURS:
                theirs.append(value)
                if name in _IDS:
                    upstream_id = upstream_id or value
                    continue
            elif name == "content-length":
                streamed = False
            fields.append((name.encode("latin-1"), value))
        self._streamed = streamed
        fields.append((_ID, self._request_id))
        if upstream_id is not None:
            fields.append((_UPSTREAM_ID, upstream_id))
        if self._native_id:
            fields.append((_NATIVE_ID, upstream_id or self._request_id))
        if theirs and self._mask.finds(b"\n".join(theirs)):
            fields = [(name, self._mask.data(value)) for name, value in fields]
        for name, text in self._more:
            fields.append((name.encode("latin-1"), text.encode("latin-1")))
        if status >= 400:
            self._held = status, fields
        else:
            self._client.start(status, fields)

    def write(self, body: bytes, *, more: bool) -> Awaitable[None] | None:
        """See `Answer.write`."""
        if self._held is not None:
            return self._refuse(self._held, body, more)
        if self._bodiless:
            body = b""
        elif self._streamed and b"error" in body:
            body = self._mask.data(body)
        return self._client.write(body, more=more)

    def _refuse(
        self, held: tuple[int, Fields], body: bytes, more: bool
    ) -> Awaitable[None] | None:
        """An error reply goes when all of it is there: its length may change."""
        self._pieces.append(body)
        if more:
            return None
        body = self._mask.data(b"".join(self._pieces))
        status, fields = held
        _correct_length(fields, len(body))
        self._held = None
        self._client.start(status, fields)
        return self._client.write(b"" if self._bodiless else body, more=False)


def _correct_length(fields: Fields, length: int) -> None:
    for at, (name, _) in enumerate(fields):
        if name == _LENGTH:
            fields[at] = (name, b"%d" % length)
