"""Thinking in Chat messages: plain fields, and the list `reasoning_details`.

OpenRouter's list has one entry per piece, each of a type: `reasoning.text` with a
`signature`, `reasoning.summary`, `reasoning.encrypted` with `data`
(https://openrouter.ai/docs/use-cases/reasoning-tokens). Entries of one `index` are one
thought. State of another dialect rides in entries of our own format, sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from msgspec import Raw, Struct
from msgspec.structs import replace

from llmwire import _seal
from llmwire._json import NULL, decode_any, decode_object, encode, level, nested
from llmwire._turns import carrier, reasoning_text
from llmwire.dialects.openai_chat._notes import (
    DATA,
    FIELD,
    SUMMARIZED,
    noted,
    with_note,
)
from llmwire.dialects.openai_chat._writing import NAME
from llmwire.errors import RemoteProtocolError
from llmwire.messages import Extras, OpaquePart, Part, ReasoningPart, Signature

FORMAT: Final = "llmwire-v1"
"""`format` of the entries that carry another dialect's state."""
FIELDS: Final = ("reasoning_content", "reasoning", "reasoning_text")
"""Plain fields, the preferred one first."""
DETAILS: Final = "reasoning_details"
TEXT: Final = "reasoning.text"
SUMMARY: Final = "reasoning.summary"
ENCRYPTED: Final = "reasoning.encrypted"
_OWN: Final = ("text", "summary", "signature", "data", "id")


class Entry(Struct, frozen=True, kw_only=True):
    """One entry of `reasoning_details`."""

    key: object
    """What tells the thoughts apart: the entry's `index`, else its place."""
    type: str
    text: str | None = None
    summary: str | None = None
    opened: _seal.Opened | None = None
    encrypted: bool = False
    """The state stood in `data`."""
    id: str | None = None
    extras: Extras = {}
    ours: bool = False


def read_entry(raw: Raw, place: int) -> Entry | None:
    """`raw` as an entry; None where it is none of the known types."""
    try:
        members = decode_object(bytes(raw))
    except RemoteProtocolError:
        return None
    texts = {name: _text(members, name) for name in (*_OWN, "type", "format")}
    kind = texts["type"] or ""
    if kind not in (TEXT, SUMMARY, ENCRYPTED):
        return None
    extras = {
        name: value
        for name, value in members.items()
        if name not in _OWN or texts[name] is None
    }
    for name in ("signature", "data"):
        if texts[name] == "":
            extras[name] = members[name]
    value = texts["data"] or texts["signature"]
    opened = _seal.read(value, NAME) if value else None
    if texts["data"] and texts["signature"]:
        extras["signature"] = members["signature"]
    index = decode_any(bytes(members.get("index", NULL)))
    ours = (
        texts["format"] == FORMAT
        and opened is not None
        and opened.signature.origin != NAME
    )
    return Entry(
        key=index if isinstance(index, int) else f"#{place}",
        type=kind,
        text=texts["text"],
        summary=texts["summary"],
        opened=opened,
        encrypted=bool(texts["data"]),
        id=texts["id"],
        extras={} if ours else extras,
        ours=ours,
    )


def _text(members: dict[str, Raw], name: str) -> str | None:
    value = members.get(name)
    if value is None or bytes(value)[:1] != b'"':
        return None
    text: str = decode_any(bytes(value))
    return text


def starting_part(entry: Entry) -> ReasoningPart:
    """The thought that begins with `entry`, without its text and signature."""
    redacted = entry.encrypted and entry.text is None and entry.summary is None
    if entry.ours and entry.opened is not None:
        redacted = entry.opened.redacted
    extras = nested("", entry.extras, None)
    if entry.ours and entry.type == SUMMARY:
        extras = with_note(extras, SUMMARIZED, True)
    return ReasoningPart(id=entry.id, redacted=redacted, extras=extras)


