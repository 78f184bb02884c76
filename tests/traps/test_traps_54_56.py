"""Traps 54 to 56: the items of the Responses dialect, their ids and their lives."""

from __future__ import annotations

import pytest

from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    chat_stream,
    claude_stream,
    gemini_stream,
    responses_stream,
    stream,
)
from tests.traps.books import Books
from tests.traps.reading import both, read_stream, streamed

FAMILIES = {"message": "msg_", "reasoning": "rs_", "function_call": "fc_"}
ARGUMENTS = '{"depth": 3}'


def _rich(source: str) -> bytes:
    """Thought, words and two calls (words between them where the dialect can)."""
    function = {"name": "dig", "arguments": ARGUMENTS}
    if source == CHAT:
        calls: list[Object] = [
            {"index": at, "id": f"call_{at}", "type": "function", "function": function}
            for at in (0, 1)
        ]
        return chat_stream(
            {"role": "assistant", "reasoning_content": "Hm."},
            {"content": "I "},
            {"content": "dig."},
            {"tool_calls": calls[:1]},
            {"tool_calls": calls[1:]},
            finish="tool_calls",
        )
    if source == CLAUDE:
        thought = {"type": "thinking", "thinking": "", "signature": ""}
        delta = {"type": "input_json_delta", "partial_json": ARGUMENTS}
        tools = [
            {"type": "tool_use", "id": f"toolu_{at}", "name": "dig", "input": {}}
            for at in (0, 1)
        ]
        text = {"type": "text", "text": ""}
        return claude_stream(
            (
                thought,
                {"type": "thinking_delta", "thinking": "Hm."},
                {"type": "signature_delta", "signature": "c2ln"},
            ),
            (text, {"type": "text_delta", "text": "I dig."}),
            (tools[0], delta),
            (text, {"type": "text_delta", "text": "And again."}),
            (tools[1], delta),
            stop="tool_use",
        )
    called = {"functionCall": {"name": "dig", "args": {"depth": 3}}}
    return gemini_stream(
        [{"text": "Hm.", "thought": True}],
        [{"text": "I "}, {"text": "dig."}],
        [called],
        [{"text": "And again."}],
        [{**called, "thoughtSignature": "c2ln"}],
    )


# --- 54: ids -------------------------------------------------------------------------


def _ids(events: list[Object]) -> dict[int, set[str]]:
    """Every id that the events of one item name."""
    found: dict[int, set[str]] = {}
    for event in events:
        if "output_index" in event:
            id = event.get("item_id") or event["item"]["id"]
            found.setdefault(event["output_index"], set()).add(id)
    return found


@pytest.mark.parametrize("source", [CHAT, CLAUDE, GEMINI])
def test_trap_54_ids_are_of_the_items_family_and_constant(source: str) -> None:
    """Items of foreign answers get ids of the family that their type has, minted once,
    the same in every event and in the snapshot.

    Fails at the prefix when a foreign id is passed on (a client that sends it back is
    refused), at the single id when one is minted per event or again for the snapshot.
    """
    events, _ = stream(source, RESPONSES, _rich(source))
    ids = _ids(events)
    final = events[-1]["response"]
    assert {at: {item["id"]} for at, item in enumerate(final["output"])} == ids
    for item in final["output"]:
        assert item["id"].startswith(FAMILIES[item["type"]])
    flat = [item["id"] for item in final["output"]]
    assert len(set(flat)) == len(flat)
    responses = {one["response"]["id"] for one in events if "response" in one}
    assert len(responses) == 1
    assert final["id"].startswith("resp_")
    call_ids = [one["call_id"] for one in final["output"] if "call_id" in one]
    assert len(set(call_ids)) == 2
    assert not any(one.startswith("fc_") for one in call_ids)


