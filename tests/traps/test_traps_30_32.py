"""Traps 30 to 32: tools of the server's own, and which tools may be called."""

from __future__ import annotations

from typing import Any

import pytest

from llmwire import Loss, UnsupportedFeature
from tests.traps import CHAT, CLAUDE, GEMINI, RESPONSES, Object, ask, stream, whole
from tests.traps.bodies import Pair, claude, gemini, message, responses
from tests.traps.reading import both

ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)
MODEL = {CLAUDE: "claude-opus-4-5", GEMINI: "gemini-2.5-flash"}
SCHEMA: Object = {"type": "object", "properties": {"port": {"type": "string"}}}


def _told(losses: tuple[Loss, ...]) -> set[tuple[str, str, str]]:
    return {(one.path, one.feature, one.action) for one in losses}


# --- 30: what the server ran ---------------------------------------------------------


_USE: Object = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"}
_USE["input"] = {"query": "tide"}
_PAGE: Object = {"type": "web_search_result", "url": "https://t.example", "title": "T"}
_PAGE |= {"encrypted_content": "b3BhcXVl", "page_age": None}
_FOUND: Object = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1"}
_FOUND["content"] = [_PAGE]
_SEARCH: Object = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
_SEARCH["action"] = {"type": "search", "query": "tide"}
_CODE: Object = {"executableCode": {"language": "PYTHON", "code": "3 * 2"}}
_PRINTED: Object = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "6"}}

_BLOCKS = [
    {"type": "text", "text": "I look."},
    _USE,
    _FOUND,
    {"type": "text", "text": "High at six."},
]
_ITEMS = [message("I look.", "msg_1"), _SEARCH, message("High at six.", "msg_2")]
_PARTS = [{"text": "I look."}, _CODE, _PRINTED, {"text": "High at six."}]
_RAN: dict[str, Pair] = {
    CLAUDE: claude(*_BLOCKS),
    RESPONSES: responses(*_ITEMS),
    GEMINI: gemini(*_PARTS),
}
_HELD: dict[str, list[Object]] = {CLAUDE: _BLOCKS, RESPONSES: _ITEMS, GEMINI: _PARTS}


def _texts(client: str, held: Any) -> str:
    """What a client would show; anything but text and messages is an error."""
    if client == CHAT:
        assert (held["tool_calls"], held["finish_reason"]) == ([], "stop")
        return str(held["content"])
    if client == RESPONSES:
        assert {item["type"] for item in held} == {"message"}
        return "".join(part["text"] for item in held for part in item["content"])
    if client == CLAUDE:
        assert {block["type"] for block in held} == {"text"}
    return "".join(part["text"] for part in held)


@pytest.mark.parametrize(
    ("source", "client"), [(a, b) for a in _RAN for b in ALL if a != b]
)
def test_trap_30_tools_that_the_server_ran_are_no_calls(
    source: str, client: str
) -> None:
    """Clients of another dialect are shown no call for a tool that the server itself
    ran, and no result; both are told as losses, streamed and whole.

    Fails in `_texts` when the call becomes one of the client's (which it would answer),
    or the texts around it are lost; at the losses when silent.
    """
    parts, body = _RAN[source]
    held = both(source, client, parts, body)
    assert _texts(client, held) == "I look.High at six."
    _, translator = stream(source, client, parts)
    _, reply = whole(source, client, body)
    places = [1] if source == RESPONSES else [1, 2]
    for losses in (translator.losses, reply.losses):
        for at in places:
            told = (f"choices[0].parts[{at}]", "tool.server_part", "dropped")
            assert told in _told(losses)


@pytest.mark.parametrize("dialect", [CLAUDE, RESPONSES, GEMINI])
def test_trap_30_they_stand_in_their_order_in_their_own_dialect(dialect: str) -> None:
    """A client of the server's dialect gets the call and its result where they stood,
    unchanged, streamed and whole.

    Fails when a block is dropped, moved to the end, or written as a client's call.
    """
    assert both(dialect, dialect, *_RAN[dialect]) == _HELD[dialect]


