"""Log probabilities of tokens: `logprobsResult`.

Read as the log probabilities of the text they stand beside where the neutral form can
say all of it, and otherwise left to the extras.

https://ai.google.dev/api/generate-content#LogprobsResult
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Raw

from llmwire.dialects.gemini._notes import parsed, raw
from llmwire.losses import LossRecorder
from llmwire.messages import TokenLogprob

_MODELLED: Final = {"chosenCandidates", "topCandidates"}


def read_logprobs(result: Raw) -> tuple[TokenLogprob, ...] | None:
    """The tokens of `result`, None where something of it would be lost."""
    members = parsed(result)
    if not isinstance(members, dict) or not set(members) <= _MODELLED:
        return None
    chosen = members.get("chosenCandidates")
    tops = members.get("topCandidates")
    if not isinstance(chosen, list) or not chosen:
        return None
    if tops is not None and (not isinstance(tops, list) or len(tops) != len(chosen)):
        return None
    tokens: list[TokenLogprob] = []
    for at, candidate in enumerate(chosen):
        top = _alternatives(tops[at]) if tops is not None else ()
        token = _token(candidate)
        if token is None or top is None:
            return None
        tokens.append(TokenLogprob(token.token, token.logprob, None, top, token.extras))
    if tops is not None and not any(token.top for token in tokens):
        return None
    return tuple(tokens)


def _alternatives(top: Any) -> tuple[TokenLogprob, ...] | None:
    if not isinstance(top, dict) or set(top) != {"candidates"}:
        return None
    candidates = top["candidates"]
    if not isinstance(candidates, list):
        return None
    tokens = [_token(candidate) for candidate in candidates]
    return tuple(t for t in tokens if t is not None) if all(tokens) else None


def _token(candidate: Any) -> TokenLogprob | None:
    if not isinstance(candidate, dict):
        return None
    token = candidate.get("token")
    logprob = candidate.get("logProbability")
    number = isinstance(logprob, int | float) and not isinstance(logprob, bool)
    if not isinstance(token, str) or not (number or "logProbability" not in candidate):
        return None
    rest = {
        name: raw(value)
        for name, value in candidate.items()
        if name not in ("token", "logProbability")
    }
    return TokenLogprob(token, logprob, None, (), rest or None)


def report_logprobs(
    tokens: Iterable[TokenLogprob], path: str, losses: LossRecorder, first: int = 0
) -> None:
    """Losses of tokens of another dialect: Gemini tells no bytes."""
    for at, token in enumerate(tokens, first):
        if token.bytes is not None or token.extras:
            reason = "tokens are told without their bytes"
            losses.drop("logprobs", f"{path}.logprobs[{at}]", reason)
        elif any(top.bytes is not None or top.extras for top in token.top):
            reason = "tokens are told without their bytes"
            losses.drop("logprobs", f"{path}.logprobs[{at}].top", reason)


def write_logprobs(tokens: Sequence[TokenLogprob], native: bool) -> dict[str, Any]:
    """`tokens` as a `logprobsResult`."""
    if not native:
        tokens = [_bare(token) for token in tokens]
    chosen = [_members(token) for token in tokens]
    members: dict[str, Any] = {"chosenCandidates": chosen}
    tops = [[_members(t) for t in token.top] for token in tokens]
    if any(tops):
        members["topCandidates"] = [{"candidates": top} for top in tops]
    return members


def _bare(token: TokenLogprob) -> TokenLogprob:
    """`token` without members of another dialect."""
    top = tuple(TokenLogprob(t.token, t.logprob) for t in token.top)
    return TokenLogprob(token.token, token.logprob, None, top)


def _members(token: TokenLogprob) -> dict[str, Any]:
    members: dict[str, Any] = {"token": token.token}
    if token.logprob is not None:
        members["logProbability"] = token.logprob
    return {**members, **(token.extras or {})}
