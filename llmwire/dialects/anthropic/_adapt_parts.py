"""Parts of any request made to fit a block of this dialect, one by one.

What cannot be said is reported with the part's path in the request that was given.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from llmwire import _media, _seal
from llmwire._json import is_json_object
from llmwire._plain import is_bare
from llmwire._turns import with_words
from llmwire.dialects import RequestTarget
from llmwire.dialects.anthropic._blocks_read import ORIGIN
from llmwire.dialects.anthropic._reply import custom_input
from llmwire.dialects.anthropic._wire import NAME
from llmwire.losses import LossRecorder
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
    Role,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Url,
)
from llmwire.profiles import Profile

_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TTLS: Final = {None: None, "5m": "5m", "1h": "1h"}
_LONG: Final = frozenset({"12h", "24h"})
_STRICT_VERSION: Final = "2026-10-21"
"""Refuses citations on texts of the user."""


class Fitting(Struct, frozen=True, kw_only=True):
    """What the parts of one request are made to fit."""

    target: RequestTarget
    native: bool
    """The request was read from this dialect."""
    version: str
    model: str | None = None
    names: dict[str, str] = {}
    """Tool name -> name to send."""
    moved: dict[str, str] = {}
    """Place of a cache mark as sent -> its place in the request that was given."""
    losses: LossRecorder
    """Where losses are told: the target's."""
    profile: Profile
    """Facts about the server: the target's."""
    keeps_extras: bool
    """Members that are not modelled go back: a client of this dialect sent them.

    The vendor, who rejects what it does not know, knows its own clients' members.
    """

    def cache(self, mark: CacheMark | None, path: str) -> CacheMark | None:
        """The mark in the words of this dialect."""
        if mark is None:
            return None
        place = f"{path}.cache" if path else "cache"
        if not self.profile.cache_marks or "cache" in self.profile.rejects:
            reason = "the server takes no cache marks"
            self.losses.drop("cache.mark", place, reason)
            return None
        if not path and not self.profile.request_cache:
            reason = "the server takes marks on parts only"
            self.losses.drop("cache.mark", place, reason)
            return None
        ttl = _TTLS.get(mark.ttl, "1h" if mark.ttl in _LONG else None)
        if ttl == "1h" and not self.profile.long_cache:
            ttl = None
        if ttl != mark.ttl:
            reason = "another time to live"
            self.losses.approximate("cache.mark", f"{place}.ttl", reason)
        if self.native:
            return CacheMark(ttl, mark.extras)
        self.losses.drop_extras(mark.extras, place)
        return CacheMark(ttl)

    def fit(self, part: Part, role: Role, path: str) -> Part | None:
        """`part` as this dialect can say it, None where it cannot."""
        if is_bare(part):
            return part
        fitted = _FIT[type(part)](self, part, role, path)
        if fitted is None:
            return None
        if not self.native and part.extras:
            self.losses.drop_extras(part.extras, path)
            fitted = replace(fitted, extras=None)
        if part.incomplete and not isinstance(part, ToolCallPart):
            reason = "the dialect cannot say that a part broke off"
            self.losses.drop("part.incomplete", f"{path}.incomplete", reason)
        if getattr(part, "logprobs", ()):
            reason = "the dialect has no log probabilities"
            self.losses.drop("logprobs", f"{path}.logprobs", reason)
        if part.cache is None:
            return fitted
        if isinstance(fitted, ReasoningPart):
            reason = "thoughts cannot be marked"
            self.losses.drop("cache.mark", f"{path}.cache", reason)
            return replace(fitted, cache=None)
        return replace(fitted, cache=self.cache(part.cache, path))


def _unsigned(fitting: Fitting, part: Part, path: str) -> None:
    """Say that the signature of a part that is no thought is left out."""
    if part.signature is not None:
        reason = "made elsewhere: no verifier of this vendor may be shown it"
        fitting.losses.drop("reasoning.signature", f"{path}.signature", reason)


def _fit_text(fitting: Fitting, part: TextPart, role: Role, path: str) -> Part | None:
    losses = fitting.losses
    _unsigned(fitting, part, path)
    if part.phase is not None:
        losses.drop("phase", f"{path}.phase", "the dialect has no phases")
    citations = part.citations
    refused = role == "user" and fitting.version == _STRICT_VERSION
    if citations and (refused or not fitting.native):
        reason = "citations of another dialect, or of the user"
        losses.drop("citations", f"{path}.citations", reason)
        citations = ()
    return TextPart(
        text=part.text, citations=citations, cache=part.cache, extras=part.extras
    )


