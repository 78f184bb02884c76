"""Tool calls that models get wrong, repaired where there is one way to do it.

Knows events of calls. What one call needs is `repair_call`'s business; it needs no
stream.

Rules:
1. Arguments go on at once as far as they are certain (`_argument_scanner`). Of a call
   that is valid nothing is changed.
2. Where the arguments are no JSON the rest of them, and the end of the call, wait for
   the end of the choice: only its stop reason tells whether they were cut off. What was
   cut off is never repaired.
3. A repair keeps what went out before. Where it cannot, the call is not repaired.
4. A name that is wrong is put right as the call starts. A call that stands for several
   (`multi_tool_use.parallel`) is held, and goes out as what it stands for.
5. What could not be repaired goes on as it came, and is reported: `action="error"` ends
   the answer there instead.
6. Everything is told in `findings`, every change in `losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct
from msgspec.structs import replace

from llmwire._coercion import Coercions
from llmwire._ids import mint_call
from llmwire._json_edits import Edit
from llmwire._json_schema import Violation
from llmwire._schema_terms import Schema
from llmwire.errors import LocalProtocolError
from llmwire.events import (
    EVENT_TYPES,
    ArgumentsDelta,
    Event,
    MessageEnd,
    MessageStart,
    PartEnd,
    PartStart,
    Ping,
    ServiceTier,
    StreamEnd,
    StreamError,
    TextDelta,
    UsageUpdate,
)
from llmwire.filters._argument_scanner import ArgumentScanner, Terms
from llmwire.filters._call_repair import (
    EFFECTFUL,
    CallRepair,
    CallStatus,
    ToolBox,
    ToolCall,
    is_json,
    repaired,
    schemas_of,
)
from llmwire.filters._chain import FilterFactory
from llmwire.filters._numbering import Numbering
from llmwire.losses import Loss
from llmwire.messages import APIError, ToolCallPart
from llmwire.requests import Request, Tool

__all__ = (
    "EFFECTFUL",
    "CallRepair",
    "CallStatus",
    "Coercions",
    "Edit",
    "RepairAction",
    "ToolBox",
    "ToolCall",
    "ToolFinding",
    "ToolRepairFilter",
    "Violation",
    "repair_call",
    "tool_repair_filter",
)

RepairAction: TypeAlias = Literal["pass", "error"]

_FINDINGS: Final = 64
"""Findings, and losses, that are kept of one answer."""
_PROPER_ENDS: Final = frozenset({"end", "tool_use"})
"""Stop reasons after which nothing was cut off."""


class ToolFinding(Struct, frozen=True, kw_only=True, gc=False):
    """A call that was not what its tool takes."""

    path: str
    """Of the part in the neutral answer: `choices[0].parts[1]`."""
    name: str
    """As it came."""
    status: CallStatus
    rules: tuple[str, ...] = ()
    """What was repaired."""
    violations: tuple[Violation, ...] = ()
    problem: str = ""


def repair_call(
    name: str,
    arguments: str,
    tools: ToolBox | Mapping[str, Schema | None] | Iterable[Tool],
    *,
    truncated: bool = False,
) -> CallRepair:
    """One call, made what its tool takes, if there is one way to. Never raises.

    Args:
        name: As the model wrote it.
        arguments: As the model wrote them.
        tools: The tools there are: those of a request, or name and JSON schema; or a
            `ToolBox`, which is read once for many calls, and has options.
        truncated: The answer was cut off within this call, or may have been. Nothing
            is repaired then.
    """
    if not isinstance(tools, ToolBox):
        known = tools if isinstance(tools, Mapping) else schemas_of(tools)
        tools = ToolBox(known)
    return repaired(tools, name, arguments, truncated=truncated)


class _Call:
    """A call that is coming."""

    __slots__ = (
        "arrived",
        "end",
        "held",
        "part",
        "pieces",
        "scanner",
        "sent",
        "start",
    )

    def __init__(
        self, start: PartStart, part: ToolCallPart, scanner: ArgumentScanner | None
    ) -> None:
        self.start = start
        self.part = part
        self.scanner = scanner
        self.pieces: list[str] = []
        self.arrived = 0
        self.sent = 0
        """Characters of the arguments that came, and that went out."""
        self.end: PartEnd | None = None
        self.held: list[Event] | None = [] if scanner is None else None
        """What came beside the arguments, where the call has not gone out at all."""

    @property
    def choice(self) -> int:
        """The choice it belongs to."""
        return self.start.choice

    @property
    def name(self) -> str:
        """The tool, as it came."""
        return self.part.name

    @property
    def call_id(self) -> str:
        """The id of the call."""
        return self.part.call_id

    @property
    def text(self) -> str:
        """The arguments that came."""
        return "".join(self.pieces)


class ToolRepairFilter:
    """Repairs the calls of an answer.

    Args:
        tools: What may be called, and how.
        action: What is done about calls that could not be repaired: `pass` or `error`.
        hold: Hold the arguments of every call until they end. More can be repaired
            then, since nothing has gone out; what streams is late.
        max_hold: Characters of one call that are held at most. Beyond them it goes on
            as it came.

    Raises:
        LocalProtocolError: `action` is none of the words, or `max_hold` is negative.
    """

    events: Final = frozenset(EVENT_TYPES) - {
        MessageStart,
        UsageUpdate,
        ServiceTier,
        Ping,
    }

    def __init__(
        self,
        tools: ToolBox,
        action: RepairAction = "pass",
        *,
        hold: bool = False,
        max_hold: int = 1 << 20,
    ) -> None:
        _check(action, max_hold)
        self.findings: tuple[ToolFinding, ...] = ()
        """The calls that were not valid, the first 64."""
        self.losses: tuple[Loss, ...] = ()
        """What was changed, the first 64."""
        self._tools = tools
        self._failing = action == "error"
        self._hold = hold
        self._max_hold = max_hold
        self._numbering = Numbering()
        self._out = self._numbering.out
        self._terms: dict[str, Terms] = {}
        self._calls: dict[int, _Call] = {}

    def __call__(self, event: Event) -> Sequence[Event]:
        """The events that are due now."""
        if type(event) is TextDelta and self._out(event.index) == event.index:
            return (event,)
        return _TAKE.get(type(event), ToolRepairFilter._on_other)(self, event)

    def _on_start(self, event: PartStart) -> Sequence[Event]:
        part = event.part
        if not isinstance(part, ToolCallPart) or part.kind != "function":
            self._numbering.start(event.index, event.choice)
            return self._numbering.moved(event)
        growth = ArgumentsDelta(event.index, part.arguments)
        if self._tools.is_parallel(part.name):
            self._calls[event.index] = _Call(event, part, None)
            return self._on_arguments(growth)
        self._numbering.start(event.index, event.choice)
        found = self._tools.meant(part.name)
        if found is None:
            result = repaired(self._tools, part.name, "")
            failure = self._tell(event.index, part.name, result)
            return failure or self._numbering.moved(event)
        tool = found[0]
        if tool not in self._terms:
            self._terms[tool] = Terms(self._tools.schemas[tool])
        scanner = ArgumentScanner(self._terms[tool])
        self._calls[event.index] = _Call(event, part, scanner)
        if not part.arguments and tool == part.name:
            return self._numbering.moved(event)
        bare = replace(event, part=replace(part, name=tool, arguments=""))
        return [*self._numbering.moved(bare), *self._on_arguments(growth)]

    def _on_arguments(self, event: ArgumentsDelta) -> Sequence[Event]:
        call = self._calls.get(event.index)
        if call is None:
            return self._numbering.moved(event)
        call.pieces.append(event.text)
        call.arrived += len(event.text)
        certain = ""
        if call.scanner is not None and not self._hold:
            certain = call.scanner.feed(event.text)
        call.sent += len(certain)
        if call.arrived - call.sent > self._max_hold:
            due = self._grown(event.index, certain)
            problem = "longer than what is held"
            calls = (ToolCall(call.name, ""),)
            left = CallRepair(status="invalid", calls=calls, problem=problem)
            return [*due, *self._left(event.index, left)]
        if certain == event.text:
            return self._numbering.moved(event)
        return self._grown(event.index, certain)

    def _grown(self, index: int, text: str) -> Sequence[Event]:
        return self._numbering.moved(ArgumentsDelta(index, text)) if text else ()

    def _on_end(self, event: PartEnd) -> Sequence[Event]:
        call = self._calls.get(event.index)
        if call is None:
            return self._numbering.moved(event)
        call.end = event
        text = call.text
        if text.strip() and not is_json(text):
            return ()
        return self._settled(event.index, event.status == "incomplete")

    def _on_message_end(self, event: MessageEnd) -> Sequence[Event]:
        due: list[Event] = []
        for index, call in list(self._calls.items()):
            if call.choice == event.choice:
                due += self._settled(index, event.stop not in _PROPER_ENDS)
        return [*due, event]

    def _on_terminal(self, event: StreamEnd | StreamError) -> Sequence[Event]:
        due: list[Event] = []
        for index in list(self._calls):
            due += self._settled(index, True)
        return [*due, event]

    def _on_other(self, event: Event) -> Sequence[Event]:
        index: int | None = getattr(event, "index", None)
        call = None if index is None else self._calls.get(index)
        if call is None or call.held is None:
            return self._numbering.moved(event)
        call.held.append(event)
        return ()

    def _settled(self, index: int, truncated: bool) -> Sequence[Event]:
        """Call `index` is over: what is left of it, repaired if it can be."""
        call = self._calls[index]
        text = call.text
        result = repaired(self._tools, call.name, text, truncated=truncated)
        if result.status not in ("valid", "repaired"):
            return self._left(index, result)
        if not text.strip() and call.held is None:
            rules = tuple(rule for rule in result.rules if rule != "empty")
            status: CallStatus = "repaired" if rules else "valid"
            calls = (ToolCall(result.calls[0].name, text),)
            result = replace(result, status=status, calls=calls, rules=rules)
        if not result.calls[0].arguments.startswith(text[: call.sent]):
            problem = "a repair would change what has gone out"
            rules = tuple(r for r in result.rules if r.startswith("name-"))
            calls = (ToolCall(result.calls[0].name, text),)
            left = CallRepair(
                status="invalid", calls=calls, rules=rules, problem=problem
            )
            return self._left(index, left)
        return self._repaired(index, result)

    def _repaired(self, index: int, result: CallRepair) -> Sequence[Event]:
        """Call `index` goes out as `result` has it."""
        call = self._calls.pop(index)
        first, *others = result.calls
        due = self._begun(call, first.name)
        due += self._grown(index, first.arguments[call.sent :])
        unchanged = result.calls == (ToolCall(first.name, call.text),)
        end = call.end if unchanged else PartEnd(index)
        due += () if end is None else self._numbering.moved(end)
        for at, each in enumerate(others, 1):
            out = self._numbering.add(call.choice)
            part = ToolCallPart(call_id=mint_call(call.call_id, at), name=each.name)
            due.append(PartStart(out, part, call.choice))
            due += [ArgumentsDelta(out, each.arguments), PartEnd(out)]
        if result.status == "repaired":
            self._tell(index, call.name, result)
        return due

    def _left(self, index: int, result: CallRepair) -> Sequence[Event]:
        """Call `index` goes on as it came, or ends the answer."""
        call = self._calls.pop(index)
        due = self._begun(call, call.name)
        due += self._grown(index, call.text[call.sent :])
        if call.end is not None:
            due += self._numbering.moved(call.end)
        return self._tell(index, call.name, result) or due

    def _begun(self, call: _Call, name: str) -> list[Event]:
        """The start of a call that was held, under `name`, and what came with it."""
        if call.held is None:
            return []
        index = call.start.index
        self._numbering.start(index, call.choice)
        start = replace(call.start, part=replace(call.part, name=name, arguments=""))
        return [
            moved
            for each in (start, *call.held)
            for moved in self._numbering.moved(each)
        ]

    def _tell(self, index: int, name: str, result: CallRepair) -> list[Event]:
        """Report what became of call `index`; the error that it is, if it is one."""
        out = self._numbering.out(index)
        assert out is not None  # it has started to go out
        path = self._numbering.place(out)
        if len(self.findings) < _FINDINGS:
            finding = ToolFinding(
                path=path,
                name=name,
                status=result.status,
                rules=result.rules,
                violations=result.violations,
                problem=result.problem,
            )
            self.findings += (finding,)
            if result.rules:
                self.losses += (_loss(path, result.rules),)
        if not self._failing or result.status not in ("invalid", "unknown-tool"):
            return []
        message = f"a tool call of the model cannot be used: {result.problem}"
        return [StreamError(APIError(kind="bad_upstream", message=message, status=502))]


_TAKE: Final[dict[type, Callable[[ToolRepairFilter, Any], Sequence[Event]]]] = {
    PartStart: ToolRepairFilter._on_start,
    ArgumentsDelta: ToolRepairFilter._on_arguments,
    PartEnd: ToolRepairFilter._on_end,
    MessageEnd: ToolRepairFilter._on_message_end,
    StreamEnd: ToolRepairFilter._on_terminal,
    StreamError: ToolRepairFilter._on_terminal,
}


def tool_repair_filter(
    action: RepairAction = "pass",
    *,
    effectful: Collection[str] | Callable[[str], bool] = EFFECTFUL,
    drop_unknown: bool = False,
    fill_defaults: bool = False,
    hold: bool | None = None,
    max_hold: int = 1 << 20,
) -> FilterFactory:
    """A factory of `ToolRepairFilter` for requests that declare functions.

    Args:
        action: As `ToolRepairFilter`.
        effectful: As `ToolBox`.
        drop_unknown: Arguments that a schema does not allow go.
        fill_defaults: Arguments that are required and missing get the schema's default.
        hold: As `ToolRepairFilter`; None: where the client does not want a stream.
        max_hold: As `ToolRepairFilter`.

    Raises:
        LocalProtocolError: As `ToolRepairFilter`, at once.
    """
    _check(action, max_hold)
    coercions = Coercions(drop_unknown=drop_unknown, fill_defaults=fill_defaults)

    def make(request: Request) -> ToolRepairFilter | None:
        schemas = schemas_of(request.tools)
        if not schemas:
            return None
        box = ToolBox(schemas, effectful, coercions)
        held = not request.stream if hold is None else hold
        return ToolRepairFilter(box, action, hold=held, max_hold=max_hold)

    return make


def _check(action: str, max_hold: int) -> None:
    if action not in get_args(RepairAction):
        known = ", ".join(get_args(RepairAction))
        raise LocalProtocolError(f"`{action}` is none of {known}")
    if max_hold < 0:
        raise LocalProtocolError("a negative number of characters to hold")


def _loss(path: str, rules: Iterable[str]) -> Loss:
    return Loss(
        path=path,
        feature="filter.tool_repair",
        action="approximated",
        reason=f"the call was repaired: {', '.join(rules)}",
    )
