"""Traps 61 and 62: sequences that no client may see, and bytes cut anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from llmwire import (
    ArgumentsDelta,
    Event,
    Exchange,
    HTTPRequest,
    MessageEnd,
    MessageStart,
    OpaqueEvent,
    PartEnd,
    PartStart,
    Ping,
    ReasoningDelta,
    ReasoningPart,
    Signature,
    SignatureDelta,
    StreamEncoder,
    StreamEnd,
    StreamTranslator,
    TextDelta,
    TextPart,
    ToolCallPart,
    Usage,
    UsageUpdate,
)
from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    chat_stream,
    claude_stream,
    frames,
    gemini_stream,
    objects,
    responses_stream,
    stream,
)
from tests.traps.books import Books
from tests.traps.reading import read_stream

ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)


def _legal(dialect: str, data: bytes) -> Any:
    """What a strict client holds; fails at the first frame that breaks the grammar."""
    events = objects(data)
    if dialect == RESPONSES:
        kinds = [one["type"] for one in events]
        assert kinds[0] == "response.created"
        assert kinds.count("response.created") == 1
        assert kinds[-1] in ("response.completed", "response.incomplete")
    elif dialect == CHAT:
        events = [one for one in events if one["choices"]]
        assert data.endswith(b"data: [DONE]\n\n")
    elif dialect == GEMINI:
        words = [one["candidates"][0].get("finishReason") for one in events]
        assert words[-1] is not None
        assert words[:-1] == [None] * (len(words) - 1)
    return read_stream(dialect, events)


# --- 61: servers that break their grammar --------------------------------------------

_TEXT: Object = {"type": "text", "text": ""}
_HI: Object = {"type": "text_delta", "text": "Hi."}


def _broken_claude() -> dict[str, tuple[bytes, str]]:
    one = objects(claude_stream((_TEXT, _HI)))
    two = objects(claude_stream((_TEXT, {**_HI, "text": "Well."}), (_TEXT, _HI)))
    search: Object = {"type": "server_tool_use", "id": "srvtoolu_7"}
    search |= {"name": "web_search", "input": {}}
    begun = {"type": "content_block_start", "index": 0}
    return {
        "two starts": (frames(one[0], *one), "restarted-message"),
        "content after the last delta": (
            frames(*two[:4], two[-2], *two[4:7], two[-1]),
            "block-after-stop",
        ),
        "an index again": (
            frames(
                one[0],
                {**begun, "content_block": search},
                {"type": "content_block_stop", "index": 0},
                *one[1:],
            ),
            "reused-index",
        ),
        "a delta of no block": (frames(one[0], *one[2:]), "unopened-block"),
        "a block that is not stopped": (frames(*one[:3], *one[4:]), "unclosed-block"),
        "a block inside another": (
            frames(*two[:3], *two[4:6], two[3], *two[6:]),
            "interleaved-block",
        ),
        "events after the end": (frames(*one, one[2]), "after-end"),
    }


def _broken_others() -> dict[str, tuple[str, bytes, str]]:
    chat = objects(chat_stream({"content": "Hi."}))
    responses = _native(CHAT, chat_stream({"content": "Hi."}))
    added = [one["type"] for one in responses].index("response.output_item.added")
    gap = [
        {**one, "output_index": 3} if "output_index" in one else one
        for one in responses
    ]
    gemini = objects(gemini_stream([{"text": "Hi."}]))
    return {
        "chat, two finishes": (
            CHAT,
            frames(*chat, chat[-1], done=True),
            "repeated-finish",
        ),
        "chat, no finish": (
            CHAT,
            frames(chat[0], done=True),
            "terminator-without-finish",
        ),
        "responses, two starts": (
            RESPONSES,
            frames(responses[0], *responses),
            "restarted-message",
        ),
        "responses, no item": (
            RESPONSES,
            frames(*responses[:added], *responses[added + 1 :]),
            "unknown-item",
        ),
        "responses, an item twice": (
            RESPONSES,
            frames(*responses[: added + 1], *responses[added:]),
            "repeated-item",
        ),
        "responses, a gap": (RESPONSES, frames(*gap), "output-index-gap"),
        "gemini, two finishes": (
            GEMINI,
            frames(*gemini, gemini[-1]),
            "repeated-finish",
        ),
    }


def _native(source: str, data: bytes) -> list[Object]:
    return stream(source, RESPONSES, data)[0]


BROKEN = [
    pytest.param(source, data, rule, id=f"{source}, {rule}")
    for source, data, rule in (
        *((CLAUDE, data, rule) for data, rule in _broken_claude().values()),
        *_broken_others().values(),
    )
]


@pytest.mark.parametrize(("source", "data", "rule"), BROKEN)
@pytest.mark.parametrize("target", ALL)
def test_trap_61_violations_are_repaired_and_counted(
    target: str, source: str, data: bytes, rule: str
) -> None:
    """What a server does wrong is counted by its rule and never reaches the client:
    one start, deltas inside live blocks only, every start one stop, one end, nothing
    behind it; and the words arrive.

    Fails at the count when a violation is not noticed, in the strict client when it is
    copied, at the words when the frame is skipped or ends the stream.
    """
    translator = StreamTranslator(source, target, created=7.0, id="seed")
    out = translator.receive_data(data) + translator.receive_eof()
    assert translator.error is None
    assert translator.decoder.violations.get(rule) == 1
    assert "Hi." in str(_legal(target, out)).replace("'Hi', '.'", "'Hi.'")


# --- 61: encoders that are fed anything ----------------------------------------------

_SIGNED = Signature(origin=CLAUDE, value="c2ln")
SENTENCE: tuple[Event, ...] = (
    MessageStart("id-7", "m", 5.0),
    PartStart(0, ReasoningPart(text="")),
    ReasoningDelta(0, "Hm."),
    SignatureDelta(0, _SIGNED),
    PartEnd(0),
    PartStart(1, TextPart("")),
    TextDelta(1, "Hi."),
    PartEnd(1),
    PartStart(2, ToolCallPart(call_id="call_1", name="dig")),
    PartStart(3, ToolCallPart(call_id="call_2", name="fill")),
    ArgumentsDelta(2, '{"a"'),
    ArgumentsDelta(3, '{"b": 2}'),
    ArgumentsDelta(2, ": 1}"),
    PartEnd(3),
    PartEnd(2),
    UsageUpdate(Usage(fresh=3, output=4)),
    MessageEnd("tool_use"),
)


def _encoded(target: str, events: Iterable[Event]) -> bytes:
    encoder = StreamEncoder(target, created=7.0, id="seed")
    return b"".join([encoder.send(event) for event in events])


@pytest.mark.parametrize("target", ALL)
def test_trap_61_calls_that_interleave_are_put_in_a_row(target: str) -> None:
    """The sentence above is legal; every dialect says all of it.

    Fails in the strict client when a delta is written to a block that has stopped.
    """
    held = str(_legal(target, _encoded(target, (*SENTENCE, StreamEnd()))))
    assert "Hi." in held
    assert held.count("dig") == held.count("fill") == 1


ILLEGAL: list[tuple[Event, ...]] = [
    (*SENTENCE[:1], *SENTENCE),
    (*SENTENCE, *SENTENCE),
    SENTENCE[1:],
    (*SENTENCE[:5], ReasoningDelta(0, "late"), *SENTENCE[5:]),
    (*SENTENCE[:6], TextDelta(9, "of nothing"), PartEnd(9), *SENTENCE[6:]),
    (*SENTENCE[:6], PartStart(1, TextPart("")), *SENTENCE[6:]),
    (*SENTENCE[:8], PartEnd(1), *SENTENCE[8:]),
    (*SENTENCE, TextDelta(1, "late"), PartStart(7, TextPart("")), TextDelta(7, "x")),
    (*SENTENCE, MessageEnd("end"), MessageEnd("max_tokens")),
    SENTENCE[:-1],
    SENTENCE[:7],
    (*SENTENCE[:6], ArgumentsDelta(1, "{}"), *SENTENCE[6:]),
    (*SENTENCE[:1], StreamEnd(), *SENTENCE[1:]),
    (Ping(), UsageUpdate(Usage(output=1)), MessageEnd("end")),
]


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("events", ILLEGAL)
def test_trap_61_no_order_of_events_gives_an_illegal_stream(
    events: tuple[Event, ...], target: str
) -> None:
    """Whatever a filter or a decoder gives, the encoder leaves out what would be
    illegal: repeated starts, deltas of no live part, anything after the end.

    Fails in the strict client at the frame that is out of place.
    """
    _legal(target, _encoded(target, (*events, StreamEnd(), TextDelta(1, "after"))))


@pytest.mark.parametrize("target", ALL)
@settings(max_examples=60)
@given(events=st.permutations([*SENTENCE[:10], *SENTENCE[11:12], *SENTENCE[13:]]))
def test_trap_61_no_shuffle_gives_an_illegal_stream(
    events: list[Event], target: str
) -> None:
    """The same for any order.

    Fails in the strict client at the frame that is out of place.
    """
    _legal(target, _encoded(target, (*events, StreamEnd())))


def test_trap_61_a_late_signature_waits_for_its_turn() -> None:
    """A signature that comes while another item is open is told behind that item: one
    item follows another.

    Fails in `Books`, or at the order of stops, when its item is written inside the one
    that is open.
    """
    late = (*SENTENCE[:3], *SENTENCE[4:6], SENTENCE[3], *SENTENCE[6:], StreamEnd())
    data = _encoded(RESPONSES, late)
    _legal(RESPONSES, data)
    books = Books()
    for event in objects(data):
        books.take(event)
    kinds = [item["type"] for item in books.done.values()]
    assert kinds[:3] == ["reasoning", "message", "reasoning"]
    assert books.done[2]["encrypted_content"]
    assert "Hi." in str(_legal(CLAUDE, _encoded(CLAUDE, late)))


def test_trap_61_a_call_that_was_cut_is_not_to_be_run() -> None:
    """A stream that ends inside a call's arguments says so: nobody takes it for a
    complete call.

    Fails at the stop word when an open block is closed as if it were whole.
    """
    cut = (*SENTENCE[:11], MessageEnd("tool_use"), StreamEnd())
    delta = objects(_encoded(CLAUDE, cut))[-2]["delta"]
    assert delta["stop_reason"] == "max_tokens"
    [candidate] = objects(_encoded(GEMINI, cut))[-1]["candidates"]
    assert candidate["finishReason"] == "MAX_TOKENS"
    items = objects(_encoded(RESPONSES, cut))[-1]["response"]["output"]
    calls = [one for one in items if one["type"] == "function_call"]
    assert calls[0]["status"] == "incomplete"


@pytest.mark.parametrize("target", ALL)
def test_trap_61_what_cannot_be_written_does_not_take_the_rest(target: str) -> None:
    """Text that is no Unicode (half a surrogate pair) is written with a stand-in, and
    strange events are left out; what follows arrives.

    Fails with an exception, or without the words, when such an event is skipped
    together with what follows it.
    """
    strange = OpaqueEvent("a dialect", "x", Raw(b'{"x":\n1}'))
    events = (
        *SENTENCE[:6],
        TextDelta(1, "a\ud83d"),
        strange,
        TextDelta(1, "b"),
        *SENTENCE[6:],
    )
    held = str(_legal(target, _encoded(target, (*events, StreamEnd()))))
    assert "Hi." in held
    assert "a�" in held


# --- 62: bytes cut anywhere ----------------------------------------------------------

_WORDS = "Grüße, 世界 😀\u2028 «ok»\n\nEnde"


def _wide(source: str) -> bytes:
    """A stream full of characters of several bytes, and of blank lines in strings."""
    arguments = json.dumps({"ort": "Köln 😀"}, ensure_ascii=False)
    if source == CHAT:
        function = {"name": "dig", "arguments": arguments}
        call = {"index": 0, "id": "call_7", "type": "function", "function": function}
        return chat_stream(
            {"content": _WORDS}, {"tool_calls": [call]}, finish="tool_calls"
        )
    if source == CLAUDE:
        tool = {"type": "tool_use", "id": "toolu_7", "name": "dig", "input": {}}
        return claude_stream(
            (_TEXT, {"type": "text_delta", "text": _WORDS}),
            (tool, {"type": "input_json_delta", "partial_json": arguments}),
            stop="tool_use",
        )
    if source == GEMINI:
        called = {"functionCall": {"name": "dig", "args": json.loads(arguments)}}
        return gemini_stream([{"text": _WORDS}], [called])
    part = {"type": "output_text", "text": _WORDS, "annotations": []}
    item: Object = {"id": "msg_7", "type": "message", "role": "assistant"}
    item |= {"status": "completed", "content": [part]}
    call = {"id": "fc_7", "type": "function_call", "call_id": "call_7", "name": "dig"}
    call |= {"arguments": arguments, "status": "completed"}
    return responses_stream(
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 1, "item": call},
        output=[item, call],
    )


def _fed(source: str, target: str, chunks: Iterable[bytes]) -> bytes:
    translator = StreamTranslator(source, target, created=7.0, id="seed")
    out = [translator.receive_data(chunk) for chunk in chunks]
    assert translator.error is None
    return b"".join(out) + translator.receive_eof()


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("source", ALL)
def test_trap_62_any_cut_gives_the_same(source: str, newline: bytes) -> None:
    """A stream that is cut in two at any byte, or into single bytes, gives the same
    bytes as in one piece, whichever line ends it has.

    Fails at the equality when a chunk is decoded for itself (U+FFFD), a frame is
    looked for in one chunk only, or CRLF is cut between its halves.
    """
    data = _wide(source).replace(b"\n", newline)
    expected = _fed(source, CLAUDE, [data])
    assert "\ufffd".encode() not in expected
    for at in range(len(data)):
        assert _fed(source, CLAUDE, [data[:at], data[at:]]) == expected
    singles = [data[at : at + 1] for at in range(len(data))]
    assert _fed(source, CLAUDE, [b"", *singles, b""]) == expected


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", ALL)
def test_trap_62_wide_characters_arrive(source: str, target: str) -> None:
    """Words and arguments come through byte by byte as they were.

    Fails at the words when one character is replaced or one delta dropped.
    """
    data = _wide(source)
    out = _fed(source, target, [data[at : at + 1] for at in range(len(data))])
    held = _legal(target, out)
    assert "\ufffd" not in str(held)
    assert json.dumps(_WORDS)[1:-1] in json.dumps(held)
    assert "Köln 😀" in str(held)


@pytest.mark.parametrize("source", ALL)
def test_trap_62_pass_through_is_byte_equal_at_any_cut(source: str) -> None:
    """A stream that is passed on is passed on whole, however it comes.

    Fails when pass-through frames by chunks.
    """
    paths = {
        CHAT: "/v1/chat/completions",
        RESPONSES: "/v1/responses",
        CLAUDE: "/v1/messages",
        GEMINI: "/v1beta/models/m:streamGenerateContent?alt=sse",
    }
    asked: Object = {"model": "m", "stream": True, "max_tokens": 9}
    asked["messages"] = [{"role": "user", "content": "Hi"}]
    if source == RESPONSES:
        asked = {"model": "m", "stream": True, "input": "Hi"}
    elif source == GEMINI:
        asked = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    http = HTTPRequest(
        method="POST", path=paths[source], body=json.dumps(asked).encode()
    )
    data = _wide(source)
    for size in (1, 7, len(data)):
        exchange = Exchange(source, created=7.0, id="seed")
        exchange.receive_request(http)
        attempt = exchange.attempt(source)
        attempt.receive_head(200, (("content-type", "text/event-stream"),))
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        out = b"".join(attempt.receive_data(chunk) for chunk in chunks)
        assert out + attempt.receive_eof() == data
        assert attempt.error is None


@pytest.mark.parametrize("target", ALL)
def test_trap_62_whole_bodies_may_come_in_pieces(target: str) -> None:
    """A body that is cut inside a character is one body.

    Fails when pieces are decoded for themselves.
    """
    message = {"role": "assistant", "content": _WORDS}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body: Object = {"id": "c", "created": 5, "model": "m", "choices": [choice]}
    data = json.dumps(body, ensure_ascii=False).encode()
    asked: Object = {"model": "m", "max_tokens": 9}
    asked["messages"] = [{"role": "user", "content": "Hi"}]
    exchange = Exchange(CLAUDE, created=7.0, id="seed")
    exchange.receive_request(
        HTTPRequest(method="POST", path="/v1/messages", body=json.dumps(asked).encode())
    )
    attempt = exchange.attempt(CHAT, model="m")
    attempt.receive_head(200, (("content-type", "application/json"),))
    out = b"".join(attempt.receive_data(data[at : at + 1]) for at in range(len(data)))
    answer = json.loads(out + attempt.receive_eof())
    assert answer["content"] == [{"type": "text", "text": _WORDS}]