def _fit_refusal(
    fitting: Fitting, part: RefusalPart, role: Role, path: str
) -> Part | None:
    fitting.losses.emulate("refusal", path, "written as text")
    return TextPart(text=part.text, cache=part.cache)


def _fit_media(fitting: Fitting, part: MediaPart, role: Role, path: str) -> Part | None:
    losses = fitting.losses
    feature = f"media.{part.kind}"
    if part.kind not in ("image", "document") or role == "assistant":
        reason = f"{role} turns hold no {part.kind} in this dialect"
        losses.drop(feature, path, reason)
        return None
    _unsigned(fitting, part, path)
    if part.detail is not None:
        losses.drop("media.detail", f"{path}.detail", "the dialect has no such choice")
    part = replace(part, detail=None, signature=None)
    part = _fit_meta(fitting, part, path)
    source = part.source
    if isinstance(source, FileId):
        if fitting.native:
            return part
        losses.drop("media.file", path, "a file stored at another vendor")
        return None
    if isinstance(source, Url):
        return _fit_url(fitting, part, source, path)
    if isinstance(source, PlainText):
        mime = part.mime if fitting.native else "text/plain"
        if mime != part.mime:
            reason = "plain text is the only text"
            losses.approximate("media.document", f"{path}.mime", reason)
        return replace(part, mime=mime)
    return _fit_bytes(fitting, part, source, path)


def _fit_meta(fitting: Fitting, part: MediaPart, path: str) -> MediaPart:
    meta = part.meta or {}
    kept = {name: meta[name] for name in ("context",) if name in meta}
    if len(kept) < len(meta) or (kept and part.kind != "document"):
        reason = "the dialect has no place for it"
        fitting.losses.drop("media.meta", f"{path}.meta", reason)
    if part.kind != "document":
        kept = {}
        if part.name is not None:
            reason = "images have no name here"
            fitting.losses.drop("media.meta", f"{path}.name", reason)
            part = replace(part, name=None)
    return replace(part, meta=kept or None)


def _fit_url(fitting: Fitting, part: MediaPart, source: Url, path: str) -> Part | None:
    mime, found = _media.parse_url(source.url)
    if isinstance(found, Base64):
        return _fit_bytes(
            fitting, replace(part, mime=mime or part.mime), found, path, inline=True
        )
    remote = source.url.lower().startswith(("https://", "http://"))
    if not fitting.profile.media_urls or not remote:
        fitting.losses.drop("media.url", path, "the server cannot fetch it")
        return None
    if part.mime is not None and not fitting.native:
        reason = "media by URL have no media type here"
        fitting.losses.drop("media.meta", f"{path}.mime", reason)
        part = replace(part, mime=None)
    return part


def _fit_bytes(
    fitting: Fitting,
    part: MediaPart,
    source: Base64,
    path: str,
    *,
    inline: bool = False,
) -> Part | None:
    losses = fitting.losses
    data = _media.standard(source.data)
    mime = (part.mime or "").partition(";")[0].strip().lower() or None
    seen = _media.sniffed(data)
    if part.kind == "image":
        mime = "image/jpeg" if mime == "image/jpg" else mime
        if seen in _IMAGES or mime is None:
            mime = seen
        if mime not in _IMAGES:
            reason = "only JPEG, PNG, GIF and WebP are read"
            losses.drop("media.image", path, reason)
            return None
    else:
        mime = mime or seen
        if mime != "application/pdf":
            return _fit_text_document(fitting, part, mime, data, path)
    if mime != part.mime:
        reason = "the type that the bytes show"
        losses.approximate("media.image", f"{path}.mime", reason)
    if data != source.data or inline:
        reason = "standard base64, inline"
        losses.emulate(f"media.{part.kind}", f"{path}.source", reason)
    return replace(part, mime=mime, source=Base64(data))


