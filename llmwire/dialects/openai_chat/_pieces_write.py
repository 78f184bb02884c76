"""Calls, citations and sound, as an assistant's message holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from msgspec import Raw

from llmwire import _seal
from llmwire._ids import is_minted_call
from llmwire._json import encode, level
from llmwire._plain import is_bare_call
from llmwire._turns import Placed
from llmwire.dialects.openai_chat._notes import ARGUMENTS, INDEX, absent, said
from llmwire.dialects.openai_chat._writing import NAME, Writing
from llmwire.messages import (
    Base64,
    Citation,
    FileId,
    MediaPart,
    OpaquePart,
    ToolCallPart,
)

Members: TypeAlias = dict[str, Any]


def write_citation(
    citation: Citation, offset: int, size: int, to: Writing, place: str
) -> Any:
    """One of `annotations`; None where the dialect cannot cite that."""
    if to.native and citation.raw is not None:
        return citation.raw
    if citation.kind != "url" or citation.url is None:
        to.losses.drop("citations", place, "only web pages are cited")
        return None
    whole = citation.start is None or citation.end is None
    if whole or offset or citation.title is None or citation.text is not None:
        reason = "citations have a place in the whole text and a title"
        to.losses.approximate("citations", place, reason)
    start = citation.start if citation.start is not None else 0
    end = citation.end if citation.end is not None else size
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": offset + start,
            "end_index": offset + end,
            "url": citation.url,
            "title": citation.title if citation.title is not None else "",
        },
    }


def write_audio(part: MediaPart, path: str, to: Writing) -> Members:
    """`audio` of a message: whole, or a reference."""
    inner: Members = {}
    if to.native:
        inner |= level(part.extras, "audio")
    if isinstance(part.source, FileId):
        return {**inner, "id": part.source.id}
    meta: Members = dict(part.meta or {})
    if not to.native:
        for name in ("expires_at", "transcript"):
            if name not in meta:
                meta[name] = 0 if name == "expires_at" else ""
        to.losses.drop_extras(part.extras, path)
        if part.mime is not None:
            reason = "audio has the format asked for"
            to.losses.drop("media.meta", f"{path}.mime", reason)
    data = part.source.data if isinstance(part.source, Base64) else ""
    return {
        **inner,
        "id": "audio" if part.id is None else part.id,
        "data": data,
        **meta,
    }


def write_bare_call(
    part: ToolCallPart, names: Mapping[str, str] | None = None
) -> Members:
    """`write_call` of the call of a function that holds nothing else."""
    name = names.get(part.name, part.name) if names else part.name
    function = {"name": name, "arguments": part.arguments}
    return {"id": part.call_id, "type": "function", "function": function}


def write_call(
    placed: Placed, to: Writing, names: Mapping[str, str] | None = None
) -> Any:
    """One entry of `tool_calls`."""
    part = placed.part
    if not isinstance(part, ToolCallPart):
        return part.raw if isinstance(part, OpaquePart) else {}
    if is_bare_call(part) and (to.native or part.arguments.strip()):
        return write_bare_call(part, names)
    extras = part.extras
    quiet: Mapping[str, Raw] = said(extras) if to.native else {}
    missing = absent(extras) if to.native else frozenset()
    name = (names or {}).get(part.name, part.name)
    call: Members = {}
    if ("id" not in missing and "id" not in quiet) or not is_minted_call(part.call_id):
        call["id"] = part.call_id
    kind = part.kind
    arguments: Any = part.arguments
    if kind == "custom" and not (to.exact or to.profile.custom_tools):
        kind, arguments = "function", encode({"input": arguments}).decode()
        to.losses.emulate("tool.custom", placed.path, "called as a function")
    if "type" not in missing:
        call["type"] = quiet.get("type", kind)
    if kind == "custom":
        call["custom"] = _written_name(
            {"name": name, "input": arguments}, "custom/", quiet, missing
        )
    else:
        if not to.native and not part.arguments.strip():
            arguments = "{}"
        unchanged = (extras or {}).get(ARGUMENTS)
        if unchanged is not None and to.native:
            arguments = unchanged
        call["function"] = _written_name(
            {"name": name, "arguments": arguments}, "function/", quiet, missing
        )
    _finish_call(call, part, to, placed.path)
    for key, value in quiet.items():
        if "/" not in key:
            call.setdefault(key, value)
    return call


def _written_name(
    members: Members, prefix: str, quiet: Mapping[str, Raw], missing: frozenset[str]
) -> Members:
    """`members` less those that were not there and say nothing now."""
    return {
        key: quiet.get(prefix + key, value) if value == "" else value
        for key, value in members.items()
        if value != "" or prefix + key not in missing
    }


def _finish_call(call: Members, part: ToolCallPart, to: Writing, path: str) -> None:
    """Strangers and the signature of a call."""
    extras = part.extras
    if extras:
        call.update(to.strangers(extras, path))
        for member in ("function", "custom"):
            if member in call and isinstance(call[member], dict):
                for key, value in to.strangers(extras, path, member).items():
                    call[member].setdefault(key, value)
        if to.native and INDEX in extras:
            call["index"] = extras[INDEX]
    signature = part.signature
    if signature is None or "extra_content" in call:
        return
    native = signature.origin == NAME
    if to.request and not _seal.fits(signature, NAME, to.model, to.tag):
        place = f"{path}.signature"
        to.losses.drop("reasoning.signature", place, "made by another server")
        return
    sealed = signature.value if native else _seal.seal(signature)
    call["extra_content"] = {"google": {"thought_signature": sealed}}
