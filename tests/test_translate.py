"""Tests of `llmwire.translate`: which dialect's functions are asked for what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from llmwire.errors import RemoteProtocolError, UnknownDialect, UnsupportedFeature
from llmwire.events import Event, TextDelta
from llmwire.http import HTTPRequest
from llmwire.losses import Loss
from llmwire.messages import Choice, ReasoningPart, Response, TextPart
from llmwire.profiles import Profile
from llmwire.requests import Request
from llmwire.translate import (
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    rewrite_model,
    translate_error,
    translate_request,
    translate_response,
)
from tests.toys import OTHER, TOY, known_toys

__all__ = ("known_toys",)

BODY = b'{"model": "small", "ask": "why?", "seed": 7, "stream": true, "usage": true}'
ANSWER = b'{"id": "1", "text": "so", "stop": "end", "usage": 3}'
NO_SEED = Profile(rejects=frozenset({"seed"}))


def _json(body: bytes) -> Any:
    return json.loads(body)


def test_a_body_or_a_whole_request_can_be_read() -> None:
    http = HTTPRequest(method="POST", path="/text", body=BODY)
    assert decode_request(BODY, TOY) == decode_request(http, TOY)
    with pytest.raises(RemoteProtocolError, match="no JSON"):
        decode_request(b"{", TOY)


def test_names_serve_as_records_do(known_toys: None) -> None:
    assert decode_request(BODY, TOY.name) == decode_request(BODY, TOY)
    with pytest.raises(UnknownDialect, match="known are openai-chat"):
        decode_request(BODY, "esperanto")


def test_an_encoded_request_remembers_what_the_answer_needs(known_toys: None) -> None:
    request = decode_request(BODY, TOY)
    call = encode_request(request, OTHER, model="big", tag="one")
    assert _json(call.http.body) == {"model": "big", "TEXT": "asked", "seed": "7"}
    context = call.context
    assert (context.source, context.target) == (TOY.name, OTHER.name)
    assert (context.model, context.upstream_model) == ("small", "big")
    assert (context.stream, context.include_usage, context.tag) == (True, True, "one")
    assert context.echo == {"model": Raw(b'"small"')}
    assert call.losses == ()


def test_a_request_made_by_hand_has_nothing_to_echo() -> None:
    context = encode_request(Request(model="m"), OTHER).context
    assert context.source is None
    assert context.echo is None
    assert not context.stream


def test_losses_follow_the_policy() -> None:
    call = translate_request(BODY, TOY, OTHER, profile=NO_SEED)
    assert [(loss.path, loss.action) for loss in call.losses] == [
        ("sampling.seed", "dropped")
    ]
    with pytest.raises(UnsupportedFeature):
        translate_request(BODY, TOY, OTHER, profile=NO_SEED, on_loss="refuse")
    with pytest.raises(UnsupportedFeature):
        translate_request(
            BODY, TOY, OTHER, profile=NO_SEED, policy={"sampling": "refuse"}
        )


def test_hard_features_are_refused_unless_the_policy_says_otherwise() -> None:
    body = b'{"model": "m", "n": 2}'
    with pytest.raises(UnsupportedFeature) as refused:
        translate_request(body, TOY, OTHER)
    assert refused.value.loss.path == "n"
    call = translate_request(body, TOY, OTHER, policy={"choices": "drop"})
    assert call.losses[0].action == "dropped"


def test_a_record_that_is_not_registered_still_echoes() -> None:
    context = translate_request(BODY, TOY, OTHER).context
    assert context.source == TOY.name
    assert context.echo == {"model": Raw(b'"small"')}


def test_answers_are_translated() -> None:
    context = translate_request(BODY, TOY, OTHER, model="big").context
    answer = ANSWER.replace(b"text", b"TEXT")
    assert decode_response(answer, OTHER, context=context).model == "big"
    reply = translate_response(answer, OTHER, TOY, context=context)
    assert _json(reply.body) == _json(ANSWER)
    assert (reply.losses, reply.error) == ((), None)


def test_missing_ids_are_made_of_the_seed() -> None:
    reply = translate_response(b'{"text": "so", "stop": "end"}', TOY, TOY, id="s")
    assert _json(reply.body)["id"] == "s"


def test_losses_of_answers_are_recorded() -> None:
    choice = Choice(parts=(ReasoningPart(text="hm"), TextPart("so")), stop="end")
    reply = encode_response(Response(choices=(choice,)), TOY)
    assert [loss.feature for loss in reply.losses] == ["reasoning.text"]


class _Shout:
    losses = (Loss(path="x", feature="filter", action="approximated", reason="loud"),)

    def __call__(self, event: Event) -> tuple[Event, ...]:
        if isinstance(event, TextDelta):
            return (TextDelta(event.index, event.text.upper()),)
        return (event,)


def test_filters_work_on_whole_answers_and_tell_their_losses() -> None:
    reply = translate_response(ANSWER, TOY, TOY, filters=[_Shout()])
    assert _json(reply.body)["text"] == "SO"
    assert [loss.feature for loss in reply.losses] == ["filter"]
    quiet = translate_response(ANSWER, TOY, TOY, filters=[lambda event: (event,)])
    assert quiet.losses == ()


def test_filters_of_the_context_come_first() -> None:
    context = replace(translate_request(BODY, TOY, TOY).context, stops=("o",))
    reply = translate_response(ANSWER, TOY, TOY, context=context)
    assert _json(reply.body)["text"] == "s"


def test_an_error_inside_a_good_status_is_one() -> None:
    reply = translate_response(b'{"error": "down"}', OTHER, TOY)
    assert reply.error is not None
    assert _json(reply.body)["error"] == "down"


def test_garbage_is_the_servers_fault() -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        translate_response(b"[]", OTHER, TOY)
    assert raised.value.status == 502


def test_errors_keep_their_status_and_their_wait() -> None:
    headers = (("retry-after", "2"),)
    reply = translate_error(429, b'{"error": "slow"}', OTHER, TOY, headers=headers)
    assert (reply.status, _json(reply.body)["error"]) == (429, "slow")
    assert ("retry-after", "2") in reply.headers
    assert _json(translate_error(500, b"<html>", OTHER, TOY).body)["error"]


def test_the_model_is_rewritten_by_the_dialect() -> None:
    assert _json(rewrite_model(BODY, TOY, "big"))["model"] == "big"
