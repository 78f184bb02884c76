"""Tests of `llmwire._plain`: what is plain, and that it is written as all else is."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

import llmwire
from llmwire._ids import mint_call
from llmwire._plain import are_legal, plain_messages, plain_object
from llmwire._turns import Survey, legal_call_id, surveyed
from llmwire.dialects.anthropic import _adapt_parts, _adapt_tools, _adapt_turns
from llmwire.dialects.anthropic._plain_turns import write_orderly
from llmwire.dialects.openai_chat import _pieces_write, _request_write, _templates
from llmwire.dialects.openai_chat._messages_write import MessageWriter
from llmwire.dialects.openai_chat._usual_write import UsualWriter
from llmwire.errors import UnsupportedFeature
from llmwire.losses import FEATURES, LossRecorder
from llmwire.messages import (
    Base64,
    CacheMark,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    Role,
    Signature,
    TextPart,
    TokenLogprob,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.profiles import PROFILES
from llmwire.requests import Request, Tool

WRITERS = {
    "gemini": "llmwire.dialects.gemini._plain_contents",
    "openai-responses": "llmwire.dialects.openai_responses._plain_items",
}
TARGETS = ("anthropic", *WRITERS)
LEADING: tuple[tuple[Role, ...], ...] = (
    (),
    ("system",),
    ("developer", "system"),
    ("system", "system"),
)
DIALECTS = (None, "openai-chat", "openai-responses", "anthropic", "gemini")

_TEXTS = st.sampled_from(["a", "b c", "é\n", " x ", "", " ", "\u00a0"])
_NAMES = st.sampled_from(["f", "g", "a.b", "x y", ""])
_ARGUMENTS = st.sampled_from(
    ["{}", '{"a": 1}', "", " ", "null", "[]", '{"a"', ' {"a":1}', '{"a":NaN}', "{}}"]
)
_IMAGE = MediaPart(kind="image", mime="image/png", source=Base64("iVBORw0KGgo="))
_SIGNATURE = Signature(origin="anthropic", value="s")
_THOUGHTS: list[Part] = [
    ReasoningPart(text="Hm"),
    ReasoningPart(text="Hm", signature=_SIGNATURE),
    ReasoningPart(summary=("a", "b"), signature=_SIGNATURE),
    ReasoningPart(signature=_SIGNATURE, redacted=True),
    ReasoningPart(text="Hm", extras={"@field": Raw(b'"content"')}),
    ReasoningPart(text="Hm", cache=CacheMark()),
    ReasoningPart(text="Hm", logprobs=(TokenLogprob("Hm", -1.0),)),
]
_ODD: list[dict[str, Any]] = [
    {"id": "x"},
    {"signature": Signature(origin="gemini", value="s")},
    {"cache": CacheMark()},
    {"incomplete": True},
    {"extras": {"new": Raw(b"1")}},
    {"extras": {"@note": Raw(b'"n"')}},
    {"extras": {"@note": Raw(b'"n"'), "new": Raw(b"null")}},
]


BODY = (
    b'{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"},'
    b'{"role":"assistant","content":"b","tool_calls":[{"id":"c1","type":"function",'
    b'"function":{"name":"f","arguments":"{}"}}]},'
    b'{"role":"tool","tool_call_id":"c1","content":"r"},'
    b'{"role":"user","content":"c"}]}'
)
CALL = ToolCallPart(call_id="c", name="f", arguments="{}")
RESULT = ToolResultPart(call_id="c", parts=(TextPart("r"),))
ASKED = Message(role="user", parts=(TextPart("a"),))
CALLED = Message(role="assistant", parts=(TextPart("b"), CALL))


def _user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def _assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def _mostly(
    usual: Any, strategy: st.SearchStrategy[Any], odds: int = 39
) -> st.SearchStrategy[Any]:
    return st.integers(0, odds).flatmap(
        lambda roll: strategy if roll == odds else st.just(usual)
    )


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Conversations of agents, most of them plain, and some nearly so."""

    def odd(part: Part) -> Part:
        return replace(part, **draw(_mostly({}, st.sampled_from(_ODD))))

    def text() -> Part:
        return odd(TextPart(draw(_mostly("words", _TEXTS))))

    def message(role: Role, parts: list[Part], top: bool = False) -> None:
        more = {"top": top} | draw(
            _mostly(
                {},
                st.sampled_from(
                    [
                        {"id": "m"},
                        {"extras": {"new": Raw(b"1")}},
                        {"extras": {"@content": Raw(b'"parts"')}},
                        {"top": True},
                    ]
                ),
            )
        )
        messages.append(Message(role=role, parts=tuple(parts), **more))

    messages: list[Message] = []
    for role in draw(st.sampled_from(LEADING)):
        said = [text() for _ in range(draw(_mostly(1, st.integers(0, 2), 4)))]
        message(role, said, draw(st.booleans()))
    count = 0
    for _ in range(draw(_mostly(2, st.integers(0, 4)))):
        for _ in range(draw(_mostly(1, st.integers(0, 2)))):
            message(
                "user", [text() for _ in range(draw(_mostly(1, st.integers(0, 2))))]
            )
        if draw(_mostly(False, st.just(True), 9)):
            message("user", draw(st.permutations([text(), _IMAGE])))
        calls: list[Part] = []
        results: list[Part] = []
        for _ in range(draw(st.integers(0, 2))):
            call_id = draw(
                _mostly(
                    f"call_{count}", st.sampled_from(["call_0", "", "a.b", "x" * 99])
                )
            )
            count += 1
            kind = draw(_mostly("function", st.just("custom")))
            calls.append(
                odd(
                    ToolCallPart(
                        call_id=call_id,
                        name=draw(_mostly("f", _NAMES, 9)),
                        arguments=draw(_mostly('{"a":1}', _ARGUMENTS)),
                        kind=kind,
                    )
                )
            )
            inner: tuple[Part, ...] = tuple(
                text() for _ in range(draw(_mostly(1, st.integers(0, 2))))
            )
            inner += draw(_mostly((), st.just((_IMAGE,))))
            name = draw(_mostly(None, _NAMES))
            failed = draw(_mostly(False, st.just(True)))
            results.append(
                odd(
                    ToolResultPart(
                        call_id=call_id,
                        name=name,
                        parts=inner,
                        error=failed,
                        kind=kind,
                    )
                )
            )
        said = [text() for _ in range(draw(_mostly(1, st.integers(0, 2))))]
        thoughts = st.lists(st.sampled_from(_THOUGHTS), max_size=2)
        spoken = draw(_mostly([], thoughts, 4)) + said + calls
        message("assistant", draw(_mostly(spoken, st.permutations(spoken))))
        results = draw(_mostly(results, st.permutations(results)))
        results = results[draw(_mostly(0, st.just(1))) :]
        cut = draw(_mostly(len(results), st.integers(0, len(results))))
        for group in (results[:cut], results[cut:]):
            if group:
                message("user", group + [text()][draw(st.integers(0, 1)) :])
    if draw(st.booleans()):
        message("user", [text()])
    if draw(_mostly(False, st.just(True))):
        message("system", [text()])
    return tuple(messages)


