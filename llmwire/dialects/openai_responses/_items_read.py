"""Items and their parts, from the wire into the neutral conversation.

Shared by requests, whole bodies and streams. A member that the writer would not give
back from the node is kept: content in extras, spelling in the note `@form`. A client's
garbage raises; what a server sends in a known item's place but misshapen becomes an
opaque part, which is the caller's choice (`lenient`).
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from llmwire import _json, _seal
from llmwire._json import NULL, Schema, Wire
from llmwire._parts import whole_arguments
from llmwire._turns import PLACEMENT
from llmwire.dialects.openai_responses import _names, _wire
from llmwire.dialects.openai_responses._content_read import (
    FAILURES,
    given,
    read_content,
    strange_in,
    type_of,
)
from llmwire.dialects.openai_responses._names import NAME
from llmwire.messages import (
    Extras,
    OpaquePart,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

_EASY: Final = Schema(_wire.EasyMessage, tolerant=True)
_ITEMS: Final = _names.by_tag(_wire.ItemWire)
_DECODE: Final = _json.decoder(_wire.ItemWire).decode
_DECODE_EASY: Final = _json.decoder(_wire.EasyMessage).decode
_WORDS: Final = {"completed": False, "incomplete": True}
"""Status -> whether the part is incomplete."""


def read_item(
    raw: Raw, at: int | None, *, easy: bool = False
) -> Wire | _wire.ServerItem:
    """An item as its wire struct; hosted and unknown ones as far as they are alike.

    Args:
        raw: The item.
        at: Its place in `input`, None in an answer.
        easy: It may well be a message without its type; a wrong guess costs time.

    Raises:
        RemoteProtocolError: It is no item: names the place.
    """
    try:
        wire: Wire = _DECODE_EASY(raw) if easy else _DECODE(raw)
        return wire
    except FAILURES:
        pass
    path = "$" if at is None else f"$.input[{at}]"
    kind = type_of(raw, path)
    if kind is None:
        return _EASY.decode(raw, path)
    schema = _ITEMS.get(kind)
    return _server_item(raw, kind) if schema is None else schema.decode(raw, path)


def _server_item(raw: Raw, kind: str) -> _wire.ServerItem:
    try:
        item: _wire.ServerItem = _json.decoder(_wire.ServerItem).decode(raw)
        return item
    except FAILURES:
        return _wire.ServerItem(kind)


def _status(
    status: str | UnsetType | None,
    extras: Extras,
    form: list[str],
    *,
    present: bool,
    prefix: str = "",
) -> bool:
    """Whether the status says incomplete; other words go to `extras`."""
    if status is UNSET:
        if present:
            form.append(prefix + "status")
        return False
    if isinstance(status, str) and status not in _WORDS:
        extras[prefix + "status"] = Raw(_json.encode(status))
    elif status is not None and not present:
        form.append(prefix + "status")
    return status == "incomplete"


# --- messages -----------------------------------------------------------------------


def read_message(
    item: _wire.Message | _wire.EasyMessage,
    path: str,
    group: int,
    *,
    answer: bool,
) -> tuple[Part, ...]:
    """The parts of an assistant's message; none where it says nothing.

    In requests a part that is a message of its own needs no group.
    """
    extras = strange_in(item, ("id", "status", "phase"))
    extras = {f"item/{name}": value for name, value in extras.items()}
    form: list[str] = []
    incomplete = _status(item.status, extras, form, present=answer, prefix="item/")
    if isinstance(item, _wire.EasyMessage):
        form.append("item/type")
    identity: dict[str, Any] = {"incomplete": incomplete}
    if isinstance(item.id, str):
        identity["id"] = item.id
    phase = given(item.phase)
    content = item.content
    if isinstance(content, str):
        if answer:
            form.append("item/content")
            identity["group"] = group
        noted = _names.with_form(extras, form)
        return (TextPart(content, phase=phase, extras=noted, **identity),)
    if answer or len(content) > 1:
        identity["group"] = group
    else:
        form.append("item/content")
    parts = [
        read_content(raw, "assistant", f"{path}.content[{at}]", answer, phase, identity)
        for at, raw in enumerate(content)
    ]
    if parts and (extras or form):
        parts[0] = _with_item(parts[0], extras, form)
    return tuple(parts)


def _with_item(part: Part, extras: Extras, form: list[str]) -> Part:
    """`part` with what is said of its item."""
    merged = {**(part.extras or {}), **extras}
    names = [*_names.form(part.extras), *form]
    return replace(part, extras=_names.with_form(merged, names))


# --- the other items ----------------------------------------------------------------


def read_thought(
    item: _wire.Thought, *, answer: bool, group: int | None, source: Any = None
) -> ReasoningPart:
    """A reasoning item."""
    if not answer and _is_bare(item):
        sealed = Signature(origin=NAME, value=str(item.encrypted_content))
        return ReasoningPart(id=given(item.id), group=group, signature=sealed)
    extras = strange_in(
        item, ("summary", "content", "encrypted_content", "id", "status")
    )
    if item.format is not UNSET:
        extras["format"] = item.format
    form: list[str] = []
    incomplete = _status(item.status, extras, form, present=False)
    summary: tuple[str, ...] = ()
    if item.summary is UNSET:
        form.append("summary")
    elif item.summary:
        summary, exact = read_segments(item.summary, "summary_text")
        if not exact:
            extras["summary"] = Raw(_json.encode(item.summary))
    text: str | None = None
    if item.content:
        texts, exact = read_segments(item.content, "reasoning_text")
        text = "".join(texts)
        if not exact or len(texts) != 1:
            extras["content"] = Raw(_json.encode(item.content))
    elif isinstance(item.content, list):
        form.append("content")
    signature, redacted = None, False
    if isinstance(item.encrypted_content, str):
        opened = _seal.read(item.encrypted_content, NAME)
        signature, redacted = opened.signature, opened.redacted
        if source is not None and signature.origin == NAME:
            signature = own_signature(item.encrypted_content, source)
        if opened.placement != "here":
            extras[PLACEMENT] = Raw(f'"{opened.placement}"'.encode())
    return ReasoningPart(
        id=given(item.id),
        group=group,
        summary=summary,
        text=text,
        signature=signature,
        redacted=redacted,
        incomplete=incomplete,
        extras=_names.with_form(extras, form),
    )


def _is_bare(item: _wire.Thought) -> bool:
    """Whether it is as agents replay it: an id, our own encrypted state, no more."""
    sealed = item.encrypted_content
    return (
        item.summary == []
        and isinstance(sealed, str)
        and not sealed.startswith(_seal.PREFIX)
        and not item.extras
        and item.id is not None
        and item.status is UNSET
        and item.content is UNSET
        and item.format is UNSET
    )


def own_signature(value: str, source: Any) -> Signature:
    """Encrypted content as a server sent it, marked with who was asked."""
    opened = _seal.unseal(value)
    if opened is not None:
        return opened.signature
    return Signature(origin=NAME, value=value, model=source.model, tag=source.tag)


def read_segments(raws: list[Raw], kind: str) -> tuple[tuple[str, ...], bool]:
    """The texts, and whether they say all there is."""
    texts: list[str] = []
    exact = True
    for raw in raws:
        try:
            wire: _wire.SegmentWire = _json.decoder(_wire.SegmentWire).decode(raw)
        except FAILURES:
            exact = False
            continue
        exact = exact and wire.type == kind
        texts.append(wire.text)
    return tuple(texts), exact


def read_call(
    item: _wire.FunctionCall | _wire.CustomCall, *, answer: bool, group: int | None
) -> ToolCallPart:
    """A call that the client runs; its id is empty where there is none."""
    extras = _names.strangers(item) if item.extras else {}
    if item.id is None:
        extras["id"] = NULL
    if item.status is None:
        extras["status"] = NULL
    if item.namespace is not UNSET:
        extras["namespace"] = item.namespace
    if item.caller is not UNSET:
        extras["caller"] = item.caller
    form: list[str] = []
    call_id = item.call_id
    if not isinstance(call_id, str) or not call_id:
        if call_id is UNSET:
            form.append("call_id")
        else:
            extras["call_id"] = Raw(_json.encode(call_id))
        call_id = ""
    custom = isinstance(item, _wire.CustomCall)
    text = item.input if isinstance(item, _wire.CustomCall) else item.arguments
    incomplete = _status(item.status, extras, form, present=answer)
    if answer and not custom:
        incomplete = _settle(item.status, text, extras, form)
    return ToolCallPart(
        id=given(item.id),
        group=group,
        call_id=call_id,
        name=item.name,
        arguments=text,
        kind="custom" if custom else "function",
        incomplete=incomplete,
        extras=_names.with_form(extras, form),
    )


def _settle(
    status: str | UnsetType | None, text: str, extras: Extras, form: list[str]
) -> bool:
    """The arguments decide whether a call is complete; another word is kept."""
    incomplete = not whole_arguments(text)
    if status in _WORDS and _WORDS[str(status)] is not incomplete:
        extras["status"] = Raw(_json.encode(status))
    return incomplete


def read_output(
    item: _wire.FunctionOutput | _wire.CustomOutput, at: int
) -> ToolResultPart:
    """What a call gave; it stands at `at` in `input`."""
    output = item.output
    extras = strange_in(item, ("id", "status", "name"))
    form: list[str] = []
    incomplete = _status(item.status, extras, form, present=False)
    parts: tuple[Part, ...]
    if isinstance(output, str):
        parts = (TextPart(output),)
    else:
        parts = tuple(
            read_content(raw, "user", f"$.input[{at}].output[{index}]")
            for index, raw in enumerate(output)
        )
        if not parts or is_plain(parts):
            form.append("output")
    return ToolResultPart(
        id=given(item.id),
        call_id=item.call_id,
        name=given(item.name),
        parts=parts,
        kind="custom" if isinstance(item, _wire.CustomOutput) else "function",
        incomplete=incomplete,
        extras=_names.with_form(extras, form),
    )


def is_plain(parts: tuple[Part, ...]) -> bool:
    """Whether `parts` are one text and nothing else: a string says it."""
    return len(parts) == 1 and parts[0] == TextPart(getattr(parts[0], "text", ""))


def read_server_item(
    item: _wire.ServerItem, raw: Raw, group: int | None
) -> ServerToolCallPart | ServerToolResultPart | OpaquePart:
    """A hosted item, kept whole; or one that the protocol does not know."""
    id = given(item.id)
    if item.type in _names.SERVER_RESULTS:
        return ServerToolResultPart(
            id=id,
            group=group,
            name=item.type,
            call_id=given(item.call_id) or id,
            payload=raw,
            status=given(item.status),
            incomplete=item.status == "incomplete",
        )
    if _names.is_server_call(item.type):
        return ServerToolCallPart(
            id=id,
            group=group,
            name=item.type,
            call_id=given(item.call_id) or id,
            payload=raw,
            status=given(item.status),
            incomplete=item.status == "incomplete",
        )
    return OpaquePart(id=id, group=group, dialect=NAME, kind=item.type, raw=raw)
