"""A conversation made to fit: turns that alternate, results first, legal ids.

https://platform.claude.com/docs/en/api/messages: the first turn is the user's, results
stand before everything else in the turn after their calls, texts are not empty, and at
most four cache marks are set.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from llmwire import _seal
from llmwire._plain import is_bare
from llmwire._turns import (
    NO_RESULT,
    REMINDER,
    Placed,
    answered,
    plain_text,
    results_first,
    with_legal_call_ids,
)
from llmwire.dialects import RequestTarget
from llmwire.dialects.anthropic._adapt_parts import Fitting, fit_thought
from llmwire.dialects.anthropic._blocks_write import Members
from llmwire.dialects.anthropic._plain_turns import write_orderly
from llmwire.dialects.anthropic._request_exact import write_message
from llmwire.dialects.anthropic._wire import NAME
from llmwire.messages import (
    CacheMark,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.requests import Request, Tool

_SYSTEM: Final = ("system", "developer")
_EMPTY: Final = "(empty)"
_CONTINUED: Final = "(continued)"
_MAX_MARKS: Final = 4
_LONG: Final = "1h"


class _Turn:
    """Neighbouring messages of one side while they are made to fit."""

    __slots__ = ("at", "parts", "role")

    def __init__(self, role: Role, at: int) -> None:
        self.role = role
        self.at = at
        """Index of the first message it is made of."""
        self.parts: list[Placed] = []


def without_foreign(request: Request, target: RequestTarget) -> Request:
    """`request` without signatures that this vendor did not make."""
    messages: list[Message] = []
    changed = False
    for at, message in enumerate(request.messages):
        if not any(type(p) is ReasoningPart or p.signature for p in message.parts):
            messages.append(message)
            continue
        kept: list[Part] = []
        same = True
        for index, part in enumerate(message.parts):
            path = f"messages[{at}].parts[{index}]"
            if isinstance(part, ReasoningPart):
                fitted = fit_thought(part, path, target, request.model, True)
                same = same and fitted is part
                if fitted is not None:
                    kept.append(fitted)
                continue
            if part.signature is not None:
                signature = part.signature
                if not _seal.fits(signature, NAME, request.model, target.tag):
                    reason = "made elsewhere: no verifier may be shown it"
                    place = f"{path}.signature"
                    target.losses.drop("reasoning.signature", place, reason)
                    part = replace(part, signature=None)
                    same = False
            kept.append(part)
        if not same:
            changed = True
            if not kept:
                continue
            message = replace(message, parts=tuple(kept))
        messages.append(message)
    return replace(request, messages=tuple(messages)) if changed else request


class Fitted(Struct, frozen=True):
    """A conversation that may be sent."""

    messages: tuple[Message, ...]
    turns: list[Members] | None
    """Those behind the instructions at the top, where they are written already."""
    tools: tuple[Tool, ...]
    """With the marks that they may keep."""


def fit_messages(request: Request, tools: tuple[Tool, ...], fitting: Fitting) -> Fitted:
    """The messages as they may be sent, and `tools` with the marks they may keep."""
    messages = request.messages
    start = _front(messages)
    orderly = write_orderly(messages, start, fitting)
    said: list[Message] = []
    if orderly is not None:
        leading: Collection[int] = range(start)
        top = _fit_top(messages, leading, fitting)
        for at, turn in orderly.noted:
            if turn is None:
                _report_merged(f"messages[{at}]", fitting)
            else:
                turn.update(_fit_alone(messages[at], f"messages[{at}]", fitting))
        tools = _limit_marks(request, tools, top, [], fitting)
    else:
        messages = _settled(messages, fitting)
        leading = _leading(messages)
        top = _fit_top(messages, leading, fitting)
        turns = _turns(messages, leading, fitting)
        turns = _without_empty(turns, fitting)
        turns = _with_user_first(turns, fitting)
        turns = _without_prefill(turns, fitting)
        tools = _limit_marks(request, tools, top, turns, fitting)
        said = [_written(turn, messages, fitting) for turn in turns]
    if top:
        parts = tuple([placed.part for placed in top])
        first = Message(role="system", parts=parts, top=True)
        if fitting.native and len(leading) == 1:
            first = replace(first, extras=messages[0].extras)
        said.insert(0, first)
    return Fitted(tuple(said), None if orderly is None else orderly.turns, tools)


def _fit_alone(message: Message, path: str, fitting: Fitting) -> Members:
    """A message that is a turn of its own, whatever its parts are."""
    _note_message(message, path, fitting)
    turn = _Turn(message.role, 0)
    for index, part in enumerate(message.parts):
        place = f"{path}.parts[{index}]"
        fitted = fitting.fit(part, message.role, place)
        if fitted is not None:
            _append(turn.parts, Placed(place, fitted), fitting)
    return write_message(_written(turn, (message,), fitting))


def _settled(messages: tuple[Message, ...], fitting: Fitting) -> tuple[Message, ...]:
    """`messages` with legal ids, and a result for every call."""
    profile = fitting.profile
    rule = "any" if profile.call_ids == "omitted" else profile.call_ids
    messages = with_legal_call_ids(messages, rule, profile.max_call_id, unique=True)
    return answered(messages, fitting.losses)


def _written(turn: _Turn, messages: tuple[Message, ...], fitting: Fitting) -> Message:
    parts = tuple([placed.part for placed in turn.parts])
    kept = fitting.native and turn.at >= 0
    extras = messages[turn.at].extras if kept else None
    return Message(role=turn.role, parts=parts, extras=extras)


def _front(messages: tuple[Message, ...]) -> int:
    """How many instructions stand in front."""
    for at, message in enumerate(messages):
        if message.role not in _SYSTEM:
            return at
    return len(messages)


def _leading(messages: tuple[Message, ...]) -> set[int]:
    """Indices of the instructions that become `system`."""
    leading = {at for at, message in enumerate(messages) if message.top}
    leading.update(range(_front(messages)))
    return leading


def _fit_top(
    messages: tuple[Message, ...], leading: Collection[int], fitting: Fitting
) -> list[Placed]:
    losses = fitting.losses
    top: list[Placed] = []
    for order, at in enumerate(sorted(leading)):
        message, path = messages[at], f"messages[{at}]"
        if not message.top:
            reason = "instructions at the front stand at the top"
            losses.emulate("instructions.top", f"{path}.top", reason)
        if order:
            reason = "joined with the instructions before it"
            losses.approximate("message.boundary", path, reason)
        _note_message(message, path, fitting)
        before = len(top)
        for index, part in enumerate(message.parts):
            place = f"{path}.parts[{index}]"
            if is_bare(part) and not _is_blank(part.text):
                top.append(Placed(place, part))
                continue
            fitted = _fit_instruction(part, place, fitting)
            if fitted is not None:
                _append(top, Placed(place, fitted), fitting)
        if len(top) == before:
            losses.drop("message.empty", path, "instructions that say nothing")
    return top


def _note_message(message: Message, path: str, fitting: Fitting) -> None:
    if message.role == "developer":
        reason = "the dialect has no such role"
        fitting.losses.approximate("instructions", f"{path}.role", reason)
    if message.extras and not fitting.native:
        fitting.losses.drop_extras(message.extras, path)


def _fit_instruction(part: Part, path: str, fitting: Fitting) -> Part | None:
    if isinstance(part, TextPart):
        return fitting.fit(part, "system", path)
    fitting.losses.drop("instructions", path, "instructions hold text only")
    return None


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _append(placed: list[Placed], new: Placed, fitting: Fitting) -> None:
    """Add a part, unless it is an empty text, whose mark moves to the one before."""
    part = new.part
    if not isinstance(part, TextPart) or not _is_blank(part.text):
        placed.append(new)
        return
    reason = "texts must not be empty"
    fitting.losses.drop("message.empty", new.path, reason)
    if part.cache is None:
        return
    last = placed[-1] if placed else None
    if last is None or isinstance(last.part, ReasoningPart):
        reason = "nothing before it can be marked"
        fitting.losses.drop("cache.mark", f"{new.path}.cache", reason)
    elif last.part.cache is None:
        reason = "moved from the empty text behind it"
        fitting.losses.emulate("cache.mark", f"{last.path}.cache", reason)
        fitting.moved[last.path] = new.path
        placed[-1] = Placed(last.path, replace(last.part, cache=part.cache))


def _turns(
    messages: tuple[Message, ...], leading: Collection[int], fitting: Fitting
) -> list[_Turn]:
    turns: list[_Turn] = []
    rest = [at for at in range(len(messages)) if at not in leading]
    for order, at in enumerate(rest):
        message, path = messages[at], f"messages[{at}]"
        _note_message(message, path, fitting)
        role: Role = message.role
        parts = message.parts
        if role in _SYSTEM:
            following = messages[rest[order + 1]] if order + 1 < len(rest) else None
            if _in_place(turns, following, fitting):
                role = "system"
            else:
                role, parts = "user", _reminder(message, path, fitting)
        if not turns or turns[-1].role != role:
            turns.append(_Turn(role, at))
        else:
            _report_merged(path, fitting)
            before = turns[-1].at
            if not turns[-1].parts and not messages[before].parts:
                reason = "a turn with nothing that can be sent"
                fitting.losses.drop("message.empty", f"messages[{before}]", reason)
        turn = turns[-1]
        for index, part in enumerate(parts):
            place = f"{path}.parts[{index}]"
            if role == "system":
                fitted = _fit_instruction(part, place, fitting)
            else:
                fitted = fitting.fit(part, role, place)
            if fitted is not None:
                _append(turn.parts, Placed(place, fitted), fitting)
    calls: list[str] = []
    for turn in turns:
        if turn.role == "user":
            _order(turn, calls, fitting)
        calls = [
            placed.part.call_id
            for placed in turn.parts
            if isinstance(placed.part, ToolCallPart)
        ]
    return turns


def _report_merged(path: str, fitting: Fitting) -> None:
    reason = "merged with the turn before it"
    fitting.losses.approximate("message.boundary", path, reason)


def _in_place(turns: list[_Turn], following: Message | None, fitting: Fitting) -> bool:
    """Instructions may stand here: behind the user, before the assistant or last."""
    return (
        fitting.profile.system_in_place
        and bool(turns)
        and turns[-1].role in ("user", "system")
        and (following is None or following.role in ("assistant", *_SYSTEM))
    )


def _reminder(message: Message, path: str, fitting: Fitting) -> tuple[Part, ...]:
    text = plain_text(message.parts)
    reason = "wrapped into a turn of the user"
    fitting.losses.emulate("instructions", path, reason)
    return (TextPart(text=REMINDER.format(text)),) if text.strip() else ()


def _order(turn: _Turn, calls: list[str], fitting: Fitting) -> None:
    """Results first, in the order of their calls."""
    if not any(isinstance(placed.part, ToolResultPart) for placed in turn.parts):
        return
    ordered = list(results_first(tuple(turn.parts), calls))
    if [p.path for p in ordered] != [p.path for p in turn.parts]:
        reason = "results come first, in the order of their calls"
        path = f"messages[{turn.at}].parts"
        fitting.losses.approximate("part.order", path, reason)
        turn.parts = ordered


def _without_empty(turns: list[_Turn], fitting: Fitting) -> list[_Turn]:
    """Turns that have nothing left: a placeholder for the user's, none for others."""
    kept: list[_Turn] = []
    for turn in turns:
        if not turn.parts:
            path = f"messages[{turn.at}]"
            if turn.role == "user" and fitting.losses.emulates("message.empty"):
                reason = "a placeholder stands for an empty turn"
                fitting.losses.emulate("message.empty", path, reason)
                turn.parts.append(Placed(path, TextPart(text=_EMPTY)))
            else:
                reason = "a turn with nothing that can be sent"
                fitting.losses.drop("message.empty", path, reason)
                continue
        if kept and kept[-1].role == turn.role:
            path = f"messages[{turn.at}]"
            reason = "merged with the turn before the empty one"
            fitting.losses.approximate("message.boundary", path, reason)
            kept[-1].parts += turn.parts
        else:
            kept.append(turn)
    if not kept and fitting.losses.emulates("message.empty"):
        reason = "a placeholder stands where nothing was said"
        fitting.losses.emulate("message.empty", "messages", reason)
        kept.append(_Turn("user", -1))
        kept[0].parts.append(Placed("messages", TextPart(text=_EMPTY)))
    return kept


