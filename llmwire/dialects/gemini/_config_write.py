"""Neutral wishes as Gemini's `generationConfig`.

What a client of Gemini wrote goes back as it was; what comes from other dialects is
fitted to the profile, every difference reported.

https://ai.google.dev/api/generate-content#generationconfig
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw, Struct

from llmwire._effort import fixed_budget, nearest, of_budget
from llmwire._json import NULL, decode_any, level
from llmwire.dialects.gemini._config_read import (
    ENUM,
    JSON,
    PLAIN,
    PREFIX,
    read_level,
    read_modalities,
)
from llmwire.dialects.gemini._notes import noted, spelled
from llmwire.dialects.gemini._schema import to_json_schema, to_openapi
from llmwire.losses import LossRecorder
from llmwire.profiles import Profile
from llmwire.requests import OutputFormat, Reasoning, Request

_SAMPLING: Final = (
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("seed", "seed"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
)
_UNKNOWN: Final = ("min_p", "repetition_penalty", "logit_bias")


class Aim(Struct, frozen=True):
    """Whom a request is written for, and how freely."""

    losses: LossRecorder
    profile: Profile
    native: bool
    """Gemini's own client wrote it."""
    exact: bool
    """It goes to Google itself: nothing that the client said is taken back."""
    model: str | None = None
    tag: str | None = None


