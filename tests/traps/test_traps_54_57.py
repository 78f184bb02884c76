"""Traps 54 to 57: the items of the Responses dialect, their ids, lives and borders."""

from __future__ import annotations

from typing import Any

import pytest

from llmwire import fold
from llmwire.streams import StreamDecoder
from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    ask,
    chat_stream,
    claude_stream,
    frames,
    gemini_stream,
    objects,
    responses_stream,
    stream,
    whole,
)
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
    assert {one["id"] for one in others}.isdisjoint(one["id"] for one in items)


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


class _Strict:
    """A client that keeps the books of a Responses stream and fails at any gap."""

    def __init__(self) -> None:
        self.number = 0
        self.items: dict[int, Object] = {}
        self.done: dict[int, Object] = {}
        self.parts: dict[tuple[int, str, int], str] = {}
        """Announced parts of open items, and their text so far."""
        self.told: set[tuple[int, str, int]] = set()
        """Parts whose text was told as a whole."""

    def take(self, event: Object) -> None:
        assert event["sequence_number"] == self.number
        self.number += 1
        kind = event["type"].removeprefix("response.")
        if kind in ("created", "in_progress"):
            assert self.number == (1 if kind == "created" else 2)
            assert event["response"]["output"] == []
        elif kind in ("completed", "incomplete"):
            self._end(event["response"])
        elif kind == "output_item.added":
            at = event["output_index"]
            assert at == len(self.items)
            self.items[at] = event["item"]
            if event["item"]["type"] == "function_call":
                self.parts[at, "function_call_arguments", 0] = ""
        elif kind == "output_item.done":
            self._item_done(event["output_index"], event["item"])
        else:
            self._inside(kind, event)

    def _inside(self, kind: str, event: Object) -> None:
        at = event["output_index"]
        assert at in self.items, "inside an item that was never announced"
        assert at not in self.done, "inside an item that is done"
        assert event["item_id"] == self.items[at]["id"]
        part = event.get("content_index", event.get("summary_index", 0))
        name, _, step = kind.rpartition(".")
        if name in ("content_part", "reasoning_summary_part"):
            text = {
                "output_text": "output_text",
                "refusal": "refusal",
                "summary_text": "reasoning_summary_text",
                "reasoning_text": "reasoning_text",
            }[event["part"]["type"]]
            key = (at, text, part)
            if step == "added":
                assert key not in self.parts
                self.parts[key] = ""
            else:
                assert key in self.told, "the part is done before its text"
                said = event["part"].get("text", event["part"].get("refusal"))
                assert said == self.parts.pop(key)
            return
        key = (at, name, part)
        assert key in self.parts, f"{kind} without its part"
        if step == "delta":
            assert key not in self.told
            self.parts[key] += event["delta"]
        else:
            said = event.get("text", event.get("refusal", event.get("arguments")))
            assert said == self.parts[key]
            self.told.add(key)
            if name == "function_call_arguments":
                del self.parts[key]

    def _item_done(self, at: int, item: Object) -> None:
        assert at not in self.done
        assert item["id"] == self.items[at]["id"]
        assert item["type"] == self.items[at]["type"]
        assert not [key for key in self.parts if key[0] == at], "a part is open"
        self.done[at] = item

    def _end(self, response: Object) -> None:
        assert response["output"] == list(self.done.values())
        assert self.items.keys() == self.done.keys()
        assert not self.parts


@pytest.mark.parametrize("source", [CHAT, CLAUDE, GEMINI])
def test_trap_55_every_item_has_its_whole_life(source: str) -> None:
    """created, item added, part added, deltas, text done, part done, item done,
    completed: for thoughts, words and calls, also for words behind a thought or a call.

    Fails inside `_Strict` at the first event that has no beginning or no end.
    """
    events, _ = stream(source, RESPONSES, _rich(source))
    strict = _Strict()
    for event in events:
        strict.take(event)
    kinds = [item["type"] for item in strict.done.values()]
    wanted = ["reasoning", "message", "function_call", "function_call"]
    if source != CHAT:
        wanted.insert(3, "message")
    # A signed call of Gemini has an item for its signature before it.
    assert [k for n, k in enumerate(kinds) if k != "reasoning" or n == 0] == wanted
    texts = [one for one in strict.done.values() if one["type"] == "message"]
    assert texts[0]["content"][0]["text"] == "I dig."
    for call in (one for one in strict.done.values() if "arguments" in one):
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
        strict = _Strict()
        for event in events:
            strict.take(event)
        assert strict.done[0]["content"][0]["text"] == "Hi."
        assert strict.done[1]["arguments"] == ARGUMENTS
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
        {"type": "response.content_part.added", **first, "item_id": "a2", "part": blank},
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
        {"type": f"{arguments}.delta", "output_index": 1, "item_id": "b2", "delta": '{"'},
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
    strict = _Strict()
    for event in events:
        strict.take(event)


