"""Tests of `llmwire.context`: plain data, and the filters it asks for."""

from __future__ import annotations

import pickle

from msgspec.structs import replace

from llmwire.context import Context
from llmwire.filters.stops import StopFilter
from llmwire.filters.think import ThinkTagFilter
from llmwire.filters.unwrap import UnwrapFilter
from llmwire.profiles import Profile

PLAIN = Context(target="openai-chat", profile=Profile())
FULL = replace(
    PLAIN,
    profile=Profile(think_tags=(("<think>", "</think>"),)),
    names={"short": "long"},
    stops=("END",),
)


def test_nothing_to_undo_needs_no_filter() -> None:
    assert PLAIN.filters() == ()


def test_filters_come_in_one_order_and_fresh() -> None:
    kinds = [type(each) for each in FULL.filters()]
    assert kinds == [ThinkTagFilter, UnwrapFilter, StopFilter]
    assert FULL.filters()[2] is not FULL.filters()[2]


def test_each_emulation_asks_for_unwrapping() -> None:
    for changed in (
        replace(PLAIN, names={"a": "b"}),
        replace(PLAIN, custom=("a",)),
        replace(PLAIN, json_tool="a"),
    ):
        assert [type(each) for each in changed.filters()] == [UnwrapFilter]


def test_a_context_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(FULL)) == FULL
