"""A call leaves nothing behind that only the cycle collector finds.

Such garbage keeps memory cold until the collector comes, and a server that calms the
collector keeps it for long. The usual kinds: an exception that is kept, and with it the
frames that it passed; an object that holds a method of its owner.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import product
from random import Random
from typing import Any, Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import llmwire
from bench.fuzz.filters import FILTER_CHAINS
from bench.fuzz.targets import Target, targets
from llmwire import Exchange, HTTPRequest, Request, strategies
from llmwire.dialects import ModelInfo, ModelList
from llmwire.events import Event
from llmwire.filters.leaked_calls import find_calls
from llmwire.filters.loops import LoopDetector
from llmwire.filters.think import split_thoughts
from llmwire.json_repair import (
    JSONRepairError,
    preview_json,
    repair_arguments,
    repair_json,
)
from llmwire.limits import Limits
from llmwire.losses import FEATURES, Policy
from tests.garbage import collector_still, cycles_left, told

DIALECTS: Final = ("openai-chat", "openai-responses", "anthropic", "gemini")
PAIRS: Final = tuple(product(DIALECTS, DIALECTS))
HELLO: Final = [{"role": "user", "content": "Hi"}]
COUNTED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "openai-responses": ("/v1/responses/input_tokens", {"model": "m", "input": "Hi"}),
    "anthropic": ("/v1/messages/count_tokens", {"model": "m", "messages": HELLO}),
    "gemini": (
        "/v1beta/models/m:countTokens",
        {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    ),
}
REFUSED: Final[dict[str, tuple[str, tuple[bytes, ...]]]] = {
    "openai-chat": (
        "/v1/chat/completions",
        (
            b"{",
            b"[]",
            b'{"model": "m"}',
            b'{"model": "m", "messages": [{"role": "x"}]}',
            b'{"model": "m", "messages": [{"role": "user", "content": [{"type": 1}]}]}',
            b'{"model": "m", "messages": [], "tools": [{"type": "function"}]}',
        ),
    ),
    "openai-responses": (
        "/v1/responses",
        (
            b"{",
            b'{"model": "m", "input": 1}',
            b'{"model": "m", "input": [{"type": "message", "role": 1}]}',
            b'{"model": "m", "input": "Hi", "previous_response_id": "r"}',
        ),
    ),
    "anthropic": (
        "/v1/messages",
        (
            b"{",
            b'{"model": "m", "messages": 1}',
            b'{"model": "m", "messages": [{"role": "user", "content": [{"type": 1}]}]}',
            b'{"model": "m", "messages": [{"role": "user", "content": [{}]}]}',
        ),
    ),
    "gemini": (
        "/v1beta/models/m:generateContent",
        (
            b"{",
            b'{"contents": 1}',
            b'{"contents": [{"parts": [{"text": 1}]}]}',
            b'{"contents": [{"parts": [{"text": "Hi"}]}], "cachedContent": "c"}',
        ),
    ),
}
DROPPED: Final[Policy] = dict.fromkeys(FEATURES, "drop")
STREAMED: Final = (("content-type", "text/event-stream"),)
WHOLE: Final = (("content-type", "application/json"),)
FEW: Final = settings(
    max_examples=12, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
"""For each pair, framing and kind: together these are thousands of calls. What is told
of a cycle does not get clearer by making the call smaller."""


@pytest.fixture(autouse=True, scope="module")
def still() -> Iterator[None]:
    with collector_still():
        yield


def _asked(made: Request, client: str, *, stream: bool) -> HTTPRequest:
    """A client's request as it comes."""
    made = replace(made, stream=stream or None, model=made.model or "m")
    return llmwire.encode_request(made, client, policy=DROPPED).http


def _converse(
    client: str,
    upstream: str,
    http: HTTPRequest,
    answer: Iterable[bytes] = (),
    *,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = WHOLE,
    limits: Limits | None = None,
    **options: Any,
) -> bytes:
    """All of a call: what the client is given."""
    exchange = Exchange(client, created=1.0, id="x", limits=limits)
    try:
        if exchange.receive_request(http) is None:
            return exchange.reply(ModelList(models=(ModelInfo(id="m"),))).body
        attempt = exchange.attempt(upstream, **options)
    except (llmwire.RemoteProtocolError, llmwire.UnsupportedFeature) as error:
        assert error.reply is not None
        return error.reply.body
    attempt.receive_head(status, headers)
    out = b"".join(map(attempt.receive_data, answer)) + attempt.receive_eof()
    assert attempt.done
    _ask(attempt)
    return out