# --- 57: commentary and final answer -------------------------------------------------


def _phases() -> tuple[bytes, Object]:
    events: list[Object] = []
    output: list[Object] = []
    said = (("commentary", "I look."), ("final_answer", "It is 5."))
    for at, (phase, text) in enumerate(said):
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        item: Object = {"id": f"msg_{at}", "type": "message", "role": "assistant"}
        item |= {"status": "completed", "phase": phase, "content": [part]}
        place = {"output_index": at, "item_id": f"msg_{at}", "content_index": 0}
        events += [
            {
                "type": "response.output_item.added",
                "output_index": at,
                "item": {**item, "status": "in_progress", "content": []},
            },
            {
                "type": "response.content_part.added",
                **place,
                "part": {**part, "text": ""},
            },
            {"type": "response.output_text.delta", **place, "delta": text},
            {"type": "response.output_item.done", "output_index": at, "item": item},
        ]
        output.append(item)
    parts = responses_stream(*events, output=output)
    return parts, objects(parts)[-1]["response"]


def test_trap_57_phases_are_kept_apart() -> None:
    """Commentary and final answer are two parts wherever there are parts; in Chat's
    one text a blank line stands between them. Neither is told twice.

    Fails at the texts when both are glued, or the snapshot repeats one of them.
    """
    parts, body = _phases()
    assert both(RESPONSES, CHAT, parts, body)["content"] == "I look.\n\nIt is 5."
    blocks = both(RESPONSES, CLAUDE, parts, body)
    assert [one["text"] for one in blocks] == ["I look.", "It is 5."]
    items = both(RESPONSES, RESPONSES, parts, body)
    assert items == body["output"]
    given, _ = whole(RESPONSES, GEMINI, body)
    texts = [one["text"] for one in given["candidates"][0]["content"]["parts"]]
    assert texts == ["I look.", "It is 5."]


@pytest.mark.parametrize("target", [CHAT, CLAUDE, GEMINI])
def test_trap_57_phases_that_are_lost_are_told(target: str) -> None:
    """Which text was the final answer is a loss where it cannot be said.

    Fails at the paths, of the stream or of the whole answer.
    """
    parts, body = _phases()
    _, translator = stream(RESPONSES, target, parts)
    _, reply = whole(RESPONSES, target, body)
    for losses in (translator.losses, reply.losses):
        assert [one.path for one in losses if one.feature == "phase"] == [
            "choices[0].parts[0].phase",
            "choices[0].parts[1].phase",
        ]


def test_trap_57_texts_of_one_phase_are_not_parted() -> None:
    """Several blocks of one answer are one text in Chat, as they were written.

    Fails when a blank line is put between any two parts.
    """
    text = {"type": "text", "text": ""}
    parts = claude_stream(
        (text, {"type": "text_delta", "text": "It is"}),
        (text, {"type": "text_delta", "text": " 5."}),
    )
    assert streamed(CLAUDE, CHAT, parts)["content"] == "It is 5."


def test_trap_57_phases_of_the_history() -> None:
    """Both items of the history go back to the same dialect as they were, elsewhere as
    two texts.

    Fails when the items are joined, or only one of them is sent.
    """
    _, body = _phases()
    asked: Object = {"model": "m", "input": [*body["output"]]}
    asked["input"].append({"role": "user", "content": "Sure?"})
    assert ask(RESPONSES, RESPONSES, asked)[0]["input"] == asked["input"]
    turns = ask(RESPONSES, CHAT, asked)[0]["messages"]
    assert [one["text"] for one in turns[0]["content"]] == ["I look.", "It is 5."]


def test_trap_57_the_neutral_answer_knows_the_phases() -> None:
    """Folded events keep phase and border of both texts.

    Fails when the decoder drops the phase or joins the parts.
    """
    parts, _ = _phases()
    decoder = StreamDecoder(RESPONSES)
    response = fold(decoder.receive_data(parts) + decoder.receive_eof())
    found: list[Any] = list(response.choices[0].parts)
    assert [(one.text, one.phase) for one in found] == [
        ("I look.", "commentary"),
        ("It is 5.", "final_answer"),
    ]
    assert frames(*objects(parts))
