"""Any neutral request made to fit this dialect and one server of it.

From neutral to neutral: what comes out is written by `_request_exact` as it stands.
Everything left out, changed or done by other means is told to the recorder.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from llmwire._turns import safe_names
from llmwire.dialects import RequestTarget
from llmwire.dialects.anthropic._adapt_controls import (
    fit_max_tokens,
    fit_reasoning,
    fit_sampling,
    fit_stops,
    without_thinking,
)
from llmwire.dialects.anthropic._adapt_parts import Fitting
from llmwire.dialects.anthropic._adapt_tools import (
    JSON_TOOL,
    fit_choice,
    fit_output,
    fit_tools,
)
from llmwire.dialects.anthropic._adapt_turns import fit_messages
from llmwire.dialects.anthropic._blocks_write import Members
from llmwire.dialects.anthropic._wire import NAME
from llmwire.losses import LossRecorder
from llmwire.messages import (
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.requests import Request, ServerState

_DEFAULT_VERSION: Final = "2023-06-01"
_MAX_USER: Final = 256
_JSON_INSTRUCTION: Final = (
    "Answer with one valid JSON object and nothing else: no other text, no code fence."
)
_TIERS: Final = frozenset({"default", "auto", "standard_only"})


class Adapted(Struct, frozen=True, kw_only=True):
    """A request that can be written, and what its answer must undo."""

    request: Request
    turns: list[Members] | None = None
    """Its conversation, where that is written already: `request` holds no more of it
    than the instructions at the top."""
    names: Mapping[str, str] = {}
    custom: tuple[str, ...] = ()
    json_tool: str | None = None
    stops: tuple[str, ...] = ()


def adapt(request: Request, target: RequestTarget) -> Adapted:
    """`request` for the server that `target` describes, with the model to be named.

    Raises:
        UnsupportedFeature: Something must not be dropped.
    """
    profile, losses = target.profile, target.losses
    native = request.dialect == NAME
    version = _version(request, target, native)
    names = safe_names(request, profile.max_tool_name)
    model = target.model or request.model
    keeps_extras = native and (not profile.closed or profile.name == NAME)
    fitting = Fitting(
        target=target,
        native=native,
        version=version,
        model=model,
        names=names,
        losses=losses,
        profile=profile,
        keeps_extras=keeps_extras,
    )
    drop_absent(request, losses)
    if not keeps_extras:
        losses.drop_extras(request.extras, "")
    user = _fit_user(request, fitting)
    tier = _fit_tier(request, fitting)
    state = _fit_state(request, fitting)
    max_tokens = fit_max_tokens(request, target, native)
    reasoning = fit_reasoning(request, target, max_tokens, keeps_extras)
    tools, custom = fit_tools(request, fitting)
    output, json_tool, instruction = fit_output(request, fitting, tools)
    choice, parallel = fit_choice(request, fitting, tools, json_tool is not None)
    if json_tool is not None:
        tools = (*tools, json_tool)
    if choice is not None and choice.mode == "required":
        reasoning = without_thinking(reasoning, target)
    if profile.reasoning == "budget" and _in_open_loop(request):
        reasoning = _without_lost_thoughts(request, reasoning, target)
    stop, cut = fit_stops(request, target)
    told = fit_messages(request, tools, fitting)
    messages = told.messages
    if request.output is not None and request.output.kind == "json_object":
        instruction = _JSON_INSTRUCTION
    if instruction is not None:
        reason = "an instruction was added"
        losses.emulate("output.format", "messages", reason)
        messages = _instructed(messages, instruction)
    fitted = Request(
        model=model,
        messages=messages,
        tools=told.tools,
        tool_choice=choice,
        parallel=parallel,
        sampling=fit_sampling(request, target, version, reasoning),
        stop=stop,
        max_tokens=max_tokens,
        output=output,
        reasoning=reasoning,
        stream=request.stream,
        user=user,
        cache=fitting.cache(request.cache, ""),
        service_tier=tier,
        state=state,
        version=version,
        betas=request.betas if native else (),
        dialect=request.dialect,
        extras=request.extras if keeps_extras else None,
    )
    return Adapted(
        request=fitted,
        turns=told.turns,
        names={sent: name for name, sent in names.items()},
        custom=custom,
        json_tool=JSON_TOOL if json_tool is not None else None,
        stops=cut,
    )


def _version(request: Request, target: RequestTarget, native: bool) -> str:
    versions = target.profile.versions
    default = versions[0] if versions else _DEFAULT_VERSION
    if native and request.version and (not versions or request.version in versions):
        return request.version
    return default


def _fit_user(request: Request, fitting: Fitting) -> str | None:
    user = request.user
    if user is None:
        return None
    if "user" in fitting.profile.rejects or len(user) > _MAX_USER:
        reason = "the server takes none, or none as long"
        fitting.losses.drop("user", "user", reason)
        return None
    return user


_ABSENT: Final = {
    "verbosity": "verbosity",
    "prediction": "prediction",
    "metadata": "metadata",
    "cache_key": "cache.key",
    "truncation": "truncation",
    "logprobs": "logprobs",
}
"""Members that have no counterpart, and their features."""
_GIVEN: Final = attrgetter(*_ABSENT)
_NOTHING: Final = (None,) * len(_ABSENT)


def drop_absent(request: Request, losses: LossRecorder) -> None:
    """Say what of `request` no body of this dialect holds."""
    reason = "the dialect has no such member"
    given = _GIVEN(request)
    if given != _NOTHING:
        for (name, feature), value in zip(_ABSENT.items(), given, strict=True):
            if value is not None:
                losses.drop(feature, name, reason)
    for at in range(len(request.include)):
        losses.drop("include", f"include[{at}]", reason)
    if request.n is not None:
        if request.n > 1:
            losses.drop("choices", "n", "the dialect gives one answer")
        else:
            losses.emulate("choices", "n", "the dialect gives one answer")
    if request.store:
        losses.drop("store", "store", reason)
    elif request.store is False:
        losses.emulate("store", "store", "nothing is kept anyway")
    if request.include_usage is not (True if request.stream else None):
        losses.default("usage", "include_usage", "streams tell usage, unasked")
    if request.modalities and set(request.modalities) - {"text"}:
        losses.drop("modalities", "modalities", "the dialect answers with text")
    elif request.modalities:
        losses.emulate("modalities", "modalities", "the dialect answers with text")
    if request.audio is not None:
        losses.drop("audio.output", "audio", "the dialect does not speak")


def _fit_tier(request: Request, fitting: Fitting) -> str | None:
    tier, losses = request.service_tier, fitting.losses
    if tier is None or (
        fitting.native and "service_tier" not in fitting.profile.rejects
    ):
        return tier
    if "service_tier" in fitting.profile.rejects:
        losses.drop("service_tier", "service_tier", "the server has no tiers")
        return None
    if tier in _TIERS:
        return tier
    if tier == "priority":
        reason = "priority capacity is used where there is any"
        losses.approximate("service_tier", "service_tier", reason)
        return "auto"
    losses.drop("service_tier", "service_tier", "the dialect has no such tier")
    return None


_STATE: Final = (
    "previous_response_id",
    "conversation",
    "prompt",
    "cached_content",
    "continuation_token",
)


def _fit_state(request: Request, fitting: Fitting) -> Any:
    state = request.state
    if state is None:
        return None
    kept = state.container if fitting.native else None
    reason = "kept by another server"
    for name in (*_STATE, "container"):
        value = getattr(state, name)
        if value is not None and (name != "container" or kept is None):
            place = "state" if kept is None else f"state.{name}"
            fitting.losses.drop("state", place, reason)
    return ServerState(container=kept) if kept is not None else None


def _in_open_loop(request: Request) -> bool:
    """The last turn answers calls: the thoughts before them are asked for."""
    last = request.messages[-1] if request.messages else None
    return last is not None and ToolResultPart in map(type, last.parts)


def _without_lost_thoughts(
    request: Request, reasoning: Any, target: RequestTarget
) -> Any:
    """Budget models refuse a turn with calls that does not begin with its thought."""
    if reasoning is None or reasoning.mode != "on":
        return reasoning
    for message in reversed(request.messages):
        if message.role == "assistant":
            first = message.parts[0] if message.parts else None
            kept = (
                isinstance(first, ReasoningPart)
                and first.signature is not None
                and first.signature.origin == NAME
            )
            called = any(isinstance(part, ToolCallPart) for part in message.parts)
            if called and not kept:
                reason = "the thought before the calls is lost"
                target.losses.approximate("reasoning.mode", "reasoning", reason)
                return None
            break
    return reasoning


def _instructed(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    """`messages` with one more instruction at the top."""
    part = TextPart(text=text)
    if messages and messages[0].top:
        first = replace(messages[0], parts=(*messages[0].parts, part))
        return (first, *messages[1:])
    return (Message(role="system", parts=(part,), top=True), *messages)
