"""What closed types have left unread of a document: whether it may be read at all.

Such types nest no deeper than they are written, and texts are Unicode once they are
read; only the values that they leave raw may nest too deeply or be no UTF-8. So those
are looked at, one by one, and the document as a whole, once, where one is suspect.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.structs import astuple

from llmwire._nesting import check_nesting, may_be_nested
from llmwire.errors import RemoteProtocolError

_TYPED: Final = 16
"""Levels that wire types have at most above a value that they leave raw."""
_SHORT: Final = 1 << 12
"""Bytes of a document that is looked at more quickly than values are searched for."""


class Unread:
    """The raw values of one document.

    Args:
        data: The document.
        limit: Levels of arrays and objects that it may have.
        path: What an error names as the place of bytes that are no UTF-8.
    """

    __slots__ = ("_data", "_levels", "_limit", "_path", "_seen", "room", "short")

    def __init__(self, data: bytes, limit: int, path: str | None = None) -> None:
        self._data = data
        self._limit = limit
        self._path = path
        self._levels = limit - _TYPED
        self._seen = False
        self.room = 2 * self._levels
        """Bytes of a raw value that cannot nest too deeply."""
        self.short = self.room if data.isascii() else -1
        """Bytes of a raw value that need not be looked at at all."""
        if self._levels < 0:
            self.check_all()

    def check_all(self) -> None:
        """Look at the document.

        Raises:
            RemoteProtocolError: It is no UTF-8; names the byte.
            LimitExceeded: It is nested too deeply.
        """
        if self._seen:
            return
        self._seen = True
        try:
            self._data.decode("utf-8")
        except UnicodeDecodeError as error:
            what = f"invalid UTF-8 at byte {error.start}"
            raise RemoteProtocolError(what, path=self._path) from None
        check_nesting(self._data, self._limit)

    def check(self, value: object) -> None:
        """Look at the document if `value` is raw and suspect; raises so."""
        if self._seen or type(value) is not Raw or len(value) <= self.short:
            return
        data = bytes(value)
        roomy = len(data) > self.room
        if not _is_unicode(data) or (roomy and may_be_nested(data, self._levels)):
            self.check_all()

    def check_within(self, value: Struct | Iterable[Any]) -> None:
        """`check` for every raw value that stands in `value`, however deep."""
        if self._seen:
            return
        if len(self._data) <= _SHORT:
            self.check_all()
            return
        for member in astuple(value) if isinstance(value, Struct) else value:
            kind = type(member)
            if kind is Raw:
                self.check(member)
            elif kind is list or issubclass(kind, Struct):
                self.check_within(member)


def _is_unicode(data: bytes) -> bool:
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            return False
    return True
