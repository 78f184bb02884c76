"""Tests of the short ways of usual answers: they give what the long ways give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

import llmwire
from llmwire import profiles
from llmwire.dialects import ResponseSource
from llmwire.dialects.anthropic import _reply
from llmwire.dialects.anthropic import _response as _anthropic
from llmwire.dialects.openai_chat import DIALECT, _response
from llmwire.dialects.openai_chat._plain_answer import read_plain
from llmwire.errors import RemoteProtocolError
from llmwire.limits import Limits
from llmwire.messages import (
    CacheMark,
    Choice,
    Citation,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Response,
    Signature,
    StopDetail,
    StopReason,
    TextPart,
    TokenLogprob,
    ToolCallPart,
)
from llmwire.strategies import responses

_PROFILE: Final = profiles.resolve("openai-chat")
DIALECTS = (None, "openai-chat", "openai-responses", "anthropic", "gemini")
STOPS: tuple[StopReason, ...] = (
    "end",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "refusal",
    "content_filter",
    "other",
)
_ODD_TEXTS: list[dict[str, Any]] = [
    {"text": ""},
    {"text": " "},
    {"phase": "commentary"},
    {"id": "x"},
    {"signature": Signature(origin="gemini", value="s")},
    {"incomplete": True},
    {"cache": CacheMark()},
    {"citations": (Citation(kind="url", url="http://a.example", title="A"),)},
    {"logprobs": (TokenLogprob("words", -1.0),)},
    {"extras": {"new": Raw(b"1")}},
    {"extras": {"@note": Raw(b'"n"')}},
]
_ODD_CALLS: list[dict[str, Any]] = [
    {"call_id": ""},
    {"call_id": "no safe id"},
    {"name": ""},
    {"arguments": ""},
    {"arguments": " \n"},
    {"arguments": "null"},
    {"arguments": ' {"a": 1} '},
    {"arguments": '{"a": NaN}'},
    {"arguments": '{"a":'},
    {"arguments": "[1]"},
    {"arguments": '{"a":"\ud800"}'},
    {"kind": "custom"},
    {"id": "x"},
    {"signature": Signature(origin="gemini", value="s")},
    {"incomplete": True},
    {"cache": CacheMark()},
    {"logprobs": (TokenLogprob("words", -1.0),)},
    {"extras": {"new": Raw(b"1")}},
    {"extras": {"@note": Raw(b'"n"')}},
]
_CALL: Final = ToolCallPart(call_id="c_1", name="f", arguments='{"a": 1}')
_ODD_CHOICES: list[dict[str, Any]] = [
    {"index": 3},
    {"stop_sequence": "s"},
    {"detail": StopDetail("cyber", "why")},
    {"extras": {"new": Raw(b"1")}},
    {"extras": {"@said": Raw(b'{"x":null}')}},
]


_NOTHING: st.SearchStrategy[dict[str, Any]] = st.just({})


@st.composite
def _nearly_plain(draw: st.DrawFn, dialect: str | None) -> Response:
    """One text and why it ended, and now and then something odd."""

    def part() -> Part:
        odd = draw(_NOTHING | st.sampled_from(_ODD_TEXTS))
        text = replace(TextPart("words"), **odd)
        call = replace(_CALL, **draw(_NOTHING | st.sampled_from(_ODD_CALLS)))
        others: list[Part] = [RefusalPart("no"), ReasoningPart(text="thought"), call]
        return draw(st.one_of(st.just(text), st.just(call), st.sampled_from(others)))

    def choice(index: int) -> Choice:
        odd = draw(_NOTHING | st.sampled_from(_ODD_CHOICES))
        parts = tuple(part() for _ in range(draw(st.sampled_from([1, 1, 0, 2, 3]))))
        stop = draw(st.sampled_from(STOPS))
        raw = draw(st.sampled_from([None, "stop", "new"]))
        usual = Choice(index=index, parts=parts, stop=stop, raw=raw)
        return replace(usual, **odd)

    count = draw(st.sampled_from([1, 1, 0, 2]))
    return Response(choices=tuple(map(choice, range(count))), dialect=dialect)


def _every_oddity() -> Iterator[Response]:
    """A text, a call or both, each time odd in one way, for each end and dialect."""
    odd_choices: list[dict[str, Any]] = [{}, *_ODD_CHOICES]
    text = TextPart("words")
    odd: list[tuple[Part, ...]] = [(), (_CALL, text), (text, text), (_CALL, _CALL)]
    odd += [(replace(text, **each),) for each in ({}, *_ODD_TEXTS)]
    odd += [(text, replace(_CALL, **each)) for each in ({}, *_ODD_CALLS)]
    for parts, stop, raw, dialect in product(odd, STOPS, (None, "new"), DIALECTS):
        yield Response(
            choices=(Choice(parts=parts, stop=stop, raw=raw),), dialect=dialect
        )
    usual: list[tuple[Part, ...]] = [(text,), (_CALL,)]
    for parts, more, dialect in product(usual, odd_choices, DIALECTS):
        choice = replace(Choice(parts=parts, stop="end"), **more)
        yield Response(choices=(choice,), dialect=dialect)


def _answers() -> st.SearchStrategy[Response]:
    return st.sampled_from(DIALECTS).flatmap(
        lambda dialect: st.one_of(_nearly_plain(dialect), responses(dialect, choices=2))
    )


def _check_writing(response: Response) -> None:
    fast = llmwire.encode_response(response, "openai-chat")
    blocks = llmwire.encode_response(response, "anthropic")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_response, "write_plain", lambda *_: None)
        patch.setattr(_reply, "_plain_block", lambda *_: None)
        assert llmwire.encode_response(response, "openai-chat") == fast
        assert llmwire.encode_response(response, "anthropic") == blocks


@given(_answers())
def test_plain_choices_are_written_as_all_others(response: Response) -> None:
    _check_writing(response)


def test_choices_that_are_odd_in_any_way_are_written_as_all_others() -> None:
    for response in _every_oddity():
        _check_writing(response)


_ABSENT: Any = object()
_LOGPROBS = {"content": [{"token": "a", "logprob": -1.0}]}
_FUNCTION = {"name": "f", "arguments": '{"a": 1}'}
_WIRE_CALL: dict[str, Any] = {"id": "c", "type": "function", "function": _FUNCTION}
_COUNTS = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
_BODIES: dict[str, list[Any]] = {
    "id": ["c", "", None, _ABSENT, 5],
    "object": ["chat.completion", "completion", None, _ABSENT],
    "created": [1, 0, -1, 1.0, 1.5, 2**53 + 1, 2**80, None, _ABSENT],
    "model": ["m", "", None, _ABSENT, "\u00e9"],
    "usage": [_ABSENT, _COUNTS, {**_COUNTS, "new": 1}, None, [], "\ud800"],
    "service_tier": [_ABSENT, "default", "", None],
    "system_fingerprint": [_ABSENT, "fp", None, "\ud800"],
    "new": [_ABSENT, 1],
    "error": [_ABSENT, None, {"message": "no"}],
}
_VALUES: dict[str, list[Any]] = {
    "index": [0, _ABSENT, None, 0, 7],
    "finish_reason": ["stop", "length", "tool_calls", "new", "", None, _ABSENT],
    "logprobs": [None, None, _ABSENT, {}, _LOGPROBS],
    "stop_reason": [_ABSENT, _ABSENT, _ABSENT, "###"],
}
_MESSAGES: dict[str, list[Any]] = {
    "role": ["assistant", "assistant", _ABSENT, None, "tool"],
    "content": ["words", "words", "", None, _ABSENT, [{"type": "text", "text": "a"}]],
    "refusal": [None, None, None, _ABSENT, "", "no"],
    "annotations": [_ABSENT, [], [], None, [{"type": "new"}]],
    "tool_calls": [
        _ABSENT,
        [_WIRE_CALL],
        [_WIRE_CALL, {**_WIRE_CALL, "id": "d"}],
        [],
        None,
        [_WIRE_CALL | {"id": ""}],
        [_WIRE_CALL | {"type": "custom"}],
        [_WIRE_CALL | {"index": 0}],
        [_WIRE_CALL | {"function": {"name": "", "arguments": ""}}],
        [_WIRE_CALL | {"function": {"name": "f", "arguments": ""}}],
        [_WIRE_CALL | {"function": {"name": "f", "arguments": '{"a'}}],
        [_WIRE_CALL | {"function": {"name": "f", "arguments": {"a": 1}}}],
    ],
    "reasoning_content": [_ABSENT, _ABSENT, _ABSENT, None, "", "thought"],
    "reasoning": [_ABSENT, _ABSENT, _ABSENT, None, "", "thought"],
    "new": [_ABSENT, _ABSENT, _ABSENT, _ABSENT, 1],
}


def _members(values: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Mostly the first value of each member."""

    def one(name: str) -> st.SearchStrategy[Any]:
        first, *others = values[name]
        usual = st.just(first)
        return st.one_of(usual, usual, usual, usual, st.sampled_from(others))

    drawn = st.fixed_dictionaries({name: one(name) for name in values})
    return drawn.map(_said)


