"""Parameters behind a model's name: `gpt-4o?temperature=0.5&reasoning_effort=low`.

They say what programs have no setting for, so they go before what the body says. One
that is unknown or out of bounds is an error, never passed over: who writes it counts
on it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from msgspec import Struct
from msgspec.structs import asdict, replace

from llmwire import APIError, Request
from llmwire.requests import Reasoning
from llmwire_server.routing.selectors import RoutingError, shown

__all__ = ("Parameters", "apply", "parse_parameters")

_NUMBER: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?\Z")
_MOST_TOKENS: Final = 10_000_000
_FIELDS: Final = 32
"""Parameters that one name may hold."""


class Parameters(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model's name asks for beyond the model; None: nothing."""

    temperature: float | int | None = None
    """0 to 2."""
    top_p: float | int | None = None
    """0 to 1."""
    top_k: int | None = None
    """1 to 100,000."""
    reasoning_effort: str | None = None
    """`none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`."""
    verbosity: str | None = None
    """`low`, `medium`, `high`."""
    max_tokens: int | None = None
    """1 to 10,000,000."""


def parse_parameters(query: str) -> Parameters:
    """Read what stands behind the question mark, URL-encoded; the last of several wins.

    Raises:
        RoutingError: One is unknown or has no value that it may have.
    """
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=_FIELDS
        )
    except ValueError:
        what = f"they are at most {_FIELDS} pairs of name and value, URL-encoded"
        raise _wrong(f"the model's parameters cannot be read: {what}") from None
    values: dict[str, Any] = {}
    for name, text in pairs:
        read = _READERS.get(name)
        if read is None:
            near = difflib.get_close_matches(name[:64], _READERS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "known are " + _KNOWN
            raise _wrong(f"the model's parameter {shown(name)} is unknown; {hint}")
        try:
            values[name] = read(text)
        except ValueError as error:
            message = f"the model's parameter {name!r} is {shown(text)}; {error}"
            raise _wrong(message) from None
    return Parameters(**values)


def apply(parameters: Parameters, request: Request) -> Request:
    """`request` with what `parameters` ask for in place of its own."""
    given = {
        name: value for name, value in asdict(parameters).items() if value is not None
    }
    effort = given.pop("reasoning_effort", None)
    drawn = {name: given.pop(name) for name in _SAMPLING if name in given}
    if drawn:
        given["sampling"] = replace(request.sampling, **drawn)
    if effort is not None:
        given["reasoning"] = _thinking(request.reasoning or Reasoning(), effort)
    return replace(request, **given) if given else request


def _thinking(reasoning: Reasoning, effort: str) -> Reasoning:
    """A client's own budget, and its own way to say all this, no longer hold."""
    if effort == "none":
        return replace(reasoning, mode="off", effort=None, budget=None, extras=None)
    mode = "on" if reasoning.mode == "on" else "default"
    return replace(reasoning, mode=mode, effort=effort, budget=None, extras=None)


def _number(least: int, most: int) -> Callable[[str], float | int]:
    def read(text: str) -> float | int:
        value = (
            (float(text) if "." in text else int(text)) if _NUMBER.match(text) else -1
        )
        if not least <= value <= most:
            raise ValueError(f"expected a number from {least} to {most}")
        return value

    return read


def _whole(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text) if _NUMBER.match(text) and "." not in text else 0
        if not 1 <= value <= most:
            raise ValueError(f"expected a whole number from 1 to {most}")
        return value

    return read


def _word(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError("expected one of " + ", ".join(words))
        return text

    return read


_SAMPLING: Final = ("temperature", "top_p", "top_k")
_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "top_k": _whole(100_000),
    "reasoning_effort": _word(
        "none", "minimal", "low", "medium", "high", "xhigh", "max"
    ),
    "verbosity": _word("low", "medium", "high"),
    "max_tokens": _whole(_MOST_TOKENS),
}
_KNOWN: Final = ", ".join(_READERS)


def _wrong(message: str) -> RoutingError:
    error = APIError(kind="invalid_request", message=message, status=400, param="model")
    return RoutingError(error)
