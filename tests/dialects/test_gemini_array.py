"""The splitter of streamed JSON arrays: linear, exact, and the same for every cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.dialects.gemini._array import ArrayDecoder
from llmwire.errors import LimitExceeded, LocalProtocolError
from llmwire.sse import Frame
from llmwire.strategies import chunks


def _frames(pieces: list[bytes], limit: int = 10**6) -> list[Frame]:
    decoder = ArrayDecoder(limit=limit)
    found = [frame for piece in pieces for frame in decoder.receive_data(piece)]
    return found + decoder.receive_eof()


_VALUES = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.text(max_size=8) | st.integers() | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)


@given(st.lists(_VALUES, max_size=5), st.booleans(), st.data())
def test_elements_come_back(
    values: list[object], escaped: bool, data: st.DataObject
) -> None:
    documents = [json.dumps(v, ensure_ascii=escaped, indent=1).encode() for v in values]
    wire = b"[" + b"\n,\r\n".join(documents) + b"]\n"
    frames = _frames(data.draw(chunks(wire)))
    assert [f.data for f in frames if f.data is not None] == documents
    assert b"".join(f.raw for f in frames) == wire
    assert not any(f.stray for f in frames)


@given(st.binary(max_size=60).map(lambda b: b.replace(b"\x00", b'{"a\\"}')), st.data())
def test_any_bytes_and_any_cut(wire: bytes, data: st.DataObject) -> None:
    whole = _frames([wire])
    assert _frames(data.draw(chunks(wire))) == whole
    assert b"".join(frame.raw for frame in whole) == wire


def test_lone_objects_and_a_bom() -> None:
    frames = _frames([b'\xef\xbb\xbf{"a": "}\\"{"}{}'])
    assert [frame.data for frame in frames] == [b'{"a": "}\\"{"}', b"{}"]


def test_what_is_left() -> None:
    assert _frames([b"[ ]"]) == [Frame(None, b"[ ]")]
    assert _frames([b" <html> "]) == [
        Frame(None, b" <html> ", stray=(b"<html>",), complete=False)
    ]
    assert _frames([b'[1, {"a"']) == [
        Frame(b'{"a"', b'[1, {"a"', stray=(b"1",), complete=False)
    ]
    assert _frames([b'[{"a"']) == [Frame(b'{"a"', b'[{"a"', complete=False)]
    assert _frames([b"[7 {}"])[0].stray == (b"7",)
    assert _frames([]) == []


def test_limits() -> None:
    decoder = ArrayDecoder(limit=8)
    assert len(decoder.receive_data(b'[{},{"aaaaaaaaa')) == 1
    for call in (decoder.receive_eof, lambda: decoder.receive_data(b"")):
        with pytest.raises(LimitExceeded):
            call()
    with pytest.raises(LimitExceeded):
        ArrayDecoder(limit=8).receive_data(b'{"aaaaaaaaa":1}')
    again = ArrayDecoder(limit=8)
    assert len(again.receive_data(b'{}{"aaaaaaaaa":1}')) == 1
    with pytest.raises(LimitExceeded):
        again.receive_data(b"{}")


def test_after_the_end() -> None:
    decoder = ArrayDecoder()
    assert decoder.receive_data(b'{"a') == []
    assert decoder.buffered == 3
    assert len(decoder.receive_eof()) == 1
    assert decoder.receive_eof() == []
    with pytest.raises(LocalProtocolError):
        decoder.receive_data(b"x")
