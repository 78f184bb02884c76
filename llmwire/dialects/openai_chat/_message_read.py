"""An assistant's message to parts, in requests and answers alike.

The order of the parts is fixed, for the wire has none: thinking, content, refusal,
audio, calls. What the parts do not say and the wire did is kept for the message:
strangers under their names, spellings as notes (`_notes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec import UNSET, MsgspecError, Raw, UnsetType
from msgspec.json import Decoder
from msgspec.structs import replace

from llmwire import _seal
from llmwire._json import (
    NULL,
    decode_any,
    decode_as,
    decode_object,
    encode,
    nested,
    strangers,
)
from llmwire._parts import whole_arguments
from llmwire.dialects.openai_chat._content_read import plain_wire, read_element
from llmwire.dialects.openai_chat._notes import (
    ARGUMENTS,
    CONTENT,
    FIELD,
    INDEX,
    LEGACY,
    THOUGHTS,
    Kept,
)
from llmwire.dialects.openai_chat._reasoning import (
    DETAILS,
    FIELDS,
    native_thoughts,
    read_details,
    with_plain,
)
from llmwire.dialects.openai_chat._wire import (
    CalledFunction,
    Content,
    Element,
    Spoken,
    TextElement,
    ToolCall,
)
from llmwire.dialects.openai_chat._writing import NAME
from llmwire.messages import (
    Base64,
    Citation,
    Extras,
    FileId,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Signature,
    TextPart,
    ToolCallPart,
)

Mint = Callable[[], str]
"""Gives the id of the next call that has none."""
_TEXT: Final = Decoder(str)


def read_spoken(
    wire: Spoken, path: str, mint: Mint, kept: Kept, *, answer: bool
) -> tuple[Part, ...]:
    """The parts of an assistant's message; `kept` learns the rest.

    Raises:
        RemoteProtocolError: A content element is not what its type demands.
    """
    parts = read_thoughts(wire, kept)
    content = wire.content
    if type(content) is str and content:
        parts.append(TextPart(content))
    else:
        parts += read_content(content, path, kept, answer=True)
    refusal = wire.refusal
    if isinstance(refusal, str) and refusal:
        parts.append(RefusalPart(refusal))
    elif refusal is not UNSET and not (answer and refusal is None):
        kept.empty("refusal", refusal)
    if wire.audio is not UNSET:
        audio = _read_audio(wire.audio, answer)
        if audio is not None:
            parts.append(audio)
        elif not kept.empty("audio", decode_any(bytes(wire.audio))):
            kept.extras["audio"] = wire.audio
    calls = wire.tool_calls
    if calls:
        read = [read_call(call, mint) for call in calls]
        parts += map(_settled, read) if answer else read
    elif not isinstance(calls, UnsetType):
        kept.empty("tool_calls", calls)
    if wire.function_call is None:
        kept.empty("function_call", None)
    elif not isinstance(wire.function_call, UnsetType):
        legacy = _read_legacy(wire.function_call, mint)
        parts.append(_settled(legacy) if answer else legacy)
    if wire.annotations is not UNSET:
        _read_annotations(wire.annotations, parts, kept)
    if wire.name is not UNSET and not kept.empty("name", wire.name):
        kept.extras["name"] = Raw(encode(wire.name))
    if not isinstance(wire.prefix, UnsetType):
        kept.extras["prefix"] = wire.prefix
    if (content is None and is_silent(parts)) or (
        content == "" and not is_silent(parts)
    ):
        del kept.said["content"]  # as it would be written anyway
    return tuple(parts)


def is_silent(parts: Iterable[Part]) -> bool:
    """Whether the content of a message of `parts` is null unless said otherwise."""
    return any(
        isinstance(part, ToolCallPart | RefusalPart)
        or (isinstance(part, MediaPart) and part.kind == "audio")
        for part in parts
    )


def read_content(
    content: Content, path: str, kept: Kept, *, answer: bool = False
) -> list[Part]:
    """The parts of `content`: a text, an array of elements, or nothing.

    Args:
        content: As it came.
        path: JSON path of the message.
        kept: Learns what was no part.
        answer: Of an assistant: an empty text is nothing there.
    """
    if isinstance(content, str):
        if content or not answer:
            return [TextPart(content)]
        kept.empty("content", content)
        return []
    if content is None or content == []:
        kept.empty("content", content)
        return []
    if isinstance(content, UnsetType):
        kept.absent.append("content")
        return []
    parts = plain_texts(content) or [
        read_element(element, f"{path}.content[{at}]")
        for at, element in enumerate(content)
    ]
    # Where a string would be written for them: for one text, and in answers for many.
    plain = answer or len(parts) == 1
    if plain and all(part == TextPart(getattr(part, "text", "")) for part in parts):
        kept.extras[CONTENT] = Raw(b'"parts"')
    return parts


def plain_texts(elements: Iterable[Element]) -> list[Part]:
    """The parts of elements that are nothing but texts; none if one is not."""
    parts: list[Part] = []
    for element in elements:
        if type(element) is not TextElement or element.extras:
            return []
        if not element.cache_control is element.prompt_cache_breakpoint is UNSET:
            return []
        parts.append(TextPart(element.text))
    return parts


# --- thinking ----------------------------------------------------------------------


def read_thoughts(wire: Spoken, kept: Kept) -> list[Part]:
    """The thinking that `wire` holds beside its content."""
    details = wire.reasoning_details
    if (
        wire.reasoning_content is UNSET
        and wire.reasoning is UNSET
        and wire.reasoning_text is UNSET
        and details is UNSET
    ):
        return []
    plain = {
        name: getattr(wire, name)
        for name in FIELDS
        if not isinstance(getattr(wire, name), UnsetType)
    }
    members: dict[str, Raw] = {}
    if details is UNSET and len(plain) == 1:
        [(name, text)] = plain.items()
        if text:
            return [ReasoningPart(text=text, extras={FIELD: Raw(encode(name))})]
    for name, text in plain.items():
        if not kept.empty(name, text):
            members[name] = Raw(encode(text))
    if details:
        members[DETAILS] = Raw(encode(details))
    elif not isinstance(details, UnsetType):
        kept.empty(DETAILS, details)
    parts, exact = thoughts_of(members)
    if not exact:
        kept.extras[THOUGHTS] = Raw(encode(members))
    return parts


def thoughts_of(members: dict[str, Raw]) -> tuple[list[Part], bool]:
    """The thoughts of non-empty members, and whether they say all of them."""
    details = members.get(DETAILS)
    parts = read_details(decode_list(details)) if details is not None else []
    plain = [name for name in FIELDS if name in members]
    if plain:
        text = decode_any(bytes(members[plain[0]]))
        parts, _ = with_plain(parts, text, plain[0])
    if details is None and len(plain) < 2:
        return parts, True
    written = decode_any(encode(native_thoughts(parts)))
    return parts, written == decode_any(encode(members))


def decode_list(raw: Raw) -> list[Raw]:
    """The items of an array."""
    items: list[Raw] = decode_as(list[Raw], bytes(raw))
    return items


# --- the usual, fast ---------------------------------------------------------------


def simple_parts(wire: Spoken) -> tuple[Part, ...] | None:
    """A text, calls of functions, or both; None for all other messages.

    Args:
        wire: As it came, without strangers.
    """
    content, calls = wire.content, wire.tool_calls
    unset = (
        wire.refusal is wire.reasoning_content is wire.reasoning is UNSET
        and wire.reasoning_details is wire.reasoning_text is wire.annotations is UNSET
        and wire.audio is wire.function_call is wire.name is wire.prefix is UNSET
    )
    if not unset:
        return None
    parts: list[Part] = []
    if type(content) is str and content:
        if calls is UNSET:
            return (TextPart(content),)
        parts.append(TextPart(content))
    elif content is not None:
        return None
    if not calls or not _add_simple_calls(calls, parts):
        return None
    return tuple(parts)


def _add_simple_calls(calls: Sequence[ToolCall], parts: list[Part]) -> bool:
    """Calls of functions that need no notes, added to `parts`; whether all are such."""
    for call in calls:
        function, call_id = call.function, call.id
        if not function or not call_id or call.type != "function" or call.extras:
            return False
        name, raw = function.name, function.arguments
        if not name or raw is UNSET or function.extras:
            return False
        if not call.index is call.custom is call.extra_content is UNSET:
            return False
        try:
            arguments = _TEXT.decode(raw)
        except (MsgspecError, UnicodeError):
            return False
        parts.append(ToolCallPart(call_id=call_id, name=name, arguments=arguments))
    return True


# --- calls -------------------------------------------------------------------------


def _settled(part: Part) -> Part:
    """A call of an answer: incomplete where its arguments are no JSON value."""
    if not isinstance(part, ToolCallPart) or part.kind != "function":
        return part
    whole = whole_arguments(part.arguments)
    return part if whole else replace(part, incomplete=True)


def read_call(wire: ToolCall, mint: Mint) -> Part:
    """One entry of `tool_calls`."""
    simple: list[Part] = []
    if _add_simple_calls((wire,), simple):
        return simple[0]
    kept = Kept(strangers(wire))
    if not isinstance(wire.index, UnsetType):
        kept.extras[INDEX] = wire.index
    kind = wire.type
    if isinstance(kind, UnsetType):
        kept.absent.append("type")
    elif kind not in ("function", "custom") and not kept.empty("type", kind):
        kept.extras["type"] = Raw(encode(kind))
    call_id = wire.id
    if isinstance(call_id, UnsetType):
        kept.absent.append("id")
    else:
        kept.empty("id", call_id)
    signature = _read_signature(wire, kept)
    custom, function = wire.custom, wire.function
    if custom and function and kind != "custom":
        # A server that fills in every member: the type decides.
        kept.extras["custom"], custom = Raw(encode(plain_wire(custom))), None
    elif custom is None:
        kept.said["custom"] = NULL
    if custom:
        kept.extras = nested("custom", strangers(custom), kept.extras) or {}
        name, arguments = custom.name, custom.input
        for member, value in (("custom/name", name), ("custom/input", arguments)):
            _note_text(kept, member, value)
        text = arguments or ""
    elif function:
        name = function.name
        text = _read_function(function, kept, "function/")
    else:
        return OpaquePart(
            dialect=NAME,
            kind=kind or "",
            raw=Raw(encode(plain_wire(wire))),
            extras={FIELD: Raw(b'"tool_calls"')},
        )
    if custom and function is not UNSET:
        kept.extras["function"] = Raw(encode(function and plain_wire(function)))
    return ToolCallPart(
        call_id=call_id or mint(),
        name=name or "",
        arguments=text,
        kind="custom" if custom else "function",
        signature=signature,
        extras=kept.done(),
    )


def _read_function(function: CalledFunction, kept: Kept, prefix: str) -> str:
    """The arguments; `kept` learns what else the function holds."""
    found = strangers(function)
    if found:
        kept.extras = nested(prefix[:-1], found, kept.extras) or {}
    _note_text(kept, prefix + "name", function.name)
    raw = function.arguments
    if isinstance(raw, UnsetType):
        kept.absent.append(prefix + "arguments")
        return ""
    octets = bytes(raw)
    if octets[:1] == b'"':
        text: str = decode_as(str, octets)
        return text
    if bytes(raw) == b"null":
        kept.said[prefix + "arguments"] = NULL
        return ""
    kept.extras[ARGUMENTS] = raw
    return bytes(raw).decode("utf-8", "replace")


def _note_text(kept: Kept, name: str, value: str | UnsetType | None) -> None:
    if isinstance(value, UnsetType):
        kept.absent.append(name)
    elif value is None:
        kept.said[name] = NULL


def _read_signature(wire: ToolCall, kept: Kept) -> Signature | None:
    """Google's own convention: `extra_content.google.thought_signature`."""
    if isinstance(wire.extra_content, UnsetType):
        return None
    text, alone = google_signature(wire.extra_content)
    if not text or not alone:
        kept.extras["extra_content"] = wire.extra_content
    return _seal.read(text, NAME).signature if text else None