def _encoded(request: Request, target: str, **options: Any) -> Any:
    try:
        encoded = llmwire.encode_request(request, target, **options)
    except UnsupportedFeature as error:
        return str(error)
    return encoded.http, encoded.losses, encoded.context


@pytest.mark.parametrize("target", TARGETS)
@given(
    messages=conversations(),
    dialect=st.sampled_from(DIALECTS),
    profile=st.one_of(st.none(), st.sampled_from(sorted(PROFILES))),
    model=st.sampled_from(["m", "gemini-3-pro-preview"]),
    marked=st.booleans(),
    policy=st.sampled_from([{}, {"call.unanswered": "emulate"}]),
)
def test_plain_or_not_the_same_is_written(
    target: str,
    messages: tuple[Message, ...],
    dialect: str | None,
    profile: str | None,
    model: str,
    marked: bool,
    policy: Any,
) -> None:
    cache = CacheMark() if marked else None
    tools = tuple(Tool(name=name, cache=cache) for name in ("f", "g") * 3)
    request = Request(messages=messages, dialect=dialect, tools=tools, max_tokens=9)
    options = {"profile": profile, "model": model, "policy": policy}
    _check_both_ways(request, target, **options)


def _take_the_long_way(patch: pytest.MonkeyPatch) -> None:
    for writer in WRITERS.values():
        module = importlib.import_module(writer)
        patch.setattr(module, "plain_messages", lambda *_: None)
    patch.setattr(_adapt_turns, "write_orderly", lambda *_: None)
    patch.setattr(_adapt_turns, "is_bare", lambda _: False)
    patch.setattr(_adapt_parts, "is_bare", lambda _: False)
    patch.setattr(_adapt_tools, "_is_usual", lambda _: False)
    patch.setattr(UsualWriter, "write", lambda _, __, at, ___: at)
    patch.setattr(_pieces_write, "is_bare_call", lambda _: False)
    patch.setattr(_templates, "_are_in_order", lambda _: False)
    patch.setattr(_request_write, "is_bare_tool", lambda _: False)
    patch.setattr(_request_write, "surveyed", _surveyed_as_odd)


