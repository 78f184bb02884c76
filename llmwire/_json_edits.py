"""What a repair changes in a text: places, rules, and what stood and stands there."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class Edit(Struct, frozen=True):
    """One change of a text."""

    offset: int
    """Where, in characters of the text that was given."""
    rule: str
    """Which rule, a name of `llmwire.json_repair.RULES`."""
    removed: str
    """What stood there; empty for an insertion."""
    inserted: str
    """What stands there now; empty for a removal."""


def patched(text: str, edits: Iterable[Edit]) -> str:
    """`text` with `edits`, which are in order and do not overlap."""
    pieces = []
    done = 0
    for edit in edits:
        pieces += [text[done : edit.offset], edit.inserted]
        done = edit.offset + len(edit.removed)
    return "".join([*pieces, text[done:]])


def source_offset(place: int, edits: Iterable[Edit]) -> int:
    """Where in the text stands what is at `place` once `edits` are made.

    What an edit inserted stands behind what it removed.
    """
    shift = 0
    for edit in edits:
        start = edit.offset - shift
        if place < start:
            break
        if place < start + len(edit.inserted):
            return edit.offset + len(edit.removed)
        shift += len(edit.removed) - len(edit.inserted)
    return place + shift


def kept(
    text: str, edits: Iterable[Edit], start: int, end: int, rule: str
) -> list[Edit]:
    """`edits`, and by `rule` nothing left of `text` but from `start` to `end`."""
    inside = [
        e for e in edits if start <= e.offset and e.offset + len(e.removed) <= end
    ]
    if start:
        inside.insert(0, Edit(0, rule, text[:start], ""))
    if end < len(text):
        inside.append(Edit(end, rule, text[end:], ""))
    return inside
