"""The chain of filters that the proxy would make, with any of them switched on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Raw

from llmwire.filters import FilterChain
from llmwire.messages import Message, TextPart
from llmwire.requests import OutputFormat, Request, Tool
from llmwire_server.filtering.plan import FilterPlan
from llmwire_server.filtering.rules import (
    FilterRules,
    LeakedCallRules,
    LoopRules,
    StructuredRules,
    ThinkRules,
    ToolLoopRules,
    ToolRepairRules,
    VirtualToolRules,
)

__all__ = ("RULES", "SCHEMA", "proxy_chain")

RULES: Final[Mapping[str, Any]] = {
    "think": ThinkRules(mode="move"),
    "virtual_tools": VirtualToolRules(mode="cline"),
    "leaked_calls": LeakedCallRules(mode="on"),
    "tool_repair": ToolRepairRules(mode="repair"),
    "structured": StructuredRules(mode="repair"),
    "tool_loops": ToolLoopRules(mode="report"),
    "loops": LoopRules(mode="report"),
}
"""Every filter for what a server gives, in the order in which an answer meets them."""

SCHEMA: Final = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
    "required": ["path", "content"],
}
"""Of the arguments of `write_file`, and of a document."""
_RAW: Final = Raw(json.dumps(SCHEMA).encode())
_TOOLS: Final = (
    Tool(name="write_file", schema=_RAW),
    *(Tool(name=f"tool_{at}") for at in range(20)),
)


def proxy_chain(
    names: Iterable[str], *, document: bool = False, checked: bool = False
) -> FilterChain:
    """These of `RULES`, for a request with tools.

    Args:
        names: The filters that are on.
        document: The request asks for JSON; else there is nothing for `structured`.
        checked: As `FilterChain`.
    """
    wanted = OutputFormat(kind="json_schema", schema=_RAW) if document else None
    request = Request(
        model="m",
        messages=(Message(role="user", parts=(TextPart("Hi"),)),),
        tools=_TOOLS,
        output=wanted,
        stream=True,
    )
    rules = {name: RULES[name] for name in names}
    filtered = FilterPlan(FilterRules(**rules)).applied(request)
    made = (factory(filtered.request) for factory in filtered.factories)
    return FilterChain([each for each in made if each is not None], checked=checked)
