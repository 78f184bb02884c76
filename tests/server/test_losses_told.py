"""Tests of `llmwire_server.losses_told`: losses put into words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire import FEATURES, Loss
from llmwire_server.losses_told import LossRules, describe, loss_rules, summary

ACTIONS = ("dropped", "approximated", "emulated", "defaulted", "refused")


def _loss(feature: str, action: str = "dropped", path: str = "p") -> Loss:
    return Loss(path=path, feature=feature, action=action, reason="why")  # type: ignore[arg-type]  # drawn


LOSSES = st.builds(_loss, st.sampled_from(sorted(FEATURES)), st.sampled_from(ACTIONS))


@pytest.mark.parametrize(
    ("feature", "rule", "policy", "untold"),
    [
        ("sampling", "error", {"sampling": "refuse"}, ()),
        ("sampling", "warn", {}, ()),
        ("sampling", "allow", {}, ("sampling",)),
        ("sampling", "emulate", {"sampling": "emulate"}, ()),
        ("stop", "warn", {}, ()),
        ("stop", "allow", {}, ("stop",)),
        ("media.url", "error", {"media.url": "refuse"}, ()),
        ("media.url", "warn", {"media.url": "drop"}, ()),
        ("media.url", "allow", {"media.url": "drop"}, ("media.url",)),
    ],
)
def test_rules_become_a_policy(
    feature: str, rule: str, policy: dict[str, str], untold: tuple[str, ...]
) -> None:
    found = loss_rules({feature: rule})  # type: ignore[dict-item]  # drawn
    assert found == LossRules(policy=policy, untold=frozenset(untold))  # type: ignore[arg-type]  # drawn


def test_later_rules_go_before_earlier_ones() -> None:
    rules = loss_rules(
        {"sampling": "error", "stop": "allow"}, {"sampling": "allow", "user": "error"}
    )
    assert rules.policy == {"user": "refuse"}
    assert rules.untold == {"sampling", "stop"}
    assert loss_rules() == LossRules()


def test_what_is_allowed_is_not_told() -> None:
    losses = (_loss("sampling"), _loss("user"), _loss("sampling"))
    assert LossRules().told(losses) is losses
    assert LossRules(untold=frozenset({"sampling"})).told(losses) == (losses[1],)


def test_a_summary_counts_by_feature_and_action() -> None:
    losses = [
        _loss("sampling"),
        _loss("stop", "emulated"),
        _loss("sampling"),
        _loss("stop"),
    ]
    assert summary(losses) == "sampling=dropped;2, stop=emulated;1, stop=dropped;1"
    assert summary([]) == ""


PAIR = r"[a-z._]+=(?:dropped|approximated|emulated|defaulted|refused);[1-9][0-9]*"
GRAMMAR = re.compile(rf"{PAIR}(?:, {PAIR})*(?:, \+[1-9][0-9]*)?")


@given(st.lists(LOSSES, min_size=1, max_size=60), st.integers(60, 1000))
def test_every_summary_is_a_sentence_of_the_grammar(
    losses: list[Loss], limit: int
) -> None:
    text = summary(losses, limit)
    assert GRAMMAR.fullmatch(text)
    assert len(text) <= limit
    assert text.isascii()
    pieces = text.split(", ")
    more = int(pieces.pop()[1:]) if "+" in pieces[-1] else 0
    pairs = {(loss.feature, loss.action) for loss in losses}
    assert len(pieces) + more == len(pairs)
    told = sum(int(piece.rpartition(";")[2]) for piece in pieces)
    assert told == len(losses) if not more else told < len(losses)


def test_every_loss_at_once_still_fits() -> None:
    losses = [_loss(feature, action) for feature in FEATURES for action in ACTIONS]
    text = summary(losses)
    assert 900 < len(text) <= 1000
    assert GRAMMAR.fullmatch(text)


def test_what_has_no_room_at_all_is_counted() -> None:
    assert summary([_loss("sampling"), _loss("user")], 3) == "+2"


def test_one_loss_is_described() -> None:
    assert describe(_loss("user", path="user")) == "dropped: user (user): why"
    assert describe(_loss("usage", path="")) == "dropped: the whole (usage): why"
