"""Whole answers, both ways; the stream writer shares the skeleton and the items.

Members that repeat the request are one note in the extras of a native answer, for they
say nothing; an answer of another dialect gets the smallest legal object, with what the
client asked for (`ReplyTarget.echo`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from llmwire import _json
from llmwire._ids import digest, mint, mint_call
from llmwire._json import NULL
from llmwire._nesting import check_nesting
from llmwire.dialects import ReplyTarget, ResponseSource
from llmwire.dialects.openai_responses import _content_read, _items_read, _names, _wire
from llmwire.dialects.openai_responses import _content_write as contents
from llmwire.dialects.openai_responses._content_write import Object, Way
from llmwire.dialects.openai_responses._names import ECHO, NAME
from llmwire.dialects.openai_responses._output import OutputWriter
from llmwire.dialects.openai_responses._usage import (
    STATUS_WORDS,
    read_stop,
    read_usage,
    write_stop,
    write_usage,
)
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.messages import (
    Choice,
    Extras,
    OpaquePart,
    Part,
    RefusalPart,
    Response,
    ToolCallPart,
)

SKELETON: Final[Object] = {
    "id": "",
    "object": "response",
    "created_at": 0,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "model": "",
    "output": [],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "usage": None,
    "user": None,
}
"""The smallest response object that clients take."""
_MODELLED: Final = frozenset(
    {
        "id",
        "created_at",
        "model",
        "status",
        "incomplete_details",
        "output",
        "usage",
        "service_tier",
    }
)


# --- reading ------------------------------------------------------------------------


def decode_response(body: bytes, source: ResponseSource) -> Response:
    """A whole answer.

    Raises:
        RemoteProtocolError: It is none; with status 502.
    """
    if len(body) > source.limits.body:
        what = f"the body exceeds {source.limits.body} bytes"
        raise LimitExceeded(what, status=502)
    try:
        check_nesting(body, source.limits.nesting)
        members = _json.decode_object(body)
        output = _json.decode_as(list[Raw], bytes(members.get("output", b"[]")))
    except RemoteProtocolError as error:
        raise _at_server(error) from None
    if len(output) > source.limits.parts:
        what = f"more than {source.limits.parts} parts"
        raise LimitExceeded(what, path="$.output", status=502)
    parts: list[Part] = []
    for group, raw in enumerate(output):
        parts += read_output_item(raw, group, source)
    _mint_call_ids(parts, source.seed)
    known = ResponseObject(members)
    choice = _read_choice(known, tuple(parts))
    return Response(
        id=known.text("id"),
        model=known.text("model"),
        created=known.number("created_at"),
        choices=(choice,),
        usage=known.usage(),
        service_tier=known.text("service_tier"),
        dialect=NAME,
        extras=_root_extras(known, output),
    )


def _mint_call_ids(parts: list[Part], seed: str) -> None:
    """Give ids to the calls that came without."""
    ordinal = 0
    for at, part in enumerate(parts):
        if isinstance(part, ToolCallPart) and not part.call_id:
            parts[at] = replace(part, call_id=mint_call(seed, ordinal))
            ordinal += 1


def _at_server(error: RemoteProtocolError) -> RemoteProtocolError:
    """`error` as one of a server, not of a client."""
    error.status = 502
    return error


class ResponseObject:
    """The members of a response object, read as far as their types fit."""

    def __init__(self, members: dict[str, Raw]) -> None:
        self.members = members

    def _value(self, name: str) -> Any:
        raw = self.members.get(name)
        return None if raw is None else _json.decode_any(bytes(raw))

    def text(self, name: str) -> str | None:
        """A string, None where there is none."""
        value = self._value(name)
        return value if isinstance(value, str) else None

    def number(self, name: str) -> float | None:
        """A number, None where there is none."""
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        try:
            return float(value)
        except OverflowError:
            return None

    def usage(self) -> Any:
        """Token counts, None where there are none."""
        raw = self.members.get("usage", NULL)
        return None if bytes(raw) == b"null" else read_usage(raw)

    def reason(self) -> str | None:
        """Why it is incomplete."""
        details = self._value("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return reason if isinstance(reason, str) else None


def _read_choice(known: ResponseObject, parts: tuple[Part, ...]) -> Choice:
    status = known.text("status")
    stop, raw = read_stop(status, known.reason(), parts)
    return Choice(parts=parts, stop=stop, raw=raw)


def _root_extras(known: ResponseObject, output: list[Raw]) -> Extras | None:
    """Strangers, and the members that the writer would not give back."""
    extras: Extras = {}
    echo: dict[str, Raw] = {}
    for name, raw in known.members.items():
        if name not in _MODELLED:
            target = echo if name in _names.REPEATED or name == "error" else extras
            key = name if target is echo else _json.escaped(name)
            target[key] = raw
    status, reason = known.text("status"), known.reason()
    for name, told in (
        ("id", known.text("id")),
        ("model", known.text("model")),
        ("created_at", known.number("created_at")),
        ("service_tier", known.text("service_tier")),
        ("usage", known.usage()),
        ("status", status),
    ):
        if told is None and name in known.members:
            echo[name] = known.members[name]
    if "output" not in known.members:
        echo["@output"] = NULL
    if "incomplete_details" in known.members:
        plain = {"reason": reason} if status == "incomplete" and reason else None
        raw = known.members["incomplete_details"]
        if plain is None or _json.decode_any(bytes(raw)) != plain:
            echo["incomplete_details"] = raw
    odd = status is not None and status not in STATUS_WORDS
    if odd or (status is not None and status != "incomplete" and reason is not None):
        echo["status"] = known.members["status"]
    if echo:
        extras[ECHO] = Raw(_json.encode(echo))
    return extras or None


def read_output_item(raw: Raw, group: int, source: ResponseSource) -> tuple[Part, ...]:
    """The parts of one item of an answer; misshapen ones are opaque. Never raises."""
    try:
        item = _items_read.read_item(raw, None)
        return _output_parts(item, raw, group, source)
    except RemoteProtocolError:
        return (OpaquePart(group=group, dialect=NAME, kind=_kind(raw), raw=raw),)


def _kind(raw: Raw) -> str:
    try:
        return _content_read.type_of(raw, "$") or ""
    except RemoteProtocolError:
        return ""


def _output_parts(
    item: Any, raw: Raw, group: int, source: ResponseSource
) -> tuple[Part, ...]:
    if isinstance(item, (_wire.Message, _wire.EasyMessage)):
        parts: tuple[Part, ...] = ()
        if item.role == "assistant":
            parts = _items_read.read_message(item, "$", group, answer=True)
        if parts:
            return parts
        id = item.id if isinstance(item.id, str) else None
        return (OpaquePart(id=id, group=group, dialect=NAME, kind="message", raw=raw),)
    if isinstance(item, _wire.Thought):
        read = _items_read.read_thought
        return (read(item, answer=True, group=group, source=source),)
    if isinstance(item, (_wire.FunctionCall, _wire.CustomCall)):
        return (_items_read.read_call(item, answer=True, group=group),)
    if isinstance(item, (_wire.FunctionOutput, _wire.CustomOutput)):
        kind = _kind(raw)
        return (OpaquePart(group=group, dialect=NAME, kind=kind, raw=raw),)
    return (_items_read.read_server_item(item, raw, group),)


# --- writing ------------------------------------------------------------------------


def way_to(target: ReplyTarget, dialect: str | None) -> Way:
    """For whom an answer of `dialect` is written."""
    return Way(
        native=dialect == NAME,
        answer=True,
        losses=target.losses,
        profile=target.profile,
        same_vendor=dialect in ("openai-chat", NAME),
    )


def response_id(id: str | None, seed: str, *, native: bool) -> str:
    """The id of an answer: the native one where it serves."""
    if id is not None and (native or id.startswith("resp_")):
        return id
    if id is not None:
        return "resp_" + digest("response", id)
    return mint("resp_", seed, "response", 0)


def seconds(created: float | None) -> int | float:
    """A time as the wire writes it."""
    if created is None:
        return 0
    return int(created) if float(created).is_integer() else created


def encode_response(response: Response, target: ReplyTarget) -> bytes:
    """A whole answer as this dialect's. Never raises."""
    way = way_to(target, response.dialect)
    choices = response.choices or (Choice(stop="other"),)
    for other in choices[1:]:
        why = "the dialect has one answer"
        target.losses.drop("choices", f"choices[{other.index}]", why)
    choice = choices[0]
    path = "choices[0]"
    status, reason = write_stop(choice, way, path)
    seed = target.seed or response.id or ""
    writer = OutputWriter(way, seed, path)
    output = writer.write(with_explanation(choice, way))
    if way.native:
        return _json.encode(_native(response, choice, target, output, status, reason))
    if not response.choices:
        target.losses.default("choices", "choices", "there is always an answer")
    target.losses.drop_extras(response.extras, "")
    target.losses.drop_extras(choice.extras, path)
    body = skeleton(target.echo)
    created = response.created if response.created is not None else target.created
    body["id"] = response_id(response.id, target.seed, native=False)
    body["created_at"] = seconds(created)
    body["status"] = status
    if status == "failed":
        body["error"] = {"code": "server_error", "message": failure(choice)}
    if reason is not None:
        body["incomplete_details"] = {"reason": reason}
    body["model"] = target.model or response.model or ""
    body["output"] = output
    write_tier(response.service_tier, body, way)
    body["usage"] = write_usage(response.usage, way)
    return _json.encode(body)


