"""Traps 49 and 50: texts that say nothing, and turns in an order nobody takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire import UnsupportedFeature, decode_request, encode_request
from llmwire.profiles import resolve
from tests.loss_equation import complaints
from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    ask,
    chat_stream,
    gemini_stream,
    responses_stream,
    stream,
    whole,
)
from tests.traps.reading import both, streamed

SHORT: Object = {"type": "ephemeral"}
COMPATIBLE = "anthropic-compatible"


def _asked(source: str, target: str, body: Object, **options: Any) -> Object:
    """The request in `target`, where every change must have been told as a loss."""
    data = json.dumps(body).encode()
    request = decode_request(data, source)
    call = encode_request(request, target, **options)
    read = decode_request(call.http, target)
    told = complaints(request, read, call.losses, ignore="model stream call_id")
    assert told == []
    found: Object = json.loads(call.http.body)
    return found


def _turns(*messages: tuple[str, Any]) -> Object:
    return {
        "model": "m",
        "messages": [{"role": role, "content": content} for role, content in messages],
    }


def _texts(body: Object) -> list[tuple[str, list[str]]]:
    """Role and texts of every turn of a request to Anthropic."""
    return [
        (turn["role"], [block["text"] for block in turn["content"]])
        for turn in body["messages"]
    ]


# --- 49: empty texts -----------------------------------------------------------------


@pytest.mark.parametrize(
    "empty", ["", "  \n", None, [], [{"type": "text", "text": ""}]]
)
def test_trap_49_turns_that_say_nothing(empty: Any) -> None:
    """A turn without a word is left out before Anthropic, and its neighbours are
    joined; what was done is told.

    Fails at the texts when an empty block is sent or `{"type": "text"}` made of null,
    at the law of losses when a turn vanishes or two are joined in silence.
    """
    turns = _turns(("user", "Hi."), ("assistant", empty), ("user", "Go on."))
    body = _asked(CHAT, CLAUDE, turns)
    assert _texts(body) == [("user", ["Hi.", "Go on."])]


def test_trap_49_empty_texts_beside_others() -> None:
    """Empty and blank texts among others are dropped, blanks inside texts are kept.

    Fails at the texts when one of them is sent, or all are stripped.
    """
    parts = [{"type": "text", "text": text} for text in ("", " \n", " Hi. ")]
    body = _asked(CHAT, CLAUDE, _turns(("system", ""), ("user", parts)))
    assert "system" not in body
    assert _texts(body) == [("user", [" Hi. "])]


def test_trap_49_a_call_needs_no_words() -> None:
    """`content` null or "" beside a call makes no text, in either direction.

    Fails at the blocks when an empty one is opened for the missing words.
    """
    call = {"id": "call_7", "type": "function"}
    call["function"] = {"name": "dig", "arguments": "{}"}  # type: ignore[assignment]  # JSON
    for content in (None, ""):
        turn = {"role": "assistant", "content": content, "tool_calls": [call]}
        result = {"role": "tool", "tool_call_id": "call_7", "content": ""}
        asked = _turns(("user", "Dig."))
        asked["messages"] += [turn, result]
        body = _asked(CHAT, CLAUDE, asked)
        kinds = [[b["type"] for b in one["content"]] for one in body["messages"]]
        assert kinds == [["text"], ["tool_use"], ["tool_result"]]
        assert not body["messages"][2]["content"][0].get("content")


def test_trap_49_a_users_turn_between_answers_gets_a_placeholder() -> None:
    """Where leaving a user's turn out would put two answers in a row, a placeholder
    stands for it; policy may refuse instead.

    Fails at the texts when the answers are joined, or an empty text is sent.
    """
    turns = _turns(("user", "a"), ("assistant", "b"), ("user", " "), ("assistant", "c"))
    asked = {
        **turns,
        "messages": [*turns["messages"], {"role": "user", "content": "d"}],
    }
    body = _asked(CHAT, CLAUDE, asked)
    assert [texts for _, texts in _texts(body)] == [
        ["a"],
        ["b"],
        ["(empty)"],
        ["c"],
        ["d"],
    ]
    with pytest.raises(UnsupportedFeature, match=r"messages\[2\]"):
        ask(CHAT, CLAUDE, asked, policy={"message.empty": "refuse"})


def test_trap_49_the_mark_of_an_empty_text_moves() -> None:
    """A cache mark on an empty text goes to the block before it; without one, or with
    a mark there already, it is dropped.

    Fails at the blocks when a mark stands on an empty text or is lost, at the law of
    losses when it moves in silence.
    """
    marked = {"type": "text", "text": "", "cache_control": SHORT}
    rules = {"type": "text", "text": "Rules.", "cache_control": SHORT}
    long = {"type": "text", "text": "A long one."}
    asked: Object = {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": ""}, rules, {**marked, "text": " "}],
        "messages": [
            {"role": "user", "content": [long, marked]},
            {"role": "assistant", "content": [{"type": "text", "text": ""}, long]},
            {"role": "user", "content": [marked, {"type": "text", "text": "Go on."}]},
        ],
    }
    body = _asked(CLAUDE, CLAUDE, asked, profile=COMPATIBLE)
    assert body["system"] == [rules]
    assert body["messages"] == [
        {"role": "user", "content": [{**long, "cache_control": SHORT}]},
        {"role": "assistant", "content": [long]},
        {"role": "user", "content": [{"type": "text", "text": "Go on."}]},
    ]


@pytest.mark.parametrize("source", [CHAT, RESPONSES, GEMINI])
def test_trap_49_from_every_dialect(source: str) -> None:
    """No dialect's way of saying nothing becomes an empty block.

    Fails at the texts.
    """
    asked: Object = _turns(("user", "Hi."), ("assistant", ""), ("user", "Go on."))
    if source == RESPONSES:
        asked = {"model": "m", "input": asked["messages"]}
        asked["input"][1]["content"] = [{"type": "output_text", "text": ""}]
    elif source == GEMINI:
        asked = {
            "contents": [
                {"role": "user", "parts": [{"text": "Hi."}]},
                {"role": "model", "parts": [{"text": ""}]},
                {"role": "user", "parts": [{"text": ""}, {"text": "Go on."}]},
            ]
        }
    body = _asked(source, CLAUDE, asked, model="m")
    assert _texts(body) == [("user", ["Hi.", "Go on."])]


_CALL = {"id": "call_7", "type": "function"}


def test_trap_49_answers_open_no_empty_block() -> None:
    """Chat's first chunk and its calls say `content: ""`, Gemini ends with an empty
    text, Responses may announce a text that stays empty: no block, streamed or whole.

    Fails at the blocks when the first mention of a text opens one, for the client
    sends it back and is refused.
    """
    function = {"name": "dig", "arguments": "{}"}
    call = {**_CALL, "index": 0, "function": function}
    parts = chat_stream(
        {"role": "assistant", "content": ""},
        {"content": "", "tool_calls": [call]},
        {"content": ""},
        finish="tool_calls",
    )
    message = {"role": "assistant", "content": ""}
    message["tool_calls"] = [{**_CALL, "function": function}]  # type: ignore[assignment]  # JSON
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    body: Object = {"id": "c", "created": 5, "model": "m", "choices": [choice]}
    blocks = both(CHAT, CLAUDE, parts, body)
    assert [one["type"] for one in blocks] == ["tool_use"]
    called = gemini_stream([{"text": ""}], [{"functionCall": {"name": "dig"}}])
    assert [one["type"] for one in streamed(GEMINI, CLAUDE, called)] == ["tool_use"]
    part = {"type": "output_text", "text": "", "annotations": []}
    item: Object = {"id": "msg_7", "type": "message", "role": "assistant"}
    item |= {"status": "completed", "content": [part]}
    place = {"output_index": 0, "item_id": "msg_7", "content_index": 0}
    silent = responses_stream(
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "content": []},
        },
        {"type": "response.content_part.added", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        output=[item],
    )
    events, translator = stream(RESPONSES, CLAUDE, silent)
    assert not [one for one in events if one["type"] == "content_block_start"]
    assert "message.empty" in {one.feature for one in translator.losses}
    response: Object = {"id": "resp_7", "object": "response", "created_at": 5}
    response |= {"model": "m", "status": "completed", "output": [item]}
    assert whole(RESPONSES, CLAUDE, response)[0]["content"] == []


# --- 50: alternation, and instructions in the middle ---------------------------------

_NEIGHBOURS = _turns(
    ("user", "a"),
    ("user", "b"),
    ("assistant", "c"),
    ("assistant", "d"),
    ("user", "e"),
)


@pytest.mark.parametrize(
    ("target", "options"),
    [(CLAUDE, {}), (GEMINI, {}), (CHAT, {"profile": "mistral"})],
)
def test_trap_50_turns_alternate_where_they_must(target: str, options: Object) -> None:
    """Turns of one role in a row are joined, in order, and the joining is told.

    Fails at the roles when neighbours are sent as they came, at the words when one is
    dropped, at the law of losses when they are joined in silence.
    """
    body = _asked(CHAT, target, _NEIGHBOURS, **options)
    turns = body["contents" if target == GEMINI else "messages"]
    roles = [one["role"] for one in turns]
    assert roles == ["user", "model" if target == GEMINI else "assistant", "user"]
    texts = [json.dumps(one) for one in turns]
    assert texts[0].index("a") < texts[0].index("b")
    assert all(word in text for word, text in zip("ace", texts, strict=True))
    assert "d" in texts[1]


@pytest.mark.parametrize("target", [CHAT, RESPONSES])
def test_trap_50_turns_stay_apart_where_they_may(target: str) -> None:
    """Nobody else gets his turns joined: one changed byte costs the prompt cache.

    Fails at the number of turns when joining is done for every target.
    """
    body = _asked(CHAT, target, _NEIGHBOURS)
    assert len(body["messages" if target == CHAT else "input"]) == 5


def test_trap_50_the_first_turn_is_the_users() -> None:
    """A history that starts with the assistant gets a turn before it.

    Fails at the first role when it is sent as it is, at the words when it is dropped.
    """
    body, call = ask(CHAT, CLAUDE, _turns(("assistant", "a"), ("user", "b")))
    assert [role for role, _ in _texts(body)] == ["user", "assistant", "user"]
    assert _texts(body)[1] == ("assistant", ["a"])
    assert "message.order" in {one.feature for one in call.losses}
    with pytest.raises(UnsupportedFeature):
        ask(
            CHAT,
            CLAUDE,
            _turns(("assistant", "a"), ("user", "b")),
            policy={"message.order": "refuse"},
        )


_LATE = _turns(
    ("system", "First."),
    ("user", "a"),
    ("assistant", "b"),
    ("system", "Late."),
    ("user", "c"),
)
_REMINDER = "<system-reminder>\nLate.\n</system-reminder>"


@pytest.mark.parametrize("target", [CLAUDE, GEMINI])
def test_trap_50_late_instructions_become_tagged_text(target: str) -> None:
    """Instructions in the middle stay in the middle, as the user's tagged words: the
    front, which is cached, does not change.

    Fails at the front when they are hoisted, at the last turn when they are dropped or
    look like the user's own words.
    """
    body = _asked(CHAT, target, _LATE)
    front = json.dumps(body["system" if target == CLAUDE else "systemInstruction"])
    assert "First." in front
    assert "Late." not in front
    last = body["messages" if target == CLAUDE else "contents"][-1]
    blocks = last["content" if target == CLAUDE else "parts"]
    assert [block["text"] for block in blocks] == [_REMINDER, "c"]
    early = {**_LATE, "messages": _LATE["messages"][:2]}
    sent = _asked(CHAT, target, early)
    name = "system" if target == CLAUDE else "systemInstruction"
    assert sent[name] == body[name]


def test_trap_50_late_instructions_where_they_may_stand() -> None:
    """Servers that take them in place get them there, in their own role.

    Fails when they are moved or tagged for everybody.
    """
    body = _asked(CHAT, CHAT, _LATE)
    assert body["messages"][3] == {"role": "system", "content": "Late."}
    body = _asked(CHAT, RESPONSES, _LATE)
    assert body["input"][3]["role"] == "system"
    turns = _turns(
        ("user", "a"), ("system", "Late."), ("assistant", "b"), ("user", "c")
    )
    body = _asked(CHAT, CLAUDE, turns, model="claude-opus-5")
    assert [one["role"] for one in body["messages"]] == [
        "user",
        "system",
        "assistant",
        "user",
    ]


def test_trap_50_late_instructions_by_the_servers_profile() -> None:
    """A template that takes one system message gets all of them in front; one that
    takes none in the middle gets the tagged words.

    Fails at the roles when the profile is not asked.
    """
    body = _asked(CHAT, CHAT, _LATE, profile="llama.cpp")
    assert [one["role"] for one in body["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert body["messages"][0]["content"] == "First.\n\nLate."
    strict = replace(resolve(CHAT, "compatible"), system_in_place=False)
    body = _asked(CHAT, CHAT, _LATE, profile=strict)
    assert [one["role"] for one in body["messages"]][:3] == [
        "system",
        "user",
        "assistant",
    ]
    assert _REMINDER in json.dumps(body["messages"][3]).encode().decode(
        "unicode_escape"
    )


def test_trap_50_late_instructions_do_not_part_a_call_from_its_result() -> None:
    """Behind a result, the tagged words stand after it: results come first.

    Fails at the blocks when the words are put before the result or between.
    """
    call = {"id": "call_7", "type": "function"}
    call["function"] = {"name": "dig", "arguments": "{}"}  # type: ignore[assignment]  # JSON
    asked = _turns(("user", "Dig."))
    asked["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_7", "content": "Deep."},
        {"role": "system", "content": "Late."},
        {"role": "user", "content": "On."},
    ]
    last = _asked(CHAT, CLAUDE, asked)["messages"][-1]["content"]
    assert [one["type"] for one in last] == ["tool_result", "text", "text"]
    assert last[1]["text"] == _REMINDER
    contents = _asked(CHAT, GEMINI, asked, model="gemini-2.5-flash")["contents"]
    assert [len(one["parts"]) for one in contents] == [1, 1, 1, 2]
    assert "functionResponse" in contents[2]["parts"][0]
