"""Texts become values: numbers, sizes, times, choices, secrets.

Pure. The shape of a key decides what its text means, never the look of the text, so
that `no`, `1e3` or `0777` is a text where a text is due. Messages say what was expected
and never repeat the text, which may be a secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from llmwire_server.config.rules import RULES, suggestion
from llmwire_server.config.shapes import Scalar

__all__ = ("MASK", "BadValue", "expected", "read_scalar", "written_number")

MASK: Final = "***"
"""What is shown instead of a secret."""

_TRUTH: Final = {
    "true": True, "yes": True, "on": True,
    "false": False, "no": False, "off": False,
}  # fmt: skip
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z")
_NUMBER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,400})?\Z")
_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]{1,3})\Z")
_TIME: Final = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|[smhd]))+\Z")
_TIME_PART: Final = re.compile(r"([0-9.]+)(ms|[smhd])")
_BYTES: Final[Mapping[str, int]] = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
_SECONDS: Final[Mapping[str, float]] = {
    "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400,
}  # fmt: skip


class BadValue(ValueError):
    """A text is no such value."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what + hint)
        self.what = what
        """What was expected; the text itself may be told behind it."""
        self.hint = hint
        """What was probably meant."""


def read_scalar(text: str, shape: Scalar) -> object:
    """The value that `text` is.

    Raises:
        BadValue: It is none; the message does not repeat it.
    """
    match shape.kind:
        case "text":
            return _ruled(text, shape)
        case "choice":
            if text not in shape.choices:
                near = suggestion(text, shape.choices)
                hint = near if "did you mean" in near else ""
                raise BadValue(expected(shape), hint)
            return text
        case "boolean":
            if text.lower() not in _TRUTH:
                raise BadValue(expected(shape))
            return _TRUTH[text.lower()]
        case "secret":
            return _secret(text, shape)
        case _:
            return _number(text, shape)


def _ruled(text: str, shape: Scalar) -> str:
    if shape.rule is None:
        return text
    rule = RULES[shape.rule]
    if rule.known is not None:
        known = list(rule.known())
        if text not in known:
            raise BadValue(f"unknown {shape.rule}", suggestion(text, known))
        return text
    try:
        rule.check(text)
    except ValueError as error:
        raise BadValue(str(error)) from None
    return text


def _secret(text: str, shape: Scalar) -> object:
    if text and not text.strip("*"):
        raise BadValue("this is a mask, as `config show` writes it, not a secret")
    assert shape.secret is not None
    try:
        return shape.secret(text)
    except ValueError as error:
        raise BadValue(str(error)) from None


def _number(text: str, shape: Scalar) -> float:
    value = _plain(text, shape) if shape.unit is None else _measured(text, shape)
    if value is None:
        raise BadValue(expected(shape))
    low, high = shape.least, shape.most
    if (low is not None and value < low) or (high is not None and value > high):
        raise BadValue(expected(shape))
    return value


def _plain(text: str, shape: Scalar) -> float | None:
    if shape.kind == "integer":
        return int(text) if _INTEGER.match(text) else None
    return float(text) if _NUMBER.match(text) else None


def _measured(text: str, shape: Scalar) -> float | None:
    value = _plain(text, shape)
    if value is not None:
        return value
    if shape.unit == "seconds":
        if not _TIME.match(text):
            return None
        parts = _TIME_PART.findall(text)
        return math.fsum(float(count) * _SECONDS[unit] for count, unit in parts)
    found = _SIZE.match(text)
    if found is None or found[2].lower() not in _BYTES:
        return None
    whole, _, fraction = found[1].partition(".")
    unit = _BYTES[found[2].lower()]
    size, rest = divmod(int(whole + fraction) * unit, 10 ** len(fraction))
    return None if rest else size


def expected(shape: Scalar) -> str:
    """What may stand where a value of `shape` is due."""
    match shape.kind:
        case "text" | "secret":
            return "expected text"
        case "boolean":
            return "expected true or false"
        case "choice":
            return f"expected {', '.join(shape.choices[:-1])} or {shape.choices[-1]}"
    low, high = shape.least, shape.most
    bounds = f" from {low}" if low is not None else ""
    bounds += f" to {high}" if high is not None else ""
    if shape.unit == "bytes":
        return f"expected a number{bounds}, or a size such as 10MB or 64KiB"
    if shape.unit == "seconds":
        return f"expected a number{bounds}, or a time such as 30s or 5m"
    what = "a whole number" if shape.kind == "integer" else "a number"
    return f"expected {what}{bounds}"


def written_number(value: float) -> str:
    """A number as `read_scalar` reads it back: `0.02`, `60`, never `1e-05`."""
    if value == int(value):
        return str(int(value))
    return format(Decimal(repr(value)), "f")