def _history(dialect: str) -> Object:
    if dialect == CLAUDE:
        turns = [("user", "When?"), ("assistant", _BLOCKS), ("user", "So?")]
        messages = [{"role": role, "content": content} for role, content in turns]
        return {"model": "m", "max_tokens": 99, "messages": messages}
    if dialect == RESPONSES:
        asked = {"role": "user", "content": "When?"}
        return {"model": "m", "input": [asked, *_ITEMS, {**asked, "content": "So?"}]}
    contents = [("user", [{"text": "When?"}]), ("model", _PARTS)]
    contents.append(("user", [{"text": "So?"}]))
    return {"contents": [{"role": role, "parts": parts} for role, parts in contents]}


@pytest.mark.parametrize(
    ("client", "server"), [(a, b) for a in _RAN for b in ALL if a != b]
)
def test_trap_30_a_history_of_them_is_no_orphan(client: str, server: str) -> None:
    """The next turn goes to another server without the call and without its result, and
    is not refused as a history with unanswered calls.

    Fails with `call.unanswered` or `tool_result.orphan`, at the body when either half
    is sent, at the losses when silent.
    """
    _, made = ask(client, server, _history(client), model=MODEL.get(server))
    body = made.http.body
    assert b"I look." in body
    assert b"High at six." in body
    for word in (b"srvtoolu", b"web_search", b"ws_1", b"3 * 2", b"OUTCOME", b"tool"):
        assert word not in body
    told = ("messages[1].parts[1]", "tool.server_part", "dropped")
    assert told in _told(made.losses)


@pytest.mark.parametrize("dialect", [CLAUDE, RESPONSES, GEMINI])
def test_trap_30_their_own_server_gets_them_back(dialect: str) -> None:
    """The history of a server's own tools goes back as it came.

    Fails when a block, item or part of it is rewritten or left out.
    """
    history = _history(dialect)
    asked, made = ask(dialect, dialect, history)
    member = {CLAUDE: "messages", RESPONSES: "input", GEMINI: "contents"}[dialect]
    assert asked[member] == history[member]
    assert made.losses == ()


# --- 31: tools that only one vendor has ----------------------------------------------


