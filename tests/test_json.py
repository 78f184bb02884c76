"""JSON at the edge: typed, loose and learned decoding, and what JSON must not do."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET, Raw, UnsetType

from llmwire._json import (
    MAX_LEARNED,
    NULL,
    LearnedSchema,
    Schema,
    Wire,
    _walk,
    decode_any,
    decode_as,
    decode_object,
    decode_raw,
    decoder,
    encode,
    escaped,
    is_json,
    is_json_object,
    level,
    nested,
    relaxed,
    strangers,
    unescaped,
    unlearned,
)
from llmwire.errors import LimitExceeded, LLMWireError, RemoteProtocolError
from llmwire.messages import Extras
from llmwire.strategies import json_values, raw_json, texts

# Wire types of every shape


class Leaf(Wire):
    """Nothing that could hold another."""

    number: int = 0


class Inner(Wire):
    """Optional members of every sort."""

    count: int | None = None
    words: str | list[str] = ""
    island: Raw | UnsetType = UNSET
    leaf: Leaf | None = None


class Text(Wire, tag="text", tag_field="kind"):
    """One of a union."""

    text: str
    more: Inner | None = None


class Call(Wire, tag="call", tag_field="kind"):
    """Another of it."""

    name: str = "f"


class Node(Wire):
    """Holds itself."""

    next: Node | None = None
    leaf: Leaf = msgspec.field(default_factory=Leaf)


class Doc(Wire):
    """The root."""

    id: str
    reserved: float = msgspec.field(name="class", default=0.5)
    inner: Inner | None = None
    items: list[Inner] = msgspec.field(default_factory=list)
    blocks: list[Text | Call] | str | None = None
    lone: Call | None = None
    calls: list[Call] | None = None
    parts: list[Raw] | None = None
    open: Text | Call | Raw | None = None
    node: Node | None = None
    rows: list[list[Leaf]] | None = None


_PLAIN_TYPES: Final = {Leaf, Inner, Text, Call, Node, Doc}


def _plain(value: object) -> object:
    """`value` without types: members and strangers of every wire struct."""
    if isinstance(value, Wire):
        members = {
            name: _plain(getattr(value, name))
            for name in value.__struct_fields__
            if not name.startswith("stranger_")
        }
        return members, {k: bytes(v) for k, v in strangers(value).items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return bytes(value) if isinstance(value, Raw) else value


Decode: TypeAlias = Callable[[bytes], Doc]


def _outcome(decode: Decode, data: bytes) -> object:
    try:
        return _plain(decode(data))
    except RemoteProtocolError as error:
        return str(error)


Tree: TypeAlias = dict[str, Any]

_LEAVES: Final[st.SearchStrategy[Tree]] = st.fixed_dictionaries(
    {}, optional={"number": st.integers(0, 3)}
)
_INNERS: Final[st.SearchStrategy[Tree]] = st.fixed_dictionaries(
    {},
    optional={
        "count": st.none() | st.integers(0, 3),
        "words": texts() | st.lists(texts(), max_size=2),
        "island": json_values(),
        "leaf": st.none() | _LEAVES,
    },
)
_BLOCKS: Final[st.SearchStrategy[Tree]] = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("text"), "text": texts()}, optional={"more": _INNERS}
    ),
    st.fixed_dictionaries({"kind": st.just("call")}, optional={"name": texts()}),
)
_NODES: Final[st.SearchStrategy[Tree]] = st.fixed_dictionaries(
    {}, optional={"next": st.just({"next": None}), "leaf": _LEAVES}
)
_DOCS: Final[st.SearchStrategy[Tree]] = st.fixed_dictionaries(
    {"id": texts()},
    optional={
        "class": st.integers(0, 3) | st.just(1.5),
        "inner": st.none() | _INNERS,
        "items": st.lists(_INNERS, max_size=2),
        "blocks": texts() | st.lists(_BLOCKS, max_size=2),
        "lone": st.sampled_from(({"kind": "call"}, {"name": "g"}, None)),
        "calls": st.sampled_from(([], [{"kind": "call"}, {}], None)),
        "parts": st.lists(json_values(), max_size=2),
        "open": _BLOCKS,
        "node": _NODES,
        "rows": st.lists(st.lists(_LEAVES, max_size=2), max_size=2),
    },
)
_NAMES: Final = ("x_a", "x_b", "count", 'q"', "b\\", "n\n", "", "é", "x" * 200)


def _spoil(draw: Callable[..., Any], node: object) -> None:
    """Strangers and wrong types here and there in `node`."""
    if isinstance(node, dict):
        for child in list(node.values()):
            _spoil(draw, child)
        if draw(st.integers(0, 3)) == 3:
            name = draw(st.sampled_from((*_NAMES, *node)))
            node[name] = draw(json_values())
    elif isinstance(node, list):
        for child in node:
            _spoil(draw, child)


@st.composite
def _strange_docs(draw: st.DrawFn) -> bytes:
    doc = copy.deepcopy(draw(_DOCS))
    _spoil(draw, doc)
    return encode(doc)


# Strict, loose and learned decoding


@given(_DOCS)
def test_documents_without_strangers(doc: Tree) -> None:
    data = encode(doc)
    expected = _plain(decoder(Doc).decode(data))
    schemas = (Schema(Doc), Schema(Doc, tolerant=True), LearnedSchema(Doc))
    for schema in schemas:
        assert _outcome(schema.decode, data) == expected
    # Read member by member, as if there were a stranger, it is the same.
    strange = encode({**doc, "x_a": 1})
    for schema in schemas:
        found = schema.decode(strange)
        assert strangers(found) == {"x_a": Raw(b"1")}
        assert _plain(found) == (expected[0], {"x_a": b"1"})  # type: ignore[index]  # a pair


@given(st.lists(_strange_docs(), max_size=6))
def test_learned_and_loose_decoding_agree(docs: list[bytes]) -> None:
    learned = LearnedSchema(Doc)
    loose = Schema(Doc, tolerant=True)
    for data in (*docs, *docs):
        assert _outcome(learned.decode, data) == _outcome(loose.decode, data)


@given(st.lists(_strange_docs(), max_size=6))
def test_what_was_learned_can_be_forgotten(docs: list[bytes]) -> None:
    schema = LearnedSchema(Doc)
    for data in (*docs, *docs):
        if isinstance(_outcome(schema.decode, data), str):
            continue
        found = schema.decode(data)
        plain = unlearned(found)
        assert _plain(plain) == _plain(found)
        assert {type(wire) for wire in _walk(plain)} <= _PLAIN_TYPES
        assert all(wire.extras == strangers(wire) for wire in _walk(plain))


@given(_strange_docs())
def test_tolerance_only_adds(data: bytes) -> None:
    found = _outcome(Schema(Doc).decode, data)
    if not isinstance(found, str):
        assert _outcome(Schema(Doc, tolerant=True).decode, data) == found


def _doc(data: str, *, tolerant: bool = False) -> Doc:
    return Schema(Doc, tolerant=tolerant).decode(data)


def _error(data: str, *, tolerant: bool = False) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        _doc(data, tolerant=tolerant)
    return str(caught.value)


def test_members_with_strangers_within_are_told() -> None:
    doc = Schema(Doc).decode(
        b'{"id":"i","x_a":1,"items":[{},{"x_b":2},{"leaf":{"x_c":3}}],"inner":{}}'
    )
    assert list(doc.loose) == ["items"]
    assert doc.inner is not None
    assert not doc.inner.loose
    assert [list(item.loose) for item in doc.items] == [[], [], ["leaf"]]
    assert not Schema(Doc).decode(b'{"id":"i","x_a":1}').loose


def test_strangers_are_kept_where_they_stood() -> None:
    doc = _doc(
        '{"id":"1","x_a": [1, 2],"inner":{"x_b":null},"items":[{},{"x_c":1.0}],'
        '"blocks":[{"kind":"text","text":"a","x_d":"d"}],"lone":{"x_e":1},'
        '"rows":[[{"x_f":2}]]}'
    )
    assert strangers(doc) == {"x_a": Raw(b"[1, 2]")}
    assert doc.inner
    assert strangers(doc.inner) == {"x_b": NULL}
    assert [strangers(item) for item in doc.items] == [{}, {"x_c": Raw(b"1.0")}]
    assert doc.blocks
    assert isinstance(doc.blocks[0], Text)
    assert strangers(doc.blocks[0]) == {"x_d": Raw(b'"d"')}
    assert doc.lone
    assert strangers(doc.lone) == {"x_e": Raw(b"1")}
    assert doc.rows
    assert strangers(doc.rows[0][0]) == {"x_f": Raw(b"2")}


def test_the_last_of_equal_names_wins() -> None:
    for more in ("", ',"x_a":0'):
        assert _doc('{"id":"1","class":1,"class":2' + more + "}").reserved == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{}", "Object missing required field `id` - at `$`"),
        ('{"x_a":1}', "Object missing required field `id` - at `$`"),
        ("[]", "Expected `object`, got `array` - at `$`"),
        ('{"id":1}', "Expected `str`, got `int` - at `$.id`"),
        (
            '{"id":"1","items":[{},{"count":"many"}]}',
            "Expected `int | null`, got `str` - at `$.items[1].count`",
        ),
        ('{"id":"1","items":{}}', "Expected `array`, got `object` - at `$.items`"),
        (
            '{"id":"1","blocks":[{"kind":"x"}]}',
            "Invalid value - at `$.blocks[0].kind`",
        ),
        ('{"id":"1","blocks":[{}]}', "Invalid value - at `$.blocks[0].kind`"),
        ('{"id":"1","lone":{"kind":"text"}}', "Invalid value - at `$.lone.kind`"),
        ('{"id":"1","calls":[{"kind":"x"}]}', "Invalid value - at `$.calls[0].kind`"),
        ('{"id":"1","rows":[[{"number":"a"}]]}', "at `$.rows[0][0].number`"),
        ("{", "not JSON: Input data was truncated - at `$`"),
        ('{"id":"1"} x', "not JSON: JSON is malformed"),
    ],
)
def test_misfits_name_their_place(data: str, message: str) -> None:
    assert message in _error(data)


def test_misfits_never_tell_the_content() -> None:
    secret = "sk-secret` - at `$.x"
    assert "sk-" not in _error(f'{{"id":"1","lone":{{"kind":"{secret}"}}}}')
    with pytest.raises(RemoteProtocolError) as caught:
        decode_as(Call, f'{{"kind":"{secret}"}}', "$.a")
    assert str(caught.value) == "Invalid value - at `$.a.kind`"
    with pytest.raises(RemoteProtocolError) as caught:
        decode_as(dict[int, int], '{"a":1}', "$.a")
    assert str(caught.value) == "Expected `int`, got `str` - at `$.a`"


@pytest.mark.parametrize(
    "data",
    [
        '{"id":"1","items":[{"count":"many"},1]}',
        '{"id":"1","items":{"a":1}}',
        '{"id":"1","items":null}',
    ],
)
def test_members_of_another_type_become_strangers(data: str) -> None:
    doc = _doc(data, tolerant=True)
    whole = json.loads(data)["items"]
    if isinstance(whole, list):
        # The list is not a whole any more: it holds something that is no object.
        assert json.loads(bytes(strangers(doc)["items"])) == whole
    assert doc.items == []
    assert set(strangers(doc)) == {"items"}


def test_the_smallest_member_becomes_the_stranger() -> None:
    doc = _doc('{"id":"1","items":[{"count":"many"}]}', tolerant=True)
    assert strangers(doc) == {}
    assert strangers(doc.items[0]) == {"count": Raw(b'"many"')}


def test_required_members_are_required_of_the_tolerant_too() -> None:
    assert "at `$.id`" in _error('{"id":1}', tolerant=True)
    assert "missing" in _error("{}", tolerant=True)


def test_unknown_tags() -> None:
    data = '{"id":"1","open":{"kind":"x"}}'
    for doc in (_doc(data), LearnedSchema(Doc).decode(data)):
        assert doc.open == Raw(b'{"kind":"x"}')
    for tag in ('"x"', "1", "null", "[]"):
        doc = _doc(f'{{"id":"1","lone":{{"kind":{tag}}}}}', tolerant=True)
        assert doc.lone is None
        assert set(strangers(doc)) == {"lone"}


def test_a_tag_is_needed_where_there_are_several() -> None:
    assert _doc('{"id":"1","lone":{},"x_a":1}').lone == Call()
    assert "kind" in _error('{"id":"1","blocks":[{}],"x_a":1}')


def test_unions_with_lists_and_scalars() -> None:
    doc = _doc('{"id":"1","x_a":1,"inner":{"words":["a"]},"blocks":"b"}')
    assert doc.inner
    assert doc.inner.words == ["a"]
    assert doc.blocks == "b"
    assert "`str`, got `array`" in _error('{"id":[],"x_a":1}')
    assert "Expected" in _error('{"id":"1","lone":[],"x_a":1}')
    assert "Expected" in _error('{"id":"1","inner":{"words":{}},"x_a":1}')


# Learning


def test_strangers_are_learned_at_their_level() -> None:
    schema = LearnedSchema(Doc)
    data = b'{"id":"1","x_a":1,"inner":{"x_b":2,"leaf":{"x_c":3}},"items":[{"x_d":4}]}'
    first = schema.decode(data)
    assert schema.learned == 4
    second = schema.decode(data)
    assert type(first) is Doc
    assert type(second) is not Doc
    assert isinstance(second, Doc)
    assert _plain(first) == _plain(second)
    assert second.extras == {}
    assert schema.decode(b'{"id":"2"}').extras == {}
    assert strangers(schema.decode(b'{"id":"2","x_a":null}')) == {"x_a": NULL}


def test_learned_types_keep_tags_names_and_defaults() -> None:
    schema = LearnedSchema(Doc)
    schema.decode(b'{"id":"1","blocks":[{"kind":"text","text":"a","x_a":1}]}')
    schema.decode(b'{"id":"1","lone":{"x_b":1},"node":{"x_c":1}}')
    data = (
        b'{"id":"1","class":2,"blocks":[{"kind":"text","text":"b","x_a":2},'
        b'{"kind":"call"}],"lone":{"kind":"call","x_b":1},'
        b'"node":{"x_c":1,"leaf":{"number":4}}}'
    )
    doc = schema.decode(data)
    assert type(doc) is not Doc
    assert doc.reserved == 2
    assert doc.items == []
    assert doc.blocks
    assert _plain(doc) == _plain(Schema(Doc, tolerant=True).decode(data))


def test_names_that_msgspec_cannot_take_are_not_learned() -> None:
    schema = LearnedSchema(Doc)
    names = ['q"', "b\\", "n\n", "\x00", "x" * 129]
    for name in (*names, *names):
        doc = schema.decode(encode({"id": "1", name: 1}))
        assert strangers(doc) == {name: Raw(b"1")}
    assert schema.learned == 0
    for name in ("", "é", "x" * 128):
        schema.decode(encode({"id": "1", name: 1}))
        doc = schema.decode(encode({"id": "1", name: 1}))
        assert strangers(doc) == {name: Raw(b"1")}
    assert schema.learned == 3


def test_misfits_are_not_learned() -> None:
    schema = LearnedSchema(Doc)
    for _ in range(2):
        doc = schema.decode(b'{"id":"1","inner":1,"class":"a"}')
        assert strangers(doc) == {"inner": Raw(b"1"), "class": Raw(b'"a"')}
    assert schema.learned == 0


def test_learning_has_an_end() -> None:
    schema = LearnedSchema(Doc)
    for start in range(0, 200, 20):
        names = [f"x_{at}" for at in range(start, start + 20)]
        half = dict.fromkeys(names[:10], 1)
        data = encode({"id": "1", **half, "inner": dict.fromkeys(names[10:], 2)})
        for _ in range(2):
            doc = schema.decode(data)
            assert strangers(doc) == dict.fromkeys(names[:10], Raw(b"1"))
            assert doc.inner
            assert strangers(doc.inner) == dict.fromkeys(names[10:], Raw(b"2"))
    assert schema.learned == MAX_LEARNED


def test_learned_schemas_raise_as_others_do() -> None:
    schema = LearnedSchema(Doc)
    with pytest.raises(RemoteProtocolError, match="not JSON"):
        schema.decode(b"{")
    assert strangers(schema.decode('{"id":"\\ud800","x_a":1}')) == {"x_a": Raw(b"1")}


# What is no JSON, and what is nearly


def test_decoding_without_types() -> None:
    assert decode_raw(b' {"a": 1} ') == Raw(b'{"a": 1}')
    assert decode_any('{"a": [1, null]}') == {"a": [1, None]}
    assert decode_object(b'{"a": 1}') == {"a": Raw(b"1")}
    with pytest.raises(RemoteProtocolError, match=r"got `array` - at `\$.x`"):
        decode_object(b"[]", "$.x")


_READERS: Final[Sequence[Callable[[bytes | str], object]]] = (
    decode_raw,
    decode_any,
    decode_object,
    Schema(Doc).decode,
    Schema(Doc, tolerant=True).decode,
    LearnedSchema(Doc).decode,
    relaxed,
)


@given(st.binary() | texts())
@example(b"\xff")
@example('"\ud800"')
@example(b'{"id":"\xff"}')
@example(b"1e999")
@example(b"9" * 5000)
@example(b"[NaN," + b"9" * 5000 + b"]")
@example(b'[NaN, 1e999, -Infinity, 1e-999, 123456789012345678901234567890, "a"]')
@example(b"[" * 100_000)
@example(b'{"id":"a","x_a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
@example(b'{"lone":' * 50_000)
@example(b'{"id":"a","lone":{"kind":' + b"[" * 100_000 + b"]" * 100_000 + b"}}")
@example(b"NaN" + b"[" * 100_000)
def test_nothing_else_escapes(data: bytes | str) -> None:
    for read in _READERS:
        try:
            read(data)
        except LLMWireError as error:
            assert isinstance(error, RemoteProtocolError)
    if isinstance(data, str):
        is_json(data)
        is_json_object(data)


def _at_depth(depth: int, call: Callable[[], object]) -> object:
    return call() if depth == 0 else _at_depth(depth - 1, call)


@pytest.mark.parametrize("used", [0, 150, 400])
def test_the_stack_never_overflows(used: int) -> None:
    """How deep JSON may be depends on the stack in use; what happens does not."""
    shapes: Sequence[Callable[[int], str]] = (
        lambda n: "[" * n + "]" * n,
        lambda n: "[" * n + "NaN" + "]" * n,
        lambda n: '{"id":"a","node":' + '{"next":' * n + "null" + "}" * n + "}",
        lambda n: '{"id":"a","x_a":' + "[" * n + "]" * n + "}",
        lambda n: '{"id":"\\ud800","x_a":' + "[" * n + "]" * n + "}",
    )
    outcomes = set()
    for depth in range(0, sys.getrecursionlimit() + 60, 13):
        for shape in shapes:
            text = shape(depth)
            for read in _READERS:
                try:
                    _at_depth(used, partial(read, text))
                except RemoteProtocolError as error:
                    outcomes.add(type(error))
            _at_depth(used, partial(is_json, text))
    assert outcomes == {RemoteProtocolError, LimitExceeded}


def test_nesting_is_a_limit() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    for read in (decode_any, decode_raw, relaxed):
        with pytest.raises(LimitExceeded, match="nested too deeply") as caught:
            read(deep)
        assert caught.value.status == 400
    with pytest.raises(LimitExceeded, match="nested too deeply"):
        relaxed(b"[NaN," + deep + b"]")
    assert not is_json(deep.decode())


BIG: Final = 123456789012345678901234567890


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'"\\ud800"', "\ufffd"),
        (b'"\\udc00"', "\ufffd"),
        (b'"\\ud83d\\ude42"', "🙂"),
        (b'"\\ud83d\\ud83d\\ude42\\ude42"', "\ufffd🙂\ufffd"),
        (b'"\\ud800\\n\\uDC00"', "\ufffd\n\ufffd"),
        (b'"\\\\ud800 \\ud800x\\udc00"', "\\ud800 \ufffdx\ufffd"),
        (b'{"\\ud800": "\\ud800a"}', {"\ufffd": "\ufffda"}),
        ('"\ud800"', "\ufffd"),
        ('"\ud83d\ude42"', "🙂"),
        ('"a\udc00é"', "a\ufffdé"),
        (b"NaN", None),
        (b"[NaN, Infinity, -Infinity]", [None, None, None]),
        (b"[NaN, 1e999, -1e999, 0.5]", [None, None, None, 0.5]),
        (b"[NaN, 123456789012345678901234567890]", [None, BIG]),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('\ufeff{"a": 1}', {"a": 1}),
    ],
)
def test_relaxed(data: bytes | str, value: object) -> None:
    fixed = relaxed(data)
    assert msgspec.json.decode(fixed) == value
    assert decode_any(data) == value
    assert is_json(data if isinstance(data, str) else data.decode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"nan",
        b"{'a': 1}",
        b"[1,]",
        b"01",
        b'"\\q"',
        b'"\x01"',
        b'"a',
        b'"\\ud80"',
        b"{} {}",
        b"[NaN",
        b"[NaN,}",
        b"[1] NaN",
        '{"a": 1}'.encode("utf-16-le"),
        '"a"'.encode("utf-16"),
        b"9" * 5000 + b"NaN",
    ],
)
def test_relaxed_is_not_careless(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        relaxed(data, "$.a")
    assert caught.value.path == "$.a"
    assert caught.value.status == 400


def test_invalid_utf8_is_an_error() -> None:
    with pytest.raises(RemoteProtocolError, match="invalid UTF-8 at byte 2"):
        decode_any(b'"a\xff"')
    with pytest.raises(RemoteProtocolError, match="invalid UTF-8 at byte 1"):
        relaxed(b'"\xed\xa0\x80"')


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 5000])
def test_numbers_out_of_range_are_an_error_alone(number: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="out of range"):
        decode_any(number)


_PIECES: Final = st.sampled_from(
    (
        "\\ud800",
        "\\uDFFF",
        "\\ud83d\\ude42",
        "\\\\",
        "a",
        "\\n",
        "ud800",
        "é",
        "\\u0041",
    )
)


@given(st.lists(_PIECES).map("".join))
def test_escaped_surrogates(text: str) -> None:
    data = f'"{text}"'
    expected = re.sub("[\ud800-\udfff]", "\ufffd", json.loads(data))
    assert decode_any(data) == expected
    assert decode_any(data.encode()) == expected
    raw = decode_raw(data)
    assert json.loads(bytes(raw)) == expected
    if "\ufffd" not in expected:
        assert bytes(raw) == data.encode()


@given(raw_json())
def test_good_json_is_left_alone(raw: Raw) -> None:
    data = bytes(raw)
    assert relaxed(data) == data
    assert decode_raw(data) == raw
    assert is_json(data.decode())
    assert is_json_object(data.decode()) is isinstance(json.loads(data), dict)


@pytest.mark.parametrize("text", [" {}", "\t\r\n{}", '{"a": NaN}'])
def test_objects(text: str) -> None:
    assert is_json_object(text)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", "\N{NO-BREAK SPACE}{}", "\ud800"]
)
def test_no_objects(text: str) -> None:
    assert not is_json_object(text)


# Paths of extras

_MEMBERS: Final = st.dictionaries(
    st.one_of(
        st.text(max_size=5),
        st.sampled_from(
            ("", "a/b", "~", "~1", "@type", "@", "a@", "~2", "/", "message")
        ),
    ),
    raw_json(),
)


@given(st.text() | st.text("~/@012"))
def test_names_as_steps(name: str) -> None:
    step = escaped(name)
    assert unescaped(step) == name
    assert "/" not in step
    assert not step.startswith("@")


@given(_MEMBERS, _MEMBERS, _MEMBERS)
def test_levels(root: Extras, message: Extras, deeper: Extras) -> None:
    extras: Extras | None = {"@note": Raw(b"1"), "message/@note": Raw(b"2")}
    extras = nested("", root, extras)
    extras = nested("message", message, extras)
    extras = nested("message/deeper", deeper, extras)
    assert level(extras) == root
    assert level(extras, "message") == {"@note": Raw(b"2"), **message}
    assert level(extras, "message/deeper") == deeper
    assert level(extras, "mess") == {}


def test_levels_of_nothing() -> None:
    assert level(None) == {}
    assert level({}, "a") == {}
    assert nested("a", {}, None) is None
    known = {"a": Raw(b"1")}
    assert nested("a", {}, known) is known
    assert nested("", known, None) == known
    more = nested("b", known, known)
    assert more == {"a": Raw(b"1"), "b/a": Raw(b"1")}
    assert known == {"a": Raw(b"1")}


def test_strangers_have_one_order_whatever_was_learned() -> None:
    data = b'{"id":"1","x_b":1,"x_a":2,"q\\"":3,"x_c":4}'
    fresh, learned = LearnedSchema(Doc), LearnedSchema(Doc)
    learned.decode(b'{"id":"1","x_c":1,"x_b":1}')
    orders = [list(strangers(schema.decode(data))) for schema in (fresh, learned)]
    assert orders[0] == orders[1] == ['q"', "x_a", "x_b", "x_c"]
    assert list(strangers(fresh.decode(data))) == orders[0]


def test_raw_members_are_utf8() -> None:
    schema = LearnedSchema(Doc)
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="invalid UTF-8 at byte 17"):
            schema.decode(b'{"id":"1","x_a":"\xff"}')
        assert schema.decode('{"id":"1","x_a":"é"}'.encode()).id == "1"
