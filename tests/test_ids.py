"""Minted ids: deterministic, legal everywhere, recognisable."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._ids import digest, is_minted_call, mint, mint_call

WORDS = st.text(st.characters(codec=None))


@given(st.lists(WORDS | st.integers(), max_size=4))
def test_digests(pieces: list[str | int]) -> None:
    found = digest(*pieces)
    assert re.fullmatch(r"[a-z2-7]{24}", found)
    assert found == digest(*pieces)


@given(st.lists(WORDS | st.integers(), max_size=4))
def test_digests_are_lower_case_base32_of_sha256(pieces: list[str | int]) -> None:
    text = "\x1f".join(map(str, pieces))
    sha = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    assert digest(*pieces) == base64.b32encode(sha[:15]).decode().lower()


@given(st.lists(WORDS, unique=True, min_size=2, max_size=2))
def test_digests_differ(words: list[str]) -> None:
    one, other = words
    assert digest(one) != digest(other)
    assert digest(one, "a") != digest(other, "a")
    assert digest("a", one) != digest("a", other)


def test_digests_are_the_same_for_ever() -> None:
    """Ids in requests come from these: another value would empty every prompt cache."""
    assert digest("seed", "call", 0) == mint("", "seed", "call", 0)
    assert mint_call("", 0) == "tc_" + digest("", "call", 0)
    assert mint_call("seed", 1) == "tc_jvjnm6biq7dfoqubqy7bqncd"


@given(WORDS, st.integers(0, 9), st.integers(0, 9))
def test_calls(seed: str, one: int, other: int) -> None:
    minted = mint_call(seed, one)
    assert is_minted_call(minted)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", minted)
    assert (minted == mint_call(seed, other)) is (one == other)
    assert minted != mint("tc_", seed, "item", one)


@pytest.mark.parametrize(
    "call_id",
    [
        "",
        "tc_",
        "call_1",
        "tc_" + "a" * 23,
        "tc_" + "a" * 25,
        "tc_" + "a" * 24 + "\n",
        "tc_" + "A" * 24,
        "tc_" + "1" * 24,
        "xtc_" + "a" * 24,
    ],
)
def test_ids_that_are_not_ours(call_id: str) -> None:
    assert not is_minted_call(call_id)