@st.composite
def _wire_bodies(draw: st.DrawFn) -> dict[str, Any]:
    choices = []
    for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2]))):
        choice = draw(_members(_VALUES))
        message = draw(_members(_MESSAGES))
        choice |= draw(st.sampled_from([{"message": message}] * 9 + [{}]))
        choices.append(choice)
    return draw(_members(_BODIES)) | {"choices": choices}


def _first(values: dict[str, list[Any]]) -> dict[str, Any]:
    return _said({name: value for name, (value, *_) in values.items()})


def _body(choice: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A usual body around `choice`, but for `more`."""
    return _said(_first(_BODIES) | {"choices": [choice]} | more)


def _read(body: dict[str, Any], limits: Limits) -> Any:
    """What is read, the error it holds, or why there is neither."""
    octets = json.dumps(body).encode()
    source = ResponseSource(profile=_PROFILE, limits=limits)
    assert DIALECT.decode_reply is not None
    try:
        found = DIALECT.decode_reply(octets, source)
        if isinstance(found, Response):
            assert DIALECT.decode_response(octets, source) == found
        return found
    except RemoteProtocolError as error:
        return str(error), error.status


def _check_reading(body: dict[str, Any], limits: Limits) -> None:
    fast = _read(body, limits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_response, "read_plain", lambda *_: None)
        slow = _read(body, limits)
    assert fast == slow


@given(_wire_bodies(), st.sampled_from([Limits(), Limits(), Limits(parts=0)]))
def test_plain_answers_are_read_as_all_others(
    body: dict[str, Any], limits: Limits
) -> None:
    _check_reading(body, limits)


def _said(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not _ABSENT}


def _each(values: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    return ({name: value} for name, listed in values.items() for value in listed)


def test_answers_that_are_odd_in_few_ways_are_read_as_all_others() -> None:
    choice, message = _first(_VALUES), _first(_MESSAGES)
    for odd, more in product(_each(_VALUES), _each(_MESSAGES)):
        inner = _said(message | more)
        body = _body(_said(choice | odd | {"message": inner}))
        _check_reading(body, Limits())
        _check_reading(body, Limits(parts=0))
    for one, other in product(_each(_MESSAGES), repeat=2):
        inner = _said(message | one | other)
        _check_reading(_body(_said(choice | {"message": inner})), Limits())
    usual = _said(choice | {"message": message})
    for strange in _each(_BODIES):
        _check_reading(_body(usual, **strange), Limits())
        _check_reading(_body(usual, **strange), Limits(body=9))


def test_answers_that_are_odd_bytes_are_read_as_all_others() -> None:
    usual = json.dumps(_body({**_first(_VALUES), "message": _first(_MESSAGES)}))
    plain = usual.encode()
    mark = b'"system_fingerprint": "\xff", '
    odd = [plain[:-1], b"[" + plain + b"]", b"\xef\xbb\xbf" + plain, b"[" * 20000]
    odd += [b"{" + mark + plain[1:], plain.replace(b"words", b"\xc3\xa4")]
    for octets in odd:
        source = ResponseSource(profile=_PROFILE)
        assert read_plain(octets, source) is None or b"\xc3" in octets
        with pytest.MonkeyPatch.context() as patch:
            fast = _outcome(octets)
            patch.setattr(_response, "read_plain", lambda *_: None)
            assert _outcome(octets) == fast


def _outcome(octets: bytes, dialect: str = "openai-chat") -> Any:
    try:
        return llmwire.decode_response(octets, dialect)
    except RemoteProtocolError as error:
        return str(error), error.status


_ODD_MESSAGES: dict[str, list[Any]] = {
    "id": ["msg_1", None, _ABSENT, 5],
    "type": ["message", "new", None, _ABSENT],
    "role": ["assistant", "user", None, _ABSENT],
    "model": ["m", None, _ABSENT],
    "content": [[{"type": "text", "text": "hi"}], [], None, "hi", _ABSENT],
    "stop_reason": ["end_turn", "tool_use", None, _ABSENT, 5],
    "stop_sequence": [None, "s", _ABSENT],
    "stop_details": [_ABSENT, None, {"type": "refusal"}],
    "container": [_ABSENT, None, {"id": "c"}],
    "context_management": [_ABSENT, None, {}],
    "usage": [{"input_tokens": 1, "output_tokens": 2}, {}, None, [], _ABSENT],
    "new": [_ABSENT, 1],
    "error": [_ABSENT, None, {"message": "no"}],
}


def test_messages_that_are_odd_in_two_ways_are_read_as_all_others() -> None:
    usual = _first(_ODD_MESSAGES)
    for one, other in product(_each(_ODD_MESSAGES), repeat=2):
        octets = json.dumps(_said(usual | one | other)).encode()
        fast = _outcome(octets, "anthropic")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_anthropic, "_is_usual", lambda _: False)
            assert _outcome(octets, "anthropic") == fast


def test_what_is_usual_takes_the_short_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "hi",
        "refusal": None,
        "annotations": [],
        "tool_calls": [_WIRE_CALL],
    }
    usual = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": "tool_calls",
    }
    for name in ("_choice", "_write_choice", "find_error"):
        monkeypatch.setattr(_response, name, None)
    monkeypatch.setattr(_reply, "report_part", None)
    monkeypatch.setattr(_anthropic, "response_extras", None)
    response = _read(_body(usual), Limits())
    call = ToolCallPart(call_id="c", name="f", arguments='{"a": 1}')
    assert response.choices[0].parts == (TextPart("hi"), call)
    written = json.loads(llmwire.encode_response(response, "anthropic").body)
    block = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}
    assert written["content"] == [{"type": "text", "text": "hi"}, block]
    foreign = llmwire.decode_response(json.dumps(written).encode(), "anthropic")
    again = json.loads(llmwire.encode_response(foreign, "openai-chat").body)
    del message["annotations"]
    assert again["choices"] == [usual]


def test_citations_stand_beside_content_of_any_kind() -> None:
    citation = Citation(kind="url", url="http://a.example", title="A", start=0, end=2)
    strange = OpaquePart(dialect="openai-chat", kind="new", raw=Raw(b'{"type":"new"}'))
    parts = (strange, TextPart("hi", citations=(citation,)))
    response = Response(choices=(Choice(parts=parts),), dialect="openai-chat")
    written = llmwire.encode_response(response, "openai-chat")
    message = json.loads(written.body)["choices"][0]["message"]
    assert message["content"] == [{"type": "new"}, {"type": "text", "text": "hi"}]
    cited = message["annotations"][0]["url_citation"]
    assert (cited["url"], cited["end_index"]) == ("http://a.example", 2)
