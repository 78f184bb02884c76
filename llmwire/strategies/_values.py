"""The small things: JSON, texts, schemas, names, and how records are put together.

Every strategy here is built once and then shared, for building one costs more than an
example drawn from it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Final, TypeAlias, TypeVar

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from msgspec import Raw

from llmwire._json import escaped
from llmwire.messages import Extras

T = TypeVar("T")
Fields: TypeAlias = Mapping[str, SearchStrategy[object]]


@lru_cache(1024)
def _die(sides: int) -> SearchStrategy[int]:
    return st.integers(0, sides - 1)


def roll(draw: DrawFn, sides: int) -> int:
    """A number below `sides`. Shrinks to 0."""
    return draw(_die(sides))


def pick(draw: DrawFn, options: Sequence[T]) -> T:
    """One of `options`. Shrinks to the first."""
    return options[roll(draw, len(options))]


def record(
    kind: Callable[..., T], always: Fields, sometimes: Fields | None = None
) -> SearchStrategy[T]:
    """`kind` made of all of `always` and few of `sometimes`, seldom all of them."""
    names = tuple(sometimes or ())
    pairs = zip(names, names[1:] + names[:1], strict=True)
    sets = (*(((),) * len(names)), *((n,) for n in names), *pairs, names)
    return _record(kind, always, sometimes or {}, sets)


@st.composite
def _record(
    draw: DrawFn,
    kind: Callable[..., T],
    always: Fields,
    sometimes: Fields,
    sets: Sequence[tuple[str, ...]],
) -> T:
    values = {name: draw(strategy) for name, strategy in always.items()}
    if sometimes:
        for name in pick(draw, sets):
            values[name] = draw(sometimes[name])
    return kind(**values)


def tuples_of(strategy: SearchStrategy[T], most: int) -> SearchStrategy[tuple[T, ...]]:
    """Up to `most` of `strategy`."""
    return st.lists(strategy, max_size=most).map(tuple)


# Texts

_WORDS: Final = (
    "a",
    "Hello",
    " world",
    "é",
    "日本語",
    "🙂",
    "👩‍👩‍👧",
    "𝒳",
    "n\u0303",
    '"quoted"',
    "back\\slash",
    "\\ud83d",
    "&amp;",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "```json",
    '{"a": 1}',
    "data: [DONE]",
    "event: error",
    ": comment",
    "llmw1.x.y",
    "\N{REPLACEMENT CHARACTER}",
)
_BLANKS: Final = (
    "",
    " ",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\t",
    "\x00",
    "\x1b",
    "\x7f",
    "\x85",
    "\N{NO-BREAK SPACE}",
    "\N{ZERO WIDTH SPACE}",
    "\N{ZERO WIDTH NO-BREAK SPACE}",
    "\N{LINE SEPARATOR}",
    "\N{PARAGRAPH SEPARATOR}",
)
_PIECES: Final = st.lists(st.sampled_from(_WORDS + _BLANKS), max_size=4)
_WORD: Final = st.sampled_from(_WORDS)
_TEXT: Final = st.one_of(
    _WORD, _PIECES.map("".join), st.text(max_size=24), st.sampled_from(_BLANKS)
)
_SAID: Final = st.one_of(
    _WORD, st.tuples(_WORD, _PIECES.map("".join)).map("".join), _WORD.map(" {} ".format)
)


def texts(*, blank: bool = True) -> SearchStrategy[str]:
    """Texts with all that goes wrong in transport.

    Characters outside the BMP, combining ones, line separators of every kind, control
    characters, quotes, tags and words of the protocols; never a lone surrogate.

    Args:
        blank: Empty and blank texts too.
    """
    return _TEXT if blank else _SAID


# JSON

_LEAVES: Final = st.one_of(
    st.sampled_from((None, True, False, 0, 1, -1, 0.5, -0.0, 1e300, 5e-324)),
    st.sampled_from((2**53 + 1, 2**63, 2**64 - 1, -(2**63), 10**30)),
    st.integers(-1000, 1000),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXT,
)
_KEYS: Final = st.one_of(st.sampled_from(("a", "b", "type", "index")), _TEXT)


def _objects(values: SearchStrategy[object]) -> SearchStrategy[dict[str, object]]:
    return st.lists(st.tuples(_KEYS, values), max_size=3).map(dict)


def _nested(values: SearchStrategy[object]) -> SearchStrategy[object]:
    return st.one_of(values, st.lists(values, max_size=3), _objects(values))


_OBJECT: Final = _objects(_nested(_LEAVES))
_VALUE: Final = st.one_of(_nested(_LEAVES), _OBJECT)


def json_values() -> SearchStrategy[object]:
    """Python values that JSON can hold, three levels deep at most."""
    return _VALUE


def _compact(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _spaced(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _escaped(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)


def _broken_in_lines(value: object) -> str:
    return json.dumps(value, indent="\t", ensure_ascii=False)


def _carriage_returns(value: object) -> str:
    return json.dumps(value, indent=1).replace("\n", "\r\n")


_WRITERS: Final = (_compact, _spaced, _escaped, _broken_in_lines, _carriage_returns)
_LITERALS: Final = (
    "null",
    "true",
    "[]",
    "{}",
    '""',
    "-0",
    "1.0",
    "1E+2",
    "9007199254740993",
    '"\\u0000\\/\\ud83d\\ude42"',
    '{"a":1,"a":2}',
)


@st.composite
def _written(draw: DrawFn, values: SearchStrategy[object]) -> str:
    return pick(draw, _WRITERS)(draw(values))


_OBJECT_TEXT: Final = _written(_OBJECT)
_JSON_TEXT: Final = st.one_of(st.sampled_from(_LITERALS), _written(_VALUE))
_RAW: Final = _JSON_TEXT.map(Raw)
_RAW_OBJECT: Final = _OBJECT_TEXT.map(Raw)


def raw_json() -> SearchStrategy[Raw]:
    """JSON as its writers write it: compact, spaced, escaped, over several lines.

    No white space stands around the value, as msgspec cuts it.
    """
    return _RAW


def json_texts() -> SearchStrategy[str]:
    """Like `raw_json`, as texts."""
    return _JSON_TEXT


def raw_objects() -> SearchStrategy[Raw]:
    """Like `raw_json`, objects only."""
    return _RAW_OBJECT


_BROKEN: Final = (
    "{",
    '{"a":',
    '{"a": "b',
    '{"a": 1,}',
    "{'a': 1}",
    '{"a":1}{"a":1}',
    "not JSON",
    "NaN,",
    '"',
    "\\",
)


@st.composite
def _cut(draw: DrawFn, whole: SearchStrategy[str]) -> str:
    text = draw(whole)
    return text[: roll(draw, len(text) + 1)]


_ARGUMENTS: Final = st.one_of(
    _OBJECT_TEXT,
    st.sampled_from(("", "{}", " ", ' {"a": 1}\n')),
    st.sampled_from(_BROKEN),
    st.sampled_from(_LITERALS),
    _cut(_OBJECT_TEXT),
)


def argument_texts(*, objects: bool = False) -> SearchStrategy[str]:
    """What models write as the arguments of a call.

    Args:
        objects: JSON objects only; otherwise also other JSON, broken JSON and nothing.
    """
    return _OBJECT_TEXT if objects else _ARGUMENTS


# Schemas

_PROPERTIES: Final[Sequence[object]] = (
    {"type": "string"},
    {"type": "integer", "minimum": 0, "maximum": 10},
    {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5},
    {"type": "boolean", "default": False},
    {"type": "null"},
    {"type": ["string", "null"]},
    {"type": "string", "enum": ["a", "b"]},
    {"enum": [1, "a", None]},
    {"const": "only"},
    {"type": "string", "format": "date-time", "examples": ["now"]},
    {"type": "string", "pattern": "^a+$", "minLength": 1, "maxLength": 9},
    {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 3},
    {"type": "array", "prefixItems": [{"type": "string"}], "uniqueItems": True},
    {"type": "array"},
    {"type": "object", "additionalProperties": {"type": "string"}},
    {"type": "object", "properties": {"in": {"type": "string"}}, "required": ["in"]},
    {"type": "object", "patternProperties": {"^x": {}}, "propertyNames": {}},
    {"anyOf": [{"type": "string"}, {"type": "null"}]},
    {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    {"allOf": [{"type": "object"}, {"required": ["in"]}]},
    {"not": {"type": "string"}},
    {"if": {"type": "string"}, "then": {"minLength": 1}, "else": {}},
    {"description": "anything"},
    {},
    True,
)
_NODE: Final = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
_FRAMES: Final[Sequence[Mapping[str, object]]] = (
    {},
    {"additionalProperties": False},
    {"title": "T", "description": "d"},
    {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "x:y"},
)
_NAMES: Final = ("a", "b", "path", "a-b", "é", "$ref", "")


@st.composite
def _schemas(draw: DrawFn) -> Raw:
    names = _NAMES[: roll(draw, 4)] if roll(draw, 4) else (pick(draw, _NAMES),)
    properties = {name: pick(draw, _PROPERTIES) for name in names}
    required = list(names[: roll(draw, len(names) + 1)])
    recursive = roll(draw, 6) == 5
    if recursive:
        properties["node"] = {"$ref": "#/$defs/node"}
    schema = {**pick(draw, _FRAMES), "type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if recursive:
        schema["$defs"] = {"node": _NODE}
    return Raw(pick(draw, _WRITERS)(schema))


_SCHEMA: Final = _schemas()


def schemas() -> SearchStrategy[Raw]:
    """JSON schemas of tool arguments: objects, with keywords that vendors refuse."""
    return _SCHEMA


# Names and members

_EXTRA_NAMES: Final = tuple(
    map(escaped, ("x_a", "x_b", "x_flag", "x_é", "x_a b", 'x_"', "x_/", "x_~"))
)
_EXTRAS: Final = st.lists(
    st.tuples(st.sampled_from(_EXTRA_NAMES), _RAW), min_size=1, max_size=3
).map(dict)


def extras() -> SearchStrategy[Extras]:
    """Members that nobody models, `x_…`, of any JSON value, null included."""
    return _EXTRAS


def base64_texts(*, empty: bool = True) -> SearchStrategy[str]:
    """Bytes in standard base64 with padding, some of them with a medium's magic."""
    return _BASE64 if empty else _BASE64_FULL


_MAGIC: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"%PDF-1.7", b"RIFF")
_BASE64_FULL: Final = st.one_of(
    st.sampled_from(_MAGIC), st.binary(min_size=1, max_size=12)
).map(lambda octets: base64.b64encode(octets).decode())
_BASE64: Final = st.one_of(_BASE64_FULL, st.just(""))

SECONDS: Final = st.sampled_from((0.0, 1763680000.0, 1763680000.5))


@cache
def identifiers(prefix: str) -> SearchStrategy[str]:
    """Ids with `prefix`, as servers make them."""
    return st.sampled_from(("1", "0a9F", "x" * 40)).map(prefix.__add__)
