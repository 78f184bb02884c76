"""The neutral request, and the media that somebody must fetch for it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from llmwire import requests as module
from llmwire.errors import LocalProtocolError
from llmwire.messages import (
    Base64,
    FileId,
    MediaPart,
    Message,
    Part,
    TextPart,
    ToolResultPart,
    Url,
)
from llmwire.requests import Fetch, Request, Sampling, Tool, ToolChoice
from llmwire.strategies import requests

LINK = MediaPart(kind="image", source=Url("https://a/1"), detail="low")
FILM = MediaPart(kind="video", source=Url("https://a/2"), mime="video/mp4")
INLINE = MediaPart(kind="image", source=Base64("YQ=="))
STORED = MediaPart(kind="document", source=FileId("file-1"))
TEXT = TextPart(text="a")
REQUEST = Request(
    messages=(
        Message(role="user", parts=(TEXT, LINK, INLINE, STORED, FILM)),
        *(Message(role="assistant", parts=(TEXT,)) for _ in range(9)),
        Message(
            role="user",
            parts=(
                ToolResultPart(call_id="1", parts=(TEXT, LINK)),
                ToolResultPart(
                    call_id="2", parts=(ToolResultPart(call_id="3", parts=(FILM,)),)
                ),
            ),
        ),
    )
)


def _media(parts: tuple[Part, ...]) -> Iterator[MediaPart]:
    for part in parts:
        if isinstance(part, ToolResultPart):
            yield from _media(part.parts)
        elif isinstance(part, MediaPart):
            yield part


def _links(request: Request) -> list[str]:
    return [
        part.source.url
        for message in request.messages
        for part in _media(message.parts)
        if isinstance(part.source, Url)
    ]


def test_public_names() -> None:
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type):
            assert issubclass(value, Struct)
            assert value.__struct_config__.frozen


def test_defaults() -> None:
    request = Request()
    assert not (request.messages or request.tools or request.stop)
    assert request.sampling == Sampling()
    assert request.n is request.stream is request.parallel is None
    assert Tool(name="f").kind == "function"
    assert ToolChoice(mode="auto").kind == "any"
    with pytest.raises(AttributeError):
        request.n = 1  # type: ignore[misc]  # frozen


@given(st.sampled_from((None, "anthropic", "openai-responses")).flatmap(requests))
def test_requests_can_travel(request: Request) -> None:
    assert pickle.loads(pickle.dumps(request)) == request


# Media by URL


def test_fetches() -> None:
    assert REQUEST.fetches() == (
        Fetch("messages[0].parts[1]", "https://a/1", "image"),
        Fetch("messages[0].parts[4]", "https://a/2", "video"),
        Fetch("messages[10].parts[0].parts[1]", "https://a/1", "image"),
        Fetch("messages[10].parts[1].parts[0].parts[0]", "https://a/2", "video"),
    )
    assert Request().fetches() == ()


@given(requests("gemini"))
def test_fetches_lists_every_link_in_order(request: Request) -> None:
    found = request.fetches()
    assert [fetch.url for fetch in found] == _links(request)
    assert len({fetch.path for fetch in found}) == len(found)


@given(requests("openai-chat") | st.just(REQUEST))
def test_with_media_fills_one_in(request: Request) -> None:
    while found := request.fetches():
        before = list(_all_parts(request))
        request = request.with_media(found[0].path, "image/x", "YWJj")
        after = list(_all_parts(request))
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        ((old, new),) = changed
        assert new == replace(old, mime="image/x", source=Base64("YWJj"))
        assert request.fetches() == found[1:]


def _all_parts(request: Request) -> Iterator[MediaPart]:
    for message in request.messages:
        yield from _media(message.parts)


def test_with_media_leaves_the_rest_alone() -> None:
    filled = REQUEST.with_media("messages[10].parts[0].parts[1]", "image/png", "YQ==")
    assert filled.messages[:10] == REQUEST.messages[:10]
    result = filled.messages[10].parts[0]
    assert isinstance(result, ToolResultPart)
    picture = MediaPart(
        kind="image", source=Base64("YQ=="), mime="image/png", detail="low"
    )
    assert result.parts == (TEXT, picture)
    assert filled.messages[10].parts[1] == REQUEST.messages[10].parts[1]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "messages[0]",
        "messages[0].parts",
        "messages[0].parts[0]",
        "messages[0].parts[2]",
        "messages[0].parts[3]",
        "messages[0].parts[9]",
        "messages[1].parts[1]",
        "messages[10].parts[0]",
        "messages[10].parts[0].parts[0]",
        "messages[99].parts[0]",
        "messages[0].parts[1]x",
    ],
)
def test_with_media_needs_a_link(path: str) -> None:
    with pytest.raises(LocalProtocolError, match="no medium by URL at"):
        REQUEST.with_media(path, "image/png", "YQ==")
    with pytest.raises(LocalProtocolError):
        Request().with_media(path, "image/png", "YQ==")