_DECLARED: dict[str, Object] = {
    CLAUDE: {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
    RESPONSES: {"type": "web_search", "search_context_size": "low"},
    GEMINI: {"googleSearch": {}},
}


def _hosted(dialect: str, *, function: bool = True) -> Object:
    """A request with a tool of the vendor's, then one of the client's."""
    function_: dict[str, Object] = {
        CLAUDE: {"name": "tide", "input_schema": SCHEMA},
        RESPONSES: {"type": "function", "name": "tide", "parameters": SCHEMA},
        GEMINI: {
            "functionDeclarations": [{"name": "tide", "parametersJsonSchema": SCHEMA}]
        },
    }
    tools = [_DECLARED[dialect], *([function_[dialect]] if function else [])]
    asked: Object = {"role": "user", "content": "When?"}
    if dialect == CLAUDE:
        return {"model": "m", "max_tokens": 99, "messages": [asked], "tools": tools}
    if dialect == RESPONSES:
        return {"model": "m", "input": [asked], "tools": tools}
    return {"contents": [{"role": "user", "parts": [{"text": "?"}]}], "tools": tools}


def _functions(server: str, asked: Object) -> list[Any]:
    """The names of all tools that a request declares; anything but a function fails."""
    tools = asked.get("tools", [])
    if server == GEMINI:
        found = [one["functionDeclarations"] for one in tools]
        return [one["name"] for each in found for one in each]
    if server == CLAUDE:
        assert all("type" not in one for one in tools)
        return [one["name"] for one in tools]
    assert all(one["type"] == "function" for one in tools)
    inner = [one["function"] if server == CHAT else one for one in tools]
    return [one["name"] for one in inner]


@pytest.mark.parametrize(
    ("client", "server"), [(a, b) for a in _DECLARED for b in ALL if a != b]
)
def test_trap_31_a_vendors_tool_is_not_declared_as_a_function(
    client: str, server: str
) -> None:
    """A tool that only the client's vendor runs is refused by its place; by policy it
    is left out, and told, and the client's own functions stay.

    Fails when it is sent unasked, at the functions when it is declared as one (with a
    `type` for a schema), or takes its neighbour with it.
    """
    body = _hosted(client)
    with pytest.raises(UnsupportedFeature) as refused:
        ask(client, server, body, model=MODEL.get(server))
    assert refused.value.loss.path == "tools[0]"
    assert refused.value.loss.feature == "tool.server"
    policy = {"tool.server": "drop"}
    asked, made = ask(client, server, body, model=MODEL.get(server), policy=policy)
    assert _functions(server, asked) == ["tide"]
    assert ("tools[0]", "tool.server", "dropped") in _told(made.losses)
    body = _hosted(client, function=False)
    asked, made = ask(client, server, body, model=MODEL.get(server), policy=policy)
    assert "tools" not in asked
    assert "tool_choice" not in asked
    assert "toolConfig" not in asked


@pytest.mark.parametrize("client", [CLAUDE, RESPONSES])
def test_trap_31_a_search_can_be_one_of_geminis(client: str) -> None:
    """By policy the search of another vendor is Gemini's, told as emulated.

    Fails at the tools when it is a function declaration, or is left out.
    """
    policy = {"tool.server": "emulate"}
    model = MODEL[GEMINI]
    asked, made = ask(client, GEMINI, _hosted(client), model=model, policy=policy)
    merged: Object = {}
    for tool in asked["tools"]:
        merged |= tool
    assert merged["googleSearch"] == {}
    assert [one["name"] for one in merged["functionDeclarations"]] == ["tide"]
    assert ("tools[0]", "tool.server", "emulated") in _told(made.losses)


@pytest.mark.parametrize("server", [CHAT, RESPONSES, GEMINI])
@pytest.mark.parametrize("way", ["drop", "emulate"])
def test_trap_31_nobody_is_forced_to_call_it(server: str, way: str) -> None:
    """A choice that names a vendor's tool goes with the tool: no function of that name
    is demanded, and no other in its place.

    Fails at the choice when the name is sent (400 "tool not found"), or a call of any
    tool is forced; at the losses when silent.
    """
    body = _hosted(CLAUDE)
    body["tool_choice"] = {"type": "tool", "name": "web_search"}
    asked, made = ask(
        CLAUDE, server, body, model=MODEL.get(server), policy={"tool.server": way}
    )
    assert "tool_choice" not in asked
    assert "toolConfig" not in asked
    assert ("tool_choice", "tool.choice", "dropped") in _told(made.losses)


@pytest.mark.parametrize("dialect", [CLAUDE, RESPONSES, GEMINI])
def test_trap_31_its_own_vendor_gets_it_as_it_came(dialect: str) -> None:
    """A vendor's tool goes to that vendor unchanged, options and all.

    Fails at the tools when it is normalised.
    """
    body = _hosted(dialect)
    asked, made = ask(dialect, dialect, body)
    assert asked["tools"] == body["tools"]
    assert made.losses == ()


# --- 32: which tools may be called ---------------------------------------------------


def _choosing(client: str, choice: str | None, parallel: bool | None) -> Object:
    """A request with one function and what its client says of calling it."""
    named: Object
    body: Object = {"model": "m", "messages": [{"role": "user", "content": "When?"}]}
    if client == CLAUDE:
        named = {"type": "tool", "name": "tide"}
        words = {"required": {"type": "any"}, "named": named, None: None}
        said = words.get(choice, {"type": choice})
        if parallel is not None:
            several: Object = {"disable_parallel_tool_use": not parallel}
            said = {**(said or {"type": "auto"}), **several}
        body |= {"max_tokens": 99, "tools": [{"name": "tide", "input_schema": SCHEMA}]}
        return body if said is None else {**body, "tool_choice": said}
    function: Object = {"name": "tide", "parameters": SCHEMA}
    if client == CHAT:
        named = {"type": "function", "function": {"name": "tide"}}
        body["tools"] = [{"type": "function", "function": function}]
    else:
        named = {"type": "function", "name": "tide"}
        body = {"model": "m", "input": "When?"}
        body["tools"] = [{"type": "function", **function}]
    if choice is not None:
        body["tool_choice"] = named if choice == "named" else choice
    if parallel is not None:
        body["parallel_tool_calls"] = parallel
    return body


def _chosen(server: str, asked: Object) -> tuple[str | None, bool | None]:
    """What a request says of calling, in the words of `_choosing`."""
    if server == GEMINI:
        config = asked.get("toolConfig", {}).get("functionCallingConfig")
        if config is None:
            return None, None
        if config.get("allowedFunctionNames"):
            assert config == {"mode": "ANY", "allowedFunctionNames": ["tide"]}
            return "named", None
        words = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
        return words[config["mode"]], None
    said = asked.get("tool_choice")
    if server == CLAUDE:
        if said is None:
            return None, None
        disabled = said.get("disable_parallel_tool_use")
        words = {"any": "required", "tool": "named"}
        kind = words.get(said["type"], said["type"])
        assert (kind == "named") == (said.get("name") == "tide")
        return kind, None if disabled is None else not disabled
    if isinstance(said, dict):
        assert said.get("function", said)["name"] == "tide"
        said = "named"
    return said, asked.get("parallel_tool_calls")


_WORDS = (None, "auto", "none", "required", "named")


@pytest.mark.parametrize(
    ("client", "server"), [(a, b) for a in ALL[:3] for b in ALL if a != b]
)
@pytest.mark.parametrize("choice", _WORDS)
@pytest.mark.parametrize("parallel", [None, True, False])
def test_trap_32_the_choice_of_tools_means_the_same(
    client: str, server: str, choice: str | None, parallel: bool | None
) -> None:
    """Which tools may be called, and whether several at once, are two things. Where
    Claude says the second inside the first, `auto` carries it: no call is forced.

    Fails at the choice when `parallel_tool_calls` alone becomes `any`, `none` becomes
    `auto`, or a forced call is not; at the parallelism when `false` counts as absent or
    is inverted; at the losses when a server that knows no such thing is not named.
    """
    body = _choosing(client, choice, parallel)
    asked, made = ask(client, server, body, model=MODEL.get(server))
    said, several = _chosen(server, asked)
    carried = CLAUDE in (client, server) and choice is None and parallel is not None
    assert said == ("auto" if carried else choice)
    if server == GEMINI:
        assert ("parallel" in {one.feature for one in made.losses}) == (
            parallel is not None
        )
    elif server == CLAUDE and choice == "none":
        assert several is None
        told = ("parallel", "parallel", "emulated") in _told(made.losses)
        assert told == (parallel is not None)
    else:
        assert several is parallel
    assert _functions(server, asked) == ["tide"]


@pytest.mark.parametrize("server", [CHAT, RESPONSES, CLAUDE])
@pytest.mark.parametrize("choice", _WORDS)
def test_trap_32_the_mode_of_gemini(server: str, choice: str | None) -> None:
    """Gemini's `AUTO`, `NONE`, `ANY` and `ANY` with a name, at other servers.

    Fails at the choice when a mode is mapped to another, or a name is lost.
    """
    declared = {"name": "tide", "parametersJsonSchema": SCHEMA}
    contents = [{"role": "user", "parts": [{"text": "When?"}]}]
    body: Object = {
        "contents": contents,
        "tools": [{"functionDeclarations": [declared]}],
    }
    config: Object = {"mode": "ANY", "allowedFunctionNames": ["tide"]}
    words = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
    if choice is not None:
        calling = config if choice == "named" else {"mode": words[choice]}
        body["toolConfig"] = {"functionCallingConfig": calling}
    asked, _ = ask(GEMINI, server, body, model="m")
    assert _chosen(server, asked) == (choice, None)
