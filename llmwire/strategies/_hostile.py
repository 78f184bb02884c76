"""Wire bytes of streams as nobody should send them, and ways to cut bytes.

Theory of operation: a well-formed stream of the dialect is drawn, then spoilt on three
levels, each by nothing, one or a few strokes: its frames (lost, repeated, foreign), the
JSON in them (wrong types, strangers, nulls, huge numbers) and its bytes (bits, splices,
cuts, line ends). What decodes such bytes must give a grammatical sentence and may never
raise.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from llmwire.errors import LocalProtocolError, UnknownDialect
from llmwire.strategies._streams import WRITERS, Draft, Tree, plans
from llmwire.strategies._values import pick, roll

_PLANS: Final = plans()
_FEW: Final = (0, 0, 1, 1, 1, 2, 4)
"""How many strokes on one level."""

# Frames

_FOREIGN: Final[Sequence[tuple[str | None, Tree | str]]] = (
    (None, "[DONE]"),
    (None, ""),
    (None, "not JSON"),
    (None, "{"),
    (None, "null"),
    (None, "[]"),
    (None, "[" * 2000),
    (None, '{"a":' * 2000),
    (None, '{"choices":[NaN]}'),
    (None, '{"type":"\\ud800"}'),
    (None, {}),
    (None, {"type": "x_new", "index": 0}),
    (None, {"object": "x.new", "choices": None}),
    (None, {"error": {"message": "m", "type": "server_error", "code": None}}),
    (None, {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}),
    (None, {"error": "text"}),
    (None, {"promptFeedback": {"blockReason": "SAFETY"}}),
    ("ping", {"type": "ping"}),
    ("error", {"type": "error", "error": {"type": "api_error", "message": "m"}}),
    ("error", {"type": "error", "code": None, "message": "m", "param": None}),
    ("x_new", {"type": "x_new", "sequence_number": 2, "item": {}}),
)


def _place(draw: DrawFn, row: Sequence[object]) -> int:
    """A place in `row`, its end included."""
    return roll(draw, len(row) + 1)


def _lose(draw: DrawFn, frames: list[Draft], dialect: str) -> None:
    at = _place(draw, frames)
    del frames[at : at + 1]


def _repeat(draw: DrawFn, frames: list[Draft], dialect: str) -> None:
    at, to = _place(draw, frames), _place(draw, frames)
    frames[to:to] = copy.deepcopy(frames[at : at + 1])


def _swap(draw: DrawFn, frames: list[Draft], dialect: str) -> None:
    at = _place(draw, frames)
    frames[at : at + 2] = frames[at : at + 2][::-1]


def _break_off(draw: DrawFn, frames: list[Draft], dialect: str) -> None:
    del frames[_place(draw, frames) :]


def _insert_foreign(draw: DrawFn, frames: list[Draft], dialect: str) -> None:
    event, data = pick(draw, _FOREIGN)
    frames.insert(_place(draw, frames), Draft(copy.deepcopy(data), event))


def _insert_dialect(draw: DrawFn, frames: list[Draft], dialect: str) -> None:
    """A frame of another answer, or of another dialect."""
    other = pick(draw, (dialect, *WRITERS))
    others = list(WRITERS[other](draw(_PLANS)))
    frames.insert(_place(draw, frames), pick(draw, others))


def _rename_event(draw: DrawFn, frames: list[Draft], dialect: str) -> None:
    at = _place(draw, frames)
    for frame in frames[at : at + 1]:
        frame.event = pick(draw, (None, "", "error", "x_new", "message"))


_ON_FRAMES: Final = (
    _lose,
    _repeat,
    _swap,
    _break_off,
    _insert_foreign,
    _insert_foreign,
    _insert_dialect,
    _rename_event,
)

# JSON

Node: TypeAlias = dict[str, object] | list[object]
_NODES: Final = (dict, list)
_ODD: Final[tuple[object, ...]] = (
    None,
    0,
    -1,
    1,
    2**31,
    2**64,
    10**30,
    1.5,
    1e308,
    True,
    "",
    "0",
    "x_new",
    "🙂",
    [],
    [None],
    [[]],
    {},
    {"": None},
    {"type": "x_new"},
    {"type": 1},
    {"text": None, "index": "0"},
    "9" * 400,
    "a" * 3000,
)
_STRANGE: Final = ("x_new", "index", "type", "id", "", 'q"', "a/b", "@note", "delta")


def _spoil_one(draw: DrawFn, frames: list[Draft]) -> None:
    trees = [(at, f.data) for at, f in enumerate(frames) if isinstance(f.data, dict)]
    if trees:
        at, tree = pick(draw, trees)
        spoilt = copy.deepcopy(tree)
        _spoil(draw, spoilt)
        frames[at] = Draft(spoilt, frames[at].event)


def _spoil(draw: DrawFn, node: Node) -> None:
    """One stroke somewhere in the tree `node`."""
    while roll(draw, 3):
        children = node.values() if isinstance(node, dict) else node
        below = [child for child in children if child and isinstance(child, _NODES)]
        if not below:
            break
        node = pick(draw, below)
    odd = copy.deepcopy(pick(draw, _ODD))
    form = roll(draw, 4)
    if isinstance(node, list):
        at = _place(draw, node)
        node[at : at + (form > 0)] = [] if form == 3 else [odd]
    elif form == 1 and node:
        del node[pick(draw, list(node))]
    else:
        node[pick(draw, (*node, *_STRANGE))] = odd


# Bytes


def _flip(draw: DrawFn, data: bytearray) -> None:
    at, mask = _place(draw, data), 1 << roll(draw, 8)
    data[at : at + 1] = bytes(octet ^ mask for octet in data[at : at + 1])


def _cut(draw: DrawFn, data: bytearray) -> None:
    del data[_place(draw, data) :]


def _cut_out(draw: DrawFn, data: bytearray) -> None:
    at = _place(draw, data)
    del data[at : at + 1 + roll(draw, 40)]


def _double(draw: DrawFn, data: bytearray) -> None:
    at, to = _place(draw, data), _place(draw, data)
    data[to:to] = data[at : at + 1 + roll(draw, 80)]


def _put_in(draw: DrawFn, data: bytearray) -> None:
    at = _place(draw, data)
    data[at:at] = pick(draw, _NOISE)


_NOISE: Final = (
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\n\r\n",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"data:",
    b"data: {}\n\n",
    b"data\n\n",
    b": comment\n",
    b"event: error\n",
    b"id: 1\nretry: 1\n\n",
    b'{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}\n',
    b"<html>502 Bad Gateway</html>",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
)
_ON_BYTES: Final = (_flip, _cut, _cut_out, _double, _put_in)


# Writing

_ENDS: Final = ("\n", "\n", "\n", "\r\n", "\r")
_PREFIXES: Final = ("", "", "", "\ufeff", ": hello\n\n", "\n\n", "retry: 5\n")
_BETWEEN: Final = ("", "", "", "", ": keep-alive\n\n", "id: 7\n", ":\n", "\n")


def _written(data: Tree | str, indented: bool) -> str:
    if isinstance(data, str):
        return data
    if indented:
        return json.dumps(data, ensure_ascii=False, indent=1)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _as_sse(draw: DrawFn, frames: list[Draft]) -> str:
    end = pick(draw, _ENDS)
    odd = roll(draw, 4) == 3
    pieces = [pick(draw, _PREFIXES)]
    for frame in frames:
        if odd:
            pieces.append(pick(draw, _BETWEEN))
        if frame.event is not None:
            pieces.append(f"event: {frame.event}\n")
        form = roll(draw, 4) if odd else 0
        text = _written(frame.data, form == 3)
        lead = "data:" if form == 2 else "data: "
        pieces += [f"{lead}{line}\n" for line in text.split("\n")]
        pieces.append("\n")
    text = "".join(pieces)
    return text.replace("\n", end) if end != "\n" else text


def _as_array(draw: DrawFn, frames: list[Draft]) -> str:
    between = pick(draw, (",\r\n", ",", ",\n", "\n,\n"))
    texts = [_written(frame.data, roll(draw, 4) == 3) for frame in frames]
    return pick(draw, ("[", "[", "\ufeff[", " [\n")) + between.join(texts) + "]"


_FRAMINGS: Final[dict[str, Callable[[DrawFn, list[Draft]], str]]] = {
    "sse": _as_sse,
    "json-array": _as_array,
}


@st.composite
def _hostile(draw: DrawFn, dialect: str, framing: str) -> bytes:
    if roll(draw, 24) == 23:
        return draw(_GARBAGE)
    frames = list(WRITERS[dialect](draw(_PLANS)))
    for _ in range(pick(draw, _FEW)):
        pick(draw, _ON_FRAMES)(draw, frames, dialect)
    for _ in range(pick(draw, _FEW)):
        _spoil_one(draw, frames)
    text = _FRAMINGS[framing](draw, frames)
    data = bytearray(text.encode())
    for _ in range(pick(draw, _FEW)):
        pick(draw, _ON_BYTES)(draw, data)
    return bytes(data)


_GARBAGE: Final = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from(_NOISE), max_size=12).map(b"".join),
    st.just(b"<html>\n<body>502 Bad Gateway</body>\n</html>\n"),
)


@cache
def _hostile_bytes(dialect: str, framing: str) -> SearchStrategy[bytes]:
    return _hostile(dialect, framing)


def hostile_bytes(dialect: str, *, framing: str = "sse") -> SearchStrategy[bytes]:
    """Bytes of a stream in `dialect`, well-formed, spoilt, or nothing like it.

    Args:
        dialect: One of the built-in four.
        framing: `sse` or `json-array`.

    Raises:
        UnknownDialect: There are no frames of this dialect here.
        LocalProtocolError: There is no such framing.
    """
    if dialect not in WRITERS:
        raise UnknownDialect(f"no hostile bytes of dialect {dialect!r}")
    if framing not in _FRAMINGS:
        raise LocalProtocolError(f"no framing {framing!r}")
    return _hostile_bytes(dialect, framing)


def chunks(data: bytes) -> SearchStrategy[list[bytes]]:
    """Divisions of `data`: their pieces, some of them empty, joined are `data`.

    One piece, a few, or every byte for itself.
    """
    cuts = st.lists(st.integers(0, len(data)), max_size=8).map(sorted)
    some = cuts.map(lambda at: [data[a:b] for a, b in pairwise((0, *at, len(data)))])
    single = [data[at : at + 1] for at in range(len(data))]
    return st.one_of(some, st.sampled_from(([data], single)).map(list))
