"""Traps 12 to 14 and 16: thinking that must go back, and what it must be asked with."""

from __future__ import annotations

from typing import Any

import pytest

from llmwire import Loss, UnsupportedFeature
from tests.traps import CHAT, CLAUDE, GEMINI, RESPONSES, Object, ask
from tests.traps.bodies import call, chat, gemini
from tests.traps.reading import both, sealed

THIRD = "gemini-3-pro"
DUMMY = "skip_thought_signature_validator"


def _told(losses: tuple[Loss, ...]) -> set[tuple[str, str, str]]:
    return {(one.path, one.feature, one.action) for one in losses}


# --- 12: the signatures of Gemini's calls --------------------------------------------


def _call_part(port: str, **members: str) -> Object:
    return {"functionCall": {"name": "tide", "args": {"port": port}}, **members}


SIGNED = [_call_part("Brest", thoughtSignature="U0lH"), _call_part("Dover")]
"""Two parallel calls: the first owns the signature of the step."""


def _with_results(client: str, held: Any, *, more: bool = False) -> Object:
    """The request that answers the calls a client holds."""
    if client == CHAT:
        calls = held["tool_calls"]
        turns: list[Object] = [
            {"role": "user", "content": "When?"},
            {"role": "assistant", "content": None, "tool_calls": calls},
        ]
        for each in calls:
            result = {"role": "tool", "tool_call_id": each["id"], "content": "Six."}
            turns.append(result)
        function = {"name": "tide", "parameters": {"type": "object"}}
        tools: list[Object] = [{"type": "function", "function": function}]
        if more:
            turns.append({"role": "assistant", "content": "At six."})
            turns.append({"role": "user", "content": "Thanks."})
        return {"model": THIRD, "messages": turns, "tools": tools}
    if client == CLAUDE:
        results = [
            {"type": "tool_result", "tool_use_id": one["id"], "content": "Six."}
            for one in held
            if one["type"] == "tool_use"
        ]
        turns = [
            {"role": "user", "content": "When?"},
            {"role": "assistant", "content": held},
            {"role": "user", "content": results},
        ]
        tools = [{"name": "tide", "input_schema": {"type": "object"}}]
        return {"model": THIRD, "max_tokens": 99, "messages": turns, "tools": tools}
    outputs = [
        {"type": "function_call_output", "call_id": one["call_id"], "output": "Six."}
        for one in held
        if one["type"] == "function_call"
    ]
    items = [{"role": "user", "content": "When?"}, *held, *outputs]
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    tools = [{"type": "function", "name": "tide", "parameters": schema}]
    return {"model": THIRD, "input": items, "tools": tools}


@pytest.mark.parametrize("client", [CHAT, RESPONSES, CLAUDE])
def test_trap_12_a_thought_signature_is_back_on_its_call(client: str) -> None:
    """A client of any other dialect holds the signature of Gemini's first call, and
    Gemini gets it back on that very part; the parallel sibling gets none.

    Fails at the parts when the signature is lost on either way (Gemini 3 answers 400
    "missing a thought_signature"), or is copied to the second call.
    """
    held = both(GEMINI, client, *gemini(*SIGNED))
    if client == CHAT:
        first, second = held["tool_calls"]
        envelope = first["extra_content"]["google"]["thought_signature"]
        assert sealed(envelope) == {"origin": GEMINI, "b": "U0lH"}
        assert "extra_content" not in second
    asked, call_ = ask(client, GEMINI, _with_results(client, held))
    assert asked["contents"][1]["parts"] == SIGNED
    assert DUMMY.encode() not in call_.http.body


def test_trap_12_googles_own_form_in_chat_is_read() -> None:
    """A Chat history with Google's `extra_content.google.thought_signature`, as their
    own Chat layer writes it, is foreign state here: it is not shown to Gemini under
    another dialect's name, and not lost for Chat.

    Fails at the Chat request when the member is dropped.
    """
    google = {"google": {"thought_signature": "U0lH"}}
    each = {**call("call_a", "tide", "{}"), "extra_content": google}
    request = _with_results(CHAT, {"tool_calls": [each]})
    asked, _ = ask(CHAT, CHAT, request, profile="gemini-openai")
    assert asked["messages"][1]["tool_calls"] == [each]


