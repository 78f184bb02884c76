"""Parts of messages and of outputs, from the wire into the neutral conversation.

A member that the writer would not give back from the part is kept: content in extras,
spelling in the note `@form`. A part that is not known is opaque.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, DecodeError, Raw, UnsetType, ValidationError
from msgspec.structs import replace

from llmwire import _json, _media
from llmwire._json import NULL, Schema, Wire
from llmwire.dialects.openai_responses import _names, _wire
from llmwire.dialects.openai_responses._names import NAME
from llmwire.errors import RemoteProtocolError
from llmwire.messages import (
    Base64,
    CacheMark,
    Citation,
    Extras,
    FileId,
    MediaPart,
    OpaquePart,
    Part,
    RefusalPart,
    Source,
    TextPart,
    TokenLogprob,
    Url,
)

FAILURES: Final = (ValidationError, DecodeError, UnicodeDecodeError, RecursionError)
_CONTENTS: Final = _names.by_tag(_wire.ContentWire)
_DECODE: Final = _json.decoder(_wire.ContentWire).decode
_BREAKPOINT: Final = Schema(_wire.BreakpointWire, tolerant=True)
_LOGPROB: Final = Schema(_wire.LogprobWire, tolerant=True)


def type_of(raw: Raw, path: str) -> str | None:
    kind = _json.decode_object(bytes(raw), path).get("type", NULL)
    word = _json.decode_any(bytes(kind), f"{path}.type")
    if word is not None and not isinstance(word, str):
        what = f"Expected `str`, got `{type(word).__name__}`"
        raise RemoteProtocolError(what, path=f"{path}.type")
    return word


def strange_in(wire: Wire, names: tuple[str, ...]) -> Extras:
    """Strangers of `wire`, and which of `names` are null."""
    extras = _names.strangers(wire) if wire.extras else {}
    for name in names:
        if getattr(wire, name) is None:
            extras[name] = NULL
    return extras


def given(value: str | UnsetType | None) -> str | None:
    """A string, None where there is none."""
    return value if isinstance(value, str) else None


def read_content(
    raw: Raw,
    role: str,
    path: str,
    answer: bool = False,
    phase: str | None = None,
    identity: dict[str, Any] | None = None,
) -> Part:
    """One part of a message or of a tool's output.

    Raises:
        RemoteProtocolError: It is no part: names the place.
    """
    try:
        wire = _DECODE(raw)
    except FAILURES:
        schema = _CONTENTS.get(type_of(raw, path) or "")
        wire = None if schema is None else schema.decode(raw, path)
    reader = _CONTENT_READERS.get(type(wire))
    part = reader(wire, role, answer, identity or {}) if reader else None
    if part is None:
        word = type_of(raw, path) or ""
        note = {_names.CONTENT: Raw(b"true")}
        return OpaquePart(
            dialect=NAME, kind=word, raw=raw, extras=note, **(identity or {})
        )
    if phase is not None and isinstance(part, TextPart):
        part = replace(part, phase=phase)
    return part


def _cache(value: Raw | UnsetType, extras: Extras) -> CacheMark | None:
    if value is UNSET:
        return None
    try:
        wire = _BREAKPOINT.decode(value)
    except RemoteProtocolError:
        extras["prompt_cache_breakpoint"] = value
        return None
    strange = strange_in(wire, ("mode", "ttl"))
    form: list[str] = []
    if wire.mode is UNSET:
        form.append("mode")
    elif wire.mode is not None and wire.mode != "explicit":
        strange["mode"] = Raw(_json.encode(wire.mode))
    return CacheMark(given(wire.ttl), _names.with_form(strange, form))


def _read_text(
    wire: _wire.InputText | _wire.BareText, role: str, answer: bool, identity: Any
) -> Part:
    extras = _names.strangers(wire)
    form: list[str] = []
    if isinstance(wire, _wire.BareText):
        form.append("text")
    elif role == "assistant":
        form.append("input_text")
    cache = _cache(wire.prompt_cache_breakpoint, extras)
    noted = _names.with_form(extras, form)
    return TextPart(wire.text, cache=cache, extras=noted, **identity)


def _read_output_text(
    wire: _wire.OutputText, role: str, answer: bool, identity: Any
) -> Part:
    extras = strange_in(wire, ("annotations", "logprobs"))
    form = [] if role == "assistant" else ["output_text"]
    present = answer and role == "assistant"
    citations: tuple[Citation, ...] = ()
    if wire.annotations:
        citations = tuple(read_citation(raw) for raw in wire.annotations)
    elif wire.annotations is not None and (wire.annotations is not UNSET) != present:
        form.append("annotations")
    logprobs: tuple[TokenLogprob, ...] | None = ()
    if wire.logprobs:
        logprobs = read_logprobs(wire.logprobs)
        if logprobs is None:
            extras["logprobs"] = Raw(_json.encode(wire.logprobs))
    elif wire.logprobs is not None and (wire.logprobs is not UNSET) != present:
        form.append("logprobs")
    cache = _cache(wire.prompt_cache_breakpoint, extras)
    return TextPart(
        wire.text,
        citations=citations,
        logprobs=logprobs or (),
        cache=cache,
        extras=_names.with_form(extras, form),
        **identity,
    )


def _read_refusal(wire: _wire.Refusal, role: str, answer: bool, identity: Any) -> Part:
    return RefusalPart(wire.refusal, extras=_names.strangers(wire) or None, **identity)


def _read_image(
    wire: _wire.InputImage, role: str, answer: bool, identity: Any
) -> Part | None:
    extras = strange_in(wire, ("image_url", "file_id", "detail"))
    mime: str | None = None
    source: Source
    if isinstance(wire.image_url, str):
        mime, source = _media.parse_url(wire.image_url)
        if write_source(mime, source) != wire.image_url:
            extras["@image_url"] = Raw(_json.encode(wire.image_url))
        if isinstance(wire.file_id, str):
            extras["file_id"] = Raw(_json.encode(wire.file_id))
    elif isinstance(wire.file_id, str):
        source = FileId(wire.file_id)
    else:
        return None
    return MediaPart(
        kind="image",
        mime=mime,
        source=source,
        detail=given(wire.detail),
        cache=_cache(wire.prompt_cache_breakpoint, extras),
        extras=extras or None,
        **identity,
    )


def write_source(mime: str | None, source: Source) -> str:
    """Where the bytes are, or what they are, as a URL."""
    if isinstance(source, Url):
        return source.url
    assert isinstance(source, Base64)
    return _media.data_url(mime, source.data)


def _read_file(
    wire: _wire.InputFile, role: str, answer: bool, identity: Any
) -> Part | None:
    names = ("file_id", "file_url", "file_data", "filename", "detail")
    extras = strange_in(wire, names)
    sources = [name for name in names[2::-1] if isinstance(getattr(wire, name), str)]
    if not sources:
        return None
    for name in sources[1:]:
        extras[name] = Raw(_json.encode(getattr(wire, name)))
    mime: str | None = None
    source: Source
    if isinstance(wire.file_data, str):
        mime, source = _media.parse_url(wire.file_data)
        if isinstance(source, Url):  # bare base64, which some servers take
            mime, source = _media.sniffed(wire.file_data), Base64(wire.file_data)
        if write_source(mime, source) != wire.file_data:
            extras["@file_data"] = Raw(_json.encode(wire.file_data))
    elif isinstance(wire.file_url, str):
        source = Url(wire.file_url)
    else:
        source = FileId(str(wire.file_id))
    return MediaPart(
        kind="document",
        mime=mime,
        source=source,
        name=given(wire.filename),
        detail=given(wire.detail),
        cache=_cache(wire.prompt_cache_breakpoint, extras),
        extras=extras or None,
        **identity,
    )


def _read_audio(
    wire: _wire.InputAudio, role: str, answer: bool, identity: Any
) -> Part | None:
    audio = wire.input_audio
    mime = _media.AUDIO_FORMATS.get(audio.format)
    if mime is None:
        return None
    extras = _names.strangers(wire)
    for name, value in audio.extras.items():
        extras[f"input_audio/{_json.escaped(name)}"] = value
    return MediaPart(
        kind="audio",
        mime=mime,
        source=Base64(audio.data),
        cache=_cache(wire.prompt_cache_breakpoint, extras),
        extras=extras or None,
        **identity,
    )


_CONTENT_READERS: Final[dict[type, Callable[[Any, str, bool, Any], Part | None]]] = {
    _wire.InputText: _read_text,
    _wire.BareText: _read_text,
    _wire.OutputText: _read_output_text,
    _wire.Refusal: _read_refusal,
    _wire.InputImage: _read_image,
    _wire.InputFile: _read_file,
    _wire.InputAudio: _read_audio,
}


_FILES: Final = ("file_citation", "container_file_citation", "file_path")


def read_citation(raw: Raw) -> Citation:
    """An annotation; misshapen ones keep their raw form alone. Never raises."""
    try:
        wire: _wire.AnnotationWire = _json.decoder(_wire.AnnotationWire).decode(raw)
    except FAILURES:
        return Citation(kind="other", raw=raw)
    if wire.type == "url_citation":
        return Citation(
            kind="url",
            url=wire.url,
            title=wire.title,
            start=wire.start_index,
            end=wire.end_index,
            raw=raw,
        )
    if wire.type in _FILES:
        return Citation(
            kind="file",
            title=wire.filename,
            start=wire.start_index,
            end=wire.end_index,
            file_id=wire.file_id,
            raw=raw,
        )
    return Citation(kind="other", raw=raw)


def read_logprobs(raws: list[Raw]) -> tuple[TokenLogprob, ...] | None:
    """Log probabilities; None where one of them is misshapen. Never raises."""
    try:
        return tuple(_read_logprob(raw) for raw in raws)
    except RemoteProtocolError:
        return None


def _read_logprob(raw: Raw) -> TokenLogprob:
    wire = _LOGPROB.decode(raw)
    extras = strange_in(wire, ("bytes", "top_logprobs"))
    form = []
    top: tuple[TokenLogprob, ...] = ()
    if wire.top_logprobs is UNSET:
        form.append("top_logprobs")
    elif wire.top_logprobs is not None:
        top = tuple(_read_alternative(other) for other in wire.top_logprobs)
    octets = tuple(wire.bytes) if isinstance(wire.bytes, list) else None
    noted = _names.with_form(extras, form)
    return TokenLogprob(wire.token, wire.logprob, octets, top, noted)


def _read_alternative(raw: Raw) -> TokenLogprob:
    wire = _LOGPROB.decode(raw)
    extras = strange_in(wire, ("bytes", "top_logprobs"))
    if isinstance(wire.top_logprobs, list):
        extras["top_logprobs"] = Raw(_json.encode(wire.top_logprobs))
    octets = tuple(wire.bytes) if isinstance(wire.bytes, list) else None
    return TokenLogprob(wire.token, wire.logprob, octets, (), extras or None)
