"""A neutral request as a request to Gemini.

What a client of Gemini sent goes back as it was. A conversation of another dialect is
fitted: instructions to `systemInstruction`, neighbours of one role into one content,
results into contents of their own in the order of their calls, and everything that
finds no place is reported.

https://ai.google.dev/api/generate-content#request-body
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Raw

from llmwire._json import NULL, decode_any, encode, level
from llmwire._turns import legal_names
from llmwire.dialects import Encoded, RequestTarget
from llmwire.dialects.gemini._config_write import Aim, write_config
from llmwire.dialects.gemini._history import write_history
from llmwire.dialects.gemini._names import SINGLE
from llmwire.dialects.gemini._notes import noted, spelled
from llmwire.dialects.gemini._parts_read import NAME
from llmwire.dialects.gemini._paths import call_path, model_of, resource
from llmwire.dialects.gemini._request_read import COUNTED, read_tier
from llmwire.dialects.gemini._tools import legal_name, write_choice, write_tools
from llmwire.http import HTTPRequest
from llmwire.requests import Request

_TIERS: Final = {"default": "standard", "flex": "flex", "priority": "priority"}
_UNSAID: Final = (
    ("parallel", "parallel", "calls may always come together"),
    ("verbosity", "verbosity", "there is no such setting"),
    ("prediction", "prediction", "there is no such setting"),
    ("include_usage", "include", "usage is always told"),
    ("user", "user", "there is no place for it"),
    ("cache", "cache.mark", "caching is implicit"),
    ("cache_key", "cache.key", "caching is implicit"),
    ("store", "store", "answers are not stored"),
    ("include", "include", "there is no such list"),
    ("truncation", "truncation", "a context that is full is an error"),
    ("betas", "include", "betas of another dialect"),
)
"""Field, feature and reason of what Gemini has no member for."""


def encode_request(request: Request, target: RequestTarget) -> Encoded:
    """`request` as Gemini takes it.

    Raises:
        UnsupportedFeature: Something cannot be said and must not be left out.
    """
    model = target.model or request.model or ""
    aim = _aim(request, target, model)
    names = _names(request, aim)
    custom: list[str] = []
    body, stops = _body(request, aim, names, custom)
    verb = "generateContent"
    if request.stream:
        verb = "streamGenerateContent"
    path = call_path(model, verb)
    if request.stream:
        path += "?alt=sse"
    http = _http(path, encode(body))
    return Encoded(
        http=http,
        model=model_of(model) or None,
        names={sent: name for name, sent in names.items()},
        custom=tuple(custom),
        stops=stops,
    )


def encode_count_request(request: Request, target: RequestTarget) -> HTTPRequest:
    """`request` as Gemini counts it.

    Raises:
        UnsupportedFeature: Something cannot be said and must not be left out.
    """
    model = target.model or request.model or ""
    aim = _aim(request, target, model)
    body, _ = _body(request, aim, _names(request, aim), [])
    note = noted(request.extras, "counted") if aim.native else None
    plain = aim.native and note is None
    if not plain and (note is not None or set(body) - {"contents"}):
        beside = decode_any(bytes(note)) if note is not None else {}
        body.setdefault("model", resource(model))
        if note is not None and noted(request.extras, "model") is None:
            del body["model"]
        body = {COUNTED: body, **beside}
    return _http(call_path(model, "countTokens"), encode(body))


def _aim(request: Request, target: RequestTarget, model: str) -> Aim:
    native = request.dialect == NAME
    return Aim(
        target.losses,
        target.profile,
        native,
        native and target.profile.name == NAME,
        model_of(model) or None,
        target.tag,
    )


def _http(path: str, body: bytes) -> HTTPRequest:
    headers = (("content-type", "application/json"),)
    return HTTPRequest(method="POST", path=path, headers=headers, body=body)


def _names(request: Request, aim: Aim) -> dict[str, str]:
    if aim.native:
        return {}
    return legal_names(request, legal_name, min(aim.profile.max_tool_name, 64), "_")


def _body(
    request: Request, aim: Aim, names: dict[str, str], custom: list[str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The members of the body, in the order of the documentation."""
    body: dict[str, Any] = {}
    note = noted(request.extras, "model") if aim.native else None
    if note is not None:
        body["model"] = _spelled_model(note, aim)
    instruction, contents = write_history(request, aim, names)
    if instruction is not None:
        body["systemInstruction"] = instruction
    body["contents"] = _listed(request, aim, "contents", contents)
    tools = write_tools(request, aim, names, custom)
    if tools:
        body["tools"] = _listed(request, aim, "tools", tools)
    _write_tool_config(request, aim, names, body)
    config, stops = write_config(request, aim)
    if config:
        body["generationConfig"] = config
    _write_state(request, aim, body)
    _write_rest(request, aim, body)
    if aim.native:
        for name, value in level(request.extras).items():
            body.setdefault(name, value)
    else:
        aim.losses.drop_extras(request.extras, "")
    return body, stops


