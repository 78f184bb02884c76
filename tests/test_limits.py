"""The limits are a frozen record of positive numbers."""

from __future__ import annotations

import pickle

import pytest
from msgspec.structs import asdict, replace

from llmwire.limits import Limits


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
