"""Parts of messages and of outputs, from the neutral conversation onto the wire.

`Way` says for whom is written: native parts go back as they came, extras and spelling
included; of the others what the dialect cannot say is reported by its path in the node.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.structs import replace

from llmwire import _json, _media
from llmwire.dialects.openai_responses import _names
from llmwire.dialects.openai_responses._content_read import write_source
from llmwire.dialects.openai_responses._names import NAME
from llmwire.losses import LossRecorder
from llmwire.messages import (
    Base64,
    CacheMark,
    Citation,
    Extras,
    FileId,
    MediaPart,
    OpaquePart,
    Part,
    PlainText,
    RefusalPart,
    Source,
    TextPart,
    TokenLogprob,
    Url,
)
from llmwire.profiles import Profile

Object = dict[str, Any]
"""A JSON object whose values msgspec can encode."""

_TEXT_KINDS: Final = ("input_text", "output_text", "text")
_TTLS: Final = {None: None, "30m": "30m", "12h": "12h", "1h": "12h"}
"""Time to live -> what comes nearest here."""
_EXACT_TTLS: Final = (None, "30m", "12h")
_DOCUMENTS: Final = {
    "application/pdf": "document.pdf",
    "text/plain": "document.txt",
    "text/markdown": "document.md",
    "text/html": "document.html",
    "text/csv": "document.csv",
    "application/json": "document.json",
}
"""File names for documents that came without one: the API wants one with bytes."""
MEDIA_FEATURES: Final = {
    "image": "media.image",
    "audio": "media.audio",
    "video": "media.video",
    "document": "media.document",
}


class Way(Struct, frozen=True, kw_only=True):
    """For whom parts are written."""

    native: bool
    """The node was read from this dialect."""
    answer: bool
    """As output, not as input."""
    losses: LossRecorder
    profile: Profile
    model: str | None = None
    tag: str | None = None
    same_vendor: bool = False
    """The node's files are stored at the vendor of this dialect."""


def merge(target: Object, extras: Extras | None, prefix: str = "") -> None:
    """Add the members of `extras` below `prefix`; what was written wins."""
    if not extras or (len(extras) == 1 and _names.FORM in extras):
        return
    for name, value in _json.level(extras, prefix).items():
        target.setdefault(name, value)


# --- parts of messages --------------------------------------------------------------


def write_content(part: Part, role: str, way: Way, path: str) -> Object | Raw | None:
    """`part` inside a message of `role`; None where it cannot stand there."""
    written: Object | Raw | None = _CONTENT_WRITERS[type(part)](part, role, way, path)
    return written


def _write_text(part: TextPart, role: str, way: Way, path: str) -> Object:
    extras = part.extras if way.native else None
    words = _names.form(extras)
    spoken = role == "assistant"
    kind = "output_text" if spoken else "input_text"
    if words:
        kind = next((word for word in _TEXT_KINDS if word in words), kind)
    written: Object = {"type": kind, "text": part.text}
    if kind == "output_text":
        present = way.answer and spoken
        citations = _write_citations(part, way, path)
        if citations or is_written(present, "annotations", words, extras):
            written["annotations"] = citations
        logprobs = write_logprobs(part.logprobs, way, path)
        if logprobs or is_written(present, "logprobs", words, extras):
            written["logprobs"] = logprobs
    else:
        drop_annotations(part, way, path)
    _write_cache(part.cache, written, way, path, markable=not spoken)
    merge(written, extras)
    return written


def is_written(
    present: bool, name: str, words: frozenset[str], extras: Extras | None
) -> bool:
    """Whether an empty member is written."""
    return (name in words) is not present and not (extras and name in extras)


def drop_annotations(part: TextPart, way: Way, path: str) -> None:
    for at in range(len(part.citations)):
        reason = "only the model's words have citations"
        way.losses.drop("citations", f"{path}.citations[{at}]", reason)
    if part.logprobs:
        way.losses.drop("logprobs", f"{path}.logprobs", "not the model's words")


