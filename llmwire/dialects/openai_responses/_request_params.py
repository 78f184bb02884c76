"""Requests, from the neutral conversation onto the wire: parameters and tools.

One function per group of members; each writes into the body and reports what it could
not say. What the profile rejects is left out of foreign requests, and of native ones
that go to another server than the vendor's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from llmwire import _effort, _json
from llmwire.dialects import Encoded
from llmwire.dialects.openai_responses import _names
from llmwire.dialects.openai_responses._content_write import Object, Way, merge
from llmwire.dialects.openai_responses._names import ENCRYPTED, LOGPROBS
from llmwire.dialects.openai_responses._request_tools import (
    NO_ARGUMENTS,
    is_strict,
    legal_name,
    may_send,
    write_tool_choice,
    write_tools,
)
from llmwire.http import HTTPRequest
from llmwire.requests import OutputFormat, Reasoning, Request

_TIERS: Final = {
    "auto": "auto",
    "default": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
    "ultrafast": "ultrafast",
    "standard": "default",
    "standard_only": "default",
}
_USER_LIMIT: Final = 128


def write_parameters(
    request: Request, body: Object, way: Way, names: Mapping[str, str]
) -> Encoded:
    """Write everything but the conversation into `body`.

    Returns:
        What the answer must undo, without the HTTP request.
    """
    custom = write_tools(request, body, way, names)
    write_tool_choice(request, body, way, names)
    _write_sampling(request, body, way)
    _write_reasoning(request, body, way)
    _write_text(request, body, way)
    _write_output_kinds(request, way)
    _write_labels(request, body, way)
    _write_storage(request, body, way)
    stops = _write_limits(request, body, way)
    if request.stream is not None:
        body["stream"] = request.stream
    if way.native:
        if way.profile.name in _names.VENDOR_PROFILES or not way.profile.closed:
            merge(body, request.extras)
        elif request.extras:
            way.losses.drop_extras(request.extras, "")
    else:
        way.losses.drop_extras(request.extras, "")
        if request.stream and request.include_usage is not True:
            reason = "streams always tell usage"
            way.losses.default("usage", "include_usage", reason)
        elif request.include_usage is not None and not request.stream:
            reason = "answers always tell usage"
            way.losses.approximate("usage", "include_usage", reason)
    return Encoded(
        http=HTTPRequest(method="POST", path=""),
        model=way.model,
        names={sent: name for name, sent in names.items()},
        custom=custom,
        stops=stops,
    )


# --- sampling and limits ------------------------------------------------------------

_ELSEWHERE: Final = (
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
)


def _write_sampling(request: Request, body: Object, way: Way) -> None:
    sampling = request.sampling
    for name in _ELSEWHERE:
        if getattr(sampling, name) is not None:
            reason = "the dialect has no such parameter"
            way.losses.drop("sampling", f"sampling.{name}", reason)
    thinking = (
        not way.native
        and not way.profile.sampling_with_reasoning
        and way.profile.reasoning != "none"
        and not (request.reasoning is not None and request.reasoning.mode == "off")
    )
    for name in ("temperature", "top_p"):
        value = getattr(sampling, name)
        path = f"sampling.{name}"
        if value is None or not may_send(name, path, "sampling", way):
            continue
        if thinking:
            reason = "the target samples freely only without reasoning"
            way.losses.drop("sampling", path, reason)
            continue
        if name == "temperature" and not way.native:
            most = way.profile.max_temperature
            if value > most:
                reason = f"the target takes at most {most}"
                way.losses.approximate("sampling", path, reason)
                value = most
        body[name] = value


def _write_limits(request: Request, body: Object, way: Way) -> tuple[str, ...]:
    if request.max_tokens is not None:
        least = 0 if way.native else max(way.profile.min_max_tokens, 16)
        if request.max_tokens < least:
            reason = f"the target takes no less than {least}"
            way.losses.approximate("max_tokens", "max_tokens", reason)
        body["max_output_tokens"] = max(request.max_tokens, least)
    if request.n is not None:
        if request.n == 1:
            reason = "the dialect gives one answer"
            way.losses.approximate("choices", "n", reason)
        else:
            way.losses.drop("choices", "n", "the dialect gives one answer")
    _write_logprobs(request, body, way)
    if not request.stop:
        return ()
    if way.losses.emulates("stop"):
        way.losses.emulate("stop", "stop", "the answer is cut at the first of them")
        return request.stop
    way.losses.drop("stop", "stop", "the dialect has no stop sequences")
    return ()


def _write_logprobs(request: Request, body: Object, way: Way) -> None:
    wanted = request.logprobs
    if wanted is None:
        return
    if not may_send("logprobs", "logprobs", "logprobs", way):
        return
    if wanted.top is not None:
        body["top_logprobs"] = wanted.top
    if not way.native and not wanted.enabled:
        reason = "said by leaving them out"
        way.losses.approximate("logprobs", "logprobs", reason)


# --- reasoning ----------------------------------------------------------------------


def _write_reasoning(request: Request, body: Object, way: Way) -> None:
    wanted = request.reasoning
    if wanted is None:
        return
    if way.native:
        written: Object = {}
        effort = "none" if wanted.mode == "off" else wanted.effort
        if effort is not None:
            written["effort"] = effort
        if wanted.summary is not None:
            written["summary"] = wanted.summary
        merge(written, wanted.extras)
        body["reasoning"] = written
        return
    way.losses.drop_extras(wanted.extras, "reasoning")
    if way.profile.reasoning == "none":
        if wanted.mode != "off":
            reason = "the model does not think"
            way.losses.drop("reasoning.mode", "reasoning", reason)
        else:
            reason = "the model does not think anyway"
            way.losses.approximate("reasoning.mode", "reasoning", reason)
        return
    written = {}
    told = _effort_of(wanted, request, way)
    if told is not None:
        written["effort"] = told
    summary = _summary_of(wanted, way)
    if summary is not None:
        written["summary"] = summary
    if written:
        body["reasoning"] = written
    elif wanted.mode == "default":
        reason = "nothing is asked for"
        way.losses.approximate("reasoning.mode", "reasoning", reason)


def _effort_of(wanted: Reasoning, request: Request, way: Way) -> str | None:
    """The effort to ask for."""
    accepted = way.profile.efforts
    if wanted.mode == "off":
        if wanted.effort is not None or wanted.budget is not None:
            reason = "the model shall not think"
            way.losses.approximate("reasoning.effort", "reasoning", reason)
        if "none" in accepted:
            return "none"
        least = _effort.nearest("minimal", accepted)
        reason = "the model always thinks: asked for the least"
        way.losses.approximate("reasoning.mode", "reasoning", reason)
        return least
    effort = wanted.effort
    if wanted.budget is not None:
        if effort is None and wanted.budget >= 0:
            effort = _effort.of_budget(wanted.budget, request.max_tokens)
            reason = "a budget is said as an effort"
            way.losses.emulate("reasoning.budget", "reasoning", reason)
        else:
            reason = "the model decides how much it thinks"
            way.losses.drop("reasoning.budget", "reasoning.budget", reason)
    if effort is None:
        if wanted.mode == "on":
            reason = "thinking is the target's default"
            way.losses.approximate("reasoning.mode", "reasoning", reason)
        return None
    told = _effort.nearest(effort, accepted)
    if told != effort:
        reason = "the nearest effort that the target knows"
        way.losses.approximate("reasoning.effort", "reasoning.effort", reason)
    if wanted.mode != "on":
        reason = "an effort turns thinking on"
        way.losses.approximate("reasoning.mode", "reasoning.mode", reason)
    return told


def _summary_of(wanted: Reasoning, way: Way) -> str | None:
    """The kind of summary to ask for."""
    if wanted.show == "summary":
        if wanted.summary is None:
            reason = "the kind of summary is left to the target"
            way.losses.default("reasoning.show", "reasoning.summary", reason)
        return wanted.summary or "auto"
    if wanted.show == "raw":
        reason = "thinking is shown as summaries"
        way.losses.approximate("reasoning.show", "reasoning.show", reason)
        if wanted.summary != "detailed":
            way.losses.default("reasoning.show", "reasoning.summary", reason)
        return "detailed"
    if wanted.show == "none" or wanted.summary is not None:
        reason = "thinking is hidden unless asked for"
        way.losses.approximate("reasoning.show", "reasoning", reason)
    return None


# --- text ---------------------------------------------------------------------------


def _write_text(request: Request, body: Object, way: Way) -> None:
    text: Object = {}
    if request.output is not None:
        shape = _format(request.output, way)
        if shape is not None:
            text["format"] = shape
    if request.verbosity is not None and may_send(
        "verbosity", "verbosity", "verbosity", way
    ):
        text["verbosity"] = request.verbosity
    if way.native and text:
        merge(text, request.extras, "text")
    if text:
        body["text"] = text


def _format(output: OutputFormat, way: Way) -> Object | Raw | None:
    if way.native:
        return _native_format(output)
    way.losses.drop_extras(output.extras, "output")
    if output.kind in ("opaque", "enum"):
        reason = "answers are text or JSON objects"
        way.losses.drop("output.format", "output", reason)
        return None
    if output.kind != "json_schema":
        if output.kind == "json_object" and not _has_json(way):
            return None
        bare = OutputFormat(kind=output.kind, extras=output.extras)
        if output != bare:
            reason = "only a schema has a name and the rest"
            way.losses.approximate("output.format", "output", reason)
        return {"type": output.kind}
    if not way.profile.structured_output or "output_schema" in way.profile.rejects:
        reason = "the target knows no schemas: asked for a JSON object"
        if not _has_json(way):
            return None
        way.losses.approximate("output.format", "output", reason)
        return {"type": "json_object"}
    return _json_schema(output, way)


def _has_json(way: Way) -> bool:
    if way.profile.json_object and "output_json" not in way.profile.rejects:
        return True
    way.losses.drop("output.format", "output", "the target writes text only")
    return False


def _json_schema(output: OutputFormat, way: Way) -> Object:
    name = output.name
    if name is None or not legal_name(name, 64):
        sent = re.sub(r"[^A-Za-z0-9_-]", "_", name or "")[:64] or "response"
        reason = "a schema needs a name of letters, digits, _ and -"
        way.losses.default("output.format", "output.name", reason)
        name = sent
    written: Object = {"type": "json_schema", "name": name}
    if output.schema is None:
        reason = "a schema must be given"
        way.losses.default("output.format", "output.schema", reason)
    if output.description is not None:
        written["description"] = output.description
    written["schema"] = output.schema or NO_ARGUMENTS
    strict = output.strict
    if strict is None and not way.same_vendor and is_strict(output.schema):
        reason = "the source guarantees the shape"
        way.losses.default("output.format", "output.strict", reason)
        strict = True
    elif strict and not way.same_vendor and not is_strict(output.schema):
        reason = "the schema is outside the target's strict subset"
        way.losses.approximate("output.format", "output.strict", reason)
        strict = False
    if strict is not None:
        written["strict"] = strict
    return written


def _native_format(output: OutputFormat) -> Object | Raw:
    if output.raw is not None:
        return output.raw
    written: Object = {"type": output.kind}
    for name in ("name", "description", "schema", "strict"):
        value = getattr(output, name)
        if value is not None:
            written[name] = value
    merge(written, output.extras)
    return written


def _write_output_kinds(request: Request, way: Way) -> None:
    """What the dialect has no word for at all."""
    if request.audio is not None:
        way.losses.drop("audio.output", "audio", "answers are text")
    if request.modalities:
        reason = "answers are text"
        feature = "modalities"
        if request.modalities == ("text",):
            way.losses.approximate(feature, "modalities", reason)
        else:
            way.losses.drop(feature, "modalities", reason)
    if request.prediction is not None:
        reason = "the dialect has no predicted output"
        way.losses.drop("prediction", "prediction", reason)


# --- labels and storage -------------------------------------------------------------


def _write_labels(request: Request, body: Object, way: Way) -> None:
    if request.user is not None and may_send("user", "user", "user", way):
        _write_user(request.user, request, body, way)
    if request.cache_key is not None and may_send(
        "cache_key", "cache_key", "cache.key", way
    ):
        body["prompt_cache_key"] = request.cache_key
    if request.metadata is not None and may_send(
        "metadata", "metadata", "metadata", way
    ):
        _write_metadata(request.metadata, body, way)
    if request.service_tier is not None and may_send(
        "service_tier", "service_tier", "service_tier", way
    ):
        _write_tier(request.service_tier, body, way)
    if request.truncation is not None:
        body["truncation"] = request.truncation
    if request.cache is not None:
        reason = "the target marks prompts by itself"
        way.losses.drop("cache.mark", "cache", reason)


def _write_metadata(metadata: Raw, body: Object, way: Way) -> None:
    if not way.native and not _is_labels(metadata):
        reason = "labels are texts"
        way.losses.drop("metadata", "metadata", reason)
        return
    body["metadata"] = metadata


def _is_labels(metadata: Raw) -> bool:
    value = _json.decode_any(bytes(metadata))
    return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())


def _write_user(user: str, request: Request, body: Object, way: Way) -> None:
    if way.native:
        old = "user" in _names.form(request.extras)
        body["user" if old else "safety_identifier"] = user
        return
    if len(user) > _USER_LIMIT:
        reason = f"more than {_USER_LIMIT} characters: sent as a hash"
        way.losses.approximate("user", "user", reason)
        user = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
    body["safety_identifier"] = user


def _write_tier(tier: str, body: Object, way: Way) -> None:
    if way.native:
        body["service_tier"] = tier
        return
    told = _TIERS.get(tier)
    if told is None:
        way.losses.drop("service_tier", "service_tier", "not a tier of the target")
        return
    if told != tier:
        reason = "the target's name for it"
        way.losses.approximate("service_tier", "service_tier", reason)
    body["service_tier"] = told


_STATE: Final = ("previous_response_id", "conversation", "prompt")


def _write_storage(request: Request, body: Object, way: Way) -> None:
    state = request.state
    if state is not None:
        for name in _STATE:
            value = getattr(state, name)
            if value is not None:
                body[name] = value
        said = any(name in body for name in _STATE)
        for name in ("cached_content", "container", "continuation_token"):
            if getattr(state, name) is not None:
                reason = "only the server that keeps it can resolve it"
                way.losses.drop("state", f"state.{name}" if said else "state", reason)
    include = list(request.include)
    if not way.native:
        _add_include(request, include, way)
        if request.store is None and "store" not in way.profile.rejects:
            reason = "the dialect stores answers unless told otherwise"
            way.losses.default("store", "store", reason)
            body["store"] = False
    if request.store is not None and may_send("store", "store", "store", way):
        body["store"] = request.store
    if include:
        body["include"] = include


def _add_include(request: Request, include: list[str], way: Way) -> None:
    """Ask for what other dialects send unasked."""
    profile = way.profile
    wanted = [
        (
            ENCRYPTED,
            profile.reasoning != "none"
            and "encrypted_reasoning" not in profile.rejects,
        ),
        (
            LOGPROBS,
            request.logprobs is not None
            and request.logprobs.enabled
            and "logprobs" not in profile.rejects,
        ),
    ]
    for word, due in wanted:
        if due and word not in include:
            include.append(word)
            reason = "the dialect sends it only when asked"
            way.losses.default("include", "include", reason)
