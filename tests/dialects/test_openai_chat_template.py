"""Chat frames of a known shape say what decoding them would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.dialects.openai_chat import _stream_read
from llmwire.dialects.openai_chat._stream_template import Counts, learned
from llmwire.events import Event, ReasoningDelta, TextDelta, UsageUpdate
from tests.dialects.chat_pair import read_stream

_HEAD = '{"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
_CHOICES = '"choices":[{"index":0,"delta":{"content":"%T"},"finish_reason":null}]'
SHAPES = {
    "usage behind": _HEAD + _CHOICES + ',"usage":%U}',
    "spaces": _HEAD + _CHOICES + ', "usage" : %U , "new": 1 } ',
    "usage before": _HEAD + '"usage":%U,' + _CHOICES + "}",
    "usage of a choice": _HEAD + _CHOICES.replace("null}", 'null,"usage":%U}') + "}",
    "two": _HEAD + _CHOICES.replace("null}", 'null,"usage":%U}') + ',"usage":%U}',
    "groq": _HEAD + _CHOICES + ',"x_groq":{"id":"g","usage":%U}}',
    "groq and root": _HEAD + _CHOICES + ',"x_groq":{"usage":1},"usage":%U}',
    "thought": _HEAD + _CHOICES.replace("content", "reasoning") + ',"usage":%U}',
    "padded": _HEAD + _CHOICES + ',"obfuscation":"%P","usage":%U}',
    "padding behind": _HEAD + _CHOICES + ',"usage":%U,"p":"%P"}',
    "escaped name": _HEAD + _CHOICES + ',"us\\u0061ge":%U}',
    "escape behind": _HEAD + _CHOICES + ',"usage":%U,"new":"\\n"}',
    "no usage": _HEAD + _CHOICES + ',"new":%U}',
    "lines": _HEAD + _CHOICES + ',\n"usage":%U}',
}
COUNTS = (
    '{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}',
    '{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}',
    '{"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}',
    '{"prompt_tokens":7,"completion_tokens":2,"total_tokens":99}',
    '{"prompt_tokens":7,"prompt_tokens_details":{"cached_tokens":3}}',
    "{}",
    "null",
    "5",
    '{"prompt_tokens":NaN}',
    '{"prompt_tokens":7,\n"completion_tokens":1,"total_tokens":8}',
    '{"prompt_tokens":7} ',
    '{"prompt_tokens":7},"more":{"a":1}',
    '{"a":{"usage":1}}',
    '{"a":"\\ud800"}',
    '{"a":"\\""}',
    '{"a":1',
)
TEXTS = (
    "a",
    "",
    "é",
    "\\n",
    "\\u0041",
    '\\"',
    "\\ud83d\\ude00",
    "\\ud800",
    "\t",
    "\\",
    "\u00a0",
    "\x7f",
    "xxxxxxxxx",
    '","new":"',
)
PADDING = ("ab", "", "a-b", "é", "abcd", "\\n")


def _wire(frames: list[str]) -> bytes:
    lines = [frame.replace("\n", "\ndata: ") for frame in frames]
    return "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode()


def _slowly(wire: bytes) -> tuple[list[Event], dict[str, int]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_stream_read, "learned", lambda *_: None)
        return read_stream(wire)


@given(
    st.sampled_from(sorted(SHAPES)),
    st.lists(
        st.tuples(
            st.sampled_from(TEXTS) | st.just("b"),
            st.sampled_from(COUNTS),
            st.sampled_from(PADDING),
        ),
        max_size=12,
    ),
    st.lists(st.sampled_from(sorted(SHAPES)), max_size=2),
)
def test_a_known_shape_says_what_decoding_says(
    name: str, steps: list[tuple[str, str, str]], others: list[str]
) -> None:
    shapes = [SHAPES[each] for each in [name] * 10 + others]
    frames = [
        shapes[at % len(shapes)].replace("%T", text).replace("%U", usage)
        for at, (text, usage, _) in enumerate(steps)
    ]
    frames = [
        frame.replace("%P", padding)
        for frame, (_, _, padding) in zip(frames, steps, strict=True)
    ]
    wire = _wire(frames)
    assert read_stream(wire) == _slowly(wire)


def _frame(shape: str, text: str, usage: str) -> bytes:
    return SHAPES[shape].replace("%T", text).replace("%U", usage).encode()


def _learned(
    shape: str, text: str = "a", usage: str = COUNTS[0], **changes: Any
) -> Any:
    counts = Counts(False)
    counts.given = usage.encode()
    given = {
        "events": [TextDelta(0, text)],
        "field": "content",
        "thought": [],
        "counts": counts,
    }
    return learned(_frame(shape, text, usage), **{**given, **changes})


def test_usage_and_text_of_a_known_shape() -> None:
    template = _learned("usage behind")
    events = template.read(_frame("usage behind", "b", COUNTS[1]))
    assert events[0] == TextDelta(0, "b")
    assert isinstance(events[1], UsageUpdate)
    assert events[1].usage.output == 2
    assert template.read(_frame("usage behind", "", COUNTS[1])) == []
    again = template.read(_frame("usage behind", "c", COUNTS[1]))
    assert again == [TextDelta(0, "c")]
    spaced = template.read(_frame("usage behind", "c", COUNTS[2]))
    assert spaced == [TextDelta(0, "c")]
    escaped = template.read(_frame("usage behind", "\\n\\u00e9", COUNTS[2]))
    assert escaped == [TextDelta(0, "\n\u00e9")]


@pytest.mark.parametrize(
    ("shape", "text", "usage"),
    [
        ("usage behind", "b", "null"),
        ("usage behind", "b", '{"a":1'),
        ("usage behind", "b", '{"a":1},"b":{"c":1}'),
        ("usage behind", "b", '{"a":\n1}'),
        ("usage behind", "\\ud800", COUNTS[1]),
        ("usage behind", "\t", COUNTS[1]),
        ("spaces", "b", COUNTS[1]),
        ("thought", "b", COUNTS[1]),
    ],
)
def test_another_shape_is_not_read(shape: str, text: str, usage: str) -> None:
    assert _learned("usage behind").read(_frame(shape, text, usage)) is None


def test_what_overlaps_is_another_shape() -> None:
    template = _learned("usage behind")
    data = _frame("usage behind", "b", "")
    assert template.read(data) is None
    assert template.read(data[:-1]) is None
    plain = _learned("no usage")
    data = _frame("no usage", "", COUNTS[0])
    assert plain.read(data) == []
    assert plain.read(data[:-1]) is None
    text = data.index(b'"content":"') + len(b'"content":"')
    assert plain.read(data[:text] + data[text + 1 :]) is None


def test_what_is_no_utf8_is_decoded_in_full() -> None:
    data = _frame("usage behind", "xx", COUNTS[0]).replace(b"xx", b"\xff\xfe")
    assert _learned("usage behind").read(data) is None


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        ("usage behind", {"field": "reasoning"}),
        ("usage behind", {"field": ""}),
        ("usage behind", {"events": [TextDelta(0, "other")]}),
        ("usage behind", {"events": [UsageUpdate(None)]}),  # type: ignore[arg-type]  # any
        ("usage behind", {"events": [TextDelta(0, "a"), TextDelta(0, "a")]}),
        ("thought", {"events": [ReasoningDelta(0, "a", 0)], "field": "reasoning"}),
    ],
)
def test_what_has_no_shape(shape: str, changes: dict[str, Any]) -> None:
    assert _learned(shape, **changes) is None


@pytest.mark.parametrize("shape", ["two", "groq and root", "escape behind"])
def test_usage_that_is_not_surely_the_roots_must_stay(shape: str) -> None:
    template = _learned(shape)
    assert template.read(_frame(shape, "b", COUNTS[0])) == [TextDelta(0, "b")]
    assert template.read(_frame(shape, "b", COUNTS[1])) is None


def test_thoughts_are_collected() -> None:
    thought: list[str] = []
    template = _learned(
        "thought",
        events=[ReasoningDelta(0, "a")],
        field="reasoning",
        thought=thought,
    )
    for text in ("b", "", "c"):
        template.read(_frame("thought", text, COUNTS[0]))
    assert thought == ["b", "c"]


def test_shapes_that_never_come_again_are_learned_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[bytes] = []

    def never(data: bytes, *_: object) -> None:
        calls.append(data)

    monkeypatch.setattr(_stream_read, "learned", never)
    frames = [_frame("no usage", f"t{at}", str(at)).decode() for at in range(200)]
    events, _ = read_stream(_wire(frames))
    texts = [event.text for event in events if isinstance(event, TextDelta)]
    assert texts == [f"t{at}" for at in range(200)]
    assert 8 <= len(calls) < 20
