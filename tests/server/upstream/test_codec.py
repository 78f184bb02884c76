"""HTTP/1.1 to bytes and back: both libraries, whole, byte by byte and anyhow cut."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import h11
import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire.errors import LocalProtocolError
from llmwire_server.upstream import FailureKind, UpstreamRequest
from llmwire_server.upstream._chunked_h11 import H11Dechunker
from llmwire_server.upstream._chunked_httptools import HttptoolsDechunker
from llmwire_server.upstream.codec import (
    HeadLimits,
    MakeDechunker,
    ResponseDecoder,
    encode_head,
    load_dechunker,
)

CODECS: tuple[MakeDechunker, ...] = (HttptoolsDechunker, H11Dechunker)
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> MakeDechunker:
    made: MakeDechunker = request.param
    return made


def feed(
    decoder: ResponseDecoder, pieces: Iterable[bytes], *, eof: bool = True
) -> bytes:
    """Feed as the pool does: nothing after the end, nothing after a failure."""
    body = b""
    for piece in pieces:
        if piece and not decoder.complete and decoder.failure is None:
            body += decoder.receive_data(piece)
    if eof:
        decoder.receive_eof()
    return body


def in_bytes(wire: bytes) -> list[bytes]:
    return [wire[index : index + 1] for index in range(len(wire))]


def outcome(
    codec: MakeDechunker,
    pieces: Sequence[bytes],
    method: str = "GET",
    limits: HeadLimits = HeadLimits(),  # noqa: B008  # frozen
) -> tuple[Any, ...]:
    """All that a response came to, except whether bytes after it were seen."""
    decoder = ResponseDecoder(method, codec, limits)
    body = feed(decoder, pieces)
    return (decoder.head, body, decoder.complete, kind_of(decoder))


def kind_of(decoder: ResponseDecoder) -> FailureKind | None:
    return None if decoder.failure is None else decoder.failure.kind


def refusal(codec: MakeDechunker, wire: bytes) -> FailureKind | None:
    """The kind of failure, the same for both deliveries; None if there is none."""
    whole, piecemeal = outcome(codec, [wire]), outcome(codec, in_bytes(wire))
    assert whole == piecemeal
    kind: FailureKind | None = whole[3]
    return kind


# --- What is read -------------------------------------------------------------------

READ = {
    "length": (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"hello", True),
    "length zero": (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"", True),
    "same length twice": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2, 2\r\n\r\nok",
        b"ok",
        True,
    ),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", b"ok", True),
    "chunked": (
        CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        b"hello world",
        True,
    ),
    "chunked, nothing": (CHUNKED + b"0\r\n\r\n", b"", True),
    "chunked, hexadecimal": (
        CHUNKED + b"00Ff\r\n%s\r\n0\r\n\r\n" % (b"x" * 255),
        b"x" * 255,
        True,
    ),
    "chunk extensions": (
        CHUNKED + b'2;a=b;c\r\nok\r\n0;last="y;z"\r\n\r\n',
        b"ok",
        True,
    ),
    "trailers": (CHUNKED + b"2\r\nok\r\n0\r\nX-A: b\r\nX-C: d\r\n\r\n", b"ok", True),
    "chunked, upper case": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\tChunked \r\n\r\n0\r\n\r\n",
        b"",
        True,
    ),
    "until close": (b"HTTP/1.1 200 OK\r\n\r\nhello\r\n\r\n", b"hello\r\n\r\n", False),
    "until close, nothing": (b"HTTP/1.1 200 OK\r\n\r\n", b"", False),
    "connection: close": (
        b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\ncontent-length: 2\r\n\r\nok",
        b"ok",
        False,
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok", False),
    "HTTP/1.0, kept alive": (
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
        b"ok",
        False,
    ),
    "HTTP/1.0, chunked": (
        CHUNKED.replace(b"1.1", b"1.0") + b"2\r\nok\r\n0\r\n\r\n",
        b"ok",
        False,
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "not modified": (b"HTTP/1.1 304 X\r\ncontent-length: 9\r\n\r\n", b"", True),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"ok",
        True,
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_response_is_read(codec: MakeDechunker, name: str) -> None:
    wire, expected, reusable = READ[name]
    for pieces in ([wire], in_bytes(wire)):
        decoder = ResponseDecoder("GET", codec, HeadLimits())
        assert feed(decoder, pieces) == expected
        assert decoder.failure is None
        assert (decoder.complete, decoder.reusable) == (True, reusable)


@pytest.mark.parametrize("name", [name for name in READ if READ[name][2]])
def test_an_end_that_is_known_needs_no_eof(codec: MakeDechunker, name: str) -> None:
    decoder = ResponseDecoder("GET", codec, HeadLimits())
    feed(decoder, [READ[name][0]], eof=False)
    assert decoder.complete


@pytest.mark.parametrize("name", [name for name in READ if READ[name][2]])
def test_bytes_after_the_end_are_no_body_and_end_the_connection(
    codec: MakeDechunker, name: str
) -> None:
    wire, expected, _ = READ[name]
    second = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
    for excess in (second, b"x", b"0\r\n\r\n"):
        decoder = ResponseDecoder("GET", codec, HeadLimits())
        assert feed(decoder, [wire + excess]) == expected
        assert (decoder.complete, decoder.reusable) == (True, False)
        assert decoder.failure is None


@pytest.mark.parametrize(
    "framing", [b"content-length: 5", b"transfer-encoding: chunked"]
)
def test_an_answer_to_head_has_no_body(codec: MakeDechunker, framing: bytes) -> None:
    decoder = ResponseDecoder("HEAD", codec, HeadLimits())
    assert feed(decoder, [b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n"]) == b""
    assert (decoder.complete, decoder.reusable) == (True, True)


def test_headers_are_lower_case_latin_1_and_in_order(codec: MakeDechunker) -> None:
    decoder = ResponseDecoder("GET", codec, HeadLimits())
    feed(decoder, [b"HTTP/1.1 299 X\r\nX-B:  a\xe9 b\t \r\nX-A:\r\nx-b: c\r\n\r\n"])
    assert decoder.head is not None
    assert decoder.head.status == 299
    assert decoder.head.headers == (("x-b", "aé b"), ("x-a", ""), ("x-b", "c"))


def test_chunks_that_came_together_are_given_as_one(codec: MakeDechunker) -> None:
    decoder = ResponseDecoder("GET", codec, HeadLimits())
    assert decoder.receive_data(CHUNKED + b"1\r\na\r\n1\r\nb\r\n1\r\nc") == b"abc"


# --- What is refused ----------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\n"
REFUSED = {
    "length and coding": OK
    + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": OK
    + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "a list of lengths": OK + b"content-length: 5, 6\r\n\r\nhello!",
    "a length and nothing": OK + b"content-length: 5,\r\n\r\nhello",
    "signed length": OK + b"content-length: +5\r\n\r\nhello",
    "negative length": OK + b"content-length: -5\r\n\r\nhello",
    "hexadecimal length": OK + b"content-length: 0x5\r\n\r\nhello",
    "grouped length": OK + b"content-length: 1_0\r\n\r\nhellohello",
    "foreign digits": OK + b"content-length: \xb2\r\n\r\nhello",
    "no length": OK + b"content-length:\r\n\r\nhello",
    "endless length": OK + b"content-length: " + b"9" * 30 + b"\r\n\r\nhello",
    "gzip coding": OK + b"transfer-encoding: gzip\r\n\r\nhello",
    "two codings": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": OK
    + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "almost chunked": OK + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "vertical tab": OK + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "folded line": OK + b"x-a: b\r\n c\r\ncontent-length: 0\r\n\r\n",
    "folded coding": OK + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "space before colon": OK + b"content-length : 5\r\n\r\nhello",
    "space before name": OK + b" x-a: b\r\n\r\n",
    "name with space": OK + b"x a: b\r\n\r\n",
    "no name": OK + b": b\r\n\r\n",
    "no colon": OK + b"x-a\r\n\r\n",
    "name with 8 bits": OK + b"x-\xe9: b\r\n\r\n",
    "NUL in a value": OK + b"x-a: \x00b\r\n\r\n",
    "NUL in a name": OK + b"x\x00a: b\r\n\r\n",
    "carriage return in a value": OK + b"x-a: b\rcontent-length: 5\r\n\r\nhello",
    "line feed in a value": OK + b"x-a: b\ncontent-length: 5\r\n\r\nhello",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
    "line feeds at the end": OK + b"content-length: 5\r\n\nhello",
    "delete in the reason": b"HTTP/1.1 200 \x7f\r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 frame": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03",
    "HTTP/0.9": b"<html>hello</html>",
    "length with a space inside": OK + b"content-length: 1 0\r\n\r\nhellohello",
    "length with a dot": OK + b"content-length: 5.0\r\n\r\nhello",
    "length with an exponent": OK + b"content-length: 1e1\r\n\r\nhellohello",
    "lengths in two lines, one empty": OK
    + b"content-length: 5\r\ncontent-length:\r\n\r\nhello",
    "coding with a parameter": OK + b"transfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "coding twice in a list": OK
    + b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "identity coding": OK + b"transfer-encoding: identity\r\n\r\nhello",
    "NUL in the reason": b"HTTP/1.1 200 O\x00K\r\n\r\n",
    "NUL before the head": b"\x00HTTP/1.1 200 OK\r\n\r\n",
    "carriage return at the end of a name": OK + b"x-a\r: b\r\n\r\n",
    "chunk size with NUL": CHUNKED + b"5\x00\r\nhello\r\n0\r\n\r\n",
    "bare line feed after a size": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "bare line feed after a chunk": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "bare carriage return after a size": CHUNKED + b"5\rhello\r\n0\r\n\r\n",
    "NUL in a trailer": CHUNKED + b"0\r\nx: a\x00b\r\n\r\n",
    "version of two digits": b"HTTP/1.12 200 OK\r\n\r\n",
    "lower case": b"http/1.1 200 OK\r\n\r\n",
    "blank line first": b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status with a sign": b"HTTP/1.1 +20 OK\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 X\r\nupgrade: websocket\r\n\r\n"
    + OK
    + b"content-length: 0\r\n\r\n",
    "chunk size missing": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "chunk size no number": CHUNKED + b"g\r\nhello\r\n0\r\n\r\n",
    "chunk size signed": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "chunk size negative": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk size 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size after blank": CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n",
    "chunk size grouped": CHUNKED + b"1_0\r\nhello\r\n0\r\n\r\n",
    "chunk size list": CHUNKED + b"5,5\r\nhello\r\n0\r\n\r\n",
    "chunk size overflow": CHUNKED + b"f" * 30 + b"\r\nhello\r\n0\r\n\r\n",
    "chunk too long": CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
    "chunk too short": CHUNKED + b"5\r\nhell\r\n0\r\n\r\n",
    "chunk without end": CHUNKED + b"5\r\nhello0\r\n\r\n",
    "line feed in an extension": CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "trailer without colon": CHUNKED + b"0\r\nnonsense\r\n\r\n",
    "trailer with blank": CHUNKED + b"0\r\nx : y\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_ambiguous_is_refused(codec: MakeDechunker, name: str) -> None:
    assert refusal(codec, REFUSED[name]) == "protocol"


def test_what_came_before_the_error_is_given_first(codec: MakeDechunker) -> None:
    wire = CHUNKED + b"5\r\nhello\r\nnonsense"
    decoder = ResponseDecoder("GET", codec, HeadLimits())
    assert feed(decoder, [wire]) == b"hello"
    assert decoder.failure is not None
    assert not decoder.complete


@pytest.mark.parametrize(
    "said", [b"1" + b"0" * 16 + b"\r\n\r\n0\r\n\r\n", b"5\r\nhello\r\n0\n\n", b"0\r\r"]
)
def test_what_is_never_taken_for_the_end(codec: MakeDechunker, said: bytes) -> None:
    assert refusal(codec, CHUNKED + said) in ("protocol", "truncated")


def test_messages_do_not_quote_the_peer(codec: MakeDechunker) -> None:
    for wire in REFUSED.values():
        decoder = ResponseDecoder("GET", codec, HeadLimits())
        feed(decoder, [wire.replace(b"hello", b"SECRET").replace(b"x-a", b"SECRET")])
        assert decoder.failure is not None
        assert "SECRET" not in str(decoder.failure)


# --- Ends that come too early -------------------------------------------------------


def test_an_end_before_anything_is_a_reset(codec: MakeDechunker) -> None:
    assert refusal(codec, b"") == "reset"


@pytest.mark.parametrize("name", [name for name in READ if READ[name][2]])
def test_every_proper_beginning_is_truncated(codec: MakeDechunker, name: str) -> None:
    wire = READ[name][0]
    for length in range(1, len(wire)):
        assert outcome(codec, [wire[:length]])[3] == "truncated", wire[:length]


# --- Limits -------------------------------------------------------------------------


def limited(
    codec: MakeDechunker, wire: bytes, limits: HeadLimits, *, size: int
) -> FailureKind | None:
    decoder = ResponseDecoder("GET", codec, limits)
    pieces = [wire[index : index + size] for index in range(0, len(wire), size)]
    feed(decoder, pieces, eof=False)
    return kind_of(decoder)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_number_of_headers_is_limited(codec: MakeDechunker, size: int) -> None:
    limits = HeadLimits(headers=3)
    fits = OK + b"a: b\r\n" * 2 + b"content-length: 0\r\n\r\n"
    exceeds = OK + b"a: b\r\n" * 3 + b"content-length: 0\r\n\r\n"
    assert limited(codec, fits, limits, size=size) is None
    assert limited(codec, exceeds, limits, size=size) == "protocol"


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_bytes_of_a_head_are_limited(codec: MakeDechunker, size: int) -> None:
    head = OK + b"a: " + b"b" * 100 + b"\r\ncontent-length: 0\r\n\r\n"
    fits, exceeds = HeadLimits(head_bytes=len(head)), HeadLimits(head_bytes=100)
    assert limited(codec, head, fits, size=size) is None
    assert limited(codec, head, exceeds, size=size) == "protocol"


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_endless_head_is_refused(codec: MakeDechunker, size: int) -> None:
    wire = OK + b"a: " + b"b" * 1000
    assert limited(codec, wire, HeadLimits(head_bytes=500), size=size) == "protocol"


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_endless_interim_responses_are_refused(codec: MakeDechunker, size: int) -> None:
    wire = b"HTTP/1.1 102 Processing\r\n\r\n" * 100
    assert limited(codec, wire, HeadLimits(head_bytes=1000), size=size) == "protocol"


@pytest.mark.parametrize("framing", [b"0\r\n" + b"a: b\r\n" * 500, b"1;" + b"a" * 5000])
def test_endless_framing_is_refused(codec: MakeDechunker, framing: bytes) -> None:
    limits = HeadLimits(head_bytes=1000)
    assert limited(codec, CHUNKED + framing, limits, size=7) == "protocol"


def test_of_each_window_some_must_be_body(codec: MakeDechunker) -> None:
    limits = HeadLimits(head_bytes=100)
    for count, kind in ((100, None), (99 + 100, "protocol")):
        wire = CHUNKED + b"1\r\nx\r\n0\r\na:" + b"b" * count
        for size in (1, 100_000):
            assert limited(codec, wire, limits, size=size) == kind


def test_what_follows_a_body_in_another_window_is_seen(codec: MakeDechunker) -> None:
    wire = CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"
    limits = HeadLimits(head_bytes=len(wire))
    decoder = ResponseDecoder("GET", codec, limits)
    spare = len(wire) - (len(wire) - len(CHUNKED))
    feed(decoder, [wire + b"x" * (spare + 1)])
    assert (decoder.complete, decoder.reusable) == (True, False)
    decoder = ResponseDecoder("GET", codec, limits)
    feed(decoder, [wire])
    assert (decoder.complete, decoder.reusable) == (True, True)


def test_small_chunks_do_not_add_up_to_the_limit(codec: MakeDechunker) -> None:
    wire = CHUNKED + b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n"
    assert limited(codec, wire, HeadLimits(head_bytes=100), size=1) is None


# --- Laws ---------------------------------------------------------------------------

# No tabs: llhttp takes `chunked` with a tab after it for another coding, wrongly.
_fragments = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b" ", b"0", b"5", b"a", b":", b";", b",", b"\x00"),
        *(b"1", b"f", b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n"),
        *(b"x: y\r\n", b"HTTP/1.1 100 X\r\n\r\n", b"connection: close\r\n"),
        b"0\r\n\r\n",
    ]
)


@st.composite
def wires(draw: st.DrawFn) -> bytes:
    """A response, or one with something put in or taken out."""
    wire = draw(st.sampled_from([case[0] for case in READ.values()]))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(wire)))
        end = draw(st.integers(start, min(start + 3, len(wire))))
        wire = wire[:start] + draw(st.one_of(_fragments, st.just(b""))) + wire[end:]
    return wire


TRAILERS = (
    b"HTTP/1.1 200 \r\nTransfer-Encoding:chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    + b"x: 1\r\n" * 12
)
"""Trailers without an end, behind a body that came with them."""


@st.composite
def cut_wires(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    wire = draw(wires())
    cuts = sorted(draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    bounds = [0, *cuts, len(wire)]
    return wire, [wire[start:end] for start, end in itertools.pairwise(bounds)]


@given(cut_wires(), st.sampled_from([60, 90, 65536]))
@example((TRAILERS, in_bytes(TRAILERS)), 60)
def test_split_law(case: tuple[bytes, list[bytes]], most: int) -> None:
    wire, pieces = case
    limits = HeadLimits(head_bytes=most)
    for codec in CODECS:
        whole = outcome(codec, [wire], limits=limits)
        assert outcome(codec, pieces, limits=limits) == whole


def _read_by_h11(wire: bytes) -> tuple[int, bytes]:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(wire)
    connection.receive_data(b"")
    status, body = 0, b""
    while type(event := connection.next_event()) is not h11.EndOfMessage:
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
    return status, body


class _Events:
    """What llhttp reads, up to the end of the first final response."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.body = b""
        self.complete = False

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.status = self.parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self.body += data

    def on_message_complete(self) -> None:
        self.complete |= self.status >= 200


