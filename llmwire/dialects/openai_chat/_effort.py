"""How hard to think, in the way of each server.

OpenAI's `reasoning_effort`; OpenRouter's `reasoning{}`; the `thinking` switch of
DeepSeek, Z.ai, Moonshot and MiniMax; DashScope's `enable_thinking`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from llmwire import _effort
from llmwire._json import decode_object
from llmwire.dialects.openai_chat._reasoning_read import SPELLING, read_reasoning
from llmwire.dialects.openai_chat._writing import Writing
from llmwire.requests import Reasoning, Request


def write_reasoning(request: Request, to: Writing, out: dict[str, Any]) -> None:
    """Put how to think into the request's members."""
    reasoning = request.reasoning
    if reasoning is None:
        return
    raw = (reasoning.extras or {}).get(SPELLING)
    if to.exact:
        if raw is not None:
            members = decode_object(bytes(raw))
            if read_reasoning(members) == reasoning:
                out.update(members)
                return
        _as_effort_exactly(reasoning, to, out)
        _report_show(reasoning, to)
        if "reasoning_effort" not in out:
            reason = "nothing of it can be said"
            to.losses.drop("reasoning.mode", "reasoning", reason)
        return
    if not to.native:
        to.losses.drop_extras(reasoning.extras, "reasoning")
    if _clashes(request, reasoning, to):
        reason = "the model does not think and call functions here"
        to.losses.approximate("reasoning.effort", "reasoning", reason)
        if "none" in to.profile.efforts:
            out["reasoning_effort"] = "none"
        return
    before = len(out)
    _CONTROLS[to.profile.reasoning](request, reasoning, to, out)
    _report_show(reasoning, to)
    if len(out) == before:
        to.losses.drop("reasoning.mode", "reasoning", "nothing of it can be said")


def _as_effort_exactly(reasoning: Reasoning, to: Writing, out: dict[str, Any]) -> None:
    if reasoning.mode == "off":
        out["reasoning_effort"] = "none"
    elif reasoning.effort is not None:
        out["reasoning_effort"] = reasoning.effort
    if reasoning.mode == "off":
        _report_off(reasoning, to)
    elif reasoning.mode == "on":
        reason = "an effort says that the model thinks"
        to.losses.drop("reasoning.mode", "reasoning.mode", reason)
    if reasoning.budget is not None and reasoning.mode != "off":
        reason = "thinking has no budget here"
        to.losses.drop("reasoning.budget", "reasoning.budget", reason)


def _clashes(request: Request, reasoning: Reasoning, to: Writing) -> bool:
    if to.profile.reasoning_with_tools or reasoning.mode == "off":
        return False
    asked = reasoning.effort is not None or reasoning.budget is not None
    return asked and any(tool.kind == "function" for tool in request.tools)


def _report_show(reasoning: Reasoning, to: Writing) -> None:
    style = to.profile.reasoning
    hidden = style == "object" and reasoning.show == "none" and not to.exact
    if reasoning.show is not None and not hidden:
        reason = "the server decides what is shown"
        to.losses.drop("reasoning.show", "reasoning.show", reason)
    if reasoning.summary is not None:
        reason = "the server decides what is shown"
        to.losses.drop("reasoning.show", "reasoning.summary", reason)


def _report_off(reasoning: Reasoning, to: Writing, sent: str | None = None) -> None:
    for name in ("effort", "budget"):
        if getattr(reasoning, name) not in (None, sent):
            feature = f"reasoning.{name}"
            to.losses.drop(feature, f"reasoning.{name}", "thinking is off")


def _word(request: Request, reasoning: Reasoning, to: Writing) -> str | None:
    """The effort to ask for, in the server's words."""
    efforts, losses = to.profile.efforts, to.losses
    effort = reasoning.effort
    if reasoning.mode == "off":
        if "none" in efforts and to.profile.thinking_off:
            _report_off(reasoning, to)
            return "none"
        lowest = next((w for w in _effort.ORDER[1:] if w in efforts), None)
        _report_off(reasoning, to, lowest)
        reason = "thinking cannot be turned off"
        losses.approximate("reasoning.mode", "reasoning", reason)
        return lowest
    if effort is None and reasoning.budget is not None and reasoning.budget >= 0:
        reason = "the server takes an effort, not a budget"
        losses.approximate("reasoning.budget", "reasoning.budget", reason)
        effort = _effort.of_budget(reasoning.budget, request.max_tokens)
        if _effort.nearest(effort, efforts) is not None:
            losses.approximate("reasoning.effort", "reasoning.effort", reason)
    elif reasoning.budget is not None:
        reason = "the server takes an effort, not a budget"
        losses.drop("reasoning.budget", "reasoning.budget", reason)
    if effort is None:
        return None
    word = _effort.nearest(effort, efforts)
    if word != effort and effort == reasoning.effort:
        reason = "the nearest effort that the server knows"
        losses.approximate("reasoning.effort", "reasoning.effort", reason)
    return word


