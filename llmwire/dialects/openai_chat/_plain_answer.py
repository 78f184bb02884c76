"""Whole answers as most servers give them: a thought, a text, calls of functions.

One decoding into closed types tells that an answer is nothing else, one look at each
part that nothing of it could be lost. All others are read and written the long way
(`_response`), which gives the same for these.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Final, Literal, get_args

from msgspec import UNSET, MsgspecError, Raw, Struct, UnsetType
from msgspec.json import Decoder

from llmwire._json import encode
from llmwire._parts import whole_arguments
from llmwire.dialects import ResponseSource
from llmwire.dialects.openai_chat._notes import ABSENT, FIELD, SAID
from llmwire.dialects.openai_chat._pieces_write import Members
from llmwire.dialects.openai_chat._stop import read_stop, write_stop
from llmwire.dialects.openai_chat._usage import read_usage
from llmwire.dialects.openai_chat._writing import NAME
from llmwire.messages import (
    Choice,
    Extras,
    Part,
    ReasoningPart,
    Response,
    StopReason,
    TextPart,
    ToolCallPart,
    Usage,
)

_EXACT: Final = 1 << 53
"""Integers up to here are doubles too."""

# --- reading -----------------------------------------------------------------------


class _Closed(Struct, forbid_unknown_fields=True, gc=False):
    """Base of what holds only what is declared, and no null unless it says so."""


class _Function(_Closed):
    name: str
    arguments: str


class _Call(_Closed):
    id: str
    type: Literal["function"]
    function: _Function


class _Message(_Closed):
    role: Literal["assistant"]
    content: str | None
    refusal: UnsetType | None = UNSET
    annotations: list[Raw] | UnsetType = UNSET
    tool_calls: list[_Call] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET


class _Choice(_Closed):
    index: int
    message: _Message
    finish_reason: str
    logprobs: UnsetType | None = UNSET


class _Answer(_Closed):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[_Choice]
    usage: Raw | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    system_fingerprint: Raw | UnsetType = UNSET


_DECODER: Final = Decoder(_Answer)


def read_plain(body: bytes, source: ResponseSource) -> Response | None:
    """`body`, if it is a plain answer with one choice. Never raises."""
    try:
        if not body.isascii():
            body.decode()  # what stays raw is not looked at otherwise
        wire = _DECODER.decode(body)
    except (MsgspecError, UnicodeError, RecursionError):
        return None
    tier, created, mark = wire.service_tier, wire.created, wire.system_fingerprint
    said = wire.id and wire.model and tier != "" and 0 < created <= _EXACT
    if not said or len(wire.choices) != 1 or len(body) > source.limits.body:
        return None
    choice = _read_choice(wire.choices[0], source.limits.parts)
    usage: Usage | None = None
    if not isinstance(wire.usage, UnsetType):
        outside = source.profile.reasoning_outside_output
        usage = read_usage(wire.usage, outside=outside)
    if choice is None or (usage is None and wire.usage is not UNSET):
        return None
    return Response(
        id=wire.id,
        model=wire.model,
        created=float(created),
        choices=(choice,),
        usage=usage,
        service_tier=None if isinstance(tier, UnsetType) else tier,
        dialect=NAME,
        extras=None if isinstance(mark, UnsetType) else {"system_fingerprint": mark},
    )


def _read_choice(wire: _Choice, limit: int) -> Choice | None:
    """The choice, None where a member says nothing, or there are too many parts."""
    message, word = wire.message, wire.finish_reason
    content, calls = message.content, message.tool_calls
    parts: list[Part] = []
    thinking = not (message.reasoning_content is message.reasoning is UNSET)
    if thinking and not _read_thought(message, parts):
        return None
    if content:
        parts.append(TextPart(content))
    if not isinstance(calls, UnsetType):
        if not calls or content == "" or not _read_calls(calls, parts):
            return None
    elif not content:
        return None
    if not word or message.annotations or len(parts) > limit:
        return None
    stop = read_stop(word, calls=calls is not UNSET, refusal=False)
    notes = _NOTES[
        message.annotations is not UNSET,
        message.refusal is not UNSET,
        wire.logprobs is not UNSET,
    ]
    return Choice(
        index=wire.index,
        parts=tuple(parts),
        stop=stop,
        raw=word,
        extras=notes and notes.copy(),
    )


def _read_thought(message: _Message, parts: list[Part]) -> bool:
    """Add the thought to `parts`; False where there are two, or it is empty."""
    text, name = message.reasoning_content, "reasoning_content"
    if isinstance(text, UnsetType):
        text, name = message.reasoning, "reasoning"
    elif message.reasoning is not UNSET:
        return False
    if isinstance(text, UnsetType) or not text:
        return False
    parts.append(ReasoningPart(text=text, extras={FIELD: Raw(encode(name))}))
    return True


def _read_calls(calls: list[_Call], parts: list[Part]) -> bool:
    """Add the calls to `parts`; False where one has no id or no name."""
    for call in calls:
        name, arguments = call.function.name, call.function.arguments
        if not call.id or not name:
            return False
        whole = whole_arguments(arguments)
        parts.append(
            ToolCallPart(
                call_id=call.id, name=name, arguments=arguments, incomplete=not whole
            )
        )
    return True


def _noted(annotated: bool, refused: bool, measured: bool) -> Extras | None:
    """What a choice keeps of which of these members, all empty, were there."""
    notes: Extras = {}
    if annotated:
        notes["@message" + SAID] = Raw(b'{"annotations":[]}')
    if not refused:
        notes["@message" + ABSENT] = Raw(b'["refusal"]')
    if not measured:
        notes[ABSENT] = Raw(b'["logprobs"]')
    return notes or None


_NOTES: Final = {said: _noted(*said) for said in product((False, True), repeat=3)}


# --- writing -----------------------------------------------------------------------


def write_plain(choice: Choice) -> Members | None:
    """A choice of another dialect: a text and then calls; None for everything else."""
    text: str | None = None
    calls: list[Members] = []
    for part in choice.parts:
        if (
            part.incomplete
            or part.signature is not None
            or part.cache is not None
            or part.extras is not None
        ):
            return None
        if type(part) is ToolCallPart and part.kind == "function":
            arguments = part.arguments
            if not arguments or arguments.isspace():
                arguments = "{}"
            function = {"name": part.name, "arguments": arguments}
            calls.append({"id": part.call_id, "type": "function", "function": function})
        elif type(part) is TextPart and part.text and text is None and not calls:
            if part.citations or part.phase is not None:
                return None
            text = part.text
        else:
            return None
        if part.logprobs:
            return None
    word = _WORDS.get((choice.stop, bool(calls)))
    if (
        word is None
        or not (text or calls)
        or choice.stop_sequence is not None
        or choice.detail is not None
        or choice.extras is not None
    ):
        return None
    message: Members = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    return {
        "index": choice.index,
        "message": message,
        "logprobs": None,
        "finish_reason": word,
    }


def _words() -> Mapping[tuple[StopReason, bool], str]:
    """The words that say exactly why an answer, with calls or without, ended."""
    words = {}
    for stop, calls in product(get_args(StopReason), (False, True)):
        word = write_stop(stop, calls=calls, refusal=False)
        if read_stop(word, calls=calls, refusal=False) == stop:
            words[stop, calls] = word
    return words


_WORDS: Final = _words()
