"""How hard to think: words, budgets, and the way from one to the other.

The shares of `max_tokens` are those that OpenRouter publishes for Anthropic budgets,
the fixed budgets those of Google's own OpenAI layer. Deterministic both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ORDER: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Every word, from no thinking to most."""
_SHARES: Final = {
    "minimal": 0.0,
    "low": 0.2,
    "medium": 0.5,
    "high": 0.8,
    "xhigh": 0.95,
    "max": 0.95,
}
_FIXED: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}


def nearest(effort: str, accepted: Sequence[str]) -> str | None:
    """The accepted word closest to `effort`; on a tie the lesser.

    `none` is chosen only for itself; None where nothing fits. An unknown word is given
    back as it is.
    """
    if effort in accepted or effort not in ORDER:
        return effort
    known = [word for word in accepted if word in ORDER and word != "none"]
    at = ORDER.index(effort)
    if not known:
        return None
    return min(known, key=lambda w: (abs(ORDER.index(w) - at), ORDER.index(w)))


def budget_of_share(effort: str, max_tokens: int, least: int = 1024) -> int:
    """Thinking tokens for `effort` out of `max_tokens` (Anthropic's budgets)."""
    wanted = int(_SHARES.get(effort, 0.5) * max_tokens)
    return max(least, min(wanted, max_tokens - 1))


def fixed_budget(effort: str, least: int, most: int) -> int:
    """Thinking tokens for `effort` (Gemini's budgets)."""
    return max(least, min(_FIXED.get(effort, most), most))


def of_budget(budget: int, max_tokens: int | None) -> str:
    """The word for a budget of thinking tokens, given the limit of all tokens."""
    if max_tokens is None:
        return next(
            (w for w, b in _FIXED.items() if w != "minimal" and budget <= b), "xhigh"
        )
    share = budget / max(max_tokens, 1)
    if budget <= 1024 or share <= 0.2:
        return "low"
    if share <= 0.5:
        return "medium"
    return "high" if share <= 0.8 else "xhigh"
