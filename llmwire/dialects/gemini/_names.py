"""What proto3 JSON allows a client to write, brought to the one form of `_wire`.

Google's parser takes a member's lowerCamelCase name or its original snake_case one,
and, as its servers show, a single value where a list is due (`"parts": {"text": …}`).
Both are put right level by level along the wire types, never below islands such as
arguments, results and schemas. A list made of a single value is noted beside it as
`"@parts"`, so that it can be written back as it was.

https://protobuf.dev/programming-guides/json/
"""

from __future__ import annotations

import re
from functools import cache
from typing import (
    Any,
    Final,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import DecodeError, Raw, ValidationError

from llmwire._json import NULL, Schema, Wire, decode_object, decoder, encode, relaxed
from llmwire.dialects.gemini._notes import SINGLE_ITEM
from llmwire.errors import RemoteProtocolError

SINGLE: Final = Raw(b'"single"')
"""Note: the list came as its only item."""
_SNAKE = re.compile(r"_([a-z0-9])")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?\Z")

W = TypeVar("W", bound=Wire)


def camel(name: str) -> str:
    """`name` in lowerCamelCase."""
    return _SNAKE.sub(lambda found: found[1].upper(), name) if "_" in name else name


def read(kind: type[W], data: bytes | Raw, path: str = "$") -> W:
    """`data`, which a client wrote, as a wire struct.

    Members of the wrong type are left among the strangers; `checked` refuses them
    where they are taken up. Nulls stay there too.

    Raises:
        RemoteProtocolError: It is no JSON object.
        LimitExceeded: It is nested too deeply.
    """
    octets: Any = data
    try:
        return cast(W, decoder(kind).decode(octets))
    except ValidationError:
        fixed = bytes(octets)
    except (DecodeError, UnicodeError, RecursionError):
        fixed = relaxed(octets, path)
    return cast(W, schema(kind).decode(_settled(kind, fixed, path), path))


@cache
def schema(kind: type[W]) -> Schema[W]:
    """The tolerant schema of `kind`."""
    return Schema(kind, tolerant=True)


def checked(extras: dict[str, Raw], kind: type[Wire], path: str) -> dict[str, Raw]:
    """`extras` of a `kind` that a client sent, if no modelled member is among them.

    Raises:
        RemoteProtocolError: One is, so it has the wrong type.
    """
    for name, value in extras.items():
        if name in _fields(kind) and value != NULL:
            raise RemoteProtocolError("found a value of the wrong type", path=path)
    return extras


@cache
def _fields(kind: type[Wire]) -> dict[str, Any]:
    """Wire name -> type of every modelled member."""
    hints = get_type_hints(kind)
    return {f.encode_name: hints[f.name] for f in msgspec.structs.fields(kind)}


def _settled(kind: type[Wire], data: bytes, path: str) -> bytes:
    """`data` with the names of `kind` in camelCase, and lists where they are due."""
    fields = _fields(kind)
    settled: dict[str, Raw] = {}
    members = decode_object(data, path)
    for name, value in members.items():
        known = camel(name)
        if known not in fields or (known != name and known in members):
            settled[name] = value
            continue
        inner, many = _shape(fields[known])
        place = f"{path}.{known}"
        first = bytes(value)[:1]
        if many and first != b"[" and value != NULL:
            settled[SINGLE_ITEM + known] = SINGLE
            value = Raw(b"[" + bytes(value) + b"]")
        if inner is not None:
            value = _inside(inner, value, place)
        settled[known] = value
    return encode(settled)


def _inside(kind: type[Wire], value: Raw, path: str) -> Raw:
    """`value`, a `kind` or a list of them, settled; anything else stays as it is."""
    first = bytes(value)[:1]
    if first == b"{":
        return Raw(_settled(kind, bytes(value), path))
    if first != b"[":
        return value
    items: list[Raw] = decoder(list[Raw]).decode(value)
    return Raw(
        encode([_inside(kind, v, f"{path}[{at}]") for at, v in enumerate(items)])
    )


@cache
def _shape(hint: Any) -> tuple[type[Wire] | None, bool]:
    """The wire type that `hint` holds, and whether it is a list."""
    if isinstance(hint, type):
        return (hint, False) if issubclass(hint, Wire) else (None, False)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is list:
        return _shape(arguments[0])[0], True
    shapes = (_shape(argument) for argument in arguments)
    return next((s for s in shapes if s != (None, False)), (None, False))


def number(value: float | str, path: str) -> int | float:
    """A number, which proto3 JSON may write as a string.

    Raises:
        RemoteProtocolError: The string holds none.
    """
    if not isinstance(value, str):
        return value
    match = _NUMBER.match(value)
    if match is None:
        raise RemoteProtocolError("expected a number", path=path)
    return float(value) if match[1] or match[2] else _bounded(value, path)


def _bounded(text: str, path: str) -> int:
    if len(text) > 20:  # longer than any int64, and than `int` should be asked to read
        raise RemoteProtocolError("expected a number of 64 bits", path=path)
    return int(text)


def integer(value: float | str, path: str) -> int:
    """A whole number. Raises like `number`, and for fractions."""
    found = number(value, path)
    if found != found or found in (float("inf"), float("-inf")) or found != int(found):
        raise RemoteProtocolError("expected a whole number", path=path)
    return int(found)
