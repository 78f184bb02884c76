"""Escapes in JSON strings that come in pieces.

Knows text only.
"""

from __future__ import annotations

import re
from typing import Final

_ESCAPE: Final = re.compile(r'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')
_PARTIAL_ESCAPE: Final = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_LOW: Final = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_PARTIAL_LOW: Final = re.compile(r"(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?\Z")
_LETTERS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def unescaped(text: str, at: int) -> tuple[str | None, int]:
    """What the escape at `at` stands for, and where it ends; None: more must come.

    A backslash that begins no escape stands for itself, a lone surrogate for U+FFFD.
    """
    escape = _ESCAPE.match(text, at)
    if escape is None:
        return (None if _PARTIAL_ESCAPE.match(text, at) else "\\"), at + 1
    end = escape.end()
    if escape[1]:
        return _LETTERS.get(escape[1], escape[1]), end
    unit = int(escape[2], 16)
    if not 0xD800 <= unit <= 0xDBFF:
        return ("\ufffd" if 0xDC00 <= unit <= 0xDFFF else chr(unit)), end
    low = _LOW.match(text, end)
    if low is not None:
        pair = 0x10000 + ((unit - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        return chr(pair), low.end()
    return (None if _PARTIAL_LOW.match(text, end) else "\ufffd"), end
