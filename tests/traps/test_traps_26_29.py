"""Traps 26 to 29: results that do not find their calls."""

from __future__ import annotations

import re
from typing import Any

import pytest

from llmwire import Loss, UnsupportedFeature
from tests.traps import CHAT, CLAUDE, GEMINI, RESPONSES, Object, ask
from tests.traps.bodies import call

OLD = "claude-opus-4-5"
LEGAL = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
FUNCTION: Object = {"name": "tide", "parameters": {"type": "object"}}
SECOND: Object = {"name": "moon", "parameters": {"type": "object"}}


def _told(losses: tuple[Loss, ...]) -> set[tuple[str, str, str]]:
    return {(one.path, one.feature, one.action) for one in losses}


def _chat(*turns: Object, tools: bool = True) -> Object:
    body: Object = {"model": OLD, "messages": [_user("When?"), *turns]}
    declared = [{"type": "function", "function": one} for one in (FUNCTION, SECOND)]
    return {**body, "tools": declared} if tools else body


def _claude(*turns: Object, tools: bool = True) -> Object:
    body: Object = {"model": OLD, "max_tokens": 99}
    body["messages"] = [_user("When?"), *turns]
    declared = [
        {"name": one["name"], "input_schema": one["parameters"]}
        for one in (FUNCTION, SECOND)
    ]
    return {**body, "tools": declared} if tools else body


def _user(content: Any) -> Object:
    return {"role": "user", "content": content}


def _calls(*ids: str, names: tuple[str, ...] = ("tide", "moon")) -> Object:
    calls = [call(id, name, "{}") for id, name in zip(ids, names, strict=False)]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _result(id: str, content: str) -> Object:
    return {"role": "tool", "tool_call_id": id, "content": content}


def _uses(*ids: str, names: tuple[str, ...] = ("tide", "moon")) -> Object:
    blocks = [
        {"type": "tool_use", "id": id, "name": name, "input": {}}
        for id, name in zip(ids, names, strict=False)
    ]
    return {"role": "assistant", "content": blocks}


def _block(id: str, content: Any) -> Object:
    return {"type": "tool_result", "tool_use_id": id, "content": content}


def _paired(messages: list[Object]) -> list[tuple[str, str]]:
    """Calls of a Messages request with their results, as that API demands them: all
    results of a turn first in the next user turn."""
    found = []
    for at, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        ids = [b["id"] for b in message["content"] if b["type"] == "tool_use"]
        if not ids:
            continue
        answers = messages[at + 1]["content"][: len(ids)]
        assert [one["tool_use_id"] for one in answers] == ids
        assert all(LEGAL.match(id) for id in ids)
        texts = [one["content"][0]["text"] for one in answers]
        found += list(zip(ids, texts, strict=True))
    assert len({id for id, _ in found}) == len(found)
    return found


# --- 26: ids that fit ----------------------------------------------------------------


@pytest.mark.parametrize(
    "ids",
    [
        ("call_a", "call_b"),
        ("functions.tide:0", "functions.moon:1"),
        ("x" * 80 + "a", "x" * 80 + "b"),
        ("a|b", "a b"),
    ],
    ids=["legal", "kimi", "long", "composite"],
)
def test_trap_26_ids_are_mapped_for_calls_and_results_alike(
    ids: tuple[str, str],
) -> None:
    """Ids that Claude rejects are replaced by legal ones, the same for call and result,
    the same in every request, and legal ones are left alone. All results of a turn
    stand first in the one user turn behind it, in the order of the calls.

    Fails in `_paired` when only one side is mapped, two ids meet by being cut off, the
    results stay in turns of their own or in their own order; at the end when ids are
    drawn by chance or from the request's place.
    """
    first, second = ids
    turns = [
        _calls(*ids),
        _result(second, "two"),
        _result(first, "one"),
        _user("And then?"),
    ]
    asked, _ = ask(CHAT, CLAUDE, _chat(*turns))
    pairs = _paired(asked["messages"])
    assert [text for _, text in pairs] == ["one", "two"]
    assert [m["role"] for m in asked["messages"]] == ["user", "assistant", "user"]
    assert asked["messages"][2]["content"][-1] == {"type": "text", "text": "And then?"}
    if first == "call_a":
        assert [id for id, _ in pairs] == ["call_a", "call_b"]
    longer = _chat(*turns, {"role": "assistant", "content": "Six."}, _user("So?"))
    again, _ = ask(CHAT, CLAUDE, longer)
    assert _paired(again["messages"]) == pairs


