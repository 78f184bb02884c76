"""Traps 45 to 48: cache marks, chunks without choices, counting tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire import (
    Exchange,
    HTTPRequest,
    Loss,
    Profile,
    decode_request,
    estimate_tokens,
)
from llmwire.profiles import resolve
from llmwire_server.backends import Backend
from llmwire_server.call import Call, Pipeline, Upstreams
from llmwire_server.config import Config
from llmwire_server.upstream.memory import MemoryTransport
from llmwire_server.upstream.simulator import Simulator
from tests.server.calling import Client, Reply
from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    ask,
    frames,
    stream,
    whole,
)
from tests.traps.reading import read_stream

ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)
SHORT: Object = {"type": "ephemeral"}
LONG: Object = {"type": "ephemeral", "ttl": "1h"}
SCHEMA: Object = {
    "type": "object",
    "properties": {"cache_control": {"type": "object", "default": LONG}},
}
INPUT: Object = {"cache_control": LONG, "depth": 3}


def _marked() -> Object:
    """A request with a mark everywhere but at the top, and the word in data too."""
    call = {"type": "tool_use", "id": "toolu_7", "name": "dig", "input": INPUT}
    result = {"type": "tool_result", "tool_use_id": "toolu_7", "content": "Deep."}
    return {
        "model": "m",
        "max_tokens": 99,
        "system": [{"type": "text", "text": "Rules.", "cache_control": LONG}],
        "tools": [{"name": "dig", "input_schema": SCHEMA, "cache_control": LONG}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "Dig.", "cache_control": SHORT}],
            },
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [{**result, "cache_control": SHORT}]},
        ],
    }


PLACES = ["messages[0].parts[0].cache", "messages[1].parts[0].cache"]
PLACES += ["messages[3].parts[0].cache", "tools[0].cache"]


def _marks(losses: tuple[Loss, ...], action: str) -> list[str]:
    return sorted(
        one.path
        for one in losses
        if one.feature == "cache.mark" and one.action == action
    )


# --- 45: marks are never dropped in silence ------------------------------------------


@pytest.mark.parametrize(
    ("target", "model"),
    [(CHAT, "gpt-4o"), (RESPONSES, "gpt-4o"), (GEMINI, "gemini-3-pro")],
)
def test_trap_45_marks_that_cannot_be_said_are_losses(target: str, model: str) -> None:
    """Each mark that a server cannot take is one loss, at its own place.

    Fails at the list of places when one of system, tools, messages or results drops
    its mark without a word; with UnsupportedFeature when a mark refuses the request.
    """
    body, call = ask(CLAUDE, target, _marked(), model=model)
    assert _marks(call.losses, "dropped") == PLACES
    text = json.dumps(body).replace("\\", "")
    assert "ephemeral" not in text.replace(json.dumps(LONG), "")
    top = {**_marked(), "cache_control": SHORT}
    _, call = ask(CLAUDE, target, top, model=model)
    assert _marks(call.losses, "dropped") == ["cache", *PLACES]


@pytest.mark.parametrize("target", [CHAT, RESPONSES])
def test_trap_45_marks_become_the_targets_own(target: str) -> None:
    """Models with breakpoints of their own get them, with the nearest time to live.

    Fails at the breakpoints when marks are dropped where the target has a form for
    them, at the losses when those that have none are not told.
    """
    body, call = ask(CLAUDE, target, _marked(), model="gpt-5.6")
    turns = body["messages" if target == CHAT else "input"]
    system, user = turns[0]["content"][0], turns[1]["content"][0]
    assert system["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "12h"}
    assert user["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert _marks(call.losses, "approximated") == ["messages[0].parts[0].cache.ttl"]
    assert _marks(call.losses, "dropped") == PLACES[2:]


def test_trap_45_marks_of_compatible_servers() -> None:
    """OpenRouter takes Anthropic's own form in Chat.

    Fails when marks go only to the vendor's own dialect.
    """
    body, _ = ask(CLAUDE, CHAT, _marked(), profile="openrouter")
    assert body["messages"][0]["content"][0]["cache_control"] == LONG
    assert body["messages"][1]["content"][0]["cache_control"] == SHORT


def test_trap_45_marks_survive_their_own_dialect() -> None:
    """Every mark comes back as it was, the request's own too.

    Fails when any of the places is not carried.
    """
    asked = {**_marked(), "cache_control": SHORT}
    assert ask(CLAUDE, CLAUDE, asked)[0] == asked


# --- 46: what a server knows of marks ------------------------------------------------


def test_trap_46_the_time_to_live_is_a_fact_about_the_server() -> None:
    """Servers of Anthropic's dialect that do not know one hour get the mark without.

    Fails at the mark when `ttl` is sent, or the whole mark dropped; at the loss when
    it is shortened in silence.
    """
    body, call = ask(CLAUDE, CLAUDE, _marked(), profile="anthropic-compatible")
    assert body["system"][0]["cache_control"] == SHORT
    assert body["tools"][0]["cache_control"] == SHORT
    assert _marks(call.losses, "approximated") == [
        "messages[0].parts[0].cache.ttl",
        "tools[0].cache.ttl",
    ]
    assert _marks(call.losses, "dropped") == []
    body, call = ask(CLAUDE, CLAUDE, _marked(), profile="anthropic")
    assert body["system"][0]["cache_control"] == LONG
    assert call.losses == ()


def test_trap_46_a_mark_on_the_whole_request() -> None:
    """Servers that do not know it at the top are not sent it there.

    Fails at the missing member when it is passed on, at the loss when it vanishes, at
    the four marks when the dropped one still counts among them.
    """
    asked = {**_marked(), "cache_control": SHORT}
    body, call = ask(CLAUDE, CLAUDE, asked, profile="anthropic-compatible")
    assert "cache_control" not in body
    assert _marks(call.losses, "dropped") == ["cache"]
    assert ask(CLAUDE, CLAUDE, asked)[0]["cache_control"] == SHORT


def test_trap_46_servers_without_marks() -> None:
    """A server that takes no marks at all gets none, anywhere.

    Fails when the flag covers only some of the places.
    """
    bare = replace(resolve(CLAUDE, "anthropic-compatible"), cache_marks=False)
    body, call = ask(CLAUDE, CLAUDE, _marked(), profile=bare)
    assert _marks(call.losses, "dropped") == PLACES
    assert json.dumps(body).count("ephemeral") == 2  # in the schema and the input


@pytest.mark.parametrize(
    "profile", ["anthropic", "anthropic-compatible", Profile(cache_marks=False)]
)
def test_trap_46_data_is_not_touched(profile: Any) -> None:
    """`cache_control` inside a call's input or a schema is the client's own data.

    Fails when marks are removed by walking the body for the name.
    """
    body, _ = ask(CLAUDE, CLAUDE, _marked(), profile=profile)
    assert body["tools"][0]["input_schema"] == SCHEMA
    assert body["messages"][1]["content"][0]["input"] == INPUT
    for target in (CHAT, RESPONSES, GEMINI):
        text = json.dumps(ask(CLAUDE, target, _marked(), model="m")[0])
        flat = text.replace("\\", "")
        assert json.dumps(SCHEMA) in flat
        assert json.dumps(INPUT) in flat


# --- 47: chunks without choices ------------------------------------------------------

_HEAD: Object = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 5}
_FILTERS = [
    {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}
]


def _azure() -> bytes:
    head = {**_HEAD, "model": "m"}
    text = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}
    stop: Object = {"index": 0, "delta": {}, "finish_reason": "stop"}
    return frames(
        {
            **_HEAD,
            "id": "",
            "model": "",
            "choices": [],
            "prompt_filter_results": _FILTERS,
        },
        {**head, "choices": []},
        {**head, "choices": [text]},
        {**head, "choices": [stop]},
        {
            **head,
            "choices": [],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        },
        done=True,
    )


@pytest.mark.parametrize("target", ALL)
def test_trap_47_chunks_without_choices_are_legal(target: str) -> None:
    """The first chunk may hold filter results only, another nothing, the last usage.

    Fails with an error or without the text when `choices[0]` is taken for granted, at
    the usage when such a chunk is skipped, at `id` when the first chunk's empty id is
    the message's.
    """
    events, translator = stream(CHAT, target, _azure())
    assert (translator.error, translator.stop) == (None, "end")
    assert translator.usage is not None
    assert (translator.usage.fresh, translator.usage.output) == (5, 2)
    held = read_stream(target, [one for one in events if one.get("choices") != []])
    assert "'Hi'" in str(held)
    if target == CHAT:
        assert {one["id"] for one in events} == {"chatcmpl-7"}
        filters = [one for one in events if "prompt_filter_results" in one]
        assert [one["prompt_filter_results"] for one in filters] == [_FILTERS]
    else:
        told = [one for one in translator.losses if one.feature == "extras"]
        assert [one.path for one in told] == ["extras[prompt_filter_results]"]


@pytest.mark.parametrize("target", ALL)
def test_trap_47_an_answer_without_any_choice(target: str) -> None:
    """No choice at all, streamed or whole, is an answer that says nothing.

    Fails with an exception when the first choice is taken for granted.
    """
    used = {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}
    nothing: Object = {**_HEAD, "model": "m", "choices": [], "usage": used}
    events, translator = stream(CHAT, target, frames(nothing, done=True))
    assert (translator.error, translator.stop) == (None, "other")
    assert events
    assert whole(CHAT, target, {**nothing, "object": "chat.completion"})[0]


# --- 48: counting tokens -------------------------------------------------------------

_COUNTED: dict[str, tuple[str, Object]] = {
    CLAUDE: ("/v1/messages/count_tokens", {"input_tokens": 12}),
    GEMINI: ("/v1beta/models/m:countTokens", {"totalTokens": 12}),
    RESPONSES: (
        "/v1/responses/input_tokens",
        {"object": "response.input_tokens", "input_tokens": 12},
    ),
}
_QUESTION: dict[str, Object] = {
    CLAUDE: {"model": "m", "messages": [{"role": "user", "content": "How long?"}]},
    GEMINI: {"contents": [{"role": "user", "parts": [{"text": "How long?"}]}]},
    RESPONSES: {"model": "m", "input": "How long?"},
}


def _counting(source: str, body: Object | None = None) -> Exchange:
    exchange = Exchange(source)
    data = json.dumps(body or _QUESTION[source]).encode()
    path = _COUNTED[source][0]
    exchange.receive_request(HTTPRequest(method="POST", path=path, body=data))
    return exchange


@pytest.mark.parametrize("source", [RESPONSES, CLAUDE, GEMINI])
@pytest.mark.parametrize("target", [RESPONSES, CLAUDE, GEMINI])
def test_trap_48_counting_is_translated(source: str, target: str) -> None:
    """A question for a count goes to the server's own way of counting, and the number
    comes back in the client's form.

    Fails at the operation or the path when the sub-route is unknown, at the body when
    the answer is taken for a message.
    """
    exchange = _counting(source)
    assert exchange.operation == "count_tokens"
    attempt = exchange.attempt(target, model="m")
    assert attempt.http.path == _COUNTED[target][0]
    assert "How long?" in attempt.http.body.decode()
    attempt.receive_head(200, (("content-type", "application/json"),))
    answer = json.dumps(_COUNTED[target][1]).encode()
    out = attempt.receive_data(answer) + attempt.receive_eof()
    assert json.loads(out) == _COUNTED[source][1]
    assert attempt.head is not None
    assert attempt.head.status == 200


def test_trap_48_everything_that_is_sent_is_asked_for() -> None:
    """Instructions and tools are part of what is counted.

    Fails when only the messages are put into the question.
    """
    tool = {"name": "dig", "input_schema": {"type": "object", "properties": {}}}
    body = {**_QUESTION[CLAUDE], "system": "Be brief.", "tools": [tool]}
    for target in (RESPONSES, CLAUDE, GEMINI):
        sent = _counting(CLAUDE, body).attempt(target, model="m").http.body
        assert b"Be brief." in sent
        assert b'"dig"' in sent


_WORDS = "word " * 200


@pytest.mark.parametrize(
    ("role", "block"),
    [
        ("user", {"type": "text", "text": _WORDS}),
        ("assistant", {"type": "thinking", "thinking": _WORDS, "signature": "c2ln"}),
        (
            "assistant",
            {"type": "tool_use", "id": "t", "name": "f", "input": {"k": _WORDS}},
        ),
        (
            "assistant",
            {
                "type": "server_tool_use",
                "id": "srvtoolu_1",
                "name": "web_search",
                "input": {"query": _WORDS},
            },
        ),
        ("user", {"type": "tool_result", "tool_use_id": "t", "content": _WORDS}),
        (
            "user",
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "text", "text": _WORDS}],
            },
        ),
        (
            "user",
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": _WORDS},
            },
        ),
        (
            "user",
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"},
            },
        ),
        ("user", {"type": "a_new_block", "words": _WORDS}),
    ],
)
def test_trap_48_the_estimate_counts_every_block(role: str, block: Object) -> None:
    """A thousand characters weigh at least 200 tokens in whatever block they stand.

    Fails for the block whose kind is not counted.
    """
    asked: Object = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    more = {
        **asked,
        "messages": [*asked["messages"], {"role": role, "content": [block]}],
    }
    small, large = (
        estimate_tokens(decode_request(json.dumps(one).encode(), CLAUDE))
        for one in (asked, more)
    )
    assert small.estimated
    assert large.input - small.input >= 200


def test_trap_48_the_estimate_counts_instructions_and_tools() -> None:
    """They weigh what they are long.

    Fails when only the messages are counted.
    """
    asked: Object = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    tool = {"name": "dig", "description": _WORDS, "input_schema": {"title": _WORDS}}
    more = {**asked, "system": _WORDS, "tools": [tool]}
    counts = [
        estimate_tokens(decode_request(json.dumps(one).encode(), CLAUDE)).input
        for one in (asked, more)
    ]
    assert counts[1] - counts[0] >= 600


async def _served(dialect: str, status: int, body: bytes) -> tuple[Reply, list[str]]:
    """What a client of Anthropic gets for a count, from a server of `dialect`."""
    transport = MemoryTransport(lambda request: (status, (), (body,)))
    backend = Backend(name="b", dialect=dialect, base_url="http://memory/v1")
    config = Config(backends={"b": backend}, default_backend="b")
    exchange = Exchange(CLAUDE, created=1.0, id="seed")
    http = HTTPRequest(
        method="POST",
        path=_COUNTED[CLAUDE][0],
        body=json.dumps(_QUESTION[CLAUDE]).encode(),
    )
    client = Client(b"")
    await client.receive()
    pipeline = Pipeline(config, Upstreams(transport, Simulator((), 0.0)))
    call = Call(exchange, pipeline)
    await call.run(http, client.receive, client)
    asked = [one.request.target for one in transport.exchanges]
    return client.reply, asked


_NOT_FOUND = b'{"type":"error","error":{"type":"not_found_error","message":"no"}}'
_EXACT = b'{"input_tokens": 12}'


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("dialect", "status", "body", "estimated"),
    [
        (CLAUDE, 200, _EXACT, False),
        (CLAUDE, 404, _NOT_FOUND, True),
        (CLAUDE, 405, b"", True),
        (CLAUDE, 501, b"", True),
        (CHAT, 200, b"", True),
    ],
)
async def test_trap_48_an_estimate_says_that_it_is_one(
    dialect: str, status: int, body: bytes, estimated: bool
) -> None:
    """Where nobody counts, the client gets an estimate instead of a 404, with a header
    that says so; an exact number has no such header.

    Fails at the status when the server's 404 goes on, at the header when an estimate
    looks exact or an exact number like an estimate.
    """
    reply, asked = await _served(dialect, status, body)
    assert reply.status == 200
    assert (reply.headers.get("x-llmwire-estimated") == "true") is estimated
    count = reply.json["input_tokens"]
    assert count == 12 if not estimated else 0 < count < 12
    assert len(asked) == (0 if dialect == CHAT else 1)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_trap_48_other_errors_are_not_hidden() -> None:
    """Only "I cannot count" is answered with an estimate.

    Fails when every error is.
    """
    body = b'{"type":"error","error":{"type":"authentication_error","message":"no"}}'
    reply, _ = await _served(CLAUDE, 401, body)
    assert reply.status == 401
    assert "x-llmwire-estimated" not in reply.headers
