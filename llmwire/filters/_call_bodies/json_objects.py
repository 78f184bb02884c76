"""Calls whose arguments are JSON: as members of an object, or behind a name.

Knows JSON and the words that formats write around it. The text of the arguments is
kept as it came; what is no JSON is read as `json_repair` mends it, if it has an end and
there is one way to. A body that holds several calls is read whole or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

from llmwire._json import is_json_object
from llmwire.errors import JSONRepairError
from llmwire.filters._call_bodies._found import FoundCall, Tools, resolved, schema_of
from llmwire.json_repair import repair_json

_Members: TypeAlias = Mapping[str, Raw]
Parse: TypeAlias = Callable[[str, Tools], "list[FoundCall] | None"]

_NAMES: Final = ("name", "tool_name", "function_name", "tool", "function")
_ARGUMENTS: Final = ("arguments", "parameters", "args", "input", "tool_input", "params")
_IDS: Final = ("id", "tool_call_id", "call_id")
_NESTED: Final = ("function", "function_call", "tool_call")
_NO_CALL: Final = "directly_answer"
"""What Command R names where it calls nothing."""

_REFRAMED: Final = frozenset({"framing", "wrapper", "double-encoded", "concatenated"})
"""Repairs after which it is no longer the same value."""

_BETWEEN: Final = re.compile(r"[\s,;]*")
_EXTENT: Final = json.JSONDecoder(strict=False)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_LIST: Final = msgspec.json.Decoder(list[Raw])
_RECIPIENT: Final = re.compile(r"\bto=\s*([^\s<]+)")
_LEAKED_RECIPIENT: Final = re.compile(r"\s*(functions\.[^\s<]+)")
_FAILURES: Final = (ValueError, RecursionError, msgspec.MsgspecError)


def objects(body: str, tools: Tools) -> list[FoundCall] | None:
    """Objects with a name and arguments: one, a list, or several behind each other."""
    read: list[FoundCall] = []
    for members in _all_members(body) or ():
        call = _from_members(members, tools)
        if call is None:
            if _text(members, _NAMES) == _NO_CALL:
                continue
            return None
        read.append(call)
    return read or None


def exact_objects(body: str, tools: Tools) -> list[FoundCall] | None:
    """As `objects`, where the names stand as they were declared."""
    for members in _all_members(body) or ():
        if _text(_inner(members), _NAMES) not in tools:
            return None
    return objects(body, tools)


def single_key_objects(body: str, tools: Tools) -> list[FoundCall] | None:
    """Objects whose one key is the name, and its value the arguments."""
    read: list[FoundCall] = []
    for members in _all_members(body) or ():
        if len(members) != 1:
            return None
        (name, raw) = next(iter(members.items()))
        known, arguments = resolved(name, tools), _arguments(_decoded(raw))
        if known is None or arguments is None:
            return None
        read.append(FoundCall(known, arguments))
    return read or None


def _all_members(body: str) -> list[_Members] | None:
    """The members of every object in `body`; None where there is anything else."""
    found = _strict_members(body)
    if found is None:
        text = _mended(body)
        found = _strict_members(text) if text is not None else None
    return found


def _strict_members(body: str) -> list[_Members] | None:
    found: list[_Members] = []
    at = _BETWEEN.match(body).end()  # type: ignore[union-attr]  # it matches nothing too
    while at < len(body):
        end = _value_end(body, at)
        if end is None:
            return None
        try:
            found += _members_of(body[at:end])
        except _FAILURES:
            return None
        at = _BETWEEN.match(body, end).end()  # type: ignore[union-attr]  # as above
    return found


def _mended(text: str) -> str | None:
    """A broken object or list as it must have been meant."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        repair = repair_json(text)
    except JSONRepairError:
        return None
    reframed = any(edit.rule in _REFRAMED for edit in repair.edits)
    return repair.text if repair.complete and not reframed else None


def _members_of(value: str) -> list[_Members]:
    if value.startswith("["):
        return [_OBJECT.decode(bytes(each)) for each in _LIST.decode(value)]
    return [_OBJECT.decode(value)]


def _value_end(text: str, at: int) -> int | None:
    """Where the JSON value that begins at `at` ends."""
    if text[at : at + 1] not in ("{", "["):
        return None
    try:
        return _EXTENT.raw_decode(text, at)[1]
    except _FAILURES:
        return None


