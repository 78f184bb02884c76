"""Traps 22 to 25: arguments that grow from the wrong seed, or are said twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmwire import StreamDecoder, ToolCallPart, decode_response, fold
from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    chat_stream,
    claude_stream,
    responses_stream,
    stream,
)
from tests.traps.bodies import Pair, call, chat, claude, gemini, responses
from tests.traps.reading import both, streamed

ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)
ARGUMENTS = '{"port": "Brest"}'
INPUT = {"port": "Brest"}


def _inputs(client: str, held: Any) -> list[Any]:
    """The arguments of the calls a client holds, parsed as it would."""
    if client == CHAT:
        texts = [one["function"]["arguments"] for one in held["tool_calls"]]
        return [json.loads(text) for text in texts]
    if client == RESPONSES:
        return [json.loads(one["arguments"]) for one in held]
    if client == CLAUDE:
        return [one["input"] for one in held]
    return [part["functionCall"]["args"] for part in held]


def _delta(function: Object, **members: Any) -> Object:
    return {"tool_calls": [{"index": 0, **members, "function": function}]}


FIRST: Object = {"id": "call_a", "type": "function"}

# --- 22: no seed ---------------------------------------------------------------------


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("first", [None, "", "absent"])
def test_trap_22_arguments_do_not_begin_with_an_empty_object(
    client: str, first: str | None
) -> None:
    """A first delta whose arguments are null, empty or absent is nothing yet: what
    follows is the whole text.

    Fails at the arguments when an accumulator begins with `{}` (`{}{"port":…`).
    """
    opening: Object = {"name": "tide", "arguments": first}
    if first == "absent":
        del opening["arguments"]
    given = chat_stream(
        _delta(opening, **FIRST),
        _delta({"arguments": None}),
        _delta({"arguments": ARGUMENTS[:7]}),
        _delta({"arguments": ARGUMENTS[7:]}),
        finish="tool_calls",
    )
    assert _inputs(client, streamed(CHAT, client, given)) == [INPUT]


@pytest.mark.parametrize("client", ALL)
def test_trap_22_the_input_of_a_block_start_is_no_seed(client: str) -> None:
    """A Claude block starts with `"input": {}` and grows by deltas; where it starts
    with the whole input instead, that counts.

    Fails at the input when the empty object of the start is written first, or an input
    given at the start is lost.
    """
    use: Object = {"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {}}
    name = "partial_json"
    pieces = ["", ARGUMENTS[:7], ARGUMENTS[7:]]
    deltas = [{"type": "input_json_delta", name: piece} for piece in pieces]
    grown = claude_stream((use, *deltas), stop="tool_use")
    at_once = claude_stream(({**use, "input": INPUT},), stop="tool_use")
    for given in (grown, at_once):
        assert _inputs(client, streamed(CLAUDE, client, given)) == [INPUT]


# --- 23: names and arguments said again ----------------------------------------------


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize(
    "deltas",
    [
        [
            _delta({"name": "tide", "arguments": ARGUMENTS[:7]}, **FIRST),
            _delta({"name": "tide", "arguments": ARGUMENTS[7:]}, **FIRST),
        ],
        [
            _delta({"name": "tide", "arguments": ARGUMENTS}, **FIRST),
            _delta({"name": "tide", "arguments": ARGUMENTS}, **FIRST),
        ],
        [
            _delta({"name": "tide", "arguments": ""}, **FIRST),
            _delta({"name": "tide", "arguments": ARGUMENTS}),
            _delta({"name": "tide", "arguments": ARGUMENTS}, **FIRST),
        ],
    ],
    ids=["name on each piece", "all again", "late, then again"],
)
def test_trap_23_names_and_arguments_said_again(
    client: str, deltas: list[Object]
) -> None:
    """A name is set once, and whole arguments that are said again say nothing new.

    Fails at the name when it is appended (`tidetide`), at the arguments when they are
    (`…}{…`), at the count when the repetition is taken for a second call.
    """
    held = streamed(CHAT, client, chat_stream(*deltas, finish="tool_calls"))
    assert _inputs(client, held) == [INPUT]
    assert str(held).count("tide") == 1


_ITEM: Object = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "tide"}
_BEGUN: Object = {**_ITEM, "arguments": "", "status": "in_progress"}
_DONE: Object = {**_ITEM, "arguments": ARGUMENTS, "status": "completed"}


def _events(*steps: str) -> list[Object]:
    place = {"output_index": 0, "item_id": "fc_1"}
    kind = "response.function_call_arguments"
    item = {"type": "response.output_item.done", "output_index": 0, "item": _DONE}
    known: dict[str, Object] = {
        "all": {"type": f"{kind}.delta", **place, "delta": ARGUMENTS},
        "half": {"type": f"{kind}.delta", **place, "delta": ARGUMENTS[:7]},
        "rest": {"type": f"{kind}.delta", **place, "delta": ARGUMENTS[7:]},
        "done": {"type": f"{kind}.done", **place, "arguments": ARGUMENTS},
        "item": item,
    }
    added = {"type": "response.output_item.added", "output_index": 0, "item": _BEGUN}
    return [added, *(known[step] for step in steps)]


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize(
    "steps",
    [
        ["half", "rest", "done", "item"],
        ["all", "done", "item"],
        ["done", "item"],
        ["item"],
        ["half", "done", "item"],
        ["half", "item"],
        ["half", "rest", "item", "done"],
        ["half", "rest", "done", "item", "item"],
        [],
    ],
    ids=" ".join,
)
def test_trap_23_closing_events_add_what_is_missing_only(
    client: str, steps: list[str]
) -> None:
    """Responses says arguments up to four times: deltas, `…arguments.done`, the item's
    done, the snapshot. Whatever part of them comes, the client holds them once.

    Fails at the arguments when a closing event is appended (said two or three times)
    or ignored where it alone says the rest.
    """
    given = responses_stream(*_events(*steps), output=[_DONE])
    held = streamed(RESPONSES, client, given)
    assert _inputs(client, held) == [INPUT]
    assert str(held).count("tide") == 1


# --- 24: a call opens once -----------------------------------------------------------


@pytest.mark.parametrize("source", [RESPONSES, CLAUDE, GEMINI])
def test_trap_24_later_chunks_of_a_call_hold_nothing_but_arguments(source: str) -> None:
    """The first chunk of a call has id, type and name, later ones the index and a piece
    of the arguments that is not empty.

    Fails at the chunks when `type` is repeated or an empty piece is sent: strict
    parsers see a new call.
    """
    use = {"type": "tool_use", "id": "c1", "name": "tide", "input": INPUT}
    each = {"id": "c1", "name": "tide", "args": INPUT}
    parts = {
        RESPONSES: responses(_DONE)[0],
        CLAUDE: claude(use, stop="tool_use")[0],
        GEMINI: gemini({"functionCall": each})[0],
    }[source]
    events, _ = stream(source, CHAT, parts)
    chunks = [
        entry
        for event in events
        for choice in event["choices"]
        for entry in choice["delta"].get("tool_calls", ())
    ]
    first, *later = chunks
    assert first.keys() == {"index", "id", "type", "function"}
    assert first["function"].keys() == {"name", "arguments"}
    assert later
    for chunk in later:
        assert chunk.keys() == {"index", "function"}
        assert chunk["function"].keys() == {"arguments"}
        assert chunk["function"]["arguments"]


def test_trap_24_a_server_that_repeats_the_type() -> None:
    """A Chat server that sends `type` (and an empty piece) with every chunk makes one
    call for a Chat client, opened once.

    Fails in the strict reader when the members are passed on.
    """
    given = chat_stream(
        _delta({"name": "tide", "arguments": ""}, **FIRST),
        _delta({"arguments": ARGUMENTS[:7]}, type="function"),
        _delta({"arguments": ""}, type="function"),
        _delta({"arguments": ARGUMENTS[7:]}, type="function"),
        finish="tool_calls",
    )
    held = streamed(CHAT, CHAT, given)
    assert held["tool_calls"] == [call("call_a", "tide", ARGUMENTS)]


# --- 25: no arguments are an empty object --------------------------------------------


_NONE: dict[str, Pair] = {
    CHAT: chat(tool_calls=[call("c1", "tide", "")], finish="tool_calls"),
    RESPONSES: responses({**_DONE, "arguments": ""}),
    CLAUDE: claude(
        {"type": "tool_use", "id": "c1", "name": "tide", "input": {}}, stop="tool_use"
    ),
    GEMINI: gemini({"functionCall": {"id": "c1", "name": "tide"}}),
}


@pytest.mark.parametrize(
    ("source", "client"), [(a, b) for a in ALL for b in ALL if a != b]
)
def test_trap_25_a_call_without_arguments_has_an_empty_object(
    source: str, client: str
) -> None:
    """A Claude server sends no `input_json_delta`, a Chat server `""`, Gemini no
    `args`: clients of another dialect get `{}`, streamed and whole.

    Fails at the arguments when `""` is left over, which no JSON parser takes.
    """
    assert _inputs(client, both(source, client, *_NONE[source])) == [{}]


@pytest.mark.parametrize("source", ALL)
def test_trap_25_a_call_without_arguments_is_complete(source: str) -> None:
    """No arguments are not broken ones: the call may be run.

    Fails at `incomplete` when empty text is held to be no JSON.
    """
    parts, body = _NONE[source]
    decoder = StreamDecoder(source)
    events = decoder.receive_data(parts) + decoder.receive_eof()
    for found in (fold(events), decode_response(json.dumps(body).encode(), source)):
        [part] = found.choices[0].parts
        assert isinstance(part, ToolCallPart)
        assert (part.name, part.incomplete) == ("tide", False)
        assert found.choices[0].stop == "tool_use"
