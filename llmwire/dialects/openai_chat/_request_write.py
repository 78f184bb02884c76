"""Any request to one for a server of this dialect.

What a server of some profile does not take is renamed, adapted or left out, and every
loss is told by its place in the neutral request. A request of this dialect to the
vendor whose dialect it is goes as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

from msgspec import Raw

from llmwire._json import encode, level
from llmwire._turns import (
    Survey,
    answered,
    own_choice,
    safe_names,
    surveyed,
    with_legal_call_ids,
)
from llmwire.dialects import Encoded, RequestTarget
from llmwire.dialects.openai_chat._effort import write_reasoning
from llmwire.dialects.openai_chat._messages_write import MessageWriter
from llmwire.dialects.openai_chat._notes import LEGACY, noted, said
from llmwire.dialects.openai_chat._request_read import (
    MAX_TOKENS,
    SEED,
    STOP,
    USER,
)
from llmwire.dialects.openai_chat._tools import (
    WEB_SEARCH,
    is_bare_tool,
    write_bare_tool,
    write_choice,
    write_format,
    write_function,
    write_legacy_choice,
    write_tool,
)
from llmwire.dialects.openai_chat._writing import NAME, VENDOR, Writing
from llmwire.http import HTTPRequest
from llmwire.messages import Message, ToolCallPart
from llmwire.requests import Request

PATH: Final = "/v1/chat/completions"
_DIALECT_PROFILE: Final = "openai"
_MAX_NAME: Final = 64
"""Characters of a tool's name that every server takes."""
_REASONING_MODELS: Final = frozenset(
    {
        "temperature",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "logprobs",
    }
)
"""What OpenAI's models refuse while they think."""
_SAMPLED: Final = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
)
"""Members that are written as they are named here, in this order."""
_SAMPLING: Final = attrgetter(*_SAMPLED)
_MAX_CALL_ID: Final = 64
"""Characters of a call's id that every server takes."""
_RARE: Final = attrgetter(
    "n",
    "logprobs",
    "verbosity",
    "modalities",
    "audio",
    "prediction",
    "store",
    "metadata",
    "service_tier",
    "user",
    "cache_key",
)
_NONE_OF_THEM: Final = _RARE(Request())
_TIERS: Final[Mapping[str, str]] = {
    "standard": "default",
    "standard_only": "default",
}
_KNOWN_TIERS: Final = ("auto", "default", "flex", "scale", "priority", "fast")


def encode_request(request: Request, target: RequestTarget) -> Encoded:
    """Write `POST /v1/chat/completions`.

    Raises:
        UnsupportedFeature: Something cannot be said and must not be dropped.
    """
    return _Writer(request, target).encoded()


