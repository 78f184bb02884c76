"""Requests, from the wire into the neutral conversation.

A run of the assistant's items becomes one assistant message, a run of outputs one user
message; every other message item is a message of its own. What the writer would not
give back from the node stays in extras. A client's garbage raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from msgspec import UNSET, Raw, UnsetType

from llmwire import _json
from llmwire._json import NULL, Schema
from llmwire._nesting import check_nesting
from llmwire._turns import PLACEMENT, settled_signatures
from llmwire.dialects.openai_responses import _content_read as contents
from llmwire.dialects.openai_responses import _items_read as items
from llmwire.dialects.openai_responses import _names, _wire
from llmwire.dialects.openai_responses._names import NAME
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.messages import Extras, Message, OpaquePart, Part, Role, TextPart
from llmwire.requests import (
    Effort,
    Logprobs,
    OutputFormat,
    Reasoning,
    Request,
    Sampling,
    ServerState,
    Tool,
    ToolChoice,
)

_BODY: Final = Schema(_wire.Body)
_TOOL: Final = Schema(_wire.ToolWire, tolerant=True)
_DECODE_TOOL: Final = _json.decoder(_wire.ToolWire).decode
_REASONING: Final = Schema(_wire.ReasoningWire, tolerant=True)
_TEXT: Final = Schema(_wire.TextWire, tolerant=True)
_FORMAT: Final = Schema(_wire.FormatWire, tolerant=True)
_NAMED: Final = Schema(_wire.NamedWire, tolerant=True)
_ALLOWED: Final = Schema(_wire.AllowedWire, tolerant=True)
_NULLABLE: Final = tuple(
    name for name in _wire.Body.__struct_fields__ if name not in _wire.UNMODELLED
)
_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "system": "system",
    "developer": "developer",
}
V = TypeVar("V")


def decode_request(request: HTTPRequest, limits: Limits) -> Request:
    """A client's request.

    Raises:
        RemoteProtocolError: It is no request of this dialect; names the place.
        LimitExceeded: It is too large.
    """
    body = request.body
    if len(body) > limits.body:
        raise LimitExceeded(f"the body exceeds {limits.body} bytes")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"invalid UTF-8 at byte {error.start}"
        raise RemoteProtocolError(what, path="$") from None
    check_nesting(body, limits.nesting)
    wire = _BODY.decode(body)
    extras = _strangers(wire)
    form: list[str] = []
    messages = _instructions(wire) + _read_input(wire, form, limits)
    if len(messages) > limits.messages:
        raise LimitExceeded(f"more than {limits.messages} messages", path="$.input")
    output, verbosity = _read_text(wire, extras)
    stream = _value(wire.stream)
    beta = request.header("openai-beta")
    return Request(
        model=_value(wire.model),
        messages=messages,
        tools=_read_tools(wire, extras),
        tool_choice=_read_tool_choice(wire, extras),
        parallel=_value(wire.parallel_tool_calls),
        sampling=Sampling(
            temperature=_value(wire.temperature), top_p=_value(wire.top_p)
        ),
        max_tokens=_value(wire.max_output_tokens),
        logprobs=_read_logprobs(wire),
        output=output,
        verbosity=verbosity,
        reasoning=_read_reasoning(wire, extras),
        stream=stream,
        include_usage=True if stream else None,
        user=_read_user(wire, extras, form),
        cache_key=_value(wire.prompt_cache_key),
        metadata=_object(wire.metadata, "metadata", extras),
        service_tier=_value(wire.service_tier),
        store=_value(wire.store),
        include=_read_include(wire, extras),
        truncation=_value(wire.truncation),
        state=_read_state(wire, extras),
        betas=tuple(word.strip() for word in beta.split(",")) if beta else (),
        dialect=NAME,
        extras=_names.with_form(extras, form),
    )


def _value(value: V | UnsetType | None) -> V | None:
    return None if value is UNSET else value


def _strangers(wire: _wire.Body) -> Extras:
    """Members that are not modelled, and modelled ones that are null."""
    extras = _names.strangers(wire)
    for name in _wire.UNMODELLED:
        value = getattr(wire, name)
        if value is not UNSET:
            extras[name] = value
    for name in _NULLABLE:
        if getattr(wire, name) is None:
            extras[name] = NULL
    return extras


def _object(value: Raw | UnsetType, name: str, extras: Extras) -> Raw | None:
    """A raw value that means something; null goes to `extras`."""
    if value is UNSET:
        return None
    if bytes(value) == b"null":
        extras[name] = NULL
        return None
    return value


# --- the conversation ---------------------------------------------------------------


def _instructions(wire: _wire.Body) -> tuple[Message, ...]:
    if not isinstance(wire.instructions, str):
        return ()
    parts = (TextPart(wire.instructions),)
    return (Message(role="system", parts=parts, top=True),)


class _Runs:
    """Messages so far, and the run of items that the next one may continue."""

    __slots__ = ("_limit", "messages", "role", "run")

    def __init__(self, limits: Limits) -> None:
        self.messages: list[Message] = []
        self.role: Role = "user"
        """Whose run it is: the assistant's side, or outputs on the user's."""
        self.run: list[Part] = []
        self._limit = limits.parts

    def turn(self, role: Role) -> None:
        """From here on the run is `role`'s."""
        if self.run:
            self.flush()
        self.role = role

    def add(self, role: Role, parts: tuple[Part, ...]) -> None:
        """Continue the run of `role`."""
        if role != self.role:
            self.turn(role)
        self.run += parts

    def alone(self, message: Message) -> None:
        """A message of its own."""
        if self.run:
            self.flush()
        self._append(message)

    def flush(self) -> None:
        """The run is a message."""
        parts = tuple(self.run)
        if self.role == "assistant":
            for part in parts:
                if part.extras is not None and PLACEMENT in part.extras:
                    parts = settled_signatures(parts)
                    break
        self.run = []
        self._append(Message(role=self.role, parts=parts))

    def _append(self, message: Message) -> None:
        if len(message.parts) > self._limit:
            raise LimitExceeded(f"more than {self._limit} parts", path="$.input")
        self.messages.append(message)

    @property
    def groups(self) -> int:
        """How many parts the run has: a number no item of it was given yet."""
        return len(self.run) if self.role == "assistant" else 0


