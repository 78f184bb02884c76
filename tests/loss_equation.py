"""The law of losses, as an equation between a request and what was read back of it.

Let `d` be `decode(encode(r))`. Every path at which `r` and `d` differ lies under the
path of some loss, and every loss of action dropped or approximated names a path at
which they differ. Paths are paths in `r`. Not compared: dialects, ids and groups, the
protocol's version and betas, raw words, notes and nulls in extras. Elements of `r` that
a loss drops whole are left out before the rest is lined up, so that those behind them
meet their own likes; where turns were joined or split, only the parts are lined up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from llmwire.losses import Loss
from llmwire.messages import Message, Signature, ToolCallPart
from llmwire.requests import Request

_IGNORED: Final = frozenset({"dialect", "id", "group", "raw", "version", "betas"})
_OF_MESSAGES: Final = frozenset({"instructions", "instructions.top"})
_TOLD: Final = ("dropped", "approximated")


def complaints(
    request: Request, decoded: Request, losses: Sequence[Loss], *, ignore: str = ""
) -> list[str]:
    """Where the law is broken.

    Args:
        request: What was encoded.
        decoded: What was read back.
        losses: What the encoder reported.
        ignore: More names that are not compared, separated by blanks.
    """
    dropped = {loss.path for loss in losses if loss.action == "dropped"}
    joined = any(loss.feature == "message.boundary" for loss in losses)
    skipped = {*_IGNORED, *ignore.split()}
    made = {loss.path for loss in losses if loss.action == "emulated"}
    found = list(_request(request, decoded, dropped, made, joined, skipped))
    covered = [loss.path for loss in losses]
    wrong = [
        f"{path}: differs and no loss says so"
        for path in found
        if not any(_under(path, place) for place in covered)
    ]
    for loss in losses:
        if joined and loss.feature in _OF_MESSAGES:
            continue  # where only parts are lined up
        if loss.action in _TOLD and loss.feature != "message.boundary":
            said = any(
                _under(path, loss.path) or _under(loss.path, path) for path in found
            )
            if not said and not _hidden(loss, request, skipped):
                wrong.append(f"{loss.path}: {loss.action} ({loss.feature}), and equal")
    return wrong


def _hidden(loss: Loss, request: Request, skipped: set[str]) -> bool:
    """Whether parts were moved that only differ in what is not compared."""
    place = re.fullmatch(r"messages\[(\d+)\]\.parts", loss.path)
    if loss.feature != "part.order" or place is None:
        return False
    parts = request.messages[int(place[1])].parts
    return any(
        not list(_values(one, other, "", set(), skipped))
        for one, other in combinations(parts, 2)
    )


def _under(path: str, place: str) -> bool:
    """Whether `path` is `place` or lies inside it."""
    return path == place or path.startswith((f"{place}.", f"{place}["))


def _request(
    left: Request,
    right: Request,
    dropped: set[str],
    made: set[str],
    joined: bool,
    skipped: set[str],
) -> Iterator[str]:
    names = [name for name in left.__struct_fields__ if name != "messages"]
    yield from _fields(left, right, names, "", dropped, skipped)
    if not joined:
        yield from _lists(left.messages, right.messages, "messages", dropped, skipped)
        return
    mine = list(_flat(left.messages, dropped, made))
    gone = [path for path in dropped if path.startswith("messages[")]
    yield from gone
    theirs = [part for m in right.messages for part in (m.parts or (m.role,))]
    for (path, part), other in zip(mine, theirs, strict=False):
        yield from _values(part, other, path, dropped, skipped)
    if len(mine) != len(theirs):
        yield "messages"


def _flat(
    messages: Sequence[Message], dropped: set[str], made: set[str]
) -> Iterator[tuple[str, object]]:
    for at, message in enumerate(messages):
        path = f"messages[{at}]"
        if path in dropped:
            continue
        kept = False
        if not message.parts:
            yield path, message.role
        for index, part in enumerate(message.parts):
            if f"{path}.parts[{index}]" not in dropped:
                kept = True
                yield f"{path}.parts[{index}]", part
        if message.parts and not kept and path in made:
            yield path, message.role


def _fields(
    left: Struct,
    right: Struct,
    names: Sequence[str],
    path: str,
    dropped: set[str],
    skipped: set[str],
) -> Iterator[str]:
    for name in names:
        if name in skipped:
            continue
        place = f"{path}.{name}" if path else name
        mine, theirs = getattr(left, name), getattr(right, name)
        if name == "arguments" and isinstance(left, ToolCallPart):
            mine, theirs = mine.strip() or "{}", theirs.strip() or "{}"
        if name == "extras":
            yield from _extras(mine, theirs, place)
        else:
            yield from _values(mine, theirs, place, dropped, skipped)


def _extras(left: Any, right: Any, path: str) -> Iterator[str]:
    mine, theirs = _meant(left), _meant(right)
    for key in [*mine, *(key for key in theirs if key not in mine)]:
        if mine.get(key) != theirs.get(key):
            yield f"{path}[{key}]"


def _meant(extras: Any) -> dict[str, Any]:
    return {
        key: msgspec.json.decode(value)
        for key, value in (extras or {}).items()
        if key[:1] != "@" and bytes(value) != b"null"
    }


def _values(
    left: Any, right: Any, path: str, dropped: set[str], skipped: set[str]
) -> Iterator[str]:
    if isinstance(left, Raw) and isinstance(right, Raw):
        if bytes(left) != bytes(right) and _plain(left) != _plain(right):
            yield path
    elif isinstance(left, Signature) and isinstance(right, Signature):
        if (left.origin, left.value) != (right.origin, right.value):
            yield path
    elif isinstance(left, Struct) and type(left) is type(right):
        names = left.__struct_fields__
        yield from _fields(left, right, names, path, dropped, skipped)
    elif isinstance(left, tuple) and isinstance(right, tuple):
        yield from _lists(left, right, path, dropped, skipped)
    elif left != right:
        yield path


def _plain(raw: Raw) -> Any:
    return msgspec.json.decode(raw)


def _lists(
    left: Sequence[Any],
    right: Sequence[Any],
    path: str,
    dropped: set[str],
    skipped: set[str],
) -> Iterator[str]:
    mine = [(f"{path}[{at}]", value) for at, value in enumerate(left)]
    kept = [(place, value) for place, value in mine if place not in dropped]
    yield from (place for place, _ in mine if place in dropped)
    for (place, value), other in zip(kept, right, strict=False):
        yield from _values(value, other, place, dropped, skipped)
    for place, _ in kept[len(right) :]:
        yield place
    for at in range(len(kept), len(right)):
        yield f"{path}[{len(left) + at - len(kept)}]"
