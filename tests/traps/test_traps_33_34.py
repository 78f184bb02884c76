"""Traps 33 and 34: what a tool's result holds besides a text."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from llmwire import Loss
from tests.traps import CHAT, CLAUDE, GEMINI, RESPONSES, Object, ask
from tests.traps.bodies import call

DATA = base64.b64encode(b"an image of the harbour").decode()
URL = f"data:image/png;base64,{DATA}"
ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)
OLD, NEW = "gemini-2.5-flash", "gemini-3-pro"


def _told(losses: tuple[Loss, ...]) -> set[tuple[str, str, str]]:
    return {(one.path, one.feature, one.action) for one in losses}


def _image() -> Object:
    source = {"type": "base64", "media_type": "image/png", "data": DATA}
    return {"type": "image", "source": source}


def _text(text: str) -> Object:
    return {"type": "text", "text": text}


def _claude(*results: Any, after: str = "") -> Object:
    """A request in which every call, c1, c2 …, has a result of these contents."""
    ids = [f"c{at}" for at, _ in enumerate(results, start=1)]
    uses = [{"type": "tool_use", "id": id, "name": "look", "input": {}} for id in ids]
    blocks = [
        {"type": "tool_result", "tool_use_id": id, "content": content}
        for id, content in zip(ids, results, strict=True)
    ]
    said = [_text(after)] if after else []
    messages = [
        {"role": "user", "content": "What is there?"},
        {"role": "assistant", "content": uses},
        {"role": "user", "content": [*blocks, *said]},
    ]
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    return {"model": "m", "max_tokens": 99, "messages": messages, "tools": tools}


def _responses(*outputs: Any) -> Object:
    ids = [f"c{at}" for at, _ in enumerate(outputs, start=1)]
    items: list[Object] = [{"role": "user", "content": "What is there?"}]
    for id in ids:
        item = {"type": "function_call", "call_id": id, "name": "look"}
        items.append({**item, "arguments": "{}"})
    for id, output in zip(ids, outputs, strict=True):
        item = {"type": "function_call_output", "call_id": id, "output": output}
        items.append(item)
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    return {"model": "m", "input": items, "tools": [tool]}


_SEEN = [_text("At noon:"), _image()]
_SEEN_ITEMS = [
    {"type": "input_text", "text": "At noon:"},
    {"type": "input_image", "image_url": URL, "detail": "auto"},
]

# --- 33: images in results -----------------------------------------------------------


@pytest.mark.parametrize("client", [CLAUDE, RESPONSES])
def test_trap_33_an_image_follows_the_run_of_results(client: str) -> None:
    """Tool messages of Chat are texts: an image of a result stands in a user message
    behind the whole run of them, with the name and id of its call; the result keeps its
    text, or says where to look.

    Fails at the roles when the image stands between two results (400) or is dropped, at
    the contents when it is written into a tool message as base64, or one is left empty;
    at the losses when silent.
    """
    if client == CLAUDE:
        body = _claude([_image()], _SEEN, "three", after="So?")
    else:
        body = _responses([_SEEN_ITEMS[1]], _SEEN_ITEMS, "three")
        body["input"].append({"role": "user", "content": "So?"})
    asked, made = ask(client, CHAT, body)
    roles = [one["role"] for one in asked["messages"]]
    assert roles == ["user", "assistant", *["tool"] * 3, "user", "user"]
    results = [one["content"] for one in asked["messages"] if one["role"] == "tool"]
    assert results == ["See the attachment below.", "At noon:", "three"]
    hoisted, last = asked["messages"][5:]
    images = [one["image_url"]["url"] for one in hoisted["content"][1::2]]
    assert images == [URL, URL]
    for id, head in zip(("c1", "c2"), hoisted["content"][::2], strict=True):
        assert id in head["text"]
        assert "look" in head["text"]
    assert last["content"] == "So?"
    assert made.http.body.count(DATA.encode()) == 2
    for at in (0, 1):
        told = (f"messages[2].parts[{at}]", "tool_result.media", "emulated")
        assert told in _told(made.losses)


def test_trap_33_an_image_in_front_of_the_last_result() -> None:
    """Where the results come in several user turns the images still stand behind all of
    them.

    Fails at the roles when a user message parts the results.
    """
    body = _claude([_image()], "two")
    blocks = body["messages"].pop()["content"]
    body["messages"] += [{"role": "user", "content": [one]} for one in blocks]
    asked, made = ask(CLAUDE, CHAT, body)
    roles = [one["role"] for one in asked["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user"]
    ids = [m["tool_call_id"] for m in asked["messages"] if m["role"] == "tool"]
    assert ids == ["c1", "c2"]
    assert asked["messages"][4]["content"][1]["image_url"]["url"] == URL
    assert ("messages", "message.order", "approximated") in _told(made.losses)


def test_trap_33_responses_take_images_in_outputs() -> None:
    """An output of Responses is a list of texts and images.

    Fails at the output when the image is told as text, hoisted or dropped.
    """
    asked, _ = ask(CLAUDE, RESPONSES, _claude([_image()], _SEEN))
    outputs = [one["output"] for one in asked["input"] if "output" in one]
    assert outputs == [_SEEN_ITEMS[1:], _SEEN_ITEMS]


def test_trap_33_claude_takes_images_in_results() -> None:
    """A result of Claude holds blocks of images.

    Fails at the blocks when the image is told as text, hoisted or dropped.
    """
    asked, _ = ask(RESPONSES, CLAUDE, _responses(_SEEN_ITEMS[1:], _SEEN_ITEMS))
    blocks = asked["messages"][-1]["content"]
    assert [one["content"] for one in blocks] == [[_image()], _SEEN]


@pytest.mark.parametrize("client", [CLAUDE, RESPONSES])
def test_trap_33_gemini_gets_images_with_or_behind_the_responses(client: str) -> None:
    """Gemini 3 takes images inside of responses; older models get them in a content
    behind all responses, and a response of an image alone says so.

    Fails at the parts when an image stands among the responses of an older model, or is
    written as text, at the output when that is empty, at the losses when silent.
    """
    body = (
        _claude([_image()], _SEEN)
        if client == CLAUDE
        else _responses(_SEEN_ITEMS[1:], _SEEN_ITEMS)
    )
    inline = {"inlineData": {"mimeType": "image/png", "data": DATA}}
    asked, _ = ask(client, GEMINI, body, model=NEW)
    answers = [part["functionResponse"] for part in asked["contents"][2]["parts"]]
    inside = [[part["inlineData"] for part in one["parts"]] for one in answers]
    assert inside == [[inline["inlineData"]]] * 2
    assert answers[1]["response"] == {"output": "At noon:"}
    asked, made = ask(client, GEMINI, body, model=OLD)
    answers = [part["functionResponse"] for part in asked["contents"][2]["parts"]]
    outputs = [one["response"]["output"] for one in answers]
    assert outputs == ["See the attachment below.", "At noon:"]
    assert asked["contents"][3] == {"role": "user", "parts": [inline, inline]}
    told = ("messages[2].parts[0].parts[0]", "tool_result.media", "emulated")
    assert told in _told(made.losses)


# --- 34: what is nested in results ---------------------------------------------------


def _joined(content: list[Object], kind: str) -> str:
    assert {one["type"] for one in content} == {kind}
    return "\n\n".join(one["text"] for one in content)


def _result(server: str, asked: Object) -> str:
    """The one result of a request, as the server would read it: all of its texts."""
    if server == CHAT:
        [content] = [m["content"] for m in asked["messages"] if m["role"] == "tool"]
        return str(content) if isinstance(content, str) else _joined(content, "text")
    if server == RESPONSES:
        [output] = [one["output"] for one in asked["input"] if "output" in one]
        return str(output) if isinstance(output, str) else _joined(output, "input_text")
    if server == CLAUDE:
        [block] = asked["messages"][-1]["content"]
        return _joined(block["content"], "text")
    [part] = asked["contents"][-1]["parts"]
    return str(part["functionResponse"]["response"]["output"])


def _chat(content: Any) -> Object:
    messages: list[Object] = [{"role": "user", "content": "What is there?"}]
    calls = [call("c1", "look", "{}")]
    messages.append({"role": "assistant", "content": None, "tool_calls": calls})
    messages.append({"role": "tool", "tool_call_id": "c1", "content": content})
    return {"model": "m", "messages": messages}


def _gemini(response: Object) -> Object:
    contents = [
        {"role": "user", "parts": [{"text": "What is there?"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]},
    ]
    answer = {"functionResponse": {"name": "look", "response": response}}
    contents.append({"role": "user", "parts": [answer]})
    return {"contents": contents}


_NESTED: dict[str, Object] = {
    CLAUDE: _claude([_text("one"), _text("two")]),
    CHAT: _chat([_text("one"), _text("two")]),
    RESPONSES: _responses([{"type": "input_text", "text": t} for t in ("one", "two")]),
}


@pytest.mark.parametrize(
    ("client", "server"),
    [(a, b) for a in ALL[:3] for b in ALL if a != b],
)
def test_trap_34_the_texts_of_a_result_are_texts(client: str, server: str) -> None:
    """A result of several texts is those texts at every server, in its own form.

    Fails when a list of blocks is put into a block, is told as its JSON, or only the
    first of them is read.
    """
    asked, _ = ask(client, server, _NESTED[client], model=OLD)
    assert _result(server, asked) == "one\n\ntwo"


@pytest.mark.parametrize("server", [CHAT, RESPONSES, GEMINI])
def test_trap_34_search_results_are_not_emptied(server: str) -> None:
    """A `search_result` in a result is its title, address and texts elsewhere.

    Fails at the text when the block, which has no `text` of its own, comes out empty.
    """
    block = {"type": "search_result", "source": "https://t.example", "title": "Tides"}
    body = _claude([{**block, "content": [_text("High at six."), _text("Low at 12.")]}])
    found = _result(server, ask(CLAUDE, server, body, model=OLD)[0])
    for word in ("https://t.example", "Tides", "High at six.", "Low at 12."):
        assert word in found


@pytest.mark.parametrize("server", [CHAT, RESPONSES, CLAUDE])
@pytest.mark.parametrize(
    ("response", "text"),
    [
        ({"output": "High at six."}, "High at six."),
        ({"tides": [6, {"low": None}]}, '{"tides": [6, {"low": null}]}'),
        ({"output": {"tides": [6]}}, '{"tides": [6]}'),
        ({}, "{}"),
    ],
)
def test_trap_34_responses_of_gemini_are_told_whole(
    server: str, response: Object, text: str
) -> None:
    """The object of a `functionResponse` is its output, or its JSON.

    Fails at the text when members other than `output` are lost, or an object there is
    told as Python or Go would print it.
    """
    asked, _ = ask(GEMINI, server, _gemini(response), model="m")
    assert _result(server, asked) == text


@pytest.mark.parametrize("server", [CHAT, RESPONSES, GEMINI])
def test_trap_34_what_cannot_be_told_is_no_silence(server: str) -> None:
    """A block that has no meaning elsewhere is named as a loss; what stands beside it
    is kept.

    Fails at the losses when the block vanishes unsaid, at the text when it takes the
    others with it.
    """
    body = _claude([{"type": "tool_reference", "tool_name": "moon"}, _text("one")])
    asked, made = ask(CLAUDE, server, body, model=OLD)
    assert _result(server, asked) == "one"
    told = ("messages[2].parts[0].parts[0]", "opaque", "dropped")
    assert told in _told(made.losses)


@pytest.mark.parametrize("server", [CHAT, RESPONSES, GEMINI])
def test_trap_34_a_result_of_references_alone_names_them(server: str) -> None:
    """What a search for tools has found is told as its JSON where nothing else is.

    Fails at the text when the result comes out empty.
    """
    block = {"type": "tool_reference", "tool_name": "moon"}
    asked, made = ask(CLAUDE, server, _claude([block]), model=OLD)
    assert json.loads(_result(server, asked)) == block
    told = ("messages[2].parts[0].parts[0]", "opaque", "emulated")
    assert told in _told(made.losses)


@pytest.mark.parametrize("content", [[_text("one"), _text("two")], _SEEN, "one", []])
def test_trap_34_claude_gets_its_own_results_as_they_came(content: Any) -> None:
    """Within a dialect a result keeps its form.

    Fails when a text becomes a block, or blocks are joined.
    """
    body = _claude(content)
    asked, made = ask(CLAUDE, CLAUDE, body)
    assert asked["messages"] == body["messages"]
    assert made.losses == ()
