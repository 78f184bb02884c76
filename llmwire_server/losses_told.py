"""Losses, put into words for clients and the log; pure.

The configuration speaks of what people want to happen (`LossRule`), the codecs of what
they do (`llmwire.losses.Policy`): `loss_rules` leads from one to the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct

from llmwire import FEATURES, Loss
from llmwire.losses import PolicyChoice
from llmwire_server.backends import LossRule

__all__ = ("LOSSES_HEADER", "LossRules", "describe", "loss_rules", "summary")

LOSSES_HEADER: Final = "x-llmwire-losses"
"""What the answer, or its request, could not be told; see `summary`."""
SUMMARY_LIMIT: Final = 1000
"""Bytes of a summary."""


class LossRules(Struct, frozen=True, kw_only=True):
    """What is done about losses at one backend."""

    policy: Mapping[str, PolicyChoice] = {}
    """For the codecs: what is not as they do it anyway."""
    untold: frozenset[str] = frozenset()
    """Features of which nothing is said."""

    def told(self, losses: tuple[Loss, ...]) -> tuple[Loss, ...]:
        """Those of `losses` that are told."""
        if not self.untold:
            return losses
        return tuple(loss for loss in losses if loss.feature not in self.untold)


def loss_rules(*rules: Mapping[str, LossRule]) -> LossRules:
    """What several sets of rules mean together, later ones over earlier ones.

    `error` refuses the call. `warn` and `allow` let the codecs do what they usually do,
    and leave out what they would refuse; `allow` says nothing of it. `emulate` says it
    by other means where there are any.
    """
    merged: dict[str, LossRule] = {}
    for each in rules:
        merged.update(each)
    policy: dict[str, PolicyChoice] = {}
    for feature, rule in merged.items():
        if rule == "error":
            policy[feature] = "refuse"
        elif rule == "emulate":
            policy[feature] = "emulate"
        elif FEATURES[feature].hard:
            policy[feature] = "drop"
    untold = frozenset(name for name, rule in merged.items() if rule == "allow")
    return LossRules(policy=policy, untold=untold)


def summary(losses: Iterable[Loss], limit: int = SUMMARY_LIMIT) -> str:
    """How many by feature and action: `sampling=dropped;2, extras=dropped;1`.

    In the order of their first appearance, visible ASCII and spaces only. What does not
    fit into `limit` characters is counted at the end: `…, +3` says that three more
    pairs of feature and action follow.
    """
    return _summary(tuple([(loss.feature, loss.action) for loss in losses]), limit)


@lru_cache(maxsize=256)
def _summary(lost: tuple[tuple[str, str], ...], limit: int) -> str:
    counts = Counter(lost)
    pieces = [f"{name}={action};{n}" for (name, action), n in counts.items()]
    text = ", ".join(pieces)
    left = len(pieces)
    while len(text) > limit and left:
        left -= 1
        text = ", ".join((*pieces[:left], f"+{len(pieces) - left}"))
    return text


def describe(loss: Loss) -> str:
    """One loss for people: what was done, where, and why."""
    place = loss.path or "the whole"
    return f"{loss.action}: {place} ({loss.feature}): {loss.reason}"
