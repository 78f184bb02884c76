"""What the configuration says of filters: one record for each, and how they add up.

Nothing but data. Every key may be left unsaid: then the next level says it. A model of
a backend goes before the backend, the backend before the general rules, and what nobody
says is as the filter has it, switched off.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from msgspec import Meta, Struct
from msgspec.structs import replace

__all__ = (
    "ClientToolRules",
    "FilterRules",
    "LeakedCallRules",
    "LoopRules",
    "ModelPattern",
    "StructuredRules",
    "ThinkRules",
    "ToolLoopRules",
    "ToolRepairRules",
    "VirtualToolRules",
    "merged",
    "pattern_for",
)

CallFormat: TypeAlias = Annotated[str, Meta(extra={"rule": "call-format"})]
ModelPattern: TypeAlias = Annotated[str, Meta(extra={"rule": "model-pattern"})]
ThinkTag: TypeAlias = Annotated[str, Meta(extra={"rule": "think-tag"})]
Held: TypeAlias = Annotated[int, Meta(ge=0, le=65536)]
Markup: TypeAlias = Literal["off", "cline", "roo", "kilo", "function_calls"]
_Rules = TypeVar("_Rules", bound=Struct)


class ClientToolRules(Struct, frozen=True, kw_only=True):
    """Tools that a client writes into its prompt become tools of the server."""

    mode: Annotated[
        Markup | None,
        Meta(
            description="tools that the client's prompt lists go as tools; calls come "
            "back in this markup"
        ),
    ] = None


class ThinkRules(Struct, frozen=True, kw_only=True):
    """Thoughts between tags in the text."""

    mode: Annotated[
        Literal["off", "move", "drop", "keep"] | None,
        Meta(
            description="thoughts between tags: made reasoning (move), left out "
            "(drop), only logged (keep)"
        ),
    ] = None
    tags: Annotated[
        tuple[ThinkTag, ...],
        Meta(description="which tags; with none, all that models write unasked"),
    ] = ()
    implicit_open: Annotated[
        bool | None, Meta(description="answers begin inside a thought; else false")
    ] = None
    retroactive: Annotated[
        Held | None,
        Meta(description="characters held back for a closing tag alone; else 0"),
    ] = None
    ends_at_calls: Annotated[
        bool | None,
        Meta(
            description="a call that begins in a thought ends it; else where "
            "leaked_calls is on"
        ),
    ] = None
    promote_if_no_content: Annotated[
        bool | None,
        Meta(description="an unfinished thought alone is said as text; else false"),
    ] = None


class VirtualToolRules(Struct, frozen=True, kw_only=True):
    """Tools for a server that takes none."""

    mode: Annotated[
        Markup | None,
        Meta(
            description="tools of the client are told in words, to a server that takes "
            "none; its calls are read in this markup"
        ),
    ] = None


class LeakedCallRules(Struct, frozen=True, kw_only=True):
    """Calls that a model wrote into its text."""

    mode: Annotated[
        Literal["off", "on"] | None,
        Meta(description="calls that stand in the text become calls"),
    ] = None
    formats: Annotated[
        tuple[CallFormat, ...],
        Meta(description="which; with none, all that cannot be meant otherwise"),
    ] = ()
    reasoning: Annotated[
        bool | None, Meta(description="look into thoughts too; else true")
    ] = None


class ToolRepairRules(Struct, frozen=True, kw_only=True):
    """Calls that a model got wrong."""

    mode: Annotated[
        Literal["off", "repair", "error"] | None,
        Meta(
            description="calls whose name or arguments are wrong: repaired where there "
            "is one way to do it, else given as they came (repair) or failed (error)"
        ),
    ] = None
    drop_unknown: Annotated[
        bool | None,
        Meta(description="arguments that a schema forbids are left out; else false"),
    ] = None
    fill_defaults: Annotated[
        bool | None,
        Meta(description="missing arguments get the schema's default; else false"),
    ] = None
    hold: Annotated[
        bool | None,
        Meta(
            description="hold a call until it is whole, so that more can be repaired; "
            "else for answers that are not streamed"
        ),
    ] = None


class StructuredRules(Struct, frozen=True, kw_only=True):
    """Answers that have to be JSON."""

    mode: Annotated[
        Literal["off", "repair", "check"] | None,
        Meta(
            description="answers to requests for JSON: repaired where there is one way "
            "to do it (repair), or only looked at (check)"
        ),
    ] = None
    action: Annotated[
        Literal["error", "pass"] | None,
        Meta(description="what is done about the others: error or pass; else error"),
    ] = None
    hold: Annotated[
        bool | None,
        Meta(
            description="hold the text until it is whole, so that more can be "
            "repaired; else for answers that are not streamed"
        ),
    ] = None


class ToolLoopRules(Struct, frozen=True, kw_only=True):
    """The same calls again and again."""

    mode: Annotated[
        Literal["off", "report", "cut", "error"] | None,
        Meta(
            description="calls made again and again with the same results: only logged "
            "(report), not given any more (cut), failed (error)"
        ),
    ] = None
    at: Annotated[
        Literal["suspect", "confirmed"] | None,
        Meta(description="how sure it must be; else confirmed"),
    ] = None
    steer: Annotated[
        bool | None,
        Meta(description="tell the model that it repeats itself; else false"),
    ] = None


class LoopRules(Struct, frozen=True, kw_only=True):
    """Answers that repeat themselves."""

    mode: Annotated[
        Literal["off", "report", "cut", "error"] | None,
        Meta(
            description="answers that repeat themselves: only logged (report), ended "
            "as if too long (cut), failed (error)"
        ),
    ] = None
    at: Annotated[
        Literal["suspect", "confirmed"] | None,
        Meta(description="how sure it must be; else confirmed"),
    ] = None
    watch: Annotated[
        tuple[Literal["text", "reasoning", "arguments"], ...],
        Meta(description="what is looked at; with none, everything"),
    ] = ()


class FilterRules(Struct, frozen=True, kw_only=True):
    """Filters of answers, in the order in which an answer meets them."""

    think: ThinkRules = ThinkRules()
    virtual_tools: VirtualToolRules = VirtualToolRules()
    leaked_calls: LeakedCallRules = LeakedCallRules()
    tool_repair: ToolRepairRules = ToolRepairRules()
    structured: StructuredRules = StructuredRules()
    tool_loops: ToolLoopRules = ToolLoopRules()
    loops: LoopRules = LoopRules()
    client_tools: ClientToolRules = ClientToolRules()


_UNSAID: Final = (None, ())


def merged(under: _Rules, over: _Rules) -> _Rules:
    """What `over` says, and `under` where it says nothing; key by key."""
    said = {}
    for name in over.__struct_fields__:
        below, above = getattr(under, name), getattr(over, name)
        if isinstance(above, Struct):
            said[name] = merged(below, above)
        elif above not in _UNSAID:
            said[name] = above
    return replace(under, **said)


def pattern_for(patterns: Collection[str], model: str) -> str | None:
    """The one of `patterns` that says most of a model; None: none says anything.

    Args:
        patterns: Names, and beginnings of names that end in `*`.
        model: As the backend knows it.
    """
    if model in patterns:
        return model
    beginnings = [
        each for each in patterns if each.endswith("*") and model.startswith(each[:-1])
    ]
    return max(beginnings, key=len, default=None)
