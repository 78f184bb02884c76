"""The events are data: frozen, small, able to travel."""

from __future__ import annotations

import pickle
from typing import get_args

import pytest
from hypothesis import given
from msgspec import Struct

from llmwire import events
from llmwire.events import EVENT_TYPES, Event, MessageEnd, PartStart, TextDelta
from llmwire.messages import TextPart
from llmwire.strategies import sentences


def test_public_names() -> None:
    assert set(events.__all__) == {
        "EVENT_TYPES",
        "Event",
        *(kind.__name__ for kind in EVENT_TYPES),
    }
    assert get_args(Event) == EVENT_TYPES


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_events_are_frozen_and_untracked(kind: type[Struct]) -> None:
    assert kind.__struct_config__.frozen
    assert not kind.__struct_config__.gc
    assert "__dict__" not in dir(kind)


@given(sentences("anthropic"))
def test_events_can_travel(sentence: list[Event]) -> None:
    assert pickle.loads(pickle.dumps(sentence)) == sentence


def test_events_are_equal_by_type_and_members() -> None:
    refused: Event = events.RefusalDelta(0, "a")
    assert TextDelta(0, "a") == TextDelta(0, "a")
    assert TextDelta(0, "a") != refused
    assert PartStart(0, TextPart(text="")).choice == 0
    assert MessageEnd("end").choice == 0
    with pytest.raises(AttributeError):
        TextDelta(0, "a").text = "b"  # type: ignore[misc]  # frozen
