"""What the turns of a request lose, however they are written."""

from __future__ import annotations

from msgspec.structs import replace

from llmwire import _seal
from llmwire._turns import Placed
from llmwire.dialects.openai_chat._writing import NAME, Writing
from llmwire.messages import Message


def report_top(message: Message, path: str, to: Writing) -> None:
    """Tell that instructions stood at the top."""
    if message.top:
        reason = "instructions are messages like others"
        to.losses.drop("instructions.top", f"{path}.top", reason)


def report_neighbours(to: Writing) -> None:
    """Tell that two messages of results cannot be told apart."""
    reason = "neighbouring results are one turn"
    to.losses.approximate("message.boundary", "messages", reason)


def own_thought(placed: Placed, to: Writing) -> Placed:
    """A thought without a signature that the server may not see."""
    part = placed.part
    signature = part.signature
    if signature is None:
        return placed
    sends = to.exact or to.profile.replay_reasoning == "details"
    if sends and _seal.fits(signature, NAME, to.model, to.tag):
        return placed
    place = f"{placed.path}.signature"
    to.losses.drop("reasoning.signature", place, "made by another server")
    return Placed(placed.path, replace(part, signature=None))


def drop_thought(placed: Placed, to: Writing) -> None:
    """Leave a thought out."""
    reason = "the server does not want thinking back"
    to.losses.drop("reasoning.text", placed.path, reason)
