"""Traps 36, 38 and 39: items nobody typed, and why an answer ended."""

from __future__ import annotations

from typing import Any

import pytest

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
    responses_stream,
    stream,
    whole,
)
from tests.traps.endings import TEXT, TOOL, claude_body, ending, told
from tests.traps.reading import both, streamed

ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)

# --- 36: unknown items ---------------------------------------------------------------

SEARCH: Object = {
    "type": "tool_search_call",
    "id": "tsc_7",
    "call_id": None,
    "execution": "server",
    "status": "completed",
    "arguments": {"paths": ["crm"], "deep": True},
}
DECK: Object = {"type": "holo_deck", "id": "hd_7", "scene": {"walls": [4, 4.0]}}
SAID: Object = {
    "id": "msg_7",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [
        {"type": "output_text", "text": "Found.", "annotations": [], "logprobs": []}
    ],
}
OUTPUT = [SEARCH, DECK, SAID]


def _item_stream(**members: Any) -> bytes:
    begun = {**SEARCH, "status": "in_progress"}
    spin = {"type": "response.holo_deck.spinning", "speed": {"rpm": 3}}
    place = {"output_index": 2, "item_id": "msg_7", "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": []}
    return responses_stream(
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.output_item.done", "output_index": 0, "item": SEARCH},
        {"type": "response.output_item.added", "output_index": 1, "item": DECK},
        {**spin, "output_index": 1, "item_id": "hd_7"},
        {"type": "response.output_item.done", "output_index": 1, "item": DECK},
        {
            "type": "response.output_item.added",
            "output_index": 2,
            "item": {**SAID, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": empty},
        {"type": "response.output_text.delta", **place, "delta": "Found."},
        {"type": "response.output_item.done", "output_index": 2, "item": SAID},
        output=OUTPUT,
        **members,
    )


def _item_body() -> Object:
    body: Object = {"id": "resp_7", "object": "response", "created_at": 5}
    return {**body, "model": "m", "status": "completed", "output": OUTPUT}


def test_trap_36_unknown_items_go_through_raw() -> None:
    """Items whose type or members nobody modelled reach a Responses client as they
    were, in the stream, its snapshot and the whole answer, with their own events.

    Fails at the equality of items when an item is read into a struct that is too
    narrow, or is written anew; at the event when unknown events are skipped.
    """
    events, translator = stream(RESPONSES, RESPONSES, _item_stream())
    done = [one for one in events if one["type"] == "response.output_item.done"]
    assert [one["item"] for one in done] == OUTPUT
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"] == OUTPUT
    [spin] = [one for one in events if one["type"].startswith("response.holo_deck")]
    assert (spin["speed"], spin["item_id"], spin["output_index"]) == (
        {"rpm": 3},
        "hd_7",
        1,
    )
    assert translator.losses == ()
    body, reply = whole(RESPONSES, RESPONSES, _item_body())
    assert (body["output"], reply.losses) == (OUTPUT, ())


@pytest.mark.parametrize("target", [CHAT, CLAUDE, GEMINI])
def test_trap_36_unknown_items_do_not_take_the_rest_with_them(target: str) -> None:
    """Elsewhere they are losses by place; the text behind them and the end arrive.

    Fails at the text or the ending when a strange item raises or ends the stream, at
    the losses when it is dropped in silence or becomes a call of the client's.
    """
    events, translator = stream(RESPONSES, target, _item_stream())
    body, reply = whole(RESPONSES, target, _item_body())
    words = {CHAT: "stop", CLAUDE: "end_turn", GEMINI: "STOP"}
    for given, losses in (([body], reply.losses), (events, translator.losses)):
        assert ending(target, given) == words[target]
        assert set(told(losses, "tool.server_part", "opaque")) >= {
            ("choices[0].parts[0]", "dropped"),
            ("choices[0].parts[1]", "dropped"),
        }
    held = both(RESPONSES, target, _item_stream(), _item_body())
    text = {
        CHAT: lambda: held["content"],
        CLAUDE: lambda: held[0]["text"],
        GEMINI: lambda: held[0]["text"],
    }
    assert text[target]() == "Found."
    assert target == CHAT or len(held) == 1
    assert target != CHAT or held["tool_calls"] == []


def test_trap_36_unknown_items_of_the_history_are_sent_back() -> None:
    """A client may send such items again: the same dialect gets them raw, others
    without them, and no request is refused for them.

    Fails with RemoteProtocolError when request items are a closed list, at the
    equality when they are written anew.
    """
    turns = [{"role": "user", "content": "Look."}, *OUTPUT]
    asked: Object = {
        "model": "m",
        "input": [*turns, {"role": "user", "content": "On."}],
    }
    body, call = ask(RESPONSES, RESPONSES, asked)
    assert (body["input"], call.losses) == (asked["input"], ())
    for target in (CHAT, CLAUDE, GEMINI):
        _, call = ask(RESPONSES, target, asked)
        assert told(call.losses, "tool.server_part", "opaque") == [
            ("messages[1].parts[0]", "dropped"),
            ("messages[1].parts[1]", "dropped"),
        ]


@pytest.mark.parametrize(
    "strange",
    [
        {"usage": "none"},
        {"usage": {"input_tokens": "7"}},
        {"created_at": "noon"},
        {"model": None},
        {"error": False},
        {"metadata": 7},
        {"service_tier": 5},
        {"incomplete_details": "x"},
    ],
)
@pytest.mark.parametrize("target", ALL)
def test_trap_36_a_strange_member_does_not_drop_the_terminal_event(
    target: str, strange: Object
) -> None:
    """One member of an unexpected type in `response.completed` costs that member.

    Fails at `error` or `stop` when the terminal event is decoded strictly as a whole
    and dropped, for the stream then looks cut.
    """
    events, translator = stream(RESPONSES, target, _item_stream(**strange))
    assert (translator.error, translator.stop) == (None, "end")
    words: dict[str, Any] = {CHAT: "stop", CLAUDE: "end_turn", GEMINI: "STOP"}
    words[RESPONSES] = ("completed", None)
    if strange != {"incomplete_details": "x"} or target != RESPONSES:
        assert ending(target, events) == words[target]


# --- 38: Gemini says STOP for calls --------------------------------------------------

_CALLED: Object = {"functionCall": {"name": "dig", "args": {"depth": 3}}}
_TOOL_WORDS: dict[str, Any] = {
    CHAT: "tool_calls",
    RESPONSES: ("completed", None),
    CLAUDE: "tool_use",
    GEMINI: "STOP",
}


@pytest.mark.parametrize("target", ALL)
def test_trap_38_a_call_in_one_chunk_and_stop_in_the_next(target: str) -> None:
    """A functionCall without finishReason, then an empty text with STOP, ends as a
    call: in a stream, in a whole answer, and with the call in the last chunk.

    Fails at the ending when the stop word is read from the last chunk alone, at the
    blocks when the empty text opens one.
    """
    split = gemini_stream([_CALLED])
    content = {"role": "model", "parts": [_CALLED, {"text": ""}]}
    candidate = {"content": content, "finishReason": "STOP", "index": 0}
    body: Object = {"candidates": [candidate], "responseId": "r-src"}
    joined = frames({**body, "modelVersion": "m"})
    for given in (
        stream(GEMINI, target, split)[0],
        stream(GEMINI, target, joined)[0],
        [whole(GEMINI, target, body)[0]],
    ):
        assert ending(target, given) == _TOOL_WORDS[target]
    held = streamed(GEMINI, target, split)
    if target in (CLAUDE, RESPONSES):
        kind = {CLAUDE: "tool_use", RESPONSES: "function_call"}[target]
        assert [one["type"] for one in held] == [kind]
    elif target == CHAT:
        assert held["content"] == ""


def test_trap_38_the_flag_is_one_streams_own() -> None:
    """An answer without a call is no call, whatever came before it.

    Fails when the flag "saw a call" outlives its stream.
    """
    for given, word in (([_CALLED], "tool_calls"), ([{"text": "Done."}], "stop")):
        assert ending(CHAT, stream(GEMINI, CHAT, gemini_stream(given))[0]) == word


def test_trap_38_a_call_that_was_cut_is_no_tool_use() -> None:
    """MAX_TOKENS with a call stays a limit: such a call must not be run.

    Fails when the presence of a call beats every stop word.
    """
    cut = gemini_stream([_CALLED], finish="MAX_TOKENS")
    assert ending(CHAT, stream(GEMINI, CHAT, cut)[0]) == "length"
    assert ending(CLAUDE, stream(GEMINI, CLAUDE, cut)[0]) == "max_tokens"


# --- 39: stop reasons keep their meaning ---------------------------------------------

_CUT = ("incomplete", "max_output_tokens")
_FILTERED = ("incomplete", "content_filter")
_OVER = ("completed", None)
_CLAUDE_STOPS: list[tuple[str, Any, Any, Any]] = [
    ("end_turn", "stop", _OVER, "STOP"),
    ("refusal", "content_filter", _FILTERED, "STOP"),
    ("pause_turn", "length", _CUT, "CONTINUATION"),
    ("model_context_window_exceeded", "length", _CUT, "MAX_TOKENS"),
    ("max_tokens", "length", _CUT, "MAX_TOKENS"),
    ("brand_new_reason", "stop", _OVER, "OTHER"),
]


@pytest.mark.parametrize(("stop", "chat", "responses", "gemini"), _CLAUDE_STOPS)
def test_trap_39_stops_of_anthropic(
    stop: str, chat: Any, responses: Any, gemini: Any
) -> None:
    """A refusal, a pause, a full context and an unknown word keep their meaning where
    there is a word for it; what is said otherwise is a loss, and never null.

    Fails at the word when reasons collapse to `stop`, at the losses when an
    approximation is not told.
    """
    text = {"type": "text", "text": "Well"}
    for target, word in ((CHAT, chat), (RESPONSES, responses), (GEMINI, gemini)):
        events, translator = stream(CLAUDE, target, claude_stream(TEXT, stop=stop))
        body, reply = whole(CLAUDE, target, claude_body(text, stop_reason=stop))
        assert ending(target, events) == ending(target, [body]) == word
        losses = told(reply.losses, "stop_reason")
        assert losses == told(translator.losses, "stop_reason")
        if stop in ("end_turn", "max_tokens") or word in ("CONTINUATION", "OTHER"):
            assert losses == []
        else:
            assert losses == [("choices[0].stop", "approximated")]


@pytest.mark.parametrize("stop", ["refusal", "pause_turn", "brand_new_reason"])
@pytest.mark.parametrize("target", ALL)
def test_trap_39_a_pending_call_is_not_discarded(target: str, stop: str) -> None:
    """Whatever ends the answer, the call that was written is there.

    Fails when calls are given only for the stop word `tool_use`.
    """
    block = {"type": "tool_use", "id": "toolu_7", "name": "dig", "input": {"depth": 3}}
    body = claude_body(block, stop_reason=stop)
    for given in (
        streamed(CLAUDE, target, claude_stream(TOOL, stop=stop)),
        whole(CLAUDE, target, body)[0],
    ):
        assert "dig" in str(given)
        assert "depth" in str(given)


def test_trap_39_a_refusal_without_a_word_is_no_empty_success() -> None:
    """A model that declines before its first word: every client is told so.

    Fails at the word when a refusal without text becomes a normal end.
    """
    words: dict[str, Any] = {CHAT: "content_filter", RESPONSES: _FILTERED}
    words |= {CLAUDE: "refusal", GEMINI: "SAFETY"}
    for target, word in words.items():
        events, _ = stream(CLAUDE, target, claude_stream(stop="refusal"))
        body, _ = whole(CLAUDE, target, claude_body(stop_reason="refusal"))
        assert ending(target, events) == ending(target, [body]) == word


@pytest.mark.parametrize(
    ("finish", "chat", "claude"),
    [
        ("SAFETY", "content_filter", "refusal"),
        ("PROHIBITED_CONTENT", "content_filter", "refusal"),
        ("RECITATION", "content_filter", "refusal"),
        ("MAX_TOKENS", "length", "max_tokens"),
        ("CONTINUATION", "length", "pause_turn"),
        ("A_NEW_REASON", "stop", "end_turn"),
    ],
)
def test_trap_39_stops_of_gemini(finish: str, chat: str, claude: str) -> None:
    """Safety stops are no ends.

    Fails at the word when one of Gemini's reasons collapses to `stop`, at the losses
    when the nearest word is taken in silence.
    """
    content = {"role": "model", "parts": [{"text": "Well"}]}
    candidate = {"content": content, "finishReason": finish, "index": 0}
    for target, word in ((CHAT, chat), (CLAUDE, claude)):
        events, translator = stream(
            GEMINI, target, gemini_stream([{"text": "Well"}], finish=finish)
        )
        body, reply = whole(GEMINI, target, {"candidates": [candidate]})
        assert ending(target, events) == ending(target, [body]) == word
        exact = word in ("content_filter", "length", "max_tokens", "pause_turn")
        if not exact or (finish, target) == ("RECITATION", CHAT):
            place = [("choices[0].stop", "approximated")]
            assert told(translator.losses, "stop_reason") == place
            assert told(reply.losses, "stop_reason") == place


def test_trap_39_a_blocked_prompt_is_no_empty_success() -> None:
    """Gemini answers a blocked prompt with 200 and no candidate.

    Fails at the word when an answer without candidates is a normal end.
    """
    blocked: Object = {"promptFeedback": {"blockReason": "SAFETY"}, "responseId": "r"}
    words: dict[str, Any] = {CHAT: "content_filter", RESPONSES: _FILTERED}
    words |= {CLAUDE: "refusal", GEMINI: "SAFETY"}
    for target, word in words.items():
        events, _ = stream(GEMINI, target, frames(blocked))
        body, _ = whole(GEMINI, target, blocked)
        assert ending(target, events) == word
        assert ending(target, [body]) == word


@pytest.mark.parametrize(
    ("finish", "responses", "claude", "gemini"),
    [
        ("content_filter", _FILTERED, "refusal", "SAFETY"),
        ("length", _CUT, "max_tokens", "MAX_TOKENS"),
        ("eos", _OVER, "end_turn", "STOP"),
        ("a_new_reason", _OVER, "end_turn", "OTHER"),
    ],
)
def test_trap_39_stops_of_chat(
    finish: str, responses: Any, claude: str, gemini: str
) -> None:
    """A filter and a limit stay what they are, an unknown word is an explicit end.

    Fails at the word when a finish reason is lost or becomes null.
    """
    message = {"role": "assistant", "content": "Well"}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    given: Object = {"id": "c", "created": 5, "model": "m", "choices": [choice]}
    for target, word in ((RESPONSES, responses), (CLAUDE, claude), (GEMINI, gemini)):
        parts = chat_stream({"content": "Well"}, finish=finish)
        assert ending(target, stream(CHAT, target, parts)[0]) == word
        assert ending(target, [whole(CHAT, target, given)[0]]) == word
