"""Tests of `llmwire._effort`: words for how hard to think, and budgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire._effort import ORDER, budget_of_share, fixed_budget, nearest, of_budget

_THINKING = ORDER[1:]
_WORDS = st.sampled_from(ORDER)
_ACCEPTED = st.lists(_WORDS, unique=True)


class TestNearest:
    """The accepted word that is closest."""

    @given(_WORDS, _ACCEPTED)
    def test_no_other_is_closer(self, effort: str, accepted: list[str]) -> None:
        found = nearest(effort, accepted)
        candidates = [word for word in accepted if word != "none" or effort == word]
        if found is None:
            assert not candidates
            return
        assert found in candidates
        distances = {word: abs(_rank(word) - _rank(effort)) for word in candidates}
        assert distances[found] == min(distances.values())

    @given(_WORDS, _ACCEPTED)
    def test_order_does_not_matter(self, effort: str, accepted: list[str]) -> None:
        assert nearest(effort, accepted) == nearest(effort, accepted[::-1])

    @pytest.mark.parametrize(
        ("effort", "accepted", "found"),
        [
            ("high", ("low", "high"), "high"),
            ("medium", ("low", "high"), "low"),
            ("xhigh", ("low", "high"), "high"),
            ("minimal", ("none", "high"), "high"),
            ("none", ("low", "high"), "low"),
            ("none", ("none", "low"), "none"),
            ("low", ("none",), None),
            ("low", (), None),
            ("low", ("enormous",), None),
            ("enormous", ("low",), "enormous"),
        ],
    )
    def test_words(
        self, effort: str, accepted: tuple[str, ...], found: str | None
    ) -> None:
        assert nearest(effort, accepted) == found


def _rank(word: str) -> int:
    return ORDER.index(word)


class TestShares:
    """Budgets out of the limit of all tokens."""

    @given(st.sampled_from(_THINKING), st.integers(1, 200_000), st.integers(0, 2048))
    def test_they_leave_room_for_an_answer(
        self, effort: str, limit: int, least: int
    ) -> None:
        budget = budget_of_share(effort, limit, least)
        assert budget == least or least < budget < limit

    @given(st.integers(1, 200_000))
    def test_more_effort_is_no_smaller_budget(self, limit: int) -> None:
        budgets = [budget_of_share(effort, limit) for effort in _THINKING]
        assert budgets == sorted(budgets)

    @pytest.mark.parametrize(
        ("effort", "budget"),
        [
            ("minimal", 1024),
            ("low", 2000),
            ("medium", 5000),
            ("high", 8000),
            ("xhigh", 9500),
            ("max", 9500),
            ("enormous", 5000),
        ],
    )
    def test_published_shares(self, effort: str, budget: int) -> None:
        assert budget_of_share(effort, 10_000) == budget

    @pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh"])
    def test_there_and_back(self, effort: str) -> None:
        assert of_budget(budget_of_share(effort, 20_000), 20_000) == effort


class TestFixed:
    """Budgets that depend on nothing but the word."""

    @given(_WORDS, st.integers(0, 2048), st.integers(2048, 65_536))
    def test_they_are_within_what_is_allowed(
        self, effort: str, least: int, most: int
    ) -> None:
        assert least <= fixed_budget(effort, least, most) <= most

    @pytest.mark.parametrize(
        ("effort", "budget"),
        [
            ("minimal", 1024),
            ("low", 1024),
            ("medium", 8192),
            ("high", 24576),
            ("xhigh", 32768),
            ("max", 32768),
            ("enormous", 32768),
        ],
    )
    def test_published_budgets(self, effort: str, budget: int) -> None:
        assert fixed_budget(effort, 128, 32768) == budget

    @pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh"])
    def test_there_and_back(self, effort: str) -> None:
        assert of_budget(fixed_budget(effort, 128, 32768), None) == effort


class TestOfBudget:
    """The word for a budget."""

    @given(
        st.integers(0, 100_000),
        st.integers(0, 100_000),
        st.none() | st.integers(0, 100_000),
    )
    def test_a_larger_budget_is_no_lesser_word(
        self, one: int, two: int, limit: int | None
    ) -> None:
        small, large = sorted((one, two))
        assert _rank(of_budget(small, limit)) <= _rank(of_budget(large, limit))

    @pytest.mark.parametrize(
        ("budget", "limit", "word"),
        [
            (1024, None, "low"),
            (1025, None, "medium"),
            (8192, None, "medium"),
            (24576, None, "high"),
            (24577, None, "xhigh"),
            (1024, 1500, "low"),
            (2000, 10_000, "low"),
            (2001, 10_000, "medium"),
            (8000, 10_000, "high"),
            (8001, 10_000, "xhigh"),
            (5000, 0, "xhigh"),
        ],
    )
    def test_words(self, budget: int, limit: int | None, word: str) -> None:
        assert of_budget(budget, limit) == word