def test_trap_26_ids_that_come_back_every_turn() -> None:
    """Servers that begin with `call_0` in each turn: the calls get different ids, each
    result goes to the call before it.

    Fails in `_paired` when ids are mapped without their turn (400 "ids must be
    unique"), or the second result is given to the first call.
    """
    turns = [
        _calls("call_0"),
        _result("call_0", "one"),
        _calls("call_0"),
        _result("call_0", "two"),
        _user("And then?"),
    ]
    asked, _ = ask(CHAT, CLAUDE, _chat(*turns))
    assert [text for _, text in _paired(asked["messages"])] == ["one", "two"]


@pytest.mark.parametrize("server", [CHAT, RESPONSES, CLAUDE, GEMINI])
def test_trap_26_a_call_without_a_result(server: str) -> None:
    """A call that the history leaves unanswered is refused by its place; by policy an
    error result is made up, and told.

    Fails when it is sent (400 "ids were found without `tool_result`") or an answer is
    made up unasked.
    """
    client = CLAUDE if server == CHAT else CHAT
    body = (
        _claude(_uses("call_a", "call_b"), _user([_block("call_a", "one")]))
        if client == CLAUDE
        else _chat(_calls("call_a", "call_b"), _result("call_a", "one"))
    )
    body["messages"].append(_user("And then?"))
    with pytest.raises(UnsupportedFeature) as refused:
        ask(client, server, body)
    assert refused.value.loss.path == "messages[1].parts[1]"
    assert refused.value.loss.feature == "call.unanswered"
    policy = {"call.unanswered": "emulate"}
    asked, made = ask(client, server, body, policy=policy)
    told = ("messages[1].parts[1]", "call.unanswered", "emulated")
    assert told in _told(made.losses)
    text = made.http.body.decode()
    assert text.count("no result recorded") == 1
    if server == CLAUDE:
        [_, failed] = _paired(asked["messages"])
        assert failed == ("call_b", "no result recorded")
        assert asked["messages"][2]["content"][1]["is_error"] is True
    elif server == GEMINI:
        answers = [part["functionResponse"] for part in asked["contents"][2]["parts"]]
        assert [one["name"] for one in answers] == ["tide", "moon"]
    elif server == RESPONSES:
        outputs = [
            one for one in asked["input"] if one["type"] == "function_call_output"
        ]
        assert {one["call_id"] for one in outputs} == {"call_a", "call_b"}
    else:
        roles = [one["role"] for one in asked["messages"]]
        assert roles == ["user", "assistant", "tool", "tool", "user"]


@pytest.mark.parametrize("server", [RESPONSES, CLAUDE, GEMINI])
def test_trap_26_a_result_without_a_call(server: str) -> None:
    """A result whose call is nowhere is refused by its place; by policy it is dropped,
    and told.

    Fails when it is sent (400 "unexpected tool_use_id"), or vanishes unasked.
    """
    body = _chat(_result("call_z", "one"), _user("And then?"))
    with pytest.raises(UnsupportedFeature) as refused:
        ask(CHAT, server, body)
    assert refused.value.loss.path == "messages[1].parts[0]"
    assert refused.value.loss.feature == "tool_result.orphan"
    _, made = ask(CHAT, server, body, policy={"tool_result.orphan": "drop"})
    told = ("messages[1].parts[0]", "tool_result.orphan", "dropped")
    assert told in _told(made.losses)
    assert b"call_z" not in made.http.body
    assert b"And then?" in made.http.body


