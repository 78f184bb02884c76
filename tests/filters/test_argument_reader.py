"""Tests of `llmwire.filters._argument_reader`."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.filters._argument_reader import ArgumentReader, Step
from tests import counting
from tests.filters.calling import halves, value
from tests.filters.laws import cuts

TEXT: list[Step] = [("name", "a"), ("string", "")]
NEST: list[Step] = [("name", "a"), ("raw", "")]
FIVE: list[Step] = [("name", "a"), ("raw", "5"), ("over", "")]


def steps(pieces: list[str] | str) -> tuple[list[Step], ArgumentReader]:
    """What a reader gives, in normal form: growth joined."""
    reader = ArgumentReader()
    joined: list[Step] = []
    for piece in pieces:
        for kind, text in reader.feed(piece):
            if kind in ("text", "refused") and joined and joined[-1][0] == kind:
                joined[-1] = (kind, joined[-1][1] + text)
            else:
                joined.append((kind, text))
    return joined, reader


def members(found: list[Step]) -> dict[str, object]:
    """The object that the steps tell of."""
    told: dict[str, object] = {}
    name, kind, pieces = "", "", list[str]()
    for step, text in found:
        if step == "name":
            name, pieces = text, []
        elif step == "over":
            whole = "".join(pieces)
            told[name] = whole if kind == "string" else json.loads(whole)
        else:
            kind = step if step in ("string", "raw") else kind
            pieces.append(text)
    return told


def test_random_objects_are_read_as_json_reads_them() -> None:
    rng = random.Random(11)
    for number in range(1000):
        given = {f"k{n}": value(rng) for n in range(rng.randrange(4))}
        indent = rng.choice((None, 1))
        text = json.dumps(given, ensure_ascii=rng.random() < 0.5, indent=indent)
        found, reader = steps([text])
        assert reader.done and members(found) == given
        assert steps(text)[0] == found
        if number % 20 == 0:
            assert all(steps(cut)[0] == found for cut in halves(text))


@given(st.data(), st.lists(st.sampled_from([*'{}[]":,\\u0 a1', "null", "{"])))
def test_any_split_means_the_same(data: st.DataObject, letters: list[str]) -> None:
    text = "".join(letters)
    whole, one = steps([text])
    cut, other = steps(data.draw(cuts(text)))
    assert cut == whole
    assert (one.done, one.refused) == (other.done, other.refused)


@pytest.mark.parametrize(
    ("text", "found", "done"),
    [
        ("", [], True),
        (" \n", [], True),
        (" { } ", [], True),
        ('{"a"', [("name", "a")], False),
        ('{"a', [], False),
        ('{"a":', [("name", "a")], False),
        ('{"a":5', [("name", "a")], False),
        ('{"a":5}', FIVE, True),
        ('{"a":"', TEXT, False),
        ('{"a":"\\u00e9\\n"', [*TEXT, ("text", "é\n"), ("over", "")], False),
        ('{"a":"\t"}', [*TEXT, ("text", "\t"), ("over", "")], True),
        ('{"a":["]\\"",{}]}', [*NEST, ("text", '["]\\"",{}]'), ("over", "")], True),
        ('{"a":[[]', [("name", "a"), ("raw", ""), ("text", "[[]")], False),
        ("[1]", [("refused", "[1]")], False),
        ('{"a" 5}', [("name", "a"), ("refused", "5}")], False),
        ('{"a":}', [("name", "a"), ("refused", "}")], False),
        ('{"a":5 6}', [*FIVE, ("refused", "6}")], False),
        ('{"a":5,}', [*FIVE, ("refused", "}")], False),
        ("{} x", [("refused", "x")], False),
        ("{5", [("refused", "5")], False),
        ('{"\\x":1}', [("refused", '"\\x":1}')], False),
    ],
)
def test_steps(text: str, found: list[Step], done: bool) -> None:
    for pieces in halves(text):
        given, reader = steps(pieces)
        assert (given, reader.done) == (found, done)
        assert reader.refused == any(kind == "refused" for kind, _ in found)


@pytest.mark.parametrize("text", ['{"' + "a" * 2000 + '":1}', '{"a":' + "1" * 2000])
def test_endless_names_and_numbers_are_refused(text: str) -> None:
    reader = ArgumentReader()
    for letter in text:
        reader.feed(letter)
        assert reader.held < 1100
    assert reader.refused and reader.held == 0


def test_twice_the_text_is_twice_the_work() -> None:
    for shape in ('"a":1,', '"a":"b",', '"a":[{}],', '"a":"\\n\\n",', '"a":"\\\\u00'):
        few, some, many = (_calls("{" + shape * n) for n in (500, 1000, 2000))
        assert many - some <= 2.3 * (some - few) + 100, shape


def _calls(text: str) -> int:
    reader = ArgumentReader()
    return counting.calls(lambda: reader.feed(text))
