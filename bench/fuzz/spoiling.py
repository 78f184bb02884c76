"""Small ways to spoil bytes and JSON, by a `random.Random`: fast, and repeatable.

Bytes know nothing of what they are; JSON is varied along a recorded tree, with values
that were recorded under the same name, and odd ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final

import msgspec

__all__ = ("Vocabulary", "cut", "spoil_bytes", "vary")

NOISE: Final = (
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\n\r\n",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"data:",
    b"data: {}\n\n",
    b"data: [DONE]\n\n",
    b": comment\n",
    b"event: error\n",
    b"id: 1\nretry: 1\n\n",
    b'{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}\n',
    b'data: {"type":"error","error":{"type":"api_error","message":"m"}}\n\n',
    b"<html>502 Bad Gateway</html>",
    b'"',
    b"\\",
    b"\\ud800",
    b"\\u0000",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"1e999",
    b"-0",
    b"NaN",
    b"99999999999999999999",
    b"transfer-encoding: chunked\r\n",
    b"content-length: 1\r\n",
    b"0\r\n\r\n",
    b"[" * 600,
    b'{"a":' * 600,
)
ODD: Final[tuple[Any, ...]] = (
    None,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    10**30,
    1.5,
    1e308,
    True,
    False,
    "",
    "0",
    "null",
    "{}",
    '{"a": 1',
    "x_new",
    "\x00",
    "🙂",
    "data:image/png;base64,AAAA",
    "llmw1.gemini.e30",
    [],
    [None],
    [[]],
    [{}],
    {},
    {"": None},
    {"type": "x_new"},
    {"type": 1},
    {"text": None, "index": "0"},
    "9" * 300,
)
STRANGE: Final = ("x_new", "index", "type", "id", "", 'q"', "a/b", "@note", "delta")


def _flip(rng: Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] = rng.randrange(256)


def _truncate(rng: Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def _cut_out(rng: Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    del data[at : at + 1 + rng.randrange(60)]


def _duplicate(rng: Random, data: bytearray) -> None:
    at, to = rng.randrange(len(data)), rng.randrange(len(data))
    data[to:to] = data[at : at + 1 + rng.randrange(120)]


def _insert(rng: Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.choice(NOISE)


def _swap_lines(rng: Random, data: bytearray) -> None:
    lines = bytes(data).splitlines(keepends=True)
    at = rng.randrange(len(lines))
    line = lines.pop(at)
    lines.insert(rng.randrange(len(lines) + 1), line)
    data[:] = b"".join(lines)


_STROKES: Final[tuple[Callable[[Random, bytearray], None], ...]] = (
    _flip,
    _flip,
    _overwrite,
    _truncate,
    _cut_out,
    _duplicate,
    _insert,
    _insert,
    _swap_lines,
)


def spoil_bytes(rng: Random, data: bytes, other: bytes) -> bytes:
    """`data` after one to four strokes; sometimes its end is that of `other`."""
    spoilt = bytearray(data)
    if rng.random() < 0.15:
        spoilt[rng.randrange(len(spoilt) + 1) :] = other[rng.randrange(len(other)) :]
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        if spoilt:
            rng.choice(_STROKES)(rng, spoilt)
    return bytes(spoilt)


def cut(rng: Random, data: bytes) -> list[bytes]:
    """A division of `data`: single bytes, or a few pieces, some of them empty."""
    if rng.random() < 0.2:
        return [data[at : at + 1] for at in range(len(data))]
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(6)))
    return [data[a:b] for a, b in zip([0, *places], [*places, None], strict=True)]


class Vocabulary:
    """What was recorded under which name."""

    def __init__(self, trees: Iterable[Any]) -> None:
        self._values: dict[str, list[Any]] = {}
        self._all: list[Any] = []
        for tree in trees:
            self._learn("", tree)

    def _learn(self, name: str, value: Any) -> None:
        known = self._values.setdefault(name, [])
        if value not in known and len(known) < 60:
            known.append(value)
            self._all.append(value)
        if isinstance(value, dict):
            for inner, child in value.items():
                self._learn(inner, child)
        elif isinstance(value, list):
            for child in value:
                self._learn(name, child)

    def word(self, rng: Random, name: str) -> Any:
        """A value for member `name`: recorded there, recorded anywhere, or odd."""
        dice = rng.random()
        if dice < 0.6 and name in self._values:
            return rng.choice(self._values[name])
        return rng.choice(self._all) if dice < 0.75 and self._all else rng.choice(ODD)

    def name(self, rng: Random) -> str:
        """The name of a member."""
        if rng.random() < 0.7 and self._values:
            return rng.choice(list(self._values))
        return rng.choice(STRANGE)


def vary(rng: Random, words: Vocabulary, value: Any, name: str, rate: float) -> Any:
    """`value` with each node changed at `rate`; nothing of `value` itself changes."""
    if rng.random() < rate:
        return words.word(rng, name)
    if isinstance(value, dict):
        varied = {
            inner: vary(rng, words, child, inner, rate)
            for inner, child in value.items()
            if rng.random() >= rate / 2
        }
        if rng.random() < rate / 2:
            strange = words.name(rng)
            varied[strange] = words.word(rng, strange)
        return varied
    if isinstance(value, list):
        row = [vary(rng, words, child, name, rate) for child in value]
        if row and rng.random() < rate:
            row.insert(rng.randrange(len(row)), rng.choice(row))
        return row
    return value


_encode = msgspec.json.Encoder().encode


def written(value: Any) -> bytes:
    """`value` as JSON; text that is no JSON as it is."""
    return value.encode() if isinstance(value, str) else _encode(value)
