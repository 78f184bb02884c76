"""Thoughts between tags in the text: made reasoning parts, left out, or split off.

Models that think write their thinking between tags, and servers that do not know the
tags give all of it as text. Which tags there are is `THINK_TAGS`; `split_thoughts`
takes a whole text apart, without any stream; `think_filter` does it for the events of
an answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias, get_args

from llmwire.errors import LocalProtocolError
from llmwire.filters._chain import Filter, FilterFactory
from llmwire.filters._think_filter import ThinkTagFilter
from llmwire.filters._think_rules import ThinkRules, rules_of
from llmwire.filters._think_tags import (
    MODEL_TAGS,
    PROMPTED_TAGS,
    THINK_TAGS,
    TOOL_OPENERS,
    TagPair,
    ThinkTags,
    tags_of,
)
from llmwire.filters._thoughts import (
    Thought,
    ThoughtFinding,
    ThoughtReport,
    Thoughts,
    split_by,
)
from llmwire.requests import Request

__all__ = (
    "MODEL_TAGS",
    "PROMPTED_TAGS",
    "THINK_TAGS",
    "TOOL_OPENERS",
    "TagPair",
    "ThinkMode",
    "ThinkTagFilter",
    "ThinkTags",
    "Thought",
    "ThoughtFinding",
    "ThoughtReport",
    "Thoughts",
    "split_thoughts",
    "think_filter",
)

ThinkMode: TypeAlias = Literal["move", "keep", "drop"]

_MOST_HELD: Final = 65536
"""Characters that may be held back for a closing tag."""


def think_filter(
    pairs: Iterable[TagPair] = MODEL_TAGS,
    *,
    mode: ThinkMode = "move",
    implicit_open: bool = False,
    retroactive: int = 0,
    tool_openers: Iterable[str] = (),
    trim: bool = True,
    promote_if_no_content: bool = False,
) -> FilterFactory:
    """A factory of filters for thoughts between tags.

    Args:
        pairs: Names of `THINK_TAGS`, pairs of an opening and a closing tag, rows.
        mode: `move`: thoughts become reasoning parts; `drop`: they are left out;
            `keep`: nothing is changed. All three note `findings`.
        implicit_open, tool_openers, trim, promote_if_no_content: As `ThinkTagFilter`.
        retroactive: Characters, at most 65,536.

    Raises:
        LocalProtocolError: A name, a mode, a tag or a number that is none, at once.
    """
    rows, openers = tags_of(pairs), _openers_of(tool_openers)
    rules = _checked(rows, openers, mode, retroactive, trim)

    def make(request: Request) -> Filter:
        if mode == "keep":
            return ThoughtReport(rules, implicit=implicit_open)
        return ThinkTagFilter(
            rows,
            mode=mode,
            implicit_open=implicit_open,
            retroactive=retroactive,
            tool_openers=openers,
            trim=trim,
            promote_if_no_content=promote_if_no_content,
        )

    return make


def split_thoughts(
    text: str,
    pairs: Iterable[TagPair] = MODEL_TAGS,
    *,
    implicit_open: bool = False,
    retroactive: bool = False,
    tool_openers: Iterable[str] = (),
    trim: bool = True,
) -> Thoughts:
    """The thoughts in `text`, and the text without them.

    Args:
        text: The whole of it.
        pairs, implicit_open, tool_openers, trim: As `think_filter`.
        retroactive: A closing tag without an opening makes a thought of what stands
            before it.

    Raises:
        LocalProtocolError: As `think_filter`.
    """
    rows, openers = tags_of(pairs), _openers_of(tool_openers)
    held = len(text) + 1 if retroactive else 0
    rules = ThinkRules(rows, tool_openers=openers, trim=trim, retroactive=held)
    return split_by(rules, text, implicit=implicit_open)


def _checked(
    rows: tuple[ThinkTags, ...],
    openers: tuple[str, ...],
    mode: str,
    retroactive: int,
    trim: bool,
) -> ThinkRules:
    if mode not in get_args(ThinkMode):
        raise LocalProtocolError(
            f"`{mode}` is none of {', '.join(get_args(ThinkMode))}"
        )
    if not 0 <= retroactive <= _MOST_HELD:
        raise LocalProtocolError(f"`retroactive` is 0 to {_MOST_HELD} characters")
    return rules_of(rows, openers, trim, retroactive)


def _openers_of(openers: Iterable[str]) -> tuple[str, ...]:
    if isinstance(openers, str):
        raise LocalProtocolError("openers of calls are several texts, not one")
    found = tuple(openers)
    if not all(found):
        raise LocalProtocolError("an opener of calls says nothing")
    return found
