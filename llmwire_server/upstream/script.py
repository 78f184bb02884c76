"""What the embedded simulator answers: a pure function of the neutral request.

Deterministic: equal requests get equal answers. Rules of the configuration are tried
first; after them the words of the user's last text decide:

- `simulate error 429`: an error with that status,
- `simulate cut`: the stream breaks off in the middle of the answer,
- a request whose tools must be called, or a text that names a tool or says `tool`: a
  call, with arguments that fit the tool's schema; `parallel` or `both`: calls of every
  tool at once,
- results of tools at the end: an answer that repeats them,
- a request for structured output: JSON that fits its schema,
- anything else: an echo, after some thinking where thinking was asked for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from llmwire import (
    APIError,
    Choice,
    MediaPart,
    Part,
    ReasoningPart,
    Request,
    Response,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Usage,
    estimate_tokens,
)
from llmwire.messages import ErrorKind
from llmwire_server.config.tree import SimulatorRule

__all__ = ("Script", "script_for")

MODEL: Final = "simulator"
_ERROR: Final = re.compile(r"simulate error (\d{3})")
_KINDS: Final[dict[int, ErrorKind]] = {
    400: "invalid_request",
    401: "auth",
    402: "billing",
    403: "permission",
    404: "not_found",
    409: "conflict",
    413: "too_large",
    429: "rate_limit",
    500: "internal",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}


_TEXT: Final = "text"
_DEEPEST: Final = 8
"""Levels of a schema that are followed: some refer to themselves."""


class Script(Struct, frozen=True, kw_only=True):
    """One answer, and how it is given."""

    answer: Response | APIError
    pace: float = 0.0
    """Seconds between the events of a stream."""
    cut: bool = False
    """The stream breaks off half way."""


def script_for(
    request: Request, rules: Sequence[SimulatorRule] = (), pace: float = 0.0
) -> Script:
    """The answer to `request`. Never raises."""
    text = _last_text(request)
    for rule in rules:
        if re.search(rule.match, text):
            return _of_rule(request, rule, pace)
    failed = _ERROR.search(text)
    if failed:
        return Script(answer=_error(int(failed[1])))
    parts = _parts(request, text)
    return Script(
        answer=_response(request, parts), pace=pace, cut="simulate cut" in text
    )


def _of_rule(request: Request, rule: SimulatorRule, pace: float) -> Script:
    if rule.error is not None:
        return Script(answer=_error(rule.error))
    parts: list[Part] = []
    if rule.reasoning is not None:
        parts.append(ReasoningPart(text=rule.reasoning))
    if rule.text is not None:
        parts.append(TextPart(rule.text))
    tools = {tool.name: tool for tool in request.tools}
    named = [tools.get(name, Tool(name=name)) for name in rule.calls]
    parts += _calls(request, named, rule.arguments)
    return Script(
        answer=_response(request, parts),
        pace=pace if rule.pace is None else rule.pace,
    )


def _error(status: int) -> APIError:
    kind: ErrorKind = "internal" if status >= 500 else "invalid_request"
    return APIError(
        kind=_KINDS.get(status, kind),
        message=f"simulated error {status}",
        status=status,
        retry_after=1.0 if status == 429 else None,
    )


def _last_text(request: Request) -> str:
    for message in reversed(request.messages):
        if message.role == "user":
            texts = [p.text for p in message.parts if isinstance(p, TextPart)]
            if texts:
                return "\n".join(texts)
    return ""


def _parts(request: Request, text: str) -> list[Part]:
    thinking: list[Part] = []
    if _thinks(request) or "think" in text.lower():
        thought = "The user wants an answer. I will give one."
        thinking.append(ReasoningPart(text=thought))
    results = _last_results(request)
    if results:
        return [*thinking, TextPart(f"The tools said: {'; '.join(results)}")]
    called = _called_tools(request, text)
    if called:
        return [*thinking, *_calls(request, called)]
    if request.output is not None and request.output.kind.startswith("json"):
        schema = _decoded(request.output.schema)
        return [*thinking, TextPart(json.dumps(example(schema)))]
    images = sum(
        isinstance(part, MediaPart) for m in request.messages for part in m.parts
    )
    seen = f" I see {images} attachment(s)." if images else ""
    return [*thinking, TextPart(f"You said: {text}{seen}")]


def _thinks(request: Request) -> bool:
    reasoning = request.reasoning
    return (
        reasoning is not None
        and reasoning.mode != "off"
        and (reasoning.mode == "on" or bool(reasoning.effort or reasoning.budget))
    )


def _last_results(request: Request) -> list[str]:
    if not request.messages:
        return []
    return [
        "".join(p.text for p in part.parts if isinstance(p, TextPart))
        for part in request.messages[-1].parts
        if isinstance(part, ToolResultPart)
    ]


def _called_tools(request: Request, text: str) -> list[Tool]:
    tools = [t for t in request.tools if t.kind in ("function", "custom")]
    choice = request.tool_choice
    if not tools or (choice is not None and choice.mode == "none"):
        return []
    if choice is not None and choice.names:
        tools = [tool for tool in tools if tool.name in choice.names]
    words = text.lower()
    several = "parallel" in words or "both" in words
    if several and request.parallel is not False:
        return tools
    named = [tool for tool in tools if tool.name.lower() in words]
    forced = choice is not None and choice.mode == "required"
    if named or forced or "tool" in words:
        return (named or tools)[:1]
    return []


def _calls(
    request: Request, tools: Iterable[Tool], said: str | None = None
) -> list[Part]:
    """Calls of `tools`, with the arguments that are `said`, else with such as fit."""
    calls: list[Part] = []
    turn = len(request.messages)
    for at, tool in enumerate(tools):
        schema = _decoded(tool.schema)
        custom = tool.kind == "custom"
        arguments = "free text" if custom else json.dumps(example(schema))
        arguments = arguments if said is None else said
        calls.append(
            ToolCallPart(
                call_id=f"call_{turn}_{at}",
                name=tool.name,
                arguments=arguments,
                kind="custom" if custom else "function",
            )
        )
    return calls


def _decoded(schema: Raw | None) -> Any:
    try:
        return {} if schema is None else msgspec.json.decode(schema)
    except msgspec.DecodeError:
        return {}


def example(schema: Any) -> Any:
    """A value that fits `schema`, always the same one; `{}` where it is no schema."""
    if not isinstance(schema, dict):
        return {}
    return _example(schema, schema, 0)


def _example(schema: Any, root: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return _TEXT
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if _several(schema, "enum"):
        return schema["enum"][0]
    if isinstance(schema.get("$ref"), str):
        return _example(_referred(schema["$ref"], root), root, depth + 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if _several(schema, key):
            return _example(schema[key][0], root, depth + 1)
    kind = schema.get("type", "string" if depth else "object")
    kind = (kind[0] if isinstance(kind, list) and kind else str(kind)).lower()
    if kind == "object" or "properties" in schema:
        members = schema.get("properties")
        found = members if isinstance(members, dict) else {}
        return {name: _example(of, root, depth + 1) for name, of in found.items()}
    if kind == "array":
        count = _number(schema, "minItems", 1)
        return [_example(schema.get("items"), root, depth + 1)] * min(count, 16)
    if kind in ("integer", "number"):
        return _number(schema, "minimum", _number(schema, "maximum", 1))
    if kind == "string":
        return _TEXT.ljust(min(_number(schema, "minLength", 0), 1000), ".")
    return {"boolean": True, "null": None}.get(kind, _TEXT)


def _several(schema: dict[str, Any], key: str) -> bool:
    return isinstance(schema.get(key), list) and bool(schema[key])


def _number(schema: dict[str, Any], key: str, usual: int) -> int:
    """The bound `key`, where it is a number (or, as Gemini has it, the text of one)."""
    try:
        return math.ceil(float(schema[key]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return usual


def _referred(reference: str, root: Any) -> Any:
    """What `#/$defs/X` means in `root`, None where it means nothing."""
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _response(request: Request, parts: list[Part]) -> Response:
    called = any(isinstance(part, ToolCallPart) for part in parts)
    written = sum(len(getattr(p, "text", None) or "") for p in parts) + sum(
        len(p.arguments) for p in parts if isinstance(p, ToolCallPart)
    )
    thought = sum(len(p.text or "") for p in parts if isinstance(p, ReasoningPart))
    usage = Usage(
        fresh=estimate_tokens(request).input,
        output=-(-written // 4),
        reasoning=-(-thought // 4),
    )
    choice = Choice(parts=tuple(parts), stop="tool_use" if called else "end")
    return Response(model=request.model or MODEL, choices=(choice,), usage=usage)
