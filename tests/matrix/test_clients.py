"""The official clients against the proxy, in front of servers of every dialect.

Everything goes over real sockets: client, proxy and a second server, whose simulator
answers in the dialect of whatever path it is asked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from llmwire.dialects import dialects
from llmwire_server.app import App
from llmwire_server.backends import Backend, Secret
from llmwire_server.config import Config, load
from llmwire_server.upstream.pool import Pool
from tests.matrix.speakers import SPEAKERS, Answer, Speaker
from tests.server.live import play, run_app

DIALECTS = tuple(SPEAKERS)
THOUGHT = "The user wants an answer. I will give one."
WEATHER = {"city": "text", "days": 1}


def _backends(root: str, prefix: str = "") -> dict[str, Backend]:
    return {
        f"{prefix}{dialect}": Backend(
            name=f"{prefix}{dialect}",
            dialect=dialect,
            base_url=f"{root}/v1" if dialect.startswith("openai") else root,
            api_key=Secret("upstream-secret"),
            models=("simulator",) if dialect == "gemini" and not prefix else (),
        )
        for dialect in DIALECTS
    }


class House(Struct):
    """The proxy and what is behind it."""

    root: str
    pool: Pool


def _cut_stream(head: bytes, body: bytes) -> bytes:
    """A stream that ends in the middle, without any sign of it."""
    path = head.split(b" ")[1].decode()
    frames: list[tuple[str | None, Any]]
    if "streamGenerateContent" in path:
        chunk: Any = {"candidates": [{"content": {"parts": [{"text": "Hel"}]}}]}
        frames = [(None, chunk)]
    elif path.endswith("/messages"):
        message: dict[str, Any] = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
        }
        message |= {"content": [], "stop_reason": None, "stop_sequence": None}
        message |= {"usage": {"input_tokens": 1, "output_tokens": 1}}
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": "Hel"}
        frames = [
            ("message_start", {"type": "message_start", "message": message}),
            (
                "content_block_start",
                {"type": "content_block_start", "index": 0, "content_block": block},
            ),
            (
                "content_block_delta",
                {"type": "content_block_delta", "index": 0, "delta": delta},
            ),
        ]
    elif path.endswith("/responses"):
        response = {"id": "resp_1", "object": "response", "created_at": 1, "output": []}
        response |= {"model": "m", "status": "in_progress"}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
        part = {"type": "output_text", "text": "", "annotations": []}
        at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        members: list[tuple[str, dict[str, Any]]] = [
            ("response.created", {"response": response}),
            ("response.output_item.added", {"output_index": 0, "item": item}),
            ("response.content_part.added", {**at, "part": part}),
            ("response.output_text.delta", {**at, "delta": "Hel"}),
        ]
        frames = [
            (kind, {"type": kind, "sequence_number": n, **given})
            for n, (kind, given) in enumerate(members)
        ]
    else:
        delta = {"role": "assistant", "content": "Hel"}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1}
        frames = [(None, {**chunk, "model": "m", "choices": [choice]})]
    text = "".join(
        (f"event: {kind}\n" if kind else "") + f"data: {json.dumps(data)}\n\n"
        for kind, data in frames
    )
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + text.encode()


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    with run_app(App(load(environment={}))) as upstream, play(_cut_stream) as cut:
        backends = {**_backends(upstream), **_backends(cut, "cut-")}
        backends["down"] = Backend(
            name="down", dialect="openai-chat", base_url="http://127.0.0.1:9/v1"
        )
        pool = Pool()
        config = Config(backends=backends, default_backend="openai-chat")
        with run_app(App(config, pool=pool)) as root:
            yield House(root, pool)


def _speaker(house: House, client: str, backend: str) -> Iterator[Speaker]:
    speaker = SPEAKERS[client](house.root, f"{backend}:simulator")
    yield speaker
    speaker.close()


@pytest.fixture(params=DIALECTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=DIALECTS)
def upstream(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def speaker(house: House, client: str, upstream: str) -> Iterator[Speaker]:
    yield from _speaker(house, client, upstream)


@pytest.fixture
def listener(house: House, client: str, upstream: str) -> Iterator[Speaker]:
    """Whose stream will be cut."""
    yield from _speaker(house, client, f"cut-{upstream}")


streaming = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@streaming
def test_text(speaker: Speaker, stream: bool) -> None:
    answer = speaker.ask("Hello, how are you today?", stream=stream)
    assert answer.text == "You said: Hello, how are you today?"
    assert answer.thought == ""
    assert answer.calls == []
    assert answer.stop == speaker.stops[0]
    assert answer.input > 5
    assert answer.output == 9
    assert not stream or answer.pieces > 1


@streaming
def test_a_call_and_its_result(speaker: Speaker, stream: bool) -> None:
    first = speaker.ask("please get_weather", tools=True, stream=stream)
    assert [(call.name, call.arguments) for call in first.calls] == [
        ("get_weather", WEATHER)
    ]
    assert first.stop == speaker.stops[1]
    if stream:
        return
    second = speaker.ask("please get_weather", tools=True, history=(first, ["sunny"]))
    assert "sunny" in second.text
    assert second.calls == []


@streaming
def test_parallel_calls(speaker: Speaker, stream: bool) -> None:
    first = speaker.ask("both in parallel", tools=True, stream=stream)
    assert [(call.name, call.arguments) for call in first.calls] == [
        ("get_weather", WEATHER),
        ("get_time", {"zone": "UTC"}),
    ]
    assert len({call.id for call in first.calls}) == 2
    if stream:
        return
    results = ["sunny", "noon"]
    second = speaker.ask("both in parallel", tools=True, history=(first, results))
    assert second.text.index("sunny") < second.text.index("noon")


@streaming
def test_reasoning(speaker: Speaker, stream: bool) -> None:
    answer = speaker.ask("why?", think=True, stream=stream)
    assert answer.thought == THOUGHT
    assert answer.text == "You said: why?"


def test_reasoning_before_a_call_is_taken_back(speaker: Speaker) -> None:
    first = speaker.ask("please get_weather", tools=True, think=True)
    assert first.thought == THOUGHT
    second = speaker.ask(
        "please get_weather", tools=True, think=True, history=(first, ["sunny"])
    )
    assert "sunny" in second.text


def test_images(speaker: Speaker) -> None:
    answer = speaker.ask("Look!", picture=True)
    assert answer.text == "You said: Look! I see 1 attachment(s)."


@streaming
def test_structured_output(speaker: Speaker, stream: bool) -> None:
    answer = speaker.ask("Who?", schema=True, stream=stream)
    assert json.loads(answer.text) == {"name": "text", "age": 1}


def test_counting(speaker: Speaker, client: str) -> None:
    count = speaker.count("How many tokens is this?")
    assert count == (None if client == "openai-chat" else 10)


@streaming
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_errors(speaker: Speaker, status: int, stream: bool) -> None:
    with pytest.raises(speaker.failures[status]) as raised:
        speaker.ask(f"simulate error {status}", stream=stream)
    error: Any = raised.value
    found = getattr(error, "status_code", None) or error.code
    # Anthropic says 529 where the others say 503.
    assert found in {503: (503, 529)}.get(status, (status,))
    assert f"simulated error {status}" in str(error)
    assert "secret" not in str(error)


def test_a_stream_that_the_server_breaks_is_no_end(speaker: Speaker) -> None:
    with pytest.raises(speaker.broken):
        speaker.ask("simulate cut of this stream", stream=True)


def test_a_stream_that_just_stops_is_no_end(listener: Speaker) -> None:
    with pytest.raises(listener.broken):
        listener.ask("Hello", stream=True)


def test_a_server_that_is_down(house: House, client: str) -> None:
    for speaker in _speaker(house, client, "down"):
        for stream in (False, True):
            with pytest.raises(speaker.broken, match="upstream failed: connect"):
                speaker.ask("Hello", stream=stream)


def test_models(house: House, client: str) -> None:
    """Those of every backend that is up, found by asking it."""
    for speaker in _speaker(house, client, "gemini"):
        names = sorted(name.removeprefix("models/") for name in speaker.models())
        assert names == [f"{dialect}:simulator" for dialect in sorted(dialects())]


def test_a_bare_model_goes_to_the_backend_that_lists_it(
    house: House, client: str
) -> None:
    speaker = SPEAKERS[client](house.root, "simulator")
    answer: Answer = speaker.ask("Hi")
    speaker.close()
    assert answer.text == "You said: Hi"


def test_nothing_stays_behind(house: House) -> None:
    assert (house.pool.counts.busy, house.pool.counts.waiting) == (0, 0)
