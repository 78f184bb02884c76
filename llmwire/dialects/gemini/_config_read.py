"""What a client's `generationConfig` says, in neutral words.

https://ai.google.dev/api/generate-content#generationconfig
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Raw

from llmwire._json import NULL, decode_any, nested, strangers
from llmwire.dialects.gemini._names import checked, integer, number
from llmwire.dialects.gemini._notes import kept, raw
from llmwire.dialects.gemini._schema import to_json_schema
from llmwire.dialects.gemini._wire import CARRIED, GenerationConfig, ThinkingConfig
from llmwire.messages import Extras
from llmwire.requests import (
    AudioOutput,
    Logprobs,
    OutputFormat,
    Reasoning,
    Sampling,
)

PREFIX: Final = "generationConfig"
LEVELS: Final = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
JSON: Final = "application/json"
ENUM: Final = "text/x.enum"
PLAIN: Final = "text/plain"
_SAMPLING: Final = (
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
)
_NULLABLE: Final = (
    ("candidate_count", "candidateCount"),
    ("stop_sequences", "stopSequences"),
    ("max_output_tokens", "maxOutputTokens"),
    ("seed", "seed"),
    ("response_mime_type", "responseMimeType"),
    ("response_logprobs", "responseLogprobs"),
    ("logprobs", "logprobs"),
    ("response_modalities", "responseModalities"),
    ("thinking_config", "thinkingConfig"),
    *_SAMPLING,
)


def read_config(config: GenerationConfig, extras: Extras, path: str) -> dict[str, Any]:
    """Fields of a `Request`; what is not modelled goes to `extras`.

    Raises:
        RemoteProtocolError: A member has the wrong type.
    """
    found = kept(checked(strangers(config), GenerationConfig, path))
    members: Extras = {}
    for key, value in found.items():
        place = key if key[:1] == "@" else f"{PREFIX}/{key}"
        extras[place] = value
    for attribute, name in CARRIED[GenerationConfig]:
        value = getattr(config, attribute)
        if value is not UNSET:
            members[name] = value
    for attribute, name in _NULLABLE:
        if getattr(config, attribute) is None:
            members[name] = NULL
    fields: dict[str, Any] = {}
    _read_sampling(config, fields, path)
    if isinstance(config.candidate_count, int | str):
        fields["n"] = integer(config.candidate_count, f"{path}.candidateCount")
    if isinstance(config.max_output_tokens, int | float | str):
        limit = integer(config.max_output_tokens, f"{path}.maxOutputTokens")
        fields["max_tokens"] = limit
    if config.stop_sequences:
        fields["stop"] = tuple(config.stop_sequences)
    elif config.stop_sequences is not None and config.stop_sequences is not UNSET:
        members["stopSequences"] = Raw(b"[]")
    _read_logprobs(config, fields, members, path)
    _read_modalities(config, fields, members, extras)
    _read_output(config, fields, members)
    if isinstance(config.thinking_config, ThinkingConfig):
        place = f"{path}.thinkingConfig"
        fields["reasoning"] = read_thinking(config.thinking_config, place)
    extras.update(nested(PREFIX, members, None) or {})
    return fields


def _read_sampling(config: GenerationConfig, fields: dict[str, Any], path: str) -> None:
    values: dict[str, Any] = {}
    for attribute, name in _SAMPLING:
        value = getattr(config, attribute)
        if value is not UNSET and value is not None:
            values[attribute] = number(value, f"{path}.{name}")
    if isinstance(config.seed, int | str):
        values["seed"] = integer(config.seed, f"{path}.seed")
    if values:
        fields["sampling"] = Sampling(**values)


def _read_logprobs(
    config: GenerationConfig, fields: dict[str, Any], members: Extras, path: str
) -> None:
    top = None
    if isinstance(config.logprobs, int | str):
        top = integer(config.logprobs, f"{path}.logprobs")
    if isinstance(config.response_logprobs, bool):
        fields["logprobs"] = Logprobs(enabled=config.response_logprobs, top=top)
    elif top is not None:
        members["logprobs"] = raw(top)


def _read_modalities(
    config: GenerationConfig, fields: dict[str, Any], members: Extras, extras: Extras
) -> None:
    modalities = config.response_modalities
    if modalities:
        words = read_modalities(modalities)
        fields["modalities"] = words
        if [w.upper() for w in words] != modalities:
            extras["@responseModalities"] = raw(modalities)
    elif modalities is not None and modalities is not UNSET:
        members["responseModalities"] = Raw(b"[]")
    if config.speech_config is UNSET:
        return
    voice = read_voice(config.speech_config)
    if voice is not None:
        fields["audio"] = AudioOutput(voice=voice)
    else:
        fields["audio"] = AudioOutput(extras={"speechConfig": config.speech_config})


def read_modalities(words: Any) -> tuple[str, ...]:
    """Kinds of output in lower case."""
    return tuple(str(word).lower() for word in words)


def read_voice(speech: Raw) -> Raw | None:
    """The voice, where a `speechConfig` says nothing else."""
    value = decode_any(bytes(speech))
    for key in ("voiceConfig", "prebuiltVoiceConfig", "voiceName"):
        if not isinstance(value, dict) or set(value) != {key}:
            return None
        value = value[key]
    return raw(value) if isinstance(value, str) else None


def _read_output(
    config: GenerationConfig, fields: dict[str, Any], members: Extras
) -> None:
    mime = config.response_mime_type
    if not isinstance(mime, str):
        mime = None
    schema: Raw | None = None
    extras: Extras | None = None
    if config.response_schema is not UNSET:
        schema = config.response_schema
        if schema == NULL:
            members["responseSchema"] = NULL
            schema = None
        else:
            extras = {"@responseSchema": schema}
            schema = to_json_schema(schema)
    if config.response_json_schema is not UNSET:
        if schema is not None or config.response_json_schema == NULL:
            members["responseJsonSchema"] = config.response_json_schema
        else:
            schema = config.response_json_schema
    kind = _output_kind(mime, schema)
    if kind is None:
        return
    if kind == "opaque" or (mime is None and schema is not None):
        extras = {**(extras or {}), "@responseMimeType": raw(mime)}
    fields["output"] = OutputFormat(
        kind=kind,
        schema=schema,
        raw=raw(mime) if kind == "opaque" else None,
        extras=extras,
    )


def _output_kind(mime: str | None, schema: Raw | None) -> Any:
    if schema is not None:
        return (
            "enum"
            if mime == ENUM
            else "json_schema"
            if mime in (JSON, None)
            else ("opaque")
        )
    if mime is None:
        return None
    return {JSON: "json_object", PLAIN: "text"}.get(mime, "opaque")


def read_thinking(config: ThinkingConfig, path: str) -> Reasoning:
    """How to think.

    Raises:
        RemoteProtocolError: A member has the wrong type.
    """
    extras: Extras = kept(checked(strangers(config), ThinkingConfig, path))
    effort = None
    level = config.thinking_level
    if level is not UNSET:
        effort = read_level(level)
        if effort is None or effort.upper() != level:
            extras["@thinkingLevel"] = raw(level)
    budget = None
    if config.thinking_budget is not UNSET:
        budget = integer(config.thinking_budget, f"{path}.thinkingBudget")
    shows = {True: "summary", False: "none"}
    show: Any = None
    if config.include_thoughts is not UNSET:
        show = shows[config.include_thoughts]
    mode: Any = "default"
    if budget == 0:
        mode = "off"
    elif effort is not None or budget is not None:
        mode = "on"
    return Reasoning(
        mode=mode, effort=effort, budget=budget, show=show, extras=extras or None
    )


def read_level(level: object) -> str | None:
    """The effort that a `thinkingLevel` means, None where it leaves it open."""
    if isinstance(level, int):  # an enum by its number, 0 being unspecified
        numbered = ("LOW", "HIGH", "MEDIUM", "MINIMAL")
        return numbered[level - 1].lower() if 0 < level <= len(numbered) else None
    word = str(level).upper()
    return None if word == "THINKING_LEVEL_UNSPECIFIED" else word.lower()
