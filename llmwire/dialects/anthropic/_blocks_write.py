"""Neutral parts to content blocks: what this dialect can say, said exactly.

Writes parts that fit (`_adapt` and `_reply` make them fit and tell what was lost); a
part that does not gives None. Members that are not modelled stand behind the modelled
ones, and a modelled member that was written wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Raw

from llmwire import _seal
from llmwire._ids import is_minted_call
from llmwire._json import decode_any, decode_object, is_json, level
from llmwire._plain import plain_object
from llmwire._turns import reasoning_text
from llmwire.dialects.anthropic._blocks_read import (
    ORIGIN,
    SEARCH,
    STRING_NOTE,
    search_text,
)
from llmwire.dialects.anthropic._cache import write_cache
from llmwire.dialects.anthropic._wire import NAME
from llmwire.messages import (
    Base64,
    Extras,
    FileId,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Url,
)

Members = dict[str, object]


def add_extras(members: Members, extras: Extras | None, prefix: str = "") -> Members:
    """`members` with those of `extras` at the level `prefix` behind them."""
    if extras and extras is not STRING_NOTE:
        for name, value in level(extras, prefix).items():
            members.setdefault(name, value)
    return members


def string_of(parts: tuple[Part, ...], extras: Extras | None) -> str | None:
    """The text, where the content came as a string and still is one text."""
    if extras is None or "@content" not in extras or len(parts) != 1:
        return None
    part = parts[0]
    if not isinstance(part, TextPart) or part.cache or part.extras or part.citations:
        return None
    return part.text


def write_blocks(parts: Iterable[Part]) -> list[Members | Raw]:
    """The blocks for `parts`; those that cannot be said are left out."""
    blocks = []
    for part in parts:
        block = _WRITE[type(part)](part)
        if block is not None:
            blocks.append(block)
    return blocks


def write_block(part: Part) -> Members | Raw | None:
    """The block for one part, None where there is none."""
    return _WRITE[type(part)](part)


def _write_text(part: TextPart) -> Members:
    if part.extras and SEARCH in part.extras:
        found = _search_result(part, part.extras[SEARCH])
        if found is not None:
            return found
    members: Members = {"type": "text", "text": part.text}
    if part.extras and "@text" in part.extras and not part.text:
        del members["text"]
    if part.citations:
        listed = [c.raw for c in part.citations if c.raw is not None]
        if listed:
            members["citations"] = listed
    if part.cache is not None:
        members["cache_control"] = write_cache(part.cache)
    return add_extras(members, part.extras) if part.extras else members


def _search_result(part: TextPart, note: Raw) -> Members | None:
    """The search result that `part` stands for, unless its text was changed."""
    found = decode_object(bytes(note))
    if search_text(found) != part.text:
        return None
    members: Members = dict(found)
    if part.cache is not None:
        members["cache_control"] = write_cache(part.cache)
    return add_extras(members, part.extras)


def _write_refusal(part: RefusalPart) -> Members:
    return {"type": "text", "text": part.text}


def _write_media(part: MediaPart) -> Members | None:
    source: Members
    if isinstance(part.source, Base64):
        source = {"type": "base64"}
        if part.mime is not None:
            source["media_type"] = part.mime
        source["data"] = part.source.data
    elif isinstance(part.source, Url):
        source = {"type": "url", "url": part.source.url}
    elif isinstance(part.source, FileId):
        source = {"type": "file", "file_id": part.source.id}
    else:
        source = {"type": "text"}
        if part.mime is not None:
            source["media_type"] = part.mime
        source["data"] = part.source.text
    if part.mime is not None and "media_type" not in source:
        source["media_type"] = part.mime
    if part.kind not in ("image", "document"):
        return None
    add_extras(source, part.extras, "source")
    members: Members = {"type": part.kind, "source": source}
    if part.kind == "document":
        if part.name is not None:
            members["title"] = part.name
        context = (part.meta or {}).get("context")
        if context is not None:
            members["context"] = context
    if part.cache is not None:
        members["cache_control"] = write_cache(part.cache)
    return add_extras(members, part.extras)


def _write_reasoning(part: ReasoningPart) -> Members | None:
    value = signature_value(part)
    if part.redacted and value is not None:
        return add_extras({"type": "redacted_thinking", "data": value}, part.extras)
    members: Members = {"type": "thinking", "thinking": reasoning_text(part)}
    if value is not None:
        members["signature"] = value
    elif not (part.extras and ("@signature" in part.extras)):
        members["signature"] = ""
    if part.extras:
        if value is None and "signature" in part.extras:
            members.pop("signature", None)
        if "@thinking" in part.extras and not members["thinking"]:
            del members["thinking"]
        add_extras(members, part.extras)
    return members


def signature_value(part: ReasoningPart) -> str | None:
    """What stands for the signature of a thought: others' are sealed."""
    signature, notes = part.signature, part.extras or {}
    if signature is None:
        if ORIGIN not in notes:
            return None
        origin = decode_any(bytes(notes[ORIGIN]))
        return _seal.seal(Signature(origin=str(origin), value=""))
    if signature.origin == NAME:
        return signature.value
    return _seal.seal(signature, redacted=part.redacted)


