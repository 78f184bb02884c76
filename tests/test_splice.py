"""Tests of `llmwire._splice`: another model, and not one other byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire import RemoteProtocolError
from llmwire._splice import rewrite_model
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
    body = b'{"t":[' + b",".join([b'{"model":"a"}'] * 9) + b'],"model":"a"}'
    assert rewrite_model(body, "n") == body[:-4] + b'"n"}'


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