def test_trap_26_results_in_several_turns_are_one_run() -> None:
    """A Claude client may answer two calls in two user turns, with words between them;
    a Chat server wants the results directly behind the calls, and the move is told.

    Fails at the roles when a user message stands between two results, at the losses
    when silent.
    """
    body = _claude(
        _uses("toolu_1", "toolu_2"),
        _user([_block("toolu_1", "one"), {"type": "text", "text": "Half."}]),
        _user([_block("toolu_2", "two")]),
    )
    asked, made = ask(CLAUDE, CHAT, body)
    roles = [message["role"] for message in asked["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user"]
    assert asked["messages"][4]["content"] == "Half."
    assert ("messages", "message.order", "approximated") in _told(made.losses)


def test_trap_26_results_go_to_the_turn_that_asked() -> None:
    """A Responses client may say something between calls and outputs, a Claude client
    may split its calls over two turns: each result goes behind its own call.

    Fails at the order when results stay behind what was said, or all go to the last
    turn with calls.
    """
    uses = [_uses("c1"), _uses("c2", names=("moon",))]
    said = {"role": "assistant", "content": [{"type": "text", "text": "Wait."}]}
    answers = _user([_block("c1", "one"), _block("c2", "two")])
    asked, made = ask(CLAUDE, CHAT, _claude(*uses, said, answers))
    found = [
        m.get("tool_call_id") or [each["id"] for each in m.get("tool_calls", ())]
        for m in asked["messages"]
    ]
    assert found == [[], ["c1"], "c1", ["c2"], "c2", []]
    assert ("messages", "message.order", "approximated") in _told(made.losses)


def test_trap_26_what_a_server_takes_is_not_moved() -> None:
    """Results behind their calls stay where they are, and nothing is told; a client of
    the server's own dialect is believed.

    Fails at the losses when every result is called moved, at the messages when a native
    request is put in order.
    """
    turns = [_calls("a", "b"), _result("a", "1"), _result("b", "2"), _user("So?")]
    outputs, _ = ask(CHAT, RESPONSES, _chat(*turns))
    items = {"model": "m", "input": outputs["input"]}
    asked, made = ask(RESPONSES, CHAT, items)
    roles = [message["role"] for message in asked["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user"]
    assert "message.order" not in {one.feature for one in made.losses}
    odd = _chat(turns[0], turns[1], turns[3], turns[2])
    asked, made = ask(CHAT, CHAT, odd)
    assert asked == odd
    assert made.losses == ()


# --- 27: as many responses as calls --------------------------------------------------


@pytest.mark.parametrize("client", [CHAT, RESPONSES, CLAUDE])
def test_trap_27_gemini_gets_all_results_in_one_content(client: str) -> None:
    """All results of a turn are one `user` content in the order of the calls, and
    nothing else stands in it; other words follow in a content of their own.

    Fails at the parts when results are contents of their own, in the order they came,
    or share the content with a text.
    """
    if client == CHAT:
        body = _chat(
            _calls("a", "b"), _result("b", "two"), _result("a", "one"), _user("So?")
        )
    elif client == RESPONSES:
        calls = [
            {"type": "function_call", "call_id": id, "name": name, "arguments": "{}"}
            for id, name in (("a", "tide"), ("b", "moon"))
        ]
        outputs = [
            {"type": "function_call_output", "call_id": id, "output": text}
            for id, text in (("b", "two"), ("a", "one"))
        ]
        items = [_user("When?"), *calls, *outputs, _user("So?")]
        body = {"model": "m", "input": items}
    else:
        text = {"type": "text", "text": "So?"}
        blocks = [_block("b", "two"), text, _block("a", "one")]
        body = _claude(_uses("a", "b"), _user(blocks))
    asked, _ = ask(client, GEMINI, body, model="gemini-2.5-flash")
    contents = asked["contents"]
    assert [one["role"] for one in contents] == ["user", "model", "user", "user"]
    called = [part["functionCall"]["name"] for part in contents[1]["parts"]]
    answers = [part["functionResponse"] for part in contents[2]["parts"]]
    assert [one["name"] for one in answers] == called == ["tide", "moon"]
    outputs_ = [one["response"]["output"] for one in answers]
    assert outputs_ == ["one", "two"]
    assert contents[3]["parts"] == [{"text": "So?"}]


# --- 28: the name of a response ------------------------------------------------------


@pytest.mark.parametrize("client", [CHAT, RESPONSES, CLAUDE])
def test_trap_28_the_name_of_a_response_is_that_of_its_call(client: str) -> None:
    """`functionResponse.name` is looked up from the call with that id, however the
    name was changed for Gemini.

    Fails at the name when the id stands there, or the name as the client has it.
    """
    name = "9 tides"
    if client == CHAT:
        body = _chat(_calls("call_9", names=(name,)), _result("call_9", "one"))
    elif client == RESPONSES:
        each = {"type": "function_call", "call_id": "call_9", "name": name}
        output = {"type": "function_call_output", "call_id": "call_9", "output": "one"}
        body = {
            "model": "m",
            "input": [_user("?"), {**each, "arguments": "{}"}, output],
        }
    else:
        body = _claude(_uses("call_9", names=(name,)), _user([_block("call_9", "one")]))
    asked, _ = ask(client, GEMINI, body, model="gemini-2.5-flash")
    called = asked["contents"][1]["parts"][0]["functionCall"]["name"]
    answer = asked["contents"][2]["parts"][0]["functionResponse"]
    assert answer["name"] == called
    assert re.match(r"[A-Za-z_][A-Za-z0-9_.:-]*\Z", called)
    assert "call_9" not in called


def test_trap_28_a_name_that_nobody_knows_is_an_error() -> None:
    """Without its call a result has no name: it is refused, by its place.

    Fails when a name is made up.
    """
    with pytest.raises(UnsupportedFeature) as refused:
        ask(CHAT, GEMINI, _chat(_result("call_z", "one")), model="gemini-2.5-flash")
    assert refused.value.loss.path == "messages[1].parts[0]"


# --- 29: calls in the history, no tools in the request -------------------------------


@pytest.mark.parametrize("client", [CHAT, RESPONSES, GEMINI])
def test_trap_29_tools_are_declared_when_the_history_has_calls(client: str) -> None:
    """A server that wants its tools declared when the history has calls gets them, made
    of the history, and is told not to call them; both are told.

    Fails at the tools when none are sent (400 "must be defined when using"), at the
    choice when the model could call what nobody runs, at the losses when silent, at
    the history when it is dropped or turned into text.
    """
    if client == CHAT:
        body = _chat(
            _calls("a", "b"), _result("a", "1"), _result("b", "2"), tools=False
        )
    elif client == RESPONSES:
        each = {"type": "function_call", "call_id": "a", "arguments": "{}"}
        output = {"type": "function_call_output", "call_id": "a", "output": "1"}
        second = {**each, "call_id": "b", "name": "moon"}
        items = [{**each, "name": "tide"}, second, output, {**output, "call_id": "b"}]
        body = {"model": "m", "input": [_user("When?"), *items]}
    else:
        names = ("tide", "moon")
        calls = [{"functionCall": {"name": name, "args": {}}} for name in names]
        answers = [
            {"functionResponse": {"name": name, "response": {"output": "1"}}}
            for name in names
        ]
        contents = [("user", [{"text": "When?"}]), ("model", calls), ("user", answers)]
        body = {"contents": [{"role": r, "parts": p} for r, p in contents]}
    asked, made = ask(client, CLAUDE, body, model=OLD)
    assert [one["name"] for one in asked["tools"]] == ["tide", "moon"]
    assert all(one["input_schema"]["type"] == "object" for one in asked["tools"])
    assert asked["tool_choice"] == {"type": "none"}
    assert len(_paired(asked["messages"])) == 2
    told = _told(made.losses)
    assert ("tools", "tool.choice", "defaulted") in told
    assert ("tool_choice", "tool.choice", "defaulted") in told


def test_trap_29_declared_tools_are_left_alone() -> None:
    """Where tools are declared nothing is made up, though the history knows more.

    Fails at the tools when those of the history are added, or the choice is closed.
    """
    body = _chat(_calls("a"), _result("a", "1"))
    del body["tools"][0]
    asked, made = ask(CHAT, CLAUDE, body)
    assert [one["name"] for one in asked["tools"]] == ["moon"]
    assert "tool_choice" not in asked
    assert "tool.choice" not in {one.feature for one in made.losses}
