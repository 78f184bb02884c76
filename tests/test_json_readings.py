"""What a reading remembers: its edits in order, taken back, and copies of it."""

from __future__ import annotations

from copy import copy

import pytest

from llmwire._json_edits import Edit
from llmwire._json_readings import MAX_FIXES, Mode, State, Stuck


def _edit(offset: int, removed: str = "", rule: str = "comma") -> Edit:
    return Edit(offset, rule, removed, "")


def test_edits_are_given_in_order() -> None:
    state = State(9, [_edit(0, "head")])
    state.fix(_edit(5, "x"), _edit(7))
    state.fix(_edit(5))
    assert state.in_order() == (_edit(0, "head"), _edit(5), _edit(5, "x"), _edit(7))
    assert (state.at, state.mode, state.fixes) == (9, Mode.VALUE, 2)


def test_an_edit_is_taken_back() -> None:
    state = State(0, [_edit(1), _edit(4), _edit(6), _edit(8)])
    state.withdraw(4)
    assert state.in_order() == (_edit(1), _edit(6), _edit(8))
    state.withdraw(9)
    assert len(state.in_order()) == 3
    state.withdraw(0)
    assert len(state.in_order()) == 3
    State(0, ()).withdraw(0)


def test_a_copy_goes_its_own_way() -> None:
    state = State(0, ())
    state.fix(_edit(1))
    other = copy(state)
    other.fix(_edit(2))
    assert (len(state.in_order()), len(other.in_order())) == (1, 2)


def test_fixes_are_limited() -> None:
    state = State(3, ())
    for _ in range(MAX_FIXES):
        state.fix()
    with pytest.raises(Stuck, match="64 mistakes"):
        state.fix()
