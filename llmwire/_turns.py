"""What every request encoder must settle about a conversation before it writes it.

Call ids and tool names that the target would reject, results that must follow their
calls, neighbours that must be merged: functions from neutral messages to neutral
messages. No wire name and no dialect; each says what it could not keep to a
`LossRecorder`, by the paths of the request it was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Raw, Struct
from msgspec.structs import replace

from llmwire._ids import digest, is_minted_call
from llmwire._plain import are_legal
from llmwire.losses import LossRecorder
from llmwire.messages import (
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    Role,
    ServerToolCallPart,
    Signature,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from llmwire.requests import Request, ToolChoice

PLACEMENT: Final = "@placement"
"""Note in the extras of a reasoning part: its signature belongs to its neighbour."""
REMINDER: Final = "<system-reminder>\n{}\n</system-reminder>"
"""How instructions in the middle of a conversation are wrapped as user text."""
NO_RESULT: Final = "no result recorded"
"""Text of a result that is made up where the policy asks for it."""
ATTACHED: Final = "See the attachment below."
"""Text of a result of media alone, where media follow in a turn of their own."""
UNSHOWN: Final = "The result cannot be shown here."
"""Text of a result that only another dialect can say, at length."""

_SAFE = re.compile(r"[A-Za-z0-9_-]+\Z")
_ALPHANUMERIC9 = re.compile(r"[A-Za-z0-9]{9}\Z")
_LONGEST_JSON: Final = 2000
"""Characters of a part that are told as JSON: longer ones hold pictures or pages."""
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Placed(Struct, frozen=True):
    """A part and its place in the request: `messages[2].parts[0]`."""

    path: str
    part: Part


class Turn(Struct, frozen=True):
    """Neighbouring messages of one side, as one."""

    role: Role
    parts: tuple[Placed, ...]
    messages: tuple[int, ...]
    """Indices of the messages it is made of."""


class Survey(Struct, frozen=True):
    """The calls and results of a conversation, from one walk through it."""

    calls: list[ToolCallPart]
    results: list[str]
    """Ids of the calls that they answer."""
    answered: bool
    """Every call has its result and every result its call, as `answered` wants it."""
    adjoining: bool
    """They are, and every result stands in the message right behind its call's."""

    def ids_are_legal(self, rule: str, limit: int, *, unique: bool = False) -> bool:
        """Whether `with_legal_call_ids` has nothing to map."""
        ids = [call.call_id for call in self.calls]
        if unique and len(set(ids)) < len(ids):
            return False
        ids += self.results
        if rule == "alphanumeric9":
            return all(map(_ALPHANUMERIC9.match, ids))
        return are_legal(ids, rule, limit)


def surveyed(messages: Iterable[Message]) -> Survey:
    """What `messages` hold of calls and results."""
    calls: list[ToolCallPart] = []
    results: list[str] = []
    waiting: set[str] = set()
    answered = adjoining = True
    before = ""
    for message in messages:
        role = message.role
        if waiting and role == "assistant":
            answered = answered and before == "assistant"
            adjoining = False
        for part in message.parts:
            if type(part) is TextPart:
                continue
            if type(part) is ToolCallPart:
                calls.append(part)
                if role == "assistant":
                    waiting.add(part.call_id)
            elif type(part) is ToolResultPart:
                results.append(part.call_id)
                if part.call_id in waiting:
                    waiting.remove(part.call_id)
                else:
                    answered = False
                if before != "assistant" or role == "assistant":
                    adjoining = False
        before = role
    answered = answered and (not waiting or before == "assistant")
    return Survey(calls, results, answered, answered and adjoining)


def legal_call_id(call_id: str, rule: str, limit: int) -> str:
    """`call_id` if `rule` allows it, else an id that only depends on it.

    Args:
        call_id: As it stands in the conversation.
        rule: `any`, `safe` or `alphanumeric9` (`Profile.call_ids`).
        limit: Characters allowed.
    """
    if rule == "alphanumeric9":
        if _ALPHANUMERIC9.match(call_id):
            return call_id
        number = int.from_bytes(digest("call", call_id).encode(), "big")
        letters = []
        for _ in range(9):
            number, at = divmod(number, 62)
            letters.append(_BASE62[at])
        return "".join(letters)
    if call_id and len(call_id) <= limit and (rule == "any" or _SAFE.match(call_id)):
        return call_id
    return "tc_" + digest("call", call_id)