def google_signature(extra_content: Raw) -> tuple[str, bool]:
    """The signature in `extra_content`, "" for none, and whether it stands alone."""
    value = decode_any(bytes(extra_content))
    if not isinstance(value, dict) or not isinstance(value.get("google"), dict):
        return "", False
    text = value["google"].get("thought_signature")
    alone = len(value) == 1 and len(value["google"]) == 1
    return (text, alone) if isinstance(text, str) else ("", False)


def _read_legacy(function: CalledFunction, mint: Mint) -> Part:
    kept = Kept()
    kept.extras[LEGACY] = Raw(b"true")
    text = _read_function(function, kept, "function/")
    return ToolCallPart(
        call_id=mint(), name=function.name or "", arguments=text, extras=kept.done()
    )


# --- audio and annotations ---------------------------------------------------------


def _read_audio(raw: Raw, answer: bool) -> MediaPart | None:
    """`audio` of a message: whole in answers, a reference in requests."""
    value = decode_any(bytes(raw))
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        return None
    if not answer:
        extras = {k: Raw(encode(v)) for k, v in value.items() if k != "id"}
        source = FileId(value["id"])
        return MediaPart(
            kind="audio", source=source, extras=nested("audio", extras, None)
        )
    if not isinstance(value.get("data"), str):
        return None
    members = decode_object(bytes(raw))
    meta: Extras = {
        name: members.pop(name)
        for name in ("expires_at", "transcript")
        if name in members
    }
    del members["id"], members["data"]
    return MediaPart(
        kind="audio",
        id=value["id"],
        source=Base64(value["data"]),
        meta=meta or None,
        extras=nested("audio", members, None),
    )


def read_citation(raw: Raw) -> Citation | None:
    """One of `annotations`; None where it cites nothing that we know."""
    value = decode_any(bytes(raw))
    if not isinstance(value, dict):
        return None
    inner = value.get("url_citation")
    if value.get("type") != "url_citation" or not isinstance(inner, dict):
        return Citation(kind="other", raw=raw)

    def member(name: str, kind: type) -> Any:
        found = inner.get(name)
        return found if isinstance(found, kind) and found is not True else None

    return Citation(
        kind="url",
        url=member("url", str),
        title=member("title", str),
        text=member("content", str),
        start=member("start_index", int),
        end=member("end_index", int),
        raw=raw,
    )


def _read_annotations(
    annotations: list[Raw] | UnsetType | None, parts: list[Part], kept: Kept
) -> None:
    if not annotations or isinstance(annotations, UnsetType):
        kept.empty("annotations", annotations)
        return
    citations = [read_citation(raw) for raw in annotations]
    places = [i for i, p in enumerate(parts) if isinstance(p, TextPart)]
    if not places or None in citations:
        kept.extras["annotations"] = Raw(encode(annotations))
        return
    at = places[-1]
    known = tuple(c for c in citations if c is not None)
    parts[at] = replace(parts[at], citations=known)