def _spelled_model(note: Raw, aim: Aim) -> Any:
    """The body's own model: as it was, unless another one is asked for."""
    if note == NULL:
        return note
    spelling = decode_any(bytes(note))
    if aim.model is None or model_of(spelling) == aim.model:
        return spelling
    return resource(aim.model) if "/" in spelling else aim.model


def _listed(request: Request, aim: Aim, name: str, items: list[Any]) -> Any:
    """A list, or its only item where the client left the brackets out."""
    note = noted(request.extras, name) if aim.native else None
    return items[0] if note == SINGLE and len(items) == 1 else items


def _write_tool_config(
    request: Request, aim: Aim, names: dict[str, str], body: dict[str, Any]
) -> None:
    config: dict[str, Any] = {}
    choice = write_choice(request, aim, names)
    if choice is not None:
        config["functionCallingConfig"] = choice
    if aim.native:
        for name, value in level(request.extras, "toolConfig").items():
            config.setdefault(name, value)
    if config:
        body["toolConfig"] = config


def _write_state(request: Request, aim: Aim, body: dict[str, Any]) -> None:
    state = request.state
    if state is None:
        return
    if state.cached_content is not None:
        body["cachedContent"] = state.cached_content
    if state.continuation_token is not None:
        body["continuationToken"] = state.continuation_token
    for field in ("previous_response_id", "conversation", "prompt", "container"):
        if getattr(state, field) is not None:
            reason = "it is kept by another server"
            aim.losses.drop("state", f"state.{field}", reason)


def _write_rest(request: Request, aim: Aim, body: dict[str, Any]) -> None:
    losses = aim.losses
    tier = request.service_tier
    if tier is not None:
        _write_tier(request, aim, body, tier)
    if request.metadata is not None:
        if aim.native:
            body["labels"] = request.metadata
        else:
            losses.drop("metadata", "metadata", "labels are Vertex's only")
    for field, feature, reason in _UNSAID:
        if getattr(request, field) not in (None, ()):
            losses.drop(feature, field, reason)
    if request.version is not None and not aim.native:
        losses.drop("include", "version", "the path names the version")


def _write_tier(request: Request, aim: Aim, body: dict[str, Any], tier: str) -> None:
    if "service_tier" in aim.profile.rejects and not aim.exact:
        aim.losses.drop("service_tier", "service_tier", "the target rejects it")
        return
    if aim.native:
        note = spelled(request.extras, "serviceTier", read_tier, tier)
        body["serviceTier"] = note or _TIERS.get(tier, tier)
        return
    word = _TIERS.get("priority" if tier == "fast" else tier)
    if word is None:
        aim.losses.drop("service_tier", "service_tier", "there is no such tier")
        return
    if tier == "fast":
        aim.losses.approximate("service_tier", "service_tier", "as `priority`")
    body["serviceTier"] = word
