"""Tests of `llmwire.sse`: the laws first, then a case for every rule.

The laws are held against `read`, a second reader that is as slow and as plain as the
WHATWG text, over streams made of all that a stream may consist of. Every case of the
table is fed whole, byte by byte, cut in two at every place, and truncated at every
byte. Linear work is counted in bytes that the decoder looks at, never timed.
"""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire.errors import LimitExceeded, LocalProtocolError
from llmwire.limits import Limits
from llmwire.sse import Frame, FrameDecoder, encode_comment, encode_frame
from tests.sse_conformance import check
from tests.sse_streams import (
    BOM,
    FLOODS,
    count_work,
    divide,
    divisions,
    feed,
    mixed_streams,
    pieces_of,
    read,
    singles,
)

# --- Laws --------------------------------------------------------------------------


@given(mixed_streams, divisions)
@example(b"data: x\r\r\ndata: y\n\n", [8, 9])
@example(BOM + b"\n\n", [1, 2, 3, 4])
@example(BOM, [])
@example(BOM + b"\r", [])
@example(b"\r", [])
@example(b"data: {\rdata: {\n\n", [])
@example(b"data: {a\nb\r\n\r\n", [])
@example(b"data: {a\rb\n\ndata: {}\n\n", [])
@settings(max_examples=500, deadline=None)
def test_any_division_gives_the_frames_of_the_plain_reader(
    stream: bytes, cuts: list[int]
) -> None:
    expected, last_event_id, retry = read(stream)
    blocks = [frame.raw for frame in expected]
    for chunks in ([stream], divide(stream, cuts), singles(stream), blocks):
        decoder = FrameDecoder()
        assert feed(decoder, chunks) == expected
        assert decoder.last_event_id == last_event_id
        assert decoder.retry == retry


@given(mixed_streams, divisions)
@settings(deadline=None)
def test_the_raws_are_the_input(stream: bytes, cuts: list[int]) -> None:
    decoder = FrameDecoder()
    raws, received = b"", b""
    for chunk in divide(stream, cuts):
        raws += b"".join(frame.raw for frame in decoder.receive_data(chunk))
        received += chunk
        # All that was not returned yet is held.
        assert len(raws) + decoder.buffered == len(received)
    raws += b"".join(frame.raw for frame in decoder.receive_eof())
    assert raws == stream
    assert decoder.buffered == 0


@given(mixed_streams, divisions, st.integers(4, 40))
@settings(max_examples=300, deadline=None)
def test_a_limit_stops_any_division_at_the_same_frame(
    stream: bytes, cuts: list[int], limit: int
) -> None:
    expected: list[Frame] = []
    dead = False
    for frame in read(stream)[0]:
        bom = BOM if not expected and frame.raw.startswith(BOM) else b""
        dead = len(frame.raw) - len(bom) > limit
        if dead:
            break
        expected.append(frame)
    for chunks in ([stream], divide(stream, cuts), singles(stream)):
        decoder = FrameDecoder(limit=limit)
        frames: list[Frame] = []
        try:
            for chunk in chunks:
                frames += decoder.receive_data(chunk)
                assert decoder.buffered <= limit + len(BOM)
            frames += decoder.receive_eof()
        except LimitExceeded:
            assert dead
        else:
            assert not dead
        assert frames == expected


@given(mixed_streams.filter(lambda stream: b"\r" not in stream), divisions)
@settings(deadline=None)
def test_line_ends_make_no_difference(stream: bytes, cuts: list[int]) -> None:
    frames = feed(FrameDecoder(), [stream])
    for end in (b"\r\n", b"\r"):
        expected = [
            replace(frame, raw=frame.raw.replace(b"\n", end)) for frame in frames
        ]
        chunks = divide(stream.replace(b"\n", end), cuts)
        assert feed(FrameDecoder(), chunks) == expected


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))


