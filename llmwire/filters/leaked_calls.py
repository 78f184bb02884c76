"""Calls that a model wrote into its text, or its thoughts, made calls again.

Knows the events that hold text and calls. Which formats there are is the business of
`_call_formats`; where a call begins and ends, that of `CallScanner`. `find_calls` does
the same without a stream.

Rules:
1. Nothing is looked for where no function was declared, or none may be called.
2. Calls become parts of their own, complete ones. The text before and behind them stays
   as it was, in parts of its own; white space that stands alone is left out there.
3. An answer with such calls that says it simply ended ends as `tool_use`.
4. What has no end, names no declared tool or cannot be read stays text, unchanged.
5. A call that the same answer makes properly too is made once: where that came first
   the text stays text; where it comes later the second is left out.
6. The first text that comes out has the id, group and extras of the part that came in;
   what names that part later goes to the last that came of it. Log probabilities and
   citations of text that became a call are dropped, with a `Loss`.
7. Held back are at most one call of `limit` characters per part, `_PATIENCE` of white
   space, and `_WAITING` events that name a part whose text is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from llmwire.filters._call_bodies._found import FoundCall
from llmwire.filters._call_formats import FORMATS
from llmwire.filters._call_scanner import CallScanner, CallText
from llmwire.filters._chain import FilterFactory
from llmwire.filters._leaked_call_filter import (
    LIMIT,
    LeakedCall,
    LeakedCallFilter,
    LeakOutcome,
    checked,
    openers_of,
)
from llmwire.requests import Request, Tool

__all__ = (
    "CALL_FORMATS",
    "LIMIT",
    "FoundCall",
    "LeakOutcome",
    "LeakedCall",
    "LeakedCallFilter",
    "callable_tools",
    "find_calls",
    "leaked_call_filter",
)

CALL_FORMATS: Final = tuple(dict.fromkeys(form.name for form in FORMATS))
"""The names of the formats."""


def leaked_call_filter(
    formats: Iterable[str] | None = None,
    *,
    reasoning: bool = True,
    limit: int = LIMIT,
) -> FilterFactory:
    """A factory of `LeakedCallFilter` for requests that declare functions.

    Raises:
        LocalProtocolError: As `LeakedCallFilter`, at once.
    """
    names = checked(formats, limit)

    def make(request: Request) -> LeakedCallFilter | None:
        tools = callable_tools(request)
        if not tools:
            return None
        seed = str(len(request.messages))
        return LeakedCallFilter(
            tools, names, reasoning=reasoning, limit=limit, seed=seed
        )

    return make


def callable_tools(request: Request) -> dict[str, Tool]:
    """The functions that `request` lets the model call, by name."""
    choice = request.tool_choice
    if choice is not None and choice.mode == "none":
        return {}
    allowed = choice.names if choice is not None else ()
    return {
        tool.name: tool
        for tool in request.tools
        if tool.kind == "function" and (not allowed or tool.name in allowed)
    }


def find_calls(
    text: str,
    tools: Mapping[str, Tool],
    formats: Iterable[str] | None = None,
    *,
    limit: int = LIMIT,
) -> tuple[str | FoundCall, ...]:
    """The pieces of `text` and the calls in it, in order; what marks calls is left out.

    Args:
        text: A complete answer.
        tools: The tools that may be called, by name.
        formats: Names of `CALL_FORMATS`; None: all that need not be asked for.
        limit: Characters of a call at most; a longer one is text.

    Raises:
        LocalProtocolError: There is no such format, or the limit is not positive.
    """
    openers = openers_of(checked(formats, limit), tuple(tools), False)
    scanner = CallScanner(openers, tools, limit)
    found: list[str | FoundCall] = []
    for piece in (*scanner.feed(text), *scanner.finish()):
        if isinstance(piece, CallText):
            found += piece.calls
        elif found and isinstance(found[-1], str):
            found[-1] += piece
        else:
            found.append(piece)
    return tuple(found)
