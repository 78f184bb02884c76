"""Elements of `content` arrays to parts, in requests and answers alike.

Knows text, media, refusals and Mistral's thinking; everything else is kept opaque. An
element that the encoder would spell differently carries the note `ELEMENT` with its
own spelling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from llmwire import _media
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
from llmwire.dialects.openai_chat._notes import ELEMENT, FIELD, with_note
from llmwire.dialects.openai_chat._wire import (
    AudioElement,
    Element,
    FileElement,
    ImageElement,
    RefusalElement,
    TextElement,
    ThinkingElement,
)
from llmwire.dialects.openai_chat._writing import NAME
from llmwire.messages import (
    Base64,
    CacheMark,
    Extras,
    FileId,
    MediaKind,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    Url,
)


def read_element(element: Element, path: str) -> Part:
    """One element of a content array.

    Raises:
        RemoteProtocolError: It is of a known type and not what that type demands.
    """
    reader = _READ.get(type(element))
    if reader is None:
        return _read_raw(element, path)  # type: ignore[arg-type]  # what is left is Raw
    part: Part = reader(element, path)
    return part


def _read_text(wire: TextElement, path: str) -> Part:
    cache, extras = _marks(wire)
    return TextPart(wire.text, cache=cache, extras=extras)


def _read_image(wire: ImageElement, path: str) -> Part:
    cache, extras = _marks(wire)
    inner = wire.image_url
    if isinstance(inner, str):
        part = MediaPart(kind="image", source=Url(""), cache=cache, extras=extras)
        return _spelt(_with_url(part, inner), {"type": "image_url", "image_url": inner})
    extras = nested("image_url", strangers(inner), extras)
    detail = inner.detail
    if detail is None:
        extras = {**(extras or {}), "image_url/detail": NULL}
    part = MediaPart(
        kind="image",
        source=Url(""),
        detail=None if isinstance(detail, UnsetType) else detail,
        cache=cache,
        extras=extras,
    )
    return _checked(_with_url(part, inner.url), inner.url, wire)


def _read_audio(wire: AudioElement, path: str) -> Part:
    cache, extras = _marks(wire)
    inner = wire.input_audio
    plain = isinstance(inner, str)
    data = inner if isinstance(inner, str) else inner.data
    word = UNSET if isinstance(inner, str) else inner.format
    if not isinstance(inner, str):
        extras = nested("input_audio", strangers(inner), extras)
    mime = _media.AUDIO_FORMATS.get(word, f"audio/{word}") if word else None
    part = MediaPart(
        kind="audio", mime=mime, source=Url(""), cache=cache, extras=extras
    )
    if data[:5].lower() == "data:" or "://" in data[:12]:
        part = _with_url(part, data)
        if mime is not None:
            part = replace(part, mime=mime)
        return _spelt(part, plain_wire(wire))
    part = replace(part, source=Base64(_standard(data)))
    if plain or not word or _media.audio_format(mime) != word or _odd(data):
        return _spelt(part, plain_wire(wire))
    return part


def _read_file(wire: FileElement, path: str) -> Part:
    cache, extras = _marks(wire)
    inner = wire.file
    extras = nested("file", strangers(inner), extras)
    part = MediaPart(
        kind="document",
        source=Url(""),
        name=inner.filename or None,
        cache=cache,
        extras=extras,
    )
    data, file_id = inner.file_data, inner.file_id
    if data:
        if data[:5].lower() == "data:" or "://" in data[:12]:
            part = _with_url(part, data)
            part = replace(part, kind=_media.kind_of(part.mime))
            odd = not _is_canonical_url(part, data) or isinstance(part.source, Url)
        else:
            part = replace(part, source=Base64(_standard(data)))
            odd = True
    elif file_id:
        part, odd = replace(part, source=FileId(file_id)), False
    else:
        return OpaquePart(
            dialect=NAME, kind="file", raw=Raw(encode(plain_wire(wire))), cache=cache
        )
    odd = odd or bool(data and file_id is not UNSET)
    if odd or None in (data, file_id, inner.filename) or inner.filename == "":
        return _spelt(part, plain_wire(wire))
    return part


def _read_refusal(wire: RefusalElement, path: str) -> Part:
    extras: Extras = {
        **(nested("", strangers(wire), None) or {}),
        FIELD: Raw(b'"content"'),
    }
    return RefusalPart(wire.refusal, extras=extras)


def _read_thinking(wire: ThinkingElement, path: str) -> Part:
    texts = thinking_texts(wire.thinking)
    if texts is None:
        raw = Raw(encode(plain_wire(wire)))
        return OpaquePart(dialect=NAME, kind="thinking", raw=raw)
    extras: Extras = {
        **(nested("", strangers(wire), None) or {}),
        FIELD: Raw(b'"content"'),
    }
    if wire.closed is not UNSET:
        extras["closed"] = wire.closed
    part = ReasoningPart(text="".join(texts), extras=extras)
    if bytes(wire.thinking)[:1] != b"[" or len(texts) != 1:
        note = with_note(extras, ELEMENT, plain_wire(wire))
        return replace(part, extras=note)
    return part


def thinking_texts(thinking: Raw) -> list[str] | None:
    """The texts of Mistral's `thinking`, None where it holds something else."""
    value = decode_any(bytes(thinking))
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return None
    texts = []
    for item in value:
        if not isinstance(item, dict) or set(item) != {"type", "text"}:
            return None
        if item["type"] != "text" or not isinstance(item["text"], str):
            return None
        texts.append(item["text"])
    return texts


