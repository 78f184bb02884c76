"""Tests of `llmwire._nesting`: levels counted without decoding."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from llmwire import _nesting
from llmwire._nesting import Nesting, _has_few_openings, check_nesting
from llmwire.dialects import get
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.requests import Request
from llmwire.strategies import raw_json


def _levels(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(_levels, value), default=0)
    return 0


@given(raw_json(), st.integers(0, 5))
def test_nesting_is_counted(raw: Raw, limit: int) -> None:
    data = bytes(raw)
    depth = _levels(json.loads(data, object_pairs_hook=_pairs))
    if depth <= limit:
        check_nesting(data, limit)
    else:
        with pytest.raises(LimitExceeded, match=f"more than {limit} levels") as caught:
            check_nesting(data, limit, "$.a")
        assert caught.value.path == "$.a"
        assert caught.value.status == 400


def _pairs(pairs: list[tuple[str, object]]) -> list[object]:
    """The values of an object; of equal names a dict would keep the last one."""
    return [value for _, value in pairs]


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('{"a":[', "]}"), ('["]",[', "]]")],
)
def test_nesting_of_every_shape(opening: str, closing: str) -> None:
    levels = opening.count("[") + opening.count("{")
    for times in (3, 4, 500):
        data = (opening * times + "1" + closing * times).encode()
        check_nesting(data, levels * times)
        with pytest.raises(LimitExceeded):
            check_nesting(data, levels * times - 1)


def test_nesting_far_beyond_the_limit() -> None:
    with pytest.raises(LimitExceeded, match="more than 10 levels"):
        check_nesting(b"[" * 10_000 + b"]" * 10_000, 10)


def test_nesting_of_siblings() -> None:
    data = b"[[[[[]]]],[[[]]],[[[[[1]]]]]]"
    check_nesting(data, 6)
    with pytest.raises(LimitExceeded):
        check_nesting(data, 5)


@pytest.mark.parametrize(
    "data",
    [
        b'["[[[[", "]", "", "{{", "\\"[", "\\\\", "[", ""]',
        b'{"[[[[": 1, "": "[", "]]": "\\"]"}',
        b"[[[[",
        b"]]]]",
        b'"[[[[',
        b"",
    ],
)
def test_brackets_that_do_not_nest(data: bytes) -> None:
    check_nesting(data, 1)


@given(raw_json(), st.integers(0, 5))
def test_few_openings_are_found_as_they_are_counted(raw: Raw, limit: int) -> None:
    data = bytes(raw)
    few = data.count(b"[") + data.count(b"{") <= limit
    assert _has_few_openings(data, limit) == few


def test_nesting_of_long_documents() -> None:
    image = b'"' + b"x" * 300_000 + b'"'
    check_nesting(b"[" * 4 + image + b"]" * 4, 4)
    check_nesting(b"[" + b"[]," * 9 + image + b"]", 2)
    with pytest.raises(LimitExceeded):
        check_nesting(b"[" * 5 + image + b"]" * 5, 4)


def test_what_is_no_json_passes() -> None:
    check_nesting(b'"""[{{""{""{""{""}}""[]""""}}""}]', 6)
    check_nesting(b"]]]][[", 1)


# --- what closed types have read ---------------------------------------------------


class _Eager(Nesting):
    """Looks at every document at once."""

    __slots__ = ()

    def __init__(self, data: bytes, limit: int) -> None:
        super().__init__(data, limit)
        self.check()


def _deep(levels: int, size: int) -> st.SearchStrategy[Any]:
    """Values of any nesting, small ones and such as have many openings in texts."""
    leaf: st.SearchStrategy[Any] = st.sampled_from(
        [1, None, "a", "[{" * size, '"\\[', {"a": []}]
    )
    return st.integers(0, levels).flatmap(
        lambda depth: leaf.map(lambda value: _wrapped(value, depth))
    )


def _wrapped(value: Any, depth: int) -> Any:
    for at in range(depth):
        value = {"a": value} if at % 3 else [value]
    return value


_TEXT = {"type": "text", "text": "t"}
_CHAT: dict[str, Callable[[Any], dict[str, Any]]] = {
    "text": lambda v: {"messages": [{"role": "user", "content": json.dumps(v)}]},
    "unmodelled": lambda v: {"messages": [], "new": v},
    "root": lambda v: {"messages": [], "metadata": v},
    "provider": lambda v: {"messages": [], "provider": v},
    "tool": lambda v: {
        "messages": [],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": v}}],
    },
    "other tool": lambda v: {"messages": [], "tools": [{"type": "x", "x": v}]},
    "custom tool": lambda v: {
        "messages": [],
        "tools": [{"type": "custom", "custom": {"name": "f", "format": v}}],
    },
    "function": lambda v: {
        "messages": [],
        "functions": [{"name": "f", "parameters": v}],
    },
    "element": lambda v: {
        "messages": [{"role": "user", "content": [{"type": "x", "x": v}]}]
    },
    "member": lambda v: {"messages": [{"role": "user", "content": "a", "x": v}]},
    "mark": lambda v: {
        "messages": [{"role": "user", "content": [{**_TEXT, "cache_control": v}]}]
    },
    "marked result": lambda v: {
        "messages": [
            {
                "role": "tool",
                "tool_call_id": "c",
                "content": [{**_TEXT, "cache_control": v}],
            }
        ]
    },
    "details": lambda v: {
        "messages": [{"role": "assistant", "content": "a", "reasoning_details": [v]}]
    },
    "arguments": lambda v: {
        "messages": [
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": v},
                    }
                ],
            }
        ]
    },
    "result": lambda v: {
        "messages": [{"role": "tool", "tool_call_id": "c", "content": [_TEXT, v]}]
    },
    "misfit": lambda v: {"messages": v},
}
_ANTHROPIC: dict[str, Callable[[Any], dict[str, Any]]] = {
    "text": lambda v: {"messages": [{"role": "user", "content": json.dumps(v)}]},
    "unmodelled": lambda v: {"messages": [], "new": v},
    "root": lambda v: {"messages": [], "container": v},
    "tool": lambda v: {"messages": [], "tools": [{"name": "f", "input_schema": v}]},
    "server": lambda v: {"messages": [], "mcp_servers": [{"x": v}]},
    "format": lambda v: {"messages": [], "output_format": {"type": "x", "schema": v}},
    "config": lambda v: {
        "messages": [],
        "output_config": {"format": {"type": "json_schema", "schema": v}},
    },
    "system": lambda v: {"messages": [], "system": [_TEXT, {"type": "x", "x": v}]},
    "system text": lambda v: {"messages": [], "system": "s", "tools": v},
    "block": lambda v: _said({"type": "x", "x": v}),
    "citations": lambda v: _said({**_TEXT, "citations": [v]}),
    "call": lambda v: _said({"type": "tool_use", "id": "c", "name": "f", "input": v}),
    "caller": lambda v: _said(
        {"type": "tool_use", "id": "c", "name": "f", "input": {}, "caller": v}
    ),
    "result": lambda v: _said(
        {"type": "tool_result", "tool_use_id": "c", "content": "r"}, v
    ),
    "inside": lambda v: _said(
        {"type": "tool_result", "tool_use_id": "c", "content": [_TEXT, {"x": v}]}
    ),
    "inside, cited": lambda v: _said(
        {
            "type": "tool_result",
            "tool_use_id": "c",
            "content": [{**_TEXT, "citations": [v]}],
        }
    ),
    "misfit": lambda v: {"messages": v},
}


def _said(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def _outcome(dialect: str, body: bytes, limit: int) -> Any:
    http = HTTPRequest(method="POST", path="", body=body)
    try:
        return get(dialect).decode_request(http, Limits(nesting=limit))
    except RemoteProtocolError as error:
        return type(error), str(error), error.path, error.status


@pytest.mark.parametrize(
    ("dialect", "place"),
    [("openai-chat", place) for place in _CHAT]
    + [("anthropic", place) for place in _ANTHROPIC],
)
@given(_deep(60, 40), st.integers(0, 50))
@settings(max_examples=60)
def test_what_types_have_read_is_not_looked_at_again(
    dialect: str, place: str, value: Any, limit: int
) -> None:
    bodies = _CHAT if dialect == "openai-chat" else _ANTHROPIC
    body = json.dumps(bodies[place](value)).encode()
    lazy = _outcome(dialect, body, limit)
    module = dialect.replace("-", "_")
    with pytest.MonkeyPatch.context() as patch:
        where = f"llmwire.dialects.{module}._request_read.Nesting"
        patch.setattr(where, _Eager)
        eager = _outcome(dialect, body, limit)
    assert lazy == eager


def test_a_long_document_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_nesting, "check_nesting", None)
    words = "{[" * 1000
    call = {"name": "f", "arguments": json.dumps({"a": words})}
    chat = [
        {"role": "user", "content": words},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "c", "content": words},
    ]
    blocks = [
        {"type": "text", "text": words},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
        {"type": "tool_result", "tool_use_id": "c", "content": [_TEXT]},
    ]
    for dialect, messages in (
        ("openai-chat", chat),
        ("anthropic", _said(*blocks)["messages"]),
    ):
        body = json.dumps({"messages": messages}).encode()
        assert isinstance(_outcome(dialect, body, 512), Request)


def test_the_document_is_looked_at_once() -> None:
    nesting = Nesting(b"[" * 30 + b"]" * 30, 20)
    with pytest.raises(LimitExceeded, match="more than 20 levels"):
        nesting.check_raw(Raw(b"[" * 5 + b'"' + b"a" * 40 + b'"' + b"]" * 5))
    nesting.check()