def _fit_text_document(
    fitting: Fitting, part: MediaPart, mime: str | None, data: str, path: str
) -> Part | None:
    """A document that is text: given as text, for only PDF is read from bytes."""
    textual = mime is not None and (
        mime.startswith("text/") or mime in ("application/json", "application/xml")
    )
    if textual:
        try:
            text = base64.b64decode(data, validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            textual = False
    if not textual:
        reason = "only PDF and plain text are read"
        fitting.losses.drop("media.document", path, reason)
        return None
    reason = "given as plain text"
    fitting.losses.approximate("media.document", f"{path}.source", reason)
    if mime != "text/plain":
        fitting.losses.approximate("media.document", f"{path}.mime", reason)
    return replace(part, mime="text/plain", source=PlainText(text))


def _fit_reasoning(
    fitting: Fitting, part: ReasoningPart, role: Role, path: str
) -> Part | None:
    if role != "assistant":
        fitting.losses.drop("reasoning.text", path, "only the assistant thinks")
        return None
    return fit_thought(part, path, fitting.target, fitting.model, fitting.native)


def fit_thought(
    part: ReasoningPart,
    path: str,
    target: RequestTarget,
    model: str | None,
    native: bool,
) -> Part | None:
    """A thought that the target may be shown, None where it may not.

    A signature goes only to where it was made. A thought without one is text of the
    client's own dialect, or goes to servers that take plain thoughts.
    """
    losses = target.losses
    if part.text == "":
        losses.default("reasoning.text", f"{path}.text", "nothing was said")
    signature = part.signature
    foreign = part.extras is not None and ORIGIN in part.extras
    if signature is not None and not _seal.fits(signature, NAME, model, target.tag):
        reason = "made elsewhere: no verifier of this vendor may be shown it"
        losses.drop("reasoning.signature", f"{path}.signature", reason)
        signature, foreign = None, True
    if signature is not None:
        if part.summary:
            reason = "segments are joined by a blank line"
            losses.emulate("reasoning.segments", path, reason)
        return part
    plain = native and not foreign
    takes = target.profile.replay_reasoning != "never"
    if (plain or takes) and not part.redacted:
        return replace(part, signature=None)
    losses.drop("reasoning.text", path, "a thought without a signature of this vendor")
    return None


def _fit_call(
    fitting: Fitting, part: ToolCallPart, role: Role, path: str
) -> Part | None:
    losses = fitting.losses
    if role != "assistant":
        losses.drop("opaque", path, "only the assistant calls tools")
        return None
    _unsigned(fitting, part, path)
    name = fitting.names.get(part.name, part.name)
    if name != part.name:
        losses.emulate("tool.name", f"{path}.name", "a name that is legal here")
    arguments = part.arguments
    if part.kind == "custom":
        losses.emulate("tool.custom", path, "written as a function with one input")
        arguments = custom_input(part.arguments)
    elif arguments.strip() in ("", "null"):
        arguments = "{}"
    elif not is_json_object(arguments):
        reason = "no JSON object; left empty"
        losses.drop("call.arguments", f"{path}.arguments", reason)
        arguments = "{}"
    return replace(
        part,
        name=name,
        arguments=arguments,
        kind="function",
        signature=None,
        logprobs=(),
    )


def _fit_result(
    fitting: Fitting, part: ToolResultPart, role: Role, path: str
) -> Part | None:
    losses = fitting.losses
    if role == "assistant":
        losses.drop("tool_result.orphan", path, "results stand in turns of the user")
        return None
    part = with_words(part, path, NAME, losses)
    _unsigned(fitting, part, path)
    if part.name is not None:
        losses.emulate("tool.name", f"{path}.name", "its call tells the name")
    if part.kind == "custom":
        losses.emulate("tool.custom", f"{path}.kind", "the result of a function")
    parts: list[Part] = []
    for at, inner in enumerate(part.parts):
        place = f"{path}.parts[{at}]"
        if isinstance(inner, TextPart) and not inner.text.strip():
            losses.drop("message.empty", place, "texts must not be empty")
            continue
        if not isinstance(inner, (TextPart, MediaPart, OpaquePart, RefusalPart)):
            losses.drop("opaque", place, "results hold text and media")
            continue
        fitted = fitting.fit(inner, "user", place)
        if fitted is not None:
            fitting.moved[f"{path}.parts[{len(parts)}]"] = place
            parts.append(fitted)
    return replace(part, name=None, kind="function", parts=tuple(parts), signature=None)


def _fit_server(
    fitting: Fitting,
    part: ServerToolCallPart | ServerToolResultPart,
    role: Role,
    path: str,
) -> Part | None:
    if fitting.native:
        return part
    reason = "a tool that another vendor's server ran"
    fitting.losses.drop("tool.server_part", path, reason)
    return None


def _fit_opaque(
    fitting: Fitting, part: OpaquePart, role: Role, path: str
) -> Part | None:
    if part.dialect == NAME and fitting.native:
        return part
    fitting.losses.drop("opaque", path, "not a part of this dialect")
    return None


_FIT: Final[dict[type[Any], Callable[[Fitting, Any, Role, str], Part | None]]] = {
    TextPart: _fit_text,
    RefusalPart: _fit_refusal,
    MediaPart: _fit_media,
    ReasoningPart: _fit_reasoning,
    ToolCallPart: _fit_call,
    ToolResultPart: _fit_result,
    ServerToolCallPart: _fit_server,
    ServerToolResultPart: _fit_server,
    OpaquePart: _fit_opaque,
}