def _by_effort(
    request: Request, reasoning: Reasoning, to: Writing, out: dict[str, Any]
) -> None:
    word = _word(request, reasoning, to)
    if word is not None:
        out["reasoning_effort"] = word
    if reasoning.mode == "on":
        reason = "an effort says that the model thinks"
        to.losses.drop("reasoning.mode", "reasoning.mode", reason)


def _by_object(
    request: Request, reasoning: Reasoning, to: Writing, out: dict[str, Any]
) -> None:
    value: dict[str, Any] = {}
    if reasoning.mode == "off":
        value["enabled"] = False
    elif reasoning.mode == "on":
        value["enabled"] = True
    if reasoning.effort is not None:
        word = _effort.nearest(reasoning.effort, to.profile.efforts)
        if word != reasoning.effort:
            reason = "the nearest effort that the server knows"
            to.losses.approximate("reasoning.effort", "reasoning.effort", reason)
        value["effort"] = word
        if reasoning.budget is not None:
            reason = "an effort stands beside it"
            to.losses.drop("reasoning.budget", "reasoning.budget", reason)
    elif reasoning.budget is not None and reasoning.budget >= 0:
        value["max_tokens"] = reasoning.budget
    elif reasoning.budget is not None:
        reason = "the server's own choice is its default"
        to.losses.drop("reasoning.budget", "reasoning.budget", reason)
    if reasoning.show == "none":
        value["exclude"] = True
    if value:
        out["reasoning"] = value


def _by_switch(
    request: Request, reasoning: Reasoning, to: Writing, out: dict[str, Any]
) -> None:
    if reasoning.mode == "off":
        _report_off(reasoning, to)
        out["thinking"] = {"type": "disabled"}
        return
    if reasoning.mode == "on" or reasoning.effort or reasoning.budget:
        out["thinking"] = {"type": "enabled"}
        if reasoning.mode != "on":
            reason = "an effort goes with the switch"
            to.losses.approximate("reasoning.mode", "reasoning.mode", reason)
    word = _word(request, reasoning, to)
    if word not in (None, "none"):
        out["reasoning_effort"] = word


def _by_qwen(
    request: Request, reasoning: Reasoning, to: Writing, out: dict[str, Any]
) -> None:
    if reasoning.mode == "off":
        _report_off(reasoning, to)
        out["enable_thinking"] = False
        return
    out["enable_thinking"] = True
    if reasoning.mode != "on":
        reason = "thinking is turned on by a switch"
        to.losses.approximate("reasoning.mode", "reasoning.mode", reason)
    budget = reasoning.budget if (reasoning.budget or 0) > 0 else None
    if reasoning.effort is not None and budget is None:
        reason = "the server takes a budget, not an effort"
        to.losses.approximate("reasoning.effort", "reasoning", reason)
        budget = _effort.fixed_budget(reasoning.effort, 1, to.profile.max_budget)
    elif reasoning.effort is not None:
        reason = "a budget stands beside it"
        to.losses.drop("reasoning.effort", "reasoning.effort", reason)
    elif budget != reasoning.budget:
        reason = "the server's own choice is its default"
        to.losses.drop("reasoning.budget", "reasoning.budget", reason)
    if budget is not None:
        out["thinking_budget"] = budget


def _not_at_all(
    request: Request, reasoning: Reasoning, to: Writing, out: dict[str, Any]
) -> None:
    if reasoning.mode == "off":
        reason = "the model does not think"
        to.losses.approximate("reasoning.mode", "reasoning.mode", reason)
    elif reasoning.mode == "on":
        to.losses.drop("reasoning.mode", "reasoning.mode", "the model does not think")
    if reasoning.effort is not None:
        reason = "the model does not think"
        to.losses.drop("reasoning.effort", "reasoning.effort", reason)
    if reasoning.budget is not None:
        reason = "the model does not think"
        to.losses.drop("reasoning.budget", "reasoning.budget", reason)


_Control = Callable[[Request, Reasoning, Writing, dict[str, Any]], None]
_CONTROLS: Final[Mapping[str, _Control]] = {
    "effort": _by_effort,
    "object": _by_object,
    "switch": _by_switch,
    "qwen": _by_qwen,
    "adaptive": _by_effort,
    "budget": _by_effort,
    "level": _by_effort,
    "none": _not_at_all,
}
