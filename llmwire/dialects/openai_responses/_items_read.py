"""Items and their parts, from the wire into the neutral conversation.

Shared by requests, whole bodies and streams. A member that the writer would not give
back from the node is kept: content in extras, spelling in the note `@form`. A client's
garbage raises; what a server sends in a known item's place but misshapen becomes an
opaque part, which is the caller's choice (`lenient`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, DecodeError, Raw, UnsetType, ValidationError
from msgspec.structs import replace

from llmwire import _json, _media, _seal
from llmwire._json import NULL, Schema, Wire
from llmwire._parts import whole_arguments
from llmwire._turns import PLACEMENT
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
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    Source,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    ToolResultPart,
    Url,
)

FAILURES: Final = (ValidationError, DecodeError, UnicodeDecodeError, RecursionError)
_EASY: Final = Schema(_wire.EasyMessage, tolerant=True)
_ITEMS: Final = _names.by_tag(_wire.ItemWire)
_CONTENTS: Final = _names.by_tag(_wire.ContentWire)
_BREAKPOINT: Final = Schema(_wire.BreakpointWire, tolerant=True)
_LOGPROB: Final = Schema(_wire.LogprobWire, tolerant=True)
_WORDS: Final = {"completed": False, "incomplete": True}
"""Status -> whether the part is incomplete."""


def read_item(raw: Raw, path: str) -> Wire | _wire.ServerItem:
    """An item as its wire struct; hosted and unknown ones as far as they are alike.

    Raises:
        RemoteProtocolError: It is no item: names the place.
    """
    # What type-less items begin with; a wrong guess only costs time.
    easy = bytes(memoryview(raw)[:7]) in (b'{"role"', b'{"conte')
    first = _wire.EasyMessage if easy else _wire.ItemWire
    try:
        wire: Wire = _json.decoder(first).decode(raw)
        return wire
    except FAILURES:
        pass
    kind = type_of(raw, path)
    if kind is None:
        return _EASY.decode(raw, path)
    schema = _ITEMS.get(kind)
    return _server_item(raw, kind) if schema is None else schema.decode(raw, path)


def type_of(raw: Raw, path: str) -> str | None:
    kind = _json.decode_object(bytes(raw), path).get("type", NULL)
    word = _json.decode_any(bytes(kind), f"{path}.type")
    if word is not None and not isinstance(word, str):
        what = f"Expected `str`, got `{type(word).__name__}`"
        raise RemoteProtocolError(what, path=f"{path}.type")
    return word


def _server_item(raw: Raw, kind: str) -> _wire.ServerItem:
    try:
        item: _wire.ServerItem = _json.decoder(_wire.ServerItem).decode(raw)
        return item
    except FAILURES:
        return _wire.ServerItem(kind)


def _strange(wire: Wire, names: tuple[str, ...]) -> Extras:
    """Strangers of `wire`, and which of `names` are null."""
    extras = _names.strangers(wire)
    for name in names:
        if getattr(wire, name) is None:
            extras[name] = NULL
    return extras


def _given(value: str | UnsetType | None) -> str | None:
    return value if isinstance(value, str) else None


def _status(
    status: str | UnsetType | None,
    extras: Extras,
    form: list[str],
    *,
    present: bool,
    prefix: str = "",
) -> bool:
    """Whether the status says incomplete; other words go to `extras`."""
    key = prefix + "status"
    if isinstance(status, str) and status not in _WORDS:
        extras[key] = Raw(_json.encode(status))
    elif status is not None and (status is not UNSET) is not present:
        form.append(key)
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
    extras = _strange(item, ("id", "status", "phase"))
    extras = {f"item/{name}": value for name, value in extras.items()}
    form: list[str] = []
    incomplete = _status(item.status, extras, form, present=answer, prefix="item/")
    if isinstance(item, _wire.EasyMessage):
        form.append("item/type")
    identity: dict[str, Any] = {"incomplete": incomplete}
    if isinstance(item.id, str):
        identity["id"] = item.id
    phase = _given(item.phase)
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
        wire = _json.decoder(_wire.ContentWire).decode(raw)
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
    strange = _strange(wire, ("mode", "ttl"))
    form: list[str] = []
    if wire.mode is UNSET:
        form.append("mode")
    elif wire.mode is not None and wire.mode != "explicit":
        strange["mode"] = Raw(_json.encode(wire.mode))
    return CacheMark(_given(wire.ttl), _names.with_form(strange, form))


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
    extras = _strange(wire, ("annotations", "logprobs"))
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
    extras = _strange(wire, ("image_url", "file_id", "detail"))
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
        detail=_given(wire.detail),
        cache=_cache(wire.prompt_cache_breakpoint, extras),
        extras=extras or None,
        **identity,
    )


def write_source(mime: str | None, source: Source) -> str | None:
    """Where the bytes are, as a URL."""
    if isinstance(source, Url):
        return source.url
    if isinstance(source, Base64):
        return _media.data_url(mime, source.data)
    return None


def _read_file(
    wire: _wire.InputFile, role: str, answer: bool, identity: Any
) -> Part | None:
    names = ("file_id", "file_url", "file_data", "filename", "detail")
    extras = _strange(wire, names)
    given = [name for name in names[2::-1] if isinstance(getattr(wire, name), str)]
    if not given:
        return None
    for name in given[1:]:
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
        name=_given(wire.filename),
        detail=_given(wire.detail),
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
    extras = _strange(wire, ("bytes", "top_logprobs"))
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
    extras = _strange(wire, ("bytes", "top_logprobs"))
    if isinstance(wire.top_logprobs, list):
        extras["top_logprobs"] = Raw(_json.encode(wire.top_logprobs))
    octets = tuple(wire.bytes) if isinstance(wire.bytes, list) else None
    return TokenLogprob(wire.token, wire.logprob, octets, (), extras or None)


# --- the other items ----------------------------------------------------------------


def read_thought(
    item: _wire.Thought, *, answer: bool, group: int | None, source: Any = None
) -> ReasoningPart:
    """A reasoning item."""
    extras = _strange(item, ("summary", "content", "encrypted_content", "id", "status"))
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
        id=_given(item.id),
        group=group,
        summary=summary,
        text=text,
        signature=signature,
        redacted=redacted,
        incomplete=incomplete,
        extras=_names.with_form(extras, form),
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
    """A call that the client runs."""
    extras = _strange(item, ("id", "status"))
    for name in ("namespace", "caller"):
        value = getattr(item, name)
        if value is not UNSET:
            extras[name] = value
    form: list[str] = []
    custom = isinstance(item, _wire.CustomCall)
    text = item.input if isinstance(item, _wire.CustomCall) else item.arguments
    incomplete = _status(item.status, extras, form, present=answer)
    if answer and not custom:
        incomplete = _settle(item.status, text, extras, form)
    return ToolCallPart(
        id=_given(item.id),
        group=group,
        call_id=item.call_id,
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
    item: _wire.FunctionOutput | _wire.CustomOutput, path: str
) -> ToolResultPart:
    """What a call gave."""
    extras = _strange(item, ("id", "status", "name"))
    form: list[str] = []
    incomplete = _status(item.status, extras, form, present=False)
    output = item.output
    parts: tuple[Part, ...]
    if isinstance(output, str):
        parts = (TextPart(output),)
    else:
        parts = tuple(
            read_content(raw, "user", f"{path}.output[{at}]")
            for at, raw in enumerate(output)
        )
        if not parts or is_plain(parts):
            form.append("output")
    return ToolResultPart(
        id=_given(item.id),
        call_id=item.call_id,
        name=_given(item.name),
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
    id = _given(item.id)
    if item.type in _names.SERVER_RESULTS:
        return ServerToolResultPart(
            id=id,
            group=group,
            name=item.type,
            call_id=_given(item.call_id) or id,
            payload=raw,
            status=_given(item.status),
            incomplete=item.status == "incomplete",
        )
    if _names.is_server_call(item.type):
        return ServerToolCallPart(
            id=id,
            group=group,
            name=item.type,
            call_id=_given(item.call_id) or id,
            payload=raw,
            status=_given(item.status),
            incomplete=item.status == "incomplete",
        )
    return OpaquePart(id=id, group=group, dialect=NAME, kind=item.type, raw=raw)
