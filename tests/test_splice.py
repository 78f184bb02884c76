"""Tests of `llmwire._splice`: another model, and not one other byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire import RemoteProtocolError, _splice
from llmwire._json import fitting
from llmwire._splice import replace_model, rewrite_model
from llmwire.dialects import get

_NAMES = st.sampled_from(["model", "x", "mod\u00e9l", 'a"model":', "{"])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, 1, "model", "a", '"model":"a"', "\\", "]}"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (b'{"model":"a","x":1}', b'{"model":"n","x":1}'),
        (
            b' { "x" : {"model":"i"} , "model" : "a" } ',
            b' { "x" : {"model":"i"} , "model" : "n" } ',
        ),
        (
            b'{"x":["model",":"],"model":{"a":[1]},"y":2}',
            b'{"x":["model",":"],"model":"n","y":2}',
        ),
        (b'{"a":"\\"model\\":","model":"x"}', b'{"a":"\\"model\\":","model":"n"}'),
        (b'{"x":[{"model":"x"}],"model":null }', b'{"x":[{"model":"x"}],"model":"n" }'),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"n"}'),
        (b"{}", b'{"model":"n"}'),
        (b'{"x":1}', b'{"model":"n","x":1}'),
        (b'{"model":"a","model":"b"}', b'{"model":"a","model":"n"}'),
        (b'{"model":"n","x":1}', b'{"model":"n","x":1}'),
        (b'{"model":"a","model":"n"}', b'{"model":"a","model":"n"}'),
        (b'{"model":"n","model":"a"}', b'{"model":"n","model":"n"}'),
    ],
)
def test_the_model_is_spliced_in(body: bytes, written: bytes) -> None:
    assert rewrite_model(body, "n") == written


def test_beyond_many_places_that_look_like_the_model() -> None:
    looks = b",".join([b'{"model":"a"}'] * 9)
    for start in (b'{"t":[%s],' % looks, b'{"x":{"model":"a"},"t":[%s],' % looks):
        for end in (b"}", b',"t":[%s]}' % looks):
            body, written = start + b'"model":"a"' + end, start + b'"model":"n"' + end
            assert rewrite_model(body, "n") == written
            assert replace_model(body, "a", "n") == written


@pytest.mark.parametrize("known", ["n", "a", None, "other"])
def test_a_model_that_is_known_is_not_looked_for(known: str | None) -> None:
    body = b'{"messages":[{"role":"model"}],"model":"a"}'
    written = body if known == "n" else body.replace(b'"a"', b'"n"')
    assert replace_model(body, known, "n") == written


def test_the_model_is_read_once_or_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []

    def counted(kind: Any, data: bytes) -> Any:
        tried.append(data)
        return fitting(kind, data)

    monkeypatch.setattr(_splice, "fitting", counted)
    messages = b'"messages":[{"role":"user","content":"\\"model\\":\\"a\\""}]'
    for body in (b'{"model":"a",%s}' % messages, b'{%s,"model":"a"}' % messages):
        for written in (rewrite_model(body, "n"), replace_model(body, "a", "n")):
            assert written == body.replace(b'"model":"a"', b'"model":"n"')
    assert len(tried) == 2 * (2 + 1)


@pytest.mark.parametrize("body", [b"[]", b"", b"5", b'{"model":', b'"model"'])
def test_only_objects_have_a_model(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        rewrite_model(body, "n")


@given(
    st.dictionaries(_NAMES, _VALUES, max_size=4),
    st.sampled_from(["n", 'q"\\', "a", "\u00e9"]),
    st.sampled_from([None, 1]),
)
def test_every_other_member_stays(
    body: dict[str, Any], model: str, indent: int | None
) -> None:
    written = rewrite_model(json.dumps(body, indent=indent).encode(), model)
    assert json.loads(written) == {**body, "model": model}


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "anthropic"])
def test_dialects_with_the_model_in_the_body(name: str) -> None:
    assert get(name).rewrite_model(b'{"model":"a"}', "n") == b'{"model":"n"}'
