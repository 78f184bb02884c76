"""Requests from Chat to every dialect, beside the least they could cost.

The limit is msgspec itself: the same body decoded into the same typed structs, and
these encoded again.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import llmwire
from bench.inputs import agent_request, image_request, small_request
from llmwire.dialects.openai_chat._wire import RequestBody

BODIES = {
    "small": small_request(),
    "agent 60 kB": agent_request(),
    "images 1 MB": image_request(),
}
TARGETS = ("openai-chat", "openai-responses", "anthropic", "gemini")


def _bare(body: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(body, type=RequestBody))


def _translate(body: bytes, target: str) -> bytes:
    call = llmwire.translate_request(body, "openai-chat", target, model="m")
    return call.http.body


@pytest.mark.parametrize("size", BODIES)
def test_limit(benchmark: Any, size: str) -> None:
    benchmark.group = f"request, {size}"
    benchmark.extra_info.update(limit=True, per="request")
    benchmark(_bare, BODIES[size])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", BODIES)
def test_translate(benchmark: Any, size: str, target: str) -> None:
    benchmark.group = f"request, {size}"
    benchmark.extra_info.update(per="request")
    assert benchmark(_translate, BODIES[size], target)