def _with_user_first(turns: list[_Turn], fitting: Fitting) -> list[_Turn]:
    losses = fitting.losses
    if not turns or turns[0].role == "user" or not fitting.profile.first_turn_user:
        return turns
    path = f"messages[{turns[0].at}]"
    if losses.choice("message.order") == "emulate":
        reason = "a turn of the user was put before the first"
        losses.emulate("message.order", "messages", reason)
        first = _Turn("user", turns[0].at)
        first.parts.append(Placed(path, TextPart(text=_CONTINUED)))
        return [first, *turns]
    losses.drop("message.order", path, "the first turn must be the user's")
    return _with_user_first(turns[1:], fitting)


def _without_prefill(turns: list[_Turn], fitting: Fitting) -> list[_Turn]:
    """A last turn of the assistant's is followed by the user's, where it must be."""
    if not turns or turns[-1].role != "assistant":
        return turns
    last = turns[-1]
    if not fitting.profile.prefill:
        return _followed(turns, fitting)
    placed = last.parts[-1]
    if isinstance(placed.part, TextPart):
        text = placed.part.text.rstrip()
        if text != placed.part.text:
            reason = "white space at the end is refused"
            path = f"{placed.path}.text"
            fitting.losses.approximate("message.prefill", path, reason)
            last.parts[-1] = Placed(placed.path, replace(placed.part, text=text))
    return turns