def _inner(members: _Members) -> _Members:
    """The members that name the call: of an object inside, where there is one."""
    for key in _NESTED:
        raw = members.get(key)
        if raw is not None and bytes(raw)[:1] == b"{":
            inner = _OBJECT.decode(bytes(raw))
            return {**{key: members[key] for key in _IDS if key in members}, **inner}
    return members


def _from_members(members: _Members, tools: Tools) -> FoundCall | None:
    members = _inner(members)
    name = resolved(_text(members, _NAMES) or "", tools)
    raw = next((members[key] for key in _ARGUMENTS if key in members), None)
    if name is None or raw is None:
        return None
    arguments = _arguments(_decoded(raw))
    if arguments is None:
        return None
    return FoundCall(name, arguments, _text(members, _IDS) or None)


def _text(members: _Members, keys: tuple[str, ...]) -> str | None:
    """The first of these members that is a text."""
    for key in keys:
        raw = members.get(key)
        if raw is not None and bytes(raw)[:1] == b'"':
            text: str = msgspec.json.decode(bytes(raw))
            return text
    return None


def _decoded(raw: Raw) -> str:
    """Arguments as text: the value itself, or what stands in it as a text."""
    octets = bytes(raw)
    if octets == b"null":
        return ""
    if octets[:1] != b'"':
        return octets.decode("utf-8")
    text: str = msgspec.json.decode(octets)
    return text


def _arguments(text: str) -> str | None:
    """`text` if it is an object; nothing stands for an empty one."""
    text = text.strip()
    if not text:
        return "{}"
    if is_json_object(text):
        return text
    return _mended(text) if text.startswith("{") else None


def _named(pattern: str) -> Parse:
    """A reader of a head, which has a `name` and maybe an `id`, and an object."""
    head = re.compile(pattern)

    def parse(body: str, tools: Tools) -> list[FoundCall] | None:
        found = head.match(body)
        if found is None:
            return None
        name = resolved(found["name"], tools)
        arguments = _arguments(body[found.end() :]) if name else None
        if name is None or not arguments:
            return None
        return [FoundCall(name, arguments, found.groupdict().get("id"))]

    return parse


named: Final = _named(r"\s*(?P<name>[^\s{\[<>]+)\s*(?=\{)")
"""`NAME {…}`."""
functionary: Final = _named(r">>>(?P<name>[^\s{]+)\s*(?=\{)")
"""`>>>NAME`, a line break, `{…}`."""
function_tag: Final = _named(r"\s*(?P<name>[^\s{<>]+)\s*>\s*(?=\{)")
"""`NAME>{…}`, behind `<function=`."""
mistral_named: Final = _named(
    r"\s*(?P<name>[^\s{\[]+)\s*(?:\[CALL_ID\]\s*(?P<id>[^\s{\[]+)\s*)?"
    r"(?:\[ARGS\]\s*)?(?=\{)"
)
"""`NAME[ARGS]{…}`, maybe with `[CALL_ID]` between."""


def harmony(body: str, tools: Tools) -> list[FoundCall] | None:
    """Marks of channels that name a recipient, and an object."""
    head, brace, rest = body.partition("{")
    recipient = _RECIPIENT.search(head) or _LEAKED_RECIPIENT.match(head)
    if recipient is None:
        return None
    known, arguments = resolved(recipient[1], tools), _arguments(brace + rest)
    if known is None or arguments is None or not brace:
        return None
    return [FoundCall(known, arguments)]


def plugin(body: str, tools: Tools) -> list[FoundCall] | None:
    """`<|plugin|>` and an object."""
    body = body.lstrip()
    if not body.startswith("<|plugin|>"):
        return None
    return objects(body.removeprefix("<|plugin|>"), tools)


def parenthesised(body: str, tools: Tools) -> list[FoundCall] | None:
    """`NAME({…})`, without the last bracket."""
    name, bracket, arguments = body.partition("(")
    known, read = resolved(name, tools), _arguments(arguments)
    if not bracket or known is None or read is None:
        return None
    return [FoundCall(known, read)]


