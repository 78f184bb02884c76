"""The shape that most frames of a stream share, learned from one of them.

A frame mostly differs from the one before in a single text, and perhaps in its padding
or in its usage. A `Template` holds the bytes around these: a frame of the same bytes
needs no decoding, and says just what decoding it would. Knows bytes and the events that
a text makes, nothing of choices.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec import DecodeError, MsgspecError, Raw
from msgspec.json import Decoder

from llmwire._json import decoder
from llmwire.dialects.openai_chat._usage import read_usage
from llmwire.events import Event, ReasoningDelta, TextDelta, UsageUpdate
from llmwire.messages import Usage

_GROWS: Final = re.compile(
    rb'"(content|reasoning_content|reasoning|reasoning_text)"\s*:\s*"'
)
_REST: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_TEXT: Final = Decoder(str)
_PADDED: Final = re.compile(rb'"(?:obfuscation|p|padding)"\s*:\s*"([A-Za-z0-9]*)"')
_USAGE: Final = re.compile(rb'"usage"\s*:\s*')


class Counts:
    """The usage of a stream, which some servers tell with every frame.

    Args:
        outside: Reasoning is not part of the completion tokens (by profile).
    """

    __slots__ = ("_outside", "_raw", "_usage", "given")

    def __init__(self, outside: bool) -> None:
        self._outside = outside
        self._raw: Raw | None = None
        self._usage: Usage | None = None
        self.given = b""
        """The object in the root of the frame that was decoded last."""

    def read(self, raw: Raw) -> UsageUpdate | None:
        """What `raw` tells, None where that is nothing new."""
        if raw == self._raw:
            return None
        usage = read_usage(raw, outside=self._outside)
        self._raw = raw.copy()
        if usage is None or usage == self._usage:
            return None
        self._usage = usage
        return UsageUpdate(usage)


class Template:
    """The bytes of a frame around what varies.

    Args:
        head: Before the text.
        tail: Behind the text, up to the padding or usage if one of these varies.
        foot: Behind it; None if neither varies.
        event: What the frame said, but for usage.
        thought: Where the pieces of a raw thought are collected.
        counts: Of the stream, if usage varies.
    """

    __slots__ = (
        "_counts",
        "_foot",
        "_head",
        "_index",
        "_kind",
        "_start",
        "_tail",
        "_thought",
    )

    def __init__(
        self,
        head: bytes,
        tail: bytes,
        foot: bytes | None,
        event: TextDelta | ReasoningDelta,
        thought: list[str],
        counts: Counts | None,
    ) -> None:
        self._head, self._tail, self._foot = head, tail, foot
        self._start = len(head)
        self._kind: type[Any] = type(event)
        self._index = event.index
        self._thought = thought if self._kind is ReasoningDelta else None
        self._counts = counts

    def read(self, data: bytes) -> list[Event] | None:
        """The events of a frame of this shape, None for every other."""
        if not data.startswith(self._head):
            return None
        start, tail, foot = self._start, self._tail, self._foot
        if foot is None:
            stop = len(data) - len(tail)
            if stop < start or not data.endswith(tail):
                return None
        else:
            stop = data.find(b'"', start)
            if not data.startswith(tail, stop):
                return None
        try:
            text = _TEXT.decode(data[start - 1 : stop + 1])
        except (MsgspecError, UnicodeError):
            return None
        events: list[Event] = [self._kind(self._index, text)] if text else []
        if foot is not None and not self._vary(data, stop, foot, events):
            return None
        if self._thought is not None and text:
            self._thought.append(text)
        return events

    def _vary(self, data: bytes, stop: int, foot: bytes, events: list[Event]) -> bool:
        """Whether what varies behind the text is padding, or usage, as it was.

        Usage that is new is told in `events`.
        """
        start, end = stop + len(self._tail), len(data) - len(foot)
        if end < start or not data.endswith(foot):
            return False
        found = data[start:end]
        if self._counts is None:
            return not found or (found.isascii() and found.isalnum())
        if found != self._counts.given:
            if not _is_object(found):
                return False
            self._counts.given = found
            update = self._counts.read(Raw(found))
            if update is not None:
                events.append(update)
        return True


def _is_object(octets: bytes) -> bool:
    """Whether `octets` are one JSON object on one line, with nothing around it."""
    if octets[:1] != b"{" or octets[-1:] != b"}" or b"\n" in octets:
        return False
    try:
        decoder(Raw).decode(octets)
    except (DecodeError, RecursionError):
        return False
    return True


def learned(
    data: bytes, events: Sequence[Event], field: str, thought: list[str], counts: Counts
) -> Template | None:
    """The shape of a frame that says one text and perhaps usage.

    Args:
        data: The frame's JSON.
        events: What it said.
        field: Member that held the text.
        thought: Where the pieces of a raw thought are collected.
        counts: Of the stream; has just read the frame's usage.
    """
    event = events[0]
    if isinstance(event, ReasoningDelta):
        if event.summary is not None:
            return None
    elif not isinstance(event, TextDelta):
        return None
    if len(events) > 1 and not isinstance(events[1], UsageUpdate):
        return None
    found = _GROWS.search(data)
    if found is None or found[1].decode() != field:
        return None
    start = found.end()
    stop = _REST.match(data, start).end()  # type: ignore[union-attr]  # matches always
    head, tail = data[:start], data[stop:]
    plain = b"\\" not in head and tail[:1] == b'"'
    if not plain or _GROWS.search(tail) or data[start:stop].decode() != event.text:
        return None
    padded = _PADDED.search(tail)
    if padded is not None:
        border, foot = padded.start(1), tail[padded.end(1) :]
        return Template(head, tail[:border], foot, event, thought, None)
    border = _usage_border(head, tail, counts.given)
    if border:
        foot = tail[border + len(counts.given) :]
        return Template(head, tail[:border], foot, event, thought, counts)
    return Template(head, tail, None, event, thought, None)


def _usage_border(head: bytes, tail: bytes, given: bytes) -> int:
    """Where in `tail` the root's usage starts, 0 if that is not certain.

    Without escapes the word in quotes is always a whole string, and where the root has
    the member, a single one is its name.
    """
    if not given or b"\\" in tail or (head + tail).count(b'"usage"') != 1:
        return 0
    found = _USAGE.search(tail)
    return found.end() if found and tail.startswith(given, found.end()) else 0