def _ask(attempt: llmwire.Attempt) -> tuple[object, ...]:
    """What a server wants to know of a call."""
    told_of = attempt.losses, attempt.usage, attempt.stop, attempt.error
    return (attempt.head, attempt.first_output, attempt.committed, *told_of)


def _streamed(upstream: str, events: Iterable[Event]) -> bytes:
    encoder = llmwire.StreamEncoder(upstream, created=1.0, id="y")
    return b"".join(map(encoder.send, events))


# --- Pairs -----------------------------------------------------------------------


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@pytest.mark.parametrize("stream", [False, True])
@FEW
@given(st.data())
def test_whole_answers(
    client: str, upstream: str, stream: bool, data: st.DataObject
) -> None:
    http = _asked(data.draw(strategies.requests(client)), client, stream=stream)
    response = data.draw(strategies.responses(upstream))
    body = llmwire.encode_response(response, upstream, created=1.0, id="y").body
    assert cycles_left(partial(_converse, client, upstream, http, [body])) == []


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@pytest.mark.parametrize("stream", [False, True])
@FEW
@given(st.data())
def test_streamed_answers(
    client: str, upstream: str, stream: bool, data: st.DataObject
) -> None:
    http = _asked(data.draw(strategies.requests(client)), client, stream=stream)
    wire = _streamed(upstream, data.draw(strategies.sentences(upstream)))
    pieces = data.draw(strategies.chunks(wire))
    work = partial(
        _converse,
        client,
        upstream,
        http,
        pieces,
        headers=STREAMED,
        observe=data.draw(st.booleans()),
    )
    assert cycles_left(work) == []


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@FEW
@given(st.data())
def test_broken_answers(client: str, upstream: str, data: st.DataObject) -> None:
    stream = data.draw(st.booleans())
    http = _asked(data.draw(strategies.requests(client)), client, stream=stream)
    if data.draw(st.booleans()):
        wire = data.draw(strategies.hostile_bytes(upstream))
    else:
        wire = _streamed(upstream, data.draw(strategies.sentences(upstream)))
        wire = wire[: data.draw(st.integers(0, len(wire)))]
    headers = data.draw(st.sampled_from((STREAMED, WHOLE, ())))
    limits = data.draw(st.sampled_from((None, Limits(frame=200), Limits(body=2000))))
    pieces = data.draw(strategies.chunks(wire))
    work = partial(
        _converse, client, upstream, http, pieces, headers=headers, limits=limits
    )
    assert cycles_left(work) == []


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@FEW
@given(st.data())
def test_errors(client: str, upstream: str, data: st.DataObject) -> None:
    stream = data.draw(st.booleans())
    http = _asked(data.draw(strategies.requests(client)), client, stream=stream)
    error = data.draw(strategies.errors(upstream))
    reply = llmwire.dialects.get(upstream).encode_error(error)
    body = data.draw(st.sampled_from((reply.body, b"", b"<html>", b'{"error": 1}')))
    work = partial(_converse, client, upstream, http, [body], status=reply.status)
    assert cycles_left(work) == []


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@FEW
@given(st.data())
def test_attempts_that_are_held_and_fail(
    client: str, upstream: str, data: st.DataObject
) -> None:
    stream = data.draw(st.booleans())
    http = _asked(data.draw(strategies.requests(client)), client, stream=stream)
    wire = _streamed(upstream, data.draw(strategies.sentences(upstream)))
    wire = wire[: data.draw(st.integers(0, len(wire)))]
    held = data.draw(st.booleans())

    def work() -> None:
        exchange = Exchange(client, created=1.0, id="x")
        exchange.receive_request(http)
        try:
            attempt = exchange.attempt(upstream)
        except llmwire.UnsupportedFeature:
            return
        if held:
            attempt.hold()
        attempt.receive_head(200, STREAMED)
        attempt.receive_data(wire)
        attempt.keepalive(commit=True)
        attempt.fail(llmwire.APIError(kind="timeout", message="m", status=504))
        attempt.release()
        with pytest.raises(llmwire.LocalProtocolError):
            attempt.receive_head(200, STREAMED)

    assert cycles_left(work) == []


