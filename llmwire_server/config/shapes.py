"""What may stand at each key of the configuration, read off the types of the tree.

A `Shape` is all that the reader, the environment, `config show` and the JSON schema
know of a type, so that a new key of the tree is a key everywhere. Annotations say the
rest: bounds and description by `Meta`, and in `Meta(extra=...)`

- `unit`: `bytes` (sizes such as `10MB` may be written) or `seconds` (`5m`),
- `rule`: one of `llmwire_server.config.rules.RULES`, or `name` for the member that is
  the key under which its record stands.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import NODEFAULT, Struct

__all__ = ("Key", "Many", "Map", "Record", "Scalar", "Shape", "shape_of")

NAME: Literal["name"] = "name"


class Scalar(Struct, frozen=True, kw_only=True):
    """One value."""

    kind: Literal["text", "integer", "number", "boolean", "choice", "secret"]
    optional: bool = False
    """None may stand here."""
    least: float | None = None
    most: float | None = None
    unit: Literal["bytes", "seconds"] | None = None
    rule: str | None = None
    choices: tuple[str, ...] = ()
    secret: type[Any] | None = None
    """What holds it where `kind` is `secret`: a class that takes a text."""


class Many(Struct, frozen=True):
    """A list."""

    item: Scalar | Record


class Map(Struct, frozen=True):
    """Values by names that people choose."""

    name: Scalar
    value: Scalar | Record


class Key(Struct, frozen=True, kw_only=True):
    """A member of a record."""

    name: str
    shape: Shape
    description: str
    default: Any
    """`msgspec.NODEFAULT` where it is needed."""


class Record(Struct, frozen=True, kw_only=True):
    """Values by names that the program chose."""

    type: type[Struct]
    keys: tuple[Key, ...]
    named: bool
    """Its `name` is the name under which it stands."""
    description: str

    def key(self, name: str) -> Key | None:
        """The key called `name`."""
        return next((key for key in self.keys if key.name == name), None)


Shape: TypeAlias = Scalar | Many | Map | Record


def shape_of(tree: type[Struct]) -> Record:
    """The shape of a tree of records.

    Raises:
        TypeError: It holds a type that no configuration file can.
    """
    found = msgspec.inspect.type_info(tree)
    assert isinstance(found, msgspec.inspect.StructType)
    return _record(found)


def _record(found: msgspec.inspect.StructType) -> Record:
    keys = []
    named = False
    for field in found.fields:
        kind, extra, about = _bare(field.type)
        if extra.get("rule") == NAME:
            named = True
            continue
        shape = _shape(kind, extra)
        if not about and isinstance(shape, Record):
            about = shape.description
        default = field.default
        if field.default_factory is not NODEFAULT:
            default = field.default_factory()
        keys.append(
            Key(name=field.name, shape=shape, description=about, default=default)
        )
    about = (found.cls.__doc__ or "").strip().partition("\n")[0]
    return Record(type=found.cls, keys=tuple(keys), named=named, description=about)


def _bare(
    found: msgspec.inspect.Type,
) -> tuple[msgspec.inspect.Type, dict[str, Any], str]:
    """A type without its annotations, what they say beside, its description."""
    if not isinstance(found, msgspec.inspect.Metadata):
        return found, {}, ""
    described = (found.extra_json_schema or {}).get("description", "")
    return found.type, found.extra or {}, str(described)


def _shape(found: msgspec.inspect.Type, extra: dict[str, Any]) -> Shape:
    if isinstance(found, msgspec.inspect.StructType):
        return _record(found)
    if isinstance(found, msgspec.inspect.VarTupleType):
        return Many(_entry(found.item_type))
    if isinstance(found, msgspec.inspect.DictType):
        name = _entry(found.key_type)
        assert isinstance(name, Scalar)
        return Map(name, _entry(found.value_type))
    return _scalar(found, extra)


def _entry(found: msgspec.inspect.Type) -> Scalar | Record:
    shape = _shape(*_bare(found)[:2])
    if isinstance(shape, Scalar | Record):
        return shape
    raise TypeError("lists and maps hold scalars and records only")


def _scalar(found: msgspec.inspect.Type, extra: dict[str, Any]) -> Scalar:
    unit, rule = extra.get("unit"), extra.get("rule")
    match found:
        case msgspec.inspect.UnionType(types=(inner, msgspec.inspect.NoneType())):
            kind, more, _ = _bare(inner)
            shape = _scalar(kind, {**more, **extra})
            return msgspec.structs.replace(shape, optional=True)
        case msgspec.inspect.StrType():
            return Scalar(kind="text", rule=rule)
        case msgspec.inspect.BoolType():
            return Scalar(kind="boolean")
        case msgspec.inspect.IntType(ge=least, le=most):
            return Scalar(kind="integer", least=least, most=most, unit=unit)
        case msgspec.inspect.FloatType(ge=least, le=most):
            return Scalar(kind="number", least=least, most=most, unit=unit)
        case msgspec.inspect.LiteralType(values=values):
            return Scalar(kind="choice", choices=tuple(map(str, values)))
        case msgspec.inspect.CustomType(cls=cls):
            return Scalar(kind="secret", secret=cls)
    raise TypeError(f"no configuration file can hold {found}")