def _surveyed_as_odd(messages: tuple[Message, ...]) -> Survey:
    return replace(surveyed(messages), answered=False, adjoining=False)


def _check_both_ways(request: Request, target: str, **options: Any) -> None:
    fast = _encoded(request, target, **options)
    with pytest.MonkeyPatch.context() as patch:
        _take_the_long_way(patch)
        slow = _encoded(request, target, **options)
    assert fast == slow


@given(
    messages=conversations(),
    dialect=st.sampled_from(DIALECTS),
    profile=st.one_of(st.none(), st.sampled_from(sorted(PROFILES))),
    policy=st.sampled_from([{}, {"call.unanswered": "emulate"}]),
)
def test_simple_messages_are_written_as_all_others(
    messages: tuple[Message, ...], dialect: str | None, profile: str | None, policy: Any
) -> None:
    tools = tuple(
        Tool(name=name, description=name or None, schema=schema, strict=strict)
        for name, schema, strict in (
            ("f", None, None),
            ("a.b", Raw(b'{"type":"object"}'), None),
            ("g", Raw(b"{}"), True),
        )
    )
    request = Request(messages=messages, dialect=dialect, tools=tools)
    options = {"profile": profile, "model": "m", "policy": policy}
    _check_both_ways(request, "openai-chat", **options)


_ASKS = [
    {"role": "assistant", "tool_calls": [{"id": each} for each in ids]}
    for ids in ("a", "ab", "")
]
_TOLD = [{"role": "tool", "tool_call_id": each} for each in "ab"]


@given(st.lists(st.sampled_from([*_ASKS, *_TOLD, {"role": "user"}])))
def test_results_in_order_stay_as_all_others(found: list[dict[str, Any]]) -> None:
    messages = [dict(each) for each in found]
    ways = []
    for quick in (_templates._are_in_order, lambda _: False):
        losses = LossRecorder()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_templates, "_are_in_order", quick)
            behind = _templates.results_behind_calls(messages, losses)
        ways.append(([id(each) for each in behind], losses.losses))
    assert ways[0] == ways[1]


def test_blank_arguments_are_not_simple() -> None:
    called = _assistant(replace(CALL, arguments=" "))
    request = Request(messages=(ASKED, called, _user(RESULT)))
    body = json.loads(llmwire.encode_request(request, "openai-chat").http.body)
    function = body["messages"][1]["tool_calls"][0]["function"]
    assert function == {"name": "f", "arguments": "{}"}


def test_notes_of_the_own_dialect_are_not_simple() -> None:
    asked = replace(ASKED, extras={"@content": Raw(b'"parts"')})
    request = Request(messages=(asked,), dialect="openai-chat")
    body = json.loads(llmwire.encode_request(request, "openai-chat").http.body)
    assert body["messages"][0]["content"] == [{"type": "text", "text": "a"}]


