"""Tests of `llmwire.exchange`: what was asked, replies without an upstream, and when
the client's own bytes go on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire import profiles, strategies
from llmwire._seal import seal
from llmwire.dialects import ModelInfo, ModelList
from llmwire.errors import (
    LimitExceeded,
    LocalProtocolError,
    RemoteProtocolError,
    UnsupportedFeature,
)
from llmwire.exchange import Exchange, _known_head
from llmwire.http import HTTPRequest
from llmwire.limits import Limits
from llmwire.losses import FEATURES
from llmwire.messages import APIError, Choice, Response, Signature, TextPart, TokenCount
from llmwire.profiles import MODEL_RULES, ModelRule, Profile
from llmwire.requests import Request
from llmwire.translate import encode_request
from tests.toys import OTHER, SILENT, TOY, frame

BODY = b'{ "model": "m", "ask": "why", "seed": 7 }'
ANSWER = Response(id="1", choices=(Choice(parts=(TextPart("so"),), stop="end"),))


def _post(path: str = "/text", body: bytes = BODY) -> HTTPRequest:
    return HTTPRequest(method="POST", path=path, body=body)


def _received(body: bytes = BODY, path: str = "/text") -> Exchange:
    exchange = Exchange(TOY, created=1.0, id="seed")
    exchange.receive_request(_post(path, body))
    return exchange


def _json(body: bytes) -> Any:
    return json.loads(body)


# --- What is asked ---------------------------------------------------------------


def test_the_path_says_what_is_asked() -> None:
    exchange = Exchange(TOY)
    assert (exchange.operation, exchange.context) == ("other", None)
    assert exchange.receive_request(_post()) is not None
    assert (exchange.operation, exchange.framing) == ("generate", "sse")
    exchange = Exchange(TOY)
    assert exchange.receive_request(_post("/text/count")) is not None
    assert exchange.operation == "count_tokens"
    listed = HTTPRequest(method="GET", path="/text/models")
    exchange = Exchange(TOY)
    assert exchange.receive_request(listed) is None
    assert exchange.operation == "models"
    exchange = Exchange(TOY)
    one = HTTPRequest(method="GET", path="/text/models/m")
    assert exchange.receive_request(one) is None
    assert (exchange.operation, exchange.model) == ("model", "m")


@pytest.mark.parametrize(
    ("http", "status"),
    [
        (_post("/nowhere"), 404),
        (HTTPRequest(method="PUT", path="/text"), 404),
        (_post(body=b"{"), 400),
        (_post(body=b"[]"), 400),
    ],
)
def test_mistakes_are_answered_in_the_clients_envelope(
    http: HTTPRequest, status: int
) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        Exchange(TOY).receive_request(http)
    assert raised.value.reply is not None
    assert raised.value.reply.status == status
    assert _json(raised.value.reply.body)["error"]


def test_too_much_is_413() -> None:
    with pytest.raises(LimitExceeded) as raised:
        Exchange(TOY, limits=Limits(body=3)).receive_request(_post())
    assert raised.value.reply is not None
    assert raised.value.reply.status == 413
    assert _json(raised.value.reply.body)["kind"] == "too_large"


# --- Replies without an upstream ---------------------------------------------------


def test_values_are_written_in_the_clients_dialect() -> None:
    exchange = _received()
    model = ModelInfo(id="m")
    for value, body in (
        (TokenCount(input=5), {"count": 5}),
        (ModelList(models=(model,)), ["m"]),
        (model, "m"),
        (ANSWER, {"id": "1", "text": "so", "stop": "end"}),
    ):
        reply = exchange.reply(value)
        assert (reply.status, _json(reply.body)) == (200, body)
        assert reply.headers == (("content-type", "application/json"),)
    error = APIError(kind="overloaded", message="down", status=503)
    assert exchange.reply(error).status == 503


def test_an_answer_may_come_without_a_request() -> None:
    assert _json(Exchange(TOY).reply(ANSWER).body)["text"] == "so"


@pytest.mark.parametrize(
    ("path", "kind", "end"),
    [
        ("/text", "text/event-stream; charset=utf-8", frame()),
        ("/text?json-array", "application/json", b"END\n"),
    ],
)
def test_an_answer_is_streamed_to_who_asked_for_it(
    path: str, kind: str, end: bytes
) -> None:
    reply = _received(b'{"model": "m", "stream": true}', path).reply(ANSWER)
    assert reply.headers == (("content-type", kind),)
    assert reply.body.endswith(end)


def test_the_context_of_a_request() -> None:
    context = _received(b'{"model": "m", "usage": true}').context
    assert context is not None
    assert (context.source, context.target) == (TOY.name, TOY.name)
    assert context.include_usage
    assert context.echo is not None


def test_a_forgotten_request_leaves_its_attempt() -> None:
    exchange = _received()
    attempt = exchange.attempt(TOY)
    exchange.forget_request()
    assert exchange.context is None
    with pytest.raises(LocalProtocolError, match="no request"):
        exchange.attempt(TOY)
    assert attempt.http.body == BODY
    attempt.forget_request()
    assert (attempt.http.method, attempt.http.body) == ("POST", b"")
    attempt.receive_head(200, ())
    attempt.receive_data(b'{"text": "a", "stop": "end"}')
    assert b'"a"' in attempt.receive_eof()


# --- Attempts --------------------------------------------------------------------


def test_an_attempt_needs_a_request() -> None:
    with pytest.raises(LocalProtocolError, match="no request"):
        Exchange(TOY).attempt(OTHER)


def test_another_dialect_gets_a_translation() -> None:
    attempt = _received().attempt(OTHER, model="big", tag="t")
    assert _json(attempt.http.body) == {"model": "big", "TEXT": "asked", "seed": "7"}
    assert attempt.context.source == TOY.name
    assert attempt.context.echo is not None
    assert attempt.context.tag == "t"


def test_the_same_dialect_gets_the_clients_own_bytes() -> None:
    assert _received().attempt(TOY).http.body == BODY
    exchange = Exchange(TOY)
    request = exchange.receive_request(_post())
    assert exchange.attempt(TOY, request).http.body == BODY


def test_another_model_is_spliced_into_the_clients_own_bytes() -> None:
    attempt = _received().attempt(TOY, model="big")
    members = _json(attempt.http.body)
    assert members == {"model": "big", "ask": "why", "seed": 7}


def test_a_request_that_a_step_changed_is_written_anew() -> None:
    exchange = Exchange(TOY)
    request = exchange.receive_request(_post())
    assert request is not None
    changed = replace(request, model="other")
    assert _json(exchange.attempt(TOY, changed).http.body)["model"] == "other"
    # An equal one is not the one that was received either.
    assert exchange.attempt(TOY, replace(request)).http.body != BODY
    assert Exchange(TOY).attempt(TOY, request).http.body != BODY


@pytest.mark.parametrize(
    "profile",
    [
        Profile(renames={"seed": "random_seed"}),
        Profile(rejects=frozenset({"seed"})),
    ],
)
def test_a_profile_that_objects_gets_the_request_written_anew(profile: Profile) -> None:
    attempt = _received().attempt(TOY, profile=profile)
    assert "seed" not in _json(attempt.http.body)
    # Where it has nothing to object to, the bytes are the client's.
    plain = b'{ "model": "m", "ask": "why" }'
    assert _received(plain).attempt(TOY, profile=profile).http.body == plain


def test_what_only_the_profile_allows_is_written_by_it() -> None:
    exchange = _received(b'{"model": "m", "n": 2}')
    profile = Profile(name="wide")
    attempt = exchange.attempt(TOY, profile=profile, policy={"choices": "drop"})
    assert [loss.feature for loss in attempt.losses] == ["choices"]


def test_a_profile_that_can_what_the_dialect_cannot_is_written_for() -> None:
    def encode(request: Any, target: Any) -> Any:
        if target.profile.name != "wide":
            target.losses.drop("choices", "n", "a toy answers once")
        return TOY.encode_request(replace(request, n=None), target)

    dialect = replace(TOY, encode_request=encode)
    exchange = Exchange(dialect)
    exchange.receive_request(_post(body=b'{"model": "m", "n": 2}'))
    attempt = exchange.attempt(dialect, profile=Profile(name="wide"))
    assert _json(attempt.http.body) == {"model": "m", "text": "asked"}


def test_filters_and_emulations_prevent_passing_through() -> None:
    attempt = _received().attempt(TOY, filters=(lambda _: lambda event: (event,),))
    assert attempt.http.body != BODY
    attempt = _received(b'{"model": "m", "cut": ["x"]}').attempt(TOY)
    assert attempt.context.stops == ("x",)


def test_refusals_carry_the_reply() -> None:
    body = b'{"model": "m", "n": 2}'
    for path in ("/text", "/text/count"):
        with pytest.raises(UnsupportedFeature) as raised:
            _received(body, path).attempt(OTHER)
        assert raised.value.reply is not None
        assert raised.value.reply.status == 400
        assert "`n`" in _json(raised.value.reply.body)["error"]


# --- Counting --------------------------------------------------------------------


def test_counting_is_asked_for_in_the_servers_way() -> None:
    attempt = _received(path="/text/count").attempt(OTHER, model="big")
    assert (attempt.http.path, _json(attempt.http.body)) == ("/count", {"model": "big"})
    attempt = _received(b'{"n": 2}', "/text/count").attempt(
        OTHER, policy={"choices": "drop"}
    )
    assert [loss.feature for loss in attempt.losses] == ["choices"]


def test_a_server_that_cannot_count_is_not_asked() -> None:
    with pytest.raises(UnsupportedFeature, match="does not count") as raised:
        _received(path="/text/count").attempt(SILENT)
    assert raised.value.reply is not None


# --- The client's own bytes, without being encoded ---------------------------------

MODELS = ("m", "o3-mini", "gpt-4o-mini", "claude-opus-4-7", "gemini-2.5-flash")
DIALECTS = ("openai-chat", "openai-responses", "anthropic", "gemini")
OWN = st.sampled_from(DIALECTS).flatmap(strategies.requests)


@given(OWN, st.sampled_from(MODELS), st.booleans())
def test_own_requests_go_as_encoding_would_say_them(
    made: Request, model: str, stream: bool
) -> None:
    name = made.dialect or ""
    made = replace(made, stream=stream or None, model=made.model or "given")
    given_body = encode_request(made, name, policy=dict.fromkeys(FEATURES, "drop")).http
    exchange = Exchange(name, id="seed")
    request = exchange.receive_request(given_body)
    assert request is not None
    attempt = exchange.attempt(name, model=model)
    encoded = encode_request(request, name, model=model)
    assert attempt.losses == encoded.losses == ()
    assert replace(attempt.http, body=b"") == replace(encoded.http, body=b"")
    assert _json(attempt.http.body) == _json(encoded.http.body)
    assert attempt.context == replace(encoded.context, source=name)


def test_the_rules_of_models_are_known_here() -> None:
    """Model names that the law above uses change facts, else it would say little."""
    assert MODEL_RULES
    for model, name in zip(MODELS[1:], (*DIALECTS[:1] * 2, *DIALECTS[2:]), strict=True):
        assert profiles.resolve(name, None, model) != profiles.resolve(name)


@pytest.mark.parametrize(
    "signature",
    [
        seal(Signature(origin="openai-responses", value="abc")),
        seal(Signature(origin="gemini", value="abc", model="x")),
    ],
)
def test_state_of_ours_is_opened_before_it_is_sent(signature: str) -> None:
    thought = {"type": "thinking", "thinking": "Hm", "signature": signature}
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": [thought, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "c"},
        ],
    }
    http = HTTPRequest(
        method="POST", path="/v1/messages", body=json.dumps(body).encode()
    )
    exchange = Exchange("anthropic")
    exchange.receive_request(http)
    attempt = exchange.attempt("anthropic")
    assert b"llmw1" not in attempt.http.body
    assert [loss.feature for loss in attempt.losses]


def test_long_words_of_clients_are_not_remembered() -> None:
    for model in ("m", "m" * 600):
        exchange = Exchange("openai-chat")
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
        http = HTTPRequest(
            method="POST", path="/v1/chat/completions", body=json.dumps(body).encode()
        )
        exchange.receive_request(http)
        _known_head.cache_clear()
        attempt = exchange.attempt("openai-chat")
        assert _known_head.cache_info().currsize == (len(model) == 1)
        assert attempt.context.model == model


@pytest.mark.parametrize("model", ["m", "claude-opus-4-7"])
def test_heads_are_not_remembered_longer_than_the_facts(model: str) -> None:
    exchange = Exchange("anthropic")
    body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}'
    exchange.receive_request(HTTPRequest(method="POST", path="/v1/messages", body=body))
    first = exchange.attempt("anthropic", model=model).context
    profiles._resolved.cache_clear()
    again = exchange.attempt("anthropic", model=model).context
    assert again == first
    assert again.profile is profiles.resolve("anthropic", None, model)


def test_headers_of_the_client_go_with_its_own_body() -> None:
    exchange = Exchange("anthropic")
    body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}'
    headers = (("anthropic-beta", "a,b"), ("anthropic-version", "2023-06-01"))
    exchange.receive_request(
        HTTPRequest(method="POST", path="/v1/messages", headers=headers, body=body)
    )
    http = exchange.attempt("anthropic", model="n").http
    assert http.body == body.replace(b'"m"', b'"n"')
    assert http.header("anthropic-beta") == "a,b"


def test_facts_are_those_of_the_model_that_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = {"think_tags": (("<t>", "</t>"),)}
    rule = ModelRule(dialect="openai-chat", pattern="tagging", changes=changes)
    monkeypatch.setattr(profiles, "MODEL_RULES", [*MODEL_RULES, rule])
    profiles._resolved.cache_clear()
    exchange = Exchange("openai-chat")
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    exchange.receive_request(
        HTTPRequest(method="POST", path="/v1/chat/completions", body=body)
    )
    attempt = exchange.attempt("openai-chat", model="tagging")
    monkeypatch.undo()
    profiles._resolved.cache_clear()
    attempt.receive_head(200, (("content-type", "application/json"),))
    answer = b'{"choices":[{"message":{"role":"assistant","content":"<t>a</t>b"}}]}'
    told = _json(attempt.receive_data(answer) + attempt.receive_eof())
    message = told["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("b", "a")


@pytest.mark.parametrize(
    ("profile", "own"), [("groq", True), ("minimax", False), ("openai", True)]
)
def test_servers_with_facts_of_their_own_are_written_for(
    profile: str, own: bool
) -> None:
    exchange = Exchange("openai-chat")
    body = b'{"messages":[{"role":"user","content":"Hi"}],"model":"m", "stream":true}'
    exchange.receive_request(
        HTTPRequest(method="POST", path="/v1/chat/completions", body=body)
    )
    attempt = exchange.attempt("openai-chat", profile=profile, model="n")
    assert (attempt.http.body == body.replace(b'"m"', b'"n"')) is own
    assert _json(attempt.http.body) == {**_json(body), "model": "n"}


MINTED = "tc_" + "a" * 24
CALLED = {
    "openai-chat": (
        "/v1/chat/completions",
        {
            "model": "m",
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": MINTED,
                            "type": "function",
                            "function": {"name": "f", "arguments": "{}"},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": MINTED, "content": "a"},
            ],
        },
    ),
    "anthropic": (
        "/v1/messages",
        {
            "model": "m",
            "max_tokens": 9,
            "messages": [
                {"role": "user", "content": "a"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "tool_use", "id": MINTED, "name": "f", "input": {}}
                    ],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": MINTED}],
                },
            ],
        },
    ),
    "gemini": (
        "/v1beta/models/m:generateContent",
        {
            "contents": [
                {
                    "role": "model",
                    "parts": [{"functionCall": {"id": MINTED, "name": "f"}}],
                },
                {
                    "role": "user",
                    "parts": [
                        {
                            "functionResponse": {
                                "id": MINTED,
                                "name": "f",
                                "response": {"output": "a"},
                            }
                        }
                    ],
                },
            ]
        },
    ),
}


@pytest.mark.parametrize("name", CALLED)
def test_ids_of_ours_in_own_requests_stay(name: str) -> None:
    path, body = CALLED[name]
    http = HTTPRequest(method="POST", path=path, body=json.dumps(body).encode())
    exchange = Exchange(name)
    request = exchange.receive_request(http)
    assert request is not None
    encoded = encode_request(request, name, model="n")
    attempt = exchange.attempt(name, model="n")
    assert _json(attempt.http.body) == _json(encoded.http.body)
    assert MINTED.encode() in attempt.http.body
