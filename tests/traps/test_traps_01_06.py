"""Traps 1 to 6: thinking that loses its signature, or gets one that nobody made."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire import Loss, profiles
from llmwire.dialects import Dialect, variant
from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    ask,
    chat_stream,
    gemini_stream,
    stream,
    whole,
)
from tests.traps.bodies import Pair, chat, claude, gemini, responses
from tests.traps.reading import both, read_stream, read_whole, sealed, streamed

SIGNATURE = "RXEt/+Zw9A=="
THOUGHT: Object = {
    "type": "thinking",
    "thinking": "Tides come twice.",
    "signature": SIGNATURE,
}
SAID: Object = {"type": "text", "text": "Let me look."}
USE: Object = {
    "type": "tool_use",
    "id": "toolu_7",
    "name": "tide",
    "input": {"port": "Brest"},
}
DECLARED: Object = {
    "type": "function",
    "function": {"name": "tide", "parameters": {"type": "object"}},
}
OLD = "claude-opus-4-5"
"""A model that wants its thinking back while a tool loop is open."""


def _told(losses: tuple[Loss, ...]) -> set[tuple[str, str, str]]:
    return {(one.path, one.feature, one.action) for one in losses}


# --- 1: signed thinking is back on the next turn -------------------------------------


def _next_turn(client: str, held: Any) -> Object:
    """The request in which a client sends back what it held, with a result."""
    if client == CHAT:
        message = {name: value for name, value in held.items() if value}
        message = {"role": "assistant", **message}
        del message["finish_reason"]
        turns: list[Object] = [
            {"role": "user", "content": "When?"},
            message,
            {"role": "tool", "tool_call_id": "toolu_7", "content": "At six."},
        ]
        wants = {"reasoning_effort": "high", "max_completion_tokens": 4000}
        return {"model": OLD, "messages": turns, "tools": [DECLARED], **wants}
    if client == RESPONSES:
        items = [
            {"role": "user", "content": "When?"},
            *held,
            {"type": "function_call_output", "call_id": "toolu_7", "output": "At six."},
        ]
        tool = {"type": "function", "name": "tide", "strict": False}
        tools = [{**tool, "parameters": {"type": "object"}}]
        wants = {"reasoning": {"effort": "high"}, "max_output_tokens": 4000}
        return {"model": OLD, "input": items, "tools": tools, **wants}
    result = {"id": "toolu_7", "name": "tide", "response": {"output": "At six."}}
    config = {"thinkingConfig": {"thinkingBudget": 2000}, "maxOutputTokens": 4000}
    return {
        "contents": [
            {"role": "user", "parts": [{"text": "When?"}]},
            {"role": "model", "parts": held},
            {"role": "user", "parts": [{"functionResponse": result}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "tide"}]}],
        "generationConfig": config,
    }


@pytest.mark.parametrize("client", [CHAT, RESPONSES, GEMINI])
def test_trap_01_signed_thinking_is_back_on_the_next_turn(client: str) -> None:
    """What a foreign client holds after a thinking turn with a call, and sends back,
    is the signed block again, first in its turn, thinking still asked for.

    Fails at the block when a client's dialect has no place for the signature, or
    reading does not open the envelope; at its place when it is put behind the call.
    """
    held = both(CLAUDE, client, *claude(THOUGHT, SAID, USE, stop="tool_use"))
    asked, _ = ask(client, CLAUDE, _next_turn(client, held), model=OLD)
    assert asked["messages"][1]["content"] == [THOUGHT, SAID, USE]
    assert asked["thinking"]["type"] == "enabled"


@pytest.mark.parametrize("client", [CHAT, RESPONSES, GEMINI])
def test_trap_01_a_client_that_dropped_the_thinking_gets_none(client: str) -> None:
    """Where the client threw the signed thinking away, the call stands first, so that
    thinking is switched off for this request, and a loss says so.

    Fails at `thinking` when the switch is left on, which the server answers by 400
    "Expected `thinking`, but found `tool_use`"; at the losses when it is silent.
    """
    held = both(CLAUDE, client, *claude(THOUGHT, USE, stop="tool_use"))
    if client == CHAT:
        held = {"tool_calls": held["tool_calls"], "finish_reason": "tool_calls"}
    elif client == RESPONSES:
        held = [item for item in held if item["type"] != "reasoning"]
    else:
        held = [part for part in held if "functionCall" in part]
    asked, call = ask(client, CLAUDE, _next_turn(client, held), model=OLD)
    assert asked["messages"][1]["content"] == [USE]
    assert asked.get("thinking", {"type": "disabled"})["type"] == "disabled"
    assert ("reasoning", "reasoning.mode", "approximated") in _told(call.losses)


# --- 2: a stream keeps the signature -------------------------------------------------


@pytest.mark.parametrize("client", [CHAT, RESPONSES, CLAUDE, GEMINI])
def test_trap_02_a_stream_keeps_the_signature(client: str) -> None:
    """A stream leaves the client with the same message as the whole answer does, the
    signature included; strict readers compare every member.

    Fails in `both` when `signature_delta` is skipped in the stream (or is told twice),
    at the envelope when the value is changed on its way.
    """
    held = both(CLAUDE, client, *claude(THOUGHT, SAID))
    if client == CLAUDE:
        assert held == [THOUGHT, SAID]
        return
    if client == CHAT:
        [detail] = held["reasoning_details"]
        assert held["reasoning_content"] == THOUGHT["thinking"]
        envelope = detail["signature"]
    elif client == RESPONSES:
        envelope = held[0]["encrypted_content"]
    else:
        assert held[0]["thought"] is True
        envelope = base64.b64decode(held[0]["thoughtSignature"]).decode()
    assert sealed(envelope) == {"origin": CLAUDE, "b": SIGNATURE}


@pytest.mark.parametrize("source", [CHAT, RESPONSES, GEMINI])
def test_trap_02_foreign_state_is_in_the_stream_too(source: str) -> None:
    """The same for a Claude client before other servers: its `signature_delta` holds
    the state that the whole answer holds, sealed.

    Fails in `both` when the stream loses the state of `encrypted_content`,
    `reasoning_details` or `thoughtSignature`; at the envelope when it is another.
    """
    text = "Tides come twice."
    entry = {"type": "reasoning.text", "index": 0, "text": text, "signature": "U0lH"}
    summary = [{"type": "summary_text", "text": text}]
    item = {"type": "reasoning", "id": "rs_1", "summary": summary}
    pairs: dict[str, Pair] = {
        CHAT: chat(reasoning_details=[entry], content="At six."),
        RESPONSES: responses({**item, "encrypted_content": "U0lH"}),
        GEMINI: gemini({"text": text, "thought": True, "thoughtSignature": "U0lH"}),
    }
    held = both(source, CLAUDE, *pairs[source])
    assert (held[0]["type"], held[0]["thinking"]) == ("thinking", text)
    assert sealed(held[0]["signature"]) == {"origin": source, "b": "U0lH"}


# --- 3: a late signature -------------------------------------------------------------


def _late_entry(**members: str) -> Object:
    entry = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    return {**entry, **members}


def test_trap_03_a_signature_after_the_text_is_kept() -> None:
    """A signature that comes when thinking is long over (thinking, text, signature)
    reaches a Claude client in a block of its own, for none can be reopened.

    Fails at the last block when a signature without an open thought is dropped; in
    the strict reader when its delta is written for the block that has stopped.
    """
    late = chat_stream(
        {"role": "assistant", "content": ""},
        {"reasoning": "Twice.", "reasoning_details": [_late_entry(text="Twice.")]},
        {"content": "At six."},
        {"reasoning_details": [_late_entry(signature="TEFURQ==")]},
    )
    held = streamed(CHAT, CLAUDE, late)
    assert [one["type"] for one in held[:2]] == ["thinking", "text"]
    [carrier] = held[2:]
    envelope = carrier.get("data") or carrier["signature"]
    assert carrier.get("thinking", "") == ""
    assert sealed(envelope) == {"origin": CHAT, "b": "TEFURQ=="}
    body = chat(
        content="At six.",
        reasoning_details=[_late_entry(text="Twice.", signature="TEFURQ==")],
    )[1]
    [thought, _] = read_whole(CLAUDE, whole(CHAT, CLAUDE, body)[0])
    assert sealed(thought["signature"])["b"] == "TEFURQ=="


def test_trap_03_a_late_signature_is_back_on_the_next_turn() -> None:
    """Gemini signs an answer without calls on an empty text at its end. A Claude client
    holds that in an empty thought, and Gemini gets it back behind the text.

    Fails at the blocks when an empty signed text is thrown away, at the contents when
    the envelope is not put back as a `thoughtSignature` of the answer's last part.
    """
    parts: list[Object] = [
        {"text": "Twice.", "thought": True},
        {"text": "At six."},
        {"text": "", "thoughtSignature": "R0dMQVRF"},
    ]
    late, body = gemini(*parts)
    for held in (
        read_whole(CLAUDE, whole(GEMINI, CLAUDE, body)[0]),
        streamed(GEMINI, CLAUDE, late),
    ):
        assert [one["type"] for one in held] == ["thinking", "text", "thinking"]
        assert held[2]["thinking"] == ""
        assert sealed(held[2]["signature"])["b"] == "R0dMQVRF"
        turns = [
            {"role": "user", "content": "When?"},
            {"role": "assistant", "content": held},
            {"role": "user", "content": "And then?"},
        ]
        again: Object = {"model": "gemini-3-pro", "max_tokens": 99, "messages": turns}
        asked, _ = ask(CLAUDE, GEMINI, again)
        last = asked["contents"][1]["parts"][-1]
        assert last["thoughtSignature"] == "R0dMQVRF"
        assert not last.get("thought")


# --- 4: no signature is made up ------------------------------------------------------


@pytest.mark.parametrize("model", [OLD, "claude-opus-5"])
def test_trap_04_unsigned_thinking_gets_no_signature(model: str) -> None:
    """Thinking of a Chat history that nobody signed is left out for a server that
    checks signatures, said as a loss, and nothing stands in for the signature.

    Fails at the turn when the block is sent, with whatever signature; at the losses
    when it goes in silence.
    """
    turns: list[Object] = [
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": "At six.", "reasoning_content": "Twice."},
        {"role": "user", "content": "And then?"},
    ]
    body: Object = {"model": model, "messages": turns, "reasoning_effort": "high"}
    asked, call = ask(CHAT, CLAUDE, body)
    text = {"type": "text", "text": "At six."}
    assert asked["messages"][1]["content"] == [text]
    assert b"signature" not in call.http.body
    lost = ("messages[1].parts[0]", "reasoning.text", "dropped")
    assert lost in _told(call.losses)


def test_trap_04_our_own_seal_is_no_signature() -> None:
    """Thinking of a Chat server is sealed for a Claude client; sent on to Claude, the
    seal is not passed off as Anthropic's signature: the block is left out.

    Fails at the turn when the envelope is forwarded to the verifier, or is opened
    without a look at its origin.
    """
    held = both(CHAT, CLAUDE, *chat(reasoning_content="Twice.", content="At six."))
    assert sealed(held[0]["signature"])["origin"] == CHAT
    turns = [
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": held},
        {"role": "user", "content": "And then?"},
    ]
    body: Object = {"model": OLD, "max_tokens": 4000, "messages": turns}
    body["thinking"] = {"type": "enabled", "budget_tokens": 2000}
    asked, call = ask(CLAUDE, CLAUDE, body)
    assert asked["messages"][1]["content"] == [{"type": "text", "text": "At six."}]
    assert b"llmw1" not in call.http.body
    assert "messages[1].parts[0]" in {one.path for one in call.losses}


# --- 5: no empty signature -----------------------------------------------------------


@pytest.fixture
def plain_claude() -> Dialect:
    """Claude clients that are shown unsigned thinking as it is."""
    facts = replace(profiles.PROFILES["anthropic"], name="shown", seal_plain=False)
    profiles.register(facts)
    return variant(CLAUDE, "claude-shown", "shown")


def test_trap_05_unsigned_thinking_has_no_empty_signature(
    plain_claude: Dialect,
) -> None:
    """For clients that want no seal on unsigned thinking, a whole answer has a block
    without the member, and a stream no `signature_delta`.

    Fails at the block when `"signature": ""` is written, at the kinds of deltas when
    an empty `signature_delta` is.
    """
    parts, body = chat(reasoning_content="Twice.", content="At six.")
    answer, _ = whole(CHAT, plain_claude, body)  # type: ignore[arg-type]  # a record serves like its name
    assert answer["content"][0] == {"type": "thinking", "thinking": "Twice."}
    events, _ = stream(CHAT, plain_claude, parts)  # type: ignore[arg-type]  # as above
    kinds = {one["delta"].get("type") for one in events if "delta" in one}
    assert kinds == {"thinking_delta", "text_delta", None}
    assert read_stream(CLAUDE, events)[0]["thinking"] == "Twice."


@pytest.mark.parametrize("client", [CHAT, RESPONSES, GEMINI])
def test_trap_05_unsigned_thinking_is_unsigned_elsewhere(client: str) -> None:
    """Other clients see no signature member at all where there is none.

    Fails at the search when a member is written with an empty value.
    """
    parts, body = chat(reasoning_content="Twice.", content="At six.")
    if client == CHAT:
        parts, body = gemini({"text": "Twice.", "thought": True}, {"text": "At six."})
    held = both(GEMINI if client == CHAT else CHAT, client, parts, body)
    for name in ("signature", "thoughtSignature", "encrypted_content"):
        assert name not in str(held)


# --- 6: plain thinking in the order and under the names of the dialect ---------------


def test_trap_06_plain_thinking_comes_under_its_name_and_before_the_text() -> None:
    """`reasoning_content` is a thinking block: start, `thinking_delta.thinking`, one
    `signature_delta`, stop; only then does the text start. Clients such as Claude Code
    throw thinking without a signature away, hence the seal.

    Fails at the list of steps when a delta has another key or member, the signature is
    missing or comes behind the stop, or the text starts before the thought stopped.
    """
    parts, body = chat(reasoning_content="Twice.", content="At six.")
    events, _ = stream(CHAT, CLAUDE, parts)
    steps = []
    for event in events:
        step = event["type"].removeprefix("content_block_")
        if step == "start":
            steps.append(("start", event["content_block"]["type"]))
        elif step == "delta":
            kind, *members = event["delta"]
            assert kind == "type"
            steps.append((event["delta"]["type"], *members))
        elif step == "stop":
            steps.append(("stop", event["index"]))
    assert steps == [
        ("start", "thinking"),
        ("thinking_delta", "thinking"),
        ("thinking_delta", "thinking"),
        ("signature_delta", "signature"),
        ("stop", 0),
        ("start", "text"),
        ("text_delta", "text"),
        ("text_delta", "text"),
        ("stop", 1),
    ]
    held = both(CHAT, CLAUDE, parts, body)
    assert [one.get("thinking") or one["text"] for one in held] == ["Twice.", "At six."]


def test_trap_06_every_plain_field_is_read() -> None:
    """Servers call the field `reasoning_content`, `reasoning` or `reasoning_text`.

    Fails at the thought when one of the names is not read; in the count when the same
    words, sent under two names, are taken twice.
    """
    for names in (
        ["reasoning_content"],
        ["reasoning"],
        ["reasoning_text"],
        ["reasoning_content", "reasoning"],
    ):
        said = dict.fromkeys(names, "Twice.")
        held = streamed(CHAT, CLAUDE, chat_stream(said, {"content": "At six."}))
        answer, _ = whole(CHAT, CLAUDE, chat(**said, content="At six.")[1])
        for blocks in (held, answer["content"]):
            thoughts = [one["thinking"] for one in blocks if one["type"] == "thinking"]
            assert thoughts == ["Twice."], names


def test_trap_06_thoughts_of_gemini_come_first_too() -> None:
    """Gemini's `thought` parts are thinking blocks of the same order.

    Fails at the kinds when thoughts become text, or follow it.
    """
    thoughts: list[Object] = [
        {"text": "Twice ", "thought": True},
        {"text": "a day.", "thought": True},
    ]
    held = streamed(GEMINI, CLAUDE, gemini_stream(thoughts, [{"text": "At six."}]))
    assert [one["type"] for one in held] == ["thinking", "text"]
    assert held[0]["thinking"] == "Twice a day."