def _followed(turns: list[_Turn], fitting: Fitting) -> list[_Turn]:
    losses, last = fitting.losses, turns[-1]
    path = f"messages[{last.at}]"
    if not losses.emulates("message.prefill"):
        reason = "the model does not continue a turn of its own"
        losses.drop("message.prefill", path, reason)
        return turns[:-1]
    reason = "a turn of the user was put behind the last"
    losses.emulate("message.prefill", "messages", reason)
    more = _Turn("user", -1)
    for placed in last.parts:
        part = placed.part
        if isinstance(part, ToolCallPart):
            if losses.choice("call.unanswered") != "emulate":
                losses.drop("call.unanswered", placed.path, "the call has no result")
                return turns[:-1]
            reason = "an error result was made up"
            losses.emulate("call.unanswered", placed.path, reason)
            text = (TextPart(text=NO_RESULT),)
            result = ToolResultPart(call_id=part.call_id, parts=text, error=True)
            more.parts.append(Placed(placed.path, result))
    more.parts.append(Placed(path, TextPart(text=_CONTINUED)))
    return [*turns, more]


def _limit_marks(
    request: Request,
    tools: tuple[Tool, ...],
    top: list[Placed],
    turns: list[_Turn],
    fitting: Fitting,
) -> tuple[Tool, ...]:
    """At most four marks: the last ones in the order in which they are rendered."""
    groups = [top, *[turn.parts for turn in turns]]
    marks = 0
    for tool in tools:
        if tool.cache is not None:
            marks += 1
    for group in groups:
        for placed in group:
            marks += _marks(placed.part)
    if not marks:
        return tools
    whole = request.cache is not None and fitting.profile.request_cache
    spare = marks - (_MAX_MARKS - whole)
    limiter = _Limiter(spare, fitting)
    kept = tuple(
        replace(tool, cache=limiter.limited(tool.cache, f"tools[{at}]"))
        if tool.cache is not None
        else tool
        for at, tool in enumerate(tools)
    )
    for group in groups:
        for at, placed in enumerate(group):
            if _marks(placed.part):
                part = limiter.limited_part(placed.part, placed.path)
                group[at] = Placed(placed.path, part)
    return kept