def _write_citations(part: TextPart, way: Way, path: str) -> list[Object | Raw]:
    written: list[Object | Raw] = []
    for at, citation in enumerate(part.citations):
        place = f"{path}.citations[{at}]"
        annotation = write_citation(citation, len(part.text), way, place)
        if annotation is not None:
            written.append(annotation)
    return written


def write_citation(
    citation: Citation, length: int, way: Way, path: str
) -> Object | Raw | None:
    """`citation` as an annotation of a text of `length` characters."""
    if way.native and citation.raw is not None:
        return citation.raw
    if citation.kind == "url" and citation.url is not None:
        told = (citation.start, citation.end, citation.title)
        if None in told or citation.text is not None or citation.file_id is not None:
            reason = "annotations name a place in the text and a title, no quotation"
            way.losses.approximate("citations", path, reason)
        return {
            "type": "url_citation",
            "start_index": citation.start or 0,
            "end_index": length if citation.end is None else citation.end,
            "url": citation.url,
            "title": citation.title or "",
        }
    if citation.kind == "file" and citation.file_id is not None and way.same_vendor:
        bare = Citation(kind="file", file_id=citation.file_id, title=citation.title)
        if citation.title is None or replace(citation, raw=None) != bare:
            reason = "file citations name the file and nothing else"
            way.losses.approximate("citations", path, reason)
        return {
            "type": "file_citation",
            "file_id": citation.file_id,
            "filename": citation.title or "",
            "index": citation.start or 0,
        }
    way.losses.drop("citations", path, "annotations cite URLs and the vendor's files")
    return None


def write_logprobs(
    logprobs: tuple[TokenLogprob, ...], way: Way, path: str, *, octets: bool = True
) -> list[Object]:
    """Log probabilities; `octets` are not part of a delta's."""
    if not logprobs:
        return []
    if not way.native and (
        any(_is_short(token) for token in logprobs)
        or any(_is_short(other) for token in logprobs for other in token.top)
    ):
        reason = "tokens have a probability and their bytes, nothing else"
        way.losses.approximate("logprobs", f"{path}.logprobs", reason)
    return [_write_logprob(token, way, octets) for token in logprobs]


def _is_short(token: TokenLogprob) -> bool:
    """Whether something is made up, or left out, to tell of `token`."""
    return token.bytes is None or token.logprob is None or bool(token.extras)


def _write_logprob(token: TokenLogprob, way: Way, octets: bool) -> Object:
    extras = token.extras if way.native else None
    written = _write_token(token, way, octets)
    if token.top or is_written(True, "top_logprobs", _names.form(extras), extras):
        written["top_logprobs"] = [
            _write_alternative(other, way, octets) for other in token.top
        ]
    merge(written, extras)
    return written


def _write_alternative(token: TokenLogprob, way: Way, octets: bool) -> Object:
    written = _write_token(token, way, octets)
    if way.native:
        merge(written, token.extras)
    return written


def _write_token(token: TokenLogprob, way: Way, octets: bool) -> Object:
    written: Object = {"token": token.token}
    # -9999 is what OpenAI writes for "less likely than the alternatives told".
    written["logprob"] = (
        token.logprob if token.logprob is not None or way.native else -9999.0
    )
    if token.bytes is not None:
        written["bytes"] = token.bytes
    elif octets and not way.native:
        written["bytes"] = list(token.token.encode("utf-8", "surrogatepass"))
    if not octets and not way.native:
        written.pop("bytes", None)
    return written