def _read_input(
    wire: _wire.Body, form: list[str], limits: Limits
) -> tuple[Message, ...]:
    given = wire.input
    if given is UNSET:
        form.append("no-input")
        return ()
    if isinstance(given, str):
        form.append("string-input")
        return (Message(role="user", parts=(TextPart(given),)),)
    runs = _Runs(limits)
    easy = False
    for at, raw in enumerate(given or ()):
        item = items.read_item(raw, at, easy=easy)
        kind = type(item)
        side = _SIDES.get(kind)
        if side is not None:
            role, read = side
            if role != runs.role:
                runs.turn(role)
            runs.run.append(read(item, at))
            continue
        easy = kind is _wire.EasyMessage  # clients keep to one way of writing
        _READERS[kind](item, raw, f"$.input[{at}]", runs)
    if runs.run:
        runs.flush()
    return tuple(runs.messages)


def _read_message(
    item: _wire.Message | _wire.EasyMessage, raw: Raw, path: str, runs: _Runs
) -> None:
    if item.role == "assistant":
        parts = items.read_message(item, path, runs.groups, answer=False)
        if not parts:
            parts = (OpaquePart(dialect=NAME, kind="message", raw=raw),)
        runs.add("assistant", parts)
        return
    role = _ROLES.get(item.role)
    if role is None:
        what = "Invalid enum value: expected `user`, `assistant`, `system`, `developer`"
        raise RemoteProtocolError(what, path=f"{path}.role")
    extras = _names.strangers(item)
    form = ["type"] if isinstance(item, _wire.EasyMessage) else []
    for name in ("status", "phase"):
        value = getattr(item, name)
        if value is not UNSET:
            extras[name] = Raw(_json.encode(value))
    if item.id is None:
        extras["id"] = NULL
    if isinstance(item.content, str):
        form.append("content")
        read: tuple[Part, ...] = (TextPart(item.content),)
    else:
        read = tuple(
            contents.read_content(content, role, f"{path}.content[{at}]")
            for at, content in enumerate(item.content)
        )
    id = item.id if isinstance(item.id, str) else None
    noted = _names.with_form(extras, form)
    runs.alone(Message(role=role, parts=read, id=id, extras=noted))


