"""What stands around a JSON document: fences, markup, prose, envelopes.

Finds where documents are; mends nothing. Knows no rule of when to take one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from llmwire._json_evidence import Evidence, read
from llmwire._json_tokens import BLANK, HEAD

_FENCED: Final = re.compile(r"```[\w+\-]*+[ \t]*+\n?([^`]*+(?:`(?!``)[^`]*+)*+)```")
_OPENING: Final = re.compile(r"[{\[]")
_ASIDE: Final = re.compile(r"""\[[^\[\]{}"\n]{0,256}\]|\{[^\[\]{}"':\n]{0,64}\}""")
"""Brackets that prose has, and documents have not."""
_ATTEMPTS: Final = 32
"""Brackets in prose that are looked at for a document."""
_DECODER: Final = json.JSONDecoder()
_CARRIERS: Final = ("arguments", "parameters", "input", "args")
"""Members in which an envelope carries the arguments of a call."""
_LABELS: Final = frozenset(
    {"name", "tool", "tool_name", "function", "type", "id", "call_id"}
)
"""What else an envelope may hold."""
_NAMES: Final = ("name", "tool", "tool_name", "function")


def head_end(text: str) -> int:
    """Where the document begins behind fences, markup and special tokens."""
    at = 0
    while (found := HEAD.match(text, at)) is not None:
        at = found.end()
    return at


def fenced_spans(text: str) -> list[tuple[int, int]]:
    """The contents of code fences that may be documents."""
    spans = [found.span(1) for found in _FENCED.finditer(text)]
    return [span for span in spans if text[slice(*span)].lstrip()[:1] in ("{", "[")]


def documents_in(text: str) -> list[tuple[int, int]]:
    """Objects that stand in prose as they should; arrays, where there are none.

    None where a bracket opens that is neither a document nor part of the prose: what
    stands behind it could be a piece of a broken one.
    """
    objects: list[tuple[int, int]] = []
    arrays: list[tuple[int, int]] = []
    at = 0
    for _ in range(_ATTEMPTS):
        opening = _OPENING.search(text, at)
        if opening is None:
            return objects or arrays
        start = opening.start()
        try:
            _, at = _DECODER.raw_decode(text, start)
            read(text[start:at])  # NaN is none
        except (ValueError, RecursionError):
            aside = _ASIDE.match(text, start)
            if aside is None:
                break
            at = aside.end()
            continue
        (objects if opening[0] == "{" else arrays).append((start, at))
    return []


def prose_span(text: str) -> tuple[int, int] | None:
    """From the first opening bracket of `text` to the last that closes it."""
    start = min((at for at in map(text.find, "{[") if at >= 0), default=-1)
    end = text.rfind("}" if text[start : start + 1] == "{" else "]")
    return (start, end + 1) if 0 <= start < end else None


def carried(
    value: Mapping[str, Any], evidence: Evidence, name: str | None
) -> str | None:
    """The member of an envelope that holds the arguments; None: it is no envelope.

    The schema must name its members, and none of those of the envelope. A name in the
    envelope must be `name`.
    """
    known = evidence.names()
    if known is None or any(key in known for key in value):
        return None
    carriers = [key for key in _CARRIERS if key in value]
    if len(carriers) != 1 or any(k not in _LABELS and k != carriers[0] for k in value):
        return None
    named = [value[key] for key in _NAMES if key in value]
    if name is not None and any(each != name for each in named):
        return None
    inner = value[carriers[0]]
    if isinstance(inner, str):
        inner = encoded_object(inner)
    if not isinstance(inner, dict) or any(key in inner for key in carriers):
        return None
    return carriers[0]


def encoded_object(text: str) -> dict[str, Any] | None:
    """The object that `text` is the JSON of; None: it is something else."""
    try:
        value = read(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def member_span(text: str, name: str) -> tuple[int, int]:
    """Where the value of the last member `name` stands in the JSON object `text`."""
    at = text.index("{") + 1
    span = (0, 0)
    while True:
        at = _next_token(text, at)
        if text[at] == "}":
            return span
        if text[at] == ",":
            at = _next_token(text, at + 1)
        key, at = _DECODER.raw_decode(text, at)
        start = _next_token(text, text.index(":", at) + 1)
        _, at = _DECODER.raw_decode(text, start)
        if key == name:
            span = (start, at)


def _next_token(text: str, at: int) -> int:
    found = BLANK.match(text, at)
    return found.end() if found else at
