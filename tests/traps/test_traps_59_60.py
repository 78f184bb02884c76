"""Traps 59 and 60: streams that fail, and must never look as if they had not."""

from __future__ import annotations

import json

import pytest

from llmwire import (
    APIError,
    Attempt,
    Exchange,
    HTTPRequest,
    Profile,
    RemoteProtocolError,
    StreamTranslator,
    translate_error,
    translate_response,
)
from llmwire.dialects import variant
from llmwire.profiles import PROFILES
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

ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)
SSE = (("content-type", "text/event-stream"),)
TIMEOUT = APIError(kind="timeout", message="too slow", status=504)
_PATHS = {
    CHAT: "/v1/chat/completions",
    RESPONSES: "/v1/responses",
    CLAUDE: "/v1/messages",
    GEMINI: "/v1beta/models/m:streamGenerateContent?alt=sse",
}


def _attempt(client: str, upstream: str, *, streamed: bool = True) -> Attempt:
    """What a client of one dialect asks of a server of another."""
    turns = [{"role": "user", "content": "Hi"}]
    body: Object = {"model": "m", "stream": streamed}
    if client == RESPONSES:
        body["input"] = "Hi"
    elif client == GEMINI:
        body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    else:
        body |= {"messages": turns, "max_tokens": 9}
    path = _PATHS[client]
    if not streamed:
        path = path.replace("streamGenerateContent?alt=sse", "generateContent")
    exchange = Exchange(client, created=7.0, id="seed")
    data = json.dumps(body).encode()
    exchange.receive_request(HTTPRequest(method="POST", path=path, body=data))
    return exchange.attempt(upstream, model="up")