def _read_thought(item: _wire.Thought, at: int) -> Part:
    return items.read_thought(item, answer=False, group=None)


def _read_call(item: _wire.FunctionCall | _wire.CustomCall, at: int) -> Part:
    if not item.call_id:
        what = "Object missing required field `call_id`"
        raise RemoteProtocolError(what, path=f"$.input[{at}]")
    return items.read_call(item, answer=False, group=None)


def _read_output(item: _wire.FunctionOutput | _wire.CustomOutput, at: int) -> Part:
    return items.read_output(item, at)


def _read_server_item(item: _wire.ServerItem, raw: Raw, path: str, runs: _Runs) -> None:
    part = items.read_server_item(item, raw, None)
    if item.type in _names.INPUT_ONLY:
        runs.add("user", (part,))
    elif isinstance(item.role, str) and item.role in _ROLES:
        runs.alone(Message(role=_ROLES[item.role], parts=(part,)))
    else:
        runs.add("assistant", (part,))


_SIDES: Final[dict[type, tuple[Role, Callable[[Any, int], Part]]]] = {
    _wire.Thought: ("assistant", _read_thought),
    _wire.FunctionCall: ("assistant", _read_call),
    _wire.CustomCall: ("assistant", _read_call),
    _wire.FunctionOutput: ("user", _read_output),
    _wire.CustomOutput: ("user", _read_output),
}
"""Items that are one part of a run, and whose run it is."""
_READERS: Final[dict[type, Callable[[Any, Raw, str, _Runs], None]]] = {
    _wire.Message: _read_message,
    _wire.EasyMessage: _read_message,
    _wire.ServerItem: _read_server_item,
}


# --- tools --------------------------------------------------------------------------


def _read_tools(wire: _wire.Body, extras: Extras) -> tuple[Tool, ...]:
    if not wire.tools:
        if isinstance(wire.tools, list):
            extras["tools"] = Raw(b"[]")
        return ()
    return tuple(_read_tool(raw, f"$.tools[{at}]") for at, raw in enumerate(wire.tools))


_TOOL_STRANGERS: Final = ("defer_loading", "allowed_callers", "output_schema")


def _read_tool(raw: Raw, path: str) -> Tool:
    try:
        wire: _wire.ToolWire = _DECODE_TOOL(raw)
    except contents.FAILURES:
        kind = contents.type_of(raw, path)
        if kind not in ("function", "custom"):
            return _server_tool(raw, kind)
        wire = _TOOL.decode(raw, path)
    if wire.type not in ("function", "custom"):
        kind = wire.type if isinstance(wire.type, str) else None
        return _server_tool(raw, kind)
    if not isinstance(wire.name, str):
        what = "Object missing required field `name`"
        raise RemoteProtocolError(what, path=path)
    extras = _names.strangers(wire)
    for name in _TOOL_STRANGERS:
        value = getattr(wire, name)
        if value is not UNSET:
            extras[name] = value
    if wire.description is None:
        extras["description"] = NULL
    if wire.strict is None:
        extras["strict"] = NULL
    schema = _object(wire.parameters, "parameters", extras)
    shape = _object(wire.format, "format", extras)
    custom = wire.type == "custom"
    if custom and schema is not None:
        extras["parameters"], schema = schema, None
    if not custom and shape is not None:
        extras["format"], shape = shape, None
    return Tool(
        kind="custom" if custom else "function",
        name=wire.name,
        description=_value(wire.description),
        schema=schema,
        strict=_value(wire.strict),
        format=shape,
        extras=extras or None,
    )


def _server_tool(raw: Raw, kind: str | None) -> Tool:
    known = kind in _names.SERVER_TOOLS
    return Tool(kind="server" if known else "opaque", name=kind or "", raw=raw)


