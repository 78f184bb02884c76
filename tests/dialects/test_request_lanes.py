"""What readers of requests read the quick way is what they read the general way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmwire import strategies
from llmwire._json import encode
from llmwire._unread import Unread
from llmwire.dialects import RequestTarget, get
from llmwire.dialects.openai_chat._messages_read import MessagesReader
from llmwire.errors import RemoteProtocolError
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.losses import FEATURES, LossRecorder
from llmwire.profiles import resolve
from llmwire.requests import Request

_PLACE = "llmwire.dialects.{}"


class _General(MessagesReader):
    """Finds a stranger everywhere."""

    def __init__(self, unread: Unread, limit: int, exact: bool) -> None:
        super().__init__(unread, limit, False)

    def _is_exact(self, wire: Any) -> bool:
        return False


_GENERAL: dict[str, dict[str, Any]] = {
    "openai-chat": {
        "_request_read.MessagesReader": _General,
        "_request_read.fitting": lambda kind, data: None,
        "_request_read.plain_tool": lambda wire: None,
        "_request_read._NO_SELDOM": object(),
        "_message_read.plain_texts": lambda elements: [],
    },
    "anthropic": {
        "_messages_read._plain_parts": lambda blocks, unread: None,
        "_request_read._NO_SELDOM": object(),
        "_request_read._NO_TOOL_SELDOM": object(),
    },
}
"""What the quick ways are found by, so that none is."""
_TEXT = {"type": "text", "text": "t"}
_TEXTS = st.sampled_from(["", "t", " ", "é—"])
_MARKS = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])


def _read(dialect: str, body: bytes, limits: Limits) -> Any:
    http = HTTPRequest(method="POST", path="/v1/messages", body=body)
    try:
        return get(dialect).decode_request(http, limits)
    except RemoteProtocolError as error:
        return type(error).__name__, str(error), error.path, error.status


def _assert_one_reading(dialect: str, body: bytes, limits: Limits) -> Any:
    quick = _read(dialect, body, limits)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _GENERAL[dialect].items():
            place = _PLACE.format(dialect.replace("-", "_"))
            patch.setattr(f"{place}.{name}", value)
        general = _read(dialect, body, limits)
    assert quick == general
    assert encode(quick) == encode(general)
    return quick


def _members(required: dict[str, Any], optional: dict[str, Any]) -> Any:
    return st.fixed_dictionaries(required, optional=optional)


def _known(value: Any) -> Any:
    """`value` less the members and items of unknown names."""
    if isinstance(value, dict):
        return {name: _known(each) for name, each in value.items() if name != "x"}
    if isinstance(value, list):
        return [_known(each) for each in value if "x" not in _names(each)]
    return value


def _names(value: Any) -> tuple[Any, ...]:
    return (value.get("type"), value.get("role")) if isinstance(value, dict) else ()


# --- Chat --------------------------------------------------------------------------

_ELEMENTS = st.one_of(
    _members(
        {"type": st.just("text"), "text": _TEXTS},
        {"cache_control": _MARKS, "x": st.just(1)},
    ),
    st.just({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
    st.just({"type": "x"}),
)
_CONTENTS = st.one_of(_TEXTS, st.lists(_ELEMENTS, max_size=2), st.none())
_FUNCTIONS = _members(
    {"name": st.sampled_from(["f", ""])},
    {
        "arguments": st.sampled_from(['{"a":1}', "", "é", {"a": 1}, None]),
        "x": st.just(1),
    },
)
_CALLS = _members(
    {"id": st.sampled_from(["c", "d", "", None]), "function": _FUNCTIONS},
    {
        "type": st.sampled_from(["function", "custom", None]),
        "custom": st.just({"name": "g", "input": "i"}),
        "index": st.just(0),
        "extra_content": st.just({"google": {"thought_signature": "s"}}),
        "x": st.just(1),
    },
)
_PLAIN_CALLS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["c", "d"]),
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {"name": st.just("f"), "arguments": _TEXTS},
        ),
    }
)
_CHAT_MESSAGES = st.one_of(
    _members(
        {"role": st.sampled_from(["user", "system", "developer"])},
        {"content": _CONTENTS, "name": st.sampled_from(["n", "", None])},
    ),
    _members(
        {"role": st.just("assistant")},
        {
            "content": _CONTENTS,
            "tool_calls": st.one_of(
                st.lists(_PLAIN_CALLS | _CALLS, max_size=2), st.none()
            ),
        },
    ),
    _members(
        {"role": st.just("assistant"), "content": _CONTENTS},
        {
            "refusal": st.sampled_from([None, "r"]),
            "reasoning_content": st.sampled_from([None, "r"]),
            "reasoning_details": st.just([{"type": "reasoning.text", "text": "r"}]),
            "function_call": st.just({"name": "f", "arguments": "{}"}),
            "annotations": st.just([]),
            "audio": st.just({"id": "a"}),
            "name": st.just("n"),
            "x": st.just(1),
        },
    ),
    _members(
        {"role": st.just("tool"), "tool_call_id": st.sampled_from(["c", "d", ""])},
        {"content": _CONTENTS, "name": st.sampled_from(["n", "", None])},
    ),
    st.just({"role": "tool", "content": "without an id"}),
    _members({"role": st.just("function"), "name": st.just("f")}, {"content": _TEXTS}),
)
_CHAT_TOOLS = st.one_of(
    _members(
        {
            "type": st.just("function"),
            "function": _members(
                {"name": st.just("f")},
                {
                    "description": st.sampled_from(["", "d", None]),
                    "parameters": st.sampled_from([{}, {"type": "object"}, None]),
                    "strict": st.sampled_from([True, False, None]),
                    "x": st.just(1),
                },
            ),
        },
        {"cache_control": _MARKS},
    ),
    st.just({"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}}),
    st.just({"type": "x"}),
)
_CHAT_TALKS = st.fixed_dictionaries({"messages": st.lists(_CHAT_MESSAGES, max_size=5)})
_CHAT_BODIES = _members(
    {"messages": st.lists(_CHAT_MESSAGES, max_size=5)},
    {
        "model": st.sampled_from(["m", None]),
        "stream": st.sampled_from([True, None]),
        "stream_options": st.sampled_from(
            [
                {"include_usage": True},
                {"include_usage": False, "x": 1},
                {"include_usage": None},
                {},
                None,
            ]
        ),
        "temperature": st.sampled_from([0, 0.5, None]),
        "top_p": st.sampled_from([1, None]),
        "top_k": st.sampled_from([1, None]),
        "seed": st.sampled_from([1, None]),
        "random_seed": st.just(2),
        "logit_bias": st.sampled_from([{"1": 2}, None]),
        "max_tokens": st.sampled_from([1, None]),
        "max_completion_tokens": st.sampled_from([2, None]),
        "stop": st.sampled_from(["s", ["s"], [], None]),
        "tools": st.one_of(st.lists(_CHAT_TOOLS, max_size=2), st.none()),
        "tool_choice": st.sampled_from(["auto", None, {"type": "x"}]),
        "parallel_tool_calls": st.sampled_from([True, None]),
        "function_call": st.just({"name": "f"}),
        "reasoning_effort": st.sampled_from(["low", None]),
        "metadata": st.just({"a": "b"}),
        "provider": st.just({"a": "b"}),
        "x": st.just(1),
    },
)


def _said(blocks: list[Any]) -> list[Any]:
    return [{"role": "user", "content": [block]} for block in blocks]


# --- Anthropic ---------------------------------------------------------------------

_RESULT_ITEMS = st.one_of(
    _members({"type": st.just("text"), "text": _TEXTS}, {"cache_control": _MARKS}),
    st.just(
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
        }
    ),
    st.just({"type": "x"}),
)
_BLOCKS = st.one_of(
    _members(
        {"type": st.just("text")},
        {
            "text": _TEXTS,
            "citations": st.sampled_from([[], None, [{"type": "x"}]]),
            "cache_control": _MARKS,
            "x": st.just(1),
        },
    ),
    st.fixed_dictionaries({"type": st.just("text"), "text": _TEXTS}),
    _members(
        {"type": st.just("tool_use"), "id": st.just("c"), "name": st.just("f")},
        {
            "input": st.sampled_from([{}, {"a": "é"}, {"a": "b" * 2000}, None]),
            "caller": st.just({"type": "direct"}),
            "cache_control": _MARKS,
            "x": st.just(1),
        },
    ),
    st.just({"type": "tool_use", "name": "f", "input": {}}),
    _members(
        {"type": st.just("tool_result"), "tool_use_id": st.just("c")},
        {
            "content": st.one_of(
                _TEXTS, st.lists(_RESULT_ITEMS, max_size=2), st.none()
            ),
            "is_error": st.sampled_from([True, False, None]),
            "cache_control": _MARKS,
            "x": st.just(1),
        },
    ),
    _members(
        {"type": st.just("thinking"), "thinking": _TEXTS},
        {"signature": st.sampled_from(["s", "t", "llmw1.x.y", "", None])},
    ),
    st.just({"type": "redacted_thinking", "data": "d"}),
    st.just({"type": "x"}),
)
_SYSTEMS = st.one_of(
    _TEXTS,
    st.none(),
    st.lists(
        _members({"type": st.just("text"), "text": _TEXTS}, {"cache_control": _MARKS}),
        max_size=2,
    ),
)
_ANTHROPIC_TOOLS = st.one_of(
    _members(
        {"name": st.just("f")},
        {
            "description": st.sampled_from(["", "d", None]),
            "input_schema": st.sampled_from([{}, {"type": "object"}]),
            "strict": st.sampled_from([True, False, None]),
            "type": st.sampled_from(["custom", None, "bash_20250124"]),
            "cache_control": _MARKS,
            "defer_loading": st.just(True),
            "x": st.just(1),
        },
    ),
    st.just({"type": "web_search_20250305", "name": "web_search", "max_uses": 5}),
)
_ANTHROPIC_MESSAGES = _members(
    {
        "role": st.sampled_from(["user", "assistant", "user", "x"]),
        "content": st.one_of(_TEXTS, st.lists(_BLOCKS, max_size=3)),
    },
    {"x": st.just(1)},
)
_ANTHROPIC_TALKS = st.fixed_dictionaries(
    {"messages": st.lists(_BLOCKS, max_size=2).map(_said)}
)
_ANTHROPIC_BODIES = _members(
    {"messages": st.lists(_ANTHROPIC_MESSAGES, max_size=4)},
    {
        "model": st.sampled_from(["m", None]),
        "max_tokens": st.sampled_from([1, None]),
        "system": _SYSTEMS,
        "stream": st.sampled_from([True, False, None]),
        "temperature": st.sampled_from([0, None]),
        "top_p": st.just(1),
        "stop_sequences": st.sampled_from([["s"], [], None]),
        "tools": st.one_of(st.lists(_ANTHROPIC_TOOLS, max_size=2), st.none()),
        "tool_choice": st.sampled_from([{"type": "auto"}, {"type": "tool"}, None]),
        "thinking": st.just({"type": "enabled", "budget_tokens": 1024}),
        "metadata": st.sampled_from([{"user_id": "u"}, {}, None]),
        "cache_control": _MARKS,
        "service_tier": st.just("auto"),
        "container": st.just("c"),
        "mcp_servers": st.just([{"type": "url"}]),
        "speed": st.just("fast"),
        "x": st.just(1),
    },
)
_BODIES = {
    "openai-chat": _CHAT_BODIES | _CHAT_TALKS,
    "anthropic": _ANTHROPIC_BODIES | _ANTHROPIC_TALKS,
}


_USUAL: list[tuple[str, list[Any]]] = [
    ("openai-chat", [{"role": "user", "content": [_TEXT]}]),
    ("openai-chat", [{"role": "user", "content": [_TEXT, _TEXT]}]),
    ("openai-chat", [{"role": "system", "content": "s"}]),
    ("openai-chat", [{"role": "tool", "tool_call_id": "c", "content": "r"}]),
    *(
        ("openai-chat", [{"role": "tool", "tool_call_id": "c", "content": content}])
        for content in ([_TEXT], [_TEXT, _TEXT])
    ),
    (
        "openai-chat",
        [{"role": "tool", "tool_call_id": "c", "name": "f", "content": "r"}],
    ),
    (
        "openai-chat",
        [
            {
                "role": "assistant",
                "content": "t",
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                    }
                ],
            }
        ],
    ),
    ("openai-chat", [{"role": "assistant", "content": "t", "reasoning_content": "r"}]),
    ("anthropic", _said([_TEXT])),
    ("anthropic", _said([{"type": "thinking", "thinking": "t", "signature": "s"}])),
    *(
        (
            "anthropic",
            _said(
                [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": "b" * n}}]
            ),
        )
        for n in (1, 5000)
    ),
    *(
        (
            "anthropic",
            _said([{"type": "tool_result", "tool_use_id": "c", "content": c, **error}]),
        )
        for c in ("r", [_TEXT], [_TEXT, _TEXT])
        for error in ({}, {"is_error": False}, {"is_error": True})
    ),
]


@pytest.mark.parametrize(("dialect", "messages"), _USUAL)
@pytest.mark.parametrize("more", [{}, {"x": 1}])
def test_usual_messages_have_one_reading(
    dialect: str, messages: list[Any], more: dict[str, Any]
) -> None:
    body = json.dumps({"messages": messages, **more}).encode()
    assert isinstance(_assert_one_reading(dialect, body, Limits()), Request)


@pytest.mark.parametrize("dialect", _BODIES)
def test_a_body_has_one_reading(dialect: str) -> None:
    @given(_BODIES[dialect], st.integers(0, 9), st.integers(0, 3))
    @settings(max_examples=900)
    def check(body: Any, parts: int, strange: int) -> None:
        limits = Limits(parts=parts) if parts else Limits()
        text = json.dumps(body if strange == 1 else _known(body), ensure_ascii=False)
        _assert_one_reading(dialect, text.encode(), limits)

    check()


@pytest.mark.parametrize("dialect", _BODIES)
def test_what_is_written_has_one_reading(dialect: str) -> None:
    policy = {name: "drop" for name, row in FEATURES.items() if row.hard}

    @given(strategies.requests(dialect))
    @settings(max_examples=150)
    def check(request: Request) -> None:
        losses = LossRecorder(policy)  # type: ignore[arg-type]  # all of them may be dropped
        target = RequestTarget(losses=losses, profile=resolve(dialect))
        body = get(dialect).encode_request(request, target).http.body
        assert isinstance(_assert_one_reading(dialect, body, Limits()), Request)

    check()


@pytest.mark.parametrize("dialect", _BODIES)
def test_no_part_is_allowed(dialect: str) -> None:
    for content in ("a", ""):
        body = {"messages": [{"role": "user", "content": content}]}
        found = _assert_one_reading(dialect, json.dumps(body).encode(), Limits(parts=0))
        assert isinstance(found, tuple) == (dialect == "openai-chat")
