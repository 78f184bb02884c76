"""Traps 42 to 44: token counts that are missing, added twice, or billed twice."""

from __future__ import annotations

from typing import Any

import pytest

from llmwire import Usage
from tests.traps import (
    CHAT,
    CLAUDE,
    GEMINI,
    RESPONSES,
    Object,
    chat_stream,
    claude_stream,
    frames,
    gemini_stream,
    objects,
    responses_stream,
    stream,
    whole,
)

ALL = (CHAT, RESPONSES, CLAUDE, GEMINI)
_TEXT = {"type": "text", "text": ""}, {"type": "text_delta", "text": "Well"}


def _counts(dialect: str, given: list[Object]) -> Any:
    """The token counts that a client has at the end of a stream, or of a body."""
    if dialect == CHAT:
        found = [one["usage"] for one in given if one.get("usage")]
        assert len(found) == 1, "counts more than once"
        return found[0]
    if dialect == RESPONSES:
        return given[-1].get("response", given[-1])["usage"]
    if dialect == GEMINI:
        return given[-1]["usageMetadata"]
    if given[0].get("type") == "message_start":
        start = given[0]["message"]["usage"]
        return {**start, **given[-2]["usage"]}
    return given[-1]["usage"]


def _sums(dialect: str, counts: Object) -> tuple[int, int]:
    """The whole input and output, by the vendor's own arithmetic."""
    if dialect == CHAT:
        return counts["prompt_tokens"], counts["completion_tokens"]
    if dialect == RESPONSES:
        return counts["input_tokens"], counts["output_tokens"]
    if dialect == GEMINI:
        generated = counts["candidatesTokenCount"]
        thought = counts.get("thoughtsTokenCount", 0)
        return counts["promptTokenCount"], generated + thought
    cached = ("cache_read_input_tokens", "cache_creation_input_tokens")
    read = sum(counts.get(name, 0) for name in cached)
    return counts["input_tokens"] + read, counts["output_tokens"]


# --- 42: input tokens in the stream of Anthropic -------------------------------------


@pytest.mark.parametrize(
    ("start", "last"),
    [
        ({"input_tokens": 11, "output_tokens": 1}, {"output_tokens": 9}),
        ({"output_tokens": 0}, {"input_tokens": 11, "output_tokens": 9}),
        (
            {"input_tokens": 0, "output_tokens": 0},
            {"input_tokens": 11, "output_tokens": 9},
        ),
        ({"input_tokens": 11}, {"input_tokens": 11, "output_tokens": 9}),
    ],
)
@pytest.mark.parametrize("target", ALL)
def test_trap_42_counts_of_both_frames_are_merged(
    target: str, start: Object, last: Object
) -> None:
    """Either `message_start` or `message_delta` may lack the input tokens; the client
    gets them wherever they stood, what came later first.

    Fails at the sums when one of the frames is not read, or an older 0 wins.
    """
    parts = claude_stream(_TEXT, usage=start, last=last)
    events, translator = stream(CLAUDE, target, parts)
    assert _sums(target, _counts(target, events)) == (11, 9)
    assert translator.usage == Usage(fresh=11, output=9)


def test_trap_42_a_frame_without_counts_takes_none_away() -> None:
    """No usage at all in one of the two frames leaves the other's.

    Fails with an error or at the sums when a missing usage is required or is zeros.
    """
    given = objects(claude_stream(_TEXT, usage={"input_tokens": 11}))
    del given[-2]["usage"]
    bare = objects(claude_stream(_TEXT, last={"input_tokens": 11, "output_tokens": 0}))
    del bare[0]["message"]["usage"]
    for one in (given, bare):
        _, translator = stream(CLAUDE, CHAT, frames(*one))
        assert translator.error is None
        assert translator.usage is not None
        assert translator.usage.fresh == 11


def test_trap_42_whole_answers() -> None:
    """A whole answer tells its input tokens to every client.

    Fails at the sums.
    """
    body: Object = {"id": "msg_7", "type": "message", "role": "assistant", "model": "m"}
    body |= {"content": [], "stop_reason": "end_turn", "stop_sequence": None}
    body["usage"] = {"input_tokens": 11, "output_tokens": 9}
    for target in ALL:
        given, _ = whole(CLAUDE, target, body)
        assert _sums(target, _counts(target, [given])) == (11, 9)


# --- 43: counts of a stream replace, they do not add ---------------------------------


def _chunks(usages: list[Object]) -> bytes:
    """A Chat stream with counts on every chunk."""
    given = objects(chat_stream(*({"content": "x"} for _ in usages[1:])))
    return frames(
        *({**one, "usage": used} for one, used in zip(given, usages, strict=True)),
        done=True,
    )