def data_note(entry: Entry, part: ReasoningPart) -> Extras | None:
    """What must be noted where the state of `part` comes in an entry of its own."""
    if not entry.encrypted or noted(part.extras, "type") == ENCRYPTED or entry.ours:
        return None
    members: dict[str, object] = dict(entry.extras)
    if entry.id is not None:
        members["id"] = entry.id
    return {DATA: Raw(encode(members))}


def read_details(details: Sequence[Raw]) -> list[Part]:
    """The thoughts of a whole `reasoning_details`, in order."""
    found: dict[object, Part] = {}
    for place, raw in enumerate(details):
        entry = read_entry(raw, place)
        if entry is None:
            note = {FIELD: Raw(b'"reasoning_details"')}
            kind = _kind(raw)
            found[f"?{place}"] = OpaquePart(
                dialect=NAME, kind=kind, raw=raw, extras=note
            )
            continue
        if entry.opened is not None and entry.opened.placement != "here":
            signature = entry.opened.signature
            found[f"@{place}"] = carrier(signature, entry.opened.placement)
            continue
        known = found.get(entry.key)
        part = known if isinstance(known, ReasoningPart) else starting_part(entry)
        found[entry.key] = _grown(part, entry, fresh=known is None)
    return list(found.values())


def _kind(raw: Raw) -> str:
    try:
        return _text(decode_object(bytes(raw)), "type") or ""
    except RemoteProtocolError:
        return ""


def _grown(part: ReasoningPart, entry: Entry, *, fresh: bool) -> ReasoningPart:
    if entry.text is not None:
        part = replace(part, text=(part.text or "") + entry.text)
    if entry.summary is not None:
        part = replace(part, summary=("".join((*part.summary, entry.summary)),))
    if entry.opened is not None:
        if not fresh:
            note = data_note(entry, part)
            if note is not None:
                part = replace(part, extras={**(part.extras or {}), **note})
        part = replace(part, signature=entry.opened.signature)
    return part


def with_plain(
    parts: list[Part], text: str, field: str
) -> tuple[list[Part], str | None]:
    """Thoughts of the list and the text of a plain field, put together.

    The text repeats that of the list, or belongs to a thought of ours that has none
    there, or is a thought of its own. Returns the thoughts, and `text` if it could not
    be written back from them.
    """
    note = Raw(encode(field))
    thoughts = [p for p in parts if isinstance(p, ReasoningPart)]
    if "".join(map(_own_text, thoughts)) == text:
        return [_noting(p, note) if _own_text(p) else p for p in parts], None
    bare = [p for p in thoughts if _takes_text(p)]
    if len(bare) == 1:
        whole = _rest(text, thoughts, bare[0])
        return [
            _filled(p, whole, note)
            if p is bare[0]
            else (_noting(p, note) if _own_text(p) else p)
            for p in parts
        ], None
    if not any(map(_own_text, thoughts)):
        return [ReasoningPart(text=text, extras={FIELD: note}), *parts], None
    return parts, text


def _own_text(part: Part) -> str:
    if not isinstance(part, ReasoningPart):
        return ""
    return "".join(part.summary) + (part.text or "")


def _takes_text(part: ReasoningPart) -> bool:
    """A thought of ours whose text stood in the plain field only."""
    if part.redacted or _own_text(part) or part.signature is None:
        return False
    if "@placement" in (part.extras or {}):
        return False
    return part.signature.origin != NAME or noted(part.extras, "format") == FORMAT


def _rest(text: str, thoughts: list[ReasoningPart], bare: ReasoningPart) -> str:
    """`text` without what the other thoughts say themselves."""
    at = next(i for i, p in enumerate(thoughts) if p is bare)
    for thought in thoughts[:at]:
        text = text.removeprefix(_own_text(thought)).removeprefix("\n\n")
    for thought in reversed(thoughts[at + 1 :]):
        if _own_text(thought):
            text = text.removesuffix(_own_text(thought)).removesuffix("\n\n")
    return text


