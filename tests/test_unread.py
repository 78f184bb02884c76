"""Tests of `llmwire._unread`: values that closed types leave raw are looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from llmwire import _unread
from llmwire._unread import Unread
from llmwire.dialects import get
from llmwire.errors import LimitExceeded, RemoteProtocolError
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.requests import Request


class _Eager(Unread):
    """Looks at every document at once."""

    __slots__ = ()

    def __init__(self, data: bytes, limit: int, path: str | None = None) -> None:
        super().__init__(data, limit, path)
        self.check_all()


def _deep(levels: int, size: int) -> st.SearchStrategy[Any]:
    """Values of any nesting, small ones and such as have many openings in texts."""
    leaf: st.SearchStrategy[Any] = st.sampled_from(
        [1, None, "a", "é", "[{" * size, '"\\[', {"a": []}]
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


_BODIES = {"openai-chat": _CHAT, "anthropic": _ANTHROPIC}
_PLACES = [(name, place) for name, bodies in _BODIES.items() for place in bodies]


def _said(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def _outcome(dialect: str, body: bytes, limit: int, short: int = 0) -> Any:
    http = HTTPRequest(method="POST", path="", body=body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_unread, "_SHORT", short)
        try:
            return get(dialect).decode_request(http, Limits(nesting=limit))
        except RemoteProtocolError as error:
            return type(error), str(error), error.path, error.status


@pytest.mark.parametrize(("dialect", "place"), _PLACES)
@given(_deep(60, 40), st.integers(0, 50), st.booleans())
@settings(max_examples=60)
def test_what_types_have_read_is_not_looked_at_again(
    dialect: str, place: str, value: Any, limit: int, ascii_only: bool
) -> None:
    document = _BODIES[dialect][place](value)
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    lazy = _outcome(dialect, body, limit)
    module = dialect.replace("-", "_")
    with pytest.MonkeyPatch.context() as patch:
        where = f"llmwire.dialects.{module}._request_read.Unread"
        patch.setattr(where, _Eager)
        eager = _outcome(dialect, body, limit)
    assert lazy == eager


@pytest.mark.parametrize(("dialect", "place"), _PLACES)
@pytest.mark.parametrize("value", ["?", {"a": ["?"]}, {"?": 1}])
def test_what_is_left_raw_is_unicode(dialect: str, place: str, value: Any) -> None:
    body = json.dumps(_BODIES[dialect][place](value)).encode()
    broken = body.replace(b"?", b"\xff")
    what = f"invalid UTF-8 at byte {body.index(b'?')}"
    kind, text, _, status = _outcome(dialect, broken, 512)
    assert (kind, text.partition(" - ")[0], status) == (RemoteProtocolError, what, 400)


def test_a_long_document_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_unread, "check_nesting", None)
    words = "{[" * 5000
    call = {"name": "f", "arguments": json.dumps({"a": words})}
    chat = [
        {"role": "user", "content": words},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "c", "content": words},
        {"role": "user", "content": [_TEXT, {"type": "text", "text": words}]},
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


def test_a_short_document_is_looked_at_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(_unread, "check_nesting", lambda data, limit: seen.append(data))
    body = json.dumps(_said({"type": "text", "text": "t", "citations": []})).encode()
    for short in (len(body), len(body) - 1):
        assert isinstance(_outcome("anthropic", body, 512, short), Request)
    assert seen == [body]


def test_the_document_is_looked_at_once() -> None:
    unread = Unread(b"[" * 30 + b"]" * 30, 20)
    with pytest.raises(LimitExceeded, match="more than 20 levels"):
        unread.check(Raw(b"[" * 5 + b'"' + b"a" * 40 + b'"' + b"]" * 5))
    unread.check_all()