def _growing(source: str) -> bytes:
    """A stream whose counts grow: 11 in, 1, then 4, then 9 out."""
    if source == CLAUDE:
        given = objects(claude_stream(_TEXT, usage={"input_tokens": 11}))
        given[0]["message"]["usage"]["output_tokens"] = 1
        deltas: list[Object] = [
            {**given[-2], "usage": {"input_tokens": 11, "output_tokens": out}}
            for out in (4, 9)
        ]
        return frames(*given[:-2], *deltas, given[-1])
    if source == CHAT:
        return _chunks(
            [
                {
                    "prompt_tokens": 11,
                    "completion_tokens": out,
                    "total_tokens": 11 + out,
                }
                for out in (1, 4, 9)
            ]
        )
    if source == GEMINI:
        given = objects(gemini_stream([{"text": "a"}], [{"text": "b"}]))
        counts = [
            {"promptTokenCount": 11, "candidatesTokenCount": out} for out in (1, 4, 9)
        ]
        pairs = zip(given, counts, strict=True)
        return frames(*({**one, "usageMetadata": used} for one, used in pairs))
    used: Object = {"input_tokens": 11, "output_tokens": 9, "total_tokens": 20}
    given = objects(responses_stream(output=[], usage=used))
    response = {**given[0]["response"], "usage": {**used, "output_tokens": 4}}
    progress = {"type": "response.in_progress", "response": response}
    return frames(given[0], progress, given[-1])


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", ALL)
def test_trap_43_the_last_counts_replace_the_ones_before(
    source: str, target: str
) -> None:
    """Counts in a stream are cumulative in every dialect: the last ones hold.

    Fails at the sums (14 or 22 instead of 9 or 11) when frames are added up, at
    `_counts` when a client of Chat is told more than once.
    """
    events, translator = stream(source, target, _growing(source))
    assert _sums(target, _counts(target, events)) == (11, 9)
    assert translator.usage is not None
    assert (translator.usage.input, translator.usage.output) == (11, 9)


# --- 44: cached tokens, inside here and outside there --------------------------------

_USAGES: dict[str, Object] = {
    CLAUDE: {
        "input_tokens": 100,
        "cache_read_input_tokens": 900,
        "cache_creation_input_tokens": 200,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 20},
    },
    CHAT: {
        "prompt_tokens": 1200,
        "completion_tokens": 50,
        "total_tokens": 1250,
        "prompt_tokens_details": {"cached_tokens": 900, "cache_write_tokens": 200},
        "completion_tokens_details": {"reasoning_tokens": 20},
    },
    RESPONSES: {
        "input_tokens": 1200,
        "input_tokens_details": {"cached_tokens": 900, "cache_write_tokens": 200},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 1250,
    },
    GEMINI: {
        "promptTokenCount": 1200,
        "cachedContentTokenCount": 900,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 1250,
    },
}


def _used(source: str) -> tuple[bytes, Object]:
    """An answer with the counts of `_USAGES`, as a stream and whole."""
    used = _USAGES[source]
    if source == CLAUDE:
        start = {**used, "output_tokens": 1}
        body: Object = {"id": "msg_7", "type": "message", "role": "assistant"}
        body |= {"model": "m", "content": [], "stop_reason": "end_turn"}
        return claude_stream(_TEXT, usage=start, last=used), {**body, "usage": used}
    if source == CHAT:
        message = {"role": "assistant", "content": "Well"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "c", "created": 5, "model": "m", "choices": [choice]}
        return chat_stream({"content": "Well"}, usage=used), {**body, "usage": used}
    if source == GEMINI:
        parts = gemini_stream([{"text": "Well"}], usageMetadata=used)
        content = {"role": "model", "parts": [{"text": "Well"}]}
        candidate = {"content": content, "finishReason": "STOP", "index": 0}
        return parts, {"candidates": [candidate], "usageMetadata": used}
    parts = responses_stream(output=[], usage=used)
    return parts, objects(parts)[-1]["response"]


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", ALL)
def test_trap_44_cached_tokens_are_counted_once(source: str, target: str) -> None:
    """Anthropic's input excludes the cache, everybody else's includes it; Gemini's
    output excludes thoughts, everybody else's includes them.

    Fails at the equality of counts when a bucket is added or taken away twice, or
    not at all, on either side.
    """
    expected = _USAGES[target]
    if source == GEMINI:  # says nothing of written ones: they are fresh
        expected = {
            CHAT: {**_USAGES[CHAT], "prompt_tokens_details": {"cached_tokens": 900}},
            RESPONSES: {
                **_USAGES[RESPONSES],
                "input_tokens_details": {"cached_tokens": 900, "cache_write_tokens": 0},
            },
            CLAUDE: {
                "input_tokens": 300,
                "cache_read_input_tokens": 900,
                "output_tokens": 50,
                "output_tokens_details": {"thinking_tokens": 20},
            },
            GEMINI: _USAGES[GEMINI],
        }[target]
    parts, body = _used(source)
    events, translator = stream(source, target, parts)
    given, _ = whole(source, target, body)
    assert _counts(target, events) == expected
    assert _counts(target, [given]) == expected
    assert translator.usage is not None
    assert translator.usage.input == 1200
    assert _sums(target, expected) == (1200, 50)


def test_trap_44_the_buckets_are_disjoint() -> None:
    """Read from any dialect, fresh, cached and written tokens sum to the input.

    Fails at the buckets when an inclusive count is kept as the fresh one.
    """
    for source in (CHAT, RESPONSES, CLAUDE):
        _, translator = stream(source, CHAT, _used(source)[0])
        usage = translator.usage
        assert usage is not None
        buckets = (usage.fresh, usage.cache_read, usage.cache_write)
        assert buckets == (100, 900, 200)
        assert (usage.output, usage.reasoning) == (50, 20)


def test_trap_44_more_cached_than_sent_is_not_negative() -> None:
    """Servers that contradict themselves give no negative counts.

    Fails when the difference is not bounded.
    """
    odd = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    used = {**odd, "prompt_tokens_details": {"cached_tokens": 9}}
    for target in ALL:
        events, translator = stream(
            CHAT, target, chat_stream({"content": "x"}, usage=used)
        )
        assert translator.usage is not None
        assert (translator.usage.fresh or 0) >= 0
        numbers = [n for n in _counts(target, events).values() if isinstance(n, int)]
        assert min(numbers) >= 0