_URL_KINDS: Final[Mapping[str, MediaKind]] = {
    "video_url": "video",
    "audio_url": "audio",
    "document_url": "document",
    "image_url": "image",
}
"""Media types of some servers: an object with a `url`, or the URL itself."""


def _read_raw(raw: Raw, path: str) -> Part:
    """An element of a type that has no struct."""
    members = decode_object(bytes(raw), path)
    word = decode_any(bytes(members.get("type", NULL)))
    kind = word if isinstance(word, str) else ""
    if kind in _URL_KINDS and kind in members:
        inner = decode_any(bytes(members[kind]))
        url = inner.get("url") if isinstance(inner, dict) else inner
        if isinstance(url, str):
            part = MediaPart(kind=_URL_KINDS[kind], source=Url(""))
            name = decode_any(bytes(members.get("document_name", NULL)))
            if isinstance(name, str):
                part = replace(part, name=name)
            mark, own = members.get("cache_control"), "prompt_cache_breakpoint"
            cache = None if mark is None else read_cache_control(mark)
            if own in members and cache is None:
                cache = _read_mark(members[own], "mode", "explicit")
            extras: Extras = {ELEMENT: raw}
            return replace(_with_url(part, url), cache=cache, extras=extras)
    return OpaquePart(dialect=NAME, kind=kind, raw=raw)


def _marks(wire: Any) -> tuple[CacheMark | None, Extras | None]:
    """Cache mark and strangers of an element."""
    own, theirs = wire.prompt_cache_breakpoint, wire.cache_control
    found = strangers(wire)
    if own is UNSET and theirs is UNSET:
        return None, nested("", found, None)
    extras = nested("", found, None) or {}
    cache = None
    if own is not UNSET:
        cache = _read_mark(own, "mode", "explicit")
        if cache is None:
            extras["prompt_cache_breakpoint"] = own
    if theirs is not UNSET:
        second = read_cache_control(theirs) if cache is None else None
        if second is None:
            extras["cache_control"] = theirs
        cache = cache or second
    return cache, extras or None


def read_cache_control(raw: Raw) -> CacheMark | None:
    """The mark that `cache_control` (OpenRouter, DashScope) makes."""
    mark = _read_mark(raw, "type", "ephemeral")
    if mark is None:
        return None
    return CacheMark(mark.ttl, with_note(mark.extras, FIELD, "cache_control"))


def _read_mark(raw: Raw, key: str, word: str) -> CacheMark | None:
    value = decode_any(bytes(raw))
    if not isinstance(value, dict) or value.get(key) != word:
        return None
    ttl = value.get("ttl")
    if "ttl" in value and not isinstance(ttl, str):
        return None
    members = decode_object(bytes(raw))
    rest = {n: v for n, v in members.items() if n not in (key, "ttl")}
    return CacheMark(ttl, nested("", rest, None))


def _with_url(part: MediaPart, url: str) -> MediaPart:
    mime, source = _media.parse_url(url)
    if isinstance(source, Base64):
        source = Base64(_standard(source.data))
    return replace(part, mime=mime, source=source)


def _standard(data: str) -> str:
    return _media.standard(data) if _odd(data) else data


def _odd(data: str) -> bool:
    """Whether base64 text is not in standard form (a cheap look at long text)."""
    if len(data) % 4:
        return True
    return any(mark in data for mark in ("-", "_", "\n", "\r", " ", "\t"))


def _is_canonical_url(part: MediaPart, url: str) -> bool:
    if not isinstance(part.source, Base64):
        return True
    head = f"data:{part.mime};base64,"
    size = len(head) + len(part.source.data)
    return url.startswith(head) and len(url) == size and not _odd(url[len(head) :])


def _checked(part: MediaPart, url: str, wire: ImageElement) -> MediaPart:
    if _is_canonical_url(part, url):
        return part
    return _spelt(part, plain_wire(wire))


def plain_wire(wire: Any) -> Any:
    """A wire struct as the members that came, strangers included."""
    if isinstance(wire, list):
        return [plain_wire(item) for item in wire]
    if not isinstance(wire, Wire):
        return wire
    members: dict[str, Any] = {}
    config = wire.__struct_config__
    if config.tag_field:
        members[config.tag_field] = config.tag
    fields = zip(wire.__struct_fields__, wire.__struct_encode_fields__, strict=True)
    for field, name in fields:
        value = getattr(wire, field)
        if not isinstance(value, UnsetType):
            members[name] = plain_wire(value)
    return {**members, **strangers(wire)}


def _spelt(part: MediaPart, wire: dict[str, Any]) -> MediaPart:
    """`part` with the note that says how the wire spelt it."""
    return replace(part, extras=with_note(part.extras, ELEMENT, wire))


_READ: Final[Mapping[type, Callable[[Any, str], Part]]] = {
    TextElement: _read_text,
    ImageElement: _read_image,
    AudioElement: _read_audio,
    FileElement: _read_file,
    RefusalElement: _read_refusal,
    ThinkingElement: _read_thinking,
}


class _Box(Wire):
    element: Element


_BOX: Final = Schema(_Box)


def reread(raw: Raw) -> Part:
    box = _BOX.decode(b'{"element":' + bytes(raw) + b"}")
    return read_element(box.element, "$")