def test_trap_54_ids_are_the_same_streamed_and_whole_and_again() -> None:
    """Equal input gives equal ids; another seed gives others.

    Fails when ids are random, or come from a clock.
    """
    message: Object = {"role": "assistant", "content": "I dig."}
    message["tool_calls"] = [
        {
            "id": "call_0",
            "type": "function",
            "function": {"name": "dig", "arguments": ARGUMENTS},
        }
    ]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    body: Object = {"id": "chatcmpl-src", "created": 5, "model": "m"}
    body["choices"] = [choice]
    call = {**message["tool_calls"][0], "index": 0}
    parts = chat_stream(
        {"content": "I dig."}, {"tool_calls": [call]}, finish="tool_calls"
    )
    items = both(CHAT, RESPONSES, parts, body)
    assert both(CHAT, RESPONSES, parts, body) == items
    others = both(CHAT, RESPONSES, parts, body, id="other seed")
    assert others[0]["id"] != items[0]["id"]
    assert others[1]["id"] == items[1]["id"], "a call's item goes by its call"


def test_trap_54_native_ids_stay() -> None:
    """The ids that a server of the dialect gave are kept.

    Fails when every id is minted anew.
    """
    part = {"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}
    item: Object = {"id": "msg_native", "type": "message", "role": "assistant"}
    item |= {"status": "completed", "content": [part]}
    parts = responses_stream(
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        output=[item],
    )
    events, _ = stream(RESPONSES, RESPONSES, parts)
    assert _ids(events) == {0: {"msg_native"}}
    assert events[-1]["response"]["id"] == "resp_src"


# --- 55: whole lives -----------------------------------------------------------------


@pytest.mark.parametrize("source", [CHAT, CLAUDE, GEMINI])
def test_trap_55_every_item_has_its_whole_life(source: str) -> None:
    """created, item added, part added, deltas, text done, part done, item done,
    completed: for thoughts, words and calls, also for words behind a thought or a call.

    Fails inside `Books` at the first event that has no beginning or no end.
    """
    events, _ = stream(source, RESPONSES, _rich(source))
    books = Books()
    for event in events:
        books.take(event)
    kinds = [item["type"] for item in books.done.values()]
    wanted = ["reasoning", "message", "function_call", "function_call"]
    if source != CHAT:
        wanted.insert(3, "message")
    # A signed call of Gemini has an item for its signature before it.
    assert [k for n, k in enumerate(kinds) if k != "reasoning" or n == 0] == wanted
    texts = [one for one in books.done.values() if one["type"] == "message"]
    assert texts[0]["content"][0]["text"] == "I dig."
    for call in (one for one in books.done.values() if "arguments" in one):
        assert call["arguments"] == ARGUMENTS


def _orphans() -> tuple[bytes, list[Object]]:
    """A stream whose text and call were never announced."""
    part = {"type": "output_text", "text": "Hi.", "annotations": []}
    item: Object = {"id": "msg_7", "type": "message", "role": "assistant"}
    item |= {"status": "completed", "content": [part]}
    call: Object = {"id": "fc_7", "type": "function_call", "call_id": "call_7"}
    call |= {"name": "dig", "arguments": ARGUMENTS, "status": "completed"}
    place = {"output_index": 0, "item_id": "msg_7", "content_index": 0}
    parts = responses_stream(
        {"type": "response.output_text.delta", **place, "delta": "H"},
        {"type": "response.output_text.delta", **place, "delta": "i."},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 1, "item": call},
        output=[item, call],
    )
    return parts, [item, call]


@pytest.mark.parametrize("target", [CHAT, RESPONSES, CLAUDE, GEMINI])
def test_trap_55_orphans_of_a_server_are_given_a_beginning(target: str) -> None:
    """Deltas without item and part, and items that are only done, are repaired,
    counted, and told once.

    Fails at the text when orphans are dropped, at the single mention when the done
    item repeats what the deltas said, at the count when a repair is not told.
    """
    parts, _ = _orphans()
    events, translator = stream(RESPONSES, target, parts)
    assert sum(translator.decoder.violations.values()) >= 2
    assert (translator.error, translator.stop) == (None, "tool_use")
    if target == RESPONSES:
        books = Books()
        for event in events:
            books.take(event)
        assert books.done[0]["content"][0]["text"] == "Hi."
        assert books.done[1]["arguments"] == ARGUMENTS
        return
    held = str(read_stream(target, events))
    assert held.count("Hi.") == 1
    assert held.count("depth") == 1