def _filled(part: ReasoningPart, text: str, note: Raw) -> ReasoningPart:
    extras = with_note(part.extras, FIELD, note)
    if SUMMARIZED in extras:
        return replace(part, summary=(text,), extras=extras)
    return replace(part, text=text, extras=extras)


def _noting(part: Part, note: Raw) -> Part:
    return replace(part, extras=with_note(part.extras, FIELD, note))


# --- writing -----------------------------------------------------------------------


def is_detail(part: ReasoningPart) -> bool:
    """Whether `part` was read from an entry of the list."""
    return part.extras is not None and "type" in part.extras


def native_entries(part: ReasoningPart) -> list[dict[str, Any]]:
    """The entries that a thought read from the list is written as."""
    entry: dict[str, Any] = dict(level(part.extras))
    kind = noted(part.extras, "type")
    if part.id is not None:
        entry["id"] = part.id
    if part.text is not None:
        entry["text"] = part.text
    if part.summary:
        entry["summary"] = "".join(part.summary)
    entries = [entry]
    if part.signature is not None:
        other = (part.extras or {}).get(DATA)
        if other is not None:
            members: dict[str, Any] = dict(decode_object(bytes(other)))
            entries.append({**members, "data": state_value(part.signature)})
        else:
            name = "data" if kind == ENCRYPTED else "signature"
            redacted = part.redacted
            entry[name] = state_value(part.signature, redacted=redacted)
    return entries


def own_entry(
    part: ReasoningPart, value: str, index: int, text: bool
) -> dict[str, Any]:
    """The entry in which another dialect's thought travels.

    Args:
        part: The thought; its kind decides the entry's type.
        value: Its signature, sealed.
        index: The thought's number.
        text: Say its text here too, for the plain field holds that of others.
    """
    format = (
        {} if part.signature and part.signature.origin == NAME else {"format": FORMAT}
    )
    if part.redacted:
        return {"type": ENCRYPTED, "data": value, **format, "index": index}
    summed = bool(part.summary) or SUMMARIZED in (part.extras or {})
    entry: dict[str, Any] = {"type": SUMMARY if summed else TEXT}
    if text and reasoning_text(part):
        entry["summary" if part.summary else "text"] = reasoning_text(part)
    return {**entry, "signature": value, **format, "index": index}


def state_value(signature: Signature, *, redacted: bool = False) -> str:
    """A signature as its entry says it: its own as it is, another's sealed."""
    if signature.origin == NAME:
        return signature.value
    return _seal.seal(signature, redacted=redacted)


def carrier_entry(value: str, index: int) -> dict[str, Any]:
    """The entry that carries the state of another part."""
    return {"type": ENCRYPTED, "data": value, "format": FORMAT, "index": index}


def plain_texts(parts: Iterable[ReasoningPart]) -> dict[str, str]:
    """Plain field -> text, for thoughts that were read from one."""
    texts: dict[str, str] = {}
    for part in parts:
        field = noted(part.extras, FIELD)
        if field in FIELDS and _own_text(part):
            texts[field] = texts.get(field, "") + _own_text(part)
    return texts


def native_thoughts(parts: Iterable[Part]) -> dict[str, Any]:
    """The members in which thinking that was read from this dialect is written."""
    parts = tuple(parts)
    members: dict[str, Any] = {}
    members |= plain_texts(p for p in parts if isinstance(p, ReasoningPart))
    entries: list[Any] = []
    for number, each in enumerate(parts):
        if isinstance(each, OpaquePart):
            entries.append(each.raw)
            continue
        part = cast(ReasoningPart, each)
        if is_detail(part):
            entries += native_entries(part)
        elif part.signature is not None:
            value = state_value(part.signature, redacted=part.redacted)
            foreign = part.signature.origin != NAME
            entries.append(own_entry(part, value, number, not foreign))
    if entries:
        members[DETAILS] = entries
    return members
