"""Content blocks to neutral parts, for requests, whole answers and streams alike.

Every block type of the vendor has its neutral part; what has none is an `OpaquePart`
that holds the block whole. Notes (`@…` in extras) keep what the neutral part cannot say
and its own dialect must write back: whether a text came as a string, an absent
`signature`, a `type` that is not the usual one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from llmwire import _seal
from llmwire._json import (
    NULL,
    Schema,
    Wire,
    decode_any,
    decode_object,
    encode,
    nested,
    strangers,
)
from llmwire._turns import PLACEMENT, settled_signatures
from llmwire.dialects.anthropic import _wire as w
from llmwire.dialects.anthropic._cache import odd_members, read_cache, write_cache
from llmwire.errors import RemoteProtocolError
from llmwire.messages import (
    Base64,
    Citation,
    Extras,
    FileId,
    MediaKind,
    MediaPart,
    OpaquePart,
    Part,
    PlainText,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    Source,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Url,
)

STRING_NOTE: Final[Extras] = {"@content": Raw(b'"string"')}
"""The content came as a string. Shared: never changed."""
ORIGIN: Final = "@origin"
"""Dialect of a thought without a signature that went through our client."""
SEARCH: Final = "@search_result"
"""The search result that a text part stands for."""

_EMPTY_LIST: Final = Raw(b"[]")
_SUMMARIES: Final = "openai-responses"
"""Dialect whose shown thoughts are summaries, never raw text."""
_source = Schema(w.MediaSource)
_citation = msgspec.json.Decoder(w.CitationWire)


class Reading(Struct, frozen=True):
    """For whom blocks are read."""

    request: bool
    """A client sent them: what is no block is refused."""
    model: str | None = None
    """Model as it was asked for: whose native signatures these are."""
    tag: str | None = None

    def signature(self, value: str) -> _seal.Opened:
        """What signature text stands for: an envelope, or a native signature."""
        opened = _seal.unseal(value)
        if opened is not None:
            return opened
        return _seal.Opened(
            Signature(origin=w.NAME, value=value, model=self.model, tag=self.tag)
        )


REQUEST: Final = Reading(True)


def read_blocks(
    blocks: Sequence[Any], place: str | int, reading: Reading
) -> list[Part]:
    """The parts that `blocks` (wire structs or `Raw`) are, in order.

    Args:
        blocks: As they came.
        place: Where they stand, for errors: a path, or the index of their message.
        reading: For whom.

    Raises:
        RemoteProtocolError: A client's block is no block.
    """
    parts: list[Part] = []
    carriers = False
    for at, block in enumerate(blocks):
        read = _SAFE.get(type(block))
        part = None if read is None else read(block, reading)
        if part is None:
            part = read_block(block, place, at, reading)
            if isinstance(part, ReasoningPart) and PLACEMENT in (part.extras or ()):
                carriers = True
                if part.text or part.summary:
                    parts.append(ReasoningPart(summary=part.summary, text=part.text))
                    part = msgspec.structs.replace(part, summary=(), text=None)
        parts.append(part)
    return list(settled_signatures(parts)) if carriers else parts


def _path(place: str | int, at: int) -> str:
    """JSON path of a block."""
    start = place if isinstance(place, str) else f"$.messages[{place}].content"
    return f"{start}[{at}]"


def read_block(block: Any, place: str | int, at: int, reading: Reading) -> Part:
    """The part that one block is. Arguments and errors as `read_blocks`."""
    kind = type(block)
    read = _READ.get(kind)
    if read is None:
        if kind is Raw:
            return _read_unknown(block, _path(place, at), reading)
        read = _learned(kind)
    try:
        part = read(block, reading)
    except RemoteProtocolError as error:
        what = str(error).partition(" - at `")[0]
        path = f"{_path(place, at)}.{error.path}"
        raise RemoteProtocolError(what, path=path) from None
    if part is None:
        what = f"a {kind.__struct_config__.tag} block lacks what it needs"
        raise RemoteProtocolError(what, path=_path(place, at))
    return part


def _learned(kind: type[Any]) -> Callable[[Any, Reading], Part | None]:
    """For a struct that has taken up strangers: that of the type it is made from."""
    return next(_READ[each] for each in kind.__mro__ if each in _READ)


def read_citation(raw: Raw) -> Citation:
    """One citation; its own words are kept. Never raises."""
    try:
        wire = _citation.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Citation(kind="other", raw=raw)
    if wire.type == "web_search_result_location":
        return Citation(
            kind="url", url=wire.url, title=wire.title, text=wire.cited_text, raw=raw
        )
    known = wire.type.endswith("_location")
    return Citation(
        kind="document" if known else "other",
        title=wire.document_title or wire.title,
        text=wire.cited_text,
        file_id=wire.file_id,
        raw=raw,
    )


def _read_text(block: w.TextBlock, reading: Reading) -> Part | None:
    extras: dict[str, Raw] | None = None
    if block.extras or block.learned:
        extras = odd_members(block)
    text = block.text
    if text is UNSET:
        if reading.request:
            return None
        text, extras = "", {**(extras or {}), "@text": NULL}
    citations: tuple[Citation, ...] = ()
    listed = block.citations
    if listed is UNSET and block.cache_control is UNSET:
        return TextPart(text=text, extras=extras)
    if listed:
        citations = tuple(map(read_citation, listed))
    elif listed is not UNSET:
        value = NULL if listed is None else _EMPTY_LIST
        extras = {**(extras or {}), "citations": value}
    if block.cache_control is UNSET:
        return TextPart(text=text, citations=citations, extras=extras)
    cache, extras = read_cache(block.cache_control, extras)
    return TextPart(text=text, citations=citations, cache=cache, extras=extras)


def _source_of(wire: w.MediaSource, kind: str) -> Source | None:
    """Where the bytes are, None where the source's type has no neutral form."""
    if wire.type == "base64" and wire.data is not UNSET:
        return Base64(wire.data)
    if wire.type == "url" and wire.url is not UNSET:
        return Url(wire.url)
    if wire.type == "file" and wire.file_id is not UNSET:
        return FileId(wire.file_id)
    if wire.type == "text" and wire.data is not UNSET and kind == "document":
        return PlainText(wire.data)
    return None


