"""The calls of one choice of a Chat stream, and strangers of parts.

Knows entries of `delta.tool_calls` and the tracker. Rules 5 and 6 of `_stream_read`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Raw, UnsetType

from llmwire import _seal
from llmwire._json import nested, strangers
from llmwire._parts import PartTracker, whole_arguments
from llmwire.dialects import ResponseSource
from llmwire.dialects.openai_chat._message_read import google_signature
from llmwire.dialects.openai_chat._wire import DeltaCall, DeltaFunction
from llmwire.dialects.openai_chat._writing import NAME
from llmwire.events import Extra, SignatureDelta
from llmwire.messages import Extras, Signature, ToolCallPart

Before: TypeAlias = Callable[[], None]
"""Called before a call opens: other parts close."""
_CALL: Final = frozenset(DeltaCall.__struct_encode_fields__)


class PartStrangers:
    """Strangers of parts, told when they are new or have changed."""

    def __init__(self, tracker: PartTracker) -> None:
        self._tracker = tracker
        self._seen: dict[int, Extras] = {}

    def start(self, index: int, extras: Extras | None) -> None:
        """Part `index` started with `extras`."""
        self._seen[index] = dict(extras or {})

    def seen(self, index: int) -> Extras:
        """What was told of part `index`."""
        return self._seen.setdefault(index, {})

    def tell(self, index: int, extras: Extras) -> None:
        """Tell what of `extras` is news."""
        seen = self.seen(index)
        fresh = {n: v.copy() for n, v in extras.items() if seen.get(n) != v}
        if fresh:
            seen.update(fresh)
            self._tracker.emit(Extra(fresh, index=index))


def asked(signature: Signature, source: ResponseSource) -> Signature:
    """A signature of this server's own says whose it is."""
    if signature.origin != NAME or (source.model, source.tag) == (None, None):
        return signature
    return Signature(
        origin=NAME, value=signature.value, model=source.model, tag=source.tag
    )


def copied(members: dict[str, Raw]) -> dict[str, Raw]:
    """`members` that no longer hold their frame's bytes."""
    return {name: value.copy() for name, value in members.items()}


class _Call:
    """A call that may still grow; it has no part until its name is known."""

    __slots__ = ("custom", "extras", "id", "index", "name", "signature")

    def __init__(self) -> None:
        self.index = -1
        self.id = ""
        self.name = ""
        self.custom = False
        self.extras: Extras = {}
        self.signature: Signature | None = None


class CallReader:
    """The calls of one choice while they come.

    Args:
        choice: Its index.
        tracker: Takes the events.
        source: From whom the answer comes.
        strangers: Of the parts of the choice.
    """

    def __init__(
        self,
        choice: int,
        tracker: PartTracker,
        source: ResponseSource,
        strangers: PartStrangers,
    ) -> None:
        self.any = False
        """A call has opened."""
        self.grown = -1
        """The call that grew last."""
        self._choice = choice
        self._tracker = tracker
        self._source = source
        self._strangers = strangers
        self._calls: dict[object, _Call] = {}

    def read(self, wire: DeltaCall, place: int, before: Before) -> None:
        """Take one entry of `delta.tool_calls`, the `place`-th."""
        index = wire.index
        missing = isinstance(index, UnsetType) or index is None
        key: object = place if missing else index
        call = self._calls.get(key)
        custom = bool(wire.custom) or wire.type == "custom"
        name, text, rest = _said(wire)
        if call is not None and self._is_another(call, wire, name, text, missing):
            call = None
        if call is None:
            call = self._calls[key] = _Call()
        call.custom = call.custom or custom
        call.id = call.id or wire.id or ""
        repeats = bool(call.index >= 0 and (wire.id or name))
        call.name = call.name or name
        self._call_strangers(call, wire, rest)
        if call.index < 0 and (call.name or text):
            self._open_call(call, before)
        if text and call.index >= 0:
            if repeats and self._tracker.is_open(call.index):
                known = self._tracker.arguments_so_far(call.index)
                if known == text and whole_arguments(known):
                    self._tracker.violation("repeated-arguments")
                    return
            self.grown = call.index
            self._tracker.arguments(call.index, text)

    def _is_another(
        self, call: _Call, wire: DeltaCall, name: str, text: str, missing: bool
    ) -> bool:
        """Whether an entry at the place of `call` begins another one."""
        if wire.id and call.id:
            if wire.id != call.id:
                self._tracker.violation("reused-index")
                return True
            return False
        if not name or call.index < 0 or not self._tracker.is_open(call.index):
            return False
        known = self._tracker.arguments_so_far(call.index)
        whole = bool(known) and whole_arguments(known)
        if name != call.name:
            another = whole or missing or not known
        else:
            another = whole and (missing or (bool(text) and text != known))
        if another and not missing:
            self._tracker.violation("reused-index")
        return another

    def _open_call(self, call: _Call, before: Before) -> None:
        before()
        part = ToolCallPart(
            call_id=self._tracker.call_id(call.id),
            name=call.name,
            kind="custom" if call.custom else "function",
            signature=call.signature,
            extras=call.extras or None,
        )
        call.index = self._tracker.open(part, self._choice)
        self._strangers.start(call.index, call.extras)
        self.any = True

    def _call_strangers(
        self, call: _Call, wire: DeltaCall, rest: dict[str, Raw]
    ) -> None:
        found = strangers(wire)
        if not found and not rest:
            return
        members = {n: v for n, v in found.items() if n not in _CALL}
        signature = self._google(members)
        prefix = "custom" if call.custom else "function"
        extras = nested(prefix, rest, nested("", members, None)) or {}
        if call.index < 0:
            call.extras |= copied(extras)
            call.signature = signature or call.signature
            return
        self._strangers.tell(call.index, extras)
        if signature is not None:
            self._tracker.emit(SignatureDelta(call.index, signature))

    def _google(self, members: dict[str, Raw]) -> Signature | None:
        """Google's own convention: `extra_content.google.thought_signature`."""
        raw = members.get("extra_content")
        if raw is None:
            return None
        text, alone = google_signature(raw)
        if not text:
            return None
        if alone:
            del members["extra_content"]
        return asked(_seal.read(text, NAME).signature, self._source)

    def read_legacy(self, function: DeltaFunction, before: Before) -> None:
        """`function_call`: the one call of a server of 2023."""
        call = self._calls.get("legacy")
        name, text = _function_text(function)
        if call is None:
            call = self._calls["legacy"] = _Call()
            call.extras = {"@legacy": Raw(b"true")}
        call.name = call.name or name
        if call.index < 0 and (call.name or text):
            self._open_call(call, before)
        if text and call.index >= 0:
            self.grown = call.index
            self._tracker.arguments(call.index, text)

    def settle(self, before: Before) -> None:
        """Open the calls of which nothing but an id came."""
        for call in self._calls.values():
            if call.index < 0 and (call.id or call.extras):
                self._open_call(call, before)


def _said(wire: DeltaCall) -> tuple[str, str, dict[str, Raw]]:
    """Name, text and strangers of what is called."""
    custom, function = wire.custom, wire.function
    if custom:
        return custom.name or "", custom.input or "", strangers(custom)
    if function:
        name, text = _function_text(function)
        rest = {
            n: v
            for n, v in strangers(function).items()
            if n not in ("arguments", "name")
        }
        return name, text, rest
    return "", "", {}


def _function_text(function: DeltaFunction) -> tuple[str, str]:
    text = function.arguments
    if isinstance(text, UnsetType) or text is None:
        raw = strangers(function).get("arguments")
        text = "" if raw is None else bytes(raw).decode("utf-8", "replace")
    return function.name or "", text
