"""Bytes as characters and back, in texts of more than one block."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmwire.dialects.gemini._offsets import Offsets

TEXTS = st.builds(
    lambda text, times: text * times,
    st.text("aé🙂\u4e2d\n", max_size=12),
    st.integers(0, 300),
)


@given(TEXTS, st.data())
def test_bytes_before_a_character(text: str, data: st.DataObject) -> None:
    offsets = Offsets(text)
    for _ in range(3):
        at = data.draw(st.integers(0, len(text)))
        assert offsets.bytes(at) == len(text[:at].encode())


@given(TEXTS, st.data())
def test_characters_of_bytes(text: str, data: st.DataObject) -> None:
    octets, offsets = text.encode(), Offsets(text)
    for _ in range(3):
        start = data.draw(st.integers(0, len(octets)))
        end = data.draw(st.integers(start, len(octets)))
        before = len(octets[:start].decode(errors="ignore"))
        inside = len(octets[start:end].decode(errors="ignore"))
        assert offsets.characters(start, end) == (before, before + inside)


def test_what_lies_outside() -> None:
    for text in ("abc", "aé"):
        offsets = Offsets(text)
        assert offsets.characters(0, 3) is not None
        for start, end in ((-1, 2), (0, 4), (2, 1)):
            assert offsets.characters(start, end) is None


def test_lone_surrogates_are_one_byte() -> None:
    assert Offsets("\ud800é").bytes(1) == 1
    assert Offsets("\ud800é").characters(1, 3) == (1, 2)