FOREIGN = {
    "tool_calls": [
        call("call_a", "tide", '{"port": "Brest"}'),
        call("call_b", "tide", '{"port": "Dover"}'),
    ]
}


def test_trap_12_the_dummy_stands_only_where_the_history_is_foreign() -> None:
    """Calls that another vendor made get Google's documented dummy, on the first of
    the step only, and a loss says so.

    Fails at the parts when no signature is sent (400), when both calls get one, at the
    losses when it is done in silence.
    """
    asked, made = ask(CHAT, GEMINI, _with_results(CHAT, FOREIGN))
    first, second = asked["contents"][1]["parts"]
    assert first["thoughtSignature"] == DUMMY
    assert "thoughtSignature" not in second
    path = "messages[1].parts[0].signature"
    assert (path, "reasoning.signature", "approximated") in _told(made.losses)


@pytest.mark.parametrize(
    ("model", "more"), [("gemini-2.5-flash", False), (THIRD, True)]
)
def test_trap_12_no_dummy_where_none_is_needed(model: str, more: bool) -> None:
    """Models before Gemini 3 need no signature, nor do steps of turns that are over.

    Fails when the dummy is stamped on whatever call has none.
    """
    _, made = ask(CHAT, GEMINI, _with_results(CHAT, FOREIGN, more=more), model=model)
    assert DUMMY.encode() not in made.http.body


# --- 13: a signature does not make a thought -----------------------------------------


@pytest.mark.parametrize("client", [CHAT, RESPONSES, CLAUDE, GEMINI])
def test_trap_13_visible_text_with_a_signature_is_text(client: str) -> None:
    """Text is thinking where `thought` is true, and only there: a signed text is shown
    as text, streamed and whole.

    Fails at the words when a part is taken for a thought for its signature, at the
    thinking when the signature is lost.
    """
    held = both(GEMINI, client, *gemini({"text": "Hi.", "thoughtSignature": "U0lH"}))
    if client == CHAT:
        assert (held["content"], held["reasoning_content"]) == ("Hi.", "")
        [entry] = held["reasoning_details"]
        assert sealed(entry["data"])["b"] == "U0lH"
    elif client == CLAUDE:
        text, carrier = held
        assert text == {"type": "text", "text": "Hi."}
        assert (carrier["type"], carrier["thinking"]) == ("thinking", "")
        assert sealed(carrier["signature"])["b"] == "U0lH"
    elif client == RESPONSES:
        said, state = held
        assert said["content"][0]["text"] == "Hi."
        assert (state["type"], state["summary"]) == ("reasoning", [])
        assert sealed(state["encrypted_content"])["b"] == "U0lH"
    else:
        assert held == [{"text": "Hi.", "thoughtSignature": "U0lH"}]


def test_trap_13_thoughts_and_texts_are_told_apart_by_the_flag() -> None:
    """A signed thought, an unsigned one and `thought: false` beside a signed text.

    Fails when the kind is read from anything but `thought`.
    """
    pair = gemini(
        {"text": "Hm.", "thought": True, "thoughtSignature": "QQ=="},
        {"text": "So.", "thought": True},
        {"text": "Six", "thought": False, "thoughtSignature": "Qg=="},
        {"text": " past.", "thought": False},
    )
    held = both(GEMINI, CHAT, *pair)
    assert held["content"] == "Six past."
    assert held["reasoning_content"].split() == ["Hm.", "So."]


# --- 14: thinking that Chat servers demand back --------------------------------------


def _history(*thoughts: Object) -> Object:
    use = {"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Six."}
    turns = [
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": [*thoughts, use]},
        {"role": "user", "content": [result]},
    ]
    tools = [{"name": "tide", "input_schema": {"type": "object"}}]
    return {"model": "m", "max_tokens": 9000, "messages": turns, "tools": tools}


