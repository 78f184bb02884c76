"""Traps 40 and 41: limits of output, and structured output by a tool."""

from __future__ import annotations

from typing import Any

import pytest

from llmwire import EncodedRequest
from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    ask,
    chat_stream,
    claude_stream,
    gemini_stream,
    objects,
    responses_stream,
    stream,
    whole,
)
from tests.traps.endings import TEXT, TOOL, claude_body, ending, told
from tests.traps.reading import both, streamed

ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)
_CUT = ("incomplete", "max_output_tokens")

# --- 40: limits of output ------------------------------------------------------------

_ASKED: Object = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def _limit(body: Object) -> Any:
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    inner = body.get("generationConfig", {}).get("maxOutputTokens")
    found = [body[name] for name in names if name in body]
    assert len(found) <= 1, "two limits"
    return found[0] if found else inner


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("target", ALL)
def test_trap_40_both_names_of_the_limit_count(target: str, name: str) -> None:
    """`max_tokens` and `max_completion_tokens` are one limit, the newer name first.

    Fails at the number when one name is ignored or a default takes its place.
    """
    body, call = ask(CHAT, target, {**_ASKED, name: 77})
    assert _limit(body) == 77
    assert told(call.losses, "max_tokens") == []
    if target != CHAT:
        both_names = {"max_tokens": 5, "max_completion_tokens": 77}
        assert _limit(ask(CHAT, target, {**_ASKED, **both_names})[0]) == 77


def test_trap_40_the_limit_goes_by_the_name_that_the_server_knows() -> None:
    """A server of Chat's dialect gets the name that its profile says.

    Fails when one name is hard-coded.
    """
    for name in ("max_tokens", "max_completion_tokens"):
        body, _ = ask(CHAT, CHAT, {**_ASKED, name: 77}, profile="deepseek")
        assert body.get("max_tokens") == 77
        assert "max_completion_tokens" not in body
    claude = {**_ASKED, "max_tokens": 77}
    assert ask(CLAUDE, CHAT, claude)[0]["max_completion_tokens"] == 77


@pytest.mark.parametrize("source", [CHAT, RESPONSES, GEMINI])
def test_trap_40_no_limit_of_our_own_in_silence(source: str) -> None:
    """Nobody who can do without a limit is given one; Anthropic must have one, and is
    told of as a default.

    Fails at `None` when a hidden 1024, 2048 or 4096 is sent; at the loss when the
    default is not told.
    """
    asked: Object = {"input": "Hi", "model": "m"} if source == RESPONSES else _ASKED
    if source == GEMINI:
        asked = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    for target in (CHAT, RESPONSES, GEMINI):
        assert _limit(ask(source, target, asked, model="m")[0]) is None
    body, call = ask(source, CLAUDE, asked, model="m")
    assert body["max_tokens"] >= 8192
    assert told(call.losses, "max_tokens") == [("max_tokens", "defaulted")]


def _limited(source: str) -> tuple[bytes, Object]:
    """An answer that ran into its limit, as a stream and whole."""
    if source == CHAT:
        message = {"role": "assistant", "content": "Once"}
        choice = {"index": 0, "message": message, "finish_reason": "length"}
        body: Object = {"id": "c", "created": 5, "model": "m", "choices": [choice]}
        return chat_stream({"content": "Once"}, finish="length"), body
    if source == CLAUDE:
        text = {"type": "text", "text": "Once"}
        parts = claude_stream(
            (TEXT[0], {"type": "text_delta", "text": "Once"}), stop="max_tokens"
        )
        return parts, claude_body(text, stop_reason="max_tokens")
    if source == GEMINI:
        content = {"role": "model", "parts": [{"text": "Once"}]}
        candidate = {"content": content, "finishReason": "MAX_TOKENS", "index": 0}
        parts = gemini_stream([{"text": "Once"}], finish="MAX_TOKENS")
        return parts, {"candidates": [candidate]}
    part = {"type": "output_text", "text": "Once", "annotations": []}
    item: Object = {"id": "msg_7", "type": "message", "role": "assistant"}
    item |= {"status": "incomplete", "content": [part]}
    why = {"incomplete_details": {"reason": "max_output_tokens"}}
    parts = responses_stream(output=[item], end="incomplete", **why)
    return parts, objects(parts)[-1]["response"]