def with_legal_call_ids(
    messages: tuple[Message, ...],
    rule: str,
    limit: int,
    *,
    unique: bool = False,
    survey: Survey | None = None,
) -> tuple[Message, ...]:
    """`messages` with ids of calls and results that the target accepts.

    Ids are mapped one by one, without state between requests, so that equal histories
    stay equal. With `unique` an id that a later turn uses again is told apart by the
    turn; a result belongs to the nearest call before it.
    """
    survey = survey or surveyed(messages)
    if survey.ids_are_legal(rule, limit, unique=unique):
        return messages
    current: dict[str, str] = {}
    taken: set[str] = set()
    changed = False
    mapped: list[Message] = []
    for at, message in enumerate(messages):
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                sent = legal_call_id(part.call_id, rule, limit)
                if unique and sent in taken:
                    again = f"{part.call_id}\x1f{at}\x1f{len(parts)}"
                    sent = legal_call_id("tc_" + digest("call", again), rule, limit)
                taken.add(sent)
                current[part.call_id] = sent
            elif isinstance(part, ToolResultPart):
                known = current.get(part.call_id)
                sent = known or legal_call_id(part.call_id, rule, limit)
            else:
                parts.append(part)
                continue
            if sent != part.call_id:
                part = replace(part, call_id=sent)
                changed = True
            parts.append(part)
        mapped.append(replace(message, parts=tuple(parts)))
    return tuple(mapped) if changed else messages


def safe_names(
    request: Request, limit: int, calls: Iterable[ToolCallPart] | None = None
) -> dict[str, str]:
    """`legal_names` of a target that takes letters, digits, `_` and `-` in any order.

    Args:
        request: As for `legal_names`.
        limit: Characters allowed.
        calls: All of the history, where they are known.
    """
    wanted = _tool_names(request, calls)
    if are_legal(wanted, "safe", limit):
        return {}

    def legal(name: str) -> bool:
        return len(name) <= limit and _SAFE.match(name) is not None

    return legal_names(request, legal, limit)


def legal_names(
    request: Request, legal: Callable[[str], bool], limit: int, first: str = ""
) -> dict[str, str]:
    """Names of tools that the target rejects -> the names to send, reversible.

    Args:
        request: Its definitions, tool choice and history are looked through.
        legal: Whether a name may be sent as it is.
        limit: Characters allowed.
        first: Put before a name whose first character is not allowed there.
    """
    names: dict[str, str] = {}
    wanted = _tool_names(request)
    taken = {name for name in wanted if legal(name)}
    for name in [name for name in wanted if name not in taken]:
        sent = re.sub(r"[^A-Za-z0-9_-]", "_", name) or "_"
        if first and not (sent[0].isalpha() or sent[0] == "_"):
            sent = first + sent
        if len(sent) > limit or sent in taken:
            sent = f"{sent[: limit - 9]}_{digest('name', name)[:8]}"
        names[name] = sent
        taken.add(sent)
    return names


def _tool_names(
    request: Request, calls: Iterable[ToolCallPart] | None = None
) -> dict[str, None]:
    """The names of tools in `request`, each once."""
    names = [tool.name for tool in request.tools if tool.kind in ("function", "custom")]
    if request.tool_choice is not None:
        names += request.tool_choice.names
    if calls is not None:
        names += [call.name for call in calls]
    else:
        names += [
            part.name
            for message in request.messages
            for part in message.parts
            if type(part) is ToolCallPart
        ]
    return dict.fromkeys(names)