_TIE: Final = r"(?:▁|_|\s|\\)+"
_DEEPSEEK_MARK: Final = rf"<[|｜]tool{_TIE}call{_TIE}%s[|｜]>"
_DEEPSEEK_SEP: Final = rf"<[|｜]tool{_TIE}sep[|｜]>"
_DEEPSEEK_HEAD: Final = re.compile(
    rf"\s*{_DEEPSEEK_MARK % 'begin'}\s*(?:function\s*{_DEEPSEEK_SEP}\s*)?"
    rf"(?P<name>[^\s<`{{]+)\s*(?:{_DEEPSEEK_SEP}\s*)?(?:```(?:json)?\s*)?"
)
_DEEPSEEK_END: Final = re.compile(rf"\s*(?:```\s*)?{_DEEPSEEK_MARK % 'end'}\s*")
_DEEPSEEK_NEXT: Final = re.compile(
    rf"\s*(?:```\s*)?(?:\Z|(?={_DEEPSEEK_MARK % 'begin'}))"
)
_KIMI_HEAD: Final = re.compile(
    r"\s*<\|tool_call_begin\|>\s*(?P<name>[^\s<]+)\s*<\|tool_call_argument_begin\|>\s*"
)
_KIMI_END: Final = re.compile(r"\s*<\|tool_call_end\|>\s*")
_KIMI_NEXT: Final = re.compile(r"\s*\Z")
_COUNTED: Final = re.compile(r"(.*):\d+\Z", re.DOTALL)


def _sequence(
    body: str,
    head: re.Pattern[str],
    end: re.Pattern[str],
    following: re.Pattern[str],
) -> list[tuple[str, str]] | None:
    """Name and arguments of every call between heads and ends.

    The end of a call may be missing in front of `following`, if its arguments are JSON.
    """
    read: list[tuple[str, str]] = []
    body = body.rstrip()
    at = 0
    while at < len(body):
        begin = head.match(body, at)
        if begin is None:
            return None
        value = _value_end(body, begin.end())
        if value is None:
            close = end.search(body, begin.end())
        else:
            close = end.match(body, value) or following.match(body, value)
        if close is None:
            return None
        read.append((begin["name"], body[begin.end() : close.start()]))
        at = close.end()
    return read or None


def deepseek(body: str, tools: Tools) -> list[FoundCall] | None:
    """The calls of a section of DeepSeek V3 or V3.1."""
    read: list[FoundCall] = []
    for name, value in (
        _sequence(body, _DEEPSEEK_HEAD, _DEEPSEEK_END, _DEEPSEEK_NEXT) or ()
    ):
        known, arguments = resolved(name, tools), _arguments(value)
        if known is None or arguments is None:
            return None
        read.append(FoundCall(known, arguments))
    return read or None


def kimi(body: str, tools: Tools) -> list[FoundCall] | None:
    """The calls of a section of Kimi K2, whose ids hold the names."""
    read: list[FoundCall] = []
    for call_id, value in _sequence(body, _KIMI_HEAD, _KIMI_END, _KIMI_NEXT) or ():
        counted = _COUNTED.match(call_id)
        arguments = _arguments(value)
        if arguments is None:
            return None
        known = resolved(counted[1] if counted else call_id, tools)
        if known is None and call_id.isdecimal():
            known = _fitting(arguments, tools)
        if known is None:
            return None
        read.append(FoundCall(known, arguments, call_id if counted else None))
    return read or None


def _fitting(arguments: str, tools: Tools) -> str | None:
    """The one tool that takes these arguments."""
    given: dict[str, Any] = msgspec.json.decode(arguments)
    fitting = []
    for name, tool in tools.items():
        schema = schema_of(tool)
        known, needed = schema.get("properties"), schema.get("required", [])
        if not isinstance(known, dict) or not isinstance(needed, list):
            continue
        if set(map(str, needed)) <= set(given) <= set(known):
            fitting.append(name)
    return fitting[0] if len(fitting) == 1 else None


def react(body: str, tools: Tools) -> list[FoundCall] | None:
    """`NAME`, a line with `Action Input:`, and an object."""
    name, mark, text = body.partition("\nAction Input:")
    known = resolved(name, tools)
    arguments = text.strip()
    if not mark or known is None or not is_json_object(arguments):
        return None
    return [FoundCall(known, arguments)]


def react_text(body: str, tools: Tools) -> list[FoundCall] | None:
    """As `react`, with the one text that the tool takes."""
    name, mark, text = body.partition("\nAction Input:")
    known = resolved(name, tools)
    if not mark or known is None or text.strip().startswith("{"):
        return None
    properties = schema_of(tools[known]).get("properties")
    if not isinstance(properties, dict) or len(properties) != 1:
        return None
    (key,) = properties
    return [FoundCall(known, json.dumps({key: text.strip()}, ensure_ascii=False))]
