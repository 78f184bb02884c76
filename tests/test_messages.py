"""The neutral conversation is data: frozen, comparable, able to travel."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

from llmwire import messages
from llmwire.messages import (
    APIError,
    Base64,
    Choice,
    Citation,
    ErrorKind,
    FileId,
    MediaPart,
    Message,
    Part,
    PlainText,
    ReasoningPart,
    Response,
    ServerToolCallPart,
    Signature,
    TextPart,
    TokenCount,
    ToolCallPart,
    ToolResultPart,
    Url,
    Usage,
)
from llmwire.strategies import errors, parts, responses, usages
from llmwire.strategies import messages as turns

RECORDS = [
    value
    for name in messages.__all__
    if inspect.isclass(value := getattr(messages, name)) and issubclass(value, Struct)
]


def test_public_names() -> None:
    assert list(messages.__all__) == sorted(messages.__all__)
    public = {
        name
        for name, value in vars(messages).items()
        if getattr(value, "__module__", "") == messages.__name__ and name[0] != "_"
    }
    assert public <= set(messages.__all__)
    assert set(get_args(Part)) <= set(RECORDS)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_records_are_frozen(record: type[Struct]) -> None:
    config = record.__struct_config__
    assert config.frozen
    assert not config.gc


@given(
    st.one_of(
        parts(dialect="anthropic"),
        turns("openai-responses"),
        responses("gemini", choices=2),
        usages("openai-chat"),
        errors("anthropic"),
    )
)
def test_values_can_travel(value: Struct) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.copy(value) == value
    assert copy.deepcopy(value) == value
    # It is written as JSON for people; nothing in it is a type of our own.
    msgspec.json.encode(value)


def test_parts_differ_by_kind() -> None:
    refusal: Part = messages.RefusalPart(text="a")
    assert TextPart(text="a") == TextPart(text="a")
    assert TextPart(text="a") != refusal
    assert TextPart(text="a") != TextPart(text="a", phase="commentary")
    with pytest.raises(AttributeError):
        TextPart(text="a").text = "b"  # type: ignore[misc]  # frozen


def test_parts_are_named_not_counted() -> None:
    kinds: tuple[Any, ...] = (ToolCallPart, ReasoningPart, MediaPart, Message, Usage)
    for kind in kinds:
        with pytest.raises(TypeError, match="positional"):
            kind("1", "2")


def test_defaults_say_nothing() -> None:
    call = ToolCallPart(call_id="1", name="f")
    assert (call.arguments, call.kind, call.incomplete) == ("", "function", False)
    assert ToolResultPart(call_id="1").parts == ()
    assert ServerToolCallPart(name="f").payload == Raw(b"{}")
    assert Message(role="user").parts == ()
    assert Choice().stop == "other"
    assert Response().choices == ()
    assert Citation(kind="url").raw is None
    assert Signature(origin="gemini", value="a").model is None
    assert TokenCount(input=1).cached is None
    assert set(get_args(ErrorKind)) >= {"truncated", "bad_upstream"}
    assert APIError(kind="truncated", message="m").status is None


@pytest.mark.parametrize(
    "source", [Base64("YQ=="), Url("https://a"), FileId("file-1"), PlainText("a")]
)
def test_sources_are_told_apart_on_paper(source: messages.Source) -> None:
    part = MediaPart(kind="image", source=source)
    assert msgspec.convert(msgspec.to_builtins(part.source), messages.Source) == source


def test_input_sums_the_buckets() -> None:
    assert Usage().input == 0
    assert Usage(fresh=1, output=100, reasoning=50, audio_in=1).input == 1
    usage = Usage(
        fresh=1, cache_read=2, cache_write=4, cache_write_long=8, tool_prompt=16
    )
    assert usage.input == 31