def failure(choice: Choice) -> str:
    """What is said of an answer that failed without an error."""
    if choice.stop == "malformed_tool_call":
        return "the model wrote a call that cannot be read"
    return "the model failed to answer"


_TIERS: Final = {"standard": "default", "standard_only": "default", "batch": "default"}


def write_tier(tier: str | None, body: Object, way: Way) -> None:
    """The tier that served the request, in the dialect's words."""
    if tier is None:
        return
    told = tier if way.native else _TIERS.get(tier, tier)
    if told not in KNOWN_TIERS and not way.native:
        reason = "not a tier of this dialect"
        way.losses.drop("service_tier", "service_tier", reason)
        return
    if told != tier:
        reason = "the dialect's name for it"
        way.losses.approximate("service_tier", "service_tier", reason)
    body["service_tier"] = told


KNOWN_TIERS: Final = frozenset(
    {"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"}
)


def skeleton(echo: Extras | None) -> Object:
    """The smallest legal response object with what the client asked for."""
    body = dict(SKELETON)
    for name, value in (echo or {}).items():
        if name not in _MODELLED and name != "error":
            body[name] = value
    return body


def with_explanation(choice: Choice, way: Way) -> tuple[Part, ...]:
    """The parts of `choice`, and why it was refused where no part says so."""
    refused = any(isinstance(part, RefusalPart) for part in choice.parts)
    detail = choice.detail
    if way.native or refused or choice.stop != "refusal" or detail is None:
        return choice.parts
    if not detail.explanation:
        return choice.parts
    reason = "the explanation is the refusal's text"
    path = f"choices[0].parts[{len(choice.parts)}]"
    way.losses.default("refusal", path, reason)
    return (*choice.parts, RefusalPart(detail.explanation))


def _native(
    response: Response,
    choice: Choice,
    target: ReplyTarget,
    output: Sequence[Object | Raw],
    status: str,
    reason: str | None,
) -> Object:
    """A native answer: every member that was there, and no other."""
    extras = response.extras or {}
    note = extras.get(ECHO)
    echo = _json.decode_object(bytes(note)) if note is not None else {}
    body: Object = {}
    if response.id is not None:
        body["id"] = response.id
    if response.created is not None:
        body["created_at"] = seconds(response.created)
    model = target.model or response.model
    if model is not None:
        body["model"] = model
    if choice.raw is not None or choice.stop != "other":
        body["status"] = status
    if reason is not None and "status" not in echo:
        body["incomplete_details"] = {"reason": reason}
    if "@output" not in echo:
        body["output"] = output
    if response.usage is not None:
        body["usage"] = write_usage(response.usage, way_to(target, NAME))
    write_tier(response.service_tier, body, way_to(target, NAME))
    for name, value in echo.items():
        if name in ("status", "incomplete_details") and choice.raw is not None:
            body[name] = value
        elif name[:1] != "@":
            body.setdefault(name, value)
    contents.merge(body, extras)
    return body