@given(
    st.lists(st.tuples(st.binary(), texts), max_size=4),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    divisions,
)
@settings(deadline=None)
def test_what_is_encoded_is_decoded(
    events: list[tuple[bytes, str]], newline: bytes, cuts: list[int]
) -> None:
    written = [encode_frame(d, event=e, newline=newline) for d, e in events]
    frames = feed(FrameDecoder(), divide(b"".join(written), cuts))
    normal = [d.replace(b"\r\n", b"\n").replace(b"\r", b"\n") for d, _ in events]
    assert [frame.data for frame in frames] == normal
    assert [frame.event for frame in frames] == [event for _, event in events]
    assert [frame.raw for frame in frames] == written
    assert all(frame.complete and not frame.stray for frame in frames)


@given(st.text(st.characters(codec="utf-8")), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_comment_is_one_frame_without_data(text: str, newline: bytes) -> None:
    written = encode_comment(text, newline=newline)
    assert feed(FrameDecoder(), [written]) == [Frame(None, written)]


# --- Linear work -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "length"),
    [(1, 4_000), (2, 4_000), (7, 4_000), (16, 4_000), (1_400, 28_000), (10**6, 28_000)],
)
@pytest.mark.parametrize("name", FLOODS)
def test_work_is_linear(
    name: str, size: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, twice = (FLOODS[name](n) for n in (length, 2 * length))
    first = count_work(monkeypatch, pieces_of(once, size))
    second = count_work(monkeypatch, pieces_of(twice, size))
    assert first <= 14 * len(once)
    assert second <= 2.1 * first


def test_empty_chunks_touch_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    held = b"data: " + b"x" * 5_000 + b"\r\r"
    few = count_work(monkeypatch, [held, b""])
    assert count_work(monkeypatch, [held, *[b""] * 1_000]) == few


# --- Cases -------------------------------------------------------------------------

ODD_SPACES = b"\x0b\x0c\x1c\xc2\x85\xe2\x80\xa8"
CASES: dict[str, tuple[bytes, list[Frame]]] = {
    "nothing": (b"", []),
    "plain": (b"data: x\n\n", [Frame(b"x", b"data: x\n\n")]),
    "json": (
        b"data: {}\n\ndata: [DONE]\n\n",
        [Frame(b"{}", b"data: {}\n\n"), Frame(b"[DONE]", b"data: [DONE]\n\n")],
    ),
    "no space after the colon": (b"data:x\n\n", [Frame(b"x", b"data:x\n\n")]),
    "one space is dropped": (
        b"event:  a\ndata:  x\n\n" * 2,
        [Frame(b" x", b"event:  a\ndata:  x\n\n", " a")] * 2,
    ),
    "a tab is not": (b"data:\tx\n\n", [Frame(b"\tx", b"data:\tx\n\n")]),
    "lines are joined": (
        b"data: {\ndata:  1}\n\n",
        [Frame(b"{\n 1}", b"data: {\ndata:  1}\n\n")],
    ),
    "empty data is data": (b"data:\n\n", [Frame(b"", b"data:\n\n")]),
    "two lines of none": (b"data\ndata\n\n", [Frame(b"\n", b"data\ndata\n\n")]),
    "named": (
        b"event: a\ndata: 1\n\nevent: a\ndata: 2\n\ndata: 3\n\n",
        [
            Frame(b"1", b"event: a\ndata: 1\n\n", "a"),
            Frame(b"2", b"event: a\ndata: 2\n\n", "a"),
            Frame(b"3", b"data: 3\n\n"),
        ],
    ),
    "the last name counts, and may follow": (
        b"event: a\ndata: 1\nevent: b\n\nevent: a\ndata: 1\n\n",
        [
            Frame(b"1", b"event: a\ndata: 1\nevent: b\n\n", "b"),
            Frame(b"1", b"event: a\ndata: 1\n\n", "a"),
        ],
    ),
    "a name alone": (b"event: ping\n\n", [Frame(None, b"event: ping\n\n", "ping")]),
    "comment": (
        b": OPENROUTER PROCESSING\n\n:\n\n",
        [Frame(None, b": OPENROUTER PROCESSING\n\n"), Frame(None, b":\n\n")],
    ),
    "a comment belongs to its block": (
        b":c\ndata: {}\n:c\n\n",
        [Frame(b"{}", b":c\ndata: {}\n:c\n\n")],
    ),
    "blank lines": (
        b"\n\r\ndata: x\n\n\n\r\r\n",
        [
            Frame(None, b"\n"),
            Frame(None, b"\r\n"),
            Frame(b"x", b"data: x\n\n"),
            Frame(None, b"\n"),
            Frame(None, b"\r"),
            Frame(None, b"\r\n"),
        ],
    ),
    "crlf": (
        b"event: a\r\ndata: {}\r\n\r\ndata: {}\r\n\r\n",
        [
            Frame(b"{}", b"event: a\r\ndata: {}\r\n\r\n", "a"),
            Frame(b"{}", b"data: {}\r\n\r\n"),
        ],
    ),
    "cr": (
        b"data: {}\r\rdata: {}\r\r",
        [Frame(b"{}", b"data: {}\r\r"), Frame(b"{}", b"data: {}\r\r")],
    ),
    "the LF after a last CR is the block's": (
        b"data: x\r\r\ndata: y\n\r\n",
        [Frame(b"x", b"data: x\r\r\n"), Frame(b"y", b"data: y\n\r\n")],
    ),
    "only LF and CR end lines": (
        b"data: " + ODD_SPACES + b"\n\n",
        [Frame(ODD_SPACES, b"data: " + ODD_SPACES + b"\n\n")],
    ),
    "bom": (BOM + b"data: x\n\n", [Frame(b"x", BOM + b"data: x\n\n")]),
    "bom only once": (
        BOM + BOM + b"data: x\n\n",
        [Frame(None, BOM + BOM + b"data: x\n\n", stray=(BOM + b"data: x",))],
    ),
    "bom not later": (
        b"\n" + BOM + b"data: x\n\n",
        [
            Frame(None, b"\n"),
            Frame(None, BOM + b"data: x\n\n", stray=(BOM + b"data: x",)),
        ],
    ),
    "bom and a blank line": (BOM + b"\n", [Frame(None, BOM + b"\n")]),
    "half a bom": (
        b"\xef\xbb",
        [Frame(None, b"\xef\xbb", stray=(b"\xef\xbb",), complete=False)],
    ),
    "invalid UTF-8 stays": (
        b"event: \xff\ndata: \xff\n\n",
        [Frame(b"\xff", b"event: \xff\ndata: \xff\n\n", "\ufffd")],
    ),
    "NUL stays": (b"data: \0\n\n", [Frame(b"\0", b"data: \0\n\n")]),
    "unknown fields are stray": (
        b"Data: 1\ndata\0: 2\n data: 3\nerror: {}\nx\ndata: 4\n\n",
        [
            Frame(
                b"4",
                b"Data: 1\ndata\0: 2\n data: 3\nerror: {}\nx\ndata: 4\n\n",
                stray=(b"Data: 1", b"data\0: 2", b" data: 3", b"error: {}", b"x"),
            )
        ],
    ),
    "bare JSON is stray": (
        b'{\r\n  "error": [\r\n  ]\r\n}',
        [
            Frame(
                None,
                b'{\r\n  "error": [\r\n  ]\r\n}',
                stray=(b"{", b'  "error": [', b"  ]", b"}"),
                complete=False,
            )
        ],
    ),
    "the last block without its blank line": (
        b"data: {}\n\nevent: e\ndata: {}",
        [
            Frame(b"{}", b"data: {}\n\n"),
            Frame(b"{}", b"event: e\ndata: {}", "e", complete=False),
        ],
    ),
    "a last line's end is no blank line": (
        b"data: {}\r\n",
        [Frame(b"{}", b"data: {}\r\n", complete=False)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    stream, expected = CASES[name]
    assert read(stream)[0] == expected
    assert feed(FrameDecoder(), [stream]) == expected
    assert feed(FrameDecoder(), singles(stream)) == expected
    for place in range(len(stream) + 1):
        halves = [stream[:place], b"", stream[place:]]
        assert feed(FrameDecoder(), halves) == expected
        truncated = stream[:place]
        assert feed(FrameDecoder(), [truncated]) == read(truncated)[0]
        assert feed(FrameDecoder(), singles(truncated)) == read(truncated)[0]


def _decode(stream: bytes) -> list[FrameDecoder]:
    decoders = [FrameDecoder(), FrameDecoder()]
    feed(decoders[0], [stream])
    feed(decoders[1], singles(stream))
    return decoders


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"id: 1\n\n", "1"),
        (b"id: 1\n\ndata: x\n\n", "1"),
        (b"id: 1\nid: 2\n\n", "2"),
        (b"id: 1\n\nid\n\n", ""),
        (b"id: 1\n\nid: \0x\n\n", "1"),
        (b"id: \xff\n\n", "\ufffd"),
        (b"id: 1\n\nid: 2\n", "1"),
    ],
)
def test_last_event_id(stream: bytes, expected: str) -> None:
    assert [decoder.last_event_id for decoder in _decode(stream)] == [expected] * 2


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: x\n\n", None),
        (b"retry: 0\n\n", 0),
        (b"retry:1000\nretry: 2000\n\n", 2000),
        (b"retry: 5\n\nretry\n\n", 5),
        (b"retry: 5\n\nretry: 6x\n\nretry: -1\n\nretry:  7\n\n", 5),
        ("retry: \u0663\n\n".encode(), None),
        (b"retry: 999999999999999999\n\n", 999999999999999999),
        (b"retry: " + b"9" * 19 + b"\n\n", None),
        (b"retry: " + b"9" * 5000 + b"\n\n", None),
        (b"retry: 5\n", None),
    ],
)
def test_retry(stream: bytes, expected: int | None) -> None:
    assert [decoder.retry for decoder in _decode(stream)] == [expected] * 2


