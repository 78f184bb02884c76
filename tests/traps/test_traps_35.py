"""Trap 35: names of tools that the server would reject."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from tests.traps import CHAT, CLAUDE, GEMINI, RESPONSES, Object, ask
from tests.traps.bodies import Pair, call, chat, claude, gemini, responses
from tests.traps.reading import both

ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)
PAIRS = [(a, b) for a in ALL for b in ALL if a != b]
MODEL = {CLAUDE: "claude-opus-4-5", GEMINI: "gemini-2.5-flash"}
LEGAL = {
    CHAT: re.compile(r"[a-zA-Z0-9_-]{1,64}\Z"),
    RESPONSES: re.compile(r"[a-zA-Z0-9_-]{1,64}\Z"),
    CLAUDE: re.compile(r"[a-zA-Z0-9_-]{1,64}\Z"),
    GEMINI: re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}\Z"),
}
ODD = ("tide/at.port", "tide at port", "x" * 70 + "a", "x" * 70 + "b", "9 Gezeiten ü")
PLAIN = ("tide_at_port", "moon")
NAMES = (*ODD, *PLAIN)
SCHEMA: Object = {"type": "object"}


def _request(client: str, name: str, *, names: tuple[str, ...] = NAMES) -> Object:
    """A request that declares `names`, has called `name`, and demands it again."""
    asked: Object = {"role": "user", "content": "When?"}
    if client == CHAT:
        said = {"role": "assistant", "content": None}
        calls = [call("c1", name, "{}")]
        result = {"role": "tool", "tool_call_id": "c1", "content": "Six."}
        messages = [asked, {**said, "tool_calls": calls}, result]
        functions = [{"name": one, "parameters": SCHEMA} for one in names]
        tools: list[Object] = [{"type": "function", "function": f} for f in functions]
        choice: Object = {"type": "function", "function": {"name": name}}
        return {"model": "m", "messages": messages, "tools": tools} | {
            "tool_choice": choice
        }
    if client == RESPONSES:
        each = {"type": "function_call", "call_id": "c1", "name": name}
        output = {"type": "function_call_output", "call_id": "c1", "output": "Six."}
        items = [asked, {**each, "arguments": "{}"}, output]
        kind = {"type": "function"}
        tools = [{**kind, "name": one, "parameters": SCHEMA} for one in names]
        choice = {"type": "function", "name": name}
        return {"model": "m", "input": items, "tools": tools, "tool_choice": choice}
    if client == CLAUDE:
        use = {"type": "tool_use", "id": "c1", "name": name, "input": {}}
        block = {"type": "tool_result", "tool_use_id": "c1", "content": "Six."}
        messages = [asked, {"role": "assistant", "content": [use]}]
        messages.append({"role": "user", "content": [block]})
        tools = [{"name": one, "input_schema": SCHEMA} for one in names]
        body = {"model": "m", "max_tokens": 99, "messages": messages, "tools": tools}
        return {**body, "tool_choice": {"type": "tool", "name": name}}
    answer = {"name": name, "response": {"output": "Six."}}
    turns: list[tuple[str, Object]] = [
        ("user", {"text": "When?"}),
        ("model", {"functionCall": {"name": name, "args": {}}}),
        ("user", {"functionResponse": answer}),
    ]
    functions = [{"name": one, "parametersJsonSchema": SCHEMA} for one in names]
    config = {"mode": "ANY", "allowedFunctionNames": [name]}
    return {
        "contents": [{"role": role, "parts": [part]} for role, part in turns],
        "tools": [{"functionDeclarations": functions}],
        "toolConfig": {"functionCallingConfig": config},
    }


def _sent(server: str, asked: Object) -> tuple[list[str], set[str]]:
    """The names declared, and those used in the history and the choice."""
    if server == CHAT:
        declared = [one["function"]["name"] for one in asked["tools"]]
        used = [asked["messages"][1]["tool_calls"][0], asked["tool_choice"]]
        return declared, {one["function"]["name"] for one in used}
    if server == RESPONSES:
        [used_] = [one for one in asked["input"] if "arguments" in one]
        declared = [one["name"] for one in asked["tools"]]
        return declared, {used_["name"], asked["tool_choice"]["name"]}
    if server == CLAUDE:
        [use] = asked["messages"][1]["content"]
        declared = [one["name"] for one in asked["tools"]]
        return declared, {use["name"], asked["tool_choice"]["name"]}
    [tool] = asked["tools"]
    _, said, back = asked["contents"]
    [allowed] = asked["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"]
    declared = [one["name"] for one in tool["functionDeclarations"]]
    [called, answer] = [one["parts"][0] for one in (said, back)]
    used_names = {called["functionCall"]["name"], answer["functionResponse"]["name"]}
    return declared, used_names | {allowed}


def _answer(server: str, name: str) -> Pair:
    """An answer that calls `name`."""
    if server == CHAT:
        calls = [call("c9", name, '{"port": 1}')]
        return chat(tool_calls=calls, finish="tool_calls")
    if server == RESPONSES:
        item = {"type": "function_call", "id": "fc_9", "call_id": "c9", "name": name}
        return responses({**item, "arguments": '{"port": 1}', "status": "completed"})
    if server == CLAUDE:
        use = {"type": "tool_use", "id": "c9", "name": name, "input": {"port": 1}}
        return claude(use, stop="tool_use")
    each = {"id": "c9", "name": name, "args": {"port": 1}}
    return gemini({"functionCall": each})


def _called(client: str, held: Any) -> str:
    if client == CHAT:
        [each] = held["tool_calls"]
        return str(each["function"]["name"])
    [only] = held
    return str(only["functionCall"]["name"] if client == GEMINI else only["name"])


# --- 35: a reversible renaming -------------------------------------------------------


@pytest.mark.parametrize(("client", "server"), PAIRS)
@pytest.mark.parametrize("name", NAMES)
def test_trap_35_names_are_changed_everywhere_and_back(
    client: str, server: str, name: str
) -> None:
    """Names that a server rejects are replaced by legal ones, each by another, the same
    in declaration, history and choice; the client hears its own name again, streamed
    and whole.

    Fails at the pattern when a name is sent as it is, at the count when two names meet
    by being cut off or slugged, at the names used when history or choice were
    forgotten, at the last when the answer is not turned back in either form.
    """
    asked, made = ask(client, server, _request(client, name), model=MODEL.get(server))
    declared, used = _sent(server, asked)
    assert all(LEGAL[server].match(one) for one in declared)
    assert len(set(declared)) == len(NAMES)
    known = dict(zip(NAMES, declared, strict=True))
    assert used == {known[name]}
    assert [known[one] for one in PLAIN] == list(PLAIN)
    parts, body = _answer(server, known[name])
    held = both(server, client, parts, body, context=made.context)
    assert _called(client, held) == name


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_trap_35_the_new_name_does_not_depend_on_the_others(
    client: str, server: str
) -> None:
    """The same name is sent under the same one in the next turn, when there are more
    tools or fewer, that upstream caches hold.

    Fails when names are numbered in the order of the tools, or hashed with a seed.
    """
    name = ODD[2]
    found = set()
    for names in ((name,), (name, "moon"), ("moon", *ODD[1:3]), NAMES):
        body = _request(client, name, names=names)
        asked, _ = ask(client, server, body, model=MODEL.get(server))
        found |= _sent(server, asked)[1]
    assert len(found) == 1


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_trap_35_every_renaming_is_told(client: str, server: str) -> None:
    """A changed name is a loss at its place in the tools, the history and the choice; a
    legal one is none.

    Fails at the losses when any of the three is silent, or a name that was kept is
    named.
    """
    for name, changed in ((ODD[0], True), (PLAIN[0], False)):
        if server == GEMINI:
            name = name.replace(".", " ")
        body = _request(client, name, names=(name,))
        _, made = ask(client, server, body, model=MODEL.get(server))
        told = {
            one.path
            for one in made.losses
            if (one.feature, one.action) == ("tool.name", "emulated")
        }
        assert ("tools[0].name" in told) is changed
        assert any(path.startswith("messages[1].parts[0]") for path in told) is changed
        assert any(path.startswith("tool_choice") for path in told) is changed


@pytest.mark.parametrize("dialect", ALL)
def test_trap_35_names_stay_within_a_dialect(dialect: str) -> None:
    """A server of the client's dialect is asked with the client's names: what it
    rejects is between the two.

    Fails when names are changed where nothing is translated.
    """
    asked, made = ask(dialect, dialect, _request(dialect, ODD[0]))
    declared, used = _sent(dialect, asked)
    assert declared == list(NAMES)
    assert used == {ODD[0]}
    assert made.losses == ()


def test_trap_35_a_name_that_was_never_sent_is_left_alone() -> None:
    """A model may call what it was not given: the name goes to the client as it is.

    Fails when a name is looked up by its slug, or an unknown one raises.
    """
    _, made = ask(CHAT, CLAUDE, _request(CHAT, ODD[0]), model=MODEL[CLAUDE])
    held = both(CLAUDE, CHAT, *_answer(CLAUDE, "tide_x"), context=made.context)
    assert _called(CHAT, held) == "tide_x"


def test_trap_35_the_context_survives_another_process() -> None:
    """What is needed to turn names back is data that can be sent elsewhere.

    Fails when the renaming hides outside of the context.
    """
    asked, made = ask(CHAT, CLAUDE, _request(CHAT, ODD[0]), model=MODEL[CLAUDE])
    [sent] = _sent(CLAUDE, asked)[1]
    context = pickle.loads(pickle.dumps(made.context))
    assert context.names[sent] == ODD[0]
    held = both(CLAUDE, CHAT, *_answer(CLAUDE, sent), context=context)
    assert _called(CHAT, held) == ODD[0]
