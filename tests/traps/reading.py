"""Strict clients, one per dialect: what a program would hold after an answer.

They know the grammar of their vendor's streams and nothing of llmwire, and fail at the
first frame that breaks it. A stream and a whole answer give the same form, so that both
can be compared.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.traps import CHAT, CLAUDE, RESPONSES, Object, stream, whole

__all__ = ("both", "read_stream", "read_whole", "sealed", "streamed")

_TAKES = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
}
"""Deltas that a block of a Messages stream may grow by."""


def _claude(events: list[Object]) -> list[Object]:
    assert [one["type"] for one in events].count("message_start") == 1
    assert events[0]["type"] == "message_start"
    assert [one["type"] for one in events[-2:]] == ["message_delta", "message_stop"]
    blocks: list[Object] = []
    inputs: list[str] = []
    opened = False
    for event in events[1:-2]:
        kind = event["type"]
        if kind == "content_block_start":
            assert not opened, "two blocks are open"
            assert event["index"] == len(blocks)
            blocks.append(dict(event["content_block"]))
            inputs.append("")
            opened = True
        elif kind == "content_block_delta":
            assert opened, "a delta outside of any block"
            assert event["index"] == len(blocks) - 1
            block, delta = blocks[-1], event["delta"]
            assert delta["type"] in _TAKES[block["type"]], (block, delta)
            if delta["type"] == "input_json_delta":
                inputs[-1] += delta["partial_json"]
            elif delta["type"] == "signature_delta":
                known = ("", delta["signature"])
                assert block["signature"] in known, "a second signature"
                block["signature"] = delta["signature"]
            elif delta["type"] == "text_delta":
                block["text"] += delta["text"]
            elif delta["type"] == "thinking_delta":
                assert not block["signature"], "thinking after its signature"
                block["thinking"] += delta["thinking"]
        elif kind == "content_block_stop":
            assert opened, "a stop without a block"
            assert event["index"] == len(blocks) - 1
            opened = False
        else:
            assert kind == "ping", kind
    assert not opened, "a block is still open"
    for block, text in zip(blocks, inputs, strict=True):
        if text:
            block["input"] = json.loads(text)
    return blocks


def _chat(chunks: list[Object]) -> Object:
    message: Object = {"content": "", "reasoning_content": "", "tool_calls": []}
    message["finish_reason"] = None
    details: dict[int, Object] = {}
    for choice in (one for chunk in chunks for one in chunk["choices"]):
        assert message["finish_reason"] is None, "a choice after its finish"
        assert choice["index"] == 0
        message["finish_reason"] = choice["finish_reason"]
        delta = choice["delta"]
        for name in ("content", "reasoning_content"):
            message[name] += delta.get(name) or ""
        for detail in delta.get("reasoning_details") or ():
            whole = details.setdefault(detail["index"], {})
            whole |= {**detail, "text": whole.get("text", "") + detail.get("text", "")}
        for call in delta.get("tool_calls") or ():
            _grow_call(message["tool_calls"], call)
    found = [{k: v for k, v in one.items() if v != ""} for one in details.values()]
    return {**message, "reasoning_details": found}


def _grow_call(calls: list[Object], call: Object) -> None:
    at = call["index"]
    if at == len(calls):
        assert call["id"], "a call without an id"
        assert call["type"] == "function"
        assert call["function"]["name"], "a call without a name"
        new = {key: value for key, value in call.items() if key != "index"}
        calls.append({**new, "function": dict(call["function"])})
        return
    assert at < len(calls), "a call's number was skipped"
    assert call.keys() == {"index", "function"}, "a second opening of a call"
    assert call["function"].keys() == {"arguments"}
    calls[at]["function"]["arguments"] += call["function"]["arguments"]


def _responses(events: list[Object]) -> list[Object]:
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    texts: dict[tuple[Any, ...], str] = {}
    items: dict[int, Object] = {}
    done: list[Object] = []
    for event in events[1:-1]:
        kind = event["type"].removeprefix("response.")
        if kind == "output_item.added":
            assert event["output_index"] == len(items)
            items[event["output_index"]] = event["item"]
        elif kind == "output_item.done":
            assert event["output_index"] == len(done)
            assert event["item"]["id"] == items[event["output_index"]]["id"]
            done.append(event["item"])
        elif "item_id" in event:
            at = event["output_index"]
            assert len(done) <= at < len(items), "an event of no open item"
            assert event["item_id"] == items[at]["id"]
            name, _, step = kind.rpartition(".")
            place = (at, name, event.get("content_index"), event.get("summary_index"))
            if step == "delta":
                texts[place] = texts.get(place, "") + event["delta"]
            elif step == "done" and "part" not in event:
                said = event.get("text", event.get("arguments", event.get("refusal")))
                assert said == texts.pop(place, "")
    assert not texts, "deltas without their done"
    assert events[-1]["response"]["output"] == done
    return done


def _gemini(parts: list[Object]) -> list[Object]:
    """Parts, texts of one kind joined as programs show them; signatures end a part."""
    found: list[Object] = []
    for part in parts:
        last = found[-1] if found else {}
        like = "text" in part and "text" in last and "thoughtSignature" not in last
        if like and part.get("thought") == last.get("thought"):
            found[-1] = {**last, **part, "text": last["text"] + part["text"]}
        elif part != {"text": ""}:
            found.append(part)
    return found


def read_stream(dialect: str, events: list[Object]) -> Any:
    """What a client of `dialect` holds after the objects of a stream: blocks, one
    message, items or parts."""
    if dialect == CLAUDE:
        return _claude(events)
    if dialect == CHAT:
        return _chat(events)
    if dialect == RESPONSES:
        return _responses(events)
    candidates = [one["candidates"][0] for one in events]
    return _gemini([p for c in candidates for p in c.get("content", {})["parts"]])


def read_whole(dialect: str, body: Object) -> Any:
    """The same of a whole answer."""
    if dialect == CLAUDE:
        return body["content"]
    if dialect == CHAT:
        [choice] = body["choices"]
        message = choice["message"]
        return {
            "content": message["content"] or "",
            "reasoning_content": message.get("reasoning_content") or "",
            "tool_calls": message.get("tool_calls", []),
            "finish_reason": choice["finish_reason"],
            "reasoning_details": message.get("reasoning_details", []),
        }
    if dialect == RESPONSES:
        return body["output"]
    [candidate] = body["candidates"]
    return _gemini(candidate["content"]["parts"])


def streamed(source: str, target: str, body: bytes, **options: Any) -> Any:
    """What a client of `target` holds after the stream `body`."""
    return read_stream(target, stream(source, target, body, **options)[0])


def both(source: str, target: str, parts: bytes, body: Object, **options: Any) -> Any:
    """What a client of `target` holds after the stream `parts`, which must be what it
    holds after the whole answer `body`."""
    held = streamed(source, target, parts, **options)
    other = read_whole(target, whole(source, target, body, **options)[0])
    assert held == other, f"streamed {held}, whole {other}"
    return held


def sealed(envelope: str) -> Object:
    """The content of an envelope around a foreign signature."""
    version, origin, content = envelope.split(".")
    assert version == "llmw1"
    found: Object = json.loads(base64.urlsafe_b64decode(content + "=="))
    return {"origin": origin, **found}