_SOURCE_MEMBERS: Final = {
    "base64": ("data",),
    "url": ("url",),
    "file": ("file_id",),
    "text": ("data",),
}


def _read_media(
    block: w.ImageBlock | w.DocumentBlock, kind: MediaKind, extras: Extras | None
) -> Part:
    try:
        wire = _source.decode(block.source, "source")
    except RemoteProtocolError:
        return _opaque(kind, block)
    source = _source_of(wire, kind)
    if source is None:
        return _opaque(kind, block)
    odd = dict(strangers(wire))
    used = _SOURCE_MEMBERS[str(wire.type)]
    for name in ("data", "url", "file_id"):
        value = getattr(wire, name)
        if value is not UNSET and name not in used:
            odd[name] = Raw(encode(value))
    if wire.media_type is None:
        odd["media_type"] = NULL
    extras = nested("source", odd, extras)
    cache, extras = read_cache(block.cache_control, extras)
    mime = wire.media_type if isinstance(wire.media_type, str) else None
    meta: Extras | None = None
    name_: str | None = None
    if isinstance(block, w.DocumentBlock):
        name_ = block.title if isinstance(block.title, str) else None
        if isinstance(block.context, str):
            meta = {"context": Raw(encode(block.context))}
    return MediaPart(
        kind=kind,
        mime=mime,
        source=source,
        name=name_,
        meta=meta,
        cache=cache,
        extras=extras,
    )


def _read_image(block: w.ImageBlock, reading: Reading) -> Part:
    return _read_media(block, "image", odd_members(block))


def _read_document(block: w.DocumentBlock, reading: Reading) -> Part:
    odd = dict(odd_members(block) or {})
    for name in ("title", "context"):
        if getattr(block, name) is None:
            odd[name] = NULL
    if block.citations is not UNSET:
        odd["citations"] = block.citations
    return _read_media(block, "document", odd or None)


def search_text(members: dict[str, Raw]) -> str:
    """What a search result says, as text: title, source, contents."""
    pieces = [decode_any(bytes(members["title"])), decode_any(bytes(members["source"]))]
    head = "\n".join(map(str, pieces))
    found = decode_any(bytes(members["content"]))
    texts = [
        item["text"]
        for item in (found if isinstance(found, list) else ())
        if isinstance(item, dict) and isinstance(item.get("text"), str)
    ]
    return "\n\n".join([head, *texts])


def _read_search(block: w.SearchResultBlock, reading: Reading) -> Part:
    members = {
        "type": Raw(b'"search_result"'),
        "source": Raw(encode(block.source)),
        "title": Raw(encode(block.title)),
        "content": block.content,
        **strangers(block),
    }
    if block.citations is not UNSET:
        members["citations"] = block.citations
    cache, extras = read_cache(block.cache_control, None)
    note = {SEARCH: Raw(encode(members)), **(extras or {})}
    return TextPart(text=search_text(members), cache=cache, extras=note)


