"""Tools for those who know none: calls as markup in text, for servers and for clients.

Knows requests, events and the markup of four formats; knows no dialect.

Two directions. `virtualize` is for a server that takes no tools: what the client's
tools are is told in words, calls and results of the conversation become text, and the
filter makes calls of the markup in the answer. `devirtualize` is for a client that
writes its tools into its system prompt and reads calls in text (Cline, Roo, Kilo): the
server gets native tools, and the filter makes markup of the calls in the answer.

Both are functions of the request alone, to be called before the request is encoded:

    virtual = virtualize(request, "cline")
    exchange.attempt(target, virtual.request, filters=[virtual.filter])
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from llmwire.errors import UnsupportedFeature
from llmwire.filters import Filter, FilterFactory
from llmwire.filters._calls_to_text import CallsToText
from llmwire.filters._text_to_calls import FEATURE, TextToCalls
from llmwire.filters._tool_history import HistoryWriter, read_history
from llmwire.filters._tool_markup import (
    ToolFormat,
    is_writable,
    markup_tool,
    syntax_of,
)
from llmwire.filters._tool_prompt import read_tools, written_tools
from llmwire.filters._tool_tags import Markup
from llmwire.losses import Loss, LossRecorder
from llmwire.messages import Message, TextPart, ToolCallPart, ToolResultPart
from llmwire.requests import Request, Tool, ToolChoice

__all__ = (
    "CallsToText",
    "TextToCalls",
    "ToolFormat",
    "Virtual",
    "calls_to_text",
    "devirtualize",
    "text_to_calls",
    "tools_in",
    "virtualize",
)

_NOTE = (
    "The tools named above are given to you as functions. Call them as such; the "
    "markup that the text above asks for is written for you."
)


class Virtual(Struct, frozen=True):
    """A request that was changed, and what undoes it in the answer."""

    request: Request
    losses: tuple[Loss, ...]
    filter: FilterFactory
    """For `Exchange.attempt`; gives no filter where there is nothing to undo."""


def virtualize(request: Request, format: ToolFormat = "cline") -> Virtual:
    """The request for a server that takes no tools.

    Functions and custom tools are told at the end of the instructions, which are made
    where there are none; so is what `tool_choice` asks for. Calls and results become
    text. With `cline`, `roo` and `kilo` there is one call in a message: calls that were
    made together follow each other. Media in results, thoughts and server tools stay.

    Raises:
        LocalProtocolError: There is no such format.
        UnsupportedFeature: A tool's name cannot stand in a tag.
    """
    syntax = syntax_of(format)
    losses = LossRecorder()
    tools = tuple(filter(_is_own, request.tools))
    for at, tool in enumerate(request.tools):
        if _is_own(tool):
            _check_name(tool, f"tools[{at}].name")
            losses.emulate(FEATURE, f"tools[{at}]", "it is told in the instructions")
    declared = [markup_tool(tool) for tool in tools]
    single = format != "function_calls"
    history = HistoryWriter(
        {tool.name: tool for tool in declared}, syntax, serial=single
    )
    messages = history.written(request.messages, losses)
    choice = request.tool_choice
    if tools:
        one_call = single or request.parallel is False
        told = written_tools(tools, choice, syntax, one_call=one_call)
        marks = [tool.cache for tool in tools if tool.cache is not None]
        messages = _instructed(
            messages, TextPart(told, cache=marks[-1] if marks else None)
        )
        if choice is not None:
            losses.emulate(FEATURE, "tool_choice", "it is told in the instructions")
        if request.parallel is not None:
            losses.emulate(FEATURE, "parallel", "it is told in the instructions")
    elif messages == request.messages:
        return Virtual(request, (), _nothing)
    changed = replace(request, messages=messages)
    if tools:
        left = tuple(tool for tool in request.tools if not _is_own(tool))
        changed = replace(changed, tools=left, tool_choice=None, parallel=None)
    allowed = _allowed(tools, choice)
    if not allowed:
        return Virtual(changed, losses.losses, _nothing)
    made = text_to_calls(
        allowed, format, turn=_turns(request), taken=_call_ids(request)
    )
    return Virtual(changed, losses.losses, made)


def devirtualize(
    request: Request,
    format: ToolFormat = "cline",
    *,
    tools: Sequence[Tool] | None = None,
    one_call: bool = True,
) -> Virtual:
    """The request for a server with tools, of a client that has them in its prompt.

    The instructions stay as they are, but for a sentence at their end: the tools are
    functions. Calls in the assistant's texts whose results follow become calls and
    results. A request that has functions already is not changed.

    Args:
        request: What the client sent.
        format: How the client writes calls.
        tools: The client's tools; None: those that its instructions list, `tools_in`.
        one_call: The client takes one call in a message, as those three do: the server
            is asked for no more, and more are dropped.

    Raises:
        LocalProtocolError: There is no such format.
    """
    syntax = syntax_of(format)
    found = tools_in(request) if tools is None else tuple(tools)
    if not found or any(map(_is_own, request.tools)):
        return Virtual(request, (), _nothing)
    losses = LossRecorder()
    losses.emulate(FEATURE, "tools", "they were read in the instructions")
    if one_call:
        losses.emulate(FEATURE, "parallel", "the client takes one call in a message")
    markup = Markup(map(markup_tool, found), syntax)
    messages = read_history(request.messages, markup, losses)
    changed = replace(
        request,
        messages=_instructed(messages, TextPart(_NOTE)),
        tools=(*request.tools, *found),
        parallel=False if one_call else request.parallel,
    )
    return Virtual(
        changed, losses.losses, calls_to_text(found, format, one_call=one_call)
    )


def text_to_calls(
    tools: Iterable[Tool],
    format: ToolFormat = "cline",
    *,
    turn: int = 0,
    taken: Collection[str] = (),
) -> FilterFactory:
    """A factory of filters that make calls of the markup in an answer.

    Args:
        tools: Those that may be called.
        format: How calls are written.
        turn: Number of the answer in the conversation: ids are `call_{turn}_{n}`.
        taken: Ids that are taken already.

    Raises:
        LocalProtocolError: There is no such format.
    """
    markup = Markup(map(markup_tool, tools), syntax_of(format))

    def make(request: Request) -> Filter:
        return TextToCalls(markup, turn, taken)

    return make


def calls_to_text(
    tools: Iterable[Tool], format: ToolFormat = "cline", *, one_call: bool = False
) -> FilterFactory:
    """A factory of filters that make markup of the calls in an answer.

    Args:
        tools: Those that the client knows.
        format: How it writes calls.
        one_call: Drop every call of a choice but the first.

    Raises:
        LocalProtocolError: There is no such format.
    """
    syntax = syntax_of(format)
    declared = tuple(map(markup_tool, tools))

    def make(request: Request) -> Filter:
        return CallsToText(declared, syntax, one_call=one_call)

    return make


def tools_in(request: Request) -> tuple[Tool, ...]:
    """The tools that the instructions of `request` list in words.

    A heading `## NAME`, then `Description:`, `Parameters:` with a line
    `- NAME: (required) …` for each, and `Usage:` with an example in tags. Parameters
    are strings, but for those that the example shows as a JSON object or list. Never
    raises.
    """
    found: dict[str, Tool] = {}
    for message in request.messages:
        if message.role in ("system", "developer"):
            texts = [part.text for part in message.parts if isinstance(part, TextPart)]
            for tool in read_tools("\n".join(texts)):
                found.setdefault(tool.name, tool)
    return tuple(found.values())


def _is_own(tool: Tool) -> bool:
    """The client runs it itself."""
    return tool.kind in ("function", "custom")


def _check_name(tool: Tool, place: str) -> None:
    if not is_writable(tool.name):
        what = "a name with such characters cannot stand in a tag"
        raise UnsupportedFeature(
            Loss(path=place, feature=FEATURE, action="refused", reason=what)
        )


def _allowed(tools: Sequence[Tool], choice: ToolChoice | None) -> tuple[Tool, ...]:
    """The tools that `choice` allows."""
    if choice is None or not (choice.names or choice.mode == "none"):
        return tuple(tools)
    if choice.mode == "none":
        return ()
    return tuple(tool for tool in tools if tool.name in choice.names)


def _instructed(messages: Sequence[Message], said: TextPart) -> tuple[Message, ...]:
    """`messages` with `said` at the end of the instructions that stand in front."""
    count = 0
    while count < len(messages) and messages[count].role in ("system", "developer"):
        count += 1
    if not count:
        return (Message(role="system", parts=(said,), top=True), *messages)
    last = messages[count - 1]
    if last.parts:
        said = replace(said, text=f"\n\n{said.text}")
    last = replace(last, parts=(*last.parts, said))
    return (*messages[: count - 1], last, *messages[count:])


def _turns(request: Request) -> int:
    return sum(message.role == "assistant" for message in request.messages)


def _call_ids(request: Request) -> frozenset[str]:
    return frozenset(
        part.call_id
        for message in request.messages
        for part in message.parts
        if isinstance(part, (ToolCallPart, ToolResultPart))
    )


def _nothing(request: Request) -> None:
    """No filter."""
