"""Neutral parts as parts of Gemini's content, in requests and in answers.

What a part of another dialect says and Gemini cannot is reported; a part that Gemini
itself wrote goes back with every member it had.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from msgspec import Raw

from llmwire._json import NULL, decode_any, decode_raw, level
from llmwire._media import kind_of, parse_url, sniffed, standard
from llmwire._turns import reasoning_text
from llmwire.dialects.gemini._notes import noted, raw
from llmwire.dialects.gemini._parts_read import (
    DETAILS,
    GOOGLE_FILES,
    NAME,
    SERVER_NAMES,
    YOUTUBE,
    respelled,
)
from llmwire.errors import RemoteProtocolError
from llmwire.losses import LossRecorder
from llmwire.messages import (
    Base64,
    Extras,
    FileId,
    MediaPart,
    OpaquePart,
    Part,
    PlainText,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Source,
    TextPart,
    ToolCallPart,
    Url,
)

Members: TypeAlias = dict[str, Any]
EMPTY: Final = Raw(b"{}")
_RESOLUTIONS: Final = {
    detail: Raw(b'{"level":"%b"}' % word.encode()) for word, detail in DETAILS.items()
}


class Writer:
    """How the parts of one message, or one answer, are written.

    Args:
        losses: Where everything is reported that is left out.
        native: Gemini wrote the parts: they go back with all they had.
        sign: From a part and its path to the `thoughtSignature` to write.
        call_id: From a call to the id to write; None: without.
        names: Tool names that are sent under another name.
        resolutions: The target reads the resolution of single media.
        urls: The target fetches from any address.
    """

    __slots__ = (
        "call_id",
        "cut",
        "losses",
        "names",
        "native",
        "resolutions",
        "sign",
        "urls",
    )

    def __init__(
        self,
        *,
        losses: LossRecorder,
        native: bool,
        sign: Callable[[Part, str], str | None],
        call_id: Callable[[str], str | None],
        names: Mapping[str, str] | None = None,
        resolutions: bool = True,
        urls: bool = True,
    ) -> None:
        self.losses = losses
        self.native = native
        self.sign = sign
        self.call_id = call_id
        self.names = names or {}
        self.resolutions = resolutions
        self.urls = urls
        self.cut = False
        """A call was written without its arguments."""

    def part(self, part: Part, path: str) -> Members | Raw | None:
        """`part` on the wire, None where it cannot be said."""
        write = _WRITERS.get(type(part))
        return None if write is None else write(self, part, path)

    def finished(self, members: Members, part: Part, path: str) -> Members:
        """`members` with the signature and the native strangers of `part`."""
        signature = self.sign(part, path)
        if signature is not None:
            members["thoughtSignature"] = signature
        if self.native:
            if part.extras:
                _add_native(members, part.extras)
        else:
            self.report(part, path)
        return members

    def report(self, part: Part, path: str) -> None:
        """Losses of what no part of Gemini's has."""
        losses = self.losses
        if part.extras:
            losses.drop_extras(part.extras, path)
        if part.cache is not None:
            losses.drop("cache.mark", f"{path}.cache", "caching is implicit")
        if part.id is not None:
            losses.drop("part.id", f"{path}.id", "parts have no id")
        if part.incomplete:
            reason = "parts do not tell that they broke off"
            losses.drop("part.incomplete", f"{path}.incomplete", reason)
        if getattr(part, "logprobs", ()) and not isinstance(part, TextPart):
            reason = "log probabilities are those of texts"
            losses.drop("logprobs", f"{path}.logprobs", reason)

    def text(self, part: TextPart, path: str) -> Members:
        """A text; citations and log probabilities are the caller's."""
        if part.phase is not None:
            self.losses.drop("phase", f"{path}.phase", "there are no phases")
        return self.finished({"text": part.text}, part, path)

    def refusal(self, part: RefusalPart, path: str) -> Members:
        """A refusal: a text like any other."""
        self.losses.emulate("refusal", path, "refusals are ordinary text")
        return self.finished({"text": part.text}, part, path)

    def reasoning(self, part: ReasoningPart, path: str) -> Members:
        """A thought."""
        if part.summary:
            reason = "thoughts have no segments"
            self.losses.emulate("reasoning.segments", path, reason)
        if part.text == "" and not self.native:
            reason = "a thought without words has none"
            self.losses.drop("message.empty", f"{path}.text", reason)
        members: Members = {"text": reasoning_text(part), "thought": True}
        return self.finished(members, part, path)

    def call(self, part: ToolCallPart, path: str) -> Members:
        """A call; its arguments are an object or nothing."""
        call: Members = {}
        note = noted(part.extras, "id") if self.native else None
        native = self.call_id(part.call_id) if note is None else note
        if native is not None and native != NULL:
            call["id"] = native
        if part.name or not self.native:
            call["name"] = self.names.get(part.name, part.name)
        arguments = self._arguments(part, path)
        if arguments is not None:
            call["args"] = arguments
        if self.native and part.extras:
            for name, value in level(part.extras, "functionCall").items():
                call.setdefault(name, value)
        return self.finished({"functionCall": call}, part, path)

    def _arguments(self, part: ToolCallPart, path: str) -> Raw | None:
        text = part.arguments
        if part.kind == "custom":
            self.losses.emulate("tool.custom", path, 'sent as `{"input": …}`')
            return raw({"input": text})
        if not text.strip():
            return None if self.native and not text else EMPTY
        if text.strip() == "null":
            if not self.native:
                reason = "no arguments are an empty object"
                self.losses.approximate("call.arguments", f"{path}.arguments", reason)
            return EMPTY
        try:
            found = decode_raw(text)
        except RemoteProtocolError:
            found = None
        if found is not None and (self.native or bytes(found).lstrip()[:1] == b"{"):
            if bytes(found).decode() != text.strip(" \t\r\n"):
                reason = "not strict JSON"
                self.losses.approximate("call.arguments", f"{path}.arguments", reason)
            return found
        self.cut = True
        reason = "arguments are no JSON object"
        self.losses.approximate("call.arguments", f"{path}.arguments", reason)
        return EMPTY

    def media(self, part: MediaPart, path: str) -> Members | None:
        """A medium, inline or by an address that Google resolves."""
        source = part.source
        mime = part.mime
        if isinstance(source, Url):
            declared, source = parse_url(source.url)
            mime = mime or declared
        members = self._place(part, source, mime, path)
        if members is None:
            return None
        if part.meta:
            reason = "media have no such members"
            self.losses.drop("media.meta", f"{path}.meta", reason)
        if part.detail is not None:
            resolution = _RESOLUTIONS.get(part.detail)
            if resolution is not None and (self.native or self.resolutions):
                members["mediaResolution"] = resolution
            else:
                reason = "the target has no such resolution"
                self.losses.drop("media.detail", f"{path}.detail", reason)
        return self.finished(members, part, path)

    def _place(
        self, part: MediaPart, source: Source, mime: str | None, path: str
    ) -> Members | None:
        """The data field of a medium, None where its source cannot be given."""
        place = f"{path}.source"
        if isinstance(source, Base64):
            return {"inlineData": self._blob(part, source.data, mime, path)}
        if isinstance(source, PlainText):
            reason = "texts as media are inline bytes"
            self.losses.approximate("media.document", place, reason)
            octets = base64.b64encode(source.text.encode("utf-8", "replace"))
            data = octets.decode("ascii")
            return {"inlineData": self._blob(part, data, mime or "text/plain", path)}
        address = source.id if isinstance(source, FileId) else source.url
        google = address.startswith(GOOGLE_FILES)
        if not (google or self.native):
            if isinstance(source, FileId):
                reason = "a file of another vendor"
                self.losses.drop("media.file", path, reason)
                return None
            if not (self.urls or address.startswith(YOUTUBE)):
                reason = "only Google's own files and YouTube are fetched"
                self.losses.drop("media.url", path, reason)
                return None
        if google and isinstance(source, Url):
            reason = "an address of Google is one of its files"
            self.losses.approximate("media.file", place, reason)
        file = self._described(part, mime, path)
        if address or not self.native or noted(part.extras, "fileUri") is None:
            file["fileUri"] = address
        if "mimeType" not in file and not self.native:
            video = isinstance(source, Url) and address.startswith(YOUTUBE)
            self._kind(part, "video" if video else "document", path)
        return {"fileData": file}

    def _blob(self, part: MediaPart, data: str, mime: str | None, path: str) -> Members:
        if mime is None and not self.native:
            mime = sniffed(data) or "application/octet-stream"
        blob = self._described(part, mime, path)
        note = noted(part.extras, "base64") if self.native else None
        if note == NULL and not data:
            return blob
        spelling = decode_any(bytes(note)) if note is not None else None
        blob["data"] = respelled(standard(data), spelling)
        return blob

    def _described(self, part: MediaPart, mime: str | None, path: str) -> Members:
        """Media type and name of a medium."""
        members: Members = {}
        if mime is not None:
            members["mimeType"] = mime
            if not self.native:
                if mime != part.mime:
                    reason = "a medium needs its type"
                    self.losses.default("media.meta", f"{path}.mime", reason)
                self._kind(part, kind_of(mime), path)
        if part.name is not None:
            if self.native:
                members["displayName"] = part.name
            else:
                reason = "inline media have no name"
                self.losses.drop("media.meta", f"{path}.name", reason)
        if self.native and part.extras:
            for prefix in ("inlineData", "fileData"):
                for name, value in level(part.extras, prefix).items():
                    members.setdefault(name, value)
        return members

    def _kind(self, part: MediaPart, kind: str, path: str) -> None:
        if kind != part.kind:
            reason = "the media type tells what it is"
            self.losses.approximate("media.meta", f"{path}.kind", reason)

    def server(
        self, part: ServerToolCallPart | ServerToolResultPart, path: str
    ) -> Members | None:
        """What a tool of Google's own did."""
        if not self.native or part.name not in SERVER_NAMES:
            reason = "a tool of another server"
            self.losses.drop("tool.server_part", path, reason)
            return None
        return self.finished({part.name: part.payload}, part, path)

    def opaque(self, part: OpaquePart, path: str) -> Raw | None:
        """A part that only its own dialect knows."""
        if part.dialect != NAME:
            self.losses.drop("opaque", path, f"a part of {part.dialect} only")
            return None
        return part.raw


_WRITERS: Final[dict[type, Callable[[Writer, Any, str], Members | Raw | None]]] = {
    TextPart: Writer.text,
    RefusalPart: Writer.refusal,
    ReasoningPart: Writer.reasoning,
    ToolCallPart: Writer.call,
    MediaPart: Writer.media,
    ServerToolCallPart: Writer.server,
    ServerToolResultPart: Writer.server,
    OpaquePart: Writer.opaque,
}


def _add_native(members: Members, extras: Extras) -> None:
    thought = noted(extras, "thought")
    if thought is not None:
        members.setdefault("thought", thought)
    for name, value in level(extras).items():
        members.setdefault(name, value)
