"""Parts of Gemini's content as neutral parts, in requests and in answers.

A part has one data field, which decides its kind, and flags beside it. `thought` says
whether a text is a thought; `thoughtSignature` stands on any part and says nothing
about its kind.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import UNSET, Raw, Struct, UnsetType

from llmwire import _seal
from llmwire._ids import is_minted_call, mint, mint_call
from llmwire._json import (
    NULL,
    Wire,
    decode_any,
    decode_object,
    decode_raw,
    encode,
    nested,
    strangers,
)
from llmwire._media import kind_of, standard
from llmwire._turns import PLACEMENT
from llmwire.dialects.gemini import _wire
from llmwire.dialects.gemini._names import checked
from llmwire.dialects.gemini._notes import kept, parsed, raw
from llmwire.errors import RemoteProtocolError
from llmwire.messages import (
    Base64,
    Extras,
    FileId,
    MediaPart,
    OpaquePart,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolResultPart,
    Signature,
    Source,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Url,
)

NAME: Final = "gemini"
SEALED: Final = "bGxtdzEu"
"""How the base64 of a sealed signature begins: `llmw1.`."""
GOOGLE_FILES: Final = ("https://generativelanguage.googleapis.com/", "gs://")
YOUTUBE: Final = (
    "https://www.youtube.com/",
    "https://youtube.com/",
    "https://youtu.be/",
    "https://m.youtube.com/",
)
DETAILS: Final = {
    "MEDIA_RESOLUTION_LOW": "low",
    "MEDIA_RESOLUTION_MEDIUM": "auto",
    "MEDIA_RESOLUTION_HIGH": "high",
}
"""Resolution of one medium in the neutral words."""
SERVER_CALLS: Final = (
    ("executable_code", "executableCode"),
    ("tool_call", "toolCall"),
)
SERVER_RESULTS: Final = (
    ("code_execution_result", "codeExecutionResult"),
    ("tool_response", "toolResponse"),
)
SERVER_NAMES: Final = frozenset(name for _, name in (*SERVER_CALLS, *SERVER_RESULTS))
_DATA: Final = (
    ("text", "text"),
    ("function_call", "functionCall"),
    ("function_response", "functionResponse"),
    ("inline_data", "inlineData"),
    ("file_data", "fileData"),
    *SERVER_CALLS,
    *SERVER_RESULTS,
)


class Reader:
    """How the parts of one message, or one answer, are read.

    Args:
        client: Whether a client wrote them: then wrong types are errors.
        model: Whose signatures these are, where known.
        tag: Mark of the backend that made them, where known.
        call_id: From (native id, name) to the id of a call, with notes.
        result_id: The same for a result.
    """

    __slots__ = ("call_id", "client", "model", "result_id", "tag")

    def __init__(
        self,
        *,
        client: bool,
        call_id: Callable[[str | None, str], tuple[str, Extras | None]],
        result_id: Callable[[str | None, str], tuple[str, Extras | None]],
        model: str | None = None,
        tag: str | None = None,
    ) -> None:
        self.client = client
        self.model = model
        self.tag = tag
        self.call_id = call_id
        self.result_id = result_id

    def part(self, wire: _wire.Part, path: str) -> Part:
        """The neutral form of `wire`.

        Raises:
            RemoteProtocolError: A client gave a member of the wrong type.
        """
        if wire.function_call is not UNSET:
            return self._call(wire, wire.function_call, path)
        if wire.function_response is not UNSET:
            if self.client:
                return self._result(wire, wire.function_response, path)
            return self._opaque(wire, path)
        if wire.inline_data is not UNSET:
            return self._inline(wire, wire.inline_data, path)
        if wire.file_data is not UNSET:
            return self._file(wire, wire.file_data, path)
        if wire.text is not UNSET:
            return self._text(wire, wire.text, path)
        return self._server(wire, path) or self._opaque(wire, path)

    def strangers(self, wire: Wire, path: str) -> dict[str, Raw]:
        """The strangers of `wire`; of a client's none may be a member we know."""
        found = strangers(wire)
        if found and self.client:
            checked(found, type(wire), path)
        return found

    def extras(self, wire: _wire.Part, data: str, path: str) -> Extras | None:
        """What stands beside the data field `data` and is not modelled."""
        extras: Extras | None = None
        if wire.extras or wire.learned:
            extras = kept(self.strangers(wire, path)) or None
        if wire.video_metadata is not UNSET:
            extras = {**(extras or {}), "videoMetadata": wire.video_metadata}
        if wire.thought is not UNSET and (data != "text" or wire.thought is False):
            extras = {**(extras or {}), "@thought": raw(wire.thought)}
        if wire.media_resolution is not UNSET:
            extras = {**(extras or {}), "mediaResolution": wire.media_resolution}
        if wire.thought_signature == "":
            extras = {**(extras or {}), "thoughtSignature": Raw(b'""')}
        if data != "text" and _holds_several(wire):
            for attribute, name in _DATA:
                value = getattr(wire, attribute)
                if name != data and value is not UNSET:
                    extras = {**(extras or {}), name: raw(value)}
        return extras

    def signature(self, wire: _wire.Part) -> _seal.Opened | None:
        """The signature of `wire`, opened if it is an envelope."""
        value = wire.thought_signature
        if value is UNSET or value == "":
            return None
        if value.startswith(SEALED):
            opened = _seal.unseal(_text_of(value))
            if opened is not None:
                return opened
        return _seal.Opened(
            Signature(origin=NAME, value=value, model=self.model, tag=self.tag)
        )

    def _text(self, wire: _wire.Part, text: str, path: str) -> Part:
        extras = self.extras(wire, "text", path)
        opened = self.signature(wire)
        signature = opened.signature if opened else None
        if wire.thought is not True:
            return TextPart(text=text, signature=signature, extras=extras)
        redacted = opened is not None and opened.redacted
        if opened is not None and opened.placement != "here":
            extras = {**(extras or {}), PLACEMENT: raw(opened.placement)}
        return ReasoningPart(
            text=text or None,
            redacted=redacted,
            signature=signature,
            extras=extras,
        )

    def _call(
        self, wire: _wire.Part, call: _wire.FunctionCall, path: str
    ) -> ToolCallPart:
        extras = self.extras(wire, "functionCall", path)
        extras = nested(
            "functionCall", self.strangers(call, f"{path}.functionCall"), extras
        )
        arguments = ""
        if call.args == NULL:
            extras = nested("functionCall", {"args": NULL}, extras)
        elif call.args is not UNSET:
            arguments = bytes(call.args).decode("utf-8", "replace")
        if call.partial_args is not UNSET:
            pieces = {"partialArgs": raw(call.partial_args)}
            extras = nested("functionCall", pieces, extras)
        if call.will_continue is not UNSET:
            pieces = {"willContinue": raw(call.will_continue)}
            extras = nested("functionCall", pieces, extras)
        if not call.name and self.client:
            raise RemoteProtocolError(
                "found a call without a name", path=f"{path}.functionCall"
            )
        name = call.name or ""
        call_id, notes = self.call_id(call.id or None, name)
        if notes:
            extras = {**(extras or {}), **notes}
        opened = self.signature(wire)
        return ToolCallPart(
            call_id=call_id,
            name=name,
            arguments=arguments,
            signature=opened.signature if opened else None,
            extras=extras,
        )

    def _result(
        self, wire: _wire.Part, result: _wire.FunctionResponse, path: str
    ) -> ToolResultPart:
        place = f"{path}.functionResponse"
        extras = self.extras(wire, "functionResponse", path)
        extras = nested("functionResponse", self.strangers(result, place), extras)
        name = result.name or ""
        call_id, notes = self.result_id(result.id or None, name)
        if notes:
            extras = {**(extras or {}), **notes}
        text, error, form = _output(result.response, f"{place}.response")
        if form:
            extras = {**(extras or {}), "@form": raw(form)}
        parts: list[Part] = [] if text is None else [TextPart(text=text)]
        if result.parts is not UNSET:
            if not result.parts:
                extras = nested("functionResponse", {"parts": Raw(b"[]")}, extras)
            for at, medium in enumerate(result.parts):
                parts.append(self._medium(medium, f"{place}.parts[{at}]"))
        opened = self.signature(wire)
        return ToolResultPart(
            call_id=call_id,
            name=result.name or None,
            parts=tuple(parts),
            error=error,
            signature=opened.signature if opened else None,
            extras=extras,
        )

    def _medium(self, wire: _wire.MediaResult, path: str) -> Part:
        found = self.strangers(wire, path)
        extras = kept(found) or None
        if wire.inline_data is not UNSET:
            return self._blob(wire.inline_data, extras, None, path)
        if wire.file_data is not UNSET:
            return self._address(wire.file_data, extras, None, path)
        kind = next(iter(found), "")
        return OpaquePart(dialect=NAME, kind=kind, raw=raw(found))

    def _inline(self, wire: _wire.Part, blob: _wire.Blob, path: str) -> MediaPart:
        return self._blob(blob, self.extras(wire, "inlineData", path), wire, path)

    def _file(self, wire: _wire.Part, file: _wire.FileData, path: str) -> MediaPart:
        return self._address(file, self.extras(wire, "fileData", path), wire, path)

    def _blob(
        self, blob: _wire.Blob, extras: Extras | None, wire: _wire.Part | None, at: str
    ) -> MediaPart:
        place = f"{at}.inlineData"
        extras = nested("inlineData", self.strangers(blob, place), extras)
        data = blob.data or ""
        octets = standard(data)
        if octets != data:
            extras = {**(extras or {}), "@base64": raw(_spelling(data, octets))}
        elif blob.data is UNSET:
            extras = {**(extras or {}), "@base64": NULL}
        return self._media(blob, Base64(octets), extras, wire)

    def _address(
        self,
        file: _wire.FileData,
        extras: Extras | None,
        wire: _wire.Part | None,
        at: str,
    ) -> MediaPart:
        extras = nested("fileData", self.strangers(file, f"{at}.fileData"), extras)
        if file.file_uri is UNSET:
            extras = {**(extras or {}), "@fileUri": NULL}
        address = file.file_uri or ""
        source: Source = Url(address)
        if address.startswith(GOOGLE_FILES) or "://" not in address:
            source = FileId(address)
        return self._media(file, source, extras, wire)

    def _media(
        self,
        wire: _wire.Blob | _wire.FileData,
        source: Source,
        extras: Extras | None,
        part: _wire.Part | None,
    ) -> MediaPart:
        mime = wire.mime_type or None
        kind = kind_of(mime)
        if mime is None and isinstance(source, Url) and source.url.startswith(YOUTUBE):
            kind = "video"
        detail, extras = _detail(extras)
        opened = self.signature(part) if part is not None else None
        return MediaPart(
            kind=kind,
            mime=mime,
            source=source,
            name=wire.display_name or None,
            detail=detail,
            signature=opened.signature if opened else None,
            extras=extras,
        )

    def _server(self, wire: _wire.Part, path: str) -> Part | None:
        for attribute, name in SERVER_CALLS:
            payload = getattr(wire, attribute)
            if payload is not UNSET:
                return self._ran(ServerToolCallPart, wire, name, payload, path)
        for attribute, name in SERVER_RESULTS:
            payload = getattr(wire, attribute)
            if payload is not UNSET:
                return self._ran(ServerToolResultPart, wire, name, payload, path)
        return None

    def _ran(
        self,
        kind: type[ServerToolCallPart] | type[ServerToolResultPart],
        wire: _wire.Part,
        name: str,
        payload: Raw,
        path: str,
    ) -> Part:
        opened = self.signature(wire)
        return kind(
            name=name,
            call_id=_id_of(payload),
            payload=payload,
            signature=opened.signature if opened else None,
            extras=self.extras(wire, name, path),
        )

    def _opaque(self, wire: _wire.Part, path: str) -> OpaquePart:
        found = self.strangers(wire, path)
        named = (name for at, name in _DATA if getattr(wire, at) is not UNSET)
        kind = next(named, next((n for n, v in found.items() if v != NULL), ""))
        return OpaquePart(dialect=NAME, kind=kind, raw=whole(wire))