@pytest.mark.parametrize("source", ALL)
def test_trap_40_a_limit_is_never_told_as_success(source: str) -> None:
    """An answer that ran into its limit says so in every dialect.

    Fails at the word when a truncated answer ends like a complete one.
    """
    words: dict[str, Any] = {CHAT: "length", RESPONSES: _CUT}
    words |= {CLAUDE: "max_tokens", GEMINI: "MAX_TOKENS"}
    parts, body = _limited(source)
    for target, word in words.items():
        assert ending(target, stream(source, target, parts)[0]) == word
        if source != target:
            assert ending(target, [whole(source, target, body)[0]]) == word


# --- 41: structured output by a tool -------------------------------------------------

_PERSON: Object = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}


def _shaped(**members: Any) -> EncodedRequest:
    """A request for JSON to a model that can only be forced to call a tool."""
    form = {"type": "json_schema", "json_schema": {"name": "p", "schema": _PERSON}}
    asked = {**_ASKED, "response_format": form, **members}
    _, call = ask(CHAT, CLAUDE, asked, model="claude-3-5-haiku-latest")
    return call


def _emulated(call: EncodedRequest) -> tuple[bytes, Object]:
    name = call.context.json_tool
    assert name is not None
    block: Object = {"type": "tool_use", "id": "toolu_8", "name": name, "input": {}}
    parts = claude_stream(
        (
            block,
            {"type": "input_json_delta", "partial_json": '{"name": '},
            {"type": "input_json_delta", "partial_json": '"Ada"}'},
        ),
        stop="tool_use",
    )
    whole_block = {**block, "input": {"name": "Ada"}}
    return parts, claude_body(whole_block, stop_reason="tool_use")


def test_trap_41_the_emulating_tool_does_not_leak() -> None:
    """Structured output that was emulated by a forced tool comes back as text with a
    normal end.

    Fails at `tool_calls` and the finish when the call is not unwrapped, at the losses
    when the emulation is not told.
    """
    call = _shaped()
    assert ("output", "emulated") in told(call.losses, "output.format")
    parts, body = _emulated(call)
    held = both(CLAUDE, CHAT, parts, body, context=call.context)
    assert (held["content"], held["tool_calls"]) == ('{"name": "Ada"}', [])
    assert held["finish_reason"] == "stop"


def test_trap_41_a_cut_answer_stays_cut() -> None:
    """Emulated output that ran into the limit is not a complete one.

    Fails when unwrapping sets the stop word unconditionally.
    """
    call = _shaped()
    parts, _ = _emulated(call)
    cut = parts.replace(b'"\\"Ada\\"}"', b'"\\"A"').replace(
        b'"stop_reason": "tool_use"', b'"stop_reason": "max_tokens"'
    )
    held = streamed(CLAUDE, CHAT, cut, context=call.context)
    assert (held["content"], held["finish_reason"]) == ('{"name": "A', "length")


def test_trap_41_only_the_emulating_tool_is_unwrapped() -> None:
    """The client's own tools stay calls, and an answer in words stays words.

    Fails when any call, or every answer, is unwrapped.
    """
    tool = {"type": "function", "function": {"name": "dig", "parameters": {}}}
    call = _shaped(tools=[tool])
    body = claude_body({**TOOL[0], "input": {"depth": 3}}, stop_reason="tool_use")
    parts = claude_stream(TOOL, stop="tool_use")
    held = both(CLAUDE, CHAT, parts, body, context=call.context)
    assert [one["function"]["name"] for one in held["tool_calls"]] == ["dig"]
    assert (held["content"], held["finish_reason"]) == ("", "tool_calls")
    words = claude_body({"type": "text", "text": "Well"}, stop_reason="end_turn")
    held = both(CLAUDE, CHAT, claude_stream(TEXT), words, context=call.context)
    assert (held["content"], held["finish_reason"]) == ("Well", "stop")


def test_trap_41_without_the_emulation_the_same_name_is_a_call() -> None:
    """A tool of the client's that happens to have the emulating tool's name is its own.

    Fails when unwrapping goes by the name alone, without the request's context.
    """
    name = _shaped().context.json_tool
    tool = {"type": "function", "function": {"name": name, "parameters": {}}}
    _, call = ask(CHAT, CLAUDE, {**_ASKED, "tools": [tool]})
    block: Object = {"type": "tool_use", "id": "toolu_8", "name": name, "input": {}}
    held = streamed(
        CLAUDE, CHAT, claude_stream((block,), stop="tool_use"), context=call.context
    )
    assert [one["function"]["name"] for one in held["tool_calls"]] == [name]
