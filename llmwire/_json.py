"""JSON at the edge: typed decoding that keeps what the types do not know.

A wire struct (`Wire`) is closed. `Schema.decode` tries it strictly, which costs what
msgspec costs; only where that fails the document is read again, member by member, and
every stranger is kept on the object it stood in (`strangers`). For streams
`LearnedSchema` adds the names it met to its types, so that the next frame is strict
again. JSON that msgspec refuses has one slow path, `relaxed`, with a stated outcome.

Nothing here knows a dialect.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from operator import attrgetter
from typing import (
    Any,
    ClassVar,
    Final,
    Generic,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType, ValidationError

from llmwire.errors import LimitExceeded, RemoteProtocolError

NULL: Final = Raw(b"null")
"""An explicit null."""
MAX_LEARNED: Final = 128
"""Names of strangers that a `LearnedSchema` takes up at most."""
_KEPT: Final = 64
"""Learned types that are kept for the next stream with the same strangers."""
_LEARNABLE = re.compile(r'[^"\\\x00-\x1f]{0,128}\Z')
"""What msgspec takes as the name of a field, and no longer than names are."""

_MISFITS: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)

_encode = msgspec.json.Encoder().encode


def encode(value: Any) -> bytes:
    """Anything msgspec can encode, as compact JSON; a lone surrogate is U+FFFD."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_unicode(value))


