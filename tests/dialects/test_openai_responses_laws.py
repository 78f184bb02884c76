"""Laws of the Responses dialect, by Hypothesis and on the streams written by hand."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire._fold import fold, unfold
from llmwire.dialects import RequestTarget
from llmwire.dialects.openai_responses import DIALECT
from llmwire.errors import RemoteProtocolError, UnsupportedFeature
from llmwire.events import Event, PartStart, StreamEnd, StreamError
from llmwire.messages import Response, TextPart
from llmwire.requests import Request
from llmwire.sse import FrameDecoder
from llmwire.strategies import (
    chunks,
    errors,
    hostile_bytes,
    requests,
    responses,
    sentences,
    ungrammatical_sentences,
)
from tests import oracle
from tests.dialects.responses_pair import (
    DROPPING,
    LOOSE,
    OWN,
    PROFILE,
    SOURCE,
    answer,
    events_of,
    frames,
    http,
    read,
    reply_target,
    stream,
    target,
)
from tests.loss_equation import complaints
from tests.normal_forms import differences
from tests.sentences import StreamCase
from tests.sentences.openai_responses import CASES
from tests.stream_law import normed

FOREIGN = (None, "openai-chat", "anthropic", "gemini")
_TEXT = TextPart("")
_MINTED = re.compile(r"(?:msg|rs|fc|ctc)_[a-z2-7]{24}\Z")


def _meant(events: list[Event]) -> list[Event]:
    """The normal form of a sentence; ids of our own count as missing."""
    return [
        replace(event, part=replace(event.part, id=None))
        if isinstance(event, PartStart) and _MINTED.match(event.part.id or "")
        else event
        for event in normed(events)
    ]


# --- streams -----------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_streams_read_as_their_sentences(case: StreamCase) -> None:
    events, violations = events_of(case.wire)
    assert tuple(events) == case.events
    assert violations == dict(case.violations)


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_line_ends_do_not_matter(case: StreamCase, end: bytes) -> None:
    events, _ = events_of(case.wire.replace(b"\n", end))
    assert tuple(events) == case.events


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_streams_can_come_byte_by_byte(case: StreamCase) -> None:
    decoder = FrameDecoder()
    found = [f for at in case.wire for f in decoder.receive_data(bytes([at]))]
    events, _ = events_of([*found, *decoder.receive_eof()])
    assert tuple(events) == case.events


@given(st.sampled_from(CASES).flatmap(lambda c: st.tuples(st.just(c), chunks(c.wire))))
def test_streams_can_come_in_any_pieces(given: tuple[StreamCase, list[bytes]]) -> None:
    case, pieces = given
    decoder = FrameDecoder()
    found = [f for piece in pieces for f in decoder.receive_data(piece)]
    events, _ = events_of([*found, *decoder.receive_eof()])
    assert tuple(events) == case.events


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_truncated_streams_never_end_well(case: StreamCase) -> None:
    found = [frame for frame in frames(case.wire) if frame.data != b"[DONE]"]
    for length in range(len(found)):
        events, _ = events_of(found[:length])
        assert isinstance(events[-1], StreamError)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_streams_are_written_as_they_were_read(case: StreamCase) -> None:
    wire = stream(case.events)
    events, violations = events_of(wire)
    assert normed(events) == normed(case.events)
    assert not violations
    assert stream(events) == wire


@given(hostile_bytes(OWN))
def test_whatever_comes_is_a_sentence_and_can_be_written(data: bytes) -> None:
    events, _ = events_of(data)
    again, violations = events_of(stream(events))
    assert not violations
    wire = stream(again)
    assert _meant(events_of(wire)[0]) == _meant(again)


@given(sentences(OWN))
def test_own_sentences_are_stable(given: list[Event]) -> None:
    events, violations = events_of(stream(given))
    assert not violations
    wire = stream(events)
    again, _ = events_of(wire)
    assert normed(events) == normed(again)
    assert stream(again) == wire


@pytest.mark.parametrize("dialect", FOREIGN)
def test_foreign_sentences_are_streams_that_clients_take(dialect: str | None) -> None:
    @given(sentences(dialect))
    def law(given: list[Event]) -> None:
        wire = stream(given)
        if isinstance(given[-1], StreamEnd):
            assert not oracle.stream(OWN, wire)
        events, violations = events_of(wire)
        assert not violations
        assert isinstance(events[-1], StreamError) == isinstance(given[-1], StreamError)

    law()


@pytest.mark.parametrize("dialect", [*FOREIGN, OWN])
@pytest.mark.parametrize("framing", ["sse", "messages"])
def test_any_order_of_events_is_taken(dialect: str | None, framing: str) -> None:
    @given(ungrammatical_sentences(dialect))
    def law(given: list[Event]) -> None:
        wire = stream(given, framing=framing)
        if framing == "messages":
            lines = wire.splitlines(keepends=True)
            wire = b"".join(b"data: " + line + b"\n" for line in lines)
        violations = events_of(wire)[1]
        # A native item's final form may be another item: that is the sentence's.
        assert not violations or dialect == OWN

    law()


@given(st.one_of([errors(dialect) for dialect in (*FOREIGN, OWN)]))
def test_errors_keep_their_message(error: Any) -> None:
    for start in ([], [PartStart(0, _TEXT)]):
        events, _ = events_of(stream([*start, StreamError(error)]))
        assert isinstance(events[-1], StreamError)
        assert events[-1].error.message == error.message


# --- requests ----------------------------------------------------------------------


@given(requests(OWN))
def test_own_requests_go_back_as_they_came(request: Request) -> None:
    to = target(DROPPING)
    body = DIALECT.encode_request(request, to).http.body
    node = read(body)
    again = DIALECT.encode_request(node, target()).http.body
    assert not differences(json.loads(body), json.loads(again))
    assert read(again) == node


@pytest.mark.parametrize("dialect", FOREIGN)
def test_requests_lose_what_is_said_and_no_more(dialect: str | None) -> None:
    @given(requests(dialect))
    def law(request: Request) -> None:
        to = target(DROPPING)
        encoded = DIALECT.encode_request(request, to)
        losses = to.losses.losses
        back = read(encoded.http.body)
        assert not complaints(request, back, losses, ignore="call_id")

    law()


@pytest.mark.parametrize("dialect", FOREIGN)
def test_foreign_requests_are_what_the_vendor_takes(dialect: str | None) -> None:
    @given(requests(dialect))
    def law(request: Request) -> None:
        body = json.loads(DIALECT.encode_request(request, target(DROPPING)).http.body)
        body.setdefault("model", "m")
        effort = (body.get("reasoning") or {}).get("effort")
        if effort not in (None, *PROFILE.efforts):
            del body["reasoning"]
        for item in body["input"]:
            if item["type"] == "reasoning":
                # The type wants an id, the server does not.
                item.setdefault("id", "rs_1")
        assert not oracle.request(OWN, body)

    law()


@given(requests("anthropic"))
def test_refusals_are_the_only_exceptions(request: Request) -> None:
    for profile in (PROFILE, replace(PROFILE, custom_tools=False, cache_marks=False)):
        to = RequestTarget(losses=target().losses, profile=profile)
        try:
            read(DIALECT.encode_request(request, to).http.body)
        except UnsupportedFeature as refusal:
            assert refusal.loss.action == "refused"


@given(st.one_of(hostile_bytes(OWN), st.binary()))
def test_garbage_is_refused_or_read(data: bytes) -> None:
    for decode in (
        lambda: DIALECT.decode_request(http(data), LOOSE),
        lambda: DIALECT.decode_response(data, SOURCE),
        lambda: DIALECT.decode_models(data),
        lambda: DIALECT.decode_count(data),
    ):
        try:
            decode()
        except RemoteProtocolError as error:
            assert error.status in (400, 413, 502)
    DIALECT.find_error(data)
    DIALECT.encode_error(DIALECT.decode_error(500, (), data))


# --- answers -----------------------------------------------------------------------


@pytest.mark.parametrize("dialect", FOREIGN)
def test_foreign_answers_are_what_clients_take(dialect: str | None) -> None:
    @given(responses(dialect))
    def law(response: Response) -> None:
        body, _ = answer(response)
        assert not oracle.response(OWN, body)
        # What was read goes back as it came.
        again = DIALECT.decode_response(json.dumps(body).encode(), SOURCE)
        assert answer(again)[0] == body

    law()


@pytest.mark.parametrize("dialect", FOREIGN)
def test_a_stream_folds_to_the_whole_body(dialect: str | None) -> None:
    @given(responses(dialect))
    def law(response: Response) -> None:
        if any(c.stop in ("error", "malformed_tool_call") for c in response.choices):
            return
        if any(p.signature for c in response.choices for p in c.parts):
            return  # carriers may stand before or after
        octets = DIALECT.encode_response(response, reply_target())
        body = DIALECT.decode_response(octets, SOURCE)
        events, _ = events_of(stream(unfold(response)))
        folded = fold(events)
        assert _plain(folded) == _plain(body)

    law()


def _plain(response: Response) -> Any:
    """An answer without ids, notes and what streams and bodies tell apart."""
    parts = [
        replace(part, id=None, extras=None, logprobs=())
        if hasattr(part, "logprobs")
        else replace(part, id=None, extras=None)
        for part in response.choices[0].parts
        if not hasattr(part, "payload")  # images: minted ids inside
    ]
    return parts, response.choices[0].stop, response.usage, response.service_tier
