"""Tests of `llmwire._lines`: one line is one message, whatever the chunks are."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._lines import LineDecoder
from llmwire.errors import LimitExceeded
from llmwire.sse import Frame

LINES = b'{"a": 1}\n\n  {"b": 2} \r\n{"c"'


def _fed(chunks: list[bytes], limit: int = 100) -> tuple[list[Frame], bool]:
    """The frames, and whether the limit was met."""
    decoder = LineDecoder(limit=limit)
    frames: list[Frame] = []
    try:
        for chunk in chunks:
            frames += decoder.receive_data(chunk)
        return frames + decoder.receive_eof(), False
    except LimitExceeded:
        with pytest.raises(LimitExceeded):
            decoder.receive_data(b"more")
        with pytest.raises(LimitExceeded):
            decoder.receive_eof()
        return frames, True


def test_lines_are_frames() -> None:
    frames, exceeded = _fed([LINES])
    assert [each.data for each in frames] == [
        b'{"a": 1}',
        None,
        b'{"b": 2}',
        b'{"c"',
    ]
    assert [each.complete for each in frames] == [True, True, True, False]
    assert b"".join(each.raw for each in frames) == LINES
    assert not exceeded


@given(
    st.lists(st.sampled_from([b"x", b"\n", b"longer than eight", b" \r\n", b"{}"])),
    st.data(),
)
def test_division_changes_nothing(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    bounds = [0, *cuts, len(whole)]
    chunks = [whole[a:b] for a, b in itertools.pairwise(bounds)]
    bytewise = [whole[at : at + 1] for at in range(len(whole))]
    assert _fed(chunks, 8) == _fed([whole], 8) == _fed(bytewise, 8)


def test_frames_before_a_line_that_is_too_long_are_given() -> None:
    decoder = LineDecoder(limit=4)
    assert [f.raw for f in decoder.receive_data(b"ab\n" + b"c" * 9)] == [b"ab\n"]
    with pytest.raises(LimitExceeded, match="more than 4 bytes"):
        decoder.receive_data(b"")