def test_trap_55_a_snapshot_alone_is_an_answer() -> None:
    """A server that streams nothing but its terminal frame has said what stands in it.

    Fails at the text when only events of items are read.
    """
    _, output = _orphans()
    used: Object = {"id": "fc_7", "call_id": "call_7"}
    assert used.items() <= output[1].items()
    held = streamed(RESPONSES, CHAT, responses_stream(output=output))
    assert held["content"] == "Hi."
    assert held["tool_calls"][0]["function"]["arguments"] == ARGUMENTS


# --- 56: another id in every event ---------------------------------------------------


def _restless() -> bytes:
    """A stream in which every event names its item anew."""
    part = {"type": "output_text", "text": "Hi.", "annotations": []}
    item: Object = {"type": "message", "role": "assistant", "status": "completed"}
    item["content"] = [part]
    call: Object = {"type": "function_call", "call_id": "call_7", "name": "dig"}
    call |= {"arguments": ARGUMENTS, "status": "completed"}
    blank = {**part, "text": ""}
    first = {"output_index": 0, "content_index": 0}
    arguments = "response.function_call_arguments"
    return responses_stream(
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "id": "a1", "content": []},
        },
        {
            "type": "response.content_part.added",
            **first,
            "item_id": "a2",
            "part": blank,
        },
        {
            "type": "response.output_text.delta",
            **first,
            "item_id": "a3",
            "delta": "H",
        },
        {
            "type": "response.output_text.delta",
            **first,
            "item_id": "a4",
            "delta": "i.",
        },
        {"type": "response.output_text.done", **first, "item_id": "a5", "text": "Hi."},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "id": "a6"},
        },
        {
            "type": "response.output_item.added",
            "output_index": 1,
            "item": {**call, "id": "b1", "arguments": ""},
        },
        {
            "type": f"{arguments}.delta",
            "output_index": 1,
            "item_id": "b2",
            "delta": '{"',
        },
        {
            "type": f"{arguments}.delta",
            "output_index": 1,
            "item_id": "b3",
            "delta": ARGUMENTS[2:],
        },
        {
            "type": f"{arguments}.done",
            "output_index": 1,
            "item_id": "b4",
            "arguments": ARGUMENTS,
        },
        {
            "type": "response.output_item.done",
            "output_index": 1,
            "item": {**call, "id": "b5"},
        },
        output=[{**item, "id": "a9"}, {**call, "id": "b9"}],
    )


@pytest.mark.parametrize("target", [CHAT, CLAUDE, GEMINI])
def test_trap_56_items_are_known_by_their_place(target: str) -> None:
    """One item, whatever its events call it: its words and arguments are told once.

    Fails at the counts when items are found by their id.
    """
    events, translator = stream(RESPONSES, target, _restless())
    held = str(read_stream(target, events))
    assert (held.count("Hi."), held.count("depth")) == (1, 1)
    assert translator.decoder.violations == {"changed-id": 1}
    assert translator.stop == "tool_use"


def test_trap_56_a_client_of_the_dialect_gets_one_id() -> None:
    """The id that the item was announced with stands in every event and the snapshot.

    Fails at the ids when the server's own are copied from event to event.
    """
    events, _ = stream(RESPONSES, RESPONSES, _restless())
    assert _ids(events) == {0: {"a1"}, 1: {"b1"}}
    output = events[-1]["response"]["output"]
    assert [item["id"] for item in output] == ["a1", "b1"]
    books = Books()
    for event in events:
        books.take(event)
