"""What only one dialect says: its stop words, hosted tools, unknown parts and events.

Facts for the strategies, a row per built-in dialect; another dialect has an empty row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Raw, Struct

from llmwire.messages import (
    OpaquePart,
    ServerToolCallPart,
    ServerToolResultPart,
    StopReason,
)

DIALECTS: Final = ("openai-chat", "openai-responses", "anthropic", "gemini")


class Native(Struct, frozen=True, kw_only=True):
    """The words of one dialect."""

    stops: Mapping[StopReason, str] = {}
    """Stop reasons that it can tell, and its word for each."""
    hosted: tuple[ServerToolCallPart | ServerToolResultPart, ...] = ()
    """Calls that the server runs, each followed by its result where it has one."""
    unknown: tuple[Raw, ...] = ()
    """Parts of types that nobody knows; the dialect's type word is `x_new`."""
    tools: tuple[tuple[str, Raw], ...] = ()
    """Type words and declarations of tools that the server runs."""
    items: bool = False
    """Parts have ids and stand in items."""


_CHAT: Final = Native(
    stops={
        "end": "stop",
        "max_tokens": "length",
        "tool_use": "tool_calls",
        "refusal": "stop",
        "content_filter": "content_filter",
        "other": "x_new",
    },
    unknown=(Raw(b'{"type":"x_new","x_new":{"a":1}}'),),
    tools=(("x_search", Raw(b'{"type":"x_search","x_search":{}}')),),
)
_RESPONSES: Final = Native(
    stops={
        "end": "completed",
        "max_tokens": "max_output_tokens",
        "tool_use": "completed",
        "refusal": "completed",
        "content_filter": "content_filter",
        "other": "x_new",
    },
    hosted=(
        ServerToolCallPart(
            name="web_search_call",
            call_id="ws_1",
            id="ws_1",
            status="completed",
            payload=Raw(
                b'{"type":"web_search_call","id":"ws_1","status":"completed",'
                b'"action":{"type":"search","query":"q"}}'
            ),
        ),
        ServerToolCallPart(
            name="mcp_call",
            call_id="mcp_1",
            id="mcp_1",
            status="failed",
            payload=Raw(
                b'{"type":"mcp_call","id":"mcp_1","status":"failed","name":"f",'
                b'"server_label":"s","arguments":"{}","output":null,"error":"e"}'
            ),
        ),
    ),
    unknown=(Raw(b'{"type":"x_new","id":"x_1","x":[1,null]}'),),
    tools=(
        ("web_search", Raw(b'{"type":"web_search"}')),
        ("mcp", Raw(b'{"type":"mcp","server_label":"s","server_url":"https://s"}')),
    ),
    items=True,
)
_ANTHROPIC: Final = Native(
    stops={
        "end": "end_turn",
        "max_tokens": "max_tokens",
        "stop_sequence": "stop_sequence",
        "tool_use": "tool_use",
        "pause": "pause_turn",
        "refusal": "refusal",
        "context_full": "model_context_window_exceeded",
        "other": "x_new",
    },
    hosted=(
        ServerToolCallPart(
            name="web_search",
            call_id="srvtoolu_1",
            id="srvtoolu_1",
            payload=Raw(b'{"query":"q"}'),
        ),
        ServerToolResultPart(
            name="web_search_tool_result",
            call_id="srvtoolu_1",
            payload=Raw(
                b'[{"type":"web_search_result","url":"https://a.example",'
                b'"title":"t","encrypted_content":"e","page_age":null}]'
            ),
        ),
    ),
    unknown=(Raw(b'{"type":"x_new","x":{"a":null}}'),),
    tools=(
        (
            "web_search_20250305",
            Raw(b'{"type":"web_search_20250305","name":"web_search","max_uses":2}'),
        ),
    ),
)
_GEMINI: Final = Native(
    stops={
        "end": "STOP",
        "max_tokens": "MAX_TOKENS",
        "tool_use": "STOP",
        "content_filter": "SAFETY",
        "recitation": "RECITATION",
        "malformed_tool_call": "MALFORMED_FUNCTION_CALL",
        "other": "OTHER",
    },
    hosted=(
        ServerToolCallPart(
            name="executableCode",
            payload=Raw(b'{"language":"PYTHON","code":"print(1)"}'),
        ),
        ServerToolResultPart(
            name="codeExecutionResult",
            payload=Raw(b'{"outcome":"OUTCOME_OK","output":"1\\n"}'),
        ),
    ),
    unknown=(Raw(b'{"xNew":{"a":1}}'),),
    tools=(("googleSearch", Raw(b'{"googleSearch":{}}')),),
)
_NATIVE: Final[Mapping[str, Native]] = dict(
    zip(DIALECTS, (_CHAT, _RESPONSES, _ANTHROPIC, _GEMINI), strict=True)
)


def native(dialect: str | None) -> Native:
    """The row of `dialect`."""
    return _NATIVE.get(dialect or "", _NOTHING)


_NOTHING: Final = Native()


def opaque_parts(dialect: str) -> tuple[OpaquePart, ...]:
    """Parts of `dialect` that nobody knows."""
    return tuple(
        OpaquePart(dialect=dialect, kind="x_new", raw=raw)
        for raw in native(dialect).unknown or (Raw(b'{"type":"x_new"}'),)
    )