class _Writer:
    """One request while it is written."""

    def __init__(self, request: Request, target: RequestTarget) -> None:
        profile = target.profile
        native = request.dialect == NAME
        exact = native and profile.name == _DIALECT_PROFILE
        self._request = request
        self._target = target
        self._model = target.model or request.model
        self._rejects = frozenset() if exact else profile.rejects
        self._to = Writing(
            profile=profile,
            losses=target.losses,
            native=native,
            extras=native and (exact or not profile.closed),
            request=True,
            exact=exact,
            model=self._model,
            tag=target.tag,
        )
        self._out: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        self._silenced = self._is_silenced()

    def encoded(self) -> Encoded:
        request, to, out = self._request, self._to, self._out
        survey = None if to.exact else surveyed(request.messages)
        if survey is not None:
            limit = min(to.profile.max_tool_name, _MAX_NAME)
            self._names = safe_names(request, limit, survey.calls)
            if self._names:
                self._report_names()
        if self._model is not None:
            out["model"] = self._model
        out["messages"] = self._messages(survey)
        self._write_stream()
        self._write_sampling()
        self._write_tools()
        if request.output is not None:
            output = write_format(request.output, to, self._names)
            if output is not None:
                out["response_format"] = output
        write_reasoning(request, to, out)
        self._write_rest()
        self._report_rest()
        self._write_extras()
        body = encode(out)
        accept = "text/event-stream" if request.stream else "application/json"
        headers = (("content-type", "application/json"), ("accept", accept))
        return Encoded(
            http=HTTPRequest(method="POST", path=PATH, headers=headers, body=body),
            model=self._model,
            names={sent: name for name, sent in self._names.items()},
            custom=self._emulated(),
        )

    def _emulated(self) -> tuple[str, ...]:
        """Names as sent of custom tools that went as functions."""
        if self._to.exact or self._to.profile.custom_tools:
            return ()
        return tuple(
            self._names.get(tool.name, tool.name)
            for tool in self._request.tools
            if tool.kind == "custom"
        )

    def _report_names(self) -> None:
        request = self._request
        places = [
            (f"tools[{at}].name", tool.name)
            for at, tool in enumerate(request.tools)
            if tool.kind in ("function", "custom")
        ]
        if request.tool_choice is not None:
            names = enumerate(request.tool_choice.names)
            places += [(f"tool_choice.names[{at}]", name) for at, name in names]
        for at, message in enumerate(request.messages):
            places += [
                (f"messages[{at}].parts[{index}].name", part.name)
                for index, part in enumerate(message.parts)
                if isinstance(part, ToolCallPart)
            ]
        for place, name in places:
            if name in self._names:
                reason = "the server takes letters, digits, `_` and `-`"
                self._to.losses.emulate("tool.name", place, reason)

    # --- single values -------------------------------------------------------------

    def _put(self, name: str, value: Any, feature: str, path: str = "") -> None:
        """Write a member unless the server rejects it."""
        if value is None:
            return
        if _REJECTED.get(name, name) in self._rejects:
            reason = "the server rejects it"
            self._to.losses.drop(feature, path or name, reason)
            return
        if not self._to.exact:
            name = self._to.profile.renames.get(name, name)
        self._out[name] = value

    def _write_sampling(self) -> None:
        sampling, to = self._request.sampling, self._to
        temperature = sampling.temperature
        most = to.profile.max_temperature
        if temperature is not None and temperature > most and not to.exact:
            reason = f"the highest value is {most:g}"
            to.losses.approximate("sampling", "sampling.temperature", reason)
            temperature = most
        for name, value in zip(_SAMPLED, _SAMPLING(sampling), strict=True):
            if value is None:
                continue
            if name in self._silenced:
                reason = "the model rejects it while it thinks"
                to.losses.drop("sampling", f"sampling.{name}", reason)
                continue
            if name == "temperature":
                value = temperature
            self._put(name, value, "sampling", f"sampling.{name}")
        if sampling.seed is not None:
            name = noted(self._notes(), SEED) or "seed"
            if not to.exact:
                name = "seed"
            self._put(name, sampling.seed, "sampling", "sampling.seed")

    def _is_silenced(self) -> frozenset[str]:
        """Sampling that the model refuses because it thinks."""
        profile, reasoning = self._to.profile, self._request.reasoning
        if self._to.exact or profile.sampling_with_reasoning:
            return frozenset()
        off = reasoning is not None and reasoning.mode == "off"
        return frozenset() if off else _REASONING_MODELS

    def _notes(self) -> dict[str, Raw]:
        extras = self._request.extras
        return extras if extras and self._to.native else {}

    def _write_rest(self) -> None:
        request, to, out = self._request, self._to, self._out
        notes = self._notes()
        if request.max_tokens is not None:
            field: str = to.profile.max_tokens_field
            if to.exact:
                field = noted(notes, MAX_TOKENS) or "max_completion_tokens"
            out[field] = request.max_tokens
        self._write_stop(notes)
        if _RARE(request) != _NONE_OF_THEM:
            self._write_rare(notes)

    def _write_rare(self, notes: dict[str, Raw]) -> None:
        """What most requests do not say."""
        request, to, out = self._request, self._to, self._out
        if request.n == 1 and "n" in self._rejects:
            to.losses.approximate("choices", "n", "one answer is the default")
        else:
            self._put("n", request.n, "choices")
        self._write_logprobs()
        self._put("verbosity", request.verbosity, "verbosity")
        self._write_modalities()
        if request.audio is not None:
            audio: dict[str, Any] = {}
            if request.audio.voice is not None:
                audio["voice"] = request.audio.voice
            if request.audio.format is not None:
                audio["format"] = request.audio.format
            if not to.native:
                self._complete_audio(audio)
            out["audio"] = audio | to.strangers(request.audio.extras, "audio")
        self._put("prediction", request.prediction, "prediction")
        if request.store is False and "store" in self._rejects:
            to.losses.approximate("store", "store", "the server keeps nothing anyway")
        else:
            self._put("store", request.store, "store")
        self._put("metadata", request.metadata, "metadata")
        self._write_tier()
        if request.user is not None:
            default = "user" if to.native or to.profile.name not in VENDOR else ""
            name = noted(notes, USER) or default or "safety_identifier"
            if not to.exact and to.profile.name not in VENDOR:
                name = "user"
            self._put(name, request.user, "user", "user")
        self._put("prompt_cache_key", request.cache_key, "cache.key", "cache_key")

    def _complete_audio(self, audio: dict[str, Any]) -> None:
        for name, value in (("voice", "alloy"), ("format", "wav")):
            if name not in audio:
                audio[name] = value
                reason = "spoken answers need one"
                self._to.losses.default("audio.output", f"audio.{name}", reason)

    def _write_modalities(self) -> None:
        kept = []
        for at, word in enumerate(self._request.modalities):
            if self._to.native or word in ("text", "audio"):
                kept.append(word)
            else:
                reason = "the dialect answers in text and audio"
                self._to.losses.drop("modalities", f"modalities[{at}]", reason)
        if kept:
            self._out["modalities"] = kept

    def _write_tier(self) -> None:
        tier, to = self._request.service_tier, self._to
        if tier is None:
            return
        if not to.native and tier not in _KNOWN_TIERS:
            word = _TIERS.get(tier.lower())
            if word is None:
                to.losses.drop("service_tier", "service_tier", "no tier of the server")
                return
            reason = "the server's own word"
            to.losses.approximate("service_tier", "service_tier", reason)
            tier = word
        self._put("service_tier", tier, "service_tier")

    def _write_stop(self, notes: Mapping[str, Raw]) -> None:
        stop, to = self._request.stop, self._to
        if not stop:
            return
        if to.native and len(stop) == 1 and STOP in notes:
            self._put("stop", stop[0], "stop")
            return
        most = to.profile.max_stops
        if len(stop) > most and not to.exact:
            reason = f"the server takes {most}"
            to.losses.drop("stop", "stop", reason)
            stop = stop[:most]
        self._put("stop", stop, "stop")

    def _write_logprobs(self) -> None:
        wanted, to = self._request.logprobs, self._to
        if wanted is None:
            return
        if "logprobs" in self._rejects | self._silenced:
            reason = "the server rejects it"
            if wanted.enabled:
                to.losses.drop("logprobs", "logprobs", reason)
            else:
                to.losses.approximate("logprobs", "logprobs", reason)
            return
        self._out["logprobs"] = wanted.enabled
        if wanted.top is not None:
            self._out["top_logprobs"] = wanted.top

    def _write_stream(self) -> None:
        request, to, out = self._request, self._to, self._out
        if request.stream is not None:
            out["stream"] = request.stream
        usage = request.include_usage
        if "stream_options" in self._rejects:
            if usage is not None:
                reason = "the server tells usage unasked"
                to.losses.drop("usage", "include_usage", reason)
            return
        if usage is None and request.stream and not to.native:
            reason = "streams tell usage only to those who ask"
            to.losses.default("usage", "include_usage", reason)
            usage = True
        options: dict[str, Any] = {}
        if usage is not None and (to.native or request.stream):
            options["include_usage"] = usage
        elif usage is not None:
            reason = "only streams are asked for usage"
            to.losses.drop("usage", "include_usage", reason)
        if request.extras and to.extras:
            options |= level(request.extras, "stream_options")
        if options:
            out["stream_options"] = options

    # --- tools ---------------------------------------------------------------------

    def _write_tools(self) -> None:
        request, to, out = self._request, self._to, self._out
        tools: list[Any] = []
        functions: list[Any] = []
        for at, tool in enumerate(request.tools):
            if is_bare_tool(tool):
                tools.append(write_bare_tool(tool, self._names))
                continue
            path = f"tools[{at}]"
            if to.native and tool.kind == "server" and tool.name == WEB_SEARCH:
                out[WEB_SEARCH] = tool.raw
            elif to.native and LEGACY in (tool.extras or {}):
                functions.append(write_function(tool, to, path, self._names))
            else:
                written = write_tool(tool, to, path, self._names)
                if written is not None:
                    tools.append(written)
        if tools:
            out["tools"] = tools
        if functions:
            out["functions"] = functions
        self._write_choice(bool(tools or functions))

    def _write_choice(self, tools: bool) -> None:
        request, to = self._request, self._to
        choice = request.tool_choice
        lonely = not tools and not to.native
        if choice is not None and lonely:
            reason = "there are no tools to choose from"
            to.losses.drop("tool.choice", "tool_choice", reason)
        elif choice is not None:
            if LEGACY in self._notes() and choice.kind != "allowed":
                self._out["function_call"] = write_legacy_choice(choice)
            else:
                own = choice if to.native else own_choice(request, to.losses)
                if own is not None:
                    written = write_choice(own, request, to, self._names)
                    self._put("tool_choice", written, "tool.choice")
        if request.parallel is not None:
            if lonely:
                reason = "there are no tools to call"
                to.losses.drop("parallel", "parallel", reason)
            else:
                name = "parallel_tool_calls"
                self._put(name, request.parallel, "parallel", "parallel")

    # --- messages ------------------------------------------------------------------

    def _messages(self, survey: Survey | None) -> list[Any]:
        request, to = self._request, self._to
        messages: tuple[Message, ...] = request.messages
        if survey is None:
            return MessageWriter(to, self._names, request).written(messages)
        writer = MessageWriter(to, self._names, request)
        if not (survey.calls or survey.results):
            return writer.written(messages, adjoining=True)
        rule = to.profile.call_ids
        if rule != "omitted":
            limit = min(to.profile.max_call_id, _MAX_CALL_ID)
            messages = with_legal_call_ids(messages, rule, limit, survey=survey)
        same = messages is request.messages
        if not to.native:
            messages = answered(messages, to.losses, survey if same else None)
        adjoining = same and survey.adjoining and not to.native
        return writer.written(messages, adjoining=adjoining)

    # --- what is left --------------------------------------------------------------

    def _report_rest(self) -> None:
        request, losses = self._request, self._to.losses
        if request.state is not None:
            losses.drop("state", "state", "only the server that keeps it can tell")
        if request.include:
            losses.drop("include", "include", "nothing is asked for by name")
        if request.truncation is not None:
            losses.drop("truncation", "truncation", "the dialect does not truncate")
        if request.cache is not None:
            losses.drop("cache.mark", "cache", "only parts are marked")
        if self._to.native:
            return
        if request.version is not None or request.betas:
            # Headers of another protocol: they say nothing about the conversation.
            for name in ("version", "betas"):
                if getattr(request, name):
                    losses.drop("include", name, "another protocol's headers")

    def _write_extras(self) -> None:
        request, to, out = self._request, self._to, self._out
        if not request.extras:
            return
        if not to.native:
            to.losses.drop_extras(request.extras, "")
            return
        for name, value in to.strangers(request.extras, "").items():
            out.setdefault(name, value)
        if to.exact:
            for name, value in said(request.extras).items():
                out.setdefault(name, value)


_REJECTED: Final[Mapping[str, str]] = {
    "parallel_tool_calls": "parallel",
    "prompt_cache_key": "cache_key",
    "safety_identifier": "user",
    "random_seed": "seed",
}
"""Names of members -> names in `Profile.rejects`."""