def test_instructions_at_the_top_are_simple(monkeypatch: pytest.MonkeyPatch) -> None:
    top = Message(role="system", parts=(TextPart("s"),), top=True)
    monkeypatch.setattr(MessageWriter, "_message", None)
    encoded = llmwire.encode_request(Request(messages=(top, ASKED)), "openai-chat")
    first = json.loads(encoded.http.body)["messages"][0]
    assert first == {"role": "system", "content": "s"}
    assert [(loss.path, loss.feature) for loss in encoded.losses] == [
        ("messages[0].top", "instructions.top")
    ]


def test_neighbouring_results_are_simple(monkeypatch: pytest.MonkeyPatch) -> None:
    more = replace(CALL, call_id="d")
    results = (_user(RESULT), _user(replace(RESULT, call_id="d")))
    request = Request(messages=(ASKED, _assistant(CALL, more), *results))
    monkeypatch.setattr(MessageWriter, "_message", None)
    encoded = llmwire.encode_request(request, "openai-chat")
    told = json.loads(encoded.http.body)["messages"]
    assert [each.get("tool_call_id") for each in told[2:]] == ["c", "d"]
    assert [(loss.path, loss.feature) for loss in encoded.losses] == [
        ("messages", "message.boundary")
    ]


def test_late_instructions_are_not_simple() -> None:
    late = Message(role="system", parts=(TextPart("s"),))
    request = Request(messages=(ASKED, late))
    profile = replace(PROFILES["openai"], system_in_place=False)
    encoded = llmwire.encode_request(request, "openai-chat", profile=profile)
    told = json.loads(encoded.http.body)["messages"][1]
    assert told["role"] == "user"
    assert told["content"] != "s"