def _unicode(value: Any) -> Any:
    """`value` with all its texts made Unicode."""
    if isinstance(value, str):
        return _utf8(value).decode("utf-8")
    if isinstance(value, dict):
        return {_unicode(key): _unicode(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unicode(inner) for inner in value]
    return value


class Wire(Struct, forbid_unknown_fields=True, dict=True, kw_only=True):
    """Base of the wire structs: closed, mutable, with room for strangers."""

    extras: ClassVar[dict[str, Raw]] = {}
    learned: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Attribute and wire name of the strangers that this type has learned."""
    learned_values: ClassVar[object] = ()
    """The values of these attributes, as something to compare."""
    loose: ClassVar[Sequence[str]] = ()
    """Its members that have strangers within, or other things that their types lack."""


W = TypeVar("W", bound=Wire)


def strangers(wire: Wire) -> dict[str, Raw]:
    """The members of `wire` that its type does not model. Do not change the result.

    Out of a `LearnedSchema` they are sorted: their order must not tell what was read
    before.
    """
    if not wire.learned:
        return wire.extras
    found = dict(wire.extras)
    for attribute, name in wire.learned:
        value = getattr(wire, attribute)
        if value is not UNSET:
            found[name] = value
    return dict(sorted(found.items())) if wire.extras else found


def stranger_values(wire: Wire) -> object:
    """What stands in for `strangers` in a comparison: where it is equal, they are."""
    return wire.extras or wire.learned_values


@cache
def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """The one decoder for type `kind`."""
    return msgspec.json.Decoder(kind)


def decode_raw(data: bytes | str, path: str = "$") -> Raw:
    """`data` as one JSON value, checked and not interpreted.

    Raises:
        RemoteProtocolError: It is no JSON, even by `relaxed`.
        LimitExceeded: It is nested too deeply.
    """
    value: Raw = _strictly(Raw, data, path)
    return value


def decode_any(data: bytes | str, path: str = "$") -> Any:
    """`data` as Python values. Raises like `decode_raw`."""
    return _strictly(Any, data, path)


def decode_object(data: bytes | str, path: str = "$") -> dict[str, Raw]:
    """The members of the object `data`. Raises like `decode_raw`."""
    value: dict[str, Raw] = _strictly(dict[str, Raw], data, path)
    return value


def fitting(kind: Any, data: bytes) -> Any:
    """`data` as `kind`, None where it does not fit as it stands. Never raises."""
    try:
        return decoder(kind).decode(data)
    except _MISFITS:
        return None


def decode_as(kind: Any, data: bytes | str, path: str = "$") -> Any:
    """`data` as `kind`. Raises like `decode_raw`, and where the type differs."""
    return _strictly(kind, data, path)


def _strictly(kind: Any, data: bytes | str, path: str) -> Any:
    try:
        return decoder(kind).decode(data)
    except ValidationError as error:
        raise misfit(error, path) from None
    except (DecodeError, UnicodeError, RecursionError):
        fixed = relaxed(data, path)
    try:
        return decoder(kind).decode(fixed)
    except ValidationError as error:
        raise misfit(error, path) from None


_PLACE = re.compile(r" - at (?:`key` in )?`\$([^`]*)`\Z")
_VALUE = re.compile(r"(Invalid (?:enum )?value) .*", re.DOTALL)


def misfit(error: ValidationError, path: str) -> RemoteProtocolError:
    """What msgspec found wrong, with the place seen from the document's root.

    A value that msgspec quotes is left out: messages never tell the content.
    """
    text = str(error)
    place = _PLACE.search(text)
    if place:
        text, path = text[: place.start()], path + place[1]
    return RemoteProtocolError(_VALUE.sub(r"\1", text), path=path)


_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


def relaxed(data: bytes | str, path: str = "$") -> bytes:
    r"""JSON that msgspec refuses, made acceptable, with this outcome.

    A lone surrogate (`\ud800`, or one in a `str`) becomes `\ufffd`. A BOM is dropped.
    `NaN`, `Infinity` and `-Infinity`, which Python servers write, become null, and so
    do numbers beyond a double in such a document. Everything else stays an error.

    Raises:
        RemoteProtocolError: It is no JSON.
        LimitExceeded: It is nested too deeply.
    """
    octets = _utf8(data) if isinstance(data, str) else bytes(data)
    try:
        octets.decode("utf-8")
        fixed = _without_lone_surrogates(octets.removeprefix(b"\xef\xbb\xbf"))
        decoder(Raw).decode(fixed)
        return fixed
    except UnicodeDecodeError as error:
        what = f"invalid UTF-8 at byte {error.start}"
        raise RemoteProtocolError(what, path=path) from None
    except RecursionError:
        raise LimitExceeded("JSON nested too deeply", path=path, status=400) from None
    except DecodeError as error:
        problem = str(error)
    try:
        return encode(json.loads(fixed.decode(), parse_constant=lambda _: None))
    except ValueError:
        raise RemoteProtocolError(f"not JSON: {problem}", path=path) from None
    except RecursionError:
        raise LimitExceeded("JSON nested too deeply", path=path, status=400) from None


def _utf8(text: str) -> bytes:
    units = text.encode("utf-16-le", "surrogatepass")
    return units.decode("utf-16-le", "replace").encode("utf-8")


def _without_lone_surrogates(octets: bytes) -> bytes:
    pieces: list[bytes] = []
    done = 0
    high: re.Match[bytes] | None = None
    for match in _ESCAPE.finditer(octets):
        unit = int(match[1], 16) if match[1] else 0
        if 0xDC00 <= unit <= 0xDFFF and high and high.end() == match.start():
            high = None
            continue
        if high:
            pieces += (octets[done : high.start()], b"\\ufffd")
            done = high.end()
        high = match if 0xD800 <= unit <= 0xDBFF else None
        if 0xDC00 <= unit <= 0xDFFF:
            pieces += (octets[done : match.start()], b"\\ufffd")
            done = match.end()
    if high:
        pieces += (octets[done : high.start()], b"\\ufffd")
        done = high.end()
    return b"".join((*pieces, octets[done:])) if pieces else octets


def is_json(text: str) -> bool:
    """Whether `text` is one JSON value (by `relaxed`). Never raises."""
    try:
        decode_raw(text)
    except RemoteProtocolError:
        return False
    return True


def is_json_object(text: str) -> bool:
    """Whether `text` is one JSON object. Never raises."""
    return text.lstrip(" \t\r\n").startswith("{") and is_json(text)


class Schema(Generic[W]):
    """Decodes documents of wire type `kind`, keeping strangers.

    Args:
        kind: The root struct.
        tolerant: Members of the wrong type become strangers where the field has a
            default; for what servers send. Otherwise they are errors.
    """

    def __init__(self, kind: type[W], *, tolerant: bool = False) -> None:
        self.kind = kind
        self.tolerant = tolerant

    def decode(self, data: bytes | str | Raw, path: str = "$") -> W:
        """`data` as a wire struct.

        Raises:
            RemoteProtocolError: It is no JSON, or does not fit; names the place.
            LimitExceeded: It is nested too deeply.
        """
        octets: Any = data
        try:
            value: W = decoder(self.kind).decode(octets)
            return value
        except ValidationError:
            fixed = octets
        except (DecodeError, UnicodeError, RecursionError):
            fixed = relaxed(octets, path)
        value = _open(self.kind, Raw(fixed), path, self.tolerant)
        return value


class LearnedSchema(Schema[W]):
    """A tolerant `Schema` that takes the names of strangers up into its types.

    Args:
        kind: The root struct.
        known: Types with the names of strangers that most documents have: as if they
            had been learned before.
    """

    def __init__(
        self, kind: type[W], known: tuple[tuple[type[Wire], tuple[str, ...]], ...] = ()
    ) -> None:
        super().__init__(kind, tolerant=True)
        self._names: dict[type[Wire], tuple[str, ...]] = dict(known)
        self._decoder: msgspec.json.Decoder[W] = _learned_decoder(kind, known)

    @property
    def learned(self) -> int:
        """How many names have been taken up."""
        return sum(map(len, self._names.values()))

    def decode(self, data: bytes | str | Raw, path: str = "$") -> W:
        """`data` as a wire struct; strangers are known from the next call on."""
        octets: Any = data
        try:
            if isinstance(octets, bytes) and not octets.isascii():
                octets.decode()  # what stays raw is not looked at otherwise
            return self._decoder.decode(octets)
        except ValidationError:
            fixed = octets
        except (DecodeError, UnicodeError, RecursionError):
            fixed = relaxed(octets, path)
        value: W = _open(self.kind, Raw(fixed), path, True)
        self._learn(value)
        return value

    def _learn(self, value: W) -> None:
        fresh = False
        for wire in _walk(value):
            kind = type(wire)
            fields = kind.__struct_encode_fields__
            known = self._names.get(kind, ())
            if wire.extras:  # in the order that they have once they are learned
                wire.__dict__["extras"] = dict(sorted(wire.extras.items()))
            for name in wire.extras:
                if name in known or name in fields or not _LEARNABLE.match(name):
                    continue
                if self.learned >= MAX_LEARNED:
                    break
                known = self._names[kind] = (*known, name)
                fresh = True
        if fresh:
            self._decoder = _learned_decoder(self.kind, tuple(self._names.items()))


@lru_cache(maxsize=_KEPT)
def _learned_decoder(
    kind: Any, names: tuple[tuple[type[Wire], tuple[str, ...]], ...]
) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_derived(kind, dict(names), {}))


def unlearned(value: Any) -> Any:
    """What a `LearnedSchema` gave as plain types: every stranger among `extras`."""
    if isinstance(value, list):
        return [unlearned(item) for item in value]
    if not isinstance(value, Wire) or "learned" not in type(value).__dict__:
        return value
    found = strangers(value)
    members = msgspec.structs.asdict(value)
    for attribute, _ in value.learned:
        del members[attribute]
    kind, holders = _plain_kind(type(value))
    for name in holders:
        members[name] = unlearned(members[name])
    plain: Wire = kind(**members)
    if found:
        plain.__dict__["extras"] = found
    return plain


@lru_cache(maxsize=_KEPT)
def _plain_kind(kind: Any) -> tuple[type[Wire], tuple[str, ...]]:
    """What a derived type is made from, and its fields that may hold wire structs."""
    while "learned" in kind.__dict__:
        kind = kind.__base__
    return kind, tuple(i.name for i, hint, _ in _fields(kind) if _holds_wire(hint))


def _walk(value: object) -> Iterable[Wire]:
    if isinstance(value, Wire):
        yield value
        for name in value.__struct_fields__:
            yield from _walk(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)


def _derived(
    kind: Any, names: dict[type[Wire], tuple[str, ...]], made: dict[Any, Any]
) -> Any:
    """`kind` with the learned names at their levels, rebuilt from the leaves up."""
    if kind in made:
        return made[kind]
    if isinstance(kind, type) and issubclass(kind, Wire):
        made[kind] = kind
        made[kind] = _derived_struct(kind, names, made)
        return made[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    changed = tuple(_derived(a, names, made) for a in arguments)
    if changed == arguments:
        return kind
    return list[changed[0]] if origin is list else Union[changed]  # type: ignore[valid-type]  # built at run time


def _derived_struct(
    kind: type[Wire], names: dict[type[Wire], tuple[str, ...]], made: dict[Any, Any]
) -> type[Wire]:
    fields: list[tuple[str, Any, Any]] = []
    for info, hint, _ in _fields(kind):
        changed = _derived(hint, names, made)
        if changed is not hint:
            fields.append((info.name, changed, _default(info)))
    learned = tuple(
        (f"stranger_{at}", name) for at, name in enumerate(sorted(names.get(kind, ())))
    )
    for attribute, name in learned:
        fields.append(
            (attribute, Raw | UnsetType, msgspec.field(name=name, default=UNSET))
        )
    if not fields:
        return kind
    derived: Any = msgspec.defstruct(
        kind.__name__,
        fields,
        bases=(kind,),
        namespace=_learned_namespace(learned),
        forbid_unknown_fields=True,
        dict=True,
        kw_only=True,
        tag_field=kind.__struct_config__.tag_field,
        tag=kind.__struct_config__.tag,
    )
    return cast(type[Wire], derived)


def _learned_namespace(learned: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    if not learned:
        return {"learned": learned}
    values = attrgetter(*(attribute for attribute, _ in learned))
    return {"learned": learned, "learned_values": property(values)}


def _default(info: msgspec.structs.FieldInfo) -> Any:
    if info.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(
            name=info.encode_name, default_factory=info.default_factory
        )
    return msgspec.field(name=info.encode_name, default=info.default)


@cache
def _fields(kind: type[Wire]) -> tuple[tuple[msgspec.structs.FieldInfo, Any, Any], ...]:
    """The fields of `kind` with their types, and what decodes each."""
    hints = get_type_hints(kind)
    return tuple(
        (info, hints[info.name], decoder(hints[info.name]).decode)
        for info in msgspec.structs.fields(kind)
    )


def _open(kind: Any, raw: Raw, path: str, tolerant: bool) -> Any:
    """`raw` as `kind`, member by member; what no type takes stays `Raw`."""
    if isinstance(kind, type) and issubclass(kind, Wire):
        return _open_struct(kind, raw, path, tolerant)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _open_union(kind, arguments, raw, path, tolerant)
    if origin is list and _holds_wire(arguments[0]):
        items: list[Any] = _strictly(list[Raw], bytes(raw), path)
        for at, item in enumerate(items):
            items[at] = fitting(arguments[0], item)
            if items[at] is None:
                items[at] = _open(arguments[0], item, f"{path}[{at}]", tolerant)
        return items
    return _strictly(kind, bytes(raw), path)


def _open_struct(kind: type[Wire], raw: Raw, path: str, tolerant: bool) -> Wire:
    members = decode_object(bytes(raw), path)
    tag_field = kind.__struct_config__.tag_field
    if tag_field in members:
        place = f"{path}.{tag_field}"
        word = decode_any(bytes(members.pop(tag_field)), place)
        if word != kind.__struct_config__.tag:
            raise RemoteProtocolError("Invalid value", path=place)
    values: dict[str, Any] = {}
    extras: dict[str, Raw] = {}
    loose: list[str] = []
    for info, hint, decode in _fields(kind):
        name, wire_name, required = info.name, info.encode_name, info.required
        if wire_name not in members:
            if required:
                what = f"Object missing required field `{wire_name}`"
                raise RemoteProtocolError(what, path=path)
            continue
        member = members.pop(wire_name)
        try:
            values[name] = decode(member)
            continue
        except _MISFITS:
            loose.append(name)
        try:
            values[name] = _open(hint, member, f"{path}.{wire_name}", tolerant)
        except RemoteProtocolError:
            if required or not tolerant:
                raise
            extras[wire_name] = member
    extras.update(members)
    wire = kind(**values)
    if extras:
        wire.__dict__["extras"] = extras
    wire.__dict__["loose"] = loose
    return wire


def _holds_wire(kind: Any) -> bool:
    if isinstance(kind, type):
        return issubclass(kind, Wire)
    return any(_holds_wire(a) for a in get_args(kind))


def _open_union(
    kind: Any, arguments: tuple[Any, ...], raw: Raw, path: str, tolerant: bool
) -> Any:
    first = bytes(raw).lstrip()[:1]
    structs = [a for a in arguments if isinstance(a, type) and issubclass(a, Wire)]
    if first == b"{" and structs:
        chosen = _by_tag(structs, raw, path)
        if chosen is not None:
            return _open(chosen, raw, path, tolerant)
        if Raw in arguments:
            return raw
        tag_field = structs[0].__struct_config__.tag_field
        raise RemoteProtocolError("Invalid value", path=f"{path}.{tag_field}")
    listed = next((a for a in arguments if get_origin(a) is list), None)
    if first == b"[" and listed is not None:
        return _open(listed, raw, path, tolerant)
    return _strictly(kind, bytes(raw), path)


def _by_tag(structs: list[type[Wire]], raw: Raw, path: str) -> type[Wire] | None:
    """The struct that the tag names; the only one where there is no tag."""
    tag_field = structs[0].__struct_config__.tag_field
    if tag_field is None:
        return structs[0]
    tag = decode_object(bytes(raw), path).get(tag_field)
    if tag is None:
        return structs[0] if len(structs) == 1 else None
    word = decode_any(bytes(tag), f"{path}.{tag_field}")
    return next((s for s in structs if s.__struct_config__.tag == word), None)


def escaped(name: str) -> str:
    """`name` as one step of an extras path (RFC 6901).

    A leading `@`, which marks our own notes, becomes `~2`.
    """
    step = name.replace("~", "~0").replace("/", "~1")
    return "~2" + step[1:] if step[:1] == "@" else step


def unescaped(step: str) -> str:
    """The name that `escaped` made `step` from."""
    return step.replace("~2", "@").replace("~1", "/").replace("~0", "~")


def nested(
    prefix: str, members: dict[str, Raw], into: dict[str, Raw] | None
) -> dict[str, Raw] | None:
    """`into` with `members` under `prefix` (empty: the node's own level)."""
    if not members:
        return into
    start = f"{prefix}/" if prefix else ""
    return {**(into or {}), **{start + escaped(n): v for n, v in members.items()}}


def level(extras: dict[str, Raw] | None, prefix: str = "") -> dict[str, Raw]:
    """The members of `extras` that stand exactly below `prefix`, notes left out."""
    if not extras:
        return {}
    start = f"{prefix}/" if prefix else ""
    skip = len(start)
    return {
        unescaped(key[skip:]): value
        for key, value in extras.items()
        if key.startswith(start) and "/" not in key[skip:] and key[:1] != "@"
    }


def with_member(raw: Raw, name: str, value: str) -> Raw | dict[str, Raw]:
    """The object `raw` with the text `value` as its member `name`.

    `raw` itself, byte for byte, where it says so already or is no object.
    """
    try:
        members = decode_object(bytes(raw))
        if decode_any(bytes(members.get(name, Raw(b"null")))) == value:
            return raw
    except RemoteProtocolError:
        return raw
    return {**members, name: Raw(encode(value))}