def _begun(source: str) -> list[Object]:
    """A stream up to its first word, and no further."""
    if source == CHAT:
        return objects(chat_stream({"role": "assistant", "content": "On"}, finish=None))
    if source == GEMINI:
        return objects(gemini_stream([{"text": "On"}]))[:1]
    if source == CLAUDE:
        text = {"type": "text", "text": ""}, {"type": "text_delta", "text": "On"}
        return objects(claude_stream(text))[:3]
    item: Object = {"id": "msg_7", "type": "message", "role": "assistant"}
    item |= {"status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    place = {"output_index": 0, "item_id": "msg_7", "content_index": 0}
    return objects(
        responses_stream(
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.content_part.added", **place, "part": part},
            {"type": "response.output_text.delta", **place, "delta": "On"},
            output=[],
        )
    )[:4]


def _died(source: str) -> list[list[Object]]:
    """The ways in which a server of a dialect says that it failed."""
    chunk = {"id": "chatcmpl-src", "object": "chat.completion.chunk", "created": 5}
    openrouter = {"code": 502, "message": "Died"}
    stopped = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    response = {"id": "resp_src", "status": "failed"}
    told = {"code": "server_error", "message": "Died"}
    ways: dict[str, list[list[Object]]] = {
        CHAT: [
            [{"error": {"message": "Died", "type": "server_error"}}],
            [{**chunk, "model": "m", "choices": [], "error": openrouter}],
            [{**chunk, "model": "m", "choices": [stopped], "error": openrouter}],
        ],
        CLAUDE: [
            [{"type": "error", "error": {"type": "api_error", "message": "Died"}}]
        ],
        GEMINI: [[{"error": {"code": 500, "message": "Died", "status": "INTERNAL"}}]],
        RESPONSES: [
            [{"type": "response.failed", "response": {**response, "error": told}}],
            [{"type": "error", **told, "param": None}],
            [
                {"type": "error", **told, "param": None},
                {"type": "response.failed", "response": {**response, "error": told}},
            ],
        ],
    }
    return ways[source]


DEATHS = [(source, way) for source in ALL for way in _died(source)]


def _said(event: Object) -> str:
    """The message of an event that says that a stream failed, "" for others."""
    response = event.get("response") or {}
    error = event.get("error") or response.get("error") or {}
    if event.get("type") == "error" and "message" in event:
        return str(event["message"])
    return str(error.get("message", ""))


def _looks_complete(dialect: str, events: list[Object]) -> bool:
    """Whether a client would take the stream for a whole answer."""
    if dialect == CHAT:
        choices = [choice for one in events for choice in one.get("choices", ())]
        return any(one["finish_reason"] not in (None, "error") for one in choices)
    if dialect == GEMINI:
        found = [c for one in events for c in one.get("candidates", ())]
        return any("finishReason" in one for one in found)
    ends = {"message_stop", "response.completed", "response.incomplete"}
    return any(one["type"] in ends for one in events)


# --- 59: a failure in the words of Responses -----------------------------------------


@pytest.mark.parametrize(("source", "way"), DEATHS)
def test_trap_59_failures_are_response_failed(source: str, way: list[Object]) -> None:
    """A client of Responses hears `response.failed`, last, with the id and the number
    of what came before and the error's words; never another dialect's envelope.

    Fails at the type when the proxy's own error object or `event: error` ends the
    stream (clients ignore it and call the stream cut), at the id when a new one is
    made up.
    """
    events, translator = stream(source, RESPONSES, frames(*_begun(source), *way))
    assert translator.error is not None
    last = events[-1]
    assert last["type"] == "response.failed"
    assert last["sequence_number"] == len(events) - 1
    response = last["response"]
    assert response["id"] == events[0]["response"]["id"]
    assert (response["status"], response["error"]["message"]) == ("failed", "Died")
    assert [one["type"] for one in events].count("response.failed") == 1


def test_trap_59_the_counts_so_far_are_told() -> None:
    """What was counted before the failure stands in the terminal event.

    Fails when a failure is written without the usage.
    """
    given = [*_begun(CLAUDE), *_died(CLAUDE)[0]]
    given[0]["message"]["usage"] = {"input_tokens": 11, "output_tokens": 1}
    events, translator = stream(CLAUDE, RESPONSES, frames(*given))
    assert events[-1]["response"]["usage"]["input_tokens"] == 11
    assert translator.usage is not None
    assert translator.usage.fresh == 11


@pytest.mark.parametrize("source", ALL)
def test_trap_59_failures_of_our_own_are_told_alike(source: str) -> None:
    """A timeout or a lost connection ends a begun stream the same way, also where the
    server's own stream is passed through.

    Fails at the type or the id when `fail` writes another form than the translator.
    """
    attempt = _attempt(RESPONSES, source)
    attempt.receive_head(200, SSE)
    out = attempt.receive_data(frames(*_begun(source))) + attempt.fail(TIMEOUT)
    events = objects(out)
    assert attempt.committed
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["message"] == "too slow"
    assert events[-1]["response"]["id"] == events[0]["response"]["id"]
    assert attempt.receive_eof() == b""


def test_trap_59_before_the_stream_it_is_a_status() -> None:
    """A request that fails is answered in the OpenAI envelope with a status.

    Fails when it becomes a stream, or another envelope.
    """
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}'
    reply = translate_error(429, body, CLAUDE, RESPONSES)
    assert reply.status == 429
    error = json.loads(reply.body)["error"]
    assert (error["message"], error["code"]) == ("Slow down", "rate_limit_exceeded")
    attempt = _attempt(RESPONSES, CLAUDE)
    attempt.receive_head(429, (("content-type", "application/json"),))
    out = attempt.receive_data(body) + attempt.receive_eof()
    assert attempt.head is not None
    assert (attempt.head.status, json.loads(out)["error"]) == (429, error)


# --- 60: no failure is a success -----------------------------------------------------


@pytest.mark.parametrize(("source", "way"), DEATHS)
@pytest.mark.parametrize("target", ALL)
def test_trap_60_a_failure_is_told_in_every_dialect(
    source: str, way: list[Object], target: str
) -> None:
    """An error inside a stream ends the client's stream with that error's words, also
    when it comes beside an empty list of choices or a finish reason.

    Fails at the words when the error is a no-op, at `_looks_complete` when the stream
    is ended like a whole answer.
    """
    events, translator = stream(source, target, frames(*_begun(source), *way))
    assert translator.error is not None
    assert translator.stop is None
    assert _said(events[-1]) == "Died"
    assert not _looks_complete(target, events)


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("at", [0, 1, None])
def test_trap_60_a_stream_that_stops_has_failed(
    source: str, target: str, at: int | None
) -> None:
    """Input that ends before its dialect's end is an error: before the first frame,
    after it, and in the middle of the words.

    Fails at `_looks_complete` (message_start, message_delta, message_stop, no counts)
    when the end of input is taken for the end of the answer.
    """
    events, translator = stream(source, target, frames(*_begun(source)[:at]))
    assert translator.error is not None
    assert translator.error.kind == "truncated"
    assert _said(events[-1])
    assert not _looks_complete(target, events)


