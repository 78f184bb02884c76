"""Tests of the short ways of usual answers: they give what the long ways give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

import llmwire
from llmwire.dialects.anthropic import _reply
from llmwire.dialects.openai_chat import _response
from llmwire.errors import RemoteProtocolError
from llmwire.limits import Limits
from llmwire.messages import (
    Choice,
    Citation,
    OpaquePart,
    Part,
    RefusalPart,
    Response,
    Signature,
    StopDetail,
    StopReason,
    TextPart,
    ToolCallPart,
)
from llmwire.strategies import responses

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
    {"extras": {"new": Raw(b"1")}},
    {"extras": {"@note": Raw(b'"n"')}},
]
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
        others: list[Part] = [
            RefusalPart("no"),
            ToolCallPart(call_id="c", name="f", arguments="{}"),
        ]
        text = replace(TextPart("words"), **odd)
        return draw(st.one_of(st.just(text), st.sampled_from(others)))

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
    """One text, each time odd in one way more, for each end and dialect."""
    odd_texts: list[dict[str, Any]] = [{}, *_ODD_TEXTS]
    odd_choices: list[dict[str, Any]] = [{}, *_ODD_CHOICES]
    for odd, more, stop, raw, dialect in product(
        odd_texts, odd_choices, STOPS, (None, "new"), DIALECTS
    ):
        parts = (replace(TextPart("words"), **odd),)
        choice = replace(Choice(parts=parts, stop=stop, raw=raw), **more)
        yield Response(choices=(choice,), dialect=dialect)


def _answers() -> st.SearchStrategy[Response]:
    return st.sampled_from(DIALECTS).flatmap(
        lambda dialect: st.one_of(_nearly_plain(dialect), responses(dialect, choices=2))
    )


def _check_writing(response: Response) -> None:
    fast = llmwire.encode_response(response, "openai-chat")
    blocks = llmwire.encode_response(response, "anthropic")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_response, "_write_plain", lambda *_: None)
        patch.setattr(_reply, "is_bare", lambda _: False)
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
    "reasoning_content": [_ABSENT, _ABSENT, _ABSENT, None, "thought"],
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
def _wire_choices(draw: st.DrawFn) -> list[dict[str, Any]]:
    choices = []
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        choice = draw(_members(_VALUES))
        message = draw(_members(_MESSAGES))
        choice |= draw(st.sampled_from([{"message": message}] * 9 + [{}]))
        choices.append(choice)
    return choices


def _read(choices: list[dict[str, Any]], limits: Limits) -> Any:
    body = json.dumps({"id": "c", "choices": choices}).encode()
    try:
        return llmwire.decode_response(body, "openai-chat", limits=limits)
    except RemoteProtocolError as error:
        return str(error), error.status


def _check_reading(choices: list[dict[str, Any]], limits: Limits) -> None:
    fast = _read(choices, limits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_response, "_read_plain", lambda *_: None)
        slow = _read(choices, limits)
    assert fast == slow


@given(_wire_choices(), st.sampled_from([Limits(), Limits(), Limits(parts=0)]))
def test_plain_choices_are_read_as_all_others(
    choices: list[dict[str, Any]], limits: Limits
) -> None:
    _check_reading(choices, limits)


def _said(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not _ABSENT}


def test_choices_that_are_odd_in_one_way_are_read_as_all_others() -> None:
    choice = {name: values[0] for name, values in _VALUES.items()}
    message = {name: values[0] for name, values in _MESSAGES.items()}
    odd_choices = [{name: v} for name, values in _VALUES.items() for v in values]
    odd_messages = [{name: v} for name, values in _MESSAGES.items() for v in values]
    for odd, more in product(odd_choices, odd_messages):
        inner = _said(message | more)
        _check_reading([_said(choice | odd | {"message": inner})], Limits())
        _check_reading([_said(choice | odd | {"message": inner})], Limits(parts=0))


def test_what_is_usual_takes_the_short_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "hi",
        "refusal": None,
        "annotations": [],
    }
    usual = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": "stop",
    }
    monkeypatch.setattr(_response, "_choice", None)
    monkeypatch.setattr(_response, "_write_choice", None)
    monkeypatch.setattr(_reply, "report_part", None)
    response = _read([usual], Limits())
    assert response.choices[0].parts == (TextPart("hi"),)
    written = json.loads(llmwire.encode_response(response, "anthropic").body)
    assert written["content"] == [{"type": "text", "text": "hi"}]
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
