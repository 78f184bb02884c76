"""A client's request, read.

The path says which model and whether to stream, the body everything else. Garbage is
refused with the place where it stands; unknown parts and tools are kept as they are.

https://ai.google.dev/api/generate-content#request-body
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Raw

from llmwire._json import NULL, decode_object, encode, nested, strangers
from llmwire._nesting import check_nesting
from llmwire._turns import PLACEMENT, settled_signatures
from llmwire.dialects.gemini import _wire
from llmwire.dialects.gemini._config_read import read_config
from llmwire.dialects.gemini._names import camel, checked, read
from llmwire.dialects.gemini._notes import kept, raw
from llmwire.dialects.gemini._parts_read import NAME, CallBook, Reader
from llmwire.dialects.gemini._paths import model_of, route
from llmwire.dialects.gemini._tools import read_choice, read_tools
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.messages import Extras, Message, Part, Role
from llmwire.requests import Request, ServerState

COUNTED: Final = "generateContentRequest"
"""The member of a count request that holds a whole request to generate."""
_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "model": "assistant",
    "function": "user",  # of older documentation, for results
}
_TIERS: Final = {"standard": "default"}
_ROOT: Final = _wire.CARRIED[_wire.RequestBody]
_NULLABLE: Final = (
    ("system_instruction", "systemInstruction"),
    ("tools", "tools"),
    ("tool_config", "toolConfig"),
    ("generation_config", "generationConfig"),
    ("cached_content", "cachedContent"),
    ("continuation_token", "continuationToken"),
    ("service_tier", "serviceTier"),
)


def decode_request(http: HTTPRequest, limits: Limits) -> Request:
    """A request to generate.

    Raises:
        RemoteProtocolError: It is none; names the place.
        LimitExceeded: It is too large.
    """
    body = checked_body(http.body, limits)
    wire = read(_wire.RequestBody, body)
    if wire.contents is UNSET:
        raise RemoteProtocolError("found no `contents`", path="$.contents")
    return _request(wire, http, limits)


def decode_count_request(http: HTTPRequest, limits: Limits) -> Request:
    """A request to count tokens: contents alone, or a whole request.

    Raises:
        RemoteProtocolError: It is none; names the place.
        LimitExceeded: It is too large.
    """
    body = checked_body(http.body, limits)
    members = decode_object(body)
    name = next((n for n in members if camel(n) == COUNTED), None)
    if name is None or members[name] == NULL:
        wire = read(_wire.RequestBody, body)
        return _request(wire, http, limits)
    wire = read(_wire.RequestBody, members.pop(name), f"$.{COUNTED}")
    request = _request(wire, http, limits)
    extras = {**(request.extras or {}), "@counted": Raw(encode(members))}
    fields = {n: getattr(request, n) for n in request.__struct_fields__}
    return Request(**{**fields, "extras": extras})


def checked_body(body: bytes, limits: Limits) -> bytes:
    """`body` if it is no larger than allowed, UTF-8, and not nested too deeply."""
    if len(body) > limits.body:
        raise LimitExceeded(f"found a body of more than {limits.body} bytes")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"invalid UTF-8 at byte {error.start}"
        raise RemoteProtocolError(what, path="$") from None
    check_nesting(body, limits.nesting)
    return body


def _request(wire: _wire.RequestBody, http: HTTPRequest, limits: Limits) -> Request:
    extras: Extras = {}
    extras.update(kept(checked(strangers(wire), _wire.RequestBody, "$")))
    members: Extras = {}
    for attribute, name in _ROOT:
        value = getattr(wire, attribute)
        if value is not UNSET:
            members[name] = value
    for attribute, name in _NULLABLE:
        if getattr(wire, attribute) is None:
            members[name] = NULL
    fields: dict[str, Any] = {}
    _read_tools(wire, fields, members, extras)
    if isinstance(wire.generation_config, _wire.GenerationConfig):
        path = "$.generationConfig"
        fields.update(read_config(wire.generation_config, extras, path))
        if not encode(wire.generation_config)[2:] and not extras:
            members["generationConfig"] = Raw(b"{}")
    _read_state(wire, fields)
    _read_tier(wire, fields, members, extras)
    if wire.labels is not UNSET:
        fields["metadata"] = wire.labels
    _read_model(wire, http, fields, extras)
    extras.update(nested("", members, None) or {})
    return Request(
        messages=_read_messages(wire, limits),
        dialect=NAME,
        extras=extras or None,
        **fields,
    )


def _read_model(
    wire: _wire.RequestBody, http: HTTPRequest, fields: dict[str, Any], extras: Extras
) -> None:
    """The model of the path wins; one in the body is noted as it was spelled."""
    found = route(http)
    model = found.model if found is not None else None
    if found is not None and found.stream is not None:
        fields["stream"] = found.stream
    if isinstance(wire.model, str):
        extras["@model"] = raw(wire.model)
        model = model or model_of(wire.model)
    elif wire.model is None:
        extras["@model"] = NULL
    if model:
        fields["model"] = model


def _read_tools(
    wire: _wire.RequestBody, fields: dict[str, Any], members: Extras, extras: Extras
) -> None:
    if wire.tools:
        fields["tools"] = read_tools(wire.tools, "$.tools")
    elif isinstance(wire.tools, list):
        members["tools"] = Raw(b"[]")
    config = wire.tool_config
    if not isinstance(config, _wire.ToolConfig):
        return
    path = "$.toolConfig"
    inner = {**checked(strangers(config), _wire.ToolConfig, path)}
    for attribute, name in _wire.CARRIED[_wire.ToolConfig]:
        value = getattr(config, attribute)
        if value is not UNSET:
            inner[name] = value
    calling = config.function_calling_config
    if calling is not UNSET:
        if calling == NULL:
            inner["functionCallingConfig"] = NULL
        else:
            place = f"{path}.functionCallingConfig"
            fields["tool_choice"] = read_choice(calling, place)
    elif not inner:
        members["toolConfig"] = Raw(b"{}")
    extras.update(nested("toolConfig", inner, None) or {})


def _read_state(wire: _wire.RequestBody, fields: dict[str, Any]) -> None:
    cached = wire.cached_content if isinstance(wire.cached_content, str) else None
    token = wire.continuation_token
    token = token if isinstance(token, str) else None
    if cached is not None or token is not None:
        fields["state"] = ServerState(cached_content=cached, continuation_token=token)


def _read_tier(
    wire: _wire.RequestBody, fields: dict[str, Any], members: Extras, extras: Extras
) -> None:
    tier = wire.service_tier
    if isinstance(tier, str):
        fields["service_tier"] = read_tier(tier)
        if tier != fields["service_tier"] and tier not in _TIERS:
            extras["@serviceTier"] = raw(tier)
    elif isinstance(tier, int):
        members["serviceTier"] = raw(tier)


def read_tier(tier: object) -> str:
    """The neutral word for a tier."""
    word = str(tier).lower()
    return _TIERS.get(word, word)


# --- conversation ------------------------------------------------------------------


def _read_messages(wire: _wire.RequestBody, limits: Limits) -> tuple[Message, ...]:
    messages: list[Message] = []
    book = CallBook()
    parts = Reader(client=True, call_id=book.call, result_id=book.result)
    instruction = wire.system_instruction
    if isinstance(instruction, _wire.Content):
        path = "$.systemInstruction"
        messages.append(_message(instruction, parts, path, limits, top=True))
    contents = wire.contents if wire.contents is not UNSET else []
    if len(contents) > limits.messages:
        what = f"found more than {limits.messages} contents"
        raise LimitExceeded(what, path="$.contents")
    for at, content in enumerate(contents):
        messages.append(_message(content, parts, f"$.contents[{at}]", limits))
    return tuple(messages)


def _message(
    wire: _wire.Content, reader: Reader, path: str, limits: Limits, *, top: bool = False
) -> Message:
    found = strangers(wire)
    extras: Extras | None = None
    if found:
        extras = kept(checked(found, _wire.Content, path))
    role: Role = "system"
    if not top:
        word = "user" if wire.role is UNSET else wire.role
        known = _ROLES.get(word) or _ROLES.get(word.lower())
        if known is None:
            what = "expected the role `user` or `model`"
            raise RemoteProtocolError(what, path=f"{path}.role")
        role = known
    if wire.role is not UNSET and (top or wire.role != WIRE_ROLES[role]):
        extras = {**(extras or {}), "@role": raw(wire.role)}
    elif wire.role is UNSET and not top:
        extras = {**(extras or {}), "@role": NULL}
    given = wire.parts if wire.parts is not UNSET else []
    if len(given) > limits.parts:
        what = f"found more than {limits.parts} parts"
        raise LimitExceeded(what, path=path)
    if wire.parts is UNSET:
        extras = {**(extras or {}), "@parts": NULL}
    parts = _parts(given, reader, path)
    return Message(role=role, parts=parts, top=top, extras=extras)


def _parts(wires: list[_wire.Part], reader: Reader, path: str) -> tuple[Part, ...]:
    """The parts of a content; paths are made up only where one is told."""
    parts: list[Part] = []
    carried = False
    for at, wire in enumerate(wires):
        try:
            part = reader.part(wire, "")
        except RemoteProtocolError:
            part = reader.part(wire, f"{path}.parts[{at}]")  # raises with the path
        parts.append(part)
        carried = carried or (part.extras is not None and PLACEMENT in part.extras)
    return settled_signatures(parts) if carried else tuple(parts)


WIRE_ROLES: Final[dict[Role, str]] = {
    "user": "user",
    "assistant": "model",
    "system": "",
    "developer": "",
}
"""How the author of a content is written."""
