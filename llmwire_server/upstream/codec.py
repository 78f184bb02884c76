"""HTTP/1.1 as a client speaks it: a request to bytes, bytes to a response.

Knows no socket and no clock. The head of a response is read here, strictly, and here
alone it is decided where the body ends; what a library adds is the chunked coding,
`httptools` where it is installed and `h11` otherwise, each behind `Dechunker`. Neither
is ever shown a peer's head, so that both agree on every frame by construction.

Rules:
    - Nothing that a peer sends raises: it becomes `ResponseDecoder.failure`.
    - Anything ambiguous is refused: Content-Length beside Transfer-Encoding, lengths
      that differ, another coding than chunked, folded lines, bare line feeds, names
      that are no tokens, control characters in values (RFC 9112, 5.1, 5.2, 6.3).
    - What was received before an error is given before the error is told, so that the
      output does not depend on how the input was cut.
    - A connection is used again only if the response says where it ends, that end was
      reached, and not one byte came after it.

Theory of operation: `ResponseDecoder.receive_data` collects until the blank line,
matches the head against one regular expression that has no way to backtrack, drops
1xx responses, and from then on counts, dechunks or passes on what comes. Reading a
head this way costs what httptools takes for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NoReturn, Protocol, TypeAlias

from msgspec import Struct

from llmwire.errors import LocalProtocolError
from llmwire_server.upstream import Headers, UpstreamFailure, UpstreamRequest

__all__ = (
    "CodecName",
    "Dechunker",
    "HeadLimits",
    "MakeDechunker",
    "ResponseDecoder",
    "ResponseHead",
    "encode_head",
    "load_dechunker",
)

CodecName: TypeAlias = Literal["auto", "httptools", "h11"]
"""Which library undoes the chunked coding; `auto` takes the fastest at hand."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = r"[\t\x20-\x7e\x80-\xff]*+"
_match_token = re.compile(_TOKEN).fullmatch
_match_line = re.compile(rf"{_TOKEN}: {_VALUE}").fullmatch
_match_lines = re.compile(rf"(?:{_TOKEN}: {_VALUE}\r\n)*+").fullmatch
_match_host = re.compile(r"[0-9A-Za-z._~-]++|[0-9A-Fa-f:.]++").fullmatch
_match_target = re.compile(r"/[\x21-\x7e]*+").fullmatch
_match_head = re.compile(
    rf"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: {_VALUE})?\r\n"
    rf"((?:{_TOKEN}:{_VALUE}\r\n)*+)\r\n"
).fullmatch
_find_fields = re.compile(rf"({_TOKEN}):({_VALUE})\r\n").findall
_find_bare_feed = re.compile(rb"(?<!\r)\n").search
_match_length = re.compile(r"[0-9]{1,18}").fullmatch

