"""Log probabilities of tokens: entries of `choices[].logprobs` and back."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType

from llmwire._json import Schema, Wire, level, strangers
from llmwire.dialects.openai_chat._notes import Kept, absent, said
from llmwire.dialects.openai_chat._wire import TokenEntry
from llmwire.messages import TokenLogprob


class LogprobLists(Wire):
    """What `logprobs` of a choice holds: one list per member of the message."""

    content: list[TokenEntry] | UnsetType | None = UNSET
    refusal: list[TokenEntry] | UnsetType | None = UNSET
    reasoning_content: list[TokenEntry] | UnsetType | None = UNSET
    reasoning: list[TokenEntry] | UnsetType | None = UNSET


LISTS: Final = ("content", "refusal", "reasoning_content", "reasoning")
"""Names of the lists that are read."""
_SCHEMA: Final = Schema(LogprobLists, tolerant=True)


def read_lists(raw: Raw) -> tuple[LogprobLists, dict[str, Raw]]:
    """The lists of `raw` and its strangers.

    Raises:
        RemoteProtocolError: It is no object.
    """
    wire = _SCHEMA.decode(raw)
    return wire, strangers(wire)


def read_tokens(entries: list[TokenEntry]) -> tuple[TokenLogprob, ...]:
    """The tokens of one list."""
    return tuple(_read(entry, True) for entry in entries)


def _read(entry: TokenEntry, outer: bool) -> TokenLogprob:
    kept = Kept(strangers(entry))
    logprob, octets, top = entry.logprob, entry.bytes, entry.top_logprobs
    if isinstance(logprob, UnsetType):
        kept.absent.append("logprob")
        logprob = None
    if isinstance(octets, UnsetType):
        kept.absent.append("bytes")
        octets = None
    if isinstance(top, UnsetType):
        if outer:
            kept.absent.append("top_logprobs")
        top = None
    elif top is None or (not top and not outer):
        kept.empty("top_logprobs", top)
    return TokenLogprob(
        entry.token,
        logprob,
        None if octets is None else tuple(octets),
        tuple(_read(each, False) for each in top or ()),
        kept.done(),
    )


def write_tokens(
    tokens: tuple[TokenLogprob, ...], *, native: bool, outer: bool = True
) -> list[dict[str, Any]]:
    """One list of `logprobs`."""
    return [_write(token, native, outer) for token in tokens]


def _write(token: TokenLogprob, native: bool, outer: bool) -> dict[str, Any]:
    # OpenAI says -9999.0 where a token is not among the likeliest.
    logprob = token.logprob
    if logprob is None and not native:
        logprob = -9999.0
    entry: dict[str, Any] = {
        "token": token.token,
        "logprob": logprob,
        "bytes": None if token.bytes is None else list(token.bytes),
    }
    if outer or token.top:
        entry["top_logprobs"] = write_tokens(token.top, native=native, outer=False)
    if native and token.extras:
        for name in absent(token.extras):
            if not entry.get(name):
                entry.pop(name, None)
        for name, value in said(token.extras).items():
            if not entry.get(name):
                entry[name] = value
        for name, value in level(token.extras).items():
            entry.setdefault(name, value)
    return entry