def _read_by_llhttp(wire: bytes) -> tuple[int, bytes] | None:
    """None where it refuses, as it does a length that is said twice."""
    events = _Events()
    try:
        events.parser.feed_data(wire)
    except httptools.HttpParserError:
        if not events.complete:
            return None
    return events.status, events.body


@given(wires())
def test_what_is_accepted_is_read_the_same_by_others(wire: bytes) -> None:
    for codec in CODECS:
        head, body, complete, _ = outcome(codec, [wire])
        if complete:
            assert _read_by_h11(wire) == (head.status, body)
            assert _read_by_llhttp(wire) in (None, (head.status, body))


@given(wires())
def test_both_libraries_agree_on_what_both_accept(wire: bytes) -> None:
    first, second = (outcome(codec, [wire]) for codec in CODECS)
    assert first[0] == second[0]
    if first[2] and second[2]:
        assert first == second


@given(st.binary(max_size=200))
def test_nothing_that_a_peer_sends_raises(wire: bytes) -> None:
    for codec in CODECS:
        for prefix in (b"", OK, CHUNKED):
            outcome(codec, [prefix + wire])


# --- Requests -----------------------------------------------------------------------


def make(**fields: Any) -> UpstreamRequest:
    given_fields: dict[str, Any] = {"method": "POST", "scheme": "http", "host": "x.y"}
    given_fields |= {"port": 80, "target": "/a?b=c"}
    return UpstreamRequest(**(given_fields | fields))