_OWN_HEADERS = frozenset(
    (
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_LONG_NAME = 64
"""Names of headers up to here are looked at once."""
_FRAMING = frozenset(("connection", "content-length", "transfer-encoding"))
"""What a head says of the connection and of where the body ends."""
_BODILESS = (204, 304)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def encode_head(request: UpstreamRequest) -> bytes:
    """The request line and headers, blank line included.

    `Host`, `Content-Length` and `accept-encoding: identity` are always written, and
    what a request's headers say about the connection is left out: framing, hop-by-hop
    and coding headers are the transport's own.

    Args:
        request: The request; its body only lends its length.

    Returns:
        The bytes that stand before the body.

    Raises:
        LocalProtocolError: A part of the request cannot stand in a head.
    """
    start = _start_of_head(
        request.method,
        request.target,
        request.scheme,
        request.host,
        request.port,
        request.headers,
    )
    return b"%bContent-Length: %d\r\n\r\n" % (start, len(request.body))


@lru_cache(maxsize=64)
def _start_of_head(
    method: str, target: str, scheme: str, host: str, port: int, headers: Headers
) -> bytes:
    """All but the length: requests to one place have it in common."""
    if not _match_target(target):
        raise LocalProtocolError("the target must be visible ASCII and begin with `/`")
    if not _match_token(method) or method == "CONNECT":
        raise LocalProtocolError("the method must be a token other than CONNECT")
    lines = [f"{name}: {value}\r\n" for name, value in headers if _is_carried(name)]
    fields = "".join(lines)
    # Names are sound; a value that holds a line of its own makes one line too many.
    if fields.count("\n") != len(lines) or not _match_lines(fields):
        _refuse_value(headers)
    line = f"{method} {target} HTTP/1.1\r\n{_host_line(scheme, host, port)}"
    return f"{line}accept-encoding: identity\r\n{fields}".encode("latin-1")


def _host_line(scheme: str, host: str, port: int) -> str:
    if not _match_host(host):
        raise LocalProtocolError("the host must be an ASCII name or an IP address")
    name = f"[{host}]" if ":" in host else host
    if port != _DEFAULT_PORTS.get(scheme):
        name = f"{name}:{port}"
    return f"Host: {name}\r\n"


def _is_carried(name: str) -> bool:
    """Whether a header is none of the transport's own."""
    if len(name) > _LONG_NAME:
        return _read_name(name)
    return _known_name(name)


def _read_name(name: str) -> bool:
    if not _match_token(name):
        raise LocalProtocolError(
            "the name of a header holds characters that it must not"
        )
    return name.lower() not in _OWN_HEADERS


_known_name = lru_cache(maxsize=1024)(_read_name)


def _refuse_value(headers: Headers) -> NoReturn:
    """Say which of them cannot stand in a head."""
    name = next(n for n, value in headers if not _match_line(f"{n}: {value}"))
    raise LocalProtocolError(f"the value of `{name}` holds characters that it must not")


class Dechunker(Protocol):
    """Undoes the chunked coding of one body (RFC 9112, 7.1); trailers are dropped."""

    complete: bool
    """The last chunk and its trailers were read."""
    excess: bool
    """Something followed them."""
    broken: bool
    """What came is not chunked; told after the bytes that were."""

    def receive_data(self, data: bytes) -> bytes:
        """Read on.

        Args:
            data: At least one byte; none of it may follow `complete` or `broken`.

        Returns:
            The bytes of the body in it, as one; never raises.
        """


MakeDechunker: TypeAlias = Callable[[], Dechunker]


def load_dechunker(codec: CodecName = "auto") -> MakeDechunker:
    """Find the implementation of the chunked coding.

    Args:
        codec: Which library, or `auto`: httptools if it can be imported, else h11.

    Returns:
        What makes one decoder per body.

    Raises:
        ImportError: The library asked for is not installed.
    """
    if codec != "h11":
        try:
            from llmwire_server.upstream._chunked_httptools import HttptoolsDechunker
        except ImportError:
            if codec == "httptools":
                raise
        else:
            return HttptoolsDechunker
    from llmwire_server.upstream._chunked_h11 import H11Dechunker

    return H11Dechunker


class HeadLimits(Struct, frozen=True, kw_only=True):
    """How much of a head an upstream may send."""

    head_bytes: int = 64 * 1024
    """All heads of one response, 1xx included. Also a window of a chunked body: of each
    so many bytes, some must be body."""
    headers: int = 256
    """Headers of one head."""


class ResponseHead(Struct, frozen=True):
    """Status and headers of a final response."""

    status: int
    headers: Headers
    minor_version: int
    """0 of HTTP/1.0 or 1 of HTTP/1.1."""


def _refuse(message: str) -> UpstreamFailure:
    return UpstreamFailure("protocol", message)


def _parse_head(head: str, limits: HeadLimits) -> ResponseHead:
    match = _match_head(head)
    if match is None:
        raise _refuse("the head of the response is malformed")
    fields = _find_fields(head, match.start(3))
    if len(fields) > limits.headers:
        raise _refuse(f"the response has more than {limits.headers} headers")
    return ResponseHead(
        int(match[2]),
        tuple([(name.lower(), value.strip(" \t")) for name, value in fields]),
        int(match[1]),
    )


def _find_framing(
    method: str, status: int, said: Headers
) -> int | Literal["chunked", "close"]:
    """Where the body ends: after so many bytes, by its coding, or with the stream.

    https://www.rfc-editor.org/rfc/rfc9112#section-6.3
    """
    if len(said) == 1 and said[0][0] == "content-length":
        value = said[0][1]
        if _match_length(value):
            return 0 if method == "HEAD" or status in _BODILESS else int(value)
    lengths = [value for name, value in said if name == "content-length"]
    codings = [value.lower() for name, value in said if name == "transfer-encoding"]
    if lengths and codings:
        raise _refuse("the response has both a length and a transfer coding")
    if lengths:
        lengths = list({part.strip(" \t") for part in ",".join(lengths).split(",")})
        if len(lengths) > 1 or not _match_length(lengths[0]):
            raise _refuse("the length of the response is not one number")
    if codings and codings != ["chunked"]:
        raise _refuse("the response has another transfer coding than chunked")
    if method == "HEAD" or status in _BODILESS:
        return 0
    if codings:
        return "chunked"
    return int(lengths[0]) if lengths else "close"


def _asks_to_close(said: Headers) -> bool:
    for name, value in said:
        if name == "connection":
            options = [option.strip(" \t") for option in value.lower().split(",")]
            if "close" in options:
                return True
    return False


class ResponseDecoder:
    """Reads one response; nothing that a peer sends makes it raise.

    Args:
        method: Of the request that it answers.
        make_dechunker: Makes the decoder of a chunked body, if there is one.
        limits: How much of a head is accepted.
    """

    __slots__ = (
        "_buffer",
        "_dechunker",
        "_framing",
        "_fruitful",
        "_limits",
        "_make_dechunker",
        "_method",
        "_overhead",
        "_remaining",
        "complete",
        "failure",
        "head",
        "reusable",
        "started",
    )

    head: ResponseHead | None
    """The final head, once it was read."""
    started: bool
    """At least one byte was received."""
    complete: bool
    """The end of the body was reached."""
    failure: UpstreamFailure | None
    """Why there is nothing to go on with; what was returned before is good."""
    reusable: bool
    """The connection may carry another exchange; only meaningful once complete."""

    def __init__(
        self, method: str, make_dechunker: MakeDechunker, limits: HeadLimits
    ) -> None:
        self._method = method
        self._make_dechunker = make_dechunker
        self._limits = limits
        self._buffer = bytearray()
        self._dechunker: Dechunker | None = None
        self._framing: int | Literal["chunked", "close"] = 0
        self._remaining = 0
        self._overhead = 0
        """Bytes of the heads so far; then, of the window of a chunked body."""
        self._fruitful = False
        """That window held something of the body."""
        self.head = None
        self.started = False
        self.complete = False
        self.failure = None
        self.reusable = False

    def receive_data(self, data: bytes) -> bytes:
        """Read on.

        Args:
            data: At least one byte, as received; nothing once complete or failed.

        Returns:
            The bytes of the body in it, as one; maybe none.
        """
        if self.head is None:
            self.started = True
            try:
                data = self._read_head(data)
            except UpstreamFailure as failure:
                self.failure = failure.anew()
                return b""
            if not data:
                return b""
        if self._dechunker is not None:
            return self._read_chunked(self._dechunker, data)
        if self._framing == "close":
            return data
        if len(data) > self._remaining:
            self.reusable = False
            data = data[: self._remaining]
        self._remaining -= len(data)
        self.complete = not self._remaining
        return data

    def receive_eof(self) -> None:
        """Take the end of the stream: the end of the response, or a failure.

        `reset` if nothing had come at all, `truncated` if it is too early.
        """
        if self.complete or self.failure is not None:
            return
        if not self.started:
            self.failure = UpstreamFailure("reset", "closed without an answer")
        elif self.head is None:
            self.failure = UpstreamFailure("truncated", "closed within the head")
        elif self._framing != "close":
            self.failure = UpstreamFailure("truncated", "closed within the body")
        else:
            self.complete = True

    def _read_head(self, data: bytes) -> bytes:
        """Collect and parse; returns what follows the final head."""
        buffer = self._buffer
        while True:
            searched = max(len(buffer) - 3, 0)
            came: bytes | bytearray = data
            if buffer:
                buffer += data
                came = buffer
            end = came.find(b"\r\n\r\n", searched) + 4
            if end < 4:
                if not buffer:
                    buffer += data
                self._check_beginning(searched)
                return b""
            data = bytes(came[end:])
            self._count_overhead(end)
            head = _parse_head(came[:end].decode("latin-1"), self._limits)
            buffer.clear()
            if head.status >= 200:
                break
            if head.status == 101:
                raise _refuse("the upstream switches protocols unasked")
        self._begin_body(head)
        if self.complete and data:
            self.reusable = False
            return b""
        return data

    def _begin_body(self, head: ResponseHead) -> None:
        self._overhead = 0
        said = tuple([pair for pair in head.headers if pair[0] in _FRAMING])
        framing = self._framing = _find_framing(self._method, head.status, said)
        if framing == "chunked":
            self._dechunker = self._make_dechunker()
        elif framing != "close":
            self._remaining = framing
            self.complete = not framing
        # HTTP/1.0 is taken to close.
        kept = head.minor_version == 1 and not _asks_to_close(said)
        self.reusable = kept and framing != "close"
        self.head = head

    def _read_chunked(self, dechunker: Dechunker, data: bytes) -> bytes:
        """Undo the coding, window by window, so that the limit of what is no body does
        not depend on how it was cut."""
        window = self._limits.head_bytes
        pieces: list[bytes] = []
        while data:
            room = window - self._overhead
            part, data = (data[:room], data[room:]) if len(data) > room else (data, b"")
            body = dechunker.receive_data(part)
            self._overhead += len(part)
            if body:
                pieces.append(body)
                self._fruitful = True
            if dechunker.complete:
                self.complete = True
                self.reusable &= not (dechunker.excess or data)
                break
            if dechunker.broken:
                self.failure = _refuse("the body is not properly chunked")
                break
            if self._overhead == window:
                if not self._fruitful:
                    self.failure = self._too_much()
                    break
                self._overhead, self._fruitful = 0, False
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _check_beginning(self, searched: int) -> None:
        """Refuse early what cannot become a head any more."""
        buffer = self._buffer
        if not b"HTTP/1.".startswith(buffer[:7]):
            raise _refuse("the upstream does not speak HTTP/1")
        if _find_bare_feed(buffer, searched):
            raise _refuse("a line of the head ends in a bare line feed")
        if self._overhead + len(buffer) > self._limits.head_bytes:
            self._count_overhead(len(buffer))

    def _count_overhead(self, count: int) -> None:
        self._overhead += count
        if self._overhead > self._limits.head_bytes:
            raise self._too_much()

    def _too_much(self) -> UpstreamFailure:
        limit = self._limits.head_bytes
        return _refuse(f"more than {limit} bytes of head or framing")