def test_notes_of_another_dialect_are_simple(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = {"@content": Raw(b'"string"')}
    told = replace(RESULT, extras=notes, parts=(TextPart("r", extras=notes),))
    messages = (replace(ASKED, extras=notes), CALLED, _user(told))
    request = Request(messages=messages, dialect="anthropic")
    monkeypatch.setattr(MessageWriter, "_message", None)
    encoded = llmwire.encode_request(request, "openai-chat")
    assert [each["role"] for each in json.loads(encoded.http.body)["messages"]] == [
        "user",
        "assistant",
        "tool",
    ]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rule", ["any", "safe", "omitted", "alphanumeric9"])
@pytest.mark.parametrize("ids", [("c1", "c2"), (mint_call("", 0), "c"), ("a.b", "c")])
def test_ids_and_results_in_two_messages(
    target: str, rule: Any, ids: tuple[str, str]
) -> None:
    calls = [ToolCallPart(call_id=each, name="f", arguments="{}") for each in ids]
    results = [ToolResultPart(call_id=each, parts=(TextPart("r"),)) for each in ids]
    messages = (ASKED, _assistant(*calls), *map(_user, results))
    profile = replace(PROFILES[target], call_ids=rule)
    request = Request(messages=messages, max_tokens=9)
    _check_both_ways(request, target, profile=profile)


MORE = replace(CALL, call_id="d")
TOLD = replace(RESULT, call_id="d")
TWICE = _assistant(TextPart("b"), CALL, MORE)


@pytest.mark.parametrize("target", [*TARGETS, "openai-chat"])
@pytest.mark.parametrize("dialect", [None, "openai-chat", "anthropic"])
@pytest.mark.parametrize(
    "profile",
    [
        None,
        "deepseek",
        replace(PROFILES["compatible"], string_content=True),
        replace(PROFILES["anthropic"], cache_marks=False),
    ],
)
@pytest.mark.parametrize(
    "messages",
    [
        *[(ASKED, _assistant(replace(CALL, **odd)), _user(RESULT)) for odd in _ODD],
        *[(ASKED, CALLED, _user(replace(RESULT, **odd))) for odd in _ODD],
        *[(ASKED, _assistant(one, TextPart("b")), ASKED) for one in _THOUGHTS],
        (ASKED, _assistant(replace(CALL, name="a.b")), _user(RESULT)),
        (ASKED, _assistant(replace(CALL, kind="custom")), _user(RESULT)),
        (ASKED, CALLED, _user(replace(RESULT, kind="custom"))),
        (ASKED, _assistant(replace(CALL, arguments=" ")), _user(RESULT)),
        (_user(TextPart("a"), TextPart("b")), _assistant(TextPart("c")), ASKED),
        (ASKED, CALLED, _assistant(TextPart("c")), _user(RESULT)),
        (ASKED, TWICE, _user(RESULT), _user(TextPart("c"), TOLD)),
        (ASKED, TWICE, _user(RESULT), _user(TextPart("c")), _user(TOLD)),
        (ASKED, TWICE, _user(TOLD, RESULT)),
        (ASKED, TWICE, _user(RESULT, _IMAGE), _user(TOLD)),
        (ASKED, CALLED, _user(RESULT, _IMAGE), CALLED, _user(RESULT)),
    ],
)
def test_each_odd_thing_is_written_as_ever(
    target: str, dialect: str | None, profile: Any, messages: tuple[Message, ...]
) -> None:
    request = Request(messages=messages, dialect=dialect, max_tokens=9)
    policy = dict.fromkeys(FEATURES, "drop")
    _check_both_ways(request, target, profile=profile, policy=policy)


def test_marks_of_tools_are_told_where_they_were_given() -> None:
    marked = [Tool(name=name, cache=CacheMark()) for name in "abcde"]
    gone = Tool(kind="server", name="s", raw=Raw(b"{}"))
    request = Request(messages=(ASKED,), tools=(gone, *marked), max_tokens=9)
    policy: Any = {"tool.server": "drop"}
    encoded = llmwire.encode_request(request, "anthropic", policy=policy)
    told = [loss.path for loss in encoded.losses if loss.feature == "cache.mark"]
    assert told == ["tools[1].cache"]


@pytest.mark.parametrize("target", WRITERS)
def test_the_short_way_is_taken(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = importlib.import_module(WRITERS[target])
    found: list[Any] = []

    def spy(*given: Any) -> Any:
        found.append(plain_messages(*given))
        return found[-1]

    monkeypatch.setattr(writer, "plain_messages", spy)
    llmwire.translate_request(BODY, "openai-chat", target)
    assert [[one.at for one in plain] for plain in found] == [[1, 2, 3, 4]]


def test_an_orderly_conversation_is_written_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_adapt_turns, "_turns", None)
    encoded = llmwire.translate_request(BODY, "openai-chat", "anthropic")
    told = json.loads(encoded.http.body)
    assert told["system"] == [{"type": "text", "text": "s"}]
    assert [turn["role"] for turn in told["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in told["messages"][2]["content"]] == [
        "tool_result",
        "text",
    ]
    paths = [loss.path for loss in encoded.losses]
    assert paths[-2:] == ["messages[0].top", "messages[4]"]


@pytest.mark.parametrize(
    "messages",
    [
        (_user(TextPart("a"), _IMAGE), _assistant(TextPart("b")), ASKED),
        (
            ASKED,
            _assistant(ReasoningPart(text="x"), TextPart("b"), CALL),
            _user(RESULT),
        ),
        (ASKED, CALLED, _user(replace(RESULT, error=True), TextPart(""))),
        (ASKED, CALLED, _user(replace(RESULT, parts=(_IMAGE,)))),
        (ASKED, _assistant(replace(CALL, arguments="[]")), _user(RESULT)),
        (replace(ASKED, extras={"a": Raw(b"1")}),),
        (ASKED, replace(CALLED, id="m"), _user(RESULT)),
        (ASKED, _assistant(CALL, replace(MORE, arguments="[]")), _user(RESULT, TOLD)),
        (ASKED, TWICE, _user(RESULT), _user(TOLD)),
    ],
)
def test_odd_parts_leave_a_conversation_orderly(
    messages: tuple[Message, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(messages=messages, max_tokens=9)
    options = {"policy": {"call.arguments": "drop"}}
    _check_both_ways(request, "anthropic", **options)
    monkeypatch.setattr(_adapt_turns, "_turns", None)
    assert isinstance(_encoded(request, "anthropic", **options), tuple)


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (_user(),),
        (_user(_IMAGE),),
        (_user(RESULT),),
        (_user(TextPart("a", cache=CacheMark())),),
        (_user(TextPart("a"), TextPart("b", cache=CacheMark())),),
        (_user(TextPart(" ")),),
        (replace(ASKED, top=True),),
        (ASKED, replace(ASKED, role="system")),
        (ASKED, _user(TextPart("b"), _IMAGE)),
        (_user(TextPart("b"), _IMAGE), ASKED),
        (_user(TextPart("a"), CALL),),
        (_assistant(TextPart("a")), ASKED),
        (ASKED, _assistant(), ASKED),
        (ASKED, _assistant(TextPart("")), ASKED),
        (ASKED, _assistant(TextPart("b"), RESULT), ASKED),
        (ASKED, _assistant(RESULT, TextPart("b")), ASKED),
        (ASKED, _assistant(TextPart("b"), _IMAGE)),
        (ASKED, CALLED),
        (ASKED, CALLED, ASKED),
        (ASKED, CALLED, _user(TextPart("c"), _IMAGE)),
        (ASKED, CALLED, _user(TextPart("c"), RESULT)),
        (ASKED, CALLED, _user(RESULT, RESULT)),
        (ASKED, CALLED, _user(replace(RESULT, call_id="d"))),
        (ASKED, CALLED, _user(RESULT), CALLED, _user(RESULT)),
        (ASKED, CALLED, _user(RESULT), replace(CALLED, role="developer")),
        (ASKED, _assistant(replace(CALL, call_id="a.b")), _user(RESULT)),
        (
            ASKED,
            CALLED,
            _user(replace(RESULT, parts=(TextPart("r", cache=CacheMark()),))),
        ),
    ],
)
def test_what_is_not_orderly(
    messages: tuple[Message, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(messages=messages, max_tokens=9)
    _check_both_ways(request, "anthropic", policy=dict.fromkeys(FEATURES, "drop"))
    found: list[Any] = []

    def spy(*given: Any) -> Any:
        found.append(write_orderly(*given))
        return found[-1]

    monkeypatch.setattr(_adapt_turns, "write_orderly", spy)
    _encoded(request, "anthropic", policy=dict.fromkeys(FEATURES, "drop"))
    assert found == [None]


@pytest.mark.parametrize(
    "messages",
    [
        (_user(TextPart("a"), TextPart("")), CALLED, _user(RESULT)),
        (ASKED, _assistant(*_THOUGHTS[:4], CALL), _user(RESULT)),
        (ASKED, _assistant(_THOUGHTS[0], TextPart("b"))),
    ],
)
def test_texts_and_thoughts_are_simple(
    messages: tuple[Message, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MessageWriter, "_message", None)
    profile = replace(PROFILES["openai"], replay_reasoning="never")
    encoded = _encoded(Request(messages=messages), "openai-chat", profile=profile)
    assert isinstance(encoded, tuple)


@pytest.mark.parametrize(
    "messages",
    [
        (_user(TextPart("a"), _IMAGE),),
        (_user(TextPart("a"), TextPart("b", phase="p")),),
        (replace(_user(TextPart("a"), TextPart("b")), top=True),),
        (replace(_user(TextPart("a"), TextPart("b")), role="system"),),
        (ASKED, _assistant(_THOUGHTS[0])),
        (ASKED, _assistant(_THOUGHTS[5], TextPart("a"))),
        (ASKED, _assistant(_THOUGHTS[6], TextPart("a"))),
        (ASKED, _assistant(_THOUGHTS[0], TextPart(""))),
        (ASKED, _assistant(_THOUGHTS[0], TextPart("b", phase="p"))),
        (ASKED, _assistant(TextPart("b"), _THOUGHTS[0])),
    ],
)
@pytest.mark.parametrize("strings", [True, False])
def test_texts_and_thoughts_that_are_not_simple(
    messages: tuple[Message, ...], strings: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = replace(PROFILES["compatible"], string_content=strings)
    request = Request(messages=messages)
    fast = _encoded(request, "openai-chat", profile=profile)
    monkeypatch.setattr(UsualWriter, "write", lambda _, __, at, ___: at)
    assert _encoded(request, "openai-chat", profile=profile) == fast
    monkeypatch.undo()
    monkeypatch.setattr(MessageWriter, "_message", None)
    with pytest.raises(TypeError):
        _encoded(request, "openai-chat", profile=profile)


def test_a_plain_conversation() -> None:
    more = Message(role="user", parts=(RESULT, TextPart("c")))
    plain = plain_messages((ASKED, CALLED, more, ASKED), 0)
    assert plain is not None
    assert [(one.at, one.role) for one in plain] == [
        (0, "user"),
        (1, "assistant"),
        (2, "user"),
        (3, "user"),
    ]
    assert [list(one.texts) for one in plain] == [["a"], ["b"], ["c"], ["a"]]
    assert list(plain[1].calls) == [CALL]
    assert list(plain[2].results) == [("c", "r")]


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (_assistant(TextPart("a")), ASKED),
        (ASKED, CALLED),
        (ASKED, CALLED, _user(TextPart("c"))),
        (ASKED, CALLED, _user(TextPart("c"), RESULT)),
        (ASKED, CALLED, _user(RESULT), CALLED, _user(RESULT)),
        (ASKED, CALLED, CALLED, _user(RESULT)),
        (ASKED, CALLED, _user(replace(RESULT, call_id="d"))),
        (ASKED, CALLED, _user(replace(RESULT, error=True))),
        (ASKED, CALLED, _user(replace(RESULT, parts=()))),
        (ASKED, CALLED, _user(replace(RESULT, parts=(RefusalPart("r"),)))),
        (ASKED, CALLED, _user(replace(RESULT, parts=(TextPart(""),)))),
        (ASKED, _assistant(CALL, TextPart("b")), _user(RESULT)),
        (ASKED, _assistant(RefusalPart("b")), ASKED),
        (ASKED, _assistant(TextPart(" ")), ASKED),
        (ASKED, _assistant(replace(CALL, name="")), _user(RESULT)),
        (ASKED, _assistant(), ASKED),
        (_user(),),
        (_user(RESULT),),
        (_user(TextPart("a", phase="p")),),
        (replace(ASKED, top=True),),
        (replace(ASKED, role="system"),),
        (replace(ASKED, extras={"a": Raw(b"1")}),),
        (replace(ASKED, id="m"),),
    ],
)
def test_what_is_not_plain(messages: tuple[Message, ...]) -> None:
    assert plain_messages(messages, 0) is None


@given(
    st.lists(st.sampled_from(["a", "call_1", "a.b", "", "x" * 9, "é", "a\n"])),
    st.sampled_from(["any", "safe"]),
    st.integers(1, 12),
)
def test_ids_are_legal_together_as_each_alone(
    ids: list[str], rule: str, limit: int
) -> None:
    alone = all(legal_call_id(each, rule, limit) == each for each in ids)
    assert are_legal(ids, rule, limit) == alone


def test_nine_letters_are_looked_at_one_by_one() -> None:
    assert not are_legal(["abcdefghi"], "alphanumeric9", 9)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ('{"a": 1}', True),
        ("{}", True),
        ("", False),
        (" {}", False),
        ("{}{}", False),
        ('{"a": NaN}', False),
        ('"{}"', False),
        ('{"a":' * 5000 + "1" + "}" * 5000, False),
        ('{"\ud800": 1}', False),
    ],
)
def test_plain_objects(text: str, plain: bool) -> None:
    found = plain_object(text)
    assert (found is not None and bytes(found).decode() == text) == plain
