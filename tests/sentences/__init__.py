"""Streams written by hand: the bytes on the wire and the sentence they must read as.

Each case is a small rewriting of something a real server does; the events were written
down from the protocol's rules, never copied from a decoder's output.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from llmwire.events import Event

__all__ = ("StreamCase",)


class StreamCase(Struct, frozen=True, kw_only=True):
    """One stream: what came, what it says, and which repairs reading it takes."""

    name: str
    like: str
    """Id of the recording whose shape this is, in the corpus of recorded traffic."""
    framing: str = "sse"
    wire: bytes
    events: tuple[Event, ...]
    violations: Mapping[str, int] = {}
    """Repairs by rule name, as `StreamDecoder.violations` counts them."""
