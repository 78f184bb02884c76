"""Well-formed streams of the built-in dialects, as frames not yet written down.

A `Plan` says what a model answers; one function per dialect says it as a server of that
dialect would. The least a decoder must read, and the stuff hostile streams are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from msgspec import Struct

from llmwire.strategies._values import argument_texts, pick, roll, texts

Tree: TypeAlias = dict[str, object]


class Step(Struct, frozen=True):
    """One part of an answer in the pieces it comes in."""

    kind: Literal["text", "reasoning", "call"]
    pieces: tuple[str, ...]

    @property
    def whole(self) -> str:
        """The pieces joined."""
        return "".join(self.pieces)


class Plan(Struct, frozen=True):
    """What a model answers."""

    steps: tuple[Step, ...]
    cut: bool = False
    """The limit of tokens was met."""


class Draft(Struct):
    """A frame before it is written."""

    data: Tree | str
    """An object, or text that is no JSON: `[DONE]`."""
    event: str | None = None


_TEXT: Final = texts()
_ARGUMENTS: Final = argument_texts()
_KINDS: Final[tuple[Literal["text", "reasoning", "call"], ...]] = (
    "text",
    "text",
    "reasoning",
    "call",
)


@st.composite
def _plans(draw: DrawFn) -> Plan:
    steps = []
    for _ in range(roll(draw, 4)):
        kind = pick(draw, _KINDS)
        if kind == "call":
            text = draw(_ARGUMENTS)
            at = roll(draw, len(text) + 1)
            pieces: tuple[str, ...] = (text[:at], text[at:])
        else:
            pieces = tuple(draw(_TEXT) for _ in range(1 + roll(draw, 3)))
        steps.append(Step(kind, pieces))
    return Plan(tuple(steps), roll(draw, 4) == 3)


_PLANS: Final = _plans()


def plans() -> st.SearchStrategy[Plan]:
    """Answers of a few parts."""
    return _PLANS


# One writer per dialect


def _chat(plan: Plan) -> Iterator[Draft]:
    def chunk(choices: list[Tree], **more: object) -> Draft:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 17}
        return Draft({**head, "model": "m", "choices": choices, **more})

    def delta(**members: object) -> Draft:
        return chunk([{"index": 0, "delta": members, "finish_reason": None}])

    yield delta(role="assistant", content="", refusal=None)
    calls = 0
    for step in plan.steps:
        for at, piece in enumerate(step.pieces):
            if step.kind == "text":
                yield delta(content=piece)
            elif step.kind == "reasoning":
                yield delta(reasoning_content=piece)
            else:
                call: Tree = {"index": calls, "function": {"arguments": piece}}
                if at == 0:
                    function = {"name": "f", "arguments": piece}
                    call |= {"id": f"call_{calls}", "type": "function"}
                    call["function"] = function
                yield delta(tool_calls=[call])
        calls += step.kind == "call"
    stop = "length" if plan.cut else "tool_calls" if calls else "stop"
    yield chunk([{"index": 0, "delta": {}, "finish_reason": stop, "logprobs": None}])
    details = {"cached_tokens": 0}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    yield chunk([], usage={**usage, "prompt_tokens_details": details})
    yield Draft("[DONE]")


def _anthropic(plan: Plan) -> Iterator[Draft]:
    def event(kind: str, **members: object) -> Draft:
        return Draft({"type": kind, **members}, kind)

    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    usage = {"input_tokens": 3, "output_tokens": 1, "cache_read_input_tokens": 0}
    ends: Tree = {"stop_reason": None, "stop_sequence": None}
    yield event("message_start", message={**message, **ends, "usage": usage})
    yield event("ping")
    for index, step in enumerate(plan.steps):
        block, make = _BLOCKS[step.kind]
        yield event("content_block_start", index=index, content_block={**block})
        for piece in step.pieces:
            yield event("content_block_delta", index=index, delta=make(piece))
        if step.kind == "reasoning":
            proof = {"type": "signature_delta", "signature": "c2ln"}
            yield event("content_block_delta", index=index, delta=proof)
        yield event("content_block_stop", index=index)
    called = any(step.kind == "call" for step in plan.steps)
    stop = "max_tokens" if plan.cut else "tool_use" if called else "end_turn"
    ends = {"stop_reason": stop, "stop_sequence": None}
    yield event("message_delta", delta=ends, usage={"output_tokens": 9})
    yield event("message_stop")


_BLOCKS: Final[Mapping[str, tuple[Tree, Callable[[str], Tree]]]] = {
    "text": (
        {"type": "text", "text": ""},
        lambda piece: {"type": "text_delta", "text": piece},
    ),
    "reasoning": (
        {"type": "thinking", "thinking": "", "signature": ""},
        lambda piece: {"type": "thinking_delta", "thinking": piece},
    ),
    "call": (
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
        lambda piece: {"type": "input_json_delta", "partial_json": piece},
    ),
}


def _gemini(plan: Plan) -> Iterator[Draft]:
    head = {"modelVersion": "m", "responseId": "r"}
    counts = {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}

    def chunk(parts: list[Tree], **more: object) -> Draft:
        content = {"parts": parts, "role": "model"}
        candidates = [{"content": content, "index": 0, **more}]
        return Draft({"candidates": candidates, "usageMetadata": counts, **head})

    for step in plan.steps:
        if step.kind == "call":
            args = {"a": step.whole}
            yield chunk([{"functionCall": {"name": "f", "args": args}}])
        for piece in step.pieces if step.kind != "call" else ():
            thought: Tree = {"thought": True} if step.kind == "reasoning" else {}
            yield chunk([{"text": piece, **thought}])
    stop = "MAX_TOKENS" if plan.cut else "STOP"
    yield chunk([{"text": "", "thoughtSignature": "c2ln"}], finishReason=stop)


def _responses(plan: Plan) -> Iterator[Draft]:
    number = iter(range(10**6))

    def event(kind: str, **members: object) -> Draft:
        sequence = {"sequence_number": next(number)}
        return Draft({"type": kind, **members, **sequence}, kind)

    head: Tree = {"id": "resp_1", "object": "response", "created_at": 17, "model": "m"}
    begun = {**head, "status": "in_progress", "output": [], "usage": None}
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    output = []
    for at, step in enumerate(plan.steps):
        place = {"output_index": at}
        empty, done = _items(at, step)
        yield event("response.output_item.added", item=empty, **place)
        yield from _inside(event, step, {"item_id": empty["id"], **place})
        yield event("response.output_item.done", item=done, **place)
        output.append(done)
    counts = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    details = {"reasoning_tokens": 0}
    usage = {**counts, "output_tokens_details": details}
    status = "incomplete" if plan.cut else "completed"
    why = {"reason": "max_output_tokens"} if plan.cut else None
    ended = {**head, "status": status, "incomplete_details": why}
    whole = {**ended, "output": output, "usage": usage}
    yield event(f"response.{status}", response=whole)


def _items(at: int, step: Step) -> tuple[Tree, Tree]:
    """The item as it is announced and as it is in the end."""
    if step.kind == "call":
        item: Tree = {
            "type": "function_call",
            "id": f"fc_{at}",
            "call_id": f"call_{at}",
        }
        item["name"] = "f"
        return {**item, "arguments": ""}, {**item, "arguments": step.whole}
    if step.kind == "reasoning":
        item = {"type": "reasoning", "id": f"rs_{at}", "summary": []}
        summary = [{"type": "summary_text", "text": step.whole}]
        return item, {**item, "summary": summary, "encrypted_content": "c2ln"}
    item = {"type": "message", "id": f"msg_{at}", "role": "assistant", "content": []}
    part = {"type": "output_text", "text": step.whole, "annotations": []}
    return {**item, "status": "in_progress"}, {
        **item,
        "status": "completed",
        "content": [part],
    }


def _inside(event: Callable[..., Draft], step: Step, place: Tree) -> Iterator[Draft]:
    """What comes between the announcement of an item and its end."""
    if step.kind == "call":
        for piece in step.pieces:
            yield event("response.function_call_arguments.delta", delta=piece, **place)
        name = "response.function_call_arguments.done"
        yield event(name, arguments=step.whole, **place)
    elif step.kind == "reasoning":
        name, place = "response.reasoning_summary", {**place, "summary_index": 0}
        part: Tree = {"type": "summary_text", "text": ""}
        yield event(f"{name}_part.added", part=part, **place)
        for piece in step.pieces:
            yield event(f"{name}_text.delta", delta=piece, **place)
        yield event(f"{name}_text.done", text=step.whole, **place)
        yield event(f"{name}_part.done", part={**part, "text": step.whole}, **place)
    else:
        place = {**place, "content_index": 0}
        part = {"type": "output_text", "text": "", "annotations": []}
        yield event("response.content_part.added", part=part, **place)
        for piece in step.pieces:
            yield event("response.output_text.delta", delta=piece, **place)
        yield event("response.output_text.done", text=step.whole, **place)
        part = {**part, "text": step.whole}
        yield event("response.content_part.done", part=part, **place)


WRITERS: Final[Mapping[str, Callable[[Plan], Iterator[Draft]]]] = {
    "openai-chat": _chat,
    "openai-responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
}
"""How a dialect says a plan."""