def test_a_frame_comes_with_its_last_byte() -> None:
    for end in (b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\n\n"):
        decoder = FrameDecoder()
        assert decoder.receive_data(b"data: x" + end[:-1]) == []
        assert decoder.receive_data(end[-1:]) == [Frame(b"x", b"data: x" + end)]
        assert decoder.buffered == 0


def test_a_frame_that_ends_with_cr_waits_for_one_byte() -> None:
    decoder = FrameDecoder()
    assert decoder.receive_data(b"data: x\r\r") == []
    assert decoder.receive_data(b"") == []
    assert decoder.receive_data(b"d") == [Frame(b"x", b"data: x\r\r")]
    assert decoder.buffered == 1
    assert decoder.receive_data(b"ata: y\r\n\r") == []
    assert decoder.receive_eof() == [Frame(b"y", b"data: y\r\n\r")]


def test_names_that_repeat_are_one_string() -> None:
    one, two = feed(FrameDecoder(), [b"event: a\ndata: {}\n\n" * 2])
    assert one.event is two.event


def test_what_is_remembered_of_a_peer_is_bounded() -> None:
    decoder = FrameDecoder()
    decoder.receive_data(b"event: " + b"x" * 1_000 + b"\ndata: {}\n\n")
    assert decoder._shape == (b"data: {", 6, "")


# --- Limits and misuse -------------------------------------------------------------


def test_the_limit_is_that_of_the_limits_record() -> None:
    limit = Limits().frame
    block = b"data: " + b"x" * (limit - 8)
    assert feed(FrameDecoder(), [block, b"\n\n"])[0].complete
    with pytest.raises(LimitExceeded, match=str(limit)):
        FrameDecoder().receive_data(block + b"xxx")


def test_frames_before_the_limit_are_returned_first() -> None:
    decoder = FrameDecoder(limit=10)
    assert decoder.receive_data(b"data: {}\n\ndata: {.}\n\nid: 1\n\n") == [
        Frame(b"{}", b"data: {}\n\n")
    ]
    assert decoder.buffered == 0
    for chunk in (b"data: {}\n\n", b""):
        with pytest.raises(LimitExceeded, match="more than 10 bytes"):
            decoder.receive_data(chunk)
        with pytest.raises(LimitExceeded, match="more than 10 bytes"):
            decoder.receive_eof()
    assert decoder.last_event_id == ""


def test_the_limit_holds_for_blocks_that_come_alone() -> None:
    decoder = FrameDecoder(limit=10)
    assert len(decoder.receive_data(b"data: {}\n\n")) == 1
    assert len(decoder.receive_data(b"data: {}\n\n")) == 1
    with pytest.raises(LimitExceeded):
        decoder.receive_data(b"data: {1}\n\n")


def test_a_bom_is_not_counted_and_not_lost() -> None:
    decoder = FrameDecoder(limit=10)
    for length in (1, 2, 3):
        assert decoder.receive_data(BOM[length - 1 : length]) == []
        assert decoder.buffered == length
    assert decoder.receive_data(b"data: {}\n\n" + b"x" * 11) == [
        Frame(b"{}", BOM + b"data: {}\n\n")
    ]
    with pytest.raises(LimitExceeded):
        decoder.receive_data(b"")


def test_nothing_follows_the_end() -> None:
    decoder = FrameDecoder()
    assert decoder.receive_data(b"data: {}") == []
    assert decoder.receive_eof() == [Frame(b"{}", b"data: {}", complete=False)]
    assert decoder.receive_eof() == []
    with pytest.raises(LocalProtocolError, match="after the end"):
        decoder.receive_data(b"data: {}\n\n")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (encode_frame(b"{}"), b"data: {}\n\n"),
        (encode_frame("\u00fc"), b"data: \xc3\xbc\n\n"),
        (encode_frame(b""), b"data: \n\n"),
        (encode_frame(b" x"), b"data:  x\n\n"),
        (encode_frame(b"{}", event="a"), b"event: a\ndata: {}\n\n"),
        (encode_frame(b"{}", newline=b"\r\n"), b"data: {}\r\n\r\n"),
        (encode_frame(b"a\nb\r\nc\rd"), b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (
            encode_frame(b"a\nb", event="e", newline=b"\r\n"),
            b"event: e\r\ndata: a\r\ndata: b\r\n\r\n",
        ),
        (encode_comment(), b":\n\n"),
        (encode_comment("ping"), b": ping\n\n"),
        (encode_comment("a\r\nb", newline=b"\r\n"), b": a\r\n: b\r\n\r\n"),
    ],
)
def test_encoding(written: bytes, expected: bytes) -> None:
    assert written == expected


