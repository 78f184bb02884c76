"""The strategies give what they promise."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from itertools import pairwise

import msgspec
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from llmwire import strategies
from llmwire._fold import fold, unfold
from llmwire._json import decode_any, is_json_object
from llmwire._parts import whole_arguments
from llmwire.errors import LocalProtocolError, UnknownDialect
from llmwire.events import (
    EVENT_TYPES,
    ArgumentsDelta,
    Event,
    Extra,
    MessageStart,
    OpaqueEvent,
    PartEnd,
    PartStart,
    StreamError,
)
from llmwire.grammar import check
from llmwire.messages import (
    Message,
    OpaquePart,
    Part,
    Response,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from llmwire.requests import Request
from llmwire.sse import FrameDecoder
from llmwire.strategies import (
    argument_texts,
    chunks,
    errors,
    extras,
    hostile_bytes,
    json_values,
    messages,
    parts,
    raw_json,
    requests,
    responses,
    schemas,
    sentences,
    texts,
    ungrammatical_sentences,
    usages,
)
from llmwire.strategies._broken import BREAKERS, Breaker, broken_by
from llmwire.strategies._native import DIALECTS
from llmwire.strategies._parts import KINDS
from llmwire.strategies._streams import WRITERS, plans

ANY_DIALECT = (None, *DIALECTS)
QUICK = settings(
    max_examples=1000, derandomize=True, database=None, phases=(Phase.generate,)
)


def test_public_names_are_functions() -> None:
    for name in strategies.__all__:
        assert inspect.isfunction(getattr(strategies, name))
    assert list(strategies.__all__) == sorted(strategies.__all__)


def test_equal_arguments_give_the_same_strategy() -> None:
    assert requests("gemini") is requests("gemini")
    assert texts() is texts()
    assert parts((TextPart,)) is parts((TextPart,))


# Values


@given(texts())
def test_texts_have_no_lone_surrogates(text: str) -> None:
    assert text.encode().decode() == text


@given(texts(blank=False))
def test_texts_that_are_not_blank(text: str) -> None:
    assert text.strip()


@pytest.mark.parametrize("piece", ["🙂", "\N{LINE SEPARATOR}", "\r", "<think>", "\x00"])
def test_texts_hold_what_goes_wrong(piece: str) -> None:
    assert piece in find(texts(), lambda text: piece in text, settings=QUICK)


@given(json_values())
def test_json_values_can_be_written(value: object) -> None:
    assert json.loads(msgspec.json.encode(value)) == value


@given(raw_json())
def test_raw_json_is_json(raw: Raw) -> None:
    text = bytes(raw)
    assert text == text.strip()
    decode_any(text)


def test_raw_json_may_hold_line_ends() -> None:
    find(raw_json(), lambda raw: b"\n" in bytes(raw), settings=QUICK)
    find(raw_json(), lambda raw: b"\r\n" in bytes(raw), settings=QUICK)


@given(argument_texts(objects=True))
def test_arguments_that_are_objects(text: str) -> None:
    assert is_json_object(text)


@pytest.mark.parametrize(
    ("whole", "empty", "an_object"),
    [(False, False, False), (True, True, False), (True, False, True)],
)
def test_arguments_of_every_sort(whole: bool, empty: bool, an_object: bool) -> None:
    def matches(text: str) -> bool:
        found = (whole_arguments(text), not text, is_json_object(text))
        return found == (whole, empty, an_object)

    find(argument_texts(), matches, settings=QUICK)


@given(schemas())
def test_schemas_are_of_objects(raw: Raw) -> None:
    schema = json.loads(bytes(raw))
    assert schema["type"] == "object"
    assert set(schema.get("required", ())) <= set(schema["properties"])
    if {"$ref": "#/$defs/node"} in schema["properties"].values():
        assert "node" in schema["$defs"]


@given(extras())
def test_extras(members: dict[str, Raw]) -> None:
    assert members
    for name, value in members.items():
        assert name.startswith("x_")
        assert "/" not in name
        decode_any(bytes(value))


def test_extras_may_be_null() -> None:
    find(extras(), lambda found: Raw(b"null") in found.values(), settings=QUICK)


# Parts and turns


@pytest.mark.parametrize("dialect", ANY_DIALECT)
@given(st.data())
def test_parts_are_of_the_kinds_asked_for(
    dialect: str | None, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    strategy = parts((kind,), dialect=dialect)
    hosted = (ServerToolCallPart, ServerToolResultPart, OpaquePart)
    if strategy.is_empty:
        assert kind in hosted
        return
    part = data.draw(strategy)
    assert type(part) is kind
    if dialect is None:
        assert kind not in hosted
        assert part.extras is None


@pytest.mark.parametrize("dialect", ANY_DIALECT)
@given(st.data())
def test_messages_hold_no_calls(dialect: str | None, data: st.DataObject) -> None:
    message = data.draw(messages(dialect))
    kinds = {type(part) for part in message.parts}
    assert not kinds & {ToolCallPart, ToolResultPart}
    if message.role in ("system", "developer"):
        assert kinds <= {TextPart}
    assert data.draw(messages(dialect, roles=("user",))).role == "user"


def _mentioned(request: Request) -> set[str]:
    return {
        part.name
        for message in request.messages
        for part in message.parts
        if isinstance(part, ToolCallPart)
    }


def _check_conversation(turns: tuple[Message, ...]) -> None:
    """Every call has one result, before the assistant speaks again; no id twice."""
    waiting: set[str] = set()
    seen: set[str] = set()
    for turn in turns:
        if turn.role == "assistant":
            assert not waiting
        for part in turn.parts:
            if isinstance(part, ToolCallPart):
                assert turn.role == "assistant"
                assert part.call_id not in seen
                assert whole_arguments(part.arguments) or part.kind == "custom"
                waiting.add(part.call_id)
                seen.add(part.call_id)
            elif isinstance(part, ToolResultPart):
                assert turn.role == "user"
                waiting.remove(part.call_id)
    assert not waiting


@pytest.mark.parametrize("dialect", ANY_DIALECT)
@given(st.data())
def test_requests_hold_grammatical_conversations(
    dialect: str | None, data: st.DataObject
) -> None:
    request = data.draw(requests(dialect))
    assert request.dialect == dialect
    assert request.messages
    names = [tool.name for tool in request.tools]
    assert len(names) == len(set(names))
    assert _mentioned(request) <= set(names)
    if request.tool_choice:
        assert set(request.tool_choice.names) <= set(names)
    if dialect is None:
        assert request.extras is None
        assert request.state is None
    _check_conversation(request.messages)
    msgspec.json.encode(request)


@pytest.mark.parametrize("dialect", ANY_DIALECT)
@given(st.data())
def test_simple_requests(dialect: str | None, data: st.DataObject) -> None:
    request = data.draw(requests(dialect, simple=True))
    turns = [turn for turn in request.messages if turn.role != "system"]
    roles = [turn.role for turn in turns]
    assert roles[0] == roles[-1] == "user"
    assert all(a != b for a, b in pairwise(roles))
    assert request.messages[: len(request.messages) - len(turns)] == tuple(
        turn for turn in request.messages if turn.role == "system"
    )
    for turn in request.messages:
        assert turn.parts
        assert turn.extras is None
        for part in turn.parts:
            assert isinstance(part, (TextPart, ToolCallPart, ToolResultPart))
            if isinstance(part, TextPart):
                assert part == TextPart(text=part.text)
                assert part.text.strip()
            if isinstance(part, ToolCallPart):
                assert is_json_object(part.arguments)
    assert {tool.kind for tool in request.tools} <= {"function"}
    _check_conversation(request.messages)
    plain = Request(
        model=request.model,
        messages=request.messages,
        tools=request.tools,
        tool_choice=request.tool_choice,
        max_tokens=request.max_tokens,
        sampling=request.sampling,
        stop=request.stop,
        stream=request.stream,
        dialect=dialect,
    )
    assert request == plain


# Answers


@pytest.mark.parametrize("dialect", ANY_DIALECT)
@given(st.data())
def test_usages(dialect: str | None, data: st.DataObject) -> None:
    usage = data.draw(usages(dialect))
    whole = usage.output or 0
    for share in (usage.reasoning, usage.audio_out, usage.accepted, usage.rejected):
        assert share is None or 0 <= share <= whole
    assert usage.input >= 0
    assert dialect is not None or usage.extras is None


def test_usages_may_say_nothing() -> None:
    assert find(usages(), lambda usage: usage == Usage(), settings=QUICK)


@pytest.mark.parametrize("dialect", ANY_DIALECT)
@given(st.data())
def test_errors(dialect: str | None, data: st.DataObject) -> None:
    error = data.draw(errors(dialect))
    assert error.message.strip()
    assert error.status is None or 400 <= error.status < 600
    assert (error.raw is None) == (error.dialect is None)
    assert error.dialect in (None, dialect)


def _check_response(response: Response, dialect: str | None) -> None:
    assert response.dialect == dialect
    indices = [choice.index for choice in response.choices]
    assert indices == sorted(set(indices))
    assert indices
    calls = Counter(
        part.call_id
        for choice in response.choices
        for part in choice.parts
        if isinstance(part, ToolCallPart)
    )
    assert not calls or max(calls.values()) == 1
    for choice in response.choices:
        asked = [part for part in choice.parts if isinstance(part, ToolCallPart)]
        for call in asked:
            if call.kind == "function":
                assert call.incomplete is not whole_arguments(call.arguments)
        assert choice.stop != "tool_use" or asked
        assert dialect is not None or choice.raw is None
        for part in choice.parts:
            native = (ServerToolCallPart, ServerToolResultPart, OpaquePart)
            assert dialect is not None or not isinstance(part, native)
            assert not isinstance(part, ToolResultPart)


@pytest.mark.parametrize("dialect", ANY_DIALECT)
@given(st.data())
def test_responses(dialect: str | None, data: st.DataObject) -> None:
    one = data.draw(responses(dialect))
    assert len(one.choices) == 1
    _check_response(one, dialect)
    _check_response(data.draw(responses(dialect, choices=3)), dialect)


def test_responses_may_have_several_choices() -> None:
    strategy = responses(choices=3)
    find(strategy, lambda found: len(found.choices) == 3, settings=QUICK)


@pytest.mark.parametrize("dialect", ANY_DIALECT)
@given(st.data())
def test_simple_responses(dialect: str | None, data: st.DataObject) -> None:
    response = data.draw(responses(dialect, simple=True))
    _check_response(response, dialect)
    assert response.extras is None
    (choice,) = response.choices
    text, *calls = choice.parts
    assert isinstance(text, TextPart)
    assert text == TextPart(text=text.text)
    for call in calls:
        assert isinstance(call, ToolCallPart)
        assert is_json_object(call.arguments)


@given(responses("openai-responses"))
def test_items_of_responses_stand_together(response: Response) -> None:
    groups = [part.group for part in response.choices[0].parts]
    assert None not in groups
    assert groups == sorted(groups, key=lambda group: group or 0)


# Sentences


@pytest.mark.parametrize("dialect", ANY_DIALECT)
@given(st.data())
def test_sentences_are_grammatical(dialect: str | None, data: st.DataObject) -> None:
    events = data.draw(sentences(dialect, choices=3))
    check(events)
    arguments: dict[int, str] = {}
    parts_by_index: dict[int, Part] = {}
    for event in events:
        if isinstance(event, PartStart):
            parts_by_index[event.index] = event.part
            arguments[event.index] = ""
        elif isinstance(event, ArgumentsDelta):
            arguments[event.index] += event.text
        elif isinstance(event, PartEnd):
            part = parts_by_index[event.index]
            if isinstance(part, ToolCallPart) and part.kind == "function":
                whole = whole_arguments(arguments[event.index])
                assert (event.status == "complete") is whole
        elif isinstance(event, MessageStart):
            assert event.dialect == dialect
        elif isinstance(event, (Extra, OpaqueEvent)):
            assert dialect is not None


@given(sentences("anthropic", failing=False))
def test_sentences_that_do_not_fail_can_be_folded(events: list[Event]) -> None:
    response = fold(events)
    assert fold(unfold(response)) == response


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_sentences_hold_every_kind_of_event(kind: type[Event]) -> None:
    strategy = sentences("anthropic")
    find(strategy, lambda e: any(type(x) is kind for x in e), settings=QUICK)


def test_sentences_may_fail_before_they_begin() -> None:
    def early(events: list[Event]) -> bool:
        return isinstance(events[-1], StreamError) and not any(
            isinstance(event, MessageStart) for event in events
        )

    find(sentences(), early, settings=QUICK)


def test_parts_of_sentences_interleave() -> None:
    def interleaved(events: list[Event]) -> bool:
        indices = [event.index for event in events if isinstance(event, ArgumentsDelta)]
        return indices != sorted(indices)

    find(sentences(), interleaved, settings=QUICK)


@pytest.mark.parametrize("dialect", ANY_DIALECT)
@given(st.data())
def test_ungrammatical_sentences_are_rejected(
    dialect: str | None, data: st.DataObject
) -> None:
    events = data.draw(ungrammatical_sentences(dialect))
    with pytest.raises(LocalProtocolError):
        check(events)


@pytest.mark.parametrize(
    ("rule", "breaker"), BREAKERS, ids=[b.__name__ for _, b in BREAKERS]
)
@given(st.data())
def test_breakers_break_their_rule(
    rule: str, breaker: Breaker, data: st.DataObject
) -> None:
    events = data.draw(broken_by("anthropic", (breaker,)))
    with pytest.raises(LocalProtocolError, match=rule):
        check(events)


# Bytes


def _frames(data: bytes) -> list[object]:
    decoder = FrameDecoder()
    frames = decoder.receive_data(data) + decoder.receive_eof()
    return [frame.data for frame in frames if frame.data is not None]


@pytest.mark.parametrize("dialect", DIALECTS)
@given(st.data())
def test_hostile_bytes_are_bytes(dialect: str, data: st.DataObject) -> None:
    _frames(data.draw(hostile_bytes(dialect)))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_hostile_bytes_may_be_well_formed(dialect: str) -> None:
    def clean(data: bytes) -> bool:
        try:
            return all(
                isinstance(frame, bytes) and (frame == b"[DONE]" or json.loads(frame))
                for frame in _frames(data)
            )
        except ValueError:
            return False

    find(hostile_bytes(dialect), clean, settings=QUICK)


@given(hostile_bytes("gemini", framing="json-array"))
def test_hostile_arrays(data: bytes) -> None:
    assert isinstance(data, bytes)


def test_hostile_arrays_may_be_well_formed() -> None:
    def clean(data: bytes) -> bool:
        try:
            return isinstance(json.loads(data), list)
        except ValueError:
            return False

    find(hostile_bytes("gemini", framing="json-array"), clean, settings=QUICK)


def test_hostile_bytes_of_unknown_dialects() -> None:
    with pytest.raises(UnknownDialect, match="x-new"):
        hostile_bytes("x-new")
    with pytest.raises(LocalProtocolError, match="framing"):
        hostile_bytes("gemini", framing="x-new")


@pytest.mark.parametrize("dialect", DIALECTS)
@given(st.data())
def test_streams_can_be_written(dialect: str, data: st.DataObject) -> None:
    plan = data.draw(plans())
    frames = list(WRITERS[dialect](plan))
    assert frames
    for frame in frames:
        json.dumps(frame.data)
        if dialect in ("anthropic", "openai-responses"):
            assert isinstance(frame.data, dict)
            assert frame.data["type"] == frame.event


@given(st.data())
def test_chunks_are_divisions(data: st.DataObject) -> None:
    octets = data.draw(st.binary(max_size=40))
    pieces = data.draw(chunks(octets))
    assert b"".join(pieces) == octets


def test_chunks_may_be_empty_or_single_bytes() -> None:
    find(chunks(b"abc"), lambda pieces: b"" in pieces, settings=QUICK)
    find(chunks(b"abc"), lambda pieces: pieces == [b"a", b"b", b"c"], settings=QUICK)
    find(chunks(b""), lambda pieces: b"".join(pieces) == b"", settings=QUICK)
