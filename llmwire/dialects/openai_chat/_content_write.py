"""Parts to elements of `content` arrays, in requests and answers alike.

An element that was read with a spelling of its own is written back so, as long as the
part still says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from llmwire import _media
from llmwire._json import level
from llmwire.dialects.openai_chat._content_read import reread
from llmwire.dialects.openai_chat._notes import ELEMENT, FIELD, without
from llmwire.dialects.openai_chat._writing import NAME, VENDOR, Writing
from llmwire.messages import (
    Base64,
    CacheMark,
    FileId,
    MediaPart,
    OpaquePart,
    Part,
    PlainText,
    ReasoningPart,
    RefusalPart,
    Source,
    TextPart,
    Url,
)


def _says_still(raw: Raw, part: Part) -> bool:
    """Whether `part` has not changed since it was read from `raw`."""
    return _bare(reread(raw)) == _bare(part)


def _bare(part: Part) -> Part:
    return replace(part, extras=without(part.extras, ELEMENT))


def write_element(part: Part, to: Writing, path: str) -> dict[str, Any] | Raw | None:
    """One element of a content array; None where the dialect has none for `part`.

    Raises:
        UnsupportedFeature: The policy is to refuse what cannot be said.
    """
    raw = part.extras.get(ELEMENT) if to.native and part.extras else None
    if raw is not None and _says_still(raw, part):
        return raw
    writer = _WRITE.get(type(part))
    return None if writer is None else writer(part, to, path)


def _write_text(part: TextPart, to: Writing, path: str) -> dict[str, Any]:
    element: dict[str, Any] = {"type": "text", "text": part.text}
    return _finished(element, part, to, path)


def _write_refusal(part: RefusalPart, to: Writing, path: str) -> dict[str, Any]:
    element: dict[str, Any] = {"type": "refusal", "refusal": part.text}
    return _finished(element, part, to, path)


def _write_thinking(part: ReasoningPart, to: Writing, path: str) -> dict[str, Any]:
    thinking = [{"type": "text", "text": part.text or ""}]
    return _finished({"type": "thinking", "thinking": thinking}, part, to, path)


def _write_media(part: MediaPart, to: Writing, path: str) -> dict[str, Any] | None:
    if part.meta:
        to.losses.drop("media.meta", f"{path}.meta", "the dialect has no such facts")
    element = _MEDIA[part.kind](part, to, path)
    if element is None:
        return None
    if part.detail is not None and part.kind != "image":
        to.losses.drop("media.detail", f"{path}.detail", "only images have a detail")
    return _finished(element, part, to, path)


def _lost(part: MediaPart, to: Writing, path: str, reason: str) -> None:
    to.losses.drop(f"media.{part.kind}", path, reason)


def _write_image(part: MediaPart, to: Writing, path: str) -> dict[str, Any] | None:
    source = part.source
    if isinstance(source, Url) and not to.profile.media_urls and not to.exact:
        to.losses.drop("media.url", path, "the server does not fetch images")
        return None
    if isinstance(source, (Base64, Url)):
        url = _written_url(part, source, to, path)
    else:
        feature = "media.file" if isinstance(source, FileId) else "media.image"
        to.losses.drop(feature, path, "images are given inline or by URL")
        return None
    if part.name is not None:
        to.losses.drop("media.meta", f"{path}.name", "images have no name")
    inner: dict[str, Any] = {"url": url}
    if part.detail is not None:
        inner["detail"] = part.detail
    if to.extras:
        inner |= level(part.extras, "image_url")
        if part.detail is not None:
            inner["detail"] = part.detail
    return {"type": "image_url", "image_url": inner}


def _written_url(part: MediaPart, source: Base64 | Url, to: Writing, path: str) -> str:
    """Where a medium is, or what it is: only a data URL says its media type."""
    if isinstance(source, Base64):
        if part.mime is None:
            reason = "a data URL names a media type"
            to.losses.default(f"media.{part.kind}", f"{path}.mime", reason)
        return _media.data_url(part.mime, source.data)
    if part.mime is not None:
        to.losses.drop("media.meta", f"{path}.mime", "a URL says no media type")
    return source.url


def _write_audio(part: MediaPart, to: Writing, path: str) -> dict[str, Any] | None:
    if not isinstance(part.source, Base64):
        _lost(part, to, path, "audio is given inline")
        return None
    mime = part.mime or _media.sniffed(part.source.data) or ""
    word = _media.audio_format(mime) or mime.rpartition("/")[2]
    known = word in ("wav", "mp3") or to.native or to.profile.name not in VENDOR
    if not word or not known:
        _lost(part, to, path, "audio is wav or mp3")
        return None
    if _media.AUDIO_FORMATS.get(word, f"audio/{word}") != part.mime:
        reason = "formats have short names here"
        to.losses.approximate("media.audio", f"{path}.mime", reason)
    if part.name is not None:
        to.losses.drop("media.meta", f"{path}.name", "audio has no name")
    inner: dict[str, Any] = {"data": part.source.data, "format": word}
    if to.extras:
        inner = {**level(part.extras, "input_audio"), **inner}
    return {"type": "input_audio", "input_audio": inner}


def _write_document(part: MediaPart, to: Writing, path: str) -> dict[str, Any] | None:
    source = part.source
    if isinstance(source, PlainText):
        text = f"{part.name}\n\n{source.text}" if part.name else source.text
        to.losses.approximate("media.document", path, "a text document as text")
        return {"type": "text", "text": text}
    inner: dict[str, Any] = {}
    if isinstance(source, Base64):
        inner["file_data"] = _media.data_url(part.mime, source.data)
        if part.mime is None:
            reason = "a data URL names a media type"
            to.losses.default("media.document", f"{path}.mime", reason)
    elif isinstance(source, FileId) and to.native:
        inner["file_id"] = source.id
        if part.mime is not None:
            reason = "a stored file has the type it was stored with"
            to.losses.drop("media.meta", f"{path}.mime", reason)
    else:
        feature = "media.url" if isinstance(source, Url) else "media.file"
        to.losses.drop(feature, path, "files are given inline")
        return None
    if part.name is not None:
        inner["filename"] = part.name
    if to.extras:
        inner = {**level(part.extras, "file"), **inner}
    return {"type": "file", "file": inner}


def _write_video(part: MediaPart, to: Writing, path: str) -> dict[str, Any] | None:
    if to.exact or to.profile.name in VENDOR:
        _lost(part, to, path, "the dialect has no film")
        return None
    source: Source = part.source
    if not isinstance(source, (Base64, Url)):
        _lost(part, to, path, "films are given inline or by URL")
        return None
    url = _written_url(part, source, to, path)
    if part.name is not None:
        to.losses.drop("media.meta", f"{path}.name", "films have no name")
    return {"type": "video_url", "video_url": {"url": url}}


_MEDIA: Final[
    Mapping[str, Callable[[MediaPart, Writing, str], dict[str, Any] | None]]
] = {
    "image": _write_image,
    "audio": _write_audio,
    "video": _write_video,
    "document": _write_document,
}


def _write_opaque(part: OpaquePart, to: Writing, path: str) -> Raw | None:
    if part.dialect == NAME:
        return part.raw
    to.losses.drop("opaque", path, f"a part of {part.dialect} only")
    return None


_WRITE: Final[Mapping[type, Callable[[Any, Writing, str], Any]]] = {
    TextPart: _write_text,
    MediaPart: _write_media,
    RefusalPart: _write_refusal,
    ReasoningPart: _write_thinking,
    OpaquePart: _write_opaque,
}


def _finished(
    element: dict[str, Any], part: Part, to: Writing, path: str
) -> dict[str, Any]:
    """`element` with its cache mark and strangers."""
    if part.cache is not None:
        write_mark(element, part.cache, to, path)
    if part.extras:
        for name, value in to.strangers(part.extras, path).items():
            element.setdefault(name, value)
    return element


_TTL: Final = {"5m": "30m", "1h": "12h"}
_SHORT: Final = {"30m": "5m", "24h": "1h", "12h": "1h"}


def write_mark(
    element: dict[str, Any], cache: CacheMark, to: Writing, path: str
) -> None:
    """Put a cache mark on `element`, in the form that the server knows."""
    place = f"{path}.cache"
    ours = (cache.extras or {}).get(FIELD)
    if to.exact or (to.native and to.profile.cache_marks):
        router = ours is not None
    else:
        router = to.profile.name not in VENDOR
    if not to.exact and not to.profile.cache_marks:
        to.losses.drop("cache.mark", place, "the server knows no cache marks")
        return
    if not to.native:
        to.losses.drop_extras(cache.extras, place)
    if router:
        ttl = cache.ttl if to.native else _SHORT.get(cache.ttl or "", cache.ttl)
        element["cache_control"] = {"type": "ephemeral"}
        member = element["cache_control"]
    else:
        ttl = cache.ttl if to.native else _TTL.get(cache.ttl or "", cache.ttl)
        element["prompt_cache_breakpoint"] = {"mode": "explicit"}
        member = element["prompt_cache_breakpoint"]
    if ttl is not None:
        member["ttl"] = ttl
    if to.extras:
        for name, value in level(cache.extras).items():
            member.setdefault(name, value)
    if ttl != cache.ttl:
        to.losses.approximate("cache.mark", f"{place}.ttl", "other times to live")