def test_a_head_is_written() -> None:
    request = make(headers=(("X-A", "b"), ("x-a", "\xe9\tc")), body=b"12345")
    assert encode_head(request) == (
        b"POST /a?b=c HTTP/1.1\r\n"
        b"Host: x.y\r\n"
        b"accept-encoding: identity\r\n"
        b"X-A: b\r\n"
        b"x-a: \xe9\tc\r\n"
        b"Content-Length: 5\r\n"
        b"\r\n"
    )
    assert b"Content-Length: 2\r\n" in encode_head(replace(request, body=b"12"))


@pytest.mark.parametrize(
    ("scheme", "host", "port", "written"),
    [
        ("http", "x.y", 80, b"x.y"),
        ("https", "x.y", 443, b"x.y"),
        ("http", "x.y", 443, b"x.y:443"),
        ("https", "x.y", 8443, b"x.y:8443"),
        ("http", "::1", 80, b"[::1]"),
        ("http", "::1", 8080, b"[::1]:8080"),
    ],
)
def test_host_has_a_port_unless_it_is_the_usual_one(
    scheme: str, host: str, port: int, written: bytes
) -> None:
    head = encode_head(make(scheme=scheme, host=host, port=port))
    assert b"\r\nHost: " + written + b"\r\n" in head