def own_choice(request: Request, losses: LossRecorder) -> ToolChoice | None:
    """The tool choice without tools that are not the client's own.

    Those that only another vendor's server runs are not sent as functions. A choice of
    nothing else is dropped: no other call may be forced in its place.
    """
    choice = request.tool_choice
    if choice is None or not choice.names:
        return choice
    own = {tool.name for tool in request.tools if tool.kind in ("function", "custom")}
    kept = tuple(name for name in choice.names if name in own)
    if len(kept) == len(choice.names):
        return choice
    reason = "the tool is not among those sent"
    if kept or choice.mode == "none":
        losses.approximate("tool.choice", "tool_choice", reason)
        return replace(choice, names=kept, kind=choice.kind if kept else "any")
    losses.drop("tool.choice", "tool_choice", reason)
    return None


def call_names(messages: Iterable[Message]) -> dict[str, str]:
    """Call id -> tool name, of every call in `messages`."""
    return {
        part.call_id: part.name
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCallPart)
    }


def turns(messages: Iterable[Message]) -> list[Turn]:
    """`messages` with neighbours of one role merged, instructions left in place."""
    merged: list[Turn] = []
    for at, message in enumerate(messages):
        placed = tuple(
            Placed(f"messages[{at}].parts[{index}]", part)
            for index, part in enumerate(message.parts)
        )
        if merged and merged[-1].role == message.role:
            last = merged[-1]
            merged[-1] = Turn(last.role, last.parts + placed, (*last.messages, at))
        else:
            merged.append(Turn(message.role, placed, (at,)))
    return merged


def results_first(
    parts: tuple[Placed, ...], calls: Iterable[str]
) -> tuple[Placed, ...]:
    """`parts` of a user turn with the results in front, in the order of `calls`."""
    order = {call_id: at for at, call_id in enumerate(calls)}
    results = [p for p in parts if isinstance(p.part, ToolResultPart)]
    others = [p for p in parts if not isinstance(p.part, ToolResultPart)]
    results.sort(key=lambda p: order.get(_call_id(p.part), len(order)))
    return (*results, *others)


def _call_id(part: Part) -> str:
    return part.call_id if isinstance(part, ToolResultPart) else ""


def answered(
    messages: tuple[Message, ...], losses: LossRecorder, survey: Survey | None = None
) -> tuple[Message, ...]:
    """`messages` in which every call has its result and every result its call.

    A result without a call before it is dropped, or refused (`tool_result.orphan`). A
    call that the following turns leave unanswered is refused, or given an error result
    where the policy is to emulate (`call.unanswered`); calls of the last assistant
    turn, when nothing follows, may be unanswered.

    Raises:
        UnsupportedFeature: By the policy.
    """
    if (survey or surveyed(messages)).answered:
        return messages
    open_calls: dict[str, str] = {}
    served = served_calls(messages)
    settled: list[Message] = []
    last = max((i for i, m in enumerate(messages) if m.role == "assistant"), default=-1)
    behind_last = 0
    changed = False
    for at, message in enumerate(messages):
        follows = at > 0 and messages[at - 1].role == "assistant"
        if message.role == "assistant" and open_calls and not follows:
            settled += _made_up(open_calls, losses)
            changed, open_calls = True, {}
        kept: list[Part] = []
        for index, part in enumerate(message.parts):
            path = f"messages[{at}].parts[{index}]"
            if isinstance(part, ToolCallPart) and message.role == "assistant":
                open_calls[part.call_id] = path
            elif isinstance(part, ToolResultPart):
                if part.call_id not in open_calls:
                    drop_orphan(part.call_id in served, path, losses)
                    changed = True
                    continue
                del open_calls[part.call_id]
            kept.append(part)
        settled.append(
            message
            if len(kept) == len(message.parts)
            else replace(message, parts=tuple(kept))
        )
        if at == last:
            behind_last = len(settled)
    if open_calls and last < len(messages) - 1:
        settled[behind_last:behind_last] = _made_up(open_calls, losses)
        changed = True
    return tuple(settled) if changed else messages


def served_calls(messages: Iterable[Message]) -> set[str]:
    """Ids of the calls that a server ran, whatever their results came as."""
    return {
        part.call_id
        for message in messages
        for part in message.parts
        if isinstance(part, ServerToolCallPart) and part.call_id
    }


