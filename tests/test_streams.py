"""Tests of `llmwire.streams`: framings, limits, the end, and nothing that raises."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire import grammar
from llmwire._lines import LineDecoder
from llmwire.context import Context
from llmwire.errors import LocalProtocolError
from llmwire.events import Event, MessageEnd, StreamEnd, StreamError, TextDelta
from llmwire.limits import Limits
from llmwire.messages import Usage
from llmwire.profiles import Profile
from llmwire.sse import FrameDecoder
from llmwire.streams import (
    StreamDecoder,
    StreamEncoder,
    StreamTranslator,
    frame_source,
)
from tests.toys import OTHER, SILENT, TOY, frame

WHOLE = b"".join(
    (
        frame(start="1"),
        b": alive\n\n",
        frame(text="Hel"),
        frame(text="lo"),
        frame(usage=3),
        frame(stop="end"),
        frame(),
    )
)


def _decoded(decoder: StreamDecoder, *chunks: bytes) -> list[Event]:
    events: list[Event] = []
    for chunk in chunks:
        events += decoder.receive_data(chunk)
    return events + decoder.receive_eof()


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_division_changes_nothing(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(WHOLE)]
    chunks = [WHOLE[a:b] for a, b in itertools.pairwise(bounds)]
    events = _decoded(StreamDecoder(TOY), *chunks)
    grammar.check(events)
    assert events == _decoded(StreamDecoder(TOY), WHOLE)
    stream = StreamTranslator(TOY, OTHER)
    out = b"".join(map(stream.receive_data, chunks)) + stream.receive_eof()
    assert out == WHOLE.replace(b"text", b"TEXT").replace(b": alive\n\n", b"")


def test_a_decoder_is_done_once() -> None:
    decoder = StreamDecoder(TOY)
    assert not decoder.done
    decoder.receive_data(WHOLE + frame(text="more"))
    assert decoder.done
    assert decoder.violations == {"after-end": 1}
    assert decoder.receive_data(frame(text="more")) == []
    assert decoder.receive_eof() == []
    assert decoder.receive_eof() == []
    assert decoder.receive_data(b"x") == []
    assert decoder.violations == {"after-end": 2}


def test_a_last_frame_without_its_blank_line_is_read() -> None:
    events = _decoded(StreamDecoder(TOY), frame(stop="end"), b"data: END")
    assert isinstance(events[-1], StreamEnd)


def test_an_end_that_is_none_is_an_error() -> None:
    events = _decoded(StreamDecoder(TOY), frame(text="a"))
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.kind == "truncated"


@pytest.mark.parametrize("framing", ["sse", "json-array", "messages"])
def test_a_frame_beyond_the_limit_ends_the_stream(framing: str) -> None:
    limits = Limits(frame=20)
    for cut in (True, False):
        decoder = StreamDecoder(TOY, framing=framing, limits=limits)
        if cut:
            events = decoder.receive_data(b"x" * 30)
        else:
            events = decoder.receive_data(b"data: {}\n\n" + b"x" * 30)
            events += decoder.receive_eof()
        assert isinstance(events[-1], StreamError)
        assert events[-1].error.kind == "bad_upstream"
        assert decoder.done
        assert decoder.receive_data(b"x") == decoder.receive_eof() == []


def test_a_frame_beyond_the_limit_after_the_end_is_nothing() -> None:
    decoder = StreamDecoder(TOY, limits=Limits(frame=25))
    assert isinstance(decoder.receive_data(frame(stop="end") + frame())[-1], StreamEnd)
    assert decoder.receive_data(b"x" * 30) == []
    assert decoder.receive_data(b"x" * 30) == []


def test_each_framing_has_its_source() -> None:
    limits = Limits()
    assert isinstance(frame_source(TOY, "json-array", limits), LineDecoder)
    assert isinstance(frame_source(TOY, "messages", limits), LineDecoder)
    assert isinstance(frame_source(TOY, "sse", limits), FrameDecoder)
    assert isinstance(frame_source(SILENT, "sse", limits), FrameDecoder)


def test_a_framing_that_is_not_the_dialects_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="it has sse"):
        StreamDecoder(SILENT, framing="messages")
    with pytest.raises(LocalProtocolError, match="it has sse"):
        StreamEncoder(SILENT, framing="messages")


def test_what_is_known_of_a_stream() -> None:
    stream = StreamTranslator(TOY, OTHER)
    stream.receive_data(frame(start="1") + frame(text="a"))
    assert (stream.usage, stream.stop, stream.error) == (None, None, None)
    assert not stream.done
    stream.receive_data(frame(usage=3) + frame(stop="max_tokens") + frame())
    assert stream.usage == Usage(output=3)
    assert stream.stop == "max_tokens"
    assert stream.done
    assert stream.losses == ()


def test_a_broken_stream_ends_in_the_clients_error() -> None:
    stream = StreamTranslator(TOY, OTHER)
    out = stream.receive_data(frame(text="a")) + stream.receive_eof()
    assert out.endswith(frame(error="broke off"))
    assert stream.error is not None
    assert stream.done
    assert stream.receive_eof() == b""


def test_losses_are_those_of_the_client_and_of_filters() -> None:
    stream = StreamTranslator(TOY, OTHER)
    stream.receive_data(frame(think="hm"))
    assert [loss.feature for loss in stream.losses] == ["reasoning.text"]


class _Ender:
    """Ends the answer at the first text."""

    def __init__(self) -> None:
        self.ended: MessageEnd | None = None

    def __call__(self, event: Event) -> tuple[Event, ...]:
        if isinstance(event, TextDelta):
            self.ended = MessageEnd("other")
            return (StreamEnd(),)
        return (event,)


def test_a_filter_may_end_the_stream() -> None:
    stream = StreamTranslator(TOY, OTHER, filters=[_Ender()], checked=True)
    out = stream.receive_data(frame(start="1") + frame(text="a") + frame(text="b"))
    assert out == frame(start="1") + frame(stop="other") + frame()
    assert stream.done
    assert stream.receive_data(frame(text="c")) == b""


def test_filters_of_the_context_are_used() -> None:
    context = Context(target=TOY.name, profile=Profile(), stops=("l",))
    stream = StreamTranslator(TOY, OTHER, context=context)
    out = stream.receive_data(WHOLE) + stream.receive_eof()
    assert frame(TEXT="He") in out
    assert stream.stop == "stop_sequence"


def test_usage_is_for_those_who_asked() -> None:
    context = Context(source=OTHER.name, target=TOY.name, profile=Profile())
    stream = StreamTranslator(TOY, OTHER, context=context, id="s", framing="messages")
    assert b"usage" not in stream.receive_data(WHOLE)