def _read_tool_choice(wire: _wire.Body, extras: Extras) -> ToolChoice | None:
    raw = _object(wire.tool_choice, "tool_choice", extras)
    if raw is None:
        return None
    word = _json.decode_any(bytes(raw), "$.tool_choice")
    if word in ("auto", "none", "required"):
        return ToolChoice(mode=word)
    if not isinstance(word, dict):
        what = "Expected `auto`, `none`, `required` or an object"
        raise RemoteProtocolError(what, path="$.tool_choice")
    try:
        if word.get("type") in ("function", "custom"):
            named = _NAMED.decode(raw)
            return ToolChoice(
                mode="required", names=(named.name,), kind="named", raw=raw
            )
        if word.get("type") == "allowed_tools":
            allowed = _ALLOWED.decode(raw)
            if allowed.mode in ("auto", "required"):
                names = tuple(tool.name for tool in allowed.tools)
                mode: Any = allowed.mode
                return ToolChoice(mode=mode, names=names, kind="allowed", raw=raw)
    except RemoteProtocolError:
        pass
    return ToolChoice(mode="required", kind="opaque", raw=raw)


# --- parameters ---------------------------------------------------------------------


def _read_include(wire: _wire.Body, extras: Extras) -> tuple[str, ...]:
    if wire.include == []:
        extras["include"] = Raw(b"[]")
    return tuple(_value(wire.include) or ())


def _read_logprobs(wire: _wire.Body) -> Logprobs | None:
    top = _value(wire.top_logprobs)
    wanted = _names.LOGPROBS in (_value(wire.include) or ())
    if top is None and not wanted:
        return None
    return Logprobs(enabled=wanted or bool(top), top=top)


def _read_reasoning(wire: _wire.Body, extras: Extras) -> Reasoning | None:
    raw = _object(wire.reasoning, "reasoning", extras)
    if raw is None:
        return None
    read = _REASONING.decode(raw, "$.reasoning")
    strange = _names.strangers(read)
    for name in ("effort", "summary"):
        if getattr(read, name) is None:
            strange[name] = NULL
    effort: Effort | str | None = _value(read.effort)
    summary = _value(read.summary)
    return Reasoning(
        mode="off" if effort == "none" else "on" if effort else "default",
        effort=None if effort == "none" else effort,
        show="summary" if summary else None,
        summary=summary,
        extras=strange or None,
    )


def _read_text(
    wire: _wire.Body, extras: Extras
) -> tuple[OutputFormat | None, str | None]:
    raw = _object(wire.text, "text", extras)
    if raw is None:
        return None, None
    read = _TEXT.decode(raw, "$.text")
    strange = _names.strangers(read)
    if read.verbosity is None:
        strange["verbosity"] = NULL
    shape = _object(read.format, "format", strange)
    output = None if shape is None else _read_format(shape)
    verbosity = _value(read.verbosity)
    if output is None and verbosity is None:
        extras["text"] = raw
        return None, None
    for name, value in strange.items():
        extras[f"text/{name}"] = value
    return output, verbosity


def _read_format(raw: Raw) -> OutputFormat:
    path = "$.text.format"
    wire = _FORMAT.decode(raw, path)
    if wire.type not in ("text", "json_object", "json_schema"):
        return OutputFormat(kind="opaque", name=wire.type, raw=raw)
    kind: Any = wire.type
    strange = _names.strangers(wire)
    for name in ("name", "strict", "description"):
        if getattr(wire, name) is None:
            strange[name] = NULL
    schema = _object(wire.schema, "schema", strange)
    return OutputFormat(
        kind=kind,
        name=_value(wire.name),
        schema=schema,
        strict=_value(wire.strict),
        description=_value(wire.description),
        extras=strange or None,
    )


def _read_user(wire: _wire.Body, extras: Extras, form: list[str]) -> str | None:
    """The end user: `safety_identifier`, which replaces `user`."""
    if isinstance(wire.safety_identifier, str):
        if isinstance(wire.user, str):
            extras["user"] = Raw(_json.encode(wire.user))
        return wire.safety_identifier
    if isinstance(wire.user, str):
        form.append("user")
        return wire.user
    return None


def _read_state(wire: _wire.Body, extras: Extras) -> ServerState | None:
    state = ServerState(
        previous_response_id=_value(wire.previous_response_id),
        conversation=_object(wire.conversation, "conversation", extras),
        prompt=_object(wire.prompt, "prompt", extras),
    )
    return None if state == ServerState() else state
