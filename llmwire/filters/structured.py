"""Answers that have to be JSON: checked, and repaired where there is one way to do it.

Knows events of text. What one text needs is `enforce`'s business; it needs no stream.

Rules:
1. The document is the visible text of a choice, without commentary. A choice that calls
   a tool or refuses owes no document, and passes untouched.
2. `check`: everything goes on as it comes. What is no document ends the answer with an
   error in the place of its proper end; the client has seen it by then.
3. `repair`: text goes on as far as it is certain (`_argument_scanner`); where it is no
   JSON any more the rest waits for the end of the choice, is repaired then, and keeps
   what went out before. Text in several parts is checked only.
4. What was cut off (any stop but `end`) stays as it is, and is no error.
5. `action="pass"` only reports what could not be repaired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

from msgspec import Struct
from msgspec.structs import replace

from llmwire._coercion import Coercions, coerce
from llmwire._json import decode_any
from llmwire._json_edits import Edit
from llmwire._json_nodes import strict_value
from llmwire._json_schema import Violation, violations
from llmwire._schema_terms import Schema
from llmwire.errors import JSONRepairError, LocalProtocolError, RemoteProtocolError
from llmwire.events import (
    Event,
    MessageEnd,
    PartEnd,
    PartStart,
    StreamEnd,
    StreamError,
    TextDelta,
)
from llmwire.filters._argument_scanner import ArgumentScanner, Terms
from llmwire.filters._chain import FilterFactory
from llmwire.json_repair import repair_json
from llmwire.losses import Loss
from llmwire.messages import APIError, RefusalPart, TextPart, ToolCallPart
from llmwire.requests import OutputFormat, Request

__all__ = (
    "Coercions",
    "Edit",
    "Enforced",
    "EnforcedStatus",
    "StructuredAction",
    "StructuredFilter",
    "StructuredFinding",
    "StructuredMode",
    "Violation",
    "enforce",
    "structured_filter",
)

EnforcedStatus: TypeAlias = Literal["valid", "repaired", "truncated", "invalid"]
StructuredMode: TypeAlias = Literal["repair", "check"]
StructuredAction: TypeAlias = Literal["error", "pass"]

_FINDINGS: Final = 64
_ANY_OBJECT: Final[Schema] = {"type": "object"}
"""What `json_object` asks for."""


class Enforced(Struct, frozen=True, kw_only=True):
    """What became of a text that should be JSON of a schema."""

    status: EnforcedStatus
    text: str
    """Where `valid` or `repaired`, JSON that the schema allows; else as it came."""
    rules: tuple[str, ...] = ()
    """The rules that were applied, each once."""
    violations: tuple[Violation, ...] = ()
    """What the schema does not allow, of an `invalid` text that is JSON."""
    problem: str = ""
    """Why it could not be repaired, for people; never the content."""


def enforce(
    text: str,
    schema: Schema | None,
    *,
    truncated: bool = False,
    coercions: Coercions | None = Coercions(),  # noqa: B008  frozen
) -> Enforced:
    """`text` as JSON that `schema` allows, if there is one way to. Never raises.

    Args:
        text: As the model wrote it: JSON, in a fence, within prose, broken.
        schema: None: any JSON object.
        truncated: It was cut off. Nothing is repaired then.
        coercions: What may be done to types; None: nothing.
    """
    wanted = _ANY_OBJECT if schema is None else schema
    found = _faults(text, wanted)
    if found == ():
        return Enforced(status="valid", text=text)
    if truncated:
        return Enforced(status="truncated", text=text, problem="it was cut off")
    try:
        repair = repair_json(text, wanted)
    except JSONRepairError as error:
        return Enforced(status="invalid", text=text, problem=str(error))
    if not repair.complete:
        problem = "several documents"
        return Enforced(status="invalid", text=text, problem=problem)
    edits = repair.edits
    mended = repair.text
    found = _faults(mended, wanted)
    if found and coercions is not None:
        fixed = coerce(mended, wanted, coercions)
        if fixed is not None:
            mended, changes = fixed
            edits, found = (*edits, *changes), ()
    if found != ():
        problem = "the schema does not allow it" if found else "nested too deeply"
        return Enforced(
            status="invalid", text=text, violations=found or (), problem=problem
        )
    rules = tuple(dict.fromkeys(edit.rule for edit in edits))
    return Enforced(status="repaired", text=mended, rules=rules)


def _faults(text: str, schema: Schema) -> tuple[Violation, ...] | None:
    """What `schema` does not allow of a text; None: it is no JSON."""
    try:
        return violations(strict_value(text), schema)
    except (ValueError, RecursionError):
        return None


class StructuredFinding(Struct, frozen=True, kw_only=True, gc=False):
    """A text that was not what had been asked for."""

    path: str
    """Of the choice in the neutral answer: `choices[0]`."""
    status: EnforcedStatus
    rules: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()
    problem: str = ""


class _Choice:
    """The document of one choice, which is coming."""

    __slots__ = (
        "end",
        "holding",
        "index",
        "number",
        "over",
        "scanner",
        "sent",
        "size",
        "texts",
    )

    def __init__(
        self, number: int, scanner: ArgumentScanner | None, *, holding: bool
    ) -> None:
        self.number = number
        self.scanner = scanner
        self.holding = holding
        """Something may still be repaired."""
        self.over = False
        """No document is owed any more."""
        self.texts: dict[int, list[str]] = {}
        """By part."""
        self.index = -1
        """The part that is held back."""
        self.size = 0
        self.sent = 0
        """Characters that came, and of the part held back went out."""
        self.end: PartEnd | None = None

    @property
    def text(self) -> str:
        """All that came."""
        return "".join(piece for pieces in self.texts.values() for piece in pieces)


class StructuredFilter:
    """Checks, or repairs, answers that have to be JSON.

    Args:
        schema: What they have to be; None: any JSON object.
        mode: `repair` or `check`.
        action: What is done about what is not: `error` or `pass`.
        hold: Hold texts until they end. More can be repaired then, since nothing has
            gone out; what streams is late. Only for `repair`.
        max_size: Characters of one choice that are looked at. Longer texts go on as
            they come, and are reported.
        coercions: What may be done to types; None: nothing.

    Raises:
        LocalProtocolError: `mode` or `action` is none of the words, or `max_size` is
            negative.
    """

    events: Final = frozenset({PartStart, TextDelta, PartEnd, MessageEnd})

    def __init__(
        self,
        schema: Schema | None,
        mode: StructuredMode = "repair",
        action: StructuredAction = "error",
        *,
        hold: bool = False,
        max_size: int = 1 << 22,
        coercions: Coercions | None = Coercions(),  # noqa: B008  frozen
    ) -> None:
        _check(mode, action, max_size)
        self.findings: tuple[StructuredFinding, ...] = ()
        """The texts that were not valid, the first 64."""
        self.losses: tuple[Loss, ...] = ()
        """What was changed."""
        self._schema = _ANY_OBJECT if schema is None else schema
        self._terms = Terms(self._schema)
        self._repairing = mode == "repair"
        self._failing = action == "error"
        self._hold = hold
        self._max_size = max_size
        self._coercions = coercions
        self._choices: dict[int, _Choice] = {}
        self._choice_of: dict[int, _Choice] = {}

    def __call__(self, event: Event) -> Sequence[Event]:
        """The events that are due now."""
        return _TAKE[type(event)](self, event)

    def _on_start(self, event: PartStart) -> Sequence[Event]:
        choice = self._choices.get(event.choice)
        if choice is None:
            scanner = None if self._hold else ArgumentScanner(self._terms)
            choice = _Choice(event.choice, scanner, holding=self._repairing)
            self._choices[event.choice] = choice
        part = event.part
        if isinstance(part, (ToolCallPart, RefusalPart)):
            choice.over = True
            return [*self._released(choice), event]
        if not isinstance(part, TextPart) or part.phase == "commentary" or choice.over:
            return (event,)
        due = self._released(choice) if choice.texts else []
        if not choice.texts:
            choice.index = event.index
        choice.texts[event.index] = []
        self._choice_of[event.index] = choice
        if not part.text or not choice.holding:
            self._kept(choice, event.index, part.text)
            return [*due, event]
        bare = replace(event, part=replace(part, text=""))
        return [*due, bare, *self._on_text(TextDelta(event.index, part.text))]

    def _kept(self, choice: _Choice, index: int, text: str) -> None:
        """Remember `text`, unless it is too much."""
        choice.size += len(text)
        if choice.size <= self._max_size:
            choice.texts[index].append(text)

    def _on_text(self, event: TextDelta) -> Sequence[Event]:
        choice = self._choice_of.get(event.index)
        if choice is None or choice.over:
            return (event,)
        self._kept(choice, event.index, event.text)
        if choice.size > self._max_size:
            held = self._released(choice)
            choice.over = True
            choice.texts.clear()
            result = _too_long(event.text)
            return self._told(choice, result) or [*held, event]
        if not choice.holding:
            return (event,)
        certain = choice.scanner.feed(event.text) if choice.scanner else ""
        choice.sent += len(certain)
        if certain == event.text:
            return (event,)
        return (TextDelta(event.index, certain),) if certain else ()

    def _on_end(self, event: PartEnd) -> Sequence[Event]:
        choice = self._choice_of.get(event.index)
        if choice is None or not choice.holding:
            return (event,)
        choice.end = event
        if _faults(choice.text, self._schema) == ():
            return self._released(choice)
        return ()

    def _on_message_end(self, event: MessageEnd) -> Sequence[Event]:
        choice = self._choices.get(event.choice)
        if choice is None or choice.over or not choice.texts:
            return (event,)
        if event.stop != "end":
            return [*self._cut(choice), event]
        text = choice.text
        result = enforce(text, self._schema, coercions=self._coercions)
        if not choice.holding and result.status != "valid":
            result = self._checked(choice, result)
        elif result.status == "repaired" and not result.text.startswith(
            text[: choice.sent]
        ):
            problem = "a repair would change what has gone out"
            result = Enforced(status="invalid", text=text, problem=problem)
        failure = self._told(choice, result)
        return failure or [*self._released(choice, result.text), event]

    def _cut(self, choice: _Choice) -> Sequence[Event]:
        """What is left of a document that was cut off, if it was."""
        result = enforce(choice.text, self._schema, truncated=True)
        self._told(choice, result)
        return self._released(choice)

    def _checked(self, choice: _Choice, result: Enforced) -> Enforced:
        """`result` of a text that has gone out; its last part may be the document."""
        last = "".join(next(reversed(choice.texts.values())))
        if _faults(last, self._schema) == ():
            return Enforced(status="valid", text=last)
        if result.status == "invalid":
            return result
        problem = f"it would need a repair: {', '.join(result.rules)}"
        return Enforced(status="invalid", text=choice.text, problem=problem)

    def _on_terminal(self, event: StreamEnd | StreamError) -> Sequence[Event]:
        due: list[Event] = []
        for choice in self._choices.values():
            if choice.holding and not choice.over and choice.texts:
                due += self._cut(choice)
        return [*due, event]

    def _released(self, choice: _Choice, text: str | None = None) -> list[Event]:
        """What is held back of `choice`, as `text` has it; from here on nothing is."""
        if not choice.holding:
            return []
        choice.holding = False
        rest = (choice.text if text is None else text)[choice.sent :]
        due: list[Event] = [TextDelta(choice.index, rest)] if rest else []
        return due if choice.end is None else [*due, choice.end]

    def _told(self, choice: _Choice, result: Enforced) -> list[Event]:
        """Report what became of `choice`; the error that it is, if it is one."""
        if result.status == "valid":
            return []
        path = f"choices[{choice.number}]"
        if len(self.findings) < _FINDINGS:
            finding = StructuredFinding(
                path=path,
                status=result.status,
                rules=result.rules,
                violations=result.violations,
                problem=result.problem,
            )
            self.findings += (finding,)
            if result.status == "repaired":
                self.losses += (_loss(path, result.rules),)
        if not self._failing or result.status != "invalid":
            return []
        where = "".join(f" at `{v.path}` ({v.rule})" for v in result.violations[:1])
        message = f"the answer is not the JSON that was asked for: {result.problem}"
        error = APIError(kind="bad_upstream", message=message + where, status=502)
        return [StreamError(error)]


_TAKE: Final[dict[type, Callable[[StructuredFilter, Any], Sequence[Event]]]] = {
    PartStart: StructuredFilter._on_start,
    TextDelta: StructuredFilter._on_text,
    PartEnd: StructuredFilter._on_end,
    MessageEnd: StructuredFilter._on_message_end,
    StreamEnd: StructuredFilter._on_terminal,
    StreamError: StructuredFilter._on_terminal,
}


def structured_filter(
    mode: StructuredMode = "repair",
    action: StructuredAction = "error",
    *,
    hold: bool | None = None,
    max_size: int = 1 << 22,
    coercions: Coercions | None = Coercions(),  # noqa: B008  frozen
) -> FilterFactory:
    """A factory of `StructuredFilter` for requests that ask for JSON.

    Args:
        mode: As `StructuredFilter`.
        action: As `StructuredFilter`.
        hold: As `StructuredFilter`; None: where the client does not want a stream.
        max_size: As `StructuredFilter`.
        coercions: As `StructuredFilter`.

    Raises:
        LocalProtocolError: As `StructuredFilter`, at once.
    """
    _check(mode, action, max_size)

    def make(request: Request) -> StructuredFilter | None:
        output = request.output
        if output is None or output.kind not in ("json_object", "json_schema"):
            return None
        return StructuredFilter(
            _schema(output),
            mode,
            action,
            hold=not request.stream if hold is None else hold,
            max_size=max_size,
            coercions=coercions,
        )

    return make


def _schema(output: OutputFormat) -> Schema | None:
    """The schema that is asked for; one that is no object allows every JSON."""
    if output.kind == "json_object":
        return None
    try:
        schema = {} if output.schema is None else decode_any(bytes(output.schema))
    except RemoteProtocolError:
        return {}
    return schema if isinstance(schema, Mapping) else {}


def _check(mode: str, action: str, max_size: int) -> None:
    for word, kind in ((mode, StructuredMode), (action, StructuredAction)):
        if word not in get_args(kind):
            known = ", ".join(get_args(kind))
            raise LocalProtocolError(f"`{word}` is none of {known}")
    if max_size < 0:
        raise LocalProtocolError("a negative number of characters to look at")


def _too_long(text: str) -> Enforced:
    problem = "longer than what is looked at"
    return Enforced(status="invalid", text=text, problem=problem)


def _loss(path: str, rules: Sequence[str]) -> Loss:
    return Loss(
        path=path,
        feature="filter.structured",
        action="approximated",
        reason=f"the text was repaired: {', '.join(rules)}",
    )
