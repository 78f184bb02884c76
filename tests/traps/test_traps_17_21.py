"""Traps 17 to 21: calls under a wrong number, of the wrong block, or glued together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmwire import StreamDecoder, StreamTranslator, decode_response, fold
from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    chat_stream,
    claude_stream,
    frames,
    objects,
    responses_stream,
    stream,
    whole,
)
from tests.traps.bodies import call, chat, claude, gemini, message, responses
from tests.traps.reading import both, read_stream, read_whole, streamed

ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)
ARGUMENTS = '{"port": "Brest"}'


def _calls(dialect: str, held: Any) -> list[tuple[str, str, Any]]:
    """Id, name and arguments of the calls a client holds."""
    if dialect == CHAT:
        found = [(one["id"], one["function"]) for one in held["tool_calls"]]
        return [(id, f["name"], json.loads(f["arguments"])) for id, f in found]
    if dialect == RESPONSES:
        return [
            (one["call_id"], one["name"], json.loads(one["arguments"]))
            for one in held
            if one["type"] == "function_call"
        ]
    if dialect == CLAUDE:
        uses = [one for one in held if one["type"] == "tool_use"]
        return [(one["id"], one["name"], one["input"]) for one in uses]
    calls = [part["functionCall"] for part in held if "functionCall" in part]
    return [(one.get("id", ""), one["name"], one["args"]) for one in calls]


def _delta(index: int | None, id: str = "", name: str = "", text: str = "") -> Object:
    """A delta of one call; what is empty is not there."""
    entry: Object = {} if index is None else {"index": index}
    function: Object = {"arguments": text}
    if id:
        entry |= {"id": id, "type": "function"}
    if name:
        function["name"] = name
    return {"tool_calls": [{**entry, "function": function}]}


# --- 17: the number of a call is not that of its block -------------------------------


@pytest.mark.parametrize("blocks_before", [0, 1, 2, 3])
def test_trap_17_calls_count_for_themselves(blocks_before: int) -> None:
    """However many blocks stand before them, a Chat client's calls are 0, 1, 2.

    Fails at the numbers when the block's index is written, or always 0.
    """
    before: list[Object] = [
        {"type": "thinking", "thinking": "Hm.", "signature": "U0lH"},
        {"type": "text", "text": "Let me look."},
        {"type": "text", "text": "Twice."},
    ]
    uses = [
        {"type": "tool_use", "id": f"toolu_{at}", "name": "tide", "input": {"at": at}}
        for at in range(3)
    ]
    parts, body = claude(*before[:blocks_before], *uses, stop="tool_use")
    events, _ = stream(CLAUDE, CHAT, parts)
    numbers: dict[str, int] = {}
    for choice in (one for event in events for one in event["choices"]):
        for each in choice["delta"].get("tool_calls", ()):
            if "id" in each:
                numbers[each["id"]] = each["index"]
    assert numbers == {"toolu_0": 0, "toolu_1": 1, "toolu_2": 2}
    held = both(CLAUDE, CHAT, parts, body)
    wanted = [(one["id"], one["name"], one["input"]) for one in uses]
    assert _calls(CHAT, held) == wanted


@pytest.mark.parametrize("source", [RESPONSES, GEMINI])
def test_trap_17_items_and_parts_are_not_counted_either(source: str) -> None:
    """The same before servers whose calls are items, or parts.

    Fails in the strict reader when `output_index` or the part's place is the number.
    """
    item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "tide"}
    item |= {"arguments": ARGUMENTS, "status": "completed"}
    pair = (
        responses(message("Let me look."), item)
        if source == RESPONSES
        else gemini(
            {"text": "Let me look."},
            {"functionCall": {"id": "c1", "name": "tide", "args": {"port": "Brest"}}},
        )
    )
    held = both(source, CHAT, *pair)
    assert _calls(CHAT, held) == [("c1", "tide", {"port": "Brest"})]


# --- 18: parallel calls that take turns ----------------------------------------------

TURNS = [
    _delta(0, "call_a", "tide"),
    _delta(1, "call_b", "moon"),
    _delta(0, text='{"port":'),
    _delta(1, text='{"day":'),
    _delta(2, "call_c", "wind"),
    _delta(1, text=" 2}"),
    _delta(2, text="{}"),
    _delta(0, text=' "Brest"}'),
]
TAKEN = [
    ("call_a", "tide", {"port": "Brest"}),
    ("call_b", "moon", {"day": 2}),
    ("call_c", "wind", {}),
]


@pytest.mark.parametrize("client", ALL)
def test_trap_18_interleaved_deltas_reach_their_own_call(client: str) -> None:
    """Calls whose arguments take turns end as calls of their own; where blocks may not
    overlap, one is open at a time and each starts and stops once.

    Fails in the strict reader when a delta is written for another or a closed block, at
    the arguments when pieces are swapped or lost while they wait.
    """
    held = streamed(CHAT, client, chat_stream(*TURNS, finish="tool_calls"))
    assert _calls(client, held) == TAKEN


def test_trap_18_the_first_open_call_streams() -> None:
    """The lowest open call is not held back: its pieces leave as they come, while the
    others wait for its end.

    Fails at the pieces when everything waits for the end, or another call's are first.
    """
    whole_stream = chat_stream(*TURNS, finish="tool_calls")
    chunks = whole_stream.split(b"\n\n")
    translator = StreamTranslator(CHAT, CLAUDE, created=7.0, id="seed")
    given = [objects(translator.receive_data(chunk + b"\n\n")) for chunk in chunks[:8]]
    pieces = [
        [one["delta"]["partial_json"] for one in step if "delta" in one]
        for step in given
    ]
    assert pieces == [[], [], ['{"port":'], [], [], [], [], [' "Brest"}']]


@pytest.mark.parametrize("client", ALL)
def test_trap_18_items_that_overlap(client: str) -> None:
    """The same from a Responses server, whose grammar allows it: events name items.

    Fails at the arguments when a delta goes to the item opened last.
    """
    items = [
        {"type": "function_call", "id": f"fc_{at}", "call_id": id, "name": name}
        for at, (id, name, _) in enumerate(TAKEN)
    ]
    texts = [json.dumps(arguments) for _, _, arguments in TAKEN]
    done = [
        {**item, "arguments": text, "status": "completed"}
        for item, text in zip(items, texts, strict=True)
    ]
    events: list[Object] = [
        {
            "type": "response.output_item.added",
            "output_index": at,
            "item": {**item, "arguments": "", "status": "in_progress"},
        }
        for at, item in enumerate(items)
    ]
    kind = "response.function_call_arguments"
    for cut in (slice(None, 4), slice(4, None)):
        for at in (1, 0, 2):
            place = {"output_index": at, "item_id": f"fc_{at}"}
            delta = texts[at][cut]
            events.append({"type": f"{kind}.delta", **place, "delta": delta})
    for at in (2, 0, 1):
        place = {"output_index": at, "item_id": f"fc_{at}"}
        events.append({"type": f"{kind}.done", **place, "arguments": texts[at]})
        item_done = {"output_index": at, "item": done[at]}
        events.append({"type": "response.output_item.done", **item_done})
    given = responses_stream(*events, output=done)
    if client == RESPONSES:
        found = objects(given)[-1]["response"]["output"]
        out, _ = stream(RESPONSES, RESPONSES, given)
        assert out[-1]["response"]["output"] == found
        return
    assert _calls(client, streamed(RESPONSES, client, given)) == TAKEN


# --- 19: no delta without a start ----------------------------------------------------


@pytest.mark.parametrize("client", ALL)
def test_trap_19_no_delta_without_a_start(client: str) -> None:
    """A Responses server whose only item has number 3, and grows after its end:
    clients see no number that was not started, and no second call.

    Fails in the strict reader when a delta or stop leaves for an index of the server's,
    at the calls when the late delta opens one.
    """
    item = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "tide"}
    item |= {"arguments": ARGUMENTS, "status": "completed"}
    kind = "response.function_call_arguments"
    given = responses_stream(
        {
            "type": "response.output_item.added",
            "output_index": 3,
            "item": {**item, "arguments": "", "status": "in_progress"},
        },
        {
            "type": f"{kind}.done",
            "output_index": 3,
            "item_id": "fc_1",
            "arguments": ARGUMENTS,
        },
        {"type": "response.output_item.done", "output_index": 3, "item": item},
        {
            "type": f"{kind}.delta",
            "output_index": 3,
            "item_id": "fc_1",
            "delta": "late",
        },
        output=[item],
    )
    held = streamed(RESPONSES, client, given)
    assert _calls(client, held) == [("c1", "tide", {"port": "Brest"})]


def test_trap_19_a_delta_for_an_unopened_block_opens_one() -> None:
    """A Claude server that forgot a `content_block_start`: the text is not lost, and
    the client gets a block that starts, grows and stops under a number of its own.

    Fails in the strict reader when the frame is passed on, at the text when it is
    dropped.
    """
    start: Object = {"id": "msg_src", "type": "message", "role": "assistant"}
    start |= {"model": "m", "content": [], "usage": {"input_tokens": 3}}
    delta = {"type": "text_delta", "text": "At six."}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    given = frames(
        {"type": "message_start", "message": start},
        {"type": "content_block_delta", "index": 4, "delta": delta},
        {"type": "content_block_stop", "index": 4},
        {"type": "content_block_stop", "index": 9},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    )
    text = {"type": "text", "text": "At six."}
    assert streamed(CLAUDE, CLAUDE, given) == [text]
    decoder = StreamDecoder(CLAUDE)
    decoder.receive_data(given)
    assert decoder.violations["unopened-block"] >= 1


# --- 20: one number for all calls ----------------------------------------------------


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize(
    "deltas",
    [
        [_delta(0, "a", "tide", '{"n": 1}'), _delta(0, "b", "tide", '{"n": 2}')],
        [
            _delta(0, "a", "tide"),
            _delta(0, text='{"n": 1}'),
            _delta(0, "b", "tide"),
            _delta(0, text='{"n": 2}'),
        ],
        [
            _delta(0, "a", "tide", '{"n"'),
            _delta(0, "a", "", ": 1}"),
            _delta(0, "b", "tide", '{"n"'),
            _delta(0, "b", "", ": 2}"),
        ],
        [_delta(None, "a", "tide", '{"n": 1}'), _delta(None, "b", "tide", '{"n": 2}')],
        [
            {
                "tool_calls": [
                    *_delta(0, "a", "tide", '{"n": 1}')["tool_calls"],
                    *_delta(0, "b", "tide", '{"n": 2}')["tool_calls"],
                ]
            }
        ],
    ],
    ids=["whole", "in pieces", "id on each piece", "no number", "one chunk"],
)
def test_trap_20_all_calls_under_one_number(client: str, deltas: list[Object]) -> None:
    """Servers send every parallel call under index 0, or under none: another id is
    another call, with a number of its own for the client.

    Fails at the calls when they are told apart by the number alone: one call with two
    texts; in the strict reader when a Chat client gets two calls of one number.
    """
    held = streamed(CHAT, client, chat_stream(*deltas, finish="tool_calls"))
    assert _calls(client, held) == [("a", "tide", {"n": 1}), ("b", "tide", {"n": 2})]


@pytest.mark.parametrize("client", ALL)
def test_trap_20_whole_calls_without_ids(client: str) -> None:
    """Whole calls under one number and without any id are two by their names; their
    ids are minted, legal, different and the same in every run.

    Fails at the count when the second is appended to the first, at the ids when they
    are empty, equal or random.
    """
    deltas = [_delta(0, "", "tide", '{"n": 1}'), _delta(0, "", "moon", '{"n": 2}')]
    given = chat_stream(*deltas, finish="tool_calls")
    first, second = (_calls(client, streamed(CHAT, client, given)) for _ in range(2))
    assert [one[1:] for one in first] == [("tide", {"n": 1}), ("moon", {"n": 2})]
    if client == GEMINI:  # which takes calls without ids, and is given none
        return
    ids = [one[0] for one in first]
    assert all(id.startswith("tc_") for id in ids)
    assert len(set(ids)) == 2
    assert first == second


# --- 21: glued arguments are never run -----------------------------------------------

GLUED = '{"port": "Brest"}{"port": "Dover"}'


def _glued(source: str) -> tuple[bytes, Object]:
    if source == CHAT:
        calls = [call("call_a", "tide", GLUED)]
        return chat(tool_calls=calls, finish="tool_calls")
    item = {"type": "function_call", "id": "fc_1", "call_id": "call_a", "name": "tide"}
    return responses({**item, "arguments": GLUED, "status": "completed"})


@pytest.mark.parametrize("source", [CHAT, RESPONSES])
def test_trap_21_glued_arguments_are_incomplete(source: str) -> None:
    """Two objects in one call's arguments stay the text they were, and the call is
    incomplete, in the stream and in the whole answer.

    Fails at `incomplete` when the stop word decides, or whole answers are not looked
    at; at the text when it is cut after the first object.
    """
    parts, body = _glued(source)
    decoder = StreamDecoder(source)
    events = decoder.receive_data(parts) + decoder.receive_eof()
    for found in (fold(events), decode_response(json.dumps(body).encode(), source)):
        [part] = found.choices[0].parts
        assert part.incomplete
        assert getattr(part, "arguments", "") == GLUED


@pytest.mark.parametrize("source", [CHAT, RESPONSES])
def test_trap_21_clients_that_take_objects_get_none_to_run(source: str) -> None:
    """Clients whose calls hold an object, not text, see a call that broke off: the stop
    word says so, a loss too, and neither of the two objects is given as a guess.

    Fails at the stop when it is still `tool_use`, at the input when one of the objects
    stands in it, at the losses when that is silent.
    """
    parts, body = _glued(source)
    answer, reply = whole(source, CLAUDE, body)
    assert answer["stop_reason"] == "max_tokens"
    assert answer["content"][0]["input"] == {}
    events, translator = stream(source, CLAUDE, parts)
    ending = [one for one in events if one["type"] == "message_delta"]
    assert ending[0]["delta"]["stop_reason"] == "max_tokens"
    for losses in (reply.losses, translator.losses):
        places = {(one.path, one.feature) for one in losses}
        assert ("choices[0].parts[0].arguments", "call.arguments") in places
        assert ("choices[0].stop", "stop_reason") in places
    answer, reply = whole(source, GEMINI, body)
    events, translator = stream(source, GEMINI, parts)
    for held, given in (
        (read_whole(GEMINI, answer), answer),
        (read_stream(GEMINI, events), events[-1]),
    ):
        assert held[0]["functionCall"]["args"] == {}
        assert given["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_trap_21_clients_that_take_text_see_the_item_is_incomplete() -> None:
    """A Responses client gets the text as it was, in an item that says `incomplete`.

    Fails when the item is `completed`, in the stream or in the whole answer.
    """
    held = both(CHAT, RESPONSES, *_glued(CHAT))
    assert [(one["arguments"], one["status"]) for one in held] == [
        (GLUED, "incomplete")
    ]


def test_trap_21_a_claude_server_that_glues() -> None:
    """The same of a Claude server's `input_json_delta`s.

    Fails at `incomplete` when a stop reason `tool_use` is believed.
    """
    start: Object = {"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {}}
    texts = [
        {"type": "input_json_delta", "partial_json": piece}
        for piece in ('{"port": "Brest"}', '{"port": "Dover"}')
    ]
    decoder = StreamDecoder(CLAUDE)
    given = claude_stream((start, *texts), stop="tool_use")
    found = fold(decoder.receive_data(given) + decoder.receive_eof())
    [part] = found.choices[0].parts
    assert part.incomplete