def with_words(
    part: ToolResultPart, path: str, dialect: str, losses: LossRecorder
) -> ToolResultPart:
    """A result as `dialect` can say it, where it could say nothing of it else.

    What holds only parts of other dialects (references to tools) is told as their JSON:
    a result that said something must not become an empty one.
    """
    foreign = [
        inner
        for inner in part.parts
        if type(inner) is OpaquePart and inner.dialect != dialect
    ]
    if not foreign or len(foreign) < len(part.parts):
        return part
    if not losses.emulates("message.empty"):
        return part
    texts = []
    for at, inner in enumerate(foreign):
        text, reason = bytes(inner.raw).decode(), "nothing else is said: told as JSON"
        if len(text) > _LONGEST_JSON:
            text, reason = UNSHOWN, "nothing else is said, and it is long"
        losses.emulate("opaque", f"{path}.parts[{at}]", reason)
        texts.append(TextPart(text))
    return replace(part, parts=tuple(texts))


def drop_orphan(served: bool, path: str, losses: LossRecorder) -> None:
    """Leave out the result at `path`: no client call stands before it."""
    if served:
        losses.drop("tool.server_part", path, "its call is the server's own")
    else:
        losses.drop("tool_result.orphan", path, "no call of that id stands before it")


def _made_up(open_calls: Mapping[str, str], losses: LossRecorder) -> list[Message]:
    parts: list[Part] = []
    for call_id, path in open_calls.items():
        if losses.choice("call.unanswered") != "emulate":
            losses.drop("call.unanswered", path, "the call has no result")
            continue
        losses.emulate("call.unanswered", path, "an error result was made up")
        text = TextPart(NO_RESULT)
        parts.append(ToolResultPart(call_id=call_id, parts=(text,), error=True))
    return [Message(role="user", parts=tuple(parts))] if parts else []


def settled_signatures(parts: Iterable[Part]) -> tuple[Part, ...]:
    """`parts` with signatures moved from their carriers to the parts they belong to.

    A carrier is an empty reasoning part with the note `PLACEMENT`: `next` or `prev`.
    Where the neighbour is missing the carrier stays an ordinary thought.
    """
    settled: list[Part] = []
    pending: Signature | None = None
    for part in parts:
        placement = (part.extras or {}).get(PLACEMENT)
        if isinstance(part, ReasoningPart) and placement is not None:
            if bytes(placement) == b'"prev"' and settled:
                settled[-1] = replace(settled[-1], signature=part.signature)
                continue
            if bytes(placement) == b'"next"' and pending is None:
                pending = part.signature
                continue
            part = without_placement(part)
        elif pending is not None:
            part, pending = replace(part, signature=pending), None
        settled.append(part)
    if pending is not None:
        settled.append(ReasoningPart(signature=pending))
    return tuple(settled)


def without_placement(part: ReasoningPart) -> ReasoningPart:
    """`part` as an ordinary thought."""
    kept = {k: v for k, v in (part.extras or {}).items() if k != PLACEMENT}
    return replace(part, extras=kept or None)


def carrier(signature: Signature, placement: str) -> ReasoningPart:
    """An empty reasoning part that carries the signature of its neighbour."""
    note = Raw(f'"{placement}"'.encode())
    return ReasoningPart(signature=signature, extras={PLACEMENT: note})


def reasoning_text(part: ReasoningPart) -> str:
    """All the text of a thought, its segments joined by a blank line."""
    pieces = [*part.summary, *((part.text,) if part.text else ())]
    return "\n\n".join(piece for piece in pieces if piece)


def plain_text(parts: Iterable[Part]) -> str:
    """The texts among `parts`, joined by a blank line."""
    return "\n\n".join(p.text for p in parts if isinstance(p, TextPart) and p.text)


def sent_call_id(call_id: str) -> str | None:
    """`call_id`, None where it was minted and the target takes calls without one."""
    return None if is_minted_call(call_id) else call_id