SEALED = both(CHAT, CLAUDE, *chat(reasoning_content="Hm.", content="Six."))[0]
SIGNED_THOUGHT: Object = {"type": "thinking", "thinking": "Hm.", "signature": "U0lH"}


@pytest.mark.parametrize("thought", [SEALED, SIGNED_THOUGHT], ids=["ours", "claude's"])
@pytest.mark.parametrize("profile", ["deepseek", "moonshot"])
def test_trap_14_thinking_goes_back_with_its_calls(
    profile: str, thought: Object
) -> None:
    """DeepSeek and Kimi reject a turn with calls whose `reasoning_content` is missing:
    a Claude client's thinking blocks are written there.

    Fails at the field when thinking of the history is dropped, or put into the text.
    """
    asked, _ = ask(CLAUDE, CHAT, _history(thought), profile=profile)
    turn = asked["messages"][1]
    assert turn["reasoning_content"] == "Hm."
    assert turn.get("content") in (None, "")


@pytest.mark.parametrize("profile", ["deepseek", "moonshot"])
def test_trap_14_the_field_is_there_even_when_nothing_was_thought(
    profile: str,
) -> None:
    """Where a turn with calls has no thinking, the servers that check for the field get
    it empty.

    Fails when the member is left out: 400 "reasoning_content is missing".
    """
    asked, _ = ask(CLAUDE, CHAT, _history(), profile=profile)
    assert asked["messages"][1]["reasoning_content"] == ""


def test_trap_14_other_servers_do_not_see_the_field() -> None:
    """OpenAI gets no `reasoning_content`, full or empty, and what it does not get is a
    loss.

    Fails when the field is written for every Chat server.
    """
    for thoughts in ([SIGNED_THOUGHT], []):
        asked, made = ask(CLAUDE, CHAT, _history(*thoughts))
        assert "reasoning_content" not in asked["messages"][1]
        path = ("messages[1].parts[0]", "reasoning.text", "dropped")
        assert (path in _told(made.losses)) is bool(thoughts)


# --- 16: what thinking must be asked with --------------------------------------------

OLD = "claude-opus-4-5"
FUNCTION = {"name": "tide", "parameters": {"type": "object"}}


def _asking(**members: Any) -> Object:
    turns = [{"role": "user", "content": "When?"}]
    return {"model": OLD, "messages": turns, **members}


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh"])
@pytest.mark.parametrize("limit", [1500, 4000, 20000])
def test_trap_16_a_budget_is_at_least_1024_and_below_max_tokens(
    effort: str, limit: int
) -> None:
    """Whatever effort is asked for and however small the answer may be, the budget for
    Claude is legal, and its choice is told.

    Fails at the bounds when the budget is a share without a floor, or a table of fixed
    numbers; at the losses when it is chosen in silence.
    """
    body = _asking(reasoning_effort=effort, max_completion_tokens=limit)
    asked, made = ask(CHAT, CLAUDE, body)
    assert asked["max_tokens"] == limit
    assert 1024 <= asked["thinking"]["budget_tokens"] < limit
    assert "reasoning.effort" in {one.feature for one in made.losses}


def test_trap_16_no_room_for_thinking() -> None:
    """Where the limit leaves no room for the smallest budget, the limit is not raised
    behind the caller's back: thinking is left out and said.

    Fails at `max_tokens` when it is raised, at `thinking` when the budget is illegal.
    """
    body = _asking(reasoning_effort="high", max_completion_tokens=500)
    asked, made = ask(CHAT, CLAUDE, body)
    assert asked["max_tokens"] == 500
    assert asked.get("thinking", {}).get("type") != "enabled"
    assert {one.feature for one in made.losses} & {"reasoning.mode", "reasoning.effort"}


