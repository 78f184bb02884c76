"""Traps 7 to 11: thinking in the wrong block, unknown, empty, or said twice."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from llmwire import StreamDecoder, StreamTranslator, fold
from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    ask,
    chat_stream,
    frames,
    stream,
    whole,
)
from tests.traps.bodies import Pair, chat, claude, gemini, message, responses
from tests.traps.reading import both, sealed, streamed

ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)


# --- 7: a delta belongs to the kind of its block -------------------------------------


def test_trap_07_thinking_delta_inside_a_text_block() -> None:
    """Text and thinking that take turns are blocks of their own, each with a number of
    its own; the strict reader knows which deltas a block takes.

    Fails in the reader when a thought grows a text block, or a number is used twice; at
    the kinds when pieces of one kind are joined over the other.
    """
    turns = chat_stream(
        {"content": "One."},
        {"reasoning_content": "Hm."},
        {"content": "Two."},
        {"reasoning_content": "So."},
        {"content": "Three."},
    )
    held = streamed(CHAT, CLAUDE, turns)
    said = [(one["type"], one.get("thinking") or one["text"]) for one in held]
    assert said == [
        ("text", "One."),
        ("thinking", "Hm."),
        ("text", "Two."),
        ("thinking", "So."),
        ("text", "Three."),
    ]


@pytest.mark.parametrize("client", ALL)
def test_trap_07_a_server_that_mixes_them_up_is_set_right(client: str) -> None:
    """A server that grows a text block by thinking is read as what it meant: the
    breach is counted, no client sees it, and nothing is lost.

    Fails in the strict reader when the delta is passed on under the same number; at
    the words when it is dropped or taken for text.
    """
    start: Object = {"id": "msg_src", "type": "message", "role": "assistant"}
    start |= {"model": "m", "content": [], "usage": {"input_tokens": 3}}
    place = {"type": "content_block_delta", "index": 0}
    block = {"type": "text", "text": ""}
    given = frames(
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {**place, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {**place, "delta": {"type": "signature_delta", "signature": "U0lH"}},
        {**place, "delta": {"type": "text_delta", "text": "Six."}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 4},
        },
        {"type": "message_stop"},
    )
    held = streamed(CLAUDE, client, given)
    words = str(held)
    assert words.count("Hm.") == words.count("Six.") == 1
    assert words.index("Six.") != words.index("Hm.")
    decoder = StreamDecoder(CLAUDE)
    decoder.receive_data(given)
    assert decoder.violations == {"mismatched-delta": 2}
    if client == CLAUDE:
        assert [one["type"] for one in held if one != block] == ["thinking", "text"]
    elif client == CHAT:
        assert (held["reasoning_content"], held["content"]) == ("Hm.", "Six.")


# --- 8: redacted thinking ------------------------------------------------------------

REDACTED: Object = {"type": "redacted_thinking", "data": "RUhSQQ+/=="}


@pytest.mark.parametrize("client", ALL)
def test_trap_08_redacted_thinking_comes_and_goes_back(client: str) -> None:
    """The data of a redacted thought, which a stream gives whole at the block's start,
    reaches every client and is, sent back, the same block in the same place.

    Fails in `both` when the stream or the whole answer loses it, at the envelope when
    it is not verbatim, at the request when it comes back as another kind of block.
    """
    text: Object = {"type": "text", "text": "Six."}
    held = both(CLAUDE, client, *claude(REDACTED, text))
    turns: list[Object] = [{"role": "user", "content": "When?"}]
    request: Object = {"model": "claude-opus-4-5", "messages": turns}
    if client == CHAT:
        [entry] = held["reasoning_details"]
        assert (entry["type"], entry["index"]) == ("reasoning.encrypted", 0)
        envelope = entry["data"]
        details = held["reasoning_details"]
        turns.append({"role": "assistant", "content": "Six."})
        turns[1]["reasoning_details"] = details
    elif client == RESPONSES:
        assert (held[0]["type"], held[0]["summary"]) == ("reasoning", [])
        envelope = held[0]["encrypted_content"]
        turns += held
        request = {"model": "claude-opus-4-5", "input": turns}
    elif client == CLAUDE:
        assert held == [REDACTED, text]
        turns.append({"role": "assistant", "content": held})
        request["max_tokens"] = 99
        envelope = ""
    else:
        assert held[0]["text"] == ""
        envelope = base64.b64decode(held[0]["thoughtSignature"]).decode()
        contents = [{"role": "user", "parts": [{"text": "When?"}]}]
        contents.append({"role": "model", "parts": held})
        request = {"contents": contents}
    if envelope:
        found = sealed(envelope)
        assert (found["origin"], found["b"]) == (CLAUDE, REDACTED["data"])
    again = {"role": "user", "content": "And then?"}
    last = {"role": "user", "parts": [{"text": "And then?"}]}
    next(v for v in request.values() if isinstance(v, list)).append(
        last if client == GEMINI else again
    )
    asked, _ = ask(client, CLAUDE, request, model="claude-opus-4-5")
    assert asked["messages"][1]["content"] == [REDACTED, text]


# --- 9: an unknown kind of thought ---------------------------------------------------

_NOVEL: dict[str, Pair] = {
    CLAUDE: claude(
        {"type": "thinking_v9", "blob": "b64", "parts": [1, 2.0]},
        {"type": "text", "text": "Six."},
    ),
    CHAT: chat(
        reasoning_details=[{"type": "reasoning.v9", "blob": "b64", "index": 0}],
        content="Six.",
    ),
    GEMINI: gemini({"redactedContent": {"blob": "b64"}}, {"text": "Six."}),
    RESPONSES: responses(
        {"type": "reasoning_v9", "id": "rv_1", "blob": "b64", "status": "completed"},
        message("Six."),
    ),
}


@pytest.mark.parametrize("dialect", ALL)
def test_trap_09_an_unknown_thought_goes_through_its_own_dialect(dialect: str) -> None:
    """A kind of reasoning that nobody has heard of reaches a client of its own dialect
    as it came, streamed and whole; the text behind it too.

    Fails at the comparison when the union of kinds is closed: the answer fails, or the
    strange part is missing or has lost members.
    """
    held = both(dialect, dialect, *_NOVEL[dialect])
    if dialect == CHAT:
        assert held["reasoning_details"] == [
            {"type": "reasoning.v9", "blob": "b64", "index": 0}
        ]
        assert held["content"] == "Six."
        return
    body = _NOVEL[dialect][1]
    given = body.get("content") or body.get("output")
    assert held == (given or body["candidates"][0]["content"]["parts"])


@pytest.mark.parametrize(
    ("dialect", "client"), [(a, b) for a in ALL for b in ALL if a != b]
)
def test_trap_09_an_unknown_thought_does_not_fail_the_turn(
    dialect: str, client: str
) -> None:
    """Elsewhere it is one loss, by its place, and the rest of the answer arrives.

    Fails at the text when the strange part fails the answer, at the losses when it
    vanishes in silence.
    """
    parts, body = _NOVEL[dialect]
    held = both(dialect, client, parts, body)
    assert "Six." in str(held)
    assert "b64" not in str(held)
    _, translator = stream(dialect, client, parts)
    _, reply = whole(dialect, client, body)
    assert translator.error is None
    for losses in (translator.losses, reply.losses):
        told = {(one.path, one.feature, one.action) for one in losses}
        assert ("choices[0].parts[0]", "opaque", "dropped") in told


def test_trap_09_an_unknown_thought_in_a_history_goes_back() -> None:
    """The same in requests: kept for its own dialect, named where it cannot go.

    Fails at the body when it is changed or rejected, at the losses when it is dropped
    in silence.
    """
    strange = {"type": "thinking_v9", "blob": "b64"}
    turns: list[Object] = [
        {"role": "user", "content": "When?"},
        {
            "role": "assistant",
            "content": [strange, {"type": "text", "text": "Six."}],
        },
        {"role": "user", "content": "And then?"},
    ]
    request: Object = {"model": "m", "max_tokens": 99, "messages": turns}
    asked, call = ask(CLAUDE, CLAUDE, request)
    assert (asked["messages"], call.losses) == (turns, ())
    for server in (CHAT, RESPONSES, GEMINI):
        _, call = ask(CLAUDE, server, request)
        assert b"Six." in call.http.body
        assert b"b64" not in call.http.body
        assert "messages[1].parts[0]" in {one.path for one in call.losses}


# --- 10: empty means no text and no signature ----------------------------------------


@pytest.mark.parametrize("client", ALL)
def test_trap_10_an_empty_thought_with_a_signature_is_kept(client: str) -> None:
    """Thinking that is not shown (`display: "omitted"`) has a signature and no words;
    it reaches every client and comes back as the same block.

    Fails in `both` or at the block when an empty thought is dropped for its want of
    text, in the stream (where no `thinking_delta` comes), whole, or in a request.
    """
    thought: Object = {"type": "thinking", "thinking": "", "signature": "T01JVA=="}
    use: Object = {"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {}}
    held = both(CLAUDE, client, *claude(thought, use, stop="tool_use"))
    if client == CLAUDE:
        assert held == [thought, use]
        return
    if client == CHAT:
        [entry] = held["reasoning_details"]
        envelope = entry["signature"]
    elif client == RESPONSES:
        envelope = held[0]["encrypted_content"]
    else:
        envelope = base64.b64decode(held[0]["thoughtSignature"]).decode()
    assert sealed(envelope) == {"origin": CLAUDE, "b": "T01JVA=="}


def test_trap_10_an_empty_thought_is_kept_in_a_history() -> None:
    """A Chat client gives back such a thought as an entry without text, and a Claude
    client as an empty block: Claude gets the block with its signature.

    Fails at the turn when either is dropped as empty.
    """
    thought: Object = {"type": "thinking", "thinking": "", "signature": "T01JVA=="}
    text: Object = {"type": "text", "text": "Six."}
    held = both(CLAUDE, CHAT, *claude(thought, text))
    said: Object = {"role": "assistant", "content": "Six."}
    said["reasoning_details"] = held["reasoning_details"]
    turns = [{"role": "user", "content": "When?"}, said]
    turns.append({"role": "user", "content": "And then?"})
    asked, _ = ask(CHAT, CLAUDE, {"model": "claude-opus-4-5", "messages": turns})
    assert asked["messages"][1]["content"] == [thought, text]
    turns[1] = {"role": "assistant", "content": [thought, text]}
    request: Object = {"model": "m", "max_tokens": 99, "messages": turns}
    assert ask(CLAUDE, CLAUDE, request)[0] == request


# --- 11: thinking said twice ---------------------------------------------------------


def _entry(**members: Any) -> Object:
    entry = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    return {**entry, **members}


def _said(**members: Any) -> Object:
    return {"reasoning_details": [_entry(**members)]}


@pytest.mark.parametrize(
    "deltas",
    [
        [_said(text="Tides "), _said(text="come."), _said(text="Tides come.", **{})],
        [{"reasoning": "Tides "}, {"reasoning": "come."}, _said(text="Tides come.")],
        [_said(text="Tides "), _said(text="Tides come.")],
        [{"reasoning_content": "Tides "}, _said(text="Tides come.")],
    ],
    ids=["entries", "plain", "entries-longer", "plain-longer"],
)
def test_trap_11_a_thought_said_again_beside_its_signature(
    deltas: list[Object],
) -> None:
    """A last entry that says the whole thought again, with its signature, adds only
    what was not said yet; one block, signed.

    Fails at the thought when the text of the signed entry is appended, at the list of
    blocks when it becomes a thought of its own (and leaves the first unsigned).
    """
    *said, last = deltas
    signed = [{**one, "signature": "U0lH"} for one in last["reasoning_details"]]
    given = [*said, {"reasoning_details": signed}, {"content": "Six."}]
    decoder = StreamDecoder(CHAT)
    decoder.receive_data(chat_stream(*given))
    assert decoder.violations == {"repeated-thinking": 1}
    held = streamed(CHAT, CLAUDE, chat_stream(*given))
    assert [one["type"] for one in held] == ["thinking", "text"]
    assert held[0]["thinking"] == "Tides come."
    assert sealed(held[0]["signature"]) == {"origin": CHAT, "b": "U0lH"}


@pytest.mark.parametrize("client", [RESPONSES, CLAUDE, GEMINI])
def test_trap_11_the_same_words_in_every_field_are_one_thought(client: str) -> None:
    """Servers say one thought in `reasoning`, `reasoning_content` and
    `reasoning_details` at once; it is read once, streamed and whole.

    Fails in the count when a second field is read as well.
    """
    fields = {"reasoning": "Tides.", "reasoning_content": "Tides."}
    entry = _entry(text="Tides.", signature="U0lH")
    given = chat_stream(
        {**fields, "reasoning_details": [entry]},
        {"content": "Six."},
    )
    body = chat(**fields, reasoning_details=[entry], content="Six.")[1]
    held = both(CHAT, client, given, body)
    assert str(held).count("Tides.") == 1


@pytest.mark.parametrize("client", [CHAT, CLAUDE, GEMINI])
def test_trap_11_closing_events_say_nothing_new(client: str) -> None:
    """Responses repeats a summary in `…text.done`, `…part.done`, the item and the
    final snapshot; clients get it once.

    Fails in the count (and in `both`) when one of the four is taken as growth; where
    the blank line between two segments is left out of the stream.
    """
    texts = ["Tides come.", "Moon."]
    summary = [{"type": "summary_text", "text": text} for text in texts]
    item = {"type": "reasoning", "id": "rs_1", "summary": summary}
    pair = responses({**item, "encrypted_content": "RU5D"}, message("Six."))
    held = both(RESPONSES, client, *pair)
    said = {CHAT: "reasoning_content", CLAUDE: "thinking", GEMINI: "text"}[client]
    thought = held if client == CHAT else held[0]
    assert thought[said] == "Tides come.\n\nMoon."
    assert str(held).count("Tides come.") == str(held).count("Moon.") == 1


def test_trap_11_our_own_chat_stream_is_read_as_it_was_meant() -> None:
    """Two proxies in a row: a Chat stream that carries Claude's signed thoughts says
    the second one's text in two fields. The one behind holds two thoughts, signed, as
    it does after the whole answer.

    Fails at the parts when entries of ours open thoughts of their own: the words stand
    twice and the signatures stand alone.
    """
    thoughts = [
        {"type": "thinking", "thinking": "Tides.", "signature": "T05F"},
        {"type": "thinking", "thinking": "Moon.", "signature": "VFdP"},
    ]
    parts, body = claude(*thoughts, {"type": "text", "text": "Six."})
    first = StreamTranslator(CLAUDE, CHAT, created=7.0, id="seed")
    chunks = first.receive_data(parts) + first.receive_eof()
    decoder = StreamDecoder(CHAT)
    found = fold(decoder.receive_data(chunks) + decoder.receive_eof())
    signed = [part.signature for part in found.choices[0].parts[:2]]
    assert [one and (one.origin, one.value) for one in signed] == [
        (CLAUDE, "T05F"),
        (CLAUDE, "VFdP"),
    ]
    assert len(found.choices[0].parts) == 3
    answer, _ = whole(CLAUDE, CHAT, body)
    assert str(both(CHAT, RESPONSES, chunks, answer)).count("Moon.") == 1