def _read_thinking(block: w.ThinkingBlock, reading: Reading) -> Part | None:
    extras: dict[str, Raw] | None = odd_members(block)
    if block.thinking is UNSET:
        if reading.request:
            return None
        extras = {**(extras or {}), "@thinking": NULL}
    text = block.thinking or None
    value = block.signature
    if not value:
        if value is UNSET:
            extras = {**(extras or {}), "@signature": NULL}
        elif value is None:
            extras = {**(extras or {}), "signature": NULL}
        return ReasoningPart(text=text, extras=extras)
    opened = reading.signature(str(value))
    signature = opened.signature
    if signature.origin == w.NAME and opened.placement == "here" and signature.value:
        return ReasoningPart(text=text, signature=signature, extras=extras)
    return _carried(opened, text, extras, reading)


def _carried(
    opened: _seal.Opened,
    text: str | None,
    extras: dict[str, Raw] | None,
    reading: Reading,
) -> ReasoningPart:
    """The thought of another dialect that an envelope brought back."""
    signature: Signature | None = opened.signature
    notes = dict(extras or {})
    if opened.placement != "here":
        notes[PLACEMENT] = Raw(encode(opened.placement))
    elif not opened.signature.value:
        notes[ORIGIN] = Raw(encode(opened.signature.origin))
        signature = None
    summary: tuple[str, ...] = ()
    if reading.request and opened.signature.origin == _SUMMARIES and text:
        summary, text = (text,), None
    return ReasoningPart(
        summary=summary,
        text=text,
        redacted=opened.redacted,
        signature=signature,
        extras=notes or None,
    )


def _read_redacted(block: w.RedactedThinkingBlock, reading: Reading) -> Part | None:
    extras: dict[str, Raw] | None = odd_members(block)
    if isinstance(block.data, UnsetType):
        return None if reading.request else _opaque("redacted_thinking", block)
    opened = reading.signature(block.data)
    if opened.signature.origin == w.NAME and opened.placement == "here":
        return ReasoningPart(redacted=True, signature=opened.signature, extras=extras)
    return _carried(opened, None, extras, reading)


def _members(block: Any, extras: dict[str, Raw], *names: str) -> dict[str, Raw] | None:
    """`extras` with the raw members `names` of `block` that are there."""
    for name in names:
        value = getattr(block, name)
        if value is not UNSET:
            extras[name] = value
    return extras or None


def _arguments(value: Raw | UnsetType) -> str:
    return "" if isinstance(value, UnsetType) else bytes(value).decode("utf-8")


def _read_call(block: w.ToolUseBlock, reading: Reading) -> Part | None:
    extras: dict[str, Raw] | None = None
    if block.extras or block.learned:
        extras = odd_members(block)
    if block.id is UNSET or block.name is UNSET:
        if reading.request:
            return None
        absent = {"@id": block.id, "@name": block.name}
        notes = {name: NULL for name, value in absent.items() if value is UNSET}
        extras = {**(extras or {}), **notes}
    if block.caller is not UNSET:
        extras = {"caller": block.caller, **(extras or {})}
    if block.input is UNSET:
        extras = {**(extras or {}), "@input": NULL}
    cache = None
    if block.cache_control is not UNSET:
        cache, extras = read_cache(block.cache_control, extras)
    return ToolCallPart(
        call_id="" if block.id is UNSET else block.id,
        name="" if block.name is UNSET else block.name,
        arguments=_arguments(block.input),
        cache=cache,
        extras=extras,
    )


def _read_result(block: w.ToolResultBlock, reading: Reading) -> Part:
    extras: dict[str, Raw] | None = None
    if block.extras or block.learned:
        extras = odd_members(block)
    content = block.content
    parts: tuple[Part, ...] = ()
    if isinstance(content, str):
        parts = (TextPart(text=content),)
        extras = {**extras, **STRING_NOTE} if extras else STRING_NOTE
    elif isinstance(content, list) and content:
        parts = tuple(read_blocks(content, "content", reading))
    elif content is not UNSET:
        value = NULL if content is None else _EMPTY_LIST
        extras = {**(extras or {}), "content": value}
    if block.is_error is None:
        extras = {**(extras or {}), "is_error": NULL}
    elif block.is_error is False:
        extras = {**(extras or {}), "@is_error": Raw(b"false")}
    cache = None
    if block.cache_control is not UNSET:
        cache, extras = read_cache(block.cache_control, extras)
    return ToolResultPart(
        call_id=block.tool_use_id,
        parts=parts,
        error=block.is_error is True,
        cache=cache,
        extras=extras,
    )


