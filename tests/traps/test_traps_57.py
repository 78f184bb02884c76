"""Trap 57: commentary and final answer are two texts."""

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
    claude_stream,
    frames,
    objects,
    responses_stream,
    stream,
    whole,
)
from tests.traps.reading import both, streamed


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


def test_trap_57_citations_keep_their_place_in_the_joined_text() -> None:
    """What is cited in the second text is cited behind the first one and the blank
    line between them, streamed and whole.

    Fails at the offsets when they are counted from the text's own beginning, or
    without the blank line.
    """
    parts, body = _phases()
    page = {"type": "url_citation", "url": "https://a.example/", "title": "A"}
    cited = {**page, "start_index": 6, "end_index": 7}
    body["output"][1]["content"][0]["annotations"] = [cited]
    events = objects(parts)
    events[-1]["response"] = body
    events[-2]["item"] = body["output"][1]
    given, _ = whole(RESPONSES, CHAT, body)
    [found] = given["choices"][0]["message"]["annotations"]
    chunks, _ = stream(RESPONSES, CHAT, frames(*events))
    deltas = [choice["delta"] for one in chunks for choice in one["choices"]]
    [told] = [one["annotations"] for one in deltas if "annotations" in one]
    place = found["url_citation"]
    assert told == [{**found, "index": 0}]
    text = given["choices"][0]["message"]["content"]
    assert text[place["start_index"] : place["end_index"]] == "5"