def _write_cache(
    mark: CacheMark | None, written: Object, way: Way, path: str, *, markable: bool
) -> None:
    if mark is None:
        return
    place = f"{path}.cache"
    if way.native:
        breakpoint: Object = {}
        if is_written(True, "mode", _names.form(mark.extras), mark.extras):
            breakpoint["mode"] = "explicit"
        if mark.ttl is not None:
            breakpoint["ttl"] = mark.ttl
        merge(breakpoint, mark.extras)
        written["prompt_cache_breakpoint"] = breakpoint
        return
    if not markable or not way.profile.cache_marks or "cache" in way.profile.rejects:
        way.losses.drop("cache.mark", place, "the target marks no such part")
        return
    way.losses.drop_extras(mark.extras, place)
    if mark.ttl not in _EXACT_TTLS:
        reason = "the target keeps a prompt for 30 minutes or 12 hours"
        way.losses.approximate("cache.mark", f"{place}.ttl", reason)
    ttl = _TTLS.get(mark.ttl)
    written["prompt_cache_breakpoint"] = (
        {"mode": "explicit", "ttl": ttl} if ttl else {"mode": "explicit"}
    )


def _write_refusal(part: RefusalPart, role: str, way: Way, path: str) -> Object | None:
    if part.logprobs:
        way.losses.drop("logprobs", f"{path}.logprobs", "refusals have none")
    if role != "assistant" and not way.native:
        reason = "only the model refuses"
        way.losses.emulate("refusal", path, reason)
        return {"type": "input_text", "text": part.text}
    written: Object = {"type": "refusal", "refusal": part.text}
    _write_cache(part.cache, written, way, path, markable=False)
    if way.native:
        merge(written, part.extras)
    return written


def _write_media(part: MediaPart, role: str, way: Way, path: str) -> Object | None:
    if role == "assistant" and not way.native:
        feature = MEDIA_FEATURES[part.kind]
        way.losses.drop(feature, path, "the model's turns hold text")
        return None
    writer = _MEDIA_WRITERS.get(part.kind)
    if writer is None or (part.kind == "audio" and not way.native):
        reason = f"{part.kind} is no input of the target"
        way.losses.drop(MEDIA_FEATURES[part.kind], path, reason)
        return None
    written = writer(part, way, path)
    if written is None:
        return None
    if not way.native and part.meta:
        reason = "the target's parts have no such members"
        way.losses.drop("media.meta", f"{path}.meta", reason)
    _write_cache(part.cache, written, way, path, markable=True)
    if way.native:
        merge(written, part.extras)
    return written


def _write_image(part: MediaPart, way: Way, path: str) -> Object | None:
    written: Object = {"type": "input_image"}
    source = part.source
    if isinstance(source, FileId):
        if not _may_send_file(way, path):
            return None
        _drop_mime(part, way, path)
        written["file_id"] = source.id
    elif isinstance(source, PlainText):
        way.losses.drop("media.image", path, "text is no image")
        return None
    else:
        if isinstance(source, Url) and not _may_send_url(way, path):
            return None
        written["image_url"] = _spelled(part, "@image_url", way, path)
    if part.name is not None:
        way.losses.drop("media.meta", f"{path}.name", "images have no name here")
    detail = part.detail
    if detail is not None and not way.native and detail not in _DETAILS:
        reason = "the target reads images at low, high or original resolution"
        way.losses.drop("media.detail", f"{path}.detail", reason)
        detail = None
    if detail is None and not way.native:
        reason = "the target is told at which resolution to read"
        way.losses.default("media.detail", f"{path}.detail", reason)
        detail = "auto"
    if detail is not None:
        written["detail"] = detail
    return written


_FILE_DETAILS: Final = ("auto", "low", "high")
_DETAILS: Final = (*_FILE_DETAILS, "original")


def _may_send_file(way: Way, path: str) -> bool:
    if way.native or way.same_vendor:
        return True
    way.losses.drop("media.file", path, "the file is stored at another vendor")
    return False


def _may_send_url(way: Way, path: str) -> bool:
    if way.native or way.profile.media_urls:
        return True
    way.losses.drop("media.url", path, "the target fetches nothing")
    return False