def _read_server_call(block: w.ServerToolUseBlock, reading: Reading) -> Part | None:
    if block.name is UNSET:
        return None
    tag = block.__struct_config__.tag
    extras: dict[str, Raw] = {}
    if tag != "server_tool_use":
        extras["@type"] = Raw(encode(tag))
    if isinstance(block, w.MCPToolUseBlock):
        _members(block, extras, "server_name")
    _members(block, extras, "caller")
    extras.update(odd_members(block) or {})
    if block.input is UNSET:
        extras["@input"] = NULL
    cache, found = read_cache(block.cache_control, extras or None)
    return ServerToolCallPart(
        name=block.name,
        call_id=None if block.id is UNSET else block.id,
        payload=Raw(b"{}") if isinstance(block.input, UnsetType) else block.input,
        cache=cache,
        extras=found,
    )


def _read_server_result(block: w.ServerResultBlock, reading: Reading) -> Part:
    tag = str(block.__struct_config__.tag)
    extras: dict[str, Raw] = {}
    if isinstance(block, w.MCPResultBlock):
        _members(block, extras, "is_error")
    _members(block, extras, "caller")
    extras.update(odd_members(block) or {})
    if isinstance(block.content, UnsetType):
        extras["@content"] = NULL
    cache, found = read_cache(block.cache_control, extras or None)
    return ServerToolResultPart(
        name=tag,
        call_id=None if block.tool_use_id is UNSET else block.tool_use_id,
        payload=Raw(b"null") if isinstance(block.content, UnsetType) else block.content,
        cache=cache,
        extras=found,
    )


def _opaque(kind: str, block: Wire) -> OpaquePart:
    """A known block with a content that has no neutral form, whole."""
    members = {"type": kind, **msgspec.structs.asdict(block), **strangers(block)}
    for attribute, _ in block.learned:
        del members[attribute]
    present = {name: value for name, value in members.items() if value is not UNSET}
    cache, _ = read_cache(present.get("cache_control", UNSET), None)
    if cache is not None:
        present["cache_control"] = write_cache(cache)
    return OpaquePart(dialect=w.NAME, kind=kind, raw=Raw(encode(present)))


def _read_unknown(raw: Raw, place: str, reading: Reading) -> Part:
    """A block of a type that is not named here: an object, but of what type."""
    members = decode_object(bytes(raw), place)
    word = decode_any(bytes(members["type"]), place) if "type" in members else None
    if not isinstance(word, str):
        if reading.request:
            what = "a block needs a `type` that is a string"
            raise RemoteProtocolError(what, path=place)
        return OpaquePart(dialect=w.NAME, kind="", raw=raw)
    if word.endswith("_tool_result") and "content" in members:
        return _read_new_result(word, members)
    return OpaquePart(dialect=w.NAME, kind=word, raw=raw)


def _read_new_result(word: str, members: dict[str, Raw]) -> Part:
    """The result of a server's tool that is not named here."""
    members.pop("type")
    payload = members.pop("content")
    call_id = decode_any(bytes(members.get("tool_use_id", NULL)))
    if isinstance(call_id, str):
        members.pop("tool_use_id")
    return ServerToolResultPart(
        name=word,
        call_id=call_id if isinstance(call_id, str) else None,
        payload=payload,
        extras=nested("", members, None),
    )


_READ: Final[dict[type[Any], Callable[[Any, Reading], Part | None]]] = {
    w.TextBlock: _read_text,
    w.ImageBlock: _read_image,
    w.DocumentBlock: _read_document,
    w.SearchResultBlock: _read_search,
    w.ThinkingBlock: _read_thinking,
    w.RedactedThinkingBlock: _read_redacted,
    w.ToolUseBlock: _read_call,
    w.ToolResultBlock: _read_result,
    w.ServerToolUseBlock: _read_server_call,
    w.MCPToolUseBlock: _read_server_call,
    w.ServerResultBlock: _read_server_result,
    w.WebFetchResultBlock: _read_server_result,
    w.CodeResultBlock: _read_server_result,
    w.BashResultBlock: _read_server_result,
    w.EditorResultBlock: _read_server_result,
    w.ToolSearchResultBlock: _read_server_result,
    w.AdvisorResultBlock: _read_server_result,
    w.MCPResultBlock: _read_server_result,
}
_SAFE: Final[dict[type[Any], Callable[[Any, Reading], Part | None]]] = {
    w.TextBlock: _read_text,
    w.ToolUseBlock: _read_call,
}
"""Blocks whose reading never raises and gives no carrier."""