@pytest.mark.parametrize(("client", "upstream"), tuple(product(COUNTED, DIALECTS)))
def test_counting(client: str, upstream: str) -> None:
    path, body = COUNTED[client]
    http = HTTPRequest(method="POST", path=path, body=json.dumps(body).encode())
    for said in (b'{"input_tokens": 9}', b'{"totalTokens": 9}', b"[", b""):
        assert cycles_left(partial(_converse, client, upstream, http, [said])) == []


@pytest.mark.parametrize("client", DIALECTS)
def test_refusals(client: str) -> None:
    path, bodies = REFUSED[client]
    for body, upstream in product(bodies, DIALECTS):
        http = HTTPRequest(method="POST", path=path, body=body)
        work = partial(_converse, client, upstream, http)
        assert b'"error"' in work()
        assert cycles_left(work) == []
    large = HTTPRequest(method="POST", path=path, body=b" " * 99)
    work = partial(_converse, client, client, large, limits=Limits(body=9))
    assert b'"error"' in work()
    assert cycles_left(work) == []


@pytest.mark.parametrize("client", DIALECTS)
def test_other_calls(client: str) -> None:
    path = "/v1beta/models" if client == "gemini" else "/v1/models"
    for method in ("GET", "PUT"):
        http = HTTPRequest(method=method, path=path)
        assert cycles_left(partial(_converse, client, client, http)) == []


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@FEW
@given(st.data())
def test_losses_that_are_refused(
    client: str, upstream: str, data: st.DataObject
) -> None:
    http = _asked(data.draw(strategies.requests(client)), client, stream=False)
    work = partial(_converse, client, upstream, http, on_loss="refuse")
    assert cycles_left(work) == []


# --- Without an exchange -----------------------------------------------------------


@pytest.mark.parametrize(("source", "target"), PAIRS)
@FEW
@given(st.data())
def test_translations(source: str, target: str, data: st.DataObject) -> None:
    http = _asked(data.draw(strategies.requests(source)), source, stream=True)
    response = data.draw(strategies.responses(target))
    body = llmwire.encode_response(response, target).body
    wire = _streamed(target, data.draw(strategies.sentences(target)))

    def work() -> None:
        context = None
        with suppress(llmwire.UnsupportedFeature):
            context = llmwire.translate_request(http, source, target).context
        llmwire.translate_response(body, target, source, context=context)
        llmwire.translate_error(500, b"{}", target, source)
        stream = llmwire.StreamTranslator(target, source, context=context)
        stream.receive_data(wire)
        stream.receive_eof()
        assert stream.done

    assert cycles_left(work) == []


@FEW
@given(st.sampled_from((None, *DIALECTS)).flatmap(strategies.ungrammatical_sentences))
def test_sentences_that_are_none(events: Sequence[Event]) -> None:
    def check() -> None:
        with pytest.raises(llmwire.LocalProtocolError):
            llmwire.grammar.check(events)

    assert cycles_left(check) == []
    for name in DIALECTS:
        assert cycles_left(partial(_streamed, name, events)) == []


@given(st.sampled_from((None, *DIALECTS)).flatmap(strategies.responses))
def test_folds(response: llmwire.Response) -> None:
    assert cycles_left(lambda: llmwire.fold(llmwire.unfold(response))) == []


# --- Whatever is fuzzed ------------------------------------------------------------


class Thorough(Random):
    """Chooses to check everything, with the usual limits."""

    def random(self) -> float:
        return 0.0


def _run(target: Target, data: bytes, chooser: type[Random], seed: int) -> None:
    target.run(data, chooser(seed))


CORE: Final = [one for one in targets() if not one.name.startswith("http/")]