def write_config(request: Request, aim: Aim) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The members of `generationConfig`, and the stops that the target cannot take."""
    config: dict[str, Any] = {}
    stops = _write_stops(request, config, aim)
    _write_numbers(request, config, aim)
    _write_output(request, config, aim)
    _write_modalities(request, config, aim)
    if request.reasoning is not None:
        thinking = _write_thinking(request.reasoning, request, aim)
        if thinking:
            config["thinkingConfig"] = thinking
        elif aim.native:
            config["thinkingConfig"] = {}
        else:
            reason = "it asks for nothing"
            aim.losses.drop("reasoning.mode", "reasoning", reason)
    if aim.native:
        for name, value in level(request.extras, PREFIX).items():
            config.setdefault(name, value)
    return config, stops


def _write_stops(request: Request, config: dict[str, Any], aim: Aim) -> tuple[str, ...]:
    most = len(request.stop) if aim.exact else aim.profile.max_stops
    if not aim.exact and "stop" in aim.profile.rejects:
        most = 0
    if request.stop[:most]:
        stops = list(request.stop[:most])
        single = aim.native and noted(request.extras, "stopSequences") is not None
        config["stopSequences"] = stops[0] if single and len(stops) == 1 else stops
    held: list[str] = []
    for at in range(most, len(request.stop)):
        reason = f"only {most} stop sequences are taken"
        if aim.losses.choice("stop") == "drop":
            aim.losses.drop("stop", f"stop[{at}]", reason)
        else:
            aim.losses.emulate("stop", f"stop[{at}]", reason)
            held.append(request.stop[at])
    return tuple(held)


def _write_numbers(request: Request, config: dict[str, Any], aim: Aim) -> None:
    losses = aim.losses
    rejects = frozenset() if aim.exact else aim.profile.rejects
    if request.n is not None:
        if "n" in rejects:
            losses.drop("choices", "n", "the target gives one answer")
        else:
            config["candidateCount"] = request.n
    if request.max_tokens is not None:
        config["maxOutputTokens"] = request.max_tokens
    sampling = request.sampling
    for field, name in _SAMPLING:
        value = getattr(sampling, field)
        if value is None:
            continue
        if field in rejects:
            losses.drop("sampling", f"sampling.{field}", "the target rejects it")
            continue
        most = aim.profile.max_temperature
        if field == "temperature" and not aim.exact and value > most:
            reason = f"at most {most}"
            losses.approximate("sampling", "sampling.temperature", reason)
            value = most
        config[name] = value
    for field in _UNKNOWN:
        if getattr(sampling, field) is not None:
            losses.drop("sampling", f"sampling.{field}", "there is no such setting")
    logprobs = request.logprobs
    if logprobs is None:
        return
    if "logprobs" in rejects:
        losses.drop("logprobs", "logprobs", "the target rejects it")
        return
    config["responseLogprobs"] = logprobs.enabled
    if logprobs.top is not None:
        config["logprobs"] = logprobs.top


def _write_output(request: Request, config: dict[str, Any], aim: Aim) -> None:
    output = request.output
    if output is None:
        return
    if not aim.native:
        _report_output(output, aim.losses)
    if output.kind == "opaque":
        _write_opaque(output, config, aim)
        return
    mimes = {"text": PLAIN, "enum": ENUM}
    mime: Any = mimes.get(output.kind, JSON)
    note = noted(output.extras, "responseMimeType") if aim.native else None
    if note is not None:
        mime = None if note == NULL else decode_any(bytes(note))
    if mime is not None:
        config["responseMimeType"] = mime
    if output.schema is None:
        return
    if output.kind in ("text", "json_object"):
        reason = "without a schema of this kind"
        aim.losses.drop("output.format", "output.schema", reason)
        return
    _write_schema(output, config, aim)


def _write_schema(output: OutputFormat, config: dict[str, Any], aim: Aim) -> None:
    """The schema, in whichever of the two languages the target reads."""
    schema = output.schema
    assert schema is not None  # the caller has looked
    note = noted(output.extras, "responseSchema") if aim.native else None
    if note is not None and to_json_schema(note) == schema:
        config["responseSchema"] = note
        return
    openapi = aim.profile.json_schema == "openapi" and not aim.exact
    if openapi or (output.kind == "enum" and not aim.native):
        converted, same = to_openapi(schema)
        if not same:
            reason = "the target reads a subset of OpenAPI"
            aim.losses.approximate("schema", "output.schema", reason)
        config["responseSchema"] = converted
        return
    config["responseJsonSchema"] = schema


def _write_opaque(output: OutputFormat, config: dict[str, Any], aim: Aim) -> None:
    if not aim.native or output.raw is None:
        aim.losses.drop("output.format", "output", "a format of another dialect")
        return
    config["responseMimeType"] = output.raw
    note = noted(output.extras, "responseSchema")
    if note is not None:
        config["responseSchema"] = note
    elif output.schema is not None:
        config["responseJsonSchema"] = output.schema


def _report_output(output: OutputFormat, losses: LossRecorder) -> None:
    if output.kind == "opaque":
        return
    for field in ("name", "strict", "description"):
        if getattr(output, field) is not None:
            reason = "a format is nothing but its schema"
            losses.drop("output.format", f"output.{field}", reason)
    losses.drop_extras(output.extras, "output")


def _write_modalities(request: Request, config: dict[str, Any], aim: Aim) -> None:
    if request.modalities:
        key = "responseModalities"
        words = spelled(request.extras, key, read_modalities, request.modalities)
        if words is None or not aim.native:
            words = [word.upper() for word in request.modalities]
        config["responseModalities"] = words
    audio = request.audio
    if audio is None:
        return
    if aim.native:
        speech: Any = (audio.extras or {}).get("speechConfig")
        if speech is None and audio.voice is not None:
            speech = _speech(audio.voice)
        if speech is not None:
            config["speechConfig"] = speech
        return
    reason = "voices and formats are not those of the target"
    if aim.losses.choice("audio.output") == "emulate" and audio.voice is not None:
        aim.losses.emulate("audio.output", "audio", reason)
        config["speechConfig"] = _speech(audio.voice)
    else:
        aim.losses.drop("audio.output", "audio", reason)


def _speech(voice: Raw) -> dict[str, Any]:
    return {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}


# --- thinking ----------------------------------------------------------------------


def _write_thinking(reasoning: Reasoning, request: Request, aim: Aim) -> dict[str, Any]:
    thinking: dict[str, Any] = {}
    if reasoning.show is not None:
        shown = reasoning.show != "none"
        if reasoning.show == "raw":
            reason = "thoughts are shown as summaries"
            aim.losses.approximate("reasoning.show", "reasoning.show", reason)
        thinking["includeThoughts"] = shown
    if aim.native and (aim.exact or _fits(reasoning, aim.profile)):
        _write_native(reasoning, thinking)
        return thinking
    if reasoning.summary is not None:
        reason = "summaries have no styles"
        aim.losses.drop("reasoning.show", "reasoning.summary", reason)
    if not aim.native:
        aim.losses.drop_extras(reasoning.extras, "reasoning")
    control = aim.profile.reasoning
    if control == "level":
        _write_level(reasoning, request, thinking, aim)
    elif control == "budget":
        _write_budget(reasoning, thinking, aim)
    elif reasoning.mode != "default" or reasoning.effort or reasoning.budget:
        thinking.clear()
        reason = "the model does not think"
        aim.losses.drop("reasoning.mode", "reasoning", reason)
    elif thinking:
        thinking.clear()
        reason = "the model does not think"
        aim.losses.drop("reasoning.show", "reasoning", reason)
    _report_read_back(reasoning, thinking, aim.losses)
    return thinking


def _fits(reasoning: Reasoning, profile: Profile) -> bool:
    """Whether the target is asked in the way the client asked."""
    if profile.reasoning == "level":
        return reasoning.budget is None
    return profile.reasoning == "budget" and reasoning.effort is None


def _write_native(reasoning: Reasoning, thinking: dict[str, Any]) -> None:
    note = noted(reasoning.extras, "thinkingLevel")
    if reasoning.effort is not None or note is not None:
        word = spelled(reasoning.extras, "thinkingLevel", read_level, reasoning.effort)
        if word is None and reasoning.effort is not None:
            word = reasoning.effort.upper()
        if word is not None:
            thinking["thinkingLevel"] = word
    if reasoning.budget is not None:
        thinking["thinkingBudget"] = reasoning.budget
    for name, value in level(reasoning.extras).items():
        thinking.setdefault(name, value)


def _write_level(
    reasoning: Reasoning, request: Request, thinking: dict[str, Any], aim: Aim
) -> None:
    """`thinkingLevel`, of Gemini 3 and later: cannot be turned off."""
    effort = reasoning.effort
    if reasoning.mode == "off" or effort == "none" or reasoning.budget == 0:
        effort = _least(aim.profile.efforts)
    elif effort is None and reasoning.budget is not None and reasoning.budget > 0:
        effort = of_budget(reasoning.budget, request.max_tokens)
    if effort is None:
        return
    word = nearest(str(effort), aim.profile.efforts)
    if word in aim.profile.efforts:
        thinking["thinkingLevel"] = word.upper()


def _least(efforts: tuple[str, ...]) -> str | None:
    return next((word for word in efforts if word != "none"), None)


def _write_budget(reasoning: Reasoning, thinking: dict[str, Any], aim: Aim) -> None:
    """`thinkingBudget`, of Gemini 2.5."""
    profile = aim.profile
    budget = reasoning.budget
    least = max(profile.min_budget, 0)
    if reasoning.mode == "off" or reasoning.effort == "none" or budget == 0:
        thinking["thinkingBudget"] = 0 if profile.thinking_off else least
    elif budget is not None:
        inside = max(least, min(budget, profile.max_budget))
        thinking["thinkingBudget"] = -1 if budget < 0 else inside
    elif reasoning.effort is not None:
        effort = str(reasoning.effort)
        thinking["thinkingBudget"] = fixed_budget(effort, least, profile.max_budget)


def _report_read_back(
    wanted: Reasoning, thinking: dict[str, Any], losses: LossRecorder
) -> None:
    """Losses where what was written will not be read as it was meant."""
    budget = thinking.get("thinkingBudget")
    word = thinking.get("thinkingLevel")
    effort = word.lower() if word is not None else None
    on = effort is not None or budget is not None
    mode = "off" if budget == 0 else "on" if on else "default"
    if wanted.effort != effort:
        reason = "as the nearest thing the target knows"
        losses.approximate("reasoning.effort", "reasoning.effort", reason)
    if wanted.budget != budget:
        reason = "as the nearest thing the target knows"
        losses.approximate("reasoning.budget", "reasoning.budget", reason)
    if wanted.mode != mode:
        reason = "as the nearest thing the target knows"
        losses.approximate("reasoning.mode", "reasoning.mode", reason)