def _spelled(part: MediaPart, note: str, way: Way, path: str) -> str | Raw:
    """The URL of inline or remote bytes, as it came where that is known."""
    came = (part.extras or {}).get(note) if way.native else None
    if came is not None:
        value: str = _json.decode_any(bytes(came))
        mime, source = _media.parse_url(value)
        if isinstance(source, Url):
            mime, source = part.mime, Base64(value)
        if source == part.source and mime == part.mime:
            return came
    source = part.source
    if isinstance(source, Base64):
        mime = part.mime or _media.sniffed(source.data)
        if mime != part.mime and not way.native:
            reason = "the media type was read from the bytes"
            way.losses.default("media.meta", f"{path}.mime", reason)
        return _media.data_url(mime, source.data)
    _drop_mime(part, way, path)
    return write_source(part.mime, source)


def _drop_mime(part: MediaPart, way: Way, path: str) -> None:
    if part.mime is not None and not way.native:
        reason = "only inline bytes have a media type"
        way.losses.drop("media.meta", f"{path}.mime", reason)


def _write_file(part: MediaPart, way: Way, path: str) -> Object | None:
    written: Object = {"type": "input_file"}
    source: Source = part.source
    name = part.name
    if isinstance(source, FileId):
        if not _may_send_file(way, path):
            return None
        _drop_mime(part, way, path)
        written["file_id"] = source.id
    elif isinstance(source, Url):
        if not _may_send_url(way, path):
            return None
        written["file_url"] = _spelled(part, "@file_url", way, path)
    else:
        if isinstance(source, PlainText):
            part = _inline(part, source, way, path)
        written["file_data"] = _spelled(part, "@file_data", way, path)
        if name is None and not way.native:
            name = _DOCUMENTS.get(part.mime or "", "document")
            reason = "files are sent under a name"
            way.losses.default("media.meta", f"{path}.name", reason)
    if name is not None:
        written["filename"] = name
    detail = part.detail
    if detail is not None and not way.native and detail not in _FILE_DETAILS:
        reason = "the target reads files at low or high resolution"
        way.losses.drop("media.detail", f"{path}.detail", reason)
        detail = None
    if detail is not None:
        written["detail"] = detail
    return written


def _inline(part: MediaPart, source: PlainText, way: Way, path: str) -> MediaPart:
    """A text document as the bytes of a file."""
    reason = "text documents are sent as files"
    way.losses.approximate("media.document", f"{path}.source", reason)
    if part.mime is None:
        way.losses.default("media.meta", f"{path}.mime", reason)
    octets = base64.b64encode(source.text.encode("utf-8", "replace"))
    return replace(
        part,
        mime=part.mime or "text/plain",
        source=Base64(octets.decode("ascii")),
    )


def _write_audio(part: MediaPart, way: Way, path: str) -> Object | None:
    source = part.source
    name = _media.audio_format(part.mime)
    if not isinstance(source, Base64) or name is None:
        way.losses.drop("media.audio", path, "the target takes audio inline")
        return None
    audio: Object = {"data": source.data, "format": name}
    merge(audio, part.extras, "input_audio")
    return {"type": "input_audio", "input_audio": audio}


_MEDIA_WRITERS: Final[dict[str, Callable[[MediaPart, Way, str], Object | None]]] = {
    "image": _write_image,
    "document": _write_file,
    "audio": _write_audio,
}


def _write_opaque(part: OpaquePart, role: str, way: Way, path: str) -> Raw | None:
    if part.dialect == NAME:
        return part.raw
    way.losses.drop("opaque", path, f"only {part.dialect} knows this part")
    return None


_CONTENT_WRITERS: Final[dict[type, Callable[[Any, str, Way, str], Any]]] = {
    TextPart: _write_text,
    RefusalPart: _write_refusal,
    MediaPart: _write_media,
    OpaquePart: _write_opaque,
}