@pytest.mark.parametrize("target", ALL)
def test_trap_60_half_a_frame_is_no_end(target: str) -> None:
    """A finish that is cut in the middle of its frame was not said.

    Fails when what can be read of it is used.
    """
    data = chat_stream({"content": "On"})
    cut = data[: data.index(b'"stop"')]
    events, translator = stream(CHAT, target, cut)
    assert translator.error is not None
    assert not _looks_complete(target, events)


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("source", ALL)
def test_trap_60_no_200_before_the_first_words(client: str, source: str) -> None:
    """What fails before the first part has an HTTP status, in the client's envelope,
    although the server began with 200.

    Fails at the head when 200 is sent with the first bytes from upstream.
    """
    opening = _begun(source)[:1]
    if source in (CHAT, GEMINI):
        opening = []
    for rest in (_died(source)[0], []):
        attempt = _attempt(client, source)
        attempt.receive_head(200, SSE)
        assert attempt.receive_data(frames(*opening)) == b""
        assert attempt.head is None
        out = attempt.receive_data(frames(*rest)) + attempt.receive_eof()
        assert attempt.head is not None
        assert attempt.head.status >= 500
        assert not attempt.committed
        error = json.loads(out)["error"]
        assert error["message"] == "Died" or not rest


@pytest.mark.parametrize("client", ALL)
def test_trap_60_a_stream_passed_through_that_stops(client: str) -> None:
    """Where the server's own bytes go on, their missing end is still noticed.

    Fails when pass-through ends as its server does.
    """
    attempt = _attempt(client, client)
    attempt.receive_head(200, SSE)
    data = frames(*_begun(client))
    out = attempt.receive_data(data)
    assert out == data
    rest = objects(attempt.receive_eof())
    assert attempt.error is not None
    assert _said(rest[-1])
    assert not _looks_complete(client, rest)


def test_trap_60_done_after_an_error_by_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Chat stream that failed has no `[DONE]`, unless the client's profile wants one.

    Fails when it is always, or never, written.
    """
    stubborn = Profile(name="stubborn", done_after_error=True)
    monkeypatch.setitem(PROFILES, "stubborn", stubborn)
    given = frames(*_begun(CLAUDE), *_died(CLAUDE)[0])
    for target, ends in ((CHAT, False), (variant(CHAT, "st", "stubborn"), True)):
        translator = StreamTranslator(CLAUDE, target)
        out = translator.receive_data(given) + translator.receive_eof()
        assert translator.error is not None
        assert _said(objects(out)[-1]) == "Died"
        assert out.endswith(b"data: [DONE]\n\n") is ends


@pytest.mark.parametrize("target", ALL)
def test_trap_60_a_whole_body_may_be_an_error(target: str) -> None:
    """A body that is an error in spite of its 200 is one for the client, and what
    cannot be read is no answer.

    Fails at `error` when an error object is read as an empty answer; with an answer
    where a broken body is read as one.
    """
    body = b'{"error": {"code": 502, "message": "Died"}}'
    reply = translate_response(body, CHAT, target)
    assert reply.error is not None
    assert json.loads(reply.body)["error"]["message"] == "Died"
    for broken in (b"", b"{}", b"[]", b'{"choices": [{"index": 0', b"<html></html>"):
        with pytest.raises(RemoteProtocolError):
            translate_response(broken, CHAT, target)


@pytest.mark.parametrize("client", ALL)
def test_trap_60_whole_answers_that_fail_have_a_status(client: str) -> None:
    """The same through an attempt: an HTTP status of 500 or more.

    Fails when a 200 of the server is repeated.
    """
    bodies = (
        b'{"error": {"code": 502, "message": "Died"}}',
        b'{"choices": [{"ind',
        b"",
    )
    for body in bodies:
        attempt = _attempt(client, CHAT, streamed=False)
        attempt.receive_head(200, (("content-type", "application/json"),))
        out = attempt.receive_data(body) + attempt.receive_eof()
        assert attempt.head is not None
        assert attempt.head.status >= 500
        assert json.loads(out)["error"]["message"]
        assert not attempt.committed
