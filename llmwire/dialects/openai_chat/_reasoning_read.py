"""How hard to think, as the members of a request say it.

OpenAI's `reasoning_effort`; OpenRouter's `reasoning{}`; the `thinking` switch of
DeepSeek, Z.ai, Moonshot and MiniMax; DashScope's `enable_thinking`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from llmwire._json import decode_any, encode
from llmwire.requests import Reasoning

SPELLING: Final = "@raw"
"""Note: the members as they came, where they say more than an effort."""


def read_reasoning(members: Mapping[str, Raw]) -> Reasoning:
    """How to think, from the members that say so."""
    values = {name: decode_any(bytes(raw)) for name, raw in members.items()}
    reasoning = Reasoning()
    effort = values.get("reasoning_effort")
    if isinstance(effort, str):
        reasoning = _with_effort(reasoning, effort)
    object_ = values.get("reasoning")
    if isinstance(object_, dict):
        reasoning = _with_object(reasoning, object_)
    switch = values.get("thinking")
    if isinstance(switch, dict):
        reasoning = _with_switch(reasoning, switch)
    enabled = values.get("enable_thinking")
    if isinstance(enabled, bool):
        reasoning = replace(reasoning, mode="on" if enabled else "off")
    budget = values.get("thinking_budget")
    if isinstance(budget, int) and not isinstance(budget, bool):
        reasoning = replace(reasoning, budget=budget)
    if set(members) == {"reasoning_effort"} and isinstance(effort, str):
        return reasoning
    extras = {SPELLING: Raw(encode(dict(members)))}
    return replace(reasoning, extras=extras)


def _with_effort(reasoning: Reasoning, effort: str) -> Reasoning:
    if effort == "none":
        return replace(reasoning, mode="off")
    return replace(reasoning, effort=effort)


def _with_object(reasoning: Reasoning, value: Mapping[str, Any]) -> Reasoning:
    """OpenRouter's `reasoning`."""
    effort, budget = value.get("effort"), value.get("max_tokens")
    if isinstance(effort, str):
        reasoning = _with_effort(reasoning, effort)
    if isinstance(budget, int) and not isinstance(budget, bool):
        reasoning = replace(reasoning, budget=budget)
    enabled = value.get("enabled")
    if isinstance(enabled, bool):
        reasoning = replace(reasoning, mode="on" if enabled else "off")
    if value.get("exclude") is True:
        reasoning = replace(reasoning, show="none")
    return reasoning


def _with_switch(reasoning: Reasoning, value: Mapping[str, Any]) -> Reasoning:
    """`thinking` of DeepSeek, Z.ai, Moonshot and MiniMax."""
    word, budget = value.get("type"), value.get("budget_tokens")
    if word in ("enabled", "adaptive"):
        reasoning = replace(reasoning, mode="on")
    elif word == "disabled":
        reasoning = replace(reasoning, mode="off")
    if isinstance(budget, int) and not isinstance(budget, bool):
        reasoning = replace(reasoning, budget=budget)
    return reasoning
