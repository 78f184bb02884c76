"""A plain conversation as `contents`, written straight down.

Says of a conversation of another dialect what `_history` would say, with the same
losses, where there is nothing but texts, calls of functions and their results.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from llmwire._plain import PlainMessage, are_legal, plain_messages, plain_object
from llmwire._turns import sent_call_id
from llmwire.dialects.gemini._config_write import Aim
from llmwire.dialects.gemini._ends import turn_start
from llmwire.dialects.gemini._parts_write import Members
from llmwire.losses import LossRecorder
from llmwire.messages import Message

SENTINEL: Final = "skip_thought_signature_validator"
"""What Google documents for calls whose signature does not exist."""
_ROLE: Final = attrgetter("role")


def plain_contents(
    messages: Sequence[Message], leading: int, aim: Aim, names: dict[str, str]
) -> list[Members] | None:
    """The contents behind `leading` instructions; None where these are not plain.

    Args:
        messages: Of the request.
        leading: How many instructions stand at the front.
        aim: Whom it is written for.
        names: Tool names that are sent under another name.
    """
    plain = plain_messages(messages, leading)
    if plain is None:
        return None
    calls = _calls(plain, aim, names)
    if calls is None:
        return None
    signed = aim.profile.requires_signatures
    start = turn_start(messages) if signed else len(messages)
    contents: list[Members] = []
    for role, run in groupby(plain, _ROLE):
        if role == "user":
            contents += _told(list(run), calls, aim.losses)
        else:
            contents += [
                _spoken(one, calls, aim.losses, current=one.at > start) for one in run
            ]
    return contents


def _calls(
    plain: list[PlainMessage], aim: Aim, names: dict[str, str]
) -> dict[str, Members] | None:
    """`functionCall` by call id; None where one needs a change."""
    profile = aim.profile
    omitted = profile.call_ids == "omitted"
    wires: dict[str, Members] = {}
    for message in plain:
        for call in message.calls:
            arguments = plain_object(call.arguments)
            if arguments is None or call.name in names:
                return None
            wire: Members = {"name": call.name, "args": arguments}
            if not omitted or sent_call_id(call.call_id) is not None:
                wire = {"id": call.call_id, **wire}
            wires[call.call_id] = wire
    if omitted or are_legal(wires, profile.call_ids, profile.max_call_id):
        return wires
    return None


def _spoken(
    one: PlainMessage, calls: dict[str, Members], losses: LossRecorder, *, current: bool
) -> Members:
    """What the model said; `current`: since the last word of the user."""
    wires: list[Members] = [{"text": text} for text in one.texts]
    for at, call in enumerate(one.calls):
        wire: Members = {"functionCall": calls[call.call_id]}
        if current and at == 0:
            path = f"messages[{one.at}].parts[{len(wires)}].signature"
            stand_in(wire, path, losses)
        wires.append(wire)
    return {"parts": wires, "role": "model"}


def stand_in(call: Members, path: str, losses: LossRecorder) -> None:
    """Put the sentinel where a signature is due and there is none."""
    reason = "a stand-in that skips the check"
    losses.approximate("reasoning.signature", path, reason)
    call["thoughtSignature"] = SENTINEL


def _told(
    run: list[PlainMessage], calls: dict[str, Members], losses: LossRecorder
) -> list[Members]:
    """What the user said in neighbouring messages: results, and behind them texts."""
    for one in run[1:]:
        report_merged(one.at, losses)
    results: list[Members] = []
    for one in run:
        for at, (call_id, text) in enumerate(one.results):
            report_unnamed(f"messages[{one.at}].parts[{at}]", losses)
            wire = {**calls[call_id], "response": {"output": text}}
            del wire["args"]
            results.append({"functionResponse": wire})
    texts: list[Members] = [{"text": text} for one in run for text in one.texts]
    if not (results and texts):
        return [{"parts": results or texts, "role": "user"}]
    if len(run) == 1:  # else that was said
        report_apart(run[-1].at, losses)
    return [{"parts": results, "role": "user"}, {"parts": texts, "role": "user"}]


def report_merged(at: int, losses: LossRecorder) -> None:
    """Message `at` becomes one content with its neighbour."""
    reason = "neighbours of one role are one content"
    losses.approximate("message.boundary", f"messages[{at}]", reason)


def report_apart(at: int, losses: LossRecorder) -> None:
    """Message `at` holds more than results, which stand alone."""
    reason = "results stand in a content of their own"
    losses.approximate("message.boundary", f"messages[{at}]", reason)


def report_unnamed(path: str, losses: LossRecorder) -> None:
    """The result at `path` does not name its function."""
    losses.default("tool.name", f"{path}.name", "results name their function")
