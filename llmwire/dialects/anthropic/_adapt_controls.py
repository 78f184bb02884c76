"""Thinking, sampling, limits and stops, made to fit a model of this dialect.

Which model takes what is in the profile: `adaptive` models think by effort, `budget`
models by tokens (https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking,
https://platform.claude.com/docs/en/build-with-claude/extended-thinking).
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from msgspec.structs import replace

from llmwire import _effort
from llmwire.dialects import RequestTarget
from llmwire.requests import Reasoning, Request, Sampling

_NO_SAMPLING: Final = "2026-10-21"
"""Version from which sampling is refused, whatever the value."""
_FOREIGN_SAMPLING: Final = (
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
)
_FOREIGN: Final = attrgetter(*_FOREIGN_SAMPLING)
_NO_FOREIGN: Final = _FOREIGN(Sampling())
_MIN_TOP_P: Final = 0.95
"""The least `top_p` beside thinking."""
_SHOWN_BY_DEFAULT: Final = "openai-chat"
"""Dialect whose clients see what is thought and have no word to ask for it."""


def fit_max_tokens(request: Request, target: RequestTarget, native: bool) -> int:
    """The limit of generated tokens, which this dialect needs."""
    if request.max_tokens is not None:
        return request.max_tokens
    limit = target.profile.default_max_tokens
    wanted = request.reasoning.budget if request.reasoning is not None else None
    if wanted is not None and wanted >= limit:
        limit += wanted
    reason = "the dialect needs a limit"
    target.losses.default("max_tokens", "max_tokens", reason)
    return limit


def fit_reasoning(
    request: Request, target: RequestTarget, max_tokens: int, keeps_extras: bool
) -> Reasoning | None:
    """How to think, in the words of the model."""
    wanted = request.reasoning
    losses, profile = target.losses, target.profile
    if wanted is None:
        return None
    extras = wanted.extras
    if not keeps_extras:
        losses.drop_extras(extras, "reasoning")
        extras = None
    if wanted.summary is not None:
        reason = "how long a summary is cannot be chosen"
        losses.approximate("reasoning.show", "reasoning.summary", reason)
    if profile.reasoning not in ("adaptive", "budget"):
        reason = "the model does not think"
        losses.emulate("reasoning.mode", "reasoning", reason)
        return None
    if wanted.mode == "off" or wanted.effort == "none" or wanted.budget == 0:
        return _off(wanted, target)
    show = _shown(request, wanted, target)
    if profile.reasoning == "adaptive":
        fitted = _adaptive(wanted, target, max_tokens)
    else:
        fitted = _budgeted(wanted, target, max_tokens)
    if fitted is None or fitted.mode == "default":
        if show is not None:
            reason = "it was not asked to think"
            losses.approximate("reasoning.show", "reasoning.show", reason)
        if fitted == Reasoning():
            losses.default("reasoning.mode", "reasoning", "left to the model")
            return None
        return fitted
    return replace(fitted, show=show, extras=extras)


def _off(wanted: Reasoning, target: RequestTarget) -> Reasoning:
    losses = target.losses
    for name, feature in (("effort", "effort"), ("budget", "budget"), ("show", "show")):
        least = name == "effort" and wanted.effort == "low"
        if least and not target.profile.thinking_off:
            continue
        if getattr(wanted, name) is not None:
            reason = "thinking is off"
            losses.approximate(f"reasoning.{feature}", f"reasoning.{name}", reason)
    if target.profile.thinking_off:
        if wanted.mode != "off":
            reason = "the word for it"
            losses.emulate("reasoning.mode", "reasoning.mode", reason)
        return Reasoning(mode="off")
    reason = "the model always thinks: as little as it can"
    if wanted.mode != "default":
        losses.approximate("reasoning.mode", "reasoning.mode", reason)
    losses.default("reasoning.effort", "reasoning.effort", reason)
    return Reasoning(effort="low")


def _shown(request: Request, wanted: Reasoning, target: RequestTarget) -> str | None:
    losses = target.losses
    if wanted.show == "raw":
        reason = "thoughts are shown in summary"
        losses.approximate("reasoning.show", "reasoning.show", reason)
        return "summary"
    asked = wanted.show is None and request.dialect == _SHOWN_BY_DEFAULT
    if asked and target.profile.reasoning == "adaptive" and wanted.mode != "default":
        losses.default("reasoning.show", "reasoning.show", "the client shows thoughts")
        return "summary"
    return wanted.show


def _adaptive(
    wanted: Reasoning, target: RequestTarget, max_tokens: int
) -> Reasoning | None:
    losses, profile = target.losses, target.profile
    effort = wanted.effort
    if wanted.budget is not None:
        reason = "the model thinks by effort"
        losses.approximate("reasoning.budget", "reasoning.budget", reason)
        if effort is None and wanted.budget > 0:
            effort = _effort.of_budget(wanted.budget, max_tokens)
            losses.default("reasoning.effort", "reasoning.effort", reason)
    if effort is not None:
        word = _effort.nearest(effort, profile.efforts)
        if word not in profile.efforts:
            word = None
        if word != effort:
            reason = "the nearest effort"
            losses.approximate("reasoning.effort", "reasoning.effort", reason)
        effort = word
    mode = wanted.mode
    if mode == "default" and (effort is not None or wanted.budget is not None):
        losses.default("reasoning.mode", "reasoning.mode", "an effort asks to think")
        mode = "on"
    return Reasoning(mode=mode, effort=effort)


def _budgeted(
    wanted: Reasoning, target: RequestTarget, max_tokens: int
) -> Reasoning | None:
    losses, profile = target.losses, target.profile
    budget, effort = wanted.budget, wanted.effort
    if wanted.mode == "default" and effort is None and budget is None:
        return Reasoning()
    least = profile.min_budget
    if max_tokens <= least:
        reason = "the limit of tokens leaves no room to think"
        losses.approximate("reasoning.mode", "reasoning", reason)
        return None
    if effort is not None:
        reason = "the model thinks by budget"
        losses.approximate("reasoning.effort", "reasoning.effort", reason)
    if budget is None or budget < 0:
        word = effort or "medium"
        tokens = _effort.budget_of_share(word, max_tokens, least)
        reason = "a share of the limit of tokens"
        losses.default("reasoning.budget", "reasoning.budget", reason)
    else:
        tokens = max(least, min(budget, max_tokens - 1))
        if tokens != budget:
            reason = "between the least budget and the limit of tokens"
            losses.approximate("reasoning.budget", "reasoning.budget", reason)
    if wanted.mode == "default":
        losses.default("reasoning.mode", "reasoning.mode", "a budget asks to think")
    return Reasoning(mode="on", budget=tokens)


def without_thinking(
    reasoning: Reasoning | None, target: RequestTarget
) -> Reasoning | None:
    """A forced call and thinking exclude each other on some models: the call wins."""
    thinks = reasoning is not None and reasoning.mode == "on"
    if not thinks or target.profile.forced_tool_with_reasoning:
        return reasoning
    reason = "the model does not think where a call is forced"
    target.losses.approximate("reasoning.mode", "reasoning", reason)
    return None


def fit_sampling(
    request: Request, target: RequestTarget, version: str, reasoning: Reasoning | None
) -> Sampling:
    """The sampling that the model takes."""
    wanted = request.sampling
    losses, rejects = target.losses, target.profile.rejects
    if _FOREIGN(wanted) != _NO_FOREIGN:
        for name in _FOREIGN_SAMPLING:
            if getattr(wanted, name) is not None:
                reason = "the dialect has no such member"
                losses.drop("sampling", f"sampling.{name}", reason)
    kept: dict[str, float | int | None] = {
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "top_k": wanted.top_k,
    }
    for name, value in kept.items():
        if value is not None and (version == _NO_SAMPLING or name in rejects):
            losses.drop("sampling", f"sampling.{name}", "the model refuses it")
            kept[name] = None
    most = target.profile.max_temperature
    if kept["temperature"] is not None and kept["temperature"] > most:
        losses.approximate("sampling", "sampling.temperature", f"{most:g} is the most")
        kept["temperature"] = 1 if most == 1 else most
    thinks = reasoning is not None and reasoning.mode == "on"
    if thinks and not target.profile.sampling_with_reasoning:
        _beside_thinking(kept, target)
    if "temperature_with_top_p" in rejects and None not in (
        kept["temperature"],
        kept["top_p"],
    ):
        reason = "the model takes either temperature or top_p"
        losses.drop("sampling", "sampling.top_p", reason)
        kept["top_p"] = None
    if kept["top_k"] is not None and kept["top_k"] != int(kept["top_k"]):
        losses.approximate("sampling", "sampling.top_k", "a whole number")
        kept["top_k"] = int(kept["top_k"])
    return Sampling(
        temperature=kept["temperature"], top_p=kept["top_p"], top_k=kept["top_k"]
    )


def _beside_thinking(
    kept: dict[str, float | int | None], target: RequestTarget
) -> None:
    """What may be set while the model thinks."""
    temperature, top_p = kept["temperature"], kept["top_p"]
    refused = {
        "temperature": temperature is not None and temperature != 1,
        "top_p": top_p is not None and not _MIN_TOP_P <= top_p <= 1,
        "top_k": kept["top_k"] is not None,
    }
    for name, is_refused in refused.items():
        if is_refused:
            reason = "refused beside thinking"
            target.losses.drop("sampling", f"sampling.{name}", reason)
            kept[name] = None


def fit_stops(
    request: Request, target: RequestTarget
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Stop sequences to send, and those that we must cut at."""
    losses, profile = target.losses, target.profile
    sent: list[str] = []
    cut: list[str] = []
    for stop in request.stop:
        refused = not stop.strip()
        if refused or "stop" in profile.rejects or len(sent) >= profile.max_stops:
            if stop and losses.emulates("stop"):
                reason = "the server refuses it: the answer is cut here"
                losses.emulate("stop", "stop", reason)
                cut.append(stop)
            else:
                losses.drop("stop", "stop", "the server refuses it")
        else:
            sent.append(stop)
    return tuple(sent), tuple(cut)