def arguments_value(arguments: str) -> Raw:
    """Arguments as the value of `input`: any JSON as it stands, else `{}`."""
    found = plain_object(arguments)
    if found is not None:
        return found
    text = arguments.strip()
    if not text or not is_json(text):
        return _EMPTY
    return Raw(text.encode("utf-8", "replace"))


_EMPTY: Final = Raw(b"{}")


def _write_call(part: ToolCallPart) -> Members:
    members: Members = {
        "type": "tool_use",
        "id": part.call_id,
        "name": part.name,
        "input": arguments_value(part.arguments),
    }
    notes = part.extras
    if notes:
        if "@input" in notes and not part.arguments:
            del members["input"]
        if "@id" in notes and is_minted_call(part.call_id):
            del members["id"]
        if "@name" in notes and not part.name:
            del members["name"]
    if part.cache is not None:
        members["cache_control"] = write_cache(part.cache)
    return add_extras(members, part.extras) if part.extras else members


def _write_result(part: ToolResultPart) -> Members:
    members: Members = {"type": "tool_result", "tool_use_id": part.call_id}
    text = string_of(part.parts, part.extras)
    if text is not None:
        members["content"] = text
    elif part.parts:
        members["content"] = write_blocks(part.parts)
    if part.error:
        members["is_error"] = True
    elif part.extras and "@is_error" in part.extras:
        members["is_error"] = False
    if part.cache is not None:
        members["cache_control"] = write_cache(part.cache)
    return add_extras(members, part.extras) if part.extras else members


def _write_server_call(part: ServerToolCallPart) -> Members:
    notes = part.extras or {}
    kind = decode_any(bytes(notes["@type"])) if "@type" in notes else "server_tool_use"
    members: Members = {"type": kind}
    if part.call_id is not None:
        members["id"] = part.call_id
    members["name"] = part.name
    if "@input" not in notes or bytes(part.payload) != b"{}":
        members["input"] = part.payload
    if part.cache is not None:
        members["cache_control"] = write_cache(part.cache)
    return add_extras(members, part.extras)


def _write_server_result(part: ServerToolResultPart) -> Members:
    notes = part.extras or {}
    members: Members = {"type": part.name}
    if part.call_id is not None:
        members["tool_use_id"] = part.call_id
    if "@content" not in notes or bytes(part.payload) != b"null":
        members["content"] = part.payload
    if part.cache is not None:
        members["cache_control"] = write_cache(part.cache)
    return add_extras(members, part.extras)


def _write_opaque(part: OpaquePart) -> Raw | None:
    return part.raw if part.dialect == NAME else None


_WRITE: Final[dict[type[Any], Callable[[Any], Members | Raw | None]]] = {
    TextPart: _write_text,
    RefusalPart: _write_refusal,
    MediaPart: _write_media,
    ReasoningPart: _write_reasoning,
    ToolCallPart: _write_call,
    ToolResultPart: _write_result,
    ServerToolCallPart: _write_server_call,
    ServerToolResultPart: _write_server_result,
    OpaquePart: _write_opaque,
}
