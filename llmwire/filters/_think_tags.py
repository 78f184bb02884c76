"""The tags that models put around their thinking, by name.

Nothing but data. The words of each row are
those of the model's own chat template; plain words and tags that people ask for in
prompts are told apart from what models write unasked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from llmwire.errors import LocalProtocolError

__all__ = (
    "MODEL_TAGS",
    "PROMPTED_TAGS",
    "THINK_TAGS",
    "TOOL_OPENERS",
    "TagPair",
    "ThinkTags",
    "tags_of",
)


class ThinkTags(Struct, frozen=True, kw_only=True):
    """How one family of models marks its thinking."""

    openings: tuple[str, ...]
    closings: tuple[str, ...]
    """Any of them ends a thought that any of the openings began."""
    ignore_case: bool = False
    """ASCII letters match in either case; such tags never open implicitly."""
    attributes: bool = False
    """Openings may carry attributes in front of their `>`."""
    answers: tuple[str, ...] = ()
    """What stands in front of the answer; taken off."""
    answer_ends: tuple[str, ...] = ()
    """What stands behind an answer that has one of `answers`; taken off once."""


TagPair: TypeAlias = "str | tuple[str, str] | ThinkTags"
"""A name of `THINK_TAGS`, an opening and a closing tag, or a row of one's own."""


def _xml(name: str, *, prompted: bool = False) -> ThinkTags:
    return ThinkTags(
        openings=(f"<{name}>",),
        closings=(f"</{name}>",),
        attributes=True,
        ignore_case=prompted,
    )


THINK_TAGS: Final[Mapping[str, ThinkTags]] = {
    # DeepSeek, Qwen3, GLM, Kimi K2, MiniMax, Nemotron, Granite 3.3, Hunyuan, MiMo …
    "think": _xml("think"),
    "kimi-vl": ThinkTags(openings=("◁think▷",), closings=("◁/think▷",)),
    "mistral": ThinkTags(openings=("[THINK]",), closings=("[/THINK]",)),
    "seed": _xml("seed:think"),
    "minimax-m3": _xml("mm:think"),
    "gemma4": ThinkTags(openings=("<|channel>thought\n",), closings=("<channel|>",)),
    "gpt-oss": ThinkTags(
        openings=(
            "<|channel|>analysis<|message|>",
            "<|start|>assistant<|channel|>analysis<|message|>",
        ),
        closings=("<|end|>",),
        answers=(
            "<|channel|>final<|message|>",
            "<|start|>assistant<|channel|>final<|message|>",
        ),
        answer_ends=("<|return|>", "<|end|>"),
    ),
    "cohere": ThinkTags(
        openings=("<|START_THINKING|>",),
        closings=("<|END_THINKING|>",),
        answers=("<|START_RESPONSE|>", "<|START_TEXT|>"),
        answer_ends=("<|END_RESPONSE|>", "<|END_TEXT|>"),
    ),
    "apertus": ThinkTags(
        openings=("<|inner_prefix|>",), closings=("<|inner_suffix|>",)
    ),
    "kimi-k3": ThinkTags(
        openings=("<|open|>think<|sep|>",),
        closings=("<|close|>think<|sep|>",),
        answers=("<|open|>response<|sep|>",),
        answer_ends=("<|close|>response<|sep|>",),
    ),
    "k2-v3": ThinkTags(openings=("<ifm|think>",), closings=("</ifm|think>",)),
    "k2-v3-fast": ThinkTags(
        openings=("<ifm|think_fast>",), closings=("</ifm|think_fast>",)
    ),
    "k2-v3-faster": ThinkTags(
        openings=("<ifm|think_faster>",), closings=("</ifm|think_faster>",)
    ),
    "granite-3.2": ThinkTags(
        openings=("Here is my thought process:", "Here's my thought process:"),
        closings=("Here is my response:", "Here's my response:"),
    ),
    "thinking": _xml("thinking", prompted=True),
    "thought": _xml("thought", prompted=True),
    "reasoning": _xml("reasoning", prompted=True),
    "reflection": _xml("reflection", prompted=True),
}
"""Every pair known, by name."""

PROMPTED_TAGS: Final = ("thinking", "thought", "reasoning", "reflection")
"""Tags that models write because a prompt says so, in either case."""
MODEL_TAGS: Final = tuple(
    name for name in THINK_TAGS if name not in (*PROMPTED_TAGS, "granite-3.2")
)
"""Tags that models write unasked and nobody else does: no plain words among them."""

TOOL_OPENERS: Final = (
    "<tool_call>",
    "<|tool_calls_section_begin|>",
    "<|tool_call_section_begin|>",
    "<|tool_call_begin|>",
    "<TOOLCALL>",
    "<|tool_call|>",
)
"""What begins a call in the formats whose models are known to call out of a thought
without ending it: Qwen3, GLM, Kimi K2, Nemotron, Granite."""


def tags_of(pairs: Iterable[TagPair]) -> tuple[ThinkTags, ...]:
    """The rows that `pairs` name.

    Raises:
        LocalProtocolError: A name is none of `THINK_TAGS`, or a tag is empty.
    """
    found = []
    for pair in pairs:
        if isinstance(pair, str):
            if pair not in THINK_TAGS:
                known = ", ".join(THINK_TAGS)
                raise LocalProtocolError(f"no think tags named `{pair}`: {known}")
            found.append(THINK_TAGS[pair])
            continue
        if isinstance(pair, tuple):
            pair = ThinkTags(openings=(pair[0],), closings=(pair[1],))
        words = (*pair.openings, *pair.closings, *pair.answers, *pair.answer_ends)
        if not (pair.openings and pair.closings and all(words)):
            raise LocalProtocolError(f"a think tag says nothing: {pair}")
        found.append(pair)
    return tuple(found)
