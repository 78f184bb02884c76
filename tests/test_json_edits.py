"""Edits of a text, and what stands where once they are made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmwire._json_edits import Edit, kept, patched, source_offset

EDITS = (
    Edit(0, "framing", "ab", ""),
    Edit(4, "comma", "", ","),
    Edit(5, "x", "f", "XY"),
)


def test_edits_are_made() -> None:
    assert patched("abcdefg", EDITS) == "cd,eXYg"
    assert patched("abc", ()) == "abc"


def test_places_are_found_again() -> None:
    text = "abcdefg"
    found = patched(text, EDITS)
    for place, letter in enumerate(found):
        source = source_offset(place, EDITS)
        if letter in text:
            assert text[source] == letter
    assert source_offset(found.index(","), EDITS) == 4
    assert source_offset(found.index("X"), EDITS) == 6
    assert source_offset(len(found), EDITS) == len(text)
    assert source_offset(3, ()) == 3


@given(st.text(max_size=9), st.data())
def test_only_a_part_is_kept(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    edits = kept(text, (), start, end, "framing")
    assert patched(text, edits) == text[start:end]
    assert all(edit.removed for edit in edits)


def test_edits_outside_are_dropped() -> None:
    inside = Edit(2, "x", "c", "C")
    outside = (Edit(0, "x", "a", "A"), inside, Edit(4, "x", "e", "E"))
    edits = kept("abcde", outside, 1, 4, "framing")
    assert inside in edits and len(edits) == 3
    assert patched("abcde", edits) == "bCd"
    assert kept("abc", [Edit(3, "x", "", "]")], 0, 3, "framing") == [
        Edit(3, "x", "", "]")
    ]
