"""Calls and results of a conversation as text, and back.

Knows messages, their parts and the markup.

A result is a text of the user that begins with `[NAME for 'WORDS'] Result:`, the words
being the first string that the call was given, or with `[NAME] Result:`. What the tool
gave stands behind the line, media in parts of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec.structs import replace

from llmwire.filters._tool_call import Arguments, CallStart
from llmwire.filters._tool_markup import (
    MCP,
    MOST_WORDS,
    MarkupTool,
    Syntax,
    first_words,
    mcp_names,
    undeclared,
    write_call,
)
from llmwire.filters._tool_reader import MarkupReader
from llmwire.filters._tool_tags import Markup
from llmwire.losses import LossRecorder
from llmwire.messages import (
    MediaPart,
    Message,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

FEATURE: Final = "filter.virtual_tools"
_FAILED: Final = "The tool execution failed with the following error:\n<error>\n"
_FAILED_END: Final = "\n</error>"
_LONGEST: Final = 4096
"""Characters of the words in the first line of a result, at most."""
_WORDS_END: Final = "'] Result:"
_OF_THE_CLIENT: Final = "<environment_details>"
"""How the text begins that Cline, Roo and Kilo send beside a result."""


# To text


class HistoryWriter:
    """Writes the calls and results of a conversation as text.

    Args:
        tools: Those that are declared, by name.
        syntax: How calls are written.
        serial: A message may hold one call at most.
    """

    def __init__(
        self, tools: Mapping[str, MarkupTool], syntax: Syntax, *, serial: bool
    ) -> None:
        self._tools = tools
        self._syntax = syntax
        self._serial = serial
        self._calls: dict[str, ToolCallPart] = {}

    def written(
        self, messages: Sequence[Message], losses: LossRecorder
    ) -> tuple[Message, ...]:
        """`messages` without calls and results; tells `losses` of each."""
        for at, message in enumerate(messages):
            for number, part in enumerate(message.parts):
                if isinstance(part, (ToolCallPart, ToolResultPart)):
                    self._tell(part, f"messages[{at}].parts[{number}]", losses)
                if isinstance(part, ToolCallPart):
                    self._calls[part.call_id] = part
        turns = _one_by_one(messages) if self._serial else messages
        return tuple(map(self._rewritten, turns))

    def _tell(
        self, part: ToolCallPart | ToolResultPart, place: str, losses: LossRecorder
    ) -> None:
        losses.emulate(FEATURE, place, "it is written as text")
        losses.drop_extras(part.extras, place)
        if part.signature is not None:
            losses.drop(FEATURE, f"{place}.signature", "a text of a call has none")

    def _rewritten(self, message: Message) -> Message:
        parts: list[Part] = []
        calls: list[ToolCallPart] = []
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                calls.append(part)
                continue
            self._call_block(calls, parts)
            if isinstance(part, ToolResultPart):
                parts += self._result(part)
            else:
                parts.append(part)
        self._call_block(calls, parts)
        return replace(message, parts=tuple(parts))

    def _call_block(self, calls: list[ToolCallPart], parts: list[Part]) -> None:
        """`calls`, which are emptied, as one text at the end of `parts`."""
        if not calls:
            return
        written = (
            write_call(self._syntax, self._tool(call), call.arguments) for call in calls
        )
        text = self._syntax.block(written)
        before = parts[-1] if parts else None
        if isinstance(before, TextPart) and not before.text.endswith("\n"):
            text = f"\n\n{text}"
        parts.append(TextPart(text, cache=calls[-1].cache))
        calls.clear()

    def _tool(self, call: ToolCallPart) -> MarkupTool:
        tool = self._tools.get(call.name)
        custom = call.kind == "custom"
        if tool is not None and tool.custom == custom:
            return tool
        return undeclared(call.name, call.arguments, custom=custom)

    def _result(self, result: ToolResultPart) -> list[Part]:
        call = self._calls.get(result.call_id)
        name, words = result.name or "tool", ""
        if call is not None:
            name, words = call.name, _words(call)
        mcp = None if self._syntax.invocations else mcp_names(name)
        if mcp is not None:
            name, words = MCP, mcp[0]
        told = f" for '{words}'" if words else ""
        first = result.parts[0] if result.parts else None
        head = first if isinstance(first, TextPart) else TextPart("")
        rest = result.parts[1:] if head is first else result.parts
        body = f"{_FAILED}{head.text}{_FAILED_END}" if result.error else head.text
        head = replace(head, text=f"[{name}{told}] Result:\n{body}")
        parts: list[Part] = [head, *rest]
        if result.cache is not None:
            parts[-1] = replace(parts[-1], cache=result.cache)
        return parts


def _words(call: ToolCallPart) -> str:
    """What a result says its call was for."""
    if call.kind == "custom":
        return call.arguments.strip().partition("\n")[0][:MOST_WORDS]
    return first_words(call.arguments)


def _one_by_one(messages: Sequence[Message]) -> list[Message]:
    """Calls that were made together and answered together, one after the other."""
    turns: list[Message] = []
    for message in messages:
        calls = (
            [p for p in turns[-1].parts if isinstance(p, ToolCallPart)] if turns else []
        )
        results = {p.call_id: p for p in message.parts if isinstance(p, ToolResultPart)}
        if len(calls) > 1 and {call.call_id for call in calls} == set(results):
            turns += _in_turns(turns.pop(), message, results)
        else:
            turns.append(message)
    return turns


def _in_turns(
    asked: Message, answered: Message, results: Mapping[str, ToolResultPart]
) -> list[Message]:
    turns: list[Message] = []
    span: list[Part] = []
    for part in asked.parts:
        span.append(part)
        if isinstance(part, ToolCallPart):
            turns += [
                replace(asked, parts=tuple(span), id=None),
                Message(role="user", parts=(results[part.call_id],)),
            ]
            span = []
    turns[0] = replace(turns[0], id=asked.id)
    turns[-2] = replace(turns[-2], parts=(*turns[-2].parts, *span))
    rest = [part for part in answered.parts if not isinstance(part, ToolResultPart)]
    turns[-1] = replace(answered, parts=(*turns[-1].parts, *rest))
    return turns


# From text


def read_history(
    messages: Sequence[Message], markup: Markup, losses: LossRecorder
) -> tuple[Message, ...]:
    """`messages` with the calls and results that stand in their texts as parts.

    The calls of a message are read if all of them are whole and the next message, which
    is the user's, has their results, in order; else it stays as it is. Ids are
    `call_{turn}_{n}`, `turn` counting the messages of the assistant.
    """
    out = list(messages)
    turn = -1
    for at, message in enumerate(messages):
        if message.role != "assistant":
            continue
        turn += 1
        parts = _with_calls(message, markup, turn)
        calls = [part for part in parts if isinstance(part, ToolCallPart)]
        following = messages[at + 1] if at + 1 < len(messages) else None
        if not calls or following is None or following.role != "user":
            continue
        answered = _with_results(following, calls)
        if answered is not None:
            out[at] = replace(message, parts=parts)
            out[at + 1] = replace(following, parts=answered)
            losses.emulate(FEATURE, f"messages[{at}].parts", "calls were read in text")
            where = f"messages[{at + 1}].parts"
            losses.emulate(FEATURE, where, "results were read in text")
    return tuple(out)


def _with_calls(message: Message, markup: Markup, turn: int) -> tuple[Part, ...]:
    """The parts of `message` with calls; none if there is a call that is not whole."""
    parts: list[Part] = []
    count = 0
    for part in message.parts:
        if not isinstance(part, TextPart):
            parts.append(part)
            continue
        pieces = _pieces(part, markup, f"call_{turn}_", count)
        if pieces is None:
            return ()
        parts += pieces
        count += sum(isinstance(piece, ToolCallPart) for piece in pieces)
    return tuple(parts)


def _pieces(
    part: TextPart, markup: Markup, prefix: str, count: int
) -> list[Part] | None:
    """The texts and calls in `part`; None if there is a call that is not whole."""
    reader = MarkupReader(markup)
    pieces: list[Part] = []
    text = replace(part, cache=None)
    for token in (*reader.feed(part.text), *reader.finish()):
        last = pieces[-1] if pieces else None
        if isinstance(token, str):
            pieces.append(replace(text, text=token))
            text = TextPart("")
        elif isinstance(token, CallStart):
            kind: Literal["function", "custom"]
            kind = "custom" if token.custom else "function"
            call_id = f"{prefix}{count}"
            count += 1
            pieces.append(ToolCallPart(call_id=call_id, name=token.name, kind=kind))
        elif isinstance(token, Arguments):
            assert isinstance(last, ToolCallPart)
            pieces[-1] = replace(last, arguments=last.arguments + token.text)
        elif not token.complete:
            return None
    if not any(isinstance(piece, ToolCallPart) for piece in pieces):
        return [part]
    pieces[-1] = replace(pieces[-1], cache=part.cache)
    return pieces


def _with_results(
    message: Message, calls: Sequence[ToolCallPart]
) -> tuple[Part, ...] | None:
    """The parts of `message` with the results of `calls`; None: some are missing."""
    parts: list[Part] = []
    left = deque(message.parts)
    waiting = deque(calls)
    while left:
        part = left.popleft()
        end = _head_end(part, waiting)
        if end and isinstance(part, TextPart):
            call = waiting.popleft()
            given = _given(part, end, left, waiting)
            parts.append(_result_of(call, given, part))
        else:
            parts.append(part)
    return None if waiting else tuple(parts)


def _head_end(part: Part, waiting: Sequence[ToolCallPart]) -> int:
    """Where the first line of the next result that is waited for ends in `part`.

    0: it is none.
    """
    if not waiting or not isinstance(part, TextPart):
        return 0
    text, name = part.text, waiting[0].name
    for each in (name, MCP) if mcp_names(name) else (name,):
        plain, worded = f"[{each}] Result:", f"[{each} for '"
        if text.startswith(plain):
            return len(plain)
        if text.startswith(worded):
            at = text.find(_WORDS_END, len(worded), len(worded) + _LONGEST)
            if at >= 0:
                return at + len(_WORDS_END)
    return 0


def _given(
    part: TextPart, end: int, left: deque[Part], waiting: Sequence[ToolCallPart]
) -> list[Part]:
    """What the result gave, some of it taken from the front of `left`."""
    given: list[Part] = []
    following = left[0] if left else None
    if end < len(part.text):
        given.append(TextPart(part.text[end:].removeprefix("\n")))
    elif isinstance(following, TextPart) and not (
        following.text.startswith(_OF_THE_CLIENT) or _head_end(following, waiting)
    ):
        given.append(left.popleft())
    while left and isinstance(left[0], MediaPart):
        given.append(left.popleft())
    return given


def _result_of(call: ToolCallPart, given: list[Part], part: TextPart) -> ToolResultPart:
    error = False
    first = given[0] if given else None
    if isinstance(first, TextPart):
        text = first.text
        error = text.startswith(_FAILED) and text.endswith(_FAILED_END)
        if error:
            text = text[len(_FAILED) : len(text) - len(_FAILED_END)]
            given[0] = replace(first, text=text)
        if not text:
            del given[0]
    return ToolResultPart(
        call_id=call.call_id,
        name=call.name,
        parts=tuple(given),
        error=error,
        kind=call.kind,
        cache=part.cache,
    )