def _marks(part: Part) -> int:
    """Marks on a part, and inside a result."""
    own = 0 if part.cache is None else 1
    if not isinstance(part, ToolResultPart):
        return own
    return own + len([inner for inner in part.parts if inner.cache is not None])


class _Limiter:
    """Walks the marks in the order in which they are rendered."""

    def __init__(self, spare: int, fitting: Fitting) -> None:
        self._spare = spare
        """Marks that are still too many: the first ones go."""
        self._fitting = fitting
        self._short = False
        """A mark of short life was kept: those behind it may not live longer."""

    def limited(self, mark: CacheMark, path: str) -> CacheMark | None:
        """The mark, shorter, or none."""
        losses = self._fitting.losses
        place = f"{self._fitting.moved.get(path, path)}.cache"
        if self._spare > 0:
            self._spare -= 1
            losses.drop("cache.mark", place, "four marks are allowed")
            return None
        if mark.ttl != _LONG:
            self._short = True
        elif self._short:
            reason = "marks of long life stand before those of short"
            losses.approximate("cache.mark", f"{place}.ttl", reason)
            return replace(mark, ttl=None)
        return mark

    def limited_part(self, part: Part, path: str) -> Part:
        """A part with its marks limited, those inside a result first."""
        if isinstance(part, ToolResultPart):
            inner = tuple(
                replace(p, cache=self.limited(p.cache, f"{path}.parts[{at}]"))
                if p.cache is not None
                else p
                for at, p in enumerate(part.parts)
            )
            part = replace(part, parts=inner)
        if part.cache is None:
            return part
        return replace(part, cache=self.limited(part.cache, path))