@pytest.mark.parametrize("target", CORE, ids=lambda target: target.name)
def test_decoders_and_filters(target: Target) -> None:
    feed, rng = target.feed(None), Random(target.name)
    for at in range(15):
        data = feed.draw(rng)
        for chooser in (Random, Thorough):
            assert cycles_left(partial(_run, target, data, chooser, at)) == []


def test_every_filter_is_among_them() -> None:
    assert {f"filter/{name}" for name in FILTER_CHAINS} < {one.name for one in CORE}


@given(st.sampled_from(DIALECTS), st.data())
def test_filters_that_translations_need(name: str, data: st.DataObject) -> None:
    http = _asked(data.draw(strategies.requests(name)), name, stream=True)
    wire = _streamed(name, data.draw(strategies.sentences(name)))
    call = llmwire.translate_request(http, name, name, policy=DROPPED)
    tags = (("<think>", "</think>"),)
    context = replace(
        call.context,
        stops=("a", "b c"),
        names={"get": "got"},
        custom=("free",),
        json_tool="out",
        profile=replace(call.context.profile, think_tags=tags),
    )
    assert len(context.filters()) == 3

    def work() -> None:
        stream = llmwire.StreamTranslator(name, name, context=context)
        stream.receive_data(wire)
        stream.receive_eof()

    assert cycles_left(work) == []


TEXTS: Final = (
    '{"a": 1}',
    "{'a': 1,}",
    '```json\n{"a": "b "c" d"}\n```',
    'Here: {"a": [1, 2}',
    "no document",
    "{{{",
    '{"a" 1',
    "{a: (1, 2), ...}",
    "[" * 3000,
    '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>',
    "<think>Hm.</think>So.",
    "again and again " * 40,
)


def _each_way(text: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    ways: tuple[Callable[[], object], ...] = (
        lambda: repair_json(text),
        lambda: repair_json(text, truncated=True),
        lambda: repair_json(text, loose=True),
        lambda: repair_arguments(text, schema),
        lambda: preview_json(text),
    )
    for way in ways:
        try:
            way()
        except JSONRepairError as error:
            assert str(error)
    find_calls(text, {"f": llmwire.Tool(name="f")})
    split_thoughts(text)
    LoopDetector().feed(text)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_without_events(text: str) -> None:
    assert cycles_left(partial(_each_way, text)) == []


# --- The law can fail --------------------------------------------------------------


class _Owner:
    def __init__(self) -> None:
        self.helper = _Helper(self.work)

    def work(self) -> None: ...


class _Helper:
    def __init__(self, work: Callable[[], None]) -> None:
        self.kept = work


def _keep_an_error() -> None:
    kept = None
    try:
        raise ValueError("x")
    except ValueError as error:
        kept = error
    assert kept is not None


def test_an_owner_that_its_helper_holds_is_told() -> None:
    [line] = cycles_left(_Owner)
    assert line.startswith("1 x ")
    for name in ("_Owner", "_Helper", "method tests.test_garbage._Owner.work"):
        assert name in line


def test_an_error_that_is_kept_is_told() -> None:
    [line] = cycles_left(_keep_an_error)
    assert "ValueError -> builtins.traceback -> frame" in line
    assert line.endswith("_keep_an_error -> builtins.ValueError")


def test_what_is_left_once_is_no_garbage_of_calls() -> None:
    runs: list[int] = []

    def learn() -> None:
        runs.append(len(runs))
        if len(runs) < 3:
            _Owner()

    assert cycles_left(learn) == []
    assert len(runs) == 3


def test_what_only_hangs_on_a_cycle_is_not_told() -> None:
    ring: list[Any] = [["hanging"]]
    ring.append(ring)
    assert told([ring, ring[0]]) == ["1 x builtins.list -> builtins.list"]
    assert told([ring[0]]) == []


def test_the_collector_is_as_it_was() -> None:
    assert not gc.isenabled()
    gc.enable()
    try:
        flags = gc.get_debug()
        with pytest.raises(ZeroDivisionError):
            cycles_left(lambda: 1 / 0)
        assert gc.isenabled()
        with collector_still():
            assert not gc.isenabled()
        assert (gc.isenabled(), gc.get_debug(), gc.garbage) == (True, flags, [])
    finally:
        gc.disable()
