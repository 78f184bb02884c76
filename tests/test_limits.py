"""The limits are a frozen record of positive numbers."""

from __future__ import annotations

import pickle

import pytest
from msgspec.structs import asdict, replace

from llmwire.limits import Limits, near


def test_defaults() -> None:
    numbers = asdict(Limits())
    assert all(isinstance(number, int) and number > 0 for number in numbers.values())
    assert numbers["arguments"] <= numbers["frame"] <= numbers["body"]


def test_limits_are_values() -> None:
    limits = replace(Limits(), nesting=7)
    assert limits.nesting == 7
    assert limits != Limits()
    assert pickle.loads(pickle.dumps(limits)) == limits
    with pytest.raises(AttributeError):
        limits.nesting = 8  # type: ignore[misc]  # frozen
    with pytest.raises(TypeError):
        Limits(1)  # type: ignore[call-arg]  # by name only


def test_places_far_ahead_are_near() -> None:
    assert near(3, set()) == 3
    assert near(10**18, set()) == 16
    assert near(10**18, {0, 1, 10**18}) == 10**18
    assert near(10**18, {0, 1}) == 18
    assert near(-5, {0}) == 0
