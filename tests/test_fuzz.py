"""The fuzzer, and every input that it has found something with."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from random import Random

import pytest

from bench.fuzz import run
from bench.fuzz.feeds import Feed
from bench.fuzz.targets import Target, targets

TARGETS = {target.name: target for target in targets()}
SHORT = 150


class Thorough(Random):
    """Chooses to check everything, with the usual limits."""

    def random(self) -> float:
        return 0.0


CHAT = "openai-chat/stream, sse"
RESPONSES = "openai-responses/stream, sse"
ANTHROPIC = "anthropic/stream, sse"
GEMINI = "gemini/stream, sse"
FOUND: Sequence[tuple[str, bytes, str]] = (
    # Raw members that are no UTF-8, or hold numbers that no double is.
    (
        CHAT,
        b'data:{"choices":[{"delta":{"annotations":[{"\xf3":0}]}}]}\n\n',
        "broken: bad_upstream",
    ),
    (CHAT, b'data:{"id":"c","x_groq":{"":7e999}}\n\n', "broken: bad_upstream"),
    # A summary of a number that nobody could count to.
    (
        RESPONSES,
        b'data:{"type":"response.reasoning_summary_text.done",'
        b'"summary_index":50000004,"text":"."}\n\n',
        "broken: truncated",
    ),
    # Text of a part that could not open.
    (
        RESPONSES,
        b"".join(
            b'data:{"type":"response.output_text.delta","delta":"a","output_index":%d}'
            b"\n\n" % at
            for at in range(5)
        ),
        "broken: truncated",
    ),
    # A block that lacks what it needs.
    (
        ANTHROPIC,
        b'data:{"type":"content_block_start","index":3,'
        b'"content_block":{"type":"server_tool_use"}}\n\n',
        "broken: bad_upstream",
    ),
    # Members of a frame that are named like members of the message.
    (
        ANTHROPIC,
        b'data:{"type":"message_start","message":{"id":"m","usage":{}}}\n\n'
        b'data:{"type":"message_delta","delta":{"stop_reason":"end_turn","type":"x"}}'
        b'\n\ndata:{"type":"message_stop","content":{"type":"x"}}\n\n',
        "complete, repaired",
    ),
    # JSON outside of the framing, and data behind it.
    (
        GEMINI,
        b'data:{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"responseId":"r"}'
        b'\n\ndata:{"candidates":[{"content":{"parts":[{"text":"b"}]}}],'
        b'"responseId":"r"}\nx:[{}]\n\n',
        "broken: bad_upstream",
    ),
    # Candidates that are none, beside those that are written.
    (
        GEMINI,
        b'data:{"candidates":["l"]}\n\n'
        b'data:{"candidates":[{"finishReason":"STOP","i":0}]}\n\n',
        "complete",
    ),
    ("openai-responses/request", b'{"text":null}', "read"),
    (
        "anthropic/request",
        b'{"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f",'
        b'"strict":true,"input_schema":{"type":"object","additionalProperties":false,'
        b'"properties":1}}]}',
        "read",
    ),
    (
        "gemini/request",
        b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"responseSchema":'
        b'{"properties":{"a":{"format":{}}},"required":[{}]}}}',
        "read",
    ),
    (
        "anthropic/response",
        b'{"content":[{"type":"thinking","signature":[null]}],"role":"assistant"}',
        "read",
    ),
    ("gemini/error", b'{"error":{"details":[{"reason":{}}]}}', "bad_upstream"),
)


@pytest.mark.parametrize(("name", "data", "outcome"), FOUND)
def test_what_was_found(name: str, data: bytes, outcome: str) -> None:
    assert TARGETS[name].run(data, Thorough()) == outcome
    for seed in range(50):  # tight limits, other divisions
        TARGETS[name].run(data, Random(seed))


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_breaks_nothing(name: str) -> None:
    target = TARGETS[name]
    result = run.fuzz(target, target.feed(None), Random(name), SHORT)
    assert result.failures == {}
    assert sum(result.outcomes.values()) == SHORT
    assert len(result.outcomes) > 1


def _toy(data: bytes, rng: Random) -> str:
    if b"\x00" in data and b"bad" in data:
        raise KeyError("a defect")
    return "read"


FEED = Feed([b"x"], lambda rng: b"some \x00 thing that is bad enough")
TOY = Target("toy", lambda corpus: FEED, _toy, ())


def test_failures_are_found_and_made_small() -> None:
    result = run.fuzz(TOY, FEED, Random(1), 40)
    (failure,) = result.failures.values()
    assert failure.where.startswith("KeyError at test_fuzz.py:")
    assert failure.data == b"\x00bad"
    assert "a defect" in failure.trace
    told = run.report("toy", result, 1.0)
    assert "CONTRACT BROKEN" in told
    assert repr(failure.data) in told


def test_what_computes_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(data: bytes, rng: Random) -> str:
        while True:
            pass

    if not hasattr(signal, "setitimer"):
        pytest.skip("the system cannot end a computation")
    monkeypatch.setattr(run, "SECONDS", 0.02)
    monkeypatch.setattr(run, "_SHRINKS", 1)
    result = run.fuzz(Target("endless", TOY.feed, endless, ()), FEED, Random(1), 1)
    (failure,) = result.failures.values()
    assert failure.where.startswith("TooSlow")


def test_the_same_seed_gives_the_same_inputs() -> None:
    feed = TARGETS[CHAT].feed(None)
    left, right = Random("1 a 0"), Random("1 a 0")
    assert [feed.draw(left) for _ in range(40)] == [feed.draw(right) for _ in range(40)]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["sse", "--inputs", "300", "--sample", "100", "--seed", "7"]) == 0
    told = capsys.readouterr().out
    assert "sse: 300 inputs" in told
    assert "(100 inputs measured)" in told
    assert "branches 0 of" not in told
