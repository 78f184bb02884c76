"""From rules to what is done with a call: its request changed, its answer filtered.

A `FilterPlan` is made once for a backend and its rules; `applied` is asked for every
call. `STAGES` is the pipeline, readable as its documentation.

Rules:
1. A request meets the stages from the last to the first, an answer from the first to
   the last: what a stage did to the request, it undoes at the same place.
2. A filter is made for the request as its own stage saw it. Behind `virtual_tools` an
   answer has calls again, and the tools that they must fit are those of the client.
3. What a stage could not keep of a request is told beside what its filter tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from llmwire import Loss, Request, UnsupportedFeature
from llmwire.events import Event
from llmwire.filters import Filter, FilterFactory
from llmwire.filters.leaked_calls import leaked_call_filter
from llmwire.filters.loops import loop_filter
from llmwire.filters.structured import structured_filter
from llmwire.filters.think import MODEL_TAGS, TOOL_OPENERS, think_filter
from llmwire.filters.tool_loops import find_tool_loop, steer, tool_loop_filter
from llmwire.filters.tool_repair import tool_repair_filter
from llmwire.filters.virtual_tools import Virtual, devirtualize, virtualize
from llmwire.losses import PolicyChoice
from llmwire_server.backends import Backend
from llmwire_server.filtering.rules import (
    ClientToolRules,
    FilterRules,
    LeakedCallRules,
    LoopRules,
    StructuredRules,
    ThinkRules,
    ToolLoopRules,
    ToolRepairRules,
    VirtualToolRules,
    merged,
    pattern_for,
)

__all__ = ("STAGES", "FilterPlan", "Filtered", "Filters", "Stage", "filters_of")

_LISTED: Final = 3
"""Places that one message names."""

Step: TypeAlias = Callable[[Request], Virtual]
"""Changes a request, and gives the filter that undoes it."""


class Stage(Struct, frozen=True):
    """One stage: either a filter of answers, or a step that changes requests too."""

    name: str
    """Of its rules in `FilterRules`."""
    why_here: str
    filter_of: Callable[[Any], FilterFactory] | None = None
    """Of its rules, where they switch it on."""
    step_of: Callable[[Any], Step] | None = None


def _think(rules: ThinkRules) -> FilterFactory:
    mode = rules.mode
    assert mode is not None and mode != "off"
    return think_filter(
        rules.tags or MODEL_TAGS,
        mode=mode,
        implicit_open=bool(rules.implicit_open),
        retroactive=rules.retroactive or 0,
        tool_openers=TOOL_OPENERS if rules.ends_at_calls else (),
        promote_if_no_content=bool(rules.promote_if_no_content),
    )


def _virtual_tools(rules: VirtualToolRules) -> Step:
    markup = rules.mode
    assert markup is not None and markup != "off"
    return lambda request: virtualize(request, markup)


def _client_tools(rules: ClientToolRules) -> Step:
    markup = rules.mode
    assert markup is not None and markup != "off"
    return lambda request: devirtualize(request, markup)


def _leaked_calls(rules: LeakedCallRules) -> FilterFactory:
    reasoning = rules.reasoning is not False
    return leaked_call_filter(rules.formats or None, reasoning=reasoning)


def _tool_repair(rules: ToolRepairRules) -> FilterFactory:
    return tool_repair_filter(
        "error" if rules.mode == "error" else "pass",
        drop_unknown=bool(rules.drop_unknown),
        fill_defaults=bool(rules.fill_defaults),
        hold=rules.hold,
    )


def _structured(rules: StructuredRules) -> FilterFactory:
    return structured_filter(
        "check" if rules.mode == "check" else "repair",
        rules.action or "error",
        hold=rules.hold,
    )


def _tool_loops(rules: ToolLoopRules) -> Step:
    mode = rules.mode
    assert mode is not None and mode != "off"
    watch = tool_loop_filter(mode, at=rules.at or "confirmed")

    def step(request: Request) -> Virtual:
        loop = find_tool_loop(request) if rules.steer else None
        sent = request
        losses: tuple[Loss, ...] = ()
        if loop is not None:
            sent, losses = steer(request, loop), (_STEERED,)
        # What is said to the model is no result of its calls.
        return Virtual(sent, losses, lambda _: watch(request))

    return step


_STEERED: Final = Loss(
    path="messages",
    feature="filter.tool_loop",
    action="approximated",
    reason="the model is told that it repeats itself",
)


def _loops(rules: LoopRules) -> FilterFactory:
    mode = rules.mode
    assert mode is not None and mode != "off"
    watch = {"watch": rules.watch} if rules.watch else {}
    return loop_filter(mode, at=rules.at or "confirmed", **watch)


STAGES: Final = (
    Stage("think", "markup inside a thought is no call", _think),
    Stage("virtual_tools", "what comes behind sees calls", step_of=_virtual_tools),
    Stage("leaked_calls", "the same, where the server does take tools", _leaked_calls),
    Stage("tool_repair", "needs all calls, wherever they stood", _tool_repair),
    Stage("structured", "the text is the document, calls are none of it", _structured),
    Stage("tool_loops", "compares calls as they are run", step_of=_tool_loops),
    Stage("loops", "looks at what the client would get", _loops),
    Stage("client_tools", "writes the calls that are left", step_of=_client_tools),
)
"""In the order in which an answer meets them."""


class Filtered:
    """One call: its request as it is to be sent, and the filters of its answer."""

    __slots__ = ("_made", "factories", "losses", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        """Changed by the steps; the very object that came in, where none changed it."""
        self.factories: tuple[FilterFactory, ...] = ()
        """For `Exchange.attempt`, in the order of the answer."""
        self.losses: tuple[Loss, ...] = ()
        """Of the steps; the first of `factories` tells them as its own."""
        self._made: list[tuple[str, Filter]] = []

    def findings(self) -> list[str]:
        """What filters found, a line for each: how often and where, never the text."""
        lines = []
        for name, each in self._made:
            found: Sequence[Any] = getattr(each, "findings", ())
            if found:
                places = [finding.path for finding in found[:_LISTED]]
                more = ", …" if len(found) > _LISTED else ""
                lines.append(f"{name} found {len(found)}: {', '.join(places)}{more}")
        return lines

    def add(self, name: str, factory: FilterFactory, request: Request) -> None:
        """A filter behind those there are, made for `request`."""
        all_made = self._made

        def make(_: Request) -> Filter | None:
            made = factory(request)
            if made is not None:
                all_made.append((name, made))
            return made

        self.factories += (make,)

    def tell(self, losses: tuple[Loss, ...]) -> None:
        """Have `losses` told with those of the answer."""
        self.losses = losses
        if losses:
            self.factories = (lambda _: _Told(losses), *self.factories)


class _Told:
    """A filter that does nothing and tells what was lost before."""

    events: Final[frozenset[type[Event]]] = frozenset()

    def __init__(self, losses: tuple[Loss, ...]) -> None:
        self.losses = losses

    def __call__(self, event: Event) -> Sequence[Event]:
        return (event,)


class FilterPlan:
    """What is done with calls under the same rules.

    Args:
        rules: All levels of them together.
        policy: What is done about losses.
    """

    def __init__(
        self, rules: FilterRules, policy: Mapping[str, PolicyChoice] | None = None
    ) -> None:
        self._policy = policy or {}
        rules = _completed(rules)
        self._stages: list[tuple[str, FilterFactory | None, Step | None]] = []
        for stage in STAGES:
            own = getattr(rules, stage.name)
            if own.mode in (None, "off"):
                continue
            filter_of, step_of = stage.filter_of, stage.step_of
            made = filter_of(own) if filter_of is not None else None
            step = step_of(own) if step_of is not None else None
            self._stages.append((stage.name, made, step))
        self.on = tuple(
            f"{name}: {getattr(rules, name).mode}" for name, _, _ in self._stages
        )
        """The stages that are on, with their modes."""

    def applied(self, request: Request) -> Filtered:
        """What becomes of one call.

        Raises:
            UnsupportedFeature: A step cannot say something, or may not change it.
        """
        seen: list[tuple[str, FilterFactory, Request]] = []
        losses: tuple[Loss, ...] = ()
        sent = request
        for name, factory, step in reversed(self._stages):
            if step is not None:
                changed = step(sent)
                sent, factory = changed.request, changed.filter
                losses += changed.losses
            assert factory is not None
            seen.append((name, factory, sent))
        self._check(losses)
        filtered = Filtered(sent)
        for name, factory, asked in reversed(seen):
            filtered.add(name, factory, asked)
        filtered.tell(losses)
        return filtered

    def _check(self, losses: tuple[Loss, ...]) -> None:
        for loss in losses:
            if self._policy.get(loss.feature) == "refuse":
                raise UnsupportedFeature(loss)


def _completed(rules: FilterRules) -> FilterRules:
    """`rules` with what one filter needs because another is on."""
    if rules.think.ends_at_calls is not None:
        return rules
    calls = rules.leaked_calls.mode == "on"
    return replace(rules, think=replace(rules.think, ends_at_calls=calls))


def filters_of(
    general: FilterRules,
    backend: Backend,
    policy: Mapping[str, PolicyChoice] | None = None,
) -> Filters:
    """The plans of a backend, over the general rules."""
    rules = merged(general, backend.filters)
    return Filters(rules, backend.model_filters, policy)


class Filters:
    """The plans of one backend: for all its models, and for some of them.

    Args:
        rules: For all of them.
        models: For some, over `rules`; by name, or by beginning and `*`.
        policy: What is done about losses.
    """

    def __init__(
        self,
        rules: FilterRules,
        models: Mapping[str, FilterRules],
        policy: Mapping[str, PolicyChoice] | None = None,
    ) -> None:
        self._general = FilterPlan(rules, policy)
        self._plans = {
            pattern: FilterPlan(merged(rules, own), policy)
            for pattern, own in models.items()
        }

    def plan(self, model: str | None) -> FilterPlan | None:
        """What is done with calls to `model`; None: nothing."""
        plan = self._general
        if self._plans and model is not None:
            pattern = pattern_for(self._plans, model)
            plan = self._plans[pattern] if pattern is not None else plan
        return plan if plan.on else None
