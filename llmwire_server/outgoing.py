"""What every answer has in common on its way to the client.

One place that all bytes pass: the call's id, what browsers are told, and credentials
of ours that an upstream says back. Those are looked for in all headers, in every error
reply, and in the pieces of a stream that may hold an error; answers are the model's and
are not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from llmwire.http import Headers
from llmwire_server.masking import Mask
from llmwire_server.relay import ASGIMessage, Send

__all__ = ("Outgoing",)

_Fields: TypeAlias = list[tuple[bytes, bytes]]
_ID: Final = b"x-request-id"
_NATIVE_ID: Final = b"request-id"
_IDS: Final = (_ID, _NATIVE_ID)
_UPSTREAM_ID: Final = b"x-upstream-request-id"
_LENGTH: Final = b"content-length"
_OURS: Final = frozenset(
    {b"allow", b"cache-control", b"content-type", _LENGTH, b"x-llmwire-losses"}
)
"""Headers whose values are written here, whatever an upstream says."""


class Outgoing:
    """Takes ASGI messages of one answer in the place of the server's own `send`.

    Args:
        send: The server's.
        request_id: The call's.
        mask: Knows what must not leave.
        more: Headers of every answer.
        native_id: The client's dialect knows the id as `request-id`.
        bodiless: The answer to a HEAD: its headers only.
    """

    __slots__ = (
        "_bodiless",
        "_held",
        "_mask",
        "_more",
        "_native_id",
        "_pieces",
        "_request_id",
        "_send",
        "_streamed",
    )

    def __init__(
        self,
        send: Send,
        request_id: str,
        mask: Mask,
        *,
        more: Headers = (),
        native_id: bool = False,
        bodiless: bool = False,
    ) -> None:
        self._send = send
        self._request_id = request_id.encode("latin-1")
        self._mask = mask
        self._more = more
        self._native_id = native_id
        self._bodiless = bodiless
        self._held: ASGIMessage | None = None
        self._pieces: list[bytes] = []
        self._streamed = False

    async def __call__(self, message: ASGIMessage) -> None:
        """Pass one message on."""
        if message["type"] == "http.response.start":
            message["headers"] = self._headers(message["headers"])
            if message["status"] >= 400:
                self._held = message
                return
        elif self._held is not None:
            await self._refuse(self._held, message)
            return
        elif self._bodiless:
            message["body"] = b""
        elif self._streamed and b"error" in message["body"]:
            message["body"] = self._mask.data(message["body"])
        await self._send(message)

    async def _refuse(self, start: ASGIMessage, message: ASGIMessage) -> None:
        """An error reply goes when all of it is there: its length may change."""
        self._pieces.append(message["body"])
        if message.get("more_body"):
            return
        body = self._mask.data(b"".join(self._pieces))
        _correct_length(start["headers"], len(body))
        self._held = None
        await self._send(start)
        message["body"] = b"" if self._bodiless else body
        await self._send(message)

    def _headers(self, fields: Sequence[tuple[bytes, bytes]]) -> _Fields:
        headers: _Fields = []
        upstream_id = None
        streamed = True
        for field in self._masked(fields):
            name = field[0]
            if name in _IDS:
                upstream_id = upstream_id or field[1]
                continue
            if name == _LENGTH:
                streamed = False
            headers.append(field)
        self._streamed = streamed
        headers.append((_ID, self._request_id))
        if upstream_id is not None:
            headers.append((_UPSTREAM_ID, upstream_id))
        if self._native_id:
            headers.append((_NATIVE_ID, upstream_id or self._request_id))
        for key, value in self._more:
            headers.append((key.encode("latin-1"), value.encode("latin-1")))
        return headers

    def _masked(
        self, fields: Sequence[tuple[bytes, bytes]]
    ) -> Sequence[tuple[bytes, bytes]]:
        values = b"\n".join([value for name, value in fields if name not in _OURS])
        data = self._mask.data
        if not values or data(values) is values:
            return fields
        return [(name, data(value)) for name, value in fields]


def _correct_length(headers: _Fields, length: int) -> None:
    for at, (name, _) in enumerate(headers):
        if name == _LENGTH:
            headers[at] = (name, b"%d" % length)