def test_encoding_refuses_what_no_reader_could_read() -> None:
    for event in ("a\nb", "a\rb", "a\r\n"):
        with pytest.raises(LocalProtocolError, match="end of a line"):
            encode_frame(b"", event=event)
    for newline in (b"", b"\n\n", b"x"):
        with pytest.raises(LocalProtocolError, match="newline"):
            encode_frame(b"", newline=newline)
        with pytest.raises(LocalProtocolError, match="newline"):
            encode_comment(newline=newline)
    for text, event in (("\ud800", ""), ("", "\ud800")):
        with pytest.raises(LocalProtocolError, match="surrogate"):
            encode_frame(text, event=event)
    with pytest.raises(LocalProtocolError, match="surrogate"):
        encode_comment("\ud800")


# --- The runner of conformance records ---------------------------------------------


def _record(kind: str, data: bytes, **asserted: object) -> dict[str, object]:
    text = base64.b64encode(data).decode()
    return {"id": "", "kind": kind, "input_b64": text, "chunks_b64": [text]} | asserted


def test_conformance_records_that_agree() -> None:
    events = [{"event": "message", "data_json": {"a": 1}, "id": "1"}]
    stream = b'id: 1\nretry: 2\ndata: {"a":1}\r\r'
    final = {"final_retry": 2, "final_last_event_id": "1"}
    assert check(_record("events", stream, events=events, **final)) is None
    assert check(_record("events", b"data: x", events=[])) is None
    assert check(_record("lines", b"a\r\rb", lines=["a", "", "b"])) is None


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (_record("lines", b"a\nb", lines=["ab"]), "whole: lines"),
        (_record("events", b"data: x\n\n", events=[]), "number of events: 1"),
        (_record("events", b"data: x\n\n", events=[{"data": "y"}]), "event 0: fields"),
        (
            _record("events", b"id: 1\ndata: x\n\n", events=[{"id": "2"}]),
            "byte by byte: event 0: fields",
        ),
        (_record("events", b"", events=[], final_retry=1), "final retry: None"),
        (_record("events", b"", events=[], final_last_event_id="1"), "final id: ''"),
    ],
)
def test_conformance_records_that_differ(record: dict[str, object], words: str) -> None:
    assert words in (check(record) or "")