def test_headers_of_the_connection_are_our_own() -> None:
    names = "Host CONTENT-LENGTH Transfer-Encoding Connection Upgrade Accept-Encoding"
    names += " TE Trailer Keep-Alive Proxy-Connection Expect"
    head = encode_head(make(headers=tuple((name, "evil") for name in names.split())))
    assert head == encode_head(make())


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": (("x", "a\rb"),)},
        {"headers": (("x", "a\nb"),)},
        {"headers": (("x", "a\r\nb: c"),)},
        {"headers": (("x", "a\x00b"),)},
        {"headers": (("x", "a\x7fb"),)},
        {"headers": (("x", "\u20ac"),)},
        {"headers": (("x\r\ny", "a"),)},
        {"headers": (("x y", "a"),)},
        {"headers": (("x:", "a"),)},
        {"headers": (("x: y", "a"),)},
        {"headers": (("", "a"),)},
        {"headers": (("\xe9", "a"),)},
        {"target": ""},
        {"target": "*"},
        {"target": "http://x/"},
        {"target": "/a b"},
        {"target": "/a\r\nx: y"},
        {"target": "/\xe9"},
        {"method": ""},
        {"method": "GET /"},
        {"method": "CONNECT"},
        {"host": ""},
        {"host": "x\r\ny"},
        {"host": "user@x"},
        {"host": "x/y"},
        {"host": "\xe9"},
    ],
)
def test_what_cannot_stand_in_a_head_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        encode_head(make(**fields))


