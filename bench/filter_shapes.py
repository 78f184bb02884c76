"""Answers that grow, sent through filters: every flood is a chance to be quadratic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import llmwire
from bench.proxy_chain import RULES, proxy_chain
from bench.shapes import Shape, Work, calls, choices, parallel, strange, texts
from llmwire.events import Event

__all__ = ("FILTER_SHAPES",)

_Make: TypeAlias = Callable[[int], list[Event]]
_CALL: Final = '{"name": "write_file", "arguments": {"path": "a", "content": "'
_MARKUP: Final = "<write_file>\n<path>a</path>\n<content>"

_FLOODS: Final[Mapping[str, str]] = {
    "words": "all of it is said ",
    "lines": "for it\n",
    "line feeds": "\n",
    "blanks": " ",
    "angle brackets": "<",
    "square brackets": "[",
    "braces on lines": "{\n",
    "quotes": '"',
    "backslashes": "\\",
    "backticks": "`",
    "fences": "```\n",
    "tilde fences": "~~~\na\n",
    "thoughts that open": "<think>",
    "thoughts that close": "</think>",
    "thoughts": "<think>a</think>",
    "calls that open": "<tool_call>",
    "calls that open on lines": "<tool_call>\n{",
    "calls in markup that open": "<write_file>\n",
    "openers by name": "[write_file(",
    "fenced calls that open": "```json\n{",
}
"""What is said again and again."""
_HELD: Final[Mapping[str, tuple[str, str]]] = {
    "a call of words": (f"<tool_call>{_CALL}", "a b "),
    "a call of quotes": (f"<tool_call>{_CALL}", 'a "b" '),
    "a call of closers": (f"<tool_call>{_CALL}", "</tool_call>"),
    "a bare call of braces": (_CALL, "{}"),
    "a call in markup": (_MARKUP, "<a> "),
    "a call in markup of closers": (_MARKUP, "</content>\n"),
    "a thought": ("<think>", "a b "),
    "a thought of openers": ("<think>", "<tool_call"),
    "a document": ('{"path": "a", "content": "', "a b "),
    "a document of paths": ('{"path": "a", "content": "C:', "\\\\\\\\a"),
    "a document of quotes": ('{"path": "a", "content": "', 'a "b" '),
    "a document of members": ('{"path": "a"', ', "content": ""'),
    "levels": ('{"a": ', "["),
}
"""What begins a region, and of what it is."""
_WRITTEN: Final[Mapping[str, str]] = {
    "calls in JSON": f'<tool_call>{_CALL}"}}}}</tool_call>\n',
    "calls in markup": f"{_MARKUP}b</content>\n</write_file>\n",
    "thoughts and texts": "<think>a</think>b\n\n",
}
"""What is complete, and comes again and again."""


def _told(parts: Sequence[Event]) -> list[Event]:
    start = llmwire.MessageStart("msg-1", "model-x", 1.0)
    return [start, *parts, llmwire.MessageEnd("end"), llmwire.StreamEnd()]


def _spoken(text: str) -> list[Event]:
    """A text, character by character."""
    start = llmwire.PartStart(0, llmwire.TextPart(""))
    grown = (llmwire.TextDelta(0, each) for each in text)
    return _told([start, *grown, llmwire.PartEnd(0)])


def _called(text: str) -> list[Event]:
    """A call with arguments that come character by character."""
    part = llmwire.ToolCallPart(call_id="call_1", name="write_file")
    grown = (llmwire.ArgumentsDelta(0, each) for each in text)
    return _told([llmwire.PartStart(0, part), *grown, llmwire.PartEnd(0)])


def _texts_then_calls(n: int) -> list[Event]:
    """`n` calls as text, then the same `n` calls made properly."""
    text = "".join(
        f'<tool_call>{{"name": "tool_1", "arguments": {{"a": {at}}}}}</tool_call>\n'
        for at in range(n)
    )
    events = _spoken("")[:2]
    events += [llmwire.TextDelta(0, text), llmwire.PartEnd(0)]
    for at in range(n):
        part = llmwire.ToolCallPart(call_id=f"call_{at}", name="tool_1")
        arguments = llmwire.ArgumentsDelta(at + 1, json.dumps({"a": at}))
        events += [llmwire.PartStart(at + 1, part), arguments]
        events.append(llmwire.PartEnd(at + 1))
    return [*events, llmwire.MessageEnd("end"), llmwire.StreamEnd()]


def _distinct(make: _Make) -> _Make:
    """Calls that differ: those that do not are compared with 1024 before each."""

    def made(n: int) -> list[Event]:
        return [_own(each) for each in make(n)]

    return made


def _own(event: Event) -> Event:
    if not isinstance(event, llmwire.ArgumentsDelta):
        return event
    member = f'{{"x{event.index}":0' + ("," if len(event.text) > 1 else "")
    return llmwire.ArgumentsDelta(event.index, event.text.replace("{", member))


_PARTS: Final[Mapping[str, tuple[_Make, int]]] = {
    "texts": (texts, 10_000),
    "calls": (_distinct(calls), 10_000),
    "parallel calls": (_distinct(parallel), 10_000),
    "choices": (choices, 4_000),
    "strangers": (strange, 4_000),
    "calls twice": (_texts_then_calls, 2_000),
}
_TEXT: Final = ("think", "virtual_tools", "leaked_calls", "structured", "loops")
_CALLS: Final = ("leaked_calls", "tool_repair", "tool_loops", "loops")


def _sent(names: Sequence[str], make: _Make) -> Callable[[int], Work]:
    def prepare(n: int) -> Work:
        events = make(n)

        def work() -> int:
            send = proxy_chain(names, document="structured" in names).send
            return sum(len(send(event)) for event in events)

        return work

    return prepare


def _growing(
    before: str, unit: str, spoken: Callable[[str], list[Event]]
) -> tuple[_Make, int, int]:
    """`before` and then `unit` again and again: how, how often, and how often counted.

    Counted are some thousand characters: loops are asked for at every thousandth.
    """
    size = len(unit)
    return lambda n: spoken(before + unit * n), 40_000 // size, 2_048 // size


def _shapes() -> Iterator[Shape]:
    grown = {name: ("", unit) for name, unit in _FLOODS.items()}
    grown |= _HELD
    grown |= {name: ("", unit) for name, unit in _WRITTEN.items()}
    for name, (before, unit) in grown.items():
        make, size, few = _growing(before, unit, _spoken)
        for each in _TEXT:
            yield Shape(f"filter {each}, {name}", size, _sent([each], make), few)
    for name in (
        "words",
        "quotes",
        "backslashes",
        "braces on lines",
        "square brackets",
    ):
        make, size, few = _growing('{"content": "', _FLOODS[name], _called)
        for each in _CALLS:
            what = f"filter {each}, arguments of {name}"
            yield Shape(what, size, _sent([each], make), few)
    for name, (make, size) in _PARTS.items():
        for each in RULES:
            yield Shape(f"filter {each}, {name}", size, _sent([each], make), 128)
        yield Shape(f"filters, {name}", size, _sent([*RULES], make), 128)


FILTER_SHAPES: Final[tuple[Shape, ...]] = tuple(_shapes())