def _holds_several(wire: _wire.Part) -> bool:
    """Whether more than one data field is there, which Google never sends."""
    return (
        (wire.text is not UNSET)
        + (wire.function_call is not UNSET)
        + (wire.function_response is not UNSET)
        + (wire.inline_data is not UNSET)
        + (wire.file_data is not UNSET)
        + (wire.executable_code is not UNSET)
        + (wire.code_execution_result is not UNSET)
        + (wire.tool_call is not UNSET)
        + (wire.tool_response is not UNSET)
    ) > 1


def whole(wire: Wire) -> Raw:
    """`wire` with its strangers, as JSON."""
    members = {**decode_object(encode(wire)), **strangers(wire)}
    return Raw(encode(members))


def _text_of(value: str) -> str:
    """The text that base64 `value` stands for, "" if it stands for none."""
    try:
        return base64.b64decode(standard(value), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""


def _spelling(data: str, octets: str) -> str | None:
    """How `data` spells the bytes of `octets`; None: in a way that is not kept."""
    for spelling in ("url", "url-bare", "bare"):
        if respelled(octets, spelling) == data:
            return spelling
    return None


def respelled(octets: str, spelling: str | None) -> str:
    """Standard base64 `octets` as `_spelling` named it."""
    if spelling is not None and spelling.startswith("url"):
        octets = octets.replace("+", "-").replace("/", "_")
    if spelling is not None and spelling.endswith("bare"):
        octets = octets.rstrip("=")
    return octets


def _detail(extras: Extras | None) -> tuple[str | None, Extras | None]:
    """The resolution, where it is one of three words and nothing else."""
    given = extras.get("mediaResolution") if extras else None
    if extras is None or given is None:
        return None, extras
    for word, detail in DETAILS.items():
        if b"".join(bytes(given).split()) == b'{"level":"%b"}' % word.encode():
            rest = {k: v for k, v in extras.items() if k != "mediaResolution"}
            return detail, rest or None
    return None, extras


def _id_of(payload: Raw) -> str | None:
    if b'"id"' not in bytes(payload):
        return None
    members = parsed(payload)
    native = members.get("id") if isinstance(members, dict) else None
    return native if isinstance(native, str) and native else None


_WHOLE: Final = "whole"


def _output(
    response: Raw | UnsetType, path: str
) -> tuple[str | None, bool, str | None]:
    """Text of a result, whether it is an error, and the form it stood in."""
    if response is UNSET:
        return None, False, "absent"
    text = bytes(response).decode("utf-8", "replace")
    if not text.startswith("{"):
        return text, False, _WHOLE
    members: Mapping[str, Raw] = decode_object(bytes(response), path)
    if len(members) == 1:
        for key in ("output", "error"):
            value = members.get(key)
            if value is None:
                continue
            if bytes(value)[:1] == b'"':
                inner: Any = decode_any(bytes(value), path)
                return inner or None, key == "error", None
            decode_raw(bytes(value), path)
            return bytes(value).decode("utf-8", "replace"), key == "error", key
    return text, "error" in members, _WHOLE


class _OpenCall(Struct):
    call_id: str
    name: str
    native: bool


@lru_cache(maxsize=4096)
def _placed_id(ordinal: int) -> str:
    """The id of the `ordinal`-th call without one in a conversation."""
    return mint_call("", ordinal)


class CallBook:
    """Which result of a conversation answers which call.

    Ids may be missing on either side: then the first open call of the same name is
    meant, for results stand in the order of their calls. Calls without an id get one
    from their place in the conversation, so that equal histories stay equal.
    """

    def __init__(self) -> None:
        self._open: list[_OpenCall] = []
        self._calls = 0
        self._results = 0
        self._answering = False

    def call(self, native: str | None, name: str) -> tuple[str, Extras | None]:
        """The id of the next call."""
        if self._answering:
            self._open.clear()
            self._answering = False
        if native is None:
            call_id = _placed_id(self._calls)
            self._calls += 1
        else:
            call_id = native
        self._open.append(_OpenCall(call_id, name, native is not None))
        return call_id, _id_note(native, call_id)

    def result(self, native: str | None, name: str) -> tuple[str, Extras | None]:
        """The id of the call that the next result answers."""
        self._answering = True
        found = self._match(native, name)
        if found is not None:
            self._open.remove(found)
            call_id = found.call_id
        elif native is not None:
            call_id = native
        else:
            call_id = mint("tc_", "", "result", self._results)
            self._results += 1
        return call_id, _id_note(native, call_id)

    def _match(self, native: str | None, name: str) -> _OpenCall | None:
        if native is not None:
            for known in self._open:
                if known.call_id == native:
                    return known
        for known in self._open:
            if known.name == name and not (native and known.native):
                return known
        return None


def _id_note(native: str | None, call_id: str) -> Extras | None:
    """A note where the id on the wire is not what would be written for `call_id`."""
    sent = None if is_minted_call(call_id) else call_id
    return None if sent == native else {"@id": raw(native)}