def test_a_refusal_names_the_header_and_not_its_value() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        encode_head(make(headers=(("authorization", "SECRET\n"),)))
    assert "`authorization`" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    with pytest.raises(LocalProtocolError) as caught:
        encode_head(make(headers=(("SECRET\n", "x"),), target="/?SECRET"))
    assert "SECRET" not in str(caught.value)


def test_heads_are_read_back_by_h11() -> None:
    request = make(headers=(("x-a", "b"),), body=b"hello")
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(encode_head(request) + request.body)
    read = connection.next_event()
    assert isinstance(read, h11.Request)
    assert (read.method, read.target) == (b"POST", b"/a?b=c")
    assert list(read.headers)[-2:] == [(b"x-a", b"b"), (b"content-length", b"5")]
    data = connection.next_event()
    assert isinstance(data, h11.Data)
    assert bytes(data.data) == b"hello"


# --- Which library ------------------------------------------------------------------


def test_the_fastest_library_at_hand_is_taken() -> None:
    assert load_dechunker() is HttptoolsDechunker
    assert load_dechunker("httptools") is HttptoolsDechunker
    assert load_dechunker("h11") is H11Dechunker


def test_without_httptools_there_is_h11(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "llmwire_server.upstream._chunked_httptools"
    monkeypatch.setitem(sys.modules, module, None)
    assert load_dechunker() is H11Dechunker
    with pytest.raises(ImportError):
        load_dechunker("httptools")