@pytest.mark.parametrize("source", [CHAT, CLAUDE])
def test_trap_16_temperature_beside_thinking(source: str) -> None:
    """A temperature other than 1 is rejected beside thinking: from another dialect it
    is left out and told.

    Fails at the body when it is sent on, at the losses when it goes in silence.
    """
    body = _asking(reasoning_effort="high", max_completion_tokens=4000)
    body["temperature"] = 0.2
    if source == CLAUDE:
        thinking = {"type": "enabled", "budget_tokens": 2000}
        body = _asking(max_tokens=4000, thinking=thinking, temperature=0.2)
        asked, _ = ask(CLAUDE, GEMINI, body, model=THIRD)
        assert asked["generationConfig"]["temperature"] == 0.2
        return
    asked, made = ask(CHAT, CLAUDE, body)
    assert asked["thinking"]["type"] == "enabled"
    assert "temperature" not in asked
    assert "sampling.temperature" in {one.path for one in made.losses}


def test_trap_16_a_forced_tool_beside_thinking() -> None:
    """Old Claude models reject a forced tool beside thinking; the tool is kept, the
    thinking switched off, and told. New ones take both.

    Fails when both are sent to an old model, or the choice is weakened in silence.
    """
    tools = [{"type": "function", "function": FUNCTION}]
    body = _asking(reasoning_effort="high", max_completion_tokens=4000, tools=tools)
    body["tool_choice"] = "required"
    asked, made = ask(CHAT, CLAUDE, body)
    assert asked["tool_choice"]["type"] == "any"
    assert asked.get("thinking", {"type": "disabled"})["type"] == "disabled"
    features = {one.feature for one in made.losses}
    assert features & {"reasoning.mode", "reasoning.effort"}
    asked, _ = ask(CHAT, CLAUDE, body, model="claude-opus-5")
    assert asked["tool_choice"]["type"] == "any"
    assert asked.get("thinking", {"type": "adaptive"})["type"] == "adaptive"


@pytest.mark.parametrize("server", [CHAT, RESPONSES, GEMINI])
def test_trap_16_adaptive_thinking_is_not_ignored(server: str) -> None:
    """Claude's `adaptive` thinking with an effort asks other servers for that effort.

    Fails when `adaptive` is not known, or its effort is read for budgets only.
    """
    body = _asking(max_tokens=9000, thinking={"type": "adaptive"})
    body["output_config"] = {"effort": "low"}
    asked, _ = ask(CLAUDE, server, body, model="m")
    if server == CHAT:
        assert asked["reasoning_effort"] == "low"
    elif server == RESPONSES:
        assert asked["reasoning"]["effort"] == "low"
    else:
        config = asked["generationConfig"]["thinkingConfig"]
        assert config["thinkingLevel"] == "LOW"


@pytest.mark.parametrize(
    ("asked_for", "profile", "sent"),
    [
        ("xhigh", "vllm", "high"),
        ("xhigh", "groq", "high"),
        ("max", "compatible", "high"),
        ("minimal", "mistral", "high"),
        ("xhigh", "deepseek", "high"),
        ("medium", "deepseek", "low"),
        ("xhigh", "openrouter", "xhigh"),
    ],
)
def test_trap_16_efforts_a_server_does_not_know(
    asked_for: str, profile: str, sent: str
) -> None:
    """An effort is mapped to the next one that the server knows; the change is told.

    Fails at the word when it is passed on (`literal_error` at low/medium/high
    servers), at the losses when it is changed in silence.
    """
    body = _asking(max_tokens=9000, thinking={"type": "adaptive"})
    body["output_config"] = {"effort": asked_for}
    try:
        asked, made = ask(CLAUDE, CHAT, body, model="m", profile=profile)
    except UnsupportedFeature as problem:
        pytest.fail(str(problem))
    found = asked.get("reasoning_effort") or asked["reasoning"]["effort"]
    assert found == sent
    told = {one.feature for one in made.losses}
    assert ("reasoning.effort" in told) is (sent != asked_for)
