"""Messages frames of a known shape say what decoding them would."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire import profiles
from llmwire._seal import seal
from llmwire.dialects import ResponseSource
from llmwire.dialects.anthropic import DIALECT, _stream_read
from llmwire.dialects.anthropic._stream_shape import learned
from llmwire.events import (
    ArgumentsDelta,
    Event,
    ReasoningDelta,
    StreamError,
    TextDelta,
)
from llmwire.limits import Limits
from llmwire.messages import Signature
from llmwire.sse import Frame

_CARRIER = seal(Signature(origin="gemini", value="s"), "next")
START = '{"type":"message_start","message":{"id":"m","type":"message"}}'
BLOCKS = {
    0: '{"type":"text","text":""}',
    1: '{"type":"thinking","thinking":""}',
    2: '{"type":"tool_use","id":"t","name":"f","input":{}}',
    3: '{"type":"server_tool_use","id":"s","name":"web_search","input":{}}',
    4: '{"type":"new"}',
    5: f'{{"type":"thinking","thinking":"","signature":"{_CARRIER}"}}',
}
DELTAS = (
    '{"type":"content_block_delta","index":%I,"delta":{"type":"text_delta","text":"%T"}}',
    '{"type":"content_block_delta","index":%I,"delta":{"type":"thinking_delta",'
    '"thinking":"%T"}}',
    '{"type":"content_block_delta","index":%I,"delta":{"type":"input_json_delta",'
    '"partial_json":"%T"}}',
    '{"delta": {"text" : "%T", "type": "text_delta"}, "index": %I,\n'
    '"type": "content_block_delta"}',
    '{"type":"content_block_delta","index":%I,"delta":{"type":"text_delta",'
    '"text":"%T","p":"abc"}}',
    '{"type":"content_block_delta","index":%I,"text":"","delta":{"type":"text_delta",'
    '"text":"%T"}}',
    '{"type":"content_block_delta","index":%I,"delta":{"type":"text_delta",'
    '"text":"%T","text":"b"}}',
    '{"type":"content_block_delta","index":%I,"delta":{"type":"text_delta",'
    '"text":"%T"},"n\\u0065w":1}',
    '{"type":"content_block_delta","index":%I,"delta":{"type":"text_delta",'
    '"text":"%T","new":1}}',
    '{"type":"content_block_delta","index":%I,"delta":{"type":"text_delta",'
    '"text":"%T"},"new":1}',
    '{"type":"content_block_delta","index":%I,"delta":{"type":"signature_delta",'
    '"signature":"%T"}}',
    '{"type":"ping"}',
    '{"type":"content_block_stop","index":%I}',
    '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{}}',
    '{"type":"message_stop"}',
)
TEXTS = (
    "a",
    "b",
    "",
    "é",
    "\\n",
    '\\"',
    "\\u0041",
    "\\",
    "\\ud83d\\ude00",
    "\\ud800",
    "\t",
    "\x7f",
    '"}}',
    '","text":"',
)


def _frames(texts: list[str]) -> list[Frame]:
    return [Frame(text.encode(), text.encode()) for text in texts]


def _events(frames: list[Frame], limits: Limits) -> tuple[list[Event], dict[str, int]]:
    profile = profiles.resolve("anthropic")
    reader = DIALECT.stream_reader(
        ResponseSource(profile=profile, limits=limits), "sse"
    )
    events = [event for frame in frames for event in reader.receive(frame)]
    return events + reader.receive_eof(), dict(reader.violations)


def _check(frames: list[Frame], limits: Limits | None = None) -> list[Event]:
    """The events, which are the same where every delta is read the long way."""
    found = _events(frames, limits or Limits())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_stream_read, "_growth", lambda _: (None, None, ""))
        assert _events(frames, limits or Limits()) == found
    return found[0]


def _opened() -> list[str]:
    begin = '{"type":"content_block_start","index":%d,"content_block":%s}'
    return [START, *(begin % block for block in BLOCKS.items())]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(DELTAS[:3] * 4 + DELTAS),
            st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5, 9]),
            st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4),
        ),
        max_size=9,
    ),
    st.sampled_from([Limits(), Limits(arguments=3)]),
    st.booleans(),
)
def test_a_known_shape_says_what_decoding_says(
    runs: list[tuple[str, int, list[str]]], limits: Limits, opened: bool
) -> None:
    texts = _opened() if opened else [START]
    for form, at, pieces in runs:
        shape = form.replace("%I", str(at))
        texts += [shape.replace("%T", piece) for piece in pieces]
    _check(_frames(texts), limits)


@pytest.mark.parametrize("form", DELTAS)
@pytest.mark.parametrize("at", BLOCKS)
def test_every_block_grows_by_every_delta(form: str, at: int) -> None:
    shape = form.replace("%I", str(at))
    texts = [shape.replace("%T", text) for text in ("a", *TEXTS, "c")]
    _check(_frames([*_opened(), *texts]))


@pytest.mark.parametrize("between", [*DELTAS, *BLOCKS.values()])
def test_what_stands_between_two_deltas_counts(between: str) -> None:
    begin = '{"type":"content_block_start","index":0,"content_block":%s}'
    other = between if "%I" in between or "message" in between else begin % between
    for form, at in zip(DELTAS, (0, 1, 2), strict=False):
        for place in (str(at), "0"):
            grows = form.replace("%I", str(at))
            texts = [grows.replace("%T", text) for text in "ab"]
            odd = other.replace("%I", place).replace("%T", "x")
            _check(_frames([*_opened(), texts[0], odd, texts[1]]))


@pytest.mark.parametrize(
    ("form", "at", "kind"),
    [
        (DELTAS[0], 0, TextDelta),
        (DELTAS[1], 1, ReasoningDelta),
        (DELTAS[2], 2, ArgumentsDelta),
    ],
)
def test_frames_of_one_shape_are_decoded_once(
    form: str, at: int, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = DIALECT.stream_reader(
        ResponseSource(profile=profiles.resolve("anthropic")), "sse"
    )
    shape = form.replace("%I", str(at))
    for frame in _frames([*_opened(), shape.replace("%T", "a")]):
        reader.receive(frame)
    monkeypatch.setattr(_stream_read, "_frames", None)
    for text in ("b", "", '\\"', "é"):
        (frame,) = _frames([shape.replace("%T", text)])
        said = json.loads(f'"{text}"')
        assert reader.receive(frame) == ([kind(at, said)] if said else [])


def test_a_frame_that_broke_off_is_decoded() -> None:
    frames = _frames([*_opened(), DELTAS[0].replace("%I", "0").replace("%T", "a")])
    last = frames[-1]
    cut = Frame(last.data, last.raw, complete=False)
    assert TextDelta(0, "a") in _check([*frames, cut])


def test_arguments_have_a_limit() -> None:
    grows = DELTAS[2].replace("%I", "2")
    texts = [grows.replace("%T", "abc")] * 4
    events = _check(_frames([*_opened(), *texts]), Limits(arguments=7))
    assert isinstance(events[-1], StreamError)


def test_shapes_that_never_come_again_are_not_learned_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[bytes] = []

    def note(data: bytes, *rest: object) -> None:
        tried.append(data)

    monkeypatch.setattr(_stream_read, "learned", note)
    grows = DELTAS[0].replace("%I", "0").replace("%T", "a")
    _events(_frames([*_opened(), *[grows] * 40]), Limits())
    assert len(tried) == 8


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"t\\u0065xt":"a"}',
        b'{"text":"a","thinking":"b"}',
        b'{"\\n":1,"text":"a"}',
        b'{"text":"a","\\n":1}',
        b'{"text":"b"}',
        b'{"text":"a',
    ],
)
def test_what_has_no_shape(data: bytes) -> None:
    assert learned(data, "a", TextDelta, 0) is None


def test_what_overlaps_is_another_shape() -> None:
    shape = learned(b'{"text":"a"}', "a", TextDelta, 0)
    assert shape is not None
    assert shape.read(b'{"text":"b"}') == "b"
    assert shape.read(b'{"text":"}') is None
    assert shape.read(b'{"text":"\xff"}') is None
    assert shape.read(b'{"text":"b"} ') is None
    assert shape.read(b'{"text":"b"]') is None
