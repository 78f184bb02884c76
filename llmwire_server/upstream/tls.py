"""TLS as a client speaks it: whom it trusts, who it is, sessions taken up again.

Knows certificates and handshakes, by way of `ssl` and anyio, and nothing of HTTP or of
pools. A context that `client_context` makes remembers the newest session of each host
name and offers it at the next handshake; what a peer makes of it is the peer's choice,
and who does not know it any more shakes hands in full.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

__all__ = ("client_context", "join_records", "keep_session", "shake_hands")

_JOIN_SIZE = 64 * 1024
_SESSIONS = 1000
"""Host names whose session is remembered by one context."""


def client_context(
    *,
    ca_file: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    password: str | None = None,
) -> ssl.SSLContext:
    """How a client verifies its peers, and who it is itself.

    Args:
        ca_file: Trust these certificates (PEM) instead of the system's.
        certificate: The client's own certificate chain (PEM).
        key: Its key, where that is another file.
        password: Of the key; without it, a key that needs one is refused.

    Returns:
        A context that verifies chain and host name, offers HTTP/1.1 only and takes
        sessions up again.

    Raises:
        OSError: A file cannot be read, or is not what it should be; the text names
            the file.
    """
    with _named(ca_file):
        context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    # A stream that ends without close_notify may have been cut by anybody; bodies
    # without a length would then look complete (RFC 9112, 9.8).
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    if certificate is not None:
        _check_readable(certificate, key)
        with _named(*filter(None, (certificate, key))):
            # An empty password keeps OpenSSL from asking for one at the terminal.
            context.load_cert_chain(certificate, key, password or "")
    context.sslobject_class = _resuming()
    return context


def _check_readable(*paths: str | None) -> None:
    for path in paths:
        with _named(path):
            if path is not None:
                open(path, "rb").close()


@contextlib.contextmanager
def _named(*paths: str | None) -> Iterator[None]:
    """Say which file an error is about."""
    try:
        yield
    except OSError as error:
        names = " and ".join(path for path in paths if path is not None)
        if not names:
            raise
        if isinstance(error, ssl.SSLError):
            why = (error.reason or "not what it should be").replace("_", " ").lower()
            raise OSError(f"{names}: not usable as PEM: {why}") from error
        assert error.errno is not None
        raise type(error)(error.errno, os.strerror(error.errno), names) from error


def _resuming() -> type[ssl.SSLObject]:
    """The TLS objects of one context, with the sessions that they share."""
    sessions: OrderedDict[str, ssl.SSLSession] = OrderedDict()

    class ResumingObject(ssl.SSLObject):
        _offered = False

        def do_handshake(self) -> None:
            if not self._offered:
                self._offered = True
                session = sessions.get(self.server_hostname or "")
                if session is not None:
                    self.session = session
            super().do_handshake()

        def keep_session(self) -> None:
            session, name = self.session, self.server_hostname
            if session is not None and session.has_ticket and name:
                sessions[name] = session
                sessions.move_to_end(name)
                if len(sessions) > _SESSIONS:
                    sessions.popitem(last=False)

    return ResumingObject


def keep_session(tls: ssl.SSLObject) -> None:
    """Remember the newest session, for the next handshake with the same host.

    TLS 1.3 gives tickets after the handshake, with the first bytes of an answer (RFC
    8446, 4.6.1), so that this is worth calling once some have been read.
    """
    keep: Any = getattr(tls, "keep_session", None)
    if keep is not None:
        keep()


async def shake_hands(
    stream: ByteStream, hostname: str, context: ssl.SSLContext
) -> TLSStream:
    """Speak TLS over `stream`, which is closed if that fails or is cancelled."""
    secured = False
    try:
        tls = await TLSStream.wrap(stream, hostname=hostname, ssl_context=context)
        secured = True
    finally:
        if not secured:
            await anyio.aclose_forcefully(stream)
    return tls


def join_records(tls: ssl.SSLObject, data: bytes) -> bytes:
    """Append the TLS records that were received together with the first."""
    pieces = [data]
    size = len(data)
    while size < _JOIN_SIZE:
        try:
            data = tls.read(_JOIN_SIZE)
        except ssl.SSLError:
            break  # Nothing more, or nothing good; the next receive will tell.
        if not data:
            break
        pieces.append(data)
        size += len(data)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
